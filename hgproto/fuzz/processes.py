"""Processes of targets: run within a time, with bounded output, and ended together with the processes that they started.

Threads read the output, because Windows cannot wait for several pipes at once. On POSIX, a target leads a session of its own,
so that its process group can be ended. A child that begins another session escapes this: its output is no longer read, and its
next write fails. Windows has no such groups; there, children are ended only with a target that is still running.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.fuzz.memory import peak

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "MOST_ERRORS",
    "MOST_OUTPUT",
    "Bounded",
    "Ended",
    "Output",
    "end",
    "interrupted_by_termination",
    "joined_words",
    "run",
    "split_words",
    "start",
]

MOST_OUTPUT = 1 << 26
"""Bytes of output that are kept; a target that sends more is ended, and counts as hanging."""
MOST_ERRORS = 1 << 16
"""Bytes of standard error that are kept: half from its start, half from its end, where a traceback names the error."""
_CHUNK = 1 << 16
_LATE = 16
"""Chunks that are still read once a process has ended; a pipe holds fewer."""
_POSIX = os.name == "posix"
_TERMINATIONS = [one for one in signal.Signals if one.name in ("SIGTERM", "SIGHUP")]
"""Signals by which a program is asked to end, apart from Ctrl-C; the default is to end it at once, with nothing cleaned up."""


class Ended(NamedTuple):
    """A process that has ended.

    ``status``: its exit status, negative for a signal. ``output``, ``errors``: what it wrote, as far as it is kept. ``peak``:
    the most bytes that one of its processes had in memory, 0 where unknown. ``hung``: True when it took too long or wrote too much.
    """

    status: int
    output: bytes
    errors: bytes
    peak: int
    hung: bool


class Bounded:
    """The start and the end of some bytes; counts what lies between. ``most``: bytes that are kept."""

    def __init__(self, most: int, *, last: int = 0) -> None:
        self._first, self._last = bytearray(), bytearray()
        self._most_first, self._most_last = most - last, last
        self.total = 0

    def add(self, data: bytes) -> None:
        """Adds bytes at the end."""
        self.total += len(data)
        free = self._most_first - len(self._first)
        self._first += data[:free]
        if self._most_last:
            self._last += data[free:]
            del self._last[: -self._most_last]

    def kept(self) -> bytes:
        """The bytes that are kept, with a line in the place of what is left out."""
        left_out = self.total - len(self._first) - len(self._last)
        between = b"\n[%d bytes left out]\n" % left_out if left_out and self._most_last else b""
        return bytes(self._first) + between + bytes(self._last)


class Output:
    """The read end of a pipe, read by a thread until its end or :meth:`close`, whoever else holds the write end.

    ``take``: called by the thread with each chunk, and with ``b""`` at the end.
    """

    def __init__(self, file: Any, take: Callable[[bytes], object]) -> None:
        self._file = file
        self._take = take
        self._wake = os.pipe() if _POSIX else None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        handle, left = self._file.fileno(), _LATE
        try:
            while left:
                left -= self._is_closing(handle)
                chunk = os.read(handle, _CHUNK)
                if not chunk:
                    break
                self._take(chunk)
        except BlockingIOError:
            # Nothing more is there when it is closed.
            pass
        finally:
            self._take(b"")

    def _is_closing(self, handle: int) -> bool:
        """Waits for bytes; True once it is to be closed, and no read blocks then."""
        if self._wake is None:
            return False
        import select

        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.register(self._wake[0], select.POLLIN)
        if self._wake[0] not in dict(poll.poll()):
            return False
        os.set_blocking(handle, False)
        return True

    def close(self) -> None:
        """Reads what was written so far, then closes the pipe."""
        if self._wake is None:
            # Where it cannot be woken, the thread ends with the last process that holds the pipe.
            self._thread.join(1.0)
            if not self._thread.is_alive():
                self._file.close()
            return
        os.close(self._wake[1])
        self._thread.join()
        os.close(self._wake[0])
        self._file.close()


def start(command: Sequence[str] | str, **options: Any) -> subprocess.Popen[bytes]:
    """Starts a command as the leader of a session of its own. ``options``: those of :class:`subprocess.Popen`."""
    return subprocess.Popen(command, start_new_session=_POSIX, **options)  # noqa: S603 - the command is the user's


def end(process: subprocess.Popen[bytes]) -> int:
    """Ends a process and those that it started; gives its exit status."""
    if _POSIX:
        # The group has the number of its leader, and keeps it as long as one of its processes is left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        with contextlib.suppress(OSError):
            subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False)  # noqa: S603, S607
        process.kill()
    return process.wait()


@contextlib.contextmanager
def interrupted_by_termination() -> Iterator[None]:
    """Lets SIGTERM and SIGHUP raise :class:`KeyboardInterrupt`, so that what was started is ended as after Ctrl-C.

    Only the first one does: `timeout` sends its signal twice, and the second would interrupt the cleaning up. A signal that
    the caller ignores stays ignored, and a handler of the caller stays as it is.
    """
    is_first = True

    def interrupt(*_: object) -> None:
        nonlocal is_first
        if is_first:
            is_first = False
            raise KeyboardInterrupt

    numbers: list[signal.Signals] = []
    if threading.current_thread() is threading.main_thread():
        numbers = [number for number in _TERMINATIONS if signal.getsignal(number) is signal.SIG_DFL]
    try:
        for number in numbers:
            signal.signal(number, interrupt)
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def run(command: Sequence[str] | str, data: bytes, *, seconds: float, most_output: int = MOST_OUTPUT) -> Ended:
    """Runs a command once with ``data`` as its standard input. Raises :class:`OSError` when it cannot be started.

    When it has ended, or after ``seconds``, or more than ``most_output`` bytes of output, what it started is ended too.
    """
    output, errors = Bounded(most_output), Bounded(MOST_ERRORS, last=MOST_ERRORS // 2)
    with tempfile.TemporaryFile() as given:
        given.write(data)
        given.seek(0)
        process = start(command, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        pipes: list[Output] = []
        try:
            pipes += [Output(process.stdout, output.add), Output(process.stderr, errors.add)]
            most, hung = _waited(process, seconds, lambda: output.total > most_output)
        finally:
            # Also when a signal interrupts the wait.
            status = end(process)
            for pipe in pipes:
                pipe.close()
    return Ended(status, output.kept(), errors.kept(), most, hung or output.total > most_output)


def _waited(process: subprocess.Popen[bytes], seconds: float, is_over: Callable[[], bool]) -> tuple[int, bool]:
    """Waits for a process; gives its peak of bytes in memory (0 where unknown), and True when it did not end by itself."""
    last, pause, most = time.monotonic() + seconds, 0.0005, 0
    while process.poll() is None:
        # The system's own account of it afterwards has our size for a floor.
        most = max(most, peak(process.pid))
        if time.monotonic() > last or is_over():
            return most, True
        time.sleep(pause)
        pause = min(pause * 1.5, 0.01)
    return most, False


def split_words(text: str, *, windows: bool = not _POSIX) -> list[str]:
    r"""The words of a command as a shell of this system splits it: on Windows, a backslash is part of a path.

    Raises :class:`ValueError` for a quotation that does not end (POSIX).
    """
    if not windows:
        import shlex

        return shlex.split(text)
    words: list[str] = []
    word: list[str] | None = None
    quoted = False
    at = 0
    while at < len(text):
        after = at
        while text[after : after + 1] == "\\":
            after += 1
        slashes, at = after - at, after
        letter = text[at : at + 1]
        if slashes:
            # Before a quotation mark, two backslashes stand for one, and an odd one keeps the mark.
            word = word or []
            word.append("\\" * (slashes // 2 if letter == '"' else slashes))
            if letter == '"' and slashes % 2:
                word.append(letter)
                at += 1
            continue
        at += 1
        if letter == '"':
            word = word or []
            quoted = not quoted
        elif letter in " \t\n" and not quoted:
            if word is not None:
                words.append("".join(word))
            word = None
        else:
            word = word or []
            word.append(letter)
    return words if word is None else [*words, "".join(word)]


def joined_words(words: Sequence[str], *, windows: bool = not _POSIX) -> str:
    """The command of several words, to be typed into a shell of this system."""
    if windows:
        return subprocess.list2cmdline(words)
    import shlex

    return shlex.join(words)
