"""Frames of the default revision as bytes that may be invalid; see :mod:`hgproto.wire.raw`."""

from __future__ import annotations

from functools import partial

from hgproto.revisions.revision import default_revision
from hgproto.wire import raw

__all__ = ["frames_of", "has_header", "number_of", "with_number"]

codec = default_revision().codec
frames_of = partial(raw.frames_of, codec=codec)
number_of = partial(raw.header_number, codec=codec)
with_number = partial(raw.with_header_number, codec=codec)


def has_header(frame: bytes) -> bool:
    """True if the header of a frame is whole."""
    return len(frame) >= codec.HEADER_BYTES
