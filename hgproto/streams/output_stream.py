"""Streams that we send on: what happens to frames between their makers and the wire (section 1.4).

An :class:`OutputStream` opens itself, names its content encoding, encodes, flushes and closes itself. Its mirror is
:class:`hgproto.streams.input_stream.InputStream`.

Flushing: octets of one request never surface in another's frames. A context is flushed before anything of another request
or of another type goes on the stream, and at the end of each response; in between, octets of data may wait in the
context, so frames of data on an encoded stream are cut where the wire wants it and not where their maker did. Frames with
structure of their own are complete by themselves.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hgproto.errors import LocalProtocolError, counted, shown
from hgproto.revisions.framing_0002 import codec as default_codec
from hgproto.revisions.framing_0002 import machines
from hgproto.runtime.bytelike import as_bytes, kept_bytes
from hgproto.runtime.frame import Unique, check_codec, check_revision, checked_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal

    from hgproto.revisions.revision import Codec
    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.frame import Frame
    from hgproto.streams.encodings import Encoder, Profile

__all__ = ["OutputStream"]

StreamState = machines.StreamState

EXPANSION = 1024
"""Octets by which an encoding may lengthen a payload; a payload that could then be too long for a frame is sent plain."""


class OutputStream(Unique):
    """A stream that we send on.

    ``profile``: its content encoding; None for a stream without stream-settings. ``max_payload``: octets at which encoded
    data is cut. ``decoded_limit``: octets that an encoded payload may stand for, which is the receiver's ``decoded-frame``.
    ``flush``: ``response`` as the module says, or ``frame`` to flush with every frame, so that a receiver has all that was
    sent at the cost of a worse ratio.

    ``codec``: the codec of the revision; :class:`ValueError` is raised for any but framing-0002, and for a number out of
    range.

    Frames go on the wire in the order in which they are taken. What is sent may be taken in turns with something else on
    the stream; who is asked next may then give frames of the other, which a context has made first.

    Nothing but its own thread may use it. Closed, it can be used again, and then has a fresh context.
    """

    __slots__ = (
        "_codec",
        "_data_types",
        "_decoded_limit",
        "_each_frame",
        "_encode_flushed",
        "_encoder",
        "_given",
        "_have",
        "_longest",
        "_lost",
        "_made",
        "_make",
        "_max_payload",
        "_profile",
        "_raw",
        "_ready",
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
        flush: Literal["response", "frame"] = "response",
        codec: Codec | None = None,
    ) -> None:
        if flush not in ("response", "frame"):
            raise ValueError(f"flush is 'response' or 'frame', not {shown(flush)}")
        codec = codec or default_codec
        check_codec(codec, default_codec.REVISION, "output streams")
        self.stream_id = checked_number("stream_id", stream_id, 0, (1 << codec.FIELD_BITS["stream_id"][0]) - 1)
        self.state = StreamState.CLOSED
        self._codec = codec
        self._make = codec.make_frame
        self._profile = profile
        self._each_frame = flush == "frame"
        size = codec.LIMITS["send-payload"][0] if max_payload is None else max_payload
        self._max_payload = checked_number("max_payload", size, 1, codec.LIMITS["max-payload"][1])
        self._longest = max(codec.LIMITS["max-payload"][0], self._max_payload)
        default, most = codec.LIMITS["decoded-frame"]
        limit = default if decoded_limit is None else decoded_limit
        self._decoded_limit = checked_number("decoded_limit", limit, 1, most)
        self._data_types = _data_types(codec)
        self._settings = codec.CODES["stream-settings"]
        # Frames that were made and not taken yet, how many ever were, and how many of those were taken.
        self._ready: deque[Frame] = deque()
        self._made = 0
        self._given = 0
        # The request whose data was lost in an encoder that has failed.
        self._lost: int | None = None
        self._encoder: Encoder | None = None
        self._encode_flushed: Callable[[bytes | memoryview], bytes] | None = None
        self._forget()

    def _forget(self) -> None:
        """What an encoder has taken and not given yet, of which request and type."""
        self._used = False
        self._run: tuple[int, int] | None = None
        self._waiting: list[bytes] = []
        self._have = 0
        self._raw = 0

    @property
    def longest_last(self) -> int:
        """Octets of a payload with a structure of its own that always has room for the end of the encoding."""
        if self._profile is None:
            return self._max_payload
        room = (self._longest - EXPANSION) * 128 // 129
        return max(1, min(self._max_payload, room, self._decoded_limit))

    @property
    def can_close(self) -> bool:
        """False once the encoder has failed and the end of the encoded bytes can no longer be made."""
        return self._encoder is not None or not self._used

    def send(self, frame: Frame, *, plain: bool = False, end: bool | Callable[[], bool] = False) -> Iterator[Frame]:
        """A frame as its maker has it, as the frames that go on the wire, which may be none or more than one.

        Its stream id and stream flags are the stream's business. ``plain``: its payload goes as it is, for data that is
        compressed already. ``end``: it is the last one of the stream; a function is asked when the last frame is made.
        """
        check_revision(frame, self._codec)
        code, flags = int(frame.type), int(frame.flags)
        if code in self._data_types:
            last = bool(flags & self._data_types[code][1])
            yield from self.write(frame.request_id, code, frame.payload, last=last, plain=plain, end=end)
            return
        if code == self._settings:
            raise ValueError("a stream makes its own stream-settings, from its profile")
        request_id, payload = frame.request_id, frame.payload
        if type(payload) is not bytes:
            payload = as_bytes(payload)
        if self._profile is not None or self._ready or self._run is not None:
            yield from self._before(request_id, None)
        end = end if isinstance(end, bool) else end()
        encoder = self._encoder
        size = len(payload)
        must_encode = end and self._used and encoder is not None
        fits = size + size // 128 + EXPANSION <= self._longest and size <= self._decoded_limit
        if must_encode and not fits:
            # The end of the compressed octets needs a frame of its own kind, and this one has no room for it.
            raise LocalProtocolError(
                "encoding.complete-at-end",
                None,
                "payload",
                "a last frame that has room for the end of the encoding",
                counted(size, "octet"),
            )
        if encoder is None or not fits or (plain and not must_encode):
            yield self._plain(request_id, code, flags, payload, end)
            return
        self._used = True
        encoded = encoder.encode(payload) + (encoder.finish() if end else encoder.flush())
        yield self._frame(request_id, code, flags, encoded, end)

    def write(
        self,
        request_id: int,
        type_: int,
        data: BytesLike,
        *,
        last: bool,
        plain: bool = False,
        end: bool | Callable[[], bool] = False,
    ) -> Iterator[Frame]:
        """The next octets of data of a request, of a type whose payloads are one sequence (command-data, bytes-response).

        ``last``: the data is complete. ``plain`` and ``end``: as of :meth:`send`. The data is taken over with the first frame;
        a buffer may change after that.
        """
        if type(data) is not bytes:
            data = kept_bytes(data)
        if plain or self._profile is None:
            self._check_lost(request_id)
            yield from self._write_plain(request_id, type_, data, last, end)
            return
        more_flag, last_flag = self._flags_of(type_)
        size, limit = self._max_payload, self._decoded_limit
        at, stop = 0, len(data)
        encoder = self._encoder
        if last and stop <= limit and encoder is not None and self._run is None and not self._ready:
            # Most responses are one frame: the straight way is for them.
            self._used = True
            ends = end if end is True or end is False else end()
            if not ends and self._encode_flushed is not None:
                encoded = self._encode_flushed(data)
            else:
                encoded = encoder.encode(data) + (encoder.finish() if ends else encoder.flush())
            if len(encoded) <= size:
                yield self._frame(request_id, type_, last_flag, encoded, ends)
            else:
                yield from self._give(self._last(request_id, type_, encoded, ends))
            return
        run = (request_id, type_)
        while at < stop or last:
            # Whenever a frame is taken, something else may be sent on the stream before the next one is asked for.
            if self._encoder is None or self._ready or (self._run is not None and self._run != run):
                yield from self._before(request_id, run)
            encoder = self._encoder
            if encoder is None:
                # It has failed for something else since the latest frame was taken.
                self._check_lost(request_id)
                yield from self._write_plain(request_id, type_, data[at:], last, end)
                return
            self._run, self._used = run, True
            room = limit - self._raw
            piece = data if not at and stop <= room else data[at : at + room]
            at += len(piece)
            self._raw += len(piece)
            if last and at == stop:
                ends = end if isinstance(end, bool) else end()
                encoded = encoder.encode(piece) + (encoder.finish() if ends else encoder.flush())
                self._run, self._raw = None, 0
                yield from self._give(self._last(request_id, type_, encoded, ends))
                return
            self._wait(encoder.encode(piece))
            if self._raw >= limit or (self._each_frame and at == stop):
                # What a frame stands for is at most what was taken since the latest flush.
                self._wait(encoder.flush())
                self._raw = 0
                whole = self._cut()
            elif self._have >= size:
                *whole, rest = self._cut()
                self._wait(rest)
            else:
                continue
            yield from self._give([self._frame(request_id, type_, more_flag, part, False) for part in whole])

    def close(self, request_id: int, type_: int) -> Iterator[Frame]:
        """Closes the stream in the middle of a request's data, of which no more will come.

        The last frame is empty, or has the end of the encoding. Its flag still promises more data, so that the request
        does not count as complete.
        """
        more_flag, _ = self._flags_of(type_)
        yield from self._before(request_id, None)
        if self._encoder is None or not self._used:
            yield self._plain(request_id, type_, more_flag, b"", True)
        else:
            yield self._frame(request_id, type_, more_flag, self._encoder.finish(), True)

    def send_last(self, frame: Frame) -> Iterator[Frame]:
        """Sends a frame and closes the stream; if the encoder fails, sends the frame as it is."""
        frames: list[Frame] = []
        try:
            frames.extend(self.send(frame, end=True))
        except Exception:  # of an encoder: the frame matters more
            self.stop_encoding()
            frames.extend(self.send(frame, end=True))
        return iter(frames)

    def stop_encoding(self) -> None:
        """Sends what follows as it is, because the encoder could not be made or has failed.

        The end of the encoded bytes can no longer be made. A stream with encoded bytes therefore stays open, even if a
        later call has ``end``. If the encoder holds data of a request, the next :meth:`write` for that
        request raises :class:`RuntimeError`, unless :meth:`forget_loss` was called for it.
        """
        if self._run is not None and (self._raw or self._have):
            self._lost = self._run[0]
        used = self._used
        self._profile = self._encoder = self._encode_flushed = None
        self._forget()
        self._used = used

    def forget_loss(self, request_id: int) -> None:
        """Ends a request, so that data of it that was lost in an encoder does not matter any more."""
        if request_id == self._lost:
            self._lost = None

    def _check_lost(self, request_id: int) -> None:
        """Raises :class:`RuntimeError`, once, if data of a request was lost in an encoder."""
        if request_id == self._lost:
            self._lost = None
            raise RuntimeError("data was lost when the encoder of the stream failed")

    def _flags_of(self, type_: int) -> tuple[int, int]:
        """Returns the flags of a type of data: for more, and for the last. Raises :class:`ValueError` for another type."""
        try:
            return self._data_types[type_]
        except KeyError:
            known = " and ".join(self._codec.TYPE_NAMES[code] for code in self._data_types)
            found = self._codec.TYPE_NAMES.get(type_, type_)
            raise ValueError(f"data is written as {known}, not as {found}; send a frame of that type instead") from None

    def _write_plain(
        self, request_id: int, type_: int, data: bytes | memoryview, last: bool, end: bool | Callable[[], bool]
    ) -> Iterator[Frame]:
        """Octets of data as they are. An empty frame is only made where it says that the data is complete."""
        more_flag, last_flag = self._data_types.get(type_) or self._flags_of(type_)
        size = self._max_payload
        at, stop = 0, len(data)
        while stop - at > size:
            yield from self._before(request_id, None)
            yield self._plain(request_id, type_, more_flag, bytes(data[at : at + size]), False)
            at += size
        if at == stop and not last:
            return
        if self._profile is not None or self._ready or self._run is not None:
            yield from self._before(request_id, None)
        ends = last and (end if isinstance(end, bool) else end())
        if ends and self._used and self._encoder is not None:
            # The end of the compressed octets goes with the last frame, so that is encoded whatever was asked for.
            yield from self.write(request_id, type_, data[at:], last=True, end=True)
            return
        yield self._plain(request_id, type_, last_flag if last else more_flag, bytes(data[at:]), ends)

    def _before(self, request_id: int, run: tuple[int, int] | None) -> Iterator[Frame]:
        """What goes on the wire before anything of ``run`` is encoded, or before any other frame where that is None.

        Afterwards the stream is open if it has a profile, all frames that were made were taken, and the context holds
        nothing of others.
        """
        while True:
            if self._ready:
                self._given += 1
                yield self._ready.popleft()
            elif self.state is StreamState.CLOSED and self._profile is not None:
                yield self._open(request_id, self._profile)
            elif self._run is not None and self._run != run:
                self._drain()
            else:
                return

    def _last(self, request_id: int, type_: int, encoded: bytes, ends: bool) -> list[Frame]:
        """The frames of what waits and of ``encoded``, which complete the data."""
        more_flag, last_flag = self._data_types[type_]
        self._wait(encoded)
        *whole, rest = self._cut() or [b""]
        made = [self._frame(request_id, type_, more_flag, part, False) for part in whole]
        return [*made, self._frame(request_id, type_, last_flag, rest, ends)]

    def _give(self, frames: list[Frame]) -> Iterator[Frame]:
        """Frames that were just made, and by then all that were made before them, in the order of the wire."""
        self._ready += frames
        self._made += len(frames)
        mine = self._made
        while self._given < mine:
            self._given += 1
            yield self._ready.popleft()

    def _wait(self, encoded: bytes) -> None:
        """Encoded octets wait for a frame."""
        if encoded:
            self._waiting.append(encoded)
            self._have += len(encoded)

    def _cut(self) -> list[bytes]:
        """The payloads that are made of what waits, all but the last of full size."""
        encoded = self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)
        size, have = self._max_payload, self._have
        self._waiting.clear()
        self._have = 0
        if have <= size:
            return [encoded] if encoded else []
        return [encoded[start : start + size] for start in range(0, have, size)]

    def _open(self, request_id: int, profile: Profile) -> Frame:
        """The frame that opens the stream and names its encoding."""
        name = profile.name.encode("ascii")
        self._encoder = profile.encoder()
        self._encode_flushed = getattr(self._encoder, "encode_flushed", None)
        self._forget()
        self.state = StreamState.CONFIGURED
        payload = bytes([len(name)]) + name + profile.settings
        return self._make(request_id, self.stream_id, _BEGIN, self._settings, 0, payload)

    def _drain(self) -> None:
        """Makes frames of what the context still holds of a request whose data is not complete."""
        if self._run is None or self._encoder is None:
            return
        request_id, type_ = self._run
        self._wait(self._encoder.flush())
        self._run, self._raw = None, 0
        more_flag, _ = self._data_types[type_]
        made = [self._frame(request_id, type_, more_flag, part, False) for part in self._cut()]
        self._ready += made
        self._made += len(made)

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
        if end and not self._used:
            stream_flags |= _END
            self._close()
        return self._make(request_id, self.stream_id, stream_flags, type_, flags, payload)

    def _close(self) -> None:
        self.state = StreamState.CLOSED
        self._encoder = None
        self._forget()


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
