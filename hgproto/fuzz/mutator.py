"""The mutator: changes sessions of one side so that they stay valid, and inserts faults with a given probability.

The changes affect requests and their frames. Lengths, sub-headers, continuation flags, and streams are adjusted, so that a change
reaches the code behind the first check. A fault is a violator's, or a random change of a field, a length, a byte, or a frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hgproto.errors import HgprotoError, RemoteProtocolError
from hgproto.fuzz.raw import frames_of
from hgproto.judging.finding import other_role
from hgproto.reactors.content import Content
from hgproto.revisions.revision import default_revision
from hgproto.samples import VIOLATORS, senders, session, violate, wires
from hgproto.samples.frames import FrameMaker
from hgproto.samples.sessions import BEGIN, END, STREAMS, Line, on_streams
from hgproto.streams.encodings import default_encodings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hgproto.judging.finding import Role
    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.frame import Frame
    from hgproto.samples import Choices
    from hgproto.streams.encodings import Encodings

__all__ = ["Mutator"]

_REVISION = default_revision()
codec, _CONTENT = _REVISION.codec, Content(_REVISION)
_DATA = _REVISION.data_types
"""The frame types with raw bytes, and their flags for more frames and for the last one."""
_NAME, _ARGUMENT, _PROGRESS = _CONTENT.name, _CONTENT.argument_code, _REVISION.code_of("progress")
_MESSAGES = (_REVISION.code_of("text"), _PROGRESS, _REVISION.code_of("error"))
_SIZES = (0, 1, 2, 127, 128, 129, 254, 255, 256, 257, 511, 512, 4095, 32767, 32768, 65000, 65535)
_MOST_FRAMES = 60
"""The maximum number of frames of a session. Requests that would exceed it are left out."""
_NAMES = ("x", "heads", "a b", "~", "c" * 127, "c" * 128, "c" * 255, "c" * 256, "\0", "%s")
_ARGUMENT_NAMES = ("a", "key", "\0", "n" * 127, "n" * 128, "n" * 255, "n" * 256, "%s", " ")


class Mutator:
    """Builder of sessions from other sessions.

    ``choices``: the source of all choices. ``side``: the side whose lines are built, ``client`` or ``server``. ``rate``: how
    often a fault is inserted, in percent. ``encodings``: the profiles that streams may name.
    """

    def __init__(self, choices: Choices, side: Role, *, rate: int = 50, encodings: Encodings | None = None) -> None:
        if side not in STREAMS:
            raise ValueError(f"a side is client or server, not {side!r}")
        self._choices = choices
        self._side = side
        self._rate = rate
        self._encodings = default_encodings() if encodings is None else encodings
        self._profiles = ("", "", "", *self._encodings)
        self._breakable = sorted(requirement for requirement in VIOLATORS if side in senders(requirement))
        self._maker = FrameMaker(fresh=20)
        self._changes: tuple[Callable[[dict[int, list[Frame]]], None], ...] = (
            self._add,
            self._drop,
            self._resize,
            self._cut,
            self._insert_empty,
            self._rename,
            self._another_payload,
            self._renumber,
        )

    def fresh(self) -> list[Line]:
        """Builds the lines of this side of a valid session."""
        return [line for line in session(self._choices, encodings=self._encodings) if line.side == self._side]

    def mutated(self, lines: Iterable[Line]) -> list[Line]:
        """Applies one to three changes to a session; it stays valid."""
        requests = _requests(lines)
        for _ in range(self._choices.among(1, 3)):
            self._choices.pick(self._changes)(requests)
        return self._laid(requests)

    def crossed(self, one: Iterable[Line], other: Iterable[Line]) -> list[Line]:
        """Combines requests of two sessions into one valid session."""
        requests: dict[int, list[Frame]] = {}
        for lines in (one, other):
            for frames in _requests(lines).values():
                if self._choices.below(4) < 3:
                    request_id = 2 * len(requests) + 1
                    requests[request_id] = [frame.replace(request_id=request_id) for frame in frames]
        return self._laid(requests)

    def broken(self, lines: list[Line]) -> list[Line]:
        """Inserts a fault into a session, as often as ``rate``; otherwise returns it unchanged."""
        if self._choices.below(100) >= self._rate:
            return lines
        if self._choices.below(2) and all(line.frame is not None for line in lines):
            requirement = self._choices.pick(self._breakable)
            try:
                both = violate(
                    requirement,
                    self._with_other_side(lines),
                    self._choices,
                    role=self._side,
                    encodings=self._encodings,
                )
            except (RemoteProtocolError, LookupError):
                # Violators need a valid session.
                both = None
            if both is not None:
                return [line for line in both if line.side == self._side]
        return self._damaged(lines)

    def of_bytes(self, data: BytesLike) -> list[Line]:
        """Returns bytes of this side as lines. Bytes that are not a whole frame are one line."""
        lines = []
        for part in frames_of(data):
            try:
                frame, _ = codec.decode_frame(part, 0, codec.MAX_PAYLOAD[1])
                lines.append(Line(self._side, frame, raw=True))
            except RemoteProtocolError:
                lines.append(Line(self._side, None, data=part))
        return lines

    def mutated_bytes(self, data: BytesLike, other: BytesLike = b"") -> bytes:
        """Returns a mutation for engines that only know bytes, or a crossing of ``data`` with ``other``."""
        lines, others = self.of_bytes(data), self.of_bytes(other)
        try:
            if others:
                lines = self.crossed(lines, others)
            elif self._choices.below(2):
                lines = self.mutated(lines)
            return self._bytes_of(self.broken(lines or self.fresh()))
        except HgprotoError:
            # Damaged frames do not support the changes for valid ones.
            return self._bytes_of(self._damaged(lines))

    def _bytes_of(self, lines: list[Line]) -> bytes:
        return b"".join(part for _, part in wires(lines, encodings=self._encodings) if part is not None)

    # Valid changes.

    def _laid(self, requests: dict[int, list[Frame]]) -> list[Line]:
        """Builds lines from requests: interleaves their frames and assigns them to streams."""
        lines: list[Line] = []
        queues: list[list[Frame]] = []
        frames = 0
        for _, queue in sorted(requests.items()):
            frames += len(queue)
            if queue and (frames <= _MOST_FRAMES or not queues):
                queues.append(_repaired(queue))
        begun = 1
        while queues:
            # Continue one of the begun requests, or begin the next one.
            which = self._choices.below(min(begun + 1, len(queues), 4))
            begun = max(begun, which + 1)
            lines.append(Line(self._side, queues[which].pop(0)))
            if not queues[which]:
                del queues[which]
                begun = max(begun - 1, 1)
        return list(on_streams(lines, self._side, self._choices, self._profiles))

    def _add(self, requests: dict[int, list[Frame]]) -> None:
        """Adds a request, or the frames of a response."""
        more = list(_requests(self.fresh()).values())
        if more:
            free = next(one for one in range(1, 1 << 16, 2) if one not in requests)
            if free < 31:
                requests[free] = [frame.replace(request_id=free) for frame in self._choices.pick(more)]

    def _drop(self, requests: dict[int, list[Frame]]) -> None:
        if len(requests) > 1:
            del requests[self._choices.pick(list(requests))]

    def _pick(self, requests: dict[int, list[Frame]], kinds: Sequence[int]) -> tuple[list[Frame], int] | None:
        """Chooses the frames of a request, and the number of the frame to change."""
        places = [
            (frames, number)
            for frames in requests.values()
            for number, frame in enumerate(frames)
            if frame.type in kinds
        ]
        return self._choices.pick(places) if places else None

    def _bytes(self, most: int = 65535) -> bytes:
        size = min(self._choices.pick(_SIZES), most)
        return bytes([self._choices.pick((0, 0x61, 0xFF))]) * size

    def _resize(self, requests: dict[int, list[Frame]]) -> None:
        """Replaces data or the value of an argument by bytes of another size."""
        place = self._pick(requests, (*_DATA, _ARGUMENT))
        if place is None:
            return
        frames, number = place
        frame = frames[number]
        if frame.type != _ARGUMENT:
            frames[number] = frame.replace(payload=self._bytes())
        else:
            argument = _argument(frames, number)
            if argument is not None:
                value = self._bytes(65531 - len(argument.name))
                frames[number] = frame.replace(payload=_whole(argument.name, value))

    def _cut(self, requests: dict[int, list[Frame]]) -> None:
        """Splits data or an argument into two frames."""
        place = self._pick(requests, (*_DATA, _ARGUMENT))
        if place is None:
            return
        frames, number = place
        frame = frames[number]
        payload = bytes(frame.payload)
        if frame.type != _ARGUMENT:
            at = self._choices.among(0, len(payload))
            frames[number : number + 1] = [frame.replace(payload=payload[:at]), frame.replace(payload=payload[at:])]
            return
        argument = _argument(frames, number)
        if argument is not None:
            at = self._choices.among(0, len(argument.value))
            start, _, encode = _REVISION.structure_of("argument", _CONTENT.more)
            payload = encode(start(len(argument.value), argument.name, argument.value[:at]))
            frames[number : number + 1] = [
                frame.replace(flags=_CONTENT.more, payload=payload),
                frame.replace(payload=argument.value[at:]),
            ]

    def _insert_empty(self, requests: dict[int, list[Frame]]) -> None:
        """Inserts an empty frame before a data frame, or into a value."""
        place = self._pick(requests, (*_DATA, _ARGUMENT))
        if place is None:
            return
        frames, number = place
        frame = frames[number]
        if frame.type != _ARGUMENT:
            frames.insert(number, frame.replace(payload=b""))
        elif frame.flags & _CONTENT.more:
            frames.insert(number + 1, frame.replace(payload=b""))

    def _rename(self, requests: dict[int, list[Frame]]) -> None:
        """Replaces the name of a command or of an argument."""
        place = self._pick(requests, (_NAME, _ARGUMENT))
        if place is None:
            return
        frames, number = place
        frame = frames[number]
        if frame.type == _NAME:
            frames[number] = frame.replace(payload=self._choices.pick(_NAMES).encode())
            return
        argument = _argument(frames, number)
        name = self._choices.pick(_ARGUMENT_NAMES)
        if argument is not None and name not in _argument_names(frames):
            value = argument.value[: 65531 - len(name)]
            frames[number] = frame.replace(payload=_whole(name, value))

    def _another_payload(self, requests: dict[int, list[Frame]]) -> None:
        """Replaces the payload of a message, a progress frame, or an error."""
        place = self._pick(requests, _MESSAGES)
        if place is None:
            return
        frames, number = place
        payload = self._maker.payload(self._choices, int(frames[number].type))
        if frames[number].type == _PROGRESS:
            # Keep the topic and its position, so that every topic still ends.
            _, decode, encode = _REVISION.structure_of("progress")
            before, after = decode(bytes(frames[number].payload)), decode(payload)
            payload = encode(after.replace(topic=before.topic, pos=before.pos))
        frames[number] = frames[number].replace(payload=payload)

    def _renumber(self, requests: dict[int, list[Frame]]) -> None:
        """Replaces the request ids; their order stays the same."""
        if self._side == "server":
            # A client accepts only ids of requests that it has sent.
            return
        step = self._choices.pick((2, 4, 256, 2048))
        first = self._choices.pick((1, 1, 127, 129, 255, 257, 32767))
        frames = list(requests.values())
        requests.clear()
        for number, one in enumerate(frames):
            request_id = first + number * step
            if request_id < 65000:
                requests[request_id] = [frame.replace(request_id=request_id) for frame in one]

    def _with_other_side(self, lines: list[Line]) -> list[Line]:
        """Adds a command or a response of the other side for each request."""
        ids = list(_requests(lines))
        if self._side == "client":
            respond = _REVISION.message("response")
            said = [frame for id_ in ids for frame in respond(id_, STREAMS["server"][0], b"")]
        else:
            command = _REVISION.message("command", "argument", "data")
            said = [frame for id_ in ids for frame in command(id_, STREAMS["client"][0], "x")]
        side = other_role(self._side)
        for number, frame in enumerate(said):
            said[number] = frame.replace(stream_flags=BEGIN * (number == 0) | END * (number == len(said) - 1))
        other = [Line(side, frame) for frame in said]
        return [*lines, *other] if self._side == "client" else [*other, *lines]

    # Faults.

    def _damaged(self, lines: list[Line]) -> list[Line]:
        """Changes one field, length, or byte, or removes or repeats a frame."""
        lines = list(lines)
        numbers = [number for number, line in enumerate(lines) if line.frame is not None and line.data is None]
        if not numbers:
            return lines
        number = self._choices.pick(numbers)
        line = lines[number]
        frame: Any = line.frame
        payload = bytes(frame.payload)
        match self._choices.below(9):
            case 0:
                lines[number] = line._replace(frame=frame.replace(flags=int(frame.flags) ^ 1 << self._choices.below(4)))
            case 1:
                stream_flags = int(frame.stream_flags) ^ 1 << self._choices.below(8)
                lines[number] = line._replace(frame=frame.replace(stream_flags=stream_flags), raw=True)
            case 2:
                lines[number] = line._replace(frame=frame.replace(type=self._choices.below(16)))
            case 3:
                change = 1 << self._choices.below(16)
                lines[number] = line._replace(frame=frame.replace(request_id=int(frame.request_id) ^ change))
            case 4:
                change = 1 << self._choices.below(8)
                lines[number] = line._replace(frame=frame.replace(stream_id=int(frame.stream_id) ^ change))
            case 5 if payload:
                at = self._choices.below(len(payload))
                byte = self._choices.pick((0, 1, 0x7F, 0x80, 0xFF, payload[at] ^ 1))
                changed = payload[:at] + bytes([byte]) + payload[at + 1 :]
                lines[number] = line._replace(frame=frame.replace(payload=changed))
            case 6 if payload:
                lines[number] = line._replace(frame=frame.replace(payload=payload[: self._choices.below(len(payload))]))
            case 7:
                del lines[number]
            case _:
                lines.insert(self._choices.pick(numbers), line)
        return lines


def _requests(lines: Iterable[Line]) -> dict[int, list[Frame]]:
    """Returns the frames of each request, without streams."""
    requests: dict[int, list[Frame]] = {}
    for line in lines:
        frame = line.frame
        if frame is not None and frame.type != _REVISION.settings:
            requests.setdefault(int(frame.request_id), []).append(frame.replace(stream_id=0, stream_flags=0))
    return requests


def _repaired(frames: list[Frame]) -> list[Frame]:
    """Removes surplus data frames, and sets the flags of data frames: all but the last announce another one."""
    while len(frames) > _MOST_FRAMES:
        # Remove the first data frame.
        spare = next((number for number, frame in enumerate(frames) if frame.type in _DATA), None)
        if spare is None:
            break
        frames = frames[:spare] + frames[spare + 1 :]
    numbers = [number for number, frame in enumerate(frames) if frame.type in _DATA]
    repaired = list(frames)
    for number in numbers:
        more, last = _DATA[int(frames[number].type)]
        repaired[number] = frames[number].replace(flags=last if number == numbers[-1] else more)
    return repaired


def _whole(name: str, value: bytes) -> bytes:
    """Encodes an argument that is one whole frame."""
    argument, _, encode = _REVISION.structure_of("argument")
    return encode(argument(name, value))


def _argument(frames: list[Frame], number: int) -> Any:
    """Decodes an argument that is one whole frame; returns None if it is not."""
    before = frames[number - 1]
    is_rest = before.type == _ARGUMENT and before.flags & _CONTENT.more
    if is_rest or frames[number].flags & _CONTENT.more:
        return None
    try:
        return _CONTENT.argument(bytes(frames[number].payload))
    except RemoteProtocolError:
        return None


def _argument_names(frames: list[Frame]) -> set[str]:
    names = set()
    for frame in frames:
        if frame.type == _ARGUMENT:
            payload = bytes(frame.payload)
            names.add(payload[4 : 4 + int.from_bytes(payload[:2], "little")].decode("ascii", "replace"))
    return names
