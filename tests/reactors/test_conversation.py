"""Conversations between a client's and a server's reactor, in every order of events.

A state machine of Hypothesis is the applications of both sides and the two pipes between them. Commands are issued,
frames of several sends taken one at a time, bytes delivered in chunks of any size, responses begun, broken off and mixed
with text and progress. What holds, always: every command and every response arrives as it was said, once, at the request
that it belongs to; requests over a limit are refused and harm nobody else; at the end nothing is left in either reactor.

All payloads tell whose they are, so that bytes that end up with another request do not go unnoticed. That the machine
notices is tested too: with streams that break a rule it fails.
"""

from __future__ import annotations

import hashlib
import sys
from io import BytesIO
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hgproto.errors import LocalProtocolError
from hgproto.reactors import outputs
from hgproto.reactors.client import Client
from hgproto.reactors.events import (
    CommandData,
    NoOp,
    ProgressUpdate,
    RequestError,
    ResponseData,
    RunCommand,
    SendFrames,
    StartCommand,
    StreamLeftOpen,
    TextMessage,
    WantFrame,
)
from hgproto.reactors.ids import Ids
from hgproto.reactors.limits import Limits
from hgproto.reactors.server import Server
from hgproto.revisions.framing_0002 import codec
from hgproto.revisions.framing_0002.machines import StreamState
from hgproto.streams.encodings import default_encodings
from hgproto.streams.output_stream import OutputStream
from hgproto.wire.reader import FrameReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hgproto.reactors.reactor import Reactor
    from hgproto.runtime.frame import Frame
    from hgproto.streams.encodings import Encoder

Type = codec.FrameType
MOST_ACTIVE = 6
"""Requests that the client lets wait for their response."""
TIGHT = {
    "arguments": 3,
    "argument_value": 400,
    "request_bytes": 700,
    "buffered_bytes": 1000,
    "receiving_requests": 3,
    "active_requests": 4,
}
"""Limits of a server that refuses a good part of what it gets."""
LAST = {
    (Type.BYTES_RESPONSE, codec.BytesResponseFlag.EOS),
    (Type.ERROR_RESPONSE, codec.ErrorResponseFlag.APPLICATION),
    (Type.TEXT_OUTPUT, 0),
    (Type.PROGRESS, 0),
}
"""Frames after which a server's send has no more."""


def content(tag: str, size: int) -> bytes:
    """Bytes that belong to ``tag`` and to nothing else, every second size of them such that nothing can compress them."""
    if size % 2:
        return hashlib.shake_128(tag.encode()).digest(size)
    return (tag.encode() * (size // len(tag) + 1))[:size]


class Trickle(BytesIO):
    """A file that gives less than it is asked for."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size, 50) if size is not None and size >= 0 else size)


class Command:
    """What the applications know of a command: what was said, and what of it was heard."""

    def __init__(self, serial: int, name: str, args: dict[str, bytes], data: bytes | None) -> None:
        self.serial = serial
        self.request_id = 0
        self.name = name
        self.args = args
        self.data = data
        # At the server.
        self.ran = False
        self.refused = False
        self.answered = False
        self.data_heard = b""
        self.data_complete = False
        # The response, as the server's application means it.
        self.response = b""
        self.failure: str | None = None
        self.raises = False
        self.unfinished = False
        self.messages: list[Any] = []
        # At the client.
        self.sent = False
        self.received = b""
        self.heard: list[Any] = []
        self.done = False

    @property
    def runs(self) -> bool:
        """Whether the server's application has it and has not answered."""
        return self.ran and not self.answered

    @property
    def takes_messages(self) -> bool:
        """Whether the end of the response is still to come."""
        return self.runs or self.unfinished

    def chunks(self, pieces: list[bytes]) -> Iterator[Any]:
        """What the application gives as a response: pieces, and perhaps trouble."""
        for index, piece in enumerate(pieces):
            yield (piece, bytearray(piece), memoryview(piece))[index % 3]
        self.unfinished = False
        if self.raises:
            raise ValueError(f"{self.serial} fails")


class Sending:
    """Frames that are being taken of a response, or of a message."""

    def __init__(self, send: SendFrames, command: Command, message: bool = False) -> None:
        self.send = send
        self.command = command
        self.message = message


class Pipe:
    """What is on its way to a reactor: bytes, or whole frames."""

    def __init__(self, reactor: Reactor[Any], by_frame: bool) -> None:
        self.reactor = reactor
        self.by_frame = by_frame
        self.data = b""
        self.frames: list[Frame] = []

    def put(self, frame: Frame) -> None:
        if self.by_frame:
            self.frames.append(frame)
        else:
            self.data += codec.encode_frame(frame)

    def deliver(self, size: int) -> list[Any]:
        """Returns the events of the next ``size`` bytes, or of a corresponding number of frames."""
        if self.reactor.ended:
            assert not self.data and not self.frames
            return []
        if self.by_frame:
            count = size // 40 + 1
            frames, self.frames = self.frames[:count], self.frames[count:]
            return [event for frame in frames for event in self.reactor.receive_frame(frame)]
        chunk, self.data = self.data[:size], self.data[size:]
        return self.reactor.receive_data(chunk)


def is_last(frame: Frame, command: Command) -> bool:
    """Whether a frame is the last of its command."""
    match frame.type:
        case Type.COMMAND_NAME:
            return bool(frame.flags & codec.CommandNameFlag.EOS)
        case Type.COMMAND_ARGUMENT:
            return command.data is None and bool(frame.flags & codec.CommandArgumentFlag.EOA)
    return frame.type == Type.COMMAND_DATA and bool(frame.flags & codec.CommandDataFlag.EOS)


def taken(send: SendFrames, *, whole: bool) -> list[Frame]:
    """The frames that are taken at a time: all at once as bytes, or one."""
    if whole:
        return list(FrameReader().feed(send.to_bytes()))
    return list(islice(send, 1))


names = st.text(st.characters(codec="ascii"), min_size=1, max_size=6)
sizes = st.sampled_from([0, 1, 6, 30, 65, 150, 150, 400, 401, 2001])
picks = st.lists(st.integers(0, 11), min_size=1, max_size=12)
streams = st.none() | st.integers(0, 3)
profiles = st.sampled_from([None, *default_encodings()])
rarely = st.integers(0, 5).map(lambda number: number == 5)


class Conversation(RuleBasedStateMachine):
    """Both applications and the pipes between the reactors."""

    output_stream: type[OutputStream] = OutputStream

    @initialize(
        options=st.fixed_dictionaries(
            {
                "encodings": st.tuples(profiles, profiles),
                "streams": st.tuples(st.integers(1, 4), st.integers(1, 4)),
                "flush": st.sampled_from(["response", "frame"]),
                "buffered": st.booleans(),
                "defer": st.booleans(),
                "streaming": st.booleans(),
                "send_payload": st.sampled_from([64, 700, 32768]),
                "decoded_frame": st.sampled_from([2100, 1 << 20]),
                "tight": st.booleans(),
                "by_frame": st.booleans(),
                "few_ids": st.booleans(),
                "order": picks,
            }
        )
    )
    def begin(self, options: dict[str, Any]) -> None:
        self.build(**options)

    def build(
        self,
        *,
        encodings: tuple[str | None, str | None],
        streams: tuple[int, int],
        flush: Any,
        buffered: bool,
        defer: bool,
        streaming: bool,
        send_payload: int,
        decoded_frame: int,
        tight: bool,
        by_frame: bool,
        few_ids: bool,
        order: list[int],
    ) -> None:
        both = {"send_payload": send_payload, "decoded_frame": decoded_frame}
        self.limits = Limits(**both, **TIGHT) if tight else Limits(**both)
        with mock.patch.object(outputs, "OutputStream", self.output_stream):
            self.client = Client(
                limits=Limits(**both, active_requests=MOST_ACTIVE),
                encoding=encodings[0],
                streams=streams[0],
                buffered=buffered,
                flush=flush,
            )
            self.server = Server(
                limits=self.limits,
                encoding=encodings[1],
                streams=streams[1],
                defer=defer,
                streaming=streaming,
                flush=flush,
            )
        if few_ids:
            self.client._ids = Ids(range(1, 2 * MOST_ACTIVE + 2, 2), "request-id.order")
        self.buffered, self.defer, self.streaming, self.tight = buffered, defer, streaming, tight
        self.order = order
        self.to_server, self.to_client = Pipe(self.server, by_frame), Pipe(self.client, by_frame)
        self.commands: list[Command] = []
        self.by_id: dict[int, Command] = {}
        self.requests: list[SendFrames] = []
        self.held: list[tuple[Command, bool]] = []
        self.answers: list[Sending] = []
        self.left_open: dict[str, list[int]] = {"server": [], "client": []}
        self.ended = False

    # The client's application.

    @precondition(lambda self: not self.ended)
    @rule(
        name=names,
        args=st.dictionaries(names, sizes, max_size=4),
        data=st.none() | sizes,
        as_file=st.booleans(),
        stream=streams,
        plain=rarely,
        end=rarely,
        flush=st.booleans(),
    )
    def issue(
        self,
        name: str,
        args: dict[str, int],
        data: int | None,
        as_file: bool,
        stream: int | None,
        plain: bool,
        end: bool,
        flush: bool,
    ) -> None:
        serial = len(self.commands)
        values = {key: content(f"<{serial}:{key}>", size) for key, size in args.items()}
        raw = None if data is None else content(f"<{serial}:data>", data)
        command = Command(serial, name, values, raw)
        said: Any = Trickle(raw) if as_file and raw is not None else raw
        stream_id = self._stream(self.client, stream)
        if len(self.client.snapshot().requests) == MOST_ACTIVE:
            with pytest.raises(LocalProtocolError) as error:
                self.client.issue(name, values, said, stream_id=stream_id)
            assert error.value.requirement == "request.limits"
            return
        send = self.client.issue(name, values, said, stream_id=stream_id, plain=plain, end=end)
        assert send.request_id is not None and send.request_id % 2
        assert all(other.done and other.sent for other in self.commands if other.request_id == send.request_id)
        command.request_id = send.request_id
        self.commands.append(command)
        self.by_id[send.request_id] = command
        if self.buffered:
            assert isinstance(send, NoOp)
            if flush:
                self.requests.append(self.client.flush())
        else:
            assert isinstance(send, SendFrames)
            self.requests.append(send)

    def take_of_requests(self, picks: list[int]) -> None:
        for pick in picks:
            if not self.requests:
                return
            sending = self.requests[pick % len(self.requests)]
            frames = taken(sending, whole=pick % 4 == 3)
            if not frames:
                self.requests.remove(sending)
            for frame in frames:
                assert int(frame.stream_id) in self.client.output_streams
                command = self.by_id[frame.request_id]
                assert not command.sent
                command.sent = is_last(frame, command)
                self.to_server.put(frame)

    def deliver_to_client(self, size: int) -> None:
        for event in self.to_client.deliver(size):
            self._at_client(event)

    def _at_client(self, event: Any) -> None:
        if isinstance(event, StreamLeftOpen):
            self.left_open["client"].append(event.stream_id)
            return
        assert isinstance(event, ResponseData | RequestError | TextMessage | ProgressUpdate), event
        command = self.by_id[event.request_id]
        assert not command.done
        match event:
            case ResponseData():
                command.received += event.data
                assert command.response.startswith(command.received)
                if event.last:
                    assert command.failure is None and command.received == command.response
                    assert command.heard == command.messages
                command.done = event.last
            case TextMessage() if event.atoms:  # without any it only closes a stream
                command.heard.append([(atom.format, atom.labels, atom.args) for atom in event.atoms])
            case ProgressUpdate():
                progress = event.progress
                command.heard.append((progress.topic, progress.pos, progress.total, progress.label, progress.item))
            case RequestError():
                assert event.requirement is None, event.message
                assert event.received == len(command.received)
                assert command.received == command.response
                assert command.heard == command.messages
                if command.failure is not None:
                    assert event.message == self._cut(command.failure)
                else:
                    assert command.refused
                    shared = " at a time" in event.message or " in all " in event.message
                    assert shared or self._too_large(command), event.message
                command.done = True
        assert command.messages[: len(command.heard)] == command.heard

    def _cut(self, message: str) -> str:
        return message.encode()[: self.limits.send_payload].decode("utf-8", "ignore")

    # The server's application.

    def deliver_to_server(self, size: int) -> None:
        for event in self.to_server.deliver(size):
            self._at_server(event)

    def _at_server(self, event: Any) -> None:
        match event:
            case WantFrame():
                pass
            case RunCommand():
                command = self.by_id[event.request_id]
                assert not command.ran and not command.refused
                assert not self._too_large(command)
                assert (event.name, event.args) == (command.name, command.args)
                if isinstance(event, StartCommand):
                    assert self.streaming and event.data is None and command.data is not None
                else:
                    assert event.data == command.data
                    assert not (self.streaming and command.data is not None)
                    command.data_complete = True
                command.ran = True
            case CommandData():
                command = self.by_id[event.request_id]
                assert command.ran and not command.data_complete and command.data is not None
                command.data_heard += event.data
                command.data_complete = event.last
                assert command.data.startswith(command.data_heard)
                assert not event.last or command.data_heard == command.data
            case SendFrames() if event.requirement is not None and not self.defer:
                self._refused(event.request_id)
                self.answers.append(Sending(event, self.by_id[event.request_id or 0]))
            case NoOp() if self.defer:
                self.held.append((self._refused(event.request_id), False))
            case StreamLeftOpen():
                self.left_open["server"].append(event.stream_id)
            case _:
                pytest.fail(f"unexpected: {event}")

    def _refused(self, request_id: int | None) -> Command:
        command = self.by_id[request_id or 0]
        assert self.tight and not command.ran and not command.refused
        command.refused = True
        return command

    def _too_large(self, command: Command) -> bool:
        """Whether a command is over a limit of its own."""
        limits, values = self.limits, command.args.values()
        kept = sum(map(len, command.args)) + sum(map(len, values))
        if command.data is not None and not self.streaming:
            kept += len(command.data)
        too_long = any(len(value) > limits.argument_value for value in values)
        return too_long or len(values) > limits.arguments or kept > limits.request_bytes

    @precondition(lambda self: self.commands)
    @rule(
        which=st.integers(0, 4),
        kind=st.sampled_from(["bytes", "chunks", "fails", "error"]),
        chunks=st.lists(sizes, max_size=5),
        stream=streams,
        plain=rarely,
        end=rarely,
    )
    def respond(self, which: int, kind: str, chunks: list[int], stream: int | None, plain: bool, end: bool) -> None:
        waiting = [command for command in self.commands if command.runs]
        if which < len(waiting):
            self._respond(waiting[which], kind, chunks, stream, plain, end)
            return
        command = self.by_id[sorted(self.by_id)[which % len(self.by_id)]]
        if not command.runs:
            with pytest.raises(LocalProtocolError) as error:
                self.server.respond(command.request_id, b"nobody asked")
            assert error.value.requirement in ("response.active-request", "response.once")

    def _respond(
        self, command: Command, kind: str, chunks: list[int], stream: int | None, plain: bool, end: bool
    ) -> None:
        serial, stream_id = command.serial, self._stream(self.server, stream)
        pieces = [content(f"<{serial}:{index}>", size) for index, size in enumerate(chunks)]
        command.answered = True
        if kind == "error":
            command.failure = f"no command {serial} on a \N{SNOWMAN}"
            send = self.server.respond_error(command.request_id, command.failure, stream_id=stream_id, end=end)
            self._hold(command, send)
            return
        command.response = b"".join(pieces)
        said: bytes | Iterator[Any] = command.response
        if kind != "bytes":
            command.unfinished, command.raises = True, kind == "fails"
            said = command.chunks(pieces)
        if kind == "fails":
            command.failure = f"ValueError: {serial} fails"
        send = self.server.respond(command.request_id, said, stream_id=stream_id, plain=plain, end=end)
        self._hold(command, send)

    @precondition(lambda self: any(command.takes_messages for command in self.commands))
    @rule(which=st.integers(0, 11), text=st.booleans(), size=st.integers(0, 9), stream=streams)
    def message(self, which: int, text: bool, size: int, stream: int | None) -> None:
        waiting = [command for command in self.commands if command.takes_messages]
        command = waiting[which % len(waiting)]
        if command.answered and self.defer and not self.ended:
            # What is held back is sent in its order, so this would come after the end of the response.
            with pytest.raises(LocalProtocolError) as error:
                self.server.send_text(command.request_id, ())
            assert error.value.requirement == "response.active-request"
            return
        stream_id, tag = self._stream(self.server, stream), f"{command.serial}"
        send: SendFrames | NoOp
        if text:
            atoms = [(f"of {tag} %s\n", ("l",), ("a" * size,)), ("%%\n", (), ())]
            command.messages.append([(format_, labels, args) for format_, labels, args in atoms])
            send = self.server.send_text(command.request_id, atoms, stream_id=stream_id)
        else:
            command.messages.append((tag, size - 1, 9, None, "i" * size))
            send = self.server.send_progress(command.request_id, tag, size - 1, 9, item="i" * size, stream_id=stream_id)
        self._hold(command, send, message=True)

    def _hold(self, command: Command, send: SendFrames | NoOp, message: bool = False) -> None:
        """Keeps what is to be sent, now or at the end of input."""
        assert send.request_id == command.request_id
        if isinstance(send, NoOp):
            assert self.defer and not self.ended
            self.held.append((command, message))
        else:
            assert self.ended or not self.defer
            self.answers.append(Sending(send, command, message))

    def take_of_answers(self, picks: list[int]) -> None:
        for pick in picks:
            if not self.answers:
                return
            sending = self.answers[pick % len(self.answers)]
            # Messages come before the end of the response, in their own order.
            sending = next((s for s in self.answers if s.message and s.command is sending.command), sending)
            frames = taken(sending.send, whole=pick % 4 == 3)
            assert frames
            for frame in frames:
                self._take_of_answer(frame)

    def _take_of_answer(self, frame: Frame) -> None:
        assert int(frame.stream_id) in self.server.output_streams
        self.to_client.put(frame)
        is_message = frame.type in (Type.TEXT_OUTPUT, Type.PROGRESS)
        if (frame.type, frame.flags) not in LAST or (is_message and frame.stream_flags & codec.StreamFlag.STREAM_END):
            # Settings, a part of a response, or a text without atoms that closes a stream.
            return
        # A stream may have to give frames of another send first.
        command = self.by_id[frame.request_id]
        sending = next(s for s in self.answers if s.command is command and s.message == is_message)
        self.answers.remove(sending)
        assert next(iter(sending.send), None) is None
        assert sending.send.to_bytes() == b""
        assert (sending.send.failure is not None) == (sending.command.raises and not sending.message)

    # Both.

    @precondition(lambda self: self.commands)
    @rule(
        moves=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 300) | st.just(1 << 20)), min_size=10, max_size=60)
    )
    def move(self, moves: list[tuple[int, int]]) -> None:
        """Some frames are taken, some bytes arrive."""
        for what, number in moves:
            picks = [number + 5 * more for more in range(number % 6 + 1)]
            match what:
                case 0:
                    self.take_of_requests(picks)
                case 1:
                    self.deliver_to_server(number)
                case 2:
                    self.take_of_answers(picks)
                case 3:
                    self.deliver_to_client(number)

    def _stream(self, reactor: Server | Client, which: int | None) -> int | None:
        ids = reactor.output_streams
        return None if which is None else ids[which % len(ids)]

    @invariant()
    def both_work(self) -> None:
        if hasattr(self, "client"):
            assert self.client.works and self.server.works
            assert {command.request_id for command in self.commands if not command.done} == set(self.client.active)

    @precondition(lambda self: not self.ended and len(self.commands) > 5)
    @rule()
    def end_input(self) -> None:
        """The client says no more; what it has said so far goes all the way."""
        self.ended = True
        if self.buffered:
            self.requests.append(self.client.flush())
        while self.requests:
            self.take_of_requests(self.order)
        while self.to_server.data or self.to_server.frames:
            self.deliver_to_server(1 << 20)
        events = self.server.receive_end()
        if self.defer:
            sends, events = events[: len(self.held)], events[len(self.held) :]
            for (command, message), send in zip(self.held, sends, strict=True):
                # In the order in which they became ready.
                assert isinstance(send, SendFrames) and send.request_id == command.request_id
                self.answers.append(Sending(send, command, message))
        for event in events:
            self._at_server(event)
        open_streams = open_streams_of(self.client)
        assert self.left_open["server"] == open_streams
        if self.buffered:
            assert open_streams == []

    def teardown(self) -> None:
        """Comes to an end as two peers do that have nothing against each other, and sees that nothing is left."""
        if not hasattr(self, "client") or sys.exc_info()[0] is not None:
            return
        if not self.ended:
            self.end_input()
        kinds = cycle(["chunks", "bytes", "error", "fails"])
        for command, kind, pick in zip([c for c in self.commands if c.runs], kinds, cycle(self.order), strict=False):
            self._respond(command, kind, [30, 0, 401], pick % 4 if pick < 8 else None, False, False)
        while self.answers:
            self.take_of_answers(self.order)
        while self.to_client.data or self.to_client.frames:
            self.deliver_to_client(1 << 20)
        for event in self.client.receive_end():
            self._at_client(event)
        open_streams = open_streams_of(self.server)
        assert self.left_open["client"] == open_streams
        if self.defer:
            assert open_streams == []
        for command in self.commands:
            assert command.done and command.sent and not command.unfinished
            assert command.ran != command.refused
            assert command.data_complete or command.refused or (self.streaming and command.answered)
        assert not self.server.receiving and not self.client.active
        for reactor in (self.server, self.client):
            assert not reactor.snapshot().requests and not reactor.snapshot().unsent
        counters = self.server.snapshot().counters
        assert (counters["buffered_bytes"], counters["active_requests"], counters["receiving_requests"]) == (0, 0, 0)


def long_talks(examples: int, **options: Any) -> settings:
    """Settings for conversations."""
    return settings(max_examples=examples, stateful_step_count=50, **options)


TestConversation = Conversation.TestCase
TestConversation.settings = long_talks((settings.default or settings()).max_examples * 3 // 4)


# Streams that break a rule, which the machine has to find.


def open_streams_of(reactor: Reactor[Any]) -> list[int]:
    """The streams that a reactor sends on and has not closed."""
    return [key for key, state in reactor.snapshot().outputs.items() if state is not StreamState.CLOSED]


class Unflushed(OutputStream):
    """A context is not flushed before something of another request: bytes surface in the other's frames."""

    def _drain(self, encoder: Encoder) -> None:
        self._run = (0, 0)


class Hasty(OutputStream):
    """Frames that a context made first are not given first."""

    def _put_encoded(self, request_id: int, type_: int, flags: int, payload: bytes, end: bool) -> None:
        super()._put_encoded(request_id, type_, flags, payload, end)
        self.ready.rotate(1)


class Endless(OutputStream):
    """A stream that is never ended."""

    def _put_encoded(self, request_id: int, type_: int, flags: int, payload: bytes, end: bool) -> None:
        super()._put_encoded(request_id, type_, flags, payload, False)

    def _put_plain(self, request_id: int, type_: int, flags: int, payload: bytes, end: bool) -> None:
        super()._put_plain(request_id, type_, flags, payload, False)


@pytest.mark.parametrize("broken", [Unflushed, Hasty, Endless])
def test_the_machine_finds_broken_streams(broken: type[OutputStream]) -> None:
    class Broken(Conversation):
        output_stream = broken

        def build(self, **options: Any) -> None:
            plain = broken is Endless
            options |= {"streams": (1, 1), "encodings": (None, None if plain else "zlib")}
            options |= {"defer": plain, "flush": "response", "send_payload": 64, "tight": False}
            super().build(**options)

    few = long_talks(100, phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Broken, settings=few)


def test_the_machine_finds_nothing_in_sound_streams_that_are_put_in_in_the_same_way() -> None:
    ends: list[int] = []

    class Same(OutputStream):
        """No difference."""

    class Sound(Conversation):
        output_stream = Same

        def teardown(self) -> None:
            super().teardown()
            ends.append(len(self.commands))

    run_state_machine_as_test(Sound, settings=long_talks(20))
    assert len(ends) >= 20 and sum(ends) > 20
