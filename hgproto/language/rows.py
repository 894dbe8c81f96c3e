"""Proves that every state of a machine is reachable, and that the rows of each state are disjoint.

The proof tries every combination of values that conditions depend on, and has limits on their number.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from hgproto.language.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hgproto.language.model import Machine, Row, Schema

__all__ = ["machine_problems"]

MAX_ASSIGNMENTS = 100_000
"""The largest number of combinations of flags, guards, and states for one state and frame type; framing-0002 has hundreds."""

MAX_WORK = 2_000_000
"""The largest number of conditions evaluated for all machines: some seconds. framing-0002 needs about 40,000."""


def machine_problems(schema: Schema, allowed: Mapping[str, list[frozenset[str]]]) -> Iterator[Problem]:
    """Yields the faults of all machines. ``allowed``: for each frame type, the sets of flags that it can have."""
    budget = [MAX_WORK]
    for machine in schema.machines.values():
        yield from _machine(machine, schema, allowed, budget)


def _machine(
    machine: Machine, schema: Schema, allowed: Mapping[str, list[frozenset[str]]], budget: list[int]
) -> Iterator[Problem]:
    rows_of: dict[str, list[Row]] = {}
    for row in machine.transitions:
        rows_of.setdefault(row.source, []).append(row)
    reached, new = {machine.initial}, [machine.initial]
    while new:
        state = new.pop()
        for row in rows_of.get(state, ()):
            if row.to is not None and row.to not in reached:
                reached.add(row.to)
                new.append(row.to)
    for state, place in machine.state_places.items():
        if state not in reached:
            advice = "add a transition to it, or remove it"
            yield Problem(place, f"the state {state!r} of {machine.name!r} cannot be reached", advice)
    for state in machine.states:
        rows = rows_of.get(state, [])
        taken: set[int] = set()
        found: list[Problem] = []
        taking: dict[tuple[bool, str], list[Row]] = {}
        for row in rows:
            for name in dict.fromkeys(row.frames) if row.event is None else (row.event,):
                taking.setdefault((row.event is None, name), []).append(row)
        for is_frame, name in sorted(taking):
            flags = allowed[name] if is_frame else [frozenset[str]()]
            found += _disjoint(taking[is_frame, name], name, flags, machine, schema, taken, budget)
        yield from found
        for row in rows if not found else ():
            if id(row) not in taken:
                what = row.event or ", ".join(row.frames) or "frame"
                message = f"the row never applies in state {state!r}: no {what} meets its condition"
                yield Problem(row.place, message, "correct `when`")


def _disjoint(
    rows: list[Row],
    what: str,
    allowed: list[frozenset[str]],
    machine: Machine,
    schema: Schema,
    taken: set[int],
    budget: list[int],
) -> Iterator[Problem]:
    """Yields a fault for two rows that can apply at once, after trying every allowed combination of their atoms.

    ``taken``: receives the ``id()`` of each row that can apply. ``budget``: the remaining work for all machines.
    """
    work = sum(1 if row.when is None else row.when.size for row in rows)
    budget[0] -= work
    advice = "use fewer guards, states and rows"
    too_large = Problem(machine.place, "the machines are too large to prove their rows disjoint", advice)
    if budget[0] < 0:
        yield too_large
        return
    atoms = sorted({atom for row in rows if row.when is not None for atom in row.when.atoms})
    flags = [name for kind, name in atoms if kind == "flag"]
    others = [atom for atom in atoms if atom[0] != "flag"]
    flag_sets = list(dict.fromkeys(each.intersection(flags) for each in allowed)) if flags else [frozenset()]
    answers: list[tuple[object, ...]] = []
    for kind, name in others:
        values = schema.guards[name].values if kind == "guard" else tuple(schema.machines[name].states)
        answers.append(values or (False, True))
    combinations = len(flag_sets)
    for each in answers:
        combinations *= len(each)
        if combinations > MAX_ASSIGNMENTS:
            message = f"more than {MAX_ASSIGNMENTS} combinations are too many to prove the rows disjoint"
            yield Problem(rows[0].place, message, "use fewer guards in one state")
            return
    budget[0] -= len(allowed) * bool(flags) + (combinations - 1) * work
    if budget[0] < 0:
        yield too_large
        return
    for chosen in flag_sets:
        for combination in product(*answers):
            facts: dict[tuple[str, str], object] = {("flag", name): name in chosen for name in flags}
            facts |= dict(zip(others, combination, strict=True))
            holding = [row for row in rows if row.when is None or row.when.holds(facts)]
            taken.update(map(id, holding))
            if len(holding) > 1:
                first, second = holding[0], holding[1]
                message = (
                    f"in state {first.source!r} of {machine.name!r}, the row at {first.place} also applies to {what!r}"
                )
                yield Problem(second.place, message, "change the conditions so that only one of the two rows can apply")
                return
