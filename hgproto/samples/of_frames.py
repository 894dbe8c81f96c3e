"""Violators for requirements on every frame, every stream, and every content encoding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.reactors.content import Content
from hgproto.revisions.revision import default_revision
from hgproto.samples.limits import message_of
from hgproto.samples.scene import NothingToBreakError, Scene, Violators
from hgproto.samples.sessions import BEGIN, ENCODED, END, Line

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ABOUT_ENCODINGS", "VIOLATORS"]

VIOLATORS = Violators()
ABOUT_ENCODINGS = ("encoding.", "stream-settings.", "stream.encoded-needs-settings", "stream.begin-plain")
"""The starts of the ids of requirements on content encodings and their settings."""

_REVISION = default_revision()
codec, _CONTENT = _REVISION.codec, Content(_REVISION)
_NAME, _SETTINGS = _CONTENT.name, _REVISION.code_of("settings")
_COMPRESSORS = {
    algorithm: name for name, (algorithm, _) in _REVISION.roles.PROFILES.items() if algorithm not in (None, "identity")
}
_MOST, _LARGEST = codec.MAX_PAYLOAD


# The header of any frame.


@VIOLATORS.of("frame.length-limit")
def _(scene: Scene) -> None:
    number = scene.pick(scene.own())
    length = scene.pick((_MOST + 1, _LARGEST, 1 << 16 | 5, 1 << 20))
    frame = codec.encode_frame(scene.frames[number], _LARGEST)
    scene.lines[number] = scene.lines[number]._replace(data=length.to_bytes(3, "little") + frame[3:])


@VIOLATORS.of("frame.whole")
def _(scene: Scene) -> None:
    side = scene.either()
    if side == "server" and not scene.requests:
        scene.add()
    number = next(reversed(scene.numbers(None, side)), None)
    if number is None or scene.frames[number].type == _NAME:
        # Cut a new command. Without an existing command, its response would belong to no request.
        number = scene.end()
        scene.insert(number, side, scene.make(scene.next_id(), _NAME, _CONTENT.name_is_all, b"x"))
    cut = scene.lines[number].frame
    assert cut is not None  # noqa: S101 - it was just chosen for its frame
    frame = codec.encode_frame(cut)
    scene.lines[number] = scene.lines[number]._replace(data=frame[: scene.between(1, len(frame) - 1)])


@VIOLATORS.of("frame.known-type")
def _(scene: Scene) -> None:
    unknown = [code for code in range(16) if code not in codec.TYPE_NAMES]
    # Without its settings, the other payloads of a stream could not be decoded.
    number = scene.pick(scene.own(lambda number, frame: frame.type != _SETTINGS and scene.may_be_lost(number)))
    scene.change(number, type=scene.pick(unknown))


@VIOLATORS.of("frame.known-flags")
def _(scene: Scene) -> None:
    number = scene.pick(scene.own(lambda number, _: scene.may_be_lost(number)))
    frame = scene.frames[number]
    unknown = [1 << bit for bit in range(4) if 1 << bit not in codec.FLAG_NAMES[int(frame.type)]]
    scene.change(number, flags=int(frame.flags) | scene.pick(unknown))


@VIOLATORS.of("frame.known-stream-flags")
def _(scene: Scene) -> None:
    number = scene.pick(scene.own(lambda number, _: scene.may_be_lost(number)))
    unknown = [1 << bit for bit in range(8) if 1 << bit not in codec.STREAM_FLAG_NAMES]
    scene.change(number, stream_flags=int(scene.frames[number].stream_flags) | scene.pick(unknown))


@VIOLATORS.of("request-id.parity")
def _(scene: Scene) -> None:
    # Receivers ignore the request id of stream-settings.
    kind, flags, payload = scene.pick(
        (
            (_NAME, _CONTENT.name_is_all, b"x"),
            (_NAME, _CONTENT.data_follows, b"x"),
            (_CONTENT.data, _CONTENT.last_data, b"x"),
            (_CONTENT.argument_code, _CONTENT.last_argument, b"\x01\x00\x01\x00kv"),
        )
    )
    number = scene.choices.among(0, scene.end())
    scene.insert(number, "client", scene.make(scene.pick((0, 2, 0xFFFE)), kind, flags, payload))


@VIOLATORS.of("request-id.order")
def _(scene: Scene) -> None:
    if not scene.requests:
        scene.add()
    request = scene.requests[scene.pick(scene.requests)]
    request_id = scene.next_id() + 2 * scene.choices.below(9)
    for number in (*request.sent, *request.received):
        scene.change(number, request_id=request_id)


@VIOLATORS.of("stream-id.parity")
def _(scene: Scene) -> None:
    number = scene.pick(scene.own())
    side, stream_id, flags = scene.lines[number].side, scene.frames[number].stream_id, scene.frames[number].stream_flags
    parity = int(_REVISION.machines.STREAM_PARITY[side])
    other = scene.pick((1 - parity, 3 - parity, 255 - parity))
    # Move only the frame if its stream does not need it, or else all frames of the stream.
    alone = not flags & (BEGIN | END | ENCODED) and scene.choices.below(2)
    numbers = (number,) if alone else scene.numbers(None, side, lambda _, frame: frame.stream_id == stream_id)
    for one in numbers:
        scene.change(one, stream_id=other)


# Streams.


@VIOLATORS.of("stream.begin-required")
def _(scene: Scene) -> None:
    number = scene.pick(scene.own(lambda _, frame: frame.type != _SETTINGS and frame.stream_flags & BEGIN))
    scene.change(number, stream_flags=scene.frames[number].stream_flags & ~BEGIN)


@VIOLATORS.of("stream.begin-on-open")
def _(scene: Scene) -> None:
    # Not on a stream with settings, which the receiver would forget.
    number = scene.pick(
        scene.own(lambda number, frame: not scene.profiles[number] and not frame.stream_flags & (BEGIN | ENCODED))
    )
    scene.change(number, stream_flags=scene.frames[number].stream_flags | BEGIN)


@VIOLATORS.of("stream.begin-plain")
def _(scene: Scene) -> None:
    number = scene.pick(scene.own(lambda number, frame: frame.stream_flags & BEGIN and scene.may_be_lost(number)))
    scene.change(number, stream_flags=scene.frames[number].stream_flags | ENCODED)


@VIOLATORS.of("stream.open-limit")
def _(scene: Scene) -> None:
    side = scene.either()
    most = _REVISION.limit("open_streams")[0]
    settings = _REVISION.encode_settings(scene.profile(), b"")
    number = scene.anywhere()
    frames = [codec.make_frame(0, stream_id, BEGIN, _SETTINGS, 0, settings) for stream_id in scene.free_streams(side)]
    scene.lines[number:number] = [Line(side, frame) for frame in frames[: most + 1]]


@VIOLATORS.of("stream.end")
def _(scene: Scene) -> None:
    last = {scene.frames[number].stream_id: number for number in scene.own()}
    number = scene.pick(last.values())
    scene.change(number, stream_flags=scene.frames[number].stream_flags & ~END)


@VIOLATORS.of("stream.encoded-needs-settings")
def _(scene: Scene) -> None:
    number = scene.pick(
        scene.own(
            lambda number, frame: (
                not (scene.profiles[number] or frame.stream_flags & BEGIN) and scene.may_be_lost(number)
            )
        )
    )
    scene.change(number, stream_flags=scene.frames[number].stream_flags | ENCODED)


# Content encodings.


def _compressors(scene: Scene) -> list[str]:
    return [name for name in _COMPRESSORS.values() if name in scene.encodings]


def _compressed(scene: Scene) -> int | None:
    """Returns the line of a compressed frame that its stream does not need. None at times, for a frame on a new stream."""
    found = scene.numbers(
        None,
        scene.role,
        lambda number, frame: (
            frame.stream_flags & ENCODED
            and scene.profiles[number] in _COMPRESSORS.values()
            and scene.may_be_lost(number)
        ),
    )
    return scene.choices.pick(found) if found and scene.choices.below(2) else None


@VIOLATORS.of("encoding.decodable")
def _(scene: Scene) -> None:
    payload = b"\xff" * scene.between(9, 20)
    number = _compressed(scene)
    if number is None:
        _on_encoded_stream(scene, scene.pick(_compressors(scene)), lambda _: payload)
    else:
        scene.change(number, payload=payload)
        scene.lines[number] = scene.lines[number]._replace(raw=True)


@VIOLATORS.of("encoding.decoded-limit")
def _(scene: Scene) -> None:
    payload = bytes(_REVISION.limit("decoded_frame")[0] + 1)
    number = _compressed(scene)
    if number is None:
        profile = scene.pick(_compressors(scene))
        encoder = scene.encodings[profile].encoder()
        _on_encoded_stream(scene, profile, lambda _: encoder.encode(payload) + encoder.finish())
    else:
        scene.change(number, payload=payload)


@VIOLATORS.of("frame.items-limit")
def _(scene: Scene) -> None:
    profile = scene.pick(_compressors(scene))
    if not scene.requests:
        scene.add()
    number = scene.pick(scene.numbers(None, "server", lambda _, frame: frame.type != _SETTINGS))
    request_id = scene.frames[number].request_id
    payload = message_of(_REVISION.limit("payload_items")[0] + 1)
    settings = _REVISION.encode_settings(profile, b"")
    first = scene.make(request_id, _SETTINGS, 0, settings)
    # The payload before encoding: the output of compressors differs between their versions.
    text = scene.make(request_id, _REVISION.code_of("text"), 0, payload, ENCODED)
    scene.insert(number, "server", text, first)


def _on_encoded_stream(scene: Scene, profile: str, encode: Callable[[bytes], bytes]) -> None:
    """Inserts a frame on a stream of its own. ``encode`` returns the payload as on the wire."""
    number, side, frame = scene.aside()
    settings = _REVISION.encode_settings(profile, b"")
    first = scene.make(frame.request_id, _SETTINGS, 0, settings)
    frame = frame.replace(payload=encode(bytes(frame.payload)), stream_flags=ENCODED)
    scene.insert(number, side, frame, first, raw=True)


@VIOLATORS.of("encoding.nothing-after-end")
def _(scene: Scene) -> None:
    profile = scene.pick(_compressors(scene))
    encoder = scene.encodings[profile].encoder()
    surplus = scene.choices.any_bytes(1, 4)
    _on_encoded_stream(scene, profile, lambda payload: encoder.encode(payload) + encoder.finish() + surplus)


@VIOLATORS.of("encoding.complete-at-end")
def _(scene: Scene) -> None:
    profile = scene.pick(_compressors(scene))
    encoder = scene.encodings[profile].encoder()
    _on_encoded_stream(scene, profile, lambda payload: encoder.encode(payload) + encoder.flush())


@VIOLATORS.of("encoding.window")
def _(scene: Scene) -> None:
    profile = _COMPRESSORS.get("zstd", "")
    if profile not in scene.encodings:
        raise NothingToBreakError
    # Window descriptor: the upper five bits are the exponent over 1 KiB, and the lower three add eighths of it.
    descriptor = scene.pick((13 << 3 | 1, 14 << 3, 17 << 3))

    def encode(payload: bytes) -> bytes:
        block = (len(payload) << 3 | 1).to_bytes(3, "little")
        return b"\x28\xb5\x2f\xfd\x00" + bytes([descriptor]) + block + payload

    _on_encoded_stream(scene, profile, encode)


def _settings(scene: Scene) -> int:
    """Returns the line of settings that their stream does not need. Adds a request with settings if the session has none."""
    numbers = scene.numbers(_SETTINGS, scene.role, lambda number, _: scene.may_be_lost(number))
    if not numbers:
        scene.add(profile=scene.profile())
        numbers = scene.numbers(_SETTINGS, scene.role, lambda number, _: scene.may_be_lost(number))
    return int(scene.pick(numbers))


@VIOLATORS.of("stream-settings.known-profile")
def _(scene: Scene) -> None:
    name = scene.pick((b"br", b"ZLIB", b"zlib ", b"zstd"))
    scene.change(_settings(scene), payload=bytes([len(name)]) + name)


@VIOLATORS.of("stream-settings.profile-bytes")
def _(scene: Scene) -> None:
    surplus = scene.choices.any_bytes(1, 4)
    scene.change_payload(_settings(scene), lambda payload: payload + surplus)


@VIOLATORS.of("stream-settings.on-begin")
def _(scene: Scene) -> None:
    if scene.choices.below(2):
        # In the middle of a stream.
        number = scene.pick(
            scene.own(lambda number, frame: not frame.stream_flags & (BEGIN | ENCODED) and scene.may_be_lost(number))
        )
        frame = scene.frames[number]
        settings = _REVISION.encode_settings(scene.profile(), b"")
        late = codec.make_frame(frame.request_id, frame.stream_id, 0, _SETTINGS, 0, settings)
        scene.lines.insert(number, Line(scene.lines[number].side, late))
    else:
        scene.change(_settings(scene), stream_flags=0)


@VIOLATORS.of("stream-settings.name-whole")
def _(scene: Scene) -> None:
    more = scene.between(1, 200)
    scene.change_payload(_settings(scene), lambda payload: bytes([payload[0] + more]) + payload[1:])


@VIOLATORS.of("stream-settings.name-ascii")
def _(scene: Scene) -> None:
    scene.change(_settings(scene), payload=scene.pick((b"\x00", b"\x04zl\xefb")))
