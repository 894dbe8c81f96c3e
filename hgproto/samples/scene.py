"""A valid session, with queries for the places where a requirement can be violated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hgproto.reactors.content import Content
from hgproto.revisions.revision import default_revision
from hgproto.runtime.frame import check_instance
from hgproto.samples.choices import Choices
from hgproto.samples.sessions import BEGIN, END, SIDES, STREAMS, Line
from hgproto.streams.encodings import default_encodings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hgproto.judging.finding import Role
    from hgproto.runtime.frame import Frame
    from hgproto.streams.encodings import Encodings

__all__ = ["ANNOUNCING", "NothingToBreakError", "Scene", "Violators", "flagged", "sent_by_the_wrong_side"]

_REVISION = default_revision()
_command = _REVISION.message("command", "argument", "data")
_CONTENT = Content(_REVISION)
_ARGUMENT, _DATA, _SETTINGS = _CONTENT.argument_code, _CONTENT.data, _REVISION.code_of("settings")
_TEXT, _PROGRESS, _ERROR = (_REVISION.code_of(role) for role in ("text", "progress", "error"))
_IDS = _REVISION.ids["request_id"]
ANNOUNCING = {
    code: int(next(_command(1, 1, "x", args, data)).flags)
    for code, args, data in ((_ARGUMENT, {"a": b""}, None), (_DATA, None, b""))
}
"""The flag of a command that announces frames of a type, by that frame type."""


class NothingToBreakError(Exception):
    """The session has no place where the requirement can be violated."""


class _Request:
    """The numbers of the lines of a request: those of the command, and those of the response."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.received: list[int] = []


class Scene:
    """A session that a violator changes. Line numbers refer to ``lines`` before any change.

    A session may lack the frames that a violator changes. The violator then adds a valid request with these frames at the end
    (:meth:`add`), and changes that request. ``role``: the side that violates the requirement; None for either. ``encodings``: the
    content encodings that streams may name.
    """

    def __init__(
        self, lines: Iterable[Line], choices: Choices, *, role: Role | None = None, encodings: Encodings | None = None
    ) -> None:
        check_instance(choices, Choices, "choices")
        self.lines = list(lines)
        self.choices = choices
        self.role = role
        self.encodings = default_encodings() if encodings is None else encodings
        self.survey()

    def survey(self) -> None:
        """Indexes all lines again. Call it after a change that moves lines."""
        self.frames: list[Any] = [line.frame for line in self.lines]
        self.requests: dict[int, _Request] = {}
        self.profiles: dict[int, str] = {}
        """The profile of the stream of each line; empty for a stream without settings."""
        self.continued: set[int] = set()
        """The lines that continue the value of an argument."""
        current: dict[int, str] = {}
        open_values: set[int] = set()
        for number, (side, frame) in enumerate((line.side, line.frame) for line in self.lines):
            if frame is None:
                continue
            if frame.stream_flags & BEGIN:
                is_settings = frame.type == _SETTINGS
                current[frame.stream_id] = _REVISION.decode_settings(bytes(frame.payload))[0] if is_settings else ""
            self.profiles[number] = current[frame.stream_id]
            if frame.type == _SETTINGS:
                continue
            request = self.requests.setdefault(frame.request_id, _Request())
            (request.sent if side == "client" else request.received).append(number)
            if frame.type == _ARGUMENT:
                if frame.request_id in open_values:
                    self.continued.add(number)
                (open_values.add if frame.flags & _CONTENT.more else open_values.discard)(frame.request_id)

    # Additions.

    def end(self) -> int:
        """Returns the line number at which to insert the last frame of a session: before the end of any output."""
        ends = [number for number, frame in enumerate(self.frames) if frame is None and self.lines[number].data is None]
        return ends[0] if ends else len(self.lines)

    def add(
        self,
        args: dict[str, bytes] | None = None,
        data: bytes | None = None,
        *,
        before: Sequence[Frame] = (),
        size: int = 16,
        error: bool = False,
        profile: str = "",
    ) -> int:
        """Adds a request and its response at the end, and returns the request id. Each side uses a new stream.

        ``before``: frames that the server sends before the response. ``size``: the maximum bytes of a payload. ``error``: True if
        the response is an error. ``profile``: the profile of both streams.
        """
        request_id, stream_ids = self.next_id(), [self._unused_stream(side) for side in SIDES]
        sent = _command(request_id, stream_ids[0], "heads", args, data, max_payload=size)
        received: Iterable[Frame] = _REVISION.message("response")(request_id, stream_ids[1], b"", max_payload=size)
        if error:
            received = [_REVISION.message("error")(request_id, stream_ids[1], "no")]
        answered = [*(frame.replace(request_id=request_id) for frame in before), *received]
        lines: list[Line] = []
        for side, frames, stream_id in zip(SIDES, (sent, answered), stream_ids, strict=True):
            settings = [_REVISION.message("settings")(request_id, stream_id, profile)] if profile else []
            lines += _on_one_stream(side, stream_id, [*settings, *frames])
        at = self.end()
        self.lines[at:at] = lines
        self.survey()
        return request_id

    def some(self, kind: int, where: Callable[[int, Any], bool] | None = None, **request: Any) -> list[int]:
        """Returns the lines of a frame type that satisfy ``where``. Adds a request if no line does, so that at least one exists.

        ``request``: arguments of :meth:`add` for that request; by default one with a frame of the type.
        """
        found = self.numbers(kind, None, where)
        if not found:
            self.add(**(request or ({"profile": self.profile()} if kind == _SETTINGS else _WITH.get(kind, {}))))
            found = self.numbers(kind, None, where)
        return found

    def own(self, where: Callable[[int, Any], bool] | None = None) -> list[int]:
        """Returns the lines of the violating side that satisfy ``where``; at least one, like :meth:`some`."""
        found = self.numbers(None, self.role, where)
        if not found:
            # Several frames of each side on one stream, which begins without settings.
            self.add({"key": b"tip"}, before=[_MESSAGE])
            found = self.numbers(None, self.role, where)
        return found

    def either(self) -> Role:
        """Returns the side that violates the requirement."""
        return self.choices.pick(SIDES) if self.role is None else self.role

    def profile(self) -> str:
        """Returns a known profile. Raises :class:`NothingToBreakError` if there is none."""
        return "identity" if "identity" in self.encodings else str(self.pick(self.encodings))

    def may_be_lost(self, number: int) -> bool:
        """True if the receiver can do without the frames of a stream from a line on: none of them ends a progress topic."""
        side, stream_id = self.lines[number].side, self.frames[number].stream_id
        return not any(
            frame is not None and frame.stream_id == stream_id and line.side == side and _ends_topic(frame)
            for line, frame in zip(self.lines[number:], self.frames[number:], strict=True)
        )

    # Queries.

    def numbers(
        self, kind: int | None = None, side: Role | None = None, where: Callable[[int, Any], bool] | None = None
    ) -> list[int]:
        """Returns the lines of frames of a type and a side that satisfy ``where``."""
        return [
            number
            for number, frame in enumerate(self.frames)
            if frame is not None
            and (kind is None or frame.type == kind)
            and (side is None or self.lines[number].side == side)
            and (where is None or where(number, frame))
        ]

    def pick(self, options: Iterable[Any]) -> Any:
        """Chooses one of several options. Raises :class:`NothingToBreakError` if there are none."""
        return self.choices.pick(self.options(options))

    def options(self, options: Iterable[Any]) -> list[Any]:
        """Returns options as a list. Raises :class:`NothingToBreakError` if there are none."""
        found = list(options)
        if not found:
            raise NothingToBreakError
        return found

    def between(self, low: int, high: int) -> int:
        """Chooses a number from ``low`` to ``high``, both included. Raises :class:`NothingToBreakError` if there are none."""
        if high < low:
            raise NothingToBreakError
        return self.choices.among(low, high)

    def commands(self, flags: int = 0, without: int = 0) -> list[int]:
        """Returns the lines of commands that have all of ``flags`` and none of ``without``."""
        return self.numbers(
            _CONTENT.name, None, lambda _, frame: frame.flags & flags == flags and not frame.flags & without
        )

    def values(self) -> list[int]:
        """Returns the lines of frames that begin an argument."""
        return self.numbers(_ARGUMENT, None, lambda number, _: number not in self.continued)

    def receiving(self, number: int) -> set[int]:
        """Returns the ids of the requests that are partly sent before a line."""
        return {
            request_id for request_id, request in self.requests.items() if request.sent[0] < number <= request.sent[-1]
        }

    def active(self, number: int) -> set[int]:
        """Returns the ids of the requests that are completely sent before a line but not completely answered."""
        return {
            request_id
            for request_id, request in self.requests.items()
            if request.sent[-1] < number <= request.received[-1]
        }

    def free_id(self) -> int:
        """Chooses a request id that the session does not use."""
        return int(self.pick(one for one in (1, 3, 5, 7, 9, 11, _IDS - 1) if one not in self.requests))

    def next_id(self) -> int:
        """Returns the next request id."""
        return max(self.requests, default=-1) + 2

    def free_streams(self, side: Role) -> list[int]:
        """Returns the stream ids of a side that neither this session nor any other sample uses."""
        return [one for one in self._streams(side) if one not in STREAMS[side]]

    def _streams(self, side: Role) -> list[int]:
        first = int(_REVISION.machines.STREAM_PARITY[side])
        taken = {frame.stream_id for frame in self.frames if frame is not None}
        return [one for one in range(first, 256, 2) if one not in taken]

    def _unused_stream(self, side: Role) -> int:
        """Returns a stream id for an added request: one that samples use, if it is free in this session."""
        free = self._streams(side)
        return int(self.options(one for one in (*STREAMS[side], *self.free_streams(side)) if one in free)[0])

    # Changes.

    def change(self, number: int, **parts: Any) -> None:
        """Changes a frame. Its payload is the one before encoding."""
        line = self.lines[number]
        self.lines[number] = line._replace(frame=line.frame and line.frame.replace(**parts))

    def change_payload(self, number: int, change: Callable[[bytes], bytes]) -> None:
        """Changes the payload of a frame before encoding."""
        self.change(number, payload=change(bytes(self.frames[number].payload)))

    def insert(self, number: int, side: Role, frame: Frame, *before: Frame, raw: bool = False) -> None:
        """Inserts frames, those of ``before`` and then ``frame``, before line ``number`` on an unused stream."""
        stream_id = self.pick(self.free_streams(side))
        frames = [one.replace(stream_id=stream_id) for one in (*before, frame)]
        frames[0] = frames[0].replace(stream_flags=frames[0].stream_flags | BEGIN)
        frames[-1] = frames[-1].replace(stream_flags=frames[-1].stream_flags | END)
        self.lines[number:number] = [Line(side, one, raw=raw) for one in frames]

    def cut_short(self, request_id: int, number: int, *, always: bool = False) -> bool:
        """Drops the frames that the client sends for a request from a line on: one time in two, or always.

        Frames that begin or end a stream prevent it. A server that wrongly accepts the frames before the line then sees no other
        violation. Returns True if no frames remain.
        """
        later = [one for one in self.requests[request_id].sent if one >= number]
        if any(self.frames[one].stream_flags & (BEGIN | END) for one in later):
            return False
        if always or self.choices.below(2):
            for one in reversed(later):
                del self.lines[one]
            return True
        return not later

    def make(self, request_id: int, kind: int, flags: int = 0, payload: bytes = b"", stream_flags: int = 0) -> Frame:
        """Builds a frame to insert."""
        return _REVISION.codec.make_frame(request_id, 0, stream_flags, kind, flags, payload)

    def aside(self) -> tuple[int, Role, Frame]:
        """Returns a line number, a side, and a frame that this side may send before that line.

        The frame is a new command after all others, or a message for a request that waits for its response.
        """
        if self.role == "server" and not self.requests:
            self.add()
        answers = self.numbers(None, "server", lambda _, frame: frame.type != _SETTINGS)
        if answers and (self.role == "server" or (self.role is None and self.choices.below(2))):
            number = self.choices.pick(answers)
            frame = _REVISION.message("text")(self.frames[number].request_id, STREAMS["server"][0], [("x\n", (), ())])
            return number, "server", frame
        frame = self.make(self.next_id(), _CONTENT.name, _CONTENT.name_is_all, b"x")
        return self.end(), "client", frame

    def anywhere(self) -> int:
        """Chooses a line number for an insertion; one after the last line is included."""
        return self.choices.among(0, len(self.lines))


_MESSAGE = _REVISION.message("text")(1, 2, [("x\n", (), ())])
_WITH: dict[int, dict[str, Any]] = {
    _TEXT: {"before": [_MESSAGE]},
    _PROGRESS: {"before": [_REVISION.message("progress")(1, 2, "x", pos, 1) for pos in (0, -1)]},
    _ARGUMENT: {"args": {"key": b"tip"}},
    _DATA: {"data": b"x"},
    _ERROR: {"error": True},
}
"""Arguments of :meth:`Scene.add` for a request with a frame of a type.

Every request has a command-name frame and, unless it fails, a bytes-response frame.
"""


def _on_one_stream(side: Role, stream_id: int, frames: Sequence[Frame]) -> list[Line]:
    placed = [frame.replace(stream_id=stream_id, stream_flags=0) for frame in frames]
    placed[0] = placed[0].replace(stream_flags=BEGIN)
    placed[-1] = placed[-1].replace(stream_flags=placed[-1].stream_flags | END)
    return [Line(side, frame) for frame in placed]


def _ends_topic(frame: Any) -> bool:
    if frame.type != _PROGRESS:
        return False
    _, decode, _ = _REVISION.structure_of("progress")
    return bool(decode(bytes(frame.payload)).pos == -1)


class Violators(dict[str, "Callable[[Scene], None]"]):
    """Functions by requirement. Each changes a scene so that it violates the requirement, or raises `NothingToBreakError`."""

    def of(self, requirement: str) -> Callable[[Callable[[Scene], None]], Callable[[Scene], None]]:
        """Registers a violator."""

        def register(violator: Callable[[Scene], None]) -> Callable[[Scene], None]:
            self[requirement] = violator
            return violator

        return register


def flagged(kind: int, *flags: int) -> Callable[[Scene], None]:
    """Builds a violator that replaces the flags of a frame of a type."""

    def violator(scene: Scene) -> None:
        scene.change(scene.pick(scene.some(kind)), flags=scene.pick(flags))

    return violator


def sent_by_the_wrong_side(kind: int, side: Role, flags: int, payload: bytes) -> Callable[[Scene], None]:
    """Builds a violator that inserts a frame that only the other side may send."""

    def violator(scene: Scene) -> None:
        scene.insert(scene.anywhere(), side, scene.make(2 * scene.choices.below(3) + 1, kind, flags, payload))

    return violator
