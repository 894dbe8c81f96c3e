"""Sends: frames in the order in which they were built, and the notifications of the reactor."""

from __future__ import annotations

import pytest

from hgproto.reactors.client import Client
from hgproto.reactors.events import SendFrames
from hgproto.reactors.limits import Limits
from hgproto.reactors.outputs import Output, Outputs
from hgproto.reactors.pool import EncodingPool
from hgproto.reactors.sending import Batch, Sending, described
from hgproto.reactors.server import Server
from hgproto.revisions.framing_0002 import codec
from hgproto.streams.encodings import Profile, default_encodings, zlib_profile

FRAMES = [codec.make_frame(1, 2, 1, 6, 0, b"a"), codec.make_frame(1, 2, 2, 6, 0, b"b")]


class Told(Sending):
    """A send of two frames, and what it has told."""

    def __init__(self, *, last: bool = True, outputs: Outputs | None = None) -> None:
        self.log: list[str] = []
        self.left = list(FRAMES)
        self.answer = last
        if outputs is None:
            outputs = Outputs(1, 2, None, Limits(), "response", self._asked, _nothing, Server()._plans)
        super().__init__(outputs, 1, outputs.first)

    def _asked(self, output: Output | None) -> bool:
        self.log.append("asked")
        return self.answer

    def _make(self) -> None:
        frame = self.left.pop(0)
        is_last = not self.left
        self.output.stream.put(frame, end=is_last and self._is_last())
        if is_last:
            self._finish()

    def _tell_made(self) -> None:
        if self._is_unmade:
            self.log.append("made")
        super()._tell_made()

    def _was_sent(self) -> None:
        self.log.append("sent")


def _nothing(request_id: int) -> None:
    """Takes what a send tells."""


def test_a_send_tells_when_its_last_frame_was_made_and_when_it_was_taken() -> None:
    told = Told()
    assert next(told) == FRAMES[0]
    assert told.log == []
    assert next(told) == FRAMES[1]
    assert told.log == ["asked", "made", "sent"]
    assert list(told) == []
    assert told.log == ["asked", "made", "sent"]
    assert repr(SendFrames(told)) == "SendFrames(request_id=1, stream_id=2)"
    assert repr(told) == "Told(request_id=1, stream_id=2)"
    assert (told.outputs.sends, told.outputs.unmade, told.output.outstanding, told.output.unmade) == ({}, 0, 0, 0)


def test_a_send_is_over_when_another_has_given_its_last_frame() -> None:
    first = Told()
    second = Told(outputs=first.outputs)
    assert next(first) == FRAMES[0]
    # Both frames of the second are in the queue before anybody takes one.
    second._make()
    second._make()
    assert [frame.payload for frame in first] == [b"a", b"b", b"b"]
    assert second.is_sent and list(second) == []


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
    assert [frame.stream_flags for frame in frames] == [1, 2 * last]
    with pytest.raises(RuntimeError, match="consumed already"):
        told.claim()
    assert told.output.claimed == 1
    told.sent()
    told.sent()
    assert told.log == ["asked", "made", "sent"]
    assert told.output.claimed == 0


def test_what_was_taken_cannot_be_made() -> None:
    told = Told()
    list(told)
    with pytest.raises(RuntimeError, match="consumed already"):
        told.claim()


def test_a_claim_that_is_taken_back_leaves_the_frames_here() -> None:
    for before in range(3):
        told = Told()
        told.claim()
        frames = told.claimed_frames()
        taken = [next(frames) for _ in range(before)]
        told.unclaim()
        assert [*taken, *told] == FRAMES
        assert told.log == ["asked", "made", "sent"]
        assert (told.outputs.sends, told.outputs.unmade, told.output.claimed) == ({}, 0, 0)


def test_a_send_hands_out_what_its_maker_has() -> None:
    told = Told()
    send = SendFrames(told)
    assert next(send) == FRAMES[0]
    assert list(send) == FRAMES[1:]
    assert list(send) == []
    assert (send.request_id, send.stream_id, send.failure, send.failures) == (1, 2, None, {})
    assert (send.claimed, send.closing, send.requirement) == (False, None, None)
    claimed = SendFrames(Told())
    states = []
    for change in (claimed.claim, claimed.unclaim, claimed.claim):
        change()
        states.append(claimed.claimed)
    assert states == [True, False, True]
    assert list(claimed.claimed_frames()) == FRAMES
    claimed.sent()


def test_a_batch_gives_one_send_after_the_other_and_cannot_be_made_elsewhere() -> None:
    first = Told(last=False)
    second = Told(outputs=first.outputs)
    send = SendFrames(Batch([first, second]))
    with pytest.raises(RuntimeError, match="several streams"):
        send.claim()
    with pytest.raises(RuntimeError, match="not claimed"):
        send.claimed_frames()
    second.failure = ValueError("x")
    assert [frame.payload for frame in send] == [b"a", b"b", b"a", b"b"]
    assert (send.request_id, send.stream_id, send.failures) == (None, None, {1: second.failure})
    assert send.failure is second.failure
    send.unclaim()
    send.sent()
    assert list(send) == []


def test_an_exception_is_described_by_its_type_and_its_text() -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert described(OSError("gone")) == "OSError: gone"
    assert described(SilentError()) == "SilentError"
    assert "found one of request 5 after it" in str(Server()._plans.too_late(5))
    assert isinstance(Told().output, Output)


def test_the_iterator_of_a_short_send_continues_after_an_exception() -> None:
    """The fast path raises because a pool has claimed the stream; later, the same iterator yields the frames."""
    server, client = Server(), Client()
    for _ in range(2):
        server.receive_data(client.issue("heads").to_bytes())
    with EncodingPool() as pool:
        pool.submit(server.respond(1, b"one"))
        frames = iter(server.respond(3, b"three"))
        for _ in range(2):
            with pytest.raises(RuntimeError, match="built elsewhere"):
                next(frames)
        assert [[bytes(frame.payload) for frame in made] for made in pool.finished()] == [[b"one"]]
        assert [bytes(frame.payload) for frame in frames] == [b"three"]
        assert list(frames) == []


def test_the_iterator_of_a_short_command_continues_after_an_exception() -> None:
    client = Client()
    with EncodingPool() as pool:
        pool.submit(client.issue("heads"))
        frames = iter(client.issue("known", {"nodes": b""}))
        with pytest.raises(RuntimeError, match="built elsewhere"):
            next(frames)
        assert [len(made) for made in pool.finished()] == [1]
        assert [frame.request_id for frame in frames] == [3, 3]
        assert list(frames) == []


class Failing:
    """An encoder that raises an exception at first."""

    def __init__(self) -> None:
        self._encoder = zlib_profile().encoder()

    def encode(self, data: bytes | memoryview) -> bytes:
        raise MemoryError("once")

    def flush(self) -> bytes:
        return self._encoder.flush()

    def finish(self) -> bytes:
        return self._encoder.finish()


@pytest.mark.parametrize("data", [b"three", [b"three"]])
def test_a_short_response_ends_with_an_error_when_its_encoder_fails(data: bytes | list[bytes]) -> None:
    zlib = zlib_profile()
    server = Server(encodings=default_encodings().plus(Profile("zlib", Failing, zlib.decoder)), encoding="zlib")
    server.receive_data(Client().issue("heads").to_bytes())
    send = server.respond(1, data)
    assert isinstance(send, SendFrames)
    frames = iter(send)
    first = []
    with pytest.raises(MemoryError):
        for frame in frames:
            first.append(frame)  # noqa: PERF402 - the exception must not lose them
    assert [int(frame.type) for frame in (*first, *frames)] == [
        codec.FrameType.STREAM_SETTINGS,
        codec.FrameType.ERROR_RESPONSE,
    ]
    assert isinstance(send.failure, MemoryError)
