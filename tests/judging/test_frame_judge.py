"""Frames that are checked separately, with payloads whose structure is unknown."""

from __future__ import annotations

import pytest

from hgproto import Revision, encode_frame, parse_frame
from hgproto.judging.frame_judge import FrameJudge, untracked_message
from hgproto.judging.validation import Validator, assert_valid
from hgproto.revisions.framing_0002 import codec
from hgproto.wire import jsonform

BEGIN = r"1 0 command-argument continuation \x01\x00\x03\x00ka"
REST = "1 0 command-argument eoa bc"
LINES = (f"1 {BEGIN}", f"3 {BEGIN}", f"5 {REST}", f"3 {REST}", f"1 {REST}", r"1 1 0 command-argument eoa \x00")
WIRE = b"".join(encode_frame(parse_frame(line)) for line in LINES)


def test_what_cannot_be_told_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonform, "MOST_INCOMPLETE", 1)
    judge = FrameJudge(Revision("framing-0002"), "client", codec.MAX_PAYLOAD[0], None)
    # The value of request 1 is known, and that of request 3 is lost; of the others it cannot be told.
    assert [*judge.feed(WIRE), *judge.close()] == []
    assert (judge.frames, judge.untracked) == (6, 3)


def test_what_is_wrong_with_a_header_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonform, "MOST_INCOMPLETE", 1)
    judge = FrameJudge(Revision("framing-0002"), "client", codec.MAX_PAYLOAD[0], None)
    bad = encode_frame(codec.make_frame(5, 1, 0, codec.FrameType.COMMAND_ARGUMENT, 8, b""))
    assert [finding.id for finding in judge.feed(WIRE + bad)] == ["frame.known-flags"]
    assert judge.untracked == 3


def test_a_validator_says_what_it_has_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonform, "MOST_INCOMPLETE", 1)
    validator = Validator("client", depth="frames")
    assert [*validator.feed(WIRE), *validator.close()] == []
    assert validator.untracked == 3
    assert Validator("client").untracked == 0
    message = (
        r"^wire: 3 payloads were not checked, because more than 65536 requests had .*; validate a part of the input$"
    )
    with pytest.warns(UserWarning, match=message):
        assert_valid(WIRE, name="wire", role="client", depth="frames")
    assert untracked_message(1).startswith("1 payload was not")
