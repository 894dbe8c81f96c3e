"""Hexadecimal text as bytes, in a stream: pairs of digits, with white space between pairs, and ``#`` comments.

Everything else is rejected, and nothing of the line that has it is read. Dumps with offsets (``od``, ``hexdump``, ``xxd``,
Wireshark) need more than that, since an offset of an even number of digits reads like bytes. A line that *may* begin with an
offset has a first word of at least four digits, and further words that are all of one other width, such as 2 (the last one may
be shorter), or octal numbers as ``od`` writes them. It is rejected as a line of a dump on this evidence:

* the next line begins with the number that the offset and the bytes of the line add up to (in base 16, 10, or 8). Either at
  least two words follow the offset, or the next line is the last one of the dump, which has only the total;
* the first word is zero, or a small multiple of eight, and pairs follow. An offset of six digits then needs more than five
  pairs, since six zeros and five pairs are the header of an empty frame, written as its length and bytes.

Plain hexadecimal has none of this: frames that are written field by field have words of several widths. Lines with a colon or
an ASCII column have characters that are no digits.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hgproto.bom import unmarked_chunks
from hgproto.errors import HexError, TextError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["form_of", "octets_from_hex"]

HELD_BYTES = 4096
"""Bytes of a line without an end that are held back. Lines of a dump are shorter; a longer line is read in parts."""
_LINES = re.compile(rb"[^\n]*\n|[^\n]+")
_COMMENT = re.compile(rb"#[^\n]*")
_PAIRS = re.compile(rb"(?:(?:[0-9a-fA-F]{2})++|[ \t\n\r\v\f]++)*+")
_DIGITS = re.compile(rb"[0-9a-fA-F]+\Z")
_SPACES = (b" ", b"\t", b"\r", b"\v", b"\f")
_WORDS = (
    r"[0-9a-f]{4,}+S++[0-9a-f]{2}E(?:S++[0-9a-f]{2}E|S*+$)",
    r"[0-9a-f]{5,}+S++[0-9a-f]{4}E(?:S++[0-9a-f]{4}E|(?:S++[0-9a-f]{2}E)?+S*+$)",
    r"(?:[0-9a-f]{4,7}+E|[0-9a-f]{9,}+)S++[0-9a-f]{8}E(?:S++[0-9a-f]{8}E|(?:S++[0-9a-f]{2,6}E)?+S*+$)",
    r"(?:[0-9a-f]{4,15}+E|[0-9a-f]{17,}+)S++[0-9a-f]{16}E(?:S++[0-9a-f]{16}E|(?:S++[0-9a-f]{2,14}E)?+S*+$)",
    r"[0-9a-f]{6}S++[01][0-7]{5}E",
)
_MAY_HAVE_OFFSET = re.compile(
    f"^S*+(?:{'|'.join(_WORDS)})".replace("S", r"[ \t\r\v\f]").replace("E", "(?![0-9a-f])").encode(),
    re.MULTILINE | re.IGNORECASE,
)
"""Finds every line with an even number of digits in each word for which :func:`_offset` gives an offset: a quick look."""
_OCTAL = re.compile(rb"[01][0-7]{5}\Z")
"""Two bytes as ``od`` writes them."""
_WIDTHS = (2, 4, 8, 16)
"""Digits of the words of dumps: 1, 2, 4, or 8 bytes."""
_DUMP = "write the bytes without offsets, for example by `xxd -p FILE`; `xxd -r` turns a dump by xxd into bytes"
_PLAIN = "write bytes as pairs of hexadecimal digits, as `xxd -p FILE` does"


def form_of(name: str) -> str:
    """Returns how a file of that name is read: ``hex``, ``session`` (human form of both sides), ``json`` or ``raw``."""
    for form in ("hex", "session", "json"):
        if name.endswith(f".{form}"):
            return form
    return "raw"


def octets_from_hex(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yields the bytes that hexadecimal text stands for; memory is bounded by a chunk.

    ``chunks``: the text, cut anywhere. Raises :class:`HexError` with line and column, after the bytes of the lines before it.
    """
    text = _Text()
    try:
        for chunk in unmarked_chunks(chunks):
            yield from text.feed(chunk)
    except TextError as error:
        raise HexError(1, 1, error.expected, error.found, error.remedy) from None
    yield from text.close()


class _Text:
    """A text that is read in parts: whole lines, and the parts of lines that are too long to hold."""

    def __init__(self) -> None:
        self._waiting = b""
        self._line = 1
        self._column = 1
        """The place of what is waiting. A column over 1 says that the beginning of its line is read already."""
        self._in_comment = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yields what the lines that ``chunk`` makes whole stand for."""
        if self._in_comment:
            end = chunk.find(b"\n")
            self._column += len(chunk) if end < 0 else end
            self._in_comment = end < 0
            chunk = b"" if end < 0 else chunk[end:]
        self._waiting += chunk
        if b"\n" in chunk:
            yield from self._lines(self._cut())
        if len(self._waiting) - self._waiting.rfind(b"\n") > HELD_BYTES:
            # No line of a dump is as long, so what comes before it can be told.
            yield from self._lines(self._cut(), is_last=True)
            yield from self._part()

    def close(self) -> Iterator[bytes]:
        """Yields what the rest of the text stands for."""
        block, self._waiting = self._waiting, b""
        yield from self._lines(block, is_last=True)

    def _cut(self) -> bytes:
        """Takes the whole lines of what is waiting."""
        end = self._waiting.rfind(b"\n") + 1
        block, self._waiting = self._waiting[:end], self._waiting[end:]
        return block

    def _lines(self, block: bytes, *, is_last: bool = False) -> Iterator[bytes]:
        """Yields what whole lines stand for. Keeps the last ones when only the next can say what they are."""
        if not (any(space in block for space in _SPACES) and _MAY_HAVE_OFFSET.search(block)):
            octets = _converted(block)
            if octets is not None:
                self._advance(block)
                if octets:
                    yield octets
                return
        yield from self._one_by_one(block, is_last=is_last)

    def _one_by_one(self, block: bytes, *, is_last: bool) -> Iterator[bytes]:
        before: _Offset | None = None
        held = b""
        """The lines from ``before`` on, of which nothing is yielded yet."""
        place = (self._line, self._column)
        for line in _LINES.findall(block):
            words = _COMMENT.sub(b"", line).split()
            if not words:
                held += line
                continue
            # What goes on with a long line has no offset.
            offset = None if self._column > 1 and not held else _offset(words)
            if before is not None and before.goes_on(words):
                raise _dump_error(*place, before.word)
            octets = _converted(held)
            if octets:
                yield octets
            self._advance(held)
            held = b""
            place = (self._line, self._column + line.find(words[0]))
            if offset is not None and offset.is_certain:
                raise _dump_error(*place, offset.word)
            octets = _converted(line)
            if octets is None:
                raise self._fault(line, words)
            before, held = offset, line
        if before is not None and not is_last:
            self._waiting = held + self._waiting
            return
        octets = _converted(held)
        self._advance(held)
        if octets:
            yield octets

    def _part(self) -> Iterator[bytes]:
        """Yields what the beginning of a long line stands for."""
        text, is_comment, _ = self._waiting.partition(b"#")
        last = text[-1:]
        end = len(text)
        if not is_comment and _DIGITS.match(last):
            # A digit whose pair may come yet.
            run = len(text) - len(text.rstrip(b"0123456789abcdefABCDEF"))
            end -= run % 2
        words = text.split(None, 64)
        if self._column == 1 and len(words) > 2 and (offset := _offset(words[:-1])) is not None and offset.is_certain:
            raise _dump_error(self._line, 1 + text.find(words[0]), offset.word)
        octets = _converted(text[:end])
        if octets is None:
            raise self._fault(text + b"\n", words)
        self._in_comment = bool(is_comment)
        self._column += len(self._waiting) if is_comment else end
        self._waiting = b"" if is_comment else text[end:]
        if octets:
            yield octets

    def _advance(self, text: bytes) -> None:
        """Moves the place past text that is read."""
        lines = text.count(b"\n")
        self._line += lines
        self._column = len(text) - text.rfind(b"\n") if lines else self._column + len(text)

    def _fault(self, line: bytes, words: list[bytes]) -> HexError:
        """The error of a line that is not plain hexadecimal."""
        first = words[0].removeprefix(b"0x").removeprefix(b"0X")
        digits = first.rstrip(b":")
        # An offset has a colon after it, or an odd number of digits that begins with zeros.
        is_odd = digits != first or (len(digits) % 2 and digits.startswith(b"00"))
        if is_odd and self._column == 1 and len(words) > 1 and len(digits) >= 4 and _DIGITS.match(digits):
            return _dump_error(self._line, 1 + line.find(words[0]), words[0])
        text = _COMMENT.sub(b"", line).rstrip(b"\n")
        match = _PAIRS.match(text)
        at = 0 if match is None else match.end()
        character = text[at : at + 1]
        if _DIGITS.match(character):
            at += 1
            after = text[at : at + 1]
            if not after.strip():
                what = (
                    "a space"
                    if after.strip(b"\r")
                    else "the end of the line"
                    if line.endswith(b"\n")
                    else "the end of the text"
                )
                return HexError(self._line, self._column + at, "the second digit of a byte", what, _PLAIN)
            character = after
        found = repr(character.decode("ascii")) if 0x20 <= character[0] < 0x7F else f"the byte 0x{character.hex()}"
        return HexError(self._line, self._column + at, "a hexadecimal digit", found, _PLAIN)


class _Offset:
    """A first word that may be an offset.

    ``word``: its digits. ``others``: how many words follow. ``octets``: how many bytes these are. ``is_certain``: True if the
    line alone is evidence enough.
    """

    __slots__ = ("is_certain", "octets", "others", "word")

    def __init__(self, word: bytes, others: int, octets: int, *, is_certain: bool) -> None:
        self.word = word
        self.others = others
        self.octets = octets
        self.is_certain = is_certain

    def goes_on(self, words: list[bytes]) -> bool:
        """True if a next line of these words begins where this line ends."""
        following = words[0]
        if len(following) != len(self.word) or (len(words) > 1 and _offset(words) is None):
            return False
        if self.others == 1 and (len(words) > 1 or len(following) < 6):
            # Rows of plain hexadecimal in groups of which the last is cut, such as 3 bytes in groups of 2.
            return False
        for base in (16, 10, 8):
            try:
                if int(self.word, base) + self.octets == int(following, base):
                    return True
            except ValueError:
                continue
        return False


def _offset(words: list[bytes]) -> _Offset | None:
    """What may be the offset of a line; see the module for the evidence."""
    first = words[0]
    if len(first) < 4 or not _DIGITS.match(first):
        return None
    others: list[bytes] = []
    for word in words[1:]:
        if not _DIGITS.match(word) or (others and len(word) > len(others[0])):
            # The ASCII column of a dump, if it is one.
            if len(others) < 2:
                return None
            break
        others.append(word)
    if not others:
        return None
    width = len(others[0])
    if width == len(first) == 6 and all(_OCTAL.match(word) for word in others):
        return _Offset(first, len(others), 2 * len(others), is_certain=False)
    if width == len(first) or any(len(word) != width for word in others[:-1]):
        return None
    if width not in _WIDTHS and len(first) % 2 == 0:
        return None
    octets = sum(len(word) for word in others) // 2
    value = int(first, 16)
    is_small = value == 0 or (value % 8 == 0 and value < 0x1000 and len(others) >= 8 and len(first) != 6)
    enough = len(others) > 5 if len(first) == 6 else len(others) > 1
    return _Offset(first, len(others), octets, is_certain=is_small and enough)


def _converted(text: bytes) -> bytes | None:
    """The bytes that whole lines stand for; None when they are not plain hexadecimal."""
    if b"#" in text:
        text = _COMMENT.sub(b"", text)
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        return None


def _dump_error(line: int, column: int, word: bytes) -> HexError:
    found = f"{word.decode('ascii')!r}, which looks like an offset of a dump"
    return HexError(line, column, "pairs of hexadecimal digits", found, _DUMP)
