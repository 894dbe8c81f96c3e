"""The client's reactor (section 1.6): commands into frames, responses out of frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hgproto.errors import LocalProtocolError, RemoteProtocolError, counted
from hgproto.reactors.events import (
    ClientEvent,
    Error,
    NoOp,
    PeerError,
    ProgressUpdate,
    RequestError,
    ResponseData,
    SendFrames,
    TextMessage,
)
from hgproto.reactors.ids import Ids
from hgproto.reactors.plans import Closed, Node, Request, Table, text_payload
from hgproto.reactors.reactor import Reactor
from hgproto.reactors.requests import Command
from hgproto.reactors.sending import Batch, described
from hgproto.reactors.writers import CommandWriter
from hgproto.revisions.framing_0002 import codec, machines
from hgproto.runtime.frame import bare
from hgproto.runtime.layout import octets
from hgproto.runtime.machine import Event
from hgproto.wire import build
from hgproto.wire.pushed import Pushed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from enum import IntEnum
    from typing import Literal

    from hgproto.reactors.limits import Limits
    from hgproto.reactors.sending import Output
    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.frame import Frame
    from hgproto.runtime.machine import Row
    from hgproto.streams.encodings import Encodings
    from hgproto.wire.build import Data

__all__ = ["Client"]

State = machines.ClientRequestState
_MORE = int(codec.BytesResponseFlag.CONTINUATION)
_bare_response_data = bare(ResponseData)


class _Request(Request):
    """A request whose response is not complete."""

    __slots__ = ("decoded", "received")

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self.received = 0
        self.decoded = 0


class Client(Reactor[ClientEvent]):
    """The client's reactor: makes the frames of commands, and told what the server sends, says what it means.

    What ``receive_data``, ``receive_frame`` and ``receive_end`` give: :class:`ResponseData`, :class:`TextMessage`,
    :class:`ProgressUpdate`, :class:`RequestError`, :class:`PeerError`, :class:`Error`, and at the end
    :class:`StreamLeftOpen`.

    ``limits``: see :class:`hgproto.Limits`; ``decoded_response`` bounds what the encoded payloads of one response may
    grow to. ``encodings``: the profiles that the server may use. ``encoding``: the profile of our own streams, which the
    server has to know; None for streams without one. ``streams``: how many streams we send on, from 1 in steps of two.
    ``buffered``: hold commands back until :meth:`flush`, as half duplex transports need. ``reopen`` and ``flush``: as of
    :class:`hgproto.Server`.

    Each request that was issued ends with one event: the last :class:`ResponseData` or a :class:`RequestError`. The latter
    comes with the next events where the data of a command cannot be read; ``failure`` of its send has the exception at once.
    """

    __slots__ = ("_buffered", "_held", "_ids", "_loss")

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
        self._held: list[Command] = []
        # Why no request can be completed any more.
        self._loss: RemoteProtocolError | None = None
        self._ids = Ids(1, 1 << codec.FIELD_BITS["request_id"][0], "request-id.order")

    @property
    def active(self) -> tuple[int, ...]:
        """The requests whose response is not complete, in the order in which they were issued."""
        waiting = (State.SENDING, State.ACTIVE)
        return tuple(key for key, request in self._requests.items() if request.state in waiting)

    @property
    def unfinished(self) -> tuple[int, ...]:
        """The requests whose data broke off; they count toward ``limits.active_requests`` until the end of input."""
        return tuple(key for key, request in self._requests.items() if request.state is State.UNFINISHED)

    # Frames out.

    def issue(
        self,
        name: str,
        args: Mapping[str, BytesLike] | None = None,
        data: Data | None = None,
        *,
        stream_id: int | None = None,
        plain: bool = False,
        end: bool = False,
    ) -> SendFrames | NoOp:
        """A command; its ``request_id`` is in what this gives.

        ``name``, ``args``, ``data``: as of :func:`hgproto.wire.build.command`; bytes that their owner can change are copied.
        ``plain``: the data is compressed already. ``end``: close the stream afterwards; :meth:`flush` does so by itself.
        Raises :class:`LocalProtocolError` for a command that no frames can express, when all ids are in use, when more
        requests would be active than ``limits.active_requests``, after an error, and after the end of the server's output.

        If a file raises an exception, the request fails, and ``failure`` of its send has the exception. Nothing is sent of
        a request whose first data cannot be read. Otherwise the frames stop, and the request stays unfinished: the protocol
        has no cancel, and the last frame would let the server run the command with a part of its data. Its id is not used
        again, and it keeps its place among the active requests; :attr:`unfinished` has these requests. Open a new connection
        before they are too many. The stream and all other requests go on. :class:`BlockingIOError` is no failure: it is
        raised to the caller that takes the frames, who can go on once the file has bytes.
        """
        send = self._issue(name, args, data, stream_id, plain, end)
        return NoOp(send.request_id) if self._buffered else SendFrames(send)

    def begin_command(
        self,
        name: str,
        args: Mapping[str, BytesLike] | None = None,
        *,
        stream_id: int | None = None,
        plain: bool = False,
        end: bool = False,
    ) -> CommandWriter:
        """A command whose data is written piece by piece: ``write``, ``end``, and ``fail`` of what this returns give the frames.

        Arguments and exceptions are those of :meth:`issue`. The first data brings the name and the arguments with it. A
        buffered client gives what was written with :meth:`flush`, which raises :class:`BlockingIOError` at a command that
        is still being written.
        """
        pushed = Pushed()
        send = self._issue(name, args, pushed, stream_id, plain, end)
        return CommandWriter(send, pushed, lambda: any(held is send for held in self._held))

    def _issue(
        self,
        name: str,
        args: Mapping[str, BytesLike] | None,
        data: Data | None,
        stream_id: int | None,
        plain: bool,
        end: bool,
    ) -> Command:
        """Returns the send of a command, which is held back by a buffered client."""
        if self.ended:
            expected, found = "a server that can still respond", "the end of its output"
            raise LocalProtocolError("response.complete", None, "", expected, found)
        if len(self._requests) >= self.limits.active_requests:
            most = self.limits.active_requests
            expected = f"at most {counted(most, 'request')} without a complete response"
            found = f"{len(self._requests)} already"
            if unfinished := len(self.unfinished):
                found += f", {unfinished} of them unfinished because of their data; use a new connection for more"
            raise LocalProtocolError("request.limits", None, "", expected, found)
        outputs = self._outputs
        output = outputs.choose(None, stream_id)
        stream = output.stream
        # An id is not used again before the failure of its request was told.
        in_use = {*self._requests, *(event.request_id for event in self._due)} if self._due else self._requests
        request_id = self._ids.next(in_use)
        frames = build.command(request_id, stream.stream_id, name, args, data, max_payload=stream.longest_last)
        self._tell(request_id, Event.REQUEST_ISSUED)
        # A command that is refused takes no id.
        self._ids.take(request_id)
        send = Command(
            outputs, request_id, output, frames, self._loss_of, self._is_answered, self._give_up, plain=plain, end=end
        )
        if self._buffered:
            self._held.append(send)
        return send

    def issued(self, request_id: int) -> None:
        """Somebody else has sent a request: for those who only watch a connection."""
        self._tell(request_id, Event.REQUEST_ISSUED)
        self._sent(request_id)

    def flush(self) -> SendFrames:
        """All commands that were held back, in the order in which they were issued; the last one of a stream closes it.

        A command whose data cannot be read fails alone, and the others are sent. ``failures`` of what this gives has the
        exceptions by request id.
        """
        held, self._held = self._held, []
        return SendFrames(Batch(held))

    def _is_over(self, output: Output | None) -> bool:
        if not self._buffered or output is None:
            return False
        # A command is the last one on its stream if none after it can be sent; those whose data cannot be read leave the count.
        sends = self._outputs.sends
        while output.unmade > 1:
            ahead = (send for send in sends if send.output is output and isinstance(send, Command) and send.is_ahead)
            send = next(ahead, None)
            if send is None or send.look_ahead():
                return False
        return True

    def _loss_of(self, request_id: int) -> Exception | None:
        """Why a request cannot be completed any more; None while it can."""
        return None if request_id in self._requests else self._loss

    def _is_answered(self, request_id: int) -> bool:
        """True if the response to a request is complete, so that nobody waits for the rest of its data."""
        request = self._requests.get(request_id)
        return request is not None and request.state is State.ANSWERED

    def _give_up(self, request_id: int, failure: BaseException, begun: bool) -> None:
        """The rest of a request cannot be sent. ``begun``: a part of it was."""
        request = self._requests.get(request_id)
        if request is None:
            return
        row = self._row(request.state, Event.REQUEST_ABANDONED if begun else Event.REQUEST_WITHDRAWN)
        if row is None or row.to is None:
            return
        self._move(request_id, request, row.to)
        message = f"the data of the request could not be sent: {described(failure)}"
        self._due.append(RequestError(request_id, message, request.received, row.requirement))

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
        for event in _bare_response_data:
            event.request_id = request_id
            event.data = payload
            event.last = last
            self._append(event)
            break

    def _emit_text(self, request_id: int, request: _Request, payload: bytes, node: Node) -> None:
        self._append(TextMessage(request_id, codec.decode_text_output(payload, self.limits.payload_items).atoms))

    def _emit_progress(self, request_id: int, request: _Request, payload: bytes, node: Node) -> None:
        self._append(ProgressUpdate(request_id, codec.decode_progress(payload, self.limits.payload_items)))

    def _emit_request_error(self, request_id: int, request: _Request, payload: bytes, node: Node) -> None:
        message = text_payload(codec.FrameType.ERROR_RESPONSE, payload)
        if node.to is not None:
            self._move(request_id, request, node.to)
        self._append(RequestError(request_id, message, request.received))

    def _emit_drop(self, request_id: int, request: _Request, payload: bytes, node: Node) -> None:
        # Octets that no event shows have to be good too.
        codec.decode_payload(codec.make_frame(request_id, 0, 0, node.code, node.flags, payload))
        if node.to is not None and node.to is not request.state:
            self._move(request_id, request, node.to)

    def _emit_connection_error(self, request_id: int, request: _Request | None, payload: bytes, node: Node) -> None:
        message = text_payload(codec.FrameType.ERROR_RESPONSE, payload)
        self._loss = RemoteProtocolError(str(node.row.requirement), None, "", "a server that goes on", message)
        self._lose_all(message, str(node.row.requirement))
        self._append(PeerError(request_id, message))
        self._break()
        raise Closed

    def _emit_stream_configured(self, request_id: int, request: Any, payload: bytes, node: Node) -> None:
        """Settings are the protocol's own business."""

    def _emit_request_lost(self, request_id: int, request: _Request, row: Row) -> None:
        message = "the input ended before the response was complete"
        self._append(RequestError(request_id, message, request.received, row.requirement))

    def _end(self) -> None:
        expected, found = "the whole response", "the end of the server's output"
        self._loss = RemoteProtocolError("response.complete", None, "", expected, found)

    def _count_decoded(self, request: _Request | None, size: int) -> None:
        if request is None:
            return
        request.decoded += size
        if request.decoded > self.limits.decoded_response:
            expected = f"at most {octets(self.limits.decoded_response)} in a response when decoded"
            raise RemoteProtocolError("encoding.decoded-limit", 0, "", expected, octets(request.decoded))

    def _failed(self, error: RemoteProtocolError, frame: Frame | None) -> None:
        self._loss = error
        self._lose_all(str(error), error.requirement)
        self._append(Error(error, frame))

    def _lose_all(self, message: str, requirement: str) -> None:
        """Every request fails with the connection."""
        for request_id in self.active:
            received = self._requests[request_id].received
            self._append(RequestError(request_id, message, received, requirement))
        self._requests.clear()
