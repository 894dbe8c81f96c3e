"""Advisory requirements: remarks, their number, and checks in one pass with little memory."""

from __future__ import annotations

import re
import sys
import tracemalloc
import zlib
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import VECTORS

from hgproto.errors import RemoteProtocolError
from hgproto.judging.finding import ROLES, Finding
from hgproto.judging.rules import MOST_REMARKS, Tally, findable, text_remarks
from hgproto.judging.validation import SessionValidator, Validator, validate, validate_payload
from hgproto.revisions.framing_0002 import codec
from hgproto.revisions.revision import Revision, default_revision
from hgproto.wire.texts import placeholders

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TEXT, PROGRESS, RESPONSE, SETTINGS = 6, 7, 4, 8
BEGIN, ENCODED = 1, 4
_PERCENT = re.compile(r"%(.|\Z)", re.DOTALL)

formats = st.text(st.sampled_from("%s \né"), max_size=12)
atoms = st.lists(
    st.builds(codec.TextAtom, formats, st.just(()), st.lists(formats, max_size=3).map(tuple)), max_size=6
).map(tuple)


def encoded(atoms: Sequence[codec.TextAtom]) -> bytes:
    return codec.encode_text_output(codec.TextOutput(tuple(atoms)))


def frame(type_: int, payload: bytes, *, stream_flags: int = 0, flags: int = 0, request_id: int = 1) -> bytes:
    return codec.encode_frame(codec.make_frame(request_id, 2, stream_flags, type_, flags, payload), (1 << 24) - 1)


def squeezed(*payloads: bytes, type: int = TEXT) -> bytes:
    """Frames with payloads that are encoded by zlib."""
    encoder = zlib.compressobj(9)
    wire = frame(SETTINGS, b"\x04zlib", stream_flags=BEGIN)
    for payload in payloads:
        body = encoder.compress(payload) + encoder.flush(zlib.Z_SYNC_FLUSH)
        wire += frame(type, body, stream_flags=ENCODED)
    return wire


def expected_remarks(atoms: Sequence[codec.TextAtom]) -> list[tuple[str, int, int, str]]:
    """Every remark, by the text of the requirements alone: the id, its first byte and the one after its last, what was found."""
    remarks = []
    at = 0
    for index, atom in enumerate(atoms):
        start = at + 4 + len(atom.labels) + 2 * len(atom.args)
        end = start + len(atom.format.encode())
        directives = list(_PERCENT.finditer(atom.format))
        if sum(match[1] == "s" for match in directives) != len(atom.args):
            remarks.append(("text-output.placeholders", start, end, str(len(atom.args))))
        for match in directives:
            if match[1] not in ("s", "%"):
                place = start + len(atom.format[: match.start()].encode())
                remarks.append(("text-output.percent", place, end, repr(match[0])))
        at = end + sum(len(text.encode()) for text in (*atom.labels, *atom.args))
        if index == len(atoms) - 1:
            shown = (
                re.sub(r"%(.)", lambda match: next(args, "") if match[1] == "s" else "x", atom.format)
                if (args := iter(atom.args))
                else ""
            )
            if not shown.endswith("\n"):
                last = atom.format[-1:].encode()
                remarks.append(
                    ("text-output.newline", end - len(last), end, repr(atom.format[-1:]) if last else "an empty text")
                )
    return remarks


@given(atoms)
def test_remarks_are_those_of_the_requirements(atoms: tuple[codec.TextAtom, ...]) -> None:
    remarks = list(text_remarks(atoms, encoded(atoms), default_revision()))
    found = [(one.requirement, one.offset, (one.offset or 0) + (size or 0), one.found) for one, size, _ in remarks]
    assert found == expected_remarks(atoms)
    assert all(more == 0 for _, _, more in remarks)


@given(formats)
def test_directives_are_counted_as_builders_count_them(format_: str) -> None:
    wanted = placeholders(format_)
    remarks = list(
        text_remarks(
            (codec.TextAtom(format_, (), ("",) * wanted),),
            encoded([codec.TextAtom(format_, (), ("",) * wanted)]),
            default_revision(),
        )
    )
    assert "text-output.placeholders" not in {remark.error.requirement for remark in remarks}


# The bound.

MANY: dict[str, tuple[str, Callable[[int], list[codec.TextAtom]]]] = {
    "in one format": ("text-output.percent", lambda n: [codec.TextAtom("%x" * n, (), ())]),
    "in many formats": ("text-output.percent", lambda n: [codec.TextAtom("%x", (), ())] * n),
    "of arguments": ("text-output.placeholders", lambda n: [codec.TextAtom("", (), ("",))] * n),
}


@pytest.mark.parametrize("count", [MOST_REMARKS - 1, MOST_REMARKS, MOST_REMARKS + 1, MOST_REMARKS + 2, 5000])
@pytest.mark.parametrize("what", MANY)
@pytest.mark.parametrize("by", ["frames", "session", "encoded", "payload"])
def test_findings_of_a_frame_are_bounded_and_none_is_lost(what: str, count: int, by: str) -> None:
    requirement, make = MANY[what]
    payload = encoded([*make(count), codec.TextAtom("\n", (), ())])
    wire = frame(TEXT, payload, stream_flags=BEGIN)
    match by:
        case "payload":
            findings = validate_payload("text-output", payload)
        case "encoded":
            findings = list(validate(squeezed(payload), role="server"))
        case "frames":
            findings = list(validate(wire, role="server", depth="frames"))
        case _:
            findings = list(validate(wire, role="server"))
    found = [finding for finding in findings if finding.id == requirement]
    assert sum(1 + finding.more for finding in found) == count
    assert len(found) == (count if count <= MOST_REMARKS + 1 else MOST_REMARKS + 1)
    assert [finding.more for finding in found[:-1]] == [0] * (len(found) - 1)
    if found[-1].more:
        assert found[-1].found.startswith(f"{count - MOST_REMARKS} more violations of this requirement")
    if by != "encoded":
        assert [finding.offset for finding in found] == sorted({finding.offset for finding in found})


@pytest.mark.parametrize("end", ["of the response", "of the input"])
def test_topics_that_never_end_are_bounded(end: str) -> None:
    updates = b"".join(
        frame(PROGRESS, codec.encode_progress(codec.Progress(f"{number:05}", 0, 1)), stream_flags=BEGIN * (number == 0))
        for number in range(500)
    )
    last = frame(RESPONSE, b"", flags=2) if end == "of the response" else b""
    found = [finding for finding in validate(updates + last, role="server") if finding.id == "progress.topic-end"]
    assert sum(1 + finding.more for finding in found) == 500
    assert len(found) == (MOST_REMARKS + 1 if last else 500)


@pytest.mark.parametrize(("total", "told"), [(1, 1), (MOST_REMARKS + 1, MOST_REMARKS + 1), (MOST_REMARKS + 2, 101)])
def test_a_tally_makes_one_remark_stand_for_the_rest(total: int, told: int) -> None:
    tally, error = Tally(total), RemoteProtocolError("text-output.percent", 0, "", "%s or %%", "'%x'")
    remarks = []
    while tally.left:
        remarks.append(tally.remark(error, 2))
    assert len(remarks) == told
    assert sum(1 + remark.more for remark in remarks) == total


# What it costs.


def peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def calls(work: Callable[[], object]) -> int:
    """How many functions are called, built-in ones among them."""
    count = 0

    def profile(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def drained(findings: Any) -> int:
    return sum(isinstance(finding, Finding) for finding in findings)


def test_memory_of_findings_does_not_grow_with_what_is_fed() -> None:
    """A frame of a kilobyte stands for half a million violations, and there may be many frames in one call."""
    atom = codec.TextAtom("%x" * 32767, (), ())
    one, many = squeezed(encoded([atom] * 15)), squeezed(*[encoded([atom] * 15)] * 4)
    assert len(one) < 1200
    least = peak(lambda: drained(Validator("server").feed(one)))
    assert least < 8_000_000
    assert peak(lambda: drained(Validator("server").feed(many))) < least + 500_000


@pytest.mark.parametrize("what", MANY)
@pytest.mark.parametrize("depth", ["session", "frames"])
def test_a_payload_is_walked_once_however_much_is_wrong(what: str, depth: Any) -> None:
    _, make = MANY[what]
    few, many = (
        frame(TEXT, encoded([*make(count), codec.TextAtom("\n", (), ())]), stream_flags=BEGIN) for count in (1000, 2000)
    )
    once = calls(lambda: drained(validate(few, role="server", depth=depth)))
    assert calls(lambda: drained(validate(many, role="server", depth=depth))) < 2.2 * once


def test_findings_come_before_the_rest_is_looked_at() -> None:
    bad = frame(TEXT, encoded([codec.TextAtom("%x", (), ())]))
    validator = Validator("server", depth="frames")
    found = iter(validator.feed(bad * 1000))
    assert next(found).frame == 0
    assert validator.frames < 2
    # An iterator that is abandoned leaves the rest to the next.
    del found
    rest = [finding.frame for finding in validator.close()]
    assert rest[:1] == [0]
    assert rest[-1] == 999
    assert validator.frames == 1000


def test_two_sides_are_judged_in_the_order_in_which_they_were_fed() -> None:
    validator = SessionValidator()
    request = codec.encode_frame(codec.make_frame(1, 1, BEGIN, 1, 1, b"x"))
    validator.feed("client", request)
    answer = codec.encode_frame(codec.make_frame(1, 2, BEGIN, RESPONSE, 2, b""))
    assert drained(validator.feed("server", answer)) == 0


def test_what_is_found_can_be_found() -> None:
    """So no selection is refused that has an effect."""
    revision = Revision("framing-0002")
    shallow: set[str] = set()
    for vector in VECTORS:
        data = bytes.fromhex(vector["wire"])
        shallow |= {finding.id for finding in validate(data, depth="frames", max_payload=(1 << 24) - 1)}
        shallow |= {finding.id for finding in validate(data, depth="frames")}
        for role in ROLES:
            found = {finding.id for finding in validate(data, role=role, depth="frames")}
            assert found <= findable(revision, "frames", role, None)
            found = {finding.id for finding in validate(data, role=role)}
            assert found <= findable(revision, "session", role, None)
        for name, flags, continued in product(codec.CODES, range(3), (False, True)):
            found = {one.id for one in validate_payload(name, data[8:], flags=flags, continued=continued)}
            assert found <= findable(revision, "session", None, name)
    # No vector has that many items.
    assert shallow | {"frame.items-limit"} == findable(revision, "frames", None, None)
