"""Emitters, which turn the resolved model into source text: one module per target.

Invariants: an emitter reads the model and never YAML. The same model always results in the same text, byte for byte. Text of a
schema never becomes code (see :mod:`hgproto.emit.text`). Emitters do not break long lines (see
:mod:`hgproto.emit.line_breaks`). A new target needs a new module and a line in :data:`TARGETS`.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING

from hgproto.emit import codec, events, machines, messages, package, receive, requirements, roles, structs
from hgproto.emit.line_breaks import fitted
from hgproto.emit.text import reject_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hgproto.language.model import Schema

__all__ = ["TARGETS", "shared"]


def _finished(emit: Callable[[Schema], str]) -> Callable[[Schema], str]:
    @wraps(emit)
    def finished(schema: Schema) -> str:
        reject_names(schema)
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
"""The files of a generated package, with the functions that emit them."""


def shared(schemas: Sequence[Schema]) -> dict[str, str]:
    """Returns the files of the package ``reactors`` that revisions share, by name. ``schemas``: one or more."""
    for schema in schemas:
        reject_names(schema)
    return {"event_values.py": fitted(events.emit(schemas))}
