"""The reactors' golden tables: what each state makes of each frame and each call, recorded from runs.

``python tests/reactor_tables.py`` rewrites ``tests/data/reactor-server.txt``, ``reactor-client.txt`` and
``reactor-streams.txt``. A :class:`Scene` says how a reactor comes into a state; each cell is a run of its own, on a
reactor that was brought there anew. Nothing here knows what ought to come out: that is for people who review the files,
and for ``test_reactor.py``, which compares them with the schema's tables.
"""

from __future__ import annotations

import re
from functools import cache, partial
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.errors import DecodingError, LocalProtocolError, ProtocolError
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
    StartCommand,
    StreamLeftOpen,
    TextMessage,
    WantFrame,
)
from hgproto.reactors.limits import Limits
from hgproto.reactors.server import Server
from hgproto.revisions.framing_0002 import codec
from hgproto.runtime.layout import text_of_flags
from hgproto.streams.encodings import Encoder, Encodings, Profile, default_encodings, zlib_profile
from hgproto.wire.human import parse_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hgproto.runtime.frame import Frame

GOLDEN_FILES = Path(__file__).resolve().parent / "data"
REMAKE = "python tests/reactor_tables.py"

BEGIN, END, ENCODED = (int(flag) for flag in codec.StreamFlag)
NAME, ARGUMENT, SETTINGS = (
    codec.FrameType.COMMAND_NAME,
    codec.FrameType.COMMAND_ARGUMENT,
    codec.FrameType.STREAM_SETTINGS,
)


class _WideDecoder:
    """A decoder that finds every window too wide, with or without Zstandard installed."""

    def decode(self, data: bytes, limit: int) -> bytes:
        raise DecodingError("wide-window", 0, "a window of at most 8388608 bytes", "16777216 bytes")

    def finish(self) -> None:
        """Nothing is ever open."""


ENCODINGS = Encodings(
    [
        zlib_profile(),
        default_encodings()["identity"],
        Profile("wide", default_encodings()["identity"].encoder, _WideDecoder),
    ]
)

PAYLOADS = {
    1: b"command",
    2: b"\1\0\1\0bv",
    3: b"data",
    4: b"response",
    5: b"message",
    6: bytes(codec.encode_text_output(codec.TextOutput((codec.TextAtom("text\n", (), ()),)))),
    7: bytes(codec.encode_progress(codec.Progress("topic", 1, 2))),
    8: b"\4zlib",
}
"""A payload that each type takes, by its code; see :func:`_payload` for arguments."""


class _Failing:
    """A file of which some full payloads can be read."""

    def __init__(self, payloads: int) -> None:
        self.payloads = payloads

    def read(self, size: int) -> bytes:
        if not self.payloads:
            raise OSError("disk gone")
        self.payloads -= 1
        return bytes(size)


class Scene(NamedTuple):
    """A state, and how a reactor comes into it. ``common``: its cells may be among those that all states share."""

    state: str
    how: str
    steps: tuple[str, ...] = ()
    limits: Mapping[str, int] = {}
    options: Mapping[str, Any] = {}
    request_id: int = 1
    value_open: bool = False
    common: bool = True

    @property
    def title(self) -> str:
        return f"{self.state} ({self.how})" if self.how else self.state


class Snapshot(NamedTuple):
    """All that a reactor's machines are in: connection, requests and streams, those in their initial states left out."""

    connection: str
    requests: dict[int, str]
    streams: dict[int, str]


class Stage:
    """A reactor that is brought into a state.

    A step is a frame in human form, whose payload is encoded here where it is marked so, or a call: ``respond``,
    ``issue``, ``issue failing`` and how many payloads can be read, ``take`` (all frames that wait to be sent), ``take one``,
    ``end``, or ``bytes`` and hexadecimal ones. ``taking``: what the call ``take`` amounts to.
    """

    taking = "request taken"

    def __init__(self, role: str, scene: Scene, *, as_frames: bool = False, **options: Any) -> None:
        self.as_frames = as_frames
        self.role = role
        self.scene = scene
        make = Server if role == "server" else Client
        limits = _limits(tuple(scene.limits.items()))
        self.reactor: Any = make(encodings=ENCODINGS, limits=limits, **{**scene.options, **options})
        self.sends: list[SendFrames] = []
        self.encoders: dict[int, Encoder] = {}
        for step in scene.steps:
            self.do(step)

    def do(self, step: str) -> list[Any]:
        verb, _, rest = step.partition(" ")
        match verb:
            case "respond":
                self.sends.append(self.reactor.respond(self.scene.request_id, b"response"))
            case "issue" if rest:
                payloads = int(rest.removeprefix("failing "))
                self.taking = "later data fails" if payloads else "first data fails"
                self.sends.append(self.reactor.issue("command", None, _Failing(payloads)))
            case "issue":
                self.sends.append(self.reactor.issue("command", None, b"data"))
            case "take" if rest == "one":
                next(self.sends[0])
            case "take":
                for send in self.sends:
                    for _frame in send:
                        pass
                self.sends.clear()
            case "end":
                return list(self.reactor.receive_end())
            case "bytes":
                return list(self.reactor.receive_data(bytes.fromhex(rest)))
            case _:
                events = self.feed(_parsed(step))
                self.sends += [event for event in events if isinstance(event, SendFrames)]
                return events
        return []

    def feed(self, frame: Frame) -> list[Any]:
        """A frame with its payload as it is before content encoding; flushed, and finished where its stream ends."""
        flags, payload = int(frame.stream_flags), bytes(frame.payload)
        if frame.type == SETTINGS and flags & BEGIN and payload[1:].decode("ascii", "replace") in ENCODINGS:
            self.encoders[frame.stream_id] = ENCODINGS[payload[1:].decode()].encoder()
        elif flags & ENCODED and frame.stream_id in self.encoders:
            encoder = self.encoders[frame.stream_id]
            payload = encoder.encode(payload) + (encoder.finish() if flags & END else encoder.flush())
        if flags & END:
            self.encoders.pop(frame.stream_id, None)
        return self.feed_raw(frame.replace(payload=payload))

    def feed_raw(self, frame: Frame) -> list[Any]:
        """A frame as it is on the wire, as bytes: the reactors' usual way."""
        if self.as_frames:
            return list(self.reactor.receive_frame(frame))
        return list(self.reactor.receive_data(codec.encode_frame(frame)))

    def snapshot(self) -> Snapshot:
        seen = self.reactor.snapshot()
        return Snapshot(
            _word(seen.connection),
            {request_id: _word(state) for request_id, state in seen.requests.items()},
            {stream_id: _word(state) for stream_id, state in seen.inputs.items()},
        )


class Cell(NamedTuple):
    """One run: what was fed or called, what came of it, and the states before and after.

    ``what``: the byte of type and flags, or a call. ``emits``: the names that the schema has for what the reactor gave.
    """

    scene: Scene
    what: int | str
    before: Snapshot
    after: Snapshot
    emits: tuple[str, ...]
    gives: str
    refusal: ProtocolError | None
    events: list[Any]
    frame: Frame | None = None

    @property
    def source(self) -> str:
        return self.before.requests.get(self.scene.request_id, "none")

    @property
    def target(self) -> str:
        return self.after.requests.get(self.scene.request_id, "none")

    @property
    def then(self) -> str:
        """What has changed for requests, this one first."""
        if self.refusal is not None:
            return ""
        before, after = self.before.requests, self.after.requests
        changed = [
            ("" if request_id == self.scene.request_id else f"request {request_id} ") + after.get(request_id, "none")
            for request_id in sorted(before.keys() | after.keys(), key=lambda key: (key != self.scene.request_id, key))
            if before.get(request_id) != after.get(request_id)
        ]
        return "; ".join(changed) or "stays"


_parsed = cache(parse_frame)


@cache
def _limits(limits: tuple[tuple[str, int], ...]) -> Limits:
    return Limits(**dict(limits))


def _word(state: Any) -> str:
    return str(state.name).lower().replace("_", "-")


def run(stage: Stage, what: int | str, act: Callable[[], Any], frame: Frame | None = None) -> Cell:
    """Does something to a reactor, and records it."""
    before = stage.snapshot()
    events: list[Any] = []
    refusal: ProtocolError | None = None
    emits: tuple[str, ...] = ()
    try:
        events = act()
    except LocalProtocolError as error:
        refusal, gives = error, f"raises {error.requirement}"
    # Before errors are taken, which is an event of its own.
    after = stage.snapshot()
    errors = [event.error for event in events if isinstance(event, Error)]
    if errors:
        (refusal,) = errors
        gives = f"refused by {refusal.requirement}"
    elif refusal is None:
        # Who is told that a request fails with its connection is the same everywhere, and said once.
        told = [event for event in events if not isinstance(event, StreamLeftOpen) and not _fails(event)]
        shown = [_shown(event) for event in told]
        gives, emits = ", ".join(text for _, text in shown) or "nothing", tuple(emit for emit, _ in shown)
    return Cell(stage.scene, what, before, after, emits, gives, refusal, events, frame)


def _fails(event: Any) -> bool:
    return isinstance(event, RequestError) and event.requirement not in (None, "response.complete", "request.complete")


def _shown(event: Any) -> tuple[str, str]:
    """An event by the name of what the schema's table emits, and in words."""
    match event:
        case RunCommand():
            parts = [f"{name}={value.decode('ascii', 'backslashreplace')!r}" for name, value in event.args.items()]
            if isinstance(event, StartCommand):
                parts.append("data follows")
            elif event.data is not None:
                parts.append(f"data {event.data.decode('ascii', 'backslashreplace')!r}")
            return "run-command", ", ".join(["run-command", *parts])
        case WantFrame():
            return "want-frame", "want-frame"
        case CommandData():
            return "command-data", f"command-data{', last' * event.last}"
        case CommandCut():
            return "command-cut", f"command-cut{', answered' * event.answered}"
        case SendFrames() if event.requirement is not None:
            (frame,) = event
            kind = text_of_flags(int(frame.flags), codec.FLAG_NAMES[5])
            return f"{kind}-error", f"{kind}-error for {event.request_id} ({event.requirement})"
        case SendFrames():
            return "send-frames", "send-frames"
        case NoOp():
            return "no-op", "no-op"
        case ResponseData():
            return "response-data", f"response-data{', last' * event.last}"
        case TextMessage():
            return "text", "text"
        case ProgressUpdate():
            return "progress", "progress"
        case RequestError() if event.requirement is None:
            return "request-error", "request-error"
        case RequestError(requirement="request.complete"):
            return "request-failed", f"request-error for {event.request_id} (request.complete)"
        case RequestError():
            return "request-lost", f"request-error for {event.request_id} ({event.requirement})"
        case PeerError():
            return "connection-error", "connection-error"
    raise TypeError(f"no event of a reactor: {event!r}")


# States and frames of requests.

OTHER = "3 1 stream-begin command-name have-args other"
OTHER_ACTIVE = "3 1 stream-begin command-name eos other"
ARGS = "1 1 stream-begin command-name have-args command"
ARGS_TOO = "1 1 0 command-name have-args command"
OTHER_TOO = "3 1 0 command-name have-args other"
DATA = "1 1 stream-begin command-name have-data command"
BOTH = "1 1 stream-begin command-name have-args|have-data command"
BOTH_TOO = "1 1 0 command-name have-args|have-data command"
ACTIVE = "1 1 stream-begin command-name eos command"
ACTIVE_TOO = "1 1 0 command-name eos command"
ONE = r"1 1 0 command-argument 0 \x01\x00\x01\x00av"
LAST = r"1 1 0 command-argument eoa \x01\x00\x01\x00av"
PART = r"1 1 0 command-argument continuation \x01\x00\x03\x00av"
MORE_DATA = "1 1 0 command-data continuation data"
STREAMING = {"streaming": True}
OPENED = r"1 1 stream-begin stream-settings 0 \x08identity"
RESPONDED = "1 2 stream-begin bytes-response continuation x"

# fmt: off
SERVER_SCENES = [
    Scene("none", "idle"),
    Scene("none", "idle, on an open stream", (OPENED,)),
    Scene("none", "idle, streaming", options=STREAMING),
    Scene("none", "another is partly received", (OTHER,)),
    Scene("none", "as many active as allowed", (OTHER_ACTIVE,), {"active_requests": 1}),
    Scene("none", "as many partly received as allowed", (OTHER,), {"receiving_requests": 1}),
    Scene("none", "an id of the server's", (OPENED,), request_id=2, common=False),
    Scene("receiving-arguments", "no argument yet", (ARGS,)),
    Scene("receiving-arguments", "no argument yet, data announced", (BOTH,)),
    Scene("receiving-arguments", "no argument yet, data announced, streaming", (BOTH,), options=STREAMING),
    Scene("receiving-arguments", "after an argument", (ARGS, ONE)),
    Scene("receiving-arguments", "a value is open", (ARGS, PART), value_open=True),
    Scene("receiving-arguments", "a value is open, data announced", (BOTH, PART), value_open=True),
    Scene("receiving-arguments", "as many arguments as allowed", (ARGS, ONE), {"arguments": 1}),
    Scene("receiving-arguments", "as many arguments as allowed, data announced", (BOTH, ONE), {"arguments": 1}),
    Scene("receiving-data", "after arguments", (BOTH, LAST)),
    Scene("receiving-data", "without arguments", (DATA,)),
    Scene("receiving-data", "as many bytes as allowed", (DATA, MORE_DATA), {"request_bytes": 4}),
    Scene("streaming", "after arguments", (BOTH, LAST), options=STREAMING),
    Scene("streaming", "without arguments", (DATA,), options=STREAMING),
    Scene("exchanging", "after arguments", (BOTH, LAST, "respond"), options=STREAMING),
    Scene("exchanging", "without arguments", (DATA, "respond"), options=STREAMING),
    Scene("refusing", "arguments to come", (OTHER_ACTIVE, ARGS_TOO), {"active_requests": 1}),
    Scene("refusing", "arguments and data to come", (OTHER_ACTIVE, BOTH_TOO), {"active_requests": 1}),
    Scene("refused", "arguments to come", (OTHER_ACTIVE, ARGS_TOO, "take"), {"active_requests": 1}),
    Scene("refused", "arguments and data to come", (OTHER_ACTIVE, BOTH_TOO, "take"), {"active_requests": 1}),
    Scene("refused", "data to come, answered by its command", (DATA, "respond", "take"), options=STREAMING),
    Scene("active", "idle", (ACTIVE,)),
    Scene("active", "another is partly received", (ACTIVE, OTHER_TOO)),
    Scene("responding", "idle", (ACTIVE, "respond")),
    Scene("responding", "idle, refused for a limit", (OTHER_ACTIVE, ACTIVE_TOO), {"active_requests": 1}),
    Scene("responding", "another is partly received", (ACTIVE, OTHER_TOO, "respond")),
    Scene("active", "connection errored", (ACTIVE, ACTIVE), common=False),
]
CLIENT_SCENES = [
    Scene("none", "idle"),
    Scene("none", "another is active", ("issue", "take"), request_id=3),
    Scene("none", "as many active as allowed", ("issue", "take"), {"active_requests": 1}, request_id=3),
    Scene("none", "an id of the server's", request_id=2),
    Scene("none", "id 0", request_id=0),
    Scene("sending", "no frame taken yet", ("issue",)),
    Scene("sending", "some frames taken, part of a response received", ("issue", "take one", RESPONDED)),
    Scene("active", "no response yet", ("issue", "take")),
    Scene("active", "part of a response received", ("issue", "take", RESPONDED)),
    Scene("active", "another is active", ("issue", "issue", "take")),
    Scene("answered", "by a response", ("issue", "take one", "1 2 stream-begin bytes-response eos x")),
    Scene("answered", "by an error", ("issue", "take one", "1 2 stream-begin error-response application x")),
    Scene("sending", "its data cannot be read", ("issue failing 0",)),
    Scene("sending", "some frames taken, more data cannot be read", ("issue failing 3", "take one")),
    Scene("unfinished", "no response yet", ("issue failing 3", "take", "bytes")),
    Scene("unfinished", "part of a response received", ("issue failing 3", "take", "bytes", RESPONDED)),
    Scene("answered", "by a response, unfinished",
          ("issue failing 3", "take", "bytes", "1 2 stream-begin bytes-response eos x")),
    Scene("active", "connection errored", ("issue", "take", "1 2 0 text-output 0 "), common=False),
    Scene("active", "connection closed by the server", ("issue", "take", "0 2 stream-begin error-response protocol x"),
          common=False),
]
# fmt: on
SCENES = {"server": SERVER_SCENES, "client": CLIENT_SCENES}
"""By role. The first has no step."""


def _payload(scene: Scene, code: int, flags: int) -> bytes:
    """A payload that is good for a type in a scene."""
    if code == ARGUMENT and scene.value_open:
        return b"v" if flags & 1 else b"vv"
    if code == ARGUMENT and flags & 1:
        return b"\1\0\3\0bv"
    return PAYLOADS.get(code, b"?")


def frame_cell(role: str, scene: Scene, byte: int, *, as_frames: bool = False) -> Cell:
    """A frame of a type and with flags, its payload good, its stream open or opened by it."""
    stage = Stage(role, scene, as_frames=as_frames)
    code, flags = byte >> 4, byte & 0xF
    stream_id = (1 if role == "server" else 2) + (2 if code == SETTINGS else 0)
    stream_flags = 0 if stream_id in stage.snapshot().streams else BEGIN
    frame = codec.make_frame(scene.request_id, stream_id, stream_flags, code, flags, _payload(scene, code, flags))
    return run(stage, byte, lambda: stage.feed(frame), frame)


def _taken(stage: Stage) -> list[Any]:
    events = stage.do("take")
    # A failure is told with the next events.
    return events + list(stage.reactor.receive_data(b"")) if stage.role == "client" else events


CALLS: dict[str, dict[str, Callable[[Stage], Any]]] = {
    "server": {
        "end of input": lambda stage: stage.reactor.receive_end(),
        "respond": lambda stage: [stage.reactor.respond(stage.scene.request_id, b"response")],
        "respond_error": lambda stage: [stage.reactor.respond_error(stage.scene.request_id, "message")],
        "send_text": lambda stage: [stage.reactor.send_text(stage.scene.request_id, [("text\n", (), ())])],
        "send_progress": lambda stage: [stage.reactor.send_progress(stage.scene.request_id, "topic", 1, 2)],
        "response taken": _taken,
    },
    "client": {
        "end of input": lambda stage: stage.reactor.receive_end(),
        "issue": lambda stage: [stage.reactor.issue("command")],
        "issued, this id": lambda stage: stage.reactor.issued(stage.scene.request_id) or [],
        "request taken": _taken,
    },
}


def call_cells(role: str, scene: Scene) -> Iterable[Cell]:
    """Calls, and the end of input."""
    for name, call in CALLS[role].items():
        stage = Stage(role, scene)
        if stage.sends or call is not _taken:
            yield run(stage, stage.taking if name == "request taken" else name, partial(call, stage))


@cache
def cells(role: str) -> tuple[Cell, ...]:
    """All cells of a role: in each scene 256 frames and every call."""
    return tuple(
        cell
        for scene in SCENES[role]
        for cell in (
            *(frame_cell(role, scene, byte) for byte in range(256)),
            *call_cells(role, scene),
        )
    )


# Payloads and limits.

MAP = r"\xa3Cpos\x01EtopicAxEtotal\x02"
IDLE, OVER = "none (idle)", "none (as many active as allowed)"
FRESH, AFTER_ONE, OPEN = (
    f"receiving-arguments ({how})" for how in ("no argument yet", "after an argument", "a value is open")
)
WANTS_DATA, WAITS = "receiving-data (without arguments)", "active (no response yet)"
WHOLE, PARTLY = "1 1 0 command-argument 0 ", "1 1 0 command-argument continuation "
ZLIB = (r"1 2 stream-begin stream-settings 0 \x04zlib", "1 2 encoded bytes-response continuation 1234")
TEXT, PROGRESS = "1 2 stream-begin text-output 0 ", "1 2 stream-begin progress 0 "


class Case(NamedTuple):
    """What the last of some steps leads to, after those of a scene."""

    title: str
    what: str
    steps: tuple[str, ...]
    limits: Mapping[str, int] = {}


# fmt: off
CASES = {
    "server": [
        Case(IDLE, "a length over the limit", ("bytes 0500000100010111 61",), {"max_payload": 4}),
        Case(IDLE, "the header is cut", ("bytes 0100000100", "end")),
        Case(IDLE, "the header is cut after a length over the limit", ("bytes 050000", "end"), {"max_payload": 4}),
        Case(IDLE, "the payload is cut", ("bytes 0200000100010111 61", "end")),
        Case(IDLE, "no command name", ("1 1 stream-begin command-name eos ",)),
        Case(IDLE, "a command name that is not ASCII", (r"1 1 stream-begin command-name have-args \xff",)),
        Case(OVER, "no command name", ("1 1 0 command-name eos ",)),
        Case(FRESH, "the sub-header is cut", (WHOLE + r"\x01\x00\x01",)),
        Case(FRESH, "the name is cut", (WHOLE + r"\x03\x00\x00\x00na",)),
        Case(FRESH, "the name is cut where the value goes on", (PARTLY + r"\x03\x00\x05\x00na",)),
        Case(FRESH, "an empty name", (WHOLE + r"\x00\x00\x01\x00v",)),
        Case(FRESH, "a name that is not ASCII", (WHOLE + r"\x01\x00\x01\x00\xffv",)),
        Case(FRESH, "an empty value", (WHOLE + r"\x01\x00\x00\x00a",)),
        Case(FRESH, "a value that is short", (WHOLE + r"\x01\x00\x02\x00av",)),
        Case(FRESH, "a value that is long", (WHOLE + r"\x01\x00\x01\x00avv",)),
        Case(FRESH, "a first part that is the whole value", (PARTLY + r"\x01\x00\x01\x00av",)),
        Case(FRESH, "a first part that is long", (PARTLY + r"\x01\x00\x01\x00avv",)),
        Case(FRESH, "a value as long as allowed", (PART,), {"argument_value": 3}),
        Case(FRESH, "a value that is over its limit", (WHOLE + r"\x01\x00\x03\x00avvv",), {"argument_value": 2}),
        Case(FRESH, "a value that will be over its limit", (PART,), {"argument_value": 2}),
        Case(FRESH, "as many bytes as allowed", (ONE,), {"request_bytes": 2, "buffered_bytes": 2}),
        Case(FRESH, "a request over its bytes", (ONE,), {"request_bytes": 1}),
        Case(FRESH, "the last frame of a request over its bytes", (LAST,), {"request_bytes": 1}),
        Case(FRESH, "all requests over their bytes", (ONE,), {"buffered_bytes": 1}),
        Case(AFTER_ONE, "a name again", (ONE,)),
        Case(AFTER_ONE, "a name again where the value goes on", (PART,)),
        Case(OPEN, "a middle part that is empty", (PARTLY,)),
        Case(OPEN, "a middle part that is the rest of the value", (PARTLY + "vv",)),
        Case(OPEN, "a middle part that is long", (PARTLY + "vvv",)),
        Case(OPEN, "a last part that is empty", (WHOLE,)),
        Case(OPEN, "a last part that is short", (WHOLE + "v",)),
        Case(OPEN, "a last part that is long", (WHOLE + "vvv",)),
        Case(OPEN, "a last part over the request's bytes", (WHOLE + "vv",), {"request_bytes": 3}),
        Case(OPEN, "a last part over the bytes of all requests", (WHOLE + "vv",), {"buffered_bytes": 3}),
        Case(OPEN, "a last part that is no sub-header", (r"1 1 0 command-argument eoa \x01\x00",)),
        Case(FRESH, "a last part that could be an argument", (r"1 1 0 command-argument continuation \x01\x00\x07\x00av", LAST)),
        Case(WANTS_DATA, "empty data, more to come", ("1 1 0 command-data continuation ",)),
        Case(WANTS_DATA, "empty data, the last", ("1 1 0 command-data eos ",)),
        Case(WANTS_DATA, "as much data as allowed", (MORE_DATA,), {"request_bytes": 4, "buffered_bytes": 4}),
        Case(WANTS_DATA, "data over the request's bytes", (MORE_DATA,), {"request_bytes": 3}),
        Case(WANTS_DATA, "data over the bytes of all requests", (MORE_DATA,), {"buffered_bytes": 3}),
    ],
    "client": [
        Case(WAITS, "a length over the limit", ("bytes 0500000100020142 61",), {"max_payload": 4}),
        Case(WAITS, "the header is cut", ("bytes 0100000100", "end")),
        Case(WAITS, "the payload is cut", ("bytes 0200000100020142 61", "end")),
        Case(WAITS, "an empty response", ("1 2 stream-begin bytes-response eos ",)),
        Case(WAITS, "an empty error", ("1 2 stream-begin error-response application ",)),
        Case(WAITS, "an error that is not UTF-8", (r"1 2 stream-begin error-response application \xff",)),
        Case(WAITS, "a protocol error that is not UTF-8", (r"1 2 stream-begin error-response protocol \xff",)),
        Case(WAITS, "no atoms", (TEXT,)),
        Case(WAITS, "the lengths of an atom are cut", (TEXT + r"\x01\x00\x00",)),
        Case(WAITS, "the format of an atom is cut", (TEXT + r"\x02\x00\x00\x00x",)),
        Case(WAITS, "a format that is not UTF-8", (TEXT + r"\x01\x00\x00\x00\xff",)),
        Case(WAITS, "a label that is not ASCII", (TEXT + r"\x00\x00\x01\x00\x01\xff",)),
        Case(WAITS, "fewer arguments than %s", (TEXT + r"\x02\x00\x00\x00%s",)),
        Case(WAITS, "no bytes", (PROGRESS,)),
        Case(WAITS, "no map", (PROGRESS + r"\x80",)),
        Case(WAITS, "a map is cut", (PROGRESS + MAP.removesuffix(r"\x02"),)),
        Case(WAITS, "bytes after the map", (PROGRESS + MAP + r"\x00",)),
        Case(WAITS, "a key twice", (PROGRESS + r"\xa4Cpos\x02" + MAP.removeprefix(r"\xa3"),)),
        Case(WAITS, "a key that is text", (PROGRESS + r"\xa4aa\x02" + MAP.removeprefix(r"\xa3"),)),
        Case(WAITS, "an unknown key", (PROGRESS + r"\xa4Aa\x02" + MAP.removeprefix(r"\xa3"),)),
        Case(WAITS, "a key is missing", (PROGRESS + r"\xa1Cpos\x01",)),
        Case(WAITS, "the topic ends", (PROGRESS + MAP.replace(r"\x01", "\\x20"),)),
        Case(WAITS, "a position under -1", (PROGRESS + MAP.replace(r"\x01", "!"),)),
        Case(WAITS, "a topic that is not UTF-8", (PROGRESS + MAP.replace("Ax", r"A\xff"),)),
        Case(WAITS, "decoded bytes at the limit", (*ZLIB, "1 2 encoded bytes-response eos 1234"), {"decoded_response": 8}),
        Case(WAITS, "decoded bytes over the limit", (*ZLIB, "1 2 encoded bytes-response eos 12345"), {"decoded_response": 8}),
    ],
}
# fmt: on


@cache
def cases(role: str) -> tuple[tuple[Case, Cell], ...]:
    """What payloads lead to: the last step of each case."""
    scenes = {scene.title: scene for scene in SCENES[role]}
    found = []
    for case in CASES[role]:
        scene = scenes[case.title]
        stage = Stage(role, scene._replace(limits={**scene.limits, **case.limits}))
        for step in case.steps[:-1]:
            stage.do(step)
        last = case.steps[-1]
        frame = _parsed(last) if last[0].isdecimal() else None
        found.append((case, run(stage, case.what, partial(stage.do, last), frame)))
    return tuple(found)


# Streams.

STREAM_SCENES = [
    Scene("closed", ""),
    Scene("closed", "open before, with an encoding", ("settings zlib", "encoded", "encoded end")),
    Scene("closed", "as many open as allowed", ("another begins",), {"open_streams": 1}),
    Scene("open", "", ("begin",)),
    Scene("open", "as many open as allowed", ("begin",), {"open_streams": 1}),
    Scene("configured", "zlib, nothing encoded yet", ("settings zlib",)),
    Scene("configured", "zlib, in use", ("settings zlib", "encoded")),
    Scene("configured", "windows that are too wide", ("settings wide",), common=False),
]
SETTINGS_PAYLOADS = {
    "zlib": b"\4zlib",
    "unknown profile": b"\1x",
    "bytes after the name": b"\4zlib!",
    "name cut": b"\4zli",
    "name empty": b"\0",
    "name not ASCII": b"\1\xff",
}
ENCODED_PAYLOADS = ["undecodable", "after the end", "too large", "end missing"]
DECODED_FRAME = 64
STREAM_BYTES = [unknown | known for unknown in (0, 8, 16, 32, 64, 128) for known in range(8)]
"""All known stream flags, alone and with each unknown bit."""


class StreamCell(NamedTuple):
    """One run of a frame on a stream. ``cell.what`` is the byte of stream flags."""

    kind: str
    payload: str
    reopen: str
    cell: Cell

    @property
    def outcome(self) -> tuple[str, str]:
        """What becomes of the frame, and of the stream."""
        cell, stream_id = self.cell, self.stream_id
        before, after = (snapshot.streams.get(stream_id, "closed") for snapshot in (cell.before, cell.after))
        return ("taken", after if after != before else "stays") if cell.refusal is None else (cell.gives, "")

    @property
    def stream_id(self) -> int:
        return 0 if self.cell.frame is None else self.cell.frame.stream_id

    @property
    def flags(self) -> int:
        return 0 if self.cell.frame is None else int(self.cell.frame.stream_flags)


class StreamStage(Stage):
    """A reactor one of whose streams is brought into a state; the frames on it are good for their requests."""

    def __init__(self, role: str, scene: Scene, reopen: str) -> None:
        self.stream_id = 1 if role == "server" else 2
        self.request_id = 1
        limits = {"decoded_frame": DECODED_FRAME, **scene.limits}
        super().__init__(role, scene._replace(steps=(), limits=limits), reopen=reopen)
        self.scene = scene
        if role == "client":
            super().do("issue")
            super().do("take")
        for step in scene.steps:
            match step.split():
                case ["settings", name]:
                    self.feed(self.frame(BEGIN, bytes([len(name)]) + name.encode(), settings=True))
                case ["another", "begins"]:
                    self.feed(self.frame(BEGIN, stream_id=self.stream_id + 2))
                case names:
                    flags = {"begin": BEGIN, "end": END, "encoded": ENCODED}
                    self.feed(self.frame(sum(flags[name] for name in names)))

    def frame(
        self, stream_flags: int, payload: bytes = b"command", *, settings: bool = False, stream_id: int | None = None
    ) -> Frame:
        """stream-settings, or a frame that its request takes: of a new request, or of a response that goes on."""
        stream_id = self.stream_id if stream_id is None else stream_id
        if settings:
            return codec.make_frame(1, stream_id, stream_flags, SETTINGS, 0, payload)
        if self.role == "client":
            return codec.make_frame(1, stream_id, stream_flags, codec.FrameType.BYTES_RESPONSE, 1, payload)
        self.request_id += 2
        return codec.make_frame(self.request_id - 2, stream_id, stream_flags, NAME, 1, payload)

    def encoded(self, kind: str, stream_flags: int) -> bytes:
        """The wire bytes of a payload of some kind, good unless told otherwise."""
        encoder = self.encoders.get(self.stream_id) or zlib_profile().encoder()
        last = stream_flags & END
        match kind:
            case "undecodable":
                return b"\xff" * 8
            case "after the end":
                return encoder.encode(b"command") + encoder.finish() + b"x"
            case "too large":
                return encoder.encode(b"x" * (DECODED_FRAME + 1)) + (encoder.finish() if last else encoder.flush())
            case "end missing":
                return encoder.encode(b"command") + encoder.flush()
        return encoder.encode(b"command") + (encoder.finish() if last else encoder.flush())


def stream_cell(role: str, scene: Scene, reopen: str, kind: str, payload: str, stream_flags: int) -> StreamCell:
    """A frame with stream flags on the stream of a scene."""
    stage = StreamStage(role, scene, reopen)
    if kind == "stream-settings":
        frame = stage.frame(stream_flags, SETTINGS_PAYLOADS[payload], settings=True)
    else:
        frame = stage.frame(stream_flags)
        if stream_flags & ENCODED and not stream_flags & BEGIN:
            frame = frame.replace(payload=stage.encoded(payload, stream_flags))
    return StreamCell(kind, payload, reopen, run(stage, stream_flags, lambda: stage.feed_raw(frame), frame))


def _stream_runs(scene: Scene) -> Iterable[tuple[str, str, Sequence[int]]]:
    """Kinds of frames and payloads, and the stream flags that they are run with."""
    yield "any other", "good", STREAM_BYTES if scene.common else range(8)
    if scene.common:
        for payload in ENCODED_PAYLOADS:
            yield "any other", payload, [flags for flags in (4, 5, 6, 7) if flags & END or payload != "end missing"]
        for payload in SETTINGS_PAYLOADS:
            yield "stream-settings", payload, STREAM_BYTES if payload == "zlib" else range(8)


@cache
def stream_cells(role: str) -> tuple[StreamCell, ...]:
    """All cells of streams for a role."""
    return tuple(
        stream_cell(role, scene, reopen, kind, payload, flags)
        for scene in STREAM_SCENES
        for kind, payload, run_with in _stream_runs(scene)
        for flags in run_with
        for reopen in ("error", "restart")
    )


@cache
def id_cells(role: str) -> tuple[StreamCell, ...]:
    """A frame that opens a stream, for each stream id."""
    found = []
    for stream_id in range(256):
        stage = StreamStage(role, STREAM_SCENES[0], "error")
        frame = stage.frame(BEGIN, stream_id=stream_id)
        cell = run(stage, stream_id, partial(stage.feed_raw, frame), frame)
        found.append(StreamCell("any other", "good", "error", cell))
    return tuple(found)


@cache
def end_cells(role: str) -> tuple[Cell, ...]:
    """The end of input, for each state of a stream."""
    stages = [StreamStage(role, scene, "error") for scene in STREAM_SCENES]
    return tuple(run(stage, "end of input", stage.reactor.receive_end) for stage in stages)


# Text.

Line = tuple[str, ...]
"""How many cells, and the columns."""


def _label(values: list[int], known: int, end: int, names: Mapping[int, str]) -> str:
    """Values of flags below ``end`` in words that name them all. ``known``: the bits that have a name."""
    if len(values) == end:
        return "any"
    named = [value for value in values if not value & ~known]
    unknown = [value for value in values if value & ~known]
    parts = [text_of_flags(value, names) for value in named]
    if len(named) > 1 and len(named) == 1 << known.bit_count():
        parts = ["any known"]
    if unknown:
        whole = len(unknown) == end - (1 << known.bit_count())
        parts += ["unknown bits"] if whole else [hex(value) for value in unknown]
    # Which one is left, another line says.
    return "all others" if len(values) == end - 1 and len(parts) > 3 else ", ".join(parts)


def _grouped(outcomes: Mapping[int, tuple[Any, ...]]) -> dict[tuple[Any, ...], list[int]]:
    """Values by outcome, in the order in which outcomes turn up."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for value, outcome in outcomes.items():
        groups.setdefault(outcome, []).append(value)
    return groups


def _types_label(codes: list[int]) -> str:
    if len(codes) == 16:
        return "any"
    if len(codes) == 15:
        return "all other types"  # another line names the one that is left
    names = [codec.TYPE_NAMES[code] for code in codes if code in codec.TYPE_NAMES]
    unknown = [code for code in codes if code not in codec.TYPE_NAMES]
    return ", ".join(names + (["unknown types"] if unknown == [0, *range(9, 16)] else [hex(code) for code in unknown]))


def _frame_lines(outcomes: Mapping[int, tuple[str, ...]]) -> list[Line]:
    """Lines for bytes of type and flags: frame, flags, outcome; types that are alike are together."""
    alike: dict[tuple[tuple[int, Line], ...], list[int]] = {}
    for code in (*range(1, 16), 0):
        names = codec.FLAG_NAMES.get(code, {})
        mine = {byte & 0xF: outcome for byte, outcome in outcomes.items() if byte >> 4 == code}
        groups = _grouped(mine).items()
        lines = tuple((len(group), (_label(group, sum(names), 16, names), *outcome)) for outcome, group in groups)
        alike.setdefault(lines, []).append(code)
    return [
        (str(count * len(codes)), _types_label(sorted(codes)), *texts)
        for lines, codes in alike.items()
        for count, texts in lines
    ]


def _section(title: str, about: Iterable[str], lines: list[Line], widths: list[int]) -> str:
    """A titled table. ``about``: what stands between its title and its lines."""
    text = [title, *(f"    {line}" for line in about)]
    for count, *columns in lines:
        if count == "call":
            # A call has no flags, and its name may be as long as both columns.
            columns[:2] = [columns[0].ljust(widths[0] + 2 + widths[1])]
            padded = [columns[0], *map(str.ljust, columns[1:], widths[2:])]
        else:
            padded = [*map(str.ljust, columns, widths)]
        text.append(f"  {count:>6}  {'  '.join(padded)}".rstrip())
    return "\n".join(text) + "\n"


def _tables(columns: tuple[str, ...], sections: list[tuple[str, list[str], list[Line]]]) -> list[str]:
    """Sections with the columns of all of them aligned, and named over the first."""
    rows = [columns, *(texts for _, _, lines in sections for _, *texts in lines)]
    names = [columns, *(texts for _, _, lines in sections for count, *texts in lines if count != "call")]
    widths = [max(map(len, column)) for column in (*[*zip(*names, strict=True)][:2], *[*zip(*rows, strict=True)][2:])]
    (title, about, lines), *others = sections
    return [_section(*section, widths) for section in [(title, about, [("cells", *columns), *lines]), *others]]


def _words(errors: Iterable[ProtocolError | None]) -> str:
    """What refusals say, the first of each requirement."""
    said: dict[str, str] = {}
    for error in errors:
        if error is not None:
            # What zlib says itself differs between its versions.
            text = re.sub(
                r"bytes that the library rejects: .*? at offset",
                "bytes that the library rejects: ... at offset",
                str(error),
            )
            said.setdefault(error.requirement, text.removesuffix(f" ({error.requirement})"))
    lines = [f"  {name}\n      {text}" for name, text in sorted(said.items())]
    title = f"The first refusal by each requirement, in its own words ({len(said)} requirements)"
    return "\n".join([title, *lines]) + "\n"


def _head(what: str, note: str) -> str:
    remade = f"Recorded from runs. Remake it by `{REMAKE}`, and review the diff."
    lines = [what, "", *wrap(note, 116), "", remade]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def _given(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())


def _about(scene: Scene) -> list[str]:
    settings = {**scene.limits, **scene.options}
    return [*([f"given {_given(settings)}"] if settings else []), *map(_marked, scene.steps)]


def _marked(step: str) -> str:
    return f"> {step}" if step[0].isdecimal() else f"= {step}"


NOTES = {
    "server": (
        "The server was brought into each state by the steps below its title: frames (>) in human form, and calls (=). Each "
        "cell is a run of its own: a frame of request 1 with one byte of type and flags, its payload good for its type in that "
        "state, its stream open or opened by it. A refusal leaves everything as it was but the connection, which is "
        "errored, and the client is sent an error-response (protocol)."
    ),
    "client": (
        "The client was brought into each state by the steps below its title: frames (>) in human form, and calls (=). Each "
        "cell is a run of its own: a frame with one byte of type and flags, its payload good for its type, its stream open "
        "or opened by it, of request 3, 2 or 0 where that is the free id, else of request 1. With a refusal, and with a "
        "connection-error, each request that waits for its response is told that it has failed."
    ),
    "streams": (
        "One stream of a reactor was brought into each state by the steps below its title. Each cell is a run of its own: a "
        "frame on that stream, good for its request. It is stream-settings or another type, which stands for all others: "
        "command-name for the server, bytes-response for the client. Payloads marked encoded are as the stream encodes them, and "
        "finished with stream-end, unless they are what the second column says. Unknown bits were set one at a time. Both "
        "roles gave the same where no title names one."
    ),
}  # fmt: skip


def request_table(role: str) -> str:
    """The golden table of a role's requests."""
    mine = {scene.title: [cell for cell in cells(role) if cell.scene is scene] for scene in SCENES[role]}
    outcomes = {
        title: {cell.what: (cell.gives, cell.then) for cell in found if isinstance(cell.what, int)}
        for title, found in mine.items()
    }
    first, *others = (outcomes[scene.title] for scene in SCENES[role] if scene.common)
    shared = {byte: outcome for byte, outcome in first.items() if all(o[byte] == outcome for o in others)}
    sections: list[tuple[str, list[str], list[Line]]] = [("Every state", [], _frame_lines(shared))]
    for scene in SCENES[role]:
        own = {byte: outcome for byte, outcome in outcomes[scene.title].items() if shared.get(byte) != outcome}
        lines = _frame_lines(own)
        if len(own) < 256:
            lines.append((str(256 - len(own)), "as in every state", "", "", ""))
        calls: dict[tuple[str, str], list[str]] = {}
        for cell in mine[scene.title]:
            if isinstance(cell.what, str):
                calls.setdefault((cell.gives, cell.then), []).append(cell.what)
        lines += [("call", ", ".join(names), "", *outcome) for outcome, names in calls.items()]
        sections.append((scene.title, _about(scene), lines))
    payloads: dict[str, list[Line]] = {}
    for case, cell in cases(role):
        steps = f"{'; '.join(case.steps)}{f'   given {_given(case.limits)}' * bool(case.limits)}"
        payloads.setdefault(case.title, []).append(("", case.what, steps, cell.gives, cell.then))
    refusals = [cell.refusal for cell in (*cells(role), *(cell for _, cell in cases(role)))]
    return "\n".join(
        [
            _head(f"What the {role}'s reactor makes of each frame and call, by the state of the request", NOTES[role]),
            *_tables(("frame, or call", "flags", "gives", "request then"), sections),
            *_tables(
                ("payload, or limit", "after the steps of the state", "gives", "request then"),
                [(f"Payloads: {title}", [], lines) for title, lines in payloads.items()],
            ),
            _words(refusals),
        ]
    )


def streams_table() -> str:
    """The golden table of streams, of both roles."""
    outcomes = {role: {scene.title: _outcomes(role, scene) for scene in STREAM_SCENES} for role in SCENES}
    first, *others = (outcomes[role][scene.title] for role in SCENES for scene in STREAM_SCENES if scene.common)
    shared = {key: outcome for key, outcome in first.items() if all(other[key] == outcome for other in others)}
    sections: list[tuple[str, list[str], list[Line]]] = [("Every state", [], _stream_lines(shared))]
    for at, scene in enumerate(STREAM_SCENES):
        by_role = {}
        for role in SCENES:
            mine = outcomes[role][scene.title]
            own = {key: outcome for key, outcome in mine.items() if shared.get(key) != outcome}
            lines = _stream_lines(own)
            lines.append((str(2 * (len(mine) - len(own))), "as in every state", *[""] * 5))
            notes = [event for event in end_cells(role)[at].events if isinstance(event, StreamLeftOpen)]
            gives = ", ".join("note that a stream is left open" for _ in notes) or "nothing"
            by_role[role] = [*lines, ("call", "end of input", "", "", "", gives, "")]
        sections += _by_role(scene.title, _about(scene), by_role)
    ids = {role: _id_lines(id_cells(role)) for role in SCENES}
    sections += _by_role("closed, by the id of the stream", [], ids)
    every = [one.cell.refusal for role in SCENES for one in (*stream_cells(role), *id_cells(role))]
    return "\n".join(
        [
            _head("What reactors make of each frame's stream flags, by the state of its stream", NOTES["streams"]),
            *_tables(("frame", "payload", "stream flags", "reopen", "gives", "stream then"), sections),
            _words(every),
        ]
    )


Key = tuple[str, str, int]
"""The kind of a frame, what its payload is, and its stream flags."""


def _outcomes(role: str, scene: Scene) -> dict[Key, tuple[Line, ...]]:
    """What becomes of each frame on the stream of a scene, with each setting of ``reopen``."""
    outcomes: dict[Key, tuple[Line, ...]] = {}
    for one in stream_cells(role):
        if one.cell.scene.title == scene.title:
            key = one.kind, one.payload, one.flags
            outcomes[key] = (*outcomes.get(key, ()), (one.reopen, *one.outcome))
    return outcomes


def _by_role(title: str, about: list[str], lines: dict[str, list[Line]]) -> list[tuple[str, list[str], list[Line]]]:
    if lines["server"] == lines["client"]:
        return [(title, about, lines["server"])]
    return [(f"{title}, {role}", about, lines[role]) for role in lines]


def _stream_lines(outcomes: Mapping[Key, tuple[Line, ...]]) -> list[Line]:
    """Lines of frame, payload, stream flags, reopen, outcome; payloads that are alike are together."""
    alike: dict[tuple[str, tuple[tuple[int, Line], ...]], list[str]] = {}
    for kind, payload in dict.fromkeys(key[:2] for key in outcomes):
        mine = {flags: pair for (*subject, flags), pair in outcomes.items() if subject == [kind, payload]}
        lines: list[tuple[int, Line]] = []
        for (error, restart), flags in _grouped(mine).items():
            label = _label(flags, 7, len(STREAM_BYTES), codec.STREAM_FLAG_NAMES)
            if error[1:] == restart[1:]:
                lines.append((2 * len(flags), (label, "either", *error[1:])))
            else:
                lines += [(len(flags), (label, *error)), (len(flags), (label, *restart))]
        alike.setdefault((kind, tuple(lines)), []).append(payload)
    return [
        (str(count * len(payloads)), kind, ", ".join(payloads), *texts)
        for (kind, lines), payloads in alike.items()
        for count, texts in lines
    ]


def _id_lines(found: tuple[StreamCell, ...]) -> list[Line]:
    lines = []
    for outcome, ids in _grouped({one.stream_id: one.outcome for one in found}).items():
        which = "odd" if ids == [*range(1, 256, 2)] else "even" if ids == [*range(0, 256, 2)] else str(ids)
        lines.append((str(len(ids)), f"on {which} ids", "good", "stream-begin", "error", *outcome))
    return lines


GOLDEN: dict[str, Callable[[], str]] = {
    "reactor-server.txt": partial(request_table, "server"),
    "reactor-client.txt": partial(request_table, "client"),
    "reactor-streams.txt": streams_table,
}
"""The golden files in ``tests/data``, and what makes them."""

if __name__ == "__main__":
    for file, made in GOLDEN.items():
        (GOLDEN_FILES / file).write_text(made())
