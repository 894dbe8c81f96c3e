"""Names of parts: each is accepted and gives code that works, or is refused at its line. None hides what code uses."""

from __future__ import annotations

import ast
import builtins
import json
from typing import TYPE_CHECKING, Any

import pytest
from support import ROOT, SCHEMA

from hgproto.emit import TARGETS
from hgproto.evidence.prove import plain, prove
from hgproto.language import SchemaError, check, load
from hgproto.language.names import MODULE_NAMES, RECORD_NAMES, camel, flag_class, name_faults, snake, state_class, upper
from hgproto.language.source import Source, read
from hgproto.revisions.generate import compile_schema
from hgproto.runtime.frame import Record
from hgproto.wire.human import format_frame, parse_frame
from hgproto.wire.jsonform import frame_from_json, frame_to_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hgproto.language.model import Schema

ALIEN_FILE = ROOT / "tests" / "data" / "alien.yaml"
DATA: Any = read(ALIEN_FILE, Source())
DATA["guards"] = {"a-guard": {"doc": "D.", "values": ["an-answer", "another"]}}
DATA["machines"] = {
    "a-machine": {
        "role": "both",
        "scope": "connection",
        "doc": "D.",
        "initial": "a-state",
        "states": {"a-state": {"doc": "D."}, "other-state": {"doc": "D."}},
        "transitions": [
            {"from": "a-state", "event": "violation", "to": "other-state"},
            {"from": "other-state", "event": "violation", "to": "a-state"},
        ],
        "otherwise": {"error": "relay.parity"},
    }
}
DATA["structures"]["status"]["examples"] = []  # the names of entries are bytes

GROUPS: list[dict[str, str]] = [
    {
        "structure": "chunk",
        "size field": "motto_size",
        "count field": "word_count",
        "repeated field": "lines",
        "bounding field": "most",
        "entry field": "since_when",
        "frame type": "hello",
        "flag": "brief",
        "guard": "a-guard",
        "machine": "a-machine",
    },
    {
        "embedded structure": "stamp",
        "string field": "motto",
        "sizes field": "word_sizes",
        "frame type with text": "telegram",
        "stream flag": "urgent",
        "answer": "an-answer",
        "state": "a-state",
    },
    {"repeated structure": "line", "number field": "day", "strings field": "word"},
    {"map structure": "status"},
]
"""Kinds of parts, and one of each in the schema; those of one group can have the same name."""

NAMES = [
    *(
        "none",
        "true",
        "import",
        "match",
        "self",
        "print",
        "bytes",
        "value-error",
        "struct-error",
        "property",
        "extra",
        "keys",
    ),
    *(
        "value",
        "payload",
        "frame-header",
        "rest",
        "int-flag",
        "stream",
        "this",
        "in",
        "guards",
        "x-1",
        "n",
        "x1",
        "continued",
        "a-",
        "end",
        "ascii",
    ),
]


def renamed(value: Any, old: str, new: str, key: str = "") -> Any:
    """The data with another name for a part, wherever it is named."""
    if isinstance(value, dict):
        return {new if name == old else name: renamed(inner, old, new, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [renamed(inner, old, new, key) for inner in value]
    return new if value == old and key not in ("doc", "title", "text", "why") else value


def spelled(kind: str, name: str) -> str:
    return snake(name).rstrip("_") if kind.endswith("field") else name


def loaded(folder: Path, data: Any) -> Schema:
    file = folder / "names.yaml"
    file.write_text(json.dumps(data, indent=0), encoding="utf-8")
    return load(file)


def lines_with(folder: Path, name: str) -> set[int]:
    """The lines that have the name."""
    text = (folder / "names.yaml").read_text(encoding="utf-8")
    numbers = {number for number, line in enumerate(text.splitlines(), 1) if f'"{name}"' in line}
    return numbers | {number - 1 for number in numbers}  # a field starts at its bracket


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("names")


@pytest.mark.parametrize("name", sorted(set(NAMES)))
def test_a_name_is_accepted_and_works_or_is_refused_at_its_line(name: str, folder: Path) -> None:
    for group in GROUPS:
        accepted = DATA
        for kind, old in group.items():
            accepted = renamed(accepted, old, spelled(kind, name))
        if not is_accepted(folder, accepted):
            accepted = DATA
            for kind, old in group.items():
                one = renamed(accepted, old, spelled(kind, name))
                accepted = one if is_accepted(folder, one, spelled(kind, name)) else accepted
        if accepted is not DATA:
            works(loaded(folder, accepted))


def is_accepted(folder: Path, data: Any, name: str | None = None) -> bool:
    """Whether a schema can be loaded. ``name``: what else is told, at its line."""
    try:
        loaded(folder, data)
    except SchemaError as error:
        if name is not None:
            assert {problem.place.line for problem in error.problems} <= lines_with(folder, name)
            assert all(problem.help and "'" in problem.message for problem in error.problems)
        return False
    return True


def works(schema: Schema) -> None:
    """The codec and the Structs of a schema do what its examples say, and its frames go through every form."""
    assert check(schema) == []
    problems, proven = prove(schema)
    assert problems == []
    assert proven > 40
    modules = compile_schema(schema)
    codec: Any = modules["codec"]
    structs: Any = modules["structs"]
    for module in modules.values():
        if hasattr(module, "__all__"):
            assert not [each for each in module.__all__ if not hasattr(module, each)]
    for frame_type in schema.frames.values():
        for example in frame_type.examples:
            if example.refused is None:
                frame, _ = codec.decode_frame(example.data)
                assert parse_frame(format_frame(frame, codec), codec) == frame
                assert frame_from_json(frame_to_json(frame, codec, continued=example.continued), codec) == frame
    (status,) = (structure for structure in schema.structures.values() if structure.is_cbor)
    record = getattr(codec, camel(status.name))(level=3, **{status.entries[2].name: 7})
    data = getattr(codec, f"encode_{snake(status.name)}")(record)
    assert getattr(codec, f"decode_{snake(status.name)}")(data) == record
    assert getattr(structs, snake(status.name)).build(plain(record)) == data


# The list of what generated code has.


def schemas() -> Iterator[Schema]:
    yield load(ALIEN_FILE)
    yield load(SCHEMA / "framing-0002.yaml")


def of_schema(schema: Schema) -> set[str]:
    """The names that a schema gives to code."""
    names: set[str] = set()
    for structure in schema.structures:
        names |= {camel(structure), upper(structure), snake(structure)}
        names |= {f"decode_{snake(structure)}", f"encode_{snake(structure)}"}
    for machine in schema.machines:
        names |= {state_class(machine), upper(machine)}
    names |= {snake(message) for message in schema.messages}
    return names | {flag_class(frame) for frame in schema.frames}


def stored(node: ast.stmt) -> Iterator[ast.Name]:
    """The variables of a function, and of the functions and comprehensions in an expression."""
    scopes = (ast.FunctionDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    for scope in ast.walk(node):
        if isinstance(scope, scopes):
            yield from (n for n in ast.walk(scope) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))


def test_what_generated_modules_have_and_use_is_in_the_list() -> None:
    for schema in schemas():
        own = of_schema(schema)
        for target, emit in TARGETS.items():
            tree = ast.parse(emit(schema))
            top: set[str] = set()
            for node in tree.body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    top.add(node.name)
                elif isinstance(node, ast.ImportFrom):
                    top |= {alias.asname or alias.name for alias in node.names}
                elif isinstance(node, ast.Assign | ast.AnnAssign):
                    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                    top |= {each.id for target_ in targets for each in ast.walk(target_) if isinstance(each, ast.Name)}
            loads = {
                node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
            }
            loads -= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
            used = {name for name in loads if hasattr(builtins, name)} | {"None", "True", "False"}
            inner = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
            inner |= {each.id for node in tree.body for each in stored(node)}
            # Their functions have variables for fields, and refer to other spellings of structures, or to names with an underscore.
            if target in ("codec.py", "build.py", "receive.py"):
                assert not {name for name in inner if name != name.lower() or name.startswith(("decode_", "encode_"))}
                inner = set()
            missing = {name for name in top | used | inner if not name.startswith("_")} - MODULE_NAMES - own
            # What no part can be called: names with capitals inside, or modules of constants alone.
            assert missing <= {"REQUIREMENTS", "Requirement"}, target


def test_what_records_have_is_in_the_list() -> None:
    assert {name for name in dir(Record) if not name.startswith("_")} <= RECORD_NAMES


def test_names_that_are_one_in_python_are_refused() -> None:
    faults = list(
        name_faults(
            ["x-1", "xy1", "xy-1", "a", "a1"],
            ["b", "b-1", "b1"],
            ["m-1", "m1", "in", "guards"],
            ["e-1", "e1", "record"],
            ["m-1", "m_1", "in", "bytes"],
        )
    )
    assert [(section, name) for section, name, _ in faults] == [
        ("structures", "xy-1"),
        ("structures", "a"),
        ("structures", "a1"),
        ("frames", "b1"),
        ("machines", "m1"),
        ("machines", "in"),
        ("machines", "guards"),
        ("events", "e1"),
        ("events", "record"),
        ("messages", "m_1"),
        ("messages", "in"),
        ("messages", "bytes"),
    ]
