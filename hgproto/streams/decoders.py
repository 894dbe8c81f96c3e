"""Wrappers that make user-supplied decoders raise only :class:`hgproto.errors.DecodingError`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.errors import DecodingError
from hgproto.runtime.bytelike import as_bytes
from hgproto.streams.encodings import IdentityDecoder, ZlibDecoder, ZstdDecoder, too_large

if TYPE_CHECKING:
    from hgproto.streams.encodings import Decoder, Profile

__all__ = ["decoder_failure", "new_decoder"]


def new_decoder(profile: Profile) -> Decoder:
    """Creates a decoder that raises only :class:`DecodingError`, whatever the decoder of a user's profile raises.

    If the decoder cannot be created or fails with another exception, the payload is rejected. That exception is the
    cause of the error.
    """
    try:
        decoder = profile.decoder()
    except Exception as error:  # of a user's code
        return _NoDecoder(error)
    if isinstance(decoder, IdentityDecoder | ZlibDecoder | ZstdDecoder):
        return decoder
    return _CheckedDecoder(decoder)


class _CheckedDecoder:
    """A user's decoder with checks for the contract of :class:`Decoder`."""

    __slots__ = ("_decoder",)

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    def decode(self, data: bytes, limit: int) -> bytes:
        try:
            decoded = as_bytes(self._decoder.decode(data, limit), "what a decoder returns")
        except DecodingError:
            raise
        except Exception as error:
            raise decoder_failure(error) from error
        if len(decoded) > limit:
            raise too_large(limit)
        return decoded

    def finish(self) -> None:
        try:
            self._decoder.finish()
        except DecodingError:
            raise
        except Exception as error:
            raise decoder_failure(error) from error


class _NoDecoder:
    """The substitute for a decoder that could not be created."""

    __slots__ = ("_error",)

    def __init__(self, error: Exception) -> None:
        self._error = error

    def decode(self, data: bytes, limit: int) -> bytes:  # noqa: ARG002
        raise decoder_failure(self._error) from self._error

    def finish(self) -> None:
        """Does nothing, because nothing was decoded."""


def decoder_failure(error: BaseException) -> DecodingError:
    """Returns the error for a payload whose decoder has raised another exception, ``error``, which becomes the cause."""
    found = f"bytes on which the decoder fails with {type(error).__name__}"
    failure = DecodingError("undecodable", 0, "bytes that can be decoded", found)
    failure.__cause__ = error
    return failure
