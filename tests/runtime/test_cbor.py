"""CBOR, compared with cbor2."""

from __future__ import annotations

from array import array
from struct import unpack
from typing import TYPE_CHECKING, Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import cbor_values

from hgproto.runtime.cbor import (
    MAX_DEPTH,
    CborError,
    Map,
    Simple,
    Tag,
    decode_item,
    decode_map,
    encode_item,
    encode_map,
    item_head,
    map_pairs,
    skip_item,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MALFORMED = [
    ("", "malformed", 0),
    ("18", "malformed", 0),
    ("19 00", "malformed", 0),
    ("1c", "malformed", 0),
    ("1f", "malformed", 0),
    ("df", "malformed", 0),
    ("ff", "malformed", 0),
    ("f8 18", "malformed", 0),
    ("42 61", "malformed", 0),
    ("5f 61 61 ff", "malformed", 1),
    ("5f 5f ff ff", "malformed", 1),
    ("5f 41 61", "malformed", 3),
    ("82 01", "malformed", 2),
    ("9f 01", "malformed", 2),
    ("a1 01", "malformed", 2),
    ("bf 01 ff", "malformed", 2),
    ("a2 01 02 01 03", "duplicate", 3),
    ("a2 41 61 02 58 01 61 03", "duplicate", 4),
    ("61 ff", "charset", 1),
    ("62 61 ff", "charset", 2),
    ("9b ff ff ff ff ff ff ff ff", "malformed", 9),
    ("5b ff ff ff ff ff ff ff ff 00", "malformed", 0),
    ("c0", "malformed", 1),
]


@pytest.mark.parametrize(("data", "kind", "offset"), MALFORMED)
def test_faults_have_a_kind_and_an_offset(data: str, kind: str, offset: int) -> None:
    with pytest.raises(CborError) as error:
        decode_item(bytes.fromhex(data))
    assert (error.value.kind, error.value.offset) == (kind, offset)


@pytest.mark.parametrize("head", ["81", "a100", "c1", "9f"])
def test_nesting_is_bounded(head: str) -> None:
    with pytest.raises(CborError, match="levels of nesting"):
        decode_item(bytes.fromhex(head) * 100_000)
    assert decode_item(b"\x81" * MAX_DEPTH + b"\x00")[1] == MAX_DEPTH + 1


NESTED: dict[str, Callable[[Any], Any]] = {
    "list": lambda inside: [inside],
    "tuple": lambda inside: (1, inside),
    "dict": lambda inside: {b"k": inside},
    "map": lambda inside: Map(((1.0, inside),)),
    "key": lambda inside: Map(((inside, 1),)),
    "tag": lambda inside: Tag(1, inside),
}
EMPTY: list[Any] = [1, b"", "text", bytearray(b"x"), [], {}, Simple(5), None, 1.5]
TOO_DEEP = r"^expected at most 32 levels of nesting in a CBOR item, found more; encode a flatter value$"


def nested(kind: str, levels: int, inside: Any) -> Any:
    for _ in range(levels):
        inside = NESTED[kind](inside)
    return inside


@pytest.mark.parametrize("kind", NESTED)
def test_what_is_encoded_can_be_decoded_and_nothing_deeper_is(kind: str) -> None:
    for inside in EMPTY:
        data = encode_item(nested(kind, MAX_DEPTH, inside))
        assert decode_item(data)[1] == len(data)
        assert encode_item(decode_item(data)[0]) == data
        for levels in (MAX_DEPTH + 1, 1000):
            with pytest.raises(ValueError, match=TOO_DEEP):
                encode_item(nested(kind, levels, inside))
    for levels in (10_000, 100_000):
        value = nested(kind, levels, 1)
        with pytest.raises(ValueError, match=TOO_DEEP):
            encode_item(value)
        for pair in ((value, 1), (1, value)):
            with pytest.raises(ValueError, match=TOO_DEEP):
                encode_map([pair])


def test_the_levels_around_a_value_count() -> None:
    assert decode_item(encode_item([1], 31), 0, 31)[0] == [1]
    assert decode_map(encode_map([(1, 2)], 31), 0, 31)[1] == 3
    for value, depth in (([1], 32), ({1: 2}, 32), (b"", 33)):
        with pytest.raises(ValueError, match=TOO_DEEP):
            encode_item(value, depth)
    with pytest.raises(ValueError, match=TOO_DEEP):
        encode_map([(1, 2)], 32)


def test_a_value_that_has_itself_is_rejected() -> None:
    value: list[Any] = []
    value.append({1: value})
    with pytest.raises(ValueError, match=TOO_DEEP):
        encode_item(value)


@given(cbor_values)
def test_values_round_trip_and_cbor2_reads_them(value: Any) -> None:
    data = encode_item(value)
    assert decode_item(data) == (value, len(data))
    assert cbor2.loads(data) == value
    assert decode_item(cbor2.dumps(value)) == (value, len(cbor2.dumps(value)))


@pytest.mark.parametrize(
    ("value", "data"),
    [
        # RFC 8949, appendix A.
        (0.0, "f90000"),
        (-0.0, "f98000"),
        (1.0, "f93c00"),
        (1.1, "fb3ff199999999999a"),
        (1.5, "f93e00"),
        (65504.0, "f97bff"),
        (100000.0, "fa47c35000"),
        (3.4028234663852886e38, "fa7f7fffff"),
        (1.0e300, "fb7e37e43c8800759c"),
        (5.960464477539063e-8, "f90001"),
        (-4.1, "fbc010666666666666"),
        (float("inf"), "f97c00"),
        (float("nan"), "f97e00"),
    ],
)
def test_floats_have_their_shortest_encoding(value: float, data: str) -> None:
    assert encode_item(value).hex() == data


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("f93c00", 1.0),
        ("fa3f800000", 1.0),
        ("fb3ff0000000000000", 1.0),
        ("f4", False),
        ("f7", Simple(23)),
        ("f8ff", Simple(255)),
        ("c101", Tag(1, 1)),
        ("5f41614162ff", b"ab"),
        ("7f61616162ff", "ab"),
        ("9f01ff", [1]),
        ("bf0102ff", {1: 2}),
        ("a2 0102 f501", Map(((1, 2), (True, 1)))),
        ("a18001", Map((([], 1),))),
    ],
)
def test_items(raw: str, value: Any) -> None:
    data = bytes.fromhex(raw)
    assert decode_item(data + b"\x00") == (value, len(data))
    assert decode_item(encode_item(value))[0] == value


def test_keys_that_python_takes_for_one_are_kept_apart() -> None:
    pairs, _ = decode_map(bytes.fromhex("a3 f5 01 01 02 f93c00 03"))
    assert [(key, value) for key, value, *_ in pairs] == [(True, 1), (1, 2), (1.0, 3)]


@given(st.binary(max_size=64))
def test_any_bytes_are_taken_or_refused(data: bytes) -> None:
    try:
        value, end = decode_item(data)
    except CborError as error:
        assert 0 <= error.offset <= len(data)
    else:
        assert 0 < end <= len(data)
        # Encoding gives the same value again. It sorts the keys of a map, and a float that is not a number is not equal to itself.
        again = encode_item(value)
        assert encode_item(decode_item(again)[0]) == again


NUMBERS: list[Any] = [-1, 1.5, "x", 1 << 64]
WITHOUT_ITEM = [
    *(object(), 1 << 64, -(1 << 64) - 1, {1, 2}),
    *(Simple(number) for number in (24, 31, 256, 300, *NUMBERS)),
    *(Tag(number, 0) for number in NUMBERS),
    *(Tag(0, "\ud800"), "\ud800", ["\ud800"], {"\ud800": 1}, "x" * 1000 + "\udcff"),
]


@pytest.mark.parametrize("value", WITHOUT_ITEM, ids=map(str, range(len(WITHOUT_ITEM))))
def test_values_without_an_item_are_refused(value: object) -> None:
    with pytest.raises(TypeError):
        encode_item(value)


NAN = unpack(">d", bytes.fromhex("7ff0000000000001"))[0]
SAME_KEYS = [
    *((1, 1), (b"a", bytearray(b"a")), ([1], (1,)), (False, Simple(20)), ({}, Map(()))),
    *((float("nan"), NAN), ([-NAN], [NAN])),
]


@pytest.mark.parametrize("keys", SAME_KEYS, ids=map(str, range(len(SAME_KEYS))))
def test_a_key_that_is_there_twice_is_not_encoded(keys: tuple[object, object]) -> None:
    pairs = tuple((key, number) for number, key in enumerate(keys))
    expected = r"^expected each key of a CBOR map once, found .+ again; leave one of them out$"
    for value in (Map(pairs), [Map(pairs)], {1: Map(pairs)}, Map(((Map(pairs), 1),)), Tag(1, Map(pairs))):
        with pytest.raises(ValueError, match=expected):
            encode_item(value)
    with pytest.raises(ValueError, match=expected):
        encode_map(pairs)


def test_an_empty_map_is_a_level_of_nesting_too() -> None:
    assert encode_map([], MAX_DEPTH) == b"\xa0"
    with pytest.raises(ValueError, match=TOO_DEEP):
        encode_map([], MAX_DEPTH + 1)


@given(
    st.recursive(
        st.sampled_from(
            [*EMPTY, *WITHOUT_ITEM, 0, -1, True, 1.0, -0.0, float("nan"), NAN, "1", b"1", Simple(20), Tag(2, 1)]
        ),
        lambda items: (
            st.lists(items, max_size=3)
            | st.lists(items, max_size=3).map(tuple)
            | st.lists(st.tuples(items, items), max_size=3).map(lambda pairs: Map(tuple(pairs)))
            | st.dictionaries(st.sampled_from([0, 1, -1, 1.5, "1", b"1", (), (1,), None]), items, max_size=3)
            | st.builds(Tag, st.integers(-1, 30), items)
        ),
    )
)
def test_every_value_that_is_encoded_can_be_decoded(value: Any) -> None:
    try:
        data = encode_item(value)
    except (TypeError, ValueError):
        return
    decoded, end = decode_item(data)
    assert end == len(data) == skip_item(data)[0]
    assert encode_item(decoded) == data


@pytest.mark.parametrize("buffer", [bytearray(b"ab"), memoryview(b"ab"), memoryview(b"a.b.")[::2], array("H", b"ab")])
def test_a_buffer_is_a_byte_string(buffer: Any) -> None:
    assert encode_item(buffer) == encode_item(b"ab")
    assert encode_item([buffer, Tag(1, buffer)]) == encode_item([b"ab", Tag(1, b"ab")])
    assert encode_item({b"k": buffer}) == encode_item({b"k": b"ab"})


# Reading without making objects.


def outcome(read: Any, data: bytes) -> tuple[Any, ...]:
    try:
        return read(data)[-1], None
    except CborError as error:
        return None, (error.kind, error.offset, error.expected, error.found)


def items_of(value: Any) -> int:
    match value:
        case list():
            return 1 + sum(map(items_of, value))
        case dict():
            return 1 + sum(items_of(key) + items_of(item) for key, item in value.items())
    return 1


def skipped(data: bytes) -> tuple[int]:
    return (skip_item(data)[0],)


@given(
    st.binary(max_size=64)
    | cbor_values.map(encode_item)
    | st.tuples(cbor_values.map(encode_item), st.integers(0, 99), st.integers(0, 255)).map(
        lambda parts: parts[0][: parts[1]] + bytes([parts[2]]) + parts[0][parts[1] + 1 :]
    )
)
def test_skipping_and_decoding_agree(data: bytes) -> None:
    assert outcome(skipped, data) == outcome(decode_item, data)
    assert outcome(lambda data: map_pairs(data)[:2], data) == outcome(decode_map, data)


@pytest.mark.parametrize(("raw", "_kind", "_offset"), MALFORMED)
def test_skipping_refuses_the_same(raw: str, _kind: str, _offset: int) -> None:
    data = bytes.fromhex(raw)
    assert outcome(skipped, data) == outcome(decode_item, data)
    assert outcome(skipped, data)[1] is not None


@pytest.mark.parametrize("head", ["81", "a100", "c1", "9f", "a181"])
def test_skipping_bounds_nesting(head: str) -> None:
    data = bytes.fromhex(head) * 100_000
    assert outcome(skipped, data) == outcome(decode_item, data)
    assert "levels of nesting" in str(outcome(skipped, data))


@given(cbor_values)
def test_items_are_counted(value: Any) -> None:
    data, number = encode_item(value), items_of(value)
    assert skip_item(data, left=number) == (len(data), 0)
    assert skip_item(data, left=number + 1) == (len(data), 1)
    with pytest.raises(CborError) as error:
        skip_item(data, left=number - 1)
    assert error.value.kind == "limit"
    assert 0 <= error.value.offset < len(data)


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        ("80", 1),
        ("83 000102", 4),
        ("9f 0001 ff", 3),
        ("a1 00 01", 3),
        ("bf 00 80 ff", 3),
        ("c1 c1 00", 3),
        ("5f 40 4161 ff", 3),
        ("84 00 1818 00 f6", 5),
    ],
)
def test_what_counts_as_an_item(raw: str, number: int) -> None:
    data = bytes.fromhex(raw)
    assert skip_item(data, left=number) == (len(data), 0)
    with pytest.raises(CborError, match="limit"):
        skip_item(data, left=number - 1)


def test_the_item_over_the_limit_is_named() -> None:
    with pytest.raises(CborError) as error:
        skip_item(bytes.fromhex("84 1800 0000 00"), left=3)
    assert (error.value.kind, error.value.offset) == ("limit", 4)


@pytest.mark.parametrize("read", [map_pairs, decode_map, skip_item, decode_item])
def test_a_map_in_a_key_is_read_once_however_deep(
    read: Callable[[bytes], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work is counted: heads that are read and items that are compared by their text."""
    heads, texts = [0], [0]

    def counted_head(data: bytes, at: int) -> Any:
        heads[0] += 1
        return item_head(data, at)

    def counted_text(tag: Tag) -> str:
        texts[0] += 1
        return f"Tag({tag.number})"

    monkeypatch.setattr("hgproto.runtime.cbor.item_head", counted_head)
    monkeypatch.setattr(Tag, "__repr__", counted_text)
    number = 100
    key = b"\x9f" + b"\xc1\x00" * number + b"\xff"
    for _ in range(MAX_DEPTH - 2):
        key = b"\xa1" + key + b"\x00"
    read(key)
    assert heads[0] <= 2 * (2 * number + 2 * MAX_DEPTH)
    assert texts[0] <= 2 * number


@given(cbor_values)
def test_items_of_keys_are_counted(value: Any) -> None:
    data, number = b"\xa1\x81" + encode_item(value) + b"\x00", 3 + items_of(value)
    assert skip_item(data, left=number) == (len(data), 0)
    with pytest.raises(CborError) as error:
        skip_item(data, left=number - 1)
    assert error.value.kind == "limit"
    assert 0 <= error.value.offset < len(data)


def test_a_map_that_was_changed_shows_its_new_pairs() -> None:
    value = Map(((1, 2),))
    assert repr(value) == "Map(pairs=((1, 2),))"
    value.pairs = ((7, 7),)
    assert repr(value) == "Map(pairs=((7, 7),))"
