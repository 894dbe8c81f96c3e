"""Conversion of errors to findings: the affected bytes and bits, and the path of the field."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from hgproto.errors import RemoteProtocolError
from hgproto.judging.finding import Finding, severity_of
from hgproto.runtime.cbor import CborError, skip_item
from hgproto.runtime.entries import ITEM_TOO_MANY
from hgproto.runtime.layout import CHARSETS, case_of, text_of_flags, walk
from hgproto.wire.human import type_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hgproto.errors import ProtocolError
    from hgproto.judging.finding import Role
    from hgproto.runtime.definition import Definition
    from hgproto.runtime.frame import Frame
    from hgproto.runtime.layout import Layout

__all__ = ["AROUND_BYTES", "Places"]

AROUND_BYTES = 16
"""Bytes of the frame that a finding shows before its place and after it."""
_SHOWN_BYTES = 256
"""The most bytes that a finding shows of its place itself, which may be a whole payload."""


class Places:
    """A converter of errors to findings for one revision.

    ``flags``: the mask of the stream flags in each requirement about stream flags.
    """

    def __init__(
        self,
        revision: Definition,
        side: Role | None = None,
        flags: Mapping[str, int] | None = None,
    ) -> None:
        self._codec = codec = revision.codec
        self._encoded = revision.encoded
        self.refused_bytes = codec.HEADER_BYTES + AROUND_BYTES
        """Bytes that a finding about a rejected header shows."""
        self._requirements = revision.requirements
        self._side = side
        self._flags = flags or {}
        # The offset of each field, its size in bytes, and the mask of its bits unless it has all bits.
        self._fields = {
            name: (at, size, 0 if mask + 1 == 1 << 8 * size else mask << low)
            for name, (at, size, low, mask) in codec.FIELDS.items()
        }

    def finding(
        self,
        error: ProtocolError,
        frame: Frame,
        start: int,
        number: int,
        *,
        continued: bool = False,
        refused: bool = True,
        known_size: int | None = None,
        more: int = 0,
    ) -> Finding:
        """Returns a finding about a whole frame. ``start``: its offset in the input. ``number``: its position.

        The offset of ``error`` counts from the start of the frame. ``known_size``: the number of affected payload
        bytes; None to find it by walking the payload. ``more``: as for :class:`Finding`.
        """
        header = self._codec.HEADER_BYTES
        payload = bytes(frame.payload)
        offset = error.offset or 0
        bits: tuple[int, int] | None = None
        path = f"frames[{number}]"
        if offset < header and error.field in self._fields:
            offset, size, mask = self._fields[error.field]
            path = f"{path}.{error.field}"
            bits = self._bits(error, frame, mask)
        elif offset < header:
            size = header + len(payload)
        else:
            path = _joined(f"{path}.payload", error.field)
            size = self._extent(error, frame, payload, offset - header, continued) if known_size is None else known_size
        # Not the whole frame: the time for all findings of a payload would grow with the square of its size.
        first, last = self._window(offset, size)
        head = self._codec.encode_header(frame, self._codec.MAX_PAYLOAD[1])
        around = head[first:last] + payload[max(first - header, 0) : max(last - header, 0)]
        finding = self._made(error, start + offset, size, bits, number, path, around, start + first, refused=refused)
        finding.about = self._about(frame)
        finding.more = more
        return finding

    def _about(self, frame: Frame) -> str:
        names = self._codec.FLAG_NAMES.get(int(frame.type), {})
        flags = text_of_flags(int(frame.flags), names)
        kind = f"{type_name(frame, self._codec)}{'' if flags == '0' else f' {flags}'}"
        return f"{kind}, request {int(frame.request_id)}, stream {int(frame.stream_id)}"

    def of_payload(
        self,
        error: ProtocolError,
        frame: Frame,
        *,
        continued: bool,
        refused: bool = True,
        known_size: int | None = None,
        more: int = 0,
    ) -> Finding:
        """Returns a finding about a single payload. The offset of ``error`` counts from the start of the payload.

        ``known_size`` and ``more``: as for :meth:`finding`.
        """
        payload = bytes(frame.payload)
        offset = error.offset or 0
        size = self._extent(error, frame, payload, offset, continued) if known_size is None else known_size
        path = _joined("payload", error.field)
        first, last = self._window(offset, size)
        finding = self._made(error, offset, size, None, None, path, payload[first:last], first, refused=refused)
        finding.more = more
        return finding

    def of_rest(self, error: ProtocolError, rest: bytes, start: int, number: int) -> Finding:
        """Returns a finding about bytes from ``start`` on that are not a valid frame, so that the rest cannot be checked."""
        offset = start if error.offset is None else error.offset
        field = self._fields.get(error.field)
        known = min(len(rest), self._codec.HEADER_BYTES)
        size = len(rest) - (offset - start) if field is None else max(min(field[1], known - (offset - start)), 0)
        path = _joined(f"frames[{number}]", error.field)
        first, last = self._window(offset - start, size)
        return self._made(error, offset, size, None, number, path, rest[first:last], start + first, ends=True)

    def refused(self, error: ProtocolError, rest: bytes, start: int, number: int) -> Refused:
        """Returns a rejected header, after which nothing can be checked. ``start``: its offset in the input."""
        return Refused(self, error, rest, start, number)

    def of_end(self, error: ProtocolError, offset: int, path: str, *, refused: bool = True) -> Finding:
        """Returns a finding about missing bytes at the end of the input, which is at ``offset``."""
        return self._made(error, offset, 0, None, None, path, b"", offset, refused=refused)

    def _made(
        self,
        error: ProtocolError,
        offset: int,
        size: int,
        bits: tuple[int, int] | None,
        number: int | None,
        path: str,
        around: bytes,
        around_offset: int,
        *,
        refused: bool = True,
        ends: bool = False,
    ) -> Finding:
        requirement = self._requirements[error.requirement]
        return Finding(
            requirement,
            severity_of(requirement),
            offset,
            size,
            bits,
            self._side,
            number,
            path,
            error.expected,
            error.found,
            refused,
            ends,
            around,
            around_offset,
        )

    @staticmethod
    def _window(at: int, size: int) -> tuple[int, int]:
        """Returns the start and end of the bytes around a place of ``size`` bytes from ``at`` on."""
        return max(at - AROUND_BYTES, 0), at + min(size, _SHOWN_BYTES) + AROUND_BYTES

    def _bits(self, error: ProtocolError, frame: Frame, mask: int) -> tuple[int, int] | None:
        """Returns the affected bits of a header field, counted in its bytes."""
        if error.field == "stream_flags":
            value, names = int(frame.stream_flags), self._codec.STREAM_FLAG_NAMES
            wanted = self._flags.get(error.requirement, 0)
        elif error.field == "flags":
            value, names = int(frame.flags), self._codec.FLAG_NAMES.get(int(frame.type), {})
            wanted = 0
        else:
            return _range(mask) if mask else None
        low = (mask & -mask).bit_length() - 1 if mask else 0
        unknown = value & ~sum(names)
        concerned = unknown or (value & wanted or wanted if wanted else value)
        if not concerned:
            return _range(mask) if mask else None
        first, last = _range(concerned)
        return first + low, last + low

    def _extent(self, error: ProtocolError, frame: Frame, payload: bytes, at: int, continued: bool) -> int:
        """Returns the number of bytes of a payload to mark from ``at`` on."""
        rest = max(len(payload) - at, 0)
        name = self._structure(frame, continued)
        if int(frame.stream_flags) & self._encoded:
            return rest
        if name in ("ascii", "utf8"):
            return min(rest, 1)
        layout = self._codec.LAYOUTS.get(name)
        if layout is None:
            return rest
        if not rest or error.found == "none":
            return 0
        if error.expected in CHARSETS and error.requirement in _rules(layout, "charset"):
            return 1
        if layout.entries:
            return _extent_in_map(error, layout, payload, at)
        if error.requirement in _rules(layout):
            # The codec has stopped here, so walking the payload would only find the same place again.
            return rest
        with suppress(RemoteProtocolError):
            for span in walk(layout, payload):
                if span.path == error.field and span.start <= at:
                    return span.end - at
        return rest

    def _structure(self, frame: Frame, continued: bool) -> str:
        """Returns the name of the structure or type of a frame's payload."""
        return case_of(self._codec.PAYLOADS.get(int(frame.type), ()), int(frame.flags), continued)


class Refused:
    """A rejected header that waits for the bytes of its finding, so that these do not depend on the chunks of the input.

    ``error``, ``start``, ``number``: as for :meth:`Places.of_rest`. ``rest``: the bytes from the header on.
    """

    __slots__ = ("_error", "_number", "_places", "_rest", "_start")

    def __init__(self, places: Places, error: ProtocolError, rest: bytes, start: int, number: int) -> None:
        self._places = places
        self._error = error
        self._rest = rest[: places.refused_bytes]
        self._start = start
        self._number = number

    def add(self, data: bytes) -> None:
        """Adds the bytes after it."""
        self._rest += data[: self._places.refused_bytes - len(self._rest)]

    @property
    def is_shown(self) -> bool:
        """True once enough bytes have arrived."""
        return len(self._rest) == self._places.refused_bytes

    def finding(self) -> Finding:
        """Returns the finding with the bytes that have arrived."""
        return self._places.of_rest(self._error, self._rest, self._start, self._number)


def _extent_in_map(error: ProtocolError, layout: Layout, payload: bytes, at: int) -> int:
    """Returns the number of bytes of a CBOR map or sequence to mark from ``at`` on: the surplus, or the item that starts there."""
    rest = len(payload) - at
    if error.found == ITEM_TOO_MANY and error.requirement in _rules(layout, "limit"):
        return rest
    if error.requirement in _rules(layout, "surplus"):
        with suppress(CborError):
            end = 0
            for _ in range(len(layout.entries) if layout.is_sequence else 1):
                end, _ = skip_item(payload, end)
            if end == at:
                return rest
    try:
        return skip_item(payload, at)[0] - at
    except CborError:
        return 1


def _joined(path: str, field: str) -> str:
    return f"{path}.{field}" if field else path


def _range(mask: int) -> tuple[int, int]:
    """Returns the lowest and the highest bit of a mask."""
    return (mask & -mask).bit_length() - 1, mask.bit_length() - 1


def _rules(layout: Layout, kind: str | None = None) -> set[str]:
    """Returns the requirements of a layout and its nested layouts. ``kind``: only those for one kind of error."""
    found = set()
    for rules in (layout.rules, *(part.rules for part in layout.parts)):
        found |= {rule for name, rule in rules.items() if kind in (None, name)}
    return found.union(*(_rules(part.layout, kind) for part in layout.parts if part.layout is not None))
