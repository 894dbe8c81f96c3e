"""Values that generated Structs compute when they build: sizes, counts, and the integers that bit fields make up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hgproto.errors import counted
from hgproto.runtime.bytelike import bytes_like, check_several
from hgproto.runtime.frame import check_text

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BitsError",
    "count",
    "number_of",
    "packed",
    "put_off",
    "raise_put_off",
    "size_of",
    "sizes_of",
]

_PUT_OFF = " put off"
"""The key, which no field has, of the errors that wait in the context of a structure."""


class BitsError(OverflowError):
    """A value that its bit field cannot hold. ``name``: the bit field. ``width``: its bits."""

    def __init__(self, name: str, value: int, width: int) -> None:
        super().__init__(f"{value} in {counted(width, 'bit')} of {name}")
        self.name = name
        self.value = value
        self.width = width


def _size(value: Any, name: str, encoding: str | None) -> int:
    """Returns the bytes that a string needs; ``encoding``: None for raw bytes."""
    if encoding is None:
        return len(bytes_like(value, name))
    check_text(value, name)
    # The string itself refuses what is not in the charset, in its turn.
    return len(value.encode(encoding, "replace" if encoding == "ascii" else "surrogatepass"))


def size_of(name: str, encoding: str | None) -> Callable[[Any], int]:
    """Returns a function for the bytes that the string field ``name`` needs; ``encoding``: None for a field of raw bytes."""
    return lambda context: _size(context[name], name, encoding)


def sizes_of(name: str, encoding: str | None) -> Callable[[Any], list[int]]:
    """Returns a function for the bytes that each string of the field ``name``, an array, needs."""
    return lambda context: [_size(item, f"{name}[{index}]", encoding) for index, item in enumerate(context[name])]


def number_of(name: str) -> Callable[[Any], int]:
    """Returns a function for the number of strings of the field ``name``, an array."""

    def count_strings(context: Any) -> int:
        check_several(context[name], name)
        return len(context[name])

    return count_strings


def packed(**fields: tuple[int, int]) -> Callable[[Any], int]:
    """Returns a function for the integer that bit fields make up, each given by its lowest and its highest bit."""

    def pack(context: Any) -> int:
        number = 0
        for name, (low, high) in fields.items():
            value = int(context[name])
            if not 0 <= value < 1 << (high - low + 1):
                raise BitsError(name, value, high - low + 1)
            number |= value << low
        return number

    return pack


def count(flags: int, *masks: int) -> int:
    """Returns how many of the ``masks`` are set in ``flags``."""
    return sum(int(flags) & mask == mask for mask in masks)


def put_off(context: Any, field: str, error: Exception) -> None:
    """Keeps the error of a size or a count until the string ``field`` is built, whose own errors come first.

    The codec names faults in the same order: those of the values, each in its turn.
    """
    context.setdefault(_PUT_OFF, {})[field] = error


def raise_put_off(context: Any, field: str) -> None:
    """Raises the error that waits for the string ``field``, if there is one."""
    error = context.get(_PUT_OFF, {}).get(field)
    if error is not None:
        raise error
