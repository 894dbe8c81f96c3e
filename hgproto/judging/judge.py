"""Judges: reactors that continue after an error so that they can report every fault, not only the first.

A judge processes frames like its reactor, with the same tables and guards, so everything that a reactor rejects is a
finding. After an error that ends a connection, a judge repairs its state if it can: a stream that was not begun counts
as begun. Otherwise it ignores the affected part: a request with a damaged frame until its id is used again, and a
stream with an unknown or damaged encoding until it ends. After an invalid length, no later frame can be located, so the
judge ends there. It also checks requirements that no receiver enforces (:mod:`hgproto.judging.rules`, and the order of
ids).

A judge checks one direction. Without the other direction, it assumes that a complete request was answered, and that an
answered request was issued. A judge that is linked to that of the other direction knows this. The public interface is
:mod:`hgproto.judging.validation`.

Invariant: a judge holds the findings of one frame at a time, which are bounded. It continues with the next frame only
after these were consumed.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from hgproto.errors import RemoteProtocolError
from hgproto.judging.judged_stream import Blind, JudgedStream
from hgproto.judging.places import Places
from hgproto.judging.rules import Remark
from hgproto.reactors.plans import Closed, Violation, go_on, placed
from hgproto.reactors.reactor import AGAIN, NOTE
from hgproto.runtime.machine import Event, Row, Set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from enum import IntEnum

    from hgproto.judging.finding import Finding, Role
    from hgproto.judging.places import Refused
    from hgproto.reactors.plans import Node, Plan, Table
    from hgproto.reactors.reactor import Reactor
    from hgproto.runtime.definition import Definition
    from hgproto.runtime.frame import Frame
    from hgproto.runtime.machine import Outcome
    from hgproto.streams.input_stream import InputStream

    _Base = Reactor[Any]
    _Problem: TypeAlias = "Violation | RemoteProtocolError | Blind | Closed"
else:
    _Base = object

__all__ = ["Judge"]

_REPAIRS = 4
"""The most repairs in one frame, which is more than the number of stream flags. Then the rest of it is ignored."""


class _Rules:
    """Requirements whose violations a judge repairs, and the flags in requirements about streams.

    ``unknown_flags``: for a stream flag without a meaning. ``side``: for a stream of the wrong side. ``not_begun``: for
    a stream that was not begun. ``not_configured``: for an encoded payload on a stream without settings. ``flags``: the
    mask of the stream flags in the rows with a requirement.
    """

    def __init__(self, revision: Definition) -> None:
        codec, machine, guards = revision.codec, revision.machine("stream"), revision.machines.GUARDS
        closed, opened, _ = revision.stream_states
        code = next(code for code in codec.TYPE_NAMES if code != revision.settings)
        self.unknown_flags = next(part.rules["unknown"] for part in codec.FRAME.parts if part.name == "stream_flags")
        self.side = str(revision.machines.STREAM_PARITY["requirement"])
        self.not_begun = _refusal(machine.outcome(closed, code, (), guards))
        encoded = [name for mask, name in codec.STREAM_FLAG_NAMES.items() if mask == revision.encoded]
        self.not_configured = _refusal(machine.outcome(opened, code, encoded, guards))
        self.flags: dict[str, int] = {}
        names = {name: mask for mask, name in codec.STREAM_FLAG_NAMES.items()}
        for row in machine.rows:
            if row.error is not None and row.when is not None:
                looked_at = {
                    names[atom.flag] for atom in row.when.atoms() if isinstance(atom, Set) and atom.flag in names
                }
                self.flags[row.error] = self.flags.get(row.error, 0) | sum(looked_at)


def _refusal(outcome: Outcome) -> str | None:
    return outcome.error if isinstance(outcome, Row) else None


class Judge(_Base):
    """The base class of the judges of both directions.

    ``findings``: those of the current frame that were not consumed yet. ``frames`` and ``size``: the numbers of
    received frames and bytes. ``over``: True if the rest of the input is ignored. ``broken``: True after a violation
    that a receiver rejects. ``unavailable``: the content encodings in use that are not installed, so that their
    payloads were not checked. ``link``: the judge of the other direction.
    """

    side: ClassVar[Role]

    def _start(self) -> None:
        self.findings: list[Finding] = []
        self.frames = 0
        self.size = 0
        self.over = False
        self.broken = False
        self.unavailable: set[str] = set()
        self.link: Any = None
        revision = self._revision
        self._rules = revision.kept(_Rules, lambda: _Rules(revision))
        self._places = Places(revision, self.side, self._rules.flags)
        self._closed, self._opened, self._configured = revision.stream_states
        self._remarks: list[tuple[Remark, bool, bool]] = []
        """The remarks about the current frame, each with two flags: a receiver rejects it, and it is in the payload."""
        self._lost: set[int] = set()
        self._bad_header: Refused | None = None
        self.closed = False
        """True once the peer has announced that it closes the connection."""
        # A judge discards events.
        self._append = deque[Any](maxlen=0).append
        self._start_of_frame = 0
        # The next request id; None for any. If 0 is a valid id, the first request may have it or the next id.
        ordered = self._revision.roles.REQUEST_ORDER is not None
        self._next_id: int | None = (self._revision.request_ids.start or None) if ordered else None

    def feed(self, data: bytes) -> Iterator[Finding]:
        """Yields the findings about the frames that are complete with ``data``, in wire order.

        The judge has processed all of ``data`` only after all findings were consumed.
        """
        self.size += len(data)
        if self._bad_header is not None:
            self._bad_header.add(data)
        elif not self.over and self._pieces.take(data):
            try:
                yield from self._judged(self._codec.read_parts(self._pieces, self.limits.max_payload))
            except RemoteProtocolError as error:
                self._end_at(error)
        if self._bad_header is not None and self._bad_header.is_shown:
            self._add_bad_header(self._bad_header)
        yield from self.taken()

    def settle(self) -> Iterator[Finding]:
        """Yields the finding about a rejected header, which otherwise waits for the bytes after it."""
        if self._bad_header is not None:
            self._add_bad_header(self._bad_header)
        yield from self.taken()

    def close(self) -> Iterator[Finding]:
        """Ends the input, and yields the remaining findings."""
        if self._bad_header is not None:
            self._add_bad_header(self._bad_header)
        if not self.over and not self.ended:
            self.ended = True
            if self._pieces.missing:
                self._end_at(self._pieces.cut(self._codec, self.limits.max_payload))
            elif not (self.closed or (self.link is not None and (self.broken or self.link.broken))):
                for _ in self._end_requests():
                    yield from self.taken()
                for _ in self._end_streams():
                    yield from self.taken()
        yield from self.taken()

    def taken(self) -> list[Finding]:
        """Removes the waiting findings and returns them."""
        findings = self.findings[:]
        self.findings.clear()
        return findings

    # Frames.

    def _judged(self, parts: Iterator[tuple[int, int, int, bytes, int]]) -> Iterator[Finding]:
        """Processes frames, and yields the findings of each frame before it processes the next."""
        requests, free, slots, remarks, findings = self._requests, self._free, self._slots, self._remarks, self.findings
        appear = self._appear if self.link is None or self.link.over else None
        header = self._codec.HEADER_BYTES
        for kind, request_id, stream_id, payload, stop in parts:
            if self.closed:
                if self._may_follow(kind, request_id):
                    self.frames += 1
                    continue
                self._start_of_frame = stop - header - len(payload)
                self._refuse_more(kind, request_id, stream_id, payload)
                return
            self.frames += 1
            self._start_of_frame = stop - header - len(payload)
            try:
                request = requests.get(request_id)
                if request is None and appear is not None:
                    request = appear(request_id, kind)
                plan = (free[request_id & 1] if request is None else request.table).plans.get(slots[stream_id] + kind)
                if plan is None or plan.stream is not None:
                    self._take_on_stream(plan, kind, request_id, stream_id, request, payload)
                else:
                    node = plan.node
                    while node.ask is not None:
                        node = node.outcomes[node.ask(self, request_id, request, payload, plan)]
                    node.act(self, request_id, request, payload, node)
            except (Violation, RemoteProtocolError, Blind, Closed) as problem:
                self._go_on(problem, kind, request_id, stream_id, payload)
            if remarks:
                self._say(kind, request_id, stream_id, payload)
            if findings:
                yield from self.taken()

    def _say(self, kind: int, request_id: int, stream_id: int, payload: bytes) -> None:
        """Converts the remarks about the current frame to findings."""
        for (error, size, more), refused, inside in self._remarks:
            fault = placed(self._revision, error, kind) if inside else error
            # A field of an encoded payload has no bytes of its own on the wire.
            known = None if kind & self._revision.encoded else size
            self._find(fault, kind, request_id, stream_id, payload, refused=refused, known_size=known, more=more)
        self._remarks.clear()

    def _appear(self, request_id: int, kind: int) -> Any:
        """Returns a request for a frame if the state of the other direction is unknown, or None."""
        return None

    def _take_on_stream(
        self, plan: Plan | None, kind: int, request_id: int, stream_id: int, request: Any, payload: bytes
    ) -> None:
        stream: Any = self._inputs.get(stream_id) or self._input(stream_id)
        if plan is None:
            plan = self._planned(kind, request_id, stream, request, payload)
        onward = plan.stream
        if onward is not None:
            while (ask := onward.ask) is not None:
                onward = self._asked(ask, onward, stream, request, payload, plan, kind)
            if onward.row.error is not None:
                raise Violation(stream.refusal(onward.row, kind & 0xFF))
            if onward.row.emit == AGAIN:
                self._enter(stream, self._closed)
                self._take_on_stream(None, kind, request_id, stream_id, request, payload)
                return
        try:
            if onward is not None and plan.encoded:
                if stream.decoded is None:
                    raise Blind
                payload = stream.take_decoded()
            node = plan.node
            while node.ask is not None:
                node = node.outcomes[node.ask(self, request_id, request, payload, plan)]
            node.act(self, request_id, request, payload, node)
        finally:
            if onward is not None:
                self._enter(stream, onward.row.to)

    def _asked(
        self,
        ask: Callable[..., object],
        onward: Node,
        stream: JudgedStream,
        request: Any,
        payload: bytes,
        plan: Plan,
        kind: int,
    ) -> Node:
        """Returns the next node for a stream's guard. An error becomes a remark, and the node for a valid answer is returned.

        Raises :class:`Violation` if every answer leads to an error.
        """
        fault: RemoteProtocolError | None = None
        inside = False
        try:
            following = onward.outcomes[ask(self, stream, request, payload, plan)]
            if following.ask is not None or following.row.error is None:
                return following
            fault = stream.refusal(following.row, kind & 0xFF)
        except Blind:
            pass
        except RemoteProtocolError as error:
            fault, inside = error, True
        stream.forget_fault()
        for node in onward.outcomes.values():
            if node.ask is not None or node.row.error is None:
                if fault is not None:
                    self._remarks.append((Remark(fault), True, inside))
                return node
        if plan.encoded:
            # The context has seen the payload already.
            stream.lose()
        if fault is None:
            fault = stream.refusal(next(iter(onward.outcomes.values())).row, kind & 0xFF)
        raise Violation(placed(self._revision, fault, kind) if inside else fault)

    def _input(self, stream_id: int) -> InputStream:
        limit = self.limits.decoded_frame
        return JudgedStream(
            stream_id,
            self.frames - 1,
            self.unavailable,
            encodings=self.encodings,
            decoded_limit=limit,
            reopen=self._reopen,
            revision=self._revision,
        )

    def _node(self, outcome: Outcome, table: Table | None, frame: Frame) -> Node:
        node = super()._node(outcome, table, frame)
        row = node.row
        if node.ask is None and table is not None and row.error is None and row.emit is None:
            node.act = Judge._look_into
        return node

    def _look_into(self, request_id: int, request: Any, payload: bytes, node: Node) -> None:
        """Checks a payload that the machine does not use. A payload that may continue an earlier one is skipped."""
        if not any(after for _, after, _ in self._codec.PAYLOADS.get(node.code, ())):
            frame = self._codec.make_frame(0, 0, 0, node.code, node.flags, payload)
            self._codec.decode_payload(frame, False, self.limits.payload_items)
        go_on(self, request_id, request, payload, node)

    # Continuing after a fault.

    def _go_on(self, problem: _Problem, kind: int, request_id: int, stream_id: int, payload: bytes) -> None:
        """Reports the fault of a frame, and processes the rest of it."""
        taken = kind
        for _ in range(_REPAIRS):
            self._say(kind, request_id, stream_id, payload)
            repaired = self._repaired(problem, kind, taken, request_id, stream_id, payload)
            if repaired is None:
                return
            taken = repaired
            try:
                request = self._requests.get(request_id)
                self._take_on_stream(None, taken, request_id, stream_id, request, payload)
            except (Violation, RemoteProtocolError, Blind, Closed) as another:
                problem = another
            else:
                return

    def _repaired(
        self, problem: _Problem, kind: int, taken: int, request_id: int, stream_id: int, payload: bytes
    ) -> int | None:
        """Returns the kind as which the rest of a frame is processed, or None if the rest is ignored.

        ``kind``: that of the frame. ``taken``: the kind as which it was processed until now.
        """
        if isinstance(problem, Closed):
            self.closed = True
            return None
        if isinstance(problem, Blind):
            self._lose_payload(request_id, taken)
            return None
        if isinstance(problem, RemoteProtocolError):
            if problem.offset is not None:
                self._find(placed(self._revision, problem, taken), kind, request_id, stream_id, payload)
                self._lose_payload(request_id, taken)
                return None
            self._lose_frame(problem, kind, request_id, stream_id, payload)
            return None
        error = problem.error
        self._find(error, kind, request_id, stream_id, payload)
        revision, rules = self._revision, self._rules
        flags, encoded = taken & 0xFF, taken & revision.encoded
        stream: Any = self._inputs.get(stream_id) or self._input(stream_id)
        if error.requirement == rules.unknown_flags:
            return taken & ~0xFF | flags & sum(self._codec.STREAM_FLAG_NAMES)
        if error.requirement == rules.not_begun and not encoded:
            return taken | revision.begin
        if error.requirement in (rules.not_begun, rules.not_configured):
            # The sender assumes an encoding for the stream, but the judge does not know which.
            stream.blind = True
            self._enter(stream, self._configured)
            return taken
        if error.requirement != rules.side:
            self._follow(stream, taken, payload)
        if revision.type_of(taken) != revision.settings:
            self._lose(request_id)
            # The request is not known for certain, and so neither is the next id.
            self._next_id = None
        return None

    def _follow(self, stream: JudgedStream, kind: int, payload: bytes) -> None:
        """Applies only the stream flags of a frame whose payload is ignored."""
        revision, flags = self._revision, kind & 0xFF
        is_settings = revision.type_of(kind) == revision.settings
        if flags & revision.begin or stream.state is self._closed:
            if stream.state is not self._closed:
                self._enter(stream, self._closed)
            state: IntEnum | None = self._opened
            if is_settings or flags & revision.encoded:
                stream.blind = True
                state = self._configured
            self._enter(stream, state)
        elif is_settings or (flags & revision.encoded and stream.state is not self._configured):
            stream.blind = True
            self._enter(stream, self._configured)
        elif flags & revision.encoded:
            # The decoder must process every byte.
            with suppress(Blind):
                stream.ask_encoding(payload, encoded=True, ends=False)
            stream.forget_fault()
        if flags & revision.end:
            self._enter(stream, self._closed)

    def _lose_payload(self, request_id: int, kind: int) -> None:
        """Processes the header of a frame whose payload cannot be checked."""
        raise NotImplementedError

    def _lose_frame(
        self, fault: RemoteProtocolError, kind: int, request_id: int, stream_id: int, payload: bytes
    ) -> None:
        """Handles a frame that the request machine rejects. Reports it unless the request was reported already."""
        raise NotImplementedError

    def _lose(self, request_id: int) -> None:
        """Ignores a request until its id is used again."""
        raise NotImplementedError

    def _may_follow(self, kind: int, request_id: int) -> bool:
        """Returns True if a frame is allowed after the peer has announced that it closes the connection."""
        return False

    def _refuse_more(self, kind: int, request_id: int, stream_id: int, payload: bytes) -> None:
        """Reports a frame that arrives after the connection was closed."""
        self.frames += 1
        self.over = True
        self._find(self._no_more("a frame"), kind, request_id, stream_id, payload, ends=True)

    def _no_more(self, found: str) -> RemoteProtocolError:
        self._break()
        error = self._after_error()[-1].error
        return RemoteProtocolError(error.requirement, 0, "", error.expected, found)

    # Findings.

    def _find(
        self,
        error: RemoteProtocolError,
        kind: int,
        request_id: int,
        stream_id: int,
        payload: bytes,
        *,
        refused: bool = True,
        ends: bool = False,
        known_size: int | None = None,
        more: int = 0,
    ) -> None:
        frame = self._codec.frame_of(kind, request_id, stream_id, payload)
        start = self._pieces.offset(self._start_of_frame)
        finding = self._places.finding(
            error,
            frame,
            start,
            self.frames - 1,
            continued=self._is_continued(kind, request_id),
            refused=refused,
            known_size=known_size,
            more=more,
        )
        finding.ends = ends
        self._add(finding)

    def _is_continued(self, kind: int, request_id: int) -> bool:
        """Returns True for a frame that continues the value of an earlier frame."""
        return False

    def _add(self, finding: Finding) -> None:
        self.broken = self.broken or (finding.refused and finding.severity == "error")
        self.findings.append(finding)

    def _end_at(self, error: RemoteProtocolError) -> None:
        """Ends the judge at an error, after which no frame can be located."""
        self.over = True
        position, rest = self._pieces.position, self._pieces.rest
        if self.closed:
            error = self._no_more("a part of a frame").moved(position)
        self.broken = True
        if self.ended:
            self._add(self._places.of_rest(error, rest, position, self.frames))
        else:
            self._bad_header = self._places.refused(error, rest, position, self.frames)

    def _add_bad_header(self, refused: Refused) -> None:
        self._bad_header = None
        self._add(refused.finding())

    def _end_requests(self) -> Iterator[None]:
        """Reports each incomplete request, and yields after each."""
        for request_id, request in sorted(self._requests.items()):
            row = self._row(request.state, Event.END_OF_INPUT)
            if row is not None and row.requirement is not None:
                expected, found = self._unfinished(request_id, request)
                error = RemoteProtocolError(row.requirement, None, "", expected, found)
                self._add(self._places.of_end(error, self.size, f"requests[{request_id}]"))
                yield

    def _unfinished(self, request_id: int, request: Any) -> tuple[str, str]:
        """Returns the expected and found texts for a request or response that is incomplete at the end of input."""
        raise NotImplementedError

    def _end_streams(self) -> Iterator[None]:
        """Reports each stream that was left open, and yields after each."""
        for stream_id in sorted(self._inputs):
            stream: Any = self._inputs[stream_id]
            outcome = self._plans.stream.outcome(stream.state, Event.END_OF_INPUT)
            if isinstance(outcome, Row) and outcome.emit == NOTE:
                flag = self._codec.STREAM_FLAG_NAMES[self._revision.end]
                expected = f"{flag} on the last frame of stream {stream_id}, which frame {stream.begun} began"
                error = RemoteProtocolError(str(outcome.requirement), None, "", expected, "the end of input")
                self._add(self._places.of_end(error, self.size, f"streams[{stream_id}]", refused=False))
                yield
