"""Generates packages from schemas: into files, and in memory for a user's own schema.

Both go through the same emitters. A generated package is three modules; see :mod:`hgproto.emit`.
"""

from __future__ import annotations

import difflib
import sys
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import TYPE_CHECKING

from hgproto.emit import TARGETS
from hgproto.emit.text import snake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from hgproto.spec.model import Schema

__all__ = ["compile_module", "package_directory", "sources", "stale", "write"]


def sources(schema: Schema) -> dict[str, str]:
    """The text of each generated file by its name."""
    return {name: emit(schema) for name, emit in TARGETS.items()}


def package_directory(schema: Schema) -> Path:
    """Where the package of one of our own revisions stands."""
    return Path(__file__).resolve().parent / snake(schema.revision)


def write(schema: Schema, directory: Path) -> list[Path]:
    """Writes the generated files; gives those that changed."""
    directory.mkdir(parents=True, exist_ok=True)
    changed = []
    for name, text in sources(schema).items():
        file = directory / name
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8", newline="\n")
            changed.append(file)
    return changed


def stale(schema: Schema, directory: Path) -> Iterator[str]:
    """The lines of a unified diff from the files in ``directory`` to what would be generated; none when up to date."""
    for name, text in sources(schema).items():
        file = directory / name
        old = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
        yield from difflib.unified_diff(old, text.splitlines(keepends=True), str(file), f"{file} (generated)")


def compile_module(schema: Schema, target: str, name: str) -> ModuleType:
    """The module that ``target`` (codec.py, structs.py) of ``schema`` is, made in memory under ``name``.

    structs imports the codec by the name it has in a package, so that is what the codec is called while it is made.
    """
    text = TARGETS[target](schema)
    filename = f"<{target} generated from {schema.revision}>"
    module_spec = spec_from_loader(name, loader=None)
    if module_spec is None:
        raise ImportError(name)
    module = module_from_spec(module_spec)
    module.__file__ = filename
    code = compile(text, filename, "exec", dont_inherit=True)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)  # noqa: S102 - our own emitter's text
    finally:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
    return module
