"""Commands out of frames: the receiving half of the server's reactor (section 1.6).

What a request has sent so far is kept until its command can be run, within limits: a request over a limit of its own is
refused and the rest of it swallowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hgproto.errors import RemoteProtocolError
from hgproto.events import WANT_FRAME, CommandCut, CommandData, NoOp, RunCommand, SendFrames, StartCommand
from hgproto.frame import bare
from hgproto.framing_0002 import codec, machines
from hgproto.layout import counted, octets
from hgproto.plans import Closed, Node, Plan, Request, Violation, placed, text_payload
from hgproto.reactor import Reactor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from enum import IntEnum
    from typing import Literal

    from hgproto.frame import Frame
    from hgproto.machine import Row

__all__ = ["CommandReceiver"]

State = machines.ServerRequestState
_ACTIVE = State.ACTIVE
_RECEIVING = frozenset({State.RECEIVING_ARGUMENTS, State.RECEIVING_DATA, State.STREAMING, State.EXCHANGING})
_REFUSED = frozenset({State.REFUSING, State.REFUSED})
_CONTINUATION = int(codec.CommandArgumentFlag.CONTINUATION)
_EOA = int(codec.CommandArgumentFlag.EOA)
_DATA_EOS = int(codec.CommandDataFlag.EOS)
_HAVE_DATA = int(codec.CommandNameFlag.HAVE_DATA)
_NAME_EOS = int(codec.CommandNameFlag.EOS)
_COMMAND_NAME = codec.FrameType.COMMAND_NAME
_COMMAND_DATA = int(codec.FrameType.COMMAND_DATA)
_HEADER = 4
"""Octets of an argument's sub-header."""

_decode_argument = codec.decode_argument
_new_run_command = bare(RunCommand)
_new_start_command = bare(StartCommand)


class _Value:
    """An argument's value that spans frames: what there is of it, and how many octets are to come."""

    __slots__ = ("left", "name", "octets")

    def __init__(self, name: str, octets: bytes, left: int) -> None:
        self.name = name
        self.octets = bytearray(octets)
        self.left = left


class _Request(Request):
    """A request of which a part was received.

    ``announced``: data follows the arguments. ``octets``: of arguments and data. ``value``: of an argument that is not
    whole yet.
    """

    __slots__ = ("announced", "args", "data", "name", "octets", "value")

    name: str
    announced: bool
    args: dict[str, bytes]
    octets: int
    data: bytes | bytearray
    value: _Value | None

    # Made without arguments, and filled by who makes it: see hgproto.frame.bare.
    __init__ = object.__init__


class CommandReceiver(Reactor):
    """Takes what clients send; :class:`hgproto.server.Server` is this with responses."""

    __slots__ = (
        "_active",
        "_buffered",
        "_longest_value",
        "_most_active",
        "_most_arguments",
        "_most_buffered",
        "_most_octets",
        "_most_receiving",
        "_over",
        "_receiving",
        "_refused",
        "_states",
        "_streaming",
    )

    role = "server"
    peer = "client"
    machine = machines.SERVER_REQUEST

    def __init__(self, *, streaming: bool, **reactor: Any) -> None:
        super().__init__(first_stream=2, **reactor)
        self._streaming = streaming
        # Limits that every frame is held against.
        self._most_active = self.limits.active_requests
        self._most_receiving = self.limits.receiving_requests
        self._most_arguments = self.limits.arguments
        self._longest_value = self.limits.argument_value
        self._most_octets = self.limits.request_octets
        self._most_buffered = self.limits.buffered_octets
        self._receiving = 0
        self._refused = 0
        self._buffered = 0
        self._over = ""
        # What is known of a request that was received whole is its state alone.
        self._active = Request(self._tables[State.ACTIVE])
        self._states = {State.ACTIVE: self._active, State.RESPONDING: Request(self._tables[State.RESPONDING])}

    def _reply(
        self, request_id: int, message: str, kind: Literal["application", "protocol"], row: Row
    ) -> SendFrames | NoOp:
        """An error of our own making, for a request."""
        raise NotImplementedError

    @property
    def receiving(self) -> bool:
        """Whether any request is partly received; else the connection is idle."""
        return self._receiving > 0

    def _take(self, parts: Iterator[tuple[int, int, int, bytes, int]]) -> tuple[RemoteProtocolError, Frame, int] | None:
        # What the loop of every reactor does, with calls to what is asked and done most often said outright: the
        # interpreter is twice as fast at a call that always goes to the same function. A test holds the two together.
        requests, free, slots, append = self._requests, self._free, self._slots, self._append
        most_arguments, longest_value = self._most_arguments, self._longest_value
        most_octets, most_buffered, most_active = self._most_octets, self._most_buffered, self._most_active
        for kind, request_id, stream_id, payload, stop in parts:
            try:
                request: Any = requests.get(request_id)
                if request is None:
                    plan = free[request_id & 1].plans.get(slots[stream_id] + kind)
                else:
                    plan = request.table.plans.get(slots[stream_id] + kind)
                if plan is None or plan.stream is not None:
                    self._take_on_stream(plan, kind, request_id, stream_id, request, payload)
                    continue
                node = plan.node
                ask = node.ask
                while ask is not None:
                    if ask is _ASK_ARGUMENT:
                        answer: object = None
                        if request.value is None and not plan.flags & _CONTINUATION:
                            argument = _decode_argument(payload)
                            args, value = request.args, argument.value
                            total, buffered = request.octets + len(payload) - 4, self._buffered + len(payload) - 4
                            if (
                                argument.name not in args
                                and len(args) < most_arguments
                                and len(value) <= longest_value
                                and total <= most_octets
                                and buffered <= most_buffered
                            ):
                                args[argument.name] = value
                                request.octets = total
                                self._buffered = buffered
                                answer = "good"
                        if answer is None:
                            answer = self._ask_argument(request_id, request, payload, plan)
                    elif ask is _ASK_CAPACITY and plan.flags == _NAME_EOS:
                        answer = len(requests) - self._refused < most_active or self._ask_capacity(
                            request_id, request, payload, plan
                        )
                    elif ask is _ASK_DATA_ANNOUNCED:
                        answer = request.announced
                    else:
                        answer = ask(self, request_id, request, payload, plan)
                    node = node.outcomes[answer]
                    ask = node.ask
                act = node.act
                if act is _EMIT_RUN_COMMAND:
                    self._emit_run_command(request_id, request, payload, node)
                elif act is _EMIT_WANT_FRAME:
                    if request is None:
                        self._begin(request_id, text_payload(_COMMAND_NAME, payload), node)
                    elif node.table is not request.table and node.to is not None:
                        self._move(request_id, request, node.to)
                    append(WANT_FRAME)
                else:
                    act(self, request_id, request, payload, node)
            except Closed:
                return None
            except Violation as violation:
                error = violation.error
            except RemoteProtocolError as fault:
                error = placed(fault, kind)
            else:
                continue
            return (
                error,
                codec.frame_of(kind, request_id, stream_id, payload),
                stop - codec.HEADER_OCTETS - len(payload),
            )
        return None

    # Guards.

    def _ask_capacity(self, request_id: int, request: _Request | None, payload: bytes, plan: Plan) -> bool:
        if len(self._requests) - self._refused >= self._most_active:
            self._over = f"more than {counted(self._most_active, 'request')} at a time"
        elif plan.flags != _NAME_EOS and self._receiving >= self._most_receiving:
            self._over = f"more than {counted(self._most_receiving, 'partly sent request')} at a time"
        else:
            return True
        return False

    def _ask_receiving_others(self, request_id: int, request: Request | None, payload: bytes, plan: Plan) -> bool:
        return self._receiving > (request is not None and request.state in _RECEIVING)

    def _ask_streaming(self, *_: object) -> bool:
        return self._streaming

    def _ask_data_announced(self, request_id: int, request: _Request, payload: bytes, plan: Plan) -> bool:
        return request.announced

    def _ask_value_open(self, request_id: int, request: _Request, payload: bytes, plan: Plan) -> bool:
        return request.value is not None

    def _ask_any_argument(self, request_id: int, request: _Request, payload: bytes, plan: Plan) -> bool:
        return bool(request.args) or request.value is not None

    def _ask_argument(self, request_id: int, request: _Request, payload: bytes, plan: Plan) -> str:
        """Looks at an argument; ``good`` once it was taken."""
        if request.value is not None:
            return self._more_of_value(request, request.value, payload, plan.flags)
        args = request.args
        if plan.flags & _CONTINUATION:
            start = codec.decode_argument_start(payload)
            name, value, total = start.name, start.value, start.value_length
        else:
            argument = _decode_argument(payload)
            name, value = argument.name, argument.value
            total = len(value)
        if name in args:
            self._fault = RemoteProtocolError("", _HEADER, "name", "each argument name once", f"{name!r} again")
            return "duplicate-name"
        if len(args) >= self._most_arguments:
            self._over = f"more than {counted(self._most_arguments, 'argument')}"
            return "over-limit"
        if total > self._longest_value:
            self._over = f"an argument of {octets(total)}, more than {octets(self._longest_value)}"
            return "over-limit"
        size = len(payload) - _HEADER
        request.octets += size
        self._buffered += size
        if request.octets > self._most_octets or self._buffered > self._most_buffered:
            return self._over_octets(request)
        if plan.flags & _CONTINUATION:
            request.value = _Value(name, value, total - len(value))
        else:
            args[name] = value
        return "good"

    def _more_of_value(self, request: _Request, value: _Value, payload: bytes, flags: int) -> str:
        last = not flags & _CONTINUATION
        size = len(payload)
        if size > value.left or (last and size < value.left):
            wanted = f"{'' if last else 'at most '}{octets(value.left)} more of the value"
            at = value.left if size > value.left else 0
            self._fault = RemoteProtocolError("", at, "value", wanted, octets(size))
            return "value-long" if size > value.left else "value-short"
        request.octets += size
        self._buffered += size
        if request.octets > self._most_octets or self._buffered > self._most_buffered:
            return self._over_octets(request)
        value.octets += payload
        value.left -= size
        if last:
            request.args[value.name] = bytes(value.octets)
            request.value = None
        return "good"

    def _ask_data(self, request_id: int, request: _Request, payload: bytes, plan: Plan) -> str:
        """Looks at data; ``good`` once it was taken."""
        size = len(payload)
        request.octets += size
        self._buffered += size
        if request.octets > self._most_octets or self._buffered > self._most_buffered:
            return self._over_octets(request)
        if not request.data:
            # Most data is one frame, which is then never copied.
            request.data = payload
        elif isinstance(request.data, bytearray):
            request.data += payload
        else:
            request.data = bytearray(request.data) + payload
        return "good"

    def _over_octets(self, request: _Request) -> str:
        if request.octets > self._most_octets:
            self._over = f"more than {octets(self._most_octets)} in a request"
        else:
            self._over = f"more than {octets(self._most_buffered)} in all partly sent requests"
        return "over-limit"

    def _ask_last_of_request(self, request_id: int, request: _Request, payload: bytes, plan: Plan) -> bool:
        if plan.code == _COMMAND_DATA:
            return bool(plan.flags & _DATA_EOS)
        return bool(plan.flags & _EOA) and not request.announced

    # What the table emits.

    def _emit_run_command(self, request_id: int, request: _Request | None, payload: bytes, node: Node) -> None:
        active = node.to is _ACTIVE
        command = _new_run_command() if active else _new_start_command()
        command.request_id = request_id
        command.data = None
        if request is None:
            command.name = text_payload(_COMMAND_NAME, payload)
            command.args = {}
            if active:
                self._requests[request_id] = self._active
            else:
                self._begin(request_id, command.name, node)
        else:
            command.name = request.name
            command.args = request.args
            if active:
                if request.announced:
                    command.data = bytes(request.data)
                self._receiving -= 1
                self._buffered -= request.octets
                self._requests[request_id] = self._active
            else:
                self._move(request_id, request, State.STREAMING)
        self._append(command)

    def _emit_want_frame(self, request_id: int, request: _Request | None, payload: bytes, node: Node) -> None:
        if request is None:
            self._begin(request_id, text_payload(_COMMAND_NAME, payload), node)
        elif node.table is not request.table and node.to is not None:
            self._move(request_id, request, node.to)
        self._append(WANT_FRAME)

    def _begin(self, request_id: int, name: str, node: Node) -> None:
        """A request whose first frame was received."""
        request = _Request()
        request.table = node.table
        request.name = name
        request.announced = node.flags & _HAVE_DATA != 0
        request.args = {}
        request.octets = 0
        request.data = b""
        request.value = None
        self._requests[request_id] = request
        self._receiving += 1

    def _emit_command_data(self, request_id: int, request: _Request, payload: bytes, node: Node) -> None:
        last = node.to in (State.ACTIVE, State.RESPONDING)
        if node.to is not None and node.to is not request.state:
            self._move(request_id, request, node.to)
        self._append(CommandData(request_id, payload, last))

    def _emit_stream_configured(self, request_id: int, request: Any, payload: bytes, node: Node) -> None:
        self._append(WANT_FRAME)

    def _emit_application_error(self, request_id: int, request: _Request | None, payload: bytes, node: Node) -> None:
        if request is None:
            text_payload(_COMMAND_NAME, payload)
            if node.to is State.REFUSING:
                self._begin(request_id, "", node)
                self._receiving -= 1
                self._refused += 1
            else:
                self._requests[request_id] = self._states[State.RESPONDING]
        else:
            self._move(request_id, request, node.to or State.NONE)
        self._append(self._reply(request_id, self._over, "application", node.row))

    def _emit_protocol_error(self, request_id: int, request: _Request, row: Row) -> None:
        message = f"expected the whole request, found the end of input ({row.requirement})"
        self._append(self._reply(request_id, message, "protocol", row))

    def _emit_command_cut(self, request_id: int, request: _Request, row: Row) -> None:
        if row.to is State.NONE:
            self._emit_protocol_error(request_id, request, row)
        self._append(CommandCut(request_id, row.to is not State.NONE))

    def _move(self, request_id: int, request: _Request | Request, to: IntEnum) -> None:
        before = request.state
        if isinstance(request, _Request):
            if before in _RECEIVING and to not in _RECEIVING:
                self._receiving -= 1
            if before in (State.RECEIVING_ARGUMENTS, State.RECEIVING_DATA) and to is not State.RECEIVING_DATA:
                self._buffered -= request.octets
                request.octets = 0
            if to in _REFUSED:
                request.args, request.data, request.value = {}, b"", None
                self._refused += 1
        if before in _REFUSED:
            self._refused -= 1
        if to is State.NONE:
            del self._requests[request_id]
        elif to in self._states:
            self._requests[request_id] = self._states[State(to)]
        else:
            request.table = self._tables[to]


_ASK_ARGUMENT, _ASK_CAPACITY = CommandReceiver._ask_argument, CommandReceiver._ask_capacity  # noqa: SLF001 - of this module
_ASK_DATA_ANNOUNCED = CommandReceiver._ask_data_announced  # noqa: SLF001
_EMIT_RUN_COMMAND, _EMIT_WANT_FRAME = CommandReceiver._emit_run_command, CommandReceiver._emit_want_frame  # noqa: SLF001
