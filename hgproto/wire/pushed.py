"""A binary file that is written while it is read."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hgproto.runtime.bytelike import kept_bytes
from hgproto.runtime.frame import Unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hgproto.runtime.bytelike import BytesLike

__all__ = ["Pushed", "PushedPayloads"]


class Pushed(Unique):
    """A binary file that grows while it is read. Until the end, a reader must wait if there are no bytes.

    ``ended``: True once all bytes were added. ``error``: an exception for readers instead of the end, which must be set
    before ``ended``. One thread can add bytes while another one reads.
    """

    __slots__ = ("_chunks", "ended", "error")

    def __init__(self) -> None:
        self._chunks: deque[bytes | memoryview] = deque()
        self.ended = False
        self.error: Exception | None = None

    def add(self, data: BytesLike) -> None:
        """Adds bytes at the end. Mutable buffers are copied."""
        chunk = kept_bytes(data, "data")
        if chunk:
            self._chunks.append(chunk)

    def clear(self) -> None:
        """Discards all bytes that were not read."""
        self._chunks.clear()

    def read(self, size: int, /) -> bytes | None:
        """Returns at most ``size`` bytes, None if no bytes are available yet, or ``b""`` at the end."""
        # Read first: if the end is seen, all bytes were added before.
        ended = self.ended
        if not self._chunks:
            if self.error is not None:
                raise self.error
            return b"" if ended else None
        chunk = self._chunks.popleft()
        if len(chunk) > size:
            self._chunks.appendleft(memoryview(chunk)[size:])
            chunk = memoryview(chunk)[:size]
        return bytes(chunk)

    def payloads(self, type_: int, more: int, last: int, size: int) -> Iterator[tuple[int, int, bytes]]:
        """Returns an iterator over the bytes as payloads of one type. It raises BlockingIOError while it has no bytes.

        ``more`` and ``last``: the flags. ``size``: the most bytes of a payload.
        """
        return PushedPayloads(self, (type_, more, last, size))


class PushedPayloads:
    """The payloads of a file that is written while it is read; see :meth:`Pushed.payloads`."""

    __slots__ = ("_ended", "_numbers", "_pushed")

    def __init__(self, pushed: Pushed, numbers: tuple[int, int, int, int]) -> None:
        self._pushed = pushed
        self._numbers = numbers
        self._ended = False

    def __iter__(self) -> PushedPayloads:
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
