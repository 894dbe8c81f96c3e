"""The memory of a target is that of its process and of those that it has started."""

from __future__ import annotations

import shlex
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from hgproto.fuzz import memory, open_target

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
    octets = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    kept.append(bytearray(b"x") * (len(octets) << 27))
    connection.sendall(octets)
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
        f"def call(octets):\n    subprocess.run([sys.executable, '-S', '-E', '-c', {GROWS!r}], input=octets, check=True)\n"
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
