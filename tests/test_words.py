"""The words of docstrings, comments, messages, help, schemas, and pages: first words, sentence lengths, and banned phrases."""

from __future__ import annotations

import argparse
import ast
import json
import re
import tokenize
from typing import TYPE_CHECKING

import pytest
import yaml
from support import ROOT

from hgproto.cli import parser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_WORDS = 25
"""The maximum number of words of a sentence. Colons and semicolons end a sentence too."""
FIRST = {"How", "What", "When", "Where", "Whether", "Who", "Why"}
"""Words that do not begin a docstring or a help text."""
BANNED = re.compile(
    r"""\b(?:
    anew | by\ which | (?:is|are)\ told | is\ no\ (?:longer\ )?more | keeps?\ every\ rule | nobody | octets? | of\ which
    | (?:has|have)\ (?:its|no)\ say | one\ a\ (?:line|frame|stream|request|connection) | say\ something | somebody | than\ what
    | told\ of | what\ comes\ of | what\ there\ is | whoever
    | breaks?\ (?:a|the|no|every|one)\ rules? | (?:broke|broken)\ (?:a|the|no|every|one)\ rules?
    | (?:behavi|col|fav|hon|neighb)our\w* | (?:cent|fib)res? | (?:general|initial|minim|normal|optim|organ|recogn|serial
    |special|summar|synchron)is(?:e|ed|es|ing|ation)
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""Idioms that need a second reading, and British spellings."""
CODE = re.compile(r"``.*?``|:[\w:]+:`.*?`|\{[\w:]+\}`[^`]*`|`[^`\n]+`|\(https?://[^)]*\)", re.DOTALL)
"""Code and references. Each counts as one word."""
ENDS = re.compile(r"(?<=[.:;!?])\s+|\n\s*\n|\n\s*[-*] |\n(?=  )")
"""The ends of sentences, list items, and lines of a table in a help text."""
VERB = re.compile(r"(?!As\b|Its\b|This\b)[A-Z][a-z-]*s\b|True\b")
"""The first word of a function's docstring: a verb in the third person, or True."""


def faults(text: str, *, begins: bool = False) -> list[str]:
    """Returns the faults of a text. ``begins``: True to check its first word."""
    words = text.split(maxsplit=1)
    first = [f"begins with {words[0]}"] if begins and words and words[0] in FIRST else []
    return [*first, *banned(text), *long(text)]


def banned(text: str) -> list[str]:
    """Returns the banned phrases in a text."""
    plain = re.sub(r"\s+", " ", CODE.sub("code", text))
    return [f"banned: {match[0]}" for match in BANNED.finditer(plain)]


def long(text: str) -> list[str]:
    """Returns the sentences of a text that have too many words, each with their number."""
    sentences = (" ".join(part.split()) for part in ENDS.split(CODE.sub("code", text)))
    return [f"{len(one.split())} words: {one}" for one in sentences if len(one.split()) > MOST_WORDS]


def docstring_faults(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yields the line and the text of each fault in the docstrings of a module, those of attributes included."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for number, statement in enumerate(body if isinstance(body, list) else ()):
            value = statement.value if isinstance(statement, ast.Expr) else None
            if not (isinstance(value, ast.Constant) and isinstance(value.value, str)):
                continue
            found = faults(value.value, begins=True)
            if number == 0 and _needs_verb(node) and not VERB.match(value.value):
                found.append(f"no verb: {value.value.split()[0]}")
            yield from ((statement.lineno, fault) for fault in found)


def _needs_verb(node: ast.AST) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return not any(ast.unparse(one).endswith("property") for one in node.decorator_list)


def other_faults(file: Path) -> Iterator[tuple[int, str]]:
    """Yields the line and the text of each banned phrase in the comments and messages of a module."""
    kinds = (tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING))
    with file.open("rb") as lines:
        for token in tokenize.tokenize(lines.readline):
            if token.type in kinds:
                yield from ((token.start[0], fault) for fault in banned(token.string))


def help_texts(found: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Yields the place and the text of each help of a parser and of its subcommands."""
    for text in (found.description, found.epilog):
        if text:
            yield found.prog, text
    for action in found._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                yield f"{found.prog} {choice.dest}", choice.help or ""
            for each in set(action.choices.values()):
                yield from help_texts(each)
        elif action.help and action.help is not argparse.SUPPRESS:
            yield f"{found.prog} {'/'.join(action.option_strings) or action.dest}", action.help


KEYS = {"comment", "description", "doc", "note", "reason", "reference", "resolution", "summary", "text", "title", "why"}
"""The keys of schemas and vectors whose values are texts for people."""


def data_texts(node: object, keys: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yields the place and the text of each value for people in a schema or a file of vectors."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in KEYS and isinstance(value, str):
                yield "/".join((*keys, str(key))), value
            else:
                yield from data_texts(value, (*keys, str(key)))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from data_texts(value, (*keys, str(index)))


MODULES = sorted((ROOT / "hgproto").rglob("*.py"))
DATA = sorted([*(ROOT / "schema").glob("*.yaml"), *(ROOT / "schema").rglob("*.json")])
PAGES = [ROOT / "README.md", *sorted((ROOT / "schema").glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
PAGES += sorted((ROOT / "changelog.d").glob("*.md"))
FENCED = re.compile(r"^(?P<fence>`{3,}|:{3,}).*?^(?P=fence)$|^\|.*?$|^\(.*\)=$", re.DOTALL | re.MULTILINE)
"""Examples, directives, tables, and targets, which are not prose."""


def name(file: Path) -> str:
    """Returns the path of a file in the repository."""
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", MODULES, ids=name)
def test_modules_are_in_plain_words(file: Path) -> None:
    found = [*docstring_faults(ast.parse(file.read_text(encoding="utf-8"))), *other_faults(file)]
    assert [f"{line}: {fault}" for line, fault in found] == []


def test_help_is_in_plain_words() -> None:
    texts = list(help_texts(parser()))
    assert len(texts) > 100
    assert [f"{place}: {fault}" for place, text in texts for fault in faults(text, begins=True)] == []


@pytest.mark.parametrize("file", DATA, ids=name)
def test_schemas_and_vectors_are_in_plain_words(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    texts = list(data_texts(yaml.safe_load(text) if file.suffix == ".yaml" else json.loads(text)))
    assert texts
    assert [f"{place}: {fault}" for place, text in texts for fault in faults(text)] == []


@pytest.mark.parametrize("file", PAGES, ids=name)
def test_pages_are_in_plain_words(file: Path) -> None:
    text = FENCED.sub("\n\n", file.read_text(encoding="utf-8"))
    assert faults(text) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("What a frame is.", "begins with What"),
        ("The octets of a frame.", "banned: octets"),
        ("Returns the part, of\nwhich there is one.", "banned: of which"),
        ("The behaviour of a server.", "banned: behaviour"),
        ("word " * 26 + ".", "27 words"),
        ("Short. " + "word " * 26 + "; word", "27 words"),
    ],
)
def test_texts_that_are_hard_to_read_are_found(text: str, fault: str) -> None:
    assert [found for found in faults(text, begins=True) if found.startswith(fault)] != []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('def f():\n    """The frame."""', ["no verb: The"]),
        ('def f():\n    """Returns the frame."""', []),
        ('class C:\n    @property\n    def f(self):\n        """The frame."""', []),
        ('x = 1\n"""Octets of a frame."""', ["banned: Octets"]),
    ],
)
def test_docstrings_are_checked(source: str, found: list[str]) -> None:
    assert [fault for _, fault in docstring_faults(ast.parse(source))] == found


def test_comments_and_messages_are_checked(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text('# Nobody reads this.\nraise ValueError("it is told of")\n')
    assert list(other_faults(file)) == [(1, "banned: Nobody"), (2, "banned: is told")]


def test_code_and_references_are_single_words() -> None:
    assert faults("Calls :meth:`hgproto.Server.respond` with ``what there is or not`` and `octets`.", begins=True) == []
