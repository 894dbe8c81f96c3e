"""Builders: the frames of one message, by every rule of a frame."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marks import by_column
from support import ascii_text, text_atoms, utf8_text

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
    validate_payload,
)
from hgproto.judging.finding import ERROR
from hgproto.revisions.framing_0002 import codec
from hgproto.revisions.framing_0002.build import SEND_PAYLOAD
from hgproto.wire.jsonform import Continuations
from hgproto.wire.texts import placeholders

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hgproto.runtime.frame import Frame


class ShortReads(io.BytesIO):
    """A file that gives a few octets a read."""

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


TEXT_FAULTS: list[tuple[tuple[Any, Any, Any], str, str]] = [
    (("", [], [""] * 256), "text-output.sizes", "args"),
    (("", [""] * 256, []), "text-output.sizes", "labels"),
    (("", ["é"], []), "text-output.label-ascii", "labels[0]"),
    (("é" * 32768, [], []), "text-output.sizes", "format"),
    (("", [], ["é" * 32768]), "text-output.sizes", "args[0]"),
    (("", ["l" * 256], []), "text-output.sizes", "labels[0]"),
    (("%s", [], []), "text-output.placeholders", "args"),
    (("%d", [], []), "text-output.percent", "format"),
]
"""In the order in which they are refused: an atom with two of these faults is refused by the first."""


@pytest.mark.requirement("text-output.sizes", "text-output.label-ascii", "text-output.placeholders")
@pytest.mark.parametrize("first", range(len(TEXT_FAULTS)))
@pytest.mark.parametrize("second", range(len(TEXT_FAULTS)))
def test_texts_are_refused_in_order(first: int, second: int) -> None:
    if first > second:
        return
    (format_a, labels_a, args_a), requirement, field = TEXT_FAULTS[first]
    (format_b, labels_b, args_b), _, _ = TEXT_FAULTS[second]
    atom = (format_a or format_b, [*labels_a, *labels_b], [*args_a, *args_b])
    if (
        len(atom[1]) > 256
        or len(atom[2]) > 256
        or (first != second and "%s" in (format_a, format_b) and args_a + args_b)
    ):
        atom = (format_a or format_b, labels_a or labels_b, args_a or args_b)
    with pytest.raises(LocalProtocolError) as error:
        text_output(1, 2, [("fine", [], []), atom], max_payload=65535)
    assert (error.value.requirement, error.value.field) == (requirement, f"atoms[1].{field}")


@pytest.mark.requirement("text-output.sizes")
def test_texts_as_large_as_they_may_be() -> None:
    atom = ("a" * 65535, ["l" * 255] * 255, ["b" * 65535])
    frame = text_output(1, 2, [("%s" + atom[0][2:], atom[1], atom[2])], max_payload=1 << 20)
    ((_, value),) = values([frame])
    assert (len(value.atoms[0].labels), len(value.atoms[0].args[0])) == (255, 65535)


@pytest.mark.requirement("text-output.single-frame")
def test_a_message_over_the_maximum_is_refused_last() -> None:
    assert len(text_output(1, 2, [("a" * 6, [], [])], max_payload=10).payload) == 10
    with pytest.raises(LocalProtocolError) as error:
        text_output(1, 2, [("a" * 7, [], [])], max_payload=10)
    assert error.value.requirement == "text-output.single-frame"


@given(st.lists(text_atoms, max_size=3))
def test_texts_arrive(atoms: list[codec.TextAtom]) -> None:
    # A percent sign of no directive is doubled, as the protocol wants it.
    formats = [re.sub("%(?![%s])|%%", "%%", atom.format) for atom in atoms]
    fitting = [
        atom.replace(format=text, args=("x",) * placeholders(text)) for atom, text in zip(atoms, formats, strict=True)
    ]
    ((_, value),) = values([text_output(1, 2, fitting)])
    assert value == codec.TextOutput(tuple(fitting))
    triples = [(atom.format, atom.labels, atom.args) for atom in fitting]
    assert text_output(1, 2, triples) == text_output(1, 2, fitting)


@pytest.mark.requirement("text-output.utf8")
@pytest.mark.parametrize(
    ("text", "replaced"), [(b"a\xff", "a\ufffd"), ("a\ud800", "a\ufffd"), ("é", "é"), (b"\xc3\xa9", "é")]
)
def test_what_is_not_utf8_is_refused_or_replaced(text: str | bytes, replaced: str) -> None:
    ((_, value),) = values([text_output(1, 2, [("%s", [], [text])], errors="replace")])
    assert value.atoms[0].args == (replaced,)
    if "\ufffd" in replaced:
        with pytest.raises(LocalProtocolError) as error:
            text_output(1, 2, [("%s", [], [text])])
        assert error.value.requirement == "text-output.utf8"
    else:
        assert text_output(1, 2, [("%s", [], [text])]).payload


@pytest.mark.requirement("text-output.percent")
@pytest.mark.parametrize("text", ["100%", "%d\n", "%", "a %S", "%\n", "%%%", "%s% "])
def test_a_percent_sign_of_no_directive_is_refused(text: str) -> None:
    def send_text() -> None:
        server = Server()
        server.receive_data(b"".join(encode_frames(command(1, 1, "x", begin=True))))
        server.send_text(1, atoms)

    atoms: Any = [("fine\n", [], []), (text, [], ["x"] * placeholders(text))]
    for build in (lambda: text_output(1, 2, atoms), send_text):
        with pytest.raises(LocalProtocolError, match="expected %s or %%, found") as error:
            build()
        assert (error.value.requirement, error.value.field) == ("text-output.percent", "atoms[1].format")
    escaped: Any = [("fine\n", [], []), (text.replace("%", "%%"), [], [])]
    assert not [
        one.id for one in validate_payload("text-output", text_output(1, 2, escaped).payload) if one.severity == ERROR
    ]


def test_what_happens_to_text_that_is_not_utf8_is_one_of_two_things() -> None:
    for text in ("a", b"a"):
        with pytest.raises(ValueError, match="errors is 'strict' or 'replace', not 'ignore'"):
            text_output(1, 2, [(text, [], [])], errors="ignore")  # type: ignore[arg-type]


@pytest.mark.requirement("text-output.placeholders")
@pytest.mark.parametrize(
    ("text", "count"), [("", 0), ("%s", 1), ("%%s", 0), ("%%%s", 1), ("%d%s", 1), ("%", 0), ("%s%", 1), ("%\n%s", 1)]
)
def test_placeholders(text: str, count: int) -> None:
    assert placeholders(text) == count


@pytest.mark.requirement("error-response.single-frame", "error-response.utf8", "error-response.exactly-one")
@given(utf8_text, st.integers(1, 12), st.sampled_from(["application", "protocol"]))
def test_error_messages_are_cut_at_a_character(message: str, most: int, kind: Any) -> None:
    frame = error_response(1, 2, message, kind, max_payload=most)
    ((_, value),) = values([frame])
    octets = message.encode()
    assert message.startswith(value)
    assert len(frame.payload) <= most
    assert len(octets) <= most or len(octets[: len(frame.payload)]) > most - 4
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
