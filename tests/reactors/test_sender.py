"""The sending half of both roles: own streams, and one state machine for own actions."""

from __future__ import annotations

import pytest

from hgproto import Client, Limits, Server, parse_frame
from hgproto.errors import LocalProtocolError
from hgproto.reactors.reactor import Reactor
from hgproto.reactors.sender import Sender


@pytest.mark.parametrize(("make", "ids"), [(Server, (2, 4, 6)), (Client, (1, 3, 5))])
def test_streams_have_the_ids_of_their_role(make: type[Server | Client], ids: tuple[int, ...]) -> None:
    reactor = make(streams=3)
    assert isinstance(reactor, Sender)
    assert isinstance(reactor, Reactor)
    assert reactor.output_streams == ids
    assert tuple(reactor.snapshot().outputs) == ids
    with pytest.raises(ValueError, match="streams must be"):
        make(streams=0)


def test_what_our_side_must_not_do_is_rejected_before_a_frame_is_made() -> None:
    server = Server(limits=Limits(send_payload=4))
    with pytest.raises(LocalProtocolError, match=r"request 1, which is free \(response\.active-request\)"):
        server.respond(1, b"x")
    server.receive_frame(parse_frame("1 1 stream-begin command-name eos heads"))
    assert len(list(server.respond(1, b"12345"))) == 2
    assert server.snapshot().unsent == ()
    server.receive_data(b"\xff" * 8)
    with pytest.raises(LocalProtocolError, match=r"reactor\.errored"):
        server.respond(3, b"x")
