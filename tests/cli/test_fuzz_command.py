"""``hgproto fuzz``: nothing that it found is lost, and many findings are shown again at once."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from support import ROOT

from hgproto.cli import fuzz as fuzz_module
from hgproto.cli import fuzz_report, main, parser
from hgproto.cli.fuzz_report import command_of_target
from hgproto.errors import LocalProtocolError
from hgproto.fuzz import FuzzFinding, cases, oracles
from hgproto.fuzz import findings as findings_module
from hgproto.fuzz.campaign import Report
from hgproto.fuzz.cases import Case
from hgproto.fuzz.findings import read_finding
from hgproto.fuzz.oracles import Fault
from hgproto.system.stdio import write_whole

if TYPE_CHECKING:
    from pathlib import Path

MODULE = """
import threading, time
from hgproto.fuzz.echo import serve
def crash(data):
    if data:
        raise RuntimeError
    return b""
def other(data):
    if data:
        raise RuntimeError
    return b""
def picky(data):
    if data == b"bad":
        raise RuntimeError
    return serve(data)
calls = 0
def third(data):
    global calls
    calls += 1
    if calls == 3:
        raise RuntimeError
    return serve(data)
def late(data):
    threading.Timer(0.1, fails).start()
    return serve(data)
def fails():
    raise RuntimeError
def slow(data):
    time.sleep(0.2)
    raise RuntimeError
"""
FAULT = Fault("crash", "", "RuntimeError", "an end without a crash", "RuntimeError")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command in a directory with a module to be fuzzed; gives its exit status, output and errors."""
    (tmp_path / "mine.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)

    def fuzz(*words: str) -> tuple[int, str, str]:
        try:
            status = main(["fuzz", *words])
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        said = capsys.readouterr()
        return status, said.out, said.err

    return fuzz


# Replaying.


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Files by what comes of them: a finding that still shows, one that does not, none, and none that is there."""
    bad, good = (
        FuzzFinding(Case(data, "session 1"), FAULT, 1, 7, 0.5, 3, ("mine:picky",)).write(str(tmp_path / name))
        for name, data in (("bad", b"bad"), ("good", b""))
    )
    once = FuzzFinding(Case(b"", "session 1"), FAULT, 1, 7, 0.5, 3, ("mine:picky",), shown_again=False)
    (tmp_path / "other.json").write_text("{}")
    return {
        name: os.path.relpath(path, tmp_path)
        for name, path in {
            "shows": bad,
            "mended": good,
            "once": once.write(str(tmp_path / "once")),
            "nonsense": str(tmp_path / "other.json"),
            "missing": str(tmp_path / "none.json"),
            "directory": str(tmp_path),
        }.items()
    }


SAID = {
    "shows": (1, "crash: expected an end without a crash, found RuntimeError in picky (mine.py:14)"),
    "mended": (1, "fixed: no fault any more"),
    "once": (1, "no fault this time; the case was not reproduced when it was found, either"),
    "nonsense": (2, "expected a finding of hgproto fuzz"),
    "missing": (2, "No such file or directory"),
    "directory": (2, "Is a directory"),
}
"""Where each is told, output or errors, and in which words."""


@pytest.mark.parametrize(
    ("names", "status"),
    [
        (["shows"], 1),
        (["mended"], 0),
        (["mended", "shows", "mended"], 1),
        (["mended", "mended"], 0),
        (["once", "mended"], 0),
        (["once", "shows"], 1),
        (["missing"], 3),
        (["directory", "mended"], 3),
        (["missing", "shows"], 1),
        (["shows", "missing"], 1),
        (["nonsense"], 1),
        (["nonsense", "missing", "mended"], 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_findings_are_shown_again_a_line_for_each(
    names: list[str], status: int, run: Any, files: dict[str, str]
) -> None:
    found, *said = run("mine:picky", "--replay", *(files[name] for name in names))
    assert found == status
    for place in (1, 2):
        lines = [f"{files[name]}: {SAID[name][1]}" for name in names if SAID[name][0] == place]
        prefix = "" if place == 1 else "hgproto: "
        assert said[place - 1].splitlines() == [prefix + line for line in lines]


def test_the_option_may_come_again(run: Any, files: dict[str, str]) -> None:
    status, output, _ = run("mine:picky", "--replay", files["mended"], "--replay", files["shows"])
    assert (status, output.count("\n")) == (1, 2)


def test_findings_after_one_that_ends_the_server_are_said_to_be_left(run: Any, files: dict[str, str]) -> None:
    program = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); "
        "s.accept()[0].recv(1)"
    )
    with subprocess.Popen([sys.executable, "-S", "-E", "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = f"127.0.0.1:{process.stdout.readline().strip()}"
        status, output, errors = run(address, "--replay", files["shows"], files["mended"])
        process.kill()
    assert status == 1
    assert output.splitlines() == [
        f"{files['shows']}: crash: expected an end without a crash, found accepts no more connections"
    ]
    assert errors.startswith(f"hgproto: {files['mended']}: not run, because the target stopped working: ")


def test_a_finding_that_does_not_show_again_says_so(run: Any, tmp_path: Path) -> None:
    status, output, _ = run("mine:third", "--seed", "1", "--max-cases", "5")
    assert status == 1
    assert "  it did not show again in a new process, so it may depend on the cases before it, or on time\n" in output
    assert re.search(
        r"^  crash RuntimeError .*: case 3, and \d more with the same cause, not reproduced$", output, re.MULTILINE
    )
    (file,) = (tmp_path / "findings").iterdir()
    finding = json.loads(file.read_text())
    assert (finding["shown_again"], finding["new_process"]) == (False, True)
    assert len(finding["bytes"]) == 2 * finding["original_bytes"]
    assert run("mine:third", "--replay", f"findings/{file.name}")[:2] == (
        0,
        f"findings/{file.name}: {SAID['once'][1]}\n",
    )


def test_a_finding_whose_report_comes_late_is_shown_again(run: Any, tmp_path: Path) -> None:
    status, output, _ = run("mine:late", "--seed", "1", "--max-cases", "1")
    assert (status, "  it showed again in a new process\n" in output) == (1, True)
    (file,) = (tmp_path / "findings").iterdir()
    status, output, _ = run("mine:late", "--replay", f"findings/{file.name}")
    assert (status, "crash: expected an end without a crash, found RuntimeError in fails" in output) == (1, True)


# Nothing is lost.


def test_a_finding_is_in_its_file_when_minimising_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    command = [sys.executable, "-m", "hgproto", "fuzz", "mine:slow", "--seed", "1", "--max-findings", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        while not (files := list(tmp_path.glob("findings/*.json"))):
            assert process.poll() is None
            time.sleep(0.02)
        # It is being minimised for up to ten seconds now.
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1, errors
    assert "interrupted" in output
    (file,) = files
    assert list(tmp_path.glob("findings/*")) == [file]
    assert json.loads(file.read_text())["kind"] == "crash"
    assert f"--replay {file.relative_to(tmp_path)}" in output


def test_a_second_campaign_overwrites_nothing(run: Any, tmp_path: Path) -> None:
    texts: dict[str, str] = {}
    for target in ("mine:crash", "mine:other", "mine:crash"):
        assert run(target, "--seed", "1", "--max-findings", "1")[0] == 1
        now = {file.name: file.read_text() for file in (tmp_path / "findings").iterdir()}
        assert {name: now[name] for name in texts if "mine:other" in texts[name]} == {
            name: text for name, text in texts.items() if "mine:other" in text
        }
        texts.update(now)
    assert sorted(json.loads(text)["replay"].split()[2] for text in texts.values()) == ["mine:crash", "mine:other"]


def printed_findings(output: str) -> list[dict[str, Any]]:
    """The findings that were printed as their files would have them."""
    found, at = [], 0
    while (at := output.find("{\n", at)) >= 0:
        value, size = json.JSONDecoder().raw_decode(output[at:])
        found.append(value)
        at += size
    return found


def test_what_cannot_be_written_is_printed_and_is_trouble(run: Any, tmp_path: Path) -> None:
    status, output, errors = run("mine:crash", "--seed", "1", "--max-findings", "1", "-o", "/dev/null/x")
    assert status == 3
    assert errors.count("hgproto: /dev/null/x: Not a directory; save the following finding yourself\n") == 2
    assert errors.splitlines()[-1] == "hgproto: findings were not written: /dev/null/x: Not a directory"
    whole, small = printed_findings(output)
    assert whole["id"] == small["id"]
    assert len(small["bytes"]) <= len(whole["bytes"])
    (tmp_path / "kept.json").write_text(json.dumps(small))
    assert read_finding("kept.json")[0].data.hex() == small["bytes"]
    assert run("mine:crash", "--replay", "kept.json")[0] == 1


def test_a_disk_that_fills_up_keeps_what_was_written(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def write(path: str, data: bytes) -> None:
        if written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        written.append(path)
        write_whole(path, data)

    monkeypatch.setattr(findings_module, "write_whole", write)
    status, output, errors = run("mine:crash", "--seed", "1", "--max-findings", "1")
    assert status == 3
    (file,) = (tmp_path / "findings").iterdir()
    assert f"{file.relative_to(tmp_path)}: No space left on device" in errors
    (small,) = printed_findings(output)
    assert small["id"] == json.loads(file.read_text())["id"]


# The command of a finding.

OPTIONS = {
    "role": ("--role", "client"),
    "answers": ("--answers", "events"),
    "echo": ("--echo",),
    "reports_errors": ("--reports-errors",),
    "defers": ("--defers",),
    "fails": ("--fails", "fail"),
    "max_ratio": ("--max-ratio", "0.5"),
    "timeout": ("--timeout", "1.23456789"),
    "max_growth": ("--max-growth", "7"),
    "limit": ("--limit", "decoded-frame=2000", "--limit", "open-streams=3"),
    "reopen": ("--reopen", "restart"),
    "encodings": ("--encodings", "identity"),
    "ignore": ("--ignore", "frame.whole"),
    "pid": ("--pid", "1"),
    "log": ("--log", "server.log"),
    "start": ("--start", "server --verbose"),
    "allow_remote": ("--allow-remote",),
}
"""The options that decide what a finding shows when it is shown again."""
OF_A_CAMPAIGN = {
    "seed",
    "max_time",
    "max_cases",
    "max_findings",
    "minimize_share",
    "minimize_time",
    "without",
    "rate",
    "baseline",
    "corpus",
    "output",
    "replay",
}
"""The options that do not."""


def test_the_command_of_a_finding_has_every_option_that_matters() -> None:
    words = [word for option in OPTIONS.values() for word in option]
    given = vars(parser().parse_args(["fuzz", "a target", *words]))
    default = vars(parser().parse_args(["fuzz", "a target"]))
    # An option that is added is one or the other.
    assert set(OPTIONS) | OF_A_CAMPAIGN | {"target", "run", "command_parser"} == set(default)
    assert [name for name in OPTIONS if given[name] == default[name]] == []
    options = parser().parse_args(["fuzz", "a target", *words])
    fuzz_module._oracle(options)
    again = vars(parser().parse_args(["fuzz", *command_of_target(options)]))
    assert {name: again[name] for name in (*OPTIONS, "target")} == {name: given[name] for name in (*OPTIONS, "target")}


@pytest.mark.parametrize("option", ["fails", "log", "start", "ignore"])
def test_the_command_of_a_finding_quotes_what_begins_with_a_dash(option: str) -> None:
    value = "-x.*" if option != "ignore" else "-frame*"
    options = parser().parse_args(["fuzz", "a target", f"--{option}={value}"])
    options.encodings, options.answers = (), "frames"
    again = vars(parser().parse_args(["fuzz", *command_of_target(options)]))
    assert again[option] == vars(options)[option]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mine:crash", "--pid", "1"), "argument --pid: expected an address as TARGET"),
        (("127.0.0.1:9", "--pid", "999999999"), "argument --pid: the memory of process 999999999 cannot be read"),
        (("127.0.0.1:9", "--pid", "1", "--start", "x"), "argument --pid: it has no effect with --start, whose process"),
        (("mine:crash", "--answers", "events", "--echo"), "argument --echo: it has no effect with --answers events"),
        (
            ("mine:crash", "--answers", "verdict", "--fails", "x"),
            "argument --fails: it has no effect with --answers verd",
        ),
        (("mine:crash", "--role", "client", "--defers"), "argument --defers: it has no effect with --answers events"),
        (
            ("mine:crash", "--replay", "x", "--seed", "0"),
            "argument --seed: it has no effect with --replay; leave it out",
        ),
        (("mine:crash", "--replay", "x", "--without", "y"), "argument --without: it has no effect with --replay"),
        (("mine:crash", "--limit", "payload-items=5"), "argument --limit: payload-items has no effect on a server"),
        (
            ("mine:crash", "--role", "client", "--limit", "arguments=5"),
            "argument --limit: arguments has no effect on a cl",
        ),
        (("127.example.invalid:9",), "argument TARGET: 127.example.invalid:9: the host cannot be resolved"),
    ],
)
def test_what_cannot_be_done_is_said(words: tuple[str, ...], message: str, run: Any) -> None:
    status, output, errors = run(*words)
    assert (status, output) == (2, "")
    assert errors.startswith(f"hgproto: {message}")


def test_the_reason_of_a_target_is_printed_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    key = ("rejects-valid", "", "no\n\x1b[2J\u202ereason")
    fuzz_report.sum_up(Report(1, 8, 1.0, (), (), known=((key, 1),)))
    lines = capsys.readouterr().out.removesuffix("\n").split("\n")
    assert len(lines) == 2
    assert r"rejects-valid no\n\x1b[2J\u202ereason: known, 1 case" in lines[1]
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    "error", [LocalProtocolError("frame.length-limit", None, "args", "at most 4", "5"), KeyError("x")], ids=repr
)
@pytest.mark.parametrize(("target", "status"), [("hgproto.fuzz.echo:serve", 3), ("mine:crash", 1)])
def test_a_failure_of_our_own_is_no_finding(
    error: Exception, target: str, status: int, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(cases, "at_limits", fails)
    found, output, errors = run(target, "--seed", "1", "--max-cases", "400", "--minimize-time", "0.1")
    assert found == status
    assert ("crash: " in output) == (status == 1)
    assert f"hgproto: hgproto itself failed, not the target: {type(error).__name__}: " in errors
    assert "in fails\n" in errors


def test_a_failure_of_our_own_while_a_finding_is_replayed(
    run: Any, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise LocalProtocolError("frame.length-limit", None, "args", "at most 4", "5")

    monkeypatch.setattr(oracles, "served", fails)
    status, _, errors = run("mine:picky", "--replay", files["mended"])
    assert status == 3
    assert "hgproto: hgproto itself failed, not the target: LocalProtocolError: " in errors


CHANGING = """
from hgproto.fuzz.echo import serve

calls = 0

def changes(data):
    global calls
    calls += 1
    if len(data) > 300:
        raise KeyError("big")
    return "text" if calls > {most} else serve(data)
"""


@pytest.mark.parametrize(("most", "status"), [(60, 1), (0, 2)])
def test_findings_are_summed_up_though_the_target_cannot_be_used_to_the_end(
    most: int, status: int, run: Any, tmp_path: Path
) -> None:
    (tmp_path / "changing.py").write_text(CHANGING.format(most=most))
    found, output, errors = run("changing:changes", "--seed", "4", "--max-cases", "90")
    assert found == status
    assert "changing:changes returned an object of type str" in errors
    assert ("ended because the target stopped working" in output) == (status == 1)
    if status == 1:
        assert "crash KeyError in changes (changing.py:N): case" in output


def test_findings_that_were_shown_again_count_though_the_target_cannot_be_used_to_the_end(
    run: Any, tmp_path: Path
) -> None:
    module = CHANGING.replace("len(data) > 300", "data == b'bad'").replace("calls > {most}", "data == b'good'")
    (tmp_path / "changing.py").write_text(module)
    names = [
        FuzzFinding(Case(data, "session 1"), FAULT, 1, 7, 0.5, 3, ("changing:changes",)).write("found")
        for data in (b"bad", b"good")
    ]
    status, output, errors = run("changing:changes", "--replay", *names)
    assert status == 1
    assert len(output.splitlines()) == 1
    assert f"{names[1]}: not run, because the target stopped working: " in errors


def test_a_finding_that_is_ignored_is_not_said_to_be_mended(run: Any, files: dict[str, str]) -> None:
    status, output, _ = run("mine:picky", "--ignore", "crash", "--replay", files["shows"])
    assert (status, output) == (0, f"{files['shows']}: not checked, because an option --ignore excludes it\n")
