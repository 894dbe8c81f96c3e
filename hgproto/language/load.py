"""Loads a schema: reads its files, merges included files, checks them against the JSON Schema, and resolves names.

A loaded schema is complete, and all of its references are resolved. :mod:`hgproto.language.check` then checks that it is
consistent.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hgproto.errors import quoted
from hgproto.language.mentions import join_lines
from hgproto.language.problems import Place, Problem, SchemaError, suggestion
from hgproto.language.resolve import resolve
from hgproto.language.shape import shape_problems
from hgproto.language.source import Source, read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hgproto.language.model import Schema

__all__ = ["load", "schema_directory"]

SECTIONS = ("revision", "title", "doc", "header", "stream_flags", "structures", "frames", "requirements")
"""The sections that a schema must have after all included files are merged."""


MAX_FILES = 64
"""The largest number of files of a schema. It bounds the comparisons of each file with all earlier ones."""


def schema_directory() -> Path:
    """Returns the directory of hgproto's own schemas: inside the package in a wheel, beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "schema"
    return inside if inside.is_dir() else package.parent / "schema"


def load(file: str | Path) -> Schema:
    """Returns the model of the schema in ``file``. Raises :class:`~hgproto.language.SchemaError` with every fault found."""
    source = Source()
    try:
        return _load(Path(file), source)
    except SchemaError as error:
        error.files = tuple(map(str, source.files))
        raise


def _load(file: Path, source: Source) -> Schema:
    meta = json.loads((schema_directory() / "meta.schema.json").read_text(encoding="utf-8"))
    done: dict[str, Source] = {}
    problems = _read_with_includes(file, source, meta, (), done)
    if problems:
        raise SchemaError(problems)
    _in_order(source, done.values())
    missing = [section for section in SECTIONS if section not in source.data]
    if missing:
        place, advice = source.place(()), "add it, or include it"
        raise SchemaError([Problem(place, f"the section {section!r} is missing", advice) for section in missing])
    join_lines(source.data)
    return resolve(source, _digest(source.contents))


def _digest(contents: dict[Path, bytes]) -> str:
    """Returns the SHA-256 of the names and contents of all files, in hexadecimal."""
    digest = hashlib.sha256()
    for file, content in sorted(contents.items(), key=lambda item: item[0].name):
        digest.update(f"{file.name} {len(content)}\n".encode("utf-8", "surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def _read_with_includes(
    file: Path,
    source: Source,
    meta: dict[str, Any],
    within: tuple[str, ...],
    done: dict[str, Source],
    include: Place | None = None,
    omitted: Omitted | None = None,
) -> list[Problem]:
    """Reads ``file`` and its included files into ``source``, and merges sections that are mappings.

    Returns the faults in the shape of each file. ``done``: the files read so far, included files before the including ones.
    ``include``: the place that includes the file; None for the first file.
    ``omitted``: the parts of this file that another file leaves out.
    """
    omitted = omitted or {}
    source.files.append(file)
    part = Source()
    part.data = read(file, part, include)
    source.contents |= part.contents
    problems = shape_problems(part, meta)
    _leave_out(part, file, omitted)
    for key, value in part.data.items():
        _merge(source, part, key, value)
    source.take_places(part)
    includes = part.data.get("include", [])
    if not isinstance(includes, list):
        return problems
    names = part.data.get("without", [])
    own: Omitted = {name: [] for name in names if isinstance(name, str)} if isinstance(names, list) else {}
    # Symbolic links are resolved, so that they cannot hide a cycle.
    chain = (*within, os.path.realpath(file))
    for index, name in enumerate(includes):
        if not isinstance(name, str):
            # `shape_problems` reports this.
            continue
        place = part.place(("include", index))
        target = file.parent / name
        real = os.path.realpath(target)
        if real in chain:
            raise SchemaError([Problem(place, f"{quoted(name)} includes itself", "remove one of the includes")])
        if real in done:
            continue
        if len(source.files) >= MAX_FILES:
            raise SchemaError([Problem(place, f"the schema has more than {MAX_FILES} files", "join some of them")])
        if _is_missing(target):
            source.files.append(target)
            raise SchemaError(
                [Problem(place, f"the included file {quoted(str(target))} does not exist", "correct the name")]
            )
        problems += _read_with_includes(target, source, meta, chain, done, place, omitted | own)
    for index, name in enumerate(own):
        if not own[name]:
            place, advice = part.place(("without", index)), "correct or remove it"
            problems.append(Problem(place, f"no included file has {name!r}", advice))
    done[chain[-1]] = part
    return problems


Omitted = dict[str, list[Path]]
"""The parts to omit from included files, each with the files that have it."""


def _leave_out(part: Source, file: Path, omitted: Omitted) -> None:
    """Removes the parts to omit from a file."""
    for name, files in omitted.items():
        section, _, inner = name.partition(".")
        within = part.data.get(section) if inner else part.data
        if isinstance(within, dict) and (inner or section) in within:
            del within[inner or section]
            files.append(file)


def _is_missing(file: Path) -> bool:
    """Returns True if the file does not exist, False if it exists or might exist."""
    try:
        os.stat(file)
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
    except ValueError:
        # A file name cannot have such characters.
        return True
    return False


def _in_order(source: Source, parts: Iterable[Source]) -> None:
    """Sorts names by file, included files first, so that structures can embed those of included files."""
    parts = list(parts)
    for key, value in source.data.items():
        if isinstance(value, dict) and key not in ("header", "stream_flags"):
            source.data[key] = {name: value[name] for part in parts for name in part.data.get(key, {})}


def _merge(source: Source, part: Source, key: str, value: Any) -> None:
    """Adds a section of the file in ``part`` to those of ``source``."""
    if key not in source.data:
        source.data[key] = value
        return
    known = source.data[key]
    if isinstance(known, dict) and isinstance(value, dict) and key not in ("header", "stream_flags"):
        for name in value:
            if name in known:
                raise _twice(repr(name), source, part, (key, name))
        source.data[key] = {**value, **known}
    elif key not in ("include", "language", "without"):
        raise _twice(f"the section {key!r}", source, part, (key,))


def _twice(what: str, source: Source, part: Source, path: tuple[str, ...]) -> SchemaError:
    advice = f"it is also at {source.key_place(path)}; keep one of them"
    return SchemaError([Problem(part.key_place(path), f"{what} is in two of the files", advice)])


def known_revisions() -> dict[str, Path]:
    """Returns the schema files of hgproto's own revisions, by revision name."""
    return {file.stem: file for file in sorted(schema_directory().glob("framing-*.yaml"))}


def find(revision: str) -> Path:
    """Returns the schema file for a name of hgproto's own revisions or for a path. Raises :class:`SchemaError`."""
    ours = known_revisions()
    if revision in ours:
        return ours[revision]
    path = Path(revision)
    if not _is_missing(path):
        return path
    message = f"{quoted(revision)} is neither a revision nor a file"
    raise SchemaError([Problem(Place(revision), message, suggestion(revision, ours))])
