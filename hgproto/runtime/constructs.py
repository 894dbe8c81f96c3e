"""The constructs that generated Structs use besides those of the package construct.

Each adds one feature that construct lacks, such as the violated requirement and its offset. Parsing raises
:class:`StructParseError`, and building :class:`StructBuildError`; both are protocol errors and construct errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import construct
from construct import (
    Adapter,
    Construct,
    ConstructError,
    FormatFieldError,
    IntegerError,
    StreamError,
    Subconstruct,
    stream_read,
    stream_size,
    stream_tell,
    stream_write,
)

from hgproto.errors import LocalProtocolError, RemoteProtocolError, counted, shown
from hgproto.runtime.bytelike import as_bytes, check_several
from hgproto.runtime.computed import BitsError, put_off, raise_put_off
from hgproto.runtime.frame import check_text
from hgproto.runtime.layout import counted_bytes, decode_entries, encode_entries, record_of
from hgproto.runtime.shapes import brief

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, Self

    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.layout import Layout

__all__ = [
    "AtMost",
    "Blobs",
    "Bytes",
    "Cbor",
    "Counted",
    "Due",
    "Frames",
    "Struct",
    "StructBuildError",
    "StructParseError",
    "Text",
    "Texts",
    "ToEnd",
    "Whole",
]

MAX_ITEMS, _ITEMS = "max_items", "_items"
"""Context keys: the limit on items, and the counter of ToEnd (items left, requirement, limit, start of the element)."""
REST = None
"""The size of a field that extends to the end."""


class StructParseError(RemoteProtocolError, ConstructError):  # type: ignore[misc]
    """Bytes that a Struct rejects. The offset counts from the start of the stream."""

    @property
    def path(self) -> str:
        """The field, under the name that errors of construct use."""
        return self.field


class StructBuildError(LocalProtocolError, ConstructError):  # type: ignore[misc]
    """A value that a Struct cannot build."""

    path = StructParseError.path


def _field(path: str) -> str:
    """Converts construct's path to a field path: ``(parsing) -> atoms -> format`` becomes ``atoms.format``."""
    # The name of an integer of bit fields begins with an underscore, so that a Struct omits it from its result.
    return ".".join(part.strip().removeprefix("_") for part in path.split("->")[1:])


def _beside(path: str, name: str) -> str:
    """Returns the path of a sibling: the field ``name`` of the structure that contains the field at ``path``."""
    return _field(f"{path.rpartition('->')[0]}-> {name}")


def _left(stream: Any, path: str) -> int:
    """Returns the number of bytes that are left in the stream."""
    return int(stream_size(stream)) - int(stream_tell(stream, path))


def _evaluate(value: Any, context: Any) -> Any:
    """Returns the value of an earlier field by its name, the result of a function, or a constant."""
    return context[value] if isinstance(value, str) else value(context) if callable(value) else value


def _said(size: Any) -> str:
    """Returns the part of a message that names the field with the size."""
    return f", as {size} says" if isinstance(size, str) else ""


class _Parsed(Construct):  # type: ignore[misc]
    """A construct that parses any buffer. Construct itself accepts only contiguous ones."""

    def parse(self, data: BytesLike, **context: Any) -> Any:
        return super().parse(as_bytes(data), **context)

    def __deepcopy__(self, memo: object) -> Self:
        # A Struct is immutable, and its functions cannot be copied.
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            "a Struct cannot be pickled, since it has functions; pickle its Revision, and use the structs of that"
        )


class Struct(_Parsed, construct.Struct):  # type: ignore[misc]
    """A Struct whose ``compile()`` changes nothing.

    Code that construct compiles keeps no paths, and can only call functions of construct's own modules. So
    ``compile()`` returns a construct that runs this Struct: same values, same errors at the same fields, and the same
    speed. For fast decoding, use the codec.
    """

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        if not hasattr(obj, "get"):
            raise TypeError(f"{_field(path) or 'the value'} must be a dictionary, not {type(obj).__name__}")
        try:
            return super()._build(obj, stream, context, path)
        except KeyError as error:
            raise ValueError(f"{_field(f'{path} -> {error.args[0]}')} is missing; give it a value") from None

    def _emitparse(self, code: Any) -> str:
        # In construct, this marks a class that cannot be compiled.
        raise NotImplementedError

    def _emitbuild(self, code: Any) -> str:
        raise NotImplementedError


class Due(Subconstruct):  # type: ignore[misc]
    """A required field of fixed-size numbers, which must fit.

    Parses to and builds from the values of its subcon. ``cut``: the requirement for missing bytes. ``overflow``: the
    requirement for a number that does not fit. ``sized``: the field whose size or number of strings is computed while
    building. An error names that field, and in an array the first string that is too long.
    """

    def __init__(self, subcon: Any, cut: str, overflow: str, sized: str = "") -> None:
        super().__init__(subcon)
        self.cut = cut
        self.overflow = overflow
        self.sized = sized

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        start, left = stream_tell(stream, path), _left(stream, path)
        try:
            return self.subcon._parsereport(stream, context, path)
        except StreamError:
            size = self.subcon._sizeof(context, path)
            if size <= left:
                message = "the stream returned fewer bytes than requested; use a buffered file, or the bytes"
                raise StreamError(message, path=path) from None
            raise StructParseError(self.cut, start, _field(path), counted_bytes(size), counted_bytes(left)) from None

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        try:
            return self.subcon._build(obj, stream, context, path)
        except BitsError as error:
            raise self._overflow(_beside(path, error.name), error.value, error.width) from None
        except (FormatFieldError, IntegerError, OverflowError):
            if not self.sized:
                raise self._overflow(_field(path), obj, 8 * self.subcon._sizeof(context, path)) from None
            sizes = self.subcon.func(context)
            fault = self._too_long(sizes, context, path)
            put_off(context, fault.field, fault)
            return sizes

    def _overflow(self, field: str, value: Any, bits: int) -> StructBuildError:
        expected = f"a number from 0 to {(1 << bits) - 1}"
        return StructBuildError(self.overflow, None, field, expected, brief(value))

    def _too_long(self, sizes: Any, context: Any, path: str) -> StructBuildError:
        """Returns the error of strings whose size or number does not fit. ``sizes``: the number, or one size per string."""
        field, number = _beside(path, self.sized), self.subcon.subcon
        if isinstance(sizes, list):
            most = (1 << 8 * number.subcon.sizeof()) - 1
            index = next(index for index, size in enumerate(sizes) if size > most)
            return StructBuildError(
                self.overflow, None, f"{field}[{index}]", f"at most {counted_bytes(most)}", counted_bytes(sizes[index])
            )
        most = (1 << 8 * number.sizeof()) - 1
        words = str if isinstance(context[self.sized], list | tuple) else counted_bytes
        return StructBuildError(self.overflow, None, field, f"at most {words(most)}", words(sizes))


class AtMost(Subconstruct):  # type: ignore[misc]
    """A number with a limit: the context's ``key`` if the caller has set it, or ``default``."""

    def __init__(self, subcon: Any, key: str, default: int, requirement: str) -> None:
        super().__init__(subcon)
        self.key = key
        self.default = default
        self.requirement = requirement

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        start = stream_tell(stream, path)
        number = self.subcon._parsereport(stream, context, path)
        limit = context._params.get(self.key, self.default)
        if number > limit:
            found = counted_bytes(number)
            turned = int.from_bytes(number.to_bytes(self.subcon._sizeof(context, path), "little"), "big")
            if turned <= limit:
                found = f"{found}, or {turned} in the other byte order"
            raise StructParseError(self.requirement, start, _field(path), f"at most {counted_bytes(limit)}", found)
        return number

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        number = self.subcon._build(obj, stream, context, path)
        limit = context._params.get(self.key, self.default)
        if number > limit:
            raise StructBuildError(
                self.requirement, None, _field(path), f"at most {counted_bytes(limit)}", counted_bytes(number)
            )
        return number


class Bytes(Construct):  # type: ignore[misc]
    """Raw bytes, either ``size`` bytes or the rest of the stream.

    Parses to and builds from ``bytes``. ``size``: a number, or the earlier field with the size. ``at_most``: a bound on
    the size in the same form. ``surplus``: the requirement for bytes over the bound.
    """

    def __init__(self, size: Any, cut: str = "", at_most: Any = None, surplus: str = "", overflow: str = "") -> None:
        super().__init__()
        self.size = size
        self.cut = cut
        self.at_most = at_most
        self.surplus = surplus
        self.overflow = overflow

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        start, left = stream_tell(stream, path), _left(stream, path)
        size = left if self.size is REST else _evaluate(self.size, context)
        if size > left:
            raise StructParseError(
                self.cut, start, _field(path), f"{counted_bytes(size)}{_said(self.size)}", counted_bytes(left)
            )
        if self.at_most is not None and size > _evaluate(self.at_most, context):
            limit = _evaluate(self.at_most, context)
            raise StructParseError(
                self.surplus, start + limit, _field(path), f"at most {counted_bytes(limit)}", counted_bytes(size)
            )
        return stream_read(stream, size, path)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        data = as_bytes(obj, _field(path) or "data")
        raise_put_off(context, _field(path))
        if self.at_most is not None and len(data) > _evaluate(self.at_most, context):
            limit = counted_bytes(_evaluate(self.at_most, context))
            raise StructBuildError(self.surplus, None, _field(path), f"at most {limit}", counted_bytes(len(data)))
        stream_write(stream, data, len(data), path)
        return obj


class Text(Adapter):  # type: ignore[misc]
    """A string in a charset, of ``size`` bytes or to the end.

    Parses to and builds from ``str``. ``charset``: the requirement for bytes outside the charset. ``empty``: the
    requirement for an empty string; without it, the string may be empty.
    """

    def __init__(
        self, size: Any, encoding: str, charset: str, cut: str = "", empty: str = "", overflow: str = ""
    ) -> None:
        super().__init__(Bytes(size, cut=cut, overflow=overflow))
        self.encoding = encoding
        self.charset = charset
        self.empty = empty

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        start = stream_tell(stream, path)
        raw = self.subcon._parsereport(stream, context, path)
        if not raw and self.empty:
            raise StructParseError(self.empty, start, _field(path), "at least 1 byte", "none")
        try:
            return raw.decode(self.encoding)
        except UnicodeDecodeError as error:
            found = f"the byte 0x{raw[error.start]:02x}"
            place = start + error.start
            raise StructParseError(self.charset, place, _field(path), self.encoding.upper(), found) from None

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        check_text(obj, _field(path) or "data")
        if not obj and self.empty:
            raise StructBuildError(self.empty, None, _field(path), "at least 1 byte", "none")
        try:
            raw = obj.encode(self.encoding)
        except UnicodeEncodeError as error:
            found = f"U+{ord(obj[error.start]):04X} at index {error.start}"
            raise StructBuildError(self.charset, None, _field(path), self.encoding.upper(), found) from None
        self.subcon._build(raw, stream, context, path)
        return obj


class _Several(Construct):  # type: ignore[misc]
    """Consecutive strings with the sizes of an earlier array. An error names the string by its index."""

    def __init__(self, sizes: Any, string: Callable[[Any], Any]) -> None:
        super().__init__()
        self.sizes = sizes
        self.string = string

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        sizes = _evaluate(self.sizes, context)
        return tuple(self.string(size)._parse(stream, context, f"{path}[{i}]") for i, size in enumerate(sizes))

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        raise_put_off(context, _field(path))
        check_several(obj, _field(path) or "the value")
        for index, item in enumerate(obj):
            self.string(REST)._build(item, stream, context, f"{path}[{index}]")
        return obj


class Blobs(_Several):
    """Several strings of raw bytes. Parses to a tuple of ``bytes``; builds from any sequence."""

    def __init__(self, sizes: Any, cut: str) -> None:
        super().__init__(sizes, lambda size: Bytes(size, cut=cut))


class Texts(_Several):
    """Several strings in a charset. Parses to a tuple of ``str``; builds from any sequence."""

    def __init__(self, sizes: Any, encoding: str, charset: str, cut: str, empty: str = "") -> None:
        super().__init__(sizes, lambda size: Text(size, encoding, charset, cut=cut, empty=empty))


class ToEnd(_Parsed, Subconstruct):  # type: ignore[misc]
    """The subcon, repeated zero or more times until the stream ends. Parses to a tuple.

    Construct's ``GreedyRange`` silently stops at the first damaged element; this class rejects it. ``limit`` and
    ``most``: the requirement of the limit on items, and its default, which the context's ``max_items`` overrides.
    :class:`Counted` does the counting.
    """

    def __init__(self, subcon: Any, limit: str = "", most: int = 0) -> None:
        super().__init__(subcon)
        self.limit = limit
        self.most = most

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        items: list[Any] = []
        if self.limit:
            most = context._params.get(MAX_ITEMS, self.most)
            context[_ITEMS] = [most, self.limit, most, 0]
        while _left(stream, path):
            if self.limit:
                context[_ITEMS][3] = stream_tell(stream, path)
            items.append(self.subcon._parsereport(stream, context, self._element(path, len(items))))
        return tuple(items)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        check_several(obj, _field(path) or "the value")
        for index, item in enumerate(obj):
            self.subcon._build(item, stream, context, self._element(path, index))
        return obj

    def _element(self, path: str, number: int) -> str:
        return f"{path}[{number}]"


class Frames(ToEnd):
    """Consecutive frames to the end of the stream. Parses to a tuple; builds from any sequence of frames.

    An incomplete frame at the end is rejected, with its offset from the start of the stream and its number:
    ``frames[2].payload``. Construct's ``GreedyRange`` would omit it.
    """

    def _element(self, path: str, number: int) -> str:
        return f"{path} -> frames[{number}]"


class Counted(Construct):  # type: ignore[misc]
    """Counts an element of :class:`ToEnd` and its strings, by the fields with their numbers. Consumes no bytes."""

    def __init__(self, *counters: str) -> None:
        super().__init__()
        self.counters = counters
        self.flagbuildnone = True

    def _parse(self, stream: Any, context: Any, path: str) -> None:
        items = context._.get(_ITEMS)
        if items is not None:
            items[0] -= 1 + sum(context[counter] for counter in self.counters)
        if items is not None and items[0] < 0:
            _, requirement, most, start = items
            raise StructParseError(requirement, start, _field(path), f"at most {counted(most, 'item')}", "one more")

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> None:
        """Does nothing."""


class Whole(_Parsed, Subconstruct):  # type: ignore[misc]
    """The subcon, which must consume the whole stream.

    ``surplus``: the requirement for remaining bytes. ``size``: the field with the end of the last string, if any.
    """

    def __init__(self, subcon: Any, surplus: str, size: str = "") -> None:
        super().__init__(subcon)
        self.surplus = surplus
        self.size = size

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        value = self.subcon._parsereport(stream, context, path)
        left = _left(stream, path)
        if left:
            said = f", as {self.size} is {value[self.size]}" if self.size else ""
            expected, found = f"the end of the payload{said}", f"{counted_bytes(left)} more"
            raise StructParseError(self.surplus, stream_tell(stream, path), "", expected, found)
        return value


class Cbor(_Parsed):
    """A CBOR map or sequence, which must consume the whole stream.

    Parses to a dict of the values by name, with ``extra`` for unknown keys of a map. Builds from a record or a mapping of the
    entries. ``most``: the default of the limit on items, which the context's ``max_items`` overrides; None for no
    limit.
    """

    def __init__(self, layout: Layout, record: Any, most: int | None = None) -> None:
        super().__init__()
        self.layout = layout
        self.record = record
        self.most = most

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        start = stream_tell(stream, path)
        data = stream_read(stream, _left(stream, path), path)
        try:
            most = None if self.most is None else context._params.get(MAX_ITEMS, self.most)
            return decode_entries(self.layout, data, most)
        except RemoteProtocolError as error:
            place = start + (error.offset or 0)
            raise StructParseError(error.requirement, place, error.field, error.expected, error.found) from None

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        for entry in self.layout.entries if isinstance(obj, dict) else ():
            if entry.name not in obj and not entry.optional and not entry.repeated:
                rule, what = self.layout.rules["missing"], "item" if self.layout.is_sequence else "key"
                raise StructBuildError(rule, None, _field(path), f"the {what} {entry.name}", f"no such {what}")
        names = [*(entry.name for entry in self.layout.entries), *([] if self.layout.is_sequence else ["extra"])]
        unknown = next((key for key in obj if key not in names), None) if isinstance(obj, dict) else None
        if unknown is not None:
            rule = self.layout.rules["type"]
            raise StructBuildError(
                rule, None, _field(path), f"the keys {', '.join(names)}", f"the key {shown(unknown)}"
            )
        record = record_of(self.record, obj) if isinstance(obj, dict) else obj
        if not isinstance(record, self.record):
            what = _field(path) or "the value"
            raise TypeError(f"{what} must be a dictionary or a {self.record.__name__}, not {type(obj).__name__}")
        try:
            data = encode_entries(self.layout, record)
        except LocalProtocolError as error:
            raise StructBuildError(error.requirement, None, error.field, error.expected, error.found) from None
        stream_write(stream, data, len(data), path)
        return obj
