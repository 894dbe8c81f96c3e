"""The state machines for users: ours pass, and each kind of mistake is told in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from hgproto.errors import EncodingError
from hgproto.fuzz.echo import description
from hgproto.reactors.client import Client
from hgproto.reactors.events import Error, RequestError, ResponseData, RunCommand, SendFrames
from hgproto.reactors.server import Server
from hgproto.stateful import ClientMachine, ServerMachine
from hgproto.streams.encodings import Encodings, Profile, default_encodings
from hgproto.wire.writer import encode_frame

if TYPE_CHECKING:
    from collections.abc import Iterable

RUNS = settings(max_examples=max(settings().max_examples // 4, 5), stateful_step_count=20, deadline=None)
SEARCH = settings(RUNS, max_examples=300, phases=[Phase.generate])


class OurServer(ServerMachine):
    """Our server, which answers with the description of each command."""

    def start(self) -> None:
        self.server = Server(encoding="zlib", streams=2)

    def receive(self, data: bytes) -> bytes:
        return self.said(self.server.receive_data(data))

    def receive_end(self) -> bytes:
        return self.said(self.server.receive_end())

    def said(self, events: list[Any]) -> bytes:
        out = b""
        for event in events:
            if isinstance(event, RunCommand) and self.server.works:
                out += b"".join(map(encode_frame, self.server.respond(event.request_id, self.answer(event))))
            elif isinstance(event, SendFrames):
                out += b"".join(map(encode_frame, event))
            elif isinstance(event, Error):
                out += b"".join(map(encode_frame, event.frames))
        return out

    def answer(self, command: RunCommand) -> bytes:
        return description(command)

    def expected(self, command: RunCommand) -> bytes:
        return description(command)


class OurClient(ClientMachine):
    """Our client."""

    def start(self) -> None:
        self.client = Client(encoding="zlib", streams=2)
        self.read: dict[int, bytes] = {}

    def issue(self, name: str, args: dict[str, bytes], data: bytes | None) -> bytes:
        return b"".join(map(encode_frame, self.client.issue(name, args, data)))

    def receive(self, data: bytes) -> Iterable[tuple[int, bytes | None]]:
        for event in self.client.receive_data(data):
            if isinstance(event, ResponseData):
                self.read[event.request_id] = self.read.get(event.request_id, b"") + event.data
                if event.last:
                    yield event.request_id, self.read.pop(event.request_id)
            elif isinstance(event, RequestError):
                yield event.request_id, None


@pytest.mark.parametrize("machine", [OurServer, OurClient])
def test_ours_pass(machine: Any) -> None:
    run_state_machine_as_test(machine, settings=RUNS)


class Deferring(OurServer):
    """Our server as it is behind HTTP: it answers at the end of input."""

    deferring = True

    def start(self) -> None:
        self.server = Server(encoding="zlib", streams=2, defer=True)


class DeferringUnsaid(Deferring):
    """The same, without telling the machine: input ends once it can send nothing more."""

    deferring = False


ZLIB = default_encodings()["zlib"]


class Identity(OurServer):
    """Our server, which knows one encoding."""

    encodings = ("identity",)

    def start(self) -> None:
        self.server = Server(encodings=Encodings([default_encodings()["identity"]]))


class Plain(OurServer):
    """Our server, which knows no encoding."""

    encodings = ()

    def start(self) -> None:
        self.server = Server(encodings=Encodings([]))


class Profiles(OurServer):
    """Our server, which knows a profile of the user's."""

    encodings = Encodings([Profile("mine", ZLIB.encoder, ZLIB.decoder)])

    def start(self) -> None:
        self.server = Server(encodings=self.encodings, encoding="mine")


class PlainClient(OurClient):
    """Our client, which knows no encoding."""

    encodings = ()

    def start(self) -> None:
        super().start()
        self.client = Client(encodings=Encodings([]))


class ProfilesClient(OurClient):
    """Our client, which knows a profile of the user's."""

    encodings = Profiles.encodings

    def start(self) -> None:
        super().start()
        self.client = Client(encodings=self.encodings, encoding="mine")


@pytest.mark.parametrize(
    "machine", [Deferring, DeferringUnsaid, Identity, Plain, Profiles, PlainClient, ProfilesClient]
)
def test_ours_pass_however_they_are_set(machine: Any) -> None:
    begun: list[Any] = []

    class Counted(machine):  # type: ignore[misc]
        def start(self) -> None:
            begun.append(self)
            super().start()

    run_state_machine_as_test(Counted, settings=settings(RUNS, max_examples=12, stateful_step_count=50))
    if machine is not DeferringUnsaid:
        # Of a server that defers, one story has several connections; where that is unsaid, chance decides.
        assert (len(begun) > len({id(one) for one in begun})) == (machine is Deferring)


@pytest.mark.parametrize("machine", [DeferringUnsaid, OurServer])
def test_input_ends_once_nothing_more_can_be_sent(machine: Any) -> None:
    begun: list[Any] = []

    class Counted(machine):  # type: ignore[misc]
        def start(self) -> None:
            begun.append(self)
            super().start()

    story: Any = Counted()
    story._begin(0, 1)
    for number in range(6):
        assert not story._may_end(), number
        story.issue_command("x", {}, None, 0)
    while story._sends:
        assert not story._may_end()
        story.send_frame(0)
    while story._wire:
        assert not story._may_end()
        story.deliver(4)
    # Only a server that waits for the end of input has answered nothing.
    assert story._may_end() == (machine is DeferringUnsaid)
    story.end_input(0, 1)
    assert not story._commands
    assert not story._may_end()
    assert len(begun) == 2
    story.teardown()


def test_an_encoding_that_there_is_not_is_an_error() -> None:
    class Wrong(OurServer):
        encodings = ("br",)

    with pytest.raises(EncodingError, match="there is no content encoding 'br'"):
        run_state_machine_as_test(Wrong, settings=RUNS)


class Early(OurServer):
    deferring = True


class Limited(OurServer):
    """Knows fewer encodings than it says."""

    encodings = ("identity", "zlib")

    def start(self) -> None:
        self.server = Server(encodings=Encodings([default_encodings()["identity"]]))


class DefersAndForgets(Deferring):
    def said(self, events: list[Any]) -> bytes:
        return super().said([event for event in events if getattr(event, "name", "") != "lookup"])


class Forgets(OurServer):
    def answer(self, command: RunCommand) -> bytes:
        return description(RunCommand(command.request_id, command.name, {}, command.data))


class Silent(OurServer):
    def said(self, events: list[Any]) -> bytes:
        return super().said([event for event in events if getattr(event, "name", "") != "lookup"])


class Odd(OurServer):
    def said(self, events: list[Any]) -> bytes:
        # The first frame goes on a stream of the client.
        out = super().said(events)
        return out[:5] + b"\x01" + out[6:] if out else out


class Suspicious(OurServer):
    def start(self) -> None:
        from hgproto.reactors.limits import Limits

        self.server = Server(limits=Limits(max_payload=30))


class Drops(OurClient):
    def receive(self, raw: bytes) -> Iterable[tuple[int, bytes | None]]:
        return [(request_id, data) for request_id, data in super().receive(raw) if data]


class Doubles(OurClient):
    def receive(self, data: bytes) -> Iterable[tuple[int, bytes | None]]:
        return [answer for answer in super().receive(data) for _ in range(2)]


class Mixes(OurClient):
    def receive(self, raw: bytes) -> Iterable[tuple[int, bytes | None]]:
        return [(request_id, data and data + b"!") for request_id, data in super().receive(raw)]


class Breaks(OurClient):
    def issue(self, name: str, args: dict[str, bytes], data: bytes | None) -> bytes:
        raw = super().issue(name, args, data)
        return raw[:5] + b"\x02" + raw[6:]


class Renames(OurClient):
    def issue(self, name: str, args: dict[str, bytes], data: bytes | None) -> bytes:
        return super().issue("y" if name == "x" else name, args, data)


class Withholds(OurClient):
    def issue(self, name: str, args: dict[str, bytes], data: bytes | None) -> bytes:
        super().issue(name, args, data)
        return b""


class CutsEnd(OurServer):
    def receive_end(self) -> bytes:
        return super().receive_end() + b"\5\0\0"


class CutsEndOfClient(OurClient):
    def issue(self, name: str, args: dict[str, bytes], data: bytes | None) -> bytes:
        return super().issue(name, args, data) + b"\5\0\0"


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        (CutsEnd, r"the server violates a requirement: .*frame\.whole"),
        (CutsEndOfClient, r"the client violates a requirement: .*frame\.whole"),
        (Forgets, r"for RunCommand\(.*\) expected b['\"].*['\"], found b['\"]"),
        (Silent, r"no response to the requests \[\d"),
        (Odd, r"the server violates a requirement: stream_id: expected a stream of the server"),
        (Early, r"the server responds before the end of input: [0-9a-f]{2} "),
        (Limited, r"the server rejects valid frames: .*zlib"),
        (DefersAndForgets, r"no response to the requests \[\d"),
        (Suspicious, r"the server rejects valid frames: .*at most 30 bytes"),
        (Drops, r"the client has not read the responses to \[\d"),
        (Doubles, r"request \d+ has no response, and the client has read "),
        (Mixes, r"for request \d+ expected b['\"].*['\"], found b['\"].*!['\"]"),
        (Breaks, r"the client violates a requirement: stream_id: expected a stream of the client"),
        (Renames, r"expected one of \[\('x', .*\], found \('y'"),
        (Withholds, r"the client has not sent \["),
    ],
)
def test_a_mistake_is_told(machine: Any, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        run_state_machine_as_test(machine, settings=SEARCH)


class OwnError(Exception):
    """An exception of a user's server or client."""


class FailsToReceive(OurServer):
    def receive(self, data: bytes) -> bytes:
        raise OwnError


class FailsToExpect(OurServer):
    def expected(self, command: RunCommand) -> bytes:
        raise OwnError


class FailsToBeginAgain(OurServer):
    deferring = True

    def start(self) -> None:
        if hasattr(self, "server"):
            raise OwnError
        super().start()

    def receive(self, data: bytes) -> bytes:
        self.data = getattr(self, "data", b"") + data
        return b""

    def receive_end(self) -> bytes:
        return self.said(self.server.receive_data(self.data)) + super().receive_end()


class FailsToIssue(OurClient):
    def issue(self, name: str, args: dict[str, bytes], data: bytes | None) -> bytes:
        super().issue(name, args, data)
        raise OwnError


class FailsToRead(OurClient):
    def receive(self, data: bytes) -> Iterable[tuple[int, bytes | None]]:
        yield from super().receive(data)
        raise OwnError


@pytest.mark.parametrize("machine", [FailsToReceive, FailsToExpect, FailsToBeginAgain, FailsToIssue, FailsToRead])
def test_an_exception_of_ones_own_is_raised_alone(machine: Any) -> None:
    with pytest.raises(OwnError) as raised:
        run_state_machine_as_test(machine, settings=SEARCH)
    assert raised.value.__context__ is None


@pytest.mark.parametrize(
    ("machine", "call", "arguments"),
    [
        (ServerMachine, "start", ()),
        (ServerMachine, "receive", (b"",)),
        (ServerMachine, "receive_end", ()),
        (ClientMachine, "start", ()),
        (ClientMachine, "issue", ("x", {}, None)),
        (ClientMachine, "receive", (b"",)),
    ],
)
def test_what_is_not_said_is_missing(machine: Any, call: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(NotImplementedError):
        getattr(machine, call)(None, *arguments)
