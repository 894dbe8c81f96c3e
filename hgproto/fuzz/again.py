"""Runs the case of a finding again, to check that the finding does not depend on the cases before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgproto.fuzz.locate import needs_place, without_place
from hgproto.fuzz.targets import late, renewed, run_case

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgproto.fuzz.cases import Case
    from hgproto.fuzz.oracles import Fault, Key, Oracle
    from hgproto.fuzz.outcomes import Outcome, Target

__all__ = ["Again", "shown_again"]


class Again(NamedTuple):
    """The result of a case that was run again.

    ``faults``: all faults. ``fault``: the fault of the finding, without a place; None if it did not show. ``new_process``: True
    if the case was the first of a process.
    """

    faults: list[Fault]
    fault: Fault | None
    new_process: bool


def shown_again(
    target: Target, oracle: Oracle, case: Case, key: Key, *, run: Callable[[Target, Case], Outcome] = run_case
) -> Again:
    """Runs a case in a new process if the target can start one. Waits for a late crash report."""
    kind, rule, cause = key
    keys = [key]
    unplaced = kind, rule, without_place(cause)
    # Other causes may end with words that look like a place.
    keys += [unplaced] * needs_place(*unplaced)
    new_process = renewed(target)
    outcome = run(target, case)
    faults = oracle.faults(case, outcome)
    if kind == "crash" and outcome.crash is None:
        crash = late(target)
        if crash is not None:
            faults = oracle.faults(case, outcome._replace(output=b"", crash=crash))
    fault = next((one for one in faults if one.key in keys), None)
    return Again(faults, fault, new_process)
