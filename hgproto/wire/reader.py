"""Frames out of bytes: fed in chunks of any size, or read from files and iterables.

Invariants: the cost is linear in the bytes fed, however they are cut; a length over the limit is refused before
anything of that size is gathered; what was read before a fault is never lost. The header's layout is the codec's
business: this module only knows where a frame ends once the codec has told it.
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
"""Chunks of fewer bytes are gathered in one piece while a frame is not whole."""


class Pieces:
    """Chunks, cut anew so that each piece starts where a frame starts: what a codec reads frames from.

    Iterating gives pairs of bytes and the offset in them where the next frame starts. A reader of frames hands back
    by :meth:`keep` what does not make a whole frame, and is given it again together with what it lacks.
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
        """Bytes of the input before the frame that is being read."""
        self.copies = copy
        """True if the pieces are ``bytes``, else they are views."""
        self._chunks: Iterable[BytesLike] = ()
        # A chunk that starts where a frame starts, which is a piece as it is.
        self._whole: tuple[tuple[bytes | memoryview, int], ...] = ()
        self._parts: list[bytes | bytearray | memoryview] = []
        self._have = 0
        self._need = 0
        self._start = 0
        # The chunk that completed the present piece, and where what it has beyond that starts.
        self._after: bytes | memoryview = b""
        self._after_at = 0
        self.failed: RemoteProtocolError | None = None
        """Why no more is read."""

    @property
    def missing(self) -> int:
        """Bytes that the frame at the end still lacks; as long as its header is not whole, those of the header."""
        return self._need - self._have if self._have else 0

    @property
    def rest(self) -> bytes:
        """The bytes after the last whole frame."""
        return b"".join(self._parts)

    def offset(self, at: int) -> int:
        """The offset in the input of a place in the piece that was given last."""
        return self.position - self._start + at

    def supply(self, chunks: Iterable[BytesLike]) -> Pieces:
        """Sets where the next chunks come from: buffers of any kind."""
        self._chunks = chunks
        self._whole = ()
        return self

    def take(self, chunk: BytesLike) -> bool:
        """Sets the next chunk, the only one. Returns False if there are no pieces, since it completes no frame.

        Raises :class:`TypeError` for a chunk that is not bytes.
        """
        if type(chunk) is not bytes or not self.copies:
            # No view is held of a chunk that is copied: its owner can change it after the call, also after an error.
            chunk = as_bytes(chunk) if self.copies else memoryview(bytes_like(chunk))
        if not self._have:
            # Small chunks are often a frame each, so this is the short way for them.
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
        """Adds bytes to those that wait. Small chunks are gathered, since each object costs more than its bytes."""
        parts = self._parts
        if len(chunk) >= GATHERED_BYTES:
            parts.append(bytes(chunk))
        elif parts and isinstance(parts[-1], bytearray):
            parts[-1] += chunk
        else:
            parts.append(bytearray(chunk))
        self._have += len(chunk)

    def keep(self, data: bytes | memoryview, at: int, need: int) -> None:
        """Takes back the bytes from ``at`` on, which wait until there are ``need`` of them."""
        self.position += at - self._start
        left = len(data) - at
        if left:
            self._parts.append(bytes(data[at:]))
            self._have = left
            self._need = need

    def refuse(self, data: bytes | memoryview, at: int, error: RemoteProtocolError) -> RemoteProtocolError:
        """Takes back the bytes from ``at`` on, which are refused; gives the error with its offset in the input."""
        self.keep(data, at, len(data) - at)
        if len(self._after) > self._after_at:
            # Nothing is lost: what came with the header stays too.
            self._put(self._after[self._after_at :])
            self._need = self._have
        self._after = b""
        self.failed = error.moved(self.position)
        return self.failed

    def cut(self, codec: Codec, max_payload: int) -> RemoteProtocolError:
        """Why the bytes at the end of the input are no frame, with its offset in the input."""
        error = codec.cut_frame(self.rest, max_payload).moved(self.position)
        # A header that is cut can already have a length over the limit.
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
        """The pieces of chunks, the first together with the bytes that wait."""
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
    """Frames out of chunks of bytes.

    ``max_payload``: the most bytes of a payload; the revision's default unless told otherwise. ``copy``: give
    payloads as ``bytes``; False gives views of the chunks that were fed, which are then kept alive and must not
    change. ``codec``: the codec of the revision; the default revision unless told otherwise.
    """

    __slots__ = ("_codec", "_max_payload", "_pieces")

    def __init__(self, *, max_payload: int | None = None, copy: bool = True, codec: Codec | None = None) -> None:
        self._codec = codec = checked_codec(codec)
        self._max_payload = checked_max_payload(max_payload, codec)
        self._pieces = Pieces(copy=copy)

    @property
    def position(self) -> int:
        """The offset in the input where the next frame starts."""
        return self._pieces.position

    @property
    def missing(self) -> int:
        """Bytes that the frame at the end still lacks, 0 between frames.

        As long as its header is not whole, those of the header.
        """
        return self._pieces.missing

    @property
    def rest(self) -> bytes:
        """The bytes after the last whole frame. After a fault they start with the frame that was refused."""
        return self._pieces.rest

    def feed(self, data: BytesLike) -> list[Frame]:
        """The frames that ``data`` makes whole, in wire order.

        ``data``: bytes or another buffer; the width of a view's items does not matter. Raises :class:`TypeError` for
        anything else. Raises :class:`RemoteProtocolError` for a length over the limit (frame.length-limit), its offset from the
        start of the input, its ``frames`` those that came before; every later call raises it again.
        """
        pieces = self._pieces
        if pieces.failed is not None:
            self._check()
        frames: list[Frame] = []
        try:
            if pieces.take(data):
                # A list that is extended by a generator has what it gave, also when it then raises.
                frames.extend(self._codec.read_frames(pieces, self._max_payload))
        except RemoteProtocolError as error:
            error.frames = tuple(frames)
            # The error is kept. Its traceback would keep views of the chunk.
            raise error.with_traceback(None) from None
        return frames

    def close(self) -> None:
        """Says that the input ends. Raises :class:`RemoteProtocolError` (frame.whole) in the middle of a frame."""
        self._check()
        if self._pieces.missing:
            self._pieces.failed = self._pieces.cut(self._codec, self._max_payload)
            raise self._pieces.failed

    def read(self, source: Source) -> Iterator[Frame]:
        """The frames in a binary file, in bytes, or in an iterable of chunks, to its end, each as soon as it is whole.

        Raises as :meth:`feed` and :meth:`close` do, after the frames before the fault. Raises :class:`BlockingIOError`
        if a file has no bytes yet: wait until it can be read, and iterate again, over the same iterator or over a new
        one. The reader belongs to this iterator until it is exhausted.
        """
        self._check()
        # Bytes are a chunk as they are. Any other buffer, such as a file that is mapped, is not copied at once.
        chunks, ended = Chunks((source,) if type(source) is bytes else source, copy=self._pieces.copies), False

        def to_end() -> Iterator[bytes | memoryview]:
            """The chunks; at their end, the fault of a frame that is cut."""
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
            # Each time that an error is raised adds to its traceback.
            raise failed.with_traceback(None)


def checked_max_payload(max_payload: int | None, codec: Codec) -> int:
    """A limit on payloads, the codec's default for None. Raises as :func:`hgproto.runtime.frame.checked_number` does."""
    default, maximum = codec.MAX_PAYLOAD
    if max_payload is None:
        return default
    return checked_number("max_payload", max_payload, 1, maximum)


def read_frames(
    source: Source, *, max_payload: int | None = None, copy: bool = True, codec: Codec | None = None
) -> Iterator[Frame]:
    """The frames in a binary file, in bytes, or in an iterable of chunks; see :meth:`FrameReader.read`."""
    return FrameReader(max_payload=max_payload, copy=copy, codec=codec).read(source)
