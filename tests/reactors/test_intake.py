"""The state that reactors and generated loops share: counts, limits, and cached names."""

from __future__ import annotations

from hgproto.reactors.client import Client
from hgproto.reactors.intake import NAME_BYTES, NAMES, CommandIntake, CommandRequest, Intake, OpenValue
from hgproto.reactors.limits import Limits
from hgproto.reactors.server import Server
from hgproto.revisions.framing_0002 import codec, machines
from hgproto.wire.human import parse_frame


def test_a_reactor_shares_its_intake() -> None:
    server, client = Server(limits=Limits(arguments=7, max_payload=99), streaming=True), Client()
    assert type(server._intake) is CommandIntake
    assert type(client._intake) is Intake
    for reactor in (server, client):
        intake = reactor._intake
        assert intake.requests is reactor._requests
        assert intake.slots is reactor._slots
        assert intake.tables == (*reactor._tables.values(),)
        assert intake.max_payload == reactor.limits.max_payload
    assert (server._intake.most_arguments, server._intake.streaming) == (7, True)
    states = [one.state for one in server._intake.whole if one is not None]
    assert states == [state for state in machines.ServerRequestState if state in server._states]
    assert all(server._intake.whole[state] is one for state, one in server._states.items())


def test_it_has_the_limits_that_every_frame_is_held_against() -> None:
    limits = Limits(
        active_requests=2,
        receiving_requests=1,
        arguments=3,
        argument_value=4,
        request_bytes=5,
        buffered_bytes=6,
    )
    intake = Server(limits=limits)._intake
    assert (intake.most_active, intake.most_receiving, intake.most_arguments) == (2, 1, 3)
    assert (intake.longest_value, intake.most_bytes, intake.most_buffered) == (4, 5, 6)
    assert not intake.streaming


def test_it_counts_what_is_received() -> None:
    server = Server()
    intake = server._intake
    server.receive_frame(parse_frame("1 1 stream-begin command-name have-args x"))
    server.receive_frame(codec.make_frame(1, 1, 0, 2, 0, b"\x01\x00\x02\x00avv"))
    assert (intake.receiving, intake.refused, intake.buffered) == (1, 0, 3)
    server.receive_frame(codec.make_frame(1, 1, 0, 2, 2, b"\x01\x00\x00\x00b"))
    assert (intake.receiving, intake.refused, intake.buffered) == (0, 0, 0)


def test_names_are_remembered_within_limits() -> None:
    intake = Server()._intake
    assert intake.name_of(b"\xff") == intake.name_of(b"") == ""
    assert b"\xff" not in intake.names
    long = b"x" * (NAME_BYTES + 1)
    assert intake.name_of(long) == long.decode()
    assert long not in intake.names
    for number in range(2 * NAMES):
        assert intake.name_of(b"%d" % number) == str(number)
    assert len(intake.names) == NAMES


def test_data_of_one_part_is_not_copied() -> None:
    request = CommandRequest()
    request.data = b""
    part = b"part"
    request.keep(part)
    assert request.data is part
    request.keep(b"")
    request.keep(b"2")
    request.keep(b"3")
    assert request.data == b"part23"


def test_a_value_is_gathered() -> None:
    value = OpenValue("name", b"12", 3)
    value.data += b"3"
    assert (value.name, bytes(value.data), value.left) == ("name", b"123", 3)
