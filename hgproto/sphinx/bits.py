"""Bit diagrams: the layout of a frame or a structure, as SVG and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgproto.errors import counted
from hgproto.language.mentions import HEADER, Part
from hgproto.language.show import size_text
from hgproto.sphinx.drawing import GLYPH, address, svg, tag, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hgproto.language.model import Field, FrameType, PayloadCase, Schema, Structure

__all__ = ["Cell", "ascii_diagram", "cells_of_frame", "cells_of_header", "cells_of_structure", "svg_diagrams"]

WIDE, NARROW = 8, 4
"""The number of bytes in a row of the figure, on wide and narrow screens. Text has four, as in RFCs."""


class Cell(NamedTuple):
    """A field in a diagram.

    ``bits``: its width; None if that varies. ``note``: its size in words if it varies, or its value. ``part``: the target of its
    link. ``is_muted``: True if it is shown only for completeness.
    """

    label: str
    bits: int | None
    note: str
    part: Part
    is_muted: bool = False


def cells_of_header(schema: Schema, values: dict[str, str] | None = None) -> list[Cell]:
    """Returns the cells of the header and the payload. ``values``: known values of header fields, which are then muted."""
    cells = []
    for field in schema.header.fields:
        # Within a byte, the high bits come first, as in written numbers.
        for bits in sorted(field.bits, key=lambda bits: -bits.low):
            value = f"= {values[bits.name]}" if values and bits.name in values else ""
            cells.append(Cell(bits.name, bits.width, value, Part("field", f"{HEADER}.{bits.name}"), values is not None))
        if not field.bits:
            part = Part("field", f"{HEADER}.{field.name}")
            cells.append(_cell(field, part, is_muted=values is not None))
    return cells


def cells_of_frame(frame: FrameType, case: PayloadCase, schema: Schema) -> list[Cell]:
    """Returns the cells of a whole frame of a type, with one of its payloads."""
    cells = cells_of_header(schema, {"type": f"{frame.code:#x}"})[:-1]
    if case.structure is not None:
        cells += cells_of_structure(case.structure)
    elif case.field is not None:
        cells.append(_cell(case.field, Part("field", f"{frame.name}.{case.field.name}")))
    return cells


def cells_of_structure(structure: Structure) -> list[Cell]:
    """Returns a cell for each field of a structure or item of a sequence, or one cell for a CBOR map."""
    if structure.is_cbor:
        if structure.is_sequence:
            return [
                Cell(
                    entry.name,
                    None,
                    "CBOR items, to the end" if entry.repeated else "one CBOR item",
                    Part("field", f"{structure.name}.{entry.name}"),
                )
                for entry in structure.entries
            ]
        return [Cell("one CBOR map", None, "the rest", Part("structure", structure.name))]
    return [_cell(field, Part("field", f"{structure.name}.{field.name}")) for field in structure.fields]


def _cell(field: Field, part: Part, *, is_muted: bool = False) -> Cell:
    if field.fixed_size is not None and not field.is_array:
        return Cell(field.name, 8 * field.fixed_size, "", part, is_muted)
    size = size_text(field)
    if field.count is not None:
        size = f"{field.type} each, {size}"
    elif field.repeat:
        size = f"{field.type}, {size}"
    elif field.size != "rest":
        size = f"bytes: {size}" if field.sizes is None else f"bytes each: {size}"
    return Cell(field.name, None, size, part, is_muted)


class _Piece(NamedTuple):
    """The part of a cell in one row. ``start``, ``bits``: its position in that row; ``bits`` is None for a whole row."""

    cell: Cell
    start: int
    bits: int | None
    is_first: bool
    is_main: bool


def _rows(cells: Sequence[Cell], count: int) -> Iterator[tuple[int | None, list[_Piece]]]:
    """Yields the rows, each with the offset of its first byte; None after a field whose size varies."""
    width = 8 * count
    row: list[_Piece] = []
    first: int | None = 0
    at = 0
    for cell in cells:
        if cell.bits is None:
            if row:
                yield first, row
            first = None if first is None else first + at // 8
            yield first, [_Piece(cell, 0, None, is_first=True, is_main=True)]
            row, first, at = [], None, 0
            continue
        sizes = []
        left, place = cell.bits, at % width
        while left:
            sizes.append(min(left, width - place))
            left, place = left - sizes[-1], 0
        for index, size in enumerate(sizes):
            if at == width:
                yield first, row
                row, first, at = [], None if first is None else first + count, 0
            row.append(_Piece(cell, at, size, is_first=index == 0, is_main=index == sizes.index(max(sizes))))
            at += size
    if row:
        yield first, row


def ascii_diagram(cells: Sequence[Cell]) -> str:
    """Returns a diagram in the style of RFCs: four bytes per row, with the highest bit of each byte first."""
    width = 8 * NARROW
    rule = "  +" + "-+" * width
    lines = ["   " + "".join(f"{byte:<16}" for byte in range(NARROW)).rstrip()]
    lines += ["   " + " ".join(str(bit) for _ in range(NARROW) for bit in range(7, -1, -1)), rule]
    for _, row in _rows(cells, NARROW):
        if row[0].bits is None:
            cell = row[0].cell
            words = f"{cell.label} ({cell.note})" if cell.note else cell.label
            lines += [f"  |{words[: 2 * width - 1]:^{2 * width - 1}}|".replace("|", ":").replace(":", "|", 1), rule]
            continue
        line = ""
        for piece in row:
            room = 2 * (piece.bits or 0) - 1
            label = piece.cell.label if piece.is_main else f"{piece.cell.label}.."
            label = label if len(label) <= room else label[: max(room - 1, 1)] + "."
            line += f"|{label:^{room}}"
        lines += [f"  {line}|", "  +" + "-+" * sum(piece.bits or 0 for piece in row)]
    widest = max(len(line) for line in lines[3:])
    return "\n".join(lines[:1] + [line[:widest] for line in lines[1:3]] + lines[3:]) + "\n"


def svg_diagrams(label: str, cells: Sequence[Cell]) -> tuple[str, ...]:
    """Returns the diagrams for wide and for narrow pages, or one diagram if it fits both."""
    fixed = sum(cell.bits or 0 for cell in cells)
    return tuple(_svg(label, cells, size) for size in ((WIDE, NARROW) if fixed > 8 * NARROW else (NARROW,)))


def _svg(label: str, cells: Sequence[Cell], size: int) -> str:
    unit, height, left, top = (11.0, 46.0, 30.0, 22.0) if size == NARROW else (10.0, 46.0, 30.0, 22.0)
    whole = unit * 8 * size
    parts = [
        text(str(byte), left + (byte + 0.5) * 8 * unit, top - 8, size=11, class_="hgp-ruler", text_anchor="middle")
        for byte in range(size)
    ]
    y = top
    for first, row in _rows(cells, size):
        if first is not None:
            parts.append(text(str(first), left - 8, y + height / 2 + 4, size=11, class_="hgp-ruler", text_anchor="end"))
        parts += [_piece(piece, left, y, unit, whole, height) for piece in row]
        y += height
    return svg(label, left + whole + 2, y + 2, parts, "hgp-bits")


def _piece(piece: _Piece, left: float, y: float, unit: float, whole: float, height: float) -> str:
    cell = piece.cell
    x = left + piece.start * unit
    width = whole if piece.bits is None else piece.bits * unit
    middle = x + width / 2
    kind = "hgp-cell hgp-muted" if cell.is_muted else "hgp-cell"
    shape = tag(
        "rect", x=x, y=y, width=width, height=height, class_="hgp-box hgp-open" if piece.bits is None else "hgp-box"
    )
    note = cell.note or _bits(cell.bits or 0)
    if not piece.is_main:
        note = ""
    label = cell.label if piece.is_main else "…"
    lines = [text(label, middle, y + height / 2 + (-2 if note else 4), room=width - 6, text_anchor="middle")]
    if note:
        small = text(
            note, middle, y + height / 2 + 14, room=width - 4, size=10.5, class_="hgp-note", text_anchor="middle"
        )
        # Omit a note that would be too small to read.
        if width - 4 >= 7.5 * GLYPH * len(note):
            lines.append(small)
        else:
            lines = [text(label, middle, y + height / 2 + 4, room=width - 6, text_anchor="middle")]
    said = f"{cell.label}, {cell.note or _bits(cell.bits or 0)}"
    if not piece.is_main:
        return tag("g", shape, *lines, class_=kind, aria_hidden="true")
    return tag("a", shape, *lines, class_=kind, href=address(cell.part), aria_label=said)


def _bits(bits: int) -> str:
    return counted(bits, "bit")
