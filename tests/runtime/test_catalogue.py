"""The generated catalog: the schema's requirements, with the places that enforce them."""

from __future__ import annotations

import pytest
from support import SCHEMA

from hgproto.language import load
from hgproto.revisions.framing_0002.requirements import REQUIREMENTS

OURS = load(SCHEMA / "framing-0002.yaml")
SHARED = (
    "binds",
    "level",
    "text",
    "source",
    "section",
    "enforced",
    "why",
    "reason",
    "resolution",
    "reference",
    "sentence",
)


def test_it_is_that_of_the_schema() -> None:
    assert list(REQUIREMENTS) == list(OURS.requirements)
    for name, requirement in REQUIREMENTS.items():
        assert requirement.id == name
        for part in SHARED:
            assert getattr(requirement, part) == getattr(OURS.requirements[name], part)


def test_places_are_there_for_all_that_is_referred_to() -> None:
    assert {name for name, requirement in REQUIREMENTS.items() if requirement.places} == set(OURS.references)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("frame.length-limit", "header.length: limit"),
        ("stream-id.parity", "header.stream_id: parity"),
        ("stream.begin-plain", "stream flags: stream-begin forbids encoded"),
        ("command-name.eos-exclusive", "frames.command-name: eos forbids have-args, have-data"),
        ("command-name.ascii", "frames.command-name.payload: charset"),
        ("command-name.client-only", "frames.command-name: sender"),
        ("text-output.label-ascii", "structures.text-atom.labels: charset"),
        ("stream.begin-required", "machines.stream: any frame in closed"),
        ("stream.end", "machines.stream: end-of-input in open"),
        ("response.active-request", "machines.client-request: otherwise"),
    ],
)
def test_a_place(name: str, place: str) -> None:
    assert place in REQUIREMENTS[name].places


@pytest.mark.parametrize(
    ("name", "breakable"),
    [
        ("frame.length-limit", True),  # by its limit, though not by its overflow
        ("frame.field-range", False),  # by an overflow alone
        ("stream.begin-required", True),  # by a row about frames
        ("request.complete", True),  # by a row about the end of input
        ("response.once", False),  # by a row about what we do ourselves
        ("text-output.percent", True),  # by the validator
        ("error-response.closes", True),  # by the validator, which sees both sides
        ("request.limits", False),  # a permission
        ("request.dependent", False),  # by nothing that bytes show
    ],
)
def test_what_bytes_can_break(name: str, breakable: bool) -> None:
    assert REQUIREMENTS[name].breakable is breakable
