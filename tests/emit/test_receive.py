"""Generated loops of reactors: they do what the engine does, whatever frames come, for any layout of headers and any names."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from conversations import CONVERSATIONS, EngineClient, EngineServer, agree, inside, told
from hypothesis import given
from hypothesis import strategies as st
from renamed import renamed
from support import ROOT, SCHEMA

from hgproto.emit.outcomes import parity_of_requests, states_of, usual
from hgproto.emit.receive import emit
from hgproto.language import load
from hgproto.reactors.client import Client
from hgproto.reactors.limits import Limits
from hgproto.reactors.server import Server
from hgproto.revisions.framing_0002 import codec
from hgproto.revisions.revision import Revision, default_revision
from hgproto.wire.reader import Pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OURS, ALIEN = load(SCHEMA / "framing-0002.yaml"), load(ROOT / "tests" / "data" / "alien.yaml")
ODD = "{odd: [request_id], requirement: request-id.parity}"


# Revisions.


def variant(folder: Path, change: Callable[[Any], None], own: Callable[[str], str] = str) -> Revision:
    """A revision of framing-0002 with another header, or another text of its own."""
    shared = yaml.safe_load((SCHEMA / "framing.yaml").read_text(encoding="utf-8"))
    change(shared)
    (folder / "framing.yaml").write_text(yaml.safe_dump(shared, sort_keys=False), encoding="utf-8")
    text = (SCHEMA / "framing-0002.yaml").read_text(encoding="utf-8")
    text = own(text).replace("revision: framing-0002", "revision: mine", 1)
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    return Revision(str(folder / "mine.yaml"))


def bits_first(shared: Any) -> None:
    """Puts type and flags first, the length last, and makes ids wide."""
    fields = {field.get("name", "byte"): field for field in shared["header"]["fields"]}
    fields["request_id"]["type"], fields["stream_id"]["type"], fields["length"]["type"] = "u24", "u16", "u32"
    for bits, places in zip(fields["byte"]["bits"], ([0, 3], [4, 7]), strict=True):
        bits["bits"] = places
    order = "byte", "stream_id", "request_id", "stream_flags", "length", "payload"
    shared["header"]["fields"] = [fields[name] for name in order]


def nothing(shared: Any) -> None:
    """Leaves the header as it is."""


def even(text: str) -> str:
    return text.replace(ODD, ODD.replace("odd", "even"))


@pytest.fixture(scope="module")
def revisions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Revision]:
    folder: Callable[[str], Path] = tmp_path_factory.mktemp
    return {
        "ours": default_revision(),
        "renamed": Revision(str(renamed(folder("renamed")))),
        "header": variant(folder("header"), bits_first),
        "even": variant(folder("even"), nothing, even),
    }


every_revision = pytest.mark.parametrize("name", ["ours", "renamed", "header", "even"])


# Loops and the engine.


@every_revision
@pytest.mark.parametrize("role", ["server", "client"])
@given(data=st.data())
def test_loops_do_what_the_engine_does(
    revisions: dict[str, Revision], name: str, role: str, data: st.DataObject
) -> None:
    if (name, role) != ("even", "client"):
        agree(role, data.draw(CONVERSATIONS[role]), data, revisions[name], flipped=name == "even")


ARGUMENT = b"\x01\x00\x02\x00avv"
FIRST = [(1, 1, flags, b"command") for flags in (1, 2, 4, 6)]
FRAMES = [
    *FIRST,
    (3, 1, 2, b"other"),
    (2, 1, 1, b"wrong"),
    (3, 1, 1, b"\xff"),
    (1, 2, 0, ARGUMENT),
    (1, 2, 2, ARGUMENT.replace(b"a", b"b")),
    (3, 2, 2, b"\x01\x00\x09\x00avv"),
    (1, 2, 1, b"\x01\x00\x04\x00cvv"),
    (1, 2, 2, b"vv"),
    (1, 3, 1, b"d1"),
    (1, 3, 2, b"d2"),
    (1, 3, 2, b""),
]
"""Frames that servers receive: the request id, the type, flags, and the payload."""
ANSWERS = [(key, 4, flags, b"data") for key in (1, 3, 5, 9) for flags in (1, 2)] + [(1, 5, 1, b"no"), (3, 5, 2, b"no")]
"""Frames that clients receive."""
TIGHT = [
    {"active_requests": 1},
    {"receiving_requests": 1},
    {"arguments": 1},
    {"argument_value": 1},
    {"request_bytes": 4},
    {"buffered_bytes": 4},
]


def wire(revision: Revision, frames: Any, stream_id: int, *, flipped: bool = False) -> bytes:
    encode, make = revision.codec.encode_frame, revision.codec.make_frame
    return b"".join(encode(make(key ^ flipped, stream_id, 0, *one)) for key, *one in frames)


def open_stream(revision: Revision, reactor: Any, stream_id: int, *, flipped: bool = False) -> None:
    """Opens a stream by a request, or a response, that is over with that frame."""
    type_ = 1 if reactor.role == "server" else 4
    frame = revision.codec.make_frame(7 ^ flipped, stream_id, 1, type_, 1 if type_ == 1 else 2, b"x")
    assert reactor.receive_data(revision.codec.encode_frame(frame))
    if reactor.role == "server":
        list(reactor.respond(7 ^ flipped, b""))


def sequences(name: str) -> Iterator[tuple[Any, ...]]:
    """All short sequences for a server that begin with a command."""
    following = itertools.product(FRAMES, repeat=3 if name == "ours" else 2)
    return ((first, *rest) for first, rest in itertools.product(FIRST, following))


@every_revision
@pytest.mark.parametrize("streaming", [False, True])
def test_servers_take_all_short_sequences_as_the_engine_does(
    revisions: dict[str, Revision], name: str, streaming: bool
) -> None:
    revision, flipped, count = revisions[name], name == "even", 0
    for frames in sequences(name):
        limits = Limits.of_revision(revision)
        if count % 2:
            limits = limits.replace(**TIGHT[count // 2 % len(TIGHT)])
        count += 1
        found = []
        for make in (Server, EngineServer):
            server = make(revision=revision, limits=limits, streaming=streaming)
            open_stream(revision, server, 1, flipped=flipped)
            found.append((told(server.receive_data(wire(revision, frames, 1, flipped=flipped))), inside(server)))
        assert found[0] == found[1], (frames, limits)
    assert count >= 4 * len(FRAMES) ** 2


@pytest.mark.parametrize("limits", TIGHT, ids=str)
def test_servers_are_as_strict_as_the_engine(limits: dict[str, int]) -> None:
    revision = default_revision()
    for first, rest in itertools.product(FIRST, itertools.product(FRAMES, repeat=2)):
        found = []
        for make in (Server, EngineServer):
            server = make(limits=Limits(**limits))
            open_stream(revision, server, 1)
            found.append((told(server.receive_data(wire(revision, (first, *rest), 1))), inside(server)))
        assert found[0] == found[1], (first, rest)


def client_of(make: Any, revision: Revision) -> Any:
    """A client with requests in all states: 1 was sent, 3 is not sent, and 5 never will be."""
    client = make(revision=revision)
    list(client.issue("x"))
    client.issue("x")
    list(client.issue("x", data=_Broken()))
    client.issued(7)
    open_stream(revision, client, 2)
    return client


class _Broken:
    """A file that cannot be read to its end."""

    def __init__(self) -> None:
        self._parts = [bytes(1 << 15)] * 3

    def read(self, size: int) -> bytes:
        if not self._parts:
            raise OSError("the disk is broken")
        return self._parts.pop()[:size]


@pytest.mark.parametrize("name", ["ours", "renamed", "header"])
def test_clients_take_all_short_sequences_as_the_engine_does(revisions: dict[str, Revision], name: str) -> None:
    revision = revisions[name]
    states = {state.name for state in client_of(Client, revision).snapshot().requests.values()}
    assert len(states) == 3
    for frames in itertools.product(ANSWERS, repeat=3 if name == "ours" else 2):
        found = []
        for make in (Client, EngineClient):
            client = client_of(make, revision)
            events = told(client.receive_data(wire(revision, frames, 2)))
            found.append((events, inside(client), told(client.receive_data(b"")), told(client.receive_end())))
        assert found[0] == found[1], frames


# Usual frames.


@every_revision
@pytest.mark.parametrize(
    "frames",
    [
        FIRST[:1],
        [FIRST[1], FRAMES[7], FRAMES[8]],
        [FIRST[2], FRAMES[12], FRAMES[12], FRAMES[13]],
        [FIRST[3], FRAMES[8], FRAMES[13]],
    ],
    ids=["name", "arguments", "data", "both"],
)
def test_usual_commands_are_taken_by_the_loop(
    revisions: dict[str, Revision], name: str, frames: list[tuple[Any, ...]]
) -> None:
    revision = revisions[name]
    server = Server(revision=revision)
    open_stream(revision, server, 1, flipped=name == "even")
    pieces, events = Pieces(), list[Any]()
    assert pieces.take(wire(revision, frames, 1, flipped=name == "even"))
    assert list(revision.receive.receive_as_server(server._intake, pieces, events.append)) == []
    assert [type(event).__name__ for event in events] == ["WantFrame"] * (len(frames) - 1) + ["RunCommand"]
    assert not server.receiving


@pytest.mark.parametrize("name", ["ours", "renamed", "header"])
@pytest.mark.parametrize("key", [1, 3])
def test_usual_responses_are_taken_by_the_loop(revisions: dict[str, Revision], name: str, key: int) -> None:
    revision = revisions[name]
    client = client_of(Client, revision)
    pieces, events = Pieces(), list[Any]()
    assert pieces.take(wire(revision, [(key, 4, 1, b"data"), (key, 4, 2, b"")], 2))
    assert list(revision.receive.receive_as_client(client._intake, pieces, events.append)) == []
    assert [(event.request_id, event.data, event.last) for event in events] == [(key, b"data", False), (key, b"", True)]


def test_other_frames_are_yielded_as_they_are() -> None:
    revision = default_revision()
    server = Server()
    open_stream(revision, server, 1)
    pieces, events = Pieces(), list[Any]()
    assert pieces.take(wire(revision, [FIRST[0], (1, 6, 0, b"text")], 1))
    (part,) = revision.receive.receive_as_server(server._intake, pieces, events.append)
    assert part == (0x6000, 1, 1, b"text", len(b"command") + len(b"text") + 2 * codec.HEADER_BYTES)
    assert len(events) == 1


# What is emitted.


def test_a_schema_without_machines_has_loops_that_take_no_frame(tmp_path: Path) -> None:
    revision = Revision(str(ROOT / "tests" / "data" / "alien.yaml"))
    frame = revision.codec.make_frame(2, 0, 1, revision.codec.CODES["telegram"], 1, b"ok")
    intake: Any = Server()._intake
    for receive in (revision.receive.receive_as_server, revision.receive.receive_as_client):
        pieces = Pieces()
        assert pieces.take(revision.codec.encode_frame(frame))
        ((_, request_id, stream_id, payload, stop),) = receive(intake, pieces, None)
        assert (request_id, stream_id, payload, stop) == (2, 0, b"ok", revision.codec.HEADER_BYTES + 2)
    assert "Struct" not in emit(ALIEN)
    assert list(usual(ALIEN, "server")) == []
    assert states_of(ALIEN, "server") is None


def test_the_loops_have_code_for_the_rows_of_the_tables() -> None:
    server, client = (list(usual(OURS, role)) for role in ("server", "client"))
    done = {(one.row.source.name, one.frame.name, one.row.emit) for one in (*server, *client) if one.row.emit}
    assert {
        ("NONE", "command-name", "run-command"),
        ("NONE", "command-name", "want-frame"),
        ("RECEIVING_ARGUMENTS", "command-argument", "want-frame"),
        ("RECEIVING_ARGUMENTS", "command-argument", "run-command"),
        ("RECEIVING_DATA", "command-data", "want-frame"),
        ("RECEIVING_DATA", "command-data", "run-command"),
        ("SENDING", "bytes-response", "response-data"),
        ("ACTIVE", "bytes-response", "response-data"),
    } <= done
    numbers = {*re.findall(r"number == (0x[0-9A-F]+)", emit(OURS))}
    assert numbers == {
        *("0x11100", "0x11200", "0x11400", "0x11600"),
        *("0x12000", "0x12200", "0x13100", "0x13200", "0x14100", "0x14200"),
    }
    assert parity_of_requests(OURS) == 1


def test_a_machine_without_such_rows_has_a_loop_that_takes_no_frame(tmp_path: Path) -> None:
    text = (SCHEMA / "framing-0002.yaml").read_text(encoding="utf-8")
    (tmp_path / "framing.yaml").write_bytes((SCHEMA / "framing.yaml").read_bytes())
    for emitted in ("response-data", "run-command", "want-frame"):
        text = text.replace(f"emit: {emitted}", "emit: text")
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    made = emit(load(tmp_path / "mine.yaml"))
    assert made.count("return read_parts(source, intake.max_payload)") == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{name: name_length, type: u16,", "{name: name_length, type: u24,"),
        ("        type: ascii\n        size: name_length", "        type: bytes\n        size: name_length"),
    ],
)
def test_arguments_of_another_form_are_not_taken(tmp_path: Path, old: str, new: str) -> None:
    text = (SCHEMA / "framing-0002.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "framing.yaml").write_bytes((SCHEMA / "framing.yaml").read_bytes())
    text = (
        text.replace(old, new)
        .replace("charset: command-argument.name-ascii, ", "")
        .replace("empty: command-argument.name-not-empty, ", "")
    )
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    made = emit(load(tmp_path / "mine.yaml"))
    assert "unpack_argument" not in made
    assert "number == 0x13200" in made
