"""Revisions: ours and a user's own schema give the same kinds of objects."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from support import SCHEMA, VALID

from hgproto import FrameReader, Revision, encode_frame, format_frame, parse_frame
from hgproto.framing_0002 import codec, structs
from hgproto.spec import SchemaError

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
    assert sys.modules["hgproto.framing_0002.codec"] is codec
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
