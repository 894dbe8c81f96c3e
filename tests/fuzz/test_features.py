"""Features that a target lacks: they come from the revision, and no case uses them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest

from hgproto import Limits, command, encode_frames
from hgproto.fuzz.campaign import Campaign
from hgproto.fuzz.cases import Cases, types_of, with_probe, without_probe
from hgproto.fuzz.echo import serve
from hgproto.fuzz.features import features, features_named, used
from hgproto.fuzz.oracles import Oracle
from hgproto.fuzz.outcomes import Outcome
from hgproto.fuzz.raw import frames_of
from hgproto.revisions.framing_0002 import codec

if TYPE_CHECKING:
    from hgproto.judging.finding import Role


def frames(*words: tuple[int, int, int, int]) -> bytes:
    """Frames of (request id, stream flags, type, flags) on stream 1."""
    return b"".join(
        codec.encode_frame(codec.make_frame(request_id, 1, stream_flags, code, flags, b"x"))
        for request_id, stream_flags, code, flags in words
    )


def with_arguments(count: int, data: bytes | None = None) -> bytes:
    """A command with so many arguments on stream 1."""
    args = {f"{number:03}": b"" for number in range(count)}
    return b"".join(encode_frames(command(1, 1, "x", args, data, begin=True, max_payload=64)))


def test_features_are_those_of_the_revision() -> None:
    known = features(types_of("client"))
    assert set(known) >= {
        "continuation",
        "encoded",
        "stream-end",
        "command-data",
        "have-args",
        "encodings",
        "interleaving",
    }
    assert set(known) >= {"command-argument.continuation", "command-data.continuation", "command-argument.eoa"}
    # What every case needs is not one.
    assert set(known).isdisjoint({"command-name", "stream-begin", "eos", "command-name.eos", "bytes-response"})
    assert set(features(types_of("server"))) >= {"text-output", "progress", "eos", "bytes-response.continuation"}
    assert known["continuation"].leaves_out == "command-argument with continuation, command-data with continuation"
    assert known["encodings"].leaves_out == "frames with encoded, stream-settings"


@pytest.mark.parametrize(
    ("name", "data", "is_used"),
    [
        ("continuation", frames((1, 1, 1, 4), (1, 0, 3, 1)), True),
        ("continuation", frames((1, 1, 1, 4), (1, 0, 3, 2)), False),
        ("command-argument.continuation", frames((1, 1, 1, 4), (1, 0, 3, 1)), False),
        ("command-data", frames((1, 1, 1, 4), (1, 0, 3, 1)), True),
        ("stream-end", frames((1, 3, 1, 1)), True),
        ("encodings", frames((1, 1, 8, 0)), True),
        ("encodings", frames((1, 4, 1, 1)), True),
        ("interleaving", frames((1, 1, 1, 4), (3, 0, 1, 1), (1, 0, 3, 2)), True),
        ("interleaving", frames((1, 1, 1, 4), (3, 0, 1, 4)), True),
        ("interleaving", frames((1, 1, 1, 4), (1, 0, 3, 2), (3, 0, 1, 1)), False),
        ("interleaving", b"\1", False),
        # An id is free again once its command was answered.
        ("interleaving", frames((1, 1, 1, 1), (3, 0, 1, 1), (1, 0, 1, 1)), False),
        ("interleaving", frames((1, 1, 1, 1), (1, 0, 1, 1), (3, 0, 1, 4), (5, 0, 1, 1)), True),
        # Data follows the arguments.
        ("interleaving", with_arguments(1, data=b"x")[:-1] + frames((3, 0, 1, 1)), False),
        ("interleaving", b"".join(frames_of(with_arguments(1, data=b"x"))[:-1]) + frames((3, 0, 1, 1)), True),
        # The model refuses these, for limits that a target may not have.
        ("interleaving", b"".join(frames((2 * number + 1, number == 0, 1, 1)) for number in range(300)), False),
        ("interleaving", with_arguments(257) + frames((3, 0, 1, 1)), False),
        ("interleaving", b"".join(frames_of(with_arguments(257))[:-1]) + frames((3, 0, 1, 1)), True),
        ("interleaving", frames(*((2 * number + 1, int(number == 0), 1, 4) for number in range(300))), True),
    ],
)
def test_a_feature_is_seen_in_bytes(name: str, data: bytes, is_used: bool) -> None:
    (feature,) = features_named([name], types_of("client"))
    assert (used(data, [feature]) is feature) == is_used


@pytest.mark.parametrize(
    ("responses", "is_used"),
    [
        ([(1, 0, 4, 1), (3, 0, 4, 2), (1, 0, 4, 2)], True),
        ([(1, 0, 6, 0), (3, 0, 4, 2), (1, 0, 4, 2)], True),
        ([(1, 0, 4, 1), (1, 0, 4, 2), (3, 0, 4, 2)], False),
        # An id is free again once it was answered, and settings are no response.
        ([(1, 0, 4, 2), (3, 0, 4, 2), (1, 0, 4, 2)], False),
        ([(1, 0, 5, 2), (3, 0, 4, 2), (1, 0, 4, 2)], False),
        ([(1, 0, 8, 0), (3, 0, 4, 2), (1, 0, 4, 2)], False),
    ],
)
def test_interleaving_is_seen_in_responses(responses: list[tuple[int, int, int, int]], is_used: bool) -> None:
    data = b"".join(
        codec.encode_frame(codec.make_frame(request_id, 2, stream_flags, code, flags, b""))
        for request_id, stream_flags, code, flags in responses
    )
    features_ = features_named(["interleaving"], types_of("server"))
    assert (used(data, features_) is not None) == is_used


def test_interleaving_is_seen_as_far_as_a_target_reads() -> None:
    restarted = frames((1, 1, 1, 1), (3, 1, 1, 4), (5, 0, 1, 1))
    assert used(restarted, features_named(["interleaving"], types_of("client"))) is None
    assert used(restarted, features_named(["interleaving"], types_of("client"), reopen="restart"))
    large = frames((1, 1, 1, 4)) + bytes(codec.encode_frame(codec.make_frame(1, 1, 0, 3, 1, b"a" * 70_000), 70_000))
    data = large + frames((3, 0, 1, 1))
    assert used(data, features_named(["interleaving"], types_of("client"))) is None
    assert used(data, features_named(["interleaving"], types_of("client"), limits=Limits(max_payload=70_000)))


def test_cases_that_interleave_nothing_are_kept() -> None:
    cases = Cases("server", 1, without=["interleaving"])
    origins = {case.origin: case for case in islice(cases, 260)}
    assert {
        "limit: active-requests 257 of 256",
        "limit: arguments 257 of 256",
        "series: commands that are done",
        "series: data of one command",
    } <= set(origins)
    assert origins["series: data of one command"].probe is not None
    assert origins["series: commands that are done"].probe is not None


LACKING = [("server", name) for name in features(types_of("client"))]
LACKING += [("client", "text-output"), ("client", "interleaving")]


@pytest.mark.parametrize(("role", "name"), LACKING)
def test_no_case_uses_a_feature_that_is_lacking(role: Role, name: str) -> None:
    cases = Cases(role, 3, without=[name])
    some = list(islice(cases, 60))
    assert [case for case in some if used(case.data, cases.without)] == []
    assert {case.origin.split()[0] for case in some} >= {"session", "violates"}
    assert cases.left_out[name] > 0
    assert any(case.probe for case in some) == (role == "server")


def test_requirements_are_violated_without_a_feature_where_that_is_possible() -> None:
    broken = {
        lacking: {
            case.origin
            for case in islice(Cases("server", 3, without=lacking), 120)
            if case.origin.startswith("violates")
        }
        for lacking in ((), ("encodings",))
    }
    assert len(broken["encodings",]) > len(broken[()]) / 2
    assert "violates stream.encoded-needs-settings" in broken[()] - broken["encodings",]
    assert "violates stream.begin-on-open" in broken["encodings",]


def test_a_probe_can_leave_its_stream_open() -> None:
    data = frames((1, 1, 1, 1))
    case = with_probe(data, "", ends=False)
    assert without_probe(case) == data
    assert frames_of(case.data)[-1][6] == 1


def test_a_feature_that_is_named_twice_counts_once() -> None:
    cases = Cases("server", 1, without=["encodings", "interleaving", "encodings"])
    assert [feature.name for feature in cases.without] == ["encodings", "interleaving"]


def test_an_unknown_feature_is_an_error_with_all_names() -> None:
    with pytest.raises(
        ValueError, match=r"^there is no feature 'compression'; there are command-argument, .*stream-settings$"
    ):
        Cases("server", 1, without=["compression"])


@pytest.mark.parametrize("defers", [True, False])
def test_dialogues_need_no_end_of_their_stream(defers: bool) -> None:
    cases = Cases("server", 3, without=["stream-end"], dialogues=True, defers=defers, fails="fail")
    assert [case.origin for case in islice(cases, 9) if case.waits] == [
        case.origin for case in islice(Cases("server", 3, dialogues=True, defers=defers, fails="fail"), 9) if case.waits
    ]


class Exclusive:
    """A server that ends silently at a request between the frames of another one, and at a long name."""

    def run(self, data: bytes) -> Outcome:
        return Outcome(no_interleaving(data))

    def close(self) -> None:
        pass


def no_interleaving(data: bytes) -> bytes:
    good: list[bytes] = []
    current = None
    for frame in frames_of(data):
        kind, flags, request = frame[7] >> 4, frame[7] & 15, frame[3:5]
        if kind in (1, 2, 3) and current not in (None, request):
            break
        if kind == 1 and len(frame) > 13:
            break
        if kind in (1, 2, 3):
            current = None if flags & (1 if kind == 1 else 2) else request
        good.append(frame)
    return serve(b"".join(good))


def test_a_smaller_case_uses_no_feature_that_is_lacking() -> None:
    cases = Cases("server", 2, without=["interleaving"])
    campaign = Campaign(Exclusive(), Oracle(), islice(cases, 12), minimize_seconds=5.0, without=cases.without)
    findings = campaign.run().findings
    assert findings
    assert [finding for finding in findings if used(finding.case.data, cases.without)] == []
