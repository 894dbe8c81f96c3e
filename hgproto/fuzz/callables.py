"""Python callables as targets: each runs in a process of its own, so that it may crash, hang, and grow like any other."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any

from hgproto.fuzz.outcomes import Outcome, TargetError
from hgproto.fuzz.signs import how_it_ended
from hgproto.fuzz.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["CallableTarget", "found", "lines_of_events"]

_FRESH = 1 << 23
"""Octets by which a process may have grown and still serve the next case."""


class CallableTarget:
    """A Python callable, in a process of its own.

    It takes octets. With ``answers="frames"`` it gives octets, with ``events`` an iterable of dicts, with ``verdict`` False
    for no and anything else for yes. What it raises is a crash.
    """

    def __init__(self, name: str, *, answers: str = "frames", seconds: float = 5.0) -> None:
        self._name = name
        self._answers = answers
        self._seconds = seconds
        self._worker: Worker | None = None
        self._begun()

    def _begun(self) -> Worker:
        if self._worker is None:
            worker = self._worker = Worker([self._name, self._answers])
            try:
                hello = worker.read(max(self._seconds, 30.0))
            except TimeoutError:
                hello = None
            except BaseException:
                self._stop()
                raise
            if hello != b"ready":
                self._stop()
                raise TargetError((hello or b"it did not start").decode("utf-8", "replace"))
        return self._worker

    def run(self, octets: bytes) -> Outcome:
        """Calls it once."""
        worker = self._begun()
        worker.write(octets)
        try:
            answer = worker.read(self._seconds)
        except TimeoutError:
            # Even if it is done before it is stopped.
            self._stop()
            return Outcome(b"", hung=True)
        if answer is None:
            status = self._stop()
            if status is None:
                return Outcome(b"", hung=True)
            return Outcome(b"", how_it_ended(status, "", is_verdict=False) or f"exit status {status}")
        head, _, rest = answer.partition(b"\n")
        told = json.loads(head)
        if told["grown"] > _FRESH:
            # A peak is seen once in a process.
            self._stop()
        if told["crash"] is not None:
            return Outcome(b"", told["crash"], rest.decode("utf-8", "replace"), grown=told["grown"])
        return Outcome(rest, hung=told["endless"], grown=told["grown"])

    def _stop(self) -> int | None:
        """Ends the worker; gives its exit status, None when it was still running."""
        worker, self._worker = self._worker, None
        assert worker is not None  # noqa: S101 - for type checkers
        return worker.stop()

    def renew(self) -> None:
        """Starts a new process, which has run one empty case."""
        self.close()
        self.run(b"")

    def close(self) -> None:
        """Ends the process."""
        if self._worker is not None:
            self._stop()


def found(name: str) -> Callable[[bytes], Any]:
    """The callable of a name. Raises :class:`TargetError`."""
    module_name, _, path = name.partition(":")
    try:
        value: Any = importlib.import_module(module_name)
        for part in path.split("."):
            value = getattr(value, part)
    except (ImportError, AttributeError) as error:
        raise TargetError(str(error)) from None
    if not callable(value):
        raise TargetError(f"{name} is not callable")
    called: Callable[[bytes], Any] = value
    return called


def lines_of_events(events: Any) -> Iterator[bytes]:
    """Events as JSON, a line each."""
    for event in events:
        yield json.dumps(event).encode() + b"\n"
