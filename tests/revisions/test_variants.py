"""Revisions of a user that differ from framing-0002: streams, judges, and reactors go by their own definition."""

from __future__ import annotations

import gc
import re
import weakref
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hgproto import (
    Client,
    Encodings,
    InputStream,
    OutputStream,
    Server,
    SessionValidator,
    Validator,
    default_encodings,
    parse_frame,
    read_frames,
)
from hgproto.cli import main
from hgproto.errors import EncodingError, RemoteProtocolError, RevisionError
from hgproto.judging.command_judge import CommandJudge
from hgproto.judging.finding import ROLES
from hgproto.judging.response_judge import ResponseJudge
from hgproto.reactors.limits import Limits
from hgproto.reactors.plans import Slots, first_of
from hgproto.revisions.revision import Revision, default_revision
from hgproto.samples import Seeded, breakable, broken_session, session, violate, wires
from hgproto.samples.frames import FrameMaker

if TYPE_CHECKING:
    from collections.abc import Callable

OURS = default_revision()
WELL_FORMED = [
    "response.complete",
    "request.complete",
    "response.active-request",
    "command-argument.uninterrupted",
    "stream.end",
]
SCHEMA = Path(__file__).resolve().parents[2] / "schema"
needs_zstd = pytest.mark.skipif("zstd-8mb" not in default_encodings(), reason="Zstandard is not installed")


@pytest.fixture
def variant(tmp_path: Path) -> Callable[..., Revision]:
    """Makes a revision of framing-0002 in which some texts of the shared part are replaced."""
    return partial(_variant, tmp_path)


def _variant(folder: Path, *changes: tuple[str, str]) -> Revision:
    shared = (SCHEMA / "framing.yaml").read_text(encoding="utf-8")
    for old, new in changes:
        assert old in shared
        shared = shared.replace(old, new, 1)
    (folder / "framing.yaml").write_text(shared, encoding="utf-8")
    own = (SCHEMA / "framing-0002.yaml").read_text(encoding="utf-8")
    (folder / "mine.yaml").write_text(own.replace("revision: framing-0002", "revision: mine", 1), encoding="utf-8")
    return Revision(str(folder / "mine.yaml"))


def test_two_profiles_can_have_one_algorithm(variant: Callable[..., Revision]) -> None:
    second = "  zlib-too: {doc: Another name., settings: none, algorithm: zlib, source: ours}\n  zlib:\n"
    revision = variant(("  zlib:\n", second))
    assert [name for name in default_encodings(revision) if "zlib" in name] == ["zlib-too", "zlib"]


@needs_zstd
@pytest.mark.requirement("encoding.window")
def test_the_encoder_keeps_to_the_window_of_the_profile(variant: Callable[..., Revision]) -> None:
    revision = variant(("window: 8388608", "window: 65536"))
    profile = default_encodings(revision)["zstd-8mb"]
    output, received = OutputStream(2, profile, revision=revision), InputStream(2, revision=revision)
    data = bytes(range(256)) * 4000
    code = revision.code_of("response")
    assert b"".join(received.receive(frame) for frame in output.write(1, code, data, last=True))[-len(data) :] == data


def test_limits_are_those_of_the_revision(variant: Callable[..., Revision]) -> None:
    revision = variant(
        ("default: 65535", "default: 100"), ("send-payload:\n    default: 32768", "send-payload:\n    default: 100")
    )
    assert Limits.of_revision(revision).max_payload == 100
    assert Limits.of_revision(revision).arguments == Limits().arguments
    assert CommandJudge(revision=revision).limits.max_payload == 100
    wire = (200).to_bytes(3, "little") + bytes.fromhex("0100010111") + b"a" * 200
    assert [finding.id for finding in Validator("client", revision=revision).feed(wire)] == ["frame.length-limit"]


@pytest.mark.requirement("stream.begin-required")
def test_the_command_validates_sessions_of_a_schema_with_machines(
    variant: Callable[..., Revision], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = variant(
        ("default: 65535", "default: 100"), ("send-payload:\n    default: 32768", "send-payload:\n    default: 100")
    ).name
    (tmp_path / "x.bin").write_bytes(bytes.fromhex("0100000100010011") + b"a")
    arguments = ["validate", "--revision", name, "--format", "github", str(tmp_path / "x.bin")]
    assert main(arguments) == 1
    assert "stream.begin-required" in capsys.readouterr().out
    (tmp_path / "x.bin").write_bytes((200).to_bytes(3, "little") + bytes.fromhex("0100010111") + b"a" * 200)
    assert main([*arguments, "--limit", "arguments=2"]) == 1
    assert "frame.length-limit" in capsys.readouterr().out


@pytest.mark.parametrize("make", [Server, Client])
@pytest.mark.parametrize("message", ["command", "error-response", "text-output"])
def test_reactors_refuse_a_revision_without_their_messages(
    make: type[Server], message: str, variant: Callable[..., Revision]
) -> None:
    name = variant().name
    text = Path(name).read_text(encoding="utf-8")
    own = re.compile(rf"(?<=^messages:\n)(.*?)^  {message}:\n.*?^(?=  ?\w)(?=  [a-z]|\w)", re.DOTALL | re.MULTILINE)
    changed, number = own.subn(r"\1", text, count=1)
    assert number == 1
    Path(name).write_text(changed, encoding="utf-8")
    with pytest.raises(
        RevisionError, match=r"mine has no message of frames with the roles .*; declare it in `messages`"
    ):
        make(revision=Revision(name))


def test_many_stream_ids_take_no_memory(variant: Callable[..., Revision]) -> None:
    revision = variant(("    - name: stream_id\n      type: u8\n", "    - name: stream_id\n      type: u32\n"))
    judge = CommandJudge(revision=revision)
    slots = judge._slots
    assert isinstance(slots, Slots)
    codec = revision.codec
    number = 2**32 - 1
    begin = codec.make_frame(1, number, 1, 1, 1, b"x")
    end = codec.make_frame(3, number, 2, 1, 1, b"x")
    assert list(judge.feed(codec.encode_frame(begin))) == []
    assert list(slots) == [number]
    assert list(judge.feed(codec.encode_frame(end))) == []
    assert list(slots) == []
    even = codec.make_frame(5, 2, 1, 1, 1, b"x")
    assert [finding.id for finding in judge.feed(codec.encode_frame(even))] == ["stream-id.parity"]


def test_what_is_derived_from_a_revision_of_ours_is_shared_by_its_objects() -> None:
    first, second = Revision("framing-0002"), Revision("framing-0002")
    assert default_encodings(first) is default_encodings(second)
    assert CommandJudge(revision=first)._plans is CommandJudge(revision=second)._plans


def test_a_schema_that_is_no_longer_used_is_forgotten(variant: Callable[..., Revision]) -> None:
    revision = variant()
    for make in (CommandJudge, ResponseJudge):
        make(revision=revision)
    InputStream(1, revision=revision)
    alive = weakref.ref(revision.machines)
    del revision
    gc.collect()
    assert alive() is None


def test_a_payload_of_another_profile_is_refused(variant: Callable[..., Revision]) -> None:
    revision = variant(("  zlib:\n", "  deflate:\n"))
    code = revision.code_of("settings")
    frame = revision.codec.make_frame(1, 1, 1, code, 0, b"\x04zlib")
    with pytest.raises(RemoteProtocolError) as error:
        InputStream(1, revision=revision).receive(frame)
    assert error.value.requirement == "stream-settings.known-profile"


@pytest.mark.requirement("request-id.parity", "request-id.order")
@pytest.mark.parametrize(
    ("kind", "ids", "found"),
    [
        ("even", (0, 2, 4), []),
        ("even", (2, 4, 8), ["request-id.order"]),
        ("even", (2, 3), ["request-id.parity"]),
        ("any", (0, 1, 2), []),
        ("any", (5, 6, 8), ["request-id.order"]),
        ("unordered", (1, 5, 3), []),
    ],
)
def test_the_ids_of_requests_are_those_that_the_schema_allows(
    tmp_path: Path, kind: str, ids: tuple[int, ...], found: list[str]
) -> None:
    shared, own = ((SCHEMA / f"{name}.yaml").read_text(encoding="utf-8") for name in ("framing", "framing-0002"))
    odd = "{odd: [request_id], requirement: request-id.parity}"
    match kind:
        case "even":
            own = own.replace(odd, odd.replace("odd", "even"))
        case "any":
            own = own.replace(f"      - {odd}\n", "")
            before, after = shared.split("  request-id.parity:\n")
            shared = f"{before}  request-id.parity:\n" + after.replace(
                "enforced: codec", "enforced: manual, reason: None.", 1
            )
        case _:
            shared = shared.replace("      order: request-id.order\n", "")
            before, after = shared.split("  request-id.order:\n")
            shared = f"{before}  request-id.order:\n" + after.replace("enforced: validator", "enforced: manual", 1)
    (tmp_path / "framing.yaml").write_text(shared, encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(own.replace("revision: framing-0002", "revision: mine", 1), encoding="utf-8")
    revision = Revision(str(tmp_path / "mine.yaml"))
    make, encode = revision.codec.make_frame, revision.codec.encode_frame
    command, response = revision.code_of("command"), revision.code_of("response")
    sent = b"".join(encode(make(one, 1, int(one == ids[0]), command, 1, b"x")) for one in ids)
    assert [finding.id for finding in Validator("client", revision=revision).feed(sent)] == found
    if "request-id.parity" not in found:
        answered = b"".join(encode(make(one, 2, int(one == ids[0]), response, 2, b"x")) for one in ids)
        assert list(Validator("server", revision=revision).feed(answered)) == []


@pytest.mark.parametrize(("type_bits", "flag_bits"), [("[0, 3]", "[4, 7]"), ("[3, 7]", "[0, 2]"), ("[4, 7]", "[0, 3]")])
def test_the_header_says_where_type_and_flags_are(
    variant: Callable[..., Revision], tmp_path: Path, type_bits: str, flag_bits: str
) -> None:
    revision = variant(("bits: [0, 3]", f"bits: {flag_bits}"), ("bits: [4, 7]", f"bits: {type_bits}"))
    for seed in range(60):
        lines = session(Seeded(seed)) if seed % 2 else violate(WELL_FORMED[seed % len(WELL_FORMED)], (), Seeded(seed))
        ours, theirs = (Counter[str](), Counter[str]())
        for codec, found, of in ((OURS.codec, ours, None), (revision.codec, theirs, revision)):
            validators = {side: Validator(side, revision=of) for side in ("client", "server")}
            for side, wire in wires(lines or ()):
                for frame in read_frames(wire or b""):
                    parts = (
                        frame.request_id,
                        frame.stream_id,
                        int(frame.stream_flags),
                        int(frame.type),
                        int(frame.flags),
                    )
                    data = codec.encode_frame(codec.make_frame(*parts, frame.payload))
                    found.update(finding.id for finding in validators[side].feed(data))
            for validator in validators.values():
                found.update(finding.id for finding in validator.close())
        assert theirs == ours


def test_what_a_schema_has_none_of_is_said_in_words(variant: Callable[..., Revision]) -> None:
    with pytest.raises(EncodingError, match="there is no content encoding 'zlib'; there are none"):
        Encodings([])["zlib"]
    revision = variant()
    revision.__dict__["data_types"] = {}
    stream = OutputStream(1, revision=revision)
    with pytest.raises(ValueError, match="mine has no frame type for data, with `role: data` or `role: response`"):
        stream.write(1, 1, b"x", last=True)


@pytest.mark.requirement("stream.open-limit")
def test_the_limits_of_a_schema_have_its_own_bounds(variant: Callable[..., Revision]) -> None:
    shared = (SCHEMA / "framing.yaml").read_text(encoding="utf-8")
    bounds = re.search(r"  open-streams:\n    default: \d+\n    maximum: \d+\n", shared)
    assert bounds is not None
    revision = variant((bounds[0], "  open-streams:\n    default: 500\n    maximum: 1000\n"))
    assert Limits.of_revision(revision).open_streams == 500
    assert Limits.of(["open-streams=1000"], revision).open_streams == 1000
    with pytest.raises(ValueError, match="open_streams must be 1 to 1000, not 1001"):
        Limits.of(["open-streams=1001"], revision)
    frame = revision.codec.encode_frame(revision.codec.make_frame(1, 1, 1, 1, 1, b"x"))
    assert list(Validator("client", revision=revision).feed(frame)) == []
    assert list(Validator("client", max_payload=5, revision=revision).feed(frame)) == []


@pytest.mark.requirement("text-output.placeholders", "text-output.newline", "progress.topic-ascii")
def test_samples_find_texts_progress_and_encoded_frames_by_their_roles(tmp_path: Path) -> None:
    names = {"text-output": "says", "progress": "meter", "encoded": "packed"}
    pattern = re.compile(rf"(?<![\w.-])(?<!role: )({'|'.join(names)})(?![\w.-])")
    for file, name in (("framing", "framing"), ("framing-0002", "mine")):
        text = (SCHEMA / f"{file}.yaml").read_text(encoding="utf-8")
        text = pattern.sub(lambda match: names[match[1]], text).replace("revision: framing-0002", "revision: mine", 1)
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    revision = Revision(str(tmp_path / "mine.yaml"))
    assert {"says", "meter"} < {*revision.codec.CODES}
    ours, theirs = FrameMaker(), FrameMaker(revision)
    for code in OURS.codec.TYPE_NAMES:
        for seed in range(100):
            frames = [maker.frame(Seeded(seed), code) for maker in (ours, theirs)]
            parts = [(*map(int, (one.type, one.flags, one.stream_flags)), one.payload) for one in frames]
            assert parts[0] == parts[1]
        assert theirs.can_be_encoded(code) == ours.can_be_encoded(code)


CALLS = Path(__file__).resolve().parents[1] / "data" / "calls.yaml"


def of_calls(revision: Revision, *lines: str) -> bytes:
    codec = revision.codec
    return b"".join(codec.encode_frame(parse_frame(line, codec)) for line in lines)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (("1 2 opens result on a", "1 2 closes result fin b"), []),
        (("1 2 opens list 0 \\x01a", "1 2 closes result fin b"), []),
        (("1 2 opens result on a", r"1 2 0 list 0 \x01\xff", "1 2 closes result fin b"), ["word.utf8"]),
        (("1 2 opens result fin a",), ["stream.left"]),
    ],
)
def test_sessions_of_other_machines_are_judged(lines: tuple[str, ...], found: list[str]) -> None:
    revision = Revision(CALLS)
    validator = Validator("server", revision=revision)
    findings = [*validator.feed(of_calls(revision, *lines)), *validator.close()]
    assert [finding.id for finding in findings] == found
    assert not any("stream-end" in finding.message for finding in findings)


ROWS = {
    "nothing is emitted at the end of input": (
        r", emit: (protocol-error|request-lost)|\n  (protocol-error|request-lost): .*",
        "",
    ),
    "nothing is emitted for a part of a request": (r"(from: (none|receiving-\w+), .*), emit: want-frame", r"\1"),
    "nothing is emitted for the rest of what is refused": (r"(from: refus.*), emit: want-frame", r"\1"),
}
"""Rows of framing-0002 without their action, which is something that they do besides."""


@pytest.mark.parametrize(("row", "without"), ROWS.values(), ids=list(ROWS))
def test_judges_need_no_actions(row: str, without: str, variant: Callable[..., Revision]) -> None:
    """What an application would be told makes no difference to who only looks on."""
    name = Path(variant().name)
    own, number = re.subn(row, without, name.read_text(encoding="utf-8"))
    assert number >= 2
    name.write_text(own, encoding="utf-8")
    revision = Revision(str(name))
    ids = breakable()
    total = 0
    for seed in range(300):
        lines = list(wires(broken_session(ids[seed % len(ids)], Seeded(seed)) if seed % 4 else session(Seeded(seed))))
        found = []
        for of in (None, revision):
            alone = [Validator(side, revision=of) for side in ROLES]
            both = SessionValidator(revision=of)
            findings = [one for side, wire in lines if wire for one in both.feed(side, wire)]
            for validator in alone:
                findings += validator.feed(b"".join(wire or b"" for side, wire in lines if side == validator.role))
                findings += validator.close()
            found.append([(one.id, one.offset, one.found) for one in [*findings, *both.close()]])
        assert found[0] == found[1]
        total += len(found[0])
    assert total > 300


@pytest.mark.requirement("response.active-request")
@pytest.mark.parametrize("begun", ["have-args", "have-data"])
def test_the_rest_of_a_request_that_was_answered_early_is_not_looked_at(
    begun: str, variant: Callable[..., Revision]
) -> None:
    """A machine needs no state for requests that were answered before they were whole."""
    name = Path(variant().name)
    own, number = re.subn(r"      - .*refusing, event: response-sent, .*\n", "", name.read_text(encoding="utf-8"))
    assert number == 1
    name.write_text(own, encoding="utf-8")
    revision = Revision(str(name))
    lines = [
        ("client", f"1 1 stream-begin command-name {begun} x"),
        ("server", "1 2 stream-begin|stream-end bytes-response eos x"),
        ("client", r"1 1 0 command-argument eoa \x01\x00\x01\x00ab"),
        ("client", "1 1 0 command-data eos x"),
        ("client", "1 1 0 command-name eos x"),
        ("server", "1 2 stream-begin|stream-end bytes-response eos x"),
        ("server", "1 2 stream-begin|stream-end bytes-response eos x"),
    ]
    both = SessionValidator(revision=revision)
    found = [finding.id for side, line in lines for finding in both.feed(side, of_calls(revision, line))]  # type: ignore[arg-type]
    assert found == ["request-id.order", "response.active-request"]


@pytest.mark.requirement("request.limits")
def test_the_id_of_a_request_over_a_limit_is_free_after_the_error(variant: Callable[..., Revision]) -> None:
    """A request over a limit may wait for its error like any other for its response."""
    name = Path(variant().name)
    own, number = re.subn(
        r"(eos, {not: {guard: capacity}}\]}, to: )responding", r"\1active", name.read_text(encoding="utf-8")
    )
    assert number == 1
    name.write_text(own, encoding="utf-8")
    revision = Revision(str(name))
    lines = ["1 1 stream-begin command-name have-args x", *["3 1 0 command-name eos x"] * 2]
    found = [
        [one.id for one in Validator("client", limits=Limits(active_requests=1), revision=of).feed(sent)]
        for of, sent in ((None, of_calls(OURS, *lines)), (revision, of_calls(revision, *lines)))
    ]
    assert found[0] == found[1] == ["request.limits", "request.limits", "request-id.order"]


def test_what_a_schema_lacks_for_sessions_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    revision = Revision(CALLS)
    call = of_calls(revision, "1 1 opens call done a")
    with pytest.raises(RevisionError, match="calls-1 has no frame type with the role 'argument'"):
        Validator("client", revision=revision)
    (tmp_path / "call.bin").write_bytes(call)
    with pytest.raises(SystemExit, match="2"):
        main(["validate", "--revision", str(CALLS), str(tmp_path / "call.bin")])
    said = capsys.readouterr().err
    assert said.startswith("hgproto: argument --revision: calls-1 has no frame type with the role 'argument'")
    with pytest.raises(
        RevisionError, match="calls-1 has no row for x, which sessions need; add it to its state machines"
    ):
        first_of(iter(()), revision, "row for x")
