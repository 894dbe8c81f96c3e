"""Types of generated code: a strict type checker finds no fault in it, whatever the fields are and are called."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from support import ROOT, RUFF, SCHEMA

from hgproto.language import load
from hgproto.revisions.generate import sources, write

if TYPE_CHECKING:
    from pathlib import Path

ALIEN = ROOT / "tests" / "data" / "alien.yaml"
NUMBERS, STRINGS = ("u8", "u16", "u24", "u32"), ("ascii", "utf8", "bytes")
NAMES = ("annotations", "bytes", "dict", "int", "iter_unpack", "list", "object", "pack", "str", "tuple", "unpack_from")
"""Names of fields that are names of types, or of what a codec may import."""


def number(name: str, type_: str, **more: Any) -> list[dict[str, Any]]:
    return [{"name": name, "type": type_, "show": True, **more}]


def string(name: str, type_: str, size: str = "u8") -> list[dict[str, Any]]:
    return [*number(f"{name}_size", size), {"name": name, "type": type_, "size": f"{name}_size"}]


def strings(name: str, type_: str, size: str = "u8") -> list[dict[str, Any]]:
    counter, sizes = f"{name}_count", f"{name}_size"
    counts = [*number(counter, size), *number(sizes, size, count=counter)]
    return [*counts, {"name": name, "type": type_, "sizes": sizes}]


KINDS = {
    "byte": [{"name": "x", "type": "u8"}],
    "wide": [{"name": "x", "type": "u24"}],
    **{type_: string("x", type_) for type_ in STRINGS},
    "words": strings("x", "ascii", "u8"),
    "texts": strings("x", "utf8", "u16"),
    "blobs": strings("x", "bytes", "u24"),
}
"""The fields for a value `x`: a number, a string, or strings."""


def structures() -> dict[str, list[dict[str, Any]]]:
    """The fields of structures with two fields of each pair of types: side by side, and in two structures by one name."""
    made = {}
    for first, second in itertools.product(STRINGS, repeat=2):
        for size in NUMBERS:
            made[f"two-{first}-{second}-{size}"] = [*strings("a", first, size), *strings("b", second, size)]
    made |= {f"{kind}-item": fields for kind, fields in KINDS.items()}
    for (first, fields), second in itertools.product(KINDS.items(), KINDS):
        made[f"{first}-of-{second}"] = [*fields, {"name": "y", "type": f"{second}-item", "repeat": "to-end"}]
    for name in NAMES:
        made[f"named-{name.replace('_', '-')}"] = [
            *string(name, "utf8"),
            *strings("more", "bytes"),
            *number("n", "u32"),
        ]
        made[f"sized-{name.replace('_', '-')}"] = [*number(name, "u16"), {"name": "t", "type": "utf8", "size": name}]
    return made


def schema_of_pairs(file: Path) -> None:
    """Writes the alien schema with those structures, and with maps whose keys have the names of types."""
    schema = yaml.safe_load(ALIEN.read_text(encoding="utf-8"))
    rules = schema["structures"]["ledger"]["rules"]
    for name, fields in structures().items():
        parts = [{"doc": "A part.", **field} for field in fields]
        # An element ends where its fields do.
        surplus = {} if name.endswith("item") or fields[-1].get("repeat") else {"surplus": rules["cut"]}
        schema["structures"][name] = {"doc": "Parts.", "rules": rules | surplus, "fields": parts}
    for name in ("bytes", "dict", "int", "str"):
        entries = {name: {"type": "int", "doc": "A."}, "other": {"type": "text", "optional": True, "doc": "B."}}
        status = schema["structures"]["status"]["rules"]
        schema["structures"][f"map-{name}"] = {"doc": "A map.", "rules": status, "entries": entries}
    file.write_text(json.dumps(schema), encoding="utf-8")


def schema_of_few(file: Path) -> None:
    """Writes a schema whose codec needs few imports, with fields that have the names of others."""
    text = (SCHEMA / "README.md").read_text(encoding="utf-8")
    (notes,) = re.findall(r"^```yaml\n(language: 1\n.*?)^```", text, re.M | re.S)
    schema = yaml.safe_load(notes)
    schema["structures"]["note"]["fields"] = [
        {"doc": "A part.", "rules": {"overflow": "note.title-size"}, **field}
        for field in (
            *string("pack", "utf8"),
            *({"name": name, "type": "u16"} for name in ("iter_unpack", "unpack_from", "frame_fault")),
        )
    ]
    file.write_text(json.dumps(schema), encoding="utf-8")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the packages."""
    directory: Path = tmp_path_factory.mktemp("packages")
    pairs = directory / "pairs.yaml"
    schema_of_pairs(pairs)
    few = directory / "few.yaml"
    schema_of_few(few)
    for name, file in (("ours", SCHEMA / "framing-0002.yaml"), ("alien", ALIEN), ("pairs", pairs), ("few", few)):
        write(sources(load(file)), directory / f"relay_{name}")
    return directory


def test_a_strict_type_checker_finds_no_fault(packages: Path) -> None:
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed: pip install 'hgproto[dev]'")
    settings = packages / "mypy.ini"
    settings.write_text("[mypy]\nstrict = True\n[mypy-construct.*]\nignore_missing_imports = True\n", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", settings.name]
    run = subprocess.run(
        [*command, "relay_ours", "relay_alien", "relay_pairs", "relay_few"],
        cwd=packages,
        env=os.environ | {"MYPY_CACHE_DIR": str(packages / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stdout, run.returncode) == ("Success: no issues found in 32 source files\n", 0), run.stderr


@pytest.mark.skipif(RUFF is None, reason="ruff is not installed")
def test_no_name_is_unused_or_defined_twice(packages: Path) -> None:
    command = [str(RUFF), "check", "--isolated", "--no-cache", "--select", "F,E9", "--output-format=concise", "."]
    run = subprocess.run(command, cwd=packages, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
