"""Generates packages from schemas: as files, and in memory for a user's own schema.

Both use the same emitters. A generated package has eight modules: see :mod:`hgproto.emit`. The classes of events are in
``hgproto.reactors.event_values``, because revisions share them.
"""

from __future__ import annotations

import difflib
import sys
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from hgproto.emit import TARGETS, shared
from hgproto.emit.text import snake
from hgproto.language.problems import Problem, SchemaError
from hgproto.revisions.origin import register
from hgproto.system.stdio import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hgproto.language.model import Schema
    from hgproto.revisions.origin import Origin

__all__ = [
    "compile_as",
    "compile_schema",
    "package_directory",
    "shared_directory",
    "shared_sources",
    "sources",
    "stale",
    "write",
]

_MODULES = ("codec", "structs", "machines", "roles", "build", "receive", "requirements")
"""The modules of a package, in an order in which they can be imported."""

_COUNTER = count(1)
"""The numbers of packages in memory, for unique names."""


def sources(schema: Schema) -> dict[str, str]:
    """Returns the text of each generated file by name."""
    return {name: emit(schema) for name, emit in TARGETS.items()}


def shared_sources(schemas: Sequence[Schema]) -> dict[str, str]:
    """Returns the text of each file that hgproto's revisions with events share, by name. See :func:`shared_directory`.

    Raises :class:`SchemaError` if an event differs between revisions, or no revision leads to it.
    """
    schemas = [schema for schema in schemas if schema.events] or schemas
    first = schemas[0]
    led_to = {name for schema in schemas for action in schema.emits.values() for name in action.events}
    problems = [
        Problem(
            event.place,
            f"the event {name!r} of {schema.revision} is different",
            "declare it in a file that both include",
        )
        for schema in schemas[1:]
        for name, event in {**first.events, **schema.events}.items()
        if first.events.get(name) != schema.events.get(name)
    ]
    problems += [
        Problem(
            event.place, f"no revision leads to the event {name!r}", "name it in `events` of an action, or remove it"
        )
        for name, event in first.events.items()
        if name not in led_to
    ]
    if problems:
        raise SchemaError(problems)
    return shared(schemas)


def package_directory(schema: Schema) -> Path:
    """Returns the directory of the package of one of hgproto's own revisions."""
    return Path(__file__).resolve().parent / snake(schema.revision)


def shared_directory() -> Path:
    """Returns the directory of the files that hgproto's revisions share."""
    return Path(__file__).resolve().parents[1] / "reactors"


def write(texts: Mapping[str, str], directory: Path) -> list[Path]:
    """Writes generated files, and returns the paths of those that changed. ``texts``: by file name."""
    directory.mkdir(parents=True, exist_ok=True)
    changed = []
    for name, text in texts.items():
        file = directory / name
        if _text_of(file) != text:
            write_whole(file, text.encode("utf-8"))
            changed.append(file)
    return changed


def stale(texts: Mapping[str, str], directory: Path) -> Iterator[str]:
    """Yields the lines of a unified diff from the files in ``directory`` to the generated texts, if they differ."""
    for name, text in texts.items():
        file = directory / name
        old = (_text_of(file) or "").splitlines(keepends=True)
        yield from difflib.unified_diff(old, text.splitlines(keepends=True), str(file), f"{file} (generated)")


def _text_of(file: Path) -> str | None:
    """Returns the text of a file, with invalid UTF-8 as escapes; None if the file does not exist."""
    try:
        return file.read_text(encoding="utf-8", errors="backslashreplace")
    except (FileNotFoundError, NotADirectoryError):
        return None


def compile_schema(schema: Schema) -> dict[str, ModuleType]:
    """Returns the modules of a schema: ``codec``, ``structs``, ``machines``, ``roles``, ``build``, ``receive``, ``requirements``.

    The modules import each other, so that they are in ``sys.modules`` while they are compiled. Their package has a unique name,
    so that they cannot replace other modules, or be imported by another thread.
    """
    return compile_as(f"hgproto.revisions.{snake(schema.revision)}_{next(_COUNTER)}", schema).modules


def compile_as(prefix: str, schema: Schema) -> Origin:
    """Compiles a schema like :func:`compile_schema`, to modules of the package ``prefix``."""
    modules: dict[str, ModuleType] = {}
    package = ModuleType(prefix)
    package.__path__ = []
    sys.modules[prefix] = package
    try:
        for name in _MODULES:
            module = ModuleType(f"{prefix}.{name}")
            module.__file__ = f"<{name} generated from {schema.revision}>"
            module.__package__ = prefix
            sys.modules[module.__name__] = module
            code = compile(TARGETS[f"{name}.py"](schema), module.__file__, "exec", dont_inherit=True)
            exec(code, module.__dict__)  # noqa: S102 - the text of an emitter, which checks every name and string
            modules[name] = module
            setattr(package, name, module)
    finally:
        sys.modules.pop(prefix, None)
        for name in _MODULES:
            sys.modules.pop(f"{prefix}.{name}", None)
    return register(prefix, schema, modules)
