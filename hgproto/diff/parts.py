"""Changes of the header, flags, structures, frame types, limits, content encodings, sources, and requirements."""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hgproto.diff.change import (
    DOCUMENTATION,
    KINDS,
    LAYOUT,
    SEMANTIC,
    WIRE,
    Change,
    attributes,
    bare,
    paired,
    several,
    was,
)
from hgproto.diff.entries import entry_changes, join_changes
from hgproto.diff.events import paired_actions
from hgproto.language.constraints import allowed_flags
from hgproto.language.model import STRINGS, Field
from hgproto.language.show import size_text, type_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hgproto.language.model import (
        BitField,
        Constraint,
        Example,
        Flag,
        FrameType,
        Header,
        PayloadCase,
        Schema,
        Structure,
    )

__all__ = ["Flags", "Names", "of_frames", "of_header", "of_schema", "of_structures", "of_tables"]


SCHEMA = {"revision": SEMANTIC, "media_type": WIRE, "human": SEMANTIC, "title": DOCUMENTATION, "doc": DOCUMENTATION}
LIMIT = {"default": WIRE, "maximum": WIRE, "unit": SEMANTIC, "doc": DOCUMENTATION, "reason": DOCUMENTATION}
PROFILE = {"settings": WIRE, "algorithm": WIRE, "window": WIRE, "source": DOCUMENTATION, "doc": DOCUMENTATION}
SOURCE = {"document": DOCUMENTATION, "version": DOCUMENTATION, "doc": DOCUMENTATION}
REQUIREMENT = {
    "binds": SEMANTIC,
    "level": SEMANTIC,
    "text": SEMANTIC,
    "resolution": SEMANTIC,
    "enforced": SEMANTIC,
    "source": DOCUMENTATION,
    "section": DOCUMENTATION,
    "why": DOCUMENTATION,
    "reason": DOCUMENTATION,
    "reference": DOCUMENTATION,
    "severity": SEMANTIC,
}
FLAG = {"bit": WIRE, "role": WIRE, "doc": DOCUMENTATION}
FRAME = {
    "code": WIRE,
    "role": WIRE,
    "sender": WIRE,
    "sender_requirement": SEMANTIC,
    "title": DOCUMENTATION,
    "doc": DOCUMENTATION,
}
FIELD = {"at_most": WIRE, "limit": WIRE, "show": SEMANTIC, "doc": DOCUMENTATION}


class Flags:
    """The flags that a frame type can have, with the names of the new schema.

    ``keys``: for each flag, its new name after ``stream`` or ``frame``. ``sets``: the sets of keys that the constraints allow.
    """

    def __init__(self, frame: FrameType, schema: Schema, names: Mapping[str, str]) -> None:
        self.keys = {flag.name: f"stream {names.get(flag.name, flag.name)}" for flag in schema.stream_flags}
        self.keys |= {flag.name: f"frame {names.get(flag.name, flag.name)}" for flag in frame.flags}
        allowed = allowed_flags(frame, schema)
        self.sets = frozenset(frozenset(self.keys[name] for name in flags) for flags in allowed)


class Names:
    """The new names of parts of the old schema, by kind. ``emitted``: the new names of actions in both schemas, and None."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self.requirements = paired(old.requirements, new.requirements)
        self.limits = paired(old.limits, new.limits)
        self.structures = paired(old.structures, new.structures)
        self.frames = paired(old.frames, new.frames, lambda frame: frame.code)
        self.stream_flags = _paired_flags(old.stream_flags, new.stream_flags)
        self.flags = {
            name: self.stream_flags | _paired_flags(old.frames[name].flags, new.frames[now].flags)
            for name, now in self.frames.items()
        }
        self.guards = paired(old.guards, new.guards)
        self.actions = paired_actions(old, new)
        self.emitted = {None, *self.actions.values()}
        self.machines = paired(old.machines, new.machines)
        self.states = {
            name: paired(old.machines[name].states, new.machines[now].states) for name, now in self.machines.items()
        }


def _paired_flags(old: Sequence[Flag], new: Sequence[Flag]) -> dict[str, str]:
    """Returns the new names of flags: the same name, or that of the flag with the same bit."""
    before, now = {flag.name: flag for flag in old}, {flag.name: flag for flag in new}
    return paired(before, now, lambda flag: flag.bit)


# Attributes of the schema, and tables of named parts.


def of_schema(old: Schema, new: Schema) -> Iterator[Change]:
    """Yields the changes of the schema's own attributes."""
    yield from attributes("", "the schema", old, new, SCHEMA)


def of_tables(old: Schema, new: Schema, names: Names) -> Iterator[Change]:
    """Yields the changes of limits, profiles, sources, and requirements."""
    profiles = {
        name: name for name in old.profiles if name in new.profiles
    }  # a profile's name is what goes over the wire
    yield from _table("limits", "limit", WIRE, old.limits, new.limits, names.limits, LIMIT)
    yield from _table("profiles", "content encoding", WIRE, old.profiles, new.profiles, profiles, PROFILE)
    sources = {name: name for name in old.sources if name in new.sources}
    yield from _table("sources", "source", DOCUMENTATION, old.sources, new.sources, sources, SOURCE)
    yield from _table(
        "requirements", "requirement", SEMANTIC, old.requirements, new.requirements, names.requirements, REQUIREMENT
    )


def _table(
    path: str,
    what: str,
    kind: str,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    names: Mapping[str, str],
    kinds: Mapping[str, str],
) -> Iterator[Change]:
    def told(part: Any) -> str:
        return f', "{part.sentence}",' if path == "requirements" else ""

    yield from several(kind, path, lambda name: f"the {what} {name}", old, new, names, told)
    for name, now in names.items():
        yield from attributes(f"{path}.{now}", f"the {what} {now}", old[name], new[now], kinds)


# Rules, flags, and constraints.


Rules = dict[str, tuple[str | None, str | None]]
"""Changed rules: the old and the new requirement by the key in ``rules``."""


def _rules(path: str, subject: str, old: Any, new: Any, rules: Rules) -> Iterator[Change]:
    """Yields the changes of a part's rules."""
    for key, (before, now) in rules.items():
        kind = WIRE if before is None or now is None else SEMANTIC
        yield Change(
            kind, f"{path}.rules.{key}", was(f"`{key}` requirement", subject, before, now), old.place, new.place
        )


def _changed_rules(old: Mapping[str, str], new: Mapping[str, str], names: Names) -> Rules:
    pairs = {key: (old.get(key), new.get(key)) for key in (*old, *(key for key in new if key not in old))}
    return {
        key: (before, now)
        for key, (before, now) in pairs.items()
        if names.requirements.get(before or "", before) != now
    }


def _flags(path: str, what: str, of: str, old: Sequence[Flag], new: Sequence[Flag]) -> Iterator[Change]:
    before, now = {flag.name: flag for flag in old}, {flag.name: flag for flag in new}
    names = _paired_flags(old, new)

    def subject(name: str) -> str:
        return f"the {what} {name}{of}"

    yield from several(WIRE, path, subject, before, now, names, lambda flag: f", bit {flag.bit},")
    for name, other in names.items():
        yield from attributes(f"{path}.{other}", subject(other), before[name], now[other], FLAG)


def _constraints(
    path: str,
    subject: str,
    pair: tuple[Sequence[Constraint], Sequence[Constraint]],
    flags: tuple[Flags, Flags],
    names: Names,
) -> Iterator[Change]:
    """Yields the changes of constraints."""
    before, now = ({_bits(c, side.keys): c for c in part} for part, side in zip(pair, flags, strict=True))
    same_sets = flags[0].sets == flags[1].sets
    for key, constraint in before.items():
        kind = SEMANTIC if same_sets and not constraint.is_about_fields else WIRE
        if key not in now:
            sentence = f"The constraint {_worded(constraint)} of {subject} is gone."
            yield Change(kind, path, sentence, constraint.place, None)
        elif names.requirements.get(constraint.requirement) != now[key].requirement:
            label = f"requirement of the constraint {_worded(now[key])}"
            sentence = was(label, subject, constraint.requirement, now[key].requirement)
            yield Change(SEMANTIC, path, sentence, constraint.place, now[key].place)
    for key, constraint in now.items():
        kind = SEMANTIC if same_sets and not constraint.is_about_fields else WIRE
        if key not in before:
            sentence = f"The constraint {_worded(constraint)} of {subject} is new: {constraint.requirement}."
            yield Change(kind, path, sentence, None, constraint.place)
    order = [key for key in before if key in now]
    if order != [key for key in now if key in before]:
        first = now[
            next(key for key, other in zip((k for k in now if k in before), order, strict=True) if key != other)
        ]
        sentence = (
            f"The order of the constraints of {subject} changed, so that an error can name another one of several that are"
            " violated."
        )
        yield Change(SEMANTIC, path, sentence, before[order[0]].place, first.place)


def _bits(constraint: Constraint, keys: Mapping[str, str]) -> Any:
    """Returns a key for a constraint: its kind, and its flags or header fields."""
    if constraint.is_about_fields:
        return constraint.kind, None, frozenset(constraint.names)
    subject = constraint.subject and keys[constraint.subject]
    return constraint.kind, subject, frozenset(keys[name] for name in constraint.names)


def _worded(constraint: Constraint) -> str:
    names = f"[{', '.join(constraint.names)}]"
    names = f"{{{constraint.subject}: {names}}}" if constraint.subject else names
    return f"{{{constraint.kind}: {names}}}"


# The header and structures.


def of_header(old: Schema, new: Schema, names: Names) -> Iterator[Change]:
    """Yields the changes of the header and the stream flags."""
    yield from attributes("header", "the header", old.header, new.header, {"doc": DOCUMENTATION})
    now = _header_parts(new.header)
    for name, (place, part) in _header_parts(old.header).items():
        path, subject = f"header.{name}", f"the header field {name}"
        other_place, other = now[name]
        if place != other_place:
            yield Change(LAYOUT, path, was("place", subject, place, other_place), part.place, other.place)
        yield from attributes(path, subject, part, other, {"doc": DOCUMENTATION})
        yield from _rules(path, subject, part, other, _changed_rules(part.rules, other.rules, names))
        if isinstance(part, Field) and isinstance(other, Field):
            renamed = {"limit": names.limits, "order": names.requirements}
            yield from attributes(path, subject, part, other, {"limit": WIRE, "order": SEMANTIC}, renamed)
            yield from _parity(path, subject, part, other, names)
    holder, other_holder = (next(field for field in schema.header.fields if field.bits) for schema in (old, new))
    rules = _changed_rules(holder.rules, other_holder.rules, names)
    yield from _rules("header", "the header fields type and flags", holder, other_holder, rules)
    yield from _flags("stream_flags", "stream flag", "", old.stream_flags, new.stream_flags)
    # A frame type without flags and constraints of its own has only those of the stream.
    plain = replace(next(iter(new.frames.values())), flags=(), constraints=())
    flags = Flags(plain, old, names.stream_flags), Flags(plain, new, {})
    pair = old.stream_constraints, new.stream_constraints
    yield from _constraints("stream_flags", "the stream flags", pair, flags, names)


def _header_parts(header: Header) -> dict[str, tuple[str, Field | BitField]]:
    """Returns the fields and bit fields of the header by name, each with a description of its place."""
    parts: dict[str, tuple[str, Field | BitField]] = {}
    at = 0
    for field in header.fields:
        size = field.fixed_size or 0
        place = f"byte {at} on" if not size else f"byte {at}" if size == 1 else f"bytes {at} to {at + size - 1}"
        for bits in field.bits:
            parts[bits.name] = (f"{place}, bits {bits.low} to {bits.high}", bits)
        if not field.bits:
            parts[field.name] = (place, field)
        at += size
    return parts


def _parity(path: str, subject: str, old: Field, new: Field, names: Names) -> Iterator[Change]:
    before, now = dict(old.parity or {}), dict(new.parity or {})
    rules = before.pop("requirement", ""), now.pop("requirement", "")
    if before != now:
        sides = [", ".join(f"{key}: {side}" for key, side in parity.items()) or None for parity in (before, now)]
        yield Change(WIRE, f"{path}.parity", was("parity", subject, *sides), old.place, new.place)
    elif names.requirements.get(rules[0], "") != rules[1]:
        yield Change(SEMANTIC, f"{path}.parity", was("requirement for parity", subject, *rules), old.place, new.place)


def of_structures(old: Schema, new: Schema, names: Names) -> Iterator[Change]:
    """Yields the changes of structures. A new or removed structure alone does not affect bytes; payloads that use it do."""
    yield from several(
        SEMANTIC, "structures", lambda name: f"the structure {name}", old.structures, new.structures, names.structures
    )
    for name, now in names.structures.items():
        yield from _structure(f"structures.{now}", old.structures[name], new.structures[now], names)


def _structure(path: str, old: Structure, new: Structure, names: Names) -> Iterator[Change]:
    subject = f"the structure {new.name}"
    yield from attributes(path, subject, old, new, {"limit": WIRE, "doc": DOCUMENTATION}, {"limit": names.limits})
    yield from _examples(path, subject, old.examples, new.examples)
    kinds = [_kind(structure) for structure in (old, new)]
    if kinds[0] != kinds[1]:
        yield Change(LAYOUT, path, was("form", subject, *kinds), old.place, new.place)
        return
    before, now = {field.name: field for field in old.fields}, {field.name: field for field in new.fields}
    fields = _paired_fields(old, new, names)
    changed = [_changed_rules(before[name].rules, now[other].rules, names) for name, other in fields.items()]
    told = {
        key: change
        for key, change in _changed_rules(old.rules, new.rules, names).items()
        # These rules of a structure apply only to its fields.
        if new.is_cbor
        or key not in ("charset", "empty", "overflow")
        or any(rules.get(key) == change for rules in changed)
    }
    yield from _rules(path, subject, old, new, told)
    of = f"of {new.name}"
    followed = {
        field.name: f" before {after.name}," if after else ""
        for structure in (old, new)
        for field, after in zip_longest(structure.fields, structure.fields[1:])
    }
    yield from several(
        LAYOUT,
        f"{path}.fields",
        lambda name: f"the field {name} {of}",
        before,
        now,
        fields,
        lambda field: f", {_shape(field, {})},{followed[field.name]}",
    )
    for name, other in fields.items():
        yield from _field(
            f"{path}.fields.{other}", f"the field {other} {of}", before[name], now[other], names, fields, told
        )
    orders = [other for name, other in fields.items()], [name for name in now if name in set(fields.values())]
    if orders[0] != orders[1]:
        yield Change(
            LAYOUT, f"{path}.fields", was("order", f"the fields {of}", *map(", ".join, orders)), old.place, new.place
        )
    what = "item" if new.is_sequence else "key"
    yield from entry_changes(
        f"{path}.{'sequence' if new.is_sequence else 'entries'}", of, old.entries, new.entries, what
    )


def _kind(structure: Structure) -> str:
    if structure.is_sequence:
        return "a CBOR sequence"
    return "a CBOR map" if structure.is_cbor else "a row of fields"


def _paired_fields(old: Structure, new: Structure, names: Names) -> dict[str, str]:
    """Returns the new names of fields: the same name, or that of the field with the same shape at the same position."""
    known = {field.name for field in old.fields} & {field.name for field in new.fields}
    pairs: dict[str, str] = {}
    same_number = len(old.fields) == len(new.fields)
    for position, field in enumerate(old.fields):
        if field.name in known:
            pairs[field.name] = field.name
        elif same_number and new.fields[position].name not in known:
            # A size refers to an earlier field, so that its new name is already known.
            other = new.fields[position]
            if _shape(field, pairs, names.structures) == _shape(other, {}):
                pairs[field.name] = other.name
    return pairs


def _shape(field: Field, fields: Mapping[str, str], structures: Mapping[str, str] = MappingProxyType({})) -> str:
    """Returns the type and the size of a field in words, with the new names of other fields and structures."""
    renamed = {key: fields.get(name, name) for key in ("size", "count", "sizes") if (name := getattr(field, key))}
    field = replace(field, type=structures.get(field.type, field.type), at_most=None, **renamed)
    is_number = field.fixed_size is not None and not field.is_array
    return field.type if is_number else f"{type_text(field)}, {size_text(field)}"


def _field(
    path: str, subject: str, old: Field, new: Field, names: Names, fields: Mapping[str, str], told: Mapping[str, Any]
) -> Iterator[Change]:
    shapes = _shape(old, fields, names.structures), _shape(new, {})
    if shapes[0] != shapes[1]:
        # A text in another charset has the same number of bytes.
        same_bytes = {old.type, new.type} <= set(STRINGS) and shapes[0].partition(", ")[2] == shapes[1].partition(", ")[
            2
        ]
        kind = WIRE if same_bytes else LAYOUT
        yield Change(kind, path, was("shape", subject, *shapes), old.place, new.place)
    yield from attributes(path, subject, old, new, FIELD, {"at_most": fields, "limit": names.limits})
    rules = _changed_rules(old.rules, new.rules, names)
    # Changes already reported for the structure are not repeated.
    yield from _rules(
        path, subject, old, new, {key: change for key, change in rules.items() if told.get(key) != change}
    )


# Frame types.


def of_frames(old: Schema, new: Schema, names: Names) -> Iterator[Change]:
    """Yields the changes of frame types."""
    yield from several(
        WIRE,
        "frames",
        lambda name: f"the frame type {name}",
        old.frames,
        new.frames,
        names.frames,
        lambda frame: f", {frame.code:#x},",
    )
    for name, other in names.frames.items():
        frame, now = old.frames[name], new.frames[other]
        path, subject = f"frames.{other}", f"the frame type {other}"
        yield from attributes(path, subject, frame, now, FRAME, {"sender_requirement": names.requirements})
        yield from _checks(f"{path}.checks", subject, frame, now, names)
        yield from _flags(f"{path}.flags", "flag", f" of {other}", frame.flags, now.flags)
        pair = frame.constraints, now.constraints
        flags = Flags(frame, old, names.flags[name]), Flags(now, new, {})
        yield from _constraints(f"{path}.constraints", other, pair, flags, names)
        yield from join_changes(path, subject, frame, now, names.structures, names.limits)
        yield from _payload(f"{path}.payload", other, frame.payload, now.payload, flags, names)
        yield from _examples(path, subject, frame.examples, now.examples)


def _checks(path: str, subject: str, old: FrameType, new: FrameType, names: Names) -> Iterator[Change]:
    for check, (before, now) in _changed_rules(old.checks, new.checks, names).items():
        yield Change(SEMANTIC, f"{path}.{check}", was(f"check {check}", subject, before, now), old.place, new.place)


def _payload(
    path: str,
    name: str,
    before: Sequence[PayloadCase],
    now: Sequence[PayloadCase],
    flags: tuple[Flags, Flags],
    names: Names,
) -> Iterator[Change]:
    conditions = [
        [(side.keys.get(case.when or ""), side.keys.get(case.after or "")) for case in cases]
        for side, cases in zip(flags, (before, now), strict=True)
    ]
    if conditions[0] != conditions[1]:
        texts = ["; ".join(map(_case, cases)) for cases in (before, now)]
        yield Change(LAYOUT, path, was("payload", name, *texts), before[0].place, now[0].place)
        return
    for case, other in zip(before, now, strict=True):
        if case.field is not None and other.field is not None:
            pair = {case.field.name: case.field}, {other.field.name: other.field}
            fields = {case.field.name: other.field.name}
            yield from several(LAYOUT, path, lambda field: f"the payload {field} of {name}", *pair, fields)
            yield from _field(
                path, f"the payload {other.field.name} of {name}", case.field, other.field, names, fields, {}
            )
        elif case.structure is None or other.structure is None:
            yield Change(LAYOUT, path, was("payload", name, _case(case), _case(other)), case.place, other.place)
        elif names.structures.get(case.structure.name) != other.structure.name:
            kind = _kind_of_other(case.structure, other.structure, names)
            yield Change(kind, path, was("payload", name, _case(case), _case(other)), case.place, other.place)


def _kind_of_other(old: Structure, new: Structure, names: Names) -> str:
    """Returns the kind of the change from one structure to another."""
    changes = list(_structure("", old, new, names))
    return min((change.kind for change in changes), key=KINDS.index, default=SEMANTIC)


def _case(case: PayloadCase) -> str:
    """Returns the description of a payload case."""
    what = case.structure.name if case.structure is not None else _shape(case.field, {}) if case.field else ""
    return what + (f" with {case.when}" if case.when else "") + (f" after {case.after}" if case.after else "")


def _examples(path: str, subject: str, old: Sequence[Example], new: Sequence[Example]) -> Iterator[Change]:
    before, now = _by_title(old), _by_title(new)
    for title in {**before, **now}:
        one, other = before.get(title, []), now.get(title, [])
        if bare(one) != bare(other):
            what = "is new" if not one else "is gone" if not other else "has changed"
            places = [examples[0].place if examples else None for examples in (one, other)]
            yield Change(DOCUMENTATION, f"{path}.examples", f'The example "{title}" of {subject} {what}.', *places)


def _by_title(examples: Sequence[Example]) -> dict[str, list[Example]]:
    """Returns examples by title. Several examples can have the same title."""
    found: dict[str, list[Example]] = {}
    for example in examples:
        found.setdefault(example.title, []).append(example)
    return found
