"""The values of CBOR that Python has no type for, and the bound on nesting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hgproto.runtime.frame import Record

if TYPE_CHECKING:
    from typing import Self

__all__ = ["MAX_DEPTH", "Map", "Simple", "Tag", "too_deep"]

MAX_DEPTH = 32
"""Levels of nesting. RFC 8949 (section 10) asks decoders for a bound; protocol payloads need three."""


def too_deep(remedy: str) -> ValueError:
    """Returns the error for a value of too many levels."""
    expected = f"expected at most {MAX_DEPTH} levels of nesting in a CBOR item, found more"
    return ValueError(f"{expected}; {remedy} a flatter value")


class _Nested:
    """A mixin for records of items: comparing and hashing raise :class:`ValueError` for what is nested too deep for Python.

    No such value was decoded, and none can be encoded.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        try:
            return super().__eq__(other)
        except RecursionError:
            raise too_deep("compare") from None

    def __hash__(self) -> int:
        try:
            return super().__hash__()
        except RecursionError:
            raise too_deep("hash") from None


class Tag(_Nested, Record):
    """A tagged item: its number and the item, which is not interpreted."""

    __slots__ = ("number", "item")  # noqa: RUF023 - in wire order

    number: int
    item: Any

    def __init__(self, number: int, item: Any) -> None:
        self.number = number
        self.item = item

    if TYPE_CHECKING:

        def replace(self, *, number: int = ..., item: Any = ...) -> Self: ...  # noqa: D102


class Map(_Nested, Record):
    """A map with keys that a dict does not take: its pairs of key and value."""

    __slots__ = ("_text", "pairs")

    pairs: tuple[tuple[Any, Any], ...]
    _text: str

    def __init__(self, pairs: tuple[tuple[Any, Any], ...]) -> None:
        self.pairs = pairs

    if TYPE_CHECKING:

        def replace(self, *, pairs: tuple[tuple[Any, Any], ...] = ...) -> Self: ...  # noqa: D102

    def __repr__(self) -> str:
        # Keys are told apart by their texts. Without a copy, a map in a key in a key would be walked at each level again.
        try:
            return self._text
        except AttributeError:
            self._text = super().__repr__()
            return self._text


class Simple(Record):
    """A simple value (0 to 255) other than true, false and null."""

    __slots__ = ("value",)

    value: int

    def __init__(self, value: int) -> None:
        self.value = value

    if TYPE_CHECKING:

        def replace(self, *, value: int = ...) -> Self: ...  # noqa: D102
