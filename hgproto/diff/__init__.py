"""What differs between two schemas: the changes, sorted by what they do to those who speak the protocol.

Invariants: what is compared is the model, so that order, form and the cutting of files into parts are no change; machines are
compared by what they do. Everything else of a schema that differs is a change of some kind.
"""

from __future__ import annotations

from hgproto.diff.change import KINDS, Change
from hgproto.diff.events import of_events
from hgproto.diff.machines import of_machines
from hgproto.diff.messages import of_messages
from hgproto.diff.parts import Names, of_frames, of_header, of_schema, of_structures, of_tables
from hgproto.language.model import Schema
from hgproto.runtime.frame import check_instance

__all__ = ["KINDS", "Change", "changes"]


def changes(old: Schema, new: Schema) -> list[Change]:
    """All changes from ``old`` to ``new``, the gravest kind first, those of a kind from the header to the requirements.

    Both have to be good, as ``hgproto schema check`` has it. Raises :class:`TypeError` for what is no schema.
    """
    check_instance(old, Schema, "old")
    check_instance(new, Schema, "new")
    names = Names(old, new)
    found = [
        *of_schema(old, new),
        *of_header(old, new, names),
        *of_structures(old, new, names),
        *of_frames(old, new, names),
        *of_messages(old, new, names),
        *of_machines(old, new, names),
        *of_events(old, new, names.actions),
        *of_tables(old, new, names),
    ]
    return sorted(found, key=lambda change: KINDS.index(change.kind))
