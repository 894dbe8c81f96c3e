"""Pickles of the values of a revision that was compiled in memory.

Pickle stores the module of a class, but no other process can import the modules of such a revision. So their values, classes,
and modules are stored with the path of the schema file. A process that has the revision uses it, so that a copy equals its
original; any other process compiles the file once.
"""

from __future__ import annotations

import copyreg
import os
from enum import Enum, EnumType
from pickle import UnpicklingError
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

from hgproto.errors import printable
from hgproto.runtime.frame import Record, RecordType

if TYPE_CHECKING:
    from typing import Any

    from hgproto.language.model import Schema

__all__ = ["Origin", "Token", "modules_of", "register", "token_of"]


class Token(NamedTuple):
    """The name of a revision that was compiled in memory, the same in all processes that exchange its values.

    ``package``: of its modules. ``file``: the schema file, with its whole path; empty for a schema that was not read from a file.
    ``digest``: SHA-256 of the schema.
    """

    package: str
    file: str
    digest: str


class Origin:
    """The modules of a revision that was compiled in memory. Its classes keep it alive."""

    def __init__(self, token: Token, modules: dict[str, ModuleType]) -> None:
        self.token = token
        self.modules = modules


class _Module(ModuleType):
    """A module of a revision."""

    def __reduce_ex__(self, _: object) -> Any:
        return _module, (*self._ORIGIN.token, self.__name__.rpartition(".")[2])


class _RecordType(RecordType):
    """A class of records that pickle stores by its revision."""


class _EnumType(EnumType):
    """A class of enumerations that pickle stores by its revision."""


def _reduced(kind: Any) -> Any:
    return _class, (kind._ORIGIN.token, kind.__module__.rpartition(".")[2], kind.__name__)  # noqa: SLF001 - set below


for _type in (_RecordType, _EnumType):
    # To pickle a class, pickle calls a function of copyreg, but no method.
    copyreg.pickle(_type, _reduced)

_KNOWN: WeakValueDictionary[Token, Origin] = WeakValueDictionary()
_RESTORED: dict[Token, Origin] = {}
"""Revisions that were compiled for a pickle. They are kept, because more pickles of the same revision are likely."""
_RESTORING = Lock()


def register(package: str, schema: Schema, modules: dict[str, ModuleType]) -> Origin:
    """Makes the modules of a revision, their classes, and the values of these classes picklable."""
    file = os.path.abspath(schema.files[0]) if schema.files else ""
    origin = Origin(Token(package, file, schema.digest), modules)
    for target, module in modules.items():
        module.__dict__["_ORIGIN"] = origin
        module.__class__ = _Module
        for name, kind in list(vars(module).items()):
            if isinstance(kind, type) and issubclass(kind, Enum | Record) and kind.__module__ == module.__name__:
                _let_be_pickled(kind, origin, target, name)
    _KNOWN[origin.token] = origin
    return origin


def modules_of(token: Token) -> dict[str, ModuleType]:
    """Returns the modules of a revision, compiled from its file if this process does not have them.

    Raises :class:`pickle.UnpicklingError` if the file cannot be used, or has changed.
    """
    return _origin(token).modules


def token_of(modules: dict[str, ModuleType]) -> Token:
    """Returns the token of modules that were registered."""
    token: Token = modules["codec"].__dict__["_ORIGIN"].token
    return token


def _let_be_pickled(kind: type[Any], origin: Origin, target: str, name: str) -> None:
    """Makes a class and its values picklable, by the revision, the module, and the name of the class."""

    def place() -> tuple[str, ...]:
        # This function keeps the origin alive as long as the class.
        package, file, digest = origin.token
        return package, file, digest, target, name

    def of_enumeration(self: Any, _: object) -> Any:
        return _member, (*place(), self.value)

    def of_record(self: Any, protocol: Any) -> Any:
        state = object.__reduce_ex__(self, max(2, protocol))[2]
        return _bare, place(), state

    type.__setattr__(kind, "_ORIGIN", origin)
    type.__setattr__(kind, "__class__", _EnumType if issubclass(kind, Enum) else _RecordType)
    reduce: Any = of_enumeration if issubclass(kind, Enum) else of_record
    kind.__reduce_ex__ = reduce


def _member(package: str, file: str, digest: str, target: str, name: str, value: object) -> Any:
    """Returns a member of an enumeration, or a combination of flags."""
    return _class(Token(package, file, digest), target, name)(value)


def _bare(package: str, file: str, digest: str, target: str, name: str) -> Any:
    """Returns a record without fields, which pickle sets afterwards."""
    return object.__new__(_class(Token(package, file, digest), target, name))


def _module(package: str, file: str, digest: str, target: str) -> ModuleType:
    return _origin(Token(package, file, digest)).modules[target]


def _class(token: Token, target: str, name: str) -> type[Any]:
    kind: type[Any] = getattr(_origin(token).modules[target], name)
    return kind


def _origin(token: Token) -> Origin:
    known = _KNOWN.get(token)
    if known is not None:
        return known
    with _RESTORING:
        known = _KNOWN.get(token)
        if known is None:
            known = _RESTORED[token] = _restored(token)
        return known


def _restored(token: Token) -> Origin:
    from hgproto.language import SchemaError, load
    from hgproto.revisions.generate import compile_as

    if not token.file:
        raise UnpicklingError(
            "a value of a revision needs its schema, which was not read from a file; read the schema from a file"
        )
    file = printable(token.file)
    try:
        schema = load(token.file)
    except SchemaError as error:
        raise UnpicklingError(
            f"a value of a revision needs its schema, {file}, which cannot be used: {error}; copy the file to this place"
        ) from None
    if schema.digest != token.digest:
        raise UnpicklingError(
            f"a value of {schema.revision} needs its schema, {file}, which has changed since the value was pickled; "
            "pickle the value again"
        )
    return compile_as(token.package, schema)
