"""Builders of the atoms of text messages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.errors import LocalProtocolError, shown
from hgproto.runtime.bytelike import as_bytes, is_bytes_like
from hgproto.runtime.frame import check_text
from hgproto.runtime.layout import counted_bytes, highest

if TYPE_CHECKING:
    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.definition import Codec
    from hgproto.runtime.layout import Part

__all__ = ["Texts", "encoded", "placeholders"]

_DIRECTIVE = re.compile(r"%(.|\Z)", re.DOTALL)
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")
_CHARSETS = {"ascii": ("ascii", "ASCII"), "utf8": ("utf-8", "UTF-8")}


def encoded(text: str, charset: str, requirement: str, field: str) -> bytes:
    """Encodes a text in ``ascii`` or ``utf8``. Raises :class:`LocalProtocolError` for a character outside the charset."""
    check_text(text, field)
    encoding, name = _CHARSETS[charset]
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        found = f"U+{ord(text[error.start]):04X} at index {error.start}"
        raise LocalProtocolError(requirement, None, field, name, found) from None


def placeholders(format_: str) -> int:
    """Returns the number of ``%s`` in a format. ``%%`` is a percent sign, and any other ``%x`` is literal text."""
    check_text(format_, "format_")
    return sum(match == "s" for match in _DIRECTIVE.findall(format_))


class _String(NamedTuple):
    """A string of an atom, or an array of them. ``most``: the most bytes of each; ``number``: the most strings."""

    charset: str
    most: int
    number: int
    rules: dict[str, str]


class Texts:
    """A builder of atoms. Texts may be ``str`` or bytes.

    ``structure``: that of an atom, with ``format``, ``labels``, and ``args``. ``placeholders``: the requirement that
    the number of placeholders equals the number of arguments. ``percent``: the requirement that each percent sign
    belongs to ``%s`` or ``%%``. Both are None if the revision has no such requirement.
    """

    __slots__ = ("_atom", "_percent", "_placeholders", "_strings")

    def __init__(self, codec: Codec, structure: str, placeholders: str | None, percent: str | None) -> None:
        self._atom: Any = codec.STRUCTURES[structure][0]
        parts = {part.name: part for part in codec.LAYOUTS[structure].parts}
        self._strings = {name: _string(parts[name], parts) for name in ("format", "labels", "args")}
        self._placeholders = placeholders
        self._percent = percent

    def __call__(self, atoms: Iterable[Any], errors: str) -> tuple[Any, ...]:
        """Returns the atoms of a message.

        ``atoms``: atoms, or triples of a format, its labels, and its arguments. ``errors``: ``strict`` rejects text
        that is not UTF-8, and ``replace`` replaces it with U+FFFD. Atoms are checked one after the other. The order of
        the checks is: number of arguments, number of labels, charset of labels; sizes of format and arguments, sizes of
        labels, number of placeholders, percent signs.
        """
        if errors not in ("strict", "replace"):
            raise ValueError(f"errors is 'strict' or 'replace', not {shown(errors)}")
        if isinstance(atoms, (str, bytes)) or not isinstance(atoms, Iterable):  # types can be wrong
            raise TypeError(f"atoms must be an iterable of atoms, not {type(atoms).__name__}")
        checked = []
        for index, atom in enumerate(atoms):
            parts = (atom.format, atom.labels, atom.args) if isinstance(atom, self._atom) else atom
            if isinstance(parts, (str, bytes)) or not isinstance(parts, Sequence) or len(parts) != 3:
                raise TypeError(
                    f"atoms[{index}] must be a {self._atom.__name__}, or a format with its labels and its arguments"
                )
            checked.append(self._checked(f"atoms[{index}]", *parts, errors=errors))
        return tuple(checked)

    def _checked(
        self,
        path: str,
        format_: str | BytesLike,
        labels: Sequence[str],
        args: Sequence[str | BytesLike],
        *,
        errors: str,
    ) -> Any:
        of_labels, of_args = self._strings["labels"], self._strings["args"]
        for name, items, string in (("args", args, of_args), ("labels", labels, of_labels)):
            if isinstance(items, str) or is_bytes_like(items) or not isinstance(items, Sequence):
                raise TypeError(f"{path}.{name} must be a sequence of texts, not {type(items).__name__}")
            if len(items) > string.number:
                sizes = string.rules["overflow"]
                raise LocalProtocolError(sizes, None, f"{path}.{name}", f"at most {string.number}", str(len(items)))
        for index, label in enumerate(labels):
            encoded(label, of_labels.charset, of_labels.rules["charset"], f"{path}.labels[{index}]")
        pairs = [
            ("format", format_, self._strings["format"]),
            *((f"args[{i}]", arg, of_args) for i, arg in enumerate(args)),
        ]
        texts = [_text(text, string, errors, f"{path}.{name}") for name, text, string in pairs]
        for index, label in enumerate(labels):
            _check_size(len(encoded(label, of_labels.charset, "", "")), of_labels, f"{path}.labels[{index}]")
        self._check_directives(path, texts[0], len(args))
        return self._atom(format=texts[0], labels=tuple(labels), args=tuple(texts[1:]))

    def _check_directives(self, path: str, format_: str, number: int) -> None:
        wanted = placeholders(format_)
        if wanted != number and self._placeholders is not None:
            expected = f"as many arguments as the format has %s, which is {wanted}"
            raise LocalProtocolError(self._placeholders, None, f"{path}.args", expected, str(number))
        for match in _DIRECTIVE.finditer(format_) if self._percent is not None else ():
            if match[1] not in ("%", "s"):
                raise LocalProtocolError(str(self._percent), None, f"{path}.format", "%s or %%", repr(match[0]))


def _string(part: Part, parts: dict[str, Part]) -> _String:
    counts = parts[str(part.size or part.sizes)]
    number = 1 if counts.number is None else highest(parts[counts.number])
    return _String(part.type, highest(counts), number, dict(part.rules))


def _text(text: str | BytesLike, string: _String, errors: str, field: str) -> str:
    """Returns the text of a ``str`` or of bytes, checked for charset and size."""
    requirement = string.rules["charset"]
    if isinstance(text, str):
        decoded = _LONE_SURROGATES.sub("\ufffd", text) if errors == "replace" else text
    else:
        data = as_bytes(text, field)
        try:
            decoded = data.decode("utf-8", errors)
        except UnicodeDecodeError as error:
            found = f"the byte 0x{data[error.start]:02x} at index {error.start}"
            raise LocalProtocolError(requirement, None, field, "UTF-8", found) from None
    _check_size(len(encoded(decoded, string.charset, requirement, field)), string, field)
    return decoded


def _check_size(size: int, string: _String, field: str) -> None:
    if size > string.most:
        raise LocalProtocolError(
            string.rules["overflow"], None, field, f"at most {counted_bytes(string.most)}", counted_bytes(size)
        )
