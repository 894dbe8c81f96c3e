"""The generated module with the roles of a revision's parts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hgproto.emit.roles import emit
from hgproto.language import check, load
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
    assert roles.REQUEST_PARITY == 1


def test_a_schema_without_roles_has_a_module_without_any() -> None:
    alien = Revision(str(ROOT / "tests" / "data" / "alien.yaml"))
    assert "FRAMES: dict[str, int] = {}" in emit(alien.schema)
    assert (alien.roles.FRAMES, alien.roles.STREAM_FLAGS, alien.roles.REQUEST_ORDER) == ({}, {}, None)
    assert alien.roles.REQUEST_PARITY is None


@pytest.mark.parametrize("part", ["frame type", "stream flag", "flag"])
def test_a_role_is_given_once(part: str) -> None:
    match part:
        case "frame type":
            frames = {**OURS.frames, "progress": replace(OURS.frames["progress"], role="text")}
            schema, message = replace(OURS, frames=frames), "'progress' has the same role as 'text-output'"
        case "stream flag":
            begin, *others = OURS.stream_flags
            flags = (begin, *(replace(flag, role="begin") for flag in others))
            schema, message = replace(OURS, stream_flags=flags), "'stream-end' has the same role as 'stream-begin'"
        case _:
            frame = OURS.frames["command-data"]
            twice = replace(frame, flags=tuple(replace(flag, role="last") for flag in frame.flags))
            schema = replace(OURS, frames={**OURS.frames, "command-data": twice})
            message = "'eos' has the same role as 'continuation'"
    assert message in [problem.message for problem in check(schema)]
