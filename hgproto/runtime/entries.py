"""Entries of CBOR maps, whose parts are found by key. :mod:`hgproto.runtime.layout` has structures of fixed order.

The values of keys that the schema does not know are checked and kept as encoded bytes, without creating objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.errors import LocalProtocolError, RemoteProtocolError, counted
from hgproto.runtime.bytelike import as_bytes, is_bytes_like
from hgproto.runtime.cbor import CborError, encode_item, join_map, map_pairs, skip_item
from hgproto.runtime.shapes import brief, label_of, read_shape, steps_of, write_shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hgproto.runtime.layout import Layout

__all__ = [
    "ITEM_TOO_MANY",
    "Span",
    "counted_bytes",
    "decode_entries",
    "encode_entries",
    "items_fault",
    "walk_entries",
]

ITEM_TOO_MANY = "one more"
"""The ``found`` text of an error for too many items."""


class Span(NamedTuple):
    """Bytes ``start`` to ``end`` of a payload, and their value."""

    path: str
    start: int
    end: int
    value: Any
    doc: str


def counted_bytes(number: int) -> str:
    """Returns a number of bytes with its noun, such as ``2 bytes``."""
    return counted(number, "byte")


def decode_entries(layout: Layout, data: bytes, most: int | None = None) -> dict[str, Any]:
    """Decodes a CBOR map, and returns its entries by name.

    ``extra`` has the entries that the schema does not know: the bytes of each value, by its key. ``most``: the most
    items, including the map itself, its keys, and nested items; None for no limit. Raises :class:`RemoteProtocolError`.
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
    """Yields each pair of the map: name (None if unknown), key, value, and the offsets of key, value, and end."""
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
            value = read_shape(entry.shape, data, value_at, pair_end, entry.name, rules)
            yield entry.name, key, value, key_at, value_at, pair_end
    for entry in known.values():
        if not entry.optional:
            raise RemoteProtocolError(rules["missing"], 0, "", f"the key {entry.name}", "no such key")
    if end != len(data):
        found = f"{counted_bytes(len(data) - end)} more"
        raise RemoteProtocolError(rules["surplus"], end, "", "the end of the payload", found)


def items_fault(layout: Layout, at: int, path: str, most: int | None) -> RemoteProtocolError:
    """Returns the error for an item over the limit, at offset ``at``."""
    return RemoteProtocolError(layout.rules["limit"], at, path, f"at most {counted(most or 0, 'item')}", ITEM_TOO_MANY)


def walk_entries(layout: Layout, data: bytes, most: int | None = None) -> Iterator[Span]:
    """Yields the spans of the keys and values of a map in wire order. Raises as :func:`decode_entries`."""
    known = {entry.name: entry for entry in layout.entries}
    first = True
    for name, key, value, key_at, value_at, end in _entries(layout, data, most):
        if first:
            yield Span("map", 0, key_at, None, layout.doc)
            first = False
        label = name if name is not None else label_of(key, key_at)
        yield Span(f"{label}.key", key_at, value_at, key, "The key.")
        if name is None:
            yield Span(f"{label}.value", value_at, end, value, "Not known to this revision.")
            continue
        for step in steps_of(known[name].shape, data, value_at, end, value):
            yield Span(f"{label}.value{step.path}", step.start, step.end, step.value, step.doc or known[name].doc)
    if first and data:
        yield Span("map", 0, len(data), None, layout.doc)


def encode_entries(layout: Layout, record: Any) -> bytes:
    """Encodes a record as a CBOR map. Keys and strings become byte strings; values in ``extra`` are encoded already.

    Raises :class:`LocalProtocolError`.
    """
    pairs: list[tuple[bytes, bytes]] = []
    for entry in layout.entries:
        value = getattr(record, entry.name)
        if value is None and entry.optional:
            continue
        pairs.append((encode_item(entry.name.encode()), write_shape(entry.shape, value, entry.name, layout.rules)))
    known = {entry.name.encode() for entry in layout.entries}
    for key, value in record.extra.items():
        if type(key) is not bytes:
            raise LocalProtocolError(layout.rules["keys"], None, "extra", "byte strings as keys", brief(key))
        if key in known:
            raise LocalProtocolError(layout.rules["duplicate"], None, "extra", "each key once", f"{brief(key)} again")
        pairs.append((encode_item(key), _local_extra(value, layout.rules)))
    return join_map(pairs)


def _local_extra(value: Any, rules: Mapping[str, str]) -> bytes:
    """Returns the checked bytes of a value that the schema does not know."""
    expected = "the bytes of one CBOR item"
    if not is_bytes_like(value):
        raise LocalProtocolError(rules["malformed"], None, "extra", expected, type(value).__name__)
    item = as_bytes(value)
    try:
        # The enclosing map is the first level of nesting.
        end, _ = skip_item(item, 0, 1)
    except CborError as error:
        found = f"{error.found} at byte {error.offset}"
        raise LocalProtocolError(rules[error.kind], None, "extra", error.expected, found) from None
    if end != len(item):
        raise LocalProtocolError(rules["malformed"], None, "extra", expected, f"{counted_bytes(len(item) - end)} more")
    return item
