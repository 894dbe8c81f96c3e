"""Tables of machines and registries: conditions in words, and outcomes with their requirements."""

from __future__ import annotations

import pytest
from support import ROOT, SCHEMA

from hgproto.language import load
from hgproto.language.model import Condition
from hgproto.language.show_machines import condition_text, machine_tables, registries

OURS = load(SCHEMA / "framing-0002.yaml")
EOS, ROOM, GOOD = Condition("flag", "eos"), Condition("guard", "capacity"), Condition("guard", "settings", "good")


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (EOS, "eos"),
        (GOOD, "settings is good"),
        (Condition("not", parts=(EOS,)), "not eos"),
        (Condition("and", parts=(EOS, Condition("not", parts=(ROOM,)))), "eos and not capacity"),
        (Condition("and", parts=(EOS, Condition("or", parts=(ROOM, GOOD)))), "eos and (capacity or settings is good)"),
        (Condition("not", parts=(Condition("or", parts=(EOS, ROOM)),)), "not (eos or capacity)"),
    ],
)
def test_conditions_are_told_in_words(condition: Condition, text: str) -> None:
    assert condition_text(condition) == text


def test_a_machine_has_its_states_and_transitions() -> None:
    heading, states, transitions, otherwise = machine_tables(OURS.machines["stream"], OURS)
    assert heading == "stream (of both sides, one per stream): One stream in one direction, as its receiver sees it."
    assert otherwise == "An input without a transition violates reactor.errored."
    assert [row[0] for row in states[1]] == ["closed", "open", "configured"]
    rows = [tuple(row) for row in transitions[1]]
    assert ("open", "end-of-input", "to closed, action note (stream.end)") in rows
    begin = "If not stream-begin: error stream.begin-required: expected stream-begin on a stream that is closed"
    assert ("closed", "any frame", begin) in rows
    assert ("closed", "any frame except stream-settings", "If stream-begin and stream-end: to closed") in rows


def test_registries_without_content_are_left_out() -> None:
    assert [name for name, _, _ in registries(OURS)] == ["flags", "limits", "profiles", "guards"]
    assert [name for name, _, _ in registries(load(ROOT / "tests/data/alien.yaml"))] == ["flags", "limits"]
