"""The command line, a thin face over the rest: a module for each group of commands.

Exit codes: 0 good, 1 the input (frames, lines or a schema file) is at fault, 2 usage. What is asked for goes to standard
output, what is wrong with the input to standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, TypeAlias

from hgproto import __version__
from hgproto.cli import corpus, coverage, diff, explain, frames, fuzz, sample, schema, session, trace, validate
from hgproto.cli.common import FAULT, GOOD, USAGE, InputError, UsageError
from hgproto.errors import HgprotoError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - argparse gives it no other name

__all__ = ["main", "parser"]

_GROUPS = (frames, session, validate, explain, sample, coverage, fuzz, corpus, schema, diff, trace)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; gives the exit code."""
    whole = parser()
    options = whole.parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has gone, which is no fault. Nothing may be written when Python shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return GOOD
    except KeyboardInterrupt:
        return 130
    except UsageError as error:
        whole.exit(USAGE, f"hgproto: {printable(str(error))}\n")
    except (InputError, HgprotoError) as error:
        sys.stdout.flush()
        for line in str(error).split("\n"):
            print(f"hgproto: {printable(line)}", file=sys.stderr)
        return FAULT
    return code


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    whole = argparse.ArgumentParser(
        prog="hgproto",
        description="Mercurial's frame-based wire protocol with streams: encode, decode, and the specification itself.",
        epilog="Exit codes: 0 good, 1 the input is at fault, 2 usage.",
    )
    whole.add_argument("--version", action="version", version=f"hgproto {__version__}")
    commands = whole.add_subparsers(metavar="COMMAND", required=True)
    for group in _GROUPS:
        group.add(commands)
    return whole
