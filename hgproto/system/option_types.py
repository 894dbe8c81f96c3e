"""Types of command-line options for :mod:`argparse`: numbers in a range, and names that are not empty.

``int`` and ``float`` accept too much: ``nan``, ``inf``, ``1_000``, and digits of any script.
"""

from __future__ import annotations

import math
import re
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

from hgproto.errors import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOST_SEED", "above_zero", "name_of", "percentage", "seconds", "setting", "whole"]

MOST_SEED = (1 << 64) - 1
"""The largest seed. Negative seeds are excluded because Python's generator drops the sign."""
_WHOLE = re.compile(r"-?\d{1,40}\Z", re.ASCII)
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z", re.ASCII)
_MOST_SHOWN = 40


def whole(least: int = 0, most: int | None = None) -> Callable[[str], int]:
    """Returns a type for whole numbers from ``least`` to ``most``, both included. ``most``: None for no upper bound."""
    range_ = f"of at least {least}" if most is None else f"from {least} to {most}"

    def typed(text: str) -> int:
        value = int(text) if _WHOLE.match(text) else None
        if value is None or value < least or (most is not None and value > most):
            raise ArgumentTypeError(f"expected a whole number {range_}, found {_shown(text)}")
        return value

    return typed


def seconds(most: float | None = None) -> Callable[[str], float]:
    """Returns a type for seconds above 0 and at most ``most``."""
    range_ = "above 0" if most is None else f"above 0 and at most {most:g}"

    def typed(text: str) -> float:
        value = float(text) if _NUMBER.match(text) else math.nan
        if not 0 < value < math.inf or (most is not None and value > most):
            raise ArgumentTypeError(f"expected a number of seconds {range_}, found {_shown(text)}")
        return value

    return typed


def above_zero(text: str) -> float:
    """Converts a number above 0."""
    value = float(text) if _NUMBER.match(text) else math.nan
    if not 0 < value < math.inf:
        raise ArgumentTypeError(f"expected a number above 0, found {_shown(text)}")
    return value


def percentage(text: str) -> float:
    """Converts a percentage from 0 to 100."""
    value = float(text) if _NUMBER.match(text) else math.nan
    if not 0 <= value <= 100:
        raise ArgumentTypeError(f"expected a percentage from 0 to 100, found {_shown(text)}")
    return value


def setting(text: str) -> str:
    """Checks a name and a whole number, such as ``arguments=2``, and returns the text."""
    name, equals, number = text.partition("=")
    if not (name and equals and number[:1] != "-" and _WHOLE.match(number)):
        raise ArgumentTypeError(f"expected a name and a whole number, such as arguments=2, found {_shown(text)}")
    return text


def name_of(what: str, otherwise: str = "") -> Callable[[str], str]:
    """Returns a type for names that are not empty. ``what``: the thing that has the name. ``otherwise``: a remedy for messages."""

    def typed(text: str) -> str:
        if not text:
            remedy = f"; {otherwise}" if otherwise else ""
            raise ArgumentTypeError(f"expected the name of {what}, found an empty one{remedy}")
        return text

    return typed


def _shown(text: str) -> str:
    return quoted(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}...")
