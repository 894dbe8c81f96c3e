"""Locates the frame at which a target stops, for faults without a known cause.

A target that is silent, hangs, grows, or crashes without a report does not describe its fault. The kind of the frame at which it
stops then distinguishes faults: the shortest start of the case that shows the fault ends with that frame.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hgproto.fuzz.cases import without_probe
from hgproto.fuzz.raw import frames_of, has_header, number_of
from hgproto.revisions.revision import default_revision

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from hgproto.fuzz.cases import Case

__all__ = ["FIRST", "kinds_of", "needs_place", "place_in", "places_of", "stop_of", "without_place"]

_SILENT = frozenset({"rejects-valid", "hang", "growth"})
_UNSAID = re.compile(r"killed by (?:SIG\w+|signal N)|exit status N|accepts no more connections")
"""Crashes without a report."""
_PLACE = re.compile(r"(?:^| )(?P<place>at .*)$")
FIRST = "at the first command"
"""The place of a fault that shows even if no frames precede the probe."""
_DIALOGUE = "at a pause of a dialogue"
_SERIES = "at a series"
_REVISION = default_revision()
codec = _REVISION.codec
_BEGIN, _END, _ENCODED = _REVISION.begin, _REVISION.end, _REVISION.encoded


def needs_place(kind: str, rule: str, cause: str) -> bool:
    """True for a fault with an unknown cause, which only its place distinguishes from others."""
    return (kind in _SILENT and not rule and not cause) or (kind == "crash" and _UNSAID.fullmatch(cause) is not None)


def without_place(cause: str) -> str:
    """Returns a cause without the place at its end."""
    return _PLACE.sub("", cause)


def place_in(cause: str) -> str:
    """Returns the place at the end of a cause; empty if it has no place."""
    found = _PLACE.search(cause)
    return "" if found is None else found["place"]


def places_of(case: Case) -> list[str]:
    """Returns the places that a case passes: the kinds of its frames, or one word for a dialogue or a series."""
    if case.waits or case.sizes:
        return [_DIALOGUE if case.waits else _SERIES]
    return kinds_of(without_probe(case))


def kinds_of(data: bytes) -> list[str]:
    """Returns the kind of each frame in words: type, flags, and marks for an encoded payload and for a reopened stream."""
    kinds = []
    ended: set[int] = set()
    for frame in frames_of(data):
        if not has_header(frame):
            kinds.append("at a cut header")
            continue
        stream_id, stream_flags = number_of(frame, "stream_id"), number_of(frame, "stream_flags")
        code, flags = number_of(frame, "type"), number_of(frame, "flags")
        names = codec.FLAG_NAMES.get(code, {})
        words = ["at", codec.TYPE_NAMES.get(code, f"type {code:#x}")]
        words += [name for mask, name in names.items() if flags & mask]
        words += ["encoded"] * bool(stream_flags & _ENCODED)
        words += ["on a stream that was ended before"] * bool(stream_flags & _BEGIN and stream_id in ended)
        if stream_flags & _END:
            ended.add(stream_id)
        kinds.append(" ".join(words))
    return kinds


def stop_of(data: bytes, shows: Callable[[bytes], bool], known: Collection[str] = ()) -> tuple[str, bytes]:
    """Returns the kind of the frame at which a target stops, and the start of the bytes that ends with it.

    ``data``: bytes without a probe that show the fault. ``shows``: returns True for a start that shows the fault. ``known``: kinds
    that are tried first, because two runs confirm a kind.
    """
    frames, kinds = frames_of(data), kinds_of(data)
    ends = [0]
    for frame in frames:
        ends.append(ends[-1] + len(frame))
    low, high = 0, len(frames)
    first = next((number for number, kind in enumerate(kinds) if kind in known), None)
    if first is not None and not shows(data[: ends[first]]):
        low = first
        if first + 1 == high or shows(data[: ends[first + 1]]):
            return kinds[first], data[: ends[first + 1]]
        low = first + 1
    elif first is not None:
        high = first
    if not low and (not high or shows(b"")):
        return FIRST, b""
    while high - low > 1:
        middle = (low + high) // 2
        if shows(data[: ends[middle]]):
            high = middle
        else:
            low = middle
    return kinds[high - 1], data[: ends[high]]
