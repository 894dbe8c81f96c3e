"""Byte-order marks, in every text that hgproto reads."""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING

import pytest
from support import SCHEMA

from hgproto import cli
from hgproto.errors import TextError
from hgproto.evidence.trace import read_record
from hgproto.fuzz.findings import read_finding
from hgproto.judging.baseline import Baseline, BaselineError
from hgproto.language import SchemaError, load
from hgproto.revisions.framing_0002.requirements import REQUIREMENTS
from hgproto.system.bom import unmarked, unmarked_chunks

if TYPE_CHECKING:
    from pathlib import Path

LINE = "1 1 stream-begin|stream-end command-name eos heads\n"
HEX = "0500000100010311 6865616473\n"
SESSION = f"> {LINE}< 1 2 stream-begin|stream-end bytes-response eos x\n"
BASELINE = '[[known]]\nrequirement = "frame.whole"\nreason = "é"\nexpires = 2099-12-31\n'
TEXTS = {
    "encode": (["encode", "--hex"], LINE),
    "decode": (["decode", "--hex"], HEX),
    "validate": (["validate", "--hex"], HEX),
    "validate both": (["validate", "--role", "both"], SESSION),
    "session": (["session"], SESSION),
}
FILES = {
    "hex": (["decode"], "it.hex", HEX),
    "coverage of hex": (["coverage", "--only", "types"], "it.hex", HEX),
    "coverage of a session": (["coverage", "--only", "types"], "it.session", SESSION),
    "coverage of JSON": (["coverage", "--only", "types"], "it.json", '{"vectors": []}'),
    "session": (["validate"], "it.session", SESSION),
}


def run(arguments: list[str], file: Path, text: bytes, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    file.write_bytes(text)
    code = cli.main([*arguments, str(file)])
    out, error = capsys.readouterr()
    return code, out, error


CASES = {name: (arguments, "it.txt", text) for name, (arguments, text) in TEXTS.items()} | FILES


@pytest.mark.parametrize("name", CASES)
def test_a_mark_of_utf_8_says_nothing(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, file, text = CASES[name]
    plain = run(arguments, tmp_path / file, text.encode(), capsys)
    assert plain[0] == 0
    assert run(arguments, tmp_path / file, codecs.BOM_UTF8 + text.encode(), capsys) == plain


@pytest.mark.parametrize("encoding", ["UTF-16", "UTF-32"])
@pytest.mark.parametrize("name", [name for name in CASES if "JSON" not in name])
def test_another_encoding_is_named_with_the_remedy(
    name: str, encoding: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, file, text = CASES[name]
    code, _, error = run(arguments, tmp_path / file, text.encode(encoding), capsys)
    assert code == 1
    assert (
        f"{tmp_path / file}:1:1: expected text in UTF-8, found the byte-order mark of {encoding}; convert it" in error
    )
    assert f"`iconv -f {encoding} -t UTF-8`" in error
    assert len(error.splitlines()) == 1


def test_a_baseline(tmp_path: Path) -> None:
    file = tmp_path / "known.toml"
    file.write_bytes(codecs.BOM_UTF8 + BASELINE.encode())
    Baseline.load(str(file), REQUIREMENTS)
    file.write_bytes(BASELINE.encode("utf-16"))
    with pytest.raises(BaselineError, match="byte-order mark of UTF-16; convert it"):
        Baseline.load(str(file), REQUIREMENTS)


def test_a_schema(tmp_path: Path) -> None:
    for name in ("framing.yaml", "framing-0002.yaml"):
        (tmp_path / name).write_bytes(codecs.BOM_UTF8 + (SCHEMA / name).read_bytes())
    assert list(load(tmp_path / "framing-0002.yaml").frames) == list(load(SCHEMA / "framing-0002.yaml").frames)
    (tmp_path / "framing.yaml").write_bytes((SCHEMA / "framing.yaml").read_text(encoding="utf-8").encode("utf-16"))
    with pytest.raises(SchemaError, match=r"framing.yaml:1:1: expected text in UTF-8, found .* of UTF-16; convert it"):
        load(tmp_path / "framing-0002.yaml")


def test_json(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    tests = {"test_it": {"names": ["frame.whole"], "broken": None}}
    file.write_bytes(
        codecs.BOM_UTF8
        + json.dumps({"revisions": ["framing-0002"], "exit_status": 0, "unfinished": [], "tests": tests}).encode()
    )
    assert read_record(file) == tests


def test_chunks() -> None:
    marked = codecs.BOM_UTF8 + "é".encode()
    for text, plain in ((marked, "é".encode()), (b"ab", b"ab"), (b"", b""), (codecs.BOM_UTF8, b"")):
        for step in (1, 2, 3, 9):
            assert b"".join(unmarked_chunks(text[i : i + step] for i in range(0, len(text), step))) == plain
    assert unmarked(b"x" + codecs.BOM_UTF8) == b"x" + codecs.BOM_UTF8
    for mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
        with pytest.raises(TextError):
            list(unmarked_chunks([mark[:1], mark[1:] + b"1"]))


def test_a_finding_of_a_campaign(tmp_path: Path) -> None:
    file = tmp_path / "finding.json"
    finding = {"bytes": "0102", "origin": "edge", "probe": None, "schema": "x"}
    finding |= {"kind": "crash", "requirement": None, "cause": "x"}
    file.write_bytes(codecs.BOM_UTF8 + json.dumps(finding).encode())
    case, schema = read_finding(str(file))
    assert (case.data, schema) == (b"\x01\x02", "x")
