"""Resolves data of the right shape into the model: looks up every name, and notes every reference to a requirement.

This module rejects unknown names of requirements, structures, flags, fields, and limits.
:mod:`hgproto.language.resolve_machines` rejects those in machines, messages, and events.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hgproto.language import model
from hgproto.language.cbor_types import Join, needed_rules
from hgproto.language.documents import Document
from hgproto.language.mentions import all_parts, by_end, find_part, mentions, owner, texts
from hgproto.language.names import name_faults
from hgproto.language.problems import Problem, SchemaError
from hgproto.language.resolve_cbor import CborResolver
from hgproto.language.resolve_machines import MAX_FIELDS, MachineResolver

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from hgproto.language.cbor_types import CborEntry
    from hgproto.language.problems import Place
    from hgproto.language.resolve_machines import Data, Path
    from hgproto.language.source import Source

__all__ = ["resolve"]

HEADER_FIELDS = ("length", "request_id", "stream_id", "stream_flags", "type", "flags", "payload")
"""The fields that every header must have, because frames show them in all formats."""


def resolve(source: Source, digest: str) -> model.Schema:
    """Returns the model for data of the right shape. Raises :class:`~hgproto.language.SchemaError`."""
    return _Resolver(source).schema(digest)


_TYPES = (*model.INTEGERS, *model.STRINGS)


class _Resolver(MachineResolver, CborResolver):
    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.structures: dict[str, model.Structure] = {}

    def rules(self, data: Data, path: Path, biting: Collection[str] | None = None) -> dict[str, str]:
        """Returns the rules of a part, and notes that those in ``biting`` (None: all) enforce their requirements."""
        rules: dict[str, str] = data.get("rules", {})
        for key, name in rules.items():
            if biting is None or key in biting:
                self.requirement(name, (*path, "rules", key), "codec")
            else:
                self.known("requirement", name, self.data["requirements"], (*path, "rules", key))
        return rules

    # Parts.

    def schema(self, digest: str) -> model.Schema:
        data = self.data
        sections = (
            list(data.get(section, ())) for section in ("structures", "frames", "machines", "events", "messages")
        )
        for section, name, fault in name_faults(*sections):
            place = self.source.key_place((section, name))
            self.problems.append(Problem(place, f"{name!r} cannot be a name: it {fault}", "rename it"))
        header = self.header(data["header"], ("header",))
        stream_flags = self.flags(data["stream_flags"]["flags"], ("stream_flags", "flags"))
        flag_names = [flag.name for flag in stream_flags]
        integers = [name for name in HEADER_FIELDS if name != "payload"]
        stream_constraints = self.constraints(
            data["stream_flags"].get("constraints", []), ("stream_flags", "constraints"), flag_names, integers
        )
        for name, structure in data["structures"].items():
            self.structures[name] = self.structure(name, structure, ("structures", name))
        frames = {
            name: self.frame(name, frame, ("frames", name), flag_names, integers)
            for name, frame in data["frames"].items()
        }
        messages = self.messages(frames)
        events, emits, guards = self.events(), self.emits(), self.guards()
        machines = {
            name: self.machine(name, part, ("machines", name), frames, guards, flag_names)
            for name, part in data.get("machines", {}).items()
        }
        sources = self.sources()
        requirements = {name: self.catalogue_entry(name, part, sources) for name, part in data["requirements"].items()}
        if self.problems:
            raise SchemaError(self.problems)
        schema = model.Schema(
            revision=data["revision"],
            title=data["title"],
            doc=data["doc"],
            media_type=data.get("media_type"),
            human=data.get("human"),
            digest=digest,
            files=tuple(str(file) for file in self.source.files),
            header=header,
            stream_flags=stream_flags,
            stream_constraints=stream_constraints,
            limits={
                name: model.Limit(name=name, place=self.source.key_place(("limits", name)), **part)
                for name, part in data.get("limits", {}).items()
            },
            cbor=self.subset(data.get("cbor")),
            profiles={
                name: model.Profile(name=name, place=self.source.key_place(("profiles", name)), **part)
                for name, part in data.get("profiles", {}).items()
            },
            structures=self.structures,
            frames=frames,
            messages=messages,
            events=events,
            emits=emits,
            guards=guards,
            machines=machines,
            sources=sources,
            requirements=requirements,
            references={name: tuple(places) for name, places in self.references.items()},
        )
        self.texts(schema)
        if self.problems:
            raise SchemaError(self.problems)
        return schema

    def texts(self, schema: model.Schema) -> None:
        """Looks up the names that texts mention."""
        parts = all_parts(schema)
        ends = by_end(parts)
        names = {name for part in parts for name in (part.name, part.name.rpartition(".")[2])}
        for path, text in texts(self.data):
            for piece, is_name in mentions(text):
                if is_name and find_part(piece, parts, owner(path), ends) is None:
                    nearest = self.adviser.closest(piece, names)
                    advice = f"did you mean {nearest!r}?" if nearest else "name a part of the schema"
                    message = f"unknown name {piece!r}"
                    if len(found := ends.get(piece, [])) > 1:
                        message = f"the name {piece!r} is ambiguous: {', '.join(part.name for part in found)}"
                        advice = "write the owner and a dot before it"
                    self.problems.append(Problem(self.source.place(path), message, advice))

    def sources(self) -> dict[str, Document]:
        sources = {
            name: Document(name=name, place=self.source.key_place(("sources", name)), **part)
            for name, part in self.data.get("sources", {}).items()
        }
        known: dict[str, str] = {}
        for source in sources.values():
            for section in source.sections:
                if section in known:
                    place = self.source.key_place(("sources", source.name, "sections", section))
                    message = f"the section {section!r} is also in {known[section]!r}"
                    self.problems.append(Problem(place, message, "give it another name"))
                known[section] = source.name
        return sources

    def catalogue_entry(self, name: str, part: Data, sources: Mapping[str, Document]) -> model.Requirement:
        parts: Data = dict.fromkeys(("reason", "resolution", "reference", "severity")) | part
        if sources:
            section, cited = part["section"], {name: one for one in sources.values() for name in one.sections}
            self.known("section", section, cited, ("requirements", name, "section"))
            if section in cited:
                parts["section"] = cited[section].cite(section)
        return model.Requirement(id=name, place=self.source.key_place(("requirements", name)), **parts)

    def header(self, data: Data, path: Path) -> model.Header:
        fields = self.fields(data["fields"], (*path, "fields"), {}, self.data.get("limits", {}))
        header = model.Header(data["doc"], fields, self.source.place(path))
        present = {name for f in fields for name in ([b.name for b in f.bits] or [f.name])}
        for name in HEADER_FIELDS:
            if name not in present:
                message = f"the header has no field {name!r}"
                self.problems.append(Problem(self.source.place(path), message, f"add {name!r}"))
        if [(f.name, f.type, f.size) for f in fields[-1:]] != [("payload", "bytes", "length")]:
            message = "the header does not end in the payload"
            advice = "make `payload` of type bytes and size length the last field"
            place = fields[-1].place if fields else self.source.place(path)
            self.problems.append(Problem(place, message, advice))
        return header

    def flags(self, data: Data, path: Path) -> tuple[model.Flag, ...]:
        return tuple(
            model.Flag(name, part["bit"], part.get("role"), part["doc"], self.source.key_place((*path, name)))
            for name, part in data.items()
        )

    def constraints(
        self, data: list[Data], path: Path, flags: Collection[str], integers: Collection[str]
    ) -> tuple[model.Constraint, ...]:
        result = []
        for index, part in enumerate(data):
            here = (*path, index)
            ((kind, value),) = ((key, value) for key, value in part.items() if key != "requirement")
            subject, names, place = None, value, (*here, kind)
            if isinstance(value, dict):
                ((subject, names),) = value.items()
                place = (*place, subject)
                self.known("flag", subject, flags, place, is_key=True)
            what, allowed = ("header field", integers) if kind in ("odd", "even") else ("flag", flags)
            for position, name in enumerate(names):
                self.known(what, name, allowed, (*place, position))
            requirement = self.requirement(part["requirement"], (*here, "requirement"), "codec")
            result.append(model.Constraint(kind, subject, tuple(names), requirement, self.source.place(here)))
        return tuple(result)

    def fields(
        self, data: list[Data], path: Path, rules: dict[str, str], limits: Collection[str]
    ) -> tuple[model.Field, ...]:
        """Returns the fields in order, with embedded ones in place, and sets their ``sized_by``."""
        result: list[model.Field] = []
        places: list[Place] = []
        giving = _giving(data)
        for index, part in enumerate(data):
            here = (*path, index)
            if "embed" in part:
                if self.known("earlier structure", part["embed"], self.structures, (*here, "embed")):
                    result.extend(self.embedded(part["embed"], (*here, "embed")))
                    places += [self.source.place((*here, "embed"))] * (len(result) - len(places))
                if len(result) > 2 * MAX_FIELDS:
                    break
                continue
            gives = part.get("name") in giving
            result.append(self.field(part, here, rules, gives=gives))
            places.append(result[-1].place)
            if part.get("limit") is not None:
                self.known("limit", part["limit"], limits, (*here, "limit"))
        givers: dict[str, str] = {}
        for field in result:
            for giver in (field.size, field.count, field.sizes):
                if giver not in (None, "rest"):
                    givers.setdefault(str(giver), field.name)
        if len(result) > MAX_FIELDS:
            place, advice = self.source.place(path), "move some to another structure, or repeat one"
            self.problems.append(Problem(place, f"there are more than {MAX_FIELDS} fields", advice))
        # Keep each name once, so that embedding the fields again does not repeat the faults.
        kept: list[model.Field] = []
        taken: set[str] = set()
        for field, place in zip(result, places, strict=True):
            names = [bits.name for bits in field.bits] or [field.name]
            for name in taken.intersection(names):
                self.problems.append(Problem(place, f"there are two fields {name!r}", "rename one of them"))
            if not taken.issuperset(names) and len(kept) < MAX_FIELDS:
                kept.append(field)
            taken.update(names)
        return tuple(_with_sized_by(field, givers.get(field.name)) for field in kept)

    def embedded(self, name: str, path: Path) -> tuple[model.Field, ...]:
        structure = self.structures[name]
        if structure.is_cbor:
            place, message = self.source.place(path), f"{name!r} is CBOR, which cannot be embedded"
            self.problems.append(Problem(place, message, "embed a structure that has fields"))
        return structure.fields

    def field(self, part: Data, here: Path, inherited: dict[str, str], *, gives: bool = False) -> model.Field:
        """Returns a field. ``gives``: True if it has the size or count of a later field, whose rule ``overflow`` then applies."""
        kind = part["type"]
        if "name" in part:
            self.usable(part["name"], (*here, "name"))
        if kind not in _TYPES and kind not in self.structures:
            self.known("type", kind, [*_TYPES, *self.structures], (*here, "type"))
        bits = tuple(
            model.BitField(
                name=b["name"],
                low=b["bits"][0],
                high=b["bits"][1],
                doc=b["doc"],
                rules=self.rules(b, (*here, "bits", position)),
                place=self.source.place((*here, "bits", position)),
            )
            for position, b in enumerate(part.get("bits", ()))
        )
        parity = part.get("parity")
        if parity:
            # The parity determines the sender of a frame; a receiver can only check it if it knows its own role.
            self.requirement(parity["requirement"], (*here, "parity", "requirement"), "machine")
        if "order" in part:
            self.requirement(part["order"], (*here, "order"), "validator")
        return model.Field(
            name=part.get("name", "_".join(b.name for b in bits)),
            type=kind,
            doc=part.get("doc", ""),
            size=part.get("size"),
            count=part.get("count"),
            sizes=part.get("sizes"),
            repeat="repeat" in part,
            at_most=part.get("at_most"),
            show=part.get("show", False),
            limit=part.get("limit"),
            parity=parity,
            order=part.get("order"),
            bits=bits,
            rules={**_relevant_rules(inherited, part), **self.rules(part, here, None if not gives else _OF_GIVERS)},
            place=self.source.place(here),
        )

    def structure(self, name: str, data: Data, path: Path) -> model.Structure:
        entries = (
            self.items(data["sequence"], (*path, "sequence"))
            if "sequence" in data
            else self.entries(data.get("entries", {}), (*path, "entries"))
        )
        rules = self.rules(data, path, _biting_rules(data, entries))
        if data.get("limit") is not None:
            self.known("limit", data["limit"], self.data.get("limits", {}), (*path, "limit"))
        return model.Structure(
            name=name,
            doc=data["doc"],
            fields=self.fields(data.get("fields", []), (*path, "fields"), rules, self.data.get("limits", {})),
            entries=entries,
            is_sequence="sequence" in data,
            rules=rules,
            limit=data.get("limit"),
            examples=self.examples(data.get("examples", []), (*path, "examples")),
            place=self.source.key_place(path),
        )

    def examples(self, data: list[Data], path: Path) -> tuple[model.Example, ...]:
        result = []
        for index, part in enumerate(data):
            here = (*path, index)
            refused = part.get("refused")
            if refused is not None:
                self.known("requirement", refused, self.data["requirements"], (*here, "refused"))
            result.append(
                model.Example(
                    title=part["title"],
                    data=bytes.fromhex(part["hex"]),
                    decodes=part.get("decodes"),
                    refused=refused,
                    offset=part.get("offset"),
                    continued=part.get("continued", False),
                    place=self.source.place(here),
                )
            )
        return tuple(result)

    def frame(
        self, name: str, data: Data, path: Path, stream_flags: Collection[str], integers: Collection[str]
    ) -> model.FrameType:
        flags = self.flags(data["flags"], (*path, "flags"))
        own = [flag.name for flag in flags]
        sender = data["sender"]
        if "requirement" in sender:
            self.requirement(sender["requirement"], (*path, "sender", "requirement"), "codec")
        return model.FrameType(
            name=name,
            code=data["code"],
            role=data.get("role"),
            title=data["title"],
            sender=sender.get("only"),
            sender_requirement=sender.get("requirement"),
            doc=data["doc"],
            flags=flags,
            constraints=self.constraints(
                data.get("constraints", []), (*path, "constraints"), [*own, *stream_flags], integers
            ),
            checks={
                check: self.requirement(requirement, (*path, "checks", check), "validator")
                for check, requirement in data.get("checks", {}).items()
            },
            payload=tuple(
                self.payload_case(part, (*path, "payload", i), own) for i, part in enumerate(data["payload"])
            ),
            examples=self.examples(data["examples"], (*path, "examples")),
            place=self.source.key_place(path),
            joins=self.join(data["joins"], (*path, "joins")) if "joins" in data else None,
        )

    def join(self, data: Data, path: Path) -> Join | None:
        limit = data.get("limit")
        if limit is not None:
            self.known("limit", limit, self.data.get("limits", {}), (*path, "limit"))
        if not self.known("structure", data["structure"], self.structures, (*path, "structure")):
            return None
        order = data.get("order")
        if order is not None:
            self.requirement(order, (*path, "order"), "codec")
        return Join(self.structures[data["structure"]], limit, order, self.source.key_place(path))

    def payload_case(self, part: Data, here: Path, flags: Collection[str]) -> model.PayloadCase:
        structure, field = None, None
        if "structure" in part:
            if self.known("structure", part["structure"], self.structures, (*here, "structure")):
                structure = self.structures[part["structure"]]
        else:
            field = self.field(part, here, {})
            self.known("string type", field.type, model.STRINGS, (*here, "type"))
        for key in ("when", "after"):
            if key in part:
                self.known("flag", part[key], flags, (*here, key))
        return model.PayloadCase(structure, field, part.get("when"), part.get("after"), self.source.place(here))


def _with_sized_by(field: model.Field, giver_of: str | None) -> model.Field:
    if giver_of == field.sized_by:
        return field
    return replace(field, sized_by=giver_of)


def _biting_rules(structure: Data, entries: tuple[CborEntry, ...]) -> set[str]:
    """Returns the rules of a structure that apply to it, or to a field without its own rule of the same key."""
    rules: dict[str, str] = structure.get("rules", {})
    if "fields" not in structure:
        # A truncated map is malformed.
        needed = needed_rules(entries, is_sequence="sequence" in structure)
        return rules.keys() & {*needed, *(["limit"] if "limit" in structure else [])}
    fields, giving = structure["fields"], _giving(structure["fields"])
    takes_rest = fields[-1].get("size") == "rest" or "repeat" in fields[-1]
    kept = ({"limit"} & structure.keys()) | (set() if takes_rest else {"surplus"})
    for part in fields:
        if "embed" not in part:
            relevant = _relevant_rules(rules, part).keys() - part.get("rules", {}).keys()
            kept |= relevant & _OF_GIVERS if part.get("name") in giving else relevant
    return kept


_OF_GIVERS = frozenset({"cut", "limit"})
"""The rules that bytes can violate in a field that is the size or count of another one."""


def _giving(fields: list[Data]) -> set[str]:
    """Returns the names of the fields that are the size or count of another one."""
    return {part[key] for part in fields for key in ("size", "count", "sizes") if part.get(key, "rest") != "rest"}


def _relevant_rules(inherited: dict[str, str], part: Data) -> dict[str, str]:
    """Returns the rules of a structure that apply to one of its fields."""
    fitting = model.fitting_rules(part["type"], part.get("size"), part.get("at_most"), repeat="repeat" in part)
    return {key: rule for key, rule in inherited.items() if key in fitting and key != "empty"}
