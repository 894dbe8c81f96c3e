"""Constraints: what they mean, which flags they allow, and which of them refuse nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import SCHEMA

from hgproto.language import load
from hgproto.language.constraints import allowed_flags, constraint_problems, satisfies
from hgproto.language.model import Constraint, Schema
from hgproto.language.problems import Place

if TYPE_CHECKING:
    from collections.abc import Callable

OURS = load(SCHEMA / "framing-0002.yaml")
HERE = Place("here", 1, 1)

MEANINGS: dict[str, Callable[[set[str]], bool]] = {
    "exactly-one-of": lambda flags: len(flags & {"b", "c"}) == 1,
    "at-least-one-of": lambda flags: bool(flags & {"b", "c"}),
    "at-most-one-of": lambda flags: not {"b", "c"} <= flags,
    "all-of": lambda flags: {"b", "c"} <= flags,
    "none-of": lambda flags: not flags & {"b", "c"},
    "forbids": lambda flags: "a" not in flags or not flags & {"b", "c"},
    "requires": lambda flags: "a" not in flags or {"b", "c"} <= flags,
    "odd": lambda _: True,
    "even": lambda _: True,
}


@pytest.mark.parametrize("kind", MEANINGS)
@given(st.frozensets(st.sampled_from("abcd")))
def test_constraints_mean_what_they_say(kind: str, flags: frozenset[str]) -> None:
    subject = "a" if kind in ("forbids", "requires") else None
    assert satisfies(flags, Constraint(kind, subject, ("b", "c"), "x.y", HERE)) == MEANINGS[kind](set(flags))


@pytest.mark.parametrize(
    ("frame", "own_flags"),
    [
        # eos alone, or have-args, have-data, or both.
        ("command-name", [{"eos"}, {"have-args"}, {"have-args", "have-data"}, {"have-data"}]),
        ("command-data", [{"continuation"}, {"eos"}]),
        ("text-output", [set()]),
    ],
)
def test_the_flags_that_a_frame_may_have(frame: str, own_flags: list[set[str]]) -> None:
    allowed = allowed_flags(OURS.frames[frame], OURS)
    stream_flags = {"stream-begin", "stream-end", "encoded"}
    assert sorted({tuple(sorted(flags - stream_flags)) for flags in allowed}) == [tuple(sorted(f)) for f in own_flags]
    # Of the eight sets of stream flags two have stream-begin and encoded.
    assert len(allowed) == 6 * len(own_flags)


def one(kind: str, *names: str, subject: str | None = None) -> Constraint:
    return Constraint(kind, subject, names, "x.y", HERE)


@pytest.mark.parametrize(
    ("of_stream", "own", "idle"),
    [
        ([], [one("exactly-one-of", "eos", "continuation")] * 2, 1),
        ([], [one("exactly-one-of", "eos", "continuation"), one("at-least-one-of", "eos", "continuation")], 1),
        ([], [one("at-least-one-of", "eos", "continuation"), one("exactly-one-of", "eos", "continuation")], 0),
        ([one("none-of", "stream-end")], [one("none-of", "stream-end")], 1),
        ([one("none-of", "stream-end")], [one("at-most-one-of", "stream-end", "stream-begin")], 1),
        ([one("none-of", "stream-end")], [one("none-of", "stream-end", "eos")], 0),
        ([], [one("odd", "request_id"), one("odd", "request_id")], 1),
        ([], [one("odd", "request_id"), one("odd", "request_id", "length")], 0),
        ([], [one("odd", "flags"), one("all-of", "continuation")], 1),
        ([], [one("all-of", "continuation"), one("odd", "flags")], 1),
        ([], [one("forbids", "eos", subject="continuation"), one("at-most-one-of", "eos", "continuation")], 1),
        # What leaves no frame is said once.
        ([], [one("none-of", "eos"), one("all-of", "eos"), one("all-of", "continuation")], 0),
    ],
)
def test_a_constraint_refuses_what_earlier_ones_leave(
    of_stream: list[Constraint], own: list[Constraint], idle: int
) -> None:
    data = replace(OURS.frames["command-data"], constraints=tuple(own))
    schema: Schema = replace(OURS, frames={"command-data": data}, stream_constraints=tuple(of_stream))
    allowed = {"command-data": allowed_flags(data, schema)}
    messages = [problem.message for problem in constraint_problems(schema, allowed)]
    assert messages.count("the constraint has no effect") == idle
    assert len(messages) - idle == (not allowed["command-data"])
