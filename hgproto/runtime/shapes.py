"""Shapes, the schema's types of CBOR values, and functions that decode, build, and locate such values.

The decoding functions expect well-formed bytes, which :func:`hgproto.runtime.cbor.skip_item` accepts. ``layout``: the
structure that the value belongs to; its rules are the requirements by kind of error: type, charset, choice, keys, and
missing. ``path``: the name of the value in errors.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from hgproto.errors import LocalProtocolError, RemoteProtocolError, counted, quoted, shown
from hgproto.runtime.bytelike import as_bytes, is_bytes_like
from hgproto.runtime.cbor import (
    NULL,
    CborError,
    Map,
    Simple,
    Tag,
    WireMap,
    decode_item,
    encode_item,
    item_head,
    join_array,
    join_map,
    map_pairs,
    place_in_string,
    skip_item,
    utf8,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hgproto.runtime.layout import Layout

__all__ = [
    "BREAK",
    "MAJORS",
    "UNKNOWN",
    "Entry",
    "Shape",
    "Step",
    "brief",
    "label_of",
    "read_shape",
    "steps_of",
    "write_shape",
]

_MAX_SHOWN = 32
"""The most characters of a value in an error."""
_LONGEST_LABEL = 256
"""The most bytes of a key in a path."""
_PLAIN = re.compile(rb"[A-Za-z0-9_-]+")
"""Keys that a path shows unquoted. In others, a peer could hide terminal commands, line ends, or steps of a path."""

MAJORS = {
    "text": frozenset({2, 3}),
    "ascii": frozenset({2}),
    "bytes": frozenset({2}),
    "int": frozenset({0, 1}),
    "uint": frozenset({0, 1}),
    "bool": frozenset({7}),
    "array": frozenset({4}),
    "map": frozenset({5}),
    "map-of": frozenset({5}),
    "tagged": frozenset({5}),
    "tuple": frozenset({4}),
    "any": frozenset(range(8)),
}
"""The major types of the items that a type accepts. A ``one-of`` accepts those of its options."""
_WORDS = {
    "text": "a string",
    "ascii": "a byte string",
    "bytes": "a byte string",
    "bool": "true or false",
    "array": "an array",
    "map": "a map",
    "map-of": "a map",
    "tagged": "a map",
    "any": "an item",
}


_STRINGS = frozenset({"text", "ascii", "bytes"})
_INTEGERS = frozenset({"int", "uint"})


StringT = TypeVar("StringT", str, bytes)

BREAK = "The end of an array or a map of indefinite length."
"""The meaning of a break."""
UNKNOWN = "Not known to this revision."
"""The meaning of a key without an entry."""


class Shape(NamedTuple):
    """The type of a value.

    ``type``: a word of the schema language. ``minimum``: that of an integer; 0 for a ``uint``. ``choices``: the allowed
    strings; empty for all. ``parts``: the shape of the items (array), of each item (tuple), of the keys and of the values
    (map-of), of each option (one-of), or of the map of each case (tagged). ``entries``: the known keys of a map. ``tag``:
    the key whose value selects the case of a tagged map; ``choices`` has these values.
    """

    type: str
    minimum: int | None = None
    choices: tuple[str, ...] = ()
    parts: tuple[Shape, ...] = ()
    entries: tuple[Entry, ...] = ()
    tag: str = ""

    def __str__(self) -> str:
        if self.type == "tuple":
            return f"an array of {counted(len(self.parts), 'item')}"
        if self.type in ("int", "uint"):
            return "an integer" if self.minimum is None else f"an integer of at least {self.minimum}"
        return " or ".join(map(str, self.parts)) if self.type == "one-of" else _WORDS[self.type]


class Entry(NamedTuple):
    """An entry of a map: its key and the shape of its value. In a sequence, an item.

    ``optional``: the key may be missing. ``repeated``: the item occurs any number of times, up to the end of the sequence.
    """

    name: str
    shape: Shape
    doc: str
    optional: bool
    repeated: bool = False


class Step(NamedTuple):
    """Bytes ``start`` to ``end`` within a value. ``path`` starts at the value. ``value``: None for the head of a container."""

    path: str
    start: int
    end: int
    value: Any
    doc: str | None


def read_shape(shape: Shape, data: bytes, at: int, end: int, path: str, layout: Layout) -> Any:
    """Returns the value of the item from ``at`` to ``end``. Raises :class:`RemoteProtocolError` for another shape.

    Strings are ``str`` or ``bytes``, arrays are lists, and tuples are tuples. Maps are dicts in the order of the wire: known
    keys are ``str``, and others ``bytes``.
    """
    kind, first = shape.type, data[at]
    major = first >> 5
    if major == 2 and kind in _STRINGS:
        # The first byte of a short string has its length.
        raw = data[at + 1 : end] if first < 0x58 else decode_item(data, at)[0]
        if kind == "bytes":
            return raw if not shape.choices else _allowed(shape, raw, at, path, layout)
        if kind == "text" and not shape.choices:
            try:
                return raw.decode()
            except UnicodeDecodeError:  # the place is found below
                pass
        return _read_text(shape, data, at, raw, path, layout)
    if major < 2 and kind in _INTEGERS:
        value = first if first < 0x18 else decode_item(data, at)[0]
        if shape.minimum is None or value >= shape.minimum:
            return value
    elif kind == "one-of":
        option = next((part for part in shape.parts if major in MAJORS[part.type]), None)
        # Simple values and floats share the major type of booleans.
        if option is not None and (option.type != "bool" or first in (0xF4, 0xF5)):
            return read_shape(option, data, at, end, path, layout)
    elif kind == "any":
        return decode_item(data, at)[0]
    elif kind == "text" and major == 3:
        return _allowed(shape, decode_item(data, at)[0], at, path, layout)
    elif kind == "tuple" and major == 4:
        spans = list(_items(data, at))
        if len(spans) == len(shape.parts):
            return tuple(
                read_shape(part, data, start, stop, f"{path}[{index}]", layout)
                for index, (part, (start, stop)) in enumerate(zip(shape.parts, spans, strict=True))
            )
        raise RemoteProtocolError(layout.rules["type"], at, path, str(shape), f"one of {len(spans)}")
    elif kind == "tagged" and major == 5:
        case = _case_read(shape, data, at, path, layout)
        return WireMap(_read_map(case, data, at, path, layout))
    elif kind == "array" and major == 4:
        return [
            read_shape(shape.parts[0], data, start, stop, f"{path}[{index}]", layout)
            for index, (start, stop) in enumerate(_items(data, at))
        ]
    elif major == 5 and kind in ("map", "map-of"):
        return WireMap(_read_map(shape, data, at, path, layout))
    elif kind == "bool" and first in (0xF4, 0xF5):
        return first == 0xF5
    raise RemoteProtocolError(layout.rules["type"], at, path, str(shape), _brief_item(data, at))


def _read_text(shape: Shape, data: bytes, at: int, raw: bytes, path: str, layout: Layout) -> str:
    try:
        text = utf8(raw, 0) if shape.type == "text" else raw.decode("ascii")
    except CborError as error:
        place = place_in_string(data, at, error.offset)
        raise RemoteProtocolError(layout.rules["charset"], place, path, error.expected, error.found) from None
    except UnicodeDecodeError as error:
        place = place_in_string(data, at, error.start)
        found = f"the byte 0x{raw[error.start]:02x}"
        raise RemoteProtocolError(layout.rules["charset"], place, path, "ASCII", found) from None
    return _allowed(shape, text, at, path, layout)


def _allowed(shape: Shape, string: StringT, at: int, path: str, layout: Layout) -> StringT:
    """Returns a string that is one of the choices of its shape."""
    if not _is_choice(shape, string):
        raise RemoteProtocolError(layout.rules["choice"], at, path, _choices(shape), brief(string))
    return string


def _is_choice(shape: Shape, string: str | bytes) -> bool:
    """Returns True if a shape allows a string."""
    words = (word if isinstance(string, str) else word.encode() for word in shape.choices)
    return not shape.choices or string in words


def _choices(shape: Shape) -> str:
    return f"one of {', '.join(map(repr, shape.choices))}" if len(shape.choices) > 1 else repr(shape.choices[0])


def _items(data: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Yields the offsets of the items of an array, and the offsets after them."""
    _, _, count, position = item_head(data, at)
    while count != 0 and (count is not None or data[position] != 0xFF):
        start, (position, _) = position, skip_item(data, position)
        count = None if count is None else count - 1
        yield start, position


def _case_read(shape: Shape, data: bytes, at: int, path: str, layout: Layout) -> Shape:
    """Returns the map that the tag of an encoded map selects."""
    pairs, _, _ = map_pairs(data, at)
    for key, _, value_at, _ in pairs:
        if key == shape.tag.encode():
            place = f"{path}.{shape.tag}"
            tag, _ = decode_item(data, value_at)
            for choice, part in zip(shape.choices, shape.parts, strict=True):
                if tag == choice.encode():
                    return part
            if not isinstance(tag, bytes):
                raise RemoteProtocolError(
                    layout.rules["type"], value_at, place, "a byte string", _brief_item(data, value_at)
                )
            raise RemoteProtocolError(layout.rules["choice"], value_at, place, _choices(shape), brief(tag))
    raise RemoteProtocolError(layout.rules["missing"], at, path, f"the key {shape.tag}", "no such key")


def _case_written(shape: Shape, value: dict[Any, Any], path: str, layout: Layout) -> Shape:
    """Returns the map that the tag of a value selects."""
    if shape.tag not in value:
        raise LocalProtocolError(layout.rules["missing"], None, path, f"the key {shape.tag}", "no such key")
    for choice, part in zip(shape.choices, shape.parts, strict=True):
        if value[shape.tag] == choice:
            return part
    raise LocalProtocolError(
        layout.rules["choice"], None, f"{path}.{shape.tag}", _choices(shape), brief(value[shape.tag])
    )


def _read_map(shape: Shape, data: bytes, at: int, path: str, layout: Layout) -> Iterator[tuple[Any, Any]]:
    """Yields the keys and values of a map."""
    pairs, _, _ = map_pairs(data, at)
    if shape.type == "map-of":
        key_shape, value_shape = shape.parts
        for _, key_at, value_at, end in pairs:
            key = read_shape(key_shape, data, key_at, value_at, f"{path} (a key)", layout)
            yield key, read_shape(value_shape, data, value_at, end, f"{path}.{label_of(key, key_at)}", layout)
        return
    known = {entry.name.encode(): entry for entry in shape.entries}
    for key, key_at, value_at, end in pairs:
        if not isinstance(key, bytes):
            raise RemoteProtocolError(layout.rules["keys"], key_at, path, "a byte string as key", brief(key))
        entry = known.pop(key, None)
        if entry is None:
            yield key, decode_item(data, value_at)[0]
        else:
            yield entry.name, read_shape(entry.shape, data, value_at, end, f"{path}.{entry.name}", layout)
    for entry in known.values():
        if not entry.optional:
            raise RemoteProtocolError(layout.rules["missing"], at, path, f"the key {entry.name}", "no such key")


def steps_of(shape: Shape, data: bytes, at: int, end: int, value: Any) -> Iterator[Step]:
    """Yields the parts of a valid value in wire order: heads of containers, keys, and items."""
    if shape.type == "one-of":
        shape = next(part for part in shape.parts if data[at] >> 5 in MAJORS[part.type])
    if shape.type == "tagged":
        shape = shape.parts[shape.choices.index(value[shape.tag])]
    if shape.type not in ("array", "tuple", "map", "map-of"):
        yield Step("", at, end, NULL if value is None else value, None)
        return
    _, _, size, body = item_head(data, at)
    yield Step("", at, body, None if value else value, None)
    yield from _steps_inside(shape, data, at, value)
    if size is None:
        yield Step(".break", end - 1, end, None, BREAK)


def _steps_inside(shape: Shape, data: bytes, at: int, value: Any) -> Iterator[Step]:
    """Yields the parts of an array or a map without its head and its end."""
    if shape.type in ("array", "tuple"):
        for index, (start, stop) in enumerate(_items(data, at)):
            part = shape.parts[index if shape.type == "tuple" else 0]
            for step in steps_of(part, data, start, stop, value[index]):
                yield step._replace(path=f"[{index}]{step.path}")
        return
    known = {entry.name.encode(): entry for entry in shape.entries}
    pairs, _, _ = map_pairs(data, at)
    for (key, key_at, value_at, stop), (label, item) in zip(pairs, value.items(), strict=True):
        entry = known.get(key)
        inner = entry.shape if entry is not None else shape.parts[1] if shape.parts else Shape("any")
        prefix = f".{label_of(key, key_at)}"
        yield Step(f"{prefix}.key", key_at, value_at, label, "The key.")
        for step in steps_of(inner, data, value_at, stop, item):
            doc = step.doc or (entry.doc if entry is not None else UNKNOWN if shape.entries else None)
            yield step._replace(path=f"{prefix}.value{step.path}", doc=doc)


def _brief_item(data: bytes, at: int) -> str:
    """Returns a short text for an item, without decoding nested items."""
    major, _, argument, _ = item_head(data, at)
    if major in (4, 5, 6):
        return {4: "an array", 5: "a map", 6: f"an item with tag {argument}"}[major]
    return brief(decode_item(data, at)[0])


def write_shape(shape: Shape, value: Any, path: str, layout: Layout, depth: int = 1) -> bytes:
    """Encodes a value. ``depth``: levels of nesting around it. Raises :class:`LocalProtocolError`."""
    kind = shape.type
    if kind == "one-of":
        option = next((part for part in shape.parts if _fits(part, value)), None)
        if option is not None:
            return write_shape(option, value, path, layout, depth)
    elif kind == "any":
        return _write_any(value, path, layout, depth)
    elif _fits(shape, value):
        if kind in ("text", "ascii"):
            return _write_text(shape, value, path, layout)
        if kind == "array":
            return join_array(
                [
                    write_shape(shape.parts[0], item, f"{path}[{index}]", layout, depth + 1)
                    for index, item in enumerate(value)
                ]
            )
        if kind == "tuple":
            parts = enumerate(zip(shape.parts, value, strict=True))
            return join_array(
                [write_shape(part, item, f"{path}[{index}]", layout, depth + 1) for index, (part, item) in parts]
            )
        if kind == "tagged":
            shape = _case_written(shape, value, path, layout)
        if kind in ("map", "map-of", "tagged"):
            pairs = _write_pairs(shape, value, path, layout, depth + 1)
            return join_map(pairs, alphabetical=layout.is_alphabetical, keep=isinstance(value, WireMap))
        if kind == "bytes":
            value = value if isinstance(value, bytes) else as_bytes(value)
            if not _is_choice(shape, value):
                raise LocalProtocolError(layout.rules["choice"], None, path, _choices(shape), brief(value))
        return encode_item(value)
    expected = f"{shape} and 64 bits" if kind in ("int", "uint") and shape.minimum is not None else str(shape)
    expected = "an integer of 64 bits" if expected == "an integer" else expected
    raise LocalProtocolError(layout.rules["type"], None, path, expected, brief(value))


def _fits(shape: Shape, value: Any) -> bool:
    """Returns True if a value has the Python type of a shape."""
    match shape.type:
        case "text" | "ascii":
            return type(value) is str
        case "bytes":
            return is_bytes_like(value)
        case "int" | "uint":
            return (
                type(value) is int
                and -(1 << 64) <= value < 1 << 64
                and (shape.minimum is None or value >= shape.minimum)
            )
        case "bool":
            return type(value) is bool
        case "array":
            return isinstance(value, list | tuple)
        case "tuple":
            return isinstance(value, list | tuple) and len(value) == len(shape.parts)
        case "map" | "map-of" | "tagged":
            return isinstance(value, dict)
    return shape.type == "any"


def _write_any(value: Any, path: str, layout: Layout, depth: int) -> bytes:
    try:
        return encode_item(value, depth, alphabetical=layout.is_alphabetical)
    except (TypeError, ValueError) as error:
        raise LocalProtocolError(layout.rules["type"], None, path, "a value that CBOR has", str(error)) from None


def _write_text(shape: Shape, value: str, path: str, layout: Layout) -> bytes:
    try:
        raw = value.encode("utf-8" if shape.type == "text" else "ascii")
    except UnicodeEncodeError as error:
        expected = "UTF-8" if shape.type == "text" else "ASCII"
        found = (
            "a lone surrogate" if shape.type == "text" else f"U+{ord(value[error.start]):04X} at index {error.start}"
        )
        raise LocalProtocolError(layout.rules["charset"], None, path, expected, found) from None
    if not _is_choice(shape, value):
        raise LocalProtocolError(layout.rules["choice"], None, path, _choices(shape), brief(value))
    return encode_item(raw)


def _write_pairs(
    shape: Shape, value: dict[Any, Any], path: str, layout: Layout, depth: int
) -> Iterator[tuple[bytes, bytes]]:
    """Yields the encoded keys and values of a map."""
    if shape.type == "map-of":
        for key, item in value.items():
            raw = write_shape(shape.parts[0], key, f"{path} (a key)", layout, depth)
            yield raw, write_shape(shape.parts[1], item, f"{path}.{label_of(key)}", layout, depth)
        return
    known = {entry.name: entry for entry in shape.entries}
    names = {name.encode() for name in known}
    for entry in shape.entries:
        if entry.name not in value and not entry.optional:
            raise LocalProtocolError(layout.rules["missing"], None, path, f"the key {entry.name}", "no such key")
    for key, item in value.items():
        if key in known:
            raw = write_shape(known[key].shape, item, f"{path}.{key}", layout, depth)
            yield encode_item(key.encode()), raw
            continue
        if not isinstance(key, bytes):
            expected = "known names and byte strings as keys"
            raise LocalProtocolError(layout.rules["keys"], None, path, expected, brief(key))
        if key in names:
            raise LocalProtocolError(layout.rules["duplicate"], None, path, "each key once", f"{brief(key)} again")
        yield encode_item(key), _write_any(item, f"{path}.{label_of(key)}", layout, depth)


def label_of(key: str | bytes | int, at: int | None = None) -> str:
    """Returns the name of a key in paths: printable, and unique with the offset ``at``. A key that is not plain is quoted.

    The name of a long key has its first bytes and its offset.
    """
    raw = key if isinstance(key, bytes) else str(key).encode()
    if len(raw) > _LONGEST_LABEL:
        return f"{quoted(raw[:_LONGEST_LABEL])}...{'' if at is None else f' at {at}'}"
    return raw.decode() if _PLAIN.fullmatch(raw) else quoted(raw)


def brief(value: object) -> str:
    """Returns a short text for a value."""
    match value:
        case None | Simple(value=22):
            return "null"
        case bool():
            return "true" if value else "false"
        case list():
            return "an array"
        case dict() | Map():
            return "a map"
        case Tag():
            return f"an item with tag {value.number}"
        case Simple():
            return f"the simple value {value.value}"
    return shown(value, _MAX_SHOWN)
