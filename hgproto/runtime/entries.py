"""Entries of CBOR maps: structures whose parts are found by a key. :mod:`hgproto.runtime.layout` has those of fixed order.

The values of keys that the schema does not know are checked, and kept as they are on the wire: no object is made of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.errors import LocalProtocolError, RemoteProtocolError, counted, quoted, shown
from hgproto.runtime.bytelike import as_bytes, is_bytes_like
from hgproto.runtime.cbor import (
    CborError,
    Map,
    Simple,
    Tag,
    decode_item,
    encode_item,
    item_head,
    join_map,
    map_pairs,
    place_in_string,
    skip_item,
    utf8,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hgproto.runtime.layout import Layout

__all__ = [
    "ITEM_TOO_MANY",
    "Entry",
    "Span",
    "brief",
    "counted_bytes",
    "decode_entries",
    "encode_entries",
    "items_fault",
    "walk_entries",
]

ITEM_TOO_MANY = "one more"
"""The found part of an error about a payload that has too many items."""

_MAX_SHOWN = 32
"""Longer integers are not shown: Python has a limit on the digits that it makes of one."""

_LONGEST_LABEL = 256
"""Bytes of a key that its name in paths has."""
_PLAIN = re.compile(rb"[A-Za-z0-9_-]+")
"""The keys that a path has as they are; in others, a peer could hide terminal commands, ends of lines, or steps of a path."""


class Entry(NamedTuple):
    """One entry of a CBOR map."""

    name: str
    type: str
    doc: str
    optional: bool
    minimum: int | None


class Span(NamedTuple):
    """Bytes ``start`` to ``end`` of a payload, and the value that they are."""

    path: str
    start: int
    end: int
    value: Any
    doc: str


def counted_bytes(number: int) -> str:
    """A number of bytes, in words."""
    return counted(number, "byte")


def decode_entries(layout: Layout, data: bytes, most: int | None = None) -> dict[str, Any]:
    """The entries of a CBOR map by name.

    ``extra`` has those that the schema does not know, by their byte string: the bytes of the value, of which no object is
    made. ``most``: the most items of the map, itself, its keys and the items inside of others among them; None for any
    number. Raises :class:`RemoteProtocolError`.
    """
    values: dict[str, Any] = {entry.name: None for entry in layout.entries}
    extra: dict[bytes, bytes] = {}
    for name, key, value, _, _, _ in _entries(layout, data, most):
        if name is None:
            extra[key] = value
        else:
            values[name] = value
    values["extra"] = extra
    return values


def _entries(
    layout: Layout, data: bytes, most: int | None = None
) -> Iterator[tuple[str | None, bytes, Any, int, int, int]]:
    """Name (None when unknown), key, value, offsets of key, value and end, for each pair of the map."""
    rules = layout.rules
    try:
        pairs, end, _ = map_pairs(data) if most is None else map_pairs(data, left=most)
    except CborError as error:
        if error.kind == "limit":
            raise items_fault(layout, error.offset, "", most) from None
        raise RemoteProtocolError(rules[error.kind], error.offset, "", error.expected, error.found) from None
    known = {entry.name.encode(): entry for entry in layout.entries}
    for key, key_at, value_at, pair_end in pairs:
        if type(key) is not bytes:
            raise RemoteProtocolError(rules["keys"], key_at, "", "a byte string as key", brief(key))
        entry = known.pop(key, None)
        if entry is None:
            yield None, key, data[value_at:pair_end], key_at, value_at, pair_end
        else:
            yield entry.name, key, _entry_value(entry, data, value_at, pair_end, rules), key_at, value_at, pair_end
    for entry in known.values():
        if not entry.optional:
            raise RemoteProtocolError(rules["missing"], 0, "", f"the key {entry.name}", "no such key")
    if end != len(data):
        found = f"{counted_bytes(len(data) - end)} more"
        raise RemoteProtocolError(rules["surplus"], end, "", "the end of the payload", found)


def items_fault(layout: Layout, at: int, path: str, most: int | None) -> RemoteProtocolError:
    """What is wrong with a payload that has an item more than it may, at offset ``at``."""
    return RemoteProtocolError(layout.rules["limit"], at, path, f"at most {counted(most or 0, 'item')}", ITEM_TOO_MANY)


def _entry_value(entry: Entry, data: bytes, at: int, end: int, rules: Mapping[str, str]) -> Any:
    """The value of a known key, whose bytes are well formed and end at ``end``."""
    first = data[at]
    major = first >> 5
    if entry.type == "text":
        if major == 2:
            # Of a short string the first byte says the length.
            value = data[at + 1 : end] if first < 0x58 else decode_item(data, at)[0]
            try:
                return utf8(value, 0)
            except CborError as error:
                place = place_in_string(data, at, error.offset)
                raise RemoteProtocolError(rules["charset"], place, entry.name, error.expected, error.found) from None
        if major == 3:
            return decode_item(data, at)[0]
        raise RemoteProtocolError(rules["type"], at, entry.name, "a string", _brief_item(data, at))
    least = 0 if entry.type == "uint" else entry.minimum
    if major < 2:
        value = first if first < 0x18 else decode_item(data, at)[0]
        if least is None or value >= least:
            return value
    expected = "an integer" if least is None else f"an integer of at least {least}"
    raise RemoteProtocolError(rules["type"], at, entry.name, expected, _brief_item(data, at))


def _brief_item(data: bytes, at: int) -> str:
    """An item in a few words, without making an object of what is inside of it."""
    major, _, argument, _ = item_head(data, at)
    if major in (4, 5, 6):
        return {4: "an array", 5: "a map", 6: f"an item with tag {argument}"}[major]
    return brief(decode_item(data, at)[0])


def walk_entries(layout: Layout, data: bytes, most: int | None = None) -> Iterator[Span]:
    """Yields the spans of the keys and values of a map in wire order. Raises as :func:`decode_entries`."""
    docs = {entry.name: entry.doc for entry in layout.entries}
    first = True
    for name, key, value, key_at, value_at, end in _entries(layout, data, most):
        if first:
            yield Span("map", 0, key_at, None, layout.doc)
            first = False
        label = name if name is not None else _label(key, key_at)
        yield Span(f"{label}.key", key_at, value_at, key, "The key.")
        yield Span(f"{label}.value", value_at, end, value, docs.get(name or "", "Not known to this revision."))
    if first and data:
        yield Span("map", 0, len(data), None, layout.doc)


def _label(key: bytes, at: int) -> str:
    """Returns the name of an unknown key in paths: printable, and different for each key. A key that is not plain is quoted.

    Of a long key, the name has the first bytes, and its offset ``at``.
    """
    if len(key) > _LONGEST_LABEL:
        return f"{quoted(key[:_LONGEST_LABEL])}... at {at}"
    return key.decode() if _PLAIN.fullmatch(key) else quoted(key)


def encode_entries(layout: Layout, record: Any) -> bytes:
    """The CBOR map of a record: byte strings as keys, strings as byte strings of UTF-8, what is extra as it is.

    Raises :class:`LocalProtocolError`.
    """
    pairs: list[tuple[bytes, bytes]] = []
    for entry in layout.entries:
        value = getattr(record, entry.name)
        if value is None and entry.optional:
            continue
        pairs.append((encode_item(entry.name.encode()), encode_item(_local_entry(entry, value, layout.rules))))
    known = {entry.name.encode() for entry in layout.entries}
    for key, value in record.extra.items():
        if type(key) is not bytes:
            raise LocalProtocolError(layout.rules["keys"], None, "extra", "byte strings as keys", brief(key))
        if key in known:
            raise LocalProtocolError(layout.rules["duplicate"], None, "extra", "each key once", f"{brief(key)} again")
        pairs.append((encode_item(key), _local_extra(value, layout.rules)))
    return join_map(pairs)


def _local_extra(value: Any, rules: Mapping[str, str]) -> bytes:
    """The bytes of a value that the schema does not know."""
    expected = "the bytes of one CBOR item"
    if not is_bytes_like(value):
        raise LocalProtocolError(rules["malformed"], None, "extra", expected, type(value).__name__)
    item = as_bytes(value)
    try:
        # Its map is the first level of nesting.
        end, _ = skip_item(item, 0, 1)
    except CborError as error:
        found = f"{error.found} at byte {error.offset}"
        raise LocalProtocolError(rules[error.kind], None, "extra", error.expected, found) from None
    if end != len(item):
        raise LocalProtocolError(rules["malformed"], None, "extra", expected, f"{counted_bytes(len(item) - end)} more")
    return item


def _local_entry(entry: Entry, value: Any, rules: Mapping[str, str]) -> object:
    if entry.type == "text":
        if type(value) is not str:
            raise LocalProtocolError(rules["type"], None, entry.name, "a string", brief(value))
        try:
            return value.encode("utf-8")
        except UnicodeEncodeError:
            raise LocalProtocolError(rules["charset"], None, entry.name, "UTF-8", "a lone surrogate") from None
    least = 0 if entry.type == "uint" else entry.minimum
    if type(value) is not int or (least is not None and value < least) or not -(1 << 64) <= value < 1 << 64:
        expected = "an integer of 64 bits" if least is None else f"an integer of at least {least} and 64 bits"
        raise LocalProtocolError(rules["type"], None, entry.name, expected, brief(value))
    return value


def brief(value: object) -> str:
    """A value in a few words."""
    match value:
        case None:
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
