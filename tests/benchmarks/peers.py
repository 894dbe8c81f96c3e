"""What the codec of frames is compared with: loops written by hand, other kinds of objects, other libraries.

Every one takes frames as tuples, makes a capture of them and reads it, or writes them. All are written for this
purpose. Those of optional libraries come from the functions in :data:`OPTIONAL`, which raise ``ImportError``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from benchmarks.timing import Contestant, own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

__all__ = [
    "LIMIT",
    "OPTIONAL",
    "Atom",
    "FrameTuple",
    "Peer",
    "capture_of",
    "encode",
    "hand_argument",
    "hand_generator",
    "hand_loop",
    "hand_loop_of_views",
    "hand_text_output",
    "naive",
    "object_peers",
    "parts_of",
    "reader",
    "tuples",
]

FrameTuple: TypeAlias = tuple[int, int, int, int, int, bytes]
"""Request id, stream id, stream flags, type, flags, payload."""
Atom: TypeAlias = tuple[str, tuple[str, ...], tuple[str, ...]]
"""Format, labels, arguments."""
Peer: TypeAlias = Contestant[FrameTuple]

LIMIT = 65535
HEADER = Struct("<HBHBBB")


# Encoding, and the captures that are read


def encode(request_id: int, stream_id: int, stream_flags: int, type: int, flags: int, payload: bytes) -> bytes:
    """The bytes of a frame: a header packed, a length checked, a payload appended."""
    length = len(payload)
    if length > LIMIT:
        raise ValueError("payload too long")
    return HEADER.pack(length & 0xFFFF, length >> 16, request_id, stream_id, stream_flags, type << 4 | flags) + payload


_latest: tuple[Sequence[FrameTuple], bytes] | None = None


def capture_of(frames: Sequence[FrameTuple]) -> bytes:
    """The bytes of all of ``frames``. Those who ask in turn for the same get the same object, as a cache likes it."""
    global _latest  # noqa: PLW0603 - one capture of megabytes is enough to keep
    if _latest is None or _latest[0] is not frames:
        _latest = frames, b"".join([encode(*frame) for frame in frames])
    return _latest[1]


def reader(function: Callable[[bytes], Any]) -> Callable[[Sequence[FrameTuple]], Callable[[], Any]]:
    """``prepare`` for a function that reads a whole capture."""

    def prepare(frames: Sequence[FrameTuple]) -> Callable[[], Any]:
        capture = capture_of(frames)
        return lambda: function(capture)

    return prepare


# Tuples


def hand_loop(capture: bytes) -> FrameTuple:
    """The fastest form there is: no call, no object, not even a check that the last frame is whole."""
    unpack, limit = HEADER.unpack_from, LIMIT
    at, end = 0, len(capture)
    while at < end:
        low, high, request_id, stream_id, stream_flags, byte = unpack(capture, at)
        length = low | high << 16
        if length > limit:
            raise ValueError("payload too long")
        start = at + 8
        at = start + length
        frame = (request_id, stream_id, stream_flags, byte >> 4, byte & 15, capture[start:at])
    return frame


def hand_loop_of_views(capture: bytes) -> tuple[int, int, int, int, int, memoryview]:
    """The same without copying payloads."""
    unpack, limit = HEADER.unpack_from, LIMIT
    at, end = 0, len(capture)
    view = memoryview(capture)
    while at < end:
        low, high, request_id, stream_id, stream_flags, byte = unpack(view, at)
        length = low | high << 16
        if length > limit:
            raise ValueError("payload too long")
        start = at + 8
        at = start + length
        frame = (request_id, stream_id, stream_flags, byte >> 4, byte & 15, view[start:at])
    return frame


def tuples(capture: bytes) -> Iterator[FrameTuple]:
    unpack, limit = HEADER.unpack_from, LIMIT
    at, end = 0, len(capture)
    while at < end:
        low, high, request_id, stream_id, stream_flags, byte = unpack(capture, at)
        length = low | high << 16
        if length > limit:
            raise ValueError("payload too long")
        start = at + 8
        at = start + length
        yield request_id, stream_id, stream_flags, byte >> 4, byte & 15, capture[start:at]


def hand_generator(capture: bytes) -> FrameTuple:
    """The loop as one would put it behind a function: a generator."""
    for frame in tuples(capture):  # noqa: B007 - each is dropped, the last is the result
        pass
    return frame


# Objects of other kinds


class NamedTupleFrame(NamedTuple):
    """A frame as a named tuple."""

    request_id: int
    stream_id: int
    stream_flags: int
    type: int
    flags: int
    payload: bytes


@dataclass(slots=True)
class DataclassFrame:
    """A frame as a dataclass with slots."""

    request_id: int
    stream_id: int
    stream_flags: int
    type: int
    flags: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class FrozenFrame:
    """A frame as a frozen dataclass, which is made as a frozen class of attrs is."""

    request_id: int
    stream_id: int
    stream_flags: int
    type: int
    flags: int
    payload: bytes


class SlottedFrame:
    """A frame with slots that its reader fills."""

    __slots__ = ("flags", "payload", "request_id", "stream_flags", "stream_id", "type")

    request_id: int
    stream_id: int
    stream_flags: int
    type: int
    flags: int
    payload: bytes


def parts_of(frame: Any) -> FrameTuple:
    """The tuple of a frame that is any object with the parts as attributes."""
    return (
        frame.request_id,
        frame.stream_id,
        frame.stream_flags,
        frame.type,
        frame.flags,
        bytes(frame.payload),
    )


def _making(make: Callable[[int, int, int, int, int, bytes], Any]) -> Callable[[bytes], Any]:
    """The loop with a call of ``make`` where the tuple was."""

    def loop(capture: bytes) -> Any:
        unpack, limit, new = HEADER.unpack_from, LIMIT, make
        at, end = 0, len(capture)
        while at < end:
            low, high, request_id, stream_id, stream_flags, byte = unpack(capture, at)
            length = low | high << 16
            if length > limit:
                raise ValueError("payload too long")
            start = at + 8
            at = start + length
            frame = new(request_id, stream_id, stream_flags, byte >> 4, byte & 15, capture[start:at])
        return frame

    return own(loop)


def _slotted(capture: bytes) -> SlottedFrame:
    unpack, limit, new = HEADER.unpack_from, LIMIT, SlottedFrame.__new__
    at, end = 0, len(capture)
    while at < end:
        low, high, request_id, stream_id, stream_flags, byte = unpack(capture, at)
        length = low | high << 16
        if length > limit:
            raise ValueError("payload too long")
        start = at + 8
        at = start + length
        frame = new(SlottedFrame)
        frame.request_id = request_id
        frame.stream_id = stream_id
        frame.stream_flags = stream_flags
        frame.type = byte >> 4
        frame.flags = byte & 15
        frame.payload = capture[start:at]
    return frame


def _naive_frame(file: BinaryIO) -> FrozenFrame | None:
    header = bytearray(file.read(8))
    if not header:
        return None
    length = header[0] + 256 * header[1] + 65536 * header[2]
    request_id, stream_id, stream_flags, byte = struct.unpack_from("<HBBB", header, 3)
    if length > LIMIT:
        raise ValueError("payload too long")
    payload = file.read(length)
    if len(payload) < length:
        raise ValueError("frame cut")
    return FrozenFrame(
        request_id=request_id,
        stream_id=stream_id,
        stream_flags=stream_flags,
        type=(byte & 0xF0) >> 4,
        flags=byte & 0x0F,
        payload=payload,
    )


def _read_naively(capture: bytes) -> FrozenFrame | None:
    file = BytesIO(capture)
    frame = None
    while (following := _naive_frame(file)) is not None:
        frame = following
    return frame


def naive(slower: float | None = None) -> Peer:
    """A reader as written first: a header and a payload from a file at a time, into a frozen object."""
    return Peer("naive: file.read, frozen object", reader(_read_naively), parts_of, share=32, slower=slower)


def object_peers() -> list[Peer]:
    """The loop, making objects."""
    return [
        Peer("object with slots, filled inline", reader(_slotted), parts_of, share=32),
        Peer("dataclass(slots)", reader(_making(DataclassFrame)), parts_of, share=32),
        Peer("NamedTuple", reader(_making(NamedTupleFrame)), parts_of, share=32),
        Peer("dataclass(frozen, slots)", reader(_making(FrozenFrame)), parts_of, share=32),
    ]


# Libraries


def _msgspec() -> list[Peer]:
    import msgspec

    class MsgspecFrame(msgspec.Struct, gc=False):
        request_id: int
        stream_id: int
        stream_flags: int
        type: int
        flags: int
        payload: bytes

    return [Peer("msgspec.Struct(gc=False)", reader(_making(MsgspecFrame)), parts_of, share=32)]


def _hyperframe() -> list[Peer]:
    from hyperframe.frame import DataFrame, Frame

    def prepare(frames: Sequence[FrameTuple]) -> Callable[[], Any]:
        capture = b"".join([DataFrame(request_id or 1, payload).serialize() for request_id, *_, payload in frames])

        def run() -> Any:
            view = memoryview(capture)
            at, end = 0, len(capture)
            while at < end:
                start = at + 9
                frame, length = Frame.parse_frame_header(view[at:start])
                at = start + length
                frame.parse_body(view[start:at])
            return frame

        return run

    return [
        Peer(
            "hyperframe, DATA of HTTP/2: another protocol",
            prepare,
            lambda frame: (frame.stream_id, bytes(frame.data)),
            lambda frames: (frames[-1][0] or 1, frames[-1][5]),
            share=32,
        )
    ]


def _kaitai() -> list[Peer]:
    from kaitaistruct import KaitaiStream, KaitaiStruct

    class KaitaiFrame(KaitaiStruct):  # type: ignore[misc]
        """What the compiler would make of the header, written by hand."""

        def __init__(self, _io: Any, _parent: Any = None, _root: Any = None) -> None:
            super().__init__(_io)
            self._parent = _parent
            self._root = _root or self
            self._read()

        def _read(self) -> None:
            self.length_low = self._io.read_u2le()
            self.length_high = self._io.read_u1()
            self.request_id = self._io.read_u2le()
            self.stream_id = self._io.read_u1()
            self.stream_flags = self._io.read_u1()
            self.type = self._io.read_bits_int_be(4)
            self.flags = self._io.read_bits_int_be(4)
            self._io.align_to_byte()
            self.payload = self._io.read_bytes(self.length_low | self.length_high << 16)

    def run(capture: bytes) -> Any:
        stream = KaitaiStream(BytesIO(capture))
        while not stream.is_eof():
            frame = KaitaiFrame(stream)
        return frame

    return [Peer("kaitaistruct, as generated", reader(run), parts_of, share=64)]


def _construct() -> list[Peer]:
    import construct

    from hgproto.revisions.framing_0002 import structs

    start = (
        "length" / construct.Int24ul,
        "request_id" / construct.Int16ul,
        "stream_id" / construct.Int8ul,
        "stream_flags" / construct.Int8ul,
    )
    payload = "payload" / construct.Bytes(construct.this.length)
    # Nibbles are what one writes; computing them is what construct does fastest.
    computed = construct.Struct(
        *start,
        "byte" / construct.Int8ul,
        "type" / construct.Computed(construct.this.byte >> 4),
        "flags" / construct.Computed(construct.this.byte & 15),
        payload,
    )
    nibbles = construct.Struct(
        *start, "bits" / construct.BitStruct("type" / construct.Nibble, "flags" / construct.Nibble), payload
    )

    def parsing(parse: Callable[[BinaryIO], Any]) -> Callable[[bytes], Any]:
        def run(capture: bytes) -> Any:
            stream, end = BytesIO(capture), len(capture)
            while stream.tell() < end:
                frame = parse(stream)
            return frame

        return run

    def flat(frame: Any) -> FrameTuple:
        return (
            frame.request_id,
            frame.stream_id,
            frame.stream_flags,
            frame.bits.type,
            frame.bits.flags,
            frame.payload,
        )

    def peer(name: str, declared: Any, plain: Callable[[Any], FrameTuple], slower: float | None = None) -> Peer:
        return Peer(name, reader(parsing(declared.parse_stream)), plain, share=128, slower=slower)

    return [
        peer("construct, compiled", computed.compile(), parts_of, 8),
        peer("construct, compiled, BitStruct", nibbles.compile(), flat),
        peer("construct, interpreted", computed, parts_of),
        peer("construct, interpreted, BitStruct as its manual teaches", nibbles, flat, 50),
        peer("ours: framing_0002.structs.frame", structs.frame, parts_of),
    ]


OPTIONAL: dict[str, Callable[[], list[Peer]]] = {
    "msgspec": _msgspec,
    "hyperframe": _hyperframe,
    "kaitaistruct": _kaitai,
    "construct": _construct,
}
"""For each library, what makes its peers."""


# Payloads

ARGUMENT_HEADER = Struct("<HH")
ATOM_HEADER = Struct("<HBB")


def hand_argument(payload: bytes) -> tuple[str, bytes]:
    """The name and the value of an argument: one charset, both lengths checked."""
    name_length, value_length = ARGUMENT_HEADER.unpack_from(payload)
    end = 4 + name_length
    if end > len(payload) or len(payload) - end != value_length:
        raise ValueError("wrong length")
    return payload[4:end].decode("ascii"), payload[end:]


def hand_text_output(payload: bytes) -> list[Atom]:
    """The atoms of a text output: charsets, and one check that the last atom ends where the payload does."""
    atoms = []
    at, end = 0, len(payload)
    while at < end:
        format_length, label_count, argument_count = ATOM_HEADER.unpack_from(payload, at)
        at += 4
        label_lengths = payload[at : at + label_count]
        at += label_count
        argument_lengths = struct.unpack_from(f"<{argument_count}H", payload, at)
        at += 2 * argument_count
        stop = at + format_length
        text = payload[at:stop].decode()
        labels = []
        for length in label_lengths:
            at, stop = stop, stop + length
            labels.append(payload[at:stop].decode("ascii"))
        arguments = []
        for length in argument_lengths:
            at, stop = stop, stop + length
            arguments.append(payload[at:stop].decode())
        at = stop
        atoms.append((text, tuple(labels), tuple(arguments)))
    if at != end:
        raise ValueError("atom cut")
    return atoms
