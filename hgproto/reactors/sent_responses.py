"""The sends of responses and error-responses, for servers."""

from __future__ import annotations

from traceback import clear_frames
from typing import TYPE_CHECKING, Any, TypeVar

from hgproto.reactors.sending import Sending, ShortWay
from hgproto.runtime.bytelike import bytes_like
from hgproto.runtime.frame import bare
from hgproto.wire.files import Chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Literal

    from hgproto.reactors.outputs import Output, Outputs
    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.frame import Frame
    from hgproto.wire.pushed import Pushed

__all__ = ["ErrorResponse", "LastError", "Response", "short_response"]

T = TypeVar("T")

_LATER = {*Sending.__slots__, "_at", "_is_silent", "_message", "_pushed", "_source"} - {
    "outputs",
    "output",
    "request_id",
}
"""The attributes of a response that are set when one of them is first read."""


class _Answer(Sending):
    """The end of a request: a response or an error-response."""

    __slots__ = ()

    def _must_wait(self) -> bool:
        """Returns True if frames on other streams must be consumed before the last frame is built.

        These are messages for the request. If no other send follows, this also builds the frames that close the other
        streams. Those are empty messages, which can only be sent while the request is active.
        """
        outputs = self.outputs
        if len(outputs.by_id) == 1 or self.claimed:
            return False
        self._check_messages(is_claimed=False)
        is_over = outputs.unmade == self._is_unmade and outputs.is_over(None)
        if not is_over and self.request_id not in outputs.homes:
            return False
        others = outputs.others(self.output)
        if is_over:
            self._close(others)
        self._first = [other for other in others if other.stream.ready]
        return bool(self._first) and not self._collects

    def _close(self, outputs: Iterable[Output]) -> None:
        """Builds the frames that close streams."""
        for output in outputs:
            stream = output.stream
            if stream.state is not self.outputs.plans.stream.initial and stream.can_close:
                message = self.outputs.messages.text(self.request_id, stream.stream_id, ())
                try:
                    stream.put(message, end=True)
                except Exception:  # noqa: S112 - its encoder has failed, so the stream stays open, which is no violation
                    continue

    def _finish(self) -> None:
        if not self.claimed:
            self.outputs.finished.add(self.request_id)
        super()._finish()

    def _put_end(self, frame: Frame) -> None:
        """Builds an error-response. If the encoder fails, the next call builds it without encoding."""
        try:
            self.output.stream.put(frame, end=self._is_last())
        except BaseException as error:
            self._note(error)
            raise
        self.output.stream.forget_loss(self.request_id)
        self._finish()

    def _note(self, error: BaseException) -> None:
        """Keeps an exception. Clears the local variables of its traceback, which include views of the data."""
        if self.failure is None:
            self.failure = error
        clear_frames(error.__traceback__)

    def claim(self, claimant: object = None) -> None:
        """Hands the frames to another thread. Raises :class:`RuntimeError` if a message on another stream comes first."""
        self._check_messages(is_claimed=True)
        super().claim(claimant)
        self.outputs.finished.add(self.request_id)

    def check_free(self, *, last: bool = False) -> None:
        """Raises :class:`RuntimeError` if another thread builds frames that come before the next one, or the last one."""
        super().check_free()
        if last and not (self.claimed or self.is_sent):
            self._check_messages(is_claimed=False)

    def _check_messages(self, *, is_claimed: bool) -> None:
        """Raises :class:`RuntimeError` if another thread builds a message that comes before the end, on another stream."""
        outputs, request_id = self.outputs, self.request_id
        if len(outputs.by_id) == 1 or request_id not in outputs.homes:
            return
        for send in outputs.sends:
            if send.request_id == request_id and send.output is not self.output and (send.claimed or is_claimed):
                raise RuntimeError(
                    f"the response to request {request_id} is on stream {self.stream_id}, and a message before it on stream"
                    f" {send.stream_id} was not consumed yet; consume its frame first, or send both on one stream"
                )

    def _ask_closing(self) -> None:
        # Only the last send of all streams closes the others; a pool holds it back.
        outputs = self.outputs
        if len(outputs.by_id) > 1 and not outputs.unmade and outputs.is_over(None):
            self.closing = self._closing_frames

    def _closing_frames(self) -> list[Frame]:
        others = self.outputs.others(None)
        self._close(others)
        return [other.take() for other in others for _ in range(len(other.stream.ready))]

    def _was_sent(self) -> None:
        self.outputs.sent(self.request_id)


class Response(_Answer):
    """A response of bytes or chunks. A chunk is requested after all frames of the previous chunk were consumed.

    If the source raises an exception, ``failure`` keeps it. ``error`` of the outputs builds the error-response, which
    ends the response. ``error`` is called with the exception once; if an interrupt ends that call, the next one gets
    None. ``plain``: as for :meth:`hgproto.streams.output_stream.OutputStream.put`. ``pushed``: the source of a response
    that is written in parts.

    If a file has no bytes yet, the caller that iterates gets :class:`BlockingIOError`. The response has not failed, and
    continues with the same file. Once the connection has failed, the response is abandoned instead.
    """

    __slots__ = ("_at", "_chunk", "_is_short", "_is_silent", "_message", "_plain", "_pushed", "_source")

    _chunk: bytes | memoryview
    _source: Any
    _pushed: Pushed | None

    def __init__(
        self,
        outputs: Outputs,
        request_id: int,
        output: Output,
        data: bytes | memoryview | Iterable[BytesLike],
        plain: bool,
        end: bool,
        pushed: Pushed | None = None,
    ) -> None:
        self._plain = plain
        super().__init__(outputs, request_id, output, end)
        if type(data) is bytes or isinstance(data, memoryview):
            self._chunk = data
        else:
            self._chunk, self._source = b"", data
        self._pushed = pushed

    def _prepare(self) -> None:
        super()._prepare()
        # The rest of the response: the chunk from ``_at`` on, then the chunks of the source.
        self._at = 0
        self._source = None
        self._is_short = self._is_silent = False
        self._message: Frame | None = None
        self._pushed = None

    def __getattr__(self, name: str) -> Any:
        # A response in one frame never needs these attributes, so they are set when one of them is first read.
        if name not in _LATER:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
        self._prepare()
        return getattr(self, name)

    @property
    def is_open(self) -> bool:
        """True if the content is still being written."""
        return self._pushed is not None and not self._pushed.ended

    def __iter__(self) -> Iterator[Frame]:
        return ShortWay(self) if self._is_short else self

    def take_short(self) -> Frame | None:
        """Returns the only frame, as for most responses, or None if the fast path is not possible."""
        return self._whole(self.outputs.frame_of)

    def to_bytes(self) -> bytes:
        """Returns the bytes of all frames."""
        wire = self._whole(self.outputs.frame_bytes)
        return super().to_bytes() if wire is None else wire

    def _whole(self, make: Callable[[int, int, int, bytes], T]) -> T | None:
        """Returns the only frame, as for most responses, or None if the fast path is not possible."""
        output, outputs, chunk = self.output, self.outputs, self._chunk
        is_short, self._is_short = self._is_short, False
        if not is_short or type(chunk) is not bytes or output.claimed or outputs.may_end:
            return None
        made = output.take_whole(self.request_id, outputs.response_code, outputs.last_flag, chunk, make)
        if made is not None:
            self._chunk = b""
            self.is_sent = True
            output.unmade -= 1
            del outputs.sends[self]
            outputs.sent(self.request_id)
        return made

    def _make(self) -> None:
        stream, code = self.output.stream, self.outputs.response_code
        # The writer of a response may end it while another thread builds its frames, so the message is checked last.
        while self.failure is None and (self._source is None or self._chunk or self._read()) and self._message is None:
            chunk, start = self._chunk, self._at
            stop = min(start + stream.piece_size, len(chunk))
            last = self._source is None and stop == len(chunk)
            if last and self._must_wait():
                return
            piece = chunk if stop - start == len(chunk) else memoryview(chunk)[start:stop]
            try:
                end = last and self._is_last()
                stream.put_data(self.request_id, code, piece, last=last, plain=self._plain, end=end)
            except BaseException as error:
                self._note(error)
                # The traceback of the exception must not keep a view of the data.
                self._chunk, self._source = b"", None
                del chunk, piece
                raise
            self._at = stop
            # The source may reuse its buffer, so no view of it may remain.
            del chunk, piece
            if last:
                self._finish()
                return
            if stop == len(self._chunk):
                self._chunk, self._at = b"", 0
            if stream.ready:
                return
        if not self._is_made and not self._must_wait():
            self._put_end(self._failed())

    def break_off(self, message: Frame) -> None:
        """Ends the response with an error-response instead of the rest of its content."""
        self._message = message

    def _read(self) -> bool:
        """Reads the next chunk or the end of the source. Returns False if the source has failed or was abandoned.

        Raises :class:`BlockingIOError` if a file has no bytes yet, and exceptions such as :class:`KeyboardInterrupt`.
        """
        source = self._source
        try:
            if not hasattr(source, "__next__"):
                source = self._source = iter(source)
            for chunk in source:
                self._chunk = bytes_like(chunk, "a chunk of a response")
                return True
        except Exception as failure:  # every exception ends the response with an error
            # Only a file can be read again. Another iterator may have ended with the exception, so its response has
            # failed.
            if isinstance(failure, BlockingIOError) and isinstance(source, Chunks):
                if not self.outputs.failed:
                    raise
                self.give_up(self.outputs.plans.dead())
                return False
            self.failure = failure
            return False
        except BaseException as failure:
            self.failure = failure
            raise
        self._source = None
        return True

    def _failed(self) -> Frame:
        """Builds the error-response of a response that has failed, and releases the content."""
        self._chunk, self._source = b"", None
        if self._message is None:
            words = None if self._is_silent else self.failure
            self._is_silent = True
            self._message = self.outputs.error(self.request_id, self.output.stream, words)
        return self._message

    def _was_sent(self) -> None:
        self._chunk, self._source = b"", None
        super()._was_sent()


class ErrorResponse(_Answer):
    """An error-response. ``kind`` and ``requirement``: its flag and the violated requirement if the reactor built it."""

    __slots__ = ("_frame",)

    def __init__(
        self,
        outputs: Outputs,
        output: Output,
        frame: Frame,
        *,
        end: bool = False,
        kind: Literal["application", "protocol"] | None = None,
        requirement: str | None = None,
    ) -> None:
        super().__init__(outputs, frame.request_id, output, end=end)
        self.kind = kind
        self.requirement = requirement
        self._frame = frame

    def _make(self) -> None:
        if not self._must_wait():
            self._put_end(self._frame)


_bare_response = bare(Response)


def short_response(
    outputs: Outputs,
    request_id: int,
    output: Output,
    data: bytes,
    plain: bool,
) -> Response:
    """Returns the response for bytes that are likely to fit into one frame of the only output."""
    for response in _bare_response:
        response.outputs = outputs
        response.request_id = request_id
        response.output = output
        response._chunk = data  # noqa: SLF001 - made here
        response._plain = plain  # noqa: SLF001
        response.is_sent = response._end = False  # noqa: SLF001
        response._is_short = True  # noqa: SLF001
        outputs.sends[response] = None
        output.unmade += 1
        return response
    raise AssertionError


class LastError(ErrorResponse):
    """The last error-response of a connection, which closes its stream."""

    __slots__ = ()

    def __init__(self, outputs: Outputs, output: Output, frame: Frame) -> None:
        super().__init__(outputs, output, frame, end=True)

    def _make(self) -> None:
        for output in self.outputs.by_id.values():
            if output.claimed:
                raise RuntimeError(
                    f"frames on stream {output.stream.stream_id} are built elsewhere, for example by a pool;"
                    " consume those before the error that closes the connection"
                )
        try:
            self._put_end(self._frame)
        except Exception:  # the encoder has failed; the next call does not use it
            self._put_end(self._frame)
