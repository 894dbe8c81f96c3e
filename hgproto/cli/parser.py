"""A parser of command lines with printable messages, examples in its help, and inputs anywhere between options.

:mod:`argparse` accepts several inputs only next to each other. Its ``parse_intermixed_args`` accepts them anywhere, but not in
subcommands, and in Python 3.11 not after ``--``. So the parser sorts the words of a command with several inputs first.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import textwrap
from difflib import get_close_matches
from typing import TYPE_CHECKING

from hgproto.errors import printable, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn

__all__ = ["Parser", "examples", "wrapped"]

_WIDTH = 98
"""Largest width of help texts and errors."""

_NUMBER = re.compile(r"-(?:\d+|\d*\.\d+)\Z")
"""Words that argparse parses as negative numbers, not as options."""


def examples(*commands: str) -> str:
    """Returns the part of a help text that shows ``commands``, one per line."""
    return "\n".join(("Examples:", *(f"  {command}" for command in commands)))


def wrapped(message: str) -> str:
    """Returns the lines of a printable message for a terminal. Words, such as names of files, are not split."""
    lines = textwrap.wrap(
        printable(message), _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    return "".join(f"{line}\n" for line in lines)


class _Formatter(argparse.HelpFormatter):
    """Formatter of help texts. Indented lines keep their line breaks."""

    def __init__(self, prog: str) -> None:
        width = shutil.get_terminal_size((_WIDTH + 2, 24)).columns - 2
        super().__init__(prog, width=min(width, _WIDTH))

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = text.split("\n")
        return "\n".join(
            line if not line or line.startswith("  ") else argparse.HelpFormatter._fill_text(self, line, width, indent)  # noqa: SLF001
            for line in lines
        )


class Parser(argparse.ArgumentParser):
    """A parser with printable messages that accepts inputs between options."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"formatter_class": _Formatter, **options})

    def error(self, message: str) -> NoReturn:
        """Ends the program with a printable message, in lines of limited width."""
        self.print_usage(sys.stderr)
        self.exit(2, wrapped(f"{self.prog}: error: {message}"))

    def parse_known_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:
        """Parses words like argparse after sorting them."""
        several = any(not action.option_strings and action.nargs in ("*", "+") for action in self._actions)
        return super().parse_known_args(self._ordered(args) if several and args is not None else args, namespace)

    def _ordered(self, words: Iterable[str]) -> list[str]:
        """Returns the words in an order that argparse accepts: options with their values, ``--``, and inputs.

        Words that are wrong stay next to each other, so that argparse reports them.
        """
        options: list[str] = []
        inputs: list[str] = []
        awaits_value = False
        rest = iter(words)
        for word in rest:
            if word == "--":
                inputs += rest
            elif self._is_option(word):
                options.append(word)
                awaits_value = self._awaits_value(word)
            elif awaits_value:
                options.append(word)
                awaits_value = False
            else:
                inputs.append(word)
        return [*options, "--", *inputs] if inputs else options

    def _is_option(self, word: str) -> bool:
        if not word.startswith("-") or word == "-":
            return False
        return bool(self._actions_of(word)) or not (" " in word or _NUMBER.match(word))

    def _awaits_value(self, word: str) -> bool:
        """True if the value of the option is the next word."""
        actions = self._actions_of(word)
        return "=" not in word and len(actions) == 1 and actions[0].nargs != 0

    def _actions_of(self, word: str) -> list[argparse.Action]:
        """Returns the options that a word can mean: the option with that spelling, or all that begin with it."""
        spelling = word.partition("=")[0]
        known = self._option_string_actions
        return [known[spelling]] if spelling in known else [known[one] for one in known if one.startswith(spelling)]

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            close = get_close_matches(str(value), map(str, action.choices), n=1)
            remedy = f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(map(str, action.choices))}"
            raise argparse.ArgumentError(action, f"unknown word {quoted(str(value))}; {remedy}")
