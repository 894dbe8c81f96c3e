"""What is wrong with a schema, and where: file, line, column, and what to do."""

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
    """A place in a schema file; line and column count from 1, and are 0 for the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{printable(self.file)}:{self.line}:{self.column}" if self.line else printable(self.file)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault of a schema: the place, what is wrong, and what to do about it."""

    place: Place
    message: str
    help: str

    def __str__(self) -> str:
        return f"{self.place}: {printable(f'{self.message}; {self.help}')}"


class SchemaError(HgprotoError):
    """A schema that cannot be used. ``problems`` holds every fault found, in order of place.

    ``unreadable``: True if a file could not be read, so that nothing is known about the schema.
    ``files``: the files that ``hgproto.language.load`` opened or looked for; a change of one may mend the schema.
    """

    def __init__(self, problems: Sequence[Problem], *, unreadable: bool = False) -> None:
        self.problems = tuple(sorted(set(problems)))
        self.unreadable = unreadable
        self.files: tuple[str, ...] = ()
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


def suggestion(word: str, known: Iterable[str]) -> str:
    """What to write instead of ``word``: the closest known one, or all of them."""
    return Adviser().suggestion(word, known)


class Adviser:
    """Suggests names until it has compared :data:`MAX_COMPARED`: a schema may have thousands of faults."""

    def __init__(self) -> None:
        self._left = MAX_COMPARED

    def suggestion(self, word: str, known: Iterable[str]) -> str:
        """What to write instead of ``word``: the closest known one, or all of them."""
        if self._left <= 0:
            return "correct the name"
        known = sorted(known)
        close = self.closest(word, known)
        return f"did you mean {close!r}?" if close else self.listed(known)

    def listed(self, known: Sequence[str]) -> str:
        """What to write instead of a word that is not like any: one of ``known``, as far as there is room for them."""
        if self._left <= 0:
            return "correct the name"
        self._left -= _price(known)
        more = f" or another of {len(known)}" if len(known) > _MOST_NAMES else ""
        return f"use one of {', '.join(known[:_MOST_NAMES])}{more}" if known else "there is none to refer to"

    def closest(self, word: str, known: Iterable[str]) -> str | None:
        """The name that is most like ``word``, None where none is found.

        Of many names, only those that are about as long are tried.
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
    """What looking through names counts for: a hundredth of comparing them."""
    return 1 + len(names) // 100


MAX_COMPARED = 20_000
"""Names that are compared with those of all faults together: a second or two."""

_MOST_NAMES, _MOST_TRIED, _LONGEST = 100, 500, 200
"""Names in a message, names that are compared with one, and characters of it: a schema may have thousands of faults."""
