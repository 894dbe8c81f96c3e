"""The part of CBOR that a revision allows, and the order in which it builds maps.

:mod:`hgproto.runtime.cbor` accepts everything that is well-formed. This module finds the first item that a revision
forbids in well-formed bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgproto.runtime.cbor import item_head

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ALL", "EXPECTED", "Forbidden", "Subset", "first_forbidden"]

EXPECTED = {
    "text": "a byte string instead of a text string",
    "floats": "no floating-point number",
    "simple": "true, false, or null, and no other simple value",
    "tags": "no tag besides those that the revision knows",
    "indefinite-arrays": "an array of definite length",
    "indefinite-maps": "a map of definite length",
    "indefinite-strings": "a string of definite length",
    "nested-indefinite-strings": "a string of definite length inside of another item",
}
"""The kinds of items that a schema can forbid, each with the ``expected`` text of its error."""


class Subset(NamedTuple):
    """The items that a revision forbids, and the order of keys.

    ``forbids``: the requirement for each kind of item, a key of ``EXPECTED``. ``tags``: the tags that are allowed although
    others are forbidden. ``alphabetical``: maps are built with strings in alphabetical order, not shortest first.
    """

    forbids: Mapping[str, str]
    tags: frozenset[int] = frozenset()
    alphabetical: bool = False


ALL = Subset({})
"""All of CBOR, with maps in the deterministic order of RFC 8949."""


class Forbidden(NamedTuple):
    """An item that a revision forbids: its offset in bytes, and the parts of the error."""

    offset: int
    requirement: str
    expected: str
    found: str


class _FoundError(Exception):
    def __init__(self, forbidden: Forbidden) -> None:
        super().__init__(forbidden)
        self.forbidden = forbidden


def first_forbidden(subset: Subset, data: bytes, at: int, end: int, *, nested: bool = False) -> Forbidden | None:
    """Returns the first forbidden item between two offsets in bytes, or None. The bytes are whole, well-formed items.

    ``nested``: the items are inside of another one.
    """
    if not subset.forbids:
        return None
    try:
        while at < end:
            at = _pass(subset, data, at, nested=nested)
    except _FoundError as error:
        return error.forbidden
    return None


def _pass(subset: Subset, data: bytes, at: int, *, nested: bool = True) -> int:
    """Returns the offset after an item. Raises :class:`_FoundError`."""
    major, info, argument, body = item_head(data, at)
    if major in (2, 3):
        if major == 3:
            _reject(subset, "text", at, "a text string")
        if argument is not None:
            return body + argument
        for kind in ("indefinite-strings", *(("nested-indefinite-strings",) if nested else ())):
            _reject(subset, kind, at, "one of indefinite length")
        while data[body] != 0xFF:
            _, _, size, body = item_head(data, body)
            body += size or 0
        return body + 1
    if major in (4, 5):
        return _pass_container(subset, data, at, major, argument, body)
    if major == 6:
        if argument not in subset.tags:
            _reject(subset, "tags", at, f"the tag {argument}")
        return _pass(subset, data, body)
    if major == 7 and info in (25, 26, 27):
        _reject(subset, "floats", at, "a floating-point number")
    elif major == 7 and argument not in (20, 21, 22):
        _reject(subset, "simple", at, f"the simple value {argument}")
    return body


def _pass_container(subset: Subset, data: bytes, at: int, major: int, argument: int | None, body: int) -> int:
    kind = "arrays" if major == 4 else "maps"
    if argument is None:
        _reject(subset, f"indefinite-{kind}", at, "one of indefinite length")
        while data[body] != 0xFF:
            body = _pass(subset, data, body)
        return body + 1
    for _ in range(argument * (major - 3)):
        body = _pass(subset, data, body)
    return body


def _reject(subset: Subset, kind: str, at: int, found: str) -> None:
    if kind in subset.forbids:
        raise _FoundError(Forbidden(at, subset.forbids[kind], EXPECTED[kind], found))
