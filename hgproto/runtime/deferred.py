"""Parts of records that are decoded on access, so that a record of a large payload needs little memory until then.

A compressed payload can be much larger when decoded, and its objects need many times its bytes. A list of events would
hold all of these objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from hgproto.runtime.frame import Record

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import MemberDescriptorType

__all__ = ["Later", "deferrable"]

R = TypeVar("R", bound=Record)


class Later:
    """A value that is created on each access. ``make`` returns equal values at each call."""

    __slots__ = ("_make",)

    _latest: tuple[Later, Any] | None = None
    """A cache of the latest access, so that a caller with several steps waits for the value only once."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def value(self) -> Any:
        """Returns the value."""
        latest = Later._latest
        if latest is None or latest[0] is not self:
            Later._latest = latest = (self, self._make())
        return latest[1]


class _Part:
    """A slot whose value may be a :class:`Later`."""

    def __init__(self, slot: MemberDescriptorType) -> None:
        self._slot = slot
        self.__doc__ = slot.__doc__

    def __get__(self, record: Record | None, owner: type[Record]) -> Any:
        if record is None:
            return self
        value = self._slot.__get__(record, owner)
        return value.value() if type(value) is Later else value

    def __set__(self, record: Record, value: object) -> None:
        self._slot.__set__(record, value)


def deferrable(name: str) -> Callable[[type[R]], type[R]]:
    """Returns a decorator for classes of records that accept a :class:`Later` for the part ``name``."""

    def decorated(record: type[R]) -> type[R]:
        setattr(record, name, _Part(record.__dict__[name]))
        return record

    return decorated
