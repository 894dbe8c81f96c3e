"""The schema is the one place: a change of it changes codec, Structs, human form, tables and checks, and no other file.

The changes are those of tests/data/changes.txt, each in a copy of framing-0002.yaml. What they make true is asked of the
code compiled in memory, of the package that ``hgproto generate`` writes, and of the command line.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from support import ROOT, RUFF, SCHEMA

from hgproto.cli import main
from hgproto.errors import ProtocolError, RemoteProtocolError
from hgproto.language.show import show
from hgproto.revisions.revision import Revision
from hgproto.wire.human import format_frame

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hgproto.runtime.frame import Frame


class Change(NamedTuple):
    """What a change makes true of one frame.

    ``data`` are the frame, ``before`` and ``now`` its human forms. ``shown`` is a name to show, and a pattern that its
    table now has; ``gone`` one that it had. ``refused_before`` and ``refused_now`` are the rules that refuse the frame,
    and ``seen`` is true of the frame, its value, and the codec.
    """

    data: str
    before: str
    now: str
    shown: tuple[str, str]
    gone: str
    refused_before: str
    refused_now: str
    seen: Callable[[Frame, Any, Any], bool]


CHANGES = {
    "add a flag": Change(
        data="010000 0100 01 01 19 78",
        before="1 1 stream-begin command-name eos|0x8 x",
        now="1 1 stream-begin command-name eos|quiet x",
        shown=("command-name", r"0x8 +quiet +No text-output\."),
        gone="",
        refused_before="frame.known-flags",
        refused_now="",
        seen=lambda frame, _, codec: frame.flags == codec.CommandNameFlag.EOS | codec.CommandNameFlag.QUIET,
    ),
    "remove a flag": Change(
        data="010000 0100 01 01 16 78",
        before="1 1 stream-begin command-name have-args|have-data x",
        now="1 1 stream-begin command-name have-args|0x4 x",
        shown=("command-name", "have-args"),
        gone="0x4 +have-data",
        refused_before="",
        refused_now="frame.known-flags",
        seen=lambda frame, _, codec: int(frame.flags) == 6 and not hasattr(codec.CommandNameFlag, "HAVE_DATA"),
    ),
    "add a frame type": Change(
        data="010000 0100 01 01 98 78",
        before="1 1 stream-begin 0x9 0x8 x",
        now="1 1 stream-begin ping pong x",
        shown=("ping", r"ping\.ascii +A sender MUST use a token"),
        gone="",
        refused_before="frame.known-type",
        refused_now="",
        seen=lambda frame, value, codec: frame.type is codec.FrameType.PING and value == "x",
    ),
    "remove a frame type": Change(
        data="010000 0100 02 01 70 a0",
        before="1 2 stream-begin progress 0 \\xa0",
        now="1 2 stream-begin 0x7 0 \\xa0",
        shown=("progress", "required"),
        gone="type 0x7",
        refused_before="progress.required-keys",
        refused_now="frame.known-type",
        seen=lambda frame, value, codec: frame.type == 7 and value == b"\xa0" and 7 not in codec.PAYLOADS,
    ),
    "add a payload field": Change(
        data="030000 0100 01 01 80 09 01 78",
        before="1 1 stream-begin stream-settings 0 \\t\\x01x",
        now="1 1 stream-begin stream-settings 0 \\t\\x01x",
        shown=("stream-settings", r"level +u8 +1 +How hard to try\."),
        gone="",
        refused_before="stream-settings.name-whole",
        refused_now="",
        seen=lambda _, value, __: value.as_dict() == {"level": 9, "profile": "x", "settings": b""},
    ),
    "remove a payload field": Change(
        data="030000 0100 01 01 80 01 78 79",
        before="1 1 stream-begin stream-settings 0 \\x01xy",
        now="1 1 stream-begin stream-settings 0 \\x01xy",
        shown=("stream-settings", "profile +ASCII"),
        gone="settings +bytes",
        refused_before="",
        refused_now="stream-settings.name-size",
        seen=lambda _, __, codec: codec.StreamSettings("x").as_dict() == {"profile": "x"},
    ),
    "add a constraint": Change(
        data="010000 0200 02 00 42 78",
        before="2 2 0 bytes-response eos x",
        now="2 2 0 bytes-response eos x",
        shown=("bytes-response", r"bytes-response\.odd-id +A server MUST respond with an odd"),
        gone="",
        refused_before="",
        refused_now="bytes-response.odd-id",
        seen=lambda _, value, __: value == b"x",
    ),
    "remove a constraint": Change(
        data="060000 0100 01 00 23 0100 0100 6b 76",
        before="1 1 0 command-argument continuation|eoa \\x01\\x00\\x01\\x00kv",
        now="1 1 0 command-argument continuation|eoa \\x01\\x00\\x01\\x00kv",
        shown=("command-argument", "continuation"),
        gone="eoa-exclusive",
        refused_before="command-argument.eoa-exclusive",
        refused_now="",
        seen=lambda _, value, __: (value.name, value.value) == ("k", b"v"),
    ),
}


def replacements(name: str) -> list[tuple[str, str]]:
    """The texts that a change replaces, and by which."""
    (part,) = [
        part.split("\n", 1)[1]
        for part in (ROOT / "tests" / "data" / "changes.txt").read_text(encoding="utf-8").split("\n# ")
        if part.startswith(f"{name}\n")
    ]
    pairs = []
    for place in part.strip("\n").split("\n\n"):
        old, new = ("\n".join(line[2:] for line in place.split("\n") if line[:1] == sign) for sign in "-+")
        pairs.append((old, new))
    return pairs


@pytest.fixture(scope="module", params=CHANGES)
def evolved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Change, Revision]:
    """A change, and the revision that has it."""
    directory = tmp_path_factory.mktemp("evolved")
    shutil.copy(SCHEMA / "framing.yaml", directory)
    text = (SCHEMA / "framing-0002.yaml").read_text(encoding="utf-8")
    for old, new in replacements(request.param):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file = directory / "framing-0002.yaml"
    file.write_text(text, encoding="utf-8")
    return CHANGES[request.param], Revision(str(file))


OURS = Revision("framing-0002")


def judgement(codec: Any, data: bytes) -> str:
    """The rule that refuses a frame by its codec; empty when none does."""
    try:
        frame, _ = codec.decode_frame(data)
        codec.check_header(frame)
        codec.decode_payload(frame)
    except RemoteProtocolError as error:
        return error.requirement
    return ""


def struct_judgement(structs: Any, data: bytes) -> str:
    """The same by its Structs."""
    try:
        structs.checked_frame.parse(data)
    except ProtocolError as error:
        return error.requirement
    return ""


def test_the_changed_schema_is_good(evolved: tuple[Change, Revision], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "check", evolved[1].name]) == 0
    assert "framing-0002.yaml: good: " in capsys.readouterr().out


def test_codec_and_structs_made_in_memory_have_the_change(evolved: tuple[Change, Revision]) -> None:
    change, made = evolved
    data = bytes.fromhex(change.data)
    for revision, refused in ((OURS, change.refused_before), (made, change.refused_now)):
        assert judgement(revision.codec, data) == refused
        assert struct_judgement(revision.structs, data) == refused


def test_values_have_the_change(evolved: tuple[Change, Revision]) -> None:
    change, made = evolved
    frame, _ = made.codec.decode_frame(bytes.fromhex(change.data))
    try:
        value = made.codec.decode_payload(frame)
    except RemoteProtocolError as error:
        value = error
    assert change.seen(frame, value, made.codec)


def test_the_written_package_has_the_change(
    evolved: tuple[Change, Revision], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, made = evolved
    package = tmp_path.name
    directory = tmp_path / package
    assert main(["generate", "--revision", made.name, "--output", str(directory)]) == 0
    if RUFF is not None:
        command = [RUFF, "format", "--diff", "--config", str(ROOT / "pyproject.toml"), str(directory)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout
    monkeypatch.syspath_prepend(tmp_path)
    data = bytes.fromhex(change.data)
    assert judgement(importlib.import_module(f"{package}.codec"), data) == change.refused_now
    assert struct_judgement(importlib.import_module(f"{package}.structs"), data) == change.refused_now


def test_the_command_line_has_the_change(
    evolved: tuple[Change, Revision], tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    change, made = evolved
    data, wire, line = bytes.fromhex(change.data), tmp_path / "wire", tmp_path / "line"
    wire.write_bytes(data)
    line.write_text(change.now, encoding="utf-8")

    def run(*arguments: str | Path, status: int = 0) -> bytes:
        assert main(list(map(str, arguments))) == status
        return capfdbinary.readouterr().out

    revision = ("--revision", made.name)
    assert run("encode", *revision, line) == data
    try:
        made.codec.decode_payload(made.codec.decode_frame(data)[0])
        assert run("decode", *revision, wire).decode() == f"{change.now}\n"
    except RemoteProtocolError as error:
        # A frame whose payload is damaged is shown, and then what is wrong with it.
        assert error.requirement == change.refused_now
        shown = run("decode", *revision, wire, status=1).decode()
        assert re.fullmatch(rf"{re.escape(change.now)}\n# error: .* \({re.escape(change.refused_now)}\)\n", shown)
    assert format_frame(OURS.codec.decode_frame(data)[0]) == change.before
    name, pattern = change.shown
    table = run("schema", "show", *revision, name).decode()
    assert re.search(pattern, table)
    if change.gone:
        assert not re.search(change.gone, table)
        assert re.search(change.gone, "\n".join(show(name, OURS.schema)))


def test_the_protocol_as_it_is_has_none_of_the_changes() -> None:
    for name, change in CHANGES.items():
        frame, _ = OURS.codec.decode_frame(bytes.fromhex(change.data))
        try:
            value = OURS.codec.decode_payload(frame)
        except RemoteProtocolError as error:
            value = error
        is_seen = False
        with contextlib.suppress(AttributeError, TypeError):
            is_seen = change.seen(frame, value, OURS.codec)
        # A constraint is judged, and shown in no value.
        assert is_seen == (name in ("add a constraint", "remove a constraint")), name
