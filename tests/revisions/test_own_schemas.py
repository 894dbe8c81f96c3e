"""Schemas that users derived from framing-0002: what `hgproto schema check` accepts, reactors and judges can run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from support import SCHEMA

from hgproto import Client, Server, SessionValidator, Validator, parse_frame
from hgproto.language import load
from hgproto.language.check import check
from hgproto.reactors.events import Error, SendFrames
from hgproto.revisions.revision import Revision

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES = "framing.yaml", "framing-0002.yaml"


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., Revision]:
    """Makes a revision of framing-0002 in which texts are replaced, all that occur in one of the two files."""
    return partial(_own, tmp_path)


def _own(folder: Path, *changes: tuple[str, str]) -> Revision:
    texts = {name: (SCHEMA / name).read_text(encoding="utf-8") for name in FILES}
    for old, new in (("revision: framing-0002", "revision: mine"), *changes):
        (name,) = (name for name in FILES if old in texts[name])
        texts[name] = texts[name].replace(old, new)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    assert [problem.message for problem in check(load(folder / FILES[1]))] == []
    return Revision(str(folder / FILES[1]))


def wire(revision: Revision, *lines: str) -> bytes:
    """The frames of these lines."""
    codec = revision.codec
    return b"".join(codec.encode_frame(parse_frame(line, codec)) for line in lines)


def test_errors_are_sent_where_none_ends_the_connection(own: Callable[..., Revision]) -> None:
    revision = own(("protocol: {bit: 0, role: fatal,", "protocol: {bit: 0,"))
    server = Server(revision=revision)
    events: list[Any] = server.receive_data(
        wire(revision, "1 1 stream-begin command-name eos a", "1 1 0 command-data eos x")
    )
    (error,) = (event for event in events if isinstance(event, Error))
    (frame,) = error.frames
    assert (frame.type, frame.flags) == (revision.code_of("error"), 2)
    assert bytes(frame.payload).endswith(b"(request.command-expected)")


def test_atoms_have_their_strings_in_any_order(own: Callable[..., Revision]) -> None:
    own_schema = (SCHEMA / FILES[1]).read_text(encoding="utf-8")
    whole = own_schema[
        own_schema.index("      - name: labels\n") : own_schema.index(
            "    examples:\n      - title: one argument, one label"
        )
    ]
    labels, args = whole.split("      - name: args\n")
    revision = own(
        (whole, f"      - name: args\n{args}{labels}"),
        ("666f6f202573 6c6162656c 617267", "666f6f202573 617267 6c6162656c"),
    )
    server = Server(revision=revision)
    server.receive_data(wire(revision, "1 1 stream-begin command-name eos a"))
    (frame,) = server.send_text(1, [("%s", ["label"], ["argument"])])
    (atom,) = revision.codec.decode_payload(frame).atoms
    assert (atom.format, atom.labels, atom.args) == ("%s", ("label",), ("argument",))


SETTINGS = "{and: [stream-begin, {guard: {settings: good}}, stream-end]}"


@pytest.mark.requirement("stream-settings.known-profile", "stream-settings.name-whole", "stream-settings.profile-bytes")
@pytest.mark.parametrize(
    ("payload", "found"),
    [
        (r"\x04zlib", "stream-settings.known-profile"),
        (r"\x04zlibx", "stream-settings.profile-bytes"),
        (r"\x05zlib", "stream-settings.name-whole"),
    ],
)
def test_a_frame_that_a_stream_refuses_whatever_a_guard_answers(
    payload: str, found: str, own: Callable[..., Revision]
) -> None:
    refused = "error: stream-settings.known-profile, expected: no end of a stream on stream-settings"
    revision = own((f"when: {SETTINGS}, to: closed, emit: stream-configured", f"when: {SETTINGS}, {refused}"))
    validator = Validator("client", revision=revision)
    settings = f"1 1 stream-begin|stream-end stream-settings 0 {payload}"
    data = wire(revision, settings, "1 1 stream-begin command-name eos a", "3 1 stream-end command-name eos b")
    assert [finding.id for finding in [*validator.feed(data), *validator.close()]] == [found]


@pytest.mark.requirement("encoding.decodable", "encoding.complete-at-end")
def test_an_encoded_frame_that_a_stream_refuses_whatever_a_guard_answers(own: Callable[..., Revision]) -> None:
    good = "when: {and: [{not: stream-begin}, encoded, {not: stream-end}, {guard: {encoding: good}}]}"
    refused = "error: encoding.decodable, expected: no encoded payload before the end of the stream"
    revision = own((f"{good}, to: configured}}", f"{good}, {refused}}}"))
    lines = [r"1 2 stream-begin stream-settings 0 \x04zlib"]
    lines += [
        rf"1 2 {flags} bytes-response continuation \x78\x9c" for flags in ("encoded", "encoded", "encoded|stream-end")
    ]
    validator = Validator("server", revision=revision)
    findings = [*validator.feed(wire(revision, *lines)), *validator.close()]
    assert [(finding.id, finding.frame) for finding in findings] == [
        ("encoding.decodable", 1),
        ("encoding.decodable", 2),
    ]


REPORTED = """      reported: {doc: Some of the response has come.}
    transitions:
      - {from: reported, frame: [bytes-response], when: continuation, to: reported, emit: response-data}
      - {from: reported, frame: [bytes-response], when: eos, to: none, emit: response-data}
      - {from: reported, event: end-of-input, to: none, emit: request-lost, requirement: response.complete}
      - {from: none, event: request-issued, to: sending, emit: send-frames}
"""


@pytest.mark.requirement("response.active-request", "progress.topic-end")
@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("frame: [bytes-response], when: continuation, to: {}, emit: response-data", "bytes-response continuation x"),
        ("frame: [text-output], to: {}, emit: text", "text-output 0 "),
        ("frame: [progress], to: {}, emit: progress", r"progress 0 \xa3Cpos\x20EtopicAxEtotal\x0a"),
    ],
)
def test_each_frame_of_a_response_can_lead_to_another_state(row: str, line: str, own: Callable[..., Revision]) -> None:
    revision = own(
        (f"from: active, {row.format('active')}", f"from: active, {row.format('reported')}"),
        ("    transitions:\n      - {from: none, event: request-issued, to: sending, emit: send-frames}\n", REPORTED),
    )
    client = Client(revision=revision)
    command = b"".join(map(revision.codec.encode_frame, client.issue("x")))
    answers = [
        wire(revision, f"1 2 {flags} {frame}") for flags, frame in (("stream-begin", line), ("0", "text-output 0 "))
    ]
    assert not isinstance(client.receive_data(answers[0])[-1], Error)
    error: Any = client.receive_data(answers[1])[-1]
    assert error.error.requirement == "response.active-request"
    validator = SessionValidator(revision=revision)
    assert list(validator.feed("client", command)) == []
    found = [finding.id for data in answers for finding in validator.feed("server", data)]
    assert found == ["response.active-request"]


@pytest.mark.requirement("request.command-expected")
def test_a_request_can_be_refused_for_another_reason_than_a_limit(own: Callable[..., Revision]) -> None:
    refused = "error: request.command-expected, expected: command-name}"
    row = "[active, responding], frame: [command-argument, command-data], when: {not: {guard: receiving-others}}, "
    answered = "to: responding, emit: application-error, requirement: request.command-expected}"
    revision = own((f"{row}{refused}", f"{row}{answered}"))
    lines = "1 1 stream-begin command-name eos a", "1 1 0 command-data eos x"
    event = Server(revision=revision).receive_data(wire(revision, *lines))[-1]
    assert isinstance(event, SendFrames)
    assert bytes(next(event).payload) == b"this request is not accepted (request.command-expected)"
    found = [finding.id for finding in Validator("client", revision=revision).feed(wire(revision, *lines))]
    assert found == ["request.command-expected"]


@pytest.mark.requirement("response.active-request")
def test_a_frame_of_no_request_can_be_dropped(own: Callable[..., Revision]) -> None:
    refused = "frame: [bytes-response, text-output, progress], error: response.active-request, "
    revision = own(
        (f"from: [none, answered], {refused}", f"from: answered, {refused}"),
        (
            "      - {from: unfinished, frame: [text-output], ",
            "      - {from: none, frame: [text-output], to: none, emit: drop}\n      - {from: unfinished, frame: [text-output], ",
        ),
    )
    data = wire(revision, "1 2 stream-begin text-output 0 ")
    assert Client(revision=revision).receive_data(data) == []
    assert list(SessionValidator(revision=revision).feed("server", data)) == []
