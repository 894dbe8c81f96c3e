"""Emits ``__init__.py`` of a generated package, which contains only a docstring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.emit.text import docstring, heading

if TYPE_CHECKING:
    from hgproto.language.model import Schema

__all__ = ["emit"]


def emit(schema: Schema) -> str:
    """Returns the source of ``__init__.py``."""
    text = (
        f"{schema.title}.\n\n{schema.doc.strip()}\n\n"
        "Modules:\n\n"
        "``codec``: decodes and encodes frames and payloads fast.\n"
        "``structs``: the same structures as construct Structs.\n"
        "``machines``: the state machines as tables.\n"
        "``build``: functions that build the frames of messages.\n"
        "``receive``: the loops in which reactors receive common frames.\n"
        "``roles``: the roles of frame types and flags, for code that serves every revision.\n"
        "``requirements``: the catalogue of requirements."
    )
    return heading(schema) + "\n".join(docstring(text, 0)) + "\n"
