"""``to_bytes`` of sends: the bytes of the frames that iterating yields, and none is lost in an exception."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest

from hgproto.reactors.client import Client
from hgproto.reactors.events import NoOp, RequestError, ResponseData, RunCommand, SendFrames
from hgproto.reactors.limits import Limits
from hgproto.reactors.server import Server
from hgproto.wire.writer import encode_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENCODINGS = pytest.mark.parametrize("encoding", [None, "zlib"])


class Slow(BytesIO):
    """A file that has no bytes yet whenever it is read first."""

    paused = False

    def read(self, size: int | None = -1, /) -> bytes:
        self.paused = not self.paused
        return None if self.paused else super().read(size)  # type: ignore[return-value]


def serving(*ids: int, **options: Any) -> Server:
    """A server that has received commands with these ids."""
    server, client = Server(**options), Client()
    for _ in range(max(ids) // 2 + 1):
        server.receive_data(sent(client.issue("heads")))
    return server


def sent(send: SendFrames | NoOp) -> bytes:
    """The bytes of a send, by way of its frames."""
    return b"".join(encode_frames(send, max_payload=1 << 20))


def interrupted(error: BaseException) -> Iterator[bytes]:
    """Chunks that end in an exception."""
    yield b"a chunk"
    raise error


RESPONSES: dict[str, Callable[[], Any]] = {
    "nothing": lambda: b"",
    "one frame": lambda: b"data",
    "many frames": lambda: bytes(200_000),
    "a frame longer than most": lambda: b"x" * 90_000,
    "bytes that may change": lambda: bytearray(b"data"),
    "chunks": lambda: iter([b"a", b"", b"b" * 40_000]),
    "a file": lambda: BytesIO(b"line\n" * 30_000),
    "a failure": lambda: interrupted(ValueError("no more")),
}


@ENCODINGS
@pytest.mark.parametrize("send_payload", [7, 32768, 100_000])
@pytest.mark.parametrize("content", RESPONSES)
def test_a_response_has_the_bytes_of_its_frames(content: str, send_payload: int, encoding: str | None) -> None:
    options: dict[str, Any] = {"limits": Limits(send_payload=send_payload), "encoding": encoding}
    by_frame, at_once = (serving(1, 3, 5, **options) for _ in range(2))
    for number, data in ((1, lambda: b"opens"), (3, RESPONSES[content]), (5, lambda: b"after")):
        response = at_once.respond(number, data())
        assert response.to_bytes() == sent(by_frame.respond(number, data()))
        assert response.to_bytes() == b""
    assert at_once.snapshot() == by_frame.snapshot()
    assert at_once.snapshot().unsent == ()


@pytest.mark.parametrize("streams", [1, 2])
@ENCODINGS
def test_frames_that_wait_come_first(encoding: str | None, streams: int) -> None:
    by_frame, at_once = (serving(1, 3, encoding=encoding, streams=streams) for _ in range(2))
    wires = []
    for server, bytes_of in ((by_frame, sent), (at_once, lambda send: send.to_bytes())):
        begun = server.respond(3, iter([b"a" * 40_000, b"b"]), stream_id=2)
        first = next(iter(begun))
        message = server.send_text(1, [("x\n", (), ())], stream_id=2 * streams)
        last = server.respond(1, b"last", stream_id=2)
        wires.append([b"".join(encode_frames([first])), bytes_of(message), bytes_of(last), bytes_of(begun)])
        assert server.snapshot().unsent == ()
    assert wires[0] == wires[1]


@ENCODINGS
def test_commands_have_the_bytes_of_their_frames(encoding: str | None) -> None:
    commands: list[tuple[str, dict[str, bytes], Any]] = [
        ("heads", {}, None),
        ("lookup", {"key": b"tip"}, None),
        ("known", {"a": bytes(40_000), "b": b""}, None),
        ("unbundle", {"heads": b"x"}, b"data" * 20_000),
        ("unbundle", {}, b""),
    ]
    by_frame, at_once = Client(encoding=encoding), Client(encoding=encoding)
    for command in commands:
        send = at_once.issue(*command)
        assert send.to_bytes() == sent(by_frame.issue(*command))
        assert send.to_bytes() == b""
    assert at_once.snapshot() == by_frame.snapshot()
    held = [Client(encoding=encoding, buffered=True, streams=2) for _ in range(2)]
    for client in held:
        for command in commands:
            assert client.issue(*command).to_bytes() == b""
    batch = held[1].flush()
    assert batch.to_bytes() == sent(held[0].flush())
    assert batch.to_bytes() == held[1].flush().to_bytes() == b""


@ENCODINGS
def test_no_frame_is_lost_while_a_file_has_no_bytes(encoding: str | None) -> None:
    server = serving(1, 3, encoding=encoding)
    send, client = server.respond(3, Slow(b"x" * 90_000)), Client()
    for _ in range(2):
        client.issue("heads").to_bytes()
    pauses, wire = patiently(send)
    assert pauses > 1
    events = client.receive_data(wire)
    assert b"".join(event.data for event in events if isinstance(event, ResponseData)) == b"x" * 90_000


@ENCODINGS
def test_no_command_of_a_flush_is_lost_while_a_file_has_no_bytes(encoding: str | None) -> None:
    client, server = Client(buffered=True, encoding=encoding), Server()
    for data in (None, Slow(b"ab"), BytesIO(b"cd")):
        client.issue("x", {}, data)
    pauses, wire = patiently(client.flush())
    assert pauses > 0
    runs = [event for event in server.receive_data(wire) if isinstance(event, RunCommand)]
    assert [(run.request_id, run.data) for run in runs] == [(1, None), (3, b"ab"), (5, b"cd")]


@ENCODINGS
def test_an_interrupt_is_raised_and_the_rest_follows(encoding: str | None) -> None:
    server, client = serving(1, encoding=encoding), Client()
    client.issue("heads").to_bytes()
    send = server.respond(1, interrupted(KeyboardInterrupt()))
    assert isinstance(send, SendFrames)
    with pytest.raises(KeyboardInterrupt):
        send.to_bytes()
    *data, error = client.receive_data(send.to_bytes())
    assert [event.data for event in data if isinstance(event, ResponseData)] == [b"a chunk"]
    assert isinstance(error, RequestError)
    assert isinstance(send.failure, KeyboardInterrupt)


def test_a_claimed_send_has_no_bytes_here() -> None:
    server = serving(1)
    send = server.respond(1, b"data")
    assert isinstance(send, SendFrames)
    send.claim()
    assert send.to_bytes() == b""
    assert len(list(send.claimed_frames())) == 1
    send.sent()
    assert send.to_bytes() == b""


def test_a_deferred_response_has_its_bytes_at_the_end_of_input() -> None:
    server = serving(1, defer=True)
    assert server.respond(1, b"data").to_bytes() == b""
    (send, *_) = server.receive_end()
    assert isinstance(send, SendFrames)
    assert send.to_bytes().endswith(b"data")


def patiently(send: SendFrames | NoOp) -> tuple[int, bytes]:
    """The number of pauses, and the bytes after them."""
    for pauses in range(100):
        try:
            return pauses, send.to_bytes()
        except BlockingIOError:
            continue
    raise AssertionError("there is no end of pauses")
