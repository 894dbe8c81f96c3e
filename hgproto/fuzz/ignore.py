"""Known faults that a campaign does not report, selected by kind, requirement, or cause."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from hgproto.errors import quoted
from hgproto.revisions.revision import default_revision

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["KINDS", "Ignored"]

KINDS = {
    "crash": "the target crashed",
    "hang": "the target did not end in time",
    "growth": "the memory of the target grew far more than the case has bytes",
    "accepts-invalid": "the target accepted invalid input",
    "rejects-valid": "the target rejected a valid session",
    "different-answer": "the target decoded something else from the same bytes",
    "breaks-rule": "the output of the target violates a requirement",
    "early-answer": "the target responded before the end of input, although it defers responses",
}
"""The kinds of faults, with their descriptions."""
_CAUSE = "cause:"


class _Pattern(NamedTuple):
    """A pattern of faults: a glob for each part of the key."""

    kind: str
    rule: str
    cause: str


class Ignored:
    """Selector of faults by words.

    Each word is one of these, and a pattern has the wildcards ``*``, ``?``, and ``[...]``:

    * a kind (``hang``), or a kind with a pattern of its requirement or cause (``crash:IndexError*``);
    * a pattern of requirement ids (``stream.*``);
    * ``cause:`` with a pattern of causes (``cause:*in serve (mine.py:N)``).

    Raises :class:`ValueError` for a word that can select nothing.
    """

    def __init__(self, words: Iterable[str] = ()) -> None:
        self._patterns = [pattern for word in words for pattern in _patterns(word)]

    def has(self, kind: str, rule: str, cause: str) -> bool:
        """True for a fault that any word selects."""
        return any(
            fnmatchcase(kind, one.kind) and fnmatchcase(rule, one.rule) and fnmatchcase(cause, one.cause)
            for one in self._patterns
        )


def _patterns(word: str) -> Iterable[_Pattern]:
    kind, colon, rest = word.partition(":")
    if colon and not rest:
        # An empty pattern would select every fault without a requirement.
        raise ValueError(f"there is no pattern after {quoted(word)}; add one, or remove the colon")
    if word.startswith(_CAUSE):
        return [_Pattern("*", "*", rest)]
    if kind in KINDS:
        return [_Pattern(kind, rest, "*"), _Pattern(kind, "*", rest)] if colon else [_Pattern(kind, "*", "*")]
    if not any(fnmatchcase(one, word) for one in default_revision().requirements):
        raise ValueError(
            f"there is no requirement {quoted(word)}; expected a pattern of requirement ids, cause:PATTERN, or one of the kinds "
            f"{', '.join(KINDS)}"
        )
    return [_Pattern("*", word, "*")]
