"""Counts the goals that frames reach by themselves: frame types, flags, and edges of fields.

Invariants: an encoded payload is read as a structure only after decoding; memory is bounded by the limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.errors import DecodingError, RemoteProtocolError
from hgproto.evidence.goals import LENGTHS, Edges
from hgproto.reactors.limits import Limits
from hgproto.runtime.layout import case_of, numbers_of, walk
from hgproto.streams.decoders import new_decoder
from hgproto.streams.encodings import default_encodings
from hgproto.wire.jsonform import Continuations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hgproto.runtime.definition import Definition
    from hgproto.runtime.frame import Frame
    from hgproto.streams.encodings import Decoder, Encodings

__all__ = ["FrameGoals"]


class FrameGoals:
    """Counter of the goals that the frames of one side reach, in wire order.

    ``reach``: called with the kind and the name of each goal. ``encodings``: the content encodings that can be decoded.
    ``limits``: on open streams, decoded bytes, and items. ``revision``: that of the frames.
    """

    def __init__(
        self,
        reach: Callable[[str, str], None],
        revision: Definition,
        *,
        encodings: Encodings | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._reach = reach
        self._revision = revision
        self._codec = codec = revision.codec
        self._edges = Edges.of(revision)
        self._encodings = encodings or default_encodings(revision)
        self._limits = limits or Limits.of_revision(revision)
        self._continuations = Continuations(codec)
        self._decoders: dict[int, Decoder | None] = {}
        """The decoders of the streams that have named an encoding; None for an encoding that is not installed."""
        self.unavailable: set[str] = set()
        """Content encodings in use that are not installed: their payloads were not checked."""
        self.is_blind = False
        """True once a frame had a payload in such an encoding. The receiver's reaction is then unknown."""

    def count(self, data: bytes) -> Frame | None:
        """Counts a frame as on the wire and returns it. Returns None for bytes that are not a frame."""
        codec, revision = self._codec, self._revision
        usual, most = codec.MAX_PAYLOAD
        try:
            frame, _ = codec.decode_frame(data, 0, most)
        except RemoteProtocolError:
            return None
        continued = self._continuations.next(frame)
        stream_flags, stream_id = int(frame.stream_flags), int(frame.stream_id)
        payload: bytes | None = bytes(frame.payload)
        is_hidden = False
        if stream_flags & revision.begin:
            self._begin(frame)
        if stream_flags & revision.encoded:
            is_hidden = self._decoders.get(stream_id, self) is None
            payload = self._decoded(stream_id, bytes(frame.payload))
        if stream_flags & revision.end:
            self._decoders.pop(stream_id, None)
        self.is_blind = self.is_blind or is_hidden
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
        for name, holds in zip(LENGTHS, (length == 0, length == usual, length > usual), strict=True):
            # The payload of a line of a session could not be encoded, so its length is not that on the wire.
            if holds and not is_hidden:
                self._reach("edges", f"{kind} length {name}")
        for name, value in (("request_id", frame.request_id), ("stream_id", frame.stream_id)):
            if value <= 1 or value >= (1 << codec.FIELD_BITS[name][0]) - 2:
                self._reach("edges", f"{name} {'least' if value <= 1 else 'most'}")
        if payload is not None:
            self._count_fields(frame, kind, payload, continued=continued)
        return frame

    def _begin(self, frame: Frame) -> None:
        """Begins a stream, with a decoder if the frame has valid settings."""
        number = int(frame.stream_id)
        self._decoders.pop(number, None)
        revision = self._revision
        if frame.type != revision.settings or frame.stream_flags & revision.encoded:
            return
        try:
            name, settings = revision.decode_settings(bytes(frame.payload))
        except RemoteProtocolError:
            return
        if len(self._decoders) >= self._limits.open_streams:
            # A receiver rejects the stream.
            return
        profile = self._encodings.get(name)
        if name in self._encodings.missing:
            self.unavailable.add(name)
            self._decoders[number] = None
        elif profile is not None and settings == profile.settings:
            self._decoders[number] = new_decoder(profile)

    def _decoded(self, number: int, payload: bytes) -> bytes | None:
        """Decodes a payload with the decoder of its stream. Returns None if that is impossible.

        A decoder that has failed decodes nothing more.
        """
        decoder = self._decoders.get(number)
        try:
            return None if decoder is None else decoder.decode(payload, self._limits.decoded_frame)
        except DecodingError:
            del self._decoders[number]
            return None

    def _count_fields(self, frame: Frame, kind: str, payload: bytes, *, continued: bool) -> None:
        codec = self._codec
        layout = codec.LAYOUTS.get(case_of(codec.PAYLOADS[int(frame.type)], int(frame.flags), continued))
        if layout is None:
            return
        plain = codec.make_frame(0, 0, 0, int(frame.type), int(frame.flags), payload)
        try:
            codec.decode_payload(plain, continued, self._limits.payload_items)
        except RemoteProtocolError:
            # A receiver rejects the payload, so that its fields do not count.
            return
        longest = self._limits.decoded_frame if frame.stream_flags & self._revision.encoded else codec.MAX_PAYLOAD[0]
        values: Iterable[tuple[str, object]]
        if layout.entries:
            values = [(span.path, span.value) for span in walk(layout, payload)]
        else:
            values = ((path, value) for path, found in numbers_of(layout, payload).items() for value in found)
        there: set[str] = set()
        for path, value in values:
            there.add(path.partition(".")[0].partition("[")[0])
            for edge in self._edges.at(path, value, at_limit=len(payload) >= longest):
                self._reach("edges", f"{kind} {edge}")
        for entry in layout.entries:
            if entry.name not in there:
                self._reach("edges", f"{kind} {entry.name} left out")
