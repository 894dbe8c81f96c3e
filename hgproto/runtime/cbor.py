"""CBOR (RFC 8949) as the protocol uses it, with the offset of every fault.

This is our own code because a payload must be rejected at a byte and by a requirement. Libraries report neither the
place of a damaged item nor a duplicate key, and some of their tags run code of the caller's choice. Tests compare this
code with cbor2.

Payloads are decoded by :func:`map_pairs`, which checks the same as :func:`decode_item` but creates no objects for
values.

Invariants: no memory is allocated for a length that the bytes do not cover. ``MAX_DEPTH`` bounds the nesting. Every
fault is a :class:`CborError` with the offset of the item's first byte. :func:`skip_item` accepts a value if and only if
:func:`decode_item` accepts it, with the same end or the same error. Every encoded value can be decoded.
"""

from __future__ import annotations

import re
from contextlib import suppress
from math import isnan
from struct import Struct
from typing import TYPE_CHECKING, Any

from hgproto.errors import counted, shown
from hgproto.runtime.bytelike import as_bytes, is_bytes_like
from hgproto.runtime.cbor_values import MAX_DEPTH, NULL, Chunks, Map, Simple, Tag, WireMap, too_deep

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "MAX_DEPTH",
    "NULL",
    "CborError",
    "Chunks",
    "Map",
    "Simple",
    "Tag",
    "WireMap",
    "decode_item",
    "decode_map",
    "encode_item",
    "encode_map",
    "item_head",
    "join_array",
    "join_map",
    "map_pairs",
    "place_in_string",
    "skip_item",
    "utf8",
]

_MOST_SHOWN = 40
"""The most characters of a key in an error."""
_ANY_NUMBER = 1 << 64
"""The number of items that stands for any number: more than a payload can have bytes."""
_ONE_BYTE = re.compile(rb"[\x00-\x17\x20-\x37\x40\x60\x80\xa0\xe0-\xf7]+")
"""Whole items of one byte each: small numbers, empty strings, arrays, and maps, and simple values."""
_SIMPLE = frozenset(range(256)) - frozenset(range(24, 32))
"""The simple values with an encoding."""
_FLOATS = {25: Struct(">e"), 26: Struct(">f"), 27: Struct(">d")}


class CborError(ValueError):
    """Bytes that are not CBOR, or too many items.

    ``kind`` is malformed, duplicate, charset, or limit. ``offset`` counts from the first byte.
    """

    def __init__(self, kind: str, offset: int, expected: str, found: str) -> None:
        super().__init__(kind, offset, expected, found)
        self.kind = kind
        self.offset = offset
        self.expected = expected
        self.found = found


def decode_item(data: bytes, at: int = 0, depth: int = 0) -> tuple[Any, int]:
    """Decodes the item at offset ``at``. Returns its value and the offset after it.

    Byte strings become ``bytes`` (:class:`Chunks` if their length is indefinite), text strings ``str``, arrays lists,
    maps a :class:`WireMap` or a :class:`Map`, and tags :class:`Tag`. Raises :class:`CborError`.
    """
    value, end, _ = _decode(data, at, depth, _ANY_NUMBER)
    return value, end


def decode_map(data: bytes, at: int = 0, depth: int = 0) -> tuple[list[tuple[Any, Any, int, int]], int]:
    """Decodes the map at ``at``. Returns its pairs with the offsets of key and value, and the offset after the map.

    Raises :class:`CborError` if there is no map or a duplicate key.
    """
    pairs, end, _ = _decode_map(data, at, depth, _ANY_NUMBER)
    return pairs, end


def _decode(data: bytes, at: int, depth: int, left: int) -> tuple[Any, int, int]:
    """Decodes as :func:`decode_item`, at most ``left`` items. Returns the unused part of ``left`` as the third value."""
    if depth > MAX_DEPTH:
        raise CborError("malformed", at, f"at most {MAX_DEPTH} levels of nesting", "more")
    major, info, argument, body = item_head(data, at)
    if major == 5:
        pairs, end, left = _decode_map(data, at, depth, left)
        return _mapping(pairs), end, left
    left = _counted(left, at)
    if major == 0:
        return _definite(argument, at), body, left
    if major == 1:
        return -1 - _definite(argument, at), body, left
    if major in (2, 3):
        return _string(data, at, major, argument, body, left)
    if major == 4:
        return _array(data, argument, body, depth, left)
    if major == 6:
        item, end, left = _decode(data, body, depth + 1, left)
        return Tag(_definite(argument, at), item), end, left
    if info in _FLOATS:
        return _FLOATS[info].unpack(data[at + 1 : body])[0], body, left
    _check_simple(info, argument, at)
    value = {20: False, 21: True, 22: None}[argument] if argument in (20, 21, 22) else Simple(argument or 0)
    return value, body, left


def _decode_map(data: bytes, at: int, depth: int, left: int) -> tuple[list[tuple[Any, Any, int, int]], int, int]:
    if depth > MAX_DEPTH:
        raise CborError("malformed", at, f"at most {MAX_DEPTH} levels of nesting", "more")
    major, _, argument, body = item_head(data, at)
    if major != 5:
        raise CborError("malformed", at, "a map", f"an item of major type {major}")
    left = _counted(left, at)
    pairs: list[tuple[Any, Any, int, int]] = []
    seen: set[object] = set()
    position = body
    while argument is None or len(pairs) < argument:
        if argument is None and data[position : position + 1] == b"\xff":
            position += 1
            break
        key_at = position
        key, value_at, left = _decode(data, key_at, depth + 1, left)
        _note_key(key, key_at, seen)
        value, position, left = _decode(data, value_at, depth + 1, left)
        pairs.append((key, value, key_at, value_at))
    return pairs, position, left


def skip_item(data: bytes, at: int = 0, depth: int = 0, left: int = _ANY_NUMBER) -> tuple[int, int]:
    """Checks the item at ``at`` as :func:`decode_item` does, without creating an object. Returns the offset after it.

    ``left``: the most items, including keys and nested items. The second value is the unused part of ``left``. Raises
    :class:`CborError`.
    """
    if depth > MAX_DEPTH:
        raise CborError("malformed", at, f"at most {MAX_DEPTH} levels of nesting", "more")
    major, info, argument, body = item_head(data, at)
    if major == 5:
        _, end, left = map_pairs(data, at, depth, left)
        return end, left
    left = _counted(left, at)
    if major in (2, 3):
        return _skip_string(data, at, major, argument, body, left)
    if major == 4:
        return _skip_array(data, argument, body, depth, left)
    if major == 6:
        return skip_item(data, body, depth + 1, left)
    if major == 7:
        _check_simple(info, argument, at)
    return body, left


def _counted(left: int, at: int) -> int:
    if left < 1:
        raise CborError("limit", at, "no more items", "one more")
    return left - 1


def _check_simple(info: int, argument: int | None, at: int) -> None:
    if argument is None:
        raise CborError("malformed", at, "a data item", "a break outside of an indefinite item")
    if info == 24 and argument < 32:
        raise CborError("malformed", at, "a simple value of 32 or more in two bytes", str(argument))


def _skip_string(data: bytes, at: int, major: int, argument: int | None, body: int, left: int) -> tuple[int, int]:
    if argument is not None:
        if len(data) - body < argument:
            raise CborError("malformed", at, f"a string of {counted(argument, 'byte')}", f"{len(data) - body}")
        end = body + argument
        if major == 3:
            utf8(data[body:end], body)
        return end, left
    position = body
    while data[position : position + 1] != b"\xff":
        _check_chunk(data, position, major)
        position, left = skip_item(data, position, MAX_DEPTH, left)
    return position + 1, left


def _check_chunk(data: bytes, at: int, major: int) -> None:
    chunk_major, _, size, _ = item_head(data, at)
    if chunk_major != major or size is None:
        raise CborError("malformed", at, "a definite chunk of the same string type", "another item")


def _skip_array(data: bytes, argument: int | None, body: int, depth: int, left: int) -> tuple[int, int]:
    position, count = body, 0
    while argument is None or count < argument:
        if argument is None and data[position : position + 1] == b"\xff":
            return position + 1, left
        run = _ONE_BYTE.match(data, position) if depth < MAX_DEPTH else None
        if run is None:
            position, left = skip_item(data, position, depth + 1, left)
            count += 1
            continue
        number = run.end() - position if argument is None else min(run.end() - position, argument - count)
        if number > left:
            raise CborError("limit", position + left, "no more items", "one more")
        position, count, left = position + number, count + number, left - number
    return position, left


def map_pairs(
    data: bytes, at: int = 0, depth: int = 0, left: int = _ANY_NUMBER
) -> tuple[list[tuple[Any, int, int, int]], int, int]:
    """Returns the pairs of the map at ``at``: each key, and the offsets of the key, of the value, and after the value.

    The second value is the offset after the map, and the third the unused part of ``left``, as in :func:`skip_item`.
    Raises :class:`CborError` if there is no map or a duplicate key.
    """
    if depth > MAX_DEPTH:
        raise CborError("malformed", at, f"at most {MAX_DEPTH} levels of nesting", "more")
    major, _, argument, body = item_head(data, at)
    if major != 5:
        raise CborError("malformed", at, "a map", f"an item of major type {major}")
    left = _counted(left, at)
    pairs: list[tuple[Any, int, int, int]] = []
    seen: set[object] = set()
    position, size = body, len(data) if depth < MAX_DEPTH else 0
    while argument is None or len(pairs) < argument:
        if argument is None and data[position : position + 1] == b"\xff":
            position += 1
            break
        key_at = position
        value_at = key_at + data[key_at] - 0x3F if key_at < size else size
        if key_at + 1 <= value_at < min(key_at + 0x19, size) and left:
            # Most keys are short byte strings, whose first byte has the length.
            left -= 1
            key: Any = data[key_at + 1 : value_at]
        else:
            key, value_at, left = _decode(data, key_at, depth + 1, left)
        _note_key(key, key_at, seen)
        if value_at < size and data[value_at] < 0x18 and left:
            left, position = left - 1, value_at + 1
        else:
            position, left = skip_item(data, value_at, depth + 1, left)
        pairs.append((key, key_at, value_at, position))
    return pairs, position, left


def _note_key(key: Any, at: int, seen: set[object]) -> None:
    """Adds a key to those of its map. Raises :class:`CborError` for a duplicate key."""
    identity = key if type(key) in (bytes, str, Chunks) else _identity(key)
    if identity in seen:
        raise CborError("duplicate", at, "each key once", f"{_shown(key)} again")
    seen.add(identity)


def _shown(key: Any) -> str:
    long = isinstance(key, bytes | str) and len(key) > _MOST_SHOWN
    text = repr(key[:_MOST_SHOWN] if isinstance(key, bytes | str) else key)
    return f"{text[: 2 * _MOST_SHOWN]}..." if long or len(text) > 2 * _MOST_SHOWN else text


def item_head(data: bytes, at: int) -> tuple[int, int, int | None, int]:
    """Returns major type, additional information, argument (None if indefinite), and the offset after the head."""
    if at >= len(data):
        raise CborError("malformed", at, "a data item", "the end of the payload")
    first = data[at]
    major, info = first >> 5, first & 31
    if info < 24:
        return major, info, info, at + 1
    if info < 28:
        size = 1 << (info - 24)
        if len(data) - at - 1 < size:
            raise CborError("malformed", at, f"{counted(size, 'byte')} after the first", f"{len(data) - at - 1}")
        return major, info, int.from_bytes(data[at + 1 : at + 1 + size], "big"), at + 1 + size
    if info == 31 and major in (2, 3, 4, 5, 7):
        return major, info, None, at + 1
    raise CborError("malformed", at, "a well-formed data item", f"the byte 0x{first:02x}")


def place_in_string(data: bytes, at: int, index: int) -> int:
    """Returns the offset of a byte of the well-formed string at ``at``; ``index`` counts the bytes of all chunks."""
    _, _, size, start = item_head(data, at)
    while size is None or index >= size:
        at, index = (start, index) if size is None else (start + size, index - size)
        _, _, size, start = item_head(data, at)
    return start + index


def _definite(argument: int | None, at: int) -> int:
    if argument is None:
        raise CborError("malformed", at, "a definite item", "an indefinite one")
    return argument


def _string(
    data: bytes, at: int, major: int, argument: int | None, body: int, left: int
) -> tuple[bytes | str, int, int]:
    if argument is not None:
        if len(data) - body < argument:
            raise CborError("malformed", at, f"a string of {counted(argument, 'byte')}", f"{len(data) - body}")
        raw, end = data[body : body + argument], body + argument
        return (raw if major == 2 else utf8(raw, body)), end, left
    chunks: list[Any] = []
    position = body
    while data[position : position + 1] != b"\xff":
        _check_chunk(data, position, major)
        chunk, position, left = _decode(data, position, MAX_DEPTH, left)
        chunks.append(chunk)
    if major == 2:
        return Chunks(b"".join(chunks), tuple(map(len, chunks))), position + 1, left
    return "".join(chunks), position + 1, left


def _array(data: bytes, argument: int | None, body: int, depth: int, left: int) -> tuple[list[Any], int, int]:
    items: list[Any] = []
    position = body
    while argument is None or len(items) < argument:
        if argument is None and data[position : position + 1] == b"\xff":
            return items, position + 1, left
        item, position, left = _decode(data, position, depth + 1, left)
        items.append(item)
    return items, position, left


def utf8(raw: bytes, at: int) -> str:
    """Decodes the text in ``raw``, which starts at offset ``at``. Raises :class:`CborError`."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CborError("charset", at + error.start, "UTF-8", f"the byte 0x{raw[error.start]:02x}") from None


def _identity(key: object) -> object:
    """Returns a hashable that is equal for equal keys, by type and value: 1, 1.0, and true are three different keys."""
    return (repr((type(key).__name__, key)),)


def _mapping(pairs: list[tuple[Any, Any, int, int]]) -> Any:
    """Returns a dict if it can hold all keys. Python treats 1, 1.0, and True as one key, and rejects lists as keys."""
    if all(type(key) in (bytes, Chunks, str, int) for key, *_ in pairs):
        return WireMap((key, value) for key, value, *_ in pairs)
    return Map.decoded(tuple((key, value) for key, value, *_ in pairs))


def encode_item(value: object, depth: int = 0, *, alphabetical: bool = False) -> bytes:
    """Returns the shortest encoding of a value. Any buffer becomes a byte string.

    What was decoded is encoded as it was: a :class:`WireMap` in its order, and :class:`Chunks` with an indefinite length.
    ``depth``: levels of nesting around the value. ``alphabetical``: new maps have their keys in alphabetical order, and
    not shortest first. Raises :class:`TypeError` for a value without a CBOR item, such as text with a lone surrogate.
    Raises :class:`ValueError` for more than ``MAX_DEPTH`` levels, and for a duplicate key in a map.
    """
    if depth > MAX_DEPTH:
        raise too_deep("encode")
    match value:
        case bool() | None:
            return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
        case int() if -(1 << 64) <= value < 1 << 64:
            return _encode_head(0, value) if value >= 0 else _encode_head(1, -1 - value)
        case Chunks():
            return b"\x5f" + b"".join([encode_item(chunk) for chunk in value.chunks]) + b"\xff"
        case bytes():
            return _encode_head(2, len(value)) + value
        case str():
            try:
                raw = value.encode("utf-8")
            except UnicodeEncodeError:
                raise TypeError(f"CBOR has no item for text with a lone surrogate: {shown(value)}") from None
            return _encode_head(3, len(raw)) + raw
        case list() | tuple():
            return join_array([encode_item(item, depth + 1, alphabetical=alphabetical) for item in value])
        case dict() | Map():
            pairs = value.pairs if isinstance(value, Map) else value.items()
            keep = value.keeps_order if isinstance(value, Map) else isinstance(value, WireMap)
            return encode_map(pairs, depth, alphabetical=alphabetical, keep=keep)
        case Tag():
            return _encode_head(6, value.number) + encode_item(value.item, depth + 1, alphabetical=alphabetical)
        case Simple() if value.value in _SIMPLE:
            return bytes([0xE0 | value.value]) if value.value < 24 else bytes([0xF8, value.value])
        case float():
            return _encode_float(value)
        case _:
            if not is_bytes_like(value):
                raise TypeError(f"CBOR has no item for {shown(value)}")
            buffer: Any = value
            return encode_item(as_bytes(buffer), depth)


def _encode_float(value: float) -> bytes:
    """Returns the shortest encoding that keeps a value, and half precision for NaN."""
    for info in (25, 26):
        with suppress(OverflowError):
            packed = _FLOATS[info].pack(value)
            if isnan(value) or _FLOATS[info].unpack(packed)[0] == value:
                return bytes([0xE0 | info]) + packed
    return b"\xfb" + _FLOATS[27].pack(value)


def encode_map(
    pairs: Iterable[tuple[object, object]], depth: int = 0, *, alphabetical: bool = False, keep: bool = False
) -> bytes:
    """Encodes a map in the order of :func:`join_map`. ``keep``: keeps the order of ``pairs``.

    ``depth``: levels of nesting around the map. Raises as :func:`encode_item`.
    """
    if depth > MAX_DEPTH:
        raise too_deep("encode")
    items = [
        (
            encode_item(key, depth + 1, alphabetical=alphabetical),
            encode_item(value, depth + 1, alphabetical=alphabetical),
        )
        for key, value in pairs
    ]
    seen: set[object] = set()
    try:
        for key, _ in items:
            _note_key(decode_item(key)[0], 0, seen)
    except CborError as error:
        raise ValueError(f"expected each key of a CBOR map once, found {error.found}; leave one of them out") from None
    return join_map(items, alphabetical=alphabetical, keep=keep)


def join_map(pairs: Iterable[tuple[bytes, bytes]], *, alphabetical: bool = False, keep: bool = False) -> bytes:
    """Returns a map of encoded keys and values. Does not check for duplicate keys.

    Keys are in the deterministic order of RFC 8949 (section 4.2.1), that of their encoded bytes, so that a short string
    precedes a long one. ``alphabetical``: strings are in the order of their content instead. ``keep``: keeps the order of
    ``pairs``.
    """
    items = list(pairs) if keep else sorted(pairs, key=_by_content if alphabetical else None)
    return _encode_head(5, len(items)) + b"".join(key + value for key, value in items)


def _by_content(pair: tuple[bytes, bytes]) -> tuple[int, bytes]:
    """Returns the place of a key in alphabetical order: by major type, and strings by their content."""
    major, _, argument, body = item_head(pair[0], 0)
    return major, pair[0] if argument is None or major not in (2, 3) else pair[0][body:]


def join_array(items: Sequence[bytes]) -> bytes:
    """Returns an array of items that are encoded already."""
    return _encode_head(4, len(items)) + b"".join(items)


def _encode_head(major: int, argument: int) -> bytes:
    if 0 <= argument < 24:
        return bytes([major << 5 | argument])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if 0 <= argument < 1 << (8 * size):
            return bytes([major << 5 | info]) + argument.to_bytes(size, "big")
    raise TypeError(f"{argument} does not fit the head of a CBOR item")
