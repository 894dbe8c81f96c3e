"""What reactors cannot follow in the rows of machines is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support import SCHEMA

from hgproto.evidence.rows import row_problems
from hgproto.language import load
from hgproto.language.model import Condition

if TYPE_CHECKING:
    from hgproto.language.model import Machine, Schema
    from hgproto.language.problems import Problem

OURS = load(SCHEMA / "framing-0002.yaml")


def with_row(machine: Machine, index: int, **changes: Any) -> Schema:
    """Our schema with another row."""
    rows = list(machine.transitions)
    rows[index] = replace(rows[index], **changes)
    return replace(OURS, machines={**OURS.machines, machine.name: replace(machine, transitions=tuple(rows))})


def found(schema: Schema) -> list[Problem]:
    """The problems of rows, each once."""
    return sorted(set(row_problems(schema)))


def test_our_rows_can_be_followed() -> None:
    assert found(OURS) == []


SERVER = OURS.machines["server-request"]


def row_of(machine: Machine, source: str, frame: str, **parts: Any) -> int:
    """The index of the first row with these parts."""
    for index, row in enumerate(machine.transitions):
        if row.source == source and frame in row.frames and all(getattr(row, key) == parts[key] for key in parts):
            return index
    raise AssertionError(f"no row for {frame} in {source}")


@pytest.mark.parametrize(
    ("guard", "free", "whole"),
    [
        ("capacity", True, True),
        ("streaming", True, True),
        ("receiving-others", True, True),
        ("data-announced", False, False),
        ("value-open", False, False),
        ("any-argument", False, False),
        ("argument", False, False),
        ("data", False, False),
        ("last-of-request", False, False),
    ],
)
@pytest.mark.parametrize("state", ["none", "active", "responding", "receiving-arguments", "refusing"])
def test_a_guard_is_asked_only_where_its_answer_is_known(guard: str, free: bool, whole: bool, state: str) -> None:
    when = Condition("guard", guard, "good" if guard in ("argument", "data") else None)
    frames = ({"capacity": "command-name", "data": "command-data"}.get(guard, "command-argument"),)
    changes = {"frames": frames, "to": None, "error": "frame.size", "emit": None}
    problems = found(
        with_row(SERVER, row_of(SERVER, state, "command-name"), when=Condition("not", parts=(when,)), **changes)
    )
    why = "is free" if state == "none" else "was received whole"
    told = [f"a server cannot answer {guard!r} in state {state!r}, in which a request {why}"]
    is_known = {"none": free, "active": whole, "responding": whole}.get(state, True)
    assert [problem.message for problem in problems] == ([] if is_known else told)


@pytest.mark.parametrize("emit", ["response-data", "request-error", "text", "progress", "drop", "connection-error"])
def test_an_action_is_emitted_only_where_its_request_is_known(emit: str) -> None:
    machine = OURS.machines["client-request"]
    for state in ("none", "active"):
        index = row_of(machine, state, "error-response", emit="connection-error")
        problems = found(with_row(machine, index, emit=emit))
        told = f"a client cannot emit {emit!r} in state 'none', in which a request is free"
        is_known = state != "none" or emit not in ("response-data", "request-error")
        assert [problem.message for problem in problems] == ([] if is_known else [told])


def test_a_request_begins_with_a_command() -> None:
    index = row_of(SERVER, "none", "command-argument")
    problems = found(with_row(SERVER, index, error=None, to="refusing", emit="want-frame"))
    assert [problem.message for problem in problems] == [
        f"{name!r} begins a request, and a server knows only requests that begin with a command"
        for name in ("command-argument", "command-data")
    ]


def test_nothing_more_of_a_request_comes_once_it_is_whole() -> None:
    index = next(
        i for i, row in enumerate(SERVER.transitions) if (row.source, row.event) == ("active", "response-begun")
    )
    (problem,) = found(with_row(SERVER, index, to="refused"))
    assert problem.place == SERVER.transitions[index].place
    assert problem.message == ("a request is whole in state 'active', and more of it can come in state 'refused'")


CONNECTION = OURS.machines["connection"]
ACCEPTS = "reactors accept all frames in state 'working' of 'connection', and no frame in another state"


@pytest.mark.parametrize(
    ("source", "event", "changes", "told"),
    [
        ("errored", None, {"error": None, "to": "errored"}, ACCEPTS),
        ("errored", None, {"error": None, "to": "working"}, ACCEPTS),
        ("working", None, {"error": "reactor.errored", "to": None}, ACCEPTS),
        ("working", None, {"to": "errored"}, ACCEPTS),
        ("errored", None, {"frames": ("progress",)}, "reactors reject all frames in state 'errored' for one reason"),
        (
            "working",
            None,
            {"frames": ("progress",)},
            "state 'working' of 'connection' has no row for 'bytes-response', which reactors need",
        ),
        (
            "errored",
            None,
            {"when": Condition("flag", "stream-begin")},
            "reactors look only at frames and violations for a connection, without a condition",
        ),
        (
            "errored",
            "violation",
            {"event": "end-of-input"},
            "reactors look only at frames and violations for a connection, without a condition",
        ),
        (
            "working",
            "violation",
            {"to": "working"},
            "no violation leads from state 'working' to one in which frames are rejected",
        ),
        (
            "errored",
            "violation",
            {"to": "working"},
            "no violation leads from state 'errored' to one in which frames are rejected",
        ),
    ],
)
def test_reactors_end_a_connection_with_the_first_violation(
    source: str, event: str | None, changes: dict[str, Any], told: str
) -> None:
    index = next(i for i, row in enumerate(CONNECTION.transitions) if (row.source, row.event) == (source, event))
    problems = found(with_row(CONNECTION, index, **changes))
    assert told in [problem.message for problem in problems]
    assert {problem.place for problem in problems} <= {CONNECTION.transitions[index].place, CONNECTION.place}


def test_a_violation_ends_every_connection() -> None:
    rows = tuple(row for row in CONNECTION.transitions if (row.source, row.event) != ("working", "violation"))
    (problem,) = found(replace(OURS, machines={**OURS.machines, "connection": replace(CONNECTION, transitions=rows)}))
    assert problem.message == "state 'working' of 'connection' has no row for 'violation', which reactors need"


FRAMES = {**OURS.frames, "ping": replace(OURS.frames["command-data"], name="ping", code=9, role=None)}
VALUE_OPEN = Condition("guard", "value-open")
NOT_OPEN = Condition("not", parts=(VALUE_OPEN,))
ANY = Condition("guard", "any-argument")


@pytest.mark.parametrize(
    ("when", "sender", "is_good"),
    [
        (None, "client", False),
        (None, None, True),
        (VALUE_OPEN, "client", False),
        (NOT_OPEN, "client", True),
        (Condition("and", parts=(NOT_OPEN, ANY)), "client", True),
        (Condition("or", parts=(NOT_OPEN, ANY)), "client", False),
    ],
)
def test_no_other_frame_is_accepted_in_the_middle_of_an_argument(
    when: Condition | None, sender: Any, is_good: bool
) -> None:
    index = row_of(SERVER, "receiving-arguments", "command-data")
    changes = {"frames": ("ping",), "error": None, "to": "receiving-arguments", "emit": "want-frame", "when": when}
    frames = {**FRAMES, "ping": replace(FRAMES["ping"], sender=sender)}
    problems = found(replace(with_row(SERVER, index, **changes), frames=frames))
    told = "'ping' can arrive in the middle of an argument, which it would end"
    assert (
        told not in [problem.message for problem in problems]
        if is_good
        else [told] == [problem.message for problem in problems if problem.place == SERVER.transitions[index].place]
    )


def test_a_payload_that_continues_another_is_not_dropped() -> None:
    machine = OURS.machines["client-request"]
    (problem,) = found(with_row(machine, row_of(machine, "unfinished", "progress"), frames=("command-argument",)))
    assert (
        problem.message == "'drop' decodes each payload by itself, and that of 'command-argument' can continue another"
    )


@pytest.mark.parametrize(
    ("guard", "fits"),
    [
        ("capacity", {"command-name"}),
        ("argument", {"command-argument"}),
        ("data", {"command-data"}),
        ("last-of-request", {"command-argument", "command-data"}),
        ("streaming", {*OURS.frames}),
        ("settings", {"stream-settings"}),
        ("encoding", {*OURS.frames}),
    ],
)
def test_a_guard_is_asked_only_for_frames_that_it_looks_into(guard: str, fits: set[str]) -> None:
    machine = OURS.machines["stream"] if guard in ("settings", "encoding") else SERVER
    index = next(i for i, row in enumerate(machine.transitions) if row.error is not None and row.frames)
    when = Condition("guard", guard, "good" if OURS.guards[guard].values else None)
    for name in OURS.frames:
        source = "receiving-data" if machine is SERVER else "open"
        changes = {"source": source, "frames": (name,), "when": when}
        told = [problem.message for problem in found(with_row(machine, index, **changes))]
        assert told == ([] if name in fits else [f"the guard {guard!r} is not about frames of type {name!r}"])
