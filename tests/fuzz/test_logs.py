"""Logs of servers behind an address: their tracebacks count, whether the server was started here or elsewhere."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from hgproto.cli import main
from hgproto.fuzz import Campaign, Oracle, TargetError, open_target
from hgproto.fuzz.cases import Case
from hgproto.fuzz.logs import Log, crash_in
from hgproto.fuzz.targets import Outcome, TargetGoneError, late, renewed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = """\
import os, socketserver, sys, threading, time

class Abort(Exception):
    pass

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        data = self.rfile.read()
        print("Error: a request of", len(data), "bytes", file=sys.stderr, flush=True)
        if data == b"abort":
            os.abort()
        if data == b"leave":
            os._exit(0)
        if data == b"stuck":
            time.sleep(60)
        if data == b"late":
            threading.Timer(0.05, self.late).start()
        if data == b"fail":
            try:
                {}[1]
            except KeyError:
                raise Abort(data)
        self.wfile.write(data)

    def late(self):
        raise Abort(1)

class Listener(socketserver.TCPServer):
    allow_reuse_address = True

Listener(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.fixture
def command(tmp_path: Path, port: int) -> str:
    """The command that starts the server."""
    program = tmp_path / "server.py"
    program.write_text(PROGRAM)
    return shlex.join([sys.executable, "-S", "-E", str(program), str(port)])


@pytest.fixture
def running(tmp_path: Path, command: str) -> Iterator[Path]:
    """The log of a server that was started elsewhere."""
    log = tmp_path / "server.log"
    log.write_text(f'{"x" * 100}\nTraceback (most recent call last):\n  File "a", line 1, in b\nOldError\n')
    with open(log, "ab") as errors, subprocess.Popen(shlex.split(command), stderr=errors) as process:
        yield log
        process.kill()


def test_tracebacks_in_a_log_are_crashes(running: Path, port: int) -> None:
    target = open_target(f"127.0.0.1:{port}", seconds=2.0, log=str(running))
    try:
        assert target.run(b"good") == Outcome(b"good", details="Error: a request of 4 bytes\n")
        failed = target.run(b"fail")
        assert failed.crash == "Abort in handle (server.py:22)"
        assert "KeyError: 1" in failed.details
        assert target.run(b"good").crash is None
    finally:
        target.close()


def test_a_report_that_comes_late_belongs_to_the_case_before(running: Path, port: int) -> None:
    target = open_target(f"127.0.0.1:{port}", seconds=2.0, log=str(running))

    def cases() -> Iterator[Case]:
        for data in (b"good", b"late", b"good", b"late", b"good"):
            yield Case(data, "")
            time.sleep(0.2)

    try:
        report = Campaign(target, Oracle("server", "events"), cases(), minimize_seconds=0.0).run()
    finally:
        target.close()
    crashes = [
        (finding, again)
        for finding, again in zip(report.findings, report.repeats, strict=True)
        if finding.fault.kind == "crash"
    ]
    ((finding, again),) = crashes
    assert finding.case.data == b"late"
    assert finding.fault.found == "Abort in late (server.py:26)"
    assert again == 1


def test_a_late_report_of_a_server_that_is_gone_is_kept(tmp_path: Path, command: str, port: int) -> None:
    log = tmp_path / "gone.log"
    log.touch()
    with (
        open(log, "ab") as errors,
        closing(open_target(f"127.0.0.1:{port}", seconds=2.0, log=str(log))) as target,
        subprocess.Popen(shlex.split(command), stderr=errors) as process,
    ):
        try:
            assert target.run(b"late").crash is None
            while b"Abort: 1\n" not in log.read_bytes():
                time.sleep(0.01)
        finally:
            process.kill()
        process.wait()
        with pytest.raises(TargetGoneError):
            target.run(b"good")
        assert late(target) == "Abort in late (server.py:26)"


def test_a_server_that_is_started_here_is_started_again(command: str, port: int) -> None:
    target = open_target(f"127.0.0.1:{port}", seconds=1.0, start=command)
    try:
        for data, crash in (
            (b"good", None),
            (b"abort", "killed by SIGABRT"),
            (b"good", None),
            (b"fail", "Abort in handle (server.py:22)"),
            (b"leave", "exit status 0"),
            (b"good", None),
        ):
            outcome = target.run(data)
            assert (outcome.crash, outcome.hung, outcome.earlier) == (crash, False, None), data
        assert target.run(b"stuck").hung
        assert target.run(b"good").output == b"good"
        grown = target.run(b"x" * (1 << 24)).grown
        assert grown > 1 << 24 or sys.platform != "linux"
    finally:
        target.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("/no/such/program", "argument --start: /no/such/program: No such file or directory"),
        (
            f"{shlex.quote(sys.executable)} -S -E -c 'raise SystemExit(\"no port\")'",
            r".*: it ended with 1 before it accepted connections: no port",
        ),
        ("'", 'argument --start: the command "\'" cannot be split into words'),
    ],
)
def test_a_server_that_does_not_start_is_said(start: str, message: str, port: int) -> None:
    with (
        pytest.raises(TargetError, match=message) as caught,
        closing(open_target(f"127.0.0.1:{port}", start=start)) as target,
    ):
        target.run(b"")
    assert not isinstance(caught.value, TargetGoneError)


def test_another_server_is_not_taken_for_the_one_that_is_started(command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(TargetError, match=f"a program already listens on 127.0.0.1:{port}"),
            closing(open_target(f"127.0.0.1:{port}", start=command)) as target,
        ):
            target.run(b"")


def test_logs_are_about_addresses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TargetError, match="--log and --start need a server behind an address"):
        open_target("cat", log=os.devnull)
    with pytest.raises(SystemExit, match="3"):
        raise SystemExit(main(["fuzz", "127.0.0.1:1", "--log", str(tmp_path / "none")]))
    assert f"{tmp_path / 'none'}: No such file or directory" in capsys.readouterr().err


def test_a_log_that_is_cut_or_replaced_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old\n")
    log = Log(str(path))
    assert log.news() == b""
    with open(path, "a") as file:
        file.write("more\n")
    assert log.news() == b"more\n"
    path.write_text("cut\n")
    assert log.news() == b"cut\n"
    (tmp_path / "other").write_text("a longer text in another file\n")
    (tmp_path / "other").replace(path)
    assert log.news() == b"a longer text in another file\n"
    assert log.news() == b""
    assert crash_in([log], 0.0) == (None, "")
    log.close()


def test_what_a_server_writes_at_its_start_is_no_part_of_a_case(tmp_path: Path, port: int) -> None:
    program = tmp_path / "chatty.py"
    program.write_text("import traceback\ntry: [][1]\nexcept IndexError: traceback.print_exc()\n" + PROGRAM)
    start = shlex.join([sys.executable, "-S", "-E", str(program), str(port)])
    with closing(open_target(f"127.0.0.1:{port}", seconds=5.0, start=start)) as target:
        for _ in range(2):
            assert target.run(b"good").crash is None
            assert renewed(target)


@pytest.mark.parametrize("seconds", [0.0, 0.3, 1.2])
def test_a_server_that_ends_after_its_response_is_started_again(tmp_path: Path, port: int, seconds: float) -> None:
    """Its socket is closed, and its process still runs."""
    program = tmp_path / "once.py"
    program.write_text(
        "import os, socket, sys, time\n"
        'server = socket.create_server(("127.0.0.1", int(sys.argv[1])))\n'
        "while True:\n"
        "    connection, _ = server.accept()\n"
        '    data = connection.makefile("rb").read()\n'
        "    connection.sendall(data)\n"
        '    if data == b"last":\n'
        "        server.close()\n"
        "        connection.close()\n"
        f"        time.sleep({seconds})\n"
        "        os._exit(3)\n"
        "    connection.close()\n"
    )
    start = shlex.join([sys.executable, "-S", "-E", str(program), str(port)])
    with closing(open_target(f"127.0.0.1:{port}", seconds=5.0, start=start)) as target:
        for _ in range(2):
            assert target.run(b"last").output == b"last"
            outcome = target.run(b"good")
            assert (outcome.output, outcome.crash) == (b"good", None)
