"""Structures that span frames: the payloads of one request and type, joined and decoded.

The generated codec decodes a payload that is a structure by itself. This module handles the payloads of the frame types
that the schema gives a ``joins``: they form a structure together, which ends with the first frame without the flag for
more. The values of a sequence are decoded as soon as they are whole, so that a long response needs little memory.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.errors import LimitError, RemoteProtocolError, counted
from hgproto.runtime.bytelike import as_bytes
from hgproto.runtime.cbor import CborError
from hgproto.runtime.cbor_scan import Scanner
from hgproto.runtime.definition import checked_codec
from hgproto.runtime.entries import decode_item_of
from hgproto.runtime.frame import check_revision

if TYPE_CHECKING:
    from hgproto.runtime.definition import Codec
    from hgproto.runtime.frame import Frame
    from hgproto.runtime.layout import Layout

__all__ = ["Joined", "Joiner"]


class Joined(NamedTuple):
    """The part of a structure that a frame completes.

    ``request_id`` and ``type``: those of the frame. ``values``: the items of a sequence that are whole with this frame, or
    the record of a map, which is whole with its last frame. ``last``: True if the structure ends with this frame.
    """

    request_id: int
    type: int
    values: tuple[Any, ...]
    last: bool


class _Open:
    """A structure that has begun. ``starts``: for each payload the offset of its first byte in the structure and in the input."""

    def __init__(self, layout: Layout, most: int | None) -> None:
        self.layout = layout
        self.most = most
        self.scanner = Scanner(most)
        self.data = bytearray()
        self.size = 0
        self.number = 0
        self.starts: list[tuple[int, int]] = []

    def place(self, offset: int) -> int:
        """Returns the offset in the input of a byte of the structure."""
        index = max(bisect_right(self.starts, (offset, 1 << 128)) - 1, 0)
        start, at = self.starts[index]
        return at + offset - start

    def forget(self, offset: int) -> None:
        """Drops the places of payloads that end before an offset."""
        while len(self.starts) > 1 and self.starts[1][0] <= offset:
            del self.starts[0]


class Joiner:
    """Joins the payloads of one direction, in the order of the wire.

    ``limits``: the most bytes by name of the limit; those of the schema by default. ``most_open``: the most structures that
    are incomplete at a time.
    """

    def __init__(
        self, codec: Codec | None = None, *, limits: dict[str, int] | None = None, most_open: int = 1 << 16
    ) -> None:
        self._codec = codec = checked_codec(codec)
        self._limits = {name: default for name, (default, _) in codec.LIMITS.items()} | (limits or {})
        self._most_open = most_open
        self._open: dict[tuple[int, int], _Open] = {}
        self._fed = 0

    def feed(self, frame: Frame, payload: bytes | None = None, at: int | None = None) -> Joined | None:
        """Returns what a frame adds to its structure, or None for a frame type whose payloads form none.

        ``payload``: the decoded payload of an encoded frame. ``at``: the offset of the payload in the input, for errors; by
        default, the frames follow each other from offset 0. Raises :class:`RemoteProtocolError` for bytes that the structure
        cannot have, and :class:`LimitError` for one over its limit, and for too many incomplete ones.
        """
        codec = self._codec
        check_revision(frame, codec)
        if at is None:
            at = self._fed + codec.HEADER_BYTES
        self._fed = at + len(frame.payload)
        join = codec.JOINS.get(int(frame.type))
        if join is None:
            return None
        name, more, limit = join
        key = (frame.request_id, int(frame.type))
        found = self._open.get(key)
        if found is None:
            if len(self._open) >= self._most_open:
                expected = f"at most {counted(self._most_open, 'structure')} that span frames at a time"
                raise LimitError(f"expected {expected}, found more; use a smaller part of the input")
            found = self._open[key] = _Open(codec.LAYOUTS[name], None if limit is None else self._limits[limit])
        data = as_bytes(frame.payload) if payload is None else payload
        found.starts.append((found.size, at))
        found.size += len(data)
        last = not int(frame.flags) & more
        values = self._items(found, data, last) if found.layout.is_sequence else self._map(found, data, last, name)
        if last:
            del self._open[key]
        return Joined(frame.request_id, int(frame.type), values, last)

    def _items(self, found: _Open, data: bytes, last: bool) -> tuple[Any, ...]:
        values, layout = [], found.layout
        try:
            items = found.scanner.feed(data)
            if last:
                found.scanner.close()
        except CborError as error:
            if error.kind == "limit":
                raise LimitError(f"expected {error.expected}, found {error.found}; raise the limit") from None
            place = found.place(error.offset)
            raise RemoteProtocolError(layout.rules["malformed"], place, "", error.expected, error.found) from None
        for offset, item in items:
            try:
                values.append(decode_item_of(layout, found.number, item))
            except RemoteProtocolError as error:
                raise self._moved(error, found, offset) from None
            found.number += 1
        if last:
            self._check_number(found)
        found.forget(found.scanner.offset)
        return tuple(values)

    def _check_number(self, found: _Open) -> None:
        for entry in found.layout.entries[found.number :]:
            if not entry.repeated:
                place = found.place(found.size)
                rule, what = found.layout.rules["missing"], "the end of the last frame"
                raise RemoteProtocolError(rule, place, entry.name, f"the item {entry.name}", what)

    def _map(self, found: _Open, data: bytes, last: bool, name: str) -> tuple[Any, ...]:
        if found.most is not None and found.size > found.most:
            expected = f"at most {counted(found.most, 'byte')}"
            raise LimitError(f"expected {expected} of {name}, found {counted(found.size, 'byte')}; raise the limit")
        found.data += data
        if not last:
            return ()
        _, decode, _ = self._codec.STRUCTURES[name]
        try:
            return (decode(bytes(found.data)),)
        except RemoteProtocolError as error:
            raise self._moved(error, found, 0) from None

    def _moved(self, error: RemoteProtocolError, found: _Open, offset: int) -> RemoteProtocolError:
        place = None if error.offset is None else found.place(offset + error.offset)
        return RemoteProtocolError(error.requirement, place, error.field, error.expected, error.found)

    def close(self) -> None:
        """Ends the input. Raises :class:`RemoteProtocolError` for a structure that is incomplete."""
        for (request_id, type_), found in self._open.items():
            rule = found.layout.rules["malformed"]
            what = f"the end of the input in {self._codec.TYPE_NAMES[type_]} of request {request_id}"
            raise RemoteProtocolError(rule, found.place(found.size), "", "the frames to the last one", what)
