"""Where samples get their choices from: a seed, or whoever else can choose a number, such as Hypothesis."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, TypeVar

from hgproto.runtime.frame import check_integer

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Choices", "Seeded", "Simplest"]

T = TypeVar("T")


class Choices:
    """Makes choices, all of them from one kind of choice: a number below another, of which 0 makes for the simplest sample."""

    def below(self, end: int) -> int:
        """A number from 0 to ``end``, which is not one of them."""
        raise NotImplementedError

    def among(self, low: int, high: int) -> int:
        """A number from ``low`` to ``high``, both included."""
        return low + self.below(high - low + 1)

    def pick(self, options: Sequence[T]) -> T:
        """One of several, the first of which is the simplest."""
        return options[self.below(len(options))]

    def one_in(self, number: int) -> bool:
        """True once in so many times; never is simpler."""
        return self.below(number) == number - 1

    def any_bytes(self, least: int, most: int) -> bytes:
        """Any bytes, so many."""
        return bytes(self.below(256) for _ in range(self.among(least, most)))


class Seeded(Choices):
    """The same choices for the same seed, on every platform and every version of Python.

    Of a generator, Python promises that of ``random()`` alone.
    """

    def __init__(self, seed: int) -> None:
        check_integer(seed, "seed")
        self._random = Random(seed).random  # noqa: S311 - repeatable, not secret

    def below(self, end: int) -> int:
        """A number from 0 to ``end``, which is not one of them; even as long as ``end`` is far below 2 to the 53."""
        return int(self._random() * end)

    def pick(self, options: Sequence[T]) -> T:
        """One of several: as of :class:`Choices`, in one call instead of two."""
        return options[int(self._random() * len(options))]


class Simplest(Choices):
    """Always the simplest choice."""

    def below(self, end: int) -> int:  # noqa: ARG002 - 0 is below any
        """0, for any ``end``."""
        return 0
