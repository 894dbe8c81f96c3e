"""The schemas of a site: loaded once, their faults told at their lines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sphinx.errors import ConfigError
from sphinx.util import logging

from hgproto.evidence.prove import prove
from hgproto.evidence.trace import read_snapshot
from hgproto.language import SchemaError, check, load
from hgproto.language.load import find, known_revisions
from hgproto.language.mentions import Part, all_parts
from hgproto.revisions.revision import DEFAULT_REVISION, Revision

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hgproto.language.model import Schema
    from hgproto.language.problems import Place

__all__ = ["Library", "Volume"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Volume:
    """A schema that is documented. ``prefix`` stands before the names of its parts, empty for the first.

    ``trace``: the snapshot of its requirements; None for none.
    """

    schema: Schema
    revision: Revision
    prefix: str
    trace: Mapping[str, Mapping[str, Any]] | None

    @cached_property
    def parts(self) -> dict[Part, Place]:
        """Its parts, and where they stand."""
        return all_parts(self.schema)

    def anchor(self, part: Part) -> str:
        """The anchor of a part on its page: the id of a requirement as it is, else kind and name."""
        return self.within(part.name if part.kind == "requirement" else f"{part.kind}-{part.name}")

    def within(self, anchor: str) -> str:
        """An anchor of a page that may show the same of other schemas."""
        return f"{self.prefix.replace('/', '-')}{anchor}"


class Library:
    """The schemas of a site. A schema with faults is left out, after a warning at the line of each.

    ``trace``: a snapshot of ``hgproto trace``, which is about the requirements of the default revision.
    """

    def __init__(self, names: Sequence[str], trace: str | None, directory: Path) -> None:
        self.files: list[str] = []
        self.volumes: dict[str, Volume] = {}
        self.faults = False
        entries = None
        if trace is not None:
            self.files.append(str(directory / trace))
            entries = _snapshot(directory / trace)
        named: dict[str, str] = {}
        for index, name in enumerate(names):
            file = name if name in known_revisions() else str(directory / name)
            volume = self._volume(file, "" if index == 0 else None, entries)
            if volume is None:
                continue
            revision = volume.schema.revision
            if revision in named:
                raise ConfigError(f"hgproto_schemas: {named[revision]} and {name} are both revision {revision}")
            named[revision] = name
            self.volumes[revision] = volume
        # A schema with faults may be the one that the snapshot is about.
        if trace is not None and DEFAULT_REVISION not in named and not self.faults:
            raise ConfigError(
                f"hgproto_trace: {trace} is about {DEFAULT_REVISION}, which is not in hgproto_schemas; "
                f"add {DEFAULT_REVISION} to hgproto_schemas, or remove hgproto_trace"
            )

    def _volume(self, name: str, prefix: str | None, trace: Mapping[str, Mapping[str, Any]] | None) -> Volume | None:
        try:
            schema = load(find(name))
            self.files += schema.files
            problems = check(schema) or prove(schema)[0]
            if problems:
                raise SchemaError(problems)
        except SchemaError as error:
            self.faults = True
            self.files += error.files or (name,)
            for problem in error.problems:
                place = problem.place
                # Sphinx takes a location without a line for the name of a document.
                where = f"{place.file}:{place.line}" if place.line else None
                shown = f"{problem.message}; {problem.help}" if where else str(problem)
                logger.warning("%s", shown, location=where, type="hgproto", subtype="schema")
            return None
        start = f"{schema.revision}/" if prefix is None else prefix
        return Volume(schema, Revision(name), start, trace if schema.revision == DEFAULT_REVISION else None)

    def volume(self, revision: str | None) -> Volume | None:
        """The schema of a revision, the first where none is named; None where there is none."""
        if revision is None:
            return next((volume for volume in self.volumes.values() if not volume.prefix), None)
        return self.volumes.get(revision)


def _snapshot(file: Path) -> Mapping[str, Mapping[str, Any]]:
    """Returns what ``hgproto trace`` has written."""
    try:
        return read_snapshot(file)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"hgproto_trace: expected what `hgproto trace` writes in {file}: {error}") from None
