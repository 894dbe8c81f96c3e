"""Resolves CBOR into the model: the entries of maps, the items of sequences, types, and the subset of CBOR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.language.cbor_types import OPTIONS, CborEntry, CborSubset, CborType
from hgproto.language.names import field_fault
from hgproto.language.problems import Problem
from hgproto.language.resolve_machines import Lookup

if TYPE_CHECKING:
    from hgproto.language.resolve_machines import Data, Path

__all__ = ["CborResolver"]

_WITHOUT = frozenset({"minimum", "choices"})
"""The optional options of types."""


class CborResolver(Lookup):
    """Resolves CBOR types, and the subset of CBOR."""

    def subset(self, data: Data | None) -> CborSubset | None:
        """Returns the subset of CBOR that a schema allows; None if it allows all of CBOR."""
        if data is None:
            return None
        for kind, name in data["forbids"].items():
            self.requirement(name, ("cbor", "forbids", kind), "codec")
        if {"indefinite-strings", "nested-indefinite-strings"} <= data["forbids"].keys():
            place = self.source.key_place(("cbor", "forbids", "nested-indefinite-strings"))
            self.problems.append(Problem(place, "all strings of indefinite length are forbidden already", "remove it"))
        if "tags" in data and "tags" not in data["forbids"]:
            place, advice = self.source.key_place(("cbor", "tags")), "remove it, or forbid tags"
            self.problems.append(Problem(place, "all tags are allowed", advice))
        return CborSubset(
            doc=data["doc"],
            forbids=data["forbids"],
            tags=tuple(data.get("tags", ())),
            is_alphabetical=data.get("order") == "alphabetical",
            place=self.source.key_place(("cbor",)),
        )

    def entries(self, data: Data, path: Path) -> tuple[CborEntry, ...]:
        """Returns the entries of a map."""
        for key in data:
            self._check_name(key, "an entry", (*path, key), is_key=True)
        return tuple(
            CborEntry(
                name=key,
                type=self.cbor_type(part, (*path, key)),
                optional=part.get("optional", False),
                doc=part["doc"],
                place=self.source.key_place((*path, key)),
            )
            for key, part in data.items()
        )

    def items(self, data: list[Data], path: Path) -> tuple[CborEntry, ...]:
        """Returns the items of a sequence."""
        names: set[str] = set()
        for index, part in enumerate(data):
            here = (*path, index)
            self._check_name(part["name"], "an item", (*here, "name"), is_key=False)
            if part["name"] in names:
                place, message = self.source.place((*here, "name")), f"there are two items {part['name']!r}"
                self.problems.append(Problem(place, message, "rename one of them"))
            names.add(part["name"])
            if "repeat" in part and index < len(data) - 1:
                place, message = (
                    self.source.place(here),
                    f"nothing can follow {part['name']!r}, which extends to the end of the payload",
                )
                self.problems.append(Problem(place, message, "put it last"))
        return tuple(
            CborEntry(
                name=part["name"],
                type=self.cbor_type(part, (*path, index)),
                optional=False,
                doc=part["doc"],
                place=self.source.place((*path, index)),
                repeated="repeat" in part,
            )
            for index, part in enumerate(data)
        )

    def _check_name(self, name: str, what: str, path: Path, *, is_key: bool) -> None:
        fault = field_fault(name)
        if fault is not None:
            place = self.source.key_place(path) if is_key else self.source.place(path)
            self.problems.append(Problem(place, f"{what} cannot be called {name!r}: it {fault}", "rename it"))

    def cbor_type(self, data: Data, path: Path) -> CborType:
        """Returns a type. ``data``: a type with its options, such as an entry."""
        for key, types in OPTIONS.items():
            if key in data and data["type"] not in types:
                place, advice = self.source.key_place((*path, key)), f"remove it, or use `type: {types[0]}`"
                self.problems.append(Problem(place, f"`{key}` does not apply to the type {data['type']}", advice))
            elif key not in data and data["type"] in types and key not in _WITHOUT:
                place = self.source.place(path)
                self.problems.append(Problem(place, f"the type {data['type']} has no `{key}`", f"add `{key}: ...`"))
        cases = data.get("cases", {})
        if cases and "tag" in data:
            return self._tagged(data["tag"], cases, path)
        parts: list[tuple[Path, Data]] = [((key,), data[key]) for key in ("items", "keys", "values") if key in data]
        parts += [((key, index), part) for key in ("parts", "options") for index, part in enumerate(data.get(key, ()))]
        return CborType(
            name=data["type"],
            minimum=data.get("minimum"),
            choices=tuple(data.get("choices", ())),
            parts=tuple(self.cbor_type(part, (*path, *steps)) for steps, part in parts),
            entries=self.entries(data.get("entries", {}), (*path, "entries")),
        )

    def _tagged(self, tag: str, cases: Data, path: Path) -> CborType:
        """Returns the type of a map whose keys depend on the value of its tag."""
        self._check_name(tag, "a tag", (*path, "tag"), is_key=False)
        maps = []
        for value, case in cases.items():
            here = (*path, "cases", value)
            if tag in case.get("entries", {}):
                place, advice = self.source.key_place((*here, "entries", tag)), "remove it"
                self.problems.append(Problem(place, f"{tag!r} is the tag, which every case has", advice))
            selects = CborEntry(
                name=tag,
                type=CborType("ascii", choices=(value,)),
                optional=False,
                doc=case["doc"],
                place=self.source.key_place(here),
            )
            maps.append(CborType("map", entries=(selects, *self.entries(case.get("entries", {}), (*here, "entries")))))
        return CborType("tagged", choices=tuple(cases), parts=tuple(maps), tag=tag)
