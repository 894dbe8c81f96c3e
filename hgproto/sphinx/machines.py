"""State machines: their states, the figure, transitions by frame type and state, and rejections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes

from hgproto.language.mentions import Part
from hgproto.sphinx.figures import drawing
from hgproto.sphinx.pieces import add_anchor, joined, named, paragraph, table, target
from hgproto.sphinx.states import svg_machines, transition_id, transitions_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hgproto.language.model import Machine, Row
    from hgproto.sphinx.pieces import Pieces
    from hgproto.sphinx.protocol import Note
    from hgproto.sphinx.states import Transition

__all__ = ["machine", "outcome", "shared", "states", "when_words"]


def machine(pieces: Pieces, machine: Machine, note: Note) -> list[nodes.Node]:
    """Returns the nodes of a state machine: its states, the figure, an overview, the transitions, and the rejections."""
    anchor = note(Part("machine", machine.name))
    role = "both sides" if machine.role == "both" else f"the {machine.role}"
    text = f" There is one per {machine.scope}, run by {role}. It starts in "
    intro = paragraph(
        pieces.prose(machine.doc, machine.name, machine.place),
        text,
        pieces.ref(Part("state", f"{machine.name}.{machine.initial}"), machine.initial),
        ".",
    )
    if anchor is not None:
        add_anchor(intro, anchor)
    described = []
    for name, doc in machine.states.items():
        words = pieces.prose(doc, machine.name, machine.state_places[name])
        described.append([named(note(Part("state", f"{machine.name}.{name}")), name), words])
    refusals = [
        [states(pieces, machine, sources), when_words(pieces, row), pieces.rule(str(row.error), row.place)]
        for sources, row in shared(row for row in machine.transitions if row.error is not None)
    ]
    labels = {transition.number: _label(pieces, transition) for transition in transitions_of(machine)}
    figure = drawing(
        "",
        svgs=svg_machines(machine, pieces.within, labels),
        text="",
        label=machine.name,
        prefix=pieces.volume.prefix,
        classes=["hgp-machine"],
    )
    result: list[nodes.Node] = [
        intro,
        table(("state", "meaning"), described, kind="states", widths=(25, 75)),
        figure,
        paragraph("Transitions by input and state. ✗: the receiver rejects the input."),
        _overview(pieces, machine),
        paragraph("Transitions:"),
        _transitions(pieces, machine),
    ]
    if refusals:
        result.append(paragraph("Rejections:"))
        result.append(table(("state", "input", "requirement"), refusals, kind="refusals", widths=(25, 40, 35)))
    result.append(paragraph("Any other input violates ", pieces.rule(machine.otherwise), "."))
    return result


def _transitions(pieces: Pieces, machine: Machine) -> nodes.table:
    """Returns the table of a machine's transitions, with their numbers in the figure."""
    rows = []
    for transition in transitions_of(machine):
        for index, row in enumerate(transition.rows):
            anchor = pieces.within(transition_id(machine.name, transition))
            number = [target(anchor, nodes.Text(str(transition.number)))] if index == 0 else [nodes.Text("")]
            ends = [state(pieces, machine, transition.source), nodes.Text(" → "), state(pieces, machine, transition.to)]
            told = outcome(pieces, machine, row, says_where=False)
            rows.append([number, ends if index == 0 else "", when_words(pieces, row), told])
    return table(("no.", "from and to", "input", "outcome"), rows, kind="transitions", widths=(8, 27, 36, 29))


def _label(pieces: Pieces, transition: Transition) -> str:
    """Returns a short description of a transition's input."""
    every = len(pieces.volume.schema.frames)
    inputs: dict[str, None] = {}
    for row in transition.rows:
        names = (row.event,) if row.event is not None else row.frames if len(row.frames) < every - 1 else ("any frame",)
        inputs |= dict.fromkeys(names)
    first, *others = inputs
    return f"{first}, …" if others else first


def _overview(pieces: Pieces, machine: Machine) -> nodes.table:
    """Returns a table of inputs and states. A cell has the numbers of transitions, and the requirements of rejections."""
    schema = pieces.volume.schema
    numbers = {id(row): transition for transition in transitions_of(machine) for row in transition.rows}
    events = dict.fromkeys(row.event for row in machine.transitions if row.event is not None)
    alike: dict[tuple[tuple[object, ...], ...], list[str]] = {}
    cells: dict[tuple[tuple[object, ...], ...], list[list[nodes.Node]]] = {}
    for name in (*schema.frames, *events):
        of_input: list[list[nodes.Node]] = []
        key: list[tuple[object, ...]] = []
        for state in machine.states:
            rows = [row for row in machine.transitions if row.source == state and name in (row.event, *row.frames)]
            transitions = {numbers[id(row)].number: numbers[id(row)] for row in rows if row.to is not None}
            errors = dict.fromkeys(str(row.error) for row in rows if row.error is not None)
            words = [_jump(pieces, machine, transitions[number]) for number in sorted(transitions)]
            # A frame without a row is rejected. An event without a row cannot occur.
            if not rows and name in schema.frames:
                errors = {machine.otherwise: None}
            if errors:
                words.append([pieces.ref(Part("requirement", next(iter(errors))), "✗")])
            of_input.append(joined(words, " "))
            key.append((*sorted(transitions), *errors))
        alike.setdefault((*key, (name in events,)), []).append(name)
        cells[*key, (name in events,)] = of_input
    rows_ = [[_inputs(pieces, names), *cells[key]] for key, names in alike.items()]
    widths = (30, *([70 // len(machine.states)] * len(machine.states)))
    return table(("input", *machine.states), rows_, kind="matrix", widths=widths)


def _inputs(pieces: Pieces, names: Sequence[str]) -> list[nodes.Node]:
    """Returns the description of the inputs of a row of the overview."""
    frames = pieces.volume.schema.frames
    if len(names) == len(frames):
        return [nodes.Text("any frame")]
    if len(names) > len(frames) / 2:
        missing = [name for name in frames if name not in names]
        return [nodes.Text("any frame but "), *joined([pieces.ref(Part("frame", name))] for name in missing)]
    return joined([pieces.ref(Part("frame", name)) if name in frames else nodes.emphasis("", name)] for name in names)


def _jump(pieces: Pieces, machine: Machine, transition: Transition) -> list[nodes.Node]:
    """Returns a link to the rows of a transition."""
    anchor = pieces.within(transition_id(machine.name, transition))
    return [
        nodes.reference(
            "", str(transition.number), refid=anchor, reftitle=f"{transition.source} → {transition.to}", internal=True
        )
    ]


def shared(rows: Iterable[Row]) -> list[tuple[list[str], Row]]:
    """Returns rows that are one row in the schema as one, with all of their source states."""
    found: dict[object, tuple[list[str], Row]] = {}
    for row in rows:
        found.setdefault(row.place, ([], row))[0].append(row.source)
    return list(found.values())


def state(pieces: Pieces, machine: Machine, name: str) -> nodes.Node:
    """Returns a reference to a state."""
    return pieces.ref(Part("state", f"{machine.name}.{name}"), name)


def states(pieces: Pieces, machine: Machine, names: Sequence[str]) -> list[nodes.Node]:
    """Returns references to states."""
    return joined([state(pieces, machine, name)] for name in names)


def when_words(pieces: Pieces, row: Row, frame: str | None = None) -> list[nodes.Node]:
    """Returns the input of a transition and its condition. ``frame``: the only input, which is then omitted."""
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


def outcome(pieces: Pieces, machine: Machine, row: Row, *, says_where: bool = True) -> list[nodes.Node]:
    """Returns the next state of a row, its action with the events, and the requirement that it enforces."""
    parts: list[list[nodes.Node]] = []
    if says_where and row.to is not None and row.to != row.source:
        parts.append([nodes.Text("→ "), state(pieces, machine, row.to)])
    if row.emit is not None:
        events = pieces.volume.schema.emits[row.emit].events
        others = [name for name in events if name != row.emit]
        action = [pieces.ref(Part("event" if list(events) == [row.emit] else "action", row.emit))]
        if others:
            action += [nodes.Text(" ("), *joined([pieces.ref(Part("event", name))] for name in events), nodes.Text(")")]
        parts.append(action)
    words = joined(parts)
    if row.requirement is not None:
        words += [nodes.Text(" by " if words else "by "), pieces.rule(row.requirement, row.place)]
    if row.doc is not None:
        words += [nodes.Text(". " if words else ""), *pieces.prose(row.doc, machine.name, row.place)]
    return words or [nodes.Text("nothing changes" if says_where else "")]
