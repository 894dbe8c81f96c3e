"""The process of a callable, as the kit sees it: :mod:`hgproto.fuzz.worker` runs in it."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from hgproto.fuzz.processes import Output, end, start

if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["Worker"]

_POLL_SECONDS = 0.1
"""Time between two looks at a worker that has not answered: what it started may keep its output open after its end."""


class Worker:
    """The process of a callable. Messages both ways have their length before them, four octets, big endian.

    ``errors``: the file that gets its standard error; that of this process if None.
    """

    def __init__(self, arguments: list[str], *, errors: BinaryIO | None = None) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["", *sys.path]).lstrip(os.pathsep)}
        command = [sys.executable, "-m", "hgproto.fuzz.worker", *arguments]
        self._process = start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment)
        self._chunks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        try:
            self._output = Output(self._process.stdout, self._chunks.put)
        except BaseException:
            # Nobody has the worker that could end its process.
            with self._process:
                end(self._process)
            raise
        self._data = bytearray()
        self._writer: threading.Thread | None = None

    def write(self, octets: bytes) -> None:
        """Sends a message, in a thread of its own, because a worker that is stuck reads nothing."""
        self._writer = threading.Thread(target=self._write, args=(octets,), daemon=True)
        self._writer.start()

    def _write(self, octets: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101 - for type checkers
        # A worker that has ended tells so by the end of its output.
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(len(octets).to_bytes(4, "big") + octets)
            self._process.stdin.flush()

    def read(self, seconds: float) -> bytes | None:
        """The next message, None when the worker has ended. Raises :class:`TimeoutError` when none came in time."""
        last = time.monotonic() + seconds
        is_over = False
        while True:
            if len(self._data) >= 4:
                size = 4 + int.from_bytes(self._data[:4], "big")
                if len(self._data) >= size:
                    message = bytes(self._data[4:size])
                    del self._data[:size]
                    return message
            if is_over:
                return None
            left = last - time.monotonic()
            if left <= 0:
                raise TimeoutError
            try:
                chunk = self._chunks.get(timeout=min(left, _POLL_SECONDS))
            except queue.Empty:
                # What it started may keep its output open.
                is_over = self._process.poll() is not None
                continue
            is_over = not chunk
            self._data += chunk

    def stop(self) -> int | None:
        """Ends the worker and what it started; gives its exit status, None when it was still running."""
        try:
            self._close_input(0.0)
            # It may be on its way out.
            status: int | None = self._process.wait(0.2)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            end(self._process)
            self._output.close()
            self._close_input(1.0)
        return status

    def _close_input(self, seconds: float) -> None:
        """Closes the worker's input, unless a message is still being written to it, which would wait for that."""
        # A thread that an interrupt has kept from starting cannot be waited for.
        if self._writer is not None and self._writer.ident is not None:
            self._writer.join(seconds)
            if self._writer.is_alive():
                return
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None  # noqa: S101 - for type checkers
            self._process.stdin.close()
