"""A finding on its way: first its case is run again, then smaller cases are tried."""

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
"""Changes that are tried to make one finding smaller."""


class Minimizing:
    """A finding that is being minimized.

    ``start``: the start of its case that is known to be all that it takes. ``is_retry``: True for a later case of a finding that
    did not show again. ``was_run_again``: True once it is known whether the finding shows again. ``seconds``: time that was spent.
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
        """Notes whether the finding showed again, and whether by a new process."""
        self.finding = self.finding._replace(shown_again=shown, new_process=new_process)
        self.was_run_again = True
        self.is_done = self.finding.not_minimized is not None

    def candidate(self, most_seconds: float) -> list[bytes] | None:
        """Returns the frames to be tried next; None when there is nothing more to try, or no time left."""
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
                # The start of the case is all that it takes, and may do so at once.
                return frames_of(start)
            self._attempts = attempts(frames_and_waits(case))
            return next(self._attempts, None)
        try:
            return self._attempts.send(self._is_smaller)
        except StopIteration:
            return None

    def tried(self, smaller: tuple[Case, Fault] | None) -> None:
        """Takes a candidate as a case with its fault; None if it does not show the finding."""
        self._is_smaller = smaller is not None
        if smaller is not None:
            self.finding = self.finding._replace(case=smaller[0], fault=smaller[1])
