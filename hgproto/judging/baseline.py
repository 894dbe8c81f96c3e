"""Baselines: known findings, each with a reason, and a date after which the finding counts again.

A baseline is a TOML file with a table for each known finding::

    [[known]]
    requirement = "text-output.newline"     # an id or a glob
    input = "captures/*.bin"                # a glob; all inputs without it
    path = "frames[[]*].payload.*"          # a glob; all places without it
    reason = "the old server never ends its last atom in a newline"
    expires = 2027-06-30

"""

from __future__ import annotations

import tomllib
from datetime import date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.errors import HgprotoError, TextError, quoted
from hgproto.runtime.shapes import brief
from hgproto.system.bom import unmarked

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from hgproto.judging.finding import Finding

__all__ = ["Baseline", "BaselineError", "Known", "selects"]

_TEXTS = ("requirement", "input", "path", "reason")
_NEEDED = ("requirement", "reason", "expires")


class BaselineError(HgprotoError):
    """A file that is not a valid baseline. For a file that cannot be read, the cause is the :class:`OSError`."""


class Known(NamedTuple):
    """An entry of a baseline. ``line``: its line in the file, 0 if unknown. The module describes the other attributes."""

    requirement: str
    reason: str
    expires: date
    input: str | None
    path: str | None
    line: int

    def covers(self, name: str, finding: Finding) -> bool:
        """Returns True if the entry matches a finding in the input of that name."""
        return (
            fnmatchcase(finding.id, self.requirement)
            and (self.input is None or fnmatchcase(name, self.input))
            and (self.path is None or fnmatchcase(finding.path, self.path))
        )


class Baseline:
    """The entries of a baseline, and those that have matched a finding. ``path``: that of the file, for messages."""

    def __init__(self, path: str, known: Sequence[Known]) -> None:
        self.path = path
        self._known = tuple(known)
        self._met: set[Known] = set()

    @classmethod
    def load(cls, path: str, requirements: Collection[str]) -> Baseline:
        """Reads a file. Raises :class:`BaselineError`, with the line, for invalid content.

        ``requirements``: the known ids.
        """
        try:
            text = unmarked(Path(path).read_bytes()).decode("utf-8")
            data = tomllib.loads(text)
        except OSError as error:
            raise BaselineError(f"{path}: {error.strerror}") from error
        except (TextError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise BaselineError(f"{path}: expected TOML: {error}") from None
        except ValueError:
            raise BaselineError(
                f"{path}: expected TOML: found a number with too many digits; write texts and dates"
            ) from None
        except RecursionError:
            raise BaselineError(f"{path}: expected TOML: found brackets that are nested too deep") from None
        for key in data:
            if key != "known":
                raise BaselineError(f"{path}: expected tables called known, found {quoted(key)}")
        if not isinstance(data.get("known", []), list):
            raise BaselineError(f"{path}: expected tables called known in double brackets")
        lines = [number for number, line in enumerate(text.split("\n"), 1) if line.strip().startswith("[[known]]")]
        tables = data.get("known", [])
        if len(lines) != len(tables):
            # For tables in another notation, the lines are unknown.
            lines = [0] * len(tables)
        return cls(path, [_known(path, line, table, requirements) for line, table in zip(lines, tables, strict=True)])

    def match(self, name: str, finding: Finding, today: date) -> Known | None:
        """Returns the first entry that matches a finding in the input of that name, or None. Ignores expired entries."""
        for known in self._known:
            if known.expires >= today and known.covers(name, finding):
                self._met.add(known)
                return known
        return None

    def place(self, known: Known) -> str:
        """Returns the place of an entry, for messages."""
        return f"{self.path}:{known.line}" if known.line else self.path

    def expired(self, today: date) -> list[Known]:
        """Returns the expired entries."""
        return [known for known in self._known if known.expires < today]

    def unused(self, today: date) -> list[Known]:
        """Returns the entries that have not expired and have matched no finding, so that they can be removed."""
        return [known for known in self._known if known.expires >= today and known not in self._met]


def _known(path: str, line: int, table: Any, requirements: Collection[str]) -> Known:
    here = f"{path}:{line}" if line else path
    if not isinstance(table, dict):
        raise BaselineError(f"{here}: expected a table, found {brief(table)}")
    for key in table:
        if key not in (*_TEXTS, "expires"):
            raise BaselineError(f"{here}: expected {', '.join(_TEXTS)} or expires, found {quoted(key)}")
    for key in _NEEDED:
        if key not in table:
            raise BaselineError(f"{here}: the key {quoted(key)} is missing")
    for key in _TEXTS:
        if not isinstance(table.get(key, "x"), str) or not table.get(key, "x").strip():
            raise BaselineError(f"{here}: {key}: expected a text, found {brief(table[key])}")
    expires = table["expires"]
    if not isinstance(expires, date) or isinstance(expires, datetime):
        raise BaselineError(f"{here}: expires: expected a date such as 2027-06-30, found {brief(expires)}")
    if not any(fnmatchcase(name, table["requirement"]) for name in requirements):
        raise BaselineError(f"{here}: requirement: there is no requirement {quoted(table['requirement'])}")
    return Known(table["requirement"], table["reason"], expires, table.get("input"), table.get("path"), line)


def selects(requirement: str, select: Sequence[str], ignore: Sequence[str]) -> bool:
    """Returns True if a requirement is selected and not ignored, by ids or globs. An empty ``select`` selects all."""
    return (not select or any(fnmatchcase(requirement, one) for one in select)) and not any(
        fnmatchcase(requirement, one) for one in ignore
    )
