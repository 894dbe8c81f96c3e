"""The two codecs of framing-0002, one against the other: Structs and fast codec have one meaning."""

from __future__ import annotations

import random
from typing import Any

import pytest
from construct import ConstructError
from hypothesis import given, settings
from hypothesis import strategies as st
from marks import by_column, labelled
from support import INVALID, RECORDS, VALID, Refusal, agree, fast_judgement, frames, struct_judgement

from hgproto.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from hgproto.evidence.prove import plain, same_value
from hgproto.revisions.framing_0002 import codec, structs
from hgproto.runtime.constructs import StructParseError
from hgproto.runtime.frame import Frame

DIFFERENTIAL_INPUTS = 1000 * settings().max_examples


@pytest.mark.parametrize("name", RECORDS)
@given(data=st.data())
def test_parse_and_build_are_inverse(name: str, data: st.DataObject) -> None:
    value = data.draw(RECORDS[name])
    raw = getattr(codec, f"encode_{name}")(value)
    struct = getattr(structs, name)
    assert getattr(codec, f"decode_{name}")(raw) == value
    assert same_value(value, struct.parse(raw))
    assert struct.build(plain(value)) == raw
    assert struct.build(struct.parse(raw)) == raw


@given(frames)
def test_frames_of_any_header_values_round_trip(frame: Frame) -> None:
    data = codec.encode_frame(frame)
    assert codec.decode_frame(data) == (frame, len(data))
    assert codec.encode_header(frame) + frame.payload == data
    container = structs.frame.parse(data)
    assert {name: container[name] for name in Frame.shown} == frame.as_dict()
    assert structs.frame.build(container) == data
    assert structs.frame.build({name: getattr(frame, name) for name in Frame.shown}) == data
    assert codec.decode_frame(data + b"more")[1] == len(data)
    header = structs.frame_header.parse(data)
    assert structs.frame_header.build(header) == data[: codec.HEADER_BYTES]


@given(frames, st.booleans())
def test_any_frame_is_judged_alike(frame: Frame, continued: bool) -> None:
    data = codec.encode_frame(frame)
    assert agree(fast_judgement(data, continued), struct_judgement(data, continued))


@pytest.mark.parametrize("vector", labelled(VALID + INVALID), ids=lambda vector: vector["id"])
def test_vectors_and_all_their_prefixes_are_judged_alike(vector: dict[str, Any]) -> None:
    wire = bytes.fromhex(vector["wire"])
    for end in range(len(wire) + 1):
        assert agree(fast_judgement(wire[:end]), struct_judgement(wire[:end]))


def seeds() -> list[bytes]:
    """The frames of all vectors and of one record of every kind."""
    wires = [bytes.fromhex(vector["wire"]) for vector in VALID + INVALID]
    return [wire for wire in wires if len(wire) < 200]


def mutated(raw: bytes, rng: random.Random) -> bytes:
    """One to three small changes; the length is put right again three times in four, so that payloads are reached."""
    data = bytearray(raw)
    for _ in range(rng.randint(1, 3)):
        match rng.randrange(5):
            case 0 if data:
                data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 1 if data:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            case 2:
                at = rng.randint(0, len(data))
                data[at:at] = rng.randbytes(rng.randint(1, 3))
            case 3 if data:
                at = rng.randrange(len(data))
                del data[at : at + rng.randint(1, 3)]
            case _:
                data += rng.randbytes(rng.randint(0, 4))
    if len(data) >= 8 and rng.randrange(4):
        data[:3] = (len(data) - 8).to_bytes(3, "little")
    return bytes(data)


def test_random_and_mutated_bytes_are_judged_alike() -> None:
    rng = random.Random(20180314)  # noqa: S311 - inputs, not secrets
    corpus = seeds()
    refusals: set[str] = set()
    taken = 0
    for number in range(DIFFERENTIAL_INPUTS):
        if number % 10 == 0:
            header = bytes([*rng.randbytes(6), rng.randrange(8), rng.randrange(0x10, 0x90)])
            payload = rng.randbytes(rng.randrange(24))
            data = len(payload).to_bytes(3, "little") + header[3:] + payload
        else:
            data = mutated(rng.choice(corpus), rng)
        continued = bool(rng.randrange(2))
        fast, slow = fast_judgement(data, continued), struct_judgement(data, continued)
        assert agree(fast, slow), (data.hex(), continued, fast, slow)
        if isinstance(fast, Refusal):
            refusals.add(fast.requirement)
        else:
            taken += 1
    assert taken > DIFFERENTIAL_INPUTS // 20
    # The inputs reach every refusal that the vectors have.
    assert refusals >= {requirement for vector in INVALID for requirement in vector["requirements"]}


BUILD_FAULTS: list[tuple[str, dict[str, Any], str, str]] = [
    ("argument", {"name": "", "value": b""}, "command-argument.name-not-empty", "name"),
    ("argument", {"name": "é", "value": b""}, "command-argument.name-ascii", "name"),
    ("argument", {"name": "a" * 65536, "value": b""}, "command-argument.sizes", "name"),
    ("argument", {"name": "a", "value": bytes(65536)}, "command-argument.sizes", "value"),
    ("argument_header", {"name_length": -1, "value_length": 0}, "command-argument.sizes", "name_length"),
    ("argument_header", {"name_length": 0, "value_length": 65536}, "command-argument.sizes", "value_length"),
    ("argument_start", {"value_length": 1, "name": "a", "value": b"ab"}, "command-argument.value-long", "value"),
    ("argument_start", {"value_length": 65536, "name": "a", "value": b""}, "command-argument.sizes", "value_length"),
    ("text_atom", {"format": "", "labels": ("é",), "args": ()}, "text-output.label-ascii", "labels[0]"),
    ("text_atom", {"format": "\ud800", "labels": (), "args": ()}, "text-output.utf8", "format"),
    ("text_atom", {"format": "", "labels": (), "args": ("a", "\ud800")}, "text-output.utf8", "args[1]"),
    ("text_atom", {"format": "a" * 65536, "labels": (), "args": ()}, "text-output.sizes", "format"),
    ("text_atom", {"format": "", "labels": ("a" * 256,), "args": ()}, "text-output.sizes", "labels[0]"),
    ("text_atom", {"format": "", "labels": ("a",) * 256, "args": ()}, "text-output.sizes", "labels"),
    ("text_atom", {"format": "", "labels": (), "args": ("a",) * 256}, "text-output.sizes", "args"),
    ("text_atom", {"format": "", "labels": (), "args": ("a" * 65536,)}, "text-output.sizes", "args[0]"),
    ("stream_settings", {"profile": "", "settings": b""}, "stream-settings.name-ascii", "profile"),
    ("stream_settings", {"profile": "é", "settings": b""}, "stream-settings.name-ascii", "profile"),
    ("stream_settings", {"profile": "a" * 256, "settings": b""}, "stream-settings.name-size", "profile"),
    ("progress", {"topic": "\ud800", "pos": 1, "total": 1}, "progress.utf8", "topic"),
    ("progress", {"topic": "a", "pos": -2, "total": 1}, "progress.value-types", "pos"),
    ("progress", {"topic": "a", "pos": 1, "total": -1}, "progress.value-types", "total"),
    ("progress", {"topic": "a", "pos": 1, "total": 1 << 64}, "progress.value-types", "total"),
    ("progress", {"topic": None, "pos": 1, "total": 1}, "progress.value-types", "topic"),
    ("progress", {"topic": "a", "pos": 1, "total": 1, "extra": {"x": 1}}, "progress.byte-keys", "extra"),
    ("progress", {"topic": "a", "pos": 1, "total": 1, "extra": {b"pos": 1}}, "progress.duplicate-keys", "extra"),
    ("progress", {"topic": "a", "pos": 1, "total": 1, "extra": {b"x": object()}}, "progress.cbor-map", "extra"),
]


@pytest.mark.parametrize(("name", "parts", "requirement", "field"), by_column(BUILD_FAULTS, 2))
def test_what_cannot_be_built_is_refused_by_both(
    name: str, parts: dict[str, Any], requirement: str, field: str
) -> None:
    record = getattr(codec, "".join(part.capitalize() for part in name.split("_")))
    with pytest.raises(LocalProtocolError) as fast:
        getattr(codec, f"encode_{name}")(record(**parts))
    assert (fast.value.requirement, fast.value.offset, fast.value.field) == (requirement, None, field)
    with pytest.raises(LocalProtocolError) as slow:
        getattr(structs, name).build(parts)
    assert isinstance(slow.value, ConstructError)
    assert Refusal.of(slow.value) == Refusal.of(fast.value)


FRAME_FAULTS = [
    ({"request_id": 65536}, "frame.field-range", "request_id"),
    ({"request_id": -1}, "frame.field-range", "request_id"),
    ({"stream_id": 256}, "frame.field-range", "stream_id"),
    ({"stream_flags": 256}, "frame.field-range", "stream_flags"),
    ({"type": 16}, "frame.field-range", "type"),
    ({"flags": 16}, "frame.field-range", "flags"),
    ({"flags": -1}, "frame.field-range", "flags"),
    ({"payload": bytes(65536)}, "frame.length-limit", "length"),
]


@pytest.mark.parametrize(("change", "requirement", "field"), by_column(FRAME_FAULTS, 1))
def test_frames_that_the_header_cannot_say_are_refused(change: dict[str, Any], requirement: str, field: str) -> None:
    frame = Frame(1, 1, 1, 1, 1, b"name").replace(**change)
    for encode in (codec.encode_frame, codec.encode_header):
        with pytest.raises(LocalProtocolError) as fast:
            encode(frame)
        assert (fast.value.requirement, fast.value.field) == (requirement, field)
    if requirement == "frame.field-range":
        with pytest.raises(LocalProtocolError) as slow:
            structs.frame.build(frame.as_dict())
        assert Refusal.of(slow.value) == Refusal.of(fast.value)


@pytest.mark.requirement("frame.length-limit")
@pytest.mark.parametrize("limit", [1, 7, 65535, (1 << 24) - 1])
def test_the_length_limit_at_its_edges(limit: int) -> None:
    for size in (limit - 1, limit):
        data = codec.encode_frame(Frame(1, 1, 0, 3, 1, bytes(size)), limit)
        assert len(codec.decode_frame(data, 0, limit)[0].payload) == size
        assert len(structs.frame.parse(data, max_payload=limit).payload) == size
    if limit == (1 << 24) - 1:
        return
    over = (limit + 1).to_bytes(3, "little") + bytes([1, 0, 1, 0, 0x31])
    texts = set()
    for decode in (lambda: codec.decode_frame(over, 0, limit), lambda: structs.frame.parse(over, max_payload=limit)):
        with pytest.raises(RemoteProtocolError) as error:
            decode()
        texts.add(str(error.value))
        assert (error.value.requirement, error.value.offset) == ("frame.length-limit", 0)
        assert str(limit) in error.value.expected
        assert str(limit + 1) in error.value.found
    assert len(texts) == 1


@pytest.mark.requirement("command-argument.header-whole")
def test_struct_refusals_are_construct_errors_and_protocol_errors() -> None:
    with pytest.raises(ConstructError) as error:
        structs.argument.parse(b"\x01\x00")
    assert isinstance(error.value, StructParseError)
    assert isinstance(error.value, ProtocolError)
    assert error.value.requirement == "command-argument.header-whole"
    assert error.value.path == "value_length"


@pytest.mark.parametrize("code", range(16))
@pytest.mark.parametrize("flags", range(16))
def test_unknown_types_and_bits_survive(code: int, flags: int) -> None:
    frame, _ = codec.decode_frame(bytes([0, 0, 0, 9, 0, 9, 0xF8, code << 4 | flags]))
    assert (int(frame.type), int(frame.flags), int(frame.stream_flags)) == (code, flags, 0xF8)
    assert isinstance(frame.type, codec.FrameType) == (code in codec.TYPE_NAMES)
    assert frame == codec.make_frame(9, 9, 0xF8, code, flags)
