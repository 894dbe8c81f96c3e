"""Values of shapes: the simplest, drawn ones, and those at the edges."""

from __future__ import annotations

import pytest

from hgproto.runtime.cbor import decode_item, encode_item
from hgproto.runtime.shapes import Entry, Shape
from hgproto.samples.choices import Seeded
from hgproto.samples.shapes import CHARACTERS, ITEMS, drawn_pairs, edges_of, number, simplest, string

SIMPLEST: list[tuple[Shape, object]] = [
    (Shape("text"), b"a"),
    (Shape("ascii", choices=("up", "down")), b"up"),
    (Shape("int", minimum=-1), 1),
    (Shape("int", minimum=7), 7),
    (Shape("bool"), True),
    (Shape("any"), 0),
    (Shape("array", parts=(Shape("bytes"),)), [b"a"]),
    (
        Shape(
            "map",
            entries=(Entry("x", Shape("uint", minimum=0), "", False), Entry("y", Shape("uint", minimum=0), "", True)),
        ),
        {b"x": 1},
    ),
    (Shape("map-of", parts=(Shape("ascii"), Shape("bool"))), {b"a": True}),
    (Shape("one-of", parts=(Shape("bool"), Shape("text"))), True),
]


@pytest.mark.parametrize(("shape", "value"), SIMPLEST, ids=[str(shape) for shape, _ in SIMPLEST])
def test_the_simplest_value(shape: Shape, value: object) -> None:
    assert simplest(shape) == value
    assert decode_item(encode_item(value))[0] == value


def test_strings_and_numbers_are_within_their_bounds() -> None:
    choices = Seeded(1)
    assert all(len(string("bytes", choices, 2, 5)) in range(2, 6) for _ in range(100))
    assert all(string("ascii", choices).isascii() for _ in range(100))
    assert {number(3, 9, choices) for _ in range(200)} <= set(range(3, 10))


def test_drawn_maps_have_the_required_keys_and_sometimes_others() -> None:
    entries = (Entry("x", Shape("uint", minimum=0), "", False), Entry("y", Shape("uint", minimum=0), "", True))
    drawn = [dict(drawn_pairs(entries, Seeded(seed))) for seed in range(100)]
    assert all(b"x" in pairs for pairs in drawn)
    assert len({b"y" in pairs for pairs in drawn}) == 2
    assert len({len(pairs.keys() - {b"x", b"y"}) for pairs in drawn}) == 2


def test_edges_have_items_of_each_kind_and_the_words_that_are_allowed() -> None:
    edges = dict(edges_of(Shape("ascii", choices=("up", "down"))))
    assert set(map(repr, ITEMS)) < edges.keys()
    assert (edges["up"], edges["down"]) == (b"up", b"down")
    assert set(CHARACTERS["ascii"]) <= {value for value in edges.values() if isinstance(value, bytes)}
