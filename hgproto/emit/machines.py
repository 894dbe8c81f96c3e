"""Emits ``machines.py``: the state machines of a revision as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.emit.line_breaks import Group, flat
from hgproto.emit.text import docstring, heading, literal, mask, names_in, upper
from hgproto.language.names import state_class

if TYPE_CHECKING:
    from hgproto.language.model import Condition, Machine, Row, Schema

__all__ = ["emit"]


def emit(schema: Schema) -> str:
    """Returns the source of ``machines.py``."""
    parts = [*(_states(machine) for machine in schema.machines.values()), _tables(schema)]
    body = "\n\n\n".join("\n".join(part) for part in parts) + "\n"
    used = names_in(body)
    names = ["GUARDS", "MACHINES", "STREAM_PARITY"]
    for machine in schema.machines.values():
        names += [state_class(machine.name), upper(machine.name)]
    names.sort(key=lambda name: (not name.isupper(), name))
    imported = [
        name for name in ("All", "Answer", "Event", "InState", "Machine", "Not", "One", "Row", "Set") if name in used
    ]
    of_machine = [f"from hgproto.runtime.machine import {', '.join(imported)}"]
    if not schema.machines:
        # Only the annotation of the empty table uses the class.
        of_machine = [
            "from typing import TYPE_CHECKING",
            "",
            "if TYPE_CHECKING:",
            *(f"    {line}" for line in of_machine),
        ]
    head = [
        *heading(schema).rstrip("\n").split("\n"),
        *docstring(f"The state machines of {schema.revision}, as tables. :mod:`hgproto.runtime.machine` runs them.", 0),
        "",
        "from __future__ import annotations",
        "",
        *(["from enum import IntEnum", ""] if "IntEnum" in used else []),
        *of_machine,
        "",
        flat(Group("__all__ = [", [*map(literal, names)], "]")),
    ]
    return "\n".join(head) + "\n\n\n" + body


def _states(machine: Machine) -> list[str]:
    lines = [f"class {state_class(machine.name)}(IntEnum):", *docstring(f"The states of {machine.name}."), ""]
    for number, (name, doc) in enumerate(machine.states.items()):
        lines += [f"    {upper(name)} = {number}", *docstring(doc)]
    return lines


def _tables(schema: Schema) -> list[str]:
    lines: list[str] = []
    for machine in schema.machines.values():
        arguments: list[str | Group] = [
            literal(machine.name),
            literal(machine.role),
            literal(machine.scope),
            f"{state_class(machine.name)}.{upper(machine.initial)}",
            literal(machine.otherwise),
            Group("(", [_row(row, machine, schema) for row in machine.transitions]),
        ]
        lines.append(flat(Group(f"{upper(machine.name)} = Machine(", arguments)))
        lines += docstring(machine.doc, 0)
    tables = [f"{literal(name)}: {upper(name)}" for name in schema.machines]
    lines.append(flat(Group("MACHINES: dict[str, Machine] = {", tables, "}")))
    lines += docstring("The machines by name.", 0)
    guards = [
        Group(f"{literal(guard.name)}: (", [literal(value) for value in guard.values] or ["False", "True"])
        for guard in schema.guards.values()
    ]
    lines.append(flat(Group("GUARDS: dict[str, tuple[object, ...]] = {", guards, "}")))
    lines += docstring("The guards that machines ask, with their possible answers.", 0)
    parity = schema.header.parity("stream_id") or {}
    sides = [f"{literal(parity[key])}: {bit}" for key, bit in (("odd", 1), ("even", 0)) if key in parity]
    if "requirement" in parity:
        sides.append(f'"requirement": {literal(parity["requirement"])}')
    lines.append(flat(Group("STREAM_PARITY: dict[str, int | str] = {", sides, "}")))
    return [
        *lines,
        *docstring("The lowest bit of the ids of each side's streams, and the requirement that defines it.", 0),
    ]


def _row(row: Row, machine: Machine, schema: Schema) -> Group:
    states = state_class(machine.name)
    arguments: list[str | Group] = [f"{states}.{upper(row.source)}"]
    if row.event is not None:
        arguments.append(f"event=Event.{upper(row.event)}")
    else:
        arguments.append(Group("frames=(", [mask(schema.frames[name].code) for name in row.frames]))
    if row.when is not None:
        arguments.append(_condition(row.when, schema, "when="))
    if row.to is not None:
        arguments.append(f"to={states}.{upper(row.to)}")
    for key in ("emit", "error", "expected", "requirement"):
        value = getattr(row, key)
        if value is not None:
            arguments.append(f"{key}={literal(value)}")
    return Group("Row(", arguments)


def _condition(condition: Condition, schema: Schema, head: str = "") -> str | Group:
    match condition.kind:
        case "flag":
            return f"{head}Set({literal(condition.name)})"
        case "guard":
            value = "True" if condition.value is None else literal(condition.value)
            return f"{head}Answer({literal(condition.name)}, {value})"
        case "state":
            state = f"{state_class(condition.name)}.{upper(str(condition.value))}"
            return f"{head}InState({literal(condition.name)}, {state})"
        case "not":
            return Group(f"{head}Not(", [_condition(condition.parts[0], schema)])
        case _:
            kind = "All" if condition.kind == "and" else "One"
            return Group(f"{head}{kind}(", [_condition(part, schema) for part in condition.parts])
