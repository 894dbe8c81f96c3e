"""Commands out of frames: the receiving half of the server's reactor (section 1.6).

What a request has sent so far is kept until its command can be run, within limits: a request over a limit of its own is
refused and the rest of it swallowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hgproto.errors import RemoteProtocolError, counted, shown
from hgproto.reactors.content import Content
from hgproto.reactors.events import (
    WANT_FRAME,
    CommandCut,
    CommandData,
    NoOp,
    RunCommand,
    SendFrames,
    ServerEvent,
    StartCommand,
)
from hgproto.reactors.plans import Node, Plan, Request, first_of, go_on, text_payload
from hgproto.reactors.reactor import Reactor
from hgproto.runtime.frame import bare
from hgproto.runtime.layout import octets

if TYPE_CHECKING:
    from enum import IntEnum
    from typing import Literal

    from hgproto.runtime.frame import Frame
    from hgproto.runtime.machine import Row
    from hgproto.wire.reader import Pieces

__all__ = ["CommandReceiver"]

NAMES = 256
"""Names of commands and arguments that a reactor remembers: more than the reference has commands."""
NAME_OCTETS = 64
"""The longest name that is remembered, so that all take no more than some ten KiB."""

_bare_run_command = bare(RunCommand)
_new_run_command = _bare_run_command.__next__
_new_start_command = bare(StartCommand).__next__


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

    # Made without arguments, and filled by who makes it: see hgproto.runtime.frame.bare.
    __init__ = object.__init__


class CommandReceiver(Reactor[ServerEvent]):
    """Takes what clients send; :class:`hgproto.reactors.server.Server` is this with responses."""

    __slots__ = (
        "_active",
        "_buffered",
        "_content",
        "_longest_value",
        "_most_active",
        "_most_arguments",
        "_most_buffered",
        "_most_octets",
        "_most_receiving",
        "_names",
        "_over",
        "_receiving",
        "_refused",
        "_request_states",
        "_states",
        "_streaming",
    )

    role = "server"
    peer = "client"

    def __init__(self, *, streaming: bool, **reactor: Any) -> None:
        super().__init__(**reactor)
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
        self._names: dict[bytes, str] = {}
        states = self._request_states = self._plans.states
        self._states = self._plans.whole
        active = first_of(
            iter(states.whole & states.awaiting), self._revision, "row for response-begun of a request that is whole"
        )
        self._active = self._states[active]
        self._content = self._revision.kept(Content, lambda: Content(self._revision))

    def _reply(
        self, request_id: int, message: str, kind: Literal["application", "protocol"], row: Row
    ) -> SendFrames | NoOp:
        """An error of our own making, for a request."""
        raise NotImplementedError

    @property
    def receiving(self) -> bool:
        """Whether any request is partly received; else the connection is idle."""
        return self._receiving > 0

    def _counters(self) -> dict[str, int]:
        return super()._counters() | {
            "active_requests": len(self._requests) - self._refused,
            "receiving_requests": self._receiving,
            "buffered_octets": self._buffered,
        }

    def _read(self, source: Pieces) -> tuple[RemoteProtocolError, Frame, int] | None:
        # Most traffic is commands and whole arguments, and most of the time all guards answer as usual. Those frames are
        # taken here, without a call, and without a generator between octets and states; all others, and all that is wrong,
        # go the way of every reactor. A test holds the two together.
        requests, slots, append = self._requests, self._slots, self._append
        usual_first = self._tables[self.machine.initial].usual.get
        active, new_commands, new_request, want = self._active, _bare_run_command, _Request, WANT_FRAME
        codec, content = self._codec, self._content
        if not content.is_usual:
            return super()._read(source)
        unpack = codec.unpack_parts
        unpack_argument, known = content.sub_header.unpack_from, self._names.get
        sub_header, data_follows = content.size, content.data_follows
        run, none_yet = _EMIT_RUN_COMMAND, _EMIT_WANT_FRAME
        max_payload, header = self.limits.max_payload, codec.HEADER_OCTETS
        most_arguments, longest_value, most_receiving = self._most_arguments, self._longest_value, self._most_receiving
        most_octets, most_buffered = self._most_octets, self._most_buffered
        most = self._most_active + self._refused
        data: Any  # octets, since this source copies views
        for data, first in source:
            at = first
            end, last = len(data), len(data) - header
            while at <= last:
                length, length_high, request_id, stream_id, kind = unpack(data, at)
                if length_high:
                    length |= length_high << 16
                start = at + header
                stop = start + length
                if length > max_payload:
                    raise source.refuse(data, at, codec.cut_frame(data[at:start], max_payload))
                if stop > end:
                    source.keep(data, at, stop - at)
                    break
                request: Any = requests.get(request_id)
                if request is None:
                    node = usual_first(slots[stream_id] + kind)
                    if node is not None and request_id & 1 and len(requests) < most:
                        payload = data[start:stop]
                        name = known(payload) or self._name(payload)
                        if not name:
                            pass
                        elif node.act is run:
                            requests[request_id] = active
                            for command in new_commands:
                                command.request_id = request_id
                                command.name = name
                                command.args = {}
                                command.data = None
                                append(command)
                                break
                            at = stop
                            continue
                        elif self._receiving < most_receiving:
                            request = new_request()
                            request.table = node.table
                            request.name = name
                            request.announced = node.flags & data_follows != 0
                            request.args = {}
                            request.octets = 0
                            request.data = b""
                            request.value = None
                            requests[request_id] = request
                            self._receiving += 1
                            append(want)
                            at = stop
                            continue
                else:
                    node = request.table.usual.get(slots[stream_id] + kind)
                    if node is not None and length > sub_header and request.value is None:
                        name_length, value_length = unpack_argument(data, start)
                        args, size = request.args, length - sub_header
                        total, buffered = request.octets + size, self._buffered + size
                        if (
                            name_length + value_length == size
                            and len(args) < most_arguments
                            and value_length <= longest_value
                            and total <= most_octets
                            and buffered <= most_buffered
                        ):
                            value_start = start + sub_header + name_length
                            payload = data[start + sub_header : value_start]
                            name = known(payload) or self._name(payload)
                            if not name or name in args:
                                pass
                            elif node.act is none_yet:
                                args[name] = data[value_start:stop]
                                request.octets = total
                                self._buffered = buffered
                                append(want)
                                at = stop
                                continue
                            elif not request.announced:
                                args[name] = data[value_start:stop]
                                requests[request_id] = active
                                self._receiving -= 1
                                self._buffered = buffered - total
                                for command in new_commands:
                                    command.request_id = request_id
                                    command.name = request.name
                                    command.args = args
                                    command.data = None
                                    append(command)
                                    break
                                at = stop
                                continue
                failed = self._take(iter(((kind, request_id, stream_id, data[start:stop], stop),)))
                if failed is not None:
                    return failed
                most = self._most_active + self._refused
                at = stop
            else:
                source.keep(data, at, header)
        return None

    def _usual(self, plan: Plan) -> Node | None:
        node = plan.node
        if node.ask is _ASK_CAPACITY:
            node = node.outcomes[True]
        elif node.ask is _ASK_ARGUMENT and not plan.flags & self._content.more:
            node = node.outcomes["good"]
            if node.ask is _ASK_DATA_ANNOUNCED:
                node = node.outcomes[False]
        else:
            return None
        return node if node.ask is None and node.act in (_EMIT_RUN_COMMAND, _EMIT_WANT_FRAME) else None

    def _name(self, octets: bytes) -> str:
        """The name that octets are, empty where they are none. Names come again, and then are not decoded again."""
        if not octets.isascii():
            return ""
        name = octets.decode("ascii")
        if len(self._names) < NAMES and len(octets) <= NAME_OCTETS:
            self._names[octets] = name
        return name

    # Guards.

    def _ask_capacity(self, request_id: int, request: _Request | None, payload: bytes, plan: Plan) -> bool:
        if len(self._requests) - self._refused >= self._most_active:
            self._over = f"more than {counted(self._most_active, 'request')} at a time"
        elif not plan.flags & self._content.name_is_all and self._receiving >= self._most_receiving:
            self._over = f"more than {counted(self._most_receiving, 'partly sent request')} at a time"
        else:
            return True
        return False

    def _ask_receiving_others(self, request_id: int, request: Request | None, payload: bytes, plan: Plan) -> bool:
        return self._receiving > (request is not None and request.state in self._request_states.receiving)

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
        args, content = request.args, self._content
        if plan.flags & content.more:
            start = content.start(payload)
            name, value, total = start.name, start.value, getattr(start, content.total)
        else:
            argument = content.argument(payload)
            name, value = argument.name, argument.value
            total = len(value)
        if name in args:
            self._fault = RemoteProtocolError(
                "", content.size, "name", "each argument name once", f"{shown(name)} again"
            )
            return "duplicate-name"
        if len(args) >= self._most_arguments:
            self._over = f"more than {counted(self._most_arguments, 'argument')}"
            return "over-limit"
        if total > self._longest_value:
            self._over = f"an argument of {octets(total)}, more than {octets(self._longest_value)}"
            return "over-limit"
        size = len(payload) - content.size
        request.octets += size
        self._buffered += size
        if request.octets > self._most_octets or self._buffered > self._most_buffered:
            return self._over_octets(request)
        if plan.flags & content.more:
            request.value = _Value(name, value, total - len(value))
        else:
            args[name] = value
        return "good"

    def _more_of_value(self, request: _Request, value: _Value, payload: bytes, flags: int) -> str:
        last = not flags & self._content.more
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
        content = self._content
        if plan.code == content.data:
            return bool(plan.flags & content.last_data)
        return bool(plan.flags & content.last_argument) and not request.announced

    # What the table emits.

    def _emit_run_command(self, request_id: int, request: _Request | None, payload: bytes, node: Node) -> None:
        active = node.to in self._request_states.whole
        command = _new_run_command() if active else _new_start_command()
        command.request_id = request_id
        command.data = None
        if request is None:
            command.args = {}
            if active:
                command.name = text_payload(self._codec, self._content.name, payload)
                self._requests[request_id] = self._active
            else:
                command.name = self._begin(request_id, payload, node).name
        else:
            command.name = request.name
            command.args = request.args
            if active:
                if request.announced:
                    command.data = bytes(request.data)
                self._receiving -= 1
                self._buffered -= request.octets
                self._requests[request_id] = self._active
            elif node.to is not None:
                self._move(request_id, request, node.to)
        self._append(command)

    def _emit_want_frame(self, request_id: int, request: _Request | None, payload: bytes, node: Node) -> None:
        go_on(self, request_id, request, payload, node)
        self._append(WANT_FRAME)

    def _begin(self, request_id: int, payload: bytes, node: Node) -> _Request:
        """A request whose first frame was received."""
        request: _Request = _Request()
        refused = node.to in self._request_states.refused
        name = text_payload(self._codec, self._content.name, payload)
        request.name = "" if refused else name
        request.table = node.table
        request.announced = node.flags & self._content.data_follows != 0
        request.args = {}
        request.octets = 0
        request.data = b""
        request.value = None
        self._requests[request_id] = request
        self._receiving += node.to in self._request_states.receiving
        self._refused += refused
        return request

    def _emit_command_data(self, request_id: int, request: _Request, payload: bytes, node: Node) -> None:
        last = node.to in self._request_states.whole
        if node.to is not None and node.to is not request.state:
            self._move(request_id, request, node.to)
        self._append(CommandData(request_id, payload, last))

    def _emit_stream_configured(self, request_id: int, request: Any, payload: bytes, node: Node) -> None:
        self._append(WANT_FRAME)

    def _emit_application_error(self, request_id: int, request: _Request | None, payload: bytes, node: Node) -> None:
        if request is None:
            text_payload(self._codec, self._content.name, payload)
            if node.to in self._states:
                self._requests[request_id] = self._states[node.to]
            else:
                go_on(self, request_id, request, payload, node)
        else:
            self._move(request_id, request, self._request_states.initial if node.to is None else node.to)
        self._append(self._reply(request_id, self._over, "application", node.row))

    def _emit_protocol_error(self, request_id: int, request: _Request, row: Row) -> None:
        message = f"expected the whole request, found the end of input ({row.requirement})"
        self._append(self._reply(request_id, message, "protocol", row))

    def _emit_command_cut(self, request_id: int, request: _Request, row: Row) -> None:
        free = row.to is self._request_states.initial
        if free:
            self._emit_protocol_error(request_id, request, row)
        self._append(CommandCut(request_id, not free))

    def _move(self, request_id: int, request: _Request | Request, to: IntEnum) -> None:
        before, states = request.state, self._request_states
        if isinstance(request, _Request):
            if before in states.receiving and to not in states.receiving:
                self._receiving -= 1
            if before in states.kept and to not in states.kept:
                self._buffered -= request.octets
                request.octets = 0
            if to in states.refused:
                request.args, request.data, request.value = {}, b"", None
                self._refused += 1
        if before in states.refused:
            self._refused -= 1
        if to is states.initial:
            del self._requests[request_id]
        elif to in self._states:
            self._requests[request_id] = self._states[to]
        else:
            request.table = self._tables[to]


_ASK_ARGUMENT, _ASK_CAPACITY = CommandReceiver._ask_argument, CommandReceiver._ask_capacity  # noqa: SLF001 - of this module
_ASK_DATA_ANNOUNCED = CommandReceiver._ask_data_announced  # noqa: SLF001
_EMIT_RUN_COMMAND, _EMIT_WANT_FRAME = CommandReceiver._emit_run_command, CommandReceiver._emit_want_frame  # noqa: SLF001
