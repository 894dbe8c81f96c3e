"""Hints about a wrong revision: bytes of one revision are recognized, and faulty bytes of the right one are not."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support import INVALID, ROOT, VALID

from hgproto.cli import main
from hgproto.revisions.likeness import likely_revision
from hgproto.revisions.revision import Revision, known_names

if TYPE_CHECKING:
    from pathlib import Path

CAPTURES = {
    name: json.loads((ROOT / "tests" / "data" / "captures" / f"{name}.json").read_text(encoding="utf-8"))["captures"]
    for name in ("framing-0002", "framing-0006")
}
OLD, NEW = (Revision(name) for name in CAPTURES)


def test_every_revision_is_compared() -> None:
    assert {*CAPTURES} == {*known_names()}


@pytest.mark.parametrize("name", CAPTURES)
def test_recorded_bytes_are_recognized(name: str) -> None:
    own, other = (OLD, NEW) if name == "framing-0002" else (NEW, OLD)
    for capture in CAPTURES[name]:
        for side in ("request", "response"):
            head = bytes.fromhex(capture[side])[:4096]
            assert likely_revision(head, own) is None
            if "even" not in capture["name"] or side == "response":
                assert likely_revision(head, other) in (name, None)
    heads = bytes.fromhex(CAPTURES[name][0]["request"])
    assert likely_revision(heads, other) == name


def test_vectors_of_a_revision_are_not_taken_for_another_one() -> None:
    for vector in (*VALID, *INVALID):
        assert likely_revision(bytes.fromhex(vector["wire"]), OLD) is None, vector["id"]


@pytest.mark.parametrize("data", [b"", b"\0", b"\x0c\0\0\1\0\1\1\x11", b"GET / HTTP/1.1\r\n\r\n"])
def test_bytes_without_a_good_frame_are_nothing(data: bytes) -> None:
    assert likely_revision(data, OLD) is None


@pytest.mark.parametrize("hexadecimal", [False, True])
@pytest.mark.parametrize("verb", ["decode", "validate"])
def test_commands_name_the_revision(
    verb: str, hexadecimal: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.TextIOWrapper(io.BytesIO(), write_through=True)
    data: Any = CAPTURES["framing-0006"][0]["request"]
    file = tmp_path / ("heads.hex" if hexadecimal else "heads")
    file.write_bytes(data.encode() if hexadecimal else bytes.fromhex(data))
    monkeypatch.setattr(sys, "stdout", out)
    code = main([verb, str(file)])
    assert code == 1
    said = capsys.readouterr().err + out.buffer.getvalue().decode()
    assert "this looks like framing-0006; use --revision framing-0006" in said
    out = io.TextIOWrapper(io.BytesIO(), write_through=True)
    monkeypatch.setattr(sys, "stdout", out)
    assert main([verb, "--revision", "framing-0006", *(["--depth", "frames"] * (verb == "validate")), str(file)]) == 0
    assert "looks like" not in capsys.readouterr().err + out.buffer.getvalue().decode()
