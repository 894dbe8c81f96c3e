"""Values that generated Structs compute when they build: sizes, counts, and integers of bit fields."""

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
"""The key of postponed errors in the context of a structure. No field has this name."""


class BitsError(OverflowError):
    """A value that does not fit into its bit field. ``name``: the bit field. ``width``: its size in bits."""

    def __init__(self, name: str, value: int, width: int) -> None:
        super().__init__(f"{value} in {counted(width, 'bit')} of {name}")
        self.name = name
        self.value = value
        self.width = width


def _size(value: Any, name: str, encoding: str | None) -> int:
    """Returns the size of a string in bytes. ``encoding``: None for raw bytes."""
    if encoding is None:
        return len(bytes_like(value, name))
    check_text(value, name)
    # The construct of the string itself rejects characters outside the charset later.
    return len(value.encode(encoding, "replace" if encoding == "ascii" else "surrogatepass"))


def size_of(name: str, encoding: str | None) -> Callable[[Any], int]:
    """Returns a function that returns the bytes of the string field ``name``. ``encoding``: None for raw bytes."""
    return lambda context: _size(context[name], name, encoding)


def sizes_of(name: str, encoding: str | None) -> Callable[[Any], list[int]]:
    """Returns a function that returns the bytes of each string in the array field ``name``."""
    return lambda context: [_size(item, f"{name}[{index}]", encoding) for index, item in enumerate(context[name])]


def number_of(name: str) -> Callable[[Any], int]:
    """Returns a function that returns the number of strings in the array field ``name``."""

    def count_strings(context: Any) -> int:
        check_several(context[name], name)
        return len(context[name])

    return count_strings


def packed(**fields: tuple[int, int]) -> Callable[[Any], int]:
    """Returns a function that packs bit fields into an integer. Each field has its lowest and highest bit."""

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
    """Returns the number of ``masks`` that are set in ``flags``."""
    return sum(int(flags) & mask == mask for mask in masks)


def put_off(context: Any, field: str, error: Exception) -> None:
    """Postpones the error of a size or a count until the string ``field`` is built, whose own errors come first.

    The codec reports faults in the same order.
    """
    context.setdefault(_PUT_OFF, {})[field] = error


def raise_put_off(context: Any, field: str) -> None:
    """Raises the postponed error for the string ``field``, if any."""
    error = context.get(_PUT_OFF, {}).get(field)
    if error is not None:
        raise error
