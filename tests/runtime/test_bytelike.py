"""Buffers of all types, for every function with an argument of bytes."""

from __future__ import annotations

import ctypes
import mmap
from array import array
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from hgproto import (
    Client,
    DecodingPool,
    Frame,
    FrameReader,
    InputStream,
    OutputStream,
    SendFrames,
    Server,
    SessionValidator,
    Validator,
    bytes_response,
    command,
    encode_frame,
    encode_frames,
    format_frame,
    parse_frame,
    progress,
    read_frames,
    stream_settings,
    text_output,
    validate,
    validate_payload,
    write_frames,
)
from hgproto.errors import LocalProtocolError
from hgproto.fuzz import Mutator
from hgproto.fuzz.cases import Cases
from hgproto.fuzz.echo import client_events, serve, server_events
from hgproto.fuzz.features import features, used
from hgproto.fuzz.minimize import minimized
from hgproto.judging.validation import PayloadValidator
from hgproto.revisions.framing_0002 import codec, structs
from hgproto.runtime.bytelike import as_bytes, bytes_like, is_bytes_like, kept_bytes
from hgproto.runtime.layout import walk
from hgproto.samples import Seeded
from hgproto.streams.encodings import default_encodings
from hgproto.wire.files import write_all
from hgproto.wire.jsonform import frame_to_json
from hgproto.wire.raw import frames_of
from hgproto.wire.writer import frame_buffers

if TYPE_CHECKING:
    from collections.abc import Callable

WIDE = array("H", range(10))
BYTES = WIDE.tobytes()


class _Bytes(bytes):
    """A subclass."""


def _mapped() -> mmap.mmap:
    mapped = mmap.mmap(-1, len(BYTES))
    mapped[:] = BYTES
    return mapped


BUFFERS: dict[str, tuple[Any, bytes]] = {
    "bytes": (BYTES, BYTES),
    "subclass": (_Bytes(BYTES), BYTES),
    "bytearray": (bytearray(BYTES), BYTES),
    "view": (memoryview(BYTES), BYTES),
    "array": (WIDE, BYTES),
    "view of wide items": (memoryview(WIDE), BYTES),
    "slice of wide items": (memoryview(WIDE)[2:5], BYTES[4:10]),
    "signed items": (memoryview(array("b", [-1, 1])), b"\xff\x01"),
    "characters": (memoryview(b"ab").cast("c"), b"ab"),
    "two dimensions": (memoryview(BYTES).cast("B", (4, 5)), BYTES),
    "strides": (memoryview(BYTES)[::2], BYTES[::2]),
    "backwards": (memoryview(BYTES)[::-1], BYTES[::-1]),
    "wide strides": (memoryview(WIDE)[::2], array("H", WIDE[::2]).tobytes()),
    "nothing, wide": (memoryview(array("H")), b""),
    "nothing, strides": (memoryview(b"")[::2], b""),
    "ctypes": ((ctypes.c_uint16 * 10).from_buffer_copy(BYTES), BYTES),
    "ctypes, one": (ctypes.c_uint32.from_buffer_copy(b"abcd"), b"abcd"),
    "mmap": (_mapped(), BYTES),
}
OTHERS = [5, 0, True, None, "text", 1.5, [1, 2], (1, 2), iter(b"ab"), object()]


@pytest.mark.parametrize("name", BUFFERS)
def test_every_buffer_is_its_bytes(name: str) -> None:
    buffer, expected = BUFFERS[name]
    data = bytes_like(buffer)
    assert len(data) == len(expected)
    assert bytes(data[:3]) == expected[:3]
    assert data == expected
    assert as_bytes(buffer) == expected
    assert type(as_bytes(buffer)) is bytes
    assert is_bytes_like(buffer)


def test_what_needs_no_copy_is_not_copied() -> None:
    assert bytes_like(BYTES) is BYTES
    assert as_bytes(BYTES) is BYTES
    wide = array("H", [0])
    data = bytes_like(wide)
    wide[0] = 0x0101
    assert data == b"\x01\x01"


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: type(other).__name__)
def test_other_objects_are_refused_by_name_and_type(other: object) -> None:
    expected = f"^the value must be bytes or another buffer of bytes, not {type(other).__name__}$"
    for function in (bytes_like, as_bytes):
        with pytest.raises(TypeError, match=expected):
            function(other, "the value")  # type: ignore[arg-type]
    assert not is_bytes_like(other)


@pytest.mark.parametrize("name", BUFFERS)
def test_kept_bytes_are_those_of_the_call(name: str) -> None:
    data, expected = BUFFERS[name]
    assert bytes(kept_bytes(data)) == expected


def test_what_its_owner_can_change_is_copied_and_nothing_else() -> None:
    owner = bytearray(b"before")
    views: list[Any] = [owner, memoryview(owner), memoryview(owner).toreadonly(), memoryview(owner)[1:]]
    kept = [kept_bytes(view) for view in views]
    owner[:] = b"AFTER!"
    assert [bytes(one) for one in kept] == [b"before", b"before", b"before", b"efore"]
    constant = b"constant"
    assert kept_bytes(constant) is constant
    shown = kept_bytes(memoryview(constant)[1:])
    assert isinstance(shown, memoryview)
    assert shown.obj is constant


# Every function that is given bytes. The bytes are of an even number, so that they can be items of 16 bits.


def _wire(*frames: Frame) -> bytes:
    return b"".join(encode_frames(frames))


def _written(write: Callable[[Any], None]) -> bytes:
    import io

    file = io.BytesIO()
    write(file)
    return file.getvalue()


def _issued(client: Client, name: str) -> Client:
    list(client.issue(name))
    return client


def _served(data: Any) -> bytes:
    server = Server()
    server.receive_data(COMMAND)
    send = server.respond(1, data)
    wire = _wire(*send)
    if isinstance(send, SendFrames) and send.failure is not None:
        raise send.failure
    return wire


def _fed(receiver: Any, data: Any, *before: Any) -> str:
    fed = [*receiver.feed(*before, data), *receiver.close()]
    return str([*map(str, fed)]) if not fed or not isinstance(fed[0], Frame) else repr(fed)


COMMAND = _wire(*command(1, 1, "heads-of", begin=True, end=True))
RESPONSE = _wire(*bytes_response(1, 2, b"data", begin=True, end=True))
ARGUMENT = codec.encode_argument(codec.Argument("key", b"value"))
TEXT = codec.encode_text_output(codec.TextOutput((codec.TextAtom("ab %s\n", ("l",), ("xy",)),)))
PROGRESS = codec.encode_progress(codec.Progress("topics", 1, 22))
SETTINGS = codec.encode_stream_settings(codec.StreamSettings("name", b"abc"))
ENCODINGS = [default_encodings()[name] for name in default_encodings()]
IDENTITY = default_encodings()["identity"]


def _decoded(profile: Any, data: Any) -> object:
    return profile.decoder().decode(data, 1000)


def _of_encoder(profile: Any) -> bytes:
    """An even number of encoded bytes."""
    for size in range(100):
        encoder = profile.encoder()
        encoded: bytes = encoder.encode(bytes(range(size))) + encoder.finish()
        if len(encoded) % 2 == 0:
            return encoded
    raise AssertionError("no even number")


GIVEN: dict[str, tuple[Callable[[Any], Any], bytes]] = {
    "Frame": (lambda data: bytes(Frame(1, 1, 1, 1, 1, data).payload), b"abcd"),
    "Frame.replace": (lambda data: bytes(Frame(1, 1, 1, 1, 1).replace(payload=data).payload), b"abcd"),
    "encode_frame": (lambda data: encode_frame(Frame(1, 1, 1, 1, 1, data)), b"abcd"),
    "encode_frames": (lambda data: _wire(Frame(1, 1, 1, 1, 1, data)), b"abcd"),
    "frame_buffers": (lambda data: b"".join(frame_buffers([Frame(1, 1, 1, 1, 1, data)])), b"abcd"),
    "write_frames": (
        lambda data: _written(lambda file: write_frames(file, [Frame(1, 1, 1, 1, 1, data)])),
        bytes(40_000),
    ),
    "write_all": (lambda data: _written(lambda file: write_all(file, data)), b"abcd"),
    "make_frame": (lambda data: bytes(codec.make_frame(1, 1, 1, 1, 1, data).payload), b"abcd"),
    "format_frame": (lambda data: format_frame(Frame(1, 1, 1, 1, 1, data)), b"abcd"),
    "frame_to_json": (lambda data: frame_to_json(Frame(1, 1, 1, 1, 1, data), codec), b"abcd"),
    "FrameReader.feed": (lambda data: FrameReader().feed(data), COMMAND),
    "FrameReader.feed, a part": (lambda data: FrameReader().feed(COMMAND[:4]) + FrameReader().feed(data), COMMAND),
    "FrameReader(copy=False).feed": (lambda data: FrameReader(copy=False).feed(data), COMMAND),
    "FrameReader.read": (lambda data: list(FrameReader().read(data)), COMMAND),
    "FrameReader.read, chunks": (lambda data: list(FrameReader(copy=False).read([data, data])), COMMAND),
    "read_frames": (lambda data: list(read_frames(data)), COMMAND),
    "Server.receive_data": (lambda data: Server().receive_data(data), COMMAND),
    "Client.receive_data": (lambda data: _issued(Client(), "x").receive_data(data), RESPONSE),
    "DecodingPool.receive_data": (lambda data: DecodingPool(Server()).receive_data(data), COMMAND),
    "Validator": (lambda data: _fed(Validator("client"), data), COMMAND + bytes(8)),
    "Validator without role": (lambda data: _fed(Validator(), data), COMMAND + bytes(8)),
    "Validator of frames": (lambda data: _fed(Validator("client", depth="frames"), data), COMMAND + bytes(8)),
    "SessionValidator": (lambda data: _fed(SessionValidator(), data, "client"), COMMAND + bytes(8)),
    "validate": (lambda data: [*map(str, validate(data, role="client"))], COMMAND + bytes(8)),
    "validate, chunks": (lambda data: [*map(str, validate([data], role="client"))], COMMAND + bytes(8)),
    "validate_payload": (lambda data: [*map(str, validate_payload("command-name", data))], b"\xff\xff"),
    "PayloadValidator": (lambda data: _fed(PayloadValidator("command-name"), data), b"\xff\xff"),
    "command, value": (lambda data: list(command(1, 1, "x", {"k": data})), b"abcd"),
    "command, value in frames": (lambda data: list(command(1, 1, "x", {"k": data}, max_payload=7)), bytes(50)),
    "command, data": (lambda data: list(command(1, 1, "x", data=data)), b"abcd"),
    "command, data in frames": (lambda data: list(command(1, 1, "x", data=data, max_payload=7)), bytes(50)),
    "bytes_response": (lambda data: list(bytes_response(1, 2, data, max_payload=7)), bytes(50)),
    "stream_settings": (lambda data: stream_settings(1, 2, "x", data), b"abcd"),
    "text_output": (lambda data: text_output(1, 2, [(data, (), ())]), b"abcd"),
    "text_output, argument": (lambda data: text_output(1, 2, [("%s", (), (data,))]), b"abcd"),
    "Server.respond": (_served, bytes(70_000)),
    "Server.respond, chunks": (lambda data: _served([data, b"", data]), b"abcd"),
    "Client.issue": (lambda data: list(Client().issue("x", {"k": data}, data)), b"abcd"),
    "OutputStream.send": (lambda data: list(OutputStream(2, IDENTITY).send(Frame(1, 2, 0, 4, 2, data))), b"abcd"),
    "OutputStream.write": (lambda data: list(OutputStream(2).write(1, 4, data, last=True)), bytes(70_000)),
    "OutputStream.write, encoded": (
        lambda data: list(OutputStream(2, IDENTITY).write(1, 4, data, last=True)),
        bytes(70_000),
    ),
    "InputStream.receive": (lambda data: InputStream(1).receive(Frame(1, 1, 1, 1, 1, data)), b"abcd"),
    "decode_frame": (codec.decode_frame, COMMAND),
    "cut_frame": (lambda data: str(codec.cut_frame(data)), COMMAND[:-2]),
    "frame_end": (codec.frame_end, COMMAND),
    "frames_of": (lambda data: frames_of(data, codec), COMMAND + COMMAND),
    "minimized": (lambda data: minimized(data, lambda raw: b"h" in raw), COMMAND),
    "features.used": (lambda data: used(data, features(codec.CODES).values()), COMMAND),
    "Cases": (lambda data: next(iter(Cases("server", 1, corpus=[data]))), COMMAND),
    "Mutator": (lambda data: Mutator(Seeded(1), "client").mutated_bytes(data, data), COMMAND),
    "echo.serve": (serve, COMMAND),
    "echo.server_events": (server_events, COMMAND),
    "echo.client_events": (client_events, RESPONSE),
    "decode_argument": (codec.decode_argument, ARGUMENT),
    "decode_argument_start": (codec.decode_argument_start, ARGUMENT),
    "decode_argument_rest": (codec.decode_argument_rest, b"abcd"),
    "decode_argument_header": (codec.decode_argument_header, ARGUMENT[:4]),
    "decode_text_output": (codec.decode_text_output, TEXT),
    "decode_text_atom": (codec.decode_text_atom, TEXT),
    "decode_progress": (codec.decode_progress, PROGRESS),
    "decode_stream_settings": (codec.decode_stream_settings, SETTINGS),
    "encode_argument": (lambda data: codec.encode_argument(codec.Argument("key", data)), b"abcd"),
    "Argument.value_length": (lambda data: codec.Argument("key", data).value_length, b"abcd"),
    "encode_argument_start": (lambda data: codec.encode_argument_start(codec.ArgumentStart(4, "k", data)), b"abcd"),
    "encode_argument_rest": (lambda data: codec.encode_argument_rest(codec.ArgumentRest(data)), b"abcd"),
    "encode_stream_settings": (lambda data: codec.encode_stream_settings(codec.StreamSettings("x", data)), b"abcd"),
    "walk": (lambda data: list(walk(codec.ARGUMENT, data)), ARGUMENT),
    "parse_frame": (lambda data: hash(parse_frame(data)), b"1 1 0 3 1 xy"),
    "SessionValidator.line": (lambda data: [*map(str, SessionValidator().line(data))], b"> 1 1 1 1 1 x "),
    "progress, extra": (lambda data: progress(1, 2, "t", 1, 2, extra={b"k": data}), b"\x41a"),
    "structs, parse": (structs.argument.parse, ARGUMENT),
    "structs, parse a whole frame": (structs.frame.parse, COMMAND),
    "structs, parse frames": (structs.frames.parse, COMMAND + COMMAND),
    "structs, parse texts": (structs.text_output.parse, TEXT),
    "structs, parse a map": (structs.progress.parse, PROGRESS),
    "structs, parse a rest": (structs.argument_rest.parse, b"abcd"),
    "structs, argument": (lambda data: structs.argument.build({"name": "k", "value": data}), b"abcd"),
    "structs, frame": (
        lambda data: structs.frame.build(
            {"request_id": 1, "stream_id": 1, "stream_flags": 1, "type": 1, "flags": 1, "payload": data}
        ),
        b"abcd",
    ),
    **{f"{profile.name} decoder": (partial(_decoded, profile), _of_encoder(profile)) for profile in ENCODINGS},
    "identity encoder": (lambda data: IDENTITY.encoder().encode(data), b"abcd"),
}
KINDS: dict[str, Callable[[bytes], Any]] = {
    "bytearray": bytearray,
    "view": memoryview,
    "array": lambda data: array("H", data),
    "view of wide items": lambda data: memoryview(array("H", data)),
    "view with strides": lambda data: memoryview(bytes(byte for one in data for byte in (one, 0)))[::2],
    "ctypes": lambda data: (ctypes.c_uint16 * (len(data) // 2)).from_buffer_copy(data),
}


def _told(value: object) -> object:
    """A value as it can be compared, how it is written unless it holds views."""
    return value if "<memory" in repr(value) else repr(value)


@pytest.mark.parametrize("name", GIVEN)
def test_a_function_that_is_given_bytes_accepts_any_buffer(name: str) -> None:
    function, data = GIVEN[name]
    assert len(data) % 2 == 0
    expected = function(data)
    for kind, make in KINDS.items():
        assert function(make(data)) == expected, kind


@pytest.mark.parametrize("other", [5, "text", None, 1.5], ids=repr)
@pytest.mark.parametrize("name", GIVEN)
def test_a_function_that_is_given_bytes_refuses_all_else(name: str, other: object) -> None:
    function, _ = GIVEN[name]
    if (name, other) in TAKEN:
        return
    with pytest.raises(REFUSALS.get(name, TypeError)):
        function(other)


def test_a_text_of_wide_items_is_refused_by_its_bytes() -> None:
    with pytest.raises(LocalProtocolError, match="found the byte 0xff at index 3"):
        text_output(1, 2, [(array("H", [0x6161, 0xFF61]), [], [])])


REFUSALS: dict[str, type[Exception]] = {"progress, extra": LocalProtocolError}
TAKEN: set[tuple[str, object]] = {
    ("command, data", None),
    ("command, data in frames", None),
    ("parse_frame", "text"),
    ("SessionValidator.line", "text"),
    ("text_output", "text"),
    ("text_output, argument", "text"),
}
"""What is an argument of another meaning."""
