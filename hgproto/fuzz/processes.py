"""Processes of targets: run within a time, with bounded output, and ended together with the processes that they started.

Threads read the output, because Windows cannot wait for several pipes at once. On POSIX, a target leads a session of its own,
so that its process group can be ended. A child that begins another session escapes this: its output is no longer read, and its
next write fails. Windows has no such groups; there, children are ended only with a target that is still running.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.fuzz.memory import peak

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "FIRST_SILENCE",
    "MOST_ERRORS",
    "MOST_OUTPUT",
    "SILENCE",
    "Bounded",
    "Ended",
    "Input",
    "Output",
    "end",
    "interrupted_by_termination",
    "joined_words",
    "run",
    "split_words",
    "start",
]

MOST_OUTPUT = 1 << 26
"""The maximum output, in bytes. A target that sends more is ended, and counts as a hang."""
MOST_ERRORS = 1 << 16
"""The bytes of standard error that are kept: half from its start, and half from its end, where a traceback names the error."""
FIRST_SILENCE, SILENCE = 0.25, 0.05
"""Seconds without output after which a target is silent in a dialogue: before its first byte, and after any other."""
_CHUNK = 1 << 16
_LATE = 16
"""The maximum number of chunks that are read after a process has ended. A pipe holds fewer."""
_POSIX = os.name == "posix"
_TERMINATIONS = [one for one in signal.Signals if one.name in ("SIGTERM", "SIGHUP")]
"""Signals that ask a program to end, apart from Ctrl-C. By default they end it at once, without cleaning up."""


class Ended(NamedTuple):
    """A process that has ended.

    ``status``: its exit status, negative for a signal. ``output``, ``errors``: the kept parts of its output. ``peak``: the peak
    memory of one of its processes, in bytes; 0 if unknown. ``hung``: True if it exceeded the time or the maximum output. ``seen``:
    the bytes of output by the end of each wait.
    """

    status: int
    output: bytes
    errors: bytes
    peak: int
    hung: bool
    seen: tuple[int, ...] = ()


class Bounded:
    """Storage for the start and the end of some bytes. ``most``: the bytes that are kept. ``last``: those of them for the end."""

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

    @property
    def is_over(self) -> bool:
        """True if there were more bytes than are kept."""
        return self.total > self._most_first + self._most_last

    def kept(self) -> bytes:
        """Returns the kept bytes. A line replaces the bytes that were left out."""
        left_out = self.total - len(self._first) - len(self._last)
        between = b"\n[%d bytes left out]\n" % left_out if left_out and self._most_last else b""
        return bytes(self._first) + between + bytes(self._last)


class Output:
    """The read end of a pipe. A thread reads it until its end or :meth:`close`, even if other processes hold the write end.

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
            # The pipe is being closed and has no more bytes.
            pass
        finally:
            self._take(b"")

    def _is_closing(self, handle: int) -> bool:
        """Waits for bytes. Returns True once the pipe is being closed; reads then do not block."""
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
        """Reads the bytes written so far, then closes the pipe."""
        if self._wake is None:
            # A thread that cannot be woken ends with the last process that holds the pipe.
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
    """Ends a process and those that it started. Returns its exit status."""
    if _POSIX:
        # The group has the number of its leader, as long as one of its processes exists.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        with contextlib.suppress(OSError):
            subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False)  # noqa: S603, S607
        process.kill()
    return process.wait()


@contextlib.contextmanager
def interrupted_by_termination() -> Iterator[None]:
    """Makes SIGTERM and SIGHUP raise :class:`KeyboardInterrupt`, so that started processes are ended as after Ctrl-C.

    Only the first signal raises: `timeout` sends its signal twice, and the second one would interrupt the cleanup. A signal that
    the caller ignores stays ignored, and a handler of the caller stays in place.
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


class Input:
    """The write end of a pipe, written by a thread, because a process may read nothing."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._parts: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # The process may have ended or closed its input.
        with contextlib.suppress(OSError):
            for part in iter(self._parts.get, None):
                self._file.write(part)
                self._file.flush()
        with contextlib.suppress(OSError):
            self._file.close()

    def write(self, data: bytes) -> None:
        """Sends bytes after all earlier ones."""
        self._parts.put(data)

    def close(self) -> None:
        """Ends the input after all earlier bytes."""
        self._parts.put(None)

    def join(self) -> None:
        """Waits, for at most a second, for the thread of an ended process. A process in another session may keep it running."""
        self._thread.join(1.0)


def run(
    command: Sequence[str] | str,
    data: bytes,
    *,
    seconds: float,
    waits: Sequence[int] = (),
    patience: float = 0.0,
    most_output: int = MOST_OUTPUT,
) -> Ended:
    """Runs a command once with ``data`` as its standard input. Raises :class:`OSError` if it cannot be started.

    At its end, after ``seconds``, or after more than ``most_output`` bytes of output, all processes that it started are ended.
    ``waits``: offsets in ``data`` at which input stops until the command has been silent for a while. ``patience``: the maximum
    seconds until its first byte at a wait.
    """
    output, errors = Bounded(most_output), Bounded(MOST_ERRORS, last=MOST_ERRORS // 2)
    last, most, hung = time.monotonic() + seconds, 0, False
    seen: list[int] = []
    with tempfile.TemporaryFile() as given:
        # Input without waits may be larger than a pipe.
        given.write(b"" if waits else data)
        given.seek(0)
        process = start(
            command, stdin=subprocess.PIPE if waits else given, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        pipes: list[Output] = []
        parts: Input | None = None
        try:
            if waits:
                parts = Input(process.stdin)
            pipes.append(Output(process.stdout, output.add))
            pipes.append(Output(process.stderr, errors.add))
            if parts is not None:
                for before, wait in pairwise((0, *waits)):
                    parts.write(data[before:wait])
                    most, hung = _waited(process, last, output, most, _Silence(output, patience))
                    if hung or process.poll() is not None:
                        break
                    seen.append(output.total)
                parts.write(data[waits[-1] :])
                parts.close()
            most, hung = _waited(process, last, output, most)
        finally:
            # A signal may interrupt any wait, such as that for a thread to start.
            status = end(process)
            for pipe in pipes:
                pipe.close()
            if parts is not None:
                parts.close()
                parts.join()
    # It ended by itself before it received all of its input.
    seen += [output.total] * (len(seen) < len(waits))
    return Ended(status, output.kept(), errors.kept(), most, hung or output.is_over, tuple(seen))


class _Silence:
    """Condition that becomes true once a process has written nothing for a while."""

    def __init__(self, output: Bounded, first: float) -> None:
        self._output = output
        self._total = output.total
        self._end = time.monotonic() + first

    def __call__(self) -> bool:
        if self._output.total != self._total:
            self._total, self._end = self._output.total, time.monotonic() + SILENCE
        return time.monotonic() >= self._end


def _waited(
    process: subprocess.Popen[bytes],
    last: float,
    output: Bounded,
    most: int,
    is_done: Callable[[], bool] = lambda: False,
) -> tuple[int, bool]:
    """Waits until a process has ended, or until ``is_done``.

    Returns its peak memory in bytes, at least ``most``, and True if it exceeded the time or the maximum output.
    """
    pause = 0.0005
    while process.poll() is None and not is_done():
        # The system's own figure afterwards is never below the size of this process.
        most = max(most, peak(process.pid))
        if time.monotonic() > last or output.is_over:
            return most, True
        time.sleep(pause)
        pause = min(pause * 1.5, 0.01)
    return most, False


def split_words(text: str, *, windows: bool = not _POSIX) -> list[str]:
    r"""Splits a command into words like a shell of this system. On Windows, a backslash is part of a path.

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
            # Before a quotation mark, two backslashes stand for one, and an odd backslash escapes the mark.
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
    """Joins words to a command for a shell of this system."""
    if windows:
        return subprocess.list2cmdline(words)
    import shlex

    return " ".join(
        _escaped_word(word) if any("\udc80" <= c <= "\udcff" for c in word) else shlex.quote(word) for word in words
    )


def _escaped_word(word: str) -> str:
    """Quotes a word that is not UTF-8 so that a shell decodes its escapes."""
    data = word.encode("utf-8", "surrogateescape")
    return "$'" + "".join(chr(one) if 32 <= one < 127 and one not in b"'\\" else f"\\x{one:02x}" for one in data) + "'"
