"""Payloads of every structure of a revision, built from the tables of its codec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.runtime.cbor import encode_item, encode_map
from hgproto.runtime.layout import highest
from hgproto.samples.shapes import MOST_ELEMENTS, drawn_items, drawn_pairs, number, string

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hgproto.runtime.layout import Layout
    from hgproto.samples.choices import Choices

__all__ = ["STRINGS", "assembled", "complete", "structure"]

STRINGS = ("ascii", "utf8", "bytes")
"""The types of fields that are strings."""


def structure(layout: Layout, choices: Choices) -> bytes:
    """Encodes a structure whose fields are each valid."""
    if layout.entries:
        if layout.is_sequence:
            return b"".join(encode_item(value) for value in drawn_items(layout.entries, choices))
        return encode_map(drawn_pairs(layout.entries, choices), alphabetical=layout.is_alphabetical)
    strings: dict[str, list[bytes]] = {}
    numbers: dict[str, list[int]] = {}
    for part in layout.parts:
        if part.layout is not None:
            strings[part.name] = [structure(part.layout, choices) for _ in range(choices.below(MOST_ELEMENTS + 1))]
        elif part.type in STRINGS:
            least = int("empty" in part.rules)
            count = 1 if part.sizes is None else choices.below(MOST_ELEMENTS + 1)
            strings[part.name] = [string(part.type, choices, least) for _ in range(count)]
            if part.at_most is not None:
                numbers[part.at_most] = [len(strings[part.name][0]) + choices.below(MOST_ELEMENTS + 1)]
    complete(layout, strings, numbers)
    for part in layout.parts:
        if part.name not in strings and part.name not in numbers:
            numbers[part.name] = [number(0, highest(part), choices)]
    return assembled(layout, strings, numbers)


def complete(layout: Layout, strings: Mapping[str, list[bytes]], numbers: dict[str, list[int]]) -> None:
    """Adds the numbers that state the sizes of strings and their count."""
    for part in layout.parts:
        name = part.sizes or part.size
        if part.name in strings and name not in (None, "rest"):
            numbers.setdefault(str(name), [len(data) for data in strings[part.name]])
    for part in layout.parts:
        if part.number is not None:
            numbers.setdefault(part.number, [len(numbers[part.name])])


def assembled(layout: Layout, strings: Mapping[str, list[bytes]], numbers: Mapping[str, list[int]]) -> bytes:
    """Encodes a structure of these strings and numbers, even if they do not match."""
    data = []
    for part in layout.parts:
        if part.name in strings:
            data += strings[part.name]
        else:
            size = highest(part).bit_length() // 8
            data += [number.to_bytes(size, "little") for number in numbers[part.name]]
    return b"".join(data)
