"""A protocol that is not Mercurial's, through the same emitters: what the language can say, both codecs can do.

tests/data/alien.yaml has another header, integers and arrays of every width, strings of every kind, fields called like
variables of generated code, and every kind of constraint. Values are drawn from the schema itself.
"""

from __future__ import annotations

import io
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from construct import ConstructError
from hypothesis import given, settings
from hypothesis import strategies as st
from support import ROOT, Refusal

from hgproto import Client, DecodingPool, InputStream, OutputStream, Server, encode_frame, encode_frames, write_frames
from hgproto.errors import HumanFormError, LocalProtocolError, ProtocolError, RemoteProtocolError
from hgproto.evidence.coverage import Coverage
from hgproto.evidence.prove import plain, same_value
from hgproto.language.names import camel, snake
from hgproto.revisions.framing_0002 import codec as own_codec
from hgproto.revisions.revision import Revision
from hgproto.runtime.cbor import encode_item
from hgproto.runtime.frame import Frame, Record
from hgproto.wire.human import format_frame, parse_frame
from hgproto.wire.jsonform import frame_from_json, frame_to_json
from hgproto.wire.reader import FrameReader
from hgproto.wire.tree import Style, annotated, frame_tree
from hgproto.wire.writer import frame_buffers

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgproto.language.cbor_types import CborType
    from hgproto.language.model import Field, Schema, Structure

ALIEN = Revision(str(ROOT / "tests" / "data" / "alien.yaml"))
SCHEMA, STRUCTS = ALIEN.schema, ALIEN.structs
CODEC: Any = ALIEN.codec
STRUCTURES = list(SCHEMA.structures)

HALF = settings(max_examples=settings().max_examples // 2)
"""Half the examples for each structure, since there are many."""

ascii_text = st.text(st.characters(codec="ascii"), max_size=8)
utf8_text = st.text(st.characters(codec="utf-8"), max_size=8)


def vars_of(record: Record) -> dict[str, Any]:
    """The fields of a record that are given to build it, as they are."""
    return {name: getattr(record, name) for name in type(record).__slots__}


def one_of_type(field: Field) -> st.SearchStrategy[Any]:
    """A value, or an element, of a field."""
    if field.fixed_size is not None:
        return st.integers(0, (1 << 8 * field.fixed_size) - 1)
    if field.type in SCHEMA.structures:
        return records(field.type)
    strings: st.SearchStrategy[Any] = {"ascii": ascii_text, "utf8": utf8_text, "bytes": st.binary(max_size=8)}[
        field.type
    ]
    return strings.filter(bool) if "empty" in field.rules else strings


def of_cbor_type(type: CborType) -> st.SearchStrategy[Any]:
    """Values of a CBOR type."""
    scalars: dict[str, st.SearchStrategy[Any]] = {
        "text": utf8_text,
        "ascii": st.sampled_from(type.choices) if type.choices else ascii_text,
        "bytes": st.binary(max_size=8),
        "int": st.integers(-(2**64) if type.minimum is None else type.minimum, 2**64 - 1),
        "uint": st.integers(0, 2**64 - 1),
        "bool": st.booleans(),
        "any": st.recursive(
            st.none() | st.booleans() | st.integers(-9, 9) | st.binary(max_size=3) | utf8_text,
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.binary(max_size=2), inner, max_size=2),
            max_leaves=4,
        ),
    }
    parts = [of_cbor_type(part) for part in type.parts]
    match type.name:
        case "array":
            return st.lists(parts[0], max_size=3)
        case "map-of":
            return st.dictionaries(parts[0], parts[1], max_size=3)
        case "map":
            known = {e.name: of_cbor_type(e.type) for e in type.entries}
            required = {e.name: known.pop(e.name) for e in type.entries if not e.optional}
            more = st.dictionaries(st.binary(min_size=9, max_size=10), scalars["any"], max_size=2)
            return st.builds(lambda one, two: one | two, st.fixed_dictionaries(required, optional=known), more)
        case "one-of":
            return st.one_of(parts)
    return scalars[type.name]


@cache
def records(name: str) -> st.SearchStrategy[Any]:
    """Values of a structure that can be built."""
    structure = SCHEMA.structures[name]
    if structure.is_cbor:
        parts = {
            e.name: st.none() | of_cbor_type(e.type) if e.optional else of_cbor_type(e.type) for e in structure.entries
        }
        parts["extra"] = st.dictionaries(
            st.binary(max_size=3), (st.integers(-9, 9) | ascii_text).map(encode_item), max_size=2
        )
        return st.fixed_dictionaries(parts).map(lambda values: made(structure, values))
    parts = {f.name: one_of_type(f) for f in structure.values}
    for field in structure.values:
        if field.is_array:
            parts[field.name] = st.lists(parts[field.name], max_size=3).map(tuple)
    return st.fixed_dictionaries(parts).map(lambda values: made(structure, values))


def made(structure: Structure, values: dict[str, Any]) -> Any:
    """A record of these values, with the numbers that bound others put right."""
    for field in structure.fields:
        if field.at_most is not None:
            values[field.at_most] = max(values[field.at_most], len(values[field.name]))
    return getattr(CODEC, camel(structure.name))(**values)


def judged(call: Callable[[], Any]) -> Any:
    """What a call gives, or its refusal."""
    try:
        return call()
    except ProtocolError as error:
        return Refusal.of(error)


def same_judgement(fast: Any, slow: Any) -> bool:
    if isinstance(fast, Record):
        return same_value(fast, slow)
    return bool(fast == slow)


@pytest.mark.parametrize("name", STRUCTURES)
@HALF
@given(data=st.data())
def test_values_round_trip_through_both_codecs(name: str, data: st.DataObject) -> None:
    value = data.draw(records(name))
    raw = getattr(CODEC, f"encode_{snake(name)}")(value)
    struct = getattr(STRUCTS, snake(name))
    assert getattr(CODEC, f"decode_{snake(name)}")(raw) == value
    assert getattr(CODEC, f"decode_{snake(name)}")(memoryview(raw)) == value
    assert struct.build(plain(value)) == raw
    assert same_value(value, struct.parse(raw))
    assert value.replace() == value
    shown = [part.name for part in SCHEMA.structures[name].shown or SCHEMA.structures[name].entries]
    assert [part for part in value.as_dict() if part != "extra"] == shown


@pytest.mark.parametrize("name", STRUCTURES)
@HALF
@given(data=st.data())
def test_damaged_bytes_are_judged_alike(name: str, data: st.DataObject) -> None:
    raw = bytearray(getattr(CODEC, f"encode_{snake(name)}")(data.draw(records(name))))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    judge_alike(name, bytes(raw))


@pytest.mark.parametrize("name", STRUCTURES)
@HALF
@given(data=st.binary(max_size=40))
def test_any_bytes_are_judged_alike(name: str, data: bytes) -> None:
    judge_alike(name, data)


def judge_alike(name: str, data: bytes) -> None:
    fast = judged(lambda: getattr(CODEC, f"decode_{snake(name)}")(data))
    slow = judged(lambda: getattr(STRUCTS, snake(name)).parse(data))
    assert same_judgement(fast, slow), (data.hex(), fast, slow)


CLAIMS = [
    ("parcel", "ffffffff"),
    ("parcel", "ffffffff ffffff"),
    ("parcel", "00000000 ff ffff"),
    ("parcel", "00000000 00 ffff ffffffff"),
    ("parcel", "01000000 ffffff 00 0000 00"),
    ("greeting", "ff 61"),
    ("ledger", "000000 ffff 61"),
]


@pytest.mark.parametrize(("name", "hex_"), CLAIMS)
def test_numbers_that_claim_too_much_cost_nothing(name: str, hex_: str) -> None:
    data = bytes.fromhex(hex_)
    fast = judged(lambda: getattr(CODEC, f"decode_{name}")(data))
    assert fast == judged(lambda: getattr(STRUCTS, name).parse(data))
    assert fast[0] == f"{name}.whole"


PARSE_FAULTS = [
    ("parcel", "01000000 050000 00 0000", "value[0]"),
    ("parcel", "02000000 010000 050000 00 0000 61", "value[1]"),
    ("parcel", "00000000 02 0100 0500 0000 61", "word[1]"),
    ("parcel", "00000000 00 0200 01000000 00000000 61", "record[1]"),
    ("ledger", "000000 0100 61 05000000 01 61 05000000 05 61", "lines[1].name"),
]


@pytest.mark.parametrize(("name", "hex_", "field"), PARSE_FAULTS)
def test_both_codecs_name_the_item_that_is_wrong(name: str, hex_: str, field: str) -> None:
    data = bytes.fromhex(hex_)
    for parse in (getattr(CODEC, f"decode_{name}"), getattr(STRUCTS, name).parse):
        with pytest.raises(RemoteProtocolError) as error:
            parse(data)
        assert error.value.field == field


BUILD_FAULTS: list[tuple[str, dict[str, Any], str, str]] = [
    ("stamp", {"day": 1 << 32}, "stamp.range", "day"),
    ("stamp", {"day": -1}, "stamp.range", "day"),
    ("stamp", {"at": 1 << 24}, "stamp.range", "at"),
    ("stamp", {"at": -1}, "stamp.range", "at"),
    ("readings", {"humidity_in_the_chamber": 1 << 16}, "readings.range", "humidity_in_the_chamber"),
    ("readings", {"temperature_of_the_relay": 1 << 24}, "readings.range", "temperature_of_the_relay"),
    ("greeting", {"nick": ""}, "greeting.nick", "nick"),
    ("greeting", {"nick": "é"}, "greeting.ascii", "nick"),
    ("greeting", {"nick": "n" * 256}, "greeting.range", "nick"),
    ("greeting", {"motto": "\ud800"}, "greeting.utf8", "motto"),
    ("greeting", {"motto": "é" * 32768}, "greeting.range", "motto"),
    ("parcel", {"value": (bytes(1 << 24),)}, "parcel.range", "value[0]"),
    ("parcel", {"word": ("w",) * 256}, "parcel.range", "word"),
    ("parcel", {"word": ("w" * 65536,)}, "parcel.range", "word[0]"),
    ("parcel", {"value": (b"", bytes(1 << 24))}, "parcel.range", "value[1]"),
    ("parcel", {"word": ("w", "w" * 65536)}, "parcel.range", "word[1]"),
    ("parcel", {"word": ("\ud800",)}, "parcel.charset", "word[0]"),
    ("parcel", {"record": ("",)}, "parcel.tag", "record[0]"),
    ("parcel", {"record": ("a", "é")}, "parcel.charset", "record[1]"),
    ("parcel", {"record": ("a",) * 65536}, "parcel.range", "record"),
    ("chunk", {"most": 1, "data": b"12"}, "chunk.surplus", "data"),
    ("ledger", {"page": 1 << 24}, "ledger.range", "page"),
    ("ledger", {"name": ""}, "ledger.name", "name"),
    ("ledger", {"name": "n" * 65536}, "ledger.range", "name"),
    ("ledger", {"lines": (CODEC.Line(1, "a"), CODEC.Line(1, ""))}, "ledger.name", "lines[1].name"),
    ("ledger", {"lines": (CODEC.Line(1, "a"), CODEC.Line(1 << 32, "a"))}, "ledger.range", "lines[1].amount"),
    ("ledger", {"lines": (CODEC.Line(1, "é"),)}, "ledger.charset", "lines[0].name"),
    ("ledger", {"lines": (CODEC.Line(1, "a" * 256),)}, "ledger.range", "lines[0].name"),
    ("status", {"level": 2}, "status.type", "level"),
    ("status", {"since_when": -1}, "status.type", "since_when"),
    ("status", {"remark": 5}, "status.type", "remark"),
    ("status", {"extra": {b"level": 5}}, "status.map", "extra"),
]
GOOD: dict[str, dict[str, Any]] = {
    "stamp": {"day": 1, "at": 2},
    "readings": {field.name: 0 for field in SCHEMA.structures["readings"].fields},
    "greeting": {"nick": "n", "day": 1, "at": 2, "motto": ""},
    "parcel": {"value": (), "word": (), "record": (), "end": 0},
    "chunk": {"most": 2, "data": b"12"},
    "line": {"amount": 1, "name": "n"},
    "ledger": {"page": 1, "name": "n", "lines": ()},
    "status": {"level": 3, "since_when": 0},
}


@pytest.mark.parametrize(("name", "change", "requirement", "field"), BUILD_FAULTS)
def test_what_cannot_be_built_is_refused_by_both(
    name: str, change: dict[str, Any], requirement: str, field: str
) -> None:
    value = getattr(CODEC, camel(name))(**GOOD[name] | change)
    with pytest.raises(LocalProtocolError) as fast:
        getattr(CODEC, f"encode_{name}")(value)
    with pytest.raises(LocalProtocolError) as slow:
        getattr(STRUCTS, name).build(plain(value))
    assert isinstance(slow.value, ConstructError)
    assert Refusal.of(fast.value) == Refusal.of(slow.value)
    assert Refusal.of(fast.value)[:3] == (requirement, None, field)


LISTS = [
    (each.name, field.name)
    for each in SCHEMA.structures.values()
    for field in each.values
    if field.is_array or field.repeat
]


@pytest.mark.parametrize(("name", "field"), LISTS)
@pytest.mark.parametrize("value", ["", "ab", b"", b"ab", bytearray(b"ab"), memoryview(b"ab"), 5, None])
def test_text_and_bytes_are_no_lists(name: str, field: str, value: object) -> None:
    record = getattr(CODEC, camel(name))(**GOOD[name] | {field: value})
    for encode in (getattr(CODEC, f"encode_{snake(name)}"), lambda one: getattr(STRUCTS, name).build(vars_of(one))):
        with pytest.raises(TypeError, match=f"^{field} must be a sequence, not {type(value).__name__}$"):
            encode(record)


@pytest.mark.parametrize("item", [None, 5, "x"])
def test_an_item_that_is_not_bytes_is_told_by_its_field(item: object) -> None:
    values = {structure.name: structure.values for structure in SCHEMA.structures.values()}
    fields = [(name, each.name) for name in values for each in values[name] if each.is_array and each.type == "bytes"]
    assert fields
    for name, field in fields:
        record = getattr(CODEC, camel(name))(**GOOD[name] | {field: (b"x", item)})
        with pytest.raises(TypeError, match=f"^an item of {field} must be bytes .*, not {type(item).__name__}$"):
            getattr(CODEC, f"encode_{snake(name)}")(record)


@pytest.mark.parametrize(("name", "field"), LISTS)
def test_lists_are_as_good_as_tuples(name: str, field: str) -> None:
    value = getattr(CODEC, camel(name))(**GOOD[name] | {field: []})
    assert getattr(CODEC, f"encode_{snake(name)}")(value) == getattr(CODEC, f"encode_{snake(name)}")(
        value.replace(**{field: ()})
    )


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_values_that_are_changed_above_are_good(name: str) -> None:
    value = getattr(CODEC, camel(name))(**GOOD[name])
    assert getattr(STRUCTS, name).build(plain(value)) == getattr(CODEC, f"encode_{name}")(value)


# Whole frames.

frames = st.builds(
    CODEC.make_frame,
    st.integers(0, (1 << 24) - 1),
    st.integers(0, (1 << 32) - 1),
    st.integers(0, 255) | st.sampled_from([0, 1, 8, 0x80]),
    st.integers(0, 7) | st.sampled_from([0, 2, 5, 7]),
    st.integers(0, 31) | st.integers(0, 3),
    st.binary(max_size=20)
    | st.one_of(*(records(name).map(getattr(CODEC, f"encode_{snake(name)}")) for name in STRUCTURES)),
)


@given(frames)
def test_frames_round_trip_in_every_form(frame: Frame) -> None:
    data = CODEC.encode_frame(frame)
    assert len(data) == 13 + len(frame.payload)
    assert CODEC.decode_frame(data) == (frame, len(data))
    assert list(FrameReader(codec=CODEC).read([data[:5], data[5:], data])) == [frame, frame]
    assert parse_frame(format_frame(frame, CODEC), CODEC) == frame
    assert frame_from_json(frame_to_json(frame, CODEC), CODEC) == frame
    container = STRUCTS.frame.parse(data)
    assert {name: container[name] for name in Frame.shown} == frame.as_dict()
    assert STRUCTS.frame.build(frame.as_dict()) == STRUCTS.frame.build(container) == data


@given(frames, st.booleans(), st.integers(0, 60))
def test_frames_are_judged_alike(frame: Frame, continued: bool, end: int) -> None:
    data = CODEC.encode_frame(frame)
    data = data[:end] if end < 40 else data

    def fast() -> Any:
        decoded, _ = CODEC.decode_frame(data)
        CODEC.check_header(decoded)
        try:
            return CODEC.decode_payload(decoded, continued)
        except RemoteProtocolError as error:
            raise error.moved(CODEC.HEADER_BYTES) from None

    def slow() -> Any:
        container = STRUCTS.checked_frame.parse(data, continued=continued)
        return container.payload if container.value is None else container.value

    assert same_judgement(judged(fast), judged(slow))


def test_headers_are_refused_for_every_reason_that_there_is() -> None:
    header = SCHEMA.header
    reasons = {header.rules(name)["unknown"] for name in ("type", "flags", "stream_flags")}
    reasons |= {constraint.requirement for constraint in SCHEMA.stream_constraints}
    for frame in SCHEMA.frames.values():
        reasons |= {constraint.requirement for constraint in frame.constraints}
        reasons |= {frame.sender_requirement} if frame.sender_requirement else set()
    found = set()
    for request_id, stream_id, stream_flags, code, flags in product(
        range(2), range(2), (0, 1, 2, 8, 9, 0x81), range(8), range(32)
    ):
        frame_ = CODEC.make_frame(request_id, stream_id, stream_flags, code, flags)
        refusal = judged(partial(CODEC.check_header, frame_))
        found.add(refusal and refusal[0])
    assert found == reasons | {None}


@pytest.mark.parametrize(
    ("change", "requirement", "field"),
    [
        ({"request_id": 1 << 24}, "relay.id-range", "request_id"),
        ({"request_id": -1}, "relay.id-range", "request_id"),
        ({"stream_id": 1 << 32}, "relay.range", "stream_id"),
        ({"stream_flags": 256}, "relay.range", "stream_flags"),
        ({"type": 8}, "relay.range", "type"),
        ({"type": -1}, "relay.range", "type"),
        ({"flags": 32}, "relay.range", "flags"),
        ({"flags": -1}, "relay.range", "flags"),
        ({"payload": bytes(4097)}, "relay.length", "length"),
    ],
)
def test_frames_that_the_header_cannot_say(change: dict[str, Any], requirement: str, field: str) -> None:
    frame = Frame(1, 1, 1, 2, 1, b"x").replace(**change)
    for encode in (CODEC.encode_frame, CODEC.encode_header):
        with pytest.raises(LocalProtocolError) as fast:
            encode(frame)
        assert Refusal.of(fast.value)[:3] == (requirement, None, field)
    if "payload" not in change:
        with pytest.raises(LocalProtocolError) as slow:
            STRUCTS.frame.build(frame.as_dict())
        assert Refusal.of(slow.value) == Refusal.of(fast.value)


def test_what_is_continued_is_told_by_the_flag_and_ended_by_the_sender() -> None:
    assert CODEC.PAYLOADS[5] == ((0, 4, "chunk"), (0, 0, "readings"))
    # No other type is sent by servers alone, so nothing interrupts.
    assert dict(CODEC.INTERRUPTS) == {5: frozenset()}


def test_the_schema_is_as_alien_as_it_says() -> None:
    text = Path(SCHEMA.files[0]).read_text(encoding="utf-8")
    for word in (
        "u8",
        "u16",
        "u24",
        "u32",
        "ascii",
        "utf8",
        "bytes",
        "at_most",
        "repeat",
        "embed",
        "show",
        "after",
        "when",
    ):
        assert word in text
    kinds = {constraint.kind for frame in SCHEMA.frames.values() for constraint in frame.constraints}
    assert kinds >= {
        "even",
        "none-of",
        "requires",
        "exactly-one-of",
        "all-of",
        "at-least-one-of",
        "forbids",
        "at-most-one-of",
    }
    assert SCHEMA.machines == {}


# Another revision's frames and codecs where framing-0002 is meant.

ALIEN_FRAME = CODEC.make_frame(1, 2, 1, 2, 0, b"parcel")
OWN_FRAME = own_codec.make_frame(1, 1, 1, 1, 1, b"heads")
NUMBERS = Frame(1, 1, 1, 1, 1, b"heads")


def shown_by(codec: Any) -> tuple[Schema, Any]:
    """The schema and the codec that show a frame; those of framing-0002 for None."""
    return (SCHEMA, codec) if codec is CODEC else (Revision("framing-0002").schema, codec or own_codec)


WITH_A_CODEC: dict[str, Callable[[Frame, Any], object]] = {
    "format_frame": format_frame,
    "frame_to_json": lambda frame, codec: frame_to_json(frame, codec or own_codec),
    "encode_frame": lambda frame, codec: encode_frame(frame, codec=codec),
    "encode_frames": lambda frame, codec: list(encode_frames([frame, frame], codec=codec)),
    "frame_buffers": lambda frame, codec: list(frame_buffers([frame], codec=codec)),
    "write_frames": lambda frame, codec: write_frames(io.BytesIO(), [frame], codec=codec),
    "annotated": lambda frame, codec: list(annotated(frame, False, *shown_by(codec))),
    "frame_tree": lambda frame, codec: list(frame_tree(frame, 0, 0, False, *shown_by(codec), Style(colour=False))),
}
OF_OUR_REVISION: dict[str, Callable[[Frame], object]] = {
    "Server.receive_frame": lambda frame: Server().receive_frame(frame),
    "DecodingPool.receive_frame": lambda frame: DecodingPool(Server()).receive_frame(frame),
    "Client.receive_frame": lambda frame: Client().receive_frame(frame),
    "InputStream.receive": lambda frame: InputStream(1).receive(frame),
    "OutputStream.send": lambda frame: list(OutputStream(2).send(frame)),
}


MIXED = [
    OWN_FRAME.replace(stream_flags=CODEC.make_frame(2, 2, 1, 2, 0, b"").stream_flags),
    OWN_FRAME.replace(flags=CODEC.make_frame(2, 2, 1, 2, 1, b"").flags),
]
"""Frames of framing-0002 with one number of another revision."""


@pytest.mark.parametrize("frame", MIXED, ids=repr)
def test_every_number_of_a_frame_tells_its_revision(frame: Frame) -> None:
    with pytest.raises(ValueError, match="another revision"):
        encode_frame(frame)
    # Flags of another type are wrong, and still of the revision.
    assert encode_frame(OWN_FRAME.replace(flags=own_codec.CommandDataFlag.EOS))


@pytest.mark.parametrize("name", WITH_A_CODEC)
def test_frames_of_another_revision_than_the_codec_are_refused(name: str) -> None:
    call = WITH_A_CODEC[name]
    with pytest.raises(ValueError, match=r"expected a frame of framing-0002, found one of another .*TELEGRAM: 2"):
        call(ALIEN_FRAME, None)
    with pytest.raises(ValueError, match=r"expected a frame of relay-7, found one of another .*COMMAND_NAME: 1"):
        call(OWN_FRAME, CODEC)
    assert call(ALIEN_FRAME, CODEC) != call(ALIEN_FRAME.replace(request_id=2), CODEC) or name == "write_frames"
    assert call(NUMBERS, None) == call(OWN_FRAME, None)
    call(NUMBERS, CODEC)


@pytest.mark.parametrize("name", OF_OUR_REVISION)
def test_reactors_and_streams_refuse_frames_of_another_revision(name: str) -> None:
    for frame in (ALIEN_FRAME, *MIXED):
        with pytest.raises(ValueError, match="another revision"):
            OF_OUR_REVISION[name](frame)
    OF_OUR_REVISION[name](NUMBERS)


def test_a_type_that_no_revision_knows_is_of_any_revision() -> None:
    unknown = own_codec.make_frame(1, 1, 0, 15, 0, b"")
    assert format_frame(unknown) == "1 1 0 0xf 0"
    mixed = CODEC.make_frame(1, 1, 1, 1, 0, b"")
    assert CODEC.TYPE_NAMES.get(1) is None
    with pytest.raises(ValueError, match="OPENS: 1"):
        format_frame(mixed)


def test_output_streams_refuse_a_revision_without_streams() -> None:
    with pytest.raises(ValueError, match="relay-7 has no state machine for a stream; use another revision"):
        OutputStream(2, revision=ALIEN)


def test_coverage_refuses_vectors_of_another_revision() -> None:
    with pytest.raises(ValueError, match="expected content of framing-0002, found the revision 'relay-7'"):
        Coverage().vectors({"revision": "relay-7", "vectors": []})
    coverage = Coverage()
    coverage.vectors({"revision": "framing-0002", "vectors": [{"wire": encode_frame(OWN_FRAME).hex()}]})
    assert coverage.reached("types") == 1


@pytest.mark.parametrize("codec", [own_codec, CODEC], ids=["framing-0002", "relay-7"])
def test_the_notation_of_later_revisions_for_cbor_is_refused_and_its_bytes_are_not(codec: Any) -> None:
    with pytest.raises(HumanFormError, match=r"\\x63bor:.*found cbor:, the notation of later revisions at column 11"):
        parse_frame("1 1 0 7 0 cbor:{b'topic': b'x'}", codec)
    for payload in (b"cbor:", b"cbor:1", b"cbor", b" cbor:"):
        frame = codec.make_frame(1, 1, 0, 7, 0, payload)
        assert parse_frame(format_frame(frame, codec), codec) == frame
