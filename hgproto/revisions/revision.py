"""A revision of the protocol: its codec, its Structs and its machines, ours or made from a user's own schema.

Ours are imported; a user's file is compiled in memory by the same emitters. What is heavy (YAML, construct) is imported
on first use.
"""

from __future__ import annotations

import importlib
import os
from functools import cache, cached_property
from typing import TYPE_CHECKING

from hgproto.errors import repr_of
from hgproto.runtime.definition import Definition
from hgproto.runtime.frame import check_text

if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from hgproto.language.model import Schema
    from hgproto.runtime.catalogue import Requirement
    from hgproto.runtime.definition import Codec

__all__ = ["DEFAULT_REVISION", "Revision", "default_revision"]

DEFAULT_REVISION = "framing-0002"
"""The revision that is meant where none is named."""


_KEPT: dict[str, dict[object, Any]] = {}
"""What was derived from our revisions, by their names."""


class Revision(Definition):
    """A revision, by name (``framing-0002``) or as the path of a schema file.

    Raises :class:`hgproto.language.SchemaError` for a file that cannot be used. It can be pickled, and so can its modules, their
    classes, and the values of these. Functions of a schema file and Structs cannot: give another process the revision.
    """

    def __init__(self, name: str | os.PathLike[str]) -> None:
        name = os.fspath(name) if isinstance(name, os.PathLike) else name
        check_text(name, "name")
        self.name = name
        self._package = f"hgproto.revisions.{name.replace('-', '_')}" if name in _generated() else None

    @property
    def is_known(self) -> bool:
        """Whether it is one of ours."""
        return self._package is not None

    def __repr__(self) -> str:
        return f"Revision({repr_of(self.name)})"

    @cached_property
    def schema(self) -> Schema:
        """The model of its schema."""
        from hgproto.language import load
        from hgproto.language.load import find

        return load(find(self.name))

    @cached_property
    def codec(self) -> Codec:
        """The fast codec."""
        return self._module("codec")

    @cached_property
    def structs(self) -> ModuleType:
        """The construct Structs."""
        return self._module("structs")

    @cached_property
    def machines(self) -> ModuleType:
        """The state machines."""
        return self._module("machines")

    @cached_property
    def roles(self) -> ModuleType:
        """The roles of frame types, flags, and profiles."""
        return self._module("roles")

    @cached_property
    def build(self) -> ModuleType:
        """The functions that make the frames of messages."""
        return self._module("build")

    @cached_property
    def receive(self) -> ModuleType:
        """The loops in which reactors receive frames."""
        return self._module("receive")

    @cached_property
    def requirements(self) -> dict[str, Requirement]:
        """The requirements by id."""
        requirements: dict[str, Requirement] = self._module("requirements").REQUIREMENTS
        return requirements

    @cached_property
    def _kept(self) -> dict[object, Any]:
        # Many objects can stand for one of our revisions.
        return {} if self._package is None else _KEPT.setdefault(self.name, {})

    def __reduce__(self) -> tuple[Any, ...]:
        # Modules cannot be pickled, and another process may have another working directory.
        name = self.name if self.is_known else os.path.abspath(self.name)
        if "_compiled" not in self.__dict__:
            return _revived, (name,)
        from hgproto.revisions.origin import token_of

        return _revived, (name, tuple(token_of(self._compiled)))

    def _module(self, target: str) -> ModuleType:
        if self._package is not None:
            return importlib.import_module(f"{self._package}.{target}")
        return self._compiled[target]

    @cached_property
    def _compiled(self) -> dict[str, ModuleType]:
        """The modules of a user's schema, which has to pass every check before code is made of it."""
        from hgproto.language import SchemaError, check
        from hgproto.revisions.generate import compile_schema

        problems = check(self.schema)
        if problems:
            raise SchemaError(problems)
        return compile_schema(self.schema)


@cache
def default_revision() -> Revision:
    """Returns the revision that is meant where none is named. :mod:`hgproto` gives it to the core."""
    return Revision(DEFAULT_REVISION)


def _revived(name: str, token: tuple[str, str, str] | None = None) -> Revision:
    """A revision from a pickle. ``token``: that of its modules if they were compiled."""
    revision = Revision(name)
    if token is not None:
        from hgproto.revisions.origin import Token, modules_of

        revision.__dict__["_compiled"] = modules_of(Token(*token))
    return revision


@cache
def _generated() -> frozenset[str]:
    """The revisions whose generated packages come with hgproto."""
    import pkgutil

    from hgproto import revisions

    return frozenset(
        module.name.replace("_", "-") for module in pkgutil.iter_modules(revisions.__path__) if module.ispkg
    )
