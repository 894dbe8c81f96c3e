"""Small parts of pages as docutils nodes: paragraphs, tables, and references."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes
from sphinx import addnodes

from hgproto.language.mentions import Part, find_part, mentions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hgproto.language.model import Condition
    from hgproto.language.problems import Place
    from hgproto.sphinx.library import Volume

__all__ = ["Pieces", "bullets", "joined", "named", "paragraph", "section", "table", "target"]


def _inline(content: str | nodes.Node | Sequence[str | nodes.Node]) -> list[nodes.Node]:
    if isinstance(content, str):
        return [nodes.Text(content)] if content else []
    if isinstance(content, nodes.Node):
        return [content]
    return [node for piece in content for node in _inline(piece)]


def paragraph(*content: str | nodes.Node | Sequence[str | nodes.Node]) -> nodes.paragraph:
    """Returns a paragraph."""
    return nodes.paragraph("", "", *_inline(content))


def joined(items: Iterable[Sequence[nodes.Node]], by: str = ", ") -> list[nodes.Node]:
    """Returns the items with ``by`` between them."""
    result: list[nodes.Node] = []
    for item in items:
        if result:
            result.append(nodes.Text(by))
        result += item
    return result


def bullets(items: Iterable[str | nodes.Node | Sequence[str | nodes.Node]]) -> nodes.bullet_list:
    """Returns a list with bullets."""
    return nodes.bullet_list("", *(nodes.list_item("", paragraph(item)) for item in items), bullet="*")


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str | nodes.Node | Sequence[str | nodes.Node]]],
    *,
    kind: str,
    widths: Sequence[int] | None = None,
) -> nodes.table:
    """Returns a table. ``kind``: its class for the style sheet. A cell can be text, inline nodes, a list, or a paragraph."""
    sizes = widths or [1] * len(heads)
    group = nodes.tgroup("", *(nodes.colspec(colwidth=size) for size in sizes), cols=len(heads))
    group += nodes.thead("", _row(heads))
    group += nodes.tbody("", *(_row(row) for row in rows))
    return nodes.table("", group, classes=["colwidths-given", "hgp-table", f"hgp-{kind}"])


def _row(cells: Iterable[str | nodes.Node | Sequence[str | nodes.Node]]) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        is_whole = isinstance(cell, nodes.bullet_list | nodes.paragraph)
        row += nodes.entry("", cell if is_whole else paragraph(cell))
    return row


def target(anchor: str, *content: nodes.Node) -> nodes.inline:
    """Returns content that links can refer to."""
    inline = nodes.inline("", "", *content, classes=["hgp-target"])
    add_anchor(inline, anchor)
    return inline


def add_anchor(node: nodes.Element, anchor: str) -> None:
    """Adds an anchor to a node, as an id and as a target. LaTeX can only link to targets."""
    node["ids"].append(anchor)
    node.insert(0, nodes.target("", "", refid=anchor))


def named(anchor: str | None, name: str) -> list[nodes.Node]:
    """Returns a name, with an anchor unless it is None."""
    words = nodes.literal("", name)
    return [words if anchor is None else target(anchor, words)]


def section(title: str | Sequence[nodes.Node], anchor: str, *content: nodes.Node) -> nodes.section:
    """Returns a section."""
    return nodes.section("", nodes.title("", "", *_inline(title)), *content, ids=[anchor], names=[anchor])


class Pieces:
    """Builds references to parts of a schema, and texts with them, for a page.

    ``times``: the number of times that the page has shown the same part before.
    """

    def __init__(self, volume: Volume, page: str, times: int = 0) -> None:
        self.volume = volume
        self.page = page
        self._suffix = f"-{times + 1}" if times else ""

    def within(self, anchor: str) -> str:
        """Returns a unique anchor on the page, for content that is not a part of the schema."""
        return self.volume.within(anchor) + self._suffix

    def ref(self, part: Part, text: str | None = None, place: Place | None = None) -> addnodes.pending_xref:
        """Returns a reference to a part. ``place``: the place in the schema that refers to it."""
        role = "req" if part.kind == "requirement" else part.kind
        words = nodes.literal("", text or part.name, classes=["xref", "hgproto", f"hgproto-{role}"])
        node = addnodes.pending_xref(
            "",
            words,
            refdomain="hgproto",
            reftype=role,
            reftarget=self.volume.prefix + part.name,
            refexplicit=text is not None,
            refwarn=True,
            refdoc=self.page,
            hgproto_mention=True,
        )
        place = place or self.volume.parts.get(part)
        if place is not None:
            node.source, node.line = place.file, place.line
        return node

    def rule(self, id: str, place: Place | None = None) -> addnodes.pending_xref:
        """Returns a reference to a requirement."""
        return self.ref(Part("requirement", id), place=place)

    def prose(self, text: str, within: str | None, place: Place) -> list[nodes.Node]:
        """Returns a text of the schema, with references to the parts that it mentions. ``within``: its owner."""
        result: list[nodes.Node] = []
        for piece, is_name in mentions(text):
            part = find_part(piece, self.volume.parts, within) if is_name else None
            result.append(self.ref(part, piece, place) if part else nodes.Text(piece))
        return result

    def condition(self, condition: Condition, frames: Sequence[str], *, inside: bool = False) -> list[nodes.Node]:
        """Returns a condition in words. A flag is that of the first of ``frames`` that has it."""
        match condition.kind:
            case "not":
                part = condition.parts[0]
                if part.kind == "guard" and part.value is not None:
                    return [self.ref(Part("guard", part.name)), nodes.Text(f" is not {part.value}")]
                word = "no " if part.kind == "flag" else "not "
                return [nodes.Text(word), *self.condition(part, frames, inside=True)]
            case "and" | "or":
                parts = (self.condition(part, frames, inside=True) for part in condition.parts)
                words = joined(parts, f" {condition.kind} ")
                return [nodes.Text("("), *words, nodes.Text(")")] if inside else words
            case "flag":
                owned = (Part("flag", f"{frame}.{condition.name}") for frame in frames)
                part_ = next((part for part in owned if part in self.volume.parts), Part("flag", condition.name))
                return [self.ref(part_, condition.name)]
            case "state":
                return [nodes.Text(f"{condition.name} is in {condition.value}")]
        words = [self.ref(Part("guard", condition.name))]
        return words if condition.value is None else [*words, nodes.Text(f" is {condition.value}")]
