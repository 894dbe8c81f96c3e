"""The judge of what a client sends; see :mod:`hgproto.judging.judge`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hgproto.errors import RemoteProtocolError
from hgproto.judging.judge import Judge
from hgproto.judging.rules import Remark
from hgproto.reactors.command_receiver import CommandReceiver
from hgproto.reactors.plans import Plan, placed, text_payload
from hgproto.revisions.framing_0002 import codec, machines
from hgproto.runtime.layout import place_of
from hgproto.runtime.machine import Event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from hgproto.judging.finding import Finding
    from hgproto.reactors.limits import Limits
    from hgproto.reactors.plans import Node
    from hgproto.runtime.machine import Row
    from hgproto.streams.encodings import Encodings

__all__ = ["CommandJudge"]

State = machines.ServerRequestState
_RECEIVING = frozenset({State.RECEIVING_ARGUMENTS, State.RECEIVING_DATA})
_NAME, _ARGUMENT = int(codec.FrameType.COMMAND_NAME), int(codec.FrameType.COMMAND_ARGUMENT)
_FRESH_ID = next(row.error for row in machines.SERVER_REQUEST.rows if row.frames == (_NAME,) and row.error is not None)
"""The one reason to refuse a command's name that its header does not have."""
_REQUEST_ID, _TYPE = place_of(codec.FRAME, "request_id"), place_of(codec.FRAME, "type_flags")
_IDS = 1 << codec.FIELD_BITS["request_id"][0]


class CommandJudge(Judge, CommandReceiver):
    """Judges what a client sends. Arguments as of :class:`hgproto.reactors.server.Server`."""

    side = "client"

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        encodings: Encodings | None = None,
        reopen: Literal["error", "restart"] = "error",
    ) -> None:
        super().__init__(streaming=False, limits=limits, encodings=encodings, reopen=reopen)
        self._start()
        self._begun: dict[int, int] = {}
        self._wrapped = False

    def feed(self, data: bytes) -> Iterator[Finding]:
        """Yields what is wrong with the frames that ``data`` makes whole, in wire order, as it is found."""
        if data and self.link is not None and self.link.closed and not self.over:
            self._end_after_error(data)
        yield from super().feed(data)

    def _end_after_error(self, data: bytes) -> None:
        """Says that the client should have closed the connection, by the first byte after the server's error."""
        self.over = True
        expected = "no more frames after the server's error-response with protocol"
        error = RemoteProtocolError("error-response.closes", None, "", expected, "more")
        finding = self._places.of_rest(error, data[:1], self.octets, self.frames)
        finding.refused = False
        self._add(finding)

    def answered(self, request_id: int) -> None:
        """The other direction has the whole response to a request."""
        request = self._requests.get(request_id)
        if request is not None and request.state is not State.REFUSED:
            # Who is answered before all was sent may send the rest, and nobody looks at it.
            self._move(request_id, request, State.NONE if request.state is State.ACTIVE else State.REFUSED)

    def forget(self, request_id: int) -> None:
        """The other direction has lost the response to a request: whether it is answered is not known."""
        request = self._requests.get(request_id)
        if request is not None and request.state is State.ACTIVE:
            self._move(request_id, request, State.NONE)
            self._lost.add(request_id)

    # What the table emits.

    def _emit_run_command(self, request_id: int, request: Any, payload: bytes, node: Node) -> None:
        if request is None:
            text_payload(codec, _NAME, payload)
            self._issue(request_id)
        else:
            self._receiving -= 1
            self._buffered -= request.octets
            del self._begun[request_id]
        if self.link is not None:
            self._requests[request_id] = self._active
        elif request is not None:
            # Alone, a request is taken for answered at once.
            del self._requests[request_id]

    def _begin(self, request_id: int, name: str, node: Node) -> None:
        super()._begin(request_id, name, node)
        self._begun[request_id] = self.frames - 1
        self._issue(request_id)

    def _emit_application_error(self, request_id: int, request: Any, payload: bytes, node: Node) -> None:
        super()._emit_application_error(request_id, request, payload, node)
        if request is None and node.to is not State.REFUSING:
            self._issue(request_id)
        refused = self._requests[request_id]
        row = self._row(refused.state, Event.RESPONSE_SENT)
        if row is not None and row.to is not None:
            self._move(request_id, refused, row.to)

    def _reply(self, request_id: int | None, message: str, kind: str, row: Row) -> Any:
        expected = "what the receiver's limits allow"
        error = RemoteProtocolError(str(row.requirement), _TYPE, "type", expected, message)
        self._remarks.append((Remark(error), True, False))

    def _ask_data(self, request_id: int, request: Any, payload: bytes, plan: Plan) -> str:
        # As the receiver does, but without keeping the data.
        size = len(payload)
        request.octets += size
        self._buffered += size
        if request.octets > self._most_octets or self._buffered > self._most_buffered:
            return self._over_octets(request)
        return "good"

    def _move(self, request_id: int, request: Any, to: Any) -> None:
        super()._move(request_id, request, to)
        if self._begun and to not in _RECEIVING:
            self._begun.pop(request_id, None)

    def _issue(self, request_id: int) -> None:
        """A request was issued: says whether it was its id's turn."""
        expected = self._next_id
        if request_id != expected and expected is not None and not self._skips(expected, request_id):
            error = RemoteProtocolError("request-id.order", _REQUEST_ID, "request_id", str(expected), str(request_id))
            self._remarks.append((Remark(error), False, False))
        self._wrapped = self._wrapped or request_id + 2 >= _IDS
        self._next_id = (request_id + 2) % _IDS
        if self._lost:
            self._lost.discard(request_id)
        if self.link is not None:
            self.link.issued(request_id)

    def _skips(self, expected: int, request_id: int) -> bool:
        """Whether the ids between may be in use still, after ids have wrapped around."""
        if not self._wrapped:
            return False
        skipped = (request_id - expected) % _IDS // 2
        if self.link is None:
            return skipped <= self._most_active
        return all((expected + 2 * index) % _IDS in self._requests for index in range(skipped))

    def _is_continued(self, kind: int, request_id: int) -> bool:
        request = self._requests.get(request_id)
        return kind >> 12 == _ARGUMENT and getattr(request, "value", None) is not None

    # What comes after a fault.

    def _lose_payload(self, request_id: int, kind: int) -> None:
        if kind >> 12 == _NAME:
            # That there is a request is known.
            self._issue(request_id)
        self._lose(request_id)

    def _refuse_request(self, request_id: int, request: Any, payload: bytes, node: Node) -> None:
        try:
            super()._refuse_request(request_id, request, payload, node)
        except RemoteProtocolError as error:
            if error.requirement != _FRESH_ID:
                raise
            self._remarks.append((Remark(error), True, True))
        # The request of that id is given up for the new one. It was not that id's turn either, which goes without saying.
        self._next_id = None
        self._move(request_id, request, State.NONE)
        flags = [name for mask, name in codec.FLAG_NAMES[_NAME].items() if node.flags & mask]
        outcome = self.machine.outcome(State.NONE, _NAME, flags, machines.GUARDS)
        frame = codec.make_frame(request_id, 0, 0, _NAME, node.flags, b"")
        anew = self._node(outcome, self._tables[State.NONE], frame)
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
        if request is not None and request.state in _RECEIVING:
            self._lose(request_id)
        else:
            self._lost.add(request_id)

    def _lose(self, request_id: int) -> None:
        request = self._requests.get(request_id)
        if request is not None:
            self._move(request_id, request, State.NONE)
        if request_id & 1:
            self._lost.add(request_id)
        if self.link is not None:
            self.link.forget(request_id)

    def _unfinished(self, request_id: int, request: Any) -> tuple[str, str]:
        begun = self._begun[request_id]
        return f"the rest of request {request_id}, which frame {begun} began", "the end of input"
