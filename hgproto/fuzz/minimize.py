"""Minimization: finds the fewest and simplest frames that still show the same fault.

The changes preserve frames: they remove whole frames, clear flags, renumber ids together, and shorten payloads together with their
lengths. Bytes are cut only from frames that are already cut.
"""

from __future__ import annotations

import time
from itertools import count
from typing import TYPE_CHECKING

from hgproto.fuzz.raw import frames_of, has_header, number_of, with_number
from hgproto.reactors.content import Content
from hgproto.revisions.revision import default_revision
from hgproto.runtime.bytelike import as_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from hgproto.runtime.bytelike import BytesLike

    Attempts = Generator[list[bytes], bool, None]

__all__ = ["attempts", "minimized"]

_REVISION = default_revision()
_CONTENT = Content(_REVISION)
_HEADER = _REVISION.codec.HEADER_BYTES
_IDS = ("request_id", "stream_id")


def minimized(
    data: BytesLike, shows: Callable[[bytes], bool], *, most_tries: int = 1000, seconds: float = 10.0
) -> tuple[bytes, int]:
    """Returns the smallest bytes found that still show a fault, and the number of tries.

    ``shows``: called with changed bytes only; True if they show the fault.
    """
    end = time.monotonic() + seconds
    data = as_bytes(data, "data")
    tries = attempts(frames_of(data))
    candidate, number = next(tries, None), 0
    while candidate is not None and number < most_tries and time.monotonic() <= end:
        number += 1
        if shows(b"".join(candidate)):
            data = b"".join(candidate)
            candidate = _next(tries, True)
        else:
            candidate = _next(tries, False)
    return data, number


def _next(tries: Attempts, result: bool) -> list[bytes] | None:
    try:
        return tries.send(result)
    except StopIteration:
        return None


def attempts(frames: list[bytes]) -> Attempts:
    """Yields lists of changed frames to be tried, and continues from those for which True is sent back.

    The caller may stop at any time with the smallest list so far. An empty frame stands for a wait: it may be removed, but it is
    not changed.
    """
    known: set[tuple[bytes, ...]] = set()
    before: list[bytes] | None = None
    while before != frames:
        before = list(frames)
        frames = yield from _fewer(frames, known)
        for change in (_without_one, _renumbered, _simpler):
            changed = True
            while changed:
                changed = False
                for candidate in change(frames):
                    if candidate != frames and (yield from _tried(candidate, known)):
                        frames, changed = candidate, True
                        break


def _tried(frames: list[bytes], known: set[tuple[bytes, ...]]) -> Generator[list[bytes], bool, bool]:
    """Tries frames, unless they were tried before."""
    if tuple(frames) in known:
        return False
    known.add(tuple(frames))
    return (yield frames)


def _fewer(frames: list[bytes], known: set[tuple[bytes, ...]]) -> Generator[list[bytes], bool, list[bytes]]:
    """Removes as many frames as possible, larger parts first."""
    size = max(1, len(frames) // 2)
    while True:
        at = 0
        while at < len(frames):
            candidate = frames[:at] + frames[at + size :]
            if len(frames) > 1 and (yield from _tried(candidate, known)):
                frames = candidate
            else:
                at += size
        if size == 1:
            return frames
        size //= 2


def _without_one(frames: list[bytes]) -> Iterator[list[bytes]]:
    """Yields the frames without one request, without one stream, or without the encoding of one stream."""
    for name in _IDS:
        ids = {number_of(frame, name) for frame in frames if has_header(frame)}
        for one in sorted(ids) if len(ids) > 1 else ():
            yield [frame for frame in frames if not has_header(frame) or number_of(frame, name) != one]
    for stream in sorted({number_of(frame, "stream_id") for frame in frames if has_header(frame)}):
        # Without its settings, and with frames that are not encoded.
        mine = [
            number
            for number, frame in enumerate(frames)
            if has_header(frame) and number_of(frame, "stream_id") == stream
        ]
        plain = [number for number in mine if number_of(frames[number], "type") != _REVISION.settings]
        if len(plain) < len(mine) and plain:
            flags = {
                number: number_of(frames[number], "stream_flags") & ~(_REVISION.begin | _REVISION.encoded)
                for number in plain
            }
            flags[plain[0]] |= _REVISION.begin
            yield [
                frame if number not in flags else with_number(frame, "stream_flags", flags[number])
                for number, frame in enumerate(frames)
                if number not in mine or number in flags
            ]


def _renumbered(frames: list[bytes]) -> Iterator[list[bytes]]:
    """Yields the frames with the lowest distinct ids, all ids of one kind at once and then one by one."""
    for name in _IDS:
        ids: dict[int, int] = {}
        free = {0: count(2, 2), 1: count(1, 2)}
        for frame in frames:
            if has_header(frame):
                number = number_of(frame, name)
                if number not in ids:
                    ids[number] = next(free[number & 1])
        if all(number < _REVISION.ids[name] for number in ids.values()):
            yield [_with_id(frame, ids, name) for frame in frames]
        for number, lower in ids.items():
            if lower < number and lower not in ids:
                yield [_with_id(frame, {number: lower}, name) for frame in frames]


def _with_id(frame: bytes, ids: dict[int, int], name: str) -> bytes:
    if not has_header(frame):
        return frame
    number = number_of(frame, name)
    return with_number(frame, name, ids.get(number, number))


def _simpler(frames: list[bytes]) -> Iterator[list[bytes]]:
    """Yields the frames with one of them simplified."""
    for number, frame in enumerate(frames):
        for simpler in _simpler_frames(frame):
            yield [*frames[:number], simpler, *frames[number + 1 :]]


def _simpler_frames(frame: bytes) -> Iterator[bytes]:
    if not has_header(frame):
        yield from (frame[:-1],)
        return
    header, payload = frame[:_HEADER], frame[_HEADER:]
    for name in ("stream_flags", "flags"):
        number = number_of(frame, name)
        for bit in range(number.bit_length()):
            if number >> bit & 1:
                yield with_number(frame, name, number ^ 1 << bit)
    if len(payload) != number_of(frame, "length"):
        # A cut frame stays cut.
        yield from (header + payload[: len(payload) // 2], header + payload[:-1]) if payload else ()
        return
    kind = number_of(frame, "type")
    for shorter in _shorter(kind, payload):
        if len(shorter) < len(payload):
            yield with_number(header, "length", len(shorter)) + shorter
    if kind == _CONTENT.name and len(payload) == 1 and payload != b"x":
        yield header + b"x"


def _shorter(kind: int, payload: bytes) -> Iterator[bytes]:
    """Yields shorter payloads. Those of arguments have matching lengths."""
    if kind == _CONTENT.argument_code and len(payload) >= 4:
        name_length = int.from_bytes(payload[:2], "little")
        value_length = int.from_bytes(payload[2:4], "little")
        name, value = payload[4 : 4 + name_length], payload[4 + name_length :]
        missing = value_length - len(value)
        for size in _sizes(len(value)):
            if 0 <= size + missing <= 0xFFFF:
                yield payload[:2] + (size + missing).to_bytes(2, "little") + name + value[:size]
        for size in _sizes(len(name)):
            yield size.to_bytes(2, "little") + payload[2:4] + name[:size] + value
    for size in _sizes(len(payload)):
        yield payload[:size]


def _sizes(size: int) -> Iterator[int]:
    """Yields sizes below ``size``, the smallest first."""
    sizes = {0, 1, size // 4, size // 2, size - size // 4, size - 16, size - 4, size - 1}
    yield from sorted(one for one in sizes if 0 <= one < size)
