"""Functions that split bytes into frames by length only, for tools that handle frames with invalid other fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.errors import counted
from hgproto.runtime.bytelike import as_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.definition import Codec

__all__ = ["frames_in", "frames_of", "header_number", "with_header_number"]


def frames_of(data: BytesLike, codec: Codec) -> list[bytes]:
    """Splits the bytes of one side into frames. The last one may be incomplete."""
    data, frames, at = as_bytes(data), [], 0
    while at < len(data):
        end = codec.frame_end(data, at)
        frames.append(data[at:end])
        at = end
    return frames


def frames_in(chunks: Iterable[bytes], codec: Codec) -> Iterator[bytes]:
    """Splits chunks of one side into frames as :func:`frames_of`, and yields each frame once it is complete."""
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        at = 0
        while len(waiting) - at >= codec.HEADER_BYTES and (end := codec.frame_end(waiting, at)) <= len(waiting):
            yield bytes(waiting[at:end])
            at = end
        del waiting[:at]
    if waiting:
        yield bytes(waiting)


def header_number(frame: bytes, name: str, codec: Codec) -> int:
    """Returns the number of a header field. Raises :class:`ValueError` if the header is incomplete."""
    if len(frame) < codec.HEADER_BYTES:
        raise ValueError(f"a header has {counted(codec.HEADER_BYTES, 'byte')}, not {len(frame)}")
    at, size, low, mask = codec.FIELDS[name]
    return int.from_bytes(frame[at : at + size], "little") >> low & mask


def with_header_number(frame: bytes, name: str, number: int, codec: Codec) -> bytes:
    """Returns a frame with another number in a header field. Raises :class:`ValueError` if the number does not fit."""
    at, size, low, mask = codec.FIELDS[name]
    if not 0 <= number <= mask:
        raise ValueError(f"{name} must be 0 to {mask}, not {number}")
    whole = int.from_bytes(frame[at : at + size], "little") & ~(mask << low) | number << low
    return frame[:at] + whole.to_bytes(size, "little") + frame[at + size :]
