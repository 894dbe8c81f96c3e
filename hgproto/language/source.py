"""Strict YAML: plain values, with the place of each.

Scalars are those of YAML 1.2: only ``true`` and ``false`` are booleans; ``yes`` and ``on`` are strings. Duplicate keys, anchors,
and tags are errors. :class:`Source` has the place of every value and key by its path from the root, so that messages can
name the file, line, and column.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING, Any

import yaml

from hgproto.errors import TextError, counted, quoted
from hgproto.language.problems import Place, Problem, SchemaError
from hgproto.system.bom import unmarked

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Source", "read"]

MAX_DEPTH = 64
"""The largest depth of nesting: ten times what the language needs, and well below Python's recursion limit."""

MAX_BYTES = 8 << 20
"""The largest size of a file in bytes: a hundred times that of hgproto's own, and some seconds of work."""

MAX_DIGITS = 40
"""The largest length of a number in characters: enough for 128 bits, and well below Python's limit for conversions."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader of libyaml if PyYAML was built with it. It yields the same tokens and marks, ten times as fast."""

_INT = re.compile(r"[-+]?[0-9]+\Z|0x[0-9a-fA-F]+\Z|0o[0-7]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z|[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULL = {"", "~", "null", "Null", "NULL"}
_FORBIDDEN = re.compile("[^\t\n\r -~\u00a0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""The characters that YAML forbids, line breaks that editors do not recognize, and controls of the direction of text.

Such controls (U+202A to U+202E, U+2066 to U+2069) can make a line look like another one.
"""
_OLD_BOOL = {"yes", "no", "on", "off", "y", "n"}

_OPENING = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)

Path_ = tuple["str | int", ...]


class Source:
    """The data of a schema, merged from one or more files, and the place of each part."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self.files: list[Path] = []
        self.contents: dict[Path, bytes] = {}
        self._values: dict[Path_, Place] = {}
        self._keys: dict[Path_, Place] = {}

    def place(self, path: Iterable[str | int]) -> Place:
        """Returns the place where the value at ``path`` starts, or that of the closest value around it."""
        path = tuple(path)
        while path not in self._values and path:
            path = path[:-1]
        return self._values[path]

    def key_place(self, path: Iterable[str | int]) -> Place:
        """Returns the place of the key at the end of ``path``."""
        path = tuple(path)
        return self._keys.get(path) or self.place(path)

    def mark(self, path: Path_, value: Place, key: Place | None = None) -> None:
        """Notes the places of the value at ``path`` and of the key before it."""
        self._values.setdefault(path, value)
        if key is not None:
            self._keys.setdefault(path, key)

    def take_places(self, other: Source) -> None:
        """Adds the places of another source, for paths that have no place yet."""
        self._values = other._values | self._values
        self._keys = other._keys | self._keys


_ADVICE = {
    errno.ENOENT: "correct its name",
    errno.ENOTDIR: "correct its name",
    errno.ENAMETOOLONG: "correct its name",
    errno.EISDIR: "name a file in it",
    errno.EACCES: "change its permissions",
    errno.EPERM: "change its permissions",
    errno.ELOOP: "correct the link",
}
"""Remedies for a file that cannot be read, by the error."""


def unreadable(file: Path, error: OSError, include: Place | None = None) -> SchemaError:
    """Returns the exception for a file that cannot be read. ``include``: the place that includes it, if any."""
    message = f"cannot be read ({error.strerror or error})"
    advice = _ADVICE.get(error.errno or 0, "check its disk, or use a copy of the file")
    if include is not None:
        return SchemaError([Problem(include, f"{quoted(str(file))} {message}", advice)], unreadable=True)
    return SchemaError([Problem(Place(str(file)), message, advice)], unreadable=True)


def _bytes_of(file: Path) -> bytes:
    """Returns the bytes of a file. Raises :class:`SchemaError` if there are more than :data:`MAX_BYTES`, without reading them."""
    with file.open("rb") as opened:
        data = opened.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        message = f"the file has more than {MAX_BYTES >> 20} MiB"
        raise SchemaError(
            [Problem(Place(str(file)), message, "check that it is a schema; split a schema that is too long")]
        )
    return data


def read(file: Path, source: Source, include: Place | None = None) -> dict[str, Any]:
    """Returns the mapping in ``file``, and adds its places to ``source``. Raises :class:`SchemaError`.

    ``include``: the place that includes the file, if any.
    """
    try:
        source.contents[file] = _bytes_of(file)
        text = unmarked(source.contents[file]).decode("utf-8")
    except OSError as error:
        raise unreadable(file, error, include) from None
    except TextError as error:
        message = f"expected {error.expected}, found {error.found}"
        raise SchemaError([Problem(Place(str(file), 1, 1), message, error.remedy)]) from None
    except UnicodeDecodeError as error:
        place = _place_after(file, error.object[: error.start].decode("utf-8"))
        raise SchemaError([Problem(place, "the file is not UTF-8", "save it as UTF-8")]) from None
    forbidden = _FORBIDDEN.search(text)
    if forbidden:
        raise SchemaError([_forbidden(forbidden[0], _place_after(file, text[: forbidden.start()]))])
    reader = _Reader(str(file), source)
    try:
        reader.reject_tokens(text)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(str(file), mark.line + 1, mark.column + 1) if mark else Place(str(file))
        what = f"{error.problem or 'the file is not YAML'} ({error.context})" if error.context else f"{error.problem}"
        raise SchemaError([Problem(place, what, "correct the YAML")]) from None
    except RecursionError:
        raise SchemaError([Problem(Place(str(file)), "nested too deeply", "flatten it")]) from None
    if not isinstance(node, yaml.MappingNode):
        place = reader.place(node) if node is not None else Place(str(file), 1, 1)
        raise SchemaError([Problem(place, "the file is not a mapping", "start with `language: 1`")])
    data: dict[str, Any] = reader.value(node, ())
    if reader.problems:
        raise SchemaError(reader.problems)
    source.files.append(file)
    return data


def _place_after(file: Path, text: str) -> Place:
    """Returns the place after a text, in lines and columns as in YAML: CR also ends a line, and a column is a character."""
    lines = re.split("\r\n?|\n", text)
    return Place(str(file), len(lines), len(lines[-1]) + 1)


def _forbidden(character: str, place: Place) -> Problem:
    return Problem(place, f"the character U+{ord(character):04X} is not allowed", "remove it")


class _Reader:
    def __init__(self, file: str, source: Source) -> None:
        self.file = file
        self.source = source
        self.problems: list[Problem] = []

    def place(self, node: yaml.Node) -> Place:
        return Place(self.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def reject_tokens(self, text: str) -> None:
        """Raises :class:`SchemaError` for the first anchor, alias, tag, or mark of a document, and for deep nesting."""
        rejected = {
            yaml.AnchorToken: ("an anchor", "write the value out; the language has no anchors"),
            yaml.AliasToken: ("an alias", "write the value out; the language has no aliases"),
            yaml.TagToken: ("a tag", "remove it; the language has no tags"),
            yaml.DocumentEndToken: ("the end of a document", "remove it; a file is one schema"),
            yaml.DocumentStartToken: ("the start of a document", "remove it; a file is one schema"),
        }
        depth = 0
        for token in yaml.scan(text, Loader=_LOADER):
            if type(token) in rejected:
                what, advice = rejected[type(token)]
                place = Place(self.file, token.start_mark.line + 1, token.start_mark.column + 1)
                raise SchemaError([Problem(place, f"{what} is not allowed", advice)])
            if isinstance(token, _OPENING):
                depth += 1
            elif isinstance(token, _CLOSING):
                depth -= 1
            if depth > MAX_DEPTH:
                place = Place(self.file, token.start_mark.line + 1, token.start_mark.column + 1)
                raise SchemaError([Problem(place, f"nested more than {MAX_DEPTH} levels deep", "flatten it")])

    def value(self, node: yaml.Node, path: Path_, key: Place | None = None) -> Any:
        self.source.mark(path, self.place(node), key)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self.scalar(node)

    def scalar(self, node: yaml.Node) -> Any:
        # YAML reads CR LF at the end of a line as LF. An escaped CR would end a line invisibly.
        forbidden = _FORBIDDEN.search(node.value) or re.search("\r", node.value)
        if forbidden:
            self.problems.append(_forbidden(forbidden[0], self.place(node)))
        return node.value if isinstance(node, yaml.ScalarNode) and node.style else self.plain(node)

    def mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = self.place(key_node)
            key = self.scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                self.problems.append(Problem(place, "a key is not a string", "quote it, or write a name"))
                continue
            if key in result:
                first = self.source.key_place((*path, key))
                self.problems.append(Problem(place, f"duplicate key {key!r}", f"it is also at {first}; remove one"))
                continue
            result[key] = self.value(value_node, (*path, key), place)
        return result

    def plain(self, node: yaml.Node) -> Any:
        text: str = node.value
        if text in _BOOL:
            return _BOOL[text]
        if text in _NULL:
            return None
        is_int = _INT.match(text)
        if not is_int and not _FLOAT.match(text):
            return text
        if len(text) > MAX_DIGITS:
            self.problems.append(
                Problem(
                    self.place(node), f"the number has {counted(len(text), 'character')}", f"use at most {MAX_DIGITS}"
                )
            )
            return 0
        if is_int:
            return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def is_old_boolean(value: object) -> bool:
    """Returns True for a string that was a boolean in YAML 1.1, which is a common mistake."""
    return isinstance(value, str) and value.lower() in _OLD_BOOL
