"""The memory of a target: the largest peak of its process and of the processes that this one has started.

Only Linux tells it. A process whose parent has ended belongs to another one there, so it is not measured.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys

__all__ = ["own_peak", "peak"]

_PEAK = re.compile(rb"^VmHWM:\s*(\d+) kB", re.MULTILINE)
_MOST = 64
"""Processes that are looked at: a target that leaves many behind would be slowed down by all of them."""


def peak(pid: int | None) -> int:
    """Returns the most bytes that a process or one of its descendants has had in memory; 0 where that is unknown.

    Of many descendants, those that were started last are looked at.
    """
    most, left = 0, [] if pid is None else [pid]
    for _ in range(_MOST):
        if not left:
            break
        one = left.pop()
        most = max(most, _peak_of(one))
        left += _children(one)
    return most


def own_peak() -> int:
    """Returns the peak of this process, of its descendants, and of those that it has waited for."""
    most = peak(os.getpid())
    if not most or sys.platform != "linux":
        return 0
    import resource

    return max(most, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10)


def _peak_of(pid: int) -> int:
    """The most bytes of a process that were in memory so far."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            found = _PEAK.search(file.read())
    except OSError:
        return 0
    return 0 if found is None else int(found[1]) << 10


def _children(pid: int) -> list[int]:
    """The processes that the threads of a process have started."""
    children: list[int] = []
    # The process may have ended, or one of its threads.
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                children += map(int, file.read().split())
    return children
