"""What comes from outside is shown without what a terminal, a log or a service would take for more than text."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgproto.cli import main
from hgproto.errors import RemoteProtocolError, printable, quoted
from hgproto.judging.finding import Finding
from hgproto.judging.report import FORMATS
from hgproto.language.problems import Place, Problem
from hgproto.reactors.events import Error, PeerError, ProgressUpdate, RequestError
from hgproto.reactors.session import event_text
from hgproto.revisions.framing_0002 import codec
from hgproto.runtime.catalogue import Requirement

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "x\x1b[2J\x07\r\n::error::injected\x85\u2028\u202e\x9b31m\0"


@given(st.text())
def test_only_visible_characters_are_left(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    if text.isprintable():
        assert shown == text


def test_a_byte_and_a_character_are_never_shown_alike() -> None:
    """What is not UTF-8 is \\xNN; so is no character that is not ASCII."""
    for text, shown in (
        (b"caf\xe9", r"caf\xe9"),
        ("\u00e9\x1b\n".encode(), "\u00e9\\x1b\\n"),
        ("\u0085\u00a0\u00ad\u202e".encode(), r"\u0085\u00a0\u00ad\u202e"),
    ):
        assert printable(text.decode("utf-8", "surrogateescape")) == shown
        assert quoted(text) == quoted(text.decode("utf-8", "surrogateescape")) == f"'{shown}'"
    # In quotes, a backslash is doubled, so that it begins no escape.
    assert (
        quoted(b"\\udcff\\xff\xff'")
        == r"""
        "\\udcff\\xff\xff'"
    """.strip()
    )


def finding(text: str) -> Finding:
    rule = Requirement("a.b", "client", "MUST", text, "protocol", text, "codec", text, breakable=True)
    return Finding(rule, "error", 1, 1, None, "client", 0, text, text, text, around=b"ab\x1b", line=3, about=text)


def reported(form: str, name: str, text: str, site: str = "https://example.invalid/") -> str:
    out = io.StringIO()
    report: Any = FORMATS[form](out, site=site)
    report.begin(name)
    report.finding(name, finding(text))
    report.end(name, 1, 9)
    report.close()
    return out.getvalue()


@pytest.mark.parametrize("form", FORMATS)
def test_reports_have_the_lines_of_their_format_whatever_the_texts_are(form: str) -> None:
    plain, hostile = reported(form, "name", "text"), reported(form, HOSTILE, HOSTILE, HOSTILE)
    assert all(character.isprintable() or character == "\n" for character in hostile)
    assert len(hostile.splitlines()) == len(plain.splitlines())
    assert not any(line.lstrip().startswith("::error::") for line in hostile.splitlines())
    if form == "github":
        properties, _, data = hostile.removeprefix("::error ").partition("::")
        assert [each.partition("=")[0] for each in properties.split(",")] == ["file", "line", "title"]
        assert data.count("%0A") == plain.count("%0A")
    elif form == "junit":
        assert ElementTree.fromstring(hostile).find("testsuite") is not None  # noqa: S314 - of our own making
    elif form == "sarif":
        assert json.loads(hostile)["version"] == "2.1.0"


def test_a_message_in_sarif_is_no_link() -> None:
    text = reported("sarif", "name", "[click](https://evil.example)")
    assert "\\[click\\](https" in json.loads(text)["runs"][0]["results"][0]["message"]["text"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such file names")
@pytest.mark.parametrize("form", FORMATS)
def test_a_name_that_is_no_text_can_be_reported(form: str) -> None:
    assert reported(form, os.fsdecode(b"x-\xff"), "text").encode("utf-8")


def test_events_of_a_peer_are_one_line() -> None:
    progress = codec.Progress(HOSTILE, 1, 2)
    fault = RemoteProtocolError("a.b", 0, "f", HOSTILE, HOSTILE)
    events = [ProgressUpdate(1, progress), RequestError(1, HOSTILE, 3), PeerError(1, HOSTILE), Error(fault, None)]
    for event in events:
        assert event_text(event).isprintable(), type(event)


def test_problems_of_a_schema_are_one_line() -> None:
    assert str(Problem(Place(HOSTILE, 1, 2), HOSTILE, HOSTILE)).isprintable()


@pytest.mark.skipif(os.name == "nt", reason="file names cannot have these characters")
@pytest.mark.parametrize(
    ("command", "text"),
    [
        (("schema", "check"), "language: 1\n"),
        (("encode",), "x\x1b[2J\n"),
        (("decode",), "x"),
        (("decode", "--format", "tree"), "\x03\0\0\1\0\2\1\x71a1b"),
        (("session",), "> 1 1 stream-begin command-name eos a\x1b[2Jb\n"),
        (("validate",), "x"),
        (("explain", "--revision"), "language: 1\n"),
        (("schema", "show", "--revision"), "language: 1\n"),
    ],
    ids=" ".join,
)
def test_commands_print_lines_of_text(command: Any, text: str, tmp_path: Path, capfdbinary: Any) -> None:
    file = tmp_path / "f\x1b[2J\n::error::x"
    file.write_text(text, encoding="latin-1")
    assert main([*command, str(file)]) in (0, 1)
    output = capfdbinary.readouterr()
    for stream in (output.out, output.err):
        assert not any(byte < 0x20 and byte != 0x0A for byte in stream), stream
        assert not any(line.startswith(b"::") for line in stream.splitlines())
    assert output.out or output.err
