"""Sessions with both sides: frames in human form that are played through both reactors.

A line starts with ``> `` for a frame that the client sends or ``< `` for one that the server sends. A frame in human
form follows, whose payload is not content-encoded yet: this module encodes payloads that are marked *encoded*, and
flushes the encoder after every frame. After ``>!`` or ``<!`` the payload is used unchanged. ``> end`` and ``< end`` end
a side's output.

The server's reactor receives the client's frames, and the client's reactor the server's. There is no application: a
request counts as issued once the server's reactor accepts its first frame. It counts as answered once the client's
reactor accepts the last frame of its response. The JSON form of events omits error messages, because other
implementations word them differently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hgproto.errors import HumanFormError, RemoteProtocolError, printable, quoted, shown
from hgproto.reactors.client import Client
from hgproto.reactors.events import (
    CommandCut,
    CommandData,
    Error,
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
from hgproto.reactors.server import Server
from hgproto.runtime.definition import defined
from hgproto.runtime.frame import Unique
from hgproto.runtime.layout import counted_bytes
from hgproto.streams.encodings import default_encodings
from hgproto.wire.human import line_bytes, parse_frame, without_line_end
from hgproto.wire.jsonform import value_to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Literal

    from hgproto.judging.finding import Role
    from hgproto.reactors.events import Event, ServerEvent
    from hgproto.reactors.limits import Limits
    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.definition import Definition
    from hgproto.runtime.frame import Frame
    from hgproto.streams.encodings import Encoder, Encodings

__all__ = ["Encoders", "Lines", "Session", "Step", "event_text", "event_to_json"]


class Step:
    """The result of one line: its bytes (None for an end) and the events of the reactor that received them.

    ``judge``: the role of that reactor.
    """

    __slots__ = ("events", "judge", "wire")

    def __init__(self, judge: Role, wire: bytes | None, events: Sequence[Event]) -> None:
        self.judge = judge
        self.wire = wire
        self.events = events

    @property
    def violation(self) -> tuple[str, str] | None:
        """The violated requirement and the message; None if the line is valid."""
        for event in self.events:
            if isinstance(event, Error):
                return event.error.requirement, str(event.error)
            if isinstance(event, SendFrames) and event.requirement is not None and self.wire is None:
                message = f"expected the whole of request {event.request_id}, found the end of input"
                return event.requirement, f"{message} ({event.requirement})"
            if isinstance(event, RequestError) and event.requirement is not None and self.wire is None:
                message = f"expected the whole response to request {event.request_id}, found the end of input"
                return event.requirement, f"{message} after {counted_bytes(event.received)} ({event.requirement})"
        return None


class Lines:
    """Parses the lines of a session, and encodes payloads marked *encoded*. ``revision``: None for the default one."""

    def __init__(self, encodings: Encodings | None = None, revision: Definition | None = None) -> None:
        self._encoders = Encoders(encodings, revision)
        self._codec = defined(revision).codec
        self._ended: set[str] = set()

    def read(self, line: str | BytesLike) -> tuple[str, Frame | None]:
        """Returns the side of a line, ``>`` or ``<``, and its encoded frame; None instead of a frame for an end of output.

        Raises :class:`hgproto.errors.HumanFormError`, also for a line of a side whose output has ended.
        """
        whole = line_bytes(line)
        text = without_line_end(whole)
        side = text[:1].decode("ascii", "replace")
        raw = text[1:2] == b"!"
        start = 3 if raw else 2
        if side not in ("<", ">") or text[start - 1 : start] != b" ":
            raise HumanFormError(
                1,
                "> before a line of the client or < before one of the server, and a space",
                quoted(text[:start]),
            )
        if side in self._ended:
            raise HumanFormError(1, f"no line of this side after '{side} end'", quoted(text[:40]))
        if text[start:] == b"end":
            self._ended.add(side)
            return side, None
        try:
            # The line end stays: `parse_frame` rejects a second one.
            frame = parse_frame(whole[start:], self._codec)
        except HumanFormError as error:
            raise HumanFormError(error.column + start, error.expected, error.found) from None
        return side, frame if raw else self._encoders.encoded(side, frame)


class Encoders:
    """Encodes the frames of both sides that are marked *encoded*, with the encoding that their stream has named.

    Invalid frames are not changed. The encoder is flushed after every frame. ``revision``: None for the default one.
    """

    def __init__(self, encodings: Encodings | None = None, revision: Definition | None = None) -> None:
        self._revision = defined(revision)
        self._encodings = encodings or default_encodings(revision)
        self._encoders: dict[tuple[str, int], Encoder] = {}

    def encoded(self, side: str, frame: Frame) -> Frame:
        """Returns a frame of ``side`` with its payload encoded."""
        flags, key, revision = int(frame.stream_flags), (side, frame.stream_id), self._revision
        if flags & revision.begin:
            self._encoders.pop(key, None)
            if frame.type == revision.settings and not flags & revision.end:
                try:
                    name, _ = revision.decode_settings(bytes(frame.payload))
                except RemoteProtocolError:
                    return frame
                profile = self._encodings.get(name)
                if profile is not None:
                    self._encoders[key] = profile.encoder()
            return frame
        encoder = self._encoders.get(key)
        if encoder is None:
            return frame
        if flags & revision.end:
            del self._encoders[key]
        if not flags & revision.encoded:
            return frame
        payload = encoder.encode(bytes(frame.payload)) + (encoder.finish() if flags & revision.end else encoder.flush())
        return frame.replace(payload=payload)


class Session(Unique):
    """A session that is being played. The arguments are those of :class:`hgproto.reactors.server.Server`."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        encodings: Encodings | None = None,
        reopen: Literal["error", "restart"] = "error",
        streaming: bool = False,
        revision: Definition | None = None,
    ) -> None:
        self.server = Server(limits=limits, encodings=encodings, reopen=reopen, streaming=streaming, revision=revision)
        self.client = Client(limits=limits, encodings=encodings, reopen=reopen, revision=revision)
        self._lines = Lines(encodings, revision)
        self._codec = self.server.revision.codec
        self._command = self.server.revision.code_of("command")

    def play(self, line: bytes | str) -> Step:
        """Plays a line. Raises :class:`hgproto.errors.HumanFormError`."""
        side, frame = self._lines.read(line)
        if frame is None:
            return self.end(side)
        return self.wire(side, self._codec.encode_frame(frame, self._codec.MAX_PAYLOAD[1]), frame)

    def wire(self, side: str, wire: bytes, frame: Frame | None = None) -> Step:
        """Plays the bytes of one frame. ``side``: ``>`` or ``<``."""
        if frame is None:
            frame, _ = self._codec.decode_frame(wire, 0, self._codec.MAX_PAYLOAD[1])
        if side == ">":
            events = self.server.receive_data(wire)
            self._settle(events)
            client, request_id = self.client, frame.request_id
            taken = frame.type == self._command and not any(isinstance(event, Error) for event in events)
            # Skipped if the client has failed, or if it reuses an id before it has seen the error-response.
            if taken and client.works and client.request_state(request_id) is client.machine.initial:
                client.issued(request_id)
            return Step("server", wire, events)
        told = self.client.receive_data(wire)
        for one in told:
            match one:
                case ResponseData(last=True) | RequestError(requirement=None):
                    self.server.answered(one.request_id)
        return Step("client", wire, told)

    def end(self, side: str) -> Step:
        """Plays the end of a side's output."""
        if side == ">":
            events = self.server.receive_end()
            self._settle(events)
            return Step("server", None, events)
        return Step("client", None, self.client.receive_end())

    def _settle(self, events: Iterable[ServerEvent]) -> None:
        """Discards the frames that the server would send, because the lines of the session define what is sent."""
        for event in events:
            for _ in event if isinstance(event, SendFrames) else event.frames if isinstance(event, Error) else ():
                pass


def event_to_json(event: Any) -> dict[str, Any]:
    """Returns an event as a JSON object, as in the golden sessions."""
    match event:
        case RunCommand():
            data = None if event.data is None else event.data.hex()
            args = {name: value.hex() for name, value in event.args.items()}
            result = {"event": "run-command", "request": event.request_id, "command": event.name, "args": args}
            return result | {"data": data} | ({"streaming": True} if isinstance(event, StartCommand) else {})
        case CommandData():
            return _data(event)
        case CommandCut():
            return {"event": "command-cut", "request": event.request_id, "answered": event.answered}
        case WantFrame():
            return {"event": "want-frame"}
        case SendFrames():
            return {
                "event": "send-error",
                "request": event.request_id,
                "kind": event.kind,
                "requirement": event.requirement,
            }
        case ResponseData():
            return _data(event)
        case TextMessage():
            return {"event": "text", "request": event.request_id, "atoms": [value_to_json(a) for a in event.atoms]}
        case ProgressUpdate():
            return {"event": "progress", "request": event.request_id, **value_to_json(event.progress)}
        case RequestError():
            why = {"message": event.message} if event.requirement is None else {"requirement": event.requirement}
            return {"event": "request-error", "request": event.request_id, **why, "received": event.received}
        case PeerError():
            return {"event": "connection-error", "request": event.request_id, "message": event.message}
        case Error():
            return {"event": "error", "requirement": event.error.requirement}
        case StreamLeftOpen():
            return {"event": "note", "stream": event.stream_id}
    raise TypeError(f"expected an event of a session, found {shown(event)}")


def _data(event: CommandData | ResponseData) -> dict[str, Any]:
    side = "command" if isinstance(event, CommandData) else "response"
    return {"event": f"{side}-data", "request": event.request_id, "data": event.data.hex(), "last": event.last}


def event_text(event: Any) -> str:
    """Returns an event as one line for people. Control characters from the peer are escaped."""
    return printable(_event_text(event))


def _event_text(event: Any) -> str:
    match event:
        case RunCommand():
            args = "".join(f" {name}={_brief(value)}" for name, value in event.args.items())
            data = "" if event.data is None else f", data of {counted_bytes(len(event.data))}"
            return f"run-command {event.request_id} {event.name}{args}{data}{', data follows' * isinstance(event, StartCommand)}"
        case CommandData():
            return f"command-data {event.request_id}: {counted_bytes(len(event.data))}{', the last' * event.last}"
        case CommandCut():
            return f"command-cut {event.request_id}"
        case WantFrame():
            return "want-frame"
        case SendFrames():
            return f"error-response for request {event.request_id} ({event.requirement})"
        case ResponseData():
            return f"response-data {event.request_id}: {counted_bytes(len(event.data))}{', the last' * event.last}"
        case TextMessage():
            return f"text {event.request_id}: {' '.join(_brief(atom.format.encode()) for atom in event.atoms)}"
        case ProgressUpdate():
            return f"progress {event.request_id}: {event.progress.topic} {event.progress.pos}/{event.progress.total}"
        case RequestError():
            return f"request-error {event.request_id} after {counted_bytes(event.received)}: {event.message}"
        case PeerError():
            return f"connection-error {event.request_id}: {event.message}"
        case Error():
            return f"error: {event.error}"
        case StreamLeftOpen():
            return f"note: stream {event.stream_id} was left open (stream.end)"
    raise TypeError(f"expected an event of a session, found {shown(event)}")


def _brief(data: bytes) -> str:
    return repr(data[:40])[1:] if len(data) <= 40 else f"{repr(data[:40])[1:]}..."
