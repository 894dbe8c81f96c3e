"""What a schema says about CBOR: sequences, the subset that is allowed, and structures that span frames."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from support import SCHEMA

from hgproto.language import SchemaError, check, load

if TYPE_CHECKING:
    from pathlib import Path

TEXT = (SCHEMA / "framing-0006.yaml").read_text(encoding="utf-8")
ITEM = "      - {name: settings, type: any, repeat: to-end, doc: Values that the profile defines.}\n"
FAULTY = [
    (
        ITEM,
        ITEM + "      - {name: more, type: any, doc: More.}\n",
        "nothing can follow 'settings', which extends to the end of the payload",
    ),
    ("{name: settings, type: any", "{name: profile, type: any", "there are two items 'profile'"),
    ("{name: settings, type: any", "{name: extra, type: any", "an item cannot be called 'extra'"),
    ("      missing: stream-settings.name\n", "", "the CBOR sequence has no rule 'missing'"),
    ("    tags: cbor.sets\n", "", "all tags are allowed"),
    ("    floats: cbor.no-floats", "    floats: cbor.no-float", "there is no requirement 'cbor.no-float'"),
    ("    floats: cbor.no-floats\n", "", "nothing in the codec enforces 'cbor.no-floats'"),
    ("    floats: cbor.no-floats", "    fractions: cbor.no-floats", "'fractions'"),
    ("joins: {structure: command-response}", "joins: {structure: response}", "there is no structure 'response'"),
    (
        "joins: {structure: command-request, limit: request-bytes,",
        "joins: {structure: command-request, limit: request,",
        "there is no limit 'request'",
    ),
    (
        "{bit: 2, role: more, doc: The request continues",
        "{bit: 2, doc: The request continues",
        "no flag of 'command-request' shows that more frames follow",
    ),
    ("  - machines\n", "  - machines\n  - profiles.zstd-16mb\n", "no included file has 'profiles.zstd-16mb'"),
    (", order: command-request.in-order}", "}", "`joins` of 'command-request' needs both"),
    ("bit: 1, role: continues,", "bit: 1,", "`joins` of 'command-request' needs both"),
    (", order: command-request.in-order}", ", order: command-request.order}", "there is no requirement"),
    (
        "    nested-indefinite-strings:",
        "    indefinite-strings: cbor.definite\n    nested-indefinite-strings:",
        "all strings of indefinite length are forbidden already",
    ),
    ("structure: command-response}", "structure: command-response, limit: payload-items}", "has a limit in items"),
    ("joins: {structure: command-request", "joins: {structure: progress", "would have the payload 'command-request'"),
    ("  - profiles.zstd-8mb\n", "", "'zstd-8mb' is in two of the files"),
    ("  - machines\n", "  - machine\n", "no included file has 'machine'"),
]


def problems(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "framing.yaml").write_text((SCHEMA / "framing.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    file = tmp_path / "framing-0006.yaml"
    file.write_text(text, encoding="utf-8")
    try:
        return [problem.message for problem in check(load(file))]
    except SchemaError as error:
        return [problem.message for problem in error.problems]


@pytest.mark.parametrize(("old", "new", "message"), FAULTY, ids=[message for *_, message in FAULTY])
def test_a_faulty_part_is_named(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in TEXT
    found = problems(tmp_path, TEXT.replace(old, new))
    assert [one for one in found if message in one] != []


def test_the_schema_is_good_as_it_is(tmp_path: Path) -> None:
    assert problems(tmp_path, TEXT) == []


def test_a_structure_of_fields_does_not_span_frames(tmp_path: Path) -> None:
    fields = """  chunks-of-bytes:
    doc: Bytes.
    fields:
      - {name: part, type: bytes, size: rest, doc: Bytes.}
"""
    text = TEXT.replace("\nstructures:\n", f"\nstructures:\n{fields}")
    found = problems(tmp_path, text.replace("{structure: command-response}", "{structure: chunks-of-bytes}"))
    assert "'chunks-of-bytes' does not show where it ends" in found


def test_the_parts_of_included_files_can_be_left_out_by_name() -> None:
    schema = load(SCHEMA / "framing-0006.yaml")
    assert schema.machines == {}
    assert "stream.end" not in schema.requirements
    assert schema.profiles["zstd-8mb"].place.file.endswith("framing-0006.yaml")
    assert schema.profiles["zlib"].place.file.endswith("framing.yaml")
    left_out = re.findall(r"^  - requirements\.(.*)$", TEXT, re.MULTILINE)
    assert left_out
    assert {*left_out} <= {*load(SCHEMA / "framing-0002.yaml").requirements}


def test_the_subset_is_resolved() -> None:
    subset = load(SCHEMA / "framing-0006.yaml").cbor
    assert subset is not None
    assert (subset.is_alphabetical, subset.tags, subset.forbids["text"]) == (True, (258,), "cbor.byte-strings")
    assert load(SCHEMA / "framing-0002.yaml").cbor is None
