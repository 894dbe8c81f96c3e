"""The few constructs that generated Structs are made of besides construct's own.

Each does one thing that construct lacks: name the requirement that refuses the octets, and the offset. Parsing raises
:class:`StructParseError`, building :class:`StructBuildError`; both are protocol errors and construct errors.
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

from hgproto.errors import LocalProtocolError, ProtocolError, RemoteProtocolError, counted
from hgproto.runtime.bytelike import as_bytes
from hgproto.runtime.computed import BitsError, put_off, raise_put_off
from hgproto.runtime.layout import decode_entries, encode_entries, octets

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import IntEnum, IntFlag

    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.layout import Layout

__all__ = [
    "AtMost",
    "Blobs",
    "CborMap",
    "Counted",
    "Decoded",
    "Due",
    "Frames",
    "Known",
    "Octets",
    "Rule",
    "Struct",
    "StructBuildError",
    "StructParseError",
    "Text",
    "Texts",
    "ToEnd",
    "Whole",
    "known",
]

MAX_ITEMS, _ITEMS = "max_items", "_items"
"""The name of the limit on items, and of what ToEnd counts: items left, requirement, limit, start of the element."""
REST = None
"""The size of a field that takes all that is left."""


class StructParseError(RemoteProtocolError, ConstructError):  # type: ignore[misc]
    """Octets that a Struct refuses. The offset counts from the start of the stream."""

    @property
    def path(self) -> str:
        """The field, as construct's own errors name it."""
        return self.field


class StructBuildError(LocalProtocolError, ConstructError):  # type: ignore[misc]
    """A value that a Struct does not build."""

    path = StructParseError.path


def _field(path: str) -> str:
    """Construct's path without what comes before the fields: ``(parsing) -> atoms -> format`` is ``atoms.format``."""
    # An integer of bit fields has an underscore before its name, which keeps it out of what a Struct parses to.
    return ".".join(part.strip().removeprefix("_") for part in path.split("->")[1:])


def _beside(path: str, name: str) -> str:
    """The field ``name`` of the structure that has the field at a path."""
    return _field(f"{path.rpartition('->')[0]}-> {name}")


def _left(stream: Any, path: str) -> int:
    """Octets that are left in the stream."""
    return int(stream_size(stream)) - int(stream_tell(stream, path))


def _evaluate(value: Any, context: Any) -> Any:
    return value(context) if callable(value) else value


class _Parsed(Construct):  # type: ignore[misc]
    """What is parsed from any buffer; construct itself reads contiguous ones alone."""

    def parse(self, data: BytesLike, **context: Any) -> Any:
        return super().parse(as_bytes(data), **context)


class Struct(_Parsed, construct.Struct):  # type: ignore[misc]
    """A Struct that can be compiled, and is the same then.

    The code that construct makes of a Struct keeps no paths, and cannot call functions that are not in a module of construct's
    own. So ``compile()`` gives a construct that runs this Struct: same values, same errors at the same fields, and the same
    speed. The fast way to read octets is the codec beside the Structs.
    """

    def _emitparse(self, code: Any) -> str:
        # As construct's own classes tell that they have to be called as they are.
        raise NotImplementedError

    def _emitbuild(self, code: Any) -> str:
        raise NotImplementedError


class Due(Subconstruct):  # type: ignore[misc]
    """A field of fixed-size numbers that must be there, and whose numbers must fit.

    Parses to and builds from what its subcon does. ``cut``: the requirement when octets are missing. ``overflow``:
    the one when a number does not fit. ``sized``: the field whose size or number of strings building computes here; an error
    names it, and of several strings the first that is too long.
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
            size = octets(self.subcon._sizeof(context, path))
            raise StructParseError(self.cut, start, _field(path), size, octets(left)) from None

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        try:
            return self.subcon._build(obj, stream, context, path)
        except (FormatFieldError, IntegerError) as error:
            field, expected = self._place(context, path), "a number that its octets can hold"
            fault = StructBuildError(self.overflow, None, field, expected, str(error).split("\n")[-1])
            if not self.sized:
                raise fault from None
            put_off(context, field, fault)
            return _evaluate(self.subcon.func, context)
        except OverflowError as error:
            field = _beside(path, error.name) if isinstance(error, BitsError) else _field(path)
            raise StructBuildError(self.overflow, None, field, "a smaller number", str(error)) from None

    def _place(self, context: Any, path: str) -> str:
        """The field of a number that does not fit."""
        if not self.sized:
            return _field(path)
        rebuild = self.subcon
        sizes = _evaluate(rebuild.func, context)
        if not isinstance(sizes, list):
            return _beside(path, self.sized)
        most = 1 << 8 * rebuild.subcon.subcon.sizeof()
        index = next(index for index, size in enumerate(sizes) if size >= most)
        return f"{_beside(path, self.sized)}[{index}]"


class AtMost(Subconstruct):  # type: ignore[misc]
    """A number with a limit: the context's ``key`` where the caller gave it, else ``default``."""

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
            raise StructParseError(self.requirement, start, _field(path), f"at most {octets(limit)}", octets(number))
        return number


class Octets(Construct):  # type: ignore[misc]
    """Raw octets: ``size`` of them, or the rest of the stream.

    Parses to and builds from ``bytes``. ``at_most``: a bound on the size, and ``surplus`` the requirement when it is
    passed.
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
            raise StructParseError(self.cut, start, _field(path), octets(size), octets(left))
        if self.at_most is not None and size > _evaluate(self.at_most, context):
            limit = _evaluate(self.at_most, context)
            raise StructParseError(self.surplus, start + limit, _field(path), f"at most {octets(limit)}", octets(size))
        return stream_read(stream, size, path)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        data = as_bytes(obj, _field(path) or "data")
        raise_put_off(context, _field(path))
        if self.at_most is not None and len(data) > _evaluate(self.at_most, context):
            limit = octets(_evaluate(self.at_most, context))
            raise StructBuildError(self.surplus, None, _field(path), f"at most {limit}", octets(len(data)))
        stream_write(stream, data, len(data), path)
        return obj


class Text(Adapter):  # type: ignore[misc]
    """A string of ``size`` octets, or of the rest, in a charset.

    Parses to and builds from ``str``. ``charset`` and ``empty``: the requirements when octets are not in the charset
    and when there are none; without ``empty`` there may be none.
    """

    def __init__(
        self, size: Any, encoding: str, charset: str, cut: str = "", empty: str = "", overflow: str = ""
    ) -> None:
        super().__init__(Octets(size, cut=cut, overflow=overflow))
        self.encoding = encoding
        self.charset = charset
        self.empty = empty

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        start = stream_tell(stream, path)
        raw = self.subcon._parsereport(stream, context, path)
        if not raw and self.empty:
            raise StructParseError(self.empty, start, _field(path), "at least 1 octet", "none")
        try:
            return raw.decode(self.encoding)
        except UnicodeDecodeError as error:
            found = f"the octet 0x{raw[error.start]:02x}"
            place = start + error.start
            raise StructParseError(self.charset, place, _field(path), self.encoding.upper(), found) from None

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        if not obj and self.empty:
            raise StructBuildError(self.empty, None, _field(path), "at least 1 octet", "none")
        try:
            raw = obj.encode(self.encoding)
        except UnicodeEncodeError as error:
            found = f"U+{ord(obj[error.start]):04X} at index {error.start}"
            raise StructBuildError(self.charset, None, _field(path), self.encoding.upper(), found) from None
        self.subcon._build(raw, stream, context, path)
        return obj


class _Several(Construct):  # type: ignore[misc]
    """Strings one after the other, each of the size that an earlier array says. An error names the string by its index."""

    def __init__(self, sizes: Any, string: Callable[[Any], Any]) -> None:
        super().__init__()
        self.sizes = sizes
        self.string = string

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        sizes = _evaluate(self.sizes, context)
        return tuple(self.string(size)._parse(stream, context, f"{path}[{i}]") for i, size in enumerate(sizes))

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        raise_put_off(context, _field(path))
        for index, item in enumerate(obj):
            self.string(REST)._build(item, stream, context, f"{path}[{index}]")
        return obj


class Blobs(_Several):
    """Several strings of raw bytes. Parses to a tuple of ``bytes``; builds from any sequence of them."""

    def __init__(self, sizes: Any, cut: str) -> None:
        super().__init__(sizes, lambda size: Octets(size, cut=cut))


class Texts(_Several):
    """Several strings in a charset. Parses to a tuple of ``str``; builds from any sequence of them."""

    def __init__(self, sizes: Any, encoding: str, charset: str, cut: str, empty: str = "") -> None:
        super().__init__(sizes, lambda size: Text(size, encoding, charset, cut=cut, empty=empty))


class ToEnd(_Parsed, Subconstruct):  # type: ignore[misc]
    """The subcon again and again until the stream ends, zero times or more. Parses to a tuple.

    construct's ``GreedyRange`` stops quietly at the first damaged element; this refuses it. ``limit`` and ``most``: the
    requirement of the limit on items and its default, which the context's ``max_items`` overrides; :class:`Counted` counts.
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
        for index, item in enumerate(obj):
            self.subcon._build(item, stream, context, self._element(path, index))
        return obj

    def _element(self, path: str, number: int) -> str:
        return f"{path}[{number}]"


class Frames(ToEnd):
    """Frames one after the other, to the end of the stream. Parses to a tuple; builds from any sequence of frames.

    A tail that is no whole frame is refused, at its offset from the start of the stream and with the number of the frame:
    ``frames[2].payload``. construct's ``GreedyRange`` would leave the tail out.
    """

    def _element(self, path: str, number: int) -> str:
        return f"{path} -> frames[{number}]"


class Counted(Construct):  # type: ignore[misc]
    """Counts an element of :class:`ToEnd`, and its strings by the fields that say how many they are. Takes no octets."""

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
        """Builds nothing."""


class Whole(_Parsed, Subconstruct):  # type: ignore[misc]
    """The subcon, which takes all of the stream. ``surplus``: the requirement when octets are left."""

    def __init__(self, subcon: Any, surplus: str) -> None:
        super().__init__(subcon)
        self.surplus = surplus

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        value = self.subcon._parsereport(stream, context, path)
        left = _left(stream, path)
        if left:
            found = f"{octets(left)} more"
            raise StructParseError(self.surplus, stream_tell(stream, path), "", "the end of the payload", found)
        return value


class CborMap(_Parsed):
    """A CBOR map that takes all of the stream.

    Parses to a dict of the entries by name and ``extra`` for the rest; builds from a record or a mapping of them. ``most``:
    the default of the limit on its items, which the context's ``max_items`` overrides; None for any number.
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
        record = self.record(**obj) if isinstance(obj, dict) else obj
        try:
            data = encode_entries(self.layout, record)
        except LocalProtocolError as error:
            raise StructBuildError(error.requirement, None, error.field, error.expected, error.found) from None
        stream_write(stream, data, len(data), path)
        return obj


class Known(Adapter):  # type: ignore[misc]
    """A number as a member of an enumeration, or as it is when it has no member. Loses nothing."""

    def __init__(self, subcon: Any, enumeration: type[IntEnum] | type[IntFlag]) -> None:
        super().__init__(subcon)
        self.enumeration = enumeration

    def _decode(self, obj: Any, context: Any, path: str) -> Any:
        return known(obj, self.enumeration)

    def _encode(self, obj: Any, context: Any, path: str) -> Any:
        return int(obj)


def known(number: int, enumeration: type[IntEnum] | type[IntFlag] | None) -> int:
    """The member of ``enumeration`` for ``number``, or the number when there is none."""
    try:
        return number if enumeration is None else enumeration(number)
    except ValueError:
        return number


class Rule(Construct):  # type: ignore[misc]
    """A rule over fields parsed before: refuses when ``broken`` is true of the context. Takes no octets.

    ``only``: the one frame type that it holds for; all when None.
    """

    def __init__(
        self,
        requirement: str,
        offset: int,
        field: str,
        expected: str,
        broken: Callable[[Any], Any],
        only: int | None = None,
    ) -> None:
        super().__init__()
        self.requirement = requirement
        self.offset = offset
        self.field = field
        self.expected = expected
        self.broken = broken
        self.only = only
        self.flagbuildnone = True

    def _check(self, context: Any, refusal: type[ProtocolError], offset: int | None) -> None:
        if (self.only is None or context.type == self.only) and self.broken(context):
            found = str(int(context[self.field]))
            raise refusal(self.requirement, offset, self.field, self.expected, found)

    def _parse(self, stream: Any, context: Any, path: str) -> None:
        self._check(context, StructParseError, self.offset)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> None:
        self._check(context, StructBuildError, None)


class Decoded(Construct):  # type: ignore[misc]
    """The value of a payload parsed before, by the rules of the frame's type. Takes no octets.

    ``choose`` gives the construct for the context, or None where the payload has no structure. Parses to what that
    construct does, or None. Offsets count from the start of the frame. Building checks the payload in the same way.
    """

    def __init__(self, start: int, choose: Callable[[Any, bool], Any]) -> None:
        super().__init__()
        self.start = start
        self.choose = choose
        self.flagbuildnone = True

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        subcon = self.choose(context, bool(context._params.get("continued", False)))
        if subcon is None:
            return None
        try:
            limits = {MAX_ITEMS: context._params[MAX_ITEMS]} if MAX_ITEMS in context._params else {}
            return subcon.parse(context.payload, **limits)
        except ProtocolError as error:
            raise error.moved(self.start) from None

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        try:
            return self._parse(stream, context, path)
        except StructParseError as error:
            raise StructBuildError(error.requirement, error.offset, error.field, error.expected, error.found) from None
