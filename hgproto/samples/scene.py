"""A session that keeps every rule, and where in it something can be done to break one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hgproto import build
from hgproto.framing_0002 import codec, machines
from hgproto.samples.sessions import BEGIN, END, STREAMS, Line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hgproto.frame import Frame
    from hgproto.samples.choices import Choices

__all__ = ["NothingToBreakError", "Scene", "Violators", "flagged", "sent_by_the_wrong_side"]

_Type = codec.FrameType
_ARGUMENT, _DATA, _SETTINGS = _Type.COMMAND_ARGUMENT, _Type.COMMAND_DATA, _Type.STREAM_SETTINGS
_IDS = 1 << codec.FIELD_BITS["request_id"][0]


class NothingToBreakError(Exception):
    """There is nothing in the session by which the rule could be broken."""


class _Request:
    """Where the lines of a request are: its command's, and all of its response's."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.received: list[int] = []


class Scene:
    """A session as violators see it. ``lines`` is what they change; numbers are those of its lines before any change."""

    def __init__(self, lines: Iterable[Line], choices: Choices) -> None:
        self.lines = list(lines)
        self.choices = choices
        self.frames: list[Any] = [line.frame for line in self.lines]
        self.requests: dict[int, _Request] = {}
        self.profiles: dict[int, str] = {}
        """The profile of the stream that a line is on; empty without one."""
        self.continued: set[int] = set()
        """Lines that go on with the value of the argument before."""
        self._survey()

    def _survey(self) -> None:
        current: dict[int, str] = {}
        open_values: set[int] = set()
        for number, (side, frame) in enumerate((line.side, line.frame) for line in self.lines):
            if frame is None:
                continue
            if frame.stream_flags & BEGIN:
                is_settings = frame.type == _SETTINGS
                current[frame.stream_id] = (
                    codec.decode_stream_settings(bytes(frame.payload)).profile if is_settings else ""
                )
            self.profiles[number] = current[frame.stream_id]
            if frame.type == _SETTINGS:
                continue
            request = self.requests.setdefault(frame.request_id, _Request())
            (request.sent if side == "client" else request.received).append(number)
            if frame.type == _ARGUMENT:
                if frame.request_id in open_values:
                    self.continued.add(number)
                (open_values.add if frame.flags & codec.CommandArgumentFlag.CONTINUATION else open_values.discard)(
                    frame.request_id
                )

    # What there is.

    def numbers(
        self, kind: int | None = None, side: str | None = None, where: Callable[[int, Any], bool] | None = None
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
        found = list(options)
        if not found:
            raise NothingToBreakError
        return self.choices.pick(found)

    def between(self, low: int, high: int) -> int:
        """A number from ``low`` to ``high``, both included. Raises :class:`NothingToBreakError` when there is none."""
        if high < low:
            raise NothingToBreakError
        return self.choices.among(low, high)

    def commands(self, flags: int = 0, without: int = 0) -> list[int]:
        """The lines of command-name that have ``flags``, and none of ``without``."""
        return self.numbers(
            _Type.COMMAND_NAME, None, lambda _, frame: frame.flags & flags == flags and not frame.flags & without
        )

    def values(self) -> list[int]:
        """The lines of command-argument that begin an argument."""
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

    def free_streams(self, side: str) -> list[int]:
        """The streams of a side that the session has not."""
        first = int(machines.STREAM_PARITY[side])
        return [one for one in range(first, 256, 2) if one not in STREAMS[side]]

    # What can be done.

    def change(self, number: int, **parts: Any) -> None:
        """Changes a frame: its payload as before encoding."""
        line = self.lines[number]
        self.lines[number] = line._replace(frame=line.frame and line.frame.replace(**parts))

    def change_payload(self, number: int, change: Callable[[bytes], bytes]) -> None:
        """Changes a payload as it is before encoding."""
        self.change(number, payload=change(bytes(self.frames[number].payload)))

    def insert(self, number: int, side: str, frame: Frame, *before: Frame, raw: bool = False) -> None:
        """Puts a frame, and others before it, before a line, on a stream that has no others."""
        stream_id = self.pick(self.free_streams(side))
        frames = [one.replace(stream_id=stream_id) for one in (*before, frame)]
        frames[0] = frames[0].replace(stream_flags=frames[0].stream_flags | BEGIN)
        frames[-1] = frames[-1].replace(stream_flags=frames[-1].stream_flags | END)
        self.lines[number:number] = [Line(side, one, raw=raw) for one in frames]

    def cut_short(self, request_id: int, number: int) -> None:
        """Drops, one time in two, what the client sends of a request from a line on; not where a stream needs it.

        For what comes before that line: who takes it for good is not stopped by the rest.
        """
        later = [one for one in self.requests[request_id].sent if one >= number]
        if self.choices.below(2) and not any(self.frames[one].stream_flags & (BEGIN | END) for one in later):
            for one in reversed(later):
                del self.lines[one]

    def make(self, request_id: int, kind: int, flags: int = 0, payload: bytes = b"", stream_flags: int = 0) -> Frame:
        """A frame to insert."""
        return codec.make_frame(request_id, 0, stream_flags, kind, flags, payload)

    def aside(self) -> tuple[int, str, Frame]:
        """A frame that may be sent without breaking a rule: before which line, by which side, and the frame.

        A new command after all others, or a message about a request that waits for its response.
        """
        answers = self.numbers(None, "server", lambda _, frame: frame.type != _SETTINGS)
        if answers and self.choices.below(2):
            number = self.choices.pick(answers)
            frame = build.text_output(self.frames[number].request_id, STREAMS["server"][0], [("x\n", (), ())])
            return number, "server", frame
        frame = self.make(self.next_id(), _Type.COMMAND_NAME, codec.CommandNameFlag.EOS, b"x")
        return len(self.lines), "client", frame

    def anywhere(self) -> int:
        """A number before whose line something can be put, one after the last included."""
        return self.choices.among(0, len(self.lines))


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
        scene.change(scene.pick(scene.numbers(kind)), flags=scene.pick(flags))

    return violator


def sent_by_the_wrong_side(kind: int, side: str, flags: int, payload: bytes) -> Callable[[Scene], None]:
    """Sends a frame that only the other side sends."""

    def violator(scene: Scene) -> None:
        scene.insert(scene.anywhere(), side, scene.make(2 * scene.choices.below(3) + 1, kind, flags, payload))

    return violator
