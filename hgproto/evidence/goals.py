"""The goals of coverage: everything in the specification that bytes can exercise, under the schema's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.runtime.layout import highest
from hgproto.runtime.machine import Event

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from enum import IntEnum

    from hgproto.revisions.revision import Revision
    from hgproto.runtime.definition import Codec, Definition
    from hgproto.runtime.machine import Machine, Row
    from hgproto.runtime.shapes import Entry

__all__ = ["KINDS", "LENGTHS", "Edges", "Goal", "goals", "row_name"]

KINDS = ("types", "flags", "edges", "transitions", "requirements")
"""The kinds of goals."""
LENGTHS = ("0", "max-payload", "max-payload + 1")
"""The edges of the length of a payload."""
_LARGEST = (1 << 64) - 1
_SHAPE_EDGES = {
    **dict.fromkeys(("text", "ascii", "bytes", "array", "map-of"), ("empty",)),
    **dict.fromkeys(("int", "uint"), ("least", "most")),
    "bool": ("true", "false"),
}
"""The edges of CBOR values."""


class Goal(NamedTuple):
    """A part of the specification that can be exercised. ``kind``: one of :data:`KINDS`. ``place``: its schema file and line."""

    kind: str
    name: str
    place: str


def goals(revision: Revision) -> Iterator[Goal]:
    """Yields all goals of a revision, kind by kind, in the order of the schema."""
    schema, codec, edges = revision.schema, revision.codec, Edges.of(revision)
    for frame in schema.frames.values():
        yield Goal("types", frame.name, _place(frame))
    for flag in schema.stream_flags:
        yield Goal("flags", flag.name, _place(flag))
    for frame in schema.frames.values():
        for flag in frame.flags:
            yield Goal("flags", f"{frame.name} {flag.name}", _place(flag))
    for field in ("request_id", "stream_id"):
        place = _place(next(one for one in schema.header.fields if one.name == field))
        yield Goal("edges", f"{field} least", place)
        yield Goal("edges", f"{field} most", place)
    for frame in schema.frames.values():
        for name in LENGTHS:
            yield Goal("edges", f"{frame.name} length {name}", _place(frame))
        for edge in sorted(edges.of_types[frame.code]):
            yield Goal("edges", f"{frame.name} {edge}", _place(frame))
    machines: dict[str, Machine] = revision.machines.MACHINES
    for machine in machines.values():
        unseen = _unseen(machine)
        for index, row in enumerate(schema.machines[machine.name].transitions):
            if _is_seen(machine.rows[index], unseen):
                yield Goal("transitions", row_name(machine, index, codec), _place(row))
    for requirement in schema.requirements.values():
        if revision.requirements[requirement.id].breakable:
            yield Goal("requirements", requirement.id, _place(requirement))


def _unseen(machine: Machine) -> set[IntEnum]:
    """Returns the states that captures cannot show: those of requests or responses that were not completely sent."""
    own = (Event.REQUEST_SENT, Event.RESPONSE_SENT)
    states = {row.source for row in machine.rows if row.event in own}
    return states | {row.to for row in machine.rows if row.event is Event.REQUEST_ABANDONED and row.to is not None}


def _is_seen(row: Row, unseen: Container[IntEnum]) -> bool:
    """True if a capture can show a transition: one for a frame that a peer sends, or for the end of its output."""
    return row.event in (None, Event.END_OF_INPUT) and row.source not in unseen


def _place(part: Any) -> str:
    return f"{part.place.file.rpartition('/')[2]}:{part.place.line}"


def row_name(machine: Machine, index: int, codec: Codec) -> str:
    """Returns the name of a transition: the machine, the row, the input, the state, and the result."""
    row = machine.rows[index]
    what = row.event.value if row.event is not None else _types_of(row, codec)
    leads = f"error {row.error}" if row.error is not None else "" if row.to is None else f"to {_words(row.to)}"
    emits = f", {row.emit}" if row.emit is not None else ""
    return f"{machine.name} row {index}: {what} in {_words(row.source)} {leads}{emits}"


def _types_of(row: Row, codec: Codec) -> str:
    if len(row.frames) == len(codec.TYPE_NAMES):
        return "any frame"
    return ", ".join(codec.TYPE_NAMES[code] for code in row.frames)


def _words(state: IntEnum) -> str:
    return state.name.lower().replace("_", "-")


class Edges:
    """The edges of the fields of a revision. ``of_types``: their names, by the code of the frame type."""

    def __init__(self, codec: Codec) -> None:
        self._mosts: dict[str, tuple[int, int]] = {}
        """The least and greatest value of each number of a structure, by its path."""
        self._entries: dict[str, Entry] = {}
        """The entries of maps, by name."""
        self.of_types = {code: self._of_type(code, codec) for code in codec.PAYLOADS}

    @classmethod
    def of(cls, revision: Definition) -> Edges:
        """Returns the edges of a revision."""
        return revision.kept(cls, lambda: cls(revision.codec))

    def _of_type(self, code: int, codec: Codec) -> set[str]:
        """Returns the edges of the numbers of a type's structures, and of the entries of its map."""
        found: set[str] = set()
        for _, after, name in codec.PAYLOADS[code]:
            layout = codec.LAYOUTS.get(name)
            if layout is None or after:
                continue
            for entry in layout.entries:
                self._entries[entry.name] = entry
                if entry.optional or entry.repeated:
                    found.add(f"{entry.name} left out")
                found.update(f"{entry.name} {edge}" for edge in _SHAPE_EDGES.get(entry.shape.type, ()))
            nested = next((part.layout for part in layout.parts if part.layout is not None), None)
            parts = layout.parts if nested is None else nested.parts
            prefix = "" if nested is None else f"{layout.parts[0].name}."
            sized = {str(part.size or part.sizes): "empty" in part.rules for part in parts}
            for part in parts:
                if part.type in ("u8", "u16", "u24", "u32"):
                    self._mosts[prefix + part.name] = (int(sized.get(part.name, False)), highest(part))
                    found |= {f"{prefix}{part.name} least", f"{prefix}{part.name} most"}
        return found

    def at(self, path: str, value: object, *, at_limit: bool) -> Iterator[str]:
        """Yields the edges that a value is at. ``at_limit``: True if its payload is as long as the limit allows.

        A number above 255 then counts as at its most, because no longer payload can have a greater one.
        """
        name, _, rest = path.partition(".")
        name = name.partition("[")[0]
        entry = self._entries.get(name)
        # The items of a sequence have no key, and so their paths end with the name or the index.
        if entry is not None and rest in ("", "value"):
            edges = _SHAPE_EDGES.get(entry.shape.type, ())
            if "empty" in edges:
                if value in ("", b"", [], {}):
                    yield f"{name} empty"
            elif "true" in edges:
                yield f"{name} {'true' if value else 'false'}"
            elif "least" in edges and value == (-(1 << 64) if entry.shape.minimum is None else entry.shape.minimum):
                yield f"{name} least"
            elif "most" in edges and value == _LARGEST:
                yield f"{name} most"
            return
        plain = _without_indexes(path)
        if plain in self._mosts and type(value) is int:
            least, most = self._mosts[plain]
            if value == least:
                yield f"{plain} least"
            elif value == most or (at_limit and most > _SMALL):
                yield f"{plain} most"


_SMALL = 0xFF


def _without_indexes(path: str) -> str:
    return ".".join(part.partition("[")[0] for part in path.split("."))
