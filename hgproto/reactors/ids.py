"""Allocation of ids for requests and streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["Ids"]


class Ids:
    """Allocates the ids of a range in ascending order, and then from its start again (request-id.order).

    ``requirement``: the requirement that is violated if all ids are in use.
    """

    __slots__ = ("_ids", "_next", "_requirement")

    def __init__(self, ids: range, requirement: str) -> None:
        self._ids = ids
        self._next = ids.start
        self._requirement = requirement

    def next(self, used: Container[int]) -> int:
        """Returns the next id that is not in ``used``. Raises :class:`LocalProtocolError` if all are."""
        found = self._next
        for _ in self._ids:
            if found not in used:
                return found
            found = self._after(found)
        raise LocalProtocolError(
            self._requirement, None, "", "an id that is not in use", f"all {len(self._ids)} in use"
        )

    def take(self, taken: int) -> None:
        """Marks an id as used, so that the next one follows it."""
        self._next = self._after(taken)

    def give_back(self, taken: int) -> None:
        """Releases an id that was not used. It becomes the next one again unless another id was taken since."""
        if self._next == self._after(taken):
            self._next = taken

    def _after(self, one: int) -> int:
        after = one + self._ids.step
        return after if after in self._ids else self._ids.start
