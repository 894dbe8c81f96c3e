"""`hgproto explain`: every requirement explains itself without a gap, in text and in JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import ROOT

from hgproto.cli import main
from hgproto.cli.explain import text_of
from hgproto.evidence.examples import Examples
from hgproto.evidence.explain import explain, explanation_to_json
from hgproto.judging.finding import severity_of
from hgproto.revisions.framing_0002.requirements import REQUIREMENTS
from hgproto.revisions.revision import Revision

ALIEN = str(ROOT / "tests" / "data" / "alien.yaml")
URGENT = "      - {title: urgent, "
EXAMPLES = Examples(Revision("framing-0002"))

every = pytest.mark.parametrize("name", REQUIREMENTS)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["explain", *arguments]) == 0
    return capsys.readouterr().out


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["explain", *arguments])
    assert ended.value.code == 2
    return capsys.readouterr().err


@every
def test_nothing_is_missing(name: str) -> None:
    explanation = explain(name, examples=EXAMPLES)
    assert explanation.requirement is REQUIREMENTS[name]
    assert explanation.severity == severity_of(REQUIREMENTS[name])
    assert (explanation.bad is None) == bool(explanation.no_bad)
    assert explanation.no_bad.endswith(".") or not explanation.no_bad
    if explanation.bad is None:
        assert not explanation.refused


@pytest.mark.parametrize(
    ("name", "refused", "no_bad"),
    [
        ("command-name.ascii", True, ""),
        ("stream.end", False, ""),  # a note
        ("error-response.closes", False, ""),  # a warning
        ("text-output.percent", False, ""),  # by the validator alone
        ("request.limits", True, ""),  # a permission that shows
        ("request.interleaving", False, "A permission cannot be violated."),
        ("request.dispatch", False, "A permission cannot be violated."),  # though a machine knows it
        ("request.any-order", False, "This is a quality of the client that bytes do not show."),
        (
            "frame.field-range",
            False,
            "Only the sender's encoder can violate it: received values always fit their fields.",
        ),
        (
            "response.once",
            False,
            "No bytes violate only this requirement.",
        ),
    ],
)
def test_whether_it_is_refused_and_why_it_cannot_be_broken(name: str, refused: bool, no_bad: str) -> None:
    explanation = explain(name, examples=EXAMPLES)
    assert (explanation.refused, explanation.no_bad) == (refused, no_bad)


def test_there_may_be_no_example() -> None:
    explanation = explain("relay.parity", Revision(ALIEN))
    assert explanation.refused
    assert explanation.no_bad == "The vectors have no example of a violation."


def test_a_requirement_that_there_is_not() -> None:
    with pytest.raises(KeyError):
        explain("frame.colour")


@every
def test_the_text_says_all_of_it(name: str) -> None:
    requirement = REQUIREMENTS[name]
    lines = list(text_of(explain(name, examples=EXAMPLES)))
    words = " ".join(" ".join(lines).split())
    assert words.startswith(f"{name} ({requirement.level}, binds ")
    assert "None" not in words
    said = [requirement.sentence, requirement.why, requirement.reason, requirement.resolution, requirement.reference]
    for sentence in (*said, *requirement.places):
        assert sentence is None or " ".join(sentence.split()) in words
    assert "Bad: " in words or "Where it shows: " in words
    assert max(map(len, lines)) <= 104


@every
def test_the_json_says_all_of_it(name: str) -> None:
    explanation = explain(name, examples=EXAMPLES)
    shown = json.loads(json.dumps(explanation_to_json(explanation)))
    assert shown["sentence"] == REQUIREMENTS[name].sentence
    assert shown["places"] == list(REQUIREMENTS[name].places)
    assert (shown["bad"] is None) == (shown["no_bad"] is not None)
    for example in (shown["good"], shown["bad"]):
        for step in example["steps"] if example is not None else ():
            assert step["wire"] is None or bytes.fromhex(step["wire"])


def test_the_fault_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "command-name.eos-exclusive")
    assert text.endswith(
        """
    07 00 00 01 00 01 01 13 63 6f 6d 6d 61 6e 64
                         ^^
    byte 7, bits 0 to 1, frames[0].flags: expected eos without have-args or have-data, found
      eos|have-args
    1 1 stream-begin command-name eos|have-args command
"""
    )


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        # Over two rows.
        (
            "command-argument.header-whole",
            ["                                        ^^^^^^^^^^^", "    61 6c 75 65", "    ^^^^^^^^^^^"],
        ),
        # What is missing is marked behind what is there.
        ("frame.whole", ["    00 00 00 01 00 01 01", "                         ^"]),
        # The end of a side's output.
        ("stream.end", ["  > end", "    ^"]),
        # Most of a long payload is left out.
        ("frame.length-limit", ["    ... 224 bytes", "    00 00 00 00 00 00 00"]),
    ],
)
def test_marks(name: str, lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "\n".join(["", *lines, ""]) in printed(capsys, name)


def test_patterns_and_several_ids_are_each_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, "--format", "json", "progress.utf8", "progress.*", "stream.end")
    names = [json.loads(line)["id"] for line in shown.splitlines()]
    assert names[0] == "progress.utf8"
    assert names[-1] == "stream.end"
    assert sorted(names[:-1]) == sorted(name for name in REQUIREMENTS if name.startswith("progress."))


def test_without_an_id_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys).splitlines()
    assert [line.split()[0] for line in lines] == list(REQUIREMENTS)
    assert max(map(len, lines)) <= 100
    listed = [json.loads(line) for line in printed(capsys, "--format", "json").splitlines()]
    assert [one["sentence"] for one in listed] == [one.sentence for one in REQUIREMENTS.values()]


def test_an_id_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no requirement 'text-ouput.utf8'; did you mean 'text-output.utf8'?" in refusal(capsys, "text-ouput.utf8")
    assert "use one of bytes-response, " in refusal(capsys, "?")


def test_a_schema_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--revision", ALIEN, "chunk.surplus")
    assert "Bad: " in text
    assert "(the schema, structures.chunk)" in text


@pytest.mark.parametrize("continued", ["", "continued: true, "])
def test_the_place_of_a_frame_that_is_missing_is_marked(
    continued: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = f'      - {{title: nothing at all, hex: "", {continued}refused: relay.whole, offset: 0}}\n'
    lines = Path(ALIEN).read_text(encoding="utf-8").splitlines(keepends=True)
    schema = "".join(line for line in lines if "refused: relay.whole" not in line)
    (tmp_path / "alien.yaml").write_text(schema.replace(URGENT, f"{example}{URGENT}", 1), encoding="utf-8")
    assert main(["schema", "check", str(tmp_path / "alien.yaml")]) == 0
    capsys.readouterr()
    text = printed(capsys, "--revision", str(tmp_path / "alien.yaml"), "relay.whole")
    head, _, shown = text.partition("Bad: ")
    assert head
    assert shown.splitlines() == [
        "nothing at all (the schema, frames.hello)",
        "",
        "    ",
        "    ^",
        "    byte 0, flags_type: expected 1 byte, found 0 bytes",
    ]
