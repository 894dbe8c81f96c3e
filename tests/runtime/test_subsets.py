"""The subset of CBOR that a revision allows: each kind of item that it can forbid, and the place of the first one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgproto.runtime.cbor import skip_item
from hgproto.runtime.subsets import ALL, EXPECTED, Subset, first_forbidden

NOTHING = Subset({kind: kind for kind in EXPECTED}, tags=frozenset({258}))

FORBIDDEN = [
    ("6161", "text", 0),
    ("824161 6161", "text", 3),
    ("a1 6161 00", "text", 1),
    ("f90000", "floats", 0),
    ("fa00000000", "floats", 0),
    ("a1 00 fb0000000000000000", "floats", 2),
    ("e0", "simple", 0),
    ("f7", "simple", 0),
    ("f8ff", "simple", 0),
    ("c000", "tags", 0),
    ("d90102 81 c000", "tags", 4),
    ("9fff", "indefinite-arrays", 0),
    ("81 9fff", "indefinite-arrays", 1),
    ("bfff", "indefinite-maps", 0),
    ("5fff", "indefinite-strings", 0),
    ("00 7f6161ff", "text", 1),
]
ALLOWED = ["00", "3863", "f4", "f5", "f6", "4161", "83014161a0", "d901028100", "a2416101416280", ""]


@pytest.mark.parametrize(("item", "kind", "offset"), FORBIDDEN)
def test_the_first_forbidden_item_is_found(item: str, kind: str, offset: int) -> None:
    data = bytes.fromhex(item)
    found = first_forbidden(NOTHING, data, 0, len(data))
    assert found is not None
    assert (found.requirement, found.offset, found.expected) == (kind, offset, EXPECTED[kind])
    forbids = {other: other for other in EXPECTED if other not in {kind, "indefinite-strings"}}
    assert first_forbidden(Subset(forbids, frozenset({258})), data, 0, len(data)) is None


@pytest.mark.parametrize("item", ALLOWED)
def test_what_is_not_forbidden_is_allowed(item: str) -> None:
    data = bytes.fromhex(item)
    assert first_forbidden(NOTHING, data, 0, len(data)) is None


def test_a_string_of_indefinite_length_can_be_allowed_by_itself_alone() -> None:
    subset = Subset({"nested-indefinite-strings": "rule"})
    assert first_forbidden(subset, bytes.fromhex("5f4161ff 5f4162ff"), 0, 8) is None
    for item, offset in (("815f4161ff", 1), ("a15f4161ff00", 1), ("c05fff", 1), ("00 d90102 81 5fff", 5)):
        data = bytes.fromhex(item)
        found = first_forbidden(subset, data, 0, len(data))
        assert found is not None
        assert (found.requirement, found.offset) == ("rule", offset)
    nested = first_forbidden(subset, bytes.fromhex("5f4161ff"), 0, 4, nested=True)
    assert nested is not None
    assert nested.offset == 0


@given(st.binary(max_size=40))
def test_every_well_formed_item_is_passed_to_its_end(data: bytes) -> None:
    try:
        end, _ = skip_item(data)
    except ValueError:
        return
    assert first_forbidden(ALL, data, 0, end) is None
    found = first_forbidden(NOTHING, data, 0, end)
    assert found is None or 0 <= found.offset < end
