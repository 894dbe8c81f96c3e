"""Changes of CBOR: the entries of maps, the items of sequences, the allowed subset, and structures that span frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.diff.change import DOCUMENTATION, SEMANTIC, WIRE, Change, attributes, several, was

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hgproto.language.cbor_types import CborEntry
    from hgproto.language.model import FrameType, Schema

__all__ = ["ENTRY", "entry_changes", "join_changes", "of_cbor"]

ENTRY = {"optional": WIRE, "repeated": WIRE, "doc": DOCUMENTATION}
"""The attributes of an entry that are compared by value, with the kind of a change."""


def entry_changes(
    path: str, of: str, old: Sequence[CborEntry], new: Sequence[CborEntry], what: str = "key"
) -> Iterator[Change]:
    """Yields the changes of the keys of a map, or of the items of a sequence.

    ``of``: the words that name the map or the sequence in a sentence, such as ``of progress``. ``what``: ``key`` or ``item``.
    """
    entries, others = {entry.name: entry for entry in old}, {entry.name: entry for entry in new}
    keys = {name: name for name in entries if name in others}
    yield from several(
        WIRE,
        path,
        lambda name: f"the {what} {name} {of}",
        entries,
        others,
        keys,
        lambda entry: f", {'optional' if entry.optional else 'required'},",
    )
    for name in keys:
        before, now = entries[name], others[name]
        subject = f"the {what} {name} {of}"
        yield from attributes(f"{path}.{name}", subject, before, now, ENTRY)
        if before.type.name == now.type.name == "map":
            yield from entry_changes(f"{path}.{name}.entries", f"of {name} {of}", before.type.entries, now.type.entries)
        elif str(before.type) != str(now.type):
            sentence = was("type", subject, str(before.type), str(now.type))
            yield Change(WIRE, f"{path}.{name}.type", sentence, before.place, now.place)
    orders = list(keys), [name for name in others if name in keys]
    if what == "item" and orders[0] != orders[1]:
        sentence = was("order", f"the items {of}", *map(", ".join, orders))
        yield Change(WIRE, path, sentence, old[0].place, new[0].place)


def of_cbor(old: Schema, new: Schema, requirements: Mapping[str, str]) -> Iterator[Change]:
    """Yields the changes of the subset of CBOR. ``requirements``: their new names."""
    path, before, now = "cbor", old.cbor, new.cbor
    if before is None or now is None:
        if before is not now:
            word = "new" if before is None else "gone"
            old_place, new_place = (None if subset is None else subset.place for subset in (before, now))
            yield Change(WIRE, path, f"The subset of CBOR is {word}.", old_place, new_place)
        return
    yield from attributes(path, "the subset of CBOR", before, now, {"doc": DOCUMENTATION})
    orders = ["alphabetical" if subset.is_alphabetical else "encoded" for subset in (before, now)]
    if orders[0] != orders[1]:
        yield Change(SEMANTIC, f"{path}.order", was("order", "the keys of maps", *orders), before.place, now.place)
    tags = [", ".join(map(str, subset.tags)) or None for subset in (before, now)]
    if tags[0] != tags[1]:
        yield Change(WIRE, f"{path}.tags", was("list", "the tags that are allowed", *tags), before.place, now.place)
    for kind in (*before.forbids, *(kind for kind in now.forbids if kind not in before.forbids)):
        rules = before.forbids.get(kind), now.forbids.get(kind)
        if requirements.get(rules[0] or "", rules[0]) != rules[1]:
            sentence = was("requirement", f"the forbidden {kind}", *rules)
            of_change = WIRE if None in rules else SEMANTIC
            yield Change(of_change, f"{path}.forbids.{kind}", sentence, before.place, now.place)


def join_changes(
    path: str, subject: str, old: FrameType, new: FrameType, structures: Mapping[str, str], limits: Mapping[str, str]
) -> Iterator[Change]:
    """Yields the changes of the structure that the payloads of a frame type form together."""
    names = [None if frame.joins is None else frame.joins.structure.name for frame in (old, new)]
    if structures.get(names[0] or "", names[0]) != names[1]:
        sentence = was("joined structure", subject, *names)
        yield Change(WIRE, f"{path}.joins.structure", sentence, old.place, new.place)
    bounds = [None if frame.joins is None else frame.joins.limit for frame in (old, new)]
    if limits.get(bounds[0] or "", bounds[0]) != bounds[1]:
        yield Change(
            WIRE, f"{path}.joins.limit", was("limit on the joined bytes", subject, *bounds), old.place, new.place
        )
