"""Bytes from and to binary files: every byte arrives, or an exception says that it did not.

Raw files may write less than they are given, and non-blocking ones may have nothing to read yet or no room to write.
Neither is an end, but a pause. :class:`Input`, :class:`Chunks`, and :class:`Output` raise :class:`BlockingIOError` then and
keep their state, so that the caller waits and uses the same object again.

A generator cannot do so, since it is at its end once an exception has left it. An iterator over frames or bytes is
therefore a class that keeps its state, or a :class:`Resumable`.
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
        """A binary file to read from, as far as it is used here."""

        def read(self, size: int, /) -> bytes | None: ...

    Data: TypeAlias = BytesLike | Readable
    """Bytes, or a binary file that has them."""

    class Writable(Protocol):
        """A binary file to write to, as far as it is used here."""

        def write(self, data: bytes | memoryview, /) -> int | None: ...

    Source: TypeAlias = Readable | BytesLike | Iterable[BytesLike]
    """Where bytes come from: a binary file, bytes, or an iterable of chunks."""

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
"""Bytes that are read from a file at a time: large enough that calls do not count, small enough to stay in a cache."""


class Resumable(Unique, chain):  # type: ignore[type-arg]
    """An iterator that can be used again after an exception; see :func:`resumable`."""

    __slots__ = ()


def resumable(begin: Callable[[], Iterator[T] | None]) -> Iterator[T]:
    """Returns an iterator that continues after an exception, where a generator would be at its end.

    ``begin``: returns a new iterator over the items that are left, and None once there are none. It is called again after
    its iterator has ended or raised an exception, and must not raise one itself. The items pass through no Python code.
    """
    return Resumable.from_iterable(iter(begin, None))


def is_file(source: object) -> bool:
    """Returns True for a source of bytes that is read, and not taken as it is."""
    if type(source) is bytes:
        return False
    return (hasattr(source, "read") or hasattr(source, "read1")) and not is_bytes_like(source)


class Input:
    """Bytes that are read from a binary file, buffered or raw.

    Every file is read here, so that its bytes do not depend on the function that it is given to. ``read1()`` is called
    where the file defines it beside ``read()``: it does not wait for more bytes than there are. A class that changes
    ``read()`` alone is read by that.
    """

    __slots__ = ("_file", "_is_read1", "_read")

    def __init__(self, file: Readable) -> None:
        read: Any = getattr(file, "read", None)
        read1: Any = getattr(file, "read1", None)
        self._file = file
        self._is_read1 = None not in (read, read1) and _definer(file, "read1") is _definer(file, "read")
        self._read: Callable[[int], Any] = read1 if self._is_read1 or read is None else read

    def read(self, size: int) -> bytes | memoryview:
        """Returns at least one byte, and none at the end of the file.

        Raises :class:`BlockingIOError` if the file has no bytes yet, and :class:`TypeError` for a file in text mode.
        """
        try:
            data = self._read(size)
        except StopIteration as error:
            # Iterators that read the file would end as if the file had.
            raise RuntimeError("the file raised StopIteration; at its end, read() returns no bytes") from error
        if self._is_read1 and data is not None and not data and not _blocks(self._file):
            # read1() gives b"" at the end, and also when a file has nothing yet. read() tells one from the other.
            data = self._file.read(1)
        if data is None:
            message = "the file has no bytes yet; wait until it can be read, then use the same object again"
            raise BlockingIOError(errno.EAGAIN, message)
        return bytes_like(data, "what a binary file reads")


def _definer(file: Any, name: str) -> object:
    """Returns the object or the class that defines a method of a file; None where a wrapper passes it on."""
    if name in getattr(file, "__dict__", ()):
        return file
    return next((kind for kind in type(file).__mro__ if name in vars(kind)), None)


def _blocks(file: Any) -> bool:
    """Returns True if a file is known to wait for bytes."""
    try:
        return os.get_blocking(file.fileno())
    except (AttributeError, OSError, TypeError, ValueError):
        return False


def whole(source: Source) -> Iterator[bytes]:
    """Yields the chunks of a source for a function that cannot go on after an interruption.

    Raises as :class:`Chunks`; the error of a file that has no bytes yet says that what was read before is lost.
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
    time. ``copy``: give chunks that are ``bytes``, so that no view of the source is held; bytes that are given as one are
    cut to chunks of ``size`` too.

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
    """Yields the bytes of a buffer in chunks; holds no view of it meanwhile."""
    whole: Any = bytes_like(source)
    stop = len(whole)
    # A buffer that has no view of single bytes was copied.
    whole = whole if type(whole) is bytes else source
    for at in range(0, stop, size):
        yield bytes(bytes_like(whole)[at : at + size])


class Output:
    """Bytes that are written to a binary file, all of them and in order.

    ``file``: buffered or raw. :meth:`write` returns once the file has accepted every byte. An exception of the file is
    raised as it is, and the bytes that the file has not accepted are kept in ``rest``; :meth:`flush` continues with them.
    """

    __slots__ = ("_rest", "_write", "written")

    def __init__(self, file: Writable) -> None:
        if not callable(getattr(file, "write", None)):
            raise TypeError(f"file must be a binary file, not {type(file).__name__}")
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
        self._rest.extend(filter(len, map(bytes_like, buffers)))
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

    def keep(self) -> None:
        """Copies whatever is left and could be changed by its owner, and releases the views of it."""
        kept = [kept_bytes(view) for view in self._rest]
        for copy, view in zip(kept, self._rest, strict=True):
            if copy is not view:
                _release(view)
        self._rest = deque(kept)

    def forget(self) -> None:
        """Drops whatever is left. The views of it are released, since frames of a traceback can hold them."""
        while self._rest:
            _release(self._rest.popleft())

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


def lost_rest(written: int, remedy: str) -> BlockingIOError:
    """Returns the error of a function that keeps nothing of what a file has no room for."""
    message = f"the file has no room for more bytes: it accepted {written}, and the rest was not kept; {remedy}"
    return BlockingIOError(errno.EAGAIN, message, written)


def _release(view: bytes | memoryview) -> None:
    if isinstance(view, memoryview):
        with suppress(BufferError):
            view.release()


def write_all(file: Writable, data: BytesLike) -> None:
    """Writes all bytes of ``data`` to a binary file, or raises.

    Raises whatever the file raises. Raises :class:`BlockingIOError` if the file has no room; its ``characters_written``
    says how many bytes the file has accepted.
    """
    output = Output(file)
    try:
        output.write(data)
    except BaseException as error:
        if isinstance(error, BlockingIOError) and output.pending:
            error = lost_rest(output.written, "write the rest once it can be written")
        output.forget()
        raise error from None
