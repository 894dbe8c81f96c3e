"""The receiving half of the client alone, which has no stream to send on."""

from __future__ import annotations

from hgproto import parse_frame
from hgproto.reactors.client import Client
from hgproto.reactors.events import Error, RequestError, ResponseData
from hgproto.reactors.response_receiver import ResponseReceiver
from hgproto.revisions.framing_0002.machines import ClientRequestState

RESPONSE = parse_frame("1 2 stream-begin bytes-response eos data")


class Waiting(ResponseReceiver):
    """One for which a request waits for its response."""

    def __init__(self) -> None:
        super().__init__(limits=None, encodings=None, reopen="error")
        self._move(1, None, ClientRequestState.ACTIVE)


def test_it_takes_the_response_to_a_request() -> None:
    receiver = Waiting()
    assert list(receiver.active) == [1]
    assert receiver.receive_frame(RESPONSE) == [ResponseData(1, b"data", last=True)]
    assert list(receiver.active) == []
    seen = receiver.snapshot()
    assert (seen.outputs, seen.unsent, seen.requests) == ({}, (), {})


def test_it_knows_no_request_by_itself() -> None:
    (error,) = ResponseReceiver(limits=None, encodings=None, reopen="error").receive_frame(RESPONSE)
    assert isinstance(error, Error)
    assert error.error.requirement == "response.active-request"


def test_the_end_fails_what_waits() -> None:
    failed, _ = [*Waiting().receive_end(), None]
    assert isinstance(failed, RequestError)
    assert (failed.request_id, failed.requirement) == (1, "response.complete")


def test_a_client_is_one() -> None:
    assert issubclass(Client, ResponseReceiver)
    assert not hasattr(Waiting(), "issue")
