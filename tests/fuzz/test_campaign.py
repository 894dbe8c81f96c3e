"""Campaigns: a finding is kept before it is minimised, and an interrupt loses nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hgproto.fuzz import Campaign, FuzzFinding, Oracle
from hgproto.fuzz.cases import Case
from hgproto.fuzz.oracles import Fault
from hgproto.fuzz.raw import frames_of
from hgproto.fuzz.targets import Outcome, TargetError, TargetGoneError

if TYPE_CHECKING:
    from collections.abc import Iterator

BYTES = bytes.fromhex("0100000100010111 78") * 8


class Crashes:
    """A target that crashes on every case that has a frame, until something else happens at a call."""

    def __init__(self, at: int | None, error: type[BaseException] | None) -> None:
        self.at = at
        self.error = error
        self.calls = 0

    def run(self, data: bytes) -> Outcome:
        self.calls += 1
        if self.at is not None and self.calls >= self.at and self.error is not None:
            raise self.error
        return Outcome(b"", "RuntimeError" if frames_of(data) else None)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("at", [None, 2, 3, 4, 6])
@pytest.mark.parametrize("error", [KeyboardInterrupt, TargetError, TargetGoneError])
def test_a_finding_is_kept_before_it_is_minimised_and_shown_whatever_happens(
    at: int | None, error: type[BaseException]
) -> None:
    kept: list[FuzzFinding] = []
    shown: list[FuzzFinding] = []
    target = Crashes(at, error)
    cases = [Case(BYTES, "one")]
    report = Campaign(target, Oracle(), cases, keep=kept.append, found=shown.append).run()
    assert [finding.case.data for finding in kept] == [BYTES]
    (finding,) = shown
    assert report.findings == (finding,)
    assert report.interrupted == (at is not None and error is KeyboardInterrupt)
    # It has the same file, and as few bytes as were known by then.
    assert finding.name == kept[0].name
    assert len(finding.case.data) < len(BYTES) or at in (2, 3)
    assert target.run(finding.case.data).crash if at is None else True
    if at is None:
        assert len(finding.case.data) == 8


def test_an_interrupt_before_any_finding_is_no_finding() -> None:
    report = Campaign(Crashes(1, KeyboardInterrupt), Oracle(), [Case(BYTES, "one")]).run()
    assert (report.findings, report.interrupted, report.cases) == ((), True, 0)


class Ticking:
    """A target whose every run takes a second of a clock, and that crashes on every case in a way of its own."""

    def __init__(self) -> None:
        self.now = 0.0

    def run(self, data: bytes) -> Outcome:
        self.now += 1.0
        return Outcome(b"", f"Error{chr(data[8])}" if len(data) > 8 else None)

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("share", "least"), [(0.0, 100), (0.25, 70), (0.5, 45)])
def test_minimizing_takes_its_share_of_the_time(share: float, least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Ticking()
    monkeypatch.setattr("hgproto.fuzz.campaign.time.monotonic", lambda: target.now)

    def cases() -> Iterator[Case]:
        for number in range(1000):
            yield Case(bytes.fromhex("0100000100010111") + bytes([65 + number % 20]) + BYTES, "")

    shown: list[FuzzFinding] = []
    campaign = Campaign(target, Oracle(), cases(), most_seconds=100.0, minimize_share=share, found=shown.append)
    report = campaign.run()
    assert least <= report.cases <= least + 10
    assert report.seconds <= 100 * (1 + share) + 2
    assert len(report.findings) == 20
    # Each is shown once, whether there was time for it or not.
    assert sorted(finding.number for finding in shown) == list(range(1, 21))
    assert (min(len(finding.case.data) for finding in shown) < len(BYTES) + 9) == (share > 0)


def test_minimizing_one_finding_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Ticking()
    monkeypatch.setattr("hgproto.fuzz.campaign.time.monotonic", lambda: target.now)
    report = Campaign(target, Oracle(), [Case(b"\1" + BYTES[1:], "")], minimize_seconds=3.0).run()
    # The case itself, the case once again, and the changes of it.
    assert report.seconds == 1 + 1 + 3


@pytest.mark.parametrize("first", [0, 5], ids=["at once", "later"])
def test_a_finding_that_ends_a_campaign_is_run_again_and_minimized(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Ticking()
    monkeypatch.setattr("hgproto.fuzz.campaign.time.monotonic", lambda: target.now)
    cases = [*[Case(b"", "good")] * first, Case(b"\1" + BYTES[1:], "bad")]
    (finding,) = Campaign(target, Oracle(), cases, most_seconds=100.0, most_findings=1).run().findings
    # To be run again takes nothing from the time for minimizing.
    assert finding.shown_again
    assert len(finding.case.data) < len(BYTES)


def test_a_cause_of_the_baseline_is_counted_and_not_minimized() -> None:
    target = Crashes(None, None)
    oracle = Oracle()
    cases = [Case(BYTES, "one"), Case(BYTES * 2, "two")]
    key = ("crash", "", "RuntimeError")
    report = Campaign(target, oracle, cases, baseline=[key]).run()
    assert (report.findings, report.known, target.calls) == ((), ((key, 2),), 2)


class Judged:
    """An oracle that finds a fault for each frame of a case, by its type."""

    max_payload = 65535
    noted: frozenset[str] = frozenset()

    def ignores(self, fault: Fault) -> bool:
        return False

    def faults(self, case: Case, outcome: Outcome) -> list[Fault]:
        return [
            Fault("breaks-rule", f"rule.{kind}", "", "", "")
            for kind in sorted({f[7] >> 4 for f in frames_of(case.data)})
        ]


@pytest.mark.parametrize("baseline", [set(), {("breaks-rule", "rule.1", "")}], ids=["all", "some known"])
def test_a_known_fault_hides_no_other_of_the_same_case(baseline: set[tuple[str, str, str]]) -> None:
    cases = [
        Case(BYTES[:9], "one"),
        Case(BYTES[:9] + bytes.fromhex("000000 0100 01 00 32 000000 0100 01 00 73"), "both"),
    ]
    found: list[FuzzFinding] = []
    oracle: Any = Judged()
    report = Campaign(Crashes(None, None), oracle, cases, baseline=baseline, found=found.append).run()
    assert {finding.fault.rule for finding in found} | {rule for _, rule, _ in baseline} == {
        "rule.1",
        "rule.3",
        "rule.7",
    }
    assert len(found) == len(report.findings) == 3 - len(baseline)
    for finding in report.findings:
        # Each is minimized for itself.
        assert [f"rule.{frame[7] >> 4}" for frame in frames_of(finding.case.data)] == [finding.fault.rule]
