"""Payloads of every structure of a revision, made from the tables of its codec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.runtime.cbor import encode_map
from hgproto.runtime.layout import highest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hgproto.runtime.layout import Entry, Layout
    from hgproto.samples.choices import Choices

__all__ = ["STRINGS", "assembled", "complete", "string", "structure"]

STRINGS = ("ascii", "utf8", "bytes")
"""The types of parts that are strings."""

MOST_BYTES = 12
MOST_ELEMENTS = 3

_ASCII = (b"a", b"key", b"~ ", b"\0", b"\x7f", b"%s")
_UTF8 = (*_ASCII, "\u00e9".encode(), "\U0001f9ea".encode(), b"\n", "\u202e".encode())
_NUMBERS = (
    0,
    1,
    2,
    23,
    24,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x7FFF,
    0xFFFF,
    0x10000,
    0xFFFFFF,
    0xFFFFFFFF,
    0x100000000,
    (1 << 64) - 1,
)


def string(type: str, choices: Choices, least: int = 0, most: int = MOST_BYTES) -> bytes:
    """The bytes of a string: ``ascii``, ``utf8`` or ``bytes``, so many bytes or fewer characters."""
    if type == "bytes":
        return choices.any_bytes(least, most)
    characters = _ASCII if type == "ascii" else _UTF8
    return b"".join(choices.pick(characters) for _ in range(choices.among(least, most // 4)))


def structure(layout: Layout, choices: Choices) -> bytes:
    """The bytes of a structure that keep the rules of its fields."""
    if layout.entries:
        return encode_map(_pairs(layout.entries, choices))
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
            numbers[part.name] = [_number(0, highest(part), choices)]
    return assembled(layout, strings, numbers)


def complete(layout: Layout, strings: Mapping[str, list[bytes]], numbers: dict[str, list[int]]) -> None:
    """Adds the numbers that say how long strings are, and how many."""
    for part in layout.parts:
        name = part.sizes or part.size
        if part.name in strings and name not in (None, "rest"):
            numbers.setdefault(str(name), [len(data) for data in strings[part.name]])
    for part in layout.parts:
        if part.number is not None:
            numbers.setdefault(part.number, [len(numbers[part.name])])


def assembled(layout: Layout, strings: Mapping[str, list[bytes]], numbers: Mapping[str, list[int]]) -> bytes:
    """The bytes of a structure of these strings and numbers, whether or not they fit each other."""
    data = []
    for part in layout.parts:
        if part.name in strings:
            data += strings[part.name]
        else:
            size = highest(part).bit_length() // 8
            data += [number.to_bytes(size, "little") for number in numbers[part.name]]
    return b"".join(data)


def _number(low: int, high: int, choices: Choices) -> int:
    """A number, at a boundary as often as not."""
    fitting = [number for number in (*_NUMBERS, -1) if low <= number <= high]
    return choices.pick(fitting) if choices.below(2) else choices.among(low, min(high, low + 0xFFFF))


def _pairs(entries: Sequence[Entry], choices: Choices) -> list[tuple[object, object]]:
    """The keys and values of a CBOR map."""
    pairs: list[tuple[object, object]] = []
    for entry in entries:
        if entry.optional and choices.below(2) == 0:
            continue
        value: object
        if entry.type == "text":
            value = string("utf8", choices)
        else:
            low = 0 if entry.type == "uint" else -(1 << 64) if entry.minimum is None else entry.minimum
            value = _number(low if entry.minimum is None else max(low, entry.minimum), (1 << 64) - 1, choices)
        pairs.append((entry.name.encode(), value))
    if choices.below(4) == 3:
        # Keys that a receiver does not know are no fault.
        pairs.append((b"x-" + string("ascii", choices), choices.pick((None, True, b"", 0, -1))))
    return pairs
