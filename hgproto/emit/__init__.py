"""Emitters: one module a target, from the resolved model to source text.

Invariants: an emitter sees the model and never YAML; the same model gives the same text, byte for byte; text of a schema is
never code (see :mod:`hgproto.emit.text`); an emitter breaks no long line (see :mod:`hgproto.emit.line_breaks`). A new target
is a new module and a line in :data:`TARGETS`.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING

from hgproto.emit import codec, events, machines, messages, package, receive, requirements, roles, structs
from hgproto.emit.line_breaks import fitted
from hgproto.emit.text import refuse_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hgproto.language.model import Schema

__all__ = ["TARGETS", "shared"]


def _finished(emit: Callable[[Schema], str]) -> Callable[[Schema], str]:
    @wraps(emit)
    def finished(schema: Schema) -> str:
        refuse_names(schema)
        return fitted(emit(schema))

    return finished


TARGETS = {
    "__init__.py": _finished(package.emit),
    "codec.py": _finished(codec.emit),
    "structs.py": _finished(structs.emit),
    "machines.py": _finished(machines.emit),
    "roles.py": _finished(roles.emit),
    "build.py": _finished(messages.emit),
    "receive.py": _finished(receive.emit),
    "requirements.py": _finished(requirements.emit),
}
"""The files of a generated package and what makes each."""


def shared(schemas: Sequence[Schema]) -> dict[str, str]:
    """Returns the files that revisions share, by name. They stand in the package ``reactors``. ``schemas``: one or more."""
    for schema in schemas:
        refuse_names(schema)
    return {"event_values.py": fitted(events.emit(schemas))}
