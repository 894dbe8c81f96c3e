"""The source documents of requirements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hgproto.language.problems import Place

__all__ = ["Document"]


@dataclass(frozen=True, slots=True)
class Document:
    """A source document of requirements, in one version. ``sections``: headings by name."""

    name: str
    document: str
    version: str
    doc: str
    sections: Mapping[str, str]
    place: Place

    def cite(self, section: str) -> str:
        """Returns a citation of a section: its heading, the document, and the version."""
        return f'"{self.sections[section]}" in {self.document} ({self.version})'
