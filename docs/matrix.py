"""The directive ``requirements``: a table of the requirements and a section for each, whose anchor is the id as it is.

What it says is from the generated catalogue and from the snapshot that ``hgproto trace`` writes.
"""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from hgproto.framing_0002.requirements import REQUIREMENTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sphinx.application import Sphinx

    from hgproto.catalogue import Requirement

__all__ = ["RequirementsDirective", "page", "setup"]

SNAPSHOT = Path(__file__).resolve().parent.parent / "tests" / "trace.json"
ENFORCED = {
    "codec": "the codec, by looking at one frame",
    "machine": "a state machine",
    "validator": "the validator alone",
    "manual": "nothing",
}
COLUMNS = {"requirement": 40, "level": 15, "enforced by": 15, "kept by": 10, "broken by": 10, "tests": 10}


class RequirementsDirective(SphinxDirective):
    """All requirements."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(SNAPSHOT))
        return page(REQUIREMENTS, json.loads(SNAPSHOT.read_text(encoding="utf-8")))


def page(requirements: dict[str, Requirement], entries: dict[str, dict[str, Any]]) -> list[nodes.Node]:
    """The table, and a section for each area with a section for each requirement."""
    sections: list[nodes.Node] = []
    for area, members in groupby(requirements.values(), lambda requirement: requirement.id.partition(".")[0]):
        section = nodes.section("", nodes.title("", area), ids=[f"area-{area}"], names=[])
        section += [_section(requirement, entries[requirement.id]) for requirement in members]
        sections.append(section)
    return [_table(requirements, entries), *sections]


def _table(requirements: dict[str, Requirement], entries: dict[str, dict[str, Any]]) -> nodes.table:
    group = nodes.tgroup("", *(nodes.colspec(colwidth=width) for width in COLUMNS.values()), cols=len(COLUMNS))
    group += nodes.thead("", _row(nodes.Text(column) for column in COLUMNS))
    body = nodes.tbody()
    for name, requirement in requirements.items():
        entry = entries[name]
        link = nodes.reference("", "", nodes.literal("", name), refid=name, internal=True)
        counts = (str(len(entry[key])) if entry[key] else "" for key in ("kept", "broken", "tests"))
        body += _row([link, *map(nodes.Text, (requirement.level, requirement.enforced, *counts))])
    group += body
    return nodes.table("", group, classes=["requirements"])


def _row(cells: Iterable[nodes.Node]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def _section(requirement: Requirement, entry: dict[str, Any]) -> nodes.section:
    section = nodes.section("", nodes.title("", "", nodes.literal("", requirement.id)), ids=[requirement.id], names=[])
    section += nodes.paragraph("", "", nodes.strong("", requirement.sentence))
    section += nodes.paragraph("", requirement.why)
    whose = "our resolution, since the source is silent" if requirement.source == "ours" else "the protocol's source"
    fields: list[tuple[str, list[nodes.Node]]] = [
        ("Level", [_text(requirement.level)]),
        ("From", [_text(f"{whose}, section {requirement.section}")]),
        ("Resolution", [_text(requirement.resolution)] if requirement.resolution else []),
        ("Reference implementation", [_text(requirement.reference)] if requirement.reference else []),
        ("Enforced by", [_text(f"{ENFORCED[requirement.enforced]}. {requirement.reason or ''}".rstrip(" ."))]),
        ("Places", [_literals(requirement.places)] if requirement.places else []),
        ("Kept by", [_literals(entry["kept"])] if entry["kept"] else []),
        ("Broken by", [_literals(entry["broken"])] if entry["broken"] else []),
        ("Tests", [_tests(entry["tests"]) if entry["tests"] else _text("none")]),
    ]
    section += nodes.field_list(
        "",
        *(
            nodes.field("", nodes.field_name("", name), nodes.field_body("", *body), classes=["requirement"])
            for name, body in fields
            if body
        ),
    )
    return section


def _text(text: str) -> nodes.paragraph:
    return nodes.paragraph("", text)


def _literals(texts: Iterable[str]) -> nodes.paragraph:
    paragraph = nodes.paragraph()
    for text in texts:
        if paragraph.children:
            paragraph += nodes.Text(", ")
        paragraph += nodes.literal("", text)
    return paragraph


def _tests(tests: dict[str, str]) -> nodes.bullet_list:
    return nodes.bullet_list(
        "",
        *(
            nodes.list_item("", nodes.paragraph("", "", nodes.literal("", name), nodes.Text(f" {how}")))
            for name, how in tests.items()
        ),
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the directive."""
    app.add_directive("requirements", RequirementsDirective)
    return {"parallel_read_safe": True}
