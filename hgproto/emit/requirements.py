"""Emits ``requirements.py``: the catalogue of a revision's requirements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.emit.text import Group, docstring, heading, lay_out, literal

if TYPE_CHECKING:
    from hgproto.spec.model import Requirement, Schema

__all__ = ["emit"]


def emit(schema: Schema) -> str:
    """The source of ``requirements.py``."""
    entries: list[str | Group] = []
    for requirement in schema.requirements.values():
        places = dict.fromkeys(reference.path for reference in schema.references.get(requirement.id, ()))
        entries.append(Group(f"{literal(requirement.id)}: Requirement(", _arguments(requirement, tuple(places)), ")"))
    lines = [
        *heading(schema).rstrip("\n").split("\n"),
        *docstring(f"The requirements of {schema.revision}.", 0),
        "",
        "from __future__ import annotations",
        "",
        "from hgproto.catalogue import Requirement",
        "",
        '__all__ = ["REQUIREMENTS"]',
        "",
        *lay_out(Group("REQUIREMENTS: dict[str, Requirement] = {", entries, "}")),
        *docstring("By id, in the order of the schema.", 0),
    ]
    return "\n".join(lines) + "\n"


def _arguments(requirement: Requirement, places: tuple[str, ...]) -> list[str | Group]:
    arguments: list[str | Group] = [
        literal(text)
        for text in (
            requirement.id,
            requirement.binds,
            requirement.level,
            requirement.text,
            requirement.source,
            requirement.section,
            requirement.enforced,
        )
    ]
    if places:
        arguments.append(Group("places=(", [*map(literal, places)], ")"))
    for name in ("reason", "resolution", "reference"):
        text = getattr(requirement, name)
        if text is not None:
            arguments.append(f"{name}={literal(text)}")
    return arguments
