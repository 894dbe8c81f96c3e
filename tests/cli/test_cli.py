"""The command line, as a user runs it: standard streams and exit codes of the real program."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import tracemalloc
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from support import ROOT, VALID

from hgproto import cli
from hgproto.revisions.framing_0002 import codec

if TYPE_CHECKING:
    from pathlib import Path

LINE = b"1 1 stream-begin command-name eos customreadonly\n"
HEX = b"0e00000100010111637573746f6d726561646f6e6c79\n"


def run(*arguments: str, given: bytes = b"", code: int = 0) -> tuple[bytes, str]:
    """Standard output and standard error of ``hgproto`` with these arguments."""
    command = [sys.executable, "-m", "hgproto", *arguments]
    result = subprocess.run(command, input=given, capture_output=True, check=False)
    assert result.returncode == code, (result.returncode, result.stderr)
    assert b"Traceback" not in result.stderr
    return result.stdout, result.stderr.decode()


def test_encode_and_decode() -> None:
    assert run("encode", "--hex", given=LINE) == (HEX, "")
    raw, _ = run("encode", given=LINE)
    assert raw.hex().encode() + b"\n" == HEX
    assert run("decode", given=raw) == (LINE, "")
    assert run("decode", "--hex", given=b"# a comment\n" + HEX.upper()) == (LINE, "")


def test_files_comments_and_blank_lines(tmp_path: Path) -> None:
    file = tmp_path / "lines.txt"
    file.write_bytes(b"# comment\n\n   \n  # another\n" + LINE.rstrip() + b"\r\n")
    raw, _ = run("encode", str(file))
    frames = tmp_path / "frames.bin"
    frames.write_bytes(raw)
    assert run("decode", str(frames))[0] == LINE


def test_every_vector_round_trips() -> None:
    wire = b"".join(bytes.fromhex(vector["wire"]) for vector in VALID)
    human, _ = run("decode", given=wire)
    assert human.decode().splitlines() == [line for vector in VALID for line in vector["human"]]
    assert run("encode", given=human)[0] == wire
    shown = [json.loads(line) for line in run("decode", "--format", "json", given=wire)[0].splitlines()]
    assert [frame["payload"] for frame in shown] == [frame["payload"] for v in VALID for frame in v["frames"]]
    offsets = [frame["offset"] for frame in shown]
    assert offsets[0] == 0
    assert [b - a - 8 for a, b in pairwise(offsets)] == [frame["length"] for frame in shown[:-1]]
    assert b"command-name" in run("decode", "--format", "tree", given=wire)[0]


FAULTS: list[tuple[list[str], bytes, str]] = [
    (["encode"], LINE + b"1 1 x command-name eos a\n", "standard input:2:5: expected a stream flag"),
    (["encode"], b"1 1\n", "standard input:1:4: expected the stream flags"),
    (["encode", "--max-payload", "3"], LINE, "standard input:1:35: length: expected at most 3 bytes, found 14 bytes"),
    (["encode"], b"1 1 0 3 1 " + b"a" * 300_000, "expected a line of at most"),
    (
        ["decode"],
        bytes.fromhex(HEX.decode()) + b"\x01",
        "length: expected 3 bytes, found 1 byte (the header lacks 7) at offset 22 (frame.whole)",
    ),
    (
        ["decode"],
        bytes.fromhex(HEX.decode())[:-1],
        "payload: expected 14 bytes, as length says, found 13 bytes (the frame lacks 1) at offset 8",
    ),
    (
        ["decode"],
        b"\xff\xff\xff" + bytes(5),
        "expected at most 65535 bytes, found 16777215 bytes at offset 0 (frame.length-limit)",
    ),
    (["decode", "--max-payload", "3"], bytes.fromhex(HEX.decode()), "expected at most 3 bytes, found 14 bytes"),
    (["decode", "--hex"], b"00\n0x", "standard input:2:2: expected a hexadecimal digit, found 'x'"),
    (["decode", "--hex"], HEX[:-2], "standard input:1:44: expected the second digit of a byte"),
    (["decode", "--revision", "pyproject.toml"], b"", "pyproject.toml:"),
]


@pytest.mark.parametrize(("arguments", "given", "message"), FAULTS)
def test_input_at_fault(arguments: list[str], given: bytes, message: str) -> None:
    _, error = run(*arguments, given=given, code=1)
    assert message in error
    assert len(error.splitlines()) <= 3


def test_what_was_good_before_a_fault_is_put_out() -> None:
    frame = bytes.fromhex(HEX.decode())
    for arguments, given, expected in (
        (["decode"], frame * 2 + b"\x01", LINE * 2),
        (["decode", "--hex"], HEX * 2 + b"zz", LINE * 2),
        (["encode", "--hex"], LINE * 2 + b"broken\n", HEX * 2),
    ):
        assert run(*arguments, given=given, code=1)[0] == expected


USAGE = [
    [],
    ["nothing"],
    ["decode", "--format", "xml"],
    ["encode", "--max-payload", "0"],
    ["encode", "--max-payload", "16777216"],
    ["encode", "--max-payload", "many"],
    ["decode", "--revision", "framing-0003"],
    ["schema", "show", "command"],
    ["generate", "--revision", "x.yaml"],
    ["generate", "--output", "x"],
]


@pytest.mark.parametrize("arguments", USAGE)
def test_usage(arguments: list[str]) -> None:
    out, error = run(*arguments, code=2)
    assert out == b""
    assert "hgproto" in error


DAMAGED = codec.encode_frame(codec.make_frame(1, 1, 0xF8, 6, 15, b"\xff"))


@pytest.mark.parametrize("form", ["human", "json", "tree"])
def test_damage_in_a_payload_is_shown_and_is_a_fault(form: str) -> None:
    """In the output beside the frame, and on standard error; the frames after it are read."""
    good = bytes.fromhex(HEX.decode())
    for data, offset, rest in (
        (DAMAGED, 8, ""),
        (good + DAMAGED + good, len(good) + 8, ""),
        (good + DAMAGED * 2 + good, len(good) + 8, "; 1 more payload is damaged"),
        (DAMAGED * 4, 8, "; 3 more payloads are damaged"),
    ):
        out, error = run("decode", "--format", form, given=data, code=1)
        place = f"at offset {offset} (text-output.single-frame)"
        assert out.decode().count("(text-output.single-frame)") == data.count(DAMAGED)
        assert place in out.decode()
        (line,) = error.splitlines()
        assert line.startswith("hgproto: standard input: ")
        assert line.endswith(f"{place}{rest}")
        if form == "human":
            assert run("encode", given=out)[0] == data
            assert out.splitlines()[data.index(DAMAGED) // len(good) + 1].startswith(b"# error: ")
        if form == "json":
            lines = [json.loads(line) for line in out.splitlines()]
            assert [line["offset"] for line in lines] == sorted(line["offset"] for line in lines)
            (shown, *_) = (line for line in lines if "error" in line)
            assert shown["error"]["requirement"] == "text-output.single-frame"
            assert shown["error"]["offset"] == offset
            assert shown["stream_flags"] == [8, 16, 32, 64, 128]


@pytest.mark.requirement("frame.items-limit")
@pytest.mark.parametrize("form", ["human", "json", "tree"])
def test_the_limit_on_items_can_be_another(form: str) -> None:
    data = codec.encode_frame(codec.make_frame(1, 2, 1, 6, 0, b"\1\0\0\0\n" * 3))
    for limit, found in (("payload-items=3", False), ("payload_items=2", True)):
        out, error = run("decode", "--format", form, "--limit", limit, given=data, code=int(found))
        assert (b"(frame.items-limit)" in out) == ("(frame.items-limit)" in error) == found
    many = codec.encode_frame(codec.make_frame(1, 2, 1, 6, 0, bytes(4) * 65537), 1 << 24)
    assert b"items-limit" in run("decode", "--max-payload=400000", "--format", form, given=many, code=1)[0]
    raised = ["--limit", "payload-items=65537", "--limit=max-payload=400000"]
    assert b"items-limit" not in run("decode", *raised, "--format", form, given=many)[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--limit", "arguments=3"], "argument --limit: arguments has no effect on decode; leave it out"),
        (["--limit", "payload-items=0"], "argument --limit: payload_items must be 1 to "),
        (
            ["--limit", "max-payload=3", "--max-payload=3"],
            "--max-payload is the limit max-payload; leave one of them out",
        ),
        (["--limit", "x=3"], "there is no limit 'x'; there are "),
    ],
)
def test_other_limits_have_no_effect_on_decode(words: list[str], said: str) -> None:
    assert said in run("decode", *words, code=2)[1]


def test_damaged_payloads_before_a_damaged_frame_are_named() -> None:
    for arguments, given in ((["decode"], DAMAGED + b"\x01"), (["decode", "--hex"], DAMAGED.hex().encode() + b"01")):
        _, error = run(*arguments, given=given, code=1)
        first, second = error.splitlines()
        assert first.endswith("at offset 8 (text-output.single-frame)")
        assert second.startswith("hgproto: standard input:")
        assert "expected" in second


def test_a_raised_limit() -> None:
    line = b"1 1 0 command-data eos " + b"a" * 70_000 + b"\n"
    raw, _ = run("encode", "--max-payload", "70000", given=line)
    assert run("decode", "--max-payload", "70000", given=raw)[0] == line
    assert "at most 65535" in run("decode", given=raw, code=1)[1]


def test_a_schema_that_is_named_twice_is_checked_once() -> None:
    file = str(ROOT / "tests" / "data" / "alien.yaml")
    out, _ = run("schema", "check", file, file)
    assert out.count(b": good: ") == 1


def test_schema_check_and_show() -> None:
    out, _ = run("schema", "check")
    assert b"good: 8 frame types" in out
    assert b"command-argument.header-whole" in run("schema", "show", "command-argument")[0]
    assert b"frame-header" in run("schema", "show")[0]
    assert "did you mean 'command-name'" in run("schema", "show", "command-nam", code=2)[1]


def test_generated_code_is_fresh() -> None:
    assert run("generate", "--check") == (b"", "")


def test_help_and_version() -> None:
    for arguments in (
        ["--help"],
        ["encode", "--help"],
        ["decode", "--help"],
        ["schema", "check", "--help"],
        ["generate", "--help"],
    ):
        assert b"usage: hgproto" in run(*arguments)[0]
    assert run("--version")[0].startswith(b"hgproto 0.")


def test_output_that_nobody_reads_is_trouble_without_a_message() -> None:
    frame = bytes.fromhex(HEX.decode())
    process = subprocess.Popen(
        [sys.executable, "-m", "hgproto", "decode"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin and process.stdout and process.stderr
    process.stdout.close()
    with pytest.raises(BrokenPipeError):
        for _ in range(200):
            process.stdin.write(frame * 1000)
            process.stdin.flush()
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    assert process.wait() == 3
    assert process.stderr.read() == b""
    process.stderr.close()


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour_on_a_terminal_alone(variables: dict[str, str], coloured: bool, tmp_path: Path) -> None:
    file = tmp_path / "frames"
    file.write_bytes(bytes.fromhex(HEX.decode()))
    command = [sys.executable, "-m", "hgproto", "decode", "--format", "tree", str(file)]
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | {"TERM": "xterm"} | variables
    main, side = pty.openpty()
    subprocess.run(command, stdout=side, check=True, env=environment)
    os.close(side)
    text = os.read(main, 100_000)
    os.close(main)
    assert (b"\x1b[" in text) == coloured
    assert b"\x1b[" not in subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment).stdout


@pytest.mark.parametrize("form", ["human", "json", "tree"])
def test_memory_does_not_grow_with_the_input(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the frames cost no more memory, once everything is imported."""
    peaks = []
    for frames in (200, 2000, 4000):
        file = tmp_path / f"{frames}"
        file.write_bytes(codec.encode_frame(codec.make_frame(1, 1, 0, 3, 1, bytes(1000))) * frames)
        with (tmp_path / "out").open("w") as out:
            monkeypatch.setattr(sys, "stdout", out)
            tracemalloc.start()
            assert cli.main(["decode", "--format", form, str(file)]) == 0
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            monkeypatch.undo()
    assert peaks[2] < peaks[1] * 1.2
