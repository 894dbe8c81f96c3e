"""Shows parameters as fields: docstrings describe them as ``name``: and a text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sphinx.application import Sphinx

__all__ = ["setup", "with_fields"]

_MARK = re.compile(r"(?:^|(?<=\. )|(?<=\.\n)|(?<=\n))(``\w+``(?:(?:,| and|, and) ``\w+``)*):\s", re.MULTILINE)
_AFTER = re.compile(r"(?<=\.)\s+(?=Raises\b|Returns\b)")


def with_fields(text: str) -> str:
    """Returns a docstring whose descriptions of parameters are fields, at its end."""
    paragraphs: list[str] = []
    fields: list[str] = []
    for paragraph in text.split("\n\n"):
        kept = paragraph
        if not paragraph.startswith((" ", "*", "..", ">>>")):
            lead, *described = _MARK.split(paragraph)
            kept = lead
            for names, description in zip(described[::2], described[1::2], strict=True):
                words, *rest = _AFTER.split(description, maxsplit=1)
                fields += _fields(re.findall(r"\w+", names), words)
                kept = " ".join([kept.rstrip(), *rest]).lstrip()
        if kept.strip():
            paragraphs.append(kept.rstrip())
    return "\n\n".join([*paragraphs, "\n".join(fields)]).strip() + "\n"


def _fields(names: Sequence[str], words: str) -> Iterator[str]:
    names = [name for name in names if name != "and"]
    text = " ".join(words.split())
    for name in names:
        yield f":param {name}: {text[:1].upper()}{text[1:]}"


def _process(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    if what in ("function", "method", "class", "exception"):
        lines[:] = with_fields("\n".join(lines)).split("\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Changes docstrings before they are parsed."""
    app.connect("autodoc-process-docstring", _process)
    return {"parallel_read_safe": True}
