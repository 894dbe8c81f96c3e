"""Plans: what reactors do with frames, resolved from the schema's tables and kept.

What the machines make of a frame depends on three things that are known before its payload is looked at: the state of its
stream, the state of its request, and its kind, which is type, flags and stream flags as one number. There is a
:class:`Plan` for each combination, made when it is met first and shared by all reactors of a role. Frames that break a
rule of their header have none, so there are only as many plans as there are combinations that headers allow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hgproto.errors import RemoteProtocolError, counted
from hgproto.revisions.framing_0002 import codec, machines
from hgproto.runtime.layout import place_of, text_of_flags
from hgproto.runtime.machine import Row

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import IntEnum

    from hgproto.runtime.frame import Frame

__all__ = [
    "NO_ROW",
    "Closed",
    "Node",
    "Plan",
    "Request",
    "Table",
    "Violation",
    "bound",
    "placed",
    "text_payload",
    "words",
]

NO_ROW = Row(machines.CONNECTION.initial)
"""Stands where no table says anything."""

_TYPE = place_of(codec.FRAME, "type_flags")
_ENCODED, _END = int(codec.StreamFlag.ENCODED), int(codec.StreamFlag.STREAM_END)


class Node:
    """What a frame leads to, resolved as far as it can be: a question, or in the end a row of a table.

    ``ask`` is None for a row, and ``outcomes`` has the nodes that answers lead to. ``act``: what is done for a row.
    ``to`` and ``table``: the state that the row leads to, and its plans. ``flags`` and ``code``: of the frame.
    """

    __slots__ = ("act", "ask", "code", "flags", "outcomes", "row", "table", "to")

    def __init__(self, flags: int = 0, code: int = 0) -> None:
        self.flags = flags
        self.code = code
        self.ask: Callable[..., object] | None = None
        self.outcomes: dict[object, Node] = {}
        self.act: Callable[..., None] = _nothing
        self.row: Row = NO_ROW
        self.to: IntEnum | None = None
        self.table: Any = None


def _nothing(*_: object) -> None:
    """What is done where the table says no more than a state."""


class Plan:
    """What to do with a frame of one kind in one state of its stream and its request.

    ``stream`` is None where nothing happens to the stream, which is most of the time.
    """

    __slots__ = ("code", "encoded", "ends", "flags", "node", "stream")

    def __init__(self, node: Node, stream: Node | None, frame: Frame) -> None:
        self.node = node
        self.stream = stream
        self.code = int(frame.type)
        self.flags = int(frame.flags)
        self.encoded = bool(frame.stream_flags & _ENCODED)
        self.ends = bool(frame.stream_flags & _END)


class Table:
    """The plans of a state of requests, by the kind of frame and the state of its stream.

    ``usual``: by the same numbers, where the usual answers of all guards lead, for those frames of which most traffic is
    made; see :meth:`hgproto.reactors.reactor.Reactor._usual`.
    """

    __slots__ = ("plans", "state", "usual")

    def __init__(self, state: IntEnum) -> None:
        self.state = state
        self.plans: dict[int, Plan] = {}
        self.usual: dict[int, Node] = {}


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
    """The peer has said that it closes the connection; nothing that follows counts."""


class Violation(Exception):  # noqa: N818 - inside of reactors alone
    """A broken rule, with an error whose offset counts from the start of the frame and not of its payload."""

    def __init__(self, error: RemoteProtocolError) -> None:
        super().__init__(error)
        self.error = error


def bound(role: type, what: str, name: str) -> Callable[..., Any]:
    """The function of a role for a guard (``ask``) or for something to emit (``emit``)."""
    function: Callable[..., Any] = getattr(role, f"_{what}_{name.replace('-', '_')}")
    return function


def text_payload(code: int, payload: bytes) -> str:
    """A payload that is all one text: a command's name, a message. Raises :class:`RemoteProtocolError`."""
    if payload.isascii() and payload:
        return payload.decode("ascii")
    return str(codec.decode_payload(codec.make_frame(0, 0, 0, code, 0, payload)))


def words(state: IntEnum) -> str:
    """A state as people read it."""
    return {"none": "free"}.get(text := state.name.lower().replace("_", " "), text)


def placed(error: RemoteProtocolError, kind: int) -> RemoteProtocolError:
    """An error from the payload or from a request's table, with its offset from the start of the frame."""
    frame = codec.frame_of(kind, 0, 0, b"")
    if error.offset is None:
        name = codec.TYPE_NAMES[int(frame.type)]
        flags = text_of_flags(int(frame.flags), codec.FLAG_NAMES[int(frame.type)])
        found = f"{name}{'' if flags == '0' else f' {flags}'} {error.found}"
        return RemoteProtocolError(error.requirement, _TYPE, error.field, error.expected, found)
    if frame.stream_flags & _ENCODED:
        found = f"{error.found} ({counted(error.offset or 0, 'octet')} into the decoded payload)"
        return RemoteProtocolError(error.requirement, codec.HEADER_OCTETS, error.field, error.expected, found)
    return error.moved(codec.HEADER_OCTETS)
