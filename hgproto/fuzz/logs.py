"""Logs of targets: the file that a running server writes, or the standard error of a process that hgproto starts."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING, BinaryIO

from hgproto.fuzz.processes import end, split_words, start
from hgproto.fuzz.signs import sign_in

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["GRACE", "MOST_GRACE", "ErrorLog", "Log", "StartedServer", "crash_in"]

GRACE, MOST_GRACE = 0.05, 0.25
"""Seconds to wait for a crash report after a case: of a target without a response, and of a target known to write late."""
_MOST_NEWS = 1 << 20
"""The number of last bytes that are searched for one case. A report ends there."""
_MOST_KEPT = 1 << 24
"""The size of standard error, in bytes, after which the file of a started process is emptied."""
_PAUSE = 0.005
_SETTLED = 0.02
"""Seconds without new bytes after which a report is complete. Another exception may follow the first one."""


class Log:
    """A growing file, read from its end at the time of opening. Raises :class:`OSError` if the file cannot be read."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: BinaryIO = open(path, "rb")  # noqa: SIM115 - open as long as the target is
        self._at = self._file.seek(0, os.SEEK_END)

    def news(self) -> bytes:
        """Returns the bytes written since the last call. A file that was truncated or replaced is read from its start."""
        with contextlib.suppress(OSError):
            if not os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno())):
                another = open(self._path, "rb")  # noqa: SIM115
                self._file.close()
                self._file, self._at = another, 0
        size = self._file.seek(0, os.SEEK_END)
        if size < self._at:
            self._at = 0
        self._file.seek(max(self._at, size - _MOST_NEWS))
        data = self._file.read(_MOST_NEWS)
        self._at = self._file.tell()
        return data

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def crash_in(logs: Iterable[Log], seconds: float) -> tuple[str | None, str]:
    """Searches the new text in logs for a sign of a crash. Returns the sign, or None, and the new text.

    ``seconds``: the maximum time to wait for a sign. A report that has begun is read to its end.
    """
    data, last = b"", time.monotonic() + seconds
    logs = list(logs)
    while logs:
        news = b"".join(log.news() for log in logs)
        data += news
        if news and b"Traceback (most recent call last):" in data:
            last = time.monotonic() + _SETTLED
        if time.monotonic() >= last:
            break
        time.sleep(_PAUSE)
    text = data.decode("utf-8", "replace")
    return sign_in(text), text


class ErrorLog(Log):
    """The standard error of started processes: a file of bounded size, which :meth:`close` removes."""

    def __init__(self) -> None:
        handle, self.path = tempfile.mkstemp(prefix="hgproto-", suffix=".log")
        os.close(handle)
        super().__init__(self.path)

    def opened(self) -> BinaryIO:
        """Opens the file for appending, so that it can be truncated while a process writes."""
        return open(self.path, "ab")

    def bound(self) -> None:
        """Empties the file if it has become too large. Unread bytes are lost."""
        with contextlib.suppress(OSError):
            if os.path.getsize(self.path) > _MOST_KEPT:
                self.clear()

    def clear(self) -> None:
        """Empties the file."""
        os.truncate(self.path, 0)

    def close(self) -> None:
        """Closes and removes the file."""
        super().close()
        # Some systems do not remove a file that a process has open.
        with contextlib.suppress(OSError):
            os.unlink(self.path)


class StartedServer:
    """A server that is started by a command and can be started again after its end. Its standard error is a log.

    ``log``: its standard error, to be closed after :meth:`stop`. Raises :class:`ValueError` for a command that cannot be split into
    words.
    """

    def __init__(self, command: str) -> None:
        self.command = command
        self._words = split_words(command)
        if not self._words:
            raise ValueError("it has no words")
        self.log = ErrorLog()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> int:
        """Stops it, starts it again, and returns its process id. Raises :class:`OSError`."""
        self.stop()
        with self.log.opened() as errors:
            self.log.clear()
            self._process = start(self._words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
        return self._process.pid

    @property
    def is_started(self) -> bool:
        """True from :meth:`start` until :meth:`stop`, even if it has ended by itself."""
        return self._process is not None

    def ended(self, seconds: float) -> int | None:
        """Returns the exit status of a server that has ended by itself, after at most ``seconds``; None while it runs."""
        if self._process is None:
            return None
        self.log.bound()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def stop(self) -> None:
        """Ends it and the processes that it started."""
        if self._process is not None:
            end(self._process)
            self._process = None
