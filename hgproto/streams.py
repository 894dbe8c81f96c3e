"""Streams, both directions: what happens to frames between their makers and the wire (section 1.4).

An :class:`OutputStream` opens itself, names its content encoding, encodes, flushes and closes itself. An
:class:`InputStream` is one stream as its receiver sees it; the rules are in the schema's table, which the reactors run.
:class:`Ids` hands out request and stream ids.

Flushing: octets of one request never surface in another's frames. A context is flushed before anything of another request
or of another type goes on the stream, and at the end of each response; in between, octets of data may wait in the
context, so frames of data on an encoded stream are cut where the wire wants it and not where their maker did. Frames with
structure of their own are complete by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.errors import LocalProtocolError
from hgproto.framing_0002 import codec as default_codec
from hgproto.framing_0002.machines import StreamState

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from hgproto.encodings import Decoder, Encoder, Profile
    from hgproto.frame import Frame
    from hgproto.revision import Codec

__all__ = ["Ids", "InputStream", "OutputStream"]

EXPANSION = 1024
"""Octets by which an encoding may lengthen a payload; a payload that could then be too long for a frame is sent plain."""


class Ids:
    """Ids of one parity in ascending order, from ``first`` in steps of two, below ``end``; then from the start again.

    (request-id.order, stream-id.parity.)
    """

    __slots__ = ("_end", "_first", "_next", "_requirement")

    def __init__(self, first: int, end: int, requirement: str) -> None:
        self._first = first
        self._next = first
        self._end = end
        self._requirement = requirement

    def take(self, used: Container[int]) -> int:
        """The next id that is not in ``used``. Raises :class:`LocalProtocolError` when all are."""
        count = (self._end - self._first + 1) // 2
        for _ in range(count):
            taken = self._next
            self._next = taken + 2 if taken + 2 < self._end else self._first
            if taken not in used:
                return taken
        raise LocalProtocolError(self._requirement, None, "", "an id that is not in use", f"all {count} in use")


class OutputStream:
    """A stream that we send on.

    ``profile``: its content encoding; None for a stream without stream-settings. ``max_payload``: octets at which encoded
    data is cut. ``decoded_limit``: octets that an encoded payload may stand for, which is the receiver's ``decoded-frame``.
    ``flush``: ``response`` as the module says, or ``frame`` to flush with every frame, so that a receiver has all that was
    sent at the cost of a worse ratio.

    Nothing but its own thread may use it. Closed, it can be used again, and then has a fresh context.
    """

    __slots__ = (
        "_codec",
        "_data_types",
        "_decoded_limit",
        "_each_frame",
        "_encoder",
        "_have",
        "_longest",
        "_make",
        "_max_payload",
        "_profile",
        "_raw",
        "_run",
        "_settings",
        "_used",
        "_waiting",
        "state",
        "stream_id",
    )

    def __init__(
        self,
        stream_id: int,
        profile: Profile | None = None,
        *,
        max_payload: int | None = None,
        decoded_limit: int | None = None,
        flush: str = "response",
        codec: Codec = default_codec,
    ) -> None:
        if flush not in ("response", "frame"):
            raise ValueError(f"flush is 'response' or 'frame', not {flush!r}")
        self.stream_id = stream_id
        self.state = StreamState.CLOSED
        self._codec = codec
        self._make = codec.make_frame
        self._profile = profile
        self._each_frame = flush == "frame"
        self._max_payload = codec.LIMITS["send-payload"][0] if max_payload is None else max_payload
        self._longest = codec.LIMITS["max-payload"][0]
        self._decoded_limit = codec.LIMITS["decoded-frame"][0] if decoded_limit is None else decoded_limit
        self._data_types = _data_types(codec)
        self._settings = codec.CODES["stream-settings"]
        self._encoder: Encoder | None = None
        self._forget()

    def _forget(self) -> None:
        """What an encoder has taken and not given yet, of which request and type."""
        self._used = False
        self._run: tuple[int, int] | None = None
        self._waiting: list[bytes] = []
        self._have = 0
        self._raw = 0

    def send(self, frame: Frame, *, plain: bool = False, end: bool | Callable[[], bool] = False) -> Iterator[Frame]:
        """A frame as its maker has it, as the frames that go on the wire, which may be none or more than one.

        Its stream id and stream flags are the stream's business. ``plain``: its payload goes as it is, for data that is
        compressed already. ``end``: it is the last one of the stream; a function is asked when the last frame is made.
        """
        code, flags = int(frame.type), int(frame.flags)
        if code in self._data_types:
            last = bool(flags & self._data_types[code][1])
            yield from self.write(frame.request_id, code, frame.payload, last=last, plain=plain, end=end)
            return
        request_id = frame.request_id
        if code == self._settings:
            raise ValueError("a stream makes its own stream-settings, from its profile")
        if self.state is StreamState.CLOSED and self._profile is not None:
            yield self._open(request_id)
        payload = bytes(frame.payload)
        end = end if isinstance(end, bool) else end()
        encoder = self._encoder
        if encoder is None:
            yield self._plain(request_id, code, flags, payload, end)
            return
        if self._run is not None:
            yield from self._drain()
        if (plain and not (end and self._used)) or len(payload) + len(payload) // 128 + EXPANSION > self._longest:
            if end and self._used:
                # The end of the compressed octets needs a frame of its own kind, and this one has no room for it.
                raise LocalProtocolError(
                    "encoding.complete-at-end",
                    None,
                    "payload",
                    "a last frame that has room for the end of the encoding",
                    f"{len(payload)} octets",
                )
            yield self._plain(request_id, code, flags, payload, end)
            return
        self._used = True
        encoded = encoder.encode(payload) + (encoder.finish() if end else encoder.flush())
        yield self._frame(request_id, code, flags, encoded, end)

    def write(
        self,
        request_id: int,
        type_: int,
        data: bytes | memoryview,
        *,
        last: bool,
        plain: bool = False,
        end: bool | Callable[[], bool] = False,
    ) -> Iterator[Frame]:
        """The next octets of data of a request, of a type whose payloads are one sequence (command-data, bytes-response).

        ``last``: the data is complete. ``plain`` and ``end``: as of :meth:`send`.
        """
        more_flag, last_flag = self._data_types[type_]
        if self.state is StreamState.CLOSED and self._profile is not None:
            yield self._open(request_id)
        encoder = self._encoder
        if encoder is None or (plain and not self._used):
            yield from self._write_plain(request_id, type_, data, last, end)
            return
        if plain:
            # Only the last piece has to be encoded, and only where the end of the compressed octets goes with it.
            size = self._max_payload
            at = max(0, len(data) - 1) // size * size if last else len(data)
            yield from self._write_plain(request_id, type_, data[:at], False, False)
            ends = last and (end if isinstance(end, bool) else end())
            if not ends:
                yield from self._write_plain(request_id, type_, data[at:], last, False)
                return
            data, end = data[at:], True
        if self._run is not None and self._run != (request_id, type_):
            yield from self._drain()
        self._run = (request_id, type_)
        self._used = True
        size, limit = self._max_payload, self._decoded_limit
        at, stop = 0, len(data)
        if last and not self._waiting and stop <= limit - self._raw:
            # Most responses are one piece: the straight way is for them.
            ends = end if isinstance(end, bool) else end()
            octets = encoder.encode(data) + (encoder.finish() if ends else encoder.flush())
            if len(octets) <= size:
                self._run, self._raw = None, 0
                yield self._frame(request_id, type_, last_flag, octets, ends)
                return
            yield from self._last(request_id, type_, octets, ends)
            return
        while at < stop:
            room = limit - self._raw
            piece = data if not at and stop <= room else data[at : at + room]
            at += len(piece)
            self._raw += len(piece)
            self._wait(encoder.encode(piece))
            if at == stop and last:
                break
            if self._raw >= limit or (self._each_frame and at == stop):
                # What a frame stands for is at most what was taken since the latest flush.
                self._wait(encoder.flush())
                self._raw = 0
                for octets in self._cut():
                    yield self._frame(request_id, type_, more_flag, octets, False)
            elif self._have >= size:
                *whole, rest = self._cut()
                self._wait(rest)
                for octets in whole:
                    yield self._frame(request_id, type_, more_flag, octets, False)
        if last:
            ends = end if isinstance(end, bool) else end()
            yield from self._last(request_id, type_, encoder.finish() if ends else encoder.flush(), ends)

    def _last(self, request_id: int, type_: int, octets: bytes, ends: bool) -> Iterator[Frame]:
        """The frames of what waits and of ``octets``, which complete the data."""
        more_flag, last_flag = self._data_types[type_]
        self._wait(octets)
        self._run, self._raw = None, 0
        *whole, rest = self._cut() or [b""]
        for payload in whole:
            yield self._frame(request_id, type_, more_flag, payload, False)
        yield self._frame(request_id, type_, last_flag, rest, ends)

    def _wait(self, octets: bytes) -> None:
        """Encoded octets wait for a frame."""
        if octets:
            self._waiting.append(octets)
            self._have += len(octets)

    def _cut(self) -> list[bytes]:
        """The payloads that are made of what waits, all but the last of full size."""
        octets = self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)
        size, have = self._max_payload, self._have
        self._waiting.clear()
        self._have = 0
        if have <= size:
            return [octets] if octets else []
        return [octets[start : start + size] for start in range(0, have, size)]

    def _write_plain(
        self, request_id: int, type_: int, data: bytes | memoryview, last: bool, end: bool | Callable[[], bool]
    ) -> Iterator[Frame]:
        """Octets of data as they are. An empty frame is only made where it says that the data is complete."""
        if self._run is not None:
            yield from self._drain()
        more_flag, last_flag = self._data_types[type_]
        size = self._max_payload
        at = 0
        while len(data) - at > size:
            yield self._plain(request_id, type_, more_flag, bytes(data[at : at + size]), False)
            at += size
        if last:
            ends = end if isinstance(end, bool) else end()
            yield self._plain(request_id, type_, last_flag, bytes(data[at:]), ends)
        elif at < len(data):
            yield self._plain(request_id, type_, more_flag, bytes(data[at:]), False)

    def _open(self, request_id: int) -> Frame:
        """The frame that opens the stream and names its encoding."""
        profile = self._profile
        if profile is None:
            raise ValueError("a stream without a profile opens with its first frame")
        name = profile.name.encode("ascii")
        self._encoder = profile.encoder()
        self._forget()
        self.state = StreamState.CONFIGURED
        payload = bytes([len(name)]) + name + profile.settings
        return self._make(request_id, self.stream_id, _BEGIN, self._settings, 0, payload)

    def _drain(self) -> Iterator[Frame]:
        """What the context still holds of a request whose data is not complete."""
        if self._run is None or self._encoder is None:
            return
        request_id, type_ = self._run
        self._wait(self._encoder.flush())
        self._run, self._raw = None, 0
        more_flag, _ = self._data_types[type_]
        for octets in self._cut():
            yield self._frame(request_id, type_, more_flag, octets, False)

    def _frame(self, request_id: int, type_: int, flags: int, payload: bytes, end: bool) -> Frame:
        """A frame with an encoded payload."""
        if end:
            self._close()
            return self._make(request_id, self.stream_id, _ENCODED | _END, type_, flags, payload)
        return self._make(request_id, self.stream_id, _ENCODED, type_, flags, payload)

    def _plain(self, request_id: int, type_: int, flags: int, payload: bytes, end: bool) -> Frame:
        """A frame with a payload as it is."""
        stream_flags = 0
        if self.state is StreamState.CLOSED:
            stream_flags = _BEGIN
            self.state = StreamState.OPEN
        if end:
            stream_flags |= _END
            self._close()
        return self._make(request_id, self.stream_id, stream_flags, type_, flags, payload)

    def _close(self) -> None:
        self.state = StreamState.CLOSED
        self._encoder = None
        self._forget()


class InputStream:
    """A stream that the peer sends on: its state, and its decoder once it has one."""

    __slots__ = ("decoder", "state", "stream_id")

    def __init__(self, stream_id: int) -> None:
        self.stream_id = stream_id
        self.state = StreamState.CLOSED
        self.decoder: Decoder | None = None


_BEGIN, _END, _ENCODED = (
    int(default_codec.StreamFlag.STREAM_BEGIN),
    int(default_codec.StreamFlag.STREAM_END),
    int(default_codec.StreamFlag.ENCODED),
)


def _data_types(codec: Codec) -> dict[int, tuple[int, int]]:
    """The types whose payloads are one sequence of octets, with the flags for more and for the last."""
    types = {}
    for code, cases in codec.PAYLOADS.items():
        names = {name: mask for mask, name in codec.FLAG_NAMES[code].items()}
        if cases == ((0, 0, "bytes"),) and {"continuation", "eos"} <= names.keys():
            types[code] = (names["continuation"], names["eos"])
    return types
