"""The frame at which a target stops: it tells silent faults apart."""

from __future__ import annotations

import sys
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from support import ROOT

from hgproto.fuzz import Campaign, Oracle
from hgproto.fuzz.cases import Cases, with_probe, without_probe
from hgproto.fuzz.locate import kinds_of, needs_place, stop_of
from hgproto.fuzz.raw import frames_of
from hgproto.fuzz.targets import CommandTarget, Outcome, TargetGoneError
from hgproto.revisions.framing_0002 import codec
from hgproto.streams.encodings import Encodings, default_encodings

if TYPE_CHECKING:
    from hgproto.fuzz.oracles import Key

sys.path.insert(0, str(ROOT / "tests" / "reference"))

import server as reference

KNOWN = Encodings([default_encodings()["identity"], default_encodings()["zlib"]])


def frames(*words: tuple[int, int, int]) -> bytes:
    """Frames of (stream flags, type, flags) on stream 1."""
    return b"".join(
        codec.encode_frame(codec.make_frame(1, 1, stream_flags, code, flags, b"x"))
        for stream_flags, code, flags in words
    )


BYTES = frames((1, 1, 4), (0, 3, 1), (4, 3, 1), (2, 3, 2), (3, 1, 1))
VALID = frames((1, 1, 4), (0, 3, 1), (0, 3, 2))
KINDS = [
    "at command-name have-data",
    "at command-data continuation",
    "at command-data continuation encoded",
    "at command-data eos",
    "at command-name eos on a stream that was ended before",
]


def test_a_kind_has_what_matters() -> None:
    assert kinds_of(BYTES) == KINDS
    assert kinds_of(b"\0\0\0\1\0\1\1\xf3\0") == ["at type 0xf", "at a cut header"]


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("known", [(), (KINDS[0],), (KINDS[2],), (KINDS[4],), tuple(KINDS)], ids=len)
def test_the_stop_is_found_in_few_tries(number: int, known: tuple[str, ...]) -> None:
    tries: list[int] = []
    sizes = [len(frame) for frame in frames_of(BYTES)]
    end = sum(sizes[: number + 1])

    def shows(start: bytes) -> bool:
        tries.append(len(start))
        return len(start) >= end

    assert stop_of(BYTES, shows, known) == (KINDS[number], BYTES[:end])
    assert len(tries) <= 6
    assert len(tries) <= 2 or KINDS[number] != next(iter(known), None)


def test_a_target_that_never_answers_stops_at_once() -> None:
    assert stop_of(BYTES, lambda _: True) == ("at the first command", b"")
    assert stop_of(b"", lambda _: True) == ("at the first command", b"")


def test_what_has_a_cause_needs_no_place() -> None:
    assert needs_place("rejects-valid", "", "")
    assert not needs_place("rejects-valid", "frame.whole", "")
    assert not needs_place("rejects-valid", "", "no such command")
    assert not needs_place("accepts-invalid", "", "")
    assert needs_place("crash", "", "killed by SIGSEGV")
    assert needs_place("crash", "", "exit status N")
    assert not needs_place("crash", "", "exit status N: IndexError in serve (mine.py:N)")


class Mute:
    """A target that fails whatever it is given; each run takes a second of a clock that only tells what it is told."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.runs = 0

    def run(self, data: bytes) -> Outcome:
        self.runs += 1
        return self.outcome

    def monotonic(self) -> float:
        return float(self.runs)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("baseline", [[], [("rejects-valid", "", "at the first command")]], ids=["new", "known"])
def test_a_target_that_never_answers_leaves_its_time_to_new_cases(
    baseline: list[tuple[str, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Mute(Outcome(b""))
    monkeypatch.setattr("hgproto.fuzz.campaign.time", target)
    cases = islice(Cases("server", 1), 100)
    report = Campaign(target, Oracle(), cases, minimize_seconds=0.0, baseline=baseline).run()
    assert {finding.fault.cause for finding in report.findings} <= {"at the first command"}
    assert report.cases == 100
    # At most a quarter is for cases that are run again, and for what the last of them takes.
    assert target.runs <= 100 / 0.75 + 10


def test_a_place_is_looked_for_within_the_time_of_a_campaign(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Mute(Outcome(b"", hung=True))
    monkeypatch.setattr("hgproto.fuzz.campaign.time", target)
    case = with_probe(BYTES * 100, "many frames")
    monkeypatch.setattr(target, "run", partial(hangs_late, target))
    report = Campaign(target, Oracle(), [case], most_seconds=4.0, minimize_seconds=0.0).run()
    assert [(finding.fault.kind, finding.fault.cause) for finding in report.findings] == [("hang", "")]
    assert target.runs <= 6


@pytest.mark.parametrize(
    ("baseline", "findings", "known"),
    [
        ([], [""], ()),
        ([("rejects-valid", "", KINDS[1])], [], ((("rejects-valid", "", KINDS[1]), 1),)),
        ([("rejects-valid", "", "at progress")], [""], ()),
    ],
    ids=["nothing known", "known", "another place known"],
)
def test_an_interrupt_while_a_place_is_looked_for_makes_no_known_cause_new(
    baseline: list[Key], findings: list[str], known: tuple[tuple[Key, int], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Mute(Outcome(b""))

    def run(data: bytes) -> Outcome:
        target.runs += 1
        if target.runs == 3:
            raise KeyboardInterrupt
        return target.outcome

    monkeypatch.setattr(target, "run", run)
    report = Campaign(target, Oracle(), [with_probe(VALID, "one")], baseline=baseline).run()
    assert report.interrupted
    assert [finding.fault.cause for finding in report.findings] == findings
    assert report.known == known


def hangs_late(target: Mute, data: bytes) -> Outcome:
    """A target that hangs at the last of many frames."""
    target.runs += 1
    return Outcome(b"", hung=len(data) > len(BYTES) * 99)


class Silent:
    """The reference server, which knows neither continuation nor encodings, and says nothing about it."""

    def run(self, data: bytes) -> Outcome:
        taken = b""
        for frame in frames_of(data):
            if len(frame) < 8 or frame[6] & 4 or (frame[7] >> 4 == 2 and frame[7] & 1):
                break
            taken += frame
        output = reference.serve(taken)
        return Outcome(b"".join(frame for frame in frames_of(output) if frame[7] != 0x51))

    def close(self) -> None:
        pass


def test_one_silent_defect_does_not_hide_another() -> None:
    cases = islice(Cases("server", 1, encodings=KNOWN), 250)
    oracle = Oracle(echo=True, encodings=KNOWN, ignore=["*complete", "different-answer"])
    report = Campaign(Silent(), oracle, cases, minimize_seconds=10).run()
    causes = {finding.fault.cause: finding for finding in report.findings if finding.fault.kind == "rejects-valid"}
    assert len(causes) == len(report.findings) > 1
    assert all("encoded" in cause or "command-argument continuation" in cause for cause in causes), list(causes)
    assert any("encoded" in cause for cause in causes)
    assert "at command-argument continuation" in causes
    assert sum(report.repeats) > 20
    for cause, finding in causes.items():
        # The smallest case still stops there.
        assert kinds_of(finding.case.data)[-2] == cause
        assert len(finding.case.data) <= finding.original_bytes
        assert finding.fault.found == f"no response to the last command, {cause}"
    again = Campaign(
        Silent(),
        oracle,
        islice(Cases("server", 1, encodings=KNOWN), 250),
        baseline=[finding.fault.key for finding in report.findings],
    ).run()
    assert again.findings == ()
    assert sum(count for _, count in again.known) == len(report.findings) + sum(report.repeats)


class Killed:
    """A target that is killed by two kinds of frames; one that is not started again is gone then."""

    def __init__(self, most_crashes: int) -> None:
        self.left = most_crashes

    def run(self, data: bytes) -> Outcome:
        if not self.left:
            raise TargetGoneError("gone")
        if any(len(frame) >= 8 and (frame[7] == 0x32 or frame[7] >> 4 == 2) for frame in frames_of(data)):
            self.left -= 1
            return Outcome(b"", "killed by SIGSEGV")
        return Outcome(reference.serve(data))

    def close(self) -> None:
        pass


@pytest.mark.parametrize("most_crashes", [1 << 30, 1])
def test_crashes_by_a_signal_differ_by_their_place(most_crashes: int) -> None:
    cases = islice(Cases("server", 1, encodings=KNOWN), 60)
    report = Campaign(Killed(most_crashes), Oracle(echo=True, encodings=KNOWN), cases, minimize_seconds=0.5).run()
    causes = {finding.fault.cause for finding in report.findings}
    if most_crashes == 1:
        assert (causes, report.gone) == ({"killed by SIGSEGV"}, True)
        return
    assert "killed by SIGSEGV at command-data eos" in causes
    assert len({cause for cause in causes if "command-argument" in cause}) >= 1
    for finding in report.findings:
        last = kinds_of(without_probe(finding.case))[-1]
        assert last == finding.fault.cause.removeprefix("killed by SIGSEGV ")


class Hangs(CommandTarget):
    """A target that can be waited for, and hangs always or when it is. It starts no process."""

    def __init__(self, always: bool) -> None:
        self.always = always

    def run(self, data: bytes, waits: tuple[int, ...] = ()) -> Outcome:
        return Outcome(reference.serve(data), hung=self.always or bool(waits))

    def renew(self) -> bool:
        return True

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("always", "cause"),
    [(True, "at the first command"), (False, "at a pause of a dialogue")],
    ids=["always", "when waited for"],
)
def test_a_silent_fault_of_dialogues_has_a_place(always: bool, cause: str) -> None:
    cases = islice(Cases("server", 1, encodings=KNOWN, dialogues=True), 40)
    report = Campaign(Hangs(always), Oracle(encodings=KNOWN), cases, minimize_seconds=0.5).run()
    assert [(finding.fault.kind, finding.fault.cause) for finding in report.findings] == [("hang", cause)]
    assert sum(report.repeats) >= 1
