"""Encoders of frames: to bytes, to pieces of many frames, or to buffers that are written without joining them."""

from __future__ import annotations

from collections import deque

from hgproto.runtime.bytelike import bytes_like
from hgproto.runtime.definition import checked_codec
from hgproto.runtime.frame import Unique, check_frame, check_revision
from hgproto.wire.files import Output, lost_rest, resumable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hgproto.runtime.definition import Codec
    from hgproto.runtime.frame import Frame
    from hgproto.wire.files import Writable

__all__ = ["PIECE_BYTES", "FrameWriter", "encode_frame", "encode_frames", "frame_buffers", "write_frames"]

JOINED_BYTES = 1 << 14
"""Payloads of fewer bytes are joined with their header, because a copy costs less than a second write."""

PIECE_BYTES = 1 << 18
"""The size in bytes of pieces of joined frames. The memory of larger pieces would be allocated again each time."""


def encode_frame(frame: Frame, *, max_payload: int | None = None, codec: Codec | None = None) -> bytes:
    """Encodes a frame, and computes its length.

    ``max_payload``: the most bytes of a payload; None for the revision's default. Raises :class:`LocalProtocolError`
    for a longer payload, and for a number that its header field cannot hold. Raises :class:`ValueError` for a frame of
    another revision than the codec's.
    """
    codec = checked_codec(codec)
    check_revision(frame, codec)
    return codec.encode_frame(frame, _limit(max_payload, codec))


def encode_frames(
    frames: Iterable[Frame], *, max_payload: int | None = None, codec: Codec | None = None
) -> Iterator[bytes]:
    """Returns an iterator over the bytes of frames, in pieces of whole frames with at least :data:`PIECE_BYTES`.

    The last piece may be smaller. The next frame is requested only after the earlier frames were yielded or added to
    the current piece. Raises as :func:`encode_frame`, and exceptions of ``frames``, after the frames before the
    exception; the iterator then continues with the later frames.
    """
    codec = checked_codec(codec)
    return _Encoded(frames, _limit(max_payload, codec), codec)


class _Encoded(Unique):
    """The pieces of :func:`encode_frames`."""

    __slots__ = ("_codec", "_failure", "_frames", "_limit")

    def __init__(self, frames: Iterable[Frame], limit: int, codec: Codec) -> None:
        self._frames = iter(frames)
        self._limit = limit
        self._codec = codec
        self._failure: BaseException | None = None

    def __iter__(self) -> _Encoded:
        return self

    def __next__(self) -> bytes:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        limit, codec = self._limit, self._codec
        encode, known = codec.encode_frame, None
        parts: list[bytes] = []
        size = 0
        try:
            for frame in self._frames:
                kind = type(getattr(frame, "type", None))
                if kind is not known:
                    check_revision(frame, codec)
                    known = kind
                data = encode(frame, limit)
                parts.append(data)
                size += len(data)
                if size >= PIECE_BYTES:
                    break
        except BaseException as error:  # raised after the frames before it were yielded
            if not parts:
                raise
            self._failure = error
        if not parts:
            raise StopIteration
        return b"".join(parts)


def frame_buffers(
    frames: Iterable[Frame], *, max_payload: int | None = None, codec: Codec | None = None
) -> Iterator[bytes | memoryview]:
    """Returns an iterator over headers and payloads, for example for ``writelines``. Copies no payload.

    Raises as :func:`encode_frame`.
    """
    codec = checked_codec(codec)
    return resumable(_Buffers(frames, _limit(max_payload, codec), codec))


class _Buffers:
    """The buffers of :func:`frame_buffers`, which continue after an exception."""

    def __init__(self, frames: Iterable[Frame], limit: int, codec: Codec) -> None:
        self._frames = iter(frames)
        self._limit = limit
        self._codec = codec
        self._ended = False

    def __call__(self) -> Iterator[bytes | memoryview] | None:
        return None if self._ended else self._rest()

    def _rest(self) -> Iterator[bytes | memoryview]:
        limit, codec = self._limit, self._codec
        encode_header, latest, known = codec.encode_header, None, None
        for frame in self._frames:
            try:
                kind = frame.type
            except AttributeError:
                check_frame(frame)
                raise
            if kind is not latest:
                latest = kind
                if type(latest) is not known:
                    check_revision(frame, codec)
                    known = type(latest)
            payload = frame.payload
            if type(payload) is not bytes:
                payload = bytes_like(payload, "payload")
            yield encode_header(frame, limit)
            if payload:
                yield payload
        self._ended = True


class FrameWriter(Unique):
    """A writer of frames to a binary file, buffered or raw. It writes whole frames in order.

    ``max_payload`` and ``codec``: as for :func:`encode_frame`. If the file has no room, :meth:`write` raises
    :class:`BlockingIOError`. The writer then keeps the rest of the current frame (a copy of a mutable buffer) and the
    frames after it. Wait until the file can be written, and call :meth:`flush`.
    """

    __slots__ = ("_codec", "_frames", "_limit", "_output")

    def __init__(self, file: Writable, *, max_payload: int | None = None, codec: Codec | None = None) -> None:
        self._codec = checked_codec(codec)
        self._limit = _limit(max_payload, self._codec)
        self._output = Output(file)
        self._frames: deque[Iterator[Frame]] = deque()

    @property
    def written(self) -> int:
        """The number of bytes that the file has accepted."""
        return self._output.written

    @property
    def pending(self) -> bool:
        """True if bytes or frames are still to be written."""
        return bool(self._output.pending or self._frames)

    @property
    def is_full(self) -> bool:
        """True if the file had no room for the rest of a frame."""
        return bool(self._output.pending)

    def write(self, frames: Iterable[Frame]) -> None:
        """Writes the frames that an earlier call has left, then ``frames``. Writes each frame before it requests the next.

        Raises as :func:`encode_frame` does, and exceptions of the file or of ``frames``; the frames before it are
        written.
        """
        self._frames.append(iter(frames))
        self.flush()

    def flush(self) -> None:
        """Writes the remaining frames. Raises as :meth:`write` does. The file itself is not flushed."""
        try:
            self._flush()
        except BaseException:
            self._output.keep()
            raise

    def _flush(self) -> None:
        output, limit, codec = self._output, self._limit, self._codec
        encode, encode_header, known = codec.encode_frame, codec.encode_header, None
        output.flush()
        while self._frames:
            try:
                for frame in self._frames[0]:
                    kind = type(getattr(frame, "type", None))
                    if kind is not known:
                        check_revision(frame, codec)
                        known = kind
                    if len(frame.payload) < JOINED_BYTES:
                        output.write(encode(frame, limit))
                    else:
                        output.write(encode_header(frame, limit), frame.payload)
            except BaseException as error:
                # The iteration can continue after an exception of the file, and after a pause of its own source.
                if not output.pending and not isinstance(error, BlockingIOError):
                    self._frames.popleft()
                raise
            self._frames.popleft()


def write_frames(
    file: Writable, frames: Iterable[Frame], *, max_payload: int | None = None, codec: Codec | None = None
) -> None:
    """Writes all frames to a binary file, buffered or raw, or raises an exception.

    Raises as :func:`encode_frame`; frames before the exception are written. Raises :class:`BlockingIOError` if the file
    has no room; its ``characters_written`` is the number of accepted bytes. Use a :class:`FrameWriter` for a
    non-blocking file.
    """
    writer = FrameWriter(file, max_payload=max_payload, codec=codec)
    try:
        writer.write(frames)
    except BlockingIOError:
        if not writer.is_full:
            raise
        raise lost_rest(writer.written, "use a FrameWriter for a file that does not block") from None


def _limit(max_payload: int | None, codec: Codec) -> int:
    if max_payload is None:
        return codec.MAX_PAYLOAD[0]
    from hgproto.wire.reader import checked_max_payload

    return checked_max_payload(max_payload, codec)
