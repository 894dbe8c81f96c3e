"""What is said when a package is missing that an extra installs."""

from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest
from support import ROOT

from hgproto.cli import main

MISSING = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {package!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
sys.argv[1:] = {arguments!r}
"""


def without(package: str, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a process in which a package is missing."""
    text = MISSING.format(package=package, arguments=list(arguments)) + code
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", ["hgproto.strategies", "hgproto.stateful"])
def test_a_module_that_needs_hypothesis_names_the_extra(module: str) -> None:
    run = without("hypothesis", f"import {module}")
    remedy = "install it with `pip install 'hgproto[hypothesis]'`"
    expected = f"ModuleNotFoundError: {module} needs Hypothesis, which is not installed; {remedy}"
    assert run.stderr.splitlines()[-1] == expected
    assert "During handling" not in run.stderr
    # Another module that is missing is not blamed on it.
    assert "yaml" in without("yaml", f"import {module}; import yaml").stderr.splitlines()[-1]
    # The command line needs none of it.
    assert without("hypothesis", "from hgproto.cli import main; sys.exit(main())", "sample", "-n", "1").returncode == 0


def test_a_command_names_what_is_missing() -> None:
    run = without("atheris", "from hgproto.fuzz.__main__ import main; sys.exit(main())", "reader", "--atheris")
    assert run.returncode == 3
    assert run.stderr.splitlines()[-1].endswith("Atheris is not installed; run `pip install 'hgproto[fuzz]'`")


@pytest.mark.parametrize("arguments", [(), ("--check",)], ids=["write", "check"])
def test_trace_names_what_is_missing(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert main(["trace", *arguments]) == 3
    assert capsys.readouterr().err == "hgproto: pytest is not installed; install it with `pip install pytest`\n"


def test_the_extras_that_messages_name_are_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {"hypothesis", "fuzz"} <= extras.keys()
