"""Responses and commands that are written in parts: the other side receives exactly the written data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgproto import Client, Limits, Server
from hgproto.errors import LocalProtocolError
from hgproto.reactors.events import (
    CommandData,
    Error,
    ProgressUpdate,
    RequestError,
    ResponseData,
    RunCommand,
    SendFrames,
    StartCommand,
)
from hgproto.revisions.framing_0002 import codec
from hgproto.streams.encodings import Profile, default_encodings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hgproto.runtime.frame import Frame

ENCODINGS = [None, *default_encodings()]
LIMITS = Limits(send_payload=24)
pieces = st.lists(st.binary(max_size=20), max_size=6)


def asked(count: int = 1, **options: Any) -> tuple[Client, Server]:
    """Both sides of a connection on which some requests wait for their response."""
    client, server = Client(), Server(limits=LIMITS, **options)
    for _ in range(count):
        for frame in client.issue("x"):
            server.receive_frame(frame)
    return client, server


def received(client: Client, frames: Iterable[Frame]) -> list[Any]:
    """The events of a client, which all frames must please."""
    events = [event for frame in frames for event in client.receive_frame(frame)]
    assert not [event for event in events if isinstance(event, Error)]
    return events


def data_of(events: list[Any], request_id: int = 1) -> tuple[bytes, bool]:
    """The data of a response, and whether it is complete."""
    mine = [event for event in events if isinstance(event, ResponseData) and event.request_id == request_id]
    return b"".join(event.data for event in mine), bool(mine) and mine[-1].last


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(first=pieces, second=pieces, order=st.lists(st.booleans(), max_size=12))
def test_responses_that_are_written_in_turns_arrive_whole(
    encoding: str | None, first: list[bytes], second: list[bytes], order: list[bool]
) -> None:
    client, server = asked(2, encoding=encoding)
    left = {False: list(first), True: list(second)}
    writers = {False: server.begin_response(1), True: server.begin_response(3)}
    frames: list[Frame] = []
    for which in [*order, *[False] * 6, *[True] * 6]:
        if left[which]:
            frames += writers[which].write(left[which].pop(0))
    for which, writer in writers.items():
        frames += writer.end()
        assert writer.is_over
        assert (writer.request_id, writer.stream_id) == (3 if which else 1, 2)
    events = received(client, frames)
    assert data_of(events, 1) == (b"".join(first), True)
    assert data_of(events, 3) == (b"".join(second), True)
    assert client.active == () and server.snapshot().requests == {}


def test_what_was_written_is_sent_at_once_and_the_end_closes() -> None:
    client, server = asked()
    writer = server.begin_response(1)
    buffer = bytearray(b"one")
    frames = writer.write(buffer)
    buffer[:] = b"two"
    assert [(frame.payload, frame.flags) for frame in frames] == [(b"one", codec.BytesResponseFlag.CONTINUATION)]
    assert writer.write(b"") == []
    last = writer.end()
    assert [(frame.payload, frame.flags) for frame in last] == [(b"", codec.BytesResponseFlag.EOS)]
    assert writer.end() == []
    with pytest.raises(ValueError, match="the data of request 1 was ended"):
        writer.write(b"x")
    with pytest.raises(ValueError, match="the data of request 1 was ended"):
        writer.fail("x")
    with pytest.raises(LocalProtocolError, match=r"response\.active-request"):
        server.begin_response(1)
    assert data_of(received(client, [*frames, *last])) == (b"one", True)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_message_comes_between(encoding: str | None) -> None:
    client, server = asked(encoding=encoding)
    writer = server.begin_response(1)
    frames = [
        *writer.write(b"one"),
        *server.send_progress(1, "t", 1, 2),
        *writer.write(b"two"),
        *writer.end(),
    ]
    events = received(client, frames)
    kinds = [type(event) for event in events]
    assert kinds.index(ProgressUpdate) > 0
    assert data_of(events) == (b"onetwo", True)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("written", [[], [b"part"]])
def test_a_response_that_fails_has_its_message(encoding: str | None, written: list[bytes]) -> None:
    client, server = asked(encoding=encoding)
    writer = server.begin_response(1)
    frames = [frame for piece in written for frame in writer.write(piece)]
    frames += writer.fail("no more")
    assert writer.is_over and writer.failure is None
    events = received(client, frames)
    assert events[-1] == RequestError(1, "no more", sum(map(len, written)))
    assert client.active == () and server.snapshot().requests == {}


class Broken:
    """An encoder that fails at its second piece of data."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.count = 0

    def encode(self, data: bytes | memoryview) -> bytes:
        self.count += 1
        if self.count == 2:
            raise self.error
        return bytes(data)

    def flush(self) -> bytes:
        return b""

    finish = flush


@pytest.mark.parametrize("error", [RuntimeError("x"), BlockingIOError("x"), KeyboardInterrupt()], ids=repr)
def test_what_an_encoder_raises_is_raised_and_the_end_follows(error: BaseException) -> None:
    identity = default_encodings()["identity"]
    encodings = default_encodings().plus(Profile("identity", lambda: Broken(error), identity.decoder))
    client, server = asked(encoding="identity", encodings=encodings)
    writer = server.begin_response(1)
    frames = writer.write(b"123456789" * 3)
    with pytest.raises(type(error)):
        writer.write(b"more")
    assert writer.failure is error
    with pytest.raises(ValueError, match=r"request 1 has failed; call end\(\) for the remaining frames"):
        writer.write(b"even more")
    frames += writer.end()
    assert isinstance(received(client, frames)[-1], RequestError)
    assert server.snapshot().requests == {}


def test_a_deferred_response_is_given_at_the_end_of_input_and_by_its_writer() -> None:
    client, server = asked(2, defer=True)
    first, second = server.begin_response(1), server.begin_response(3)
    assert [*first.write(b"one"), *first.end(), *second.write(b"two")] == []
    frames: list[Frame] = []
    for event in server.receive_end():
        if isinstance(event, SendFrames):
            try:
                frames += event
            except BlockingIOError as error:
                assert event.request_id == 3
                assert "no bytes yet" in str(error)
    frames = [*frames, *second.write(b"three"), *second.end()]
    events = received(client, frames)
    assert data_of(events, 1) == (b"one", True)
    assert client.active == ()


# Commands


def commands(server: Server, frames: Iterable[Frame]) -> list[Any]:
    """Returns the commands that a server is to run, and their data."""
    events = [event for frame in frames for event in server.receive_frame(frame)]
    assert not [event for event in events if isinstance(event, Error)]
    return [event for event in events if isinstance(event, RunCommand | CommandData)]


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(first=pieces, second=pieces, order=st.lists(st.booleans(), max_size=12))
def test_commands_that_are_written_in_turns_arrive_whole(
    encoding: str | None, first: list[bytes], second: list[bytes], order: list[bool]
) -> None:
    client, server = Client(encoding=encoding, limits=LIMITS), Server()
    left = {False: list(first), True: list(second)}
    writers = {False: client.begin_command("one"), True: client.begin_command("two", {"key": b"value"})}
    frames: list[Frame] = []
    for which in [*order, *[False] * 6, *[True] * 6]:
        if left[which]:
            frames += writers[which].write(left[which].pop(0))
    for writer in writers.values():
        frames += writer.end()
        assert writer.is_over
    run = sorted(commands(server, frames), key=lambda event: event.request_id)
    wanted = [RunCommand(1, "one", {}, b"".join(first)), RunCommand(3, "two", {"key": b"value"}, b"".join(second))]
    assert run == wanted
    assert client.active == (1, 3)


def test_the_first_data_starts_a_command() -> None:
    client, server = Client(), Server(streaming=True)
    writer = client.begin_command("x")
    assert commands(server, writer.write(b"one")) == [StartCommand(1, "x", {}), CommandData(1, b"one", last=False)]
    assert commands(server, writer.write(b"two")) == [CommandData(1, b"two", last=False)]
    assert commands(server, writer.end()) == [CommandData(1, b"", last=True)]


@pytest.mark.parametrize("written", [[], [b"part"]])
def test_a_command_that_is_given_up_is_not_completed(written: list[bytes]) -> None:
    client, server = Client(), Server()
    writer = client.begin_command("x")
    frames = [frame for piece in written for frame in writer.write(piece)]
    frames += writer.fail("no more")
    assert commands(server, frames) == []
    assert client.unfinished == ((1,) if written else ())
    (event,) = client.receive_data(b"")
    assert isinstance(event, RequestError)
    assert event.message == "the data of the request could not be sent: no more"
    assert str(writer.failure) == "no more"


def test_the_rest_of_a_command_is_dropped_once_its_response_is_complete() -> None:
    client, server = Client(), Server(streaming=True)
    writer = client.begin_command("x")
    commands(server, writer.write(b"one"))
    received(client, server.respond(1, b"enough"))
    (frame,) = writer.write(b"two")
    assert (frame.payload, frame.flags) == (b"", codec.CommandDataFlag.EOS)
    commands(server, [frame])
    assert writer.is_over
    assert client.active == () and server.snapshot().requests == {}


def test_a_buffered_command_is_given_by_the_flush() -> None:
    client, server = Client(buffered=True), Server()
    writer = client.begin_command("x")
    assert [*writer.write(b"one"), *writer.end()] == []
    assert commands(server, client.flush()) == [RunCommand(1, "x", {}, b"one")]

    def taken(send: Iterator[Frame]) -> Iterator[Frame]:
        try:
            yield from send
        except BlockingIOError:
            return

    late = client.begin_command("y")
    assert late.write(b"two") == []
    frames = [*taken(iter(client.flush())), *late.write(b"three"), *late.end()]
    assert commands(server, frames) == [RunCommand(3, "y", {}, b"twothree")]


def test_frames_that_were_made_before_an_exception_come_first_whoever_gives_them() -> None:
    error = RuntimeError("x")
    identity = default_encodings()["identity"]

    # The name of the command is encoded, and then its data is not.
    encodings = default_encodings().plus(Profile("identity", lambda: Broken(error), identity.decoder))
    client, server = Client(encoding="identity", encodings=encodings), Server()
    writer, other = client.begin_command("x"), client.issue("other")
    with pytest.raises(RuntimeError):
        writer.write(b"data")
    frames = list(other)
    assert frames[0].type == codec.FrameType.STREAM_SETTINGS
    assert commands(server, [*frames, *writer.end()]) == [RunCommand(3, "other", {})]
    assert [event.request_id for event in client.receive_data(b"") if isinstance(event, RequestError)] == [1]


@pytest.mark.parametrize("message", [b"no", 5, ["no"], None])
def test_a_message_that_is_no_text_is_refused(message: Any) -> None:
    _, server = asked(2)
    wanted = f"message must be text, not {type(message).__name__}"
    with pytest.raises(TypeError, match=wanted):
        server.respond_error(1, message)
    writer = server.begin_response(1)
    with pytest.raises(TypeError, match=wanted):
        writer.fail(message)
    with pytest.raises(TypeError, match=wanted):
        Client().begin_command("x").fail(message)
    assert [frame.flags for frame in writer.fail("no")] == [codec.ErrorResponseFlag.APPLICATION]


def test_data_that_nobody_waits_for_is_not_kept() -> None:
    client, server = Client(), Server(streaming=True)
    writer = client.begin_command("x")
    commands(server, writer.write(b"one"))
    received(client, server.respond(1, b"enough"))
    commands(server, writer.write(b"two"))
    assert writer.is_over
    assert writer.write(b"three") == []
    assert writer._pushed.read(100) is None
    assert writer.end() == []


@pytest.mark.requirement("request.command-expected")
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_error_of_the_peer_breaks_off_what_is_still_being_written(encoding: str | None) -> None:
    client, server = asked(3, encoding=encoding)
    writer, done = server.begin_response(1), server.begin_response(5)
    frames = writer.write(b"some")
    ready = server.respond(3, b"ready")
    frames += done.write(b"whole")
    done._pushed.ended = True
    (error,) = server.receive_frame(codec.make_frame(9, 1, 0, codec.FrameType.COMMAND_DATA, 2, b""))
    assert isinstance(error, Error)
    frames += error.frames
    frames += ready
    events = [event for frame in frames for event in client.receive_frame(frame)]
    assert data_of(events, 3) == (b"ready", True)
    assert data_of(events, 5) == (b"whole", True)
    assert {type(event).__name__ for event in events} == {"ResponseData", "RequestError", "PeerError"}
    assert isinstance(writer.failure, LocalProtocolError)
    with pytest.raises(ValueError, match="request 1 has failed"):
        writer.write(b"more")
    assert writer.end() == []
    assert server.snapshot().unsent == ()
