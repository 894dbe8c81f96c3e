"""The model of a schema, resolved and frozen. Emitters and tools use it instead of YAML.

Names are those of the YAML (``command-name``, ``have-args``). References that emitters follow are resolved to objects; others
stay names. Every part has its ``place`` in the schema.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from hgproto.runtime.catalogue import sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hgproto.language.cbor_types import CborEntry, CborSubset, Join
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
"""The integer types, with their sizes in bytes."""

STRINGS = ("ascii", "utf8", "bytes")
"""The field types that are strings of bytes."""


def fitting_rules(type: str, size: str | None, at_most: str | None, *, repeat: bool) -> frozenset[str]:
    """Returns the keys of ``rules`` that apply to a field of a structure."""
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
    """A requirement of the catalogue. ``section``: the heading and the document of its source."""

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
        """The requirement as one sentence."""
        return sentence(self.binds, self.level, self.text)


@dataclass(frozen=True, slots=True)
class Reference:
    """A place that enforces a requirement: a check of the codec or validator, or a row of a machine."""

    kind: Literal["codec", "machine", "validator"]
    path: str
    place: Place


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag. ``role``: its function in code that serves every revision; None if such code does not use it."""

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
    """A constraint on flags or header fields. ``kind`` is its keyword in the schema.

    ``subject`` is the flag before the colon of ``forbids`` and ``requires``, and None for other kinds.
    """

    kind: str
    subject: str | None
    names: tuple[str, ...]
    requirement: str
    place: Place

    @property
    def is_about_fields(self) -> bool:
        """True if ``names`` are header fields, False if they are flags. A flag can have the name of a field."""
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
        """The number of bits."""
        return self.high - self.low + 1


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a structure.

    ``size`` is the name of an earlier field or ``rest``. A field with ``count`` or ``sizes`` is an array. ``repeat`` repeats
    the structure named by ``type`` to the end. ``sized_by`` is the later field whose size or count is in this one, so that the
    encoder computes it. ``rules`` also has those of the structure, unless the field has its own.
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
        """The size of one element in bytes; None if it varies."""
        return INTEGERS.get(self.type)

    @property
    def is_array(self) -> bool:
        """True if the field has a sequence of values."""
        return self.count is not None or self.sizes is not None or self.repeat


@dataclass(frozen=True, slots=True)
class Example:
    """Example bytes. Either ``decodes`` is the decoded value, or ``refused`` the violated requirement, at ``offset``."""

    title: str
    data: bytes
    decodes: Mapping[str, Any] | None
    refused: str | None
    offset: int | None
    continued: bool
    place: Place


@dataclass(frozen=True)
class Structure:
    """A structure: fields in wire order, or ``entries``: those of a CBOR map, or the items of a CBOR sequence."""

    name: str
    doc: str
    fields: tuple[Field, ...]
    entries: tuple[CborEntry, ...]
    rules: Mapping[str, str]
    limit: str | None
    examples: tuple[Example, ...]
    place: Place
    is_sequence: bool = False

    @property
    def is_cbor(self) -> bool:
        """True for a CBOR map or sequence, False for fields in wire order."""
        return bool(self.entries)

    @cached_property
    def values(self) -> tuple[Field, ...]:
        """The fields of a decoded value, without those that the encoder computes."""
        return tuple(f for f in self.fields if f.sized_by is None)

    @cached_property
    def shown(self) -> tuple[Field, ...]:
        """The fields that decoded values show, in wire order: ``values`` and the computed fields with ``show``."""
        return tuple(f for f in self.fields if f.sized_by is None or f.show)

    @cached_property
    def counters(self) -> tuple[Field, ...]:
        """The fields that are counts of other fields."""
        return tuple(f for f in self.fields if any(f.name == other.count for other in self.fields))

    def field(self, name: str) -> Field:
        """Returns the field with this name."""
        return next(f for f in self.fields if f.name == name)


@dataclass(frozen=True, slots=True)
class PayloadCase:
    """One case of a frame's payload: a structure, or a single field that is the whole payload."""

    structure: Structure | None
    field: Field | None
    when: str | None
    after: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class FrameType:
    """A frame type. ``joins``: the structure that its payloads form together, if they do."""

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
    joins: Join | None = None

    @property
    def continued_by(self) -> str | None:
        """The flag of a frame that the next frame of the same request and type continues; None without such a flag."""
        return next((case.after for case in self.payload if case.after), None)


@dataclass(frozen=True)
class Header:
    """The frame: header fields in wire order, then the payload."""

    doc: str
    fields: tuple[Field, ...]
    place: Place

    @cached_property
    def size(self) -> int:
        """The header's size in bytes."""
        return sum(f.fixed_size or 0 for f in self.fields)

    def locate(self, name: str) -> tuple[int, Field, BitField | None]:
        """Returns the offset in bytes of a field or bit field, the field, and the bit field (None for a whole field)."""
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
        """Returns the rules of a field or bit field."""
        _, field, bits = self.locate(name)
        return field.rules if bits is None else bits.rules

    def parity(self, name: str) -> Mapping[str, str] | None:
        """Returns the sides that own the odd and the even values of a field; None if none do."""
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
    """A question that the condition of a transition asks. ``values``: its answers; empty for true and false."""

    name: str
    values: tuple[str, ...]
    doc: str
    place: Place


@dataclass(frozen=True, slots=True)
class EventField:
    """A field of an event. ``type``: a type of the language, such as ``request-id`` or ``payload-field``."""

    name: str
    type: str
    optional: bool
    doc: str
    place: Place


@dataclass(frozen=True, slots=True)
class Event:
    """An object that reactors return. ``inherited``: the fields of the event that it ``extends``.

    ``sends``: True if the event has frames to send, and is thus not a plain value.
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
    """An action of transitions. ``events``: the names of the events that it can return."""

    name: str
    events: tuple[str, ...]
    doc: str
    place: Place


@dataclass(frozen=True)
class Condition:
    """A condition of a transition.

    The kinds ``flag``, ``guard``, and ``state`` have ``name`` and ``value``; the others have ``parts``. The ``value`` of a
    flag, and of a guard that answers true or false, is None.
    """

    kind: Literal["flag", "guard", "state", "not", "and", "or"]
    name: str = ""
    value: str | None = None
    parts: tuple[Condition, ...] = ()

    @cached_property
    def size(self) -> int:
        """The number of conditions in it, itself included."""
        return 1 + sum(part.size for part in self.parts)

    @cached_property
    def atoms(self) -> frozenset[tuple[str, str]]:
        """The flags, guards, and machines that it depends on, as pairs of kind and name."""
        if self.parts:
            return frozenset().union(*(part.atoms for part in self.parts))
        return frozenset({(self.kind, self.name)})

    def holds(self, facts: Mapping[tuple[str, str], object]) -> bool:
        """Returns True if the condition is true. ``facts``: the value of each atom."""
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
    """One transition (``to``) or rejection (``error``) of a machine. ``frames`` is empty for an event."""

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
    """A state machine. ``states`` has the docs of states by name, ``state_places`` their places."""

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
    human: str | None
    digest: str
    files: tuple[str, ...]
    header: Header
    stream_flags: tuple[Flag, ...]
    stream_constraints: tuple[Constraint, ...]
    limits: Mapping[str, Limit]
    cbor: CborSubset | None
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
        """The frame types by their code in the header."""
        return {frame.code: frame for frame in sorted(self.frames.values(), key=lambda f: f.code)}
