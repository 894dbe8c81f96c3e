"""The report as JUnit XML: a test suite for each input, and a test case for each finding."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from hgproto.errors import counted
from hgproto.judging.report.base import Report, printable

if TYPE_CHECKING:
    from typing import TextIO

    from hgproto.judging.baseline import Known
    from hgproto.judging.finding import Finding
    from hgproto.judging.report.base import Unreadable

__all__ = ["MOST_CASES", "JunitReport"]

MOST_CASES = 10_000
"""The most test cases of one input. They are held until the input ends, because their number comes first."""


class JunitReport(Report):
    """A report in JUnit XML. An input without findings is one case that passes."""

    def __init__(self, out: TextIO, *, colour: bool = False, site: str = "", strict: bool = False) -> None:
        super().__init__(out, colour=colour, site=site, strict=strict)
        self._write('<?xml version="1.0" encoding="utf-8"?>\n<testsuites name="hgproto validate">\n')

    def begin(self, name: str) -> None:
        """Begins a suite."""
        self._cases: list[str] = []
        self._failures = self._skipped = self._more = self._errors = 0
        self._hints: list[str] = []

    def finding(self, name: str, finding: Finding, known: Known | None = None) -> None:
        """Adds a case: a failure, a skipped case for a known finding, or a passing case with output."""
        failure = self.is_failure(finding, known)
        if len(self._cases) >= MOST_CASES:
            # Failures that are not listed still count.
            self._more += failure
            return
        self._failures += failure
        self._skipped += known is not None
        place = f"{printable(finding.path) or 'input'} at offset {finding.offset}"
        lines = [f"{finding.severity}: {printable(finding.message)}", place, printable(finding.rule)]
        text = escape("\n".join([*lines, self.link(finding)] if self.site else lines))
        if failure:
            inner = f"<failure type={_attribute(finding.id)} message={_attribute(finding.message)}>{text}</failure>"
        elif known is not None:
            inner = f"<skipped message={_attribute(known.reason)}/>"
        else:
            inner = f"<system-out>{text}</system-out>"
        case = f"{finding.id} at offset {finding.offset}"
        properties = f'<properties><property name="requirement" value={_attribute(finding.id)}/></properties>'
        self._cases.append(
            f"<testcase classname={_attribute(name)} name={_attribute(case)}>{properties}{inner}</testcase>"
        )

    def unreadable(self, name: str, fault: Unreadable) -> None:
        """Adds a case that ends in an error."""
        self._errors += 1
        text = escape(f"{fault.place(name)}: {printable(fault.message)}\n{fault.sentence}")
        error = f"<error type={_attribute(fault.rule)} message={_attribute(fault.message)}>{text}</error>"
        self._cases.append(f'<testcase classname={_attribute(name)} name="{fault.rule}">{error}</testcase>')

    def hint(self, name: str, message: str) -> None:
        """Keeps a remedy for the output of the suite."""
        self._hints.append(message)

    def end(self, name: str, frames: int, size: int) -> None:
        """Writes the suite."""
        if self._more:
            self._failures += 1
            message = _attribute(f"{counted(self._more, 'more failure')}, not listed")
            case = f'name="more"><failure type="more" message={message}/></testcase>'
            self._cases.append(f"<testcase classname={_attribute(name)} {case}")
        if not self._cases:
            self._cases.append(f'<testcase classname={_attribute(name)} name="valid"/>')
        counts = (
            f'tests="{len(self._cases)}" failures="{self._failures}" skipped="{self._skipped}" errors="{self._errors}"'
        )
        self._write(f"<testsuite name={_attribute(name)} {counts}>\n")
        values = "".join(f'<property name="{what}" value="{n}"/>' for what, n in (("frames", frames), ("bytes", size)))
        self._write(f"<properties>{values}</properties>\n")
        for case in self._cases:
            self._write(f"{case}\n")
        if self._hints:
            text = "\n".join(f"hint: {hint}" for hint in self._hints)
            self._write(f"<system-out>{escape(text)}</system-out>\n")
        self._write("</testsuite>\n")

    def close(self) -> None:
        """Writes the end."""
        self._write("</testsuites>\n")

    def _write(self, text: str) -> None:
        """Writes text as ASCII, so that it does not depend on the encoding of the output."""
        self.out.write(text.encode("ascii", "xmlcharrefreplace").decode("ascii"))


def _attribute(text: str) -> str:
    return quoteattr(printable(text))
