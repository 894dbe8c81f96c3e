"""Emits what a codec does with whole frames: reading many, reading one, building one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.emit.text import Group, docstring, lay_out

if TYPE_CHECKING:
    from hgproto.spec.model import Schema

__all__ = ["frame_functions"]


def frame_functions(schema: Schema) -> list[str]:
    """The functions that read and build frames."""
    header = schema.header
    targets, joins, packs, plain = [], [], [], {}
    for field in header.fields[:-1]:
        if field.type == "u24":
            targets += [f"{field.name}_low", f"{field.name}_high"]
            joins.append(f"{field.name} = {field.name}_low | {field.name}_high << 16")
            value = field.name if field.name == "length" else f"frame.{field.name}"
            packs += [f"{value} & 0xFFFF", f"{value} >> 16"]
        elif field.bits:
            targets.append("octet")
            shifts = [f"(frame.{b.name} << {b.low})" if b.low else f"frame.{b.name}" for b in field.bits]
            packs.append(" + ".join(shifts))
        else:
            targets.append(field.name)
            packs.append(field.name if field.name == "length" else f"frame.{field.name}")
            plain[field.name] = field.name
    plain["stream_flags"] = "_STREAM_FLAGS[stream_flags]"
    plain["type"], plain["flags"] = "_TYPE_OF[octet]", "_FLAGS_OF[octet]"
    plain.pop("length", None)
    limit_name = header.locate("length")[1].limit
    limit = schema.limits[str(limit_name)]
    size = header.octets
    _, _, type_bits = header.locate("type")
    _, _, flag_bits = header.locate("flags")
    if type_bits is None or flag_bits is None:
        raise ValueError("the type and the flags of a frame are bit fields of one integer")
    low = type_bits if type_bits.low == 0 else flag_bits
    names = ", ".join(targets)
    limit_doc = f"``max_payload``: the most octets of a payload ({limit.default} unless told otherwise)."
    raises = "Raises :class:`LocalProtocolError` for a longer one and for a number that its header field cannot hold."
    pack_header = [
        "    payload = frame.payload",
        "    length = len(payload)",
        f"    if length > max_payload or not 0 <= frame.{low.name} < {1 << low.width}:",
        "        raise local_frame_fault(FRAME, frame, max_payload, FIELD_BITS)",
        "    try:",
        *lay_out(Group("header = _HEADER.pack(", packs, ")"), 8),
        "    except (StructError, TypeError):",
        "        raise local_frame_fault(FRAME, frame, max_payload, FIELD_BITS) from None",
    ]
    fill = ["frame = new(Frame)"]
    local = {"_STREAM_FLAGS[stream_flags]": "stream_flags_of[stream_flags]", "_TYPE_OF[octet]": "type_of[octet]"}
    local["_FLAGS_OF[octet]"] = "flags_of[octet]"
    fill += [f"frame.{name} = {local.get(value, value)}" for name, value in plain.items()]
    fill += ["frame.payload = data[start:stop]"]
    return [
        f"def read_frames(source: Pieces, max_payload: int = {limit.default}) -> Iterator[Frame]:",
        *docstring(
            "The frames in the pieces of ``source``, as they become whole.\n\n"
            f"{limit_doc} Raises :class:`RemoteProtocolError` before a longer one is gathered."
        ),
        "    unpack, new = _HEADER.unpack_from, Frame.__new__",
        "    type_of, flags_of, stream_flags_of = _TYPE_OF, _FLAGS_OF, _STREAM_FLAGS",
        "    for data, at in source:",
        f"        end, last = len(data), len(data) - {size}",
        "        while at <= last:",
        f"            {names} = unpack(data, at)",
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
        "        else:",
        f"            source.keep(data, at, {size})",
        "",
        "",
        f"def decode_frame(data: bytes, at: int = 0, max_payload: int = {limit.default}) -> tuple[Frame, int]:",
        *docstring(
            "The frame at offset ``at``, and the offset after it.\n\n"
            f"{limit_doc} Raises :class:`RemoteProtocolError`, offsets from the start of ``data``."
        ),
        f"    if len(data) - at < {size}:",
        "        raise frame_fault(FRAME, data[at:], max_payload).moved(at)",
        f"    {names} = _HEADER.unpack_from(data, at)",
        *(f"    {line}" for line in joins),
        f"    start = at + {size}",
        "    stop = start + length",
        "    if length > max_payload or stop > len(data):",
        "        raise frame_fault(FRAME, data[at:], max_payload).moved(at)",
        "    return Frame(",
        *(
            f"        {name}={value},"
            for name, value in sorted(plain.items(), key=lambda item: _FRAME_ORDER.index(item[0]))
        ),
        "        payload=data[start:stop],",
        "    ), stop",
        "",
        "",
        f"def cut_frame(data: bytes, max_payload: int = {limit.default}) -> RemoteProtocolError:",
        *docstring(
            "Why the octets that are left at the end of input are no frame. Offsets count from the start of ``data``."
        ),
        "    return frame_fault(FRAME, data, max_payload)",
        "",
        "",
        "def make_frame(",
        '    request_id: int, stream_id: int, stream_flags: int, type_: int, flags: int, payload: bytes = b""',
        ") -> Frame:",
        *docstring(
            "A frame from numbers, with the members of the enumerations where there are some.\n\n"
            "Nothing is checked; see :func:`encode_frame` and :func:`check_header`."
        ),
        f"    if 0 <= stream_flags < {1 << (8 * (header.locate('stream_flags')[1].octets or 1))}:",
        "        stream_flags = _STREAM_FLAGS[stream_flags]",
        f"    if 0 <= type_ < {1 << type_bits.width} and 0 <= flags < {1 << flag_bits.width}:",
        "        type_, flags = _TYPES[type_], _FLAGS[type_][flags]",
        "    return Frame(request_id, stream_id, stream_flags, type_, flags, payload)",
        "",
        "",
        f"def encode_frame(frame: Frame, max_payload: int = {limit.default}) -> bytes:",
        *docstring(f"The octets of a frame; its length is computed.\n\n{limit_doc} {raises}"),
        *pack_header,
        "    return header + payload",
        "",
        "",
        f"def encode_header(frame: Frame, max_payload: int = {limit.default}) -> bytes:",
        *docstring(
            "The header of a frame alone, for those who write header and payload as two buffers.\n\n"
            f"{limit_doc} {raises}"
        ),
        *pack_header,
        "    return header",
    ]


_FRAME_ORDER = ["request_id", "stream_id", "stream_flags", "type", "flags"]
