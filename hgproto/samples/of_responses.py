"""Violators for frames that a server sends: responses, messages, and progress, and their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hgproto.revisions.revision import default_revision
from hgproto.runtime.cbor import encode_item, encode_map, join_map
from hgproto.samples.scene import Scene, Violators, flagged, sent_by_the_wrong_side
from hgproto.samples.sessions import END

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["VIOLATORS"]

VIOLATORS = Violators()

_REVISION = default_revision()
_RESPONSE, _ERROR, _TEXT, _PROGRESS = (_REVISION.code_of(role) for role in ("response", "error", "text", "progress"))
_MORE, _LAST = _REVISION.data_types[_RESPONSE]
_FATAL = _REVISION.flag(_ERROR, "fatal")
_APPLICATION = int(_REVISION.message("error")(1, 2, "no").flags)
_decode_progress, _encode_progress = _REVISION.structure_of("progress")[1:]
_NOT_UTF8 = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80")

VIOLATORS |= {
    "bytes-response.server-only": sent_by_the_wrong_side(_RESPONSE, "client", _LAST, b"x"),
    "error-response.server-only": sent_by_the_wrong_side(_ERROR, "client", _APPLICATION, b"no"),
    "text-output.server-only": sent_by_the_wrong_side(_TEXT, "client", 0, b"\x01\x00\x00\x00\n"),
    "progress.server-only": sent_by_the_wrong_side(_PROGRESS, "client", 0, b"\xa3EtopicAxCpos Etotal\x01"),
    "bytes-response.flags-present": flagged(_RESPONSE, 0),
    "bytes-response.flags-exclusive": flagged(_RESPONSE, 3),
    "error-response.exactly-one": flagged(_ERROR, 0, 3),
}


# Payloads of a server.


def _first_atom(*atoms: bytes) -> Callable[[Scene], None]:
    """Builds a violator that inserts an atom before those of a message."""

    def violator(scene: Scene) -> None:
        atom = scene.pick(atoms)
        scene.change_payload(scene.pick(scene.some(_TEXT)), lambda payload: atom + payload)

    return violator


def _atom(text: str, *args: str) -> bytes:
    atom, _, encode = _REVISION.repeated_in("text")
    return encode(atom(format=text, labels=(), args=args))


def _progress(scene: Scene) -> int:
    """Returns the line of a progress frame that does not end its topic; without the last one the topic would stay open."""
    return int(scene.pick(scene.some(_PROGRESS, lambda _, frame: _decode_progress(bytes(frame.payload)).pos != -1)))


def _wrong_map(*maps: tuple[tuple[object, object], ...]) -> Callable[[Scene], None]:
    """Builds a violator that replaces a progress map by one of ``maps``, which may repeat keys."""

    def violator(scene: Scene) -> None:
        number = _progress(scene)
        pairs = [(encode_item(key), encode_item(value)) for key, value in scene.pick(maps)]
        scene.change(number, payload=join_map(pairs))

    return violator


_TOPIC, _POS, _TOTAL = (b"topic", "x"), (b"pos", 1), (b"total", 2)
_GOOD = (_TOPIC, _POS, _TOTAL)
_BAD_STRING = b"\x61\xff"
"""A CBOR text string of one byte that is not UTF-8."""

VIOLATORS |= {
    "text-output.utf8": _first_atom(*(len(text).to_bytes(2, "little") + b"\x00\x00" + text for text in _NOT_UTF8)),
    "text-output.label-ascii": _first_atom(b"\x01\x00\x01\x00\x01\n\xff", b"\x00\x00\x01\x00\x02\xc3\xa9"),
    "text-output.placeholders": _first_atom(_atom("%s\n"), _atom("\n", "a"), _atom("%s%s\n", "a"), _atom("%%s", "a")),
    "text-output.percent": _first_atom(_atom("%d\n"), _atom("50%"), _atom("%\n"), _atom("%S")),
    "progress.byte-keys": _wrong_map((*_GOOD, ("x", 1)), (*_GOOD, (5, 1)), (("topic", "x"), _POS, _TOTAL)),
    "progress.required-keys": _wrong_map((), _GOOD[1:], _GOOD[:2], (_TOPIC, _TOTAL), (_POS, (b"label", "x"))),
    "progress.value-types": _wrong_map(
        ((b"topic", 5), _POS, _TOTAL),
        (_TOPIC, (b"pos", -2), _TOTAL),
        (_TOPIC, (b"pos", "1"), _TOTAL),
        (_TOPIC, _POS, (b"total", -1)),
        (*_GOOD, (b"item", [])),
        (*_GOOD, (b"label", 7)),
    ),
    "progress.duplicate-keys": _wrong_map((*_GOOD, _TOPIC), (*_GOOD, (b"pos", 2)), (*_GOOD, (b"z", 1), (b"z", 1))),
}


@VIOLATORS.of("text-output.single-frame")
def _(scene: Scene) -> None:
    less = scene.between(1, 3)
    scene.change_payload(scene.pick(scene.some(_TEXT)), lambda payload: payload[:-less])


@VIOLATORS.of("text-output.newline")
def _(scene: Scene) -> None:
    atom = scene.pick((_atom("x"), _atom(""), _atom("\n "), _atom("%s", "x")))
    scene.change_payload(scene.pick(scene.some(_TEXT)), lambda payload: payload + atom)


@VIOLATORS.of("error-response.utf8")
def _(scene: Scene) -> None:
    scene.change(scene.pick(scene.some(_ERROR)), payload=scene.pick(_NOT_UTF8))


@VIOLATORS.of("progress.cbor-map")
def _(scene: Scene) -> None:
    number = _progress(scene)
    payload = bytes(scene.frames[number].payload)
    cut = payload[: scene.between(0, len(payload) - 1)]
    scene.change(number, payload=scene.pick((cut, b"\x01", b"\x80", b"\xff", b"\xbf", b"\xa1")))


@VIOLATORS.of("progress.surplus")
def _(scene: Scene) -> None:
    surplus = scene.choices.any_bytes(1, 4)
    scene.change_payload(_progress(scene), lambda payload: payload + surplus)


@VIOLATORS.of("progress.utf8")
def _(scene: Scene) -> None:
    topic = b"\xa3" + encode_item(b"topic") + _BAD_STRING + encode_map([_POS, _TOTAL])[1:]
    item = b"\xa4" + encode_map(_GOOD)[1:] + encode_item(b"item") + _BAD_STRING
    scene.change(_progress(scene), payload=scene.pick((topic, item)))


def _topics(scene: Scene) -> list[list[int]]:
    """Returns the lines of progress frames, grouped by request and topic."""
    topics: dict[tuple[int, str], list[int]] = {}
    for number in scene.some(_PROGRESS):
        frame = scene.frames[number]
        topics.setdefault((frame.request_id, _decode_progress(bytes(frame.payload)).topic), []).append(number)
    return list(topics.values())


def _replace_progress(scene: Scene, number: int, **parts: Any) -> None:
    scene.change_payload(number, lambda payload: bytes(_encode_progress(_decode_progress(payload).replace(**parts))))


@VIOLATORS.of("progress.topic-ascii")
def _(scene: Scene) -> None:
    topic = scene.pick(("caf\u00e9", "\u00e9"))
    for number in scene.pick(_topics(scene)):
        _replace_progress(scene, number, topic=topic)


@VIOLATORS.of("progress.topic-end")
def _(scene: Scene) -> None:
    _replace_progress(scene, scene.pick(_topics(scene))[-1], pos=scene.between(0, 30))


# Which requests are answered, and the end.


@VIOLATORS.of("response.active-request")
def _(scene: Scene) -> None:
    number = scene.anywhere()
    answered = [one for one, request in scene.requests.items() if request.received[-1] < number]
    request_id = scene.pick([scene.free_id(), *answered])
    kind, flags, payload = scene.pick(
        ((_RESPONSE, _LAST, b"x"), (_ERROR, _APPLICATION, b"no"), (_TEXT, 0, b"\x01\x00\x00\x00\n"))
    )
    scene.insert(number, "server", scene.make(request_id, kind, flags, payload))


@VIOLATORS.of("response.complete")
def _(scene: Scene) -> None:
    # A new response, cut before its end. Cutting another response would also leave that response's streams open.
    before = scene.pick(((), (_REVISION.message("text")(1, 2, [("x\n", (), ())]),)))
    request_id = scene.add(before=[*before, _CONTINUED])
    request = scene.requests[request_id]
    kept = request.received[: scene.between(0, len(request.received) - 1)]
    if kept:
        scene.change(kept[-1], stream_flags=int(scene.frames[kept[-1]].stream_flags) | END)
    scene.lines[request.received[len(kept)] : request.received[-1] + 1] = []


_CONTINUED = _REVISION.codec.make_frame(1, 2, 0, _RESPONSE, _MORE, b"some")


def _protocol_error(scene: Scene, number: int) -> None:
    scene.insert(number, "server", scene.make(scene.pick((0, 1)), _ERROR, _FATAL, b"no"))


@VIOLATORS.of("reactor.errored")
def _(scene: Scene) -> None:
    if not scene.requests:
        scene.add()
    # The client sends nothing more.
    last = scene.numbers(None, "client")[-1]
    _protocol_error(scene, scene.pick(number for number in scene.numbers(None, "server") if number > last))


@VIOLATORS.of("error-response.closes")
def _(scene: Scene) -> None:
    if not scene.requests:
        scene.add()
    number = scene.pick(scene.numbers(None, "client"))
    scene.lines[number:] = [line for line in scene.lines[number:] if line.side == "client"]
    _protocol_error(scene, number)
