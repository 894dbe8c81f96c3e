"""The output of ``hgproto fuzz``: findings, the words of commands that reproduce them, and summaries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.errors import counted, printable

if TYPE_CHECKING:
    import argparse

    from hgproto.fuzz import FuzzFinding, Report
    from hgproto.fuzz.oracles import Fault

__all__ = ["RATIO", "command_of_target", "show", "sum_up", "words_of"]

RATIO = 8.0
"""Default of ``--max-ratio``."""

_SHOWN = 100
"""Largest number of characters printed per line."""


def show(finding: FuzzFinding, path: str | None) -> None:
    """Prints a finding. ``path``: its file; None if it has none."""
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
        f"minimized to {len(finding.case.data)}"
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
    ended = ", interrupted" * report.interrupted + ", ended because the target stopped working" * report.gone
    print(
        f"{counted(len(report.findings), 'finding')} in {counted(report.cases, 'case')}, {counted(report.size, 'byte')}, "
        f"{report.seconds:.1f} s ({counted(round(rate), 'case')} per second){ended}"
    )
    for finding, again in zip(report.findings, report.repeats, strict=True):
        once = ", not reproduced" if finding.shown_again is False else ""
        print(
            f"  {printable(named(finding.fault.key))}: case {finding.number}, and {again} more with the same cause{once}"
        )
    for key, again in report.known:
        print(f"  {printable(named(key))}: known, {counted(again, 'case')}")


def command_of_target(options: argparse.Namespace) -> list[str]:
    """Returns the words of this command that describe the target."""
    words = [options.target, "--role", options.role, "--answers", options.answers]
    words += ["--echo"] * options.echo + ["--reports-errors"] * options.reports_errors
    words += ["--defers"] * options.defers + ([] if options.fails is None else _valued("--fails", options.fails))
    words += ["--timeout", f"{options.timeout:.15g}", "--max-growth", str(options.max_growth)]
    words += [] if options.max_ratio == RATIO else ["--max-ratio", f"{options.max_ratio:.15g}"]
    words += [word for limit in options.limit for word in _valued("--limit", limit)]
    words += ["--reopen", options.reopen, "--encodings", ",".join(sorted(options.encodings))]
    words += [word for name in options.ignore for word in _valued("--ignore", name)]
    words += [] if options.pid is None else ["--pid", str(options.pid)]
    words += [] if options.log is None else _valued("--log", options.log)
    words += [] if options.start is None else _valued("--start", options.start)
    words += ["--allow-remote"] * options.allow_remote
    return words


def _valued(option: str, value: str) -> list[str]:
    """Returns the words of an option with a value. Joins a value that begins with - to the option."""
    return [f"{option}={value}"] if value.startswith("-") else [option, value]


def words_of(fault: Fault) -> str:
    """Returns the line about a fault."""
    rule = f" [{fault.rule}]" if fault.rule else ""
    return f"{fault.kind}: expected {fault.expected}, found {fault.found}{rule}"
