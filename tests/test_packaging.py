"""The wheel and the sdist: each is complete, and finds the schema."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from support import ROOT, SCHEMA

if TYPE_CHECKING:
    from pathlib import Path


def build(kind: str, source: Path, target: Path) -> Path:
    """The sdist or wheel of a source tree."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (made,) = target.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the sdist, as an installer would."""
    sdist = build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))
    tree = tmp_path_factory.mktemp("tree")
    with tarfile.open(sdist) as archive:
        archive.extractall(tree, filter="data")
    (source,) = tree.iterdir()
    return build("wheel", source, tmp_path_factory.mktemp("wheel"))


def test_the_sdist_has_every_file_of_the_repository(tmp_path: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("the tests do not run from a git checkout")
    with tarfile.open(build("sdist", ROOT, tmp_path)) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()} - packed == set()


@pytest.mark.parametrize("long", ["x" * 300_000, b"\0" * 300_000], ids=type)
def test_ids_of_tests_are_short_and_the_same_in_each_run(long: str | bytes, request: pytest.FixtureRequest) -> None:
    id_ = request.config.hook.pytest_make_parametrize_id(config=request.config, val=long, argname="data")
    assert len(id_) < 30
    assert [item.nodeid for item in request.session.items if len(item.nodeid) > 300] == []
    assert [item.nodeid for item in request.session.items if " at 0x" in item.nodeid] == []


def test_the_wheel_has_the_schema_and_the_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "hgproto/py.typed" in names
    shipped = {f"hgproto/schema/{file.relative_to(SCHEMA).as_posix()}" for file in SCHEMA.rglob("*") if file.is_file()}
    assert shipped <= names
    assert not [name for name in names if name.startswith(("tests", "docs"))]


def test_an_installed_package_finds_the_schema(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    for arguments in (["schema", "check"], ["generate", "--check"]):
        command = [sys.executable, "-m", "hgproto", *arguments]
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert (run.returncode, run.stderr) == (0, "")
        if arguments == ["schema", "check"]:
            assert run.stdout.startswith("site/hgproto/schema/framing-0002.yaml: good")
