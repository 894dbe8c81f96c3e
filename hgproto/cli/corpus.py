"""``hgproto corpus``: seeds, a dictionary, and what of a corpus is worth keeping."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hgproto.cli.common import (
    DIRECTORY,
    FAULT,
    GOOD,
    TROUBLE,
    InputError,
    StreamError,
    UsageError,
    files_in,
    hex_chunks,
    open_input,
    say,
)
from hgproto.errors import counted, printable, quoted
from hgproto.system.stdio import write_whole
from hgproto.wire.hexform import form_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from hgproto.cli import Commands
    from hgproto.fuzz.harnesses import Harness

__all__ = ["add", "files_of"]


def add(commands: Commands) -> None:
    """Adds the commands."""
    corpus = commands.add_parser(
        "corpus",
        help="seeds and dictionaries for fuzzers, corpora made small",
        description="Corpora are directories of files, each of which has all that one side sends.",
    )
    parts = corpus.add_subparsers(metavar="PART", required=True)

    seed = parts.add_parser("seed", help="write the seeds of the schema, its vectors and its boundaries")
    seed.add_argument("directory", type=DIRECTORY, metavar="DIRECTORY", help="where they go")
    seed.add_argument("--side", choices=("client", "server"), help="who sends them (default: client)")
    seed.add_argument("--harness", metavar="NAME", help="of one of our own harnesses instead: its side, and its form")
    seed.set_defaults(run=_seed)

    dictionary = parts.add_parser("dictionary", help="print the words of the protocol, for AFL and libFuzzer")
    dictionary.set_defaults(run=_dictionary)

    minimize = parts.add_parser("minimize", help="copy the smallest files that exercise all that a corpus does")
    minimize.add_argument("directory", type=DIRECTORY, metavar="DIRECTORY", help="the corpus")
    minimize.add_argument("output", type=DIRECTORY, metavar="OUTPUT", help="where they go")
    minimize.add_argument("--side", choices=("client", "server"), default="client", help="who sends (default: client)")
    minimize.set_defaults(run=_minimize)

    replay = parts.add_parser("replay", help="give each file to one of our own harnesses")
    replay.add_argument("directory", type=DIRECTORY, metavar="DIRECTORY", help="the corpus")
    replay.add_argument("harness", metavar="NAME", help="the harness; python -m hgproto.fuzz prints their names")
    replay.set_defaults(run=_replay)


def _seed(options: argparse.Namespace) -> int:
    from hgproto.fuzz.corpus import seeds

    harness = None if options.harness is None else _harness(options.harness, "--harness")
    if harness is not None and options.side not in (None, harness.side):
        raise UsageError(f"argument --side: the harness {options.harness} reads what the {harness.side} sends")
    found = seeds((options.side or "client") if harness is None else harness.side)
    if options.harness == "human":
        from hgproto.fuzz.findings import human

        found = {
            f"{name}-{number}": line.encode()
            for name, data in found.items()
            for number, line in enumerate(human(data))
            if not line.startswith("#")
        }
    for name, data in found.items():
        _write(options.directory, name, data)
    size = counted(sum(map(len, found.values())), "byte")
    print(f"{counted(len(found), 'file')}, {size} in {printable(options.directory)}")
    return GOOD


def _harness(name: str, argument: str = "NAME") -> Harness:
    from hgproto.fuzz.harnesses import HARNESSES

    if name not in HARNESSES:
        raise UsageError(f"argument {argument}: there is no harness {quoted(name)}; there are {', '.join(HARNESSES)}")
    return HARNESSES[name]


def _dictionary(_: argparse.Namespace) -> int:
    from hgproto.fuzz.corpus import dictionary

    sys.stdout.write(dictionary())
    return GOOD


def _minimize(options: argparse.Namespace) -> int:
    from hgproto.fuzz.corpus import minimal

    if _followed(options.output).is_relative_to(_followed(options.directory)):
        raise UsageError(
            f"argument OUTPUT: {options.output} is in the corpus, and would be a part of it; name another directory"
        )
    unread = _Unread(options)
    corpus = files_of(options.directory, unread.add)
    kept = list(minimal(corpus, options.side))
    for name in kept:
        _write(options.output, name, _content(os.path.join(options.directory, name)))
    before, after = sum(map(len, corpus.values())), sum(len(corpus[name]) for name in kept)
    sizes = f"{after} of {counted(before, 'byte')}"
    print(f"{len(kept)} of {counted(len(corpus), 'file')}, {sizes} in {printable(options.output)}{unread}")
    return unread.status()


def _followed(directory: str) -> Path:
    """Returns the path of a directory without links."""
    try:
        return Path(os.path.realpath(directory))
    except OSError as error:  # of a working directory that was deleted
        raise StreamError.of(error, directory) from None


def _replay(options: argparse.Namespace) -> int:
    harness = _harness(options.harness)
    faults = 0
    unread = _Unread(options)
    corpus = files_of(options.directory, unread.add)
    for name, data in corpus.items():
        try:
            harness.call(data)
        except Exception as error:  # whatever is raised is a fault
            faults += 1
            options.found_fault = True
            print(printable(f"{name}: {type(error).__name__}: {error}"))
    print(f"{counted(len(corpus), 'file')}, {counted(faults, 'fault')}{unread}")
    return unread.status()


class _Unread:
    """Files of a corpus that cannot be read or understood. Sets ``found_fault`` of the options for the latter."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._number = 0
        options.found_fault = False

    def add(self, error: InputError | StreamError) -> None:
        """Names one on standard error."""
        self._number += 1
        if isinstance(error, InputError):
            self._options.found_fault = True
        say(str(error))

    def __str__(self) -> str:
        return f"; {counted(self._number, 'file')} could not be read" if self._number else ""

    def status(self) -> int:
        """The exit status of the command, once the other files are judged."""
        return FAULT if self._options.found_fault else TROUBLE if self._number else GOOD


def files_of(directory: str, unread: Callable[[InputError | StreamError], object]) -> dict[str, bytes]:
    """The bytes of the files of a corpus, by their paths in its directory; see :func:`hgproto.cli.common.files_in`.

    A name that ends in .hex says that a file is hexadecimal text. ``unread``: is called with the error for a file that cannot be
    read or understood. Raises :class:`UsageError` if there are no files, and for a session.
    """
    files = files_in(directory)
    for path, _ in files:
        if form_of(path) == "session":
            raise UsageError(
                f"{path}: a session has both sides, and a file of a corpus has one; keep it in another directory"
            )
    found = {}
    for path, trouble in files:
        try:
            if trouble is not None:
                raise trouble
            content = _content(path)
            data = b"".join(hex_chunks([content], path)) if form_of(path) == "hex" else content
        except (InputError, StreamError) as error:
            unread(error)
        else:
            found[os.path.relpath(path, directory)] = data
    return found


def _content(path: str) -> bytes:
    with open_input(path) as file:
        return file.read()


def _write(directory: str, name: str, data: bytes) -> None:
    path = os.path.join(directory, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_whole(path, data)
