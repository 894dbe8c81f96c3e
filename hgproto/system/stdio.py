"""Files and standard streams of programs: they wait for the other side, write everything or fail, and fail in one form.

:func:`run` runs a command. Trouble with a file or a standard stream becomes one line on standard error. It has its own exit
status, :data:`TROUBLE`, so that it is never mistaken for a verdict on the input. :func:`standard_streams` makes the standard
streams of the process safe. It waits for a non-blocking stream, a closed stream fails on use, and a failed write raises
:class:`StreamError`. :func:`write_whole` replaces a file as a whole or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import traceback
from typing import TYPE_CHECKING

from hgproto.errors import printable
from hgproto.system.interrupts import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, BinaryIO, TextIO

__all__ = [
    "TROUBLE",
    "OutputError",
    "StreamError",
    "attempt",
    "open_file",
    "own_faults",
    "run",
    "standard_streams",
    "write_whole",
]

TROUBLE = 3
"""The exit status of a program that could not open, read, or write a file or a standard stream, or that lacks a package."""
_GOOD, _FAULT = 0, 1


class StreamError(Exception):
    """Trouble with a file or a standard stream.

    ``name``: the file or the stream, as messages name it. ``reason``: the problem, as the system describes it.
    ``silent``: True if no message is printed, because the reader of standard output has closed it.
    """

    def __init__(self, name: str, reason: str, *, silent: bool = False) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason
        self.silent = silent

    @classmethod
    def of(cls, error: OSError, name: str | None = None) -> StreamError:
        """Converts an error of the system. ``name``: the file; None for the one that the error names."""
        if name is None and error.filename is not None:
            name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else str(error.filename)
        return cls(name or "", _reason(error))

    def __str__(self) -> str:
        return f"{printable(self.name)}: {self.reason}" if self.name else self.reason


class OutputError(StreamError):
    """Trouble with standard output."""


def run(
    command: Callable[[Sequence[str]], int],
    arguments: Sequence[str] | None,
    *,
    program: str,
    found_fault: Callable[[], bool] = lambda: False,
) -> int:
    """Runs a command with its arguments; returns the exit status as :func:`attempt` does.

    ``arguments``: None for those of the process, whose standard streams are then made safe.
    """
    if arguments is not None:
        return attempt(lambda: command(arguments), program=program, found_fault=found_fault)
    with standard_streams():
        return attempt(lambda: command(sys.argv[1:]), program=program, found_fault=found_fault)


def attempt(command: Callable[[], int], *, program: str, found_fault: Callable[[], bool] = lambda: False) -> int:
    """Runs a command; returns its exit status, or that of the trouble that stopped it.

    ``program``: the name before messages. ``found_fault``: returns True once the command has found the input at fault. The exit
    status then reports that fault, not the trouble.
    """
    try:
        try:
            return _finished(command())
        except SystemExit:
            # Help and usage are output too.
            sys.stdout.flush()
            raise
    except KeyboardInterrupt:
        _drop()
        return INTERRUPTED
    except StreamError as error:
        trouble = error
    except OSError as error:
        trouble = StreamError.of(error)
        trouble.silent = isinstance(error, BrokenPipeError)
    _drop(still_possible=not trouble.silent)
    if not trouble.silent:
        print(f"{program}: {trouble}", file=sys.stderr)
    return _FAULT if found_fault() else TROUBLE


def _finished(code: int) -> int:
    """Writes all output of a command that has ended, and returns its exit status."""
    sys.stdout.flush()
    output = _output_of(sys.stderr)
    return TROUBLE if code == _GOOD and output is not None and output.failed else code


def _drop(*, still_possible: bool = False) -> None:
    """Drops the buffered bytes of standard output. ``still_possible``: True to try to write them first."""
    if still_possible:
        with contextlib.suppress(StreamError, OSError):
            sys.stdout.flush()
    output = _output_of(sys.stdout)
    if output is not None:
        output.dropping = True


def _output_of(stream: TextIO) -> _Output | None:
    """Returns the raw file of a standard stream that :func:`standard_streams` has built; None for any other stream."""
    end: Any = getattr(stream, "buffer", None)
    end = getattr(end, "raw", end)
    return end if isinstance(end, _Output) else None


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Makes the standard streams of the process safe for as long as this context lasts."""
    before = sys.stdin, sys.stdout, sys.stderr
    _occupy_standard_descriptors()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    try:
        sys.stdin = _safe_input(sys.stdin)
        sys.stdout = _safe_output(sys.stdout, 1, "standard output")
        sys.stderr = _safe_output(sys.stderr, 2, "standard error")
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            output = _output_of(stream)
            if output is not None:
                with contextlib.suppress(StreamError, OSError):
                    stream.flush()
                output.dropping = True
        sys.stdin, sys.stdout, sys.stderr = before


def _occupy_standard_descriptors() -> None:
    """Opens a file that fails on use for each closed standard stream, so that no file opened later gets its descriptor."""
    for descriptor, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, mode)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            os.set_inheritable(descriptor, True)


def _raw_of(stream: Any, descriptor: int, mode: str) -> Any:
    """Returns the unbuffered file below a standard stream; None for an object that is not such a stream."""
    if stream is None:
        return io.FileIO(descriptor, mode, closefd=False)
    end = getattr(stream, "buffer", None)
    end = getattr(end, "raw", end)
    return end if isinstance(end, io.RawIOBase) and not isinstance(end, (_Input, _Output)) else None


def _safe_input(stream: Any) -> Any:
    raw = _raw_of(stream, 0, "rb")
    if raw is None:
        return stream
    return io.TextIOWrapper(
        io.BufferedReader(_Input(raw, "standard input")),
        encoding=getattr(stream, "encoding", "utf-8"),
        errors="surrogateescape",
    )


def _safe_output(stream: Any, descriptor: int, name: str) -> Any:
    raw = _raw_of(stream, descriptor, "wb")
    if raw is None:
        return stream
    output = _Output(raw, name, quiet=descriptor == 2)
    unbuffered = bool(getattr(stream, "write_through", False))
    return io.TextIOWrapper(
        output if unbuffered else io.BufferedWriter(output),
        encoding=getattr(stream, "encoding", "utf-8"),
        # File names that cannot be encoded are shown with escapes.
        errors="backslashreplace",
        line_buffering=bool(getattr(stream, "line_buffering", descriptor == 2)),
        write_through=unbuffered,
    )


class _Input(io.RawIOBase):
    """A raw input file that waits for bytes and raises :class:`StreamError`."""

    def __init__(self, raw: Any, name: str) -> None:
        super().__init__()
        self._raw = raw
        self._name = name

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._raw.fileno())

    def isatty(self) -> bool:
        return bool(self._raw.isatty())

    def readinto(self, buffer: Any) -> int:
        try:
            while (number := self._raw.readinto(buffer)) is None:
                _wait(self._raw.fileno(), writing=False)
        except OSError as error:
            raise StreamError(self._name, _reason(error)) from None
        return int(number)


class _Output(io.RawIOBase):
    """A raw output file that waits until it is writable, writes everything, and raises :class:`OutputError` once.

    ``quiet``: True to raise nothing, for standard error: no other stream could report the trouble.
    """

    def __init__(self, raw: Any, name: str, *, quiet: bool = False) -> None:
        super().__init__()
        self._raw = raw
        self._name = name
        self._quiet = quiet
        self.dropping = False
        """True once further output is dropped."""
        self.failed = False
        """True once a write has failed, unless the stream was closed from the start."""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._raw.fileno())

    def isatty(self) -> bool:
        return bool(self._raw.isatty())

    def write(self, data: Any) -> int:
        with memoryview(data) as view, view.cast("B") as raw:
            size = len(raw)
            at = 0
            try:
                while at < size and not self.dropping:
                    number = self._raw.write(raw[at:])
                    if number is None:
                        _wait(self._raw.fileno(), writing=True)
                    else:
                        at += number
            except OSError as error:
                self.dropping = True
                self.failed = error.errno != errno.EBADF
                if not self._quiet:
                    silent = error.errno == errno.EPIPE
                    raise OutputError(self._name, _reason(error), silent=silent) from None
        return size


def _reason(error: OSError) -> str:
    return "it is closed" if error.errno == errno.EBADF else error.strerror or str(error)


def _wait(descriptor: int, *, writing: bool) -> None:
    """Waits until a non-blocking file can be used."""
    import select

    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT if writing else select.POLLIN)
        poll.poll()
    else:
        files = [descriptor]
        select.select([] if writing else files, files if writing else [], [])


@contextlib.contextmanager
def open_file(path: str, name: str | None = None) -> Iterator[BinaryIO]:
    """Opens a binary file for reading. Opening and reading raise :class:`StreamError`. ``name``: the file's name in messages."""
    try:
        raw = io.FileIO(path, "rb")
    except OSError as error:
        raise StreamError.of(error, name or path) from None
    with raw:
        yield io.BufferedReader(_Input(raw, name or path))


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a file completely, or leaves it unchanged. Raises :class:`OSError` with the path.

    The bytes go to a temporary file beside it, which then replaces it. A path that is not a regular file is written directly. So
    is an open descriptor such as ``/dev/stdout``, after any earlier output.
    """
    try:
        target = os.path.realpath(path)
        descriptor = _descriptor(path)
        if descriptor is not None or (os.path.exists(path) and not os.path.isfile(path)):
            with open(path if descriptor is None else os.dup(descriptor), "wb") as file:
                file.write(data)
            return
        # The name is new even if a killed run has left a temporary file.
        temporary = os.path.join(os.path.dirname(target), f".hgproto-{os.urandom(8).hex()}.tmp")
        try:
            with open(temporary, "xb") as file:
                file.write(data)
            with contextlib.suppress(FileNotFoundError):
                os.chmod(temporary, os.stat(target).st_mode & 0o7777)
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def _descriptor(path: str | os.PathLike[str]) -> int | None:
    """Returns the descriptor that a path names; None for any other path."""
    folder, name = os.path.split(os.path.abspath(os.fsdecode(path)))
    if folder == "/dev" and name in ("stdout", "stderr"):
        return 1 if name == "stdout" else 2
    return int(name) if folder in ("/dev/fd", "/proc/self/fd") and name.isdecimal() else None


@contextlib.contextmanager
def own_faults(innocent: str, needed: str, *expected: type[Exception]) -> Iterator[None]:
    """Reports an exception in hgproto itself as trouble, because it is not a verdict on the input of a command.

    ``innocent``: the input, which is not at fault. ``needed``: the data that a report needs besides the traceback. ``expected``:
    exceptions that are not failures, besides trouble with files and streams.
    """
    try:
        yield
    except (StreamError, OSError):
        raise
    except Exception as error:
        if isinstance(error, expected):
            raise
        traceback.print_exc()
        failure = printable(f"{type(error).__name__}: {error}")
        remedy = f"report it to the authors of hgproto, with the traceback, {needed}"
        raise StreamError("", f"hgproto itself failed, not {innocent}: {failure}; {remedy}") from error
