"""Faults of a schema: their place (file, line, and column), a message, and advice."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING

from hgproto.errors import HgprotoError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Adviser", "Place", "Problem", "SchemaError", "suggestion"]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in a schema file. Line and column count from 1, and are 0 for the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{printable(self.file)}:{self.line}:{self.column}" if self.line else printable(self.file)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault of a schema: the place, the fault, and the remedy."""

    place: Place
    message: str
    help: str

    def __str__(self) -> str:
        return f"{self.place}: {printable(f'{self.message}; {self.help}')}"


class SchemaError(HgprotoError):
    """The exception for a schema with faults. ``problems``: every fault that was found, in order of place.

    ``unreadable``: True if a file could not be read, so that the schema could not be checked.
    ``files``: the files that ``hgproto.language.load`` opened or looked for; a change to one of them may fix the schema.
    """

    def __init__(self, problems: Sequence[Problem], *, unreadable: bool = False) -> None:
        self.problems = tuple(sorted(set(problems)))
        self.unreadable = unreadable
        self.files: tuple[str, ...] = ()
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


def suggestion(word: str, known: Iterable[str]) -> str:
    """Returns advice for an unknown ``word``: the closest known name, or the known names."""
    return Adviser().suggestion(word, known)


class Adviser:
    """Suggests names, up to :data:`MAX_COMPARED` comparisons, since a schema may have thousands of faults."""

    def __init__(self) -> None:
        self._left = MAX_COMPARED

    def suggestion(self, word: str, known: Iterable[str]) -> str:
        """Returns advice for an unknown ``word``: the closest known name, or the known names."""
        if self._left <= 0:
            return "correct the name"
        known = sorted(known)
        close = self.closest(word, known)
        return f"did you mean {close!r}?" if close else self.listed(known)

    def listed(self, known: Sequence[str]) -> str:
        """Returns advice that lists the ``known`` names, up to :data:`_MOST_NAMES` of them."""
        if self._left <= 0:
            return "correct the name"
        self._left -= _price(known)
        more = f" or another of {len(known)}" if len(known) > _MOST_NAMES else ""
        return f"use one of {', '.join(known[:_MOST_NAMES])}{more}" if known else "there is none to refer to"

    def closest(self, word: str, known: Iterable[str]) -> str | None:
        """Returns the known name that is most similar to ``word``; None if no name is similar.

        Among many names, it compares only some: those of a similar length that begin or end with a character of ``word``.
        """
        if self._left <= 0:
            return None
        known = list(known)
        self._left -= _price(known)
        if len(known) > _MOST_TRIED:
            alike = (name for name in known if abs(len(name) - len(word)) < 3 and {name[:1], name[-1:]} & {*word})
            known = list(islice(alike, _MOST_TRIED))
        self._left -= len(known)
        close = get_close_matches(word[:_LONGEST], known, n=1)
        return close[0] if close else None


def _price(names: Sequence[str]) -> int:
    """Returns the price of iterating over names, in comparisons: a hundredth of their number."""
    return 1 + len(names) // 100


MAX_COMPARED = 20_000
"""The largest number of comparisons of names for all faults of a schema: a second or two."""

_MOST_NAMES, _MOST_TRIED, _LONGEST = 100, 500, 200
"""The largest number of names in a message, of names compared with one word, and of characters compared of the word."""
