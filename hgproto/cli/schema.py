"""``hgproto schema`` and ``hgproto generate``: checks and shows schemas, and generates code from them."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from hgproto.cli.common import (
    DIRECTORY,
    FAULT,
    FILE,
    GOOD,
    SCHEMA,
    TROUBLE,
    UsageError,
    revision_of,
    revision_option,
    say,
    shown_path,
)
from hgproto.cli.parser import examples
from hgproto.errors import counted, printable, quoted

if TYPE_CHECKING:
    import argparse

    from hgproto.cli import Commands
    from hgproto.language.model import Schema

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Adds the commands."""
    schema = commands.add_parser(
        "schema", help="check or show a schema", description="Checks or shows a schema, which specifies a revision."
    )
    schema_commands = schema.add_subparsers(metavar="COMMAND", required=True)
    check = schema_commands.add_parser(
        "check",
        help="check schema files",
        description="Checks schema files: their shape, their references, their state machines, and their examples. "
        "Without a file, checks the schemas that come with hgproto.",
        epilog=examples("hgproto schema check"),
    )
    check.add_argument("files", nargs="*", type=FILE, metavar="FILE", help="schema file")
    check.set_defaults(run=_schema_check)
    show = schema_commands.add_parser(
        "show",
        help="show a part of a schema",
        description="Prints the fields, flags, and requirements of the header (frame-header), of a frame type, or of a "
        "structure; or the messages (messages); or the events of reactors (events). Without a name, lists the names.",
        epilog=examples(
            "hgproto schema show", "hgproto schema show frame-header", "hgproto schema show command-argument"
        ),
    )
    show.add_argument(
        "name", nargs="?", metavar="NAME", help="name of the part, for example frame-header or command-argument"
    )
    revision_option(show)
    show.set_defaults(run=_schema_show)

    generate = commands.add_parser(
        "generate",
        help="generate code from a schema",
        description="Generates the codec, the state machines, the message builders, and the requirements of a schema. Without "
        "options, generates those of all revisions of hgproto in place, and the events.",
        epilog=examples("hgproto generate --check", "hgproto generate --revision framing-0002 --output package"),
    )
    generate.add_argument(
        "--check", action="store_true", help="write nothing; print a diff and exit 1 if files are stale"
    )
    generate.add_argument(
        "--output",
        type=DIRECTORY,
        metavar="DIR",
        help="directory of the package; required for a schema file of your own",
    )
    generate.add_argument(
        "--revision",
        type=SCHEMA,
        metavar="NAME|FILE",
        help="revision or schema file (default: all revisions of hgproto)",
    )
    generate.set_defaults(run=_generate)


def _schema_check(options: argparse.Namespace) -> int:
    from hgproto.evidence.prove import prove
    from hgproto.language import SchemaError, check, load
    from hgproto.language.load import known_revisions

    trouble = options.found_fault = False
    for file in dict.fromkeys(options.files) or known_revisions().values():
        unreadable = False
        try:
            schema = load(file)
            problems, proven = check(schema), 0
            if not problems:
                problems, proven = prove(schema)
        except SchemaError as error:
            problems, unreadable = list(error.problems), error.unreadable
        trouble = trouble or unreadable
        options.found_fault = options.found_fault or (bool(problems) and not unreadable)
        sys.stdout.flush()
        for problem in problems:
            print(f"hgproto: {problem}" if unreadable else problem, file=sys.stderr)
        if not problems:
            print(f"{shown_path(file)}: good: {_counts(schema, proven)}")
    return FAULT if options.found_fault else TROUBLE if trouble else GOOD


def _counts(schema: Schema, proven: int) -> str:
    parts = [
        (len(schema.frames), "frame type"),
        (len(schema.structures), "structure"),
        (len(schema.requirements), "requirement"),
        (len(schema.machines), "state machine"),
        (proven, "example"),
    ]
    return f"{', '.join(counted(number, what) for number, what in parts)} proven"


def _schema_show(options: argparse.Namespace) -> int:
    from hgproto.language.problems import suggestion
    from hgproto.language.show import names, overview, show

    schema = revision_of(options.revision).schema
    if options.name is None:
        lines = overview(schema)
    elif options.name in names(schema):
        lines = show(options.name, schema)
    else:
        raise UsageError(
            f"unknown name {quoted(options.name)} in {schema.revision}; {suggestion(options.name, names(schema))}"
        )
    for line in lines:
        print(line)
    return GOOD


def _options_of(options: argparse.Namespace) -> str:
    """Returns the options that select the generated code, as the caller wrote them."""
    given = (("--revision", options.revision), ("--output", options.output))
    return "".join(f" {name} {shlex.quote(value)}" for name, value in given if value is not None)


def _generate(options: argparse.Namespace) -> int:
    from pathlib import Path

    from hgproto.language import SchemaError, check, load
    from hgproto.language.load import find, known_revisions
    from hgproto.revisions.generate import package_directory, shared_directory, shared_sources, sources, stale, write

    ours = known_revisions()
    if options.revision is not None and options.revision not in ours and options.output is None:
        raise UsageError("a schema file of your own needs --output DIR")
    if options.output is not None and options.revision is None:
        raise UsageError("--output needs --revision")
    if options.revision is not None:
        revision_of(options.revision)
    files = list(ours.values()) if options.revision is None else [find(options.revision)]
    options.found_fault = False
    made: list[tuple[dict[str, str], Path]] = []
    for file in files:
        schema = load(file)
        problems = check(schema)
        if problems:
            raise SchemaError(problems)
        directory = Path(options.output) if options.output is not None else package_directory(schema)
        made.append((sources(schema), directory))
    if options.output is None:
        made.append((shared_sources([load(file) for file in ours.values()]), shared_directory()))
    for texts, directory in made:
        if options.check:
            diff = list(stale(texts, directory))
            options.found_fault = options.found_fault or bool(diff)
            for line in diff:
                print(printable(line.removesuffix("\n")))
            if diff:
                say(f"{directory} is stale; run `hgproto generate{_options_of(options)}`")
        else:
            for changed in write(texts, directory):
                print(printable(str(changed)))
    return FAULT if options.found_fault else GOOD
