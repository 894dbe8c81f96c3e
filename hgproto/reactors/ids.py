"""Ids of requests and streams, as those who open them hand them out (section 1.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["Ids"]


class Ids:
    """Ids of one parity in ascending order, from ``first`` in steps of two, below ``end``; then from the start again.

    (request-id.order, stream-id.parity.)
    """

    __slots__ = ("_end", "_first", "_next", "_requirement")

    def __init__(self, first: int, end: int, requirement: str) -> None:
        self._first = first
        self._next = first
        self._end = end
        self._requirement = requirement

    def next(self, used: Container[int]) -> int:
        """The next id that is not in ``used``, and is not taken yet. Raises :class:`LocalProtocolError` when all are."""
        found = self._next
        for _ in range(len(self)):
            if found not in used:
                return found
            found = self._after(found)
        raise LocalProtocolError(self._requirement, None, "", "an id that is not in use", f"all {len(self)} in use")

    def take(self, taken: int) -> None:
        """Takes an id; the next one comes after it."""
        self._next = self._after(taken)

    def _after(self, one: int) -> int:
        return one + 2 if one + 2 < self._end else self._first

    def __len__(self) -> int:
        """How many ids there are."""
        return (self._end - self._first + 1) // 2
