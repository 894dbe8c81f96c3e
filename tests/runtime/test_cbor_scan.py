"""The scanner: it finds the same items in a sequence however its bytes are cut, in time linear in their number."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgproto.runtime.cbor import MAX_DEPTH, CborError, Chunks, encode_item, skip_item
from hgproto.runtime.cbor_scan import Scanner

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(1 << 64), (1 << 64) - 1),
        st.binary(max_size=300),
        st.floats(allow_nan=False),
        st.builds(lambda parts: Chunks(b"".join(parts), tuple(map(len, parts))), st.lists(st.binary(max_size=5))),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.binary(max_size=5), inner, max_size=5)),
    max_leaves=12,
)


def items_of(data: bytes) -> list[tuple[int, bytes]]:
    """Returns the items of a whole sequence with their offsets."""
    found, at = [], 0
    while at < len(data):
        end, _ = skip_item(data, at)
        found.append((at, data[at:end]))
        at = end
    return found


@given(st.lists(VALUES, max_size=5), st.lists(st.integers(0, 40), max_size=20))
def test_the_items_do_not_depend_on_how_the_bytes_are_cut(values: list[Any], cuts: list[int]) -> None:
    data = b"".join(encode_item(value) for value in values)
    scanner, found, at = Scanner(), [], 0
    for cut in cuts:
        found += scanner.feed(data[at : at + cut])
        at += cut
    found += scanner.feed(data[at:])
    scanner.close()
    assert found == items_of(data)
    assert (scanner.offset, scanner.held) == (len(data), 0)


@pytest.mark.parametrize(
    "item", ["9f01ff", "bf0001ff", "5f41614162ff", "7f6161ff", "c1c1f6", "9fbfffff", "1bffffffffffffffff"]
)
def test_every_cut_of_an_item_is_good(item: str) -> None:
    data = bytes.fromhex(item)
    for cut in range(len(data)):
        scanner = Scanner()
        assert scanner.feed(data[:cut]) == []
        assert scanner.held == cut
        if cut:
            with pytest.raises(CborError) as error:
                scanner.close()
            assert (error.value.kind, error.value.offset) == ("malformed", 0)
        assert scanner.feed(data[cut:]) == [(0, data)]
        scanner.close()


@pytest.mark.parametrize(
    ("data", "offset"), [("1c", 0), ("00 1c", 1), ("81 ff", 1), ("00 ff", 1), ("3f", 0), ("82001f", 2)]
)
def test_bytes_that_begin_no_item_are_rejected(data: str, offset: int) -> None:
    for cut in range(len(bytes.fromhex(data)) + 1):
        scanner = Scanner()
        with pytest.raises(CborError) as error:
            for part in (bytes.fromhex(data)[:cut], bytes.fromhex(data)[cut:]):
                scanner.feed(part)
        assert (error.value.kind, error.value.offset) == ("malformed", offset)


def test_nesting_is_bounded() -> None:
    assert Scanner().feed(b"\x81" * MAX_DEPTH + b"\x00") != []
    with pytest.raises(CborError, match="levels of nesting"):
        Scanner().feed(b"\x81" * (MAX_DEPTH + 1) + b"\x00")


@pytest.mark.parametrize("most", [9, 10, 11])
def test_the_limit_holds_before_the_bytes_arrive(most: int) -> None:
    scanner = Scanner(most)
    if most >= 11:
        assert scanner.feed(b"\x4a") == []
        assert scanner.feed(b"0123456789\x00") == [(0, b"\x4a0123456789"), (11, b"\x00")]
        return
    with pytest.raises(CborError) as error:
        scanner.feed(b"\x4a")
    assert (error.value.kind, error.value.offset, error.value.found) == ("limit", 0, "11 bytes")


def test_the_limit_holds_for_containers_too() -> None:
    scanner = Scanner(4)
    assert scanner.feed(b"\x83\x00\x01\x02") == [(0, b"\x83\x00\x01\x02")]
    with pytest.raises(CborError, match="4 bytes"):
        scanner.feed(b"\x9f\x00\x01\x02\x03")


def test_a_long_string_in_small_parts_takes_linear_time() -> None:
    scanner, steps = Scanner(), 0
    scanner.feed(b"\x5b" + (1 << 20).to_bytes(8, "big"))
    original = Scanner._pass

    def counted(self: Scanner, at: int, start: int) -> bool:
        nonlocal steps
        steps += 1
        return original(self, at, start)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scanner, "_pass", counted)
        for _ in range(1 << 10):
            scanner.feed(bytes(1 << 10))
    assert scanner.offset == (1 << 20) + 9
    assert steps <= (1 << 10) + 2


@pytest.mark.parametrize("inner", ["00", "80", "9fff", "bfff", "5fff", "5f41614162ff", "7fff"])
@pytest.mark.parametrize("levels", [31, 32, 33])
def test_the_depth_is_that_of_the_decoder(inner: str, levels: int) -> None:
    data = b"\x81" * levels + bytes.fromhex(inner)
    try:
        skip_item(data)
    except CborError as error:
        with pytest.raises(CborError) as own:
            Scanner().feed(data)
        assert (own.value.kind, own.value.offset) == (error.kind, error.offset)
    else:
        assert Scanner().feed(data) == [(0, data)]


@pytest.mark.parametrize("data", ["5f00ff", "5f80ff", "5f5fffff", "7f9fffff"])
def test_only_chunks_are_inside_of_a_string(data: str) -> None:
    with pytest.raises(CborError, match="definite chunk"):
        Scanner().feed(bytes.fromhex(data))


@given(st.integers(0, 102), st.sampled_from([50, 101, 102]))
def test_the_limit_does_not_depend_on_the_cut(cut: int, most: int) -> None:
    item = b"\x98\x64" + bytes(100)
    scanner = Scanner(most)
    if most >= len(item):
        assert scanner.feed(item[:cut]) + scanner.feed(item[cut:]) == [(0, item)]
        return
    with pytest.raises(CborError, match=f"at most {most} bytes"):
        scanner.feed(item[:cut])
        scanner.feed(item[cut:])
