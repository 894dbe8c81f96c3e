"""A finding that does not show again says so, is not minimized, and is not lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import hgproto.fuzz.targets
from hgproto.fuzz import Campaign, FuzzFinding, Oracle, Report
from hgproto.fuzz.again import shown_again
from hgproto.fuzz.cases import Case, frames_and_waits, probed_as, with_probe
from hgproto.fuzz.oracles import Fault
from hgproto.fuzz.raw import frames_of
from hgproto.fuzz.targets import Outcome, TargetGoneError

if TYPE_CHECKING:
    from collections.abc import Callable

BYTES = bytes.fromhex("0100000100010111 78") * 8
BAD = BYTES.replace(b"x", b"y")
CRASH = Outcome(b"", "RuntimeError in serve (mine.py:3)")
SILENT = Outcome(b"", "killed by SIGSEGV")
NEW = "in a new process"
SAME = (
    "in the same process; a new one was not tried; add a method renew() to the target to make it possible; oracle.judge"
)


class Scripted:
    """A target whose outcomes are told by the number of cases that its process has run, and by the case."""

    def __init__(self, outcome: Callable[[int, bytes], Outcome | None]) -> None:
        self._outcome = outcome
        self.number = 0
        self.all: list[bytes] = []

    def run(self, data: bytes) -> Outcome:
        self.number += 1
        self.all.append(data)
        return self._outcome(self.number, data) or Outcome(b"")

    def close(self) -> None:
        pass


class Renewed(Scripted):
    """The same, and each case may be the first of a process."""

    def renew(self) -> bool:
        self.number = 0
        return True


def gone(number: int, data: bytes) -> Outcome:
    if number > 3:
        raise TargetGoneError("gone")
    return CRASH if number == 3 else Outcome(b"")


def campaign(target: Any, *cases: bytes, **options: Any) -> tuple[Report, list[FuzzFinding]]:
    """The report of a campaign, and each finding as it was told."""
    found: list[FuzzFinding] = []
    whole = (Case(data, f"case {number}") for number, data in enumerate(cases or (BYTES, BYTES, BAD, BYTES)))
    report = Campaign(target, Oracle(), whole, found=found.append, **options).run()
    return report, found


@pytest.mark.parametrize(
    ("kind", "outcome", "shown", "new_process", "words"),
    [
        (Renewed, lambda number, _: CRASH if number == 3 else None, False, True, f"it did not show again {NEW}"),
        (Scripted, lambda number, _: CRASH if number == 3 else None, False, False, f"it did not show again {SAME}"),
        (Scripted, lambda number, _: CRASH if number >= 3 else None, True, False, f"it showed again {SAME}"),
        (Renewed, lambda _, data: CRASH if b"y" in data else None, True, True, f"it showed again {NEW}"),
        (
            Renewed,
            lambda _, data: Outcome(b"", "ParseError: found 0 at offset 787") if b"y" in data else None,
            True,
            True,
            f"it showed again {NEW}",
        ),
        (Scripted, gone, None, False, "it is not known whether it shows again"),
        (Renewed, lambda number, _: SILENT if number == 3 else None, False, True, f"it did not show again {NEW}"),
        (Renewed, lambda _, data: SILENT if b"y" in data else None, True, True, f"it showed again {NEW}"),
        (
            Scripted,
            lambda number, _: Outcome(b"", grown=1 << 30) if number == 3 else None,
            None,
            False,
            "it is not known whether it shows again",
        ),
        (
            Renewed,
            lambda number, _: Outcome(b"", grown=1 << 30) if number == 3 else None,
            False,
            True,
            f"it did not show again {NEW}",
        ),
    ],
    ids=[
        "state", "state of the same process", "broken for good", "case", "words like a place", "gone", "silent state",
        "silent case", "peak", "growth by state",
    ],
)  # fmt: skip
def test_a_finding_says_whether_it_shows_again(
    kind: type[Scripted],
    outcome: Callable[[int, bytes], Outcome | None],
    shown: bool | None,
    new_process: bool,
    words: str,
) -> None:
    report, found = campaign(kind(outcome))
    assert len(report.findings) == 1
    (finding,) = found
    assert (finding.shown_again, finding.new_process) == (shown, new_process)
    assert finding.again.startswith(words)
    value = finding.to_json("x.json")
    assert (value["shown_again"], value["new_process"], value["again"]) == (shown, new_process, finding.again)
    # Only what shows again has a place, and is made smaller.
    assert (value["not_minimized"] is None) == (shown is True) == (len(finding.case.data) < len(BYTES))
    assert shown or " at " not in finding.fault.cause
    again = shown_again(Renewed(outcome), Oracle(), finding.case, finding.fault.key)
    assert (again.fault is not None) == (kind is Renewed and shown is True)


@pytest.mark.parametrize("kind", [Scripted, Renewed])
def test_a_finding_of_a_target_of_your_own_says_what_runs_it_again(kind: type[Scripted]) -> None:
    target = kind(lambda _, data: CRASH if data[:9] == BAD[:9] else None)
    _, (finding,) = campaign(target, BAD)
    assert "--" not in finding.again
    words, call, after = finding.again.partition("; oracle.judge(")
    assert words.startswith(
        "it showed again in the same process" if kind is Scripted else "it showed again in a new process"
    )
    assert after.endswith(" runs it again")
    code = call.removeprefix("; ") + after.removesuffix(" runs it again")
    names = {"oracle": Oracle(), "finding": finding, "target": target, "hgproto": hgproto}
    assert eval(code, names) == finding.fault  # noqa: S307 - of our own


@pytest.mark.parametrize(("shown", "new_process"), [(True, False), (False, False), (False, True), (None, False)])
def test_what_a_command_makes_possible_is_said_of_a_command(shown: bool | None, new_process: bool) -> None:
    _, (finding,) = campaign(Scripted(lambda *_: CRASH), BAD)
    of_command = finding._replace(command=("x:1",), shown_again=shown, new_process=new_process)
    assert "oracle" not in of_command.again
    assert ("--start" in of_command.again) == (shown is not None and not new_process)


def test_a_later_case_takes_the_place_of_one_that_does_not_show_again() -> None:
    def outcome(number: int, data: bytes) -> Outcome | None:
        return CRASH if number == 2 or b"y" in data else None

    report, found = campaign(Renewed(outcome), BYTES, BYTES, BYTES, BAD)
    first, second = found
    assert (first.shown_again, first.case.data, first.number) == (False, BYTES, 2)
    assert (second.shown_again, second.number) == (True, 4)
    assert b"y" in second.case.data
    assert len(second.case.data) < len(BAD)
    assert report.findings == (second,)
    assert second.name == first.name


def test_few_later_cases_are_run_again() -> None:
    target = Renewed(lambda number, _: CRASH if number > 1 else None)
    report, found = campaign(target, *[BYTES] * 40, minimize_share=1.0)
    assert len(found) == len(report.findings) == 1
    assert found[0].shown_again is False
    assert len(target.all) <= 40 + 4


@pytest.mark.parametrize("old", [None, False, True])
@pytest.mark.parametrize("new", [None, False, True])
def test_a_file_that_showed_again_is_kept(old: bool | None, new: bool | None, tmp_path: Any) -> None:
    fault = Fault("crash", "", "RuntimeError", "an end without a crash", "RuntimeError")
    kept = FuzzFinding(Case(b"a", ""), fault, 1, 7, 0.5, 3, ("mine:serve",), "id", old)
    other = kept._replace(case=Case(b"abc", ""), shown_again=new)
    assert kept.write(str(tmp_path)) == other.write(str(tmp_path))
    (file,) = tmp_path.iterdir()
    assert ('"bytes": "616263"' in file.read_text()) == (new is True and not old)


# Reports that come late.


class Late(Scripted):
    """A target whose report about a case comes with the next case, or when it is waited for."""

    def __init__(self, bad: Callable[[bytes], bool]) -> None:
        super().__init__(lambda *_: None)
        self._bad = bad
        self._report: str | None = None

    def run(self, data: bytes) -> Outcome:
        super().run(data)
        earlier, self._report = self._report, CRASH.crash if self._bad(data) else None
        return Outcome(b"", earlier=earlier)

    def renew(self) -> bool:
        return True

    def late(self) -> str | None:
        report, self._report = self._report, None
        return report


@pytest.mark.parametrize("cases", [(BYTES, BAD), (BAD, BYTES), (BAD,)], ids=["last", "first", "alone"])
def test_a_late_report_belongs_to_its_case_and_shows_again(cases: tuple[bytes, ...]) -> None:
    target = Late(lambda data: b"y" in data)
    _, found = campaign(target, *cases)
    (finding,) = found
    assert b"y" in finding.case.data
    assert finding.number == cases.index(BAD) + 1
    assert finding.shown_again
    oracle = Oracle()
    assert shown_again(target, oracle, Case(BAD, ""), finding.fault.key).fault is not None
    assert shown_again(target, oracle, Case(BYTES, ""), finding.fault.key).fault is None


def test_a_late_report_of_a_smaller_case_is_not_one_of_the_case_before() -> None:
    # The only case is found for another reason; the report is about what it is minimized to.
    class Both(Late):
        def run(self, data: bytes) -> Outcome:
            outcome = super().run(data)
            return outcome._replace(crash="ValueError") if b"y" in data else outcome

    target = Both(lambda data: len(data) == len(BYTES) // 2)
    report, _ = campaign(target, BAD, BYTES, minimize_share=1.0)
    causes = {finding.fault.cause: finding for finding in report.findings}
    assert set(causes) == {"ValueError", "RuntimeError in serve (mine.py:N)"}
    assert len(causes["RuntimeError in serve (mine.py:N)"].case.data) == len(BYTES) // 2


def test_a_late_report_of_a_target_that_is_gone_is_kept() -> None:
    class Gone(Late):
        def run(self, data: bytes) -> Outcome:
            if self.number:
                raise TargetGoneError("gone")
            return super().run(data)

    report, found = campaign(Gone(lambda data: b"y" in data), BAD, BYTES)
    assert (report.gone, report.findings) == (True, tuple(found))
    assert [(finding.case.data, finding.number, finding.shown_again) for finding in found] == [(BAD, 1, None)]


def test_an_interrupt_loses_no_other_fault_of_a_case() -> None:
    class Two:
        max_payload = 65535
        noted: frozenset[str] = frozenset()

        def ignores(self, _: Fault) -> bool:
            return False

        def faults(self, *_: object) -> list[Fault]:
            return [Fault("rejects-valid", "", "", "", ""), Fault("breaks-rule", "frame.whole", "", "", "")]

    def outcome(number: int, _: bytes) -> Outcome | None:
        if number == 2:
            raise KeyboardInterrupt
        return None

    oracle: Any = Two()
    kept: list[FuzzFinding] = []
    report = Campaign(Scripted(outcome), oracle, [Case(BYTES, "")], keep=kept.append).run()
    assert report.interrupted
    assert [finding.fault.kind for finding in report.findings] == ["rejects-valid", "breaks-rule"]
    assert len(kept) == 2


# Series, and dialogues.


def test_a_series_breaks_down_by_its_first_start() -> None:
    target = Renewed(lambda _, data: CRASH if b"y" in data else None)
    series = Case(BAD, "series: x", sizes=(len(BAD) // 4, len(BAD) // 2))
    found: list[FuzzFinding] = []
    Campaign(target, Oracle(), [series], found=found.append).run()
    (finding,) = found
    assert target.all[0] == BAD[: len(BAD) // 4]
    # It is no matter of memory, so the case is made smaller as any other.
    assert (finding.case.sizes, len(finding.case.data), finding.not_minimized) == ((), 9, None)


def test_the_memory_of_a_series_says_why_it_is_not_minimized() -> None:
    target = Renewed(lambda _, data: Outcome(b"", grown=100 * len(data)))
    series = Case(BAD, "series: x", sizes=(len(BAD) // 4, len(BAD) // 2))
    found: list[FuzzFinding] = []
    Campaign(target, Oracle(), [series], found=found.append).run()
    (finding,) = found
    assert (finding.fault.cause, finding.shown_again, finding.case) == ("in proportion to x", True, series)
    assert (
        finding.to_json("x")["not_minimized"]
        == "the memory of a smaller case cannot be distinguished from that of the process"
    )


@pytest.mark.parametrize("probe", [False, True])
@pytest.mark.parametrize("waits", [(), (9,), (9, 27), (72,), (9, 72)])
def test_waits_are_frames_of_a_case_that_is_minimized(waits: tuple[int, ...], probe: bool) -> None:
    case = with_probe(BYTES, "dialogue") if probe else Case(BYTES, "dialogue")
    case = case._replace(waits=waits)
    frames = frames_and_waits(case)
    assert b"".join(frames) == BYTES
    assert probed_as(frames, case, 65535) == case
    assert [frame for frame in frames if frame] == frames_of(BYTES)
    at_end = case._replace(waits=(*[wait for wait in waits if wait < 72], len(case.data)))
    assert probed_as(frames_and_waits(at_end), at_end, 65535) == at_end
    # An empty frame of any other case is no wait.
    assert probed_as([b"", *frames], case._replace(waits=()), 65535).waits == ()
    # Without the first frame, waits move.
    fewer = probed_as(frames_and_waits(at_end)[1:], at_end, 65535)
    assert fewer.waits == tuple(wait - 9 for wait in at_end.waits)
