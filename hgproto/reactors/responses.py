"""What a server sends for a request: its response, and messages before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hgproto.errors import LocalProtocolError
from hgproto.reactors.outputs import Send
from hgproto.revisions.framing_0002 import codec, machines
from hgproto.runtime.bytelike import bytes_like
from hgproto.wire import build
from hgproto.wire.files import Chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hgproto.reactors.outputs import Outputs
    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.frame import Frame
    from hgproto.streams.output_stream import OutputStream

__all__ = ["ErrorResponse", "Message", "Response", "too_late"]

_CLOSED = machines.StreamState.CLOSED
_BYTES_RESPONSE = int(codec.FrameType.BYTES_RESPONSE)
_ERROR_RESPONSE = int(codec.FrameType.ERROR_RESPONSE)
_EOS = int(codec.BytesResponseFlag.EOS)
_DONE = object()


class _Answer(Send):
    """Frames after which nothing is sent for a request."""

    __slots__ = ()

    def _content(self) -> Iterator[Frame]:
        """The frames, without those that close other streams."""
        raise NotImplementedError

    def _stop_encoding(self, error: BaseException) -> None:
        """The encoder has failed, so the end has to do without it."""
        from traceback import clear_frames

        if self.failure is None:
            self.failure = error
        # The error is kept, but not the locals of its traceback, which has views of the data.
        clear_frames(error.__traceback__)
        self.stream.stop_encoding()

    def _frames(self) -> Iterator[Frame]:
        if self.claimed or len(self._outputs.streams) == 1:
            return self._content()
        return self._after_others()

    def _after_others(self) -> Iterator[Frame]:
        """The frames; the last of all after what closes the streams on which nothing follows."""
        outputs, request_id = self._outputs, self.request_id
        for frame in self._content():
            # The last frame closes its own stream, unless the encoder of that has failed.
            is_last = frame.type == _ERROR_RESPONSE or (frame.type == _BYTES_RESPONSE and frame.flags & _EOS)
            is_own = is_last and frame.request_id == request_id
            if is_own and not self.claimed and outputs.all_made and outputs.is_over(None):
                outputs.in_hand.add(self)
                yield from self._close_others()
                outputs.in_hand.discard(self)
            yield frame

    def _ask_last(self) -> bool:
        self._outputs.finished.add(self.request_id)
        return super()._ask_last()

    def _ask_closing(self) -> Callable[[], Iterator[Frame]] | None:
        outputs = self._outputs
        # The last of its stream need not be the last of all: a pool holds back only that one.
        is_over = len(outputs.streams) > 1 and outputs.all_made and outputs.is_over(None)
        return self._close_others if is_over else None

    def _close_others(self) -> Iterator[Frame]:
        outputs = self._outputs
        for stream in outputs.streams.values():
            # A frame that was encoded before the end of input does not close its stream, and must not follow its end.
            if not outputs.is_in_use(stream) and stream.state is not _CLOSED and stream.can_close:
                # A stream ends with a frame, and a message without atoms is one that says nothing.
                yield from stream.send_last(build.text_output(self.request_id, stream.stream_id, ()))


class Response(_Answer):
    """A response of octets, or of chunks of them, each of which is asked for once the frames before it were taken.

    What the chunks raise is kept in ``failure``, and ``error`` makes the frame that tells it. That goes on the stream
    after what came before, so that it is flushed and in order like everything else. ``plain``: as of
    :meth:`hgproto.streams.output_stream.OutputStream.send`.

    A file that has nothing yet is no failure: :class:`BlockingIOError` is raised to the caller that takes the frames, and
    the response continues with the same file.

    Only the error-response is left once a failure is known, whatever raised it, so a response always has one end.
    ``error`` is asked once for the words of a failure; without words where that is interrupted too. If the encoder fails
    then, the error-response is sent as it is.
    """

    __slots__ = ("_chunks", "_data", "_error", "_message", "_plain", "_silent")

    def __init__(
        self,
        outputs: Outputs,
        request_id: int,
        stream: OutputStream,
        data: bytes | memoryview | Iterable[BytesLike],
        error: Callable[[int, OutputStream, BaseException | None], Frame],
        *,
        plain: bool,
        end: bool,
    ) -> None:
        super().__init__(outputs, request_id, stream, end=end)
        self._data = data
        self._chunks: Iterator[BytesLike] | None = None
        self._error = error
        self._plain = plain
        self._silent = False
        self._message: Frame | None = None

    def _content(self) -> Iterator[Frame]:
        if self.failure is not None:
            return self._failed()
        data = self._data
        if not isinstance(data, bytes | bytearray | memoryview):
            return self._in_chunks(data)
        return self.stream.write(self.request_id, _BYTES_RESPONSE, data, last=True, plain=self._plain, end=self.is_last)

    def _in_chunks(self, data: Iterable[BytesLike]) -> Iterator[Frame]:
        request_id, stream, plain = self.request_id, self.stream, self._plain
        while True:
            try:
                chunks = self._chunks = iter(data) if self._chunks is None else self._chunks
                chunk: Any = next(chunks, _DONE)
                view = b"" if chunk is _DONE else bytes_like(chunk, "a chunk of a response")
            except Exception as failure:  # whatever it is, the client has to be told
                # A file can be asked again. Another iterator may be at its end now, so its response has failed.
                if isinstance(failure, BlockingIOError) and isinstance(data, Chunks):
                    self._pause = failure
                    raise
                self.failure = failure
                break
            except BaseException as failure:
                self.failure = failure
                raise
            last = chunk is _DONE
            yield from stream.write(request_id, _BYTES_RESPONSE, view, last=last, plain=plain, end=self.is_last)
            if last:
                return
            # A source may use its buffer again, which no view may hold then.
            del chunk, view
        yield from self._failed()

    def _failed(self) -> Iterator[Frame]:
        """The error-response that ends a response whose content cannot be had."""
        if self._message is None:
            words = None if self._silent else self.failure
            self._silent = True
            self._message = self._error(self.request_id, self.stream, words)
        yield from self.stream.send(self._message, end=self.is_last)
        self.stream.forget_loss(self.request_id)

    def _rest_after(self, error: BaseException) -> Iterator[Frame]:
        if self.failure is None or self._message is not None:
            self._stop_encoding(error)
        # The content is not used any more.
        self._data, self._chunks = b"", None
        return self._frames()

    def _was_sent(self) -> None:
        self._data, self._chunks = b"", None
        super()._was_sent()


class ErrorResponse(_Answer):
    """An error-response. ``requirement``: the rule behind it, where it is of the reactor's own making."""

    __slots__ = ("_frame",)

    def __init__(
        self,
        outputs: Outputs,
        stream: OutputStream,
        frame: Frame,
        *,
        end: bool = False,
        requirement: str | None = None,
    ) -> None:
        super().__init__(outputs, frame.request_id, stream, end=end)
        self.requirement = requirement
        self._frame = frame

    def _content(self) -> Iterator[Frame]:
        return self.stream.send(self._frame, end=self.is_last)

    def _rest_after(self, error: BaseException) -> Iterator[Frame]:
        self._stop_encoding(error)
        return self._frames()


class Message(Send):
    """Text or progress, before the end of the response."""

    __slots__ = ("_frame",)

    def __init__(self, outputs: Outputs, stream: OutputStream, frame: Frame) -> None:
        super().__init__(outputs, frame.request_id, stream)
        self._frame = frame

    def _frames(self) -> Iterator[Frame]:
        self._check_order()
        # Other frames may come first, and the response may end while the caller iterates over them.
        yield from self.stream.send(self._frame, end=self._is_end)

    def _is_end(self) -> bool:
        """Returns False, since a message does not end its stream; raises an exception if it is too late."""
        self._check_order()
        return False

    def _check_order(self) -> None:
        """Raises :class:`LocalProtocolError` if the last frame of the response was made already."""
        outputs, request_id = self._outputs, self.request_id
        # A thread makes frames in the order in which sends were claimed, so those were checked then.
        if not self.claimed and (request_id in outputs.finished or request_id not in outputs.homes):
            self.failure = too_late(request_id)
            raise self.failure

    def _ask_last(self) -> bool:
        # Asked when the message is claimed. A message that is too late is never sent, and nothing waits for it.
        try:
            self._check_order()
        except LocalProtocolError:
            self.sent()
            raise
        return False

    def _was_sent(self) -> None:
        self._outputs.taken(self)

    def _rest_after(self, error: BaseException) -> Iterator[Frame]:
        # It will never be sent, and nothing waits for it. If it is not too late, the encoder has failed.
        if self.failure is None:
            self.failure = error
            self.stream.stop_encoding()
        if not self.claimed:
            self.sent()
        return iter(())


def too_late(request_id: int) -> LocalProtocolError:
    """A message would come after the end of its request's response."""
    expected = "a message that is sent before the end of the response"
    return LocalProtocolError("response.active-request", None, "", expected, f"one of request {request_id} after it")
