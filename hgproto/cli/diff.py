"""``hgproto diff``: lists the changes from one schema to another."""

from __future__ import annotations

import argparse
import json
import textwrap
from typing import TYPE_CHECKING

from hgproto.cli.common import FAULT, GOOD, SCHEMA, StreamError, revision_of, say, shown_path
from hgproto.cli.parser import examples
from hgproto.errors import counted, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hgproto.cli import Commands
    from hgproto.diff import Change
    from hgproto.language.model import Schema
    from hgproto.language.problems import Place

__all__ = ["add"]

_WIDTH = 100


def add(commands: Commands) -> None:
    """Adds the command."""
    diff = commands.add_parser(
        "diff",
        help="list the changes from one schema to another",
        description="Lists the changes from one schema to another, one sentence each, sorted by kind. Layout: the same bytes have "
        "other fields. Wire: other bytes are sent or accepted. Semantic: the same bytes have another meaning or effect. "
        "Documentation: only texts differ.",
        epilog=examples("hgproto diff old.yaml new.yaml", "hgproto diff --fail-on wire framing-0002 new.yaml"),
    )
    diff.add_argument("old", type=SCHEMA, metavar="OLD", help="name of a revision, or a schema file")
    diff.add_argument("new", type=SCHEMA, metavar="NEW", help="name of another revision, or another schema file")
    diff.add_argument(
        "--fail-on",
        type=_kind,
        metavar="KIND",
        help="exit 1 on a change of this kind or of a kind before it in: layout, wire, semantic, documentation",
    )
    diff.add_argument("--format", choices=("text", "json"), default="text", help="json: one object per line")
    diff.set_defaults(run=_diff)


def _kind(name: str) -> str:
    """Returns the name of a kind. Raises :class:`argparse.ArgumentTypeError` for another word."""
    from hgproto.diff import KINDS

    if name not in KINDS:
        raise argparse.ArgumentTypeError(f"unknown kind of change {quoted(name)}; use one of {', '.join(KINDS)}")
    return name


def _diff(options: argparse.Namespace) -> int:
    from hgproto.diff import KINDS, changes

    old, new = _loaded((options.old, "OLD"), (options.new, "NEW"))
    found = changes(old, new)
    failing = KINDS[: KINDS.index(options.fail_on) + 1] if options.fail_on else ()
    number = sum(change.kind in failing for change in found)
    options.found_fault = bool(number)
    for line in _lines_of_json(found) if options.format == "json" else _text(found):
        print(line)
    if number:
        say(f"{_counted(number)} of a kind that fails: {', '.join(failing)}")
    return FAULT if number else GOOD


def _loaded(*given: tuple[str, str]) -> list[Schema]:
    """Returns the schemas after checking them.

    ``given``: the name of each schema, and its argument. Raises :class:`SchemaError` with the faults of both schemas. Raises
    :class:`StreamError` for a file that cannot be read if the other schema has no fault.
    """
    from hgproto.language import SchemaError, check

    schemas, problems, unreadable = [], [], True
    missing: list[StreamError] = []
    for name, argument in given:
        try:
            schemas.append(revision_of(name, argument).schema)
            found = check(schemas[-1])
            unreadable = unreadable and not found
            problems += found
        except SchemaError as error:
            unreadable = unreadable and error.unreadable
            problems += error.problems
        except StreamError as error:
            missing.append(error)
    if missing and not problems:
        say(*map(str, missing[1:]))
        raise missing[0]
    say(*map(str, missing))
    if problems:
        raise SchemaError(problems, unreadable=unreadable)
    return schemas


def _text(found: Sequence[Change]) -> Iterator[str]:
    from hgproto.diff import KINDS

    if not found:
        yield "no changes"
        return
    for kind in KINDS:
        part = [change for change in found if change.kind == kind]
        if part:
            yield f"{kind}: {_counted(len(part))}"
        for change in part:
            yield from textwrap.wrap(
                change.sentence,
                _WIDTH,
                initial_indent="  ",
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
            )
            place = change.new or change.old
            if place is not None:
                yield f"    {shown_path(place.file)}:{place.line}:{place.column}"


def _counted(number: int) -> str:
    return counted(number, "change")


def _lines_of_json(found: Sequence[Change]) -> Iterator[str]:
    def data(place: Place | None) -> dict[str, object] | None:
        return None if place is None else {"file": shown_path(place.file), "line": place.line, "column": place.column}

    for change in found:
        yield json.dumps(
            {
                "kind": change.kind,
                "path": change.path,
                "sentence": change.sentence,
                "old": data(change.old),
                "new": data(change.new),
            }
        )
