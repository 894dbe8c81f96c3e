"""Coverage of the specification: what counts, when it counts, and what cannot count is not asked for."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import ROOT, SCHEMA

from hgproto import encode_frame, parse_frame
from hgproto.cli import main
from hgproto.evidence.coverage import KINDS, Coverage
from hgproto.reactors.session import Lines
from hgproto.revisions.framing_0002 import codec, machines
from hgproto.revisions.framing_0002.requirements import REQUIREMENTS
from hgproto.samples import Seeded, boundaries, session, violate
from hgproto.samples.violators import VIOLATORS
from hgproto.streams.encodings import Encodings, default_encodings
from hgproto.wire.human import format_frame

if TYPE_CHECKING:
    from pathlib import Path


def wire(*lines: str) -> bytes:
    return b"".join(encode_frame(parse_frame(line)) for line in lines)


def reached(coverage: Coverage, kind: str) -> set[str]:
    missing = {goal.name for goal in coverage.missing([kind])}
    return {goal.name for goal in coverage.goals if goal.kind == kind} - missing


def test_goals_are_all_that_the_schema_has() -> None:
    goals = Coverage().goals
    by_kind = {kind: {goal.name for goal in goals if goal.kind == kind} for kind in KINDS}
    assert sum(map(len, by_kind.values())) == len(goals)
    assert by_kind["types"] == set(codec.CODES)
    assert len(by_kind["flags"]) == sum(map(len, codec.FLAG_NAMES.values())) + len(codec.STREAM_FLAG_NAMES)
    assert by_kind["requirements"] == {name for name, one in REQUIREMENTS.items() if one.breakable}
    assert {name.split()[0] for name in by_kind["transitions"]} == set(machines.MACHINES)
    for goal in goals:
        file, line = goal.place.split(":")
        text = (SCHEMA / file).read_text(encoding="utf-8").splitlines()[int(line) - 1]
        if goal.kind in ("types", "requirements"):
            assert goal.name in text
        elif goal.kind == "flags":
            assert goal.name.split()[-1] in text
        elif goal.kind == "transitions":
            assert "from:" in text


def test_a_frame_counts_as_what_it_is() -> None:
    coverage = Coverage()
    coverage.data(wire("1 1 stream-begin|stream-end command-name eos x"))
    assert reached(coverage, "types") == {"command-name"}
    assert reached(coverage, "flags") == {"stream-begin", "stream-end", "command-name eos"}
    assert reached(coverage, "edges") == {"request_id least", "stream_id least"}
    assert reached(coverage, "requirements") == set()
    shown = {name.split(":")[0] for name in reached(coverage, "transitions")}
    assert shown == {"connection row 0", "stream row 1", "server-request row 2"}
    assert coverage.reached("types") == 1
    assert coverage.total("types") == 8


CONTINUED = [
    "1 1 stream-begin command-name have-args x",
    r"1 1 0 command-argument continuation \x01\x00\x07\x00kab",
    r"1 1 stream-end command-argument eoa \x01\x00\x00\x00k",
]
"""The rest of a value that looks like an argument with an empty value."""


@pytest.mark.parametrize("as_session", [False, True])
def test_the_rest_of_a_value_has_no_fields(as_session: bool) -> None:
    def edges(lines: list[str]) -> set[str]:
        coverage = Coverage()
        if as_session:
            coverage.session(f"> {line}" for line in lines)
        else:
            coverage.data(wire(*lines))
        return {name for name in reached(coverage, "edges") if name.startswith("command-argument ")}

    assert edges(CONTINUED) == {"command-argument name_length least"}
    # The next argument of the request has fields again, and so has that of the next request with this id.
    assert "command-argument value_length least" in edges([*CONTINUED, CONTINUED[-1]])
    again = [*CONTINUED[:2], CONTINUED[0], CONTINUED[-1]]
    assert "command-argument value_length least" in edges(again)


@pytest.mark.parametrize(
    ("lines", "row"),
    [
        (("1 1 stream-begin command-name have-args x",), "end-of-input in receiving-arguments to none, protocol-error"),
        (
            ("1 1 stream-begin command-name have-data x", "1 1 0 command-data eos y"),
            "command-data in streaming to active",
        ),
        (
            ("1 1 stream-begin command-name eos x", "3 1 stream-begin command-name eos y"),
            "any frame in open to closed, again",
        ),
        (("1 1 0 command-name eos x",), "in closed error stream.begin-required"),
        (("1 2 stream-begin bytes-response eos x",), "bytes-response in active to none, response-data"),
        (("1 2 stream-begin bytes-response continuation x",), "end-of-input in active to none, request-lost"),
    ],
)
def test_transitions_are_those_that_reactors_make(lines: tuple[str, ...], row: str) -> None:
    coverage = Coverage()
    coverage.data(wire(*lines))
    assert [name for name in reached(coverage, "transitions") if row in name]


def test_two_sides_are_played() -> None:
    coverage = Coverage()
    lines = [
        "# A comment.",
        "",
        "> 1 1 stream-begin command-name eos x",
        "< 1 2 stream-begin error-response application no",
        "> 1 1 stream-end command-name eos x",
    ]
    coverage.session(lines)
    assert [
        name for name in reached(coverage, "transitions") if "error-response in active to none, request-error" in name
    ]
    assert reached(coverage, "requirements") == {"stream.end", "response.complete", "request-id.order"}


def test_broken_requirements_count() -> None:
    coverage = Coverage()
    plain = Encodings([default_encodings()["identity"], default_encodings()["zlib"]])
    for seed, name in enumerate(sorted(VIOLATORS)):
        for attempt in range(40):
            choices = Seeded(100 * seed + attempt)
            lines = violate(name, session(choices, encodings=plain), choices)
            if lines is not None and all(line.data is None for line in lines):
                signs = {"client": ">", "server": "<"}
                coverage.session(
                    f"{signs[side]}{'!' * raw} {'end' if frame is None else format_frame(frame)}"
                    for side, frame, raw, _ in lines
                )
                break
    left = {goal.name for goal in coverage.missing(["requirements"])}
    # What is no whole frame has no line, and window needs Zstandard.
    assert left <= {"frame.whole", "frame.length-limit", "encoding.window"}


def test_boundaries_reach_every_edge() -> None:
    coverage = Coverage()
    for name, code in codec.CODES.items():
        for _, data, _ in boundaries(name):
            coverage.data(data, "client" if code < 4 else "server")
    assert [goal.name for goal in coverage.missing(["edges"])] == []


def test_vectors_and_golden_sessions_count() -> None:
    coverage = Coverage()
    for path in sorted(path for path in (SCHEMA / "vectors").rglob("*.json") if path.parent.name != "framing-0006"):
        coverage.file(str(path))
    assert coverage.reached("types") == coverage.total("types")
    assert coverage.reached("flags") == coverage.total("flags")
    assert coverage.reached("transitions") > 0.75 * coverage.total("transitions")
    assert coverage.reached("requirements") > 0.9 * coverage.total("requirements")


def test_lines_of_golden_sessions_may_be_raw() -> None:
    steps = [
        {"line": "> 1 1 stream-begin stream-settings 0 \\x04zlib"},
        {"line": "> 1 1 encoded command-name eos heads", "raw": True},
    ]
    coverage = Coverage()
    coverage.vectors({"sessions": [{"steps": steps}]})
    assert "encoding.decodable" in reached(coverage, "requirements")


# The command.


def test_the_command_counts_and_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.bin").write_bytes(wire("1 1 stream-begin|stream-end command-name eos x"))
    (tmp_path / "corpus" / "b.session").write_text("> 1 1 stream-begin|stream-end command-name eos x\n")
    assert main(["coverage", "corpus"]) == 0
    said = capsys.readouterr().out
    assert "types           1 of 8\n" in said
    assert "(2 files)" in said
    assert re.search(r"^  framing-0002.yaml:\d+: types: stream-settings$", said, re.MULTILINE)
    assert main(["coverage", "corpus/a.bin", "--only", "types", "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["percent"] == 12.5
    assert shown["kinds"] == {"types": {"exercised": 1, "all": 8}}
    assert [goal["name"] for goal in shown["missing"]] == [name for name in codec.CODES if name != "command-name"]
    for percent, code in (("12.5", 0), ("12.6", 1)):
        assert main(["coverage", "corpus/a.bin", "--only", "types", "--fail-under", percent]) == code


NO_VECTORS = [
    ('"vectors": {}', "vectors: expected a list"),
    ('"vectors": [5]', "vectors[0]: expected an object"),
    ('"vectors": [{"wire": 5}]', "vectors[0].wire: expected a text"),
    ('"vectors": [{"wire": "0"}]', "vectors[0].wire: expected pairs of hexadecimal digits"),
    ('"sessions": [{}]', "sessions[0].steps: expected a list"),
    ('"sessions": [{"steps": [{"line": null}]}]', "sessions[0].steps[0].line: expected a text"),
    ('"sessions": [{"steps": [{"line": "> end", "raw": 1}]}]', "sessions[0].steps[0].raw: expected true or false"),
    (
        '"sessions": [{"steps": [{"line": ">"}]}]',
        "sessions[0].steps[0].line: expected > before a line of the client or < before one of the server, and a space, found '>'",
    ),
    ('"sessions": [{"steps": [], "options": []}]', "sessions[0].options: expected an object"),
    (
        '"sessions": [{"steps": [], "options": {"foo": 1}}]',
        "sessions[0].options: expected limits, reopen, or streaming, found 'foo'",
    ),
    (
        '"sessions": [{"steps": [], "options": {"reopen": []}}]',
        "sessions[0].options: reopen is 'error' or 'restart', not []",
    ),
    (
        '"sessions": [{"steps": [], "options": {"limits": {"open-streams": 0}}}]',
        "sessions[0].options: open_streams must be 1 to 128, not 0",
    ),
    (
        '"sessions": [{"steps": [], "options": {"limits": {"arguments": "x"}}}]',
        "sessions[0].options: arguments must be an integer, not str",
    ),
    ('"revision": "other", "vectors": []', "expected content of framing-0002, found the revision 'other'"),
]


@pytest.mark.parametrize(
    ("name", "content", "code", "message"),
    [
        ("none.bin", None, 3, "none.bin: No such file or directory"),
        ("bad.hex", "00\n0", 1, "bad.hex:2:2: expected the second digit of a byte"),
        ("dump.hex", "00000000  00 11 22\n", 1, "dump.hex:1:1: expected pairs of hexadecimal digits"),
        ("bad.session", "# x\n> end\n> 1 1 0 command-name eos x\n", 1, "bad.session:3:1: "),
        ("bad.json", "{", 1, "bad.json:1:2: expected JSON, found a fault in it: "),
        ("bad.json", "[]", 1, "bad.json: expected an object with vectors or sessions\n"),
        ("bad.json", '{"foo": 1}', 1, "bad.json: expected an object with vectors or sessions\n"),
        (
            "bad.json",
            "[" * 100_000,
            1,
            "bad.json: expected vectors or golden sessions, found JSON that is nested too deep",
        ),
        (
            "bad.json",
            '{"vectors": ' + "1" * 5000 + "}",
            1,
            "bad.json: expected vectors or golden sessions, found a number of thousands of digits",
        ),
        (
            "bad.json",
            r'{"sessions": [{"steps": [{"line": "> 1 1 0 command-name eos \ud800"}]}]}',
            1,
            "bad.json: sessions[0].steps[0].line: expected text, found half of a surrogate pair",
        ),
        *(("bad.json", f"{{{text}}}", 1, f"bad.json: {message}\n") for text, message in NO_VECTORS),
        ("bad.session", "> 1 1", 1, "bad.session:1:6: "),
        ("bad.session", "1 1 0 command-name eos x", 1, "bad.session:1:1: "),
    ],
)
def test_what_cannot_be_counted_is_said(
    name: str,
    content: str | None,
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / name).write_text(content)
    assert main(["coverage", name]) == code
    assert f"hgproto: {message}" in capsys.readouterr().err
    # The other files are counted.
    (tmp_path / "good.bin").write_bytes(codec.encode_frame(codec.make_frame(1, 1, 1, 1, 1, b"x")))
    assert main(["coverage", "--format", "json", name, "good.bin"]) == code
    shown = json.loads(capsys.readouterr().out)
    assert shown["kinds"]["types"]["exercised"] >= 1
    assert len(shown["unreadable"]) == 1
    assert f"{shown['unreadable'][0]}\n".startswith(message)
    with pytest.raises(SystemExit, match="2"):
        main(["coverage", str(ROOT / "README.md"), "--only", "lines"])
    assert "argument --only: unknown kind 'lines'; use types, flags" in capsys.readouterr().err


def test_a_shortfall_of_a_file_that_cannot_be_read_is_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.bin").write_bytes(wire("1 1 stream-begin|stream-end command-name eos x"))
    (tmp_path / "bad.hex").write_text("0")
    for files, code in (("none", 3), ("good.bin none", 3), ("good.bin", 1), ("none bad.hex", 1)):
        assert main(["coverage", *files.split(), "--fail-under", "80"]) == code


def test_what_is_named_twice_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dir").mkdir()
    frames = wire("1 1 stream-begin|stream-end command-name eos x")
    (tmp_path / "dir" / "one.bin").write_bytes(frames)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(frames)))
    assert main(["coverage", "--only", "types,flags,types", "dir/one.bin", "-", "dir", "./dir//one.bin", "-"]) == 0
    out = capsys.readouterr().out
    assert "(2 files)" in out
    assert [line.split()[0] for line in out.splitlines()[:3]] == ["types", "flags", "all"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(frames)))
    assert main(["validate", "-", "dir", "-", "dir/one.bin"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["standard input: good (1 frame, 9 bytes)", "dir/one.bin: good (1 frame, 9 bytes)"]
    monkeypatch.chdir(tmp_path / "dir")
    assert main(["validate", "one.bin", "../dir/one.bin", str(tmp_path / "dir" / "one.bin")]) == 0
    assert capsys.readouterr().out == "one.bin: good (1 frame, 9 bytes)\n"


@pytest.mark.parametrize("names", [["."], ["./-"], ["-", "./-"], ["..", "-"]])
def test_a_file_that_is_called_as_standard_input_is_read(
    names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dir").mkdir()
    monkeypatch.chdir(tmp_path / "dir")
    (tmp_path / "dir" / "-").write_bytes(wire("1 1 stream-begin|stream-end command-name eos|have-args x"))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert main(["validate", *names]) == 1
    assert "command-name.eos-exclusive" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert main(["coverage", "--only", "types", *names]) == 0
    assert f"({len(names)} file" in capsys.readouterr().out


def test_an_error_that_was_found_is_kept_when_the_reader_goes_away(tmp_path: Path) -> None:
    (tmp_path / "bad.hex").write_text("zz\n")
    command = [sys.executable, "-m", "hgproto", "coverage", "bad.hex"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run(command, cwd=tmp_path, env=environment, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert run.returncode == 1
    assert b"bad.hex:1:1: " in run.stderr


@pytest.mark.parametrize(
    ("lines", "only", "hinted"),
    [
        (["1 1 stream-begin command-name eos x", "1 2 stream-begin bytes-response eos x"], None, True),
        (["1 1 stream-begin command-name eos x", "1 2 stream-begin bytes-response eos x"], "types,flags", False),
        (["1 1 stream-begin command-name eos x", "3 1 0 command-name eos x"], None, False),
        ([], None, False),
    ],
)
@pytest.mark.parametrize("name", ["it.bin", "it.hex"])
def test_mixed_directions_have_a_hint(
    lines: list[str],
    only: str | None,
    hinted: bool,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    data = b"".join(codec.encode_frame(parse_frame(line)) for line in lines)
    (tmp_path / name).write_bytes(data.hex().encode() if name.endswith("hex") else data)
    assert main(["coverage", name, *(["--only", only] if only else [])]) == 0
    error = capsys.readouterr().err
    assert error.startswith(f"hgproto: {name}: frames are on streams of both sides") == hinted
    assert bool(error) == hinted


@pytest.mark.parametrize("name", ["it.session", "it.bin"])
def test_the_fields_of_encoded_payloads_count(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [
        r"> 1 1 stream-begin stream-settings 0 \x04zlib",
        "> 1 1 encoded command-name have-args x",
        r"> 1 1 stream-end|encoded command-argument eoa \x01\x00\x00\x00k",
    ]
    encoded = Lines()
    frames = [frame for line in lines if (frame := encoded.read(line)[1]) is not None]
    data = "\n".join(lines).encode() if name.endswith("session") else b"".join(map(encode_frame, frames))
    (tmp_path / name).write_bytes(data)
    assert main(["coverage", "--only", "edges", name]) == 0
    out, error = capsys.readouterr()
    assert not error
    assert "edges           4 of 53\n" in out
    assert "value_length least" not in out
