"""Oracles: decide whether the result of a case is a fault, and determine its kind.

A crash, a hang, and growth need no model. For other faults, the model is hgproto's reactor with the same input. If its result
depends on the time of responses, or on unknown limits of the target, the case is not judged.
"""

from __future__ import annotations

import json
import re
from itertools import chain
from math import ceil, floor
from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.errors import counted, shown
from hgproto.fuzz.echo import heard, served
from hgproto.fuzz.ignore import KINDS, Ignored
from hgproto.fuzz.locate import kinds_of
from hgproto.fuzz.observations import (
    Observation,
    UnreadableError,
    of_events,
    of_frames,
    text_of,
    texts_of,
    without_own_words,
)
from hgproto.fuzz.raw import frames_of, has_header, number_of
from hgproto.fuzz.signs import masked
from hgproto.fuzz.targets import ANSWERS
from hgproto.judging.finding import ERROR, checked_role
from hgproto.judging.validation import SessionValidator
from hgproto.reactors.limits import Limits
from hgproto.revisions.revision import default_revision
from hgproto.runtime.frame import check_instance
from hgproto.streams.encodings import Encodings
from hgproto.streams.input_stream import checked_reopen

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import Literal

    Key = tuple[str, str, str]

    from hgproto.errors import RemoteProtocolError
    from hgproto.fuzz.cases import Case
    from hgproto.fuzz.targets import Outcome
    from hgproto.judging.finding import Finding

__all__ = ["KINDS", "Fault", "Oracle", "limits_of_target"]

_REVISION = default_revision()
codec, REQUIREMENTS = _REVISION.codec, _REVISION.requirements
_DECODED, _COMPLETE = _REVISION.encoding_rules["too-large"], _REVISION.end_rule("request", "server") or ""
_RAISED = frozenset({
    "active_requests", "argument_value", "arguments", "buffered_bytes", "open_streams", "receiving_requests", "request_bytes",
})  # fmt: skip
"""Fields of Limits that are raised to check if the outcome depends on them. One requirement can cover several limits."""
_ID = re.compile(r"[a-z-]+\.[a-z-]+")
_NUMBER = re.compile(r"0x[0-9a-fA-F]+|\d+")


_IDLE: dict[str, frozenset[str]] = {
    "server": frozenset({"decoded_response", "payload_items"}),
    "client": frozenset({
        "active_requests", "argument_value", "arguments", "buffered_bytes", "receiving_requests", "request_bytes",
    }),
}  # fmt: skip
"""The fields of Limits that no case reaches, by the role of the target."""


def limits_of_target(role: str, settings: Iterable[str]) -> Limits | None:
    """Returns the limits of a target; None if ``settings`` is empty.

    Raises as :meth:`hgproto.Limits.of`, and :class:`ValueError` for a limit without effect on a target of this ``role``.
    """
    given = list(settings)
    for setting in given:
        name = setting.partition("=")[0].strip().replace("-", "_")
        if name in _IDLE[role]:
            raise ValueError(f"{name.replace('_', '-')} has no effect on a {role}; leave it out")
    return Limits.of(given) if given else None


class Fault(NamedTuple):
    """A fault in the result of a case.

    ``kind``: one of :data:`hgproto.fuzz.ignore.KINDS`. ``rule``: the id of the requirement involved; empty if unknown. ``cause``:
    a description that is the same for all faults with the same cause. ``expected``, ``found``: the expected and the actual result.
    """

    kind: str
    rule: str
    cause: str
    expected: str
    found: str

    @property
    def key(self) -> Key:
        """The key of the group that the fault belongs to: kind, requirement, and cause."""
        return self.kind, self.rule, self.cause


class Oracle:
    """Judge of the results of cases.

    ``role``: the target's role, ``server`` or ``client``. ``answers``: the form of its output
    (:data:`hgproto.fuzz.targets.ANSWERS`). ``echo``: True if it responds to commands with their description
    (:mod:`hgproto.fuzz.echo`), so that the content of responses can be compared. ``limits``: its limits; None if unknown.
    ``named``: the names of the known limits, such as ``active-requests``; None for all. A case that reaches another limit is not
    judged. ``growth``: the allowed growth of memory in a case, in bytes, in addition to 64 times the size of the case. ``ratio``:
    the allowed growth per byte of input and output, as the input is doubled twice. ``ignore``: known faults, as words of
    :class:`hgproto.fuzz.ignore.Ignored`. ``encodings``, ``reopen``: as for :class:`hgproto.Server`. ``reports_errors``: True if the
    target sends an error-response for every rejection. Silence then shows acceptance in cases that cannot end with a probe;
    otherwise these cases are judged by the frames that the target sends. ``defers``: True if the target responds only after the
    end of input. ``fails``: the name of a command that its application fails. ``noted``: the advisory requirements that the last
    output violates.
    """

    def __init__(
        self,
        role: Literal["server", "client"] = "server",
        answers: str = "frames",
        *,
        echo: bool = False,
        limits: Limits | None = None,
        named: Iterable[str] | None = None,
        growth: int = 1 << 26,
        ratio: float = 8.0,
        ignore: Iterable[str] = (),
        encodings: Encodings | None = None,
        reopen: Literal["error", "restart"] = "error",
        reports_errors: bool = False,
        defers: bool = False,
        fails: str | None = None,
    ) -> None:
        if role == "client" and answers == "frames":
            raise ValueError("a client sends no responses to compare; let it output events or verdicts")
        if answers not in ANSWERS:
            raise ValueError(f"answers must be one of {', '.join(ANSWERS)}, not {shown(answers)}")
        self.role = checked_role(role)
        self.answers = answers
        self._echo = echo
        if limits is not None:
            check_instance(limits, Limits, "limits")
        if encodings is not None:
            check_instance(encodings, Encodings, "encodings")
        self._limits = limits
        known = {*codec.LIMITS} if named is None else {*named}
        for name in known - {*codec.LIMITS}:
            raise ValueError(f"there is no limit {shown(name)}; there are {', '.join(codec.LIMITS)}")
        self._named = {name.replace("-", "_") for name in known}
        self._growth = growth
        self._ratio = ratio
        self._ignored = Ignored(ignore)
        self._reports_errors = reports_errors
        self._defers = defers
        self._fails = fails
        self.noted: set[str] = set()
        self._options: dict[str, Any] = {"limits": limits, "encodings": encodings, "reopen": checked_reopen(reopen)}

    @property
    def max_payload(self) -> int:
        """The largest payload, in bytes, that the target accepts, as far as known."""
        return codec.MAX_PAYLOAD[0] if self._limits is None else self._limits.max_payload

    def judge(self, case: Case, outcome: Outcome) -> Fault | None:
        """Returns the most severe fault that is not ignored; None if there is none."""
        return next(iter(self.faults(case, outcome)), None)

    def faults(self, case: Case, outcome: Outcome) -> list[Fault]:
        """Returns all faults that are not ignored, the most severe first, one per cause."""
        faults: dict[Key, Fault] = {}
        self.noted = set()
        for fault in self._faults(case, outcome):
            if not self.ignores(fault):
                faults.setdefault(fault.key, fault)
        return [*faults.values()]

    def ignores(self, fault: Fault) -> bool:
        """True for a fault that is ignored."""
        return self.ignores_key(fault.key)

    def ignores_key(self, key: Key) -> bool:
        """True for the key of a fault that is ignored."""
        return self._ignored.has(*key)

    def _faults(self, case: Case, outcome: Outcome) -> Iterator[Fault]:
        """Yields all faults, the most severe first. After a crash, a hang, or growth, no other faults are reported.

        A target that reports a crash but still responds to the last command is judged by its responses, too.
        """
        fault = self._broken_down(case, outcome)
        if fault is not None:
            yield fault
        if fault is not None and not (fault.kind == "crash" and self._goes_on(case, outcome)):
            return
        if self.answers == "frames":
            yield from self._by_frames(case, outcome)
        else:
            yield from self._otherwise(case, outcome)

    def _broken_down(self, case: Case, outcome: Outcome) -> Fault | None:
        if outcome.crash is not None:
            return Fault("crash", "", masked(outcome.crash), "an end without a crash", outcome.crash)
        if outcome.hung:
            return Fault("hang", "", "", "an end in time", "none")
        most = self._growth + 64 * len(case.data)
        if outcome.grown > most:
            grown = f"{_tenths(outcome.grown, 1 << 20, ceil)} MiB more"
            expected = f"at most {_tenths(most, 1 << 20, floor)} MiB more for {counted(len(case.data), 'byte')}"
            return Fault("growth", "", "", expected, grown)
        ratio = _ratio(case, outcome)
        if ratio > self._ratio:
            return Fault(
                "growth",
                "",
                f"in proportion to {case.origin.partition(': ')[2]}",
                f"memory of at most the size of input and output times {self._ratio:g}",
                f"{_tenths(ratio, 1, ceil)} for each, as the input is doubled twice",
            )
        return None

    def _goes_on(self, case: Case, outcome: Outcome) -> bool:
        """True if the target has responded to the last command of a case."""
        try:
            return self.answers == "frames" and bool(self._read(outcome.output, case.probe).accepted)
        except UnreadableError:
            return False

    def _otherwise(self, case: Case, outcome: Outcome) -> Iterator[Fault]:
        events, error, over = heard(self.role, case.data, **self._options)
        if self._is_unknown(over, lambda limits: heard(self.role, case.data, **self._options | {"limits": limits})):
            return
        wanted = of_events(events)._replace(complaint="" if error is None else error.requirement)
        if self.answers == "verdict":
            # Input that ends too early may get either verdict.
            if not any(event["event"] in ("send-error", "request-error") for event in events):
                yield from self._compared(wanted, Observation(outcome.output != b"no", wanted.answers))
            return
        try:
            found = of_events(json.loads(line) for line in outcome.output.splitlines() if line.strip())
        except (UnreadableError, ValueError, RecursionError) as unreadable:
            yield Fault("different-answer", "", "unreadable", "events as JSON, one per line", str(unreadable))
            return
        yield from self._compared(wanted, without_own_words(found, wanted))

    def _by_frames(self, case: Case, outcome: Outcome) -> Iterator[Fault]:
        early = served(case.data, **self._options, fails=self._fails)
        late = served(case.data, late=True, **self._options, fails=self._fails)
        ids = [None if one.error is None else one.error.requirement for one in (early, late)]
        if case.waits and not self._defers:
            if not _has_answered(case, outcome):
                return
            # The target has responded to each command before the next one was sent.
            late = early
        elif ids[0] != ids[1] or (early.over != late.over and not self._defers):
            return
        if self._defers:
            # It may count its responses as sent before or after it processes the end of input.
            early, late = late, early if early.over == late.over else late
        options = self._options | {"fails": self._fails}
        over = {requirement for requirement, _ in early.over}
        if self._is_unknown(over, lambda limits: served(case.data, **options | {"limits": limits})):
            return
        ours = self._read(early.output, case.probe)
        wanted = ours._replace(accepted=early.error is None, complaint=ids[0] or "")
        try:
            found = self._read(outcome.output, case.probe)
        except UnreadableError as unreadable:
            yield Fault("breaks-rule", unreadable.requirement, "unreadable", "whole frames", str(unreadable))
            return
        if case.probe is None and wanted.accepted and ours.accepted is False:
            # Only the incomplete request is rejected, so a complaint does not show that the connection failed.
            found = found._replace(accepted=None)
        if found.accepted is None:
            # For a valid case, compare the responses. For an invalid case, only a response proves acceptance.
            found = found._replace(accepted=wanted.accepted or self._reports_errors or None)
        if not found.accepted and not wanted.accepted:
            surplus = [] if found.accepted is False else [*_surplus(wanted, found)]
            # Its error-response must be valid too, but open requests and streams are not reported.
            yield from surplus or self._of_its_own(case, outcome.output, early.output, complete=False)
        if found.accepted is None:
            return
        others = self._read(late.output, case.probe)
        if not self._echo:
            # Errors about limits come from the reactor, not from the application.
            limited = {request_id for _, request_id in early.over if request_id is not None}
            wanted, found, others = (_without_content(one, limited) for one in (wanted, found, others))
        # If a response depends on the time of responses, accept either.
        right = {key: told for key, told in others.answers.items() if found.answers.get(key) == told}
        wanted = wanted._replace(answers=wanted.answers | right)
        if case.waits and self._defers and wanted.accepted and outcome.seen and outcome.seen[-1]:
            cause = kinds_of(outcome.output)[0].removeprefix("at ")
            yield Fault("early-answer", "", cause, "nothing before the end of input", cause)
        yield from self._compared(wanted, found)
        if wanted.accepted and found.accepted:
            yield from self._of_its_own(case, outcome.output, early.output)

    def _read(self, output: bytes, probe: int | None) -> Observation:
        return of_frames(output, probe, self._options["encodings"])

    def _is_unknown(
        self, over: set[str], made: Callable[[Limits], tuple[Any, RemoteProtocolError | None, Any]]
    ) -> bool:
        """True if the correct result depends on an unknown limit of the target.

        ``over``: the requirements of limits that were reached. ``made``: runs hgproto's reactor on the case with other limits.
        """
        if not over:
            return False
        if self._limits is None:
            return True
        if _DECODED in over:
            # Raising this limit would use the memory that it saves.
            return not self._named & {"decoded_frame", "decoded_response"}
        bounds = {name: _REVISION.limit(name) for name in _RAISED - self._named}
        values = self._limits.as_dict() | {name: min(4 * default, most) for name, (default, most) in bounds.items()}
        usual, raised = made(self._limits), made(type(self._limits)(**values))
        return (usual[0], str(usual[1])) != (raised[0], str(raised[1]))

    def _compared(self, wanted: Observation, found: Observation) -> Iterator[Fault]:
        if found.accepted and not wanted.accepted:
            rule = wanted.complaint
            yield Fault("accepts-invalid", rule, "", f"a rejection by {rule}", "none")
        elif wanted.accepted and not found.accepted:
            named = [one for one in _ID.findall(found.complaint) if one in REQUIREMENTS]
            cause = _NUMBER.sub("N", found.complaint)
            what = (
                f'the rejection "{text_of(found.complaint)}"' if found.complaint else "no response to the last command"
            )
            yield Fault("rejects-valid", named[0] if named else "", cause, "no rejection", what)
        elif wanted.accepted:
            for request_id in sorted({*wanted.answers, *found.answers}):
                yield from _differing(request_id, wanted.answers.get(request_id, []), found.answers.get(request_id, []))

    def _of_its_own(self, case: Case, output: bytes, ours: bytes, *, complete: bool = True) -> Iterator[Fault]:
        """Yields the violations in the frames of a server that are not also in those of hgproto's server.

        ``complete``: True if the frames are its complete output.
        """
        known: set[str] | None = None
        for finding in self._findings(case, output, complete=complete):
            if finding.severity != ERROR:
                self.noted.add(finding.id)
                continue
            if known is None:
                known = {finding.id for finding in self._findings(case, ours, complete=complete)}
            if finding.id not in known:
                yield Fault("breaks-rule", finding.id, "", finding.expected, finding.found)

    def _findings(self, case: Case, output: bytes, *, complete: bool) -> Iterator[Finding]:
        validator = SessionValidator(**self._options)
        for _ in validator.feed("client", case.data):
            pass  # only the findings in the server's output matter
        return chain(validator.feed("server", output), validator.close("server") if complete else ())


def _tenths(number: float, unit: int, rounded: Callable[[float], int]) -> str:
    """Returns the text of a number of units with one decimal. ``rounded``: rounds away from the number that it is compared to."""
    return f"{rounded(10 * number / unit) / 10:g}"


def _ratio(case: Case, outcome: Outcome) -> float:
    """Returns the growth of memory per byte of input and output: the lower one of both doublings of the input."""
    ratios = []
    sizes = [len(start) for start in case.starts]
    for number in range(1, len(outcome.grew)):
        (before, said_before), (after, said) = outcome.grew[number - 1 : number + 1]
        ratios.append((after - before) / (sizes[number] - sizes[number - 1] + max(said - said_before, 0)))
    return min(ratios, default=0.0)


def _has_answered(case: Case, outcome: Outcome) -> bool:
    """True if the target has responded to each command before the first wait. Otherwise the rest cannot be judged."""
    if not outcome.seen:
        return False
    try:
        answers = of_frames(outcome.output[: outcome.seen[0]], None).answers
    except UnreadableError:
        return False
    asked = {number_of(frame, "request_id") for frame in frames_of(case.data[: case.waits[0]]) if has_header(frame)}
    return all(answers.get(one, [("", None)])[-1][0] in ("bytes", "application error") for one in asked)


def _surplus(wanted: Observation, found: Observation) -> Iterator[Fault]:
    """Yields faults for responses to commands that the model has rejected. Only a response proves acceptance."""
    for request_id, told in sorted(found.answers.items()):
        responses, ours = (
            [word for word, _ in one if word == "bytes"] for one in (told, wanted.answers.get(request_id, []))
        )
        if len(responses) > len(ours):
            rule = wanted.complaint
            yield Fault("accepts-invalid", rule, "", f"a rejection by {rule}", f"a response to request {request_id}")


def _differing(request_id: int, wanted: list[tuple[str, Any]], found: list[tuple[str, Any]]) -> Iterator[Fault]:
    """Yields the first difference between the responses to a request; for two objects, one fault per key."""
    for place in range(max(len(wanted), len(found))):
        one = wanted[place] if place < len(wanted) else ("nothing", None)
        other = found[place] if place < len(found) else ("nothing", None)
        texts = texts_of(one[1], other[1]) if one[0] == other[0] else (text_of(one[1]), text_of(other[1]))
        what, instead = (
            f"{name} {text}" if value is not None else name
            for (name, value), text in zip((one, other), texts, strict=True)
        )
        expected, rule = f"for request {request_id} {what}", ""
        if one[0] != other[0]:
            rule = _COMPLETE if one[0] == "protocol error" else ""
            causes = [f"{other[0]} instead of {one[0]}"]
        else:
            causes = [f"another {key} of {one[0]}" for key in _keys_that_differ(_plain(one[1]), _plain(other[1]))]
        for cause in causes:
            yield Fault("different-answer", rule, cause, expected, instead)
        if causes:
            return


def _keys_that_differ(one: Any, other: Any) -> list[str]:
    """Returns the keys in which two objects differ; for other values that differ, ``content``."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return [] if one == other else ["content"]
    return [key for key in sorted({*one, *other}) if (key in one, one.get(key)) != (key in other, other.get(key))]


def _plain(value: Any) -> Any:
    """Decodes bytes that are a JSON object, for comparison. Returns any other value unchanged."""
    if isinstance(value, bytes) and value.startswith(b"{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _without_content(seen: Observation, limited: Collection[int]) -> Observation:
    """Removes the content of responses, because the application decides it.

    ``limited``: requests that reached a limit. Their errors come from the reactor, and are kept.
    """
    kinds = {"bytes": "a response", "application error": "a response"}
    answers = {
        key: [(name if key in limited else kinds.get(name, name), None) for name, _ in told]
        for key, told in seen.answers.items()
    }
    return seen._replace(answers=answers)
