"""The command line: one module for each group of commands.

Exit statuses: 0 for success, 1 for a fault in the input (frames, lines, or a schema file), and 2 for wrong usage. Status 3 means
that a file or a standard stream could not be used, or that hgproto itself failed. Results go to standard output, and messages
about the input go to standard error.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TypeAlias

from hgproto import __version__
from hgproto.cli import (
    completion,
    corpus,
    coverage,
    diff,
    explain,
    frames,
    fuzz,
    sample,
    schema,
    session,
    trace,
    validate,
)
from hgproto.cli.common import FAULT, TROUBLE, USAGE, InputError, UsageError, say
from hgproto.cli.parser import Parser, examples, wrapped
from hgproto.errors import HgprotoError, RevisionError, printable
from hgproto.system.stdio import own_faults, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - argparse gives it no other name

__all__ = ["main", "parser"]

_STATUSES = (
    "Exit statuses: 0 success; 1 a fault in the input; 2 wrong usage; 3 a file or a standard stream could not be used, "
    "or hgproto itself failed."
)
_GROUPS = (frames, session, validate, explain, sample, coverage, fuzz, corpus, schema, diff, trace, completion)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status. ``arguments``: see :func:`hgproto.system.stdio.run`."""
    options = argparse.Namespace()
    return run(
        lambda words: _run(words, options),
        arguments,
        program="hgproto",
        found_fault=lambda: getattr(options, "found_fault", False),
    )


def _run(arguments: Sequence[str], options: argparse.Namespace) -> int:
    """Runs a command; an unexpected exception ends it with status 3."""
    with own_faults("the input", "the input, and the options", UsageError, InputError):
        return _run_expected(arguments, options)


def _run_expected(arguments: Sequence[str], options: argparse.Namespace) -> int:
    """Runs a command. A command that continues after a fault in the input sets ``options.found_fault``."""
    whole = parser()
    _, surplus = whole.parse_known_args(arguments, options)
    if surplus:
        options.command_parser.error(f"unrecognized arguments: {' '.join(map(printable, surplus))}")
    try:
        code: int = options.run(options)
    except UsageError as error:
        whole.exit(USAGE, wrapped(f"hgproto: {error}"))
    except RevisionError as error:
        whole.exit(USAGE, wrapped(f"hgproto: argument --revision: {error}"))
    except (InputError, HgprotoError) as error:
        # An unreadable schema file is not a fault in the schema.
        options.found_fault = getattr(options, "found_fault", False) or not getattr(error, "unreadable", False)
        say(*getattr(error, "before", ()), *str(error).split("\n"))
        return FAULT if options.found_fault else TROUBLE
    return code


def parser() -> argparse.ArgumentParser:
    """Builds the parser of the whole command line."""
    whole = Parser(
        prog="hgproto",
        description="Encodes, decodes, validates, and fuzzes Mercurial's frame-based wire protocol, and shows its specification.",
        epilog=f"{_STATUSES}\n\n"
        + examples(
            "echo '1 1 stream-begin command-name eos heads' | hgproto encode --hex",
            "hgproto decode capture.bin",
            "hgproto validate capture.bin",
            "hgproto explain stream-id.parity",
        ),
    )
    whole.add_argument("--version", action="version", version=f"hgproto {__version__}")
    commands = whole.add_subparsers(metavar="COMMAND", required=True)
    for group in _GROUPS:
        group.add(commands)
    _name_parsers(whole)
    return whole


def _name_parsers(parser: argparse.ArgumentParser) -> None:
    """Stores the parser of each command in its options, so that errors show the usage of that command."""
    parser.set_defaults(command_parser=parser)
    for action in parser._actions:  # noqa: SLF001 - argparse has no public access to its commands
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in action.choices.values():
                _name_parsers(command)
