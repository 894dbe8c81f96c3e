"""Servers behind a TCP address as targets. Each case uses a new connection."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from hgproto.fuzz.exchange import exchange, say
from hgproto.fuzz.logs import GRACE, MOST_GRACE, Log, StartedServer, crash_in
from hgproto.fuzz.memory import peak
from hgproto.fuzz.outcomes import Outcome, TargetError, TargetGoneError
from hgproto.fuzz.signs import how_it_ended
from hgproto.runtime.bytelike import as_bytes

if TYPE_CHECKING:
    from hgproto.fuzz.addresses import Address

__all__ = ["TcpTarget"]

_START_SECONDS = 30.0
"""Seconds for a server to accept connections after its start. Interpreters and virtual machines are slow on a busy machine."""
_FREE_SECONDS = 1.0
"""Seconds for a server that was ended to stop listening."""
_SHORT_GRACE = 0.01
"""Seconds for a server that has responded to write a report after a connection."""


class TcpTarget:
    """A TCP address. Each case uses a new connection, which is closed for writing after all bytes were sent.

    With ``log`` or ``start``, the server's messages about a case are searched for signs of a crash. A server that hgproto has
    started is started again after its end.
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
        self._earlier: str | None = None
        self._logs = [] if log is None else [Log(log)]
        self._started = None
        if start is not None:
            self._started = StartedServer(start)
            self._logs.append(self._started.log)

    def run(self, data: bytes, waits: tuple[int, ...] = ()) -> Outcome:
        """Connects, sends, and reads to the end. ``waits``: offsets at which it waits until the server is silent."""
        data = as_bytes(data, "data")
        # Keep a late report even if the connection fails.
        self._earlier = self.late(0.0)
        if self._started is not None and not self._started.is_started:
            self._start(self._started)
        before = peak(self._pid)
        try:
            connection = self._connect_again()
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
                    say(connection, data[before_wait:wait], output, last)
                    seen.append(len(output))
                    before_wait = wait
                exchange(connection, data[before_wait:], output, last)
            except TimeoutError:
                hung = True
            except OSError:
                # The server closed the connection with unread input, which is not a fault.
                pass
        crash, details = self._crash(has_said=bool(output), hung=hung)
        # The process with the largest peak may have ended.
        grown = max(0, peak(self._pid) - before)
        earlier, self._earlier = self._earlier, None
        return Outcome(bytes(output), crash, details, hung and crash is None, grown, earlier, tuple(seen))

    def late(self, seconds: float = MOST_GRACE) -> str | None:
        """Returns a description of a crash since the last case, after at most ``seconds``; None without a crash."""
        earlier, self._earlier = self._earlier, None
        crash, _ = self._ended(*crash_in(self._logs, 0.0 if earlier else seconds), 0.0)
        if crash is not None:
            # It writes late, so it gets more time from now on.
            self._is_late = True
        return earlier or crash

    def _ended(self, sign: str | None, details: str, seconds: float) -> tuple[str | None, str]:
        """Returns a description of the crash, and its details.

        If a started server ends within ``seconds``, its end is described; otherwise ``sign`` is returned.
        """
        status = None if self._started is None else self._started.ended(seconds)
        if status is None:
            return sign, details
        assert self._started is not None  # noqa: S101 - for type checkers
        details += crash_in(self._logs, GRACE)[1]
        self._started.stop()
        return how_it_ended(status, details, is_verdict=False) or f"exit status {status}", details

    def _crash(self, *, has_said: bool, hung: bool) -> tuple[str | None, str]:
        """Returns a description of the server's crash, or None, and the text that it wrote."""
        grace = MOST_GRACE if self._is_late else _SHORT_GRACE if has_said else GRACE
        sign, details = self._ended(*crash_in(self._logs, grace), 0.0 if has_said else GRACE)
        if hung and self._started is not None:
            # It may never respond again.
            self._started.stop()
        if sign is not None:
            return sign, details
        return None if has_said or hung or self._listens() else "accepts no more connections", details

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
                # Drop the messages about its start; they do not belong to a case.
                crash_in(self._logs, 0.0)
                return

    def _check_free(self, kind: type[TargetError]) -> None:
        """Raises an error if another server listens at the address: it would be mistaken for the one to start."""
        last = time.monotonic() + _FREE_SECONDS
        while True:
            try:
                self._connected_once().close()
            except OSError:
                return
            if time.monotonic() > last:
                name = self._addresses[0].name
                raise kind(f"argument --start: a program already listens on {name}; end it, or leave out --start")
            time.sleep(0.02)

    def _listens(self) -> bool:
        """True if the address still accepts connections. Called only if no bytes were received."""
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
                # The connection was reset, by a server that always does that, or by the system for a server that is crashing. In
                # the second case the port is then closed, and the next connection is refused.
                continue
            return True
        return True

    def _connect_again(self) -> socket.socket:
        """Connects. Starts a server of hgproto again if it has closed its socket, such as one that is ending."""
        try:
            return self._connect()
        except ConnectionRefusedError:
            if self._started is None or not self._connected:
                raise
        earlier, self._earlier = self._earlier, None
        self._earlier = earlier or self.late()
        self._started.stop()
        self._start(self._started)
        return self._connect()

    def _connect(self) -> socket.socket:
        # A server that is starting, or restarting after a crash, needs a moment.
        for pause in (0.05, 0.2, 0.5):
            try:
                return self._connected_once()
            except ConnectionRefusedError:
                time.sleep(pause)
        return self._connected_once()

    def _connected_once(self) -> socket.socket:
        """Connects to the first of the checked addresses that accepts a connection."""
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

    def renew(self) -> bool:
        """Ends a server that hgproto has started, so that the next case runs in a new one. Returns False for any other server."""
        if self._started is None:
            return False
        self._earlier = self.late(0.0)
        self._started.stop()
        return True

    def close(self) -> None:
        """Ends the server if hgproto has started it."""
        if self._started is not None:
            self._started.stop()
        for log in self._logs:
            log.close()
