"""The receiving half of the client's reactor, which decodes responses."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from hgproto.errors import DecodingError, RemoteProtocolError
from hgproto.reactors.events import (
    ClientEvent,
    Error,
    PeerError,
    ProgressUpdate,
    RequestError,
    ResponseData,
    TextMessage,
)
from hgproto.reactors.plans import Closed, Node, Table, first_of, go_on, text_payload
from hgproto.reactors.plans import Request as OfId
from hgproto.reactors.reactor import Reactor
from hgproto.runtime.deferred import Later
from hgproto.runtime.frame import bare
from hgproto.runtime.layout import counted_bytes
from hgproto.runtime.machine import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from enum import IntEnum

    from hgproto.reactors.plans import Part
    from hgproto.runtime.frame import Frame
    from hgproto.runtime.machine import Row

__all__ = ["Request", "ResponseReceiver"]

SMALL_PAYLOAD = 256
"""The most bytes of a payload whose decoded value an event keeps. Larger payloads are checked, and decoded on access."""
_bare_response_data = bare(ResponseData)


def _part(payload: bytes, make: Callable[[], Any]) -> Any:
    """Returns the decoded value of a payload, or a placeholder that decodes it on access. Raises as ``make`` does."""
    value = make()
    return value if len(payload) <= SMALL_PAYLOAD else Later(make)


class Request(OfId):
    """A request whose response is not complete."""

    __slots__ = ("decoded", "received")

    def __init__(self, table: Table) -> None:
        self.table = table
        self.received = self.decoded = 0


class ResponseReceiver(Reactor[ClientEvent]):
    """Receives what servers send. :class:`hgproto.reactors.client.Client` adds commands."""

    __slots__ = ("_closing", "_loss", "_more")

    role = "client"
    peer = "server"

    def __init__(self, **reactor: Any) -> None:
        super().__init__(**reactor)
        # The reason why no request can be completed; None while the connection works.
        self._loss: RemoteProtocolError | None = None
        # True after an error of the server that closes the connection, while only such errors follow.
        self._closing = False
        self._more, _ = self._revision.data_types[self._revision.code_of("response")]

    @property
    def active(self) -> tuple[int, ...]:
        """The requests whose response is not complete, in the order in which they were issued."""
        waiting = self._plans.states.receiving
        return tuple(key for key, request in self._requests.items() if request.state in waiting)

    @property
    def unfinished(self) -> tuple[int, ...]:
        """The requests whose data could not be sent completely. They count as active until the end of input."""
        unfinished = self._plans.states.unfinished
        return tuple(key for key, request in self._requests.items() if request.state in unfinished)

    def _move(self, request_id: int, request: Request | None, to: IntEnum) -> None:
        if to is self._plans.states.initial:
            self._requests.pop(request_id, None)
        elif request is None:
            self._requests[request_id] = Request(self._tables[to])
        else:
            request.table = self._tables[to]

    def _begin(self, request_id: int, payload: bytes, node: Node) -> None:
        self._requests[request_id] = Request(node.table)

    def _decode(self, node: Node, payload: bytes) -> Any:
        """Decodes a payload. Raises :class:`RemoteProtocolError`."""
        return self._decoder(node, payload)()

    def _decoder(self, node: Node, payload: bytes) -> Callable[[], Any]:
        frame = self._codec.make_frame(0, 0, 0, node.code, node.flags, payload)
        return partial(self._codec.decode_payload, frame, False, self.limits.payload_items)

    # Events of the state machine.

    def _emit_response_data(self, request_id: int, request: Request, payload: bytes, node: Node) -> None:
        request.received += len(payload)
        last = not node.flags & self._more
        if node.to is not None and node.to is not request.state:
            self._move(request_id, request, node.to)
        for event in _bare_response_data:
            event.request_id = request_id
            event.data = payload
            event.last = last
            self._append(event)
            break

    def _emit_text(self, request_id: int, request: Request | None, payload: bytes, node: Node) -> None:
        decode = self._decoder(node, payload)
        self._append(TextMessage(request_id, _part(payload, lambda: decode().atoms)))
        go_on(self, request_id, request, payload, node)

    def _emit_progress(self, request_id: int, request: Request | None, payload: bytes, node: Node) -> None:
        self._append(ProgressUpdate(request_id, _part(payload, self._decoder(node, payload))))
        go_on(self, request_id, request, payload, node)

    def _emit_request_error(self, request_id: int, request: Request, payload: bytes, node: Node) -> None:
        message = text_payload(self._codec, node.code, payload)
        if node.to is not None:
            self._move(request_id, request, node.to)
        self._append(RequestError(request_id, message, request.received))

    def _emit_drop(self, request_id: int, request: Request | None, payload: bytes, node: Node) -> None:
        # A payload must be valid even if no event shows it.
        self._decode(node, payload)
        go_on(self, request_id, request, payload, node)

    def _emit_connection_error(self, request_id: int, request: Request | None, payload: bytes, node: Node) -> None:
        message = text_payload(self._codec, node.code, payload)
        self._loss = RemoteProtocolError(str(node.row.requirement), None, "", "an open connection", message)
        self._lose_all(message, str(node.row.requirement))
        self._append(PeerError(request_id, message))
        self._closing = True
        self._break()
        raise Closed

    def _emit_request_lost(self, request_id: int, request: Request, row: Row) -> None:
        message = "the input ended before the response was complete"
        self._append(RequestError(request_id, message, request.received, row.requirement))

    def _end(self) -> None:
        expected, found = "the whole response", "the end of the server's output"
        self._loss = RemoteProtocolError(self._incomplete, None, "", expected, found)

    @property
    def _incomplete(self) -> str:
        """The requirement that the end of input violates before the end of a response."""
        states = self._plans.states.receiving
        rows = (self._row(state, Event.END_OF_INPUT) for state in sorted(states))
        return first_of(
            (str(row.requirement) for row in rows if row is not None), self._revision, "row for end-of-input"
        )

    def _count_decoded(self, request: Request | None, size: int) -> None:
        if request is None:
            return
        request.decoded += size
        if request.decoded > self.limits.decoded_response:
            expected = f"at most {counted_bytes(self.limits.decoded_response)} in a response when decoded"
            raise DecodingError("too-large", 0, expected, counted_bytes(request.decoded))

    def _drop(self, parts: Iterable[Part]) -> None:
        # A server that closes the connection sends an error for each request that was cut off.
        of, error = self._revision, self._revision.code_of("error")
        wanted = error, of.flag(error, "fatal")
        try:
            self._closing = all((of.type_of(kind), of.flags_of(kind)) == wanted for kind, *_ in parts)
        except RemoteProtocolError:
            self._closing = False

    def _after_error(self, data: bytes | Frame = b"") -> list[Any]:
        if self._closing:
            codec = self._codec
            if not isinstance(data, bytes):
                self._drop([(codec.kind_of(data), 0, 0, b"", 0)])
            elif self._pieces.take(data):
                self._drop(codec.read_parts(self._pieces, self.limits.max_payload))
        if not self._closing:
            return super()._after_error()
        events, self._due = self._due, []
        return events

    def _failed(self, error: RemoteProtocolError, frame: Frame | None) -> None:
        self._loss = error
        self._lose_all(str(error), error.requirement)
        self._append(Error(error, frame))

    def _lose_all(self, message: str, requirement: str) -> None:
        """Fails every active request because the connection has failed."""
        for request_id in self.active:
            received = self._requests[request_id].received
            self._append(RequestError(request_id, message, received, requirement))
        self._requests.clear()
