"""The progress of minimizing a finding: its case is run again, and then smaller cases are tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.fuzz.cases import frames_and_waits, without_probe
from hgproto.fuzz.minimize import attempts
from hgproto.fuzz.raw import frames_of

if TYPE_CHECKING:
    from hgproto.fuzz.cases import Case
    from hgproto.fuzz.findings import FuzzFinding
    from hgproto.fuzz.minimize import Attempts
    from hgproto.fuzz.oracles import Fault

__all__ = ["Minimizing"]

_MOST_TRIES = 1000
"""The maximum number of changes that are tried to make one finding smaller."""


class Minimizing:
    """A finding that is being minimized.

    ``start``: a start of its case that is known to show the finding. ``is_retry``: True for a later case of a finding that did not
    show again. ``was_run_again``: True once the case was run again. ``seconds``: the time spent so far.
    """

    def __init__(self, finding: FuzzFinding, start: bytes, *, is_retry: bool = False) -> None:
        self.finding = finding
        self.is_retry = is_retry
        self.was_run_again = finding.shown_again is not None
        self.is_done = self.was_run_again and finding.not_minimized is not None
        self.seconds = 0.0
        self._start: bytes | None = start
        self._attempts: Attempts | None = None
        self._is_smaller = False
        self._number = 0

    def shown_again(self, shown: bool | None, new_process: bool) -> None:
        """Records the result of running the case again. ``shown``: None if unknown."""
        self.finding = self.finding._replace(shown_again=shown, new_process=new_process)
        self.was_run_again = True
        self.is_done = self.finding.not_minimized is not None

    def candidate(self, most_seconds: float) -> list[bytes] | None:
        """Returns the frames to be tried next; None if there are no more changes or no more time."""
        candidate = None
        if self.seconds < most_seconds and self._number < _MOST_TRIES:
            self._number += 1
            candidate = self._next()
        self.is_done = candidate is None
        return candidate

    def _next(self) -> list[bytes] | None:
        if self._attempts is None:
            case = self.finding.case
            start, self._start = self._start, None
            if start is not None and (start != without_probe(case) or case.sizes):
                # Try the known start of the case first.
                return frames_of(start)
            self._attempts = attempts(frames_and_waits(case))
            return next(self._attempts, None)
        try:
            return self._attempts.send(self._is_smaller)
        except StopIteration:
            return None

    def tried(self, smaller: tuple[Case, Fault] | None) -> None:
        """Records the result of a candidate: its case and fault; None if it does not show the finding."""
        self._is_smaller = smaller is not None
        if smaller is not None:
            self.finding = self.finding._replace(case=smaller[0], fault=smaller[1])
