"""Messages as frames: builders accept every valid argument, and reject any other before the first frame."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marks import by_column
from support import ascii_text, utf8_text

from hgproto import (
    Client,
    LocalProtocolError,
    Server,
    bytes_response,
    command,
    encode_frames,
    error_response,
    progress,
    stream_settings,
    text_output,
    validate,
)
from hgproto.revisions.framing_0002 import codec
from hgproto.revisions.framing_0002.build import SEND_PAYLOAD
from hgproto.wire.jsonform import Continuations
from hgproto.wire.messages import Builder, Items, Text, choice
from hgproto.wire.pushed import Pushed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hgproto.runtime.frame import Frame


class ShortReads(io.BytesIO):
    """A file that gives a few bytes a read."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size if size is not None and size >= 0 else 7, 7))


def values(frames: Iterable[Frame]) -> list[tuple[Frame, Any]]:
    """Frames with their payloads' values, after every rule of a single frame."""
    continuations = Continuations(codec)
    result = []
    for frame in frames:
        codec.check_header(frame)
        result.append((frame, codec.decode_payload(frame, continuations.next(frame))))
    return result


def shapes(frames: Iterable[Frame]) -> list[tuple[str, int]]:
    """The flags and the size of each frame."""
    return [(" ".join(str(flag.name) for flag in frame.flags), len(frame.payload)) for frame in frames]  # type: ignore[attr-defined]


long_values = st.integers(0, 300).map(lambda size: bytes(i % 251 for i in range(size)))
args_strategy = st.dictionaries(ascii_text.filter(bool), st.binary(max_size=20) | long_values, max_size=4)


@pytest.mark.requirement(
    "command-argument.continuation",
    "command-argument.eoa",
    "command-argument.header-whole",
    "command-data.flags-present",
)
@given(args_strategy, st.none() | long_values, st.integers(30, 60), st.booleans(), st.booleans(), st.booleans())
def test_a_command_arrives(
    args: dict[str, bytes], data: bytes | None, most: int, begin: bool, end: bool, from_file: bool
) -> None:
    source = ShortReads(data) if from_file and data is not None else data
    frames = list(command(5, 3, "command", args, source, begin=begin, end=end, max_payload=most))
    assert all(len(frame.payload) <= most and (frame.request_id, frame.stream_id) == (5, 3) for frame in frames)
    assert [bool(frame.stream_flags & 1) for frame in frames] == [begin] + [False] * (len(frames) - 1)
    assert [bool(frame.stream_flags & 2) for frame in frames] == [False] * (len(frames) - 1) + [end]
    received: dict[str, bytes] = {}
    sizes: dict[str, int] = {}
    content = b""
    name = ""
    for frame, value in values(frames)[1:]:
        match value:
            case codec.Argument() | codec.ArgumentStart():
                name = value.name
                received[name], sizes[name] = value.value, value.value_length
            case codec.ArgumentRest():
                received[name] += value.value
            case bytes():
                content += value
        assert frame.type in (codec.FrameType.COMMAND_ARGUMENT, codec.FrameType.COMMAND_DATA)
    assert list(received.items()) == sorted(args.items())
    assert sizes == {name: len(value) for name, value in args.items()}
    assert content == (data or b"")
    types = [int(frame.type) for frame in frames]
    assert types == sorted(types)
    last_arguments = [frame for frame in frames if frame.type == codec.FrameType.COMMAND_ARGUMENT]
    assert [bool(frame.flags & 2) for frame in last_arguments] == [False] * (len(last_arguments) - 1) + [True] * bool(
        args
    )
    assert ("EOS" in shapes(frames)[-1][0]) == (data is not None or not args)


DATA_SHAPES = [
    (0, False, [("EOS", 0)]),
    (0, True, [("EOS", 0)]),
    (9, False, [("EOS", 9)]),
    (10, False, [("EOS", 10)]),
    (10, True, [("CONTINUATION", 10), ("EOS", 0)]),
    (11, False, [("CONTINUATION", 10), ("EOS", 1)]),
    (11, True, [("CONTINUATION", 10), ("EOS", 1)]),
    (20, False, [("CONTINUATION", 10), ("EOS", 10)]),
    (20, True, [("CONTINUATION", 10), ("CONTINUATION", 10), ("EOS", 0)]),
]


@pytest.mark.requirement("command-data.flags-present", "bytes-response.flags-present")
@pytest.mark.parametrize(("size", "from_file", "expected"), DATA_SHAPES)
def test_where_data_ends(size: int, from_file: bool, expected: list[tuple[str, int]]) -> None:
    def source() -> Any:
        return ShortReads(bytes(size)) if from_file else memoryview(bytes(size))

    assert shapes(command(1, 1, "c", data=source(), max_payload=10))[1:] == expected
    assert shapes(bytes_response(1, 2, source(), max_payload=10)) == expected
    values(bytes_response(1, 2, source(), max_payload=10))


@pytest.mark.requirement("command-argument.continuation", "command-argument.sizes")
@pytest.mark.parametrize("size", [SEND_PAYLOAD - 6, SEND_PAYLOAD - 5, SEND_PAYLOAD - 4, 65535])
def test_values_of_any_legal_size(size: int) -> None:
    value = bytes(i % 251 for i in range(size))
    frames = list(command(1, 1, "c", {"k": value}))
    assert len(frames) == 2 + (size > SEND_PAYLOAD - 5) + (size > 2 * SEND_PAYLOAD - 5)
    assert all(len(frame.payload) <= SEND_PAYLOAD for frame in frames)
    assert b"".join(part.value for _, part in values(frames)[1:]) == value


def test_a_file_is_read_as_frames_are_taken() -> None:
    file = io.BytesIO(bytes(100))
    frames = command(1, 1, "c", data=file, max_payload=10)
    next(frames)
    assert file.tell() <= 20


@pytest.mark.requirement("command-argument.name-ascii", "frame.field-range")
def test_errors_are_raised_before_any_frame_is_made() -> None:
    with pytest.raises(LocalProtocolError):
        command(1, 1, "c", {"é": b""})
    with pytest.raises(LocalProtocolError):
        bytes_response(1, 256, b"")


@pytest.mark.parametrize("stream_id", [0, 1, 2, 3, 254, 255])
@pytest.mark.parametrize(
    "build",
    [
        lambda stream: command(1, stream, "c", {"k": b"v"}, b"data"),
        lambda stream: command(1, stream, "c", data=io.BytesIO(b"data")),
        lambda stream: bytes_response(1, stream, b"data"),
        lambda stream: [error_response(1, stream, "m")],
        lambda stream: [progress(1, stream, "t", 1, 2)],
        lambda stream: [text_output(1, stream, [("x\n", (), ())])],
        lambda stream: [stream_settings(1, stream, "zlib")],
    ],
)
def test_a_builder_accepts_any_stream(build: Any, stream_id: int) -> None:
    frames = list(build(stream_id))
    assert {frame.stream_id for frame in frames} == {stream_id}
    assert [frame.replace(stream_id=7) for frame in frames] == list(build(7))


@pytest.mark.requirement("stream-id.parity")
@pytest.mark.parametrize(
    ("reactor", "frames"),
    [
        (Server, command(1, 2, "c", begin=True)),
        (Client, bytes_response(1, 1, b"", begin=True)),
        (Client, [text_output(1, 1, [], begin=True)]),
    ],
)
def test_the_reactor_and_the_validator_decide_who_may_send_where(reactor: Any, frames: Any) -> None:
    wire = b"".join(encode_frames(frames))
    (event,) = reactor().receive_data(wire)
    assert event.error.requirement == "stream-id.parity"
    (finding,) = validate(wire, role=reactor.peer)
    assert finding.id == "stream-id.parity"


REFUSED: list[tuple[Any, str, str]] = [
    (lambda: command(1, 1, ""), "command-name.ascii", "name"),
    (lambda: command(1, 1, "é"), "command-name.ascii", "name"),
    (lambda: command(1, 1, "n" * 11, max_payload=10), "frame.length-limit", "name"),
    (lambda: command(2, 1, "c"), "request-id.parity", "request_id"),
    (lambda: command(65537, 1, "c"), "frame.field-range", "request_id"),
    (lambda: command(1, 257, "c"), "frame.field-range", "stream_id"),
    (lambda: command(1, 1, "c", {"": b""}), "command-argument.name-not-empty", "name"),
    (lambda: command(1, 1, "c", {"k": bytes(65536)}), "command-argument.sizes", "value"),
    (lambda: command(1, 1, "c", {"k" * 7: b"v"}, max_payload=10), "command-argument.header-whole", "args['kkkkkkk']"),
    (lambda: bytes_response(1, 256, b""), "frame.field-range", "stream_id"),
    (lambda: error_response(1, 256, "m"), "frame.field-range", "stream_id"),
    (lambda: error_response(1, 2, "\ud800"), "error-response.utf8", "message"),
    (lambda: progress(1, -1, "t", 1, 2), "frame.field-range", "stream_id"),
    (lambda: progress(1, 2, "t", -2, 2), "progress.value-types", "pos"),
    (lambda: progress(1, 2, "t" * 100, 1, 2, max_payload=10), "frame.length-limit", ""),
    (lambda: stream_settings(1, 2, ""), "stream-settings.name-ascii", "profile"),
    (lambda: stream_settings(1, 2, "zlib", bytes(10), max_payload=10), "frame.length-limit", "settings"),
    (lambda: text_output(1, 256, []), "frame.field-range", "stream_id"),
]


@pytest.mark.parametrize(("build", "requirement", "field"), by_column(REFUSED, 1))
def test_what_is_refused(build: Any, requirement: str, field: str) -> None:
    with pytest.raises(LocalProtocolError) as error:
        build()
    assert (error.value.requirement, error.value.field) == (requirement, field)


@pytest.mark.requirement("text-output.single-frame")
def test_a_message_over_the_maximum_is_refused_last() -> None:
    assert len(text_output(1, 2, [("a" * 6, [], [])], max_payload=10).payload) == 10
    with pytest.raises(LocalProtocolError) as error:
        text_output(1, 2, [("a" * 7, [], [])], max_payload=10)
    assert error.value.requirement == "text-output.single-frame"


@pytest.mark.requirement("error-response.single-frame", "error-response.utf8", "error-response.exactly-one")
@given(utf8_text, st.integers(1, 12), st.sampled_from(["application", "protocol"]))
def test_error_messages_are_cut_at_a_character(message: str, most: int, kind: Any) -> None:
    frame = error_response(1, 2, message, kind, max_payload=most)
    ((_, value),) = values([frame])
    data = message.encode()
    assert message.startswith(value)
    assert len(frame.payload) <= most
    assert len(data) <= most or len(data[: len(frame.payload)]) > most - 4
    assert frame.flags.name == kind.upper()  # type: ignore[attr-defined]


@pytest.mark.requirement("progress.cbor-map", "progress.required-keys", "progress.value-types")
@given(utf8_text, st.integers(-1, 1 << 40), st.integers(0, 1 << 40), st.none() | utf8_text, st.none() | utf8_text)
def test_progress_arrives(topic: str, pos: int, total: int, label: str | None, item: str | None) -> None:
    ((_, value),) = values([progress(1, 2, topic, pos, total, label, item, begin=True, end=True)])
    assert value == codec.Progress(topic, pos, total, label, item)


@pytest.mark.requirement("stream-settings.on-begin")
@pytest.mark.parametrize("stream_id", [1, 2])
def test_settings_open_a_stream(stream_id: int) -> None:
    ((frame, value),) = values([stream_settings(1, stream_id, "zlib", b"\x01")])
    assert frame.stream_flags == codec.StreamFlag.STREAM_BEGIN
    assert value == codec.StreamSettings("zlib", b"\x01")
    assert stream_settings(1, stream_id, "zlib", end=True).stream_flags == 3


def test_a_file_that_does_not_block_is_refused() -> None:
    class Empty(io.RawIOBase):
        def read(self, size: int = -1) -> None:
            return None

    with pytest.raises(BlockingIOError):
        list(bytes_response(1, 2, Empty()))


# What builders of any revision are made of.

BUILDER = Builder(codec, 0x1, 0x2, "frame.length-limit")
PLAIN = Text("name", "utf8", {"charset": "x.utf8"})


@pytest.mark.parametrize(
    ("kind", "text", "payload"),
    [
        (PLAIN, "", b""),
        (PLAIN, "éé", b"\xc3\xa9\xc3\xa9"),
        (PLAIN._replace(shorten=True), "éé€", b"\xc3\xa9\xc3\xa9"),
        (PLAIN._replace(shorten=True, rules={"charset": "x.utf8", "empty": "x.empty"}), "aaaaa", b"aaaa"),
    ],
)
def test_a_text_is_the_payload(kind: Text, text: str, payload: bytes) -> None:
    assert BUILDER.text(text, kind, 4) == payload


@pytest.mark.parametrize(
    ("kind", "text", "requirement", "expected", "found"),
    [
        (PLAIN, "aaaaa", "frame.length-limit", "at most 4 bytes", "5 bytes"),
        (PLAIN, "\ud800", "x.utf8", "UTF-8", "U+D800 at index 0"),
        (PLAIN._replace(charset="ascii"), "aé", "x.utf8", "ASCII", "U+00E9 at index 1"),
        (PLAIN._replace(rules={"charset": "x.utf8", "empty": "x.empty"}), "", "x.empty", "at least 1 byte", "none"),
    ],
)
def test_a_text_is_refused_by_its_rules(kind: Text, text: str, requirement: str, expected: str, found: str) -> None:
    with pytest.raises(LocalProtocolError) as error:
        BUILDER.text(text, kind, 4)
    assert (error.value.requirement, error.value.field) == (requirement, "name")
    assert (error.value.expected, error.value.found) == (expected, found)


@pytest.mark.parametrize("parity", [0, 1])
def test_request_ids_have_the_parity_that_is_asked_for(parity: int) -> None:
    BUILDER.check(2 + parity, 1, 0x1, 10, (parity, "x.parity"))
    with pytest.raises(LocalProtocolError) as error:
        BUILDER.check(3 - parity, 1, 0x1, 10, (parity, "x.parity"))
    assert error.value.requirement == "x.parity"
    assert error.value.expected == ("an even number", "an odd number")[parity]
    BUILDER.check(3 - parity, 1, 0x1, 10)


@pytest.mark.parametrize(
    ("numbers", "error"),
    [
        ((1.0, 1, 0x1, 10), TypeError),
        ((1, "1", 0x1, 10), TypeError),
        ((1, 1, 0x1, "10"), TypeError),
        ((1, 1, 0x1, 0), ValueError),
    ],
)
def test_what_is_no_number_is_refused(numbers: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        BUILDER.check(*numbers)


def test_a_choice_is_one_of_the_flags() -> None:
    flags = {"sweet": 0x1, "sour": 0x2, "salty": 0x4}
    assert [choice(name, "taste", flags) for name in flags] == [1, 2, 4]
    for value in ("bitter", "", 1, None):
        with pytest.raises(ValueError, match=r"^taste is 'sweet', 'sour' or 'salty', not "):
            choice(value, "taste", flags)


def test_entries_that_the_revision_does_not_know_are_a_mapping() -> None:
    given = {b"k": b"\x01"}
    entries = BUILDER.entries(given)
    assert entries == given
    assert entries is not given
    assert BUILDER.entries(None) == {}
    with pytest.raises(TypeError, match="extra must be a mapping of keys to bytes, not list"):
        BUILDER.entries([b"k"])  # type: ignore[arg-type]


def test_items_are_in_the_order_of_their_names_and_the_last_one_is_marked() -> None:
    items = Items(codec, 0x2, 0x1, 0x2, "argument", "argument-start")
    assert items(None, "args", 10) == items({}, "args", 10) == []
    whole, start, rest = items({"b": b"123456789", "a": b"x"}, "args", 10)
    assert whole == (0x2, 0, b"\x01\x00\x01\x00ax")
    assert start == (0x2, 1, b"\x01\x00\x09\x00b12345")
    assert rest == (0x2, 2, b"6789")
    for wrong in ([("a", b"x")], "a"):
        with pytest.raises(TypeError, match="args must be a mapping of names to bytes, not"):
            items(wrong, "args", 10)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a name in args must be text, not int"):
        items({1: b""}, "args", 10)  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="the value of 'a' must be bytes"):
        items({"a": "text"}, "args", 10)  # type: ignore[dict-item]


def test_only_bytes_and_files_are_cut() -> None:
    for wrong in ("text", 5, [b"x"]):
        with pytest.raises(TypeError, match="data must be bytes, another buffer of bytes, or a binary file, not"):
            BUILDER.cut(0x3, 0x1, 0x2, wrong, 10)  # type: ignore[arg-type]
    buffer = bytearray(b"abc")
    parts = BUILDER.cut(0x3, 0x1, 0x2, buffer, 2)
    buffer[:] = b"xyz"
    assert list(parts) == [(0x3, 0x1, b"ab"), (0x3, 0x2, b"c")]


class Stuttering(io.BytesIO):
    """A file that has no bytes yet at every second read."""

    is_ready = False

    def read(self, size: int | None = -1) -> Any:
        self.is_ready = not self.is_ready
        return super().read(size) if self.is_ready else None


def test_frames_go_on_after_a_file_had_no_bytes() -> None:
    frames = bytes_response(1, 2, Stuttering(b"abcdefgh"), begin=True, end=True, max_payload=3)
    made, pauses = [], 0
    while True:
        try:
            made.append(next(frames))
        except BlockingIOError:
            pauses += 1
        except StopIteration:
            break
    assert pauses == 3
    assert made == list(bytes_response(1, 2, b"abcdefgh", begin=True, end=True, max_payload=3))


def test_a_file_that_gives_more_than_it_was_asked_for_is_refused() -> None:
    class Generous(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return bytes((size or 0) + 1)

    with pytest.raises(ValueError, match=r"asked for at most 3 bytes, and its read\(\) returned 4"):
        list(bytes_response(1, 2, Generous(), max_payload=3))


@pytest.mark.parametrize(("end", "number"), [(False, 1), (True, 0)])
def test_pushed_bytes_become_frames_at_once_unless_the_last_one_ends_the_stream(end: bool, number: int) -> None:
    pushed = Pushed()
    pushed.add(b"abc")
    frames = bytes_response(1, 2, pushed, end=end, max_payload=3)
    made: list[Frame] = []
    with pytest.raises(BlockingIOError):
        for frame in frames:
            made.append(frame)  # noqa: PERF402 - the frames before the exception count
    assert shapes(made) == [("CONTINUATION", 3)] * number
    pushed.ended = True
    assert shapes([*made, *frames]) == [("CONTINUATION", 3), ("EOS", 0)]
