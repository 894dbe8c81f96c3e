"""The report for programs, with one JSON object per line.

``kind`` of an object is one of these:

- ``finding``: a finding. It has ``input``, ``requirement``, ``severity``, ``offset``, ``bytes`` (the number of affected
  bytes), and ``bits`` (the lowest and the highest one, or null). It has ``side``, ``frame``, ``path``, ``about`` (a
  description of the frame), ``line``, ``expected``, ``found``, ``refused``, and ``ends``. ``more`` is the number of
  other violations that it represents, ``rule`` the sentence of the requirement, and ``link`` null without a site.
  It also has ``source``, ``around`` (hexadecimal), ``around_offset``, ``known`` (reason and date of the baseline, or
  null), and ``failure``.
- ``unreadable``: an input that cannot be read or checked completely. It has ``input``, ``rule`` (``input.content``,
  ``input.file``, ``input.package``, or ``input.requests``), ``message``, ``line``, and ``column``.
- ``hint``: a remedy. It has ``input`` and ``message``.
- ``input``: the end of an input. It has ``input``, ``frames``, ``bytes``, and the number of findings of each severity
  and of ``known`` ones. An unreadable input counts as an error.
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
    """A report with one JSON object per line."""

    def begin(self, name: str) -> None:
        """Resets the counts."""
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
        """Writes the reason why the input could not be read or checked completely."""
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
        """Writes the summary of the input."""
        self._write({"kind": "input", "input": well_formed(name), "frames": frames, "bytes": size, **self._counts})

    def _write(self, data: dict[str, object]) -> None:
        self.out.write(f"{json.dumps(data)}\n")
