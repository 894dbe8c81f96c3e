"""Readers of frames from chunks of any size, files, and iterables.

Invariants: the cost is linear in the number of bytes, however they are split. A length over the limit is rejected
before that many bytes are kept. Frames that were decoded before an error are never lost. Only the codec knows the
layout of the header: this module learns from it where a frame ends.
"""

from __future__ import annotations

from hgproto.errors import RemoteProtocolError
from hgproto.runtime.bytelike import as_bytes, bytes_like
from hgproto.runtime.definition import checked_codec
from hgproto.runtime.frame import Unique, checked_number
from hgproto.wire.files import CHUNK_BYTES, Chunks, resumable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.definition import Codec
    from hgproto.runtime.frame import Frame
    from hgproto.wire.files import Source

__all__ = ["CHUNK_BYTES", "FrameReader", "Pieces", "read_frames"]

GATHERED_BYTES = 1 << 10
"""Chunks of fewer bytes are joined while a frame is incomplete."""


class Pieces:
    """The input of a codec: chunks, split again so that each piece starts at the start of a frame.

    Iterating yields pairs: bytes, and the offset in them at which the next frame starts. A reader returns the bytes of
    an incomplete frame with :meth:`keep`, and later receives them again together with the missing bytes.
    """

    __slots__ = (
        "_after",
        "_after_at",
        "_chunks",
        "_have",
        "_need",
        "_parts",
        "_start",
        "_whole",
        "copies",
        "failed",
        "position",
    )

    def __init__(self, *, copy: bool = True) -> None:
        self.position = 0
        """The number of bytes in the input before the current frame."""
        self.copies = copy
        """True if the pieces are ``bytes``, False if they are views."""
        self._chunks: Iterable[BytesLike] = ()
        # A chunk that starts at the start of a frame, and so is a piece itself.
        self._whole: tuple[tuple[bytes | memoryview, int], ...] = ()
        self._parts: list[bytes | bytearray | memoryview] = []
        self._have = 0
        self._need = 0
        self._start = 0
        # The chunk that completed the current piece, and the offset of its remaining bytes.
        self._after: bytes | memoryview = b""
        self._after_at = 0
        self.failed: RemoteProtocolError | None = None
        """The error after which no more is read, or None."""

    @property
    def missing(self) -> int:
        """The number of bytes that are missing from the frame at the end, or from its header while that is incomplete."""
        return self._need - self._have if self._have else 0

    @property
    def rest(self) -> bytes:
        """The bytes after the last complete frame."""
        return b"".join(self._parts)

    def offset(self, at: int) -> int:
        """Returns the offset in the input of an offset in the latest piece."""
        return self.position - self._start + at

    def supply(self, chunks: Iterable[BytesLike]) -> Pieces:
        """Sets the source of the next chunks, which are any buffers."""
        self._chunks = chunks
        self._whole = ()
        return self

    def take(self, chunk: BytesLike) -> bool:
        """Sets the next chunk. Returns False if it does not complete the current frame, so that there are no pieces.

        Raises :class:`TypeError` for a chunk that is not bytes.
        """
        if type(chunk) is not bytes or not self.copies:
            # A copied chunk leaves no view: its owner may change it after the call, even after an error.
            chunk = as_bytes(chunk) if self.copies else memoryview(bytes_like(chunk))
        if not self._have:
            # The fast path: small chunks are often one frame each.
            self._start = 0
            self._whole = ((chunk, 0),)
            return True
        if len(chunk) < self._need - self._have:
            if chunk:
                self._put(chunk)
            return False
        self.supply((chunk,))
        return True

    def _put(self, chunk: bytes | bytearray | memoryview) -> None:
        """Adds bytes to the waiting ones. Small chunks are joined, because an object needs more memory than their bytes."""
        parts = self._parts
        if len(chunk) >= GATHERED_BYTES:
            parts.append(bytes(chunk))
        elif parts and isinstance(parts[-1], bytearray):
            parts[-1] += chunk
        else:
            parts.append(bytearray(chunk))
        self._have += len(chunk)

    def keep(self, data: bytes | memoryview, at: int, need: int) -> None:
        """Keeps the bytes from ``at`` on until there are ``need`` of them."""
        self.position += at - self._start
        left = len(data) - at
        if left:
            self._parts.append(bytes(data[at:]))
            self._have = left
            self._need = need

    def refuse(self, data: bytes | memoryview, at: int, error: RemoteProtocolError) -> RemoteProtocolError:
        """Keeps the rejected bytes from ``at`` on. Returns the error with its offset in the input."""
        self.keep(data, at, len(data) - at)
        if len(self._after) > self._after_at:
            # Keeps the bytes after the header too.
            self._put(self._after[self._after_at :])
            self._need = self._have
        self._after = b""
        self.failed = error.moved(self.position)
        return self.failed

    def cut(self, codec: Codec, max_payload: int) -> RemoteProtocolError:
        """Returns the error for an incomplete frame at the end of the input, with its offset in the input."""
        error = codec.cut_frame(self.rest, max_payload).moved(self.position)
        # An incomplete header may already have a length over the limit.
        limit_requirement = next(part.rules["limit"] for part in codec.FRAME.parts if part.name == "length")
        if error.requirement == limit_requirement:
            return error
        part = "header" if self._have < codec.HEADER_BYTES else "frame"
        found = f"{error.found} (the {part} lacks {self.missing})"
        return RemoteProtocolError(error.requirement, error.offset, error.field, error.expected, found)

    def __iter__(self) -> Iterator[tuple[bytes | memoryview, int]]:
        whole, self._whole = self._whole, ()
        if whole:
            return iter(whole)
        chunks, self._chunks = self._chunks, ()
        return self._joined(chunks)

    def _joined(self, chunks: Iterable[BytesLike]) -> Iterator[tuple[bytes | memoryview, int]]:
        """Yields the pieces of chunks. The first piece begins with the waiting bytes."""
        for chunk in chunks:
            data = chunk if type(chunk) is bytes else as_bytes(chunk) if self.copies else bytes_like(chunk)
            start = 0
            while self._have:
                lack = self._need - self._have
                if len(data) - start < lack:
                    if start < len(data):
                        self._put(data[start:])
                    start = len(data)
                    break
                self._parts.append(data[start : start + lack])
                start += lack
                joined: bytes | memoryview = b"".join(self._parts)
                self._parts.clear()
                self._have = 0
                self._start = 0
                self._after, self._after_at = data, start
                yield joined if self.copies else memoryview(joined), 0
                self._after = b""
            if start < len(data):
                self._start = start
                yield data if self.copies else memoryview(data), start


class FrameReader(Unique):
    """A decoder of frames from chunks of bytes.

    ``max_payload``: the most bytes of a payload; None for the revision's default. ``copy``: True for payloads of type
    ``bytes``. False for views of the chunks; the views keep the chunks alive, and the chunks must not change.
    ``codec``: None for that of the default revision.
    """

    __slots__ = ("_codec", "_max_payload", "_pieces")

    def __init__(self, *, max_payload: int | None = None, copy: bool = True, codec: Codec | None = None) -> None:
        self._codec = codec = checked_codec(codec)
        self._max_payload = checked_max_payload(max_payload, codec)
        self._pieces = Pieces(copy=copy)

    @property
    def position(self) -> int:
        """The offset of the next frame in the input, in bytes."""
        return self._pieces.position

    @property
    def missing(self) -> int:
        """The number of bytes that are missing from the frame at the end, 0 between frames.

        While the header is incomplete, it is the number of bytes that are missing from the header.
        """
        return self._pieces.missing

    @property
    def rest(self) -> bytes:
        """The bytes after the last complete frame. After an error they start with the rejected frame."""
        return self._pieces.rest

    def feed(self, data: BytesLike) -> list[Frame]:
        """Returns the frames that are complete with ``data``, in wire order.

        ``data``: bytes or another buffer with items of any width. Raises :class:`TypeError` for other types. Raises
        :class:`RemoteProtocolError` for a length over the limit (frame.length-limit). The offset counts from the start
        of the input, and ``frames`` has the frames before the error. Every later call raises the error again.
        """
        pieces = self._pieces
        if pieces.failed is not None:
            self._check()
        frames: list[Frame] = []
        try:
            if pieces.take(data):
                # `extend` keeps the items that the generator yields before it raises.
                frames.extend(self._codec.read_frames(pieces, self._max_payload))
        except RemoteProtocolError as error:
            error.frames = tuple(frames)
            # The error is kept, and its traceback would keep views of the chunk.
            raise error.with_traceback(None) from None
        return frames

    def close(self) -> None:
        """Ends the input. Raises :class:`RemoteProtocolError` (frame.whole) in the middle of a frame."""
        self._check()
        if self._pieces.missing:
            self._pieces.failed = self._pieces.cut(self._codec, self._max_payload)
            raise self._pieces.failed

    def read(self, source: Source) -> Iterator[Frame]:
        """Returns an iterator over the frames of a binary file, of bytes, or of an iterable of chunks.

        It yields each frame once it is complete, up to the end. Raises as :meth:`feed` and :meth:`close` do, after the
        frames before the error. Raises :class:`BlockingIOError` if a file has no bytes yet: wait until it can be read,
        and iterate again, over the same iterator or over a new one. Do not use the reader otherwise until the iterator
        is exhausted.
        """
        self._check()
        # Bytes are one chunk. Any other buffer, such as a mapped file, is copied in parts.
        chunks, ended = Chunks((source,) if type(source) is bytes else source, copy=self._pieces.copies), False

        def to_end() -> Iterator[bytes | memoryview]:
            """Yields the chunks. Raises the error of an incomplete frame at their end."""
            nonlocal ended
            self._check()
            yield from chunks
            self.close()
            ended = True

        def rest() -> Iterator[Frame] | None:
            return None if ended else self._codec.read_frames(self._pieces.supply(to_end()), self._max_payload)

        return resumable(rest)

    def _check(self) -> None:
        failed = self._pieces.failed
        if failed is not None:
            # Raising the same error again would extend its traceback.
            raise failed.with_traceback(None)


def checked_max_payload(max_payload: int | None, codec: Codec) -> int:
    """Returns the checked limit, or the codec's default for None. Raises as :func:`~hgproto.runtime.frame.checked_number`."""
    default, maximum = codec.MAX_PAYLOAD
    if max_payload is None:
        return default
    return checked_number("max_payload", max_payload, 1, maximum)


def read_frames(
    source: Source, *, max_payload: int | None = None, copy: bool = True, codec: Codec | None = None
) -> Iterator[Frame]:
    """Returns an iterator over the frames of a binary file, of bytes, or of chunks; see :meth:`FrameReader.read`."""
    return FrameReader(max_payload=max_payload, copy=copy, codec=codec).read(source)
