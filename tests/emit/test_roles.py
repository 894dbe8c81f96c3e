"""The generated module with the roles of a revision's parts."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hgproto.emit.roles import emit
from hgproto.language import check, load
from hgproto.language.roles import role_problems
from hgproto.revisions.framing_0002 import roles
from hgproto.revisions.revision import Revision

ROOT = Path(__file__).resolve().parents[2]
OURS = load(ROOT / "schema" / "framing-0002.yaml")


def test_the_roles_of_a_schema_are_in_the_module() -> None:
    by_role = {frame.role: frame.code for frame in OURS.frames.values() if frame.role is not None}
    assert by_role == roles.FRAMES
    assert {flag.role: flag.mask for flag in OURS.stream_flags if flag.role is not None} == roles.STREAM_FLAGS
    assert roles.FLAGS[1] == {"last": 1, "data-follows": 4}
    assert roles.PROFILES["zstd-8mb"] == ("zstd", 1 << 23)
    assert roles.REQUEST_ORDER == "request-id.order"


def test_a_schema_without_roles_has_a_module_without_any() -> None:
    alien = Revision(str(ROOT / "tests" / "data" / "alien.yaml"))
    assert "FRAMES: dict[str, int] = {}" in emit(alien.schema)
    assert (alien.roles.FRAMES, alien.roles.STREAM_FLAGS, alien.roles.REQUEST_ORDER) == ({}, {}, None)


@pytest.mark.parametrize("part", ["frame type", "stream flag", "flag"])
def test_a_role_is_given_once(part: str) -> None:
    match part:
        case "frame type":
            frames = {**OURS.frames, "progress": replace(OURS.frames["progress"], role="text")}
            schema, message = replace(OURS, frames=frames), "'progress' has the role of 'text-output'"
        case "stream flag":
            begin, *others = OURS.stream_flags
            flags = (begin, *(replace(flag, role="begin") for flag in others))
            schema, message = replace(OURS, stream_flags=flags), "'stream-end' has the role of 'stream-begin'"
        case _:
            frame = OURS.frames["command-data"]
            twice = replace(frame, flags=tuple(replace(flag, role="last") for flag in frame.flags))
            schema = replace(OURS, frames={**OURS.frames, "command-data": twice})
            message = "'eos' has the role of 'continuation'"
    assert message in [problem.message for problem in check(schema)]


FITTING = {
    "command": {"command-name", "error-response"},
    "argument": {"command-argument"},
    "data": {"command-data", "bytes-response"},
    "response": {"command-data", "bytes-response"},
    "error": {"command-name", "error-response"},
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
        ("      - name: profile\n        type: ascii", "      - name: profile\n        type: utf8"),
        ("{name: settings, type: bytes,", "{name: level, type: bytes,"),
        ("{name: value, type: bytes, size: rest, doc", "{name: more, type: bytes, size: rest, doc"),
    ],
)
def test_a_part_that_a_role_needs_is_missed(old: str, new: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "schema" / "framing.yaml", tmp_path)
    file, text = tmp_path / "framing-0002.yaml", (ROOT / "schema" / "framing-0002.yaml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")
    assert " does not fit its role " in next(role_problems(load(file))).message
