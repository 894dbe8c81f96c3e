"""The annotated hex dump of frames, with the bytes, field, value, and meaning of each field.

Header fields come from the schema, and payload fields from the codec's tables, so schemas of users are supported too. A
damaged frame is shown up to the damage, followed by the error and the remaining bytes.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.errors import RemoteProtocolError, printable
from hgproto.runtime.cbor import NULL
from hgproto.runtime.frame import check_revision
from hgproto.runtime.layout import Span, case_number, counted_bytes, walk
from hgproto.wire.human import flag_list, type_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hgproto.language.model import Schema
    from hgproto.runtime.definition import Codec
    from hgproto.runtime.frame import Frame

__all__ = ["Annotation", "Style", "annotated", "annotation_of", "frame_tree"]

ROW_BYTES = 8
MAX_ROWS = 4
"""The most rows of bytes of one field; the rest is only counted. The JSON form has all bytes."""

FIELD_WIDTH = 20
_MOST_SHOWN = 60
"""The most characters of a heading. A longer one from a peer could wrap, and look like lines of the dump."""
VALUE_WIDTH = 18
_BEFORE_MEANING = 2 + 8 + 2 + 3 * ROW_BYTES + 1 + FIELD_WIDTH + 1 + VALUE_WIDTH + 1
"""The columns before the meaning."""
_LEAST_MEANING = 20
"""The fewest columns for a meaning. In a narrower output, it is left out."""


class Style:
    """The style of output: colors for a terminal, or plain text. ``width``: the columns that lines may use; None for any number."""

    def __init__(self, *, colour: bool, width: int | None = None) -> None:
        self.colour = colour
        self.width = width

    def wrapped(self, text: str) -> list[str]:
        """Returns the lines of a meaning beside the other columns. A narrow output has none."""
        if self.width is None:
            return [text]
        left = self.width - _BEFORE_MEANING
        return (textwrap.wrap(text, left, break_on_hyphens=False) or [""]) if left >= _LEAST_MEANING else [""]

    def _in(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text

    def title(self, text: str) -> str:
        """Styles the first line of a frame."""
        return self._in("1", text)

    def data(self, text: str) -> str:
        """Styles offsets and bytes."""
        return self._in("36", text)

    def meaning(self, text: str) -> str:
        """Styles the meaning of a value."""
        return self._in("2", text)

    def error(self, text: str) -> str:
        """Styles an error."""
        return self._in("1;31", text)


class Annotation(NamedTuple):
    """The meaning of some bytes of a frame.

    ``path``: the field, with its parents inside the payload, such as ``atoms[0].labels[1]``. ``start``, ``end``:
    offsets in bytes from the start of the frame. ``value``: a short text. ``meaning``: a sentence. ``in_header``: True
    for a header field.
    """

    path: str
    start: int
    end: int
    value: str
    meaning: str
    in_header: bool


def annotated(
    frame: Frame, continued: bool, schema: Schema, codec: Codec, max_items: int | None = None
) -> Iterator[Annotation]:
    """Yields the annotation of each field of a frame, in wire order.

    ``continued``: True if the payload continues that of an earlier frame. ``max_items``: the most items of the payload;
    None for the revision's limit. Raises :class:`~hgproto.RemoteProtocolError` at damage in the payload, after the
    annotations before it. Its offset counts from the start of the frame. Raises :class:`ValueError` for a frame of
    another revision than the codec's.
    """
    check_revision(frame, codec)
    for span, value, meaning in _header_spans(frame, schema, codec):
        yield Annotation(span.path, span.start, span.end, value, meaning, in_header=True)
    start = codec.HEADER_BYTES
    try:
        for span in _payload_spans(frame, bytes(frame.payload), continued, schema, codec, max_items):
            yield annotation_of(span, start)
    except RemoteProtocolError as error:
        raise error.moved(start) from None


def annotation_of(span: Span, start: int = 0) -> Annotation:
    """Returns the annotation of a payload field. ``start``: the offset of the payload, in bytes."""
    value = "" if span.value is None else _value(span.value)
    return Annotation(span.path, start + span.start, start + span.end, value, _brief(span.doc), in_header=False)


def frame_tree(
    frame: Frame,
    number: int,
    offset: int,
    continued: bool,
    schema: Schema,
    codec: Codec,
    style: Style,
    *,
    max_items: int | None = None,
) -> Iterator[str]:
    """Yields the lines of the dump of one frame. ``number``: its position. ``offset``: that of its header in the input.

    ``max_items``: the most items of its payload; None for the revision's limit. Raises :class:`ValueError` for a frame
    of another revision than the codec's.
    """
    check_revision(frame, codec)
    title = f"frame {number} at offset {offset}: {_type_text(frame, codec)}"
    yield style.title(f"{title}, request {int(frame.request_id)}, stream {int(frame.stream_id)}")
    data = codec.encode_header(frame, codec.MAX_PAYLOAD[1]) + bytes(frame.payload)
    done = codec.HEADER_BYTES
    title = ""
    try:
        for path, start, end, value, meaning, in_header in annotated(frame, continued, schema, codec, max_items):
            inside, _, name = path.rpartition(".")
            if inside not in ("", title):
                yield f"  {'':8}  {'':{3 * ROW_BYTES}} {style.title(_shortened(printable(inside)))}"
            title = inside
            shown = f"  {name}" if inside else name
            yield from _rows(shown, data[start:end], offset + start, _fitting(value), meaning, style)
            if not in_header:
                done = max(done, end)
    except RemoteProtocolError as error:
        yield f"  {style.error(f'error: {printable(str(error.moved(offset)))}')}"
        if done < len(data):
            yield from _rows("(damaged)", data[done:], offset + done, "", "", style)


def _type_text(frame: Frame, codec: Codec) -> str:
    kind = type_name(frame, codec)
    return kind if isinstance(kind, str) else hex(kind)


def _header_spans(frame: Frame, schema: Schema, codec: Codec) -> Iterator[tuple[Span, str, str]]:
    frame_type = schema.frames_by_code.get(int(frame.type))
    at = 0
    for field in schema.header.fields[:-1]:
        size = field.fixed_size or 0
        for name, doc in [(b.name, b.doc) for b in field.bits] or [(field.name, field.doc)]:
            value = len(frame.payload) if name == "length" else int(getattr(frame, name))
            text, meaning = str(value), _brief(doc)
            if name == "type":
                text = _type_text(frame, codec)
                meaning = _brief(frame_type.doc) if frame_type else "Not known to this revision."
            elif name == "flags":
                flags = frame_type.flags if frame_type else ()
                text, meaning = _flags(value, {flag.mask: (flag.name, flag.doc) for flag in flags})
            elif name == "stream_flags":
                text, meaning = _flags(value, {flag.mask: (flag.name, flag.doc) for flag in schema.stream_flags})
            elif field.parity is not None:
                side = field.parity["odd" if value & 1 else "even"]
                meaning = f"A stream of the {side}."
            yield Span(name, at, at + size, value, doc), text, meaning
        at += size


def _flags(value: int, flags: dict[int, tuple[str, str]]) -> tuple[str, str]:
    names = flag_list(value, {mask: name for mask, (name, _) in flags.items()})
    text = "|".join(name if isinstance(name, str) else hex(name) for name in names) or "0"
    docs = [_brief(flags[mask][1]) for mask in flags if value & mask]
    return text, " ".join(docs)


def _payload_spans(
    frame: Frame, payload: bytes, continued: bool, schema: Schema, codec: Codec, max_items: int | None
) -> Iterator[Span]:
    spans = _all_spans(frame, payload, continued, schema, codec, max_items)
    # An empty payload has no lines, unless it is damaged.
    yield from spans if payload else (span for span in spans if span.start < span.end)


def _all_spans(
    frame: Frame, payload: bytes, continued: bool, schema: Schema, codec: Codec, max_items: int | None
) -> Iterator[Span]:
    frame_type = schema.frames_by_code.get(int(frame.type))
    encoded = next((flag.mask for flag in schema.stream_flags if flag.role == "encoded"), 0)
    if int(frame.stream_flags) & encoded:
        yield Span("payload", 0, len(payload), payload, "Encoded by the stream's content encoding.")
        return
    if frame_type is None:
        yield Span("payload", 0, len(payload), payload, "Of an unknown frame type.")
        return
    number = case_number(codec.PAYLOADS[frame_type.code], int(frame.flags), continued)
    case = frame_type.payload[number]
    if case.structure is not None:
        limit = case.structure.limit
        most = None if limit is None else schema.limits[limit].default if max_items is None else max_items
        yield from walk(codec.LAYOUTS[case.structure.name], payload, most)
    elif case.field is not None:
        value = codec.decode_payload(frame, continued)
        yield Span(case.field.name, 0, len(payload), value, case.field.doc)


def _rows(path: str, data: bytes, offset: int, value: str, meaning: str, style: Style) -> Iterator[str]:
    rows = [data[i : i + ROW_BYTES] for i in range(0, len(data), ROW_BYTES)] or [b""]
    name, lines = _shortened(printable(path)), style.wrapped(meaning)
    for index in range(max(min(len(rows), MAX_ROWS), len(lines))):
        row = rows[index].hex(" ") if index < min(len(rows), MAX_ROWS) else ""
        at = f"{offset + index * ROW_BYTES:08x}" if row or not index else " " * 8
        place = style.data(f"{at}  {row:<{3 * ROW_BYTES}}")
        columns = f"{'' if index else name:<{FIELD_WIDTH}} {'' if index else value:<{VALUE_WIDTH}}"
        line = style.meaning(lines[index]) if index < len(lines) else ""
        yield f"  {place} {columns} {line}".rstrip()
    if len(rows) > MAX_ROWS:
        left = len(data) - MAX_ROWS * ROW_BYTES
        yield f"  {'':8}  {style.data(f'... {counted_bytes(left)} more')}"


def _value(value: Any) -> str:
    """Returns a value, shortened to the width of its column."""
    if value == NULL:
        text = "null"
    elif isinstance(value, bytes):
        text = repr(value[: VALUE_WIDTH + 1])[1:]
    elif isinstance(value, str):
        text = ascii(value[: VALUE_WIDTH + 1])
    else:
        text = ascii(value)
    return _fitting(text)


def _fitting(text: str) -> str:
    return text if len(text) <= VALUE_WIDTH else f"{text[: VALUE_WIDTH - 3]}..."


def _shortened(name: str) -> str:
    return name if len(name) <= _MOST_SHOWN else f"{name[:_MOST_SHOWN]}..."


def _brief(doc: str) -> str:
    """Returns the first sentence of a text, in one line."""
    doc = " ".join(doc.split())
    return doc.partition(". ")[0].rstrip(".") + "." if doc else ""
