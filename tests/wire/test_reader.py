"""The reader: any chunks of the input lead to the same frames and the same errors, at the same places."""

from __future__ import annotations

import io
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ROOT, cuts, frames

from hgproto import FrameReader, RemoteProtocolError, encode_frame, read_frames
from hgproto.revisions.framing_0002 import codec
from hgproto.revisions.revision import Revision

if TYPE_CHECKING:
    from hgproto.runtime.frame import Frame

HEADER = bytes.fromhex("0300000100010111")
FRAME = HEADER + b"abc"


def taken(reader: FrameReader, chunks: list[bytes]) -> tuple[list[Frame], tuple[str, int | None] | None]:
    """The frames of some chunks and of the end of input, and the refusal."""
    result: list[Frame] = []
    try:
        for chunk in chunks:
            result += reader.feed(chunk)
        reader.close()
    except RemoteProtocolError as error:
        return result + list(error.frames), (error.requirement, error.offset)
    return result, None


@given(st.lists(frames, max_size=4), st.binary(max_size=12), st.data())
def test_any_cutting_gives_the_same(made: list[Frame], trailing: bytes, data: st.DataObject) -> None:
    wire = b"".join(map(encode_frame, made)) + trailing
    whole = taken(FrameReader(), [wire])
    assert whole[0][: len(made)] == made
    byte_by_byte = [wire[i : i + 1] for i in range(len(wire))]
    for chunks in (byte_by_byte, data.draw(cuts(wire))):
        for copy in (True, False):
            assert taken(FrameReader(copy=copy), chunks) == whole
            read: list[Frame] = []
            try:
                read.extend(FrameReader(copy=copy).read(chunks))
            except RemoteProtocolError as error:
                assert (error.requirement, error.offset) == whole[1]
            else:
                assert whole[1] is None
            assert read == whole[0]


@pytest.mark.requirement("frame.whole")
@pytest.mark.parametrize("size", range(1, len(FRAME)))
def test_a_cut_frame_tells_what_it_lacks(size: int) -> None:
    reader = FrameReader()
    assert reader.feed(FRAME + FRAME[:size]) == [codec.make_frame(1, 1, 1, 1, 1, b"abc")]
    assert (reader.position, reader.rest) == (len(FRAME), FRAME[:size])
    assert reader.missing == (8 - size if size < 8 else len(FRAME) - size)
    with pytest.raises(RemoteProtocolError) as error:
        reader.close()
    assert error.value.requirement == "frame.whole"
    assert error.value.offset is not None
    assert len(FRAME) <= error.value.offset <= len(FRAME) + 8
    with pytest.raises(RemoteProtocolError) as again:
        reader.feed(b"")
    assert again.value is error.value
    part = "header" if size < 8 else "frame"
    assert error.value.found.endswith(f"(the {part} lacks {8 - size if size < 8 else len(FRAME) - size})")


@pytest.mark.requirement("frame.length-limit")
@pytest.mark.parametrize("limit", [1, 65535, 70000, (1 << 24) - 1])
@pytest.mark.parametrize("step", [1, 5, 1 << 20])
def test_the_limit_at_its_edges(limit: int, step: int) -> None:
    def chunks(wire: bytes) -> list[bytes]:
        return [wire[i : i + step] for i in range(0, len(wire), step)]

    for size in (limit - 1, limit):
        if size <= 70000 or step > 5:
            wire = codec.encode_frame(codec.make_frame(1, 1, 1, 3, 1, bytes(size)), limit)
            assert [len(frame.payload) for frame in read_frames(chunks(wire), max_payload=limit)] == [size]
    if limit < (1 << 24) - 1:
        over = (limit + 1).to_bytes(3, "little") + bytes.fromhex("0100010131")
        fed, refusal = taken(FrameReader(max_payload=limit), chunks(FRAME[:0] + over))
        assert (fed, refusal) == ([], ("frame.length-limit", 0))


@pytest.mark.parametrize("limit", [0, -1, 1 << 24, pytest.param(10**5000, id="huge")])
def test_limits_that_lengths_cannot_say_are_refused(limit: int) -> None:
    with pytest.raises(ValueError, match=r"max_payload must be (1 to 16777215|a number of at most 64 bits)"):
        FrameReader(max_payload=limit)


@pytest.mark.parametrize("limit", [100.5, "9"])
def test_a_limit_that_is_no_whole_number_is_refused(limit: Any) -> None:
    with pytest.raises(TypeError, match=f"max_payload must be an integer, not {type(limit).__name__}"):
        FrameReader(max_payload=limit)


@pytest.mark.requirement("frame.length-limit")
def test_nothing_is_gathered_for_a_length_over_the_limit() -> None:
    reader = FrameReader(max_payload=1 << 16)
    header = bytes.fromhex("ffffff0100010131")
    tracemalloc.start()
    with pytest.raises(RemoteProtocolError):
        reader.feed(header)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000
    assert reader.rest == header
    for again in (lambda: reader.feed(FRAME), reader.close, lambda: list(reader.read([FRAME]))):
        with pytest.raises(RemoteProtocolError, match=r"frame\.length-limit"):
            again()


@pytest.mark.requirement("frame.length-limit")
def test_a_reader_that_failed_while_reading_stays_failed() -> None:
    reader = FrameReader()
    taken_before: list[Frame] = []
    with pytest.raises(RemoteProtocolError):
        taken_before.extend(reader.read([FRAME, b"\xff\xff\xff" + bytes(5), FRAME]))
    assert len(taken_before) == 1
    with pytest.raises(RemoteProtocolError) as error:
        reader.feed(FRAME)
    assert error.value.offset == len(FRAME)


@pytest.mark.requirement("frame.length-limit")
def test_frames_before_a_fault_are_not_lost() -> None:
    reader = FrameReader()
    with pytest.raises(RemoteProtocolError) as error:
        reader.feed(FRAME + FRAME + b"\xff\xff\xff" + bytes(5))
    assert [frame.payload for frame in error.value.frames] == [b"abc", b"abc"]
    assert error.value.offset == 2 * len(FRAME)


@pytest.mark.requirement("frame.length-limit")
@pytest.mark.parametrize("size", [3, 7])
def test_a_cut_header_with_a_length_over_the_limit_is_refused_for_its_length(size: int) -> None:
    reader = FrameReader()
    assert reader.feed(bytes.fromhex("ffffff0100010131")[:size]) == []
    with pytest.raises(RemoteProtocolError, match=r"found 16777215 bytes at offset 0 \(frame\.length-limit\)"):
        reader.close()


class Trickle(io.RawIOBase):
    """A file whose reads are short."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, size: int = -1) -> bytes:
        part, self.data = self.data[: min(size, 3)], self.data[min(size, 3) :]
        return part


@pytest.mark.parametrize("source", [io.BytesIO, Trickle, lambda d: d, lambda d: [d[:9], d[9:]], lambda d: iter([d])])
def test_sources(source: object) -> None:
    assert callable(source)
    assert [frame.payload for frame in read_frames(source(FRAME * 3))] == [b"abc"] * 3


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("copy", [True, False])
def test_payloads_are_copied_unless_told_otherwise(kind: type, copy: bool) -> None:
    (frame,) = FrameReader(copy=copy).feed(kind(FRAME))
    assert type(frame.payload) is (bytes if copy else memoryview)
    assert frame.payload == b"abc"
    assert hash(frame.replace(payload=b"abc")) == hash(codec.make_frame(1, 1, 1, 1, 1, b"abc"))


@pytest.mark.parametrize("copy", [None, True, False])
def test_read_frames_is_a_reader_that_reads(copy: bool | None) -> None:
    alien = Revision(str(ROOT / "tests" / "data" / "alien.yaml")).codec
    settings: dict[str, Any] = {} if copy is None else {"copy": copy}
    (frame,) = read_frames(bytearray(FRAME), **settings)
    assert type(frame.payload) is (memoryview if copy is False else bytes)
    sent = alien.encode_frame(alien.make_frame(1, 1, 0, next(iter(alien.TYPE_NAMES)), 0, b""))
    (frame,) = read_frames(sent, codec=alien, **settings)
    assert str(frame.type) == "0"
    assert type(frame.type) is not codec.FrameType
    with pytest.raises(RemoteProtocolError, match=r"at most 1 byte, found"):
        list(read_frames(FRAME, max_payload=1, **settings))


class Reads:
    """A file that has one of the two ways to read."""

    def __init__(self, name: str, data: bytes) -> None:
        self.left = data
        setattr(self, name, self._read)

    def _read(self, size: int) -> bytes:
        # Short reads, as of a pipe.
        data, self.left = self.left[: min(size, 5)], self.left[min(size, 5) :]
        return data


@pytest.mark.parametrize("name", ["read", "read1"])
def test_files_are_read_by_read1_where_they_have_it(name: str) -> None:
    source: Any = Reads(name, FRAME * 3)
    assert [bytes(frame.payload) for frame in read_frames(source)] == [FRAME[8:]] * 3
    both: Any = Reads("read1", FRAME)
    # read() waits for all of the bytes that are asked for. One tells the end from a pause.
    both.read = lambda size: b"" if size == 1 else pytest.fail("read waits for all of the bytes that were asked for")
    assert len(list(read_frames(both))) == 1


def test_a_chunk_may_change_after_it_was_fed() -> None:
    reader = FrameReader()
    chunk = bytearray(FRAME[:9])
    assert reader.feed(chunk) == []
    chunk[:] = bytes(9)
    assert [frame.payload for frame in reader.feed(bytearray(FRAME[9:]))] == [b"abc"]


@pytest.mark.parametrize("cut", range(8))
def test_the_rest_has_all_that_came_with_a_refused_header(cut: int) -> None:
    wire = bytes.fromhex("ffffff0100010131") + b"what follows"
    reader = FrameReader()
    assert len(reader.feed(FRAME + wire[:cut])) == 1
    with pytest.raises(RemoteProtocolError, match="at most 65535"):
        reader.feed(wire[cut:])
    assert reader.rest == wire
