"""Finds the revision whose frames some bytes are, for hints about a wrong ``--revision``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.errors import LimitError, RemoteProtocolError
from hgproto.revisions.revision import Revision, known_names
from hgproto.wire.jsonform import Continuations

if TYPE_CHECKING:
    from hgproto.runtime.definition import Codec

__all__ = ["likely_revision"]


def likely_revision(data: bytes, given: Revision) -> str | None:
    """Returns the only other revision of hgproto that accepts all whole frames at the start of ``data``.

    Returns None if ``given`` accepts them too, if several revisions or none do, and if there is no whole frame.
    """
    if _judged(given.codec, data) is not None:
        return None
    found = [name for name in known_names() if name != given.codec.REVISION and _judged(Revision(name).codec, data)]
    return found[0] if len(found) == 1 else None


def _judged(codec: Codec, data: bytes) -> bool | None:
    """Returns None if a revision rejects a frame, and otherwise whether the payload of one of them is more than raw bytes."""
    continuations, at, is_clear = Continuations(codec), 0, False
    try:
        while len(data) - at >= codec.HEADER_BYTES and codec.frame_end(data, at) <= len(data):
            frame, at = codec.decode_frame(data, at)
            codec.check_header(frame)
            value = codec.decode_payload(frame, continuations.next(frame))
            is_clear = is_clear or not isinstance(value, bytes)
    except (RemoteProtocolError, LimitError):
        return None
    return is_clear
