"""Cases: the inputs of targets, in an order that finds faults early. Rounds of violations alternate with edges and mutations."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.errors import RemoteProtocolError, counted, shown
from hgproto.fuzz.echo import served
from hgproto.fuzz.features import features_named, used
from hgproto.fuzz.mutator import Mutator
from hgproto.fuzz.raw import frames_of, has_header, number_of
from hgproto.judging.finding import ERROR, checked_role, other_role
from hgproto.judging.validation import validate
from hgproto.reactors.content import Content
from hgproto.reactors.limits import Limits
from hgproto.reactors.server import Server
from hgproto.revisions.revision import default_revision
from hgproto.runtime.bytelike import as_bytes
from hgproto.runtime.frame import check_instance
from hgproto.samples import VIOLATORS, Seeded, at_limits, boundaries, senders, session, violate, wires
from hgproto.samples.frames import FrameMaker
from hgproto.samples.of_frames import ABOUT_ENCODINGS
from hgproto.samples.scene import ANNOUNCING
from hgproto.streams.encodings import Encodings, default_encodings
from hgproto.streams.input_stream import checked_reopen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Literal

    from hgproto.judging.finding import Role
    from hgproto.runtime.bytelike import BytesLike
    from hgproto.samples import Line

__all__ = ["Case", "Cases", "frames_and_waits", "probed_as", "types_of", "with_probe", "without_probe"]

_REVISION = default_revision()
codec, _CONTENT = _REVISION.codec, Content(_REVISION)
_BEGIN, _END = _REVISION.begin, _REVISION.end
_MORE_DATA, _LAST_DATA = _REVISION.data_types[_CONTENT.data]
_HEADER = codec.HEADER_BYTES
_LIMIT, _MOST = codec.MAX_PAYLOAD
_PROBE_NAME = b"probe"
_PROBE = _HEADER + len(_PROBE_NAME)
"""The size of a probe, in bytes."""
_POPULATION = 200
"""The number of sessions that are kept for mutation."""
_MOST_BYTES = 1 << 21
"""The largest limit, in bytes, that cases reach."""
_BOMB = 1 << 28
"""The decoded size, in bytes, of a small encoded payload."""
_SERIES, _SERIES_BYTES = "series", 1 << 20
"""The origin and the size, in bytes, of cases that measure memory.

The size makes growth of a few bytes per byte distinguishable from the noise of an allocator.
"""
_SERIES_NAME, _SERIES_PAYLOAD = 120, 4096
"""Payload sizes in a series, in bytes: of commands that are done, and of all other frames."""
_TRIES = 40
"""The number of sessions tried to find one that violates a single requirement."""
_VARIANTS = 3
"""The number of violations of each requirement in a round."""
_ROUND = 300
"""The number of mutations between two rounds of violations."""


def types_of(side: Role) -> list[str]:
    """Returns the names of the frame types that a side may send. They follow from the stream ids that the codec accepts."""
    maker, parity = FrameMaker(), _REVISION.machines.STREAM_PARITY[side]
    return [name for name, code in codec.CODES.items() if parity in maker.headers(code)[0].stream_parities]


class Case(NamedTuple):
    """The input of a target.

    ``data``: the bytes of the other side. ``origin``: their description. ``probe``: the request id of a command at the end,
    which shows that the connection still works; None without such a command. ``waits``: offsets in ``data`` at which the other
    side waits until the target sends nothing more. ``sizes``: the sizes of two shorter inputs, each half of the next. The
    target gets them too, which shows the growth of its memory. ``tail``: the number of bytes at the end of the case that also
    end the shorter inputs.
    """

    data: bytes
    origin: str
    probe: int | None = None
    waits: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    tail: int = 0

    @property
    def starts(self) -> list[bytes]:
        """The inputs of the target, from the smallest start to the whole case."""
        end = self.data[len(self.data) - self.tail :]
        return [*(self.data[:size] + end for size in self.sizes), self.data]


class Cases:
    """An infinite sequence of cases. ``role``: the target's role, ``client`` or ``server``. ``seed``: the random seed.

    ``rate``: the percentage of mutations in which a fault is inserted. ``limits``: those of the target; None if unknown.
    ``encodings``: the profiles that the target knows. ``corpus``: bytes that are used first. ``probe``: True if cases for a
    server end with a command that shows that it still works. ``without``: the features that the target lacks
    (:mod:`hgproto.fuzz.features`). Cases that use one are left out, and ``left_out`` counts them. ``dialogues``: True for a target
    that supports waits. ``defers``: True for a target that responds only after the end of input. ``fails``: the name of a command
    that its application fails. ``reopen``: as for :class:`hgproto.Server`.
    """

    def __init__(
        self,
        role: Role,
        seed: int,
        *,
        rate: int = 50,
        limits: Limits | None = None,
        encodings: Encodings | None = None,
        corpus: Iterable[BytesLike] = (),
        probe: bool = True,
        without: Iterable[str] = (),
        dialogues: bool = False,
        defers: bool = False,
        fails: str | None = None,
        reopen: Literal["error", "restart"] = "error",
    ) -> None:
        self._side = other_role(checked_role(role))
        self._choices = Seeded(seed)
        if limits is not None:
            check_instance(limits, Limits, "limits")
        if encodings is not None:
            check_instance(encodings, Encodings, "encodings")
        if fails is not None and not (fails and fails.isascii()):
            raise ValueError(f"fails must be the ASCII name of a command, not {shown(fails)}")
        self._limits = limits
        self._encodings = default_encodings() if encodings is None else encodings
        self._mutator = Mutator(self._choices, self._side, rate=rate, encodings=self._encodings)
        self._corpus = [as_bytes(data, "the corpus") for data in corpus]
        self._probe = probe and role == "server"
        self._answers = self._probe and not defers
        self._names = (_PROBE_NAME,) if fails is None else (_PROBE_NAME, fails.encode("ascii"))
        self._population: list[list[Line]] = []
        self._breakable = [requirement for requirement in VIOLATORS if self._side in senders(requirement)]
        self.without = features_named(
            without, types_of(self._side), limits=limits, encodings=encodings, reopen=checked_reopen(reopen)
        )
        self.left_out = dict.fromkeys((feature.name for feature in self.without), 0)
        self._ends = not any(mask == _END for one in self.without for _, _, mask in one.headers)
        self._dialogues = _dialogues(defers, fails, ends=self._ends) if dialogues and self._probe else ()

    def __iter__(self) -> Iterator[Case]:
        made = (self._case(data, origin) for data, origin in self._all())
        for case in chain(self._dialogues, made):
            lacking = used(case.data, self.without)
            if lacking is None:
                yield case
            else:
                self.left_out[lacking.name] += 1

    def _case(self, data: bytes, origin: str) -> Case:
        case = self._probed(data, origin)
        # A probe after an incomplete request comes between its frames.
        if case.probe is not None and used(case.data, self.without):
            case = Case(data, origin)
        return _with_starts(case) if origin.startswith(_SERIES) else case

    def _probed(self, data: bytes, origin: str = "") -> Case:
        """Builds a case, with a probe if it can have one."""
        most = _LIMIT if self._limits is None else self._limits.max_payload
        # Empty input stays empty.
        has_probe = self._probe and data
        return with_probe(data, origin, most, ends=self._ends) if has_probe else Case(data, origin)

    def _all(self) -> Iterator[tuple[bytes, str]]:
        for number, data in enumerate(self._corpus):
            yield data, f"corpus: {number}"
        for number in range(20):
            yield self._bytes(self._mutator.fresh()), f"session {number}"
        edges, mutations = self._edges(), self._mutations()
        while True:
            yield from self._rules()
            for _ in range(_ROUND):
                yield next(mutations)
                edge = next(edges, None)
                if edge is not None:
                    yield edge

    def _bytes(self, lines: list[Line]) -> bytes:
        parts = wires(lines, encodings=self._encodings)
        return b"".join(data for side, data in parts if side == self._side and data is not None)

    def _rules(self) -> Iterator[tuple[bytes, str]]:
        """Yields several violations of each requirement that this side can violate."""
        for requirement in list(self._breakable):
            for _ in range(_VARIANTS):
                data = self._breaking(requirement)
                if data is None:
                    self._breakable.remove(requirement)
                    break
                yield data, f"violates {requirement}"

    def _breaking(self, requirement: str) -> bytes | None:
        """Returns bytes of this side that violate a requirement, and no other if possible; None if only the other side can."""
        # Compressed cases are hard to read, so only requirements about encodings use compression.
        encodings = self._encodings if requirement.startswith(ABOUT_ENCODINGS) else Encodings([])
        kept: bytes | None = None
        for _ in range(_TRIES):
            lines = violate(
                requirement,
                session(self._choices, encodings=encodings),
                self._choices,
                role=self._side,
                encodings=self._encodings,
            )
            if lines is None:
                continue
            data = self._bytes(lines)
            if used(data, self.without):
                continue
            findings = validate(data, role=self._side, limits=self._limits, encodings=self._encodings)
            ids = {finding.id for finding in findings if finding.severity == ERROR or finding.id == requirement}
            if requirement in ids:
                kept = kept or data
                has_probe = not used(self._probed(data).data, self.without)
                if ids == {requirement} and has_probe and self._is_certain(data, requirement):
                    return data
        return kept

    def _is_certain(self, data: bytes, requirement: str) -> bool:
        """True if a server rejects the bytes with that requirement, whether it responds at once or later."""
        if self._side == "server":
            return True
        errors = [served(data, late=late, encodings=self._encodings).error for late in (False, True)]
        return all(error is not None and error.requirement == requirement for error in errors)

    def _edges(self) -> Iterator[tuple[bytes, str]]:
        """Yields cases at limits, and then at the boundaries of every frame type in turn."""
        for what, lines, _ in at_limits(self._limits, most_bytes=_MOST_BYTES):
            yield self._bytes(lines), f"limit: {what}"
        yield b"", "empty"
        if self._side == "client":
            for name in self._names[1:]:
                yield _command(1, 1, _CONTENT.name_is_all, _BEGIN, name), "fails: a command"
            yield from _cuts()
            yield from _lengths()
            yield from _bombs(self._encodings)
            yield from _series(self._limits or Limits(), answered=self._answers)
        kinds = [boundaries(name) for name in types_of(self._side)]
        while kinds:
            for kind in list(kinds):
                boundary = next(kind, None)
                if boundary is None:
                    kinds.remove(kind)
                else:
                    yield _in_context(boundary.data, self._side), f"boundary: {boundary.what}"

    def _mutations(self) -> Iterator[tuple[bytes, str]]:
        mutator, choices = self._mutator, self._choices
        while True:
            if len(self._population) < 20 or choices.one_in(8):
                lines, origin = mutator.fresh(), "session"
            elif choices.one_in(4):
                lines, origin = (
                    mutator.crossed(choices.pick(self._population), choices.pick(self._population)),
                    "crossed",
                )
            else:
                lines, origin = mutator.mutated(choices.pick(self._population)), "mutated"
            if lines:
                if len(self._population) < _POPULATION:
                    self._population.append(lines)
                else:
                    self._population[choices.below(_POPULATION)] = lines
            yield self._bytes(mutator.broken(lines)), origin


def _dialogues(defers: bool, fails: str | None, *, ends: bool) -> list[Case]:
    """Builds cases in which the client waits.

    It waits for a response before it uses the id again. If the target defers responses, it waits for bytes that must not come yet.
    """
    cases = []
    names = [_PROBE_NAME] if fails is None else [fails.encode("ascii"), _PROBE_NAME]
    for name in names:
        what = "a command" if name == _PROBE_NAME else "a command that fails"
        first = _command(1, 1, _CONTENT.name_is_all, _BEGIN, name)
        if defers:
            case = with_probe(first, f"dialogue: {what}, and no end of input yet", ends=ends)
            cases.append(case._replace(waits=(len(case.data),)))
        else:
            for again in (name, _PROBE_NAME):
                second = _command(1, 1, _CONTENT.name_is_all, 0, again)
                case = with_probe(first + second, f"dialogue: the id of {what} again, after its response", ends=ends)
                cases.append(case._replace(waits=(len(first),)))
    return cases


def _cuts() -> Iterator[tuple[bytes, str]]:
    """Yields a whole command and a part of another one."""
    first = _command(1, 1, _CONTENT.name_is_all, _BEGIN)
    second = _command(3, 1, _CONTENT.name_is_all, _END)
    for size in (1, _HEADER - 1, _HEADER, len(second) - 1):
        yield first + second[:size], f"cut: {size} of {counted(len(second), 'byte')}"


def _lengths() -> Iterator[tuple[bytes, str]]:
    """Yields frames over the limit on lengths that look valid to a decoder with a wrong weight for the third length byte."""
    for weight in (0, 1, 256, 16384, 32768):
        payload = bytes(weight)
        frame = codec.encode_frame(codec.make_frame(1, 1, _END, _CONTENT.data, _LAST_DATA, payload))
        data = _command(1, 1, _CONTENT.data_follows, _BEGIN) + b"\0\0\1" + frame[3:]
        yield data, f"length: a third byte with weight {weight}"


def _series(limits: Limits, *, answered: bool) -> Iterator[tuple[bytes, str]]:
    """Yields long cases that measure the target's memory: data of one command, and many commands.

    All frames of a case except the first have the same length. ``answered``: True if the target responds to each command before it
    reads the next one. Otherwise commands wait, and their number has a limit. A series over a limit of the target is left out,
    because a target need not store rejected input.
    """
    if limits.max_payload < _SERIES_NAME:
        # A target may keep more memory per frame than such short frames have bytes.
        return
    size = min(limits.max_payload, _SERIES_PAYLOAD)
    count = _SERIES_BYTES // (_HEADER + size)
    if count * size <= min(limits.request_bytes, limits.buffered_bytes):
        more, last = (
            codec.make_frame(1, 1, 0, _CONTENT.data, flag, b"a" * size) for flag in (_MORE_DATA, _CONTENT.last_data)
        )
        command = _command(1, 1, _CONTENT.data_follows, _BEGIN)
        data = codec.encode_frame(more) * (count - 1) + codec.encode_frame(last)
        yield command + data, f"{_SERIES}: data of one command"
    size = _SERIES_NAME
    if not answered:
        size = min(limits.max_payload, max(_SERIES_PAYLOAD, _SERIES_BYTES // limits.active_requests))
    count = _SERIES_BYTES // (_HEADER + size)
    # A probe is a command too.
    if answered or count < limits.active_requests:
        what = "commands that are done" if answered else "commands that wait"
        yield b"".join(_commands(count, b"a" * size)), f"{_SERIES}: {what}"


def _with_starts(case: Case) -> Case:
    """Adds shorter inputs to a case: a quarter and a half of its frames, followed by its last frame and its probe."""
    frames = frames_of(without_probe(case))
    quarter = len(frames) // 4
    sizes = (sum(map(len, frames[: count - 1])) for count in (quarter, 2 * quarter))
    return case._replace(sizes=tuple(sizes), tail=len(frames[-1]) + (0 if case.probe is None else _PROBE))


def _commands(count: int, name: bytes) -> Iterator[bytes]:
    for number in range(count):
        begin = _BEGIN if number == 0 else 0
        yield _command(2 * number + 1, 1, _CONTENT.name_is_all, begin, name)


def _bombs(encodings: Encodings) -> Iterator[tuple[bytes, str]]:
    """Yields small payloads with a very large decoded size."""
    for name in encodings:
        if name == "identity":
            continue
        encoder = encodings[name].encoder()
        zeros = bytes(1 << 20)
        payload = b"".join(encoder.encode(zeros) for _ in range(_BOMB >> 20)) + encoder.finish()
        parts = [payload[at : at + 65535] for at in range(0, len(payload), 65535)]
        frames = [_REVISION.message("settings")(1, 3, name)]
        frames += [codec.make_frame(1, 3, _REVISION.encoded, _CONTENT.data, _MORE_DATA, part) for part in parts]
        data = b"".join(codec.encode_frame(frame) for frame in frames)
        yield _command(1, 1, _CONTENT.data_follows, _BEGIN) + data, f"bomb: {name}"


def with_probe(data: bytes, origin: str, most: int = _LIMIT, *, ends: bool = True) -> Case:
    """Builds a case that ends with a probe: a command of its own. A case that ends with a cut frame has no probe.

    ``most``: the largest payload, in bytes, that the target accepts. ``ends``: True if the probe ends its stream. Bytes after a
    cut frame would belong to its header or payload. A frame over the limit is rejected by its header, so a probe may follow it.
    """
    frames = frames_of(data)
    last = frames[-1] if frames else b""
    if frames and (not has_header(last) or (number_of(last, "length") <= most and codec.frame_end(last) > len(last))):
        return Case(data, origin)
    ids = {number_of(frame, "request_id") for frame in frames}
    request_id = next((one for one in range(65533, 0, -2) if one not in ids), None)
    if request_id is None:
        return Case(data, origin)
    stream_id, stream_flags = _free_stream(frames, _END * ends)
    probe = _command(request_id, stream_id, _CONTENT.name_is_all, stream_flags)
    return Case(data + probe, origin, request_id)


def probed_as(frames: Iterable[bytes], case: Case, most: int) -> Case:
    """Builds a case from other frames, with a probe like that of ``case``, if it has one.

    If ``case`` has waits, an empty frame stands for a wait. A wait at the end of the case stays at its end.
    """
    data = b""
    waits: list[int] = []
    for frame in frames:
        data += frame
        if not frame and case.waits and len(data) not in waits:
            waits.append(len(data))
    if case.probe is None:
        other = Case(data, case.origin)
    else:
        ends = bool(number_of(case.data[-_PROBE:], "stream_flags") & _END)
        other = with_probe(data, case.origin, most, ends=ends)
    if case.waits[-1:] == (len(case.data),):
        waits = [wait for wait in waits if wait < len(other.data)] + [len(other.data)]
    return other._replace(waits=tuple(waits))


def frames_and_waits(case: Case) -> list[bytes]:
    """Returns the frames of a case without its probe, with an empty frame for each wait before the end of the case."""
    data = without_probe(case)
    waits = [wait for wait in case.waits if wait < len(case.data)]
    frames: list[bytes] = []
    for before, wait in zip([0, *waits], waits, strict=False):
        frames += [*frames_of(data[before:wait]), b""]
    return frames + frames_of(data[waits[-1] if waits else 0 :])


def without_probe(case: Case) -> bytes:
    """Returns the bytes of a case without the command that :func:`with_probe` appended."""
    return case.data if case.probe is None else case.data[:-_PROBE]


def _free_stream(frames: list[bytes], end: int) -> tuple[int, int]:
    """Returns a stream id and stream flags for a probe: an unused stream, or else a closed one, or else the last open one."""
    ended = {
        number_of(frame, "stream_id"): bool(number_of(frame, "stream_flags") & _END)
        for frame in frames
        if has_header(frame)
    }
    unused = [stream_id for stream_id in range(1, 254, 2) if stream_id not in ended]
    closed = [stream_id for stream_id in range(1, 254, 2) if ended.get(stream_id)]
    free = unused or closed
    return (free[-1], _BEGIN | end) if free else (253, 0)


def _command(request_id: int, stream_id: int, flags: int, stream_flags: int, name: bytes = _PROBE_NAME) -> bytes:
    frame = codec.make_frame(request_id, stream_id, stream_flags, _CONTENT.name, flags, name)
    return bytes(codec.encode_frame(frame))


def _in_context(data: bytes, side: Role) -> bytes:
    """Returns the frame of a boundary in a valid context: after the frames that it needs, and with an end to its request."""
    try:
        frame, _ = codec.decode_frame(data, 0, _MOST)
    except RemoteProtocolError:
        return data
    if side == "server":
        if frame.stream_flags & _BEGIN:
            return data
        first: Any = codec.make_frame(3, int(frame.stream_id), _BEGIN, _REVISION.code_of("text"), 0, b"")
        return codec.encode_frame(first) + data
    begins = bool(frame.stream_flags & _BEGIN)
    announced = ANNOUNCING.get(int(frame.type))
    before = b""
    if announced is not None:
        both = _BEGIN | _END if begins else _BEGIN
        before = _command(int(frame.request_id), int(frame.stream_id), announced, both)
    elif not begins:
        other = 9 if frame.request_id != 9 else 11
        before = _command(other, int(frame.stream_id), _CONTENT.name_is_all, _BEGIN)
    given = before + data
    for after in _closers(int(frame.request_id)):
        server = Server()
        server.receive_data(given + after)
        if server.works and not server.receiving:
            return given + after
    return given


def _closers(request_id: int) -> Iterator[bytes]:
    """Yields frames that may complete a request."""
    both = _BEGIN | _END
    yield b""
    argument, _, encode = _REVISION.structure_of("argument")
    for kind, flags, payload in (
        (_CONTENT.argument_code, _CONTENT.last_argument, encode(argument("zz", b"z"))),
        (_CONTENT.data, _LAST_DATA, b""),
    ):
        yield codec.encode_frame(codec.make_frame(request_id, 251, both, kind, flags, payload))
