"""Emits the tables of a codec: names of types and flags, layouts of structures, and precompiled formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.emit.formats import FORMATS, header_format, integer_runs
from hgproto.emit.line_breaks import Group, flat
from hgproto.emit.text import docstring, flag_class, literal, mapping, mask, upper

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hgproto.language.cbor_types import CborEntry, CborSubset, CborType
    from hgproto.language.model import Field, Schema

__all__ = ["layouts", "part", "tables"]


def _rules(rules: Mapping[str, str], head: str = "{") -> Group:
    return mapping(((literal(key), literal(value)) for key, value in rules.items()), head)


def part(field: Field) -> Group:
    """Returns the part of a table for a field."""
    kind = "layout" if field.repeat else field.type
    arguments: list[str | Group] = [literal(field.name), literal(kind), literal(field.doc), _rules(field.rules)]
    # A named tuple has a method `count`, so that this part needs another name.
    for key, value in (
        ("size", field.size),
        ("number", field.count),
        ("sizes", field.sizes),
        ("at_most", field.at_most),
    ):
        if value is not None:
            arguments.append(f"{key}={literal(value)}")
    if field.repeat:
        arguments.append(f"layout={upper(field.type)}")
    if field.sized_by is not None:
        arguments.append("computed=True")
    return Group("Part(", arguments)


def _entry(entry: CborEntry) -> Group:
    arguments: list[str | Group] = [literal(entry.name), _shape(entry.type), literal(entry.doc), str(entry.optional)]
    if entry.repeated:
        arguments.append("repeated=True")
    return Group("Entry(", arguments)


def _shape(type: CborType) -> Group:
    """Returns the entry of a CBOR type in a table."""
    arguments: list[str | Group] = [literal(type.name)]
    minimum = 0 if type.name == "uint" else type.minimum
    if minimum is not None:
        arguments.append(f"minimum={minimum}")
    if type.choices:
        arguments.append(Group("choices=(", [literal(choice) for choice in type.choices]))
    if type.parts:
        arguments.append(Group("parts=(", [_shape(part) for part in type.parts]))
    if type.entries:
        arguments.append(Group("entries=(", [_entry(entry) for entry in type.entries]))
    if type.name == "tagged":
        arguments.append(f"tag={literal(type.tag)}")
    return Group("Shape(", arguments)


def _subset(subset: CborSubset) -> list[str]:
    """Returns the lines of the table of the allowed part of CBOR."""
    arguments: list[str | Group] = [_rules(subset.forbids)]
    if subset.tags:
        arguments.append(f"tags=frozenset({{{', '.join(map(str, subset.tags))}}})")
    if subset.is_alphabetical:
        arguments.append("alphabetical=True")
    return [flat(Group("CBOR = Subset(", arguments)), *docstring(subset.doc, 0)]


def layouts(schema: Schema) -> list[str]:
    """Returns the lines of the tables of structures and of the frame."""
    lines = [] if schema.cbor is None else _subset(schema.cbor)
    for structure in schema.structures.values():
        arguments: list[str | Group] = [literal(structure.name), literal(structure.doc), _rules(structure.rules)]
        if structure.is_cbor:
            entries: list[str | Group] = [_entry(entry) for entry in structure.entries]
            arguments.append(Group("entries=(", entries))
            if structure.is_sequence:
                arguments.append("is_sequence=True")
            if schema.cbor is not None:
                arguments.append("subset=CBOR")
        else:
            arguments.append(Group("(", [part(f) for f in structure.fields]))
        lines.append(flat(Group(f"{upper(structure.name)} = Layout(", arguments)))
        lines += docstring(f"The table of {structure.name}.", 0)
    parts = Group("(", [part(f) for f in schema.header.fields])
    lines.append(flat(Group("FRAME = Layout(", [literal("frame"), literal(schema.header.doc), "{}", parts])))
    lines += docstring("The table of a frame.", 0)
    tables = mapping(((literal(name), upper(name)) for name in schema.structures), "LAYOUTS: dict[str, Layout] = {")
    lines += [flat(tables), *docstring("The tables by the names of the structures.", 0)]
    widths = []
    in_wire_order = [one.name for field in schema.header.fields[:-1] for one in field.bits or [field]]
    for name in (
        name for name in in_wire_order if name in ("request_id", "stream_id", "stream_flags", "type", "flags")
    ):
        _, field, bits = schema.header.locate(name)
        width = bits.width if bits is not None else 8 * (field.fixed_size or 0)
        widths.append((literal(name), f"({width}, {literal(field.rules['overflow'])})"))
    lines.append(flat(mapping(widths, "FIELD_BITS: dict[str, tuple[int, str]] = {")))
    lines += docstring("The number of bits of each header field, and the requirement for a number that needs more.", 0)
    places = []
    for name in in_wire_order:
        offset, field, bits = schema.header.locate(name)
        size = field.fixed_size or 0
        low, width = (0, 8 * size) if bits is None else (bits.low, bits.width)
        places.append((literal(name), f"({offset}, {size}, {low}, {mask((1 << width) - 1)})"))
    lines.append(flat(mapping(places, "FIELDS: dict[str, tuple[int, int, int, int]] = {")))
    lines += docstring(
        "The place of each header field: the offset and the size of its little-endian number in bytes, the bits below the "
        "field, and its mask after a shift by these bits.",
        0,
    )
    return lines


def tables(schema: Schema) -> list[str]:
    """Returns the lines of names of types and flags, look-up lists, and precompiled formats."""
    frames = schema.frames_by_code.values()
    type_names = [f"{mask(frame.code)}: {literal(frame.name)}" for frame in frames]
    lines = [
        flat(Group("TYPE_NAMES: dict[int, str] = {", type_names, "}")),
        "CODES: dict[str, int] = {name: code for code, name in TYPE_NAMES.items()}",
    ]
    names = [f"{mask(flag.mask)}: {literal(flag.name)}" for flag in schema.stream_flags]
    lines.append(flat(Group("STREAM_FLAG_NAMES: dict[int, str] = {", names, "}")))
    lines.append("FLAG_NAMES: dict[int, dict[int, str]] = {")
    for frame in frames:
        flags = mapping(((f"{mask(flag.mask)}", literal(flag.name)) for flag in frame.flags), f"{mask(frame.code)}: {{")
        lines.append(f"    {flat(flags)},")
    lines += ["}", '"""For each frame type, the names of its flags by their masks."""', ""]
    _, _, type_bits = schema.header.locate("type")
    _, _, flag_bits = schema.header.locate("flags")
    _, stream_field, _ = schema.header.locate("stream_flags")
    if type_bits is None or flag_bits is None:
        raise ValueError("the type and the flags of a frame are bit fields of one integer")
    flag_types = [f"{mask(frame.code)}: {flag_class(frame.name)}" for frame in frames if frame.flags]
    lines += [
        flat(Group("_FLAG_TYPES: dict[int, type[IntFlag]] = {", flag_types, "}")),
        f"_TYPES = [FrameType(code) if code in TYPE_NAMES else code for code in range({1 << type_bits.width})]",
        f"_FLAGS = [[_FLAG_TYPES[code](flags) if code in _FLAG_TYPES else flags for flags in range({1 << flag_bits.width})]"
        f" for code in range({1 << type_bits.width})]",
        "# The types and the flags for each value of their byte. Looking them up is faster than computing them.",
        f"_TYPE_OF = [_TYPES[byte {_extract(type_bits.low, type_bits.width)}] for byte in range(256)]",
        f"_FLAGS_OF = [_FLAGS[byte {_extract(type_bits.low, type_bits.width)}]"
        f"[byte {_extract(flag_bits.low, flag_bits.width)}] for byte in range(256)]",
        f"_STREAM_FLAGS = [StreamFlag(byte) for byte in range({1 << (8 * (stream_field.fixed_size or 1))})]",
    ]
    return [*lines, *_formats(schema)]


def _formats(schema: Schema) -> list[str]:
    """Returns the lines of compiled formats and their functions, which need no attribute look-ups when they are called."""
    runs, arrays = set(), set()
    for structure in schema.structures.values():
        runs |= {"".join(FORMATS[f.type] for f in run) for run in integer_runs(structure.fields)}
        for field in structure.fields:
            if (
                field.count is not None
                and structure.field(field.count).fixed_size == 1
                and field.type in ("u16", "u32")
            ):
                arrays.add(FORMATS[field.type])
    lines = []
    for name, code in [("header", header_format(schema)), *((code.lower(), code) for code in sorted(runs))]:
        lines += [f'_{name} = Struct("<{code}")', f"_unpack_{name}, _pack_{name} = _{name}.unpack_from, _{name}.pack"]
    return lines + [
        f'_unpack_{code.lower()}_array = [Struct(f"<{{count}}{code}").unpack_from for count in range(256)]'
        for code in sorted(arrays)
    ]


def _extract(low: int, width: int) -> str:
    return f"& {mask((1 << width) - 1)}" if low == 0 else f">> {low} & {mask((1 << width) - 1)}"
