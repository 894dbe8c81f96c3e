"""A revision of the protocol, with its codec, Structs, and machines: one of hgproto's own, or one from a user's schema.

The modules of hgproto's revisions are imported. A user's schema is compiled in memory by the same emitters. Large dependencies
(YAML, construct) are imported on first use.
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
"""The default revision."""


_KEPT: dict[str, dict[object, Any]] = {}
"""Objects derived from hgproto's own revisions, by the names of the revisions."""


class Revision(Definition):
    """A revision, from its name (``framing-0002``) or from the path of a schema file.

    Raises :class:`hgproto.language.SchemaError` if the file cannot be used. Revisions, their modules, the classes in them, and
    the values of these classes can be pickled. Structs, and functions of a revision from a schema file, cannot: pickle the
    revision instead.
    """

    def __init__(self, name: str | os.PathLike[str]) -> None:
        name = os.fspath(name) if isinstance(name, os.PathLike) else name
        check_text(name, "name")
        self.name = name
        self._package = f"hgproto.revisions.{name.replace('-', '_')}" if name in known_names() else None

    @property
    def is_known(self) -> bool:
        """True for one of hgproto's own revisions."""
        return self._package is not None

    def __repr__(self) -> str:
        return f"Revision({repr_of(self.name)})"

    @cached_property
    def schema(self) -> Schema:
        """The model of the schema."""
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
        """The functions that build the frames of messages."""
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
        # Several objects can represent the same revision.
        return {} if self._package is None else _KEPT.setdefault(self.name, {})

    def __reduce__(self) -> tuple[Any, ...]:
        # The path is absolute, because another process may have another working directory.
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
        """The modules of a user's schema. The schema must pass every check before it is compiled."""
        from hgproto.language import SchemaError, check
        from hgproto.revisions.generate import compile_schema

        problems = check(self.schema)
        if problems:
            raise SchemaError(problems)
        return compile_schema(self.schema)


@cache
def default_revision() -> Revision:
    """Returns the default revision, which :mod:`hgproto` passes to the core."""
    return Revision(DEFAULT_REVISION)


def _revived(name: str, token: tuple[str, str, str] | None = None) -> Revision:
    """Returns a revision from a pickle. ``token``: that of its modules if they were compiled."""
    revision = Revision(name)
    if token is not None:
        from hgproto.revisions.origin import Token, modules_of

        revision.__dict__["_compiled"] = modules_of(Token(*token))
    return revision


@cache
def known_names() -> frozenset[str]:
    """Returns the names of the revisions that have a generated package in hgproto."""
    import pkgutil

    from hgproto import revisions

    return frozenset(
        module.name.replace("_", "-") for module in pkgutil.iter_modules(revisions.__path__) if module.ispkg
    )
