"""Findings of fuzzing: files that are never lost, never overwritten, and read with care."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hgproto.fuzz import FuzzFinding
from hgproto.fuzz import findings as module
from hgproto.fuzz.cases import Case
from hgproto.fuzz.findings import named, read_finding
from hgproto.fuzz.oracles import Fault
from hgproto.fuzz.processes import joined_words

if TYPE_CHECKING:
    from hgproto.fuzz.oracles import Key

FAULT = Fault("crash", "", "RuntimeError in serve (mine.py:3)", "an end without a crash", "RuntimeError")
FINDING = FuzzFinding(Case(b"abc", "session 1"), FAULT, 1, 7, 0.5, 3, ("mine:serve", "--role", "server"))


@pytest.mark.parametrize(
    "change",
    [
        {"case": Case(b"abd", "session 1")},
        {"case": Case(b"abc", "session 1", 5)},
        {"fault": FAULT._replace(kind="hang")},
        {"fault": FAULT._replace(cause="another")},
        {"fault": FAULT._replace(rule="frame.whole")},
        {"command": ("yours:serve", "--role", "server")},
    ],
    ids=["bytes", "probe", "kind", "cause", "rule", "target"],
)
def test_findings_that_differ_have_files_of_their_own(change: dict[str, Any], tmp_path: Path) -> None:
    other = FINDING._replace(**change)
    paths = {FINDING.write(str(tmp_path)), other.write(str(tmp_path))}
    assert {str(path) for path in tmp_path.iterdir()} == paths
    assert len(paths) == 2
    # Which of the cases it was, and when, is nothing that tells findings apart.
    assert FINDING._replace(seed=2, number=9, seconds=3.0).name == FINDING.name


def test_a_finding_that_is_minimised_replaces_its_file_and_is_not_replaced_by_a_larger_one(tmp_path: Path) -> None:
    kept = FINDING._replace(id=FINDING.digest)
    path = kept.write(str(tmp_path))
    small = kept._replace(case=Case(b"a", "session 1"))
    assert small.write(str(tmp_path)) == path
    assert read_finding(path)[0].data == b"a"
    # Another campaign meets it again, and is stopped before it has made it smaller.
    assert FINDING.write(str(tmp_path)) == path
    assert read_finding(path)[0].data == b"a"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_is_no_finding_any_more_is_written_again(tmp_path: Path) -> None:
    (tmp_path / FINDING.name).write_text("{")
    assert read_finding(FINDING.write(str(tmp_path)))[0] == FINDING.case


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = FINDING._replace(id=FINDING.digest)
    path = kept.write(str(tmp_path))

    def full(source: str, _: str) -> None:
        assert json.loads(Path(source).read_text(encoding="utf-8"))["bytes"] == "61"
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left on device"):
        kept._replace(case=Case(b"a", "session 1")).write(str(tmp_path))
    assert [str(file) for file in tmp_path.iterdir()] == [path]
    assert read_finding(path)[0].data == b"abc"


def test_a_name_that_is_not_utf_8_is_quoted_so_that_a_shell_reads_it(tmp_path: Path) -> None:
    words = ["printf", "%s.", "f_\udcff/it's\\.json", "a b", "caf\xe9"]
    line = joined_words(words, windows=False)
    assert line.isprintable()
    run = subprocess.run(["bash", "-c", line], stdout=subprocess.PIPE, check=True)
    assert run.stdout == b"".join(os.fsencode(word) + b"." for word in words[2:])


@pytest.mark.parametrize(
    ("system", "words"),
    [
        (False, "hgproto fuzz 'a b' '\"c\"' --replay 'my findings/x.json'"),
        (True, 'hgproto fuzz "a b" \\"c\\" --replay "my findings/x.json"'),
    ],
    ids=["POSIX", "Windows"],
)
def test_the_command_is_quoted_as_the_system_has_it(system: bool, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "joined_words", lambda parts: joined_words(parts, windows=system))
    assert FINDING._replace(command=("a b", '"c"')).replay("my findings/x.json") == words
    assert str(FINDING.replay("-d/x.json")).endswith(f" --replay {os.path.join('.', '-d/x.json')}")
    assert FINDING._replace(command=()).replay("x.json") is None


def test_waits_and_sizes_are_kept(tmp_path: Path) -> None:
    case = Case(b"abc", "dialogue", 5, waits=(1, 3), sizes=(0, 1), tail=2)
    assert read_finding(FINDING._replace(case=case).write(str(tmp_path)))[0] == case


GOOD = FINDING.to_json("x.json")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        json.dumps({**GOOD, "bytes": 5}).encode(),
        json.dumps({**GOOD, "bytes": "0"}).encode(),
        json.dumps({**GOOD, "probe": "x"}).encode(),
        json.dumps({**GOOD, "probe": True}).encode(),
        json.dumps({**GOOD, "probe": 65536}).encode(),
        json.dumps({**GOOD, "waits": [4]}).encode(),
        json.dumps({**GOOD, "sizes": [2, 1]}).encode(),
        json.dumps({**GOOD, "waits": 5}).encode(),
        json.dumps({**GOOD, "waits": [float("inf")]}).encode(),
        json.dumps({**GOOD, "waits": [1.5]}).encode(),
        json.dumps({**GOOD, "waits": [True]}).encode(),
        json.dumps({**GOOD, "sizes": "12"}).encode(),
        json.dumps({**GOOD, "tail": -1}).encode(),
        json.dumps({**GOOD, "tail": True}).encode(),
        json.dumps({**GOOD, "tail": 10_000}).encode(),
        json.dumps({**GOOD, "sizes": {"1": 2}}).encode(),
        *(json.dumps({**GOOD, key: 5}).encode() for key in ("kind", "requirement", "cause", "origin", "schema")),
        json.dumps({**GOOD, "kind": None}).encode(),
        json.dumps({key: value for key, value in GOOD.items() if key != "schema"}).encode(),
    ],
    ids=lambda text: repr(text[:12]),
)
def test_what_is_no_finding_is_said_with_its_path(text: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(text)
    with pytest.raises(ValueError, match=r"x\.json: expected a finding of hgproto fuzz$"):
        read_finding(str(file))
    file.write_text(json.dumps(GOOD))
    assert read_finding(str(file))[0] == FINDING.case


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (("accepts-invalid", "frame.whole", ""), "accepts-invalid frame.whole"),
        (("crash", "", "IndexError"), "crash IndexError"),
        (("rejects-valid", "", ""), "rejects-valid at an unknown place"),
    ],
)
def test_a_fault_is_named_by_its_requirement_cause_or_place(key: Key, name: str) -> None:
    assert named(key) == name
