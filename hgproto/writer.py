"""Octets out of frames: one, many in pieces, or as buffers that are written without being joined."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

    from hgproto.frame import Frame
    from hgproto.revision import Codec

__all__ = ["PIECE_OCTETS", "encode_frame", "encode_frames", "frame_buffers", "write_frames"]

PIECE_OCTETS = 1 << 20
"""Octets that frames are joined to at the most: joining tens of MiB at once costs ten times as much an octet."""


def _default() -> Codec:
    from hgproto.framing_0002 import codec

    return codec


def encode_frame(frame: Frame, *, max_payload: int | None = None, codec: Codec | None = None) -> bytes:
    """The octets of a frame; its length is computed (section 1.2).

    ``max_payload``: the most octets of a payload, the revision's default unless told otherwise. Raises
    :class:`LocalProtocolError` for a longer one, and for a number that its header field cannot hold.
    """
    codec = codec or _default()
    return codec.encode_frame(frame, _limit(max_payload, codec))


def encode_frames(
    frames: Iterable[Frame], *, max_payload: int | None = None, codec: Codec | None = None
) -> Iterator[bytes]:
    """The octets of frames in pieces of whole frames, :data:`PIECE_OCTETS` or one frame large. Raises as one frame does."""
    codec = codec or _default()
    limit, encode = _limit(max_payload, codec), codec.encode_frame
    parts: list[bytes] = []
    size = 0
    for frame in frames:
        octets = encode(frame, limit)
        if size + len(octets) > PIECE_OCTETS and parts:
            yield b"".join(parts)
            parts.clear()
            size = 0
        parts.append(octets)
        size += len(octets)
    if parts:
        yield b"".join(parts)


def frame_buffers(
    frames: Iterable[Frame], *, max_payload: int | None = None, codec: Codec | None = None
) -> Iterator[bytes | memoryview]:
    """Headers and payloads in turn, for ``writelines`` and the like: no payload is copied. Raises as one frame does."""
    codec = codec or _default()
    limit, encode_header = _limit(max_payload, codec), codec.encode_header
    for frame in frames:
        yield encode_header(frame, limit)
        if len(frame.payload):
            yield frame.payload


def write_frames(
    file: BinaryIO, frames: Iterable[Frame], *, max_payload: int | None = None, codec: Codec | None = None
) -> None:
    """Writes frames to a file. Raises as one frame does; frames before it are written."""
    file.writelines(frame_buffers(frames, max_payload=max_payload, codec=codec))


def _limit(max_payload: int | None, codec: Codec) -> int:
    from hgproto.reader import checked_max_payload

    return checked_max_payload(max_payload, codec)
