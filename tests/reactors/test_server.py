"""The server's reactor for its user: commands, responses, rejections, deferred output, and the end of input."""

from __future__ import annotations

from asyncio import CancelledError
from functools import partial
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from support import ROOT

from hgproto.errors import LocalProtocolError
from hgproto.reactors.client import Client as TypedClient
from hgproto.reactors.events import (
    CommandCut,
    CommandData,
    Error,
    NoOp,
    RequestError,
    ResponseData,
    RunCommand,
    SendFrames,
    StartCommand,
    StreamLeftOpen,
    WantFrame,
)
from hgproto.reactors.limits import Limits
from hgproto.reactors.server import Server as TypedServer
from hgproto.revisions.framing_0002 import build, codec
from hgproto.streams.encodings import Profile, default_encodings
from hgproto.wire.human import format_frame, parse_frame
from hgproto.wire.writer import encode_frames, write_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# Tests look at events by the attributes that they expect, without narrowing each of them first.
Client: Any = TypedClient
Server: Any = TypedServer


def wire(*lines: str) -> bytes:
    return b"".join(codec.encode_frame(parse_frame(line)) for line in lines)


def lines(frames: Iterable[Any]) -> list[str]:
    """Frames as they are sent, in human form."""
    return [format_frame(frame) for frame in frames]


def command(request_id: int, name: str = "x", begin: str = "0") -> str:
    return f"{request_id} 1 {begin} command-name eos {name}"


def waiting(*request_ids: int, **options: Any) -> Any:
    """A server that has been asked something by each request."""
    server = Server(**options)
    for place, request_id in enumerate(request_ids):
        (event,) = server.receive_data(wire(command(request_id, begin="0" if place else "stream-begin")))
        assert event == RunCommand(request_id, "x", {}, None)
    return server


# Commands


@pytest.mark.requirement("request.single-id", "command-argument.eoa", "request.dispatch")
def test_a_command_with_arguments_and_data() -> None:
    server = Server()
    frames = build.command(1, 1, "push", {"b": b"2", "a": b"1"}, b"data", begin=True)
    events = server.receive_data(b"".join(map(codec.encode_frame, frames)))
    assert events == [WantFrame()] * 3 + [RunCommand(1, "push", {"a": b"1", "b": b"2"}, b"data")]
    assert isinstance(events[-1].data, bytes)
    assert server.receiving is False


def test_data_of_many_frames_is_joined() -> None:
    server = Server()
    frames = build.command(1, 1, "push", None, bytes(range(10)), begin=True, max_payload=4)
    *_, event = server.receive_data(b"".join(map(codec.encode_frame, frames)))
    assert event == RunCommand(1, "push", {}, bytes(range(10)))


def test_receiving_is_derived() -> None:
    server = Server()
    server.receive_data(wire("1 1 stream-begin command-name have-data x"))
    assert server.receiving
    server.receive_data(wire("1 1 0 command-data eos "))
    assert not server.receiving


@pytest.mark.requirement("request.dispatch")
def test_streaming_hands_data_on_as_it_arrives() -> None:
    server = Server(streaming=True)
    events = server.receive_data(
        wire(
            "1 1 stream-begin command-name have-args|have-data push",
            r"1 1 0 command-argument eoa \x01\0\x01\0kv",
            "1 1 0 command-data continuation one",
            "1 1 0 command-data eos two",
        )
    )
    assert events == [
        WantFrame(),
        StartCommand(1, "push", {"k": b"v"}, None),
        CommandData(1, b"one", last=False),
        CommandData(1, b"two", last=True),
    ]


@pytest.mark.requirement("response.active-request")
def test_a_response_before_the_end_of_the_data() -> None:
    server = Server(streaming=True)
    server.receive_data(wire("1 1 stream-begin command-name have-data push"))
    assert lines(server.respond(1, b"enough")) == ["1 2 stream-begin bytes-response eos enough"]
    # Nobody waits for the rest, and the id is free once it has come.
    assert server.receive_data(wire("1 1 0 command-data continuation more")) == [WantFrame()]
    with pytest.raises(LocalProtocolError, match=r"response\.active-request"):
        server.send_text(1, [("late\n", (), ())])
    assert server.receive_data(wire("1 1 0 command-data eos more", command(1))) == [
        WantFrame(),
        RunCommand(1, "x", {}, None),
    ]


# Responses


@pytest.mark.parametrize("data", [b"r", bytearray(b"r"), memoryview(b"r"), [b"r"], iter([memoryview(b"r")])])
def test_what_a_response_may_be(data: Any) -> None:
    frames = list(waiting(1).respond(1, data))
    assert b"".join(frame.payload for frame in frames) == b"r"
    assert frames[-1].flags == codec.BytesResponseFlag.EOS


@pytest.mark.parametrize("data", ["text", None, 5])
def test_what_a_response_may_not_be(data: Any) -> None:
    server = waiting(1)
    with pytest.raises(TypeError, match="a response is bytes, an iterable of bytes, or a binary file, not"):
        server.respond(1, data)
    assert lines(server.respond(1, b"")) == ["1 2 stream-begin bytes-response eos"]


@pytest.mark.requirement("response.once", "command-name.fresh-id")
def test_a_response_is_lazy_and_the_id_is_free_once_it_was_taken() -> None:
    asked: list[int] = []

    def chunks() -> Iterator[bytes]:
        for number in range(3):
            asked.append(number)
            yield b"%d" % number

    server = waiting(1)
    send = server.respond(1, chunks())
    assert isinstance(send, SendFrames)
    assert asked == []
    assert format_frame(next(send)) == "1 2 stream-begin bytes-response continuation 0"
    assert asked == [0]
    with pytest.raises(LocalProtocolError, match=r"response\.once"):
        server.respond(1, b"again")
    assert lines(send) == [
        "1 2 0 bytes-response continuation 1",
        "1 2 0 bytes-response continuation 2",
        "1 2 0 bytes-response eos",
    ]
    assert server.receive_data(wire(command(1))) == [RunCommand(1, "x", {}, None)]


@pytest.mark.requirement("error-response.ends-request", "error-response.exactly-one")
@pytest.mark.parametrize("encoding", [None, "zlib"])
@pytest.mark.parametrize("describe", [None, lambda failure: f"sorry: {failure}"])
def test_what_a_response_raises_becomes_an_error_response(encoding: str | None, describe: Any) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"part"
        raise OSError("disk gone \udcff")

    server = waiting(1, encoding=encoding, describe=describe)
    send = server.respond(1, chunks())
    assert isinstance(send, SendFrames)
    *before, last = send
    assert isinstance(send.failure, OSError)
    assert last.type == codec.FrameType.ERROR_RESPONSE
    assert len(before) == (1 if encoding is None else 2)
    if encoding is None:
        message = r"disk gone \udcff"
        shown = f"OSError: {message}" if describe is None else f"sorry: {message}"
        assert bytes(last.payload).decode() == shown
        assert before[0].payload == b"part"
    assert server.receive_data(wire(command(1))) == [RunCommand(1, "x", {}, None)]


@pytest.mark.parametrize("chunk", ["text", None, 5, [b"x"]], ids=["text", "None", "a number", "a list"])
def test_a_chunk_that_is_no_bytes_is_a_failure_of_the_response(chunk: Any) -> None:
    server = waiting(1)
    send = server.respond(1, [b"good", chunk])
    assert isinstance(send, SendFrames)
    assert [frame.type for frame in send] == [codec.FrameType.BYTES_RESPONSE, codec.FrameType.ERROR_RESPONSE]
    assert isinstance(send.failure, TypeError)
    assert str(send.failure).startswith("a chunk of a response must be bytes")


class Mute(Exception):  # noqa: N818 - it is about its text
    """An exception whose text cannot be built."""

    def __str__(self) -> str:
        raise ValueError("no words")


def raising(error: BaseException) -> Callable[[Exception], str]:
    def describe(failure: Exception) -> str:
        raise error

    return describe


UNTOLD = "the server could not complete the response"
FAILURES: dict[str, tuple[BaseException, Any, str]] = {
    "no text": (Mute(), None, "Mute"),
    "describe needs the text": (Mute(), str, UNTOLD),
    "describe raises": (OSError("secret"), raising(ValueError("no words")), UNTOLD),
    "describe exits": (OSError("secret"), raising(SystemExit(1)), UNTOLD),
    "describe is interrupted": (OSError("secret"), raising(KeyboardInterrupt()), UNTOLD),
    "describe gives None": (OSError("secret"), lambda _: None, UNTOLD),
    "describe gives bytes": (OSError("secret"), lambda _: b"bytes", UNTOLD),
    "interrupt": (KeyboardInterrupt(), None, UNTOLD),
    "exit": (SystemExit("secret"), lambda failure: f"{failure}", UNTOLD),
    "generator closed": (GeneratorExit(), None, UNTOLD),
    "cancelled": (CancelledError(), None, UNTOLD),
    "end of iteration": (StopIteration(), None, "RuntimeError: generator raised StopIteration"),
}
"""The exception of a response, the function that describes it, and the message for the client."""


@pytest.mark.requirement("error-response.ends-request", "error-response.exactly-one")
@pytest.mark.parametrize("parts", [0, 1, 50])
@pytest.mark.parametrize("encoding", [None, "zlib"])
@pytest.mark.parametrize("name", FAILURES)
def test_a_response_that_fails_has_one_end_whatever_fails(name: str, encoding: str | None, parts: int) -> None:
    failure, describe, told = FAILURES[name]

    def chunks() -> Iterator[bytes]:
        for _ in range(parts):
            yield b"part"
        raise failure

    limits = Limits(send_payload=64)
    client, server = Client(limits=limits), Server(encoding=encoding, describe=describe, limits=limits)
    for name_of_command in ("fails", "goes on"):
        for frame in client.issue(name_of_command):
            server.receive_frame(frame)
    send = server.respond(1, chunks())
    assert isinstance(send, SendFrames)
    events: list[Any] = []
    raised: list[BaseException] = []
    while True:
        try:
            frame = next(send)
        except StopIteration:
            break
        except BaseException as error:
            raised.append(error)
            # Nothing has ended: no other response may be sent, and the client still waits.
            with pytest.raises(LocalProtocolError, match=r"response\.once"):
                server.respond(1, b"")
            assert client.active == (1, 3)
        else:
            events += client.receive_frame(frame)
    *data, end = events
    assert end == RequestError(1, told, 4 * parts)
    assert b"".join(event.data for event in data) == b"part" * parts
    quiet = isinstance(failure, Exception) and name not in ("describe exits", "describe is interrupted")
    assert len(raised) == (0 if quiet else 1)
    assert send.failure is failure or isinstance(send.failure, RuntimeError)
    assert list(send) == []
    # The other response goes on, on the same stream and in the same context.
    assert [event for frame in server.respond(3, b"good" * 50) for event in client.receive_frame(frame)][-1].last
    assert server.snapshot().requests == {}


def test_a_source_that_asks_for_its_own_frames_disturbs_nobody() -> None:
    asked: list[str] = []

    def chunks() -> Iterator[bytes]:
        yield b"one"
        try:
            next(send)
        except ValueError as error:
            asked.append(str(error))
        yield b"two"

    answer = waiting(1).respond(1, chunks())
    assert isinstance(answer, SendFrames)
    send: SendFrames = answer
    assert b"".join(bytes(frame.payload) for frame in send) == b"onetwo"
    assert asked == ["the source of a response or command asks for frames of the same send while they are being built"]
    assert send.failure is None


def test_a_source_may_use_the_server() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"one"
        order.extend(lines(server.respond(3, b"other")))
        yield b"two"

    server, order = waiting(1, 3), list[str]()
    for frame in server.respond(1, chunks()):
        order.append(format_frame(frame))
    assert order == [
        "1 2 stream-begin bytes-response continuation one",
        "3 2 0 bytes-response eos other",
        "1 2 0 bytes-response continuation two",
        "1 2 0 bytes-response eos",
    ]


def test_a_source_may_use_its_buffer_again() -> None:
    def chunks() -> Iterator[bytearray]:
        buffer = bytearray()
        for number in range(3):
            buffer.clear()
            buffer += b"%d" % number * 3
            yield buffer

    for encoding in (None, "zlib", "identity"):
        client, server = Client(), Server(encoding=encoding)
        for frame in client.issue("x"):
            server.receive_frame(frame)
        frames = list(server.respond(1, chunks()))
        assert b"".join(event.data for frame in frames for event in client.receive_frame(frame)) == b"000111222"


@pytest.mark.parametrize("defer", [False, True])
@pytest.mark.parametrize("view", [bytearray, memoryview, lambda data: memoryview(data).toreadonly()])
def test_a_response_is_what_the_bytes_were_when_it_was_given(view: Any, defer: bool) -> None:
    server = waiting(1, defer=defer)
    data = bytearray(b"then")
    send = server.respond(1, data if view is bytearray else view(data))
    data[:] = b"now!"
    sends = server.receive_end()[:1] if defer else [send]
    assert [bytes(frame.payload) for one in sends for frame in one] == [b"then"]


@pytest.mark.parametrize("defer", [False, True])
def test_an_interrupted_response_keeps_no_other_from_being_sent_before_the_connection_closes(defer: bool) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"part"
        raise KeyboardInterrupt

    server = waiting(1, 3, 5, defer=defer)
    server.respond(1, chunks())
    server.respond(3, b"three")
    (error,) = server.receive_data(wire("7 1 0 command-data eos x"))
    assert isinstance(error, Error)
    taken: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        taken.extend(map(format_frame, error.frames))
    taken += lines(error.frames)
    assert [line.split(" ", 4)[:4] for line in taken] == [
        ["1", "2", "stream-begin", "bytes-response"],
        ["1", "2", "0", "error-response"],
        ["3", "2", "0", "bytes-response"],
        ["7", "2", "stream-end", "error-response"],
    ]
    assert lines(error.frames) == []


@pytest.mark.parametrize("encoding", [None, "zlib"])
@pytest.mark.parametrize("write", ["pieces", "file"])
def test_an_interrupt_loses_no_frame_on_its_way_to_the_wire(write: str, encoding: str | None) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"part" * 100
        raise KeyboardInterrupt

    limits = Limits(send_payload=16)
    client, server = Client(limits=limits), Server(encoding=encoding, limits=limits)
    for name in ("fails", "goes on"):
        for frame in client.issue(name):
            server.receive_frame(frame)
    sent = BytesIO()
    for send in (server.respond(1, chunks()), server.respond(3, b"good")):
        for _ in range(2):
            try:
                if write == "file":
                    write_frames(sent, send)
                else:
                    for piece in encode_frames(send):
                        sent.write(piece)
            except KeyboardInterrupt:
                continue
    *data, end, last = client.receive_data(sent.getvalue())
    assert b"".join(event.data for event in data) == b"part" * 100
    assert (end.request_id, end.received) == (1, 400)
    assert (last.request_id, last.data, last.last) == (3, b"good", True)


class Unusable:
    """An encoder that fails, at first or always."""

    def __init__(self, *, heals: bool) -> None:
        self.left = 1 if heals else 1000

    def encode(self, data: bytes | memoryview) -> bytes:
        if self.left:
            self.left -= 1
            raise ZeroDivisionError
        return bytes(data)

    def flush(self) -> bytes:
        if self.left:
            raise ZeroDivisionError
        return b""

    finish = flush


@pytest.mark.parametrize("heals", [False, True])
def test_a_response_whose_encoder_fails_never_counts_as_sent_without_its_end(heals: bool) -> None:
    profile = Profile("unusable", partial(Unusable, heals=heals), default_encodings()["identity"].decoder)
    server = waiting(1, encoding="unusable", encodings=default_encodings().plus(profile))
    send = server.respond(1, b"x")
    assert isinstance(send, SendFrames)
    with pytest.raises(ZeroDivisionError):
        next(send)
    assert isinstance(send.failure, ZeroDivisionError)
    assert next(send).type == codec.FrameType.STREAM_SETTINGS
    assert lines(send) == ["1 2 0 error-response application ZeroDivisionError: "[:-1] + r"\x20"]
    assert server.snapshot().requests == {}


class Failing:
    """An encoder, like identity, that fails in one of its methods once it has encoded some pieces."""

    def __init__(self, where: str, after: int = 0) -> None:
        self.where = where
        self.left = after
        self.fail("made")

    def fail(self, where: str) -> None:
        if where == self.where:
            if not self.left:
                raise ZeroDivisionError(where)
            self.left -= 1

    def encode(self, data: bytes | memoryview) -> bytes:
        self.fail("encode")
        return bytes(data)

    def flush(self) -> bytes:
        self.fail("flush")
        return b""

    def finish(self) -> bytes:
        self.fail("finish")
        return b""


def failing(where: str, after: int = 0) -> Any:
    """Encodings with a profile whose encoder fails."""
    identity = default_encodings()["identity"]
    return default_encodings().plus(Profile("own", partial(Failing, where, after), identity.decoder))


def taken(send: Any) -> tuple[list[Any], list[str]]:
    """All frames of a send, and the exceptions between them."""
    frames: list[Any] = []
    raised: list[str] = []
    while len(raised) < 4:
        try:
            frames.extend(send)
        except Exception as error:
            raised.append(str(error))
        else:
            break
    return frames, raised


@pytest.mark.requirement("encoding.complete-at-end", "response.complete")
@pytest.mark.parametrize("where", ["made", "encode", "flush", "finish"])
@pytest.mark.parametrize("how", ["bytes", "chunks", "error"])
@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("ended", [False, True])
def test_whatever_an_encoder_does_each_request_has_an_end(where: str, how: str, streams: int, ended: bool) -> None:
    encodings = failing(where)
    server = waiting(1, 3, 5, encoding="own", encodings=encodings, streams=streams)
    client = Client(encodings=encodings)
    for _ in range(3):
        list(client.issue("x"))
    if ended:
        server.receive_end()
    events: list[Any] = []
    failed: list[str] = []
    for request_id in (1, 3, 5):
        send = (
            server.respond_error(request_id, "refused")
            if how == "error"
            else server.respond(request_id, b"data" if how == "bytes" else iter([b"da", b"ta"]))
        )
        frames, raised = taken(send)
        failed += raised
        for frame in frames:
            events += client.receive_frame(frame)
    assert server.snapshot().requests == {}
    assert failed == ([] if where == "finish" and not ended else [where] * len(failed))
    assert len(failed) <= streams
    assert client.works
    assert client.active == ()
    ends = [event for event in events if isinstance(event, RequestError) or event.last]
    assert [event.request_id for event in ends] == [1, 3, 5]
    errors = [event.request_id for event in ends if isinstance(event, RequestError)]
    assert len(errors) == (3 if how == "error" else len(failed))
    for request_id in {1, 3, 5} - set(errors):
        assert b"".join(event.data for event in events if event.request_id == request_id) == b"data"


@pytest.mark.requirement("request-id.parity")
@pytest.mark.parametrize("where", ["made", "encode", "flush", "finish"])
def test_the_client_is_told_of_its_violation_whatever_the_encoder_does(where: str) -> None:
    encodings = failing(where, 0 if where != "encode" else 1)
    server, client = Server(encodings=encodings, encoding="own"), Client(encodings=encodings)
    if where == "encode":
        server.receive_frame(parse_frame("1 1 stream-begin command-name eos x"))
        list(client.issue("x"))
        for frame in server.respond(1, b"x"):
            client.receive_frame(frame)
        wire = bytes.fromhex("0000000200010011")
    else:
        wire = bytes.fromhex("0000000200010111")
    error = server.receive_data(wire)[-1]
    frames = list(error.frames)
    assert frames[-1].type == codec.FrameType.ERROR_RESPONSE
    events = [event for frame in frames for event in client.receive_frame(frame)]
    assert [type(event).__name__ for event in events] == ["PeerError"]


def test_a_response_whose_data_was_lost_in_another_s_encoder_failure_is_never_completed() -> None:
    encodings = failing("flush")
    server = waiting(1, 3, encoding="own", encodings=encodings)
    client = Client(encodings=encodings)
    for _ in range(2):
        list(client.issue("x"))

    def slow() -> Any:
        yield b"lost"
        # The context holds the data above, which it has to give before the other response.
        others.append(taken(server.respond(3, b"other")))
        yield b"rest"

    others: list[Any] = []
    frames, raised = taken(server.respond(1, slow()))
    ((other, other_raised),) = others
    assert other_raised == ["flush"]
    assert raised == ["data was lost when the encoder of the stream failed"]
    opening, *rest = frames
    events = [event for frame in [opening, *other, *rest] for event in client.receive_frame(frame)]
    assert {event.request_id for event in events if isinstance(event, RequestError)} == {1, 3}
    assert server.snapshot().requests == {}


@pytest.mark.requirement("response.active-request")
def test_messages_come_before_the_end_of_the_response() -> None:
    server = waiting(1)
    assert lines(server.send_text(1, [("hello %s\n", ("label",), ("you",))])) == [
        r"1 2 stream-begin text-output 0 \t\x00\x01\x01\x05\x03\x00hello %s\nlabelyou"
    ]
    (progress,) = server.send_progress(1, "topic", 1, 2)
    assert codec.decode_progress(bytes(progress.payload)).pos == 1
    late = server.send_text(1, [("late\n", (), ())])
    list(server.respond(1, b""))
    with pytest.raises(
        LocalProtocolError, match="sent before the end of the response, found one of request 1 after it"
    ):
        list(late)
    with pytest.raises(LocalProtocolError, match="found request 1, which is free"):
        server.send_text(1, [("too late\n", (), ())])


@pytest.mark.requirement("response.active-request")
def test_a_message_does_not_come_after_frames_that_the_context_has_made() -> None:
    server = waiting(1, encoding="zlib", limits=Limits(send_payload=16))
    send = server.respond(1, bytes(range(100)))
    assert isinstance(send, SendFrames)
    next(send)
    next(send)
    with pytest.raises(LocalProtocolError, match=r"response\.active-request"):
        server.send_text(1, [("late\n", (), ())])


@pytest.mark.requirement("response.active-request")
@pytest.mark.parametrize("request_id", [1, 2, 3])
def test_a_response_to_nobody(request_id: int) -> None:
    server = Server()
    for attempt in (server.respond, server.respond_error):
        with pytest.raises(LocalProtocolError) as error:
            attempt(request_id, "x" if attempt == server.respond_error else b"x")
        assert error.value.requirement == "response.active-request"
        assert error.value.found == f"request {request_id}, which is free"


@pytest.mark.requirement("error-response.single-frame")
def test_an_error_response_is_cut_at_a_character() -> None:
    server = waiting(1, limits=Limits(send_payload=4))
    (frame,) = server.respond_error(1, "abcé")
    assert frame.payload == b"abc"


def test_streams_are_chosen_by_what_they_have_to_send() -> None:
    server = waiting(1, 3, 5, streams=2)
    assert server.output_streams == (2, 4)
    sends = [server.respond(1, b"a"), server.respond(3, b"b", stream_id=2), server.respond(5, b"c")]
    assert [send.stream_id for send in sends if isinstance(send, SendFrames)] == [2, 2, 4]
    with pytest.raises(ValueError, match="there is no output stream 6; there are 2, 4"):
        server.respond(1, b"", stream_id=6)


def test_all_that_is_sent_for_a_request_goes_on_one_stream() -> None:
    server = waiting(1, 3, streams=2)
    text = server.send_text(1, [("x\n", (), ())])
    other = server.respond(3, b"")
    response = server.respond(1, b"")
    assert [send.stream_id for send in (text, other, response) if isinstance(send, SendFrames)] == [2, 4, 2]


@pytest.mark.requirement("stream.begin-required", "stream.end")
def test_a_stream_is_ended_and_opened_again() -> None:
    server = waiting(1, 3)
    assert lines(server.respond(1, b"", end=True)) == ["1 2 stream-begin|stream-end bytes-response eos"]
    assert lines(server.respond(3, b"")) == ["3 2 stream-begin bytes-response eos"]


@pytest.mark.requirement("stream.encoded-needs-settings")
@pytest.mark.parametrize("data", [b"compressed already", [b"compressed ", b"already"]], ids=["bytes", "chunks"])
@pytest.mark.parametrize("plain", [True, False])
def test_what_is_compressed_already_passes_untouched(data: Any, plain: bool) -> None:
    server = waiting(1, encoding="zlib")
    settings, *frames = server.respond(1, data, plain=plain)
    assert settings.type == codec.FrameType.STREAM_SETTINGS
    encoded = [bool(frame.stream_flags & codec.StreamFlag.ENCODED) for frame in frames if frame.payload]
    assert encoded
    assert set(encoded) == {not plain}
    assert (b"".join(frame.payload for frame in frames) == b"compressed already") is plain


# Limits: one below, at, and one over


@pytest.mark.requirement("request.limits", "command-name.fresh-id")
@pytest.mark.parametrize("over", [-1, 0, 1])
def test_requests_at_a_time(over: int) -> None:
    server = Server(limits=Limits(active_requests=3))
    *before, last = server.receive_data(
        wire(*(command(2 * n + 1, begin="0" if n else "stream-begin") for n in range(3 + over)))
    )
    assert all(isinstance(event, RunCommand) for event in before)
    if over < 1:
        assert isinstance(last, RunCommand)
        return
    assert last.requirement == "request.limits"
    # Until the refusal was taken, the id is in use: nobody is refused without end.
    again = parse_frame(command(7))
    assert lines(last) == ["7 2 stream-begin error-response application more than 3 requests at a time"]
    (refused,) = server.receive_frame(again)
    assert isinstance(refused, SendFrames)
    (error,) = server.receive_frame(again)
    assert error.error.requirement == "command-name.fresh-id"


NAME = "1 1 stream-begin command-name have-args x"
BOTH = "1 1 stream-begin command-name have-args|have-data x"
WHOLE = r"1 1 0 command-argument eoa \x01\0\x03\0kabc"
STARTED = r"1 1 0 command-argument continuation \x01\0\x03\0ka"
"""An argument of four bytes, whole and begun."""


@pytest.mark.requirement("request.argument-limits", "request.limits")
@pytest.mark.parametrize(
    ("limit", "least", "frames", "message"),
    [
        ("request_bytes", 4, [NAME, WHOLE], "more than 3 bytes in a request"),
        ("request_bytes", 4, [NAME, STARTED, "1 1 0 command-argument eoa bc"], "more than 3 bytes in a request"),
        ("request_bytes", 8, [BOTH, WHOLE, "1 1 0 command-data eos data"], "more than 7 bytes in a request"),
        (
            "request_bytes",
            8,
            [BOTH, WHOLE, "1 1 0 command-data continuation da", "1 1 0 command-data eos ta"],
            "more than 7 bytes in a request",
        ),
        ("buffered_bytes", 4, [NAME, WHOLE], "more than 3 bytes in all partly sent requests"),
        (
            "buffered_bytes",
            4,
            [NAME, STARTED, "1 1 0 command-argument eoa bc"],
            "more than 3 bytes in all partly sent requests",
        ),
        (
            "buffered_bytes",
            8,
            [
                BOTH,
                WHOLE,
                "3 1 0 command-name have-data y",
                "3 1 0 command-data continuation da",
                "1 1 0 command-data eos ta",
                "3 1 0 command-data eos",
            ],
            "more than 7 bytes in all partly sent requests",
        ),
        ("argument_value", 3, [NAME, WHOLE], "an argument of 3 bytes, more than 2 bytes"),
        (
            "argument_value",
            3,
            [NAME, STARTED, "1 1 0 command-argument eoa bc"],
            "an argument of 3 bytes, more than 2 bytes",
        ),
        ("arguments", 2, [NAME, r"1 1 0 command-argument 0 \x01\0\0\0a", WHOLE], "more than 1 argument"),
        (
            "arguments",
            2,
            [NAME, r"1 1 0 command-argument 0 \x01\0\0\0a", STARTED, "1 1 0 command-argument eoa bc"],
            "more than 1 argument",
        ),
        (
            "receiving_requests",
            2,
            [NAME, "3 1 0 command-name have-data y", WHOLE, "3 1 0 command-data eos d"],
            "more than 1 partly sent request at a time",
        ),
        ("active_requests", 2, [NAME, command(3), WHOLE], "more than 1 request at a time"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "frame by frame"])
def test_a_limit_holds_from_one_byte_over_it_on(
    limit: str, least: int, frames: list[str], message: str, at_once: bool
) -> None:
    for most, refusals in ((least, 0), (least - 1, 1)):
        server = Server(limits=Limits(**{limit: most}))
        data = [wire(*frames)] if at_once else [wire(line) for line in frames]
        events = [event for part in data for event in server.receive_data(part)]
        refused = [event for event in events if isinstance(event, SendFrames)]
        assert len(refused) == refusals
        assert all(event.requirement in ("request.argument-limits", "request.limits") for event in refused)
        assert [bytes(frame.payload).decode() for event in refused for frame in event] == [message] * refusals
        commands = {line.split()[0] for line in frames}
        assert sum(isinstance(event, RunCommand) for event in events) == len(commands) - refusals
        # What is over or answered holds nothing any more.
        assert server.receiving is False
        assert server.snapshot().counters["buffered_bytes"] == 0


VALUE = r"1 1 0 command-argument continuation \x01\0\x05\0kab"
"""The first two bytes of five."""


@pytest.mark.requirement("command-argument.value-short", "command-argument.value-long", "command-argument.continuation")
@pytest.mark.parametrize(
    ("rest", "rule", "offset", "expected", "found"),
    [
        (["eoa cde"], None, None, "", ""),
        (["continuation cde", "eoa"], None, None, "", ""),
        (["continuation c", "continuation", "eoa de"], None, None, "", ""),
        (["continuation c", "0 de", r"eoa \x01\0\0\0l"], None, None, "", ""),
        (["eoa cd"], "value-short", 0, "3 bytes more of the value", "2 bytes"),
        (["0 cd"], "value-short", 0, "3 bytes more of the value", "2 bytes"),
        (["eoa"], "value-short", 0, "3 bytes more of the value", "0 bytes"),
        (["continuation c", "eoa d"], "value-short", 0, "2 bytes more of the value", "1 byte"),
        (["eoa cdef"], "value-long", 3, "3 bytes more of the value", "4 bytes"),
        (["continuation cdef"], "value-long", 3, "at most 3 bytes more of the value", "4 bytes"),
        (["continuation c", "eoa def"], "value-long", 2, "2 bytes more of the value", "3 bytes"),
        (["continuation cde", "eoa f"], "value-long", 0, "0 bytes more of the value", "1 byte"),
    ],
)
def test_a_value_that_spans_frames_has_the_bytes_that_were_announced(
    rest: list[str], rule: str | None, offset: int | None, expected: str, found: str
) -> None:
    sent = [NAME, VALUE, *(f"1 1 0 command-argument {line}" for line in rest)]
    *_, last = Server().receive_data(wire(*sent))
    if rule is None:
        assert last.args["k"] == b"abcde"
        return
    assert isinstance(last, Error)
    assert last.error.requirement == f"command-argument.{rule}"
    start = len(wire(*sent[:-1])) + codec.HEADER_BYTES
    assert (last.error.offset, last.error.field) == (start + (offset or 0), "value")
    assert (last.error.expected, last.error.found) == (expected, found)


@pytest.mark.requirement("command-argument.duplicate-name")
def test_a_name_that_comes_again_is_told_by_its_place() -> None:
    before = wire(NAME, r"1 1 0 command-argument 0 \x01\0\x03\0kabc")
    *_, last = Server().receive_data(before + wire(WHOLE))
    assert last.error.requirement == "command-argument.duplicate-name"
    assert (last.error.offset, last.error.field) == (len(before) + codec.HEADER_BYTES + 4, "name")
    assert (last.error.expected, last.error.found) == ("each argument name once", "'k' again")


REFUSALS = (ROOT / "tests" / "data" / "refusals.txt").read_text(encoding="utf-8").split("\n\n")[1:]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.rpartition("(")[2].rstrip(")\n"))
def test_a_refusal_says_where_and_what_was_expected_and_found(refusal: str) -> None:
    *lines, error = refusal.strip().splitlines()
    limits = Limits.of(line for line in lines if "=" in line)
    *before, last = Server(limits=limits).receive_data(wire(*(line for line in lines if "=" not in line)))
    assert not any(isinstance(event, Error) for event in before)
    assert isinstance(last, Error)
    assert f"! {last.error}" == error
    *_, frame = last.frames
    assert bytes(frame.payload).decode() == str(last.error)


@pytest.mark.requirement("reactor.errored", "response.active-request", "response.once")
@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (
            [],
            "request_id: expected the id of a request that waits for its response, found request 1, which is free "
            "(response.active-request)",
        ),
        (
            [NAME],
            "request_id: expected the id of a request that waits for its response, found request 1, which is receiving "
            "arguments (response.active-request)",
        ),
        (
            [command(1, begin="stream-begin")],
            "request_id: expected one response to a request, found request 1, which is responding (response.once)",
        ),
        (
            [command(1)],
            "expected a connection without a violated requirement, found the connection has failed (reactor.errored)",
        ),
    ],
)
def test_what_cannot_be_answered_is_the_callers_mistake(sent: list[str], error: str) -> None:
    server = Server()
    events = server.receive_data(wire(*sent))
    if any(isinstance(event, RunCommand) for event in events):
        server.respond(1, b"")
    with pytest.raises(LocalProtocolError) as raised:
        server.respond(1, b"")
    assert str(raised.value) == error
    after = server.receive_data(wire(command(3)))
    if error.startswith("expected"):
        (refused,) = after
        assert str(refused.error) == ("expected no input after a protocol violation, found more (reactor.errored)")
        assert (refused.frame, list(refused.frames)) == (None, [])


@pytest.mark.parametrize("size", [0xFFFF, 0x10000, 0x1FFFF, 0x20001, 0x30002])
def test_payloads_beyond_the_usual_limit_are_taken_where_it_was_raised(size: int) -> None:
    server = Server(limits=Limits(max_payload=size))
    sent = codec.encode_frame(parse_frame("1 1 0 command-data eos").replace(payload=bytes(size)), size)
    *_, event = server.receive_data(wire("1 1 stream-begin command-name have-data x") + sent)
    assert event == RunCommand(1, "x", {}, bytes(size))
    server = Server(limits=Limits(max_payload=size - 1))
    *_, event = server.receive_data(wire("1 1 stream-begin command-name have-data x") + sent)
    assert event.error.requirement == "frame.length-limit"
    assert f"expected at most {size - 1} bytes, found {size} bytes" in str(event.error)


@pytest.mark.requirement("request.argument-limits")
def test_a_refused_request_is_swallowed_and_the_connection_lives_on() -> None:
    server = Server(limits=Limits(arguments=1))
    *_, refusal = server.receive_data(
        wire(
            "1 1 stream-begin command-name have-args|have-data x",
            r"1 1 0 command-argument 0 \x01\0\0\0a",
            r"1 1 0 command-argument 0 \x01\0\0\0b",
        )
    )
    assert isinstance(refusal, SendFrames)
    rest = [r"1 1 0 command-argument eoa \x01\0\0\0c", "1 1 0 command-data continuation d", "1 1 0 command-data eos d"]
    assert server.receive_data(wire(*rest)) == [WantFrame()] * 3
    assert lines(refusal) == ["1 2 stream-begin error-response application more than 1 argument"]
    assert server.receive_data(wire(command(1))) == [RunCommand(1, "x", {}, None)]


@pytest.mark.requirement("request.argument-limits")
@pytest.mark.parametrize("taken_first", [True, False])
def test_a_refused_id_is_free_when_its_refusal_was_taken_and_its_frames_have_come(taken_first: bool) -> None:
    server = Server(limits=Limits(request_bytes=3))
    *_, refusal = server.receive_data(
        wire("1 1 stream-begin command-name have-data x", "1 1 0 command-data continuation 1234")
    )
    last = wire("1 1 0 command-data eos ")
    if taken_first:
        list(refusal)
        assert server.receive_data(last) == [WantFrame()]
    else:
        assert server.receive_data(last) == [WantFrame()]
        list(refusal)
    assert server.receive_data(wire(command(1))) == [RunCommand(1, "x", {}, None)]


@pytest.mark.requirement("request.limits", "command-name.fresh-id")
def test_deferred_refusals_are_bounded_by_the_ids_that_there_are() -> None:
    server = Server(defer=True, limits=Limits(active_requests=1))
    events = server.receive_data(wire(command(1, begin="stream-begin"), command(3), command(3)))
    assert [type(event).__name__ for event in events] == ["RunCommand", "NoOp", "Error"]
    assert events[-1].error.requirement == "command-name.fresh-id"


# Errors


@pytest.mark.requirement("request.command-expected", "reactor.errored")
def test_an_error_sends_what_was_ready_and_then_itself() -> None:
    server = waiting(1, 3)
    server.respond(1, b"ready")
    (error,) = server.receive_data(wire("5 1 0 command-data eos x"))
    assert isinstance(error, Error)
    assert error.error.requirement == "request.command-expected"
    assert error.error.offset == 9 + 9 + 7
    assert error.frame == parse_frame("5 1 0 command-data eos x")
    sent = lines(error.frames)
    assert sent[0] == "1 2 stream-begin bytes-response eos ready"
    assert sent[1].startswith(
        "5 2 stream-end error-response protocol type: expected command-name, found command-data eos"
    )
    assert not server.works
    assert [event.error.requirement for event in server.receive_data(wire(command(7)))] == ["reactor.errored"]
    with pytest.raises(LocalProtocolError, match=r"reactor\.errored"):
        server.respond(3, b"")
    assert server.receive_end() == []


@pytest.mark.requirement("stream.end", "request.command-expected")
def test_an_error_closes_the_streams_that_have_something_to_send() -> None:
    server = waiting(1, 3, streams=2)
    server.respond(1, b"a")
    server.respond(3, b"b")
    (error,) = server.receive_data(wire("5 1 0 command-data eos x"))
    assert [line.split(" ", 3)[:3] for line in lines(error.frames)] == [
        ["1", "2", "stream-begin"],
        ["3", "4", "stream-begin|stream-end"],
        ["5", "2", "stream-end"],
    ]


class Paused:
    """A file that does not block: it has some bytes, nothing for a while, and then more."""

    def __init__(self, *parts: bytes | None) -> None:
        self.parts = [*parts]

    def read(self, size: int, /) -> bytes | None:
        return self.parts.pop(0) if self.parts else b""


@pytest.mark.requirement("request.command-expected", "reactor.errored")
@pytest.mark.parametrize("encoding", [None, "zlib"])
@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("defer", [False, True])
def test_an_error_waits_for_no_file_that_has_nothing_yet(
    encoding: str | None, streams: int, begun: bool, defer: bool
) -> None:
    server, client = waiting(1, 3, 5, encoding=encoding, streams=streams, defer=defer), Client()
    for _ in range(3):
        list(client.issue("x"))
    paused = server.respond(1, Paused(b"some", None, None, b"more"))
    server.respond(3, b"ready")
    server.respond(5, Paused(b"whole"))
    frames: list[Any] = []
    if begun and not defer:
        with pytest.raises(BlockingIOError):
            frames.extend(paused)
    (error,) = server.receive_data(wire("9 1 0 command-data eos x"))
    assert isinstance(error, Error)
    frames += error.frames
    if not defer:
        assert list(paused) == []
        assert isinstance(paused.failure, LocalProtocolError)
        assert paused.failure.requirement == "reactor.errored"
    events = [event for frame in frames for event in client.receive_frame(frame)]
    data = {
        number: b"".join(e.data for e in events if isinstance(e, ResponseData) and e.request_id == number)
        for number in (3, 5)
    }
    assert data == {3: b"ready", 5: b"whole"}
    assert [type(event).__name__ for event in events if not isinstance(event, ResponseData)] == [
        "RequestError",
        "PeerError",
    ]
    assert server.snapshot().unsent == ()


@pytest.mark.requirement("frame.length-limit")
def test_the_error_for_no_whole_frame_has_request_zero() -> None:
    (error,) = Server().receive_data(b"\xff\xff\xff\x01\x00\x01\x01\x11")
    assert error.frame is None
    assert error.error.requirement == "frame.length-limit"
    (frame,) = error.frames
    assert frame.request_id == 0


# The end of input


@pytest.mark.requirement("stream.end", "response.active-request")
def test_deferred_output_waits_for_the_end_of_input_and_closes_its_streams() -> None:
    server = waiting(1, 3, 5, defer=True)
    assert server.respond(3, b"three") == NoOp(3)
    assert list(server.respond_error(5, "no")) == []
    assert server.send_text(1, [("x\n", (), ())]) == NoOp(1)
    assert server.respond(1, b"one") == NoOp(1)
    with pytest.raises(LocalProtocolError, match=r"response\.active-request"):
        server.send_text(1, [("late\n", (), ())])
    *sends, note = server.receive_end()
    assert note == StreamLeftOpen(1)
    assert [line.split(" ", 4)[:4] for send in sends for line in lines(send)] == [
        ["3", "2", "stream-begin", "bytes-response"],
        ["5", "2", "0", "error-response"],
        ["1", "2", "0", "text-output"],
        ["1", "2", "stream-end", "bytes-response"],
    ]


@pytest.mark.requirement("stream.end")
def test_the_last_response_closes_the_streams_that_others_have_left_open() -> None:
    server = waiting(1, 3, 5, defer=True, streams=3)
    server.receive_end()
    sent = lines(server.respond(1, b"a", stream_id=4)) + lines(server.respond(3, b"b", stream_id=6))
    assert all("stream-end" not in line for line in sent)
    assert lines(server.respond(5, b"c", stream_id=2)) == [
        "5 4 stream-end text-output 0",
        "5 6 stream-end text-output 0",
        "5 2 stream-begin|stream-end bytes-response eos c",
    ]


@pytest.mark.requirement("stream.end")
def test_sends_that_are_taken_in_turns_end_their_stream_too() -> None:
    server = waiting(1, 3)
    server.receive_end()
    first, second = server.respond(1, b"a"), server.respond(3, b"b")
    assert isinstance(first, SendFrames)
    assert isinstance(second, SendFrames)
    assert lines([next(first), next(second)]) == [
        "1 2 stream-begin bytes-response eos a",
        "3 2 stream-end bytes-response eos b",
    ]


@pytest.mark.requirement("request.complete")
def test_each_request_that_is_cut_off_is_told() -> None:
    server = Server()
    server.receive_data(wire("1 1 stream-begin command-name have-args x", "3 1 0 command-name have-data y", command(5)))
    list(server.respond(5, b""))
    *sends, note = server.receive_end()
    assert note == StreamLeftOpen(1)
    assert [send.requirement for send in sends] == ["request.complete"] * 2
    shown = [line for send in sends for line in lines(send)]
    message = "expected the whole request, found the end of input (request.complete)"
    assert shown == [f"1 2 0 error-response protocol {message}", f"3 2 stream-end error-response protocol {message}"]


@pytest.mark.requirement("request.complete")
@pytest.mark.parametrize("defer", [False, True])
@pytest.mark.parametrize("when", ["before", "begun", "after"])
def test_a_request_that_is_cut_off_takes_no_response_from_another(defer: bool, when: str) -> None:
    client, server = TypedClient(), Server(defer=defer)
    cut = [next(iter(client.issue("cut", data=b"data"))) for _ in range(2)]
    frames = [*client.issue("whole"), *cut]
    for frame in sorted(frames, key=lambda frame: not frame.stream_flags):
        server.receive_frame(frame)
    sent: list[Any] = []
    send = server.respond(5, [b"whole", b"response"]) if when != "after" else None
    if when == "begun":
        sent += islice(send or (), 1)
    ends = server.receive_end()
    sent += [frame for event in ends if isinstance(event, SendFrames) for frame in event]
    kinds = [event.kind for event in ends if isinstance(event, SendFrames) and event.kind]
    # A protocol error closes the connection, which has to wait for the responses.
    assert kinds == ["application"] * 2
    sent += send or server.respond(5, [b"whole", b"response"])
    events = [event for frame in sent for event in client.receive_frame(frame)]
    data = [event.data for event in events if isinstance(event, ResponseData) and event.request_id == 5]
    assert b"".join(data) == b"wholeresponse"
    assert client.active == ()


@pytest.mark.requirement("request.complete")
@pytest.mark.parametrize("begun", [True, False])
def test_a_command_whose_data_is_cut_off(begun: bool) -> None:
    server = Server(streaming=True)
    server.receive_data(wire("1 1 stream-begin command-name have-data x", "1 1 0 command-data continuation y"))
    send = server.respond(1, b"r") if begun else None
    events = server.receive_end()
    assert CommandCut(1, answered=begun) in events
    if send is None:
        assert isinstance(events[0], SendFrames)
        assert [frame.type for frame in events[0]] == [codec.FrameType.ERROR_RESPONSE]
    else:
        assert lines(send) == ["1 2 stream-begin|stream-end bytes-response eos r"]


def test_a_message_that_was_held_back_is_sent_though_its_request_was_cut_off() -> None:
    server = Server(defer=True, streaming=True)
    server.receive_data(wire("1 1 stream-begin command-name have-data x"))
    server.send_text(1, [("hello\n", (), ())])
    text, error, cut, _ = server.receive_end()
    assert [frame.type for send in (text, error) for frame in send] == [
        codec.FrameType.TEXT_OUTPUT,
        codec.FrameType.ERROR_RESPONSE,
    ]
    assert cut == CommandCut(1, answered=False)


@pytest.mark.requirement("frame.whole")
def test_the_end_in_the_middle_of_a_frame() -> None:
    server = Server()
    server.receive_data(wire(command(1, begin="stream-begin"))[:5])
    (error,) = server.receive_end()
    assert (error.error.requirement, error.error.offset) == ("frame.whole", 5)


def test_nothing_is_received_after_the_end() -> None:
    server = waiting(1)
    assert server.receive_end() == [StreamLeftOpen(1)]
    assert server.receive_end() == []
    with pytest.raises(ValueError, match="the input has ended"):
        server.receive_data(b"")
    with pytest.raises(ValueError, match="the input has ended"):
        server.receive_frame(parse_frame(command(3)))


@pytest.mark.parametrize("streams", [0, -1, 128])
def test_there_are_only_so_many_streams(streams: int) -> None:
    with pytest.raises(ValueError, match=f"streams must be 1 to 127, not {streams}"):
        Server(streams=streams)
    assert Server(streams=127).output_streams[-1] == 254


def test_somebody_else_answers() -> None:
    server = waiting(1)
    server.answered(1)
    server.answered(99)
    assert server.receive_data(wire(command(1))) == [RunCommand(1, "x", {}, None)]


@pytest.mark.requirement("stream.end")
def test_streams_are_closed_once_nothing_else_is_to_be_made() -> None:
    server = waiting(1, 3, 5, streams=2)
    server.receive_end()
    assert lines(server.respond(1, b"a", stream_id=2)) == ["1 2 stream-begin bytes-response eos a"]
    first, second = server.respond(3, b"b", stream_id=4, end=True), server.respond(5, b"c", stream_id=4, end=True)
    assert isinstance(first, SendFrames)
    assert isinstance(second, SendFrames)
    # Each frame is on the wire before anything else is made on its stream, however the two are taken in turns.
    assert lines([next(first), next(second), *second, *first]) == [
        "3 4 stream-begin|stream-end bytes-response eos b",
        "5 2 stream-end text-output 0",
        "5 4 stream-begin|stream-end bytes-response eos c",
    ]


def test_a_stream_whose_frames_were_made_and_not_taken_is_closed_after_them() -> None:
    server = waiting(1, 3, streams=2, encoding="identity", limits=Limits(send_payload=1))
    server.receive_end()
    first = server.respond(1, b"ab", stream_id=2)
    assert isinstance(first, SendFrames)
    before = [next(first), next(first)]
    assert lines([*before, *server.respond(3, b"", stream_id=4), *first])[1:] == [
        "1 2 encoded bytes-response continuation a",
        "1 2 encoded bytes-response eos b",
        "3 2 stream-end|encoded text-output 0",
        r"3 4 stream-begin stream-settings 0 \x08identity",
        "3 4 stream-end|encoded bytes-response eos",
    ]


# Frames that come as frames, and what messages are made of.


@pytest.mark.requirement("frame.length-limit")
def test_offsets_count_what_came_as_bytes_and_as_frames() -> None:
    first, second = wire(command(1, begin="stream-begin")), parse_frame(command(3))
    server = Server(limits=Limits(max_payload=4))
    server.receive_data(first)
    assert server.receive_frame(second) == [RunCommand(3, "x", {}, None)]
    assert server.receive_frame(second.replace(request_id=5, payload=memoryview(b"abcd")))[0].name == "abcd"
    size = 2 * len(first) + 8 + 4
    (error,) = server.receive_frame(parse_frame(command(7, "abcde")))
    assert str(error.error) == f"length: expected at most 4 bytes, found 5 bytes at offset {size} (frame.length-limit)"
    assert error.frame is None
    server = Server()
    server.receive_data(first)
    server.receive_frame(second)
    wrong = parse_frame(command(3))
    (error,) = server.receive_frame(wrong)
    assert (error.error.requirement, error.error.offset, error.frame) == ("command-name.fresh-id", 18 + 7, wrong)
    server = Server()
    server.receive_frame(parse_frame(command(1, begin="stream-begin")))
    *_, error = server.receive_data(wire(command(3)) + wire(command(3)))
    assert error.error.offset == 18 + 7


def test_messages_say_what_they_were_told() -> None:
    server = waiting(1, streams=2)
    assert lines(server.send_progress(1, "topic", 1, 2, "label", "item", stream_id=4)) == [
        r"1 4 stream-begin progress 0 \xa5Cpos\x01DitemDitemElabelElabelEtopicEtopicEtotal\x02"
    ]
    assert lines(server.send_text(1, [(b"a\xff", [], [])], errors="replace")) == [
        r"1 4 0 text-output 0 \x04\x00\x00\x00a\xef\xbf\xbd"
    ]
    with pytest.raises(LocalProtocolError, match=r"text-output\.utf8"):
        server.send_text(1, [(b"a\xff", [], [])])
    assert lines(server.respond_error(1, "no", end=True)) == ["1 4 stream-end error-response application no"]
    server = waiting(1, 3, streams=2)
    assert lines(server.send_text(3, [], stream_id=4)) == ["3 4 stream-begin text-output 0"]
    assert lines(server.respond_error(1, "no", stream_id=4)) == ["1 4 0 error-response application no"]


@pytest.mark.parametrize("most", [20, 21])
def test_messages_are_held_to_the_limit_of_what_is_sent(most: int) -> None:
    server = waiting(1, limits=Limits(send_payload=most))
    # Four bytes of a header and seventeen of text.
    if most == 21:
        assert len(list(server.send_text(1, [("a" * 17, [], [])]))) == 1
    else:
        with pytest.raises(LocalProtocolError, match=r"text-output\.single-frame"):
            server.send_text(1, [("a" * 17, [], [])])


def test_what_comes_after_a_finished_response_is_told_by_its_request() -> None:
    server = waiting(1, defer=True)
    server.respond(1, b"")
    with pytest.raises(LocalProtocolError) as raised:
        server.send_text(1, [])
    assert str(raised.value).endswith("found one of request 1 after it (response.active-request)")
    assert raised.value.field == ""
