"""Input from and output to binary files. Either every byte arrives, or an exception is raised.

Raw files may write fewer bytes than requested. Non-blocking files may have no bytes to read yet, or no room to write.
That is a pause, not an end. :class:`Input`, :class:`Chunks`, and :class:`Output` then raise :class:`BlockingIOError`
and keep their state, so that the caller can wait and use the same object again.

A generator cannot do so, because it ends when it raises an exception. So each iterator over frames or bytes is a class
that keeps its state, or a :class:`Resumable`.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from contextlib import suppress
from itertools import chain

from hgproto.errors import counted
from hgproto.runtime.bytelike import as_bytes, bytes_like, is_bytes_like, kept_bytes
from hgproto.runtime.frame import Unique

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Protocol, TypeAlias, TypeVar

    T = TypeVar("T")

    from hgproto.runtime.bytelike import BytesLike

    class Readable(Protocol):
        """A binary file to read from, with the only method that is needed."""

        def read(self, size: int, /) -> bytes | None: ...

    Data: TypeAlias = BytesLike | Readable
    """Bytes, or a binary file to read them from."""

    class Writable(Protocol):
        """A binary file to write to, with the only method that is needed."""

        def write(self, data: bytes | memoryview, /) -> int | None: ...

    Source: TypeAlias = Readable | BytesLike | Iterable[BytesLike]
    """A source of bytes: a binary file, bytes, or an iterable of chunks."""

__all__ = [
    "CHUNK_BYTES",
    "Chunks",
    "Input",
    "Output",
    "Resumable",
    "is_file",
    "lost_rest",
    "resumable",
    "whole",
    "write_all",
]

CHUNK_BYTES = 1 << 18
"""Bytes that are read from a file at a time: few calls, and small enough for the processor's cache."""


class Resumable(Unique, chain):  # type: ignore[type-arg]
    """An iterator that can be used again after an exception; see :func:`resumable`."""

    __slots__ = ()


def resumable(begin: Callable[[], Iterator[T] | None]) -> Iterator[T]:
    """Returns an iterator that continues after an exception, unlike a generator.

    ``begin``: returns a new iterator over the remaining items, or None at the end. It is called again after its
    iterator has ended or raised an exception, and must not raise one itself. The items pass through no Python code.
    """
    return Resumable.from_iterable(iter(begin, None))


def is_file(source: object) -> bool:
    """Returns True for a source with a ``read`` method, unlike bytes and iterables of chunks."""
    if type(source) is bytes:
        return False
    return (hasattr(source, "read") or hasattr(source, "read1")) and not is_bytes_like(source)


class Input:
    """Bytes that are read from a binary file, buffered or raw.

    All files are read by this class, so that every function reads the same bytes. If the class of a file defines both
    ``read()`` and ``read1()``, it calls ``read1()``, which does not wait for more bytes than are available. If a class
    overrides only ``read()``, it calls that.
    """

    __slots__ = ("_file", "_is_read1", "_read")

    def __init__(self, file: Readable) -> None:
        read: Any = getattr(file, "read", None)
        read1: Any = getattr(file, "read1", None)
        self._file = file
        self._is_read1 = None not in (read, read1) and _definer(file, "read1") is _definer(file, "read")
        self._read: Callable[[int], Any] = read1 if self._is_read1 or read is None else read

    def read(self, size: int) -> bytes | memoryview:
        """Reads at least one byte, or returns ``b""`` at the end of the file.

        Raises :class:`BlockingIOError` if the file has no bytes yet, and :class:`TypeError` for a file in text mode.
        """
        try:
            data = self._read(size)
        except StopIteration as error:
            # An iterator over the file would mistake the exception for the end of the file.
            raise RuntimeError("the file raised StopIteration; at its end, read() returns no bytes") from error
        if self._is_read1 and data is not None and not data and not _blocks(self._file):
            # `read1()` returns b"" at the end, and also if a file has no bytes yet. `read()` distinguishes the two.
            data = self._file.read(1)
        if data is None:
            message = "the file has no bytes yet; wait until it can be read, then use the same object again"
            raise BlockingIOError(errno.EAGAIN, message)
        return bytes_like(data, "what a binary file reads")


def _definer(file: Any, name: str) -> object:
    """Returns the object or class that defines a method of a file, or None if a wrapper forwards it."""
    if name in getattr(file, "__dict__", ()):
        return file
    return next((kind for kind in type(file).__mro__ if name in vars(kind)), None)


def _blocks(file: Any) -> bool:
    """Returns True if a file is known to block until it has bytes."""
    try:
        return os.get_blocking(file.fileno())
    except (AttributeError, OSError, TypeError, ValueError):
        return False


def whole(source: Source) -> Iterator[bytes]:
    """Yields the chunks of a source for a function that cannot continue after an interruption.

    Raises as :class:`Chunks`. If a file has no bytes yet, the error states that the bytes that were read are lost.
    """
    chunks: Iterator[Any] = iter(Chunks(source, copy=True))
    try:
        yield from chunks
    except BlockingIOError:
        message = (
            "the file has no bytes yet, and what was read before is not kept here; use a file that blocks, or the bytes"
        )
        raise BlockingIOError(errno.EAGAIN, message) from None


class Chunks:
    """An iterator over the bytes of a source, in chunks that are not empty.

    ``source``: a binary file, bytes, or an iterable of chunks. ``size``: the most bytes that are read from a file at a
    time. ``copy``: return chunks of type ``bytes``, so that no view of the source is held. A buffer is then split into
    chunks of ``size`` too.

    Raises :class:`BlockingIOError` if a file has no bytes yet; the same iterator then continues when it has. Raises
    :class:`TypeError` for text, for integers, and for a file in text mode.
    """

    __slots__ = ("_as_chunk", "_chunks", "_input", "_size")

    def __init__(self, source: Source, size: int = CHUNK_BYTES, *, copy: bool = False) -> None:
        self._size = size
        self._as_chunk: Callable[[BytesLike, str], bytes | memoryview] = as_bytes if copy else bytes_like
        self._chunks: Iterator[Any] = iter(())
        self._input: Input | None = None
        if is_bytes_like(source):
            self._chunks = _cut(source, size) if copy else iter((source,))
        elif is_file(source):
            self._input = Input(source)  # type: ignore[arg-type]
        elif isinstance(source, str) or not hasattr(source, "__iter__"):
            kind = type(source).__name__
            raise TypeError(f"the source must be a binary file, bytes, or an iterable of bytes, not {kind}")
        else:
            self._chunks = iter(source)  # type: ignore[arg-type]

    def __iter__(self) -> Chunks:
        return self

    def __next__(self) -> bytes | memoryview:
        if self._input is None:
            while not (chunk := self._as_chunk(next(self._chunks), "a chunk")):
                pass
            return chunk
        data = self._input.read(self._size)
        if not data:
            raise StopIteration
        return self._as_chunk(data, "a chunk")


def _cut(source: Any, size: int) -> Iterator[bytes]:
    """Yields the bytes of a buffer in chunks, and holds no view of it in between."""
    whole: Any = bytes_like(source)
    stop = len(whole)
    # `bytes_like` has copied a buffer without a view of single bytes.
    whole = whole if type(whole) is bytes else source
    for at in range(0, stop, size):
        yield bytes(bytes_like(whole)[at : at + size])


class Output:
    """A writer to a binary file, which writes all bytes in order.

    ``file``: buffered or raw. :meth:`write` returns once the file has accepted every byte. If the file raises an
    exception, it is raised unchanged, and ``rest`` keeps the bytes that the file has not accepted; :meth:`flush`
    continues with them.
    """

    __slots__ = ("_rest", "_write", "written")

    def __init__(self, file: Writable) -> None:
        if not callable(getattr(file, "write", None)):
            raise TypeError(f"file must be a binary file, not {type(file).__name__}")
        self._write: Callable[[bytes | memoryview], Any] = file.write
        self._rest: deque[bytes | memoryview] = deque()
        self.written = 0
        """The number of bytes that the file has accepted."""

    @property
    def rest(self) -> bytes:
        """The bytes that the file has not accepted."""
        return b"".join(self._rest)

    @property
    def pending(self) -> bool:
        """True if there are bytes that the file has not accepted."""
        return bool(self._rest)

    def write(self, *buffers: BytesLike) -> None:
        """Writes the bytes that an earlier call has left, then ``buffers``.

        Raises :class:`BlockingIOError` if the file has no room; its ``characters_written`` is :attr:`written`. Wait until
        the file can be written, then call :meth:`flush`.
        """
        self._rest.extend(filter(len, map(bytes_like, buffers)))
        self.flush()

    def flush(self) -> None:
        """Writes the remaining bytes. Raises as :meth:`write` does. The file itself is not flushed."""
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
                raise OSError(errno.EIO, "the file accepted no bytes and reported no reason")
            self._accept(count)

    def keep(self) -> None:
        """Copies remaining bytes of mutable buffers, and releases the views of these buffers."""
        kept = [kept_bytes(view) for view in self._rest]
        for copy, view in zip(kept, self._rest, strict=True):
            if copy is not view:
                _release(view)
        self._rest = deque(kept)

    def forget(self) -> None:
        """Discards the remaining bytes. Releases the views of them, because a traceback may keep the views alive."""
        while self._rest:
            _release(self._rest.popleft())

    def _accept(self, count: int) -> None:
        """Removes the bytes that the file has accepted, and counts them."""
        size = len(self._rest[0])
        if not 0 <= count <= size:
            raise OSError(errno.EIO, f"the file reports that it accepted {count} of {counted(size, 'byte')}")
        self.written += count
        if count == size:
            self._rest.popleft()
        elif count:
            self._rest[0] = memoryview(self._rest[0])[count:]

    def _no_room(self) -> BlockingIOError:
        message = "the file has no room for more bytes; wait until it can be written, then flush the same object"
        return BlockingIOError(errno.EAGAIN, message, self.written)


def lost_rest(written: int, remedy: str) -> BlockingIOError:
    """Returns the error of a function that does not keep the bytes that a file has no room for."""
    message = f"the file has no room for more bytes: it accepted {written}, and the rest was not kept; {remedy}"
    return BlockingIOError(errno.EAGAIN, message, written)


def _release(view: bytes | memoryview) -> None:
    if isinstance(view, memoryview):
        with suppress(BufferError):
            view.release()


def write_all(file: Writable, data: BytesLike) -> None:
    """Writes all bytes of ``data`` to a binary file, or raises an exception.

    Raises :class:`BlockingIOError` if the file has no room; its ``characters_written`` is the number of bytes that the
    file has accepted. Other exceptions of the file are raised unchanged.
    """
    output = Output(file)
    try:
        output.write(data)
    except BaseException as error:
        if isinstance(error, BlockingIOError) and output.pending:
            error = lost_rest(output.written, "write the rest once it can be written")
        output.forget()
        raise error from None
