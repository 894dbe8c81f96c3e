"""Targets: what is fuzzed, behind one interface. A Python callable, a command, or a TCP address.

A target is given all that the other side sends, then the end of it, and gives all that it has to say. A callable runs in a
process of its own, so that it may crash, hang and grow like any other.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "ANSWERS",
    "CallableTarget",
    "CommandTarget",
    "Outcome",
    "Target",
    "TargetError",
    "TargetGoneError",
    "TcpTarget",
    "open_target",
]

ANSWERS = ("frames", "events", "verdict")
"""What a target can give: the frames that it sends, the events that it tells its application as JSON, or yes and no."""
MOST_OUTPUT = 1 << 26
"""Octets of output that are read; a target that says more hangs."""
_FRESH = 1 << 23
"""Octets by which a process may have grown and still serve the next case."""
_CALLABLE = re.compile(r"(?:python:)?([\w.]+):([A-Za-z_][\w.]*)\Z")
_ADDRESS = re.compile(r"(?:tcp://)?(\[[0-9a-fA-F:]+\]|[\w.-]+):(\d{1,5})\Z")
_PEAK = re.compile(rb"^VmHWM:\s*(\d+) kB", re.MULTILINE)
_LOOPBACK = re.compile(r"localhost\Z|127\.|\[?::1\]?\Z")


class TargetError(Exception):
    """The target cannot be used at all."""


class TargetGoneError(TargetError):
    """The target has broken down, and nobody has started it again."""


class Outcome(NamedTuple):
    """What came of one case.

    ``output``: what it gave: octets of frames, JSON lines of events, or ``yes`` and ``no``. ``crash``: how it broke down, in
    words that are the same for the same cause; None when it did not. ``details``: the rest of it. ``hung``: it did not come to
    an end in time. ``grown``: octets by which it has grown, 0 where that cannot be told.
    """

    output: bytes
    crash: str | None = None
    details: str = ""
    hung: bool = False
    grown: int = 0


class Target(Protocol):
    """What is fuzzed."""

    def run(self, octets: bytes) -> Outcome:
        """What comes of a case."""

    def close(self) -> None:
        """Ends it."""


def open_target(
    text: str, *, answers: str = "frames", seconds: float = 5.0, allow_remote: bool = False, pid: int | None = None
) -> Target:
    """The target that a text stands for: ``module:callable``, ``host:port``, or a command with its arguments.

    ``answers``: one of :data:`ANSWERS`. ``seconds``: what a case may take. ``pid``: the process behind an address, so that its
    growth can be seen. Raises :class:`TargetError`, also for an address that is not this machine's, unless ``allow_remote``.
    """
    if answers not in ANSWERS:
        raise TargetError(f"answers are {', '.join(ANSWERS)}, not {answers!r}")
    address = _ADDRESS.match(text)
    if address:
        if answers == "verdict":
            raise TargetError("an address gives frames or events, no verdict")
        host, port = address[1].strip("[]"), int(address[2])
        if not allow_remote and not _LOOPBACK.match(host):
            raise TargetError(f"{host} is not this machine; --allow-remote lets it be fuzzed if it is yours")
        return TcpTarget(host, port, seconds=seconds, pid=pid)
    if re.match(r"[a-z][a-z0-9+]*://", text):
        raise TargetError(
            f"there is no transport for {text!r}; there are tcp://host:port, module:callable and commands"
        )
    if _CALLABLE.match(text):
        return CallableTarget(text.removeprefix("python:"), answers=answers, seconds=seconds)
    return CommandTarget(shlex.split(text), answers=answers, seconds=seconds)


class CommandTarget:
    """A command that is run for each case: the case is its standard input, what it gives its standard output.

    With ``answers="verdict"`` its exit status is the verdict: 0 for yes, 1 for no. Else any status up to 127 is good unless
    its standard error has a traceback.
    """

    def __init__(self, command: list[str], *, answers: str = "frames", seconds: float = 5.0) -> None:
        if not command:
            raise TargetError("a command has at least one word")
        self._command = command
        self._answers = answers
        self._seconds = seconds
        self._usual: int | None = None

    def run(self, octets: bytes) -> Outcome:
        """Runs the command once; the first time without input before, to see how large it is then."""
        if self._usual is None:
            self._usual = 0
            self._usual = self._once(b"").grown
        return self._once(octets)

    def _once(self, octets: bytes) -> Outcome:
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            given.write(octets)
            given.seek(0)
            try:
                process = subprocess.Popen(  # noqa: S603
                    self._command, stdin=given, stdout=output, stderr=errors, start_new_session=True
                )
            except OSError as error:
                raise TargetError(f"{self._command[0]}: {error.strerror}") from None
            status, peak, hung = _waited(process, self._seconds)
            output.seek(0)
            errors.seek(0)
            said, details = output.read(MOST_OUTPUT), errors.read(1 << 16).decode("utf-8", "replace")
        grown = max(0, peak - (self._usual or 0))
        if hung:
            return Outcome(said, None, details, hung=True, grown=grown)
        crash = _how_it_ended(status, details, is_verdict=self._answers == "verdict")
        if self._answers == "verdict" and crash is None:
            said = b"no" if status == 1 else b"yes"
        return Outcome(said, crash, details, grown=grown)

    def close(self) -> None:
        """Nothing is left running."""


def _waited(process: subprocess.Popen[bytes], seconds: float) -> tuple[int, int, bool]:
    """The exit status of a process, its peak of resident octets (0 where unknown), and whether it took too long."""
    end, pause, most, hung = time.monotonic() + seconds, 0.0005, 0, False
    while process.poll() is None:
        # What the system tells of it afterwards has our own size for a floor.
        most = max(most, peak(process.pid))
        if time.monotonic() > end:
            hung = True
            _kill(process)
        else:
            time.sleep(pause)
            pause = min(pause * 1.5, 0.01)
    return process.returncode, most, hung


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a process, and what it has started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _how_it_ended(status: int, details: str, *, is_verdict: bool) -> str | None:
    """How a process broke down, None when it did not."""
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-status).name}{_signature(details)}"
        return f"killed by signal {-status}"
    traceback = _signature(details)
    if traceback and status:
        return f"exit status {status}{traceback}"
    if status > (1 if is_verdict else 127):
        return f"exit status {status}"
    return None


_FRAME = re.compile(r'^  File "(.*)", line (\d+), in (.*)$', re.MULTILINE)
_RAISED = re.compile(r"^(\w[\w.]*(?:Error|Exception|Interrupt|Exit|Overflow))(?::|$)", re.MULTILINE)
_SANITIZER = re.compile(r"(?:ERROR: |runtime error: |panicked at |fatal error: )(.{0,80})")


def _signature(details: str) -> str:
    """What a traceback or a report of a sanitizer says, without what differs from case to case."""
    frames, raised = _FRAME.findall(details), _RAISED.findall(details)
    if frames and raised:
        file, line, name = frames[-1]
        return f": {raised[-1]} in {name} ({os.path.basename(file)}:{line})"
    found = _SANITIZER.search(details)
    return "" if found is None else ": " + re.sub(r"0x[0-9a-f]+|\d+", "N", found[1])


class TcpTarget:
    """A TCP address: each case is a connection of its own, closed for writing once all was sent."""

    def __init__(self, host: str, port: int, *, seconds: float = 5.0, pid: int | None = None) -> None:
        self._address = (host, port)
        self._seconds = seconds
        self._pid = pid
        self._connected = False

    def run(self, octets: bytes) -> Outcome:
        """Connects, sends, and reads to the end."""
        before = peak(self._pid)
        try:
            connection = self._connect()
        except OSError as error:
            kind = TargetGoneError if self._connected else TargetError
            raise kind(f"{self._address[0]}:{self._address[1]}: {error.strerror or error}") from None
        self._connected = True
        output = bytearray()
        with connection:
            connection.settimeout(self._seconds)
            end = time.monotonic() + self._seconds
            try:
                _exchange(connection, octets, output, end)
            except TimeoutError:
                return Outcome(bytes(output), hung=True, grown=peak(self._pid) - before)
            except OSError:
                # It closed with input left unread, which says nothing but that it was done.
                pass
        crash = None if output or self._listens() else "takes no connections any more"
        return Outcome(bytes(output), crash, grown=peak(self._pid) - before)

    def _listens(self) -> bool:
        """Whether there is still somebody; asked where nothing was said."""
        try:
            with socket.create_connection(self._address, timeout=self._seconds) as connection:
                # One that is just breaking down may still take it, and resets it then.
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)
        except TimeoutError:
            return True
        except OSError:
            return False
        return True

    def _connect(self) -> socket.socket:
        # A server that was just started, or has just crashed and starts again, gets a moment.
        for pause in (0.05, 0.2, 0.5):
            try:
                return socket.create_connection(self._address, timeout=self._seconds)
            except ConnectionRefusedError:
                time.sleep(pause)
        return socket.create_connection(self._address, timeout=self._seconds)

    def close(self) -> None:
        """Nothing is left open."""


def _exchange(connection: socket.socket, octets: bytes, output: bytearray, end: float) -> None:
    """Sends octets and reads at the same time, so that neither side waits for the other. Raises :class:`OSError`."""
    import select

    view, closed = memoryview(octets), False
    connection.setblocking(False)
    while True:
        left = end - time.monotonic()
        if left <= 0 or len(output) > MOST_OUTPUT:
            raise TimeoutError
        readable, writable, _ = select.select([connection], [] if closed else [connection], [], left)
        if writable:
            try:
                view = view[connection.send(view[: 1 << 16]) :]
            except (BrokenPipeError, ConnectionResetError):
                view, closed = view[:0], True
            if not view and not closed:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)
                closed = True
        if readable:
            data = connection.recv(1 << 16)
            if not data:
                return
            output += data


def peak(pid: int | str | None) -> int:
    """The most octets of a process that were in memory so far; 0 where that cannot be told, as it can on Linux."""
    if pid is None:
        return 0
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            found = _PEAK.search(file.read())
    except OSError:
        return 0
    return 0 if found is None else int(found[1]) << 10


class CallableTarget:
    """A Python callable, in a process of its own.

    It takes octets. With ``answers="frames"`` it gives octets, with ``events`` an iterable of dicts, with ``verdict`` False
    for no and anything else for yes. What it raises is a crash.
    """

    def __init__(self, name: str, *, answers: str = "frames", seconds: float = 5.0) -> None:
        self._name = name
        self._answers = answers
        self._seconds = seconds
        self._worker: subprocess.Popen[bytes] | None = None
        self._begun()

    def _begun(self) -> subprocess.Popen[bytes]:
        if self._worker is None:
            command = [sys.executable, "-m", "hgproto.fuzz.worker", self._name, self._answers]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["", *sys.path]).lstrip(os.pathsep)}
            self._worker = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
            )
            try:
                hello = self._read(max(self._seconds, 30.0))
            except TimeoutError:
                hello = None
            if hello != b"ready":
                self._stop()
                raise TargetError((hello or b"it did not start").decode("utf-8", "replace"))
        return self._worker

    def run(self, octets: bytes) -> Outcome:
        """Calls it once."""
        worker = self._begun()
        assert worker.stdin is not None  # noqa: S101 - for type checkers
        try:
            worker.stdin.write(len(octets).to_bytes(4, "big") + octets)
            worker.stdin.flush()
        except OSError:
            pass
        try:
            answer = self._read(self._seconds)
        except TimeoutError:
            # Even if it is done before it is stopped.
            self._stop()
            return Outcome(b"", hung=True)
        if answer is None:
            status = self._stop()
            if status is None:
                return Outcome(b"", hung=True)
            return Outcome(b"", _how_it_ended(status, "", is_verdict=False) or f"exit status {status}")
        head, _, rest = answer.partition(b"\n")
        told = json.loads(head)
        if told["grown"] > _FRESH:
            # A peak is seen once in a process.
            self._stop()
        if told["crash"] is not None:
            return Outcome(b"", told["crash"], rest.decode("utf-8", "replace"), grown=told["grown"])
        return Outcome(rest, grown=told["grown"])

    def _read(self, seconds: float) -> bytes | None:
        """The next message of the worker, None when it has ended. Raises :class:`TimeoutError` when none came in time."""
        import select

        assert self._worker is not None  # noqa: S101 - for type checkers
        assert self._worker.stdout is not None  # noqa: S101
        handle = self._worker.stdout.fileno()
        end, wanted, data = time.monotonic() + seconds, 4, bytearray()
        while len(data) < wanted:
            left = end - time.monotonic()
            if left <= 0 or not select.select([handle], [], [], left)[0]:
                raise TimeoutError
            more = os.read(handle, 1 << 20)
            if not more:
                return None
            data += more
            if len(data) >= 4:
                wanted = 4 + int.from_bytes(data[:4], "big")
        return bytes(data[4:])

    def _stop(self) -> int | None:
        """Ends the worker; gives its exit status, None when it was still running."""
        worker, self._worker = self._worker, None
        assert worker is not None  # noqa: S101 - for type checkers
        for pipe in (worker.stdin, worker.stdout):
            with contextlib.suppress(OSError):
                assert pipe is not None  # noqa: S101 - for type checkers
                pipe.close()
        try:
            # It may be on its way out.
            status = worker.wait(0.2)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
            return None
        return status

    def close(self) -> None:
        """Ends the process."""
        if self._worker is not None:
            self._stop()


def found(name: str) -> Callable[[bytes], Any]:
    """The callable of a name. Raises :class:`TargetError`."""
    module_name, _, path = name.partition(":")
    try:
        value: Any = importlib.import_module(module_name)
        for part in path.split("."):
            value = getattr(value, part)
    except (ImportError, AttributeError) as error:
        raise TargetError(str(error)) from None
    if not callable(value):
        raise TargetError(f"{name} is not callable")
    called: Callable[[bytes], Any] = value
    return called


def lines_of_events(events: Any) -> Iterator[bytes]:
    """Events as JSON, a line each."""
    for event in events:
        yield json.dumps(event).encode() + b"\n"
