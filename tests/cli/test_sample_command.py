"""``hgproto sample``, as a user runs it: always the same, as labelled, in formats that the other commands read."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support import ROOT, flat

from hgproto import FrameReader, encode_frame, parse_frame
from hgproto.cli import main
from hgproto.judging.finding import ROLES
from hgproto.judging.validation import SessionValidator, Validator, validate
from hgproto.revisions.framing_0002 import codec
from hgproto.revisions.revision import Revision
from hgproto.samples import VIOLATORS
from hgproto.wire.hexform import bytes_from_hex
from hgproto.wire.jsonform import Continuations

if TYPE_CHECKING:
    from pathlib import Path

    from hgproto.judging.finding import Finding, Role

ALIEN = str(ROOT / "tests" / "data" / "alien.yaml")


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command; gives what it writes."""

    def run(*arguments: str, code: int = 0) -> bytes:
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw))
        try:
            assert main(["sample", *arguments]) == code
        except SystemExit as stopped:
            assert stopped.code == code
        sys.stdout.flush()
        return raw.getvalue()

    return run


@pytest.mark.parametrize(
    ("arguments", "digest"),
    [
        (("-n", "2000", "--format", "raw"), "df83bc78c6776e12"),
        (("progress", "-n", "500"), "c82ac44569897c11"),
        (("session", "-n", "100", "--format", "hex"), "59320c245e9f6396"),
        (("--invalid", "frame.known-flags", "-n", "20", "--format", "json"), "d0e8ce7de4c0696a"),
        (("text-output", "--invalid", "text-output.label-ascii", "-n", "5", "--format", "hex"), "b60e9227d8baf2b2"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_seed_gives_the_same_bytes_everywhere(sample: Any, arguments: tuple[str, ...], digest: str) -> None:
    # Samples have changed when this is another, which is no fault, and worth a line of news.
    assert hashlib.sha256(sample(*arguments, "--seed", "2026")).hexdigest()[:16] == digest


@pytest.mark.parametrize("name", [None, *codec.CODES])
def test_frames_keep_every_rule_in_every_format(sample: Any, name: str | None) -> None:
    arguments = (*([] if name is None else [name]), "-n", "300", "--seed", "5", "--format")
    raw = sample(*arguments, "raw")
    assert list(validate(raw, depth="frames")) == []
    frames = list(FrameReader().read(raw))
    assert len(frames) == 300
    assert name is None or {codec.TYPE_NAMES[int(frame.type)] for frame in frames} == {name}
    assert len(set(map(encode_frame, frames))) > 100
    human = sample(*arguments, "human").decode().splitlines()
    assert [parse_frame(line) for line in human] == frames
    assert b"".join(bytes_from_hex([sample(*arguments, "hex")])) == raw
    objects = [json.loads(line) for line in sample(*arguments, "json").splitlines()]
    assert [one["payload"] for one in objects] == [bytes(frame.payload).hex() for frame in frames]
    assert all("error" not in one for one in objects)


def test_payloads_that_come_again_are_no_rule_of_their_own(sample: Any) -> None:
    frames = list(FrameReader().read(sample("bytes-response", "-n", "3000", "--seed", "1", "--format", "raw")))
    payloads = {bytes(frame.payload) for frame in frames}
    assert 80 < len(payloads) < 1000
    assert {bytes(frame.payload) for frame in frames[-500:]} - {bytes(frame.payload) for frame in frames[:500]}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "arguments",
    [("command-argument",), ("command-argument", "--encoded"), ("--revision", ALIEN), ("measure", "--revision", ALIEN)],
    ids=str,
)
def test_frames_that_follow_each_other_keep_every_rule(
    arguments: tuple[str, ...], seed: int, sample: Any, tmp_path: Path
) -> None:
    """Ids come again, so a frame may continue an earlier one, and then its payload does too."""
    revision = Revision(ALIEN if ALIEN in arguments else "framing-0002")
    options = [*arguments, "-n", "200", "--seed", str(seed)]
    data = sample(*options, "--format", "raw")
    assert list(validate(data, depth="frames", revision=revision)) == []
    read = Continuations(revision.codec)
    continued = [read.next(frame) for frame in FrameReader(codec=revision.codec).read(data)]
    assert any(continued)
    lines = [json.loads(line) for line in sample(*options, "--format", "json").splitlines()]
    assert [line for line in lines if "error" in line] == []
    # Each file is read by itself.
    sample(*options, "--format", "raw", "--output", str(tmp_path / "files"))
    for file in (tmp_path / "files").iterdir():
        assert list(validate(file.read_bytes(), depth="frames", revision=revision)) == []


def test_no_more_values_are_incomplete_than_readers_remember(sample: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hgproto.wire.jsonform.MOST_INCOMPLETE", 3)
    data = sample("measure", "--revision", ALIEN, "-n", "200", "--seed", "1", "--format", "raw")
    validator = Validator(depth="frames", revision=Revision(ALIEN))
    assert [*validator.feed(data), *validator.close()] == []
    assert (validator.frames, validator.untracked) == (200, 0)


def test_the_seed_is_always_told(sample: Any, capsys: pytest.CaptureFixture[str]) -> None:
    first = sample("-n", "3", "--format", "raw")
    seed = capsys.readouterr().err
    assert seed.startswith("seed: ")
    assert sample("-n", "3", "--format", "raw", "--seed", seed.split()[1]) == first
    assert capsys.readouterr().err == seed
    assert sample("-n", "3", "--format", "raw") != first


def test_sessions_can_be_played(sample: Any) -> None:
    validator = SessionValidator()
    lines = sample("session", "-n", "1", "--seed", "8").splitlines()
    assert len(lines) > 5
    assert [finding for line in lines for finding in validator.line(line)] == []
    assert list(validator.close()) == []


def test_one_side_of_a_session(sample: Any) -> None:
    both = sample("session", "-n", "1", "--seed", "8", "--format", "json")
    shown = {
        side: b"".join(bytes.fromhex(line["wire"]) for line in json.loads(both)["lines"] if line["side"] == side)
        for side in ROLES
    }
    for side, data in shown.items():
        assert sample("session", "-n", "1", "--seed", "8", "--format", "raw", "--role", side) == data
        assert list(validate(data, role=side)) == []
        lines = sample("session", "-n", "1", "--seed", "8", "--role", side).decode().splitlines()
        assert {line[0] for line in lines} == {">" if side == "client" else "<"}
    assert sample("session", "-n", "1", "--seed", "8", "--format", "raw") == shown["client"]


def test_compressed_only_when_asked(sample: Any) -> None:
    plain = sample("session", "-n", "60", "--seed", "1")
    assert b"identity" in plain
    assert b"zlib" not in plain
    assert b"zlib" in sample("session", "-n", "60", "--seed", "1", "--encoded")
    frames = FrameReader().read(sample("-n", "300", "--seed", "1", "--format", "raw", "--encoded"))
    assert {int(frame.stream_flags) & 4 for frame in frames} == {0, 4}


@pytest.mark.parametrize("name", [name for name in VIOLATORS if name != "encoding.window"])
def test_sessions_break_just_the_rule_that_is_named(sample: Any, name: str) -> None:
    shown = sample("--invalid", name, "-n", "1", "--seed", "4", "--format", "json")
    validator = SessionValidator()
    found: list[Finding] = []
    for line in json.loads(shown)["lines"]:
        found += (
            validator.close(line["side"])
            if "end" in line
            else validator.feed(line["side"], bytes.fromhex(line["wire"]))
        )
    assert {finding.id for finding in (*found, *validator.close())} == {name}


@pytest.mark.parametrize(
    ("name", "requirement"),
    [
        ("command-name", "command-name.ascii"),
        ("command-argument", "command-argument.header-whole"),
        ("progress", "progress.duplicate-keys"),
        ("bytes-response", "frame.whole"),
        ("bytes-response", "frame.length-limit"),
        ("error-response", "frame.known-flags"),
    ],
)
def test_a_frame_breaks_just_the_rule_that_is_named(sample: Any, name: str, requirement: str) -> None:
    shown = sample(name, "--invalid", requirement, "-n", "8", "--seed", "4", "--format", "hex")
    wires = [bytes.fromhex(line) for line in shown.decode().split()]
    assert len(wires) == 8
    for wire in wires:
        assert {finding.id for finding in validate(wire, depth="frames")} == {requirement}
        assert len(wire) < 8 or wire[7] >> 4 == codec.CODES[name]


def test_files_one_a_sample(sample: Any, tmp_path: Path) -> None:
    assert sample("session", "-n", "3", "--seed", "1", "--format", "raw", "-o", str(tmp_path / "corpus")) == b""
    files = sorted((tmp_path / "corpus").iterdir())
    assert [file.name for file in files] == ["000000.bin", "000001.bin", "000002.bin"]
    for file in files:
        assert list(validate(file.read_bytes(), role="client")) == []


def test_frames_of_another_schema(sample: Any) -> None:
    raw = sample("telegram", "-n", "20", "--seed", "1", "--format", "raw", "--revision", ALIEN)
    assert list(validate(raw, depth="frames", revision=Revision(ALIEN))) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ping",), "argument TYPE: unknown frame type 'ping'; use one of command-name, .*, session"),
        (
            ("--invalid", "frame.hole"),
            r"argument --invalid: there is no requirement 'frame.hole'; did you mean 'frame.whole'\?",
        ),
        (
            ("--invalid", "stream-settings.name-size"),
            "argument --invalid: no bytes violate stream-settings.name-size: ",
        ),
        (
            ("progress", "--invalid", "stream.end"),
            "argument --invalid: no progress frame violates stream.end by itself; a session may",
        ),
        (
            ("session", "--format", "raw"),
            "--format raw writes one session to standard output; use -n 1 or -o DIRECTORY",
        ),
        (("session", "--revision", ALIEN), "sessions and --invalid are available for framing-0002 only"),
        (
            ("--invalid", "frame.whole", "-n", "1"),
            "a sample that violates frame.whole is not a whole frame; use another --format",
        ),
        (
            ("progress", "--invalid", "frame.whole", "-n", "1"),
            "a sample that violates frame.whole is not a whole frame; use --format raw or hex",
        ),
        (
            ("--invalid", "progress.surplus", "--format", "hex"),
            "argument --invalid: no bytes of a client violate progress.surplus: it binds the server; use that role",
        ),
        (
            ("--invalid", "command-name.ascii", "--role", "server"),
            "argument --invalid: no bytes of a server violate command-name.ascii: it binds the client; use that role",
        ),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_what_cannot_be_made_is_said(
    sample: Any, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    sample(*arguments, "--seed", "1", code=2)
    said = flat(capsys.readouterr().err)
    assert re.search(f"(^| )hgproto: {message}", said), said


@pytest.mark.parametrize(
    ("requirement", "role"),
    [("frame.known-type", "client"), ("frame.known-type", "server"), ("text-output.utf8", "server")],
)
@pytest.mark.parametrize("format", ["raw", "hex", "human", "json"])
def test_what_is_written_of_one_side_breaks_the_rule_itself(
    sample: Any, requirement: str, role: Role, format: str
) -> None:
    # The client, where only one side can be written and none was named.
    words = [] if role == "client" and format in ("raw", "hex") else ["--role", role]
    for seed in range(5):
        shown = sample("--invalid", requirement, "-n", "1", "--seed", str(seed), "--format", format, *words)
        if format == "json":
            data = bytes.fromhex("".join(line["wire"] for line in json.loads(shown)["lines"]))
        elif format == "human":
            data = b"".join(encode_frame(parse_frame(line[2:])) for line in shown.decode().splitlines())
        else:
            data = shown if format == "raw" else b"".join(bytes_from_hex([shown]))
        assert {finding.id for finding in validate(data, role=role)} == {requirement}


@pytest.mark.parametrize("what", [["session"], ["session", "--encoded"], ["--invalid", "response.active-request"]])
def test_files_of_sessions_are_read_as_sessions(what: list[str], tmp_path: Path, sample: Any) -> None:
    directory = tmp_path / "out"
    sample(*what, "-n", "3", "--seed", "5", "-o", str(directory))
    assert [file.name for file in sorted(directory.iterdir())] == [f"00000{n}.session" for n in range(3)]
    report = io.StringIO()
    with contextlib.redirect_stdout(report):
        main(["validate", "--format", "json", str(directory)])
    lines = [json.loads(line) for line in report.getvalue().splitlines()]
    assert sum(line["kind"] == "input" for line in lines) == 3
    errors = {line["requirement"] for line in lines if line["kind"] == "finding" and line["severity"] == "error"}
    assert errors == ({what[1]} if "--invalid" in what else set())


@pytest.mark.parametrize(("format_", "suffix"), [("raw", "bin"), ("hex", "hex"), ("human", "txt"), ("json", "json")])
def test_files_of_frames_are_named_by_their_format(format_: str, suffix: str, tmp_path: Path, sample: Any) -> None:
    sample("command-name", "-n", "1", "--seed", "5", "--format", format_, "-o", str(tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == [f"000000.{suffix}"]


def test_a_rule_that_is_not_known_gives_no_seed(sample: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["--invalid", "nothere"],
        ["command-name", "--invalid", "nothere"],
        ["session", "--invalid", "nothere"],
    ):
        sample(*arguments, code=2)
        assert "seed" not in capsys.readouterr().err
