"""From files to the model: read, merge what is included, check against the JSON Schema, resolve names.

A schema that loads is complete and refers to nothing that is missing. Whether it also makes sense is proven by
:mod:`hgproto.spec.check`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hgproto.spec.problems import Problem, SchemaError, suggestion
from hgproto.spec.resolve import resolve
from hgproto.spec.shape import shape_problems
from hgproto.spec.source import Source, read

if TYPE_CHECKING:
    from hgproto.spec.model import Schema

__all__ = ["load", "schema_directory"]

SECTIONS = ("revision", "title", "doc", "header", "stream_flags", "structures", "frames", "requirements")
"""What a schema has to have when everything it includes is there."""


def schema_directory() -> Path:
    """Where the schemas that come with hgproto are: in the wheel beside the code, in a checkout beside the package."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "schema"
    return inside if inside.is_dir() else package.parent / "schema"


def load(file: str | Path) -> Schema:
    """The model of the schema in ``file``. Raises :class:`~hgproto.spec.SchemaError` with every fault found."""
    source = Source()
    _read_with_includes(Path(file), source, ())
    with (schema_directory() / "meta.schema.json").open(encoding="utf-8") as meta:
        problems = shape_problems(source, json.load(meta))
    for section in SECTIONS:
        if section not in source.data:
            problems.append(Problem(source.place(()), f"the section {section!r} is missing", "add it, or include it"))
    if problems:
        raise SchemaError(problems)
    return resolve(source, _digest(source.files))


def _digest(files: list[Path]) -> str:
    """SHA-256 over the names and contents of all files."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda f: f.name):
        content = file.read_bytes()
        digest.update(f"{file.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _read_with_includes(file: Path, source: Source, within: tuple[Path, ...]) -> None:
    """Reads ``file`` and what it includes into ``source``: sections that are mappings are united."""
    first = not source.files
    data = read(file, source)
    chain = (*within, file.resolve())
    for key, value in data.items():
        if key == "language" and not first:
            continue
        _merge(source, key, value)
    includes = data.get("include", [])
    if not isinstance(includes, list):
        return
    for index, name in enumerate(includes):
        place = source.place(("include", index)) if first else source.place(())
        target = file.parent / str(name)
        if target.resolve() in chain:
            raise SchemaError([Problem(place, f"{name!r} includes itself", "remove one of the includes")])
        if not target.is_file():
            raise SchemaError([Problem(place, f"there is no file {str(target)!r} to include", "correct the name")])
        _read_with_includes(target, source, chain)


def _merge(source: Source, key: str, value: Any) -> None:
    known = source.data.get(key)
    if known is None:
        source.data[key] = value
    elif isinstance(known, dict) and isinstance(value, dict) and key not in ("header", "stream_flags"):
        for name, part in value.items():
            if name in known:
                place = source.key_place((key, name))
                raise SchemaError([Problem(place, f"{name!r} is in two of the files", "keep one of them")])
            known[name] = part
    elif key != "include":
        place = source.key_place((key,))
        raise SchemaError([Problem(place, f"the section {key!r} is in two of the files", "keep one of them")])


def known_revisions() -> dict[str, Path]:
    """The revisions that come with hgproto, by name."""
    return {file.stem: file for file in sorted(schema_directory().glob("framing-*.yaml"))}


def find(revision: str) -> Path:
    """The schema file that ``revision`` names: one of ours, or a path. Raises :class:`SchemaError`."""
    ours = known_revisions()
    if revision in ours:
        return ours[revision]
    path = Path(revision)
    if path.is_file():
        return path
    from hgproto.spec.problems import Place

    message = f"there is no revision {revision!r}, and no such file"
    raise SchemaError([Problem(Place(revision, 1, 1), message, suggestion(revision, ours))])
