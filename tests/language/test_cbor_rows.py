"""Rows of CBOR structures: nested entries have paths, and types are told without them."""

from __future__ import annotations

from support import SCHEMA

from hgproto.language import load
from hgproto.language.cbor_rows import entry_rows

NEWER = load(SCHEMA / "framing-0006.yaml")


def rows_of(name: str) -> list[tuple[str, str, str]]:
    return [(row.path, row.type, row.presence) for row in entry_rows(NEWER.structures[name].entries)]


def test_nested_entries_have_rows_of_their_own() -> None:
    assert rows_of("command-request") == [
        ("name", "ascii", "required"),
        ("args", "map of ascii to any", "optional"),
        ("redirect", "map", "optional"),
        ("redirect.targets", "array of ascii", "required"),
        ("redirect.hashes", "array of ascii", "required"),
    ]
    assert rows_of("text-output")[:2] == [("atoms", "array of map", "required"), ("atoms[].msg", "ascii", "required")]


def test_the_keys_of_a_tagged_map_name_their_case() -> None:
    rows = rows_of("command-response")
    assert rows[:3] == [
        ("status", "map, by status", "required"),
        ("status.status", "ascii: ok, error, redirect", "required"),
        ("status.error", "map", "required for error"),
    ]
    assert ("status.error.message", "bytes or array of map", "required") in rows
    assert ("status.location.fullhashes", "array of array of ascii, bytes", "optional") in rows
    assert rows[-1] == ("values", "any", "any number")
    assert [row.is_nested for row in entry_rows(NEWER.structures["command-response"].entries)].count(False) == 2
