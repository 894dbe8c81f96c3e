"""Campaigns: cases, a target and an oracle, until the time is over. Faults are minimised, grouped by cause, and kept."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from hgproto.fuzz.cases import with_probe, without_probe
from hgproto.fuzz.findings import FuzzFinding
from hgproto.fuzz.minimize import minimized
from hgproto.fuzz.targets import TargetGoneError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hgproto.fuzz.cases import Case
    from hgproto.fuzz.oracles import Fault, Oracle
    from hgproto.fuzz.targets import Target

__all__ = ["Campaign", "Report"]


class Report(NamedTuple):
    """What a campaign has come to.

    ``repeats``: how often each finding's cause was met again. ``interrupted``: whether the keyboard has ended it.
    ``gone``: whether the target has, by breaking down without being started again.
    """

    cases: int
    octets: int
    seconds: float
    findings: tuple[FuzzFinding, ...]
    repeats: tuple[int, ...]
    interrupted: bool = False
    gone: bool = False


class Campaign:
    """A campaign.

    ``cases``: what the target is given. ``seed``: where they come from, for findings to say. ``command``: of findings, to be
    replayed. ``most_seconds``, ``most_cases``, ``most_findings``: when it ends; None for no limit. ``found``: told of each
    finding when it was minimised. ``keep``: told of each before that, so that nothing is lost when minimising is interrupted.
    ``watch``: told after each case of how many there were, and how many findings.
    ``minimize_seconds``: what minimising one may take.
    """

    def __init__(
        self,
        target: Target,
        oracle: Oracle,
        cases: Iterable[Case],
        *,
        seed: int = 0,
        command: Iterable[str] = (),
        most_seconds: float | None = None,
        most_cases: int | None = None,
        most_findings: int | None = None,
        minimize_seconds: float = 10.0,
        keep: Callable[[FuzzFinding], object] | None = None,
        found: Callable[[FuzzFinding], object] | None = None,
        watch: Callable[[int, int], object] | None = None,
    ) -> None:
        self._target = target
        self._oracle = oracle
        self._cases = cases
        self._seed = seed
        self._command = tuple(command)
        self._most_seconds = most_seconds
        self._most_cases = most_cases
        self._most_findings = most_findings
        self._minimize_seconds = minimize_seconds
        self._keep = keep
        self._found = found
        self._watch = watch
        self._groups: dict[tuple[str, str, str], int] = {}
        self._findings: list[FuzzFinding] = []
        self._repeats: list[int] = []

    def run(self) -> Report:
        """Runs it."""
        begun = time.monotonic()
        octets = number = 0
        interrupted = gone = False
        try:
            before: Case | None = None
            for case in self._cases:
                outcome = self._target.run(case.octets)
                if outcome.earlier is not None and before is not None:
                    late = self._oracle.judge(before, outcome._replace(crash=outcome.earlier, output=b""))
                    if late is not None:
                        self._take(before, late, number, time.monotonic() - begun)
                fault = self._oracle.judge(case, outcome)
                before = case
                number += 1
                octets += len(case.octets)
                if fault is not None:
                    self._take(case, fault, number, time.monotonic() - begun)
                if self._watch is not None:
                    self._watch(number, len(self._findings))
                if self._is_over(number, time.monotonic() - begun):
                    break
        except TargetGoneError:
            if not self._findings:
                raise
            gone = True
        except KeyboardInterrupt:
            interrupted = True
        seconds = time.monotonic() - begun
        return Report(number, octets, seconds, tuple(self._findings), tuple(self._repeats), interrupted, gone)

    def _is_over(self, number: int, seconds: float) -> bool:
        return (
            (self._most_cases is not None and number >= self._most_cases)
            or (self._most_findings is not None and len(self._findings) >= self._most_findings)
            or (self._most_seconds is not None and seconds >= self._most_seconds)
        )

    def judged(self, case: Case) -> Fault | None:
        """What is wrong with what the target makes of a case."""
        return self._oracle.judge(case, self._target.run(case.octets))

    def _take(self, case: Case, fault: Fault, number: int, seconds: float) -> None:
        """Minimises a fault and keeps it, unless its cause is known."""
        known = self._groups.get(fault.key)
        if known is not None:
            self._repeats[known] += 1
            return
        self._groups[fault.key] = number_of_it = len(self._findings)
        finding = FuzzFinding(case, fault, self._seed, number, seconds, len(case.octets), self._command)
        finding = finding._replace(id=finding.digest)
        self._findings.append(finding)
        self._repeats.append(0)
        if self._keep is not None:
            self._keep(finding)
        smallest = _Smallest(case, fault)
        try:
            self._minimize(smallest)
        finally:
            # Also when the keyboard interrupts it, with the smallest so far.
            finding = finding._replace(case=smallest.case, fault=smallest.fault)
            self._findings[number_of_it] = finding
            if self._found is not None:
                self._found(finding)

    def _minimize(self, smallest: _Smallest) -> None:
        """Makes a case smaller, as long as the same fault shows."""
        case, fault = smallest.case, smallest.fault

        def shows(octets: bytes) -> bool:
            smaller = self._as(octets, case)
            if (smaller.probe is None) != (case.probe is None):
                # Without its probe, a case would show something else, or nothing.
                return False
            try:
                found = self.judged(smaller)
            except TargetGoneError:
                return False
            if found is None or found.key != fault.key:
                return False
            smallest.case, smallest.fault = smaller, found
            return True

        minimized(without_probe(case), shows, seconds=self._minimize_seconds)

    def _as(self, octets: bytes, case: Case) -> Case:
        """Other octets as a case, with a command at its end if it had one."""
        if case.probe is None:
            return case._replace(octets=octets)
        return with_probe(octets, case.origin, self._oracle.max_payload)


class _Smallest:
    """The smallest case so far that shows a fault, and the fault as it shows it."""

    def __init__(self, case: Case, fault: Fault) -> None:
        self.case = case
        self.fault = fault
