"""The report for programs: a JSON object a line.

For each finding, ``kind`` is ``finding``, and there are ``input``, ``requirement``, ``severity``, ``offset``, ``octets``,
``bits`` (lowest and highest, or null), ``side``, ``frame``, ``path``, ``about`` (the frame in words), ``line``, ``expected``,
``found``, ``refused``, ``ends``, ``more`` (other violations that it stands for), ``rule`` (its sentence), ``source``, ``link``
(null when the site is not known), ``around`` (hexadecimal) and ``around_offset``, ``known`` (the baseline's reason and date, or
null), ``failure``. At the end of each input ``kind`` is ``input``, with ``input``, ``frames``, ``octets``, and how many findings
there are of each severity, ``known`` ones apart.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hgproto.finding import SEVERITIES
from hgproto.report.base import Report

if TYPE_CHECKING:
    from hgproto.baseline import Known
    from hgproto.finding import Finding

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
                "input": name,
                "requirement": finding.id,
                "severity": finding.severity,
                "offset": finding.offset,
                "octets": finding.octets,
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

    def end(self, name: str, frames: int, octets: int) -> None:
        """Writes what there was."""
        self._write({"kind": "input", "input": name, "frames": frames, "octets": octets, **self._counts})

    def _write(self, data: dict[str, object]) -> None:
        self.out.write(f"{json.dumps(data)}\n")
