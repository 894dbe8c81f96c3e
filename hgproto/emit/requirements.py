"""Emits ``requirements.py``: the catalogue of a revision's requirements, each with the places that enforce it.

These places show whether bytes can violate a requirement. Bytes can violate what a receiver rejects and what only the validator
checks. They cannot violate a permission, an obligation of the receiver, or the range of a field: every received number fits
its field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.emit.line_breaks import Group, flat
from hgproto.emit.text import docstring, heading, literal
from hgproto.runtime.catalogue import JOINED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hgproto.language.model import Constraint, Requirement, Schema

__all__ = ["emit"]


def emit(schema: Schema) -> str:
    """Returns the source of ``requirements.py``."""
    entries: list[str | Group] = []
    places: dict[str, dict[str, bool]] = {name: {} for name in schema.requirements}
    for name, place, breakable in _places(schema):
        places[name][place] = breakable
    for requirement in schema.requirements.values():
        of_it = places[requirement.id]
        # Bytes cannot show a violation that nothing checks.
        can_be = any(of_it.values()) or (requirement.enforced != "manual" and requirement.level == "SHOULD")
        can_be = can_be or requirement.enforced == "validator"
        arguments = _arguments(requirement, tuple(of_it), breakable=can_be)
        entries.append(Group(f"{literal(requirement.id)}: Requirement(", arguments, ")"))
    lines = [
        *heading(schema).rstrip("\n").split("\n"),
        *docstring(f"The requirements of {schema.revision}.", 0),
        "",
        "from __future__ import annotations",
        "",
        "from hgproto.runtime.catalogue import Requirement",
        "",
        '__all__ = ["REQUIREMENTS"]',
        "",
        flat(Group("REQUIREMENTS: dict[str, Requirement] = {", entries, "}")),
        *docstring("The requirements by id, in the order of the schema.", 0),
    ]
    return "\n".join(lines) + "\n"


def _places(schema: Schema) -> Iterator[tuple[str, str, bool]]:
    """Yields the requirement, the place, and True if bytes can violate it there, for each place that enforces one."""
    for field in schema.header.fields:
        yield from _rules(f"header.{field.name}", field.rules)
        for bits in field.bits:
            yield from _rules(f"header.{bits.name}", bits.rules)
        if field.order is not None:
            yield field.order, f"header.{field.name}: order", True
        if field.parity is not None:
            yield field.parity["requirement"], f"header.{field.name}: parity", True
    for constraint in schema.stream_constraints:
        yield constraint.requirement, f"stream flags: {_words(constraint)}", True
    for kind, forbids in () if schema.cbor is None else schema.cbor.forbids.items():
        yield forbids, f"cbor: {kind}", True
    joined = _only_joined(schema)
    for structure in schema.structures.values():
        here = f"structures.{structure.name}"
        if structure.name in joined:
            # No frame has it by itself.
            for rule, place, _ in _rules(f"{here}{JOINED}", structure.rules):
                yield rule, place, False
            continue
        yield from _rules(here, structure.rules)
        for field in structure.fields:
            own = {kind: rule for kind, rule in field.rules.items() if structure.rules.get(kind) != rule}
            yield from _rules(f"{here}.{field.name}", own)
    for frame in schema.frames.values():
        here = f"frames.{frame.name}"
        if frame.sender_requirement is not None:
            yield frame.sender_requirement, f"{here}: sender", True
        for constraint in frame.constraints:
            yield constraint.requirement, f"{here}: {_words(constraint)}", True
        for check, requirement in frame.checks.items():
            yield requirement, f"{here}: {check}", True
        if frame.joins is not None and frame.joins.order is not None:
            yield frame.joins.order, f"{here}{JOINED}: order", False
        for case in frame.payload:
            if case.field is not None:
                yield from _rules(f"{here}.payload", case.field.rules)
    for machine in schema.machines.values():
        here = f"machines.{machine.name}"
        for row in machine.transitions:
            place = f"{here}: {row.event or _types(row.frames, schema)} in {row.source}"
            if row.error is not None:
                yield row.error, place, row.event is None
            if row.requirement is not None:
                yield row.requirement, place, row.event == "end-of-input" and row.emit is not None
        yield machine.otherwise, f"{here}: otherwise", True


def _only_joined(schema: Schema) -> set[str]:
    """Returns the structures that frames have only together."""
    joined = {frame.joins.structure.name for frame in schema.frames.values() if frame.joins is not None}
    cases = {case.structure.name for frame in schema.frames.values() for case in frame.payload if case.structure}
    return joined - cases


def _rules(place: str, rules: Mapping[str, str]) -> Iterator[tuple[str, str, bool]]:
    for kind, requirement in rules.items():
        yield requirement, f"{place}: {kind}", kind != "overflow"


def _words(constraint: Constraint) -> str:
    """Returns a constraint in the words of the schema."""
    subject = "" if constraint.subject is None else f"{constraint.subject} "
    return f"{subject}{constraint.kind.replace('_', ' ')} {', '.join(constraint.names)}"


def _types(frames: tuple[str, ...], schema: Schema) -> str:
    taken = set(frames)
    others = [name for name in schema.frames if name not in taken]
    if len(others) < len(frames):
        return f"any frame but {', '.join(others)}" if others else "any frame"
    return ", ".join(frames)


def _arguments(requirement: Requirement, places: tuple[str, ...], *, breakable: bool) -> list[str | Group]:
    arguments: list[str | Group] = [
        literal(text)
        for text in (
            requirement.id,
            requirement.binds,
            requirement.level,
            requirement.text,
            requirement.source,
            requirement.section,
            requirement.enforced,
            requirement.why,
        )
    ]
    arguments.append(f"breakable={breakable}")
    if places:
        arguments.append(Group("places=(", [*map(literal, places)], ")"))
    for name in ("reason", "resolution", "reference", "severity"):
        text = getattr(requirement, name)
        if text is not None:
            arguments.append(f"{name}={literal(text)}")
    return arguments
