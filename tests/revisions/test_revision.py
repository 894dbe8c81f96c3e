"""Revisions: ours and a user's own schema give the same kinds of objects."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from support import ROOT, SCHEMA, VALID

from hgproto import FrameReader, Revision, encode_frame, format_frame, parse_frame
from hgproto.language import SchemaError
from hgproto.revisions.framing_0002 import codec, structs

if TYPE_CHECKING:
    from pathlib import Path


def test_ours_is_the_generated_package() -> None:
    revision = Revision("framing-0002")
    assert revision.is_known
    assert revision.codec is codec
    assert revision.structs is structs
    assert revision.schema.revision == codec.REVISION


def test_a_file_is_compiled_to_the_same_kinds_of_objects(tmp_path: Path) -> None:
    for file in SCHEMA.glob("*.yaml"):
        shutil.copy(file, tmp_path)
    revision = Revision(str(tmp_path / "framing-0002.yaml"))
    assert not revision.is_known
    assert revision.codec is not codec
    assert sys.modules["hgproto.revisions.framing_0002.codec"] is codec
    for vector in VALID[:40]:
        wire = bytes.fromhex(vector["wire"])
        frames = FrameReader(codec=revision.codec).feed(wire)
        assert [format_frame(frame, revision.codec) for frame in frames] == vector["human"]
        assert (
            b"".join(encode_frame(parse_frame(line, revision.codec), codec=revision.codec) for line in vector["human"])
            == wire
        )
        assert revision.structs.frame.parse(wire).payload == frames[0].payload


def test_a_schema_that_does_not_pass_its_checks_is_not_compiled(tmp_path: Path) -> None:
    for file in SCHEMA.glob("*.yaml"):
        shutil.copy(file, tmp_path)
    file = tmp_path / "framing-0002.yaml"
    file.write_text(file.read_text().replace("size: profile_length", "size: profile_size"))
    with pytest.raises(
        SchemaError, match=r"framing-0002\.yaml:\d+:\d+: `size` of 'profile' refers to no earlier field"
    ):
        Revision(str(file)).codec  # noqa: B018


def test_what_is_no_revision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"there is no revision 'framing-0003'.*did you mean 'framing-0002'"):
        Revision("framing-0003").codec  # noqa: B018
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    with pytest.raises(SchemaError, match="a schema is a mapping"):
        Revision(str(empty)).codec  # noqa: B018


CODEC_FUNCTIONS = ["encode_frame", "encode_header", "check_header", "decode_payload"]


@pytest.mark.parametrize("name", CODEC_FUNCTIONS)
def test_a_codec_refuses_frames_of_another_revision(name: str) -> None:
    ours, other = Revision("framing-0002").codec, Revision(str(ROOT / "tests" / "data" / "alien.yaml")).codec
    for one, foreign in ((ours, other), (other, ours)):
        frame = foreign.make_frame(1, 1, 0, min(foreign.TYPE_NAMES), 0, b"")
        with pytest.raises(ValueError, match=f"expected a frame of {one.REVISION}, found one of another revision"):
            getattr(one, name)(frame)


@pytest.mark.parametrize("name", CODEC_FUNCTIONS)
def test_a_codec_accepts_frames_of_its_revision_and_of_plain_numbers(name: str, tmp_path: Path) -> None:
    for file in ("framing-0002.yaml", "framing.yaml"):
        shutil.copy(SCHEMA / file, tmp_path)
    ours, again = Revision("framing-0002").codec, Revision(str(tmp_path / "framing-0002.yaml")).codec
    frame = ours.make_frame(1, 1, 1, ours.CODES["command-name"], 1, b"heads")
    plain = frame.replace(type=1, stream_flags=1, flags=1)
    assert type(again.make_frame(1, 1, 1, 1, 1, b"").type) is not type(frame.type)
    assert getattr(ours, name)(frame) == getattr(again, name)(frame) == getattr(ours, name)(plain)
