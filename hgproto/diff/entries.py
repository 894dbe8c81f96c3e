"""Changes of CBOR: the entries of maps, the items of sequences, the allowed subset, and structures that span frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.diff.change import DOCUMENTATION, SEMANTIC, WIRE, Change, attributes, several, was

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hgproto.language.cbor_types import CborEntry, CborType
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
    keys = _paired_items(old, new) if what == "item" else {name: name for name in entries if name in others}
    yield from several(
        WIRE,
        path,
        lambda name: f"the {what} {name} {of}",
        entries,
        others,
        keys,
        lambda entry: f", {'repeated' if entry.repeated else 'optional' if entry.optional else 'required'},",
    )
    for name, other in keys.items():
        before, now = entries[name], others[other]
        subject = f"the {what} {other} {of}"
        yield from attributes(f"{path}.{other}", subject, before, now, ENTRY)
        yield from _type_changes(f"{path}.{other}", f"{other} {of}", subject, (before.type, before), (now.type, now))
    orders = list(keys.values()), [name for name in others if name in keys.values()]
    if what == "item" and orders[0] != orders[1]:
        sentence = was("order", f"the items {of}", *map(", ".join, orders))
        yield Change(WIRE, path, sentence, old[0].place, new[0].place)


def _paired_items(old: Sequence[CborEntry], new: Sequence[CborEntry]) -> dict[str, str]:
    """Returns the new names of items: the same, or that of the item of the same type at the same place."""
    names = {entry.name for entry in old} & {entry.name for entry in new}
    pairs = {}
    for number, entry in enumerate(old):
        other = new[number] if number < len(new) else None
        if entry.name in names:
            pairs[entry.name] = entry.name
        elif other is not None and other.name not in names and str(other.type) == str(entry.type):
            pairs[entry.name] = other.name
    return pairs


Typed = tuple["CborType", "CborEntry"]
"""A type, and the entry that it belongs to."""


def _type_changes(path: str, name: str, subject: str, old: Typed, new: Typed) -> Iterator[Change]:
    """Yields the changes of a type. ``name``: the words for the value, such as ``args of command-request``."""
    (before, of_before), (now, of_now) = old, new
    if before.name == now.name == "map":
        yield from entry_changes(f"{path}.entries", f"of {name}", before.entries, now.entries)
        return
    parts = _paired_parts(before, now)
    if before.name == now.name and parts is not None and _own(before) == _own(now):
        for label, first, second in parts:
            yield from _type_changes(f"{path}{label}", name, subject, (first, of_before), (second, of_now))
    else:
        sentence = was("type", subject, str(before), str(now))
        yield Change(WIRE, f"{path}.type", sentence, of_before.place, of_now.place)


def _own(type: CborType) -> tuple[object, ...]:
    """Returns the attributes of a type that are not about its parts. The order of choices has no meaning."""
    return type.minimum, type.tag, frozenset(type.choices)


def _paired_parts(old: CborType, new: CborType) -> list[tuple[str, CborType, CborType]] | None:
    """Returns the parts that belong together, each with the end of its path; None if their numbers or kinds differ."""
    if old.name == "tagged":
        cases = dict(zip(new.choices, new.parts, strict=True))
        if cases.keys() != {*old.choices}:
            return None
        return [(f".cases.{one}", part, cases[one]) for one, part in zip(old.choices, old.parts, strict=True)]
    if old.name == "one-of":
        options = {part.name: part for part in new.parts}
        if options.keys() != {part.name for part in old.parts}:
            return None
        return [(f".options.{part.name}", part, options[part.name]) for part in old.parts]
    if len(old.parts) != len(new.parts):
        return None
    labels = {"array": (".items",), "map-of": (".keys", ".values")}.get(
        old.name, tuple(f".parts.{number}" for number in range(len(old.parts)))
    )
    return list(zip(labels, old.parts, new.parts, strict=True))


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
        yield Change(WIRE, f"{path}.order", was("order", "the keys of maps", *orders), before.place, now.place)
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
