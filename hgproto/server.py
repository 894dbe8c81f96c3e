"""The server's reactor (section 1.6): commands out of frames, responses into frames."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hgproto import build
from hgproto.commands import CommandReceiver
from hgproto.errors import LocalProtocolError
from hgproto.events import NO_OP, Error, NoOp, SendFrames
from hgproto.framing_0002 import codec, machines
from hgproto.machine import Event
from hgproto.responses import chunked_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Literal

    from hgproto.encodings import Encodings
    from hgproto.errors import RemoteProtocolError
    from hgproto.frame import Frame
    from hgproto.limits import Limits
    from hgproto.machine import Row
    from hgproto.streams import OutputStream

__all__ = ["Server"]

State, StreamState = machines.ServerRequestState, machines.StreamState
_BYTES_RESPONSE = int(codec.FrameType.BYTES_RESPONSE)
_END = int(codec.StreamFlag.STREAM_END)
_BEGUN = (State.EXCHANGING, State.RESPONDING)


class Server(CommandReceiver):
    """The server's reactor: told what the client sends, it says which commands are to be run.

    What ``receive_data``, ``receive_frame`` and ``receive_end`` give: :class:`RunCommand` or, streaming,
    :class:`StartCommand`, :class:`CommandData` and :class:`CommandCut`; :class:`WantFrame`; :class:`SendFrames` (of a request
    that was refused for a limit or cut off by the end of input, and at the end all that was held back); :class:`NoOp` where
    such a refusal is held back; :class:`Error`; at the end :class:`StreamLeftOpen`.

    ``limits``: see :class:`hgproto.limits.Limits`. A request over a limit of its own is refused with an error-response
    (application), the rest of its frames is swallowed, and the connection lives on. ``encodings``: the profiles that
    clients may use. ``encoding``: the profile of our own streams, None for streams without one. ``streams``: how many
    streams we send on, from 2 in steps of two. ``defer``: hold everything back until the client's output has ended, as half
    duplex transports need. ``streaming``: run a command once its arguments are complete, and hand its data on as it
    arrives. ``reopen``: what *stream-begin* on an open stream is, ``error`` or ``restart``. ``flush``: see
    :class:`hgproto.streams.OutputStream`. ``describe``: the message for what a response raised while it was iterated over.
    """

    __slots__ = ("_deferring", "_describe", "_finished", "_held", "_homes", "_unanswered")

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        encodings: Encodings | None = None,
        encoding: str | None = None,
        streams: int = 1,
        defer: bool = False,
        streaming: bool = False,
        reopen: Literal["error", "restart"] = "error",
        flush: Literal["response", "frame"] = "response",
        describe: Callable[[Exception], str] | None = None,
    ) -> None:
        super().__init__(
            limits=limits,
            encodings=encodings,
            encoding=encoding,
            streams=streams,
            streaming=streaming,
            reopen=reopen,
            flush=flush,
        )
        self._deferring = defer
        self._describe = describe or _described
        self._held: deque[SendFrames] = deque()
        # The streams of requests for which something was sent before their response, until that was sent too.
        self._homes: dict[int, int] = {}
        # Requests of whose response the last frame was made.
        self._finished: set[int] = set()
        # After the end of input, the requests that still wait for a response.
        self._unanswered: int | None = None

    # Frames out.

    def respond(
        self,
        request_id: int,
        data: bytes | Iterable[bytes],
        *,
        stream_id: int | None = None,
        plain: bool = False,
        end: bool = False,
    ) -> SendFrames | NoOp:
        """The response to a request: octets, or chunks of them that are asked for as frames are taken.

        What the chunks raise becomes an error-response, and is kept in ``failure`` of what this gives. ``stream_id``: one of
        :attr:`output_streams`, else the one with the least to send. ``plain``: the octets are compressed already.
        ``end``: close the stream afterwards; after the end of input a stream closes by itself with its last response.
        Raises :class:`LocalProtocolError` (response.active-request, response.once, reactor.errored), and
        :class:`TypeError` for what is neither.
        """
        _check_response(data)
        stream = self._stream_for(request_id, stream_id)
        self._begun(request_id)

        def make(send: SendFrames) -> Iterator[Frame]:
            if isinstance(data, bytes | bytearray | memoryview):
                return stream.write(request_id, _BYTES_RESPONSE, data, last=True, plain=plain, end=send.is_last)
            return chunked_response(send, stream, data, self._error, plain=plain)

        return self._response(request_id, stream, make, end)

    def respond_error(
        self, request_id: int, message: str, *, stream_id: int | None = None, end: bool = False
    ) -> SendFrames | NoOp:
        """An error of the application as the response to a request. Raises as :meth:`respond` does."""
        stream = self._stream_for(request_id, stream_id)
        frame = self._error(request_id, stream, message)
        self._begun(request_id)
        return self._response(request_id, stream, lambda send: stream.send(frame, end=send.is_last), end)

    def _stream_for(self, request_id: int, stream_id: int | None) -> OutputStream:
        """A stream to send on. All that is sent for a request goes on one, so that it stays in order on threads too."""
        return self._outputs.choose(self._homes.get(request_id) if stream_id is None else stream_id)

    def _begun(self, request_id: int) -> None:
        """A response is about to be sent."""
        self._tell(request_id, Event.RESPONSE_BEGUN)
        if self._unanswered is not None:
            self._unanswered -= 1

    def _response(
        self, request_id: int, stream: OutputStream, make: Callable[[SendFrames], Iterator[Frame]], end: bool
    ) -> SendFrames | NoOp:
        """The frames of a response."""

        def is_last(stream: OutputStream) -> bool:
            self._finished.add(request_id)
            return end or self._is_over(stream)

        return self._held_back(self._answer(request_id, stream, make, is_last, lambda: self._answered(request_id)))

    def _answer(
        self,
        request_id: int,
        stream: OutputStream,
        make: Callable[[SendFrames], Iterator[Frame]],
        is_last: Callable[[OutputStream], bool],
        sent: Callable[[], None] | None = None,
    ) -> SendFrames:
        """Frames after which nothing is sent for a request; see :meth:`hgproto.outputs.Outputs.send`."""
        if len(self._outputs.streams) == 1:
            return self._outputs.send(request_id, stream, make, is_last, sent)

        def closing() -> Callable[[], Iterator[Frame]] | None:
            return (lambda: self._close_others(request_id)) if self._is_over() else None

        def frames(send: SendFrames) -> Iterator[Frame]:
            for frame in make(send):
                if frame.stream_flags & _END and not send.claimed and self._is_over() and self._outputs.all_made:
                    yield from self._close_others(frame.request_id)
                yield frame

        return self._outputs.send(request_id, stream, frames, is_last, sent, closing)

    def _close_others(self, request_id: int) -> Iterator[Frame]:
        """What closes the streams on which nothing follows, before the end of the last response of all."""
        for stream in self._outputs.streams.values():
            if stream.state is not StreamState.CLOSED:
                # A stream ends with a frame, and a message without atoms is one that says nothing.
                yield from stream.send(build.text_output(request_id, stream.stream_id, ()), end=True)

    def send_text(
        self,
        request_id: int,
        atoms: Iterable[codec.TextAtom | tuple[str | bytes, Sequence[str], Sequence[str | bytes]]],
        *,
        errors: Literal["strict", "replace"] = "strict",
        stream_id: int | None = None,
    ) -> SendFrames | NoOp:
        """Text for people, while a request is active; see :func:`hgproto.build.text_output`."""
        stream = self._stream_for(request_id, stream_id)
        frame = build.text_output(
            request_id, stream.stream_id, atoms, errors=errors, max_payload=self.limits.send_payload
        )
        return self._message(request_id, stream, frame)

    def send_progress(
        self,
        request_id: int,
        topic: str,
        pos: int,
        total: int,
        label: str | None = None,
        item: str | None = None,
        *,
        stream_id: int | None = None,
    ) -> SendFrames | NoOp:
        """How far an operation is, while a request is active; see :func:`hgproto.build.progress`."""
        stream = self._stream_for(request_id, stream_id)
        frame = build.progress(
            request_id, stream.stream_id, topic, pos, total, label, item, max_payload=self.limits.send_payload
        )
        return self._message(request_id, stream, frame)

    def _message(self, request_id: int, stream: OutputStream, frame: Frame) -> SendFrames | NoOp:
        self._tell(request_id, Event.MESSAGE_SENT)
        # What is held back is sent in the order in which it was asked for.
        after_response = self._deferring and not self.ended and self._requests[request_id].state in _BEGUN
        if after_response or request_id in self._finished:
            raise self._too_late(request_id)
        self._homes.setdefault(request_id, stream.stream_id)

        def frames(send: SendFrames) -> Iterator[Frame]:
            # Whoever makes frames elsewhere makes them in the order in which they were asked for.
            if not send.claimed and (request_id in self._finished or request_id not in self._homes):
                raise self._too_late(request_id)
            yield from stream.send(frame)

        return self._held_back(self._outputs.send(request_id, stream, frames, lambda _: False))

    def _too_late(self, request_id: int) -> LocalProtocolError:
        """A message would come after the end of its request's response."""
        expected = "a message that is sent before the end of the response"
        return LocalProtocolError(
            "response.active-request", None, "", expected, f"one of request {request_id} after it"
        )

    def answered(self, request_id: int) -> None:
        """Somebody else has sent the response to a request: for those who only watch a connection."""
        request = self._requests.get(request_id)
        if request is not None:
            row = self._row(request.state, Event.RESPONSE_BEGUN)
            if row is not None and row.to is not None:
                self._move(request_id, request, row.to)
            self._answered(request_id)

    def _answered(self, request_id: int) -> None:
        """All frames of a response were taken."""
        request = self._requests.get(request_id)
        self._homes.pop(request_id, None)
        self._finished.discard(request_id)
        row = None if request is None else self._row(request.state, Event.RESPONSE_SENT)
        if request is not None and row is not None and row.to is not None:
            self._move(request_id, request, row.to)

    def _error(
        self,
        request_id: int,
        stream: OutputStream,
        message: str | Exception,
        kind: Literal["application", "protocol"] = "application",
    ) -> Frame:
        """The frame of an error of our own making, or of what a response has raised."""
        if not isinstance(message, str):
            message = self._describe(message).encode("utf-8", "backslashreplace").decode("utf-8")
        return build.error_response(request_id, stream.stream_id, message, kind, max_payload=stream.longest_last)

    def _reply(
        self, request_id: int, message: str, kind: Literal["application", "protocol"], row: Row
    ) -> SendFrames | NoOp:
        stream = self._outputs.first
        frame = self._error(request_id, stream, message, kind)
        send = self._answer(
            request_id,
            stream,
            lambda send: stream.send(frame, end=send.is_last),
            self._is_over,
            lambda: self._answered(request_id),
        )
        send.requirement = row.requirement
        return self._held_back(send)

    def _is_over(self, stream: OutputStream | None = None) -> bool:
        """Whether no response is to come, and on ``stream`` no send but the one that asks is left."""
        if self.works:
            if not self.ended:
                return False
            if self._unanswered is None:
                waiting = (State.ACTIVE, State.STREAMING)
                self._unanswered = sum(request.state in waiting for request in self._requests.values())
            if self._unanswered:
                return False
        return stream is None or self._outputs.unmade(stream) == 1

    def _held_back(self, send: SendFrames) -> SendFrames | NoOp:
        if self._deferring and not self.ended:
            self._held.append(send)
            return NO_OP if send.request_id is None else NoOp(send.request_id)
        return send

    def _end(self) -> None:
        self._events.extend(self._held)
        self._held.clear()

    def _failed(self, error: RemoteProtocolError, frame: Frame | None) -> None:
        ready = [send for send in self._outputs.sends if not send.claimed]
        self._held.clear()
        stream = self._outputs.first
        request_id = 0 if frame is None else frame.request_id
        message = self._error(request_id, stream, str(error), "protocol")
        # It comes last, and ends its stream.
        self._outputs.expect(stream)

        def frames() -> Iterator[Frame]:
            for send in ready:
                yield from send
            yield from stream.send(message, end=True)

        self._append(Error(error, frame, frames()))


def _check_response(data: object) -> None:
    if isinstance(data, str) or not hasattr(data, "__iter__"):
        raise TypeError(f"a response is octets or an iterable of octets, not {type(data).__name__}")


def _described(failure: Exception) -> str:
    return f"{type(failure).__name__}: {failure}"
