"""Emitters: one module a target, from the resolved model to source text.

Invariants: an emitter sees the model and never YAML; the same model gives the same text, byte for byte; text of a schema is
never code (see :mod:`hgproto.emit.text`). A new target is a new module and a line in :data:`TARGETS`.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING

from hgproto.emit import codec, machines, package, requirements, structs
from hgproto.emit.text import refuse_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgproto.language.model import Schema

__all__ = ["TARGETS"]


def _with_names_checked(emit: Callable[[Schema], str]) -> Callable[[Schema], str]:
    @wraps(emit)
    def checked(schema: Schema) -> str:
        refuse_names(schema)
        return emit(schema)

    return checked


TARGETS = {
    "__init__.py": _with_names_checked(package.emit),
    "codec.py": _with_names_checked(codec.emit),
    "structs.py": _with_names_checked(structs.emit),
    "machines.py": _with_names_checked(machines.emit),
    "requirements.py": _with_names_checked(requirements.emit),
}
"""The files of a generated package and what makes each."""
