"""A parser of command lines that accepts inputs on both sides of an option, and whose messages are printable.

:mod:`argparse` accepts several inputs only next to each other. Its ``parse_intermixed_args`` accepts them anywhere, but not in
subcommands, and in Python 3.11 not after ``--``. So the parser sorts the words of a command with several inputs first.
"""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from hgproto.errors import printable, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn

__all__ = ["Parser"]

_NUMBER = re.compile(r"-(?:\d+|\d*\.\d+)\Z")
"""Words that argparse accepts as negative numbers, and not as options."""


class Parser(argparse.ArgumentParser):
    """A parser whose messages are printable, and whose inputs may be anywhere."""

    def error(self, message: str) -> NoReturn:
        """Ends the program with a printable message."""
        super().error(printable(message))

    def parse_known_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:
        """Parses words as argparse does, after sorting them."""
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
        """True for an option that has its value in the next word."""
        actions = self._actions_of(word)
        return "=" not in word and len(actions) == 1 and actions[0].nargs != 0

    def _actions_of(self, word: str) -> list[argparse.Action]:
        """Returns the options that a word may stand for: one that is spelled so, or all that begin so."""
        spelling = word.partition("=")[0]
        known = self._option_string_actions
        return [known[spelling]] if spelling in known else [known[one] for one in known if one.startswith(spelling)]

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            choices = ", ".join(map(repr, action.choices))
            raise argparse.ArgumentError(action, f"invalid choice: {quoted(str(value))} (choose from {choices})")
