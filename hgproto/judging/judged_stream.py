"""Streams of a judge, which go on after an error in their content encoding.

A receiver fails with the connection; a judge goes on, and looks at what it can still decode.
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
    """An encoded payload that cannot be looked into."""


class _BlindDecoder:
    """Stands for a context that nobody knows any more."""

    __slots__ = ()

    def decode(self, data: bytes, limit: int) -> bytes:
        raise Blind

    def finish(self) -> None:
        """Whether it is complete cannot be told."""


class JudgedStream(InputStream):
    """A stream that goes on: once its encoding is not known, or was broken, it is blind until it ends.

    ``begun``: the frame that opened it. ``unavailable``: where the names of encodings go that are known and not installed.
    """

    __slots__ = ("begun", "blind", "unavailable")

    def __init__(self, stream_id: int, begun: int, unavailable: set[str], **stream: Any) -> None:
        super().__init__(stream_id, **stream)
        self.begun = begun
        self.blind = False
        self.unavailable = unavailable

    def enter(self, state: IntEnum) -> None:
        """Changes the state; a stream that closes is no longer blind."""
        super().enter(state)
        if state is self._revision.stream_states[0]:
            self.blind = False
        elif self.blind:
            self._decoder = _BlindDecoder()

    def lose(self) -> None:
        """Nothing encoded can be looked into any more."""
        self.blind = True
        self._decoder = _BlindDecoder()

    def ask_settings(self, payload: bytes) -> str:
        """What the guard answers; the stream is blind unless the settings are good and the encoding is installed."""
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
        """What the guard answers. A payload that cannot be decoded makes the stream blind; then this raises :class:`Blind`."""
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
        """The error, which says so where the sender has begun a new context: what is mostly wrong."""
        if self._profile is None or error.answer != "undecodable":
            return error
        try:
            new_decoder(self._profile).decode(payload, self._limit)
        except DecodingError:
            return error
        expected = f"bytes that go on with the {self._profile.name} context of stream {self.stream_id}"
        found = "bytes that only a new context takes"
        return DecodingError(error.answer, error.offset, expected, found)

    def forget_fault(self) -> None:
        """What was blamed was said."""
        self._fault = None
