"""The base class of reports. A report receives inputs and findings one by one, and writes its output incrementally.

Invariants: the memory does not grow with the input, except for a bounded part that a format must write first. Text from
the input is always escaped.
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
"""The problem of an input whose content cannot be parsed."""
UNREADABLE_FILE = "input.file"
"""The problem of an input that cannot be opened or read."""
MISSING_PACKAGE = "input.package"
"""The problem of an input whose payloads were not checked because a package is missing."""
TOO_MANY_INCOMPLETE = "input.requests"
"""The problem of an input whose payloads were not checked because too many requests had an incomplete value."""
_RULES = {
    UNREADABLE_CONTENT: "An input has the form that its name or an option announces.",
    UNREADABLE_FILE: "An input can be opened and read to its end.",
    TOO_MANY_INCOMPLETE: f"An input has at most {MOST_INCOMPLETE} requests with an incomplete value at a time.",
    MISSING_PACKAGE: "The packages of the content encodings that an input uses are installed.",
}


class Unreadable(NamedTuple):
    """The reason why an input could not be read to its end, or not be checked completely.

    ``rule``: the id of the problem: :data:`UNREADABLE_CONTENT`, :data:`UNREADABLE_FILE`, :data:`MISSING_PACKAGE`, or
    :data:`TOO_MANY_INCOMPLETE`. ``message``: its description. ``line``, ``column``: the place in the content, from 1;
    None if unknown.
    """

    rule: str
    message: str
    line: int | None = None
    column: int | None = None

    @property
    def sentence(self) -> str:
        """The condition that the input does not meet, as a sentence."""
        return _RULES[self.rule]

    def place(self, name: str) -> str:
        """Returns the place in the input of that name, as printable text."""
        return ":".join(str(part) for part in (printable(name), self.line, self.column) if part is not None)


class Report:
    """A report of any number of inputs.

    ``out``: the output. ``colour``: True for colored output. ``site``: the address of the documentation site; without
    it, there are no links. ``strict``: True if warnings are failures.
    """

    def __init__(self, out: TextIO, *, colour: bool = False, site: str = "", strict: bool = False) -> None:
        self.out = out
        self.colour = colour
        self.site = printable(site if not site or site.endswith("/") else f"{site}/")
        self.failing = (ERROR, WARNING) if strict else (ERROR,)

    def begin(self, name: str) -> None:
        """Begins an input of that name."""

    def finding(self, name: str, finding: Finding, known: Known | None = None) -> None:
        """Adds a finding. ``known``: the matching entry of the baseline; a known finding is not a failure."""
        raise NotImplementedError

    def unreadable(self, name: str, fault: Unreadable) -> None:
        """Adds the reason why the input could not be read or checked completely. It is an error, and no finding follows."""
        raise NotImplementedError

    def hint(self, name: str, message: str) -> None:
        """Adds a remedy for findings in the input."""
        raise NotImplementedError

    def end(self, name: str, frames: int, size: int) -> None:
        """Ends the input. ``frames`` and ``size``: the numbers of its frames and bytes."""

    def close(self) -> None:
        """Ends the report."""

    def link(self, finding: Finding) -> str:
        """Returns the address of the requirement on the documentation site, or an empty text without a site."""
        return f"{self.site}{finding.link}" if self.site else ""

    def is_failure(self, finding: Finding, known: Known | None) -> bool:
        """Returns True if a finding makes the run fail."""
        return known is None and finding.severity in self.failing


def well_formed(text: str) -> str:
    r"""Returns valid Unicode: a byte of a file name that is not UTF-8 becomes ``\xNN``."""
    return "".join(printable(character) if "\ud800" <= character <= "\udfff" else character for character in text)
