"""Builders of messages. Generated code chooses the types and flags; this module splits bytes and builds frames."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.errors import LocalProtocolError, shown
from hgproto.runtime.bytelike import as_bytes, is_bytes_like, kept_bytes
from hgproto.runtime.frame import Frame, check_integer, check_text
from hgproto.runtime.layout import counted, counted_bytes
from hgproto.wire.files import Input, is_file
from hgproto.wire.pushed import Pushed, PushedPayloads
from hgproto.wire.reader import checked_max_payload
from hgproto.wire.texts import encoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.definition import Codec
    from hgproto.wire.files import Data, Readable

    Part = tuple[int, int, bytes]
    """The type, the flags, and the payload of a frame."""
    Parts = tuple[list[Part], list[Iterable[Part]]]
    """The parts of a message: those that are built immediately, and iterables over those of split bytes after them."""

__all__ = ["Builder", "Items", "Text", "choice"]


class Text(NamedTuple):
    """The text of a frame: its parameter, its charset, its requirements, and True if a long text is shortened."""

    field: str
    charset: str
    rules: Mapping[str, str]
    shorten: bool = False


def choice(value: object, field: str, flags: Mapping[str, int]) -> int:
    """Returns the flag for the name that a caller has chosen. Raises :class:`ValueError` for another name."""
    mask = flags.get(value) if isinstance(value, str) else None
    if mask is None:
        *names, last = map(repr, flags)
        raise ValueError(f"{field} is {', '.join(names)} or {last}, not {shown(value)}")
    return mask


class Builder:
    """A builder of frames with one codec. ``begin`` and ``end``: the stream flags of a stream's first and last frame.

    ``length``: the requirement for a payload that is too long.
    """

    __slots__ = ("_begin", "_codec", "_end", "_ids", "_length", "_longest")

    def __init__(self, codec: Codec, begin: int, end: int, length: str) -> None:
        self._codec = codec
        self._begin, self._end = begin, end
        self._length = length
        self._longest = codec.MAX_PAYLOAD[1]
        bits = codec.FIELD_BITS
        self._ids = 1 << bits["request_id"][0], 1 << bits["stream_id"][0]

    def check(
        self, request_id: int, stream_id: int, type_: int, max_payload: int, parity: tuple[int, str] | None = None
    ) -> None:
        """Checks the numbers of a message. ``parity``: the lowest bit that a request id must have, with its requirement.

        Raises :class:`TypeError` and :class:`ValueError` for invalid numbers and limits, and
        :class:`LocalProtocolError` for ids that do not fit into the header. Accepts any stream id that fits: reactors
        and the validator decide which side may send on a stream.
        """
        checked_max_payload(max_payload, self._codec)
        requests, streams = self._ids
        if not (type(request_id) is type(stream_id) is int and 0 <= request_id < requests and 0 <= stream_id < streams):
            check_integer(request_id, "request_id")
            check_integer(stream_id, "stream_id")
            self._codec.encode_header(Frame(request_id, stream_id, 0, type_, 0), self._longest)
        if parity is not None and request_id & 1 != parity[0]:
            expected = "an odd number" if parity[0] else "an even number"
            raise LocalProtocolError(parity[1], None, "request_id", expected, str(request_id))

    # Payloads.

    def text(self, text: str, kind: Text, max_payload: int) -> bytes:
        """Returns the payload for one text. Raises :class:`LocalProtocolError` for a text that the field cannot hold."""
        if type(text) is str and text.isascii() and 0 < len(text) <= max_payload:
            return text.encode()
        field, charset, rules, shorten = kind
        payload = encoded(text, charset, rules["charset"], field)
        if len(payload) > max_payload and shorten:
            payload = payload[:max_payload].decode("utf-8", "ignore").encode("utf-8")
        if not payload and "empty" in rules:
            raise LocalProtocolError(rules["empty"], None, field, "at least 1 byte", "none")
        return self.fit(payload, field, max_payload)

    def fit(self, payload: BytesLike, field: str, max_payload: int, requirement: str | None = None) -> bytes:
        """Returns a payload of one frame. Raises :class:`LocalProtocolError` if it is too long."""
        whole = as_bytes(payload, field)
        if len(whole) > max_payload:
            expected = f"at most {counted_bytes(max_payload)}"
            raise LocalProtocolError(requirement or self._length, None, field, expected, counted_bytes(len(whole)))
        return whole

    def whole(self, data: BytesLike, field: str) -> bytes:
        """Returns the bytes of a field."""
        return as_bytes(data, field)

    def entries(self, extra: Mapping[bytes, BytesLike] | None) -> Any:
        """Returns the unknown entries of a map. The codec accepts any buffer as a value."""
        if extra is not None and not isinstance(extra, Mapping):
            raise TypeError(f"extra must be a mapping of keys to bytes, not {type(extra).__name__}")
        return dict(extra or {})

    def cut(self, type_: int, more: int, last: int, data: Data, max_payload: int) -> Iterator[Part]:
        """Returns an iterator over bytes as payloads of one type. ``more`` and ``last``: the flags.

        The size of bytes is known, so their last full payload can be the last one. The end of a file is only known once
        a read returns no bytes. If that is at the boundary of a payload, an empty payload follows.
        """
        if isinstance(data, Pushed):
            return data.payloads(type_, more, last, max_payload)
        if is_file(data):
            return _FilePayloads(type_, more, last, data, max_payload)  # type: ignore[arg-type]
        if not is_bytes_like(data):
            raise TypeError(f"data must be bytes, another buffer of bytes, or a binary file, not {type(data).__name__}")
        return _payloads(type_, more, last, kept_bytes(data), max_payload)  # type: ignore[arg-type]

    # Frames.

    def frame(
        self, request_id: int, stream_id: int, type_: int, flags: int, payload: bytes, begin: bool, end: bool
    ) -> Frame:
        """Returns the frame of a message of one frame."""
        stream_flags = (self._begin if begin else 0) | (self._end if end else 0)
        return self._codec.make_frame(request_id, stream_id, stream_flags, type_, flags, payload)

    def frames(
        self,
        request_id: int,
        stream_id: int,
        begin: bool,
        end: bool,
        parts: Sequence[Part],
        cut: Iterable[Iterable[Part]],
    ) -> Iterator[Frame]:
        """Returns an iterator over the frames of a message: those of ``parts``, then those of ``cut``.

        If a file raises an exception, such as :class:`BlockingIOError` without bytes, the iterator can be used again
        and continues.
        """
        is_pushed = any(isinstance(each, PushedPayloads) for each in cut)
        ids, first, last = (request_id, stream_id), self._begin if begin else 0, self._end if end else 0
        return _Frames(self._made, ids, chain(parts, *cut), first, last, is_pushed=is_pushed)

    def _made(self, ids: tuple[int, int], part: Part, stream_flags: int) -> Frame:
        type_, flags, payload = part
        return self._codec.make_frame(*ids, stream_flags, type_, flags, payload)


class Items:
    """A builder of frames for names with bytes: one frame per item, or several frames for a long item.

    ``type_``: that of the frames. ``more`` and ``last``: the flags for bytes that continue, and for the last frame of
    all. ``whole`` and ``start``: the structures of an item in one frame, and of the first frame of a longer item.
    """

    __slots__ = ("_encode", "_encode_start", "_last", "_more", "_start", "_too_long", "_type", "_whole")

    def __init__(self, codec: Codec, type_: int, more: int, last: int, whole: str, start: str) -> None:
        self._type, self._more, self._last = type_, more, last
        self._whole: Any
        self._start: Any
        self._whole, _, self._encode = codec.STRUCTURES[whole]
        self._start, _, self._encode_start = codec.STRUCTURES[start]
        self._too_long = next(part.rules["cut"] for part in codec.LAYOUTS[start].parts if part.name == "name")

    def __call__(self, items: Mapping[str, BytesLike] | None, field: str, max_payload: int) -> list[Part]:
        """Returns the frames of all items, in the order of their names. ``items``: None for no items."""
        type_, more = self._type, self._more
        parts: list[Part] = []
        if not items and (items is None or type(items) is dict):
            return parts
        if type(items) is not dict and not isinstance(items, Mapping):
            raise TypeError(f"{field} must be a mapping of names to bytes, not {type(items).__name__}")
        for name in items:
            if type(name) is not str:
                check_text(name, f"a name in {field}")
        for name in sorted(items):
            value = items[name]
            if type(value) is not bytes:
                value = as_bytes(value, f"the value of {shown(name)}")
            whole = self._encode(self._whole(name, value))
            room = max_payload - (len(whole) - len(value))
            if room < 0:
                expected, found = counted_bytes(max_payload), counted_bytes(len(whole) - len(value))
                raise LocalProtocolError(self._too_long, None, f"{field}[{shown(name)}]", f"at most {expected}", found)
            if len(value) <= room:
                parts.append((type_, 0, whole))
                continue
            parts.append((type_, more, self._encode_start(self._start(len(value), name, value[:room]))))
            parts += [(type_, more, value[at : at + max_payload]) for at in range(room, len(value), max_payload)]
            parts[-1] = (type_, 0, parts[-1][2])
        if parts:
            parts[-1] = (type_, self._last, parts[-1][2])
        return parts


def _payloads(type_: int, more: int, last: int, data: bytes | memoryview, max_payload: int) -> Iterator[Part]:
    size = len(data)
    for start in range(0, max(size, 1), max_payload):
        stop = start + max_payload
        yield type_, last if stop >= size else more, bytes(data[start:stop])


class _FilePayloads:
    """The payloads of a file. Unlike a generator, it continues after an exception of the file, without a loss."""

    def __init__(self, type_: int, more: int, last: int, file: Readable, max_payload: int) -> None:
        self._numbers = (type_, more, last)
        self._input = Input(file)
        self._max_payload = max_payload
        self._parts: list[bytes] = []
        self._missing = max_payload
        self._ended = False

    def __iter__(self) -> Iterator[Part]:
        return self

    def __next__(self) -> Part:
        if self._ended:
            raise StopIteration
        type_, more, last = self._numbers
        # A read may return few bytes, but only the last payload is short.
        while self._missing:
            data = as_bytes(self._input.read(self._missing))
            if len(data) > self._missing:
                most = counted(self._missing, "byte")
                raise ValueError(f"a binary file was asked for at most {most}, and its read() returned {len(data)}")
            if not data:
                self._ended = True
                break
            self._parts.append(data)
            self._missing -= len(data)
        payload = b"".join(self._parts)
        self._parts.clear()
        self._missing = self._max_payload
        return type_, last if self._ended else more, payload


class _Frames:
    """The frames of a message. Unlike a generator, it continues after an exception of a file.

    Each frame is returned once the next one was built, so that the last one can end the stream. An exception of a file
    therefore comes before the frame that was built last. ``is_pushed``: frames are returned immediately.
    """

    __slots__ = ("_end", "_ids", "_is_pushed", "_made", "_parts", "_stream_flags", "_waiting")

    def __init__(
        self,
        made: Callable[[tuple[int, int], Part, int], Frame],
        ids: tuple[int, int],
        parts: Iterable[Part],
        begin: int,
        end: int,
        *,
        is_pushed: bool,
    ) -> None:
        self._made = made
        self._ids = ids
        self._parts = iter(parts)
        self._stream_flags = begin
        self._end = end
        self._is_pushed = is_pushed and not end
        self._waiting: Frame | None = None

    def __iter__(self) -> _Frames:
        return self

    def __next__(self) -> Frame:
        while True:
            part = next(self._parts, None)
            frame, self._waiting = self._waiting, None
            if part is not None:
                made = self._made(self._ids, part, self._stream_flags)
                self._stream_flags = 0
                if self._is_pushed:
                    return made
                self._waiting = made
            elif frame is None:
                raise StopIteration
            elif self._end:
                frame = frame.replace(stream_flags=frame.stream_flags | self._end)
            if frame is not None:
                return frame
