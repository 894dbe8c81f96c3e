"""Lanes: work that an executor's threads do in order within a lane, and in parallel with other lanes."""

from __future__ import annotations

from collections import deque
from concurrent.futures import CancelledError
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor, Future

__all__ = ["BATCH", "Lane"]

Work = TypeVar("Work")

BATCH = 16
"""Work items that a thread does before it reports them. Waking a thread costs as much as compressing a page."""


class Lane(Generic[Work]):
    """The work of one stream, which one thread at a time does in order.

    ``run``: does some of the work; returns False to pause the lane until :meth:`resume`. ``lost``: receives the work
    that the executor has dropped, and the error.
    """

    __slots__ = ("_executor", "_lock", "_lost", "_run", "_running", "_waiting")

    def __init__(
        self, executor: Executor, run: Callable[[list[Work]], bool], lost: Callable[[list[Work], BaseException], None]
    ) -> None:
        self._executor = executor
        self._run = run
        self._lost = lost
        self._waiting: deque[Work] = deque()
        self._lock = Lock()
        self._running = False

    def add(self, work: Work) -> None:
        """Adds work after all earlier work. If the executor raises an exception, the work is not added."""
        with self._lock:
            self._waiting.append(work)
            if self._running:
                return
            self._running = True
        try:
            self._executor.submit(self._work_off).add_done_callback(self._after)
        except BaseException:
            with self._lock:
                self._waiting.remove(work)
                self._running = False
            raise

    def resume(self, work: list[Work]) -> None:
        """Continues after a pause with ``work``, then with work that was added meanwhile.

        If the executor was shut down, the work is done on the caller's thread.
        """
        self._waiting.extendleft(reversed(work))
        try:
            self._executor.submit(self._work_off).add_done_callback(self._after)
        except RuntimeError:
            # The executor was shut down: it has done all earlier work, and this call does the rest.
            self._work_off()

    @property
    def waiting(self) -> int:
        """The number of work items that no thread has begun."""
        return len(self._waiting)

    def _after(self, future: Future[None]) -> None:
        """Reports the work that an executor has dropped because it was shut down or could not start a thread."""
        shut = "the executor was shut down before the work was done"
        error = CancelledError(shut) if future.cancelled() else future.exception()
        if error is not None:
            self._drop(error)

    def _drop(self, error: BaseException) -> None:
        while True:
            # This loop also drops work that is added meanwhile.
            with self._lock:
                dropped = list(self._waiting)
                self._waiting.clear()
                if not dropped:
                    self._running = False
                    return
            self._lost(dropped, error)

    def _work_off(self) -> None:
        # One task does all waiting work: a task per item would cost more than the item.
        while True:
            with self._lock:
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                if not batch:
                    self._running = False
                    return
            if not self._run(batch):
                return
