"""Events: values, and sends that report when they were built and when they were consumed."""

from __future__ import annotations

from typing import get_args

from support import SCHEMA

import hgproto
from hgproto import Client, Limits, Server, command, encode_frames, read_frames
from hgproto.language import load
from hgproto.language.names import camel
from hgproto.reactors import event_values as generated
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
    StartCommand,
    StreamLeftOpen,
    WantFrame,
)


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


def test_the_unions_are_those_of_the_schema() -> None:
    declared = load(SCHEMA / "framing-0002.yaml").events
    for role, union in (("server", events.ServerEvent), ("client", events.ClientEvent)):
        names = {camel(name) for name, event in declared.items() if event.role in (role, "both")}
        assert {kind.__name__ for kind in get_args(union)} == names
    by_hand = {camel(name) for name, event in declared.items() if event.sends}
    assert by_hand == {kind.__name__ for kind in get_args(events.Event) if kind.__module__ == events.__name__}
    assert {camel(name) for name in declared} - by_hand == set(generated.__all__)
    for name in generated.__all__:
        assert getattr(hgproto, name) is getattr(events, name) is getattr(generated, name)


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
