"""Words that select known faults."""

from __future__ import annotations

import pytest

from hgproto.fuzz.cases import Case
from hgproto.fuzz.ignore import KINDS, Ignored
from hgproto.fuzz.oracles import Oracle
from hgproto.fuzz.targets import Outcome

FAULTS = [
    ("crash", "", "struct.error in serve (mine.py:N)"),
    ("crash", "", "killed by SIGABRT"),
    ("rejects-valid", "", "at command-argument continuation"),
    ("accepts-invalid", "stream.begin-on-open", ""),
    ("breaks-rule", "stream.end", ""),
    ("breaks-rule", "frame.whole", "unreadable"),
]


@pytest.mark.parametrize(
    ("words", "selected"),
    [
        ([], []),
        (["stream.end"], [4]),
        (["stream.*"], [3, 4]),
        (["*"], [0, 1, 2, 3, 4, 5]),
        (["crash"], [0, 1]),
        (["crash:struct.error*"], [0]),
        (["crash:STRUCT*"], []),
        (["breaks-rule:stream.*"], [4]),
        (["breaks-rule:unreadable"], [5]),
        (["cause:*(mine.py:N)", "cause:at *"], [0, 2]),
        (["rejects-valid:at command-argument*"], [2]),
    ],
)
def test_words_select_faults(words: list[str], selected: list[int]) -> None:
    ignored = Ignored(words)
    assert [number for number, fault in enumerate(FAULTS) if ignored.has(*fault)] == selected


@pytest.mark.parametrize("word", ["crash:", "hang:", "cause:", ":"])
def test_an_empty_pattern_is_an_error(word: str) -> None:
    with pytest.raises(ValueError, match=f"^there is no pattern after '{word}'; add one, or remove the colon$"):
        Ignored([word])


@pytest.mark.parametrize("word", ["frame.hole", "crashes", "stream.x*", "", "Crash"])
def test_a_word_that_selects_nothing_is_an_error(word: str) -> None:
    with pytest.raises(
        ValueError, match=f"^there is no requirement '{word.replace('*', '[*]')}'; expected .*{', '.join(KINDS)}"
    ):
        Ignored([word])


def test_a_fault_behind_an_ignored_one_is_found() -> None:
    # Two requests without a response: one is a cut request, the other a command.
    case = Case(bytes.fromhex("0100000100010114 78 0100000300010011 79"), "")
    outcome = Outcome(b"")
    first = Oracle().judge(case, outcome)
    assert first is not None
    assert first.rule == "request.complete"
    second = Oracle(ignore=["request.complete"]).judge(case, outcome)
    assert second is not None
    assert (second.kind, second.rule, second.cause) == ("different-answer", "", "nothing instead of a response")
    assert Oracle(ignore=["request.complete", "different-answer", "breaks-rule"]).judge(case, outcome) is None
