"""A session that keeps every rule, and where in it something can be done to break one."""

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
"""The flags of the commands that the frames of their content follow, by frame type."""


class NothingToBreakError(Exception):
    """There is nothing in the session by which the rule could be broken."""


class _Request:
    """Where the lines of a request are: its command's, and all of its response's."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.received: list[int] = []


class Scene:
    """A session as violators see it. ``lines`` is what they change; numbers are those of its lines before any change.

    A session may lack the frames that a violator changes. The violator then adds a valid request that has them, at the end
    (:meth:`add`), and changes that. ``role``: the side that is to break the rule, either by default. ``encodings``: the
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
        """Looks at all lines, after a change that moves them."""
        self.frames: list[Any] = [line.frame for line in self.lines]
        self.requests: dict[int, _Request] = {}
        self.profiles: dict[int, str] = {}
        """The profile of the stream that a line is on; empty without one."""
        self.continued: set[int] = set()
        """Lines that go on with the value of the argument before."""
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

    # What is added.

    def end(self) -> int:
        """The number before whose line the last thing of a session can be put: before the end of any output."""
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
        """Adds a request and its response at the end; gives its id. Each side's frames are a stream of their own.

        ``before``: what the server sends before the response. ``size``: of the largest payload. ``error``: whether the response
        is an error. ``profile``: that the streams name.
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
        """The lines of a type of frame for which ``where`` holds; at least one, since a request is added where there is none.

        ``request``: that request, as of :meth:`add`; by default one that has a frame of the type.
        """
        found = self.numbers(kind, None, where)
        if not found:
            self.add(**(request or ({"profile": self.profile()} if kind == _SETTINGS else _WITH.get(kind, {}))))
            found = self.numbers(kind, None, where)
        return found

    def own(self, where: Callable[[int, Any], bool] | None = None) -> list[int]:
        """The lines of the side that breaks the rule for which ``where`` holds; at least one, as of :meth:`some`."""
        found = self.numbers(None, self.role, where)
        if not found:
            # Several frames of each side on one stream, the first of which begins it without settings.
            self.add({"key": b"tip"}, before=[_MESSAGE])
            found = self.numbers(None, self.role, where)
        return found

    def either(self) -> Role:
        """The side that breaks the rule."""
        return self.choices.pick(SIDES) if self.role is None else self.role

    def profile(self) -> str:
        """A profile that is known. Raises :class:`NothingToBreakError` when there is none."""
        return "identity" if "identity" in self.encodings else str(self.pick(self.encodings))

    def may_be_lost(self, number: int) -> bool:
        """True if nobody misses what a stream has from a line on: no topic of progress ends there."""
        side, stream_id = self.lines[number].side, self.frames[number].stream_id
        return not any(
            frame is not None and frame.stream_id == stream_id and line.side == side and _ends_topic(frame)
            for line, frame in zip(self.lines[number:], self.frames[number:], strict=True)
        )

    # What there is.

    def numbers(
        self, kind: int | None = None, side: Role | None = None, where: Callable[[int, Any], bool] | None = None
    ) -> list[int]:
        """The lines of frames of a type and a side for which ``where`` holds."""
        return [
            number
            for number, frame in enumerate(self.frames)
            if frame is not None
            and (kind is None or frame.type == kind)
            and (side is None or self.lines[number].side == side)
            and (where is None or where(number, frame))
        ]

    def pick(self, options: Iterable[Any]) -> Any:
        """One of several. Raises :class:`NothingToBreakError` when there is none."""
        return self.choices.pick(self.options(options))

    def options(self, options: Iterable[Any]) -> list[Any]:
        """Several. Raises :class:`NothingToBreakError` when there is none."""
        found = list(options)
        if not found:
            raise NothingToBreakError
        return found

    def between(self, low: int, high: int) -> int:
        """A number from ``low`` to ``high``, both included. Raises :class:`NothingToBreakError` when there is none."""
        if high < low:
            raise NothingToBreakError
        return self.choices.among(low, high)

    def commands(self, flags: int = 0, without: int = 0) -> list[int]:
        """The lines of commands that have ``flags``, and none of ``without``."""
        return self.numbers(
            _CONTENT.name, None, lambda _, frame: frame.flags & flags == flags and not frame.flags & without
        )

    def values(self) -> list[int]:
        """The lines of frames that begin an argument."""
        return self.numbers(_ARGUMENT, None, lambda number, _: number not in self.continued)

    def receiving(self, number: int) -> set[int]:
        """The requests of which a part was sent before a line."""
        return {
            request_id for request_id, request in self.requests.items() if request.sent[0] < number <= request.sent[-1]
        }

    def active(self, number: int) -> set[int]:
        """The requests that were sent whole before a line and are not answered yet."""
        return {
            request_id
            for request_id, request in self.requests.items()
            if request.sent[-1] < number <= request.received[-1]
        }

    def free_id(self) -> int:
        """A request id that the session has not."""
        return int(self.pick(one for one in (1, 3, 5, 7, 9, 11, _IDS - 1) if one not in self.requests))

    def next_id(self) -> int:
        """The request id that comes next."""
        return max(self.requests, default=-1) + 2

    def free_streams(self, side: Role) -> list[int]:
        """The streams of a side that the session has not."""
        return [one for one in self._streams(side) if one not in STREAMS[side]]

    def _streams(self, side: Role) -> list[int]:
        first = int(_REVISION.machines.STREAM_PARITY[side])
        taken = {frame.stream_id for frame in self.frames if frame is not None}
        return [one for one in range(first, 256, 2) if one not in taken]

    def _unused_stream(self, side: Role) -> int:
        """The stream for a request that is added: as sessions have it, if nothing is on it."""
        free = self._streams(side)
        return int(self.options(one for one in (*STREAMS[side], *self.free_streams(side)) if one in free)[0])

    # What can be done.

    def change(self, number: int, **parts: Any) -> None:
        """Changes a frame: its payload as before encoding."""
        line = self.lines[number]
        self.lines[number] = line._replace(frame=line.frame and line.frame.replace(**parts))

    def change_payload(self, number: int, change: Callable[[bytes], bytes]) -> None:
        """Changes a payload as it is before encoding."""
        self.change(number, payload=change(bytes(self.frames[number].payload)))

    def insert(self, number: int, side: Role, frame: Frame, *before: Frame, raw: bool = False) -> None:
        """Puts a frame, and others before it, before a line, on a stream that has no others."""
        stream_id = self.pick(self.free_streams(side))
        frames = [one.replace(stream_id=stream_id) for one in (*before, frame)]
        frames[0] = frames[0].replace(stream_flags=frames[0].stream_flags | BEGIN)
        frames[-1] = frames[-1].replace(stream_flags=frames[-1].stream_flags | END)
        self.lines[number:number] = [Line(side, one, raw=raw) for one in frames]

    def cut_short(self, request_id: int, number: int, *, always: bool = False) -> bool:
        """Drops, one time in two or always, what the client sends of a request from a line on; not where a stream needs it.

        For what comes before that line: who takes it for good is not stopped by the rest. Gives whether nothing is left.
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
        """A frame to insert."""
        return _REVISION.codec.make_frame(request_id, 0, stream_flags, kind, flags, payload)

    def aside(self) -> tuple[int, Role, Frame]:
        """A frame that may be sent without breaking a rule: before which line, by which side, and the frame.

        A new command after all others, or a message about a request that waits for its response.
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
        """A number before whose line something can be put, one after the last included."""
        return self.choices.among(0, len(self.lines))


_MESSAGE = _REVISION.message("text")(1, 2, [("x\n", (), ())])
_WITH: dict[int, dict[str, Any]] = {
    _TEXT: {"before": [_MESSAGE]},
    _PROGRESS: {"before": [_REVISION.message("progress")(1, 2, "x", pos, 1) for pos in (0, -1)]},
    _ARGUMENT: {"args": {"key": b"tip"}},
    _DATA: {"data": b"x"},
    _ERROR: {"error": True},
}
"""What a request has that is added for a type of frame; any has a command-name and, without an error, a bytes-response."""


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
    """What breaks each of some requirements in a scene, or raises ``NothingToBreakError``."""

    def of(self, requirement: str) -> Callable[[Callable[[Scene], None]], Callable[[Scene], None]]:
        """Registers a violator."""

        def register(violator: Callable[[Scene], None]) -> Callable[[Scene], None]:
            self[requirement] = violator
            return violator

        return register


def flagged(kind: int, *flags: int) -> Callable[[Scene], None]:
    """Gives a frame of a type one of several combinations of flags."""

    def violator(scene: Scene) -> None:
        scene.change(scene.pick(scene.some(kind)), flags=scene.pick(flags))

    return violator


def sent_by_the_wrong_side(kind: int, side: Role, flags: int, payload: bytes) -> Callable[[Scene], None]:
    """Sends a frame that only the other side sends."""

    def violator(scene: Scene) -> None:
        scene.insert(scene.anywhere(), side, scene.make(2 * scene.choices.below(3) + 1, kind, flags, payload))

    return violator
