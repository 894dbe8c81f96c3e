"""Text tables of the parts of a schema: the header, frame types, structures, messages, events, registries, and machines."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from hgproto.language.cbor_rows import entry_rows
from hgproto.language.mentions import HEADER, one_line
from hgproto.language.show_machines import machine_tables, registries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hgproto.language.messages import MessagePart
    from hgproto.language.model import Field, FrameType, Machine, Schema, Structure
    from hgproto.language.show_machines import Rows

__all__ = [
    "EVENTS",
    "MESSAGES",
    "filling",
    "names",
    "rules_of_frame",
    "rules_of_header",
    "rules_of_structure",
    "show",
    "size_text",
    "type_text",
]

WIDTH = 100

MESSAGES = "messages"
"""The name that shows all messages."""

EVENTS = "events"
"""The name that shows all events."""

_MESSAGES_DOC = "The messages that each side sends, as frames in order, and the parameters that a caller passes."

_EVENTS_DOC = "The events that reactors report, and the actions that lead to them."


def names(schema: Schema) -> list[str]:
    """Returns the names that :func:`show` accepts."""
    return list(dict.fromkeys(name for name, _, _ in _parts(schema)))


def overview(schema: Schema) -> Iterator[str]:
    """Yields the lines of a list of all parts that can be shown."""
    yield f"{schema.revision}: {schema.title}"
    yield ""
    yield from _table(("name", "meaning"), [(name, doc) for name, doc, _ in _parts(schema)])


def show(name: str, schema: Schema) -> Iterator[str]:
    """Yields the lines of the tables of a name. Raises :class:`KeyError` for a name that is not one of :func:`names`."""
    tables = [table for each, _, table in _parts(schema) if each == name]
    if not tables:
        raise KeyError(name)
    for number, table in enumerate(tables):
        if number:
            yield ""
        yield from table


def _parts(schema: Schema) -> Iterator[tuple[str, str, Iterator[str]]]:
    """Yields each part that can be shown: its name, its doc, and the lines of its table.

    The table of a frame type includes the structures of its payload. A structure of the same name is not shown again.
    """
    yield HEADER, schema.header.doc, _header(schema)
    for frame in schema.frames.values():
        yield frame.name, frame.doc, _frame(frame, schema)
    for structure in schema.structures.values():
        if structure not in (_structures(schema.frames[structure.name]) if structure.name in schema.frames else ()):
            yield structure.name, structure.doc, _structure(structure, schema)
    if schema.messages:
        yield MESSAGES, _MESSAGES_DOC, _messages(schema)
    if schema.events:
        yield EVENTS, _EVENTS_DOC, _events(schema)
    for name, doc, table in registries(schema):
        yield name, doc, _registry(name, doc, table)
    for machine in schema.machines.values():
        yield machine.name, machine.doc, _machine(machine, schema)


def _registry(name: str, doc: str, table: Rows) -> Iterator[str]:
    yield f"{name}: {doc}"
    yield ""
    yield from _table(*table)


def _machine(machine: Machine, schema: Schema) -> Iterator[str]:
    for number, part in enumerate(machine_tables(machine, schema)):
        if number:
            yield ""
        if isinstance(part, str):
            yield from textwrap.wrap(one_line(part), WIDTH, break_on_hyphens=False)
        else:
            yield from _table(*part)


def _header(schema: Schema) -> Iterator[str]:
    yield f"{HEADER}: {one_line(schema.header.doc)}"
    yield ""
    rows = []
    at = 0
    for field in schema.header.fields:
        if field.name == "payload":
            rows.append((str(at), field.size or "", field.name, field.doc))
            continue
        parts = [(f"{b.width} (bits {b.low} to {b.high})", b.name, b.doc) for b in reversed(field.bits)]
        for bits, name, doc in parts or [(str(8 * (field.fixed_size or 0)), field.name, field.doc)]:
            rows.append((str(at), bits, name, doc))
        at += field.fixed_size or 0
    yield from _table(("byte", "bits", "field", "meaning"), rows)
    yield ""
    flags = [(f"{flag.mask:#04x}", flag.name, flag.doc) for flag in schema.stream_flags]
    yield from _table(("bit", "stream flag", "meaning"), flags)
    yield from _rules(rules_of_header(schema), schema)


def rules_of_header(schema: Schema) -> list[str]:
    """Returns the ids of the requirements on the header and on stream flags."""
    ids = [rule for field in schema.header.fields for rule in field.rules.values()]
    ids += [rule for field in schema.header.fields for bits in field.bits for rule in bits.rules.values()]
    ids += [field.parity["requirement"] for field in schema.header.fields if field.parity]
    return ids + [constraint.requirement for constraint in schema.stream_constraints]


def _frame(frame: FrameType, schema: Schema) -> Iterator[str]:
    sender = f"the {frame.sender}" if frame.sender else "either side"
    yield f"{frame.name} (type {frame.code:#x}, sent by {sender}): {one_line(frame.doc)}"
    yield ""
    if frame.flags:
        rows = [(f"{flag.mask:#x}", flag.name, flag.doc) for flag in frame.flags]
        yield from _table(("bit", "flag", "meaning"), rows)
    else:
        yield "It has no flags."
    for case in frame.payload:
        yield ""
        condition = f" with {case.when}" if case.when else ""
        condition += f" after a frame with {case.after}" if case.after else ""
        if case.structure is not None:
            yield f"Payload{condition}: {case.structure.name}. {one_line(case.structure.doc)}"
            yield ""
            yield from _fields(case.structure)
        elif case.field is not None:
            yield f"Payload{condition}: {case.field.name}, {type_text(case.field)}. {one_line(case.field.doc)}"
    if frame.joins is not None:
        joined = frame.joins.structure
        yield ""
        yield f"Payloads of one request together: {joined.name}. {one_line(joined.doc)}"
        if joined not in [case.structure for case in frame.payload]:
            yield ""
            yield from _fields(joined)
    yield from _rules(rules_of_frame(frame, schema), schema)


def _structures(frame: FrameType) -> list[Structure]:
    """Returns the structures that the table of a frame type includes."""
    found = [case.structure for case in frame.payload if case.structure is not None]
    return found if frame.joins is None or frame.joins.structure in found else [*found, frame.joins.structure]


def rules_of_frame(frame: FrameType, schema: Schema) -> list[str]:
    """Returns the ids of the requirements that a single frame of a type can violate, without those on every frame."""
    ids = [frame.sender_requirement] if frame.sender_requirement else []
    ids += [constraint.requirement for constraint in frame.constraints]
    for structure in _structures(frame):
        ids += rules_of_structure(structure, schema)
    for case in frame.payload:
        if case.field is not None:
            ids += case.field.rules.values()
    return list(dict.fromkeys(ids))


def _structure(structure: Structure, schema: Schema) -> Iterator[str]:
    yield f"{structure.name}: {one_line(structure.doc)}"
    yield ""
    yield from _fields(structure)
    yield from _rules(rules_of_structure(structure, schema), schema)


def _events(schema: Schema) -> Iterator[str]:
    yield f"{EVENTS}: {_EVENTS_DOC}"
    yield ""
    events = schema.events.values()
    yield from _table(("event", "side", "meaning"), [(event.name, event.role, event.doc) for event in events])
    yield ""
    rows = [
        (event.name, field.name, field.type, "no" if field.optional else "yes", field.doc)
        for event in events
        for field in event.fields
    ]
    yield from _table(("event", "field", "type", "required", "meaning"), rows)
    yield ""
    actions = [(action.name, ", ".join(action.events) or "none", action.doc) for action in schema.emits.values()]
    yield from _table(("action", "events", "meaning"), actions)


def _messages(schema: Schema) -> Iterator[str]:
    yield f"{MESSAGES}: {_MESSAGES_DOC}"
    yield ""
    messages = schema.messages.values()
    yield from _table(
        ("message", "sent by", "meaning"), [(one.name, one.sender or "either", one.doc) for one in messages]
    )
    yield ""
    frames = [(one.name, part.frame.name, _said(filling(part))) for one in messages for part in one.parts]
    yield from _table(("message", "frames", "contents"), frames)
    rows = [
        (one.name, name, "no" if one.is_optional(name) else "yes", doc)
        for one in messages
        for name, doc in one.parameters.items()
    ]
    if rows:
        yield ""
        yield from _table(("message", "parameter", "required", "meaning"), rows)


def filling(part: MessagePart) -> Iterator[tuple[str, str]]:
    """Yields the words that describe the frames of a part of a message, each with its kind: ``parameter``, ``flag``, or ""."""
    names = [("parameter", name) for name in part.fields or (part.each, part.cut) if name is not None]
    if part.each is not None:
        yield "", "each item of "
    for number, (kind, name) in enumerate(names):
        yield "", ", " * bool(number)
        yield kind, name
    if not part.is_single:
        yield "", ", in one or more frames"
    yield "", "nothing" * (not names) + ", shortened if it is too long" * part.shorten
    for flag, parameter in part.flags.items():
        yield from (("", "; "), ("flag", flag), ("", " if "), ("parameter", parameter), ("", " is passed"))
    if part.otherwise is not None:
        yield from (("", "; otherwise " if part.flags else "; always "), ("flag", part.otherwise))
    for number, flag in enumerate(part.choices):
        yield from (("", " or " if number else "; "), ("flag", flag))
    if part.chooser is not None:
        yield from (("", ", selected by "), ("parameter", part.chooser))


def _said(words: Iterator[tuple[str, str]]) -> str:
    return "".join(word for _, word in words)


def _fields(structure: Structure) -> Iterator[str]:
    if structure.is_cbor:
        rows = [(row.path, row.type, row.presence, row.doc) for row in entry_rows(structure.entries)]
        yield from _table(("item" if structure.is_sequence else "key", "type", "presence", "meaning"), rows)
        return
    rows = []
    for field in structure.fields:
        rows.append((field.name, type_text(field), size_text(field), field.doc))
    yield from _table(("field", "type", "size", "meaning"), rows)


def type_text(field: Field) -> str:
    """Returns the type of a field, or of each of its elements."""
    text = {"ascii": "ASCII", "utf8": "UTF-8"}.get(field.type, field.type)
    return f"{text} each" if field.is_array else text


def size_text(field: Field) -> str:
    """Returns the number of bytes or elements of a field, in words."""
    if field.repeat:
        return "to the end"
    if field.sizes is not None:
        return f"as {field.sizes}"
    if field.count is not None:
        return f"{field.count} times"
    if field.size == "rest":
        return f"the rest, at most {field.at_most}" if field.at_most else "the rest"
    return field.size or str(field.fixed_size)


def rules_of_structure(structure: Structure, schema: Schema) -> list[str]:
    """Returns the ids of the requirements on a structure and on those that it repeats."""
    ids = [rule for field in structure.fields for rule in field.rules.values()] + list(structure.rules.values())
    for field in structure.fields:
        if field.type in schema.structures:
            ids += rules_of_structure(schema.structures[field.type], schema)
    return ids


def _rules(ids: Sequence[str], schema: Schema) -> Iterator[str]:
    rows = []
    for name in dict.fromkeys(ids):
        requirement = schema.requirements[name]
        ours = " (our resolution)" if requirement.source == "ours" else ""
        rows.append((name, f"{requirement.sentence}{ours}"))
    if rows:
        yield ""
        yield from _table(("requirement", "text"), rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yields the lines of a table. Two spaces separate the columns; the text of the last column is wrapped."""
    widths = [max(len(head), *(len(row[i]) for row in rows)) for i, head in enumerate(heads[:-1])]
    left = sum(widths) + 2 * len(widths)
    for row in (heads, tuple("-" * len(head) for head in heads), *rows):
        first = "".join(f"{cell:<{width}}  " for cell, width in zip(row[:-1], widths, strict=True))
        lines = textwrap.wrap(one_line(row[-1]), max(30, WIDTH - left), break_on_hyphens=False) or [""]
        yield f"{first}{lines[0]}".rstrip()
        for line in lines[1:]:
            yield f"{' ' * left}{line}"
