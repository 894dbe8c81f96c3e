"""Numbers on the command line: every numeric option of every command refuses what is out of its range, in one line."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import pytest

from hgproto.cli import main, parser
from hgproto.fuzz.__main__ import main as harness_main
from hgproto.system.option_types import percentage, seconds, setting, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NEVER = ("nan", "inf", "-inf", "1e999", "", " ", "x", "1_0", "\u0663", "0x10", " 5", "5\n", "-1", "9" * 5000)
WHOLE = (*NEVER, "1.5", "1e3")
TINY = ("0", "0.0", "-0")


def actions(
    of: argparse.ArgumentParser, command: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.Action]]:
    """Every option of every command, with the words of the command."""
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, part in action.choices.items():
                yield from actions(part, (*command, name))
        else:
            yield command, action


NUMERIC = {
    ("fuzz", "--seed"): WHOLE,
    ("fuzz", "--max-time"): (*NEVER, *TINY),
    ("fuzz", "--max-cases"): (*WHOLE, *TINY),
    ("fuzz", "--max-findings"): (*WHOLE, *TINY),
    ("fuzz", "--timeout"): (*NEVER, *TINY, "1e10"),
    ("fuzz", "--max-growth"): (*WHOLE, *TINY, "1048577"),
    ("fuzz", "--max-ratio"): (*NEVER, *TINY),
    ("fuzz", "--minimize-share"): (*WHOLE, "91"),
    ("fuzz", "--minimize-time"): (*NEVER, *TINY),
    ("fuzz", "--rate"): (*WHOLE, "101"),
    ("fuzz", "--pid"): (*WHOLE, *TINY),
    ("sample", "--number"): WHOLE,
    ("sample", "--seed"): (*WHOLE, "18446744073709551616"),
    ("encode", "--max-payload"): (*WHOLE, *TINY),
    ("decode", "--max-payload"): (*WHOLE, *TINY),
    ("validate", "--max-payload"): (*WHOLE, *TINY),
    ("coverage", "--fail-under"): (*NEVER, "100.1"),
}
"""What each numeric option refuses."""
SEEN = {
    (command[-1], action.option_strings[-1]): action
    for command, action in actions(parser())
    # What names files is in the table of tests/cli/test_cli_usage.py.
    if action.type and not getattr(action.type, "__qualname__", "").startswith("name_of.")
}
OTHERS = {
    ("diff", "--fail-on"),
    ("fuzz", "--without"),
    *((name, "--limit") for name in ("decode", "fuzz", "session", "validate")),
}
"""Options with a type that is no number."""


def test_no_option_is_read_by_the_types_of_python() -> None:
    assert [name for name, action in SEEN.items() if action.type in (int, float)] == []
    # Whoever adds a numeric option says here what it refuses.
    assert set(SEEN) - OTHERS == set(NUMERIC)


def refused(call: Callable[[list[str]], object], words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The message that says why a command was refused, in one line."""
    with pytest.raises(SystemExit) as stopped:
        call(words)
    assert stopped.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    (first,) = [number for number, line in enumerate(lines) if ": error: " in line]
    # A long message has several lines.
    text = " ".join(" ".join(lines[first:]).split())
    assert len(text) < 250
    return text


@pytest.mark.parametrize(("command", "option"), NUMERIC)
def test_a_number_out_of_range_is_refused(command: str, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = {"fuzz": ["hgproto.fuzz.echo:serve"], "coverage": ["none"]}.get(command, [])
    for text in NUMERIC[command, option]:
        line = refused(main, [command, *words, f"{option}={text}"], capsys)
        assert f"{option}: expected a " in line
        assert f"found {text[:40]!r}"[:-1] in line


@pytest.mark.parametrize("command", ["fuzz", "session", "validate"])
@pytest.mark.parametrize("number", WHOLE)
def test_a_limit_that_is_no_number_is_refused(command: str, number: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = {"fuzz": ["hgproto.fuzz.echo:serve"]}.get(command, [])
    line = refused(main, [command, *words, f"--limit=arguments={number}"], capsys)
    assert "--limit: expected a name and a whole number, such as arguments=2, found 'arguments=" in line


@pytest.mark.parametrize(
    "words", [["--seed=-1"], ["--max-time=nan"], ["--max-time=0"], ["--max-cases=0"], ["--max-cases=x"]]
)
def test_our_own_harnesses_refuse_them_too(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "expected a " in refused(harness_main, ["reader", *words], capsys)


@pytest.mark.parametrize(
    ("type_", "good", "bad"),
    [
        (whole(), [("0", 0), ("7", 7), ("007", 7), ("9" * 40, int("9" * 40))], ["-1", "9" * 41]),
        (whole(1, 5), [("1", 1), ("5", 5)], ["0", "6"]),
        (whole(-3, -1), [("-3", -3), ("-1", -1)], ["-4", "0"]),
        (seconds(), [("0.5", 0.5), (".5", 0.5), ("1e3", 1000.0), ("5.", 5.0)], ["0", "1e400"]),
        (seconds(10.0), [("10", 10.0), ("1e-9", 1e-9)], ["10.1"]),
        (percentage, [("0", 0.0), ("100", 100.0), ("99.5", 99.5)], ["-0.1", "100.1", "nan"]),
        (setting, [("a=2", "a=2"), ("a-b=0", "a-b=0")], ["a", "a=", "=2", "a=-1", "a=b=2", "a=" + "9" * 41]),
    ],
    ids=["whole", "whole from to", "whole below 0", "seconds", "seconds to", "percentage", "setting"],
)
def test_a_type_accepts_its_range_and_no_more(type_: Any, good: list[tuple[str, Any]], bad: list[str]) -> None:
    assert [type_(text) for text, _ in good] == [value for _, value in good]
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError, match=r"^expected a .*, found '"):
            type_(text)
