"""Streams on threads: order, failures, and the same results as without threads."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import cuts

from hgproto.errors import DecodingError, LocalProtocolError
from hgproto.reactors.client import Client
from hgproto.reactors.events import Error, RequestError, ResponseData, RunCommand, SendFrames, StreamLeftOpen
from hgproto.reactors.lanes import BATCH
from hgproto.reactors.limits import Limits
from hgproto.reactors.pool import DecodingPool, EncodingPool
from hgproto.reactors.server import Server
from hgproto.revisions.framing_0002 import codec
from hgproto.streams.encodings import Profile, default_encodings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hgproto.runtime.frame import Frame

NAMES = list(default_encodings())


def asked(count: int, **options: Any) -> tuple[Client, Server]:
    """Both sides of a connection on which some requests wait for their response."""
    limits = Limits(active_requests=32768, send_payload=64)
    client, server = Client(limits=limits), Server(limits=limits, **options)
    for _ in range(count):
        for frame in client.issue("x"):
            server.receive_frame(frame)
    return client, server


def submit(pool: EncodingPool, send: Any) -> None:
    assert isinstance(send, SendFrames)
    pool.submit(send)


def body(request_id: int) -> bytes:
    return b"%d." % request_id * (request_id * 7 % 90)


@pytest.mark.parametrize("encoding", [None, *NAMES])
@pytest.mark.parametrize("workers", [1, 3])
def test_responses_arrive_whole_and_all_streams_end(encoding: str | None, workers: int) -> None:
    client, server = asked(200, encoding=encoding, streams=3)
    server.receive_end()
    with EncodingPool(workers) as pool:
        for request_id in client.active:
            if request_id % 4 == 1:
                submit(pool, server.send_text(request_id, [("hello\n", (), ())]))
            submit(pool, server.respond(request_id, body(request_id) if request_id % 3 else iter([body(request_id)])))
        assert pool.outstanding == 300
        frames = [frame for made in pool.finished() for frame in made]
    assert pool.outstanding == 0
    got: dict[int, bytes] = {}
    texts = 0
    for frame in frames:
        for event in client.receive_frame(frame):
            if isinstance(event, ResponseData):
                got[event.request_id] = got.get(event.request_id, b"") + event.data
            else:
                texts += 1
    assert got == {request_id: body(request_id) for request_id in range(1, 401, 2)}
    # One message for each that was sent, and one that says nothing for each stream but the last to be closed.
    assert texts == 102
    assert client.receive_end() == []
    assert server.snapshot().requests == {}


def test_the_frames_of_a_stream_keep_the_order_of_their_sends() -> None:
    client, server = asked(5 * BATCH, streams=2)
    with EncodingPool() as pool:
        for request_id in client.active:
            submit(pool, server.respond(request_id, b"x", stream_id=2 if request_id % 6 == 1 else 4))
        order: dict[int, list[int]] = {2: [], 4: []}
        for made in pool.finished():
            order[made[0].stream_id].append(made[0].request_id)
    assert order[2] == sorted(order[2])
    assert order[4] == sorted(order[4])
    assert len(order[2]) + len(order[4]) == 5 * BATCH


def test_what_is_ready_is_given_without_waiting() -> None:
    gate = threading.Event()

    def slow() -> Iterator[bytes]:
        gate.wait(10)
        yield b"slow"

    _, server = asked(2, streams=2)
    with EncodingPool(2) as pool:
        assert list(pool.finished(wait=False)) == []
        submit(pool, server.respond(1, slow(), stream_id=2))
        submit(pool, server.respond(3, b"fast", stream_id=4))
        (first, *_) = next(pool.finished())
        assert first.request_id == 3
        assert list(pool.finished(wait=False)) == []
        gate.set()
        assert [made[0].request_id for made in pool.finished()] == [1]


def test_what_a_response_raises_is_told_to_the_client() -> None:
    def broken() -> Iterator[bytes]:
        yield b"part"
        raise OSError("disk gone")

    client, server = asked(1, encoding="zlib")
    with EncodingPool() as pool:
        send = server.respond(1, broken())
        submit(pool, send)
        frames = [frame for made in pool.finished() for frame in made]
    assert isinstance(send, SendFrames)
    assert isinstance(send.failure, OSError)
    *_, event = (event for frame in frames for event in client.receive_frame(frame))
    assert event == RequestError(1, "OSError: disk gone", 4)


class Unusable:
    """An encoder that fails."""

    def encode(self, data: bytes | memoryview) -> bytes:
        raise ZeroDivisionError

    def flush(self) -> bytes:
        return b""

    def finish(self) -> bytes:
        return b""


def test_what_making_frames_raises_is_raised_to_the_writer() -> None:
    profile = Profile("unusable", Unusable, default_encodings()["identity"].decoder)
    _, server = asked(1, encoding="unusable", encodings=default_encodings().plus(profile))
    with EncodingPool() as pool:
        submit(pool, server.respond(1, b"x"))
        finished = pool.finished()
        # The response has its end, which the encoder is not needed for.
        assert [frame.type for frame in next(finished)] == [
            codec.FrameType.STREAM_SETTINGS,
            codec.FrameType.ERROR_RESPONSE,
        ]
        with pytest.raises(ZeroDivisionError):
            next(finished)
        assert list(pool.finished()) == []
    assert server.snapshot().requests == {}


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), SystemExit(1), GeneratorExit()], ids=repr)
def test_a_response_that_is_interrupted_on_its_thread_has_an_end(failure: BaseException) -> None:
    def interrupted() -> Iterator[bytes]:
        yield b"part"
        raise failure

    client, server = asked(2, encoding="zlib")
    events: list[Any] = []
    raised: list[BaseException] = []
    with EncodingPool() as pool:
        pool.submit(server.respond(1, interrupted()))
        pool.submit(server.respond(3, b"whole"))
        while pool.outstanding or not raised:
            try:
                for made in pool.finished():
                    events += [event for frame in made for event in client.receive_frame(frame)]
            except BaseException as error:
                raised.append(error)
    assert raised == [failure]
    assert RequestError(1, "the server could not complete the response", 4) in events
    assert events[-1] == ResponseData(3, b"whole", last=True)
    assert client.active == ()
    assert server.snapshot().requests == {}


@pytest.mark.parametrize("own", [True, False])
def test_nothing_is_submitted_to_a_closed_pool(own: bool) -> None:
    client, server = asked(2)
    with ThreadPoolExecutor(1) as executor:
        pool = EncodingPool(executor=None if own else executor)
        pool.submit(server.respond(1, b"before"))
        pool.close()
        pool.close()
        send = server.respond(3, b"after")
        with pytest.raises(RuntimeError, match="the pool is closed"):
            pool.submit(send)
        # The work from before is there, and the other send is as it was.
        frames = [frame for made in pool.finished() for frame in made]
        assert pool.outstanding == 0
        frames += send
    assert [event for frame in frames for event in client.receive_frame(frame)] == [
        ResponseData(1, b"before", last=True),
        ResponseData(3, b"after", last=True),
    ]


def test_an_executor_that_is_shut_down_refuses_a_send_and_nothing_waits_for_it() -> None:
    client, server = asked(1)
    executor = ThreadPoolExecutor(1)
    with EncodingPool(executor=executor) as pool:
        executor.shutdown()
        send = server.respond(1, b"x")
        for _ in range(2):
            with pytest.raises(RuntimeError, match="after shutdown"):
                pool.submit(send)
        assert list(pool.finished()) == []
        assert [event for frame in send for event in client.receive_frame(frame)] == [ResponseData(1, b"x", last=True)]


def refuses() -> None:
    raise OSError("no thread can start")


@pytest.mark.parametrize("broken", [False, True])
def test_work_that_an_executor_drops_is_told_and_can_be_done_here(broken: bool) -> None:
    gate, running = threading.Event(), threading.Event()

    def held() -> None:
        running.set()
        gate.wait(10)

    client, server = asked(3, streams=3)
    executor = ThreadPoolExecutor(1, initializer=refuses if broken else None)
    sends = [server.respond(request_id, b"%d" % request_id) for request_id in (1, 3, 5)]
    with EncodingPool(executor=executor) as pool:
        if not broken:
            executor.submit(held)
            running.wait(10)
        submitted = []
        for send in sends:
            try:
                pool.submit(send)
            except RuntimeError:  # a broken executor is known as such at some time
                continue
            submitted.append(send)
        if broken:
            assert submitted
        else:
            executor.shutdown(wait=False, cancel_futures=True)
        raised = 0
        while pool.outstanding:
            with pytest.raises((CancelledError, RuntimeError)):
                list(pool.finished())
            raised += 1
        assert raised == len(submitted)
        gate.set()
        assert list(pool.finished()) == []
    events = [event for send in sends for frame in send for event in client.receive_frame(frame)]
    assert events == [ResponseData(request_id, b"%d" % request_id, last=True) for request_id in (1, 3, 5)]
    assert server.snapshot().requests == {}
    executor.shutdown()


def test_what_a_deferring_server_gives_can_be_submitted() -> None:
    client, server = asked(3, defer=True, streams=2)
    with EncodingPool() as pool:
        for request_id in client.active:
            pool.submit(server.send_text(request_id, [("hello\n", (), ())]))
            pool.submit(server.respond(request_id, body(request_id)))
        assert pool.outstanding == 0
        assert list(pool.finished()) == []
        for event in server.receive_end():
            if isinstance(event, SendFrames):
                pool.submit(event)
        frames = [frame for made in pool.finished() for frame in made]
    events = [event for frame in frames for event in client.receive_frame(frame)]
    assert sorted(event.request_id for event in events if isinstance(event, ResponseData) and event.last) == [1, 3, 5]
    assert client.active == ()
    assert client.receive_end() == []


def test_frames_that_were_given_count_as_sent_though_nobody_asks_for_more() -> None:
    _, server = asked(2, streams=2)
    with EncodingPool() as pool:
        pool.submit(server.respond(1, b"x"))
        pool.submit(server.respond(3, b"y"))
        given = next(pool.finished())
        assert given[0].request_id not in server.snapshot().requests
        assert len(server.snapshot().requests) == 1
        assert len(list(pool.finished())) == 1
    assert server.snapshot().requests == {}


@pytest.mark.requirement("stream.end")
def test_what_comes_last_is_given_though_finished_is_called_for_each() -> None:
    client, server = asked(3, encoding="zlib", streams=3)
    server.receive_end()
    frames: list[Frame] = []
    with EncodingPool() as pool:
        for place, request_id in enumerate(client.active):
            pool.submit(server.respond(request_id, b"x", stream_id=2 + 2 * (place % 2)))
        while pool.outstanding:
            frames += next(pool.finished())
    events = [event for frame in frames for event in client.receive_frame(frame)]
    assert sorted(event.request_id for event in events if isinstance(event, ResponseData)) == [1, 3, 5]
    assert client.receive_end() == []


def test_a_pool_is_closed_by_an_exception_and_its_work_is_done() -> None:
    _, server = asked(2)
    with pytest.raises(ZeroDivisionError), EncodingPool() as pool:
        pool.submit(server.respond(1, b"x"))
        raise ZeroDivisionError
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(server.respond(3, b"y"))
    assert len(list(pool.finished())) == 1


def test_what_is_on_several_streams_has_no_thread() -> None:
    client = Client(buffered=True)
    with EncodingPool() as pool, pytest.raises(ValueError, match="for several streams"):
        pool.submit(client.flush())


def test_the_threads_of_an_executor_that_is_given_stay() -> None:
    with ThreadPoolExecutor(1) as executor:
        _, server = asked(1)
        with EncodingPool(executor=executor) as pool:
            submit(pool, server.respond(1, b"x"))
            assert len(list(pool.finished())) == 1
        assert executor.submit(lambda: 5).result() == 5


@pytest.mark.requirement("request.command-expected")
def test_an_error_comes_after_what_was_submitted() -> None:
    client, server = asked(2, encoding="zlib")
    with EncodingPool() as pool:
        submit(pool, server.respond(1, b"submitted"))
        server.respond(3, b"ready")
        (error,) = server.receive_frame(codec.make_frame(7, 1, 0, codec.FrameType.COMMAND_DATA, 2, b""))
        assert isinstance(error, Error)
        frames = [frame for made in pool.finished() for frame in made] + list(error.frames)
    events = [event for frame in frames for event in client.receive_frame(frame)]
    assert [type(event).__name__ for event in events] == ["ResponseData", "ResponseData", "PeerError"]
    assert client.receive_end() == []


# Decoding


def test_a_closed_pool_takes_no_bytes_and_gives_what_waits() -> None:
    client, frames = exchanged("zlib", 2)
    alone, _ = exchanged("zlib", 2)
    wanted = [event for frame in frames[:20] for event in alone.receive_frame(frame)] + alone.receive_end()
    pool = DecodingPool(client, ahead=1000)
    found = [event for frame in frames[:20] for event in pool.receive_frame(frame)]
    pool.close()
    with pytest.raises(RuntimeError, match="the pool is closed"):
        pool.receive_data(b"")
    with pytest.raises(RuntimeError, match="the pool is closed"):
        pool.receive_frame(frames[20])
    assert told(found + pool.receive_end()) == told(wanted)


@pytest.mark.parametrize("cancelled", [False, True])
def test_frames_are_decoded_though_their_executor_is_shut_down(cancelled: bool) -> None:
    gate, running = threading.Event(), threading.Event()

    def held() -> None:
        running.set()
        gate.wait(10)

    client, frames = exchanged("zlib", 2)
    alone, _ = exchanged("zlib", 2)
    wanted = [event for frame in frames for event in alone.receive_frame(frame)] + alone.receive_end()
    executor = ThreadPoolExecutor(1)
    if cancelled:
        executor.submit(held)
        running.wait(10)
    with DecodingPool(client, executor=executor, ahead=1000) as pool:
        found = [event for frame in frames[:20] for event in pool.receive_frame(frame)]
        executor.shutdown(wait=not cancelled, cancel_futures=cancelled)
        gate.set()
        found += [event for frame in frames[20:] for event in pool.receive_frame(frame)]
        assert told(found + pool.receive_end()) == told(wanted)
    executor.shutdown()


def exchanged(encoding: str | None, streams: int) -> tuple[Client, list[Frame]]:
    """A client that has asked, and the frames of the answers over some streams, taken in turns."""
    client, server = asked(30, encoding=encoding, streams=streams)
    sends = []
    for place, request_id in enumerate(client.active):
        send = server.respond(request_id, body(request_id), stream_id=2 + 2 * (place % streams))
        assert isinstance(send, SendFrames)
        sends.append(send)
    server.receive_end()
    return client, [frame for send in sends for frame in send]


def told(events: list[Any]) -> list[str]:
    return [f"{event!r} {event.error}" if isinstance(event, Error) else repr(event) for event in events]


@pytest.mark.parametrize("encoding", [None, *NAMES])
@settings(max_examples=25)
@given(data=st.data())
def test_events_are_as_without_threads(encoding: str | None, data: st.DataObject) -> None:
    client, frames = exchanged(encoding, 3)
    raw = b"".join(map(codec.encode_frame, frames))
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw = raw[:at] + bytes([raw[at] ^ data.draw(st.integers(1, 255))]) + raw[at + 1 :]
    if data.draw(st.booleans()):
        raw = raw[: data.draw(st.integers(0, len(raw)))]
    alone, _ = exchanged(encoding, 3)
    wanted = alone.receive_data(raw)
    ended = alone.receive_end()
    with DecodingPool(client, workers=2, ahead=data.draw(st.integers(0, 8))) as pool:
        found = [event for chunk in data.draw(cuts(raw)) for event in pool.receive_data(chunk)]
        found += pool.receive_end()
    # Whoever feeds one piece is told once that the connection has failed, and who feeds more is told so each time.
    shown = [line for line in told(found) if "(reactor.errored)" not in line]
    assert shown == [line for line in told(wanted + ended) if "(reactor.errored)" not in line]


def test_a_user_s_profile_is_decoded_on_threads_too() -> None:
    names: set[str] = set()

    class Decoder:
        def decode(self, data: bytes, limit: int) -> bytes:
            names.add(threading.current_thread().name)
            return data

        def finish(self) -> None:
            pass

    known = default_encodings().plus(Profile("own", default_encodings()["identity"].encoder, Decoder))
    limits = Limits(send_payload=64)
    client, server = Client(encodings=known, limits=limits), Server(encodings=known, encoding="own", limits=limits)
    for frame in client.issue("x"):
        server.receive_frame(frame)
    with DecodingPool(client) as pool:
        events = [event for frame in server.respond(1, b"data") for event in pool.receive_frame(frame)]
        events += pool.receive_end()
    assert events[0] == ResponseData(1, b"data", last=True)
    assert all(name.startswith("hgproto-stream") for name in names)
    assert names


@pytest.mark.requirement("encoding.decodable")
@pytest.mark.parametrize("failing", ["made", "decode", "finish", "type"])
def test_what_a_decoder_raises_by_mistake_fails_the_connection_as_without_threads(failing: str) -> None:
    class Decoder:
        def __init__(self) -> None:
            self.fail("made")

        def fail(self, where: str) -> None:
            if where == failing:
                raise ZeroDivisionError

        def decode(self, data: bytes, limit: int) -> bytes:
            self.fail("decode")
            return cast("bytes", "text") if failing == "type" else data

        def finish(self) -> None:
            self.fail("finish")

    known = default_encodings().plus(Profile("own", default_encodings()["identity"].encoder, Decoder))
    server = Server(encodings=known, encoding="own")
    list(server.receive_data(bytes_of(Client().issue("x"))))
    server.receive_end()
    wire = bytes_of(server.respond(1, b"data"))
    for pooled in (False, True):
        client = Client(encodings=known)
        list(client.issue("x"))
        receiver = DecodingPool(client) if pooled else client
        error = [*receiver.receive_data(wire), *receiver.receive_end()][-1]
        assert isinstance(error, Error)
        assert (error.error.requirement, error.error.offset) == ("encoding.decodable", 20)
        assert type(error.error.__cause__) is (TypeError if failing == "type" else ZeroDivisionError)
        assert not client.works


@pytest.mark.requirement("encoding.decodable", "encoding.decoded-limit")
def test_a_decoder_that_has_failed_is_not_used_again() -> None:
    calls: list[bytes] = []

    class Decoder:
        def decode(self, data: bytes, limit: int) -> bytes:
            calls.append(data)
            raise DecodingError("undecodable", 0, "other bytes", "these")

        def finish(self) -> None:
            calls.append(b"finish")

    known = default_encodings().plus(Profile("own", default_encodings()["identity"].encoder, Decoder))
    server = Server(encodings=known, encoding="own", limits=Limits(send_payload=2))
    list(server.receive_data(bytes_of(Client().issue("x"))))
    server.receive_end()
    wire = bytes_of(server.respond(1, b"data of some frames"))
    client = Client(encodings=known)
    list(client.issue("x"))
    with ThreadPoolExecutor(1) as executor:
        gate = threading.Event()
        executor.submit(gate.wait, 10)
        pool = DecodingPool(client, executor=executor)
        events = pool.receive_data(wire)
        assert events == []
        gate.set()
        events += pool.receive_end()
    assert calls == [b"da"]
    assert [type(event) for event in events] == [RequestError, Error]


# After a violation


def bytes_of(send: Any) -> bytes:
    return b"".join(map(codec.encode_frame, send))


@pytest.mark.requirement("request-id.parity", "reactor.errored")
@pytest.mark.parametrize("cut", [8, 16, 24, 32, 40])
@pytest.mark.parametrize("ahead", [0, 2, 64])
@pytest.mark.parametrize("junk", [b"", b"\xff" * 8])
def test_a_violation_is_one_error_and_the_last_event(cut: int, ahead: int, junk: bytes) -> None:
    wire = bytes.fromhex("0000000200010111" + "0000000100010011" * 3) + junk
    events = DecodingPool(Server(), ahead=ahead).receive_data(wire[:cut])
    alone = Server().receive_data(wire[:cut])
    assert told(events) == told(alone)
    (error,) = events
    assert isinstance(error, Error)
    assert [frame.type for frame in error.frames] == [codec.FrameType.ERROR_RESPONSE]


@pytest.mark.requirement("request-id.parity", "reactor.errored")
def test_frames_that_waited_when_the_connection_failed_are_neither_decoded_nor_reported() -> None:
    decoded: list[bytes] = []

    class Decoder:
        def decode(self, data: bytes, limit: int) -> bytes:
            decoded.append(data)
            return data

        def finish(self) -> None:
            pass

    known = default_encodings().plus(Profile("own", default_encodings()["identity"].encoder, Decoder))
    server = Server(encodings=known, encoding="own")
    list(server.receive_data(bytes_of(Client().issue("x"))))
    sent = list(server.respond(1, iter([b"data"] * 50)))
    client = Client(encodings=known)
    list(client.issue("x"))
    gate = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        pool = DecodingPool(client, executor=executor, ahead=1000)
        executor.submit(gate.wait, 10)
        events = pool.receive_frame(sent[0])
        # The frame without encoding fails the connection when its turn comes, which is at once.
        events += pool.receive_frame(codec.make_frame(2, 2, 0, codec.FrameType.BYTES_RESPONSE, 2, b""))
        for frame in sent[1:]:
            events += pool.receive_frame(frame)
        gate.set()
    assert [type(event) for event in events[:2]] == [RequestError, Error]
    assert {str(event.error.requirement) for event in events[2:] if isinstance(event, Error)} == {"reactor.errored"}
    assert decoded == []


def test_nothing_is_received_after_the_end_of_input() -> None:
    pool = DecodingPool(Server())
    assert pool.receive_end() == []
    with pytest.raises(ValueError, match="the input has ended"):
        pool.receive_data(b"garbage")
    with pytest.raises(ValueError, match="the input has ended"):
        pool.receive_frame(codec.make_frame(1, 1, 1, 1, 1, b"x"))
    assert pool.receive_end() == []


def test_frames_are_what_they_were_when_they_were_received() -> None:
    gate = threading.Event()
    events: list[Any] = []
    with ThreadPoolExecutor(1) as executor:
        executor.submit(gate.wait, 10)
        pool = DecodingPool(Server(), executor=executor)
        for frame in Client(encoding="zlib").issue("x", {"k": b"value"}, b"data"):
            payload = bytearray(frame.payload)
            events += pool.receive_frame(frame.replace(payload=payload))
            payload[:] = b"Z" * len(payload)
        gate.set()
        events += pool.receive_end()
    assert RunCommand(1, "x", {"k": b"value"}, b"data") in events


def test_what_is_no_frame_is_raised_to_who_feeds_it_and_loses_nothing() -> None:
    gate = threading.Event()
    first, *rest = Client(encoding="zlib").issue("x")
    with ThreadPoolExecutor(1) as executor:
        executor.submit(gate.wait, 10)
        pool = DecodingPool(Server(), executor=executor)
        events = pool.receive_frame(first)
        for frame in rest:
            events += pool.receive_frame(frame)
        with pytest.raises(LocalProtocolError):
            pool.receive_frame(rest[0].replace(request_id=1 << 16))
        gate.set()
        events += pool.receive_end()
    assert RunCommand(1, "x", {}, None) in events


def test_a_failure_of_our_own_data_is_told_though_nothing_comes() -> None:
    class Broken:
        def read(self, size: int) -> bytes:
            raise OSError("disk gone")

    client, broken = Client(), cast("BinaryIO", Broken())
    list(client.issue("x", data=broken))
    with DecodingPool(client) as pool:
        (event,) = pool.receive_data(b"")
        assert isinstance(event, RequestError)
        assert (event.request_id, event.requirement) == (1, "request.complete")
        assert pool.receive_data(b"") == []
        assert pool.receive_end() == []


@pytest.mark.requirement("frame.length-limit")
def test_bytes_that_are_no_frame_fail_the_connection() -> None:
    _, server = asked(0)
    with DecodingPool(server) as pool:
        (error,) = pool.receive_data(b"\xff\xff\xff\x01\x00\x01\x01\x11")
        assert isinstance(error, Error)
        assert error.error.requirement == "frame.length-limit"
        assert [frame.type for frame in error.frames] == [codec.FrameType.ERROR_RESPONSE]
        assert pool.receive_end() == []


class Hesitant:
    """A file that has nothing yet before each of its parts."""

    def __init__(self, parts: list[bytes]) -> None:
        self.given: list[bytes | None] = [given for part in parts for given in (None, part)]

    def read(self, size: int) -> bytes | None:
        return self.given.pop(0) if self.given else b""


class Broken:
    """A file that cannot be read."""

    def read(self, size: int) -> bytes:
        raise OSError("gone")


def finished(pool: EncodingPool, *, wait: bool = True) -> tuple[list[Frame], int]:
    """All frames of a pool, and how many pauses they took."""
    frames: list[Frame] = []
    pauses = 0
    while pool.outstanding:
        try:
            for made in pool.finished(wait=wait):
                frames += made
        except BlockingIOError:
            pauses += 1
    return frames, pauses


@pytest.mark.parametrize("encoding", [None, "zlib"])
@pytest.mark.parametrize("wait", [True, False])
def test_a_stream_pauses_while_a_file_has_nothing_yet(encoding: str | None, wait: bool) -> None:
    client, server = asked(6, encoding=encoding, streams=2)
    server.receive_end()
    parts = [b"a" * 100, b"b", b"c" * 40]
    with EncodingPool(2) as pool:
        files = {3: Hesitant(parts), 7: Hesitant(parts)}
        for request_id in client.active:
            # The requests on the first stream wait for the file of the second of them.
            data: Any = files.get(request_id) or body(request_id)
            submit(pool, server.respond(request_id, data, stream_id=2 if request_id < 7 else 4))
        # How often both streams pause at once, so that the pool has nothing to give, is a matter of time.
        frames, _ = finished(pool, wait=wait)
    assert [file.given for file in files.values()] == [[], []]
    got = dict.fromkeys(client.active, b"")
    for frame in frames:
        for event in client.receive_frame(frame):
            if isinstance(event, ResponseData):
                got[event.request_id] += event.data
    whole = b"".join(parts)
    assert got == {key: whole if key in (3, 7) else body(key) for key in got}
    assert client.receive_end() == []
    assert server.snapshot().requests == {}


def test_a_pause_is_raised_once_everything_else_is_given() -> None:
    _, server = asked(3, streams=2)
    with EncodingPool(1) as pool:
        submit(pool, server.respond(1, Hesitant([b"a"]), stream_id=2))
        submit(pool, server.respond(3, b"b", stream_id=2))
        submit(pool, server.respond(5, b"c", stream_id=4))
        given = pool.finished()
        assert [frame.request_id for frame in next(given)] == [5]
        with pytest.raises(BlockingIOError, match="no bytes yet"):
            next(given)
        assert pool.outstanding == 2
        assert [made[0].request_id for made in pool.finished()] == [1, 3]


def test_a_command_pauses_too_and_its_request_goes_on() -> None:
    client, server = Client(limits=Limits(send_payload=64)), Server()
    with EncodingPool() as pool:
        send = client.issue("unbundle", data=cast("BinaryIO", Hesitant([b"a" * 30, b"b" * 20])))
        submit(pool, send)
        frames, pauses = finished(pool)
    assert pauses == 2
    assert isinstance(send, SendFrames)
    assert send.failure is None
    (command,) = (event for frame in frames for event in server.receive_frame(frame) if isinstance(event, RunCommand))
    assert command.data == b"a" * 30 + b"b" * 20
    assert client.active == (1,)


def test_a_send_that_pauses_goes_on_once_the_pool_is_closed() -> None:
    client, server = asked(2)
    sends = [server.respond(1, Hesitant([b"a" * 100, b"b"])), server.respond(3, b"c")]
    with EncodingPool() as pool:
        for send in sends:
            submit(pool, send)
        for _ in range(2):
            with pytest.raises(BlockingIOError):
                list(pool.finished())
    frames, _ = finished(pool)
    assert pool.outstanding == 0
    got = [event for frame in frames for event in client.receive_frame(frame)]
    assert b"".join(event.data for event in got if isinstance(event, ResponseData)) == b"a" * 100 + b"bc"
    assert client.active == ()


@pytest.mark.requirement("request.command-expected")
def test_an_error_waits_for_no_file_that_has_nothing_yet() -> None:
    client, server = asked(2)
    sends = [server.respond(1, Paused()), server.respond(3, b"ready")]
    with EncodingPool() as pool:
        for send in sends:
            submit(pool, send)
        with pytest.raises(BlockingIOError):
            list(pool.finished())
        (error,) = server.receive_frame(codec.make_frame(9, 1, 0, codec.FrameType.COMMAND_DATA, 2, b""))
        assert isinstance(error, Error)
        frames = [frame for made in pool.finished() for frame in made] + list(error.frames)
    events = [event for frame in frames for event in client.receive_frame(frame)]
    assert [(event.request_id, event.data) for event in events if isinstance(event, ResponseData)] == [(3, b"ready")]
    assert type(events[-1]).__name__ == "PeerError"
    assert server.snapshot().unsent == ()


class Paused:
    """A file that does not block and has nothing."""

    def read(self, size: int, /) -> bytes | None:
        return None


def test_an_argument_of_a_wrong_type_loses_no_event() -> None:
    client = Client()
    with DecodingPool(client) as pool:
        list(client.issue("x", data=cast("BinaryIO", Broken())))
        for wrong in ("text", 5, None):
            with pytest.raises(TypeError, match="must be bytes"):
                pool.receive_data(wrong)  # type: ignore[arg-type]
        (event,) = pool.receive_data(b"")
    assert isinstance(event, RequestError)


class Limited:
    """An encoder that fails at the ``good``-th call that has data, and then for good."""

    good = 0

    def __init__(self) -> None:
        self._calls = 0

    def encode(self, data: bytes | memoryview) -> bytes:
        self._calls += 1
        if self._calls > self.good:
            raise MemoryError("no room")
        return bytes(data)

    def flush(self) -> bytes:
        return b""

    finish = flush


class LimitedOnce(Limited):
    """An encoder that fails at the second call."""

    good = 1


class Selective(Limited):
    """An encoder that fails at a certain letter."""

    def encode(self, data: bytes | memoryview) -> bytes:
        if b"y" in bytes(data):
            raise MemoryError("no room")
        return bytes(data)


LIMITED = default_encodings().plus(
    *(
        Profile(kind.__name__.lower(), kind, default_encodings()["identity"].decoder)
        for kind in (Limited, LimitedOnce, Selective)
    )
)


def failing_session(encoding: str, count: int, **options: Any) -> tuple[Client, Server]:
    """Both sides of a connection on which some requests wait, and the server's encoder fails."""
    limits = Limits(send_payload=64)
    client = Client(limits=limits, encodings=LIMITED)
    server = Server(limits=limits, encodings=LIMITED, encoding=encoding, **options)
    for _ in range(count):
        for frame in client.issue("x"):
            server.receive_frame(frame)
    return client, server


def all_of(frames: Iterable[Frame] | Iterable[list[Frame]]) -> list[Frame]:
    """All frames, whatever is raised meanwhile."""
    taken: list[Frame] = []
    for _ in range(20):
        try:
            for one in frames:
                taken += one if isinstance(one, list) else [one]
        except BaseException as error:
            assert isinstance(error, MemoryError | KeyboardInterrupt)
    return taken


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("defer", [False, True])
@pytest.mark.parametrize("encoding", ["limited", "limitedonce"])
@pytest.mark.parametrize("size", [3, 1000])
def test_streams_whose_encoder_failed_begin_with_their_beginning(
    threads: bool, defer: bool, encoding: str, size: int
) -> None:
    client, server = failing_session(encoding, 4, streams=3, defer=defer)
    sends: list[Any] = []
    if defer:
        for request_id in client.active:
            server.respond(request_id, b"x" * size)
        sends += [event for event in server.receive_end() if isinstance(event, SendFrames)]
    else:
        server.receive_end()
        sends += [server.respond(request_id, b"x" * size) for request_id in client.active]
    frames: list[Frame] = []
    if threads:
        with EncodingPool(2) as pool:
            for send in sends:
                pool.submit(send)
            while pool.outstanding:
                frames += all_of(pool.finished())
    else:
        for send in sends:
            frames += all_of(send)
    events = [event for frame in frames for event in client.receive_frame(frame)]
    assert len([event for event in events if isinstance(event, RequestError | ResponseData)]) >= 4
    assert not [event for event in events if isinstance(event, Error)]
    # Nothing is sent on a stream that can no longer be closed but what has a purpose.
    assert not [frame for frame in frames if frame.type == codec.FrameType.TEXT_OUTPUT]
    assert client.active == ()
    assert server.snapshot().requests == {}


@pytest.mark.parametrize("threads", [False, True])
def test_the_other_streams_are_closed_though_the_last_response_has_failed(threads: bool) -> None:
    client, server = failing_session("selective", 3, streams=2)
    frames = all_of(server.respond(1, b"x", stream_id=4))
    frames += all_of(server.respond(3, b"x", stream_id=2))
    server.receive_end()
    send = server.respond(5, b"y", stream_id=2)
    if threads:
        with EncodingPool(1) as pool:
            submit(pool, send)
            while pool.outstanding:
                frames += all_of(pool.finished())
    else:
        frames += all_of(send)
    events = [event for frame in frames for event in client.receive_frame(frame)]
    assert RequestError(5, "MemoryError: no room", 0) in events
    # Stream 2 cannot be closed: the end of its encoding cannot be made.
    assert client.receive_end() == [StreamLeftOpen(2)]


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("encoding", ["limited", "limitedonce"])
@pytest.mark.parametrize("words", [False, True])
def test_a_response_ends_whatever_fails_after_each_other(threads: bool, encoding: str, words: bool) -> None:
    def torn() -> Iterator[bytes]:
        yield b"some"
        raise KeyboardInterrupt if not words else OSError("torn")

    def describe(error: Exception) -> str:
        raise KeyboardInterrupt

    client, server = failing_session(encoding, 1, describe=describe)
    send = server.respond(1, torn())
    assert isinstance(send, SendFrames)
    if threads:
        with EncodingPool(1) as pool:
            pool.submit(send)
            frames = all_of(pool.finished())
            assert pool.outstanding == 0
    else:
        frames = all_of(send)
    *_, event = [event for frame in frames for event in client.receive_frame(frame)]
    assert isinstance(event, RequestError)
    assert client.active == ()
    assert server.snapshot().requests == {}


HEADS = codec.encode_frame(codec.make_frame(1, 1, 1, 1, 1, b"heads"))
BAD = bytes.fromhex("ffffff0300010111")


@pytest.mark.requirement("frame.length-limit", "frame.whole")
@pytest.mark.parametrize("end", [BAD, HEADS[:5]], ids=["too long", "cut"])
@pytest.mark.parametrize("before", [b"", HEADS, HEADS[:5], HEADS[:10]], ids=len)
@pytest.mark.parametrize("by_frame", [True, False], ids=["by frame", "by bytes"])
def test_a_pool_goes_on_where_the_reactor_has_stopped(by_frame: bool, before: bytes, end: bytes) -> None:
    def events(server: Server, receiver: Any) -> list[Any]:
        found = [*server.receive_data(before)]
        receiver = receiver(server)
        if len(before) not in (0, len(HEADS)):
            found += receiver.receive_data(HEADS[len(before) :])
        elif by_frame:
            found += receiver.receive_frame(codec.make_frame(3, 3, 1, 1, 1, b"heads"))
        found += receiver.receive_data(end)
        return [*found, *receiver.receive_end()]

    wanted = events(Server(), lambda server: server)
    assert isinstance(wanted[-1], Error)
    assert wanted[-1].error.offset is not None
    assert events(Server(), lambda server: DecodingPool(server, executor=ThreadPoolExecutor(1))) == wanted
