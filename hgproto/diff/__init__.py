"""Compares two schemas, and classifies each change by its effect on implementations of the protocol.

Invariants: the comparison uses the model, so that order, formatting, and the division into files are not changes. Machines are
compared by their behavior. Every other difference of the schemas is a change of some kind.
"""

from __future__ import annotations

from hgproto.diff.change import KINDS, Change
from hgproto.diff.entries import of_cbor
from hgproto.diff.events import of_events
from hgproto.diff.machines import of_machines
from hgproto.diff.messages import of_messages
from hgproto.diff.parts import Names, of_frames, of_header, of_schema, of_structures, of_tables
from hgproto.language.model import Schema
from hgproto.runtime.frame import check_instance

__all__ = ["KINDS", "Change", "changes"]


def changes(old: Schema, new: Schema) -> list[Change]:
    """Returns all changes from ``old`` to ``new``, sorted by kind from the gravest, then from the header to the requirements.

    Both schemas must pass ``hgproto schema check``. Raises :class:`TypeError` for an argument that is not a schema.
    """
    check_instance(old, Schema, "old")
    check_instance(new, Schema, "new")
    names = Names(old, new)
    found = [
        *of_schema(old, new),
        *of_header(old, new, names),
        *of_cbor(old, new, names.requirements),
        *of_structures(old, new, names),
        *of_frames(old, new, names),
        *of_messages(old, new, names),
        *of_machines(old, new, names),
        *of_events(old, new, names.actions),
        *of_tables(old, new, names),
    ]
    return sorted(found, key=lambda change: KINDS.index(change.kind))
