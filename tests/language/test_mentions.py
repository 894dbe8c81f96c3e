"""Names in the texts of a schema: which part is meant, and that none is missed."""

from __future__ import annotations

import pytest
from support import ROOT, SCHEMA

from hgproto.language import load
from hgproto.language.mentions import KINDS, Part, all_parts, find_part, mentions, owner, texts

OURS = load(SCHEMA / "framing-0002.yaml")
ALIEN = load(ROOT / "tests" / "data" / "alien.yaml")
PARTS = all_parts(OURS)


@pytest.mark.parametrize(
    ("name", "within", "part"),
    [
        ("eos", "command-name", ("flag", "command-name.eos")),
        ("eos", "command-data", ("flag", "command-data.eos")),
        ("eos", None, None),  # three frame types have it
        ("have-args", None, ("flag", "command-name.have-args")),
        ("stream-begin", "stream", ("flag", "stream-begin")),
        ("command-argument.eoa", None, ("requirement", "command-argument.eoa")),
        ("eoa", "command-argument", ("flag", "command-argument.eoa")),
        ("text-output", None, ("frame", "text-output")),
        ("argument-header", None, ("structure", "argument-header")),
        ("length", None, ("field", "frame-header.length")),
        ("type", None, ("field", "frame-header.type")),
        ("value", "argument-rest", ("field", "argument-rest.value")),
        ("value", None, None),
        ("topic", None, ("field", "progress.topic")),
        ("open", "stream", ("state", "stream.open")),
        ("active", None, None),
        ("server-request", None, ("machine", "server-request")),
        ("max-payload", None, ("limit", "max-payload")),
        ("zlib", None, ("profile", "zlib")),
        ("capacity", None, ("guard", "capacity")),
        ("ength", None, None),
        ("error-response", None, ("frame", "error-response")),  # not the message
        ("command", None, ("message", "command")),
    ],
)
def test_what_a_name_means(name: str, within: str | None, part: tuple[str, str] | None) -> None:
    assert find_part(name, PARTS, within) == (part and Part(*part))


@pytest.mark.parametrize("schema", [OURS, ALIEN], ids=["framing-0002", "alien"])
def test_every_part_is_found_by_its_whole_name(schema: object) -> None:
    parts = all_parts(schema)  # type: ignore[arg-type]
    assert {part.kind for part in parts} <= set(KINDS)
    for part in parts:
        found = find_part(part.name, parts)
        assert found is not None
        assert found.name == part.name
        assert KINDS.index(found.kind) <= KINDS.index(part.kind)


def test_every_part_stands_where_its_name_does() -> None:
    lines = {file: file.read_text(encoding="utf-8").splitlines() for file in SCHEMA.glob("framing*.yaml")}
    for part, place in PARTS.items():
        file = next(file for file in lines if str(file) == place.file)
        assert part.name.rpartition(".")[2] in lines[file][place.line - 1] or part.kind == "requirement"
        assert part.kind != "requirement" or part.name in lines[file][place.line - 1]


def test_pieces_of_a_text() -> None:
    assert list(mentions("`a` or `b.c`, not d")) == [("a", True), (" or ", False), ("b.c", True), (", not d", False)]
    assert list(mentions("")) == []


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (("doc",), None),
        (("header", "fields", 0, "doc"), "frame-header"),
        (("frames", "progress", "doc"), "progress"),
        (("structures", "argument", "fields", 2, "doc"), "argument"),
        (("machines", "stream", "states", "open", "doc"), "stream"),
        (("requirements", "stream.end", "why"), "stream"),
        (("guards", "capacity", "doc"), None),
    ],
)
def test_what_a_text_belongs_to(path: tuple[str | int, ...], name: str | None) -> None:
    assert owner(path) == name


def test_texts_are_found_wherever_they_stand() -> None:
    data = {
        "doc": "a",
        "frames": {"x": {"doc": "b", "flags": {"doc": {"doc": "c"}}, "examples": [{"doc": "no text"}]}},
        "requirements": {"x.y": {"text": "d", "why": "e", "reason": "f", "resolution": "g", "reference": "h"}},
        "list": [{"doc": "i"}, {"doc": 1}],
        "structures": {"examples": {"doc": "j", "examples": [{"doc": "no text"}]}},
        "messages": {"x": {"doc": "k", "parameters": {"y": "l", "doc": "m"}, "frames": [{"frame": "no text"}]}},
    }
    assert "".join(text for _, text in texts(data)) == "abcdefghijklm"
    assert dict(texts(data))["frames", "x", "flags", "doc", "doc"] == "c"
