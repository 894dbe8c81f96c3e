"""Encoders that fail: each response and request arrives completely, or both sides report its failure."""

from __future__ import annotations

import zlib
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from hgproto.errors import LocalProtocolError
from hgproto.reactors.client import Client as TypedClient
from hgproto.reactors.events import Error, RequestError, ResponseData, RunCommand, TextMessage
from hgproto.reactors.limits import Limits
from hgproto.reactors.pool import EncodingPool
from hgproto.reactors.server import Server as TypedServer
from hgproto.revisions.framing_0002 import build
from hgproto.revisions.framing_0002.codec import FrameType, StreamFlag
from hgproto.streams.encodings import Profile, default_encodings

if TYPE_CHECKING:
    from collections.abc import Iterator

# Tests look at events by the attributes that they expect, without narrowing each of them first.
Client: Any = TypedClient
Server: Any = TypedServer

LOST = "data was lost when the encoder of the stream failed"
METHODS = ["made", "encode", "flush", "finish", "encode_flushed"]
ERRORS: list[Any] = [RuntimeError, BlockingIOError, KeyboardInterrupt, LocalProtocolError]
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


class Slow:
    """A file that has nothing yet before each of its parts."""

    def __init__(self, parts: list[bytes]) -> None:
        self.left = [read for part in parts if part for read in (None, part)]

    def read(self, size: int) -> bytes | None:
        part = self.left.pop(0) if self.left else b""
        if part is not None and len(part) > size:
            self.left.insert(0, part[size:])
            return part[:size]
        return part


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
                if "no bytes yet" in str(error):
                    continue
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


def is_waiting(server: Any, request_id: int) -> bool:
    """True if the response to a request is not made to its end, so that messages can still be sent for it."""
    return request_id in server.snapshot().requests and request_id not in server._outputs.finished


def played(connection: Connection, random: Random) -> None:
    """Takes the responses to two requests in turns, with messages between, and then two more for the same ids."""
    contents: dict[int, list[bytes]] = {}
    sends: dict[int, Any] = {}
    texts: list[Any] = []
    for request_id in (1, 3):
        connection.ask(request_id)
        contents[request_id] = [random.randbytes(random.choice([0, 5, 90, 200])) for _ in range(random.randint(1, 4))]
        parts = contents[request_id]
        source = random.choice([b"".join(parts), iter(parts), Slow(parts)])
        sends[request_id] = connection.server.respond(request_id, source, plain=random.random() < 0.1)
    is_ended = random.random() < 0.5
    if is_ended:
        # The encoded bytes get their end with the last response.
        connection.server.receive_end()
    left = [1, 3]
    while left:
        request_id = random.choice(left)
        if random.random() < 0.25 and is_waiting(connection.server, request_id):
            text = connection.server.send_text(request_id, [("working\n", (), ())])
            texts.append(text)
            connection.take(text)
        elif connection.take(sends[request_id], 1):
            left.remove(request_id)
    # A message without atoms closes a stream.
    found = [event for event in connection.events if isinstance(event, TextMessage) and event.atoms]
    assert len(found) == len([text for text in texts if text.failure is None])
    for request_id, parts in contents.items():
        connection.judge(request_id, sends[request_id], b"".join(parts))
    assert connection.server.snapshot().requests == {}
    if is_ended:
        return
    connection.fault.method = ""
    for request_id in (1, 3):
        connection.ask(request_id)
        send = connection.server.respond(request_id, b"later")
        connection.take(send)
        assert send.failure is None
        connection.judge(request_id, send, b"later")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("flush", ["response", "frame"])
def test_a_response_arrives_whole_or_its_failure_is_told(
    method: str, streams: int, kind: type[BaseException], flush: str
) -> None:
    failed = 0
    for left in range(5):
        for seed in range(12):
            connection = Connection(Fault(method, kind, left), flush=flush, streams=streams)
            played(connection, Random(seed))  # noqa: S311 - repeatable, not secret
            failed += connection.fault.raised
    assert failed or (streams > 1 and method == "encode_flushed")


@pytest.mark.parametrize("where", ["send", "error", "pool"])
def test_only_a_file_pauses(where: str) -> None:
    connection = Connection(Fault("flush", BlockingIOError))
    for request_id in (1, 3):
        connection.ask(request_id)
    # The frames of an error wait for no file.
    source: Any = list if where == "error" else Slow
    sends = [
        connection.server.respond(1, source([b"first"])),
        connection.server.respond(3, source([b"other", b"data"])),
    ]
    if where == "send":
        for send in sends:
            connection.take(send)
    elif where == "error":
        (error,) = connection.server.receive_data(bytes.fromhex("0000000200010111"))
        connection.take(error.frames)
    else:
        with EncodingPool(2) as pool:
            for send in sends:
                pool.submit(send)
            while pool.outstanding:
                try:
                    for frames in pool.finished():
                        connection.take(iter(frames))
                except BlockingIOError as error:
                    connection.raised += [error] if error is connection.fault.error else []
    assert connection.raised == [connection.fault.error]
    assert [send.failure for send in sends] == [connection.fault.error, None]
    connection.judge(1, sends[0], b"first")
    connection.judge(3, sends[1], b"otherdata")


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


def requested(fault: Fault, random: Random, *, buffered: bool) -> None:
    """Sends commands whose frames are taken in turns, or in a row if they were held back."""
    client = Client(encodings=fragile(fault), encoding="zlib", limits=LIMITS, buffered=buffered)
    server = Server(limits=LIMITS)
    contents: dict[int, tuple[dict[str, bytes], bytes | None]] = {}
    sends: dict[int, Any] = {}
    for _ in range(3):
        parts = [random.randbytes(random.choice([0, 5, 90, 200])) for _ in range(random.randint(1, 4))]
        source = random.choice([b"".join(parts), Slow(parts), None])
        args = random.choice([{}, {"key": b"value"}])
        send = client.issue("x", args, source)
        sends[send.request_id] = send
        contents[send.request_id] = args, None if source is None else b"".join(parts)
    left = [client.flush()] if buffered else list(sends.values())
    failures: dict[int, BaseException] = {}
    events: list[Any] = []
    raised = 0
    while left:
        send = random.choice(left)
        try:
            frame = next(send)
        except StopIteration:
            left.remove(send)
            failures |= send.failures
        except BaseException as error:
            assert error is fault.error or str(error) == LOST or "no bytes yet" in str(error)
            raised += "no bytes yet" not in str(error)
            assert raised < 8
        else:
            events += server.receive_frame(frame)
    assert not [event for event in events if isinstance(event, Error)]
    run = {event.request_id: (event.args, event.data) for event in events if isinstance(event, RunCommand)}
    assert run == {request_id: wanted for request_id, wanted in contents.items() if request_id not in failures}
    told = [event.request_id for event in client.receive_data(b"") if isinstance(event, RequestError)]
    assert sorted(told) == sorted(failures)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("buffered", [False, True])
def test_a_request_arrives_whole_or_its_failure_is_told(method: str, kind: type[BaseException], buffered: bool) -> None:
    failed = 0
    for left in range(5):
        for seed in range(12):
            fault = Fault(method, kind, left)
            requested(fault, Random(seed), buffered=buffered)  # noqa: S311 - repeatable, not secret
            failed += fault.raised
    assert failed or method == "finish"


def profile_of(fault: Fault) -> Any:
    """Returns profiles in which zlib has the encoders of a fault."""
    zlib_ = default_encodings()["zlib"]
    return default_encodings().plus(Profile("zlib", lambda: Fragile(fault), zlib_.decoder))


@pytest.mark.parametrize("buffered", [False, True], ids=["at once", "buffered"])
@pytest.mark.parametrize("method", ["made", "encode", "finish"])
def test_a_command_that_was_not_begun_is_not_continued(method: str, buffered: bool) -> None:
    fault = Fault(method)
    client, server = Client(encodings=profile_of(fault), encoding="zlib", buffered=buffered), Server()
    send = client.issue("heads", end=True)
    if buffered:
        send = client.flush()
    frames: list[Any] = []
    for _ in range(4):
        try:
            frames += send
            break
        except RuntimeError:
            continue
    assert fault.raised
    assert [frame for frame in frames if frame.type == FrameType.COMMAND_DATA] == []
    later = [*client.issue("lookup", end=True), *(client.flush() if buffered else ())]
    # A stream without encoded bytes can still be closed.
    assert bool(later[-1].stream_flags & StreamFlag.STREAM_END) == (method == "made" or not frames)
    events = [event for frame in [*frames, *later] for event in server.receive_frame(frame)]
    assert [event.name for event in events if isinstance(event, RunCommand)] == ["lookup"]
    assert not any(isinstance(event, Error) for event in events)
