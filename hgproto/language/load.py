"""From files to the model: read, merge what is included, check against the JSON Schema, resolve names.

A schema that loads is complete and refers to nothing that is missing. Whether it also makes sense is proven by
:mod:`hgproto.language.check`.
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
"""What a schema has to have when everything it includes is there."""


MAX_FILES = 64
"""Files of a schema: far more than one needs, and few enough that each can be held against all before it."""


def schema_directory() -> Path:
    """Where the schemas that come with hgproto are: in the wheel beside the code, in a checkout beside the package."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "schema"
    return inside if inside.is_dir() else package.parent / "schema"


def load(file: str | Path) -> Schema:
    """The model of the schema in ``file``. Raises :class:`~hgproto.language.SchemaError` with every fault found."""
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
    """SHA-256 over the names and contents of all files, as they were read."""
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
) -> list[Problem]:
    """Reads ``file`` and what it includes into ``source``: sections that are mappings are united.

    Gives what is wrong with the shape of each file. ``done``: the files that were read, each once, what is included first.
    ``include``: the place that includes the file, if one does.
    """
    source.files.append(file)
    part = Source()
    part.data = read(file, part, include)
    source.contents |= part.contents
    problems = shape_problems(part, meta)
    for key, value in part.data.items():
        _merge(source, part, key, value)
    source.take_places(part)
    includes = part.data.get("include", [])
    if not isinstance(includes, list):
        return problems
    # Links are followed, so that no detour hides a cycle.
    chain = (*within, os.path.realpath(file))
    for index, name in enumerate(includes):
        if not isinstance(name, str):
            # A problem of the shape, which is reported with the others.
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
                [Problem(place, f"there is no file {quoted(str(target))} to include", "correct the name")]
            )
        problems += _read_with_includes(target, source, meta, chain, done, place)
    done[chain[-1]] = part
    return problems


def _is_missing(file: Path) -> bool:
    """Returns True if there is no file of that name. One that cannot be looked at may be there."""
    try:
        os.stat(file)
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
    except ValueError:
        # No name of a file has such characters.
        return True
    return False


def _in_order(source: Source, parts: Iterable[Source]) -> None:
    """Puts names in the order of files, those of an included file first, so that structures can be embedded from there."""
    parts = list(parts)
    for key, value in source.data.items():
        if isinstance(value, dict) and key not in ("header", "stream_flags"):
            source.data[key] = {name: value[name] for part in parts for name in part.data.get(key, {})}


def _merge(source: Source, part: Source, key: str, value: Any) -> None:
    """Adds a section of the file that ``part`` is about to what was read before."""
    if key not in source.data:
        source.data[key] = value
        return
    known = source.data[key]
    if isinstance(known, dict) and isinstance(value, dict) and key not in ("header", "stream_flags"):
        for name in value:
            if name in known:
                raise _twice(repr(name), source, part, (key, name))
        source.data[key] = {**value, **known}
    elif key not in ("include", "language"):
        raise _twice(f"the section {key!r}", source, part, (key,))


def _twice(what: str, source: Source, part: Source, path: tuple[str, ...]) -> SchemaError:
    advice = f"it stands at {source.key_place(path)} too; keep one of them"
    return SchemaError([Problem(part.key_place(path), f"{what} is in two of the files", advice)])


def known_revisions() -> dict[str, Path]:
    """The revisions that come with hgproto, by name."""
    return {file.stem: file for file in sorted(schema_directory().glob("framing-*.yaml"))}


def find(revision: str) -> Path:
    """The schema file that ``revision`` names: one of ours, or a path. Raises :class:`SchemaError`."""
    ours = known_revisions()
    if revision in ours:
        return ours[revision]
    path = Path(revision)
    if not _is_missing(path):
        return path
    message = f"there is no revision {quoted(revision)}, and no such file"
    raise SchemaError([Problem(Place(revision), message, suggestion(revision, ours))])
