"""Hostile input: random and mutated frames into each reactor, and input that is made to use up memory.

A reactor raises nothing whatever it is fed, says which rule was broken and where, and after that changes no more. To get
past the first frame, lives begin with part of a real conversation, recorded between two reactors or a golden session; then
frames are mutated on the way, and others thrown in that nobody has sent.

The two long tests are plain seeded loops, the same every time. ``HGPROTO_HOSTILE_FRAMES=1000000 pytest tests/test_hostile.py``
feeds a million hostile frames into each reactor, not counting the good ones in between; the default is what CI has time for.
``-s`` shows what was reached.
"""

from __future__ import annotations

import gc
import os
import random
import resource
import tracemalloc
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from mill import HEADER, MOST, PAYLOADS, SESSIONS, Mill, Step
from support import SCHEMA

from hgproto.errors import RemoteProtocolError
from hgproto.language import load
from hgproto.reactors.client import Client
from hgproto.reactors.events import (
    CommandCut,
    CommandData,
    Error,
    NoOp,
    PeerError,
    ProgressUpdate,
    RequestError,
    ResponseData,
    RunCommand,
    SendFrames,
    StreamLeftOpen,
    TextMessage,
    WantFrame,
)
from hgproto.reactors.limits import Limits
from hgproto.reactors.server import Server
from hgproto.revisions.framing_0002 import codec
from hgproto.revisions.framing_0002.machines import StreamState
from hgproto.streams.encodings import default_encodings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hgproto.reactors.reactor import Reactor
    from hgproto.runtime.frame import Frame

FRAMES = int(os.environ.get("HGPROTO_HOSTILE_FRAMES", "12000"))
REQUIREMENTS = set(load(SCHEMA / "framing-0002.yaml").requirements)

FROM_SERVER = (WantFrame, RunCommand, CommandData, CommandCut, SendFrames, NoOp, Error, StreamLeftOpen)
FROM_CLIENT = (ResponseData, TextMessage, ProgressUpdate, RequestError, PeerError, Error, StreamLeftOpen)
"""What each reactor may give."""

OPTIONS: list[dict[str, Any]] = [
    {},
    {"reopen": "restart"},
    {"streaming": True},
    {"defer": True},
    {"streaming": True, "defer": True, "reopen": "restart"},
    {"limits": Limits(arguments=2, argument_value=40, request_bytes=90, buffered_bytes=120)},
    {"limits": Limits(receiving_requests=2, active_requests=3, open_streams=2), "defer": True},
    {"limits": Limits(max_payload=64, decoded_frame=100, decoded_response=300, open_streams=3), "streaming": True},
]


@dataclass
class Tally:
    """What a run has met."""

    hostile: int = 0
    good: int = 0
    reactors: int = 0
    longest: int = 0
    requirements: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        kinds = ", ".join(f"{name} {count}" for name, count in self.events.most_common())
        rules = ", ".join(f"{name} {count}" for name, count in self.requirements.most_common())
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        return (
            f"{self.hostile} hostile and {self.good} good frames, {self.reactors} reactors, the longest life "
            f"{self.longest} frames, {len(self.requirements)} requirements, at most {memory} MiB\n{kinds}\n{rules}"
        )


def snapshot(reactor: Reactor[Any]) -> Any:
    """What can be seen of a reactor's state."""
    return reactor.snapshot()


class Life:
    """One reactor, from its first byte to its end."""

    def __init__(self, reactor: Server | Client, mill: Mill, tally: Tally) -> None:
        self.reactor = reactor
        self.role = reactor.role
        self.mill = mill
        self.tally = tally
        self.fed = 0
        self.frames = 0
        self.waiting: dict[int, None] = {}
        self.sends: list[SendFrames] = []
        self.out: list[Frame] = []
        self.by_frame = mill.chance(0.3)
        self.pending = b""
        tally.reactors += 1

    @property
    def over(self) -> bool:
        return not self.reactor.works or self.reactor.ended

    def issue(self, request_id: int) -> None:
        """The client's application issues a request."""
        if isinstance(self.reactor, Client) and request_id not in self.reactor.snapshot().requests:
            self.reactor.issued(request_id)

    def begin(self, steps: list[Step]) -> None:
        """Takes a good beginning."""
        wires = [step for step in steps if isinstance(step, bytes)]
        for step in steps:
            if isinstance(step, int):
                self.issue(step)
        self.frames = len(wires)
        self.tally.good += len(wires)
        self.checked(b"".join(wires))
        for _ in range(self.mill.rng.randrange(8)):
            self.answer()

    def feed(self, wire: bytes, hostile: bool) -> None:
        """Feeds a frame, or what was made of one."""
        self.frames += 1
        self.tally.longest = max(self.tally.longest, self.frames)
        if hostile:
            self.tally.hostile += 1
        else:
            self.tally.good += 1
        for call in self._calls(wire):
            if not self.over:
                self.checked(call)

    def _calls(self, wire: bytes) -> Iterator[bytes | Frame]:
        """A frame as a frame or as chunks, some of which wait for what follows."""
        if self.by_frame:
            try:
                frame, end = codec.decode_frame(wire, 0, MOST)
            except RemoteProtocolError:
                end = -1
            if end != len(wire):
                frame, _ = codec.decode_frame(self.mill.frame(self.role), 0, MOST)
            yield frame
            return
        data, self.pending = self.pending + wire, b""
        if self.mill.chance(0.2):
            at = self.mill.rng.randrange(len(data) + 1)
            data, self.pending = data[:at], data[at:]
            at = self.mill.rng.randrange(at + 1)
            yield data[:at]
            data = data[at:]
        yield data

    def checked(self, call: bytes | Frame) -> None:
        """Feeds bytes or a frame, and sees that what comes of it is as documented."""
        reactor = self.reactor
        if isinstance(call, bytes):
            self.fed += len(call)
            events = reactor.receive_data(call)
        else:
            self.fed += HEADER + len(call.payload)
            events = reactor.receive_frame(call)
        self._check(events)

    def end(self) -> None:
        """The peer says no more."""
        if self.pending and not self.over:
            self.checked(self.pending)
        if not self.over:
            self._check(self.reactor.receive_end())
            assert self.reactor.receive_end() == []
        for send in self.sends:
            self._take(send)

    def _check(self, events: list[Any]) -> None:
        allowed = FROM_SERVER if self.role == "server" else FROM_CLIENT
        for event in events:
            assert isinstance(event, allowed), event
            # Sends are of classes of their own, of which users know nothing.
            self.tally.events["SendFrames" if isinstance(event, SendFrames) else type(event).__name__] += 1
            if isinstance(event, SendFrames | RequestError) and event.requirement is not None:
                assert event.requirement in REQUIREMENTS
                self.tally.requirements[event.requirement] += 1
            match event:
                case RunCommand():
                    assert event.request_id not in self.waiting
                    self.waiting[event.request_id] = None
                case CommandCut():
                    assert event.request_id in self.waiting or event.answered
                    if not event.answered:
                        del self.waiting[event.request_id]
                case SendFrames():
                    self._take(event)
                case Error():
                    assert event is events[-1]
                    self._failed(event)
                case PeerError():
                    assert event is events[-1]
                    self.tally.requirements["error-response.closes"] += 1
                    # More of such errors may follow. Whatever is something else, and whole, ends that.
                    junk = b"\xff" * 70_000
                    (error,) = self.reactor.receive_data(junk) or self.reactor.receive_data(junk)
                    assert isinstance(error, Error) and error.error.requirement == "reactor.errored"
                    self._stays_failed()
        assert self.reactor.works != any(isinstance(event, Error | PeerError) for event in events)

    def _failed(self, event: Error) -> None:
        error = event.error
        assert isinstance(error, RemoteProtocolError)
        assert error.requirement in REQUIREMENTS
        assert error.offset is None or 0 <= error.offset <= self.fed, error
        assert error.requirement in str(error)
        self.tally.requirements[error.requirement] += 1
        self._stays_failed()
        frames = list(event.frames)
        if self.role == "server":
            last = frames[-1]
            assert (last.type, last.flags) == (codec.FrameType.ERROR_RESPONSE, codec.ErrorResponseFlag.PROTOCOL)
            assert last.request_id == (0 if event.frame is None else event.frame.request_id)
        else:
            assert frames == []
        self._sound(frames)
        self._stays_failed()

    def _stays_failed(self) -> None:
        """Whatever comes now, nothing changes any more."""
        before = snapshot(self.reactor)
        mill = self.mill
        for _ in range(2):
            (event,) = self.reactor.receive_data(mill.hostile(None, self.role))
            assert isinstance(event, Error) and event.error.requirement == "reactor.errored"
            assert event.frame is None and list(event.frames) == []
        frame, _ = codec.decode_frame(mill.frame(self.role), 0, MOST)
        (event,) = self.reactor.receive_frame(frame)
        assert isinstance(event, Error) and event.error.requirement == "reactor.errored"
        assert self.reactor.receive_end() == []
        assert snapshot(self.reactor) == before

    def _take(self, frames: Iterable[Frame]) -> None:
        taken = list(frames)
        self._sound(taken)
        self.out += taken

    def _sound(self, frames: list[Frame]) -> None:
        """Frames that we would send keep the rules that a frame can break by itself."""
        for frame in frames:
            codec.check_header(frame)
            assert len(codec.encode_frame(frame)) >= HEADER

    def answer(self) -> None:
        """The server's application does something: answers a command, or says something."""
        server, rng = self.reactor, self.mill.rng
        if not isinstance(server, Server) or self.over or not self.waiting:
            return
        request_id = rng.choice(list(self.waiting))
        what = rng.randrange(6)
        send: SendFrames | NoOp
        stream_id = rng.choice((None, *server.output_streams))
        match what:
            case 0:
                send = server.send_text(request_id, [("%s\n", ("l",), ("a",))], stream_id=stream_id)
            case 1:
                send = server.send_progress(request_id, "t", rng.randrange(9), 9, stream_id=stream_id)
            case 2:
                send = server.respond_error(request_id, "no", stream_id=stream_id)
            case 3:
                send = server.respond(request_id, self._chunks(), stream_id=stream_id)
            case _:
                send = server.respond(request_id, rng.choice(PAYLOADS) * rng.randrange(4), stream_id=stream_id)
        if what > 1:
            del self.waiting[request_id]
        if isinstance(send, SendFrames):
            if what > 1 and self.mill.chance(0.2):
                # An application that takes its time; an Error still has to give all frames.
                self.sends.append(send)
                for frame in send:
                    self._sound([frame])
                    self.out.append(frame)
                    break
            else:
                self._take(send)

    def _chunks(self) -> Iterator[bytes]:
        rng = self.mill.rng
        for _ in range(rng.randrange(4)):
            yield rng.choice(PAYLOADS)
        if self.mill.chance(0.3):
            raise ValueError("nothing more")


def recorded(mill: Mill) -> dict[str, list[Step]]:
    """A conversation of two reactors that have nothing against each other, as each role meets it."""
    rng = mill.rng
    profiles = (None, None, *default_encodings())
    limits = Limits(send_payload=rng.choice((32, 64, 32768)))
    client = Client(limits=limits, streams=rng.randrange(1, 4), encoding=rng.choice(profiles))
    server = Server(limits=limits, streams=rng.randrange(1, 4), encoding=rng.choice(profiles))
    life = Life(server, mill, Tally())
    steps: dict[str, list[Step]] = {"server": [], "client": []}
    sends: list[SendFrames] = []
    for _ in range(40):
        if mill.chance(0.4):
            args = {f"a{number}": rng.choice(PAYLOADS)[:60] for number in range(rng.randrange(4))}
            data = rng.choice(PAYLOADS) * rng.randrange(3) if mill.chance(0.5) else None
            send = client.issue("x" * rng.randrange(1, 9), args, data, plain=mill.chance(0.1), end=mill.chance(0.1))
            assert isinstance(send, SendFrames) and send.request_id is not None
            steps["client"].append(send.request_id)
            sends.append(send)
        for frame in (next(rng.choice(sends), None) for _ in range(3 if sends else 0)):
            if frame is not None:
                life.checked(frame)
                steps["server"].append(codec.encode_frame(frame))
        life.answer()
        for frame in life.out:
            assert not any(isinstance(event, Error) for event in client.receive_frame(frame))
            steps["client"].append(codec.encode_frame(frame))
        life.out.clear()
    assert server.works
    return steps


def attack(mill: Mill, tally: Tally, role: str, options: dict[str, Any], steps: list[Step]) -> None:
    """A reactor is fed frames of a peer, some of which are tampered with, and some that nobody has made."""
    rng = mill.rng
    rate = rng.choice((0.2, 0.5, 1.0))
    reactor: Server | Client
    streams, encoding = rng.randrange(1, 4), rng.choice((None, None, *default_encodings()))
    if role == "server":
        reactor = Server(**options, streams=streams, encoding=encoding)
    else:
        known = {name: value for name, value in options.items() if name in ("limits", "reopen")}
        reactor = Client(**known, streams=streams, encoding=encoding)
    life = Life(reactor, mill, tally)
    # Up to some point everything is good, and comes at once.
    start = rng.randrange(len(steps) + 1)
    life.begin(steps[:start])
    for step in steps[start:]:
        if life.over:
            break
        if isinstance(step, int):
            life.issue(step)
            continue
        hostile = mill.chance(rate)
        life.feed(mill.hostile(step, role) if hostile else step, hostile)
        life.answer()
    persistent = mill.chance(0.7)
    while persistent and not life.over and mill.chance(0.94):
        life.feed(mill.hostile(None, role), True)
        life.answer()
    life.end()


def run(role: str, seed: int) -> Tally:
    """As many hostile frames as are wanted, in lives of all lengths."""
    mill, tally = Mill(seed), Tally()
    conversations = [recorded(mill)[role] for _ in range(60)]
    while tally.hostile < FRAMES:
        options, steps = mill.rng.choice(SESSIONS[role])
        if mill.chance(0.6):
            options, steps = mill.rng.choice(OPTIONS), mill.rng.choice(conversations)
        attack(mill, tally, role, options, steps)
    return tally


@pytest.mark.parametrize(("role", "rules"), [("server", 44), ("client", 36)])
def test_hostile_frames(role: str, rules: int) -> None:
    tally = run(role, 20180826)
    print(f"\n{role}: {tally}")
    assert tally.hostile >= FRAMES
    # Shallow input would break the same few rules, or never get to an answer.
    assert len(tally.requirements) >= rules
    assert tally.longest >= 60
    met = set(tally.events)
    if role == "server":
        assert met == {*(kind.__name__ for kind in FROM_SERVER), "StartCommand"}
    else:
        assert met == {kind.__name__ for kind in FROM_CLIENT}
    # Plans are kept for as long as the program runs, so hostile input must not make ever more of them.
    reactor: Reactor[Any] = Server() if role == "server" else Client()
    plans = sum(len(table.plans) for table in (*reactor._tables.values(), reactor._free[0]))
    assert 100 < plans <= most_plans(reactor)


def most_plans(role: Reactor[Any]) -> int:
    """How many plans a role can have: one for each header that is no error, in each state of a stream and of a request."""
    kinds = 0
    for number in range(1 << 16):
        try:
            codec.check_header(codec.make_frame(1, 1, number >> 8, number >> 4 & 15, number & 15, b""))
        except RemoteProtocolError:
            continue
        kinds += 1
    return kinds * len(StreamState) * (len(role._tables) + 1)


# Memory.


def peak(feed: Callable[[], None]) -> int:
    """The most bytes that are in use at a time, beyond those before."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        feed()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def frame_of(request_id: int, stream_id: int, stream_flags: int, type_: int, flags: int, payload: bytes) -> bytes:
    return codec.encode_frame(codec.make_frame(request_id, stream_id, stream_flags, type_, flags, payload), MOST)


def settled(events: list[Any]) -> list[Any]:
    """Events, after the frames that they are to be sent were taken, and forgotten."""
    for event in events:
        for _ in event if isinstance(event, SendFrames) else event.frames if isinstance(event, Error) else ():
            pass
    return events


SPARE = 1 << 16
"""What a reactor, its plans and a few frames and events take."""
BEGIN, END, ENCODED = 1, 2, 4
NAME, ARGUMENT, DATA, RESPONSE, SETTINGS = 1, 2, 3, 4, 8
HAVE_ARGS, HAVE_DATA, MORE = 2, 4, 1


@pytest.mark.parametrize("kind", [HAVE_ARGS, HAVE_DATA])
def test_memory_of_partly_sent_requests(kind: int) -> None:
    """At most twice ``buffered_bytes``: what was sent, and a copy of one request's while it is put together."""
    limits = Limits(request_bytes=150_000, buffered_bytes=400_000, receiving_requests=8)
    chunk = bytes(8000)
    value = b"\x02\x00" + (60_000).to_bytes(2, "little") + b"%02d"

    def feed() -> None:
        server = Server(limits=limits)
        settled(server.receive_data(frame_of(1, 1, BEGIN, NAME, kind, b"x")))
        for request_id in range(3, 41, 2):
            settled(server.receive_data(frame_of(request_id, 1, 0, NAME, kind, b"x")))
        for number in range(40):
            for request_id in range(1, 17, 2):
                if kind == HAVE_DATA:
                    wires = [frame_of(request_id, 1, 0, DATA, MORE, chunk)]
                else:
                    wires = [frame_of(request_id, 1, 0, ARGUMENT, MORE, value % number)]
                    wires += [frame_of(request_id, 1, 0, ARGUMENT, MORE, chunk) for _ in range(7)]
                    wires += [frame_of(request_id, 1, 0, ARGUMENT, 0, chunk[:4000])]
                for wire in wires:
                    settled(server.receive_data(wire))
        assert server.works
        assert 0 <= server.snapshot().counters["buffered_bytes"] <= limits.buffered_bytes

    used = peak(feed)
    assert limits.request_bytes < used < 2 * limits.buffered_bytes + SPARE


def test_memory_of_refused_requests() -> None:
    """A refused request is known until its last frame, by less than half a kilobyte; there are as many as there are ids."""

    def feed() -> None:
        server = Server(limits=Limits(active_requests=1))
        server.receive_data(frame_of(1, 1, BEGIN, NAME, 1, b"x"))
        for _ in range(2):
            for request_id in range(3, 1 << 13, 2):
                settled(server.receive_data(frame_of(request_id, 1, 0, NAME, HAVE_DATA, b"x" * 1000)))
                settled(server.receive_data(frame_of(request_id, 1, 0, DATA, MORE, bytes(1000))))
                if not server.works:
                    return

    assert 1000 < peak(feed) < 512 * (1 << 12) + SPARE


def test_memory_of_refusals_that_are_held_back() -> None:
    """Less than three kilobytes each, and an id whose refusal was not sent yet cannot be refused again."""
    count = 2000

    def feed() -> None:
        server = Server(limits=Limits(active_requests=1), defer=True)
        server.receive_data(frame_of(1, 1, BEGIN, NAME, 1, b"x"))
        for number in range(1, count + 1):
            (event,) = server.receive_data(frame_of(2 * number + 1, 1, 0, NAME, 1, b"x"))
            assert isinstance(event, NoOp)
        (error,) = server.receive_data(frame_of(3, 1, 0, NAME, 1, b"x"))
        assert isinstance(error, Error) and error.error.requirement == "command-name.fresh-id"

    assert count * 100 < peak(feed) < count * 3072 + SPARE


def test_memory_of_streams() -> None:
    """A zlib context takes less than 64 KiB; there is one for each of ``open_streams``, however often they are opened."""
    limits = Limits(open_streams=8)
    encoder = default_encodings()["zlib"].encoder()
    name = encoder.encode(random.Random(5).randbytes(1000).hex().encode()) + encoder.flush()  # noqa: S311 - repeatable

    def feed() -> None:
        server = Server(limits=limits, reopen="restart")
        for request_id in range(1, 401, 2):
            stream_id = request_id % 16
            server.receive_data(frame_of(1, stream_id, BEGIN, SETTINGS, 0, b"\x04zlib"))
            settled(server.receive_data(frame_of(request_id, stream_id, ENCODED, NAME, 1, name)))
        seen = server.snapshot()
        assert len(seen.inputs) == seen.counters["open_streams"] == limits.open_streams
        (error,) = server.receive_data(frame_of(1, 99, BEGIN, SETTINGS, 0, b"\x04zlib"))
        assert isinstance(error, Error) and error.error.requirement == "stream.open-limit"

    assert limits.open_streams * 10_000 < peak(feed) < limits.open_streams * (1 << 16) + SPARE


def test_memory_of_what_was_compressed_too_well() -> None:
    """At most six times ``decoded_frame``: decoders gather blocks and join them, and the event before is still there."""
    limits = Limits(decoded_frame=100_000, decoded_response=1_000_000)
    bomb = zlib.compress(bytes(20_000_000))
    encoder = default_encodings()["zlib"].encoder()
    fair = [encoder.encode(bytes(100_000)) + encoder.flush() for _ in range(20)]

    def feed() -> None:
        for payloads in ([bomb], fair):
            client = Client(limits=limits)
            client.issued(1)
            client.receive_data(frame_of(1, 2, BEGIN, SETTINGS, 0, b"\x04zlib"))
            for payload in payloads:
                client.receive_data(frame_of(1, 2, ENCODED, RESPONSE, MORE, payload))
            assert not client.works

    assert limits.decoded_frame < peak(feed) < 6 * limits.decoded_frame + SPARE


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_memory_of_a_frame_in_many_pieces(size: int) -> None:
    """At most twice the frame, in however many pieces it comes."""
    most = 50_000

    def feed() -> None:
        server = Server(limits=Limits(max_payload=most))
        server.receive_data(frame_of(1, 1, BEGIN, NAME, HAVE_DATA, b"x"))
        server.receive_data(most.to_bytes(3, "little") + bytes.fromhex("0100010031"))
        for _ in range(most // size - 1):
            assert server.receive_data(b"x" * size) == []

    assert most // 2 < peak(feed) < 2 * most + SPARE


def test_memory_of_a_frame_that_says_it_is_long() -> None:
    def feed() -> None:
        (error,) = Server().receive_data(b"\xff\xff\xff" + bytes.fromhex("0100010031") + bytes(100))
        assert isinstance(error, Error) and error.error.requirement == "frame.length-limit"

    assert peak(feed) < SPARE
