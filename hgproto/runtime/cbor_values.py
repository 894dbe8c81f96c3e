"""Classes for CBOR values without a Python type or with more than their Python type holds, and the bound on nesting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hgproto.runtime.frame import Record

if TYPE_CHECKING:
    from typing import Self

__all__ = ["MAX_DEPTH", "NULL", "Chunks", "Map", "Simple", "Tag", "WireMap", "too_deep"]

MAX_DEPTH = 32
"""The most levels of nesting. RFC 8949 (section 10) recommends a bound for decoders; the protocol needs three levels."""


def too_deep(remedy: str) -> ValueError:
    """Returns the error for a value with too many levels of nesting."""
    expected = f"expected at most {MAX_DEPTH} levels of nesting in a CBOR item, found more"
    return ValueError(f"{expected}; {remedy} a flatter value")


class _Nested:
    """A mixin for nested items. Comparing and hashing raise :class:`ValueError` for a value too deep for Python.

    The decoder never returns such a value, and the encoder rejects it.
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
    """A map with keys that a dict cannot hold, as pairs of key and value. A decoded one is encoded in its order."""

    __slots__ = ("_is_decoded", "_text", "pairs")

    pairs: tuple[tuple[Any, Any], ...]
    _text: tuple[object, str]
    _is_decoded: bool

    def __init__(self, pairs: tuple[tuple[Any, Any], ...]) -> None:
        self.pairs = pairs

    if TYPE_CHECKING:

        def replace(self, *, pairs: tuple[tuple[Any, Any], ...] = ...) -> Self: ...  # noqa: D102

    @classmethod
    def decoded(cls, pairs: tuple[tuple[Any, Any], ...]) -> Self:
        """Returns a map that is encoded in the order of its pairs."""
        made = cls(pairs)
        made._is_decoded = True
        return made

    @property
    def keeps_order(self) -> bool:
        """True for a decoded map."""
        return getattr(self, "_is_decoded", False)

    def __repr__(self) -> str:
        # Keys are compared by this text. Without a cache, nested maps in keys would be formatted again at each level.
        cached: tuple[object, str] = getattr(self, "_text", (None, ""))
        if cached[0] is not self.pairs:
            self._text = cached = self.pairs, super().__repr__()
        return cached[1]


class WireMap(dict[Any, Any]):
    """A decoded map. It is equal to a dict with the same items, but it is encoded in the order that it has."""

    __slots__ = ()


class Chunks(bytes):
    """A decoded byte string of indefinite length. It is equal to the joined bytes, and it is encoded in the same chunks.

    ``sizes``: the number of bytes of each chunk. Raises :class:`ValueError` if they do not add up.
    """

    sizes: tuple[int, ...]

    def __new__(cls, data: bytes, sizes: tuple[int, ...]) -> Self:
        """Creates a byte string from the joined bytes."""
        if sum(sizes) != len(data):
            raise ValueError(f"the sizes of chunks must add up to {len(data)}, not to {sum(sizes)}")
        value = super().__new__(cls, data)
        value.sizes = sizes
        return value

    def __getnewargs__(self) -> tuple[bytes, tuple[int, ...]]:  # type: ignore[override]
        """Returns the arguments for a copy."""
        return bytes(self), self.sizes

    @property
    def chunks(self) -> list[bytes]:
        """The chunks in order."""
        found, at = [], 0
        for size in self.sizes:
            found.append(self[at : at + size])
            at += size
        return found


class Simple(Record):
    """A simple value (0 to 255) other than true, false, and null."""

    __slots__ = ("value",)

    value: int

    def __init__(self, value: int) -> None:
        self.value = value

    if TYPE_CHECKING:

        def replace(self, *, value: int = ...) -> Self: ...  # noqa: D102


NULL = Simple(22)
"""A null that is the value of an entry of a structure. None stands for an absent key there."""
