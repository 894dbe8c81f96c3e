"""Line breaks in generated Python, in the same places as those of the formatter.

Emitters write each statement on one line of any length. Once a module is complete, :func:`fitted` breaks the lines that are
too long: inside brackets, with one item per line. Because of the comma after the last item, the formatter keeps these breaks.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["WIDTH", "Group", "fitted", "flat", "lay_out"]

WIDTH = 120
"""The largest number of columns of a line, which is also the formatter's setting."""

_TOKEN = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[\[\](){},]|[^"'\[\](){},]+""")
_OPERATORS = tuple(
    re.compile(rf" (?=(?:{operators}) )")
    for operators in ("or", "and", "==|!=|<=|>=|<|>|in|not in", r"\|", "&", "<<|>>", r"\+|-", r"\*|/")
)
"""The places before operators, from the lowest to the highest precedence."""
_OPENING, _CLOSING = frozenset("[({"), frozenset("])}")
_ASSIGNMENT = re.compile(r" (?==[ ])")
_COMPREHENSION = re.compile(r" (?=for )")


class Group(NamedTuple):
    """An expression in brackets: ``head`` opens them, ``tail`` closes them, and commas separate the items between them."""

    head: str
    items: Sequence[str | Group]
    tail: str = ")"


def flat(node: str | Group) -> str:
    """Returns the text of a node on one line."""
    if isinstance(node, str):
        return node
    comma = (
        "," if node.head.endswith("(") and node.tail == ")" and len(node.items) == 1 and _is_tuple(node.head) else ""
    )
    return f"{node.head}{', '.join(map(flat, node.items))}{comma}{node.tail}"


def _is_tuple(head: str) -> bool:
    """Returns True if the bracket at the end of ``head`` opens a tuple, False if it opens a call."""
    return head in ("(", "return (") or head.endswith(("= (", "=(", ": ("))


def fitted(code: str) -> str:
    """Returns the code with its long lines broken, except docstrings and comments."""
    lines: list[str] = []
    in_docstring = False
    for line in code.split("\n"):
        text = line.lstrip(" ")
        starts = not in_docstring and text.startswith('"""')
        if starts or in_docstring or len(line) <= WIDTH or text.startswith("#"):
            lines.append(line)
        else:
            lines += _statement(text, len(line) - len(text))
        if starts:
            in_docstring = '"""' not in text[3:]
        elif in_docstring:
            in_docstring = not line.endswith('"""')
    return "\n".join(lines)


def _statement(text: str, indent: int) -> list[str]:
    """Returns the lines of a statement, of the first line of one, or of an item with its comma."""
    pad = " " * indent
    code, mark, note = text.partition("  # noqa")
    if mark:
        # A comment for the linter may exceed the width.
        first, *others = lay_out(code, indent)
        return [f"{first}{mark}{note}", *others]
    if found := re.match(r"(from \S+ import )(.*)", text):
        return [f"{pad}{found[1]}(", *(f"{pad}    {name}," for name in found[2].split(", ")), f"{pad})"]
    if found := re.match(r"((?:if|elif|while) )(?!not \()(.*):\Z", text):
        return _in_parentheses(f"{pad}{found[1]}", found[2], ":", indent)
    if text.endswith(","):
        *lines, last = lay_out(text[:-1], indent, 1)
        return [*lines, f"{last},"]
    target, *values = _at_operators(text, _ASSIGNMENT)
    if not values:
        return lay_out(text, indent)
    value = values[0].removeprefix("= ")
    if len(_split(value)) > 1:
        # The comma must fit, too.
        items = [_operands(f"{each},", indent + 4) for each in _split(value)]
        return [f"{pad}{target} = (", *(line for item in items for line in item), f"{pad})"]
    if len(_split(target)) > 1:
        return [f"{pad}(", *(f"{pad}    {each}," for each in _split(target)), f"{pad}) = {value}"]
    if not _is_broken_in_brackets(value, WIDTH - indent - len(text) + len(value)):
        return _in_parentheses(f"{pad}{target} = ", value, "", indent)
    return lay_out(text, indent, begins=len(text) - len(value))


def _is_broken_in_brackets(value: str, room: int) -> bool:
    """Returns True if brackets of the value open within ``room`` columns, and no operators are beside them."""
    opens_in_time = any(start < room for start, _ in _brackets(value))
    return opens_in_time and all(len(_at_operators(value, one)) == 1 for one in _OPERATORS)


def _in_parentheses(head: str, text: str, tail: str, indent: int) -> list[str]:
    """Returns the lines of an expression with parentheses around it."""
    pad = " " * indent
    return [f"{head}(", *_operands(text, indent + 4), f"{pad}){tail}"]


def _operands(text: str, indent: int, operators: Sequence[re.Pattern[str]] = _OPERATORS) -> list[str]:
    """Returns the lines of an expression within brackets: one if it fits, else one for each operand."""
    if indent + len(text) > WIDTH:
        for number, operator in enumerate(operators, 1):
            operands = _at_operators(text, operator)
            if len(operands) > 1:
                return [line for each in operands for line in _operands(each, indent, operators[number:])]
    return lay_out(text, indent)


def lay_out(node: str | Group, indent: int = 0, after: int = 0, begins: int = 0) -> list[str]:
    """Returns the lines of a node: one if it fits, else one per item.

    ``after``: the columns that must stay free after it. ``begins``: the first column at which it may be broken.
    """
    pad = " " * indent
    line = flat(node)
    if indent + len(line) + after <= WIDTH:
        return [f"{pad}{line}"]
    brackets = [pair for pair in _brackets(line) if pair[0] >= begins]
    if not brackets:
        return [f"{pad}{line}"]
    if line.startswith("def "):
        start, end = brackets[0]
    else:
        # Use the last brackets that open within the width.
        short = [(start, end) for start, end in brackets if indent + start < WIDTH]
        start, end = (short or brackets)[-1]
    head, inside, tail = line[: start + 1], line[start + 1 : end], line[end:]
    # The formatter breaks lines before the operator that names a field.
    lines = [f"{pad}{part}" for part in re.sub(r'^("\w+") / ', r"\1\n/ ", head).split("\n")]
    items = _split(inside)
    if (len(items) == 1 and re.search(r"(?:^|\s)\(\Z", head)) or _is_subscript(line, start):
        lines += _operands(inside, indent + 4)
    elif len(parts := _at_operators(inside, _COMPREHENSION)) > 1:
        fits = indent + 4 + len(inside) <= WIDTH
        lines += [f"{pad}    {part}" for part in ([inside] if fits else parts)]
    else:
        for item in items:
            inner = lay_out(item, indent + 4, 1)
            lines += [*inner[:-1], f"{inner[-1]},"]
    return [*lines, f"{pad}{tail}"]


def _is_subscript(line: str, start: int) -> bool:
    return line[start] == "[" and start > 0 and (line[start - 1].isalnum() or line[start - 1] in "_)]")


@lru_cache(maxsize=8)
def _outside(text: str) -> tuple[tuple[int, str], ...]:
    """Returns the offset and text of each token outside of brackets, and of the outermost brackets."""
    found = []
    depth = 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        depth -= token in _CLOSING
        if not depth:
            found.append((match.start(), token))
        depth += token in _OPENING
    return tuple(found)


def _brackets(text: str) -> list[tuple[int, int]]:
    """Returns the offsets at which the outermost brackets open and close, without empty ones."""
    places = [start for start, part in _outside(text) if part in _OPENING or part in _CLOSING]
    pairs = zip(places[::2], places[1::2], strict=True)
    return [(start, end) for start, end in pairs if end > start + 1]


def _split(text: str) -> list[str]:
    """Returns the parts of code between the commas outside of brackets."""
    parts = _parts(text, [start for start, part in _outside(text) if part == ","])
    return [part for part in (part.removeprefix(",").strip() for part in parts) if part]


def _at_operators(text: str, operator: re.Pattern[str]) -> list[str]:
    """Returns the operands of an operator outside of brackets, each with the operator before it."""
    tokens = ((start, part) for start, part in _outside(text) if part[0] not in "\"'")
    return _parts(text, [start + found.start() for start, part in tokens for found in operator.finditer(part)])


def _parts(text: str, places: list[int]) -> list[str]:
    return [text[start:end].strip() for start, end in zip([0, *places], [*places, None], strict=True)]
