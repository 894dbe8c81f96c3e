"""Work that a schema makes: what refers to the same again and again is looked at once, and what is too large is told."""

from __future__ import annotations

import dataclasses
import difflib
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support import ROOT

import hgproto.language.problems
import hgproto.language.resolve
import hgproto.language.resolve_machines
from hgproto.language import SchemaError, check, load
from hgproto.language.load import MAX_FILES
from hgproto.language.problems import MAX_COMPARED
from hgproto.language.resolve_machines import MAX_FIELDS
from hgproto.language.rows import MAX_WORK
from hgproto.language.source import MAX_BYTES, MAX_DEPTH, Source, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hgproto.language.model import Schema

ALIEN_FILE = ROOT / "tests" / "data" / "alien.yaml"
DATA: Any = read(ALIEN_FILE, Source())


def copied() -> Any:
    return json.loads(json.dumps(DATA))


def loaded(folder: Path, data: Any) -> Schema:
    file = folder / "schema.yaml"
    file.write_text(json.dumps(data), encoding="utf-8")
    return load(file)


def messages(folder: Path, data: Any) -> list[str]:
    with pytest.raises(SchemaError) as caught:
        loaded(folder, data)
    return [problem.message for problem in caught.value.problems]


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[int]:
    """How often a function is called, as the one item of a list."""
    calls = [0]
    whole: Callable[..., Any] = getattr(module, name)

    def call(*arguments: Any, **keywords: Any) -> Any:
        calls[0] += 1
        return whole(*arguments, **keywords)

    monkeypatch.setattr(module, name, call)
    return calls


def embedding(levels: int) -> Any:
    """Each structure embeds the one before it twice."""
    data = copied()
    structures: dict[str, Any] = {
        "level-0": {"doc": "D.", "fields": [{"name": name, "type": "u8", "doc": "D."} for name in "ab"]}
    }
    for level in range(1, levels + 1):
        structures[f"level-{level}"] = {"doc": "D.", "fields": [{"embed": f"level-{level - 1}"}] * 2}
    for structure in structures.values():
        structure["rules"] = {"cut": "stamp.whole", "overflow": "stamp.range"}
    data["structures"] = structures | data["structures"]
    return data


@pytest.mark.parametrize("levels", [4, 14, 28])
def test_what_is_embedded_twice_is_told_once(levels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = counted(monkeypatch, hgproto.language.resolve, "_with_sized_by")
    found = messages(tmp_path, embedding(levels))
    assert sorted(set(found)) == ["there are two fields 'a'", "there are two fields 'b'"]
    assert len(found) == 2 * levels
    assert fields[0] < 100 + 3 * levels


def test_fields_of_a_structure_have_a_limit(tmp_path: Path) -> None:
    for number in (MAX_FIELDS - 1, MAX_FIELDS, MAX_FIELDS + 1):
        data = copied()
        fields = [{"name": f"n{index}", "type": "u8", "doc": "D."} for index in range(number)]
        data["structures"]["stamp"] |= {"fields": fields, "examples": []}
        data["structures"]["greeting"]["fields"] = [{"embed": "stamp"}]
        data["structures"]["greeting"]["examples"] = []
        if number <= MAX_FIELDS:
            assert len(loaded(tmp_path, data).structures["greeting"].fields) == number
        else:
            assert messages(tmp_path, data) == [f"there are more than {MAX_FIELDS} fields"]


def included(folder: Path, levels: int, *, deep: bool = True) -> Path:
    """The relay's schema, where each of several files includes the next one by two names."""
    data = copied()
    requirements = data.pop("requirements")
    data["include"] = ["f1.yaml", "./f1.yaml"] if deep else [f"f{level}.yaml" for level in range(1, levels + 1)]
    for level in range(1, levels + 1):
        part: Any = {"language": 1}
        if level == levels:
            part["requirements"] = requirements
        elif deep:
            part["include"] = [f"f{level + 1}.yaml", f"./f{level + 1}.yaml"]
        (folder / f"f{level}.yaml").write_text(json.dumps(part), encoding="utf-8")
    file = folder / "schema.yaml"
    file.write_text(json.dumps(data), encoding="utf-8")
    return file


def test_a_file_that_is_included_again_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = counted(monkeypatch, sys.modules["hgproto.language.load"], "read")
    schema = load(included(tmp_path, 12))
    assert check(schema) == []
    assert reads[0] == len(schema.files) == 13


@pytest.mark.parametrize("deep", [True, False])
def test_files_of_a_schema_have_a_limit(deep: bool, tmp_path: Path) -> None:
    for number in (MAX_FILES - 1, MAX_FILES):
        assert len(load(included(tmp_path, number - 1, deep=deep)).files) == number
    with pytest.raises(SchemaError, match=f"the schema has more than {MAX_FILES} files; join some of them"):
        load(included(tmp_path, MAX_FILES, deep=deep))


def test_what_two_files_include_comes_before_both(tmp_path: Path) -> None:
    data = copied()
    structures = data["structures"]
    parts: dict[str, Any] = {
        "d": {"structures": {"stamp": structures.pop("stamp")}},
        "b": {"include": ["d.yaml"], "structures": {"readings": structures.pop("readings")}},
        "c": {"include": ["d.yaml"], "structures": {"greeting": structures.pop("greeting")}},
    }
    for name, part in parts.items():
        (tmp_path / f"{name}.yaml").write_text(json.dumps({"language": 1} | part), encoding="utf-8")
    data["include"] = ["b.yaml", "c.yaml"]
    schema = loaded(tmp_path, data)
    assert list(schema.structures)[:3] == ["stamp", "readings", "greeting"]
    assert [field.name for field in schema.structures["greeting"].fields][2:4] == ["day", "at"]


def test_a_file_has_a_limit(tmp_path: Path) -> None:
    file = tmp_path / "schema.yaml"
    text = ALIEN_FILE.read_bytes()
    for more in (0, 1):
        file.write_bytes(text + b"#" * (MAX_BYTES - len(text) + more))
        if more:
            with pytest.raises(SchemaError, match="the file has more than 8 MiB; check that it is a schema"):
                load(file)
        else:
            assert load(file).revision == "relay-7"


def machine(condition: Any, states: int = 1) -> Any:
    names = [f"s{number}" for number in range(states)]
    rows = [
        {"from": name, "frame": "any", "when": condition, "to": names[(i + 1) % states]} for i, name in enumerate(names)
    ]
    return {
        "role": "both",
        "scope": "stream",
        "doc": "D.",
        "initial": "s0",
        "states": {name: {"doc": "D."} for name in names},
        "transitions": rows,
        "otherwise": {"error": "relay.parity"},
    }


def test_conditions_as_deep_as_files_may_be_are_read(tmp_path: Path) -> None:
    data = copied()
    nested: Any = "opens"
    for _ in range((MAX_DEPTH - 6) // 2):
        nested = {"and": [nested, "urgent"]}
    data["machines"] = {"m": machine(nested)}
    assert check(loaded(tmp_path, data)) == []
    data["machines"] = {"m": machine({"and": [nested, {"not": nested}]})}
    assert messages(tmp_path, data) == [f"nested more than {MAX_DEPTH} levels deep"]


def test_machines_together_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = copied()
    data["guards"] = {f"g{number}": {"doc": "D."} for number in range(6)}
    condition = {"or": [{"guard": name} for name in data["guards"]]}
    data["machines"] = {"m": machine(condition, states=3), "n": machine(condition, states=2)}
    # States, frame types, combinations, and a condition of six.
    work = 5 * 4 * 64 * 7
    schema = loaded(tmp_path, data)
    for limit in (work - 1, work, work + 1):
        monkeypatch.setattr(sys.modules["hgproto.language.rows"], "MAX_WORK", limit)
        found = [problem.message for problem in check(schema)]
        assert found == ["the machines are too large to prove their rows disjoint"] * (limit < work)
    assert work < MAX_WORK


def test_names_are_compared_with_few_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = copied()
    compared = [0]
    whole = difflib.get_close_matches

    def count(word: str, known: Any, n: int) -> Any:
        compared[0] += len(known)
        return whole(word, known, n=n, cutoff=0.99)

    monkeypatch.setattr(hgproto.language.problems, "get_close_matches", count)
    requirement = data["requirements"]["relay.manners"]
    for number in range(1500):
        data["requirements"][f"many.n{number}"] = requirement | {"why": f"`many.x{number}`"}
    found = messages(tmp_path, data)
    assert len(found) == 1500
    assert 0 < compared[0] <= MAX_COMPARED + 500
    compared[0] = 0
    data = copied()
    data["machines"] = {"m": machine("opens", states=300)}
    data["machines"]["m"]["transitions"] += [
        {"from": f"t{number}", "frame": "any", "to": "s0"} for number in range(1000)
    ]
    assert len(messages(tmp_path, data)) == 1000
    assert 0 < compared[0] <= MAX_COMPARED + 500
    compared[0] = 0
    data = copied() | {f"section-{number}": {} for number in range(3000)}
    assert len(messages(tmp_path, data)) == 3000
    assert 0 < compared[0] <= MAX_COMPARED + 500


def test_rows_of_all_machines_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = copied()
    several = machine("opens", states=4)
    several["transitions"].append({"from": ["s1", "s2", "s3"], "frame": "any", "when": {"not": "opens"}, "to": "s0"})
    data["machines"] = {"m": several, "n": machine("opens", states=3)}
    for limit in (9, 10, 11):
        monkeypatch.setattr(hgproto.language.resolve_machines, "MAX_ROWS", limit)
        if limit < 10:
            found = messages(tmp_path, data)
            assert found == ["the machine is too large: all of them have more than 9 rows, counted for each state"]
        else:
            assert sum(len(one.transitions) for one in loaded(tmp_path, data).machines.values()) == 10


def test_rows_are_looked_at_once_however_many_states_there_are(tmp_path: Path) -> None:
    class Rows(tuple[Any, ...]):
        def __iter__(self) -> Any:
            looked.append(len(self))
            return super().__iter__()

    looked: list[int] = []
    data = copied()
    data["machines"] = {"m": machine("opens", states=40)}
    schema = loaded(tmp_path, data)
    one = dataclasses.replace(schema.machines["m"], transitions=Rows(schema.machines["m"].transitions))
    assert check(dataclasses.replace(schema, machines={"m": one})) == []
    assert looked == [40]
