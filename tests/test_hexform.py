"""Hexadecimal text in a stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgproto.errors import HexError
from hgproto.hexform import octets_from_hex

GOOD = [
    ("", b""),
    ("00fF", b"\x00\xff"),
    ("0 0\tf\r\nF \v\f", b"\x00\xff"),
    ("# nothing\n", b""),
    ("00 # 11\n22", b"\x00\x22"),
    ("0#x#y\n1", b"\x01"),
    ("00#", b"\x00"),
    ("00#é", b"\x00"),
    ("#a\n#b\n00\n#c", b"\x00"),
]


@pytest.mark.parametrize(("text", "octets"), GOOD)
def test_good(text: str, octets: bytes) -> None:
    raw = text.encode()
    assert b"".join(octets_from_hex([raw])) == octets
    assert b"".join(octets_from_hex(raw[i : i + 1] for i in range(len(raw)))) == octets


BAD = [
    ("0", 1, 2, "the end of the text"),
    ("00\n0", 2, 2, "the end of the text"),
    ("00\n0 # \n\n", 2, 2, "the end of the text"),
    ("0x00", 1, 2, "'x'"),
    ("00\n  # y\n 1z", 3, 3, "'z'"),
    ("00 é", 1, 4, "octet 0xc3"),
]


@pytest.mark.parametrize(("text", "line", "column", "found"), BAD)
def test_bad(text: str, line: int, column: int, found: str) -> None:
    raw = text.encode()
    for chunks in ([raw], [raw[i : i + 1] for i in range(len(raw))]):
        with pytest.raises(HexError) as error:
            list(octets_from_hex(chunks))
        assert (error.value.line, error.value.column) == (line, column)
        assert found in error.value.found


@given(st.text(st.sampled_from("0aF #\nx \t"), max_size=30), st.integers(1, 7))
def test_any_cutting_gives_the_same(text: str, step: int) -> None:
    def outcome(chunks: list[bytes]) -> tuple[bytes, tuple[int, int] | None]:
        octets = b""
        try:
            for part in octets_from_hex(chunks):
                octets += part
        except HexError as error:
            return octets, (error.line, error.column)
        return octets, None

    raw = text.encode()
    assert outcome([raw]) == outcome([raw[i : i + step] for i in range(0, len(raw), step)])
