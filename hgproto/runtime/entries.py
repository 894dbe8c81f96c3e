"""Structures in CBOR: maps, whose parts are found by key, and sequences of items. :mod:`hgproto.runtime.layout` has the others.

The values of keys that the schema does not know are checked and kept as encoded bytes, without creating objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from hgproto.errors import LocalProtocolError, RemoteProtocolError, counted
from hgproto.runtime.bytelike import as_bytes, is_bytes_like
from hgproto.runtime.cbor import NULL, CborError, encode_item, join_map, map_pairs, skip_item
from hgproto.runtime.shapes import BREAK, UNKNOWN, brief, label_of, read_shape, steps_of, write_shape
from hgproto.runtime.subsets import ALL, first_forbidden

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hgproto.runtime.frame import Record
    from hgproto.runtime.layout import Layout
    from hgproto.runtime.shapes import Entry

RecordT = TypeVar("RecordT", bound="Record")

__all__ = [
    "ITEM_TOO_MANY",
    "Entries",
    "Span",
    "counted_bytes",
    "decode_entries",
    "decode_item_of",
    "decode_record",
    "encode_entries",
    "items_fault",
    "record_of",
    "walk_entries",
]

_ANY_NUMBER = 1 << 64
"""The number of items that stands for no limit."""
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


class Entries(dict[str, Any]):
    """The values of a map or a sequence by name. ``order``: the keys of a decoded map, in the order of the wire."""

    order: tuple[bytes, ...] = ()


def decode_record(record: type[RecordT], layout: Layout, data: bytes, most: int | None = None) -> RecordT:
    """Decodes as :func:`decode_entries`, and returns a record, which keeps the order of a map's keys for encoding."""
    return record_of(record, decode_entries(layout, data, most))


def record_of(record: type[RecordT], values: dict[str, Any]) -> RecordT:
    """Returns the record of values, with the order of :class:`Entries`."""
    built: Any = record
    built = built(**values)
    if isinstance(values, Entries) and values.order:
        built._order = values.order  # noqa: SLF001 - a slot of generated records for this module
    found: RecordT = built
    return found


def decode_entries(layout: Layout, data: bytes, most: int | None = None) -> Entries:
    """Decodes a CBOR map or sequence, and returns its values by name.

    For a map, ``extra`` has the entries that the schema does not know: the bytes of each value, by its key. For a sequence,
    a repeated item is a tuple. ``most``: the most items, including the map itself, its keys, and nested items; None for no
    limit. Raises :class:`RemoteProtocolError`.
    """
    values = Entries((entry.name, None) for entry in layout.entries)
    if layout.is_sequence:
        repeated = []
        for entry, value, _, _ in _items(layout, data, most):
            if entry.repeated:
                repeated.append(value)
            else:
                values[entry.name] = NULL if value is None else value
        if layout.entries[-1].repeated:
            values[layout.entries[-1].name] = tuple(repeated)
        return values
    extra: dict[bytes, bytes] = {}
    order = []
    for name, key, value, _, _, _ in _entries(layout, data, most):
        order.append(key)
        if name is None:
            extra[key] = value
        else:
            values[name] = NULL if value is None else value
    values["extra"] = extra
    values.order = tuple(order)
    return values


def _items(layout: Layout, data: bytes, most: int | None) -> Iterator[tuple[Entry, Any, int, int]]:
    """Yields each item of a sequence: its entry, its value, and its offsets."""
    rules = layout.rules
    spans = []
    end, left = 0, _ANY_NUMBER if most is None else most
    try:
        while end < len(data):
            start = end
            end, left = skip_item(data, start, 0, left)
            spans.append((start, end))
    except CborError as error:
        raise _ill_formed(layout, error, most) from None
    _check_subset(layout, data, 0, end)
    last = layout.entries[-1]
    for number, (start, stop) in enumerate(spans):
        if number >= len(layout.entries) and not last.repeated:
            found = f"{counted_bytes(end - start)} more"
            raise RemoteProtocolError(rules["surplus"], start, "", "the end of the payload", found)
        entry = layout.entries[min(number, len(layout.entries) - 1)]
        path = f"{entry.name}[{number - len(layout.entries) + 1}]" if entry.repeated else entry.name
        yield entry, read_shape(entry.shape, data, start, stop, path, layout), start, stop
    for entry in layout.entries[len(spans) :]:
        if not entry.repeated:
            found = "the end of the payload"
            raise RemoteProtocolError(rules["missing"], end, entry.name, f"the item {entry.name}", found)


def decode_item_of(layout: Layout, number: int, data: bytes, most: int | None = None) -> tuple[Any, int]:
    """Decodes the item with a number of a sequence. Returns its value, and the number of items inside of it and itself.

    ``most``: the most items; None for no limit. Raises :class:`RemoteProtocolError`, offsets from the start of ``data``.
    """
    if number >= len(layout.entries) and not layout.entries[-1].repeated:
        expected, found = "the end of the sequence", f"{counted_bytes(len(data))} more"
        raise RemoteProtocolError(layout.rules["surplus"], 0, "", expected, found)
    entry = layout.entries[min(number, len(layout.entries) - 1)]
    path = f"{entry.name}[{number - len(layout.entries) + 1}]" if entry.repeated else entry.name
    try:
        limit = _ANY_NUMBER if most is None else most
        _, left = skip_item(data, 0, 0, limit)
    except CborError as error:
        raise _ill_formed(layout, error, most) from None
    _check_subset(layout, data, 0, len(data))
    return read_shape(entry.shape, data, 0, len(data), path, layout), limit - left


def _ill_formed(layout: Layout, error: CborError, most: int | None) -> RemoteProtocolError:
    """Returns the error for bytes that are not CBOR, or that have too many items."""
    if error.kind == "limit":
        return items_fault(layout, error.offset, "", most)
    return RemoteProtocolError(layout.rules[error.kind], error.offset, "", error.expected, error.found)


def _check_subset(layout: Layout, data: bytes, at: int, end: int) -> None:
    """Raises :class:`RemoteProtocolError` for an item that the revision forbids."""
    forbidden = first_forbidden(layout.subset, data, at, end)
    if forbidden is not None:
        raise RemoteProtocolError(forbidden.requirement, forbidden.offset, "", forbidden.expected, forbidden.found)


def _entries(
    layout: Layout, data: bytes, most: int | None = None
) -> Iterator[tuple[str | None, bytes, Any, int, int, int]]:
    """Yields each pair of the map: name (None if unknown), key, value, and the offsets of key, value, and end."""
    rules = layout.rules
    try:
        pairs, end, _ = map_pairs(data) if most is None else map_pairs(data, left=most)
    except CborError as error:
        raise _ill_formed(layout, error, most) from None
    if layout.subset.forbids:
        _check_subset(layout, data, 0, end)
    known = {entry.name.encode(): entry for entry in layout.entries}
    for key, key_at, value_at, pair_end in pairs:
        if not isinstance(key, bytes):
            raise RemoteProtocolError(rules["keys"], key_at, "", "a byte string as key", brief(key))
        entry = known.pop(key, None)
        if entry is None:
            yield None, key, data[value_at:pair_end], key_at, value_at, pair_end
        else:
            value = read_shape(entry.shape, data, value_at, pair_end, entry.name, layout)
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
    """Yields the spans of a map's keys and values, or of a sequence's items, in wire order.

    Raises as :func:`decode_entries`.
    """
    if layout.is_sequence:
        yield from _walk_sequence(layout, data, most)
        return
    known = {entry.name: entry for entry in layout.entries}
    first = True
    for name, key, value, key_at, value_at, end in _entries(layout, data, most):
        if first:
            yield Span("map", 0, key_at, None, layout.doc)
            first = False
        label = name if name is not None else label_of(key, key_at)
        yield Span(f"{label}.key", key_at, value_at, key, "The key.")
        if name is None:
            yield Span(f"{label}.value", value_at, end, value, UNKNOWN)
            continue
        for step in steps_of(known[name].shape, data, value_at, end, value):
            yield Span(f"{label}.value{step.path}", step.start, step.end, step.value, step.doc or known[name].doc)
    if first and data:
        yield Span("map", 0, len(data), None, layout.doc)
    elif data[:1] == b"\xbf":
        yield Span("break", len(data) - 1, len(data), None, BREAK)


def _walk_sequence(layout: Layout, data: bytes, most: int | None) -> Iterator[Span]:
    fixed = sum(not entry.repeated for entry in layout.entries)
    for number, (entry, value, start, end) in enumerate(_items(layout, data, most)):
        path = f"{entry.name}[{number - fixed}]" if entry.repeated else entry.name
        for step in steps_of(entry.shape, data, start, end, value):
            yield Span(f"{path}{step.path}", step.start, step.end, step.value, step.doc or entry.doc)


def encode_entries(layout: Layout, record: Any) -> bytes:
    """Encodes a record as a CBOR map or sequence. Known keys become byte strings; values in ``extra`` are encoded already.

    The keys of a decoded record keep their order. Raises :class:`LocalProtocolError`.
    """
    data = _encoded_sequence(layout, record) if layout.is_sequence else _encoded_map(layout, record)
    forbidden = first_forbidden(layout.subset, data, 0, len(data))
    if forbidden is not None:
        field = ""
        for span in walk_entries(layout._replace(subset=ALL), data):
            field = span.path if span.start <= forbidden.offset else field
        raise LocalProtocolError(forbidden.requirement, None, field, forbidden.expected, forbidden.found)
    return data


def _encoded_sequence(layout: Layout, record: Any) -> bytes:
    items = []
    for entry in layout.entries:
        value = getattr(record, entry.name)
        if not entry.repeated:
            items.append(write_shape(entry.shape, value, entry.name, layout, 0))
            continue
        if not isinstance(value, list | tuple):
            raise LocalProtocolError(layout.rules["type"], None, entry.name, "a list of items", brief(value))
        items += [
            write_shape(entry.shape, item, f"{entry.name}[{index}]", layout, 0) for index, item in enumerate(value)
        ]
    return b"".join(items)


def _encoded_map(layout: Layout, record: Any) -> bytes:
    values: dict[bytes, bytes] = {}
    for entry in layout.entries:
        value = getattr(record, entry.name)
        if value is None and entry.optional:
            continue
        values[entry.name.encode()] = write_shape(entry.shape, value, entry.name, layout)
    known = {entry.name.encode() for entry in layout.entries}
    for key, value in record.extra.items():
        if not isinstance(key, bytes):
            raise LocalProtocolError(layout.rules["keys"], None, "extra", "byte strings as keys", brief(key))
        if key in known:
            raise LocalProtocolError(layout.rules["duplicate"], None, "extra", "each key once", f"{brief(key)} again")
        values[key] = _local_extra(value, layout.rules)
    order: tuple[bytes, ...] = getattr(record, "_order", ())
    keep = len(order) == len(values) and all(key in values for key in order)
    pairs = [(encode_item(key), values[key]) for key in (order if keep else values)]
    return join_map(pairs, alphabetical=layout.is_alphabetical, keep=keep)


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
