"""Pages of frame types: an example, the layout, flags, requirements, and the states that accept the frame."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from docutils import nodes

from hgproto.errors import counted
from hgproto.language.mentions import HEADER, Part
from hgproto.language.show import rules_of_frame, size_text, type_text
from hgproto.sphinx.bits import cells_of_frame, cells_of_structure
from hgproto.sphinx.examples import example_nodes
from hgproto.sphinx.figures import folded
from hgproto.sphinx.machines import outcome, shared, states, when_words
from hgproto.sphinx.pieces import add_anchor, bullets, joined, named, paragraph, section, table
from hgproto.sphinx.protocol import diagram, fields_table, flags_table, rules_table, structure_nodes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hgproto.language.model import Constraint, Field, FrameType, PayloadCase, Requirement, Structure
    from hgproto.sphinx.pieces import Pieces
    from hgproto.sphinx.protocol import Note

__all__ = ["frame_type"]

_CONSTRAINTS = {
    "forbids": "{subject} excludes {names}",
    "requires": "{subject} needs {names}",
    "at-most-one-of": "at most one of {names}",
    "at-least-one-of": "at least one of {names}",
    "exactly-one-of": "exactly one of {names}",
    "all-of": "all of {names}",
    "none-of": "none of {names}",
    "odd": "each of {names} is odd",
    "even": "each of {names} is even",
}


def frame_type(pieces: Pieces, frame: FrameType, note: Note, prose: Sequence[nodes.Node]) -> list[nodes.Node]:
    """Returns the nodes of a frame type: an example, ``prose`` about it, and sections."""
    name = frame.name
    good = [example for example in frame.examples if example.refused is None]
    # A frame that does not continue another is the easiest to read.
    first = min(good, key=lambda example: example.continued, default=None)
    shown = example_nodes(pieces, (first,) if first else (), None, refused=False)
    result: list[nodes.Node] = [*shown, _summary(pieces, frame, note), *prose, _layout(pieces, frame, note)]
    if frame.flags or frame.constraints:
        body = [flags_table(pieces, frame.flags, name, note)] if frame.flags else []
        if frame.constraints:
            body.append(paragraph("Constraints:"))
            body.append(bullets(_constraint(pieces, frame, constraint) for constraint in frame.constraints))
        if last_byte := _last_byte(pieces, frame):
            body.append(last_byte)
        result.append(section("Flags", pieces.within(f"{name}-flags"), *body))
    result.append(_requirements(pieces, frame))
    result.append(_when(pieces, frame))
    others = tuple(example for example in good if example is not first)
    bad = tuple(example for example in frame.examples if example.refused is not None)
    for title, anchor, examples, refused in (
        ("More examples", "examples", others, False),
        ("Rejected frames", "wrong", bad, True),
    ):
        if examples:
            body = example_nodes(pieces, examples, None, refused=refused)
            fold = folded("", *body, summary=counted(len(examples), "frame"))
            result.append(section(title, pieces.within(f"{name}-{anchor}"), fold))
    return result


def _summary(pieces: Pieces, frame: FrameType, note: Note) -> nodes.container:
    """Returns the purpose of the frame, its number, its sender, its flags, and its payloads."""
    name = frame.name
    anchor = note(Part("frame", name))
    summary = nodes.field_list()
    sender: list[nodes.Node] = [nodes.Text(f"the {frame.sender}" if frame.sender else "either side")]
    if frame.sender_requirement:
        sender += [nodes.Text(" ("), pieces.rule(frame.sender_requirement), nodes.Text(")")]
    flags = joined([pieces.ref(Part("flag", f"{name}.{flag.name}"), flag.name)] for flag in frame.flags)
    # The usual payload first.
    payload = joined(_payload_words(pieces, name, case) for case in reversed(frame.payload))
    for title, words in (
        ("Type", [nodes.literal("", f"{frame.code:#x}")]),
        ("Sent by", sender),
        ("Flags", flags or [nodes.Text("none")]),
        ("Payload", payload),
    ):
        body = nodes.field_body("", paragraph(words))
        summary += nodes.field("", nodes.field_name("", title), body)
    lead = nodes.container("", paragraph(pieces.prose(frame.doc, name, frame.place)), summary, classes=["hgp-summary"])
    if anchor is not None:
        add_anchor(lead, anchor)
    return lead


def _last_byte(pieces: Pieces, frame: FrameType) -> nodes.paragraph | None:
    """Returns the values of the header field with type and flags, for each valid set of flags; None without such a field."""
    for field in pieces.volume.schema.header.fields:
        low = {bits.name: bits.low for bits in field.bits}
        if {"type", "flags"} <= low.keys():
            break
    else:
        return None
    words: list[list[nodes.Node]] = []
    for count in range(len(frame.flags) + 1):
        for flags in itertools.combinations(frame.flags, count):
            names = {flag.name for flag in flags}
            if all(_holds(constraint, names, frame) for constraint in frame.constraints):
                value = (frame.code << low["type"]) + (sum(flag.mask for flag in flags) << low["flags"])
                said = " and ".join(flag.name for flag in flags) or "no flag"
                digits = 2 * (field.fixed_size or 1)
                words.append([nodes.literal("", f"0x{value:0{digits}x}"), nodes.Text(f" ({said})")])
    return paragraph("Valid values of ", nodes.literal("", field.name), ": ", joined(words), ".")


def _holds(constraint: Constraint, flags: set[str], frame: FrameType) -> bool:
    """Returns False if flags violate a constraint. Ignores constraints on header fields and stream flags."""
    if constraint.is_about_fields or not set(constraint.names) <= {flag.name for flag in frame.flags}:
        return True
    count = len(flags & set(constraint.names))
    match constraint.kind:
        case "forbids":
            return constraint.subject not in flags or count == 0
        case "requires":
            return constraint.subject not in flags or count == len(constraint.names)
        case "at-most-one-of":
            return count <= 1
        case "at-least-one-of":
            return count >= 1
        case "exactly-one-of":
            return count == 1
        case "all-of":
            return count == len(constraint.names)
    return count == 0


def _constraint(pieces: Pieces, frame: FrameType, constraint: Constraint) -> list[nodes.Node]:
    template = _CONSTRAINTS[constraint.kind]
    if constraint.is_about_fields and len(constraint.names) == 1:
        template = template.removeprefix("each of ")
    owned = {flag.name for flag in frame.flags}

    def word(name: str) -> nodes.Node:
        # A flag may have the name of a header field.
        if constraint.is_about_fields:
            return pieces.ref(Part("field", f"{HEADER}.{name}"), name)
        return pieces.ref(Part("flag", f"{frame.name}.{name}" if name in owned else name), name)

    result: list[nodes.Node] = []
    for index, piece in enumerate(template.replace("{subject}", "\0s\0").replace("{names}", "\0n\0").split("\0")):
        if index % 2 == 0:
            result.append(nodes.Text(piece))
        elif piece == "s":
            result.append(word(str(constraint.subject)))
        else:
            result += joined([word(name)] for name in constraint.names)
    return [*result, nodes.Text(": "), pieces.rule(constraint.requirement, constraint.place)]


def _payload_words(pieces: Pieces, frame: str, case: PayloadCase) -> list[nodes.Node]:
    words: list[nodes.Node] = []
    if case.structure is not None:
        words.append(pieces.ref(Part("structure", case.structure.name)))
    elif case.field is not None:
        words.append(pieces.ref(Part("field", f"{frame}.{case.field.name}"), case.field.name))
        words.append(nodes.Text(f", {type_text(case.field)}"))
    return words + _case_words(pieces, frame, case)


def _case_words(pieces: Pieces, frame: str, case: PayloadCase) -> list[nodes.Node]:
    words: list[nodes.Node] = []
    for before, flag in ((" with ", case.when), (" after a frame with ", case.after)):
        if flag:
            words += [nodes.Text(before), pieces.ref(Part("flag", f"{frame}.{flag}"), flag)]
    return words


def _layout(pieces: Pieces, frame: FrameType, note: Note) -> nodes.section:
    """Returns the usual payload with a figure, the differences of the other payloads, and the structures that they repeat."""
    schema = pieces.volume.schema
    body: list[nodes.Node] = []
    shown: set[str] = set()
    usual, *others = reversed(frame.payload)
    cells = cells_of_frame(frame, usual, schema)
    if usual.structure is not None:
        body += structure_nodes(pieces, usual.structure, cells, note)
        shown.add(usual.structure.name)
    elif usual.field is not None:
        body += [
            diagram(f"A {frame.name} frame", cells, pieces),
            fields_table([_field(pieces, frame.name, usual.field, note)]),
        ]
    for case in others:
        body += _difference(pieces, frame, case, usual, note)
        if case.structure is not None:
            shown.add(case.structure.name)
    for case in frame.payload:
        for field in case.structure.fields if case.structure is not None else ():
            if field.type in schema.structures and field.type not in shown:
                shown.add(field.type)
                inner = schema.structures[field.type]
                body.append(paragraph("Each item of ", nodes.literal("", field.name), " has this layout:"))
                body += structure_nodes(pieces, inner, cells_of_structure(inner), note)
    for inner in schema.structures.values():
        # An embedded structure is never on the wire alone; it is described with those that embed it.
        embedders = [case.structure.name for case in frame.payload if case.structure and _embeds(case.structure, inner)]
        if inner.name not in shown and embedders:
            fields = joined(named(note(Part("field", f"{inner.name}.{one.name}")), one.name) for one in inner.fields)
            start = paragraph(
                fields,
                " are the structure ",
                named(note(Part("structure", inner.name)), inner.name),
                ". ",
                pieces.prose(inner.doc, inner.name, inner.place),
            )
            body.append(start)
    return section("Layout", pieces.within(f"{frame.name}-layout"), *body)


def _field(pieces: Pieces, owner: str, field: Field, note: Note) -> list[str | list[nodes.Node]]:
    """Returns the row of a field in a table of fields."""
    name = named(note(Part("field", f"{owner}.{field.name}")), field.name)
    return [name, type_text(field), size_text(field), pieces.prose(field.doc, owner, field.place)]


def _difference(
    pieces: Pieces, frame: FrameType, case: PayloadCase, usual: PayloadCase, note: Note
) -> list[nodes.Node]:
    """Returns the differences of a payload: fields of another type, size, or meaning, and missing fields."""
    condition = _case_words(pieces, frame.name, case)
    if case.structure is not None and case.structure.is_cbor:
        cells = cells_of_frame(frame, case, pieces.volume.schema)
        return [paragraph("The payload", condition, ":"), *structure_nodes(pieces, case.structure, cells, note)]
    before = {field.name: _looks(field) for field in _fields_of(usual)}
    owner = frame.name if case.structure is None else case.structure.name
    words: list[str | nodes.Node | list[nodes.Node]] = ["The payload", condition]
    if case.structure is not None:
        anchor = note(Part("structure", owner))
        words += [" is ", named(anchor, owner), ". ", pieces.prose(case.structure.doc, owner, case.structure.place)]
    else:
        words.append(" is a single field.")
    fields = _fields_of(case)
    same = [field for field in fields if before.get(field.name) == _looks(field)]
    missing = [name for name in before if name not in {field.name for field in fields}]
    if same:
        names = joined(named(note(Part("field", f"{owner}.{field.name}")), field.name) for field in same)
        words += [" As above: ", names, "."]
    if missing:
        words += [" Not present: ", joined([nodes.literal("", name)] for name in missing), "."]
    rows = [_field(pieces, owner, field, note) for field in fields if field not in same]
    return [paragraph(*_flat(words)), *([fields_table(rows)] if rows else [])]


def _flat(words: Iterable[str | nodes.Node | list[nodes.Node]]) -> Iterator[str | nodes.Node]:
    for word in words:
        yield from word if isinstance(word, list) else (word,)


def _fields_of(case: PayloadCase) -> tuple[Field, ...]:
    if case.structure is not None:
        return case.structure.fields
    return () if case.field is None else (case.field,)


def _looks(field: Field) -> tuple[str, str, str]:
    return type_text(field), size_text(field), field.doc


def _embeds(outer: Structure, inner: Structure) -> bool:
    """Returns True if a structure embeds another. Embedded fields have the same places in the schema."""
    places = {field.place for field in outer.fields}
    return bool(inner.fields) and all(field.place in places for field in inner.fields)


def _when(pieces: Pieces, frame: FrameType) -> nodes.section:
    """Returns the states in which each machine accepts the frame type, without rows for almost all frame types."""
    body: list[nodes.Node] = []
    every = len(pieces.volume.schema.frames)
    for machine in pieces.volume.schema.machines.values():
        rows = [
            [states(pieces, machine, sources), when_words(pieces, row, frame.name), outcome(pieces, machine, row)]
            for sources, row in shared(
                row
                for row in machine.transitions
                if frame.name in row.frames and row.to is not None and len(row.frames) < every - 1
            )
        ]
        if rows:
            body.append(paragraph("In ", pieces.ref(Part("machine", machine.name)), ":"))
            body.append(table(("state", "condition", "outcome"), rows, kind="when", widths=(30, 40, 30)))
    if not body:
        body.append(paragraph("No state machine accepts it."))
    return section("When it may be sent", pieces.within(f"{frame.name}-when"), *body)


def _requirements(pieces: Pieces, frame: FrameType) -> nodes.section:
    """Returns the requirements that a frame of a type can violate, each with the part that checks it."""
    schema = pieces.volume.schema
    ids = dict.fromkeys(rules_of_frame(frame, schema))
    for machine in schema.machines.values():
        for row in machine.transitions:
            if frame.name in row.frames and len(row.frames) < len(schema.frames) - 1:
                ids |= dict.fromkeys(id for id in (row.error, row.requirement) if id)
    area = f"{frame.name}."
    ids |= dict.fromkeys(id for id in schema.requirements if id.startswith(area))
    intro = paragraph(
        "The requirements of every frame apply too. A receiver rejects a frame that violates a requirement and stops, "
        "unless the second column says otherwise."
    )
    rules = rules_table(pieces, ids, lambda requirement: _reaction(pieces, requirement))
    return section("Requirements", pieces.within(f"{frame.name}-rules"), intro, rules)


def _reaction(pieces: Pieces, requirement: Requirement) -> str:
    """Returns the part that checks a requirement, and the reaction of a receiver if it does not just reject the frame."""
    if requirement.level == "MAY":
        return "permission"
    softly = {
        row.requirement
        for machine in pieces.volume.schema.machines.values()
        for row in machine.transitions
        if row.emit == "application-error"
    }
    if requirement.id in softly:
        return "checked by the state machine; only the request fails"
    if requirement.enforced == "codec":
        return "checked by the codec"
    if requirement.enforced == "machine":
        return "checked by the state machine"
    if requirement.enforced == "validator":
        return "checked by the validator; receivers accept it"
    return "not visible in the bytes"
