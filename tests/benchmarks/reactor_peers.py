"""Whom our reactors are measured by: reactors written by hand, and one in the manner of the reference implementation.

All are written for this purpose. They do what framing-0002 needs without content encodings and without values that span
frames, and check what somebody sensible checks. Those written by hand are as fast as we could make them.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

__all__ = ["Action", "Command", "HandClient", "HandServer", "ReferenceServer", "Response", "read_reference_frames"]

LIMIT = 65535
CUT = 32768
"""Bytes at which responses are cut."""
HEADER = Struct("<HBHBBB")
ARGUMENT_HEADER = Struct("<HH")


class Command(NamedTuple):
    """What every server gives, as its own kind of value."""

    request_id: int
    name: str
    args: dict[str, bytes]
    data: bytes | None = None


class Response(NamedTuple):
    """What every client gives, and every server sends."""

    request_id: int
    data: bytes
    last: bool = True


# By hand


class HandServer:
    """Commands out of bytes as tuples, in one loop; responses into bytes.

    Checked: the length limit, *stream-begin* and streams that are not open, parities, ids in use, flags that exclude each
    other, the lengths of arguments, duplicate arguments, and that arguments and data were announced.
    """

    __slots__ = ("_begun", "_failed", "_rest", "_streams", "requests")

    def __init__(self) -> None:
        self.requests: dict[int, tuple[str, dict[str, bytes], bool, list[bytes] | None] | None] = {}
        """Of what is partly received: name, arguments, whether more follow, data. None for requests that are active."""
        self._streams: set[int] = set()
        self._rest = b""
        self._begun = self._failed = False

    def receive_data(self, data: bytes) -> list[tuple[int, str, dict[str, bytes], bytes | None]]:
        """The commands that ``data`` makes whole. Raises ``ValueError``."""
        if self._rest:
            data = self._rest + data
        unpack, unpack_argument, limit = HEADER.unpack_from, ARGUMENT_HEADER.unpack_from, LIMIT
        requests, streams = self.requests, self._streams
        commands: list[tuple[int, str, dict[str, bytes], bytes | None]] = []
        at, end = 0, len(data)
        last = end - 8
        while at <= last:
            low, high, request_id, stream_id, stream_flags, byte = unpack(data, at)
            length = low | high << 16
            if length > limit:
                raise ValueError("payload too long")
            start = at + 8
            stop = start + length
            if stop > end:
                break
            at = stop
            if stream_flags:
                self._change_stream(stream_id, stream_flags)
            elif stream_id not in streams:
                raise ValueError("stream not open")
            if byte == 0x11:
                if request_id in requests:
                    raise ValueError("request id in use")
                if not request_id & 1:
                    raise ValueError("even request id")
                requests[request_id] = None
                commands.append((request_id, data[start:stop].decode("ascii"), {}, None))
            elif byte >> 4 == 2:
                request = requests.get(request_id)
                if request is None:
                    raise ValueError("argument not expected")
                name, args, more, pieces = request
                if not more:
                    raise ValueError("argument not expected")
                if length < 4:
                    raise ValueError("argument cut")
                name_length, value_length = unpack_argument(data, start)
                start += 4
                name_end = start + name_length
                if name_end + value_length != stop:
                    raise ValueError("wrong argument length")
                key = data[start:name_end].decode("ascii")
                if key in args:
                    raise ValueError("argument given twice")
                args[key] = data[name_end:stop]
                if byte == 0x22:
                    if pieces is None:
                        requests[request_id] = None
                        commands.append((request_id, name, args, None))
                    else:
                        requests[request_id] = (name, args, False, pieces)
                elif byte != 0x20:
                    raise ValueError("wrong argument flags")
            elif byte >> 4 == 1:
                if request_id in requests:
                    raise ValueError("request id in use")
                if not request_id & 1:
                    raise ValueError("even request id")
                if byte not in (0x12, 0x14, 0x16):
                    raise ValueError("wrong command flags")
                name = data[start:stop].decode("ascii")
                requests[request_id] = (name, {}, byte & 2 != 0, [] if byte & 4 else None)
            elif byte in (0x31, 0x32):
                request = requests.get(request_id)
                if request is None:
                    raise ValueError("data not expected")
                name, args, more, pieces = request
                if more or pieces is None:
                    raise ValueError("data not expected")
                pieces.append(data[start:stop])
                if byte == 0x32:
                    requests[request_id] = None
                    commands.append((request_id, name, args, b"".join(pieces)))
            else:
                raise ValueError("wrong type or flags")
        self._rest = data[at:]
        return commands

    def _change_stream(self, stream_id: int, stream_flags: int) -> None:
        if not stream_id & 1:
            raise ValueError("even stream id")
        if stream_flags & ~3:
            raise ValueError("wrong stream flags")
        if stream_flags & 1:
            if stream_id in self._streams:
                raise ValueError("stream begins twice")
            self._streams.add(stream_id)
        elif stream_id not in self._streams:
            raise ValueError("stream not open")
        if stream_flags & 2:
            self._streams.remove(stream_id)

    def respond(self, request_id: int, data: bytes) -> bytes:
        """The bytes of a response on stream 2. Raises ``ValueError``."""
        if self._failed:
            raise ValueError("connection has failed")
        if self.requests.get(request_id, request_id) is not None:
            raise ValueError("request not active")
        del self.requests[request_id]
        begin = 0 if self._begun else 1
        self._begun = True
        pack, length = HEADER.pack, len(data)
        if length <= CUT:
            return pack(length, 0, request_id, 2, begin, 0x42) + data
        parts = []
        for at in range(0, length, CUT):
            piece = data[at : at + CUT]
            parts += [pack(len(piece), 0, request_id, 2, begin, 0x42 if at + CUT >= length else 0x41), piece]
            begin = 0
        return b"".join(parts)


class HandClient:
    """Responses out of bytes as tuples, in one loop, checked like :class:`HandServer`; no text, progress or errors.

    Commands into bytes.
    """

    __slots__ = ("_ended", "_failed", "_most", "_next_id", "_rest", "_streams", "requests")

    def __init__(self) -> None:
        self.requests: set[int] = set()
        """Requests that wait for the rest of their response."""
        self._streams: set[int] = set()
        self._rest = b""
        self._next_id = 1
        self._most = 32768
        self._failed = self._ended = False

    def issue(self, name: str, args: dict[str, bytes], data: bytes | None = None) -> bytes:
        """The bytes of a command on stream 1. Raises ``ValueError``."""
        request_id, pack = self._next_id, HEADER.pack
        if self._failed or self._ended:
            raise ValueError("connection has failed or ended")
        if len(self.requests) >= self._most:
            raise ValueError("too many requests")
        if request_id in self.requests:
            raise ValueError("request id in use")
        self._next_id = (request_id + 2) & 0xFFFF
        self.requests.add(request_id)
        flags = 2 * bool(args) | 4 * (data is not None)
        raw = name.encode("ascii")
        if not 0 < len(raw) <= CUT:
            raise ValueError("wrong length of a name")
        parts = [pack(len(raw), 0, request_id, 1, request_id == 1, 0x10 | (flags or 1)), raw]
        left = len(args)
        for key in sorted(args):
            left -= 1
            raw, value = key.encode("ascii"), args[key]
            if not raw or 4 + len(raw) + len(value) > CUT:
                raise ValueError("wrong length of an argument")
            header = ARGUMENT_HEADER.pack(len(raw), len(value))
            parts += [
                pack(4 + len(raw) + len(value), 0, request_id, 1, 0, 0x20 if left else 0x22),
                header,
                raw,
                value,
            ]
        if data is not None:
            for at in range(0, len(data) or 1, CUT):
                piece = data[at : at + CUT]
                parts += [pack(len(piece), 0, request_id, 1, 0, 0x32 if at + CUT >= len(data) else 0x31), piece]
        return b"".join(parts)

    def receive_data(self, data: bytes) -> list[tuple[int, bytes, bool]]:
        """What ``data`` brings of responses. Raises ``ValueError``."""
        if self._rest:
            data = self._rest + data
        unpack, limit = HEADER.unpack_from, LIMIT
        requests, streams = self.requests, self._streams
        responses = []
        at, end = 0, len(data)
        last = end - 8
        while at <= last:
            low, high, request_id, stream_id, stream_flags, byte = unpack(data, at)
            length = low | high << 16
            if length > limit:
                raise ValueError("payload too long")
            start = at + 8
            stop = start + length
            if stop > end:
                break
            at = stop
            if stream_flags:
                self._change_stream(stream_id, stream_flags)
            elif stream_id not in streams:
                raise ValueError("stream not open")
            if request_id not in requests:
                raise ValueError("request not active")
            if byte == 0x42:
                requests.remove(request_id)
                responses.append((request_id, data[start:stop], True))
            elif byte == 0x41:
                responses.append((request_id, data[start:stop], False))
            else:
                raise ValueError("wrong type or flags")
        self._rest = data[at:]
        return responses

    def _change_stream(self, stream_id: int, stream_flags: int) -> None:
        if stream_id & 1:
            raise ValueError("odd stream id")
        if stream_flags & ~3:
            raise ValueError("wrong stream flags")
        if stream_flags & 1:
            if stream_id in self._streams:
                raise ValueError("stream begins twice")
            self._streams.add(stream_id)
        elif stream_id not in self._streams:
            raise ValueError("stream not open")
        if stream_flags & 2:
            self._streams.remove(stream_id)


# In the manner of the reference: objects for frames, strings for states, pairs for actions

Action: TypeAlias = tuple[str, dict[str, Any]]


@dataclass(slots=True)
class ReferenceHeader:
    """A header as a class of attrs with slots has it. Not frozen, which would make it slower."""

    length: int
    request_id: int
    stream_id: int
    stream_flags: int
    type: int
    flags: int


@dataclass(slots=True)
class ReferenceFrame:
    """A frame, made after its header."""

    request_id: int
    stream_id: int
    stream_flags: int
    type: int
    flags: int
    payload: bytes


@dataclass(slots=True)
class ReferenceStream:
    """A stream that a client has opened."""

    stream_id: int
    active: bool = True


def parse_reference_header(data: bytes) -> ReferenceHeader:
    """The parts of a header."""
    low, high, request_id, stream_id, stream_flags, byte = HEADER.unpack(data)
    return ReferenceHeader(
        length=low + 65536 * high,
        request_id=request_id,
        stream_id=stream_id,
        stream_flags=stream_flags,
        type=(byte & 0xF0) >> 4,
        flags=byte & 0x0F,
    )


def read_reference_frame(file: BinaryIO) -> ReferenceFrame | None:
    """The next frame of a file, None at its end. Raises ``ValueError``."""
    data = file.read(8)
    if not data:
        return None
    if len(data) < 8:
        raise ValueError("header cut")
    header = parse_reference_header(data)
    if header.length > LIMIT:
        raise ValueError("payload too long")
    payload = file.read(header.length)
    if len(payload) < header.length:
        raise ValueError("payload cut")
    return ReferenceFrame(
        request_id=header.request_id,
        stream_id=header.stream_id,
        stream_flags=header.stream_flags,
        type=header.type,
        flags=header.flags,
        payload=payload,
    )


def read_reference_frames(data: bytes) -> Iterator[ReferenceFrame]:
    """The frames of a request body."""
    file = BytesIO(data)
    while (frame := read_reference_frame(file)) is not None:
        yield frame


class ReferenceServer:
    """One call a frame; a method for each state of the connection, then one for each type."""

    def __init__(self) -> None:
        self._state = "idle"
        self._streams: dict[int, ReferenceStream] = {}
        self._receiving: dict[int, dict[str, Any]] = {}
        self._active: set[int] = set()

    def onframerecv(self, frame: ReferenceFrame) -> Action:
        """What a frame leads to."""
        if not frame.stream_id % 2:
            self._state = "errored"
            return self._error("received frame with even stream id: %d" % frame.stream_id)  # noqa: UP031 - its manner
        if frame.stream_flags & ~0x03:
            self._state = "errored"
            return self._error("received frame that is encoded, or with unknown stream flags")
        if frame.stream_id not in self._streams:
            if not frame.stream_flags & 0x01:
                self._state = "errored"
                return self._error("received frame on closed stream")
            self._streams[frame.stream_id] = ReferenceStream(frame.stream_id)
        elif frame.stream_flags & 0x01:
            self._state = "errored"
            return self._error("received frame that opens an open stream")
        if frame.stream_flags & 0x02:
            self._streams[frame.stream_id].active = False
            del self._streams[frame.stream_id]
        handlers: dict[str, Callable[[ReferenceFrame], Action]] = {
            "idle": self._onframeidle,
            "command-receiving": self._onframereceiving,
            "errored": self._onframeerrored,
        }
        handler = handlers.get(self._state)
        if handler is None:
            raise RuntimeError(f"no handler for state {self._state}")
        return handler(frame)

    def _onframeidle(self, frame: ReferenceFrame) -> Action:
        if frame.type != 0x01:
            self._state = "errored"
            return self._error(f"expected a command frame, got type {frame.type}")
        return self._oncommand(frame)

    def _onframereceiving(self, frame: ReferenceFrame) -> Action:
        if frame.type == 0x01:
            return self._oncommand(frame)
        if frame.request_id in self._active:
            self._state = "errored"
            return self._error(f"received frame for an active request: {frame.request_id}")
        if frame.request_id not in self._receiving:
            self._state = "errored"
            return self._error(f"received frame for a request that is not receiving: {frame.request_id}")
        handlers = {0x02: self._onargument, 0x03: self._ondata}
        handler = handlers.get(frame.type)
        if handler is None:
            self._state = "errored"
            return self._error(f"unexpected frame type {frame.type}")
        return handler(frame)

    def _onframeerrored(self, frame: ReferenceFrame) -> Action:
        return self._error("already errored")

    def _oncommand(self, frame: ReferenceFrame) -> Action:
        if not frame.request_id % 2:
            self._state = "errored"
            return self._error(f"even request id: {frame.request_id}")
        if frame.request_id in self._receiving or frame.request_id in self._active:
            self._state = "errored"
            return self._error(f"request id in use: {frame.request_id}")
        eos = bool(frame.flags & 0x01)
        have_args = bool(frame.flags & 0x02)
        have_data = bool(frame.flags & 0x04)
        if eos == (have_args or have_data) or frame.flags & 0x08:
            self._state = "errored"
            return self._error("wrong flags of a command frame")
        self._receiving[frame.request_id] = {
            "command": frame.payload.decode("ascii"),
            "args": {},
            "data": None,
            "expectingargs": have_args,
            "expectingdata": have_data,
        }
        if eos:
            return self._runcommand(frame.request_id)
        self._state = "command-receiving"
        return self._wantframe()

    def _onargument(self, frame: ReferenceFrame) -> Action:
        entry = self._receiving[frame.request_id]
        if not entry["expectingargs"]:
            self._state = "errored"
            return self._error("received an argument that is not expected")
        if frame.flags not in (0x00, 0x02):
            self._state = "errored"
            return self._error("wrong flags of an argument frame")
        if len(frame.payload) < ARGUMENT_HEADER.size:
            self._state = "errored"
            return self._error("received a cut argument")
        namesize, valuesize = ARGUMENT_HEADER.unpack_from(frame.payload)
        offset = ARGUMENT_HEADER.size
        name = frame.payload[offset : offset + namesize]
        offset += namesize
        value = frame.payload[offset:]
        if len(name) != namesize or len(value) != valuesize:
            self._state = "errored"
            return self._error("wrong length of an argument")
        key = name.decode("ascii")
        if key in entry["args"]:
            self._state = "errored"
            return self._error(f"argument given twice: {key}")
        entry["args"][key] = value
        if frame.flags & 0x02:
            entry["expectingargs"] = False
            if not entry["expectingdata"]:
                return self._runcommand(frame.request_id)
        return self._wantframe()

    def _ondata(self, frame: ReferenceFrame) -> Action:
        entry = self._receiving[frame.request_id]
        if not entry["expectingdata"] or entry["expectingargs"]:
            self._state = "errored"
            return self._error("received data that is not expected")
        if frame.flags not in (0x01, 0x02):
            self._state = "errored"
            return self._error("wrong flags of a data frame")
        if entry["data"] is None:
            entry["data"] = BytesIO()
        entry["data"].write(frame.payload)
        if frame.flags & 0x02:
            return self._runcommand(frame.request_id)
        return self._wantframe()

    def _runcommand(self, request_id: int) -> Action:
        entry = self._receiving.pop(request_id)
        self._active.add(request_id)
        self._state = "command-receiving" if self._receiving else "idle"
        return "runcommand", {
            "requestid": request_id,
            "command": entry["command"],
            "args": entry["args"],
            "data": entry["data"].getvalue() if entry["data"] is not None else None,
        }

    def _wantframe(self) -> Action:
        return "wantframe", {"state": self._state}

    def _error(self, message: str) -> Action:
        return "error", {"message": message}
