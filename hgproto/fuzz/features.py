"""Features that a target may lack, so that one of them does not mask half of the cases.

They come from the revision: each frame type, each flag, and each stream flag that the other side sends, except what every case
needs. A case that uses a feature which the target lacks is left out, whether it is valid or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgproto.errors import quoted
from hgproto.reactors.events import RunCommand
from hgproto.reactors.server import Server
from hgproto.reactors.session import frames_of
from hgproto.revisions.framing_0002 import codec

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Feature", "features", "features_named", "used"]

_INTERLEAVING = "interleaving"
_ENCODINGS = {"encodings": ("encoded", "stream-settings")}
"""Features that are several of the revision's parts."""
_NEEDED_TYPE, _NEEDED_FLAG = codec.FrameType.COMMAND_NAME, int(codec.CommandNameFlag.EOS)
_NEEDED_STREAM_FLAG = int(codec.StreamFlag.STREAM_BEGIN)
"""Parts of a probe, which ends each case for a server."""


class Feature(NamedTuple):
    """A feature. ``headers``: each a frame type, or None for any, with a mask of flags and one of stream flags; 0 for any."""

    name: str
    headers: tuple[tuple[int | None, int, int], ...]

    @property
    def leaves_out(self) -> str:
        """The frames that a target without this feature is not given, in words."""
        if not self.headers:
            return "requests whose frames come between those of another request"
        words = []
        for code, flags, stream_flags in self.headers:
            if code is None:
                words.append(f"frames with {codec.STREAM_FLAG_NAMES[stream_flags]}")
            elif flags:
                words.append(f"{codec.TYPE_NAMES[code]} with {codec.FLAG_NAMES[code][flags]}")
            else:
                words.append(codec.TYPE_NAMES[code])
        return ", ".join(words)


def features(types: Iterable[str]) -> dict[str, Feature]:
    """Returns the features by their names. ``types``: the frame types that the other side sends."""
    parts: dict[str, list[tuple[int | None, int, int]]] = {}
    for mask, name in codec.STREAM_FLAG_NAMES.items():
        if mask != _NEEDED_STREAM_FLAG:
            parts[name] = [(None, 0, mask)]
    codes = [codec.CODES[name] for name in types]
    needed = {codec.FLAG_NAMES[_NEEDED_TYPE][_NEEDED_FLAG]} if _NEEDED_TYPE in codes else set()
    for code in codes:
        name = codec.TYPE_NAMES[code]
        if code != _NEEDED_TYPE:
            parts[name] = [(code, 0, 0)]
        for mask, flag in codec.FLAG_NAMES[code].items():
            if code != _NEEDED_TYPE or mask != _NEEDED_FLAG:
                parts[f"{name}.{flag}"] = [(code, mask, 0)]
            if flag not in needed:
                parts.setdefault(flag, []).append((code, mask, 0))
    for name, members in _ENCODINGS.items():
        parts[name] = [header for member in members for header in parts.get(member, ())]
    found = {name: Feature(name, tuple(headers)) for name, headers in parts.items()}
    return found | {_INTERLEAVING: Feature(_INTERLEAVING, ())}


def features_named(names: Iterable[str], types: Iterable[str]) -> tuple[Feature, ...]:
    """Returns the features of some names. Raises :class:`ValueError` for a name that is not one."""
    known = features(types)
    chosen = []
    for name in names:
        if name not in known:
            raise ValueError(f"there is no feature {quoted(name)}; there are {', '.join(sorted(known))}")
        chosen.append(known[name])
    return tuple(chosen)


def used(octets: bytes, chosen: Iterable[Feature]) -> Feature | None:
    """Returns the first of some features that octets use, None if they use none."""
    frames = [frame for frame in frames_of(octets) if len(frame) >= codec.HEADER_OCTETS]
    seen = {(frame[7] >> 4, frame[7] & 15, frame[6]) for frame in frames}
    for feature in chosen:
        if not feature.headers:
            if _is_interleaved(frames):
                return feature
        elif any(
            (code is None or code == kind) and flags & own == flags and stream_flags & own_stream == stream_flags
            for code, flags, stream_flags in feature.headers
            for kind, own, own_stream in seen
        ):
            return feature
    return None


def _is_interleaved(frames: list[bytes]) -> bool:
    """True if a request begins before another was received, or if frames of a response come between those of another."""
    server = Server()
    begun: set[int] = set()
    for frame in frames:
        events = server.receive_data(frame)
        if not server.works:
            break
        if frame[7] >> 4 != codec.FrameType.STREAM_SETTINGS:
            begun.add(int.from_bytes(frame[3:5], "little"))
        if len(begun) > 1:
            return True
        begun -= {event.request_id for event in events if isinstance(event, RunCommand)}
    responding = [int.from_bytes(frame[3:5], "little") for frame in frames if not frame[5] & 1]
    turns = [one for number, one in enumerate(responding) if not number or responding[number - 1] != one]
    return len(turns) > len(set(turns))
