"""Byte-order marks, which some editors and shells put before a text.

A mark of UTF-8 is skipped. A mark of UTF-16 or UTF-32 raises :class:`hgproto.errors.TextError` with the remedy, because hgproto
reads only UTF-8.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from hgproto.errors import TextError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["LONGEST", "unmarked", "unmarked_chunks"]

LONGEST = 4
"""The size of the longest mark, in bytes."""
_OTHERS = {
    # The marks of UTF-32 first: the little-endian one begins with that of UTF-16.
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def unmarked(text: bytes) -> bytes:
    """Returns a text without a byte-order mark of UTF-8.

    ``text``: at least the first :data:`LONGEST` bytes. Raises :class:`hgproto.errors.TextError` for a mark of UTF-16 or UTF-32.
    """
    for mark, encoding in _OTHERS.items():
        if text.startswith(mark):
            remedy = f"convert it, for example by `iconv -f {encoding} -t UTF-8`"
            raise TextError("text in UTF-8", f"the byte-order mark of {encoding}", remedy)
    return text.removeprefix(codecs.BOM_UTF8)


def unmarked_chunks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yields the chunks of a text without a byte-order mark; see :func:`unmarked`."""
    waiting: bytes | None = b""
    for chunk in chunks:
        if waiting is None:
            yield chunk
            continue
        waiting += chunk
        if len(waiting) >= LONGEST:
            yield unmarked(waiting)
            waiting = None
    if waiting:
        yield unmarked(waiting)
