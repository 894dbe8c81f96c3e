"""Types of CBOR values: what a schema may say of them, and how they are described."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import ROOT

from hgproto.language.cbor_types import OPTIONS, CborType
from hgproto.language.check import check
from hgproto.language.load import load
from hgproto.language.problems import SchemaError

if TYPE_CHECKING:
    from pathlib import Path

ALIEN = (ROOT / "tests" / "data" / "alien.yaml").read_text(encoding="utf-8")
BOOL = "at_once: {type: bool, optional: true"
FAULTY = [
    ("{type: bool, minimum: 1", "`minimum` does not apply to the type bool"),
    ("{type: int, choices: [a]", "`choices` does not apply to the type int"),
    ("{type: bool, items: {type: any}", "`items` does not apply to the type bool"),
    ("{type: array", "the type array has no `items`"),
    ("{type: map-of, keys: {type: ascii}", "the type map-of has no `values`"),
    ("{type: map", "the type map has no `entries`"),
    ("{type: one-of", "the type one-of has no `options`"),
    ("{type: map, entries: {self: {type: any, doc: A name.}}", "an entry cannot be called 'self'"),
    ("{type: ascii, choices: [ok, é]", "the choice 'é' is not ASCII"),
    ("{type: tuple", "the type tuple has no `parts`"),
    ("{type: bool, parts: [{type: any}]", "`parts` does not apply to the type bool"),
    ("{type: tagged, tag: a", "the type tagged has no `cases`"),
    ("{type: tagged, cases: {x: {doc: A case.}}", "the type tagged has no `tag`"),
    ("{type: tagged, tag: self, cases: {x: {doc: A case.}}", "a tag cannot be called 'self'"),
    (
        "{type: tagged, tag: a, cases: {x: {doc: A case., entries: {a: {type: any, doc: A key.}}}}",
        "'a' is the tag, which every case has",
    ),
    ("{type: map-of, keys: {type: text}, values: {type: any}", "the keys of a map cannot be of the type text"),
    ("{type: one-of, options: [{type: ascii}, {type: bytes}]", "some options of ascii or bytes accept the same items"),
    ("{type: one-of, options: [{type: ascii}, {type: any}]", "some options of ascii or any accept the same items"),
]


def problems(file: Path, text: str) -> list[str]:
    file.write_text(text, encoding="utf-8")
    try:
        return [problem.message for problem in check(load(file))]
    except SchemaError as error:
        return [problem.message for problem in error.problems]


@pytest.mark.parametrize(("type", "message"), FAULTY, ids=[message for _, message in FAULTY])
def test_a_faulty_type_is_named(type: str, message: str, tmp_path: Path) -> None:
    assert BOOL in ALIEN
    found = problems(tmp_path / "alien.yaml", ALIEN.replace(BOOL, f"at_once: {type}, optional: true"))
    assert [one for one in found if one.startswith(message)] != []


def test_choices_need_a_rule_and_the_rule_needs_choices(tmp_path: Path) -> None:
    file, rule = tmp_path / "alien.yaml", "      choice: status.choice\n"
    assert "the CBOR map has no rule 'choice'" in problems(file, ALIEN.replace(rule, ""))
    assert "nothing in the codec enforces 'status.choice'" in problems(file, ALIEN.replace("choices: [up, down], ", ""))


def test_types_are_described() -> None:
    structure = load(ROOT / "tests" / "data" / "alien.yaml").structures["status"]
    assert {entry.name: str(entry.type) for entry in structure.entries} == {
        "remark": "text",
        "level": "int, at least 3",
        "since_when": "uint",
        "kind": "ascii: up, down",
        "raw": "bytes",
        "at_once": "bool",
        "note": "any",
        "tags": "array of ascii",
        "counts": "map of ascii to uint",
        "place": "map (x: int, y?: uint, names?: array of text)",
        "who": "ascii or array of bytes",
    }


def test_the_types_inside_of_a_type_are_found() -> None:
    point = load(ROOT / "tests" / "data" / "alien.yaml").structures["status"].entries[9].type
    assert [each.name for each in point.inner] == ["map", "int", "uint", "array", "text"]
    assert [entry.name for entry in point.required] == ["x"]
    assert CborType("any").required == ()
    assert {type for types in OPTIONS.values() for type in types} <= {
        *("text", "ascii", "bytes", "int", "uint", "bool", "any", "array", "tuple", "map", "map-of", "tagged", "one-of")
    }


@pytest.mark.parametrize(("levels", "number"), [(31, 0), (32, 1)])
def test_a_type_is_not_deeper_than_a_payload(levels: int, number: int, tmp_path: Path) -> None:
    type = f"{'{type: array, items: ' * levels}{{type: int}}{'}' * levels}"
    found = problems(tmp_path / "alien.yaml", ALIEN.replace(BOOL, f"at_once: {type[:-1]}, optional: true"))
    message = "'at_once' has 33 levels of nesting, and a payload has at most 32"
    assert found.count(message) == number
