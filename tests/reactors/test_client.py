"""The client's reactor as its user sees it: commands out, responses in, failures of requests and of the connection."""

from __future__ import annotations

from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgproto.errors import EncodingError, LocalProtocolError
from hgproto.reactors.client import Client as TypedClient
from hgproto.reactors.events import (
    CommandCut,
    CommandData,
    Error,
    NoOp,
    PeerError,
    ProgressUpdate,
    RequestError,
    ResponseData,
    RunCommand,
    SendFrames,
    StreamLeftOpen,
    TextMessage,
)
from hgproto.reactors.limits import Limits
from hgproto.reactors.pool import DecodingPool, EncodingPool
from hgproto.reactors.server import Server
from hgproto.revisions.framing_0002 import build, codec
from hgproto.streams.encodings import Encodings, Profile, default_encodings
from hgproto.wire.human import format_frame, parse_frame
from hgproto.wire.writer import encode_frames

if TYPE_CHECKING:
    from collections.abc import Iterable

# Tests look at events by the attributes that they expect, without narrowing each of them first.
Client: Any = TypedClient


def wire(*lines: str) -> bytes:
    return b"".join(codec.encode_frame(parse_frame(line)) for line in lines)


def lines(frames: Iterable[Any]) -> list[str]:
    """Frames as they are sent, in human form."""
    return [format_frame(frame) for frame in frames]


def asking(count: int = 1, **options: Any) -> Any:
    """A client that has sent some requests whole."""
    client = Client(**options)
    for _ in range(count):
        list(client.issue("x"))
    return client


# Commands


@pytest.mark.requirement("request.single-id", "request-id.order", "command-argument.eoa")
def test_a_command_is_issued() -> None:
    client = Client()
    send = client.issue("lookup", {"key": b"tip"}, b"data")
    assert send.request_id == 1
    assert client.active == (1,)
    assert lines(send) == [
        "1 1 stream-begin command-name have-args|have-data lookup",
        r"1 1 0 command-argument eoa \x03\x00\x03\x00keytip",
        "1 1 0 command-data eos data",
    ]
    assert lines(client.issue("heads", end=True)) == ["3 1 stream-end command-name eos heads"]


def test_data_is_read_as_frames_are_taken() -> None:
    file = BytesIO(b"abcdefghijklmn")
    send = Client(limits=Limits(send_payload=4)).issue("x", data=file)
    assert isinstance(send, SendFrames)
    assert format_frame(next(send)) == "1 1 stream-begin command-name have-data x"
    # One piece ahead, to know which is the last.
    assert file.tell() <= 8
    *_, last = lines(send)
    assert last == "1 1 0 command-data eos mn"


def test_values_are_cut_so_that_the_end_of_an_encoding_has_room() -> None:
    limits = Limits(send_payload=65535)
    frames = list(Client(encoding="zlib", limits=limits, buffered=True).issue("x"))
    assert frames == []
    client = Client(encoding="zlib", limits=limits, buffered=True)
    client.issue("x", {"k": bytes(65535)})
    *_, last = client.flush()
    assert last.stream_flags == codec.StreamFlag.ENCODED | codec.StreamFlag.STREAM_END


@pytest.mark.requirement("command-name.ascii", "command-argument.name-not-empty", "command-argument.sizes")
@pytest.mark.parametrize(
    ("name", "args", "data", "error"),
    [
        ("", {}, None, LocalProtocolError),
        ("é", {}, None, LocalProtocolError),
        ("x", {"": b""}, None, LocalProtocolError),
        ("x", {"k": bytes(65536)}, None, LocalProtocolError),
        ("x", {"k": 5}, None, TypeError),
        ("x", {"k": "v"}, None, TypeError),
        ("x", {}, "data", TypeError),
    ],
)
def test_a_command_that_cannot_be_said_uses_nothing(name: str, args: Any, data: Any, error: type[Exception]) -> None:
    client = Client()
    with pytest.raises(error):
        client.issue(name, args, data)
    assert client.active == ()


@pytest.mark.requirement("request-id.order")
def test_request_ids_wrap_around_past_those_in_use() -> None:
    client = Client(limits=Limits(active_requests=3))
    ids = []
    for _ in range(32768 + 2):
        send = client.issue("x")
        list(send)
        ids.append(send.request_id)
        if send.request_id != 1 or len(ids) > 1:
            client.receive_frame(build_response(send.request_id or 0, begin=len(ids) == 2))
    assert ids[:3] == [1, 3, 5]
    assert ids[32767] == 65535
    assert ids[-2:] == [3, 5]


def build_response(request_id: int, *, begin: bool) -> Any:
    (frame,) = build.bytes_response(request_id, 2, b"", begin=begin)
    return frame


@pytest.mark.requirement("request.limits")
@pytest.mark.parametrize("count", [1, 2, 3])
def test_as_many_requests_as_the_limit_allows(count: int) -> None:
    client = Client(limits=Limits(active_requests=2))
    for number in range(count):
        if number == 2:
            with pytest.raises(
                LocalProtocolError, match="at most 2 requests without a complete response, found 2 already"
            ):
                client.issue("x")
        else:
            list(client.issue("x"))
    assert len(client.active) == min(count, 2)


@pytest.mark.requirement("stream.end")
def test_buffered_commands_close_their_streams() -> None:
    client = Client(buffered=True, streams=2)
    assert [client.issue(name) for name in "abc"] == [NoOp(1), NoOp(3), NoOp(5)]
    assert lines(client.flush()) == [
        "1 1 stream-begin command-name eos a",
        "3 3 stream-begin|stream-end command-name eos b",
        "5 1 stream-end command-name eos c",
    ]
    assert lines(client.flush()) == []
    client.issue("d", stream_id=1)
    flushed = client.flush()
    client.issue("e", stream_id=3)
    assert lines(flushed) == ["7 1 stream-begin|stream-end command-name eos d"]
    assert lines(client.flush()) == ["9 3 stream-begin|stream-end command-name eos e"]


@pytest.mark.requirement("response.active-request", "command-data.flags-present")
def test_a_response_before_the_request_was_sent_ends_its_data() -> None:
    client = Client(limits=Limits(send_payload=2))
    send = client.issue("x", data=b"abcdef")
    assert isinstance(send, SendFrames)
    first = [next(send), next(send)]
    assert client.receive_data(wire("1 2 stream-begin bytes-response eos r")) == [ResponseData(1, b"r", last=True)]
    assert client.active == ()
    rest = lines(send)
    assert lines(first) + rest == [
        "1 1 stream-begin command-name have-data x",
        "1 1 0 command-data continuation ab",
        "1 1 0 command-data eos",
    ]
    # The id is free once all was sent.
    (error,) = client.receive_data(wire("1 2 0 bytes-response eos r"))
    assert error.error.requirement == "response.active-request"


# Data that cannot be read


class Source:
    """A file that returns some parts and then raises an exception, or returns an object other than bytes."""

    def __init__(self, parts: list[bytes], end: Any = b"") -> None:
        self.parts = list(parts)
        self.end = end
        self.reads = 0

    def read(self, size: int) -> Any:
        self.reads += 1
        if self.parts:
            part, self.parts[:1] = self.parts[0][:size], [self.parts[0][size:]] if self.parts[0][size:] else []
            return part
        if isinstance(self.end, BaseException):
            raise self.end
        return self.end


def source(parts: list[bytes], end: Any = b"") -> Any:
    """A source, for whom a type checker takes it: a binary file."""
    return Source(parts, end)


GONE = OSError("disk gone")
TOLD = "the data of the request could not be sent: OSError: disk gone"


@pytest.mark.requirement("request.complete")
@pytest.mark.parametrize("buffered", [False, True])
@pytest.mark.parametrize("args", [None, {"k": b"v"}])
def test_nothing_is_sent_of_a_command_whose_data_cannot_be_read_at_all(args: Any, buffered: bool) -> None:
    client = Client(buffered=buffered)
    sends: list[Any] = [
        client.issue(name, args, data) for name, data in (("a", None), ("bad", source([], GONE)), ("c", None))
    ]
    if buffered:
        sends = [client.flush()]
    sent = [frame for send in sends for frame in send]
    assert [frame.request_id for frame in sent if frame.type == codec.FrameType.COMMAND_NAME] == [1, 5]
    assert 3 not in {frame.request_id for frame in sent}
    assert sends[-1 if buffered else 1].failures == {3: GONE}
    assert client.active == (1, 5)
    # It is told once, with the next events, and its id is free.
    assert client.receive_data(b"") == [RequestError(3, TOLD, 0, "request.complete")]
    assert client.receive_data(b"") == []
    assert 3 not in client.snapshot().requests
    assert [list(send) for send in sends] == [[]] * len(sends)
    assert sends[-1 if buffered else 1].failure is GONE


@pytest.mark.requirement("request.complete", "stream.end")
@pytest.mark.parametrize("encoding", [None, "identity", "zlib"])
@pytest.mark.parametrize("last", [False, True])
def test_a_command_whose_data_ends_early_stays_unfinished_and_its_stream_goes_on(
    last: bool, encoding: str | None
) -> None:
    client = Client(buffered=True, encoding=encoding, limits=Limits(send_payload=4))
    server = Server(streaming=True)
    for name, data in [("a", None), ("bad", source([b"abcd", b"efgh", b"ij"], GONE)), ("c", b"whole")][
        : 2 if last else 3
    ]:
        client.issue(name, None, data)
    flush = client.flush()
    frames = list(flush)
    assert flush.failure is GONE
    events = [event for frame in frames for event in server.receive_frame(frame)]
    assert not [event for event in events if isinstance(event, Error)]
    assert [event.name for event in events if isinstance(event, RunCommand)] == ["a", "bad", "c"][: 2 if last else 3]
    # The server never gets an end of the data, so that it does not run the command with a part of it.
    parts = [event for event in events if isinstance(event, CommandData) and event.request_id == 3]
    assert not any(part.last for part in parts)
    assert b"abcdefgh".startswith(b"".join(part.data for part in parts))
    assert client.active == ((1,) if last else (1, 5))
    # The stream is closed all the same, so the input ends with nothing but the request that was cut off.
    assert [type(event) for event in server.receive_end()] == [SendFrames, CommandCut]


@pytest.mark.requirement("request.complete", "response.active-request", "command-name.fresh-id")
def test_an_unfinished_request_takes_what_comes_for_it_in_silence_and_keeps_its_id() -> None:
    def unfinished() -> Client:
        client = Client(limits=Limits(send_payload=2))
        list(client.issue("b", None, source([b"ab", b"cd", b"ef"], GONE)))
        assert client.receive_data(b"") == [RequestError(1, TOLD, 0, "request.complete")]
        return client

    text = build.text_output(1, 2, [("sorry\n", (), ())], begin=True)
    for end in ("1 2 0 bytes-response eos no", "1 2 0 error-response application no"):
        client = unfinished()
        assert client.receive_frame(text) == []
        assert client.receive_frame(build.progress(1, 2, "topic", 1, 2)) == []
        assert client.receive_data(wire("1 2 0 bytes-response continuation no", end)) == []
        # What is dropped is judged all the same.
        (error,) = client.receive_data(wire(end))
        assert error.error.requirement == "response.active-request"
    client = unfinished()
    (error,) = client.receive_data(wire("1 2 stream-begin text-output 0 x"))
    assert error.error.requirement.startswith("text-output.")
    client = unfinished()
    client._ids._next = 1
    assert client.issue("x").request_id == 3
    assert client.receive_end() == [
        RequestError(3, "the input ended before the response was complete", 0, "response.complete")
    ]


@pytest.mark.requirement("command-data.flags-present")
def test_data_that_nobody_waits_for_ends_though_it_cannot_be_read() -> None:
    client = Client(limits=Limits(send_payload=2))
    send = client.issue("x", None, source([b"ab", b"cd", b"ef"], GONE))
    assert isinstance(send, SendFrames)
    # One frame is read ahead, so that the failure comes after the response.
    first = [next(send), next(send)]
    client.receive_data(wire("1 2 stream-begin bytes-response eos r"))
    assert lines(first) + lines(send) == [
        "1 1 stream-begin command-name have-data x",
        "1 1 0 command-data continuation ab",
        "1 1 0 command-data eos",
    ]
    assert client.snapshot().requests == {}
    assert client.receive_end() == [StreamLeftOpen(2)]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), SystemExit(1), GeneratorExit()], ids=repr)
@pytest.mark.parametrize("parts", [0, 1, 2, 3])
@pytest.mark.parametrize("buffered", [False, True])
def test_an_interrupt_reaches_the_caller_and_the_others_go_on(
    buffered: bool, parts: int, failure: BaseException
) -> None:
    client = Client(buffered=buffered, limits=Limits(send_payload=2))
    server = Server()
    sends: list[Any] = [
        client.issue(name, None, data)
        for name, data in (("a", b"xyz"), ("b", source([b"ab"] * parts, failure)), ("c", b""))
    ]
    if buffered:
        sends = [client.flush()]
    frames: list[Any] = []
    raised: list[BaseException] = []
    for send in sends:
        while True:
            try:
                frames.append(next(send))
            except StopIteration:
                break
            except BaseException as error:
                raised.append(error)
                assert client.active == (1, 5)
    assert raised == [failure]
    assert sends[-1 if buffered else 1].failures == {3: failure}
    events = [event for frame in frames for event in server.receive_frame(frame)]
    assert [event for event in events if isinstance(event, RunCommand)] == [
        RunCommand(1, "a", {}, b"xyz"),
        RunCommand(5, "c", {}, b""),
    ]
    (told,) = client.receive_data(b"")
    assert (told.request_id, told.requirement) == (3, "request.complete")


def test_data_is_what_it_was_when_the_command_was_issued() -> None:
    owner = bytearray(b"then")
    for buffered in (False, True):
        for data in (owner, memoryview(owner), memoryview(owner).toreadonly()):
            owner[:] = b"then"
            client = Client(buffered=buffered)
            send = client.issue("x", {"k": owner}, data)
            owner[:] = b"now!"
            *_, argument, last = client.flush() if buffered else send
            assert bytes(argument.payload).endswith(b"kthen")
            assert last.payload == b"then"


def test_a_source_may_use_the_client() -> None:
    class Asking(Source):
        def read(self, size: int) -> Any:
            if len(self.parts) == 1:
                order.extend(lines(client.issue("i")))
                with pytest.raises((ValueError, RuntimeError)):
                    next(send)
            return super().read(size)

    client, order = Client(limits=Limits(send_payload=2)), list[str]()
    asking_source: Any = Asking([b"ab", b"cd", b"ef"])
    send: Any = client.issue("o", None, asking_source)
    for frame in send:
        order.append(format_frame(frame))
    assert send.failure is None
    assert [line.split(" ")[0:4:3] for line in order] == [
        ["1", "command-name"],
        ["1", "command-data"],
        ["3", "command-name"],
        ["1", "command-data"],
        ["1", "command-data"],
        ["1", "command-data"],
    ]


@pytest.mark.parametrize(
    ("end", "failure"),
    [
        ("text", "what a binary file reads must be bytes or another buffer of bytes, not str"),
        ("", "what a binary file reads must be bytes or another buffer of bytes, not str"),
        (0, "what a binary file reads must be bytes or another buffer of bytes, not int"),
        (["x"], "what a binary file reads must be bytes or another buffer of bytes, not list"),
        (b"more than was asked for", "a binary file was asked for at most 4 bytes, and its read() returned 23"),
    ],
)
def test_what_is_no_bytes_is_a_failure_of_its_request(end: Any, failure: str) -> None:
    client = Client(limits=Limits(send_payload=4))
    send: Any = client.issue("x", None, source([b"abcd"], end))
    assert lines(send) == []
    assert str(send.failure) == failure
    assert lines(client.issue("y")) == ["3 1 stream-begin command-name eos y"]


def test_a_text_file_is_no_data() -> None:
    for content in ("", "text"):
        send: Any = Client().issue("x", None, StringIO(content))
        assert lines(send) == []
        assert isinstance(send.failure, TypeError)


def test_a_file_that_has_nothing_yet_is_asked_again() -> None:
    class Slow:
        def __init__(self) -> None:
            self.given: list[bytes | None] = [None, b"ab", None, b"c", None, b"def", None, b""]

        def read(self, size: int) -> bytes | None:
            return self.given.pop(0)

    for buffered in (False, True):
        client = Client(buffered=buffered, encoding="zlib", limits=Limits(send_payload=6))
        sends: list[Any] = [client.issue("a"), client.issue("x", {"k": b"v"}, Slow()), client.issue("b", data=b"1")]
        if buffered:
            sends = [client.flush()]
        server, events, blocked = Server(), list[Any](), 0
        for send in sends:
            while True:
                try:
                    frame = next(send)
                except StopIteration:
                    break
                except BlockingIOError:
                    blocked += 1
                else:
                    events += server.receive_frame(frame)
        assert 3 <= blocked <= 4
        assert [event for event in events if isinstance(event, RunCommand)] == [
            RunCommand(1, "a", {}, None),
            RunCommand(3, "x", {"k": b"v"}, b"abcdef"),
            RunCommand(5, "b", {}, b"1"),
        ]
        assert client.active == (1, 3, 5)
        assert [send.failures for send in sends] == [{}] * len(sends)


# Sends after the end


@pytest.mark.requirement("response.complete")
def test_nothing_is_issued_after_the_end_of_the_server_s_output() -> None:
    for buffered in (False, True):
        client = Client(buffered=buffered)
        client.receive_end()
        with pytest.raises(LocalProtocolError) as raised:
            client.issue("heads")
        assert str(raised.value) == (
            "expected a server that can still respond, found the end of its output (response.complete)"
        )
        assert client.active == ()
        assert lines(client.flush()) == []


ENDS: dict[str, Any] = {
    "end of output": (lambda client: client.receive_end(), "response.complete"),
    "violation": (
        lambda client: client.receive_data(wire("1 3 stream-begin bytes-response eos x")),
        "stream-id.parity",
    ),
    "complaint": (
        lambda client: client.receive_data(wire("0 2 stream-begin error-response protocol x")),
        "error-response.closes",
    ),
}


@pytest.mark.requirement("response.complete", "error-response.closes", "reactor.errored")
@pytest.mark.parametrize("taken", [0, 1, 2])
@pytest.mark.parametrize("buffered", [False, True])
@pytest.mark.parametrize("name", ENDS)
def test_a_request_that_was_told_to_have_failed_is_never_completed(name: str, buffered: bool, taken: int) -> None:
    end, requirement = ENDS[name]
    client = Client(buffered=buffered, limits=Limits(send_payload=2))
    sends: list[Any] = [client.issue("p", None, b"abcdef"), client.issue("p")]
    if buffered:
        sends = [client.flush()]
        client.issue("p")
    sent = [next(sends[0]) for _ in range(taken)]
    told = [event for event in end(client) if isinstance(event, RequestError)]
    assert [event.request_id for event in told] == ([1, 3, 5] if buffered else [1, 3])
    sends.append(client.flush())
    assert [lines(send) for send in sends] == [[]] * len(sends)
    server = Server()
    for frame in sent:
        assert not any(isinstance(event, RunCommand) for event in server.receive_frame(frame))
    failures = {key: failure for send in sends for key, failure in send.failures.items()}
    assert [getattr(failures[event.request_id], "requirement", None) for event in told] == [requirement] * len(told)
    assert client.receive_end() == []


def test_commands_with_data_that_fails_are_made_on_threads_too() -> None:
    client, server = Client(streams=2, limits=Limits(send_payload=4)), Server()
    sources: list[Any] = [
        b"good",
        source([], GONE),
        source([b"abcd"] * 3, GONE),
        source([b"abcd"] * 3, KeyboardInterrupt()),
    ]
    sends: list[Any] = [client.issue("x", None, data) for data in [*sources, b"last"]]
    frames: list[Any] = []
    interrupts = 0
    with EncodingPool(2) as pool:
        for send in sends:
            pool.submit(send)
        while pool.outstanding:
            try:
                for made in pool.finished():
                    frames += made
            except KeyboardInterrupt:
                interrupts += 1
    assert interrupts == 1
    events = [event for frame in frames for event in server.receive_frame(frame)]
    assert sorted(event.request_id for event in events if isinstance(event, RunCommand)) == [1, 9]
    assert client.active == (1, 9)
    assert sorted(event.request_id for event in client.receive_data(b"")) == [3, 5, 7]
    assert [type(send.failure) for send in sends] == [type(None), OSError, OSError, KeyboardInterrupt, type(None)]


class Plan(NamedTuple):
    """A command: its data, how that ends, and the stream that it goes on."""

    parts: list[bytes] | None
    end: str
    stream: int
    args: bool


plans = st.builds(
    Plan,
    st.none() | st.lists(st.binary(min_size=1, max_size=9), max_size=6),
    st.sampled_from(["eof", "bytes", "raises", "interrupts", "text"]),
    st.integers(0, 1),
    st.booleans(),
)


@pytest.mark.requirement("request.complete", "request.interleaving", "stream.end")
@given(
    commands=st.lists(plans, min_size=1, max_size=6),
    buffered=st.booleans(),
    encoding=st.sampled_from([None, "identity", "zlib"]),
    flush=st.sampled_from(["response", "frame"]),
    data=st.data(),
)
def test_each_command_arrives_whole_or_fails_alone(
    commands: list[Plan], buffered: bool, encoding: str | None, flush: Any, data: st.DataObject
) -> None:
    client = Client(streams=2, buffered=buffered, encoding=encoding, flush=flush, limits=Limits(send_payload=6))
    server = Server()
    ends = {"eof": b"", "raises": GONE, "interrupts": KeyboardInterrupt(), "text": "text"}
    sends: list[Any] = []
    for plan in commands:
        content: Any = None
        if plan.parts is not None:
            content = b"".join(plan.parts) if plan.end == "bytes" else source(plan.parts, ends[plan.end])
        sends.append(client.issue("x", {"k": b"v"} if plan.args else None, content, stream_id=1 + 2 * plan.stream))
    if buffered:
        sends = [client.flush()]
    waiting, taken, interrupts = list(sends), list[Any](), 0
    while waiting:
        send = data.draw(st.sampled_from(waiting))
        try:
            taken.append(next(send))
        except StopIteration:
            waiting.remove(send)
        except KeyboardInterrupt:
            interrupts += 1
    events = [event for frame in taken for event in server.receive_frame(frame)]
    assert not [event for event in events if isinstance(event, Error)]
    fails = {
        1 + 2 * place: plan.end
        for place, plan in enumerate(commands)
        if plan.parts is not None and plan.end in ("raises", "interrupts", "text")
    }
    # Good commands arrive as they were issued, and of the others none arrives.
    ran = {event.request_id: event for event in events if isinstance(event, RunCommand)}
    assert {key: (event.data, event.args) for key, event in ran.items()} == {
        1 + 2 * place: (None if plan.parts is None else b"".join(plan.parts), {"k": b"v"} if plan.args else {})
        for place, plan in enumerate(commands)
        if 1 + 2 * place not in fails
    }
    assert interrupts == list(fails.values()).count("interrupts")
    assert {key for send in sends for key in send.failures} == set(fails)
    assert sorted(client.active) == sorted(ran)
    # Each request has one end, in both directions.
    told = client.receive_data(b"")
    assert sorted(event.request_id for event in told) == sorted(fails)
    for request_id in ran:
        for frame in server.respond(request_id, b"r"):
            assert client.receive_frame(frame) == [ResponseData(request_id, b"r", last=True)]
    if buffered:
        assert not any(isinstance(event, StreamLeftOpen) for event in server.receive_end())
    assert all(list(send) == [] for send in sends)
    assert client.active == ()


# Responses


@pytest.mark.requirement("request.any-order", "request.interleaving", "stream.end")
def test_responses_come_in_pieces_and_in_any_order() -> None:
    client = asking(2)
    events = client.receive_data(
        wire(
            "3 2 stream-begin bytes-response continuation b",
            "1 4 stream-begin bytes-response eos a",
            "3 2 stream-end bytes-response eos ",
        )
    )
    assert events == [
        ResponseData(3, b"b", last=False),
        ResponseData(1, b"a", last=True),
        ResponseData(3, b"", last=True),
    ]
    assert client.active == ()
    assert client.receive_end() == [StreamLeftOpen(4)]


def test_text_and_progress() -> None:
    client = asking()
    text = build.text_output(1, 2, [("%s\n", ("label",), ("x",))], begin=True)
    progress = build.progress(1, 2, "topic", 1, 2)
    assert client.receive_frame(text) == [TextMessage(1, (codec.TextAtom("%s\n", ("label",), ("x",)),))]
    assert client.receive_frame(progress) == [ProgressUpdate(1, codec.Progress("topic", 1, 2))]


@pytest.mark.requirement("error-response.ends-request")
def test_an_application_error_ends_its_request_alone() -> None:
    client = asking(2)
    events = client.receive_data(
        wire(
            "1 2 stream-begin bytes-response continuation part",
            "1 2 0 error-response application no",
            "3 2 0 bytes-response eos yes",
        )
    )
    assert events[1:] == [RequestError(1, "no", 4), ResponseData(3, b"yes", last=True)]


@pytest.mark.requirement("error-response.closes", "reactor.errored")
@pytest.mark.parametrize("request_id", [0, 1, 5])
def test_a_protocol_error_ends_all(request_id: int) -> None:
    client = asking(2)
    events = client.receive_data(
        wire(f"{request_id} 2 stream-begin error-response protocol you did", "1 2 0 bytes-response eos late")
    )
    assert events == [
        RequestError(1, "you did", 0, "error-response.closes"),
        RequestError(3, "you did", 0, "error-response.closes"),
        PeerError(request_id, "you did"),
    ]
    assert client.active == ()
    assert not client.works
    (error,) = client.receive_data(wire("3 2 0 bytes-response eos late"))
    assert error.error.requirement == "reactor.errored"
    with pytest.raises(LocalProtocolError, match=r"reactor\.errored"):
        client.issue("x")


@pytest.mark.requirement("response.active-request")
def test_a_violation_fails_all_requests() -> None:
    client = asking(2)
    *lost, error = client.receive_data(
        wire("1 2 stream-begin bytes-response continuation 1234", "7 2 0 bytes-response eos x")
    )[1:]
    assert isinstance(error, Error)
    assert (error.error.requirement, error.error.offset) == ("response.active-request", 12 + 7)
    assert "found bytes-response eos for request 7, which is free" in str(error.error)
    assert list(error.frames) == []
    assert [(event.request_id, event.received, event.requirement) for event in lost] == [
        (1, 4, "response.active-request"),
        (3, 0, "response.active-request"),
    ]
    assert client.active == ()


@pytest.mark.requirement("response.complete")
def test_the_end_before_a_response_is_complete() -> None:
    client = asking(2)
    client.receive_data(wire("3 2 stream-begin bytes-response continuation 1234"))
    assert client.receive_end() == [
        RequestError(1, "the input ended before the response was complete", 0, "response.complete"),
        RequestError(3, "the input ended before the response was complete", 4, "response.complete"),
        StreamLeftOpen(2),
    ]
    assert client.active == ()


@pytest.mark.requirement("encoding.decoded-limit")
@pytest.mark.parametrize("size", [9, 10, 11])
def test_what_a_response_may_decode_to(size: int) -> None:
    from hgproto.streams.output_stream import OutputStream

    client = asking(encodings=None, limits=Limits(decoded_response=10))
    stream = OutputStream(2, client.encodings["zlib"])
    frames = [*stream.write(1, 4, b"12345", last=False), *stream.write(1, 4, bytes(size - 5), last=True)]
    for frame in frames[:-1]:
        client.receive_frame(frame)
    *_, event = client.receive_frame(frames[-1])
    if size <= 10:
        assert event.last
    else:
        assert (event.error.requirement, event.error.found) == ("encoding.decoded-limit", "11 bytes")


# What a client cannot be made with


def test_what_a_client_is_made_with() -> None:
    with pytest.raises(ValueError, match="streams must be 1 to 128, not 129"):
        Client(streams=129)
    assert Client(streams=128).output_streams[-1] == 255
    with pytest.raises(ValueError, match="reopen is"):
        Client(reopen="never")
    with pytest.raises(ValueError, match="flush is"):
        Client(flush="never")
    with pytest.raises(EncodingError, match="no content encoding 'br'"):
        Client(encoding="br")
    with pytest.raises(ValueError, match="there is no output stream 2; there are 1"):
        Client().issue("x", stream_id=2)


@pytest.mark.requirement("command-name.fresh-id")
def test_somebody_else_issues() -> None:
    client = Client()
    client.issued(5)
    assert client.active == (5,)
    with pytest.raises(LocalProtocolError, match=r"command-name\.fresh-id"):
        client.issued(5)


# What a command and a refusal are made of.


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("data", [b"data" * 10, BytesIO(b"data" * 10)], ids=["bytes", "a file"])
def test_data_that_is_compressed_already_passes_untouched(plain: bool, data: Any) -> None:
    client = Client(encoding="zlib", limits=Limits(send_payload=16))
    frames = list(client.issue("push", {"key": b"value"}, data, plain=plain))
    encoded = {
        (codec.FrameType(frame.type).name, bool(frame.stream_flags & codec.StreamFlag.ENCODED)) for frame in frames
    }
    assert encoded - {("COMMAND_DATA", True)} == {
        ("STREAM_SETTINGS", False),
        ("COMMAND_NAME", True),
        ("COMMAND_ARGUMENT", True),
    } | ({("COMMAND_DATA", False)} if plain else set())
    if isinstance(data, BytesIO):
        data.seek(0)


def test_a_client_has_the_streams_and_encodings_that_it_was_told() -> None:
    assert Client().output_streams == (1,)
    assert Client(streams=3).output_streams == (1, 3, 5)
    client = Client(encodings=Encodings([default_encodings()["identity"]]))
    list(client.issue("x"))
    (error,) = client.receive_data(wire(r"1 2 stream-begin stream-settings 0 \x04zlib"))[-1:]
    assert error.error.expected == "identity"


@pytest.mark.requirement("request.limits")
def test_a_request_too_many_is_not_issued() -> None:
    client = asking(2, limits=Limits(active_requests=2))
    with pytest.raises(LocalProtocolError) as raised:
        client.issue("x")
    assert str(raised.value) == (
        "expected at most 2 requests without a complete response, found 2 already (request.limits)"
    )
    assert client.active == (1, 3)


@pytest.mark.requirement("request.limits")
def test_unfinished_requests_keep_their_places_and_are_counted() -> None:
    client = Client(limits=Limits(active_requests=3, send_payload=2))
    for _ in range(2):
        list(client.issue("b", None, source([b"ab", b"cd", b"ef"], GONE)))
        client.receive_data(b"")
    list(client.issue("x"))
    assert client.unfinished == (1, 3)
    assert client.active == (5,)
    with pytest.raises(LocalProtocolError) as raised:
        client.issue("x")
    assert raised.value.message == (
        "expected at most 3 requests without a complete response, found 3 already, 2 of them unfinished because of their "
        "data; use a new connection for more"
    )
    client.receive_end()
    assert client.unfinished == ()


@pytest.mark.requirement("encoding.decoded-limit")
def test_a_response_that_grows_too_large_is_told_by_its_bytes() -> None:
    client = asking(limits=Limits(decoded_response=5))
    events = client.receive_data(
        wire(
            r"1 2 stream-begin stream-settings 0 \x08identity",
            "1 2 encoded bytes-response continuation abc",
            "1 2 encoded bytes-response continuation de",
            "1 2 encoded bytes-response continuation f",
        )
    )
    *_, lost, error = events
    start = len(
        wire(
            r"1 2 stream-begin stream-settings 0 \x08identity",
            "1 2 0 bytes-response continuation abc",
            "1 2 0 bytes-response continuation de",
        )
    )
    assert str(error.error) == (
        f"expected at most 5 bytes in a response when decoded, found 6 bytes at offset {start + 8} (encoding.decoded-limit)"
    )
    assert error.frame == parse_frame("1 2 encoded bytes-response continuation f")
    assert lost == RequestError(1, str(error.error), 5, "encoding.decoded-limit")


@pytest.mark.parametrize("where", ["made", "encode"])
def test_commands_after_one_whose_encoder_has_failed_are_sent_as_they_are(where: str) -> None:
    class Failing:
        def __init__(self) -> None:
            self.fail("made")

        def fail(self, at: str) -> None:
            if where == at:
                raise ZeroDivisionError

        def encode(self, data: bytes | memoryview) -> bytes:
            self.fail("encode")
            return bytes(data)

        def flush(self) -> bytes:
            return b""

        finish = flush

    encodings = default_encodings().plus(Profile("own", Failing, default_encodings()["identity"].decoder))
    client, server = Client(encodings=encodings, encoding="own"), Server(encodings=encodings)
    sent: list[Any] = []
    first = client.issue("x")
    with pytest.raises(ZeroDivisionError):
        sent.extend(first)
    assert isinstance(first.failure, ZeroDivisionError)
    sent += client.issue("y", {"a": b"b"}, b"data")
    events = [event for frame in sent for event in server.receive_frame(frame)]
    assert events[-1] == RunCommand(3, "y", {"a": b"b"}, b"data")


REFUSED: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "a long value": ({"name": "x", "args": {"key": bytes(70_000)}}, LocalProtocolError),
    "a long name": ({"name": "x" * 70_000}, LocalProtocolError),
    "no name": ({"name": ""}, LocalProtocolError),
    "a name beyond ASCII": ({"name": "\xe9"}, LocalProtocolError),
    "data as text": ({"name": "x", "data": "text"}, TypeError),
    "a value as text": ({"name": "x", "args": {"key": "text"}}, TypeError),
    "a stream that there is not": ({"name": "x", "stream_id": 7}, ValueError),
}


@pytest.mark.requirement("request-id.order")
@pytest.mark.parametrize("buffered", [False, True])
@pytest.mark.parametrize("name", REFUSED)
def test_a_command_that_is_refused_takes_no_id(name: str, buffered: bool) -> None:
    command, error = REFUSED[name]
    client = Client(buffered=buffered)
    assert client.issue("x").request_id == 1
    for _ in range(2):
        with pytest.raises(error):
            client.issue(**command)
    assert client.issue("x").request_id == 3
    assert client.active == (1, 3)


@pytest.mark.requirement("request-id.order")
def test_a_command_too_many_takes_no_id() -> None:
    client = Client(limits=Limits(active_requests=1))
    list(client.issue("x"))
    with pytest.raises(LocalProtocolError):
        client.issue("x")
    for event in client.receive_data(wire("1 2 stream-begin bytes-response eos x")):
        assert event.request_id == 1
    assert client.issue("x").request_id == 3


@pytest.mark.requirement("request.complete")
def test_the_errors_of_a_server_that_closes_the_connection_can_be_cut_anywhere() -> None:
    def sent() -> tuple[Client, bytes]:
        client, server = Client(), Server()
        for _ in range(2):
            server.receive_frame(next(iter(client.issue("x", data=b"abc"))))
        sends = [event for event in server.receive_end() if isinstance(event, SendFrames)]
        return client, b"".join(part for send in sends for part in encode_frames(send))

    client, data = sent()
    wanted = client.receive_data(data)
    assert [type(event) for event in wanted] == [RequestError, RequestError, PeerError]
    for cut in range(len(data) + 1):
        for pooled in False, True:
            client, data = sent()
            receiver: Any = DecodingPool(client) if pooled else client
            found = [
                *receiver.receive_data(data[:cut]),
                *receiver.receive_data(data[cut:]),
                *receiver.receive_end(),
            ]
            assert found == wanted
    client, data = sent()
    assert client.receive_data(data) == wanted
    assert client.receive_data(data) == []
    assert client.receive_frame(codec.make_frame(1, 2, 0, 5, 1, b"x")) == []
    for _ in range(2):
        (error,) = client.receive_data(codec.encode_frame(codec.make_frame(1, 2, 0, 4, 2, b"x")) + data)
        assert error.error.requirement == "reactor.errored"


class Unreadable(BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        raise OSError(size)


@pytest.mark.requirement("request-id.order")
def test_the_id_of_a_command_of_which_nothing_was_sent_comes_next() -> None:
    client = Client()
    assert list(client.issue("a", data=Unreadable())) == []
    (failed,) = client.receive_data(b"")
    assert isinstance(failed, RequestError)
    frames = [frame for name in "bc" for frame in client.issue(name)]
    assert [frame.request_id for frame in frames] == [1, 3]
