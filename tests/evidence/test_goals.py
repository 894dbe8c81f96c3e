"""The goals of coverage: each once, in the order of their kinds, and at a place in a schema file that exists."""

from __future__ import annotations

import re
from itertools import groupby

import pytest
from support import SCHEMA

from hgproto.evidence.goals import KINDS, Edges, goals, row_name
from hgproto.revisions.framing_0002 import codec, machines
from hgproto.revisions.revision import default_revision

ALL = list(goals(default_revision()))


def test_each_goal_is_there_once_and_kinds_are_in_order() -> None:
    assert len({(goal.kind, goal.name) for goal in ALL}) == len(ALL)
    assert tuple(kind for kind, _ in groupby(ALL, lambda goal: goal.kind)) == KINDS
    assert {goal.name for goal in ALL if goal.kind == "types"} == set(codec.TYPE_NAMES.values())


def test_each_place_is_a_line_of_the_schema() -> None:
    lines = {file.name: len(file.read_text("utf-8").splitlines()) for file in SCHEMA.glob("*.yaml")}
    for goal in ALL:
        place = re.fullmatch(r"([\w.-]+\.yaml):(\d+)", goal.place)
        assert place
        assert 1 <= int(place[2]) <= lines[place[1]]


def test_transitions_have_the_names_of_their_rows() -> None:
    named = {
        row_name(machine, index, codec) for machine in machines.MACHINES.values() for index in range(len(machine.rows))
    }
    assert {goal.name for goal in ALL if goal.kind == "transitions"} < named


@pytest.mark.parametrize(
    ("path", "value", "edges"),
    [
        ("name_length", 0, []),
        ("value_length", 0, ["value_length least"]),
        ("value_length", 65535, ["value_length most"]),
        ("atoms[3].label_count", 255, ["atoms.label_count most"]),
        ("pos.value", -1, ["pos least"]),
        ("topic.value", b"", ["topic empty"]),
        ("total.value", (1 << 64) - 1, ["total most"]),
        ("total.value", 7, []),
    ],
)
def test_edges_of_values(path: str, value: object, edges: list[str]) -> None:
    assert list(Edges(codec).at(path, value, at_limit=False)) == edges
