"""Baselines: entries, their expiry dates, and files that are not baselines."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from hgproto.judging.baseline import Baseline, BaselineError, selects
from hgproto.judging.finding import ERROR, Finding
from hgproto.revisions.framing_0002.requirements import REQUIREMENTS

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2026, 11, 27)
GOOD = """\
# What we live with.
[[known]]
requirement = "text-output.*"
input = "captures/*.bin"
reason = "An old server's."
expires = 2026-11-27

[[known]]
requirement = "stream.end"
path = "frames[[]*].stream_flags"
reason = "The capture was cut."
expires = 2027-01-01

[[known]]
requirement = "frame.whole"
reason = "Long fixed."
expires = 2026-11-26
"""
ENTRY = '[[known]]\nrequirement = "stream.end"\nreason = "x"\nexpires = 2027-01-01\n'


def found(requirement: str, path: str = "frames[3].stream_flags") -> Finding:
    return Finding(REQUIREMENTS[requirement], ERROR, 7, 1, None, "server", 3, path, "a", "b")


def loaded(directory: Path, text: str | bytes) -> Baseline:
    file = directory / "known.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Baseline.load(str(file), REQUIREMENTS)


@pytest.mark.parametrize(
    ("name", "finding", "line"),
    [
        ("captures/a.bin", found("text-output.newline"), 2),
        ("captures/a.bin", found("text-output.utf8"), 2),
        ("captures/a.hex", found("text-output.newline"), None),
        ("captures/a.bin", found("progress.utf8"), None),
        ("anything", found("stream.end"), 8),
        ("anything", found("stream.end", "frames[3].stream_id"), None),
        ("anything", found("stream.end", "frames3.stream_flags"), None),
        ("anything", found("frame.whole"), None),
    ],
)
def test_what_is_known(name: str, finding: Finding, line: int | None, tmp_path: Path) -> None:
    known = loaded(tmp_path, GOOD).match(name, finding, TODAY)
    assert (known and known.line) == line


def test_what_is_of_no_use(tmp_path: Path) -> None:
    baseline = loaded(tmp_path, GOOD)
    assert [known.line for known in baseline.expired(TODAY)] == [14]
    assert [known.line for known in baseline.unused(TODAY)] == [2, 8]
    known = baseline.match("x", found("stream.end"), TODAY)
    assert known is not None
    assert (known.reason, known.expires) == ("The capture was cut.", date(2027, 1, 1))
    assert [known.line for known in baseline.unused(TODAY)] == [2]
    # The day after.
    tomorrow = date(2026, 11, 28)
    assert baseline.match("captures/a.bin", found("text-output.newline"), tomorrow) is None
    assert [known.line for known in baseline.expired(tomorrow)] == [2, 14]
    assert baseline.unused(tomorrow) == []


def test_an_empty_file_knows_nothing(tmp_path: Path) -> None:
    baseline = loaded(tmp_path, "")
    assert baseline.match("x", found("stream.end"), TODAY) is None
    assert baseline.expired(TODAY) == baseline.unused(TODAY) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("known = 5 5", "expected TOML: Expected newline"),
        (b"\xff", "expected TOML: 'utf-8' codec"),
        ('[[knwon]]\nreason = "x"', "expected tables called known, found 'knwon'"),
        ('[known]\nreason = "x"', "expected tables called known in double brackets"),
        ("known = [5]", ".toml: expected a table, found 5"),
        (ENTRY + '\n[[known]]\nrequirement = "stream.end"\nreason = "x"', ":6: the key 'expires' is missing"),
        (ENTRY.replace('reason = "x"\n', ""), ":1: the key 'reason' is missing"),
        (
            ENTRY.replace("requirement", "rule"),
            ":1: expected requirement, input, path, reason or expires, found 'rule'",
        ),
        (ENTRY.replace('"x"', '" "'), ":1: reason: expected a text, found ' '"),
        (ENTRY.replace('"x"', "5"), ":1: reason: expected a text, found 5"),
        (ENTRY.replace('"x"', "9" * 5000), "expected TOML: found a number with too many digits; write texts and dates"),
        (ENTRY.replace('"x"', f"0x{'9' * 5000}"), ":1: reason: expected a text, found 0x99999999... (20000 bits)"),
        (ENTRY.replace("2027-01-01", f"0x{'9' * 5000}"), "such as 2027-06-30, found 0x99999999... (20000 bits)"),
        (f"known = [0x{'9' * 5000}]", ".toml: expected a table, found 0x99999999... (20000 bits)"),
        (ENTRY.replace('"x"', "[" * 100_000), "expected TOML: "),
        (
            ENTRY.replace("2027-01-01", '"2027-01-01"'),
            ":1: expires: expected a date such as 2027-06-30, found '2027-01-01'",
        ),
        (ENTRY.replace("2027-01-01", "2027-01-01T00:00:00"), ":1: expires: expected a date such as"),
        (ENTRY.replace("stream.end", "stream.ned"), ":1: requirement: there is no requirement 'stream.ned'"),
        ("# old\u2028note\x85\n" + ENTRY.replace("stream.end", "x"), ":2: requirement: there is no requirement 'x'"),
        (ENTRY.replace("stream.end", "nothing.*"), ":1: requirement: there is no requirement 'nothing.*'"),
    ],
)
def test_what_is_no_baseline(text: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(BaselineError) as caught:
        loaded(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "known.toml"))
    assert message in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match=r"nowhere\.toml: No such file"):
        Baseline.load(str(tmp_path / "nowhere.toml"), REQUIREMENTS)


@pytest.mark.parametrize(
    ("select", "ignore", "selected"),
    [
        ([], [], True),
        (["text-output.utf8"], [], True),
        (["text-output.*"], [], True),
        (["progress.*", "text-output.*"], [], True),
        (["progress.*"], [], False),
        ([], ["text-output.*"], False),
        (["text-output.*"], ["*.utf8"], False),
        ([], ["progress.*"], True),
        (["TEXT-OUTPUT.UTF8"], [], False),
    ],
)
def test_selections(select: list[str], ignore: list[str], selected: bool) -> None:
    assert selects("text-output.utf8", select, ignore) == selected
