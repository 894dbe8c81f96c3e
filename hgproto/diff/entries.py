"""Changes of the entries of CBOR maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.diff.change import DOCUMENTATION, WIRE, Change, attributes, several, was

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hgproto.language.cbor_types import CborEntry

__all__ = ["ENTRY", "entry_changes"]

ENTRY = {"optional": WIRE, "doc": DOCUMENTATION}
"""The attributes of an entry that are compared by value, with the kind of a change."""


def entry_changes(path: str, of: str, old: Sequence[CborEntry], new: Sequence[CborEntry]) -> Iterator[Change]:
    """Yields the changes of the keys of a map. ``of``: the words that name the map in a sentence, such as ``of progress``."""
    entries, others = {entry.name: entry for entry in old}, {entry.name: entry for entry in new}
    keys = {name: name for name in entries if name in others}
    yield from several(
        WIRE,
        path,
        lambda name: f"the key {name} {of}",
        entries,
        others,
        keys,
        lambda entry: f", {'optional' if entry.optional else 'required'},",
    )
    for name in keys:
        before, now = entries[name], others[name]
        subject = f"the key {name} {of}"
        yield from attributes(f"{path}.{name}", subject, before, now, ENTRY)
        if before.type.name == now.type.name == "map":
            yield from entry_changes(f"{path}.{name}.entries", f"of {name} {of}", before.type.entries, now.type.entries)
        elif str(before.type) != str(now.type):
            sentence = was("type", subject, str(before.type), str(now.type))
            yield Change(WIRE, f"{path}.{name}.type", sentence, before.place, now.place)
