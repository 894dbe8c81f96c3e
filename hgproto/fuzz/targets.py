"""Targets: what is fuzzed, behind one interface. A Python callable, a command, or a TCP address.

A target is given all that the other side sends, then the end of it, and gives all that it has to say. A callable runs in a
process of its own, so that it may crash, hang and grow like any other.
"""

from __future__ import annotations

import importlib
import json
import re
import socket
import time
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from hgproto.fuzz.addresses import resolved
from hgproto.fuzz.exchange import exchange, say
from hgproto.fuzz.logs import Log, StartedServer, crash_in
from hgproto.fuzz.processes import peak, run, split_words
from hgproto.fuzz.signs import how_it_ended
from hgproto.fuzz.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hgproto.fuzz.addresses import Address
    from hgproto.fuzz.cases import Case

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
    "run_case",
]

ANSWERS = ("frames", "events", "verdict")
"""What a target can give: the frames that it sends, the events that it tells its application as JSON, or yes and no."""
_START_SECONDS = 30.0
"""Time for a server to accept connections after its start: interpreters and virtual machines are slow on a busy machine."""
_FREE_SECONDS = 1.0
"""Time for a server that was ended to stop listening."""
_SHORT_GRACE, _GRACE, _MOST_GRACE = 0.01, 0.05, 0.25
"""Seconds for a server to write a report after a connection: one that has answered, one that has not, one known to write late."""
_FRESH = 1 << 23
"""Octets by which a process may have grown and still serve the next case."""
_CALLABLE = re.compile(r"(?:python:)?([\w.]+):([A-Za-z_][\w.]*)\Z")
_ADDRESS = re.compile(r"(?:tcp://)?(\[[\w:.%]+\]|[\w.-]+):(\d{1,9})\Z")


class TargetError(Exception):
    """The target cannot be used at all."""


class TargetGoneError(TargetError):
    """The target has broken down, and nobody has started it again."""


class Outcome(NamedTuple):
    """What came of one case.

    ``output``: what it gave: octets of frames, JSON lines of events, or ``yes`` and ``no``. ``crash``: how it broke down, in
    words that are the same for the same cause; None when it did not. ``details``: the rest of it. ``hung``: it did not come to
    an end in time. ``grown``: octets by which it has grown, 0 where that cannot be told. ``earlier``: a crash that showed only
    after the outcome of the case before was returned. ``seen``: bytes of output by the end of each wait of the case.
    ``grew``: bytes by which the target has grown, and bytes of output, for each size of the case, the whole case last.
    """

    output: bytes
    crash: str | None = None
    details: str = ""
    hung: bool = False
    grown: int = 0
    earlier: str | None = None
    seen: tuple[int, ...] = ()
    grew: tuple[tuple[int, int], ...] = ()


class Target(Protocol):
    """What is fuzzed."""

    def run(self, octets: bytes) -> Outcome:
        """What comes of a case."""

    def close(self) -> None:
        """Ends it."""


def run_case(target: Target, case: Case) -> Outcome:
    """Runs a case, with its waits where it has some. Raises :class:`TargetError` for a target that cannot be waited for."""
    if case.sizes:
        outcomes: list[Outcome] = []
        for size in (*case.sizes, len(case.octets)):
            if isinstance(target, (CallableTarget, TcpTarget)):
                target.renew()
            outcomes.append(target.run(case.octets[:size]))
        grown = [outcome.grown for outcome in outcomes]
        if isinstance(target, TcpTarget) and not target.is_renewed:
            # The peak of one process only rises by what each size takes more than the one before.
            grown = list(accumulate(grown))
        said = [len(outcome.output) for outcome in outcomes]
        return outcomes[-1]._replace(grew=tuple(zip(grown, said, strict=True)))
    if not case.waits:
        return target.run(case.octets)
    if not isinstance(target, TcpTarget):
        raise TargetError("the case is a dialogue, and only an address can be waited for")
    return target.run(case.octets, case.waits)


def open_target(
    text: str,
    *,
    answers: str = "frames",
    seconds: float = 5.0,
    allow_remote: bool = False,
    pid: int | None = None,
    log: str | None = None,
    start: str | None = None,
) -> Target:
    """The target that a text stands for: ``module:callable``, ``host:port``, or a command with its arguments.

    ``answers``: one of :data:`ANSWERS`. ``seconds``: what a case may take. ``pid``: the process behind an address, so that its
    growth can be seen. ``log``: the file that the server behind an address writes its errors to. ``start``: the command that
    starts that server. Raises :class:`OSError` for a log that cannot be read, and :class:`TargetError`, also for an address
    that is not this machine's, unless ``allow_remote``.
    A name is resolved once, and every address that it stands for is checked.
    """
    if answers not in ANSWERS:
        raise TargetError(f"answers are {', '.join(ANSWERS)}, not {answers!r}")
    address = _ADDRESS.match(text)
    if address:
        if answers == "verdict":
            raise TargetError("an address gives frames or events, no verdict")
        try:
            addresses = resolved(address[1].strip("[]"), int(address[2]), allow_remote=allow_remote)
        except ValueError as error:
            raise TargetError(str(error)) from None
        try:
            return TcpTarget(addresses, seconds=seconds, pid=pid, log=log, start=start)
        except ValueError as error:
            raise TargetError(f"argument --start: the command {start!r} cannot be split into words: {error}") from None
    if log is not None or start is not None:
        raise TargetError(f"--log and --start are about the server behind an address, and {text!r} is not one")
    if re.match(r"[a-z][a-z0-9+]*://", text):
        raise TargetError(
            f"there is no transport for {text!r}; there are tcp://host:port, module:callable and commands"
        )
    if _CALLABLE.match(text):
        return CallableTarget(text.removeprefix("python:"), answers=answers, seconds=seconds)
    try:
        words = split_words(text)
    except ValueError as error:
        raise TargetError(f"the command {text!r} cannot be split into words: {error}") from None
    return CommandTarget(words, answers=answers, seconds=seconds)


class CommandTarget:
    """A command that is run for each case: the case is its standard input, what it gives its standard output.

    With ``answers="verdict"`` its exit status is the verdict: 0 for yes, 1 for no. Else any status up to 127 is good, unless
    its standard error has a sign of a crash (:mod:`hgproto.fuzz.signs`).
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
        try:
            ended = run(self._command, octets, seconds=self._seconds)
        except (OSError, ValueError) as error:
            raise TargetError(f"{self._command[0]}: {getattr(error, 'strerror', None) or error}") from None
        said, details = ended.output, ended.errors.decode("utf-8", "replace")
        grown = max(0, ended.peak - (self._usual or 0))
        if ended.hung:
            return Outcome(said, None, details, hung=True, grown=grown)
        crash = how_it_ended(ended.status, details, is_verdict=self._answers == "verdict")
        if self._answers == "verdict" and crash is None:
            said = b"no" if ended.status == 1 else b"yes"
        return Outcome(said, crash, details, grown=grown)

    def close(self) -> None:
        """Nothing is left running."""


class TcpTarget:
    """A TCP address: each case is a connection of its own, closed for writing once all was sent.

    With ``log`` or ``start``, what the server writes about a case is searched for signs of a crash. A server that was
    started here is started again after its end.
    """

    def __init__(
        self,
        addresses: tuple[Address, ...],
        *,
        seconds: float = 5.0,
        pid: int | None = None,
        log: str | None = None,
        start: str | None = None,
    ) -> None:
        self._addresses = addresses
        self._seconds = seconds
        self._pid = pid
        self._connected = False
        self._is_late = False
        self._logs = [] if log is None else [Log(log)]
        self._started = None
        if start is not None:
            self._started = StartedServer(start)
            self._logs.append(self._started.log)

    def run(self, octets: bytes, waits: tuple[int, ...] = ()) -> Outcome:
        """Connects, sends, and reads to the end. ``waits``: bytes after which it sends nothing until the server is silent."""
        earlier = self._earlier_crash()
        if self._started is not None and not self._started.is_started:
            self._start(self._started)
        before = peak(self._pid)
        try:
            connection = self._connect()
        except OSError as error:
            kind = TargetGoneError if self._connected else TargetError
            raise kind(f"{self._addresses[0].name}: {error.strerror or error}") from None
        self._connected = True
        output, hung, seen = bytearray(), False, []
        with connection:
            last = time.monotonic() + self._seconds
            try:
                before_wait = 0
                for wait in waits:
                    say(connection, octets[before_wait:wait], output, last)
                    seen.append(len(output))
                    before_wait = wait
                exchange(connection, octets[before_wait:], output, last)
            except TimeoutError:
                hung = True
            except OSError:
                # It closed with input left unread, which says nothing but that it was done.
                pass
        crash, details = self._crash(has_said=bool(output), hung=hung)
        return Outcome(
            bytes(output), crash, details, hung and crash is None, peak(self._pid) - before, earlier, tuple(seen)
        )

    def _earlier_crash(self) -> str | None:
        """How the server crashed after the case before was judged; None when it did not."""
        crash, _ = self._ended(*crash_in(self._logs, 0.0), 0.0)
        if crash is not None:
            # It writes late, so it gets more time from now on.
            self._is_late = True
        return crash

    def _ended(self, sign: str | None, details: str, seconds: float) -> tuple[str | None, str]:
        """How a server that was started here has ended, within some seconds; else the sign of a crash."""
        status = None if self._started is None else self._started.ended(seconds)
        if status is None:
            return sign, details
        assert self._started is not None  # noqa: S101 - for type checkers
        details += crash_in(self._logs, _GRACE)[1]
        self._started.stop()
        return how_it_ended(status, details, is_verdict=False) or f"exit status {status}", details

    def _crash(self, *, has_said: bool, hung: bool) -> tuple[str | None, str]:
        """How the server broke down, if it did, with what it wrote about it."""
        grace = _MOST_GRACE if self._is_late else _SHORT_GRACE if has_said else _GRACE
        sign, details = self._ended(*crash_in(self._logs, grace), 0.0 if has_said else _GRACE)
        if hung and self._started is not None:
            # It may be stuck for good.
            self._started.stop()
        if sign is not None:
            return sign, details
        return None if has_said or hung or self._listens() else "takes no connections any more", details

    def _start(self, server: StartedServer) -> None:
        """Starts the server, and waits until it accepts connections. Raises :class:`TargetError`."""
        kind = TargetGoneError if self._connected else TargetError
        self._check_free(kind)
        try:
            self._pid = server.start()
        except OSError as error:
            raise kind(f"argument --start: {server.command}: {error.strerror or error}") from None
        last = time.monotonic() + max(self._seconds, _START_SECONDS)
        while True:
            try:
                self._connected_once().close()
            except OSError as error:
                status = server.ended(0.02)
                if status is not None:
                    written = crash_in(self._logs, 0.05)[1].strip().rpartition("\n")[2]
                    raise kind(
                        f"{server.command}: it ended with {status} before it accepted connections"
                        + (f": {written}" if written else "")
                    ) from None
                if time.monotonic() > last:
                    raise kind(f"{self._addresses[0].name}: {error.strerror or error}") from None
            else:
                return

    def _check_free(self, kind: type[TargetError]) -> None:
        """Raises an error where another server listens, which would be taken for the one that is started."""
        last = time.monotonic() + _FREE_SECONDS
        while True:
            try:
                self._connected_once().close()
            except OSError:
                return
            if time.monotonic() > last:
                name = self._addresses[0].name
                raise kind(f"argument --start: something already listens on {name}; end it, or leave out --start")
            time.sleep(0.02)

    def _listens(self) -> bool:
        """True if the address still accepts connections; asked where nothing was received."""
        for pause in (0.0, 0.05):
            time.sleep(pause)
            try:
                with self._connected_once() as connection:
                    connection.shutdown(socket.SHUT_WR)
                    connection.recv(1)
            except TimeoutError:
                return True
            except ConnectionRefusedError:
                return False
            except OSError:
                # Reset: by a server that closes all connections so, or by the system for one that is just breaking down. The
                # latter refuses the next connection, because its port was closed by then.
                continue
            return True
        return True

    def _connect(self) -> socket.socket:
        # A server that was just started, or has just crashed and starts again, gets a moment.
        for pause in (0.05, 0.2, 0.5):
            try:
                return self._connected_once()
            except ConnectionRefusedError:
                time.sleep(pause)
        return self._connected_once()

    def _connected_once(self) -> socket.socket:
        """A connection to the first address that accepts one, and to no other than those that were checked."""
        failure: OSError | None = None
        for address in self._addresses:
            connection = socket.socket(address.family, socket.SOCK_STREAM)
            try:
                connection.settimeout(self._seconds)
                connection.connect(address.place)
            except OSError as error:
                connection.close()
                if failure is None or isinstance(error, ConnectionRefusedError):
                    failure = error
            except BaseException:
                connection.close()
                raise
            else:
                return connection
        assert failure is not None  # noqa: S101 - there is an address
        raise failure

    @property
    def is_renewed(self) -> bool:
        """True if :meth:`renew` brings a new process."""
        return self._started is not None

    def renew(self) -> None:
        """Ends a server that was started here, so that the next case meets a new one. Other servers stay as they are."""
        if self._started is not None:
            self._started.stop()

    def close(self) -> None:
        """Ends the server if it was started here."""
        if self._started is not None:
            self._started.close()
        for log in self._logs:
            log.close()


class CallableTarget:
    """A Python callable, in a process of its own.

    It takes octets. With ``answers="frames"`` it gives octets, with ``events`` an iterable of dicts, with ``verdict`` False
    for no and anything else for yes. What it raises is a crash.
    """

    def __init__(self, name: str, *, answers: str = "frames", seconds: float = 5.0) -> None:
        self._name = name
        self._answers = answers
        self._seconds = seconds
        self._worker: Worker | None = None
        self._begun()

    def _begun(self) -> Worker:
        if self._worker is None:
            worker = self._worker = Worker([self._name, self._answers])
            try:
                hello = worker.read(max(self._seconds, 30.0))
            except TimeoutError:
                hello = None
            except BaseException:
                self._stop()
                raise
            if hello != b"ready":
                self._stop()
                raise TargetError((hello or b"it did not start").decode("utf-8", "replace"))
        return self._worker

    def run(self, octets: bytes) -> Outcome:
        """Calls it once."""
        worker = self._begun()
        worker.write(octets)
        try:
            answer = worker.read(self._seconds)
        except TimeoutError:
            # Even if it is done before it is stopped.
            self._stop()
            return Outcome(b"", hung=True)
        if answer is None:
            status = self._stop()
            if status is None:
                return Outcome(b"", hung=True)
            return Outcome(b"", how_it_ended(status, "", is_verdict=False) or f"exit status {status}")
        head, _, rest = answer.partition(b"\n")
        told = json.loads(head)
        if told["grown"] > _FRESH:
            # A peak is seen once in a process.
            self._stop()
        if told["crash"] is not None:
            return Outcome(b"", told["crash"], rest.decode("utf-8", "replace"), grown=told["grown"])
        return Outcome(rest, hung=told["endless"], grown=told["grown"])

    def _stop(self) -> int | None:
        """Ends the worker; gives its exit status, None when it was still running."""
        worker, self._worker = self._worker, None
        assert worker is not None  # noqa: S101 - for type checkers
        return worker.stop()

    def renew(self) -> None:
        """Starts a new process, which has run one empty case."""
        self.close()
        self.run(b"")

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
