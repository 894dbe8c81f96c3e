"""Long lines of generated Python are broken as the formatter has them, wherever they stand and whatever the names are."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support import ROOT, RUFF, SCHEMA, formatted

from hgproto.emit.line_breaks import WIDTH, Group, fitted, flat, lay_out
from hgproto.language import load
from hgproto.revisions.generate import sources, write

if TYPE_CHECKING:
    from pathlib import Path

words = st.from_regex(r"x[a-z]{1,30}", fullmatch=True)
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
    one_line = flat(node)
    assert ast.dump(ast.parse("\n".join(lines).strip())) == ast.dump(ast.parse(one_line))
    assert all(line.startswith(" " * 4 * level) for line in lines)
    assert (len(lines) == 1) == (4 * level + len(one_line) <= WIDTH or isinstance(node, str) or not node.items)


@settings(max_examples=max(4, settings().max_examples // 50), phases=[Phase.generate])
@given(st.lists(nodes, min_size=30, max_size=30))
def test_layouts_need_no_formatting(many: list[str | Group]) -> None:
    code = "\n".join(line for node in many for line in lay_out(node)) + "\n"
    assert formatted(code) == code


FORMS = [
    "{a} = [{a}, {b}]",
    "{a}: dict[str, tuple[int, str]] = {{{a}: 1, {b}: (2, 3)}}",
    "{a} = ({a}, {b})",
    '{a} = Struct("{a}" / Due(Rebuild({a}, {b}), cut=1))',
    "{a}, {b} = unpack(data, at)",
    "frame.{a}, {b} = unpack(data, at)",
    "({a},) = unpack(payload, {b}_end + 1)",
    "start, {a} = {a}, {a} + {b}",
    "{a}_end = {b}_end + 4 * {b}",
    "{a} = {a}_low | {a}_high << 16",
    '{a} = payload[{a}_end + 4 : {b}_end].decode("ascii")',
    "{a} = payload[{a}_end + 4 : {b}_end].decode()",
    "{a} = payload[{a}_end:{b}_end]",
    "{a} = _unpack_h_array[{b}](payload, {a}_end)",
    '{a} = [item.encode("ascii") for item in value.{b}]',
    '{a} = [low | high << 16 for low, high in iter_unpack("<HB", {b}_bytes)]',
    '{a} = value.{b}.encode("ascii")',
    'raise RemoteProtocolError("{a}", 7, "{b}", f(x, y), str(frame.{b}))',
    "return {a}(**decode_entries({b}, as_bytes(payload)))",
    'return b"".join(({a}, *{b}, bytes([len(item) for item in {b}])))',
    'return tuple(len(item.encode("ascii")) for item in self.{a})',
    "if {a} and all({b}) and len(payload) >= {b}_end:\n    pass",
    "if not ({a} and {b}):\n    raise ValueError",
    "def {a}({a}: int, *, {b}: str | None = None) -> tuple[int, str]:\n    pass",
    "from {a} import {a}, {b}",
    "__slots__ = ({a}, {b})  # noqa: RUF023 - in wire order",
    """{a}("it's, [", 'say "x"(', "\\\\", {b})""",
]


@pytest.mark.parametrize("length", [1, 20, 31, 38, 46, 49])
def test_forms_of_code_need_no_formatting(length: int) -> None:
    lines = []
    for level in range(4):
        lines += [f"{'    ' * level}if x:"]
        for form in FORMS:
            for more in range(6):
                text = form.format(a="a" * length, b="b" * (length + more))
                lines += [f"{'    ' * (level + 1)}{line}".rstrip() for line in text.split("\n")]
    code = fitted("\n".join(lines) + "\n")
    assert code.count("\n") >= len(lines)
    # Blank lines are for another test.
    assert [line for line in formatted(code).split("\n") if line] == [line for line in code.split("\n") if line]
    assert ast.dump(ast.parse(code)) == ast.dump(ast.parse("\n".join(lines)))


def test_docstrings_and_comments_stay_as_they_are() -> None:
    long = f"f({'x, ' * 50})"
    code = f'# {long}\n"""{long}\n\n{long}"""\n"""{long}"""\nx = 1\n'
    assert fitted(code) == code
    assert len(fitted(f"{code}{long}\n")) > len(code) + len(long) + 1


# Whole packages.


def renamed(random: Random) -> dict[str, Any]:
    """The alien schema with names of any length, and its header in any order with fields of any width."""
    schema = yaml.safe_load((ROOT / "tests" / "data" / "alien.yaml").read_text(encoding="utf-8"))
    longest = random.choice((10, 25, 40))
    flags = [flag for frame in schema["frames"].values() for flag in frame.get("flags", ())]
    names = [*schema["structures"], *schema["frames"], *schema["stream_flags"]["flags"], *flags]
    fields = [
        field["name"] for one in schema["structures"].values() for field in one.get("fields", ()) if "name" in field
    ]
    # Words of the language stay as they are.
    words = {"count", "data", "items", "keys", "name", "payload", "size", "text", "type", "value"}
    text = json.dumps(schema)
    for name in sorted({*names, *fields} - words):
        more = "".join(random.choice("abcdefgh") for _ in range(random.randrange(longest)))
        text = text.replace(f'"{name}"', f'"{name}x{more}"')
    for name in schema["requirements"]:
        more = "".join(random.choice("abcdefgh") for _ in range(random.randrange(longest)))
        text = text.replace(f'"{name}"', f'"{name}{more}"')
    made: dict[str, Any] = json.loads(text)
    *header, payload = made["header"]["fields"]
    random.shuffle(header)
    for field in header:
        if field.get("name") in ("request_id", "stream_id", "length"):
            field["type"] = random.choice(("u8", "u16", "u24", "u32"))
    made["header"]["fields"] = [*header, payload]
    made["limits"]["max-payload"] |= {"default": 200, "maximum": 255}
    return made


@pytest.mark.skipif(RUFF is None, reason="ruff is not installed")
def test_packages_need_no_formatting_whatever_the_names_and_the_header(tmp_path: Path) -> None:
    notes = re.search(r"^```yaml\n(language: 1\n.*?)^```", (SCHEMA / "README.md").read_text("utf-8"), re.M | re.S)
    assert notes is not None
    schemas = [json.dumps(renamed(Random(seed))) for seed in range(24)]  # noqa: S311 - repeatable
    schemas += [notes[1].replace("leave.client-only", f"leave.{'x' * length}") for length in range(1, 60, 4)]
    for number, text in enumerate(schemas):
        file = tmp_path / f"schema-{number}.yaml"
        file.write_text(text, encoding="utf-8")
        write(sources(load(file)), tmp_path / f"package_{number}")
    command = [str(RUFF), "format", "--isolated", "--no-cache", "--line-length", str(WIDTH), "--diff", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
