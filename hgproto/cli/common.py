"""What the commands share: exit statuses, the kinds of failure, options, files and lines."""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hgproto.errors import HexError, HgprotoError, HumanFormError, ProtocolError, TextError, printable, quoted
from hgproto.revisions.revision import DEFAULT_REVISION
from hgproto.system.option_types import name_of, whole
from hgproto.system.stdio import TROUBLE, OutputError, StreamError, open_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

    from hgproto.reactors.limits import Limits
    from hgproto.revisions.revision import Revision

__all__ = [
    "DIRECTORY",
    "FAULT",
    "FILE",
    "GOOD",
    "INPUT",
    "SCHEMA",
    "TROUBLE",
    "USAGE",
    "InputError",
    "StreamError",
    "UsageError",
    "chunks_of",
    "files_in",
    "frame_limits",
    "frame_options",
    "hex_chunks",
    "input_error",
    "input_files",
    "limit_name",
    "limits_of",
    "lines_of",
    "max_payload",
    "named",
    "open_input",
    "refuse_terminal",
    "revision_of",
    "revision_option",
    "say",
    "saying",
    "shown_path",
    "unavailable_messages",
    "wants_colour",
]

GOOD, FAULT, USAGE = 0, 1, 2
FILE, DIRECTORY = name_of("a file"), name_of("a directory")
INPUT = name_of("a file", "use - for standard input")
SCHEMA = name_of("a revision or of a schema file")
"""Types of arguments that name files."""


class UsageError(Exception):
    """The command cannot be carried out as it was given."""


class InputError(Exception):
    """The content of the input cannot be understood.

    ``message``: the problem. ``name``: the input. ``line``, ``column``: the place in it, from 1; None where it is not known.
    ``before``: messages about what was found before this place.
    """

    def __init__(self, message: str, name: str = "", line: int | None = None, column: int | None = None) -> None:
        super().__init__(message, name, line, column)
        self.message = message
        self.name = name
        self.line = line
        self.column = column
        self.before: list[str] = []

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (printable(self.name), self.line, self.column) if part)
        return f"{place}: {self.message}" if place else self.message


def revision_option(parser: argparse.ArgumentParser) -> None:
    """Adds ``--revision``."""
    parser.add_argument(
        "--revision",
        default=DEFAULT_REVISION,
        type=SCHEMA,
        metavar="NAME|FILE",
        help=f"the revision by name, or a schema file of your own (default: {DEFAULT_REVISION})",
    )


def frame_options(parser: argparse.ArgumentParser, more: str = "") -> None:
    """Adds what every command has that reads or writes frames. ``more``: text after the default of ``--max-payload``."""
    help_ = f"the most bytes of a payload (default: the revision's{more})"
    parser.add_argument("--max-payload", type=whole(1), metavar="N", help=help_)
    revision_option(parser)


def max_payload(options: argparse.Namespace, revision: Revision) -> int:
    """The limit of ``--max-payload``."""
    default, most = revision.codec.MAX_PAYLOAD
    limit: int = default if options.max_payload is None else options.max_payload
    if limit > most:
        raise UsageError(f"argument --max-payload: expected a whole number from 1 to {most}, found {limit}")
    return limit


def limits_of(settings: Iterable[str], revision: Revision | None = None) -> Limits:
    """The limits of ``--limit``, all of them of receivers."""
    from hgproto.reactors.limits import Limits as Made

    settings = list(settings)
    try:
        limits = Made.of(settings, revision)
    except (TypeError, ValueError) as error:
        raise UsageError(f"argument --limit: {error}") from None
    if "send-payload" in map(limit_name, settings):
        raise UsageError("argument --limit: send-payload is for senders, so it has no effect; leave it out")
    return limits


def frame_limits(options: argparse.Namespace, revision: Revision, where: str | None) -> Limits:
    """The limits; that on payloads is also ``max_payload`` of the options, whichever option names it.

    ``where``: the words for the place where only limits on payloads and their items have an effect; None for all limits. Raises
    :class:`UsageError` for a limit that would have no effect.
    """
    given = {limit_name(setting) for setting in options.limit}
    if "max-payload" in given and options.max_payload is not None:
        raise UsageError("argument --limit: --max-payload is the limit max-payload; leave one of them out")
    settings = list(options.limit)
    if options.max_payload is not None:
        settings.append(f"max-payload={options.max_payload}")
    limits = limits_of(settings, revision)
    for name in sorted(given - {"max-payload", revision.codec.ITEMS_LIMIT}) if where is not None else ():
        raise UsageError(f"argument --limit: {name} has no effect {where}; leave it out")
    if "max-payload" in given:
        options.max_payload = limits.max_payload
    return limits


def limit_name(setting: str) -> str:
    """The name of the limit in a setting."""
    return setting.partition("=")[0].replace("_", "-")


def revision_of(name: str, argument: str = "--revision") -> Revision:
    """The revision of that name. A schema file with faults is the input's fault, a missing one is trouble, a wrong name usage.

    ``argument``: where the name was given.
    """
    from hgproto.revisions.revision import Revision as Made

    revision = Made(name)
    if not revision.is_known:
        try:
            os.stat(name)
        except OSError as error:
            is_file = os.path.dirname(name) or name.endswith((".yaml", ".yml"))
            if is_file or error.errno != errno.ENOENT:
                raise StreamError.of(error, name) from None
            raise UsageError(f"argument {argument}: there is no revision {quoted(name)}, and no such file") from None
    return revision


def shown_path(file: str | os.PathLike[str]) -> str:
    """A path as short as it can be said from here."""
    path = os.fspath(file)
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):  # the directory is gone, or the path is on another drive
        relative = path
    return printable(path if relative.startswith("..") else relative)


@contextmanager
def open_input(name: str) -> Iterator[BinaryIO]:
    """A binary file by name, standard input for ``-``. Opening and reading raise :class:`StreamError`."""
    if name == "-":
        yield sys.stdin.buffer
        return
    with open_file(name) as file:
        yield file


def named(path: str) -> str:
    """The name of an input in reports: its path, unless it is standard input. Messages show it as printable text."""
    return "standard input" if path == "-" else path


def input_error(error: HgprotoError, name: str, line: int | None = None) -> InputError:
    """The error that says where in an input something cannot be understood.

    ``name``: the input. ``line``: the line that is being read, if it is read by lines.
    """
    if isinstance(error, HexError):
        return InputError(error.message, name, error.line, error.column)
    if isinstance(error, TextError):
        return InputError(str(error), name, 1, 1)
    if isinstance(error, HumanFormError):
        return InputError(error.message, name, error.line if line is None else line, error.column)
    if isinstance(error, ProtocolError):
        return InputError(f"{error.message} ({error.requirement})", name, line)
    return InputError(str(error), name, line)


def input_files(paths: Iterable[str]) -> list[tuple[str, StreamError | None]]:
    """The files that paths name, each once, with the trouble that keeps it from being looked for.

    Of a directory, see :func:`files_in`. Raises :class:`UsageError` for a directory without any.
    """
    found: list[tuple[str, StreamError | None]] = []
    for path in paths:
        if path == "-" or not os.path.isdir(path):
            found.append((path, None))
            continue
        found += files_in(path)
    # Standard input is at its end when it is read again, and a file that counts twice falsifies sums.
    once: dict[str, tuple[str, StreamError | None]] = {}
    for path, trouble in found:
        once.setdefault(path if path == "-" else _absolute(path), (path, trouble))
    return list(once.values())


def _absolute(path: str) -> str:
    """Returns a path from the root, and the path itself if the working directory was deleted."""
    try:
        return os.path.abspath(path)
    except OSError:
        return path


def files_in(top: str) -> list[tuple[str, StreamError | None]]:
    """The regular files in a directory and in those below it, without hidden ones and those in hidden directories.

    Links are followed. A directory is read once, however many links name it, so that links to directories make no loops.
    Raises :class:`UsageError` if there are none.
    """
    found: list[tuple[str, StreamError | None]] = []
    read: set[tuple[int, int]] = set()

    def fail(error: OSError) -> None:
        name = os.fspath(error.filename)
        found.append((str(Path(name)), StreamError.of(error, name)))

    # Links come after the directories themselves, so that files have the names that are theirs.
    tops = [top]
    for start in tops:
        for directory, directories, names in os.walk(start, onerror=fail):
            try:
                information = os.stat(directory)
            except OSError as error:
                fail(error)
                continue
            identity = (information.st_dev, information.st_ino)
            if identity in read:
                directories.clear()
                continue
            read.add(identity)
            directories[:] = sorted(name for name in directories if not name.startswith("."))
            tops += filter(os.path.islink, (os.path.join(directory, name) for name in directories))
            for name in names:
                # A file that is called - is not standard input.
                file = str(Path(directory, name)) if (directory, name) != (".", "-") else "./-"
                try:
                    if not name.startswith(".") and _is_regular(file):
                        found.append((file, None))
                except StreamError as error:
                    found.append((file, error))
    if not found:
        raise UsageError(f"{top}: there are no files in this directory")
    return sorted(found, key=lambda one: Path(one[0]))


def _is_regular(path: str) -> bool:
    """True for a regular file. Raises :class:`StreamError` for a path that cannot be looked at."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError as error:
        raise StreamError.of(error, path) from None


def lines_of(file: BinaryIO, limit: int, name: str) -> Iterator[tuple[int, bytes]]:
    """Yields the lines that have a frame in human form, with their numbers and ends, without a byte-order mark.

    Raises :class:`InputError` for such a line of more than ``limit`` bytes, before it is gathered, and for a text in UTF-16 or
    UTF-32.
    """
    from hgproto.wire.human import frame_lines

    try:
        yield from frame_lines(chunks_of(file), limit)
    except (HumanFormError, TextError) as error:
        raise input_error(error, name) from None


def chunks_of(file: BinaryIO) -> Iterator[bytes]:
    """Yields a file in chunks, each as soon as it is there."""
    from hgproto.wire.reader import CHUNK_BYTES

    read: Callable[[int], bytes] = getattr(file, "read1", file.read)
    return iter(lambda: read(CHUNK_BYTES), b"")


def hex_chunks(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Yields the bytes that chunks of hexadecimal text stand for. Raises :class:`InputError` with the place."""
    from hgproto.wire.hexform import bytes_from_hex

    try:
        yield from bytes_from_hex(chunks)
    except HexError as error:
        raise input_error(error, name) from None


def say(*messages: str) -> None:
    """Prints messages on standard error, after what standard output holds.

    They are printed too if standard output cannot be written, unless its reader has gone. Raises :class:`OutputError` then.
    """
    try:
        sys.stdout.flush()
    except OutputError as error:
        if not error.silent:
            _say(messages)
        raise
    _say(messages)


def unavailable_messages(encodings: Iterable[str], more: str = "") -> list[str]:
    """Returns a message about each content encoding that an input uses and that is not installed, with the remedy.

    ``more``: the consequence, besides that its payloads were not looked into.
    """
    from hgproto.streams.encodings import default_encodings

    remedies = default_encodings().missing
    return [f"payloads in {one} were not looked into{more}; {remedies[one]}" for one in sorted(encodings)]


@contextmanager
def saying(found: Callable[[], Iterable[str]]) -> Iterator[None]:
    """Says what a command has found: when it has judged its input, and before an error that ends it.

    ``found``: returns the messages. They are not printed if the reader of standard output has gone.
    """
    try:
        yield
    except InputError as error:
        error.before += found()
        raise
    except StreamError as error:
        if not error.silent:
            say(*found())
        raise
    say(*found())


def _say(messages: Iterable[str]) -> None:
    for message in messages:
        print(f"hgproto: {printable(message)}", file=sys.stderr)


def refuse_terminal(instead: str) -> None:
    """Raises :class:`UsageError` if standard output is a terminal, before bytes that are no text go there.

    ``instead``: options that write something else.
    """
    if sys.stdout.isatty():
        raise UsageError(f"bytes are not written to a terminal; use {instead}, or redirect standard output")


def wants_colour() -> bool:
    """Whether standard output is a terminal that shows colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
