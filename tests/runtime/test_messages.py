"""Messages: nouns agree with their numbers, and no name is empty."""

from __future__ import annotations

import ast
import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from support import GOLDEN, ROOT, VALID, VECTORS, judged

from hgproto import cli
from hgproto.errors import RemoteProtocolError, counted
from hgproto.judging.validation import validate
from hgproto.reactors.session import Session
from hgproto.revisions.framing_0002 import codec
from hgproto.runtime.cbor import CborError, decode_item
from hgproto.samples import boundaries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ONE = re.compile(
    r"(?<![\w.:/-])1 (?:more )?(?!is\b|has\b|was\b|needs\b|as\b|this\b|does\b|its\b)([a-z]{2,}(?<!s)s)\b(?!-)"
)
"""One of several: ``1 files``."""
PLURAL = re.compile(r" (?:more )?(?!is\b|has\b|was\b|as\b|its\b|this\b)([a-z]{2,}(?<!s)s)\b(?![-_])")
VERBS = {
    "allows",
    "breaks",
    "does",
    "ends",
    "enforces",
    "excludes",
    "fits",
    "gives",
    "goes",
    "holds",
    "includes",
    "lacks",
    "means",
}
VERBS |= {
    "meets",
    "needs",
    "opens",
    "overlaps",
    "refers",
    "says",
    "sends",
    "stands",
    "takes",
    "violates",
    "comes",
    "answers",
    "defines",
}


def may_be_one(node: ast.expr) -> bool:
    """True if a value may be the number 1, as far as its form tells."""
    if isinstance(node, ast.Call):
        name = (
            node.func.id
            if isinstance(node.func, ast.Name)
            else node.func.attr
            if isinstance(node.func, ast.Attribute)
            else ""
        )
        return name in ("len", "sum", "int", "round", "max", "min", "count")
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return not any(
            isinstance(side, ast.Constant) or (isinstance(side, ast.Name) and side.id.isupper())
            for side in (node.left, node.right)
        )
    if ast.unparse(node) in TEXTS:
        return False
    if isinstance(node, ast.Name):
        return not node.id.isupper() and node.id not in WORDS
    return isinstance(node, ast.Attribute | ast.BinOp)


WORDS = {
    "who",
    "what",
    "name",
    "subject",
    "giver",
    "machine",
    "message",
    "fault",
    "rule",
    "here",
    "text",
    "kind",
    "side",
    "part",
    "which",
}
"""Variables that hold words, not numbers."""
TEXTS = {"options.harness", "machine.role", "field.count", "field.size", "len(every) + count"}
"""The same for other expressions; the last one is at least 23."""


def plurals(file: Path) -> Iterator[str]:
    """Where a file writes a plural after a number without :func:`counted`."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        for value, words in zip(getattr(node, "values", ()), getattr(node, "values", ())[1:], strict=False):
            if (
                isinstance(node, ast.JoinedStr)
                and isinstance(value, ast.FormattedValue)
                and isinstance(words, ast.Constant)
            ):
                match = PLURAL.match(str(words.value))
                if match and match[1] not in VERBS and value.conversion == -1 and may_be_one(value.value):
                    yield f"{file.relative_to(ROOT)}:{node.lineno}: {ast.unparse(value.value)}{match[0]}"


def test_plurals_are_written_by_one_helper() -> None:
    found = [
        fault
        for file in sorted((ROOT / "hgproto").rglob("*.py"))
        if "framing_" not in str(file)
        for fault in plurals(file)
    ]
    assert found == []
    assert (counted(1, "file"), counted(0, "file"), counted(2, "more file")) == ("1 file", "0 files", "2 more files")


def faulty(text: str) -> list[str]:
    """What is wrong with the words of a message."""
    return [match[0] for match in ONE.finditer(text)] + re.findall(r"\bby  at\b|\(\)|  at offset|: ;| ;", text)


def messages() -> Iterator[str]:
    """What the codec, the reactors, and the validator say of many inputs that are one byte or one item away from others."""
    for vector in VECTORS:
        wire = bytes.fromhex(vector["wire"])
        yield from (finding.message for finding in validate(wire, depth="frames"))
    for vector in VALID:
        wire = bytes.fromhex(vector["wire"])
        for size in range(min(len(wire), 24)):
            cut = wire[:size]
            yield from (finding.message for finding in validate(cut))
            length = max(size - codec.HEADER_BYTES, 0)
            whole = length.to_bytes(3, "little") + wire[3 : codec.HEADER_BYTES + length]
            yield from (finding.message for finding in validate(whole, depth="frames"))
    for golden in GOLDEN:
        with suppress(pytest.skip.Exception):
            yield from (finding.message for finding in judged(golden))
        session = Session()
        for step in golden["steps"]:
            violation = session.wire(step["line"][0], bytes.fromhex(step["wire"])).violation if "wire" in step else None
            yield violation[1] if violation else ""
    for data in (b"\x18", b"\x41", b"\x42a", b"\x19\x01", b"\xa1\x41a", b"\x81"):
        with pytest.raises(CborError) as error:
            decode_item(data)
        yield f"{error.value.args}"
    for name in codec.CODES:
        yield from (label for label, _, _ in boundaries(name))


def test_no_message_has_one_of_several() -> None:
    said = list(messages())
    assert len(said) > 1000
    assert [text for text in said if faulty(text)] == []
    assert any("1 byte" in text for text in said)
    assert faulty("(1 files)")
    assert faulty("refused by  at offset 3")


def test_no_command_says_one_of_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    good, bad = tmp_path / "good.bin", tmp_path / "bad.bin"
    good.write_bytes(bytes.fromhex("0100000100010311 78"))
    bad.write_bytes(bytes.fromhex("0100000100010311"))
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a").write_bytes(b"x")
    (tmp_path / "it.session").write_text(
        "> 1 1 stream-begin|stream-end command-name eos x\n< 1 2 stream-begin|stream-end bytes-response eos y\n"
    )
    commands = [
        ["validate", "good.bin", "bad.bin"],
        ["validate", "--payload", "command-argument", "one/a"],
        ["decode", "bad.bin"],
        ["decode", "--max-payload", "1", "good.bin"],
        ["coverage", "--only", "types", "good.bin"],
        ["session", "it.session"],
        ["corpus", "minimize", "one", "small"],
        ["corpus", "replay", "one", "validator"],
        ["fuzz", "hgproto.fuzz.echo:serve", "--echo", "--seed", "1", "--max-cases", "1"],
    ]
    said = []
    for command in commands:
        cli.main(command)
        said.append("".join(capsys.readouterr()))
    assert [(command, found) for command, text in zip(commands, said, strict=True) if (found := faulty(text))] == []
    joined = "\n".join(said)
    for one in (
        "(1 frame, 9 bytes)",
        "(1 file)",
        "1 of 1 file, 1 of 1 byte in small",
        "0 findings in 1 case,",
        "1 file, 0 faults",
    ):
        assert one in joined


def test_an_error_without_a_requirement_has_no_brackets() -> None:
    assert (
        str(RemoteProtocolError("", 3, "", "one frame", "more bytes"))
        == "expected one frame, found more bytes at offset 3"
    )


def test_json_of_reports_is_not_meant_for_people() -> None:
    """The pattern is about words: numbers in JSON are left alone."""
    assert faulty(json.dumps({"frames": 1, "bytes": 1})) == []
