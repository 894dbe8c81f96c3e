"""The layout of the package: what is public, what is imported when, which module is tested where."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
import subprocess
import sys
import types
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import ROOT

import hgproto
from hgproto.language import load
from hgproto.language.load import known_revisions

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = {"hgproto", *(each.name for each in pkgutil.walk_packages(hgproto.__path__, "hgproto.") if each.ispkg)}
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(hgproto.__path__, "hgproto.")
    if module.name not in ("hgproto.__main__",) and not module.ispkg
)


def test_public_names_are_those_of_their_modules() -> None:
    assert sorted(hgproto.__all__) == sorted({"__version__", *hgproto._HOME_OF, *hgproto._MODULES})
    for name, home in hgproto._HOME_OF.items():
        module = importlib.import_module(f"hgproto.{home}")
        assert name in module.__all__
        assert getattr(hgproto, name) is getattr(module, name)
        assert name in dir(hgproto)
    for name, home in hgproto._MODULES.items():
        assert getattr(hgproto, name) is importlib.import_module(f"hgproto.{home}")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hgproto.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_the_names_for_type_checkers_are_the_public_ones() -> None:
    text = Path(str(hgproto.__file__)).read_text()
    block = text[text.index("if TYPE_CHECKING:") : text.index("__version__ =")]
    homes: dict[str, str] = {}
    for home, names in re.findall(r"from hgproto\.([\w.]+) import (\([^)]*\)|[^\n]*)", block):
        homes |= dict.fromkeys(re.findall(r"\w+", names), home)
    assert homes == {**hgproto._HOME_OF, "build": "revisions.framing_0002"}


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_exports(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    for exported in module.__all__:
        value = getattr(module, exported)
        if isinstance(value, types.FunctionType | type) and value.__module__ == name:
            assert value.__doc__, f"{name}.{exported} has no docstring"


ELSEWHERE = {
    **dict.fromkeys(
        ["cli.common", "cli.corpus", "cli.frames", "cli.sample", "cli.schema"],
        ("cli/test_cli.py", "they are what commands do"),
    ),
    "cli.coverage": ("evidence/test_coverage.py", "a command is tested with what it reports"),
    "cli.diff": ("diff/test_diff.py", "a command is tested with what it reports"),
    "cli.explain": ("evidence/test_explain.py", "a command is tested with what it reports"),
    "cli.fuzz_report": ("cli/test_fuzz_command.py", "it is what the command prints"),
    "cli.trace": ("cli/test_cli.py", "evidence/test_trace.py runs it as a program"),
    **dict.fromkeys(
        ["judging.command_judge", "judging.response_judge"],
        ("evidence/test_prove.py", "a judge is held against its reactor"),
    ),
    **dict.fromkeys(
        ["reactors.command_receiver", "reactors.sent_responses"],
        ("reactors/test_server.py", "they are parts of a server"),
    ),
    "reactors.lanes": ("reactors/test_pool.py", "a pool has one for each stream"),
    "reactors.sent_commands": ("reactors/test_client.py", "they are what a client sends"),
    **dict.fromkeys(
        ["diff.change", "diff.events", "diff.machines", "diff.messages", "diff.parts"],
        ("diff/test_diff.py", "a difference is what all of them say"),
    ),
    **dict.fromkeys(
        [f"emit.{name}" for name in ("codec", "machines", "package", "requirements", "structs")],
        ("emit/test_quoting.py", "emitters are tested by what they emit"),
    ),
    **dict.fromkeys(
        [f"emit.{name}" for name in ("formats", "framing", "payloads", "records", "rules", "tables")],
        ("revisions/test_generate.py", "they emit parts of the codec, which is generated here as a whole"),
    ),
    **dict.fromkeys(
        ["fuzz.echo", "fuzz.minimize", "fuzz.observations"], ("fuzz/test_fuzz.py", "they are parts of a campaign")
    ),
    **dict.fromkeys(
        ["fuzz.mutator", "fuzz.oracles", "fuzz.outcomes", "fuzz.targets"],
        ("fuzz/test_fuzz.py", "they are parts of a campaign"),
    ),
    **dict.fromkeys(["fuzz.corpus", "fuzz.harnesses"], ("fuzz/test_fuzz_ourselves.py", "they fuzz hgproto itself")),
    "emit.outcomes": ("emit/test_receive.py", "it says which rows loops have code for"),
    "fuzz.cases": ("fuzz/test_fuzz.py", "cases are what a campaign sends"),
    "fuzz.minimizing": ("fuzz/test_again.py", "what shows again is minimized"),
    "fuzz.tcp": ("fuzz/test_logs.py", "a server is what it writes, too"),
    "fuzz.worker": ("fuzz/test_fuzz.py", "it is the other process of a target"),
    "streams.decoders": ("streams/test_encodings.py", "decoders are tested with the profiles that have them"),
    "streams.input_stream": ("streams/test_output_stream.py", "streams are tested in both directions"),
    "judging.places": ("runtime/test_cases.py", "what it decides is held against the codec"),
    "runtime.of_revision": ("revisions/test_revision.py", "it rejects what the codec of the same revision rejects"),
    "reactors.event_values": ("reactors/test_events.py", "events are what reactors report"),
    "reactors.plans": ("reactors/test_reactor.py", "a plan is what a reactor does"),
    **dict.fromkeys(
        [f"judging.report.{name}" for name in ("base", "github", "jsonlines", "junit", "sarif", "text")],
        ("judging/test_report.py", "all formats report the same findings"),
    ),
    **dict.fromkeys(
        [
            f"samples.{name}"
            for name in ("broken", "of_commands", "of_frames", "of_responses", "scene", "sessions", "violators")
        ],
        ("samples/test_samples.py", "samples are tested by what is drawn"),
    ),
    **dict.fromkeys(
        ["samples.choices", "samples.frames"], ("runtime/test_cases.py", "payloads are drawn for every case")
    ),
    "samples.limits": ("samples/test_boundaries.py", "a limit is a boundary of a session"),
    "samples.payloads": ("test_strategies.py", "payloads are drawn from any source of choices"),
    **dict.fromkeys(
        ["language.problems", "language.resolve", "language.resolve_machines"],
        ("language/test_work.py", "faults are told by a whole schema"),
    ),
    "language.rows": ("language/test_check.py", "rows are proven with the schema that they are in"),
    **dict.fromkeys(
        [f"sphinx.{name}" for name in ("bits", "catalogue", "directives", "domain", "drawing", "examples", "figures")]
        + [f"sphinx.{name}" for name in ("frames", "library", "machines", "pieces", "protocol", "states")],
        ("sphinx/test_sphinx.py", "pages are built as a whole"),
    ),
}
"""Modules without a test module of their own: where they are tested, and why there."""


def imported_by(file: Path) -> frozenset[str]:
    """What a file imports of hgproto: modules, and names in them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and re.fullmatch(r"hgproto(\.\w+)+", str(node.value)):
            found.add(str(node.value))  # a module that is run as a program
    return frozenset(name for name in found if name.partition(".")[0] == "hgproto")


def file_of(module: str) -> Path:
    path = ROOT / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def near(test: Path) -> frozenset[str]:
    """What a test module imports, and what those modules import, and so on for four steps in all."""
    found = new = imported_by(test)
    for _ in range(3):
        files = {file_of(name) for name in new}
        new = frozenset().union(*(imported_by(file) for file in files if file.is_file())) - found
        found |= new
    return found


def homes(name: str) -> list[Path]:
    """Where a module is tested: in a module of its name, or where the table says."""
    parts = name.split(".")[1:]
    folder, tests = (
        ROOT / "tests",
        [f"test_{parts[-1]}.py", f"test_{'_'.join(parts)}.py", f"test_{parts[-1]}_command.py"],
    )
    own = [folder / Path(*parts[:-1], test) for test in tests] + [folder / test for test in tests]
    found = [test for test in own if test.is_file()]
    listed = ELSEWHERE.get(".".join(parts))
    return found if listed is None else [folder / listed[0]]


TESTED = [name for name in MODULES if "framing_" not in name and not name.endswith("__main__")]


@pytest.mark.parametrize("name", TESTED)
def test_every_module_has_a_test_module(name: str) -> None:
    found = homes(name)
    assert found, f"{name} has no test module; write one, or list where it is tested"
    if name.removeprefix("hgproto.") in ELSEWHERE:
        assert any(name in near(test) for test in found), (
            f"{found[0].name} imports neither {name} nor anything that does"
        )


def test_the_table_of_test_modules_has_nothing_else() -> None:
    assert {f"hgproto.{name}" for name in ELSEWHERE} <= set(TESTED)
    for name, (_, reason) in ELSEWHERE.items():
        assert reason, name


def test_a_module_without_a_test_is_noticed() -> None:
    assert homes("hgproto.sphinx.nothing") == homes("hgproto.cli.nothing") == homes("hgproto.nothing") == []
    assert "hgproto.fuzz.targets" not in near(ROOT / "tests" / "language" / "test_source.py")


# Names in texts.

_DOTTED = re.compile(r"(?<![\w./\"'@+[-])hgproto((?:\.[A-Za-z_]\w*)+)(?![\w/-])")


def texts() -> Iterator[tuple[str, str]]:
    """Docstrings and pages, by where they stand."""
    for file in sorted((ROOT / "hgproto").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                yield f"{file.relative_to(ROOT)}:{node.lineno}", node.value.value
    for file in (*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "schema" / "README.md"):
        yield str(file.relative_to(ROOT)), file.read_text(encoding="utf-8")


def resolves(name: str) -> bool:
    """Whether a dotted name leads to a module, or to something in one."""
    value: object = hgproto
    path = "hgproto"
    for part in name.split(".")[1:]:
        path = f"{path}.{part}"
        try:
            value = getattr(value, part) if not isinstance(value, types.ModuleType) else _inside(value, path, part)
        except (AttributeError, ImportError):
            annotated = part in getattr(value, "__annotations__", {}) or part in getattr(value, "__slots__", ())
            return bool(annotated)
    return True


def _inside(module: types.ModuleType, path: str, part: str) -> object:
    return getattr(module, part) if hasattr(module, part) else importlib.import_module(path)


_FILES = {"py", "yaml", "md", "json", "toml", "txt", "hex", "bin", "css", "js"}


def test_names_in_docstrings_and_pages_lead_somewhere() -> None:
    found, wrong = 0, []
    for place, text in texts():
        for match in _DOTTED.finditer(text):
            name = f"hgproto{match[1]}"
            if name.rpartition(".")[2] in _FILES:
                continue
            found += 1
            is_module = text[: match.start()].endswith((":mod:`", ":mod:`~", "{mod}`", "{mod}`~"))
            if not resolves(name) or (is_module and name not in {*MODULES, *PACKAGES}):
                wrong.append(f"{place}: {name}")
    assert wrong == []
    assert found > 100
    assert not resolves("hgproto.fuzz.engine") and not resolves("hgproto.judging.validation.nothing")


def modules_after(statement: str) -> set[str]:
    code = (
        f"import sys; before = set(sys.modules); {statement}; new = set(sys.modules) - before;"
        "import json; print(json.dumps(sorted(new)))"
    )
    run = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(json.loads(run.stdout))


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert modules_after("import hgproto") == {"hgproto"}


@pytest.mark.parametrize("module", ["wire.reader", "wire.human", "wire.writer", "wire.messages", "wire.jsonform"])
def test_reading_and_writing_need_no_dependency(module: str) -> None:
    loaded = modules_after(f"import hgproto.{module}, hgproto.revisions.framing_0002.codec")
    assert loaded.isdisjoint(
        {"construct", "dataclasses", "yaml", "jsonschema", "hypothesis", "hgproto.language", "hgproto.emit"}
    )


def test_every_requirement_that_code_names_is_in_the_catalogue() -> None:
    catalogue = {name for file in known_revisions().values() for name in load(file).requirements}
    areas = {requirement.partition(".")[0] for requirement in catalogue}
    pattern = re.compile(rf'"((?:{"|".join(sorted(areas))})\.[a-z0-9-]+)"')
    named: set[str] = set()
    for file in (ROOT / "hgproto").rglob("*.py"):
        named |= set(pattern.findall(file.read_text()))
    assert named - catalogue == set()
    assert len(named) > 40


def test_no_module_is_too_long() -> None:
    sizes = {
        file: file.read_text().count("\n") for file in (ROOT / "hgproto").rglob("*.py") if "framing_" not in str(file)
    }
    assert {str(file): size for file, size in sizes.items() if size > 500} == {}
