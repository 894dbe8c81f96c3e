"""Events: values, and sends that tell when they were made and when they were taken."""

from __future__ import annotations

from typing import Any

import pytest

from hgproto import events
from hgproto.events import NO_OP, WANT_FRAME, NoOp, ResponseData, RunCommand, SendFrames, StartCommand, WantFrame
from hgproto.framing_0002 import codec

FRAMES = [codec.make_frame(1, 2, 0, 4, 1, b"a"), codec.make_frame(1, 2, 0, 4, 2, b"b")]


class Told:
    """A send of two frames that asks for the end with its last, and what it has told."""

    def __init__(self, *, last: bool = True) -> None:
        self.log: list[str] = []
        self.last: list[bool] = []

        def make(send: SendFrames) -> Any:
            yield FRAMES[0]
            self.last.append(send.is_last())
            yield FRAMES[1]

        def is_last() -> bool:
            self.log.append("asked")
            return last

        self.send = SendFrames(1, 2, make, lambda _: self.log.append("sent"), lambda: self.log.append("made"), is_last)


def test_events_are_values() -> None:
    assert ResponseData(1, b"x", last=True) == ResponseData(1, b"x", last=True) != ResponseData(1, b"x", last=False)
    assert WantFrame() == WANT_FRAME
    assert NoOp() == NO_OP != NoOp(1)
    assert isinstance(StartCommand(1, "x", {}), RunCommand)
    assert StartCommand(1, "x", {}) != RunCommand(1, "x", {})
    assert repr(RunCommand(1, "x", {"k": b"v"})) == "RunCommand(request_id=1, name='x', args={'k': b'v'}, data=None)"
    assert set(events.__all__) <= set(dir(events))


def test_nothing_to_send_is_iterated_over_too() -> None:
    assert list(NoOp(1)) == []


def test_a_send_tells_when_its_last_frame_was_made_and_when_all_were_taken() -> None:
    told = Told()
    assert next(told.send) == FRAMES[0]
    assert told.log == []
    assert next(told.send) == FRAMES[1]
    assert told.log == ["asked", "made"]
    assert list(told.send) == []
    assert told.log == ["asked", "made", "sent"]
    assert list(told.send) == []
    assert told.log == ["asked", "made", "sent"]
    assert repr(told.send) == "SendFrames(request_id=1, stream_id=2)"


@pytest.mark.parametrize("last", [True, False])
def test_frames_that_are_made_elsewhere(last: bool) -> None:
    told = Told(last=last)
    frames = told.send.make()
    # Who makes them elsewhere must ask nothing of the reactor.
    assert told.log == ["asked", "made"]
    assert list(told.send) == []
    assert list(frames) == FRAMES
    assert told.last == [last]
    with pytest.raises(RuntimeError, match="taken already"):
        told.send.make()
    told.send.sent()
    told.send.sent()
    assert told.log == ["asked", "made", "sent"]


def test_what_was_taken_cannot_be_made() -> None:
    told = Told()
    list(told.send)
    with pytest.raises(RuntimeError, match="taken already"):
        told.send.make()
