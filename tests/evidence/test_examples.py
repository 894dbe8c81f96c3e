"""Worked bytes of requirements: that they keep and break what they are chosen for, and that faults are where they are marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import GOLDEN, ROOT, VECTORS

from hgproto.evidence.examples import Examples
from hgproto.judging.validation import validate
from hgproto.revisions.framing_0002.requirements import REQUIREMENTS
from hgproto.revisions.revision import Revision
from hgproto.streams.encodings import default_encodings

if TYPE_CHECKING:
    from hgproto.evidence.examples import Example

OURS = Examples(Revision("framing-0002"))
ALIEN = Examples(Revision(str(ROOT / "tests" / "data" / "alien.yaml")))
ZSTD_ALONE = {"encoding.window"}
"""Requirements whose fault is found by the Zstandard decoder alone."""

LABELS = {
    f"{kind} {worked['id']}": worked
    for kind, all_of_it in (("vector", VECTORS), ("session", GOLDEN))
    for worked in all_of_it
}

every = pytest.mark.parametrize("name", REQUIREMENTS)


def bytes_of(example: Example) -> bytes:
    return b"".join(step.data or b"" for step in example.steps)


@every
def test_what_is_good_breaks_nothing(name: str) -> None:
    good, _ = OURS.of(name)
    if good is None:
        assert not REQUIREMENTS[name].breakable
        return
    assert good.fault is None
    if good.steps[0].side is None:
        assert list(validate(bytes_of(good), depth="frames")) == []
    label = LABELS.get(good.source, {})
    assert label.get("findings", []) == []
    assert label.get("result", "valid") == "valid"


@every
def test_what_is_bad_is_there_for_all_that_bytes_can_break(name: str) -> None:
    _, bad = OURS.of(name)
    if bad is None:
        assert not REQUIREMENTS[name].breakable
        return
    assert REQUIREMENTS[name].breakable or REQUIREMENTS[name].level == "MAY"
    if bad.fault is None:
        assert name in ZSTD_ALONE
        assert "zstd-8mb" not in default_encodings()
        return
    step = bad.steps[bad.fault.step]
    assert 0 <= bad.fault.offset <= len(step.data or b"")
    assert bad.fault.offset + bad.fault.size <= len(step.data or b"")
    label = LABELS.get(bad.source)
    if label is None:
        assert bad.source.startswith("the schema, frames.")
    elif label.get("result") == "invalid":
        start = sum(len(before.data or b"") for before in bad.steps[: bad.fault.step])
        assert start + bad.fault.offset == label["offset"] or bad.fault.path.startswith("frames[0].")
        assert label["requirements"] == [name]
    else:
        assert name in label.get("findings", label["requirements"])


@pytest.mark.parametrize(
    ("name", "step", "offset", "size", "bits"),
    [
        ("command-name.eos-exclusive", 0, 7, 1, (0, 1)),  # bits of a byte
        ("stream.begin-on-open", 1, 6, 1, (0, 0)),  # in a later frame of the same side
        ("response.active-request", 1, 7, 1, (4, 7)),  # in the first frame of the other side
        ("stream.end", 1, 0, 0, None),  # at the end of a side's output, with frames of the other after it
        ("frame.whole", 0, 7, 0, None),  # of a frame that is cut
        ("reactor.errored", 4, 0, 9, None),  # a whole frame
    ],
)
def test_places(name: str, step: int, offset: int, size: int, bits: tuple[int, int] | None) -> None:
    _, bad = OURS.of(name)
    assert bad is not None
    assert bad.fault is not None
    assert bad.fault[:4] == (step, offset, size, bits)


def test_what_is_shown_differs_little() -> None:
    good, bad = OURS.of("bytes-response.server-only")
    assert good is not None
    assert bad is not None
    assert [a == b for a, b in zip(bytes_of(good), bytes_of(bad), strict=True)].count(False) == 1


def test_frames_and_sessions_have_their_human_form() -> None:
    good, bad = OURS.of("frame.whole")
    assert good is not None
    assert bad is not None
    assert good.steps[0].human == "1 1 stream-begin command-data eos"
    assert bad.steps[0].human == ""
    _, ends = OURS.of("stream.end")
    assert ends is not None
    assert [(step.side, step.data is None) for step in ends.steps[:3]] == [
        ("client", False),
        ("client", True),
        ("server", False),
    ]


def test_limits_that_a_session_needs_are_told() -> None:
    _, bad = OURS.of("stream.open-limit")
    assert bad is not None
    assert bad.options == {"limits": {"open-streams": 1}}


@pytest.mark.parametrize(
    ("name", "place", "offset"),
    [
        ("relay.known-type", "frames.bundle", 0),
        ("hello.client", "frames.hello", 5),
        ("chunk.surplus", "structures.chunk", 3),  # a payload alone
        ("greeting.nick", "structures.greeting", 1),
    ],
)
def test_a_schema_of_ones_own_has_its_own_examples(name: str, place: str, offset: int) -> None:
    good, bad = ALIEN.of(name)
    assert good is not None
    assert bad is not None
    assert bad.source == f"the schema, {place}"
    assert bad.fault is not None
    assert bad.fault.offset == offset


def test_where_a_schema_has_no_example_there_is_none() -> None:
    assert ALIEN.of("relay.parity") == (None, None)
