"""Sources of the random choices in samples: a seed, or any other source of numbers, such as Hypothesis."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, TypeVar

from hgproto.runtime.frame import check_integer

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Choices", "Seeded", "Simplest"]

T = TypeVar("T")


class Choices:
    """Source of choices. All derive from :meth:`below`; 0 is always the simplest choice, so that samples can shrink."""

    def below(self, end: int) -> int:
        """Chooses a number from 0 up to, but not including, ``end``."""
        raise NotImplementedError

    def among(self, low: int, high: int) -> int:
        """Chooses a number from ``low`` to ``high``, both included."""
        return low + self.below(high - low + 1)

    def pick(self, options: Sequence[T]) -> T:
        """Chooses one of several options. The first option is the simplest."""
        return options[self.below(len(options))]

    def one_in(self, number: int) -> bool:
        """True once in ``number`` times on average. False is the simplest choice."""
        return self.below(number) == number - 1

    def any_bytes(self, least: int, most: int) -> bytes:
        """Chooses from ``least`` to ``most`` arbitrary bytes."""
        return bytes(self.below(256) for _ in range(self.among(least, most)))


class Seeded(Choices):
    """Choices that are the same for the same seed, on every platform and every version of Python.

    They use only ``Random.random()``, the one method whose sequence Python keeps stable.
    """

    def __init__(self, seed: int) -> None:
        check_integer(seed, "seed")
        self._random = Random(seed).random  # noqa: S311 - repeatable, not secret

    def below(self, end: int) -> int:
        """Chooses a number below ``end``. The distribution is uniform as long as ``end`` is far below 2**53."""
        return int(self._random() * end)

    def pick(self, options: Sequence[T]) -> T:
        """Chooses one of several options, like :meth:`Choices.pick` but with one call instead of two."""
        return options[int(self._random() * len(options))]


class Simplest(Choices):
    """Choices that are always the simplest."""

    def below(self, end: int) -> int:  # noqa: ARG002 - 0 is below any
        """Returns 0 for any ``end``."""
        return 0
