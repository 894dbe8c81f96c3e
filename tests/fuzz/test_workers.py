"""The process of a callable: it answers each message, says when it has ended, and leaves nothing behind."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from typing import Any

import pytest

from hgproto.fuzz import processes, workers
from hgproto.fuzz.workers import Worker


def test_messages_are_answered_in_order() -> None:
    worker = Worker(["builtins:bytes", "frames"])
    try:
        assert worker.read(30.0) == b"ready"
        for data in (b"one", b"", b"x" * (1 << 20)):
            worker.write(data)
            answer = worker.read(10.0)
            assert answer is not None
            head, _, rest = answer.partition(b"\n")
            assert rest == data
            assert json.loads(head)["crash"] is None
        with pytest.raises(TimeoutError):
            worker.read(0.01)
    finally:
        worker.stop()
    with suppress(TimeoutError):
        assert worker.read(1.0) is None


def test_its_end_is_seen() -> None:
    worker = Worker(["nowhere:nothing", "frames"])
    assert worker.read(30.0) == b"No module named 'nowhere'"
    assert worker.read(10.0) is None
    assert worker.stop() == 0


def interrupted(_: threading.Thread) -> None:
    raise KeyboardInterrupt


def test_an_interrupt_while_a_message_is_sent_does_not_keep_it_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(["builtins:bytes", "frames"])
    assert worker.read(30.0) == b"ready"
    with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
        patched.setattr(threading.Thread, "start", interrupted)
        worker.write(b"x")
    assert worker.stop() == 0


def test_an_interrupt_while_a_worker_starts_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[Any] = []

    def watched(process: Any) -> None:
        ended.append(process)
        processes.end(process)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        patched.setattr(workers, "end", watched)
        with pytest.raises(KeyboardInterrupt):
            Worker(["builtins:bytes", "frames"])
    assert [process.poll() is not None for process in ended] == [True]
