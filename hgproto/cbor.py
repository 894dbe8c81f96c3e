"""CBOR (RFC 8949) as the protocol uses it, with the offset of every fault.

Own code, because a payload must be refused at an octet and by a rule: libraries neither tell where an item is damaged
nor that a key is there twice, and some of their tags run code of the caller's choice. Tests compare with cbor2.

Invariants: nothing is allocated by a length that the octets do not cover; nesting is bounded by :data:`MAX_DEPTH`;
every fault is a :class:`CborError` with the offset of the item's first octet.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any

from hgproto.frame import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "MAX_DEPTH",
    "CborError",
    "Map",
    "Simple",
    "Tag",
    "decode_item",
    "decode_map",
    "encode_item",
    "encode_map",
    "utf8",
]

MAX_DEPTH = 32
"""Levels of nesting. RFC 8949 (section 10) asks decoders for a bound; protocol payloads need three."""

_FLOATS = {25: Struct(">e"), 26: Struct(">f"), 27: Struct(">d")}


class CborError(ValueError):
    """Octets that are not CBOR. ``kind`` is malformed, duplicate or charset; ``offset`` is from the first octet."""

    def __init__(self, kind: str, offset: int, expected: str, found: str) -> None:
        super().__init__(kind, offset, expected, found)
        self.kind = kind
        self.offset = offset
        self.expected = expected
        self.found = found


class Tag(Record):
    """A tagged item: its number and the item, which is not interpreted."""

    __slots__ = ("number", "item")  # noqa: RUF023 - in wire order

    number: int
    item: Any

    def __init__(self, number: int, item: Any) -> None:
        self.number = number
        self.item = item


class Map(Record):
    """A map with keys that a dict does not take: its pairs of key and value."""

    __slots__ = ("pairs",)

    pairs: tuple[tuple[Any, Any], ...]

    def __init__(self, pairs: tuple[tuple[Any, Any], ...]) -> None:
        self.pairs = pairs


class Simple(Record):
    """A simple value (0 to 255) other than true, false and null."""

    __slots__ = ("value",)

    value: int

    def __init__(self, value: int) -> None:
        self.value = value


def decode_item(data: bytes, at: int = 0, depth: int = 0) -> tuple[Any, int]:
    """The item at offset ``at`` and the offset after it.

    Byte strings become ``bytes``, text strings ``str``, arrays lists, maps a ``dict`` or a
    :class:`Map`, tags :class:`Tag`. Raises :class:`CborError`.
    """
    if depth > MAX_DEPTH:
        raise CborError("malformed", at, f"at most {MAX_DEPTH} levels of nesting", "more")
    major, info, argument, body = item_head(data, at)
    if major == 0:
        return _definite(argument, at), body
    if major == 1:
        return -1 - _definite(argument, at), body
    if major in (2, 3):
        return _string(data, at, major, argument, body)
    if major == 4:
        return _array(data, argument, body, depth)
    if major == 5:
        pairs, end = decode_map(data, at, depth)
        return _mapping(pairs), end
    if major == 6:
        item, end = decode_item(data, body, depth + 1)
        return Tag(_definite(argument, at), item), end
    if info in _FLOATS:
        return _FLOATS[info].unpack(data[at + 1 : body])[0], body
    if argument is None:
        raise CborError("malformed", at, "a data item", "a break outside of an indefinite item")
    if info == 24 and argument < 32:
        raise CborError("malformed", at, "a simple value of 32 or more in two octets", str(argument))
    return {20: False, 21: True, 22: None}.get(argument, Simple(argument)), body


def decode_map(data: bytes, at: int = 0, depth: int = 0) -> tuple[list[tuple[Any, Any, int, int]], int]:
    """The pairs of the map at ``at``, each with the offsets of its key and its value, and the offset after the map.

    Raises :class:`CborError` where there is no map, or a key is there twice.
    """
    if depth > MAX_DEPTH:
        raise CborError("malformed", at, f"at most {MAX_DEPTH} levels of nesting", "more")
    major, _, argument, body = item_head(data, at)
    if major != 5:
        raise CborError("malformed", at, "a map", f"an item of major type {major}")
    pairs: list[tuple[Any, Any, int, int]] = []
    seen: set[bytes] = set()
    position = body
    while argument is None or len(pairs) < argument:
        if argument is None and data[position : position + 1] == b"\xff":
            position += 1
            break
        key_at = position
        key, position = decode_item(data, position, depth + 1)
        identity = _identity(key)
        if identity in seen:
            raise CborError("duplicate", key_at, "each key once", f"{key!r} again")
        seen.add(identity)
        value_at = position
        value, position = decode_item(data, position, depth + 1)
        pairs.append((key, value, key_at, value_at))
    return pairs, position


def item_head(data: bytes, at: int) -> tuple[int, int, int | None, int]:
    """Major type, additional information, argument (None when indefinite), and the offset after the head."""
    if at >= len(data):
        raise CborError("malformed", at, "a data item", "the end of the payload")
    first = data[at]
    major, info = first >> 5, first & 31
    if info < 24:
        return major, info, info, at + 1
    if info < 28:
        size = 1 << (info - 24)
        if len(data) - at - 1 < size:
            raise CborError("malformed", at, f"{size} octets after the first", f"{len(data) - at - 1}")
        return major, info, int.from_bytes(data[at + 1 : at + 1 + size], "big"), at + 1 + size
    if info == 31 and major in (2, 3, 4, 5, 7):
        return major, info, None, at + 1
    raise CborError("malformed", at, "a well-formed data item", f"the octet 0x{first:02x}")


def _definite(argument: int | None, at: int) -> int:
    if argument is None:
        raise CborError("malformed", at, "a definite item", "an indefinite one")
    return argument


def _string(data: bytes, at: int, major: int, argument: int | None, body: int) -> tuple[bytes | str, int]:
    if argument is not None:
        if len(data) - body < argument:
            raise CborError("malformed", at, f"a string of {argument} octets", f"{len(data) - body}")
        raw, end = data[body : body + argument], body + argument
        return (raw if major == 2 else utf8(raw, body)), end
    chunks: list[Any] = []
    position = body
    while data[position : position + 1] != b"\xff":
        chunk_major, _, size, _ = item_head(data, position)
        if chunk_major != major or size is None:
            raise CborError("malformed", position, "a definite chunk of the same string type", "another item")
        chunk, position = decode_item(data, position, MAX_DEPTH)
        chunks.append(chunk)
    empty: bytes | str = b"" if major == 2 else ""
    return empty.join(chunks), position + 1


def _array(data: bytes, argument: int | None, body: int, depth: int) -> tuple[list[Any], int]:
    items: list[Any] = []
    position = body
    while argument is None or len(items) < argument:
        if argument is None and data[position : position + 1] == b"\xff":
            return items, position + 1
        item, position = decode_item(data, position, depth + 1)
        items.append(item)
    return items, position


def utf8(raw: bytes, at: int) -> str:
    """The text in ``raw``, which starts at offset ``at``. Raises :class:`CborError`."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CborError("charset", at + error.start, "UTF-8", f"the octet 0x{raw[error.start]:02x}") from None


def _identity(key: object) -> bytes:
    """What two keys share exactly when they are one key: type and value (1, 1.0 and true are three)."""
    return repr((type(key).__name__, key)).encode("utf-8", "surrogatepass")


def _mapping(pairs: list[tuple[Any, Any, int, int]]) -> Any:
    """A dict where that loses nothing: Python takes 1, 1.0 and True for one key, and no list for any."""
    if all(type(key) in (bytes, str, int) for key, *_ in pairs):
        return {key: value for key, value, *_ in pairs}
    return Map(tuple((key, value) for key, value, *_ in pairs))


def encode_item(value: object) -> bytes:
    """The shortest encoding of a value. Raises :class:`TypeError` for one that CBOR has no item for."""
    match value:
        case bool() | None:
            return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
        case int() if 0 <= value < 1 << 64:
            return _encode_head(0, value)
        case int() if -(1 << 64) <= value < 0:
            return _encode_head(1, -1 - value)
        case bytes():
            return _encode_head(2, len(value)) + value
        case str():
            raw = value.encode("utf-8")
            return _encode_head(3, len(raw)) + raw
        case list() | tuple():
            return _encode_head(4, len(value)) + b"".join(map(encode_item, value))
        case dict():
            return encode_map(value.items())
        case Map():
            return encode_map(value.pairs)
        case Tag():
            return _encode_head(6, value.number) + encode_item(value.item)
        case Simple() if value.value < 24 or value.value > 31:
            return bytes([0xE0 | value.value]) if value.value < 24 else bytes([0xF8, value.value])
        case float():
            return b"\xfb" + _FLOATS[27].pack(value)
        case _:
            raise TypeError(f"CBOR has no item for {value!r}")


def encode_map(pairs: Iterable[tuple[object, object]]) -> bytes:
    """A map in the deterministic order of RFC 8949 (section 4.2.1): keys in the order of their octets."""
    items = sorted((encode_item(key), encode_item(value)) for key, value in pairs)
    return _encode_head(5, len(items)) + b"".join(key + value for key, value in items)


def _encode_head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes([major << 5 | argument])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << (8 * size):
            return bytes([major << 5 | info]) + argument.to_bytes(size, "big")
    raise TypeError(f"{argument} does not fit the head of a CBOR item")
