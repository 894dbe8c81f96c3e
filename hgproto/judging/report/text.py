"""The report for people. It shows each finding with the bytes around it, like a compiler shows source code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.errors import counted
from hgproto.judging.finding import ERROR, NOTE, SEVERITIES, WARNING
from hgproto.judging.report.base import MISSING_PACKAGE, TOO_MANY_INCOMPLETE, Report, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hgproto.judging.baseline import Known
    from hgproto.judging.finding import Finding
    from hgproto.judging.report.base import Unreadable

__all__ = ["TextReport"]

ROW_BYTES = 16
MOST_ROWS = 6
"""The most rows of bytes that are shown for one finding."""
_COLOURS = {ERROR: "1;31", WARNING: "1;33", NOTE: "1;36", "place": "1", "mark": "1;32", "faint": "2"}


class TextReport(Report):
    """A report as text."""

    def begin(self, name: str) -> None:
        """Resets the counts."""
        self._counts = dict.fromkeys(SEVERITIES, 0)
        self._known = 0
        self._fault: Unreadable | None = None

    def finding(self, name: str, finding: Finding, known: Known | None = None) -> None:
        """Shows a finding. A known one is only counted."""
        if known is not None:
            self._known += 1
            return
        self._counts[finding.severity] += 1
        for line in self._lines(name, finding):
            self.out.write(f"{line}\n")
        self.out.write("\n")

    def unreadable(self, name: str, fault: Unreadable) -> None:
        """Counts an error, and keeps the reason for the last line."""
        self._counts[ERROR] += 1
        self._fault = fault

    def hint(self, name: str, message: str) -> None:
        """Writes a line."""
        self.out.write(f"{printable(name)}: {self._in(NOTE, 'hint')}: {message}\n\n")

    def end(self, name: str, frames: int, count: int) -> None:
        """Writes the summary of the input in one line."""
        parts = [counted(number, severity) for severity, number in self._counts.items() if number]
        parts += [f"{self._known} known"] * bool(self._known)
        if self._fault is not None:
            parts.append(self._in(ERROR, _unreadable(self._fault)))
        size = f"{counted(frames, 'frame')}, {counted(count, 'byte')}"
        self.out.write(f"{printable(name)}: {', '.join(parts) or 'good'} ({size})\n")

    def _lines(self, name: str, finding: Finding) -> Iterator[str]:
        place = printable(name) if finding.line is None else f"{printable(name)}:{finding.line}"
        side = "" if finding.side is None else f", {finding.side}"
        where = f"{place}: offset {finding.offset:#x} ({finding.offset}){side}"
        severity = self._in(finding.severity, finding.severity)
        yield f"{self._in('place', where)}: {severity}: {printable(finding.message)} [{finding.id}]"
        about = f" of {printable(finding.about)}" if finding.about else ""
        yield f"  {printable(finding.path) or 'input'}{about}{self._bits(finding)}"
        yield from self._rows(finding)
        yield f"  {self._in('faint', '=')} {printable(finding.rule)}"
        if self.site:
            yield f"  {self._in('faint', '=')} {self.link(finding)}"
        if finding.ends:
            yield f"  {self._in('faint', '=')} The rest of the input could not be checked."

    def _bits(self, finding: Finding) -> str:
        """Returns a text with the affected bits and their byte."""
        if finding.bits is None or finding.size != 1:
            return ""
        low, high = finding.bits
        at = finding.offset - finding.around_offset
        if not 0 <= at < len(finding.around):
            return ""
        byte = format(finding.around[at], "08b")
        shown = "".join(bit if low <= 7 - index <= high else "." for index, bit in enumerate(byte))
        which = f"bit {low}" if low == high else f"bits {low} to {high}"
        return f": {which} of {finding.around[at]:#04x}, {shown}"

    def _rows(self, finding: Finding) -> Iterator[str]:
        """Yields rows with the bytes around a place. The affected bytes are marked; a caret marks the place of missing ones."""
        around, start = finding.around, finding.around_offset
        if not around:
            return
        first = start - start % ROW_BYTES
        end = finding.offset + finding.size
        rows = range(first, max(start + len(around), finding.offset + 1), ROW_BYTES)
        for number, row in enumerate(rows):
            if number == MOST_ROWS:
                yield f"  {'':8}  ..."
                return
            cells, marks = [], []
            for offset in range(row, row + ROW_BYTES):
                inside = start <= offset < start + len(around)
                cells.append(f"{around[offset - start]:02x}" if inside else "  ")
                marks.append("^^" if finding.offset <= offset < end and inside else "  ")
            text = "".join(
                chr(around[offset - start]) if 0x20 <= around[offset - start] < 0x7F else "."
                for offset in range(row, row + ROW_BYTES)
                if start <= offset < start + len(around)
            ).rstrip()
            indent = max(start - row, 0)
            yield f"  {row:08x}  {' '.join(cells)}  {' ' * indent}{self._in('faint', text)}".rstrip()
            if finding.size == 0 and row <= finding.offset < row + ROW_BYTES:
                marks[finding.offset - row] = "^"
            if any(mark.strip() for mark in marks):
                # The marks of adjacent bytes are joined.
                line = " ".join(marks).replace("^^ ^^", "^^^^^").replace("^^ ^^", "^^^^^").rstrip()
                yield f"  {'':8}  {self._in('mark', line)}"

    def _in(self, what: str, text: str) -> str:
        return f"\x1b[{_COLOURS[what]}m{text}\x1b[0m" if self.colour and text else text


def _unreadable(fault: Unreadable) -> str:
    """Returns the reason why an input could not be read or checked completely, with its place."""
    places = (("line", fault.line), ("column", fault.column))
    place = ", ".join(f"{what} {number}" for what, number in places if number is not None)
    if fault.rule in (MISSING_PACKAGE, TOO_MANY_INCOMPLETE):
        return f"incomplete: {printable(fault.message)}"
    return f"unreadable{place and f' from {place} on'}: {printable(fault.message)}"
