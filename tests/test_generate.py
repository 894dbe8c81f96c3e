"""Generated code: the same text everywhere, formatted, and right for a schema that is not ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import ROOT

from hgproto import Revision
from hgproto.errors import RemoteProtocolError
from hgproto.generate import package_directory, sources, stale, write
from hgproto.prove import plain, prove, same_value
from hgproto.spec import check, load
from hgproto.spec.load import find

if TYPE_CHECKING:
    from types import ModuleType

    from hgproto.spec.model import Field, Structure

ALIEN = ROOT / "tests" / "data" / "alien.yaml"
SCHEMAS = {"framing-0002": find("framing-0002"), "alien": ALIEN}


def test_ours_is_fresh() -> None:
    schema = load(find("framing-0002"))
    assert list(stale(schema, package_directory(schema))) == []


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    schema = load(ALIEN)
    assert sorted(file.name for file in write(schema, tmp_path)) == ["__init__.py", "codec.py", "structs.py"]
    assert write(schema, tmp_path) == []
    (tmp_path / "codec.py").write_text("")
    assert [file.name for file in write(schema, tmp_path)] == ["codec.py"]
    assert list(stale(schema, tmp_path)) == []
    (tmp_path / "structs.py").unlink()
    assert any(line.startswith("+") for line in stale(schema, tmp_path))


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_text_does_not_depend_on_hashes(name: str) -> None:
    code = (
        "import sys, hashlib; from hgproto.generate import sources; from hgproto.spec import load;"
        "print(hashlib.sha256(repr(sources(load(sys.argv[1]))).encode()).hexdigest())"
    )
    digests = set()
    for seed in ("0", "1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", code, str(SCHEMAS[name])]
        digests.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(digests) == 1


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_text_needs_no_formatting(name: str, tmp_path: Path) -> None:
    ruff = shutil.which("ruff", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if ruff is None:
        pytest.skip("ruff is not installed")
    for file, text in sources(load(SCHEMAS[name])).items():
        (tmp_path / file).write_text(text)
    command = [ruff, "format", "--diff", "--config", str(ROOT / "pyproject.toml"), str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "")


def test_the_first_lines_say_what_made_a_file() -> None:
    schema = load(ALIEN)
    for text in sources(schema).values():
        first, second, *_ = text.splitlines()
        assert "hgproto generate" in first
        assert "alien.yaml" in first
        assert schema.digest in second


# Another protocol.

REVISION = Revision(str(ALIEN))
STRUCTURES = list(REVISION.schema.structures.values())


def value_of(field: Field, module: ModuleType) -> st.SearchStrategy[Any]:
    """Values of a field."""
    if field.repeat:
        inner = REVISION.schema.structures[field.type]
        return st.lists(record_of(inner, module), max_size=3).map(tuple)
    if field.octets is not None:
        return st.integers(0, (1 << (8 * field.octets)) - 1)
    least = 1 if "empty" in field.rules else 0
    text: dict[str, st.SearchStrategy[Any]] = {
        "ascii": st.text(st.characters(codec="ascii"), min_size=least, max_size=9),
        "utf8": st.text(st.characters(codec="utf-8"), min_size=least, max_size=9),
        "bytes": st.binary(min_size=least, max_size=9),
    }
    return st.lists(text[field.type], max_size=3).map(tuple) if field.is_array else text[field.type]


def record_of(structure: Structure, module: ModuleType) -> st.SearchStrategy[Any]:
    """Records of a structure, those that a bound between fields allows."""
    made = getattr(module, "".join(part.capitalize() for part in structure.name.split("-")))
    values = {field.name: value_of(field, module) for field in structure.values}
    for field in structure.values:
        if field.at_most is not None and field.at_most in values:
            values[field.at_most] = st.integers(9 * 4, 255)
    return st.builds(made, **values)


@pytest.mark.parametrize("structure", [s for s in STRUCTURES if not s.is_cbor_map], ids=lambda s: s.name)
@settings(max_examples=60)
@given(data=st.data())
def test_codec_and_structs_agree_on_an_alien(structure: Structure, data: st.DataObject) -> None:
    codec: Any = REVISION.codec
    name = structure.name.replace("-", "_")
    decode, encode = getattr(codec, f"decode_{name}"), getattr(codec, f"encode_{name}")
    struct = getattr(REVISION.structs, name)
    value = data.draw(record_of(structure, codec))
    octets = encode(value)
    assert decode(octets) == value
    assert same_value(value, struct.parse(octets))
    assert struct.build(plain(value)) == octets
    damaged = bytearray(octets)
    for _ in range(data.draw(st.integers(0, 2))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(0, len(damaged)))] + data.draw(st.binary(max_size=2))
    outcomes: list[Any] = []
    for take in (decode, struct.parse):
        try:
            outcomes.append(take(bytes(damaged)))
        except RemoteProtocolError as error:
            outcomes.append((error.requirement, error.offset))
    if isinstance(outcomes[0], tuple) or isinstance(outcomes[1], tuple):
        assert outcomes[0] == outcomes[1]
    else:
        assert same_value(*outcomes)


def test_an_alien_is_proven() -> None:
    schema = load(ALIEN)
    assert check(schema) == []
    problems, proven = prove(schema)
    assert problems == []
    assert proven >= len(schema.frames) * 3
