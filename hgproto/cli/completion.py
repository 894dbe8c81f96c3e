"""``hgproto completion``: prints a script for completion in a shell."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hgproto.cli.common import DIRECTORY, FILE, GOOD, INPUT, SCHEMA, StreamError
from hgproto.cli.parser import examples

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hgproto.cli import Commands

__all__ = ["add"]

SHELLS = ("bash", "fish", "powershell", "tcsh", "zsh")


def add(commands: Commands) -> None:
    """Adds the command."""
    completion = commands.add_parser(
        "completion",
        help="print a completion script for a shell",
        description="Prints a script that completes commands, options, their values, ids of requirements, and names of files in "
        "a shell. Needs shtab, which the extra completion installs.",
        epilog=examples("hgproto completion bash > hgproto.bash", "hgproto completion zsh > _hgproto"),
    )
    completion.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    completion.set_defaults(run=_completion)


def _completion(options: argparse.Namespace) -> int:
    try:
        import shtab
    except ModuleNotFoundError:
        raise StreamError("", "shtab is not installed; install it with `pip install 'hgproto[completion]'`") from None
    from hgproto.cli import parser

    whole = parser()
    words = _words()
    for place, action in _arguments(whole):
        if action.type in (FILE, INPUT, SCHEMA):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.type is DIRECTORY:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif place in words:
            action.choices = words[place]
    print(shtab.complete(whole, options.shell))
    return GOOD


def _arguments(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    """Yields each argument of a parser and of its commands, with the names of the command and the argument."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public access to its arguments
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in action.choices.values():
                yield from _arguments(command)
        else:
            yield f"{parser.prog.removeprefix('hgproto ')} {action.dest}", action


def _words() -> dict[str, Iterable[str]]:
    """Returns the words of the default revision for arguments whose choices are not in the parser."""
    from hgproto.diff import KINDS as CHANGES
    from hgproto.evidence.coverage import KINDS as GOALS
    from hgproto.fuzz.harnesses import HARNESSES
    from hgproto.language.show import names
    from hgproto.revisions.revision import default_revision
    from hgproto.samples import VIOLATORS

    revision = default_revision()
    types, ids = list(revision.codec.CODES), list(revision.requirements)
    return {
        "coverage only": GOALS,
        "corpus replay harness": list(HARNESSES),
        "corpus seed harness": list(HARNESSES),
        "diff fail_on": CHANGES,
        "explain ids": ids,
        "sample invalid": list(VIOLATORS),
        "sample what": [*types, "session"],
        "schema show name": names(revision.schema),
        "validate ignore": ids,
        "validate payload": types,
        "validate select": ids,
    }
