"""``hgproto explain``: what a requirement is about, with bytes that keep it and bytes that break it."""

from __future__ import annotations

import json
import textwrap
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from hgproto.cli.common import GOOD, UsageError, revision_of, revision_option
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
"""Rows of bytes that are shown of one step, those of a fault among them."""
_SIDES = {"client": "> ", "server": "< ", None: "  "}


def add(commands: Commands) -> None:
    """Adds the command."""
    explain = commands.add_parser(
        "explain",
        help="say what a rule is about",
        description="Says of requirements what they demand, why, where they are enforced, and shows bytes that keep and that "
        "break them. Without an id, lists all there are.",
    )
    explain.add_argument(
        "ids", nargs="*", metavar="ID", help="a requirement's id, or a pattern such as 'text-output.*'"
    )
    explain.add_argument("--format", choices=("text", "json"), default="text", help="json: one object a line")
    revision_option(explain)
    explain.set_defaults(run=_explain)


def _explain(options: argparse.Namespace) -> int:
    from hgproto.evidence.examples import Examples
    from hgproto.evidence.explain import explain, explanation_to_json

    revision = revision_of(options.revision)
    requirements = revision.requirements
    if not options.ids:
        for line in _overview(requirements, options.format):
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


def _chosen(patterns: list[str], requirements: Mapping[str, Requirement]) -> list[str]:
    """The ids that are meant, each once. Raises :class:`UsageError` for what none is like."""
    from hgproto.language.problems import suggestion

    chosen: dict[str, None] = {}
    for pattern in patterns:
        found = [name for name in requirements if fnmatchcase(name, pattern)]
        if not found:
            # One that is close, else the groups: all ids would be too many.
            groups = {f"'{name.partition('.')[0]}.*'" for name in requirements}
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
    """The lines that say it to people."""
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
        # Who makes no use of a permission that others make use of breaks nothing.
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
        "the protocol" if requirement.source == "protocol" else "our resolution, since the source is silent or vague"
    )
    yield "source", f"{source}: {requirement.section}"
    if requirement.resolution is not None:
        yield "resolution", requirement.resolution
    if requirement.reference is not None:
        yield "reference", requirement.reference
    enforced = {
        "codec": "by the codec, which looks at one frame",
        "machine": "by the state machines",
        "validator": f"by the validator alone. {requirement.reason}",
        "manual": "by nothing",
    }[requirement.enforced]
    yield "enforced", f"{enforced}{', at' if requirement.places else ''}"
    for place in requirement.places:
        yield "", place
    if explanation.bad is None and not requirement.breakable:
        consequence = "but bytes cannot show it"
    else:
        consequence = f"and a receiver {'refuses' if explanation.refused else 'does not refuse'} it"
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
    """A step with its bytes, the fault marked below them, and the frame in human form."""
    data = step.data or b""
    rows = range(0, len(data), _ROW_BYTES) or range(1)
    first = 0 if fault is None else fault.offset
    last = 0 if fault is None else fault.offset + max(fault.size, 1) - 1
    # What is missing may be missing after the last byte of a row.
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
    return f"byte {fault.offset}{bits}, {fault.path}"
