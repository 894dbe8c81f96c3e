"""What a schema must hold: machines over all combinations, and no edit that crashes.

The messages, each with its place, are in the list of breakages.
"""

from __future__ import annotations

import random
import re
import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import ROOT, SCHEMA

from hgproto.evidence.prove import prove
from hgproto.language import SchemaError, check, load
from hgproto.language.model import Condition, Guard, Machine, Row, Schema
from hgproto.language.problems import Place

if TYPE_CHECKING:
    from pathlib import Path

OURS = load(SCHEMA / "framing-0002.yaml")
ALIEN = load(ROOT / "tests" / "data" / "alien.yaml")
HERE = Place("here", 1, 1)


@pytest.mark.parametrize("schema", [OURS, ALIEN], ids=lambda schema: schema.revision)
def test_a_good_schema_has_no_faults(schema: Schema) -> None:
    assert check(schema) == []


def test_only_rules_of_a_map_that_can_be_broken_are_asked_for_and_enforce_anything(tmp_path: Path) -> None:
    text = (ROOT / "tests" / "data" / "alien.yaml").read_text(encoding="utf-8")
    for entry in ("level: {type: int, minimum: 3", "since_when: {type: uint", "x: {type: int"):
        assert entry in text
        text = text.replace(entry, f"{entry}, optional: true")
    file = tmp_path / "alien.yaml"
    file.write_text(text, encoding="utf-8")
    assert "nothing in the codec enforces 'status.keys'" in [problem.message for problem in check(load(file))]
    file.write_text(text.replace("      missing: status.keys\n", ""), encoding="utf-8")
    assert not [problem.message for problem in check(load(file)) if "'missing'" in problem.message]
    file.write_text(text.replace("      missing: status.keys\n", "      cut: status.keys\n"), encoding="utf-8")
    assert "nothing in the codec enforces 'status.keys'" in [problem.message for problem in check(load(file))]


def test_rules_that_nothing_can_break_enforce_nothing(tmp_path: Path) -> None:
    notes = re.findall(r"^```yaml\n(language: 1\n.*?)^```", (SCHEMA / "README.md").read_text(), re.S | re.M)[0]
    idle = (
        "  idle.rule: {binds: sender, level: MUST, text: be, why: None., source: ours, section: '1', enforced: codec}\n"
    )
    notes = notes.replace("requirements:\n", "requirements:\n" + idle)
    changes = [
        (
            "rules: {cut: note.whole, charset: note.utf8}",
            "rules: {cut: note.whole, charset: note.utf8, surplus: idle.rule}",
        ),
        ("{name: title_length, type: u8,", "{name: title_length, type: u8, rules: {overflow: idle.rule},"),
    ]
    file = tmp_path / "notes.yaml"
    for old, new in changes:
        assert old in notes
        file.write_text(notes.replace(old, new), encoding="utf-8")
        assert [problem.message for problem in check(load(file))] == ["nothing in the codec enforces 'idle.rule'"]


def test_flags_that_share_a_bit_are_told_without_trying_all_combinations(monkeypatch: pytest.MonkeyPatch) -> None:
    def tried(*_: object) -> None:
        pytest.fail("sixty flags have more combinations than there is time")

    monkeypatch.setattr(sys.modules["hgproto.language.constraints"], "_every_flag_set", tried)
    data = OURS.frames["command-data"]
    flags = tuple(replace(data.flags[0], name=f"flag-{number}") for number in range(60))
    found = check(replace(OURS, frames={"command-data": replace(data, flags=flags)}, machines={}, emits={}, events={}))
    assert sum("overlaps 'flag-0' at bit 0" in problem.message for problem in found) == 59


# Machines.


def machine(*rows: tuple[Condition | None, str], states: tuple[str, ...] = ("one", "two")) -> Schema:
    """A schema with one machine, which leaves its first state by these conditions."""
    transitions = [
        Row("one", ("command-data",), None, when, to, None, None, None, None, None, Place("here", line, 1))
        for line, (when, to) in enumerate(rows, 10)
    ]
    made = Machine(
        name="it",
        role="server",
        scope="request",
        doc="A machine.",
        initial="one",
        states=dict.fromkeys(states, "A state."),
        transitions=tuple(transitions),
        otherwise="reactor.errored",
        place=HERE,
        state_places={state: Place("here", line, 1) for line, state in enumerate(states, 1)},
    )
    guards = {name: Guard(name, values, "A question.", HERE) for name, values in (("ready", ()), ("size", ("s", "l")))}
    return replace(OURS, machines={"it": made}, guards=guards, messages={}, emits={}, events={})


EOS, MORE = Condition("flag", "eos"), Condition("flag", "continuation")
READY, SMALL, LARGE = Condition("guard", "ready"), Condition("guard", "size", "s"), Condition("guard", "size", "l")
IN_ONE = Condition("state", "it", "one")


def no(part: Condition) -> Condition:
    return Condition("not", parts=(part,))


def both(*parts: Condition) -> Condition:
    return Condition("and", parts=parts)


def either(*parts: Condition) -> Condition:
    return Condition("or", parts=parts)


MACHINES: list[tuple[str, list[tuple[Condition | None, str]], list[str]]] = [
    # command-data has just one of eos and continuation, so these two are disjoint.
    ("flags that exclude each other", [(EOS, "one"), (MORE, "two")], []),
    ("answers that exclude each other", [(SMALL, "one"), (LARGE, "two")], []),
    ("a guard and not", [(READY, "one"), (no(READY), "two")], []),
    ("parts of all", [(both(EOS, READY), "one"), (both(EOS, no(READY)), "two"), (MORE, "two")], []),
    ("one of two", [(either(both(EOS, READY), MORE), "one"), (both(EOS, no(READY)), "two")], []),
    ("a state", [(IN_ONE, "one"), (no(IN_ONE), "two")], []),
    ("no condition, twice", [(None, "one"), (None, "two")], ["here:11:1"]),
    ("a flag and a guard", [(EOS, "one"), (READY, "two")], ["here:11:1"]),
    ("two guards", [(SMALL, "one"), (READY, "two")], ["here:11:1"]),
    ("flags that no frame has together", [(both(EOS, MORE), "two"), (EOS, "two")], ["here:10:1"]),
    ("two answers at once", [(both(SMALL, LARGE), "two"), (SMALL, "two")], ["here:10:1"]),
    ("a state that nothing leads to", [(EOS, "one"), (MORE, "one")], ["here:2:1"]),
]


@pytest.mark.parametrize(("rows", "places"), [case[1:] for case in MACHINES], ids=[case[0] for case in MACHINES])
def test_rows_are_proven_over_all_combinations(rows: list[tuple[Condition | None, str]], places: list[str]) -> None:
    found = [problem for problem in check(machine(*rows)) if "enforces" not in problem.message]
    assert [str(problem.place) for problem in found] == places


def test_combinations_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = machine((both(EOS, SMALL, READY), "two"))
    module = sys.modules["hgproto.language.rows"]
    # The flag is set or not, and each of the guards has two answers.
    monkeypatch.setattr(module, "MAX_ASSIGNMENTS", 8)
    assert not any("too many" in problem.message for problem in check(schema))
    monkeypatch.setattr(module, "MAX_ASSIGNMENTS", 7)
    (problem,) = [problem for problem in check(schema) if "too many" in problem.message]
    assert str(problem.place) == "here:10:1"
    assert problem.message.startswith("more than 7 combinations")


# No edit may crash.

TOKEN = re.compile(r'"[^"\n]*"|[A-Za-z0-9_.-]+|[{}\[\],:]')
WORDS = [
    *("yes", "null", "-1", "255", "1.0", ".inf", "9" * 50, "0x", "~", "{}", "[]", '""', '"a\\n"', "&a", "*a", "!x"),
    *("u8", "u24", "u32", "ascii", "utf8", "bytes", "rest", "to-end", "class", "extra", "frame", "length", "payload"),
    *("- ", ": ", "? ", "# ", "| ", "\t", "\x00", "\u2028", "é", "\U0001f600", "%", "'", '"', "{", "}", "[", "]", "\n"),
]


def edited(text: str, kind: str, rng: random.Random) -> str:
    """The text after one edit."""
    lines, tokens = text.split("\n"), list(TOKEN.finditer(text))
    line, token = rng.randrange(len(lines)), rng.choice(tokens)
    match kind:
        case "delete a line":
            del lines[line]
        case "duplicate a line":
            lines.insert(line, lines[line])
        case "swap two tokens":
            index = rng.randrange(len(tokens) - 12)
            first, second = tokens[index], tokens[index + rng.randrange(1, 12)]
            between = text[first.end() : second.start()]
            return text[: first.start()] + second[0] + between + first[0] + text[second.end() :]
        case "change a scalar":
            new = rng.choice([*WORDS, rng.choice(tokens)[0]])
            return text[: token.start()] + new + text[token.end() :]
        case "insert characters":
            at = rng.randrange(len(text))
            return text[:at] + "".join(rng.choice(WORDS) for _ in range(rng.randrange(1, 3))) + text[at:]
        case "delete characters":
            at = rng.randrange(len(text))
            return text[:at] + text[at + rng.randrange(1, 40) :]
    return "\n".join(lines)


EDITS = (
    "delete a line",
    "duplicate a line",
    "swap two tokens",
    "change a scalar",
    "insert characters",
    "delete characters",
)


@settings(max_examples=settings().max_examples // 6)
@given(st.sampled_from(EDITS), st.integers(0, 2**32))
def test_no_edit_gives_anything_but_problems(tmp_path_factory: pytest.TempPathFactory, kind: str, seed: int) -> None:
    directory = tmp_path_factory.getbasetemp()
    shutil.copy(SCHEMA / "framing.yaml", directory)
    text = (SCHEMA / "framing-0002.yaml").read_text(encoding="utf-8")
    file: Path = directory / "edited.yaml"
    file.write_text(edited(text, kind, random.Random(seed)), encoding="utf-8", newline="")  # noqa: S311 - no secrets
    try:
        schema = load(file)
        problems = check(schema)
        if not problems:
            problems, _ = prove(schema)
    except SchemaError as error:
        problems = list(error.problems)
    for problem in problems:
        assert problem.place.line >= 1
        assert problem.place.column >= 1
        assert problem.message
        assert problem.help
