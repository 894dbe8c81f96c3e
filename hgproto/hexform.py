"""Hexadecimal text as octets, in a stream: white space, case and ``#`` comments are ignored."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hgproto.errors import HexError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["octets_from_hex"]

_COMMENT = re.compile(rb"#[^\n]*")
_SPACE = b" \t\n\r\v\f"
_BAD = re.compile(rb"[^0-9a-fA-F \t\n\r\v\f]")


def octets_from_hex(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The octets in chunks of text; memory is bounded by a chunk.

    Raises :class:`HexError` with line and column, after the octets before it.
    """
    line, column = 1, 1
    half_place = (1, 1)
    in_comment = False
    half = b""
    for chunk in chunks:
        text = chunk
        if in_comment:
            end = text.find(b"\n")
            text = b" " * len(text) if end < 0 else b" " * end + text[end:]
            in_comment = end < 0
        last = text.rfind(b"#", text.rfind(b"\n") + 1)
        in_comment = in_comment or last >= 0
        text = _COMMENT.sub(lambda match: b" " * len(match[0]), text) if b"#" in text else text
        bad = _BAD.search(text)
        digits = half + (text[: bad.start()] if bad else text).translate(None, _SPACE)
        whole = len(digits) & ~1
        half = digits[whole:]
        if half and not bad:
            digit = max(text.rfind(b"%c" % octet) for octet in b"0123456789abcdefABCDEF")
            if digit >= 0:
                half_place = _advance(line, column, text[: digit + 1])
        if whole:
            yield bytes.fromhex(digits[:whole].decode("ascii"))
        if bad:
            line, column = _advance(line, column, text[: bad.start()])
            character = chr(bad[0][0]) if bad[0][0] < 0x7F else f"octet 0x{bad[0].hex()}"
            raise HexError(line, column, "a hexadecimal digit", repr(character))
        line, column = _advance(line, column, text)
    if half:
        raise HexError(*half_place, "the second digit of an octet", "the end of the text")


def _advance(line: int, column: int, text: bytes) -> tuple[int, int]:
    """The place after ``text``."""
    lines = text.count(b"\n")
    return line + lines, len(text) - text.rfind(b"\n") if lines else column + len(text)
