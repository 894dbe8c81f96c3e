"""Emits ``event_values.py``: one class for each event of reactors, for all revisions that share them.

Events with frames to send are not plain values. Their classes are written by hand, in :mod:`hgproto.reactors.events`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.emit.line_breaks import Group, flat
from hgproto.emit.records import BUILTINS, python_type, reachable, replaces, slots
from hgproto.emit.text import camel, docstring, heading, literal, names_in, snake
from hgproto.language.events import PAYLOADS, payloads_of, taken_by

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hgproto.language.model import Event, EventField, Schema

    Taken = list[Mapping[str, Mapping[str, bool]]]

__all__ = ["TYPES", "emit"]

TYPES = {
    "request-id": "int",
    "stream-id": "int",
    "text": "str",
    "bytes": "bytes",
    "flag": "bool",
    "count": "int",
    "names-to-bytes": "dict[str, bytes]",
    "requirement": "str",
    "error": "RemoteProtocolError",
    "frame": "Frame",
}
"""The annotations of event fields, for the types that do not depend on the revision."""


def emit(schemas: Sequence[Schema]) -> str:
    """Returns the source of ``event_values.py``. ``schemas``: those of all revisions that share it."""
    taken: Taken = [taken_by(schema) for schema in schemas]
    events = [event for event in schemas[0].events.values() if not event.sends]
    body = "\n\n\n".join("\n".join(_record(event, schemas, taken)) for event in events) + "\n"
    used = names_in(body)
    names = sorted(camel(event.name) for event in events)
    typed = [f"    import builtins as {BUILTINS}"] if BUILTINS in used else []
    typed += ["    from typing import Self"] if "Self" in used else []
    typed += [""] if typed else []
    typed += ["    from hgproto.errors import RemoteProtocolError"] if "RemoteProtocolError" in used else []
    for module in (snake(schema.revision) for schema in schemas):
        if module in used:
            typed.append(f"    from hgproto.revisions.{module} import codec as {module}")
    typed += ["    from hgproto.runtime.frame import Frame"] if "Frame" in used else []
    head = [
        *(line for schema in schemas for line in heading(schema).rstrip("\n").split("\n")),
        *docstring("The events of reactors that are plain values. :mod:`hgproto.reactors.events` has all of them.", 0),
        "",
        "from __future__ import annotations",
        "",
        *(["from typing import TYPE_CHECKING", ""] if typed else []),
        *(["from hgproto.runtime.deferred import deferrable"] if "deferrable" in used else []),
        "from hgproto.runtime.frame import Record",
        "",
        *(["if TYPE_CHECKING:", *typed, ""] if typed else []),
        flat(Group("__all__ = [", [*map(literal, names)], "]")),
    ]
    return "\n".join(head) + "\n\n\n" + body


def _record(event: Event, schemas: Sequence[Schema], taken: Taken) -> list[str]:
    base = "Record" if event.extends is None else camel(event.extends)
    doc = "\n".join(f"``{field.name}``: {field.doc}{' (None if absent)' * field.optional}" for field in event.own)
    lines = [f"@deferrable({literal(name)})" for name in _deferrable(event, schemas, taken)]
    lines += [f"class {camel(event.name)}({base}):", *docstring(f"{event.doc}\n\n{doc}".strip()), ""]
    lines += slots([field.name for field in event.own], "in the schema's order")
    if not event.own:
        return lines
    names = [field.name for field in event.fields]
    types = {field.name: reachable(_annotation(event, field, schemas, taken), names) for field in event.fields}
    lines += ["", *(f"    {field.name}: {types[field.name]}" for field in event.own), ""]
    parameters = [f"{f.name}: {types[f.name]}{' = None' if f.optional else ''}" for f in event.fields]
    lines.append(f"    def __init__({', '.join(['self', *parameters])}) -> None:")
    return [*lines, *(f"        self.{name} = {name}" for name in names), *replaces(types)]


def _deferrable(event: Event, schemas: Sequence[Schema], taken: Taken) -> Iterator[str]:
    """Yields the names of fields that show payloads with a limit on their items."""
    for field in event.own if any(field.type in PAYLOADS for field in event.own) else ():
        shown = (
            structure
            for schema, in_schema in zip(schemas, taken, strict=True)
            for _, structure in payloads_of(event, schema, in_schema)
        )
        if field.type in PAYLOADS and any(structure is not None and structure.limit for structure in shown):
            yield field.name


def _annotation(event: Event, field: EventField, schemas: Sequence[Schema], taken: Taken) -> str:
    kinds = [TYPES[field.type]] if field.type not in PAYLOADS else list(_of_payload(event, field, schemas, taken))
    if not kinds:
        raise ValueError(f"no transition leads to the event {event.name!r}, so its field {field.name!r} has no type")
    return " | ".join([*dict.fromkeys(kinds), *(["None"] if field.optional else [])])


def _of_payload(event: Event, field: EventField, schemas: Sequence[Schema], taken: Taken) -> Iterator[str]:
    """Yields the annotations, for each revision, of a field that shows a payload or a part of it."""
    for schema, in_schema in zip(schemas, taken, strict=True):
        module = snake(schema.revision)
        for _, structure in payloads_of(event, schema, in_schema):
            if structure is None:
                raise ValueError(f"the event {event.name!r} has no payload")
            if field.type == "payload":
                yield f"{module}.{camel(structure.name)}"
            else:
                yield python_type(structure.field(field.name), f"{module}.")
