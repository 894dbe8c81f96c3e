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

    def take(self, used: Container[int]) -> int:
        """The next id that is not in ``used``. Raises :class:`LocalProtocolError` when all are."""
        for _ in range(len(self)):
            taken = self._next
            self._next = taken + 2 if taken + 2 < self._end else self._first
            if taken not in used:
                return taken
        raise LocalProtocolError(self._requirement, None, "", "an id that is not in use", f"all {len(self)} in use")

    def __len__(self) -> int:
        """How many ids there are."""
        return (self._end - self._first + 1) // 2
