"""What the commands share: exit statuses, the kinds of failure, options, files and lines."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hgproto.bom import unmarked
from hgproto.errors import HexError, TextError, printable
from hgproto.option_types import whole
from hgproto.revision import DEFAULT_REVISION
from hgproto.stdio import TROUBLE, StreamError, open_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator
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
    "chunks_of",
    "frame_options",
    "hex_chunks",
    "inputs_of",
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


def inputs_of(paths: list[str]) -> Iterator[str]:
    """Yields the files of a command that reads several, those of a directory in the order of their names.

    Hidden files and directories in a directory are skipped. Raises :class:`UsageError` for a directory without files.
    """
    for path in paths:
        if path == "-" or not os.path.isdir(path):
            yield path
            continue
        files = [
            file
            for file in sorted(Path(path).rglob("*"))
            if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)
        ]
        if not files:
            raise UsageError(f"{path}: there are no files in this directory")
        yield from map(str, files)


def lines_of(file: BinaryIO, limit: int, name: str) -> Iterator[tuple[int, bytes]]:
    """Yields lines with their numbers, without a byte-order mark.

    Raises :class:`InputError` for a line of more than ``limit`` bytes, before it is gathered, and for a text in UTF-16 or UTF-32.
    """
    number = 0
    while line := file.readline(limit + 1):
        number += 1
        if number == 1:
            try:
                line = unmarked(line)
            except TextError as error:
                raise InputError(f"{name}:1:1: {error}") from None
        if len(line) > limit and not line.lstrip().startswith(b"#"):
            sys.stdout.buffer.flush()
            raise InputError(f"{name}:{number}:{limit + 1}: expected a line of at most {limit} octets, found more")
        yield number, line
        while not line.endswith(b"\n") and len(line) > limit:
            line = file.readline(limit + 1)


def chunks_of(file: BinaryIO) -> Iterator[bytes]:
    """Yields a file in chunks, each as soon as it is there."""
    from hgproto.reader import CHUNK_OCTETS

    read: Callable[[int], bytes] = getattr(file, "read1", file.read)
    return iter(lambda: read(CHUNK_OCTETS), b"")


def hex_chunks(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Yields the bytes that chunks of hexadecimal text stand for. Raises :class:`InputError` with the place."""
    from hgproto.hexform import octets_from_hex

    try:
        yield from octets_from_hex(chunks)
    except HexError as error:
        raise InputError(f"{name}:{error.line}:{error.column}: {error.message}") from None


def wants_colour() -> bool:
    """Whether standard output is a terminal that shows colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
