"""The judge of frames from a server; see :mod:`hgproto.judging.judge`."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from hgproto.errors import RemoteProtocolError, shown
from hgproto.judging.judge import Judge
from hgproto.judging.rules import Tally, progress_remarks, text_remarks
from hgproto.reactors.plans import Closed, Request, first_of, go_on, placed, text_payload
from hgproto.reactors.response_receiver import ResponseReceiver
from hgproto.runtime.layout import counted_bytes
from hgproto.runtime.machine import Event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from enum import IntEnum
    from typing import Literal

    from hgproto.reactors.limits import Limits
    from hgproto.reactors.plans import Node, Table
    from hgproto.runtime.definition import Definition
    from hgproto.streams.encodings import Encodings

__all__ = ["TOPICS", "ResponseJudge"]

TOPICS = 1024
"""The most progress topics that a judge tracks at a time. It does not check the ends of other topics."""


_LONGEST_TOPIC = 64
"""The most characters of a topic that are kept. A digest identifies longer ones, because a topic may have a megabyte."""


def _kept(topic: str) -> str:
    """Returns the part of a topic that is kept."""
    if len(topic) <= _LONGEST_TOPIC:
        return topic
    return f"{topic[:_LONGEST_TOPIC]}... {blake2b(topic.encode(), digest_size=8).hexdigest()}"


class _Response(Request):
    """An incomplete response. ``received`` and ``decoded``: numbers of bytes. ``topics``: those that have not ended."""

    __slots__ = ("decoded", "received", "topics")

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self.received = 0
        self.decoded = 0
        self.topics: set[str] | None = None


class ResponseJudge(Judge, ResponseReceiver):
    """The judge of frames from a server. The arguments are those of :class:`hgproto.reactors.client.Client`."""

    side = "server"

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        encodings: Encodings | None = None,
        reopen: Literal["error", "restart"] = "error",
        revision: Definition | None = None,
    ) -> None:
        super().__init__(limits=limits, encodings=encodings, reopen=reopen, revision=revision)
        self._start()
        revision = self._revision
        roles, states = revision.roles.FRAMES, self._plans.states
        self._response, self._error = revision.code_of("response"), revision.code_of("error")
        self._answers = frozenset(roles[role] for role in ("response", "error", "text", "progress") if role in roles)
        _, self._last = revision.data_types[self._response]
        # The flag of an error that ends the connection.
        self._fatal = revision.flag(self._error, "fatal")
        self._ids = revision.request_ids
        # The number of answered ids after which one may be in use again: half of the client's ids.
        self._wrapped = len(self._ids) // 2
        self._progress = self._codec.TYPE_NAMES.get(roles.get("progress", -1), "")
        self._topic_end: str | None = revision.roles.CHECKS.get("topic-end")
        # A request waits once it was sent, or as soon as it was issued.
        rows = [self._row(state, Event.REQUEST_SENT) for state in sorted(states.receiving)]
        rows.append(self._row(states.initial, Event.REQUEST_ISSUED))
        waiting = (row.to for row in rows if row is not None and row.to is not None)
        self._waiting = self._tables[first_of(waiting, revision, "row for request-issued")]
        # The frames that a waiting request accepts.
        taken = (row.frames for row in self.machine.rows if row.source is self._waiting.state and row.error is None)
        self._answers |= frozenset(code for codes in taken for code in codes)
        self._answered: set[int] = set()
        self._topics = 0

    def issued(self, request_id: int) -> None:
        """Records that the other direction has issued a request."""
        if request_id not in self._requests:
            self._requests[request_id] = _Response(self._waiting)
        self._lost.discard(request_id)

    def forget(self, request_id: int) -> None:
        """Records that the other direction has lost a request, so that any response to it is accepted."""
        if self._requests.pop(request_id, None) is not None or request_id in self._ids:
            self._lost.add(request_id)

    def _appear(self, request_id: int, kind: int) -> Any:
        # Without the other direction, a request counts as issued when it is answered. Until ids have wrapped around,
        # another response with the same id counts as late, not as the response to a new request.
        code = self._revision.type_of(kind)
        if request_id not in self._ids or code not in self._answers or request_id in self._lost:
            return None
        if self._is_fatal(kind):
            return None
        if request_id in self._answered:
            if len(self._answered) < self._wrapped:
                return None
            self._answered.clear()
        request = self._requests[request_id] = _Response(self._waiting)
        return request

    # Outputs of the state machine.

    def _emit_response_data(self, request_id: int, request: Any, payload: bytes, node: Node) -> None:
        request.received += len(payload)
        go_on(self, request_id, request, payload, node)

    def _emit_text(self, request_id: int, request: Any, payload: bytes, node: Node) -> None:
        atoms = self._decode(node, payload).atoms
        self._remarks += ((remark, False, True) for remark in text_remarks(atoms, payload, self._revision))
        go_on(self, request_id, request, payload, node)

    def _emit_progress(self, request_id: int, request: Any, payload: bytes, node: Node) -> None:
        progress = self._decode(node, payload)
        self._remarks += ((remark, False, True) for remark in progress_remarks(progress, payload, self._revision))
        if self._topic_end is not None and request is not None:
            self._follow_topic(request, _kept(progress.topic), ends=progress.pos == -1)
        go_on(self, request_id, request, payload, node)

    def _follow_topic(self, request: _Response, topic: str, *, ends: bool) -> None:
        if request.topics is None:
            request.topics = set()
        if ends:
            self._topics -= topic in request.topics
            request.topics.discard(topic)
        elif topic not in request.topics and self._topics < TOPICS:
            self._topics += 1
            request.topics.add(topic)

    def _emit_request_error(self, request_id: int, request: Any, payload: bytes, node: Node) -> None:
        text_payload(self._codec, node.code, payload)
        self._answer(request_id, request)

    def _emit_connection_error(self, request_id: int, request: Any, payload: bytes, node: Node) -> None:
        text_payload(self._codec, node.code, payload)
        raise Closed

    def _begin(self, request_id: int, payload: bytes, node: Node) -> None:
        self._requests[request_id] = _Response(node.table)

    def _move(self, request_id: int, request: Any, to: IntEnum) -> None:
        if to is self._plans.states.initial:
            self._answer(request_id, request)
        else:
            request.table = self._tables[to]

    def _answer(self, request_id: int, request: _Response) -> None:
        """Ends a request whose response is complete."""
        del self._requests[request_id]
        if request.topics:
            self._topics -= len(request.topics)
            tally = Tally(len(request.topics))
            for topic in sorted(request.topics):
                if not tally.left:
                    break
                expected = f"a {self._progress} frame with pos -1 for the topic {shown(topic)} before the response ends"
                error = RemoteProtocolError(str(self._topic_end), 0, "", expected, "the end of the response")
                self._remarks.append((tally.remark(error), False, False))
        self._is_answered_now(request_id)

    def _is_answered_now(self, request_id: int) -> None:
        if self.link is not None and not self.link.over:
            self.link.answered(request_id)
        elif request_id in self._ids:
            self._answered.add(request_id)

    # Continuing after a fault.

    def _may_follow(self, kind: int, request_id: int) -> bool:
        # At the end of input, a server sends an error for each request that was cut off.
        return self._is_fatal(kind) and request_id in self._ids

    def _is_fatal(self, kind: int) -> bool:
        """Returns True for an error that ends the connection."""
        of = self._revision
        return of.type_of(kind) == self._error and bool(of.flags_of(kind) & self._fatal)

    def _ends_response(self, kind: int) -> bool:
        """Returns True if a frame is the last of a response."""
        code = self._revision.type_of(kind)
        return code == self._error or (code == self._response and bool(self._revision.flags_of(kind) & self._last))

    def _lose_payload(self, request_id: int, kind: int) -> None:
        if self._is_fatal(kind):
            self.closed = True
        elif self._ends_response(kind):
            request = self._requests.get(request_id)
            if request is not None:
                self._answer(request_id, request)

    def _lose_frame(
        self, fault: RemoteProtocolError, kind: int, request_id: int, stream_id: int, payload: bytes
    ) -> None:
        if request_id not in self._lost:
            self._find(placed(self._revision, fault, kind), kind, request_id, stream_id, payload)
        elif not kind & self._revision.encoded:
            # The payload must be well formed even if its request is unknown.
            try:
                frame = self._codec.frame_of(kind, request_id, stream_id, payload)
                self._codec.decode_payload(frame, max_items=self.limits.payload_items)
            except RemoteProtocolError as error:
                self._find(error.moved(self._codec.HEADER_BYTES), kind, request_id, stream_id, payload)
        if self._ends_response(kind):
            self._lost.discard(request_id)
            self._is_answered_now(request_id)
        else:
            self._lost.add(request_id)

    def _lose(self, request_id: int) -> None:
        request = self._requests.pop(request_id, None)
        if request is not None:
            self._topics -= len(request.topics or ())
        if request_id in self._ids:
            self._lost.add(request_id)
        if self.link is not None:
            self.link.forget(request_id)

    def _end_requests(self) -> Iterator[None]:
        yield from super()._end_requests()
        for request_id, request in sorted(self._requests.items()):
            for topic in sorted(request.topics or ()):
                expected = f"a {self._progress} frame with pos -1 for the topic {shown(topic)} of request {request_id}"
                error = RemoteProtocolError(str(self._topic_end), None, "", expected, "the end of input")
                self._add(self._places.of_end(error, self.size, f"requests[{request_id}]", refused=False))
                yield

    def _unfinished(self, request_id: int, request: Any) -> tuple[str, str]:
        return (
            f"the rest of the response to request {request_id}",
            f"the end of input after {counted_bytes(request.received)}",
        )
