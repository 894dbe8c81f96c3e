"""The client's reactor as its user sees it: commands out, responses in, failures of requests and of the connection."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest

from hgproto import build
from hgproto.client import Client
from hgproto.encodings import Encodings, default_encodings
from hgproto.errors import EncodingError, LocalProtocolError
from hgproto.events import (
    Error,
    NoOp,
    PeerError,
    ProgressUpdate,
    RequestError,
    ResponseData,
    SendFrames,
    StreamLeftOpen,
    TextMessage,
)
from hgproto.framing_0002 import codec
from hgproto.human import format_frame, parse_frame
from hgproto.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable


def wire(*lines: str) -> bytes:
    return b"".join(codec.encode_frame(parse_frame(line)) for line in lines)


def lines(frames: Iterable[Any]) -> list[str]:
    """Frames as they are sent, in human form."""
    return [format_frame(frame) for frame in frames]


def asking(count: int = 1, **options: Any) -> Client:
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
                LocalProtocolError, match="at most 2 requests that wait for their response, found 2 already"
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
    from hgproto.streams import OutputStream

    client = asking(encodings=None, limits=Limits(decoded_response=10))
    stream = OutputStream(2, client.encodings["zlib"])
    frames = [*stream.write(1, 4, b"12345", last=False), *stream.write(1, 4, bytes(size - 5), last=True)]
    for frame in frames[:-1]:
        client.receive_frame(frame)
    *_, event = client.receive_frame(frames[-1])
    if size <= 10:
        assert event.last
    else:
        assert (event.error.requirement, event.error.found) == ("encoding.decoded-limit", "11 octets")


# What a client cannot be made with


def test_what_a_client_is_made_with() -> None:
    with pytest.raises(ValueError, match="streams must be 1 to 128, not 129"):
        Client(streams=129)
    assert Client(streams=128).output_streams[-1] == 255
    with pytest.raises(ValueError, match="reopen is"):
        Client(reopen="never")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="flush is"):
        Client(flush="never")  # type: ignore[arg-type]
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
@pytest.mark.parametrize("data", [b"data" * 10, BytesIO(b"data" * 10)], ids=["octets", "a file"])
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
        "expected at most 2 requests that wait for their response, found 2 already (request.limits)"
    )
    assert client.active == (1, 3)


@pytest.mark.requirement("encoding.decoded-limit")
def test_a_response_that_grows_too_large_is_told_by_its_octets() -> None:
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
        f"expected at most 5 octets in a response when decoded, found 6 octets at offset {start + 8} (encoding.decoded-limit)"
    )
    assert error.frame == parse_frame("1 2 encoded bytes-response continuation f")
    assert lost == RequestError(1, str(error.error), 5, "encoding.decoded-limit")
