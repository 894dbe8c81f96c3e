"""CBOR values without a Python type."""

from __future__ import annotations

import re
from operator import eq, ne

import pytest
from runtime.test_cbor import NESTED, TOO_DEEP, nested

from hgproto.runtime.cbor_values import Tag


@pytest.mark.parametrize("levels", [1000, 100_000])
@pytest.mark.parametrize("kind", NESTED)
def test_what_is_nested_too_deep_is_shown_and_neither_compared_nor_hashed(kind: str, levels: int) -> None:
    value, twin = (Tag(1, nested(kind, levels, 1)) for _ in range(2))
    assert repr(value).startswith("Tag(number=1, item=")
    with pytest.raises(ValueError, match=TOO_DEEP.replace("encode", "hash")):
        hash(value)
    for compare, answer in ((eq, True), (ne, False)):
        try:
            compared = compare(value, twin)
        except ValueError as error:
            # Newer Pythons compare a thousand levels.
            assert re.search(TOO_DEEP.replace("encode", "compare"), str(error))
        else:
            assert levels == 1000
            assert compared is answer
