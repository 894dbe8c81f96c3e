"""Counts the goals that frames reach by themselves: frame types, flags, and edges of fields."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from hgproto.errors import RemoteProtocolError
from hgproto.framing_0002 import codec
from hgproto.goals import edges_of
from hgproto.jsonform import Continuations
from hgproto.layout import case_of, walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgproto.frame import Frame

__all__ = ["FrameGoals"]

_MOST = codec.LIMITS["max-payload"][1]
_LIMIT = codec.LIMITS["max-payload"][0]


class FrameGoals:
    """Counts what the frames of one side reach, given in wire order.

    ``reach``: called with the kind and the name of each goal.
    """

    def __init__(self, reach: Callable[[str, str], None]) -> None:
        self._reach = reach
        self._continuations = Continuations(codec)

    def count(self, octets: bytes) -> Frame | None:
        """Counts a frame; returns None for bytes that are not a frame."""
        try:
            frame, _ = codec.decode_frame(octets, 0, _MOST)
        except RemoteProtocolError:
            return None
        continued = self._continuations.next(frame)
        kind = codec.TYPE_NAMES.get(int(frame.type))
        if kind is None:
            return frame
        self._reach("types", kind)
        for mask, name in codec.FLAG_NAMES[int(frame.type)].items():
            if frame.flags & mask:
                self._reach("flags", f"{kind} {name}")
        for mask, name in codec.STREAM_FLAG_NAMES.items():
            if frame.stream_flags & mask:
                self._reach("flags", name)
        length = len(frame.payload)
        for name, holds in (
            ("0", length == 0),
            ("max-payload", length == _LIMIT),
            ("max-payload + 1", length > _LIMIT),
        ):
            if holds:
                self._reach("edges", f"{kind} length {name}")
        for name, value in (("request_id", frame.request_id), ("stream_id", frame.stream_id)):
            if value <= 1 or value >= (1 << codec.FIELD_BITS[name][0]) - 2:
                self._reach("edges", f"{name} {'least' if value <= 1 else 'most'}")
        self._count_fields(frame, kind, bytes(frame.payload), continued=continued)
        return frame

    def _count_fields(self, frame: Frame, kind: str, payload: bytes, *, continued: bool) -> None:
        layout = codec.LAYOUTS.get(case_of(codec.PAYLOADS[int(frame.type)], int(frame.flags), continued))
        if layout is None:
            return
        there: set[str] = set()
        with suppress(RemoteProtocolError):
            deque(walk(layout, payload), maxlen=0)  # fields of a payload that is damaged do not count
            for span in walk(layout, payload):
                for edge in edges_of(span.path, span.value, at_limit=len(payload) >= _LIMIT):
                    self._reach("edges", f"{kind} {edge}")
                if layout.entries:
                    there.add(span.path.partition(".")[0])
            for entry in layout.entries:
                if entry.name not in there:
                    self._reach("edges", f"{kind} {entry.name} left out")
