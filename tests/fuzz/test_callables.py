"""Reports on the standard error of a callable: they count, as those of a command and of a server do, and the user sees them."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

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
def in_thread(octets):
    thread = threading.Thread(target=fails, args=(octets,))
    thread.start()
    thread.join()
    return b""
def fails(octets):
    raise LookupError(octets)
def logged(octets):
    try:
        fails(octets)
    except LookupError:
        logging.exception("a command failed")
    return b""
def dumped(octets):
    faulthandler.enable()
    os.abort()
def stuck(octets):
    in_thread(octets)
    time.sleep(60)
def left(octets):
    logged(octets)
    os._exit(3)
def rejects(octets):
    print("Error: bad frame", file=sys.stderr)
    print("a line of output", flush=True)
    return b""
def both(octets):
    logged(octets)
    raise ValueError
def late(octets):
    if octets == b"late":
        threading.Thread(target=waits).start()
    return octets
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
