"""The interface of targets, and the result of a case."""

from __future__ import annotations

from typing import NamedTuple, Protocol

__all__ = ["Outcome", "Target", "TargetError", "TargetGoneError"]


class TargetError(Exception):
    """The target cannot be used."""


class TargetGoneError(TargetError):
    """The target has ended, and it was not started again."""


class Outcome(NamedTuple):
    """The result of one case.

    ``output``: bytes of frames, JSON lines of events, or ``yes`` and ``no``. ``crash``: a description of the crash that is the
    same for the same cause; None without a crash. ``details``: the other lines about the crash. ``hung``: True if the target
    did not end in time. ``grown``: the growth of its memory in bytes, 0 if that is unknown. ``earlier``: a crash of the
    previous case that was noticed late. ``seen``: the bytes of output by the end of each wait of the case. ``grew``: the growth
    of memory and the size of the output, in bytes, for each size of the case; the whole case comes last.
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
    """The program that is fuzzed.

    It may also have two methods. ``renew()`` makes the next case run in a new process, and returns False if it cannot. ``late()``
    waits a moment for a report about the last case, and returns a description of the crash, or None.
    """

    def run(self, data: bytes) -> Outcome:
        """Runs a case."""

    def close(self) -> None:
        """Ends the target."""
