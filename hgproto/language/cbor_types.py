"""The types of CBOR values in a schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hgproto.language.problems import Place

__all__ = ["OPTIONS", "CborEntry", "CborType", "written_types"]

OPTIONS = {
    "minimum": ("int",),
    "choices": ("ascii", "bytes", "text"),
    "items": ("array",),
    "keys": ("map-of",),
    "values": ("map-of",),
    "options": ("one-of",),
    "entries": ("map",),
}
"""For each option of a CBOR type, the types that can have it."""


@dataclass(frozen=True, slots=True)
class CborType:
    """The type of a CBOR value.

    ``choices``: the allowed strings; empty if all are allowed. ``parts``: the type of the items (array), of the keys and the
    values (map-of), or of each option (one-of). ``entries``: the entries that a map can have, by their keys.
    """

    name: str
    minimum: int | None = None
    choices: tuple[str, ...] = ()
    parts: tuple[CborType, ...] = ()
    entries: tuple[CborEntry, ...] = ()

    def __str__(self) -> str:
        """The description for tables of fields."""
        match self.name:
            case "array":
                return f"array of {self.parts[0]}"
            case "map-of":
                return f"map of {self.parts[0]} to {self.parts[1]}"
            case "map":
                keys = (f"{entry.name}{'?' if entry.optional else ''}: {entry.type}" for entry in self.entries)
                return f"map ({', '.join(keys)})"
            case "one-of":
                return " or ".join(map(str, self.parts))
        if self.choices:
            return f"{self.name}: {', '.join(self.choices)}"
        return self.name if self.minimum is None else f"{self.name}, at least {self.minimum}"

    @property
    def inner(self) -> tuple[CborType, ...]:
        """The type and all types nested in it."""
        parts = (*self.parts, *(entry.type for entry in self.entries))
        return (self, *(each for part in parts for each in part.inner))

    @property
    def required(self) -> tuple[CborEntry, ...]:
        """The required entries of this type and of all maps nested in it."""
        return tuple(entry for each in self.inner for entry in each.entries if not entry.optional)


@dataclass(frozen=True, slots=True)
class CborEntry:
    """An entry of a CBOR map."""

    name: str
    type: CborType
    optional: bool
    doc: str
    place: Place


def written_types(entries: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yields the type of a map with these entries, then all types nested in it."""
    yield {"entries": entries}
    for entry in entries.values():
        yield from _inner_types(entry)


def _inner_types(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield data
    inner = [data[key] for key in ("items", "keys", "values") if key in data]
    for part in (*inner, *data.get("options", ()), *data.get("entries", {}).values()):
        yield from _inner_types(part)
