"""Inputs are accepted before, between, and after the options of every command."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import pytest

from hgproto import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

VALUES = {"NAME=N": "arguments=2", "KIND": "wire"}
"""Values that options accept, by what help calls them; all other options accept 7."""


def leaves(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command that has no commands of its own."""
    commands = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not commands:
        yield name, parser
    for action in commands:
        for word, command in action.choices.items():
            yield from leaves(command, f"{name} {word}".strip())


COMMANDS = dict(leaves(cli.parser()))
INPUTS = {
    name: [action for action in parser._actions if not action.option_strings] for name, parser in COMMANDS.items()
}
SEVERAL = [name for name, inputs in INPUTS.items() if any(one.nargs in ("*", "+") for one in inputs)]
OPTIONS = [
    (name, action, spelling)
    for name, parser in COMMANDS.items()
    for action in parser._actions
    for spelling in action.option_strings
    if not isinstance(action, argparse._HelpAction) and action.nargs is not argparse.ONE_OR_MORE
]


def value_of(action: argparse.Action) -> list[str]:
    """A value that the option accepts; none for one without."""
    if action.nargs == 0:
        return []
    return [str(next(iter(action.choices)))] if action.choices else [VALUES.get(str(action.metavar), "7")]


def given(words: list[str], action: argparse.Action | None = None) -> object:
    """What the command line says of an argument; of the inputs, if there is no argument."""
    options = vars(cli.parser().parse_args(words))
    if action is not None:
        return options[action.dest]
    return [options[one.dest] for one in INPUTS[" ".join(words[: 1 + (words[0] in ("corpus", "schema"))])]]


def test_the_commands_with_several_inputs_are_known() -> None:
    assert SEVERAL == ["validate", "explain", "coverage", "schema check"]


@pytest.mark.parametrize(("name", "action", "spelling"), OPTIONS, ids=lambda one: one if isinstance(one, str) else "")
def test_inputs_are_on_both_sides_of_every_option(name: str, action: argparse.Action, spelling: str) -> None:
    inputs = ["a", "-", "c", "d"] if name in SEVERAL else ["a", "b"][: len(INPUTS[name])]
    option = [spelling, *value_of(action)]
    command = name.split()
    expected = [inputs] if name in SEVERAL else inputs
    value = given([*command, *option, *inputs], action)
    for at in range(len(inputs) + 1):
        words = [*command, *inputs[:at], *option, *inputs[at:]]
        assert given(words) == expected
        assert given(words, action) == value
    for at in range(len(inputs)):
        # What follows -- is an input, whatever it looks like.
        last = ["--", *inputs[at:-1], "-x"]
        words = [*command, *inputs[:at], *option, *last]
        assert given(words) == ([[*inputs[:-1], "-x"]] if name in SEVERAL else [*inputs[:-1], "-x"])
        assert given(words, action) == value


@pytest.mark.parametrize(
    ("words", "inputs", "role"),
    [
        ("a --role=client b --role server c", ["a", "b", "c"], "server"),
        ("a --ro client b", ["a", "b"], "client"),
        ("a --ro=client b", ["a", "b"], "client"),
        ("a --strict b --role client c --hex d", ["a", "b", "c", "d"], "client"),
        ("-1 --role client b", ["-1", "b"], "client"),
        ("a --role client -- --role server", ["a", "--role", "server"], "client"),
        ("a --strict -- -- b", ["a", "--", "b"], None),
        ("--role client", ["-"], "client"),
        ("--role client --", ["-"], "client"),
        ("--", ["-"], None),
    ],
)
def test_every_spelling_of_an_option_has_inputs_on_both_sides(words: str, inputs: list[str], role: str | None) -> None:
    options = cli.parser().parse_args(["validate", *words.split()])
    assert (options.input, options.role) == (inputs, role)


def test_a_name_with_a_space_is_an_input() -> None:
    assert cli.parser().parse_args(["validate", "- a", "--strict", "b"]).input == ["- a", "b"]


@pytest.mark.parametrize("name", SEVERAL)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("a --nothing b", "unrecognized arguments: --nothing"),
        ("a --nothing=1 b -x", "unrecognized arguments: --nothing=1 -x"),
    ],
)
def test_what_is_no_option_is_rejected(name: str, words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main([*name.split(), *words.split()])
    error = capsys.readouterr().err
    assert error.startswith(f"usage: hgproto {name} ")
    assert error.endswith(f": error: {message}\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("a --role", "argument --role: expected one argument"),
        ("a --role --strict b", "argument --role: expected one argument"),
        ("a --role -- b", "argument --role: expected one argument"),
        ("a --max-payload -5 b", "argument --max-payload: expected a whole number of at least 1, found '-5'"),
        ("a --role x b", "argument --role: unknown word 'x'; use one of client, server, both"),
        ("a --s b", "ambiguous option: --s could match --strict, --select, --site"),
    ],
)
def test_an_option_that_is_wrong_is_rejected(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["validate", *words.split()])
    error = capsys.readouterr().err
    assert "[FILE|-|DIRECTORY ...]" in error.replace("\n" + " " * 25, " ")
    assert error.endswith(f": error: {message}\n")


def test_several_inputs_are_required_where_one_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["coverage", "--role", "client"])
    assert capsys.readouterr().err.endswith(": error: the following arguments are required: FILE\n")
