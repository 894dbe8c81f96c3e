"""Violators of what a client sends: commands, their arguments and data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.framing_0002 import codec
from hgproto.samples.scene import Scene, Violators, flagged, sent_by_the_wrong_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["VIOLATORS"]

VIOLATORS = Violators()

_Type = codec.FrameType
_NAME, _ARGUMENT, _DATA = _Type.COMMAND_NAME, _Type.COMMAND_ARGUMENT, _Type.COMMAND_DATA
_Name, _Argument, _Data = codec.CommandNameFlag, codec.CommandArgumentFlag, codec.CommandDataFlag

VIOLATORS |= {
    "command-name.client-only": sent_by_the_wrong_side(_NAME, "server", _Name.EOS, b"x"),
    "command-argument.client-only": sent_by_the_wrong_side(_ARGUMENT, "server", _Argument.EOA, b"\x01\x00\x01\x00kv"),
    "command-data.client-only": sent_by_the_wrong_side(_DATA, "server", _Data.EOS, b"x"),
    "command-name.flags-present": flagged(_NAME, 0),
    "command-name.eos-exclusive": flagged(_NAME, 3, 5, 7),
    "command-argument.eoa-exclusive": flagged(_ARGUMENT, 3),
    "command-data.flags-present": flagged(_DATA, 0),
    "command-data.flags-exclusive": flagged(_DATA, 3),
}


# Payloads of commands.


@VIOLATORS.of("command-name.ascii")
def _(scene: Scene) -> None:
    scene.change(scene.pick(scene.numbers(_NAME)), payload=scene.pick((b"", b"caf\xc3\xa9", b"\xff", b"\x80")))


def _argument(change: Callable[[Scene, int, int, bytes], bytes]) -> Callable[[Scene], None]:
    """Changes the payload that begins an argument, told how long name and value are said to be."""

    def violator(scene: Scene) -> None:
        number = scene.pick(scene.values())
        header = codec.decode_argument_header(bytes(scene.frames[number].payload[:4]))
        scene.change_payload(number, lambda payload: change(scene, header.name_length, header.value_length, payload))

    return violator


def _sizes(name: int, value: int) -> bytes:
    return bytes(codec.encode_argument_header(codec.ArgumentHeader(name, value)))


def _too_small(scene: Scene, value: int) -> int:
    return scene.between(0, value - 1)


VIOLATORS |= {
    "command-argument.header-whole": _argument(
        lambda scene, name, value, payload: (_sizes(name, scene.pick((value, 0))) + payload[4:])[
            : scene.between(0, name + 3)
        ]
    ),
    "command-argument.name-ascii": _argument(
        lambda _scene, _name, _value, payload: payload[:4] + b"\x80" + payload[5:]
    ),
    "command-argument.name-not-empty": _argument(
        lambda _scene, name, value, payload: _sizes(0, value) + payload[4 + name :]
    ),
    "command-argument.value-short": _argument(
        lambda scene, name, value, payload: _sizes(name, value + scene.between(1, 0xFFFF - value)) + payload[4:]
    ),
    "command-argument.value-long": _argument(
        lambda scene, name, value, payload: _sizes(name, _too_small(scene, value)) + payload[4:]
    ),
}


# The order of a command's frames.


def _late(scene: Scene, request_id: int, after: int, kind: int, payload: bytes) -> None:
    """Puts a frame of a request after one of its lines and before a later one of its client's."""
    later = [number for number in scene.requests[request_id].sent if number > after]
    flags = _Argument.EOA if kind == _ARGUMENT else _Data.EOS
    number = scene.between(after + 1, later[0] if later else after)
    scene.cut_short(request_id, number)
    scene.insert(number, "client", scene.make(request_id, kind, flags, payload))


@VIOLATORS.of("command-name.fresh-id")
def _(scene: Scene) -> None:
    request_id = scene.pick(scene.requests)
    request = scene.requests[request_id]
    number = scene.between(request.sent[0] + 1, request.received[-1])
    scene.cut_short(request_id, number)
    scene.insert(number, "client", scene.make(request_id, _NAME, _Name.EOS, b"again"))


@VIOLATORS.of("command-argument.uninterrupted")
def _(scene: Scene) -> None:
    number = scene.pick(scene.numbers(_ARGUMENT, None, lambda _, frame: frame.flags & _Argument.CONTINUATION))
    _late(scene, scene.frames[number].request_id, number, _DATA, b"x")


@VIOLATORS.of("command-argument.after-eoa")
def _(scene: Scene) -> None:
    commands = scene.commands(_Name.HAVE_ARGS | _Name.HAVE_DATA)
    request_id = scene.frames[scene.pick(commands)].request_id
    ends = [number for number in scene.requests[request_id].sent if scene.frames[number].type == _ARGUMENT]
    _late(scene, request_id, ends[-1], _ARGUMENT, b"\x01\x00\x01\x00zv")


@VIOLATORS.of("command-argument.expected")
def _(scene: Scene) -> None:
    number = scene.pick(scene.commands(_Name.HAVE_DATA, _Name.HAVE_ARGS))
    _late(scene, scene.frames[number].request_id, number, _ARGUMENT, b"\x01\x00\x01\x00kv")


@VIOLATORS.of("command-argument.missing")
def _(scene: Scene) -> None:
    both = scene.commands(_Name.HAVE_ARGS | _Name.HAVE_DATA)
    number = scene.pick(both if both and scene.choices.below(2) else scene.commands(_Name.HAVE_ARGS))
    _late(scene, scene.frames[number].request_id, number, _DATA, b"x")


@VIOLATORS.of("command-argument.duplicate-name")
def _(scene: Scene) -> None:
    number = scene.pick(scene.values())
    frame = scene.frames[number]
    name = frame.payload[4 : 4 + codec.decode_argument_header(bytes(frame.payload[:4])).name_length]
    scene.insert(number, "client", scene.make(frame.request_id, _ARGUMENT, 0, _sizes(len(name), 0) + name))


@VIOLATORS.of("command-data.expected")
def _(scene: Scene) -> None:
    number = scene.pick(
        scene.numbers(_ARGUMENT, None, lambda _, frame: not frame.flags & (_Argument.CONTINUATION | _Argument.EOA))
    )
    _late(scene, scene.frames[number].request_id, number, _DATA, b"x")


def _strays(scene: Scene, number: int, request_ids: Iterable[int]) -> None:
    """Puts an argument or data of one of several requests before a line."""
    request_id = scene.pick(request_ids)
    kind, flags, payload = scene.pick(((_DATA, _Data.EOS, b"x"), (_ARGUMENT, _Argument.EOA, b"\x01\x00\x01\x00kv")))
    scene.insert(number, "client", scene.make(request_id, kind, flags, payload))


@VIOLATORS.of("request.command-expected")
def _(scene: Scene) -> None:
    number = scene.pick(number for number in range(len(scene.lines) + 1) if not scene.receiving(number))
    _strays(scene, number, [scene.free_id(), *scene.active(number)])


@VIOLATORS.of("request.not-receiving")
def _(scene: Scene) -> None:
    number = scene.pick(number for number in range(len(scene.lines)) if scene.receiving(number))
    _strays(scene, number, [scene.free_id()])


@VIOLATORS.of("request.still-active")
def _(scene: Scene) -> None:
    number = scene.pick(
        number for number in range(len(scene.lines)) if scene.receiving(number) and scene.active(number)
    )
    _strays(scene, number, scene.active(number))


@VIOLATORS.of("request.complete")
def _(scene: Scene) -> None:
    request = scene.requests[scene.pick(scene.requests)]
    del scene.lines[scene.pick(request.sent[1:]) :]
