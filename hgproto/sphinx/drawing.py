"""SVG as text: what the figures share.

Colours come from the style sheet, so figures follow the theme. What leads to a part of the schema has the address
``part:KIND/NAME`` until a page is written and knows where its parts are.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hgproto.language.mentions import Part

__all__ = ["GLYPH", "address", "linked", "svg", "tag", "text"]

GLYPH = 0.6
"""The width of a character of a monospaced font, in font sizes."""

_ADDRESS = re.compile(r'href="part:([a-z]+)/([^"]+)"')


def tag(name: str, *children: str, **attributes: object) -> str:
    """An element. Underscores of attribute names stand for hyphens, ``class_`` for ``class``; None leaves one out."""
    words = [name]
    for key, value in attributes.items():
        if value is not None:
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            words.append(f'{key.rstrip("_").replace("_", "-")}="{escape(shown)}"')
    return f"<{' '.join(words)}>{''.join(children)}</{name}>"


def text(words: str, x: float, y: float, *, room: float | None = None, size: float = 13, **attributes: object) -> str:
    """A line of text around ``x``, made smaller where ``room`` asks for it."""
    if room is not None:
        size = round(min(size, room / (GLYPH * max(len(words), 1))), 1)
    return tag("text", escape(words), x=float(x), y=float(y), font_size=float(size), **attributes)


def address(part: Part) -> str:
    """The address of a part, until it is known where it is."""
    return f"part:{part.kind}/{part.name}"


def svg(label: str, width: float, height: float, children: Iterable[str], class_: str) -> str:
    """A whole figure, which says ``label`` to those who do not see it."""
    box = f"0 0 {width:g} {height:g}"
    style = f"max-width: {width:g}px"
    return tag("svg", *children, viewBox=box, role="group", aria_label=label, class_=f"hgp {class_}", style=style)


def linked(drawing: str, find: Callable[[str, str], str | None]) -> str:
    """The drawing with real addresses; ``find`` gives that of a part by kind and name, None where it is on no page."""

    def replace(match: re.Match[str]) -> str:
        uri = find(match[1], match[2])
        return "" if uri is None else f'href="{escape(uri)}"'

    return _ADDRESS.sub(replace, drawing)
