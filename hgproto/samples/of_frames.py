"""Violators of what any frame, any stream and any content encoding has to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.encodings import default_encodings
from hgproto.framing_0002 import codec, machines
from hgproto.samples.scene import NothingToBreakError, Scene, Violators
from hgproto.samples.sessions import BEGIN, ENCODED, END, SIDES, Line

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["VIOLATORS"]

VIOLATORS = Violators()

_SETTINGS = codec.FrameType.STREAM_SETTINGS
_MOST, _LARGEST = codec.LIMITS["max-payload"]


# The header of any frame.


@VIOLATORS.of("frame.length-limit")
def _(scene: Scene) -> None:
    number = scene.pick(scene.numbers())
    length = scene.pick((_MOST + 1, _LARGEST, 1 << 16 | 5, 1 << 20))
    frame = codec.encode_frame(scene.frames[number], _LARGEST)
    scene.lines[number] = scene.lines[number]._replace(octets=length.to_bytes(3, "little") + frame[3:])


@VIOLATORS.of("frame.whole")
def _(scene: Scene) -> None:
    number = scene.pick(numbers[-1] for side in SIDES if (numbers := scene.numbers(side=side)))
    frame = codec.encode_frame(scene.frames[number])
    scene.lines[number] = scene.lines[number]._replace(octets=frame[: scene.between(1, len(frame) - 1)])


@VIOLATORS.of("frame.known-type")
def _(scene: Scene) -> None:
    unknown = [code for code in range(16) if code not in codec.TYPE_NAMES]
    scene.change(scene.pick(scene.numbers()), type=scene.pick(unknown))


@VIOLATORS.of("frame.known-flags")
def _(scene: Scene) -> None:
    number = scene.pick(scene.numbers())
    frame = scene.frames[number]
    unknown = [1 << bit for bit in range(4) if 1 << bit not in codec.FLAG_NAMES[int(frame.type)]]
    scene.change(number, flags=int(frame.flags) | scene.pick(unknown))


@VIOLATORS.of("frame.known-stream-flags")
def _(scene: Scene) -> None:
    number = scene.pick(scene.numbers())
    unknown = [1 << bit for bit in range(8) if 1 << bit not in codec.STREAM_FLAG_NAMES]
    scene.change(number, stream_flags=int(scene.frames[number].stream_flags) | scene.pick(unknown))


@VIOLATORS.of("request-id.parity")
def _(scene: Scene) -> None:
    request_id = scene.pick((0, 2, 0xFFFE))
    if scene.requests and scene.choices.below(2):
        request = scene.requests[scene.pick(scene.requests)]
        for number in (*request.sent, *request.received):
            scene.change(number, request_id=request_id)
    else:
        # Nobody looks at the request id of stream-settings.
        numbers = scene.numbers(None, "client", lambda _, frame: frame.type != _SETTINGS)
        scene.change(scene.pick(numbers), request_id=request_id)


@VIOLATORS.of("request-id.order")
def _(scene: Scene) -> None:
    request = scene.requests[scene.pick(scene.requests)]
    request_id = scene.next_id() + 2 * scene.choices.below(9)
    for number in (*request.sent, *request.received):
        scene.change(number, request_id=request_id)


@VIOLATORS.of("stream-id.parity")
def _(scene: Scene) -> None:
    number = scene.pick(scene.numbers())
    side, stream_id = scene.lines[number].side, scene.frames[number].stream_id
    parity = int(machines.STREAM_PARITY[side])
    other = scene.pick((1 - parity, 3 - parity, 255 - parity))
    # The frame alone, or all of its stream.
    together = scene.choices.below(2)
    for one in scene.numbers(None, side, lambda _, frame: frame.stream_id == stream_id) if together else (number,):
        scene.change(one, stream_id=other)


# Streams.


@VIOLATORS.of("stream.begin-required")
def _(scene: Scene) -> None:
    number = scene.pick(
        scene.numbers(None, None, lambda _, frame: frame.type != _SETTINGS and frame.stream_flags & BEGIN)
    )
    scene.change(number, stream_flags=scene.frames[number].stream_flags & ~BEGIN)


@VIOLATORS.of("stream.begin-on-open")
def _(scene: Scene) -> None:
    number = scene.pick(scene.numbers(None, None, lambda _, frame: not frame.stream_flags & (BEGIN | ENCODED)))
    scene.change(number, stream_flags=scene.frames[number].stream_flags | BEGIN)


@VIOLATORS.of("stream.begin-plain")
def _(scene: Scene) -> None:
    number = scene.pick(scene.numbers(None, None, lambda _, frame: frame.stream_flags & BEGIN))
    scene.change(number, stream_flags=scene.frames[number].stream_flags | ENCODED)


@VIOLATORS.of("stream.open-limit")
def _(scene: Scene) -> None:
    side = scene.pick(SIDES)
    most = codec.LIMITS["open-streams"][0]
    settings = codec.encode_stream_settings(codec.StreamSettings("identity", b""))
    number = scene.anywhere()
    frames = [codec.make_frame(0, stream_id, BEGIN, _SETTINGS, 0, settings) for stream_id in scene.free_streams(side)]
    scene.lines[number:number] = [Line(side, frame) for frame in frames[: most + 1]]


@VIOLATORS.of("stream.end")
def _(scene: Scene) -> None:
    last = {frame.stream_id: number for number, frame in enumerate(scene.frames)}
    number = scene.pick(last.values())
    scene.change(number, stream_flags=scene.frames[number].stream_flags & ~END)


@VIOLATORS.of("stream.encoded-needs-settings")
def _(scene: Scene) -> None:
    plain = scene.numbers(None, None, lambda number, frame: not (scene.profiles[number] or frame.stream_flags & BEGIN))
    number = scene.pick(plain)
    scene.change(number, stream_flags=scene.frames[number].stream_flags | ENCODED)


# Content encodings.


def _compressed(scene: Scene) -> int:
    return int(
        scene.pick(
            scene.numbers(
                None,
                None,
                lambda number, frame: frame.stream_flags & ENCODED and scene.profiles[number] in ("zlib", "zstd-8mb"),
            )
        )
    )


@VIOLATORS.of("encoding.decodable")
def _(scene: Scene) -> None:
    number = _compressed(scene)
    scene.change(number, payload=b"\xff" * scene.between(9, 20))
    scene.lines[number] = scene.lines[number]._replace(raw=True)


@VIOLATORS.of("encoding.decoded-limit")
def _(scene: Scene) -> None:
    most = codec.LIMITS["decoded-frame"][0]
    scene.change(_compressed(scene), payload=bytes(most + 1))


def _on_encoded_stream(scene: Scene, profile: str, encode: Callable[[bytes], bytes]) -> None:
    """A frame on a stream of its own, its payload as it is on the wire."""
    number, side, frame = scene.aside()
    settings = codec.encode_stream_settings(codec.StreamSettings(profile, b""))
    first = scene.make(frame.request_id, _SETTINGS, 0, settings)
    frame = frame.replace(payload=encode(bytes(frame.payload)), stream_flags=ENCODED)
    scene.insert(number, side, frame, first, raw=True)


@VIOLATORS.of("encoding.nothing-after-end")
def _(scene: Scene) -> None:
    encodings = default_encodings()
    profile = scene.pick(name for name in ("zlib", "zstd-8mb") if name in encodings)
    encoder = encodings[profile].encoder()
    surplus = scene.choices.octets(1, 4)
    _on_encoded_stream(scene, profile, lambda payload: encoder.encode(payload) + encoder.finish() + surplus)


@VIOLATORS.of("encoding.complete-at-end")
def _(scene: Scene) -> None:
    encodings = default_encodings()
    profile = scene.pick(name for name in ("zlib", "zstd-8mb") if name in encodings)
    encoder = encodings[profile].encoder()
    _on_encoded_stream(scene, profile, lambda payload: encoder.encode(payload) + encoder.flush())


@VIOLATORS.of("encoding.window")
def _(scene: Scene) -> None:
    if "zstd-8mb" not in default_encodings():
        raise NothingToBreakError
    # Of the window descriptor, the upper five bits say how many times 1 KiB is doubled, the others add eighths.
    descriptor = scene.pick((13 << 3 | 1, 14 << 3, 17 << 3))

    def encode(payload: bytes) -> bytes:
        block = (len(payload) << 3 | 1).to_bytes(3, "little")
        return b"\x28\xb5\x2f\xfd\x00" + bytes([descriptor]) + block + payload

    _on_encoded_stream(scene, "zstd-8mb", encode)


@VIOLATORS.of("stream-settings.known-profile")
def _(scene: Scene) -> None:
    name = scene.pick((b"br", b"ZLIB", b"zlib ", b"zstd"))
    scene.change(scene.pick(scene.numbers(_SETTINGS)), payload=bytes([len(name)]) + name)


@VIOLATORS.of("stream-settings.profile-octets")
def _(scene: Scene) -> None:
    surplus = scene.choices.octets(1, 4)
    scene.change_payload(scene.pick(scene.numbers(_SETTINGS)), lambda payload: payload + surplus)


@VIOLATORS.of("stream-settings.on-begin")
def _(scene: Scene) -> None:
    later = scene.numbers(None, None, lambda _, frame: not frame.stream_flags & (BEGIN | ENCODED))
    if later and scene.choices.below(2):
        # In the middle of a stream.
        number = scene.choices.pick(later)
        frame = scene.frames[number]
        settings = codec.encode_stream_settings(codec.StreamSettings("identity", b""))
        late = codec.make_frame(frame.request_id, frame.stream_id, 0, _SETTINGS, 0, settings)
        scene.lines.insert(number, Line(scene.lines[number].side, late))
    else:
        scene.change(scene.pick(scene.numbers(_SETTINGS)), stream_flags=0)


@VIOLATORS.of("stream-settings.name-whole")
def _(scene: Scene) -> None:
    more = scene.between(1, 200)
    scene.change_payload(scene.pick(scene.numbers(_SETTINGS)), lambda payload: bytes([payload[0] + more]) + payload[1:])


@VIOLATORS.of("stream-settings.name-ascii")
def _(scene: Scene) -> None:
    scene.change(scene.pick(scene.numbers(_SETTINGS)), payload=scene.pick((b"\x00", b"\x04zl\xefb")))
