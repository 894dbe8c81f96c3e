"""Targets as the rest of the kit sees them, and what comes of a case."""

from __future__ import annotations

from typing import NamedTuple, Protocol

__all__ = ["Outcome", "Target", "TargetError", "TargetGoneError"]


class TargetError(Exception):
    """The target cannot be used at all."""


class TargetGoneError(TargetError):
    """The target has broken down, and nobody has started it again."""


class Outcome(NamedTuple):
    """What came of one case.

    ``output``: what it gave: bytes of frames, JSON lines of events, or ``yes`` and ``no``. ``crash``: how it broke down, in
    words that are the same for the same cause; None when it did not. ``details``: the rest of it. ``hung``: it did not come to
    an end in time. ``grown``: bytes by which it has grown, 0 where that cannot be told. ``earlier``: a crash that showed only
    after the outcome of the case before was returned. ``seen``: bytes of output by the end of each wait of the case.
    ``grew``: bytes by which the target has grown, and bytes of output, for each size of the case, the whole case last.
    """

    output: bytes
    crash: str | None = None
    details: str = ""
    hung: bool = False
    grown: int = 0
    earlier: str | None = None
    seen: tuple[int, ...] = ()
    grew: tuple[tuple[int, int], ...] = ()


class Target(Protocol):
    """What is fuzzed.

    It may also have two methods. ``renew()`` lets the next case meet a new process, and returns False where it cannot.
    ``late()`` waits a moment for a report about the last case, and returns how the target crashed, or None.
    """

    def run(self, data: bytes) -> Outcome:
        """What comes of a case."""

    def close(self) -> None:
        """Ends it."""
