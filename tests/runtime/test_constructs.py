"""Structs in construct: compiling changes nothing, and one Struct decodes a whole stream."""

from __future__ import annotations

import io
from typing import Any

import pytest
from construct import Byte, ConstructError, StreamError
from construct import Struct as PlainStruct
from hypothesis import given, settings
from hypothesis import strategies as st
from support import INVALID, ROOT, VALID

from hgproto.errors import ProtocolError, RemoteProtocolError
from hgproto.revisions.revision import Revision
from hgproto.runtime.frame import Frame
from hgproto.wire.reader import FrameReader

OURS = Revision("framing-0002")
ALIEN = Revision(str(ROOT / "tests" / "data" / "alien.yaml"))
each_revision = pytest.mark.parametrize("revision", [OURS, ALIEN], ids=["ours", "alien"])


def structs_of(revision: Revision) -> dict[str, Any]:
    """The Structs of a revision by name."""
    module = revision.structs
    return {name: getattr(module, name) for name in module.__all__}


def outcome(call: Any, *arguments: Any, **keywords: Any) -> object:
    """What a call gives, or how it refuses."""
    try:
        return call(*arguments, **keywords)
    except ProtocolError as error:
        return type(error), error.requirement, error.offset, error.field, error.expected, error.found
    except (ConstructError, KeyError, TypeError) as error:
        return type(error)


def samples(revision: Revision) -> list[bytes]:
    """Bytes for Structs: those of examples and vectors, and payloads alone."""
    schema = revision.schema
    parts: list[Any] = [*schema.structures.values(), *schema.frames.values()]
    found = [example.data for part in parts for example in part.examples]
    if revision is OURS:
        found += [bytes.fromhex(vector["wire"]) for vector in (*VALID, *INVALID)]
    return [data[start:] for data in found for start in (0, schema.header.size)]


@each_revision
def test_a_compiled_struct_is_the_same_struct(revision: Revision) -> None:
    refused = taken = 0
    for name, struct in structs_of(revision).items():
        compiled = struct.compile()
        for data in samples(revision):
            for keywords in ({}, {"max_payload": 3}, {"continued": True}):
                value = outcome(struct.parse, data, **keywords)
                assert outcome(compiled.parse, data, **keywords) == value, name
                if isinstance(value, tuple) and value[:1] and isinstance(value[0], type):
                    refused += 1
                    continue
                taken += 1
                if not keywords:
                    built = outcome(struct.build, value)
                    assert outcome(compiled.build, value) == built, name
    assert refused > 300 and taken > 100


def test_a_compiled_struct_names_the_field() -> None:
    data = bytes.fromhex("0600 01 00 05 666f6f")
    for struct in (OURS.structs.text_output, OURS.structs.text_output.compile()):
        with pytest.raises(RemoteProtocolError) as caught:
            struct.parse(data)
        assert caught.value.field == "atoms[0].format"


def test_a_struct_can_be_part_of_one_that_is_compiled() -> None:
    outer = PlainStruct("before" / Byte, "frame" / OURS.structs.frame, "after" / Byte)
    data = b"\x07" + bytes.fromhex("0e00000100010111637573746f6d726561646f6e6c79") + b"\x09"
    value = outer.parse(data)
    assert outer.compile().parse(data) == value
    assert outer.compile().build(value) == data


# A whole stream.


def whole(revision: Revision) -> bytes:
    """Frames of every type, one after the other."""
    frames = [example for frame in revision.schema.frames.values() for example in frame.examples if not example.refused]
    return b"".join(example.data for example in frames)


@each_revision
def test_frames_are_all_frames_of_a_stream(revision: Revision) -> None:
    data, frames = whole(revision), revision.structs.frames
    assert frames.parse(b"") == ()
    parsed = frames.parse(data)
    read = list(FrameReader(codec=revision.codec).feed(data))
    assert len(parsed) == len(read) > 5
    for container, frame in zip(parsed, read, strict=True):
        assert all(container[name] == getattr(frame, name) for name in Frame.shown)
    assert frames.parse_stream(io.BytesIO(data)) == parsed
    assert frames.build(parsed) == data
    assert frames.build([frame.as_dict() for frame in read]) == data
    assert frames.compile().parse(data) == parsed


def refusal(revision: Revision, data: bytes, **limit: int) -> tuple[Any, ...] | None:
    """How the codec refuses a stream: the offset is from its start, and the field has the number of the frame."""
    at = number = 0
    while at < len(data):
        try:
            _, at = revision.codec.decode_frame(data, at, **limit)
        except RemoteProtocolError as error:
            field = f"frames[{number}].{error.field}"
            return error.requirement, error.offset, field, error.expected, error.found
        number += 1
    return None


@each_revision
def test_a_tail_that_is_no_whole_frame_is_refused_at_its_offset(revision: Revision) -> None:
    data = whole(revision)
    refused = 0
    for size in range(len(data)):
        wanted = refusal(revision, data[:size])
        found: Any = outcome(revision.structs.frames.parse, data[:size])
        if wanted is None:
            assert isinstance(found, tuple) and all(isinstance(each, dict) for each in found)
        else:
            refused += 1
            assert found[1:] == wanted
    assert refused > 100


@settings(max_examples=settings().max_examples // 2)
@given(st.data())
def test_any_bytes_are_frames_or_refused_alike(data: st.DataObject) -> None:
    revision = data.draw(st.sampled_from([OURS, ALIEN]))
    raw = bytearray(whole(revision))
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    limit = {"max_payload": data.draw(st.sampled_from([5, 17, 4096]))}
    wanted = refusal(revision, bytes(raw), **limit)
    found: Any = outcome(revision.structs.frames.parse, bytes(raw), **limit)
    if wanted is None:
        assert revision.structs.frames.build(found) == raw
    else:
        assert found[1:] == wanted


@pytest.mark.parametrize("number", [0, 1, 2])
def test_what_cannot_be_built_is_told_with_its_frame(number: int) -> None:
    frame = {"request_id": 1, "stream_id": 1, "stream_flags": 1, "type": 1, "flags": 1, "payload": b"heads"}
    frames = [frame | ({"request_id": 1 << 16} if index == number else {}) for index in range(3)]
    with pytest.raises(ProtocolError) as caught:
        OURS.structs.frames.build(frames)
    assert caught.value.field == f"frames[{number}].request_id"


class Short(io.BytesIO):
    """A file that gives fewer bytes than were asked for."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 2))


def test_a_stream_with_short_reads_is_named_and_not_the_bytes() -> None:
    for struct in (OURS.structs.frames, OURS.structs.frame):
        with pytest.raises(StreamError, match="fewer bytes than requested; use a buffered file"):
            struct.parse_stream(Short(bytes.fromhex("0100000100010111") + b"x"))


FRAME = {"request_id": 1, "stream_id": 1, "stream_flags": 1, "type": 1, "flags": 1, "payload": b"heads"}


def test_the_limit_on_payloads_holds_when_building() -> None:
    frame = FRAME | {"payload": bytes(65536)}
    with pytest.raises(ProtocolError) as codec_error:
        OURS.codec.encode_frame(OURS.codec.make_frame(1, 1, 1, 1, 1, bytes(65536)))
    for build, prefix in ((OURS.structs.frame.build, ""), (lambda one: OURS.structs.frames.build([one]), "frames[0].")):
        with pytest.raises(ProtocolError) as caught:
            build(frame)
        assert str(caught.value) == prefix + str(codec_error.value)
    assert len(OURS.structs.frame.build(frame, max_payload=65536)) == 65536 + 8


@pytest.mark.parametrize(
    ("struct", "value", "message"),
    [
        ("argument", {"name": b"key", "value": b"x"}, "name must be text, not bytes"),
        ("argument", {"name": "key", "value": "x"}, "value must be bytes or another buffer"),
        ("argument", "x", "the value must be a dictionary, not str"),
        ("text_atom", {"format": 5, "labels": [], "args": []}, "format must be text, not int"),
        ("text_atom", {"format": "x", "labels": ["a", b"b"], "args": []}, r"labels\[1\] must be text, not bytes"),
        ("text_output", {"atoms": ["x"]}, r"atoms\[0\] must be a dictionary, not str"),
        ("stream_settings", {"profile": b"x", "settings": b""}, "profile must be text, not bytes"),
        ("text_atom", {"format": "x", "labels": "ab", "args": []}, "labels must be a sequence, not str"),
        ("text_atom", {"format": "x", "labels": [], "args": None}, "args must be a sequence, not NoneType"),
        ("text_output", {"atoms": None}, "atoms must be a sequence, not NoneType"),
        ("frames", 5, "the value must be a sequence, not int"),
        ("argument", None, "the value must be a dictionary, not NoneType"),
        ("progress", "x", "the value must be a dictionary or a Progress, not str"),
        ("frames", ["x"], r"frames\[0\] must be a dictionary, not str"),
    ],
)
def test_a_value_of_a_wrong_type_is_named(struct: str, value: object, message: str) -> None:
    with pytest.raises(TypeError, match=f"^{message}"):
        getattr(OURS.structs, struct).build(value)


@pytest.mark.parametrize("number", [1.5, float("nan")])
def test_a_number_that_is_no_integer_is_named(number: Any) -> None:
    codec: Any = OURS.codec
    for encode, record in (
        (codec.encode_argument_header, codec.ArgumentHeader(1, number)),
        (codec.encode_argument_start, codec.ArgumentStart(number, "a", b"x")),
    ):
        with pytest.raises(TypeError, match=r"^value_length must be an integer, not float$"):
            encode(record)


@pytest.mark.parametrize(
    ("struct", "value", "message"),
    [
        ("argument", {"name": "a"}, "value is missing; give it a value"),
        ("text_output", {"atoms": [{"format": "x", "labels": [], "args": []}, {}]}, r"atoms\[1\]\.format is missing"),
        ("frames", [FRAME, {}], r"frames\[1\]\.\w+ is missing"),
        ("progress", {"pos": 1, "total": 2}, "expected the key topic, found no such key"),
    ],
)
def test_what_is_missing_is_named(struct: str, value: object, message: str) -> None:
    with pytest.raises((ValueError, ProtocolError), match=f"^{message}"):
        getattr(OURS.structs, struct).build(value)
