"""The layout of the package: what is public, what is imported when, which module is tested where."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
from support import ROOT, SCHEMA

import hgproto
from hgproto.spec import load

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(hgproto.__path__, "hgproto.")
    if module.name not in ("hgproto.__main__",) and not module.ispkg
)


def test_public_names_are_those_of_their_modules() -> None:
    assert sorted(hgproto.__all__) == sorted({"__version__", *hgproto._HOME_OF})
    for name, home in hgproto._HOME_OF.items():
        module = importlib.import_module(f"hgproto.{home}")
        assert name in module.__all__
        assert getattr(hgproto, name) is getattr(module, name)
        assert name in dir(hgproto)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hgproto.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_the_names_for_type_checkers_are_the_public_ones() -> None:
    text = Path(str(hgproto.__file__)).read_text()
    block = text[text.index("if TYPE_CHECKING:") : text.index("__version__ =")]
    homes: dict[str, str] = {}
    for home, names in re.findall(r"from hgproto\.(\w+) import (\([^)]*\)|[^\n]*)", block):
        homes |= dict.fromkeys(re.findall(r"\w+", names), home)
    assert homes == hgproto._HOME_OF


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_exports(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    for exported in module.__all__:
        value = getattr(module, exported)
        if isinstance(value, types.FunctionType | type) and value.__module__ == name:
            assert value.__doc__, f"{name}.{exported} has no docstring"


ELSEWHERE = {
    "cli": "test_cli.py",
    "command_judge": "test_judge.py",
    "commands": "test_server.py",
    "constructs": "test_codecs.py",
    "diff": "test_diff.py",
    "emit": "test_codecs.py",
    "fuzz": "test_fuzz.py",
    "input_stream": "test_streams.py",
    "names": "spec/test_load.py",
    "outputs": "test_server.py",
    "plans": "test_reactor.py",
    "places": "test_validation.py",
    "report": "test_report.py",
    "response_judge": "test_judge.py",
    "responses": "test_server.py",
    "rules": "test_validation.py",
    "samples": "test_samples.py",
    "spec": "spec/test_load.py",
    "sphinx": "test_sphinx.py",
}
"""Where packages and modules are tested as a whole: emitters by what they emit, the parts of loading together."""


@pytest.mark.parametrize("name", [name for name in MODULES if "framing_" not in name])
def test_every_module_has_a_test_module(name: str) -> None:
    parts = name.split(".")[1:]
    home = ELSEWHERE.get(parts[0], "")
    tests = [ROOT / "tests" / Path(*parts[:-1], f"test_{parts[-1]}.py"), ROOT / "tests" / home]
    assert any(test.is_file() for test in tests)


def modules_after(statement: str) -> set[str]:
    code = (
        f"import sys; before = set(sys.modules); {statement}; new = set(sys.modules) - before;"
        "import json; print(json.dumps(sorted(new)))"
    )
    run = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(json.loads(run.stdout))


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert modules_after("import hgproto") == {"hgproto"}


@pytest.mark.parametrize("module", ["reader", "human", "writer", "build", "jsonform"])
def test_reading_and_writing_need_no_dependency(module: str) -> None:
    loaded = modules_after(f"import hgproto.{module}, hgproto.framing_0002.codec")
    assert loaded.isdisjoint(
        {"construct", "dataclasses", "yaml", "jsonschema", "hypothesis", "hgproto.spec", "hgproto.emit"}
    )


def test_every_requirement_that_code_names_is_in_the_catalogue() -> None:
    schema = load(SCHEMA / "framing-0002.yaml")
    areas = {requirement.partition(".")[0] for requirement in schema.requirements}
    pattern = re.compile(rf'"((?:{"|".join(sorted(areas))})\.[a-z0-9-]+)"')
    named: set[str] = set()
    for file in (ROOT / "hgproto").rglob("*.py"):
        named |= set(pattern.findall(file.read_text()))
    assert named - set(schema.requirements) == set()
    assert len(named) > 40


def test_no_module_is_too_long() -> None:
    sizes = {
        file: file.read_text().count("\n") for file in (ROOT / "hgproto").rglob("*.py") if "framing_" not in str(file)
    }
    assert {str(file): size for file, size in sizes.items() if size > 500} == {}
