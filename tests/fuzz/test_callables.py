"""Reports on the standard error of a callable: they count, as those of a command and of a server do, and the user sees them."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from hgproto.cli import main
from hgproto.fuzz import Campaign, Oracle, TargetError, open_target
from hgproto.fuzz import callables as module
from hgproto.fuzz.cases import Case
from hgproto.fuzz.targets import late

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hgproto.fuzz.targets import Target

PROGRAM = """\
import faulthandler, logging, os, sys, threading, time
print("loaded", file=sys.stderr)
logging.warning("an optional module is missing", exc_info=KeyError("x"))
def in_thread(data):
    thread = threading.Thread(target=fails, args=(data,))
    thread.start()
    thread.join()
    return b""
def fails(data):
    raise LookupError(data)
def logged(data):
    try:
        fails(data)
    except LookupError:
        logging.exception("a command failed")
    return b""
def dumped(data):
    faulthandler.enable()
    os.abort()
def stuck(data):
    in_thread(data)
    time.sleep(60)
def left(data):
    logged(data)
    os._exit(3)
def rejects(data):
    print("Error: bad frame", file=sys.stderr)
    print("a line of output", flush=True)
    return b""
def both(data):
    logged(data)
    raise ValueError
def late(data):
    if data == b"late":
        threading.Thread(target=waits).start()
    return data
def waits():
    while not os.path.exists("go"):
        time.sleep(0.001)
    fails(b"")
"""
FAILED = "LookupError in fails (reports.py:10)"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reports.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    target = open_target(f"reports:{request.param}", seconds=2.0 if request.param == "stuck" else 60.0)
    yield target
    target.close()


@pytest.mark.parametrize(
    ("target", "crash"),
    [
        ("in_thread", FAILED),
        ("logged", FAILED),
        ("dumped", "killed by SIGABRT: Fatal Python error: Aborted in dumped (reports.py:19)"),
        ("stuck", FAILED),
        ("left", f"exit status 3: {FAILED}"),
        ("rejects", None),
        ("both", "ValueError in both (reports.py:32)"),
    ],
    indirect=["target"],
)
def test_reports_on_standard_error_are_crashes(
    capsys: pytest.CaptureFixture[str], target: Target, crash: str | None
) -> None:
    for _ in range(2):
        outcome = target.run(b"abc")
        assert (outcome.crash, outcome.hung, outcome.earlier) == (crash, False, None)
    errors = capsys.readouterr().err
    # All that is written is passed on.
    assert ("Error: bad frame\na line of output\n" in errors) == (crash is None)
    assert ("LookupError" in errors) == (crash is not None and "Fatal" not in crash)


@pytest.mark.parametrize("target", ["late"], indirect=True)
def test_a_report_that_comes_late_belongs_to_the_case_before(target: Target, tmp_path: Path) -> None:
    # As long as it takes: the report comes when the case is over.
    assert target.run(b"late").crash is None
    (tmp_path / "go").touch()
    sign = None
    while sign is None:
        sign = late(target)
    assert sign == FAILED
    (tmp_path / "go").unlink()
    assert target.run(b"late").earlier is None
    (tmp_path / "go").touch()
    outcomes = [target.run(b"good")]
    while all(outcome.earlier is None and outcome.crash is None for outcome in outcomes):
        outcomes.append(target.run(b"good"))
    assert FAILED in (outcomes[-1].earlier, outcomes[-1].crash)


@pytest.mark.parametrize("target", ["in_thread"], indirect=True)
def test_a_campaign_finds_a_report(target: Target) -> None:
    report = Campaign(target, Oracle(), [Case(b"abc", "one")], minimize_seconds=0.1).run()
    assert [finding.fault.key for finding in report.findings] == [("crash", "", "LookupError in fails (reports.py:N)")]


def test_what_is_written_at_the_start_is_no_part_of_a_case(capsys: pytest.CaptureFixture[str]) -> None:
    target = open_target("reports:rejects", seconds=60.0)
    try:
        assert target.run(b"abc").crash is None
    finally:
        target.close()
    errors = capsys.readouterr().err
    assert errors.startswith("loaded\n")
    assert "an optional module is missing" in errors
    with pytest.raises(TargetError, match="no attribute 'nothing'"):
        open_target("reports:nothing")
    assert capsys.readouterr().err.startswith("loaded\n")


def test_the_file_of_standard_error_is_bounded_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "kept"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("hgproto.fuzz.logs._MOST_KEPT", 1000)
    (tmp_path / "kept").mkdir()
    target = open_target("reports:rejects", seconds=60.0)
    (file,) = (tmp_path / "kept").iterdir()
    sizes = []
    for _ in range(100):
        target.run(b"abc")
        sizes.append(file.stat().st_size)
    target.close()
    assert max(sizes) < 1100
    assert len(sizes) * len("Error: bad frame\na line of output\n") > 2 * max(sizes)
    assert list((tmp_path / "kept").iterdir()) == []
    with pytest.raises(TargetError, match="No module named 'nowhere'"):
        open_target("nowhere:nothing")
    assert list((tmp_path / "kept").iterdir()) == []


def test_nothing_is_left_of_a_target_that_is_closed() -> None:
    handles, threads = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc") else 0, threading.active_count()
    target = module.CallableTarget("reports:logged", seconds=60.0)
    target.run(b"abc")
    assert target.renew()
    target.close()
    assert threading.active_count() == threads
    assert not handles or len(os.listdir("/proc/self/fd")) == handles


ANSWERS = """\
import json
EVENTS = [{"event": "want-frame"}, {"event": "error", "requirement": "frame.whole"}]
LINES = b"".join(json.dumps(event).encode() + b"\\n" for event in EVENTS)
def dicts(data): return EVENTS
def tuples(data): return tuple(EVENTS)
def generator(data): yield from EVENTS
def lines(data): return LINES
def array(data): return bytearray(LINES)
def view(data): return memoryview(LINES)
def spaced(data): return b"\\n" + LINES.replace(b"\\n", b"\\r\\n\\n").strip()
def nothing(data): return b""
def none(data): return None
def number(data): return 7
def text(data): return LINES.decode()
def one(data): return EVENTS[0]
def numbers(data): return [1, 2]
def lists(data): return iter([EVENTS[0], []])
def unknown(data): return [{"data": b"x"}]
def frames(data): return b"\\x00\\x00"
def words(data): return b"yes\\n"
def numeric(data): return LINES + b"8\\n"
def nested(data): return b"[" * 100_000
def raises(data):
    yield EVENTS[0]
    raise TypeError("of the target")
"""


@pytest.fixture
def answers(tmp_path: Path) -> str:
    (tmp_path / "answers.py").write_text(ANSWERS)
    return "answers"


@pytest.mark.parametrize("name", ["dicts", "tuples", "generator", "lines", "array", "view", "spaced", "nothing"])
def test_events_are_dicts_or_lines_of_json(answers: str, name: str) -> None:
    target = open_target(f"{answers}:{name}", answers="events", seconds=60.0)
    try:
        outcome = target.run(b"abc")
    finally:
        target.close()
    events = [json.loads(line) for line in outcome.output.splitlines() if line]
    wanted = [] if name == "nothing" else ["want-frame", "error"]
    assert (outcome.crash, [event["event"] for event in events]) == (None, wanted)


@pytest.mark.parametrize(
    ("name", "kind", "what"),
    [
        ("none", "events", "an object of type NoneType: None"),
        ("number", "events", "an object of type int: 7"),
        ("text", "events", "an object of type str: '{"),
        ("one", "events", "an object of type dict: {'event': 'want-frame'}"),
        ("numbers", "events", "an iterable with an object of type int: 1"),
        ("lists", "events", r"an iterable with an object of type list: \[\]"),
        ("unknown", "events", r"an event that JSON cannot hold: {'data': b'x'}"),
        ("frames", "events", r"bytes with a line that is not a JSON object: b'\\x00\\x00'"),
        ("words", "events", "bytes with a line that is not a JSON object: b'yes'"),
        ("numeric", "events", "bytes with a line that is not a JSON object: b'8'"),
        ("nested", "events", r"bytes with a line that is not a JSON object: b'\[\["),
        ("none", "frames", "an object of type NoneType: None"),
        ("text", "frames", "an object of type str: '{"),
        ("dicts", "frames", r"an object of type list: \[{"),
    ],
)
def test_an_answer_of_another_kind_is_an_error_and_no_crash(answers: str, name: str, kind: str, what: str) -> None:
    target = open_target(f"{answers}:{name}", answers=kind, seconds=60.0)
    try:
        for _ in range(2):
            with pytest.raises(
                TargetError, match=f'^answers:{name} returned {what}.*; with the answers "{kind}", return'
            ):
                target.run(b"abc")
    finally:
        target.close()


def test_an_exception_of_an_iterator_is_a_crash(answers: str) -> None:
    target = open_target(f"{answers}:raises", answers="events", seconds=60.0)
    try:
        assert target.run(b"abc").crash == "TypeError in raises (answers.py:25)"
    finally:
        target.close()


@pytest.mark.parametrize(("name", "code"), [("lines", 0), ("numbers", 2)])
def test_a_campaign_ends_at_an_answer_of_another_kind(
    answers: str, name: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(
        "import json\nfrom hgproto.fuzz.echo import client_events\n"
        "def lines(data): return b''.join(json.dumps(e).encode() + b'\\n' for e in client_events(data))\n"
        "def numbers(data): return [1]\n"
    )
    try:
        ended = main(["fuzz", f"mine:{name}", "--role", "client", "--answers", "events", "--max-cases", "20"])
    except SystemExit as stopped:
        ended = int(stopped.code or 0)
    said = capsys.readouterr()
    assert ended == code, said
    if code:
        assert "argument TARGET: mine:numbers returned an iterable with an object of type int: 1" in said.err
        assert not (tmp_path / "findings").exists()
    else:
        assert "0 findings in 20 cases" in said.out + said.err


def test_what_is_no_bytes_is_refused_and_a_closed_target_says_so() -> None:
    target = open_target("hgproto.fuzz.echo:serve")
    try:
        with pytest.raises(TypeError, match="data must be bytes or another buffer of bytes, not str"):
            target.run("x")  # type: ignore[arg-type]
        buffer: Any = bytearray(b"")
        assert target.run(buffer).output == target.run(b"").output
    finally:
        target.close()
    target.close()
    with pytest.raises(RuntimeError, match="the target is closed; open it again"):
        target.run(b"")
