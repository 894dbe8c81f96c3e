"""Text of a schema is never code: whatever its strings and the paths of its files are, they stay strings, or are refused.

Every string of the model is tried, also those that the reader of schemas would refuse, with every kind of line ending, quote and
control character. The generated modules must then differ from those of the schema as it was in string constants alone.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from dataclasses import fields, is_dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ROOT, SCHEMA

from hgproto.emit import TARGETS, shared
from hgproto.emit.text import comment, docstring, heading, literal
from hgproto.language import SchemaError, check, load
from hgproto.language.problems import Place
from hgproto.language.source import Source, read
from hgproto.revisions.generate import compile_schema, sources, write
from hgproto.revisions.revision import Revision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hgproto.language.model import Schema

ALIEN_FILE = ROOT / "tests" / "data" / "alien.yaml"
ALIEN, OURS = load(ALIEN_FILE), load(SCHEMA / "framing-0002.yaml")

CODE = "import hostile_code_ran"
LINE_ENDINGS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\n\n"]
QUOTES = [
    "'",
    '"',
    "'''",
    '"""',
    '""',
    "''",
    "`",
    "\\",
    "\\\\",
    "#}",
    "{{",
    "}}",
    "{0}",
    "%s",
    "#",
    "\\N{DASH}",
    "\\x41",
]
CONTROLS = ["\0", "\x1b[31m", "\x7f", "\u202e", "\u2066", "\u200f", "\ufeff", "\ud800", "\ue000", "\U000e0041", "\t"]
HOSTILE = [*LINE_ENDINGS, *QUOTES, *CONTROLS]

TEXTS = [
    "".join(f"x{each}{CODE}{each}" for each in HOSTILE),
    "".join(f'{each}""";{CODE}#' for each in reversed(HOSTILE)),
    f'"""\n{CODE}\n\'\'\'\n{CODE}\n"""',
    "coding: utf-7 +AAo-import hostile_code_ran+AAo-",
]


EMITTERS: dict[str, Callable[[Schema], str]] = {
    **TARGETS,
    "event_values.py": lambda schema: shared([schema])["event_values.py"],
}


class _Forgotten(ast.NodeTransformer):
    """A tree without what its string constants say."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant("") if isinstance(node.value, str) else node


def shape(text: str | bytes) -> str:
    """What a module is apart from its strings."""
    return ast.dump(_Forgotten().visit(ast.parse(text)))


@cache
def shapes(revision: str) -> dict[str, str]:
    """The shapes of the modules of a schema as it is."""
    schema = ALIEN if revision == ALIEN.revision else OURS
    return {name: shape(emit(schema)) for name, emit in EMITTERS.items()}


def strings(value: Any, kind: str = "") -> Iterator[str]:
    """The places of strings in a model, one for all that are alike: the class and the attribute."""
    if isinstance(value, str):
        yield kind
    elif isinstance(value, Place):
        return
    elif is_dataclass(value):
        for field in fields(value):
            yield from strings(getattr(value, field.name), f"{type(value).__name__}.{field.name}")
    elif isinstance(value, dict | MappingProxyType):
        for key, inner in value.items():
            yield from strings(key, f"{kind} (key)")
            yield from strings(inner, kind)
    elif isinstance(value, tuple | list | frozenset):
        for inner in value:
            yield from strings(inner, kind)


def with_text(value: Any, at: str, text: str, kind: str = "") -> Any:
    """The model with ``text`` after the strings at one of these places."""
    if isinstance(value, str):
        return value + text if kind == at else value
    if isinstance(value, Place):
        return value
    if is_dataclass(value):
        changed: Any = value
        for field in fields(value):
            old = getattr(value, field.name)
            new = with_text(old, at, text, f"{type(value).__name__}.{field.name}")
            if new != old:
                changed = replace(changed, **{field.name: new})
        return changed
    if isinstance(value, dict | MappingProxyType):
        return {with_text(k, at, text, f"{kind} (key)"): with_text(v, at, text, kind) for k, v in value.items()}
    if isinstance(value, tuple | list | frozenset):
        return type(value)(with_text(inner, at, text, kind) for inner in value)
    return value


PLACES = [(ALIEN, place) for place in sorted(set(strings(ALIEN)))]
PLACES += [(OURS, place) for place in sorted(set(strings(OURS)) - {place for _, place in PLACES})]

WORDS = {
    "Condition.kind",
    "Field.rules (key)",
    "Flag.role",
    "FrameType.checks (key)",
    "FrameType.role",
    "PayloadCase.after",
    "Requirement.enforced",
}
WORDS |= {"Requirement.level", "Structure.rules (key)"}
"""Words of the language that choose between forms of code: with another word, less or other code is made."""

CHOOSING = {"Condition.value", "Guard.values", "Machine.role", "Machine.scope", "Row.emit"}
"""Words of the machines for which ``receive.py`` has code: with another word, it has less."""


def names(text: str) -> set[str]:
    """Every name and attribute in a module."""
    nodes = list(ast.walk(ast.parse(text)))
    found = {node.id for node in nodes if isinstance(node, ast.Name)}
    return found | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def test_the_places_are_those_of_the_model() -> None:
    found = {place for _, place in PLACES}
    for place in (
        "Schema.title",
        "Schema.media_type",
        "Schema.files",
        "Requirement.text",
        "Field.doc",
        "Example.title",
    ):
        assert place in found
    assert len(found) > 60


@pytest.mark.parametrize(("schema", "place"), PLACES, ids=lambda value: getattr(value, "revision", value))
def test_strings_of_the_model_never_become_code(schema: Schema, place: str) -> None:
    for text in TEXTS if schema is ALIEN else TEXTS[:1]:
        hostile = with_text(schema, place, text)
        assert hostile != schema
        for name, emit in EMITTERS.items():
            try:
                made = emit(hostile)
            except (ValueError, LookupError):
                continue  # a name that is none, or that leads nowhere
            assert all(character.isprintable() or character == "\n" for character in made)
            if place in WORDS or (name == "receive.py" and place in CHOOSING):
                assert not any("hostile" in name for name in names(made))
                continue
            assert shape(made) == shapes(schema.revision)[name]
            # What is imported is the file, whose first lines can name its encoding.
            assert shape(made.encode()) == shapes(schema.revision)[name]


pieces = st.lists(st.sampled_from([*HOSTILE, CODE, " ", "x"]) | st.text(max_size=3), max_size=12).map("".join)


@given(pieces)
def test_literals_comments_and_docstrings_are_no_code(text: str) -> None:
    assert ast.literal_eval(literal(text)) == text
    assert "\n" not in comment(text) and comment(text).isascii() and ":" not in comment(text)
    for indent in (0, 4):
        lines = docstring(text, indent)
        assert all(character.isprintable() for line in lines for character in line)
        (node,) = ast.parse("\n".join(line[indent:] for line in lines)).body
        assert isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        assert str(node.value.value).split() == text.split() or any(ending in text for ending in LINE_ENDINGS)


@given(pieces)
def test_the_heading_is_two_comments(text: str) -> None:
    made = heading(replace(ALIEN, files=(f"a/{text}", text), digest=text))
    assert ast.parse(made.encode() + b"x = 1\n").body[0].lineno == 3
    assert [line[:1] for line in made.splitlines()] == ["#", "#"]


# Files.


def named_hostilely(folder: Path, name: str, text: str) -> Path:
    """The relay's schema in two files: the requirements are in one called ``name``, and ``text`` stands in every text."""
    folder.mkdir(exist_ok=True)
    source = Source()
    data = read(ALIEN_FILE, source)
    data["media_type"] = text
    for section in ("structures", "frames", "requirements", "limits"):
        for part in data[section].values():
            for key in ("doc", "title", "text", "why", "section", "unit", "reason"):
                if key in part:
                    part[key] += text
    part = {"language": 1, "requirements": data.pop("requirements")}
    data["include"] = [name]
    (folder / name).write_text(json.dumps(part), encoding="utf-8")
    whole = folder / f"w {name}"
    whole.write_text(json.dumps(data), encoding="utf-8")
    return whole


NAMES = ["y\nimport hostile_code_ran\n'''z", 'y\nimport hostile_code_ran\n"""', "coding: utf-7.yaml", "back\\slash #}"]


@pytest.mark.skipif(os.name == "nt", reason="file names cannot have these characters")
@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_of_files_are_no_code(name: str, tmp_path: Path) -> None:
    text = "".join(f"{each}{CODE}{each}" for each in ("\n", "'", '"', "'''", '"""', "\\", "#}", "+AAo-"))
    file = named_hostilely(tmp_path / "schema", name, text)
    schema = load(file)
    assert check(schema) == []
    assert schema.requirements["relay.whole"].text.endswith(" ".join(text.split()))
    made = compile_schema(schema)
    assert text == made["codec"].MEDIA_TYPE
    assert Revision(str(file)).codec.REVISION == "relay-7"
    write(sources(schema), tmp_path / "made")
    for target, emit in TARGETS.items():
        text_alone = shape(emit(replace(ALIEN, media_type="text")))
        assert shape((tmp_path / "made" / target).read_bytes()) == text_alone
    run = subprocess.run(
        [sys.executable, "-m", "hgproto", "schema", "check", file], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert len(run.stdout.splitlines()) == 1
    assert "hostile_code_ran" not in sys.modules


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such file names")
def test_a_name_that_is_no_text_has_a_digest_and_a_heading(tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"relay-\xff.yaml")
    file.write_bytes(ALIEN_FILE.read_bytes())
    schema = load(file)
    assert heading(schema).startswith("# Generated by `hgproto generate` from relay-\\udcff.yaml;")
    assert [path.name for path in write(sources(schema), tmp_path / "made")] == list(TARGETS)


@pytest.mark.parametrize(
    "character", [*"\0\r\v\f\x1b\x1c\x1d\x1e\x7f\x85\u2028\u2029\u202a\u202e\u2066\u2069"], ids=ascii
)
def test_characters_that_hide_or_break_lines_are_refused_at_their_line(character: str, tmp_path: Path) -> None:
    lines = ALIEN_FILE.read_text(encoding="utf-8").split("\n")
    number = next(index for index, line in enumerate(lines) if line.startswith("title: "))
    file = tmp_path / "relay.yaml"
    for written in (character, f"\\U{ord(character):08x}")[character == "\r" :]:  # a line may end in CR and LF
        lines[number] = f'title: "The {written} relay"'
        file.write_text("\n".join(lines), encoding="utf-8", newline="\n")
        with pytest.raises(SchemaError, match=f"the character U\\+{ord(character):04X} is not allowed") as caught:
            load(file)
        assert caught.value.problems[0].place.line == number + 1
