"""Signs of a crash: each kind of report has one, a message that a program writes on purpose has none."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hgproto.fuzz.signs import how_it_ended, sign_in


def written(program: str) -> str:
    """What Python writes to standard error about a program."""
    command = [sys.executable, "-S", "-E", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize(
    ("program", "sign"),
    [
        ("[][1]", "IndexError in <module> (<string>:1)"),
        ("import struct\nstruct.unpack('<H', b'')", "struct.error in <module> (<string>:2)"),
        ("class Abort(Exception): pass\nraise Abort('error: no')", "Abort in <module> (<string>:2)"),
        ("class Fort(BaseException): pass\ndef f(): raise Fort\nf()", "Fort in f (<string>:2)"),
        ("def f():\n class Up(Exception): pass\n raise Up\nf()", "f.<locals>.Up in f (<string>:3)"),
        ("def f(): f()\nf()", "RecursionError in f (<string>:1)"),
        ("exec('(')", "SyntaxError in <module> (<string>:1)"),
        ("try: [][1]\nexcept IndexError: {}[2]", "KeyError in <module> (<string>:2)"),
        ("try: [][1]\nexcept IndexError as e: raise OSError('x') from e", "OSError in <module> (<string>:2)"),
        ("raise ValueError('two\\nTraceback: no\\nlines')", "ValueError in <module> (<string>:1)"),
        (
            "import threading\nt = threading.Thread(target=lambda: [][1])\nt.start()\nt.join()",
            "IndexError in <lambda> (<string>:2)",
        ),
        (
            "import logging\nlogging.basicConfig(format='%(asctime)s %(message)s')\n"
            "try: [][1]\nexcept IndexError: logging.exception('a command failed')",
            "IndexError in <module> (<string>:3)",
        ),
    ],
)
def test_every_python_exception_is_a_sign(program: str, sign: str) -> None:
    assert sign_in(written(program)) == sign


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with Python 3.11")
def test_an_exception_group_is_a_sign() -> None:
    sign = sign_in(written("raise ExceptionGroup('x', [ValueError(1)])"))
    assert sign is not None
    assert sign.startswith(("ValueError", "ExceptionGroup"))


def test_a_log_may_begin_each_line() -> None:
    text = written("[][1]")
    lines = [
        f"[Sun Nov 29 13:00:{number:02}.1234 2026] [wsgi:error] [pid 7] {line}"
        for number, line in enumerate(text.splitlines())
    ]
    assert sign_in("\n".join(lines)) == "IndexError in <module> (<string>:1)"


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        (
            "=================================================================\n"
            "==71==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x602000000011 at pc 0x4c\n"
            "    #0 0x4c in parse frame.c:12\n"
            "SUMMARY: AddressSanitizer: heap-buffer-overflow frame.c:12 in parse\n",
            "AddressSanitizer: heap-buffer-overflow frame.c:N in parse",
        ),
        ("==9==ERROR: LeakSanitizer: detected memory leaks\n", "LeakSanitizer: detected memory leaks"),
        ("==9==WARNING: MemorySanitizer: use-of-uninitialized-value\n", "MemorySanitizer: use-of-uninitialized-value"),
        ("WARNING: ThreadSanitizer: data race (pid=9)\n", "ThreadSanitizer: data race (pid=N)"),
        ("AddressSanitizer:DEADLYSIGNAL\n", "AddressSanitizer:DEADLYSIGNAL"),
        ("==9== ERROR: libFuzzer: deadly signal\n", "libFuzzer: deadly signal"),
        (
            "frame.c:40:12: runtime error: signed integer overflow: 2147483647 + 1\n",
            "runtime error: signed integer overflow: N + N in frame.c:40:12",
        ),
        (
            "thread 'main' panicked at src/frame.rs:3:5:\nindex out of bounds\n",
            "panicked at src/frame.rs:3:5:",
        ),
        ("thread '<unnamed>' (77) panicked at 'no', src/a.rs:3:5\n", "panicked at 'no', src/a.rs:3:5"),
        (
            "panic: runtime error: index out of range [5] with length 3\n\ngoroutine 1 [running]:\nmain.main()\n",
            "panic: runtime error: index out of range [N] with length N in main.main",
        ),
        (
            "2026/11/29 13:00:00 http: panic serving 127.0.0.1:1: nil map\ngoroutine 19 [running]:\n",
            "panic serving N.N.N.N:N: nil map",
        ),
        (
            "http: panic serving [::1]:1: no\ngoroutine 19 [running]:\nnet/http.(*conn).serve.func1()\n\t/go/server.go:1 +0xbf\n"
            "panic({0x1, 0x2})\n\t/go/panic.go:9\nruntime.goPanicIndex(0x5)\nmain.(*T).read(...)\n\t/x/main.go:7\n\n"
            "goroutine 1 [IO wait]:\nmain.other()\n",
            "panic serving [::N]:N: no in main.(*T).read",
        ),
        (
            "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [select]:\n",
            "fatal error: all goroutines are asleep - deadlock!",
        ),
        (
            'Exception in thread "main" java.lang.IllegalStateException: 7\n\tat a.B.c(B.java:3)\n',
            "java.lang.IllegalStateException: N in a.B.c (B.java:N)",
        ),
        (
            'Exception in thread "main" java.lang.RuntimeException: no\n\tat a.B.c(B.java:3)\n'
            "Caused by: java.lang.NullPointerException\n\tat a.D.e(D.java:5)\n\t... 1 more\n",
            "java.lang.RuntimeException: no, caused by java.lang.NullPointerException in a.D.e (D.java:N)",
        ),
        (
            "Fatal Python error: Segmentation fault\n\nThread 0x1 (most recent call first):\n"
            '  File "/x/other.py", line 7 in wait\n\nCurrent thread 0x2 (most recent call first):\n'
            '  File "/x/mine.py", line 3 in serve\n  File "/x/mine.py", line 9 in <module>\n',
            "Fatal Python error: Segmentation fault in serve (mine.py:3)",
        ),
        ("Fatal Python error: none\n", "Fatal Python error: none"),
        (
            "#\n# A fatal error has been detected by the Java Runtime Environment:\n#\n",
            "A fatal error has been detected by the Java Runtime Environment",
        ),
    ],
)
def test_every_report_is_a_sign(text: str, sign: str) -> None:
    assert sign_in(f"started\n{text}done\n") == sign


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Error: a frame is too long\n",
        "ERROR: bad frame: runtime error: none\n",
        "fatal error: the frame cannot be read\n",
        "panic: not really\n",
        "server.py: ValueError: expected 8 bytes\n",
        "ProtocolError: begin on an open stream\n",
        "Traceback of request 7: none\n",
        "Traceback (most recent call last):\n",
        'File "x.bin", line 3, in header\nValueError\n',
        "WARNING: a request that panicked at once\n",
        "SUMMARY: 3 errors\n",
        'Exception in thread of the peer: "x"\n',
    ],
)
@pytest.mark.parametrize("status", [0, 1, 127])
def test_a_message_is_not_a_sign(text: str, status: int) -> None:
    assert sign_in(text) is None
    assert how_it_ended(status, text, is_verdict=False) is None


@pytest.mark.parametrize(
    ("status", "is_verdict", "wanted"),
    [
        (0, False, None),
        (127, False, None),
        (128, False, "exit status 128"),
        (1, True, None),
        (2, True, "exit status 2"),
        (-11, False, "killed by SIGSEGV"),
        (-63, True, "killed by signal 63"),
    ],
)
def test_the_exit_status_tells_without_a_report(status: int, is_verdict: bool, wanted: str | None) -> None:
    assert how_it_ended(status, "error", is_verdict=is_verdict) == wanted


def test_a_report_counts_with_any_exit_status() -> None:
    text = written("class Abort(Exception): pass\nraise Abort(3)")
    sign = "Abort in <module> (<string>:2)"
    found = [how_it_ended(status, text, is_verdict=False) for status in (0, 1, -6)]
    assert found == [sign, f"exit status 1: {sign}", f"killed by SIGABRT: {sign}"]
