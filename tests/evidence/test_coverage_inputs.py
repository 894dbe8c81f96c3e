"""Inputs of coverage: they are streamed, however they are cut."""

from __future__ import annotations

import io
import tracemalloc
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from hgproto import HumanFormError, cli, encode_frame, parse_frame
from hgproto.evidence import coverage as coverage_module
from hgproto.evidence.coverage import Coverage

if TYPE_CHECKING:
    from pathlib import Path

LINES = [
    "1 1 stream-begin command-name have-args x",
    r"1 1 0 command-argument eoa \x01\x00\x01\x00ky",
    "3 1 stream-end command-name eos z",
]
FRAMES = b"".join(encode_frame(parse_frame(line)) for line in LINES)
FORMS = {
    "raw": FRAMES,
    "hex": FRAMES.hex("\n").encode(),
    "session": "".join(f"> {line}\n" for line in LINES).encode(),
}


def counted(coverage: Coverage) -> set[tuple[str, str]]:
    """The goals that were reached."""
    left = {(goal.kind, goal.name) for goal in coverage.missing()}
    return {(goal.kind, goal.name) for goal in coverage.goals} - left


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_input_may_be_cut_anywhere(form: str, size: int) -> None:
    content = FORMS[form]
    whole, in_chunks, from_file = Coverage(), Coverage(), Coverage()
    whole.content(content, form)
    in_chunks.content((content[at : at + size] for at in range(0, len(content), size)), form)
    from_file.content(io.BytesIO(content), form)
    assert counted(whole) == counted(in_chunks) == counted(from_file)
    assert counted(whole) >= {("edges", "command-argument name_length least"), ("types", "command-name")}


@pytest.mark.parametrize("cut", range(1, len(FRAMES)))
def test_the_last_frame_may_be_cut(cut: int) -> None:
    whole, in_bytes = Coverage(), Coverage()
    whole.data(FRAMES[:cut])
    in_bytes.data(FRAMES[at : at + 1] for at in range(cut))
    assert counted(whole) == counted(in_bytes)


def test_lines_of_a_session_may_end_in_both_ways(tmp_path: Path) -> None:
    ends = [b"\n", b"\r\n"]
    found = []
    for number, end in enumerate(ends):
        file = tmp_path / f"{number}.session"
        file.write_bytes(b"\xef\xbb\xbf" + FORMS["session"].replace(b"\n", end).removesuffix(end))
        coverage = Coverage()
        coverage.file(str(file))
        found.append(counted(coverage))
    assert found[0] == found[1]


def test_streams_of_both_sides_are_told() -> None:
    coverage = Coverage()
    coverage.data(encode_frame(parse_frame("1 2 stream-begin bytes-response eos x")) + FRAMES)
    assert coverage.is_mixed
    coverage.data(FRAMES)
    assert not coverage.is_mixed


@pytest.mark.parametrize("form", FORMS)
def test_memory_does_not_grow_with_the_input(form: str, tmp_path: Path) -> None:
    """Twice the frames cost no more memory, once everything is imported."""
    text = r"\xe8\x03\x00\x00" + "x" * 1000
    peaks = []
    for number in (50, 600, 1200):
        lines = ["1 2 stream-begin text-output 0", *[f"1 2 0 text-output 0 {text}"] * number]
        content = b"".join(encode_frame(parse_frame(line)) for line in lines)
        if form == "hex":
            content = content.hex("\n", 100).encode()
        elif form == "session":
            request = "> 1 1 stream-begin command-name eos x\n"
            content = (request + "".join(f"< {line}\n" for line in lines)).encode()
        file = tmp_path / f"{number}"
        file.write_bytes(content)
        coverage = Coverage()
        with file.open("rb") as opened:
            tracemalloc.start()
            coverage.content(opened, form)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        transitions = {name for kind, name in counted(coverage) if kind == "transitions"}
        assert any("text-output" in name and "error" not in name for name in transitions)
    assert peaks[2] < peaks[1] * 1.2


def test_a_line_of_a_session_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage_module, "LONGEST_LINE", 1_000_000)
    chunks = (b"1" * (1 << 16) for _ in range(1 << 8))
    coverage = Coverage()
    tracemalloc.start()
    try:
        with pytest.raises(
            HumanFormError, match="a line of at most 1000000 bytes, found more at line 2, column 1000001"
        ):
            coverage.content(chain([b"# a comment\n"], chunks), "session")
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
    assert next(chunks)


def test_a_line_of_a_session_that_is_too_long_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(coverage_module, "LONGEST_LINE", 100)
    file = tmp_path / "it.session"
    file.write_bytes(b" " * 200 + FORMS["session"])
    assert cli.main(["coverage", str(file)]) == 1
    assert f"{file}:1:101: expected a line of at most 100 bytes, found more" in capsys.readouterr().err
