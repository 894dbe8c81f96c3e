"""The human form of a frame: one line that people can read, write, and compare.

``<request-id> <stream-id> <stream-flags> <type> <flags> <payload>``. Every frame has a canonical line, and parsing that
line returns the same frame. The parser also accepts numbers for names, hexadecimal numbers, and any escape of a Python
bytes literal. It accepts a line without the sixth field if the payload is empty. In revisions whose schema has ``human:
cbor-literal``, a payload of CBOR is written as ``cbor:`` and a Python literal.
"""

from __future__ import annotations

import re
from functools import lru_cache
from operator import index
from typing import TYPE_CHECKING

from hgproto.errors import HumanFormError, counted, quoted
from hgproto.runtime.bytelike import as_bytes
from hgproto.runtime.definition import checked_codec
from hgproto.runtime.frame import Frame, check_frame, check_revision
from hgproto.system.bom import unmarked_chunks
from hgproto.wire.literals import literal_of, payload_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.definition import Codec

__all__ = [
    "LONGEST_LINE",
    "flag_list",
    "format_frame",
    "frame_lines",
    "has_frame",
    "line_bytes",
    "parse_frame",
    "type_name",
    "without_line_end",
]

LONGEST_LINE = 1 << 27
"""The most bytes of a line of a session: twice the line of the largest frame with every byte escaped."""

_LINE = re.compile(rb"[^\n]*\n|[^\n]+")
_NUMBER = re.compile(rb"(?:0[xX][0-9a-fA-F]+|[0-9]+)\Z")
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|.?)", re.DOTALL)
_USUAL = re.compile(rb"""(?:[^\\]|\\(?:[nrt\\]|x[0-9a-fA-F]{2}))*+""", re.DOTALL)
_SIMPLE = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
_SIMPLE |= {b"\\": b"\\", b"'": b"'", b'"': b'"'}
_PIECE = 1 << 16
_MAX_FLAGS = 64
"""The most flags in a field: more than any frame type has, even with repetitions."""
_MAX_DIGITS = 20
"""The most digits of a number: more than any field needs, but few enough to convert fast."""

_HUGE = 10**_MAX_DIGITS

_CBOR = "cbor:"
"""The prefix of a payload that later revisions write as a value. Bytes that begin like it are written with an escape."""
_FIELDS = ("request id", "stream id", "stream flags", "type", "flags")


def flag_list(value: int, names: Mapping[int, str]) -> list[str | int]:
    """Returns the flags that are set in ``value``, lowest bit first: the name of each, or the bit as a number."""
    bits = [1 << position for position in range(int(value).bit_length())]
    return [names.get(bit, bit) for bit in bits if value & bit]


def type_name(frame: Frame, codec: Codec) -> str | int:
    """Returns the name of a frame's type, or its number if it has no name."""
    return codec.TYPE_NAMES.get(int(frame.type), int(frame.type))


def format_frame(frame: Frame, codec: Codec | None = None) -> str:
    """Returns the canonical line of a frame, in ASCII, without an end of line.

    ``codec``: None for that of the default revision. Raises :class:`ValueError` for a frame of another revision.
    """
    used = checked_codec(codec)
    try:
        words = _words(used, frame.stream_flags, frame.type, frame.flags)  # type: ignore[arg-type]  # a module can be hashed
    except AttributeError:
        check_frame(frame)
        raise
    line = f"{_id(frame.request_id)} {_id(frame.stream_id)} {words}"
    if not len(frame.payload):
        return line
    if used.HUMAN is not None and (literal := literal_of(frame, used)) is not None:
        return f"{line} {_CBOR}{literal}"
    text = _escape(bytes(frame.payload))
    if text.startswith(_CBOR):
        text = f"\\x{ord(text[0]):02x}{text[1:]}"
    if text.endswith(" "):
        text = f"{text[:-1]}\\x20"
    return f"{line} {text}"


@lru_cache(maxsize=4096, typed=True)
def _words(codec: Codec, stream_flags: int, type: int, flags: int) -> str:
    """Returns the three fields with names. Cached, because only few combinations occur."""
    check_revision(Frame(0, 0, stream_flags, type, flags), codec)
    kind = codec.TYPE_NAMES.get(index(type)) or hex(type)
    stream = _flags_text(stream_flags, codec.STREAM_FLAG_NAMES)
    return f"{stream} {kind} {_flags_text(flags, codec.FLAG_NAMES.get(index(type), {}))}"


def _id(number: int) -> str:
    """Returns a number in decimal, or a huge number in hexadecimal, because Python may reject its conversion."""
    return str(int(number)) if -_HUGE < number < _HUGE else hex(number)


def _escape(payload: bytes) -> str:
    """Returns printable ASCII unchanged and the rest escaped, as in a Python literal without its quotes."""
    # In pieces, because each part is an object.
    pieces = (payload[at : at + _PIECE] for at in range(0, len(payload), _PIECE))
    return "".join("'".join(repr(part)[2:-1] for part in piece.split(b"'")) for piece in pieces)


def _flags_text(value: int, names: Mapping[int, str]) -> str:
    return "|".join(flag if isinstance(flag, str) else hex(flag) for flag in flag_list(index(value), names)) or "0"


def has_frame(line: bytes) -> bool:
    """Returns True unless a line of a text in human form is blank or a ``#`` comment."""
    words = line.lstrip()
    return bool(words) and not words.startswith(b"#")


def frame_lines(chunks: Iterable[bytes], limit: int) -> Iterator[tuple[int, bytes]]:
    """Yields the number and the bytes of each line with a frame, with the line end but without a byte-order mark.

    The limit bounds the memory; blank lines and comments may have any length. Raises :class:`HumanFormError` for a line
    with a frame and more than ``limit`` bytes, and :class:`hgproto.errors.TextError` for a text in UTF-16 or UTF-32.
    """
    number, size, begun, is_frame, is_comment = 1, 0, list[bytes](), False, False
    for chunk in unmarked_chunks(chunks):
        for part in _LINE.findall(chunk):
            size += len(part)
            if not is_frame and not is_comment:
                words = part.lstrip()
                is_comment = words.startswith(b"#")
                is_frame = bool(words) and not is_comment
            if is_frame and size > limit:
                expected = f"a line of at most {counted(limit, 'byte')}"
                raise HumanFormError(limit + 1, expected, "more", number)
            # Blanks before a frame are only needed up to the limit.
            if is_comment or size > limit:
                begun.clear()
            else:
                begun.append(part)
            if part.endswith(b"\n"):
                if is_frame:
                    yield number, b"".join(begun)
                number, size, begun, is_frame, is_comment = number + 1, 0, [], False, False
    if is_frame:
        yield number, b"".join(begun)


def without_line_end(line: bytes) -> bytes:
    """Returns a line without its end, which is LF or CR LF. A single CR belongs to the line."""
    return line[:-2] if line.endswith(b"\r\n") else line.removesuffix(b"\n")


def line_bytes(line: str | BytesLike, number: int | None = None) -> bytes:
    """Returns the bytes of a line. Text is encoded in UTF-8 with ``surrogateescape``.

    ``number``: that of the line, for errors. Raises :class:`HumanFormError` for text with other surrogates, and
    :class:`TypeError` for other types.
    """
    if not isinstance(line, str):
        return as_bytes(line, "line")
    try:
        return line.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        before = line[: error.start].encode("utf-8", "surrogateescape")
        found = quoted(line[error.start])
        raise HumanFormError(len(before) + 1, "text that UTF-8 can encode", found, number) from None


def parse_frame(line: str | BytesLike, codec: Codec | None = None) -> Frame:
    """Parses a line and returns its frame. Text is encoded in UTF-8, and an end of line (LF or CR LF) is ignored.

    Raises :class:`HumanFormError` with the column, in bytes from 1, and :class:`TypeError` for other types.
    """
    codec = checked_codec(codec)
    data = without_line_end(line_bytes(line))
    fields = data.split(b" ", 5)
    columns = [1]
    for field in fields:
        columns.append(columns[-1] + len(field) + 1)
    for position, name in enumerate(_FIELDS):
        if position >= len(fields) or not fields[position]:
            column = columns[position] if position < len(fields) else len(data) + 1
            found = "the end of the line" if column > len(data) else "a space"
            raise HumanFormError(column, f"the {name} (six fields are separated by single spaces)", found)
    width = {name: 1 << bits for name, (bits, _) in codec.FIELD_BITS.items()}
    request_id = _number(fields[0], columns[0], "a request id", width["request_id"])
    stream_id = _number(fields[1], columns[1], "a stream id", width["stream_id"])
    stream_flags = _flags(fields[2], columns[2], "a stream flag", codec.STREAM_FLAG_NAMES, width["stream_flags"])
    type_ = _named(fields[3], columns[3], "a frame type", codec.CODES, width["type"])
    flag_names = codec.FLAG_NAMES.get(type_, {})
    what = f"a flag of {codec.TYPE_NAMES[type_]}" if type_ in codec.TYPE_NAMES else "a flag"
    flags = _flags(fields[4], columns[4], what, flag_names, width["flags"])
    if len(fields) > 5 and fields[5].startswith(_CBOR.encode()):
        return codec.make_frame(
            request_id, stream_id, stream_flags, type_, flags, _from_literal(fields[5], columns[5], codec)
        )
    payload = _unescape(fields[5], columns[5]) if len(fields) > 5 else b""
    return codec.make_frame(request_id, stream_id, stream_flags, type_, flags, payload)


def _from_literal(field: bytes, column: int, codec: Codec) -> bytes:
    """Returns the payload that a field with a literal stands for."""
    if codec.HUMAN is None:
        expected = f"a payload of {codec.REVISION}, in which bytes like these begin with \\x63bor:"
        raise HumanFormError(column, expected, "cbor:, the notation of later revisions")
    try:
        return payload_of(field[len(_CBOR) :].decode(), codec)
    except ValueError as error:
        found = "bytes that are not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise HumanFormError(
            column + len(_CBOR), "a Python literal of bytes, numbers, lists, and maps", found
        ) from None


def _number(field: bytes, column: int, what: str, end: int) -> int:
    if not _NUMBER.match(field) or len(field) > _MAX_DIGITS:
        raise HumanFormError(column, f"{what}, 0 to {end - 1}", _shown(field))
    number = int(field, 16) if field[:2] in (b"0x", b"0X") else int(field)
    if number >= end:
        raise HumanFormError(column, f"{what}, 0 to {end - 1}", _shown(field))
    return number


def _named(field: bytes, column: int, what: str, names: Mapping[str, int], end: int) -> int:
    if field[:1].isdigit():
        return _number(field, column, what, end)
    name = field.decode("utf-8", "backslashreplace")
    if name not in names:
        listed = ", ".join(names) or "no names"
        raise HumanFormError(column, f"{what} ({listed}, or a number)", _shown(field))
    return names[name]


def _flags(field: bytes, column: int, what: str, names: Mapping[int, str], end: int) -> int:
    masks = {name: mask for mask, name in names.items()}
    flags = 0
    if field.count(b"|") >= _MAX_FLAGS:
        found = counted(field.count(b"|") + 1, "flag")
        raise HumanFormError(column, f"at most {_MAX_FLAGS} flags joined by |", found)
    for part in field.split(b"|"):
        flags |= _named(part, column, what, masks, end)
        column += len(part) + 1
    return flags


def _unescape(field: bytes, column: int) -> bytes:
    if b"\\" not in field:
        return field
    if _USUAL.fullmatch(field):
        # The escapes of canonical lines have the same meaning in Python's codec, which is ten times as fast.
        return field.decode("unicode_escape").encode("latin-1")

    def replaced(match: re.Match[bytes]) -> bytes:
        escape = match[1]
        if escape[:1] == b"x":
            if len(escape) != 3:
                found = _shown(field[match.start() : match.start() + 4])
                raise HumanFormError(column + match.start(), "two hexadecimal digits after \\x", found)
            return bytes([int(escape[1:], 16)])
        if escape[:1].isdigit() and escape[0] < 0x38:
            return bytes([int(escape, 8) & 0xFF])
        if not escape:
            raise HumanFormError(column + match.start(), "a character after the backslash", "the end of the line")
        return _SIMPLE.get(escape, match[0])

    # A substitution would keep one object per escape.
    unescaped, at = bytearray(), 0
    for match in _ESCAPE.finditer(field):
        unescaped += field[at : match.start()]
        unescaped += replaced(match)
        at = match.end()
    return bytes(unescaped + field[at:])


def _shown(field: bytes) -> str:
    return quoted(field) if len(field) <= 40 else f"{quoted(field[:40])}..."
