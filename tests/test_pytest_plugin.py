"""The pytest plugin, in projects of its own: what is recorded of which test, and what is refused."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from support import ROOT

from hgproto.language import load
from hgproto.pytest_plugin import TAKEN, _checked_file, _marker

HEAD = """
import pytest
from hypothesis import given, strategies as st

from hgproto.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from hgproto.judging.validation import validate
from hgproto import Client, Server

def refuse(name, error=RemoteProtocolError):
    return error(name, None, "", "one", "another")

rule = pytest.mark.requirement
"""

OUTCOMES = """
@rule("frame.whole", "frame.known-type")
@pytest.mark.parametrize("broken", [False, True])
def test_cases(broken):
    if broken:
        refuse("frame.whole")

@rule("frame.field-range")
def test_what_we_are_asked_to_send():
    refuse("frame.field-range", LocalProtocolError)

@rule("request-id.order")
def test_findings():
    list(validate(bytes.fromhex("0100000300010111") + b"x"))

# A request whose arguments are missing on a stream that stays open, and a whole one on a stream that ends.
CUT, WHOLE = bytes.fromhex("010000010001011478"), bytes.fromhex("010000010001031178")

@rule("request.complete", "stream.end")
def test_an_error_response():
    server = Server()
    server.receive_data(CUT)
    server.receive_end()

@rule("request.complete", "stream.end")
def test_no_error_response():
    server = Server()
    server.receive_data(WHOLE)
    server.receive_end()

@rule("response.complete")
@pytest.mark.parametrize("broken", [False, True])
def test_a_request_that_failed(broken):
    client = Client()
    list(client.issue("x"))
    if broken:
        client.receive_end()

@rule("stream.end")
class TestTogether:
    @rule("stream.open-limit", "stream.end")
    def test_a_method(self):
        refuse("stream.open-limit")

@rule("frame.whole")
@given(st.booleans())
def test_random_input(broken):
    refuse("frame.whole")

@pytest.fixture
def early():
    refuse("frame.known-type")

@rule("frame.known-type")
def test_what_a_fixture_does_does_not_count(early):
    pass

@rule("frame.whole")
def test_skipped():
    refuse("frame.whole")
    pytest.skip("for now")

@rule("frame.whole")
@pytest.mark.xfail
def test_known_to_fail():
    assert not refuse("frame.whole")

@rule("frame.whole")
@pytest.mark.xfail
def test_known_to_fail_and_passing():
    refuse("frame.whole")

@rule("frame.whole")
def test_failing():
    assert not refuse("frame.whole")

@pytest.fixture
def late():
    yield
    raise OSError

@rule("frame.whole")
def test_failing_late(late):
    refuse("frame.whole")

def test_unmarked():
    assert ProtocolError.__init__.__qualname__ == "ProtocolError.__init__"
"""

RECORD = {
    "test_it.py::TestTogether::test_a_method": {
        "names": ["stream.open-limit", "stream.end"],
        "broken": ["stream.open-limit"],
    },
    "test_it.py::test_a_request_that_failed[False]": {"names": ["response.complete"], "broken": []},
    "test_it.py::test_a_request_that_failed[True]": {"names": ["response.complete"], "broken": ["response.complete"]},
    "test_it.py::test_an_error_response": {
        "names": ["request.complete", "stream.end"],
        "broken": ["request.complete", "stream.end"],
    },
    "test_it.py::test_no_error_response": {"names": ["request.complete", "stream.end"], "broken": []},
    "test_it.py::test_cases[False]": {"names": ["frame.whole", "frame.known-type"], "broken": []},
    "test_it.py::test_cases[True]": {"names": ["frame.whole", "frame.known-type"], "broken": ["frame.whole"]},
    "test_it.py::test_findings": {"names": ["request-id.order"], "broken": ["request-id.order"]},
    "test_it.py::test_random_input": {"names": ["frame.whole"], "broken": None},
    "test_it.py::test_what_a_fixture_does_does_not_count": {"names": ["frame.known-type"], "broken": []},
    "test_it.py::test_what_we_are_asked_to_send": {"names": ["frame.field-range"], "broken": ["frame.field-range"]},
}


def run(
    directory: Path, text: str, *arguments: str, plugin: bool = True, settings: str = ""
) -> subprocess.CompletedProcess[str]:
    """A project with one test module, run by pytest."""
    directory.mkdir(exist_ok=True)
    (directory / "test_it.py").write_text(
        (HEAD if "rule(" in text else HEAD.partition("rule =")[0]) + text, encoding="utf-8"
    )
    (directory / "pytest.ini").write_text(f"[pytest]\naddopts = --strict-markers\n{settings}", encoding="utf-8")
    load = ["-p", "hgproto.pytest_plugin"] if plugin else []
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *load, *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("spread", [False, True], ids=["one process", "xdist"])
def test_what_is_recorded(spread: bool, tmp_path: Path) -> None:
    if spread:
        pytest.importorskip("xdist")
    done = run(tmp_path, OUTCOMES, "--requirements-record", "record.json", *(["-n", "1"] if spread else []))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 13 passed, 1 skipped, 1 xfailed, 1 xpassed, 1 error" in done.stdout
    record = json.loads((tmp_path / "record.json").read_text())
    assert record == {"revisions": ["framing-0002"], "exit_status": 1, "unfinished": [], "tests": RECORD}
    assert list(record["tests"]) == sorted(record["tests"])


def test_the_record_stays_where_it_was_asked_for(tmp_path: Path) -> None:
    text = """
@rule("frame.whole")
def test_elsewhere(tmp_path):
    import os
    os.chdir(tmp_path)
"""
    assert run(tmp_path, text, "--requirements-record", "record.json").returncode == 0
    assert json.loads((tmp_path / "record.json").read_text())["exit_status"] == 0


@pytest.mark.parametrize("spread", [False, True], ids=["one process", "xdist"])
def test_tests_without_a_result_are_recorded(spread: bool, tmp_path: Path) -> None:
    text = """
@rule("frame.whole")
def test_one():
    pass

@rule("frame.whole")
def test_two():
    assert 0, "caf\\udce9" if SPREAD else pytest.exit("enough", returncode=0)
"""
    if spread:
        pytest.importorskip("xdist")
    record = tmp_path / "record.json"
    # A file that is there already is no argument of pytest's own.
    record.write_text("")
    arguments = [f"--requirements-record={record}", *(["-n", "1"] if spread else [])]
    done = run(tmp_path / "project", text.replace("SPREAD", str(spread)), *arguments)
    # What cannot go from a worker to the controller ends the run, with the exit status of a good one.
    assert done.returncode == 0, done.stdout
    content = json.loads(record.read_text())
    assert content == {
        "revisions": ["framing-0002"],
        "exit_status": 0,
        "unfinished": ["test_it.py::test_two"],
        "tests": {"test_it.py::test_one": {"names": ["frame.whole"], "broken": []}},
    }


SUBTESTS = """
import unittest

class TestParts(unittest.TestCase):
    @rule("frame.whole")
    def test_one_fails(self):
        for number in range(3):
            with self.subTest(number=number):
                assert number != 1

    @rule("frame.whole")
    def test_one_is_skipped(self):
        for number in range(3):
            with self.subTest(number=number):
                if number == 1:
                    self.skipTest("for now")

    @rule("frame.whole")
    def test_all_pass(self):
        for number in range(3):
            with self.subTest(number=number):
                refuse("frame.whole")
"""
FIXTURES = """
@rule("frame.whole")
def test_fixture_fails(subtests):
    for number in range(3):
        with subtests.test(number=number):
            assert number != 1
"""
has_subtests = pytest.mark.skipif(not hasattr(pytest, "Subtests"), reason="subtests are in pytest from 9.0 on")


@has_subtests
@pytest.mark.parametrize("spread", [False, True], ids=["one process", "xdist"])
@pytest.mark.parametrize("shown", ["-q", "-vv"])
def test_a_test_with_a_part_that_fails_has_not_passed(shown: str, spread: bool, tmp_path: Path) -> None:
    if spread:
        pytest.importorskip("xdist")
    arguments = ["--requirements-record=record.json", shown, *(["-n", "1"] if spread else [])]
    assert run(tmp_path, SUBTESTS + FIXTURES, *arguments).returncode == 1
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["unfinished"] == []
    assert record["tests"] == {
        "test_it.py::TestParts::test_all_pass": {"names": ["frame.whole"], "broken": ["frame.whole"]},
        "test_it.py::TestParts::test_one_is_skipped": {"names": ["frame.whole"], "broken": []},
    }


@has_subtests
def test_a_part_that_passes_is_no_result_of_the_test(tmp_path: Path) -> None:
    text = """
@rule("frame.whole")
def test_ended(subtests):
    with subtests.test():
        pass
    pytest.exit("enough", returncode=0)
"""
    assert run(tmp_path, text, "--requirements-record=record.json", "-vv").returncode == 0
    record = json.loads((tmp_path / "record.json").read_text())
    assert record == {
        "revisions": ["framing-0002"],
        "exit_status": 0,
        "unfinished": ["test_it.py::test_ended"],
        "tests": {},
    }


ENDINGS = {
    "setup": """
@pytest.fixture
def ending():
    pytest.exit("enough", returncode=0)
""",
    "teardown": """
@pytest.fixture
def ending():
    yield
    pytest.exit("enough", returncode=0)
""",
    "interrupt": """
@pytest.fixture
def ending():
    yield
    raise KeyboardInterrupt
""",
}


@pytest.mark.parametrize("when", ENDINGS)
def test_a_test_that_did_not_end_has_not_passed(when: str, tmp_path: Path) -> None:
    text = ENDINGS[when] + '@rule("frame.whole")\ndef test_ended(ending): pass\n'
    done = run(tmp_path, text, "--requirements-record=record.json")
    record = json.loads((tmp_path / "record.json").read_text())
    assert record == {
        "revisions": ["framing-0002"],
        "exit_status": done.returncode,
        "unfinished": ["test_it.py::test_ended"],
        "tests": {},
    }


AGAIN = """
import pytest
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    # As plugins do that run a test again after it has failed.
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for last in (False, True):
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        bad = [report for report in reports if report.failed]
        for report in reports:
            if report.failed and not last:
                report.outcome = "rerun"
                item.ihook.pytest_runtest_logreport(report=report)
                break
            item.ihook.pytest_runtest_logreport(report=report)
        if not bad:
            break
        item._initrequest()
    return True

def pytest_report_teststatus(report):
    if report.outcome == "rerun":
        return "rerun", "R", "RERUN"
"""


def test_the_last_run_of_a_test_counts(tmp_path: Path) -> None:
    tmp_path.joinpath("conftest.py").write_text(AGAIN, encoding="utf-8")
    text = """
runs = []

@rule("frame.whole")
def test_passes_at_last():
    runs.append(1)
    assert len(runs) == 2

@rule("frame.whole")
def test_never_passes():
    assert False

@pytest.fixture
def late():
    yield
    raise OSError

@rule("frame.whole")
def test_fails_late(late):
    pass
"""
    done = run(tmp_path, text, "--requirements-record=record.json")
    assert "1 failed, 3 passed, 1 error, 3 rerun" in done.stdout, done.stdout
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["tests"] == {"test_it.py::test_passes_at_last": {"names": ["frame.whole"], "broken": []}}
    assert record["unfinished"] == []


def test_a_test_that_fails_in_one_of_two_workers_has_not_passed(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    text = """
import os

@rule("frame.whole")
def test_it():
    assert os.environ["PYTEST_XDIST_WORKER"] != FAILING
"""
    for failing in ("gw0", "gw1"):
        arguments = ["--requirements-record=record.json", "--dist=each", "--tx=2*popen"]
        done = run(tmp_path, text.replace("FAILING", repr(failing)), *arguments)
        assert done.returncode == 1, done.stdout
        assert json.loads((tmp_path / "record.json").read_text())["tests"] == {}


def test_a_run_that_only_collects_leaves_the_record_alone(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text("as before")
    text = '@rule("frame.whole")\ndef test_it(): pass\n'
    assert run(tmp_path, text, "--requirements-record=record.json", "--collect-only").returncode == 0
    assert (tmp_path / "record.json").read_text() == "as before"
    assert run(tmp_path, text, "--requirements-record=record.json", "--setup-plan").returncode == 0
    assert json.loads((tmp_path / "record.json").read_text())["tests"] == {}


@pytest.mark.parametrize("spread", [False, True], ids=["one process", "xdist"])
def test_a_record_that_cannot_be_written_is_refused_before_the_tests(spread: bool, tmp_path: Path) -> None:
    if spread:
        pytest.importorskip("xdist")
    arguments = ["--requirements-record=nowhere/record.json", *(["-n", "1"] if spread else [])]
    done = run(tmp_path, 'def test_it(): open("ran", "x")\n', *arguments)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in done.stderr.splitlines() if "--requirements-record" in line]
    assert "No such file or directory; name another file" in line
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (".", "Is a directory"),
        ("file/record.json", "Not a directory"),
        ("file/record/record.json", "Not a directory"),
        ("nowhere/record.json", "No such file or directory"),
        ("a\0b", "embedded null byte"),
        ("long" * 100, "File name too long"),
        ("loop", "Too many levels of symbolic links"),
        ("", "expected the name of a file"),
    ],
)
def test_files_that_cannot_be_a_record(name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(pytest.UsageError, match=f"^--requirements-record: .*{reason}"):
        _checked_file(name)


def test_a_directory_without_permission_holds_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "record.json").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: not (Path(path) == tmp_path and mode == os.W_OK))
    for name in ("record.json", "new.json"):
        with pytest.raises(pytest.UsageError, match="Permission denied"):
            _checked_file(str(tmp_path / name))


@pytest.mark.parametrize("terminal", [[], ["-p", "no:terminal"]], ids=["terminal", "no terminal"])
@pytest.mark.parametrize("failing", [False, True], ids=["good", "failing"])
def test_a_record_that_cannot_be_written_after_the_tests(failing: bool, terminal: list[str], tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    text = 'import shutil\ndef test_it():\n    shutil.rmtree("there")\n' + "    assert False\n" * failing
    done = run(tmp_path, text, "--requirements-record=there/record.json", *terminal)
    assert done.returncode == 1
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if "--requirements-record" in line]
    assert "No such file or directory" in line
    assert "Traceback" not in done.stdout + done.stderr
    if not terminal:
        assert ("1 failed" if failing else "1 passed") in done.stdout


def test_junit_has_the_ids_as_properties(tmp_path: Path) -> None:
    run(tmp_path, OUTCOMES, "--junitxml", "junit.xml")
    ids: dict[str, list[Any]] = {
        str(case.get("name")): [(p.get("name"), p.get("value")) for p in case.iter("property")]
        for case in ET.parse(tmp_path / "junit.xml").iter("testcase")  # noqa: S314 - of our own making
    }
    assert ids["test_cases[True]"] == [("requirement", "frame.whole"), ("requirement", "frame.known-type")]
    assert ids["test_skipped"] == [("requirement", "frame.whole")]
    assert ids["test_unmarked"] == []


LATE = """
@pytest.fixture(params=["setup", "teardown"])
def late(request):
    if request.param == "setup":
        request.node.add_marker(MARK)
    yield
    if request.param == "teardown":
        request.node.add_marker(MARK)

@rule("frame.whole")
def test_fixture(late): pass

@rule("frame.whole")
def test_call(request): request.node.add_marker(MARK)

@rule("frame.whole")
def test_failing(request):
    request.node.add_marker(MARK)
    assert "as before" == ""

@rule("frame.whole")
def test_skipping(request):
    request.node.add_marker(MARK)
    pytest.skip()

@rule("frame.whole")
@pytest.mark.xfail
def test_known(request):
    request.node.add_marker(MARK)
    assert not request

def test_modified(): pass

@pytest.mark.skip
def test_modified_and_skipped(): pass
"""
LATE_CONFTEST = """
import pytest
def pytest_collection_modifyitems(items):
    for item in items:
        if "modified" in item.name:
            item.add_marker(MARK)
"""


def properties(file: Path) -> dict[str, list[str]]:
    """The ids of each test in a JUnit report."""
    return {
        str(case.get("name")): [str(one.get("value")) for one in case.iter("property")]
        for case in ET.parse(file).iter("testcase")  # noqa: S314 - of our own making
    }


@pytest.mark.parametrize("spread", [False, True], ids=["one process", "xdist"])
def test_markers_that_are_added_late(spread: bool, tmp_path: Path) -> None:
    if spread:
        pytest.importorskip("xdist")
    arguments = ["--junitxml", "junit.xml", "--requirements-record", "record.json", *(["-n", "1"] if spread else [])]
    for mark in ('pytest.mark.requirement("no.such")', "pytest.mark.requirement"):
        (tmp_path / "conftest.py").write_text(LATE_CONFTEST.replace("MARK", mark), encoding="utf-8")
        done = run(tmp_path, LATE.replace("MARK", mark), *arguments)
        # Tests that do not end well in setup are not called.
        assert "4 failed, 1 passed, 4 errors" in done.stdout, done.stdout
        wanted = "there is no requirement 'no.such'" if "no.such" in mark else "expected requirement(id, ...), found"
        shown = done.stdout.partition("short test summary")[0]
        assert shown.count(wanted) == 8
        assert "as before" in shown
        found = properties(tmp_path / "junit.xml")
        assert {name: ids for name, ids in found.items() if ids} == {
            name: ["frame.whole"] for name in found if "modified" not in name
        }
        assert json.loads((tmp_path / "record.json").read_text())["tests"] == {}
    mark = 'pytest.mark.requirement("frame.known-type")'
    (tmp_path / "conftest.py").write_text(LATE_CONFTEST.replace("MARK", mark), encoding="utf-8")
    done = run(tmp_path, LATE.replace("MARK", mark), *arguments, "--requirements-only")
    assert "1 failed, 4 passed, 2 skipped, 1 xfailed" in done.stdout, done.stdout
    assert all("frame.known-type" in ids for ids in properties(tmp_path / "junit.xml").values())


def test_tests_that_do_not_run_have_their_ids_in_junit(tmp_path: Path) -> None:
    reasons = (
        "skip",
        "skipif(True, reason='here')",
        "xfail(run=False)",
        "usefixtures('missing')",
        "usefixtures('skips')",
    )
    text = "@pytest.fixture\ndef skips(): pytest.skip()\n" + "".join(
        f'@rule("frame.whole")\n@pytest.mark.{reason}\ndef test_{number}(): pass\n'
        for number, reason in enumerate(reasons)
    )
    done = run(tmp_path, text, "--junitxml", "junit.xml")
    assert "3 skipped, 1 xfailed, 1 error" in done.stdout, done.stdout
    assert properties(tmp_path / "junit.xml") == {f"test_{number}": ["frame.whole"] for number in range(5)}


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('"frame.hole"', "test_it.py::test_it: there is no requirement 'frame.hole'; did you mean 'frame.whole'?"),
        ('"zzz"', "test_it.py::test_it: there is no requirement 'zzz'\n"),
        ("5", "test_it.py::test_it: there is no requirement '5'\n"),
        ("", "test_it.py::test_it: expected requirement(id, ...), found requirement()"),
        ('id="frame.whole"', "test_it.py::test_it: expected requirement(id, ...), found requirement(id)"),
    ],
)
def test_markers_that_cannot_be(marker: str, message: str, tmp_path: Path) -> None:
    done = run(tmp_path, f"@rule({marker})\ndef test_it(): pass\n")
    assert done.returncode == pytest.ExitCode.INTERRUPTED
    assert "ERROR collecting test_it.py" in done.stdout
    assert message in done.stdout


def test_nothing_is_loaded_that_was_not_asked_for(tmp_path: Path) -> None:
    done = run(tmp_path, '@rule("frame.whole")\ndef test_it(): pass\n', plugin=False)
    assert "'requirement' not found in `markers` configuration option" in done.stdout
    done = run(tmp_path, '@rule("frame.whole")\ndef test_it(): pass\n', "--markers")
    assert "@pytest.mark.requirement(id, ...): the requirements of the protocol that the test exercises" in done.stdout


# The settings.

CATALOGS = """\
hgproto_catalogs =
    framing-0002
    notes/alien.yaml
    ids.txt
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a schema and ids of its own, of which one run of tests knows all, from another directory."""
    (tmp_path / "notes").mkdir()
    shutil.copy(ROOT / "tests" / "data" / "alien.yaml", tmp_path / "notes")
    (tmp_path / "ids.txt").write_bytes(b"\xef\xbb\xbfOUR-1\n# more\n\n  our.second  # the second\n")
    return tmp_path


ALIEN = min(load(ROOT / "tests" / "data" / "alien.yaml").requirements)


@pytest.mark.parametrize("marker", ["requirement", "covers"])
def test_several_catalogs_and_another_marker(marker: str, project: Path) -> None:
    text = f'''
@pytest.mark.{marker}("frame.whole", "{ALIEN}", "OUR-1", "our.second")
def test_it(): refuse("frame.whole")
'''
    settings = CATALOGS if marker == "requirement" else f"{CATALOGS}hgproto_marker = {marker}\n"
    arguments = ["--junitxml", "report.xml", "-o", "junit_family=xunit1", "--requirements-record", "record.json"]
    done = run(project, text, *arguments, settings=settings)
    assert done.returncode == 0, done.stdout + done.stderr
    names = ["frame.whole", ALIEN, "OUR-1", "our.second"]
    found = ET.parse(project / "report.xml").iter("property")  # noqa: S314 - ours
    assert [(one.get("name"), one.get("value")) for one in found] == [(marker, name) for name in names]
    record = json.loads((project / "record.json").read_text())
    assert record["tests"] == {"test_it.py::test_it": {"names": names, "broken": ["frame.whole"]}}
    assert record["revisions"] == ["framing-0002", "relay-7"]


def test_an_id_of_no_catalog_is_refused(project: Path) -> None:
    done = run(project, '@rule("OUR-2")\ndef test_it(): pass\n', settings=CATALOGS)
    assert done.returncode == 2
    assert "there is no requirement 'OUR-2'; did you mean 'OUR-1'?" in done.stdout
    done = run(project, '@rule("frame.whole")\ndef test_it(): pass\n', settings="hgproto_catalogs = ids.txt\n")
    assert "there is no requirement 'frame.whole'" in done.stdout


def test_another_marker_leaves_the_usual_one_alone(project: Path) -> None:
    text = '@pytest.mark.covers("frame.whole")\n@pytest.mark.requirement("of another tool")\ndef test_it(): pass\n'
    settings = "hgproto_marker = covers\nmarkers =\n    requirement: of another tool\n"
    done = run(project, text, settings=settings)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("hgproto_catalogs = nowhere.yaml", "expected a revision or a file in "),
        ("hgproto_catalogs = bad.yaml", "bad.yaml:1:1: "),
        ("hgproto_catalogs = words.txt", "expected one id per line, found 'two words'"),
        ("hgproto_catalogs = latin.txt", "latin.txt: 'utf-8' codec can't decode"),
        ("hgproto_marker = two words", "hgproto_marker: expected the name of a marker, found 'two words'"),
        ("hgproto_marker = class", "hgproto_marker: expected the name of a marker, found 'class'"),
        ("hgproto_marker = skip", "hgproto_marker: pytest has a marker 'skip' of its own; use another name"),
    ],
)
def test_settings_that_cannot_be(settings: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("language: 1\n")
    (tmp_path / "words.txt").write_text("one\ntwo words\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    done = run(tmp_path, "def test_it(): pass\n", settings=f"{settings}\n")
    assert done.returncode == 4
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["", "1st", "a-b", "a.b", "_hidden", "class", "None", "mark\ufb01", "a\n"])
def test_names_that_a_marker_cannot_have(name: str) -> None:
    with pytest.raises(pytest.UsageError, match="hgproto_marker: expected the name of a marker, found"):
        _marker(name)


@pytest.mark.parametrize("name", sorted(TAKEN))
def test_names_of_other_markers(name: str) -> None:
    with pytest.raises(pytest.UsageError, match=f"pytest has a marker '{name}' of its own; use another name"):
        _marker(name)


def test_the_markers_of_pytest_are_known(pytestconfig: pytest.Config) -> None:
    lines = [line for line in pytestconfig.getini("markers") if "requirements of the protocol" not in line]
    assert {re.split("[:(]", line)[0].strip() for line in lines} - {"hypothesis"} <= TAKEN
    assert _marker("match") == "match"


def test_only_tests_that_name_requirements_run(tmp_path: Path) -> None:
    text = 'def test_one(): assert False\n@rule("frame.whole")\ndef test_two(): pass\n'
    done = run(tmp_path, text, "--requirements-only")
    assert done.returncode == 0, done.stdout
    assert "1 passed, 1 deselected" in done.stdout
