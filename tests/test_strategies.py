"""Strategies: every example is what the validator says of it, for any revision, and shrinks to what people can read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from diff.test_evolution import replacements
from hypothesis import find, given, settings
from hypothesis import strategies as st
from samples.test_samples import judged
from support import ROOT, SCHEMA

from hgproto.judging.validation import validate, validate_payload
from hgproto.language.constraints import allowed_flags
from hgproto.reactors.client import Client
from hgproto.reactors.events import Error
from hgproto.reactors.server import Server
from hgproto.revisions.framing_0002 import codec
from hgproto.revisions.framing_0002.requirements import REQUIREMENTS
from hgproto.revisions.revision import Revision
from hgproto.runtime.layout import walk
from hgproto.samples import VIOLATORS, Line, Seeded, breakable, senders, wires
from hgproto.samples.frames import FrameMaker
from hgproto.samples.payloads import structure
from hgproto.strategies import chunkings, frames, headers, invalid, payloads, sessions, values
from hgproto.streams.encodings import Encodings, default_encodings
from hgproto.wire.human import format_frame

if TYPE_CHECKING:
    from pathlib import Path

    from hgproto.judging.finding import Role
    from hgproto.language.model import FrameType

OURS = Revision("framing-0002")
ALIEN = Revision(str(ROOT / "tests" / "data" / "alien.yaml"))
REVISIONS = {"framing-0002": OURS, "alien": ALIEN}
TYPES = [(name, frame) for name, revision in REVISIONS.items() for frame in revision.schema.frames.values()]
each_type = pytest.mark.parametrize(("name", "frame"), TYPES, ids=[f"{name} {frame.name}" for name, frame in TYPES])
PART = settings(max_examples=max(settings().max_examples // 4, 5))
FEW = settings(max_examples=max(settings().max_examples // 10, 12))
"""At least the ten examples after which Hypothesis has checked the health of a strategy."""


# Frames, headers and payloads.


@each_type
@PART
@given(data=st.data())
def test_frames_keep_every_rule_of_one_frame(name: str, frame: FrameType, data: st.DataObject) -> None:
    revision = REVISIONS[name]
    encoded = data.draw(st.booleans())
    made = data.draw(frames(frame.name, encoded=encoded, revision=revision))
    assert revision.codec.TYPE_NAMES[int(made.type)] == frame.name
    raw = revision.codec.encode_frame(made)
    assert list(validate(raw, depth="frames", revision=revision)) == []
    assert encoded or not int(made.stream_flags) & sum(
        flag.mask for flag in revision.schema.stream_flags if flag.name == "encoded"
    )


@PART
@given(data=st.data())
def test_frames_are_of_any_type_unless_told(data: st.DataObject) -> None:
    made = data.draw(frames())
    assert list(validate(codec.encode_frame(made), depth="frames")) == []


def test_any_type_is_every_type() -> None:
    for code in codec.TYPE_NAMES:
        assert find(frames(), lambda frame, code=code: frame.type == code).type == code  # type: ignore[misc]


@each_type
def test_headers_are_all_that_the_schema_allows(name: str, frame: FrameType) -> None:
    revision = REVISIONS[name]
    masks = {flag.name: flag.mask for flag in frame.flags}
    stream_masks = {flag.name: flag.mask for flag in revision.schema.stream_flags}
    wanted = {
        (sum(masks.get(flag, 0) for flag in flags), sum(stream_masks.get(flag, 0) for flag in flags))
        for flags in allowed_flags(frame, revision.schema)
    }
    maker = FrameMaker(revision)
    found = maker.headers(frame.code, encoded=True)
    assert {(header.flags, header.stream_flags) for header in found} == wanted
    senders = {"client": (1,), "server": (0,), None: (1, 0)} if name == "framing-0002" else {}
    assert {header.stream_parities for header in found} == {senders.get(frame.sender, found[0].stream_parities)}
    # And all of them are made.
    made = [maker.frame(Seeded(seed), frame.code, encoded=True) for seed in range(60 * len(found))]
    assert {(int(one.flags), int(one.stream_flags)) for one in made} == wanted


@PART
@given(data=st.data())
def test_headers_are_those_of_frames(data: st.DataObject) -> None:
    raw = data.draw(headers("command-argument"))
    assert len(raw) == codec.HEADER_BYTES
    length = int.from_bytes(raw[:3], "little")
    frame, _ = codec.decode_frame(raw + bytes(length))
    codec.check_header(frame)
    assert frame.type == codec.FrameType.COMMAND_ARGUMENT


@each_type
@PART
@given(data=st.data())
def test_payloads_keep_every_rule(name: str, frame: FrameType, data: st.DataObject) -> None:
    revision = REVISIONS[name]
    flags = data.draw(st.sampled_from([0, *(case for case, _, _ in revision.codec.PAYLOADS[frame.code])]))
    continued = any(after for _, after, _ in revision.codec.PAYLOADS[frame.code]) and data.draw(st.booleans())
    options: dict[str, Any] = {"flags": flags, "continued": continued, "revision": revision}
    raw = data.draw(payloads(frame.name, **options))
    assert validate_payload(frame.name, raw, **options) == []
    value = data.draw(values(frame.name, **options))
    assert value is not None


@pytest.mark.parametrize("name", REVISIONS)
@PART
@given(data=st.data())
def test_structures_are_what_their_tables_take(name: str, data: st.DataObject) -> None:
    layouts = REVISIONS[name].codec.LAYOUTS
    layout = layouts[data.draw(st.sampled_from(sorted(layouts)))]
    raw = structure(layout, Seeded(data.draw(st.integers(0, 1 << 32))))
    spans = list(walk(layout, raw))
    assert not spans or spans[-1].end == len(raw)


def test_a_frame_type_that_is_added_has_a_strategy(tmp_path: Path) -> None:
    text = (SCHEMA / "framing-0002.yaml").read_text(encoding="utf-8")
    for old, new in replacements("add a frame type"):
        text = text.replace(old, new)
    for file in SCHEMA.glob("framing*.yaml"):
        (tmp_path / file.name).write_text(text if file.stem == "framing-0002" else file.read_text(encoding="utf-8"))
    revision = Revision(str(tmp_path / "framing-0002.yaml"))
    seen = set()

    @PART
    @given(frames("ping", revision=revision))
    def run(frame: Any) -> None:
        assert list(validate(revision.codec.encode_frame(frame), depth="frames", revision=revision)) == []
        seen.add(int(frame.flags))

    run()
    assert seen == {0, 8}


@pytest.mark.parametrize("strategy", [frames, headers, payloads, values])
def test_a_type_that_there_is_not_is_an_error(strategy: Any) -> None:
    message = "there is no frame type 'ping'; there are command-name, command-argument, .*, stream-settings"
    with pytest.raises(ValueError, match=message):
        strategy("ping")


# Sessions.


@PART
@given(sessions())
def test_sessions_keep_every_rule(lines: list[Line]) -> None:
    assert judged(lines) == []


@pytest.mark.parametrize("role", ["client", "server"])
@PART
@given(data=st.data())
def test_one_side_of_a_session_keeps_every_rule(role: Role, data: st.DataObject) -> None:
    lines = data.draw(sessions(role))
    assert {line.side for line in lines} <= {role}
    raw = b"".join(raw for _, raw in wires(lines) if raw is not None)
    assert list(validate(raw, role=role)) == []


def test_a_role_that_there_is_not_is_an_error() -> None:
    role: Any = "both"
    with pytest.raises(ValueError, match="a role is client or server, not 'both'"):
        sessions(role)


def reported(role: Role, lines: list[Line]) -> set[str | None]:
    """The rules because of which our server or client reports something, told what a side sends."""
    peer = Server() if role == "client" else Client()
    if isinstance(peer, Client):
        for line in lines:
            if line.side == "client" and line.frame is not None and line.frame.type == codec.FrameType.COMMAND_NAME:
                peer.issued(int(line.frame.request_id))
    events: list[Any] = []
    for side, data in wires(lines):
        if side == role and data is not None:
            events += peer.receive_data(data)
    events += peer.receive_end()
    return {
        event.error.requirement if isinstance(event, Error) else getattr(event, "requirement", None) for event in events
    }


@pytest.mark.parametrize(
    ("requirement", "role"),
    [pytest.param(name, role, id=f"{name} {role}") for name in VIOLATORS for role in senders(name)],
)
@FEW
@given(data=st.data())
def test_invalid_sessions_break_their_rule_and_no_other(requirement: str, role: Role, data: st.DataObject) -> None:
    if requirement == "encoding.window" and "zstd-8mb" not in default_encodings():
        pytest.skip("needs zstd")
    lines = data.draw(invalid(requirement, role=role))
    findings = judged(lines)
    assert {(finding.id, finding.side) for finding in findings} == {(requirement, role)}
    # And our own reactors say so, of all that receivers reject.
    assert (requirement in reported(role, lines)) == (requirement in breakable(role, rejected=True))
    assert {finding.refused for finding in findings} == {requirement in breakable(role, rejected=True)}


@pytest.mark.parametrize("requirement", ["frame.whole", "stream-settings.on-begin", "encoding.decodable"])
@FEW
@given(data=st.data())
def test_invalid_sessions_are_of_any_side_unless_told(requirement: str, data: st.DataObject) -> None:
    encodings = Encodings([default_encodings()["zlib"]])
    lines = data.draw(invalid(requirement, encodings=encodings))
    assert {finding.id for finding in judged(lines)} == {requirement}
    assert b"identity" not in b"".join(raw or b"" for _, raw in wires(lines, encodings=encodings))


@pytest.mark.parametrize(
    ("role", "message"),
    [
        ("both", "a role is client or server, not 'both'"),
        ("server", "no bytes of a server violate command-name.ascii: it binds the client"),
    ],
)
def test_a_side_that_does_not_break_a_rule_is_an_error(role: Role, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        invalid("command-name.ascii", role=role)


@pytest.mark.parametrize("requirement", [name for name in REQUIREMENTS if name not in VIOLATORS])
def test_what_no_bytes_break_is_said_to_be_so(requirement: str) -> None:
    with pytest.raises(ValueError, match=rf"^no bytes violate {re.escape(requirement)}: \w.*\.$"):
        invalid(requirement)


def test_a_requirement_that_there_is_not_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"there is no requirement 'frame\.whole-thing'; did you mean 'frame\.whole'"):
        invalid("frame.whole-thing")


@PART
@given(data=st.data())
def test_chunks_are_the_bytes(data: st.DataObject) -> None:
    raw = data.draw(st.binary(max_size=20))
    chunks = data.draw(chunkings(raw))
    assert b"".join(chunks) == raw


# Shrinking.


def written(lines: list[Line]) -> list[str]:
    """Lines as in a session file."""
    sign = {"client": ">", "server": "<"}
    return [
        f"{sign[side]} {format_frame(frame) if data is None and frame is not None else (data or b'').hex()}"
        for side, frame, _, data in lines
    ]


@pytest.mark.parametrize(
    ("requirement", "simplest"),
    [
        (
            "command-name.eos-exclusive",
            [
                "> 1 1 stream-begin|stream-end command-name eos|have-args heads",
                "< 1 2 stream-begin|stream-end bytes-response eos",
            ],
        ),
        ("request.command-expected", ["> 1 5 stream-begin|stream-end command-data eos x"]),
    ],
)
def test_invalid_sessions_shrink_to_the_simplest(requirement: str, simplest: list[str]) -> None:
    found = find(invalid(requirement), lambda _: True, settings=settings(FEW, max_examples=1000))
    assert written(found) == simplest


@pytest.mark.parametrize(
    ("type", "simplest"),
    [
        ("command-name", "1 1 0 command-name eos a"),
        ("command-argument", r"1 1 0 command-argument 0 \x01\x00\x00\x00a"),
        ("bytes-response", "1 0 0 bytes-response continuation"),
        ("text-output", "1 0 0 text-output 0"),
        ("stream-settings", r"1 1 stream-begin stream-settings 0 \x01a"),
    ],
)
def test_frames_shrink_to_the_simplest(type: str, simplest: str) -> None:
    assert format_frame(find(frames(type), lambda _: True)).rstrip() == simplest
