"""Common behavior of both reactors: the golden tables of all states, errors and their places, and plans.

The golden tables are made by ``reactor_tables.py``. Here they are compared, counted, and held against the schema's
tables in both directions: each row is witnessed by a run, and each run is what a row or a rule of the codec says.
"""

from __future__ import annotations

import difflib
import re
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
import support
from conversations import CONVERSATIONS, TIGHT, EngineServer, agree, commands, told
from hypothesis import given
from hypothesis import strategies as st
from reactor_tables import (
    ACTIVE_TOO,
    ARGS_TOO,
    CASES,
    GOLDEN,
    GOLDEN_FILES,
    LAST,
    OTHER_ACTIVE,
    REMAKE,
    SCENES,
    STREAM_BYTES,
    STREAM_SCENES,
    Cell,
    Stage,
    StreamCell,
    cases,
    cells,
    end_cells,
    frame_cell,
    id_cells,
    stream_cells,
)

from hgproto.errors import EncodingError, LocalProtocolError, RemoteProtocolError
from hgproto.evidence.coverage import Coverage
from hgproto.judging.command_judge import CommandJudge
from hgproto.language import load
from hgproto.reactors.client import Client
from hgproto.reactors.command_receiver import CommandReceiver
from hgproto.reactors.events import WANT_FRAME, Error, PeerError, RequestError, SendFrames, StreamLeftOpen
from hgproto.reactors.limits import Limits
from hgproto.reactors.plans import (
    NO_ROW,
    Node,
    Plan,
    Request,
    Table,
    bound,
    placed,
    text_payload,
    words,
)
from hgproto.reactors.server import Server
from hgproto.revisions.framing_0002 import codec, machines
from hgproto.revisions.revision import default_revision
from hgproto.runtime.machine import Condition, Event, InState, Row, Set
from hgproto.wire.human import parse_frame

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hgproto.runtime.frame import Frame

REQUIREMENTS = load(support.SCHEMA / "framing-0002.yaml").requirements
ROLES: dict[str, type[Server] | type[Client]] = {"server": Server, "client": Client}
MACHINES = {"server": machines.SERVER_REQUEST, "client": machines.CLIENT_REQUEST}
ServerState, StreamState = machines.ServerRequestState, machines.StreamState
BEGIN, END, ENCODED = (int(flag) for flag in codec.StreamFlag)
EVENTS = {
    "end of input": Event.END_OF_INPUT,
    "respond": Event.RESPONSE_BEGUN,
    "send_text": Event.MESSAGE_SENT,
    "response taken": Event.RESPONSE_SENT,
    "issue": Event.REQUEST_ISSUED,
    "issued, this id": Event.REQUEST_ISSUED,
    "request taken": Event.REQUEST_SENT,
    "first data fails": Event.REQUEST_WITHDRAWN,
    "later data fails": Event.REQUEST_ABANDONED,
}
"""What calls tell the machine of a request."""
SENDERS_ALONE = {"frame.field-range", "command-argument.sizes", "text-output.sizes", "stream-settings.name-size"}
"""Rules of the codec that bytes cannot break."""
NOT_IN_THE_TABLES = {"frame.items-limit"}
"""Requirements whose violation takes a payload of tens of thousands of items: tests/runtime/test_items.py has them."""

every_role = pytest.mark.parametrize("role", ROLES)


def request_cells(role: str) -> list[Cell]:
    return [*cells(role), *(cell for _, cell in cases(role))]


def all_cells(role: str) -> list[Cell]:
    of_streams = (one.cell for one in chain(stream_cells(role), id_cells(role)))
    return [*request_cells(role), *of_streams, *end_cells(role)]


def failed(events: list[Any]) -> Error | None:
    return next((event for event in events if isinstance(event, Error)), None)


# Golden tables.


@pytest.mark.parametrize("file", GOLDEN)
def test_the_golden_tables_are_what_runs_give(file: str) -> None:
    golden, made = (GOLDEN_FILES / file).read_text(), GOLDEN[file]()
    diff = difflib.unified_diff(golden.splitlines(), made.splitlines(), f"tests/data/{file}", "as run now", lineterm="")
    if golden != made:
        pytest.fail("\n".join([f"the table has changed; if that is right, run `{REMAKE}`", *diff]), pytrace=False)


@every_role
def test_every_byte_of_type_and_flags_is_run_once_in_every_state(role: str) -> None:
    for scene in SCENES[role]:
        data = [cell.what for cell in cells(role) if cell.scene is scene and isinstance(cell.what, int)]
        assert sorted(data) == list(range(256)), scene.title
        for cell in cells(role):
            if isinstance(cell.what, int):
                assert cell.frame is not None
                assert int(cell.frame.type) << 4 | int(cell.frame.flags) == cell.what


@every_role
def test_the_lines_of_every_state_account_for_all_bytes(role: str) -> None:
    tables = (GOLDEN_FILES / f"reactor-{role}.txt").read_text().partition("\nPayloads: ")[0].split("\n\n")
    counted = {table.partition("\n")[0]: sum(map(int, re.findall(r"^ +(\d+)  ", table, re.M))) for table in tables[1:]}
    shared = counted.pop("Every state")
    assert counted == {scene.title: 256 for scene in SCENES[role]}
    assert 200 < shared < 256


def test_every_stream_flag_is_run_in_every_state() -> None:
    assert {byte & 7 for byte in STREAM_BYTES if byte < 8} == set(range(8))
    assert {byte & ~7 for byte in STREAM_BYTES} == {0, 8, 16, 32, 64, 128}
    for role in ROLES:
        for scene in STREAM_SCENES:
            for reopen in ("error", "restart"):
                mine = [
                    one for one in stream_cells(role) if one.cell.scene.title == scene.title and one.reopen == reopen
                ]
                assert {one.cell.before.streams.get(one.stream_id, "closed") for one in mine} == {scene.state}
                run_with = [one.flags for one in mine if (one.kind, one.payload) == ("any other", "good")]
                assert sorted(run_with) == sorted(STREAM_BYTES if scene.common else range(8))
        assert [one.stream_id for one in id_cells(role)] == list(range(256))


def test_the_lines_of_streams_account_for_all_runs() -> None:
    tables = (GOLDEN_FILES / "reactor-streams.txt").read_text().split("\n\n")
    counted = {table.partition("\n")[0]: sum(map(int, re.findall(r"^ +(\d+)  ", table, re.M))) for table in tables[1:]}
    for scene in STREAM_SCENES:
        assert counted[scene.title] == sum(one.cell.scene.title == scene.title for one in stream_cells("server"))


@every_role
def test_scenes_are_in_the_state_that_they_name(role: str) -> None:
    for cell in cells(role):
        assert cell.source == cell.scene.state or cell.before.connection == "errored"


def test_every_state_of_every_machine_occurs() -> None:
    seen = {
        "server-request": {cell.source for cell in cells("server")},
        "client-request": {cell.source for cell in cells("client")},
        "stream": {one.cell.before.streams.get(one.stream_id, "closed") for one in stream_cells("server")},
        "connection": {cell.before.connection for cell in cells("server")},
    }
    schema = load(support.SCHEMA / "framing-0002.yaml").machines
    assert seen == {name: set(machine.states) for name, machine in schema.items()}


def test_every_refusal_names_a_requirement() -> None:
    named = {cell.refusal.requirement for role in ROLES for cell in all_cells(role) if cell.refusal is not None}
    assert named <= REQUIREMENTS.keys()
    by_codec = {name for name, requirement in REQUIREMENTS.items() if requirement.enforced == "codec"}
    assert by_codec - named == SENDERS_ALONE | NOT_IN_THE_TABLES


def test_every_refusal_says_where() -> None:
    for role in ROLES:
        for cell in all_cells(role):
            if isinstance(cell.refusal, RemoteProtocolError) and cell.refusal.requirement != "reactor.errored":
                assert cell.refusal.expected and cell.refusal.found
                assert cell.refusal.offset is not None or cell.refusal.requirement == "encoding.complete-at-end"


@every_role
def test_frames_lead_to_what_their_bytes_lead_to(role: str) -> None:
    judged = [
        cell
        for cell in cells(role)
        if isinstance(cell.what, int)
        and (cell.refusal is None or REQUIREMENTS[cell.refusal.requirement].enforced == "machine")
        and cell.before.connection == "working"
    ]
    assert len(judged) > 80
    for cell in judged:
        again = frame_cell(role, cell.scene, int(cell.what), as_frames=True)
        assert (again.gives, again.then, again.after) == (cell.gives, cell.then, cell.after)
        assert str(again.refusal) == str(cell.refusal)


# The golden tables and the schema's.


def fits(row: Row, flags: Iterable[str], answers: dict[str, object] | None = None) -> bool:
    """Whether a row is for a frame with these flags, as far as that is known without asking more guards."""

    def known(atom: Condition) -> bool | None:
        if isinstance(atom, Set):
            return atom.flag in flags
        assert not isinstance(atom, InState)
        guard, value = getattr(atom, "guard", ""), getattr(atom, "value", None)
        return answers[guard] == value if answers is not None and guard in answers else None

    return row.when is None or row.when.holds(known) is not False


def flags_of(frame: Frame) -> set[str]:
    names = codec.FLAG_NAMES.get(int(frame.type), {})
    return {name for mask, name in names.items() if frame.flags & mask} | {
        name for mask, name in codec.STREAM_FLAG_NAMES.items() if frame.stream_flags & mask
    }


def state_name(state: Any) -> str:
    return str(state.name).lower().replace("_", "-")


def is_outcome(row: Row, cell: Cell) -> bool:
    """Whether a run ended as a row says."""
    if row.error is not None:
        return cell.refusal is not None and cell.refusal.requirement == row.error
    if cell.refusal is not None or row.to is None:
        return False
    emitted = not cell.emits if row.emit in (None, "drop") else row.emit in cell.emits
    return cell.target == state_name(row.to) and (row.emit is None or emitted)


@every_role
def test_every_row_for_frames_is_witnessed(role: str) -> None:
    found = [cell for cell in request_cells(role) if cell.frame is not None and cell.before.connection == "working"]
    for row in MACHINES[role].rows:
        for code in row.frames:
            assert any(
                cell.frame is not None
                and cell.source == state_name(row.source)
                and cell.frame.type == code
                and fits(row, flags_of(cell.frame))
                and is_outcome(row, cell)
                for cell in found
            ), (row.source, code, row.to, row.emit, row.error)


@every_role
def test_every_row_for_an_event_is_witnessed(role: str) -> None:
    for row in MACHINES[role].rows:
        if row.event is not None:
            assert any(
                cell.source == state_name(row.source)
                and EVENTS.get(str(cell.what)) is row.event
                and is_outcome(row, cell)
                for cell in cells(role)
            ), (row.source, row.event, row.to, row.error)


@every_role
def test_every_run_is_what_a_row_or_a_rule_of_one_frame_says(role: str) -> None:
    for cell in request_cells(role):
        frame = cell.frame
        if frame is None or cell.before.connection == "errored" or frame.type == codec.FrameType.STREAM_SETTINGS:
            continue
        if cell.refusal is not None:
            requirement = REQUIREMENTS[cell.refusal.requirement]
            if requirement.enforced == "codec" or cell.refusal.requirement == "encoding.decoded-limit":
                continue
        rows = [row for row in MACHINES[role].rows if frame.type in row.frames]
        assert any(
            state_name(row.source) == cell.source and fits(row, flags_of(frame)) and is_outcome(row, cell)
            for row in rows
        ), (cell.scene.title, cell.what, cell.gives)


@every_role
def test_every_event_of_a_run_is_one_that_the_schema_declares_for_its_action(role: str) -> None:
    emits = load(support.SCHEMA / "framing-0002.yaml").emits
    shown = set()
    for cell in request_cells(role):
        if cell.frame is None or cell.before.connection == "errored":
            continue
        rows = [row for row in MACHINES[role].rows if cell.frame.type in row.frames and is_outcome(row, cell)]
        actions = {
            row.emit for row in rows if state_name(row.source) == cell.source and fits(row, flags_of(cell.frame))
        }
        if cell.frame.type == codec.FrameType.STREAM_SETTINGS:
            actions = {"stream-configured"}
        allowed = {event for action in actions - {None} for event in emits[str(action)].events}
        names = {re.sub(r"\B(?=[A-Z])", "-", type(event).__name__).lower() for event in cell.events}
        assert names <= (set(emits["error"].events) if cell.refusal is not None else allowed), cell.gives
        shown |= names
    assert len(shown) > 5


def stream_outcome(row: Row, one: StreamCell) -> bool:
    if row.error is not None:
        return one.cell.refusal is not None and one.cell.refusal.requirement == row.error
    if one.cell.refusal is not None or row.to is None:
        return False
    # After "again" the frame is taken on the closed stream: any row of that state may then have been the last.
    return row.emit == "again" or one.cell.after.streams.get(one.stream_id, "closed") == state_name(row.to)


@every_role
def test_every_row_of_streams_is_witnessed_and_every_run_is_a_row(role: str) -> None:
    explained = set()
    found = stream_cells(role)
    for row in machines.STREAM.rows:
        if row.event is not None:
            ends = [cell for cell in end_cells(role) if cell.scene.state == state_name(row.source)]
            assert ends
            assert all(sum(isinstance(event, StreamLeftOpen) for event in cell.events) == 1 for cell in ends)
            continue
        witnesses = [
            at
            for at, one in enumerate(found)
            if one.cell.scene.state == state_name(row.source)
            and one.cell.frame is not None
            and one.cell.frame.type in row.frames
            and fits(row, flags_of(one.cell.frame), {"restart": one.reopen == "restart"})
            and stream_outcome(row, one)
        ]
        assert witnesses, (row.source, row.to, row.error)
        explained.update(witnesses)
    for at, one in enumerate(found):
        refusal = one.cell.refusal
        by_codec = refusal is not None and REQUIREMENTS[refusal.requirement].enforced == "codec"
        restarted = one.reopen == "restart" and one.flags & BEGIN
        assert at in explained or by_codec or restarted, (one.cell.scene.title, one.kind, one.flags, one.outcome)


# Errors.


def test_a_refusal_changes_nothing_on_a_server_and_is_told_to_the_client() -> None:
    refused = [cell for cell in all_cells("server") if failed(cell.events) and cell.before.connection == "working"]
    reopened = [one.cell for one in stream_cells("server") if one.reopen == "restart" and one.flags & BEGIN]
    assert len(refused) > 4000
    for cell in refused:
        error = failed(cell.events)
        assert error is not None
        assert (
            (error.frame, error.error) == (cell.frame, cell.refusal)
            or error.frame is None
            or cell.frame is None
            or (error.frame.stream_flags & ENCODED)
        )
        assert cell.after.connection == "errored"
        assert cell.after.requests == cell.before.requests
        # Reopened, a stream has ended before the frame was found bad.
        assert cell.after.streams == cell.before.streams or any(cell is one for one in reopened)
        *_, last = error.frames
        assert (last.type, last.flags) == (codec.FrameType.ERROR_RESPONSE, codec.ErrorResponseFlag.PROTOCOL)
        assert last.request_id == (0 if error.frame is None else error.frame.request_id)
        assert last.stream_id == 2
        assert last.stream_flags & END
        assert bytes(last.payload).decode() == str(error.error)


def test_a_refusal_fails_every_request_of_a_client() -> None:
    refused = [
        cell
        for cell in all_cells("client")
        if cell.before.connection == "working" and cell.after.connection == "errored"
    ]
    assert len(refused) > 2000
    for cell in refused:
        *told, last = cell.events
        assert isinstance(last, Error | PeerError)
        why = last.error.requirement if isinstance(last, Error) else "error-response.closes"
        waiting = [
            request_id for request_id, state in cell.before.requests.items() if state not in ("answered", "unfinished")
        ]
        assert [event.request_id for event in told] == waiting
        assert all(isinstance(event, RequestError) and event.requirement == why for event in told)
        assert cell.after.requests == {}


@pytest.mark.requirement("reactor.errored")
@every_role
@given(data=st.data())
def test_after_an_error_nothing_changes_any_more(role: str, data: st.DataObject) -> None:
    scenes = [scene for scene in SCENES[role] if scene.common]
    stage = Stage(role, data.draw(st.sampled_from(scenes)))
    bad = data.draw(support.frames.filter(lambda frame: frame.type in (0, 9, 15) or frame.stream_flags > 7))
    assert failed(stage.feed_raw(bad)) is not None
    before = stage.snapshot()
    assert before.connection == "errored"
    for frame in data.draw(st.lists(support.frames, min_size=1, max_size=2)):
        raw = codec.encode_frame(frame)
        for events in (
            stage.feed_raw(frame),
            stage.reactor.receive_data(raw),
            stage.reactor.receive_data(raw[:3]),
        ):
            (event,) = events
            assert isinstance(event, Error)
            assert (event.error.requirement, event.frame, tuple(event.frames)) == ("reactor.errored", None, ())
    assert stage.reactor.receive_end() == []
    with pytest.raises(LocalProtocolError) as refusal:
        _ = stage.reactor.respond(1, b"") if role == "server" else stage.reactor.issue("command")
    assert refusal.value.requirement == "reactor.errored"
    assert stage.snapshot() == before
    assert not stage.reactor.works


# The generated loops.


@every_role
@given(data=st.data())
def test_the_own_loop_of_a_role_does_what_the_engine_does(role: str, data: st.DataObject) -> None:
    agree(role, data.draw(CONVERSATIONS[role]), data)


@given(frames=commands(), tight=st.booleans())
def test_servers_count_what_they_keep(frames: list[Frame], tight: bool) -> None:
    server = Server(limits=Limits(**TIGHT) if tight else None)
    for frame in frames:
        told(server.receive_data(codec.encode_frame(frame)))
        if server.works:
            seen = server.snapshot()
            counters = seen.counters
            refused = len(seen.requests) - counters["active_requests"]
            counts = counters["receiving_requests"], refused, counters["buffered_bytes"], counters["open_streams"]
            assert counts == recounted(server)
            assert server.receiving is (counts[0] > 0)


@pytest.mark.requirement("request.limits")
@pytest.mark.parametrize("make", [Server, EngineServer])
def test_the_end_of_a_refused_request_makes_no_room(make: type[Server]) -> None:
    # What ends a refused request comes in the same chunk as the request that is then one too many.
    server = make(limits=Limits(active_requests=1))
    *_, refusal = server.receive_data(bytes_of(OTHER_ACTIVE, ARGS_TOO))
    assert isinstance(refusal, SendFrames)
    assert list(refusal)
    assert recounted(server)[1] == 1
    want, too_many = server.receive_data(bytes_of(LAST, ACTIVE_TOO))
    assert want == WANT_FRAME
    assert isinstance(too_many, SendFrames)
    assert too_many.requirement == "request.limits"
    assert recounted(server)[1] == 0


def bytes_of(*lines: str) -> bytes:
    return b"".join(codec.encode_frame(parse_frame(line)) for line in lines)


def recounted(server: Server) -> tuple[int, int, int, int]:
    """What a server ought to have counted."""
    states = list(server.snapshot().requests.values())
    kept = {ServerState.RECEIVING_ARGUMENTS, ServerState.RECEIVING_DATA}
    receiving = kept | {ServerState.STREAMING, ServerState.EXCHANGING}
    return (
        sum(state in receiving for state in states),
        sum(state in (ServerState.REFUSING, ServerState.REFUSED) for state in states),
        sum(one.size for one in server._requests.values() if one.state in kept),
        len(server.snapshot().inputs),
    )


class Watched(Server):
    """A server that looks at the nodes of the engine."""

    __slots__ = ()

    def _node(self, *arguments: Any) -> Node:
        return super()._node(*arguments)


class Asked(Client):
    """A client with an action of its own."""

    __slots__ = ()

    def _emit_response_data(self, *arguments: Any) -> None:
        super()._emit_response_data(*arguments)


def test_what_changes_the_engine_has_no_loop_beside_it() -> None:
    loops = default_revision().receive
    receivers = CommandReceiver(limits=None, encodings=None, reopen="error", streaming=False), Server(), EngineServer()
    assert {receiver._plans.receive for receiver in receivers[:2]} == {loops.receive_as_server}
    assert Client()._plans.receive is loops.receive_as_client
    assert Watched()._plans.receive is Asked()._plans.receive is CommandJudge()._plans.receive is None
    assert all(reactor._plans.receive is None for reactor in Coverage()._reactors("client"))


# Places.


def chunked(reactor: Server | Client, chunks: Iterable[bytes]) -> list[Any]:
    """What chunks and then the end lead to, up to the first error."""
    events: list[Any] = []
    for chunk in chunks:
        events += reactor.receive_data(chunk)
        if not reactor.works:
            return told(events)
    return told([*events, *reactor.receive_end()])


SHORT = {"max_payload": 40}
responses = st.builds(
    codec.make_frame,
    st.sampled_from([1, 1, 3]),
    st.just(2),
    st.sampled_from([0, 0, 0, BEGIN]),
    st.integers(4, 8),
    st.integers(0, 2),
    support.payloads,
)


def made(role: str) -> Server | Client:
    """A reactor with a short limit on payloads; a client has issued two commands."""
    if role == "server":
        return Server(limits=Limits(**SHORT))
    client = Client(limits=Limits(**SHORT))
    for _ in range(2):
        send = client.issue("command")
        assert isinstance(send, SendFrames)
        assert list(send)
    return client


def wire(role: str) -> st.SearchStrategy[list[Frame]]:
    if role == "server":
        return commands()
    first = codec.make_frame(
        1, 2, BEGIN, codec.FrameType.BYTES_RESPONSE, codec.BytesResponseFlag.CONTINUATION, b"first"
    )
    return st.lists(responses | support.frames, min_size=1, max_size=6).map(lambda frames: [first, *frames])


@every_role
@given(data=st.data())
def test_errors_are_at_the_same_place_however_bytes_are_cut(role: str, data: st.DataObject) -> None:
    raw = b"".join(codec.encode_frame(frame) for frame in data.draw(wire(role)))
    raw = raw[: data.draw(st.integers(0, len(raw)))]
    whole = chunked(made(role), [raw])
    assert chunked(made(role), data.draw(support.cuts(raw))) == whole
    assert chunked(made(role), (raw[at : at + 1] for at in range(len(raw)))) == whole


@every_role
@given(data=st.data())
def test_errors_are_at_the_same_place_when_frames_are_given(role: str, data: st.DataObject) -> None:
    frames = data.draw(wire(role))
    whole = chunked(made(role), [b"".join(codec.encode_frame(frame) for frame in frames)])
    for as_frames in (
        [True] * len(frames),
        data.draw(st.lists(st.booleans(), min_size=len(frames), max_size=len(frames))),
    ):
        reactor = made(role)
        events: list[Any] = []
        for frame, as_frame in zip(frames, as_frames, strict=True):
            if reactor.works:
                given = reactor.receive_frame(frame) if as_frame else reactor.receive_data(codec.encode_frame(frame))
                events += given
        assert told([*events, *reactor.receive_end()]) == whole


@pytest.mark.requirement("frame.length-limit")
@pytest.mark.parametrize("size", [39, 40, 41])
def test_a_payload_at_the_limit_and_over_it(size: int) -> None:
    first = codec.make_frame(1, 1, BEGIN, codec.FrameType.COMMAND_NAME, codec.CommandNameFlag.HAVE_DATA, b"command")
    frame = codec.make_frame(1, 1, 0, codec.FrameType.COMMAND_DATA, codec.CommandDataFlag.EOS, b"x" * size)
    start = len(codec.encode_frame(first))
    for feed in (Server.receive_frame, lambda server, frame: server.receive_data(codec.encode_frame(frame))):
        server = Server(limits=Limits(max_payload=40))
        assert failed(server.receive_frame(first)) is None
        error = failed(feed(server, frame))
        if size <= 40:
            assert error is None
            continue
        assert error is not None
        assert (error.error.requirement, error.error.offset, error.frame) == ("frame.length-limit", start, None)
        assert (error.error.expected, error.error.found) == ("at most 40 bytes", "41 bytes")
        (answer,) = error.frames
        assert (answer.request_id, answer.flags) == (0, codec.ErrorResponseFlag.PROTOCOL)


@pytest.mark.requirement("frame.field-range", "frame.length-limit")
def test_what_is_no_frame_at_all_is_the_callers_mistake() -> None:
    for frame in (
        codec.make_frame(0x10000, 1, BEGIN, 1, 1, b"x"),
        codec.make_frame(1, 1, BEGIN, 1, 1, b"x" * (codec.MAX_PAYLOAD[1] + 1)),
    ):
        server = Server()
        with pytest.raises(LocalProtocolError):
            server.receive_frame(frame)
        assert server.works


# Settings.

HUGE: int = 10**5000
"""Python refuses to write this number in decimal."""


@every_role
def test_settings_that_there_are_not(role: str) -> None:
    make: Any = ROLES[role]
    with pytest.raises(ValueError, match="reopen is 'error' or 'restart', not 'ignore'"):
        make(reopen="ignore")
    with pytest.raises(ValueError, match="flush is 'response' or 'frame', not 'never'"):
        make(flush="never")
    with pytest.raises(EncodingError, match="there is no content encoding 'lzma'"):
        make(encoding="lzma")
    with pytest.raises(TypeError, match="streams must be an integer, not float"):
        make(streams=1.5)
    for streams in (0, -1, 129, HUGE):
        with pytest.raises(ValueError, match=r"streams must be (1 to |a number of at most 64 bits)"):
            make(streams=streams)


@every_role
def test_output_streams(role: str) -> None:
    reactor: Any = ROLES[role](streams=2)
    first = 2 if role == "server" else 1
    assert reactor.output_streams == (first, first + 2)
    if role == "server":
        reactor.receive_data(codec.encode_frame(codec.make_frame(1, 1, BEGIN, 1, 1, b"command")))

    def send(stream_id: int) -> Any:
        return (
            reactor.respond(1, b"", stream_id=stream_id)
            if role == "server"
            else reactor.issue("c", stream_id=stream_id)
        )

    with pytest.raises(ValueError, match=f"there is no output stream {first + 4}; there are {first}, {first + 2}"):
        send(first + 4)
    with pytest.raises(ValueError, match=r"there is no output stream 0x[0-9a-f]{8}\.\.\. \(\d+ bits\); there are"):
        send(HUGE)
    if role == "server":
        with pytest.raises(LocalProtocolError, match=r"found request 0x[0-9a-f]{8}\.\.\. \(\d+ bits\), which is free"):
            reactor.respond(HUGE, b"")
    assert {frame.stream_id for frame in send(first + 2)} == {first + 2}


# Plans.


@every_role
def test_a_role_has_what_its_table_asks_and_emits(role: str) -> None:
    rows = [*MACHINES[role].rows, *machines.STREAM.rows]
    guards = {guard for row in rows if row.when for atom in row.when.atoms() if (guard := getattr(atom, "guard", None))}
    emits = {row.emit for row in MACHINES[role].rows if row.frames or row.event is Event.END_OF_INPUT} - {None}
    assert len(guards) >= 4
    assert len(emits) >= 5
    for guard in guards:
        assert callable(bound(ROLES[role], "ask", guard))
    for emit in emits | {"stream-configured"}:
        assert callable(bound(ROLES[role], "emit", str(emit)))
    with pytest.raises(AttributeError):
        bound(ROLES[role], "ask", "nothing-known")


def test_bound_gives_a_roles_own_function() -> None:
    assert bound(Server, "ask", "receiving-others") is Server._ask_receiving_others
    assert bound(Client, "emit", "stream-configured") is not bound(Server, "emit", "stream-configured")


@pytest.mark.parametrize(
    ("code", "payload", "text"), [(1, b"command", "command"), (5, "h\u00e9".encode(), "h\u00e9"), (5, b"", "")]
)
def test_payloads_that_are_text(code: int, payload: bytes, text: str) -> None:
    assert text_payload(codec, code, payload) == text


@pytest.mark.requirement("command-name.ascii", "error-response.utf8")
@pytest.mark.parametrize(
    ("code", "payload", "requirement", "offset"),
    [
        (1, b"", "command-name.ascii", 0),
        (1, b"a\xff", "command-name.ascii", 1),
        (5, b"ab\xff", "error-response.utf8", 2),
    ],
)
def test_payloads_that_are_no_text(code: int, payload: bytes, requirement: str, offset: int) -> None:
    with pytest.raises(RemoteProtocolError) as error:
        text_payload(codec, code, payload)
    assert (error.value.requirement, error.value.offset) == (requirement, offset)


def test_states_in_words() -> None:
    assert words(ServerState.RECEIVING_ARGUMENTS) == "receiving arguments"
    assert words(StreamState.CLOSED) == "closed"
    assert words(ServerState.NONE) == "free"


def kind(stream_flags: int, code: int, flags: int) -> int:
    return codec.kind_of(codec.make_frame(1, 1, stream_flags, code, flags, b""))


def test_errors_of_payloads_are_placed_in_their_frame() -> None:
    fault = RemoteProtocolError("command-argument.value-short", 5, "value", "2 bytes", "1 byte")
    assert placed(default_revision(), fault, kind(0, 2, 0)).offset == 13
    encoded = placed(default_revision(), fault, kind(ENCODED, 2, 0))
    assert (encoded.offset, encoded.found) == (8, "1 byte (5 bytes into the decoded payload)")
    row = RemoteProtocolError("request.command-expected", None, "type", "command-name", "for request 1")
    assert (
        placed(default_revision(), row, kind(0, 3, 1)).offset,
        placed(default_revision(), row, kind(0, 3, 1)).found,
    ) == (
        7,
        "command-data continuation for request 1",
    )
    assert placed(default_revision(), row, kind(0, 2, 0)).found == "command-argument for request 1"


def test_plans_know_their_frame() -> None:
    node = Node(3)
    plan = Plan(node, None, codec.make_frame(1, 1, ENCODED | END, 3, 2, b""), default_revision())
    assert (plan.code, plan.flags, plan.encoded, plan.ends) == (3, 2, True, True)
    assert (plan.node, plan.stream, node.flags) == (node, None, 3)
    quiet = Plan(node, node, codec.make_frame(1, 1, BEGIN, 3, 2, b""), default_revision())
    assert (quiet.encoded, quiet.ends, quiet.stream) == (False, False, node)


def test_a_node_does_nothing_until_it_is_told_to() -> None:
    node = Node()
    assert (node.ask, node.row, node.to, node.table, node.outcomes) == (None, NO_ROW, None, None, {})
    assert (NO_ROW.frames, NO_ROW.event, NO_ROW.to, NO_ROW.error) == ((), None, None, None)
    node.act(None, 1, None, b"", node)


def test_a_request_is_in_the_state_of_its_table() -> None:
    table = Table(ServerState.ACTIVE)
    assert (table.state, table.plans) == (ServerState.ACTIVE, {})
    request = Request(table)
    states = [request.state]
    request.table = Table(ServerState.RESPONDING)
    assert [*states, request.state] == [ServerState.ACTIVE, ServerState.RESPONDING]


@every_role
def test_plans_are_shared_and_are_not_made_for_broken_headers(role: str) -> None:
    before = Stage(role, SCENES[role][0]).reactor
    assert cells(role)
    plans = [plan for table in (*before._tables.values(), before._free[0]) for plan in table.plans.values()]
    assert len({id(plan) for plan in plans}) == len(plans) > 0
    assert all(plan.code in codec.TYPE_NAMES and not plan.flags & ~sum(codec.FLAG_NAMES[plan.code]) for plan in plans)
    assert len(CASES[role]) > 20
