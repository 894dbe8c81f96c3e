"""The benchmarks of the reactors: `python tests/benchmarks/reactors.py` prints a table, `--quick` one in less time.

Whole reactors, from bytes to commands: ours, one written by hand that gives tuples, and one in the manner of the
reference implementation. All are timed in the same run, since absolute times say more about a machine than about code.
What both sides send is timed too, for information.

A reactor is used once, since requests that are not answered stay active. Reactors are made ahead, some at a time: the runs
in which that happens are slow, and only the fastest counts.
"""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

# As a script this module is not in a package; its siblings are always imported as one.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.frames import Task, cut_up, processor
from benchmarks.peers import encode
from benchmarks.reactor_peers import (
    ARGUMENT_HEADER,
    Action,
    Command,
    HandClient,
    HandServer,
    ReferenceServer,
    Response,
    read_reference_frames,
)
from benchmarks.timing import Contestant, measure, own

from hgproto.reactors.client import Client
from hgproto.reactors.events import ResponseData, RunCommand
from hgproto.reactors.limits import Limits
from hgproto.reactors.server import Server
from hgproto.revisions.framing_0002.codec import encode_frame, make_frame
from hgproto.streams.output_stream import OutputStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "Line",
    "command_bytes",
    "judged",
    "main",
    "missed",
    "report",
    "response_bytes",
    "servers",
    "tasks",
    "timed",
]

Reactor = TypeVar("Reactor")

COMMANDS = 200
CHUNK_BYTES = 1 << 16
AHEAD = 16
"""Reactors that are made at a time."""
AT_MOST = 1.5
"""Times the reactor that is written by hand, for commands without data that are received."""
AT_MOST_WITH_DATA = 1.7
"""The same for commands with data."""
AT_MOST_OF_CLIENTS = 1.6
"""The same for responses that a client receives."""
SENT_AT_MOST = 6.0
"""The same for what is sent."""
SLOWER = 3.0
"""Times ours, for the one in the manner of the reference."""


# What goes in


def commands(count: int, arguments: int, data: bytes | None = None) -> list[Command]:
    """Commands with so many arguments, with names of 8 bytes and values of 16, and with data if it is given."""
    args = {f"argument{place}"[-8:]: bytes(range(place, place + 16)) for place in range(arguments)}
    return [Command(request_id, "listkeys", dict(args), data) for request_id in range(1, 2 * count, 2)]


def responses(count: int) -> list[Response]:
    """Responses of 16 bytes."""
    return [Response(request_id, bytes(range(16))) for request_id in range(1, 2 * count, 2)]


def command_bytes(items: Sequence[Command]) -> bytes:
    """Commands as bytes, one after the other on one stream."""
    parts = []
    begin = 1
    for request_id, name, args, data in items:
        flags = 2 * bool(args) | 4 * (data is not None)
        parts.append(encode(request_id, 1, begin, 1, flags or 1, name.encode()))
        begin = 0
        for place, (key, value) in enumerate(args.items(), 1):
            payload = ARGUMENT_HEADER.pack(len(key), len(value)) + key.encode() + value
            parts.append(encode(request_id, 1, 0, 2, 2 if place == len(args) else 0, payload))
        if data is not None:
            parts.append(encode(request_id, 1, 0, 3, 2, data))
    return b"".join(parts)


def response_bytes(items: Sequence[Response]) -> bytes:
    """Responses as bytes, one after the other on stream 2."""
    begin = [1, *[0] * len(items)]
    return b"".join(
        encode(item.request_id, 2, begin[place], 4, 2 if item.last else 1, item.data)
        for place, item in enumerate(items)
    )


# Contestants


def ahead(make: Callable[[], Reactor]) -> Callable[[], Reactor]:
    """Gives reactors that were made before, :data:`AHEAD` at a time."""
    stock: list[Reactor] = []

    def take() -> Reactor:
        if not stock:
            stock.extend(make() for _ in range(AHEAD))
        return stock.pop()

    return take


def our_server() -> Server:
    """Our server, with as many active requests as it is given."""
    return Server(limits=Limits(active_requests=32768))


def receiving(
    make: Callable[[], Any], bytes_of: Callable[[Sequence[Any]], bytes], ids: Callable[[Any, Sequence[Any]], None]
) -> Callable[[Sequence[Any]], Callable[[], list[Any]]]:
    """Feeds a reactor in chunks of :data:`CHUNK_BYTES`. ``ids``: tells it beforehand which requests there are."""

    def prepare(items: Sequence[Any]) -> Callable[[], list[Any]]:
        chunks = cut_up(bytes_of(items), CHUNK_BYTES)

        def made() -> Any:
            reactor = make()
            ids(reactor, items)
            return reactor

        take = ahead(made)

        def run() -> list[Any]:
            receive = take().receive_data
            events: list[Any] = []
            for chunk in chunks:
                events += receive(chunk)
            return events

        return own(run)

    return prepare


def unknown(reactor: Any, items: Sequence[Any]) -> None:
    """A server is told of no request beforehand."""


def in_manner_of_reference(items: Sequence[Command]) -> Callable[[], list[Action]]:
    """Reads frames from a file and hands them over one by one."""
    data = command_bytes(items)
    take = ahead(ReferenceServer)

    def run() -> list[Action]:
        receive = take().onframerecv
        return [receive(frame) for frame in read_reference_frames(data)]

    return run


def our_commands(events: Sequence[Any]) -> list[Command]:
    """The commands among our events. All else has to be :class:`WantFrame`, which is told nobody."""
    return [
        Command(event.request_id, event.name, event.args, event.data)
        for event in events
        if isinstance(event, RunCommand)
    ]


def tuples_as_commands(events: Sequence[Any]) -> list[Command]:
    """The commands of the reactor that is written by hand."""
    return [Command(*event) for event in events]


def reference_commands(actions: Sequence[Action]) -> list[Command]:
    """The commands among pairs of an action and a dict."""
    return [
        Command(given["requestid"], given["command"], given["args"], given["data"])
        for action, given in actions
        if action == "runcommand"
    ]


def servers(at_most: float = AT_MOST) -> list[Contestant[Command]]:
    """Those who make commands of bytes. ``at_most``: times the reactor that is written by hand, for ours."""
    return [
        Contestant(
            "hand-written, tuples",
            receiving(HandServer, command_bytes, unknown),
            tuples_as_commands,
            list,
            hand=True,
        ),
        Contestant(
            "ours: Server.receive_data",
            receiving(our_server, command_bytes, unknown),
            our_commands,
            list,
            ours=True,
            at_most=at_most,
        ),
        Contestant("in the manner of the reference", in_manner_of_reference, reference_commands, list, slower=SLOWER),
    ]


def clients() -> list[Contestant[Response]]:
    """Those who make responses of bytes."""

    def issue(client: Client, items: Sequence[Response]) -> None:
        for item in items:
            client.issued(item.request_id)

    def note(client: HandClient, items: Sequence[Response]) -> None:
        client.requests.update(item.request_id for item in items)

    return [
        Contestant(
            "hand-written, tuples",
            receiving(HandClient, response_bytes, note),
            lambda events: [Response(*event) for event in events],
            list,
            hand=True,
        ),
        Contestant(
            "ours: Client.receive_data",
            receiving(Client, response_bytes, issue),
            lambda events: [
                Response(event.request_id, event.data, event.last)
                for event in events
                if isinstance(event, ResponseData)
            ],
            list,
            ours=True,
            at_most=AT_MOST_OF_CLIENTS,
        ),
    ]


def responders() -> list[Contestant[Response]]:
    """Those who make bytes of responses."""

    def asked(make: Callable[[], Any], items: Sequence[Response]) -> Callable[[], Any]:
        raw = command_bytes([Command(item.request_id, "heads", {}) for item in items])

        def made() -> Any:
            server = make()
            server.receive_data(raw)
            return server

        return ahead(made)

    def by_hand(items: Sequence[Response]) -> Callable[[], list[bytes]]:
        take = asked(HandServer, items)

        def run() -> list[bytes]:
            respond = take().respond
            return [respond(request_id, data) for request_id, data, _ in items]

        return run

    def ours(items: Sequence[Response]) -> Callable[[], list[bytes]]:
        take = asked(our_server, items)

        def run() -> list[bytes]:
            respond = take().respond
            return [respond(request_id, data).to_bytes() for request_id, data, _ in items]

        return run

    return [
        Contestant("hand-written, bytes", by_hand, b"".join, response_bytes, hand=True),
        Contestant("ours: Server.respond, to_bytes", ours, b"".join, response_bytes, ours=True, at_most=SENT_AT_MOST),
    ]


def issuers() -> list[Contestant[Command]]:
    """Those who make bytes of commands."""

    def want(items: Sequence[Command]) -> bytes:
        return command_bytes(
            [
                item._replace(request_id=2 * place + 1, args=dict(sorted(item.args.items())))
                for place, item in enumerate(items)
            ]
        )

    def by_hand(items: Sequence[Command]) -> Callable[[], list[bytes]]:
        take = ahead(HandClient)

        def run() -> list[bytes]:
            issue = take().issue
            return [issue(name, args, data) for _, name, args, data in items]

        return run

    def ours(items: Sequence[Command]) -> Callable[[], list[bytes]]:
        take = ahead(lambda: Client(limits=Limits(active_requests=32768)))

        def run() -> list[bytes]:
            issue = take().issue
            return [issue(name, args, data).to_bytes() for _, name, args, data in items]

        return run

    return [
        Contestant("hand-written, bytes", by_hand, b"".join, want, hand=True),
        Contestant("ours: Client.issue, to_bytes", ours, b"".join, want, ours=True, at_most=SENT_AT_MOST),
    ]


def senders() -> list[Contestant[Response]]:
    """Those who send frames on a stream that opens itself."""

    def by_hand(items: Sequence[Response]) -> Callable[[], list[bytes]]:
        def run() -> list[bytes]:
            begin = 1
            sent = []
            for request_id, data, last in items:
                sent.append(encode(request_id, 2, begin, 4, 2 if last else 1, data))
                begin = 0
            return sent

        return run

    def ours(items: Sequence[Response]) -> Callable[[], list[bytes]]:
        frames = [make_frame(item.request_id, 2, 0, 4, 2 if item.last else 1, item.data) for item in items]

        def run() -> list[bytes]:
            send = OutputStream(2).send
            return [encode_frame(sent) for frame in frames for sent in send(frame)]

        return run

    return [
        Contestant("hand-written, bytes", by_hand, b"".join, response_bytes, hand=True),
        Contestant("ours: OutputStream.send, encode_frame", ours, b"".join, response_bytes, ours=True),
    ]


def tasks(count: int = COMMANDS) -> list[Task[Any]]:
    """The tasks, of ``count`` commands or responses each."""
    return [
        Task("commands of one frame", "command", commands(count, 0), servers(), 6),
        Task("commands with two arguments, three frames", "command", commands(count, 2), servers(), 6),
        Task(
            "commands with one argument and data",
            "command",
            commands(count, 1, bytes(range(16))),
            servers(AT_MOST_WITH_DATA),
            6,
        ),
        Task("responses of one frame, received", "response", responses(count), clients(), 3),
        Task("responses of one frame, sent", "response", responses(count), responders(), 3),
        Task("responses of one frame, on a stream", "response", responses(count), senders(), 3),
        Task("commands of one frame, issued", "command", commands(count, 0), issuers(), 3),
        Task("commands with one argument, issued", "command", commands(count, 1), issuers(), 3),
        Task("commands with two arguments, issued", "command", commands(count, 2), issuers(), 3),
    ]


# What is printed


class Line(NamedTuple):
    """How a contestant does. ``time``: us a unit; ``hand`` and ``ours``: as a multiple of theirs."""

    name: str
    time: float
    hand: float
    ours: float
    at_most: float | None
    slower: float | None


def judged(line: Line) -> str:
    """What was wanted of a line, and whether it is met; empty where nothing is."""
    if line.at_most is not None:
        return f"<= {line.at_most} x hand: {'met' if line.hand <= line.at_most else 'MISSED'}"
    if line.slower is not None:
        return f">= {line.slower} x ours: {'met' if line.ours >= line.slower else 'MISSED'}"
    return ""


def timed(task: Task[Any], seconds: float) -> list[Line]:
    """Times a task's contestants in turns."""
    runs = [(contestant.prepare(task.items), len(task.items)) for contestant in task.contestants]
    times = dict(zip(task.contestants, measure(runs, seconds), strict=True))
    hand = min(time for contestant, time in times.items() if contestant.hand)
    ours = next(time for contestant, time in times.items() if contestant.ours)
    return [
        Line(each.name, time / 1000, time / hand, time / ours, each.at_most, each.slower)
        for each, time in times.items()
    ]


def report(task: Task[Any], lines: Sequence[Line]) -> Iterator[str]:
    """The part of the table for a task."""
    yield ""
    yield f"{task.title:<50}{f'us/{task.unit}':>12}{'x hand':>9}{'x ours':>9}   target"
    for line in lines:
        yield f"  {line.name:<48}{line.time:>12.3f}{line.hand:>9.2f}{line.ours:>9.2f}   {judged(line)}".rstrip()


def missed(lines: Sequence[Line]) -> bool:
    """Whether any target is missed."""
    return any(judged(line).endswith("MISSED") for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description="Benchmarks of the reactors, from bytes to commands.")
    parser.add_argument("--quick", action="store_true", help="a quarter of the time")
    speed = 0.25 if parser.parse_args(arguments).quick else 1.0
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} {platform.machine()},"
        f" {processor()}"
    )
    results = []
    for task in tasks():
        lines = timed(task, task.seconds * speed)
        results += lines
        for line in report(task, lines):
            print(line, flush=True)
    targets = [judged(line) for line in results if judged(line)]
    print(f"\n{sum(target.endswith(' met') for target in targets)} of {len(targets)} targets met")
    return int(missed(results))


if __name__ == "__main__":
    raise SystemExit(main())
