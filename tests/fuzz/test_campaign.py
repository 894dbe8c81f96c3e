"""Campaigns: a finding is kept before it is minimised, and an interrupt loses nothing."""

from __future__ import annotations

import pytest

from hgproto.fuzz import Campaign, FuzzFinding, Oracle
from hgproto.fuzz.cases import Case
from hgproto.fuzz.targets import Outcome, TargetGoneError
from hgproto.session import frames_of

OCTETS = bytes.fromhex("0100000100010111 78") * 8


class Crashes:
    """A target that crashes on every case that has a frame, until something else happens at a call."""

    def __init__(self, at: int | None, error: type[BaseException] | None) -> None:
        self.at = at
        self.error = error
        self.calls = 0

    def run(self, octets: bytes) -> Outcome:
        self.calls += 1
        if self.at is not None and self.calls >= self.at and self.error is not None:
            raise self.error
        return Outcome(b"", "RuntimeError" if frames_of(octets) else None)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("at", [None, 2, 3, 4, 6])
@pytest.mark.parametrize("error", [KeyboardInterrupt, TargetGoneError])
def test_a_finding_is_kept_before_it_is_minimised_and_shown_whatever_happens(
    at: int | None, error: type[BaseException]
) -> None:
    kept: list[FuzzFinding] = []
    shown: list[FuzzFinding] = []
    target = Crashes(at, error)
    cases = [Case(OCTETS, "one")]
    report = Campaign(target, Oracle(), cases, keep=kept.append, found=shown.append).run()
    assert [finding.case.octets for finding in kept] == [OCTETS]
    (finding,) = shown
    assert report.findings == (finding,)
    assert report.interrupted == (at is not None and error is KeyboardInterrupt)
    # It has the same file, and as few octets as were known by then.
    assert finding.name == kept[0].name
    assert len(finding.case.octets) < len(OCTETS) or at in (2, 3)
    assert target.run(finding.case.octets).crash if at is None else True
    if at is None:
        assert len(finding.case.octets) == 8


def test_an_interrupt_before_any_finding_is_no_finding() -> None:
    report = Campaign(Crashes(1, KeyboardInterrupt), Oracle(), [Case(OCTETS, "one")]).run()
    assert (report.findings, report.interrupted, report.cases) == ((), True, 0)
