"""``hgproto session``: plays a session of both sides through both reactors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.cli.common import (
    FAULT,
    GOOD,
    HUMAN_FORM,
    StreamError,
    UsageError,
    file_argument,
    input_error,
    limits_of,
    lines_of,
    named,
    open_input,
    revision_of,
    revision_option,
    saying,
)
from hgproto.cli.parser import examples
from hgproto.errors import HumanFormError, LocalProtocolError, RevisionError, counted, printable
from hgproto.judging.finding import ERROR, NOTE, ROLES
from hgproto.system.option_types import setting

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from hgproto.cli import Commands
    from hgproto.judging.finding import Finding
    from hgproto.reactors.session import Step

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Adds the command."""
    session = commands.add_parser(
        "session",
        help="play a session of both sides through both reactors",
        description="Plays frames in human form through both reactors, and prints their events and the validator's findings. "
        "Each line has > before a frame of the client, or < before a frame of the server. The session encodes payloads for the "
        "wire; after >! and <!, payloads are already encoded. The lines > end and < end end the output of a side; the end of "
        "the file ends both.",
        epilog=HUMAN_FORM
        + "\n\n"
        + examples(
            "hgproto session heads.session",
            "hgproto session --format json heads.session",
            "hgproto sample session -n 1 --seed 7 | hgproto session",
        ),
    )
    file_argument(session, "lines")
    session.add_argument(
        "--reopen",
        choices=("error", "restart"),
        default="error",
        help="effect of stream-begin on an open stream: an error (default), or a restart of the stream",
    )
    session.add_argument("--streaming", action="store_true", help="let the server report data events as data arrives")
    session.add_argument(
        "--limit",
        type=setting,
        action="append",
        default=[],
        metavar="NAME=N",
        help="limit of both reactors, for example arguments=2",
    )
    session.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="json: one object per line, as in the golden sessions (default: text)",
    )
    revision_option(session)
    session.set_defaults(run=_session)


def _session(options: argparse.Namespace) -> int:
    from hgproto.judging.validation import SessionValidator
    from hgproto.reactors.session import Session
    from hgproto.streams.encodings import default_encodings
    from hgproto.wire.human import LONGEST_LINE, without_line_end

    revision = revision_of(options.revision)
    limits = limits_of(options.limit, revision)
    try:
        session = Session(limits=limits, reopen=options.reopen, streaming=options.streaming, revision=revision)
    except RevisionError as error:
        raise UsageError(f"argument --revision: {error}") from None
    validator = SessionValidator(limits=limits, reopen=options.reopen, revision=revision)
    name = named(options.file)
    printed = _Printed(name, options)
    ended = set()
    with saying(lambda: printed.violations):
        with open_input(options.file) as file:
            for number, data in lines_of(file, LONGEST_LINE, name):
                try:
                    step = session.play(data)
                    findings = list(validator.line(data, number))
                except (HumanFormError, LocalProtocolError) as error:
                    raise input_error(error, name, number) from None
                if validator.unavailable:
                    missing = min(validator.unavailable)
                    # The reactors reject such settings, but the session itself may be valid.
                    reason = f"the content encoding {missing} needs a package: {default_encodings(revision).missing[missing]}"
                    raise StreamError(f"{name}:{number}", reason)
                line = without_line_end(data).decode("utf-8", "surrogateescape")
                if step.wire is None:
                    ended.add(line[0])
                printed.add(number, line, step, findings)
        for side, role in ((">", ROLES[0]), ("<", ROLES[1])):
            if side in ended:
                continue
            # After a violation, an event that a reactor misses is not evidence about the other side; the validator decides.
            last = None if printed.violations else session.end(side)
            shown = last if last is not None and last.events else None
            printed.add(None, f"{side} end", shown, validator.close(role))
    return printed.close()


class _Printed:
    """Printer of the lines of a session with their events and findings.

    Sets ``options.found_fault`` at the first violation. ``violations``: messages, each with its line.
    """

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.violations: list[str] = []
        self._name = name
        self._options = options
        self._frames = self._warnings = 0

    def add(self, number: int | None, line: str, step: Step | None, findings: Iterable[Finding]) -> None:
        """Prints a line, the events of the reactor that receives it, and the findings that no reactor reports."""
        place = self._name if number is None else f"{self._name}:{number}"
        reported = None
        if step is not None:
            self._frames += step.wire is not None
            if step.violation is not None:
                reported, message = step.violation
                self._violated(f"{place}: {step.judge}: {message}")
        shown = []
        for finding in findings:
            if finding.severity == NOTE or finding.id == reported:
                reported = None if finding.id == reported else reported
                continue
            shown.append(finding)
            self._warnings += finding.severity != ERROR
            if finding.severity == ERROR:
                self._violated(f"{place}: {_words(finding)}")
        if self._options.format == "json":
            _print_json(line, step, shown)
        else:
            _print_text(number, line, step, shown)

    def _violated(self, message: str) -> None:
        self.violations.append(message)
        self._options.found_fault = True

    def close(self) -> int:
        """Prints a summary if there was no violation, and returns the exit status."""
        if not self.violations and self._options.format == "text":
            warnings = [counted(self._warnings, "warning")] * bool(self._warnings)
            print(f"good: {', '.join([counted(self._frames, 'frame'), *warnings])}")
        return FAULT if self.violations else GOOD


def _words(finding: Finding) -> str:
    return f"validator: {f'{finding.side} ' if finding.side else ''}{finding}"


def _print_text(number: int | None, line: str, step: Step | None, findings: Sequence[Finding]) -> None:
    from hgproto.reactors.session import event_text

    if step is not None:
        shown = line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
        print(f"{number or '':>4} {printable(shown)}")
        for event in step.events:
            print(f"     {step.judge}: {event_text(event)}")
    for finding in findings:
        print(printable(f"     {_words(finding)}"))


def _print_json(line: str, step: Step | None, findings: Sequence[Finding]) -> None:
    import json

    from hgproto.judging.report.base import well_formed
    from hgproto.reactors.session import event_to_json

    if step is None and not findings:
        return
    wire: dict[str, object] = {} if step is None or step.wire is None else {"wire": step.wire.hex()}
    if line[1] == "!":
        line, wire = f"{line[0]}{line[2:]}", {**wire, "raw": True}
    events = [] if step is None else [event_to_json(event) for event in step.events]
    found = {"findings": [_finding_to_json(finding) for finding in findings]} if findings else {}
    print(json.dumps({"line": well_formed(line), **wire, "events": events, **found}))


def _finding_to_json(finding: Finding) -> dict[str, object]:
    names = ("severity", "side", "path", "offset", "expected", "found")
    return {"requirement": finding.id, **{name: getattr(finding, name) for name in names}}


_SHOWN = 100
"""Largest number of characters of a line that are printed."""
