"""Payloads as literals: what is shown is read back as the same bytes, and everything else is shown with escapes."""

from __future__ import annotations

import tracemalloc
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgproto import HumanFormError, Revision, format_frame, parse_frame
from hgproto.runtime.cbor import encode_item
from hgproto.samples.choices import Seeded
from hgproto.samples.payloads import structure
from hgproto.wire.literals import LONGEST_LITERAL, MOST_ITEMS, payload_of

_CODEC: Any = Revision("framing-0006").codec
REQUEST = "1 1 stream-begin command-request new"
GOOD = [
    ("{b'name': b'heads'}", "a1446e616d65456865616473"),
    (
        "{b'args': {b'publiconly': True}, b'name': b'heads'}",
        "a24461726773a14a7075626c69636f6e6c79f5446e616d65456865616473",
    ),
    ("{b'args': {b'x': {b'a', b'b'}}, b'name': b'n'}", "a24461726773a14178d90102824161 4162446e616d65416e"),
    ('[1, -2, None, False, b"\'"]', "850121f6f44127"),
    ("b'\\x00\\n '", "43000a20"),
    ("{}", "a0"),
    ("{1: b'', b'a': []}", "a2014041 6180"),
]
NOT_SHOWN = [
    "a2446e616d65456865616473446172677300"[:2] + "41620041 6100",
    "5f4161ff",
    "1800",
    "bfff",
    "f7",
    "c100",
    "d9010280",
    "f93c00",
    "a1 8000",
    "0000",
    "82",
]


@pytest.mark.parametrize(("text", "data"), GOOD)
def test_a_literal_stands_for_its_encoding(text: str, data: str) -> None:
    frame = parse_frame(f"{REQUEST} cbor:{text}", _CODEC)
    assert bytes(frame.payload) == bytes.fromhex(data)
    assert format_frame(frame, _CODEC) == f"{REQUEST} cbor:{text}"


@pytest.mark.parametrize("data", NOT_SHOWN)
def test_what_a_literal_cannot_show_has_escapes(data: str) -> None:
    frame = _CODEC.make_frame(1, 1, 1, 1, 1, bytes.fromhex(data))
    line = format_frame(frame, _CODEC)
    assert "cbor:" not in line
    assert parse_frame(line, _CODEC) == frame


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("{b'a': 1, b'a': 2}", "a2 4161 01 4161 02"),
        ("{1: 2, True: 3, 1.0: 4}", "a3 01 02 f5 03 f93c00 04"),
        ("{1, 1, True}", "d90102 83 01 01 f5"),
        ("{[]: 1}", "a1 80 01"),
    ],
)
def test_nothing_of_a_literal_is_dropped(text: str, data: str) -> None:
    assert payload_of(text, _CODEC) == bytes.fromhex(data)


def test_keys_are_sorted_and_tuples_are_arrays() -> None:
    assert payload_of("{b'b': (1, 2), b'aa': 0}", _CODEC).hex() == "a242616100416282 0102".replace(" ", "")


def test_raw_data_is_not_shown_as_a_literal() -> None:
    data = _CODEC.make_frame(1, 1, 0, _CODEC.CODES["command-data"], 2, b"\xa0")
    assert format_frame(data, _CODEC) == r"1 1 0 command-data eos \xa0"
    response = _CODEC.make_frame(1, 2, 0, _CODEC.CODES["command-response"], 1, bytes.fromhex("a146737461747573426f6b"))
    assert format_frame(response, _CODEC) == "1 2 0 command-response continuation cbor:{b'status': b'ok'}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "invalid syntax"),
        ("{b'a'", "never closed"),
        ("open('x')", "no literal"),
        ("1 + 2j + x", "no literal"),
        ("[...]", "no literal"),
        ("{**{}}", "no literal"),
        ("-b'x'", "no literal"),
        ("1j", "CBOR has no item"),
        ("[" * 40 + "]" * 40, "levels of nesting"),
        ("[" * 5000 + "]" * 5000, "too many nested|too deep|levels"),
        ("1" * 30, "CBOR has no item"),
        ("'\\ud800'", "lone surrogate"),
        ("[*[1]]", "no literal"),
        ("1" * (LONGEST_LITERAL + 1), "write a long payload with escapes"),
        ("{b'a': 1, 2", "was never closed|invalid"),
    ],
    ids=range(15),
)
def test_what_is_no_literal_is_rejected_at_its_column(text: str, found: str) -> None:
    with pytest.raises(HumanFormError, match=found) as error:
        parse_frame(f"{REQUEST} cbor:{text}", _CODEC)
    assert error.value.column == len(f"{REQUEST} cbor:") + 1


def test_bytes_that_are_not_utf_8_are_rejected() -> None:
    with pytest.raises(HumanFormError, match="bytes that are not UTF-8"):
        parse_frame(f"{REQUEST} cbor:".encode() + b"'\xff'", _CODEC)


def test_a_revision_without_the_notation_rejects_it() -> None:
    with pytest.raises(HumanFormError, match="the notation of later revisions"):
        parse_frame("1 1 stream-begin command-name eos cbor:1")


@given(st.sampled_from(sorted(_CODEC.LAYOUTS)), st.integers(0, 1 << 32))
def test_every_payload_is_read_back_as_it_was(name: str, seed: int) -> None:
    payload = structure(_CODEC.LAYOUTS[name], Seeded(seed))
    for code in _CODEC.TYPE_NAMES:
        frame = _CODEC.make_frame(1, 2, 0, code, 1, payload)
        assert parse_frame(format_frame(frame, _CODEC), _CODEC) == frame


@given(st.binary(max_size=40))
def test_any_bytes_are_read_back_as_they_were(payload: bytes) -> None:
    frame = _CODEC.make_frame(1, 2, 0, 5, 0, payload)
    assert parse_frame(format_frame(frame, _CODEC), _CODEC) == frame


@pytest.mark.parametrize("items", [MOST_ITEMS - 1, MOST_ITEMS, 1 << 20])
def test_long_payloads_have_escapes_and_create_no_objects(items: int) -> None:
    payload = encode_item([[]] * items)
    frame = _CODEC.make_frame(1, 2, 0, 6, 0, payload)
    tracemalloc.start()
    try:
        line = format_frame(frame, _CODEC)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert ("cbor:" in line) == (items < MOST_ITEMS)
    assert peak < 40 * len(payload) + (1 << 20)


@pytest.mark.parametrize("text", [r"b'\q'", r"'\8'", "b'\\", r"[b'\xg0']"])
def test_unknown_escapes_are_rejected_without_a_warning(text: str) -> None:
    before = list(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="the unknown escape"):
            payload_of(text, _CODEC)
    assert list(warnings.filters) == before


def test_known_escapes_are_accepted() -> None:
    assert payload_of(r"""b'\\\'\"\a\b\f\n\r\t\v\0\377\x00'""", _CODEC) == b"\x4d\\'\"\a\b\f\n\r\t\v\0\xff\0"
