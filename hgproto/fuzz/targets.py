"""Targets: the programs that are fuzzed, behind one interface. A target is a Python callable, a command, or a TCP address.

A target receives all bytes of the other side and the end of its output, and returns its own output. A callable runs in a process
of its own, so that a crash, a hang, or growth affects only that process.
"""

from __future__ import annotations

import re
import time
from itertools import accumulate
from typing import TYPE_CHECKING

from hgproto.errors import quoted
from hgproto.fuzz.addresses import resolved
from hgproto.fuzz.callables import CallableTarget
from hgproto.fuzz.outcomes import Outcome, Target, TargetError, TargetGoneError
from hgproto.fuzz.processes import FIRST_SILENCE, run, split_words
from hgproto.fuzz.signs import how_it_ended
from hgproto.fuzz.tcp import TcpTarget
from hgproto.runtime.bytelike import as_bytes

if TYPE_CHECKING:
    from hgproto.fuzz.cases import Case

__all__ = [
    "ANSWERS",
    "CallableTarget",
    "CommandTarget",
    "Outcome",
    "Target",
    "TargetError",
    "TargetGoneError",
    "TcpTarget",
    "late",
    "open_target",
    "renewed",
    "run_case",
]

ANSWERS = ("frames", "events", "verdict")
"""The forms of output of a target: the frames that it sends, the events for its application as JSON, or a verdict."""
_CALLABLE = re.compile(r"(?:python:)?([\w.]+):([A-Za-z_][\w.]*)\Z")
_ADDRESS = re.compile(r"(?:tcp://)?(\[[\w:.%]+\]|[\w.-]+):(\d{1,9})\Z")


def renewed(target: Target) -> bool:
    """Makes the next case run in a new process of a target. Returns False if the target does not support that."""
    renew = getattr(target, "renew", None)
    return renew is not None and bool(renew())


def late(target: Target) -> str | None:
    """Waits a moment for a report about the last case. Returns a description of the crash; None without a crash."""
    wait = getattr(target, "late", None)
    crash: str | None = None if wait is None else wait()
    return crash


def run_case(target: Target, case: Case) -> Outcome:
    """Runs a case with its waits. Raises :class:`TargetError` if the case has waits and the target does not support them."""
    if case.sizes:
        return _run_series(target, case)
    if not case.waits:
        return target.run(case.data)
    if not isinstance(target, (CommandTarget, TcpTarget)):
        raise TargetError("the case is a dialogue, and only an address or a command supports waits")
    return target.run(case.data, case.waits)


def _run_series(target: Target, case: Case) -> Outcome:
    """Runs the inputs of a case from the smallest to the largest, until the target crashes or hangs."""
    outcomes: list[Outcome] = []
    is_new = False
    for start in case.starts:
        is_new = renewed(target)
        outcome = target.run(start)
        if outcomes and outcome.earlier is not None:
            # This crash belongs to the previous input.
            outcome = outcome._replace(crash=outcome.crash or outcome.earlier)
        outcomes.append(outcome)
        if outcome.crash is not None or outcome.hung:
            break
    grown = [outcome.grown for outcome in outcomes]
    if not is_new:
        # The growth in one process counts from the peak of the previous size.
        grown = list(accumulate(grown))
    said = [len(outcome.output) for outcome in outcomes]
    return outcomes[-1]._replace(grew=tuple(zip(grown, said, strict=True)), earlier=outcomes[0].earlier)


def open_target(
    text: str,
    *,
    answers: str = "frames",
    seconds: float = 5.0,
    allow_remote: bool = False,
    pid: int | None = None,
    log: str | None = None,
    start: str | None = None,
) -> Target:
    """Opens the target that a text names: ``module:callable``, ``host:port``, or a command with its arguments.

    ``answers``: one of :data:`ANSWERS`. ``seconds``: the maximum time per case. ``pid``: the process behind an address, whose
    memory is measured. ``log``: the file to which the server behind an address writes its errors. ``start``: the command that
    starts that server. Raises :class:`OSError` if the log cannot be read, and :class:`TargetError` for any other problem. An
    address that is not a loopback address is a problem unless ``allow_remote``. A name is resolved once, and all of its addresses
    are checked.
    """
    if answers not in ANSWERS:
        raise TargetError(f"answers are {', '.join(ANSWERS)}, not {quoted(answers)}")
    address = _ADDRESS.match(text)
    if address:
        if answers == "verdict":
            raise TargetError("a target behind an address has frames or events as answers, not verdicts")
        try:
            addresses = resolved(address[1].strip("[]"), int(address[2]), allow_remote=allow_remote)
        except ValueError as error:
            raise TargetError(str(error)) from None
        try:
            return TcpTarget(addresses, seconds=seconds, pid=pid, log=log, start=start)
        except ValueError as error:
            raise TargetError(
                f"argument --start: the command {quoted(start or '')} cannot be split into words: {error}"
            ) from None
    if log is not None or start is not None:
        raise TargetError(f"--log and --start need a server behind an address, and {quoted(text)} is not an address")
    if re.match(r"[a-z][a-z0-9+]*://", text):
        raise TargetError(
            f"there is no transport for {quoted(text)}; use tcp://host:port, module:callable, or a command"
        )
    if _CALLABLE.match(text):
        return CallableTarget(text.removeprefix("python:"), answers=answers, seconds=seconds)
    try:
        words = split_words(text)
    except ValueError as error:
        raise TargetError(f"the command {quoted(text)} cannot be split into words: {error}") from None
    return CommandTarget(words, answers=answers, seconds=seconds)


class CommandTarget:
    """A command that is run for each case: the case is its standard input, and its standard output is the result.

    With ``answers="verdict"``, its exit status is the verdict: 0 for yes, 1 for no. Otherwise any status up to 127 is accepted,
    unless its standard error has a sign of a crash (:mod:`hgproto.fuzz.signs`).
    """

    def __init__(self, command: list[str], *, answers: str = "frames", seconds: float = 5.0) -> None:
        if not command:
            raise TargetError("a command has at least one word")
        self._command = command
        self._answers = answers
        self._seconds = seconds
        self._usual: int | None = None
        self._usual_seconds = 0.0

    def run(self, data: bytes, waits: tuple[int, ...] = ()) -> Outcome:
        """Runs the command once. Before the first case, runs it without input to measure its usual memory and time.

        ``waits``: offsets in ``data`` at which input stops until the command is silent.
        """
        data = as_bytes(data, "data")
        if self._usual is None:
            self._usual = 0
            begun = time.monotonic()
            self._usual = self._once(b"", ()).grown
            self._usual_seconds = time.monotonic() - begun
        return self._once(data, waits)

    def _once(self, data: bytes, waits: tuple[int, ...]) -> Outcome:
        # An interpreter needs time to start; all waits together use at most half of the time.
        patience = min(FIRST_SILENCE + 2 * self._usual_seconds, self._seconds / 2 / (len(waits) or 1))
        try:
            ended = run(self._command, data, seconds=self._seconds, waits=waits, patience=patience)
        except (OSError, ValueError) as error:
            raise TargetError(f"{self._command[0]}: {getattr(error, 'strerror', None) or error}") from None
        said, details = ended.output, ended.errors.decode("utf-8", "replace")
        grown = max(0, ended.peak - (self._usual or 0))
        if ended.hung:
            return Outcome(said, None, details, hung=True, grown=grown, seen=ended.seen)
        crash = how_it_ended(ended.status, details, is_verdict=self._answers == "verdict")
        if self._answers == "verdict" and crash is None:
            said = b"no" if ended.status == 1 else b"yes"
        return Outcome(said, crash, details, grown=grown, seen=ended.seen)

    def renew(self) -> bool:
        """Returns True: every case runs in a new process."""
        return True

    def close(self) -> None:
        """Does nothing, because no process is running."""
