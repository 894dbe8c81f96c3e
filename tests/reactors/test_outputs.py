"""Outputs: the streams of a reactor, and the choice between them."""

from __future__ import annotations

import pytest

from hgproto.reactors.outputs import Home
from hgproto.reactors.server import Server
from hgproto.revisions.framing_0002 import codec


def asked(streams: int) -> Server:
    """A server with two requests that wait for their responses."""
    server = Server(streams=streams)
    for number, begin in ((1, 1), (3, 0)):
        server.receive_frame(codec.make_frame(number, 1, begin, 1, 1, b"x"))
    return server


def test_an_output_is_chosen_by_what_it_has_to_send() -> None:
    server = asked(2)
    outputs = server._outputs
    assert outputs.choose(None, None) is outputs.first
    server.respond(1, b"")
    second = outputs.choose(None, None)
    assert second.stream.stream_id == 4
    outputs.homes[1] = Home(outputs.first)
    assert outputs.choose(1, None) is outputs.first
    with pytest.raises(ValueError, match="there is no output stream 6; there are 2, 4"):
        outputs.choose(1, 6)
    assert outputs.others(outputs.first) == [second]
    second.claimed = 1
    assert outputs.others(outputs.first) == []


@pytest.mark.parametrize("streams", [1, 2])
def test_an_output_counts_what_was_not_made_and_what_was_not_taken(streams: int) -> None:
    server = asked(streams)
    outputs = server._outputs
    output = outputs.first
    assert (outputs.only is output) == (streams == 1)
    sends = [server.respond(number, b"r", stream_id=2) for number in (1, 3)]
    counts = [(outputs.unmade, output.unmade, output.outstanding, len(outputs.sends))]
    for send in sends:
        assert [frame.payload for frame in send] == [b"r"]
        counts.append((outputs.unmade, output.unmade, output.outstanding, len(outputs.sends)))
    assert counts == [(2, 2, 2, 2), (1, 1, 1, 1), (0, 0, 0, 0)]
    assert server.snapshot().requests == {}
