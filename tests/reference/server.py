"""A server written from the protocol's description without hgproto, with faults that can be switched on.

It responds to each command with its description (see ``hgproto.fuzz.echo``). As a command, it reads standard input and writes
standard output; with ``--port``, it serves TCP connections instead. Without faults it agrees with hgproto. Each fault is of a kind
that real implementations have. It needs only the standard library, and is meant for tests, not for use.
"""

from __future__ import annotations

import json
import sys
import time
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FAULTS = {
    # Reading the header.
    "length-middle-byte": "the second byte of the length has the weight 255 instead of 256",
    "length-third-byte": "the third byte of the length has the weight 16384, as in Mercurial's reader",
    "length-signed": "the length is decoded as a signed number of two bytes",
    "length-unlimited": "lengths have no limit",
    "request-id-byte": "the upper byte of the request id is ignored",
    "request-id-big-endian": "the request id is decoded as big-endian",
    "header-cut": "a frame that is cut off at the end of input is ignored",
    "payload-cut": "a payload that is cut off at the end of input is accepted",
    "parity-request": "even request ids are served",
    "parity-stream": "streams of the wrong parity are served",
    "type-unknown": "frames of unknown types are skipped",
    "flags-unknown": "unknown flags are ignored",
    "stream-flags-unknown": "unknown stream flags are ignored",
    "wrong-sender": "frames that only servers send are skipped",
    # Commands.
    "name-flags-missing": "a command-name without flags runs the command",
    "name-eos-exclusive": "eos together with have-args runs the command",
    "name-not-ascii": "command names of any bytes are accepted",
    "name-empty": "an empty command name is accepted",
    "id-again": "a command-name for a request that is being received starts the request again",
    "not-receiving": "an argument for an unknown request is skipped",
    # Arguments.
    "continuation-ignored": "each argument frame is decoded as a whole argument",
    "continuation-eoa": "eoa together with continuation ends the arguments",
    "argument-after-eoa": "arguments after the last one are accepted",
    "argument-unexpected": "arguments that were not announced are accepted",
    "argument-duplicate": "the second of two arguments with the same name replaces the first",
    "argument-name-empty": "an argument without a name is accepted",
    "argument-name-not-ascii": "argument names of any bytes are accepted",
    "argument-header-cut": "an argument whose name is cut is accepted",
    "value-long": "surplus bytes of a value are dropped",
    "value-short": "a value with missing bytes is accepted",
    "value-interrupted": "data is accepted between the frames of a value",
    "value-length-byte": "only the lower byte of a value's length is used",
    "name-length-signed": "the length of a name of more than 127 bytes is decoded as a negative number",
    "arguments-shared": "requests that are received at the same time share their arguments",
    # Data.
    "data-flags": "data without flags, or with both flags, is accepted as the last frame",
    "data-before-arguments": "data before the last argument runs the command without arguments",
    "data-unexpected": "data that was not announced is skipped",
    "data-first-frame": "only the first frame of data is kept",
    "no-arguments": "announced arguments may be missing",
    # Streams.
    "begin-missing": "a frame on a closed stream opens it",
    "begin-again": "stream-begin on an open stream is ignored",
    "end-ignored": "stream-end is ignored",
    "end-early": "a stream is closed before the payload of its last frame was decoded",
    "settings-late": "settings are accepted in the middle of a stream",
    "settings-unknown": "an unknown profile is treated as no profile",
    "settings-surplus": "bytes after the profile's name are ignored",
    "encoded-plain": "the flag encoded on a stream without settings is ignored",
    "context-kept": "a reopened stream continues with its old context",
    "context-frame": "each frame is decoded by itself",
    "encoding-surplus": "bytes after the end of a compressed stream are ignored",
    "encoding-cut": "a compressed stream may be cut off",
    "encoding-bomb": "an encoded payload may grow without limit",
    # The rest.
    "error-not-final": "the connection continues after an error",
    "end-of-input": "a request that is cut off by the end of input gets no response",
    "crash-empty-data": "an empty data frame before the last one causes an IndexError",
    "crash-many": "more than five requests at a time cause an IndexError",
    "hang-empty-value": "the server waits for more bytes after an empty frame in the middle of a value",
    "growth-value": "the server allocates 4096 times the announced size of a large value",
    "answer-wrong-stream": "responses are sent on stream 1",
    "answer-without-begin": "responses do not begin their stream",
    "answer-no-eos": "a response never ends",
    "answer-swapped": "a command gets the response to the previous command",
    "memory-per-byte": "each byte of data is stored as an object",
    "id-after-error": "a request id stays in use after an application error",
    "error-early": "application errors do not wait for the end of input, as responses do",
    "streams-never-end": "streams are never ended",
}

TYPES = {1: 7, 2: 3, 3: 3, 4: 3, 5: 3, 6: 0, 7: 0, 8: 0}
PROFILES = (b"identity", b"zlib")
MOST, MOST_DECODED = 65535, 1 << 20


class ProtocolError(Exception):
    """A requirement was violated."""

    def __init__(self, message: str, request_id: int = 0) -> None:
        super().__init__(message)
        self.request_id = request_id


class Stream:
    """An open stream."""

    def __init__(self, profile: bytes | None = None) -> None:
        self.profile = profile
        self.inflate = zlib.decompressobj()
        self.used = False


class Request:
    """A request that is being received."""

    def __init__(self, name: bytes, flags: int) -> None:
        self.name = name
        self.wants_args = bool(flags & 2)
        self.wants_data = bool(flags & 4)
        self.args: dict[str, bytes] = {}
        self.any_args = False
        self.open: tuple[str, bytes, int] | None = None
        self.data = b""
        self.frames = 0


class Server:
    """One connection."""

    def __init__(self, faults: frozenset[str] = frozenset()) -> None:
        self.faults = faults
        self.out: list[bytes] = []
        self.streams: dict[int, Stream] = {}
        self.old: dict[int, Stream] = {}
        self.requests: dict[int, Request] = {}
        self.shared: dict[str, bytes] = {}
        self.begun = False
        self.previous = b"{}"
        self.kept: list[bytearray] = []
        self.pieces: list[tuple[int]] = []
        self.buffer = b""
        self.failed = False
        self.unusable: set[int] = set()

    def serve(self, data: bytes) -> bytes:
        """All that is sent to a client that has sent this and then closed."""
        self.feed(data)
        self.end()
        return b"".join(self.out)

    def feed(self, data: bytes) -> None:
        """Takes what was received."""
        data, at = self.buffer + data, 0
        while not self.failed and len(data) - at >= 8:
            try:
                length = self.length(data[at : at + 3])
                if length > MOST and "length-unlimited" not in self.faults:
                    raise ProtocolError("a frame is too long")
                if len(data) - at - 8 < length:
                    break
                header, payload = data[at : at + 8], data[at + 8 : at + 8 + length]
                at += 8 + length
                self.frame(header, payload)
            except ProtocolError as error:
                self.fail(error)
        self.buffer = data[at:]

    def end(self) -> None:
        """Takes the end of input."""
        if self.buffer and not self.failed and "header-cut" not in self.faults:
            try:
                if "payload-cut" not in self.faults or len(self.buffer) < 8:
                    raise ProtocolError("a frame is cut off")
                self.frame(self.buffer[:8], self.buffer[8:])
            except ProtocolError as error:
                self.fail(error)
        if not self.failed and "end-of-input" not in self.faults:
            for request_id in self.requests:
                self.answer(request_id, 0x51, b"the request is cut off")
        if self.out and "streams-never-end" not in self.faults:
            last = self.out[-1]
            self.out[-1] = last[:6] + bytes([last[6] | 2]) + last[7:]

    def fail(self, error: ProtocolError) -> None:
        self.answer(error.request_id, 0x51, str(error).encode())
        self.failed = "error-not-final" not in self.faults or "cut off" in str(error) or "too long" in str(error)

    def length(self, data: bytes) -> int:
        low, middle, high = data
        if "length-signed" in self.faults and middle & 0x80 and not high:
            return 0
        weights = (
            255 if "length-middle-byte" in self.faults else 256,
            16384 if "length-third-byte" in self.faults else 65536,
        )
        return low + middle * weights[0] + high * weights[1]

    def frame(self, header: bytes, payload: bytes) -> None:
        order = "big" if "request-id-big-endian" in self.faults else "little"
        request_id = int.from_bytes(header[3:5], order)  # type: ignore[arg-type]
        if "request-id-byte" in self.faults:
            request_id &= 0xFF
        stream_id, stream_flags, kind, flags = header[5], header[6], header[7] >> 4, header[7] & 15
        if not stream_id & 1 and "parity-stream" not in self.faults:
            raise ProtocolError("an even stream", request_id)
        if kind not in TYPES:
            if "type-unknown" in self.faults:
                return
            raise ProtocolError("an unknown type", request_id)
        if flags & ~TYPES[kind]:
            if "flags-unknown" not in self.faults:
                raise ProtocolError("unknown flags", request_id)
            flags &= TYPES[kind]
        if stream_flags & ~7:
            if "stream-flags-unknown" not in self.faults:
                raise ProtocolError("unknown stream flags", request_id)
            stream_flags &= 7
        if kind in (4, 5, 6, 7):
            if "wrong-sender" in self.faults:
                return
            raise ProtocolError("a frame of a server", request_id)
        if kind == 8 and not stream_flags & 1 and "settings-late" not in self.faults:
            raise ProtocolError("settings in the middle of a stream", request_id)
        payload = self.on_stream(stream_id, stream_flags, kind, payload, request_id)
        if kind == 8:
            return
        if not request_id & 1 and "parity-request" not in self.faults:
            raise ProtocolError("an even request", request_id)
        if kind == 1:
            self.command(request_id, flags, payload)
        elif request_id not in self.requests:
            if "not-receiving" not in self.faults or kind != 2:
                raise ProtocolError("a command was expected", request_id)
        elif kind == 2:
            self.argument(request_id, self.requests[request_id], flags, payload)
        else:
            self.data(request_id, self.requests[request_id], flags, payload)

    # Streams.

    def on_stream(self, stream_id: int, flags: int, kind: int, payload: bytes, request_id: int) -> bytes:
        """The payload of a frame, decoded."""
        begin, end, encoded = flags & 1, flags & 2, flags & 4
        stream = self.streams.get(stream_id)
        if begin and encoded:
            raise ProtocolError("begin and encoded", request_id)
        if stream is None:
            if not begin and "begin-missing" not in self.faults:
                raise ProtocolError("a closed stream", request_id)
            stream = self.streams[stream_id] = Stream()
        elif begin:
            if "begin-again" not in self.faults:
                raise ProtocolError("an open stream", request_id)
        elif kind == 8 and "settings-late" not in self.faults:
            raise ProtocolError("settings on an open stream", request_id)
        if kind == 8:
            stream = self.streams[stream_id] = self.settings(stream_id, payload, request_id)
            if len(self.streams) > 16:
                raise ProtocolError("too many streams", request_id)
        elif len(self.streams) > 16:
            raise ProtocolError("too many streams", request_id)
        if end and "end-early" in self.faults:
            self.close(stream_id)
            stream = Stream(stream.profile)
        if encoded:
            payload = self.decoded(stream, payload, request_id)
        if end and "end-ignored" not in self.faults:
            if (
                stream.profile == b"zlib"
                and not stream.inflate.eof
                and stream.used
                and "encoding-cut" not in self.faults
            ):
                raise ProtocolError("a compressed stream is cut off", request_id)
            self.close(stream_id)
        return payload

    def close(self, stream_id: int) -> None:
        stream = self.streams.pop(stream_id, None)
        if stream is not None:
            self.old[stream_id] = stream

    def settings(self, stream_id: int, payload: bytes, request_id: int) -> Stream:
        if not payload or len(payload) < 1 + payload[0] or not payload[0]:
            raise ProtocolError("settings that are cut off", request_id)
        name, rest = payload[1 : 1 + payload[0]], payload[1 + payload[0] :]
        if not name.isascii():
            raise ProtocolError("a profile that is not ASCII", request_id)
        if name not in PROFILES:
            if "settings-unknown" in self.faults:
                return Stream(b"identity")
            raise ProtocolError("an unknown profile", request_id)
        if rest and "settings-surplus" not in self.faults:
            raise ProtocolError("bytes after the profile", request_id)
        if "context-kept" in self.faults and stream_id in self.old and self.old[stream_id].profile == name:
            return self.old[stream_id]
        return Stream(name)

    def decoded(self, stream: Stream, payload: bytes, request_id: int) -> bytes:
        if stream.profile is None:
            if "encoded-plain" in self.faults:
                return payload
            raise ProtocolError("encoded without settings", request_id)
        if stream.profile == b"identity":
            return payload
        if "context-frame" in self.faults:
            stream.inflate = zlib.decompressobj()
        stream.used = True
        most = 1 << 31 if "encoding-bomb" in self.faults else MOST_DECODED + 1
        if stream.inflate.eof and payload and "encoding-surplus" not in self.faults:
            raise ProtocolError("bytes after the end of a compressed stream", request_id)
        try:
            decoded = stream.inflate.decompress(payload, most)
        except zlib.error:
            raise ProtocolError("a payload that cannot be decoded", request_id) from None
        if len(decoded) > MOST_DECODED and "encoding-bomb" not in self.faults:
            raise ProtocolError("a payload that grows too large", request_id)
        if stream.inflate.unused_data and "encoding-surplus" not in self.faults:
            raise ProtocolError("bytes after the end of a compressed stream", request_id)
        return decoded

    # Requests.

    def command(self, request_id: int, flags: int, name: bytes) -> None:
        if not flags and "name-flags-missing" not in self.faults:
            raise ProtocolError("no flags", request_id)
        if flags & 1 and flags & 6 and "name-eos-exclusive" not in self.faults:
            raise ProtocolError("eos with others", request_id)
        if not name and "name-empty" not in self.faults:
            raise ProtocolError("an empty name", request_id)
        if not name.isascii() and "name-not-ascii" not in self.faults:
            raise ProtocolError("a name that is not ASCII", request_id)
        if request_id in self.unusable:
            raise ProtocolError("a request that is still active", request_id)
        if request_id in self.requests and "id-again" not in self.faults:
            raise ProtocolError("a request that is being received", request_id)
        if len(self.requests) > 4 and "crash-many" in self.faults:
            [][len(self.requests)]
        if flags & 1 or not flags:
            self.run(request_id, Request(name, 0), with_data=False)
        else:
            self.requests[request_id] = Request(name, flags)
            if "arguments-shared" in self.faults:
                self.requests[request_id].args = self.shared

    def argument(self, request_id: int, request: Request, flags: int, payload: bytes) -> None:
        if not request.wants_args and "argument-unexpected" not in self.faults:
            after = request.any_args and "argument-after-eoa" in self.faults
            if not after:
                raise ProtocolError("no argument was expected", request_id)
        more, last = flags & 1, flags & 2
        if more and last and "continuation-eoa" not in self.faults:
            raise ProtocolError("continuation with eoa", request_id)
        if "continuation-ignored" in self.faults:
            more, request.open = 0, None
        if request.open is not None:
            name, value, left = request.open
            if not payload and more and "hang-empty-value" in self.faults:
                time.sleep(3600)
            if len(payload) > left and "value-long" not in self.faults:
                raise ProtocolError("a value that is too long", request_id)
            value, left = value + payload[:left], left - len(payload[:left])
        else:
            name, value, left = self.begun_argument(request, request_id, payload, more)
        if more and not (last and "continuation-eoa" in self.faults):
            request.open = (name, value, left)
        else:
            if left > 0 and "value-short" not in self.faults:
                raise ProtocolError("a value that is too short", request_id)
            request.open = None
            request.args[name] = value
        request.any_args = True
        if last and not request.open:
            request.wants_args = False
            if not request.wants_data:
                self.run(request_id, request, with_data=False)

    def begun_argument(self, request: Request, request_id: int, payload: bytes, more: int) -> tuple[str, bytes, int]:
        if len(payload) < 4:
            raise ProtocolError("an argument that is cut off", request_id)
        name_length, length = int.from_bytes(payload[:2], "little"), int.from_bytes(payload[2:4], "little")
        if "value-length-byte" in self.faults:
            length &= 0xFF
        if "growth-value" in self.faults and length > 0x8000:
            self.kept.append(bytearray(length * 4096))
        if "name-length-signed" in self.faults and name_length > 127:
            name_length -= 256
        if not name_length and "argument-name-empty" not in self.faults:
            raise ProtocolError("an argument without a name", request_id)
        if len(payload) < 4 + name_length and "argument-header-cut" not in self.faults:
            raise ProtocolError("an argument that is cut off", request_id)
        raw, value = payload[4 : 4 + name_length], payload[4 + name_length :]
        if not raw.isascii() and "argument-name-not-ascii" not in self.faults:
            raise ProtocolError("an argument's name that is not ASCII", request_id)
        name = raw.decode("latin-1")
        if len(value) > length:
            if "value-long" not in self.faults:
                raise ProtocolError("a value that is too long", request_id)
            value = value[:length]
        if not more and len(value) < length and "value-short" not in self.faults:
            raise ProtocolError("a value that is too short", request_id)
        if name in request.args and "argument-duplicate" not in self.faults and "arguments-shared" not in self.faults:
            raise ProtocolError("an argument twice", request_id)
        return name, value, length - len(value)

    def data(self, request_id: int, request: Request, flags: int, payload: bytes) -> None:
        if request.open is not None:
            if "value-interrupted" not in self.faults:
                raise ProtocolError("data in the middle of a value", request_id)
            return
        if not request.wants_data:
            if "data-unexpected" in self.faults:
                return
            raise ProtocolError("no data was expected", request_id)
        if request.wants_args:
            missing = not request.any_args and "no-arguments" in self.faults
            if not missing and "data-before-arguments" not in self.faults:
                raise ProtocolError("data before the arguments were complete", request_id)
        if flags in (0, 3) and "data-flags" not in self.faults:
            raise ProtocolError("the flags of data", request_id)
        if not payload and flags == 1 and "crash-empty-data" in self.faults:
            payload[0]
        if "memory-per-byte" in self.faults:
            self.pieces += [(byte,) for byte in payload]
        if "data-first-frame" not in self.faults or not request.frames:
            request.data += payload
        request.frames += 1
        if flags != 1:
            self.run(request_id, request, with_data=True)

    def run(self, request_id: int, request: Request, *, with_data: bool) -> None:
        self.requests.pop(request_id, None)
        if request.name == b"fail":
            self.answer(request_id, 0x52, b"the command fails")
            if "id-after-error" in self.faults:
                self.unusable.add(request_id)
            return
        shown = {
            "command": request.name.decode("latin-1"),
            "args": {name: value.hex() for name, value in request.args.items()},
            "data": request.data.hex() if with_data else None,
        }
        body = json.dumps(shown).encode()
        if "answer-swapped" in self.faults:
            body, self.previous = self.previous, body
        flags = 0x41 if "answer-no-eos" in self.faults else 0x42
        parts = [body[at : at + 32768] for at in range(0, len(body), 32768)]
        for part in parts[:-1]:
            self.answer(request_id, 0x41, part)
        self.answer(request_id, flags, parts[-1])

    def answer(self, request_id: int, kind: int, payload: bytes) -> None:
        stream_id = 1 if "answer-wrong-stream" in self.faults else 2
        begin = not self.begun and "answer-without-begin" not in self.faults
        self.begun = True
        header = len(payload).to_bytes(3, "little") + request_id.to_bytes(2, "little")
        self.out.append(header + bytes([stream_id, begin, kind]) + payload)


def serve(data: bytes, faults: frozenset[str] = frozenset()) -> bytes:
    """What a connection with these faults sends."""
    return Server(faults).serve(data)


def converse(read: Callable[[int], bytes], write: Callable[[bytes], object], faults: frozenset[str]) -> None:
    """Serves a connection; responses wait for the end of input, unless ``live`` is among the faults."""
    server = Server(faults)
    while data := read(1 << 16):
        server.feed(data)
        errors = [frame for frame in server.out if frame[7] == 0x52]
        if "live" in faults:
            write(b"".join(server.out))
            server.out.clear()
        elif errors and "error-early" in faults:
            write(b"".join(errors))
            server.out = [frame for frame in server.out if frame[7] != 0x52]
    server.end()
    write(b"".join(server.out))


def listen(port: int, faults: frozenset[str]) -> None:
    """Serves TCP connections for ever, each by itself; says on which port."""
    import socketserver

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            try:
                converse(self.request.recv, self.wfile.write, faults)
            except (IndexError, ValueError):
                # A crash takes the whole server with it.
                import os

                os._exit(3)

    class Listener(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        request_queue_size = 64

    with Listener(("127.0.0.1", port), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


def __getattr__(name: str) -> object:
    """``serve_<fault>``: the server with a fault, as a target by name."""
    fault = name.removeprefix("serve_").replace("_", "-")
    if fault not in FAULTS:
        raise AttributeError(name)
    return lambda data: serve(data, frozenset({fault}))


if __name__ == "__main__":
    words = sys.argv[1:]
    chosen = frozenset(word for word in words if not word.startswith("--"))
    ports = [int(word.removeprefix("--port=")) for word in words if word.startswith("--port=")]
    if ports:
        listen(ports[0], chosen)
    else:
        import os

        converse(lambda size: os.read(0, size), lambda data: os.write(1, data) if data else 0, chosen)
