"""Snapshots: they show the state of a reactor, and do not change afterwards."""

from __future__ import annotations

from hgproto import Client, Limits, Server, parse_frame
from hgproto.reactors.snapshot import Snapshot
from hgproto.revisions.framing_0002.machines import (
    ClientRequestState,
    ConnectionState,
    ServerRequestState,
    StreamState,
)


def test_a_new_reactor_knows_nothing() -> None:
    for reactor, streams in ((Server(streams=2), (2, 4)), (Client(), (1,))):
        seen = reactor.snapshot()
        assert isinstance(seen, Snapshot)
        assert (seen.connection, seen.ended, seen.requests, seen.inputs) == (ConnectionState.WORKING, False, {}, {})
        assert seen.outputs == dict.fromkeys(streams, StreamState.CLOSED)
        assert seen.unsent == ()
        assert set(seen.counters.values()) == {0}
        assert {*seen.counters} - {"received"} <= {*Limits.__slots__}
        assert seen.limits is reactor.limits


def test_a_snapshot_has_the_states_of_requests_and_streams_and_stays_as_it_is() -> None:
    server = Server()
    server.receive_frame(parse_frame("1 1 stream-begin command-name eos heads"))
    server.receive_frame(parse_frame("3 1 0 command-name have-data unbundle"))
    server.receive_frame(parse_frame("3 1 0 command-data continuation 12345"))
    send = server.respond(1, b"response")
    seen = server.snapshot()
    assert seen.requests == {1: ServerRequestState.RESPONDING, 3: ServerRequestState.RECEIVING_DATA}
    assert seen.inputs == {1: StreamState.OPEN}
    assert seen.unsent == (1,)
    assert seen.counters == {
        "active_requests": 2,
        "receiving_requests": 1,
        "buffered_bytes": 5,
        "open_streams": 1,
        "received": 3 * 8 + 5 + 8 + 5,
    }
    assert server.request_state(3) is ServerRequestState.RECEIVING_DATA
    assert server.request_state(5) is ServerRequestState.NONE
    assert (server.stream_state(1), server.stream_state(3)) == (StreamState.OPEN, StreamState.CLOSED)
    assert len(list(send)) == 1
    server.receive_end()
    assert seen.requests[1] is ServerRequestState.RESPONDING
    after = server.snapshot()
    assert (after.ended, after.unsent, after.outputs) == (True, (3,), {2: StreamState.OPEN})
    assert after != seen


def test_a_refused_request_is_not_active() -> None:
    server = Server(limits=Limits(active_requests=1))
    server.receive_frame(parse_frame("1 1 stream-begin command-name eos heads"))
    server.receive_frame(parse_frame("3 1 0 command-name have-data unbundle"))
    seen = server.snapshot()
    assert seen.requests == {1: ServerRequestState.ACTIVE, 3: ServerRequestState.REFUSING}
    assert seen.counters["active_requests"] == 1


def test_a_client_shows_its_requests() -> None:
    client = Client()
    send = client.issue("heads")
    assert client.snapshot().requests == {1: ClientRequestState.SENDING}
    assert client.snapshot().unsent == (1,)
    assert len(list(send)) == 1
    assert client.snapshot().requests == {1: ClientRequestState.ACTIVE}
    client.receive_data(b"\xff" * 8)
    seen = client.snapshot()
    assert (seen.connection, seen.requests) == (ConnectionState.ERRORED, {})
