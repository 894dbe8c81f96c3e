"""Frame types fit their roles. The messages about flags and about other frame types are in the list of breakages."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support import SCHEMA

from hgproto.language import load
from hgproto.language.roles import role_problems

if TYPE_CHECKING:
    from pathlib import Path

OURS = load(SCHEMA / "framing-0002.yaml")

FITTING = {
    "command": {"command-name", "error-response"},
    "argument": {"command-argument"},
    "data": {"command-data", "bytes-response"},
    "response": {"command-data", "bytes-response"},
    "error": {"error-response"},
    "text": {"text-output"},
    "progress": {"progress"},
    "settings": {"stream-settings"},
}
"""The frame types whose payload fits a role."""


@pytest.mark.parametrize("role", FITTING)
def test_a_payload_fits_the_role_of_its_frame_type(role: str) -> None:
    found = set()
    for name, frame in OURS.frames.items():
        without = {other: replace(one, role=None) for other, one in OURS.frames.items() if one.role == role}
        problems = role_problems(replace(OURS, frames={**OURS.frames, **without, name: replace(frame, role=role)}))
        message = f"the payload of {name!r} does not fit its role {role!r}"
        places = [problem.place for problem in problems if problem.message == message]
        if not places:
            found.add(name)
        assert {*places} <= {case.place for case in frame.payload}
    assert found == FITTING[role]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{name: value_length, type: u16,", "{name: value_length, type: u24,"),
        ("        at_most: value_length\n", ""),
        ("{name: atoms, type: text-atom,", "{name: pieces, type: text-atom,"),
        ("      - name: args\n", "      - name: arguments\n"),
        ("topic: {type: text,", "topic: {type: text, optional: true,"),
        ("pos: {type: int, minimum: -1,", "pos: {type: uint,"),
        ("total: {type: uint,", "whole: {type: uint,"),
        ("total: {type: uint,", "total: {type: int,"),
        ("total: {type: uint,", "total: {type: uint, optional: true,"),
        ("label: {type: text, optional: true,", "label: {type: text,"),
        ("item: {type: text, optional: true,", "item: {type: bytes, optional: true,"),
        (
            "      item: {type: text, optional: true,",
            "      unit: {type: text, doc: Of what.}\n      item: {type: text, optional: true,",
        ),
        ("      - name: format\n", "      - {name: color, type: u8, doc: A color.}\n      - name: format\n"),
        ("      - name: profile\n        type: ascii", "      - name: profile\n        type: utf8"),
        ("{name: settings, type: bytes,", "{name: level, type: bytes,"),
        ("{name: value, type: bytes, size: rest, doc", "{name: more, type: bytes, size: rest, doc"),
    ],
)
def test_a_part_that_a_role_needs_is_missed(old: str, new: str, tmp_path: Path) -> None:
    shutil.copy(SCHEMA / "framing.yaml", tmp_path)
    file, text = tmp_path / "framing-0002.yaml", (SCHEMA / "framing-0002.yaml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")
    assert " does not fit its role " in next(role_problems(load(file))).message


def test_a_progress_map_can_have_other_optional_keys(tmp_path: Path) -> None:
    shutil.copy(SCHEMA / "framing.yaml", tmp_path)
    file, text = tmp_path / "framing-0002.yaml", (SCHEMA / "framing-0002.yaml").read_text(encoding="utf-8")
    for name in ("label", "item"):
        assert text.count(f"      {name}: {{type: text,") == 1
        text = text.replace(f"      {name}: {{type: text,", f"      my_{name}: {{type: bytes,")
    file.write_text(text, encoding="utf-8")
    assert list(role_problems(load(file))) == []


def test_a_row_to_where_data_is_taken_needs_a_flag_that_announces_data() -> None:
    command = OURS.frames["command-name"]
    without = tuple(replace(flag, role=None) if flag.role == "data-follows" else flag for flag in command.flags)
    assert without != command.flags
    schema = replace(OURS, frames={**OURS.frames, "command-name": replace(command, flags=without)})
    machine = schema.machines["server-request"]
    rows = [
        row for row in machine.transitions if "command-name" in row.frames and row.to in ("receiving-data", "streaming")
    ]
    problems = list(role_problems(schema))
    assert [problem.place for problem in problems] == [row.place for row in rows]
    assert problems[0].message == (
        "'command-name' leads to 'receiving-data', which accepts 'command-data', but no flag announces data"
    )
    assert problems[0].help == "give the flag that announces data `role: data-follows`"
    # A schema may give up data: the guard is never true then.
    others = tuple(row for row in machine.transitions if row not in rows)
    given_up = {**OURS.machines, "server-request": replace(machine, transitions=others)}
    assert list(role_problems(replace(schema, machines=given_up))) == []


@pytest.mark.parametrize(
    ("check", "name", "role"), [("percent", "progress", "text"), ("topic-end", "text-output", "progress")]
)
def test_a_check_needs_the_role_that_it_looks_at(check: str, name: str, role: str) -> None:
    frame = OURS.frames[name]
    checks = {**frame.checks, check: "request-id.order"}
    (problem,) = role_problems(replace(OURS, frames={**OURS.frames, name: replace(frame, checks=checks)}))
    assert problem.message == f"the check {check!r} is only for the role {role!r}, which {name!r} does not have"
    assert problem.place == frame.place


@pytest.mark.parametrize(
    "change", [{"type": "ascii"}, {"rules": {"charset": "error-response.utf8", "empty": "error-response.utf8"}}]
)
def test_an_error_has_any_text(change: dict[str, Any]) -> None:
    frame = OURS.frames["error-response"]
    (case,) = frame.payload
    assert case.field is not None
    payload = (replace(case, field=replace(case.field, **change)),)
    problems = role_problems(replace(OURS, frames={**OURS.frames, frame.name: replace(frame, payload=payload)}))
    assert [problem.message for problem in problems] == [
        "the payload of 'error-response' does not fit its role 'error'"
    ]
