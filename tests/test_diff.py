"""Differences between schemas: what is said of each change in tests/data/differences.txt, and that none is missed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from support import ROOT, SCHEMA
from test_evolution import judgement, replacements

from hgproto.cli import main
from hgproto.diff import KINDS, changes, machines
from hgproto.revision import Revision
from hgproto.spec import check, load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hgproto.spec.model import Schema

DATA = ROOT / "tests" / "data"
ALIEN = DATA / "alien.yaml"
OURS = SCHEMA / "framing-0002.yaml"


class Difference(NamedTuple):
    """A change of a file, and what is said of it."""

    what: str
    file: str
    replaced: list[tuple[str, str]]
    everywhere: list[tuple[str, str]]
    said: list[str]

    @property
    def main(self) -> Path:
        """The schema file that is changed, or that includes what is changed."""
        return ALIEN if self.file == ALIEN.name else OURS

    def make(self, directory: Path) -> Path:
        """The changed schema file, in a directory of its own."""
        for file in {self.main, self.main.with_name(self.file)} | ({SCHEMA / "framing.yaml"} - {ALIEN}):
            text = file.read_text(encoding="utf-8")
            for old, new in self.everywhere:
                text = re.sub(rf"(?<![\w.-]){re.escape(old)}(?![\w-]|\.\w)", new, text)
            for old, new in self.replaced if file.name == self.file else ():
                assert text.count(old) == 1, f"{self.what}: {old!r} is there {text.count(old)} times"
                text = text.replace(old, new)
            (directory / file.name).write_text(text, encoding="utf-8")
        return directory / self.main.name


def listed() -> Iterator[Difference]:
    """The differences in the list."""
    for part in (DATA / "differences.txt").read_text(encoding="utf-8").split("\n# ")[1:]:
        what, _, text = part.partition("\n")
        lines = text.splitlines()
        file = next((line[3:] for line in lines if line.startswith("in ")), OURS.name)
        replaced = replacements(what) if "as in changes.txt" in lines else []
        for place in text.split("\n\n"):
            old, new = ("\n".join(line[2:] for line in place.split("\n") if line[:1] == sign) for sign in "-+")
            if old:
                replaced.append((old, new))
        everywhere = [(old, new) for old, _, new in (line[7:].partition(" => ") for line in lines if line[:7] == "every: ")]
        yield Difference(what, file, replaced, everywhere, [line[2:] for line in lines if line[:2] == "= "])


DIFFERENCES = list(listed())
each_difference = pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.what)


@cache
def loaded(file: Path) -> Schema:
    """A schema that is not changed."""
    return load(file)


def changed(difference: Difference, directory: Path) -> Schema:
    """A schema that is changed."""
    schema = load(difference.make(directory))
    assert check(schema) == []
    return schema


@each_difference
def test_each_change_is_said(difference: Difference, tmp_path: Path) -> None:
    found = changes(loaded(difference.main), changed(difference, tmp_path))
    assert [f"{change.kind} {change.path}: {change.sentence}" for change in found] == difference.said


