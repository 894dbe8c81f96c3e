"""The benchmark of the validator does what it says: all see the same frames, and captures are valid. No time is asserted."""

from __future__ import annotations

import subprocess
import sys

import pytest
from benchmarks import validate

from hgproto.judging.validation import Validator
from hgproto.revisions.framing_0002 import codec
from hgproto.wire.reader import read_frames


@pytest.mark.parametrize("task", validate.tasks(7), ids=lambda task: task.title)
def test_all_see_the_same_frames(task: validate.Task) -> None:
    frames = list(read_frames(task.data))
    assert len(frames) == task.frames
    assert {name: prepare(task)() for name, prepare in validate.CONTESTANTS.items()} == dict.fromkeys(
        validate.CONTESTANTS, task.frames
    )


def test_a_single_frame_has_sixteen_bytes() -> None:
    single, _, answers = validate.tasks(3)
    for task in (single, answers):
        assert {len(frame.payload) for frame in read_frames(task.data)} == {16}
        assert {int(frame.request_id) for frame in read_frames(task.data)} == {1, 3, 5}


def test_what_is_not_valid_is_not_timed() -> None:
    task = validate.tasks(2)[0]
    broken = task._replace(data=task.data + task.data)
    with pytest.raises(ValueError, match="not valid"):
        validate.validating(broken)()


def test_a_long_capture_is_valid_all_the_way_round() -> None:
    data = b"".join(validate.capture(3_000_000))
    assert 3_000_000 <= len(data) < 4_000_000
    validator = Validator("client")
    assert list(validator.feed(data)) == []
    assert validator.frames == len(data) // (codec.HEADER_BYTES + 16)
    assert [finding.id for finding in validator.close()] == ["stream.end"]
    head, *lines = validate.long_run(3_000_000)
    assert head.endswith("peak memory")
    assert 3 <= len(lines) <= 5
    assert lines[-1].endswith(" MiB")


@pytest.mark.parametrize(
    ("reactor", "validator", "text"),
    [
        (1.0, 2.0, ">= 400 k/s: met"),
        (1.0, 2.6, ">= 400 k/s: MISSED"),
        (2.0, 3.9, ">= 250 k/s: met"),
        (2.0, 4.1, ">= 250 k/s: MISSED"),
    ],
)
def test_targets(reactor: float, validator: float, text: str) -> None:
    lines = [
        validate.Line(name, time) for name, time in zip(validate.CONTESTANTS, (0.5, reactor, validator), strict=True)
    ]
    assert validate.judged(lines) == text
    assert list(validate.report(validate.tasks(1)[0], lines))[-1].endswith(text)


def test_the_exit_status_says_whether_a_target_is_missed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for time, status in ((2.0, 0), (9.0, 1)):
        lines = [validate.Line(name, time if name == "validate" else 1.0) for name in validate.CONTESTANTS]
        monkeypatch.setattr(validate, "timed", lambda *_, lines=lines: lines)
        assert validate.main(["--quick"]) == status
        assert capsys.readouterr().out.count("validate  ") == 3


def test_the_script_runs_by_itself() -> None:
    shown = subprocess.run([sys.executable, validate.__file__, "--help"], capture_output=True, text=True, check=True)
    assert "--capture" in shown.stdout
