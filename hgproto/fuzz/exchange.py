"""Exchange of bytes over a connection: in both directions at once, or one part of a dialogue."""

from __future__ import annotations

import contextlib
import socket
import time

from hgproto.fuzz.processes import FIRST_SILENCE, MOST_OUTPUT, SILENCE

__all__ = ["exchange", "say"]


def say(connection: socket.socket, raw: bytes, output: bytearray, last: float) -> None:
    """Sends bytes, and reads until the other side is silent for a while. Raises :class:`OSError`."""
    connection.settimeout(max(last - time.monotonic(), 0.001))
    with contextlib.suppress(ConnectionError):
        connection.sendall(raw)
    silence = time.monotonic() + FIRST_SILENCE
    while (left := min(silence, last) - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            data = connection.recv(1 << 16)
        except TimeoutError:
            break
        output += data
        if not data or len(output) > MOST_OUTPUT:
            break
        silence = time.monotonic() + SILENCE


def exchange(connection: socket.socket, raw: bytes, output: bytearray, last: float) -> None:
    """Sends bytes and reads at the same time, so that neither side waits for the other. Raises :class:`OSError`."""
    import select

    view, closed = memoryview(raw), False
    connection.setblocking(False)
    while True:
        left = last - time.monotonic()
        if left <= 0 or len(output) > MOST_OUTPUT:
            raise TimeoutError
        readable, writable, _ = select.select([connection], [] if closed else [connection], [], left)
        if writable:
            try:
                view = view[connection.send(view[: 1 << 16]) :]
            except ConnectionError:
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
