"""Constructs for whole frames: numbers with names, requirements, and payloads by frame type."""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING, Any

from construct import Adapter, Construct

from hgproto.errors import ProtocolError
from hgproto.runtime.constructs import MAX_ITEMS, StructBuildError, StructParseError
from hgproto.runtime.layout import flags_of_both, text_of_flags

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import IntEnum

__all__ = ["Decoded", "Known", "Rule", "known"]


class Known(Adapter):  # type: ignore[misc]
    """A number as a member of an enumeration, or as a plain number if the enumeration lacks it."""

    def __init__(self, subcon: Any, enumeration: type[IntEnum] | type[IntFlag]) -> None:
        super().__init__(subcon)
        self.enumeration = enumeration

    def _decode(self, obj: Any, context: Any, path: str) -> Any:
        return known(obj, self.enumeration)

    def _encode(self, obj: Any, context: Any, path: str) -> Any:
        return int(obj)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        super()._build(obj, stream, context, path)
        return known(int(obj), self.enumeration)


def known(number: int, enumeration: type[IntEnum] | type[IntFlag] | None) -> int:
    """Returns the member of ``enumeration`` for ``number``, or ``number`` itself if the enumeration lacks it."""
    try:
        return number if enumeration is None else enumeration(number)
    except ValueError:
        return number


def _names(value: int) -> dict[int, str]:
    """Returns the names of the flags in the enumeration of a value."""
    kind = type(value)
    return {int(flag): str(flag.name).lower().replace("_", "-") for flag in kind} if issubclass(kind, IntFlag) else {}


def _words(value: int) -> str:
    """Returns a number as errors show it, with the names of flags."""
    return text_of_flags(int(value), _names(value)) if isinstance(value, IntFlag) else str(int(value))


class Rule(Construct):  # type: ignore[misc]
    """A check of fields that were parsed before, which rejects them if ``broken`` returns a true value. Consumes no bytes.

    ``broken``: returns True if the field is invalid, or the unknown bits of a field of flags. ``only``: the only frame
    type to check; None for all. ``found``: returns the ``found`` text of an error for the value of the field. ``both``,
    ``offsets``: for a check of frame flags and stream flags together, the masks of the flags, and the offsets of both
    fields.
    """

    def __init__(
        self,
        requirement: str,
        offset: int,
        field: str,
        expected: str,
        broken: Callable[[Any], Any],
        only: int | None = None,
        found: Callable[[Any], str] = _words,
        both: tuple[int, int] | None = None,
        offsets: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__()
        self.requirement = requirement
        self.offset = offset
        self.field = field
        self.expected = expected
        self.broken = broken
        self.only = only
        self.found = found
        self.both = both
        self.offsets = offsets
        self.flagbuildnone = True

    def _check(self, context: Any, refusal: type[ProtocolError], *, has_offset: bool) -> None:
        if self.only is not None and context.type != self.only:
            return
        broken = self.broken(context)
        if not broken:
            return
        field, offset = self.field, self.offset
        if self.both is not None:
            values = context.flags, context.stream_flags
            field, found = flags_of_both(values, self.both, (_names(values[0]), _names(values[1])))
            offset = self.offsets[field == "stream_flags"]
        else:
            found = self.found(context[field]) if broken is True else text_of_flags(broken, {})
        raise refusal(self.requirement, offset if has_offset else None, field, self.expected, found)

    def _parse(self, stream: Any, context: Any, path: str) -> None:
        self._check(context, StructParseError, has_offset=True)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> None:
        self._check(context, StructBuildError, has_offset=False)


class Decoded(Construct):  # type: ignore[misc]
    """The value of a payload that was parsed before, by the frame type. Consumes no bytes.

    ``choose`` returns the construct for the context, or None if the payload has no structure. Parses to the value of
    that construct, or None. Offsets count from the start of the frame. Building checks the payload in the same way.
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
