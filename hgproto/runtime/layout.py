"""Field tables for structures. :func:`walk` yields the span of each field; :func:`fault` finds the error of a payload.

Generated codecs decode and build payloads with fast code, which only detects *that* a payload is invalid. The error,
its place, and the requirement are then found by walking the structure's table field by field. The same walk returns the
spans of a payload that is explained to people.

Invariant: for every generated table, ``walk`` reaches the end of a payload if and only if the fast code accepts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.errors import LocalProtocolError, RemoteProtocolError, counted, shown
from hgproto.runtime.bytelike import as_bytes, bytes_like
from hgproto.runtime.entries import (
    Span,
    counted_bytes,
    decode_entries,
    decode_record,
    encode_entries,
    items_fault,
    record_of,
    walk_entries,
)
from hgproto.runtime.frame import check_integer, check_text
from hgproto.runtime.shapes import Entry, Shape, brief
from hgproto.runtime.subsets import ALL, Subset

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

__all__ = [
    "CHARSETS",
    "Entry",
    "Join",
    "Layout",
    "Part",
    "Shape",
    "Span",
    "Subset",
    "case_number",
    "case_of",
    "counted",
    "counted_bytes",
    "decode_entries",
    "decode_record",
    "encode_entries",
    "fault",
    "flags_of_both",
    "frame_fault",
    "highest",
    "local_fault",
    "local_frame_fault",
    "numbers_of",
    "place_of",
    "record_of",
    "text_of_flags",
    "walk",
    "walk_from",
]

_SIZES = {"u8": 1, "u16": 2, "u24": 3, "u32": 4}
_CODECS = {"ascii": "ascii", "utf8": "utf-8"}
_CHARSETS = {"ascii": "ASCII", "utf8": "UTF-8"}
_MAX_SHOWN = 32

CHARSETS = frozenset(_CHARSETS.values())
"""The ``expected`` texts of errors for a byte outside the charset of its string."""


class Part(NamedTuple):
    """One field of a structure, as in the schema.

    ``type``: u8 to u32, ascii, utf8, bytes, or ``layout`` for a structure that is repeated to the end. ``size``,
    ``number`` (of elements), ``sizes``, ``at_most``: names of earlier parts (``size`` may be ``rest``). ``computed``:
    True if building computes the value. ``rules``: requirement ids by kind of error.
    """

    name: str
    type: str
    doc: str
    rules: Mapping[str, str]
    size: str | None = None
    number: str | None = None
    sizes: str | None = None
    at_most: str | None = None
    layout: Layout | None = None
    computed: bool = False


class Layout(NamedTuple):
    """A structure: its parts in wire order, the entries of its CBOR map, or the items of its CBOR sequence.

    ``entries``: those of the map or of the sequence. ``subset``: the part of CBOR that the revision allows.
    """

    name: str
    doc: str
    rules: Mapping[str, str]
    parts: tuple[Part, ...] = ()
    entries: tuple[Entry, ...] = ()
    is_sequence: bool = False
    subset: Subset = ALL

    @property
    def is_alphabetical(self) -> bool:
        """True if maps are built with their keys in alphabetical order."""
        return self.subset.alphabetical


class Join(NamedTuple):
    """The structure that the payloads of a frame type form together.

    ``structure``: its name. ``more``: the flag of all frames except the last. ``continues``: the flag of all frames except
    the first; 0 if there is none. ``limit``: the name of the limit on its bytes. ``order``: the requirement for frames that
    are not in order.
    """

    structure: str
    more: int
    continues: int = 0
    limit: str | None = None
    order: str | None = None


def place_of(layout: Layout, name: str) -> int:
    """Returns the offset of a part that only integers precede. Raises :class:`KeyError` for an unknown part."""
    offset = 0
    for part in layout.parts:
        if part.name == name:
            return offset
        offset += _SIZES[part.type]
    raise KeyError(name)


def fault(
    layout: Layout, data: bytes, most: int | None = None, *, at: int = 0, before: Sequence[Any] = ()
) -> RemoteProtocolError:
    """Returns the error of a payload that the fast code rejected. ``most``: as for :func:`walk`.

    ``at``: the offset of the rejected element, 0 if the code did not reach an element. ``before``: the elements before
    it, as records, which are not walked again.
    """
    data = as_bytes(data)
    spans: Iterator[Span]
    if 0 < at < len(data):
        part = layout.parts[-1]
        element = part.layout or layout
        items = None if most is None else _Items(layout, most, most - _number_of_items(element, before))
        spans = _walk_parts(element, data, at, f"{part.name}[{len(before)}].", items, at)
    else:
        spans = walk(layout, data, most)
    try:
        for _ in spans:
            pass
    except RemoteProtocolError as error:
        return error
    raise AssertionError(f"the codec rejects a payload that its own table of {layout.name!r} accepts: {data.hex()}")


def case_number(cases: Sequence[tuple[int, int, str]], flags: int, continued: bool) -> int:
    """Returns the index of the first case that applies to a payload, or the number of cases if none applies.

    ``cases``: those of the frame type in the codec's ``PAYLOADS``. A case with two conditions needs both.
    """
    for number, (mask, after, _) in enumerate(cases):
        if flags & mask == mask and (continued or not after):
            return number
    return len(cases)


def case_of(cases: Sequence[tuple[int, int, str]], flags: int, continued: bool) -> str:
    """Returns the structure of a payload, or ``ascii``, ``utf8``, or ``bytes`` (the default); see :func:`case_number`."""
    number = case_number(cases, flags, continued)
    return cases[number][2] if number < len(cases) else "bytes"


def walk(layout: Layout, data: bytes, most: int | None = None) -> Iterator[Span]:
    """Yields the spans of a payload in wire order. Raises :class:`RemoteProtocolError` at the first damage.

    Offsets count from the first byte of ``data``. ``most``: the most items, for a structure with a limit on items; None
    for no limit.
    """
    data = as_bytes(data)
    if layout.entries:
        yield from walk_entries(layout, data, most)
        return
    end = yield from _walk_parts(layout, data, 0, "", None if most is None else _Items(layout, most))
    # Only a structure that is a whole payload has `surplus`. An embedded one ignores the bytes after it.
    if end != len(data) and "surplus" in layout.rules:
        left = counted_bytes(len(data) - end)
        size = layout.parts[-1].size
        said = {span.path: span.value for span in _walk_parts(layout, data, 0, "")}.get(str(size))
        expected = "the end of the payload" if said is None else f"the end of the payload, as {size} is {said}"
        raise RemoteProtocolError(layout.rules["surplus"], end, "", expected, f"{left} more")


def walk_from(layout: Layout, data: bytes, at: int) -> Iterator[Span]:
    """Yields the spans of an embedded structure, which starts at offset ``at`` of ``data``. Raises as :func:`walk`."""
    yield from _walk_parts(layout, data, at, "")


def numbers_of(layout: Layout, data: bytes) -> dict[str, set[int]]:
    """Returns the set of values of each integer in a valid payload, by its path without indexes.

    It creates no strings and no spans, and is several times as fast as :func:`walk`.
    """
    found: dict[str, set[int]] = {}
    _add_numbers(layout, as_bytes(data), 0, "", found)
    return found


def _add_numbers(layout: Layout, data: bytes, at: int, path: str, found: dict[str, set[int]]) -> int:
    """Adds the values of parts from ``at`` on. Returns the offset after the parts."""
    single: dict[str, int] = {}
    several: dict[str, Sequence[int]] = {}
    for part in layout.parts:
        size = _SIZES.get(part.type)
        if part.layout is not None:
            inner = f"{path}{part.name}."
            while at < len(data):
                at = _add_numbers(part.layout, data, at, inner, found)
        elif size is None:
            is_rest = part.size in (None, "rest")
            at = at + sum(several[part.sizes]) if part.sizes else len(data) if is_rest else at + single[str(part.size)]
        elif part.number is None:
            number = single[part.name] = int.from_bytes(data[at : at + size], "little")
            at += size
            found.setdefault(path + part.name, set()).add(number)
        elif (end := at + size * single[part.number]) > at:
            starts = range(at, end, size)
            values = data[at:end] if size == 1 else [int.from_bytes(data[i : i + size], "little") for i in starts]
            several[part.name], at = values, end
            found.setdefault(path + part.name, set()).update(values)
        else:
            several[part.name] = ()
    return at


class _Items:
    """A counter of the items of a payload: the elements of a repeated structure, and the strings of their arrays."""

    __slots__ = ("_layout", "_left", "_most")

    def __init__(self, layout: Layout, most: int, left: int | None = None) -> None:
        self._layout = layout
        self._most = most
        self._left = most if left is None else left

    def count(self, number: int, at: int, path: str) -> None:
        """Counts an element at offset ``at``, before its strings are decoded. Raises an error over the limit."""
        self._left -= number
        if self._left < 0:
            raise items_fault(self._layout, at, path.removesuffix("."), self._most)


def _number_of_items(element: Layout, records: Sequence[Any]) -> int:
    """Returns the number of items in some elements: the elements themselves, and the strings of their arrays."""
    arrays = [part.name for part in element.parts if part.sizes is not None]
    return len(records) + sum(len(getattr(record, array)) for record in records for array in arrays)


def _walk_parts(
    layout: Layout, data: bytes, at: int, path: str, items: _Items | None = None, element: int | None = None
) -> Generator[Span, None, int]:
    """Walks parts from ``at`` on. ``element``: their start if they are an element whose items count, or None."""
    values: dict[str, Any] = {}
    counters = {str(part.number) for part in layout.parts if part.number is not None}
    if items is not None and element is not None and not counters:
        items.count(1, element, path)
    for part in layout.parts:
        name = f"{path}{part.name}"
        if part.layout is not None:
            index = 0
            while at < len(data):
                at = yield from _walk_parts(part.layout, data, at, f"{name}[{index}].", items, at)
                index += 1
            continue
        if part.type in _SIZES:
            at = yield from _walk_integers(part, data, at, name, values)
            if items is not None and element is not None and part.name in counters and counters <= values.keys():
                items.count(1 + sum(values[counter] for counter in counters), element, path)
            continue
        sizes = _string_sizes(part, values, len(data) - at)
        strings = []
        for index, size in enumerate(sizes):
            item_path = name if part.sizes is None else f"{name}[{index}]"
            raw = _take(part, data, at, size, item_path)
            if part.at_most is not None and size > values[part.at_most]:
                limit = values[part.at_most]
                found = counted_bytes(size)
                place = at + limit
                raise RemoteProtocolError(
                    part.rules["surplus"], place, item_path, f"at most {counted_bytes(limit)}", found
                )
            if size == 0 and "empty" in part.rules:
                raise RemoteProtocolError(part.rules["empty"], at, item_path, "at least 1 byte", "none")
            value = _text(part, raw, at, item_path)
            strings.append(value)
            yield Span(item_path, at, at + size, value, part.doc)
            at += size
        values[part.name] = strings
    return at


def _walk_integers(part: Part, data: bytes, at: int, name: str, values: dict[str, Any]) -> Generator[Span, None, int]:
    size = _SIZES[part.type]
    if part.number is None:
        raw = _take(part, data, at, size, name)
        values[part.name] = int.from_bytes(raw, "little")
        yield Span(name, at, at + size, values[part.name], part.doc)
        return at + size
    count = values[part.number]
    _take(part, data, at, size * count, name)
    values[part.name] = []
    for index in range(count):
        number = int.from_bytes(data[at : at + size], "little")
        values[part.name].append(number)
        yield Span(f"{name}[{index}]", at, at + size, number, part.doc)
        at += size
    return at


def _string_sizes(part: Part, values: dict[str, Any], left: int) -> list[int]:
    if part.sizes is not None:
        sizes: list[int] = values[part.sizes]
        return sizes
    return [left if part.size in (None, "rest") else values[str(part.size)]]


def _take(part: Part, data: bytes, at: int, size: int, path: str) -> bytes:
    if len(data) - at < size:
        found = counted_bytes(len(data) - at)
        said = "" if part.size in (None, "rest") else f", as {part.size} says"
        raise RemoteProtocolError(part.rules["cut"], at, path, f"{counted_bytes(size)}{said}", found)
    return data[at : at + size]


def _text(part: Part, raw: bytes, at: int, path: str) -> str | bytes:
    if part.type == "bytes":
        return raw
    try:
        return raw.decode(_CODECS[part.type])
    except UnicodeDecodeError as error:
        found = f"the byte 0x{raw[error.start]:02x}"
        raise RemoteProtocolError(part.rules["charset"], at + error.start, path, _CHARSETS[part.type], found) from None


# Building.


def local_fault(layout: Layout, record: Any, path: str = "") -> LocalProtocolError:
    """Returns the error of a record that the fast code could not build."""
    error = _local_fault(layout, record, path)
    if error is None:
        raise AssertionError(
            f"the codec does not build a record that its own table of {layout.name!r} accepts: {shown(record)}"
        )
    return error


def _local_fault(layout: Layout, record: Any, path: str) -> LocalProtocolError | None:
    for part in layout.parts:
        if part.computed:
            continue
        value = getattr(record, part.name)
        name = f"{path}{part.name}"
        if part.layout is not None:
            for index, item in enumerate(value):
                error = _local_fault(part.layout, item, f"{name}[{index}].")
                if error is not None:
                    return error
        elif part.type in _SIZES:
            largest = highest(part)
            check_integer(value, name)
            if not 0 <= value <= largest:
                return LocalProtocolError(
                    part.rules["overflow"], None, name, f"a number from 0 to {largest}", brief(value)
                )
        else:
            error = _local_string_fault(layout, part, record, value, name)
            if error is not None:
                return error
    return None


def _local_string_fault(layout: Layout, part: Part, record: Any, value: Any, name: str) -> LocalProtocolError | None:
    parts = {p.name: p for p in layout.parts}
    if part.sizes is not None:
        count = parts[part.sizes].number
        largest = highest(parts[count]) if count is not None else None
        if largest is not None and len(value) > largest:
            return LocalProtocolError(part.rules["overflow"], None, name, f"at most {largest}", str(len(value)))
    for index, item in enumerate(value if part.sizes is not None else [value]):
        path = name if part.sizes is None else f"{name}[{index}]"
        if part.type != "bytes":
            check_text(item, path)
        try:
            size = len(bytes_like(item, path)) if part.type == "bytes" else len(item.encode(_CODECS[part.type]))
        except UnicodeEncodeError as error:
            found = f"U+{ord(item[error.start]):04X} at index {error.start}"
            return LocalProtocolError(part.rules["charset"], None, path, _CHARSETS[part.type], found)
        if size == 0 and "empty" in part.rules:
            return LocalProtocolError(part.rules["empty"], None, path, "at least 1 byte", "none")
        giver = part.sizes or part.size
        if giver is not None and giver != "rest":
            largest = highest(parts[giver])
            if size > largest:
                return LocalProtocolError(
                    part.rules["overflow"], None, path, f"at most {counted_bytes(largest)}", counted_bytes(size)
                )
        if part.at_most is not None and size > getattr(record, part.at_most):
            most = counted_bytes(getattr(record, part.at_most))
            return LocalProtocolError(part.rules["surplus"], None, path, f"at most {most}", counted_bytes(size))
    return None


def highest(part: Part) -> int:
    """Returns the largest number of an integer field."""
    return (1 << (8 * _SIZES[part.type])) - 1


def frame_fault(layout: Layout, data: bytes, max_payload: int) -> RemoteProtocolError:
    """Returns the error of the frame at the start of ``data``: a length over the limit, or missing bytes."""
    try:
        for span in _walk_parts(layout, data, 0, ""):
            if span.path == "length" and span.value > max_payload:
                rule = layout.parts[[part.name for part in layout.parts].index("length")].rules["limit"]
                expected, found = f"at most {counted_bytes(max_payload)}", counted_bytes(span.value)
                turned = int.from_bytes(data[span.start : span.end], "big")
                if turned <= max_payload:
                    found = f"{found}, or {turned} in the other byte order"
                return RemoteProtocolError(rule, span.start, "length", expected, found)
    except RemoteProtocolError as error:
        return error
    raise AssertionError(f"the codec rejects a frame that its own table accepts: {data[:_MAX_SHOWN].hex()}")


def local_frame_fault(
    layout: Layout, frame: Any, max_payload: int, fields: Mapping[str, tuple[int, str]]
) -> LocalProtocolError:
    """Returns the error of a frame that cannot be built. ``fields``: bits and requirement of each header field."""
    length = len(frame.payload)
    check_integer(max_payload, "max_payload")
    if length > max_payload:
        rule = next(part for part in layout.parts if part.name == "length").rules["limit"]
        return LocalProtocolError(rule, None, "length", f"at most {counted_bytes(max_payload)}", counted_bytes(length))
    for name, (bits, rule) in fields.items():
        value = getattr(frame, name)
        if not isinstance(value, int) or not 0 <= value < 1 << bits:
            return LocalProtocolError(rule, None, name, f"a number from 0 to {(1 << bits) - 1}", brief(value))
    raise AssertionError(f"the codec does not build a frame that its own table accepts: {shown(frame)}")


def flags_of_both(
    values: tuple[int, int], masks: tuple[int, int], names: tuple[Mapping[int, str], Mapping[int, str]]
) -> tuple[str, str]:
    """Returns the header field that violates a constraint on frame flags and stream flags, and the flags that are set.

    ``values``, ``masks``, ``names``: those of the two fields, ``flags`` first. ``masks``: the flags in the constraint.
    """
    own, of_stream = (value & mask for value, mask in zip(values, masks, strict=True))
    found = [text_of_flags(value, known) for value, known in zip((own, of_stream), names, strict=True) if value]
    return "stream_flags" if of_stream and not own else "flags", "|".join(found) or "none"


def text_of_flags(value: int, names: Mapping[int, str]) -> str:
    """Returns flags in bit order, joined by ``|``, with unknown bits in hexadecimal. Returns ``0`` without flags."""
    parts = []
    bit = 1
    while bit <= value:
        if value & bit:
            parts.append(names.get(bit, hex(bit)))
        bit <<= 1
    return "|".join(parts) or "0"
