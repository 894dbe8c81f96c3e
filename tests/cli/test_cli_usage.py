"""How commands say that they cannot be carried out: usage of the command, terminals, options without effect."""

from __future__ import annotations

import argparse
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import ROOT, flat

from hgproto import cli
from hgproto.language import SchemaError, load

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = "1 1 stream-begin command-name eos heads\n"


def commands(parser: argparse.ArgumentParser, name: str = "") -> Iterator[str]:
    """Every command that can be run."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield name
    for action in inner:
        for word, command in action.choices.items():
            yield from commands(command, f"{name} {word}".strip())


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is printed by a command that cannot be carried out."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    out, error = capsys.readouterr()
    assert out == ""
    return error


@pytest.mark.parametrize("command", sorted(commands(cli.parser())))
@pytest.mark.parametrize(
    "surplus", [["--no-such-option"], ["a", "b", "c", "--no-such-option"]], ids=["option", "words"]
)
def test_usage_is_that_of_the_command(command: str, surplus: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, *command.split(), *surplus)
    assert error.startswith(f"usage: hgproto {command} ")
    assert f"\nhgproto {command}: error: " in error


@pytest.mark.parametrize("command", ["", *sorted(commands(cli.parser()))])
@pytest.mark.parametrize(
    "words",
    [["--no-such-option"] * 9, ["--format", "no-such-format"], ["--role", "nobody"], ["--number", "9" * 60]],
    ids=" ".join,
)
def test_errors_fit_100_columns(
    command: str, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    lines = refused(capsys, *(command or "no-such-command").split(), *words).splitlines()
    assert lines[0].startswith("usage: hgproto")
    assert [line for line in lines if len(line) >= 100] == []


@pytest.mark.parametrize(
    "words",
    [
        ["sample", "ping"],
        ["validate", "--select", ".".join("x" * 30)],
        ["sample", "session", "--format", "raw", "-n", "2"],
        ["decode", "both.session"],
        ["corpus", "replay", "captures", "no-such-harness"],
    ],
    ids=" ".join,
)
def test_messages_about_arguments_fit_100_columns(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    lines = refused(capsys, *words).splitlines()
    assert lines[0].startswith("hgproto: ")
    assert [line for line in lines if len(line) >= 100] == []


def test_surplus_arguments_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "hgproto decode: error: unrecognized arguments: b\n" in refused(capsys, "decode", "a", "b")
    assert "unrecognized arguments: b \\x1b[1m" in refused(capsys, "decode", "a", "b", "\x1b[1m")


def on_terminal(*arguments: str) -> tuple[int, bytes, bytes]:
    """The exit status of a command whose standard output is a terminal, what it writes there, and its standard error."""
    main, side = pty.openpty()
    command = [sys.executable, "-m", "hgproto", *arguments]
    run = subprocess.run(command, input=LINE.encode(), stdout=side, stderr=subprocess.PIPE, check=False)
    os.set_blocking(main, False)
    try:
        written = os.read(main, 100_000)
    except BlockingIOError:
        written = b""
    os.close(side)
    os.close(main)
    return run.returncode, written, run.stderr


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["encode"], "--hex"),
        (["sample", "-n", "1", "--format", "raw"], "--format hex, -o DIRECTORY"),
        (["sample", "session", "-n", "1", "--format", "raw"], "--format hex, -o DIRECTORY"),
    ],
)
def test_bytes_are_not_written_to_a_terminal(arguments: list[str], remedy: str) -> None:
    code, written, error = on_terminal(*arguments)
    assert (code, written) == (2, b"")
    message = f"hgproto: cannot write raw bytes to a terminal; use {remedy}, or redirect standard output"
    assert flat(error.decode()) == message


@pytest.mark.parametrize(
    "arguments", [["encode", "--hex"], ["sample", "-n", "1", "--format", "hex"], ["sample", "-n", "1"]]
)
def test_text_is_written_to_a_terminal(arguments: list[str]) -> None:
    code, written, _ = on_terminal(*arguments)
    assert code == 0
    assert written


def test_files_of_bytes_are_written_from_a_terminal(tmp_path: Path) -> None:
    assert on_terminal("sample", "-n", "2", "--format", "raw", "-o", str(tmp_path / "out"))[0] == 0
    assert len(list((tmp_path / "out").iterdir())) == 2


ALIEN = str(ROOT / "tests" / "data" / "alien.yaml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["sample", "stream-settings", "--encoded"],
            "--encoded: it has no effect, because stream-settings cannot have an encoded",
        ),
        (["sample", "--encoded", "--revision", ALIEN], "--encoded: it has no effect, because frames of "),
        (
            ["sample", "command-name", "--invalid", "command-name.ascii", "--encoded"],
            "--encoded: it has no effect on single",
        ),
        (["sample", "command-name", "--role", "server"], "--role: it has no effect on single frames"),
        (["sample", "session", "--invalid", ""], "argument --invalid: there is no requirement ''"),
        (["sample", "command-name", "--invalid", ""], "argument --invalid: there is no requirement ''"),
        (["corpus", "seed", "--harness", "nope", "seeds"], "argument --harness: unknown harness 'nope'"),
        (["sample", "--role", "client"], "--role: it has no effect on single frames"),
        (
            ["corpus", "seed", "x", "--harness", "server", "--side", "server"],
            "--side: the harness server reads frames of the client",
        ),
        (["validate", "--role", "both", "--hex", "x"], "--hex: sessions and inputs with --role both are in human form"),
        (["validate", "--hex", "x.session"], "--hex: sessions and inputs with --role both are in human form"),
        (
            ["validate", "--revision", ALIEN, "x"],
            "has no state machines, so only its frames can be validated; use --depth frames",
        ),
    ],
)
def test_an_option_without_effect_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in flat(refused(capsys, *arguments))


@pytest.mark.parametrize(
    "what", [[], ["bytes-response"], ["session"], ["session", "--invalid", "command-name.fresh-id"]]
)
def test_encoded_has_an_effect_where_it_is_taken(what: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for more in ([], ["--encoded"]):
        assert cli.main(["sample", *what, "-n", "20", "--seed", "1", *more]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] != printed[1]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("validate --max-payload 99999999999 {}", "argument --max-payload: expected a whole number from 1 to 16777215"),
        ("validate --payload heads --max-payload 99999999999 {}", "argument --max-payload: expected a whole number"),
        ("decode --max-payload 16777216 {}", "argument --max-payload: expected a whole number from 1 to 16777215"),
        ("validate --payload= {}", "argument --payload: expected a frame type, found ''"),
        ("validate --payload command-name --flags=eos\tx {}", "argument --flags: expected flags joined by |"),
        ("validate --payload command-name --flags= {}", "argument --flags: expected flags joined by |"),
        *(
            (f"{command} ", "expected the name of a file, found an empty one")
            for command in ("validate", "coverage", "decode", "encode", "session", "validate {}")
        ),
    ],
)
def test_what_an_option_or_a_name_cannot_be(
    command: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "one.bin"
    file.write_bytes(bytes.fromhex("0500000100010311 6865616473"))
    with pytest.raises(SystemExit, match="2"):
        cli.main([part.format(file) for part in command.split(" ")])
    captured = capsys.readouterr()
    assert message in flat(captured.err)
    assert not captured.out


FILES = {"FILE", "FILE|-|DIRECTORY", "NAME|FILE", "DIR", "DIRECTORY", "PATH", "OUTPUT", "OLD", "NEW"}
"""What help calls arguments that name files."""


def arguments_of(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.Action]]:
    """Every argument of every command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, command in action.choices.items():
                yield from arguments_of(command, f"{name} {word}".strip())
        elif action.nargs != 0:
            yield name, action


ARGUMENTS = [(name, action) for name, action in arguments_of(cli.parser()) if action.choices is None]


@pytest.mark.parametrize(
    ("name", "action"),
    [(name, action) for name, action in ARGUMENTS if action.metavar in FILES],
    ids=lambda one: one if isinstance(one, str) else (one.option_strings or [one.metavar])[-1],
)
def test_an_empty_name_of_a_file_is_refused(
    name: str, action: argparse.Action, capsys: pytest.CaptureFixture[str]
) -> None:
    positional = [one for command, one in ARGUMENTS if command == name and not one.option_strings]
    words = [f"{action.option_strings[-1]}="] if action.option_strings else []
    # The others are there, up to those that need not be.
    words += ["" if one is action else "x" for one in positional if one is action or one.nargs not in ("?", "*")]
    error = refused(capsys, *name.split(), *words)
    assert error.startswith(f"usage: hgproto {name} ")
    called = "/".join(action.option_strings) or action.metavar
    error = flat(error)
    assert f"argument {called}: expected the name of a " in error
    assert ", found an empty one" in error


def test_every_argument_that_names_a_file_is_in_the_table() -> None:
    others = {
        "COMMAND", "FEATURES", "FLAGS", "ID", "KIND", "KINDS", "MIB", "N", "NAME", "NAMES", "NAME=N", "PATTERN", "PERCENT", "PID",
        "S", "SECONDS", "TARGET", "TYPE", "TYPE|session", "URL",
    }  # fmt: skip
    assert {action.metavar for _, action in ARGUMENTS} - FILES == others


@pytest.mark.parametrize(
    "command",
    [
        "fuzz ",
        "fuzz hgproto.fuzz.echo:serve --fails=",
        "fuzz localhost:1 --start=",
        "fuzz localhost:1 --start=\t",
        "corpus replay x ",
        "schema show ",
    ],
)
def test_other_empty_words_are_refused(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, *command.split(" ")).startswith("hgproto: ")


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("nofile.yaml", "No such file or directory); correct its name"),
        ("one.yaml/x.yaml", "Not a directory); correct its name"),
        (".", "Is a directory); name a file in it"),
        ("/proc/self/mem", "Input/output error); check its disk, or use a copy of the file"),
        ("loop.yaml", "Too many levels of symbolic links); correct the link"),
        (f"{'x' * 300}.yaml", "File name too long); correct its name"),
    ],
)
def test_a_schema_that_cannot_be_read_has_a_remedy(
    file: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if file.startswith("/") and not Path(file).exists():
        pytest.skip("this system has no such file")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.yaml").touch()
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    assert cli.main(["schema", "check", file]) == 3
    # The file as a whole has no line.
    assert capsys.readouterr().err == f"hgproto: {file}: cannot be read ({problem}\n"


READERS_OF_SCHEMAS = (
    "schema check {}", "schema show --revision {}", "decode --revision {} x.bin", "encode --revision {} x.txt",
    "validate --depth frames --revision {} x.bin", "explain --revision {}", "sample --revision {}", "diff {} framing-0002",
    "diff framing-0002 {}", "generate --revision {} --output made",
)  # fmt: skip


@pytest.mark.parametrize("command", READERS_OF_SCHEMAS)
def test_an_include_that_cannot_be_read_is_trouble(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is not there is a fault of the schema."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "part").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "x.bin").touch()
    (tmp_path / "x.txt").touch()
    for include, code, message in (
        ("part", 3, "'part' cannot be read (Is a directory); name a file in it"),
        ("loop", 3, "'loop' cannot be read (Too many levels of symbolic links); correct the link"),
        ("/proc/self/mem", 3, "'/proc/self/mem' cannot be read (Input/output error); check its disk"),
        ("nothing", 1, "the included file 'nothing' does not exist; correct the name"),
        ("x.bin/nothing", 1, "the included file 'x.bin/nothing' does not exist; correct the name"),
    ):
        if include.startswith("/") and not Path(include).exists():
            continue
        (tmp_path / "mine.yaml").write_text(f"language: 1\ninclude: [{include}]\n")
        assert cli.main(command.format("mine.yaml").split()) == code
        out, error = capsys.readouterr()
        assert out == ""
        assert error.removeprefix("hgproto: ").startswith(f"mine.yaml:2:11: {message}"), error


def test_an_include_of_an_include_is_placed_where_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "part").mkdir()
    (tmp_path / "mine.yaml").write_text("language: 1\ninclude: [other.yaml]\n")
    (tmp_path / "other.yaml").write_text("language: 1\n\ninclude: [part]\n")
    assert cli.main(["schema", "check", "mine.yaml"]) == 3
    assert capsys.readouterr().err.startswith("hgproto: other.yaml:3:11: 'part' cannot be read (Is a directory)")
    with pytest.raises(SchemaError) as caught:
        load("mine.yaml")
    assert caught.value.unreadable
    assert caught.value.files == ("mine.yaml", "other.yaml", "part")


SHOWN = r"x\xff"
WORDS = (
    "{}", "corpus {}", "decode --{}", "decode --format {}", "decode --format={} x", "decode --max-payload {}",
    "decode --revision {}", "session --limit {}", "validate --limit {}=1", "validate --select {}", "validate --payload {}",
    "validate --payload command-name --flags {}", "validate --role {}", "explain {}", "schema show {}", "sample {}",
    "sample --invalid {}", "sample --seed {}", "coverage --only {} x", "coverage --fail-under {} x", "corpus replay x {}",
    "corpus seed x --harness {}", "diff --fail-on {} a b", "diff {} framing-0002", "generate --revision {} --output y",
    "fuzz {}://x", "fuzz a:b --fails {}", "fuzz a:b --ignore {}", "fuzz a:b --encodings {}",
    "fuzz hgproto.fuzz.echo:serve --without {}",
    "fuzz {} --log x", "fuzz localhost:1 --start '{}", "fuzz '{}", "fuzz {}", "decode a {}",
)  # fmt: skip
"""Arguments that are quoted in an error."""


@pytest.mark.parametrize("command", WORDS)
def test_a_byte_of_an_argument_that_is_not_utf_8_is_shown_in_one_way(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    error = refused(capsys, *(word.format("x\udcff") for word in command.split(" ")))
    assert SHOWN in error
    assert "\udcff" not in error
    assert "udcff" not in error
