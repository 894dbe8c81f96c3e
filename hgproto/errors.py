"""Every exception about bytes, texts, and schemas. A wrong argument raises TypeError or ValueError.

::

    HgprotoError
    ├── ProtocolError            a rule of the protocol is broken
    │   ├── LocalProtocolError   ... by what we were asked to send
    │   └── RemoteProtocolError  ... by what the peer sent
    ├── HumanFormError           a line is not the human form of a frame
    ├── HexError                 a text is not hexadecimal bytes
    ├── TextError                a text is not in UTF-8
    ├── DecodingError            a decoder rejects an encoded payload
    ├── EncodingError            a content encoding cannot be used here
    ├── LimitError               an input needs more memory than a fixed limit allows
    └── SchemaError              a schema file cannot be used (hgproto.language)

A :class:`ProtocolError` is data: the requirement, the offset, what was expected and what was found. Its text is built
when it is asked for, one lower-case sentence.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

__all__ = [
    "DecodingError",
    "EncodingError",
    "HexError",
    "HgprotoError",
    "HumanFormError",
    "LimitError",
    "LocalProtocolError",
    "ProtocolError",
    "RemoteProtocolError",
    "TextError",
    "counted",
    "printable",
    "quoted",
    "repr_of",
    "shown",
]

_MOST_BITS = 256
"""Bits of a number that a message has in decimal. Python refuses to write one of some thousands of digits."""


def counted(number: int, what: str) -> str:
    """A number of things in words, such as ``1 file`` or ``2 files``. ``what``: one of them."""
    return f"{_digits(number)} {what}{'' if number == 1 else 's'}"


def _digits(number: int) -> str:
    """A number in decimal; a huge one by its first bits and how many there are."""
    bits = number.bit_length()
    if bits <= _MOST_BITS:
        return int.__repr__(number)
    sign = "-" if number < 0 else ""
    return f"{sign}0x{abs(number) >> 4 * (-(-bits // 4) - 8):x}... ({counted(bits, 'bit')})"


def shown(value: object, most: int = 80) -> str:
    """A value as messages have it: short, and without an exception whatever it is.

    ``most``: the most characters or bytes of a text.
    """
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return _digits(value)
    if isinstance(value, str | bytes):
        literal = quoted(value[:most]) if isinstance(value, str) else repr(value[:most])
        return f"{literal}..." if len(value) > most else literal
    text = repr_of(value)
    return text if len(text) <= 2 * most else f"{text[: 2 * most]}..."


def repr_of(value: object) -> str:
    """Returns the repr of a value. If that fails, returns a huge number in hexadecimal, and only the type of another object.

    The repr fails, for example, for a value that is nested too deep for Python.
    """
    try:
        return repr(value)
    except RecursionError:
        pass
    except Exception:
        try:
            return _repr_by_parts(value)
        except RecursionError:
            pass
    return f"<{type(value).__name__} object>"


def _repr_by_parts(value: object) -> str:
    match value:
        case int():
            return int.__repr__(value) if value.bit_length() <= _MOST_BITS else int.__format__(value, "#x")
        case str():
            return str.__repr__(value)
        case list():
            return f"[{', '.join(map(repr_of, value))}]"
        case tuple():
            return f"({', '.join(map(repr_of, value))}{',' * (len(value) == 1)})"
        case dict():
            return f"{{{', '.join(f'{repr_of(key)}: {repr_of(item)}' for key, item in value.items())}}}"
    return f"<{type(value).__name__} object>"


def printable(text: str) -> str:
    r"""A text without anything that a terminal or a log would take for more than text.

    Everything from outside that a message quotes goes through this: names of files, texts of schemas, bytes of a peer.
    A byte that is not UTF-8 becomes ``\xNN``, and a character that is not ASCII never does.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        # Python reads bytes that are not UTF-8 as these surrogates.
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if 0x80 <= code <= 0xFF else repr(character)[1:-1]


def quoted(text: "str | bytes") -> str:
    """A text in quotes, as messages have it: a literal of Python, with what :func:`printable` escapes escaped in the same way."""
    import re

    literal = repr(text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text)
    if "\\" not in literal:
        return literal

    def replaced(escape: "re.Match[str]") -> str:
        byte, character = escape.groups()
        return f"\\x{byte}" if byte else f"\\u00{character}" if character else escape[0]

    # A backslash of the text itself is a pair in the literal. A substitution would hold an object for each escape.
    made: list[str] = []
    parts: list[str] = []
    at = 0
    for match in re.finditer(r"\\\\|\\udc([89a-f].)|\\x([89a-f].)", literal):
        parts += literal[at : match.start()], replaced(match)
        at = match.end()
        if len(parts) > 1 << 12:
            made.append("".join(parts))
            parts.clear()
    return "".join((*made, *parts, literal[at:]))


class HgprotoError(Exception):
    """The root of every error about bytes, texts, and schemas. A wrong argument raises TypeError or ValueError."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr_of, self.args))})"


class ProtocolError(HgprotoError):
    """A broken rule of the protocol.

    ``requirement``: its id in the schema's catalogue; empty where bytes are not what was asked for, and break no rule.
    ``offset``: where, in bytes from the start of what was being read (the payload, the frame or the input, as the
    function that raised it says); None where no bytes exist yet.
    ``field``: the path of the field, such as ``atoms[1].labels[0]``; empty for the whole.
    ``expected``, ``found``: the two sides of the matter, as text.
    ``frames``: whole frames that the same call had read before the fault (:meth:`hgproto.FrameReader.feed`).
    """

    def __init__(
        self,
        requirement: str,
        offset: "int | None",
        field: str,
        expected: str,
        found: str,
        frames: "tuple[Any, ...]" = (),
    ) -> None:
        Exception.__init__(self, requirement, offset, field, expected, found, frames)
        self.requirement = requirement
        self.offset = offset
        self.field = field
        self.expected = expected
        self.found = found
        self.frames = frames

    @property
    def message(self) -> str:
        """What was expected and what was found, without the place."""
        field = f"{self.field}: " if self.field else ""
        return f"{field}expected {self.expected}, found {self.found}"

    def __str__(self) -> str:
        place = "" if self.offset is None else f" at offset {shown(self.offset)}"
        return f"{self.message}{place}{f' ({self.requirement})' if self.requirement else ''}"

    def moved(self, size: int) -> "Self":
        """The same error with its offset counted from ``size`` bytes earlier."""
        offset = None if self.offset is None else self.offset + size
        error = type(self)(self.requirement, offset, self.field, self.expected, self.found, self.frames)
        return error.caused_by(self.__cause__).with_traceback(self.__traceback__)

    def caused_by(self, cause: "BaseException | None") -> "Self":
        """The error itself, whose cause is an exception that other code has raised, if there is one."""
        if cause is not None:
            self.__cause__ = cause
        return self


class LocalProtocolError(ProtocolError):
    """We were asked to build what a rule forbids. Nothing was built."""


class RemoteProtocolError(ProtocolError):
    """The bytes that we were given break a rule."""


class EncodingError(HgprotoError):
    """A content encoding that was asked for is not known, or what it needs is not installed."""


class DecodingError(HgprotoError):
    """An encoded payload that a decoder rejects.

    ``answer``: the reason, as the state machine of streams names it: ``undecodable``, ``too-large``, ``after-end``,
    ``truncated``, or ``wide-window``. ``offset``: bytes from the start of the payload; None if the bytes end too early.
    ``expected``, ``found``: as in :class:`ProtocolError`. The stream turns it into an error that names the requirement.
    """

    field = ""

    def __init__(self, answer: str, offset: "int | None", expected: str, found: str) -> None:
        super().__init__(answer, offset, expected, found)
        self.answer = answer
        self.offset = offset
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        place = "" if self.offset is None else f" at offset {shown(self.offset)}"
        return f"expected {self.expected}, found {self.found}{place}"


class LimitError(HgprotoError):
    """An input would need more memory than a fixed limit of hgproto allows. It violates no requirement."""


class RevisionError(ValueError):
    """A revision lacks what is asked of it, such as a frame type with a role, a row of a machine, or a limit."""


class HumanFormError(HgprotoError):
    """A line that is not the human form of a frame. ``column`` counts bytes from 1. ``line``: its number, if known."""

    def __init__(self, column: int, expected: str, found: str, line: "int | None" = None) -> None:
        super().__init__(column, expected, found, line)
        self.column = column
        self.line = line
        self.expected = expected
        self.found = found

    @property
    def message(self) -> str:
        """What was expected and what was found, without the place."""
        return f"expected {self.expected}, found {self.found}"

    def __str__(self) -> str:
        line = "" if self.line is None else f"line {shown(self.line)}, "
        return f"{self.message} at {line}column {shown(self.column)}"


class HexError(HgprotoError):
    """A text that is not plain hexadecimal. ``line`` and ``column`` count from 1. ``remedy``: what to do, may be empty."""

    def __init__(self, line: int, column: int, expected: str, found: str, remedy: str = "") -> None:
        super().__init__(line, column, expected, found, remedy)
        self.line = line
        self.column = column
        self.expected = expected
        self.found = found
        self.remedy = remedy

    @property
    def message(self) -> str:
        """What was expected, what was found, and the remedy, without the place."""
        return f"expected {self.expected}, found {self.found}{f'; {self.remedy}' if self.remedy else ''}"

    def __str__(self) -> str:
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"expected {self.expected}, found {self.found} at line {shown(self.line)}, column {shown(self.column)}{remedy}"


class TextError(HgprotoError):
    """A text that is not in UTF-8, as its first bytes say. ``remedy``: what to do."""

    def __init__(self, expected: str, found: str, remedy: str) -> None:
        super().__init__(expected, found, remedy)
        self.expected = expected
        self.found = found
        self.remedy = remedy

    def __str__(self) -> str:
        return f"expected {self.expected}, found {self.found}; {self.remedy}"
