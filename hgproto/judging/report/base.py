"""What every report is: told of inputs and their findings one by one, it writes as it goes.

Invariants: nothing is gathered that grows with the input, but for what a format has to say beforehand, and that is bounded;
text from the input never reaches the output raw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgproto.errors import printable
from hgproto.judging.finding import ERROR, WARNING
from hgproto.wire.jsonform import MOST_INCOMPLETE

if TYPE_CHECKING:
    from typing import TextIO

    from hgproto.judging.baseline import Known
    from hgproto.judging.finding import Finding

__all__ = [
    "MISSING_PACKAGE",
    "TOO_MANY_INCOMPLETE",
    "UNREADABLE_CONTENT",
    "UNREADABLE_FILE",
    "Report",
    "Unreadable",
    "printable",
    "well_formed",
]


UNREADABLE_CONTENT = "input.content"
"""The rule of an input whose content cannot be understood."""
UNREADABLE_FILE = "input.file"
"""The rule of an input that cannot be opened or read."""
MISSING_PACKAGE = "input.package"
"""The rule of an input whose payloads were not looked into, because a package is missing."""
TOO_MANY_INCOMPLETE = "input.requests"
"""The rule of an input whose payloads were not looked into, because too many requests had an incomplete value."""
_RULES = {
    UNREADABLE_CONTENT: "An input has the form that its name or an option announces.",
    UNREADABLE_FILE: "An input can be opened and read to its end.",
    TOO_MANY_INCOMPLETE: f"An input has at most {MOST_INCOMPLETE} requests with an incomplete value at a time.",
    MISSING_PACKAGE: "The packages of the content encodings that an input uses are installed.",
}


class Unreadable(NamedTuple):
    """The reason why an input could not be read to its end, or not be looked into.

    ``rule``: :data:`UNREADABLE_CONTENT` when the content cannot be understood, :data:`UNREADABLE_FILE` when the file cannot
    be read, :data:`MISSING_PACKAGE` when a package is missing, :data:`TOO_MANY_INCOMPLETE` when too many values are incomplete.
    ``message``: the problem. ``line``, ``column``: the place of the content, from 1; None where it is not known.
    """

    rule: str
    message: str
    line: int | None = None
    column: int | None = None

    @property
    def sentence(self) -> str:
        """The rule in words."""
        return _RULES[self.rule]

    def place(self, name: str) -> str:
        """The place in the input of that name, as printable text."""
        return ":".join(str(part) for part in (printable(name), self.line, self.column) if part is not None)


class Report:
    """A report of any number of inputs.

    ``out``: where it goes. ``colour``: whether to colour it. ``site``: the address of the reference site, without which
    there are no links. ``strict``: whether warnings are failures.
    """

    def __init__(self, out: TextIO, *, colour: bool = False, site: str = "", strict: bool = False) -> None:
        self.out = out
        self.colour = colour
        self.site = printable(site if not site or site.endswith("/") else f"{site}/")
        self.failing = (ERROR, WARNING) if strict else (ERROR,)

    def begin(self, name: str) -> None:
        """An input of that name begins."""

    def finding(self, name: str, finding: Finding, known: Known | None = None) -> None:
        """Something was found in it. ``known``: what the baseline says of it; then it is no failure."""
        raise NotImplementedError

    def unreadable(self, name: str, fault: Unreadable) -> None:
        """The input could not be read to its end, or not be looked into. This is an error, and no finding comes after it."""
        raise NotImplementedError

    def hint(self, name: str, message: str) -> None:
        """A remedy for what was found in the input."""
        raise NotImplementedError

    def end(self, name: str, frames: int, size: int) -> None:
        """It has ended, after so many frames and bytes."""

    def close(self) -> None:
        """All inputs have ended."""

    def link(self, finding: Finding) -> str:
        """The address of the rule in the reference site, empty when that is not known."""
        return f"{self.site}{finding.link}" if self.site else ""

    def is_failure(self, finding: Finding, known: Known | None) -> bool:
        """Whether a finding makes the run fail."""
        return known is None and finding.severity in self.failing


def well_formed(text: str) -> str:
    r"""A text that every reader of Unicode accepts: a byte of a file name that is not UTF-8 becomes ``\xNN``."""
    return "".join(printable(character) if "\ud800" <= character <= "\udfff" else character for character in text)
