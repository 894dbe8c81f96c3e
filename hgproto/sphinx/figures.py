"""Nodes for what docutils has none for: drawings, and octets with what they mean. HTML shows them; other writers get text."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from docutils import nodes

from hgproto.sphinx.drawing import linked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sphinx.application import Sphinx

    from hgproto.tree import Annotation

__all__ = ["add_nodes", "annotated_octets", "drawing", "folded"]


class drawing(nodes.General, nodes.Element):  # noqa: N801 - as nodes are called
    """A drawing. ``svgs``: for wide pages, and for narrow ones; ``text``: the same as text; ``label``: what it shows."""


class annotated_octets(nodes.General, nodes.Element):  # noqa: N801
    """Octets and what they mean.

    ``octets``: all of them. ``annotations``: of fields, in wire order. ``fault``: the first octet that is wrong and the one
    after the last, None where nothing is. ``label``: what they show.
    """


class folded(nodes.General, nodes.Element):  # noqa: N801
    """What is shown when it is asked for; ``summary`` stands in its place until then."""


def _html_drawing(writer: Any, node: drawing) -> None:
    domain = writer.builder.env.get_domain("hgproto")

    def find(kind: str, name: str) -> str | None:
        place = domain.place(kind, node["prefix"] + name)
        if place is None:
            return None
        page, anchor = place
        here = writer.builder.current_docname
        return f"#{anchor}" if page == here else f"{writer.builder.get_relative_uri(here, page)}#{anchor}"

    svgs = [linked(svg, find) for svg in node["svgs"]]
    body = svgs[0] if len(svgs) == 1 else "".join(
        f'<div class="hgp-{room}">{svg}</div>' for room, svg in zip(("wide", "narrow"), svgs, strict=True)
    )  # fmt: skip
    text = ""
    if node["text"]:
        text = f'<details class="hgp-text"><summary>as text</summary><pre>{escape(node["text"])}</pre></details>'
    writer.body.append(f'<div class="hgp-figure">{body}{text}</div>\n')
    raise nodes.SkipNode


def _html_octets(writer: Any, node: annotated_octets) -> None:
    annotations: Sequence[Annotation] = node["annotations"]
    dump = "".join(_runs(node["octets"], annotations, node["fault"]))
    rows = "".join(
        f'<tr data-field="{index}" tabindex="0"><td>{_octets_text(one.start, one.end)}</td><th scope="row">{escape(one.path)}</th>'
        f"<td><code>{escape(one.value)}</code></td><td>{escape(one.meaning.replace('`', ''))}</td></tr>"
        for index, one in enumerate(annotations)
    )
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("octets", "field", "value", "meaning"))
    table = f'<table class="hgp-means"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>' if rows else ""
    label = escape(node["label"])
    writer.body.append(
        f'<div class="hgp-octets" role="group" aria-label="{label}"><p class="hgp-dump">{dump}</p>{table}</div>\n'
    )
    raise nodes.SkipNode


def _octets_text(start: int, end: int) -> str:
    if start == end:
        return "none"
    return str(start) if end == start + 1 else f"{start} to {end - 1}"


def _runs(octets: bytes, annotations: Sequence[Annotation], fault: tuple[int, int] | None) -> Iterator[str]:
    """The octets, those of the same fields together; what is wrong is marked, and where something is missing."""

    def marks(at: int) -> tuple[tuple[int, ...], bool]:
        fields = tuple(index for index, one in enumerate(annotations) if one.start <= at < one.end)
        return fields, fault is not None and fault[0] <= at < fault[1]

    missing = '<mark class="hgp-missing" title="octets are missing here">…</mark> '
    at = 0
    while at < len(octets):
        if fault == (at, at):
            yield missing
        first, end = marks(at), at + 1
        while end < len(octets) and marks(end) == first and fault != (end, end):
            end += 1
        fields, is_wrong = first
        text = octets[at:end].hex(" ")
        data = f' data-fields="{" ".join(map(str, fields))}"' if fields else ""
        kind = "mark" if is_wrong else "span"
        yield f"<{kind}{data}>{text}</{kind}> "
        at = end
    if fault is not None and fault[0] >= len(octets):
        yield missing


def text_of(node: nodes.Element) -> str:
    """The node as text."""
    if isinstance(node, drawing):
        return str(node["text"])
    lines = [node["octets"].hex(" ")]
    lines += [f"{_octets_text(one.start, one.end):>10}  {one.path}  {one.value}" for one in node["annotations"]]
    return "\n".join(lines) + "\n"


def _as_literal(writer: Any, node: nodes.Element) -> None:
    """The node in a writer that has no pictures: a literal block."""
    text = text_of(node)
    if text:
        nodes.literal_block(text, text, language="text").walkabout(writer)
    raise nodes.SkipNode


def _html_fold(writer: Any, node: folded) -> None:
    writer.body.append(f"<details class='hgp-folded'><summary>{escape(node['summary'])}</summary>\n")


def _html_unfold(writer: Any, node: folded) -> None:
    writer.body.append("</details>\n")


def _unfolded(writer: Any, node: folded) -> None:
    """Where nothing can be folded, all is shown."""


def _depart(writer: Any, node: nodes.Element) -> None:
    """Never called: the visits skip their nodes."""


def add_nodes(app: Sphinx) -> None:
    """Tells Sphinx how the nodes are written."""
    literal, plain = (_as_literal, _depart), (_unfolded, _unfolded)
    app.add_node(folded, html=(_html_fold, _html_unfold), latex=plain, text=plain, man=plain, texinfo=plain)
    for node, html in ((drawing, _html_drawing), (annotated_octets, _html_octets)):
        app.add_node(node, html=(html, _depart), latex=literal, text=literal, man=literal, texinfo=literal)
