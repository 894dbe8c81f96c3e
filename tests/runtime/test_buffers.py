"""No call keeps a view of a buffer, even if an error is kept: its traceback has the local variables of functions."""

from __future__ import annotations

import io
import mmap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from runtime.test_bytelike import COMMAND, GIVEN

from hgproto import (
    Client,
    DecodingPool,
    EncodingPool,
    FrameReader,
    FrameWriter,
    NoOp,
    RemoteProtocolError,
    SendFrames,
    Server,
    bytes_response,
    encode_frames,
    read_frames,
    validate,
)
from hgproto.revisions.framing_0002 import codec, structs
from hgproto.streams.encodings import Profile, default_encodings
from hgproto.wire.files import write_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BAD = b"\xff\xff\xff" + bytes(20)
"""The header of a frame that is too long, and more."""
LONG = b"".join(encode_frames(bytes_response(1, 2, b"z" * 200_000, begin=True, end=True)))
SHORT = b"".join(encode_frames(bytes_response(1, 2, b"z" * 2000, begin=True, end=True)))
RECEIVERS: dict[str, Callable[[], Callable[[Any], Any]]] = {
    "FrameReader": lambda: FrameReader().feed,
    "Server": lambda: Server().receive_data,
    "Client": lambda: Client().receive_data,
    "DecodingPool": lambda: DecodingPool(Server()).receive_data,
}


@pytest.mark.parametrize("after", [b"", COMMAND, COMMAND[:4], BAD], ids=["nothing", "again", "a part", "a fault"])
@pytest.mark.parametrize("cut", [0, 3, 9])
@pytest.mark.parametrize("name", RECEIVERS)
def test_a_buffer_can_change_after_it_was_fed(name: str, cut: int, after: bytes) -> None:
    receive = RECEIVERS[name]()
    receive(COMMAND[:cut])
    kept: list[object] = []
    for data in (COMMAND[cut:] + after, COMMAND):
        buffer = bytearray(data)
        try:
            kept.append(receive(buffer))
        except RemoteProtocolError as error:
            kept.append(error)
        # This raises BufferError while anything holds a view.
        buffer.clear()
    assert len(kept) == 2


@pytest.mark.parametrize("cut", [3, 9])
@pytest.mark.parametrize("after", [b"", BAD], ids=["nothing", "a fault"])
def test_views_of_frames_alone_keep_a_buffer(cut: int, after: bytes) -> None:
    reader, buffer = FrameReader(copy=False), bytearray(COMMAND[cut:] + after)
    reader.feed(COMMAND[:cut])
    try:
        frames = reader.feed(buffer)
    except RemoteProtocolError as error:
        frames = list(error.frames)
    # The frame was in two chunks, so it was copied.
    assert len(frames) == 1
    buffer.clear()


@pytest.mark.parametrize("name", [name for name in GIVEN if name != "FrameReader.read, chunks"])
def test_a_buffer_can_change_after_an_error(name: str) -> None:
    """Of all functions but the one that is asked for views."""
    function, data = GIVEN[name]
    kept: list[object] = []
    for damaged in (data[:-1], data[:6], data[:6] + b"\xff" * 8, b"\xff" * 8 + data):
        buffer = bytearray(damaged)
        try:
            function(buffer)
        except Exception as error:
            kept.append(error)
        buffer.clear()
        assert not buffer, kept


@contextmanager
def mapped(path: Path, data: bytes) -> Iterator[mmap.mmap]:
    """A file that is mapped; closing it raises an exception while anything holds a view of it."""
    path.write_bytes(data)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        yield whole


def _written(data: Any) -> None:
    class Full(io.RawIOBase):
        def write(self, data: object) -> int:
            raise OSError("full")

    write_all(Full(), data)


READ: dict[str, Callable[[Any], object]] = {
    "read_frames": lambda data: list(read_frames(data)),
    "FrameReader.read": lambda data: list(FrameReader().read(data)),
    "FrameReader.feed": lambda data: FrameReader().feed(data),
    "decode_frame": codec.decode_frame,
    "structs": structs.frame.parse,
    "write_all": _written,
}


@pytest.mark.parametrize("data", [COMMAND[:-1], BAD, COMMAND + BAD, LONG + BAD], ids=["cut", "bad", "second", "late"])
@pytest.mark.parametrize("name", READ)
def test_a_mapped_file_is_closed_by_an_error(name: str, data: bytes, tmp_path: Path) -> None:
    expected: BaseException | None = None
    try:
        READ[name](data)
    except Exception as error:
        expected = error
    found: BaseException | None = None
    try:
        with mapped(tmp_path / "wire", data) as whole:
            READ[name](whole)
    except Exception as error:
        found = error
    assert repr(found) == repr(expected)


@pytest.mark.parametrize("read", [read_frames, validate])
@pytest.mark.parametrize("after", [b"", BAD], ids=["nothing", "a fault"])
def test_an_iterator_over_a_mapped_file_holds_it_no_longer_than_it_reads(
    read: Any, after: bytes, tmp_path: Path
) -> None:
    with mapped(tmp_path / "wire", LONG + after) as whole:
        items = read(whole)
        kept = []
        try:
            kept += items
        except RemoteProtocolError as error:
            kept.append(error)
    assert bool(kept) == (read is read_frames or after != b"")


def reused(data: bytes, size: int) -> Iterator[bytearray]:
    """Chunks in one buffer, which is shorter for the last."""
    buffer = bytearray()
    for at in range(0, len(data), size):
        buffer[:] = data[at : at + size]
        yield buffer


class Reused:
    """A file that reads into one buffer of its own."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)
        self._buffer = bytearray()

    def read(self, size: int) -> Any:
        """Returns the buffer."""
        self._buffer[:] = self._data.read(min(size, 777))
        return self._buffer


TAKEN: dict[str, Callable[[Any], object]] = {
    "read_frames": lambda source: list(read_frames(source)),
    "validate": lambda source: list(map(str, validate(source))),
    "validate frames": lambda source: list(map(str, validate(source, depth="frames"))),
    "respond": lambda source: b"".join(frame.payload for frame in _asked().respond(1, source)),
}
OF_FILES: dict[str, Callable[[Any], object]] = {
    "issue": lambda source: b"".join(frame.payload for frame in Client().issue("x", data=source)),
    "bytes_response": lambda source: b"".join(frame.payload for frame in bytes_response(1, 2, source)),
}


@pytest.mark.parametrize("size", [1, 5, 777])
@pytest.mark.parametrize("name", TAKEN)
def test_an_iterable_may_use_its_buffer_again(name: str, size: int) -> None:
    data = SHORT if size == 1 else LONG
    assert TAKEN[name](reused(data, size)) == TAKEN[name](iter([data]))


@pytest.mark.parametrize("name", TAKEN | OF_FILES)
def test_a_file_may_use_its_buffer_again(name: str) -> None:
    take = (TAKEN | OF_FILES)[name]
    assert take(Reused(LONG)) == take(io.BytesIO(LONG))


def _asked(**options: Any) -> Server:
    server = Server(**options)
    for frame in Client().issue("x"):
        server.receive_frame(frame)
    return server


class Failing:
    """An encoder that fails."""

    def encode(self, data: bytes | memoryview) -> bytes:
        raise MemoryError("no room")

    def flush(self) -> bytes:
        return b""

    finish = flush


KNOWN = default_encodings().plus(Profile("failing", Failing, default_encodings()["identity"].decoder))


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("encoding", [None, "failing", *default_encodings()])
def test_a_complete_response_holds_nothing(encoding: str | None, threads: bool, tmp_path: Path) -> None:
    server = _asked(encodings=KNOWN, encoding=encoding)
    kept: list[object] = []
    with mapped(tmp_path / "body", b"x" * 300_000) as whole:
        send = server.respond(1, whole)
        assert isinstance(send, SendFrames)
        try:
            if threads:
                with EncodingPool(1) as pool:
                    pool.submit(send)
                    kept += pool.finished()
            else:
                kept += send
        except MemoryError as error:
            kept.append(error)
            kept += send
    assert kept


def test_a_response_that_failed_holds_nothing(tmp_path: Path) -> None:
    server = _asked(encodings=KNOWN, encoding="failing")
    sends: list[SendFrames | NoOp] = []
    with pytest.raises(MemoryError), mapped(tmp_path / "body", b"x" * 300_000) as whole:
        sends.append(server.respond(1, whole))
        list(sends[0])
    assert [frame.type for frame in sends[0]] == [codec.FrameType.STREAM_SETTINGS, codec.FrameType.ERROR_RESPONSE]


def test_a_command_that_failed_holds_nothing(tmp_path: Path) -> None:
    client = Client(encodings=KNOWN, encoding="failing")
    sends: list[SendFrames | NoOp] = []
    with pytest.raises(MemoryError), mapped(tmp_path / "body", b"x" * 300_000) as whole:
        sends.append(client.issue("x", data=whole))
        list(sends[0])


def test_a_command_that_was_answered_before_its_data_ended_holds_nothing(tmp_path: Path) -> None:
    client, server = Client(), Server(streaming=True)
    with mapped(tmp_path / "body", b"x" * 300_000) as whole:
        send = client.issue("x", data=whole)
        frames = iter(send)
        server.receive_frame(next(frames))
        for frame in server.respond(1, b"enough"):
            client.receive_frame(frame)
        assert len(list(frames)) < 3


def test_errors_that_are_raised_again_do_not_grow() -> None:
    def frames_of(call: Callable[[], object]) -> int:
        with pytest.raises(RemoteProtocolError) as error:
            call()
        return len(error.traceback)

    reader = FrameReader()
    frames_of(lambda: reader.feed(BAD))
    for call in (lambda: reader.feed(b""), reader.close, lambda: reader.read(b"")):
        assert frames_of(call) == frames_of(call) == frames_of(call)


class Full:
    """A raw file with room for a few bytes, until it is emptied. A full one says so by None, or raises."""

    def __init__(self, error: OSError | None) -> None:
        self.error = error
        self.room = 5
        self.data = b""

    def write(self, data: Any) -> int | None:
        if not self.room and self.error is not None:
            raise self.error
        taken = bytes(data[: self.room])
        self.data += taken
        self.room -= len(taken)
        return len(taken) or None


@pytest.mark.parametrize("error", [None, BlockingIOError(), OSError(5, "trouble")], ids=["None", "no room", "trouble"])
@pytest.mark.parametrize("size", [100, 20_000, 65_535])
@pytest.mark.parametrize("room", [0, 5, 50], ids="{} bytes of room".format)
def test_a_payload_can_change_after_a_write_that_failed(error: OSError | None, size: int, room: int) -> None:
    buffer = bytearray(b"a" * size)
    frame = codec.make_frame(1, 2, 1, codec.FrameType.BYTES_RESPONSE, 2, buffer)
    expected = codec.encode_frame(frame)
    file = Full(error)
    file.room = room
    writer = FrameWriter(file)
    with pytest.raises(type(error or BlockingIOError())):
        writer.write([frame])
    buffer[:] = b"b" * size
    file.room = 1 << 20
    writer.flush()
    assert file.data == expected
    assert not writer.pending
