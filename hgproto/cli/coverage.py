"""``hgproto coverage``: measures how much of a specification captures or corpora exercise."""

from __future__ import annotations

from json import JSONDecodeError
from typing import TYPE_CHECKING

from hgproto.cli.common import (
    FAULT,
    GOOD,
    INPUT,
    TROUBLE,
    InputError,
    StreamError,
    UsageError,
    chunks_of,
    input_error,
    input_files,
    named,
    open_input,
    revision_of,
    revision_option,
    say,
    unavailable_messages,
)
from hgproto.cli.parser import examples
from hgproto.errors import HgprotoError, RevisionError, counted, printable, quoted
from hgproto.system.option_types import percentage
from hgproto.wire.hexform import form_of

if TYPE_CHECKING:
    import argparse

    from hgproto.cli import Commands
    from hgproto.evidence.coverage import Coverage
    from hgproto.judging.finding import Role

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Adds the command."""
    coverage = commands.add_parser(
        "coverage",
        help="measure how much of the specification captures exercise",
        description="Counts the frame types, flags, edges of fields, transitions, and violated requirements that captures or "
        "corpora exercise. Lists the rest with their places in the schema. A file has the bytes that one side sends. Files "
        "that end in .hex are hexadecimal text, in .session a session in human form, and in .json vectors or golden sessions.",
        epilog=examples(
            "hgproto coverage capture.bin",
            "hgproto coverage captures --only types,flags --fail-under 5",
        ),
    )
    coverage.add_argument(
        "files", nargs="+", type=INPUT, metavar="FILE", help="files, directories of files, or - for standard input"
    )
    coverage.add_argument(
        "--role", choices=("client", "server"), help="sender of the frames (default: the side of the first stream)"
    )
    coverage.add_argument(
        "--only",
        metavar="KINDS",
        help="count only these, joined by commas: types, flags, edges, transitions, requirements",
    )
    coverage.add_argument("--fail-under", type=percentage, metavar="PERCENT", help="exit 1 if less is exercised")
    coverage.add_argument(
        "--format", choices=("text", "json"), default="text", help="format of the result (default: text)"
    )
    revision_option(coverage)
    coverage.set_defaults(run=_coverage)


def _coverage(options: argparse.Namespace) -> int:
    from hgproto.evidence.coverage import KINDS
    from hgproto.evidence.coverage import Coverage as Counting

    kinds = KINDS if options.only is None else tuple(dict.fromkeys(options.only.split(",")))
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f"argument --only: unknown kind {quoted(kind)}; use {', '.join(KINDS)}")
    try:
        coverage = Counting(revision=revision_of(options.revision))
    except RevisionError as error:
        raise UsageError(f"argument --revision: {error}") from None
    number = 0
    unreadable: list[InputError | StreamError] = []
    incomplete: list[str] = []
    options.found_fault = False
    inputs = input_files(options.files)
    for path, _ in inputs:
        if options.role is not None and form_of(path) in ("session", "json"):
            raise UsageError(f"argument --role: {printable(path)} names the sender itself; leave the option out")
    for path, trouble in inputs:
        coverage.unavailable.clear()
        try:
            if _count(coverage, path, trouble, options.role) and {"transitions", "requirements"} & {*kinds}:
                say(f"{named(path)}: {_MIXED}")
            number += 1
        except (InputError, StreamError) as error:
            unreadable.append(error)
            options.found_fault = options.found_fault or isinstance(error, InputError)
            say(str(error))
        if _OF_PAYLOADS & {*kinds}:
            more = _NO_TRANSITIONS if "transitions" in kinds else ""
            for message in unavailable_messages(coverage.unavailable, more):
                incomplete.append(f"{named(path)}: {message}")
                say(incomplete[-1])
    reached, total = (sum(map(count, kinds)) for count in (coverage.reached, coverage.total))
    percent = 100 * reached / total
    if not unreadable and not incomplete and options.fail_under is not None and percent < options.fail_under:
        options.found_fault = True
    if options.format == "json":
        _print_json(coverage, kinds, percent, unreadable, incomplete)
    else:
        for kind in kinds:
            print(f"{kind:<13}{coverage.reached(kind):>4} of {coverage.total(kind)}")
        print(f"{'all':<13}{reached:>4} of {total}, {percent:.1f} % ({counted(number, 'file')})")
        left = list(coverage.missing(kinds))
        if left:
            print("\nnot exercised:")
        for goal in left:
            print(f"  {goal.place}: {goal.kind}: {goal.name}")
        if unreadable:
            print(f"\n{counted(len(unreadable), 'file')} could not be read")
        if incomplete:
            print("\nA package is missing, so payloads were not checked.")
    # A file that could not be read or decoded may exercise the rest.
    return FAULT if options.found_fault else TROUBLE if unreadable or incomplete else GOOD


_OF_PAYLOADS = {"edges", "transitions", "requirements"}
"""The kinds that depend on decoded payloads."""
_NO_TRANSITIONS = ", and transitions from the first one on were not counted"


def _count(coverage: Coverage, path: str, trouble: StreamError | None, role: Role | None) -> bool:
    """Counts the exercised goals of a file. Returns True if a file for one side has frames of both sides.

    Raises :class:`InputError` and :class:`StreamError` for a file that cannot be understood or read.
    """
    if trouble is not None:
        raise trouble
    form = form_of(path)
    try:
        with open_input(path) as file:
            coverage.content(chunks_of(file), form, role)
        return role is None and form in ("raw", "hex") and coverage.is_mixed
    except HgprotoError as error:
        raise input_error(error, named(path)) from None
    except JSONDecodeError as error:
        raise InputError(
            f"expected JSON, found a fault in it: {error.msg}", named(path), error.lineno, error.colno
        ) from None
    except ValueError as error:
        raise InputError(str(error), named(path)) from None


_MIXED = (
    "frames are on streams of both sides; transitions and requirements were counted for the side of the first frame; if both "
    "directions are mixed here, write each to its own file, or write a session to a file that ends in .session"
)


def _print_json(
    coverage: Coverage,
    kinds: tuple[str, ...],
    percent: float,
    unreadable: list[InputError | StreamError],
    incomplete: list[str],
) -> None:
    import json

    shown = {
        "percent": round(percent, 2),
        "kinds": {kind: {"exercised": coverage.reached(kind), "all": coverage.total(kind)} for kind in kinds},
        "missing": [goal._asdict() for goal in coverage.missing(kinds)],
        "unreadable": [printable(str(error)) for error in unreadable],
        "incomplete": [printable(message) for message in incomplete],
    }
    print(json.dumps(shown, indent=2))
