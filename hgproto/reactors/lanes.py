"""Work in order on the threads of an executor, beside other such work."""

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
"""Pieces of work that a thread does before it says so: waking another thread costs as much as compressing a page."""


class Lane(Generic[Work]):
    """The work of one stream, done in order by one thread at a time.

    ``run``: does some of the work; False if the lane has to pause, until :meth:`resume`.
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
        """Has something done after all that came before it. Raises what the executor raises; nothing is done then."""
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
        """Continues after a pause: with ``work``, then with all that was added meanwhile; here if the executor was shut down."""
        self._waiting.extendleft(reversed(work))
        try:
            self._executor.submit(self._work_off).add_done_callback(self._after)
        except RuntimeError:
            # An executor that was shut down does nothing more, and has done all that came before.
            self._work_off()

    @property
    def waiting(self) -> int:
        """How many pieces of work no thread has begun."""
        return len(self._waiting)

    def _after(self, future: Future[None]) -> None:
        """Reports the work that an executor has dropped: it was shut down, or its threads could not start."""
        shut = "the executor was shut down before the work was done"
        error = CancelledError(shut) if future.cancelled() else future.exception()
        if error is not None:
            self._drop(error)

    def _drop(self, error: BaseException) -> None:
        while True:
            # Work that is added meanwhile waits its turn too.
            with self._lock:
                dropped = list(self._waiting)
                self._waiting.clear()
                if not dropped:
                    self._running = False
                    return
            self._lost(dropped, error)

    def _work_off(self) -> None:
        # One task works off all that waits: a task for each piece would cost more than the piece.
        while True:
            with self._lock:
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                if not batch:
                    self._running = False
                    return
            if not self._run(batch):
                return
