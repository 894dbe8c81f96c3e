"""The receiving half of the server's reactor, which decodes commands.

The parts of a request are kept until its command can run. A request that exceeds one of its own limits is rejected, and
its remaining frames are ignored.
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
from hgproto.reactors.intake import CommandIntake, CommandRequest, OpenValue
from hgproto.reactors.plans import Node, Plan, Request, first_of, go_on, text_payload
from hgproto.reactors.reactor import Reactor
from hgproto.runtime.frame import bare
from hgproto.runtime.layout import counted_bytes

if TYPE_CHECKING:
    from enum import IntEnum
    from typing import Literal

    from hgproto.runtime.machine import Row

__all__ = ["CommandReceiver"]

_new_run_command = bare(RunCommand).__next__
_new_start_command = bare(StartCommand).__next__


class CommandReceiver(Reactor[ServerEvent]):
    """Receives what clients send. :class:`hgproto.reactors.server.Server` adds responses."""

    __slots__ = ("_active", "_content", "_over", "_request_states", "_states")

    role = "server"
    peer = "client"
    _intake: CommandIntake

    def __init__(self, *, streaming: bool, **reactor: Any) -> None:
        super().__init__(**reactor)
        self._intake.streaming = streaming
        self._over = ""
        states = self._request_states = self._plans.states
        self._states = self._plans.whole
        active = first_of(
            iter(states.whole & states.awaiting), self._revision, "row for response-begun of a request that is whole"
        )
        self._active = self._states[active]
        self._content = self._revision.kept(Content, lambda: Content(self._revision))

    def _new_intake(self) -> CommandIntake:
        return CommandIntake(self._plans, self.limits)

    def _reply(
        self, request_id: int, message: str, kind: Literal["application", "protocol"], row: Row
    ) -> SendFrames | NoOp:
        """Returns an error-response of the reactor itself to a request."""
        raise NotImplementedError

    @property
    def receiving(self) -> bool:
        """True if any request is partly received."""
        return self._intake.receiving > 0

    def _counters(self) -> dict[str, int]:
        return super()._counters() | {
            "active_requests": len(self._requests) - self._intake.refused,
            "receiving_requests": self._intake.receiving,
            "buffered_bytes": self._intake.buffered,
        }

    # Guards.

    def _ask_capacity(self, request_id: int, request: Request | None, payload: bytes, plan: Plan) -> bool:
        if len(self._requests) - self._intake.refused >= self._intake.most_active:
            self._over = f"more than {counted(self._intake.most_active, 'request')} at a time"
        elif not plan.flags & self._content.name_is_all and self._intake.receiving >= self._intake.most_receiving:
            self._over = f"more than {counted(self._intake.most_receiving, 'partly sent request')} at a time"
        else:
            return True
        return False

    def _ask_receiving_others(self, request_id: int, request: Request | None, payload: bytes, plan: Plan) -> bool:
        return self._intake.receiving > (request is not None and request.state in self._request_states.receiving)

    def _ask_streaming(self, *_: object) -> bool:
        return self._intake.streaming

    def _ask_data_announced(self, request_id: int, request: CommandRequest, payload: bytes, plan: Plan) -> bool:
        return request.announced

    def _ask_value_open(self, request_id: int, request: CommandRequest, payload: bytes, plan: Plan) -> bool:
        return request.value is not None

    def _ask_any_argument(self, request_id: int, request: CommandRequest, payload: bytes, plan: Plan) -> bool:
        return bool(request.args) or request.value is not None

    def _ask_argument(self, request_id: int, request: CommandRequest, payload: bytes, plan: Plan) -> str:
        """Checks an argument and keeps it. Returns ``good``, or the reason why it was rejected."""
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
        if len(args) >= self._intake.most_arguments:
            self._over = f"more than {counted(self._intake.most_arguments, 'argument')}"
            return "over-limit"
        if total > self._intake.longest_value:
            self._over = f"an argument of {counted_bytes(total)}, more than {counted_bytes(self._intake.longest_value)}"
            return "over-limit"
        size = len(payload) - content.size
        request.size += size
        self._intake.buffered += size
        if request.size > self._intake.most_bytes or self._intake.buffered > self._intake.most_buffered:
            return self._over_bytes(request)
        if plan.flags & content.more:
            request.value = OpenValue(name, value, total - len(value))
        else:
            args[name] = value
        return "good"

    def _more_of_value(self, request: CommandRequest, value: OpenValue, payload: bytes, flags: int) -> str:
        last = not flags & self._content.more
        size = len(payload)
        if size > value.left or (last and size < value.left):
            wanted = f"{'' if last else 'at most '}{counted_bytes(value.left)} more of the value"
            at = value.left if size > value.left else 0
            self._fault = RemoteProtocolError("", at, "value", wanted, counted_bytes(size))
            return "value-long" if size > value.left else "value-short"
        request.size += size
        self._intake.buffered += size
        if request.size > self._intake.most_bytes or self._intake.buffered > self._intake.most_buffered:
            return self._over_bytes(request)
        value.data += payload
        value.left -= size
        if last:
            request.args[value.name] = bytes(value.data)
            request.value = None
        return "good"

    def _ask_data(self, request_id: int, request: CommandRequest, payload: bytes, plan: Plan) -> str:
        """Checks data and keeps it. Returns ``good``, or the reason why it was rejected."""
        size = len(payload)
        request.size += size
        self._intake.buffered += size
        if request.size > self._intake.most_bytes or self._intake.buffered > self._intake.most_buffered:
            return self._over_bytes(request)
        request.keep(payload)
        return "good"

    def _over_bytes(self, request: CommandRequest) -> str:
        if request.size > self._intake.most_bytes:
            self._over = f"more than {counted_bytes(self._intake.most_bytes)} in a request"
        else:
            self._over = f"more than {counted_bytes(self._intake.most_buffered)} in all partly sent requests"
        return "over-limit"

    def _ask_last_of_request(self, request_id: int, request: CommandRequest, payload: bytes, plan: Plan) -> bool:
        content = self._content
        if plan.code == content.data:
            return bool(plan.flags & content.last_data)
        return bool(plan.flags & content.last_argument) and not request.announced

    # Outputs of the state machine.

    def _emit_run_command(self, request_id: int, request: CommandRequest | None, payload: bytes, node: Node) -> None:
        active = None if node.to is None else self._states.get(node.to)
        command = _new_start_command() if active is None else _new_run_command()
        command.request_id = request_id
        command.data = None
        if request is None:
            command.args = {}
            if active is not None:
                command.name = text_payload(self._codec, self._content.name, payload)
                self._requests[request_id] = active
            else:
                command.name = self._begin(request_id, payload, node).name
        else:
            command.name = request.name
            command.args = request.args
            if active is not None:
                if request.announced:
                    command.data = bytes(request.data)
                self._intake.receiving -= 1
                self._intake.buffered -= request.size
                self._requests[request_id] = active
            elif node.to is not None:
                self._move(request_id, request, node.to)
        self._append(command)

    def _emit_want_frame(self, request_id: int, request: Request | None, payload: bytes, node: Node) -> None:
        go_on(self, request_id, request, payload, node)
        self._append(WANT_FRAME)

    def _begin(self, request_id: int, payload: bytes, node: Node) -> CommandRequest:
        """Adds a request after its first frame, and returns it."""
        request: CommandRequest = CommandRequest()
        refused = node.to in self._request_states.refused
        name = text_payload(self._codec, self._content.name, payload)
        request.name = "" if refused else name
        request.table = node.table
        request.announced = node.flags & self._content.data_follows != 0
        request.args = {}
        request.size = 0
        request.data = b""
        request.value = None
        self._requests[request_id] = request
        self._intake.receiving += node.to in self._request_states.receiving
        self._intake.refused += refused
        return request

    def _emit_command_data(self, request_id: int, request: CommandRequest, payload: bytes, node: Node) -> None:
        last = node.to in self._request_states.whole
        if node.to is not None and node.to is not request.state:
            self._move(request_id, request, node.to)
        self._append(CommandData(request_id, payload, last))

    def _emit_stream_configured(self, request_id: int, request: Any, payload: bytes, node: Node) -> None:
        self._append(WANT_FRAME)

    def _emit_application_error(self, request_id: int, request: Request | None, payload: bytes, node: Node) -> None:
        if request is None:
            text_payload(self._codec, self._content.name, payload)
            if node.to in self._states:
                self._requests[request_id] = self._states[node.to]
            else:
                go_on(self, request_id, request, payload, node)
        else:
            self._move(request_id, request, self._request_states.initial if node.to is None else node.to)
        # A row can reject a request for another reason than a limit.
        message, self._over = self._over or f"this request is not accepted ({node.row.requirement})", ""
        self._append(self._reply(request_id, message, "application", node.row))

    def _emit_protocol_error(self, request_id: int, request: CommandRequest, row: Row) -> None:
        message = f"expected the whole request, found the end of input ({row.requirement})"
        self._append(self._reply(request_id, message, "protocol", row))

    def _emit_command_cut(self, request_id: int, request: CommandRequest, row: Row) -> None:
        free = row.to is self._request_states.initial
        if free:
            self._emit_protocol_error(request_id, request, row)
        self._append(CommandCut(request_id, not free))

    def _move(self, request_id: int, request: Request, to: IntEnum) -> None:
        before, states = request.state, self._request_states
        if isinstance(request, CommandRequest):
            if before in states.receiving and to not in states.receiving:
                self._intake.receiving -= 1
            if before in states.kept and to not in states.kept:
                self._intake.buffered -= request.size
                request.size = 0
            if to in states.refused:
                request.args, request.data, request.value = {}, b"", None
                self._intake.refused += 1
        if before in states.refused:
            self._intake.refused -= 1
        if to is states.initial:
            del self._requests[request_id]
        elif to in self._states:
            self._requests[request_id] = self._states[to]
        else:
            request.table = self._tables[to]
