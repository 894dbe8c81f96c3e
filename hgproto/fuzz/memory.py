"""The memory of a target: the largest peak of its process and of that process's descendants.

It can be measured only on Linux. A descendant whose parent has ended is not measured, because it has a new parent.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys

__all__ = ["own_peak", "peak"]

_PEAK = re.compile(rb"^VmHWM:\s*(\d+) kB", re.MULTILINE)
_MOST = 64
"""The maximum number of processes that are measured, so that many left-over processes do not slow the campaign down."""


def peak(pid: int | None) -> int:
    """Returns the peak memory, in bytes, of a process or one of its descendants; 0 if unknown.

    If there are many descendants, those started last are measured.
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
    """Returns the peak memory, in bytes, of this process, its descendants, and the processes that it has waited for."""
    most = peak(os.getpid())
    if not most or sys.platform != "linux":
        return 0
    import resource

    return max(most, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10)


def _peak_of(pid: int) -> int:
    """Returns the peak memory of a process so far, in bytes."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            found = _PEAK.search(file.read())
    except OSError:
        return 0
    return 0 if found is None else int(found[1]) << 10


def _children(pid: int) -> list[int]:
    """Returns the ids of the processes that the threads of a process have started."""
    children: list[int] = []
    # The process or one of its threads may have ended.
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                children += map(int, file.read().split())
    return children
