"""What the commands share: exit statuses, the kinds of failure, options, files and lines."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hgproto.errors import printable
from hgproto.option_types import whole
from hgproto.revision import DEFAULT_REVISION
from hgproto.stdio import TROUBLE, StreamError, open_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from hgproto.revision import Revision

__all__ = [
    "FAULT",
    "GOOD",
    "TROUBLE",
    "USAGE",
    "InputError",
    "StreamError",
    "UsageError",
    "frame_options",
    "hex_chunks",
    "lines_of",
    "max_payload",
    "named",
    "open_input",
    "revision_of",
    "revision_option",
    "shown_path",
    "wants_colour",
]

GOOD, FAULT, USAGE = 0, 1, 2


class UsageError(Exception):
    """The command cannot be carried out as it was given."""


class InputError(Exception):
    """The input is at fault, and the message that says so."""


def revision_option(parser: argparse.ArgumentParser) -> None:
    """Adds ``--revision``."""
    parser.add_argument(
        "--revision",
        default=DEFAULT_REVISION,
        metavar="NAME|FILE",
        help=f"the revision by name, or a schema file of your own (default: {DEFAULT_REVISION})",
    )


def frame_options(parser: argparse.ArgumentParser) -> None:
    """Adds what every command has that reads or writes frames."""
    parser.add_argument(
        "--max-payload", type=whole(1), metavar="N", help="the most octets of a payload (default: the revision's)"
    )
    revision_option(parser)


def max_payload(options: argparse.Namespace, revision: Revision) -> int:
    """The limit of ``--max-payload``."""
    from hgproto.reader import checked_max_payload

    try:
        return checked_max_payload(options.max_payload, revision.codec)
    except ValueError as error:
        raise UsageError(f"argument --max-payload: {error}") from None


def revision_of(name: str, argument: str = "--revision") -> Revision:
    """The revision of that name; a file that is no good is the input's fault, a name that there is not is usage.

    ``argument``: where the name was given.
    """
    from hgproto.revision import Revision as Made

    revision = Made(name)
    if not revision.is_known and not os.path.exists(name):
        raise UsageError(f"argument {argument}: there is no revision {name!r}, and no such file")
    return revision


def shown_path(file: str | os.PathLike[str]) -> str:
    """A path as short as it can be said from here."""
    path = os.fspath(file)
    relative = os.path.relpath(path)
    return printable(path if relative.startswith("..") else relative)


@contextmanager
def open_input(name: str) -> Iterator[BinaryIO]:
    """A binary file by name, standard input for ``-``. Opening and reading raise :class:`StreamError`."""
    if name == "-":
        yield sys.stdin.buffer
        return
    with open_file(name) as file:
        yield file


def named(name: str) -> str:
    """A file as messages name it."""
    return "standard input" if name == "-" else name


def lines_of(file: BinaryIO, limit: int, name: str) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers; one of more than ``limit`` octets is refused before it is gathered."""
    number = 0
    while line := file.readline(limit + 1):
        number += 1
        if len(line) > limit and not line.lstrip().startswith(b"#"):
            sys.stdout.buffer.flush()
            raise InputError(f"{name}:{number}:{limit + 1}: expected a line of at most {limit} octets, found more")
        yield number, line
        while not line.endswith(b"\n") and len(line) > limit:
            line = file.readline(limit + 1)


def hex_chunks(file: BinaryIO) -> Iterator[bytes]:
    """The octets that hexadecimal text stands for, in chunks."""
    from hgproto.hexform import octets_from_hex
    from hgproto.reader import CHUNK_OCTETS

    read: Callable[[int], bytes] = getattr(file, "read1", file.read)
    return octets_from_hex(iter(lambda: read(CHUNK_OCTETS), b""))


def wants_colour() -> bool:
    """Whether standard output is a terminal that shows colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
