"""The client's reactor (section 1.6): commands into frames, responses out of frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hgproto import build
from hgproto.errors import LocalProtocolError, RemoteProtocolError
from hgproto.events import (
    Error,
    NoOp,
    PeerError,
    ProgressUpdate,
    RequestError,
    ResponseData,
    SendFrames,
    TextMessage,
)
from hgproto.framing_0002 import codec, machines
from hgproto.ids import Ids
from hgproto.layout import octets
from hgproto.machine import Event
from hgproto.outputs import Send
from hgproto.plans import Closed, Node, Request, Table, text_payload
from hgproto.reactor import Reactor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from enum import IntEnum
    from typing import BinaryIO, Literal

    from hgproto.encodings import Encodings
    from hgproto.frame import Frame
    from hgproto.limits import Limits
    from hgproto.machine import Row
    from hgproto.outputs import Outputs
    from hgproto.streams import OutputStream

__all__ = ["Client"]

State = machines.ClientRequestState
_MORE = int(codec.BytesResponseFlag.CONTINUATION)
_DATA = int(codec.FrameType.COMMAND_DATA)
_DATA_EOS = int(codec.CommandDataFlag.EOS)


class _Request(Request):
    """A request whose response is not complete."""

    __slots__ = ("decoded", "received")

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self.received = 0
        self.decoded = 0


class Client(Reactor):
    """The client's reactor: makes the frames of commands, and told what the server sends, says what it means.

    What ``receive_data``, ``receive_frame`` and ``receive_end`` give: :class:`ResponseData`, :class:`TextMessage`,
    :class:`ProgressUpdate`, :class:`RequestError`, :class:`PeerError`, :class:`Error`, and at the end
    :class:`StreamLeftOpen`.

    ``limits``: see :class:`hgproto.limits.Limits`; ``decoded_response`` bounds what the encoded payloads of one response may
    grow to. ``encodings``: the profiles that the server may use. ``encoding``: the profile of our own streams, which the
    server has to know; None for streams without one. ``streams``: how many streams we send on, from 1 in steps of two.
    ``buffered``: hold commands back until :meth:`flush`, as half duplex transports need. ``reopen`` and ``flush``: as of
    :class:`hgproto.server.Server`.
    """

    __slots__ = ("_buffered", "_held", "_ids")

    role = "client"
    peer = "server"
    machine = machines.CLIENT_REQUEST

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        encodings: Encodings | None = None,
        encoding: str | None = None,
        streams: int = 1,
        buffered: bool = False,
        reopen: Literal["error", "restart"] = "error",
        flush: Literal["response", "frame"] = "response",
    ) -> None:
        super().__init__(
            limits=limits,
            encodings=encodings,
            encoding=encoding,
            streams=streams,
            first_stream=1,
            reopen=reopen,
            flush=flush,
        )
        self._buffered = buffered
        self._held: list[SendFrames] = []
        self._ids = Ids(1, 1 << codec.FIELD_BITS["request_id"][0], "request-id.order")

    @property
    def active(self) -> tuple[int, ...]:
        """The requests whose response is not complete, in the order in which they were issued."""
        return tuple(key for key, request in self._requests.items() if request.state is not State.ANSWERED)

    # Frames out.

    def issue(
        self,
        name: str,
        args: Mapping[str, bytes] | None = None,
        data: bytes | BinaryIO | None = None,
        *,
        stream_id: int | None = None,
        plain: bool = False,
        end: bool = False,
    ) -> SendFrames | NoOp:
        """A command; its ``request_id`` is in what this gives.

        ``name``, ``args``, ``data``: as of :func:`hgproto.build.command`. ``plain``: the data is compressed already.
        ``end``: close the stream afterwards; :meth:`flush` does so by itself. Raises :class:`LocalProtocolError` for what
        cannot be said, when all ids are taken, when more requests would be active than ``limits.active_requests``, and
        after an error.
        """
        if len(self._requests) >= self.limits.active_requests:
            most = self.limits.active_requests
            expected = f"at most {most} requests that wait for their response"
            raise LocalProtocolError("request.limits", None, "", expected, f"{len(self._requests)} already")
        stream = self._outputs.choose(None, stream_id)
        request_id = self._ids.take(self._requests)
        frames = build.command(request_id, stream.stream_id, name, args, data, max_payload=stream.longest_last)
        self._tell(request_id, Event.REQUEST_ISSUED)
        send = _Command(self._outputs, request_id, stream, frames, self._is_answered, plain=plain, end=end)
        if self._buffered:
            self._held.append(send)
            return NoOp(request_id)
        return send

    def issued(self, request_id: int) -> None:
        """Somebody else has sent a request: for those who only watch a connection."""
        self._tell(request_id, Event.REQUEST_ISSUED)
        self._sent(request_id)

    def flush(self) -> SendFrames:
        """All commands that were held back, in the order in which they were issued; the last one of a stream closes it."""
        held, self._held = self._held, []

        return _Flush(held)

    def _is_over(self, stream: OutputStream | None) -> bool:
        # What was held back knows what is the last of it on its stream.
        return self._buffered and stream is not None and self._outputs.unmade(stream) == 1

    def _is_answered(self, request_id: int) -> bool:
        request = self._requests.get(request_id)
        return request is None or request.state is State.ANSWERED

    def _sent(self, request_id: int) -> None:
        """All frames of a request were taken."""
        request = self._requests.get(request_id)
        row = None if request is None else self._row(request.state, Event.REQUEST_SENT)
        if request is not None and row is not None and row.to is not None:
            self._move(request_id, request, row.to)

    def _move(self, request_id: int, request: _Request | None, to: IntEnum) -> None:
        if to is State.NONE:
            self._requests.pop(request_id, None)
        elif request is None:
            self._requests[request_id] = _Request(self._tables[to])
        else:
            request.table = self._tables[to]

    # What the table emits.

    def _emit_response_data(self, request_id: int, request: _Request, payload: bytes, node: Node) -> None:
        request.received += len(payload)
        last = not node.flags & _MORE
        if last and node.to is not None:
            self._move(request_id, request, node.to)
        self._append(ResponseData(request_id, payload, last))

    def _emit_text(self, request_id: int, request: _Request, payload: bytes, node: Node) -> None:
        self._append(TextMessage(request_id, codec.decode_text_output(payload).atoms))

    def _emit_progress(self, request_id: int, request: _Request, payload: bytes, node: Node) -> None:
        self._append(ProgressUpdate(request_id, codec.decode_progress(payload)))

    def _emit_request_error(self, request_id: int, request: _Request, payload: bytes, node: Node) -> None:
        message = text_payload(codec.FrameType.ERROR_RESPONSE, payload)
        if node.to is not None:
            self._move(request_id, request, node.to)
        self._append(RequestError(request_id, message, request.received))

    def _emit_connection_error(self, request_id: int, request: _Request | None, payload: bytes, node: Node) -> None:
        message = text_payload(codec.FrameType.ERROR_RESPONSE, payload)
        self._lose_all(message, str(node.row.requirement))
        self._append(PeerError(request_id, message))
        self._break()
        raise Closed

    def _emit_stream_configured(self, request_id: int, request: Any, payload: bytes, node: Node) -> None:
        """Settings are the protocol's own business."""

    def _emit_request_lost(self, request_id: int, request: _Request, row: Row) -> None:
        message = "the input ended before the response was complete"
        self._append(RequestError(request_id, message, request.received, row.requirement))

    def _count_decoded(self, request: _Request | None, size: int) -> None:
        if request is None:
            return
        request.decoded += size
        if request.decoded > self.limits.decoded_response:
            expected = f"at most {octets(self.limits.decoded_response)} in a response when decoded"
            raise RemoteProtocolError("encoding.decoded-limit", 0, "", expected, octets(request.decoded))

    def _failed(self, error: RemoteProtocolError, frame: Frame | None) -> None:
        self._lose_all(str(error), error.requirement)
        self._append(Error(error, frame))

    def _lose_all(self, message: str, requirement: str) -> None:
        """Every request fails with the connection."""
        for request_id in self.active:
            received = self._requests[request_id].received
            self._append(RequestError(request_id, message, received, requirement))
        self._requests.clear()


class _Command(Send):
    """The frames of a command; ``is_answered``: whether nobody waits for the rest of its data."""

    __slots__ = ("_command", "_is_answered", "_plain")

    def __init__(
        self,
        outputs: Outputs,
        request_id: int,
        stream: OutputStream,
        command: Iterator[Frame],
        is_answered: Callable[[int], bool],
        *,
        plain: bool,
        end: bool,
    ) -> None:
        super().__init__(outputs, request_id, stream, end=end)
        self._command = command
        self._is_answered = is_answered
        self._plain = plain

    def _frames(self) -> Iterator[Frame]:
        stream, plain = self.stream, self._plain
        waiting: Frame | None = None
        for frame in self._command:
            if waiting is not None:
                yield from stream.send(waiting, plain=plain and waiting.type == _DATA)
                if frame.type == _DATA and waiting.type == _DATA and self._is_answered(self.request_id):
                    # The data ends here.
                    waiting = frame.replace(flags=codec.CommandDataFlag.EOS, payload=b"")
                    break
            waiting = frame
        if waiting is not None:
            yield from stream.send(waiting, plain=plain and waiting.type == _DATA, end=self.is_last)


class _Flush(SendFrames):
    """Commands that were held back."""

    __slots__ = ("_held",)

    def __init__(self, held: list[SendFrames]) -> None:
        super().__init__(None, None)
        self._held = held

    def _frames(self) -> Iterator[Frame]:
        for send in self._held:
            yield from send
