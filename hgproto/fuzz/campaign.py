"""Campaigns: run cases against a target, judge the results with an oracle, and group and minimize the findings by cause."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from hgproto.fuzz.again import shown_again
from hgproto.fuzz.cases import probed_as, without_probe
from hgproto.fuzz.features import used
from hgproto.fuzz.findings import FuzzFinding
from hgproto.fuzz.locate import FIRST, needs_place, place_in, places_of, stop_of, without_place
from hgproto.fuzz.minimizing import Minimizing
from hgproto.fuzz.outcomes import Outcome
from hgproto.fuzz.raw import frames_of
from hgproto.fuzz.targets import TargetError, late, run_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hgproto.fuzz.cases import Case
    from hgproto.fuzz.features import Feature
    from hgproto.fuzz.oracles import Fault, Key, Oracle
    from hgproto.fuzz.targets import Target

__all__ = ["Campaign", "Report"]

_MOST_RETRIES = 3
"""The number of later cases of one cause that are run again if the first case did not show it again."""


class _TimeIsOverError(Exception):
    """A place was not found within the time of the campaign."""


class Report(NamedTuple):
    """The result of a campaign.

    ``repeats``: for each finding, the number of later cases with the same cause. ``interrupted``: True if the keyboard ended it.
    ``gone``: True if the target became unusable; ``trouble`` has the reason. ``known``: for each cause of the baseline, the number
    of cases with it. ``notes``: for each advisory requirement, the number of cases whose output violates it.
    """

    cases: int
    size: int
    seconds: float
    findings: tuple[FuzzFinding, ...]
    repeats: tuple[int, ...]
    interrupted: bool = False
    gone: bool = False
    known: tuple[tuple[Key, int], ...] = ()
    notes: tuple[tuple[str, int], ...] = ()
    trouble: str = ""


class Campaign:
    """A campaign.

    ``cases``: the inputs of the target. ``seed``: the seed of the cases, which findings record. ``command``: the arguments that
    replay findings. ``most_seconds``, ``most_cases``, ``most_findings``: limits that end the campaign; None for no limit.
    ``keep``: called with each finding before it is minimized, so that an interrupt loses nothing. ``found``: called with each
    finding after it was minimized. ``watch``: called after each case with the numbers of cases and findings. ``baseline``: the
    causes of known findings, which are counted but not reported. ``without``: features that the target lacks, so that no
    smaller case may use them.

    The case of a finding is run once more, in a new process if the target can start one. A finding that does not show then is
    reported but not minimized. A later case of the same cause may replace it; ``found`` is then called again.

    While there are cases, running again and minimizing use at most ``minimize_share`` of the time, so that many findings do not
    starve a slow campaign. After the last case, each finding has the rest of ``minimize_seconds``. A campaign of limited time then
    takes longer by at most that share for each of the two.
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
        without: Iterable[Feature] = (),
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
        self._without = tuple(without)
        self._keep = keep
        self._found = found
        self._watch = watch
        self._groups: dict[Key, int] = {}
        self._known = dict.fromkeys(baseline, 0)
        self._findings: list[FuzzFinding] = []
        self._repeats: list[int] = []
        self._pending: list[Minimizing] = []
        self._retries: dict[Key, list[Minimizing]] = {}
        self._retried: dict[Key, int] = {}
        self._last: tuple[Case, int] | None = None
        self._faults: list[tuple[Case, Fault, int]] = []
        self._notes: Counter[str] = Counter()
        self._number = 0
        self._spent = 0.0
        self._begun = 0.0

    def run(self) -> Report:
        """Runs the campaign. Raises :class:`TargetError` if the target is unusable and there are no findings."""
        self._begun = time.monotonic()
        size = 0
        interrupted, gone, trouble = False, False, ""
        try:
            for case in self._cases:
                outcome = self._run(self._target, case)
                self._number += 1
                size += len(case.data)
                # A known fault does not hide the others.
                self._faults += [(case, fault, self._number) for fault in self._oracle.faults(case, outcome)]
                self._notes.update(self._oracle.noted)
                self._take_all()
                if self._watch is not None:
                    self._watch(self._number, len(self._findings))
                if self._is_over():
                    break
                self._minimize_some()
            self._note_late(late(self._target))
            self._take_all()
            self._minimize_rest()
            self._take_all()
        except TargetError as error:
            # Its log may have the reason.
            self._note_late(late(self._target))
            self._take_all(place=False)
            if not self._findings:
                raise
            gone, trouble = True, str(error)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            # After an interrupt too, report the smallest cases found so far.
            self._take_all(place=False)
            while self._pending:
                self._finish(self._pending[0])
        return Report(
            self._number,
            size,
            self._elapsed(),
            tuple(self._findings),
            tuple(self._repeats),
            interrupted,
            gone,
            known=tuple((key, count) for key, count in self._known.items() if count),
            notes=tuple(sorted(self._notes.items())),
            trouble=trouble,
        )

    def _elapsed(self) -> float:
        return time.monotonic() - self._begun

    def _is_over(self) -> bool:
        return (
            (self._most_cases is not None and self._number >= self._most_cases)
            or self._is_full()
            or (self._most_seconds is not None and self._elapsed() >= self._most_seconds)
        )

    def _is_full(self) -> bool:
        return self._most_findings is not None and len(self._findings) >= self._most_findings

    def _run(self, target: Target, case: Case) -> Outcome:
        """Runs a case. A crash of the previous case that was noticed only now is assigned to that case."""
        outcome = run_case(target, case)
        self._note_late(outcome.earlier)
        self._last = case, self._number + 1
        return outcome

    def _note_late(self, crash: str | None) -> None:
        """Records a crash of the last case that was noticed late."""
        if crash is not None and self._last is not None:
            case, number = self._last
            faults = self._oracle.faults(case, Outcome(b"", crash))
            self._faults += [(case, fault, min(number, max(self._number, 1))) for fault in faults]

    def _take_all(self, *, place: bool = True) -> None:
        """Keeps all faults found so far."""
        for _ in range(len(self._faults)):
            fault = self._faults.pop(0)
            if not self._is_full():
                self._take(*fault, place=place)

    def _take(self, case: Case, fault: Fault, number: int, *, place: bool = True) -> None:
        """Keeps a fault, to be run again and minimized, unless its cause is known. ``place``: False to run no cases."""
        seconds = self._elapsed()
        start = without_probe(case)
        interrupt: KeyboardInterrupt | None = None
        shown, new_process = None, False
        if place and needs_place(*fault.key):
            try:
                fault, start, shown, new_process = self._placed(case, fault)
            except KeyboardInterrupt as error:
                # Keep it nevertheless.
                interrupt, fault = error, self._likely(case, fault)
        finding = FuzzFinding(case, fault, self._seed, number, seconds, len(case.data), self._command)
        finding = finding._replace(id=finding.digest, shown_again=shown, new_process=new_process)
        if self._oracle.ignores(fault):
            pass
        elif fault.key in self._known:
            self._known[fault.key] += 1
        elif fault.key in self._groups:
            self._repeats[self._groups[fault.key]] += 1
            self._retry(finding, start)
        else:
            self._groups[fault.key] = len(self._findings)
            self._findings.append(finding)
            self._repeats.append(0)
            if self._keep is not None:
                self._keep(finding)
            self._pending.append(Minimizing(finding, start))
        if interrupt is not None:
            raise interrupt

    def _retry(self, finding: FuzzFinding, start: bytes) -> None:
        """Keeps a later case of a cause, to be tried if the first case does not show it again."""
        key = finding.fault.key
        first = self._findings[self._groups[key]]
        if first.shown_again or self._retried.get(key, 0) >= _MOST_RETRIES:
            return
        self._retried[key] = self._retried.get(key, 0) + 1
        self._retries.setdefault(key, []).append(Minimizing(finding._replace(id=first.id), start, is_retry=True))
        if not any(one.finding.fault.key == key for one in self._pending):
            self._try_later(key)

    def _try_later(self, key: Key) -> None:
        """Continues with a later case of a cause if the previous one does not show it again."""
        later = self._retries.get(key)
        if later and self._findings[self._groups[key]].shown_again is False:
            self._pending.append(later.pop(0))

    def _placed(self, case: Case, fault: Fault) -> tuple[Fault, bytes, bool | None, bool]:
        """Adds the place at which the target stops to a fault without a cause.

        Returns the fault, the start of the case that ends at that place, and the results of :meth:`_shown`. A fault has no place
        if it does not show again, or if the place is not found in time.
        """
        data = without_probe(case)
        likely = self._likely(case, fault)
        is_slow = fault.kind in ("hang", "growth")
        if likely is not fault and (is_slow or self._spent > self._minimize_share * self._elapsed()):
            # Confirming it would take time from new cases.
            return likely, data, None, False

        def shows(start: bytes) -> bool:
            if self._most_seconds is not None and self._elapsed() > self._most_seconds * (1 + self._minimize_share):
                raise _TimeIsOverError
            return fault.key in self._judged_as(frames_of(start), case)[1]

        try:
            with self._timed():
                shown, new_process = self._shown(case, fault)
                if not shown:
                    return fault, data, shown, new_process
                if case.waits or case.sizes:
                    place, start = (FIRST, b"") if shows(b"") else (places_of(case)[0], data)
                else:
                    place, start = stop_of(data, shows, self._places(fault))
        except TargetError:
            # The target has crashed permanently, so the place stays unknown.
            return fault, data, None, False
        except _TimeIsOverError:
            return likely, data, shown, new_process
        return _with_place(fault, place), start, shown, new_process

    def _likely(self, case: Case, fault: Fault) -> Fault:
        """Adds to a fault the first known place that its case passes. Returns it unchanged if there is no such place."""
        known = self._places(fault)
        met = [place for place in (*places_of(case), FIRST) if place in known]
        return _with_place(fault, met[0]) if met else fault

    def _places(self, fault: Fault) -> set[str]:
        """Returns the known places of faults that differ from this one only in the place."""
        return {
            place_in(cause)
            for kind, _, cause in (*self._groups, *self._known)
            if kind == fault.kind and without_place(cause) == fault.cause
        }

    def _shown(self, case: Case, fault: Fault) -> tuple[bool | None, bool]:
        """Runs a case again. Returns True if its fault shows again, and True if a new process has run the case.

        The first is None if that cannot be observed.
        """
        again = shown_again(self._target, self._oracle, case, fault.key, run=self._run)
        if again.fault is None and fault.kind == "growth" and not again.new_process:
            # The peak of a process never falls, so the same case may not raise it again.
            return None, False
        return again.fault is not None, again.new_process

    def _minimize_some(self) -> None:
        """Minimizes until the share of the time is used."""
        while self._pending and self._spent < self._minimize_share * self._elapsed():
            self._step()

    def _minimize_rest(self) -> None:
        """Runs all remaining cases again, then minimizes, each for the time allowed after the last case."""
        self._steps(lambda: any(not one.was_run_again for one in self._pending))
        self._steps(lambda: bool(self._pending))

    def _steps(self, is_left: Callable[[], bool]) -> None:
        most = None if self._most_seconds is None else self._spent + self._minimize_share * self._elapsed()
        while is_left() and (most is None or self._spent < most):
            self._step()

    def _step(self) -> None:
        """Runs a finding's case again if that was not done yet, or else tries one change of it."""
        one = next((one for one in self._pending if not one.was_run_again), self._pending[0])
        with self._timed():
            if not one.was_run_again:
                self._run_again(one)
            elif not one.is_done:
                self._try_next(one)
        if one.is_done:
            self._finish(one)

    def _run_again(self, one: Minimizing) -> None:
        """Runs a finding's case again and records the result."""
        try:
            one.shown_again(*self._shown(one.finding.case, one.finding.fault))
        except TargetError:
            one.shown_again(None, False)

    def _try_next(self, one: Minimizing) -> None:
        """Tries one change of a finding's case."""
        begun = time.monotonic()
        candidate = one.candidate(self._minimize_seconds)
        if candidate is not None:
            one.tried(self._smaller(one.finding, candidate))
        one.seconds += time.monotonic() - begun

    def _smaller(self, finding: FuzzFinding, frames: list[bytes]) -> tuple[Case, Fault] | None:
        """Runs other frames as a case of the same finding. Returns the case and its fault; None if it does not show the finding."""
        try:
            return self._smaller_of(finding, frames)
        except TargetError:
            return None

    def _smaller_of(self, finding: FuzzFinding, frames: list[bytes]) -> tuple[Case, Fault] | None:
        other, faults = self._judged_as(frames, finding.case)
        if finding.fault.key in faults:
            return other, faults[finding.fault.key]
        unplaced = faults.get(finding.fault._replace(cause=without_place(finding.fault.cause)).key)
        if unplaced is None or not needs_place(*unplaced.key):
            return None

        if place_in(finding.fault.cause) in places_of(other) and (other.waits or other.sizes):
            return other, _with_place(unplaced, place_in(finding.fault.cause))

        def shows(start: bytes) -> bool:
            return unplaced.key in self._judged_as(frames_of(start), finding.case)[1]

        data = b"".join(frames)
        place, start = stop_of(data, shows, {place_in(finding.fault.cause)})
        if place != place_in(finding.fault.cause) or start != data:
            return None
        return other, _with_place(unplaced, place)

    def _judged_as(self, frames: list[bytes], case: Case) -> tuple[Case, dict[Key, Fault]]:
        """Runs other frames instead of those of a case. Returns the new case and its faults."""
        other = probed_as(frames, case, self._oracle.max_payload)
        if (other.probe is None) != (case.probe is None):
            # Without its probe, the case could not show the same fault.
            return other, {}
        if used(other.data, self._without):
            # For example, the end of a request was dropped, so that the probe comes between its frames.
            return other, {}
        return other, {fault.key: fault for fault in self._oracle.faults(other, self._run(self._target, other))}

    def _finish(self, one: Minimizing) -> None:
        """Reports a finding with its smallest case so far."""
        self._pending.remove(one)
        key = one.finding.fault.key
        # If no case shows it again, keep the first one.
        if one.finding.shown_again or not one.is_retry:
            self._findings[self._groups[key]] = one.finding
            if self._found is not None:
                self._found(one.finding)
        self._try_later(key)

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        """Counts time that is not spent on new cases."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self._spent += time.monotonic() - begun


def _with_place(fault: Fault, place: str) -> Fault:
    """Adds the place at which the target stops to a fault."""
    return fault._replace(cause=f"{fault.cause} {place}".strip(), found=f"{fault.found}, {place}")
