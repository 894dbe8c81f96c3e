"""Emits the functions of a codec for whole frames: reading many, decoding one, and encoding one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.emit.formats import header_format
from hgproto.emit.text import docstring, mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgproto.language.model import Schema

__all__ = ["CHECK_TYPE", "cut_frames", "frame_functions", "kind", "parts_format"]

CHECK_TYPE = [
    "    try:",
    "        if type(frame.type) is not FrameType and type(frame.type) is not int:",
    "            check_type(frame, FrameType, REVISION)",
    "    except AttributeError:",
    "        check_frame(frame)",
    "        raise",
]
"""Lines that reject a frame of another revision, or another object. For a valid frame they only compare its type."""


def _targets(schema: Schema) -> tuple[list[str], list[str]]:
    """Returns the variables into which a header is unpacked, and the statements that join the parts of 24-bit numbers."""
    targets, joins = [], []
    for field in schema.header.fields[:-1]:
        targets.append("byte" if field.bits else field.name)
        if field.type == "u24":
            targets.append(f"{field.name}_high")
            # Most numbers are small, and a branch is faster than a shift.
            joins += [f"if {field.name}_high:", f"    {field.name} |= {field.name}_high << 16"]
    return targets, joins


def _is_kind_at_once(schema: Schema) -> bool:
    """Returns True if the kind is the last two bytes of the header, so that one read can return it."""
    return _targets(schema)[0][-2:] == ["stream_flags", "byte"] and header_format(schema).endswith("BB")


def parts_format(schema: Schema) -> str:
    """Returns the struct code with which the loop of :func:`cut_frames` reads a header."""
    form = header_format(schema)
    return f"{form[:-2]}H" if _is_kind_at_once(schema) else form


def kind(schema: Schema, code: int, flags: int, stream_flags: int = 0) -> int:
    """Returns the number that combines a type, flags, and stream flags. It is ``kind`` in the loop of :func:`cut_frames`."""
    _, field, _ = schema.header.locate("stream_flags")
    shifts = [bits.low for _, _, bits in map(schema.header.locate, ("type", "flags")) if bits is not None]
    byte = code << shifts[0] | flags << shifts[1]
    return byte << 8 * (field.fixed_size or 1) | stream_flags


def cut_frames(schema: Schema, body: Sequence[str]) -> list[str]:
    """Returns the lines of a loop that finds frames in the pieces of ``source``, indented as the body of a function.

    ``body``: the statements for each frame. They can use ``kind``, ``request_id``, ``stream_id``, and ``length``, and the
    payload ``data[start:at]``. The loop needs ``max_payload``, and ``_unpack_parts`` with the format of :func:`parts_format`.
    """
    size = schema.header.size
    targets, joins = _targets(schema)
    if _is_kind_at_once(schema):
        targets[-2:] = ["kind"]
    else:
        _, field, _ = schema.header.locate("stream_flags")
        joins = [*joins, f"kind = byte << {8 * (field.fixed_size or 1)} | stream_flags"]
    return [
        "    unpack = _unpack_parts",
        "    data: Any",
        "    for data, at in source:",
        f"        end, last = len(data), len(data) - {size}",
        "        while at <= last:",
        f"            {', '.join(targets)} = unpack(data, at)",
        *(f"            {line}" for line in joins),
        "            if length > max_payload:",
        f"                raise source.refuse(data, at, cut_frame(data[at : at + {size}], max_payload))",
        f"            start = at + {size}",
        "            at = start + length",
        "            if at > end:",
        f"                source.keep(data, start - {size}, length + {size})",
        "                break",
        *(f"            {line}" if line else "" for line in body),
        "        else:",
        f"            source.keep(data, at, {size})",
    ]


def frame_functions(schema: Schema) -> list[str]:
    """Returns the lines of the functions that decode and encode frames."""
    header = schema.header
    packs, plain = [], {}
    targets, joins = _targets(schema)
    lengths, split = ["length = len(payload)"], []
    for field in header.fields[:-1]:
        value = field.name if field.name == "length" else f"frame.{field.name}"
        if field.bits:
            packs.append("byte")
            continue
        plain[field.name] = field.name
        if field.type == "u24":
            is_length = field.name == "length"
            packs += [value, f"{value}_high"] if is_length else [f"{value} & 0xFFFF", f"{value} >> 16"]
            if is_length:
                lengths, split = ["length, length_high = len(payload), 0"], _SPLIT_LENGTH
        else:
            packs.append(value)
    plain["stream_flags"] = "_STREAM_FLAGS[stream_flags]"
    plain["type"], plain["flags"] = "_TYPE_OF[byte]", "_FLAGS_OF[byte]"
    plain.pop("length", None)
    limit_name = header.locate("length")[1].limit
    limit = schema.limits[str(limit_name)]
    size = header.size
    _, _, type_bits = header.locate("type")
    _, _, flag_bits = header.locate("flags")
    if type_bits is None or flag_bits is None:
        raise ValueError("the type and the flags of a frame are bit fields of one integer")
    low, high = sorted((("type", type_bits), ("flags", flag_bits)), key=lambda item: item[1].low)
    stream_bits = 8 * (header.locate("stream_flags")[1].fixed_size or 1)
    limit_doc = f"``max_payload``: the largest length of a payload in bytes (default: {limit.default})."
    raises = (
        "Raises :class:`LocalProtocolError` for a longer payload, and for a number that does not fit its header field."
    )
    pack_header = [
        *CHECK_TYPE,
        "    payload = frame.payload",
        *(f"    {line}" for line in lengths),
        "    try:",
        # Arithmetic on members of enumerations is fast, but their bit operators are Python code.
        f"        byte = frame.{high[0]} * {1 << high[1].low} + frame.{low[0]}",
        f"        if length > max_payload or frame.{low[0]} >> {high[1].low}:",
        "            raise local_frame_fault(FRAME, frame, max_payload, FIELD_BITS)",
        *(f"        {line}" for line in split),
        f"        header = _pack_header({', '.join(packs)})",
        "    except (StructError, TypeError):",
        "        raise local_frame_fault(FRAME, frame, max_payload, FIELD_BITS) from None",
    ]
    local = {"_STREAM_FLAGS[stream_flags]": "stream_flags_of[stream_flags]", "_TYPE_OF[byte]": "type_of[byte]"}
    local["_FLAGS_OF[byte]"] = "flags_of[byte]"
    fill_payload = [
        '    frame.payload = payload if type(payload) is bytes else bytes_like(payload, "payload")',
        "    return frame",
    ]
    # Fields that are the same on the wire and in a frame are unpacked directly into its attributes.
    whole = {name for name, value in plain.items() if value == name and f"{name}_high" not in targets}
    filled = [f"frame.{name}" if name in whole else name for name in targets]
    fill = [f"frame.{name} = {local.get(value, value)}" for name, value in plain.items() if name not in whole]
    fill += ["frame.payload = data[start:stop]"]
    return [
        "_bare_frame = bare(Frame)",
        "_new_frame = _bare_frame.__next__",
        "",
        "",
        f"def read_frames(source: Pieces, max_payload: int = {limit.default}) -> Iterator[Frame]:",
        *docstring(
            "Yields the frames in the pieces of ``source`` once they are complete.\n\n"
            f"{limit_doc} Raises :class:`RemoteProtocolError` for a longer payload, before it is complete."
        ),
        "    unpack, frames = _unpack_header, _bare_frame",
        "    type_of, flags_of, stream_flags_of = _TYPE_OF, _FLAGS_OF, _STREAM_FLAGS",
        "    for data, at in source:",
        f"        end, last = len(data), len(data) - {size}",
        "        if at > last:",
        f"            source.keep(data, at, {size})",
        "            continue",
        "        for frame in frames:",
        f"            {', '.join(filled)} = unpack(data, at)",
        *(f"            {line}" for line in joins),
        "            if length > max_payload:",
        f"                raise source.refuse(data, at, frame_fault(FRAME, bytes(data[at : at + {size}]), max_payload))",
        f"            start = at + {size}",
        "            stop = start + length",
        "            if stop > end:",
        "                source.keep(data, at, stop - at)",
        "                break",
        *(f"            {line}" for line in fill),
        "            at = stop",
        "            yield frame",
        "            if at > last:",
        f"                source.keep(data, at, {size})",
        "                break",
        "",
        "",
        f'_unpack_parts = Struct("<{parts_format(schema)}").unpack_from',
        "",
        "",
        f"def read_parts(source: Pieces, max_payload: int = {limit.default}) -> Iterator[tuple[int, int, int, Any, int]]:",
        *docstring(
            "Yields the parts of frames: kind, request id, stream id, payload, and the frame's end in its piece of "
            "``source``.\n\nThis is faster than :func:`read_frames`, because it creates no frames. The kind combines the type, "
            "the flags, and the stream flags: see :func:`kind_of`."
        ),
        *cut_frames(schema, ["yield kind, request_id, stream_id, data[start:at], at"]),
        "",
        "",
        "def kind_of(frame: Frame) -> int:",
        *docstring("Returns a number that combines the type, the flags, and the stream flags of a frame."),
        "    try:",
        f"        byte = int(frame.{high[0]}) << {high[1].low} | int(frame.{low[0]})",
        "    except AttributeError:",
        "        check_frame(frame)",
        "        raise",
        f"    return byte << {stream_bits} | int(frame.stream_flags)",
        "",
        "",
        "def frame_of(kind: int, request_id: int, stream_id: int, payload: BytesLike) -> Frame:",
        *docstring(
            "Returns the frame with these parts, which are those of :func:`read_parts`.\n\n"
            "Raises :class:`ValueError` for a kind that does not fit a header."
        ),
        f"    byte = kind >> {stream_bits}",
        "    if byte >> 8:",
        '        raise ValueError(f"the kind {kind:#x} does not fit a header; use a result of kind_of()")',
        "    frame = _new_frame()",
        "    frame.request_id = request_id",
        "    frame.stream_id = stream_id",
        f"    frame.stream_flags = _STREAM_FLAGS[kind & {mask((1 << stream_bits) - 1)}]",
        "    frame.type = _TYPE_OF[byte]",
        "    frame.flags = _FLAGS_OF[byte]",
        *fill_payload,
        "",
        "",
        f"def decode_frame(data: BytesLike, at: int = 0, max_payload: int = {limit.default}) -> tuple[Frame, int]:",
        *docstring(
            "Decodes the frame at offset ``at``, and returns it with the offset after it.\n\n"
            f"{limit_doc} Raises :class:`RemoteProtocolError` with offsets from the start of ``data``."
        ),
        "    if type(data) is not bytes:",
        "        data = bytes_like(data)",
        f"    if len(data) - at < {size}:",
        "        data = as_bytes(data[at:])",
        "        raise frame_fault(FRAME, data, max_payload).moved(at)",
        f"    {', '.join(targets)} = _unpack_header(data, at)",
        *(f"    {line}" for line in joins),
        f"    start = at + {size}",
        "    stop = start + length",
        "    if length > max_payload or stop > len(data):",
        "        data = as_bytes(data[at:])",
        "        raise frame_fault(FRAME, data, max_payload).moved(at)",
        "    return Frame(",
        *(
            f"        {name}={value},"
            for name, value in sorted(plain.items(), key=lambda item: _FRAME_ORDER.index(item[0]))
        ),
        "        payload=as_bytes(data[start:stop]),",
        "    ), stop",
        "",
        "",
        "def frame_end(data: BytesLike, at: int = 0) -> int:",
        *docstring(
            "Returns the offset after the frame whose header begins at ``at``, from the length field alone.\n\n"
            "The offset is greater than the length of ``data`` if the frame is incomplete."
        ),
        *_frame_end(schema),
        "",
        "",
        f"def cut_frame(data: BytesLike, max_payload: int = {limit.default}) -> RemoteProtocolError:",
        *docstring(
            "Returns the error of the incomplete frame at the end of input. Offsets count from the start of ``data``."
        ),
        "    return frame_fault(FRAME, as_bytes(data), max_payload)",
        "",
        "",
        "def make_frame(",
        '    request_id: int, stream_id: int, stream_flags: int, type_: int, flags: int, payload: BytesLike = b""',
        ") -> Frame:",
        *docstring(
            "Returns a frame with these numbers, as members of the enumerations if they are known.\n\n"
            "It checks none of them: see :func:`encode_frame` and :func:`check_header`."
        ),
        f"    if 0 <= stream_flags < {1 << (8 * (header.locate('stream_flags')[1].fixed_size or 1))}:",
        "        stream_flags = _STREAM_FLAGS[stream_flags]",
        f"    if 0 <= type_ < {1 << type_bits.width} and 0 <= flags < {1 << flag_bits.width}:",
        "        type_, flags = _TYPES[type_], _FLAGS[type_][flags]",
        "    frame = _new_frame()",
        "    frame.request_id = request_id",
        "    frame.stream_id = stream_id",
        "    frame.stream_flags = stream_flags",
        "    frame.type = type_",
        "    frame.flags = flags",
        *fill_payload,
        "",
        "",
        f"def encode_frame(frame: Frame, max_payload: int = {limit.default}) -> bytes:",
        *docstring(f"Returns the bytes of a frame.\n\n{limit_doc} {raises}"),
        *pack_header,
        "    return header + payload",
        "",
        "",
        f"def encode_header(frame: Frame, max_payload: int = {limit.default}) -> bytes:",
        *docstring(
            "Returns only the header of a frame, for callers that write header and payload as two buffers.\n\n"
            f"{limit_doc} {raises}"
        ),
        *pack_header,
        "    return header",
        "",
        "",
        "def frame_bytes(kind: int, request_id: int, stream_id: int, payload: bytes) -> bytes:",
        *docstring(
            "Returns the bytes of the frame with these parts, without creating the frame.\n\n"
            "Raises the same exceptions as :func:`frame_of` and :func:`encode_frame`."
        ),
        *(f"    {line}" for line in lengths),
        f"    byte, stream_flags = kind >> {stream_bits}, kind & {mask((1 << stream_bits) - 1)}",
        f"    if length > {limit.default} or byte >> 8:",
        "        return encode_frame(frame_of(kind, request_id, stream_id, payload))",
        "    try:",
        *(f"        {line}" for line in split),
        f"        header = _pack_header({', '.join(packs).replace('frame.', '')})",
        "    except (StructError, TypeError):",
        "        return encode_frame(frame_of(kind, request_id, stream_id, payload))",
        "    return header + payload",
    ]


_SPLIT_LENGTH = ["if length > 0xFFFF:", "    length, length_high = length & 0xFFFF, length >> 16"]
_FRAME_ORDER = ["request_id", "stream_id", "stream_flags", "type", "flags"]


def _frame_end(schema: Schema) -> list[str]:
    """Returns the statements of the function ``frame_end``."""
    offset, field, _ = schema.header.locate("length")
    size = field.fixed_size or 0
    begin = f"at + {offset}" if offset else "at"
    return [
        f"    length = bytes_like(data)[{begin} : at + {offset + size}]",
        f'    return at + {schema.header.size} + int.from_bytes(length, "little")',
    ]
