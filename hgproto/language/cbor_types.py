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
"""The types that have each option of a CBOR type."""


@dataclass(frozen=True, slots=True)
class CborType:
    """The type of a CBOR value.

    ``choices``: the strings that are allowed, if not all. ``parts``: the type of the items (array), of the keys and the values
    (map-of), or of each option (one-of). ``entries``: the keys that a map is known to have.
    """

    name: str
    minimum: int | None = None
    choices: tuple[str, ...] = ()
    parts: tuple[CborType, ...] = ()
    entries: tuple[CborEntry, ...] = ()

    def __str__(self) -> str:
        """Its description, as tables of fields have it."""
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
        """The type and all types inside of it."""
        parts = (*self.parts, *(entry.type for entry in self.entries))
        return (self, *(each for part in parts for each in part.inner))

    @property
    def required(self) -> tuple[CborEntry, ...]:
        """The entries that maps inside of it need."""
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
    """Yields the type of a map with these entries and all types inside of it."""
    yield {"entries": entries}
    for entry in entries.values():
        yield from _inner_types(entry)


def _inner_types(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield data
    inner = [data[key] for key in ("items", "keys", "values") if key in data]
    for part in (*inner, *data.get("options", ()), *data.get("entries", {}).values()):
        yield from _inner_types(part)
