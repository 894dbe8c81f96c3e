"""The parts of a schema by kind and name, and the names that its texts mention.

A name in backticks in a text refers to a part: ``have-args`` in the doc of a frame type is that type's flag. Parts are looked
up in this order: a part of the text's owner, a part with exactly this name, and the only part whose name ends with it.
A name without a part is a fault of the schema.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from hgproto.language.names import HEADER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hgproto.language.model import Schema
    from hgproto.language.problems import Place

__all__ = [
    "HEADER",
    "KINDS",
    "Part",
    "all_parts",
    "by_end",
    "find_part",
    "join_lines",
    "mentions",
    "one_line",
    "owner",
    "texts",
]

KINDS = (
    "requirement",
    "frame",
    "structure",
    "flag",
    "field",
    "state",
    "machine",
    "limit",
    "profile",
    "guard",
    "event",
    "action",
    "message",
)
"""The kinds of parts. A name of several parts means the part of the first kind in this order."""

_INNER = ("flag", "field", "state")
"""The kinds whose names start with the name of their owner."""

_SENTENCES = ("expected", "reason", "reference", "resolution", "section", "text", "title", "why")
"""The keys of texts within one paragraph. A ``doc`` may have paragraphs."""

_MENTION = re.compile(r"`([^`]*)`")


class Part(NamedTuple):
    """A part of a schema that can be referred to.

    ``kind``: one of :data:`KINDS`. ``name``: the name; that of a field, a state, or a frame type's flag starts with its owner
    and a dot, as in ``command-name.eos``, ``frame-header.length``, and ``stream.open``. Stream flags have no owner.
    """

    kind: str
    name: str


def all_parts(schema: Schema) -> dict[Part, Place]:
    """Returns every part of ``schema`` with its place, in the order of the schema."""
    places = {Part("requirement", name): requirement.place for name, requirement in schema.requirements.items()}
    for field in schema.header.fields:
        places |= {Part("field", f"{HEADER}.{bits.name}"): bits.place for bits in field.bits}
        if not field.bits:
            places[Part("field", f"{HEADER}.{field.name}")] = field.place
    places |= {Part("flag", flag.name): flag.place for flag in schema.stream_flags}
    for frame in schema.frames.values():
        places[Part("frame", frame.name)] = frame.place
        places |= {Part("flag", f"{frame.name}.{flag.name}"): flag.place for flag in frame.flags}
        fields = [case.field for case in frame.payload if case.field is not None]
        places |= {Part("field", f"{frame.name}.{field.name}"): field.place for field in fields}
    for structure in schema.structures.values():
        places[Part("structure", structure.name)] = structure.place
        places |= {Part("field", f"{structure.name}.{field.name}"): field.place for field in structure.fields}
        places |= {Part("field", f"{structure.name}.{entry.name}"): entry.place for entry in structure.entries}
    for machine in schema.machines.values():
        places[Part("machine", machine.name)] = machine.place
        places |= {Part("state", f"{machine.name}.{name}"): place for name, place in machine.state_places.items()}
    places |= {Part("limit", name): limit.place for name, limit in schema.limits.items()}
    places |= {Part("profile", name): profile.place for name, profile in schema.profiles.items()}
    places |= {Part("guard", name): guard.place for name, guard in schema.guards.items()}
    places |= {Part("event", name): event.place for name, event in schema.events.items()}
    places |= {Part("action", name): action.place for name, action in schema.emits.items()}
    places |= {Part("message", name): message.place for name, message in schema.messages.items()}
    return places


def by_end(parts: Iterable[Part]) -> dict[str, list[Part]]:
    """Returns the flags, fields, and states by each suffix of their names after a dot, for many look-ups."""
    ends: dict[str, list[Part]] = {}
    for part in parts:
        rest = part.name
        while part.kind in _INNER and "." in rest:
            rest = rest.partition(".")[2]
            ends.setdefault(rest, []).append(part)
    return ends


def find_part(
    name: str,
    parts: Mapping[Part, object],
    within: str | None = None,
    ends: Mapping[str, list[Part]] | None = None,
) -> Part | None:
    """Returns the part that ``name`` means in a text of the owner ``within``; None if it is unknown or ambiguous.

    ``ends``: the result of :func:`by_end`.
    """
    if within is not None:
        for kind in _INNER:
            if (part := Part(kind, f"{within}.{name}")) in parts:
                return part
    for kind in KINDS:
        if (part := Part(kind, name)) in parts:
            return part
    found = (by_end(parts) if ends is None else ends).get(name, [])
    return found[0] if len(found) == 1 else None


def mentions(text: str) -> Iterator[tuple[str, bool]]:
    """Yields the pieces of a text, each with True if it is a name in backticks."""
    for index, piece in enumerate(_MENTION.split(text)):
        if piece:
            yield piece, bool(index % 2)


def texts(data: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yields the path and text of every text for readers in the data of a schema."""
    items: Iterable[tuple[str | int, object]] = ()
    if isinstance(data, dict):
        items = data.items()
    elif isinstance(data, list):
        items = enumerate(data)
    of_message = len(path) == 3 and path[0] == "messages" and path[2] == "parameters"
    for key, value in items:
        is_text = of_message or key in ("doc", "text", "why", "reason", "resolution", "reference")
        if is_text and isinstance(value, str):
            yield (*path, key), value
        elif key != "examples" or isinstance(value, dict):
            # The key of a list holds examples; that of a mapping is the name of a part.
            yield from texts(value, (*path, key))


def one_line(text: str) -> str:
    """Returns a text with each run of white space replaced by one space."""
    return " ".join(text.split())


def join_lines(data: object) -> None:
    """Joins the lines of each text in :data:`_SENTENCES`, in place, for messages and tables."""
    if isinstance(data, list):
        for value in data:
            join_lines(value)
    if not isinstance(data, dict):
        return
    for key, value in data.items():
        if key in _SENTENCES and isinstance(value, str):
            data[key] = one_line(value)
        elif key == "examples" and isinstance(value, list):
            # The other keys of an example are values of the protocol.
            for example in value:
                if isinstance(example, dict) and isinstance(example.get("title"), str):
                    example["title"] = one_line(example["title"])
        else:
            join_lines(value)


def owner(path: tuple[str | int, ...]) -> str | None:
    """Returns the name of the part that owns the text at ``path``, or the first part of its requirement's id; else None."""
    match path:
        case ("header", *_):
            return HEADER
        case ("structures" | "frames" | "machines", str(name), *_):
            return name
        case ("requirements", str(name), *_):
            return name.partition(".")[0]
    return None
