"""``hgproto explain``: explains requirements, with bytes that meet them and bytes that violate them."""

from __future__ import annotations

import json
import textwrap
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from hgproto.cli.common import GOOD, UsageError, revision_of, revision_option
from hgproto.cli.parser import examples
from hgproto.errors import printable, quoted

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from hgproto.cli import Commands
    from hgproto.evidence.examples import Example, Fault, Step
    from hgproto.evidence.explain import Explanation
    from hgproto.runtime.catalogue import Requirement

__all__ = ["add", "text_of"]

_WIDTH = 100
_ROW_BYTES = 16
_MOST_ROWS = 4
"""Largest number of rows of bytes printed per step, including those with the fault."""
_SIDES = {"client": "> ", "server": "< ", None: "  "}


def add(commands: Commands) -> None:
    """Adds the command."""
    explain = commands.add_parser(
        "explain",
        help="explain a requirement",
        description="Explains requirements: the sentence, the reason, the source, and the code that enforces it, with bytes that "
        "meet it and bytes that violate it. Without an id, lists all requirements.",
        epilog=examples(
            "hgproto explain",
            "hgproto explain stream-id",
            "hgproto explain stream-id.parity",
            "hgproto explain 'text-output.*' --format json",
        ),
    )
    explain.add_argument(
        "ids",
        nargs="*",
        metavar="ID",
        help="id of a requirement or its unique last part; an area, such as text-output, to list it; or a pattern",
    )
    explain.add_argument("--format", choices=("text", "json"), default="text", help="json: one object per line")
    revision_option(explain)
    explain.set_defaults(run=_explain)


def _explain(options: argparse.Namespace) -> int:
    from hgproto.evidence.examples import Examples
    from hgproto.evidence.explain import explain, explanation_to_json

    revision = revision_of(options.revision)
    requirements = revision.requirements
    listed = _listed(options.ids, requirements)
    if listed:
        for line in _overview(listed, options.format):
            print(line)
        return GOOD
    examples = Examples(revision)
    for number, name in enumerate(_chosen(options.ids, requirements)):
        explanation = explain(name, revision, examples)
        if options.format == "json":
            print(json.dumps(explanation_to_json(explanation)))
            continue
        if number:
            print()
        for line in text_of(explanation):
            print(printable(line))
    return GOOD


def _listed(words: list[str], requirements: Mapping[str, Requirement]) -> Mapping[str, Requirement]:
    """Returns the requirements to list: all without ``words``, those of areas if each word is an area, else none."""
    areas = {name.partition(".")[0] for name in requirements}
    if any(word not in areas or word in requirements for word in words):
        return {}
    return {name: each for name, each in requirements.items() if not words or name.partition(".")[0] in words}


def _chosen(patterns: list[str], requirements: Mapping[str, Requirement]) -> list[str]:
    """Returns the ids that match, each once. Raises :class:`UsageError` for a pattern without a match."""
    from hgproto.language.problems import suggestion

    chosen: dict[str, None] = {}
    for pattern in patterns:
        found = [name for name in requirements if fnmatchcase(name, pattern) or name.partition(".")[0] == pattern]
        if not found:
            found = [name for name in requirements if name.endswith(f".{pattern}")]
            if len(found) > 1:
                raise UsageError(f"requirement {quoted(pattern)} is ambiguous; use one of {', '.join(found)}")
        if not found:
            # Suggests a close id, or else the areas: the list of all ids would be too long.
            groups = {name.partition(".")[0] for name in requirements}
            known = get_close_matches(pattern, requirements, n=1) or groups
            raise UsageError(f"there is no requirement {quoted(pattern)}; {suggestion(pattern, known)}")
        chosen |= dict.fromkeys(found)
    return list(chosen)


def _overview(requirements: Mapping[str, Requirement], form: str) -> Iterator[str]:
    width = max(map(len, requirements))
    for name, requirement in requirements.items():
        if form == "json":
            yield json.dumps({"id": name, "level": requirement.level, "sentence": requirement.sentence})
        else:
            yield f"{name:<{width}}  {textwrap.shorten(requirement.sentence, _WIDTH - width - 2, placeholder=' ...')}"


def text_of(explanation: Explanation) -> Iterator[str]:
    """Yields the lines of an explanation."""
    requirement = explanation.requirement
    who = {"both": "both sides"}.get(requirement.binds, f"the {requirement.binds}")
    yield f"{requirement.id} ({requirement.level}, binds {who})"
    yield ""
    yield from _wrapped(requirement.sentence, "  ", "  ")
    yield ""
    for name, text in _facts(explanation):
        yield from _wrapped(text, f"  {name:<11}", " " * 13)
    if explanation.good is not None:
        yield from _example("Good", explanation.good)
    if explanation.bad is not None:
        # A permission cannot be violated.
        yield from _example("Bad" if requirement.level != "MAY" else "Where it shows", explanation.bad)
        if explanation.bad.fault is None:
            from hgproto.streams.encodings import default_encodings

            yield ""
            for remedy in default_encodings().missing.values():
                yield from _wrapped(f"The fault is not marked, because a package is missing; {remedy}", "", "  ")
    else:
        yield ""
        yield from _wrapped(f"Bad: none. {explanation.no_bad}", "", "  ")


def _facts(explanation: Explanation) -> Iterator[tuple[str, str]]:
    requirement = explanation.requirement
    yield "why", requirement.why
    source = (
        "the protocol"
        if requirement.source == "protocol"
        else "decided by hgproto, because the source is silent or vague"
    )
    yield "source", f"{source}: {requirement.section}"
    if requirement.resolution is not None:
        yield "resolution", requirement.resolution
    if requirement.reference is not None:
        yield "reference", requirement.reference
    enforced = {
        "codec": "by the codec, which checks each frame by itself",
        "machine": "by the state machines",
        "validator": f"only by the validator. {requirement.reason}",
        "manual": "by no code",
    }[requirement.enforced]
    if requirement.is_joined:
        enforced = "when the frames of a request are decoded together"
    yield "enforced", f"{enforced}{', at' if requirement.places else ''}"
    for place in requirement.places:
        yield "", place
    if explanation.bad is None and not requirement.breakable:
        shows = "a frame by itself" if requirement.is_joined else "bytes"
        consequence = f"but {shows} cannot show a violation"
    else:
        consequence = f"and a receiver {'rejects' if explanation.refused else 'does not reject'} a violation"
    yield "severity", f"{explanation.severity}, {consequence}"


def _wrapped(text: str, first: str, rest: str) -> Iterator[str]:
    yield from textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False, break_long_words=False
    )


def _example(head: str, example: Example) -> Iterator[str]:
    yield ""
    limits = ", ".join(f"{name} {value}" for name, value in example.options.get("limits", {}).items())
    yield from _wrapped(f"{head}: {example.title} ({example.source}{limits and f'; limits: {limits}'})", "", "  ")
    yield ""
    for number, step in enumerate(example.steps):
        fault = example.fault if example.fault is not None and example.fault.step == number else None
        yield from _step(step, fault)


def _step(step: Step, fault: Fault | None) -> Iterator[str]:
    """Yields the lines of a step: its bytes, a mark below the fault, and the frame in human form."""
    data = step.data or b""
    rows = range(0, len(data), _ROW_BYTES) or range(1)
    first = 0 if fault is None else fault.offset
    last = 0 if fault is None else fault.offset + max(fault.size, 1) - 1
    # The offset of a missing byte may be that after the last byte of a row.
    marked = min(first // _ROW_BYTES, len(rows) - 1)
    shown = {0, len(rows) - 1, *range(max(marked - 1, 0), min(marked + _MOST_ROWS - 2, len(rows)))}
    before = -1
    for row in sorted(shown):
        if row > before + 1:
            yield f"    ... {(row - before - 1) * _ROW_BYTES} bytes"
        before = row
        start = rows[row]
        cells = data[start : start + _ROW_BYTES].hex(" ") if step.data is not None else "end"
        yield f"  {_SIDES[step.side] if row == 0 else '  '}{cells}"
        if fault is None or row < marked:
            continue
        left, right = max(first - start, 0), min(last - start, _ROW_BYTES - 1)
        if fault.size == 0:
            yield f"    {'   ' * left}^"
        elif left <= right:
            yield f"    {'   ' * left}{' '.join(['^^'] * (right - left + 1))}".replace("^ ^", "^^^")
    if fault is not None:
        text = f"{_place(step, fault)}: expected {fault.expected}, found {fault.found}"
        yield from _wrapped(text, "    ", "      ")
    if step.human:
        yield f"    {step.human if len(step.human) <= _WIDTH else step.human[: _WIDTH - 4] + ' ...'}"


def _place(step: Step, fault: Fault) -> str:
    if step.data is None:
        return fault.path
    bits = ""
    if fault.bits is not None:
        low, high = fault.bits
        bits = f", bit {low}" if low == high else f", bits {low} to {high}"
    return f"byte {fault.offset}{bits}{', ' if fault.path else ''}{fault.path}"
