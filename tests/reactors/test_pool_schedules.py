"""Random schedules of pools and of frames that are consumed here. The other side checks the wire, and nothing is lost."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgproto.errors import LocalProtocolError
from hgproto.judging.validation import SessionValidator
from hgproto.reactors.client import Client as TypedClient
from hgproto.reactors.events import (
    Error,
    NoOp,
    PeerError,
    RequestError,
    ResponseData,
    RunCommand,
    SendFrames,
    StreamLeftOpen,
    TextMessage,
)
from hgproto.reactors.limits import Limits
from hgproto.reactors.pool import EncodingPool
from hgproto.reactors.sending import GivenUpError
from hgproto.reactors.server import Server as TypedServer
from hgproto.streams.encodings import default_encodings
from hgproto.wire.human import parse_frame
from hgproto.wire.pushed import Pushed
from hgproto.wire.writer import encode_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hgproto.runtime.frame import Frame

Client: Any = TypedClient
Server: Any = TypedServer

ENCODINGS = [None, *default_encodings()]
CONTENT = bytes(range(256))[::-1][:60]
PARTS = [CONTENT[:10], CONTENT[10:45], CONTENT[45:]]
KINDS = ["bytes", "chunks", "file", "error", "torn", "writer"]
REFUSED = r"built elsewhere|not consumed yet|consumed already"


class Later(Executor):
    """An executor whose work is done when the test says so, by the thread of the test."""

    def __init__(self) -> None:
        self.tasks: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.tasks.append((future, fn))
        return future

    def run(self) -> None:
        """Does the first of the work that waits."""
        if self.tasks:
            future, work = self.tasks.pop(0)
            future.set_result(work())


class Hesitant:
    """A file that has nothing yet before each of its parts."""

    def __init__(self) -> None:
        self.given: list[bytes | None] = [given for part in PARTS for given in (None, part)]

    def read(self, size: int) -> bytes | None:
        return self.given.pop(0) if self.given else b""


def torn() -> Iterator[bytes]:
    yield CONTENT[:45]
    raise OSError("torn")


class Schedule:
    """A connection with some sends. Each is built here, by a pool, or by both, and every step can be rejected."""

    def __init__(
        self, plan: list[tuple[str, int, int | None]], streams: int, encoding: str | None, defer: bool
    ) -> None:
        self.client = Client()
        self.server = Server(limits=Limits(send_payload=24), streams=streams, encoding=encoding, defer=defer)
        self.judge = SessionValidator()
        self.executor = Later()
        self.pool = EncodingPool(executor=self.executor)
        self.wire: list[Frame] = []
        self.late: list[int] = []
        self.sends: list[Any] = []
        self.writers: dict[int, tuple[Any, list[bytes]]] = {}
        self.expected: dict[int, bytes] = {}
        self.texts: list[int] = []
        for _ in plan:
            for frame in self.client.issue("x"):
                self.judge.feed("client", encode_frame(frame))
                self.server.receive_frame(frame)
        ids = self.server.output_streams
        for place, (kind, home, text) in enumerate(plan):
            request_id = 1 + 2 * place
            if text is not None:
                self.texts.append(request_id)
                self._keep(self.server.send_text(request_id, [("hello\n", (), ())], stream_id=ids[text % streams]))
            self._keep(self._response(request_id, kind if defer or kind != "writer" else "file", ids[home % streams]))
        self.is_ended = False
        if defer:
            self.end()

    def _response(self, request_id: int, kind: str, stream_id: int) -> Any:
        self.expected[request_id] = {"error": b"sorry", "torn": b"OSError: torn"}.get(kind, CONTENT)
        if kind == "error":
            return self.server.respond_error(request_id, "sorry", stream_id=stream_id)
        if kind == "writer":
            self.writers[request_id] = self.server.begin_response(request_id, stream_id=stream_id), list(PARTS)
            return NoOp(request_id)
        sources: dict[str, Any] = {"bytes": CONTENT, "chunks": iter(PARTS), "file": Hesitant(), "torn": torn()}
        return self.server.respond(request_id, sources[kind], stream_id=stream_id)

    def _keep(self, send: Any) -> None:
        if isinstance(send, SendFrames):
            self.sends.append(send)

    def end(self) -> None:
        """Ends the client's output."""
        if not self.is_ended:
            self.is_ended = True
            for event in self.server.receive_end():
                self._keep(event)

    def take(self, which: int) -> bool:
        """Takes a frame by hand. Returns True if there was one."""
        send = self.sends[which % len(self.sends)]
        try:
            self.wire.append(next(send))
        except StopIteration:
            return False
        except BlockingIOError:
            return False
        except LocalProtocolError:
            self.late.append(send.request_id)
            return False
        except RuntimeError as error:
            assert _is_refusal(error)
            return False
        return True

    def submit(self, which: int) -> None:
        send = self.sends[which % len(self.sends)]
        try:
            self.pool.submit(send)
        except LocalProtocolError:
            self.late.append(send.request_id)
        except RuntimeError as error:
            assert _is_refusal(error)

    def write(self, which: int) -> None:
        """Writes a piece of a response, or its end. A call that is refused is made again later."""
        if not self.writers:
            return
        writer, left = self.writers[sorted(self.writers)[which % len(self.writers)]]
        try:
            self.wire += writer.write(left[0]) if left else writer.end()
        except RuntimeError as error:
            assert _is_refusal(error)
            return
        del left[:1]

    def finish(self) -> None:
        """Takes what the pool has made."""
        try:
            for frames in self.pool.finished(wait=False):
                self.wire += frames
        except BlockingIOError:
            pass

    def drain(self) -> None:
        """Takes all frames, those of the pool first."""
        self.end()
        for _ in range(60):
            for which in range(len(self.writers)):
                self.write(which)
            while self.executor.tasks:
                self.executor.run()
            self.finish()
            for which in range(len(self.sends)):
                while self.take(which):
                    pass
        assert self.pool.outstanding == 0

    def check(self) -> None:
        """Checks that the client accepts every frame, and that every response and message arrives once and whole."""
        got: dict[int, bytes] = {}
        ended: list[int] = []
        texts: list[int] = []
        for frame in self.wire:
            assert not [finding for finding in self.judge.feed("server", encode_frame(frame)) if finding.refused]
            for event in self.client.receive_frame(frame):
                assert not isinstance(event, Error), event
                if isinstance(event, ResponseData):
                    got[event.request_id] = got.get(event.request_id, b"") + event.data
                    ended += [event.request_id] * event.last
                elif isinstance(event, RequestError):
                    got[event.request_id] = event.message.encode()
                    ended.append(event.request_id)
                elif isinstance(event, TextMessage) and event.atoms:
                    texts.append(event.request_id)
        assert got == self.expected
        assert sorted(ended) == sorted(self.expected)
        assert sorted([*texts, *set(self.late)]) == self.texts
        assert self.server.snapshot().requests == {}
        assert self.server.snapshot().unsent == ()
        assert all(isinstance(event, StreamLeftOpen) for event in self.client.receive_end())


def _is_refusal(error: RuntimeError) -> bool:
    return any(words in str(error) for words in REFUSED.split("|"))


steps = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "submit", "submit", "run", "finish", "write", "end"]), st.integers(0, 7)
    ),
    max_size=30,
)
plans = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 2), st.none() | st.integers(0, 2)), min_size=1, max_size=4
)


@pytest.mark.requirement("response.active-request", "stream.end", "encoding.nothing-after-end")
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("defer", [False, True])
@given(plan=plans, streams=st.integers(1, 3), schedule=steps)
def test_the_wire_is_legal_and_whole_whoever_makes_the_frames(
    encoding: str | None, defer: bool, plan: Any, streams: int, schedule: list[tuple[str, int]]
) -> None:
    talk = Schedule(plan, streams, encoding, defer)
    for step, which in schedule:
        if step in ("take", "submit", "write"):
            getattr(talk, step)(which)
        elif step == "run":
            talk.executor.run()
        else:
            getattr(talk, step)()
    talk.drain()
    talk.check()


class Connection:
    """Both sides of a connection on which some requests wait for their response."""

    def __init__(self, count: int, **options: Any) -> None:
        self.client, self.server = Client(), Server(**options)
        for _ in range(count):
            for frame in self.client.issue("x"):
                self.server.receive_frame(frame)

    def received(self, frames: list[Frame]) -> dict[int, bytes]:
        """The data of each response that is complete; the client accepts all frames."""
        data: dict[int, bytes] = {}
        events = [event for frame in frames for event in self.client.receive_frame(frame)]
        assert not [event for event in events if isinstance(event, Error | RequestError)]
        for event in events:
            if isinstance(event, ResponseData):
                data[event.request_id] = data.get(event.request_id, b"") + event.data
        assert self.client.active == ()
        assert self.server.snapshot().requests == {}
        return data


def made(pool: EncodingPool) -> list[Frame]:
    return [frame for frames in pool.finished() for frame in frames]


@pytest.mark.requirement("response.active-request")
@pytest.mark.parametrize("encoding", list(default_encodings()))
def test_a_pool_takes_no_stream_with_frames_that_close_it(encoding: str) -> None:
    talk = Connection(2, encoding=encoding, streams=2, limits=Limits(send_payload=24))
    talk.server.receive_end()
    first, last = talk.server.respond(1, CONTENT, stream_id=2), talk.server.respond(3, CONTENT, stream_id=4)
    # The last response also makes the frame that closes the other stream.
    frames = [next(first), next(last)]
    with EncodingPool() as pool:
        with pytest.raises(RuntimeError, match=r"frames of request 1 on stream 2 were built here and not consumed yet"):
            pool.submit(first)
        assert not first.claimed
        assert pool.outstanding == 0
        frames += last
    frames += first
    assert talk.received(frames) == {1: CONTENT, 3: CONTENT}
    assert talk.client.receive_end() == []


@pytest.mark.requirement("response.active-request")
def test_a_pool_takes_no_stream_with_a_message_that_was_begun() -> None:
    talk = Connection(2, encoding="zlib", streams=2)
    first = talk.server.respond(1, CONTENT, stream_id=2)
    text = talk.server.send_text(3, [("hello\n", [], [])], stream_id=2)
    # The settings of the stream, after which the message waits.
    frames = [next(text)]
    with EncodingPool() as pool:
        with pytest.raises(RuntimeError, match=r"consume those first, or use another stream"):
            pool.submit(first)
        frames += talk.server.respond(3, CONTENT, stream_id=4)
        pool.submit(first)
        frames += made(pool)
    assert talk.received(frames) == {1: CONTENT, 3: CONTENT}
    assert list(text) == []


def test_a_send_of_which_frames_were_taken_goes_to_a_pool_once_none_waits() -> None:
    talk = Connection(2, encoding="zlib")
    first, second = talk.server.respond(1, CONTENT), talk.server.respond(3, iter(PARTS))
    frames = [next(second)]
    executor = Later()
    pool = EncodingPool(executor=executor)
    pool.submit(first)
    executor.run()
    pool.submit(second)
    for ready in pool.finished(wait=False):
        frames += ready
    executor.run()
    frames += made(pool)
    assert talk.received(frames) == {1: CONTENT, 3: CONTENT}


def test_a_send_whose_last_frame_waits_is_not_made_by_a_pool() -> None:
    talk = Connection(2, encoding="zlib")
    first, second = talk.server.respond(1, CONTENT), talk.server.respond(3, CONTENT)
    frames = [next(second)]
    executor = Later()
    pool = EncodingPool(executor=executor)
    for send in (first, second):
        with pytest.raises(RuntimeError, match=r"frames of request 3 on stream 2 were built here"):
            pool.submit(send)
    frames += second
    pool.submit(first)
    executor.run()
    frames += made(pool)
    assert talk.received(frames) == {1: CONTENT, 3: CONTENT}


@pytest.mark.parametrize("method", ["write", "end", "fail"])
def test_a_call_of_a_writer_that_is_refused_takes_nothing(method: str) -> None:
    client, server = Client(), Server()
    writer = client.begin_command("unbundle")
    calls: dict[str, Callable[[], list[Frame]]] = {
        "write": lambda: writer.write(b"ONE"),
        "end": writer.end,
        "fail": lambda: writer.fail("no more"),
    }
    with EncodingPool() as pool:
        pool.submit(client.issue("heads"))
        for _ in range(2):
            with pytest.raises(RuntimeError, match="frames on stream 1 are built elsewhere"):
                calls[method]()
        frames = made(pool)
    frames += writer.write(b"ONE")
    frames += writer.end()
    events = [event for frame in frames for event in server.receive_frame(frame)]
    assert [(event.name, event.data) for event in events if isinstance(event, RunCommand)] == [
        ("heads", None),
        ("unbundle", b"ONE"),
    ]


def test_two_pools_do_not_work_on_the_same_stream() -> None:
    talk = Connection(2, encoding="zlib")
    first, second = talk.server.respond(1, CONTENT), talk.server.respond(3, CONTENT)
    with EncodingPool() as pool, EncodingPool() as other:
        pool.submit(first)
        with pytest.raises(RuntimeError, match="frames on stream 2 are built elsewhere"):
            other.submit(second)
        frames = made(pool)
        other.submit(second)
        frames += made(other)
    assert talk.received(frames) == {1: CONTENT, 3: CONTENT}


@pytest.mark.requirement("request.command-expected")
def test_the_error_that_closes_a_connection_waits_for_the_frames_of_a_pool() -> None:
    talk = Connection(2, streams=2)
    pooled, ready = (talk.server.respond(request_id, CONTENT, stream_id=4) for request_id in (1, 3))
    frames: list[Frame] = []
    with EncodingPool() as pool:
        pool.submit(pooled)
        pool.submit(ready)
        (error,) = talk.server.receive_frame(parse_frame("9 1 0 command-data eos x"))
        with pytest.raises(RuntimeError, match="frames on stream 4 are built elsewhere"):
            list(error.frames)
        frames += made(pool)
    frames += error.frames
    events = [event for frame in frames for event in talk.client.receive_frame(frame)]
    assert [type(event) for event in events] == [ResponseData, ResponseData, PeerError]


@pytest.mark.requirement("response.active-request")
@pytest.mark.parametrize("method", ["end", "fail"])
def test_the_end_of_a_response_is_refused_before_a_message_that_a_pool_has(method: str) -> None:
    talk = Connection(1, streams=2)
    text = talk.server.send_text(1, [("hello\n", [], [])], stream_id=4)
    writer = talk.server.begin_response(1, stream_id=2)
    frames = []
    with EncodingPool() as pool:
        pool.submit(text)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="a message before it on stream 4 was not consumed yet"):
                writer.end() if method == "end" else writer.fail("no more")
        # What comes before the end can be sent.
        frames += writer.write(CONTENT)
        frames += made(pool)
    frames += writer.end()
    assert talk.received(frames) == {1: CONTENT}


def test_a_writer_takes_no_frames_that_a_pool_makes() -> None:
    client, server = Client(streams=1), Server(streaming=True)
    writer = client.begin_command("x")
    for frame in writer.write(b"one"):
        server.receive_frame(frame)
    for frame in server.respond(1, b"enough"):
        client.receive_frame(frame)
    frames = writer.write(b"two")
    assert writer.is_over
    send = client.issue("heads")
    send.claim()
    send._sending._step()
    assert writer.write(b"three") == writer.end() == []
    frames += send.claimed_frames()
    send.sent()
    assert [frame.request_id for frame in frames] == [1, 3]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("fails", [False, True])
def test_a_pool_sends_a_deferred_response_that_is_still_being_written(
    encoding: str | None, streams: int, fails: bool
) -> None:
    client, server = Client(buffered=True), Server(defer=True, encoding=encoding, streams=streams)
    for name in ("a", "b"):
        client.issue(name)
    for frame in client.flush():
        server.receive_frame(frame)
    writer = server.begin_response(1)
    assert writer.write(b"ONE") == []
    server.respond(3, b"other")
    frames: list[Frame] = []
    with EncodingPool() as pool:
        for event in server.receive_end():
            if isinstance(event, SendFrames):
                pool.submit(event)
        for piece in (b"TWO", b"THREE"):
            with pytest.raises(BlockingIOError):
                frames += made(pool)
            assert writer.write(piece) == []
        assert (writer.fail("no more") if fails else writer.end()) == []
        frames += made(pool)
    assert writer.is_over
    assert writer.end() == []
    events = [event for frame in frames for event in client.receive_frame(frame)]
    data = b"".join(event.data for event in events if isinstance(event, ResponseData) and event.request_id == 1)
    errors = [(event.request_id, event.message) for event in events if isinstance(event, RequestError)]
    assert (data, errors) == ((data, [(1, "no more")]) if fails else (b"ONETWOTHREE", []))
    assert b"ONETWOTHREE".startswith(data)
    assert client.active == ()
    assert client.receive_end() == []
    assert server.snapshot().requests == {}


def claimed_writer() -> tuple[Any, Any, Any]:
    """Returns a client with a request, a response that is written in parts, and its send, which is claimed."""
    client, server = Client(buffered=True), Server(defer=True)
    client.issue("x")
    for frame in client.flush():
        server.receive_frame(frame)
    writer = server.begin_response(1)
    (send,) = server.receive_end()
    send.claim()
    return client, writer, send


def test_what_is_written_just_before_the_end_is_not_lost_while_another_thread_reads() -> None:
    class Chunks(deque[bytes]):
        """The data of a writer, which ends it just after the reader found that there is nothing."""

        def __bool__(self) -> bool:
            was_empty = not len(self)
            for call in calls:
                call()
            calls.clear()
            return not was_empty

    client, writer, send = claimed_writer()
    calls = [lambda: writer.write(b"late"), writer.end]
    writer._pushed._chunks = Chunks()
    with pytest.raises(BlockingIOError):
        list(send.claimed_frames())
    events = [event for frame in send.claimed_frames() for event in client.receive_frame(frame)]
    send.sent()
    assert b"".join(event.data for event in events) == b"late"
    assert client.active == ()


def test_a_response_fails_though_another_thread_reads_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Pushed.read

    def meanwhile(pushed: Pushed, size: int) -> bytes | None:
        if not pushed.ended:
            writer.fail("no more")
        return read(pushed, size)

    monkeypatch.setattr(Pushed, "read", meanwhile)
    client, writer, send = claimed_writer()
    events = [event for frame in send.claimed_frames() for event in client.receive_frame(frame)]
    send.sent()
    assert events == [RequestError(1, "no more", 0)]


def test_a_command_is_given_up_though_another_thread_reads_its_end() -> None:
    class Ends(Pushed):
        """The data of a command whose reader looks for the end as soon as it is there."""

        __slots__ = ("seen",)
        seen: bool

        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            if name == "ended" and value:
                with pytest.raises(GivenUpError):
                    self.read(10)
                super().__setattr__("seen", True)

    client = Client()
    writer = client.begin_command("x")
    ends = writer._pushed = Ends()
    writer.fail("no more")
    assert ends.seen
