"""Bytes from and to binary files: every byte arrives, or an exception says that it did not.

Raw files may write less than they are given, and non-blocking ones may have nothing to read yet or no room to write.
Neither is an end. :class:`Chunks` and :class:`Output` raise :class:`BlockingIOError` then and keep their state, so that
the caller waits and uses the same object again.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from io import BufferedIOBase

from hgproto.bytelike import bytes_like, is_bytes_like
from hgproto.errors import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, BinaryIO, TypeAlias

    from hgproto.bytelike import BytesLike

    Source: TypeAlias = BinaryIO | BytesLike | Iterable[BytesLike]
    """Where bytes come from: a binary file, bytes, or an iterable of chunks."""

__all__ = ["CHUNK_OCTETS", "Chunks", "Output", "nothing_yet", "write_all"]

CHUNK_OCTETS = 1 << 18
"""Bytes that are read from a file at a time: large enough that calls do not count, small enough to stay in a cache."""


class Chunks:
    """An iterator over the bytes of a source, in chunks that are not empty.

    ``source``: a binary file, bytes, or an iterable of chunks. ``size``: the most bytes that are read from a file at a
    time. ``cut``: cut bytes that are given as one to chunks of ``size`` too.

    Raises :class:`BlockingIOError` if a file has no bytes yet; the same iterator then continues when it has. Raises
    :class:`TypeError` for text, for integers, and for a file in text mode.
    """

    __slots__ = ("_chunks", "_file", "_may_block", "_read", "_size")

    def __init__(self, source: Source, size: int = CHUNK_OCTETS, *, cut: bool = False) -> None:
        self._size = size
        self._chunks: Iterator[Any] = iter(())
        self._file: Any = None
        read: Any = getattr(source, "read1", None) or getattr(source, "read", None)
        self._read: Callable[[int], Any] | None = read
        self._may_block = False
        if read is not None:
            self._file = source
            # read1() of a buffered file gives b"" at the end, and also when a non-blocking file has nothing yet.
            self._may_block = isinstance(source, BufferedIOBase) and not _blocks(source)
        elif is_bytes_like(source):
            data = bytes_like(source)  # type: ignore[arg-type]
            self._chunks = (data[at : at + size] for at in range(0, len(data), size)) if cut else iter((data,))
        elif isinstance(source, str) or not hasattr(source, "__iter__"):
            kind = type(source).__name__
            raise TypeError(f"the source must be a binary file, bytes, or an iterable of bytes, not {kind}")
        else:
            self._chunks = iter(source)  # type: ignore[arg-type]

    def __iter__(self) -> Chunks:
        return self

    def __next__(self) -> bytes | memoryview:
        if self._read is None:
            while not (chunk := bytes_like(next(self._chunks), "a chunk")):
                pass
            return chunk
        chunk = self._read(self._size)
        if not chunk and self._may_block and chunk is not None:
            chunk = self._file.read(1)
        if chunk is None:
            raise nothing_yet()
        octets = bytes_like(chunk, "what a binary file reads")
        if not octets:
            raise StopIteration
        return octets


def nothing_yet() -> BlockingIOError:
    """Returns the error for a file that has no bytes yet."""
    message = "the file has no bytes yet; wait until it can be read, then use the same object again"
    return BlockingIOError(errno.EAGAIN, message)


def _blocks(file: Any) -> bool:
    """True if a file is known to wait for bytes."""
    try:
        return os.get_blocking(file.fileno())
    except (AttributeError, OSError, ValueError):
        return False


class Output:
    """Bytes that are written to a binary file, all of them and in order.

    ``file``: buffered or raw. :meth:`write` returns once the file has accepted every byte. An exception of the file is
    raised as it is, and the bytes that the file has not accepted are kept in ``rest``; :meth:`flush` continues with them.
    """

    __slots__ = ("_rest", "_write", "written")

    def __init__(self, file: BinaryIO) -> None:
        self._write: Callable[[bytes | memoryview], Any] = file.write
        self._rest: deque[bytes | memoryview] = deque()
        self.written = 0
        """Bytes that the file has accepted."""

    @property
    def rest(self) -> bytes:
        """The bytes that the file has not accepted."""
        return b"".join(self._rest)

    @property
    def pending(self) -> bool:
        """True if there are bytes that the file has not accepted."""
        return bool(self._rest)

    def write(self, *buffers: BytesLike) -> None:
        """Writes whatever an earlier call has left, then ``buffers``.

        Raises :class:`BlockingIOError` if the file has no room; its ``characters_written`` is :attr:`written`. Wait until
        the file can be written, then call :meth:`flush`.
        """
        for buffer in buffers:
            if len(view := bytes_like(buffer)):
                self._rest.append(view)
        self.flush()

    def flush(self) -> None:
        """Writes whatever is left. Raises as :meth:`write` does. The file itself is not flushed."""
        rest, write = self._rest, self._write
        while rest:
            try:
                count = write(rest[0])
            except BlockingIOError as error:
                # A buffered file has accepted as much as its buffer can hold.
                self._accept(getattr(error, "characters_written", 0))
                raise self._no_room() from error
            if count is None:
                raise self._no_room()
            if not count:
                raise OSError(errno.EIO, "the file accepted no bytes, and gave no reason")
            self._accept(count)

    def _accept(self, count: int) -> None:
        """Counts bytes that the file has accepted."""
        size = len(self._rest[0])
        if not 0 <= count <= size:
            raise OSError(errno.EIO, f"the file says that it accepted {count} of {counted(size, 'byte')}")
        self.written += count
        if count == size:
            self._rest.popleft()
        elif count:
            self._rest[0] = memoryview(self._rest[0])[count:]

    def _no_room(self) -> BlockingIOError:
        message = "the file has no room for more bytes; wait until it can be written, then flush the same object"
        return BlockingIOError(errno.EAGAIN, message, self.written)


def write_all(file: BinaryIO, data: BytesLike) -> None:
    """Writes all bytes of ``data`` to a binary file, or raises.

    Raises whatever the file raises. Raises :class:`BlockingIOError` if the file has no room; its ``characters_written``
    says how many bytes the file has accepted.
    """
    Output(file).write(data)
