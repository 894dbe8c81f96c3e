"""Decoder of hexadecimal text: pairs of digits, with white space between pairs, and ``#`` comments.

Everything else is rejected, and no byte of the faulty line is returned. Only of a line of :data:`HELD_BYTES` or more,
the bytes before the fault are returned. The result does not depend on how the text is split into chunks.

Dumps with offsets (``od``, ``hexdump``, ``xxd``, Wireshark) must be recognized, because an offset with an even number
of digits looks like bytes. A line *may* begin with an offset if its first word has at least four digits and other words
follow. The other words must all have one width that differs from the first word's, such as 2; the last one may be
shorter. Such a line is rejected as a line of a dump on this evidence:

* the next line begins with the sum of the offset and the bytes of the line (in base 16, 10, or 8). At least two words
must follow the offset, or the next line must be the last one of the dump, with only the total. The total may be smaller
by the padding of the last word. A single word after the offset may have any size. The offset must then be zero, a
multiple of the word's bytes, or a number that is small for its digits. A single byte after 4 digits counts as data
unless the offset is zero;
* the first word is zero or a small multiple of eight, and several words of another width follow.

After an offset of zero, the words may have the same width as the offset. Grouped plain hexadecimal has such lines too.
So more evidence is needed: the next line must begin with the number of bytes in base 16, and several words must have a
multiple of 8 bytes. One word of 4 bytes or more may also follow another offset that is a multiple of its bytes.

``od -A x`` writes offsets of six digits, and its words may be decimal numbers of any width. The length of a frame also
has six digits, with the least significant byte first. So other evidence is needed for six digits:

* the first word is zero, and the words that follow are not the other 5 bytes of the header of an empty frame. Words of
six digits may be groups of 3 bytes. They count as words of ``od -t o2`` if they are all octal and one of them is not
zero;
* the next line begins with a number that is larger by at most 8 bytes per word. If two such numbers were lengths of
frames, they would differ in their last byte, and one of them would exceed 65535. The number may also be larger by the
bytes of the line.

Plain hexadecimal has none of this evidence: frames that are written field by field have words of several widths. Lines
with a colon or an ASCII column contain characters that are not digits.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from hgproto.errors import HexError, TextError
from hgproto.system.bom import unmarked_chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["bytes_from_hex", "form_of"]

HELD_BYTES = 4096
"""The size in bytes from which a line is decoded in parts, before its end was read. Lines of a dump are shorter."""
_LINES = re.compile(rb"[^\n]*\n|[^\n]+")
_COMMENT = re.compile(rb"#[^\n]*")
_PAIRS = re.compile(rb"(?:(?:[0-9a-fA-F]{2})++|[ \t\n\r\v\f]++)*+")
_DIGITS = re.compile(rb"[0-9a-fA-F]+\Z")
_DIGIT = b"0123456789abcdefABCDEF"
_SPACES = (b" ", b"\t", b"\r", b"\v", b"\f")
_WORDS = (
    r"[0-9a-f]{4,}+S++[0-9a-f]{2}E(?:S++[0-9a-f]{2}E|S*+$)",
    r"[0-9a-f]{5,}+S++[0-9a-f]{4}E(?:S++[0-9a-f]{4}E|(?:S++[0-9a-f]{2}E)?+S*+$)",
    r"(?:[0-9a-f]{4,7}+E|[0-9a-f]{9,}+)S++[0-9a-f]{8}E(?:S++[0-9a-f]{8}E|(?:S++[0-9a-f]{2,6}E)?+S*+$)",
    r"(?:[0-9a-f]{4,15}+E|[0-9a-f]{17,}+)S++[0-9a-f]{16}E(?:S++[0-9a-f]{16}E|(?:S++[0-9a-f]{2,14}E)?+S*+$)",
    r"(?:[0-9a-f]{4,8}+E|0[0-9a-f]{8,}+)S++[0-9a-f]{2,}+S*+$",
    r"0{4,}+S++[0-9a-f]",
)
_SIX = (
    # The next line begins with a slightly larger number: the first two digits are equal, unless there is a carry. Or
    # the next line has no other word, or was not read yet.
    r"[0-9a-f]{2}[4-9a-f][0-9a-f]{3}S++[0-9a-f]",
    r"([0-9a-f]{2})([0-9a-f]{4})S++[0-9a-f][^\n]*+\s*+(?:\1(?!\2)[0-9a-f]{4}E|[0-9a-f]{6}S*+(?:\n|\Z)|\Z)",
    # Zero, unless it is the length of an empty frame.
    r"0{6}S++(?![0-9a-f]{4}(?:S++[0-9a-f]{2}){3}E)[0-9a-f]",
)
_MAY_HAVE_OFFSET = re.compile(
    rf"\nS*+(?=[0-9a-f]{{4}})(?:{'|'.join(_SIX)}|(?![0-9a-f]{{6}}E)(?:{'|'.join(_WORDS)}))".replace("S", r"[ \t\r\v\f]")
    .replace("E", "(?![0-9a-f])")
    .encode(),
    re.MULTILINE,
)
"""The line feed before each line of lower-case words with an even number of digits that may be a line of a dump.

This is a quick filter. It skips lines without an offset according to :func:`_offset`. It also skips lines with six
digits that are not an offset because of the next line.
"""
_OCTAL = re.compile(rb"[01][0-7]{5}\Z")
"""Two bytes as ``od`` writes them."""
_WIDTHS = (2, 4, 8, 16)
"""Digits of the words of dumps: 1, 2, 4, or 8 bytes."""
_DUMP = "write the bytes without offsets, for example by `xxd -p FILE`; `xxd -r` turns a dump by xxd into bytes"
_PLAIN = "write bytes as pairs of hexadecimal digits, as `xxd -p FILE` does"


def form_of(name: str) -> str:
    """Returns the format of a file by its name: ``hex``, ``session`` (human form of both sides), ``json``, or ``raw``.

    The case of letters does not matter.
    """
    for form in ("hex", "session", "json"):
        if name.lower().endswith(f".{form}"):
            return form
    return "raw"


def bytes_from_hex(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decodes hexadecimal text and yields its bytes. Needs memory for about one chunk.

    ``chunks``: the text, split anywhere. Raises :class:`HexError` with line and column, after the bytes of the lines
    before it.
    """
    text = _Text()
    try:
        for chunk in unmarked_chunks(chunks):
            yield from text.feed(chunk)
    except TextError as error:
        raise HexError(1, 1, error.expected, error.found, error.remedy) from None
    yield from text.close()


class _Text:
    """A decoder that receives a text in parts. It decodes whole lines, and lines that are too long to hold in parts."""

    def __init__(self) -> None:
        self._waiting = b""
        """The beginning of a line whose end was not read yet, without comments."""
        self._line = 1
        self._column = 1
        """The place of the waiting text. The column is over 1 if the beginning of the line was decoded already."""
        self._in_comment = False
        self._held: _Held | None = None
        """The last line with words, if the next line must show whether it is a line of a dump."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yields the bytes of the lines that are complete with ``chunk``."""
        chunk = self._without_comments(chunk)
        end = chunk.rfind(b"\n") + 1
        if end:
            block, self._waiting = self._waiting + chunk[:end], b""
            yield from self._lines(block)
        self._waiting += chunk[end:]
        if len(self._waiting) >= HELD_BYTES:
            text, self._waiting = self._waiting, b""
            yield from self._part(text)

    def close(self) -> Iterator[bytes]:
        """Yields the bytes of the rest of the text."""
        yield from self._lines(self._waiting)
        yield from self._released()

    def _without_comments(self, chunk: bytes) -> bytes:
        if self._in_comment:
            end = chunk.find(b"\n")
            if end < 0:
                return b""
            chunk = chunk[end:]
        self._in_comment = chunk.rfind(b"#") > chunk.rfind(b"\n")
        return _COMMENT.sub(b"", chunk) if b"#" in chunk else chunk

    def _lines(self, block: bytes) -> Iterator[bytes]:
        """Yields the bytes of whole lines. Holds the last line with words if the next line must show what it is."""
        text = b"\n" + block.lower() if any(space in block for space in _SPACES) else b""
        at = 0
        while at < len(block):
            if self._held is None:
                found = _MAY_HAVE_OFFSET.search(text, at)
                end = len(block) if found is None else found.start()
                if at < end:
                    yield from self._plain(block[at:end])
                    at = end
                    continue
            end = block.find(b"\n", at) + 1 or len(block)
            line = block[at:end]
            if self._held is not None and self._is_whole(line) and (words := line.split()):
                # Afterwards, this line is processed like a first one.
                yield from self._settled(words)
            else:
                yield from self._of_line(line)
                at = end

    def _plain(self, block: bytes) -> Iterator[bytes]:
        """Yields the bytes of lines that are not lines of a dump."""
        data = _converted(block)
        if data is None:
            for line in _LINES.findall(block):
                yield from self._of_line(line)
            return
        self._advance(block)
        if data:
            yield data

    def _of_line(self, line: bytes) -> Iterator[bytes]:
        """Yields the bytes of the held line and of this one. Holds this line if the next one must show what it is."""
        if not self._is_whole(line):
            yield from self._part(line, is_end=True)
        elif words := line.split():
            yield from self._whole(line, words)
        else:
            self._advance(line)

    def _is_whole(self, line: bytes) -> bool:
        """Returns True if a line has its beginning and is not too long to hold."""
        return self._column == 1 and len(line.removesuffix(b"\n")) < HELD_BYTES

    def _settled(self, words: list[bytes]) -> Iterator[bytes]:
        """Yields the bytes of the held line. Raises if the next line, with these ``words``, shows that it is of a dump."""
        if self._held is not None and self._held.offset.goes_on(words):
            raise self._held.error
        yield from self._released()

    def _whole(self, line: bytes, words: list[bytes]) -> Iterator[bytes]:
        """Yields the bytes of the held line and of this one. Holds this line if it may have an offset."""
        yield from self._settled(words)
        offset = _offset(words)
        held = None if offset is None else _Held(offset, self._line, 1 + line.find(words[0]))
        if held is not None and held.offset.is_certain:
            raise held.error
        data = _converted(line)
        if data is None:
            raise self._fault(line, words)
        self._advance(line)
        if held is None:
            yield data
        else:
            held.data = data
            self._held = held

    def _released(self) -> Iterator[bytes]:
        """Yields the bytes of the held line, which is not a line of a dump."""
        held, self._held = self._held, None
        if held is not None:
            yield held.data

    def _part(self, text: bytes, *, is_end: bool = False) -> Iterator[bytes]:
        """Yields the bytes of a part of a long line, up to its fault. ``is_end``: True if the part ends the line.

        Only the first bytes of the line show whether it is a line of a dump, so the result does not depend on the
        parts.
        """
        words = text[:HELD_BYTES].split()
        if self._column == 1 and len(words) > 2 and (offset := _offset(words[:-1])) is not None and offset.is_certain:
            yield from self._released()
            raise _dump_error(self._line, 1 + text.find(words[0]), offset.word)
        if not text.isspace():
            yield from self._released()
        if (len(text) - len(text.rstrip(_DIGIT))) % 2 and not is_end:
            # The other digit of the pair may follow in the next part.
            text, self._waiting = text[:-1], text[-1:]
        data = _converted(text)
        error = None
        if data is None:
            error = self._fault(text, words or [b""])
            pairs = _PAIRS.match(text, 0, error.column - self._column)
            data = _converted(pairs[0]) if pairs else None
        self._advance(text)
        if data:
            yield data
        if error is not None:
            raise error

    def _advance(self, text: bytes) -> None:
        """Moves the place past decoded text."""
        lines = text.count(b"\n")
        self._line += lines
        self._column = len(text) - text.rfind(b"\n") if lines else self._column + len(text)

    def _fault(self, line: bytes, words: list[bytes]) -> HexError:
        """Returns the error of a line that is not plain hexadecimal."""
        first = words[0].removeprefix(b"0x").removeprefix(b"0X")
        digits = first.rstrip(b":")
        # Such an offset has a colon after it, or begins with zeros and has an odd number of digits.
        is_odd = digits != first or (len(digits) % 2 and digits.startswith(b"00"))
        if is_odd and self._column == 1 and len(words) > 1 and len(digits) >= 4 and _DIGITS.match(digits):
            return _dump_error(self._line, 1 + line.find(words[0]), words[0])
        text = line.removesuffix(b"\n")
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


class _Held:
    """A line that may have an offset, and its place. ``data``: its bytes if it has no offset."""

    __slots__ = ("column", "data", "line", "offset")

    def __init__(self, offset: _Offset, line: int, column: int) -> None:
        self.offset = offset
        self.line = line
        self.column = column
        self.data = b""

    @property
    def error(self) -> HexError:
        """The error of a line with an offset."""
        return _dump_error(self.line, self.column, self.offset.word)


class _Offset:
    """A first word that may be an offset.

    ``word``: its digits. ``others``: the number of words after it. ``is_certain``: True if the line alone is sufficient
    evidence.
    """

    __slots__ = ("is_certain", "others", "word")

    def __init__(self, word: bytes, others: int, *, is_certain: bool) -> None:
        self.word = word
        self.others = others
        self.is_certain = is_certain

    def goes_on(self, words: list[bytes]) -> bool:
        """Returns True if the next line, with these words, begins with the offset at which this line ends."""
        following = words[0]
        if len(following) != len(self.word) or not _DIGITS.match(following):
            return False
        numbers = {}
        for base in (16, 10, 8):
            with suppress(ValueError):
                numbers[base] = int(following, base) - int(self.word, base)
        return self._may_have(numbers, words)

    def _may_have(self, numbers: dict[int, int], words: list[bytes]) -> bool:
        """Returns True if this line may have that many bytes. ``numbers``: by the base of the offset. ``words``: the next line."""
        raise NotImplementedError


class _Wide(_Offset):
    """An offset before words of one width. ``size``: the bytes of the words; the last word may have ``padding``.

    ``has_width``: True if the width of the words differs from that of the offset.
    """

    __slots__ = ("has_width", "padding", "size")

    def __init__(self, word: bytes, others: list[bytes]) -> None:
        value = int(word, 16)
        is_small = value == 0 or (value % 8 == 0 and value < 0x1000 and len(others) >= 8)
        self.has_width = len(others[0]) != len(word)
        super().__init__(word, len(others), is_certain=is_small and self.has_width and len(others) > 1)
        self.size = sum(map(len, others)) // 2
        self.padding = len(others[-1]) // 2 - 1 if len(others[0]) in _WIDTHS else 0

    def _may_have(self, numbers: dict[int, int], words: list[bytes]) -> bool:
        if not self.has_width and self.others > 1:
            return self.size == numbers[16] and self.size % 8 == 0
        if self.others == 1 and (len(words) > 1 or not self.has_width or not int(self.word, 16)):
            return self._is_row_of_one(numbers)
        if len(words) > 1:
            # Rows of grouped plain hexadecimal with a short last group have one more word, such as 3 bytes in groups of
            # 2.
            is_row = not int(self.word, 16) or _offset(words) is not None
            return self.size in numbers.values() and is_row
        if self.others == 1 and len(self.word) < 6:
            return False
        return any(0 <= self.size - number <= self.padding for number in numbers.values())

    def _is_row_of_one(self, numbers: dict[int, int]) -> bool:
        """Returns True if the only word ends at the offset of the next line, like a row of a dump.

        Large numbers may be the beginnings of frames: those of two frames can differ by the size of a small payload if
        their flags or ids do. A byte after 4 digits may be the rest of a row of 3 bytes in groups of 2.
        """
        start, digits = int(self.word, 16), len(self.word)
        fits = [base for base, number in numbers.items() if number == self.size]
        if not start or not fits:
            return bool(fits)
        if start >= 1 << 32 or (digits == 4 and self.size == 1):
            return False
        if self.has_width and digits >= 8 and start < (1 << 24 if digits == 8 else 1 << 16):
            return True
        return any(int(self.word, base) % self.size == 0 for base in fits)


class _Six(_Offset):
    """An offset of six digits, before words of any width."""

    __slots__ = ("is_grouped", "size")

    def __init__(self, word: bytes, others: list[bytes]) -> None:
        widths = [len(other) for other in others]
        self.is_grouped = widths[-1] <= 6 and all(width == 6 for width in widths[:-1])
        self.size = sum(widths) // 2
        if self.is_grouped:
            is_dump = all(map(_OCTAL.match, others)) and any(int(other, 8) for other in others)
        else:
            is_dump = sum(widths) != 10 and widths[:4] != [4, 2, 2, 2] and widths[:6] != [2, 2, 2, 2, 2, 6]
        super().__init__(word, len(others), is_certain=is_dump and not int(word, 16))

    def _may_have(self, numbers: dict[int, int], words: list[bytes]) -> bool:
        if not self.is_grouped or self.others == 1:
            # Lengths of frames differ only in the first two bytes.
            fits = (base for base, number in numbers.items() if number == self.size)
            return 0 < numbers[16] <= 8 * self.others or any(self.others > 1 or self.size % base**2 for base in fits)
        # Groups of 3 bytes may add up by chance, so the words must have a usual size.
        sizes = {size * self.others - numbers[16] for size in (1, 2, 4, 8)}
        return self.word.startswith(b"00") and (0 in sizes or (len(words) == 1 and not sizes.isdisjoint(range(8))))


def _offset(words: list[bytes]) -> _Offset | None:
    """Returns the first word if it may be an offset, or None. The module's docstring describes the evidence."""
    first = words[0]
    if len(words) == 1 or len(first) < 4 or not _DIGITS.match(first):
        return None
    if len(first) == 6 and _DIGITS.match(b"".join(words)):
        return _Six(first, words[1:])
    others: list[bytes] = []
    for word in words[1:]:
        if not _DIGITS.match(word) or (others and len(word) > len(others[0])):
            # This may be the ASCII column of a dump.
            if len(others) < 2:
                return None
            break
        others.append(word)
    if not others:
        return None
    width = len(others[0])
    if any(len(word) != width for word in others[:-1]):
        return None
    if width not in _WIDTHS and len(first) % 2 == 0 and (len(words) > 2 or width % 2):
        return None
    if width == len(first) and int(first, 16) and (len(words) > 2 or width < 8):
        # Groups of plain hexadecimal may add up by chance.
        return None
    return _Wide(first, others)


def _converted(text: bytes) -> bytes | None:
    """Returns the bytes of whole lines, or None if they are not plain hexadecimal."""
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        return None


def _dump_error(line: int, column: int, word: bytes) -> HexError:
    found = f"{word.decode('ascii')!r}, which looks like an offset of a dump"
    return HexError(line, column, "pairs of hexadecimal digits", found, _DUMP)
