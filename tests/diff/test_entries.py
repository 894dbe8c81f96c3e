"""Changes of the entries of CBOR maps, nested ones too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import ROOT

from hgproto.diff.entries import entry_changes
from hgproto.language.load import load

if TYPE_CHECKING:
    from pathlib import Path

ALIEN = (ROOT / "tests" / "data" / "alien.yaml").read_text(encoding="utf-8")
CHANGES = [
    ("x: {type: int, doc: To the right.}", "x: {type: int, doc: To the left.}", ["entries.place.entries.x.doc"]),
    ("x: {type: int, doc", "x: {type: uint, doc", ["entries.place.entries.x.type"]),
    ("y: {type: uint, optional: true, doc", "y: {type: uint, doc", ["entries.place.entries.y.optional"]),
    (
        "y: {type: uint, optional: true, doc: Upwards.}",
        "z: {type: any, doc: More.}",
        [f"entries.place.entries.{n}" for n in "yz"],
    ),
    ("choices: [up, down]", "choices: [down, up]", []),
    ("choices: [up, down]", "choices: [up, off]", ["entries.kind.type"]),
    ("items: {type: ascii}, optional", "items: {type: bytes}, optional", ["entries.tags.items.type"]),
    ("raw: {type: bytes,", "raw: {type: map, entries: {a: {type: any, doc: A.}},", ["entries.raw.type"]),
]


@pytest.mark.parametrize(("old", "new", "paths"), CHANGES)
def test_a_change_is_told_where_it_is(old: str, new: str, paths: list[str], tmp_path: Path) -> None:
    assert old in ALIEN
    there = load(ROOT / "tests" / "data" / "alien.yaml").structures["status"].entries
    (tmp_path / "alien.yaml").write_text(ALIEN.replace(old, new), encoding="utf-8")
    here = load(tmp_path / "alien.yaml").structures["status"].entries
    assert [change.path for change in entry_changes("entries", "of status", there, here)] == paths
    assert list(entry_changes("entries", "of status", here, here)) == []


def test_a_change_is_told_in_a_sentence(tmp_path: Path) -> None:
    there = load(ROOT / "tests" / "data" / "alien.yaml").structures["status"].entries
    (tmp_path / "alien.yaml").write_text(ALIEN.replace("x: {type: int, doc", "x: {type: uint, doc"), encoding="utf-8")
    here = load(tmp_path / "alien.yaml").structures["status"].entries
    (change,) = entry_changes("entries", "of status", there, here)
    assert change.sentence == "The type of the key x of place of status was int and is uint."
