"""Features that a target may lack. Leaving out the cases that use one lets the other cases run.

They come from the revision: each frame type, each flag, and each stream flag that the other side sends, except those that every
case needs. A case that uses a feature that the target lacks is left out, whether it is valid or not.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.errors import quoted
from hgproto.fuzz.raw import frames_of, has_header, number_of
from hgproto.reactors.content import Content
from hgproto.reactors.events import RunCommand, SendFrames
from hgproto.reactors.limits import Limits
from hgproto.reactors.server import Server
from hgproto.revisions.revision import default_revision

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    from hgproto.runtime.bytelike import BytesLike
    from hgproto.streams.encodings import Encodings

__all__ = ["Feature", "features", "features_named", "used"]

_REVISION = default_revision()
codec, _CONTENT = _REVISION.codec, Content(_REVISION)
_ERROR, _RESPONSE = _REVISION.code_of("error"), _REVISION.code_of("response")
_LAST = _REVISION.flag(_RESPONSE, "last")
_INTERLEAVING = "interleaving"
_ENCODINGS = {
    "encodings": (codec.STREAM_FLAG_NAMES[_REVISION.encoded], codec.TYPE_NAMES[_REVISION.code_of("settings")])
}
"""Features that consist of several parts of the revision."""
_NEEDED_TYPE, _NEEDED_FLAG = _CONTENT.name, _CONTENT.name_is_all
_NEEDED_STREAM_FLAG = _REVISION.begin
"""Parts of a probe, which ends each case for a server."""


class Feature(NamedTuple):
    """A feature.

    ``headers``: a frame type, or None for any, with a mask of flags and a mask of stream flags; 0 for any. ``reading``: the
    options of a server that reads as far as the target.
    """

    name: str
    headers: tuple[tuple[int | None, int, int], ...]
    reading: tuple[tuple[str, Any], ...] = ()

    @property
    def leaves_out(self) -> str:
        """The frames that are not sent to a target without this feature, in words."""
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


def features_named(
    names: Iterable[str],
    types: Iterable[str],
    *,
    limits: Limits | None = None,
    encodings: Encodings | None = None,
    reopen: Literal["error", "restart"] = "error",
) -> tuple[Feature, ...]:
    """Returns the features with these names. Raises :class:`ValueError` for an unknown name.

    ``limits``, ``encodings``, ``reopen``: those of the target, as for :class:`hgproto.Server`. They decide how far it reads.
    """
    known = features(types)
    reading = _reading(limits, encodings, reopen)
    chosen = []
    for name in dict.fromkeys(names):
        if name not in known:
            raise ValueError(f"there is no feature {quoted(name)}; there are {', '.join(sorted(known))}")
        chosen.append(known[name]._replace(reading=reading))
    return tuple(chosen)


def used(data: BytesLike, chosen: Iterable[Feature]) -> Feature | None:
    """Returns the first of ``chosen`` that the bytes use; None if they use no such feature."""
    chosen = tuple(chosen)
    if not chosen:
        return None
    frames = list(filter(has_header, frames_of(data)))
    seen = {tuple(number_of(frame, name) for name in ("type", "flags", "stream_flags")) for frame in frames}
    for feature in chosen:
        if not feature.headers:
            if _is_interleaved(frames, feature.reading):
                return feature
        elif any(
            (code is None or code == kind) and flags & own == flags and stream_flags & own_stream == stream_flags
            for code, flags, stream_flags in feature.headers
            for kind, own, own_stream in seen
        ):
            return feature
    return None


def _is_interleaved(frames: list[bytes], reading: Iterable[tuple[str, Any]]) -> bool:
    """True if a request begins before another is complete, or if frames of a response come between those of another."""
    server = Server(**dict(reading))
    # The incomplete requests; the value is True if the request announced data.
    receiving: dict[int, bool] = {}
    for frame in frames:
        for event in server.receive_data(frame):
            if isinstance(event, RunCommand):
                server.answered(event.request_id)
            elif isinstance(event, SendFrames):
                # Consume the response.
                list(event)
        if not server.works:
            break
        request_id, kind, flags = _named(frame)
        if kind == _REVISION.settings:
            continue
        has_data = receiving.pop(request_id, bool(flags & _CONTENT.data_follows))
        if receiving:
            return True
        # Use the flags of the frame, because the server has no command for a request that it rejects.
        if kind == _CONTENT.argument_code:
            is_last = bool(flags & _CONTENT.last_argument) and not has_data
        else:
            is_last = bool(flags & (_CONTENT.name_is_all if kind == _CONTENT.name else _CONTENT.last_data))
        if not is_last:
            receiving[request_id] = has_data
    return _are_interleaved([_named(frame) for frame in frames if not number_of(frame, "stream_id") & 1])


def _are_interleaved(responding: list[tuple[int, int, int]]) -> bool:
    """True if frames of a response come between those of another. ``responding``: request id, type, and flags of each frame."""
    done: Counter[int] = Counter()
    turns: list[tuple[int, int]] = []
    for request_id, kind, flags in responding:
        if kind == _REVISION.settings:
            continue
        # An id may be used again after its response.
        turn = request_id, done[request_id]
        if turns[-1:] != [turn]:
            turns.append(turn)
        if kind == _ERROR or (kind == _RESPONSE and flags & _LAST):
            done[request_id] += 1
    return len(turns) > len(set(turns))


def _named(frame: bytes) -> tuple[int, int, int]:
    """Returns the request id, the type, and the flags of a frame."""
    return number_of(frame, "request_id"), number_of(frame, "type"), number_of(frame, "flags")


def _reading(limits: Limits | None, encodings: Encodings | None, reopen: str) -> tuple[tuple[str, Any], ...]:
    """Returns the options of a server that reads at least as far as a target."""
    known = Limits() if limits is None else limits
    # A target with unknown limits may read further than the defaults allow. Limits on decoding are not raised, to save memory.
    kept = {name: getattr(known, name) for name in ("max_payload", "decoded_frame", "decoded_response")}
    most = {name.replace("-", "_"): maximum for name, (_, maximum) in codec.LIMITS.items()}
    return ("limits", Limits(**most | kept)), ("encodings", encodings), ("reopen", reopen)
