"""The engine of state machines: it resolves early conditions, asks guards, and rejects input without a row."""

from __future__ import annotations

from enum import IntEnum
from itertools import product
from typing import Any

import pytest

from hgproto.revisions.framing_0002 import codec, machines
from hgproto.runtime.machine import All, Answer, Ask, Condition, Event, InState, Machine, Not, One, Row, Set, States


class State(IntEnum):
    IDLE = 0
    BUSY = 1


class Other(IntEnum):
    OPEN = 0
    SHUT = 1


ROWS = (
    Row(State.IDLE, frames=(1,), when=Set("go"), to=State.BUSY, emit="start"),
    Row(State.IDLE, frames=(1, 2), when=All(Not(Set("go")), Answer("size", "small")), to=State.IDLE),
    Row(State.IDLE, frames=(1, 2), when=All(Not(Set("go")), Answer("size", "large")), error="too.large"),
    Row(State.BUSY, frames=(1,), when=One(InState("door", Other.OPEN), Answer("forced", True)), to=State.IDLE),
    Row(State.BUSY, event=Event.END_OF_INPUT, to=State.IDLE),
)
MACHINE = Machine("example", "both", "request", State.IDLE, "example.unexpected", ROWS)
GUARDS: dict[str, tuple[object, ...]] = {"size": ("small", "large", "huge"), "forced": (False, True)}


def test_what_flags_decide_is_no_question() -> None:
    assert MACHINE.outcome(State.IDLE, 1, ["go"], GUARDS) is ROWS[0]


def test_what_a_guard_decides_is_asked_once() -> None:
    outcome = MACHINE.outcome(State.IDLE, 1, [], GUARDS)
    assert isinstance(outcome, Ask)
    assert outcome.guard == "size"
    assert outcome.outcomes["small"] is ROWS[1]
    assert outcome.outcomes["large"] is ROWS[2]
    refusal = outcome.outcomes["huge"]
    assert isinstance(refusal, Row)
    assert (refusal.error, refusal.source, refusal.to) == ("example.unexpected", State.IDLE, None)


def test_states_of_other_machines_are_asked_by_the_machines_name() -> None:
    outcome = MACHINE.outcome(State.BUSY, 1, [], GUARDS)
    assert isinstance(outcome, Ask)
    assert outcome.guard == "door"
    assert outcome.outcomes[Other.OPEN] is ROWS[3]
    shut = outcome.outcomes[Other.SHUT]
    assert isinstance(shut, Ask)
    assert shut.outcomes[True] is ROWS[3]


@pytest.mark.parametrize(("state", "what"), [(State.IDLE, 3), (State.BUSY, 2), (State.IDLE, Event.END_OF_INPUT)])
def test_what_no_row_has_is_refused(state: State, what: Any) -> None:
    outcome = MACHINE.outcome(state, what)
    assert isinstance(outcome, Row)
    assert outcome.error == "example.unexpected"


def test_events() -> None:
    assert MACHINE.outcome(State.BUSY, Event.END_OF_INPUT) is ROWS[4]


@pytest.mark.parametrize(
    ("condition", "table"),
    [
        (Not(Set("a")), {True: False, False: True, None: None}),
        (All(Set("a"), Set("t")), {True: True, False: False, None: None}),
        (All(Set("a"), Set("f")), {True: False, False: False, None: False}),
        (One(Set("a"), Set("t")), {True: True, False: True, None: True}),
        (One(Set("a"), Set("f")), {True: True, False: False, None: None}),
    ],
)
def test_conditions_have_three_answers(condition: Condition, table: dict[bool | None, bool | None]) -> None:
    for answer, wanted in table.items():
        known = {"a": answer, "t": True, "f": False}
        assert condition.holds(lambda atom, known=known: known[atom.flag]) is wanted  # type: ignore[misc]


def every_answer(outcome: Any) -> list[Row]:
    if isinstance(outcome, Ask):
        return [row for inner in outcome.outcomes.values() for row in every_answer(inner)]
    return [outcome]


@pytest.mark.parametrize("machine", machines.MACHINES.values(), ids=lambda machine: machine.name)
def test_our_machines_are_total(machine: Machine) -> None:
    states = type(machine.initial)
    met: set[Row] = set()
    for state, frame_type in product(states, codec.FrameType):
        names = [*codec.FLAG_NAMES[frame_type].values(), *codec.STREAM_FLAG_NAMES.values()]
        for chosen in product([False, True], repeat=len(names)):
            flags = [name for name, is_set in zip(names, chosen, strict=True) if is_set]
            for row in every_answer(machine.outcome(state, frame_type, flags, machines.GUARDS)):
                assert (row.to is None) != (row.error is None)
                met.add(row)
    for state, event in product(states, Event):
        met |= set(every_answer(machine.outcome(state, event)))
    assert set(machine.rows) <= met


def test_states_are_told_by_what_rows_say() -> None:
    state = machines.ServerRequestState
    states = States(machines.SERVER_REQUEST)
    assert states.initial is state.NONE
    assert states.kept == {state.RECEIVING_ARGUMENTS, state.RECEIVING_DATA}
    assert states.receiving == states.kept | {state.STREAMING, state.EXCHANGING}
    assert states.refused == {state.REFUSING, state.REFUSED}
    assert states.whole == {state.ACTIVE, state.RESPONDING}
    assert states.awaiting == {state.ACTIVE, state.STREAMING}
    assert states.begun == {state.RESPONDING, state.EXCHANGING}
    of_client = States(machines.CLIENT_REQUEST)
    assert of_client.receiving == {machines.ClientRequestState.SENDING, machines.ClientRequestState.ACTIVE}
    assert of_client.answered == {machines.ClientRequestState.ANSWERED}
    assert of_client.unfinished == {machines.ClientRequestState.UNFINISHED}
