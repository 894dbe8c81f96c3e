"""Events: values, and sends that tell when they were made and when they were taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest

from hgproto import Client, Limits, Server, command, encode_frames, read_frames
from hgproto.reactors import events
from hgproto.reactors.events import (
    NO_OP,
    WANT_FRAME,
    CommandData,
    Error,
    NoOp,
    ResponseData,
    RunCommand,
    SendFrames,
    Sending,
    StartCommand,
    StreamLeftOpen,
    WantFrame,
)
from hgproto.revisions.framing_0002 import codec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hgproto.runtime.frame import Frame

FRAMES = [codec.make_frame(1, 2, 0, 4, 1, b"a"), codec.make_frame(1, 2, 0, 4, 2, b"b")]


class Told(Sending):
    """A send of two frames that asks for the end with its last, and what it has told."""

    def __init__(self, *, last: bool = True) -> None:
        super().__init__(1, 2)
        self.log: list[str] = []
        self.answer = last
        self.last: list[bool] = []

    def _frames(self) -> Iterator[Frame]:
        yield FRAMES[0]
        self.last.append(self.is_last())
        yield FRAMES[1]

    def _ask_last(self) -> bool:
        self.log.append("asked")
        return self.answer

    def _was_made(self) -> None:
        self.log.append("made")

    def _was_sent(self) -> None:
        self.log.append("sent")


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
    assert next(told) == FRAMES[0]
    assert told.log == []
    assert next(told) == FRAMES[1]
    assert told.log == ["asked", "made"]
    assert list(told) == []
    assert told.log == ["asked", "made", "sent"]
    assert list(told) == []
    assert told.log == ["asked", "made", "sent"]
    assert repr(SendFrames(told)) == "SendFrames(request_id=1, stream_id=2)"


@pytest.mark.parametrize("last", [True, False])
def test_frames_that_are_made_elsewhere(last: bool) -> None:
    told = Told(last=last)
    with pytest.raises(RuntimeError, match="not claimed"):
        told.claimed_frames()
    told.claim()
    frames = told.claimed_frames()
    # Who makes them elsewhere must ask nothing of the reactor.
    assert told.log == ["asked", "made"]
    assert list(told) == []
    assert list(frames) == FRAMES
    assert told.last == [last]
    with pytest.raises(RuntimeError, match="taken already"):
        told.claim()
    told.sent()
    told.sent()
    assert told.log == ["asked", "made", "sent"]


def test_what_was_taken_cannot_be_made() -> None:
    told = Told()
    list(told)
    with pytest.raises(RuntimeError, match="taken already"):
        told.claim()


def test_commands_are_of_their_public_class() -> None:
    wire = b"".join(encode_frames([*command(1, 1, "a", begin=True), *command(3, 1, "b", {"k": b"v"}, b"data")]))
    assert [type(event) for event in Server().receive_data(wire)] == [RunCommand, *[WantFrame] * 2, RunCommand]
    one_by_one = Server()
    events_of = [event for at in range(len(wire)) for event in one_by_one.receive_data(wire[at : at + 1])]
    assert [type(event) for event in events_of] == [RunCommand, *[WantFrame] * 2, RunCommand]
    streamed = [RunCommand, WantFrame, StartCommand, CommandData]
    assert [type(event) for event in Server(streaming=True).receive_data(wire)] == streamed
    framewise = Server()
    events_of = [event for frame in read_frames(wire) for event in framewise.receive_frame(frame)]
    assert [type(event) for event in events_of] == [RunCommand, *[WantFrame] * 2, RunCommand]


def test_the_unions_have_the_events_of_each_role() -> None:
    named = {getattr(events, name) for name in events.__all__ if name[0].isupper() and not name.isupper()}
    classes = {one for one in named if isinstance(one, type)}
    assert set(get_args(events.Event)) == classes
    assert set(get_args(events.ServerEvent)) | set(get_args(events.ClientEvent)) == classes
    assert set(get_args(events.ServerEvent)) & set(get_args(events.ClientEvent)) == {
        events.Error,
        events.StreamLeftOpen,
    }
    assert isinstance(WANT_FRAME, events.Event)


def test_sends_are_of_their_public_class() -> None:
    client, server = Client(), Server()
    issued = [client.issue("a"), client.issue("b"), client.issue("c", data=b"data")]
    assert [type(send) for send in issued] == [SendFrames] * 3
    server.receive_data(b"".join(piece for send in issued for piece in encode_frames(send)))
    sends = [server.send_text(1, [("x\n", (), ())]), server.send_progress(1, "t", 1, 2), server.respond(1, b"")]
    sends += [server.respond(3, [b"a", b"b"]), server.respond_error(5, "no")]
    assert [type(send) for send in sends] == [SendFrames] * 5
    assert len([frame for send in sends for frame in send]) == 7
    buffered = Client(buffered=True)
    assert type(buffered.issue("a")) is NoOp
    assert type(buffered.flush()) is SendFrames
    deferring = Server(defer=True, limits=Limits(argument_value=1))
    deferring.receive_data(b"".join(encode_frames(command(1, 1, "a", begin=True))))
    assert type(deferring.respond(1, b"x")) is NoOp
    too_long, cut = command(3, 1, "b", {"k": b"long"}), command(5, 1, "c", data=b"data")
    refused = deferring.receive_data(b"".join(encode_frames([*too_long, next(cut)])))
    assert [type(event) for event in refused] == [WantFrame, NoOp, WantFrame]
    ends = [type(event) for event in deferring.receive_end()]
    assert ends == [SendFrames, SendFrames, SendFrames, StreamLeftOpen]


def test_errors_have_an_iterator_and_are_equal_by_content() -> None:
    for reactor in (Client, Server):
        first, second = (reactor().receive_data(b"\xff" * 8)[-1] for _ in range(2))
        assert isinstance(first, Error)
        assert isinstance(second, Error)
        assert first == second
        assert hash(first) == hash(second)
        assert next(first.frames, None) is None or reactor is Server
        later = reactor().receive_data(b"\xfe" * 8)[-1]
        assert first != later
        assert first != first.error
    server = Server()
    server.receive_data(b"\xff" * 8)
    (again,) = server.receive_data(b"\xff")
    assert isinstance(again, Error)
    assert next(again.frames, None) is None


def test_a_send_hands_out_what_its_maker_has() -> None:
    told = Told()
    send = SendFrames(told)
    assert next(send) == FRAMES[0]
    assert list(send) == FRAMES[1:]
    assert list(send) == []
    assert (send.request_id, send.stream_id, send.failure, send.failures) == (1, 2, None, {})
    assert (send.claimed, send.closing, send.requirement, send.is_last()) == (False, None, None, True)
    claimed = SendFrames(Told())
    states = []
    for change in (claimed.claim, claimed.unclaim, claimed.claim):
        change()
        states.append(claimed.claimed)
    assert states == [True, False, True]
    assert list(claimed.claimed_frames()) == FRAMES
    claimed.sent()
