"""Bytes that are handed over piece by piece, to whoever reads them as a binary file."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hgproto.runtime.bytelike import kept_bytes
from hgproto.runtime.frame import Unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hgproto.runtime.bytelike import BytesLike

__all__ = ["Pushed"]


class Pushed(Unique):
    """A binary file to which bytes are added while it is read. It has nothing yet until there are more, or the end.

    ``ended``: no more bytes will be added. ``error``: is raised instead of the end.
    """

    __slots__ = ("_chunks", "ended", "error")

    def __init__(self) -> None:
        self._chunks: deque[bytes | memoryview] = deque()
        self.ended = False
        self.error: Exception | None = None

    def add(self, data: BytesLike) -> None:
        """Adds bytes at the end; bytes that their owner can change are copied."""
        chunk = kept_bytes(data, "data")
        if chunk:
            self._chunks.append(chunk)

    def clear(self) -> None:
        """Drops all bytes that were not read."""
        self._chunks.clear()

    def read(self, size: int, /) -> bytes | None:
        """Returns at most ``size`` bytes; None if there are none yet, and no bytes at the end."""
        if not self._chunks:
            if self.error is not None:
                raise self.error
            return b"" if self.ended else None
        chunk = self._chunks.popleft()
        if len(chunk) > size:
            self._chunks.appendleft(memoryview(chunk)[size:])
            chunk = memoryview(chunk)[:size]
        return bytes(chunk)

    def payloads(self, type_: int, more: int, last: int, size: int) -> Iterator[tuple[int, int, bytes]]:
        """Returns an iterator over what there is, as payloads of one type; it raises BlockingIOError while there is nothing.

        ``more`` and ``last``: the flags. ``size``: bytes of a payload at most.
        """
        return _Payloads(self, (type_, more, last, size))


class _Payloads:
    __slots__ = ("_ended", "_numbers", "_pushed")

    def __init__(self, pushed: Pushed, numbers: tuple[int, int, int, int]) -> None:
        self._pushed = pushed
        self._numbers = numbers
        self._ended = False

    def __iter__(self) -> _Payloads:
        return self

    def __next__(self) -> tuple[int, int, bytes]:
        if self._ended:
            raise StopIteration
        type_, more, last, size = self._numbers
        payload = self._pushed.read(size)
        if payload is None:
            raise BlockingIOError("no bytes yet: the data was neither continued nor ended")
        self._ended = not payload
        return type_, last if self._ended else more, payload
