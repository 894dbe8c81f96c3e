"""The receiving half of both reactors, which follows the schema's state machines.

Reactors do no I/O: a reactor receives input as arguments, and returns events (:mod:`hgproto.reactors.events`). It has
no thread, clock, or socket, and only one thread may use it.

The schema has small state machines: one per connection, one per stream, and one per request. For each frame, a reactor
looks up the plan (:mod:`hgproto.reactors.plans`) by the kind of frame and the states of its stream and request. It
evaluates the guards of the plan, and then does what the selected transition says. In ``receive_data``, the generated
loop of the revision handles the common frames first, and passes only the others to this class.

Invariants: hostile bytes raise no exception, and a fault becomes one :class:`hgproto.reactors.events.Error`, after
which nothing changes. The state of a stream changes only after the rest of the frame was found valid. The exception is
a stream that is opened again, which is closed before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from hgproto.errors import DecodingError, RemoteProtocolError, counted
from hgproto.reactors.events import Error, StreamLeftOpen
from hgproto.reactors.intake import Intake
from hgproto.reactors.limits import Limits
from hgproto.reactors.plans import Closed, Node, Plan, Plans, Violation, bound, placed, words
from hgproto.reactors.snapshot import Inspectable
from hgproto.runtime.bytelike import as_bytes
from hgproto.runtime.definition import defined
from hgproto.runtime.frame import check_instance, check_revision
from hgproto.runtime.machine import STATE_BITS, Ask, Event, Row
from hgproto.streams.encodings import Encodings, default_encodings
from hgproto.streams.input_stream import InputStream, checked_reopen
from hgproto.wire.reader import Pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from enum import IntEnum
    from typing import Literal

    from hgproto.judging.finding import Role
    from hgproto.reactors.plans import Part, Table
    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.definition import Definition
    from hgproto.runtime.frame import Frame
    from hgproto.runtime.machine import Outcome

__all__ = ["AGAIN", "NOTE", "Reactor"]

EventT = TypeVar("EventT")

AGAIN, NOTE = "again", "note"
"""Outputs of the stream machine: process the frame again on the closed stream; note that a stream was left open."""

_ENDED = "the input has ended; nothing can be received after it"


class Reactor(Inspectable, Generic[EventT]):
    """Receives frames. :class:`hgproto.Server` and :class:`hgproto.Client` send frames too.

    ``state``: the state of the connection. ``ended``: True if the peer's output has ended. ``limits`` and
    ``encodings``: the arguments, or the defaults.

    A subclass for a role names its peer and the type of its events. It has a method ``_ask_...`` for each guard and
    ``_emit_...`` for each output of the state machines.
    """

    # Slots, because objects with more than about thirty attributes are slow without them.
    __slots__ = (
        "__weakref__",
        "_append",
        "_codec",
        "_decoded",
        "_due",
        "_events",
        "_fault",
        "_fed",
        "_free",
        "_intake",
        "_open_streams",
        "_pieces",
        "_plans",
        "_reopen",
        "_revision",
        "_slots",
        "_tables",
        "encodings",
    )

    role: ClassVar[Role]
    peer: ClassVar[Role]

    def __init__(
        self,
        *,
        limits: Limits | None,
        encodings: Encodings | None,
        reopen: Literal["error", "restart"],
        revision: Definition | None = None,
    ) -> None:
        self._revision = revision = defined(revision)
        self._plans = plans = revision.kept(type(self), lambda: Plans(type(self), revision))
        self._codec = plans.codec
        self._tables = plans.tables
        self.machine = plans.machine
        self.limits = limits = Limits.of_revision(revision) if limits is None else limits
        self.encodings = default_encodings(revision) if encodings is None else encodings
        check_instance(limits, Limits, "limits")
        check_instance(self.encodings, Encodings, "encodings")
        self._reopen = checked_reopen(reopen)
        self._pieces = Pieces()
        self._fed = 0
        self.state = plans.connection.initial
        self.ended = False
        self._intake = intake = self._new_intake()
        self._requests: dict[int, Any] = intake.requests
        self._free = plans.free
        self._slots = intake.slots
        self._inputs: dict[int, InputStream] = {}
        self._open_streams = 0
        # Events that arose while the caller consumed frames; they are returned with the next events.
        self._due: list[Any] = []
        self._events: list[Any] = []
        self._append: Callable[[Any], None] = self._events.append
        self._decoded: bytes | DecodingError | None = None
        self._fault: RemoteProtocolError | None = None

    @property
    def works(self) -> bool:
        """True as long as the connection works, which is until the peer violates a requirement."""
        return self.state is self._plans.connection.initial

    @property
    def revision(self) -> Definition:
        """The revision whose frames the reactor accepts."""
        return self._revision

    def _counters(self) -> dict[str, int]:
        return {
            "active_requests": len(self._requests),
            "open_streams": self._open_streams,
            "received": self._fed + self._pieces.position,
        }

    # Frames in.

    def receive_data(self, data: BytesLike) -> list[EventT]:
        """Returns the events of the frames that are complete with ``data``, in wire order.

        ``data``: bytes or another buffer. Raises :class:`TypeError` for other types and :class:`ValueError` after the
        end of input. Invalid bytes never raise an exception. An exception from elsewhere, such as
        :class:`KeyboardInterrupt`, ends the connection, here and in the other ``receive`` methods. The next call
        returns the events from before the exception, and an error.
        """
        if type(data) is not bytes:
            data = as_bytes(data)
        if not self.works:
            return self._after_error(data)
        if self.ended:
            raise ValueError(_ENDED)
        events, self._due = self._due, []
        self._events = events
        self._append = events.append
        try:
            if not self._pieces.take(data):
                return events
            try:
                failed = self._read(self._pieces)
            except RemoteProtocolError as error:
                self._fail(error.moved(self._fed), None)
            else:
                if failed is not None:
                    fault, frame, at = failed
                    self._fail(fault.moved(self._pieces.offset(at) + self._fed), frame)
        except BaseException:
            self._interrupted(events)
            raise
        return events

    def receive_frame(self, frame: Frame, decoded: bytes | DecodingError | None = None) -> list[EventT]:
        """Returns the events of a frame.

        ``decoded``: the payload if it was decoded elsewhere, or the error from decoding it or from finishing its
        stream; None to decode it here. Raises :class:`LocalProtocolError` for a frame that no header can encode. Raises
        :class:`TypeError` for other types, and :class:`ValueError` for a frame of another revision, and after the end
        of input.
        """
        codec = self._codec
        check_revision(frame, codec)
        if decoded is not None and not isinstance(decoded, bytes | DecodingError):
            raise TypeError(f"decoded must be bytes, a DecodingError, or None, not {type(decoded).__name__}")
        header = codec.encode_header(frame, codec.MAX_PAYLOAD[1])
        if not self.works:
            return self._after_error(frame)
        if self.ended:
            raise ValueError(_ENDED)
        payload = frame.payload if type(frame.payload) is bytes else as_bytes(frame.payload)
        events, self._due = self._due, []
        self._events = events
        self._append = events.append
        if len(payload) > self.limits.max_payload:
            self._fail(codec.cut_frame(header, self.limits.max_payload).moved(self._pieces.position + self._fed), None)
            return events
        self._decoded = decoded
        part = (codec.kind_of(frame), frame.request_id, frame.stream_id, payload, len(header) + len(payload))
        try:
            failed = self._take(iter((part,)))
            self._decoded = None
            if failed is not None:
                self._fail(failed[0].moved(self._pieces.position + self._fed), frame)
        except BaseException:
            self._interrupted(events)
            raise
        self._fed += len(header) + len(payload)
        return events

    def hand_over(self) -> bytes:
        """Returns the bytes of the incomplete frame, for an external reader that parses all later bytes."""
        pieces, self._pieces = self._pieces, Pieces()
        self._fed += pieces.position
        return pieces.rest

    def receive_fault(self, error: RemoteProtocolError) -> list[EventT]:
        """Processes a framing error that an external reader found, and returns the resulting events.

        The offset of ``error`` counts from the end of the frames that were received.
        """
        check_instance(error, RemoteProtocolError, "error")
        if not self.works:
            return self._after_error()
        events, self._due = self._due, []
        self._append = events.append
        self._fail(error.moved(self._pieces.position + self._fed), None)
        return events

    def receive_end(self) -> list[EventT]:
        """Processes the end of the peer's output, and returns the resulting events. Nothing may be received after it."""
        events, self._due = self._due, []
        self._events = events
        self._append = events.append
        if not self.works or self.ended:
            return events
        self.ended = True
        try:
            if self._pieces.missing:
                self._fail(self._pieces.cut(self._codec, self.limits.max_payload).moved(self._fed), None)
            else:
                self._end_all()
        except BaseException:
            self._interrupted(events)
            raise
        return events

    def _end_all(self) -> None:
        """Ends all requests and streams with the end of input."""
        self._end()
        for request_id, request in list(self._requests.items()):
            row = self._row(request.state, Event.END_OF_INPUT)
            if row is not None and row.to is not None:
                if row.emit is not None:
                    bound(type(self), "emit", row.emit)(self, request_id, request, row)
                self._move(request_id, request, row.to)
        for stream_id in sorted(self._inputs):
            stream = self._inputs[stream_id]
            outcome = self._plans.stream.outcome(stream.state, Event.END_OF_INPUT)
            if isinstance(outcome, Row):
                if outcome.emit == NOTE:
                    self._append(StreamLeftOpen(stream_id))
                self._enter(stream, outcome.to)

    def _end(self) -> None:
        """Handles the end of input for a role, before requests and streams end."""

    def _new_intake(self) -> Intake:
        """Returns the initial state of streams and requests."""
        return Intake(self._plans, self.limits)

    def _read(self, source: Pieces) -> tuple[RemoteProtocolError, Frame, int] | None:
        """Parses and processes frames; returns as :meth:`_take`. Raises :class:`RemoteProtocolError` for a bad length."""
        receive = self._plans.receive
        if receive is None:
            return self._take(self._codec.read_parts(source, self.limits.max_payload))
        # The generated loop processes common frames itself, and yields the others.
        return self._take(receive(self._intake, source, self._append))

    def _take(self, parts: Iterator[Part]) -> tuple[RemoteProtocolError, Frame, int] | None:
        """Processes frames. Returns None, or the error of the first invalid frame, that frame, and its offset in bytes."""
        requests, free, slots = self._requests, self._free, self._slots
        for kind, request_id, stream_id, payload, stop in parts:
            try:
                request = requests.get(request_id)
                plan = (free[request_id & 1] if request is None else request.table).plans.get(slots[stream_id] + kind)
                if plan is None or plan.stream is not None:
                    self._take_on_stream(plan, kind, request_id, stream_id, request, payload)
                    continue
                node = plan.node
                while node.ask is not None:
                    node = node.outcomes[node.ask(self, request_id, request, payload, plan)]
                node.act(self, request_id, request, payload, node)
            except Closed:
                self._drop(parts)
                return None
            except Violation as violation:
                error = violation.error
            except RemoteProtocolError as fault:
                error = placed(self._revision, fault, kind)
            else:
                continue
            frame = self._codec.frame_of(kind, request_id, stream_id, payload)
            return error, frame, stop - self._codec.HEADER_BYTES - len(payload)
        return None

    def _take_on_stream(
        self, plan: Plan | None, kind: int, request_id: int, stream_id: int, request: Any, payload: bytes
    ) -> None:
        """Processes a frame that has no plan yet, or that changes its stream."""
        stream = self._inputs.get(stream_id) or self._input(stream_id)
        if plan is None:
            plan = self._planned(kind, request_id, stream, request, payload)
        onward = plan.stream
        if onward is not None:
            while onward.ask is not None:
                onward = onward.outcomes[onward.ask(self, stream, request, payload, plan)]
            if onward.row.error is not None:
                flags = int(self._codec.frame_of(kind, request_id, stream_id, payload).stream_flags)
                raise Violation(stream.refusal(onward.row, flags))
            if onward.row.emit == AGAIN:
                self._enter(stream, self._plans.stream.initial)
                self._take_on_stream(None, kind, request_id, stream_id, request, payload)
                return
            if plan.encoded:
                payload = stream.take_decoded()
        node = plan.node
        while node.ask is not None:
            node = node.outcomes[node.ask(self, request_id, request, payload, plan)]
        node.act(self, request_id, request, payload, node)
        if onward is not None:
            self._enter(stream, onward.row.to)

    def _input(self, stream_id: int) -> InputStream:
        limit = self.limits.decoded_frame
        return InputStream(
            stream_id, encodings=self.encodings, decoded_limit=limit, reopen=self._reopen, revision=self._revision
        )

    def _enter(self, stream: InputStream, to: IntEnum | None) -> None:
        """Changes the state of a stream."""
        closed = self._plans.stream.initial
        before, state = stream.state, closed if to is None else to
        stream.enter(state)
        if state is closed:
            self._inputs.pop(stream.stream_id, None)
            self._open_streams -= before is not closed
        else:
            self._inputs[stream.stream_id] = stream
            self._open_streams += before is closed
        self._slots[stream.stream_id] = state << STATE_BITS

    # Plans.

    def _planned(self, kind: int, request_id: int, stream: InputStream, request: Any, payload: bytes) -> Plan:
        """Builds and keeps the plan for a kind of frame. Raises :class:`Violation` if the header violates a requirement."""
        plans, revision, codec = self._plans, self._revision, self._codec
        frame = codec.frame_of(kind, request_id, stream.stream_id, payload)
        if stream.stream_id & 1 != plans.parity:
            which = "odd" if plans.parity else "even"
            expected = f"a stream of the {self.peer}, which is {which}"
            requirement = str(revision.machines.STREAM_PARITY["requirement"])
            at = codec.FIELDS["stream_id"][0]
            raise Violation(RemoteProtocolError(requirement, at, "stream_id", expected, str(stream.stream_id)))
        try:
            codec.check_header(frame)
        except RemoteProtocolError as error:
            raise Violation(error) from None
        code = int(frame.type)
        flags = [name for mask, name in codec.FLAG_NAMES[code].items() if frame.flags & mask]
        flags += [name for mask, name in codec.STREAM_FLAG_NAMES.items() if frame.stream_flags & mask]
        outcome = plans.stream.outcome(stream.state, code, flags, plans.guards)
        idle = (
            isinstance(outcome, Row)
            and outcome.to == stream.state
            and not frame.stream_flags & (revision.encoded | revision.end)
        )
        table = self._free[request_id & 1] if request is None else request.table
        if code == revision.settings:
            node = Node(0, code)
            node.act = type(self)._emit_stream_configured  # noqa: SLF001 - bound when it is called
        else:
            node = self._node(plans.machine.outcome(table.state, code, flags, plans.guards), table, frame)
        plan = Plan(node, None if idle else self._node(outcome, None, frame), frame, revision)
        table.plans[self._slots[stream.stream_id] + kind] = plan
        return plan

    def _node(self, outcome: Outcome, table: Table | None, frame: Frame) -> Node:
        """Returns the node for an outcome of a machine. ``table``: that of the request; None for the stream machine."""
        node = Node(int(frame.flags), int(frame.type))
        if isinstance(outcome, Ask):
            node.ask = bound(type(self), "ask", outcome.guard)
            node.outcomes = {answer: self._node(inner, table, frame) for answer, inner in outcome.outcomes.items()}
            return node
        node.row = outcome
        if table is None:
            return node
        if outcome.error is not None:
            node.act = type(self)._refuse_request  # noqa: SLF001 - bound when it is called
        elif outcome.emit is not None:
            node.act = bound(type(self), "emit", outcome.emit)
        if outcome.to is not None:
            node.to = outcome.to
            node.table = self._tables[outcome.to]
        return node

    def _row(self, state: IntEnum, event: Event) -> Row | None:
        """Returns the row of the request machine for an event, or None if the machine has no row for it."""
        return self._plans.row(state, event)

    def _move(self, request_id: int, request: Any, to: IntEnum) -> None:
        """Changes the state of a request."""
        raise NotImplementedError

    # Guards of streams.

    def _ask_restart(self, *_: object) -> bool:
        return self._reopen == "restart"

    def _ask_stream_capacity(self, stream: InputStream, *_: object) -> bool:
        most = self.limits.open_streams
        if self._open_streams < most:
            return True
        expected, found = (
            f"at most {counted(most, 'stream')} open at a time",
            f"stream {stream.stream_id} beside {most}",
        )
        stream.blame(RemoteProtocolError("", None, "", expected, found))
        return False

    def _ask_settings(self, stream: InputStream, request: Any, payload: bytes, plan: Plan) -> str:
        return stream.ask_settings(payload)

    def _ask_encoding(self, stream: InputStream, request: Any, payload: bytes, plan: Plan) -> str:
        given, self._decoded = self._decoded, None
        answer = stream.ask_encoding(payload, encoded=plan.encoded, ends=plan.ends, decoded=given)
        if stream.decoded is not None:
            try:
                self._count_decoded(request, len(stream.decoded))
            except DecodingError as error:
                return stream.refuse_encoding(error)
        return answer

    def _count_decoded(self, request: Any, size: int) -> None:
        """Counts decoded bytes of a request. Raises :class:`DecodingError` if they exceed a limit."""

    def _emit_stream_configured(self, request_id: int, request: Any, payload: bytes, node: Node) -> None:
        """Emits nothing: an application does not see stream settings."""

    # Errors.

    def _refuse_request(self, request_id: int, request: Any, payload: bytes, node: Node) -> None:
        """Raises the error of a request's row."""
        row = node.row
        fault, self._fault = self._fault, None
        if fault is not None:
            raise RemoteProtocolError(str(row.error), fault.offset, fault.field, fault.expected, fault.found)
        state = self.machine.initial if request is None else request.state
        expected = row.expected or f"a frame that is allowed while the request is {words(state)}"
        # `placed` adds the frame type to the message; it is not known here.
        found = f"for request {request_id}, which is {words(state)}"
        raise RemoteProtocolError(str(row.error), None, "type", expected, found)

    def _fail(self, error: RemoteProtocolError, frame: Frame | None) -> None:
        """Fails the connection because the peer violated a requirement."""
        self._break()
        self._failed(error, frame)

    def _interrupted(self, events: list[Any]) -> None:
        """Fails the connection after an exception that may have left a frame half processed. Keeps all events."""
        self._break()
        self._due = events + self._due

    def _break(self) -> None:
        """Moves the connection to its state after a violation."""
        outcome = self._plans.connection.outcome(self.state, Event.VIOLATION)
        if isinstance(outcome, Row) and outcome.to is not None:
            self.state = outcome.to

    def _failed(self, error: RemoteProtocolError, frame: Frame | None) -> None:
        """Emits the events of a role for a violated requirement."""
        raise NotImplementedError

    def _drop(self, parts: Iterable[Part]) -> None:
        """Discards the frames that follow a peer's error."""

    def _after_error(self, data: bytes | Frame = b"") -> list[Any]:
        """Returns the events for input after the connection has failed."""
        events, self._due = self._due, []
        connection = self._plans.connection
        row = connection.outcome(self.state, next(iter(self._codec.TYPE_NAMES)))
        expected = row.expected if isinstance(row, Row) and row.expected is not None else "nothing"
        requirement = str(row.error) if isinstance(row, Row) else connection.otherwise
        return [*events, Error(RemoteProtocolError(requirement, None, "", expected, "more"), None)]
