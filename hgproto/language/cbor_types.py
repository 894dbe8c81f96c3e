"""The types of CBOR values in a schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hgproto.language.model import Structure
    from hgproto.language.problems import Place

__all__ = ["OPTIONS", "CborEntry", "CborSubset", "CborType", "Join", "needed_rules"]

OPTIONS = {
    "minimum": ("int",),
    "choices": ("ascii", "bytes", "text"),
    "items": ("array",),
    "parts": ("tuple",),
    "keys": ("map-of",),
    "values": ("map-of",),
    "options": ("one-of",),
    "entries": ("map",),
    "tag": ("tagged",),
    "cases": ("tagged",),
}
"""For each option of a CBOR type, the types that can have it."""


@dataclass(frozen=True, slots=True)
class CborType:
    """The type of a CBOR value.

    ``choices``: the allowed strings; empty if all are allowed. ``parts``: the type of the items (array), of each item (tuple), of
    the keys and the values (map-of), of each option (one-of), or of the map of each case (tagged). ``entries``: the entries that
    a map can have. ``tag``: the key that selects the case of a tagged map; ``choices`` has its values.
    """

    name: str
    minimum: int | None = None
    choices: tuple[str, ...] = ()
    parts: tuple[CborType, ...] = ()
    entries: tuple[CborEntry, ...] = ()
    tag: str = ""

    def __str__(self) -> str:
        """Returns the description for tables of fields."""
        match self.name:
            case "array":
                return f"array of {self.parts[0]}"
            case "map-of":
                return f"map of {self.parts[0]} to {self.parts[1]}"
            case "map":
                keys = (f"{entry.name}{'?' if entry.optional else ''}: {entry.type}" for entry in self.entries)
                return f"map ({', '.join(keys)})"
            case "tuple":
                return f"array of {', '.join(map(str, self.parts))}"
            case "tagged":
                cases = (f"{choice}: {part}" for choice, part in zip(self.choices, self.parts, strict=True))
                return f"map by {self.tag} ({'; '.join(cases)})"
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
    def levels(self) -> int:
        """The levels of nesting inside of it: 0 for a value that contains no others."""
        inner = (*self.parts, *(entry.type for entry in self.entries))
        # The parts of a one-of and of a tagged map stand for the value itself.
        own = self.name not in ("one-of", "tagged") and bool(inner)
        return own + max((part.levels for part in inner), default=0)

    @property
    def required(self) -> tuple[CborEntry, ...]:
        """The required entries of this type and of all maps nested in it."""
        return tuple(entry for each in self.inner for entry in each.entries if not entry.optional)


@dataclass(frozen=True, slots=True)
class CborEntry:
    """An entry of a CBOR map, or an item of a sequence. ``repeated``: the item occurs any number of times, to the end."""

    name: str
    type: CborType
    optional: bool
    doc: str
    place: Place
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class CborSubset:
    """The subset of CBOR that a revision allows.

    ``forbids``: the requirement for each kind of forbidden item. ``tags``: the allowed tags, if others are forbidden.
    """

    doc: str
    forbids: Mapping[str, str]
    tags: tuple[int, ...]
    is_alphabetical: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Join:
    """The structure that the payloads of several frames form together. ``limit``: the limit on its bytes.

    ``order``: the requirement for frames that are not in order.
    """

    structure: Structure
    limit: str | None
    order: str | None
    place: Place


def needed_rules(entries: tuple[CborEntry, ...], *, is_sequence: bool) -> list[str]:
    """Returns the rules that a CBOR map or sequence can violate, besides the limit on items."""
    parts = [entry.type for entry in entries] if is_sequence else [CborType("map", entries=entries)]
    types = [each for part in parts for each in part.inner]
    required = any(each.required for each in types) or (is_sequence and not entries[0].repeated)
    needed = {
        "choice": any(each.choices for each in types),
        "surplus": not (is_sequence and entries[-1].repeated),
        "malformed": True,
        "duplicate": True,
        "keys": any(each.entries for each in types),
        # A key cannot be missing if all are optional.
        "missing": required,
        "type": True,
        "charset": True,
    }
    return [rule for rule, is_needed in needed.items() if is_needed]
