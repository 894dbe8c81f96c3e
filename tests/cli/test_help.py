"""Help texts fit a terminal, and their examples run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cli.test_parser import COMMANDS
from support import ROOT

from hgproto import cli
from hgproto.cli.common import HUMAN_FORM
from hgproto.wire.human import parse_frame

if TYPE_CHECKING:
    from _pytest.capture import CaptureFixture

FRAME = "1 1 stream-begin|stream-end command-name eos heads"
SESSION = f"> {FRAME}\n< 1 2 stream-begin|stream-end bytes-response eos x\n"
NOT_RUN = ("hgproto trace", "hgproto fuzz 'python server.py'", "hgproto generate --check")
"""Examples that need a project or a server; other tests run these commands."""
HELP = {"": cli.parser(), **COMMANDS}
EXAMPLES = [
    line.strip()
    for parser in HELP.values()
    for line in (parser.epilog or "").partition("Examples:\n")[2].splitlines()
    if not line.strip().startswith(NOT_RUN)
]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the files that examples name."""
    for file in (ROOT / "schema").glob("*.yaml"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    schema = (ROOT / "schema" / "framing-0002.yaml").read_bytes()
    frame = bytes.fromhex("0500000100010311") + b"heads"
    (tmp_path / "captures").mkdir()
    contents = {"capture.bin": frame, "captures/one.bin": frame, "frames.txt": FRAME.encode()}
    for name, data in {**contents, "heads.session": SESSION.encode(), "old.yaml": schema, "new.yaml": schema}.items():
        (tmp_path / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", HELP)
def test_help_has_examples_and_fits_100_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = HELP[name].format_help()
    assert "Examples:\n  " in text
    assert [line for line in text.splitlines() if len(line) >= 100] == []


@pytest.mark.parametrize("example", dict.fromkeys(EXAMPLES))
def test_an_example_runs(example: str, directory: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(  # noqa: S602 - examples are lines for a shell
        example,
        shell=True,
        cwd=directory,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, "Traceback" in run.stderr) == (0, False), run.stdout + run.stderr


def test_an_unknown_command_has_a_suggestion(capsys: CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["decod"])
    assert "unknown word 'decod'; did you mean 'decode'?" in capsys.readouterr().err


def test_explain_lists_an_area(capsys: CaptureFixture[str]) -> None:
    assert cli.main(["explain", "stream-id"]) == 0
    assert capsys.readouterr().out.startswith("stream-id.parity  ")


def test_explain_finds_a_unique_last_part(capsys: CaptureFixture[str]) -> None:
    assert cli.main(["explain", "begin-plain"]) == 0
    assert capsys.readouterr().out.startswith("stream.begin-plain (")


def test_explain_rejects_an_ambiguous_last_part(capsys: CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["explain", "parity"])
    expected = "hgproto: requirement 'parity' is ambiguous; use one of request-id.parity, stream-id.parity\n"
    assert capsys.readouterr().err == expected


def test_the_human_form_in_help_is_the_one_that_encode_reads() -> None:
    (line,) = [line for line in HUMAN_FORM.splitlines() if line.strip().startswith("PAYLOAD")]
    escapes = {"\\n": b"\n", "\\r": b"\r", "\\t": b"\t", "\\\\": b"\\"}
    assert re.findall(r"\\(?:xNN|.)", line) == [*escapes, "\\xNN"]
    for escape, data in {**escapes, "\\xff": b"\xff"}.items():
        assert parse_frame(f"1 1 0 command-data eos a{escape}").payload == b"a" + data
    assert line.endswith("; optional")
    assert parse_frame("1 1 0 command-data eos").payload == b""
    (words,) = [line.split("as in ")[1] for line in HUMAN_FORM.splitlines() if "STREAM-FLAGS FLAGS " in line]
    assert parse_frame(f"1 1 {words} command-data eos").stream_flags == 5
