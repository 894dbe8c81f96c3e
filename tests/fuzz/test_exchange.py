"""Bytes over a connection."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from hgproto.fuzz.exchange import exchange, say


def test_a_part_of_a_dialogue_ends_with_silence() -> None:
    one, other = socket.socketpair()
    with one, other:
        other.sendall(b"first")
        output = bytearray()
        say(one, b"part", output, time.monotonic() + 10)
        assert (bytes(output), other.recv(100)) == (b"first", b"part")
        # The connection is open for the next part.
        other.sendall(b"second")
        say(one, b"", output, time.monotonic() + 10)
        assert bytes(output) == b"firstsecond"


def test_a_part_of_a_dialogue_ends_in_time() -> None:
    one, other = socket.socketpair()
    stop = threading.Event()

    def talk() -> None:
        while not stop.wait(0.005):
            other.sendall(b"x")

    with one, other:
        thread = threading.Thread(target=talk)
        thread.start()
        output = bytearray()
        say(one, b"", output, time.monotonic() + 0.2)
        stop.set()
        thread.join()
        assert output


def test_an_exchange_ends_with_both_sides() -> None:
    one, other = socket.socketpair()
    with one, other:
        other.sendall(b"answer")
        other.shutdown(socket.SHUT_WR)
        output = bytearray()
        exchange(one, b"question", output, time.monotonic() + 10)
        assert (bytes(output), other.recv(100)) == (b"answer", b"question")
    one, other = socket.socketpair()
    with one, other, pytest.raises(TimeoutError):
        exchange(one, b"question", bytearray(), time.monotonic() + 0.05)
