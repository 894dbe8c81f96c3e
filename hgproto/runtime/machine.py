"""The engine of state machines, which are tables, for both roles.

A :class:`Machine` consists of rows, which generated modules define (``hgproto.revisions.framing_0002.machines``). Some
conditions of a row are known early: the state, the frame type, and the flags. Others, the answers of guards, are known
only once the frame has arrived. :meth:`Machine.outcome` resolves the early conditions. It returns a row, or an
:class:`Ask` if the rows differ by the answer of a guard. Callers cache outcomes, so that a frame costs one lookup and
the guards that matter.

Invariants: the rows of a state are disjoint, which ``hgproto schema check`` proves, so their order has no meaning. A
machine is total, because ``otherwise`` is an error. Nothing here changes when it is used.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from enum import IntEnum

__all__ = [
    "STATE_BITS",
    "All",
    "Answer",
    "Ask",
    "Event",
    "InState",
    "Machine",
    "Not",
    "One",
    "Outcome",
    "Row",
    "Set",
    "States",
]

STATE_BITS = 16
"""The number of bits of a frame's kind. Reactors put the state of the stream above them to look up a plan."""


class Event(Enum):
    """The events of state machines other than frames."""

    END_OF_INPUT = "end-of-input"
    """The peer sends nothing more."""
    VIOLATION = "violation"
    """A requirement was violated."""
    REQUEST_ISSUED = "request-issued"
    """A request is about to be sent."""
    REQUEST_SENT = "request-sent"
    """All frames of a request were sent."""
    REQUEST_WITHDRAWN = "request-withdrawn"
    """The content of a request cannot be read, and no frame of it was sent."""
    REQUEST_ABANDONED = "request-abandoned"
    """The content of a request cannot be read, and a part of it was sent."""
    RESPONSE_BEGUN = "response-begun"
    """A response is about to be sent."""
    RESPONSE_SENT = "response-sent"
    """All frames of a response were sent."""
    MESSAGE_SENT = "message-sent"
    """Text or progress is about to be sent."""

    # Members are singletons. The default, hashing their names, would take longer than the lookup itself.
    __hash__ = object.__hash__


class Condition:
    """The condition of a row. ``known`` evaluates a part, and returns None if it is not known yet."""

    __slots__ = ()

    def holds(self, known: Callable[[Condition], bool | None]) -> bool | None:
        """Returns True if the condition holds, or None if that is not known yet."""
        return known(self)

    def atoms(self) -> list[Condition]:
        """Returns the flags, answers, and states in the condition, in the order of the table."""
        return [self]


class Set(Condition):
    """A flag of the frame, or of its stream, is set."""

    __slots__ = ("flag",)

    def __init__(self, flag: str) -> None:
        self.flag = flag


class Answer(Condition):
    """A guard returns this answer."""

    __slots__ = ("guard", "value")

    def __init__(self, guard: str, value: object) -> None:
        self.guard = guard
        self.value = value


class InState(Condition):
    """Another machine is in this state. The name of the machine is the guard, and its state is the answer."""

    __slots__ = ("guard", "value")

    def __init__(self, guard: str, value: IntEnum) -> None:
        self.guard = guard
        self.value = value


class Not(Condition):
    """A condition does not hold."""

    __slots__ = ("part",)

    def __init__(self, part: Condition) -> None:
        self.part = part

    def holds(self, known: Callable[[Condition], bool | None]) -> bool | None:  # noqa: D102
        inner = self.part.holds(known)
        return None if inner is None else not inner

    def atoms(self) -> list[Condition]:  # noqa: D102
        return self.part.atoms()


class All(Condition):
    """All of some conditions hold."""

    __slots__ = ("parts",)
    decisive = False
    """The value of a part that decides the whole condition."""

    def __init__(self, *parts: Condition) -> None:
        self.parts = parts

    def holds(self, known: Callable[[Condition], bool | None]) -> bool | None:  # noqa: D102
        inner = [part.holds(known) for part in self.parts]
        if self.decisive in inner:
            return self.decisive
        return None if None in inner else not self.decisive

    def atoms(self) -> list[Condition]:  # noqa: D102
        return [atom for part in self.parts for atom in part.atoms()]


class One(All):
    """At least one of some conditions holds."""

    __slots__ = ()
    decisive = True


class Row:
    """One transition (``to``) or rejection (``error``), for frames or for an event."""

    __slots__ = ("emit", "error", "event", "expected", "frames", "requirement", "source", "to", "when")

    def __init__(
        self,
        source: IntEnum,
        *,
        frames: tuple[int, ...] = (),
        event: Event | None = None,
        when: Condition | None = None,
        to: IntEnum | None = None,
        emit: str | None = None,
        error: str | None = None,
        expected: str | None = None,
        requirement: str | None = None,
    ) -> None:
        self.source = source
        self.frames = frames
        self.event = event
        self.when = when
        self.to = to
        self.emit = emit
        self.error = error
        self.expected = expected
        self.requirement = requirement


class Ask:
    """An open choice between rows, which the answer of a guard decides. ``outcomes``: the outcome for each answer."""

    __slots__ = ("guard", "outcomes")

    def __init__(self, guard: str, outcomes: Mapping[object, Outcome]) -> None:
        self.guard = guard
        self.outcomes = outcomes


if TYPE_CHECKING:
    Outcome = Row | Ask
else:
    Outcome = object


class Machine:
    """A state machine.

    ``role``: the side that runs it: client, server, or both. ``scope``: the object that has one such machine: a
    connection, a stream, or a request. ``otherwise``: the requirement that is violated if no row applies.
    """

    __slots__ = ("initial", "name", "otherwise", "role", "rows", "scope")

    def __init__(
        self, name: str, role: str, scope: str, initial: IntEnum, otherwise: str, rows: tuple[Row, ...]
    ) -> None:
        self.name = name
        self.role = role
        self.scope = scope
        self.initial = initial
        self.otherwise = otherwise
        self.rows = rows

    def outcome(
        self,
        state: IntEnum,
        what: int | Event,
        flags: Collection[str] = (),
        guards: Mapping[str, tuple[object, ...]] | None = None,
    ) -> Outcome:
        """Returns the outcome of a frame or an event in ``state``.

        ``what``: an event, or the code of the frame type. ``flags``: the names of all flags of the frame. ``guards``:
        the possible answers of each guard.
        """
        rows = [row for row in self.rows if row.source == state and (row.event == what or what in row.frames)]
        return self._resolved(rows, state, frozenset(flags), {}, guards or {})

    def _resolved(
        self,
        rows: list[Row],
        state: IntEnum,
        flags: frozenset[str],
        answers: dict[str, object],
        guards: Mapping[str, tuple[object, ...]],
    ) -> Outcome:
        def known(atom: Condition) -> bool | None:
            if isinstance(atom, Answer | InState):
                return answers[atom.guard] == atom.value if atom.guard in answers else None
            return isinstance(atom, Set) and atom.flag in flags

        left = []
        for row in rows:
            holds = True if row.when is None else row.when.holds(known)
            if holds:
                return row
            if holds is None:
                left.append(row)
        for row in left:
            for atom in row.when.atoms() if row.when is not None else ():
                if isinstance(atom, Answer | InState) and atom.guard not in answers:
                    values = guards[atom.guard] if isinstance(atom, Answer) else tuple(type(atom.value))
                    outcomes = {
                        value: self._resolved(left, state, flags, {**answers, atom.guard: value}, guards)
                        for value in values
                    }
                    return Ask(atom.guard, outcomes)
        return Row(state, error=self.otherwise)


class States:
    """The states of a request machine, grouped by its rows.

    ``initial``: the id is free. ``receiving``: parts of the request or response are still to come. ``kept``: the
    received parts are kept, and no response can begin. ``refused``: the rest is ignored. ``whole``: nothing more can
    come. ``awaiting``: the application must respond. ``begun``: the response has begun. ``unfinished``: the rest of the
    request will never be sent. ``answered``: the response is complete, but the request was not sent completely.
    """

    __slots__ = ("answered", "awaiting", "begun", "initial", "kept", "receiving", "refused", "unfinished", "whole")

    def __init__(self, machine: Machine) -> None:
        rows: dict[tuple[IntEnum, Event], Row] = {(row.source, row.event): row for row in machine.rows if row.event}
        states: Iterable[IntEnum] = type(machine.initial)

        def leads(state: IntEnum, event: Event) -> IntEnum | None:
            row = rows.get((state, event))
            return None if row is None else row.to

        self.initial = machine.initial
        self.receiving = _handing_on(machine)
        self.refused = frozenset(state for state in states if (state, Event.END_OF_INPUT) in rows) - self.receiving
        self.whole = frozenset(states) - self.receiving - self.refused - {self.initial}
        self.awaiting = frozenset(state for state in states if leads(state, Event.RESPONSE_BEGUN) is not None)
        self.begun = frozenset(
            row.to for row in rows.values() if row.event is Event.RESPONSE_BEGUN and row.to is not None
        )
        self.kept = self.receiving - self.awaiting - self.begun
        self.unfinished = frozenset(row.to for row in rows.values() if row.event is Event.REQUEST_ABANDONED)
        self.answered = frozenset(state for state in states if leads(state, Event.REQUEST_SENT) is self.initial)


_CONTENT = ("run_command", "command_data", "response_data")
"""Outputs that return content of a request or response, as in the names of their methods."""


def _handing_on(machine: Machine) -> frozenset[IntEnum]:
    """Returns the states of used ids from which a sequence of rows leads to an output with content."""
    rows = [row for row in machine.rows if row.event is not Event.END_OF_INPUT and row.source is not machine.initial]
    found = {row.source for row in rows if row.emit is not None and row.emit.replace("-", "_") in _CONTENT}
    while more := {row.source for row in rows if row.to in found} - found:
        found |= more
    return frozenset(found)
