"""Bytes out of any buffer."""

import ctypes
import mmap
from array import array
from typing import Any

import pytest

from hgproto.bytelike import as_bytes, bytes_like, is_bytes_like, kept_bytes

WIDE = array("H", range(10))
BYTES = WIDE.tobytes()


class _Bytes(bytes):
    """A subclass."""


def _mapped() -> mmap.mmap:
    mapped = mmap.mmap(-1, len(BYTES))
    mapped[:] = BYTES
    return mapped


BUFFERS: dict[str, tuple[Any, bytes]] = {
    "bytes": (BYTES, BYTES),
    "subclass": (_Bytes(BYTES), BYTES),
    "bytearray": (bytearray(BYTES), BYTES),
    "view": (memoryview(BYTES), BYTES),
    "array": (WIDE, BYTES),
    "view of wide items": (memoryview(WIDE), BYTES),
    "slice of wide items": (memoryview(WIDE)[2:5], BYTES[4:10]),
    "signed items": (memoryview(array("b", [-1, 1])), b"\xff\x01"),
    "characters": (memoryview(b"ab").cast("c"), b"ab"),
    "two dimensions": (memoryview(BYTES).cast("B", (4, 5)), BYTES),
    "strides": (memoryview(BYTES)[::2], BYTES[::2]),
    "backwards": (memoryview(BYTES)[::-1], BYTES[::-1]),
    "wide strides": (memoryview(WIDE)[::2], array("H", WIDE[::2]).tobytes()),
    "nothing, wide": (memoryview(array("H")), b""),
    "nothing, strides": (memoryview(b"")[::2], b""),
    "ctypes": ((ctypes.c_uint16 * 10).from_buffer_copy(BYTES), BYTES),
    "ctypes, one": (ctypes.c_uint32.from_buffer_copy(b"abcd"), b"abcd"),
    "mmap": (_mapped(), BYTES),
}
OTHERS = [5, 0, True, None, "text", 1.5, [1, 2], (1, 2), iter(b"ab"), object()]


@pytest.mark.parametrize("name", BUFFERS)
def test_every_buffer_is_its_bytes(name: str) -> None:
    buffer, expected = BUFFERS[name]
    octets = bytes_like(buffer)
    assert len(octets) == len(expected)
    assert bytes(octets[:3]) == expected[:3]
    assert octets == expected
    assert as_bytes(buffer) == expected
    assert type(as_bytes(buffer)) is bytes
    assert is_bytes_like(buffer)


def test_what_needs_no_copy_is_not_copied() -> None:
    assert bytes_like(BYTES) is BYTES
    assert as_bytes(BYTES) is BYTES
    wide = array("H", [0])
    octets = bytes_like(wide)
    wide[0] = 0x0101
    assert octets == b"\x01\x01"


@pytest.mark.parametrize("other", OTHERS, ids=repr)
def test_other_objects_are_refused_by_name_and_type(other: object) -> None:
    expected = f"^the value must be bytes or another buffer of bytes, not {type(other).__name__}$"
    for function in (bytes_like, as_bytes):
        with pytest.raises(TypeError, match=expected):
            function(other, "the value")  # type: ignore[arg-type]
    assert not is_bytes_like(other)


@pytest.mark.parametrize("name", BUFFERS)
def test_kept_bytes_are_those_of_the_call(name: str) -> None:
    data, expected = BUFFERS[name]
    assert bytes(kept_bytes(data)) == expected


def test_what_its_owner_can_change_is_copied_and_nothing_else() -> None:
    owner = bytearray(b"before")
    views: list[Any] = [owner, memoryview(owner), memoryview(owner).toreadonly(), memoryview(owner)[1:]]
    kept = [kept_bytes(view) for view in views]
    owner[:] = b"AFTER!"
    assert [bytes(one) for one in kept] == [b"before", b"before", b"before", b"efore"]
    constant = b"constant"
    assert kept_bytes(constant) is constant
    shown = kept_bytes(memoryview(constant)[1:])
    assert isinstance(shown, memoryview)
    assert shown.obj is constant
