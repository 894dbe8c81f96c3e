"""Streams of a judge, which continue after an error in their content encoding.

A receiver ends the connection. A judge continues, and checks the payloads that it can still decode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hgproto.errors import DecodingError
from hgproto.streams.decoders import new_decoder
from hgproto.streams.input_stream import InputStream

if TYPE_CHECKING:
    from enum import IntEnum

__all__ = ["Blind", "JudgedStream"]


class Blind(Exception):  # noqa: N818 - inside of judges alone
    """Raised for an encoded payload that cannot be decoded."""


class _BlindDecoder:
    """The decoder of a stream whose compression context is unknown. It always raises :class:`Blind`."""

    __slots__ = ()

    def decode(self, data: bytes, limit: int) -> bytes:
        raise Blind

    def finish(self) -> None:
        """Does nothing, because the end cannot be checked."""


class JudgedStream(InputStream):
    """A stream that continues after an error. It is blind from an unknown or damaged encoding until it ends.

    ``begun``: the number of the frame that opened it. ``unavailable``: receives the names of known encodings that are
    not installed.
    """

    __slots__ = ("begun", "blind", "unavailable")

    def __init__(self, stream_id: int, begun: int, unavailable: set[str], **stream: Any) -> None:
        super().__init__(stream_id, **stream)
        self.begun = begun
        self.blind = False
        self.unavailable = unavailable

    def enter(self, state: IntEnum) -> None:
        """Changes the state. Closing the stream ends its blindness."""
        super().enter(state)
        if state is self._revision.stream_states[0]:
            self.blind = False
        elif self.blind:
            self._decoder = _BlindDecoder()

    def lose(self) -> None:
        """Makes the stream blind."""
        self.blind = True
        self._decoder = _BlindDecoder()

    def ask_settings(self, payload: bytes) -> str:
        """Evaluates the guard. The stream is blind unless the settings are valid and the encoding is installed."""
        self.blind = True
        profile, _ = self._revision.decode_settings(payload)
        if profile in self._encodings.missing:
            self.unavailable.add(profile)
            return "good"
        answer = super().ask_settings(payload)
        self.blind = answer != "good"
        return answer

    def ask_encoding(
        self, payload: bytes, *, encoded: bool, ends: bool, decoded: bytes | DecodingError | None = None
    ) -> str:
        """Evaluates the guard. An undecodable payload makes the stream blind; then :class:`Blind` is raised."""
        self.decoded = None
        if self._decoder is None:
            return "good"
        try:
            if encoded:
                self.decoded = self._decoder.decode(payload, self._limit)
        except DecodingError as error:
            self.lose()
            return self.refuse_encoding(self._explained(error, payload))
        try:
            if ends:
                self._decoder.finish()
        except DecodingError as error:
            return self.refuse_encoding(error)
        return "good"

    def _explained(self, error: DecodingError, payload: bytes) -> DecodingError:
        """Returns the error, with a better text if the sender has begun a new context, which is the usual cause."""
        if self._profile is None or error.answer != "undecodable":
            return error
        try:
            new_decoder(self._profile).decode(payload, self._limit)
        except DecodingError:
            return error
        expected = f"bytes that continue the {self._profile.name} context of stream {self.stream_id}"
        found = "bytes that only a new context can decode"
        return DecodingError(error.answer, error.offset, expected, found)

    def forget_fault(self) -> None:
        """Forgets the latest fault after it was reported."""
        self._fault = None
