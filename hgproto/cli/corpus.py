"""``hgproto corpus``: writes seeds and a dictionary, minimizes a corpus, and replays it."""

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
from hgproto.cli.parser import examples
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
        help="write, minimize, or replay the corpus of a fuzzer",
        description="Works on corpora of fuzzers. A corpus is a directory; each file has all the bytes that one side sends.",
    )
    parts = corpus.add_subparsers(metavar="PART", required=True)

    seed = parts.add_parser(
        "seed",
        help="write seeds from the vectors and boundaries of the schema",
        description="Writes seeds from the vectors and boundaries of the schema, one file each.",
        epilog=examples("hgproto corpus seed seeds --side client", "hgproto corpus seed seeds --harness reader"),
    )
    seed.add_argument("directory", type=DIRECTORY, metavar="DIRECTORY", help="directory for the files")
    seed.add_argument("--side", choices=("client", "server"), help="sender of the bytes (default: client)")
    seed.add_argument("--harness", metavar="NAME", help="write seeds for a harness of hgproto: its side, in its form")
    seed.set_defaults(run=_seed)

    dictionary = parts.add_parser(
        "dictionary",
        help="print a dictionary for AFL and libFuzzer",
        description="Prints the byte strings of the protocol as a dictionary for AFL and libFuzzer.",
        epilog=examples("hgproto corpus dictionary > hgproto.dict"),
    )
    dictionary.set_defaults(run=_dictionary)

    minimize = parts.add_parser(
        "minimize",
        help="copy the smallest files that exercise as much as a corpus",
        description="Copies the smallest files that together exercise as much of the specification as the whole corpus.",
        epilog=examples("hgproto corpus minimize captures smaller"),
    )
    minimize.add_argument("directory", type=DIRECTORY, metavar="DIRECTORY", help="directory of the corpus")
    minimize.add_argument("output", type=DIRECTORY, metavar="OUTPUT", help="directory for the copies")
    minimize.add_argument("--side", choices=("client", "server"), default="client", help="sender (default: client)")
    minimize.set_defaults(run=_minimize)

    replay = parts.add_parser(
        "replay",
        help="run a harness of hgproto on each file",
        description="Runs a harness of hgproto on each file of a corpus, and reports the exceptions that it raises.",
        epilog=examples("hgproto corpus replay captures reader"),
    )
    replay.add_argument("directory", type=DIRECTORY, metavar="DIRECTORY", help="directory of the corpus")
    replay.add_argument("harness", metavar="NAME", help="harness; python -m hgproto.fuzz prints the names")
    replay.set_defaults(run=_replay)


def _seed(options: argparse.Namespace) -> int:
    from hgproto.fuzz.corpus import seeds

    harness = None if options.harness is None else _harness(options.harness, "--harness")
    if harness is not None and options.side not in (None, harness.side):
        raise UsageError(
            f"argument --side: the harness {options.harness} reads frames of the {harness.side}; leave the option out"
        )
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
        raise UsageError(f"argument {argument}: unknown harness {quoted(name)}; use one of {', '.join(HARNESSES)}")
    return HARNESSES[name]


def _dictionary(_: argparse.Namespace) -> int:
    from hgproto.fuzz.corpus import dictionary

    sys.stdout.write(dictionary())
    return GOOD


def _minimize(options: argparse.Namespace) -> int:
    from hgproto.fuzz.corpus import minimal

    if _followed(options.output).is_relative_to(_followed(options.directory)):
        raise UsageError(f"argument OUTPUT: {options.output} is inside the corpus; name another directory")
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
        except Exception as error:  # every exception is a fault
            faults += 1
            options.found_fault = True
            print(printable(f"{name}: {type(error).__name__}: {error}"))
    print(f"{counted(len(corpus), 'file')}, {counted(faults, 'fault')}{unread}")
    return unread.status()


class _Unread:
    """The files of a corpus that cannot be read or parsed. Sets ``options.found_fault`` for a file that cannot be parsed."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._number = 0
        options.found_fault = False

    def add(self, error: InputError | StreamError) -> None:
        """Prints the error on standard error and counts the file."""
        self._number += 1
        if isinstance(error, InputError):
            self._options.found_fault = True
        say(str(error))

    def __str__(self) -> str:
        return f"; {counted(self._number, 'file')} could not be read" if self._number else ""

    def status(self) -> int:
        """Returns the exit status of the command after all files were processed."""
        return FAULT if self._options.found_fault else TROUBLE if self._number else GOOD


def files_of(directory: str, unread: Callable[[InputError | StreamError], object]) -> dict[str, bytes]:
    """Returns the bytes of each file of a corpus, by its path in the directory; see :func:`hgproto.cli.common.files_in`.

    Files that end in .hex are hexadecimal text. ``unread``: a function that is called with the error for each file that cannot be
    read or parsed. Raises :class:`UsageError` if there are no files, and for a session.
    """
    files = files_in(directory)
    for path, _ in files:
        if form_of(path) == "session":
            raise UsageError(
                f"{path}: a session has both sides, but a corpus file has one side; move the file to another directory"
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
