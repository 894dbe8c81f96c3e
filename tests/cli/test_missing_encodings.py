"""The commands without the package of a content encoding: that is not a verdict on the bytes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hgproto import assert_valid, encode_frame, parse_frame
from hgproto.cli import main
from hgproto.evidence.coverage import Coverage
from hgproto.revisions.revision import default_revision
from hgproto.streams import encodings
from hgproto.streams.encodings import Encodings

if TYPE_CHECKING:
    from collections.abc import Iterator

REMEDY = "pip install 'hgproto[zstd]'"
SESSION = r"""
> 1 1 stream-begin command-name eos first
# The rest is encoded.
> 3 3 stream-begin stream-settings 0 \x08zstd-8mb
> 3 3 encoded command-name have-args x
> 3 3 stream-end|encoded command-argument eoa \x01\x00\x00\x00k
"""


@pytest.fixture(autouse=True)
def without_zstandard(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets the package be missing."""
    monkeypatch.setattr(encodings, "_zstd", lambda: None)
    default_revision()._kept.pop(Encodings, None)
    yield
    default_revision()._kept.pop(Encodings, None)


@pytest.fixture(params=["it.session", "it.bin"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a file. Its payloads are not encoded, but only the package could tell."""
    monkeypatch.chdir(tmp_path)
    name = str(request.param)
    lines = [line.removeprefix("> ") for line in SESSION.splitlines() if line.startswith(">")]
    content = b"".join(encode_frame(parse_frame(line)) for line in lines)
    (tmp_path / name).write_bytes(SESSION.encode() if name.endswith(".session") else content)
    return name


EXPECTED = f"payloads in zstd-8mb were not checked; {REMEDY}\n"
LATER = f"payloads in zstd-8mb were not checked, and transitions from the first one on were not counted; {REMEDY}\n"


def test_validate_says_so(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    ignored = "response.complete,request-id.order,stream.end"
    assert main(["validate", "--ignore", ignored, path]) == 3
    out, error = capsys.readouterr()
    assert error == f"hgproto: {path}: {EXPECTED}"
    assert out.startswith(f"{path}: 1 error, incomplete: {EXPECTED.rstrip()} (")
    # A violation decides the status.
    violating = ["--strict"] if path.endswith(".session") else ["--role", "server"]
    assert main(["validate", *violating, path]) == 1
    capsys.readouterr()
    for format_, said in (
        ("json", '"rule": "input.package"'),
        ("sarif", '"executionSuccessful": false'),
        ("junit", '<error type="input.package"'),
        ("github", "::error file="),
    ):
        assert main(["validate", "--ignore", ignored, "--format", format_, path]) == 3
        assert said in capsys.readouterr().out


def test_coverage_looks_into_no_payload_and_says_so(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coverage", "--only", "edges", path]) == 3
    out, error = capsys.readouterr()
    assert error == f"hgproto: {path}: {EXPECTED}"
    assert "edges: command-argument name_length least\n" in out
    assert "edges: command-argument value_length least\n" in out
    # The length of a payload of a session that could not be encoded is not that on the wire.
    empty = "> 1 1 stream-begin command-name eos first", *SESSION.splitlines()[3:4], "> 3 3 encoded command-name eos"
    Path("empty.session").write_text("\n".join(empty), encoding="utf-8")
    assert main(["coverage", "--only", "edges", "empty.session"]) == 3
    assert "edges: command-name length 0\n" in capsys.readouterr().out


def test_coverage_counts_what_comes_before_and_no_rejection(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coverage", "--format", "json", path]) == 3
    out, error = capsys.readouterr()
    assert error == f"hgproto: {path}: {LATER}"
    shown = json.loads(out)
    assert shown["incomplete"] == [f"{path}: {LATER}".rstrip()]
    assert shown["unreadable"] == []
    coverage = Coverage()
    coverage.file(path)
    left = {(goal.kind, goal.name) for goal in coverage.missing()}
    counted = {goal.name for goal in coverage.goals if (goal.kind, goal.name) not in left}
    assert "stream-settings.known-profile" not in counted
    assert not [name for name in counted if " error " in name]
    # The first frame, and the settings; not the request that the encoded frames are of.
    assert [name for name in counted if name.startswith("server-request ")] == [
        "server-request row 2: command-name in none to active, run-command"
    ]
    assert [name for name in counted if "stream-settings in closed to configured" in name]


def test_a_shortfall_without_the_package_is_trouble(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coverage", "--fail-under", "90", path]) == 3
    # Types and flags are known without payloads.
    capsys.readouterr()
    assert main(["coverage", "--only", "types,flags", path]) == 0
    assert not capsys.readouterr().err


def test_coverage_names_each_file(path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plain.bin").write_bytes(encode_frame(parse_frame("1 1 stream-begin|stream-end command-name eos x")))
    assert main(["coverage", path, "plain.bin"]) == 3
    assert capsys.readouterr().err == f"hgproto: {path}: {LATER}"


def test_a_session_cannot_be_played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "it.session"
    file.write_text(SESSION, encoding="utf-8")
    assert main(["session", str(file)]) == 3
    out, error = capsys.readouterr()
    assert error == f"hgproto: {file}:4: the content encoding zstd-8mb needs a package: {REMEDY}\n"
    assert out.splitlines() == ["   2 > 1 1 stream-begin command-name eos first", "     server: run-command 1 first"]


def test_a_violation_before_that_decides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "it.session"
    file.write_text("> 1 2 stream-begin command-name eos x\n" + SESSION, encoding="utf-8")
    assert main(["session", str(file)]) == 1
    first, *_, last = capsys.readouterr().err.splitlines()
    assert "(stream-id.parity)" in first
    assert last == f"hgproto: {file}:5: the content encoding zstd-8mb needs a package: {REMEDY}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["fuzz", "hgproto.fuzz.echo:serve", "--encodings", "zstd-8mb"],
            "argument --encodings: zstd-8mb needs a package: ",
        ),
        (
            ["sample", "--invalid", "encoding.window"],
            "argument --invalid: no session with these encodings violates encoding.window; available: zlib, identity; "
            "zstd-8mb needs a package: ",
        ),
    ],
)
def test_options_that_need_the_package_name_it(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 3
    assert f"{message}{REMEDY}\n" in capsys.readouterr().err


def test_explain_says_why_a_fault_is_not_marked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "encoding.window"]) == 0
    line = f"The fault is not marked, because a package is missing; {REMEDY}"
    assert line in capsys.readouterr().out.splitlines()
    assert main(["explain", "frame.whole"]) == 0
    assert "not marked" not in capsys.readouterr().out


@pytest.mark.parametrize("path", ["it.bin"], indirect=True)
def test_assert_valid_warns_of_what_it_did_not_look_into(path: str) -> None:
    message = f"^it: payloads in zstd-8mb were not checked; {re.escape(REMEDY)}$"
    with pytest.warns(UserWarning, match=message):
        assert_valid(Path(path).read_bytes(), name="it", ignore=["response.complete"])
