"""Campaigns: cases, a target and an oracle, until the time is over. Faults are minimised, grouped by cause, and kept."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, NamedTuple

from hgproto.fuzz.cases import probed_as, without_probe
from hgproto.fuzz.findings import FuzzFinding
from hgproto.fuzz.locate import kinds_of, needs_place, place_in, stop_of, without_place
from hgproto.fuzz.minimize import attempts
from hgproto.fuzz.targets import TargetGoneError, run_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hgproto.fuzz.cases import Case
    from hgproto.fuzz.minimize import Attempts
    from hgproto.fuzz.oracles import Fault, Key, Oracle
    from hgproto.fuzz.targets import Target

__all__ = ["Campaign", "Report"]

_MOST_TRIES = 1000
"""Changes that are tried to make one finding smaller."""


class Report(NamedTuple):
    """What a campaign has come to.

    ``repeats``: how often each finding's cause was met again. ``interrupted``: whether the keyboard has ended it.
    ``gone``: whether the target has, by breaking down without being started again. ``known``: how many cases met each cause of the
    baseline.
    """

    cases: int
    octets: int
    seconds: float
    findings: tuple[FuzzFinding, ...]
    repeats: tuple[int, ...]
    interrupted: bool = False
    gone: bool = False
    known: tuple[tuple[Key, int], ...] = ()


class Campaign:
    """A campaign.

    ``cases``: what the target is given. ``seed``: where they come from, for findings to say. ``command``: of findings, to be
    replayed. ``most_seconds``, ``most_cases``, ``most_findings``: when it ends; None for no limit. ``found``: told of each
    finding when it was minimised. ``keep``: told of each before that, so that nothing is lost when minimising is interrupted.
    ``watch``: told after each case of how many there were, and how many findings. ``baseline``: the causes of known findings,
    which are counted and not reported.

    While there are cases, minimizing takes at most ``minimize_share`` of the time, so that many findings do not starve a slow
    campaign. After the last case, each finding has what is left of ``minimize_seconds``. A campaign of limited time takes at
    most that share longer.
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
        minimize_share: float = 0.25,
        baseline: Iterable[Key] = (),
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
        self._minimize_share = minimize_share
        self._keep = keep
        self._found = found
        self._watch = watch
        self._groups: dict[Key, int] = {}
        self._known = dict.fromkeys(baseline, 0)
        self._findings: list[FuzzFinding] = []
        self._repeats: list[int] = []
        self._pending: list[_Minimizing] = []
        self._spent = 0.0
        self._begun = 0.0

    def run(self) -> Report:
        """Runs it."""
        self._begun = time.monotonic()
        octets = number = 0
        interrupted = gone = False
        try:
            before: Case | None = None
            for case in self._cases:
                outcome = run_case(self._target, case)
                if outcome.earlier is not None and before is not None:
                    for late in self._oracle.faults(before, outcome._replace(crash=outcome.earlier, output=b"")):
                        self._take(before, late, number)
                before = case
                number += 1
                octets += len(case.octets)
                for fault in self._oracle.faults(case, outcome):
                    # A known fault hides none of the others.
                    self._take(case, fault, number)
                    if self._is_over(number):
                        break
                if self._watch is not None:
                    self._watch(number, len(self._findings))
                if self._is_over(number):
                    break
                self._minimize_some()
            self._minimize_rest()
        except TargetGoneError:
            if not self._findings:
                raise
            gone = True
        except KeyboardInterrupt:
            interrupted = True
        finally:
            # Also when the keyboard interrupts it, with the smallest so far.
            while self._pending:
                self._finish(self._pending[0])
        known = tuple((key, count) for key, count in self._known.items() if count)
        return Report(
            number, octets, self._elapsed(), tuple(self._findings), tuple(self._repeats), interrupted, gone, known
        )

    def _elapsed(self) -> float:
        return time.monotonic() - self._begun

    def _is_over(self, number: int) -> bool:
        return (
            (self._most_cases is not None and number >= self._most_cases)
            or (self._most_findings is not None and len(self._findings) >= self._most_findings)
            or (self._most_seconds is not None and self._elapsed() >= self._most_seconds)
        )

    def _take(self, case: Case, fault: Fault, number: int) -> None:
        """Keeps a fault, to be minimized, unless its cause is known."""
        seconds = self._elapsed()
        start = without_probe(case)
        interrupt: KeyboardInterrupt | None = None
        if needs_place(*fault.key) and not (case.waits or case.sizes):
            try:
                fault, start = self._placed(case, fault)
            except KeyboardInterrupt as error:
                # It is kept all the same.
                interrupt = error
        if self._oracle.ignores(fault):
            return
        if fault.key in self._known:
            self._known[fault.key] += 1
        elif fault.key in self._groups:
            self._repeats[self._groups[fault.key]] += 1
        else:
            finding = FuzzFinding(case, fault, self._seed, number, seconds, len(case.octets), self._command)
            finding = finding._replace(id=finding.digest)
            self._groups[fault.key] = len(self._findings)
            self._findings.append(finding)
            self._repeats.append(0)
            if self._keep is not None:
                self._keep(finding)
            # A dialogue is as short as it can be, and the memory of a series is known for its sizes.
            fixed = case.waits or case.sizes
            self._pending.append(_Minimizing(finding, start, most_tries=0 if fixed else _MOST_TRIES))
        if interrupt is not None:
            raise interrupt

    def _placed(self, case: Case, fault: Fault) -> tuple[Fault, bytes]:
        """A fault without a cause as one of the place at which the target stops, and the start of the case that ends there."""
        octets = without_probe(case)
        known = {
            place_in(cause)
            for kind, _, cause in (*self._groups, *self._known)
            if kind == fault.kind and without_place(cause) == fault.cause
        }
        met = [kind for kind in kinds_of(octets) if kind in known]
        is_slow = fault.kind in ("hang", "growth")
        if met and (is_slow or self._spent > self._minimize_share * self._elapsed()):
            # To confirm it would take the time from new cases.
            return _with_place(fault, met[0]), octets

        def shows(start: bytes) -> bool:
            return fault.key in self._judged_as(start, case)[1]

        try:
            with self._timed():
                place, start = stop_of(octets, shows, known)
        except TargetGoneError:
            # It has crashed for good, so the place stays unknown.
            return fault, octets
        return _with_place(fault, place), start

    def _minimize_some(self) -> None:
        """Minimizes for the time that is due."""
        while self._pending and self._spent < self._minimize_share * self._elapsed():
            self._step(self._pending[0])

    def _minimize_rest(self) -> None:
        """Minimizes after the last case."""
        most = None if self._most_seconds is None else self._spent + self._minimize_share * self._elapsed()
        while self._pending and (most is None or self._spent < most):
            self._step(self._pending[0])

    def _step(self, one: _Minimizing) -> None:
        """Tries one change of a finding's case."""
        with self._timed():
            begun = time.monotonic()
            candidate = one.candidate(self._minimize_seconds)
            if candidate is not None:
                one.shown = self._smaller(one.finding, candidate)
                if one.shown is not None:
                    one.finding = one.finding._replace(case=one.shown[0], fault=one.shown[1])
            one.seconds += time.monotonic() - begun
        if candidate is None:
            self._finish(one)

    def _smaller(self, finding: FuzzFinding, octets: bytes) -> tuple[Case, Fault] | None:
        """Other octets as a case of the same finding, and their fault; None where they do not show it."""
        try:
            return self._smaller_of(finding, octets)
        except TargetGoneError:
            return None

    def _smaller_of(self, finding: FuzzFinding, octets: bytes) -> tuple[Case, Fault] | None:
        other, faults = self._judged_as(octets, finding.case)
        if finding.fault.key in faults:
            return other, faults[finding.fault.key]
        unplaced = faults.get(finding.fault._replace(cause=without_place(finding.fault.cause)).key)
        if unplaced is None or not needs_place(*unplaced.key):
            return None

        def shows(start: bytes) -> bool:
            return unplaced.key in self._judged_as(start, finding.case)[1]

        place, start = stop_of(octets, shows, {place_in(finding.fault.cause)})
        if place != place_in(finding.fault.cause) or start != octets:
            return None
        return other, _with_place(unplaced, place)

    def _judged_as(self, octets: bytes, case: Case) -> tuple[Case, dict[Key, Fault]]:
        """Other octets in the place of a case's, and what is wrong with them."""
        other = probed_as(octets, case, self._oracle.max_payload)
        if (other.probe is None) != (case.probe is None):
            # Without its probe, a case would show something else, or nothing.
            return other, {}
        return other, {fault.key: fault for fault in self._oracle.faults(other, run_case(self._target, other))}

    def _finish(self, one: _Minimizing) -> None:
        """Reports a finding as it is now."""
        self._pending.remove(one)
        self._findings[self._groups[one.finding.fault.key]] = one.finding
        if self._found is not None:
            self._found(one.finding)

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        """Counts the time of what is not a new case."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self._spent += time.monotonic() - begun


def _with_place(fault: Fault, place: str) -> Fault:
    """A fault with the place at which the target stops."""
    return fault._replace(cause=f"{fault.cause} {place}".strip(), found=f"{fault.found}, {place}")


class _Minimizing:
    """A finding that is being minimized. ``shown``: the last candidate as a case that shows the fault; None if it does not."""

    def __init__(self, finding: FuzzFinding, start: bytes, *, most_tries: int) -> None:
        self._most_tries = most_tries
        self.finding = finding
        self.seconds = 0.0
        self.shown: tuple[Case, Fault] | None = None
        self._start: bytes | None = start
        self._attempts: Attempts | None = None
        self._number = 0

    def candidate(self, most_seconds: float) -> bytes | None:
        """The octets to be tried next; None when there is nothing more to try, or no time left."""
        if self.seconds >= most_seconds or self._number >= self._most_tries:
            return None
        self._number += 1
        if self._attempts is None:
            octets = without_probe(self.finding.case)
            start, self._start = self._start, None
            if start is not None and start != octets:
                # The start of the case is all that it takes.
                return start
            self._attempts = attempts(octets)
            return next(self._attempts, None)
        try:
            return self._attempts.send(self.shown is not None)
        except StopIteration:
            return None
