"""The validator: labeled vectors and sessions, places, depths, and properties for any input."""

from __future__ import annotations

import io
import os
import tracemalloc
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marks import by_column, labelled
from mill import HEADER, MOST, SESSIONS, Mill
from support import GOLDEN, ROOT, VECTORS, cuts, frames, judged, schema_with_lines

from hgproto import (
    Client,
    Error,
    Frame,
    Limits,
    PeerError,
    RequestError,
    Revision,
    RunCommand,
    SendFrames,
    Server,
    encode_frame,
    stream_settings,
)
from hgproto.judging import places as places_module
from hgproto.judging.finding import ROLES, other_role, severity_of
from hgproto.judging.validation import (
    PayloadValidator,
    SessionValidator,
    Validator,
    assert_valid,
    validate,
    validate_payload,
)
from hgproto.revisions.framing_0002 import codec
from hgproto.revisions.framing_0002.requirements import REQUIREMENTS
from hgproto.streams.encodings import Encodings, default_encodings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal

    from hgproto.judging.finding import Finding, Role

LIVES = int(os.environ.get("HGPROTO_VALIDATED_LIVES", "1500"))
"""Conversations of hostile frames that are validated and refused; CI has time for the default."""


def named(labelled: dict[str, Any]) -> str:
    return str(labelled["id"])


def label(labelled: dict[str, Any]) -> list[str]:
    """The ids that a vector or session is labelled with, in the order in which they are found."""
    if "findings" in labelled:
        return list(labelled["findings"])
    return [] if labelled.get("result") == "valid" else list(labelled["requirements"])


@pytest.mark.parametrize("vector", labelled(VECTORS, "requirements", "findings"), ids=named)
def test_vectors_are_judged_as_labelled(vector: dict[str, Any]) -> None:
    findings = list(validate(bytes.fromhex(vector["wire"]), depth="frames"))
    assert [finding.id for finding in findings] == label(vector)
    refused = [finding for finding in findings if finding.refused]
    if vector["result"] == "invalid":
        assert refused[0].offset == vector["offset"]
        assert refused[0].path.endswith(vector["field"])
    else:
        assert refused == []


@pytest.mark.parametrize("golden", labelled(GOLDEN, "requirements", "findings"), ids=named)
def test_sessions_are_judged_as_labelled(golden: dict[str, Any]) -> None:
    findings = judged(golden)
    assert [finding.id for finding in findings] == label(golden)
    # The label is what the validator has said and somebody has read. What a reactor refuses is the other witness.
    refused = [finding.id for finding in findings if finding.refused and finding.id not in golden.get("ignored", ())]
    assert refused[:1] == golden["requirements"][:1]


def test_every_rule_that_bytes_can_break_has_a_negative_of_its_own() -> None:
    exact = {tuple(label(labelled)) for labelled in (*VECTORS, *GOLDEN)}
    missing = [name for name, rule in REQUIREMENTS.items() if rule.breakable and (name,) not in exact]
    assert missing == []


# What holds for any input.


def pieces(wire: bytes) -> Iterator[bytes]:
    """Bytes, a frame at a time."""
    at = 0
    while at + HEADER <= len(wire):
        length = int.from_bytes(wire[at : at + 3], "little")
        if length > codec.MAX_PAYLOAD[0] or at + HEADER + length > len(wire):
            break
        yield wire[at : at + HEADER + length]
        at += HEADER + length
    if wire[at:]:
        yield wire[at:]


HIGH = Limits(receiving_requests=32768, active_requests=32768, open_streams=128, arguments=65535)
"""So that no limit of our own decides."""
REOPEN: list[Any] = ["error", "restart"]
CLOSED = ("reactor.errored", None)


def refusal(role: Role, wire: bytes, reopen: Any) -> tuple[str, int | None] | None:
    """What a reactor refuses, and where; the application answers at once, and issues whatever is answered."""
    reactor = Server(limits=HIGH, reopen=reopen) if role == "client" else Client(limits=HIGH, reopen=reopen)
    issued = set()
    for piece in pieces(wire):
        if isinstance(reactor, Client) and len(piece) >= HEADER:
            request_id, code = int.from_bytes(piece[3:5], "little"), piece[7] >> 4
            answers = code in (4, 6, 7) or (code == 5 and not piece[7] & 1)
            if request_id & 1 and answers and request_id not in issued:
                issued.add(request_id)
                reactor.issued(request_id)
        for event in reactor.receive_data(piece):
            if isinstance(event, Error):
                return event.error.requirement, event.error.offset
            if isinstance(event, RunCommand) and isinstance(reactor, Server):
                reactor.answered(event.request_id)
            if isinstance(event, PeerError):
                return CLOSED
    for event in reactor.receive_end():
        if isinstance(event, Error):
            return event.error.requirement, event.error.offset
        if isinstance(event, SendFrames | RequestError) and event.requirement in (
            "request.complete",
            "response.complete",
        ):
            return event.requirement, len(wire)
    return None


def in_chunks(validator: Validator, wire: bytes, mill: Mill) -> list[Finding]:
    findings: list[Finding] = []
    at = 0
    while at < len(wire):
        size = mill.rng.choice((1, 7, 30, 1000))
        findings += validator.feed(wire[at : at + size])
        at += size
    return [*findings, *validator.close()]


def test_the_first_error_is_where_the_reactor_refuses() -> None:
    mill = Mill(20261127)
    met: Counter[str] = Counter()
    for _ in range(LIVES):
        role = mill.rng.choice(ROLES)
        receiver = other_role(role)
        _, steps = mill.rng.choice(SESSIONS[receiver])
        rate = mill.rng.choice((0, 0.05, 0.2, 0.5))
        sent = [mill.hostile(s, receiver) if mill.chance(rate) else s for s in steps if isinstance(s, bytes)]
        while rate and mill.chance(0.5):
            sent.append(mill.hostile(None, receiver))
        wire, reopen = b"".join(sent), mill.rng.choice(REOPEN)
        findings = in_chunks(Validator(role, limits=HIGH, reopen=reopen), wire, mill)
        first = next((f for f in findings if f.refused and f.severity == "error"), None)
        refused = refusal(role, wire, reopen)
        if refused == CLOSED:
            assert first is None or first.id == "reactor.errored", wire.hex()
        else:
            assert (None if first is None else (first.id, first.offset)) == refused, wire.hex()
        met.update(finding.id for finding in findings)
        assert all(finding.severity == severity_of(finding.requirement) for finding in findings)
        assert all(0 <= finding.offset <= finding.offset + finding.size <= len(wire) for finding in findings)
        for finding in findings:
            start = finding.around_offset
            assert wire[start : start + len(finding.around)] == finding.around
    # Shallow input would break the same few rules.
    assert len(met) >= 60


@given(st.data(), st.lists(frames, max_size=6), st.sampled_from(["client", "server", None]))
def test_any_frames_are_validated_in_any_chunks(data: st.DataObject, any_frames: list[Any], role: Role | None) -> None:
    wire = b"".join(codec.encode_frame(frame, MOST) for frame in any_frames)
    whole = list(validate(wire, role=role))
    assert list(validate(data.draw(cuts(wire)), role=role)) == whole
    assert list(validate(io.BytesIO(wire), role=role)) == whole


@given(st.binary(max_size=200), st.sampled_from(["session", "frames"]))
def test_any_bytes_are_validated(data: bytes, depth: Any) -> None:
    findings = list(validate(data, depth=depth))
    assert all(finding.id in REQUIREMENTS and str(finding) for finding in findings)
    assert [finding.ends for finding in findings[:-1] if finding.refused].count(True) <= 1


@given(st.lists(st.tuples(st.sampled_from(["client", "server"]), frames), max_size=8))
def test_any_two_sides_are_validated(sent: list[tuple[Role, Any]]) -> None:
    validator = SessionValidator()
    findings = [f for role, frame in sent for f in validator.feed(role, codec.encode_frame(frame, MOST))]
    findings += validator.close()
    assert validator.frames <= len(sent)
    assert all(finding.side in ("client", "server") for finding in findings)
    assert list(validator.close()) == []


# Places.

PLACES = [
    # frame, id, bytes from where to where in the frame, bits, path after frames[0]
    ("1 1 stream-begin command-name eos|have-args x", "command-name.eos-exclusive", (7, 8), (0, 1), ".flags"),
    ("1 1 stream-begin command-name 0 x", "command-name.flags-present", (7, 8), (0, 3), ".flags"),
    ("1 1 stream-begin command-name eos|0x8 x", "frame.known-flags", (7, 8), (3, 3), ".flags"),
    ("1 1 stream-begin 0xf 0 x", "frame.known-type", (7, 8), (4, 7), ".type"),
    ("1 1 stream-begin|0x30 command-name eos x", "frame.known-stream-flags", (6, 7), (4, 5), ".stream_flags"),
    ("1 1 stream-begin|encoded command-name eos x", "stream.begin-plain", (6, 7), (0, 2), ".stream_flags"),
    ("1 1 0 command-name eos x", "stream.begin-required", (6, 7), (0, 0), ".stream_flags"),
    ("1 1 stream-end command-name eos x", "stream.begin-required", (6, 7), (0, 0), ".stream_flags"),
    ("2 1 stream-begin command-name eos x", "request-id.parity", (3, 5), None, ".request_id"),
    ("5 1 stream-begin command-name eos x", "request-id.order", (3, 5), None, ".request_id"),
    ("1 2 stream-begin command-name eos x", "stream-id.parity", (5, 6), None, ".stream_id"),
    ("1 1 stream-begin bytes-response eos x", "bytes-response.server-only", (5, 6), None, ".stream_id"),
    ("1 1 stream-begin command-data eos x", "request.command-expected", (7, 8), (4, 7), ".type"),
    ("1 1 stream-begin command-name eos", "command-name.ascii", (8, 8), None, ".payload.name"),
    ("1 1 stream-begin command-name eos ab\\xffcd", "command-name.ascii", (10, 11), None, ".payload.name"),
    ("1 1 stream-begin stream-settings 0 \\x04zl", "stream-settings.name-whole", (9, 11), None, ".payload.profile"),
    (
        "1 1 stream-begin stream-settings 0 \\x04nope",
        "stream-settings.known-profile",
        (9, 13),
        None,
        ".payload.profile",
    ),
    (
        "1 1 stream-begin stream-settings 0 \\x04zlibabc",
        "stream-settings.profile-bytes",
        (13, 16),
        None,
        ".payload.settings",
    ),
]
MORE_PLACES = [
    ("command-argument eoa \\x01\\x00\\x02\\x00kv", "command-argument.value-short", (13, 14), ".payload.value"),
    ("command-argument eoa \\x01\\x00\\x01\\x00kvxyz", "command-argument.value-long", (14, 17), ".payload"),
    ("command-argument eoa \\x05\\x00\\x00\\x00na", "command-argument.header-whole", (12, 14), ".payload.name"),
    ("command-argument eoa \\x05\\x00\\x00", "command-argument.header-whole", (10, 11), ".payload.value_length"),
    ("command-argument eoa \\x02\\x00\\x00\\x00\\xffa", "command-argument.name-ascii", (12, 13), ".payload.name"),
    ("command-argument eoa \\x00\\x00\\x01\\x00v", "command-argument.name-not-empty", (12, 12), ".payload.name"),
]
ANSWER_PLACES = [
    (
        "text-output 0 \\x02\\x00\\x01\\x00\\x01x\\n\\xff",
        "text-output.label-ascii",
        (15, 16),
        ".payload.atoms[0].labels[0]",
    ),
    ("text-output 0 \\x02\\x00\\x00\\x00%d", "text-output.percent", (12, 14), ".payload.atoms[0].format"),
    ("text-output 0 \\x02\\x00\\x00\\x00ab", "text-output.newline", (13, 14), ".payload.atoms[0].format"),
    ("text-output 0 \\x03\\x00\\x00\\x00%s\\n", "text-output.placeholders", (12, 15), ".payload.atoms[0].format"),
    ("progress 0 \\xa3Cpos\\x01EtopicAeEtotalAx", "progress.value-types", (28, 30), ".payload.total"),
    ("progress 0 \\xa2Cpos\\x01EtopicAe", "progress.required-keys", (8, 22), ".payload"),
    ("progress 0 \\xa3Cpos\\x01EtopicAe\\x01\\x02\\x03", "progress.byte-keys", (22, 23), ".payload"),
    ("progress 0 \\xa4Cpos\\x01EtopicAeCpos\\x01EtotalAx", "progress.duplicate-keys", (22, 26), ".payload"),
    ("progress 0 \\xa3Cpos\\x01EtopicAeEtotal\\x01ab", "progress.surplus", (29, 31), ".payload"),
    ("progress 0 \\xa3Cpos", "progress.cbor-map", (13, 13), ".payload"),
]


def only(findings: list[Finding], requirement: str) -> Finding:
    (finding,) = (finding for finding in findings if finding.id == requirement)
    return finding


@pytest.mark.parametrize(("line", "requirement", "span", "bits", "path"), by_column(PLACES, 1))
def test_places_in_a_first_frame(
    line: str, requirement: str, span: tuple[int, int], bits: tuple[int, int] | None, path: str
) -> None:
    found = only(list(SessionValidator().line(f"> {line}", 7)), requirement)
    assert (found.offset, found.offset + found.size, found.bits) == (*span, bits)
    assert (found.path, found.frame, found.line, found.side) == (f"frames[0]{path}", 0, 7, "client")


@pytest.mark.parametrize(("rest", "requirement", "span", "path"), by_column(MORE_PLACES, 1))
def test_places_in_an_argument(rest: str, requirement: str, span: tuple[int, int], path: str) -> None:
    validator = SessionValidator()
    assert list(validator.line("> 1 1 stream-begin command-name have-args x")) == []
    found = only(list(validator.line(f"> 1 1 0 {rest}")), requirement)
    start = HEADER + 1
    assert (found.offset - start, found.offset - start + found.size) == span
    assert (found.path, found.frame) == (f"frames[1]{path}", 1)


@pytest.mark.parametrize(("rest", "requirement", "span", "path"), by_column(ANSWER_PLACES, 1))
def test_places_in_an_answer(rest: str, requirement: str, span: tuple[int, int], path: str) -> None:
    validator = SessionValidator()
    assert list(validator.line("> 1 1 stream-begin command-name eos x")) == []
    found = only(list(validator.line(f"< 1 2 stream-begin {rest}")), requirement)
    assert (found.offset, found.offset + found.size) == span
    assert (found.path, found.frame, found.side) == (f"frames[0]{path}", 0, "server")
    # What is encoded has no place inside.
    validator = SessionValidator()
    for line in ("> 1 1 stream-begin command-name eos x", "< 1 2 stream-begin stream-settings 0 \\x04zlib"):
        assert list(validator.line(line)) == []
    found = only(list(validator.line(f"< 1 2 encoded {rest}")), requirement)
    assert found.offset == HEADER + 5 + HEADER
    assert found.path == f"frames[1]{path}"
    assert "into the decoded payload" in found.found


@pytest.mark.requirement("frame.whole", "frame.length-limit")
@pytest.mark.parametrize(
    ("data", "requirement", "offset", "size", "path"),
    [
        ("0100000100010111", "frame.whole", 8, 0, "frames[0].payload"),
        ("05000001000101116865", "frame.whole", 8, 2, "frames[0].payload"),
        ("050000010001", "frame.whole", 6, 0, "frames[0].stream_flags"),
        ("0500", "frame.whole", 0, 2, "frames[0].length"),
        ("ffffff0100010111", "frame.length-limit", 0, 3, "frames[0].length"),
        ("010000010001011178ffffff0100010111", "frame.length-limit", 9, 3, "frames[1].length"),
    ],
)
@pytest.mark.parametrize("depth", ["session", "frames"])
def test_where_nothing_can_be_looked_at_any_more(
    data: str, requirement: str, offset: int, size: int, path: str, depth: Any
) -> None:
    (found,) = validate(bytes.fromhex(data), depth=depth)
    assert (found.id, found.offset, found.size, found.path) == (requirement, offset, size, path)
    assert found.ends


# Depths, roles and options.


@pytest.mark.parametrize(
    ("data", "role"), [("0100000100010111", "client"), ("0100000100020142", "server"), ("01000001000201", "client")]
)
def test_the_role_is_told_by_the_first_frame(data: str, role: Role) -> None:
    validator = Validator()
    assert validator.role is None
    for byte in bytes.fromhex(data):
        validator.feed(bytes([byte]))
    assert validator.size == len(data) // 2
    validator.close()
    assert validator.role == role


def test_nothing_at_all_is_valid() -> None:
    assert list(validate(b"")) == list(validate([])) == list(SessionValidator().close()) == []


@pytest.mark.requirement(
    "text-output.single-frame", "command-argument.value-short", "frame.length-limit", "frame.items-limit"
)
def test_payloads_by_themselves() -> None:
    (found,) = validate_payload("text-output", b"\x01\x00\x00\x00")
    assert (found.id, found.offset, found.path) == ("text-output.single-frame", 4, "payload.atoms[0].format")
    assert validate_payload("command-argument", b"rest", continued=True) == []
    assert validate_payload("command-argument", b"\x01\x00\x05\x00kv", flags=1) == []
    (found,) = validate_payload("command-argument", b"\x01\x00\x05\x00kv")
    assert found.id == "command-argument.value-short"
    (found,) = validate_payload("command-data", b"123", max_payload=2)
    assert (found.id, found.offset) == ("frame.length-limit", 2)
    assert validate_payload("text-output", b"\1\0\0\0\n" * 3, max_items=3) == []
    (found,) = validate_payload("text-output", b"\1\0\0\0\n" * 3, max_items=2)
    assert (found.id, found.offset) == ("frame.items-limit", 10)
    (found,) = validate_payload("command-data", bytes(MOST + 1))
    assert (found.id, found.offset) == ("frame.length-limit", MOST)
    with pytest.raises(ValueError, match="no frame type 'text'"):
        PayloadValidator("text")


def test_other_revisions_have_frames_and_no_sessions() -> None:
    revision = Revision(str(ROOT / "tests" / "data" / "alien.yaml"))
    codec = revision.codec
    good = codec.encode_frame(codec.make_frame(1, 1, 0, next(iter(codec.TYPE_NAMES)), 0, b""))
    findings = list(validate(good + b"\xff", depth="frames", revision=revision))
    assert findings[-1].ends
    assert all(finding.id in revision.requirements for finding in findings)
    with pytest.raises(ValueError, match="cannot be validated, only its frames"):
        Validator(revision=revision)


def lines_of(number: int) -> bytes:
    """A ledger of the schema with a limit on lines."""
    return bytes.fromhex("010000 0100 61") + bytes.fromhex("05000000 01 61") * number


def test_the_limit_on_items_has_the_name_that_the_schema_gives_it(tmp_path: Path) -> None:
    revision = Revision(str(schema_with_lines(tmp_path)))
    codec = revision.codec
    assert Revision("framing-0002").codec.ITEMS_LIMIT == "payload-items"
    assert codec.ITEMS_LIMIT == "lines"

    def found(number: int, limits: Limits | None) -> list[str]:
        wire = codec.encode_frame(codec.make_frame(1, 1, 0, codec.CODES["bundle"], 1, lines_of(number)))
        return [one.id for one in validate(wire, depth="frames", limits=limits, revision=revision)]

    for limits, most in ((None, 2), (Limits.of(["lines=1"], revision), 1), (Limits.of(["lines=9"], revision), 9)):
        assert found(most, limits) == []
        assert found(most + 1, limits) == ["ledger.whole"]
    assert found(1, Limits.of(["max-payload=5"], revision)) == ["relay.length"]
    with pytest.raises(ValueError, match="payload_items must be 1 to 9, not 10"):
        found(1, Limits(payload_items=10))


def test_the_limit_on_items_of_sessions_has_the_name_that_the_schema_gives_it(tmp_path: Path) -> None:
    revision = Revision(str(schema_with_lines(tmp_path, sessions=True)))

    def found(number: int, limits: Limits | None, depth: Literal["session", "frames"]) -> list[str]:
        wire = codec.encode_frame(codec.make_frame(1, 2, 3, codec.FrameType.TEXT_OUTPUT, 0, GOOD_ATOM * number))
        findings = validate(wire, role="server", depth=depth, limits=limits, revision=revision)
        return [one.id for one in findings if one.id == "frame.items-limit"]

    depth: Literal["session", "frames"]
    for depth in ("session", "frames"):
        for limits, most in ((None, 2), (Limits.of(["lines=9"], revision), 9)):
            assert found(most, limits, depth) == []
            assert found(most + 1, limits, depth) == ["frame.items-limit"]


def test_the_limit_on_items_of_one_payload(tmp_path: Path) -> None:
    revision = Revision(str(schema_with_lines(tmp_path)))
    for most in (None, 1, 9):
        for number, expected in ((most or 2, []), ((most or 2) + 1, ["ledger.whole"])):
            validator = PayloadValidator("bundle", flags=1, revision=revision, max_items=most)
            validator.feed(lines_of(number))
            assert [one.id for one in validator.close()] == expected
    with pytest.raises(ValueError, match="max_items must be 1 to 9, not 10"):
        PayloadValidator("bundle", flags=1, revision=revision, max_items=10)
    alien = Revision(str(ROOT / "tests" / "data" / "alien.yaml"))
    with pytest.raises(ValueError, match=r"^relay-7 has no limit on items; leave max_items out$"):
        PayloadValidator("bundle", flags=1, revision=alien, max_items=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"role": "both"}, "role is"), ({"depth": "deep"}, "depth is"), ({"max_payload": 0}, "max_payload must be")],
)
def test_arguments_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Validator(**options)


@pytest.mark.requirement("stream-id.parity")
def test_frames_of_a_role_are_on_its_streams() -> None:
    wire = codec.encode_frame(codec.make_frame(1, 2, 1, 4, 2, b""))
    assert list(validate(wire, depth="frames", role="server")) == []
    (found,) = validate(wire, depth="frames", role="client")
    assert (found.id, found.side) == ("stream-id.parity", "client")


def test_an_encoding_that_is_not_installed_is_no_fault() -> None:
    profile = default_encodings()["zlib"]
    validator = Validator("client", encodings=Encodings([profile], {"zstd-8mb": "pip install"}))
    for line in ("1 1 stream-begin stream-settings 0 \\x08zstd-8mb", "1 1 encoded command-name eos \\x00\\x01"):
        from hgproto import encode_frame, parse_frame

        assert list(validator.feed(encode_frame(parse_frame(line)))) == []
    assert validator.unavailable == {"zstd-8mb"}


def ids_from(first: int, count: int) -> Iterator[int]:
    return ((first + 2 * number) % (1 << 16) for number in range(count))


@pytest.mark.requirement("request-id.order", "response.active-request", "stream.end")
def test_ids_wrap_around() -> None:
    header = [codec.encode_frame(codec.make_frame(i, 1, i == 1, 1, 1, b"x")) for i in ids_from(1, (1 << 15) + 2)]
    wire = b"".join(header[:-2]) + header[-2].replace(b"\x01\x11x", b"\x00\x11x") + header[-1]
    assert [finding.id for finding in validate(wire)] == ["stream.end"]
    answers = [codec.encode_frame(codec.make_frame(i, 2, i == 1, 4, 2, b"x")) for i in ids_from(1, 1 << 15)]
    again = codec.encode_frame(codec.make_frame(1, 2, 0, 4, 2, b"x"))
    assert [finding.id for finding in validate(b"".join([*answers, again]))] == ["stream.end"]
    assert [finding.id for finding in validate(b"".join([*answers[:9], again]))] == [
        "response.active-request",
        "stream.end",
    ]


def test_memory_is_bounded() -> None:
    data = codec.encode_frame(codec.make_frame(1, 1, 0, 3, 1, bytes(60_000)))
    name = codec.encode_frame(codec.make_frame(1, 1, 1, 1, 4, b"x"))
    validator = Validator("client")
    tracemalloc.start()
    try:
        assert list(validator.feed(name)) == []
        for _ in range(100):
            assert list(validator.feed(bytearray(data))) == []
        assert next(validator.close()).id == "request.complete"
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert validator.size == len(name) + 100 * len(data)


@pytest.mark.requirement("command-name.eos-exclusive", "request-id.order")
def test_assert_valid() -> None:
    good = bytes.fromhex("0100000100010311" + "78")
    assert_valid(good)
    assert_valid(good, strict=True, role="client")
    bad = bytes.fromhex("0100000100010313" + "78")
    with pytest.raises(AssertionError) as error:
        assert_valid(bad)
    assert "command-name.eos-exclusive" in str(error.value)
    assert_valid(bad, ignore=["command-name.eos-exclusive"])
    late = bytes.fromhex("0100000300010311" + "78")
    assert_valid(late)
    with pytest.raises(AssertionError, match=r"request-id\.order"):
        assert_valid(late, strict=True)
    with pytest.raises(TypeError, match="name must be text, not PosixPath"):
        assert_valid(good, name=Path("/a"))  # type: ignore[arg-type]


@pytest.mark.requirement("encoding.decodable")
def test_a_context_that_was_begun_anew_is_told_from_damage() -> None:
    """The usual mistake with streams: a compressor for each message."""
    begin = encode_frame(stream_settings(1, 2, "zlib"))

    def found(*payloads: bytes) -> str:
        frames = [
            Frame(
                request_id=1,
                stream_id=2,
                stream_flags=codec.StreamFlag.ENCODED,
                type=codec.FrameType.BYTES_RESPONSE,
                flags=1,
                payload=payload,
            )
            for payload in payloads
        ]
        findings = list(validate(begin + b"".join(map(encode_frame, frames)), role="server"))
        decodable = [finding for finding in findings if finding.id == "encoding.decodable"]
        assert len(decodable) == 1
        return decodable[0].found

    def alone(text: bytes) -> bytes:
        context = zlib.compressobj()
        return context.compress(text) + context.flush(zlib.Z_SYNC_FLUSH)

    assert found(alone(b"one"), alone(b"two")) == "bytes that only a new context can decode"
    for damaged in ((b"one",), (alone(b"one"), b"\xff" * 9), (b"one", alone(b"two"))):
        assert found(*damaged).startswith("bytes that the library rejects: ")


@pytest.mark.parametrize("call", [SessionValidator().feed, SessionValidator().close, Validator])
def test_a_role_that_does_not_exist_is_named(call: Callable[..., object]) -> None:
    data = (b"",) if call.__name__ == "feed" else ()
    with pytest.raises(ValueError, match="role is 'client' or 'server', not 'cleint'"):
        call("cleint", *data)


def test_text_is_no_list_of_requirements_to_ignore() -> None:
    wrong = encode_frame(Frame(1, 1, 1, 15, 0))
    with pytest.raises(TypeError, match=r"not text; write \['frame.known-type'\]"):
        assert_valid(wrong, depth="frames", ignore="frame.known-type")
    assert_valid(wrong, depth="frames", ignore=["frame.known-type"])


GOOD_ATOM, BAD_ATOM = b"\x01\x00\x00\x00\n", b"\x01\x00\x00\x00\xff"


@pytest.mark.parametrize(
    ("payload", "requirement", "offset", "size"),
    [
        (GOOD_ATOM + BAD_ATOM + GOOD_ATOM, "text-output.utf8", 9, 1),
        (GOOD_ATOM + b"\x09\x00\x00\x00\n", "text-output.single-frame", 9, 1),
        (GOOD_ATOM * 5, "frame.items-limit", 15, 10),
    ],
)
def test_a_payload_is_not_walked_for_the_place_of_its_fault(
    payload: bytes, requirement: str, offset: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payload that is rejected takes as much time as one that is accepted."""
    monkeypatch.setattr(places_module, "walk", None)
    wire = codec.encode_frame(codec.make_frame(1, 2, 1, codec.FrameType.TEXT_OUTPUT, 0, payload))
    (found,) = validate(wire, role="server", depth="frames", limits=Limits(payload_items=3))
    assert (found.id, found.offset - HEADER, found.size) == (requirement, offset, size)


@pytest.mark.parametrize(
    ("data", "requirement", "offset", "size"),
    [
        # Of a string, the byte that is not UTF-8, whatever item it would begin.
        ("a3 43706f73 01 45746f706963 42 61c3 45746f74616c 0a", "progress.utf8", 14, 1),
        ("a3 43706f73 01 45746f706963 42 c361 45746f74616c 0a", "progress.utf8", 13, 1),
        ("a3 43706f73 01 45746f706963 5f 41 61 42 61c3 ff 45746f74616c 0a", "progress.utf8", 17, 1),
        ("a3 43706f73 01 45746f706963 62 61c3 45746f74616c 0a", "progress.utf8", 14, 1),
        ("a4 43706f73 01 45746f706963 41 61 62 61c3 01 45746f74616c 0a", "progress.utf8", 16, 1),
        # After the map, all that follows, and not just an item.
        ("a3 43706f73 01 45746f706963 41 61 45746f74616c 0a 010203", "progress.surplus", 21, 3),
        ("a3 43706f73 01 45746f706963 41 61 45746f74616c 0a 42", "progress.surplus", 21, 1),
        # Every item from the first that is too many.
        ("a4 43706f73 01 45746f706963 41 61 45746f74616c 0a 41 78 01", "frame.items-limit", 21, 3),
        # An item that is damaged from its first byte, and items that are not what they should be.
        ("a3 43706f73 01 45746f706963 45 61", "progress.cbor-map", 12, 1),
        ("a3 43706f73 01 45746f706963 5f 6161 ff 45746f74616c 0a", "progress.cbor-map", 13, 2),
        ("a3 43706f73 01 45746f706963 83 010203 45746f74616c 0a", "progress.value-types", 12, 4),
    ],
)
def test_places_in_a_map(data: str, requirement: str, offset: int, size: int) -> None:
    wire = codec.encode_frame(codec.make_frame(1, 2, 1, codec.FrameType.PROGRESS, 0, bytes.fromhex(data)))
    limits = Limits(payload_items=7) if requirement == "frame.items-limit" else None
    found = only(list(validate(wire, role="server", depth="frames", limits=limits)), requirement)
    assert (found.offset - HEADER, found.size) == (offset, size)
