"""Proofs of examples: each way in which an example can be wrong is found."""

# ruff: noqa: E501 - lines of YAML are as long as they are in the schema

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from support import SCHEMA

from hgproto.frame import Record
from hgproto.framing_0002 import codec, structs
from hgproto.prove import plain, prove, same_value
from hgproto.spec import load

if TYPE_CHECKING:
    from pathlib import Path


def test_our_examples_are_proven() -> None:
    schema = load(SCHEMA / "framing-0002.yaml")
    problems, proven = prove(schema)
    examples = [e for s in schema.structures.values() for e in s.examples]
    examples += [e for f in schema.frames.values() for e in f.examples]
    assert problems == []
    assert proven == len(examples)
    assert all(len(frame.examples) >= 3 for frame in schema.frames.values())


HEADS = '"0e0000 0100 01 01 11  637573746f6d726561646f6e6c79"'
WRONG = [
    (f"hex: {HEADS}", f"hex: {HEADS.replace('6c79', '6c7a')}", "decodes to"),
    (f"hex: {HEADS}", f"hex: {HEADS.replace(' 11 ', ' 13 ')}", "is refused by the codec"),
    (f"hex: {HEADS}", f"hex: {HEADS.replace(' 11 ', ' 13 ')}", "is refused by the Structs"),
    (f"hex: {HEADS}", f"hex: {HEADS.replace('79', '7900')}", "found more octets"),
    ("request_id: 3, stream_id: 1, stream_flags: [], type: command-name", "request_id: 5, stream_id: 1, stream_flags: [], type: command-name", "decodes to"),
    ('"070000 0100 01 01 13  636f6d6d616e64"', '"070000 0100 01 01 11  636f6d6d616e64"', "is taken by the codec"),
    ("refused: command-name.eos-exclusive\n        offset: 7", "refused: command-name.ascii\n        offset: 7", "is refused by command-name.eos-exclusive"),
    ("refused: command-name.eos-exclusive\n        offset: 7", "refused: command-name.eos-exclusive\n        offset: 6", "at offset 7"),
    ('hex: "a3 43706f73 02 45746f706963 47636c6f6e696e67 45746f74616c 0a"', 'hex: "a3 45746f706963 47636c6f6e696e67 43706f73 02 45746f74616c 0a"', "is rebuilt to"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), WRONG)
def test_wrong_examples_are_found(old: str, new: str, message: str, tmp_path: Path) -> None:
    for file in SCHEMA.glob("*.yaml"):
        shutil.copy(file, tmp_path)
    file = tmp_path / "framing-0002.yaml"
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
    problems, _ = prove(load(file))
    found = [problem for problem in problems if message in problem.message]
    assert found
    line = text[: text.index(old)].count("\n") + 1
    assert abs(found[0].place.line - line) <= 2
    assert found[0].help


def test_values_are_compared_part_by_part() -> None:
    atom = codec.TextAtom("a", ("l",), ())
    parsed = structs.text_atom.parse(codec.encode_text_atom(atom))
    assert same_value(atom, parsed)
    assert not same_value(atom.replace(labels=()), parsed)
    assert not same_value(codec.TextAtom("a", ("m",), ()), parsed)
    assert plain(codec.TextOutput((atom,))) == {"atoms": ({"format": "a", "labels": ("l",), "args": ()},)}
    assert isinstance(atom, Record)
