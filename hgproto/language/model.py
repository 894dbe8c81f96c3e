"""The model: a schema, resolved and frozen. What emitters and faces see instead of YAML.

Names are those of the YAML (``command-name``, ``have-args``); references are resolved to objects where an emitter
walks them, and kept as names where only a message needs them. Every part knows its ``place``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from hgproto.runtime.catalogue import sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hgproto.language.cbor_types import CborEntry
    from hgproto.language.documents import Document
    from hgproto.language.messages import Message
    from hgproto.language.problems import Place

__all__ = [
    "Action",
    "BitField",
    "Condition",
    "Constraint",
    "Event",
    "EventField",
    "Example",
    "Field",
    "Flag",
    "FrameType",
    "Guard",
    "Header",
    "Limit",
    "Machine",
    "PayloadCase",
    "Profile",
    "Reference",
    "Requirement",
    "Row",
    "Schema",
    "Structure",
    "fitting_rules",
]

INTEGERS = {"u8": 1, "u16": 2, "u24": 3, "u32": 4}
"""Integer types and their bytes."""

STRINGS = ("ascii", "utf8", "bytes")
"""Field types that are runs of bytes."""


def fitting_rules(type: str, size: str | None, at_most: str | None, *, repeat: bool) -> frozenset[str]:
    """The rules that can say something of a field of a structure."""
    if repeat or type not in (*INTEGERS, *STRINGS):
        return frozenset()
    rules = {"cut", "overflow"} if size != "rest" else set()
    if type in ("ascii", "utf8"):
        rules |= {"charset", "empty"}
    if at_most is not None:
        rules.add("surplus")
    return frozenset(rules)


@dataclass(frozen=True, slots=True)
class Requirement:
    """A requirement of the catalogue. ``section``: the heading and the document that it comes from."""

    id: str
    binds: str
    level: str
    text: str
    source: str
    section: str
    enforced: str
    why: str
    reason: str | None
    resolution: str | None
    reference: str | None
    severity: str | None
    place: Place

    @property
    def sentence(self) -> str:
        """Its words as one sentence."""
        return sentence(self.binds, self.level, self.text)


@dataclass(frozen=True, slots=True)
class Reference:
    """A place that puts a requirement into effect: in what the codec checks, or in a machine's table."""

    kind: Literal["codec", "machine", "validator"]
    path: str
    place: Place


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag: its name and its mask. ``role``: what it does, for code that serves every revision; None if nothing asks."""

    name: str
    bit: int
    role: str | None
    doc: str
    place: Place

    @property
    def mask(self) -> int:
        """The flag's bit as a number."""
        return 1 << self.bit


@dataclass(frozen=True, slots=True)
class Constraint:
    """A rule over flags and header fields: ``kind`` is the word of the vocabulary.

    ``subject`` is the flag before the colon of ``forbids`` and ``requires``, and None for other kinds.
    """

    kind: str
    subject: str | None
    names: tuple[str, ...]
    requirement: str
    place: Place

    @property
    def is_about_fields(self) -> bool:
        """True if the names are those of header fields, False if they are those of flags. A flag may share a field's name."""
        return self.kind in ("odd", "even")


@dataclass(frozen=True, slots=True)
class BitField:
    """Bits ``low`` to ``high`` of an integer, both included."""

    name: str
    low: int
    high: int
    doc: str
    rules: Mapping[str, str]
    place: Place

    @property
    def width(self) -> int:
        """How many bits it has."""
        return self.high - self.low + 1


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a structure.

    ``size`` is the name of an earlier field or ``rest``; ``count`` and ``sizes`` make it an array; ``repeat`` repeats
    the structure named by ``type`` to the end. ``sized_by`` is the later field whose size or count this one gives:
    such a field is computed when building. ``rules`` has the structure's rules where the field has none of its own.
    """

    name: str
    type: str
    doc: str
    size: str | None
    count: str | None
    sizes: str | None
    repeat: bool
    at_most: str | None
    show: bool
    limit: str | None
    parity: Mapping[str, str] | None
    order: str | None
    bits: tuple[BitField, ...]
    rules: Mapping[str, str]
    place: Place
    sized_by: str | None = None

    @property
    def fixed_size(self) -> int | None:
        """The size of one element in bytes where it is fixed."""
        return INTEGERS.get(self.type)

    @property
    def is_array(self) -> bool:
        """Whether the field holds a sequence of values."""
        return self.count is not None or self.sizes is not None or self.repeat


@dataclass(frozen=True, slots=True)
class Example:
    """Worked bytes. Either ``decodes`` is a value, or ``refused`` a requirement and ``offset`` where."""

    title: str
    data: bytes
    decodes: Mapping[str, Any] | None
    refused: str | None
    offset: int | None
    continued: bool
    place: Place


@dataclass(frozen=True)
class Structure:
    """A structure: fields in wire order, or the entries of a CBOR map."""

    name: str
    doc: str
    fields: tuple[Field, ...]
    entries: tuple[CborEntry, ...]
    rules: Mapping[str, str]
    limit: str | None
    examples: tuple[Example, ...]
    place: Place

    @property
    def is_cbor_map(self) -> bool:
        """Whether it is a CBOR map instead of a row of fields."""
        return bool(self.entries)

    @cached_property
    def values(self) -> tuple[Field, ...]:
        """The fields that a decoded value holds: those that building does not compute."""
        return tuple(f for f in self.fields if f.sized_by is None)

    @cached_property
    def shown(self) -> tuple[Field, ...]:
        """The fields that a decoded value shows, in wire order: ``values`` and computed ones with ``show``."""
        return tuple(f for f in self.fields if f.sized_by is None or f.show)

    @cached_property
    def counters(self) -> tuple[Field, ...]:
        """The fields that say how many strings an element of a repeated structure has."""
        return tuple(f for f in self.fields if any(f.name == other.count for other in self.fields))

    def field(self, name: str) -> Field:
        """The field called ``name``."""
        return next(f for f in self.fields if f.name == name)


@dataclass(frozen=True, slots=True)
class PayloadCase:
    """One case of a frame's payload: a structure, or a single field that takes all of it."""

    structure: Structure | None
    field: Field | None
    when: str | None
    after: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class FrameType:
    """A frame type."""

    name: str
    code: int
    role: str | None
    title: str
    sender: Literal["client", "server"] | None
    sender_requirement: str | None
    doc: str
    flags: tuple[Flag, ...]
    constraints: tuple[Constraint, ...]
    checks: Mapping[str, str]
    payload: tuple[PayloadCase, ...]
    examples: tuple[Example, ...]
    place: Place

    @property
    def continued_by(self) -> str | None:
        """The flag that makes the next frame of the request and type go on where this one ended."""
        return next((case.after for case in self.payload if case.after), None)


@dataclass(frozen=True)
class Header:
    """The frame: header fields in wire order, and the payload last."""

    doc: str
    fields: tuple[Field, ...]
    place: Place

    @cached_property
    def size(self) -> int:
        """The header's size in bytes."""
        return sum(f.fixed_size or 0 for f in self.fields)

    def locate(self, name: str) -> tuple[int, Field, BitField | None]:
        """The offset in bytes of the field or bit field ``name``, and the field itself."""
        offset = 0
        for field in self.fields:
            if field.name == name and not field.bits:
                return offset, field, None
            for bits in field.bits:
                if bits.name == name:
                    return offset, field, bits
            offset += field.fixed_size or 0
        raise KeyError(name)

    def rules(self, name: str) -> Mapping[str, str]:
        """The rules of the field or bit field ``name``."""
        _, field, bits = self.locate(name)
        return field.rules if bits is None else bits.rules

    def parity(self, name: str) -> Mapping[str, str] | None:
        """Whose odd and even values of the field ``name`` are."""
        return self.locate(name)[1].parity


@dataclass(frozen=True, slots=True)
class Limit:
    """A named limit."""

    name: str
    default: int
    maximum: int
    unit: str
    doc: str
    reason: str
    place: Place


@dataclass(frozen=True, slots=True)
class Profile:
    """A content encoding profile."""

    name: str
    doc: str
    settings: str
    source: str
    place: Place
    algorithm: str | None = None
    window: int | None = None


@dataclass(frozen=True, slots=True)
class Guard:
    """A question that a machine asks; ``values`` are its answers, empty for true and false."""

    name: str
    values: tuple[str, ...]
    doc: str
    place: Place


@dataclass(frozen=True, slots=True)
class EventField:
    """A field of an event. ``type``: a word of the language, such as ``request-id`` or ``payload-field``."""

    name: str
    type: str
    optional: bool
    doc: str
    place: Place


@dataclass(frozen=True, slots=True)
class Event:
    """An object that reactors report. ``inherited``: the fields of the event that it ``extends``.

    ``sends``: the event brings frames to send, so it is more than a plain value.
    """

    name: str
    role: Literal["client", "server", "both"]
    extends: str | None
    sends: bool
    doc: str
    inherited: tuple[EventField, ...]
    own: tuple[EventField, ...]
    place: Place

    @property
    def fields(self) -> tuple[EventField, ...]:
        """All fields in order, inherited ones first."""
        return self.inherited + self.own


@dataclass(frozen=True, slots=True)
class Action:
    """An action of transitions. ``events``: the names of the events that it can lead to."""

    name: str
    events: tuple[str, ...]
    doc: str
    place: Place


@dataclass(frozen=True)
class Condition:
    """A condition of a transition.

    ``kind`` is flag, guard, state, not, and, or or. ``name`` and ``value`` belong to the first three, ``parts`` to the
    others; the ``value`` of a guard without values is None.
    """

    kind: Literal["flag", "guard", "state", "not", "and", "or"]
    name: str = ""
    value: str | None = None
    parts: tuple[Condition, ...] = ()

    @cached_property
    def size(self) -> int:
        """How many conditions it is made of, itself among them."""
        return 1 + sum(part.size for part in self.parts)

    @cached_property
    def atoms(self) -> frozenset[tuple[str, str]]:
        """The flags, guards and states that it looks at, as pairs of kind and name."""
        if self.parts:
            return frozenset().union(*(part.atoms for part in self.parts))
        return frozenset({(self.kind, self.name)})

    def holds(self, facts: Mapping[tuple[str, str], object]) -> bool:
        """Whether it holds, given the value of every atom."""
        if self.kind == "not":
            return not self.parts[0].holds(facts)
        if self.kind == "and":
            return all(part.holds(facts) for part in self.parts)
        if self.kind == "or":
            return any(part.holds(facts) for part in self.parts)
        fact = facts[self.kind, self.name]
        return bool(fact) if self.value is None else fact == self.value


@dataclass(frozen=True, slots=True)
class Row:
    """One transition (``to``) or refusal (``error``) of a machine; ``frames`` is empty for an event."""

    source: str
    frames: tuple[str, ...]
    event: str | None
    when: Condition | None
    to: str | None
    emit: str | None
    error: str | None
    expected: str | None
    requirement: str | None
    doc: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class Machine:
    """A state machine. ``states`` maps names to docs, ``state_places`` to where each is declared."""

    name: str
    role: Literal["client", "server", "both"]
    scope: str
    doc: str
    initial: str
    states: Mapping[str, str]
    transitions: tuple[Row, ...]
    otherwise: str
    place: Place
    state_places: Mapping[str, Place]


@dataclass(frozen=True)
class Schema:
    """A revision of the protocol."""

    revision: str
    title: str
    doc: str
    media_type: str | None
    digest: str
    files: tuple[str, ...]
    header: Header
    stream_flags: tuple[Flag, ...]
    stream_constraints: tuple[Constraint, ...]
    limits: Mapping[str, Limit]
    profiles: Mapping[str, Profile]
    structures: Mapping[str, Structure]
    frames: Mapping[str, FrameType]
    messages: Mapping[str, Message]
    events: Mapping[str, Event]
    emits: Mapping[str, Action]
    guards: Mapping[str, Guard]
    machines: Mapping[str, Machine]
    sources: Mapping[str, Document]
    requirements: Mapping[str, Requirement]
    references: Mapping[str, tuple[Reference, ...]]

    @cached_property
    def frames_by_code(self) -> Mapping[int, FrameType]:
        """The frame types by the number in the header."""
        return {frame.code: frame for frame in sorted(self.frames.values(), key=lambda f: f.code)}
