"""Hexadecimal text as bytes, in a stream: pairs of digits, with white space between pairs, and ``#`` comments.

Everything else is rejected, and nothing of the line that has it is read. Dumps with offsets (``od``, ``hexdump``, ``xxd``,
Wireshark) need more than that, since an offset of an even number of digits reads like bytes. A line that *may* begin with an
offset has a first word of at least four digits and further words. These are all of one other width, such as 2, where the last
one may be shorter. After an offset of zero they may be as wide as the offset. It is rejected as a line of a dump on this evidence:

* the next line begins with the number that the offset and the bytes of the line add up to (in base 16, 10, or 8). Either at
  least two words follow the offset, or the next line is the last one of the dump, which has only the total. The total may be
  smaller by what pads the last word;
* the first word is zero, or a small multiple of eight, and several words of another width follow.

Six digits are the offsets of ``od -A x``, whose words may be decimal numbers of any width. Six digits are also the length of a
frame, with the least significant byte first. So other evidence holds for them:

* the first word is zero, and the words that follow are not the other 5 bytes of the header of an empty frame. Words of six
  digits may be groups of 3 bytes. They are taken for words of ``od -t o2`` if they are all octal and one of them is not zero;
* the next line begins with a number that is larger by at most 8 bytes for each word. As lengths of frames, two such numbers
  differ in their last byte, so one of them would be over 65535.

Plain hexadecimal has none of this: frames that are written field by field have words of several widths. Lines with a colon or
an ASCII column have characters that are no digits.
"""

from __future__ import annotations

import re
from contextlib import suppress
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
    r"(?:[0-9a-f]{6}|0{4,}+)S++[0-9a-f]",
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
    """Returns how a file of that name is read: ``hex``, ``session`` (human form of both sides), ``json`` or ``raw``.

    The case of letters does not matter.
    """
    for form in ("hex", "session", "json"):
        if name.lower().endswith(f".{form}"):
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

    ``word``: its digits. ``others``: how many words follow. ``is_certain``: True if the line alone is evidence enough.
    """

    __slots__ = ("is_certain", "others", "word")

    def __init__(self, word: bytes, others: int, *, is_certain: bool) -> None:
        self.word = word
        self.others = others
        self.is_certain = is_certain

    def goes_on(self, words: list[bytes]) -> bool:
        """True if a next line of these words begins where this line ends."""
        following = words[0]
        if len(following) != len(self.word) or not _DIGITS.match(following):
            return False
        octets = {}
        for base in (16, 10, 8):
            with suppress(ValueError):
                octets[base] = int(following, base) - int(self.word, base)
        return self._may_have(octets, words)

    def _may_have(self, octets: dict[int, int], words: list[bytes]) -> bool:
        """True if this line may stand for that many bytes, by the base of the offset. ``words``: the next line."""
        raise NotImplementedError


class _Wide(_Offset):
    """An offset before words of one width. ``octets``: the bytes of the words, of which the last one may have ``padding``."""

    __slots__ = ("octets", "padding")

    def __init__(self, word: bytes, others: list[bytes]) -> None:
        value = int(word, 16)
        is_small = value == 0 or (value % 8 == 0 and value < 0x1000 and len(others) >= 8)
        has_width = len(others[0]) != len(word)
        super().__init__(word, len(others), is_certain=is_small and has_width and len(others) > 1)
        self.octets = sum(map(len, others)) // 2
        self.padding = len(others[-1]) // 2 - 1

    def _may_have(self, octets: dict[int, int], words: list[bytes]) -> bool:
        if len(words) > 1:
            # Rows of plain hexadecimal in groups of which the last is cut have one further word, such as 3 bytes in groups of 2.
            is_row = not int(self.word, 16) or _offset(words) is not None
            return self.octets in octets.values() and self.others > 1 and is_row
        if self.others == 1 and len(self.word) < 6:
            return False
        return any(0 <= self.octets - number <= self.padding for number in octets.values())


class _Six(_Offset):
    """An offset of six digits, before words of any width."""

    __slots__ = ("is_grouped", "octets")

    def __init__(self, word: bytes, others: list[bytes]) -> None:
        widths = [len(other) for other in others]
        self.is_grouped = widths[-1] <= 6 and all(width == 6 for width in widths[:-1])
        self.octets = sum(widths) // 2
        if self.is_grouped:
            is_dump = all(map(_OCTAL.match, others)) and any(int(other, 8) for other in others)
        else:
            is_dump = sum(widths) != 10 and widths[:4] != [4, 2, 2, 2] and widths[:6] != [2, 2, 2, 2, 2, 6]
        super().__init__(word, len(others), is_certain=is_dump and not int(word, 16))

    def _may_have(self, octets: dict[int, int], words: list[bytes]) -> bool:
        if not self.is_grouped or self.others == 1:
            return 0 < octets[16] <= 8 * self.others or (self.others > 1 and self.octets in octets.values())
        # Groups of 3 bytes may add up by chance, so here the words have a size.
        sizes = {size * self.others - octets[16] for size in (1, 2, 4, 8)}
        return self.word.startswith(b"00") and (0 in sizes or (len(words) == 1 and not sizes.isdisjoint(range(8))))


def _offset(words: list[bytes]) -> _Offset | None:
    """What may be the offset of a line; see the module for the evidence."""
    first = words[0]
    if len(words) == 1 or len(first) < 4 or not _DIGITS.match(first):
        return None
    if len(first) == 6 and _DIGITS.match(b"".join(words)):
        return _Six(first, words[1:])
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
    if any(len(word) != width for word in others[:-1]) or (width not in _WIDTHS and len(first) % 2 == 0):
        return None
    if width == len(first) and int(first, 16):
        # Groups of plain hexadecimal may add up by chance.
        return None
    return _Wide(first, others)


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
