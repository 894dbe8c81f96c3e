"""Emits ``codec.py``: the fast codec of a revision, as plain typed Python.

The generated code decodes payloads without loops over tables, with precompiled formats. If it finds that a payload is invalid,
it calls :func:`hgproto.runtime.layout.fault`, which finds the error with the tables of the generated module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.emit.framing import frame_functions
from hgproto.emit.line_breaks import Group, flat
from hgproto.emit.payloads import structure_functions
from hgproto.emit.records import BUILTINS, record
from hgproto.emit.rules import check_header, decode_payload, items_limit
from hgproto.emit.tables import layouts, tables
from hgproto.emit.text import (
    camel,
    docstring,
    flag_class,
    heading,
    literal,
    mask,
    names_in,
    snake,
    upper,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgproto.language.model import Flag, Schema

__all__ = ["emit"]


def emit(schema: Schema) -> str:
    """Returns the source of ``codec.py``."""
    parts = [
        _constants(schema),
        _enumerations(schema),
        *(record(structure) for structure in schema.structures.values()),
        layouts(schema),
        tables(schema),
        frame_functions(schema),
        *(structure_functions(structure, schema) for structure in schema.structures.values()),
        _structures(schema),
        check_header(schema),
        decode_payload(schema),
    ]
    body = "\n\n\n".join("\n".join(part) for part in parts) + "\n"
    return "\n".join(_head(schema, names_in(body))) + "\n\n\n" + body


def _head(schema: Schema, used: frozenset[str]) -> list[str]:
    names = [
        "CODES",
        "DIGEST",
        "FIELDS",
        "FIELD_BITS",
        "FLAG_NAMES",
        "FRAME",
        "FrameType",
        "HEADER_BYTES",
        "HUMAN",
        "ITEMS_LIMIT",
        "LIMITS",
        "MAX_PAYLOAD",
        "MEDIA_TYPE",
        "PAYLOADS",
    ]
    names += [
        "INTERRUPTS",
        "JOINS",
        "LAYOUTS",
        "REVISION",
        "STREAM_FLAG_NAMES",
        "STRUCTURES",
        "StreamFlag",
        "TYPE_NAMES",
    ]
    names += ["check_header", "cut_frame", "decode_frame", "decode_payload", "make_frame"]
    names += [
        "encode_frame",
        "encode_header",
        "frame_bytes",
        "frame_end",
        "frame_of",
        "kind_of",
        "read_frames",
        "read_parts",
    ]
    names += [flag_class(frame.name) for frame in schema.frames.values() if frame.flags]
    for structure in schema.structures.values():
        names += [camel(structure.name), upper(structure.name)]
        names += [f"decode_{snake(structure.name)}", f"encode_{snake(structure.name)}"]
    all_ = Group("__all__ = [", [*map(literal, sorted(set(names), key=_all_order))], "]")
    of_structs = [name for name in ("Struct", "iter_unpack", "pack", "unpack_from") if name in used]
    of_bytelike = [name for name in ("as_bytes", "bytes_like", "check_several") if name in used]
    of_frame = [
        name for name in ("Frame", "Record", "bare", "check_frame", "check_instance", "check_type") if name in used
    ]
    of_layout = [
        "Entry",
        "Join",
        "Layout",
        "Part",
        "Shape",
        "Subset",
        "decode_record",
        "encode_entries",
        "fault",
        "flags_of_both",
        "frame_fault",
    ]
    of_layout = [name for name in (*of_layout, "local_fault", "local_frame_fault", "text_of_flags") if name in used]
    return [
        *heading(schema).rstrip("\n").split("\n"),
        *docstring(
            f"The fast codec of {schema.revision}. It decodes frames and payloads to values, and encodes values.", 0
        ),
        "",
        "from __future__ import annotations",
        "",
        "from enum import IntEnum, IntFlag",
        f"from struct import {', '.join(of_structs)}",
        "from struct import error as StructError",
        "from typing import TYPE_CHECKING, Any",
        "",
        f"from hgproto.errors import {', '.join(name for name in ('LocalProtocolError', 'RemoteProtocolError') if name in used)}",
        f"from hgproto.runtime.bytelike import {', '.join(of_bytelike)}",
        f"from hgproto.runtime.frame import {', '.join(of_frame)}",
        f"from hgproto.runtime.layout import {', '.join(of_layout)}",
        "",
        "if TYPE_CHECKING:",
        *([f"    import builtins as {BUILTINS}"] if BUILTINS in used else []),
        "    from collections.abc import Callable, Iterator",
        *(["    from typing import Self"] if "Self" in used else []),
        "",
        "    from hgproto.runtime.bytelike import BytesLike",
        "    from hgproto.wire.reader import Pieces",
        "",
        flat(all_),
    ]


def _all_order(name: str) -> tuple[int, str]:
    """Returns the sort key of a name in ``__all__``, as Ruff sorts it: constants, classes, then other names."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def _constants(schema: Schema) -> list[str]:
    limits = [f"{literal(limit.name)}: ({limit.default}, {limit.maximum})" for limit in schema.limits.values()]
    longest = next(schema.limits[field.limit] for field in schema.header.fields if field.limit is not None)
    items = items_limit(schema)
    of_items = ("str | None", "None") if items is None else ("str", literal(items.name))
    media_type = "None" if schema.media_type is None else literal(schema.media_type)
    annotation = "str | None" if schema.media_type is None else "str"
    return [
        f"REVISION = {literal(schema.revision)}",
        f"MEDIA_TYPE: {annotation} = {media_type}",
        f"HUMAN: str | None = {'None' if schema.human is None else literal(schema.human)}",
        *docstring("The notation of payloads in the human form besides escapes.", 0),
        f"DIGEST = {literal(schema.digest)}",
        f"HEADER_BYTES = {schema.header.size}",
        flat(Group("LIMITS: dict[str, tuple[int, int]] = {", limits, "}")),
        *docstring("The named limits: default and maximum.", 0),
        f"MAX_PAYLOAD = ({longest.default}, {longest.maximum})",
        *docstring("The limit on the length of a payload in bytes: default and maximum.", 0),
        f"ITEMS_LIMIT: {of_items[0]} = {of_items[1]}",
        *docstring("The name of the limit on the items of a payload; None if there is none.", 0),
    ]


def _structures(schema: Schema) -> list[str]:
    functions = [
        Group(f"{literal(name)}: (", [camel(name), f"decode_{snake(name)}", f"encode_{snake(name)}"])
        for name in schema.structures
    ]
    return [
        flat(
            Group(
                "STRUCTURES: dict[str, tuple[type[Record], Callable[..., Any], Callable[[Any], bytes]]] = {",
                functions,
                "}",
            )
        ),
        *docstring("For each structure, its class and the functions that decode and encode it.", 0),
    ]


def _enumerations(schema: Schema) -> list[str]:
    lines = ["class FrameType(IntEnum):", *docstring("The frame types."), ""]
    for frame in schema.frames_by_code.values():
        lines += [f"    {upper(frame.name)} = {mask(frame.code)}", *docstring(frame.doc)]
    lines += _flag_class("StreamFlag", "The effects of a frame on its stream.", schema.stream_flags)
    for frame in schema.frames_by_code.values():
        if frame.flags:
            lines += _flag_class(flag_class(frame.name), f"The flags of {frame.name}.", frame.flags)
    return lines


def _flag_class(name: str, doc: str, flags: Sequence[Flag]) -> list[str]:
    lines = ["", "", f"class {name}(IntFlag):", *docstring(doc), ""]
    for flag in flags:
        lines += [f"    {upper(flag.name)} = {mask(flag.mask)}", *docstring(flag.doc)]
    return lines
