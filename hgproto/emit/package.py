"""Emits ``__init__.py`` of a generated package: its docstring and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.emit.text import docstring, heading

if TYPE_CHECKING:
    from hgproto.language.model import Schema

__all__ = ["emit"]


def emit(schema: Schema) -> str:
    """The source of ``__init__.py``."""
    text = (
        f"{schema.title}.\n\n{schema.doc.strip()}\n\n"
        "In it, ``codec`` reads and writes frames and payloads fast, ``structs`` has the same as construct Structs, "
        "``machines`` says which frame may come when, ``receive`` does that for the usual frames, ``roles`` says what the parts "
        "are for, and ``requirements`` has the rules in words."
    )
    return heading(schema) + "\n".join(docstring(text, 0)) + "\n"
