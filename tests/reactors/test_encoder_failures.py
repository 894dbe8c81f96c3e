"""Encoders that fail: each response and request arrives whole, or its failure is told on both sides."""

from __future__ import annotations

import zlib
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from hgproto.errors import LocalProtocolError
from hgproto.reactors.client import Client as TypedClient
from hgproto.reactors.events import Error, RequestError, ResponseData, TextMessage
from hgproto.reactors.limits import Limits
from hgproto.reactors.server import Server as TypedServer
from hgproto.streams.encodings import Profile, default_encodings
from hgproto.wire import build

if TYPE_CHECKING:
    from collections.abc import Iterator

# Tests look at events by the attributes that they expect, without narrowing each of them first.
Client: Any = TypedClient
Server: Any = TypedServer

LOST = "data was lost when the encoder of the stream failed"
METHODS = ["made", "encode", "flush", "finish", "encode_flushed"]
ERRORS: list[Any] = [RuntimeError, KeyboardInterrupt, LocalProtocolError]
LIMITS = Limits(send_payload=64)


class Fault:
    """An exception that the encoders of a connection raise once, at the call of that number of one of their methods."""

    def __init__(self, method: str = "", kind: type[BaseException] = RuntimeError, left: int = 0) -> None:
        self.method = method
        self.left = left
        is_ours = kind is LocalProtocolError
        self.error = LocalProtocolError("x", None, "", "x", "x") if is_ours else kind("of the encoder")
        self.raised = False

    def arm(self, method: str) -> None:
        self.method, self.left, self.raised = method, 0, False

    def at(self, method: str) -> None:
        if method == self.method and not self.raised:
            self.raised = not self.left
            self.left -= 1
            if self.raised:
                raise self.error


class Fragile:
    """An encoder like that of zlib, which can fail."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.context = zlib.compressobj()
        fault.at("made")

    def encode(self, data: bytes | memoryview) -> bytes:
        self.fault.at("encode")
        return self.context.compress(data)

    def flush(self) -> bytes:
        # Some of what the encoder holds is gone when it fails.
        flushed = self.context.flush(zlib.Z_SYNC_FLUSH)
        self.fault.at("flush")
        return flushed

    def finish(self) -> bytes:
        self.fault.at("finish")
        return self.context.flush(zlib.Z_FINISH)


class FragileAtOnce(Fragile):
    """One that encodes and flushes in one call."""

    def encode_flushed(self, data: bytes | memoryview) -> bytes:
        encoded = self.context.compress(data) + self.context.flush(zlib.Z_SYNC_FLUSH)
        self.fault.at("encode_flushed")
        return encoded


def fragile(fault: Fault) -> Any:
    """Encodings whose zlib can fail."""
    kind = FragileAtOnce if fault.method == "encode_flushed" else Fragile
    return default_encodings().plus(Profile("zlib", partial(kind, fault), default_encodings()["zlib"].decoder))


class Connection:
    """A client and a server whose encoder can fail; frames go to the client at once."""

    def __init__(self, fault: Fault, **options: Any) -> None:
        self.fault = fault
        self.client = Client(limits=LIMITS)
        self.server = Server(encodings=fragile(fault), encoding="zlib", limits=LIMITS, **options)
        self.begun = False
        self.events: list[Any] = []
        self.raised: list[BaseException] = []

    def ask(self, request_id: int) -> None:
        self.client.issued(request_id)
        for frame in build.command(request_id, 1, "x", begin=not self.begun):
            self.server.receive_frame(frame)
        self.begun = True

    def take(self, send: Any, count: int = 1000) -> bool:
        """Passes frames on, whatever is raised between them. Returns True once there are no more."""
        while count:
            count -= 1
            try:
                frame = next(send)
            except StopIteration:
                return True
            except BaseException as error:
                assert error is self.fault.error or str(error) == LOST or "found one of request" in str(error)
                self.raised.append(error)
                assert len(self.raised) < 20
            else:
                self.events += self.client.receive_frame(frame)
        return False

    def judge(self, request_id: int, send: Any, wanted: bytes) -> None:
        """A response is whole, or has failed on both sides. Forgets its events."""
        assert not [event for event in self.events if isinstance(event, Error)]
        mine = [event for event in self.events if event.request_id == request_id]
        self.events = [event for event in self.events if event.request_id != request_id]
        parts = [event for event in mine if isinstance(event, ResponseData)]
        errors = [event for event in mine if isinstance(event, RequestError)]
        received = b"".join(event.data for event in parts)
        if send.failure is None:
            assert (received, parts[-1].last, errors) == (wanted, True, [])
        else:
            assert wanted.startswith(received)
            assert not [event for event in parts if event.last]
            assert len(errors) == 1


def played(connection: Connection, random: Random) -> None:
    """Takes the responses to two requests in turns, with messages between, and then two more for the same ids."""
    contents: dict[int, list[bytes]] = {}
    sends: dict[int, Any] = {}
    texts: list[Any] = []
    for request_id in (1, 3):
        connection.ask(request_id)
        contents[request_id] = [random.randbytes(random.choice([0, 5, 90, 200])) for _ in range(random.randint(1, 4))]
        parts = contents[request_id]
        source = b"".join(parts) if random.random() < 0.3 else iter(parts)
        sends[request_id] = connection.server.respond(request_id, source, plain=random.random() < 0.1)
    left = [1, 3]
    while left:
        request_id = random.choice(left)
        if random.random() < 0.25 and request_id not in connection.server._outputs.finished:
            text = connection.server.send_text(request_id, [("working\n", (), ())])
            texts.append(text)
            connection.take(text)
        elif connection.take(sends[request_id], 1):
            left.remove(request_id)
    found = [event for event in connection.events if isinstance(event, TextMessage)]
    assert len(found) == len([text for text in texts if text.failure is None])
    for request_id, parts in contents.items():
        connection.judge(request_id, sends[request_id], b"".join(parts))
    assert connection.server._requests == {}
    connection.fault.method = ""
    for request_id in (1, 3):
        connection.ask(request_id)
        send = connection.server.respond(request_id, b"later")
        connection.take(send)
        assert send.failure is None
        connection.judge(request_id, send, b"later")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("flush", ["response", "frame"])
def test_a_response_arrives_whole_or_its_failure_is_told(method: str, kind: type[BaseException], flush: str) -> None:
    failed = 0
    for left in range(5):
        for seed in range(12):
            connection = Connection(Fault(method, kind, left), flush=flush)
            played(connection, Random(seed))  # noqa: S311 - repeatable, not secret
            failed += connection.fault.raised
    assert failed or method == "finish"


def test_data_that_was_lost_when_a_message_of_its_request_failed_ends_the_response() -> None:
    connection = Connection(Fault())
    connection.ask(1)
    texts: list[Any] = []

    def source() -> Iterator[bytes]:
        yield b"held by the encoder"
        connection.fault.arm("flush")
        texts.append(connection.server.send_text(1, [("working\n", (), ())]))
        connection.take(texts[0])
        yield b"the end"

    send = connection.server.respond(1, source())
    connection.take(send)
    assert texts[0].failure is connection.fault.error
    assert str(send.failure) == LOST
    connection.judge(1, send, b"")


@pytest.mark.parametrize("flush", ["response", "frame"])
def test_a_response_goes_on_as_it_is_if_the_encoder_that_failed_for_another_held_nothing_of_it(flush: str) -> None:
    connection = Connection(Fault(), flush=flush)
    for request_id in (1, 3):
        connection.ask(request_id)
    first = connection.server.respond(1, iter([b"one", b"two", b"three"]))
    other = connection.server.respond(3, b"other")
    # The settings of the stream, and with them the first chunk if every frame is flushed.
    connection.take(first, 1 if flush == "response" else 2)
    connection.fault.arm("encode" if flush == "response" else "flush")
    connection.take(other)
    connection.take(first)
    assert connection.raised == [connection.fault.error]
    assert (first.failure, other.failure) == (None, connection.fault.error)
    connection.judge(1, first, b"onetwothree")
    connection.judge(3, other, b"other")


def test_lost_data_is_not_held_against_a_later_request_with_the_same_id() -> None:
    connection = Connection(Fault())
    for request_id in (1, 3):
        connection.ask(request_id)

    others: list[Any] = []

    def source() -> Iterator[bytes]:
        yield b"held by the encoder"
        connection.fault.arm("flush")
        others.append(connection.server.respond(3, b"other"))
        connection.take(others[0])
        raise OSError("source")

    first = connection.server.respond(1, source())
    connection.take(first)
    assert isinstance(first.failure, OSError)
    assert others[0].failure is connection.fault.error
    connection.judge(1, first, b"held by the encoder")
    connection.judge(3, others[0], b"other")
    connection.ask(1)
    later = connection.server.respond(1, b"later")
    connection.take(later)
    connection.judge(1, later, b"later")
    assert later.failure is None
