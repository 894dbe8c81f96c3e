"""Events and actions: what rows lead to, and which part of a payload an event shows.

What people get wrong is in the list of breakages.
"""

from __future__ import annotations

from dataclasses import replace
from time import process_time
from typing import TYPE_CHECKING

import pytest
from support import ROOT, SCHEMA

from hgproto.language import SchemaError, check, load
from hgproto.language.events import PAYLOADS, event_problems, payloads_of, taken_by
from hgproto.language.model import Action, Event, EventField
from hgproto.language.problems import Place
from hgproto.language.resolve_machines import MAX_FIELDS

if TYPE_CHECKING:
    from pathlib import Path

OURS = load(SCHEMA / "framing-0002.yaml")
ALIEN = load(ROOT / "tests" / "data" / "alien.yaml")
HERE, ELSEWHERE = Place(OURS.files[0], 1, 1), Place("another", 1, 1)


def test_rows_are_known_by_their_action() -> None:
    taken = taken_by(OURS)
    assert taken["run-command"] == dict.fromkeys(["command-name", "command-argument", "command-data"], True)
    assert taken["request-lost"] == {"end-of-input": False}
    assert taken["again"] == dict.fromkeys(OURS.frames, True)
    assert taken.keys() == OURS.emits.keys()


def test_a_payload_is_that_of_the_frame_that_leads_to_the_event() -> None:
    taken = taken_by(OURS)
    shown = {
        (event.name, field.name): [
            (what, structure and structure.name) for what, structure in payloads_of(event, OURS, taken)
        ]
        for event in OURS.events.values()
        for field in event.fields
        if field.type in PAYLOADS
    }
    assert shown == {
        ("text-message", "atoms"): [("text-output", "text-output")],
        ("progress-update", "progress"): [("progress", "progress")],
    }
    assert [what for what, structure in payloads_of(OURS.events["peer-error"], OURS, taken) if structure is None] == [
        "error-response"
    ]


def test_an_event_that_extends_another_has_its_fields() -> None:
    start, run = OURS.events["start-command"], OURS.events["run-command"]
    assert (start.extends, start.inherited, start.own) == ("run-command", run.own, ())
    assert start.fields == run.fields
    assert {name for name, event in OURS.events.items() if event.sends} == {"send-frames", "no-op", "error"}


def test_an_included_file_may_have_events_for_others() -> None:
    for place, number in ((HERE, 1), (ELSEWHERE, 0)):
        lost = Event("lost", "both", None, False, "Lost.", (), (), place)
        assert len(check(replace(OURS, events={**OURS.events, "lost": lost}))) == number


def test_a_schema_without_machines_needs_no_events() -> None:
    assert not ALIEN.events and not ALIEN.emits
    assert list(event_problems(ALIEN)) == []


@pytest.mark.parametrize(("role", "number"), [("server", 0), ("client", 1), ("both", 1)])
def test_an_event_is_of_a_side_that_has_the_action(role: str, number: int) -> None:
    changed = replace(OURS.events["command-data"], role=role)  # type: ignore[arg-type]
    assert len(list(event_problems(replace(OURS, events={**OURS.events, "command-data": changed})))) == number


def test_the_fields_of_all_events_are_bounded(tmp_path: Path) -> None:
    text = (SCHEMA / "framing.yaml").read_text(encoding="utf-8")
    (tmp_path / "framing-0002.yaml").write_bytes((SCHEMA / "framing-0002.yaml").read_bytes())
    known = sum(len(event.fields) for event in OURS.events.values())
    for number in (MAX_FIELDS - known, MAX_FIELDS - known + 1):
        more = "".join(
            f"  e-{n}: {{role: both, doc: D., fields: [{{name: a, type: flag, doc: D.}}]}}\n" for n in range(number)
        )
        (tmp_path / "framing.yaml").write_text(text.replace("\nemits:\n", f"{more}\nemits:\n"), encoding="utf-8")
        if number + known <= MAX_FIELDS:
            assert check(load(tmp_path / "framing-0002.yaml")) == []
            continue
        with pytest.raises(SchemaError, match=rf"the events up to here have more than {MAX_FIELDS} fields; use fewer"):
            load(tmp_path / "framing-0002.yaml")


def test_many_actions_and_events_are_checked_in_time() -> None:
    fields = tuple(EventField(f"f-{n}", "payload", False, "D.", HERE) for n in range(16))
    events = {f"e-{n}": Event(f"e-{n}", "client", None, False, "D.", (), fields, HERE) for n in range(16)}
    actions = {**OURS.emits, "text": Action("text", tuple(events), "D.", HERE)}
    begun = process_time()
    assert list(event_problems(replace(OURS, events={**OURS.events, **events}, emits=actions))) == []
    assert process_time() - begun < 2
