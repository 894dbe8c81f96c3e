"""Harnesses for hgproto itself: functions that accept arbitrary bytes and raise if hgproto misbehaves.

Each works with every engine: the loop of :func:`run`, Hypothesis, and Atheris (``python -m hgproto.fuzz --atheris NAME``).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.errors import HumanFormError, LocalProtocolError, RemoteProtocolError
from hgproto.evidence.prove import same_value
from hgproto.fuzz.cases import Cases
from hgproto.fuzz.echo import ISSUED, description
from hgproto.judging.finding import other_role
from hgproto.judging.validation import validate
from hgproto.reactors.client import Client
from hgproto.reactors.events import Error, PeerError, RunCommand, SendFrames
from hgproto.reactors.limits import Limits
from hgproto.reactors.server import Server
from hgproto.revisions.revision import default_revision
from hgproto.wire.human import format_frame, parse_frame
from hgproto.wire.reader import FrameReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hgproto.judging.finding import Role

__all__ = ["HARNESSES", "Harness", "Tally", "cases_of", "check", "run"]

codec, structs = default_revision().codec, default_revision().structs
_MOST = codec.MAX_PAYLOAD[1]
_TIGHT = Limits(
    max_payload=4096,
    open_streams=3,
    decoded_frame=4096,
    decoded_response=8192,
    receiving_requests=3,
    active_requests=5,
    request_bytes=4096,
    buffered_bytes=8192,
    arguments=4,
    argument_value=1024,
)


class Harness(NamedTuple):
    """A harness.

    ``call``: a function of bytes that raises if hgproto misbehaves. ``side``: the sender of the bytes, ``client`` or ``server``.
    ``doc``: the property that it checks.
    """

    call: Callable[[bytes], object]
    side: Role
    doc: str


def check(holds: object, what: str) -> None:
    """Raises :class:`AssertionError` with the text ``what`` unless ``holds``, even if Python runs without assertions."""
    if not holds:
        raise AssertionError(what)


def _cut(data: bytes) -> Iterator[bytes]:
    """Yields bytes in chunks whose sizes depend on the bytes."""
    at, size = 0, 1
    while at < len(data):
        yield data[at : at + size]
        size, at = 1 + (data[at] * 7 + size) % 31, at + size


def _outcome(frames: Iterable[Any]) -> tuple[list[Any], tuple[str, int] | None]:
    """Returns frames and, if they end with an error, its requirement and offset."""
    seen: list[Any] = []
    try:
        for frame in frames:
            seen.append(frame)  # noqa: PERF402 - frames before an error count
    except RemoteProtocolError as error:
        return seen, (error.requirement, error.offset or 0)
    return seen, None


def _reader(data: bytes) -> None:
    whole, error = _outcome(FrameReader().read(data))
    chunked, error_of_chunks = _outcome(FrameReader().read(_cut(data)))
    check(whole == chunked, "frames do not depend on chunks")
    check(error == error_of_chunks, "errors do not depend on chunks")
    again = b"".join(codec.encode_frame(frame, _MOST) for frame in whole)
    check(data.startswith(again), "decoded frames are encoded to the same bytes")
    check(error is not None or again == data, "no bytes are lost")


def _human(data: bytes) -> None:
    try:
        frame = parse_frame(data)
    except HumanFormError as error:
        check(0 <= error.column <= len(data) + 1, "the column of an error is within the line")
    else:
        _round_trip(frame)
    for frame in _outcome(FrameReader().read(data))[0]:
        _round_trip(frame)


def _round_trip(frame: Any) -> None:
    line = format_frame(frame)
    check(line.isascii() and "\n" not in line, "a frame is a line of ASCII")
    check(parse_frame(line) == frame, "a line is parsed as its frame")
    check(format_frame(parse_frame(line)) == line, "the canonical line is stable")


def _server(data: bytes) -> None:
    for limits in (None, _TIGHT):
        whole, chunked = Server(limits=limits), Server(limits=limits)
        events = [*whole.receive_data(data)]
        in_chunks = [event for chunk in _cut(data) for event in chunked.receive_data(chunk)]
        _same_events(events, in_chunks)
        bound = (limits or whole.limits).active_requests
        for server, told in ((whole, events), (chunked, in_chunks)):
            commands = [event for event in told if isinstance(event, RunCommand)]
            check(len(commands) <= bound, "the number of requests is within the limit")
            answers = [server.respond(one.request_id, description(one)) for one in commands if server.works]
            _sent([*told, *answers, *server.receive_end()])
        check(whole.works == chunked.works, "the state does not depend on chunks")


def _client(data: bytes) -> None:
    for limits in (None, _TIGHT):
        clients = [Client(limits=limits), Client(limits=limits)]
        for client in clients:
            for request_id in ISSUED:
                if len(client.active) < client.limits.active_requests:
                    client.issued(request_id)
        events = [*clients[0].receive_data(data)]
        in_chunks = [event for chunk in _cut(data) for event in clients[1].receive_data(chunk)]
        _same_events(events, in_chunks)
        for client in clients:
            client.receive_end()
            check(not client.active, "after the end of input no request waits")


def _same_events(one: list[Any], other: list[Any]) -> None:
    """Checks that events do not depend on chunks. After the connection has ended, each chunk is rejected separately."""
    shown = [[_plain(event) for event in _to_error(events)] for events in (one, other)]
    check(shown[0] == shown[1], "events do not depend on chunks")


def _to_error(events: list[Any]) -> Iterator[Any]:
    for event in events:
        yield event
        if isinstance(event, Error | PeerError):
            return


def _plain(event: Any) -> Any:
    match event:
        case Error():
            return event.error.requirement, event.error.offset
        case SendFrames():
            return event.request_id, event.requirement
    return event


def _sent(events: list[Any]) -> None:
    """Checks that a server sends only valid frames on its own streams."""
    for event in events:
        for frame in event if isinstance(event, SendFrames) else event.frames if isinstance(event, Error) else ():
            codec.check_header(frame)
            check(not frame.stream_id & 1, "the stream ids of a server are even")


def _validator(data: bytes) -> None:
    for role in ("client", "server"):
        whole = list(validate(data, role=role))
        check(whole == list(validate(_cut(data), role=role)), "findings do not depend on chunks")
        check(all(0 <= finding.offset <= len(data) for finding in whole), "findings are within the input")
    frames = list(validate(data, depth="frames"))
    check(frames == list(validate(_cut(data), depth="frames")), "findings about frames do not depend on chunks")
    check(len(frames) <= 1 + 20 * (1 + len(data) // codec.HEADER_BYTES), "the number of findings is bounded")


def _differential(raw: bytes) -> None:
    at = 0
    while at < len(raw):
        data = raw[at:]
        fast, slow = _by_codec(data), _by_structs(data)
        if len(fast) == 6 or len(slow) == 6:
            check(fast == slow, f"both codecs report the same error: {fast} and {slow}")
        else:
            check(
                fast[:2] == slow[:2] and same_value(fast[2], slow[2]),
                f"both codecs decode the same value: {fast} and {slow}",
            )
        at = codec.frame_end(raw, at)


def _by_codec(data: bytes) -> tuple[Any, ...]:
    try:
        frame, end = codec.decode_frame(data)
        codec.check_header(frame)
        try:
            return frame.as_dict(), end, codec.decode_payload(frame)
        except RemoteProtocolError as error:
            raise error.moved(codec.HEADER_BYTES) from None
    except RemoteProtocolError as error:
        return error.args


def _by_structs(data: bytes) -> tuple[Any, ...]:
    try:
        container = structs.checked_frame.parse(data, continued=False)
    except RemoteProtocolError as error:
        return error.args
    header = {name: container[name] for name in codec.make_frame(0, 0, 0, 1, 0, b"").as_dict()}
    value = container.payload if container.value is None else container.value
    return header, codec.HEADER_BYTES + container.length, value


HARNESSES: dict[str, Harness] = {
    "reader": Harness(_reader, "client", "reading frames does not depend on chunks; damage is reported once"),
    "server": Harness(_server, "client", "no bytes raise, exceed a limit, or depend on chunks"),
    "client": Harness(_client, "server", "no bytes raise, exceed a limit, or depend on chunks"),
    "human": Harness(_human, "client", "the line of a frame is parsed as the frame; any other line is one error"),
    "validator": Harness(
        _validator, "client", "no bytes raise; findings do not depend on chunks, and are within the input"
    ),
    "differential": Harness(_differential, "client", "the Structs and the fast codec agree"),
}
"""The harnesses by name."""


class Tally(NamedTuple):
    """The result of a run: the numbers of cases and bytes, the time in seconds, and the bytes and exception of each fault."""

    cases: int
    size: int
    seconds: float
    faults: tuple[tuple[bytes, Exception], ...]


def cases_of(name: str, seed: int) -> Iterator[bytes]:
    """Yields an infinite sequence of bytes for a harness: lines in human form for ``human``, or else cases of its side."""
    harness = HARNESSES[name]
    role = other_role(harness.side)
    for number, case in enumerate(Cases(role, seed, rate=70, probe=False)):
        if name != "human":
            yield case.data
            continue
        for frame in _outcome(FrameReader().read(case.data[:2000]))[0]:
            line = bytearray(format_frame(frame).encode())
            if number % 3:
                at = (number * 31) % len(line)
                line[at : at + number % 2] = bytes([(number * 17) % 256]) if number % 5 else b"\\x"
            yield bytes(line)


def run(
    name: str,
    *,
    seed: int = 0,
    most_seconds: float | None = None,
    most_cases: int | None = None,
    watch: Callable[[int], object] | None = None,
) -> Tally:
    """Runs a harness without an engine. ``watch``: called after each case with the number of cases."""
    call = HARNESSES[name].call
    begun = time.monotonic()
    number = size = 0
    faults: list[tuple[bytes, Exception]] = []
    kinds = set()
    for number, data in enumerate(cases_of(name, seed), 1):
        size += len(data)
        try:
            call(data)
        except LocalProtocolError as error:
            # Bytes from a peer must never raise an error about the caller.
            faults.append((data, error))
        except Exception as error:
            kind = (type(error), str(error)[:60])
            if kind not in kinds:
                kinds.add(kind)
                faults.append((data, error))
        if watch is not None:
            watch(number)
        if (most_cases is not None and number >= most_cases) or (
            most_seconds is not None and time.monotonic() - begun >= most_seconds
        ):
            break
    return Tally(number, size, time.monotonic() - begun, tuple(faults))
