"""Interleaved sends, with other actions at every point between frames. The peer checks the frames."""

from __future__ import annotations

from itertools import islice, product
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from hgproto.errors import LocalProtocolError
from hgproto.judging.validation import SessionValidator
from hgproto.reactors.client import Client as TypedClient
from hgproto.reactors.events import Error, RequestError, ResponseData, RunCommand, SendFrames, StreamLeftOpen
from hgproto.reactors.limits import Limits
from hgproto.reactors.pool import EncodingPool
from hgproto.reactors.server import Server as TypedServer
from hgproto.revisions.framing_0002 import codec
from hgproto.streams.encodings import default_encodings
from hgproto.wire.writer import encode_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hgproto.runtime.frame import Frame

Client: Any = TypedClient
Server: Any = TypedServer

ENCODINGS = [None, *default_encodings()]
LIMITS = Limits(send_payload=24)
CONTENT = bytes(range(256))[::-1][:60]
DONE = object()
MESSAGES = (codec.FrameType.TEXT_OUTPUT, codec.FrameType.PROGRESS)


class Conversation:
    """Both sides of a connection on which requests wait for their responses, and a judge of what they send."""

    def __init__(self, requests: int, **options: Any) -> None:
        self.client, self.server = Client(), Server(limits=LIMITS, **options)
        self.judge = SessionValidator()
        for _ in range(requests):
            for frame in self.client.issue("x"):
                self._judged("client", frame)
                self.server.receive_frame(frame)
        self.frames: list[Frame] = []

    def respond(self, kinds: Iterable[str], home: int | None = None) -> list[Any]:
        """Responds to each request, each on the next stream, or all on one."""
        streams = self.server.output_streams
        sends = []
        for place, kind in enumerate(kinds):
            request_id, stream_id = 1 + 2 * place, home or streams[place % len(streams)]
            if kind == "error":
                sends.append(self.server.respond_error(request_id, "sorry", stream_id=stream_id))
            else:
                data = CONTENT if kind == "bytes" else iter([CONTENT[:45], CONTENT[45:]])
                sends.append(self.server.respond(request_id, data, stream_id=stream_id))
        return sends

    def end(self) -> None:
        """Ends the client's output."""
        self.server.receive_end()
        assert not [finding for finding in self.judge.close("client") if finding.refused]

    def check(self, kinds: Iterable[str]) -> list[Any]:
        """Checks that every response arrives whole. Returns what the client says of the end."""
        got: dict[int, bytes] = {}
        ended: list[int] = []
        for frame in self.frames:
            self._judged("server", frame)
            for event in self.client.receive_frame(frame):
                assert not isinstance(event, Error), event
                if isinstance(event, ResponseData):
                    got[event.request_id] = got.get(event.request_id, b"") + event.data
                    ended += [event.request_id] * event.last
                elif isinstance(event, RequestError):
                    got[event.request_id] = event.message.encode()
                    ended.append(event.request_id)
        expected = {1 + 2 * place: b"sorry" if kind == "error" else CONTENT for place, kind in enumerate(kinds)}
        assert got == expected
        assert sorted(ended) == sorted(expected)
        events: list[Any] = self.client.receive_end()
        assert all(isinstance(event, StreamLeftOpen) for event in events)
        return events

    def _judged(self, role: Any, frame: Frame) -> None:
        assert not [finding for finding in self.judge.feed(role, encode_frame(frame)) if finding.refused]


def by_turns(sends: list[Any]) -> Iterator[Frame]:
    """The frames, one of each send at a time."""
    while sends:
        for send in list(sends):
            frame: Any = next(send, DONE)
            if frame is DONE:
                sends.remove(send)
            else:
                yield frame


def one_by_one(sends: list[Any]) -> Iterator[Frame]:
    """The frames, all of a send before those of the next."""
    for send in sends:
        yield from send


ORDERS = [by_turns, one_by_one]
KINDS = [
    *product(["bytes", "chunks", "error"]),
    *product(["bytes", "chunks"], ["bytes", "error"]),
    ("bytes", "chunks", "bytes"),
    ("chunks", "error", "bytes"),
    ("bytes", "bytes", "error"),
]


@pytest.mark.requirement("stream.end", "encoding.complete-at-end", "encoding.nothing-after-end")
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("streams", [1, 2, 3])
@pytest.mark.parametrize("order", ORDERS)
def test_a_stream_is_never_closed_before_the_frames_that_were_made_for_it(
    encoding: str | None, streams: int, order: Any
) -> None:
    for kinds in KINDS:
        for home in (None, 2):
            before = 0
            while True:
                talk = Conversation(len(kinds), encoding=encoding, streams=streams)
                frames = order(talk.respond(kinds, home))
                talk.frames += islice(frames, before)
                is_shorter = len(talk.frames) < before
                talk.end()
                talk.frames += frames
                left_open = talk.check(kinds)
                # Only a frame that was encoded before the end of input can leave its stream open.
                assert before or not left_open
                if is_shorter:
                    break
                before += 1


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("submitted", range(4))
def test_a_pool_closes_no_stream_before_the_frames_that_were_made_for_it(encoding: str | None, submitted: int) -> None:
    for kinds in KINDS:
        talk = Conversation(len(kinds), encoding=encoding, streams=3)
        sends = talk.respond(kinds)
        with EncodingPool() as pool:
            for send in sends[:submitted]:
                pool.submit(send)
            talk.end()
            for send in sends[submitted:]:
                pool.submit(send)
            talk.frames += [frame for made in pool.finished() for frame in made]
        talk.check(kinds)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_stream_on_which_a_thread_works_is_closed_by_nobody_else(encoding: str | None) -> None:
    begun, go_on = Event(), Event()

    def source() -> Iterator[bytes]:
        yield CONTENT[:45]
        begun.set()
        go_on.wait()
        yield CONTENT[45:]

    talk = Conversation(2, encoding=encoding, streams=2)
    slow = talk.server.respond(1, source(), stream_id=2)
    with EncodingPool() as pool:
        pool.submit(slow)
        begun.wait()
        talk.end()
        talk.frames += talk.server.respond(3, CONTENT, stream_id=4)
        go_on.set()
        talk.frames += [frame for made in pool.finished() for frame in made]
    assert talk.check(["chunks", "bytes"]) == [StreamLeftOpen(2)]


def message(server: Any, kind: str, request_id: int, stream_id: int | None = None) -> Any:
    if kind == "text":
        return server.send_text(request_id, [("working\n", (), ())], stream_id=stream_id)
    return server.send_progress(request_id, "w", 1, 2, stream_id=stream_id)


@pytest.mark.requirement("response.active-request")
@pytest.mark.parametrize("encoding", list(default_encodings()))
@pytest.mark.parametrize("kind", ["text", "progress"])
@pytest.mark.parametrize("response", ["bytes", "chunks", "error"])
@pytest.mark.parametrize("home", [2, 4])
def test_a_message_that_has_begun_does_not_follow_the_end_of_the_response(
    encoding: str, kind: str, response: str, home: int
) -> None:
    for is_open in (False, True):
        for before in range(3):
            talk = Conversation(2, encoding=encoding, streams=2)
            late = message(talk.server, kind, 1, stream_id=2)
            send, other = talk.respond([response, "bytes"], home)
            other = iter(other)
            if is_open:
                # The stream is open, and has frames of another response.
                talk.frames += islice(other, 2)
            talk.frames += islice(late, before)
            talk.frames += send
            try:
                talk.frames += late
            except LocalProtocolError as error:
                assert error.requirement == "response.active-request"
                assert late.failure is error
            else:
                assert any(frame.type in MESSAGES for frame in talk.frames)
            talk.frames += late
            talk.frames += other
            talk.check([response, "bytes"])
            assert talk.server.snapshot().requests == {}


@pytest.mark.requirement("response.active-request")
@pytest.mark.parametrize("pooled", [True, False])
def test_a_pool_refuses_a_message_after_the_response(pooled: bool) -> None:
    talk = Conversation(1, encoding="zlib")
    late = message(talk.server, "text", 1)
    (send,) = talk.respond(["bytes"])
    with EncodingPool() as pool:
        if pooled:
            pool.submit(send)
        else:
            talk.frames += send
        with pytest.raises(LocalProtocolError, match="a message that is sent before the end of the response"):
            pool.submit(late)
        talk.frames += [frame for made in pool.finished() for frame in made]
        assert pool.outstanding == 0
    assert list(late) == []
    talk.check(["bytes"])
    assert talk.server.snapshot().requests == {}


@pytest.mark.parametrize("pooled", [True, False])
def test_a_message_that_was_made_comes_before_the_response_whoever_gives_it(pooled: bool) -> None:
    talk = Conversation(1, encoding="zlib")
    first = message(talk.server, "text", 1)
    (send,) = talk.respond(["bytes"])
    # The settings of the stream, after which the message waits.
    talk.frames += islice(first, 1)
    if pooled:
        with EncodingPool() as pool:
            with pytest.raises(
                RuntimeError, match="frames of request 1 on stream 2 were built here and not consumed yet"
            ):
                pool.submit(send)
            talk.frames += first
            pool.submit(send)
            talk.frames += [frame for made in pool.finished() for frame in made]
    else:
        talk.frames += send
    assert [frame.type for frame in talk.frames].count(codec.FrameType.TEXT_OUTPUT) == 1
    assert list(first) == []
    talk.check(["bytes"])
    assert talk.server.snapshot().requests == {}


@pytest.mark.requirement("response.active-request")
@pytest.mark.parametrize("claimed", ["both", "message", "response"])
def test_a_response_waits_for_a_message_that_is_made_elsewhere_on_another_stream(claimed: str) -> None:
    talk = Conversation(1, streams=2)
    text = message(talk.server, "text", 1, stream_id=4)
    (send,) = talk.respond(["bytes"], 2)
    with EncodingPool() as pool:
        if claimed != "response":
            pool.submit(text)
        with pytest.raises(
            RuntimeError, match="a message before it on stream 4 was not consumed yet; consume its frame first"
        ):
            if claimed == "message":
                talk.frames += send
            else:
                pool.submit(send)
        talk.frames += [frame for made in pool.finished() for frame in made]
        if claimed == "response":
            talk.frames += text
        pool.submit(send)
        talk.frames += [frame for made in pool.finished() for frame in made]
    assert [frame.type for frame in talk.frames].count(codec.FrameType.TEXT_OUTPUT) == 1
    talk.check(["bytes"])
    assert talk.server.snapshot().requests == {}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_pool_keeps_the_order_of_a_stream_that_is_ended_on_the_way(encoding: str | None) -> None:
    talk = Conversation(3, streams=2, defer=True, encoding=encoding)
    for request_id, end in ((1, True), (3, False), (5, False)):
        talk.server.respond(request_id, b"%d" % request_id, stream_id=2, end=end)
    with EncodingPool() as pool:
        for event in talk.server.receive_end():
            if isinstance(event, SendFrames):
                pool.submit(event)
        frames = [frame for made in pool.finished() for frame in made]
    answers = [frame.request_id for frame in frames if frame.type == codec.FrameType.BYTES_RESPONSE]
    assert answers == [1, 3, 5]
    events = [event for frame in frames for event in talk.client.receive_frame(frame)]
    assert b"".join(event.data for event in events if isinstance(event, ResponseData)) == b"135"
    assert talk.client.receive_end() == []


class FailingFile:
    """A file that fails at the third read."""

    def __init__(self) -> None:
        self.left = 2

    def read(self, size: int) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise OSError("the disk is gone")
        return b"x" * size


def test_a_command_whose_frames_another_send_gave_counts_as_begun() -> None:
    client = Client(encoding="zlib")
    send, other = client.issue("two", data=FailingFile()), client.issue("other")
    assert next(send).type == codec.FrameType.STREAM_SETTINGS
    given = next(other)
    assert (given.type, given.request_id) == (codec.FrameType.COMMAND_NAME, 1)
    frames = list(send)
    assert isinstance(send.failure, OSError)
    assert [frame for frame in frames if frame.type == codec.FrameType.COMMAND_NAME] == []
    # The server has seen the start of the command, so the request is not over before the server says so.
    assert client.unfinished == (1,)


def test_frames_that_close_a_stream_are_given_once_though_a_send_is_dropped() -> None:
    for taken in range(6):
        talk = Conversation(3, streams=2, encoding="zlib")
        first, second, last = talk.respond(["bytes", "bytes", "chunks"])
        talk.frames += islice(second, 1)
        talk.frames += first
        talk.end()
        # The last response closes the other stream, and is dropped on the way.
        talk.frames += islice(last, taken)
        talk.frames += second
        talk.frames += last
        assert talk.check(["bytes", "bytes", "chunks"]) == []


def test_a_request_id_is_free_with_the_last_frame_of_its_response() -> None:
    server = Server()
    command = codec.make_frame(1, 1, 1, codec.FrameType.COMMAND_NAME, 1, b"x")
    server.receive_frame(command)
    send = server.respond(1, b"whole")
    next(send)
    (event,) = server.receive_frame(command.replace(stream_flags=0))
    assert (event.request_id, event.name) == (1, "x")


def test_a_command_that_was_given_up_leaves_a_later_one_with_its_id_alone() -> None:
    class Interrupted:
        def read(self, size: int) -> bytes:
            raise KeyboardInterrupt

    client = Client()
    first = client.issue("lost", data=Interrupted())
    with pytest.raises(KeyboardInterrupt):
        next(first)
    # Nothing was sent of it, so its id is free once its failure was told.
    assert [event.request_id for event in client.receive_data(b"")] == [1]
    client._ids._next = 1
    later = client.issue("later")
    assert later.request_id == 1
    assert list(first) == []
    assert len(list(later)) == 1
    assert client.active == (1,)
    assert client.receive_data(b"") == []


@pytest.mark.requirement("stream.end")
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_flush_closes_a_stream_though_no_frame_of_its_last_command_is_sent(encoding: str | None) -> None:
    lost: Any = FailingFile()
    lost.left = 0
    client, server = Client(buffered=True, encoding=encoding), Server()
    client.issue("whole")
    client.issue("lost", data=lost)
    events = [event for frame in client.flush() for event in server.receive_frame(frame)]
    assert [event.name for event in events if isinstance(event, RunCommand)] == ["whole"]
    assert server.receive_end() == []


@pytest.mark.requirement("response.active-request")
def test_a_message_is_not_sent_for_a_later_request_with_the_same_id() -> None:
    server = Server()
    command = codec.make_frame(1, 1, 1, codec.FrameType.COMMAND_NAME, 1, b"x")
    server.receive_frame(command)
    old = message(server, "text", 1)
    frames = list(server.respond(1, b"done"))
    server.receive_frame(command.replace(stream_flags=0))
    frames += message(server, "progress", 1)
    with pytest.raises(LocalProtocolError, match="a message that is sent before the end of the response"):
        list(old)
    frames += server.respond(1, b"again")
    kinds = [frame.type for frame in frames]
    assert codec.FrameType.TEXT_OUTPUT not in kinds
    assert kinds.count(codec.FrameType.PROGRESS) == 1


def test_frames_are_not_taken_from_a_stream_on_which_a_pool_has_some() -> None:
    talk = Conversation(3, streams=2)
    pooled, here, later = talk.respond(["bytes"] * 3)
    with EncodingPool() as pool:
        pool.submit(pooled)
        with pytest.raises(
            RuntimeError, match="frames on stream 2 are built elsewhere, for example by a pool; consume those first"
        ):
            next(later)
        # Other streams are free.
        talk.frames += here
        talk.frames += [frame for made in pool.finished() for frame in made]
        talk.frames += later
    talk.check(["bytes"] * 3)
