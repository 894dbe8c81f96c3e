"""Structures in CBOR: unknown entries of maps are kept as encoded bytes, and sequences have items in order."""

from __future__ import annotations

import tracemalloc
from copy import copy
from time import process_time
from typing import TYPE_CHECKING, Any

import pytest
from support import ROOT

from hgproto import Revision
from hgproto.errors import LocalProtocolError, RemoteProtocolError, quoted
from hgproto.judging.validation import validate
from hgproto.revisions.framing_0002 import codec, structs
from hgproto.runtime.cbor import MAX_DEPTH, NULL, Chunks, Tag, decode_item, encode_item, encode_map
from hgproto.runtime.entries import decode_item_of
from hgproto.runtime.layout import walk
from hgproto.runtime.shapes import brief
from hgproto.wire.jsonform import value_to_json

if TYPE_CHECKING:
    from collections.abc import Callable

KNOWN = bytes.fromhex("43706f73 01 45746f706963 4178 45746f74616c 0a")
VALUES = ["00", "1800", "4161", "5f4161ff", "7f6161ff", "80", "9f0102ff", "a1 00 01", "c1 00", "f4", "f97e00", "f8ff"]


@pytest.mark.parametrize("value", VALUES)
def test_unknown_values_are_written_back_byte_for_byte(value: str) -> None:
    data = bytes.fromhex(value)
    payload = b"\xa4" + b"\x41a" + data + KNOWN
    progress = codec.decode_progress(payload)
    assert progress.extra == {b"a": data}
    assert codec.encode_progress(progress) == payload
    assert [span.value for span in walk(codec.PROGRESS, payload) if span.path == "a.value"] == [data]


def test_values_of_other_encodings_are_not_equal() -> None:
    one, other = (codec.Progress("x", 1, 2, extra={b"a": value}) for value in (b"\x00", b"\x18\x00"))
    assert one != other
    assert len({one, other, codec.Progress("x", 1, 2, extra={b"a": b"\x00"})}) == 2


BAD_VALUES: list[tuple[Any, str]] = [
    (5, "progress.cbor-map"),
    (None, "progress.cbor-map"),
    ([1], "progress.cbor-map"),
    ("a", "progress.cbor-map"),
    (b"", "progress.cbor-map"),
    (b"\x00\x00", "progress.cbor-map"),
    (b"\x81", "progress.cbor-map"),
    (b"\xa2\x00\x00\x00\x00", "progress.duplicate-keys"),
    (b"\x61\xff", "progress.utf8"),
    (b"\x81" * MAX_DEPTH + b"\x00", "progress.cbor-map"),
]


@pytest.mark.parametrize(("value", "requirement"), BAD_VALUES)
def test_what_is_no_item_is_not_written(value: Any, requirement: str) -> None:
    with pytest.raises(LocalProtocolError) as error:
        codec.encode_progress(codec.Progress("x", 1, 2, extra={b"a": value}))
    assert (error.value.requirement, error.value.field) == (requirement, "extra")


@pytest.mark.parametrize("value", [value for value, _ in BAD_VALUES if isinstance(value, bytes) and value])
def test_what_is_no_item_is_not_read(value: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        codec.decode_progress(b"\xa4" + KNOWN + b"\x41a" + value)


@pytest.mark.parametrize(
    "value",
    [b"\x80" * 50_000, b"\xa0" * 50_000, b"\xf7" * 50_000, b"\x18\xff" * 50_000],
    ids=["arrays", "maps", "simple", "numbers"],
)
@pytest.mark.parametrize("key", [b"\x41a", b"\x45label"])
def test_no_objects_are_made_of_what_is_inside(key: bytes, value: bytes) -> None:
    count = 50_000
    payload = b"\xa4" + KNOWN + key + b"\x9a" + count.to_bytes(4, "big") + value
    tracemalloc.start()
    try:
        if key == b"\x41a":
            codec.decode_progress(payload)
        else:
            with pytest.raises(RemoteProtocolError, match="expected a string, found an array"):
                codec.decode_progress(payload)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(payload) + 20_000
    finally:
        tracemalloc.stop()


def test_strings_of_all_forms_are_read() -> None:
    for topic in ("4178", "580178", "5f4178ff", "6178", "7f6178ff"):
        payload = bytes.fromhex(f"a3 43706f73 01 45746f706963 {topic} 45746f74616c 0a")
        assert codec.decode_progress(payload) == codec.Progress("x", 1, 10)


def test_values_in_a_few_words() -> None:
    assert brief(decode_item(encode_item({b"a": [1]}))[0]) == "a map"
    assert brief("a" * 100) == f"{'a' * 32!r}..."
    assert brief(10**5000) == "0x31e20801... (16610 bits)"


@pytest.mark.requirement("progress.utf8")
@pytest.mark.parametrize(
    ("topic", "index"),
    [
        ("42 61 ff", 2),
        ("58 02 61 ff", 3),
        ("5f 41 61 41 ff ff", 4),
        ("5f 42 6161 40 58 02 61 ff 41 61 ff", 8),
        # The bytes of a character may be in several chunks. The first one is at fault if the others are missing.
        ("5f 41 c3 41 a9 41 c3 41 61 ff", 6),
        ("62 61 ff", 2),
        ("7f 61 61 61 ff ff", 4),
    ],
)
def test_a_byte_that_is_not_utf8_has_its_own_offset(topic: str, index: int) -> None:
    value = bytes.fromhex(topic)
    payload = b"\xa3\x43pos\x01\x45topic" + value + b"\x45total\x0a"
    start = payload.index(value)
    wire = codec.encode_frame(codec.make_frame(1, 2, 1, codec.FrameType.PROGRESS, 0, payload))
    readers: list[tuple[int, Callable[[], Any]]] = [
        (0, lambda: codec.decode_progress(payload)),
        (0, lambda: list(walk(codec.PROGRESS, payload))),
        (0, lambda: structs.progress.parse(payload)),
        (codec.HEADER_BYTES, lambda: structs.checked_frame.parse(wire)),
    ]
    for before, read in readers:
        with pytest.raises(RemoteProtocolError) as error:
            read()
        assert (error.value.requirement, error.value.offset) == ("progress.utf8", before + start + index)
        assert error.value.found == f"the byte 0x{value[index]:02x}"
    for depth in ("session", "frames"):
        found = next(one for one in validate(wire, role="server", depth=depth) if one.id == "progress.utf8")
        assert found.offset == codec.HEADER_BYTES + start + index


def test_the_path_of_a_long_key_is_short_and_takes_little_memory() -> None:
    keys = [b"\xff" * (1 << 20) + bytes([last]) for last in (0, 1)]
    data = encode_map([(b"topic", b"t"), (b"pos", 1), (b"total", 2), *((key, 0) for key in keys)])
    tracemalloc.start()
    try:
        paths = [span.path for span in walk(codec.PROGRESS, data)]
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(paths) == len({*paths}) == 11
    assert max(map(len, paths)) < 2000
    assert most < 24 << 20
    assert len(quoted(keys[0])) == 4 * len(keys[0]) + 2


# Sequences, and the order of maps.

NEW: Any = Revision("framing-0006").codec
structs_of_newer: Any = Revision("framing-0006").structs
STATUS = "a1 46737461747573 426f6b"


def test_the_keys_of_a_decoded_map_keep_their_order() -> None:
    payload = bytes.fromhex("a3 446e616d65 456865616473 4178 00 4461726773 a0")
    value = NEW.decode_command_request(payload)
    assert value == NEW.CommandRequest("heads", {}, extra={b"x": b"\x00"})
    assert NEW.encode_command_request(value) == payload
    assert NEW.encode_command_request(copy(value)) == payload
    anew = bytes.fromhex("a3 4461726773 a0 446e616d65 456865616473 4178 00")
    assert NEW.encode_command_request(value.replace()) == anew
    assert NEW.encode_command_request(NEW.CommandRequest("heads", {}, extra={b"x": b"\x00"})) == anew
    progress = bytes.fromhex("a3 45746f74616c 0a 43706f73 01 45746f706963 4178")
    assert codec.encode_progress(codec.decode_progress(progress)) == progress


SEQUENCES: list[tuple[str, Any]] = [
    (STATUS, NEW.CommandResponse({"status": "ok"})),
    (f"{STATUS} 01 5f4161ff", NEW.CommandResponse({"status": "ok"}, (1, b"a"))),
]
BAD_SEQUENCES = [
    ("", "command-response.status", 0, "status"),
    ("00", "command-response.status-types", 0, "status"),
    (f"{STATUS} 82", "command-response.well-formed", 12, ""),
    (f"{STATUS} 815f4161ff", "cbor.definite", 12, ""),
    (f"{STATUS} 6161", "cbor.byte-strings", 11, ""),
    (f"{STATUS} a20000 0000", "cbor.duplicate-keys", 14, ""),
    ("a2 46737461747573 456572726f72 456572726f72 a0", "command-response.status", 20, "status.error"),
]


@pytest.mark.parametrize(("data", "value"), SEQUENCES)
def test_a_sequence_is_decoded_and_encoded(data: str, value: Any) -> None:
    payload = bytes.fromhex(data)
    decoded = NEW.decode_command_response(payload)
    assert decoded == value
    assert NEW.encode_command_response(decoded) == payload
    spans = list(walk(NEW.COMMAND_RESPONSE, payload))
    assert [span.start for span in spans] == [0, *(span.end for span in spans[:-1])]
    assert spans[-1].end == len(payload)


@pytest.mark.parametrize(("data", "requirement", "offset", "field"), BAD_SEQUENCES)
def test_a_faulty_sequence_is_rejected_at_its_place(data: str, requirement: str, offset: int, field: str) -> None:
    with pytest.raises(RemoteProtocolError) as error:
        NEW.decode_command_response(bytes.fromhex(data))
    assert (error.value.requirement, error.value.offset, error.value.field) == (requirement, offset, field)


def test_an_item_after_the_last_one_of_a_sequence_is_surplus() -> None:
    with pytest.raises(RemoteProtocolError, match="1 byte more") as error:
        NEW.decode_text_output(b"\x80\x80")
    assert (error.value.requirement, error.value.offset) == ("text-output.one-array", 1)


@pytest.mark.parametrize(
    ("value", "requirement", "field"),
    [
        (NEW.CommandResponse({"status": "no"}), "command-response.status-known", "status.status"),
        (NEW.CommandResponse({"status": "ok"}, 5), "command-response.status-types", "values"),
        (NEW.CommandResponse({"status": "ok"}, (1, "text")), "cbor.byte-strings", "values[1]"),
        (NEW.CommandResponse({"status": "ok"}, (1.5,)), "cbor.no-floats", "values[0]"),
        (NEW.CommandResponse({"status": "ok"}, (Tag(1, 0),)), "cbor.sets", "values[0]"),
        (NEW.CommandResponse({"status": "ok"}, ([Chunks(b"a", (1,))],)), "cbor.definite", "values[0]"),
    ],
)
def test_a_value_that_a_sequence_cannot_have_is_not_encoded(value: Any, requirement: str, field: str) -> None:
    with pytest.raises(LocalProtocolError) as error:
        NEW.encode_command_response(value)
    assert (error.value.requirement, error.value.field) == (requirement, field)


def test_an_item_of_a_sequence_can_be_decoded_by_itself() -> None:
    assert decode_item_of(NEW.COMMAND_RESPONSE, 0, bytes.fromhex(STATUS)) == ({"status": "ok"}, 3)
    assert decode_item_of(NEW.COMMAND_RESPONSE, 7, b"\x82\x05\x06") == ([5, 6], 3)
    with pytest.raises(RemoteProtocolError, match="the end of the sequence"):
        decode_item_of(NEW.TEXT_OUTPUT, 1, b"\x80")


# Nulls.

ALIEN: Any = Revision(str(ROOT / "tests" / "data" / "alien.yaml")).codec
NEEDED = "456c6576656c 03 4a73696e63655f7768656e 00"


def test_a_null_differs_from_an_absent_key() -> None:
    absent, null = (bytes.fromhex(data) for data in (f"a2{NEEDED}", f"a3 446e6f7465 f6 {NEEDED}"))
    assert ALIEN.decode_status(absent).note is None
    value = ALIEN.decode_status(null)
    assert value.note == NULL
    assert ALIEN.encode_status(value) == null
    assert value.note is not None
    assert ALIEN.encode_status(ALIEN.decode_status(absent)) == absent
    assert ALIEN.encode_status(value.replace(note=[None])) == bytes.fromhex(f"a3 446e6f7465 81f6 {NEEDED}")
    assert value_to_json(value) == {"level": 3, "since_when": 0, "note": None}
    assert [span.value for span in walk(ALIEN.STATUS, null) if span.path == "note.value"] == [NULL]


def test_repeated_items_take_linear_time() -> None:
    """Each item was once copied for each later one: sixteen seconds for one frame."""
    for function in (NEW.decode_stream_settings, structs_of_newer.stream_settings.parse):
        begun = process_time()
        function(b"\x41x" + bytes(65530))
        assert process_time() - begun < 3


@pytest.mark.parametrize("item", ["a28101028003", "a2f601416102", "a1a1000102", "a2c10001f502"])
def test_maps_that_a_dict_cannot_hold_keep_their_order(item: str) -> None:
    note = bytes.fromhex(f"a3 {NEEDED} 446e6f7465 {item}")
    assert ALIEN.encode_status(ALIEN.decode_status(note)) == note


def test_structs_keep_the_order_of_a_map() -> None:
    payload = bytes.fromhex("a2 4474797065 46736572766572 476d657373616765 80")
    parsed = structs_of_newer.error_response.parse(payload)
    assert (
        structs_of_newer.error_response.build(parsed)
        == payload
        == NEW.encode_error_response(NEW.decode_error_response(payload))
    )
    assert structs_of_newer.error_response.build(dict(parsed)) != payload
