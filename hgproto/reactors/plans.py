"""Plans: cached lookups of the transitions that the schema's tables select for a frame.

The transition depends on three things that are known before the payload is decoded: the state of the stream, the state
of the request, and the kind of frame (type, flags, and stream flags as one number). There is a :class:`Plan` for each
combination. It is built when the combination first occurs, and shared by all reactors of a role. Frames with an invalid
header have no plan, so the number of plans is bounded.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from hgproto.errors import LocalProtocolError, RemoteProtocolError, RevisionError, counted
from hgproto.runtime.layout import text_of_flags
from hgproto.runtime.machine import STATE_BITS, Event, Row, States

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hgproto.runtime.definition import Codec, Definition, Receive
    from hgproto.runtime.frame import Frame
    from hgproto.wire.messages import Parts

__all__ = [
    "NO_ROW",
    "Closed",
    "Node",
    "Plan",
    "Plans",
    "Request",
    "Slots",
    "Table",
    "Violation",
    "bound",
    "first_of",
    "go_on",
    "placed",
    "text_payload",
    "words",
]

T = TypeVar("T")


class _Nowhere(IntEnum):
    NOWHERE = 0


NO_ROW = Row(_Nowhere.NOWHERE)
"""The placeholder for a missing row."""


class Node:
    """One step of a plan: a guard to evaluate, or the row that is selected in the end.

    ``ask`` evaluates the guard; it is None for a row. ``outcomes``: the next node for each answer. ``act``: the action
    of the row. ``to`` and ``table``: the next state and its table. ``flags`` and ``code``: those of the frame.
    """

    __slots__ = ("act", "ask", "code", "flags", "outcomes", "row", "table", "to")

    def __init__(self, flags: int = 0, code: int = 0) -> None:
        self.flags = flags
        self.code = code
        self.ask: Callable[..., object] | None = None
        self.outcomes: dict[object, Node] = {}
        self.act: Callable[..., None] = go_on
        self.row: Row = NO_ROW
        self.to: IntEnum | None = None
        self.table: Any = None


def go_on(reactor: Any, request_id: int, request: Any, payload: bytes, node: Node) -> None:
    """Enters the state of a row. This is the action of a row that changes the state and emits nothing."""
    if node.to is None or node.to is (reactor.machine.initial if request is None else request.state):
        return
    if request is None:
        reactor._begin(request_id, payload, node)  # noqa: SLF001 - an action of the reactor
    else:
        reactor._move(request_id, request, node.to)  # noqa: SLF001


_OF_FRAMES = ("_ask_", "_begin", "_emit_", "_move", "_node", "_planned", "_row", "_take")
"""The prefixes of methods that process frames. A class that overrides such a method cannot use the generated loop."""


def _generated(reactor: Any, revision: Definition) -> Receive | None:
    """Returns the generated loop for a reactor class, or None if the class overrides how its role processes frames."""
    role = next(base for base in reactor.__mro__ if "role" in vars(base))
    names = [name for name in dir(role) if name.startswith(_OF_FRAMES)]
    if any(getattr(reactor, name) is not getattr(role, name) for name in names):
        return None
    receive: Receive = getattr(revision.receive, f"receive_as_{reactor.role}")
    return receive


def first_of(found: Iterator[T], revision: Definition, what: str) -> T:
    """Returns the first item. Raises :class:`RevisionError` if there is none. ``what``: the name of the missing item."""
    for one in found:
        return one
    raise RevisionError(f"{revision.title} has no {what}, which sessions need; add it to its state machines")


class Plan:
    """The nodes for one kind of frame in one state of its stream and its request.

    ``stream`` is None if the frame does not affect its stream, as for most frames.
    """

    __slots__ = ("code", "encoded", "ends", "flags", "node", "stream")

    def __init__(self, node: Node, stream: Node | None, frame: Frame, revision: Definition) -> None:
        self.node = node
        self.stream = stream
        self.code = int(frame.type)
        self.flags = int(frame.flags)
        self.encoded = bool(frame.stream_flags & revision.encoded)
        self.ends = bool(frame.stream_flags & revision.end)


class Table:
    """The plans of one request state, by the kind of frame and the state of its stream."""

    __slots__ = ("plans", "state")

    def __init__(self, state: IntEnum) -> None:
        self.state = state
        self.plans: dict[int, Plan] = {}


_MOST_SLOTS = 1 << 8
"""The most stream ids for which the states are kept in a list."""


Part = tuple[int, int, int, bytes, int]
"""A parsed frame: its kind, request id, stream id, payload, and the offset of its end in bytes."""


class Slots(dict[int, int]):
    """The states of streams, for many ids: only streams that are not closed need memory.

    ``closed``: the slots of a closed stream with the peer's parity, and with the wrong one. ``parity``: the peer's
    parity.
    """

    def __init__(self, closed: tuple[int, int], parity: int) -> None:
        super().__init__()
        self._closed = closed
        self._parity = parity

    def __missing__(self, stream_id: int) -> int:
        return self._closed[(stream_id & 1) != self._parity]

    def __setitem__(self, stream_id: int, slot: int) -> None:
        if slot == self._closed[0]:
            self.pop(stream_id, None)
        else:
            super().__setitem__(stream_id, slot)


class Plans:
    """The lookup tables of a reactor class for one revision.

    ``whole``: the shared object of completely received requests, by state. ``begins``: the object that replaces it when
    the response begins. ``done``: the objects of requests that are over once their response was sent. ``issued``: the
    table of a request that was issued with a free id; None if that is not allowed. ``after_sent``: the next table of a
    request that was sent, by its table. ``tables``: by the state of a request. ``tables_by_number`` and
    ``whole_by_number``: in the order of the states. ``free``: the table of a free id, by the lowest bit of the id; an
    id that no client may use has its own table. ``rows``: those of the request machine, by state and event.
    ``receive``: the generated loop of the role; None for a class that overrides how frames are processed.
    """

    __slots__ = (
        "after_sent",
        "begins",
        "codec",
        "connection",
        "done",
        "foreign",
        "free",
        "guards",
        "issued",
        "machine",
        "parity",
        "receive",
        "revision",
        "rows",
        "states",
        "stream",
        "tables",
        "tables_by_number",
        "whole",
        "whole_by_number",
    )

    def __init__(self, reactor: Any, revision: Definition) -> None:
        self.revision = revision
        role: str = reactor.role
        peer: str = reactor.peer
        self.receive = _generated(reactor, revision)
        self.codec = revision.codec
        self.connection = revision.machine("connection")
        self.stream = revision.machine("stream")
        self.machine = machine = revision.machine("request", role)
        self.guards: dict[str, tuple[object, ...]] = revision.machines.GUARDS
        self.parity: int = revision.machines.STREAM_PARITY[peer]
        states: Iterable[IntEnum] = type(machine.initial)
        self.states = States(machine)
        self.tables = {state: Table(state) for state in states}
        # The parity of a free id decides what is allowed; all ids in use have the client's parity.
        ours, other = self.tables[machine.initial], Table(machine.initial)
        self.free = [ours if bit in revision.request_ids else other for bit in (0, 1)]
        self.rows: dict[tuple[int, Event], Row] = {}
        # The placeholder for a state if the stream id has the wrong parity.
        self.foreign = len(type(self.stream.initial))
        self.whole = {state: Request(self.tables[state]) for state in self.states.whole}
        # Lists, because hashing a member of an enumeration takes longer than the rest of the loop for a frame.
        self.tables_by_number = tuple(self.tables[state] for state in states)
        self.whole_by_number = tuple(self.whole.get(state) for state in states)
        begins = {state: self.row(state, Event.RESPONSE_BEGUN) for state in self.whole}
        self.begins: dict[Any, Request] = {
            self.whole[state]: self.whole[row.to] for state, row in begins.items() if row and row.to in self.whole
        }
        ends = {state: self.row(state, Event.RESPONSE_SENT) for state in self.whole}
        sent = {state: self.row(state, Event.REQUEST_SENT) for state in states}
        self.after_sent = {
            self.tables[state]: self.tables[row.to]
            for state, row in sent.items()
            if row is not None and row.to not in (None, machine.initial)
        }
        issued = self.row(machine.initial, Event.REQUEST_ISSUED)
        self.issued = None if issued is None or issued.to in (None, machine.initial) else self.tables[issued.to]
        self.done = frozenset(self.whole[state] for state, row in ends.items() if row and row.to is machine.initial)

    def row(self, state: IntEnum, event: Event) -> Row | None:
        """Returns the row of the request machine for an event, or None if the machine has no row for it."""
        row = self.rows.get((state, event))
        if row is None:
            outcome = self.machine.outcome(state, event)
            row = self.rows[state, event] = outcome if isinstance(outcome, Row) else NO_ROW
        return None if row.event is None else row

    def slots(self) -> list[int] | Slots:
        """Returns the initial slots of all streams, which are closed."""
        closed = (self.stream.initial << STATE_BITS, self.foreign << STATE_BITS)
        ids = range(self.revision.ids["stream_id"])
        if len(ids) > _MOST_SLOTS:
            return Slots(closed, self.parity)
        return [closed[(stream_id & 1) != self.parity] for stream_id in ids]

    def dead(self) -> LocalProtocolError:
        """Returns the error for sending after the connection has failed."""
        expected, found = "a connection without a violated requirement", "the connection has failed"
        return LocalProtocolError(self.connection.otherwise, None, "", expected, found)

    def too_late(self, request_id: int) -> LocalProtocolError:
        """Returns the error for a message after the end of its request's response."""
        row = self.machine.outcome(self.machine.initial, Event.MESSAGE_SENT)
        requirement = row.error if isinstance(row, Row) and row.error is not None else self.machine.otherwise
        expected = "a message that is sent before the end of the response"
        return LocalProtocolError(requirement, None, "", expected, f"one of request {request_id} after it")


class Messages(NamedTuple):
    """The functions that build the frames of messages; ``command`` builds parts of frames.

    ``error_kinds``: the argument for an error that ends the connection (True), and for other errors (False). It is
    empty if the revision has only one kind.
    """

    command: Callable[..., Parts]
    error: Callable[..., Frame]
    text: Callable[..., Frame]
    error_kinds: dict[bool, str]


def messages_of(revision: Definition) -> Messages:
    """Returns the message functions of a revision. Raises :class:`RevisionError` if it lacks one of them."""
    roles = "command", "argument", "data"
    revision.message(*roles)
    return Messages(
        revision.build.PARTS[roles], revision.message("error"), revision.message("text"), revision.build.ERROR_KINDS
    )


class Request:
    """A request whose id is not free. ``table`` is that of its state."""

    __slots__ = ("table",)

    def __init__(self, table: Table) -> None:
        self.table = table

    @property
    def state(self) -> IntEnum:
        """The state of the request's machine."""
        return self.table.state


class Closed(Exception):  # noqa: N818 - inside of reactors alone
    """Raised after the peer has announced that it closes the connection, so that later frames are ignored."""


class Violation(Exception):  # noqa: N818 - inside of reactors alone
    """A violated requirement. The offset of ``error`` counts from the start of the frame, not of its payload."""

    def __init__(self, error: RemoteProtocolError) -> None:
        super().__init__(error)
        self.error = error


def bound(role: type, what: str, name: str) -> Callable[..., Any]:
    """Returns the method of a role for a guard (``ask``) or an output (``emit``)."""
    function: Callable[..., Any] = getattr(role, f"_{what}_{name.replace('-', '_')}")
    return function


def text_payload(codec: Codec, code: int, payload: bytes) -> str:
    """Decodes a payload that is one text, such as a command name or a message. Raises :class:`RemoteProtocolError`."""
    if payload.isascii() and payload:
        return payload.decode("ascii")
    return str(codec.decode_payload(codec.make_frame(0, 0, 0, code, 0, payload)))


def words(state: IntEnum) -> str:
    """Returns the name of a state for people."""
    return {"none": "free"}.get(text := state.name.lower().replace("_", " "), text)


def placed(revision: Definition, error: RemoteProtocolError, kind: int) -> RemoteProtocolError:
    """Returns an error of a payload or of a request's table with its offset counted from the start of the frame."""
    codec = revision.codec
    frame = codec.frame_of(kind, 0, 0, b"")
    if error.offset is None:
        name = codec.TYPE_NAMES[int(frame.type)]
        flags = text_of_flags(int(frame.flags), codec.FLAG_NAMES[int(frame.type)])
        found = f"{name}{'' if flags == '0' else f' {flags}'} {error.found}"
        return RemoteProtocolError(error.requirement, codec.FIELDS["type"][0], error.field, error.expected, found)
    if frame.stream_flags & revision.encoded:
        found = f"{error.found} ({counted(error.offset or 0, 'byte')} into the decoded payload)"
        return RemoteProtocolError(error.requirement, codec.HEADER_BYTES, error.field, error.expected, found)
    return error.moved(codec.HEADER_BYTES)
