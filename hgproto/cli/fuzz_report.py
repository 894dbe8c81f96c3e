"""The output of ``hgproto fuzz``: findings, and the summary of a campaign."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.errors import counted, printable

if TYPE_CHECKING:
    from hgproto.fuzz import FuzzFinding, Report

__all__ = ["show", "sum_up"]

_SHOWN = 100
"""Characters of a line that are printed."""


def show(finding: FuzzFinding, path: str | None) -> None:
    """Prints a finding. ``path``: its file, None where there is none."""
    from hgproto.fuzz.findings import human
    from hgproto.fuzz.oracles import KINDS
    from hgproto.revisions.revision import default_revision

    fault, requirements = finding.fault, default_revision().requirements
    rule = f" [{fault.rule}]" if fault.rule else ""
    print(printable(f"{fault.kind}: {KINDS[fault.kind]}: expected {fault.expected}, found {fault.found}{rule}"))
    if fault.rule in requirements and fault.kind != "rejects-valid":
        print(f"  = {requirements[fault.rule].sentence}")
    for line in human(finding.case.data):
        print(f"  {line if len(line) <= _SHOWN else line[:_SHOWN] + '...'}")
    print(
        f"  case {finding.number} ({finding.case.origin}), {counted(finding.original_bytes, 'byte')}, "
        f"{len(finding.case.data)} left"
    )
    print(f"  {finding.again}")
    if finding.shown_again and finding.not_minimized:
        print(f"  not minimized: {finding.not_minimized}")
    if path is not None:
        print(f"  {printable(str(finding.replay(path)))}")
    print(flush=True)


def sum_up(report: Report) -> None:
    """Prints the summary of a campaign."""
    from hgproto.fuzz.findings import named

    rate = report.cases / report.seconds if report.seconds else 0
    ended = ", interrupted" * report.interrupted + ", until the target could not be used any more" * report.gone
    print(
        f"{counted(len(report.findings), 'finding')} in {counted(report.cases, 'case')}, {counted(report.size, 'byte')}, "
        f"{report.seconds:.1f} s ({counted(round(rate), 'case')} a second){ended}"
    )
    for finding, again in zip(report.findings, report.repeats, strict=True):
        once = ", not shown again" if finding.shown_again is False else ""
        print(
            f"  {printable(named(finding.fault.key))}: case {finding.number}, and {again} more of the same cause{once}"
        )
    for key, again in report.known:
        print(f"  {printable(named(key))}: known, met by {counted(again, 'case')}")
