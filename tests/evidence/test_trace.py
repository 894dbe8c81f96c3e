"""Traceability: what a snapshot has, when it is stale, and what the command says."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support import ROOT, SCHEMA

from hgproto.evidence.trace import SNAPSHOT, gaps, read_record, read_snapshot, snapshot, text_of
from hgproto.revisions.framing_0002.requirements import REQUIREMENTS
from hgproto.revisions.revision import DEFAULT_REVISION as REVISION
from hgproto.runtime.catalogue import Requirement

if TYPE_CHECKING:
    from pathlib import Path


def rule(name: str, level: str = "MUST", enforced: str = "codec", reason: str | None = None) -> Requirement:
    return Requirement(
        name, "sender", level, "be good", "ours", "1", enforced, "why", True, ("header.x: limit",), reason=reason
    )


RULES = {
    rule.id: rule
    for rule in (
        rule("a.kept"),
        rule("a.broken", "MUST NOT"),
        rule("a.warned", "SHOULD", "validator", "Receivers take it."),
        rule("b.manual", enforced="manual", reason="Nobody sees it."),
    )
}
VECTORS = [
    {"id": "a/good", "result": "valid", "requirements": ["a.kept"]},
    {"id": "a/bad", "result": "invalid", "requirements": ["a.broken"]},
    {"id": "a/warned", "result": "valid", "requirements": ["a.kept", "a.warned"], "findings": ["a.warned"]},
]
SESSIONS = [
    {"id": "s/bad", "requirements": ["a.broken"], "findings": ["a.broken", "a.warned"]},
    {"id": "s/good", "requirements": []},
]
TESTS: dict[str, dict[str, Any]] = {
    "tests/test_a.py::test_one[x::y]": {"names": ["a.kept", "a.broken"], "broken": ["a.broken"]},
    "tests/test_a.py::test_one[z]": {"names": ["a.broken"], "broken": []},
    "tests/test_a.py::test_random": {"names": ["a.kept"], "broken": None},
    "tests/test_b.py::Test::test_one": {"names": ["a.kept"], "broken": []},
}


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """A directory of vectors and sessions."""
    (tmp_path / "sessions").mkdir()
    (tmp_path / "a.json").write_text(json.dumps({"vectors": VECTORS}))
    (tmp_path / "sessions" / "s.json").write_text(json.dumps({"sessions": SESSIONS}))
    return tmp_path


def test_a_snapshot(vectors: Path) -> None:
    shared = {"places": ["header.x: limit"]}
    assert snapshot(RULES, vectors, TESTS) == {
        "a.kept": {
            "level": "MUST",
            "enforced": "codec",
            **shared,
            "kept": ["a/good", "a/warned"],
            "broken": [],
            "tests": {"tests/test_a.py": "random input", "tests/test_b.py": "passed"},
        },
        "a.broken": {
            "level": "MUST NOT",
            "enforced": "codec",
            **shared,
            "kept": [],
            "broken": ["a/bad", "s/bad"],
            "tests": {"tests/test_a.py": "seen broken"},
        },
        "a.warned": {
            "level": "SHOULD",
            "enforced": "validator",
            **shared,
            "kept": [],
            "broken": ["a/warned", "s/bad"],
            "tests": {},
        },
        "b.manual": {
            "level": "MUST",
            "enforced": "manual",
            "reason": "Nobody sees it.",
            **shared,
            "kept": [],
            "broken": [],
            "tests": {},
        },
    }


def test_order_and_parameters_do_not_show(vectors: Path) -> None:
    others = {node.replace("[z]", "[0]"): test for node, test in reversed(TESTS.items())}
    assert text_of(snapshot(RULES, vectors, others)) == text_of(snapshot(RULES, vectors, TESTS))


def test_a_snapshot_is_read_as_it_was_written(vectors: Path) -> None:
    entries = snapshot(RULES, vectors, {**TESTS, "caf\udce9": next(iter(TESTS.values()))})
    file = vectors / "trace.json"
    file.write_text(text_of(entries), encoding="utf-8")
    assert read_snapshot(file) == entries
    assert read_snapshot(ROOT / SNAPSHOT)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "expected an object with an entry for each requirement"),
        ({"a.kept": 3}, "a.kept: expected an object with level, enforced, places, kept, broken, and tests"),
        (
            {"a.kept": {"level": "MUST"}},
            "a.kept: expected an object with level, enforced, places, kept, broken, and tests",
        ),
        ({"a\nb": 3}, r"a\\nb: expected an object with"),
        ({"tests": {"a": {"names": [], "broken": []}}}, "tests: expected an object with level"),
    ],
)
def test_a_file_that_is_no_snapshot(value: object, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    file.write_text(json.dumps(value))
    with pytest.raises(ValueError, match=f"^{reason}"):
        read_snapshot(file)


def test_gaps(vectors: Path) -> None:
    assert gaps(snapshot(RULES, vectors, TESTS)) == []
    assert gaps(snapshot(RULES, vectors, {})) == [
        "a.kept: MUST, and no test has exercised it",
        "a.broken: MUST NOT, and no test has exercised it",
    ]
    unexplained = {"b.manual": rule("b.manual", enforced="manual")}
    assert gaps(snapshot(unexplained, vectors, {})) == ["b.manual: MUST, and no test has exercised it"]


def recorded(tests: object, **others: Any) -> str:
    """The text of a record."""
    return json.dumps({"revisions": [REVISION], "exit_status": 0, "unfinished": [], "tests": tests, **others})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a record that pytest has written with --requirements-record"),
        ("[]", "expected a record"),
        ("{}", "expected a record"),
        ("[" * 100_000, "expected a record"),
        ('{"exit_status": 0, "tests": {}}', "expected a record"),
        (recorded({"a": {}}), "expected a record"),
        (recorded({"a": 5}), "expected a record"),
        (recorded({"a": {"names": 5, "broken": []}}), "expected a record"),
        (recorded({"a": {"names": [[]], "broken": []}}), "expected a record"),
        (recorded({"a": {"names": [], "broken": 5}}), "expected a record"),
        (json.dumps({"exit_status": 0, "unfinished": [], "tests": TESTS}), "expected a record"),
        (recorded(TESTS, unfinished="a"), "expected a record"),
        (recorded(TESTS, unfinished={}), "expected a record"),
        (recorded(TESTS, unfinished=[1]), "expected a record"),
        (recorded(TESTS, revisions=REVISION), "expected a record"),
        (recorded([*TESTS.items()]), "expected a record"),
        (recorded([[1, {"names": [], "broken": []}]]), "expected a record"),
        (
            recorded(TESTS, revisions=["notes-1"]),
            "expected framing-0002 among the catalogs of the tests, found notes-1; add framing-0002 to hgproto_catalogs",
        ),
        (recorded(TESTS, revisions=[]), "expected framing-0002 among the catalogs of the tests, found no revision; "),
        (recorded({}), "expected tests that name requirements and have passed, found none"),
        (recorded({}, exit_status=1), "expected a test run that has passed, found exit status 1"),
        (recorded({}, exit_status=5), "expected tests that name requirements, found none"),
        (recorded({}, unfinished=["a"]), "expected a result of every test, found no result of 1 test: a"),
        (
            recorded({}, unfinished=["a", "b"]),
            "expected a result of every test, found no result of 2 tests: a and others",
        ),
    ],
)
def test_a_record_that_is_none(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_record(file)


def test_our_own_snapshot_has_every_requirement() -> None:
    entries = json.loads((ROOT / SNAPSHOT).read_text(encoding="utf-8"))
    assert list(entries) == list(REQUIREMENTS)
    assert gaps(entries) == []


# The command.


def trace(directory: Path, *arguments: str, code: int = 0) -> tuple[str, str]:
    """Standard output and standard error of ``hgproto trace``."""
    command = [sys.executable, "-m", "hgproto", "trace", *arguments]
    run = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert run.returncode == code, run.stdout + run.stderr
    return run.stdout, run.stderr


LONE = "stream.end"
PROJECT = f"""
import pytest

from hgproto.revisions.framing_0002.requirements import REQUIREMENTS

@pytest.mark.requirement(*(name for name in REQUIREMENTS if name != {LONE!r}))
def test_all_but_one(): pass

@pytest.mark.requirement({LONE!r})
def test_one(): pass

@pytest.mark.requirement("frame.whole")
def test_again(): pass

def test_unmarked(): assert False
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose tests exercise every requirement."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_rules.py").write_text(PROJECT)
    return tmp_path


def test_a_project_is_traced_and_each_marker_counts(project: Path) -> None:
    tests = project / "tests" / "test_rules.py"
    out, error = trace(project, "--check", code=1)
    assert "+++ tests/trace.json (as run now)" in out
    assert error == "hgproto: tests/trace.json is stale: run `hgproto trace`\n"
    assert not (project / SNAPSHOT).exists()
    good = f"{SNAPSHOT}: {len(REQUIREMENTS)} requirements, {len(REQUIREMENTS)} of them with tests\n"
    assert trace(project) == (good, "")
    assert trace(project, "--check") == (good, "")
    entries = json.loads((project / SNAPSHOT).read_text())
    assert entries["frame.whole"]["tests"] == {"tests/test_rules.py": "passed"}
    # Another test of the same file does not count, and neither does a new name.
    tests.write_text(PROJECT.replace('@pytest.mark.requirement("frame.whole")\n', "").replace("test_one", "test_it"))
    assert trace(project, "--check") == (good, "")
    # A requirement that another file exercises too: the snapshot is stale.
    other = project / "tests" / "test_more.py"
    other.write_text('import pytest\n\n@pytest.mark.requirement("frame.whole")\ndef test_again(): pass\n')
    out, error = trace(project, "--check", code=1)
    assert '+      "tests/test_more.py": "passed",' in out
    other.unlink()
    assert error == "hgproto: tests/trace.json is stale: run `hgproto trace`\n"
    # The only test of a requirement: a fresh snapshot does not help.
    tests.write_text(PROJECT.replace(f"@pytest.mark.requirement({LONE!r})\n", ""))
    gap = f"hgproto: {LONE}: MUST, and no test has exercised it\n"
    assert gap in trace(project, "--check", code=1)[1]
    assert gap in trace(project)[1]
    out, error = trace(project, "--check", code=1)
    assert (out, error) == ("", gap)


def test_tests_that_fail_give_no_snapshot(project: Path) -> None:
    (project / "tests" / "test_more.py").write_text(
        "import pytest\n@pytest.mark.requirement('frame.whole')\ndef test_it(): assert not 'good'\n"
    )
    out, error = trace(project, code=1)
    assert out == ""
    assert "assert not 'good'" in error
    assert error.endswith("hgproto: the tests that name requirements did not pass: pytest exited with status 1\n")
    assert not (project / SNAPSHOT).exists()


MARKED = "import pytest, os\n@pytest.mark.requirement('frame.whole')\ndef test_it(): {}\n"


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "test_it.py",
            MARKED.format("assert 0, 'caf\\udce9'"),
            "the record of the tests: expected a result of every test",
        ),
        (
            "test_it.py",
            MARKED.format("pytest.skip()"),
            "expected tests that name requirements and have passed, found none",
        ),
        (
            "test_it.py",
            "def test_it(): pass\n",
            "the record of the tests: expected tests that name requirements, found none",
        ),
        ("conftest.py", "import os\nos._exit(0)\n", "pytest ended before it wrote the record of passed tests"),
    ],
    ids=["lost", "skipped", "unmarked", "left"],
)
def test_a_run_that_says_too_little_keeps_the_snapshot(file: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / file).write_text(text)
    (tmp_path / SNAPSHOT).write_text("as it was")
    out, error = trace(tmp_path, code=1)
    assert out == ""
    assert message in error.splitlines()[-1]
    assert (tmp_path / SNAPSHOT).read_text() == "as it was"


def test_output_that_is_not_utf_8_is_shown(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "conftest.py").write_text("import os\ndef pytest_unconfigure(): os.write(1, b'\\xe9\\n')\n")
    (tmp_path / "tests" / "test_it.py").write_text(MARKED.format("pass"))
    assert "1 of them with tests" in trace(tmp_path)[0]
    (tmp_path / "tests" / "test_it.py").write_text(MARKED.format("assert not 'good'"))
    error = trace(tmp_path, code=1)[1]
    assert "assert not 'good'" in error
    assert "\\xe9" in error


def test_names_of_files_that_are_not_utf_8_are_written(vectors: Path) -> None:
    text = text_of(snapshot(RULES, vectors, {"caf\udce9": next(iter(TESTS.values()))}))
    assert r"caf\udce9" in text
    assert text.encode("utf-8")


def test_a_record_is_taken(project: Path) -> None:
    record = project / "record.json"
    manual = [name for name, rule in REQUIREMENTS.items() if rule.enforced == "manual"]
    names = [name for name in REQUIREMENTS if name not in manual]
    record.write_text(recorded({"tests/test_it.py::test_it": {"names": names, "broken": []}}))
    head, *rest = trace(project, "--record", "record.json")[0].splitlines()
    assert head == f"{SNAPSHOT}: {len(REQUIREMENTS)} requirements, {len(names)} of them with tests"
    assert rest == [f"{name}: manual: {REQUIREMENTS[name].reason}" for name in manual]
    record.write_text("{}")
    assert "record.json: expected a record" in trace(project, "--record", "record.json", code=1)[1]


CATALOGS = {
    "a user's own": ("notes.yaml", False),
    "both": ("notes.yaml\n    framing-0002", True),
    "a file of the revision": ("framing-0002.yaml", True),
    "a list": ("ids.txt", False),
}


@pytest.mark.parametrize(("catalogs", "counted"), CATALOGS.values(), ids=CATALOGS)
def test_tests_count_whose_catalogs_have_the_revision(catalogs: str, counted: bool, project: Path) -> None:
    for name in ("framing.yaml", "framing-0002.yaml"):
        (project / name).write_bytes((SCHEMA / name).read_bytes())
    text = (project / "framing-0002.yaml").read_text(encoding="utf-8")
    (project / "notes.yaml").write_text(text.replace(f"revision: {REVISION}", "revision: notes-1"), encoding="utf-8")
    (project / "ids.txt").write_text("\n".join(REQUIREMENTS))
    (project / "pytest.ini").write_text(f"[pytest]\nhgproto_catalogs =\n    {catalogs}\n")
    out, error = trace(project, code=0 if counted else 1)
    assert (SNAPSHOT in out) == (project / SNAPSHOT).exists() == counted
    if not counted:
        found = "notes-1" if "notes" in catalogs else "no revision"
        assert error.splitlines()[-1] == (
            f"hgproto: the record of the tests: expected {REVISION} among the catalogs of the tests, found {found}; "
            f"add {REVISION} to hgproto_catalogs"
        )


def test_where_there_are_no_tests(tmp_path: Path) -> None:
    assert "there is no directory tests here" in trace(tmp_path, code=2)[1]
    (tmp_path / "tests").mkdir()
    assert "hgproto: missing.json: No such file" in trace(tmp_path, "--record", "missing.json", code=3)[1]
