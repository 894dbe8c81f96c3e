"""Shapes of CBOR values: accepted values, places of errors, and encoded values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgproto.errors import LocalProtocolError, RemoteProtocolError
from hgproto.runtime.cbor import Chunks, Tag, WireMap, decode_item, encode_item, skip_item
from hgproto.runtime.layout import Layout
from hgproto.runtime.shapes import Entry, Shape, brief, label_of, read_shape, steps_of, write_shape
from hgproto.runtime.subsets import Subset
from hgproto.samples.choices import Seeded
from hgproto.samples.shapes import drawn, edges_of

RULES = {name: name for name in ("type", "charset", "choice", "keys", "missing", "duplicate")}
LAYOUT = Layout("status", "A structure.", RULES)
ALPHABETICAL = LAYOUT._replace(subset=Subset({}, alphabetical=True))
WORD = Shape("ascii")
POINT = Shape(
    "map",
    entries=(
        Entry("x", Shape("int", minimum=-5), "To the right.", False),
        Entry("names", Shape("array", parts=(Shape("text"),)), "Its names.", True),
    ),
)


def case(name: str, *entries: Entry) -> Shape:
    """Returns the map of a case of a tagged map."""
    return Shape("map", entries=(Entry("is", Shape("ascii", choices=(name,)), "The tag.", False), *entries))


SHAPES = {
    "text": Shape("text"),
    "ascii": WORD,
    "bytes": Shape("bytes"),
    "choice": Shape("ascii", choices=("up", "down")),
    "chosen": Shape("text", choices=("up", "down")),
    "blob": Shape("bytes", choices=("a", "é")),
    "int": Shape("int"),
    "least": Shape("int", minimum=3),
    "uint": Shape("uint", minimum=0),
    "bool": Shape("bool"),
    "any": Shape("any"),
    "array": Shape("array", parts=(WORD,)),
    "points": Shape("array", parts=(POINT,)),
    "map": POINT,
    "map-of": Shape("map-of", parts=(WORD, Shape("uint", minimum=0))),
    "tuple": Shape("tuple", parts=(WORD, Shape("bytes"))),
    "tagged": Shape("tagged", choices=("ok", "gone"), tag="is", parts=(case("ok"), case("gone", POINT.entries[0]))),
    "one-of": Shape("one-of", parts=(WORD, Shape("array", parts=(Shape("bytes"),)), Shape("bool"))),
}
GOOD: list[tuple[str, str, Any]] = [
    ("text", "42c3a9", "é"),
    ("text", "62c3a9", "é"),
    ("text", "5f41c341a9ff", "é"),
    ("ascii", "4161", "a"),
    ("bytes", "41ff", b"\xff"),
    ("choice", "427570", "up"),
    ("chosen", "627570", "up"),
    ("int", "3bffffffffffffffff", -(1 << 64)),
    ("least", "03", 3),
    ("blob", "4161", b"a"),
    ("blob", "5f41c341a9ff", Chunks("é".encode(), (1, 1))),
    ("uint", "00", 0),
    ("bool", "f5", True),
    ("bool", "f4", False),
    ("any", "c1f6", Tag(1, None)),
    ("any", "f6", None),
    ("array", "80", []),
    ("array", "9f416140ff", ["a", ""]),
    ("points", "81a1417800", [{"x": 0}]),
    ("map", "a2417800456e616d657381416e", {"x": 0, "names": ["n"]}),
    ("map", "a2417a f6 417800", {b"z": None, "x": 0}),
    ("map-of", "a141611864", {"a": 100}),
    ("tuple", "82416141ff", ("a", b"\xff")),
    ("tuple", "9f416141ffff", ("a", b"\xff")),
    ("tagged", "a1426973426f6b", {"is": "ok"}),
    ("tagged", "a242697344676f6e65417800", {"is": "gone", "x": 0}),
    ("tagged", "a241780042697344676f6e65", {"x": 0, "is": "gone"}),
    ("bytes", "5f4161426263ff", Chunks(b"abc", (1, 2))),
    ("one-of", "4162", "b"),
    ("one-of", "8141ff", [b"\xff"]),
    ("one-of", "f5", True),
]
BAD: list[tuple[str, str, str, int, str]] = [
    ("text", "00", "type", 0, "v"),
    ("text", "41ff", "charset", 1, "v"),
    ("ascii", "6161", "type", 0, "v"),
    ("ascii", "42c3a9", "charset", 1, "v"),
    ("ascii", "5f416142c3a9ff", "charset", 4, "v"),
    ("choice", "416c", "choice", 0, "v"),
    ("chosen", "416c", "choice", 0, "v"),
    ("chosen", "616c", "choice", 0, "v"),
    ("chosen", "7fff", "choice", 0, "v"),
    ("blob", "40", "choice", 0, "v"),
    ("blob", "41e9", "choice", 0, "v"),
    ("least", "02", "type", 0, "v"),
    ("uint", "20", "type", 0, "v"),
    ("bool", "f6", "type", 0, "v"),
    ("bool", "f90000", "type", 0, "v"),
    ("array", "8241610a", "type", 3, "v[1]"),
    ("points", "82a14178 00 a1417825", "type", 8, "v[1].x"),
    ("map", "a0", "missing", 0, "v"),
    ("map", "a10000", "keys", 1, "v"),
    ("map", "a2417800456e616d657381 00", "type", 11, "v.names[0]"),
    ("map-of", "a1000a", "type", 1, "v (a key)"),
    ("map-of", "a1416120", "type", 3, "v.a"),
    ("tuple", "00", "type", 0, "v"),
    ("tuple", "814161", "type", 0, "v"),
    ("tuple", "83416141ff41ff", "type", 0, "v"),
    ("tuple", "82416100", "type", 3, "v[1]"),
    ("tagged", "00", "type", 0, "v"),
    ("tagged", "a0", "missing", 0, "v"),
    ("tagged", "a142697300", "type", 4, "v.is"),
    ("tagged", "a142697341 7a", "choice", 4, "v.is"),
    ("tagged", "a142697344676f6e65", "missing", 0, "v"),
    ("tagged", "a242697344676f6e6541784161", "type", 11, "v.x"),
    ("one-of", "00", "type", 0, "v"),
    ("one-of", "8100", "type", 1, "v[0]"),
]


@pytest.mark.parametrize(("name", "item", "value"), GOOD)
def test_an_item_of_a_shape_is_read(name: str, item: str, value: Any) -> None:
    data = b"\0" + bytes.fromhex(item) + b"\0"
    found = read_shape(SHAPES[name], data, 1, len(data) - 1, "v", LAYOUT)
    assert (found, type(found)) == (value, WireMap if isinstance(value, dict) else type(value))


@pytest.mark.parametrize(("name", "item", "rule", "offset", "path"), BAD)
def test_an_item_of_another_shape_is_rejected_where_it_differs(
    name: str, item: str, rule: str, offset: int, path: str
) -> None:
    data = bytes.fromhex(item)
    assert skip_item(data)[0] == len(data)
    with pytest.raises(RemoteProtocolError) as error:
        read_shape(SHAPES[name], data, 0, len(data), "v", LAYOUT)
    assert (error.value.requirement, error.value.offset, error.value.field) == (rule, offset, path)


UNWRITTEN: list[tuple[str, Any, str, str]] = [
    ("text", b"a", "type", "v"),
    ("text", "\ud800", "charset", "v"),
    ("ascii", "é", "charset", "v"),
    ("choice", "left", "choice", "v"),
    ("bytes", "a", "type", "v"),
    ("blob", b"", "choice", "v"),
    ("blob", bytearray(b"b"), "choice", "v"),
    ("int", 1 << 64, "type", "v"),
    ("int", True, "type", "v"),
    ("uint", -1, "type", "v"),
    ("bool", 1, "type", "v"),
    ("any", object(), "type", "v"),
    ("array", "ab", "type", "v"),
    ("array", ["a", 1], "type", "v[1]"),
    ("map", {}, "missing", "v"),
    ("map", {"x": 0, "y": 0}, "keys", "v"),
    ("map", {"x": 0, b"x": 0}, "duplicate", "v"),
    ("map", {"x": 0, b"z": object()}, "type", "v.z"),
    ("map-of", {"é": 1}, "charset", "v (a key)"),
    ("map-of", {"a": -1}, "type", "v.a"),
    ("tuple", ("a",), "type", "v"),
    ("tuple", ("a", 1), "type", "v[1]"),
    ("tagged", [], "type", "v"),
    ("tagged", {}, "missing", "v"),
    ("tagged", {"is": "z"}, "choice", "v.is"),
    ("tagged", {"is": "gone"}, "missing", "v"),
    ("one-of", 5, "type", "v"),
]


@pytest.mark.parametrize(("name", "value", "rule", "path"), UNWRITTEN)
def test_a_value_of_another_shape_is_not_written(name: str, value: Any, rule: str, path: str) -> None:
    with pytest.raises(LocalProtocolError) as error:
        write_shape(SHAPES[name], value, "v", LAYOUT)
    assert (error.value.requirement, error.value.field) == (rule, path)


@given(st.sampled_from(sorted(SHAPES)), st.integers(0, 1 << 32))
def test_what_is_drawn_is_read_and_written_again(name: str, seed: int) -> None:
    shape = SHAPES[name]
    data = encode_item(drawn(shape, Seeded(seed)))
    value = read_shape(shape, data, 0, len(data), "v", LAYOUT)
    assert write_shape(shape, value, "v", LAYOUT) == data
    steps = list(steps_of(shape, data, 0, len(data), value))
    assert [step.start for step in steps] == [0, *(step.end for step in steps[:-1])]
    assert steps[-1].end == len(data)
    assert len({step.path for step in steps}) == len(steps)


@pytest.mark.parametrize("name", SHAPES)
def test_edges_are_accepted_and_rejected(name: str) -> None:
    shape, accepted = SHAPES[name], []
    for _, value in edges_of(shape):
        data = encode_item(value)
        try:
            read = read_shape(shape, data, 0, len(data), "v", LAYOUT)
        except RemoteProtocolError as error:
            accepted.append(False)
            assert error.offset is not None
            assert error.offset < len(data)
        else:
            accepted.append(True)
            again = write_shape(shape, read, "v", LAYOUT)
            assert read_shape(shape, again, 0, len(again), "v", LAYOUT) == read
    assert any(accepted)
    assert all(accepted) == (name == "any")


def test_the_steps_of_a_value_name_its_parts() -> None:
    data = bytes.fromhex("a2417a82f6f5417800")
    value = read_shape(POINT, data, 0, len(data), "v", LAYOUT)
    assert [(step.path, step.start, step.end, step.value) for step in steps_of(POINT, data, 0, len(data), value)] == [
        ("", 0, 1, None),
        (".z.key", 1, 3, b"z"),
        (".z.value", 3, 6, [None, True]),
        (".x.key", 6, 8, "x"),
        (".x.value", 8, 9, 0),
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true"),
        ([], "an array"),
        ({}, "a map"),
        (Tag(4, 0), "an item with tag 4"),
        (b"a", "b'a'"),
    ],
)
def test_a_value_is_described_in_a_few_words(value: object, words: str) -> None:
    assert brief(value) == words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("int", "an integer"),
        ("least", "an integer of at least 3"),
        ("one-of", "a byte string or an array or true or false"),
        ("map", "a map"),
    ],
)
def test_a_shape_is_described_in_a_few_words(name: str, words: str) -> None:
    assert str(SHAPES[name]) == words


@pytest.mark.parametrize(
    ("key", "at", "name"),
    [
        ("plain-1", None, "plain-1"),
        (b"plain_1", 5, "plain_1"),
        (-3, None, "-3"),
        (b"a.b", 5, "'a.b'"),
        ("\x1b[31m", None, "'\\x1b[31m'"),
        (b"a" * 257, 9, "'" + "a" * 256 + "'... at 9"),
        (b"a" * 257, None, "'" + "a" * 256 + "'..."),
    ],
)
def test_a_key_has_a_name_that_is_safe_in_paths(key: str | bytes | int, at: int | None, name: str) -> None:
    assert label_of(key, at) == name


def test_a_map_that_was_read_keeps_its_order_and_a_new_one_has_that_of_the_schema() -> None:
    shape = Shape("map-of", parts=(WORD, Shape("any")))
    data = encode_item(WireMap({b"b": 1, b"aa": Chunks(b"xy", (1, 1)), b"a": [WireMap({b"d": 1, b"c": 2})]}))
    value = read_shape(shape, data, 0, len(data), "v", LAYOUT)
    assert write_shape(shape, value, "v", LAYOUT) == data
    assert write_shape(shape, value, "v", ALPHABETICAL) == data
    words = {"b": 1, "aa": {b"b": 1, b"aa": 2}}
    assert write_shape(shape, words, "v", LAYOUT).hex() == "a2416201426161a241620142616102"
    assert write_shape(shape, words, "v", ALPHABETICAL).hex() == "a2426161a242616102416201416201"
    assert decode_item(write_shape(shape, words, "v", ALPHABETICAL))[0] == {b"b": 1, b"aa": {b"b": 1, b"aa": 2}}


def test_every_option_is_expected_where_none_fits() -> None:
    shape = Shape("one-of", parts=(Shape("bool"), Shape("int")))
    for item in ("f6", "f97e00", "f0"):
        with pytest.raises(RemoteProtocolError) as error:
            read_shape(shape, bytes.fromhex(item), 0, 1, "v", LAYOUT)
        assert (error.value.expected, error.value.offset) == ("true or false or an integer", 0)


@pytest.mark.parametrize(
    ("name", "item"),
    [
        ("array", "9f4161ff"),
        ("array", "9fff"),
        ("points", "9fbf417800ff ff"),
        ("map-of", "bf41610aff"),
        ("tuple", "9f416141ffff"),
    ],
)
def test_the_break_of_an_indefinite_item_is_a_step(name: str, item: str) -> None:
    data = bytes.fromhex(item)
    value = read_shape(SHAPES[name], data, 0, len(data), "v", LAYOUT)
    steps = list(steps_of(SHAPES[name], data, 0, len(data), value))
    assert [step.start for step in steps] == [0, *(step.end for step in steps[:-1])]
    assert (steps[-1].path, steps[-1].end) == (".break", len(data))


def test_the_meaning_of_a_step_is_that_of_the_nearest_entry() -> None:
    data = bytes.fromhex("a3 41780a 456e616d6573 81416e 417a 01".replace(" ", ""))
    value = read_shape(POINT, data, 0, len(data), "v", LAYOUT)
    docs = {step.path: step.doc for step in steps_of(POINT, data, 0, len(data), value)}
    assert docs[".names.value[0]"] == "Its names."
    assert docs[".x.value"] == "To the right."
    assert docs[".z.value"] == "Not known to this revision."
