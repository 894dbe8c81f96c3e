"""The campaign's side of the process of a callable, which runs :mod:`hgproto.fuzz.worker`."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from hgproto.fuzz.processes import Input, Output, end, start

if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["Worker"]

_POLL_SECONDS = 0.1
"""Seconds between two checks that a worker still runs. Its child processes may keep its output open after its end."""


class Worker:
    """The process of a callable. Each message in either direction begins with its length: 4 bytes, big-endian.

    ``errors``: the file for its standard error; None for that of this process.
    """

    def __init__(self, arguments: list[str], *, errors: BinaryIO | None = None) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["", *sys.path]).lstrip(os.pathsep)}
        command = [sys.executable, "-m", "hgproto.fuzz.worker", *arguments]
        self._process = start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment)
        self._chunks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._data = bytearray()
        try:
            self._output = Output(self._process.stdout, self._chunks.put)
            # Writing needs a thread, because a worker that is stuck does not read. The end of the output shows that it has ended.
            self._input = Input(self._process.stdin)
        except BaseException:
            # The caller has no object to stop, so end the process here.
            with self._process:
                end(self._process)
            raise

    def write(self, data: bytes) -> None:
        """Sends a message."""
        self._input.write(len(data).to_bytes(4, "big") + data)

    def read(self, seconds: float) -> bytes | None:
        """Returns the next message; None if the worker has ended. Raises :class:`TimeoutError` if none arrives in time."""
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
                # Its child processes may keep its output open.
                is_over = self._process.poll() is not None
                continue
            is_over = not chunk
            self._data += chunk

    def stop(self) -> int | None:
        """Ends the worker and its child processes. Returns its exit status; None if it was still running."""
        try:
            self._input.close()
            # It may be about to end.
            status: int | None = self._process.wait(0.2)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            end(self._process)
            self._output.close()
            self._input.join()
        return status
