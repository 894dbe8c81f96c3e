"""Conversion of any buffer to ``bytes`` or to a view of single bytes.

The length of a view counts items, which may be wider than a byte. So each function with an argument of bytes calls
:func:`bytes_like` or :func:`as_bytes` once, at the boundary, and then uses only the result.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from typing_extensions import Buffer

    BytesLike: TypeAlias = Buffer
    """Any object with bytes in one buffer: bytes, bytearray, memoryview, array, mmap, and others."""

__all__ = ["as_bytes", "bytes_like", "check_several", "is_bytes_like", "kept_bytes"]


def bytes_like(data: BytesLike, what: str = "data") -> bytes | memoryview:
    """Returns ``bytes`` unchanged, and a view of single bytes for any other buffer.

    The view has one dimension and is contiguous, so its length is the number of bytes. A buffer without such a view,
    such as a view with strides, is copied. ``what``: the name of the argument in the message. Raises :class:`TypeError`
    for an object without a buffer: integers, text, and None are not bytes.
    """
    if type(data) is bytes:
        return data
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError(f"{what} must be bytes or another buffer of bytes, not {type(data).__name__}") from None
    if view.format == "B" and view.ndim == 1 and view.c_contiguous:
        return view
    if view.nbytes and view.c_contiguous:
        try:
            return view.cast("B")
        except TypeError:
            # The items have a format that Python does not cast, such as those of ctypes.
            return view.tobytes()
    return view.tobytes()


def as_bytes(data: BytesLike, what: str = "data") -> bytes:
    """Returns the bytes of a buffer as ``bytes``; copies any other buffer. Raises as :func:`bytes_like`."""
    return data if type(data) is bytes else bytes(bytes_like(data, what))


def kept_bytes(data: BytesLike, what: str = "data") -> bytes | memoryview:
    """Returns the bytes of a buffer for later use. Copies a mutable buffer. Raises as :func:`bytes_like`.

    A view counts as mutable if the object behind it is, even if the view itself is read-only.
    """
    kept = bytes_like(data, what)
    if type(kept) is bytes:
        return kept
    shown: Any = memoryview(kept).obj
    return kept if shown is not None and memoryview(shown).readonly else bytes(kept)


def is_bytes_like(data: object) -> bool:
    """Returns True if an object has a buffer of bytes, so that :func:`bytes_like` accepts it."""
    if isinstance(data, bytes | bytearray | memoryview):
        return True
    try:
        memoryview(data)  # type: ignore[arg-type]
    except TypeError:
        return False
    return True


def check_several(value: object, what: str) -> None:
    """Raises :class:`TypeError` unless a value is a sequence. Text and bytes count as one value. ``what``: the field."""
    if isinstance(value, str | bytes | bytearray | memoryview) or not hasattr(value, "__iter__"):
        raise TypeError(f"{what} must be a sequence, not {type(value).__name__}")
