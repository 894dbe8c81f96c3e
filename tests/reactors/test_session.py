"""The golden sessions, and the tool that plays sessions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from marks import labelled
from support import GOLDEN, SCHEMA, options_of, skip_without_encodings

from hgproto.errors import HumanFormError, LocalProtocolError
from hgproto.language import load
from hgproto.reactors.limits import Limits
from hgproto.reactors.session import Session, event_text, event_to_json

REQUIREMENTS = load(SCHEMA / "framing-0002.yaml").requirements


def named(session: dict[str, Any]) -> str:
    return str(session["id"])


def played(session: dict[str, Any]) -> Session:
    """A session with the options of a golden one."""
    skip_without_encodings(session)
    return Session(**options_of(session))


@pytest.mark.parametrize("golden", labelled(GOLDEN), ids=named)
def test_bytes(golden: dict[str, Any]) -> None:
    session = played(golden)
    for step in golden["steps"]:
        side = step["line"][0]
        made = session.wire(side, bytes.fromhex(step["wire"])) if "wire" in step else session.end(side)
        assert [event_to_json(event) for event in made.events] == step["events"], step["line"]


@pytest.mark.parametrize("golden", labelled(GOLDEN), ids=named)
def test_lines(golden: dict[str, Any]) -> None:
    session = played(golden)
    for step in golden["steps"]:
        line = step["line"]
        made = session.play(f"{line[0]}!{line[1:]}" if step.get("raw") else line)
        assert [event_to_json(event) for event in made.events] == step["events"], line
        assert all(event_text(event) for event in made.events)
        if "encoded" not in line and made.wire is not None:
            assert made.wire.hex() == step["wire"]


@pytest.mark.parametrize("golden", GOLDEN, ids=named)
def test_the_requirements_are_those_of_the_events(golden: dict[str, Any]) -> None:
    named_in_events = [
        event["requirement"] for step in golden["steps"] for event in step["events"] if "requirement" in event
    ]
    # A protocol error by the peer is a rule that is kept, and not one that is broken.
    broken = dict.fromkeys(name for name in named_in_events if name != "error-response.closes")
    assert golden["requirements"] == list(broken)
    assert set(broken) <= set(REQUIREMENTS)


def test_ids_are_unique_and_files_byte_stable() -> None:
    assert len({named(session) for session in GOLDEN}) == len(GOLDEN) >= 40
    for file in (SCHEMA / "vectors" / "sessions").glob("*.json"):
        text = file.read_text()
        assert json.dumps(json.loads(text), indent=2) + "\n" == text


def test_every_rule_of_the_machines_that_bytes_can_break_has_a_session() -> None:
    broken = {name for session in GOLDEN for name in session["requirements"]}
    schema = load(SCHEMA / "framing-0002.yaml")
    errors = {row.error for machine in schema.machines.values() for row in machine.transitions if row.frames} - {None}
    assert errors <= broken


@pytest.mark.parametrize(
    ("line", "column", "expected"),
    [
        ("1 1 0 command-name eos x", 1, "> before a line of the client or < before one of the server, and a space"),
        (">1 1 0 command-name eos x", 1, "> before a line of the client or < before one of the server, and a space"),
        ("> 1 1 0 command-nam eos x", 9, "a frame type"),
        (">! 1 1 0 command-nam eos x", 10, "a frame type"),
        ("", 1, "> before a line of the client or < before one of the server, and a space"),
    ],
)
def test_a_line_that_is_none(line: str, column: int, expected: str) -> None:
    with pytest.raises(HumanFormError) as error:
        Session().play(line)
    assert error.value.column == column
    assert error.value.expected.startswith(expected)


@pytest.mark.requirement("frame.length-limit")
def test_a_frame_that_cannot_be_built() -> None:
    with pytest.raises(LocalProtocolError):
        Session().play(b"> 1 1 0 command-name eos " + b"x" * (1 << 24))


@pytest.mark.requirement("command-argument.missing")
def test_the_place_of_a_violation() -> None:
    session = Session()
    session.play("> 1 1 stream-begin command-name have-args x")
    step = session.play("> 1 1 0 command-data eos x")
    assert step.violation == (
        "command-argument.missing",
        "type: expected an argument, found command-data eos for request 1, which is receiving arguments at offset 16 "
        "(command-argument.missing)",
    )
    assert Session().play("> 1 1 stream-begin command-name eos x").violation is None


def test_a_line_costs_no_walk_over_all_requests() -> None:
    class Unwalked(dict[int, Any]):
        def __iter__(self) -> Any:
            raise AssertionError("all requests are looked at")

        items = values = keys = __iter__

    session = Session(limits=Limits(active_requests=3, receiving_requests=3))
    for reactor in (session.server, session.client):
        reactor._requests = reactor._intake.requests = Unwalked()
    # Over the limit, too.
    for request_id in range(1, 16, 2):
        begin = "stream-begin" if request_id == 1 else "0"
        assert session.play(
            f"> {request_id} 1 {begin} command-name {'have-args' if request_id % 3 else 'eos'} x"
        ).events
        assert session.play(f"< {request_id} 2 {begin} text-output 0").events
    assert len(session.client._requests) == 8


@pytest.mark.requirement("request.complete", "response.complete")
def test_ends_are_violations_where_something_is_missing() -> None:
    session = Session()
    session.play("> 1 1 stream-begin command-name have-args x")
    assert session.end(">").violation == (
        "request.complete",
        "expected the whole of request 1, found the end of input (request.complete)",
    )
    (requirement, message) = session.end("<").violation or ("", "")
    assert requirement == "response.complete"
    assert message == (
        "expected the whole response to request 1, found the end of input after 0 bytes (response.complete)"
    )
