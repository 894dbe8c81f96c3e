"""Trouble with files and standard streams: every command, every kind of it, as a user runs the program.

It is one line on standard error and the exit status 3, and never a verdict on the input. Output is complete, or is not there.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import shlex
import shutil
import subprocess
import sys
import termios
import time
import tty
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from support import SCHEMA

from hgproto import cli, encode_frame, parse_frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWN = str(SCHEMA / "framing-0002.yaml")
LINES = ("1 1 stream-begin command-name eos x", "3 1 stream-end command-name eos y")
FRAMES = b"".join(encode_frame(parse_frame(line)) for line in LINES)
BROKEN = encode_frame(parse_frame("1 1 stream-begin|stream-end command-name eos|have-args x"))
BROKEN_PAYLOAD = bytes.fromhex("010000 0100 01 01 22 00")
BROKEN_LINE = b"> 1 2 stream-begin command-name eos x\n"
SESSION = "".join(f"> {line}\n" for line in LINES) + (
    "< 1 2 stream-begin bytes-response eos x\n< 3 2 stream-end bytes-response eos y\n"
)
COMMANDS = (
    "encode lines.txt", "encode --hex lines.txt", "decode frames.bin", "decode --format json frames.bin",
    "decode --format tree frames.bin", "session both.session", "session --format json both.session", "validate frames.bin",
    "validate --format json frames.bin", "validate --format sarif frames.bin", "validate --format junit frames.bin",
    "explain", "explain stream.end", "sample --seed 1", "sample session --seed 1", "sample --format raw --seed 1",
    "coverage frames.bin", "corpus seed seeds", "corpus dictionary", "corpus minimize corpus small",
    "corpus replay corpus reader", f"schema check {OWN}", "schema show", "schema show command-name",
    f"diff framing-0002 {OWN}", f"generate --revision {OWN} --output made",
    "fuzz hgproto.fuzz.echo:serve --max-cases 1 --seed 1", "trace --record record.json", "completion bash", "--version", "--help",
    "validate --help",
)  # fmt: skip
"""Every command and everything that prints, with good input. Each writes to standard output."""
READERS = (
    "encode", "encode --hex -", "decode", "decode --hex -", "decode --format tree", "session", "session --format json",
    "validate", "validate --format json", "validate --hex", "validate --role both",
    "validate --payload command-data --flags eos", "coverage -",
)  # fmt: skip
"""Every command that reads standard input."""
FILES = (
    "encode {}", "decode {}", "decode --hex {}", "session {}", "validate {}", "validate --format sarif {}",
    "validate --baseline {} frames.bin", "coverage {}", "coverage --format json {}", "corpus minimize {} small",
    "corpus replay {} reader", "schema check {}", "schema show --revision {}", "decode --revision {} frames.bin",
    "encode --revision {} lines.txt", "explain --revision {}", "sample --revision {}",
    "validate --revision {} --depth frames frames.bin", "diff {} framing-0002", "diff framing-0002 {}",
    "generate --revision {} --output made", "trace --record {}", "fuzz hgproto.fuzz.echo:serve --replay {}",
    "fuzz hgproto.fuzz.echo:serve --max-cases 1 --corpus {}",
)  # fmt: skip
"""Every command and option that reads a file or a directory."""
OUTPUTS = (
    "sample --seed 1 -o {}", "sample session --seed 1 -o {}", "corpus seed {}", "corpus minimize corpus {}",
    f"generate --revision {OWN} --output {{}}",
)  # fmt: skip
"""Every command that writes files in a directory."""


BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with good inputs of every kind."""
    directory = tmp_path_factory.mktemp("inputs")
    (directory / "lines.txt").write_text("".join(f"{line}\n" for line in LINES))
    (directory / "frames.bin").write_bytes(FRAMES)
    (directory / "both.session").write_text(SESSION)
    (directory / "record.json").write_text(
        json.dumps(
            {
                "revisions": ["framing-0002"],
                "exit_status": 0,
                "unfinished": [],
                "tests": {"it": {"names": ["frame.whole"], "broken": []}},
            }
        )
    )
    (directory / "corpus").mkdir()
    (directory / "corpus" / "frames").write_bytes(FRAMES)
    (directory / "tests").mkdir()
    return directory


def words(command: str) -> list[str]:
    """The program with the arguments of a command."""
    return [sys.executable, "-m", "hgproto", *shlex.split(command)]


def run(here: Path, command: str, redirections: str = "", **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Runs a command as a shell does, with redirections of its standard streams."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    shell = ["bash", "-c", f'exec "$@" {redirections}', "bash", *words(command)]
    done: subprocess.CompletedProcess[bytes] = subprocess.run(shell, cwd=here, check=False, **{**streams, **options})
    return done


def said(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    """What a command says on standard error, without the seed and what it could only warn of."""
    lines = done.stderr.decode().splitlines()
    return [line for line in lines if not line.startswith("seed: ") and "no test has exercised it" not in line]


@pytest.mark.parametrize("command", COMMANDS)
def test_standard_output_that_cannot_be_written(command: str, here: Path) -> None:
    for redirection, reason in ((">/dev/full", "No space left on device"), (">&-", "it is closed")):
        # Generated files that are there already are not named.
        shutil.rmtree(here / "made", ignore_errors=True)
        done = run(here, command, redirection)
        assert (done.returncode, said(done)) == (3, [f"hgproto: standard output: {reason}"])


@pytest.mark.parametrize("command", ["encode lines.txt", "sample --seed 1", "corpus replay corpus reader", "--help"])
def test_standard_output_that_nobody_reads(command: str, here: Path) -> None:
    """The pipe breaks when the program ends, which is when it writes."""
    reading, writing = os.pipe()
    os.close(reading)
    done = run(here, command, stdout=writing)
    os.close(writing)
    assert (done.returncode, said(done)) == (3, [])


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("validate broken.bin", 1),
        ("validate --format sarif broken.bin", 1),
        ("validate frames.bin", 3),
        ("validate bad.hex", 1),
        ("validate nowhere.bin", 3),
        ("session broken.session", 1),
        ("session both.session", 3),
        ("schema check bad.yaml", 1),
        ("diff --fail-on documentation framing-0002 other.yaml", 1),
        ("diff framing-0002 other.yaml", 3),
        ("generate --check --revision other.yaml --output nowhere", 1),
        ("fuzz broken:serve --seed 1 --max-findings 1 -o new", 1),
    ],
)
def test_a_closed_pipe_after_an_error_does_not_hide_the_error(command: str, status: int, here: Path) -> None:
    (here / "broken.bin").write_bytes(BROKEN)
    (here / "bad.hex").write_text("zz")
    (here / "broken.session").write_text("> 1 2 stream-begin command-name eos x\n")
    (here / "broken.py").write_text("def serve(data):\n    raise RuntimeError\n")
    (here / "bad.yaml").write_text("language: 1\n")
    (here / "other.yaml").write_text(SCHEMA.joinpath("framing-0002.yaml").read_text().replace("doc: ", "doc: Also ", 1))
    for include in SCHEMA.glob("*.yaml"):
        if include.name != "framing-0002.yaml":
            (here / include.name).write_bytes(include.read_bytes())
    reading, writing = os.pipe()
    os.close(reading)
    # Without a buffer, the first line breaks the pipe before anything is judged.
    done = run(here, command, stdout=writing, env=BUFFERED)
    os.close(writing)
    assert done.returncode == status, done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["validate --format json", "validate"])
def test_findings_are_not_lost_to_a_reader_that_takes_one_line(command: str, here: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", '"$@" | head -n 1; exit "${PIPESTATUS[0]}"', "bash", *words(command)],
        input=BROKEN * 5000,
        capture_output=True,
        check=False,
        cwd=here,
    )
    assert (done.returncode, done.stderr, done.stdout.count(b"\n")) == (1, b"", 1)


@pytest.mark.parametrize("command", READERS)
def test_standard_input_that_cannot_be_read(command: str, here: Path) -> None:
    done = run(here, command, "<&-")
    assert (done.returncode, said(done)) == (3, ["hgproto: standard input: it is closed"])
    # A terminal of which the other side is gone.
    main, side = pty.openpty()
    os.close(side)
    done = run(here, command, stdin=main)
    os.close(main)
    assert (done.returncode, said(done)) == (3, ["hgproto: standard input: Input/output error"])


LAST = {
    "decode": (BROKEN_PAYLOAD, "(command-argument.header-whole)"),
    "decode --hex -": (BROKEN_PAYLOAD.hex().encode() + b"\n", "(command-argument.header-whole)"),
    "decode --format json": (BROKEN_PAYLOAD, "(command-argument.header-whole)"),
    "decode --format tree": (BROKEN_PAYLOAD, "(command-argument.header-whole)"),
    "session": (BROKEN_LINE, "(stream-id.parity)"),
    "session --format json": (BROKEN_LINE, "(stream-id.parity)"),
    "validate": (BROKEN, "[command-name.eos-exclusive]"),
    "validate --format json": (BROKEN, '"command-name.eos-exclusive"'),
    "validate --format sarif": (BROKEN, '"command-name.eos-exclusive"'),
    "validate --role both": (BROKEN_LINE, "[stream-id.parity]"),
}
"""What each command that judges standard input as it reads finds in it, and how it says so."""


@pytest.mark.parametrize("command", LAST)
def test_an_error_that_was_found_decides_over_trouble_that_comes_after_it(command: str, here: Path) -> None:
    """A terminal, where reading fails once the other side has gone and all that it has written is read."""
    given, shown = LAST[command]
    main, side = pty.openpty()
    tty.setraw(side)
    os.write(side, given)
    os.close(side)
    done = run(here, command, stdin=main)
    os.close(main)
    assert shown in done.stdout.decode() + done.stderr.decode()
    assert said(done)[-1] == "hgproto: standard input: Input/output error"
    assert done.returncode == 1


@pytest.mark.parametrize(
    "command", ["decode payload.bin", "session broken.session", "validate broken.bin", "decode cut.bin"]
)
def test_an_error_that_was_found_decides_over_output_that_cannot_be_written(command: str, here: Path) -> None:
    for name, data in (("payload.bin", BROKEN_PAYLOAD), ("broken.session", BROKEN_LINE), ("broken.bin", BROKEN)):
        (here / name).write_bytes(data)
    (here / "cut.bin").write_bytes(FRAMES[:-1])
    done = run(here, command, ">/dev/full", env=BUFFERED)
    assert said(done)[-1] == "hgproto: standard output: No space left on device"
    # A report is lost; messages are not.
    assert len(said(done)) == 1 + (not command.startswith("validate"))
    assert done.returncode == 1


@pytest.mark.parametrize(
    "command", [one for one in COMMANDS if one.startswith(("sample", "fuzz", "trace", "validate", "enc"))]
)
def test_messages_that_cannot_be_written(command: str, here: Path) -> None:
    """What goes to standard output is the same, and nothing of the messages gets into it."""
    expected = run(here, command)
    closed = run(here, command, "2>&-")
    assert closed.returncode == expected.returncode
    volatile = command.startswith(("fuzz", "generate", "corpus seed"))
    if not volatile:
        assert closed.stdout == expected.stdout
    assert b"seed: " not in closed.stdout
    full = run(here, command, "2>/dev/full")
    assert full.returncode == (3 if expected.stderr and not expected.returncode else expected.returncode)


def test_a_closed_standard_stream_is_no_file_that_is_opened_later(here: Path) -> None:
    """The lowest descriptor that is free is the next that is opened, and 2 is where messages go."""
    (here / "few").mkdir()
    done = run(here, "sample --seed 1 -n 2 -o few", "0<&- 1>&- 2>&-")
    assert done.returncode == 0
    expected = run(here, "sample --seed 1 -n 2").stdout.splitlines(keepends=True)
    assert [file.read_bytes() for file in sorted((here / "few").iterdir())] == expected


@pytest.mark.parametrize("command", FILES)
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nowhere/x.yaml", "No such file or directory"),
        ("/proc/self/mem", "Input/output error"),
        ("corpus", "Is a directory"),
    ],
)
def test_files_that_cannot_be_read(command: str, path: str, reason: str, here: Path) -> None:
    if path == "corpus" and (
        "corpus" in command or command.startswith(("validate {}", "validate --format", "coverage"))
    ):
        path, reason = "lines.txt/x", "Not a directory"
    if path.startswith("/proc") and "corpus" in command:
        path, reason = "/proc/self/mem", "Not a directory"
    done = run(here, command.format(path))
    assert done.returncode == 3, done.stderr
    (line,) = said(done)
    assert path in line
    assert reason in line
    if "sarif" in command or "json" in command:
        assert json.loads(done.stdout)


@pytest.mark.parametrize("command", OUTPUTS)
@pytest.mark.parametrize("path", ["lines.txt", "lines.txt/x", "/dev/full", "/proc/x"])
def test_directories_that_cannot_be_written(command: str, path: str, here: Path) -> None:
    done = run(here, command.format(path))
    assert done.returncode == 3
    (line,) = said(done)
    assert line.startswith(f"hgproto: {path}")
    assert (here / "lines.txt").read_text().splitlines() == list(LINES)


def test_a_full_disk_leaves_no_part_of_a_file(here: Path) -> None:
    """A limit on the size of files stands for the disk."""
    for command in (
        "sample --format raw --seed 1 -n 1 -o full",
        "corpus seed full",
        f"generate --revision {OWN} --output full",
    ):
        done = subprocess.run(
            ["bash", "-c", 'trap "" XFSZ; ulimit -f 0; exec "$@"', "bash", *words(command)],
            cwd=here,
            capture_output=True,
            check=False,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert done.returncode == 3, done.stderr
        (line,) = said(done)
        assert line.endswith("File too large")
        assert [file.name for file in (here / "full").iterdir()] == []


# Names that are not UTF-8.

NAME = os.fsdecode(b"caf\xe9\n.bin")
SHOWN = r"caf\xe9\n.bin"


@pytest.mark.parametrize("format", ["text", "json", "sarif", "junit", "github"])
def test_a_report_shows_a_name_that_is_not_utf_8(format: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(BROKEN)
    done = run(tmp_path, f"validate --format {format} {shlex.quote(NAME)}")
    assert (done.returncode, done.stderr) == (1, b"")
    text = done.stdout.decode()
    if format == "json":
        assert {json.loads(line)["input"] for line in text.splitlines()} == {"caf\\xe9\n.bin"}
    elif format == "sarif":
        (result,) = (one for one in json.loads(text)["runs"][0]["results"] if one["level"] == "error")
        assert result["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "caf%E9%0A.bin"}
    else:
        assert SHOWN in text


@pytest.mark.parametrize("command", FILES)
def test_a_message_shows_a_name_that_is_not_utf_8(command: str, here: Path) -> None:
    name = os.path.join("nowhere", NAME)
    done = run(here, command.format(shlex.quote(name)))
    assert done.returncode == 3
    (line,) = said(done)
    assert f"nowhere/{SHOWN}" in line


@pytest.mark.parametrize("command", OUTPUTS)
@pytest.mark.parametrize("locale", ["C.UTF-8", "C", "POSIX"])
def test_output_may_go_to_names_that_are_not_utf_8(command: str, locale: str, here: Path, tmp_path: Path) -> None:
    target = tmp_path / NAME
    done = run(here, command.format(shlex.quote(str(target))), env={**os.environ, "LC_ALL": locale})
    assert (done.returncode, said(done)) == (0, [])
    assert list(target.iterdir())
    assert b"\xe9" not in done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16"])
def test_output_in_any_encoding(encoding: str, here: Path) -> None:
    (here / "café.bin").write_bytes(FRAMES)
    for command in ("explain", "schema show", "validate --format junit café.bin", "validate café.bin", "nothing-é"):
        done = run(here, command, env={**os.environ, "PYTHONIOENCODING": encoding})
        assert done.returncode == (2 if command == "nothing-é" else 0)
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "utf-16", "utf-8-sig", "cp1140"])
@pytest.mark.parametrize("format", ["json", "sarif", "junit", "github"])
def test_reports_for_programs_are_in_utf_8(format: str, encoding: str, here: Path) -> None:
    (here / "é.bin").write_bytes(BROKEN)
    command = f"validate --format {format} é.bin"
    done = run(here, command, env={**os.environ, "PYTHONIOENCODING": encoding})
    assert done.returncode == 1
    expected = run(here, command, env={**os.environ, "PYTHONIOENCODING": "utf-8:backslashreplace"})
    assert done.stdout == expected.stdout
    if format == "junit":
        assert ET.fromstring(done.stdout).tag == "testsuites"  # noqa: S314 - of our own making


# Streams that somebody else has made non-blocking.


@pytest.mark.parametrize("command", ["decode many.bin", "validate --format json many.bin", "sample --seed 1 -n 3000"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_non_blocking_output_is_complete(command: str, unbuffered: str, here: Path) -> None:
    (here / "many.bin").write_bytes(BROKEN * 4000)
    expected = run(here, command).stdout
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    environment = {**BUFFERED, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(
        words(command), cwd=here, stdout=writing, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        size = fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ)
        os.close(writing)
        assert len(expected) > size
        # Nothing is read before the pipe is as full as it gets.
        before = -1
        while not before == size_of(reading) > size // 2:
            assert process.poll() is None
            before = size_of(reading)
            time.sleep(0.1)
        got = b"".join(iter(lambda: os.read(reading, 1 << 16), b""))
        os.close(reading)
    assert got == expected
    assert process.returncode == (1 if command.startswith("validate") else 0)


def size_of(descriptor: int) -> int:
    """Bytes that wait in a pipe."""
    waiting = bytearray(4)
    fcntl.ioctl(descriptor, termios.FIONREAD, waiting)
    return int.from_bytes(waiting, sys.byteorder)


@pytest.mark.parametrize(
    ("command", "given"),
    [
        ("decode", FRAMES),
        ("decode --hex", FRAMES.hex().encode()),
        ("encode --hex", "".join(f"{line}\n" for line in LINES).encode()),
        ("session", SESSION.encode()),
        ("validate", FRAMES),
        ("validate --role both", SESSION.encode()),
        ("coverage --only types -", FRAMES),
    ],
)
def test_non_blocking_input_is_waited_for(command: str, given: bytes, here: Path) -> None:
    expected = piped(here, command, given)
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with subprocess.Popen(
        words(command), cwd=here, stdin=reading, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        for byte in (given[:1], given[1:5], given[5:]):
            os.write(writing, byte)
            while size_of(reading):
                assert process.poll() is None
                time.sleep(0.005)
        os.close(reading)
        os.close(writing)
        assert process.communicate() == expected
    assert process.returncode == 0


def piped(here: Path, command: str, given: bytes) -> tuple[bytes, bytes]:
    """What a command makes of input that is all there."""
    done = subprocess.run(words(command), cwd=here, input=given, capture_output=True, check=True)
    return done.stdout, done.stderr


# The program that fuzzes ourselves.


@pytest.mark.parametrize(
    ("redirection", "status", "message"),
    [
        (">/dev/full", 3, "python -m hgproto.fuzz: standard output: No space left on device"),
        (">&-", 3, "python -m hgproto.fuzz: standard output: it is closed"),
        ("2>&-", 0, None),
        ("<&-", 0, None),
    ],
)
def test_the_program_that_fuzzes_ourselves(redirection: str, status: int, message: str | None) -> None:
    for arguments in ([], ["reader", "--max-cases", "3"], ["--help"]):
        command = [sys.executable, "-m", "hgproto.fuzz", *arguments]
        done = subprocess.run(
            ["bash", "-c", f'exec "$@" {redirection}', "bash", *command], capture_output=True, check=False
        )
        assert done.returncode == status
        assert done.stderr.decode().splitlines() == ([message] if message else [])


def test_every_command_is_in_these_tables() -> None:
    from argparse import _SubParsersAction

    from hgproto.cli import parser

    def names(one: Any) -> list[str]:
        (group,) = (action for action in one._actions if isinstance(action, _SubParsersAction))
        found = []
        for name, inner in group.choices.items():
            deeper = any(isinstance(action, _SubParsersAction) for action in inner._actions)
            found += [f"{name} {part}" for part in names(inner)] if deeper else [name]
        return found

    tabled = {" ".join(command.split()[:2]) for command in COMMANDS} | {command.split()[0] for command in COMMANDS}
    assert not set(names(parser())) - tabled


@pytest.mark.parametrize("error", [KeyError("x\x1b[2J"), RecursionError("deep"), TypeError("none")], ids=repr)
@pytest.mark.parametrize(
    "command", [command for command in COMMANDS if "--version" not in command and "--help" not in command]
)
@pytest.mark.parametrize("found_fault", [False, True])
def test_a_failure_of_our_own_is_no_fault_of_the_input(
    command: str,
    error: Exception,
    found_fault: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(options: argparse.Namespace) -> int:
        print("output")
        options.found_fault = found_fault
        raise error

    whole = cli.parser

    def parser() -> argparse.ArgumentParser:
        made = whole()
        for each in leaves(made):
            each.set_defaults(run=fails)
        return made

    monkeypatch.setattr(cli, "parser", parser)
    assert cli.main(shlex.split(command)) == (1 if found_fault else 3)
    output, errors = capsys.readouterr()
    assert output == "output\n"
    lines = errors.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith(f"hgproto: hgproto itself failed, not the input: {type(error).__name__}: ")
    assert lines[-1].endswith("; report it to the authors of hgproto, with the traceback, the input, and the options")
    assert "in fails\n" in errors
    assert lines[-1].isprintable()


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of all commands."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield parser
    for group in groups:
        for command in group.choices.values():
            yield from leaves(command)


def test_a_failure_before_the_command_runs_is_no_fault_of_the_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> argparse.ArgumentParser:
        raise KeyError("x")

    monkeypatch.setattr(cli, "parser", fails)
    assert cli.main(["encode"]) == 3
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .startswith("hgproto: hgproto itself failed, not the input: KeyError: 'x'; ")
    )


def test_an_interrupt_is_no_failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for error, status in ((KeyboardInterrupt(), 130), (BrokenPipeError(), 3)):

        def fails(error: BaseException = error) -> argparse.ArgumentParser:
            raise error

        monkeypatch.setattr(cli, "parser", fails)
        assert cli.main(["encode"]) == status
    assert capsys.readouterr().err == ""
