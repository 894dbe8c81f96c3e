"""Values that generated Structs compute."""

from __future__ import annotations

import pytest

from hgproto.runtime.computed import BitsError, count, packed, size_of, sizes_of


@pytest.mark.parametrize(
    ("encoding", "value", "size"),
    [
        (None, b"abc", 3),
        (None, memoryview(b"abc"), 3),
        ("ascii", "abc", 3),
        ("ascii", "é", 1),
        ("utf-8", "é", 2),
        ("utf-8", "\ud800", 3),
    ],
)
def test_sizes_of_strings(encoding: str | None, value: object, size: int) -> None:
    assert size_of("it", encoding)({"it": value}) == size
    assert sizes_of("them", encoding)({"them": (value, value)}) == [size, size]


def test_bit_fields_make_up_an_integer() -> None:
    pack = packed(flags=(0, 3), type=(4, 7))
    assert pack({"flags": 1, "type": 2}) == 0x21
    for flags in (16, -1):
        with pytest.raises(BitsError, match=f"^{flags} in 4 bits of flags$") as error:
            pack({"flags": flags, "type": 2})
        assert error.value.name == "flags"


def test_flags_are_counted() -> None:
    assert count(0x15, 0x1, 0x2, 0x4, 0x18) == 2
