"""Ctrl-C: the program ends silently by the signal, whenever it comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

INTERRUPTED = """
import os, runpy, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
{before}
sys.argv[1:] = {arguments!r}
runpy.run_module({program!r}, run_name="__main__", alter_sys=True)
"""
LINE = b"1 1 stream-begin|stream-end command-name eos x\n"
PROGRAMS = {"hgproto": ["encode", "--hex"], "hgproto.fuzz": ["reader", "--max-cases", "1"]}


def run(program: str, name: str, before: str = "") -> subprocess.CompletedProcess[bytes]:
    """Runs a program that gets SIGINT when it imports a module."""
    text = INTERRUPTED.format(program=program, name=name, before=before, arguments=PROGRAMS[program])
    return subprocess.run([sys.executable, "-c", text], input=LINE, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("program", "name"),
    [
        *(("hgproto", name) for name in ("hgproto.system.interrupts", "hgproto.cli", "argparse", "hgproto.wire.human")),
        *(("hgproto.fuzz", name) for name in ("hgproto.errors", "argparse", "hgproto.runtime.frame", "tqdm")),
    ],
)
def test_an_interrupted_import_ends_silently(program: str, name: str) -> None:
    done = run(program, name)
    assert (done.stdout, done.stderr) == (b"", b"")
    assert done.returncode in (-signal.SIGINT, 130)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    done = run("hgproto", "hgproto.runtime.frame", "signal.signal(signal.SIGINT, signal.SIG_IGN)")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"010000010001031178\n", b"")


@pytest.mark.parametrize(
    ("command", "given"),
    [
        (["decode"], b"\0"),
        (["validate"], b"\0"),
        (["coverage", "-"], b"\0"),
        (["encode", "-"], b"# x"),
        (["session"], b"# x"),
    ],
)
def test_an_interrupted_command_ends_by_the_signal(command: list[str], given: bytes) -> None:
    """The command waits for input that does not come, in a system call that is interrupted."""
    reading, writing = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-m", "hgproto", *command], stdin=reading, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        os.close(reading)
        # The command is there once it has taken what the pipe had.
        os.write(writing, given)
        while pending(writing):
            assert process.poll() is None
        # Python notes a signal that comes just before a system call only after the call, so one more may be needed, as of a person.
        for _ in range(5):
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
                break
        else:
            process.kill()
        assert process.communicate() == (b"", b"")
        os.close(writing)
    assert process.returncode == -signal.SIGINT


def pending(descriptor: int) -> int:
    """Bytes of a pipe that nobody has read yet."""
    import fcntl
    import termios

    buffer = bytearray(4)
    fcntl.ioctl(descriptor, termios.FIONREAD, buffer)
    return int.from_bytes(buffer, sys.byteorder)
