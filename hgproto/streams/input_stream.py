"""Input streams, which check the peer's frames against the schema's state machine and decode them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.errors import DecodingError, RemoteProtocolError, shown
from hgproto.runtime.bytelike import as_bytes
from hgproto.runtime.definition import defined
from hgproto.runtime.frame import Unique, check_instance, check_revision, checked_number
from hgproto.runtime.layout import counted_bytes, text_of_flags
from hgproto.runtime.machine import Ask
from hgproto.streams.decoders import new_decoder
from hgproto.streams.encodings import Encodings, default_encodings

if TYPE_CHECKING:
    from enum import IntEnum
    from typing import Literal

    from hgproto.runtime.definition import Definition
    from hgproto.runtime.frame import Frame
    from hgproto.runtime.machine import Outcome, Row
    from hgproto.streams.encodings import Decoder, Profile

__all__ = ["InputStream", "checked_reopen"]


class InputStream(Unique):
    """A stream that the peer sends on, with its state and its decoder.

    ``encodings``: the profiles that the peer may name. ``decoded_limit``: the most bytes of an encoded payload after
    decoding, at least 1; None for the default of ``decoded-frame``. ``reopen``: the treatment of *stream-begin* on an
    open stream, either ``error`` or ``restart``, which is *stream-end* and then *stream-begin*. ``revision``: None for
    the default revision. ``decoded``: the latest decoded payload, until ``take_decoded()``. Raises
    :class:`ValueError` for a number out of range, and for a revision without streams or without a stream flag that they
    need.

    Use :meth:`receive` to follow a single stream. Reactors do not call it, because they evaluate more guards
    themselves.
    """

    __slots__ = (
        "_codec",
        "_decoder",
        "_encodings",
        "_fault",
        "_limit",
        "_profile",
        "_reopen",
        "_revision",
        "decoded",
        "state",
        "stream_id",
    )

    def __init__(
        self,
        stream_id: int,
        *,
        encodings: Encodings | None = None,
        decoded_limit: int | None = None,
        reopen: Literal["error", "restart"] = "error",
        revision: Definition | None = None,
    ) -> None:
        self._revision = revision = defined(revision)
        self._codec = revision.codec
        self.stream_id = checked_number("stream_id", stream_id, 0, revision.ids["stream_id"] - 1)
        self._reopen = checked_reopen(reopen)
        self.state: IntEnum = revision.stream_states[0]
        self._encodings = default_encodings(revision) if encodings is None else encodings
        check_instance(self._encodings, Encodings, "encodings")
        # A schema without encodings needs no limit on decoded bytes.
        default, most = (0, 0) if revision.settings is None else revision.limit("decoded_frame")
        if decoded_limit is None or revision.settings is None:
            self._limit = default
        else:
            self._limit = checked_number("decoded_limit", decoded_limit, 1, most)
        self._decoder: Decoder | None = None
        self._profile: Profile | None = None
        self.decoded: bytes | None = None
        self._fault: RemoteProtocolError | DecodingError | None = None

    def receive(self, frame: Frame) -> bytes:
        """Returns the payload of the next frame on the stream, decoded if it is marked *encoded*.

        Raises :class:`RemoteProtocolError`, whose offset counts from the start of the frame; the stream cannot be used
        after that. Raises :class:`ValueError` for a frame on another stream.
        """
        revision = self._revision
        check_revision(frame, self._codec)
        if frame.stream_id != self.stream_id:
            which = f"the frame is on stream {shown(frame.stream_id)}, and this is stream {self.stream_id}"
            raise ValueError(f"{which}; pass each frame to its own stream")
        self._codec.check_header(frame)
        payload = as_bytes(frame.payload)
        encoded, ends = bool(frame.stream_flags & revision.encoded), bool(frame.stream_flags & revision.end)
        row = self._outcome(frame)
        while isinstance(row, Ask):
            match row.guard:
                case "settings":
                    try:
                        answer: object = self.ask_settings(payload)
                    except RemoteProtocolError as error:
                        raise error.moved(self._codec.HEADER_BYTES) from None
                case "encoding":
                    answer = self.ask_encoding(payload, encoded=encoded, ends=ends)
                case "restart":
                    answer = self._reopen == "restart"
                case _:  # stream-capacity: a single stream never exceeds a limit
                    answer = True
            row = row.outcomes[answer]
        if row.error is not None:
            raise self.refusal(row, int(frame.stream_flags))
        if row.emit == "again":
            self.enter(revision.machine("stream").initial)
            return self.receive(frame)
        if encoded:
            payload = self.take_decoded()
        self.enter(self.state if row.to is None else row.to)
        return payload

    def _outcome(self, frame: Frame) -> Outcome:
        flags = [name for mask, name in self._codec.STREAM_FLAG_NAMES.items() if frame.stream_flags & mask]
        machine, guards = self._revision.machine("stream"), self._revision.machines.GUARDS
        return machine.outcome(self.state, int(frame.type), flags, guards)

    def enter(self, state: IntEnum) -> None:
        """Changes the state. Drops the decoder of a stream that closes; creates one if it opens with valid settings."""
        closed, _, configured = self._revision.stream_states
        if state is closed:
            self._decoder = None
        elif state is configured and self.state is closed and self._profile is not None:
            self._decoder = new_decoder(self._profile)
        self.state = state

    def ask_settings(self, payload: bytes) -> str:
        """Evaluates the guard *settings*. Raises :class:`RemoteProtocolError` for an invalid payload."""
        revision = self._revision
        name, settings = revision.decode_settings(payload)
        profile = self._encodings.get(name)
        if profile is None:
            known = " or ".join(self._encodings) or "no content encoding"
            at = revision.settings_place(payload, "profile")
            self.blame(RemoteProtocolError("", at, "profile", known, shown(name)))
            return "unknown-profile"
        if settings != profile.settings:
            none = "no bytes after the profile's name"
            expected = f"the bytes {profile.settings.hex()}" if profile.settings else none
            at = revision.settings_place(payload, "settings")
            self.blame(RemoteProtocolError("", at, "settings", expected, counted_bytes(len(settings))))
            return "wrong-bytes"
        self._profile = profile
        return "good"

    def ask_encoding(
        self, payload: bytes, *, encoded: bool, ends: bool, decoded: bytes | DecodingError | None = None
    ) -> str:
        """Decodes a payload and evaluates the guard *encoding*.

        ``ends``: True if the compressed bytes must be complete. ``decoded``: the payload or error if it was decoded
        elsewhere.
        """
        try:
            if decoded is None and self._decoder is not None:
                if encoded:
                    decoded = self._decoder.decode(payload, self._limit)
                if ends:
                    self._decoder.finish()
            if isinstance(decoded, DecodingError):
                raise decoded
        except DecodingError as error:
            return self.refuse_encoding(error)
        self.decoded = decoded if encoded else None
        return "good"

    def blame(self, fault: RemoteProtocolError | DecodingError) -> None:
        """Keeps the reason why a frame will be rejected. Its offset counts from the start of the payload."""
        self._fault = fault

    def refuse_encoding(self, error: DecodingError) -> str:
        """Keeps the reason why an encoded payload is rejected, and returns the answer of the guard."""
        self.blame(error)
        return error.answer if error.answer in self._revision.encoding_rules else "undecodable"

    def take_decoded(self) -> bytes:
        """Returns the latest decoded payload and forgets it."""
        decoded, self.decoded = self.decoded, None
        return b"" if decoded is None else decoded

    def refusal(self, row: Row, stream_flags: int) -> RemoteProtocolError:
        """Returns the error of a row for a frame. The offset counts from the start of the frame."""
        requirement, fault, codec = str(row.error), self._fault, self._codec
        at = codec.FIELDS["stream_flags"][0]
        if fault is not None:
            # If the compressed bytes are incomplete, no byte of the payload is wrong, but the flag is.
            offset, field = (
                (at, "stream_flags") if fault.offset is None else (fault.offset + codec.HEADER_BYTES, fault.field)
            )
            error = RemoteProtocolError(requirement, offset, field, fault.expected, fault.found)
            return error.caused_by(fault.__cause__)
        flags = text_of_flags(stream_flags, codec.STREAM_FLAG_NAMES) if stream_flags else "no stream flag"
        found = f"{flags} on stream {self.stream_id}"
        expected = row.expected or f"a frame that is allowed while the stream is {self.state.name.lower()}"
        return RemoteProtocolError(requirement, at, "stream_flags", expected, found)


def checked_reopen(reopen: Literal["error", "restart"]) -> Literal["error", "restart"]:
    """Returns the checked argument ``reopen``. Raises :class:`ValueError`."""
    if reopen not in ("error", "restart"):
        raise ValueError(f"reopen is 'error' or 'restart', not {shown(reopen)}")
    return reopen
