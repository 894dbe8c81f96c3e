"""``hgproto session``: a two-sided session through both reactors."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hgproto.cli.common import FAULT, GOOD, UsageError, input_error, lines_of, named, open_input
from hgproto.errors import HumanFormError, LocalProtocolError, counted, printable
from hgproto.finding import ERROR, NOTE
from hgproto.option_types import setting

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from hgproto.cli import Commands
    from hgproto.finding import Finding
    from hgproto.session import Step

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Adds the command."""
    session = commands.add_parser(
        "session",
        help="play a two-sided session through both reactors",
        description="Plays frames in human form, one a line, with > before what the client sends and < before what the server "
        "sends, and prints what the reactors make of them and what the validator finds. Payloads are as they are before content "
        "encoding; after >! and <! as on the wire. `> end` and `< end` end a side's output; at the end of the file both end.",
    )
    session.add_argument("file", nargs="?", default="-", metavar="FILE", help="the lines (default: standard input)")
    session.add_argument(
        "--reopen", choices=("error", "restart"), default="error", help="stream-begin on an open stream"
    )
    session.add_argument("--streaming", action="store_true", help="the server hands data on as it arrives")
    session.add_argument(
        "--limit",
        type=setting,
        action="append",
        default=[],
        metavar="NAME=N",
        help="a limit of both reactors, for example arguments=2",
    )
    session.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="json: an object a line, as in the golden sessions (default: text)",
    )
    session.set_defaults(run=_session)


def _session(options: argparse.Namespace) -> int:
    from hgproto.limits import Limits
    from hgproto.session import Session
    from hgproto.validation import SessionValidator

    try:
        limits = Limits.of(options.limit)
    except (TypeError, ValueError) as error:
        raise UsageError(f"argument --limit: {error}") from None
    session = Session(limits=limits, reopen=options.reopen, streaming=options.streaming)
    validator = SessionValidator(limits=limits, reopen=options.reopen)
    name = named(options.file)
    violations: list[str] = []
    frames, warnings, ended = 0, 0, set()

    def show(number: int | None, line: str, step: Step | None, findings: Iterable[Finding]) -> None:
        """Prints a line, the events of the reactor that judges it, and the findings that no reactor reports."""
        nonlocal warnings
        place = name if number is None else f"{name}:{number}"
        reported = None
        if step is not None:
            if step.violation is not None:
                reported, message = step.violation
                violations.append(f"{place}: {step.judge}: {message}")
                options.found_fault = True
            _print_step(number, line, step, options.format)
        for finding in findings:
            if finding.severity == NOTE or finding.id == reported:
                reported = None if finding.id == reported else reported
                continue
            message = f"validator: {f'{finding.side} ' if finding.side else ''}{finding}"
            warnings += finding.severity != ERROR
            if finding.severity == ERROR:
                options.found_fault = True
                violations.append(f"{place}: {message}")
            if options.format == "text":
                print(printable(f"     {message}"))

    with open_input(options.file) as file:
        for number, octets in lines_of(file, 1 << 27, name):
            if not octets.strip() or octets.lstrip().startswith(b"#"):
                continue
            try:
                step = session.play(octets)
                findings = validator.line(octets, number)
            except (HumanFormError, LocalProtocolError) as error:
                raise input_error(error, name, number) from None
            line = octets.decode("utf-8", "backslashreplace").rstrip("\r\n")
            if step.wire is None:
                ended.add(line[0])
            else:
                frames += 1
            show(number, line, step, findings)
    for side, role in ((">", "client"), ("<", "server")):
        if side in ended:
            continue
        # After a violation, what a reactor misses says nothing about the other side. The validator knows which of it does.
        last = None if violations else session.end(side)
        show(None, f"{side} end", last if last is not None and last.events else None, validator.close(role))
    sys.stdout.flush()
    for violation in violations:
        print(printable(f"hgproto: {violation}"), file=sys.stderr)
    if not violations and options.format == "text":
        print(f"good: {', '.join([counted(frames, 'frame'), *[counted(warnings, 'warning')] * bool(warnings)])}")
    return FAULT if violations else GOOD


def _print_step(number: int | None, line: str, step: Step, format_: str) -> None:
    """Prints a line and its events."""
    import json

    from hgproto.session import event_text, event_to_json

    if format_ == "json":
        wire: dict[str, object] = {} if step.wire is None else {"wire": step.wire.hex()}
        if line[1] == "!":
            line, wire = f"{line[0]}{line[2:]}", {**wire, "raw": True}
        print(json.dumps({"line": line, **wire, "events": [event_to_json(event) for event in step.events]}))
        return
    shown = line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
    print(f"{number or '':>4} {printable(shown)}")
    for event in step.events:
        print(f"     {step.judge}: {event_text(event)}")


_SHOWN = 100
"""Characters of a line that are printed."""
