"""Python callables as targets. Each runs in a process of its own, so that a crash, a hang, or growth affects only that process."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hgproto.errors import shown
from hgproto.fuzz.logs import MOST_GRACE, ErrorLog, crash_in
from hgproto.fuzz.outcomes import Outcome, TargetError
from hgproto.fuzz.signs import how_it_ended
from hgproto.fuzz.workers import Worker
from hgproto.runtime.bytelike import as_bytes, is_bytes_like

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


__all__ = ["CallableTarget", "WrongAnswerError", "bytes_of", "found", "lines_of_events"]

_FRESH = 1 << 23
"""The maximum growth of a process, in bytes, that still lets it run the next case."""


class CallableTarget:
    """A Python callable, in a process of its own.

    It receives bytes. With ``answers="frames"`` it returns bytes. With ``events`` it returns bytes with one JSON object per line,
    or an iterable of dicts. With ``verdict`` it returns False for no, and any other object for yes. An exception is a crash, and so
    is a report on its standard error (:mod:`hgproto.fuzz.signs`). Its standard error is copied to that of this process.
    """

    def __init__(self, name: str, *, answers: str = "frames", seconds: float = 5.0) -> None:
        self._name = name
        self._answers = answers
        self._seconds = seconds
        self._worker: Worker | None = None
        self._errors = _CopiedLog()
        self._is_late = self._closed = False
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
            # Drop the messages about its start; they do not belong to a case.
            self._errors.news()
            if hello != b"ready":
                self._stop()
                self._errors.news()
                raise TargetError((hello or b"it did not start").decode("utf-8", "replace"))
        return self._worker

    def run(self, data: bytes) -> Outcome:
        """Calls it once. Raises :class:`TargetError` if it returns an object of the wrong type for ``answers``."""
        data = as_bytes(data, "data")
        if self._closed:
            raise RuntimeError("the target is closed; open it again")
        earlier = self.late(0.0)
        self._errors.bound()
        return self._called(data)._replace(earlier=earlier)

    def _called(self, data: bytes) -> Outcome:
        worker = self._begun()
        worker.write(data)
        status: int | None = None
        try:
            answer = worker.read(self._seconds)
        except TimeoutError:
            # The case counts as a hang even if the callable ends before it is stopped.
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
            # The peak of a process can be measured only once.
            self._stop()
        if told["is_wrong"]:
            raise TargetError(f"{self._name} returned {rest.decode('utf-8', 'replace')}")
        if told["crash"] is not None:
            return Outcome(b"", told["crash"], rest.decode("utf-8", "replace"), grown=told["grown"])
        return Outcome(rest, sign, details, hung=told["endless"] and sign is None, grown=told["grown"])

    def late(self, seconds: float = MOST_GRACE) -> str | None:
        """Returns the crash report that was written since the last case, after at most ``seconds``; None if there is none."""
        earlier, self._earlier = self._earlier, None
        sign, _ = crash_in([self._errors], 0.0 if earlier else seconds)
        if sign is not None:
            # It writes late, so it gets more time from now on.
            self._is_late = True
        return earlier or sign

    def _stop(self) -> int | None:
        """Ends the worker. Returns its exit status; None if it was still running."""
        worker, self._worker = self._worker, None
        assert worker is not None  # noqa: S101 - for type checkers
        return worker.stop()

    def renew(self) -> bool:
        """Starts a new process and runs one empty case in it."""
        self._earlier = self.late(0.0)
        if self._worker is not None:
            self._stop()
        self._earlier = self.run(b"").earlier
        return True

    def close(self) -> None:
        """Ends the process. Closing again does nothing."""
        if self._closed:
            return
        self._closed = True
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
            # The campaign continues even if standard error cannot be written.
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(data.decode("utf-8", "backslashreplace"))
                sys.stderr.flush()
        return data


def found(name: str) -> Callable[[bytes], Any]:
    """Returns the callable of a name. Raises :class:`TargetError`."""
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


class WrongAnswerError(TargetError):
    """A callable returned an object of the wrong type. The message describes the object."""


def bytes_of(answer: Any) -> bytes:
    """Returns the bytes of the frames that a callable returned. Raises :class:`WrongAnswerError`."""
    if not is_bytes_like(answer):
        raise WrongAnswerError(f"{_kind(answer)}; {_ADVICE['frames']}")
    return as_bytes(answer)


def lines_of_events(answer: Any) -> Iterator[bytes]:
    """Yields the events that a callable returned as JSON, one line each.

    ``answer``: bytes with a JSON object in each line, or an iterable of dicts. Raises :class:`WrongAnswerError` for any other
    object, and whatever the iterable raises.
    """
    if is_bytes_like(answer):
        yield from _checked_lines(as_bytes(answer))
        return
    if isinstance(answer, str | Mapping) or not isinstance(answer, Iterable):
        raise WrongAnswerError(f"{_kind(answer)}; {_ADVICE['events']}")
    for event in answer:
        if not isinstance(event, dict):
            raise WrongAnswerError(f"an iterable with {_kind(event)}; {_ADVICE['events']}")
        try:
            line = json.dumps(event).encode()
        except (TypeError, ValueError, RecursionError):
            raise WrongAnswerError(f"an event that JSON cannot hold: {shown(event)}; {_ADVICE['events']}") from None
        yield line + b"\n"


def _checked_lines(data: bytes) -> Iterator[bytes]:
    for line in data.splitlines():
        if not line.strip():
            continue
        try:
            is_object = isinstance(json.loads(line), dict)
        except (ValueError, RecursionError):
            is_object = False
        if not is_object:
            what = f"bytes with a line that is not a JSON object: {shown(line)}"
            raise WrongAnswerError(f"{what}; {_ADVICE['events']}")
        yield line + b"\n"


def _kind(value: object) -> str:
    return f"an object of type {type(value).__name__}: {shown(value)}"


_ADVICE = {
    "frames": 'with the answers "frames", return bytes',
    "events": 'with the answers "events", return bytes with one JSON object per line, or an iterable of dicts',
}
