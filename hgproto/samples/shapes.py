"""CBOR values and strings of each shape: arbitrary ones, and those at the edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.errors import counted
from hgproto.runtime.cbor import Simple, Tag

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hgproto.runtime.shapes import Entry, Shape
    from hgproto.samples.choices import Choices

__all__ = [
    "CHARACTERS",
    "ITEMS",
    "MOST_BYTES",
    "MOST_ELEMENTS",
    "drawn_items",
    "drawn_pairs",
    "edges_of",
    "number",
    "simplest",
    "string",
]

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

_UNKNOWN = (None, True, b"", 0, -1)
"""Values under keys that a revision does not know."""
CHARACTERS = {
    "ascii": (b"\x00", b"\x7f", b"\x80", b"\xff"),
    # The first and last character of each length, invalid bytes next to them, overlong forms, surrogates, and a cut character.
    "utf8": (
        b"\x00",
        b"\x7f",
        b"\x80",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xc2",
        b"\xc2\x80",
        b"\xdf\xbf",
        b"\xe0\x9f\xbf",
        b"\xe0\xa0\x80",
        b"\xed\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xee\x80\x80",
        b"\xef\xbf\xbf",
        b"\xf0\x8f\xbf\xbf",
        b"\xf0\x90\x80\x80",
        b"\xf4\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xff",
    ),
    "bytes": (b"\x00", b"\x7f", b"\x80", b"\xff"),
}
ITEMS: tuple[object, ...] = (0, -1, b"", "", [], {}, None, False, True, 0.0, Simple(0), Tag(0, 0))
"""A value of each kind that CBOR has."""
_HEADS = (23, 24, 0xFF, 0x100, 0xFFFF, 0x10000, 0xFFFFFFFF, 0x100000000, (1 << 64) - 1)
"""The largest argument for each size of the head of a CBOR item, and the next argument."""


def string(type: str, choices: Choices, least: int = 0, most: int = MOST_BYTES) -> bytes:
    """Chooses the bytes of a string: ``least`` to ``most`` bytes if ``type`` is ``bytes``, or fewer characters otherwise."""
    if type == "bytes":
        return choices.any_bytes(least, most)
    characters = _ASCII if type == "ascii" else _UTF8
    return b"".join(choices.pick(characters) for _ in range(choices.among(least, most // 4)))


def number(low: int, high: int, choices: Choices) -> int:
    """Chooses a number, one time in two at a boundary."""
    fitting = [one for one in (*_NUMBERS, -1) if low <= one <= high] or [low]
    return choices.pick(fitting) if choices.below(2) else choices.among(low, min(high, low + 0xFFFF))


def simplest(shape: Shape) -> object:
    """Returns the simplest value of a shape, as :func:`hgproto.runtime.cbor.encode_item` accepts it."""
    match shape.type:
        case "text" | "ascii" | "bytes":
            return shape.choices[0].encode() if shape.choices else b"a"
        case "int" | "uint":
            return max(1, shape.minimum or 1)
        case "bool":
            return True
        case "array":
            return [simplest(shape.parts[0])]
        case "map":
            return {entry.name.encode(): simplest(entry.shape) for entry in shape.entries if not entry.optional}
        case "map-of":
            return {simplest(shape.parts[0]): simplest(shape.parts[1])}
        case "one-of" | "tagged":
            return simplest(shape.parts[0])
        case "tuple":
            return [simplest(part) for part in shape.parts]
    return 0


def drawn(shape: Shape, choices: Choices) -> object:
    """Chooses a value of a shape; see :func:`simplest`."""
    match shape.type:
        case "text" | "ascii" | "bytes":
            if shape.choices:
                return choices.pick(shape.choices).encode()
            return string("utf8" if shape.type == "text" else shape.type, choices)
        case "int" | "uint":
            least = -(1 << 64) if shape.minimum is None else shape.minimum
            return number(least, (1 << 64) - 1, choices)
        case "bool":
            return bool(choices.below(2))
        case "array":
            return [drawn(shape.parts[0], choices) for _ in range(choices.below(MOST_ELEMENTS + 1))]
        case "map":
            return dict(drawn_pairs(shape.entries, choices))
        case "map-of":
            key, value = shape.parts
            return {drawn(key, choices): drawn(value, choices) for _ in range(choices.below(MOST_ELEMENTS + 1))}
        case "one-of" | "tagged":
            return drawn(choices.pick(shape.parts), choices)
        case "tuple":
            return [drawn(part, choices) for part in shape.parts]
    return choices.pick(_UNKNOWN)


def drawn_pairs(entries: Sequence[Entry], choices: Choices) -> list[tuple[object, object]]:
    """Chooses the keys and values of a map."""
    pairs: list[tuple[object, object]] = []
    for entry in entries:
        if entry.optional and choices.below(2) == 0:
            continue
        pairs.append((entry.name.encode(), drawn(entry.shape, choices)))
    if choices.below(4) == 3:
        # A receiver accepts keys that it does not know.
        pairs.append((b"x-" + string("ascii", choices), choices.pick(_UNKNOWN)))
    return pairs


def drawn_items(entries: Sequence[Entry], choices: Choices) -> Iterator[object]:
    """Yields the items of a sequence."""
    for entry in entries:
        for _ in range(choices.below(MOST_ELEMENTS + 1) if entry.repeated else 1):
            yield drawn(entry.shape, choices)


def edges_of(shape: Shape) -> Iterator[tuple[str, object]]:
    """Yields values at the edges of a shape and one step beyond, with their descriptions."""
    yield from ((repr(item), item) for item in ITEMS)
    match shape.type:
        case "text" | "ascii" | "bytes":
            for data in CHARACTERS["utf8" if shape.type == "text" else shape.type]:
                yield f"of the bytes {data.hex()}", data
            for size in (23, 24, 0xFF, 0x100):
                yield f"of {counted(size, 'byte')}", b"a" * size
            yield from ((choice, choice.encode()) for choice in shape.choices)
        case "int" | "uint":
            steps = {(shape.minimum or 0) + step for step in (-1, 0, 1)} | {-(1 << 64)}
            for one in sorted({*steps, *_HEADS, *(-one for one in _HEADS)}):
                if -(1 << 64) <= one < 1 << 64:  # CBOR has no other integers
                    yield str(one), one
        case "array":
            yield from ((f"with {what}", [value]) for what, value in edges_of(shape.parts[0]))
            yield from ((f"of {counted(size, 'item')}", [simplest(shape.parts[0])] * size) for size in (2, 23, 24))
        case "map":
            every = {entry.name.encode(): simplest(entry.shape) for entry in shape.entries}
            yield "every entry", every
            for entry in shape.entries:
                name = entry.name.encode()
                yield f"without {entry.name}", {key: value for key, value in every.items() if key != name}
                yield from (
                    (f"with {entry.name} {what}", {**every, name: value}) for what, value in edges_of(entry.shape)
                )
        case "map-of":
            key, inner = shape.parts
            yield from ((f"with the key {what}", {value: simplest(inner)}) for what, value in _hashable(edges_of(key)))
            yield from ((f"with the value {what}", {simplest(key): value}) for what, value in edges_of(inner))
        case "tuple":
            every_item = [simplest(part) for part in shape.parts]
            yield from ((f"of {counted(size, 'item')}", [0] * size) for size in range(len(every_item) + 2))
            for index, part in enumerate(shape.parts):
                for what, value in edges_of(part):
                    yield f"with {what} at {index}", [*every_item[:index], value, *every_item[index + 1 :]]
        case "one-of" | "tagged":
            yield from (edge for part in shape.parts for edge in edges_of(part) if part.type not in ("any",))


def _hashable(edges: Iterator[tuple[str, object]]) -> Iterator[tuple[str, object]]:
    return ((what, value) for what, value in edges if not isinstance(value, list | dict))
