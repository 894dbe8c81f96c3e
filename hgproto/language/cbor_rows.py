"""Rows for tables of CBOR structures: one for each entry, and one for each entry nested in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hgproto.language.cbor_types import CborEntry, CborType
    from hgproto.language.problems import Place

__all__ = ["EntryRow", "entry_rows"]


class EntryRow(NamedTuple):
    """An entry in a table.

    ``path``: its name after those of the entries around it, such as ``redirect.hashes`` or ``atoms[].msg``. ``type``: its type
    without nested entries. ``presence``: required, optional, or any number; in a tagged map also the case.
    """

    path: str
    type: str
    presence: str
    doc: str
    place: Place
    is_nested: bool


def entry_rows(entries: Iterable[CborEntry], prefix: str = "", case: str = "") -> Iterator[EntryRow]:
    """Yields the rows of entries. ``prefix``: the path of the map around them. ``case``: the condition of a tagged map."""
    for entry in entries:
        path = f"{prefix}{entry.name}"
        presence = "optional" if entry.optional else "any number" if entry.repeated else "required"
        yield EntryRow(path, _brief(entry.type), f"{presence}{case}", entry.doc, entry.place, bool(prefix))
        yield from _nested(entry.type, path)


def _nested(type: CborType, path: str) -> Iterator[EntryRow]:
    """Yields the rows of the entries inside of a type."""
    match type.name:
        case "map":
            yield from entry_rows(type.entries, f"{path}.")
        case "tagged":
            yield from _tagged(type, path)
        case "array":
            yield from _nested(type.parts[0], f"{path}[]")
        case "map-of":
            yield from _nested(type.parts[1], f"{path}.*")
        case "tuple":
            for index, part in enumerate(type.parts):
                yield from _nested(part, f"{path}[{index}]")
        case "one-of":
            for part in type.parts:
                yield from _nested(part, path)


def _tagged(type: CborType, path: str) -> Iterator[EntryRow]:
    tags = [part.entries[0] for part in type.parts]
    docs = " ".join(f"{choice}: {tag.doc}" for choice, tag in zip(type.choices, tags, strict=True))
    yield EntryRow(f"{path}.{type.tag}", f"ascii: {', '.join(type.choices)}", "required", docs, tags[0].place, True)
    for choice, part in zip(type.choices, type.parts, strict=True):
        yield from entry_rows(part.entries[1:], f"{path}.", f" for {choice}")


def _brief(type: CborType) -> str:
    """Returns the description of a type without the entries inside of it."""
    match type.name:
        case "map":
            return "map"
        case "tagged":
            return f"map, by {type.tag}"
        case "array":
            return f"array of {_brief(type.parts[0])}"
        case "map-of":
            return f"map of {_brief(type.parts[0])} to {_brief(type.parts[1])}"
        case "tuple":
            return f"array of {', '.join(map(_brief, type.parts))}"
        case "one-of":
            return " or ".join(map(_brief, type.parts))
    return str(type)
