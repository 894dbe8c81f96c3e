"""``hgproto session``: both reactors and the validator on one session."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support import GOLDEN, ROOT, skip_without_encodings

from hgproto import cli
from hgproto.errors import HumanFormError
from hgproto.judging.validation import SessionValidator
from hgproto.reactors.session import Session

if TYPE_CHECKING:
    from pathlib import Path

TOPIC = """\
> 1 1 stream-begin|stream-end command-name eos heads
< 1 2 stream-begin progress 0 \\xa3Cpos\\x01EtopicAxEtotal\\x02
< 1 2 stream-end bytes-response eos done
"""


def command(golden: dict[str, Any]) -> list[str]:
    """The options of a golden session that both commands have."""
    options = golden.get("options", {})
    limits = [
        word for name, n in options.get("limits", {}).items() for word in ("--limit", f"{name.replace('-', '_')}={n}")
    ]
    return [*limits, "--reopen", options.get("reopen", "error")]


def file_of(golden: dict[str, Any], directory: Path) -> str:
    """The file of a golden session."""
    lines = [f"{s['line'][0]}!{s['line'][1:]}" if s.get("raw") else s["line"] for s in golden["steps"]]
    file = directory / "it.session"
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(file)


@pytest.mark.parametrize("setting", ["send-payload=1", "send_payload=1"])
def test_a_limit_on_what_is_sent_is_refused(setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is sent but what the file says."""
    (tmp_path / "topic.txt").write_text(TOPIC)
    with pytest.raises(SystemExit) as ended:
        cli.main(["session", "--limit", setting, str(tmp_path / "topic.txt")])
    assert ended.value.code == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert "argument --limit: send-payload is a limit of senders and has no effect here; leave it out" in error


@pytest.mark.requirement("progress.topic-end")
def test_what_no_reactor_enforces_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "topic.txt"
    file.write_text(TOPIC)
    assert cli.main(["session", str(file)]) == 1
    out, error = capsys.readouterr()
    assert "good" not in out
    message = (
        "validator: server frames[1] at offset 29: error: expected a progress frame with pos -1 for the topic 'x' before "
        "the response ends, found the end of the response (progress.topic-end)"
    )
    assert out.splitlines()[-1] == f"     {message}"
    assert error == f"hgproto: {file}:3: {message}\n"


def test_warnings_are_printed_and_are_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "late.txt"
    file.write_text(
        TOPIC.replace(" progress 0 \\xa3Cpos\\x01EtopicAxEtotal\\x02", " text-output 0 \\x01\\x00\\x00\\x00x")
    )
    assert cli.main(["session", str(file)]) == 0
    out, error = capsys.readouterr()
    assert "warning: expected a newline at the end of the last atom" in out
    assert out.endswith("\ngood: 3 frames, 1 warning\n")
    assert error == ""


REQUEST = "> 1 1 1 command-name eos x\n> 3 1 0 command-name eos x\n"


@pytest.mark.parametrize(
    ("text", "line", "judge"),
    [
        ("> 1 1 3 1 1 heads\n> 3 1 3 1 1 branchmap\n", 1, "server"),
        (f"{REQUEST}< 1 2 1 bytes-response eos abcd\n< 3 2 0 bytes-response eos a\n", 3, "client"),
        (f"{REQUEST}< 1 2 1 bytes-response eos abcd\n", 3, "client"),
    ],
)
def test_a_violation_is_named_once_at_its_line(
    text: str, line: int, judge: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "it.session"
    file.write_text(text)
    arguments = ["--limit", "max-payload=3", str(file)]
    assert cli.main(["session", *arguments]) == 1
    out, error = capsys.readouterr()
    assert error.startswith(f"hgproto: {file}:{line}: {judge}: length: expected at most 3 bytes")
    assert error.count("frame.length-limit") == 1
    assert "validator:" not in out + error
    assert cli.main(["validate", "--format", "json", *arguments]) == 1
    findings = [json.loads(one) for one in capsys.readouterr().out.splitlines()]
    assert [one["line"] for one in findings if one.get("requirement") == "frame.length-limit"] == [line]


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["id"])
def test_session_finds_whatever_validate_finds(
    golden: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_without_encodings(golden)
    file = file_of(golden, tmp_path)
    validated = cli.main(["validate", "--format", "json", *command(golden), file])
    findings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    wrong = {finding["requirement"] for finding in findings if finding.get("severity") == "error"}
    streaming = ["--streaming"] * golden.get("options", {}).get("streaming", False)
    assert cli.main(["session", *command(golden), *streaming, file]) >= validated
    error = capsys.readouterr().err
    assert [name for name in sorted(wrong) if f"({name})" not in error] == []


@pytest.mark.parametrize("side", [">", "<"])
@pytest.mark.parametrize("after", ["end", "1 1 0 command-name eos x"])
def test_a_line_after_the_end_of_its_side_is_named(
    side: str, after: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "it.txt"
    file.write_text(f"{side} end\n# a comment\n{side} {after}\n")
    assert cli.main(["session", str(file)]) == 1
    expected = f"expected no line of this side after '{side} end', found '{side} {after}'"
    assert capsys.readouterr().err == f"hgproto: {file}:3:1: {expected}\n"
    for play in (Session().play, SessionValidator().line):
        play(f"{side} end")
        with pytest.raises(HumanFormError, match="no line of this side"):
            play(f"{side} {after}")


def test_the_example_of_the_documentation_is_good(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["session", str(ROOT / "docs" / "examples" / "two-sides.txt")]) == 0
    assert capsys.readouterr().out.endswith("good: 15 frames\n")


VIOLATION = "> 1 2 stream-begin command-name eos x\n"
"""A client's frame on a stream of the server."""


@pytest.mark.parametrize("format_", ["text", "json"])
@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("> nonsense\n", ":2:11: expected the stream id"),
        ("nonsense\n", ":2:1: expected > before a line of the client"),
        ("> end\n> end\n", ":3:1: expected no line of this side after '> end'"),
    ],
)
def test_what_was_found_before_a_line_that_cannot_be_read_is_shown(
    format_: str, rest: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "it.session"
    file.write_text(VIOLATION + rest)
    assert cli.main(["session", "--format", format_, str(file)]) == 1
    out, error = capsys.readouterr()
    assert "x" in out.splitlines()[0]
    assert "good" not in out
    *violations, last = error.splitlines()
    assert violations
    assert violations[0].startswith(f"hgproto: {file}:1: server: stream_id: ")
    assert last.startswith(f"hgproto: {file}{message}")


def test_json_has_the_findings_that_text_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of warnings too, and of the end of a side, which has no line."""
    file = tmp_path / "it.session"
    file.write_text(
        TOPIC.replace("< 1 2 stream-end", "< 1 2 0 text-output 0 \\x01\\x00\\x00\\x00x\n< 1 2 stream-end")
        + "> 3 1 stream-begin|stream-end command-name have-args x\n"
    )
    assert cli.main(["session", str(file)]) == 1
    text = capsys.readouterr()
    assert cli.main(["session", "--format", "json", str(file)]) == 1
    out, error = capsys.readouterr()
    assert error == text.err
    lines = [json.loads(line) for line in out.splitlines()]
    found = [(line["line"], finding) for line in lines for finding in line.get("findings", ())]
    shown = [line.removeprefix("     validator: ") for line in text.out.splitlines() if "     validator: " in line]
    assert len(found) == len(shown) >= 2
    for (_, finding), words in zip(found, shown, strict=True):
        start = f"{finding['side']} {finding['path']} at offset {finding['offset']}: {finding['severity']}: "
        assert words == (f"{start}expected {finding['expected']}, found {finding['found']} ({finding['requirement']})")
    assert {finding["severity"] for _, finding in found} == {"error", "warning"}
    assert all("events" in line for line in lines)


def test_bytes_that_are_not_utf_8_are_shown_in_one_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "it.session"
    for text, shown in (
        (b"> 1 1 stream-begin command-name eos h\xff\\\n", "found 'the end of the line'"),
        (b"> 1 1 stream-begin command-n\xffme eos heads\n", r"found 'command-n\xffme'"),
        (b"> 1 1 stream-begin command-n\\xffme eos heads\n", r"found 'command-n\\xffme'"),
        (b"\xff 1 1 0 command-name eos heads\n", r"found '\xff '"),
        (b"> end\n> 1 \xff\n", r"found '> 1 \xff'"),
    ):
        file.write_bytes(text)
        assert cli.main(["session", str(file)]) == 1
        assert shown.replace("'the end of the line'", "the end of the line") in capsys.readouterr().err
    file.write_bytes(b"> 1 1 stream-begin|stream-end command-name eos h\xff\\\\\n< 1 2 3 bytes-response eos x\n")
    for format_ in ("text", "json"):
        cli.main(["session", "--format", format_, str(file)])
        line = capsys.readouterr().out.splitlines()[0]
        assert (json.loads(line)["line"] if format_ == "json" else line).endswith(r" eos h\xff\\")
