"""Emits ``structs.py``: the structures of a revision as construct Structs, which are a readable reference."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hgproto.emit.line_breaks import Group, flat
from hgproto.emit.rules import expected_of, expected_stream, masks_of
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
    from hgproto.language.model import Constraint, Field, FrameType, PayloadCase, Schema, Structure

__all__ = ["emit"]

INTEGERS = {"u8": "Int8ul", "u16": "Int16ul", "u24": "Int24ul", "u32": "Int32ul"}
ENCODINGS = {"ascii": "ascii", "utf8": "utf-8"}


def emit(schema: Schema) -> str:
    """Returns the source of ``structs.py``."""
    bodies = [
        *(_structure(structure, schema) for structure in schema.structures.values()),
        _frame(schema, "frame_header"),
        _frame(schema, "frame"),
        _frames(),
        _choose(schema),
        _checked_frame(schema),
    ]
    body = "\n\n\n".join("\n".join(part) for part in bodies) + "\n"
    return "\n".join(_head(schema, body)) + "\n\n\n" + body


def _head(schema: Schema, body: str) -> list[str]:
    referred = names_in(body)

    def used(*names: str) -> list[str]:
        return [name for name in names if name in referred]

    construct = used("Array", "Computed", "Int8ul", "Int16ul", "Int24ul", "Int32ul", "Rebuild", "this")
    ours = used(
        "AtMost",
        "Blobs",
        "Cbor",
        "Counted",
        "Due",
        "Frames",
        "Bytes",
        "Struct",
        "Text",
        "Texts",
        "ToEnd",
        "Whole",
    )
    of_frames = used("Decoded", "Known", "Rule", "known")
    computed = used("count", "number_of", "packed", "size_of", "sizes_of")
    records = [camel(s.name) for s in schema.structures.values() if s.is_cbor]
    tables = [upper(s.name) for s in schema.structures.values() if s.is_cbor]
    flags = [flag_class(frame.name) for frame in schema.frames.values() if frame.flags]
    codec = [*tables, *records, *flags, "FrameType", "StreamFlag"]
    names = [snake(s.name) for s in schema.structures.values()] + ["checked_frame", "frame", "frame_header", "frames"]

    def order(name: str) -> tuple[int, list[tuple[int, str]]]:
        """Returns the key of the import sorter: constants, classes, then other names, with numbers compared as numbers."""
        parts = [(int(part or 0), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
        return 0 if name.isupper() else 1 if name[0].isupper() else 2, parts

    return [
        *heading(schema).rstrip("\n").split("\n"),
        *docstring(
            f"The structures of {schema.revision} as construct Structs, which are a readable reference.\n\n"
            "Building computes sizes and counts. Parsing raises :class:`hgproto.runtime.constructs.StructParseError`, and "
            "building raises :class:`hgproto.runtime.constructs.StructBuildError`. Both name the violated requirement.",
            0,
        ),
        "",
        "from __future__ import annotations",
        "",
        "from typing import Any",
        "",
        _import("construct", sorted(construct, key=order)),
        "",
        *([_import("hgproto.runtime.computed", computed)] if computed else []),
        _import("hgproto.runtime.constructs", sorted(ours, key=order)),
        _import("hgproto.runtime.frame_constructs", sorted(of_frames, key=order)),
        "from hgproto.runtime.of_revision import OfRevision",
        "",
        # The import is relative, because the package of a user's schema can have any name.
        _import(".codec", sorted(codec, key=order)),
        "",
        flat(Group("__all__ = [", [literal(name) for name in sorted(names)], "]")),
    ]


def _import(module: str, names: list[str]) -> str:
    return f"from {module} import {', '.join(names)}"


# Structures.


def _limited(schema: Schema) -> list[Structure]:
    """Returns the structures with a limit on their items."""
    return [structure for structure in schema.structures.values() if structure.limit is not None]


def _structure(structure: Structure, schema: Schema) -> list[str]:
    name = snake(structure.name)
    if structure.is_cbor:
        arguments: list[str | Group] = [upper(structure.name), camel(structure.name)]
        if structure.limit is not None:
            arguments.append(str(schema.limits[structure.limit].default))
        return [flat(Group(f"{name} = Cbor(", arguments)), *docstring(f"{structure.doc} ({structure.name})", 0)]
    parts: list[str | Group] = [_named(field, structure, schema) for field in structure.fields]
    if any(field.repeat and field.type == structure.name for one in _limited(schema) for field in one.fields):
        # Count after the numbers of strings, and before any string.
        at = max((structure.fields.index(field) + 1 for field in structure.counters), default=0)
        parts.insert(at, f"Counted({', '.join(literal(field.name) for field in structure.counters)})")
    struct = Group("Struct(", parts)
    if "surplus" in structure.rules:
        keywords = [f"surplus={literal(structure.rules['surplus'])}"]
        size = structure.fields[-1].size
        if size not in (None, "rest"):
            keywords.append(f"size={literal(str(size))}")
        struct = Group("Whole(", [struct, *keywords])
    return [f"{name} = {flat(struct)}", *docstring(f"{structure.doc} ({structure.name})", 0)]


def _named(field: Field, structure: Structure, schema: Schema) -> Group:
    group = _construct(field, structure, schema)
    return Group(f"{literal(field.name)} / {group.head}", group.items, group.tail)


def _construct(field: Field, structure: Structure, schema: Schema) -> Group:
    rules = {key: literal(rule) for key, rule in field.rules.items()}
    if field.repeat:
        limit: list[str | Group] = []
        if structure.limit is not None:
            most = schema.limits[structure.limit].default
            limit = [f"limit={literal(structure.rules['limit'])}", f"most={most}"]
        return Group("ToEnd(", [snake(field.type), *limit])
    if field.fixed_size is not None:
        inner = INTEGERS[field.type]
        if field.count is not None:
            inner = f"Array(this.{field.count}, {inner})"
        if field.sized_by is not None:
            inner = f"Rebuild({inner}, {_computed(field, structure)})"
        sized = _sized(field, structure)
        keywords = [f"cut={rules['cut']}", f"overflow={literal(sized.rules['overflow'])}"]
        if sized is not field:
            keywords.append(f"sized={literal(sized.name)}")
        return Group("Due(", [inner, *keywords])
    size = "None" if field.size == "rest" else literal(str(field.size))
    keywords = [f"cut={rules['cut']}"] if "cut" in rules and field.size != "rest" else []
    if field.type == "bytes" and field.sizes is not None:
        return Group("Blobs(", [literal(field.sizes), *keywords])
    if field.type == "bytes":
        if field.at_most is not None:
            keywords += [f"at_most={literal(field.at_most)}", f"surplus={rules.get('surplus') or _surplus(structure)}"]
        return Group("Bytes(", [size, *keywords])
    keywords.insert(0, f"charset={rules['charset']}")
    if "empty" in rules:
        keywords.append(f"empty={rules['empty']}")
    encoding = literal(ENCODINGS[field.type])
    if field.sizes is not None:
        return Group("Texts(", [literal(field.sizes), encoding, *keywords])
    return Group("Text(", [size, encoding, *keywords])


def _sized(field: Field, structure: Structure) -> Field:
    """Returns the field whose rule ``overflow`` applies: the field whose size or count this one is, or itself."""
    while field.sized_by is not None:
        field = structure.field(field.sized_by)
    return field


def _surplus(structure: Structure) -> str:
    return literal(structure.rules["surplus"])


def _computed(field: Field, structure: Structure) -> str:
    """Returns the function that computes a size, a count, or an array of sizes while building."""
    sized = structure.field(str(field.sized_by))
    if sized.fixed_size is not None:
        return f"number_of({literal(snake(str(sized.sized_by)))})"
    if sized.sizes == field.name:
        encoding = literal(ENCODINGS[sized.type]) if sized.type in ENCODINGS else "None"
        return f"sizes_of({literal(sized.name)}, {encoding})"
    if sized.type in ENCODINGS:
        return f"size_of({literal(sized.name)}, {literal(ENCODINGS[sized.type])})"
    if sized.type == "bytes":
        return f"size_of({literal(sized.name)}, None)"
    return f"number_of({literal(snake(sized.name))})"


# Frames.


def _frame(schema: Schema, name: str) -> list[str]:
    header_only = name == "frame_header"
    items = _frame_fields(schema, header_only=header_only)
    doc = (
        schema.header.doc
        if header_only
        else "A whole frame, with its payload as bytes. It accepts any type and any flags."
    )
    note = (
        " The length is a plain number, because there is no payload to compute it from."
        if header_only
        else " ``parse(data, max_payload=n)`` sets the limit on its payload."
    )
    return [flat(Group(f"{name} = Struct(", items)), *docstring(doc + note, 0)]


def _frames() -> list[str]:
    doc = (
        "Consecutive frames to the end of the stream. An incomplete frame at the end is rejected, with its offset.\n\n"
        "Parses to a tuple of the results of ``frame``. ``parse(data, max_payload=n)`` sets the limit on each payload."
    )
    return ["frames = Frames(frame)", *docstring(doc, 0)]


def _frame_fields(schema: Schema, *, header_only: bool) -> list[str | Group]:
    items: list[str | Group] = [f"OfRevision(FrameType, {literal(schema.revision)})"]
    for field in schema.header.fields[:-1]:
        rules = {key: literal(rule) for key, rule in field.rules.items()}
        inner = INTEGERS[field.type]
        name = f"_{field.name}" if field.bits else field.name
        if field.bits:
            parts = ", ".join(f"{b.name}=({b.low}, {b.high})" for b in field.bits)
            inner = f"Rebuild({inner}, packed({parts}))"
        elif field.name == "length" and not header_only:
            inner = f'Rebuild({inner}, size_of("payload", None))'
        elif field.name == "stream_flags":
            inner = f"Known({inner}, StreamFlag)"
        group = Group("Due(", [inner, f"cut={rules['cut']}", f"overflow={rules['overflow']}"])
        if field.limit is not None:
            limit = schema.limits[field.limit]
            group = Group("AtMost(", [group, literal(snake(field.limit)), str(limit.default), rules["limit"]])
        items.append(Group(f"{literal(name)} / {group.head}", group.items, group.tail))
        for b in sorted(field.bits, key=lambda b: b.name != "type"):  # the type determines the meaning of the flags
            shifted = f"this._{field.name} >> {b.low}" if b.low else f"this._{field.name}"
            number = f"{shifted} & {mask((1 << b.width) - 1)}"
            enumeration = "FrameType" if b.name == "type" else "_FLAGS.get(this.type)" if b.name == "flags" else "None"
            items.append(f"{literal(b.name)} / Computed(lambda this: known({number}, {enumeration}))")
    if not header_only:
        payload = schema.header.fields[-1]
        items.append(f'"payload" / Bytes("length", cut={literal(payload.rules["cut"])})')
    return items


def _choose(schema: Schema) -> list[str]:
    lines = [
        *_flag_tables(schema),
        "",
        "",
        "def _payload(this: Any, continued: bool) -> Any:",
        *docstring(
            "Returns the construct for the payload of the frame ``this``; None if the payload has no structure."
        ),
    ]
    encoded = next((flag.mask for flag in schema.stream_flags if flag.role == "encoded"), 0)
    if encoded:
        lines += [f"    if int(this.stream_flags) & {mask(encoded)}:", "        return None"]
    for frame in schema.frames_by_code.values():
        body: list[str] = []
        for case in frame.payload:
            body += _case(case, frame)
        if body != ["return None"]:
            lines += [f"    if this.type == FrameType.{upper(frame.name)}:", *(f"        {line}" for line in body)]
    return [*lines, "    return None"]


def _flag_tables(schema: Schema) -> list[str]:
    """Returns the lines of the tables of flag classes and of known flags, by frame type."""
    flags = [
        f"FrameType.{upper(frame.name)}: {flag_class(frame.name)}"
        for frame in schema.frames_by_code.values()
        if frame.flags
    ]
    masks = [f"{frame.code}: {mask(sum(f.mask for f in frame.flags))}" for frame in schema.frames_by_code.values()]
    return [flat(Group("_FLAGS: dict[int, Any] = {", flags, "}")), flat(Group("_MASKS = {", masks, "}"))]


def _case(case: PayloadCase, frame: FrameType) -> list[str]:
    masks = {flag.name: flag.mask for flag in frame.flags}
    tests = [f"int(this.flags) & {mask(masks[case.when])}"] if case.when is not None else []
    if case.after is not None:
        tests.append("continued")
    value = "None"
    if case.structure is not None:
        value = snake(case.structure.name)
    elif case.field is not None and case.field.type != "bytes":
        rules = {key: literal(rule) for key, rule in case.field.rules.items()}
        arguments = ["None", literal(ENCODINGS[case.field.type]), f"charset={rules['charset']}"]
        if "empty" in rules:
            arguments.append(f"empty={rules['empty']}")
        return _returned(tests, Group(f"{literal(case.field.name)} / Text(", arguments))
    return _returned(tests, value)


def _returned(tests: list[str], value: str | Group) -> list[str]:
    """Returns the lines that return a construct if the tests are true."""
    line = f"return {flat(value)}"
    return [f"if {' and '.join(tests)}:", f"    {line}"] if tests else [line]


def _checked_frame(schema: Schema) -> list[str]:
    stream_mask = sum(flag.mask for flag in schema.stream_flags)
    header = schema.header
    expected = f"a type that {schema.revision} defines"
    rules: list[Group] = [
        _rule(header.rules("type")["unknown"], "type", expected, "int(this.type) not in _MASKS", schema, found="hex"),
        _rule(
            header.rules("stream_flags")["unknown"],
            "stream_flags",
            "only known bits",
            f"int(this.stream_flags) & ~{mask(stream_mask)}",
            schema,
        ),
        _rule(
            header.rules("flags")["unknown"],
            "flags",
            "only known bits",
            "int(this.flags) & ~_MASKS[int(this.type)]",
            schema,
        ),
        *(rule for constraint in schema.stream_constraints for rule in _constraint(constraint, schema, None)),
    ]
    odd_side = (header.parity("stream_id") or {}).get("odd")
    for frame in schema.frames_by_code.values():
        if frame.sender is not None:
            remainder = 0 if frame.sender == odd_side else 1
            condition = f"this.stream_id % 2 == {remainder}"
            expected = expected_stream(frame.sender, schema)
            rules.append(_rule(str(frame.sender_requirement), "stream_id", expected, condition, schema, frame))
        rules += [rule for constraint in frame.constraints for rule in _constraint(constraint, schema, frame)]
    items = [
        *_frame_fields(schema, header_only=False),
        *rules,
        f'"value" / Decoded({header.size}, _payload)',
    ]
    doc = (
        "A frame that meets every requirement on a single frame, with its payload as bytes and as ``value``.\n\n"
        "``parse(data, continued=True)`` decodes the payload of a frame that continues the previous frame of its request and "
        "type. Offsets count from the start of the frame."
    )
    return [flat(Group("checked_frame = Struct(", items)), *docstring(doc, 0)]


def _rule(
    requirement: str,
    field: str,
    expected: str,
    broken: str,
    schema: Schema,
    frame: FrameType | None = None,
    found: str = "",
    both: str = "",
) -> Group:
    offset = schema.header.locate(field)[0]
    items = [literal(requirement), str(offset), literal(field), literal(expected), f"lambda this: {broken}"]
    if frame is not None:
        items.append(f"only=FrameType.{upper(frame.name)}")
    if found:
        items.append(f"found={found}")
    if both:
        items += [
            f"both={both}",
            f"offsets=({', '.join(str(schema.header.locate(n)[0]) for n in ('flags', 'stream_flags'))})",
        ]
    return Group("Rule(", items)


def _constraint(constraint: Constraint, schema: Schema, frame: FrameType | None) -> list[Group]:
    """Returns the rules for a constraint. They count the flags that are set, independently of the codec's masks."""
    if constraint.is_about_fields:
        remainder = 0 if constraint.kind == "odd" else 1
        return [
            _rule(
                constraint.requirement, name, expected_of(constraint), f"this.{name} % 2 == {remainder}", schema, frame
            )
            for name in constraint.names
        ]
    masks = {flag.name: ("stream_flags", flag.mask) for flag in schema.stream_flags}
    masks |= {flag.name: ("flags", flag.mask) for flag in frame.flags} if frame is not None else {}

    def counted(names: tuple[str, ...]) -> str:
        terms = []
        for field in ("flags", "stream_flags"):
            listed = [mask(masks[name][1]) for name in names if masks[name][0] == field]
            if listed:
                terms.append(f"count(this.{field}, {', '.join(listed)})")
        return " + ".join(terms)

    total = counted(constraint.names)
    broken = {
        "exactly-one-of": "!= 1",
        "at-most-one-of": "> 1",
        "at-least-one-of": "== 0",
        "all-of": f"!= {len(constraint.names)}",
        "none-of": "!= 0",
        "forbids": "!= 0",
        "requires": f"!= {len(constraint.names)}",
    }
    condition = f"{total} {broken[constraint.kind]}"
    if constraint.subject is not None:
        condition = f"{counted((constraint.subject,))} and {condition}"
    in_stream = any(masks[name][0] == "stream_flags" for name in constraint.names)
    field = "stream_flags" if in_stream else "flags"
    both = masks_of(constraint, schema, frame)
    return [
        _rule(
            constraint.requirement,
            field,
            expected_of(constraint),
            condition,
            schema,
            frame,
            both=f"({mask(both[0])}, {mask(both[1])})" if all(both) else "",
        )
    ]
