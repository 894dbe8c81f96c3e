"""``hgproto validate``, as a user runs it: what is read how, what is said, and the exit codes."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from junitparser import JUnitXml
from support import ROOT, flat, schema_with_lines

from hgproto import encode_frame, parse_frame
from hgproto.cli import main
from hgproto.judging.report import FORMATS
from hgproto.wire import jsonform

CLEAN = ("1 1 stream-begin|stream-end command-name eos x",)
SHORT = (  # breaks a MUST
    "1 1 stream-begin command-name have-args x",
    r"1 1 stream-end command-argument eoa \x01\x00\x09\x00a1",
)
WHOLE = (SHORT[0], r"1 1 stream-end command-argument eoa \x01\x00\x02\x00a12")
LEFT_OPEN = ("1 1 stream-begin command-name eos x",)  # a note
WARNED = (
    r"1 2 stream-begin|stream-end text-output 0 \x01\x00\x00\x00a",
    "1 2 stream-begin|stream-end bytes-response eos x",
)
SESSION = """\
# Both sides.

> 1 1 stream-begin|stream-end command-name eos x
< 1 2 stream-begin bytes-response continuation a
< 3 2 stream-end bytes-response eos b
> end
< end
"""


def wire(lines: tuple[str, ...]) -> bytes:
    return b"".join(encode_frame(parse_frame(line)) for line in lines)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with inputs of every kind."""
    monkeypatch.chdir(tmp_path)
    for name, lines in (("clean", CLEAN), ("short", SHORT), ("whole", WHOLE), ("open", LEFT_OPEN), ("warned", WARNED)):
        (tmp_path / f"{name}.bin").write_bytes(wire(lines))
    (tmp_path / "both.session").write_text(SESSION)
    (tmp_path / "large.session").write_text("> 1 1 stream-begin|stream-end command-name eos heads\n")
    (tmp_path / "short.hex").write_text(f"# a comment\n{wire(SHORT).hex(' ')}\n")
    return tmp_path


Capture = pytest.CaptureFixture[str]


def said(capsys: Capture, *arguments: str, code: int = 0) -> list[str]:
    """The ids that are found, each after its input when there are several."""
    assert main(["validate", "--format", "json", *arguments]) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = [json.loads(line) for line in captured.out.splitlines()]
    return [line["requirement"] for line in lines if line["kind"] == "finding" and not line["known"]]


def usage(capsys: Capture, *arguments: str) -> str:
    """What is said of arguments that cannot be."""
    with pytest.raises(SystemExit) as ended:
        main(["validate", *arguments])
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


@pytest.mark.parametrize(
    ("arguments", "code", "ids"),
    [
        ("clean.bin", 0, []),
        ("short.bin", 1, ["command-argument.value-short"]),
        ("short.hex", 1, ["command-argument.value-short"]),
        ("open.bin", 0, ["stream.end"]),
        ("--strict open.bin", 0, ["stream.end"]),
        ("warned.bin", 0, ["text-output.newline"]),
        ("--strict warned.bin", 1, ["text-output.newline"]),
        ("--role server warned.bin", 0, ["text-output.newline"]),
        ("--role client warned.bin", 1, ["stream-id.parity", "stream-id.parity"]),
        ("--role server clean.bin", 1, ["stream-id.parity"]),
        ("both.session", 1, ["response.active-request"]),
        ("--role both both.session", 1, ["response.active-request"]),
        ("short.bin clean.bin open.bin", 1, ["command-argument.value-short", "stream.end"]),
        # Depths.
        ("--depth frames short.bin", 1, ["command-argument.value-short"]),
        ("--depth frames open.bin", 0, []),
        # Selections.
        ("--select stream.* short.bin open.bin", 0, ["stream.end"]),
        ("--select stream.end,command-argument.* short.bin open.bin", 1, ["command-argument.value-short", "stream.end"]),
        ("--ignore command-argument.value-short short.bin", 0, []),
        ("--select stream.* --select command-argument.* --ignore *.end short.bin open.bin", 1, ["command-argument.value-short"]),
        ("--depth frames --select stream-id.parity --role server clean.bin", 1, ["stream-id.parity"]),
        ("--depth frames --select stream.*,command-argument.* short.bin", 1, ["command-argument.value-short"]),
        ("--depth frames --select *.newline warned.bin", 0, ["text-output.newline"]),
        ("--payload command-argument --flags eoa --select *.value-short payload.bin", 1, ["command-argument.value-short"]),
        ("--select frame.length-limit --max-payload 3 --payload command-name payload.bin", 1, ["frame.length-limit"]),
        # Limits of the receiver.
        ("--limit argument-value=2 whole.bin", 0, []),
        ("--limit argument-value=1 whole.bin", 0, ["request.argument-limits"]),
        ("--max-payload 4 short.bin", 1, ["frame.length-limit"]),
        # One payload.
        ("--payload command-argument --flags eoa payload.bin", 1, ["command-argument.value-short"]),
        ("--payload command-argument --flags continuation payload.bin", 0, []),
        ("--payload command-argument --flags eoa --continued payload.bin", 0, []),
        ("--max-payload 3 --payload command-name --flags eos payload.bin", 1, ["frame.length-limit"]),
        ("--max-payload 1 --role both large.session", 1, ["frame.length-limit"]),
        ("--max-payload 1 large.session", 1, ["frame.length-limit"]),
        ("--limit max-payload=1 large.session", 1, ["frame.length-limit"]),
        ("--max-payload 1 --depth frames whole.bin", 1, ["frame.length-limit"]),
        ("--limit max-payload=1 --depth frames whole.bin", 1, ["frame.length-limit"]),
        ("--payload text-output payload.bin", 1, ["text-output.single-frame"]),
        ("--payload command-argument --flags eoa --hex payload.txt", 1, ["command-argument.value-short"]),
    ],
)  # fmt: skip
def test_what_is_found(arguments: str, code: int, ids: list[str], capsys: Capture) -> None:
    payload = wire(SHORT)[8 + 1 + 8 :]
    Path("payload.bin").write_bytes(payload)
    Path("payload.txt").write_text(payload.hex())
    assert said(capsys, *arguments.split(), code=code) == ids


def test_restarts(capsys: Capture) -> None:
    Path("again.bin").write_bytes(wire((*LEFT_OPEN, "3 1 stream-begin|stream-end command-name eos x")))
    assert said(capsys, "again.bin", code=1) == ["stream.begin-on-open"]
    assert said(capsys, "--reopen", "restart", "again.bin") == []


def test_a_directory_is_its_files(here: Path, capsys: Capture) -> None:
    deeper = here / "captures" / "deeper"
    deeper.mkdir(parents=True)
    (here / "captures" / ".git").mkdir()
    for place in ("b.bin", "deeper/a.bin", ".hidden", ".git/x"):
        (here / "captures" / place).write_bytes(wire(CLEAN))
    assert main(["validate", "captures"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "captures/b.bin: good (1 frame, 9 bytes)\ncaptures/deeper/a.bin: good (1 frame, 9 bytes)\n"
    (here / "empty").mkdir()
    assert "empty: the directory has no files" in usage(capsys, "empty")


def test_text_says_where_in_which_line(capsys: Capture) -> None:
    assert main(["validate", "both.session"]) == 1
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.startswith("both.session:5: offset 0x10 (16), server: error: expected ")
    assert last == "both.session: 1 error (3 frames, 27 bytes)"


def test_known_findings_and_dates(capsys: Capture) -> None:
    entry = (
        '[[known]]\nrequirement = "command-argument.value-short"\ninput = "short.*"\nreason = "Soon."\nexpires = {}\n'
    )
    Path("known.toml").write_text(entry.format("2999-01-01"))
    assert said(capsys, "--baseline", "known.toml", "short.bin") == []
    assert main(["validate", "--baseline", "known.toml", "clean.bin", "open.bin"]) == 0
    assert capsys.readouterr().err == "hgproto: known.toml:1: no finding matches this entry; correct or remove it\n"
    Path("known.toml").write_text(entry.format("2001-01-01"))
    assert main(["validate", "--baseline", "known.toml", "short.bin"]) == 1
    captured = capsys.readouterr()
    assert captured.err == "hgproto: known.toml:1: expired on 2001-01-01\n"
    assert "[command-argument.value-short]" in captured.out
    Path("known.toml").write_text("known = 5")
    message = "argument --baseline: known.toml: expected tables called known in double brackets"
    assert message in usage(capsys, "--baseline", "known.toml", "short.bin")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.hex", "0e00\n0g", "x.hex:2:2: expected a hexadecimal digit, found 'g'"),
        ("x.session", "> 1 1 0 command-name eos x\n? 1", "x.session:2:1: expected "),
        ("x.session", "> 1 1 0 no-such-type eos x", "x.session:1:9: expected "),
    ],
)
def test_an_input_that_cannot_be_read_is_a_fault_and_the_next_is_read(
    name: str, text: str, message: str, capsys: Capture
) -> None:
    Path(name).write_text(text)
    assert main(["validate", name, "clean.bin"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(f"hgproto: {message}")
    assert captured.out.endswith("clean.bin: good (1 frame, 9 bytes)\n")


UNREADABLE = {
    "bad.hex": "0e00\nzz\n",
    "half.hex": "0e0",
    "bad.session": "> 1 1 stream-begin|stream-end command-name eos x\n? 1\n",
    "empty.session": "> \n",
}
FILES = ("nowhere.bin", "/proc/self/mem")


def judged(text: str, format: str) -> dict[str, tuple[int, bool]]:
    """For each input of a report the number of errors, and whether it was read to its end."""
    if format == "json":
        lines = [json.loads(line) for line in text.splitlines()]
        bad = {line["input"] for line in lines if line["kind"] == "unreadable"}
        return {one["input"]: (one["error"], one["input"] not in bad) for one in lines if one["kind"] == "input"}
    if format == "junit":
        suites = JUnitXml.fromstring(text.encode())
        return {suite.name: (suite.errors + suite.failures, not suite.errors) for suite in suites}
    errors: dict[str, tuple[int, bool]] = {}
    if format == "sarif":
        for result in json.loads(text)["runs"][0]["results"]:
            name = unquote(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]).removeprefix(
                "file://"
            )
            number, whole = errors.get(name, (0, True))
            errors[name] = (number + (result["level"] == "error"), whole and not result["ruleId"].startswith("input."))
    elif format == "github":
        for name, rule in re.findall("^::error file=([^,]*),.*title=([^:]*)::", text, re.MULTILINE):
            number, whole = errors.get(name, (0, True))
            errors[name] = (number + 1, whole and not rule.startswith("input."))
    else:
        for name, counts in re.findall(r"^(\S+): (.*) \(\d+ frames?, \d+ bytes?\)$", text, re.MULTILINE):
            count = re.match(r"(\d+) error", counts)
            errors[name] = (int(count[1]) if count else 0, "unreadable" not in counts)
    return errors


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("first", [*UNREADABLE, *FILES])
def test_an_unreadable_input_is_an_error_in_every_format_and_the_others_are_judged(
    first: str, format: str, capsys: Capture
) -> None:
    for name, text in UNREADABLE.items():
        Path(name).write_text(text)
    for others, errors in (([], 0), (["clean.bin"], 0), (["clean.bin", "short.bin", "open.bin"], 1)):
        status = main(["validate", "--format", format, first, *others])
        captured = capsys.readouterr()
        assert status == (3 if first in FILES and not errors else 1)
        assert re.fullmatch(f"hgproto: {first}(:[0-9]+:[0-9]+)?: [^\n]+\n", captured.err)
        report = judged(captured.out, format)
        assert report.pop(first) == (1, False)
        # These formats name inputs with findings alone.
        named = ["short.bin"] * errors if format == "github" else others
        assert {name for name, (number, _) in report.items() if number} == {"short.bin"} & {*others}
        assert {*report} == {*named} - ({"clean.bin"} if format == "sarif" else set())
        assert all(whole for _, whole in report.values())


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("arguments", ["clean.bin empty", "--depth frames clean.bin both.session"])
def test_usage_is_checked_before_a_report_begins(arguments: str, format: str, here: Path, capsys: Capture) -> None:
    (here / "empty").mkdir()
    assert usage(capsys, "--format", format, *arguments.split())


def test_a_directory_that_cannot_be_listed_is_trouble(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (here / "dir" / name).mkdir(parents=True)
        (here / "dir" / name / "x.bin").write_bytes(wire(CLEAN))
    list_directory = os.scandir

    def scandir(path: str) -> Any:
        if path == "dir/a":
            raise PermissionError(13, "Permission denied", path)
        return list_directory(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert main(["validate", "dir"]) == 3
    assert capsys.readouterr() == (
        "dir/a: 1 error, unreadable: Permission denied (0 frames, 0 bytes)\ndir/b/x.bin: good (1 frame, 9 bytes)\n",
        "hgproto: dir/a: Permission denied\n",
    )


def hints(capsys: Capture, *arguments: str) -> list[str]:
    """The hints of a report."""
    main(["validate", "--format", "json", *arguments])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line["message"] for line in lines if line["kind"] == "hint"]


def test_mixed_directions_have_a_hint(capsys: Capture) -> None:
    Path("mixed.bin").write_bytes(wire((*CLEAN, "1 2 stream-begin|stream-end bytes-response eos x")))
    for depth, remedy in (
        (["--depth", "session"], "use --role both with a session"),
        (["--depth", "frames", "--role", "client"], "leave out --role to check each frame by itself"),
    ):
        (hint,) = hints(capsys, *depth, "mixed.bin")
        assert "1 of 2 frames is on streams of the server" in hint
        assert remedy in hint
        assert ("--role both" in hint) == ("session" in depth)
    assert hints(capsys, "--role", "client", "warned.bin") == [
        "every frame is on a stream of the server; use --role server for frames that the server sent"
    ]
    for arguments in (["clean.bin"], ["short.bin"], ["--role", "server", "warned.bin"], ["both.session"]):
        assert hints(capsys, *arguments) == []
    assert hints(capsys, "--ignore", "stream-id.*", "mixed.bin") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n".join(CLEAN), "frames in human form; use hgproto encode"),
        ("# a frame\n\n1 1 0 command-data 0 " + "x" * 9000, "frames in human form; use hgproto encode"),
        (SESSION, "a session in human form; use --role both"),
        ("\n>! 1 1 encoded command-name eos x\n", "a session in human form; use --role both"),
        (wire(SHORT).hex(" "), "hexadecimal text; use --hex"),
        (wire(SHORT).hex(), "hexadecimal text; use --hex"),
        (f"{wire(SHORT).hex(' ')} # all of it", "hexadecimal text; use --hex"),
        (f"{wire(SHORT).hex()[:16]} # a header", "hexadecimal text; use --hex"),
        *((f"\ufeff{text}", form) for text, form in ((SESSION, "a session"), (CLEAN[0], "frames"), ("0500", "hexa"))),
        ("", ""),
        ("# nothing", ""),
        ("heads and tails", ""),
        ("\x00\x01\x02 5\n1 1 0 command-data 0 x", ""),
    ],
)
@pytest.mark.parametrize("depth", ["session", "frames"])
def test_text_that_is_read_as_bytes_has_a_hint(text: str, expected: str, depth: str, capsys: Capture) -> None:
    Path("it.txt").write_text(text)
    found = hints(capsys, "--depth", depth, "it.txt")
    assert len(found) == bool(expected)
    assert all(expected in hint for hint in found)


def test_the_remedy_for_mixed_directions_works(capsys: Capture) -> None:
    Path("mixed.bin").write_bytes(wire((*CLEAN, "1 2 stream-begin|stream-end bytes-response eos x")))
    assert main(["decode", "mixed.bin"]) == 0
    lines = capsys.readouterr().out.splitlines()
    Path("both.txt").write_text("".join(f"{'<>'[int(line.split()[1]) % 2]}! {line}\n" for line in lines))
    assert said(capsys, "--role", "both", "both.txt") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--select strem.* clean.bin", "argument --select: there is no requirement 'strem.*'"),
        ("--ignore x clean.bin", "argument --ignore: there is no requirement 'x'"),
        ("--select , clean.bin", "argument --select: ',' does not name a requirement; use ids or patterns"),
        ("--select= clean.bin", "argument --select: '' does not name a requirement; use ids or patterns"),
        ("--select , --select stream.end clean.bin", "argument --select: ',' does not name a requirement"),
        ("--select stream.end --depth frames clean.bin", "--depth frames cannot find any of them"),
        ("--select encoding.*,response.* --depth frames clean.bin", "--depth frames cannot find any of them"),
        ("--select stream.end,progress.topic-end --depth frames clean.bin", "cannot find any of them"),
        ("--select stream-id.parity --depth frames clean.bin", "--depth frames cannot find any of them"),
        ("--select frame.field-range --depth frames clean.bin", "--depth frames cannot find any of them"),
        (
            "--select stream.end --payload command-name payload.bin",
            "--payload command-name cannot find any of them",
        ),
        (
            "--select frame.whole --payload command-name payload.bin",
            "--payload command-name cannot find any of them",
        ),
        (
            "--select progress.* --payload text-output payload.bin",
            "--payload text-output cannot find any of them",
        ),
        ("--select frame.field-range,request.dependent clean.bin", "cannot find any of them"),
        ("--select stream.end --ignore stream.* clean.bin", "argument --ignore: this ignores every requirement"),
        ("--ignore * clean.bin", "argument --ignore: this ignores every requirement"),
        (
            "--ignore frame.*,command-name.* --payload command-name payload.bin",
            "argument --ignore: this ignores every requirement",
        ),
        ("--limit arguments clean.bin", "argument --limit: "),
        ("--limit arguments=-1 clean.bin", "argument --limit: "),
        ("--limit nothing=1 clean.bin", "argument --limit: "),
        ("--max-payload 0x clean.bin", "argument --max-payload: "),
        ("--max-payload 99999999 clean.bin", "argument --max-payload"),
        ("--max-payload 3 --limit max-payload=30 clean.bin", "--max-payload is the limit max-payload"),
        ("--max-payload 3 --limit max_payload=30 clean.bin", "--max-payload is the limit max-payload"),
        ("--limit arguments=1 --depth frames clean.bin", "arguments has no effect with --depth frames"),
        ("--limit arguments=1 --payload command-name payload.bin", "arguments has no effect with --payload"),
        ("--limit send-payload=1 clean.bin", "send-payload is a limit of senders and has no effect here"),
        ("--limit send_payload=1 --role both clean.bin", "send-payload is a limit of senders and has no effect here"),
        ("--reopen restart --depth frames clean.bin", "argument --reopen: it has no effect with --depth frames"),
        ("--reopen restart --payload command-name payload.bin", "argument --reopen: it has no effect with --payload"),
        ("--flags eos clean.bin", "--flags and --continued require --payload"),
        ("--continued clean.bin", "--flags and --continued require --payload"),
        ("--payload nothing clean.bin", "argument --payload: expected a frame type"),
        ("--payload 15 clean.bin", "argument --payload: there is no frame type '15'; there are command-name, "),
        ("--payload 16 clean.bin", "argument --payload: expected a frame type, 0 to 15, found '16'"),
        (
            "--limit payload-items=1 --payload command-name clean.bin",
            "payload-items has no effect with --payload command-name",
        ),
        ("--payload command-name --flags nothing clean.bin", "argument --flags: expected "),
        ("--payload command-name --role client clean.bin", "--payload cannot be combined with --role or --depth"),
        ("--payload command-name --depth frames clean.bin", "--payload cannot be combined with --role or --depth"),
        ("--role both --depth frames both.session", "a session of both sides requires --depth session"),
        ("--revision nothing clean.bin", "argument --revision: 'nothing' is neither a revision nor a file"),
        ("--role nobody clean.bin", "argument --role: unknown word 'nobody'"),
        ("--format nothing clean.bin", "argument --format: unknown word 'nothing'"),
    ],
)
def test_usage(arguments: str, message: str, capsys: Capture) -> None:
    assert message in flat(usage(capsys, *arguments.split()))


def test_other_revisions_have_frames(capsys: Capture) -> None:
    alien = str(ROOT / "tests" / "data" / "alien.yaml")
    message = flat(usage(capsys, "--revision", alien, "clean.bin"))
    assert f"{alien} has no state machines, so only its frames can be validated" in message
    said(capsys, "--revision", alien, "--depth", "frames", "clean.bin", code=1)


@pytest.mark.parametrize("option", ["--limit=max-payload=3", "--limit=max_payload=3", "--max-payload=3"])
def test_a_limit_on_payloads_has_two_names(option: str, capsys: Capture) -> None:
    alien = str(ROOT / "tests" / "data" / "alien.yaml")
    Path("long.bin").write_bytes(bytes.fromhex("07 010000 00 01000000 05000000") + bytes(5))
    Path("long").write_bytes(b"heads")
    Path("frames.bin").write_bytes(wire(("1 1 stream-begin|stream-end command-name eos heads",)))
    for words, expected in (
        (("--revision", alien, "--depth", "frames", "long.bin"), ["relay.length"]),
        (("--payload", "command-name", "long"), ["frame.length-limit"]),
        (("--depth", "frames", "frames.bin"), ["frame.length-limit"]),
        (("frames.bin",), ["frame.length-limit"]),
    ):
        assert said(capsys, option, *words, code=1)[:1] == expected


def test_a_limit_on_payloads_is_one_of_the_revision(capsys: Capture) -> None:
    alien = str(ROOT / "tests" / "data" / "alien.yaml")
    words = ("--revision", alien, "--depth", "frames", "clean.bin")
    assert "argument --limit: max_payload must be 1 to " in usage(capsys, "--limit", f"max-payload={1 << 33}", *words)
    assert "argument --limit: max_payload must be 1 to " in usage(capsys, "--limit", "max-payload=0", *words)
    assert "there is no limit 'arguments'; there are max-payload" in usage(capsys, "--limit", "arguments=3", *words)


def test_a_limit_on_items_has_the_name_that_the_schema_gives_it(here: Path, capsys: Capture) -> None:
    schema = str(schema_with_lines(here))
    ledger = bytes.fromhex("010000 0100 61") + bytes.fromhex("05000000 01 61") * 5
    Path("payload.bin").write_bytes(ledger)
    Path("frames.bin").write_bytes(bytes.fromhex("0f 010000 00 01000000") + len(ledger).to_bytes(4, "little") + ledger)
    for words in (
        ("--depth", "frames", "--revision", schema, "frames.bin"),
        ("--payload", "bundle", "--flags", "book", "--revision", schema, "payload.bin"),
    ):
        for option, expected in (
            ("", ["ledger.whole"]),
            ("--limit=lines=4", ["ledger.whole"]),
            ("--limit=lines=5", []),
        ):
            assert said(capsys, *words, *filter(None, [option]), code=len(expected)) == expected
        assert "argument --limit: lines must be 1 to 9, not 10" in usage(capsys, "--limit", "lines=10", *words)
        assert "there is no limit 'payload-items'; there are lines, max-payload" in usage(
            capsys, "--limit", "payload-items=10", *words
        )
        assert "argument --limit: idle has no effect in relay-7" in usage(capsys, "--limit", "idle=1", *words)


def test_a_limit_on_the_items_of_one_payload(capsys: Capture) -> None:
    Path("atoms").write_bytes(b"\x01\x00\x00\x00\n" * 3)
    for limit, expected in (("payload-items=3", []), ("payload_items=2", ["frame.items-limit"])):
        assert said(capsys, "--payload", "text-output", "--limit", limit, "atoms", code=len(expected)) == expected


@pytest.mark.parametrize("number", ["6", "0x6"])
def test_the_type_of_a_payload_may_be_a_number(number: str, capsys: Capture) -> None:
    Path("atoms").write_bytes(b"\x01\x00\x00\x00\xff")
    assert said(capsys, "--payload", number, "--select", "text-output.utf8", "atoms", code=1) == ["text-output.utf8"]


def test_one_payload_may_have_all_bytes_that_a_length_can_say(capsys: Capture) -> None:
    Path("data").write_bytes(bytes(65536))
    assert said(capsys, "--payload", "bytes-response", "data") == []
    assert said(capsys, "--payload", "bytes-response", "--max-payload", "65535", "data", code=1) == [
        "frame.length-limit"
    ]


# The program itself.


def program(*arguments: str, given: bytes = b"", **options: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "hgproto", "validate", *arguments]
    return subprocess.run(command, input=given, capture_output=True, check=False, env={**os.environ, **options})


def test_standard_input_and_exit_status() -> None:
    done = program(given=wire(SHORT))
    assert done.returncode == 1
    assert done.stdout.startswith(b"standard input: offset 0x16 (22), client: error: ")
    assert done.stderr == b""
    assert program("--hex", given=wire(CLEAN).hex().encode()).returncode == 0
    assert program("--role", "both", "-", given=SESSION.encode()).returncode == 1
    assert program("--frmat", "x").returncode == 2


def test_what_is_found_is_said_at_once() -> None:
    command = [sys.executable, "-m", "hgproto", "validate", "--format", "json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(wire(SHORT))
        assert json.loads(process.stdout.readline())["requirement"] == "command-argument.value-short"
        process.stdin.close()


def test_a_long_input_shows_how_far_it_is_and_a_short_one_does_not() -> None:
    shown = on_a_terminal(until_shown=True)
    assert b"standard input: " in shown
    assert b"B/s]" in shown
    assert on_a_terminal(until_shown=False) == b""


def on_a_terminal(*, until_shown: bool) -> bytes:
    """What standard error shows when it is a terminal, and the input goes on until something is shown, or is short."""
    main, side = pty.openpty()
    termios.tcsetwinsize(side, (24, 80))
    command = [sys.executable, "-m", "hgproto", "validate"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=side, bufsize=0) as process:
        os.close(side)
        assert process.stdin is not None
        began = time.monotonic()
        while True:
            process.stdin.write(wire(CLEAN))
            if not until_shown or time.monotonic() - began > 30 or select.select([main], [], [], 0.1)[0]:
                break
        process.stdin.close()
        shown = b""
        try:
            while chunk := os.read(main, 1 << 16):
                shown += chunk
        except OSError:  # as Linux says that the other side is closed
            pass
        os.close(main)
    return shown


MANY = "".join(
    f"{number} 1 {begin} command-argument {flags} {payload}\n"
    for number, begin, flags, payload in (
        (1, "stream-begin", "continuation", r"\x01\x00\x03\x00ka"),
        (3, "0", "continuation", r"\x01\x00\x03\x00ka"),
        (5, "0", "continuation", r"\x01\x00\x03\x00ka"),
        (5, "0", "eoa", "bc"),
        (5, "0", "eoa", "bc"),
        (1, "0", "eoa", "bc"),
        (3, "0", "eoa", "bc"),
    )
)
"""More incomplete values than the limit of the tests: those of the requests 1 and 3 are known."""


def test_decode_ends_where_a_payload_is_in_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(jsonform, "MOST_INCOMPLETE", 2)
    file = tmp_path / "many.bin"
    file.write_bytes(b"".join(map(encode_frame, map(parse_frame, MANY.splitlines()))))
    assert main(["decode", str(file)]) == 1
    printed = capsys.readouterr()
    assert printed.out == "".join(MANY.splitlines(keepends=True)[:3])
    assert printed.err == (
        f"hgproto: {file}: frame 3 at offset 42: expected at most 2 requests with an incomplete value at a time, found more; "
        "use a smaller part of the input\n"
    )


@pytest.mark.parametrize("form", ["text", "json", "sarif", "junit", "github"])
def test_payloads_in_doubt_are_not_looked_into(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(jsonform, "MOST_INCOMPLETE", 2)
    file = tmp_path / "many.bin"
    wire = b"".join(map(encode_frame, map(parse_frame, MANY.splitlines())))
    file.write_bytes(wire)
    message = "2 payloads were not checked, because more than 65536 requests had an incomplete value at a time"
    assert main(["validate", "--depth", "frames", "--role", "client", "--format", form, str(file)]) == 1
    printed = capsys.readouterr()
    assert message in printed.out
    assert f"{file}: {message}" in printed.err
