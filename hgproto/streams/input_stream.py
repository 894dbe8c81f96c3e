"""Streams that the peer sends on: frames are held to the rules of the schema's table, and decoded (section 1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.errors import RemoteProtocolError, shown
from hgproto.revisions.framing_0002 import codec, machines
from hgproto.runtime.bytelike import as_bytes
from hgproto.runtime.frame import Unique, check_instance, check_revision, checked_number
from hgproto.runtime.layout import octets, place_of, text_of_flags
from hgproto.runtime.machine import Ask
from hgproto.streams.encodings import Encodings, default_encodings, new_decoder

if TYPE_CHECKING:
    from typing import Literal

    from hgproto.runtime.frame import Frame
    from hgproto.runtime.machine import Outcome, Row
    from hgproto.streams.encodings import Decoder, Profile

__all__ = ["InputStream", "checked_reopen"]

StreamState = machines.StreamState
_END, _ENCODED = int(codec.StreamFlag.STREAM_END), int(codec.StreamFlag.ENCODED)
_HEADER = codec.HEADER_OCTETS
_LAST_ID = (1 << codec.FIELD_BITS["stream_id"][0]) - 1
_STREAM_FLAGS = place_of(codec.FRAME, "stream_flags")
_ANSWERS = {
    "encoding.decodable": "undecodable",
    "encoding.decoded-limit": "too-large",
    "encoding.nothing-after-end": "after-end",
    "encoding.complete-at-end": "truncated",
    "encoding.window": "wide-window",
}
"""What the guard *encoding* answers when a decoder refuses by a requirement."""


class InputStream(Unique):
    """A stream that the peer sends on: its state, its decoder once it has one, and what the schema's table says of frames.

    ``encodings``: the profiles that the peer may name. ``decoded_limit``: octets that an encoded payload may grow to, at
    least 1, and the default of ``decoded-frame`` unless told otherwise. ``reopen``: what *stream-begin* on an open stream
    is, ``error`` or ``restart``, which is *stream-end* and then *stream-begin*. ``decoded``: what the latest encoded payload
    was decoded to, until it is taken.

    :meth:`receive` serves who looks at streams alone. A reactor asks what the table asks by itself, since it has more to ask.
    """

    __slots__ = ("_decoder", "_encodings", "_fault", "_limit", "_profile", "_reopen", "decoded", "state", "stream_id")

    def __init__(
        self,
        stream_id: int,
        *,
        encodings: Encodings | None = None,
        decoded_limit: int | None = None,
        reopen: Literal["error", "restart"] = "error",
    ) -> None:
        self.stream_id = checked_number("stream_id", stream_id, 0, _LAST_ID)
        self._reopen = checked_reopen(reopen)
        self.state = StreamState.CLOSED
        self._encodings = default_encodings() if encodings is None else encodings
        check_instance(self._encodings, Encodings, "encodings")
        default, most = codec.LIMITS["decoded-frame"]
        self._limit = default if decoded_limit is None else checked_number("decoded_limit", decoded_limit, 1, most)
        self._decoder: Decoder | None = None
        self._profile: Profile | None = None
        self.decoded: bytes | None = None
        self._fault: RemoteProtocolError | None = None

    def receive(self, frame: Frame) -> bytes:
        """The payload of the next frame on the stream, decoded where it is marked *encoded*.

        Raises :class:`RemoteProtocolError`, offsets from the start of the frame; after that the stream is of no more use.
        """
        check_revision(frame, codec)
        codec.check_header(frame)
        payload = as_bytes(frame.payload)
        encoded, ends = bool(frame.stream_flags & _ENCODED), bool(frame.stream_flags & _END)
        row = self._outcome(frame)
        while isinstance(row, Ask):
            match row.guard:
                case "settings":
                    try:
                        answer: object = self.ask_settings(payload)
                    except RemoteProtocolError as error:
                        raise error.moved(_HEADER) from None
                case "encoding":
                    answer = self.ask_encoding(payload, encoded=encoded, ends=ends)
                case "restart":
                    answer = self._reopen == "restart"
                case _:  # stream-capacity: one stream by itself is within any limit
                    answer = True
            row = row.outcomes[answer]
        if row.error is not None:
            raise self.refusal(row, int(frame.stream_flags))
        if row.emit == "again":
            self.enter(StreamState.CLOSED)
            return self.receive(frame)
        if encoded:
            payload = self.take_decoded()
        self.enter(StreamState(row.to or 0))
        return payload

    def _outcome(self, frame: Frame) -> Outcome:
        flags = [name for mask, name in codec.STREAM_FLAG_NAMES.items() if frame.stream_flags & mask]
        return machines.STREAM.outcome(self.state, int(frame.type), flags, machines.GUARDS)

    def enter(self, state: StreamState) -> None:
        """Changes the state; what was decoded for a stream that closes is forgotten."""
        if state is StreamState.CLOSED:
            self._decoder = None
        elif state is StreamState.CONFIGURED and self.state is StreamState.CLOSED and self._profile is not None:
            self._decoder = new_decoder(self._profile)
        self.state = state

    def ask_settings(self, payload: bytes) -> str:
        """What the table's guard *settings* answers. Raises :class:`RemoteProtocolError` for a payload that is none."""
        settings = codec.decode_stream_settings(payload)
        profile = self._encodings.get(settings.profile)
        if profile is None:
            known = " or ".join(self._encodings)
            self.blame(RemoteProtocolError("", 1, "profile", known, shown(settings.profile)))
            return "unknown-profile"
        if settings.settings != profile.settings:
            name = "no octets after the profile's name"
            expected = f"the octets {profile.settings.hex()}" if profile.settings else name
            at = 1 + len(settings.profile)
            self.blame(RemoteProtocolError("", at, "settings", expected, octets(len(settings.settings))))
            return "wrong-octets"
        self._profile = profile
        return "good"

    def ask_encoding(
        self, payload: bytes, *, encoded: bool, ends: bool, decoded: bytes | RemoteProtocolError | None = None
    ) -> str:
        """What the table's guard *encoding* answers, once the payload was decoded.

        ``ends``: the compressed octets have to be complete. ``decoded``: what was made of it elsewhere.
        """
        try:
            if decoded is None and self._decoder is not None:
                if encoded:
                    decoded = self._decoder.decode(payload, self._limit)
                if ends:
                    self._decoder.finish()
            if isinstance(decoded, RemoteProtocolError):
                raise decoded
        except RemoteProtocolError as error:
            return self.refuse_encoding(error)
        self.decoded = decoded if encoded else None
        return "good"

    def blame(self, fault: RemoteProtocolError) -> None:
        """Says what is wrong with a frame that the table will refuse; an offset counts from the start of the payload."""
        self._fault = fault

    def refuse_encoding(self, error: RemoteProtocolError) -> str:
        """The answer for an encoded payload that is refused."""
        self.blame(error)
        return _ANSWERS.get(error.requirement, "undecodable")

    def take_decoded(self) -> bytes:
        """What the latest payload was decoded to."""
        decoded, self.decoded = self.decoded, None
        return b"" if decoded is None else decoded

    def refusal(self, row: Row, stream_flags: int) -> RemoteProtocolError:
        """What a row of the table says of a frame, offsets from its start."""
        requirement, fault = str(row.error), self._fault
        if fault is not None:
            # What the end of a stream lacks is in no octet of the payload; it is the flag that is wrong.
            offset, field = (
                (_STREAM_FLAGS, "stream_flags") if fault.offset is None else (fault.offset + _HEADER, fault.field)
            )
            error = RemoteProtocolError(requirement, offset, field, fault.expected, fault.found)
            return error.caused_by(fault.__cause__)
        flags = text_of_flags(stream_flags, codec.STREAM_FLAG_NAMES) if stream_flags else "no stream flag"
        found = f"{flags} on stream {self.stream_id}"
        expected = row.expected or f"what a stream takes that is {self.state.name.lower()}"
        return RemoteProtocolError(requirement, _STREAM_FLAGS, "stream_flags", expected, found)


def checked_reopen(reopen: Literal["error", "restart"]) -> Literal["error", "restart"]:
    """What *stream-begin* on an open stream is taken for. Raises :class:`ValueError`."""
    if reopen not in ("error", "restart"):
        raise ValueError(f"reopen is 'error' or 'restart', not {shown(reopen)}")
    return reopen
