"""The types of the public API, as checkers of a user's project see them: no false report, and no mistake missed."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import ROOT

from hgproto.judging.finding import Finding
from hgproto.revisions.framing_0002 import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT = ROOT / "tests" / "data" / "typed"
MISTAKES = [
    number
    for number, line in enumerate((PROJECT / "mistakes.py").read_text("utf-8").splitlines(), 1)
    if line.endswith("# mistake")
]


def mypy(project: Path) -> dict[str, set[int]]:
    """The lines of each file that mypy reports."""
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed: pip install 'hgproto[dev]'")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--show-error-codes", "."]
    run = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert run.returncode in (0, 1), run.stderr
    found: dict[str, set[int]] = {}
    for name, line in re.findall(r"^([\w/.]+):(\d+): error: ", run.stdout, re.MULTILINE):
        found.setdefault(Path(name).name, set()).add(int(line))
    return found


def pyright(project: Path) -> dict[str, set[int]]:
    """The lines of each file that pyright reports, or its fork that needs no download."""
    beside = Path(sys.executable).parent
    checker = next(filter(None, (shutil.which(name, path=str(beside)) for name in ("basedpyright", "pyright"))), None)
    if checker is None:
        pytest.skip("pyright is not installed: pip install 'hgproto[dev]'")
    settings = {
        "include": ["."],
        "typeCheckingMode": "standard",
        "pythonVersion": "3.11",
        "extraPaths": [str(ROOT)],
    }
    (project / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    command = [checker, "--outputjson", "--pythonpath", sys.executable, "-p", str(project)]
    run = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert run.returncode in (0, 1), run.stderr or run.stdout
    found: dict[str, set[int]] = {}
    for report in json.loads(run.stdout)["generalDiagnostics"]:
        if report["severity"] == "error":
            found.setdefault(Path(report["file"]).name, set()).add(report["range"]["start"]["line"] + 1)
    return found


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_each_mistake_is_reported_and_nothing_else(
    checker: Callable[[Path], dict[str, set[int]]], tmp_path: Path
) -> None:
    for name in ("good.py", "mistakes.py"):
        shutil.copy(PROJECT / name, tmp_path)
    found = checker(tmp_path)
    assert found.get("good.py", set()) == set()
    assert len(MISTAKES) > 40
    assert sorted(found.get("mistakes.py", set())) == MISTAKES
    assert set(found) == {"mistakes.py"}


def test_the_good_project_runs_and_names_every_limit() -> None:
    spec = importlib.util.spec_from_file_location("good", PROJECT / "good.py")
    assert spec is not None
    assert spec.loader is not None
    good = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(good)
    assert good.asked(good.Client()) == b"lookup"
    assert {name.replace("_", "-") for name in good.LIMITS.as_dict()} == set(codec.LIMITS)
    assert set(good.LIMITS.as_dict().values()) == {10}
    text = (PROJECT / "good.py").read_text("utf-8")
    assert all(f"    {name}=10,\n" in text for name in good.LIMITS.as_dict())


def test_every_part_of_a_finding_is_in_both_projects() -> None:
    texts = [(PROJECT / name).read_text("utf-8") for name in ("good.py", "mistakes.py")]
    for name in Finding._parts:
        assert re.search(rf"finding\.replace\(.*\b{name}=", texts[0]), name
        assert re.search(rf"finding\.replace\({name}=.*# mistake$", texts[1], re.MULTILINE), name


def records() -> Iterator[tuple[str, ast.ClassDef]]:
    """The classes of values in our own modules."""
    for file in sorted((ROOT / "hgproto").rglob("*.py")):
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and any(
                isinstance(base, ast.Name) and base.id == "Record" for base in node.bases
            ):
                yield node.name, node


RECORDS = dict(records())


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_every_record_names_its_parts_for_type_checkers(name: str) -> None:
    slots, methods = [], []
    for node in ast.walk(RECORDS[name]):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__slots__":
            slots = [part for part in ast.literal_eval(node.value) if part[0] != "_"]
        if isinstance(node, ast.FunctionDef) and node.name == "replace":
            methods.append(node.args)
    for arguments in methods:
        if arguments.kwarg is not None:
            assert ast.unparse(arguments.kwarg.annotation or ast.Constant(None)) == "Unpack[_Settings]"
        else:
            assert sorted(argument.arg for argument in arguments.kwonlyargs) == sorted(slots)
    assert len(methods) == bool(slots)
