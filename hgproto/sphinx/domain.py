"""The domain ``hgproto``. Its objects are the parts of schemas, which pages describe and roles refer to."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, cast

from sphinx.domains import Domain, Index, IndexEntry, ObjType
from sphinx.roles import XRefRole
from sphinx.util import logging
from sphinx.util.nodes import make_refnode

from hgproto.language.mentions import KINDS, Part, find_part
from hgproto.sphinx.directives import DIRECTIVES
from hgproto.sphinx.library import Library, Volume

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Set
    from pathlib import Path

    from docutils.nodes import Element, Node, system_message
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.builders import Builder
    from sphinx.environment import BuildEnvironment

__all__ = ["ROLES", "RequirementIndex", "SchemaDomain", "plain_mention"]

logger = logging.getLogger(__name__)

ROLES = {"req": "requirement"} | {kind: kind for kind in KINDS if kind != "requirement"}
"""The roles, with the kinds of parts that they refer to. The role ``part`` refers to all kinds, like texts of a schema."""


class PartRole(XRefRole):
    """A reference to a part. Its page shows text of the schema, and therefore depends on the schema files."""

    def run(self) -> tuple[list[Node], list[system_message]]:
        domain = cast("SchemaDomain", self.env.get_domain("hgproto"))
        for file in domain.library.files:
            self.env.note_dependency(file)
        return super().run()


class RequirementIndex(Index):
    """The index of requirements, by area, with the sentence of each."""

    name = "requirements"
    localname = "Index of requirements"
    shortname = "requirements"

    def generate(self, docnames: Iterable[str] | None = None) -> tuple[list[tuple[str, list[IndexEntry]]], bool]:
        domain = cast("SchemaDomain", self.domain)
        groups: dict[str, list[IndexEntry]] = {}
        for volume in domain.library.volumes.values():
            for name, requirement in sorted(volume.schema.requirements.items()):
                place = domain.place("requirement", volume.prefix + name)
                if place is None or (docnames is not None and place[0] not in docnames):
                    continue
                entry = IndexEntry(volume.prefix + name, 0, place[0], place[1], "", "", requirement.sentence)
                groups.setdefault(name.partition(".")[0], []).append(entry)
        return sorted(groups.items()), False


class SchemaDomain(Domain):
    """The domain of the parts of schemas."""

    name = "hgproto"
    label = "hgproto"
    object_types = {kind: ObjType(kind, role, "part") for role, kind in ROLES.items()}  # noqa: RUF012 - as in Sphinx
    roles = {role: PartRole(warn_dangling=True) for role in (*ROLES, "part")}  # noqa: RUF012
    directives = DIRECTIVES
    indices = [RequirementIndex]  # noqa: RUF012
    initial_data: ClassVar[dict[str, Any]] = {"objects": {}, "digests": {}}
    data_version = 3

    @cached_property
    def library(self) -> Library:
        """The schemas of the site."""
        config = self.env.config
        return Library(config.hgproto_schemas, config.hgproto_trace, self.env.srcdir)

    def load(self) -> None:
        """Loads the schemas if needed, and stores the digests of their files."""
        self.data["digests"] = {file: _digest(self.env.srcdir / file) for file in self.library.files}

    def outdated(self) -> set[str]:
        """Returns the pages that depend on a file whose content changed after the schemas were loaded.

        Sphinx itself only detects files that are newer than the page, but a file that replaces another may be older.
        """
        digests: dict[str, str | None] = self.data["digests"]
        changed = {
            self.env.srcdir / file for file, digest in digests.items() if _digest(self.env.srcdir / file) != digest
        }
        known = self.env.dependencies.items()
        return {page for page, files in known if not changed.isdisjoint(self.env.srcdir / file for file in files)}

    @property
    def objects(self) -> dict[tuple[str, str], dict[str, str]]:
        """For each kind and name of a part, the pages that describe it, with the anchors."""
        objects: dict[tuple[str, str], dict[str, str]] = self.data["objects"]
        return objects

    def note(self, volume: Volume, part: Part) -> str:
        """Notes that the current page describes a part, and returns the part's anchor."""
        anchor = volume.anchor(part)
        self.objects.setdefault((part.kind, volume.prefix + part.name), {})[self.env.docname] = anchor
        return anchor

    def check_consistency(self) -> None:
        """Warns about parts that several pages describe. Only at this point are the pages of all processes known."""
        for (kind, name), pages in self.objects.items():
            first, *others = sorted(pages)
            for page in others:
                logger.warning(
                    "%s %s is also described on %s; add :no-index: to one of the directives",
                    kind,
                    name,
                    first,
                    location=page,
                    type="hgproto",
                    subtype="directive",
                )

    def clear_doc(self, docname: str) -> None:
        for key, pages in list(self.objects.items()):
            if pages.pop(docname, None) is not None and not pages:
                del self.objects[key]

    def merge_domaindata(self, docnames: Set[str], otherdata: dict[str, Any]) -> None:
        for key, pages in otherdata["objects"].items():
            for page in docnames & pages.keys():
                self.objects.setdefault(key, {})[page] = pages[page]

    def find(self, role: str, target: str) -> tuple[str, Part, Volume] | None:
        """Returns the prefix, the part, and the schema that a role refers to; None if the target is unknown."""
        revision, slash, name = target.rpartition("/")
        volume = self.library.volume(revision if slash else None)
        if volume is None:
            return None
        if role == "part":
            part = find_part(name, volume.parts)
        else:
            kind = ROLES[role]
            part = Part(kind, name) if Part(kind, name) in volume.parts else None
            if part is None and (found := find_part(name, {p: None for p in volume.parts if p.kind == kind})):
                part = found
        return None if part is None else (volume.prefix, part, volume)

    def place(self, kind: str, name: str) -> tuple[str, str] | None:
        """Returns the page and the anchor of a part, from the first page by name; None if no page describes the part."""
        return min(self.objects.get((kind, name), {}).items(), default=None)

    def resolve_xref(
        self,
        env: BuildEnvironment,
        fromdocname: str,
        builder: Builder,
        typ: str,
        target: str,
        node: pending_xref,
        contnode: Element,
    ) -> Any:
        if self.library.faults:
            # The faults of the schema are reported already; references to it are not faults.
            return contnode
        found = self.find(typ, target)
        place = found and self.place(found[1].kind, found[0] + found[1].name)
        if not found or not place:
            return None
        return make_refnode(builder, fromdocname, place[0], place[1], contnode, title_of(found[1], found[2]))

    def resolve_any_xref(
        self,
        env: BuildEnvironment,
        fromdocname: str,
        builder: Builder,
        target: str,
        node: pending_xref,
        contnode: Element,
    ) -> list[tuple[str, Any]]:
        found = self.find("part", target)
        place = found and self.place(found[1].kind, found[0] + found[1].name)
        if not found or not place:
            return []
        role = next(role for role, kind in ROLES.items() if kind == found[1].kind)
        return [(f"hgproto:{role}", make_refnode(builder, fromdocname, place[0], place[1], contnode))]

    def get_objects(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        for (kind, name), pages in self.objects.items():
            yield (name, name, kind, *min(pages.items()), 1)

    def get_full_qualified_name(self, node: Element) -> str | None:
        target = node.get("reftarget")
        return None if target is None else str(target)


def plain_mention(app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: Element) -> Element | None:
    """Returns plain text for an unresolved reference that is not a fault of the page; None for other references.

    This applies to mentions in a schema of parts that no page describes. If a schema has faults, it also applies to references
    with the role ``any``, which may refer to that schema.
    """
    is_mention = node.get("hgproto_mention") and not app.config.hgproto_complete
    is_any = node.get("reftype") == "any" and cast("SchemaDomain", env.get_domain("hgproto")).library.faults
    return contnode if is_mention or is_any else None


def _digest(file: Path) -> str | None:
    """Returns the digest of a file's content; None if the file cannot be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None


def title_of(part: Part, volume: Volume) -> str:
    """Returns the tooltip of a reference to a part."""
    if part.kind == "requirement":
        return volume.schema.requirements[part.name].sentence
    return f"{part.kind} {part.name}"
