"""What the settings of the site do by themselves: fields of parameters, and numbers in the search."""

from __future__ import annotations

import sys

import pytest
from support import ROOT

pytest.importorskip("sphinx", reason="the site is built with: pip install -e '.[docs]'")
sys.path.append(str(ROOT / "docs"))

from parameters import with_fields
from searching import SearchWithNumbers


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Returns the frame.\n", "Returns the frame.\n"),
        ("Reads a frame. ``at``: offset in\nbytes.\n", "Reads a frame.\n\n:param at: Offset in bytes.\n"),
        (
            "Reads.\n\n``at``: the offset. ``end``: the end.\nRaises :class:`ValueError` for others.\n",
            "Reads.\n\nRaises :class:`ValueError` for others.\n\n:param at: The offset.\n:param end: The end.\n",
        ),
        ("``low``, ``high``: bounds.\n", ":param low: Bounds.\n:param high: Bounds.\n"),
        ("Reads.\n\n* ``at``: the offset.\n", "Reads.\n\n* ``at``: the offset.\n"),
    ],
)
def test_described_parameters_become_fields(text: str, shown: str) -> None:
    assert with_fields(text) == shown


def test_numbers_are_in_the_search_index() -> None:
    search = SearchWithNumbers({})
    assert search.word_filter("65535")
    assert search.word_filter("0x22")
    assert not search.word_filter("7")
    assert not search.word_filter("the")
