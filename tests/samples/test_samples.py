"""Samples: sessions keep every rule and have all that sessions have, violators break theirs, and a seed says all."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgproto.judging.validation import SessionValidator, Validator, validate
from hgproto.reactors.limits import Limits
from hgproto.revisions.framing_0002 import codec
from hgproto.revisions.framing_0002.requirements import REQUIREMENTS
from hgproto.samples import (
    VIOLATORS,
    Line,
    Seeded,
    at_limits,
    breakable,
    broken_frame,
    broken_session,
    senders,
    session,
    violate,
    wires,
)
from hgproto.strategies import Drawn
from hgproto.streams.encodings import Encodings, default_encodings
from hgproto.wire.human import format_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hgproto.judging.finding import Finding, Role

SEEDS = int(os.environ.get("HGPROTO_SAMPLE_SEEDS", "40"))
"""Sessions that each violator is tried on; CI has time for the default."""
HAS_ZSTD = "zstd-8mb" in default_encodings()


def judged(lines: Iterable[Line], **options: Any) -> list[Finding]:
    """What is wrong with a session."""
    validator = SessionValidator(**options)
    findings: list[Finding] = []
    for side, data in wires(lines, **options):
        findings += validator.close(side) if data is None else validator.feed(side, data)
    return [*findings, *validator.close()]


def shown(lines: Sequence[Line]) -> list[str]:
    """A session to read."""
    return [
        f"{line.side} {'end' if line.frame is None else format_frame(line.frame)}"
        f"{' as on the wire' * line.raw}{'' if line.data is None else ' ' + line.data.hex()}"
        for line in lines
    ]


# Choices.


def test_a_seed_gives_the_same_choices_everywhere() -> None:
    choices = Seeded(2026)
    assert [choices.below(1000) for _ in range(6)] == [119, 502, 511, 860, 102, 223]
    assert {choices.below(3) for _ in range(100)} == {0, 1, 2}
    assert {choices.among(-1, 1) for _ in range(100)} == {-1, 0, 1}
    assert {choices.one_in(2) for _ in range(100)} == {False, True}
    assert {len(choices.any_bytes(1, 3)) for _ in range(100)} == {1, 2, 3}
    assert choices.below(1) == 0


def test_a_seed_gives_the_same_session_everywhere() -> None:
    encodings = Encodings([default_encodings()["identity"], default_encodings()["zlib"]])
    digest = hashlib.sha256()
    for seed in range(100):
        choices = Seeded(seed)
        lines = session(choices, encodings=encodings)
        digest.update("\n".join(shown(lines)).encode())
        # What compressors make differs from version to version.
        requirement = choices.pick([name for name in sorted(VIOLATORS) if not name.startswith("encoding.")])
        digest.update("\n".join(shown(violate(requirement, lines, choices, encodings=encodings) or [])).encode())
    # Samples have changed when this is another, which is no fault, and worth a line of news.
    assert digest.hexdigest() == "0e6dc9c57c6ff3957513ba3d59b4f8a8a24c7702ce9d0a205021ed29626db0d8"


# Sessions.


def test_sessions_keep_every_rule() -> None:
    for seed in range(10 * SEEDS):
        lines = session(Seeded(seed))
        assert judged(lines) == [], (seed, shown(lines))


@given(st.data())
def test_whatever_is_chosen_sessions_keep_every_rule(data: st.DataObject) -> None:
    lines = session(Drawn(data.draw))
    assert judged(lines) == [], shown(lines)


def test_sessions_have_all_that_sessions_have() -> None:
    lines = [line for seed in range(300) for line in session(Seeded(seed))]
    frames = [line.frame for line in lines if line.frame is not None]
    assert {int(frame.type) for frame in frames} == set(codec.TYPE_NAMES)
    flags = {(int(frame.type), 1 << bit) for frame in frames for bit in range(4) if frame.flags >> bit & 1}
    known = {(code, mask) for code, names in codec.FLAG_NAMES.items() for mask in names}
    # A protocol error ends a connection, which only a fault gives reason to.
    assert known - flags == {(codec.FrameType.ERROR_RESPONSE, codec.ErrorResponseFlag.PROTOCOL)}
    assert {int(frame.stream_flags) for frame in frames} == {0, 1, 2, 3, 4, 6}
    settings = {bytes(frame.payload[1:]) for frame in frames if frame.type == codec.FrameType.STREAM_SETTINGS}
    assert settings == {name.encode() for name in default_encodings()}
    assert sum(frame is None for frame in frames) == 0
    assert min(len(session(Seeded(seed))) for seed in range(20)) == 0


def test_only_the_encodings_that_are_given_are_named() -> None:
    frames = [line.frame for seed in range(50) for line in session(Seeded(seed), encodings=Encodings([]))]
    assert not [frame for frame in frames if frame is not None and frame.type == codec.FrameType.STREAM_SETTINGS]


# Violators.


def test_every_requirement_that_bytes_can_break_has_a_violator() -> None:
    assert set(VIOLATORS) == {name for name, requirement in REQUIREMENTS.items() if requirement.breakable}


ROLES = [
    pytest.param(name, role, marks=pytest.mark.requirement(name), id=f"{name} {role}")
    for name in VIOLATORS
    for role in senders(name)
]


@pytest.mark.parametrize(("name", "role"), ROLES)
def test_a_violator_breaks_its_requirement_and_no_other_in_any_session(name: str, role: Role) -> None:
    if name == "encoding.window" and not HAS_ZSTD:
        pytest.skip("Zstandard is not installed")
    for seed in range(SEEDS):
        choices = Seeded(seed)
        valid = session(choices)
        before = list(valid)
        lines = violate(name, valid, choices, role=role)
        assert valid == before
        assert lines is not None
        assert {(finding.id, finding.side) for finding in judged(lines)} == {(name, role)}, (seed, shown(lines))


@given(st.data(), st.sampled_from([name for name in sorted(VIOLATORS) if name != "encoding.window" or HAS_ZSTD]))
def test_whatever_is_chosen_a_violator_breaks_its_requirement(data: st.DataObject, name: str) -> None:
    choices = Drawn(data.draw)
    lines = violate(name, session(choices), choices)
    assert lines is not None
    assert {finding.id for finding in judged(lines)} == {name}, shown(lines)


@pytest.mark.parametrize("name", [name for name in VIOLATORS if name != "encoding.window" or HAS_ZSTD])
def test_what_a_session_lacks_is_added(name: str) -> None:
    for seed in range(4):
        lines = violate(name, [], Seeded(seed))
        assert lines is not None
        assert {finding.id for finding in judged(lines)} == {name}, (seed, shown(lines))


def test_what_a_session_lacks_is_added_before_it_ends() -> None:
    ends = [Line("client", None), Line("server", None)]
    lines = violate("command-data.flags-present", ends, Seeded(0))
    assert lines is not None
    assert lines[-2:] == ends
    assert {finding.id for finding in judged(lines)} == {"command-data.flags-present"}


def test_a_rule_may_need_a_content_encoding() -> None:
    none = Encodings([])
    impossible = {name for name in VIOLATORS if violate(name, [], Seeded(0), encodings=none) is None}
    assert impossible == {
        "frame.items-limit",
        "stream.open-limit",
        *(name for name in VIOLATORS if name.startswith("encoding.")),
        *(name for name in VIOLATORS if name.startswith("stream-settings.")),
    }
    with pytest.raises(ValueError, match=r"no session with these encodings violates encoding.window; available: none"):
        broken_session("encoding.window", Seeded(0), encodings=none)


def test_streams_over_the_limit_name_an_encoding_that_there_is() -> None:
    only = Encodings([default_encodings()["zlib"]])
    lines = broken_session("stream.open-limit", Seeded(0), encodings=only)
    assert {finding.id for finding in judged(lines, encodings=only)} == {"stream.open-limit"}


@pytest.mark.parametrize("role", ["client", "server"])
def test_the_rules_that_a_side_can_break_are_listed(role: Role) -> None:
    names = breakable(role)
    assert set(names) == {name for name in VIOLATORS if role in senders(name)} - (
        {"encoding.window"} - {HAS_ZSTD and "encoding.window"}
    )
    rejected = breakable(role, rejected=True)
    assert set(rejected) < set(names)
    assert [name for name in names if name not in rejected] == {
        "client": ["request-id.order", "stream.end", "error-response.closes"],
        "server": [
            "stream.end",
            "text-output.placeholders",
            "text-output.percent",
            "text-output.newline",
            "progress.topic-ascii",
            "progress.topic-end",
        ],
    }[role]
    for name in set(VIOLATORS) - set(names):
        with pytest.raises(ValueError, match=rf"no bytes of a {role} violate {name}: it binds the \w+; use that role"):
            broken_session(name, Seeded(0), role=role)


@pytest.mark.parametrize("call", [breakable, lambda role: broken_session("frame.whole", Seeded(0), role=role)])
def test_a_role_is_one_of_two(call: Any) -> None:
    with pytest.raises(ValueError, match="a role is client or server, not 'both'"):
        call("both")


@pytest.mark.parametrize("role", ["client", "server"])
def test_a_frame_is_broken_by_a_side(role: Role) -> None:
    for seed in range(20):
        data = broken_frame("stream-settings.name-ascii", "stream-settings", Seeded(seed), role=role)
        assert data[5] % 2 == (role == "client")
        assert {(one.id, one.side) for one in validate(data, role=role, depth="frames")} == {
            ("stream-settings.name-ascii", role)
        }
    with pytest.raises(ValueError, match=r"no bytes of a server violate command-name\.ascii"):
        broken_frame("command-name.ascii", "command-name", Seeded(0), role="server")


@pytest.mark.parametrize("name", ["text-output.percent", "text-output.placeholders"])
@pytest.mark.parametrize("seed", range(6))
def test_a_frame_that_no_boundary_has_is_found_in_sessions(name: str, seed: int) -> None:
    data = broken_frame(name, "text-output", Seeded(seed))
    assert [finding.id for finding in validate(data, depth="frames")] == [name]


@pytest.mark.requirement("stream.open-limit")
@pytest.mark.parametrize("side", ["client", "server"])
def test_both_sides_meet_the_limit_on_open_streams(side: Role) -> None:
    limits = Limits(open_streams=3)
    found = {}
    for one in at_limits(limits):
        if one.what.startswith("open-streams"):
            validator = Validator(side, limits=limits)
            data = b"".join(data or b"" for who, data in wires(one.lines) if who == side)
            found[one.what] = "stream.open-limit" in [finding.id for finding in validator.feed(data)]
    assert found == {"open-streams 2 of 3": False, "open-streams 3 of 3": False, "open-streams 4 of 3": True}
