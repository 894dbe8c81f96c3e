"""Signs of a crash in the standard error or the log of a program.

A sign is a report that only a crash writes: a Python traceback or fatal error, a sanitizer's report, a panic of Go or Rust, or an
uncaught exception of Java. The word *error* alone is not a sign, because a program may use it to reject input.
"""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["how_it_ended", "masked", "sign_in"]

_TRACEBACK = re.compile(r"^(?P<before>.*?)(?:Exception Group )?Traceback \(most recent call last\):\s*$")
_FILE = re.compile(r'^\s*(?:\| +)*File "(?P<file>.*)", line (?P<line>\d+)(?:, in (?P<name>.*))?$')
_RAISED = re.compile(r"^(?:\| )*(?P<name>[^\W\d][\w.<>]*)(?::|$)")
_OTHERS = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        r"^SUMMARY: (?P<what>\w+Sanitizer: .*)$",
        r"^(?:=+\d*=*\s*)?(?:ERROR|WARNING): (?P<what>(?:\w+Sanitizer|libFuzzer)\b.*)$",
        r"^(?P<what>\w+Sanitizer:DEADLYSIGNAL)$",
        r"^(?P<place>\S+:\d+(?::\d+)?): (?P<what>runtime error: .*)$",
        r"^thread '.*'(?: \(\d+\))? (?P<what>panicked at .*)$",
        r"^.*?(?P<what>(?:\bpanic\b|^fatal error)(?: serving \S+)?: .*)$(?=[\s\S]*^goroutine \d+ )",
        r'^Exception in thread "[^"]*" (?P<what>[\w.$]+.*)$',
        r"^(?P<what>Fatal Python error: .*)$",
        r"^# (?P<what>A fatal error has been detected by the Java Runtime Environment):",
    )
)
_VARIABLE = re.compile(r"(?P<place>(?<=[A-Za-z]):\d+:\d+)|0x[0-9a-fA-F]+|\d+")
_GO_FRAME = re.compile(r"^(?P<name>(?!created by )[\w./*()\[\]-]+)\(.*\)$", re.MULTILINE)
_FAULT_FRAME = re.compile(
    r'^Current thread .*\(most recent call first\):\n\s+File "(?P<file>.*)", line (?P<line>\d+) in (?P<name>.*)$',
    re.MULTILINE,
)
_JAVA_CAUSE = re.compile(r"^Caused by: (?P<what>[\w.$]+)", re.MULTILINE)
_JAVA_FRAME = re.compile(r"^\s+at (?P<name>[\w.$<>/@]+)\((?P<file>.*)\)$", re.MULTILINE)


def how_it_ended(status: int, details: str, *, is_verdict: bool) -> str | None:
    """Returns a description of a crash that is the same for the same cause; None if the process did not crash.

    ``status``: its exit status, negative for a signal. ``details``: its standard error. ``is_verdict``: True if the exit statuses 0
    and 1 are verdicts.
    """
    sign = sign_in(details)
    words = [] if sign is None else [sign]
    if status < 0:
        names = {-number: name for name, number in _SIGNALS.items()}
        return ": ".join([f"killed by {names.get(status, f'signal {-status}')}", *words])
    if status and (words or status > (1 if is_verdict else 127)):
        return ": ".join([f"exit status {status}", *words])
    # It may continue after it has reported a traceback.
    return sign


_SIGNALS = {one.name: int(one) for one in signal.Signals}


def sign_in(text: str) -> str | None:
    """Returns the last sign of a crash in the output of a program, without parts that differ between runs; None without a sign.

    Two crashes with the same cause have the same sign.
    """
    raised = list(_tracebacks(text.splitlines()))
    if raised:
        # The last one of chained exceptions is the uncaught one.
        return raised[-1]
    for pattern in _OTHERS:
        found = pattern.search(text)
        if found is not None:
            return masked(found["what"].strip()[:120]) + _place(found, text)
    return None


def masked(text: str) -> str:
    """Returns a text with ``N`` for each number, apart from the line and the column of a place such as ``main.rs:4:5``."""
    return _VARIABLE.sub(lambda found: found["place"] or "N", text)


def _place(report: re.Match[str], text: str) -> str:
    """Returns the function or the line that a report names as its place; empty if it names none."""
    rest = text[report.end() :]
    what = report["what"]
    if "place" in report.re.groupindex:
        return f" in {masked(os.path.basename(report['place']))}"
    if what.startswith("Fatal Python error: "):
        frame = _FAULT_FRAME.search(rest)
        return "" if frame is None else f" in {frame['name']} ({os.path.basename(frame['file'])}:{frame['line']})"
    if "goroutine " in rest:
        # The frames of the panic itself come before those of the program.
        stack = rest[rest.index("goroutine ") :].partition("\n\n")[0]
        names = [frame["name"] for frame in _GO_FRAME.finditer(stack)]
        names = names[max((at + 1 for at, name in enumerate(names) if name == "panic"), default=0) :]
        name = next((name for name in names if not name.startswith("runtime.")), None)
        return "" if name is None else f" in {name}"
    if report[0].startswith("Exception in thread "):
        causes = list(_JAVA_CAUSE.finditer(rest))
        frame = _JAVA_FRAME.search(rest, causes[-1].end() if causes else 0)
        cause = f", caused by {causes[-1]['what']}" if causes and causes[-1]["what"] != what else ""
        return cause + ("" if frame is None else f" in {frame['name']} ({masked(frame['file'])})")
    return ""


def _tracebacks(lines: list[str]) -> Iterator[str]:
    """Yields the exception of each Python traceback and the place that raised it. The lines of a log may have a prefix."""
    at = 0
    while at < len(lines):
        head = _TRACEBACK.match(lines[at])
        at += 1
        if head is None:
            continue
        prefix = re.compile(re.sub(r"\d+", r"\\d+", re.escape(head["before"]).replace(r"\+", "[+|]")))
        place = ""
        while at < len(lines):
            begin = prefix.match(lines[at])
            if begin is None:
                break
            rest = lines[at][begin.end() :]
            file, raised = _FILE.match(rest), _RAISED.match(rest)
            if file is not None:
                place = f" in {file['name'] or '<module>'} ({os.path.basename(file['file'])}:{file['line']})"
            elif place and raised is not None:
                at += 1
                yield raised["name"] + place
                break
            elif rest and not rest[0].isspace() and rest[0] != "|":
                break
            at += 1
