"""Pages of the protocol itself: the header, frame types, structures and state machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes

from hgproto.language.mentions import HEADER, Part
from hgproto.language.show import rules_of_frame, rules_of_header, rules_of_structure, size_text, type_text
from hgproto.sphinx.bits import ascii_diagram, cells_of_frame, cells_of_header, cells_of_structure, svg_diagrams
from hgproto.sphinx.examples import example_nodes
from hgproto.sphinx.figures import drawing
from hgproto.sphinx.pieces import add_anchor, bullets, joined, named, paragraph, section, table, target
from hgproto.sphinx.states import svg_machines, way_id, ways_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hgproto.language.model import Constraint, Flag, FrameType, Machine, PayloadCase, Requirement, Row, Structure
    from hgproto.sphinx.bits import Cell
    from hgproto.sphinx.pieces import Pieces

    Note = Callable[[Part], str | None]

__all__ = ["frame_type", "header", "machine", "rules_table", "structure"]

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


def header(pieces: Pieces, note: Note, *, figure_only: bool) -> list[nodes.Node]:
    """The header: where its fields are, what they say, the stream flags, and the rules of all of them."""
    schema = pieces.volume.schema
    figure = _diagram("The header of a frame", cells_of_header(schema), pieces)
    if figure_only:
        return [figure]
    rows = []
    at = 0
    for field in schema.header.fields:
        for bits in sorted(field.bits, key=lambda bits: -bits.low):
            part = Part("field", f"{HEADER}.{bits.name}")
            where = f"bits {bits.low} to {bits.high}"
            doc = pieces.prose(bits.doc, HEADER, bits.place)
            rows.append([str(at), where, named(note(part), bits.name), doc])
        if not field.bits:
            part = Part("field", f"{HEADER}.{field.name}")
            where = f"{8 * field.fixed_size} bits" if field.fixed_size is not None else f"{field.size} bytes"
            doc = pieces.prose(field.doc, HEADER, field.place)
            rows.append([str(at), where, named(note(part), field.name), doc])
        at += field.fixed_size or 0
    return [
        figure,
        table(("byte", "size", "field", "meaning"), rows, kind="fields", widths=(10, 15, 20, 55)),
        paragraph("Stream flags:"),
        _flags_table(pieces, schema.stream_flags, "", note),
        paragraph("Rules:"),
        rules_table(pieces, dict.fromkeys(rules_of_header(schema))),
    ]


def frame_type(pieces: Pieces, frame: FrameType, note: Note) -> list[nodes.Node]:
    """A frame type, in sections."""
    name = frame.name
    anchor = note(Part("frame", name))
    summary = nodes.field_list()
    sender: list[nodes.Node] = [nodes.Text(f"the {frame.sender}" if frame.sender else "either side")]
    if frame.sender_requirement:
        sender += [nodes.Text(" ("), pieces.rule(frame.sender_requirement), nodes.Text(")")]
    flags = joined([pieces.ref(Part("flag", f"{name}.{flag.name}"), flag.name)] for flag in frame.flags)
    payload = joined(_payload_words(pieces, name, case) for case in frame.payload)
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
    result: list[nodes.Node] = [lead, _layout(pieces, frame, note)]
    if frame.flags or frame.constraints:
        body = [_flags_table(pieces, frame.flags, name, note)] if frame.flags else []
        if frame.constraints:
            body.append(paragraph("Of these,"))
            body.append(bullets(_constraint(pieces, frame, constraint) for constraint in frame.constraints))
        result.append(section("Flags", pieces.within(f"{name}-flags"), *body))
    result.append(_when(pieces, frame))
    result.append(_refusals(pieces, frame))
    if good := example_nodes(pieces, frame.examples, None, refused=False):
        result.append(section("Examples", pieces.within(f"{name}-examples"), *good))
    if bad := example_nodes(pieces, frame.examples, None, refused=True):
        intro = paragraph("Bytes that are refused, with what the validator says of them.")
        result.append(section("What is wrong here", pieces.within(f"{name}-wrong"), intro, *bad))
    return result


def structure(pieces: Pieces, part: Structure, note: Note) -> list[nodes.Node]:
    """A structure by itself: where its fields are, what they say, its rules, and examples."""
    rules = dict.fromkeys(rules_of_structure(part, pieces.volume.schema))
    result = [*_structure(pieces, part, cells_of_structure(part), note)]
    if rules:
        result.append(rules_table(pieces, rules))
    for refused in (False, True):
        result += example_nodes(pieces, part.examples, part.name, refused=refused)
    return result


def machine(pieces: Pieces, machine: Machine, note: Note) -> list[nodes.Node]:
    """A state machine: what its states mean, the figure, the ways, and what is refused in which state."""
    anchor = note(Part("machine", machine.name))
    role = "both sides" if machine.role == "both" else f"the {machine.role}"
    text = f" There is one a {machine.scope}, run by {role}. It starts in "
    intro = paragraph(
        pieces.prose(machine.doc, machine.name, machine.place),
        text,
        pieces.ref(Part("state", f"{machine.name}.{machine.initial}"), machine.initial),
        ".",
    )
    if anchor is not None:
        add_anchor(intro, anchor)
    states = []
    for name, doc in machine.states.items():
        words = pieces.prose(doc, machine.name, machine.state_places[name])
        states.append([named(note(Part("state", f"{machine.name}.{name}")), name), words])
    ways = []
    for way in ways_of(machine):
        for index, row in enumerate(way.rows):
            rows = pieces.within(way_id(machine.name, way))
            number = [target(rows, nodes.Text(str(way.number)))] if index == 0 else [nodes.Text("")]
            ends = [_state(pieces, machine, way.source), nodes.Text(" → "), _state(pieces, machine, way.to)]
            told = _outcome(pieces, machine, row, says_where=False)
            ways.append([number, ends if index == 0 else "", _when_words(pieces, row), told])
    refusals = [
        [_states(pieces, machine, sources), _when_words(pieces, row), pieces.rule(str(row.error), row.place)]
        for sources, row in _shared(row for row in machine.transitions if row.error is not None)
    ]
    figure = drawing(
        "",
        svgs=svg_machines(machine, pieces.within),
        text="",
        label=machine.name,
        prefix=pieces.volume.prefix,
        classes=["hgp-machine"],
    )
    result: list[nodes.Node] = [
        intro,
        table(("state", "meaning"), states, kind="states", widths=(25, 75)),
        figure,
        table(("way", "from and to", "when", "then"), ways, kind="ways", widths=(8, 27, 40, 25)),
    ]
    if refusals:
        result.append(paragraph("What is refused:"))
        result.append(table(("state", "when", "rule"), refusals, kind="refusals", widths=(25, 40, 35)))
    result.append(paragraph("Whatever else comes breaks ", pieces.rule(machine.otherwise), "."))
    return result


def rules_table(pieces: Pieces, ids: Iterable[str]) -> nodes.table:
    """Rules: what each says, with its level, and whose it is."""
    rows = []
    for id in ids:
        requirement = pieces.volume.schema.requirements[id]
        rows.append([[pieces.rule(id)], sentence(pieces, requirement)])
    return table(("rule", "what it says"), rows, kind="rules", widths=(30, 70))


def sentence(pieces: Pieces, requirement: Requirement) -> list[nodes.Node]:
    """The words of a rule, its level set off, with a mark where they are ours."""
    before, level, after = requirement.sentence.partition(f" {requirement.level} ")
    area = requirement.id.partition(".")[0]
    words: list[nodes.Node] = [nodes.Text(f"{before} "), nodes.strong("", level.strip()), nodes.Text(" ")]
    words += pieces.prose(after, area, requirement.place)
    if requirement.source == "ours":
        words += [nodes.Text(" "), nodes.inline("", "ours", classes=["hgp-ours"])]
    return words


def _diagram(label: str, cells: Sequence[Cell], pieces: Pieces) -> drawing:
    svgs = svg_diagrams(label, cells)
    return drawing("", svgs=svgs, text=ascii_diagram(cells), label=label, prefix=pieces.volume.prefix)


def _flags_table(pieces: Pieces, flags: Sequence[Flag], frame: str, note: Note) -> nodes.table:
    rows = []
    for flag in flags:
        part = Part("flag", f"{frame}.{flag.name}" if frame else flag.name)
        doc = pieces.prose(flag.doc, frame or None, flag.place)
        rows.append([[nodes.literal("", f"{flag.mask:#04x}")], named(note(part), flag.name), doc])
    return table(("bit", "flag", "meaning"), rows, kind="flags", widths=(12, 22, 66))


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
    """The payloads of a frame type: those of all cases, and the structures that they repeat."""
    schema = pieces.volume.schema
    body: list[nodes.Node] = []
    shown: set[str] = set()
    for case in reversed(frame.payload):
        cells = cells_of_frame(frame, case, schema)
        condition = _case_words(pieces, frame.name, case)
        if case.structure is not None:
            if condition:
                body.append(
                    paragraph("The payload", condition, " is ", pieces.ref(Part("structure", case.structure.name)), ":")
                )
            body += _structure(pieces, case.structure, cells, note)
            shown.add(case.structure.name)
        elif case.field is not None:
            field = case.field
            name = note(Part("field", f"{frame.name}.{field.name}"))
            row = [
                named(name, field.name),
                type_text(field),
                size_text(field),
                pieces.prose(field.doc, frame.name, field.place),
            ]
            label = f"A {frame.name} frame"
            body += [_diagram(label, cells, pieces), _fields_table([row])]
    for case in frame.payload:
        for field in case.structure.fields if case.structure is not None else ():
            if field.type in schema.structures and field.type not in shown:
                shown.add(field.type)
                inner = schema.structures[field.type]
                body.append(paragraph("Each of the ", nodes.literal("", field.name), " is:"))
                body += _structure(pieces, inner, cells_of_structure(inner), note)
    for inner in schema.structures.values():
        # What others embed has no place of its own on the wire; it is described with them.
        embedders = [case.structure.name for case in frame.payload if case.structure and _embeds(case.structure, inner)]
        if inner.name not in shown and embedders:
            body.append(paragraph("Part of ", joined([nodes.literal("", name)] for name in embedders), " is:"))
            body += _structure(pieces, inner, cells_of_structure(inner), note)
    return section("Layout", pieces.within(f"{frame.name}-layout"), *body)


def _embeds(outer: Structure, inner: Structure) -> bool:
    """Whether a structure has the fields of another among its own: an embedded field keeps its place in the schema."""
    places = {field.place for field in outer.fields}
    return bool(inner.fields) and all(field.place in places for field in inner.fields)


def _structure(pieces: Pieces, part: Structure, cells: Sequence[Cell], note: Note) -> list[nodes.Node]:
    anchor = note(Part("structure", part.name))
    doc = pieces.prose(part.doc, part.name, part.place)
    intro = paragraph(nodes.literal("", part.name), ": ", doc)
    if anchor is not None:
        add_anchor(intro, anchor)
    figure = _diagram(f"The structure {part.name}", cells, pieces)
    rows = []
    if part.is_cbor_map:
        for entry in part.entries:
            words = pieces.prose(entry.doc, part.name, entry.place)
            name = named(note(Part("field", f"{part.name}.{entry.name}")), entry.name)
            rows.append([name, str(entry.type), "may be missing" if entry.optional else "required", words])
        return [
            intro,
            figure,
            table(("key", "type", "presence", "meaning"), rows, kind="fields", widths=(20, 18, 17, 45)),
        ]
    for field in part.fields:
        words = pieces.prose(field.doc, part.name, field.place)
        name = named(note(Part("field", f"{part.name}.{field.name}")), field.name)
        rows.append([name, type_text(field), size_text(field), words])
    return [intro, figure, _fields_table(rows)]


def _fields_table(rows: Sequence[Sequence[str | nodes.Node | Sequence[str | nodes.Node]]]) -> nodes.table:
    return table(("field", "type", "bytes", "meaning"), rows, kind="fields", widths=(20, 15, 20, 45))


def _when(pieces: Pieces, frame: FrameType) -> nodes.section:
    """The states in which a frame of a type is taken, by each machine that looks at it more closely than at any frame."""
    body: list[nodes.Node] = []
    every = len(pieces.volume.schema.frames)
    for machine in pieces.volume.schema.machines.values():
        rows = [
            [_states(pieces, machine, sources), _when_words(pieces, row, frame.name), _outcome(pieces, machine, row)]
            for sources, row in _shared(
                row
                for row in machine.transitions
                if frame.name in row.frames and row.to is not None and len(row.frames) < every - 1
            )
        ]
        if rows:
            body.append(paragraph("By ", pieces.ref(Part("machine", machine.name)), ":"))
            body.append(table(("in the state", "when", "then"), rows, kind="when", widths=(30, 40, 30)))
    if not body:
        body.append(paragraph("No machine takes it."))
    return section("When it may come", pieces.within(f"{frame.name}-when"), *body)


def _refusals(pieces: Pieces, frame: FrameType) -> nodes.section:
    """The rules that a frame of a type can break, with who finds it and what follows."""
    schema = pieces.volume.schema
    ids = dict.fromkeys(rules_of_frame(frame, schema))
    for machine in schema.machines.values():
        for row in machine.transitions:
            if frame.name in row.frames and len(row.frames) < len(schema.frames) - 1:
                ids |= dict.fromkeys(id for id in (row.error, row.requirement) if id)
    area = f"{frame.name}."
    ids |= dict.fromkeys(id for id in schema.requirements if id.startswith(area))
    rows = []
    for id in ids:
        requirement = schema.requirements[id]
        rows.append([[pieces.rule(id)], sentence(pieces, requirement), _reaction(pieces, requirement)])
    intro = paragraph(
        "The rules of every frame hold too. A receiver answers a broken rule with an error, and nothing after it is taken: ",
        "where the last column says something else, that is what it does.",
    )
    heads = ("rule", "what it says", "found by")
    return section(
        "Rules and errors",
        pieces.within(f"{frame.name}-rules"),
        intro,
        table(heads, rows, kind="rules", widths=(27, 53, 20)),
    )


def _reaction(pieces: Pieces, requirement: Requirement) -> str:
    """Who finds that a rule is broken, and what a receiver does where that is not the usual."""
    if requirement.level == "MAY":
        return "a permission"
    softly = {
        row.requirement
        for machine in pieces.volume.schema.machines.values()
        for row in machine.transitions
        if row.emit == "application-error"
    }
    if requirement.id in softly:
        return "the state machine; the request alone fails"
    if requirement.enforced == "codec":
        return "the codec, in one frame"
    if requirement.enforced == "machine":
        return "a state machine"
    if requirement.enforced == "validator":
        return "the validator; receivers take it"
    return "nothing in the bytes"


def _shared(rows: Iterable[Row]) -> list[tuple[list[str], Row]]:
    """Rows that stand at one place of the schema together, with the states that have them."""
    found: dict[object, tuple[list[str], Row]] = {}
    for row in rows:
        found.setdefault(row.place, ([], row))[0].append(row.source)
    return list(found.values())


def _state(pieces: Pieces, machine: Machine, name: str) -> nodes.Node:
    return pieces.ref(Part("state", f"{machine.name}.{name}"), name)


def _states(pieces: Pieces, machine: Machine, names: Sequence[str]) -> list[nodes.Node]:
    return joined([_state(pieces, machine, name)] for name in names)


def _when_words(pieces: Pieces, row: Row, frame: str | None = None) -> list[nodes.Node]:
    """What makes a machine take a row: frames, said unless it is ``frame`` alone, or an event, and the condition."""
    words: list[nodes.Node] = []
    everything = len(pieces.volume.schema.frames)
    if row.event is not None:
        words.append(nodes.emphasis("", row.event))
    elif frame is None and len(row.frames) >= everything:
        words.append(nodes.Text("any frame"))
    elif frame is None and len(row.frames) == everything - 1:
        missing = next(name for name in pieces.volume.schema.frames if name not in row.frames)
        words += [nodes.Text("any frame but "), pieces.ref(Part("frame", missing))]
    elif frame is None:
        words += joined([pieces.ref(Part("frame", name))] for name in row.frames)
    if row.when is not None:
        condition = pieces.condition(row.when, [frame] if frame else row.frames)
        words += [nodes.Text(": "), *condition] if words else condition
    return words or [nodes.Text("always")]


def _outcome(pieces: Pieces, machine: Machine, row: Row, *, says_where: bool = True) -> list[nodes.Node]:
    """The state that a row leads to, what it tells its user, and the rule that it puts into effect."""
    parts: list[list[nodes.Node]] = []
    if says_where and row.to is not None and row.to != row.source:
        parts.append([nodes.Text("→ "), _state(pieces, machine, row.to)])
    if row.emit is not None:
        parts.append([pieces.ref(Part("action", row.emit))])
    words = joined(parts)
    if row.requirement is not None:
        words += [nodes.Text(" by " if words else "by "), pieces.rule(row.requirement, row.place)]
    if row.doc is not None:
        words += [nodes.Text(". " if words else ""), *pieces.prose(row.doc, machine.name, row.place)]
    return words or [nodes.Text("nothing changes" if says_where else "")]
