"""How contestants are timed: in turns, each one's fastest run counting.

A machine that does other work slows a run down and never speeds one up, so the minimum over many runs is what is
comparable; taking turns spreads a slow second over all contestants.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from time import perf_counter_ns
from types import FunctionType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Contestant", "last", "measure", "own"]

Input = TypeVar("Input")
Function = TypeVar("Function", bound="Callable[..., Any]")

SLOT_NS = 2_000_000
"""How long a contestant's turn lasts at the least; one whose run is shorter runs again."""
MIN_ROUNDS = 3


def last(items: Sequence[Any]) -> Any:
    """The last of ``items``."""
    return items[-1]


def itself(value: Any) -> Any:
    """``value``."""
    return value


@dataclass(frozen=True)
class Contestant(Generic[Input]):
    """A way to do a task.

    ``prepare`` makes, from the input, what is timed: a function that handles the whole input and returns its last
    result, so that running it on every prefix of an input proves every result. ``plain`` makes that result comparable
    with ``want`` of the input. ``hand`` marks the hand-written loops that the others are measured by. ``share``: only
    one part in so many of the input is used, by those that are slow. Targets: ``at_most`` times the fastest
    hand-written loop; ``slower`` times ours, at the least.
    """

    name: str
    prepare: Callable[[Sequence[Input]], Callable[[], Any]]
    plain: Callable[[Any], Any] = itself
    want: Callable[[Sequence[Input]], Any] = last
    hand: bool = False
    ours: bool = False
    share: int = 1
    at_most: float | None = None
    slower: float | None = None


def own(function: Function) -> Function:
    """A copy of ``function`` with a code object of its own.

    The interpreter specialises code for what it has called so far: contestants that shared a loop would undo each
    other's.
    """
    assert isinstance(function, FunctionType)
    copy: Any = FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    return copy  # type: ignore[no-any-return]


def measure(runs: Sequence[tuple[Callable[[], object], int]], seconds: float) -> list[float]:
    """The fastest time of each run, in ns a unit; ``runs`` are functions and how many units each handles.

    Rounds go on for ``seconds``; there are some, however slow they are.
    """
    best = [float("inf")] * len(runs)
    gc.collect()
    end = perf_counter_ns() + int(seconds * 1e9)
    rounds = 0
    while rounds < MIN_ROUNDS or perf_counter_ns() < end:
        for place, (run, units) in enumerate(runs):
            turn_ends = perf_counter_ns() + SLOT_NS
            while True:
                start = perf_counter_ns()
                run()
                stop = perf_counter_ns()
                best[place] = min(best[place], (stop - start) / units)
                if stop >= turn_ends:
                    break
        rounds += 1
    return best
