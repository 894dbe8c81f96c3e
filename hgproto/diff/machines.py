"""Changes of the behavior of machines. Splitting, joining, and reordering rows is not a change.

For each state and each frame type or event, the comparison tries all combinations of values on which the differing rows
depend. It describes the cases with different outcomes in as few words as possible.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.diff.change import DOCUMENTATION, SEMANTIC, WIRE, Change, attributes, several, was
from hgproto.diff.parts import Flags

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from hgproto.diff.parts import Names
    from hgproto.language.model import Condition, Machine, Row, Schema
    from hgproto.language.problems import Place

__all__ = ["of_machines"]

MAX_CASES = 100_000
"""The largest number of cases tried for one state and frame type. Above it, the sentence does not describe the cases."""

MACHINE = {"role": WIRE, "scope": WIRE, "initial": WIRE, "otherwise": SEMANTIC, "doc": DOCUMENTATION}

Atom = tuple[str, str]
Point = tuple[object, ...]


def of_machines(old: Schema, new: Schema, names: Names) -> Iterator[Change]:
    """Yields the changes of guards and machines."""
    yield from several(SEMANTIC, "guards", lambda name: f"the guard {name}", old.guards, new.guards, names.guards)
    for name, now in names.guards.items():
        guard, other = old.guards[name], new.guards[now]
        path, subject = f"guards.{now}", f"the guard {now}"
        yield from attributes(path, subject, guard, other, {"doc": DOCUMENTATION})
        if set(guard.values) != set(other.values):
            texts = [", ".join(each.values) or "true, false" for each in (guard, other)]
            yield Change(WIRE, path, was("set of answers", subject, *texts), guard.place, other.place)
    yield from several(WIRE, "machines", lambda name: f"the machine {name}", old.machines, new.machines, names.machines)
    sides = _Side(old, names), _Side(new)
    for name, now in names.machines.items():
        yield from _of_machine(old.machines[name], new.machines[now], *sides, names)


def _of_machine(old: Machine, new: Machine, side: _Side, other: _Side, names: Names) -> Iterator[Change]:
    path, subject = f"machines.{new.name}", f"the machine {new.name}"
    states = names.states[old.name]
    renamed = {"initial": states, "otherwise": names.requirements}
    yield from attributes(path, subject, old, new, MACHINE, renamed)
    yield from several(
        WIRE, f"{path}.states", lambda name: f"the state {name} of {new.name}", _states(old), _states(new), states
    )
    for name, now in states.items():
        if old.states[name] != new.states[now]:
            sentence = f"The documentation of the state {now} of {new.name} is worded otherwise."
            places = old.state_places[name], new.state_places[now]
            yield Change(DOCUMENTATION, f"{path}.states.{now}", sentence, *places)
    differences = _differences(_Table(side, old), _Table(other, new), states, names.frames)
    yield from _merged(differences, path, old, new, names.emitted)


class _State(NamedTuple):
    place: Place


def _states(machine: Machine) -> dict[str, _State]:
    return {name: _State(machine.state_places[name]) for name in machine.states}


# The behavior of a machine, with all names as in the new schema.


class _Outcome(NamedTuple):
    """The outcome of a case: that of a row, or if no row applies, a rejection with the machine's ``otherwise``."""

    error: str | None
    to: str | None
    emit: str | None
    requirement: str | None
    expected: str | None
    doc: str | None

    @property
    def said(self) -> str:
        """The outcome in words."""
        if self.error is not None:
            return f"rejected with {self.error}"
        return f"accepted, leading to the state {self.to}" + (f" with the action {self.emit}" if self.emit else "")


class _Rule(NamedTuple):
    """A row for one state, and for one frame type or event."""

    when: Condition | None
    outcome: _Outcome
    place: Place


class _Side:
    """One of the two schemas. ``names``: the new names of its parts; None for the new schema."""

    def __init__(self, schema: Schema, names: Names | None = None) -> None:
        self.schema = schema
        self._guards = {} if names is None else names.guards
        self._machines = {} if names is None else names.machines
        self._requirements = {} if names is None else names.requirements
        self._states = {} if names is None else names.states
        self._actions = {} if names is None else names.actions
        renamed = {} if names is None else names.flags
        self.flags = {name: Flags(frame, schema, renamed.get(name, {})) for name, frame in schema.frames.items()}
        self.answers: dict[Atom, tuple[object, ...]] = {}
        """The possible answers of each guard, and the states of each machine."""
        for guard in schema.guards.values():
            self.answers["guard", self._guards.get(guard.name, guard.name)] = guard.values or (False, True)
        for machine in schema.machines.values():
            states = self._states.get(machine.name, {})
            name = self._machines.get(machine.name, machine.name)
            self.answers["state", name] = tuple(states.get(state, state) for state in machine.states)

    def rule(self, machine: Machine, row: Row, flags: Mapping[str, str]) -> _Rule:
        """Returns a row for a frame type with ``flags``, or for an event."""
        states = self._states.get(machine.name, {})
        outcome = _Outcome(
            error=row.error and self._requirements.get(row.error, row.error),
            to=row.to and states.get(row.to, row.to),
            emit=row.emit and self._actions.get(row.emit, row.emit),
            requirement=row.requirement and self._requirements.get(row.requirement, row.requirement),
            expected=row.expected,
            doc=row.doc,
        )
        return _Rule(row.when and self._condition(row.when, flags), outcome, row.place)

    def otherwise(self, machine: Machine) -> _Rule:
        """Returns the rule for cases without a row."""
        error = self._requirements.get(machine.otherwise, machine.otherwise)
        return _Rule(None, _Outcome(error, None, None, None, None, None), machine.place)

    def _condition(self, condition: Condition, flags: Mapping[str, str]) -> Condition:
        """Returns a condition with the names of the new schema. ``flags``: the keys of flags, as in :class:`Flags`."""
        match condition.kind:
            case "flag":
                return replace(condition, name=flags[condition.name])
            case "guard":
                return replace(condition, name=self._guards.get(condition.name, condition.name))
            case "state":
                states = self._states.get(condition.name, {})
                value = states.get(str(condition.value), condition.value)
                return replace(condition, name=self._machines.get(condition.name, condition.name), value=value)
            case _:
                return replace(condition, parts=tuple(self._condition(part, flags) for part in condition.parts))


# Differences of two machines.


class _Difference(NamedTuple):
    """Different outcomes in some cases of a state and a frame type or event.

    ``old`` or ``new`` is None if that schema has no such case. Both are None if there are too many cases to compare.
    """

    what: str
    state: str
    cases: str
    old: _Rule | None
    new: _Rule | None


class _Table:
    """The rows of a machine, by state and frame type or event."""

    def __init__(self, side: _Side, machine: Machine) -> None:
        self.side = side
        self.machine = machine
        self.otherwise = side.otherwise(machine)
        self.rows: dict[tuple[str, bool, str], list[Row]] = {}
        for row in machine.transitions:
            for name in dict.fromkeys(row.frames) if row.event is None else (row.event,):
                self.rows.setdefault((row.source, row.event is None, name), []).append(row)


def _differences(
    old: _Table, new: _Table, states: Mapping[str, str], frames: Mapping[str, str]
) -> Iterator[_Difference]:
    """Yields all differences, by state. ``states``, ``frames``: the new names of states and frame types."""
    events = {row.event: None for table in (old, new) for row in table.machine.transitions if row.event is not None}
    inputs = [(event, event, False) for event in events] + [(name, now, True) for name, now in frames.items()]
    for name, state in states.items():
        for what, other, is_frame in inputs:
            cells = _Cell(old, name, what, is_frame), _Cell(new, state, other, is_frame)
            for cases, before, now in _compared(*cells):
                yield _Difference(other if is_frame else f"the event {other}", state, cases, before, now)


class _Cell:
    """The rules of a schema for a state and a frame type or event."""

    def __init__(self, table: _Table, state: str, what: str, is_frame: bool) -> None:
        self.side = table.side
        flags = self.side.flags[what] if is_frame else None
        keys = {} if flags is None else flags.keys
        rows = table.rows.get((state, is_frame, what), ())
        self.rules = [self.side.rule(table.machine, row, keys) for row in rows]
        self.otherwise = table.otherwise
        self.flags = {key: name for name, key in keys.items()}
        self._sets = frozenset([frozenset[str]()]) if flags is None else flags.sets

    def flag_sets(self, looked_at: Collection[str]) -> frozenset[frozenset[str]]:
        """Returns the possible sets of these flags."""
        return frozenset(flags.intersection(looked_at) for flags in self._sets)


def _compared(old: _Cell, new: _Cell) -> Iterator[tuple[str, _Rule | None, _Rule | None]]:
    """Yields the differences of two cells: the cases in words, and the old and new rule, as in a :class:`_Difference`.

    Ignores rows that are in both cells. This is correct because the rows of a cell are disjoint.
    """
    cells = old, new
    known = [{(rule.when, rule.outcome) for rule in cell.rules} for cell in cells]
    rules = [
        [rule for rule in cell.rules if (rule.when, rule.outcome) not in others]
        for cell, others in zip(cells, reversed(known), strict=True)
    ]
    if not any(rules):
        return
    looked_at = sorted({atom for part in rules for rule in part if rule.when for atom in rule.when.atoms})
    flags = [name for kind, name in looked_at if kind == "flag"]
    others = [atom for atom in looked_at if atom[0] != "flag"]
    atoms = [*(("flag", name) for name in flags), *others]
    flag_sets = [cell.flag_sets(flags) for cell in cells]
    answers = [[cell.side.answers.get(atom) for atom in others] for cell in cells]
    domains = [dict.fromkeys((*(one or ()), *(more or ()))) for one, more in zip(*answers, strict=True)]
    every_flag_set = sorted(flag_sets[0] | flag_sets[1], key=sorted)
    if len(every_flag_set) * prod(map(len, domains)) > MAX_CASES:
        yield "", None, None
        return
    there: list[dict[Point, _Rule | None]] = [{}, {}]
    for chosen in every_flag_set:
        for combination in product(*domains):
            point = (*(name in chosen for name in flags), *combination)
            facts = dict(zip(atoms, point, strict=True))
            for side in (0, 1):
                possible = (
                    known is None or answer in known for known, answer in zip(answers[side], combination, strict=True)
                )
                if chosen in flag_sets[side] and all(possible):
                    holding = (rule for rule in rules[side] if rule.when is None or rule.when.holds(facts))
                    there[side][point] = next(holding, None)
    words = {**old.flags, **new.flags}
    for before, now, points, universe in _grouped(there, cells):
        yield _cases(points, universe, atoms, words), before, now


def _grouped(
    there: Sequence[Mapping[Point, _Rule | None]], cells: tuple[_Cell, _Cell]
) -> Iterator[tuple[_Rule | None, _Rule | None, set[Point], set[Point]]]:
    """Yields the old and the new rule, the points with these rules, and all points of the comparison."""
    both = there[0].keys() & there[1].keys()
    groups: dict[tuple[_Outcome, _Outcome], tuple[_Rule, _Rule, set[Point]]] = {}
    for point in sorted(both, key=repr):
        before, now = there[0][point] or cells[0].otherwise, there[1][point] or cells[1].otherwise
        # If no differing row applies on either side, the outcome is the same, or `otherwise` changed, which is reported once.
        if before.outcome != now.outcome and (there[0][point] or there[1][point]):
            groups.setdefault((before.outcome, now.outcome), (before, now, set()))[2].add(point)
    for before, now, points in groups.values():
        yield before, now, points, set(both)
    for side in (0, 1):
        applied = {there[side][point] for point in both}
        only: dict[_Rule, set[Point]] = {}
        for point in sorted(there[side].keys() - both, key=repr):
            rule = there[side][point]
            if rule is not None and rule not in applied:
                only.setdefault(rule, set()).add(point)
        for holding, points in only.items():
            yield (holding, None, points, set(there[0])) if side == 0 else (None, holding, points, set(there[1]))


# Cases in words.

Box = dict[int, frozenset[object]]
"""A set of points: for some atoms, by index, the values that they can have."""


def _cases(points: set[Point], universe: set[Point], atoms: Sequence[Atom], words: Mapping[str, str]) -> str:
    """Returns a description of points among all points, in as few words as possible."""
    texts = []
    for box in _boxes(points, universe):
        literals = [_literal(atoms[index], answers, words) for index, answers in sorted(box.items())]
        texts.append(" and ".join(sorted(literals, key=lambda literal: literal.startswith("not "))))
    return "" if texts == [""] else f" when {', or when '.join(texts)},"


def _boxes(points: set[Point], universe: set[Point]) -> list[Box]:
    """Returns boxes that cover exactly the points among all points."""
    box: Box = {index: frozenset(answers) for index, answers in enumerate(zip(*points, strict=True))}
    if _covered(box, universe) == points:
        # Try to omit negated atoms first.
        for index in sorted(box, key=lambda index: (True in box[index], index)):
            smaller = {other: answers for other, answers in box.items() if other != index}
            if _covered(smaller, universe) == points:
                box = smaller
        return [box]
    splits = [
        [{point for point in points if point[index] == answer} for answer in sorted(answers, key=repr)]
        for index, answers in box.items()
        if len(answers) > 1
    ]
    # Choose the split with the fewest parts that need another split.
    split = min(splits, key=lambda parts: sum(not _is_box(part, universe) for part in parts))
    return [box for part in split for box in _boxes(part, universe)]


def _is_box(points: set[Point], universe: set[Point]) -> bool:
    return _covered(dict(enumerate(map(frozenset, zip(*points, strict=True)))), universe) == points


def _covered(box: Box, universe: set[Point]) -> set[Point]:
    return {point for point in universe if all(point[index] in answers for index, answers in box.items())}


def _literal(atom: Atom, answers: frozenset[object], words: Mapping[str, str]) -> str:
    kind, name = atom
    word = words[name] if kind == "flag" else name
    if answers <= {True, False}:
        return word if True in answers else f"not {word}"
    return f"{word} is {' or '.join(sorted(map(str, answers)))}"


# Sentences for differences.


def _merged(
    differences: Iterator[_Difference], path: str, old: Machine, new: Machine, emitted: Collection[str | None]
) -> Iterator[Change]:
    """Yields differences as changes. The same difference for several frame types, and for several states, is one change.

    ``emitted``: the actions that both schemas have.
    """
    by_state: dict[Any, list[_Difference]] = {}
    for difference in differences:
        outcomes = tuple(rule and rule.outcome for rule in (difference.old, difference.new))
        by_state.setdefault((difference.state, difference.cases, outcomes), []).append(difference)
    merged: dict[Any, list[_Difference]] = {}
    for (_, cases, outcomes), group in by_state.items():
        whats = tuple(difference.what for difference in group)
        merged.setdefault((whats, cases, outcomes), []).append(group[0])
    for (whats, cases, _), group in merged.items():
        states = [difference.state for difference in group]
        where = f"In the state{'s' * (len(states) > 1)} {_listed(states)} of {new.name}"
        rules = group[0].old, group[0].new
        kind, told = _told(*rules, emitted, *(("were", "are") if len(whats) > 1 else ("was", "is")))
        places = [rule and rule.place for rule in rules] if any(rules) else [old.place, new.place]
        yield Change(kind, f"{path}.transitions", f"{where}, {_listed(whats)}{cases} {told}", *places)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _told(
    old: _Rule | None, new: _Rule | None, emitted: Collection[str | None], past: str, present: str
) -> tuple[str, str]:
    """Returns the kind of a difference, and its sentence after the subject. ``past``, ``present``: the forms of "to be"."""
    if old is None and new is None:
        return WIRE, "may have another outcome; there are too many cases to compare."
    if old is None or new is None:
        return WIRE, f"{present} now possible, and {new.outcome.said}." if new else f"{present} no longer possible."
    before, now = old.outcome, new.outcome
    if before.said != now.said:
        # An action that the other schema does not have may be a renamed one.
        other_action = before.emit != now.emit and (before.emit in emitted or now.emit in emitted)
        is_wire = other_action or (before.error is None, before.to) != (now.error is None, now.to)
        return WIRE if is_wire else SEMANTIC, f"{past} {before.said}, and {present} now {now.said}."
    if before.requirement != now.requirement:
        requirements = [requirement or "not set" for requirement in (before.requirement, now.requirement)]
        return SEMANTIC, f"{present} still {now.said}; the requirement was {requirements[0]} and is {requirements[1]}."
    return DOCUMENTATION, f"{present} still {now.said}; the documentation was reworded."
