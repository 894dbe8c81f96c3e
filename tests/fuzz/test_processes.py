"""Processes of targets: nothing that a target starts is left, nothing that it writes is unbounded, nothing blocks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support import ROOT

from hgproto.fuzz import open_target
from hgproto.fuzz import processes as processes_module
from hgproto.fuzz.outcomes import TargetError
from hgproto.fuzz.processes import (
    MOST_ERRORS,
    Bounded,
    Output,
    end,
    interrupted_by_termination,
    joined_words,
    run,
    split_words,
    start,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PYTHON = (sys.executable, "-S", "-E", "-c")
SLEEPS = (
    "import subprocess, sys; child = subprocess.Popen([sys.executable, '-S', '-E', '-c', 'import time; time.sleep(60)'"
)
TELLS = "open(sys.argv[1], 'a').write(f'{child.pid} ')"
posix = pytest.mark.skipif(os.name != "posix", reason="needs process groups")


def is_alive(pid: int) -> bool:
    """True if a process runs; one that has ended and was not asked for its status does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def gone(pids: Path) -> bool:
    """True once no process of a file with numbers runs; a killed one takes a moment."""
    numbers = [int(number) for number in pids.read_text().split()]
    assert numbers
    for _ in range(100):
        if not any(map(is_alive, numbers)):
            return True
        time.sleep(0.02)
    for number in numbers:
        os.kill(number, signal.SIGKILL)
    return False


# Children of a target.


@posix
@pytest.mark.parametrize(
    ("child", "then", "hung"),
    [
        ("])", "pass", False),
        ("], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)", "pass", False),
        ("])", "child.wait()", True),
        ("])", "import os; os.abort()", False),
    ],
    ids=["holds the pipes", "holds nothing", "is waited for", "is left by a crash"],
)
def test_children_of_a_command_are_ended_with_it(child: str, then: str, hung: bool, tmp_path: Path) -> None:
    program = f"{SLEEPS}{child}; {TELLS}; print('out', flush=True); {then}"
    ended = run([*PYTHON, program, str(tmp_path / "pids")], b"", seconds=2.0)
    assert (ended.output, ended.hung) == (b"out\n", hung)
    assert gone(tmp_path / "pids")


@posix
@pytest.mark.parametrize(
    ("then", "hung", "crash"),
    [
        ("pass", False, None),
        ("time.sleep(60)", True, None),
        ("os.abort()", False, "killed by SIGABRT"),
        ("[][1]", False, "IndexError in "),
    ],
)
def test_children_of_a_callable_are_ended_with_it(
    then: str, hung: bool, crash: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "begets.py").write_text(
        f"import os, time\ndef call(data):\n    pid = os.fork()\n    if not pid:\n        time.sleep(60)\n"
        f"    open('pids', 'a').write(f'{{pid}} ')\n    {then}\n    return data\n"
    )
    monkeypatch.chdir(tmp_path)
    target = open_target("begets:call", seconds=1.0)
    try:
        # The child has the worker's pipes, and keeps them open when the worker has ended.
        outcome = target.run(b"abc")
    finally:
        target.close()
    assert outcome.hung == hung
    assert (outcome.crash or "").startswith(crash or "")
    assert (outcome.crash is None) == (crash is None)
    assert gone(tmp_path / "pids")


@posix
def test_children_are_ended_when_the_keyboard_interrupts(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    program = f"{SLEEPS}]); {TELLS}; child.wait()"
    waits = f"from hgproto.fuzz.processes import run; run([{sys.executable!r}, '-c', {program!r}, {str(pids)!r}], b'', seconds=60)"
    process = start([sys.executable, "-c", waits], stderr=subprocess.PIPE)
    try:
        for _ in range(500):
            if pids.exists() and pids.read_text():
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        end(process)
    assert errors.rstrip().endswith(b"KeyboardInterrupt")
    assert gone(pids)


ENDINGS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


@posix
@pytest.mark.parametrize("kind", ["command", "callable", "address"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_campaign_that_is_ended_leaves_no_process_and_is_summed_up(
    ending: signal.Signals, kind: str, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    waits = f"import os, sys, time; open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n'); "
    (tmp_path / "waits.py").write_text(f"{waits}time.sleep(600)\n")
    (tmp_path / "mine.py").write_text(f"def sleeps(data):\n    {waits}time.sleep(600)\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    words = {
        "command": [f"{sys.executable} waits.py"],
        "callable": ["mine:sleeps"],
        "address": [address, "--start", f"{sys.executable} waits.py"],
    }[kind]
    process = start(
        [sys.executable, "-m", "hgproto", "fuzz", *words, "--timeout", "60"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        for _ in range(1000):
            if pids.exists() and pids.read_text():
                break
            time.sleep(0.02)
        # As `timeout` has it, which sends its signal twice.
        process.send_signal(ending)
        if ending != signal.SIGINT:
            process.send_signal(ending)
        output, _ = process.communicate(timeout=20)
    finally:
        end(process)
    assert gone(pids)
    assert b"interrupted" in output


@posix
def test_a_termination_that_the_caller_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with interrupted_by_termination():
            os.kill(os.getpid(), signal.SIGTERM)
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


@posix
def test_a_child_that_begins_another_session_holds_up_nothing(tmp_path: Path) -> None:
    program = f"{SLEEPS}], start_new_session=True); {TELLS}; print('out', flush=True)"
    threads = threading.active_count()
    handles = len(os.listdir("/proc/self/fd"))
    try:
        for _ in range(3):
            ended = run([*PYTHON, program, str(tmp_path / "pids")], b"", seconds=20.0)
            assert (ended.output, ended.hung) == (b"out\n", False)
        assert threading.active_count() == threads
        assert len(os.listdir("/proc/self/fd")) == handles
    finally:
        for number in (tmp_path / "pids").read_text().split():
            os.kill(int(number), signal.SIGKILL)


# Output.


def test_output_is_read_to_a_limit_and_the_target_is_ended_then() -> None:
    ended = run([*PYTHON, "import sys\nwhile True: sys.stdout.write('x' * 1000)"], b"", seconds=60.0, most_output=5000)
    assert ended.hung
    assert ended.output == b"x" * 5000


@pytest.mark.parametrize(("size", "hung"), [(4999, False), (5000, False), (5001, True)])
def test_the_limit_is_the_last_size_that_is_good(size: int, hung: bool) -> None:
    ended = run([*PYTHON, f"print('x' * {size}, end='')"], b"", seconds=60.0, most_output=5000)
    assert (len(ended.output), ended.hung) == (min(size, 5000), hung)


def test_of_standard_error_the_start_and_the_end_are_kept() -> None:
    program = "import sys; sys.stderr.write('first\\n' + 'x' * 3_000_000 + '\\nlast'); print('out')"
    ended = run([*PYTHON, program], b"", seconds=60.0)
    assert ended.output.strip() == b"out"
    assert ended.errors.startswith(b"first\nxxx")
    assert ended.errors.endswith(b"xxx\nlast")
    assert b"bytes left out]" in ended.errors
    assert MOST_ERRORS <= len(ended.errors) < MOST_ERRORS + 50


@given(st.lists(st.binary(max_size=12)), st.integers(0, 20), st.integers(0, 20))
def test_what_is_kept_is_bounded(chunks: list[bytes], first: int, last: int) -> None:
    bounded = Bounded(first + last, last=last)
    for chunk in chunks:
        bounded.add(chunk)
    whole = b"".join(chunks)
    assert bounded.total == len(whole)
    if len(whole) <= first + last:
        assert bounded.kept() == whole
    elif last:
        kept = whole[:first] + b"\n[%d bytes left out]\n" % (len(whole) - first - last) + whole[-last:]
        assert bounded.kept() == kept
    else:
        assert bounded.kept() == whole[:first]


def test_all_that_was_written_is_read_before_a_pipe_is_closed() -> None:
    read, write = os.pipe()
    try:
        chunks: list[bytes] = []
        output = Output(os.fdopen(read, "rb", buffering=0), chunks.append)
        for number in range(100):
            os.write(write, b"%03d" % number)
        # Somebody else still has the other end.
        output.close()
        assert b"".join(chunks) == b"".join(b"%03d" % number for number in range(100))
        assert chunks[-1] == b""
        with pytest.raises(BrokenPipeError):
            os.write(write, b"x")
    finally:
        os.close(write)


def test_input_is_not_lost_where_the_process_does_not_read_it() -> None:
    ended = run([*PYTHON, "print('out')"], bytes(1 << 20), seconds=60.0)
    assert (ended.status, ended.output.strip(), ended.hung) == (0, b"out", False)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_interrupt_while_a_thread_starts_ends_the_process(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three threads read and write the pipes of a target in a dialogue."""
    begun: list[threading.Thread] = []
    processes: list[subprocess.Popen[bytes]] = []
    start_thread, start_process = threading.Thread.start, processes_module.start

    def begin(thread: threading.Thread) -> None:
        begun.append(thread)
        if len(begun) == number:
            raise KeyboardInterrupt
        start_thread(thread)

    def launch(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        processes.append(start_process(*arguments, **options))
        return processes[0]

    monkeypatch.setattr(threading.Thread, "start", begin)
    monkeypatch.setattr(processes_module, "start", launch)
    with pytest.raises(KeyboardInterrupt):
        run([*PYTHON, "import time; time.sleep(60)"], b"ab", seconds=30.0, waits=[1])
    assert len(begun) == number
    (process,) = processes
    assert process.returncode == -signal.SIGKILL
    # The pipe whose thread did not start is nobody's.
    for pipe in (process.stdin, process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()


def test_a_callable_that_gives_too_much_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "endless.py").write_text(
        "def events(data):\n    while True:\n        yield {'event': 'x' * 100_000}\n"
        "def frames(data):\n    return bytes((64 << 20) + 1)\n"
        "def number(data):\n    return 5\n"
    )
    monkeypatch.chdir(tmp_path)
    for name, answers in (("events", "events"), ("frames", "frames")):
        target = open_target(f"endless:{name}", answers=answers, seconds=20.0)
        try:
            assert target.run(b"").hung
        finally:
            target.close()
    target = open_target("endless:number")
    try:
        with pytest.raises(TargetError, match="returned an object of type int: 5"):
            target.run(b"")
    finally:
        target.close()


def test_a_callable_that_reads_its_input_does_not_take_the_next_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reads.py").write_text("import sys\ndef call(data):\n    return data + sys.stdin.buffer.read()\n")
    monkeypatch.chdir(tmp_path)
    target = open_target("reads:call", seconds=5.0)
    try:
        assert [target.run(data).output for data in (b"one", b"two")] == [b"one", b"two"]
    finally:
        target.close()


@posix
def test_a_worker_that_reads_nothing_is_ended_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stops.py").write_text("import os, signal\ndef call(data):\n    os.kill(os.getpid(), signal.SIGSTOP)\n")
    monkeypatch.chdir(tmp_path)
    target = open_target("stops:call", seconds=0.5)
    try:
        for _ in range(2):
            # More than a pipe holds.
            assert target.run(bytes(1 << 20)).hung
    finally:
        target.close()


# Dialogues.

ECHOES = "import os, sys\nwhile data := os.read(0, 100): os.write(1, data)"


@pytest.mark.parametrize(
    ("program", "waits", "output", "seen"),
    [
        (ECHOES, (2, 5), b"abcdefgh", (2, 5)),
        (ECHOES, (8,), b"abcdefgh", (8,)),
        (ECHOES, (0,), b"abcdefgh", (0,)),
        ("import sys; print(sys.stdin.read(), end='')", (2, 5), b"abcdefgh", (0, 0)),
        # It ends before it was given all.
        ("import os; os.write(1, os.read(0, 2))", (2, 5), b"ab", (2,)),
        ("pass", (2, 5), b"", (0,)),
    ],
    ids=["echoes", "at the end", "at the start", "defers", "leaves", "says nothing"],
)
def test_a_command_is_waited_for(program: str, waits: tuple[int, ...], output: bytes, seen: tuple[int, ...]) -> None:
    # As patient as it takes, unless it is known to say nothing.
    patience = 30.0 if any(seen) and all(waits) else 0.1
    ended = run([*PYTHON, program], b"abcdefgh", seconds=60.0, waits=waits, patience=patience)
    assert (ended.output, ended.seen[: len(seen)], ended.hung, ended.status) == (output, seen, False, 0)


@posix
def test_a_dialogue_leaves_nothing(tmp_path: Path) -> None:
    threads, handles = threading.active_count(), len(os.listdir("/proc/self/fd"))
    # It reads nothing, and more is sent than a pipe holds.
    program = f"{SLEEPS}]); {TELLS}; child.wait()"
    ended = run([*PYTHON, program, str(tmp_path / "pids")], bytes(1 << 20), seconds=2.0, waits=(5, 1 << 19))
    assert ended.hung
    assert gone(tmp_path / "pids")
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == handles


# Connections that are reset.


def resetting(listener: socket.socket, after: int | None) -> None:
    """Accepts connections and resets each; after some of them, the port is closed."""
    number = 0
    while after is None or number < after:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.recv(1)
        connection.close()
        number += 1
    listener.close()


@pytest.mark.parametrize(
    ("after", "crash"), [(None, None), (1, "accepts no more connections"), (2, "accepts no more connections")]
)
def test_a_server_that_resets_connections_and_accepts_more_has_not_broken_down(
    after: int | None, crash: str | None
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=resetting, args=(listener, after), daemon=True)
        thread.start()
        outcome = open_target(f"127.0.0.1:{listener.getsockname()[1]}", seconds=5.0).run(b"abc")
        listener.shutdown(socket.SHUT_RDWR) if after is None else None
    thread.join()
    assert (outcome.crash, outcome.hung) == (crash, False)


# Words of a command.

WORDS = st.lists(st.text(st.sampled_from("ab \t\"\\'/:"), max_size=6), min_size=1, max_size=4)


@given(WORDS)
@example(["C:\\Program Files\\server.exe", "C:\\x\\", ""])
@example(['a\\"b', '"', "\\\\", "\\\\ "])
@pytest.mark.parametrize("windows", [False, True])
def test_words_that_are_joined_are_split_again(windows: bool, words: list[str]) -> None:
    assert split_words(joined_words(words, windows=windows), windows=windows) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (r"python C:\tools\server.py --port 0", ["python", r"C:\tools\server.py", "--port", "0"]),
        (r'"C:\my tools\server.exe" -x', [r"C:\my tools\server.exe", "-x"]),
        (r'a"b c"d', ["ab cd"]),
        ("  a \t b ", ["a", "b"]),
        ('""', [""]),
        ("", []),
    ],
)
def test_on_windows_a_backslash_is_part_of_a_path(text: str, words: list[str]) -> None:
    assert split_words(text, windows=True) == words


@pytest.mark.parametrize("call", [start, lambda words: run(words, b"", seconds=1.0)])
def test_what_cannot_be_started_is_an_error(call: Callable[[list[str]], object]) -> None:
    with pytest.raises(FileNotFoundError):
        call(["/no/such/program"])
