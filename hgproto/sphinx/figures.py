"""Nodes that docutils lacks: drawings, and bytes with their meaning.

Writers never visit these nodes. Before a page is written, :func:`replace_nodes` replaces them by markup for builders with the
format HTML, and by text for all others. Handlers per format would not work: Sphinx looks for handlers by the name of the
builder first. If an extension registers one by name, Sphinx ignores all handlers by format for that builder.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from docutils import nodes

from hgproto.sphinx.drawing import linked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sphinx.application import Sphinx

    from hgproto.wire.tree import Annotation

__all__ = ["add_nodes", "annotated_bytes", "drawing", "folded", "replace_nodes"]


class drawing(nodes.General, nodes.Element):  # noqa: N801 - in the style of docutils
    """A drawing. ``svgs``: for wide and narrow pages. ``text``: the same as text. ``label``: its title."""


class annotated_bytes(nodes.General, nodes.Element):  # noqa: N801
    """Bytes with their meaning.

    ``data``: all bytes. ``annotations``: those of the fields, in wire order. ``fault``: the first invalid byte and the end of
    the invalid bytes; None for valid bytes. ``label``: the title.
    """


class folded(nodes.General, nodes.Element):  # noqa: N801
    """Content that is folded until the reader opens it. ``summary``: the text that is always shown."""


def replace_nodes(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Replaces these nodes on a page by nodes that every writer supports."""
    is_html = app.builder.format == "html"
    for node in list(doctree.findall(_is_ours)):
        if isinstance(node, folded):
            before, after = [], []
            if is_html:
                before = _raw(f"<details class='hgp-folded'><summary>{escape(node['summary'])}</summary>\n")
                after = _raw("</details>\n")
            _replace(node, [*before, *node.children, *after])
        elif is_html:
            is_drawing = isinstance(node, drawing)
            _replace(node, _raw(_html_of_drawing(node, app, docname) if is_drawing else _html_of_bytes(node)))
        else:
            text = text_of(node)
            _replace(node, [nodes.literal_block(text, text, language="text")] if text else [])


def _replace(node: nodes.Node, others: list[nodes.Node]) -> None:
    """Replaces a node by others, without copying its classes to them."""
    parent = node.parent
    at = parent.index(node)
    parent[at : at + 1] = others


def _is_ours(node: nodes.Node) -> bool:
    return isinstance(node, drawing | annotated_bytes | folded)


def _raw(markup: str) -> list[nodes.Node]:
    return [nodes.raw("", markup, format="html")]


def _html_of_drawing(node: drawing, app: Sphinx, docname: str) -> str:
    domain: Any = app.env.get_domain("hgproto")

    def find(kind: str, name: str) -> str | None:
        place = domain.place(kind, node["prefix"] + name)
        if place is None:
            return None
        page, anchor = place
        # If all pages are in one file, the address of a page is an anchor too.
        before = "" if page == docname else app.builder.get_relative_uri(docname, page).partition("#")[0]
        return f"{before}#{anchor}"

    svgs = [linked(svg, find) for svg in node["svgs"]]
    body = svgs[0] if len(svgs) == 1 else "".join(
        f'<div class="hgp-{room}">{svg}</div>' for room, svg in zip(("wide", "narrow"), svgs, strict=True)
    )  # fmt: skip
    text = ""
    if node["text"]:
        text = f'<details class="hgp-text"><summary>as text</summary><pre>{escape(node["text"])}</pre></details>'
    return f'<div class="hgp-figure">{body}{text}</div>\n'


def _html_of_bytes(node: annotated_bytes) -> str:
    annotations: Sequence[Annotation] = node["annotations"]
    dump = "".join(_runs(node["data"], annotations, node["fault"]))
    rows = "".join(
        f'<tr data-field="{index}" tabindex="0"><td>{_bytes_text(one.start, one.end)}</td><th scope="row">{escape(one.path)}</th>'
        f"<td><code>{escape(one.value)}</code></td><td>{escape(one.meaning.replace('`', ''))}</td></tr>"
        for index, one in enumerate(annotations)
    )
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("bytes", "field", "value", "meaning"))
    table = f'<table class="hgp-means"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>' if rows else ""
    label = escape(node["label"])
    return f'<div class="hgp-bytes" role="group" aria-label="{label}"><p class="hgp-dump">{dump}</p>{table}</div>\n'


def _bytes_text(start: int, end: int) -> str:
    if start == end:
        return "none"
    return str(start) if end == start + 1 else f"{start} to {end - 1}"


def _runs(raw: bytes, annotations: Sequence[Annotation], fault: tuple[int, int] | None) -> Iterator[str]:
    """Yields the markup of the bytes, grouped by field, with marks for invalid and missing bytes."""

    def marks(at: int) -> tuple[tuple[int, ...], bool]:
        fields = tuple(index for index, one in enumerate(annotations) if one.start <= at < one.end)
        return fields, fault is not None and fault[0] <= at < fault[1]

    missing = '<mark class="hgp-missing" title="bytes are missing here">…</mark> '
    at = 0
    while at < len(raw):
        if fault == (at, at):
            yield missing
        first, end = marks(at), at + 1
        while end < len(raw) and marks(end) == first and fault != (end, end):
            end += 1
        fields, is_wrong = first
        text = raw[at:end].hex(" ")
        data = f' data-fields="{" ".join(map(str, fields))}"' if fields else ""
        kind = "mark" if is_wrong else "span"
        yield f"<{kind}{data}>{text}</{kind}> "
        at = end
    if fault is not None and fault[0] >= len(raw):
        yield missing


def text_of(node: nodes.Element) -> str:
    """Returns a node as text."""
    if isinstance(node, drawing):
        return str(node["text"])
    lines = [node["data"].hex(" ")] if node["data"] else []
    lines += [f"{_bytes_text(one.start, one.end):>10}  {one.path}  {one.value}" for one in node["annotations"]]
    return "".join(f"{line}\n" for line in lines)


def add_nodes(app: Sphinx) -> None:
    """Registers the nodes with Sphinx, and the handler that replaces them."""
    for node in (drawing, annotated_bytes, folded):
        app.add_node(node)
    # It runs after all other handlers, because references inside of a fold must be resolved first.
    app.connect("doctree-resolved", replace_nodes, priority=900)
