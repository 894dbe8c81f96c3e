"""Complete reads and writes of files: raw, non-blocking, and failing ones."""

from __future__ import annotations

import errno
import io
import mmap
import os
import signal
import socket
import threading
import tracemalloc
from array import array
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgproto import (
    Client,
    FrameReader,
    LocalProtocolError,
    PeerError,
    RemoteProtocolError,
    ResponseData,
    Server,
    assert_valid,
    bytes_response,
    command,
    encode_frames,
    read_frames,
    validate,
    write_frames,
)
from hgproto.evidence.coverage import Coverage
from hgproto.revisions.framing_0002 import codec
from hgproto.wire.files import CHUNK_BYTES, Chunks, Output, write_all
from hgproto.wire.writer import JOINED_BYTES, PIECE_BYTES, FrameWriter, frame_buffers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FRAMES = [
    *command(1, 1, "lookup", {"key": b"tip"}, b"data", begin=True),
    *command(3, 1, "pushkey", data=bytes(JOINED_BYTES), end=True),
]
WIRE = b"".join(encode_frames(FRAMES))


class Hesitant(io.RawIOBase):
    """A raw file that gives or accepts ``sizes`` bytes in turn; 0 stands for none now, an exception is raised."""

    def __init__(self, data: bytes = b"", sizes: tuple[int | Exception, ...] = (0, 0, 1, 0, 0, 5, 3)) -> None:
        self.left = data
        self.taken = bytearray()
        self.sizes = sizes
        self.calls = 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def _size(self) -> int:
        size = self.sizes[self.calls % len(self.sizes)]
        self.calls += 1
        if isinstance(size, Exception):
            raise size
        return size

    def readinto(self, buffer: Any) -> int | None:
        size = min(self._size(), len(buffer), len(self.left) or 1)
        if not size:
            return None
        part, self.left = self.left[:size], self.left[size:]
        buffer[: len(part)] = part
        return len(part)

    def write(self, data: Any) -> int | None:
        size = min(self._size(), len(data))
        if not size:
            return None
        self.taken += bytes(data[:size])
        return size


def patiently(make: Callable[[], Iterator[Any]], *, again: Callable[[], Iterator[Any]] | None = None) -> list[Any]:
    """All items of an iterator that has nothing now and then; ``again``: how to iterate afterwards, else the same."""
    items: list[Any] = []
    iterator, pauses = make(), 0
    while True:
        try:
            for item in iterator:
                items.append(item)  # noqa: PERF402 - what came before an exception counts
        except (BlockingIOError, InterruptedError):
            pauses += 1
            iterator = iterator if again is None else again()
        else:
            assert pauses
            return items


def finish(writer: FrameWriter) -> None:
    """Writes whatever is left, over all pauses."""
    while writer.pending:
        try:
            writer.flush()
        except BlockingIOError:
            continue


FILES: dict[str, Callable[[Hesitant], Any]] = {"raw": lambda raw: raw, "buffered": io.BufferedReader}
"""How a file that does not block is opened."""


# Reading


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("copy", [True, False])
def test_frames_are_read_over_all_pauses(kind: str, copy: bool) -> None:
    for sizes in ((0, 0, 1, 0, 0, 5, 3), (100, 0, 0), (0, 0, 7)):
        assert patiently(lambda: read_frames(FILES[kind](Hesitant(WIRE, sizes)), copy=copy)) == FRAMES  # noqa: B023
        reader, file = FrameReader(copy=copy), FILES[kind](Hesitant(WIRE, sizes))
        assert patiently(lambda: reader.read(file), again=lambda: reader.read(file)) == FRAMES  # noqa: B023
        assert reader.position == len(WIRE)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6).map(lambda sizes: (*sizes, 0, 9)))
def test_what_is_read_does_not_depend_on_pauses(sizes: tuple[int, ...]) -> None:
    wire = b"".join(encode_frames(FRAMES[:3])) + b"\xff"
    frames = read_frames(Hesitant(wire, sizes))
    found: list[Any] = []
    failure: RemoteProtocolError | None = None
    while failure is None:
        try:
            found.append(next(frames))
        except BlockingIOError:
            continue
        except RemoteProtocolError as error:
            failure = error
    assert found == FRAMES[:3]
    assert failure.requirement == "frame.whole"
    with pytest.raises(RemoteProtocolError):
        next(frames)


@pytest.mark.parametrize("kind", FILES)
def test_a_pause_is_not_the_end(kind: str) -> None:
    for cut in (len(WIRE), len(WIRE) - 1, 0):
        sizes = (*([1 << 20] if cut else []), 0, 0, 0, 0)
        with pytest.raises(BlockingIOError, match="no bytes yet"):
            list(read_frames(FILES[kind](Hesitant(WIRE[:cut], sizes))))
        with pytest.raises(BlockingIOError, match="no bytes yet"):
            list(validate(FILES[kind](Hesitant(WIRE[:cut], sizes)), role="client"))


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_pipe_that_does_not_block(buffering: int) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with os.fdopen(reading, "rb", buffering=buffering) as file:
        os.write(writing, WIRE[:-1])
        frames = read_frames(file)
        with pytest.raises(BlockingIOError):
            list(frames)
        os.write(writing, WIRE[-1:])
        os.close(writing)
        assert list(frames) == FRAMES[-1:]


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("depth", ["session", "frames"])
@pytest.mark.parametrize("role", ["client", None])
def test_the_validator_goes_on_after_pauses(kind: str, depth: Any, role: Any) -> None:
    wire = WIRE + b"".join(encode_frames(bytes_response(1, 2, b"x")))
    expected = [str(finding) for finding in validate(wire, role=role, depth=depth)]
    assert expected or depth == "frames"
    found = patiently(lambda: validate(FILES[kind](Hesitant(wire)), role=role, depth=depth))
    assert [str(finding) for finding in found] == expected


@pytest.mark.parametrize("sizes", [(0, 1, 0, 5, 3), (InterruptedError(), 4), (50, 0)])
def test_builders_go_on_after_pauses(sizes: Any) -> None:
    data = bytes(range(200))
    builders: list[Callable[[Any], Iterator[Any]]] = [
        lambda file: command(1, 1, "c", {"k": b"v"}, file, begin=True, end=True, max_payload=9),
        lambda file: bytes_response(1, 2, file, begin=True, end=True, max_payload=9),
        lambda file: bytes_response(1, 2, file, max_payload=200),
    ]
    for build in builders:
        assert patiently(lambda: build(Hesitant(data, sizes))) == list(build(io.BytesIO(data)))  # noqa: B023


@pytest.mark.parametrize(
    "use",
    [
        lambda source: list(read_frames(source)),
        lambda source: list(FrameReader(copy=False).read(source)),
        lambda source: list(validate(source, role="client")),
        lambda source: list(command(1, 1, "c", data=source)),
        lambda source: list(bytes_response(1, 2, source)),
    ],
)
@pytest.mark.parametrize(
    "source", [io.StringIO("text"), io.StringIO(), 5, "text", True, object()], ids=lambda source: type(source).__name__
)
def test_what_is_no_source_of_bytes_is_refused(use: Any, source: Any) -> None:
    with pytest.raises(TypeError, match=r"must be (a binary file, )?bytes"):
        use(source)


@pytest.mark.parametrize(
    "chunks", [[5], [WIRE[:3], "text"], iter(b"ab"), [None]], ids=lambda chunks: type(chunks).__name__
)
def test_chunks_are_bytes(chunks: Any) -> None:
    with pytest.raises(TypeError, match="a chunk must be bytes"):
        list(read_frames(chunks))


def test_chunks_are_never_empty_and_of_the_size_that_is_asked_for() -> None:
    assert list(Chunks([b"", b"ab", bytearray(), array("H"), b"c"])) == [b"ab", b"c"]
    assert list(Chunks(b"abcde", 2)) == [b"abcde"]
    assert list(Chunks(array("H", [1, 2]), 3, copy=True)) == [b"\1\0\2", b"\0"]
    assert list(Chunks(io.BytesIO(b"abcde"), 2)) == [b"ab", b"cd", b"e"]
    assert list(Chunks(b"")) == []


# Writing


@given(st.lists(st.integers(0, 9000), min_size=1, max_size=5).map(lambda sizes: (*sizes, 20_000)))
def test_everything_is_written_over_all_pauses(sizes: tuple[int, ...]) -> None:
    file = Hesitant(sizes=sizes)
    writer = FrameWriter(file)
    todo: Callable[[], None] = lambda: writer.write(iter(FRAMES))  # noqa: E731 - replaced below
    while True:
        try:
            todo()
        except BlockingIOError as error:
            assert writer.pending
            assert error.characters_written == writer.written == len(file.taken)
            todo = writer.flush
        else:
            break
    assert bytes(file.taken) == WIRE
    assert not writer.pending
    assert writer.written == len(WIRE)


def test_a_raw_file_that_accepts_little_gets_everything() -> None:
    file = Hesitant(sizes=(1, 7, 300))
    write_frames(file, FRAMES)
    assert bytes(file.taken) == WIRE
    write_all(file, array("H", [0x0201] * 500))
    assert bytes(file.taken) == WIRE + b"\1\2" * 500


def test_no_room_raises_and_says_how_much_was_written() -> None:
    writers: list[tuple[Callable[[Any], object], str]] = [
        (lambda file: write_frames(file, FRAMES), "the rest was not kept; use a FrameWriter"),
        (lambda file: write_all(file, WIRE), "the rest was not kept; write the rest once"),
        (lambda file: FrameWriter(file).write(FRAMES), "then flush the same object"),
    ]
    for write, remedy in writers:
        with pytest.raises(BlockingIOError, match=f"no room for more bytes.*{remedy}") as caught:
            write(Hesitant(sizes=(10, 0)))
        assert caught.value.characters_written == 10
        assert caught.value.errno == errno.EAGAIN
    with pytest.raises(BlockingIOError, match="no bytes yet"):
        write_frames(io.BytesIO(), command(1, 1, "x", data=Hesitant(sizes=(0,))))


def test_a_buffered_file_that_does_not_block_loses_nothing() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    frames = list(bytes_response(1, 2, bytes(300_000)))
    wire = b"".join(encode_frames(frames))
    received = b""
    with os.fdopen(writing, "wb", buffering=4096) as file, os.fdopen(reading, "rb", buffering=0) as other:
        writer = FrameWriter(file)
        todo: Callable[[], None] = lambda: writer.write(frames)  # noqa: E731 - replaced below
        while len(received) < len(wire):
            try:
                todo()
                file.flush()
            except BlockingIOError:
                received += other.read(1 << 16)
            else:
                received += other.read(len(wire))
            todo = writer.flush
    assert received == wire
    assert not writer.pending


def test_a_socket_with_a_timeout_gets_everything() -> None:
    sending, receiving = socket.socketpair()
    sending.settimeout(20)
    sending.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    frames = list(bytes_response(1, 2, bytes(500_000), begin=True))
    received = bytearray()

    def drain() -> None:
        while data := receiving.recv(4096):
            received.extend(data)

    thread = threading.Thread(target=drain)
    thread.start()
    with sending, receiving:
        with sending.makefile("wb", buffering=0) as file:
            write_frames(file, frames)
        sending.shutdown(socket.SHUT_WR)
        thread.join()
    assert bytes(received) == b"".join(encode_frames(frames))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers that send signals")
def test_a_pipe_that_signals_interrupt_gets_everything() -> None:
    reading, writing = os.pipe()
    frames = list(bytes_response(1, 2, bytes(2_000_000)))
    received = bytearray()

    def drain() -> None:
        with os.fdopen(reading, "rb", buffering=0) as file:
            while data := file.read(65536):
                received.extend(data)

    before = signal.signal(signal.SIGALRM, lambda *_: None)
    thread = threading.Thread(target=drain)
    thread.start()
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        with os.fdopen(writing, "wb", buffering=0) as file:
            write_frames(file, frames)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        thread.join()
    assert bytes(received) == b"".join(encode_frames(frames))


@pytest.mark.parametrize(("count", "message"), [(0, "no bytes"), (99, "99 of 5 bytes"), (-1, "-1 of 5 bytes")])
def test_a_file_that_counts_wrongly_is_refused(count: int, message: str) -> None:
    class Odd(io.RawIOBase):
        def write(self, data: Any) -> int:
            return count

    output = Output(Odd())
    with pytest.raises(OSError, match=message):
        output.write(b"abcde")
    assert output.rest == b"abcde"


def test_what_a_file_refuses_is_kept() -> None:
    file = Hesitant(sizes=(3, OSError(errno.ENOSPC, "full"), 100_000))
    writer = FrameWriter(file)
    with pytest.raises(OSError, match="full"):
        writer.write(FRAMES)
    failures = 0
    while writer.pending:
        try:
            writer.flush()
        except OSError as error:
            assert error.errno == errno.ENOSPC
            failures += 1
    assert failures
    assert bytes(file.taken) == WIRE


def test_frames_before_a_bad_one_are_written_and_the_writer_stays_usable() -> None:
    file = io.BytesIO()
    writer = FrameWriter(file)
    with pytest.raises(LocalProtocolError):
        writer.write([FRAMES[0], FRAMES[0].replace(request_id=-1), FRAMES[1]])
    assert not writer.pending
    writer.write(FRAMES[1:])
    assert file.getvalue() == WIRE


def test_frames_before_a_failure_of_their_source_are_given() -> None:
    def failing() -> Iterator[Any]:
        yield from FRAMES[:2]
        raise OSError("disk gone")

    for write in (lambda file: write_frames(file, failing()), lambda file: file.writelines(encode_frames(failing()))):
        file = io.BytesIO()
        with pytest.raises(OSError, match="disk gone"):
            write(file)
        assert list(read_frames(file.getvalue())) == FRAMES[:2]


def test_frames_are_written_as_they_are_made() -> None:
    file = io.BytesIO()
    sizes = []

    def watched() -> Iterator[Any]:
        for frame in FRAMES:
            sizes.append(len(file.getvalue()))
            yield frame

    write_frames(file, watched())
    assert sizes == [sum(8 + len(frame.payload) for frame in FRAMES[:index]) for index in range(len(FRAMES))]
    assert len(WIRE) < PIECE_BYTES


def test_a_command_whose_file_has_nothing_yet_is_written_later() -> None:
    frames = command(1, 1, "c", data=Hesitant(bytes(30), (20, 0)), max_payload=20)
    file = io.BytesIO()
    writer = FrameWriter(file)
    with pytest.raises(BlockingIOError):
        writer.write(frames)
    for _ in range(3):
        try:
            writer.flush()
        except BlockingIOError:
            continue
    assert file.getvalue() == b"".join(encode_frames(command(1, 1, "c", data=io.BytesIO(bytes(30)), max_payload=20)))
    assert codec.CommandDataFlag.EOS in list(read_frames(file.getvalue()))[-1].flags  # type: ignore[operator]


def answered(file: Any, **options: Any) -> Any:
    """What a server sends in response to a request."""
    server = Server(**options)
    server.receive_data(b"".join(encode_frames(command(1, 1, "c", begin=True))))
    return server.respond(1, file)


def test_a_response_is_a_file_in_chunks() -> None:
    data = bytes(range(256)) * 300
    whole = list(answered(io.BytesIO(data)))
    assert b"".join(frame.payload for frame in whole) == data
    assert len(whole) <= 4


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("encoding", [None, "zlib"])
@pytest.mark.parametrize("failed", [False, True])
def test_a_response_goes_on_after_pauses(kind: str, encoding: str | None, failed: bool) -> None:
    data = bytes(range(256)) * 300
    for sizes in ((100, 0, 0, 0), (0, 0, 0, 5000), (0, 0, 0, 100_000)):
        client, server = Client(), Server(encoding=encoding)
        client.issue("a")
        server.receive_data(b"".join(encode_frames(command(1, 1, "a", begin=True))))
        send: Any = server.respond(1, FILES[kind](Hesitant(data, sizes)))
        if failed:
            # What was ready comes before the error of a connection that has failed.
            send = server.receive_data(b"\xff" * 8)[-1].frames  # type: ignore[union-attr]
        events = client.receive_data(b"".join(encode_frames(send if failed else patiently(lambda: send))))  # noqa: B023
        got = [event for event in events if isinstance(event, ResponseData)]
        if failed:
            # A file without bytes no longer holds the error back, so the rest of the response is given up.
            assert data.startswith(b"".join(event.data for event in got))
            assert not any(event.last for event in got)
            assert isinstance(events[-1], PeerError)
        else:
            assert b"".join(event.data for event in got) == data
            assert got[-1].last
            assert server.snapshot().requests == {}


def test_a_pause_of_an_iterable_is_a_failure_since_it_may_be_at_its_end() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"part"
        raise BlockingIOError("not a file")

    frames = list(answered(chunks()))
    assert [int(frame.type) for frame in frames] == [codec.FrameType.BYTES_RESPONSE, codec.FrameType.ERROR_RESPONSE]


PIECES: dict[str, Callable[[Any], Iterator[Any]]] = {
    "encode_frames": encode_frames,
    "frame_buffers": frame_buffers,
}


@pytest.mark.parametrize("name", PIECES)
@pytest.mark.parametrize("sizes", [(0, 1, 0, 5000, 3), (40_000, 0, 0)])
def test_pieces_go_on_after_pauses(name: str, sizes: Any) -> None:
    data = bytes(range(256)) * 300
    sends: dict[str, Callable[[Any], Any]] = {
        "command": lambda file: command(1, 1, "c", data=file, begin=True),
        "bytes_response": lambda file: bytes_response(1, 2, file),
        "issue": lambda file: Client().issue("c", data=file),
        "respond": answered,
    }
    for send in sends.values():
        wire = b"".join(patiently(lambda: PIECES[name](send(Hesitant(data, sizes)))))  # noqa: B023
        parts = [frame.payload for frame in read_frames(wire) if frame.type != codec.FrameType.COMMAND_NAME]
        assert b"".join(parts) == data


@pytest.mark.parametrize("name", PIECES)
def test_pieces_go_on_after_a_bad_frame_and_then_end(name: str) -> None:
    pieces = PIECES[name]([FRAMES[0].replace(request_id=-1), *FRAMES])
    with pytest.raises(LocalProtocolError):
        next(pieces)
    assert b"".join(pieces) == WIRE
    assert list(pieces) == []
    assert iter(pieces) is pieces


def test_no_frame_is_asked_for_before_the_piece_before_it_was_given() -> None:
    data = os.urandom(3 * PIECE_BYTES)
    send = answered(data)
    wire = b""
    while piece := next(encode_frames(send), b""):
        wire += piece
    assert b"".join(frame.payload for frame in read_frames(wire)) == data


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("wrap", [iter, enumerate, lambda frames: map(str, frames)], ids=["iter", "enumerate", "map"])
def test_an_iterator_over_an_iterator_of_frames_goes_on_too(kind: str, wrap: Any) -> None:
    found = patiently(lambda: wrap(read_frames(FILES[kind](Hesitant(WIRE, (0, 0, 30))))))
    assert found == list(wrap(FRAMES))


def test_iterators_are_their_own_iterators() -> None:
    for iterator in (read_frames(WIRE), validate(WIRE), encode_frames(FRAMES), frame_buffers(FRAMES), Chunks(WIRE)):
        assert iter(iterator) is iterator


@pytest.mark.parametrize("encoding", [None, "identity", "zlib"])
def test_a_writer_asks_for_no_frame_before_all_earlier_frames_are_written(encoding: str | None) -> None:
    client, server = Client(), Server(encoding=encoding)
    for name in "ab":
        for frame in client.issue(name):
            server.receive_frame(frame)
    large = os.urandom(100_000)
    file = Hesitant(sizes=(100, 0, 0, 1 << 20))
    writer = FrameWriter(file)
    for request_id, data in ((1, large), (3, b"second")):
        with pytest.raises(BlockingIOError):
            writer.write(server.respond(request_id, data))
    finish(writer)
    got = {1: b"", 3: b""}
    for event in client.receive_data(bytes(file.taken)):
        assert isinstance(event, ResponseData)
        got[event.request_id] += event.data
    assert got == {1: large, 3: b"second"}


def test_a_writer_keeps_a_message_whose_first_frame_is_not_there_yet() -> None:
    for build in (lambda file: command(1, 1, "c", data=file), lambda file: bytes_response(1, 2, file), answered):
        file = io.BytesIO()
        writer = FrameWriter(file)
        with pytest.raises(BlockingIOError, match="no bytes yet"):
            writer.write(build(Hesitant(b"x" * 10, (0, 20))))
        assert writer.pending
        finish(writer)
        assert b"x" * 10 in file.getvalue()


# Kinds of files


class Proxy:
    """A wrapper that passes on whatever it is asked for."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class Upper(io.BytesIO):
    """Changes what is read, by ``read()`` alone."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(size).upper()


class ReadOnly:
    """Has nothing but ``read()``."""

    def __init__(self, content: bytes) -> None:
        self.read = io.BytesIO(content).read


def _patched(content: bytes) -> Any:
    """A wrapper with a method of its own, as those that count what is read have."""
    file: Any = Proxy(io.BytesIO(content))
    file.read = lambda size: file._file.read(size).upper()
    return file


def test_a_large_buffer_is_not_copied_at_once() -> None:
    frame = encode_frames([codec.make_frame(1, 1, 0, codec.FrameType.COMMAND_DATA, 1, bytes(65_000))])
    wire = memoryview(next(frame) * 100)
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_frames(wire))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 100
    assert peak < 4 * CHUNK_BYTES < len(wire)


def _payloads(frames: Iterator[Any]) -> bytes:
    return b"".join(bytes(frame.payload) for frame in frames if frame.type != codec.FrameType.COMMAND_NAME)


READERS: dict[str, Callable[[Any], bytes]] = {
    "command": lambda file: _payloads(command(1, 1, "c", data=file)),
    "issue": lambda file: _payloads(Client().issue("c", data=file)),  # type: ignore[arg-type]
    "bytes_response": lambda file: _payloads(bytes_response(1, 2, file)),
    "respond": lambda file: _payloads(answered(file)),
    "Chunks": lambda file: b"".join(Chunks(file)),
}
"""What reads a file, and gives its bytes."""


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("open_", [io.BytesIO, Upper, ReadOnly, _patched, lambda content: Proxy(io.BytesIO(content))])
def test_a_file_has_the_same_bytes_for_all_who_read_it(name: str, open_: Any) -> None:
    expected = b"ABC" if open_ in (Upper, _patched) else b"abc"
    assert READERS[name](open_(b"abc")) == expected


@pytest.mark.parametrize("name", READERS)
def test_a_buffer_that_can_be_read_is_a_buffer(name: str) -> None:
    with mmap.mmap(-1, 3) as mapped:
        mapped[:] = b"abc"
        assert READERS[name](mapped) == READERS[name](mapped) == b"abc"


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("wrap", [lambda file: file, Proxy, lambda file: Proxy(Proxy(file))])
def test_a_file_that_no_longer_blocks_is_not_at_its_end(name: str, wrap: Any) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file:
        wrapped = wrap(file)
        os.set_blocking(reading, False)
        with pytest.raises(BlockingIOError):
            READERS[name](wrapped)
        os.write(writing, b"abc")
        os.close(writing)
        assert READERS[name](wrapped) == b"abc"


def test_a_response_sees_that_its_file_no_longer_blocks() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file:
        os.write(writing, b"half")
        send = answered(file)
        assert next(send).payload == b"half"
        os.set_blocking(reading, False)
        with pytest.raises(BlockingIOError):
            next(send)
        os.write(writing, b"rest")
        os.close(writing)
        assert _payloads(send) == b"rest"


@pytest.mark.parametrize(
    "use",
    [lambda file: assert_valid(file, role="client"), Coverage().data, lambda file: Coverage().content(file, "hex")],
    ids=["assert_valid", "bytes", "content"],
)
def test_what_cannot_go_on_says_that_what_was_read_is_lost(use: Callable[[Any], object]) -> None:
    with pytest.raises(BlockingIOError, match="what was read before is not kept here; use a file that blocks"):
        use(Hesitant(b"0100", sizes=(4, 0)))


class Iterated:
    """A file that ends as an iterator does."""

    def __init__(self) -> None:
        self.parts = iter([b"bundle"])

    def read(self, _: int) -> bytes:
        return next(self.parts)


@pytest.mark.parametrize(
    "use",
    [
        lambda file: list(command(1, 1, "x", data=file)),
        lambda file: list(bytes_response(1, 2, file)),
        lambda file: list(read_frames(file)),
        lambda file: list(validate(file, role="client")),
    ],
    ids=["command", "bytes_response", "read_frames", "validate"],
)
def test_a_file_that_raises_stop_iteration_has_failed(use: Callable[[Any], object]) -> None:
    with pytest.raises(RuntimeError, match="the file raised StopIteration"):
        use(Iterated())
