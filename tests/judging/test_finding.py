"""Findings: their texts, and the severity of violations."""

from __future__ import annotations

import pickle

import pytest

from hgproto.judging.finding import ERROR, NOTE, WARNING, Finding, count, severity_of
from hgproto.revisions.framing_0002.requirements import REQUIREMENTS

EOS = REQUIREMENTS["command-name.eos-exclusive"]
OURS = REQUIREMENTS["frame.known-type"]


def finding(requirement: str = EOS.id, severity: str = ERROR) -> Finding:
    return Finding(REQUIREMENTS[requirement], severity, 7, 1, (0, 1), "client", 0, "frames[0].flags", "a", "b")


def test_a_finding_says_what_where_and_by_which_rule() -> None:
    made = finding()
    assert str(made) == "frames[0].flags at offset 7: error: expected a, found b (command-name.eos-exclusive)"
    assert made.rule == "A client MUST NOT set eos together with have-args or have-data."
    assert made.link == "requirements.html#command-name.eos-exclusive"
    assert made.replace(path="").replace(offset=9).message == "expected a, found b"
    assert str(made.replace(path="")).startswith("input at offset 7")
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301 - ours


def test_a_rule_of_ours_is_said_to_be_ours() -> None:
    assert finding(OURS.id).rule == f"{OURS.sentence} (our resolution: the source is silent)"


@pytest.mark.parametrize(
    ("requirement", "severity"),
    [
        ("command-name.eos-exclusive", ERROR),
        ("frame.whole", ERROR),
        ("text-output.newline", WARNING),
        ("request.limits", NOTE),
        ("stream.end", NOTE),
    ],
)
def test_how_bad_it_is_follows_from_the_level(requirement: str, severity: str) -> None:
    assert severity_of(REQUIREMENTS[requirement]) == severity


def test_counts() -> None:
    assert count([finding(), finding(severity=NOTE), finding()]) == {"error": 2, "warning": 0, "note": 1}
