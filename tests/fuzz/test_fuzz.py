"""The fuzzing kit: it finds faults of every kind, blames nobody who is right, and says how to show each finding again."""

from __future__ import annotations

import functools
import json
import re
import shlex
import socket
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import ROOT

from hgproto import Frame, command, encode_frame, encode_frames, error_response
from hgproto.cli import main
from hgproto.fuzz import Campaign, Mutator, Oracle, Report, TargetError, open_target
from hgproto.fuzz import echo as echo_module
from hgproto.fuzz import oracles as oracles_module
from hgproto.fuzz.cases import Case, Cases, with_probe
from hgproto.fuzz.echo import client_events, serve, served, server_events
from hgproto.fuzz.findings import read_finding
from hgproto.fuzz.minimize import minimized
from hgproto.fuzz.observations import UnreadableError, of_events, of_frames
from hgproto.fuzz.oracles import KINDS
from hgproto.fuzz.raw import frames_of
from hgproto.fuzz.targets import Outcome, run_case
from hgproto.judging.validation import validate
from hgproto.reactors.limits import Limits
from hgproto.revisions.framing_0002 import codec
from hgproto.revisions.framing_0002.requirements import REQUIREMENTS
from hgproto.samples import Seeded, wires
from hgproto.strategies import Drawn
from hgproto.streams.encodings import Encodings, Profile, default_encodings, zlib_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hgproto.fuzz.targets import Target
    from hgproto.judging.finding import Role

REFERENCE = ROOT / "tests" / "reference"
sys.path.insert(0, str(REFERENCE))

import server as reference  # noqa: E402 - a program of its own, which is found by its directory

KNOWN = Encodings([default_encodings()["identity"], default_encodings()["zlib"]])
MOST_CASES = 1000
"""Cases in which each fault is found."""
BRIEF = settings().max_examples < 100
BY_ADDRESS = ["id-after-error", "error-early", "streams-never-end"]
"""Faults that show in a dialogue, or only as a note."""
FAULTS = [fault for fault in reference.FAULTS if fault not in BY_ADDRESS][:: 6 if BRIEF else 1]
PART = settings(max_examples=max(settings().max_examples // 4, 5))


@functools.cache
def all_cases() -> list[Case]:
    """The cases, made once and on first use."""
    return list(islice(Cases("server", 1, encodings=KNOWN), MOST_CASES))


class Direct:
    """A target in this process, for speed."""

    def __init__(self, call: Callable[[bytes], Any]) -> None:
        self._call = call

    def run(self, data: bytes) -> Outcome:
        try:
            answer = self._call(data)
        except Exception as error:
            return Outcome(b"", f"{type(error).__name__}")
        if isinstance(answer, bytes):
            return Outcome(answer)
        return Outcome("\n".join(map(json.dumps, answer)).encode())

    def close(self) -> None:
        pass


@pytest.fixture(scope="module", autouse=True)
def _model_once() -> Iterator[None]:
    """What our server makes of a case is asked once for all faults."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(oracles_module, "served", functools.cache(echo_module.served))
        yield


# Faults of others.


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        (lambda frame: frame[:5] + b"\3" + frame[6:], {"stream-id.parity"}),
        (lambda frame: frame[:7] + b"\x53" + frame[8:], {"error-response.exactly-one"}),
        (lambda frame: frame[:8] + b"\xff" * (len(frame) - 8), {"error-response.utf8"}),
        (lambda frame: frame, set()),
    ],
    ids=["odd stream", "both flags", "not UTF-8", "valid"],
)
def test_errors_for_rejections_are_held_to_the_rules(change: Callable[[bytes], bytes], rules: set[str]) -> None:
    def errors(data: bytes) -> bytes:
        return b"".join(change(frame) if frame[7] >> 4 == 5 else frame for frame in frames_of(serve(data)))

    oracle, target = Oracle(echo=True), Direct(errors)
    cases = (case for case in all_cases() if case.origin.startswith(("violates", "cut")))
    faults = [fault for case in cases for fault in oracle.faults(case, run_case(target, case))]
    assert {fault.rule for fault in faults if fault.kind == "breaks-rule"} == rules
    assert {fault.kind for fault in faults} <= {"breaks-rule"}


TOLD: dict[str, dict[str, Any]] = {"header-cut": {"reports_errors": True}}
"""What an oracle has to be told about the reference server to find a fault."""
BY_OTHER_MEANS = {"memory-per-byte", "encoding-bomb", "growth-value", "hang-empty-value"}
"""Faults that take time or memory, which a process of its own shows."""


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in BY_OTHER_MEANS])
def test_a_campaign_finds_every_fault(fault: str) -> None:
    target = Direct(lambda data: reference.serve(data, frozenset({fault})))
    oracle = Oracle(echo=True, encodings=KNOWN, **TOLD.get(fault, {}))
    report = Campaign(target, oracle, all_cases(), most_findings=1, minimize_seconds=0.3).run()
    (finding,) = report.findings
    again = oracle.judge(finding.case, target.run(finding.case.data))
    assert again is not None
    assert again.key == finding.fault.key or (again.cause, again.kind) == ("", "rejects-valid")
    assert finding.fault.cause.startswith("at ") == (
        not again.rule and not again.cause and again.kind == "rejects-valid"
    )
    assert finding.fault.kind in KINDS
    assert finding.fault.rule in ("", *REQUIREMENTS)
    assert len(finding.case.data) <= finding.original_bytes
    # Who has not that fault is not blamed.
    assert oracle.judge(finding.case, Outcome(reference.serve(finding.case.data))) is None


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("encoding-bomb", ("growth", "hang")), ("growth-value", ("growth",)), ("hang-empty-value", ("hang",))],
)
def test_time_and_memory_are_watched(fault: str, kind: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(REFERENCE)
    target = open_target(f"server:serve_{fault.replace('-', '_')}", seconds=1.0 if "hang" in kind else 10.0)
    oracle = Oracle(echo=True, encodings=KNOWN)
    try:
        judged = (oracle.judge(case, target.run(case.data)) for case in all_cases())
        assert next(found for found in judged if found is not None).kind in kind
    finally:
        target.close()


def test_violations_use_the_encodings_of_the_target() -> None:
    # A profile that only the target knows is no violation of its own, so sessions that use it are as good as others.
    zlib = zlib_profile()
    known = Encodings([default_encodings()["identity"], Profile("mine", zlib.encoder, zlib.decoder)])
    cases = list(islice(Cases("server", 1, encodings=known), 300))
    violations = [case for case in cases if case.origin.startswith("violates ")]
    assert sum(b"mine" in case.data for case in violations) > len(violations) // 20


def test_a_server_without_faults_is_not_blamed() -> None:
    report = Campaign(Direct(reference.serve), Oracle(echo=True, encodings=KNOWN), all_cases()).run()
    assert [finding.fault for finding in report.findings] == []
    assert report.cases == MOST_CASES


@pytest.mark.parametrize(
    ("role", "answers", "call"),
    [("server", "frames", serve), ("server", "events", server_events), ("client", "events", client_events)],
    ids=["server", "server events", "client events"],
)
def test_our_own_reactors_are_not_blamed(role: Any, answers: str, call: Callable[[bytes], Any]) -> None:
    cases = islice(Cases(role, 7, probe=answers == "frames"), 200)
    report = Campaign(Direct(call), Oracle(role, answers, echo=True), cases).run()
    assert [finding.fault for finding in report.findings] == []


@pytest.mark.parametrize(
    ("change", "kind", "rule"),
    [
        (lambda events: [event for event in events if event["event"] != "error"], "accepts-invalid", "."),
        (
            lambda events: [*events[:2], {"event": "error", "requirement": "frame.whole"}],
            "rejects-valid",
            "frame.whole",
        ),
        (
            lambda events: [{**event, "data": "00"} if "data" in event else event for event in events],
            "different-answer",
            "",
        ),
        (lambda _: [{"no": "event"}], "different-answer", ""),
    ],
    ids=["accepts", "rejects", "differs", "unreadable"],
)
def test_a_client_is_judged_by_its_events(change: Callable[[Any], Any], kind: str, rule: str) -> None:
    target = Direct(lambda data: change(client_events(data)))
    cases = islice(Cases("client", 3, probe=False), 100)
    report = Campaign(target, Oracle("client", "events"), cases, minimize_seconds=0.1).run()
    assert kind in {finding.fault.kind for finding in report.findings}
    assert any(rule in finding.fault.rule for finding in report.findings if finding.fault.kind == kind)


def latin(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "message": event["message"].encode().decode("latin-1")} if "message" in event else event


def wordless(event: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key != "message"}


def own_words(event: dict[str, Any]) -> dict[str, Any]:
    """A request that has failed with the connection or at its end, told without the requirement."""
    if event["event"] == "request-error" and "requirement" in event:
        return {**wordless(event), "message": "connection lost"}
    return event


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (latin, {"request-error", "connection-error"}),
        (wordless, {"request-error", "connection-error"}),
        (own_words, set()),
        (lambda event: own_words(event) | {"requirement": "x.y"} if event != own_words(event) else event, set()),
    ],
    ids=["latin", "wordless", "own words", "own words and a reason"],
)
def test_the_words_of_a_server_are_compared_and_no_others(change: Callable[[Any], Any], found: set[str]) -> None:
    errors = [
        encode_frame(frame)
        for text in ("caf\u00e9", "")
        for frame in (
            error_response(1, 2, text, "application", begin=True),
            error_response(3, 4, text or "\u00e9", "protocol", begin=True),
        )
    ]
    cases = [Case(b"".join(data), "") for data in (errors[:2], errors[1:2], errors[2:], [])]
    target = Direct(lambda data: [change(event) for event in client_events(data)])
    report = Campaign(target, Oracle("client", "events"), cases, minimize_seconds=0.1).run()
    faults = [finding.fault for finding in report.findings]
    assert {(fault.kind, fault.cause) for fault in faults} == {
        ("different-answer", f"another message of {event}") for event in found
    }


def test_a_decoder_that_says_yes_and_no_is_judged_by_that() -> None:
    oracle = Oracle("server", "verdict")
    case = Case(bytes.fromhex("0100000100010111 78"), "")
    assert oracle.judge(case, Outcome(b"yes")) is None
    assert oracle.judge(case, Outcome(b"no")) == (
        "rejects-valid",
        "",
        "",
        "no rejection",
        "no response to the last command",
    )
    bad = Case(bytes.fromhex("0100000100010113 78"), "")
    assert oracle.judge(bad, Outcome(b"no")) is None
    fault = oracle.judge(bad, Outcome(b"yes"))
    assert fault is not None
    assert (fault.kind, fault.rule) == ("accepts-invalid", "command-name.eos-exclusive")
    assert Oracle("server", "verdict", ignore=[fault.rule]).judge(bad, Outcome(b"yes")) is None


def test_answers_of_any_depth_are_judged() -> None:
    case = Case(bytes.fromhex("0100000100010111 78"), "")
    fault = Oracle("server", "events").judge(case, Outcome(b"[" * 100_000))
    assert fault is not None
    assert (fault.kind, fault.cause) == ("different-answer", "unreadable")
    answer = codec.encode_frame(codec.make_frame(1, 2, 3, 4, 2, b'{"a":' * 10_000))
    fault = Oracle("server", echo=True).judge(case, Outcome(answer))
    assert fault is not None
    assert fault.kind == "different-answer"


def test_limits_that_are_not_known_are_not_judged() -> None:
    data = b"".join(
        codec.encode_frame(codec.make_frame(2 * number + 1, 1, int(number == 0), 1, 2, b"x")) for number in range(20)
    )
    lenient = Outcome(b"")
    assert Oracle("server", "events").judge(Case(data, ""), lenient) is None
    fault = Oracle("server", "events", limits=Limits()).judge(Case(data, ""), lenient)
    assert fault is not None
    assert fault.kind == "different-answer"


def test_each_part_of_an_answer_that_differs_is_a_fault_of_its_own() -> None:
    case = with_probe(commands((1, 1, 6, b"x"), (1, 2, 2, b"\1\0\1\0ab"), (1, 3, 2, b"c")), "")

    def causes(change: dict[str, Any]) -> list[str]:
        frames = []
        for frame in frames_of(serve(case.data)):
            payload = frame[8:]
            if payload.startswith(b'{"command": "x"'):
                payload = json.dumps(json.loads(payload) | change).encode()
            frames.append(len(payload).to_bytes(3, "little") + frame[3:8] + payload)
        return [fault.cause for fault in Oracle(echo=True).faults(case, Outcome(b"".join(frames)))]

    assert causes({}) == []
    assert causes({"data": None}) == ["another data of bytes"]
    assert causes({"args": {}, "data": None}) == ["another args of bytes", "another data of bytes"]
    assert causes({"more": 1}) == ["another more of bytes"]


def test_a_report_hides_no_fault_of_a_server_that_goes_on() -> None:
    case = with_probe(bytes.fromhex("0100000100010113 78"), "")
    accepts = reference.serve(case.data, frozenset({"name-eos-exclusive"}))
    crash = "KeyError in serve (mine.py:3)"

    def kinds(output: bytes) -> list[str]:
        return [fault.kind for fault in Oracle(echo=True).faults(case, Outcome(output, crash))]

    assert kinds(accepts) == ["crash", "accepts-invalid"]
    # An error may follow from the crash, and so may silence.
    assert kinds(reference.serve(case.data)) == kinds(b"") == kinds(accepts[:-1]) == ["crash"]


def commands(*kinds: tuple[int, int, int, bytes]) -> bytes:
    """Frames on stream 1: request id, type, flags, and payload of each."""
    return b"".join(
        codec.encode_frame(codec.make_frame(request_id, 1, int(number == 0), code, flags, payload))
        for number, (request_id, code, flags, payload) in enumerate(kinds)
    )


@pytest.mark.parametrize(
    ("data", "met"),
    [
        (commands(*[(2 * number + 1, 1, 1, b"x") for number in range(300)]), None),
        (commands(*[(2 * number + 1, 1, 4, b"x") for number in range(20)]), "receiving-requests=16"),
        (commands((1, 1, 2, b"x"), *[(1, 2, 0, b"\3\0\0\0%03x" % number) for number in range(257)]), "arguments=256"),
    ],
    ids=["active", "receiving", "arguments"],
)
@pytest.mark.parametrize("answers", ["frames", "events"])
def test_only_limits_that_are_named_are_judged(data: bytes, met: str | None, answers: str) -> None:
    case = with_probe(data, "") if answers == "frames" else Case(data, "")
    lenient = dict.fromkeys(codec.LIMITS, 1 << 16)
    limits = Limits(**{name.replace("-", "_"): min(value, codec.LIMITS[name][1]) for name, value in lenient.items()})
    output = echo_module.served(case.data, limits=limits).output
    if answers == "events":
        output = b"".join(
            json.dumps(event).encode() + b"\n" for event in echo_module.heard("server", data, limits=limits)[0]
        )
    for setting in ("payload-items=9", "open-streams=4", *([] if met is None else [met])):
        oracle = Oracle("server", answers, echo=True, limits=Limits.of([setting]), named=[setting.partition("=")[0]])
        fault = oracle.judge(case, Outcome(output))
        assert (fault is None) == (setting != met), setting


@pytest.mark.parametrize(
    ("limits", "options", "late"),
    [
        (Limits(arguments=2), {}, False),
        (Limits(request_bytes=1000), {}, False),
        (Limits(active_requests=2), {"echo": True, "defers": True}, True),
    ],
    ids=["arguments", "bytes", "deferring"],
)
def test_a_server_that_ignores_a_limit_of_its_own_is_found(limits: Limits, options: dict[str, Any], late: bool) -> None:
    named = [name for name, value in limits.as_dict().items() if value != Limits().as_dict()[name]]
    oracle = Oracle(limits=limits, named=[name.replace("_", "-") for name in named], **options)
    kinds = Counter[str]()
    for case in islice(Cases("server", 1, limits=limits, defers=late), 300):
        for keeps, output in (
            (True, served(case.data, late=late, limits=limits)),
            (False, served(case.data, late=late)),
        ):
            fault = oracle.judge(case, Outcome(output.output))
            kinds[f"{keeps} {None if fault is None else fault.kind}"] += 1
    assert [kind for kind in kinds if kind.startswith("True")] == ["True None"]
    assert {"False different-answer", "False accepts-invalid"} & {*kinds}


@pytest.mark.requirement("stream.begin-on-open")
def test_answers_on_a_stream_that_begins_again_are_decoded() -> None:
    mine = Profile("mine", zlib_profile().encoder, zlib_profile().decoder)
    frames = []
    for request_id, text in ((1, b"one"), (3, b"two")):
        encoder = mine.encoder()
        body = encoder.encode(text) + encoder.flush()
        frames += [Frame(request_id, 2, 1, 8, 0, b"\x04mine"), Frame(request_id, 2, 4, 4, 2, body)]
    output = b"".join(map(encode_frame, frames))
    assert of_frames(output, None, Encodings([mine])).answers == {1: [("bytes", b"one")], 3: [("bytes", b"two")]}


@pytest.mark.requirement("request.complete")
@pytest.mark.parametrize(
    ("options", "late"),
    [
        (options | more, late)
        for options in ({}, {"defers": True})
        for more in ({}, {"echo": True})
        for late in (False, True)
    ],
    ids=str,
)
def test_an_error_that_depends_on_when_a_server_answers_is_right_either_way(
    options: dict[str, Any], late: bool
) -> None:
    # The error for a request that was cut off is one of the protocol only if no other response is still to come.
    data = encode_frame(Frame(1, 1, 1, 1, 4, b"x"))
    case = with_probe(data, "cut off")
    answers = of_frames(served(case.data, late=late).output, case.probe).answers
    assert answers[1][-1][0] == ("application error" if late else "protocol error")
    assert Oracle(**options).judge(case, Outcome(served(case.data, late=late).output)) is None
    parts = frames_of(served(case.data).output)
    assert [part[7] >> 4 for part in parts] == [4, 5]
    # A protocol error ends the connection, so no response may follow it.
    too_early = (
        encode_frame(codec.decode_frame(parts[1])[0].replace(stream_flags=1)) + parts[0][:6] + b"\0" + parts[0][7:]
    )
    assert Oracle(**options).judge(case, Outcome(too_early)) is not None
    wrong = encode_frame(Frame(1, 2, 1, 4, 2, b"y"))
    fault = Oracle(**options).judge(case, Outcome(wrong + served(case.data, late=late).output[9:]))
    assert fault is not None


@pytest.mark.requirement("command-name.fresh-id")
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("options", [{}, {"defers": True}], ids=str)
def test_an_id_that_comes_again_is_right_for_a_server_that_has_answered(options: dict[str, Any], late: bool) -> None:
    case = with_probe(commands((1, 1, 1, b"x"), (1, 1, 1, b"y")), "again")
    output = served(case.data, late=late).output
    assert (case.probe in of_frames(output, None).answers) == (not late)
    assert Oracle(**options).judge(case, Outcome(output)) is None


def test_a_client_has_no_frames_to_be_judged_by() -> None:
    with pytest.raises(ValueError, match="let it output events"):
        Oracle("client", "frames")


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the memory of a process")


@LINUX
@pytest.mark.parametrize(
    ("name", "causes"),
    [
        ("server:serve_memory_per_byte", ["in proportion to data of one command", None]),
        ("server:serve", [None, None]),
        ("hgproto.fuzz.echo:serve", [None, None]),
        (f"{sys.executable} -S -E {REFERENCE / 'server.py'}", [None, None]),
    ],
    ids=["fault", "reference", "ours", "command"],
)
def test_memory_in_proportion_to_the_input_is_seen(
    name: str, causes: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(REFERENCE)
    cases = [case for case in all_cases() if case.sizes]
    assert len(cases) == len(causes)
    target = open_target(name, seconds=30.0)
    oracle = Oracle(echo=True, encodings=KNOWN)
    try:
        for case, cause in zip(cases, causes, strict=True):
            outcome = run_case(target, case)
            assert len(outcome.grew) == 3
            fault = oracle.judge(case, outcome)
            assert (None if fault is None else (fault.kind, fault.cause)) == (
                None if cause is None else ("growth", cause)
            )
    finally:
        target.close()


@LINUX
def test_memory_behind_an_address_is_that_of_one_process_or_of_new_ones() -> None:
    (case,) = [case for case in all_cases() if case.origin == "series: data of one command"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-S", "-E", str(REFERENCE / "server.py"), f"--port={port}", "memory-per-byte"]
    oracle = Oracle(echo=True, encodings=KNOWN)
    started = open_target(f"127.0.0.1:{port}", seconds=30.0, start=shlex.join(command))
    try:
        faults = [oracle.judge(case, run_case(started, case))]
    finally:
        started.close()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        running = open_target(f"127.0.0.1:{port}", seconds=30.0, pid=process.pid)
        faults.append(oracle.judge(case, run_case(running, case)))
        process.kill()
    assert [fault and fault.cause for fault in faults] == ["in proportion to data of one command"] * 2


def test_the_complaint_about_a_request_without_an_end_is_no_refusal_of_the_case() -> None:
    whole = b"".join(encode_frames(command(1, 1, "x", data=b"a", begin=True)))
    case = Case(frames_of(whole)[0], "session")
    oracle = Oracle(echo=True)
    assert b"request.complete" in serve(case.data)
    assert oracle.faults(case, Outcome(serve(case.data))) == []
    assert [fault.rule for fault in oracle.faults(case, Outcome(b""))] == ["request.complete", "response.complete"]


def test_our_own_server_has_no_faults_without_interleaving() -> None:
    cases = Cases("server", 3, encodings=KNOWN, without=["interleaving"])
    some = list(islice(cases, 250))
    assert any(case.probe is None and case.origin == "violates request.complete" for case in some)
    oracle = Oracle(echo=True, encodings=KNOWN)
    assert [fault for case in some for fault in oracle.faults(case, Outcome(serve(case.data)))] == []


@pytest.mark.parametrize("size", [1, 150, 5000])
def test_a_long_answer_is_shown_from_where_it_differs(size: int) -> None:
    data = b"".join(encode_frames(command(1, 1, "x", data=b"a" * size + b"b", begin=True, end=True)))
    case = with_probe(data, "session")
    output = serve(case.data)
    assert output.count(b'6162"') == 1
    (fault,) = Oracle(echo=True).faults(case, Outcome(output.replace(b'6162"', b'6163"')))
    assert fault.kind == "different-answer"
    assert ("6162" in fault.expected, "6163" in fault.found) == (True, True)
    assert len(fault.expected) < 300


# Dialogues, failing commands, and notes.


@contextmanager
def waited_for(kind: str, *faults: str) -> Iterator[Target]:
    """The reference server as a command, or behind a port."""
    command = [sys.executable, "-S", "-E", str(REFERENCE / "server.py"), *faults]
    if kind == "command":
        yield open_target(shlex.join(command), seconds=60.0)
        return
    with subprocess.Popen([*command, "--port=0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield open_target(f"127.0.0.1:{process.stdout.readline().strip()}")
        process.kill()


def dialogue(kind: str, *faults: str, seconds: float = 0.1, **options: Any) -> tuple[Report, Oracle]:
    """A campaign of twelve cases against the reference server."""
    with waited_for(kind, *faults) as target:
        oracle = Oracle(echo=True, encodings=KNOWN, fails="fail", **options)
        cases = Cases("server", 1, encodings=KNOWN, dialogues=True, fails="fail", defers=bool(options))
        report = Campaign(target, oracle, cases, most_cases=12, minimize_seconds=seconds).run()
        for finding in report.findings:
            again = oracle.judge(finding.case, run_case(target, finding.case))
            assert again is not None
            assert again.key == finding.fault.key
    return report, oracle


WAITED_FOR = pytest.mark.parametrize("kind", ["address", "command"])


@WAITED_FOR
@pytest.mark.parametrize(
    ("faults", "options", "wanted"),
    [
        (("live",), {}, []),
        ((), {"defers": True}, []),
        (("live", "id-after-error"), {}, [("rejects-valid", "a request that is still active")]),
        (("error-early",), {"defers": True}, [("early-answer", "error-response application")]),
        (
            ("live",),
            {"defers": True},
            [("early-answer", "error-response application"), ("early-answer", "bytes-response eos")],
        ),
        # A deferring server is not asked for an id before it was answered.
        ((), {}, []),
    ],
    ids=["live", "deferring", "id after an error", "early error", "not deferring", "unknown"],
)
def test_dialogues_find_what_whole_input_hides(
    kind: str, faults: tuple[str, ...], options: dict[str, Any], wanted: list[tuple[str, str]]
) -> None:
    report, _ = dialogue(kind, *faults, **options)
    assert [(finding.fault.kind, finding.fault.cause) for finding in report.findings] == wanted
    assert all(finding.case.waits for finding in report.findings)


@WAITED_FOR
@pytest.mark.parametrize(
    ("faults", "options", "data"),
    [
        # The name of the command that fails, and the shortest name.
        (("live", "id-after-error"), {}, [8 + 4 + 8 + 1 + 13]),
        (("error-early",), {"defers": True}, [8 + 4 + 13]),
        (("live",), {"defers": True}, [8 + 4 + 13, 8 + 1 + 13]),
    ],
    ids=["id after an error", "early error", "not deferring"],
)
def test_dialogues_are_minimized(kind: str, faults: tuple[str, ...], options: dict[str, Any], data: list[int]) -> None:
    report, _ = dialogue(kind, *faults, seconds=120.0, **options)
    assert [len(finding.case.data) for finding in report.findings] == data
    assert all(finding.case.waits and finding.shown_again for finding in report.findings)
    assert all(finding.not_minimized is None for finding in report.findings)


def test_a_callable_has_no_dialogues() -> None:
    message = r"^the case is a dialogue, and only an address or a command supports waits$"
    with pytest.raises(TargetError, match=message):
        run_case(Direct(serve), Case(b"", "", waits=(0,)))


def test_streams_that_are_never_ended_are_noted() -> None:
    cases = all_cases()[:40]
    for faults, least in ((frozenset({"streams-never-end"}), 10), (frozenset(), 0)):
        oracle = Oracle(echo=True, encodings=KNOWN)
        target = Direct(functools.partial(reference.serve, faults=faults))
        report = Campaign(target, oracle, cases).run()
        assert report.findings == ()
        notes = dict(report.notes)
        assert set(notes) == ({"stream.end"} if least else set())
        assert notes.get("stream.end", 0) >= least


def test_a_note_counts_each_case_once() -> None:
    # A case of a finding is run again and minimized, and its output does not meet the requirement each time.
    target = Direct(
        lambda data: b"" if b"lookup" in data else reference.serve(data, faults=frozenset({"streams-never-end"}))
    )
    report = Campaign(target, Oracle(echo=True, encodings=KNOWN), all_cases()[:40]).run()
    assert report.findings
    assert 10 <= dict(report.notes)["stream.end"] <= report.cases


def test_failing_commands_are_judged_by_their_errors() -> None:
    data = bytes.fromhex("0400000100010111") + b"fail"
    case = with_probe(data, "")
    good = Outcome(reference.serve(case.data))
    assert Oracle(echo=True, fails="fail").judge(case, good) is None
    fault = Oracle(echo=True).judge(case, good)
    assert fault is not None
    assert fault.cause == "application error instead of bytes"
    cases = list(islice(Cases("server", 1, fails="fail"), 400))
    assert "fails: a command" in [one.origin for one in cases]


# Silence.


def silent(data: bytes) -> bytes:
    """The responses of the reference server until the first error, which it does not report."""
    output = reference.serve(data)
    return b"".join(frame for frame in frames_of(output) if frame[7] != 0x51)


def closes(connection: socket.socket) -> None:
    """Reads all, and closes without a message where the case is invalid."""
    data = b"".join(iter(functools.partial(connection.recv, 1 << 16), b""))
    connection.sendall(silent(data))


def half_closes(connection: socket.socket) -> None:
    """Ends its own direction first, and then reads on to the end."""
    raw = b""
    while not raw.endswith(b"probe") and (data := connection.recv(1 << 16)):
        raw += data
    connection.sendall(silent(raw))
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(1 << 16):
        pass


@pytest.mark.parametrize("behavior", [closes, half_closes], ids=["closes", "half-closes"])
def test_a_server_that_rejects_silently_does_not_accept(behavior: Callable[[socket.socket], None]) -> None:
    cases = [case for case in all_cases()[:400] if len(case.data) < 1 << 17]
    assert {case.probe is None for case in cases} == {True, False}

    done = threading.Event()

    def listen() -> None:
        while not done.is_set():
            connection, _ = listening.accept()
            with connection:
                behavior(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=listen)
        thread.start()
        target = open_target(f"127.0.0.1:{listening.getsockname()[1]}")
        oracle = Oracle(echo=True, encodings=KNOWN)
        faults = [oracle.judge(case, target.run(case.data)) for case in cases]
        done.set()
        socket.create_connection(listening.getsockname()).close()
        thread.join()
    found = {(fault.kind, fault.rule) for fault in faults if fault is not None}
    # What a cut request is told is one message more than such a server sends.
    assert found == {("different-answer", "request.complete")}


def test_a_server_that_rejects_silently_is_found_where_it_accepts() -> None:
    for fault, rule in (
        ("length-third-byte", "frame.length-limit"),
        ("length-unlimited", "frame.length-limit"),
        ("payload-cut", "frame.whole"),
    ):

        def call(data: bytes, faults: frozenset[str] = frozenset({fault})) -> bytes:
            return b"".join(frame for frame in frames_of(reference.serve(data, faults)) if frame[7] != 0x51)

        oracle = Oracle(echo=True, encodings=KNOWN, ignore=["re*.complete"])
        target = Direct(call)
        report = Campaign(target, oracle, all_cases(), most_findings=1, minimize_seconds=0.3).run()
        (finding,) = report.findings
        assert (finding.fault.kind, finding.fault.rule) == ("accepts-invalid", rule)
        assert oracle.judge(finding.case, target.run(finding.case.data)) == finding.fault
        assert oracle.judge(finding.case, Outcome(silent(finding.case.data))) is None


# Observations.


def test_answers_are_read_from_frames() -> None:
    output = serve(with_probe(bytes.fromhex("0100000100010111 78"), "").data)
    seen = of_frames(output, 65533)
    assert seen.accepted
    assert seen.answers == {1: [("bytes", b'{"command": "x", "args": {}, "data": null}')]}
    refused = of_frames(serve(bytes.fromhex("0100000100010110 78")), None)
    assert not refused.accepted
    assert "command-name.flags-present" in refused.complaint


def test_how_data_is_cut_does_not_matter() -> None:
    pieces: list[Any] = [
        {"event": "response-data", "request": 1, "data": "00", "last": False},
        {"event": "want-frame"},
        {"event": "response-data", "request": 1, "data": "01", "last": True},
    ]
    whole = [{"event": "response-data", "request": 1, "data": "0001", "last": True}]
    assert of_events(pieces) == of_events(whole)


@pytest.mark.parametrize("request_id", ["Infinity", "NaN", "1e400", "[]", "null", '"x"'])
def test_an_event_of_no_request_cannot_be_read(request_id: str) -> None:
    with pytest.raises(UnreadableError, match="not an event of a session"):
        of_events(json.loads(f'[{{"event": "request-error", "request": {request_id}}}]'))


@pytest.mark.requirement("frame.length-limit", "frame.whole")
@pytest.mark.parametrize(
    ("output", "requirement"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "frame.length-limit"),
        (b"\x05\x00\x00\x01\x00\x02\x01\x32a", "frame.whole"),
        (b"\x05\x00", "frame.whole"),
    ],
)
def test_output_that_is_no_frames_violates_what_the_validator_says(output: bytes, requirement: str) -> None:
    with pytest.raises(UnreadableError, match=re.escape(requirement)) as raised:
        of_frames(output, None)
    assert raised.value.requirement == requirement
    assert requirement in [finding.id for finding in validate(output, role="server")]


# Targets.


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of callables to be fuzzed."""
    (tmp_path / "fuzzed.py").write_text(
        "import os, time\n"
        "def crash(data):\n    raise RuntimeError(f'no {len(data)}')\n"
        "def hang(data):\n    time.sleep(60)\n"
        "def late(data):\n    time.sleep(0.6)\n    return data\n"
        "def grow(data):\n    bytearray(b'x') * (200 << 20)\n    return b''\n"
        "def die(data):\n    os.abort()\n"
        "def leave(data):\n    os._exit(3)\n"
        "def noisy(data):\n    print('hello')\n    return data\n"
        "def even(data):\n    return len(data) % 2 == 0\n"
        "def events(data):\n    return [{'event': 'want-frame'}]\n"
        "number = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    return "fuzzed"


@pytest.mark.parametrize(
    ("name", "answers", "wanted"),
    [
        ("crash", "frames", {"crash": "RuntimeError in crash (fuzzed.py:3)"}),
        ("hang", "frames", {"hung": True}),
        ("late", "frames", {"hung": True, "crash": None}),
        ("die", "frames", {"crash": "killed by SIGABRT"}),
        ("leave", "frames", {"crash": "exit status 3"}),
        ("noisy", "frames", {"output": b"abc", "crash": None}),
        ("even", "verdict", {"output": b"no"}),
        ("events", "events", {"output": b'{"event": "want-frame"}\n'}),
    ],
)
def test_a_callable_is_watched(module: str, name: str, answers: str, wanted: dict[str, Any]) -> None:
    target = open_target(f"{module}:{name}", answers=answers, seconds=0.5)
    try:
        for _ in range(2):
            # A process that has broken down is begun anew.
            outcome = target.run(b"abc")
            assert {key: getattr(outcome, key) for key in wanted} == wanted
    finally:
        target.close()


def test_a_callable_that_grows_is_seen_each_time(module: str) -> None:
    target = open_target(f"{module}:grow")
    try:
        for _ in range(2):
            fault = Oracle().judge(Case(b"abc", ""), target.run(b"abc"))
            assert fault is not None
            assert fault.kind == "growth"
    finally:
        target.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nowhere:serve", "No module named 'nowhere'"),
        ("fuzzed:nothing", "module 'fuzzed' has no attribute 'nothing'"),
        ("fuzzed:number", "fuzzed:number is not callable"),
        (
            "192.0.2.1:80",
            "192.0.2.1 is not a loopback address of this machine; use --allow-remote to fuzz it if it is yours",
        ),
        ("tcp://127.0.0.1:0", "127.0.0.1:0: expected a port from 1 to 65535, found 0"),
        ("server 'x", 'the command "server \'x" cannot be split into words: No closing quotation'),
        ("http://localhost/", "there is no transport for 'http://localhost/'"),
        ("/no/such/program -x", "/no/such/program: No such file or directory"),
        ("localhost:1", "localhost:1: Connection refused"),
        ("", "a command has at least one word"),
    ],
)
def test_what_is_no_target_is_said(module: str, text: str, message: str) -> None:
    with pytest.raises(TargetError, match=f"^{message}"):
        open_target(text).run(b"")


PYTHON = f"{shlex.quote(sys.executable)} -S -E"


@pytest.mark.parametrize(
    ("program", "answers", "wanted"),
    [
        ("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())", "frames", {"output": b"abc", "crash": None}),
        ("import time; time.sleep(60)", "frames", {"hung": True}),
        ("import os; os.abort()", "frames", {"crash": "killed by SIGABRT"}),
        ("[][1]", "frames", {"crash": "exit status 1: IndexError in <module> (<string>:1)"}),
        ("raise SystemExit(1)", "verdict", {"output": b"no", "crash": None}),
        ("pass", "verdict", {"output": b"yes", "crash": None}),
        ("raise SystemExit(3)", "verdict", {"crash": "exit status 3"}),
    ],
)
def test_a_command_is_watched(program: str, answers: str, wanted: dict[str, Any]) -> None:
    target = open_target(f"{PYTHON} -c {shlex.quote(program)}", answers=answers, seconds=1.0)
    outcome = target.run(b"abc")
    assert {key: getattr(outcome, key) for key in wanted} == wanted


def test_a_command_that_grows_is_seen() -> None:
    program = "import sys; bytearray(b'x') * (len(sys.stdin.buffer.read()) << 27)"
    outcome = open_target(f"{PYTHON} -c {shlex.quote(program)}").run(b"abc")
    assert outcome.grown > 128 << 20


@pytest.fixture
def listener() -> Iterator[tuple[str, int]]:
    """The reference with a fault behind a port, and its process."""
    command = [sys.executable, "-S", "-E", str(REFERENCE / "server.py"), "--port=0", "argument-duplicate", "crash-many"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"127.0.0.1:{process.stdout.readline().strip()}", process.pid
        process.kill()


def test_an_address_is_watched(listener: tuple[str, int]) -> None:
    address, pid = listener
    target = open_target(address, seconds=2.0, pid=pid)
    report = Campaign(target, Oracle(echo=True, encodings=KNOWN), all_cases(), minimize_seconds=0.3).run()
    assert report.gone
    assert "command-argument.duplicate-name" in [finding.fault.rule for finding in report.findings]
    assert report.findings[-1].fault.cause == "accepts no more connections"
    with pytest.raises(TargetError, match="Connection refused"):
        target.run(b"")


def test_an_address_that_says_nothing_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        outcome = open_target(f"tcp://127.0.0.1:{silent.getsockname()[1]}", seconds=0.2).run(b"abc")
    assert outcome.hung


def test_both_sides_of_a_connection_are_served_at_once() -> None:
    # Neither reads all before it writes.
    raw = bytes(range(256)) * 40_000

    def echo() -> None:
        connection, _ = server.accept()
        with connection:
            while data := connection.recv(1 << 16):
                connection.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=echo)
        thread.start()
        outcome = open_target(f"127.0.0.1:{server.getsockname()[1]}").run(raw)
        thread.join()
    assert outcome.output == raw


# Cases and mutations.


@pytest.mark.parametrize("role", ["server", "client"])
def test_a_seed_gives_the_same_cases(role: Role) -> None:
    assert list(islice(Cases(role, 5), 60)) == list(islice(Cases(role, 5), 60))
    assert list(islice(Cases(role, 5), 20)) != list(islice(Cases(role, 6), 20))


def test_cases_begin_with_each_rule_and_have_every_kind() -> None:
    words = {case.origin.split(":")[0].split()[0] for case in all_cases()}
    assert words == {
        "session",
        "violates",
        "limit",
        "cut",
        "length",
        "bomb",
        "series",
        "boundary",
        "crossed",
        "mutated",
        "empty",
    }
    broken = {case.origin.split()[1] for case in all_cases() if case.origin.startswith("violates")}
    ours = {name for name in REQUIREMENTS if name.startswith(("command-", "stream", "frame.known", "encoding.deco"))}
    assert broken >= {
        name for name in ours & set(REQUIREMENTS) if REQUIREMENTS[name].breakable and "client-only" not in name
    }


@pytest.mark.parametrize("corpus", [[], [b""]], ids=["of the kit", "of a corpus"])
def test_no_input_is_a_case_without_a_probe(corpus: list[bytes]) -> None:
    cases = list(islice(Cases("server", 1, encodings=KNOWN, corpus=corpus), 1 if corpus else 400))
    assert Case(b"", "corpus: 0" if corpus else "empty") in cases
    (fault,) = Oracle().faults(Case(b"", "empty"), Outcome(b"", "ValueError in serve (mine.py:3)"))
    assert fault.kind == "crash"
    assert Oracle().faults(Case(b"", "empty"), Outcome(b"")) == []


def test_a_corpus_comes_first() -> None:
    data = bytes.fromhex("0100000100010111 78")
    case = next(iter(Cases("server", 1, corpus=[data])))
    assert case == with_probe(data, "corpus: 0")
    assert case.data.startswith(data)


@pytest.mark.parametrize(
    ("data", "has_one"),
    [
        ("", True),
        ("0100000100010111 78", True),
        ("0200000100010111 78", False),
        ("010000", False),
        ("ffff00010001011178", False),
        ("000001010001011178", True),
    ],
)
def test_a_probe_follows_where_one_can(data: str, has_one: bool) -> None:
    case = with_probe(bytes.fromhex(data), "")
    assert (case.probe is not None) == has_one
    assert case.data.startswith(bytes.fromhex(data))
    if has_one:
        found = {finding.id for finding in validate(case.data, role="client")}
        # A probe has an id of its own, whatever the order of ids.
        assert found <= {"request-id.order", "stream.end", "frame.length-limit"}


@pytest.mark.parametrize(("flags", "closed", "wanted"), [(3, 0, (253, 3)), (1, 5, (5, 3)), (1, 0, (253, 0))])
def test_a_probe_finds_a_stream_where_all_are_used(flags: int, closed: int, wanted: tuple[int, int]) -> None:
    frames = [
        codec.make_frame(1, stream_id, 3 if stream_id == closed else flags, 1, 1, b"x")
        for stream_id in range(1, 256, 2)
    ]
    case = with_probe(b"".join(map(codec.encode_frame, frames)), "")
    assert case.probe == 65533
    assert tuple(case.data[-8:-6]) == wanted


@pytest.mark.parametrize("side", ["client", "server"])
@PART
@given(data=st.data())
def test_mutated_sessions_stay_alive(side: Role, data: st.DataObject) -> None:
    mutator = Mutator(Drawn(data.draw), side)
    one, other = mutator.fresh(), mutator.fresh()
    for _ in range(data.draw(st.integers(1, 3))):
        one = mutator.mutated(one) if data.draw(st.booleans()) else mutator.crossed(one, other)
        raw = b"".join(raw for _, raw in wires(one) if raw is not None)
        assert [finding for finding in validate(raw, role=side) if finding.severity == "error"] == []


@pytest.mark.parametrize("side", ["client", "server"])
def test_the_rate_says_how_often_something_is_broken(side: Role) -> None:
    for rate, low, high in ((0, 0, 0), (50, 60, 140), (100, 150, 200)):
        mutator = Mutator(Seeded(9), side, rate=rate)
        broken = 0
        for _ in range(200):
            lines = mutator.broken(mutator.mutated(mutator.fresh()))
            data = b"".join(data for _, data in wires(lines) if data is not None)
            broken += any(finding.severity == "error" for finding in validate(data, role=side))
        assert low * 0.6 <= broken <= high, (rate, broken)


def test_a_side_that_there_is_not_is_an_error() -> None:
    side: Any = "both"
    with pytest.raises(ValueError, match="a side is client or server, not 'both'"):
        Mutator(Seeded(1), side)


# Minimising.


@given(st.integers(0, 2**32))
@PART
def test_what_is_minimised_still_shows_it_and_is_no_longer(seed: int) -> None:
    case = next(iter(Cases("server", seed, probe=False)))
    kinds = [frame[7] for frame in frames_of(case.data)]
    wanted = kinds[seed % len(kinds)] if kinds else 0

    def shows(data: bytes) -> bool:
        return wanted in [frame[7] for frame in frames_of(data) if len(frame) >= 8]

    small, tries = minimized(case.data, shows)
    if kinds:
        assert len(small) == 8
        assert small[7] == wanted
        assert tries > 0


def test_minimising_ends_in_time() -> None:
    data = max((case.data for case in all_cases()[:50]), key=len)
    small, tries = minimized(data, lambda _: True, most_tries=2)
    assert tries == 2
    assert len(small) < len(data)
    assert minimized(data, lambda _: True, seconds=0.0) == (data, 0)


# The command.


@pytest.fixture
def fuzz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command; gives what it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(REFERENCE)

    def run(*arguments: str, code: int) -> str:
        try:
            found = main(["fuzz", *arguments])
        except SystemExit as stopped:
            found = int(stopped.code or 0)
        said = capsys.readouterr()
        assert found == code, said
        return said.out + said.err

    return run


OPTIONS = ("--echo", "--encodings", "identity,zlib", "--seed", "1")


def test_a_finding_is_kept_and_shown_again(fuzz: Any, tmp_path: Path) -> None:
    said = fuzz("server:serve_argument_duplicate", *OPTIONS, "--max-findings", "1", code=1)
    assert "seed: 1" in said
    assert "accepts-invalid: the target accepted invalid input" in said
    assert "A client MUST NOT send two arguments of the same name in one request." in said
    (file,) = (tmp_path / "findings").iterdir()
    finding = json.loads(file.read_text())
    assert finding["requirement"] == "command-argument.duplicate-name"
    assert finding["schema"] == codec.DIGEST
    assert bytes.fromhex(finding["bytes"]) == read_finding(str(file))[0].data
    assert len(finding["human"]) == len(frames_of(bytes.fromhex(finding["bytes"])))
    assert finding["replay"] in said
    program, *words = shlex.split(finding["replay"])
    assert program == "hgproto"
    again = fuzz(*words[1:], code=1)
    shown = f"{words[-1]}: accepts-invalid: expected a rejection by command-argument.duplicate-name, found none"
    assert again.startswith(shown)
    mended = [word.replace("serve_argument_duplicate", "serve") for word in words[1:]]
    assert fuzz(*mended, code=0) == f"{words[-1]}: fixed: no fault any more\n"


def test_findings_of_one_cause_are_one(fuzz: Any, tmp_path: Path) -> None:
    said = fuzz("server:serve_flags_unknown", *OPTIONS, "--max-cases", "300", code=1)
    assert re.search(r"^1 finding in 300 cases, \d+ bytes", said, re.MULTILINE)
    assert re.search(r"accepts-invalid frame.known-flags: case \d+, and [1-9]\d* more with the same cause", said)
    assert len(list((tmp_path / "findings").iterdir())) == 1


def test_a_second_run_reports_only_what_is_new(fuzz: Any, tmp_path: Path) -> None:
    options = (*OPTIONS, "--max-cases", "60", "--minimize-time", "0.2", "--minimize-share", "10")
    fuzz("server:serve_flags_unknown", *options, code=1)
    (file,) = (tmp_path / "findings").iterdir()
    before = file.read_text()
    for baseline in ("findings", str(file)):
        said = fuzz("server:serve_flags_unknown", *options, "--baseline", baseline, code=0)
        assert re.search(r"accepts-invalid frame.known-flags: known, \d+ cases?", said)
        assert "0 findings in 60 cases" in said
    assert file.read_text() == before
    (tmp_path / "findings" / "x.json").write_text("{}")
    assert "x.json: expected a finding of hgproto fuzz" in fuzz(
        "server:serve", *options, "--baseline", "findings", code=1
    )
    assert "none: No such file or directory" in fuzz("server:serve", *options, "--baseline", "none", code=3)


def test_features_that_a_target_lacks_are_left_out(fuzz: Any) -> None:
    options = ("server:serve_continuation_ignored", *OPTIONS, "--max-cases", "80", "--minimize-time", "0.1")
    fuzz(*options, code=1)
    said = fuzz(*options, "--without", "command-argument.continuation,interleaving", code=0)
    assert "without command-argument.continuation: no cases with command-argument with continuation\n" in said
    assert "without interleaving: no cases with requests whose frames come between those of another request\n" in said
    assert re.search(r"  without command-argument.continuation: [1-9]\d* cases left out", said)
    said = " ".join(fuzz(*options, "--without", "x", code=2).split())
    assert "argument --without: there is no feature 'x'; there are command-argument, " in said


def test_nothing_is_found_where_nothing_is(fuzz: Any, tmp_path: Path) -> None:
    said = fuzz("server:serve", *OPTIONS, "--max-cases", "60", code=0)
    assert "0 findings in 60 cases" in said
    assert not (tmp_path / "findings").exists()
    assert "0 findings in" in fuzz("server:serve", *OPTIONS, "--max-time", "0.2", code=0)


@pytest.mark.parametrize("target", ["hgproto.fuzz.echo:client_events", "hgproto.fuzz.echo:server_events"])
def test_events_are_what_a_target_may_give(fuzz: Any, target: str) -> None:
    role = "client" if "client" in target else "server"
    assert "0 findings in 40 cases" in fuzz(target, "--role", role, "--answers", "events", "--max-cases", "40", code=0)


def test_corpora_and_differences_that_are_known(fuzz: Any, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "twice.bin").write_bytes(
        bytes.fromhex("0100000100010112780600000100010020010001006b760600000100010022010001006b76")
    )
    options = ("server:serve_argument_duplicate", *OPTIONS, "--corpus", "corpus", "--max-cases", "1")
    assert "(corpus: 0)" in fuzz(*options, code=1)
    assert "0 findings" in fuzz(*options, "--ignore", "command-argument.duplicate-name", code=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere:serve",), "argument TARGET: No module named 'nowhere'"),
        (("192.0.2.7:99",), "argument TARGET: 192.0.2.7 is not a loopback address of this machine"),
        (
            ("server:serve", "--role", "client", "--answers", "frames"),
            "argument --answers: a client sends no responses",
        ),
        (("server:serve", "--ignore", "frame.hole"), "argument --ignore: there is no requirement 'frame.hole'"),
        (("server:serve", "--encodings", "br"), "argument --encodings: unknown encoding 'br'"),
        (("server:serve", "--limit", "arguments-x=1"), "argument --limit: there is no limit 'arguments-x'"),
    ],
)
def test_what_cannot_be_done_is_said(fuzz: Any, arguments: tuple[str, ...], message: str) -> None:
    assert f"hgproto: {message}" in fuzz(*arguments, code=2)


def test_a_file_that_is_no_finding_is_said(fuzz: Any, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    assert "x.json: expected a finding of hgproto fuzz" in fuzz("server:serve", "--replay", "x.json", code=1)
