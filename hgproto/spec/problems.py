"""What is wrong with a schema, and where: file, line, column, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from hgproto.errors import HgprotoError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Place", "Problem", "SchemaError", "suggestion"]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in a schema file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{printable(self.file)}:{self.line}:{self.column}"


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
    """

    def __init__(self, problems: Sequence[Problem], *, unreadable: bool = False) -> None:
        self.problems = tuple(sorted(set(problems)))
        self.unreadable = unreadable
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


def suggestion(word: str, known: Iterable[str]) -> str:
    """What to write instead of ``word``: the closest known one, or all of them."""
    known = sorted(known)
    close = get_close_matches(word, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"use one of {', '.join(known)}" if known else "there is none to refer to"
