"""Completion scripts, and the bash script at work."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hgproto import cli
from hgproto.cli.completion import SHELLS
from hgproto.fuzz.harnesses import HARNESSES
from hgproto.samples import VIOLATORS

if TYPE_CHECKING:
    from pathlib import Path

COMPLETE = """
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMPREPLY=()
_shtab_hgproto
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    """Returns a function that completes the last of some words in bash."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["completion", "bash"]) == 0
    script = capsys.readouterr().out + COMPLETE

    def run(*words: str) -> list[str]:
        command = [bash, "--norc", "-c", script, "bash", "hgproto", *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
        return done.stdout.split()

    return run


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["va"], ["validate"]),
        (["schema", "sh"], ["show"]),
        (["validate", "--dep"], ["--depth"]),
        (["validate", "--depth", ""], ["session", "frames"]),
        (["explain", "stream-id"], ["stream-id.parity"]),
        (["schema", "show", "command-d"], ["command-data"]),
        (["sample", "sess"], ["session"]),
        (["sample", "--invalid", "stream.e"], sorted(name for name in VIOLATORS if name.startswith("stream.e"))),
        (["corpus", "replay", "captures", ""], list(HARNESSES)),
        (["coverage", "--only", "fl"], ["flags"]),
        (["diff", "--fail-on", "w"], ["wire"]),
        (["completion", "z"], ["zsh"]),
        (["decode", "cap"], ["capture.bin", "captures"]),
        (["corpus", "minimize", "cap"], ["captures"]),
    ],
    ids=" ".join,
)
def test_bash_completes(completed: object, tmp_path: Path, words: list[str], found: list[str]) -> None:
    (tmp_path / "capture.bin").touch()
    (tmp_path / "captures").mkdir()
    assert callable(completed)
    assert sorted(completed(*words)) == sorted(found)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("validate", "--depth", "stream-id.parity"))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert cli.main(["completion", "bash"]) == 3
    assert capsys.readouterr().err == (
        "hgproto: shtab is not installed; install it with `pip install 'hgproto[completion]'`\n"
    )


def test_other_commands_do_not_import_shtab() -> None:
    code = "import sys; from hgproto import cli; cli.parser(); print('shtab' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"
