"""The rows that apply to common frames, resolved from the machines of a schema in the same way as reactors do.

A frame is common if its stream is open, the frame does not change the stream, and all guards return their usual answers.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.emit.framing import kind
from hgproto.language.constraints import allowed_flags
from hgproto.language.names import state_class, upper
from hgproto.runtime.machine import (
    STATE_BITS,
    All,
    Answer,
    Ask,
    Event,
    InState,
    Machine,
    Not,
    One,
    Row,
    Set,
    States,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hgproto.language.model import Condition, FrameType, Schema
    from hgproto.language.model import Machine as Described
    from hgproto.runtime.machine import Condition as Runnable
    from hgproto.runtime.machine import Outcome

__all__ = ["Usual", "parity_of_requests", "states_of", "usual"]

_USUAL: Mapping[str, tuple[object, ...]] = {
    "argument": ("good",),
    "capacity": (True,),
    "data": ("good",),
    "data-announced": (False, True),
    "streaming": (False,),
}
"""For each guard, its answers for common frames."""


class Usual(NamedTuple):
    """A common frame, and the row that applies to it.

    ``number``: combines the kind of the frame and the state of its stream; reactors look up frames by it. ``row``: a row of the
    machine of requests. ``answers``: the answers of the guards that were asked.
    """

    frame: FrameType
    flags: frozenset[str]
    number: int
    row: Row
    answers: Mapping[str, object]

    def has(self, role: str) -> bool:
        """Returns True if a flag with this role is set."""
        return any(flag.role == role and flag.name in self.flags for flag in self.frame.flags)


def states_of(schema: Schema, role: str) -> States | None:
    """Returns the states of the requests of a role; None if the schema has no machine for them."""
    machines = _machines(schema)
    machine = _find(machines, "request", role)
    return None if machine is None else States(machine)


def parity_of_requests(schema: Schema) -> int | None:
    """Returns the lowest bit of the ids of requests; None if they can be any."""
    for frame in schema.frames_by_code.values():
        if frame.role == "command":
            for one in frame.constraints:
                if one.is_about_fields and "request_id" in one.names:
                    return int(one.kind == "odd")
    return None


def usual(schema: Schema, role: str) -> Iterator[Usual]:
    """Yields the common frames that a role receives, by the state of the request, in the order of the schema."""
    machines = _machines(schema)
    requests, streams = _find(machines, "request", role), _find(machines, "stream", "both")
    if requests is None or streams is None:
        return
    guards = {name: guard.values or (False, True) for name, guard in schema.guards.items()}
    peer = "client" if role == "server" else "server"
    of_stream = frozenset(flag.name for flag in schema.stream_flags)
    frames = [frame for frame in schema.frames_by_code.values() if frame.sender in (None, peer)]
    kinds = []
    for frame in frames:
        plain = (
            [each for each in allowed_flags(frame, schema) if not each & of_stream] if _is_usual(frame, schema) else []
        )
        for flags in sorted(plain, key=lambda each: _mask(frame, each)):
            number = _number(frame, flags, schema, streams, guards)
            if number is not None:
                kinds.append((frame, flags, number))
    states: Any = type(requests.initial)
    for state in states:
        for frame, flags, number in kinds:
            for row, answers in _rows(requests.outcome(state, frame.code, flags, guards), {}):
                yield Usual(frame, flags, number, row, answers)


def _is_usual(frame: FrameType, schema: Schema) -> bool:
    """Returns True if the kind and the request id of a frame are enough to check its header."""
    if frame.role not in ("command", "argument", "data", "response"):
        return False
    fields = [one for one in (*schema.stream_constraints, *frame.constraints) if one.is_about_fields]
    if frame.role == "response":
        return not fields
    return all(one.names == ("request_id",) and int(one.kind == "odd") == parity_of_requests(schema) for one in fields)


def _mask(frame: FrameType, flags: frozenset[str]) -> int:
    return sum(flag.mask for flag in frame.flags if flag.name in flags)


def _number(
    frame: FrameType, flags: frozenset[str], schema: Schema, streams: Machine, guards: Mapping[str, tuple[object, ...]]
) -> int | None:
    """Returns the number of a frame on a stream in a state that the frame does not change; None if no state is such."""
    states: Any = type(streams.initial)
    for state in states:
        outcome = streams.outcome(state, frame.code, flags, guards)
        if isinstance(outcome, Row) and outcome.error is None and outcome.to == state:
            return int(state) << STATE_BITS | kind(schema, frame.code, _mask(frame, flags))
    return None


def _rows(outcome: Outcome, answers: Mapping[str, object]) -> Iterator[tuple[Row, Mapping[str, object]]]:
    """Yields the rows that apply with usual answers, each with these answers."""
    if not isinstance(outcome, Ask):
        if outcome.error is None:
            yield outcome, answers
        return
    for answer in _USUAL.get(outcome.guard, ()):
        if answer in outcome.outcomes:
            yield from _rows(outcome.outcomes[answer], {**answers, outcome.guard: answer})


# Machines of the runtime.


def _find(machines: Mapping[str, Machine], scope: str, role: str) -> Machine | None:
    return next((each for each in machines.values() if each.scope == scope and each.role == role), None)


def _machines(schema: Schema) -> dict[str, Machine]:
    make: Any = IntEnum
    states = {
        name: make(state_class(name), {upper(state): number for number, state in enumerate(machine.states)})
        for name, machine in schema.machines.items()
    }
    return {name: _machine(machine, schema, states) for name, machine in schema.machines.items()}


def _machine(machine: Described, schema: Schema, states: Mapping[str, Any]) -> Machine:
    own = states[machine.name]
    rows = tuple(
        Row(
            own[upper(row.source)],
            frames=tuple(schema.frames[name].code for name in row.frames),
            event=None if row.event is None else Event(row.event),
            when=None if row.when is None else _condition(row.when, states),
            to=None if row.to is None else own[upper(row.to)],
            emit=row.emit,
            error=row.error,
        )
        for row in machine.transitions
    )
    return Machine(machine.name, machine.role, machine.scope, own[upper(machine.initial)], machine.otherwise, rows)


def _condition(condition: Condition, states: Mapping[str, Any]) -> Runnable:
    parts = [_condition(part, states) for part in condition.parts]
    match condition.kind:
        case "flag":
            return Set(condition.name)
        case "guard":
            return Answer(condition.name, True if condition.value is None else condition.value)
        case "state":
            return InState(condition.name, states[condition.name][upper(str(condition.value))])
        case "not":
            return Not(parts[0])
        case "and":
            return All(*parts)
        case _:
            return One(*parts)
