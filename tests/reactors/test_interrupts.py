"""Exceptions while receiving, such as KeyboardInterrupt: no event is lost silently."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

import pytest

from hgproto.errors import LocalProtocolError
from hgproto.reactors.client import Client as TypedClient
from hgproto.reactors.events import Error, RequestError, ResponseData, SendFrames
from hgproto.reactors.limits import Limits
from hgproto.reactors.pool import DecodingPool
from hgproto.reactors.server import Server as TypedServer
from hgproto.streams.encodings import Profile, default_encodings
from hgproto.wire.reader import read_frames
from hgproto.wire.writer import encode_frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgproto.streams.encodings import Encodings

Client: Any = TypedClient
Server: Any = TypedServer
CONTENT = [b"%d." % number * 30 for number in range(4)]


class Interrupted(Future):  # type: ignore[type-arg]
    """Work that is interrupted when a caller waits for it the first time."""

    is_interrupted = False

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self._interrupt()
        return super().exception(timeout)

    def result(self, timeout: float | None = None) -> Any:
        self._interrupt()
        return super().result(timeout)

    def done(self) -> bool:
        return False

    def _interrupt(self) -> None:
        if not self.is_interrupted:
            self.is_interrupted = True
            raise TimeoutError("the time is over")


class Inline(Executor):
    """An executor that does its work at once."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def answered(
    encoding: str | None = "zlib", encodings: Encodings | None = None, limits: Limits | None = None
) -> tuple[Any, bytes]:
    """A client that has asked, and the bytes of all responses."""
    client, server = Client(encodings=encodings), Server(encoding=encoding, encodings=encodings, limits=limits)
    wire = b""
    for content in CONTENT:
        send = client.issue("x")
        for frame in send:
            server.receive_frame(frame)
        wire += b"".join(encode_frames(server.respond(send.request_id, content)))
    return client, wire


def whole(events: list[Any]) -> dict[int, bytes]:
    """The data of each response."""
    data: dict[int, bytes] = {}
    for event in events:
        assert isinstance(event, ResponseData), event
        data[event.request_id] = data.get(event.request_id, b"") + event.data
    return data


ALL = dict(zip((1, 3, 5, 7), CONTENT, strict=True))


@pytest.mark.parametrize("ahead", [0, 1, 64])
@pytest.mark.parametrize("by_frame", [False, True])
def test_a_pool_that_is_interrupted_while_it_waits_goes_on(
    ahead: int, by_frame: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hgproto.reactors.pool.Future", Interrupted)
    client, wire = answered(limits=Limits(send_payload=24))
    pool = DecodingPool(client, executor=Inline(), ahead=ahead)
    calls: list[Any] = [lambda: pool.receive_data(wire)]
    if by_frame:
        frames = list(read_frames(wire))
        calls = [lambda frame=frame: pool.receive_frame(frame) for frame in frames]
    events: list[Any] = []
    interrupts = 0

    def made(call: Any, again: Any) -> None:
        nonlocal interrupts
        while True:
            try:
                events.extend(call())
            except TimeoutError:
                interrupts += 1
                call = again
            else:
                return

    for call in calls:
        made(call, lambda: pool.receive_data(b""))
    made(pool.receive_end, pool.receive_end)
    assert interrupts > 3
    assert whole([event for event in events if isinstance(event, ResponseData)]) == ALL
    assert client.active == ()
    assert client.works


def test_a_pool_that_is_interrupted_before_a_framing_error_tells_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hgproto.reactors.pool.Future", Interrupted)
    client, wire = answered()
    pool = DecodingPool(client, executor=Inline())
    events: list[Any] = []
    for data in (wire + b"\xff" * 8, *[b""] * 9):
        try:
            events += pool.receive_data(data)
        except TimeoutError:
            continue
        if events:
            break
    assert whole(events[:-1]) == ALL
    assert isinstance(events[-1], Error)
    assert events[-1].error.requirement == "frame.length-limit"


class Stops:
    """A decoder that is interrupted at the third payload."""

    def __init__(self) -> None:
        self.count = 0

    def decode(self, data: bytes, limit: int) -> bytes:
        self.count += 1
        if self.count == 3:
            raise KeyboardInterrupt
        return data

    def finish(self) -> None:
        pass


STOPS = default_encodings().plus(Profile("stops", default_encodings()["identity"].encoder, Stops))


@pytest.mark.requirement("encoding.decodable")
def test_a_decoder_of_a_pool_that_was_interrupted_is_not_used_again() -> None:
    client, wire = answered("stops", STOPS)
    with DecodingPool(client) as pool:
        events: list[Any] = []
        with pytest.raises(KeyboardInterrupt):
            events += pool.receive_data(wire)
            events += pool.receive_end()
        events += pool.receive_end()
    assert whole(events[:2]) == {1: CONTENT[0], 3: CONTENT[1]}
    assert {type(event) for event in events[2:-1]} == {RequestError}
    assert events[-1].error.requirement == "encoding.decodable"
    assert isinstance(events[-1].error.__cause__, KeyboardInterrupt)
    assert not client.works


@pytest.mark.requirement("reactor.errored")
@pytest.mark.parametrize("by_frame", [False, True])
@pytest.mark.parametrize("ends", [False, True])
def test_a_reactor_that_was_interrupted_has_failed_and_loses_no_event(by_frame: bool, ends: bool) -> None:
    client, wire = answered("stops", STOPS)
    events: list[Any] = []
    with pytest.raises(KeyboardInterrupt):
        if by_frame:
            for frame in read_frames(wire):
                events += client.receive_frame(frame)
        else:
            events += client.receive_data(wire)
    assert not client.works
    with pytest.raises(LocalProtocolError, match="the connection has failed"):
        client.issue("more")
    if ends:
        events += client.receive_end()
    events += client.receive_data(b"")
    *events, error = events
    assert whole(events) == {1: CONTENT[0], 3: CONTENT[1]}
    assert isinstance(error, Error)
    assert error.error.requirement == "reactor.errored"


@pytest.mark.requirement("reactor.errored")
def test_a_reactor_that_was_interrupted_at_the_end_of_input_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    client, server = Client(), Server(defer=True)
    for _ in range(2):
        for frame in client.issue("x"):
            server.receive_frame(frame)
    server.respond(1, b"held back")
    server.receive_frame(next(client.issue("x", {"key": b"value"})))
    move = TypedServer._move

    def interrupted(*args: Any) -> None:
        monkeypatch.setattr(TypedServer, "_move", move)
        raise KeyboardInterrupt

    monkeypatch.setattr(TypedServer, "_move", interrupted)
    with pytest.raises(KeyboardInterrupt):
        server.receive_end()
    assert not server.works
    sends = [event for event in server.receive_end() if isinstance(event, SendFrames)]
    assert [frame.payload for frame in sends[0]] == [b"held back"]
