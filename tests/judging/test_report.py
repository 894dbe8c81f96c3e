"""Reports: the output of each format, read by other tools for that format."""

from __future__ import annotations

import json
import re
from datetime import date
from io import StringIO
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from junitparser import Error, Failure, JUnitXml, Properties, Skipped
from support import GOLDEN, ROOT, VECTORS, judged

from hgproto.judging.baseline import Known
from hgproto.judging.finding import ERROR, NOTE, WARNING, Finding
from hgproto.judging.report import FORMATS, UNREADABLE_CONTENT, UNREADABLE_FILE, Unreadable
from hgproto.judging.report import junit as junit_module
from hgproto.judging.report.text import MOST_ROWS
from hgproto.judging.validation import validate
from hgproto.revisions.framing_0002.requirements import REQUIREMENTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SARIF = jsonschema.Draft7Validator(
    json.loads((ROOT / "tests" / "data" / "sarif-2.1.0.json").read_text(encoding="utf-8")),
    format_checker=jsonschema.FormatChecker(),
)
SITE = "https://example.org/hgproto"
RAW = {*map(chr, range(0x20)), "\x7f", "\u202e"} - {"\n"}
KNOWN = Known("text-output.newline", "An old server's, see <the list> & 'notes'.", date(2027, 6, 30), None, None, 1)
NASTY = "\x1b[2J\0\r\n::error::gotcha\n]]></failure> \"'&<%0A,:\ud800￿\u202e" + "x" * 5000


def plain(requirement: str = "command-name.eos-exclusive", severity: str = ERROR, **changes: Any) -> Finding:
    made = Finding(
        REQUIREMENTS[requirement], severity, 7, 1, (0, 1), "client", 0, "frames[0].flags", "a", "b",
        around=bytes.fromhex("0e00000100010117637573746f6d"), about="command-name, request 1, stream 1",
    )  # fmt: skip
    return made.replace(**changes)


MADE: list[tuple[Finding, Known | None]] = [
    (plain(), None),
    (plain("text-output.newline", WARNING, size=4), None),
    (plain("text-output.newline", WARNING), KNOWN),
    (plain("stream.end", NOTE, size=0, bits=None, side=None, frame=None, path="", around=b"", about=""), None),
    (plain("frame.known-type", expected=NASTY, found=NASTY, about=NASTY), None),
    (plain("frame.whole", ends=True, size=0, bits=None, offset=14), None),
    (plain("frame.whole", offset=1 << 40, around=bytes(200), around_offset=(1 << 40) - 100, size=150), None),
    (plain(line=3, side="server"), None),
]
"""Findings of every kind, some of them with what no format could bear raw."""


def found() -> list[tuple[Finding, Known | None]]:
    """All that is found in the vectors and golden sessions."""
    findings = [finding for vector in VECTORS for finding in validate(bytes.fromhex(vector["wire"]), depth="frames")]
    findings += [finding for golden in GOLDEN if "zstd" not in json.dumps(golden) for finding in judged(golden)]
    assert len({finding.id for finding in findings}) > 70
    return [(finding, None) for finding in findings]


INPUTS: list[tuple[str, list[tuple[Finding, Known | None]]]] = [
    ("good.bin", []),
    ("captures/a file:with,50%.bin", MADE),
    ("standard input", MADE[:1]),
    ("/somewhere/else.bin", MADE[:2]),
    (NASTY.replace("\0", "")[:40].replace("\ud800", ""), MADE[4:5]),
    ("all.bin", found()),
]
ALL = [(name, *one) for name, pairs in INPUTS for one in pairs]
STRICT = pytest.mark.parametrize("strict", [False, True])


def written(format: str, inputs: Iterable[tuple[str, Sequence[Any]]], **options: Any) -> str:
    """What a report writes."""
    out = StringIO()
    report = FORMATS[format](out, **options)
    for name, pairs in inputs:
        report.begin(name)
        for finding, known in pairs:
            report.finding(name, finding, known)
        report.end(name, 3, 1000)
    report.close()
    text = out.getvalue()
    # Nothing from the input gets out raw, and everything can be written to a file.
    text.encode("utf-8")
    assert (set(text) - {"\x1b"} if options.get("colour") else set(text)) & RAW == set()
    return text


def fails(finding: Finding, known: Known | None, strict: bool) -> bool:
    return known is None and (finding.severity == ERROR or (strict and finding.severity == WARNING))


# Inputs that cannot be read to their end are errors in every format.

FAULTY = [
    ("bad.hex", Unreadable(UNREADABLE_CONTENT, f"expected a digit, found {NASTY}", 2, 3)),
    ("bad.bin", Unreadable(UNREADABLE_CONTENT, "expected another thing")),
    ("caf\udcff\n.bin", Unreadable(UNREADABLE_FILE, "No such file or directory")),
]


def faulty(format: str, faults: Sequence[tuple[str, Unreadable]] = FAULTY) -> str:
    """Returns the report of inputs that can be read only in part, and of one input after them."""
    out = StringIO()
    report = FORMATS[format](out, site=SITE)
    for name, fault in faults:
        report.begin(name)
        report.finding(name, plain())
        report.unreadable(name, fault)
        report.hint(name, "do <this> & that")
        report.end(name, 1, 22)
    report.begin("good.bin")
    report.end("good.bin", 3, 1000)
    report.close()
    text = out.getvalue()
    text.encode("utf-8")
    assert set(text) & RAW == set()
    return text


def test_unreadable_inputs_in_json() -> None:
    text = faulty("json")
    lines = [json.loads(line) for line in text.splitlines()]
    assert "\\ud" not in text.replace("\\\\ud800", "")
    shown = [line for line in lines if line["kind"] == "unreadable"]
    assert [(line["rule"], line["line"], line["column"]) for line in shown] == [
        ("input.content", 2, 3), ("input.content", None, None), ("input.file", None, None),
    ]  # fmt: skip
    assert [line["input"] for line in shown] == ["bad.hex", "bad.bin", "caf\\xff\n.bin"]
    assert shown[2]["message"] == "No such file or directory"
    assert [line["error"] for line in lines if line["kind"] == "input"] == [2, 2, 2, 0]
    assert [line["message"] for line in lines if line["kind"] == "hint"] == ["do <this> & that"] * 3


@pytest.mark.parametrize("number", [2, 3])
def test_unreadable_inputs_in_sarif(number: int) -> None:
    log = json.loads(faulty("sarif", FAULTY[:number]))
    assert not list(SARIF.iter_errors(log))
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    shown = [result for result in run["results"] if result["ruleId"].startswith("input.")]
    assert [rules[result["ruleIndex"]] for result in shown] == ["input.content", "input.content", "input.file"][:number]
    assert {result["level"] for result in shown} == {"error"}
    assert shown[0]["locations"][0]["physicalLocation"]["region"] == {"startLine": 2, "startColumn": 3}
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] == (number == 2)
    levels = [one["level"] for one in invocation["toolExecutionNotifications"]]
    assert sorted(levels) == sorted(["note"] * number + ["error"] * (number - 2))
    if number == 3:
        place = shown[2]["locations"][0]["physicalLocation"]
        assert place == {"artifactLocation": {"uri": "caf%FF%0A.bin"}}


def test_unreadable_inputs_in_junit() -> None:
    text = faulty("junit")
    assert text.isascii()
    suites = list(JUnitXml.fromstring(text.encode()))
    assert [(suite.errors, suite.failures, suite.tests) for suite in suites] == [(1, 1, 2)] * 3 + [(0, 0, 1)]
    last = [list(suite)[-1].result[0] for suite in suites[:3]]
    assert all(isinstance(result, Error) for result in last)
    assert [result.type for result in last] == ["input.content", "input.content", "input.file"]
    assert suites[2].name == "caf\\xff\\n.bin"
    assert text.count("hint: do &lt;this&gt; &amp; that") == 3


def test_unreadable_inputs_in_github_and_text() -> None:
    errors = [line for line in faulty("github").splitlines() if "title=input." in line]
    assert [line.partition("::expected")[0] for line in errors[:2]] == [
        "::error file=bad.hex,line=2,col=3,title=input.content",
        "::error file=bad.bin,title=input.content",
    ]
    assert errors[2].startswith("::error file=caf\\xff\\n.bin,title=input.file::No such file or directory%0A")
    ends = [line for line in faulty("text").splitlines() if line.endswith(("22 bytes)", "1000 bytes)"))]
    assert ends[0].startswith("bad.hex: 2 errors, unreadable from line 2, column 3 on: expected a digit, found ")
    assert ends[1:] == [
        "bad.bin: 2 errors, unreadable: expected another thing (1 frame, 22 bytes)",
        "caf\\xff\\n.bin: 2 errors, unreadable: No such file or directory (1 frame, 22 bytes)",
        "good.bin: good (3 frames, 1000 bytes)",
    ]
    assert faulty("text").count(": hint: do <this> & that\n") == 3


# Programs read JSON lines.


@STRICT
def test_json(strict: bool) -> None:
    lines = [json.loads(line) for line in written("json", INPUTS, site=SITE, strict=strict).splitlines()]
    shown = [line for line in lines if line["kind"] == "finding"]
    for line, (name, finding, known) in zip(shown, ALL, strict=True):
        assert {key: line[key] for key in ("input", "requirement", "failure", "rule", "link")} == {
            "input": name,
            "requirement": finding.id,
            "failure": fails(finding, known, strict),
            "rule": finding.requirement.sentence,
            "link": f"{SITE}/requirements.html#{finding.id}",
        }
        for key in (
            "severity",
            "offset",
            "side",
            "frame",
            "path",
            "about",
            "line",
            "expected",
            "found",
            "more",
        ):
            assert line[key] == getattr(finding, key)
        assert line["bytes"] == finding.size
        assert line["bits"] == (None if finding.bits is None else list(finding.bits))
        assert bytes.fromhex(line["around"]) == finding.around
        assert line["known"] == (None if known is None else {"reason": known.reason, "expires": "2027-06-30"})
    ends = [line for line in lines if line["kind"] == "input"]
    assert [line["input"] for line in ends] == [name for name, _ in INPUTS]
    assert ends[1] == {
        "kind": "input", "input": INPUTS[1][0], "frames": 3, "bytes": 1000, "error": 5, "warning": 1, "note": 1, "known": 1,
    }  # fmt: skip
    # An input ends after its findings.
    assert lines[-1]["kind"] == "input"
    assert lines[0] == {**ends[1], "input": "good.bin", **dict.fromkeys(("error", "warning", "note", "known"), 0)}


def test_every_key_of_the_json_report_is_described() -> None:
    line = json.loads(written("json", [("x", MADE[:1])]).splitlines()[0])
    from hgproto.judging.report import jsonlines

    assert not [key for key in line if f"``{key}``" not in str(jsonlines.__doc__)]
    assert line["link"] is None


# Code scanning services read SARIF, and its schema says what that is.


def test_the_schema_of_sarif_refuses_what_is_not() -> None:
    broken = json.loads(written("sarif", INPUTS))
    broken["runs"][0]["results"][0]["level"] = "fatal"
    assert [list(error.path) for error in SARIF.iter_errors(broken)] == [["runs", 0, "results", 0, "level"]]


@pytest.mark.parametrize("site", ["", SITE])
@pytest.mark.parametrize("inputs", [INPUTS, INPUTS[:1], []], ids=["all", "good", "none"])
def test_sarif(inputs: list[Any], site: str) -> None:
    log = json.loads(written("sarif", inputs, site=site))
    assert not list(SARIF.iter_errors(log))
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    pairs = [(name, *one) for name, found in inputs for one in found]
    assert [rule["id"] for rule in rules] == list(dict.fromkeys(finding.id for _, finding, _ in pairs))
    assert all(("helpUri" in rule) == bool(site) for rule in rules)
    for result, (_, finding, known) in zip(run["results"], pairs, strict=True):
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == finding.id
        assert result["level"] == finding.severity
        assert result["message"]["text"] == finding.message[:1000]
        assert ("suppressions" in result) == (known is not None)
        (location,) = result["locations"]
        region = location["physicalLocation"]["region"]
        if finding.line is None:
            assert (region["byteOffset"], region["byteLength"]) == (finding.offset, finding.size)
        else:
            assert region == {"startLine": finding.line}
        assert location["logicalLocations"][0]["fullyQualifiedName"] == (finding.path or "input")


def test_sarif_has_addresses_of_files_and_fingerprints_that_stay() -> None:
    log = json.loads(written("sarif", INPUTS))
    results = log["runs"][0]["results"]
    uris = [one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in results]
    assert list(dict.fromkeys(uris))[:3] == [
        "captures/a%20file%3Awith%2C50%25.bin",
        "stdin",
        "file:///somewhere/else.bin",
    ]
    moved = plain(offset=107, around_offset=100, frame=4, path="frames[4].flags")
    others = [plain(), moved, plain("frame.known-type"), plain(path="frames[0].type"), plain(side="server")]
    prints = [
        json.loads(written("sarif", [("x", [(one, None)])]))["runs"][0]["results"][0]["partialFingerprints"][
            "hgproto/v1"
        ]
        for one in others
    ]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 4


# Build servers read JUnit XML.


def properties_of(element: Any) -> Any:
    return element.child(Properties)


@STRICT
def test_junit(strict: bool) -> None:
    suites = list(JUnitXml.fromstring(written("junit", INPUTS, site=SITE, strict=strict).encode()))
    assert len(suites) == len(INPUTS)
    for suite, (name, pairs) in zip(suites, INPUTS, strict=True):
        cases = list(suite)
        assert suite.tests == len(cases) == max(len(pairs), 1)
        assert suite.failures == sum(fails(*pair, strict) for pair in pairs)
        assert suite.skipped == sum(known is not None for _, known in pairs)
        assert suite.errors == 0
        assert {one.name: one.value for one in properties_of(suite)} == {"frames": "3", "bytes": "1000"}
        for case, (finding, known) in zip(cases, pairs, strict=False):
            assert case.name == f"{finding.id} at offset {finding.offset}"
            kinds = {Failure: fails(finding, known, strict), Skipped: known is not None}
            assert {kind: any(isinstance(one, kind) for one in case.result) for kind in kinds} == kinds
            assert [one.value for one in properties_of(case)] == [finding.id]
            if name.isprintable():
                assert case.classname == name
            if fails(finding, known, strict) and finding.message.isprintable():
                assert case.result[0].message == finding.message
                assert case.result[0].text.endswith(f"{finding.rule}\n{SITE}/requirements.html#{finding.id}")
    assert next(iter(suites[0])).name == "valid"


def test_junit_holds_no_more_cases_than_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(junit_module, "MOST_CASES", 3)
    many = [(plain("stream.end", NOTE), None), *[(plain(), None)] * 5]
    (suite,) = JUnitXml.fromstring(written("junit", [("x", many)]).encode())
    *shown, last = suite
    assert (len(shown), suite.tests, suite.failures) == (3, 4, 3)
    assert last.result[0].message == "3 more failures, not listed"


# GitHub reads commands, in which some characters are escaped.


def commands(text: str) -> list[tuple[str, dict[str, str], str]]:
    """Commands as the runner takes them apart: name, properties, message."""
    made = []
    for line in text.splitlines():
        match = re.fullmatch(r"::(\w+) ([^:]*)::(.*)", line)
        assert match, line
        name, properties, message = match.groups()
        pairs = dict(pair.split("=", 1) for pair in properties.split(","))
        made.append((name, {key: unescaped(value) for key, value in pairs.items()}, unescaped(message)))
    return made


def unescaped(text: str) -> str:
    for code, character in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, character)
    return text


@STRICT
def test_github(strict: bool) -> None:
    made = commands(written("github", INPUTS, site=SITE, strict=strict))
    pairs = [(name, finding) for name, finding, known in ALL if known is None]
    assert {name for name, _, _ in made} == {"error", "notice"} | (set() if strict else {"warning"})
    for (command, properties, message), (name, finding) in zip(made, pairs, strict=True):
        assert (command == "error") == fails(finding, None, strict)
        if finding.message.isprintable():
            assert properties["file"] == name
            first, rule, link = message.split("\n")
            assert first == f"{finding.path or 'input'} at offset {finding.offset}: {finding.message}"
            assert (rule, link) == (finding.rule, f"{SITE}/requirements.html#{finding.id}")
        assert properties["title"] == finding.id
        assert properties.get("line") == (None if finding.line is None else str(finding.line))


# People read text.

SHOWN = """\
x: offset 0x7 (7), client: error: expected a, found b [command-name.eos-exclusive]
  frames[0].flags of command-name, request 1, stream 1: bits 0 to 1 of 0x17, ......11
  00000000  0e 00 00 01 00 01 01 17 63 75 73 74 6f 6d        ........custom
                                 ^^
  = A client MUST NOT set eos together with have-args or have-data.

x: offset 0x7 (7), client: warning: expected a, found b [text-output.newline]
  frames[0].flags of command-name, request 1, stream 1
  00000000  0e 00 00 01 00 01 01 17 63 75 73 74 6f 6d        ........custom
                                 ^^^^^^^^^^^
  = A server SHOULD end the last atom of a message in a newline.

"""
NOTHING_AROUND = """\
x: offset 0x7 (7): note: expected a, found b [stream.end]
  input
  = A sender MUST set stream-end on the last frame of a stream.

"""


def text_of(*findings: Finding, **options: Any) -> str:
    """What is shown of findings, without the line at the end."""
    return written("text", [("x", [(one, None) for one in findings])], **options).rpartition("x: ")[0]


def test_text() -> None:
    assert text_of(MADE[0][0], MADE[1][0]) == SHOWN
    assert text_of(MADE[3][0]) == NOTHING_AROUND
    assert written("text", INPUTS[:1]) == "good.bin: good (3 frames, 1000 bytes)\n"
    assert (
        written("text", [("x", MADE)]).splitlines()[-1]
        == "x: 5 errors, 1 warning, 1 note, 1 known (3 frames, 1000 bytes)"
    )
    assert written("text", [("x", MADE[2:3])]) == "x: 1 known (3 frames, 1000 bytes)\n"


def test_text_of_a_session_has_line_and_side() -> None:
    assert text_of(plain(line=3, side="server")).startswith("x:3: offset 0x7 (7), server: error: ")


def test_text_says_where_nothing_more_could_be_looked_at() -> None:
    text = text_of(MADE[5][0])
    assert text.endswith("\n  = The rest of the input could not be checked.\n\n")
    # The mark is where the next byte would be.
    row, mark = text.splitlines()[2:4]
    assert row[mark.index("^") - 3 :].startswith("6d   ")


def test_text_shows_no_more_rows_than_it_says() -> None:
    rows = [line for line in text_of(MADE[6][0]).splitlines() if re.match("  [0-9a-f]{8,}  ", line)]
    assert len(rows) == MOST_ROWS
    assert text_of(MADE[6][0]).count(" ...\n") == 1
    assert rows[0].startswith("  ffffffff90  ")


def test_colours_change_nothing_but_colours() -> None:
    for site in ("", SITE):
        coloured = written("text", INPUTS, colour=True, site=site)
        assert re.sub("\x1b\\[[0-9;]*m", "", coloured) == written("text", INPUTS, site=site)
        assert coloured.count("\x1b[1;31merror\x1b[0m") == sum(finding.severity == ERROR for _, finding, _ in ALL)
    assert f"  = {SITE}/requirements.html#command-name.eos-exclusive\n" in written("text", INPUTS, site=SITE)
