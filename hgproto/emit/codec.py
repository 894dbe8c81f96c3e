"""Emits ``codec.py``: the fast codec of a revision, as plain typed Python.

What it reads it reads in straight code with precompiled formats. Where that code sees that something is wrong it asks
:func:`hgproto.layout.fault` what, from the same tables that stand in the generated module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.emit.text import Group, camel, docstring, heading, lay_out, literal, mapping, mask, snake, upper

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hgproto.spec.model import Constraint, Field, FrameType, PayloadCase, Schema, Structure

__all__ = ["emit"]

FORMATS = {"u8": "B", "u16": "H", "u24": "HB", "u32": "I"}
"""struct codes; 24 bits are read as 16 and 8, the fastest way there is."""

PYTHON_TYPES = {"ascii": "str", "utf8": "str", "bytes": "bytes"}
DECODE = {"ascii": '.decode("ascii")', "utf8": ".decode()", "bytes": ""}
ENCODE = {"ascii": '.encode("ascii")', "utf8": ".encode()", "bytes": ""}


def emit(schema: Schema) -> str:
    """The source of ``codec.py``."""
    parts = [
        _head(schema),
        _constants(schema),
        _enumerations(schema),
        *(_record(structure) for structure in schema.structures.values()),
        _layouts(schema),
        _tables(schema),
        _frame_functions(schema),
        *(_structure_functions(structure, schema) for structure in schema.structures.values()),
        _check_header(schema),
        _decode_payload(schema),
    ]
    return "\n\n\n".join("\n".join(part) for part in parts) + "\n"


def _head(schema: Schema) -> list[str]:
    names = ["CODES", "DIGEST", "FIELD_BITS", "FLAG_NAMES", "FRAME", "FrameType", "HEADER_OCTETS", "LIMITS", "MEDIA_TYPE", "PAYLOADS"]
    names += ["INTERRUPTS", "LAYOUTS", "REVISION", "STREAM_FLAG_NAMES", "StreamFlag", "TYPE_NAMES"]
    names += ["check_header", "cut_frame", "decode_frame", "decode_payload", "make_frame"]
    names += ["encode_frame", "encode_header", "read_frames"]
    names += [f"{camel(frame.name)}Flag" for frame in schema.frames.values() if frame.flags]
    for structure in schema.structures.values():
        names += [camel(structure.name), upper(structure.name)]
        names += [f"decode_{snake(structure.name)}", f"encode_{snake(structure.name)}"]
    all_ = lay_out(Group("__all__ = [", [*map(literal, sorted(set(names), key=_all_order))], "]"))
    layout_names = ["Entry"] if any(s.is_cbor_map for s in schema.structures.values()) else []
    layout_names += ["Layout", "Part"]
    functions = ["decode_entries", "encode_entries"] if layout_names[0] == "Entry" else []
    functions += ["fault", "frame_fault", "local_fault", "local_frame_fault", "text_of_flags"]
    imports = lay_out(Group("from hgproto.layout import (", [*layout_names, *functions]))
    return [
        *heading(schema).rstrip("\n").split("\n"),
        *docstring(f"The fast codec of {schema.revision}: frames and payloads to values, and back.", 0),
        "",
        "from __future__ import annotations",
        "",
        "from enum import IntEnum, IntFlag",
        "from struct import Struct, pack, unpack_from",
        "from struct import error as StructError",
        "from typing import TYPE_CHECKING, Any",
        "",
        "from hgproto.errors import RemoteProtocolError",
        "from hgproto.frame import Frame, Record",
        *imports,
        "",
        "if TYPE_CHECKING:",
        "    from collections.abc import Iterator",
        "",
        "    from hgproto.reader import Pieces",
        "",
        *all_,
    ]


def _all_order(name: str) -> tuple[int, str]:
    """ruff's order of ``__all__``: constants, classes, the rest."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def _constants(schema: Schema) -> list[str]:
    limits = [f"{literal(limit.name)}: ({limit.default}, {limit.maximum})" for limit in schema.limits.values()]
    media_type = "None" if schema.media_type is None else literal(schema.media_type)
    annotation = "str | None" if schema.media_type is None else "str"
    return [
        f"REVISION = {literal(schema.revision)}",
        f"MEDIA_TYPE: {annotation} = {media_type}",
        f"DIGEST = {literal(schema.digest)}",
        f"HEADER_OCTETS = {schema.header.octets}",
        *lay_out(Group("LIMITS: dict[str, tuple[int, int]] = {", limits, "}")),
        *docstring("The named limits: default and maximum.", 0),
    ]


def _enumerations(schema: Schema) -> list[str]:
    lines = ["class FrameType(IntEnum):", *docstring("The frame types."), ""]
    for frame in schema.frames_by_code.values():
        lines += [f"    {upper(frame.name)} = {mask(frame.code)}", *docstring(frame.doc)]
    lines += _flag_class("StreamFlag", "What a frame does to its stream.", schema.stream_flags)
    for frame in schema.frames_by_code.values():
        if frame.flags:
            lines += _flag_class(f"{camel(frame.name)}Flag", f"The flags of {frame.name}.", frame.flags)
    return lines


def _flag_class(name: str, doc: str, flags: Sequence[object]) -> list[str]:
    lines = ["", "", f"class {name}(IntFlag):", *docstring(doc), ""]
    for flag in flags:
        lines += [f"    {upper(flag.name)} = {mask(flag.mask)}", *docstring(flag.doc)]  # type: ignore[attr-defined]
    return lines


# Records.


def _python_type(field: Field) -> str:
    if field.repeat:
        return f"tuple[{camel(field.type)}, ...]"
    item = PYTHON_TYPES.get(field.type, "int")
    return f"tuple[{item}, ...]" if field.is_array else item


def _units(field: Field) -> str:
    if field.repeat:
        return "zero or more"
    if field.octets is not None:
        return f"{8 * field.octets} bits"
    charset = {"ascii": "ASCII", "utf8": "UTF-8", "bytes": "octets"}[field.type]
    return f"{charset}, one or more strings" if field.is_array and "empty" in field.rules else charset


def _record(structure: Structure) -> list[str]:
    if structure.is_cbor_map:
        return _cbor_record(structure)
    values = structure.values
    shown = [f.name for f in structure.shown]
    doc = structure.doc + "\n\n" + "\n".join(f"``{f.name}``: {f.doc} ({_units(f)})" for f in structure.shown)
    slots = sorted(f.name for f in values)
    lines = [f"class {camel(structure.name)}(Record):", *docstring(doc), ""]
    lines += lay_out(Group("__slots__ = (", [*map(literal, [f.name for f in values])], ",)" if len(values) == 1 else ")"), 4)
    if slots != [f.name for f in values]:
        lines[-1] += "  # noqa: RUF023 - in wire order"
    if len(shown) != len(values):
        lines += lay_out(Group("shown = (", [*map(literal, shown)], ")"), 4)
    lines += ["", *(f"    {f.name}: {_python_type(f)}" for f in values), ""]
    parameters = ["self", *(f"{f.name}: {_python_type(f)}" for f in values)]
    lines += lay_out(Group("def __init__(", parameters, ") -> None:"), 4)
    lines += [f"        self.{f.name} = {f.name}" for f in values]
    for field in structure.shown:
        if field.sized_by is not None:
            sized = structure.field(field.sized_by)
            encode = ENCODE.get(sized.type, "")
            lines += ["", "    @property", f"    def {field.name}(self) -> int:", *docstring(field.doc, 8)]
            lines += [f"        return len(self.{sized.name}{encode})"]
    return lines


def _cbor_record(structure: Structure) -> list[str]:
    kinds = {"text": "str", "int": "int", "uint": "int"}
    doc = structure.doc + "\n\n" + "\n".join(f"``{e.name}``: {e.doc}" for e in structure.entries)
    doc += "\n``extra``: What the map holds under keys that the revision does not know."
    lines = [f"class {camel(structure.name)}(Record):", *docstring(doc), ""]
    names = [*(e.name for e in structure.entries), "extra"]
    lines += lay_out(Group("__slots__ = (", [*map(literal, names)], ")"), 4)
    if names != sorted(names):
        lines[-1] += "  # noqa: RUF023 - in the schema's order"
    types = {e.name: kinds[e.type] + (" | None" if e.optional else "") for e in structure.entries}
    types["extra"] = "dict[bytes, Any]"
    lines += ["", *(f"    {name}: {kind}" for name, kind in types.items()), ""]
    required = [e for e in structure.entries if not e.optional]
    optional = [e for e in structure.entries if e.optional]
    parameters = ["self", *(f"{e.name}: {types[e.name]}" for e in required)]
    parameters += [f"{e.name}: {types[e.name]} = None" for e in optional]
    parameters.append("extra: dict[bytes, Any] | None = None")
    lines += lay_out(Group("def __init__(", parameters, ") -> None:"), 4)
    lines += [f"        self.{e.name} = {e.name}" for e in structure.entries]
    lines.append("        self.extra = {} if extra is None else extra")
    return lines


# Tables.


def _rules(rules: Mapping[str, str], head: str = "{") -> Group:
    return mapping(((literal(key), literal(value)) for key, value in rules.items()), head)


def _part(field: Field) -> Group:
    kind = "layout" if field.repeat else field.type
    arguments: list[str | Group] = [literal(field.name), literal(kind), literal(field.doc), _rules(field.rules)]
    for key in ("size", "count", "sizes", "at_most"):
        value = getattr(field, key)
        if value is not None:
            arguments.append(f"{key}={literal(value)}")
    if field.repeat:
        arguments.append(f"layout={upper(field.type)}")
    if field.sized_by is not None:
        arguments.append("computed=True")
    return Group("Part(", arguments)


def _layouts(schema: Schema) -> list[str]:
    lines: list[str] = []
    for structure in schema.structures.values():
        arguments: list[str | Group] = [literal(structure.name), literal(structure.doc), _rules(structure.rules)]
        if structure.is_cbor_map:
            entries = [
                f"Entry({literal(e.name)}, {literal(e.type)}, {literal(e.doc)}, {e.optional}, {e.minimum})"
                for e in structure.entries
            ]
            arguments.append(Group("entries=(", entries))
        else:
            arguments.append(Group("(", [_part(f) for f in structure.fields]))
        lines += lay_out(Group(f"{upper(structure.name)} = Layout(", arguments))
        lines += docstring(f"The table of {structure.name}.", 0)
    parts = Group("(", [_part(f) for f in schema.header.fields])
    lines += lay_out(Group("FRAME = Layout(", [literal("frame"), literal(schema.header.doc), "{}", parts]))
    lines += docstring("The table of a frame.", 0)
    tables = mapping(((literal(name), upper(name)) for name in schema.structures), "LAYOUTS: dict[str, Layout] = {")
    lines += [*lay_out(tables), *docstring("The tables by the names of the structures.", 0)]
    widths = []
    for name in ("request_id", "stream_id", "stream_flags", "type", "flags"):
        _, field, bits = schema.header.locate(name)
        width = bits.width if bits is not None else 8 * (field.octets or 0)
        widths.append((literal(name), f"({width}, {literal(field.rules['overflow'])})"))
    return [*lines, *lay_out(mapping(widths, "FIELD_BITS: dict[str, tuple[int, str]] = {"))]


def _tables(schema: Schema) -> list[str]:
    frames = schema.frames_by_code.values()
    type_names = [f"{mask(frame.code)}: {literal(frame.name)}" for frame in frames]
    lines = [
        *lay_out(Group("TYPE_NAMES: dict[int, str] = {", type_names, "}")),
        "CODES: dict[str, int] = {name: code for code, name in TYPE_NAMES.items()}",
    ]
    names = [f"{mask(flag.mask)}: {literal(flag.name)}" for flag in schema.stream_flags]
    lines += lay_out(Group("STREAM_FLAG_NAMES: dict[int, str] = {", names, "}"))
    lines.append("FLAG_NAMES: dict[int, dict[int, str]] = {")
    for frame in frames:
        flags = mapping(((f"{mask(flag.mask)}", literal(flag.name)) for flag in frame.flags), f"{mask(frame.code)}: {{")
        lines += [f"{line}," for line in lay_out(flags, 4, 1)]
    lines += ["}", '"""The names of flags by their masks, for each frame type."""', ""]
    _, _, type_bits = schema.header.locate("type")
    _, _, flag_bits = schema.header.locate("flags")
    _, stream_field, _ = schema.header.locate("stream_flags")
    if type_bits is None or flag_bits is None:
        raise ValueError("the type and the flags of a frame are bit fields of one integer")
    flag_types = [f"{mask(frame.code)}: {camel(frame.name)}Flag" for frame in frames if frame.flags]
    lines += [
        *lay_out(Group("_FLAG_TYPES: dict[int, type[IntFlag]] = {", flag_types, "}")),
        f"_TYPES = [FrameType(code) if code in TYPE_NAMES else code for code in range({1 << type_bits.width})]",
        f"_FLAGS = [[_FLAG_TYPES[code](flags) if code in _FLAG_TYPES else flags for flags in range({1 << flag_bits.width})]"
        f" for code in range({1 << type_bits.width})]",
        "# What the octet of type and flags stands for, as two lists, so that reading a frame looks up instead of computing.",
        f"_TYPE_OF = [_TYPES[octet {_extract(type_bits.low, type_bits.width)}] for octet in range(256)]",
        f"_FLAGS_OF = [_FLAGS[octet {_extract(type_bits.low, type_bits.width)}]"
        f"[octet {_extract(flag_bits.low, flag_bits.width)}] for octet in range(256)]",
        f"_STREAM_FLAGS = [StreamFlag(octet) for octet in range({1 << (8 * (stream_field.octets or 1))})]",
    ]
    formats: dict[str, str] = {}
    for structure in schema.structures.values():
        for run in _integer_runs(structure):
            code = "".join(FORMATS[f.type] for f in run)
            formats.setdefault(code, f'_{code} = Struct("<{code}")')
    lines += [*(formats[code] for code in sorted(formats)), f'_HEADER = Struct("<{_header_format(schema)}")']
    return lines


def _extract(low: int, width: int) -> str:
    return f"& {mask((1 << width) - 1)}" if low == 0 else f">> {low} & {mask((1 << width) - 1)}"


def _header_format(schema: Schema) -> str:
    return "".join(FORMATS[f.type] for f in schema.header.fields[:-1])


def _integer_runs(structure: Structure) -> Iterator[list[Field]]:
    """Runs of single integers that follow one another."""
    run: list[Field] = []
    for field in structure.fields:
        if field.octets is not None and not field.is_array:
            run.append(field)
            continue
        if run:
            yield run
        run = []
    if run:
        yield run


# Frames.


def _frame_functions(schema: Schema) -> list[str]:
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
        "                source.keep(data, at, 0)",
        f"                raise frame_fault(FRAME, bytes(data[at : at + {size}]), max_payload).moved(source.position)",
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
        *(f"        {name}={value}," for name, value in sorted(plain.items(), key=lambda item: _FRAME_ORDER.index(item[0]))),
        "        payload=data[start:stop],",
        "    ), stop",
        "",
        "",
        f"def cut_frame(data: bytes, max_payload: int = {limit.default}) -> RemoteProtocolError:",
        *docstring("Why the octets that are left at the end of input are no frame. Offsets count from the start of ``data``."),
        "    return frame_fault(FRAME, data, max_payload)",
        "",
        "",
        "def make_frame(",
        "    request_id: int, stream_id: int, stream_flags: int, type_: int, flags: int, payload: bytes = b\"\"",
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
            "The header of a frame alone, for those who write header and payload as two buffers.\n\n" f"{limit_doc} {raises}"
        ),
        *pack_header,
        "    return header",
    ]


_FRAME_ORDER = ["request_id", "stream_id", "stream_flags", "type", "flags"]


# Structures.


def _structure_functions(structure: Structure, schema: Schema) -> list[str]:
    name, record, table = snake(structure.name), camel(structure.name), upper(structure.name)
    raises = "Raises :class:`RemoteProtocolError`, offsets from the start of ``payload``."
    decode_doc = docstring(f"The {structure.name} that is all of ``payload``.\n\n{raises}")
    encode_doc = docstring("The octets of ``value``; sizes and counts are computed. Raises :class:`LocalProtocolError`.")
    if structure.is_cbor_map:
        return [
            f"def decode_{name}(payload: bytes) -> {record}:",
            *decode_doc,
            f"    return {record}(**decode_entries({table}, bytes(payload)))",
            "",
            "",
            f"def encode_{name}(value: {record}) -> bytes:",
            *docstring("The octets of ``value``, strings as byte strings of UTF-8. Raises :class:`LocalProtocolError`."),
            f"    return encode_entries({table}, value)",
        ]
    return [
        f"def decode_{name}(payload: bytes) -> {record}:",
        *decode_doc,
        "    if type(payload) is not bytes:",
        "        payload = bytes(payload)",
        "    try:",
        *(f"        {line}" for line in _read_whole(structure, schema)),
        "    except (StructError, ValueError):",
        "        pass",
        f"    raise fault({table}, payload)",
        "",
        "",
        f"def encode_{name}(value: {record}) -> bytes:",
        *encode_doc,
        "    try:",
        *(f"        {line}" for line in _write(structure)),
        "    except (StructError, UnicodeEncodeError, ValueError):",
        "        pass",
        f"    raise local_fault({table}, value)",
    ]


def _local(name: str) -> str:
    """The variable for a field. Our own variables never end in an underscore, so that no field hides one."""
    return f"{name}_"


def _read_whole(structure: Structure, schema: Schema) -> list[str]:
    """Straight code that returns the record when the payload is good, and else raises or falls through."""
    first = structure.fields[0]
    record = camel(structure.name)
    if first.repeat:
        inner = schema.structures[first.type]
        return [
            "at, end = 0, len(payload)",
            "items = []",
            "while at < end:",
            *(f"    {line}" for line in _read(inner, "at", last_takes_rest=False)),
            *(f"    {line}" for line in _unless_empty(inner)),
            "    items.append(record)",
            "if at == end:",
            f"    whole = {record}.__new__({record})",
            f"    whole.{first.name} = tuple(items)",
            "    return whole",
        ]
    lines = _read(structure, "", last_takes_rest=True)
    good = _conditions(structure)
    return [*lines, f"if {good}:", "    return record"] if good else [*lines, "return record"]


def _unless_empty(structure: Structure) -> list[str]:
    """For a structure inside of another: an end to the loop at a string that may not be empty."""
    needed = _not_empty(structure)
    return [f"if not ({' and '.join(needed)}):", "    raise ValueError"] if needed else []


def _not_empty(structure: Structure) -> list[str]:
    names = [f for f in structure.values if "empty" in f.rules]
    return [f"all({_local(f.name)})" if f.is_array else _local(f.name) for f in names]


def _read(structure: Structure, at: str, *, last_takes_rest: bool) -> list[str]:
    """Straight code that reads the fields from offset ``at`` (a variable, or empty for 0) into ``record``.

    ``last_takes_rest``: the last string is read to the end of the payload, and its size checked by a condition.
    """
    lines: list[str] = []
    base, fixed = at, 0
    runs = {run[0].name: run for run in _integer_runs(structure)}
    in_run = {f.name for run in runs.values() for f in run[1:]}
    for field in structure.fields:
        here = (f"{base} + {fixed}" if fixed else base) if base else str(fixed)
        if field.name in in_run:
            continue
        if field.name in runs:
            run = runs[field.name]
            lines += _read_integers(run, here)
            fixed += sum(item.octets or 0 for item in run)
        elif field.octets is not None:
            lines += _read_numbers(field, here)
            base, fixed = f"{field.name}_end", 0
        elif field.sizes is not None:
            lines += _read_strings(field, here)
            base, fixed = f"{field.name}_end", 0
        else:
            start = "" if here == "0" else here
            ends = field.size == "rest" or (last_takes_rest and field is structure.fields[-1])
            stop = "" if ends else f"{field.name}_end"
            if stop:
                lines.append(f"{stop} = {here} + {_local(str(field.size))}")
                base, fixed = stop, 0
            slice_ = f"[{start}:{stop}]" if start or stop else ""
            lines.append(f"{_local(field.name)} = payload{slice_}{DECODE[field.type]}")
    record = camel(structure.name)
    lines.append(f"record = {record}.__new__({record})")
    lines += [f"record.{f.name} = {_local(f.name)}" for f in structure.values]
    if at:
        lines.append(f"{at} = {base} + {fixed}" if fixed else f"{at} = {base}")
    return lines


def _read_integers(run: Sequence[Field], here: str) -> list[str]:
    targets, joins = [], []
    for item in run:
        if item.type == "u24":
            targets += [f"{item.name}_low", f"{item.name}_high"]
            joins.append(f"{_local(item.name)} = {item.name}_low | {item.name}_high << 16")
        else:
            targets.append(_local(item.name))
    code = "".join(FORMATS[item.type] for item in run)
    start = "" if here == "0" else f", {here}"
    left = f"({targets[0]},)" if len(targets) == 1 else ", ".join(targets)
    return [f"{left} = _{code}.unpack_from(payload{start})", *joins]


def _read_numbers(field: Field, here: str) -> list[str]:
    """An array of integers; of single octets the payload's own are good enough."""
    name, count = _local(field.name), _local(str(field.count))
    if field.octets == 1:
        colon = " : " if "+" in here else ":"
        return [f"{field.name}_end = {here} + {count}", f"{name} = payload[{here}{colon}{field.name}_end]"]
    lines = [f"{field.name}_end = {here} + {field.octets} * {count}"]
    if field.type == "u24":
        items = f"range({here}, {field.name}_end, 3)"
        return [*lines, f'{name} = [int.from_bytes(payload[i : i + 3], "little") for i in {items}]']
    numbers = f'unpack_from(f"<{{{count}}}{FORMATS[field.type]}", payload, {here})'
    return [*lines, f"if {count}:", f"    {name} = {numbers}", "else:", f"    {name} = ()"]


def _read_strings(field: Field, here: str) -> list[str]:
    """An array of strings. A string that is cut is short here, and the end then past the payload's."""
    name, end = _local(field.name), f"{field.name}_end"
    return [
        f"{end} = {here}",
        f"if {_local(str(field.sizes))}:",
        "    strings = []",
        f"    for size in {_local(str(field.sizes))}:",
        f"        start, {end} = {end}, {end} + size",
        f"        strings.append(payload[start:{end}]{DECODE[field.type]})",
        f"    {name} = tuple(strings)",
        "else:",
        f"    {name} = ()",
    ]


def _conditions(structure: Structure) -> str:
    """What must hold for a payload to be good after its fields were read."""
    conditions = _not_empty(structure)
    last = structure.fields[-1]
    if last.size == "rest":
        before = [f for f in structure.fields[:-1] if f.octets is None or f.is_array]
        if before:
            conditions.append(f"{before[-1].name}_end <= len(payload)")
        if last.at_most is not None:
            conditions.append(f"len({_local(last.name)}) <= {_local(last.at_most)}")
    elif last.size is not None:
        before = [f for f in structure.fields[:-1] if f.octets is None or f.is_array]
        # A string of several octets a character is measured by its octets, others by themselves.
        start = f"{before[-1].name}_end" if before else str(sum(f.octets or 0 for f in structure.fields[:-1]))
        if last.type == "utf8":
            conditions.append(f"len(payload) == {start} + {_local(last.size)}")
        else:
            conditions.append(f"len({_local(last.name)}) == {_local(last.size)}")
            if before:
                conditions.append(f"{start} <= len(payload)")
    elif last.is_array:
        conditions.append(f"len(payload) == {last.name}_end")
    else:
        before = [f for f in structure.fields if f.octets is None or f.is_array]
        rest = structure.fields[structure.fields.index(before[-1]) + 1 :] if before else structure.fields
        fixed = sum(f.octets or 0 for f in rest)
        conditions.append(f"len(payload) == {before[-1].name}_end + {fixed}" if before else f"len(payload) == {fixed}")
    return " and ".join(conditions)


def _write(structure: Structure) -> list[str]:
    """Straight code that returns the octets when the record can be built, and else raises or falls through."""
    first = structure.fields[0]
    if first.repeat:
        return [f'return b"".join([encode_{snake(first.type)}(item) for item in value.{first.name}])']
    lines: list[str] = []
    conditions = _not_empty(structure)
    for field in structure.values:
        if field.type not in PYTHON_TYPES:
            continue
        encode = ENCODE[field.type]
        if field.sizes is not None:
            lines.append(f"{_local(field.name)} = [item{encode} for item in value.{field.name}]")
        else:
            lines.append(f"{_local(field.name)} = value.{field.name}{encode}")
        if field.at_most is not None:
            conditions.append(f"len({_local(field.name)}) <= value.{field.at_most}")
    pieces: list[str | Group] = []
    runs = {run[0].name: run for run in _integer_runs(structure)}
    in_run = {f.name for run in runs.values() for f in run[1:]}
    for field in structure.fields:
        if field.name in in_run:
            continue
        if field.name in runs:
            pieces.append(_pack_integers(runs[field.name], structure))
        elif field.octets is not None:
            pieces.append(_pack_numbers(field))
        else:
            pieces.append(f"*{_local(field.name)}" if field.sizes is not None else _local(field.name))
    if len(pieces) == 1 and not str(pieces[0]).startswith("*"):
        result = lay_out(pieces[0])
        result[0] = f"return {result[0]}"
    else:
        result = lay_out(Group('return b"".join(', [Group("(", pieces)]), 12)
        result = [line[12:] for line in result]
    if conditions:
        return [*lines, f"if {' and '.join(conditions)}:", *(f"    {line}" for line in result)]
    return [*lines, *result]


def _pack_integers(run: Sequence[Field], structure: Structure) -> Group:
    arguments: list[str | Group] = []
    for item in run:
        number = _number(item, structure)
        arguments += [f"{number} & 0xFFFF", f"{number} >> 16"] if item.type == "u24" else [number]
    return Group(f"_{''.join(FORMATS[item.type] for item in run)}.pack(", arguments)


def _pack_numbers(field: Field) -> str:
    strings = _local(str(field.sized_by))
    if field.octets == 1:
        return f"bytes([len(item) for item in {strings}])"
    if field.type == "u24":
        return f'b"".join([len(item).to_bytes(3, "little") for item in {strings}])'
    return f'pack(f"<{{len({strings})}}{FORMATS[field.type]}", *[len(item) for item in {strings}])'


def _number(field: Field, structure: Structure) -> str:
    """What building writes into an integer field: the size or count that it gives, or its own value."""
    if field.sized_by is None:
        return f"value.{field.name}"
    sized = structure.field(field.sized_by)
    return f"len({_local(sized.name if sized.octets is None else str(sized.sized_by))})"


# Whole frames by the rules of their type.


def _check_header(schema: Schema) -> list[str]:
    stream_mask = sum(flag.mask for flag in schema.stream_flags)
    offsets = {name: schema.header.locate(name)[0] for name in ("type", "flags", "stream_flags", "stream_id", "request_id")}
    unknown = {name: literal(schema.header.rules(name)["unknown"]) for name in ("type", "flags", "stream_flags")}
    expected = literal(f"a type that {schema.revision} defines")
    lines = [
        "def check_header(frame: Frame) -> None:",
        *docstring(
            "Raises :class:`RemoteProtocolError` for the first rule of a single frame that the header of ``frame`` breaks.\n\n"
            "Offsets count from the start of the frame."
        ),
        "    code, flags, stream_flags = int(frame.type), int(frame.flags), int(frame.stream_flags)",
        "    if code not in TYPE_NAMES:",
        f"        raise RemoteProtocolError({unknown['type']}, {offsets['type']}, \"type\", {expected}, hex(code))",
        f"    if stream_flags & ~{mask(stream_mask)}:",
        f"        found = text_of_flags(stream_flags & ~{mask(stream_mask)}, {{}})",
        f"        raise RemoteProtocolError({unknown['stream_flags']}, {offsets['stream_flags']}, \"stream_flags\", "
        '"known bits alone", found)',
        "    names = FLAG_NAMES[code]",
        "    if flags & ~sum(names):",
        "        found = text_of_flags(flags & ~sum(names), {})",
        f"        raise RemoteProtocolError({unknown['flags']}, {offsets['flags']}, \"flags\", \"known bits alone\", found)",
    ]
    for constraint in schema.stream_constraints:
        lines += _constraint(constraint, schema, None)
    keyword = "if"
    parity = schema.header.parity("stream_id") or {}
    odd_side = parity.get("odd")
    for frame in schema.frames_by_code.values():
        body: list[str] = []
        if frame.sender is not None:
            broken = "not frame.stream_id & 1" if frame.sender == odd_side else "frame.stream_id & 1"
            which = "odd" if frame.sender == odd_side else "even"
            wanted = literal(f"a stream of the {frame.sender}, which is {which}")
            body += [
                f"if {broken}:",
                *lay_out(Group("raise RemoteProtocolError(", [
                        literal(str(frame.sender_requirement)),
                        str(offsets["stream_id"]),
                        '"stream_id"',
                        wanted,
                        "str(frame.stream_id)",
                    ]), 4),
            ]
        for constraint in frame.constraints:
            body += [line[4:] for line in _constraint(constraint, schema, frame)]
        if body:
            lines += [f"    {keyword} code == {mask(frame.code)}:", *(f"        {line}" for line in body)]
            keyword = "elif"
    return lines


def _constraint(constraint: Constraint, schema: Schema, frame: FrameType | None) -> list[str]:
    """An ``if`` with a ``raise``, indented by 4."""
    if constraint.kind in ("odd", "even"):
        lines = []
        for name in constraint.names:
            broken = f"not frame.{name} & 1" if constraint.kind == "odd" else f"frame.{name} & 1"
            offset = schema.header.locate(name)[0]
            arguments = [literal(constraint.requirement), str(offset), literal(name), literal(f"an {constraint.kind} number")]
            lines += [f"    if {broken}:", *lay_out(Group("raise RemoteProtocolError(", [*arguments, f"str(frame.{name})"]), 8)]
        return lines
    field, condition, expected = constraint_parts(constraint, schema, frame)
    names = "STREAM_FLAG_NAMES" if field == "stream_flags" else "names"
    offset = schema.header.locate(field)[0]
    arguments = [literal(constraint.requirement), str(offset), literal(field), literal(expected)]
    return [
        f"    if {condition}:",
        *lay_out(Group("raise RemoteProtocolError(", [*arguments, f"text_of_flags({field}, {names})"]), 8),
    ]


def constraint_parts(constraint: Constraint, schema: Schema, frame: FrameType | None) -> tuple[str, str, str]:
    """The header field that breaks a constraint on flags, the condition under which, and what is expected."""
    stream = {flag.name: flag.mask for flag in schema.stream_flags}
    own = {flag.name: flag.mask for flag in frame.flags} if frame is not None else {}

    def masked(names: Sequence[str]) -> list[tuple[str, int]]:
        in_stream = sum(stream.get(name, 0) for name in names)
        in_frame = sum(own.get(name, 0) for name in names)
        return [(variable, bits) for variable, bits in (("flags", in_frame), ("stream_flags", in_stream)) if bits]

    groups = masked(constraint.names)
    field = groups[-1][0]
    any_set = " or ".join(f"{variable} & {mask(bits)}" for variable, bits in groups)
    any_set = f"({any_set})" if len(groups) > 1 else any_set
    count = " + ".join(f"({variable} & {mask(bits)}).bit_count()" for variable, bits in groups)
    not_all = " or ".join(f"{variable} & {mask(bits)} != {mask(bits)}" for variable, bits in groups)
    listed = " and ".join(constraint.names)
    match constraint.kind:
        case "exactly-one-of":
            return field, f"{count} != 1", f"exactly one of {listed}"
        case "at-most-one-of":
            return field, f"{count} > 1", f"at most one of {listed}"
        case "at-least-one-of":
            return field, f"not {any_set}", f"at least one of {listed}"
        case "all-of":
            return field, not_all, listed
        case "none-of":
            return field, any_set, f"neither of {listed}" if len(constraint.names) > 1 else f"no {listed}"
    ((variable, bits),) = masked([str(constraint.subject)])
    subject = f"{variable} & {mask(bits)}"
    if constraint.kind == "forbids":
        return field, f"{subject} and {any_set}", f"{constraint.subject} without {' or '.join(constraint.names)}"
    not_all = f"({not_all})" if len(groups) > 1 else not_all
    return field, f"{subject} and {not_all}", f"{constraint.subject} only with {listed}"


def _interrupts(frame: FrameType, schema: Schema) -> list[str]:
    """The other types that only the same side sends."""
    others = schema.frames_by_code.values()
    return [mask(f.code) for f in others if f is not frame and f.sender is not None and f.sender == frame.sender]


def _decode_payload(schema: Schema) -> list[str]:
    continued = [frame for frame in schema.frames_by_code.values() if frame.continued_by is not None]
    lines = [
        "PAYLOADS: dict[int, tuple[tuple[int, int, str], ...]] = {",
    ]
    for frame in schema.frames_by_code.values():
        cases = ", ".join(_case(case, frame) for case in frame.payload)
        comma = "," if len(frame.payload) == 1 else ""
        lines.append(f"    {mask(frame.code)}: ({cases}{comma}),")
    lines += [
        "}",
        *docstring(
            "For each frame type the cases of its payload, the first that applies first: the flag that must be set, the flag "
            "that the frame before must have had (0 for none), and the structure, or ``ascii``, ``utf8`` or ``bytes`` for one "
            "field that takes it all.",
            0,
        ),
        "INTERRUPTS: dict[int, frozenset[int]] = {",
        *(f"    {mask(f.code)}: frozenset({{{', '.join(_interrupts(f, schema))}}})," for f in continued),
        "}",
        *docstring(
            "For each frame type that can continue what the one before began, the types whose frames of the same request end "
            "that.",
            0,
        ),
        "",
        "",
        "def decode_payload(frame: Frame, continued: bool = False) -> Any:",
        *docstring(
            "The value of a frame's payload: a record, a string, or octets.\n\n"
            "``continued``: whether this frame goes on where the latest frame of its request and type ended.\n\nPayloads that are "
            "encoded, or of an unknown type, are given as they are. Raises :class:`RemoteProtocolError`, offsets from the start "
            "of the payload."
        ),
        "    payload = frame.payload if type(frame.payload) is bytes else bytes(frame.payload)",
    ]
    encoded = next((flag.mask for flag in schema.stream_flags if flag.name == "encoded"), 0)
    if encoded:
        lines += [f"    if int(frame.stream_flags) & {mask(encoded)}:", "        return payload"]
    lines.append("    code, flags = int(frame.type), int(frame.flags)")
    keyword = "if"
    for frame in schema.frames_by_code.values():
        body: list[str] = []
        for case in frame.payload:
            body += _payload_case(case, frame)
        lines += [f"    {keyword} code == {mask(frame.code)}:", *(f"        {line}" for line in body)]
        keyword = "if"
    return [*lines, "    return payload", "", "", *_text_payloads(schema)]


def _case(case: PayloadCase, frame: FrameType) -> str:
    masks = {flag.name: flag.mask for flag in frame.flags}
    kind = case.structure.name if case.structure is not None else str(case.field and case.field.type)
    return f"({mask(masks.get(case.when or '', 0))}, {mask(masks.get(case.after or '', 0))}, {literal(kind)})"


def _payload_case(case: PayloadCase, frame: FrameType) -> list[str]:
    masks = {flag.name: flag.mask for flag in frame.flags}
    tests = []
    if case.when is not None:
        tests.append(f"flags & {mask(masks[case.when])}")
    if case.after is not None:
        tests.append("continued")
    if case.structure is not None:
        value = f"decode_{snake(case.structure.name)}(payload)"
    elif case.field is not None and case.field.type != "bytes":
        value = f"_decode_text({_text_table(frame)}, payload)"
    else:
        value = "payload"
    if tests:
        return [f"if {' and '.join(tests)}:", f"    return {value}"]
    return [f"return {value}"]


def _text_table(frame: FrameType) -> str:
    return f"_{upper(frame.name)}_PAYLOAD"


def _text_payloads(schema: Schema) -> list[str]:
    """The tables of payloads that are one string, and the function that reads them."""
    lines: list[str] = []
    for frame in schema.frames_by_code.values():
        for case in frame.payload:
            if case.field is not None and case.field.type != "bytes":
                arguments = [literal(frame.name), literal(case.field.doc), "{}", Group("(", [_part(case.field)])]
                lines += lay_out(Group(f"{_text_table(frame)} = Layout(", arguments))
    return [
        *lines,
        "",
        "",
        "def _decode_text(layout: Layout, payload: bytes) -> str:",
        *docstring("A payload that is one string."),
        "    part = layout.parts[0]",
        "    try:",
        '        text = payload.decode("ascii" if part.type == "ascii" else "utf-8")',
        "    except UnicodeDecodeError:",
        "        raise fault(layout, payload) from None",
        '    if not text and "empty" in part.rules:',
        "        raise fault(layout, payload)",
        "    return text",
    ]
