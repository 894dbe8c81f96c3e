"""Pieces that pages of the protocol share: the header, structures, flags, and requirements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes

from hgproto.errors import counted
from hgproto.language.cbor_rows import entry_rows
from hgproto.language.mentions import HEADER, Part
from hgproto.language.show import rules_of_header, rules_of_structure, size_text, type_text
from hgproto.sphinx.bits import ascii_diagram, cells_of_header, cells_of_structure, svg_diagrams
from hgproto.sphinx.examples import example_nodes
from hgproto.sphinx.figures import drawing
from hgproto.sphinx.pieces import add_anchor, named, paragraph, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hgproto.language.model import Flag, Requirement, Structure
    from hgproto.sphinx.bits import Cell
    from hgproto.sphinx.pieces import Pieces

    Note = Callable[[Part], str | None]

__all__ = [
    "diagram",
    "fields_table",
    "flags_table",
    "header",
    "rules_table",
    "sentence",
    "structure",
    "structure_nodes",
]


def header(pieces: Pieces, note: Note, *, figure_only: bool) -> list[nodes.Node]:
    """Returns the nodes of the header: the figure, the fields, the stream flags, and the requirements."""
    schema = pieces.volume.schema
    figure = diagram("The header of a frame", cells_of_header(schema), pieces)
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
        flags_table(pieces, schema.stream_flags, "", note),
        paragraph("Requirements:"),
        rules_table(pieces, dict.fromkeys(rules_of_header(schema))),
    ]


def structure(pieces: Pieces, part: Structure, note: Note) -> list[nodes.Node]:
    """Returns the nodes of a structure: the figure, the fields, the requirements, and examples."""
    rules = dict.fromkeys(rules_of_structure(part, pieces.volume.schema))
    result = [*structure_nodes(pieces, part, cells_of_structure(part), note)]
    if rules:
        result.append(rules_table(pieces, rules))
    for refused in (False, True):
        result += example_nodes(pieces, part.examples, part.name, refused=refused)
    return result


def rules_table(pieces: Pieces, ids: Iterable[str], extra: Callable[[Requirement], str] | None = None) -> nodes.table:
    """Returns a table of requirements: the sentence, the id, and the tests. ``extra``: returns a note about a requirement."""
    rows: list[list[list[nodes.Node] | nodes.Node]] = []
    for id in ids:
        requirement = pieces.volume.schema.requirements[id]
        about = [pieces.rule(id)]
        notes = [extra(requirement)] if extra is not None else []
        if pieces.volume.trace is not None:
            entry = pieces.volume.trace.get(id, {})
            vectors, tests = len(entry.get("kept", ())) + len(entry.get("broken", ())), len(entry.get("tests", ()))
            notes.append(f"{counted(vectors, 'vector')}, {counted(tests, 'test file')}")
        small = [nodes.Text(" "), nodes.inline("", "; ".join(notes), classes=["hgp-small"])] if notes else []
        rows.append([sentence(pieces, requirement), [*about, *small]])
    return table(("requirement", "id"), rows, kind="rules", widths=(62, 38))


def sentence(pieces: Pieces, requirement: Requirement) -> list[nodes.Node]:
    """Returns the sentence of a requirement, with its level in bold, and a mark if the requirement is ours."""
    before, level, after = requirement.sentence.partition(f" {requirement.level} ")
    area = requirement.id.partition(".")[0]
    words: list[nodes.Node] = [nodes.Text(f"{before} "), nodes.strong("", level.strip()), nodes.Text(" ")]
    words += pieces.prose(after, area, requirement.place)
    if requirement.source == "ours":
        words += [nodes.Text(" "), nodes.inline("", "ours", classes=["hgp-ours"])]
    return words


def diagram(label: str, cells: Sequence[Cell], pieces: Pieces) -> drawing:
    """Returns a bit diagram."""
    svgs = svg_diagrams(label, cells)
    return drawing("", svgs=svgs, text=ascii_diagram(cells), label=label, prefix=pieces.volume.prefix)


def flags_table(pieces: Pieces, flags: Sequence[Flag], frame: str, note: Note) -> nodes.table:
    """Returns a table of the flags of ``frame``, or of stream flags if it is empty."""
    rows = []
    for flag in flags:
        part = Part("flag", f"{frame}.{flag.name}" if frame else flag.name)
        doc = pieces.prose(flag.doc, frame or None, flag.place)
        rows.append([[nodes.literal("", f"{flag.mask:#04x}")], named(note(part), flag.name), doc])
    return table(("bit", "flag", "meaning"), rows, kind="flags", widths=(12, 22, 66))


def structure_nodes(pieces: Pieces, part: Structure, cells: Sequence[Cell], note: Note) -> list[nodes.Node]:
    """Returns the description of a structure, its figure, and its fields."""
    anchor = note(Part("structure", part.name))
    doc = pieces.prose(part.doc, part.name, part.place)
    intro = paragraph(nodes.literal("", part.name), ": ", doc)
    if anchor is not None:
        add_anchor(intro, anchor)
    figure = diagram(f"The structure {part.name}", cells, pieces)
    rows = []
    if part.is_cbor:
        for row in entry_rows(part.entries):
            words = pieces.prose(row.doc, part.name, row.place)
            anchor = None if row.is_nested else note(Part("field", f"{part.name}.{row.path}"))
            rows.append([named(anchor, row.path), row.type, row.presence, words])
        what = "item" if part.is_sequence else "key"
        return [
            intro,
            figure,
            table((what, "type", "presence", "meaning"), rows, kind="fields", widths=(20, 18, 17, 45)),
        ]
    for field in part.fields:
        words = pieces.prose(field.doc, part.name, field.place)
        name = named(note(Part("field", f"{part.name}.{field.name}")), field.name)
        rows.append([name, type_text(field), size_text(field), words])
    return [intro, figure, fields_table(rows)]


def fields_table(rows: Sequence[Sequence[str | nodes.Node | Sequence[str | nodes.Node]]]) -> nodes.table:
    """Returns a table of fields."""
    return table(("field", "type", "bytes", "meaning"), rows, kind="fields", widths=(20, 15, 20, 45))
