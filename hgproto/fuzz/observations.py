"""Observations: the behavior of an implementation as seen in its output, in a form that can be compared."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.errors import HgprotoError, RemoteProtocolError
from hgproto.reactors.events import CommandData, PeerError, RequestError, ResponseData
from hgproto.reactors.session import event_to_json
from hgproto.revisions.revision import default_revision
from hgproto.streams.input_stream import InputStream
from hgproto.wire.reader import FrameReader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hgproto.streams.encodings import Encodings

__all__ = ["Observation", "UnreadableError", "of_events", "of_frames", "text_of", "texts_of", "without_own_words"]

_REVISION = default_revision()
_RESPONSE, _ERROR = _REVISION.code_of("response"), _REVISION.code_of("error")
_LAST, _FATAL = _REVISION.flag(_RESPONSE, "last"), _REVISION.flag(_ERROR, "fatal")


class UnreadableError(Exception):
    """Raised for output that is not in the expected form. ``requirement``: the one that its bytes violate; empty if unknown."""

    def __init__(self, message: str, requirement: str = "") -> None:
        super().__init__(message)
        self.requirement = requirement


class Observation(NamedTuple):
    """The reaction of an implementation to a case.

    ``accepted``: True if the connection still worked at the end of the case; None if neither a response nor a complaint shows
    it. ``answers``: for each request, pairs of a word and a value, in order. ``complaint``: the implementation's
    reason for a rejection, if it gave one.
    """

    accepted: bool | None
    answers: dict[int, list[tuple[str, Any]]]
    complaint: str = ""


def of_frames(output: bytes, probe: int | None, encodings: Encodings | None = None) -> Observation:
    """Reads an observation from the frames that a server sent.

    ``probe``: the request id of a command at the end of the case, which a server that still works answers. Without one, a
    complaint shows a rejection, and silence shows nothing: a server may reject without a message. ``encodings``: the content
    encodings that are decoded. Raises :class:`UnreadableError` for bytes that are not a sequence of frames.
    """
    answers: dict[int, list[tuple[str, Any]]] = {}
    # Lists of pieces, because joining each piece at once would take quadratic time.
    bodies: dict[int, list[bytes]] = {}
    complaint = ""
    complained = False
    streams: dict[int, InputStream] = {}
    try:
        frames = list(FrameReader(max_payload=_REVISION.codec.MAX_PAYLOAD[1]).read(output))
    except RemoteProtocolError as error:
        fault = error
        # If the output ends inside a frame that is too long, the validator reports the length of the frame.
        try:
            deque(FrameReader().read(output), maxlen=0)
        except RemoteProtocolError as earlier:
            fault = earlier
        raise UnreadableError(f"its output is not frames: {fault}", fault.requirement) from None
    for frame in frames:
        stream_id = int(frame.stream_id)
        if stream_id not in streams:
            streams[stream_id] = InputStream(stream_id, encodings=encodings, reopen="restart")
        # The validator finds violations; here the frames are only read.
        try:
            payload = streams[stream_id].receive(frame)
        except HgprotoError:
            payload = bytes(frame.payload)
        request_id = int(frame.request_id)
        if frame.type == _RESPONSE:
            bodies.setdefault(request_id, []).append(payload)
            if frame.flags & _LAST:
                answers.setdefault(request_id, []).append(("bytes", b"".join(bodies.pop(request_id))))
        elif frame.type == _ERROR:
            text = payload.decode("utf-8", "backslashreplace")
            kind = "protocol" if frame.flags & _FATAL else "application"
            if kind == "protocol":
                complaint = complaint or text
                complained = True
            answers.setdefault(request_id, []).append((f"{kind} error", None))
    for request_id in bodies:
        answers.setdefault(request_id, []).append(("bytes without an end", None))
    if probe is None:
        return Observation(False if complained else None, answers, complaint)
    probed = answers.pop(probe, [])
    return Observation(bool(probed) and probed[0][0] in ("bytes", "application error"), answers, complaint)


_IGNORED = frozenset({"want-frame", "note"})
_PIECES = frozenset(event_to_json(event(0, b"", False))["event"] for event in (ResponseData, CommandData))
_OF_PEER = frozenset(event_to_json(event)["event"] for event in (RequestError(0, "", 0), PeerError(0, "")))
"""The events that can have a message of the other side."""


def of_events(events: Iterable[Any]) -> Observation:
    """Reads an observation from events as JSON, in the form of ``hgproto session --format json``.

    Raises :class:`UnreadableError`.
    """
    answers: dict[int, list[tuple[str, Any]]] = {}
    for event in events:
        try:
            name = event["event"]
            if name in _IGNORED:
                continue
            if name == "error":
                complaint = str(event.get("message") or event.get("requirement") or "")
                return Observation(False, _joined(answers), complaint)
            told = answers.setdefault(int(event["request"]), [])
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
            raise UnreadableError(f"not an event of a session: {text_of(event)}") from None
        left_out = {"event", "request", "requirement", *([] if name in _OF_PEER else ["message"])}
        rest = {key: value for key, value in event.items() if key not in left_out}
        if "requirement" in event:
            # With a requirement, the message is the implementation's own.
            rest.pop("message", None)
        if name in _PIECES:
            piece = rest.get("data", "")
            if not isinstance(piece, str):
                raise UnreadableError(f"not an event of a session: {text_of(event)}")
            if told and told[-1][0] == name and not told[-1][1].get("last"):
                # The sizes of pieces do not matter.
                told[-1][1]["data"].append(piece)
                told[-1][1]["last"] = rest.get("last")
                continue
            rest["data"] = [piece]
        told.append((name, rest))
    return Observation(True, _joined(answers))


def without_own_words(found: Observation, wanted: Observation) -> Observation:
    """Removes messages of the implementation: those where the wanted observation has no message of the other side."""
    answers = {}
    for request_id, told in found.answers.items():
        right = wanted.answers.get(request_id, [])
        answers[request_id] = [
            (name, {key: value for key, value in rest.items() if key != "message"})
            if name in _OF_PEER and not (place < len(right) and "message" in right[place][1])
            else (name, rest)
            for place, (name, rest) in enumerate(told)
        ]
    return found._replace(answers=answers)


def _joined(answers: dict[int, list[tuple[str, Any]]]) -> dict[int, list[tuple[str, Any]]]:
    """Joins the pieces of data in answers."""
    for told in answers.values():
        for name, rest in told:
            if name in _PIECES:
                rest["data"] = "".join(rest["data"])
    return answers


def text_of(value: Any) -> str:
    """Returns a short text for a value."""
    text = repr(value[:_SHOWN])[1:] if isinstance(value, bytes) else _whole(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def texts_of(one: Any, other: Any) -> tuple[str, str]:
    """Returns short texts for two values. If these would be equal, they begin shortly before the first difference."""
    texts = text_of(one), text_of(other)
    if texts[0] != texts[1] or one == other:
        return texts
    wholes = _whole(one), _whole(other)
    pairs = enumerate(zip(*wholes, strict=False))
    differs = next((place for place, (a, b) in pairs if a != b), min(map(len, wholes)))
    start = max(differs - _SHOWN // 4, 0)
    first, second = (f"{'...' * (start > 0)}{text_of(whole[start:])}" for whole in wholes)
    return first, second


def _whole(value: Any) -> str:
    if isinstance(value, bytes):
        return repr(value)[1:]
    return value if isinstance(value, str) else json.dumps(value, default=repr)


_SHOWN = 200
"""The maximum number of characters or bytes of a value that are shown."""
