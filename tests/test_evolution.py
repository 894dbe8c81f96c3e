"""A schema is changed and nothing else: Structs, codec, human form, command line and checks follow."""

# ruff: noqa: E501 - lines of YAML are as long as they are in the schema

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import SCHEMA, fast_judgement

from hgproto import FrameReader, HumanFormError, RemoteProtocolError, Revision, format_frame, parse_frame
from hgproto.cli import main
from hgproto.prove import prove
from hgproto.spec import check, load

if TYPE_CHECKING:
    from collections.abc import Callable

Change = tuple[str, str]

NEW_FLAG: Change = (
    "      eoa: {bit: 1, doc: This is the last frame of the last argument.}\n",
    "      eoa: {bit: 1, doc: This is the last frame of the last argument.}\n"
    "      urgent: {bit: 2, doc: The server should hurry.}\n",
)
NEW_CONSTRAINT: Change = (
    "      - {at-most-one-of: [continuation, eoa], requirement: command-argument.eoa-exclusive}\n",
    "      - {at-most-one-of: [continuation, eoa], requirement: command-argument.eoa-exclusive}\n"
    "      - {requires: {urgent: [eoa]}, requirement: command-argument.urgent-last}\n",
)
NEW_REQUIREMENT: Change = (
    "\nrequirements:\n",
    "\nrequirements:\n"
    "  command-argument.urgent-last: {binds: client, level: MUST, source: ours, section: none, enforced: codec, "
    "text: set urgent only on the last argument}\n"
    "  notice.utf8: {binds: server, level: MUST, source: ours, section: none, enforced: codec, text: send notices in UTF-8}\n"
    "  notice.server-only: {binds: client, level: MUST NOT, source: ours, section: none, enforced: codec, text: send notices}\n",
)
NEW_TYPE: Change = (
    "\nframes:\n",
    """
frames:
  notice:
    code: 0x9
    title: Notice
    sender: {only: server, requirement: notice.server-only}
    doc: Tells everybody something.
    flags: {}
    payload:
      - {name: text, type: utf8, size: rest, rules: {charset: notice.utf8}, doc: What is told.}
    examples:
      - {title: a notice, hex: "020000 0100 02 01 90 6869", decodes: {length: 2, request_id: 1, stream_id: 2, stream_flags: [stream-begin], type: notice, flags: [], payload: hi}}
      - {title: an empty one, hex: "000000 0100 02 01 90", decodes: {length: 0, request_id: 1, stream_id: 2, stream_flags: [stream-begin], type: notice, flags: [], payload: ""}}
      - {title: no UTF-8, hex: "010000 0100 02 01 90 ff", refused: notice.utf8, offset: 8}
""",
)
NEW_FIELD: list[Change] = [
    (
        "      - {name: settings, type: bytes, size: rest, doc: What the profile itself defines.}\n",
        "      - {name: level, type: u8, rules: {overflow: stream-settings.name-size}, doc: How hard to try.}\n"
        "      - {name: settings, type: bytes, size: rest, doc: What the profile itself defines.}\n",
    ),
    ('hex: "04 7a6c6962", decodes: {profile: zlib, settings: ""}', 'hex: "04 7a6c6962 09", decodes: {profile: zlib, level: 9, settings: ""}'),
    ('hex: "050000 0100 01 01 80  04 7a6c6962"', 'hex: "060000 0100 01 01 80  04 7a6c6962 09"'),
    ("decodes: {length: 5, request_id: 1, stream_id: 1, stream_flags: [stream-begin], type: stream-settings, flags: [], payload: {profile: zlib,", "decodes: {length: 6, request_id: 1, stream_id: 1, stream_flags: [stream-begin], type: stream-settings, flags: [], payload: {profile: zlib, level: 9,"),
    ('payload: {profile: x, settings: "0102"}', 'payload: {profile: x, level: 1, settings: "02"}'),
]  # fmt: skip


@pytest.fixture
def evolve(tmp_path: Path) -> Callable[..., Path]:
    """Copies the schema with changes; the file of the revision."""

    def changed(*changes: Change) -> Path:
        for file in SCHEMA.glob("*.yaml"):
            shutil.copy(file, tmp_path)
        file = tmp_path / "framing-0002.yaml"
        text = file.read_text()
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        file.write_text(text)
        return file

    return changed


def proven(file: Path) -> Revision:
    """The revision in a file that passes every check."""
    schema = load(file)
    assert check(schema) == []
    problems, examples = prove(schema)
    assert problems == []
    assert examples > 40
    return Revision(str(file))


def refusal(revision: Revision, line: str) -> str | None:
    """The requirement that refuses a frame by both codecs, or None."""
    frame = parse_frame(line, revision.codec)
    octets = revision.codec.encode_frame(frame)

    def judged(judge: Callable[[], object]) -> str | None:
        try:
            judge()
        except RemoteProtocolError as error:
            return error.requirement
        return None

    def fast() -> None:
        revision.codec.check_header(frame)
        revision.codec.decode_payload(frame)

    refused = judged(fast)
    assert judged(lambda: revision.structs.checked_frame.parse(octets)) == refused
    return refused


def test_a_flag_and_a_constraint(evolve: Callable[..., Path]) -> None:
    line = "1 1 0 command-argument eoa|urgent \\x01\\x00\\x01\\x00kv"
    with pytest.raises(HumanFormError):
        parse_frame(line)
    revision = proven(
        evolve(NEW_FLAG, NEW_CONSTRAINT, (NEW_REQUIREMENT[0], NEW_REQUIREMENT[1].partition("  notice")[0]))
    )
    frame = parse_frame(line, revision.codec)
    assert format_frame(frame, revision.codec) == line
    assert frame.flags.name == "EOA|URGENT"  # type: ignore[attr-defined]
    assert refusal(revision, line) is None
    assert refusal(revision, line.replace("eoa|urgent", "urgent")) == "command-argument.urgent-last"
    # Ours knows nothing of it.
    assert fast_judgement(revision.codec.encode_frame(frame))[0] == "frame.known-flags"


def hgproto(*arguments: str) -> str:
    """What the program prints."""
    command = [sys.executable, "-m", "hgproto", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_frame_type(evolve: Callable[..., Path], tmp_path: Path) -> None:
    requirement = NEW_REQUIREMENT[1].splitlines(keepends=True)
    file = evolve(NEW_TYPE, (NEW_REQUIREMENT[0], "".join(requirement[:2] + requirement[3:])))
    revision = proven(file)
    line = "1 2 stream-begin notice 0 hi"
    assert refusal(revision, line) is None
    assert refusal(revision, "1 1 stream-begin notice 0 hi") == "notice.server-only"
    assert refusal(revision, "1 2 stream-begin notice 0 \\xff") == "notice.utf8"
    assert refusal(revision, "1 2 stream-begin notice 1 hi") == "frame.known-flags"
    lines, wire = tmp_path / "lines", tmp_path / "wire"
    lines.write_text(f"{line}\n")
    assert hgproto("encode", "--hex", "--revision", str(file), str(lines)) == "02000001000201906869\n"
    wire.write_bytes(bytes.fromhex("02000001000201906869"))
    assert hgproto("decode", "--revision", str(file), str(wire)) == f"{line}\n"
    assert hgproto("decode", str(wire)) == "1 2 stream-begin 0x9 0 hi\n"
    assert "What is told." in hgproto("decode", "--format", "tree", "--revision", str(file), str(wire))
    assert "notice.server-only" in hgproto("schema", "show", "--revision", str(file), "notice")


def test_a_field_of_a_payload(evolve: Callable[..., Path]) -> None:
    revision = proven(evolve(*NEW_FIELD))
    value = revision.codec.decode_stream_settings(b"\x04zlib\x09xy")  # type: ignore[attr-defined]
    assert value.as_dict() == {"profile": "zlib", "level": 9, "settings": b"xy"}
    assert revision.structs.stream_settings.parse(b"\x04zlib\x09xy").level == 9
    assert refusal(revision, "1 1 stream-begin stream-settings 0 \\x04zlib") == "stream-settings.name-whole"
    frame = FrameReader(codec=revision.codec).feed(bytes.fromhex("0500000100010180047a6c6962"))[0]
    assert format_frame(frame, revision.codec) == "1 1 stream-begin stream-settings 0 \\x04zlib"


REMOVALS: list[tuple[str, Change, str]] = [
    ("a constraint", ("      - {forbids: {eos: [have-args, have-data]}, requirement: command-name.eos-exclusive}\n", ""), "nothing in the codec enforces 'command-name.eos-exclusive'"),
    ("a flag", ("      have-data: {bit: 2, doc: \"command-data frames follow, after the arguments if there are any.\"}\n", ""), "there is no flag 'have-data'"),
    ("a requirement", ("  command-name.eos-exclusive:\n    {binds: client, level: MUST NOT, source: protocol, section: \"1.3\", enforced: codec, text: set eos together with have-args or have-data}\n", ""), "there is no requirement 'command-name.eos-exclusive'"),
    ("a field", ("      - {name: format_length, type: u16, doc: Octets of the format string.}\n", ""), "`size` of 'format' refers to no earlier field: 'format_length'"),
    ("a structure", ("  argument-rest:\n", "  argument-tail:\n"), "there is no structure 'argument-rest'"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "change", "message"), REMOVALS, ids=[what for what, *_ in REMOVALS])
def test_what_is_referred_to_cannot_be_removed(
    what: str, change: Change, message: str, evolve: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = evolve(change)
    assert main(["schema", "check", str(file)]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if message in line]
    assert lines, what
    path, line, column, *_ = lines[0].split(":")
    assert Path(path).name in ("framing-0002.yaml", "framing.yaml")
    assert int(line) > 0
    assert int(column) > 0
    assert "; " in lines[0]


def test_removing_a_constraint_and_its_requirement(evolve: Callable[..., Path]) -> None:
    examples = (
        '      - title: nothing follows, and arguments do\n        hex: "070000 0100 01 01 13  636f6d6d616e64"\n'
        "        refused: command-name.eos-exclusive\n        offset: 7\n"
    )
    # The machine's rows were disjoint because of the constraint; now it has to tell them apart itself.
    row = (
        "when: {and: [{guard: capacity}, have-args]}, to: receiving-arguments",
        "when: {and: [{guard: capacity}, have-args, {not: eos}]}, to: receiving-arguments",
    )
    data = (
        "when: {and: [{guard: capacity}, have-data, {not: have-args}]}",
        "when: {and: [{guard: capacity}, have-data, {not: have-args}, {not: eos}]}",
    )
    revision = proven(evolve(REMOVALS[0][1], REMOVALS[2][1], (examples, ""), row, data))
    assert refusal(revision, "1 1 0 command-name eos|have-args name") is None


def test_generate_writes_what_is_compiled_in_memory(
    evolve: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = evolve(*NEW_FIELD), tmp_path / "package"
    arguments = ["generate", "--revision", str(file), "--output", str(out)]
    assert main([*arguments, "--check"]) == 1
    assert main(arguments) == 0
    assert sorted(path.name for path in out.iterdir()) == ["__init__.py", "codec.py", "structs.py"]
    assert main([*arguments, "--check"]) == 0
    assert "level" in (out / "codec.py").read_text()
    capsys.readouterr()
    (out / "codec.py").write_text((out / "codec.py").read_text().replace("level", "LEVEL", 1))
    assert main([*arguments, "--check"]) == 1
    output = capsys.readouterr()
    assert "+" in output.out
    assert "LEVEL" in output.out
    assert "is stale" in output.err
