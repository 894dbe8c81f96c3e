"""The report as workflow commands, which GitHub shows as annotations of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.judging.finding import ERROR, NOTE, WARNING
from hgproto.judging.report.base import Report, printable

if TYPE_CHECKING:
    from hgproto.judging.baseline import Known
    from hgproto.judging.finding import Finding
    from hgproto.judging.report.base import Unreadable

__all__ = ["GithubReport"]

_COMMANDS = {ERROR: "error", WARNING: "warning", NOTE: "notice"}


class GithubReport(Report):
    """A report with one command for each finding that is not known. With ``strict``, warnings are errors."""

    def finding(self, name: str, finding: Finding, known: Known | None = None) -> None:
        """Writes a command."""
        if known is not None:
            return
        command = "error" if self.is_failure(finding, known) else _COMMANDS[finding.severity]
        # Binary files have no lines.
        line = "" if finding.line is None else f",line={finding.line}"
        link = f"\n{self.link(finding)}" if self.site else ""
        place = f"{printable(finding.path) or 'input'} at offset {finding.offset}"
        text = f"{place}: {printable(finding.message)}\n{printable(finding.rule)}{link}"
        file = _property(printable(name))
        self.out.write(f"::{command} file={file}{line},title={_property(finding.id)}::{_data(text)}\n")

    def unreadable(self, name: str, fault: Unreadable) -> None:
        """Writes an error at the place of the invalid content."""
        places = (("line", fault.line), ("col", fault.column))
        place = "".join(f",{what}={number}" for what, number in places if number is not None)
        text = f"{printable(fault.message)}\n{fault.sentence}"
        self.out.write(
            f"::error file={_property(printable(name))}{place},title={_property(fault.rule)}::{_data(text)}\n"
        )

    def hint(self, name: str, message: str) -> None:
        """Writes a notice."""
        self.out.write(f"::notice file={_property(printable(name))},title=hint::{_data(message)}\n")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
