"""The command line, a thin face over the rest: a module for each group of commands.

Exit statuses: 0 good, 1 the input (frames, lines, or a schema file) is at fault, 2 usage, 3 a file or a standard stream
could not be opened, read, or written, or hgproto itself failed. What is asked for goes to standard output, what is wrong with
the input to standard error.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TypeAlias

from hgproto import __version__
from hgproto.cli import corpus, coverage, diff, explain, frames, fuzz, sample, schema, session, trace, validate
from hgproto.cli.common import FAULT, TROUBLE, USAGE, InputError, UsageError, say
from hgproto.cli.parser import Parser
from hgproto.errors import HgprotoError, RevisionError, printable
from hgproto.system.stdio import own_faults, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - argparse gives it no other name

__all__ = ["main", "parser"]

_GROUPS = (frames, session, validate, explain, sample, coverage, fuzz, corpus, schema, diff, trace)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status. ``arguments``: as of :func:`hgproto.system.stdio.run`."""
    options = argparse.Namespace()
    return run(
        lambda words: _run(words, options),
        arguments,
        program="hgproto",
        found_fault=lambda: getattr(options, "found_fault", False),
    )


def _run(arguments: Sequence[str], options: argparse.Namespace) -> int:
    """Runs a command; an exception that no code expects becomes trouble."""
    with own_faults("the input", "the input, and the options", UsageError, InputError):
        return _run_expected(arguments, options)


def _run_expected(arguments: Sequence[str], options: argparse.Namespace) -> int:
    """Runs a command. One that goes on after a fault of the input sets ``found_fault`` of the options once it has found one."""
    whole = parser()
    _, surplus = whole.parse_known_args(arguments, options)
    if surplus:
        options.command_parser.error(f"unrecognized arguments: {' '.join(map(printable, surplus))}")
    try:
        code: int = options.run(options)
    except UsageError as error:
        whole.exit(USAGE, f"hgproto: {printable(str(error))}\n")
    except RevisionError as error:
        whole.exit(USAGE, f"hgproto: argument --revision: {printable(str(error))}\n")
    except (InputError, HgprotoError) as error:
        # A schema that cannot be read says nothing about the schema.
        options.found_fault = getattr(options, "found_fault", False) or not getattr(error, "unreadable", False)
        say(*getattr(error, "before", ()), *str(error).split("\n"))
        return FAULT if options.found_fault else TROUBLE
    return code


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    whole = Parser(
        prog="hgproto",
        description="Mercurial's frame-based wire protocol with streams: encode, decode, and the specification itself.",
        epilog="Exit statuses: 0 good, 1 the input is at fault, 2 usage, 3 trouble with a file, a standard stream, or hgproto.",
    )
    whole.add_argument("--version", action="version", version=f"hgproto {__version__}")
    commands = whole.add_subparsers(metavar="COMMAND", required=True)
    for group in _GROUPS:
        group.add(commands)
    _name_parsers(whole)
    return whole


def _name_parsers(parser: argparse.ArgumentParser) -> None:
    """Lets the options of each command have its parser, whose usage is that of the command."""
    parser.set_defaults(command_parser=parser)
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to its commands
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in action.choices.values():
                _name_parsers(command)
