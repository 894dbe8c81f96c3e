"""The benchmarks of the reactors do what they say: all contestants agree. No time is asserted."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from benchmarks import reactor_peers, reactors
from benchmarks.frames import cut_up
from benchmarks.peers import encode
from benchmarks.reactor_peers import Command, HandClient, HandServer, ReferenceServer, Response

from hgproto.reactors.client import Client
from hgproto.reactors.events import Error, ResponseData, RunCommand, WantFrame
from hgproto.reactors.server import Server
from hgproto.wire.writer import encode_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.timing import Contestant

BEGIN, END, ENCODED = 1, 2, 4

COMMANDS = [
    Command(1, "heads", {}),
    Command(3, "lookup", {"key": b"tip"}),
    Command(65535, "listkeys", {"namespace": bytes(range(256)), "empty": b""}),
    Command(5, "unbundle", {}, b"some data"),
    Command(7, "pushkey", {"key": b"k", "new": b"n", "old": b"o"}, b""),
    Command(9, "x", {}),
]
RESPONSES = [Response(5, b"some"), Response(1, b""), Response(3, bytes(300))]
TASKS: dict[str, tuple[list[Contestant[Any]], Sequence[Any]]] = {
    "commands": (reactors.servers(), COMMANDS),
    "received": (reactors.clients(), RESPONSES),
    "sent": (reactors.responders(), RESPONSES),
    "on a stream": (reactors.senders(), RESPONSES),
    "issued": (reactors.issuers(), COMMANDS),
}


def prove(contestant: Contestant[Any], items: Sequence[Any]) -> None:
    """Runs every prefix of ``items``, each more often than reactors are made at a time."""
    for size in range(1, len(items) + 1):
        part = items[:size]
        run = contestant.prepare(part)
        for _ in range(reactors.AHEAD + 1):
            assert contestant.plain(run()) == contestant.want(part), (contestant.name, size)


@pytest.mark.parametrize("name", TASKS)
def test_contestants_of_a_task_agree(name: str) -> None:
    contestants, items = TASKS[name]
    for contestant in contestants:
        prove(contestant, items)


@pytest.mark.parametrize("task", reactors.tasks(3), ids=lambda task: task.title)
def test_tasks_have_one_of_ours_and_one_by_hand(task: Any) -> None:
    assert [contestant.ours for contestant in task.contestants].count(True) == 1
    assert [contestant.hand for contestant in task.contestants].count(True) == 1
    for contestant in task.contestants:
        assert contestant.plain(contestant.prepare(task.items)()) == contestant.want(task.items), contestant.name


def test_commands_have_ids_and_arguments_of_their_own() -> None:
    assert [item.request_id for item in reactors.commands(3, 0)] == [1, 3, 5]
    assert [len(item.args) for item in reactors.commands(2, 2)] == [2, 2]
    assert {len(name) for name in reactors.commands(1, 2)[0].args} == {8}
    assert {len(value) for value in reactors.commands(1, 2)[0].args.values()} == {16}


def test_a_capture_may_be_longer_than_a_chunk() -> None:
    items = reactors.commands(1500, 2)
    assert len(reactors.command_bytes(items)) > reactors.CHUNK_BYTES
    for contestant in reactors.servers():
        assert contestant.plain(contestant.prepare(items)()) == items, contestant.name


# What tasks do not have: frames of several requests and streams in turns


def argument(
    request_id: int, name: bytes, value: bytes, *, stream: int = 1, begin: int = 0, last: bool = False
) -> bytes:
    """An argument in a frame."""
    payload = reactor_peers.ARGUMENT_HEADER.pack(len(name), len(value)) + name + value
    return encode(request_id, stream, begin, 2, 2 * last, payload)


INTERLEAVED = b"".join(
    [
        encode(1, 1, BEGIN, 1, 2, b"first"),
        encode(3, 3, BEGIN, 1, 6, b"second"),
        argument(3, b"a", b"1", stream=1),
        argument(1, b"b", b"2", stream=3),
        encode(5, 5, BEGIN | END, 1, 1, b"third"),
        argument(3, b"c", b"3", stream=3, last=True),
        encode(7, 5, BEGIN, 1, 4, b"fourth"),
        encode(7, 5, 0, 3, 1, b"some "),
        encode(3, 3, END, 3, 2, b"data"),
        encode(7, 1, 0, 3, 2, b"more"),
        argument(1, b"d", b"", stream=1, last=True),
    ]
)
FROM_INTERLEAVED = [
    Command(5, "third", {}),
    Command(3, "second", {"a": b"1", "c": b"3"}, b"data"),
    Command(7, "fourth", {}, b"some more"),
    Command(1, "first", {"b": b"2", "d": b""}),
]


def by_us(chunks: Sequence[bytes]) -> list[Command]:
    server = Server()
    events = [event for chunk in chunks for event in server.receive_data(chunk)]
    assert all(isinstance(event, RunCommand | WantFrame) for event in events), events
    return reactors.our_commands(events)


def by_hand(chunks: Sequence[bytes]) -> list[Command]:
    server = HandServer()
    return reactors.tuples_as_commands([event for chunk in chunks for event in server.receive_data(chunk)])


def by_reference(chunks: Sequence[bytes]) -> list[Command]:
    server = ReferenceServer()
    actions = [server.onframerecv(frame) for frame in reactor_peers.read_reference_frames(b"".join(chunks))]
    assert all(action in ("runcommand", "wantframe") for action, _ in actions), actions
    return reactors.reference_commands(actions)


@pytest.mark.parametrize("commands_of", [by_us, by_hand, by_reference])
def test_requests_and_streams_may_be_interleaved(commands_of: Callable[[Sequence[bytes]], list[Command]]) -> None:
    assert commands_of([INTERLEAVED]) == FROM_INTERLEAVED


@pytest.mark.parametrize("commands_of", [by_us, by_hand])
@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 30])
def test_chunks_may_be_of_any_size(commands_of: Callable[[Sequence[bytes]], list[Command]], size: int) -> None:
    assert commands_of(cut_up(INTERLEAVED, size)) == FROM_INTERLEAVED


OPEN = encode(1, 1, BEGIN, 1, 1, b"heads")
WITH_ARGUMENTS = encode(1, 1, BEGIN, 1, 2, b"heads")
WITH_DATA = encode(1, 1, BEGIN, 1, 4, b"heads")
WITH_BOTH = encode(1, 1, BEGIN, 1, 6, b"heads")
BAD_COMMANDS = {
    "payload too long": [b"\x00\x00\x01" + bytes(65541)],
    "stream not open": [
        encode(1, 1, 0, 1, 1, b"heads"),
        encode(1, 1, END, 1, 1, b"heads"),
        encode(1, 1, BEGIN | END, 1, 1, b"heads") + encode(3, 1, 0, 1, 1, b"heads"),
    ],
    "stream begins twice": [OPEN + encode(3, 1, BEGIN, 1, 1, b"heads")],
    "even stream id": [encode(1, 2, BEGIN, 1, 1, b"heads")],
    "wrong stream flags": [OPEN + encode(3, 1, ENCODED, 1, 1, b"heads"), encode(1, 1, BEGIN | 8, 1, 1, b"heads")],
    "even request id": [encode(2, 1, BEGIN, 1, 1, b"heads"), encode(2, 1, BEGIN, 1, 2, b"heads")],
    "request id in use": [
        OPEN + encode(1, 1, 0, 1, 1, b"heads"),
        OPEN + encode(1, 1, 0, 1, 2, b"heads"),
        WITH_ARGUMENTS + encode(1, 1, 0, 1, 1, b"heads"),
    ],
    "wrong command flags": [encode(1, 1, BEGIN, 1, flags, b"heads") for flags in (0, 3, 5, 7, 8, 9)],
    "argument not expected": [
        OPEN + argument(1, b"a", b"b"),
        OPEN + argument(3, b"a", b"b"),
        WITH_ARGUMENTS + argument(1, b"a", b"b", last=True) + argument(1, b"c", b"d"),
        WITH_DATA + argument(1, b"a", b"b"),
        WITH_BOTH + argument(1, b"a", b"b", last=True) + argument(1, b"c", b"d"),
    ],
    "argument cut": [WITH_ARGUMENTS + encode(1, 1, 0, 2, 2, b"\x01\x00\x00")],
    "wrong argument length": [
        WITH_ARGUMENTS + encode(1, 1, 0, 2, 2, b"\x01\x00\x02\x00ab"),
        WITH_ARGUMENTS + encode(1, 1, 0, 2, 2, b"\x01\x00\x00\x00ab"),
        WITH_ARGUMENTS + encode(1, 1, 0, 2, 2, b"\x05\x00\x00\x00ab"),
    ],
    "argument given twice": [WITH_ARGUMENTS + argument(1, b"a", b"b") + argument(1, b"a", b"c", last=True)],
    "wrong argument flags": [WITH_ARGUMENTS + encode(1, 1, 0, 2, flags, b"\x01\x00\x00\x00a") for flags in (3, 4)],
    "data not expected": [
        OPEN + encode(1, 1, 0, 3, 2, b""),
        WITH_ARGUMENTS + encode(1, 1, 0, 3, 2, b""),
        WITH_BOTH + argument(1, b"a", b"b") + encode(1, 1, 0, 3, 2, b""),
    ],
    "wrong type or flags": [WITH_DATA + encode(1, 1, 0, 3, 0, b""), OPEN + encode(1, 1, 0, 4, 2, b"")],
}
CASES = [(message, data) for message, captures in BAD_COMMANDS.items() for data in captures]


@pytest.mark.parametrize(("message", "data"), CASES)
def test_the_hand_written_server_refuses(message: str, data: bytes) -> None:
    with pytest.raises(ValueError, match=message):
        HandServer().receive_data(data)


@pytest.mark.parametrize(("message", "data"), CASES)
def test_ours_refuses_the_same(message: str, data: bytes) -> None:
    assert isinstance(Server().receive_data(data)[-1], Error)


@pytest.mark.parametrize(("message", "data"), CASES)
def test_the_reference_refuses_the_same(message: str, data: bytes) -> None:
    server = ReferenceServer()
    if message == "payload too long":
        with pytest.raises(ValueError, match=message):
            list(reactor_peers.read_reference_frames(data))
        return
    *_, (action, _) = [server.onframerecv(frame) for frame in reactor_peers.read_reference_frames(data)]
    assert action == "error"
    again = server.onframerecv(next(reactor_peers.read_reference_frames(encode(9, 9, BEGIN, 1, 1, b"heads"))))
    assert again == ("error", {"message": "already errored"})


def test_the_reference_says_what_file_ends_too_early() -> None:
    with pytest.raises(ValueError, match="header cut"):
        list(reactor_peers.read_reference_frames(OPEN[:5]))
    with pytest.raises(ValueError, match="payload cut"):
        list(reactor_peers.read_reference_frames(OPEN[:-1]))


def test_only_what_names_are_is_a_name() -> None:
    for data in (encode(1, 1, BEGIN, 1, 1, b"\xff"), WITH_ARGUMENTS + argument(1, b"\xff", b"")):
        with pytest.raises(ValueError, match="ascii"):
            HandServer().receive_data(data)
        assert isinstance(Server().receive_data(data)[-1], Error)


# Clients and responses


def waiting(*request_ids: int) -> HandClient:
    client = HandClient()
    client.requests.update(request_ids)
    return client


SPREAD = b"".join(
    [
        encode(1, 2, BEGIN, 4, 1, b"first "),
        encode(3, 4, BEGIN | END, 4, 2, b"second"),
        encode(1, 2, END, 4, 2, b"again"),
    ]
)
FROM_SPREAD = [Response(1, b"first ", last=False), Response(3, b"second"), Response(1, b"again")]


@pytest.mark.parametrize("size", [1, 7, 8, 9, 100])
def test_clients_agree_on_responses_in_parts(size: int) -> None:
    hand, ours = waiting(1, 3), Client()
    ours.issued(1)
    ours.issued(3)
    chunks = cut_up(SPREAD, size)
    assert [Response(*event) for chunk in chunks for event in hand.receive_data(chunk)] == FROM_SPREAD
    assert not hand.requests
    events = [event for chunk in chunks for event in ours.receive_data(chunk)]
    assert events == [ResponseData(*response) for response in FROM_SPREAD]


RESPONSE = encode(1, 2, BEGIN, 4, 2, b"")


@pytest.mark.parametrize(
    ("message", "data"),
    [
        ("payload too long", b"\x00\x00\x01" + bytes(65541)),
        ("stream not open", encode(1, 2, 0, 4, 2, b"")),
        ("stream not open", encode(1, 2, END, 4, 2, b"")),
        ("stream begins twice", RESPONSE + encode(3, 2, BEGIN, 4, 2, b"")),
        ("odd stream id", encode(1, 1, BEGIN, 4, 2, b"")),
        ("wrong stream flags", RESPONSE + encode(3, 2, ENCODED, 4, 2, b"")),
        ("request not active", encode(5, 2, BEGIN, 4, 2, b"")),
        ("request not active", RESPONSE + encode(1, 2, 0, 4, 2, b"")),
        ("wrong type or flags", encode(1, 2, BEGIN, 4, 3, b"")),
        ("wrong type or flags", encode(1, 2, BEGIN, 1, 1, b"")),
    ],
)
def test_the_hand_written_client_refuses_what_ours_does(message: str, data: bytes) -> None:
    with pytest.raises(ValueError, match=message):
        waiting(1, 3).receive_data(data)
    ours = Client()
    ours.issued(1)
    ours.issued(3)
    assert isinstance(ours.receive_data(data)[-1], Error)


@pytest.mark.parametrize("size", [0, 1, 32768, 32769, 65536, 100_000])
def test_servers_send_the_same_bytes(size: int) -> None:
    hand, ours = HandServer(), Server()
    raw = encode(1, 1, BEGIN, 1, 1, b"heads") + encode(3, 1, 0, 1, 1, b"heads")
    hand.receive_data(raw)
    ours.receive_data(raw)
    for request_id in (3, 1):
        data = bytes(range(256)) * 400
        sent = b"".join(encode_frames(ours.respond(request_id, data[:size])))
        assert hand.respond(request_id, data[:size]) == sent


def test_the_hand_written_server_responds_once() -> None:
    server = HandServer()
    server.receive_data(OPEN + encode(3, 1, 0, 1, 2, b"heads"))
    assert server.respond(1, b"x") == encode(1, 2, BEGIN, 4, 2, b"x")
    for request_id in (1, 3, 5):
        with pytest.raises(ValueError, match="request not active"):
            server.respond(request_id, b"x")
    server.receive_data(encode(1, 1, 0, 1, 1, b"heads"))
    assert server.respond(1, b"x") == encode(1, 2, 0, 4, 2, b"x")


# What is printed


def test_reactors_are_made_some_at_a_time() -> None:
    made: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    take = reactors.ahead(make)
    taken = [take() for _ in range(reactors.AHEAD + 1)]
    assert len(made) == 2 * reactors.AHEAD
    assert len(set(map(id, taken))) == len(taken)


def test_a_tiny_run_is_reported() -> None:
    for task in reactors.tasks(3):
        lines = reactors.timed(task, 0)
        assert [line.name for line in lines] == [contestant.name for contestant in task.contestants]
        assert all(line.time > 0 for line in lines)
        hand, ours = (next(c.name for c in task.contestants if getattr(c, who)) for who in ("hand", "ours"))
        assert [line.hand for line in lines if line.name == hand] == [1]
        assert [line.ours for line in lines if line.name == ours] == [1]
        blank, head, *rest = reactors.report(task, lines)
        assert (blank, head.split()[-6:]) == ("", [f"us/{task.unit}", "x", "hand", "x", "ours", "target"])
        assert [line.startswith(f"  {given.name} ") for line, given in zip(rest, lines, strict=True)] == [True] * len(
            lines
        )


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (reactors.Line("a", 1, 1.5, 1, 1.5, None), "<= 1.5 x hand: met"),
        (reactors.Line("a", 1, 1.51, 1, 1.5, None), "<= 1.5 x hand: MISSED"),
        (reactors.Line("a", 1, 9, 3, None, 3.0), ">= 3.0 x ours: met"),
        (reactors.Line("a", 1, 9, 2.99, None, 3.0), ">= 3.0 x ours: MISSED"),
        (reactors.Line("a", 1, 9, 9, None, None), ""),
    ],
)
def test_targets(line: reactors.Line, text: str) -> None:
    assert reactors.judged(line) == text
    assert reactors.missed([line]) == text.endswith("MISSED")


def test_what_is_wanted_of_each_task() -> None:
    wanted = {task.title: [(c.at_most, c.slower) for c in task.contestants if not c.hand] for task in reactors.tasks(1)}
    received, sent = [(1.5, None), (None, 3.0)], [(6.0, None)]
    assert wanted == {
        "commands of one frame": received,
        "commands with two arguments, three frames": received,
        "commands with one argument and data": [(1.7, None), (None, 3.0)],
        "responses of one frame, received": [(1.6, None)],
        "responses of one frame, sent": sent,
        "responses of one frame, on a stream": [(None, None)],
        "commands of one frame, issued": sent,
        "commands with one argument, issued": sent,
        "commands with two arguments, issued": sent,
    }


@pytest.mark.parametrize("missed", [False, True])
def test_the_exit_status_says_whether_a_target_is_missed(
    missed: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ratio = 7.0 if missed else 1.0

    def timed(task: Any, seconds: float) -> list[reactors.Line]:
        return [reactors.Line(each.name, 1, ratio, 4, each.at_most, each.slower) for each in task.contestants]

    monkeypatch.setattr(reactors, "timed", timed)
    assert reactors.main(["--quick"]) == missed
    assert capsys.readouterr().out.endswith(f"{3 if missed else 11} of 11 targets met\n")


def test_the_script_runs_by_itself() -> None:
    shown = subprocess.run([sys.executable, reactors.__file__, "--help"], capture_output=True, text=True, check=True)
    assert "--quick" in shown.stdout
