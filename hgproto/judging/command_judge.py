"""The judge of frames from a client; see :mod:`hgproto.judging.judge`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hgproto.errors import RemoteProtocolError
from hgproto.judging.judge import Judge
from hgproto.judging.rules import Remark
from hgproto.reactors.command_receiver import CommandReceiver
from hgproto.reactors.plans import Plan, placed, text_payload
from hgproto.runtime.machine import Event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from hgproto.judging.finding import Finding
    from hgproto.reactors.limits import Limits
    from hgproto.reactors.plans import Node
    from hgproto.runtime.definition import Definition
    from hgproto.runtime.machine import Row, States
    from hgproto.streams.encodings import Encodings

__all__ = ["CommandJudge"]

_CLOSING = "connection-error"
"""The output of the client's machine for a server's error that ends the connection."""


class _Requests:
    """Lookups in the request machines.

    ``answered_early``: the state of a request that was answered before it was complete. ``fresh_id``: the only
    requirement for rejecting a command name that does not depend on its header. ``closes``: the requirement to close
    the connection after an error of the server.
    """

    def __init__(self, revision: Definition, command: int, states: States) -> None:
        rows = revision.machine("request", "server").rows
        sent = {row.source: row.to for row in rows if row.event is Event.RESPONSE_SENT}
        # None if no request is rejected before it is complete.
        self.answered_early = next((to for one, to in sent.items() if one in states.refused and to is not None), None)
        self.fresh_id = next((row.error for row in rows if row.frames == (command,) and row.error is not None), None)
        rows = revision.machine("request", "client").rows
        self.closes = next((str(row.requirement) for row in rows if row.emit == _CLOSING), None)


class CommandJudge(Judge, CommandReceiver):
    """The judge of frames from a client. The arguments are those of :class:`hgproto.reactors.server.Server`."""

    side = "client"

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        encodings: Encodings | None = None,
        reopen: Literal["error", "restart"] = "error",
        revision: Definition | None = None,
    ) -> None:
        super().__init__(streaming=False, limits=limits, encodings=encodings, reopen=reopen, revision=revision)
        self._start()
        revision = self._revision
        self._ids = revision.request_ids
        self._told = revision.kept(_Requests, lambda: _Requests(revision, self._content.name, self._request_states))
        self._begun: dict[int, int] = {}
        self._wrapped = False

    def feed(self, data: bytes) -> Iterator[Finding]:
        """Yields the findings about the frames that are complete with ``data``, in wire order."""
        if data and self.link is not None and self.link.closed and not self.over:
            self._end_after_error(data)
        yield from super().feed(data)

    def _end_after_error(self, data: bytes) -> None:
        """Reports that the client has not closed the connection, at the first byte after the server's error."""
        self.over = True
        if self._told.closes is None:
            return
        revision, code = self._revision, self._revision.code_of("error")
        fatal = self._codec.FLAG_NAMES[code].get(revision.flag(code, "fatal"), "no flag")
        expected = f"no more frames after the server's {self._codec.TYPE_NAMES[code]} with {fatal}"
        error = RemoteProtocolError(self._told.closes, None, "", expected, "more")
        finding = self._places.of_rest(error, data[:1], self.size, self.frames)
        finding.refused = False
        self._add(finding)

    def answered(self, request_id: int) -> None:
        """Records that the other direction has the complete response to a request."""
        request = self._requests.get(request_id)
        if request is None:
            return
        begun = self._row(request.state, Event.RESPONSE_BEGUN)
        state = request.state if begun is None or begun.to is None else begun.to
        sent = self._row(state, Event.RESPONSE_SENT)
        if sent is not None and sent.to is not None:
            self._move(request_id, request, sent.to)
        elif state in self._request_states.kept:
            # A client that gets the response early may send the rest of the request, which is ignored.
            early = self._told.answered_early
            self._move(request_id, request, self._request_states.initial if early is None else early)
            if early is None:
                self._lost.add(request_id)

    def forget(self, request_id: int) -> None:
        """Records that the other direction has lost the response to a request, so its state is unknown."""
        request = self._requests.get(request_id)
        if request is not None and request is self._active:
            self._move(request_id, request, self._request_states.initial)
            self._lost.add(request_id)

    # Outputs of the state machine.

    def _emit_run_command(self, request_id: int, request: Any, payload: bytes, node: Node) -> None:
        if request is None:
            text_payload(self._codec, self._content.name, payload)
            self._issue(request_id)
        else:
            self._intake.receiving -= 1
            self._intake.buffered -= request.size
            del self._begun[request_id]
        if self.link is not None:
            self._requests[request_id] = self._active
        elif request is not None:
            # A judge without the other direction treats a request as answered immediately.
            del self._requests[request_id]

    def _begin(self, request_id: int, payload: bytes, node: Node) -> Any:
        request = super()._begin(request_id, payload, node)
        self._begun[request_id] = self.frames - 1
        self._issue(request_id)
        return request

    def _emit_application_error(self, request_id: int, request: Any, payload: bytes, node: Node) -> None:
        super()._emit_application_error(request_id, request, payload, node)
        if request is None and node.to in self._states:
            self._issue(request_id)
        self.answered(request_id)

    def _reply(self, request_id: int | None, message: str, kind: str, row: Row) -> Any:
        expected = "a request within the receiver's limits"
        error = RemoteProtocolError(str(row.requirement), self._codec.FIELDS["type"][0], "type", expected, message)
        self._remarks.append((Remark(error), True, False))

    def _ask_data(self, request_id: int, request: Any, payload: bytes, plan: Plan) -> str:
        # As in the receiver, but without keeping the data.
        size = len(payload)
        request.size += size
        self._intake.buffered += size
        if request.size > self._intake.most_bytes or self._intake.buffered > self._intake.most_buffered:
            return self._over_bytes(request)
        return "good"

    def _move(self, request_id: int, request: Any, to: Any) -> None:
        super()._move(request_id, request, to)
        if self._begun and to not in self._request_states.kept:
            self._begun.pop(request_id, None)

    def _issue(self, request_id: int) -> None:
        """Records a new request, and checks that its id is the next one."""
        expected = self._next_id
        if request_id != expected and expected is not None and not self._skips(expected, request_id):
            order, at = str(self._revision.roles.REQUEST_ORDER), self._codec.FIELDS["request_id"][0]
            error = RemoteProtocolError(order, at, "request_id", str(expected), str(request_id))
            self._remarks.append((Remark(error), False, False))
        after = request_id + self._ids.step
        self._wrapped = self._wrapped or after >= self._ids.stop
        self._next_id = None if self._revision.roles.REQUEST_ORDER is None else after % self._ids.stop
        if self._lost:
            self._lost.discard(request_id)
        if self.link is not None:
            self.link.issued(request_id)

    def _skips(self, expected: int, request_id: int) -> bool:
        """Returns True if the skipped ids may still be in use, after ids have wrapped around."""
        if not self._wrapped:
            return False
        count, step = self._ids.stop, self._ids.step
        skipped = (request_id - expected) % count // step
        if self.link is None:
            return skipped <= self._intake.most_active
        return all((expected + step * index) % count in self._requests for index in range(skipped))

    def _is_continued(self, kind: int, request_id: int) -> bool:
        request = self._requests.get(request_id)
        return (
            self._revision.type_of(kind) == self._content.argument_code and getattr(request, "value", None) is not None
        )

    # Continuing after a fault.

    def _lose_payload(self, request_id: int, kind: int) -> None:
        if self._revision.type_of(kind) == self._content.name:
            # The header shows that there is a request.
            self._issue(request_id)
        self._lose(request_id)

    def _refuse_request(self, request_id: int, request: Any, payload: bytes, node: Node) -> None:
        try:
            super()._refuse_request(request_id, request, payload, node)
        except RemoteProtocolError as error:
            if error.requirement != self._told.fresh_id:
                raise
            self._remarks.append((Remark(error), True, True))
        # The new request replaces the one with that id. Its id is also out of order, which needs no second finding.
        self._next_id = None
        self._move(request_id, request, self._request_states.initial)
        codec, command, initial = self._codec, self._content.name, self._request_states.initial
        flags = [name for mask, name in codec.FLAG_NAMES[command].items() if node.flags & mask]
        outcome = self.machine.outcome(initial, command, flags, self._plans.guards)
        frame = codec.make_frame(request_id, 0, 0, command, node.flags, b"")
        anew = self._node(outcome, self._tables[initial], frame)
        plan = Plan(anew, None, frame, self._revision)
        while anew.ask is not None:
            anew = anew.outcomes[anew.ask(self, request_id, None, payload, plan)]
        anew.act(self, request_id, None, payload, anew)

    def _lose_frame(
        self, fault: RemoteProtocolError, kind: int, request_id: int, stream_id: int, payload: bytes
    ) -> None:
        request = self._requests.get(request_id)
        if request_id not in self._lost:
            self._find(placed(self._revision, fault, kind), kind, request_id, stream_id, payload)
        if request is not None and request.state in self._request_states.kept:
            self._lose(request_id)
        else:
            self._lost.add(request_id)

    def _lose(self, request_id: int) -> None:
        request = self._requests.get(request_id)
        if request is not None:
            self._move(request_id, request, self._request_states.initial)
        if request_id in self._ids:
            self._lost.add(request_id)
        if self.link is not None:
            self.link.forget(request_id)

    def _unfinished(self, request_id: int, request: Any) -> tuple[str, str]:
        begun = self._begun[request_id]
        return f"the rest of request {request_id}, which frame {begun} began", "the end of input"
