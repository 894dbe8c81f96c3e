"""Python callables as targets: each runs in a process of its own, so that it may crash, hang, and grow like any other."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from typing import TYPE_CHECKING, Any

from hgproto.fuzz.logs import MOST_GRACE, ErrorLog, crash_in
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
    for no and anything else for yes. What it raises is a crash, and so is a report on its standard error
    (:mod:`hgproto.fuzz.signs`), which is copied to that of this process.
    """

    def __init__(self, name: str, *, answers: str = "frames", seconds: float = 5.0) -> None:
        self._name = name
        self._answers = answers
        self._seconds = seconds
        self._worker: Worker | None = None
        self._errors = _CopiedLog()
        self._is_late = False
        self._earlier: str | None = None
        try:
            self._begun()
        except BaseException:
            self._errors.close()
            raise

    def _begun(self) -> Worker:
        if self._worker is None:
            with self._errors.opened() as errors:
                worker = self._worker = Worker([self._name, self._answers], errors=errors)
            try:
                hello = worker.read(max(self._seconds, 30.0))
            except TimeoutError:
                hello = None
            except BaseException:
                self._stop()
                raise
            # What it writes about its start is no part of a case.
            self._errors.news()
            if hello != b"ready":
                self._stop()
                self._errors.news()
                raise TargetError((hello or b"it did not start").decode("utf-8", "replace"))
        return self._worker

    def run(self, octets: bytes) -> Outcome:
        """Calls it once."""
        earlier = self.late(0.0)
        self._errors.bound()
        return self._called(octets)._replace(earlier=earlier)

    def _called(self, octets: bytes) -> Outcome:
        worker = self._begun()
        worker.write(octets)
        status: int | None = None
        try:
            answer = worker.read(self._seconds)
        except TimeoutError:
            # Even if it is done before it is stopped.
            self._stop()
            answer = None
        else:
            status = self._stop() if answer is None else None
        sign, details = crash_in([self._errors], MOST_GRACE if self._is_late else 0.0)
        if answer is None:
            crash = sign
            if status is not None:
                crash = how_it_ended(status, details, is_verdict=False) or f"exit status {status}"
            return Outcome(b"", crash, details, hung=crash is None)
        head, _, rest = answer.partition(b"\n")
        told = json.loads(head)
        if told["grown"] > _FRESH:
            # A peak is seen once in a process.
            self._stop()
        if told["crash"] is not None:
            return Outcome(b"", told["crash"], rest.decode("utf-8", "replace"), grown=told["grown"])
        return Outcome(rest, sign, details, hung=told["endless"] and sign is None, grown=told["grown"])

    def late(self, seconds: float = MOST_GRACE) -> str | None:
        """Returns the report that was written since the last case was judged, after at most some seconds; None without one."""
        earlier, self._earlier = self._earlier, None
        sign, _ = crash_in([self._errors], 0.0 if earlier else seconds)
        if sign is not None:
            # It writes late, so it gets more time from now on.
            self._is_late = True
        return earlier or sign

    def _stop(self) -> int | None:
        """Ends the worker; gives its exit status, None when it was still running."""
        worker, self._worker = self._worker, None
        assert worker is not None  # noqa: S101 - for type checkers
        return worker.stop()

    def renew(self) -> bool:
        """Starts a new process, which has run one empty case."""
        self._earlier = self.late(0.0)
        if self._worker is not None:
            self._stop()
        self._earlier = self.run(b"").earlier
        return True

    def close(self) -> None:
        """Ends the process."""
        try:
            if self._worker is not None:
                self._stop()
        finally:
            self._errors.news()
            self._errors.close()


class _CopiedLog(ErrorLog):
    """A log that is copied to the standard error of this process as it is read."""

    def news(self) -> bytes:
        data = super().news()
        if data and sys.stderr is not None:
            # A standard error that cannot be written to takes nothing from the campaign.
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(data.decode("utf-8", "backslashreplace"))
                sys.stderr.flush()
        return data


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
