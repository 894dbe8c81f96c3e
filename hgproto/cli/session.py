"""``hgproto session``: a two-sided session through both reactors."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hgproto.cli.common import FAULT, GOOD, InputError, UsageError, lines_of, named, open_input
from hgproto.errors import HumanFormError, LocalProtocolError

if TYPE_CHECKING:
    import argparse

    from hgproto.cli import Commands
    from hgproto.session import Step

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Adds the command."""
    session = commands.add_parser(
        "session",
        help="play a two-sided session through both reactors",
        description="Plays frames in human form, one a line, with > before what the client sends and < before what the server "
        "sends, and prints what the reactors make of them. Payloads are as they are before content encoding; after >! and <! "
        "as on the wire. `> end` and `< end` end a side's output; at the end of the file both end.",
    )
    session.add_argument("file", nargs="?", default="-", metavar="FILE", help="the lines (default: standard input)")
    session.add_argument(
        "--reopen", choices=("error", "restart"), default="error", help="stream-begin on an open stream"
    )
    session.add_argument("--streaming", action="store_true", help="the server hands data on as it arrives")
    session.add_argument(
        "--limit",
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
    import json

    from hgproto.limits import Limits
    from hgproto.session import Session, event_text, event_to_json

    try:
        limits = Limits.of(options.limit)
    except (TypeError, ValueError) as error:
        raise UsageError(f"argument --limit: {error}") from None
    session = Session(limits=limits, reopen=options.reopen, streaming=options.streaming)
    name = named(options.file)
    violations, frames, ended = [], 0, set()

    def show(number: int | None, line: str, step: Step) -> None:
        if options.format == "json":
            wire: dict[str, object] = {} if step.wire is None else {"wire": step.wire.hex()}
            if line[1] == "!":
                line, wire = f"{line[0]}{line[2:]}", {**wire, "raw": True}
            print(json.dumps({"line": line, **wire, "events": [event_to_json(event) for event in step.events]}))
        else:
            shown = line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
            print(f"{number or '':>4} {shown}")
            for event in step.events:
                print(f"     {step.judge}: {event_text(event)}")
        if step.violation is not None:
            place = name if number is None else f"{name}:{number}"
            violations.append(f"{place}: {step.judge}: {step.violation[1]}")

    with open_input(options.file) as file:
        for number, octets in lines_of(file, 1 << 27, name):
            if not octets.strip() or octets.lstrip().startswith(b"#"):
                continue
            try:
                step = session.play(octets)
            except HumanFormError as error:
                raise InputError(f"{name}:{number}:{error.column}: {error.message}") from None
            except LocalProtocolError as error:
                raise InputError(f"{name}:{number}: {error.message} ({error.requirement})") from None
            line = octets.decode("utf-8", "backslashreplace").rstrip("\r\n")
            if step.wire is None:
                ended.add(line[0])
            else:
                frames += 1
            show(number, line, step)
    for side in "><":
        # After a violation, what is missing says nothing about the other side.
        if side not in ended and not violations and (step := session.end(side)).events:
            show(None, f"{side} end", step)
    sys.stdout.flush()
    for violation in violations:
        print(f"hgproto: {violation}", file=sys.stderr)
    if not violations and options.format == "text":
        print(f"good: {frames} frames")
    return FAULT if violations else GOOD


_SHOWN = 100
"""Characters of a line that are printed."""
