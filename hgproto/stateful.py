"""State machines for Hypothesis that compare a server or a client of the user with hgproto's own.

Subclass :class:`ServerMachine` or :class:`ClientMachine`, implement the methods that start and feed the implementation, and
pass ``TestCase`` of the class to unittest or pytest. Needs Hypothesis (``pip install 'hgproto[hypothesis]'``).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from hgproto.system.extras import Extra

with Extra("hypothesis", "Hypothesis", "hgproto.stateful"):
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from hgproto.reactors.client import Client
from hgproto.reactors.events import Error, PeerError, RequestError, ResponseData, RunCommand, SendFrames
from hgproto.reactors.server import Server
from hgproto.revisions.revision import default_revision
from hgproto.streams.encodings import Encodings, default_encodings
from hgproto.wire.writer import encode_frame

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

__all__ = ["ClientMachine", "ServerMachine"]

_REVISION = default_revision()
_SLOW = {name for name, (algorithm, _) in _REVISION.roles.PROFILES.items() if algorithm == "zstd"}
_MOST_ACTIVE = 6
"""The maximum number of requests that wait at the same time. Higher numbers find no other bugs."""
_NAMES = st.sampled_from(["x", "heads", "lookup"])
_ARGS = st.dictionaries(st.sampled_from(["a", "key", "namespace"]), st.binary(max_size=40), max_size=3)
_BYTES = st.binary(max_size=60) | st.just(bytes(range(250)) * 160)
"""A few bytes, or more bytes than a frame can have."""
_DATA = st.none() | _BYTES
_PICKS = st.integers(0, 1 << 16)


class _Machine(RuleBasedStateMachine):
    """The common part of both machines: sends that are consumed in any order, and bytes that are delivered in chunks."""

    encodings: ClassVar[Encodings | Collection[str] | None] = None
    """The content encodings that the implementation knows, by name or with their profiles; by default zlib and identity.

    With ``()``, no stream names an encoding.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sends: list[SendFrames] = []
        self._wire = bytearray()
        self._begun = False

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Calls the implementation. After a failure, the teardown of the machine does not call it again."""
        try:
            yield
        except BaseException:
            self._begun = False
            raise

    def _known(self) -> Encodings:
        """Returns the encodings that the implementation knows. Raises :class:`hgproto.EncodingError` for an unknown name."""
        if isinstance(self.encodings, Encodings):
            return self.encodings
        profiles = default_encodings()
        # Zstandard needs too much memory and time for a step; it is used only on request.
        names = [name for name in profiles if name not in _SLOW] if self.encodings is None else self.encodings
        return Encodings([profiles[name] for name in names])

    def _encoding(self, pick: int) -> str | None:
        """Returns an encoding, for the streams of this side, that the implementation knows; None for no encoding."""
        names: list[str | None] = [None, *self._known()]
        return names[pick % len(names)]

    def _accepted(self) -> Encodings:
        """Returns the encodings that this side accepts: those that are installed, and the implementation's own profiles."""
        return default_encodings().plus(*map(self._known().__getitem__, self._known()))

    def _take(self, pick: int) -> None:
        """Puts the next frame of one of the sends on the wire."""
        send = self._sends[pick % len(self._sends)]
        frame = next(iter(send), None)
        if frame is None:
            self._sends.remove(send)
        else:
            self._wire += encode_frame(frame)

    def _cut(self, pick: int) -> bytes:
        """Removes a chunk from the wire and returns it."""
        size = 1 + pick % len(self._wire)
        data = bytes(self._wire[:size])
        del self._wire[:size]
        return data


def _cut(events: Iterable[Any]) -> list[Error]:
    """Returns the errors about a cut frame among the events at the end of input. Other leftovers have other events."""
    return [event for event in events if isinstance(event, Error) and event.error.requirement == _REVISION.cut_rule]


class ServerMachine(_Machine):
    """State machine that tests a server with hgproto's client: interleaved commands, in any chunks, on any streams.

    Override :meth:`start`, :meth:`receive`, and :meth:`receive_end`; also :meth:`expected` if the responses are known. A failure is
    an :class:`AssertionError` with the violated requirement, or with the wrong response. Set ``encodings`` and ``deferring`` if
    your server differs from the defaults. Input ends once the maximum number of requests wait and nothing remains to be sent.
    All responses are then due, and another connection begins.
    """

    deferring: ClassVar[bool] = False
    """True for a server that responds only after the end of input, as half-duplex transports such as HTTP need.

    Input then ends at any time, and an earlier response is a failure.
    """

    def start(self) -> None:
        """Begins a connection."""
        raise NotImplementedError

    def receive(self, data: bytes) -> bytes:
        """Passes bytes from the client to the server, and returns the bytes that the server sends in reply so far."""
        raise NotImplementedError

    def receive_end(self) -> bytes:
        """Ends the input of the server, and returns all remaining bytes that it sends."""
        raise NotImplementedError

    def expected(self, command: RunCommand) -> bytes | None:  # noqa: ARG002 - for overriding methods
        """Returns the expected response to a command; None if any response is correct."""
        return None

    @initialize(encoding=_PICKS, streams=st.integers(1, 3))
    def _begin(self, encoding: int, streams: int) -> None:
        self._client = Client(encodings=self._accepted(), encoding=self._encoding(encoding), streams=streams)
        self._commands: dict[int, RunCommand] = {}
        self._received: dict[int, bytes] = {}
        with self._asking():
            self.start()
        self._begun = True

    @precondition(lambda self: len(self._client.active) < _MOST_ACTIVE)
    @rule(name=_NAMES, args=_ARGS, data=_DATA, pick=_PICKS)
    def issue_command(self, name: str, args: dict[str, bytes], data: bytes | None, pick: int) -> None:
        """Issues a command."""
        streams = self._client.output_streams
        send: Any = self._client.issue(name, args, data, stream_id=streams[pick % len(streams)])
        # Arguments are sent in the order of their names.
        self._commands[send.request_id] = RunCommand(send.request_id, name, dict(sorted(args.items())), data)
        self._sends.append(send)

    @precondition(lambda self: self._sends)
    @rule(pick=_PICKS)
    def send_frame(self, pick: int) -> None:
        """Sends the next frame of one of the commands."""
        self._take(pick)

    @precondition(lambda self: self._wire)
    @rule(pick=_PICKS)
    def deliver(self, pick: int) -> None:
        """Delivers bytes to the server."""
        self._read(self._cut(pick))

    @precondition(lambda self: self._may_end())
    @rule(encoding=_PICKS, streams=st.integers(1, 3))
    def end_input(self, encoding: int, streams: int) -> None:
        """Sends all remaining frames, expects a response to every command, and begins another connection."""
        self._end()
        self._begin(encoding, streams)

    def _may_end(self) -> bool:
        if self.deferring:
            return bool(self._commands)
        return not (self._sends or self._wire or len(self._client.active) < _MOST_ACTIVE)

    def _read(self, data: bytes) -> None:
        with self._asking():
            answer = self.receive(data)
            if answer and self.deferring:
                raise AssertionError(f"the server responds before the end of input: {answer[:40].hex(' ')}")
            self._answered(self._client.receive_data(answer) if answer else ())

    def _answered(self, events: Iterable[Any]) -> None:
        for event in events:
            match event:
                case Error():
                    raise AssertionError(f"the server violates a requirement: {event.error}")
                case PeerError():
                    raise AssertionError(f"the server rejects valid frames: {event.message}")
                case RequestError() if event.requirement is None:
                    # With a requirement, the connection has failed; the next event reports that.
                    self._done(event.request_id, None, event.message)
                case ResponseData():
                    data = self._received.pop(event.request_id, b"") + event.data
                    if event.last:
                        self._done(event.request_id, data, "")
                    else:
                        self._received[event.request_id] = data

    def _done(self, request_id: int, data: bytes | None, message: str) -> None:
        command = self._commands.pop(request_id)
        wanted = self.expected(command)
        if wanted is not None and data != wanted:
            found = f"the error {message!r}" if data is None else repr(data)
            raise AssertionError(f"for {command} expected {wanted!r}, found {found}")

    def teardown(self) -> None:
        """Sends all remaining frames, and expects a response to every command."""
        if self._begun:
            self._end()

    def _end(self) -> None:
        with self._asking():
            while self._sends:
                self._take(0)
            if self._wire:
                self._read(self._cut(len(self._wire) - 1))
            data = self.receive_end()
            self._answered(self._client.receive_data(data) if data else ())
            # A cut frame is reported only at the end of the server's output.
            events = self._client.receive_end()
            self._answered(
                event for event in events if isinstance(event, Error) and event.error.requirement == _REVISION.cut_rule
            )
            left = sorted(self._commands)
            if left:
                raise AssertionError(f"no response to the requests {left}")


class ClientMachine(_Machine):
    """State machine that tests a client with hgproto's server: interleaved responses in any order, in any chunks, on any streams.

    Override :meth:`start`, :meth:`issue`, and :meth:`receive`. A failure is an :class:`AssertionError` with the violated
    requirement, or with the bytes that the client has read instead. Set ``encodings`` if your client differs from the default.
    """

    def start(self) -> None:
        """Begins a connection."""
        raise NotImplementedError

    def issue(self, name: str, args: dict[str, bytes], data: bytes | None) -> bytes:
        """Makes the client send a command, and returns the bytes that it sends."""
        raise NotImplementedError

    def receive(self, data: bytes) -> Iterable[tuple[int, bytes | None]]:
        """Passes bytes from the server to the client, and returns the responses that are now complete.

        Each is a pair of a request id and the bytes of the response; None instead of the bytes for an application error.
        """
        raise NotImplementedError

    @initialize(encoding=_PICKS, streams=st.integers(1, 3))
    def _begin(self, encoding: int, streams: int) -> None:
        self._server = Server(encodings=self._accepted(), encoding=self._encoding(encoding), streams=streams)
        self._issued: list[tuple[str, dict[str, bytes], bytes | None]] = []
        self._waiting: list[int] = []
        self._expected: dict[int, bytes | None] = {}
        with self._asking():
            self.start()
        self._begun = True

    @precondition(lambda self: len(self._waiting) + len(self._expected) < _MOST_ACTIVE)
    @rule(name=_NAMES, args=_ARGS, data=_DATA)
    def issue_command(self, name: str, args: dict[str, bytes], data: bytes | None) -> None:
        """Issues a command."""
        self._issued.append((name, args, data))
        with self._asking():
            for event in self._server.receive_data(self.issue(name, args, data)):
                match event:
                    case Error():
                        raise AssertionError(f"the client violates a requirement: {event.error}")
                    case RunCommand():
                        found = (event.name, event.args, event.data)
                        if found not in self._issued:
                            raise AssertionError(f"expected one of {self._issued}, found {found}")
                        self._issued.remove(found)
                        self._waiting.append(event.request_id)

    @precondition(lambda self: self._waiting)
    @rule(pick=_PICKS, data=_DATA)
    def respond(self, pick: int, data: bytes | None) -> None:
        """Responds to one of the commands, with an error if ``data`` is None."""
        request_id = self._waiting.pop(pick % len(self._waiting))
        streams = self._server.output_streams
        stream_id = streams[pick % len(streams)]
        self._expected[request_id] = data
        answer: Any
        if data is None:
            answer = self._server.respond_error(request_id, "no", stream_id=stream_id)
        else:
            answer = self._server.respond(request_id, data, stream_id=stream_id)
        self._sends.append(answer)

    @precondition(lambda self: self._waiting)
    @rule(pick=_PICKS)
    def send_message(self, pick: int) -> None:
        """Sends text for one of the commands."""
        request_id = self._waiting[pick % len(self._waiting)]
        message: Any = self._server.send_text(request_id, [("%s\n", ["ui.status"], [str(pick)])])
        for frame in message:
            self._wire += encode_frame(frame)

    @precondition(lambda self: self._sends)
    @rule(pick=_PICKS)
    def send_frame(self, pick: int) -> None:
        """Sends the next frame of one of the responses."""
        self._take(pick)

    @precondition(lambda self: self._wire)
    @rule(pick=_PICKS)
    def deliver(self, pick: int) -> None:
        """Delivers bytes to the client."""
        self._read(self._cut(pick))

    def _read(self, raw: bytes) -> None:
        with self._asking():
            for request_id, data in self.receive(raw):
                if request_id not in self._expected:
                    raise AssertionError(f"request {request_id} has no response, and the client has read {data!r}")
                wanted = self._expected.pop(request_id)
                if data != wanted:
                    raise AssertionError(f"for request {request_id} expected {wanted!r}, found {data!r}")

    def teardown(self) -> None:
        """Sends all remaining frames, and expects the client to have read every response."""
        if not self._begun:
            return
        while self._sends:
            self._take(0)
        if self._wire:
            self._read(bytes(self._wire))
        if self._issued:
            raise AssertionError(f"the client has not sent {self._issued}")
        for event in _cut(self._server.receive_end()):
            raise AssertionError(f"the client violates a requirement: {event.error}")
        if self._expected:
            raise AssertionError(f"the client has not read the responses to {sorted(self._expected)}")
