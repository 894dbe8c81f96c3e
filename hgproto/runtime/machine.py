"""The table engine: state machines that are tables, for both roles.

A :class:`Machine` is rows and nothing else; generated modules hold them (``hgproto.revisions.framing_0002.machines``). What a row
looks at is known in part beforehand, the state, the frame type and the flags, and in part only when the frame is there:
the answers of guards. :meth:`Machine.outcome` resolves the first part, and leaves a row, or an :class:`Ask` where the
rows differ by what a guard answers. Who drives a machine keeps outcomes by what they were resolved for, so that a frame
costs a look-up and the questions that really matter.

Invariants: rows of a state are disjoint, which ``hgproto schema check`` proves, so their order means nothing; a machine is
total, since ``otherwise`` is a refusal; nothing here changes when it is used.
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
"""The bits for the kind of a frame. In the number by which reactors look frames up, the state of its stream is above them."""


class Event(Enum):
    """What happens and is no frame."""

    END_OF_INPUT = "end-of-input"
    """The peer sends nothing more."""
    VIOLATION = "violation"
    """A rule was broken."""
    REQUEST_ISSUED = "request-issued"
    """A request is about to be sent."""
    REQUEST_SENT = "request-sent"
    """All frames of a request were taken."""
    REQUEST_WITHDRAWN = "request-withdrawn"
    """The content of a request cannot be read, and no frame of it was sent."""
    REQUEST_ABANDONED = "request-abandoned"
    """The content of a request cannot be read, and a part of it was sent."""
    RESPONSE_BEGUN = "response-begun"
    """A response is about to be sent."""
    RESPONSE_SENT = "response-sent"
    """All frames of a response were taken."""
    MESSAGE_SENT = "message-sent"
    """Text or progress is about to be sent."""

    # Members are single objects. Hashing their names instead takes longer than the look-up that it is for.
    __hash__ = object.__hash__


class Condition:
    """What a row asks for. ``known`` has what is known already; None means that it is not known yet."""

    __slots__ = ()

    def holds(self, known: Callable[[Condition], bool | None]) -> bool | None:
        """Whether the condition holds, None when that depends on what is not known yet."""
        return known(self)

    def atoms(self) -> list[Condition]:
        """The flags, answers and states that it looks at, in the order of the table."""
        return [self]


class Set(Condition):
    """A flag of the frame, or of its stream, is set."""

    __slots__ = ("flag",)

    def __init__(self, flag: str) -> None:
        self.flag = flag


class Answer(Condition):
    """A guard gives this answer."""

    __slots__ = ("guard", "value")

    def __init__(self, guard: str, value: object) -> None:
        self.guard = guard
        self.value = value


class InState(Condition):
    """Another machine is in this state. The machine's name is the question, its state the answer."""

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
    """What one part decides by itself."""

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
    """One transition (``to``) or refusal (``error``), of frames or of an event."""

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
    """Several rows are left: what a guard answers decides. ``outcomes`` has what each answer leads to."""

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

    ``role``: the side that runs it: client, server, or both. ``scope``: what there is one machine for: a connection, a stream,
    or a request. ``otherwise``: the requirement that is broken where no row applies.
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
        """What a frame (its type's code and the names of all its flags) or an event leads to in ``state``.

        ``guards``: the answers that each guard can give.
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
    """The states of a machine of requests, by what its rows say.

    ``initial``: the id is free. ``receiving``: more of the request, or of its response, has to come. ``kept``: what was
    received is kept, and no response can begin. ``refused``: the rest is ignored. ``whole``: nothing more can come.
    ``awaiting``: the application has to respond. ``begun``: the response has begun. ``unfinished``: the rest of the request
    will never be sent. ``answered``: the response is complete, and the request was not sent whole.
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
"""Actions that hand on what was received of a request, or of its response, as in the names of their methods."""


def _handing_on(machine: Machine) -> frozenset[IntEnum]:
    """Returns the states of used ids from which rows lead on, over further states, to one that hands on content."""
    rows = [row for row in machine.rows if row.event is not Event.END_OF_INPUT and row.source is not machine.initial]
    found = {row.source for row in rows if row.emit is not None and row.emit.replace("-", "_") in _CONTENT}
    while more := {row.source for row in rows if row.to in found} - found:
        found |= more
    return frozenset(found)
