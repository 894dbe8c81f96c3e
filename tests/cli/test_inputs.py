"""Files are read in one way by every command that reads frames."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import TYPE_CHECKING

import pytest
from support import ROOT, flat, without_privileges

from hgproto import cli
from hgproto.cli.corpus import files_of
from hgproto.wire import human
from hgproto.wire.human import without_line_end

if TYPE_CHECKING:
    from pathlib import Path

WIRE = bytes.fromhex("0500000100010311 6865616473")
BAD = bytes.fromhex("0500000100010313 6865616473")
DUMP = "00000000  05 00 00 01 00 01 03 11  68 65 61 64 73           |........heads|\n0000000d\n"
READERS = {
    "decode": ["decode"],
    "decode as JSON": ["decode", "--format", "json"],
    "decode as a tree": ["decode", "--format", "tree"],
    "coverage": ["coverage", "--only", "types"],
    "validate": ["validate", "--format", "json"],
    "validate frames": ["validate", "--depth", "frames", "--format", "json"],
}


def corpus_of(directory: str) -> dict[str, bytes]:
    """The files of a corpus, all of which can be read."""
    unread: list[Exception] = []
    found = files_of(directory, unread.append)
    assert unread == []
    return found


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert cli.main(arguments) == code
    return capsys.readouterr().out


@pytest.mark.parametrize("name", READERS)
def test_a_name_in_hex_says_what_a_file_is(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw, text = tmp_path / "it.bin", tmp_path / "it.hex"
    raw.write_bytes(WIRE)
    text.write_text(f"# A frame.\n{WIRE.hex(' ')}\n")
    shown = printed(capsys, *READERS[name], str(raw))
    assert shown
    assert printed(capsys, *READERS[name], str(text)).replace("it.hex", "it.bin") == shown


@pytest.mark.parametrize("name", READERS)
def test_a_dump_is_rejected(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "it.hex"
    file.write_text(DUMP)
    assert cli.main([*READERS[name], str(file)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(
        f"hgproto: {file}:1:1: expected pairs of hexadecimal digits, found '00000000', which looks like"
    )
    assert "`xxd -p FILE`" in error


@pytest.mark.parametrize("name", ["coverage", "decode", "validate"])
def test_standard_input_is_read(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(WIRE)))
    assert printed(capsys, *READERS[name], "-")


def test_a_session_is_not_decoded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "it.session"
    file.write_text("> 1 1 stream-begin|stream-end command-name eos heads\n")
    with pytest.raises(SystemExit, match="2"):
        cli.main(["decode", str(file)])
    assert "a session has both sides; use `hgproto session` or `hgproto validate`" in flat(capsys.readouterr().err)


def test_directories_are_read_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name in ("b.hex", "part/a.hex", ".hidden/c.hex", ".d.hex"):
        (tmp_path / name).write_text(WIRE.hex())
    assert "(2 files)" in printed(capsys, "coverage", "--only", "types", str(tmp_path))
    lines = printed(capsys, "validate", "--format", "json", str(tmp_path)).splitlines()
    assert len({json.loads(line)["input"] for line in lines}) == 2
    (tmp_path / "empty").mkdir()
    for command in ("coverage", "validate"):
        with pytest.raises(SystemExit, match="2"):
            cli.main([command, str(tmp_path / "empty")])
        assert "the directory has no files" in flat(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("validate --role client it.session", "argument --role client: it.session: a session has both sides"),
        ("validate --role server it.bin .", "argument --role server: it.session: a session has both sides"),
        ("validate --payload command-name it.session", "argument --payload: it.session: a session has both sides"),
        ("validate --payload command-name --hex it.session", "argument --payload: it.session: a session has both"),
        ("validate --hex it.session", "argument --hex: sessions and inputs with --role both are in human form"),
        ("validate --depth frames it.session", "a session of both sides requires --depth session"),
        ("coverage --role client it.session", "argument --role: it.session names the sender itself"),
        ("coverage --role server it.json", "argument --role: it.json names the sender itself"),
        ("decode it.session", "a session has both sides"),
    ],
)
def test_a_session_is_not_read_as_one_side(
    command: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "it.bin").write_bytes(WIRE)
    (tmp_path / "it.session").write_text("> 1 1 stream-begin|stream-end command-name eos heads\n")
    (tmp_path / "it.json").write_text('{"vectors": []}')
    with pytest.raises(SystemExit, match="2"):
        cli.main(command.split())
    captured = capsys.readouterr()
    assert message in captured.err
    assert not captured.out


def test_links_in_directories_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A directory is read once, so that links make no loops."""
    monkeypatch.chdir(tmp_path)
    for directory in ("real/part", "tree/sub/empty", "tree/.hidden"):
        (tmp_path / directory).mkdir(parents=True)
    for file in ("real/b.bin", "real/part/c.bin", "tree/one.bin", "tree/sub/two.bin", "tree/.hidden/x.bin"):
        (tmp_path / file).write_bytes(WIRE)
    links = {
        "tree/link": "../real",
        "tree/a": "sub",
        "tree/z.bin": "one.bin",
        "tree/.also": "../real",
        "tree/sub/up": "..",
        "real/part/back": "../../tree",
        "real/again": "../real",
    }
    for link, target in links.items():
        (tmp_path / link).symlink_to(target)
    names = ["tree/link/b.bin", "tree/link/part/c.bin", "tree/one.bin", "tree/sub/two.bin", "tree/z.bin"]
    lines = map(json.loads, printed(capsys, "validate", "--format", "json", "tree").splitlines())
    assert [line["input"] for line in lines if line["kind"] == "input"] == names
    assert "(5 files)" in printed(capsys, "coverage", "tree")


@pytest.mark.parametrize("target", ["nothing", "gone"])
def test_links_that_lead_nowhere_are_trouble(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "one.bin").write_bytes(WIRE)
    (tmp_path / "tree" / "gone").symlink_to(target)
    for command in ("validate tree", "coverage tree", "corpus replay tree validator", "corpus minimize tree small"):
        assert cli.main(command.split()) == 3
        assert "hgproto: tree/gone: " in capsys.readouterr().err


def test_hidden_files_are_left_out_of_corpora(tmp_path: Path) -> None:
    for name in ("one.bin", ".two.bin"):
        (tmp_path / name).write_bytes(WIRE)
    assert corpus_of(str(tmp_path)) == {"one.bin": WIRE}


@pytest.mark.parametrize(
    ("command", "status", "printed"),
    [
        ("validate one.bin all", 1, "all/bad.bin: 1 error"),
        ("coverage one.bin all", 3, "(2 files)"),
        ("corpus replay all/closed validator", 3, ""),
        ("corpus minimize all/closed small", 3, ""),
        ("decode one.bin --revision all/closed/x", 3, ""),
    ],
)
def test_files_of_a_directory_that_may_not_be_searched_are_trouble(
    command: str,
    status: int,
    printed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    closed = tmp_path / "all" / "closed"
    closed.mkdir(parents=True)
    (tmp_path / "all" / "bad.bin").write_bytes(BAD)
    for file in ("one.bin", "all/closed/x"):
        (tmp_path / file).write_bytes(WIRE)
    # What is loaded late is loaded now.
    assert cli.main(command.split()) != 3
    capsys.readouterr()
    for directory in (tmp_path, closed.parent):
        directory.chmod(0o755)
    closed.chmod(0o644)
    with without_privileges():
        assert cli.main(command.split()) == status
    closed.chmod(0o755)
    out, error = capsys.readouterr()
    assert printed in out
    assert "hgproto: all/closed/x: Permission denied\n" in error


def test_a_corpus_without_files_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("replay {} validator", "minimize {} small"):
        with pytest.raises(SystemExit, match="2"):
            cli.main(["corpus", *command.format(tmp_path).split()])
        assert f"{tmp_path}: the directory has no files" in flat(capsys.readouterr().err)


def test_corpora_have_the_files_of_nested_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As every command that takes a directory reads them."""
    monkeypatch.chdir(tmp_path)
    for name in ("one.bin", "sub/two.hex", "sub/deep/three.bin", ".hidden/four.bin", "-"):
        file = tmp_path / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(WIRE.hex().encode() if name.endswith(".hex") else WIRE if name != "one.bin" else WIRE * 2)
    (tmp_path / "in" / "link").symlink_to("sub")
    assert set(corpus_of("in")) == {"-", "one.bin", "sub/two.hex", "sub/deep/three.bin"}
    monkeypatch.chdir(tmp_path / "in")
    assert set(corpus_of(".")) == {"-", "one.bin", "sub/two.hex", "sub/deep/three.bin"}
    monkeypatch.chdir(tmp_path)
    assert printed(capsys, "corpus", "replay", "in", "validator") == "4 files, 0 faults\n"
    (tmp_path / "in" / "-").unlink()
    (tmp_path / "in" / "one.bin").unlink()
    assert printed(capsys, "corpus", "minimize", "in", "out").startswith("1 of 2 files")
    assert (tmp_path / "out" / "sub" / "deep" / "three.bin").read_bytes() == WIRE
    fuzz = ["fuzz", "hgproto.fuzz.echo:serve", "--seed", "1", "--max-cases", "3", "--corpus"]
    assert "0 findings in 3 cases" in printed(capsys, *fuzz, "in")


@pytest.mark.parametrize("output", ["tree", "tree/small", "tree/../tree/x", "link/small"])
def test_a_small_corpus_is_no_part_of_the_large_one(
    output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tree").mkdir()
    (tmp_path / "link").symlink_to("tree")
    (tmp_path / "tree" / "one.bin").write_bytes(WIRE)
    with pytest.raises(SystemExit, match="2"):
        cli.main(["corpus", "minimize", "tree", output])
    assert f"argument OUTPUT: {output} is inside the corpus" in capsys.readouterr().err
    assert [file.name for file in (tmp_path / "tree").iterdir()] == ["one.bin"]


@pytest.mark.parametrize(
    ("spoiled", "code"),
    [(["bad.hex"], 1), (["gone"], 3), (["bad.hex", "gone"], 1), (["bad.hex", "sub/bad.hex", "sub/gone"], 1)],
)
def test_the_other_files_of_a_corpus_are_judged(
    spoiled: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    for name in ("a.bin", "z.bin"):
        (tmp_path / "tree" / name).write_bytes(WIRE)
    for name in spoiled:
        file = tmp_path / "tree" / name
        if name.endswith("gone"):
            file.symlink_to("nowhere")
        else:
            file.write_text(DUMP)
    number = "1 file" if len(spoiled) == 1 else f"{len(spoiled)} files"
    for command, shown in (
        ("replay tree validator", f"2 files, 0 faults; {number} could not be read\n"),
        ("minimize tree small", f"1 of 2 files, 13 of 26 bytes in small; {number} could not be read\n"),
    ):
        assert cli.main(["corpus", *command.split()]) == code
        out, error = capsys.readouterr()
        assert out == shown
        assert [line.split(":")[1].strip() for line in error.splitlines()] == [f"tree/{name}" for name in spoiled]
    assert (tmp_path / "small" / "a.bin").read_bytes() == WIRE
    # A campaign does not begin without a part of what it is to try.
    assert cli.main(["fuzz", "hgproto.fuzz.echo:serve", "--seed", "1", "--max-cases", "3", "--corpus", "tree"]) == code
    out, error = capsys.readouterr()
    assert out == ""
    assert sorted(line.split(":")[1].strip() for line in error.splitlines()[1:]) == [f"tree/{name}" for name in spoiled]


@pytest.mark.parametrize(
    "command",
    [
        "corpus replay tree validator",
        "corpus minimize tree small",
        "fuzz hgproto.fuzz.echo:serve --seed 1 --max-cases 1 --corpus tree",
    ],
)
def test_a_corpus_has_no_sessions(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "one.bin").write_bytes(WIRE)
    (tmp_path / "tree" / "sub" / "it.Session").write_text("> end\n")
    with pytest.raises(SystemExit, match="2"):
        cli.main(command.split())
    captured = capsys.readouterr()
    assert "tree/sub/it.Session: a session has both sides" in captured.err
    assert not captured.out
    assert not (tmp_path / "small").exists()


def test_corpora_have_hexadecimal_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    text = f"# heads\n{WIRE.hex()}\n"
    (tmp_path / "in" / "one.hex").write_text(text)
    assert corpus_of(str(tmp_path / "in")) == {"one.hex": WIRE}
    printed(capsys, "corpus", "minimize", str(tmp_path / "in"), str(tmp_path / "out"))
    assert (tmp_path / "out" / "one.hex").read_text() == text
    (tmp_path / "in" / "one.hex").write_text(DUMP)
    assert cli.main(["corpus", "replay", str(tmp_path / "in"), "validator"]) == 1
    assert "one.hex:1:1: expected pairs of hexadecimal digits" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("end", "more"), [("\n", ""), ("\r\n", ""), ("\r\r\n", "\\r"), ("\r\r\r\n", "\\r\\r"), ("", ""), ("\r", "\\r")]
)
def test_the_end_of_a_line_is_read_in_one_way(
    end: str, more: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """LF or CR LF ends a line; every byte before it is of the line."""
    line = "1 1 stream-begin|stream-end command-name eos heads"
    text, session = tmp_path / "it.txt", tmp_path / "it.session"
    text.write_bytes(f"{line}{end}".encode())
    session.write_bytes(f"> {line}{end}".encode())
    wire = printed(capsys, "encode", "--hex", str(text)).strip()
    assert wire == printed_hex(f"{line}{more}", tmp_path, capsys)
    cli.main(["session", "--format", "json", str(session)])
    step = json.loads(capsys.readouterr().out.splitlines()[0])
    assert step["wire"] == wire
    assert step["line"] == f"> {line}{without_line_end(end.encode()).decode()}"
    cli.main(["validate", "--format", "json", str(session)])
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["bytes"] == len(wire) // 2
    cli.main(["coverage", str(session), "--format", "json"])
    of_session = json.loads(capsys.readouterr().out)["kinds"]["types"]
    assert of_session["exercised"] == 1


def printed_hex(line: str, directory: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The frame of a line in hexadecimal."""
    file = directory / "other.txt"
    file.write_text(f"{line}\n")
    return printed(capsys, "encode", "--hex", str(file)).strip()


def test_blank_lines_and_comments_are_the_same_for_every_reader(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line of other white space than that of ASCII is not blank."""
    text, session = tmp_path / "it.txt", tmp_path / "it.session"
    for line, good in ((" \t\v\f\r", True), (" # x", True), ("\u00a0", False), ("\x1c", False)):
        for file in (text, session):
            file.write_bytes(f"{line}\n".encode())
        for command in (["encode", str(text)], *([name, str(session)] for name in ("session", "validate", "coverage"))):
            assert cli.main(command) == (0 if good else 1), (command, line)
    capsys.readouterr()


@pytest.mark.parametrize("blanks", [500, 5000])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "marked"])
def test_a_frame_after_blanks_is_not_skipped(
    blanks: int, mark: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "it.txt"
    file.write_bytes(mark + b" " * blanks + b"1 1 stream-begin command-name eos heads\n")
    assert cli.main(["encode", "--hex", "--max-payload", "10", str(file)]) == 1
    assert f"{file}:1:" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["session", "validate"])
def test_a_line_of_a_session_after_blanks_is_not_skipped(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(human, "LONGEST_LINE", 100)
    file = tmp_path / "it.session"
    file.write_text(" " * 200 + "> 1 1 stream-begin|stream-end command-name eos heads\n")
    assert cli.main([command, str(file)]) == 1
    printed = capsys.readouterr()
    assert "expected a line of at most 100 bytes, found more" in printed.out + printed.err


SCHEMAS = {
    "decode": ["decode", "--revision", "SCHEMA", "frames.bin"],
    "encode": ["encode", "--hex", "--revision", "SCHEMA", "frames.txt"],
    "sample": ["sample", "--seed", "1", "--revision", "SCHEMA"],
    "explain": ["explain", "--revision", "SCHEMA", "relay.length"],
    "schema show": ["schema", "show", "--revision", "SCHEMA"],
    "schema check": ["schema", "check", "SCHEMA"],
    "diff": ["diff", "framing-0002", "SCHEMA"],
    "generate": ["generate", "--revision", "SCHEMA", "--output", "made"],
    "validate": ["validate", "--depth", "frames", "--revision", "SCHEMA", "frames.bin"],
    "validate a payload": ["validate", "--payload", "hello", "--revision", "SCHEMA", "frames.bin"],
    "validate with a baseline": [
        *["validate", "--depth", "frames", "--revision", "SCHEMA", "--baseline", "known.toml", "frames.bin"],
        *["--limit", "max-payload=5", "--ignore", "relay.whole"],
    ],
}
"""Every command that takes a schema."""


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_may_be_a_pipe(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    alien = (ROOT / "tests" / "data" / "alien.yaml").read_bytes()
    (tmp_path / "frames.bin").write_bytes(bytes.fromhex("00 010000 00 01000000 00000000"))
    (tmp_path / "frames.txt").write_text("1 1 0 0 0 \n")
    (tmp_path / "known.toml").write_text("")
    (tmp_path / "alien.yaml").write_bytes(alien)
    code = cli.main([word.replace("SCHEMA", "alien.yaml") for word in SCHEMAS[name]])
    from_file = capsys.readouterr()
    assert from_file.out
    reading, writing = os.pipe()
    try:
        os.write(writing, alien)
        os.close(writing)
        pipe = f"/dev/fd/{reading}"
        assert cli.main([word.replace("SCHEMA", pipe) for word in SCHEMAS[name]]) == code
    finally:
        os.close(reading)
    from_pipe = capsys.readouterr()
    assert from_pipe.err == from_file.err.replace("alien.yaml", pipe)
    # The files of a package are written again, because the name of the schema is in their digest.
    assert from_pipe.out == from_file.out.replace("alien.yaml", pipe)


@pytest.mark.skipif(sys.platform == "win32", reason="a directory that is used cannot be deleted there")
@pytest.mark.parametrize("words", [("validate", "--role", "client"), ("coverage",), ("corpus", "minimize")])
def test_files_are_named_and_read_though_the_working_directory_was_deleted(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "corpus").mkdir()
    good = tmp_path / "corpus" / "good.bin"
    good.write_bytes(bytes.fromhex("0500000100010311 6865616473"))
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    given = str(good.parent) if words[0] == "corpus" else str(good)
    assert cli.main([*words, given, "other"]) == 3
    said = capsys.readouterr()
    assert "hgproto: other: No such file or directory" in said.err
    assert ("good" in said.out) == (words[0] == "validate")
