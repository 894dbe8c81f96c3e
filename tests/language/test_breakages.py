"""What people get wrong in a schema, and what they are told: the list is tests/data/breakages.txt, and explains itself.

``hgproto schema check`` must report each at its place, say what is wrong and what to do, and exit with 1.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support import ROOT, SCHEMA

from hgproto.cli import main

if TYPE_CHECKING:
    from pathlib import Path

MAIN = "framing-0002.yaml"
MARK = "▸"


class Breakage(NamedTuple):
    """``old`` becomes ``new`` in ``file``, where the place that is reported is marked in ``new`` or in ``at``."""

    what: str
    old: str
    new: str
    message: str
    help: str
    at: str = ""
    file: str = MAIN
    others: int = 0


def listed() -> list[Breakage]:
    """The breakages in the list."""
    breakages = []
    for part in (ROOT / "tests" / "data" / "breakages.txt").read_text(encoding="utf-8").split("\n# ")[1:]:
        what, *lines = part.splitlines()
        file, others = MAIN, 0
        texts: dict[str, list[str]] = {sign: [] for sign in "-+@=?"}
        for line in lines:
            if line[:1] in texts:
                texts[line[0]].append(line[2:])
            elif line.startswith("in "):
                file = line[3:]
            elif line.startswith("others: "):
                others = int(line[8:])
        old, new, at, message, advice = ("\n".join(texts[sign]) for sign in "-+@=?")
        assert old and message and advice and (MARK in new) != (MARK in at), what
        breakages.append(Breakage(what, old, new, message, advice, at, file, others))
    return breakages


BREAKAGES = [
    *listed(),
    # What a list in plain text cannot say.
    Breakage("a byte that is no UTF-8", "title: M", f"title: {MARK}\udcff", "not UTF-8", "save it as UTF-8"),
    Breakage("a control character", "title: M", f"title: {MARK}\x07", "U+0007 is not allowed", "remove it"),
    Breakage("an escaped one", "title: Mercurial framing 0002", f'title: {MARK}"\\0"', "U+0000 is not", "remove it"),
    Breakage("a number without end", "code: 0x1", f"code: {MARK}{'9' * 5000}", "5000 characters", "use at most 40"),
    Breakage(
        "nesting without end",
        "\nguards:\n",
        f"\nnest: {'[' * 63}{MARK}[{']' * 64}\nguards:\n",
        "nested more than 64 levels deep",
        "flatten it",
    ),
]


def broken(breakage: Breakage, directory: Path) -> tuple[Path, str]:
    """The file to check, and the place that has to be reported, as ``file:line:column``."""
    for name in ("framing-0002.yaml", "framing.yaml"):
        shutil.copy(SCHEMA / name, directory)
    file = directory / breakage.file
    text = file.read_text(encoding="utf-8")
    assert text.count(breakage.old) == 1, f"{breakage.what}: {breakage.old!r} is there {text.count(breakage.old)} times"
    text = text.replace(breakage.old, breakage.new)
    if breakage.at:
        anchor = breakage.at.replace(MARK, "")
        assert text.count(anchor) == 1, f"{breakage.what}: {anchor!r} is there {text.count(anchor)} times"
        text = text.replace(anchor, breakage.at)
    before, after = text.split(MARK)
    file.write_bytes((before + after).encode("utf-8", "surrogateescape"))
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return directory / MAIN, f"{file}:{line}:{column}"


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda breakage: breakage.what)
def test_the_place_and_what_to_do(breakage: Breakage, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, place = broken(breakage, tmp_path)
    assert main(["schema", "check", str(file)]) == 1
    output = capsys.readouterr()
    lines = output.err.splitlines()
    assert output.out == ""
    for line in lines:
        assert re.match(rf"{re.escape(str(tmp_path))}/framing[\w-]*\.yaml:\d+:\d+: [^;]+; .+$", line), line
    reports = [line.removeprefix(f"{place}: ") for line in lines if line.startswith(f"{place}: ")]
    assert reports, f"nothing at {place}, but: {output.err}"
    messages = [report.split("; ", 1) for report in reports]
    assert any(breakage.message in message and breakage.help in advice for message, advice in messages), output.err
    assert len(lines) == 1 + breakage.others, output.err


def test_the_schemas_that_are_broken_here_are_good(capsys: pytest.CaptureFixture[str]) -> None:
    files = [SCHEMA / MAIN, ROOT / "tests" / "data" / "alien.yaml"]
    assert main(["schema", "check", *map(str, files)]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert [line.count(f"{file.name}: good: ") for line, file in zip(output.out.splitlines(), files, strict=True)] == [
        1,
        1,
    ]
