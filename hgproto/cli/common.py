"""Code that the commands share: exit statuses, exceptions, options, files, and lines."""

from __future__ import annotations

import errno
import os
import shutil
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
    "HUMAN_FORM",
    "INPUT",
    "SCHEMA",
    "TROUBLE",
    "USAGE",
    "InputError",
    "StreamError",
    "UsageError",
    "chunks_of",
    "file_argument",
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
    "output_width",
    "refuse_terminal",
    "revision_hint",
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
HUMAN_FORM = """\
Human form of a frame: REQUEST-ID STREAM-ID STREAM-FLAGS TYPE FLAGS PAYLOAD, with single spaces.
  REQUEST-ID STREAM-ID   decimal numbers
  STREAM-FLAGS FLAGS     flag names joined by |, or 0, as in stream-begin|encoded
  TYPE                   frame type by name or number, as in command-name
  PAYLOAD                text, with \\n, \\r, \\t, \\\\, and \\xNN for other bytes; optional
                         if the revision has CBOR: cbor: and a Python literal
Run hgproto schema show for the types, and hgproto schema show TYPE for the flags."""
"""Help text about the human form."""


class UsageError(Exception):
    """The arguments of a command are wrong."""


class InputError(Exception):
    """The content of the input cannot be parsed.

    ``message``: the problem. ``name``: the input. ``line``, ``column``: the place in it, from 1; None if not known.
    ``before``: messages about earlier places.
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
        help=f"name of a revision, or a schema file of your own (default: {DEFAULT_REVISION})",
    )


def file_argument(parser: argparse.ArgumentParser, content: str) -> None:
    """Adds the argument for an input file with this content."""
    words = f"file with the {content}; - is standard input (default)"
    parser.add_argument("file", nargs="?", default="-", type=INPUT, metavar="FILE", help=words)


def frame_options(parser: argparse.ArgumentParser, more: str = "") -> None:
    """Adds the options of commands that read or write frames. ``more``: text after the default of ``--max-payload``."""
    help_ = f"largest payload in bytes (default: the limit of the revision{more})"
    parser.add_argument("--max-payload", type=whole(1), metavar="N", help=help_)
    revision_option(parser)


def max_payload(options: argparse.Namespace, revision: Revision) -> int:
    """Returns the limit of ``--max-payload``, in bytes. Raises :class:`UsageError` if it is too large."""
    default, most = revision.codec.MAX_PAYLOAD
    limit: int = default if options.max_payload is None else options.max_payload
    if limit > most:
        raise UsageError(f"argument --max-payload: expected a whole number from 1 to {most}, found {limit}")
    return limit


def limits_of(settings: Iterable[str], revision: Revision | None = None) -> Limits:
    """Returns the receivers' limits that ``--limit`` sets. Raises :class:`UsageError` for another setting."""
    from hgproto.reactors.limits import Limits as Made

    settings = list(settings)
    try:
        limits = Made.of(settings, revision)
    except (TypeError, ValueError) as error:
        raise UsageError(f"argument --limit: {error}") from None
    if "send-payload" in map(limit_name, settings):
        raise UsageError("argument --limit: send-payload is a limit of senders and has no effect here; leave it out")
    return limits


def frame_limits(options: argparse.Namespace, revision: Revision, where: str | None) -> Limits:
    """Returns the limits, and sets ``options.max_payload``, whichever option names that limit.

    ``where``: words for a context in which only limits on payloads and their items have an effect; None if all limits do.
    Raises :class:`UsageError` for a limit without effect.
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
    """Returns the name of the limit in a setting."""
    return setting.partition("=")[0].replace("_", "-")


def revision_of(name: str, argument: str = "--revision") -> Revision:
    """Returns the revision of a name or schema file.

    Raises :class:`SchemaError` for a schema with faults, :class:`StreamError` for a missing file, and :class:`UsageError` for an
    unknown name. ``argument``: the argument that has the name, for messages.
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
            raise UsageError(f"argument {argument}: {quoted(name)} is neither a revision nor a file") from None
    return revision


def revision_hint(head: bytes, revision: Revision) -> str:
    """Returns a hint if the first bytes of an input are frames of another revision; otherwise an empty text."""
    from hgproto.revisions.likeness import likely_revision

    likely = likely_revision(head, revision)
    return "" if likely is None else f"this looks like {likely}; use --revision {likely}"


def shown_path(file: str | os.PathLike[str]) -> str:
    """Returns a path relative to the working directory if it is inside, else unchanged; as printable text."""
    path = os.fspath(file)
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):  # the directory is gone, or the path is on another drive
        relative = path
    return printable(path if relative.startswith("..") else relative)


@contextmanager
def open_input(name: str) -> Iterator[BinaryIO]:
    """Opens a binary file; ``-`` is standard input. Raises :class:`StreamError` if opening or reading fails."""
    if name == "-":
        yield sys.stdin.buffer
        return
    with open_file(name) as file:
        yield file


def named(path: str) -> str:
    """Returns the name of an input in reports: its path, or "standard input"."""
    return "standard input" if path == "-" else path


def input_error(error: HgprotoError, name: str, line: int | None = None) -> InputError:
    """Returns the error with the place in an input.

    ``name``: the input. ``line``: the current line if the input is read by lines.
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
    """Returns the files that paths name, each once, with the error of a directory that cannot be read.

    For directories, see :func:`files_in`. Raises :class:`UsageError` for a directory without files.
    """
    found: list[tuple[str, StreamError | None]] = []
    for path in paths:
        if path == "-" or not os.path.isdir(path):
            found.append((path, None))
            continue
        found += files_in(path)
    # Standard input can be read only once, and a file that is counted twice falsifies sums.
    once: dict[str, tuple[str, StreamError | None]] = {}
    for path, trouble in found:
        once.setdefault(path if path == "-" else _absolute(path), (path, trouble))
    return list(once.values())


def _absolute(path: str) -> str:
    """Returns an absolute path, or the path itself if the working directory was deleted."""
    try:
        return os.path.abspath(path)
    except OSError:
        return path


def files_in(top: str) -> list[tuple[str, StreamError | None]]:
    """Returns the regular files in a directory and its subdirectories, without hidden files and directories.

    Follows links, and reads each directory once, so that links do not cause loops. Raises :class:`UsageError` if there are no
    files.
    """
    found: list[tuple[str, StreamError | None]] = []
    read: set[tuple[int, int]] = set()

    def fail(error: OSError) -> None:
        name = os.fspath(error.filename)
        found.append((str(Path(name)), StreamError.of(error, name)))

    # Links come after real directories, so that each file keeps its real name.
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
                # A file named - is not standard input.
                file = str(Path(directory, name)) if (directory, name) != (".", "-") else "./-"
                try:
                    if not name.startswith(".") and _is_regular(file):
                        found.append((file, None))
                except StreamError as error:
                    found.append((file, error))
    if not found:
        raise UsageError(f"{top}: the directory has no files")
    return sorted(found, key=lambda one: Path(one[0]))


def _is_regular(path: str) -> bool:
    """True for a regular file. Raises :class:`StreamError` if its status cannot be read."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError as error:
        raise StreamError.of(error, path) from None


def lines_of(file: BinaryIO, limit: int, name: str) -> Iterator[tuple[int, bytes]]:
    """Yields the number and bytes of each line with a frame in human form, with its line end and without a byte-order mark.

    Raises :class:`InputError` for a line of more than ``limit`` bytes, before reading all of it, and for UTF-16 or UTF-32.
    """
    from hgproto.wire.human import frame_lines

    try:
        yield from frame_lines(chunks_of(file), limit)
    except (HumanFormError, TextError) as error:
        raise input_error(error, name) from None


def chunks_of(file: BinaryIO) -> Iterator[bytes]:
    """Yields a file in chunks, each as soon as it can be read."""
    from hgproto.wire.reader import CHUNK_BYTES

    read: Callable[[int], bytes] = getattr(file, "read1", file.read)
    return iter(lambda: read(CHUNK_BYTES), b"")


def hex_chunks(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Yields the bytes of hexadecimal text. Raises :class:`InputError` with the place of a fault."""
    from hgproto.wire.hexform import bytes_from_hex

    try:
        yield from bytes_from_hex(chunks)
    except HexError as error:
        raise input_error(error, name) from None


def say(*messages: str) -> None:
    """Prints messages on standard error after flushing standard output.

    Raises :class:`OutputError` if standard output cannot be written. It prints the messages first, unless the reader of standard
    output has gone.
    """
    try:
        sys.stdout.flush()
    except OutputError as error:
        if not error.silent:
            _say(messages)
        raise
    _say(messages)


def unavailable_messages(encodings: Iterable[str], more: str = "") -> list[str]:
    """Returns a message with a remedy for each content encoding that an input uses and that is not installed.

    ``more``: a further consequence.
    """
    from hgproto.streams.encodings import default_encodings

    remedies = default_encodings().missing
    return [f"payloads in {one} were not checked{more}; {remedies[one]}" for one in sorted(encodings)]


@contextmanager
def saying(found: Callable[[], Iterable[str]]) -> Iterator[None]:
    """Prints the messages of a command at its end, and before an error that ends it.

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
    """Raises :class:`UsageError` if standard output is a terminal, which cannot show arbitrary bytes.

    ``instead``: options that write text or files.
    """
    if sys.stdout.isatty():
        raise UsageError(f"cannot write raw bytes to a terminal; use {instead}, or redirect standard output")


def output_width() -> int | None:
    """Returns the columns of the terminal, or those of the variable COLUMNS; None for a pipe or a file without it."""
    columns = shutil.get_terminal_size((0, 0)).columns if sys.stdout.isatty() or os.environ.get("COLUMNS") else 0
    return columns or None


def wants_colour() -> bool:
    """True if standard output is a terminal that shows colors."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
