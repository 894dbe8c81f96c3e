"""Samples: sessions keep every rule and have all that sessions have, violators break theirs, and a seed says all."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgproto.encodings import Encodings, default_encodings
from hgproto.framing_0002 import codec
from hgproto.framing_0002.requirements import REQUIREMENTS
from hgproto.human import format_frame
from hgproto.samples import VIOLATORS, Line, Seeded, session, violate, wires
from hgproto.strategies import Drawn
from hgproto.validation import SessionValidator

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hgproto.finding import Finding

SEEDS = int(os.environ.get("HGPROTO_SAMPLE_SEEDS", "40"))
"""Sessions that each violator is tried on; CI has time for the default."""
HAS_ZSTD = "zstd-8mb" in default_encodings()


def judged(lines: Iterable[Line]) -> list[Finding]:
    """What is wrong with a session."""
    validator = SessionValidator()
    findings: list[Finding] = []
    for side, octets in wires(lines):
        findings += validator.close(side) if octets is None else validator.feed(side, octets)
    return [*findings, *validator.close()]


def shown(lines: Sequence[Line]) -> list[str]:
    """A session to read."""
    return [
        f"{line.side} {'end' if line.frame is None else format_frame(line.frame)}"
        f"{' as on the wire' * line.raw}{'' if line.octets is None else ' ' + line.octets.hex()}"
        for line in lines
    ]


# Choices.


def test_a_seed_gives_the_same_choices_everywhere() -> None:
    choices = Seeded(2026)
    assert [choices.below(1000) for _ in range(6)] == [119, 502, 511, 860, 102, 223]
    assert {choices.below(3) for _ in range(100)} == {0, 1, 2}
    assert {choices.among(-1, 1) for _ in range(100)} == {-1, 0, 1}
    assert {choices.one_in(2) for _ in range(100)} == {False, True}
    assert {len(choices.octets(1, 3)) for _ in range(100)} == {1, 2, 3}
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
        digest.update("\n".join(shown(violate(requirement, lines, choices) or [])).encode())
    # Samples have changed when this is another, which is no fault, and worth a line of news.
    assert digest.hexdigest() == "0064cec72e6787255b1b53baf3412ad01ddac6667e031531a9b212f1a07feed2"


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


def test_every_requirement_that_octets_can_break_has_a_violator() -> None:
    assert set(VIOLATORS) == {name for name, requirement in REQUIREMENTS.items() if requirement.breakable}


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.requirement(name)) for name in VIOLATORS])
def test_a_violator_breaks_its_requirement(name: str) -> None:
    if name == "encoding.window" and not HAS_ZSTD:
        pytest.skip("Zstandard is not installed")
    exact = 0
    tried = 0
    for seed in range(SEEDS):
        choices = Seeded(seed)
        valid = session(choices)
        before = list(valid)
        lines = violate(name, valid, choices)
        assert valid == before
        if lines is not None:
            tried += 1
            found = {finding.id for finding in judged(lines)}
            assert name in found, (seed, shown(lines))
            exact += found == {name}
    # Nothing stands in the way of breaking this rule and no other.
    assert tried >= SEEDS // 10
    assert exact >= 1


@given(st.data(), st.sampled_from(sorted(VIOLATORS)))
def test_whatever_is_chosen_a_violator_breaks_its_requirement(data: st.DataObject, name: str) -> None:
    choices = Drawn(data.draw)
    lines = violate(name, session(choices), choices)
    assert lines is None or name in {finding.id for finding in judged(lines)}, shown(lines)


def test_there_may_be_nothing_to_break() -> None:
    assert violate("command-name.ascii", [], Seeded(0)) is None
    assert violate("bytes-response.server-only", [], Seeded(0)) is not None
