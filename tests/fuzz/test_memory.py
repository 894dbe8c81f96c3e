"""The memory of a target is that of its process and of those that it has started."""

from __future__ import annotations

import shlex
import socket
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from hgproto import Limits, RunCommand, Server
from hgproto.fuzz import Oracle, memory, open_target
from hgproto.fuzz.cases import Case, Cases
from hgproto.fuzz.echo import served
from hgproto.fuzz.outcomes import Outcome
from hgproto.fuzz.raw import frames_of
from hgproto.fuzz.targets import run_case

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the memory of a process")
MUCH = 128 << 20
PYTHON = f"{shlex.quote(sys.executable)} -S -E"
GROWS = "import sys; bytearray(b'x') * (len(sys.stdin.buffer.read()) << 27)"
SERVES = """
import socket, sys
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
kept = []
while True:
    connection = listening.accept()[0]
    data = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    kept.append(bytearray(b"x") * (len(data) << 27))
    connection.sendall(data)
    connection.close()
"""
# What follows keeps a shell from becoming the program itself.
WRAPPERS = ["{}", "sh -c {}", "sh -c {}' && true'", "sh -c {}' ; exit $?'"]


def test_a_process_with_many_children_costs_no_more_than_one_with_some(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def peak_of(pid: int) -> int:
        asked.append(pid)
        return pid

    monkeypatch.setattr(memory, "_peak_of", peak_of)
    monkeypatch.setattr(memory, "_children", lambda pid: [*range(2, 5000)] if pid == 1 else [])
    # Of many, those that were started last.
    assert memory.peak(1) == 4999
    assert len(asked) == 64


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_command_that_grows_is_seen_behind_a_shell(wrapper: str) -> None:
    command = f"{PYTHON} -c {shlex.quote(GROWS)}"
    target = open_target(wrapper.format(shlex.quote(command) if "sh" in wrapper else command), seconds=60.0)
    assert target.run(b"abc").grown > MUCH


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_server_that_grows_is_seen_behind_a_shell(wrapper: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "server.py").write_text(SERVES)
    command = f"{PYTHON} {shlex.quote(str(tmp_path / 'server.py'))} {port}"
    start = wrapper.format(shlex.quote(command) if "sh" in wrapper else command)
    target = open_target(f"127.0.0.1:{port}", seconds=60.0, start=start)
    try:
        assert target.run(b"").grown < MUCH
        assert target.run(b"abc").grown > MUCH
    finally:
        target.close()


def test_a_callable_that_grows_in_another_process_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "forks.py").write_text(
        "import subprocess, sys\n"
        f"def call(data):\n    subprocess.run([sys.executable, '-S', '-E', '-c', {GROWS!r}], input=data, check=True)\n"
        "    return b''\n"
    )
    monkeypatch.chdir(tmp_path)
    target = open_target("forks:call", seconds=60.0)
    try:
        assert target.run(b"").grown < MUCH
        for _ in range(2):
            # The worker of a case that has grown is not used again.
            assert target.run(b"abc").grown > MUCH
    finally:
        target.close()


# The memory of targets that are right.

RIGHT = """
from hgproto import Limits, Server
from hgproto.fuzz.echo import served, server_events
def decodes(data):
    server = Server()
    events = server.receive_data(data)
    events += server.receive_end()
    return server.works
def late(data):
    return served(data, late=True).output
def small(data):
    return served(data, limits=Limits(max_payload=30)).output
def events(data):
    return server_events(data)
"""


def series(answers: str, **options: Any) -> list[Case]:
    """The cases of a campaign that are about memory."""
    cases = islice(Cases("server", 1, probe=answers == "frames", **options), 260)
    return [case for case in cases if case.sizes]


@pytest.mark.parametrize(
    ("name", "answers", "options"),
    [
        ("decodes", "verdict", {}),
        ("events", "events", {}),
        ("late", "frames", {"defers": True}),
        ("late", "frames", {}),
        ("small", "frames", {}),
    ],
)
def test_a_target_that_is_right_is_not_blamed_for_its_memory(
    name: str, answers: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "right_targets.py").write_text(RIGHT)
    monkeypatch.syspath_prepend(tmp_path)
    target = open_target(f"right_targets:{name}", answers=answers, seconds=30.0)
    oracle = Oracle("server", answers, echo=True, **options)
    try:
        cases = series(answers, **options)
        assert len(cases) == 2
        faults = [fault for case in cases for fault in oracle.faults(case, run_case(target, case))]
    finally:
        target.close()
    assert [fault for fault in faults if fault.kind == "growth"] == []


WRONG = """
from hgproto import RunCommand, Server, encode_frames
from hgproto.fuzz.echo import description
KEPT = []
def hoards(command):
    KEPT.append(b"x" * (80 * len(command.data or b"")))
def takes(command):
    KEPT[:] = [len(b"x" * (80 * len(command.data or b"")))]
def run(data, work):
    server, output = Server(), b""
    for event in server.receive_data(data):
        if isinstance(event, RunCommand):
            work(event)
            output += b"".join(encode_frames(server.respond(event.request_id, description(event))))
    return output
def serve_hoards(data):
    return run(data, hoards)
def serve_takes(data):
    return run(data, takes)
"""


@pytest.mark.parametrize("name", ["hoards", "takes"])
def test_memory_that_a_whole_command_takes_is_seen(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that an application keeps, and memory that it needs for a moment."""
    (tmp_path / "wrong_targets.py").write_text(WRONG)
    monkeypatch.syspath_prepend(tmp_path)
    (case,) = [case for case in series("frames") if case.origin == "series: data of one command"]
    target = open_target(f"wrong_targets:serve_{name}", seconds=60.0)
    try:
        (fault,) = Oracle("server", echo=True, growth=1 << 40).faults(case, run_case(target, case))
    finally:
        target.close()
    assert (fault.kind, fault.cause) == ("growth", "in proportion to data of one command")


def test_each_start_of_a_series_is_whole() -> None:
    kinds: list[dict[str, Any]] = [{}, {"defers": True}]
    for options in kinds:
        for case in series("frames", **options):
            assert len(case.starts) == 3
            answers = [len(frames_of(served(start).output)) for start in case.starts]
            assert answers == sorted({*answers})
            for start in case.starts:
                server = Server()
                events = [*server.receive_data(start), *server.receive_end()]
                assert server.works
                run = [len(event.data or b"") for event in events if isinstance(event, RunCommand)]
                assert len(run) > 2 or sum(run) > len(start) * 0.99
            lengths = [len(start) for start in case.starts]
            assert lengths[2] / lengths[1] == pytest.approx(2, 0.02)
            assert lengths[1] / lengths[0] == pytest.approx(2, 0.02)


@pytest.mark.parametrize(
    ("options", "origins"),
    [
        ({}, ["data of one command", "commands that are done"]),
        ({"defers": True}, ["data of one command", "commands that wait"]),
        ({"defers": True, "limits": Limits(active_requests=100)}, ["data of one command", "commands that wait"]),
        ({"defers": True, "limits": Limits(active_requests=2)}, ["data of one command"]),
        ({"limits": Limits(max_payload=30)}, []),
        ({"limits": Limits(max_payload=120)}, ["data of one command", "commands that are done"]),
        ({"limits": Limits(request_bytes=1000)}, ["commands that are done"]),
        ({"limits": Limits(buffered_bytes=1000)}, ["commands that are done"]),
    ],
)
def test_nothing_in_a_series_is_over_a_limit(options: dict[str, Any], origins: list[str]) -> None:
    cases = series("frames", **options)
    assert [case.origin.removeprefix("series: ") for case in cases] == origins
    for case in cases:
        assert 1 << 19 < case.sizes[1] * 2 < (1 << 20) + 64
        assert served(case.data, late="defers" in options, limits=options.get("limits")).over == ()


@pytest.mark.parametrize(
    ("case", "outcome", "words"),
    [
        (
            Case(b"", "series: x", sizes=(0, 0)),
            Outcome(b"", grown=(64 << 20) + 1),
            ("at most 64 MiB more for 0 bytes", "64.1 MiB more"),
        ),
        (
            Case(bytes(1 << 20), "session"),
            Outcome(b"", grown=(128 << 20) + 1),
            ("at most 128 MiB more for 1048576 bytes", "128.1 MiB more"),
        ),
        (
            Case(bytes(400), "series: x", sizes=(100, 200)),
            Outcome(b"", grew=((0, 0), (801, 0), (2402, 0))),
            (
                "memory of at most the size of input and output times 8",
                "8.1 for each, as the input is doubled twice",
            ),
        ),
    ],
)
def test_what_is_found_is_more_than_what_is_expected(case: Case, outcome: Outcome, words: tuple[str, str]) -> None:
    fault = Oracle().judge(case, outcome)
    assert fault is not None
    assert (fault.expected, fault.found) == words
