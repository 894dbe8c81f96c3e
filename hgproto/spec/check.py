"""What a schema must hold beyond its shape, proven over the model.

Bit fields and flags fill without overlap; sizes and counts refer to earlier fields; the rows of a machine's state are
disjoint and every state is reachable; every requirement is enforced as it says, and everything that can be refused
says by which requirement. That examples hold needs emitted code, so :mod:`hgproto.prove` does it.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from hgproto.spec.model import INTEGERS, STRINGS
from hgproto.spec.problems import Problem
from hgproto.spec.resolve import HEADER_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hgproto.spec.model import BitField, Constraint, Field, Flag, FrameType, Machine, Row, Schema, Structure

__all__ = ["allowed_flags", "check"]

MAX_ASSIGNMENTS = 100_000
"""Combinations of flags, guards and states tried for one state and frame type; our largest takes some hundreds."""


def check(schema: Schema) -> list[Problem]:
    """Every fault of ``schema``, in order of place; empty when it is proven."""
    problems = [
        *_header(schema),
        *_flags(schema.stream_flags, "stream_flags", schema),
        *_frames(schema),
        *(p for structure in schema.structures.values() for p in _structure(structure, schema)),
        *(p for machine in schema.machines.values() for p in _machine(machine, schema)),
        *_requirements(schema),
        *_limits(schema),
    ]
    return sorted(set(problems))


# The header and its bits.


def _header(schema: Schema) -> Iterator[Problem]:
    header = schema.header
    for field in header.fields[:-1]:
        if field.octets is None or field.is_array:
            yield Problem(field.place, f"the header field {field.name!r} is no integer", "use u8, u16, u24 or u32")
        for rule in ("cut", "overflow"):
            if rule not in field.rules:
                yield _missing_rule(field, rule)
        if field.bits and field.octets is not None:
            yield from _bit_fields(field.bits, field.octets * 8, field)
    payload = header.fields[-1]
    if "cut" not in payload.rules:
        yield _missing_rule(payload, "cut")
    for field in header.fields:
        for name in [b.name for b in field.bits] or [field.name]:
            if name not in HEADER_FIELDS:
                advice = f"use {', '.join(HEADER_FIELDS)}"
                yield Problem(field.place, f"no frame keeps the header field {name!r}", advice)
    if not any({"type", "flags"} <= {bits.name for bits in field.bits} for field in header.fields):
        yield Problem(header.place, "type and flags are not bit fields of one integer", "declare them in one `bits:`")
        return
    if any(f.octets != 1 for f in header.fields if f.bits or f.name == "stream_flags"):
        yield Problem(header.place, "flags take more than one octet", "use u8 for them")
    length = next((f for f in header.fields if f.name == "length"), None)
    if length is not None and (length.limit is None or "limit" not in length.rules):
        yield Problem(length.place, "the length has no limit", "add `limit:` and `rules: {limit: ...}`")
    for name in ("type", "flags", "stream_flags"):
        if "unknown" not in header.rules(name):
            yield Problem(
                header.locate(name)[1].place, f"{name!r} has no rule for unknown values", "add `rules: {unknown: ...}`"
            )
    if header.parity("stream_id") is None:
        yield Problem(header.place, "the stream id does not tell the sender", "add `parity:` to stream_id")


def _bit_fields(fields: tuple[BitField, ...], width: int, owner: Field) -> Iterator[Problem]:
    taken: dict[int, str] = {}
    for field in fields:
        if field.low > field.high:
            yield Problem(field.place, f"bits {field.low} to {field.high} are none", "put the lower bit first")
        if field.high >= width:
            yield Problem(
                field.place, f"bit {field.high} is outside the {width} bits of {owner.type}", "correct `bits`"
            )
        for bit in range(field.low, field.high + 1):
            if bit in taken:
                yield Problem(field.place, f"{field.name!r} overlaps {taken[bit]!r} at bit {bit}", "correct `bits`")
            taken.setdefault(bit, field.name)
    free = [bit for bit in range(width) if bit not in taken]
    if free:
        yield Problem(owner.place, f"no bit field has bit {free[0]} of {owner.type}", "fill the octets with bit fields")


def _flags(flags: tuple[Flag, ...], field_name: str, schema: Schema) -> Iterator[Problem]:
    _, field, bits = schema.header.locate(field_name)
    width = bits.width if bits is not None else 8 * (field.octets or 1)
    taken: dict[int, str] = {}
    for flag in flags:
        if flag.bit >= width:
            yield Problem(flag.place, f"bit {flag.bit} is outside the {width} bits of {field_name}", "use a lower bit")
        if flag.bit in taken:
            yield Problem(flag.place, f"{flag.name!r} overlaps {taken[flag.bit]!r} at bit {flag.bit}", "use a free bit")
        taken.setdefault(flag.bit, flag.name)
    if [f.bit for f in flags] != sorted(f.bit for f in flags):
        yield Problem(flags[0].place, "the flags are not in the order of their bits", "put the lowest bit first")


# Frame types.


def _frames(schema: Schema) -> Iterator[Problem]:
    codes: dict[int, str] = {}
    stream_names = {flag.name for flag in schema.stream_flags}
    _, _, bits = schema.header.locate("type")
    highest = (1 << bits.width) - 1 if bits is not None else 255
    for frame in schema.frames.values():
        if frame.code in codes:
            yield Problem(frame.place, f"{frame.name!r} has the code of {codes[frame.code]!r}", "use a free code")
        codes.setdefault(frame.code, frame.name)
        if frame.code > highest:
            yield Problem(frame.place, f"the code {frame.code} is more than {highest}", "use a lower code")
        yield from _flags(frame.flags, "flags", schema)
        for flag in frame.flags:
            if flag.name in stream_names:
                yield Problem(flag.place, f"{flag.name!r} is a stream flag too", "rename it")
        for constraint in frame.constraints:
            yield from _constraint(constraint, frame, schema)
        if not allowed_flags(frame, schema):
            yield Problem(frame.place, f"the constraints of {frame.name!r} allow no flags at all", "loosen one")
        for case in frame.payload[:-1]:
            if case.when is None and case.after is None:
                yield Problem(case.place, "the cases after this one are never taken", "put it last")
        last = frame.payload[-1]
        if last.when is not None or last.after is not None:
            yield Problem(
                last.place, "no case is left when this one does not apply", "add a last case without a condition"
            )
        for case in frame.payload:
            if case.field is not None and case.field.type in ("ascii", "utf8") and "charset" not in case.field.rules:
                yield _missing_rule(case.field, "charset")
        if not any(example.refused for example in frame.examples):
            yield Problem(frame.place, f"no example of {frame.name!r} is refused", "add one that names its requirement")


def _constraint(constraint: Constraint, frame: FrameType, schema: Schema) -> Iterator[Problem]:
    if constraint.kind in ("odd", "even"):
        return
    if constraint.subject in constraint.names:
        yield Problem(constraint.place, f"{constraint.subject!r} stands on both sides", "remove it from one")
    if all(satisfies(flags, constraint) for flags in _every_flag_set(frame, schema)):
        yield Problem(constraint.place, "the constraint refuses nothing", "remove it")


def _every_flag_set(frame: FrameType, schema: Schema) -> Iterator[frozenset[str]]:
    names = [flag.name for flag in (*frame.flags, *schema.stream_flags)]
    for chosen in product((False, True), repeat=len(names)):
        yield frozenset(name for name, is_set in zip(names, chosen, strict=True) if is_set)


def satisfies(flags: frozenset[str], constraint: Constraint) -> bool:
    """Whether a set of flags keeps a constraint; constraints on numbers are kept by any."""
    present = sum(name in flags for name in constraint.names)
    match constraint.kind:
        case "exactly-one-of":
            return present == 1
        case "at-least-one-of":
            return present >= 1
        case "at-most-one-of":
            return present <= 1
        case "all-of":
            return present == len(constraint.names)
        case "none-of":
            return present == 0
        case "forbids":
            return constraint.subject not in flags or present == 0
        case "requires":
            return constraint.subject not in flags or present == len(constraint.names)
        case _:
            return True


def allowed_flags(frame: FrameType, schema: Schema) -> list[frozenset[str]]:
    """The sets of flags, those of the stream included, that the constraints allow on a frame type."""
    constraints = (*schema.stream_constraints, *frame.constraints)
    return [flags for flags in _every_flag_set(frame, schema) if all(satisfies(flags, c) for c in constraints)]


# Structures.


def _structure(structure: Structure, schema: Schema) -> Iterator[Problem]:
    if structure.is_cbor_map:
        for rule in ("surplus", "malformed", "duplicate", "keys", "missing", "type", "charset"):
            if rule not in structure.rules:
                yield Problem(structure.place, f"the CBOR map has no rule {rule!r}", f"add `rules: {{{rule}: ...}}`")
        return
    earlier: dict[str, Field] = {}
    for field in structure.fields:
        yield from _field(field, earlier, structure, schema)
        earlier[field.name] = field
    for field in structure.fields[:-1]:
        if field.size == "rest" or field.repeat:
            yield Problem(field.place, f"nothing can follow {field.name!r}, which takes the rest", "put it last")


def _field(field: Field, earlier: dict[str, Field], structure: Structure, schema: Schema) -> Iterator[Problem]:
    if field.bits and field.octets is not None:
        yield Problem(field.place, "bit fields are for the header", "use a whole integer")
    is_string, is_structure = field.type in STRINGS, field.type in schema.structures
    if is_string and (field.size is None) == (field.sizes is None):
        yield Problem(field.place, f"{field.name!r} needs `size` or `sizes`", "add just one of them")
    if field.octets is not None and (field.size or field.sizes):
        yield Problem(field.place, f"{field.name!r} has a size by its type", "remove `size` and `sizes`")
    if is_structure and not field.repeat:
        yield Problem(
            field.place, f"{field.name!r} holds a structure that is not repeated", "add `repeat`, or use `embed`"
        )
    if field.repeat and not is_structure:
        yield Problem(field.place, f"{field.name!r} repeats no structure", "remove `repeat`")
    for key, giver in (
        ("size", field.size),
        ("count", field.count),
        ("sizes", field.sizes),
        ("at_most", field.at_most),
    ):
        if giver is None or (key == "size" and giver == "rest"):
            continue
        if giver not in earlier:
            known = ", ".join(earlier) or "there is none"
            yield Problem(
                field.place, f"`{key}` of {field.name!r} refers to no earlier field: {giver!r}", f"use one of: {known}"
            )
            continue
        source = earlier[giver]
        if source.type not in INTEGERS or source.is_array != (key == "sizes"):
            yield Problem(
                field.place, f"`{key}` of {field.name!r} refers to {giver!r}, which does not fit", "refer to an integer"
            )
        elif key != "at_most" and source.sized_by != field.name:
            yield Problem(
                field.place, f"{giver!r} already gives the size of {source.sized_by!r}", "give each field its own"
            )
    fits = {
        "cut": field.size != "rest" and not field.repeat,
        "charset": field.type in ("ascii", "utf8"),
        "overflow": (field.size != "rest" and is_string) or (field.octets is not None and field.sized_by is None),
        "surplus": field.at_most is not None and "surplus" not in structure.rules,
    }
    for rule, needed in fits.items():
        if needed and rule not in field.rules:
            yield _missing_rule(field, rule)
    ends_open = structure.fields[-1].size == "rest" or structure.fields[-1].repeat
    repeated = any(f.type == structure.name for s in schema.structures.values() for f in s.fields)
    embedded_only = not repeated and not any(
        case.structure is structure for frame in schema.frames.values() for case in frame.payload
    )
    if (
        field is structure.fields[-1]
        and not (ends_open or repeated or embedded_only)
        and "surplus" not in structure.rules
    ):
        yield Problem(
            structure.place, f"{structure.name!r} has no rule for octets after it", "add `rules: {surplus: ...}`"
        )


def _missing_rule(field: Field, rule: str) -> Problem:
    return Problem(field.place, f"{field.name!r} has no rule {rule!r}", f"add `rules: {{{rule}: ...}}`")


# Machines.


def _machine(machine: Machine, schema: Schema) -> Iterator[Problem]:
    reached, new = {machine.initial}, [machine.initial]
    while new:
        state = new.pop()
        for row in machine.transitions:
            if row.source == state and row.to is not None and row.to not in reached:
                reached.add(row.to)
                new.append(row.to)
    for state in machine.states:
        if state not in reached:
            advice = "add a transition to it, or remove it"
            yield Problem(machine.place, f"the state {state!r} of {machine.name!r} cannot be reached", advice)
    for state in machine.states:
        rows = [row for row in machine.transitions if row.source == state]
        events = {row.event for row in rows if row.event is not None}
        for event in sorted(events):
            yield from _disjoint([row for row in rows if row.event == event], event, None, machine, schema)
        for frame in schema.frames.values():
            yield from _disjoint([row for row in rows if frame.name in row.frames], frame.name, frame, machine, schema)


def _disjoint(
    rows: list[Row], what: str, frame: FrameType | None, machine: Machine, schema: Schema
) -> Iterator[Problem]:
    """Two rows that can hold at once, tried over every allowed combination of what their conditions look at."""
    atoms = sorted({atom for row in rows if row.when is not None for atom in row.when.atoms()})
    flags = [name for kind, name in atoms if kind == "flag"]
    others = [atom for atom in atoms if atom[0] != "flag"]
    flag_sets = (
        {frozenset(flags) & allowed for allowed in allowed_flags(frame, schema)} if frame else {frozenset[str]()}
    )
    answers: list[tuple[object, ...]] = []
    for kind, name in others:
        values = schema.guards[name].values if kind == "guard" else tuple(schema.machines[name].states)
        answers.append(values or (False, True))
    combinations = len(flag_sets)
    for values_ in answers:
        combinations *= len(values_)
    if combinations > MAX_ASSIGNMENTS:
        advice = "use fewer guards in one state"
        yield Problem(rows[0].place, f"{combinations} combinations are too many to prove the rows disjoint", advice)
        return
    taken: set[Row] = set()
    for chosen in flag_sets:
        for combination in product(*answers):
            facts: dict[tuple[str, str], object] = {("flag", name): name in chosen for name in flags}
            facts |= dict(zip(others, combination, strict=True))
            holding = [row for row in rows if row.when is None or row.when.holds(facts)]
            taken.update(holding)
            if len(holding) > 1:
                first, second = holding[0], holding[1]
                message = (
                    f"in state {first.source!r} of {machine.name!r}, {what!r} is taken by the row at {first.place} too"
                )
                yield Problem(second.place, message, "make the conditions of the two disjoint")
                return
    for row in rows:
        if row not in taken and len(row.frames) == 1:
            yield Problem(
                row.place, f"the row is never taken: no allowed {what!r} meets its condition", "correct `when`"
            )


# Requirements and limits.


def _requirements(schema: Schema) -> Iterator[Problem]:
    for requirement in schema.requirements.values():
        kinds = {reference.kind for reference in schema.references.get(requirement.id, ())}
        if requirement.enforced == "manual" and kinds:
            yield Problem(
                requirement.place,
                f"{requirement.id!r} says `manual`, and the {sorted(kinds)[0]} enforces it",
                f"say `enforced: {sorted(kinds)[0]}`",
            )
        elif requirement.enforced != "manual" and requirement.enforced not in kinds:
            yield Problem(
                requirement.place,
                f"nothing in the {requirement.enforced} enforces {requirement.id!r}",
                "refer to it where it bites, or say `enforced: manual` with a reason",
            )


def _limits(schema: Schema) -> Iterator[Problem]:
    for limit in schema.limits.values():
        if limit.default > limit.maximum:
            yield Problem(limit.place, f"the default of {limit.name!r} is over its maximum", "correct one of them")
