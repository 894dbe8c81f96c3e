"""Revisions: ours and a user's own schema give the same kinds of objects."""

from __future__ import annotations

import shutil
import sys
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from construct import Container
from support import ROOT, SCHEMA, VALID

from hgproto import Frame, FrameReader, Revision, encode_frame, format_frame, parse_frame
from hgproto.errors import ProtocolError
from hgproto.language import SchemaError
from hgproto.revisions.framing_0002 import codec, structs

if TYPE_CHECKING:
    from collections.abc import Callable
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
        SchemaError,
        match=r"framing-0002\.yaml:\d+:\d+: `size` of 'profile' names 'profile_size', which is not an earlier field",
    ):
        Revision(str(file)).codec  # noqa: B018


def test_what_is_no_revision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SchemaError, match=r"'framing-0003' is neither a revision nor a file.*did you mean 'framing-0006'"
    ):
        Revision("framing-0003").codec  # noqa: B018
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    with pytest.raises(SchemaError, match="the file is not a mapping"):
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


BUILDERS: dict[str, Callable[[Any, dict[str, Any]], bytes]] = {
    "frame": lambda structs, parts: structs.frame.build(parts),
    "frames": lambda structs, parts: structs.frames.build([parts]),
    "compiled": lambda structs, parts: structs.frame.compile().build(parts),
    "checked_frame": lambda structs, parts: structs.checked_frame.build(parts),
    "frame_header": lambda structs, parts: structs.frame_header.build({**parts, "length": len(parts["payload"])}),
}
PARTS = ("type", "stream_flags", "flags")


def frame_of(revision: Revision) -> Any:
    """A frame of a type that framing-0002 and the other revision call differently."""
    return revision.codec.make_frame(1, 1, 0, 5, 1, b"x")


def outcome(call: Callable[[], bytes]) -> bytes | str:
    """What a call gives, or why it rejects a frame of another revision."""
    try:
        return call()
    except ProtocolError as error:
        return error.requirement
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("name", BUILDERS)
def test_structs_reject_the_frames_of_another_revision_that_their_codec_rejects(name: str) -> None:
    ours, other = Revision("framing-0002"), Revision(str(ROOT / "tests" / "data" / "alien.yaml"))
    rejected = 0
    for one, foreign in ((ours, other), (other, ours)):
        own, alien = frame_of(one), frame_of(foreign)
        for chosen in product((own, alien, Frame(1, 1, 0, 5, 1)), repeat=len(PARTS)):
            parts = {part: getattr(frame, part) for part, frame in zip(PARTS, chosen, strict=True)}
            frame = own.replace(**parts)
            expected = outcome(lambda: one.codec.encode_frame(frame))  # noqa: B023 - called at once
            rejected += isinstance(expected, str)
            for values in (frame.as_dict(), Container(frame.as_dict())):
                built = outcome(lambda: BUILDERS[name](one.structs, values))  # noqa: B023 - called at once
                if name in ("checked_frame", "frame_header"):
                    assert (str(built) == expected) == isinstance(expected, str)
                else:
                    assert built == expected
    assert rejected == 2 * 9
    # What the Structs of the other revision parsed is of that revision.
    parsed = other.structs.frame.parse(other.codec.encode_frame(frame_of(other)))
    with pytest.raises(
        ValueError, match=r"^expected a frame of framing-0002, found one of another revision, with .*: 5"
    ):
        BUILDERS[name](ours.structs, parsed)


def test_structs_build_frames_of_the_same_revision_compiled_again(tmp_path: Path) -> None:
    for file in ("framing-0002.yaml", "framing.yaml"):
        shutil.copy(SCHEMA / file, tmp_path)
    ours, again = Revision("framing-0002"), Revision(str(tmp_path / "framing-0002.yaml"))
    frame = again.codec.make_frame(1, 1, 1, 1, 1, b"heads")
    assert ours.structs.frame.build(frame.as_dict()) == ours.codec.encode_frame(frame)


def test_a_path_is_a_name(tmp_path: Path) -> None:
    file = ROOT / "tests" / "data" / "alien.yaml"
    assert Revision(file).name == str(file)
    assert Revision(file).codec.REVISION == Revision(str(file)).codec.REVISION
    with pytest.raises(SchemaError, match=r"nope\.yaml"):
        _ = Revision(tmp_path / "nope.yaml").codec
