"""Violators for frames that a client sends: commands, their arguments, and their data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hgproto.reactors.content import Content
from hgproto.revisions.revision import default_revision
from hgproto.samples.scene import ANNOUNCING, NothingToBreakError, Scene, Violators, flagged, sent_by_the_wrong_side
from hgproto.samples.sessions import END

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["VIOLATORS"]

VIOLATORS = Violators()

_CONTENT = Content(default_revision())
_NAME, _ARGUMENT, _DATA = _CONTENT.name, _CONTENT.argument_code, _CONTENT.data
_LAST = {_NAME: _CONTENT.name_is_all, _ARGUMENT: _CONTENT.last_argument, _DATA: _CONTENT.last_data}
"""The flags of the last (or only) frame of each type."""
_HAVE_ARGS, _HAVE_DATA = ANNOUNCING[_ARGUMENT], ANNOUNCING[_DATA]

VIOLATORS |= {
    "command-name.client-only": sent_by_the_wrong_side(_NAME, "server", _LAST[_NAME], b"x"),
    "command-argument.client-only": sent_by_the_wrong_side(
        _ARGUMENT, "server", _LAST[_ARGUMENT], b"\x01\x00\x01\x00kv"
    ),
    "command-data.client-only": sent_by_the_wrong_side(_DATA, "server", _LAST[_DATA], b"x"),
    "command-name.flags-present": flagged(_NAME, 0),
    "command-name.eos-exclusive": flagged(_NAME, 3, 5, 7),
    "command-argument.eoa-exclusive": flagged(_ARGUMENT, 3),
    "command-data.flags-present": flagged(_DATA, 0),
    "command-data.flags-exclusive": flagged(_DATA, 3),
}


# Payloads of commands.


@VIOLATORS.of("command-name.ascii")
def _(scene: Scene) -> None:
    scene.change(scene.pick(scene.some(_NAME)), payload=scene.pick((b"", b"caf\xc3\xa9", b"\xff", b"\x80")))


def _argument(change: Callable[[Scene, int, int, bytes], bytes]) -> Callable[[Scene], None]:
    """Builds a violator that changes the first payload of an argument. ``change`` receives the stated sizes of name and value."""

    def violator(scene: Scene) -> None:
        # A value that is not empty can be made both too long and too short.
        number = scene.pick(scene.some(_ARGUMENT, lambda number, frame: _begins_value(scene, number, frame)))
        name, value = _lengths(scene.frames[number])
        scene.change_payload(number, lambda payload: change(scene, name, value, payload))

    return violator


def _begins_value(scene: Scene, number: int, frame: Any) -> bool:
    return number not in scene.continued and _lengths(frame)[1] > 0


def _lengths(frame: Any) -> tuple[int, int]:
    """Returns the sizes of name and value that an argument states. Raises :class:`NothingToBreakError` if the frame is cut."""
    if len(frame.payload) < _CONTENT.size:
        raise NothingToBreakError
    name, value = _CONTENT.sub_header.unpack_from(frame.payload)
    return name, value


def _sizes(name: int, value: int) -> bytes:
    return _CONTENT.sub_header.pack(name, value)


def _too_small(scene: Scene, value: int) -> int:
    return scene.between(0, value - 1)


VIOLATORS |= {
    "command-argument.header-whole": _argument(
        # The stated value size is 0. Otherwise the value would be too short as well, and some targets would report only that.
        lambda scene, name, _value, payload: (_sizes(name, 0) + payload[4:])[
            : scene.pick((scene.between(0, 3), scene.between(4, name + 3)))
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


def _late(
    scene: Scene, kind: int, payload: bytes, after: int, where: Callable[[int, Any], bool], **request: Any
) -> None:
    """Inserts a frame of a request after one of its lines, and before a later line of its client.

    ``after``, ``where``: the frame type of that line, and a condition on it. ``request``: arguments of :meth:`Scene.add` for a
    request with such a line. One time in two, such a request is added and ends there. A server that wrongly accepts the frame
    then sees no other violation.
    """
    alone = scene.choices.below(2)
    if alone:
        added = scene.add(**request)
        sent = scene.requests[added].sent
        number = scene.pick(one for one in sent if scene.frames[one].type == after and where(one, scene.frames[one]))
    else:
        number = scene.pick(scene.some(after, where, **request))
    request_id = scene.frames[number].request_id
    later = [one for one in scene.requests[request_id].sent if one > number]
    place = number + 1
    if alone:
        scene.change(number, stream_flags=int(scene.frames[number].stream_flags) | END)
        for one in reversed(later):
            del scene.lines[one]
    else:
        place = scene.between(number + 1, later[0] if later else number)
        scene.cut_short(request_id, place)
    flags = _LAST[kind]
    scene.insert(place, "client", scene.make(request_id, kind, flags, payload))


@VIOLATORS.of("command-name.fresh-id")
def _(scene: Scene) -> None:
    if scene.choices.below(2):
        # A partly sent request, which the new command replaces.
        request_id = scene.add({"key": b"tip"})
        first, *later = scene.requests[request_id].sent
        scene.change(first, stream_flags=int(scene.frames[first].stream_flags) | END)
        for one in reversed(later):
            del scene.lines[one]
        number = first + 1
    else:
        if not scene.requests:
            scene.add()
        # The request that began last, so that the order of ids stays valid.
        request_id, request = max(scene.requests.items(), key=lambda item: item[1].sent[0])
        number = scene.between(request.sent[0] + 1, request.received[-1])
        if not scene.cut_short(request_id, number, always=True):
            # The remaining frames of the command would follow the new one.
            number = scene.between(request.sent[-1] + 1, request.received[-1])
    scene.insert(number, "client", scene.make(request_id, _NAME, _LAST[_NAME], b"again"))


_BOTH = _HAVE_ARGS | _HAVE_DATA


@VIOLATORS.of("command-argument.uninterrupted")
def _(scene: Scene) -> None:
    args = {"key": b"longer than a frame"}
    _late(scene, _DATA, b"x", _ARGUMENT, lambda _, frame: frame.flags & _CONTENT.more, args=args)


@VIOLATORS.of("command-argument.after-eoa")
def _(scene: Scene) -> None:
    def where(_: int, frame: Any) -> bool:
        if not frame.flags & _LAST[_ARGUMENT]:
            return False
        # A command without data would be complete.
        return any(scene.frames[name].request_id == frame.request_id for name in scene.commands(_BOTH))

    _late(scene, _ARGUMENT, b"\x01\x00\x01\x00zv", _ARGUMENT, where, args={"key": b""}, data=b"x")


@VIOLATORS.of("command-argument.expected")
def _(scene: Scene) -> None:
    _late(
        scene,
        _ARGUMENT,
        b"\x01\x00\x01\x00kv",
        _NAME,
        lambda _, frame: frame.flags & _BOTH == _HAVE_DATA,
        data=b"x",
    )


@VIOLATORS.of("command-argument.missing")
def _(scene: Scene) -> None:
    # Both with and without data that is to follow.
    data = scene.pick((None, b"x"))
    flags = _BOTH if data else _HAVE_ARGS
    _late(
        scene,
        _DATA,
        b"x",
        _NAME,
        lambda _, frame: frame.flags & flags == flags,
        args={"key": b"tip"},
        data=data,
    )


@VIOLATORS.of("command-argument.duplicate-name")
def _(scene: Scene) -> None:
    number = scene.pick(scene.some(_ARGUMENT, lambda number, _: number not in scene.continued))
    frame = scene.frames[number]
    name = frame.payload[4 : 4 + _lengths(frame)[0]]
    scene.insert(number, "client", scene.make(frame.request_id, _ARGUMENT, 0, _sizes(len(name), 0) + name))


@VIOLATORS.of("command-data.expected")
def _(scene: Scene) -> None:
    _late(
        scene,
        _DATA,
        b"x",
        _ARGUMENT,
        lambda _, frame: not frame.flags & (_CONTENT.more | _LAST[_ARGUMENT]),
        args={"a": b"", "key": b""},
        data=scene.pick((None, b"x")),
    )


def _strays(scene: Scene, number: int, request_ids: Iterable[int]) -> None:
    """Inserts, before a line, an argument or data frame of one of several requests."""
    request_id = scene.pick(request_ids)
    kind, flags, payload = scene.pick(
        ((_DATA, _LAST[_DATA], b"x"), (_ARGUMENT, _LAST[_ARGUMENT], b"\x01\x00\x01\x00kv"))
    )
    scene.insert(number, "client", scene.make(request_id, kind, flags, payload))


@VIOLATORS.of("request.command-expected")
def _(scene: Scene) -> None:
    number = scene.pick(number for number in range(len(scene.lines) + 1) if not scene.receiving(number))
    _strays(scene, number, [scene.free_id(), *scene.active(number)])


@VIOLATORS.of("request.not-receiving")
def _(scene: Scene) -> None:
    if not any(len(request.sent) > 1 for request in scene.requests.values()):
        scene.add({"key": b"tip"})
    number = scene.pick(number for number in range(len(scene.lines)) if scene.receiving(number))
    _strays(scene, number, [scene.free_id()])


@VIOLATORS.of("request.still-active")
def _(scene: Scene) -> None:
    numbers = _receiving_and_active(scene)
    if not numbers:
        # Move the response to the first of two requests to a place where the second is partly sent.
        first = scene.add()
        second = scene.add({"key": b"tip"})
        answer = scene.requests[first].received
        begun = scene.requests[second].sent[0]
        scene.lines[answer[0] : begun + 1] = [
            *scene.lines[answer[-1] + 1 : begun + 1],
            *scene.lines[answer[0] : answer[-1] + 1],
        ]
        scene.survey()
        numbers = _receiving_and_active(scene)
    number = scene.pick(numbers)
    _strays(scene, number, scene.active(number))


def _receiving_and_active(scene: Scene) -> list[int]:
    """Returns the lines before which one request is partly sent and another waits for its response."""
    return [number for number in range(len(scene.lines)) if scene.receiving(number) and scene.active(number)]


@VIOLATORS.of("request.complete")
def _(scene: Scene) -> None:
    # A new command, cut before its end. Cutting another command would also leave that command's streams open.
    request_id = scene.add(
        {"a": b"x", "key": b"longer than a frame"} if scene.choices.below(2) else None, b"longer than a frame"
    )
    request = scene.requests[request_id]
    kept = request.sent[: scene.between(1, len(request.sent) - 1)]
    scene.change(kept[-1], stream_flags=int(scene.frames[kept[-1]].stream_flags) | END)
    scene.lines[kept[-1] + 1 : request.received[-1] + 1] = []
