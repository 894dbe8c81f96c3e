"""Pages about the whole protocol: registries, the requirements with their tests, and the open questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docutils import nodes

from hgproto.errors import counted
from hgproto.language.mentions import Part
from hgproto.language.show import filling
from hgproto.sphinx.figures import folded
from hgproto.sphinx.pieces import bullets, joined, named, paragraph, section, table
from hgproto.sphinx.protocol import sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from hgproto.language.documents import Document
    from hgproto.language.messages import MessagePart
    from hgproto.language.model import Requirement
    from hgproto.sphinx.pieces import Pieces
    from hgproto.sphinx.protocol import Note

    Registry = Callable[[Pieces, Note], list[nodes.Node]]

__all__ = ["REGISTRIES", "questions", "requirements"]

ENFORCED = {
    "codec": "the codec, which checks single frames",
    "machine": "a state machine",
    "validator": "only the validator",
    "manual": "nothing",
}


# Registries.


def _frames(pieces: Pieces, note: Note) -> list[nodes.Node]:
    rows = []
    for frame in pieces.volume.schema.frames_by_code.values():
        flags = joined([pieces.ref(Part("flag", f"{frame.name}.{flag.name}"), flag.name)] for flag in frame.flags)
        sender = frame.sender or "either"
        doc = pieces.prose(frame.doc, frame.name, frame.place)
        rows.append(
            [[nodes.literal("", f"{frame.code:#x}")], [pieces.ref(Part("frame", frame.name))], sender, flags, doc]
        )
    heads = ("type", "name", "sent by", "flags", "purpose")
    return [table(heads, rows, kind="registry", widths=(8, 22, 10, 25, 35))]


def _flags(pieces: Pieces, note: Note) -> list[nodes.Node]:
    rows = []
    for frame in pieces.volume.schema.frames_by_code.values():
        for flag in frame.flags:
            part = Part("flag", f"{frame.name}.{flag.name}")
            bit = nodes.literal("", f"{flag.mask:#x}")
            doc = pieces.prose(flag.doc, frame.name, flag.place)
            rows.append([[pieces.ref(Part("frame", frame.name))], [bit], [pieces.ref(part, flag.name)], doc])
    return [table(("frame type", "bit", "flag", "meaning"), rows, kind="registry", widths=(25, 8, 20, 47))]


def _stream_flags(pieces: Pieces, note: Note) -> list[nodes.Node]:
    rows = [
        [
            [nodes.literal("", f"{flag.mask:#04x}")],
            [pieces.ref(Part("flag", flag.name))],
            pieces.prose(flag.doc, None, flag.place),
        ]
        for flag in pieces.volume.schema.stream_flags
    ]
    return [table(("bit", "flag", "meaning"), rows, kind="registry", widths=(12, 22, 66))]


def _profiles(pieces: Pieces, note: Note) -> list[nodes.Node]:
    rows = [
        [
            named(note(Part("profile", profile.name)), profile.name),
            [*pieces.prose(profile.doc, None, profile.place), *_ours(profile.source)],
            profile.settings,
        ]
        for profile in pieces.volume.schema.profiles.values()
    ]
    return [table(("profile", "meaning", "settings"), rows, kind="registry", widths=(18, 62, 20))]


def _limits(pieces: Pieces, note: Note) -> list[nodes.Node]:
    rows = [
        [
            named(note(Part("limit", limit.name)), limit.name),
            f"{_number(limit.default)} {limit.unit}",
            _number(limit.maximum),
            [
                *pieces.prose(limit.doc, None, limit.place),
                nodes.Text(" "),
                *pieces.prose(limit.reason, None, limit.place),
            ],
        ]
        for limit in pieces.volume.schema.limits.values()
    ]
    return [
        table(
            ("limit", "default", "maximum", "meaning, and reason for the value"),
            rows,
            kind="registry",
            widths=(20, 17, 16, 47),
        )
    ]


def _guards(pieces: Pieces, note: Note) -> list[nodes.Node]:
    rows = [
        [
            named(note(Part("guard", guard.name)), guard.name),
            ", ".join(guard.values) or "true, false",
            pieces.prose(guard.doc, None, guard.place),
        ]
        for guard in pieces.volume.schema.guards.values()
    ]
    return [table(("guard", "answers", "question"), rows, kind="registry", widths=(20, 35, 45))]


def _messages(pieces: Pieces, note: Note) -> list[nodes.Node]:
    rows = []
    for message in pieces.volume.schema.messages.values():
        sender = "either side" if message.sender is None else f"the {message.sender}"
        frames = [
            [pieces.ref(Part("frame", part.frame.name)), nodes.Text(": "), *_filling(pieces, part)]
            for part in message.parts
        ]
        parameters = [
            [
                nodes.literal("", name),
                nodes.Text(f"{' (optional)' * message.is_optional(name)}: "),
                *pieces.prose(doc, None, message.place),
            ]
            for name, doc in message.parameters.items()
        ]
        rows.append(
            [
                named(note(Part("message", message.name)), message.name),
                [*pieces.prose(message.doc, None, message.place), nodes.Text(f" Sent by {sender}.")],
                frames[0] if len(frames) == 1 else bullets(frames),
                (parameters[0] if len(parameters) == 1 else bullets(parameters)) if parameters else "only fields",
            ]
        )
    heads = ("message", "meaning", "frames, in order", "parameters besides fields")
    return [table(heads, rows, kind="stacked", widths=(16, 24, 34, 26))]


def _filling(pieces: Pieces, part: MessagePart) -> Iterator[nodes.Node]:
    """Yields the description of the frames of a part of a message."""
    for kind, word in filling(part):
        if kind == "flag":
            yield pieces.ref(Part("flag", f"{part.frame.name}.{word}"), word)
        elif word:
            yield nodes.literal("", word) if kind else nodes.Text(word)


def _events(pieces: Pieces, note: Note) -> list[nodes.Node]:
    schema = pieces.volume.schema
    rows = []
    for event in schema.events.values():
        fields = [
            [
                nodes.literal("", field.name),
                nodes.Text(f" ({field.type}{', optional' * field.optional}): "),
                *pieces.prose(field.doc, None, field.place),
            ]
            for field in event.fields
        ]
        actions = [action.name for action in schema.emits.values() if event.name in action.events]
        rows.append(
            [
                named(note(Part("event", event.name)), event.name),
                "both sides" if event.role == "both" else f"the {event.role}",
                pieces.prose(event.doc, None, event.place),
                bullets(fields) if fields else "none",
                joined([pieces.ref(Part("action", name))] for name in actions),
            ]
        )
    heads = ("event", "reported by", "meaning", "fields", "actions")
    return [table(heads, rows, kind="stacked", widths=(16, 12, 24, 32, 16))]


def _actions(pieces: Pieces, note: Note) -> list[nodes.Node]:
    schema = pieces.volume.schema
    rows = []
    for action in schema.emits.values():
        places = []
        for machine in schema.machines.values():
            states = dict.fromkeys(row.source for row in machine.transitions if row.emit == action.name)
            if states:
                words = joined([pieces.ref(Part("state", f"{machine.name}.{state}"), state)] for state in states)
                places.append([pieces.ref(Part("machine", machine.name)), nodes.Text(": "), *words])
        rows.append(
            [
                named(note(Part("action", action.name)), action.name),
                pieces.prose(action.doc, None, action.place),
                joined([pieces.ref(Part("event", name))] for name in action.events) or "none",
                bullets(places),
            ]
        )
    heads = ("action", "meaning", "events", "machines, and source states of its transitions")
    return [table(heads, rows, kind="stacked", widths=(18, 32, 20, 30))]


def _source_section(pieces: Pieces, source: Document, heading: str) -> list[nodes.Node]:
    """Returns the heading of a section of a source, and the requirements from this section."""
    start = f'"{heading}" in {source.document} ({source.version})'
    ids = [one.id for one in pieces.volume.schema.requirements.values() if one.section.startswith(start)]
    words: list[nodes.Node] = [nodes.Text(heading)]
    return [*words, nodes.Text(": "), *joined([pieces.rule(id)] for id in ids)] if ids else words


def _sources(pieces: Pieces, note: Note) -> list[nodes.Node]:
    rows: list[list[str | nodes.Node | Sequence[str | nodes.Node]]] = []
    for source in pieces.volume.schema.sources.values():
        sections = bullets(_source_section(pieces, source, heading) for heading in source.sections.values())
        about = [*pieces.prose(source.doc, None, source.place), sections]
        name = paragraph(nodes.literal("", source.document), f" ({source.version})")
        rows.append([name, about])
    return [table(("document", "sections, and their requirements"), rows, kind="stacked", widths=(47, 53))]


REGISTRIES: dict[str, Registry] = {
    "frames": _frames,
    "flags": _flags,
    "stream-flags": _stream_flags,
    "profiles": _profiles,
    "limits": _limits,
    "guards": _guards,
    "messages": _messages,
    "events": _events,
    "actions": _actions,
    "sources": _sources,
}
"""The registries by name."""


def _number(number: int) -> str:
    """Returns a number in words: multiples of powers of two with binary prefixes from Ki."""
    for power, prefix in ((40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")):
        if number >= 1 << power and number % (1 << power) == 0:
            return f"{number >> power} {prefix}"
    return str(number)


def _ours(source: str) -> list[nodes.Node]:
    return [nodes.Text(" "), nodes.inline("", "ours", classes=["hgp-ours"])] if source == "ours" else []


# Requirements.


def requirements(pieces: Pieces, note: Note) -> list[nodes.Node]:
    """Returns the table of all requirements, then a section for each area with a section for each requirement."""
    catalogue = pieces.volume.schema.requirements
    trace = pieces.volume.trace
    columns = {"requirement": 40, "level": 15, "enforced by": 15}
    if trace is not None:
        columns |= {"met by": 10, "violated by": 10, "tests": 10}
    rows = []
    for id, requirement in catalogue.items():
        cells: list[Any] = [[pieces.rule(id)], requirement.level, requirement.enforced]
        if trace is not None:
            entry = trace.get(id, {})
            cells += [str(len(entry[key])) if entry.get(key) else "" for key in ("kept", "broken", "tests")]
        rows.append(cells)
    result: list[nodes.Node] = [table(list(columns), rows, kind="requirements", widths=list(columns.values()))]
    for area, members in _by_area(catalogue.values()).items():
        sections = [_requirement(pieces, requirement, note) for requirement in members]
        result.append(section(area, pieces.within(f"area-{area}"), *sections))
    return result


def _by_area(requirements: Iterable[Requirement]) -> dict[str, list[Requirement]]:
    areas: dict[str, list[Requirement]] = {}
    for requirement in requirements:
        areas.setdefault(requirement.id.partition(".")[0], []).append(requirement)
    return areas


def _requirement(pieces: Pieces, requirement: Requirement, note: Note) -> nodes.section:
    id = requirement.id
    area = id.partition(".")[0]
    anchor = note(Part("requirement", id)) or pieces.within(id)
    said = paragraph(nodes.strong("", "", *pieces.prose(requirement.sentence, area, requirement.place)))
    why = paragraph(pieces.prose(requirement.why, area, requirement.place))
    whose = "our resolution, because the source is silent" if requirement.source == "ours" else "the protocol's source"
    fields: list[tuple[str, nodes.Node | None]] = [
        ("Level", paragraph(requirement.level)),
        ("From", paragraph(f"{whose}: {requirement.section}")),
        ("Resolution", _prose(pieces, requirement.resolution, requirement)),
        ("Reference implementation", _prose(pieces, requirement.reference, requirement)),
        ("Enforced by", paragraph(f"{ENFORCED[requirement.enforced]}. {requirement.reason or ''}".rstrip(" ."))),
        ("In the schema", _places(pieces, id)),
        ("Shown by", _shown(pieces, id)),
    ]
    if pieces.volume.trace is not None:
        entry = pieces.volume.trace.get(id, {})
        fields += [
            ("Met by", _literals(entry["kept"]) if entry.get("kept") else None),
            ("Violated by", _literals(entry["broken"]) if entry.get("broken") else None),
            ("Tests", _tests(entry["tests"]) if entry.get("tests") else paragraph("none")),
        ]
    body = nodes.container("", nodes.field_list("", *_fields(fields)), classes=["hgp-summary"])
    return section([nodes.literal("", id)], anchor, said, why, body)


def _fields(fields: Iterable[tuple[str, nodes.Node | None]]) -> Iterator[nodes.field]:
    for name, body in fields:
        if body is not None:
            yield nodes.field("", nodes.field_name("", name), nodes.field_body("", body))


def _prose(pieces: Pieces, text: str | None, requirement: Requirement) -> nodes.paragraph | None:
    if text is None:
        return None
    return paragraph(pieces.prose(text, requirement.id.partition(".")[0], requirement.place))


def _places(pieces: Pieces, id: str) -> nodes.paragraph | None:
    places = [reference.path for reference in pieces.volume.schema.references.get(id, ())]
    return _literals(places) if places else None


def _shown(pieces: Pieces, id: str) -> nodes.paragraph | None:
    """Returns references to the frame types with an example that violates a requirement; None if there are none."""
    frames = [
        frame.name
        for frame in pieces.volume.schema.frames.values()
        if any(example.refused == id for example in frame.examples)
    ]
    if not frames:
        return None
    return paragraph("an example of ", joined([pieces.ref(Part("frame", name))] for name in frames))


def _literals(texts: Iterable[str]) -> nodes.paragraph:
    return paragraph(joined([nodes.literal("", text)] for text in texts))


def _tests(tests: Mapping[str, str]) -> folded:
    names = bullets([nodes.literal("", name), f" {how}"] for name, how in tests.items())
    return folded("", names, summary=counted(len(tests), "file"))


# Open questions.


def questions(pieces: Pieces) -> list[nodes.Node]:
    """Returns the points that the source does not specify, by area: our resolution, the reason, and the reference's behavior."""
    result: list[nodes.Node] = []
    asked = [one for one in pieces.volume.schema.requirements.values() if one.source == "ours" or one.resolution]
    for area, members in _by_area(asked).items():
        body: list[nodes.Node] = []
        for requirement in members:
            where = requirement.place
            resolved: list[nodes.Node] = [pieces.rule(requirement.id), nodes.Text(": ")]
            if requirement.source == "ours":
                resolved += sentence(pieces, requirement)[:-2]
            if requirement.resolution:
                resolved += [nodes.Text(" "), *pieces.prose(requirement.resolution, area, where)]
            parts = [paragraph(resolved), paragraph(pieces.prose(requirement.why, area, where))]
            if requirement.reference:
                known = pieces.prose(requirement.reference, area, where)
                parts.append(paragraph(nodes.emphasis("", "The reference implementation: "), known))
            body.append(nodes.list_item("", *parts))
        result.append(
            section(
                area,
                pieces.within(f"questions-{area}"),
                nodes.bullet_list("", *body, bullet="*", classes=["hgp-questions"]),
            )
        )
    return result
