"""The rows of machines that hgproto's reactors cannot follow, although they have code for each action and guard."""

from __future__ import annotations

from inspect import get_annotations
from itertools import product
from typing import TYPE_CHECKING, Any

from hgproto.emit.outcomes import states_of
from hgproto.language.names import snake
from hgproto.language.problems import Problem
from hgproto.reactors.client import Client
from hgproto.reactors.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hgproto.language.model import Machine, Row, Schema
    from hgproto.reactors.reactor import Reactor

__all__ = ["reactors_of", "row_problems"]


def reactors_of(role: str) -> tuple[type[Reactor[Any]], ...]:
    """Returns the reactor classes that run the machines of a role."""
    return {"server": (Server,), "client": (Client,)}.get(role, (Server, Client))


def row_problems(schema: Schema) -> Iterator[Problem]:
    """Yields the faults of rows whose actions and guards are known."""
    for machine in schema.machines.values():
        for row in machine.transitions:
            yield from _of_other_frames(row, schema)
    yield from _of_connections(schema)
    yield from _of_requests(schema)


_ASKED_OF = {
    "capacity": {"command"},
    "argument": {"argument"},
    "data": {"data"},
    "last-of-request": {"argument", "data"},
    "settings": {"settings"},
}
"""The roles of the frames that a guard reads. Guards that read no frames, or all frames, are missing."""


def _of_other_frames(row: Row, schema: Schema) -> Iterator[Problem]:
    """Yields the problems of guards that cannot read the frames of their row."""
    for kind, guard in sorted(row.when.atoms) if row.when is not None and row.event is None else ():
        if kind != "guard" or guard not in _ASKED_OF:
            continue
        roles = _ASKED_OF[guard]
        # A schema without these roles has no reactors.
        has_roles = any(frame.role in roles for frame in schema.frames.values())
        for name in row.frames:
            if has_roles and schema.frames[name].role not in roles:
                message = f"the guard {guard!r} is not about frames of type {name!r}"
                yield Problem(row.place, message, f"ask it for frames with the role {' or '.join(sorted(roles))}")


def _of_connections(schema: Schema) -> Iterator[Problem]:
    """Yields the problems of rows of connections that reactors do not follow.

    Reactors accept frames until the first violation, and no frames after it.
    """
    has_reactors = any(frame.role == "command" for frame in schema.frames.values())
    for machine in schema.machines.values():
        if machine.scope != "connection" or not has_reactors:
            continue
        initial, accepted = machine.initial, set[str]()
        for row in machine.transitions:
            first = row.source == initial
            if row.when is not None or row.event not in (None, "violation"):
                message = "reactors look only at frames and violations for a connection, without a condition"
                yield Problem(row.place, message, "remove `when`, and use `frame` or `event: violation`")
            elif row.event is None and row.to != (initial if first else None):
                message = f"reactors accept all frames in state {initial!r} of {machine.name!r}, and no frame in another state"
                yield Problem(row.place, message, f"use `to: {initial}`" if first else "use `error`")
            elif row.event is None and not first and {*row.frames} != {*schema.frames}:
                message = f"reactors reject all frames in state {row.source!r} for one reason"
                yield Problem(row.place, message, "use `frame: any`, or remove the row")
            elif row.event is not None and row.to in (None, initial):
                message = f"no violation leads from state {row.source!r} to one in which frames are rejected"
                yield Problem(row.place, message, "use another `to`")
            if first:
                accepted |= {*row.frames, *([] if row.event is None else [row.event])}
        for name in sorted({*schema.frames, "violation"} - accepted):
            message = f"state {initial!r} of {machine.name!r} has no row for {name!r}, which reactors need"
            yield Problem(machine.place, message, "add a row")


def _of_requests(schema: Schema) -> Iterator[Problem]:
    """Yields the problems of rows for frames of requests that reactors cannot follow.

    A reactor stores nothing for a free request id, and a server drops the content of a request that it has received completely.
    """
    for machine in schema.machines.values():
        if machine.scope != "request":
            continue
        for reactor in reactors_of(machine.role):
            whole = _whole(machine, schema) if reactor is Server else frozenset()
            for row in machine.transitions:
                known = "None" if row.source == machine.initial else "Request" if row.source in whole else ""
                if row.event is None and known:
                    yield from _needing_more(row, known, reactor)
                if row.event is None and row.error is None:
                    yield from _continued(row, schema)
            if reactor is Server:
                yield from _of_commands(machine, whole, schema)


def _of_commands(machine: Machine, whole: frozenset[str], schema: Schema) -> Iterator[Problem]:
    """Yields the problems of rows that do not match the data that a server stores for a command.

    ``whole``: the states of complete requests.
    """
    of_arguments = {
        row.source for row in machine.transitions if row.to and row.when and ("guard", "argument") in row.when.atoms
    }
    for row in machine.transitions:
        if row.to is None:
            continue
        for name in row.frames:
            frame = schema.frames[name]
            if frame.role != "command" and row.source == machine.initial != row.to:
                message = f"{name!r} begins a request, and a server knows only requests that begin with a command"
                yield Problem(row.place, message, "use a frame type with `role: command`")
            if (
                frame.role != "argument"
                and frame.sender == "client"
                and row.source in of_arguments
                and _can_hold(row, ("guard", "value-open"), schema)
            ):
                message = f"{name!r} can arrive in the middle of an argument, which it would end"
                yield Problem(row.place, message, "add `{not: {guard: value-open}}` to `when`, and reject the others")
        if row.source in whole and row.to not in {*whole, machine.initial}:
            message = f"a request is whole in state {row.source!r}, and more of it can come in state {row.to!r}"
            yield Problem(row.place, message, "lead to a state in which nothing more of the request can come")


def _continued(row: Row, schema: Schema) -> Iterator[Problem]:
    """Yields the problems of a row that drops frames whose payload can continue another: the action decodes each by itself."""
    for name in row.frames if row.emit == "drop" else ():
        if schema.frames[name].continued_by is not None:
            message = f"'drop' decodes each payload by itself, and that of {name!r} can continue another"
            yield Problem(row.place, message, "leave out `emit`")


def _can_hold(row: Row, true: tuple[str, str], schema: Schema) -> bool:
    """True if the condition of a row can hold while an atom is true."""
    if row.when is None:
        return True
    atoms = sorted(row.when.atoms - {true})
    answers: list[tuple[object, ...]] = []
    for kind, name in atoms:
        values = schema.guards[name].values if kind == "guard" else ()
        answers.append(tuple(schema.machines[name].states) if kind == "state" else values or (False, True))
    return any(row.when.holds({true: True, **dict(zip(atoms, each, strict=True))}) for each in product(*answers))


def _needing_more(row: Row, known: str, reactor: type[Reactor[Any]]) -> Iterator[Problem]:
    """Yields the problems of actions and guards that need more data of a request than a reactor stores in that state."""
    used = [("emit", "_emit_", row.emit)] if row.emit is not None else []
    used += [("answer", "_ask_", name) for kind, name in (row.when.atoms if row.when else ()) if kind == "guard"]
    for verb, prefix, name in sorted(used):
        accepted = get_annotations(getattr(reactor, f"{prefix}{snake(name)}")).get("request", known)
        if known not in accepted.split(" | "):
            why = "is free" if known == "None" else "was received whole"
            message = f"a {reactor.role} cannot {verb} {name!r} in state {row.source!r}, in which a request {why}"
            yield Problem(row.place, message, "use it in another state")


def _whole(machine: Machine, schema: Schema) -> frozenset[str]:
    """Returns the states of requests that a server has received completely."""
    states = states_of(schema, "server")
    return frozenset() if states is None else frozenset([*machine.states][state] for state in states.whole)
