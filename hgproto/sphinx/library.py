"""The schemas of a site, which are loaded once. Their faults are reported at their lines."""

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
    """A documented schema. ``prefix``: the start of the names of its parts; empty for the first schema.

    ``trace``: the snapshot for its requirements; None if there is none.
    """

    schema: Schema
    revision: Revision
    prefix: str
    trace: Mapping[str, Mapping[str, Any]] | None

    @cached_property
    def parts(self) -> dict[Part, Place]:
        """The parts of the schema, with their places."""
        return all_parts(self.schema)

    def anchor(self, part: Part) -> str:
        """Returns the anchor of a part: the id of a requirement, or the kind and name of another part."""
        return self.within(part.name if part.kind == "requirement" else f"{part.kind}-{part.name}")

    def within(self, anchor: str) -> str:
        """Returns an anchor that is different for each schema on a page."""
        return f"{self.prefix.replace('/', '-')}{anchor}"


class Library:
    """The schemas of a site. A schema with faults is omitted, after a warning at the line of each fault.

    ``trace``: a snapshot of ``hgproto trace``, which covers the requirements of the default revision.
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
        # The schema of the snapshot may be one with faults.
        if trace is not None and DEFAULT_REVISION not in named and not self.faults:
            raise ConfigError(
                f"hgproto_trace: {trace} is for {DEFAULT_REVISION}, which is not in hgproto_schemas; "
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
                # Sphinx interprets a location without a line as the name of a document.
                where = f"{place.file}:{place.line}" if place.line else None
                shown = f"{problem.message}; {problem.help}" if where else str(problem)
                logger.warning("%s", shown, location=where, type="hgproto", subtype="schema")
            return None
        start = f"{schema.revision}/" if prefix is None else prefix
        return Volume(schema, Revision(name), start, trace if schema.revision == DEFAULT_REVISION else None)

    def volume(self, revision: str | None) -> Volume | None:
        """Returns the schema of a revision, or the first one for None. Returns None if the schema is unknown or has faults."""
        if revision is None:
            return next((volume for volume in self.volumes.values() if not volume.prefix), None)
        return self.volumes.get(revision)


def _snapshot(file: Path) -> Mapping[str, Mapping[str, Any]]:
    """Returns the snapshot in a file. Raises :class:`sphinx.errors.ConfigError`."""
    try:
        return read_snapshot(file)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"hgproto_trace: cannot read a snapshot of `hgproto trace` from {file}: {error}") from None
