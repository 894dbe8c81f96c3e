"""Valid sessions of a client and a server, with every kind of frame.

The frames of both sides are chosen first: interleaved requests, messages, and responses. The frames of each side are then
assigned to streams, each with a beginning, perhaps an encoding, and an end.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hgproto.judging.finding import ROLES
from hgproto.reactors.session import Encoders
from hgproto.revisions.revision import default_revision
from hgproto.runtime.frame import check_instance
from hgproto.samples.choices import Choices
from hgproto.streams.encodings import default_encodings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hgproto.judging.finding import Role
    from hgproto.runtime.frame import Frame
    from hgproto.streams.encodings import Encodings

__all__ = ["SIDES", "STREAMS", "Line", "on_streams", "session", "wires"]

SIDES: tuple[Role, ...] = ROLES
STREAMS = {"client": (1, 3, 255), "server": (2, 4, 254)}
"""The stream ids that samples use for each side."""
_REVISION = default_revision()
_command = _REVISION.message("command", "argument", "data")
codec = _REVISION.codec
BEGIN, END, ENCODED = _REVISION.begin, _REVISION.end, _REVISION.encoded
_CLIENT, _SERVER = STREAMS["client"][0], STREAMS["server"][0]
_PROGRESS = _REVISION.code_of("progress")
_MOST_REQUESTS = 4
_PAYLOADS = (32768, 48, 24, 16)
"""Payload sizes, in bytes, at which values, data, and responses are split into frames."""
_NAMES = ("heads", "lookup", "x", "pushkey", "~ ?")
_ARGUMENTS = ("key", "a", "namespace", "0 ", "\0")
_BYTES = (b"", b"tip", b"\0\xff", b"7d2c5a1e9f0b4c3d8e6f1a2b3c4d5e6f70819203")
_WORDS = ("", "stable", "caf\u00e9", "\0%", "\U0001f9ea")
_FORMATS: tuple[tuple[str, int], ...] = (
    ("done\n", 0),
    ("%s\n", 1),
    ("%s of %s\n", 2),
    ("100%%\n", 0),
    ("\u00e9 %s\n", 1),
)
_LABELS = ("ui.status", "", "x")
_TOPICS = ("files", "", "resolving")


class Line(NamedTuple):
    """A line of a session: a frame of one side.

    ``side``: ``client`` or ``server``. ``frame``: the frame, with its payload before content encoding; None for the end of the
    side's output. ``raw``: True if the payload is the one on the wire instead. ``data``: bytes instead of a frame.
    """

    side: Role
    frame: Frame | None
    raw: bool = False
    data: bytes | None = None


def session(choices: Choices, *, encodings: Encodings | None = None) -> list[Line]:
    """Builds a valid session. ``encodings``: the profiles that streams may name."""
    check_instance(choices, Choices, "choices")
    profiles = ("", "", *(default_encodings() if encodings is None else encodings))
    lines = [Line(side, frame) for side, frame in _conversation(choices)]
    for side in SIDES:
        lines = list(on_streams(lines, side, choices, profiles))
    return lines


def wires(lines: Iterable[Line], *, encodings: Encodings | None = None) -> Iterator[tuple[Role, bytes | None]]:
    """Yields the side and the bytes of each line, with stream encodings applied; None where the output of a side ends."""
    encoders = Encoders(encodings)
    most = codec.MAX_PAYLOAD[1]
    for side, frame, raw, data in lines:
        if data is not None or frame is None:
            yield side, data
        else:
            yield side, codec.encode_frame(frame if raw else encoders.encoded(side, frame), most)


def _conversation(choices: Choices) -> Iterator[tuple[Role, Frame]]:
    """Yields the frames of both sides, without stream flags, each side on one stream."""
    size = choices.pick(_PAYLOADS)
    ids = [2 * number + 1 for number in range(choices.below(_MOST_REQUESTS + 1))]
    queues: list[tuple[Role, list[Frame]]] = []
    while ids or queues:
        which = choices.below(len(queues) + bool(ids))
        if which == len(queues):
            queues.append(("client", _request(ids.pop(0), choices, size)))
        side, frames = queues[which]
        frame = frames.pop(0)
        yield side, frame
        if not frames:
            del queues[which]
            if side == "client":
                queues.append(("server", _response(int(frame.request_id), choices, size)))


def _request(request_id: int, choices: Choices, size: int) -> list[Frame]:
    """Builds the frames of a command."""
    args = {choices.pick(_ARGUMENTS): _bytes(choices) for _ in range(choices.below(4))}
    data = _bytes(choices) if choices.below(3) == 2 else None
    return list(_command(request_id, _CLIENT, choices.pick(_NAMES), args, data, max_payload=size))


def _response(request_id: int, choices: Choices, size: int) -> list[Frame]:
    """Builds the frames that a server sends for a request, its response last. Every progress topic ends."""
    frames: list[Frame] = []
    for _ in range(choices.below(3)):
        if choices.below(2):
            atoms = [_atom(choices) for _ in range(choices.among(1, 3))]
            frames.append(_REVISION.message("text")(request_id, _SERVER, atoms))
        else:
            topic = choices.pick(_TOPICS)
            total = choices.pick((0, 1, 300, (1 << 64) - 1))
            label, item = choices.pick((None, *_WORDS)), choices.pick((None, *_WORDS))
            payloads = _progress(topic, choices.below(30), total, label, item), _progress(topic, -1, total)
            frames += [codec.make_frame(request_id, _SERVER, 0, _PROGRESS, 0, payload) for payload in payloads]
    if choices.below(4) == 3:
        return [*frames, _REVISION.message("error")(request_id, _SERVER, choices.pick(_WORDS))]
    return [*frames, *_REVISION.message("response")(request_id, _SERVER, _bytes(choices), max_payload=size)]


@lru_cache(maxsize=16_000)
def _progress(topic: str, pos: int, total: int, label: str | None = None, item: str | None = None) -> bytes:
    """Encodes a progress payload. The cache holds all of them, because encoding CBOR is slow."""
    return bytes(_REVISION.message("progress")(0, _SERVER, topic, pos, total, label=label, item=item).payload)


def _atom(choices: Choices) -> tuple[str, list[str], list[str]]:
    text, placeholders = choices.pick(_FORMATS)
    labels = [choices.pick(_LABELS) for _ in range(choices.below(3))]
    return text, labels, [choices.pick(_WORDS) for _ in range(placeholders)]


def _bytes(choices: Choices) -> bytes:
    return choices.pick(_BYTES) * choices.among(1, 3)


def on_streams(lines: list[Line], side: Role, choices: Choices, profiles: Sequence[str]) -> Iterator[Line]:
    """Yields the lines with the frames of a side assigned to streams."""
    lives: list[list[int]] = []
    current: dict[int, list[int]] = {}
    streams: dict[int, int] = {}
    stream_id = STREAMS[side][0]
    for number, line in enumerate(lines):
        if line.side != side:
            continue
        if choices.below(3) == 2:
            stream_id = choices.pick(STREAMS[side])
        if stream_id not in current or choices.one_in(6):
            # A stream begins, or it ends and begins again.
            lives.append([])
            current[stream_id] = lives[-1]
        current[stream_id].append(number)
        streams[number] = stream_id
    flags: dict[int, int] = dict.fromkeys(streams, 0)
    settings: dict[int, str] = {}
    for life in lives:
        profile = choices.pick(profiles)
        if profile:
            settings[life[0]] = profile
            encoded = [number for number in life if choices.below(4)]
            # The compressed data must be complete when the stream ends.
            for number in [*encoded, life[-1]] if encoded else ():
                flags[number] |= ENCODED
        else:
            flags[life[0]] |= BEGIN
        flags[life[-1]] |= END
    for number, line in enumerate(lines):
        frame = line.frame
        if line.side != side or frame is None:
            yield line
            continue
        if number in settings:
            yield Line(side, _REVISION.message("settings")(int(frame.request_id), streams[number], settings[number]))
        placed = codec.make_frame(
            frame.request_id, streams[number], flags[number], frame.type, frame.flags, bytes(frame.payload)
        )
        yield Line(side, placed)
