"""Structures that span frames: the payloads of one request and type, joined and decoded.

The generated codec decodes a payload that is a structure by itself. This module handles the payloads of the frame types
that the schema gives a ``joins``: they form a structure together, which ends with the first frame without the flag for
more. The values of a sequence are decoded as soon as they are whole, so that a long response needs little memory.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.errors import LimitError, RemoteProtocolError, counted
from hgproto.runtime.bytelike import as_bytes
from hgproto.runtime.cbor_scan import Scanner
from hgproto.runtime.definition import checked_codec
from hgproto.runtime.entries import decode_item_of
from hgproto.runtime.frame import check_revision, checked_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hgproto.runtime.cbor import CborError
    from hgproto.runtime.definition import Codec
    from hgproto.runtime.frame import Frame
    from hgproto.runtime.layout import Join, Layout

__all__ = ["MOST_PARTS", "Joined", "Joiner"]


class Joined(NamedTuple):
    """The part of a structure that a frame completes.

    ``request_id`` and ``type``: those of the frame. ``values``: the items of a sequence that are whole with this frame, or
    the record of a map, which is whole with its last frame. ``last``: True if the structure ends with this frame.
    """

    request_id: int
    type: int
    values: tuple[Any, ...]
    last: bool


MOST_PARTS = 1 << 20
"""The most frames that one map, or one item of a sequence, can span."""


class _Open:
    """A structure that has begun.

    ``starts`` and ``places``: for each payload, the offset of its first byte in the structure and in the input. ``left``: the
    items that the structure can still have; None for no limit.
    """

    def __init__(self, layout: Layout, most: int | None, items: int | None) -> None:
        self.layout = layout
        self.most = most
        self.left = self.items = items
        self.scanner = Scanner(most)
        self.data = bytearray()
        self.size = 0
        self.number = 0
        self.starts, self.places = array("Q"), array("Q")

    def add(self, size: int, at: int) -> None:
        """Notes a payload of ``size`` bytes at the offset ``at`` of the input. Raises :class:`LimitError` for too many."""
        if self.starts and self.starts[-1] == self.size:
            # The payload before it is empty, so that no byte has its place.
            del self.starts[-1], self.places[-1]
        if len(self.starts) >= MOST_PARTS:
            expected = f"{self.layout.name} in at most {counted(MOST_PARTS, 'frame')}"
            raise LimitError(f"expected {expected}, found more; use longer frames")
        self.starts.append(self.size)
        self.places.append(at)
        self.size += size

    def place(self, offset: int) -> int:
        """Returns the offset in the input of a byte of the structure."""
        index = max(bisect_right(self.starts, offset) - 1, 0)
        return self.places[index] + offset - self.starts[index]

    def forget(self, offset: int) -> None:
        """Drops the places of payloads that end before an offset."""
        index = max(bisect_right(self.starts, offset) - 1, 0)
        del self.starts[:index], self.places[:index]


class Joiner:
    """Joins the payloads of one direction, in the order of the wire.

    ``limits``: the most bytes of a structure, or items of a payload, by the schema's name of the limit; those of the schema by
    default. ``most_open``: the most structures that are incomplete at a time. Raises :class:`ValueError` for an unknown limit.
    """

    def __init__(
        self, codec: Codec | None = None, *, limits: Mapping[str, int] | None = None, most_open: int = 1 << 16
    ) -> None:
        self._codec = codec = checked_codec(codec)
        self._limits = {name: default for name, (default, _) in codec.LIMITS.items()}
        known = {join.limit for join in codec.JOINS.values()} | {codec.ITEMS_LIMIT}
        for name, most in (limits or {}).items():
            if name not in known or name is None:
                names = ", ".join(sorted(filter(None, known))) or "none"
                raise ValueError(f"unknown limit {name!r} of joined structures; the limits are {names}")
            self._limits[name] = checked_number(name, most, 1)
        self._most_open = most_open
        self._open: dict[tuple[int, int], _Open] = {}
        self._fed = 0
        self._fault: RemoteProtocolError | LimitError | None = None

    def feed(self, frame: Frame, payload: bytes | None = None, at: int | None = None) -> Joined | None:
        """Returns what a frame adds to its structure, or None for a frame type whose payloads form none.

        ``payload``: the decoded payload of an encoded frame. ``at``: the offset of the payload in the input, for errors; by
        default, the frames follow each other from offset 0. Raises :class:`RemoteProtocolError` for bytes that the structure
        cannot have and for frames that are not in order. Raises :class:`LimitError` for a structure over its limit, and for
        too many incomplete ones. If a frame has whole values before the fault, the call returns them, and the next call
        raises the error. After an error, each call raises it again.
        """
        codec = self._codec
        check_revision(frame, codec)
        if self._fault is not None:
            raise self._fault
        if at is None:
            at = self._fed + codec.HEADER_BYTES
        self._fed = at + len(frame.payload)
        join = codec.JOINS.get(int(frame.type))
        if join is None:
            return None
        data = as_bytes(frame.payload) if payload is None else payload
        values: list[Any] = []
        last = not int(frame.flags) & join.more
        try:
            found = self._structure(frame, join, at)
            found.add(len(data), at)
            if found.layout.is_sequence:
                self._add_items(found, data, last, values)
            else:
                self._add_to_map(found, data, last, join.structure, values)
        except (RemoteProtocolError, LimitError) as error:
            self._fault = error
            if not values:
                raise
            last = False
        if last:
            del self._open[frame.request_id, int(frame.type)]
        return Joined(frame.request_id, int(frame.type), tuple(values), last)

    def _structure(self, frame: Frame, join: Join, at: int) -> _Open:
        """Returns the structure that a frame continues or begins."""
        key = (frame.request_id, int(frame.type))
        found = self._open.get(key)
        continues = bool(int(frame.flags) & join.continues)
        if join.order is not None and continues != (found is not None):
            name = self._codec.TYPE_NAMES[int(frame.type)]
            words = ("a frame that continues it", "a new one") if found is not None else ("a new one", "a continuation")
            place = at - self._codec.HEADER_BYTES + self._codec.FIELDS["flags"][0]
            raise RemoteProtocolError(join.order, place, "flags", f"{words[0]} of {name}", words[1])
        if found is not None:
            return found
        if len(self._open) >= self._most_open:
            expected = f"at most {counted(self._most_open, 'structure')} that span frames at a time"
            raise LimitError(f"expected {expected}, found more; use a smaller part of the input")
        codec = self._codec
        layout = codec.LAYOUTS[join.structure]
        items = self._limits[codec.ITEMS_LIMIT] if codec.ITEMS_LIMIT is not None and "limit" in layout.rules else None
        found = self._open[key] = _Open(layout, None if join.limit is None else self._limits[join.limit], items)
        return found

    def _add_items(self, found: _Open, data: bytes, last: bool, values: list[Any]) -> None:
        """Adds the items of a sequence that are whole with these bytes."""
        layout, fault = found.layout, None
        items, error = found.scanner.cut(data)
        if error is None and last:
            error = found.scanner.incomplete
        if error is not None:
            fault = self._ill_formed(found, error)
        for offset, item in items:
            try:
                value, count = decode_item_of(layout, found.number, item, found.left)
            except RemoteProtocolError as error_of_item:
                raise self._moved(error_of_item, found, offset) from None
            found.left = None if found.left is None else found.left - count
            found.number += 1
            values.append(value)
        if fault is not None:
            raise fault
        if last:
            self._check_number(found)
        found.forget(found.scanner.offset)

    def _ill_formed(self, found: _Open, error: CborError) -> RemoteProtocolError | LimitError:
        if error.kind == "limit":
            return LimitError(f"expected {error.expected}, found {error.found}; raise the limit")
        place = found.place(error.offset)
        return RemoteProtocolError(found.layout.rules["malformed"], place, "", error.expected, error.found)

    def _check_number(self, found: _Open) -> None:
        for entry in found.layout.entries[found.number :]:
            if not entry.repeated:
                place = found.place(found.size)
                rule, what = found.layout.rules["missing"], "the end of the last frame"
                raise RemoteProtocolError(rule, place, entry.name, f"the item {entry.name}", what)

    def _add_to_map(self, found: _Open, data: bytes, last: bool, name: str, values: list[Any]) -> None:
        """Adds the bytes of a map, and decodes it with the last ones."""
        if found.most is not None and found.size > found.most:
            expected = f"at most {counted(found.most, 'byte')}"
            raise LimitError(f"expected {expected} of {name}, found {counted(found.size, 'byte')}; raise the limit")
        found.data += data
        if not last:
            return
        _, decode, _ = self._codec.STRUCTURES[name]
        most = {} if found.items is None else {"max_items": found.items}
        try:
            values.append(decode(bytes(found.data), **most))
        except RemoteProtocolError as error:
            raise self._moved(error, found, 0) from None

    def _moved(self, error: RemoteProtocolError, found: _Open, offset: int) -> RemoteProtocolError:
        place = None if error.offset is None else found.place(offset + error.offset)
        return RemoteProtocolError(error.requirement, place, error.field, error.expected, error.found)

    def close(self) -> None:
        """Ends the input. Raises :class:`RemoteProtocolError` for a structure that is incomplete, and the error of :meth:`feed`."""
        if self._fault is not None:
            raise self._fault
        for (request_id, type_), found in self._open.items():
            rule = found.layout.rules["malformed"]
            what = f"the end of the input in {self._codec.TYPE_NAMES[type_]} of request {request_id}"
            raise RemoteProtocolError(rule, found.place(found.size), "", "the frames to the last one", what)
