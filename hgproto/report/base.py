"""What every report is: told of inputs and their findings one by one, it writes as it goes.

Invariants: nothing is gathered that grows with the input, but for what a format has to say beforehand, and that is bounded;
text from the input never reaches the output raw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.errors import printable
from hgproto.finding import ERROR, WARNING

if TYPE_CHECKING:
    from typing import TextIO

    from hgproto.baseline import Known
    from hgproto.finding import Finding

__all__ = ["Report", "printable"]


class Report:
    """A report of any number of inputs.

    ``out``: where it goes. ``colour``: whether to colour it. ``site``: the address of the reference site, without which
    there are no links. ``strict``: whether warnings are failures.
    """

    def __init__(self, out: TextIO, *, colour: bool = False, site: str = "", strict: bool = False) -> None:
        self.out = out
        self.colour = colour
        self.site = site if not site or site.endswith("/") else f"{site}/"
        self.failing = (ERROR, WARNING) if strict else (ERROR,)

    def begin(self, name: str) -> None:
        """An input of that name begins."""

    def finding(self, name: str, finding: Finding, known: Known | None = None) -> None:
        """Something was found in it. ``known``: what the baseline says of it; then it is no failure."""
        raise NotImplementedError

    def end(self, name: str, frames: int, octets: int) -> None:
        """It has ended, after so many frames and octets."""

    def close(self) -> None:
        """All inputs have ended."""

    def link(self, finding: Finding) -> str:
        """The address of the rule in the reference site, empty when that is not known."""
        return f"{self.site}{finding.link}" if self.site else ""

    def is_failure(self, finding: Finding, known: Known | None) -> bool:
        """Whether a finding makes the run fail."""
        return known is None and finding.severity in self.failing
