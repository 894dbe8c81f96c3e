"""Names, literals, docstrings and layouts of generated Python: right when run, and as the formatter has them."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support import SCHEMA

from hgproto.emit.text import (
    WIDTH,
    Group,
    camel,
    docstring,
    flag_class,
    heading,
    if_all,
    lay_out,
    literal,
    mapping,
    mask,
    names_in,
    snake,
    unpacking,
    upper,
)
from hgproto.language import load

RUFF = shutil.which("ruff") or shutil.which("ruff", path=str(Path(sys.executable).parent))

names = st.from_regex(r"[a-z][a-z0-9]{0,12}(-[a-z0-9]{1,8}){0,3}", fullmatch=True)
words = st.from_regex(r"x[a-z]{1,30}", fullmatch=True)


def formatted(code: str) -> str:
    """The code as the formatter has it."""
    if RUFF is None:
        pytest.skip("ruff is not installed")
    command = [RUFF, "format", "--isolated", "--line-length", str(WIDTH), "-"]
    run = subprocess.run(command, input=code, capture_output=True, text=True, check=True, encoding="utf-8")
    return run.stdout


@pytest.mark.parametrize(
    ("spell", "name", "spelling"),
    [
        (snake, "stream-settings", "stream_settings"),
        (upper, "stream-settings", "STREAM_SETTINGS"),
        (camel, "stream-settings", "StreamSettings"),
        (camel, "x", "X"),
        (camel, "a-1b", "A1b"),
        (flag_class, "command-name", "CommandNameFlag"),
    ],
)
def test_spellings(spell: Any, name: str, spelling: str) -> None:
    assert spell(name) == spelling


@given(names)
def test_spellings_are_identifiers(name: str) -> None:
    assert all(spell(name).isidentifier() for spell in (snake, upper, camel, flag_class))


@given(st.text())
def test_literals_are_the_text_again(text: str) -> None:
    assert literal(text).isascii()
    assert ast.literal_eval(literal(text)) == text


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("", '""'),
        ("plain", '"plain"'),
        ("it's", '"it\'s"'),
        ('say "x"', "'say \"x\"'"),
        ('it\'s "x"', "'it\\'s \"x\"'"),
        ("it's x\"", '"it\'s x\\""'),
        ("a\nb\\", '"a\\nb\\\\"'),
        ("é\U0001f600", '"\\xe9\\U0001f600"'),
    ],
)
def test_literals_are_spelled_as_the_formatter_does(text: str, spelling: str) -> None:
    assert literal(text) == spelling
    assert formatted(f"x = {spelling}\n") == f"x = {spelling}\n"


@pytest.mark.parametrize(("number", "spelling"), [(0, "0x0"), (10, "0xA"), (255, "0xFF")])
def test_masks(number: int, spelling: str) -> None:
    assert mask(number) == spelling


# Docstrings.

DOCS = [
    "One line.",
    '"Quoted" at the start.',
    'At the end "quoted"',
    "A back\\slash, and one at the end\\",
    'Three """quotes""" and \\""" more.',
    "  Space around.  ",
    "First paragraph.\n\nSecond paragraph.\n\n\n\nThird.",
    f"{'Long words make long lines. ' * 12}\n\n{'And more of them. ' * 12}",
    f"{'x' * (WIDTH - 11)}",
    f"{'x' * (WIDTH - 10)}",
    "A list:\n\n``first``: what it is.\n``second``: " + "words " * 40,
    "naïve \u2014 text",
    "percent % and {braces}",
]


@pytest.mark.parametrize("text", DOCS, ids=range(len(DOCS)))
def test_docstrings_say_the_text_and_need_no_formatting(text: str) -> None:
    lines = [
        *docstring(text, 0),
        *("", "", "class Outer:"),
        *docstring(text, 4),
        *("", "    class Inner:"),
        *docstring(text, 8),
    ]
    code = "\n".join(lines) + "\n"
    module: Any = ast.parse(code)
    for node in (module, module.body[1], module.body[1].body[1]):
        assert str(ast.get_docstring(node)).split() == text.split()
    assert formatted(code) == code


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\u2028\u2029")).filter(str.strip))
def test_any_docstring_is_its_text(text: str) -> None:
    found = ast.get_docstring(ast.parse("\n".join(docstring(text, 0))))
    assert str(found).split() == text.split()


# Layouts.

nodes = st.recursive(
    words,
    lambda inner: (
        st.builds(
            lambda head, tail, items: Group(head, items, tail),
            words.map(lambda word: f"{word}(") | st.just("("),
            st.just(")"),
            st.lists(inner, max_size=6),
        )
        | st.lists(inner, max_size=6).map(lambda items: Group("[", items, "]"))
    ),
    max_leaves=20,
)


@settings(max_examples=settings().max_examples // 3)
@given(nodes, st.integers(0, 5))
def test_a_layout_says_the_same_and_fits(node: str | Group, level: int) -> None:
    lines = lay_out(node, 4 * level)
    (flat,) = lay_out(node, -10_000)
    assert ast.dump(ast.parse("\n".join(lines).strip())) == ast.dump(ast.parse(flat))
    assert all(line.startswith(" " * 4 * level) for line in lines)
    assert (len(lines) == 1) == (4 * level + len(flat) <= WIDTH or isinstance(node, str) or not node.items)


@settings(max_examples=max(4, settings().max_examples // 50), phases=[Phase.generate])
@given(st.lists(nodes, min_size=30, max_size=30))
def test_layouts_need_no_formatting(many: list[str | Group]) -> None:
    code = "\n".join(line for node in many for line in lay_out(node)) + "\n"
    assert formatted(code) == code


@pytest.mark.parametrize("count", [0, 1, 2, 9])
@pytest.mark.parametrize("length", [5, 16, 30])
def test_forms_of_code_need_no_formatting(count: int, length: int) -> None:
    items = [f"{'n' * length}{number}" for number in range(count)]
    lines = [
        *lay_out(Group("listed = [", items, "]")),
        *lay_out(Group("row = (", items)),
        *lay_out(mapping([(item, "1") for item in items], "table = {")),
        *lay_out(Group("struct = Struct(", [Group('"field" / Due(', [Group("Rebuild(", items), "cut=1"])])),
    ]
    if items:
        lines += [*unpacking(items, "read(data, at)", 0), *if_all(items, 0), "    pass"]
    code = "\n".join(lines) + "\n"
    assert formatted(code) == code


def test_names_that_code_refers_to() -> None:
    code = '"""Due, in words."""\nx = Due(Octets(None), lambda this: this.at)  # Text\ndef f(a: int) -> None: g.h\n'
    assert names_in(code) == {"Due", "Octets", "int", "g"}


def test_parameters_are_not_referred_to() -> None:
    assert names_in("class C:\n    pack: int\n    def __init__(self, pack: int) -> None:\n        self.x = pack\n") == {
        "int"
    }
    assert names_in("def f(x, y=x, *z: t, u=v, **w) -> x: return pack(x, y, z, u, w)\n") == {"pack", "t", "v", "x"}
    assert names_in("f = lambda *, a=a: lambda b: a + b + c\n") == {"a", "c"}


def test_the_heading_says_what_made_the_file_from_what_and_how() -> None:
    schema = load(SCHEMA / "framing-0002.yaml")
    first, second, rest = heading(schema).split("\n")
    assert re.fullmatch(r"# Generated by `hgproto generate` from framing-0002.yaml, framing.yaml; do not edit.*", first)
    assert second == f"# SHA-256 of the schema: {schema.digest}"
    assert rest == ""
