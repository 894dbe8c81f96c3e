"""Functions that build SVG, for all figures.

Colors come from the style sheet, so that figures follow the theme. A link to a part of the schema has the address
``part:KIND/NAME`` until a page is written, when the pages of all parts are known.
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
"""The width of a character of a monospaced font, relative to the font size."""

_ADDRESS = re.compile(r'href="part:([a-z]+)/([^"]+)"')


def tag(name: str, *children: str, **attributes: object) -> str:
    """Returns an element. In attribute names, underscores become hyphens, and ``class_`` is ``class``. None omits one."""
    words = [name]
    for key, value in attributes.items():
        if value is not None:
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            words.append(f'{key.rstrip("_").replace("_", "-")}="{escape(shown)}"')
    return f"<{' '.join(words)}>{''.join(children)}</{name}>"


def text(words: str, x: float, y: float, *, room: float | None = None, size: float = 13, **attributes: object) -> str:
    """Returns a line of text at ``x``, in a smaller font if it does not fit into ``room``."""
    if room is not None:
        size = round(min(size, room / (GLYPH * max(len(words), 1))), 1)
    return tag("text", escape(words), x=float(x), y=float(y), font_size=float(size), **attributes)


def address(part: Part) -> str:
    """Returns the temporary address of a part, which :func:`linked` replaces."""
    return f"part:{part.kind}/{part.name}"


def svg(label: str, width: float, height: float, children: Iterable[str], class_: str) -> str:
    """Returns a whole figure. ``label``: its text for screen readers."""
    box = f"0 0 {width:g} {height:g}"
    style = f"max-width: {width:g}px"
    return tag("svg", *children, viewBox=box, role="group", aria_label=label, class_=f"hgp {class_}", style=style)


def linked(drawing: str, find: Callable[[str, str], str | None]) -> str:
    """Returns a drawing with final addresses. ``find``: returns that of a part by kind and name; None without a page."""

    def replace(match: re.Match[str]) -> str:
        uri = find(match[1], match[2])
        return "" if uri is None else f'href="{escape(uri)}"'

    return _ADDRESS.sub(replace, drawing)
