"""The vectors: what each says is what our code does, and together they reach every rule of one frame."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from marks import labelled
from support import INVALID, SCHEMA, VALID, VECTORS

from hgproto import FrameReader, Revision, format_frame, parse_frame
from hgproto.errors import RemoteProtocolError
from hgproto.language import load
from hgproto.revisions.framing_0002 import codec
from hgproto.wire.jsonform import Continuations, frame_from_json, frame_to_json

BUILD_ONLY = {"frame.field-range", "command-argument.sizes", "text-output.sizes", "stream-settings.name-size"}
"""Requirements that only building can break: what is received always fits the fields it came in."""


def named(vector: dict[str, Any]) -> str:
    return str(vector["id"])


DEFAULT, NEWER = Revision("framing-0002"), Revision("framing-0006")
NEWER_VECTORS = [
    vector
    for file in sorted((SCHEMA / "vectors" / "framing-0006").glob("*.json"))
    for vector in json.loads(file.read_text())["vectors"]
]


def of_both(result: str, vectors: list[Any]) -> list[Any]:
    """Returns the vectors of both revisions with this result, each with the revision."""
    newer = [vector for vector in NEWER_VECTORS if vector["result"] == result]
    return [pytest.param(DEFAULT, *one.values, marks=one.marks, id=f"{one.values[0]['id']}") for one in vectors] + [
        pytest.param(NEWER, vector, id=f"framing-0006/{vector['id']}") for vector in newer
    ]


def read_checked(wire: bytes, codec: Any = codec) -> list[dict[str, Any]]:
    """The frames of a wire in JSON form, each judged on its own. Raises at the first refusal."""
    reader = FrameReader(codec=codec)
    continuations = Continuations(codec)
    shown: list[dict[str, Any]] = []
    offset = 0
    frames = iter(reader.read([wire]))
    while True:
        frame = next(frames, None)
        if frame is None:
            return shown
        continued = continuations.next(frame)
        try:
            codec.check_header(frame)
            codec.decode_payload(frame, continued)
        except RemoteProtocolError as error:
            in_payload = error.field not in ("type", "flags", "stream_flags", "stream_id", "request_id")
            raise error.moved(offset + (codec.HEADER_BYTES if in_payload else 0)) from None
        shown.append(frame_to_json(frame, codec, offset, continued=continued))
        offset += codec.HEADER_BYTES + len(frame.payload)


@pytest.mark.parametrize(("revision", "vector"), of_both("valid", labelled(VALID)))
def test_valid(revision: Revision, vector: dict[str, Any]) -> None:
    wire, codec = bytes.fromhex(vector["wire"]), revision.codec
    assert read_checked(wire, codec) == vector["frames"]
    assert [format_frame(frame, codec) for frame in FrameReader(codec=codec).feed(wire)] == vector["human"]
    assert b"".join(codec.encode_frame(parse_frame(line, codec)) for line in vector["human"]) == wire
    assert b"".join(codec.encode_frame(frame_from_json(frame, codec)) for frame in vector["frames"]) == wire
    continuations = Continuations(codec)
    for frame in vector["frames"]:
        end = frame["offset"] + codec.HEADER_BYTES + frame["length"]
        continued = continuations.next(frame_from_json(frame, codec))
        revision.structs.checked_frame.parse(wire[frame["offset"] : end], continued=continued)


@pytest.mark.parametrize(("revision", "vector"), of_both("invalid", labelled(INVALID)))
def test_invalid(revision: Revision, vector: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError) as error:
        read_checked(bytes.fromhex(vector["wire"]), revision.codec)
    assert [error.value.requirement] == vector["requirements"]
    assert (error.value.offset, error.value.field) == (vector["offset"], vector["field"])


def test_ids_are_unique() -> None:
    assert [name for name, count in Counter(map(named, VECTORS)).items() if count > 1] == []
    assert len(VECTORS) >= 60


@pytest.mark.parametrize(
    "file",
    [*sorted((SCHEMA / "vectors").glob("*.json")), *sorted((SCHEMA / "vectors" / "framing-0006").glob("*.json"))],
    ids=lambda file: file.name,
)
def test_files_are_byte_stable(file: Any) -> None:
    text = file.read_text()
    assert json.dumps(json.loads(text), indent=2) + "\n" == text


ENCODED_ONLY = {"frame.items-limit"}
"""What no payload can break that is not encoded and within the limit on payloads. Golden sessions have it."""


def test_every_frame_type_flag_and_rule_is_reached() -> None:
    schema = load(SCHEMA / "framing-0002.yaml")
    frames = [frame for vector in VALID for frame in vector["frames"]]
    reached = {(frame["type"], flag) for frame in frames for flag in [*frame["flags"], None]}
    assert reached >= {
        (frame.name, flag) for frame in schema.frames.values() for flag in (*(f.name for f in frame.flags), None)
    }
    assert {flag for frame in frames for flag in frame["stream_flags"]} == {flag.name for flag in schema.stream_flags}
    known = set(schema.requirements)
    assert {requirement for vector in VECTORS for requirement in vector["requirements"]} <= known
    of_one_frame = {r.id for r in schema.requirements.values() if r.enforced == "codec"} - BUILD_ONLY - ENCODED_ONLY
    assert {requirement for vector in INVALID for requirement in vector["requirements"]} == of_one_frame


JOINED = {name for name in NEWER.requirements if name.startswith("command-response.")} - {
    "command-response.server-only",
    "command-response.one-flag",
} | {"command-request.in-order"}
"""Requirements on several frames together, which no frame shows by itself."""


def test_every_frame_type_flag_and_requirement_of_the_newer_revision_is_reached() -> None:
    schema = load(SCHEMA / "framing-0006.yaml")
    frames = [frame for vector in NEWER_VECTORS for frame in vector.get("frames", ())]
    reached = {(frame["type"], flag) for frame in frames for flag in [*frame["flags"], None]}
    assert reached >= {
        (frame.name, flag) for frame in schema.frames.values() for flag in (*(f.name for f in frame.flags), None)
    }
    known = {requirement for vector in NEWER_VECTORS for requirement in vector["requirements"]}
    assert known <= set(schema.requirements)
    of_one_frame = {r.id for r in schema.requirements.values() if r.enforced == "codec"}
    invalid = {name for vector in NEWER_VECTORS if vector["result"] == "invalid" for name in vector["requirements"]}
    assert invalid == of_one_frame - JOINED - {"frame.field-range"} - ENCODED_ONLY
    assert [name for name, count in Counter(map(named, NEWER_VECTORS)).items() if count > 1] == []
