"""The JSON Schema of the language: sound, complete in its words, and strict; and the messages that are made of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from support import ROOT, SCHEMA

from hgproto.language.shape import shape_problems
from hgproto.language.source import Source, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

META: dict[str, Any] = json.loads((SCHEMA / "meta.schema.json").read_text(encoding="utf-8"))

SCHEMA_FILES = sorted([*SCHEMA.glob("*.yaml"), ROOT / "tests" / "data" / "alien.yaml"])


def parts(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema inside of the JSON Schema, with the path to it."""
    yield path, schema
    for key in ("properties", "$defs"):
        for name, part in schema.get(key, {}).items():
            yield from parts(part, f"{path}/{key}/{name}")
    for key in ("items", "additionalProperties", "not", "if", "then", "else"):
        if isinstance(schema.get(key), dict):
            yield from parts(schema[key], f"{path}/{key}")
    for key in ("oneOf", "anyOf", "allOf"):
        for index, part in enumerate(schema.get(key, [])):
            yield from parts(part, f"{path}/{key}/{index}")


PARTS = dict(parts(META))


def test_it_is_a_json_schema_of_2020_12() -> None:
    assert META["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(META)
    assert len(PARTS) > 200


def test_every_key_and_every_definition_is_described() -> None:
    named = [path for path in PARTS if path.split("/")[-2:-1] in (["properties"], ["$defs"])]
    assert len(named) > 100
    for path in named:
        part = PARTS[path]
        is_condition = "/if/" in path
        referred = PARTS[part["$ref"].removeprefix("#")] if "$ref" in part else {}
        assert is_condition or part.get("description") or referred.get("description"), path


def test_every_object_is_closed() -> None:
    objects = [path for path, part in PARTS.items() if part.get("type") == "object"]
    assert len(objects) > 25
    for path in objects:
        assert PARTS[path].get("additionalProperties") is False or isinstance(
            PARTS[path].get("additionalProperties"), dict
        ), path


def test_every_reference_leads_somewhere() -> None:
    references = {part["$ref"] for part in PARTS.values() if "$ref" in part}
    assert {f"#/$defs/{name}" for name in META["$defs"]} == references


def data_of(file: Path) -> Source:
    source = Source()
    source.data = read(file, source)
    return source


@pytest.mark.parametrize("file", SCHEMA_FILES, ids=lambda file: file.name)
def test_each_file_fits_alone_as_an_editor_sees_it(file: Path) -> None:
    source = data_of(file)
    assert list(Draft202012Validator(META).iter_errors(source.data)) == []
    assert shape_problems(source, META) == []


SMALL: dict[str, Any] = {
    "type": "object",
    "properties": {
        "size": {"type": "integer", "minimum": 1},
        "text": {"type": "string", "pattern": "^[a-z]*$", "minLength": 1},
        "list": {"type": "array", "minItems": 2, "maxItems": 3, "uniqueItems": True},
        "map": {"type": "object", "minProperties": 1, "maxProperties": 1},
        "flag": {"type": "boolean"},
        "kind": {"enum": ["one", "two"]},
        "fixed": {"const": "this"},
        "either": {"oneOf": [{"type": "string"}, {"type": "integer"}], "description": "A name or a number."},
        "sets": {"type": "object", "oneOf": [{"required": ["a", "b"]}, {"required": ["c"]}]},
        "without": {"type": "object", "not": {"required": ["x"]}},
        "names": {"type": "object", "propertyNames": {"pattern": "^[a-z]+$"}},
    },
    "required": ["size"],
    "additionalProperties": False,
}
MESSAGES = [
    ("{}", "1:1: the key 'size' is missing; add 'size'"),
    ("{size: 1, sise: 2}", "1:11: unknown key 'sise'; did you mean 'size'?"),
    ("{size: one}", "1:8: expected an integer, found 'one'; correct it"),
    ("{size: true}", "1:8: expected an integer, found true; correct it"),
    ("{size: 2.0}", "1:8: expected an integer, found 2.0; correct it"),
    ("{size: 0}", "1:8: expected a number of at least 1, found 0; use a larger one"),
    ("{size: }", "1:8: expected an integer, found nothing; write a value after the colon"),
    ("{size: {}}", "1:8: expected an integer, found a mapping; correct it"),
    ("{size: 1, text: 5}", "1:17: expected a string, found 5; quote it"),
    ("{size: 1, text: true}", "1:17: expected a string, found true; quote it; true and false are booleans"),
    ('{size: 1, text: "a\\n"}', r"1:17: 'a\n' does not have the right form; match ^[a-z]*$"),
    ('{size: 1, text: ""}', "1:17: expected some text, found ''; write it"),
    ("{size: 1, flag: on}", "1:17: expected true or false, found 'on'; write true or false; 'on' is a string in YAML 1.2"),
    ("{size: 1, flag: maybe}", "1:17: expected true or false, found 'maybe'; correct it"),
    ("{size: 1, list: [1]}", "1:17: expected 2 or more items, found 1; add what is missing"),
    ("{size: 1, list: [1, 2, 3, 4]}", "1:17: expected 3 or fewer items, found 4; remove the others"),
    ("{size: 1, list: [1, 1]}", "1:17: expected each item once, found a list; remove the second one"),
    ("{size: 1, map: {}}", "1:16: expected 1 or more keys, found 0; add what is missing"),
    ("{size: 1, map: {a: 1, b: 2}}", "1:16: expected 1 or fewer keys, found 2; remove the others"),
    ("{size: 1, map: [1]}", "1:16: expected a mapping, found a list; correct it"),
    ("{size: 1, kind: three}", "1:17: 'three' is not allowed; use one of one, two"),
    ("{size: 1, fixed: that}", "1:18: expected 'this', found 'that'; correct it"),
    ("{size: 1, either: []}", "1:19: a list does not fit any choice; A name or a number."),
    ("{size: 1, sets: {}}", "1:17: expected exactly one of 'a' and 'b', or 'c', found nothing; add one of them"),
    ("{size: 1, sets: {a: 1}}", "1:17: expected exactly one of 'a' and 'b', or 'c', found a; add 'b'"),
    ("{size: 1, sets: {a: 1, b: 1, c: 1}}", "1:17: expected exactly one of 'a' and 'b', or 'c', found a, b, c; keep one of them"),
    ("{size: 1, without: {x: 1}}", "1:21: 'x' is not allowed here; remove 'x'"),
    ("{size: 1, names: {A: 1}}", "1:19: 'A' cannot be a name; match ^[a-z]+$"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), MESSAGES, ids=lambda item: item[:40])
def test_messages(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(text, encoding="utf-8")
    assert [str(problem) for problem in shape_problems(data_of(file), SMALL)] == [f"{file}:{message}"]
