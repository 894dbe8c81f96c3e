"""The report for programs: a JSON object a line.

For each finding, ``kind`` is ``finding``, and there are ``input``, ``requirement``, ``severity``, ``offset``, ``bytes``,
``bits`` (lowest and highest, or null), ``side``, ``frame``, ``path``, ``about`` (the frame in words), ``line``, ``expected``,
``found``, ``refused``, ``ends``, ``more`` (other violations that it stands for), ``rule`` (its sentence), ``source``, ``link``
(null when the site is not known), ``around`` (hexadecimal) and ``around_offset``, ``known`` (the baseline's reason and date, or
null), ``failure``. For an input that cannot be read to its end, ``kind`` is ``unreadable``, with ``input``, ``rule``
(``input.content``, ``input.file``, or ``input.package``), ``message``, ``line``, and ``column``. A remedy has the ``kind``
``hint``, with ``input`` and ``message``. At the end of each input ``kind`` is ``input``, with ``input``, ``frames``,
``bytes``, and how many findings there are of each severity, ``known`` ones apart; what is unreadable counts as an error.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hgproto.judging.finding import SEVERITIES
from hgproto.judging.report.base import Report, printable, well_formed

if TYPE_CHECKING:
    from hgproto.judging.baseline import Known
    from hgproto.judging.finding import Finding
    from hgproto.judging.report.base import Unreadable

__all__ = ["JsonReport"]


class JsonReport(Report):
    """A JSON object a line."""

    def begin(self, name: str) -> None:
        """Starts to count."""
        self._counts = dict.fromkeys((*SEVERITIES, "known"), 0)

    def finding(self, name: str, finding: Finding, known: Known | None = None) -> None:
        """Writes a finding."""
        self._counts[finding.severity if known is None else "known"] += 1
        self._write(
            {
                "kind": "finding",
                "input": well_formed(name),
                "requirement": finding.id,
                "severity": finding.severity,
                "offset": finding.offset,
                "bytes": finding.size,
                "bits": finding.bits,
                "side": finding.side,
                "frame": finding.frame,
                "path": finding.path,
                "about": finding.about,
                "line": finding.line,
                "expected": finding.expected,
                "found": finding.found,
                "refused": finding.refused,
                "ends": finding.ends,
                "more": finding.more,
                "rule": finding.requirement.sentence,
                "source": finding.requirement.source,
                "link": self.link(finding) or None,
                "around": finding.around.hex(),
                "around_offset": finding.around_offset,
                "known": None if known is None else {"reason": known.reason, "expires": known.expires.isoformat()},
                "failure": self.is_failure(finding, known),
            }
        )

    def unreadable(self, name: str, fault: Unreadable) -> None:
        """Writes why the input could not be read to its end."""
        self._counts["error"] += 1
        self._write(
            {
                "kind": "unreadable",
                "input": well_formed(name),
                "rule": fault.rule,
                "message": printable(fault.message),
                "line": fault.line,
                "column": fault.column,
            }
        )

    def hint(self, name: str, message: str) -> None:
        """Writes a remedy."""
        self._write({"kind": "hint", "input": well_formed(name), "message": message})

    def end(self, name: str, frames: int, size: int) -> None:
        """Writes what there was."""
        self._write({"kind": "input", "input": well_formed(name), "frames": frames, "bytes": size, **self._counts})

    def _write(self, data: dict[str, object]) -> None:
        self.out.write(f"{json.dumps(data)}\n")
