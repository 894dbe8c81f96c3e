"""Every exception about bytes, texts, and schemas. A wrong argument raises TypeError or ValueError.

::

    HgprotoError
    ├── ProtocolError            A requirement of the protocol is violated.
    │   ├── LocalProtocolError   ... by what the caller asked hgproto to send.
    │   └── RemoteProtocolError  ... by what the peer sent.
    ├── HumanFormError           A line is not the human form of a frame.
    ├── HexError                 A text is not hexadecimal bytes.
    ├── TextError                A text is not in UTF-8.
    ├── DecodingError            A decoder rejects an encoded payload.
    ├── EncodingError            A content encoding cannot be used here.
    ├── LimitError               An input needs more memory than a fixed limit allows.
    └── SchemaError              A schema file cannot be used (hgproto.language).

A :class:`ProtocolError` holds the requirement, the offset, what was expected, and what was found. ``str()`` builds the
message from them.
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
"""The most bits of a number that a message shows in decimal. Python rejects conversions of thousands of digits."""


def counted(number: int, what: str) -> str:
    """Returns a number with its noun, such as ``1 file`` or ``2 files``. ``what``: the singular noun."""
    return f"{_digits(number)} {what}{'' if number == 1 else 's'}"


def _digits(number: int) -> str:
    """Returns a number in decimal, or the first bits and the number of bits of a huge number."""
    bits = number.bit_length()
    if bits <= _MOST_BITS:
        return int.__repr__(number)
    sign = "-" if number < 0 else ""
    return f"{sign}0x{abs(number) >> 4 * (-(-bits // 4) - 8):x}... ({counted(bits, 'bit')})"


def shown(value: object, most: int = 80) -> str:
    """Returns a short text for any value, as messages show it. Never raises an exception.

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
    """Returns the repr of a value, or a substitute if ``repr()`` fails, for example for a value that is nested too deep.

    The substitute shows a huge number in hexadecimal, and any other object as the name of its type.
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
    r"""Returns a text with every character escaped that a terminal or a log would not print literally.

    Messages apply it to everything that they quote from outside: file names, texts of schemas, and bytes from a peer.
    Only a byte that is not UTF-8 becomes ``\xNN``; a character beyond ASCII never does.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        # Python decodes bytes that are not UTF-8 to these surrogates.
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if 0x80 <= code <= 0xFF else repr(character)[1:-1]


def quoted(text: "str | bytes") -> str:
    """Returns a text in quotes: a Python literal, with the same escapes as :func:`printable`."""
    import re

    literal = repr(text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text)
    if "\\" not in literal:
        return literal

    def replaced(escape: "re.Match[str]") -> str:
        byte, character = escape.groups()
        return f"\\x{byte}" if byte else f"\\u00{character}" if character else escape[0]

    # The literal doubles each backslash of the text. `re.sub` would keep one object per escape in memory.
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
    """The base class of every error about bytes, texts, and schemas. A wrong argument raises TypeError or ValueError."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr_of, self.args))})"


class ProtocolError(HgprotoError):
    """A violated requirement of the protocol.

    ``requirement``: the id of the requirement. It is empty if the bytes violate none but differ from what the caller
    asked for. ``offset``: the place in bytes, counted from the start of the payload, frame, or input; the function that
    raises the error documents which. It is None if no bytes exist yet. ``field``: the path of the field, such as
    ``atoms[1].labels[0]``; empty for the whole. ``expected``, ``found``: texts.
    ``frames``: the whole frames that the same call had read before the error (:meth:`hgproto.FrameReader.feed`).
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
        """The message without the place."""
        field = f"{self.field}: " if self.field else ""
        return f"{field}expected {self.expected}, found {self.found}"

    def __str__(self) -> str:
        place = "" if self.offset is None else f" at offset {shown(self.offset)}"
        return f"{self.message}{place}{f' ({self.requirement})' if self.requirement else ''}"

    def moved(self, size: int) -> "Self":
        """Returns a copy of the error whose offset counts from ``size`` bytes earlier."""
        offset = None if self.offset is None else self.offset + size
        error = type(self)(self.requirement, offset, self.field, self.expected, self.found, self.frames)
        return error.caused_by(self.__cause__).with_traceback(self.__traceback__)

    def caused_by(self, cause: "BaseException | None") -> "Self":
        """Sets the cause of the error unless ``cause`` is None, and returns the error itself."""
        if cause is not None:
            self.__cause__ = cause
        return self


class LocalProtocolError(ProtocolError):
    """The caller asked hgproto to build something that a requirement forbids. Nothing was built."""


class RemoteProtocolError(ProtocolError):
    """The bytes that were received violate a requirement."""


class EncodingError(HgprotoError):
    """The requested content encoding is unknown, or a package that it needs is not installed."""


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
    """A revision lacks something that the caller needs, such as a frame type with a role, a transition, or a limit."""


class HumanFormError(HgprotoError):
    """A line that is not the human form of a frame. ``column`` counts bytes from 1. ``line``: the line number, or None."""

    def __init__(self, column: int, expected: str, found: str, line: "int | None" = None) -> None:
        super().__init__(column, expected, found, line)
        self.column = column
        self.line = line
        self.expected = expected
        self.found = found

    @property
    def message(self) -> str:
        """The message without the place."""
        return f"expected {self.expected}, found {self.found}"

    def __str__(self) -> str:
        line = "" if self.line is None else f"line {shown(self.line)}, "
        return f"{self.message} at {line}column {shown(self.column)}"


class HexError(HgprotoError):
    """A text that is not plain hexadecimal. ``line`` and ``column`` count from 1. ``remedy``: advice, or empty."""

    def __init__(self, line: int, column: int, expected: str, found: str, remedy: str = "") -> None:
        super().__init__(line, column, expected, found, remedy)
        self.line = line
        self.column = column
        self.expected = expected
        self.found = found
        self.remedy = remedy

    @property
    def message(self) -> str:
        """The message with the remedy, without the place."""
        return f"expected {self.expected}, found {self.found}{f'; {self.remedy}' if self.remedy else ''}"

    def __str__(self) -> str:
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"expected {self.expected}, found {self.found} at line {shown(self.line)}, column {shown(self.column)}{remedy}"


class TextError(HgprotoError):
    """A text that is not in UTF-8, according to its first bytes. ``remedy``: advice."""

    def __init__(self, expected: str, found: str, remedy: str) -> None:
        super().__init__(expected, found, remedy)
        self.expected = expected
        self.found = found
        self.remedy = remedy

    def __str__(self) -> str:
        return f"expected {self.expected}, found {self.found}; {self.remedy}"
