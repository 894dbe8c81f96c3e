"""Output streams, which encode frames before they are sent.

An :class:`OutputStream` opens itself, names its content encoding, encodes, flushes, and closes itself. The counterpart
is :class:`hgproto.streams.input_stream.InputStream`.

Order: each call builds all of its frames and appends them to one queue. Callers remove frames from the front of the
queue. So all callers together get the frames in the order in which the compression context has produced them.

Flushing: bytes of one request never appear in frames of another. The context is flushed before any frame of another
request or another type, and at the end of each response. In between, data may wait in the context, and its frames are
split only by size. Frames with a structure of their own are always complete.

Failure: if an encoder raises an exception, the queue keeps its frames, and everything after that is sent without
encoding.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hgproto.errors import LocalProtocolError, counted, shown
from hgproto.runtime.bytelike import as_bytes, bytes_like
from hgproto.runtime.definition import defined
from hgproto.runtime.frame import Unique, check_instance, check_revision, checked_number
from hgproto.streams.encodings import Profile

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import IntEnum
    from typing import Literal

    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.definition import Definition
    from hgproto.runtime.frame import Frame
    from hgproto.streams.encodings import Encoder

__all__ = ["OutputStream"]

EXPANSION = 1024
"""The most bytes that an encoding may add to a payload, besides 1/128 of its size. More is a failure of the encoder."""
PIECE = 1 << 17
"""Bytes of long data that are encoded at a time: few calls, and little memory."""


class OutputStream(Unique):
    """A stream to send on.

    ``profile``: its content encoding; None for a stream without stream-settings. ``max_payload``: the most bytes of a
    payload; longer encoded data is split. ``decoded_limit``: the most bytes of an encoded payload after decoding, which
    is the receiver's ``decoded-frame``. ``flush``: ``response`` as the module describes, or ``frame`` to flush with
    every frame. ``revision``: None for the default revision. Raises :class:`ValueError` for a number out of range, and
    for a revision without streams or without a stream flag that they need. With a profile, raises it also for a
    revision without stream settings.

    :meth:`send`, :meth:`write`, and :meth:`close` return frames, which must be sent in the order of the calls.
    :meth:`put`, :meth:`put_data`, and :meth:`put_close` only append the same frames to the queue ``ready``, for callers
    that :meth:`take` them one at a time. ``made`` and ``taken`` count the frames that were built, and that left the
    queue. ``state``: of the stream after all frames that were built.

    Only one thread at a time may use a stream. A closed stream can be used again, and then has a fresh context.
    """

    __slots__ = (
        "_codec",
        "_data_types",
        "_decoded_limit",
        "_each_frame",
        "_encode_flushed",
        "_encoder",
        "_flags",
        "_have",
        "_longest",
        "_lost",
        "_make",
        "_max_payload",
        "_opening",
        "_profile",
        "_raw",
        "_revision",
        "_run",
        "_settings_name",
        "_states",
        "_used",
        "_waiting",
        "ready",
        "state",
        "stream_id",
        "taken",
    )

    def __init__(
        self,
        stream_id: int,
        profile: Profile | None = None,
        *,
        max_payload: int | None = None,
        decoded_limit: int | None = None,
        flush: Literal["response", "frame"] = "response",
        revision: Definition | None = None,
    ) -> None:
        if flush not in ("response", "frame"):
            raise ValueError(f"flush is 'response' or 'frame', not {shown(flush)}")
        if profile is not None:
            check_instance(profile, Profile, "profile")
        self._revision = revision = defined(revision)
        codec = revision.codec
        self.stream_id = checked_number("stream_id", stream_id, 0, revision.ids["stream_id"] - 1)
        self._states = revision.stream_states
        self._flags = (revision.begin, revision.end, revision.encoded)
        self.state: IntEnum = self._states[0]
        self.ready: deque[Frame] = deque()
        self.taken = 0
        self._codec = codec
        self._make = codec.make_frame
        self._profile = profile
        self._each_frame = flush == "frame"
        size = revision.limit("send_payload")[0] if max_payload is None else max_payload
        self._max_payload = checked_number("max_payload", size, 1, codec.MAX_PAYLOAD[1])
        self._longest = max(codec.MAX_PAYLOAD[0], self._max_payload)
        self._settings_name = codec.TYPE_NAMES.get(-1 if revision.settings is None else revision.settings, "settings")
        self._opening = b"" if profile is None else revision.encode_settings(profile.name, profile.settings)
        if len(self._opening) > self._longest:
            needed = counted(len(self._opening), "byte")
            raise ValueError(
                f"the {self._settings_name} of {profile!r} need {needed}, and a payload has at most {self._longest};"
                " give the profile shorter settings, or the stream a larger max_payload"
            )
        default, most = revision.limit("decoded_frame")
        limit = default if decoded_limit is None else decoded_limit
        self._decoded_limit = checked_number("decoded_limit", limit, 1, most)
        self._data_types = revision.data_types
        self._lost: int | None = None  # The request whose data was lost in an encoder that has failed.
        self._encoder: Encoder | None = None
        self._encode_flushed: Callable[[bytes | memoryview], bytes] | None = None
        self._forget()

    def _forget(self) -> None:
        """Resets the state of the context. ``_run``: the request and type of the data that the context holds."""
        self._used = False
        self._run: tuple[int, int] | None = None
        # Encoded bytes that wait for a frame, their number, and the bytes that were encoded since the latest flush.
        self._waiting: list[bytes] = []
        self._have = self._raw = 0

    @property
    def is_plain(self) -> bool:
        """True if the stream has no encoding and no frame waits."""
        return self._profile is None and not self.ready

    @property
    def is_idle(self) -> bool:
        """True if the stream is open and has no encoding, and no frame waits."""
        return self._profile is None and not self.ready and self.state is self._states[1] and self._lost is None

    @property
    def made(self) -> int:
        """The number of frames that were built."""
        return self.taken + len(self.ready)

    @property
    def piece_size(self) -> int:
        """The size in bytes of the pieces in which callers should write long data, to save memory."""
        return self._max_payload if self._profile is None else max(1, PIECE // self._max_payload) * self._max_payload

    @property
    def longest_last(self) -> int:
        """The most bytes of a structured payload that leave room for the end of the encoding."""
        if self._profile is None:
            return self._max_payload
        room = (self._longest - EXPANSION) * 128 // 129
        return max(1, min(self._max_payload, room, self._decoded_limit))

    @property
    def can_close(self) -> bool:
        """False once the encoder has failed and the end of the encoded bytes can no longer be built."""
        return self._encoder is not None or not self._used

    def take(self) -> Frame:
        """Removes the first frame from the queue and returns it. Raises :class:`IndexError` if there is none."""
        frame = self.ready.popleft()
        self.taken += 1
        return frame

    def take_all(self) -> list[Frame]:
        """Removes all frames from the queue and returns them."""
        frames = list(self.ready)
        self.ready.clear()
        self.taken += len(frames)
        return frames

    def send(self, frame: Frame, *, plain: bool = False, end: bool = False) -> list[Frame]:
        """Returns the frames to send for a frame: zero, one, or several; see :meth:`put`."""
        self.put(frame, plain=plain, end=end)
        return self.take_all()

    def write(
        self, request_id: int, type_: int, data: BytesLike, *, last: bool, plain: bool = False, end: bool = False
    ) -> list[Frame]:
        """Returns the frames for the next bytes of data of a request; see :meth:`put_data`."""
        self.put_data(request_id, type_, data, last=last, plain=plain, end=end)
        return self.take_all()

    def close(self, request_id: int, type_: int) -> list[Frame]:
        """Returns the frames that close the stream in the middle of a request's data; see :meth:`put_close`."""
        self.put_close(request_id, type_)
        return self.take_all()

    def put(self, frame: Frame, *, plain: bool = False, end: bool = False) -> None:
        """Builds the frames to send for a frame.

        The stream sets the stream id and the stream flags. ``plain``: the payload is compressed already, so do not
        encode it. ``end``: this is the last frame of the stream. Raises :class:`ValueError` for stream-settings and for
        a frame of another revision. Raises :class:`LocalProtocolError` for a last frame without room for the end of the
        encoding, and for a payload that is too long after encoding. Exceptions of the encoder are raised too.
        """
        check_revision(frame, self._codec)
        code, flags = int(frame.type), int(frame.flags)
        if code in self._data_types:
            last = bool(flags & self._data_types[code][1])
            self.put_data(frame.request_id, code, frame.payload, last=last, plain=plain, end=end)
            return
        if code == self._revision.settings:
            raise ValueError(f"a stream builds its own {self._settings_name}, from its profile")
        payload = frame.payload if type(frame.payload) is bytes else as_bytes(frame.payload)
        self.put_part(frame.request_id, code, flags, payload, plain=plain, end=end)

    def put_part(
        self, request_id: int, code: int, flags: int, payload: bytes, plain: bool = False, end: bool = False
    ) -> None:
        """Builds the frames for a frame that has no data, as :meth:`put` does."""
        profile = self._profile
        if profile is None:
            self._put_plain(request_id, code, flags, payload, end)
            return
        size = len(payload)
        fits = size + size // 128 + EXPANSION <= self._longest and size <= self._decoded_limit
        must_encode = end and self._used
        if must_encode and not fits:
            # The end of the compressed bytes must be in an encoded frame, and this one has no room for it.
            rule = self._revision.encoding_rules["truncated"]
            expected = "a last frame that has room for the end of the encoding"
            raise LocalProtocolError(rule, None, "payload", expected, counted(size, "byte"))
        try:
            encoder = self._before(request_id, None, profile)
            if not fits or (plain and not must_encode):
                self._put_plain(request_id, code, flags, payload, end)
                return
            self._used = True
            encoded = encoder.encode(payload) + (encoder.finish() if end else encoder.flush())
            if len(encoded) > self._longest:
                expected = f"an encoded payload of at most {counted(self._longest, 'byte')}"
                found = f"{counted(len(encoded), 'byte')} that the encoder returned for {size}"
                raise LocalProtocolError(self._revision.length_rule, None, "payload", expected, found)
        except BaseException as error:
            self._fail(error)
            raise
        self._put_encoded(request_id, code, flags, encoded, end)

    def put_data(
        self, request_id: int, type_: int, data: BytesLike, *, last: bool, plain: bool = False, end: bool = False
    ) -> None:
        """Builds the frames for the next bytes of data of a request.

        ``type_``: a type whose payloads form one sequence (command-data, bytes-response). ``last``: True if the data is
        complete. ``plain`` and ``end``: as for :meth:`put`; only complete data can end the stream. Raises
        :class:`ValueError` for another type, and :class:`RuntimeError` if data of the request was lost in an encoder
        that has failed. Exceptions of the encoder are raised too.
        """
        _, last_flag = self._revision.data_flags(type_)
        end = end and last
        if type(data) is not bytes:
            data = bytes_like(data)
        profile = self._profile
        if profile is None:
            if request_id == self._lost:
                self._lost = None
                raise RuntimeError("data was lost when the encoder of the stream failed")
            if last and type(data) is bytes and len(data) <= self._max_payload:
                # Most responses are one frame.
                self._put_plain(request_id, type_, last_flag, data, end)
                return
            self._put_plain_data(request_id, type_, data, last, end)
            return
        if not data and not last:
            return
        try:
            if plain and not (end and self._used and len(data) <= self._max_payload):
                self._before(request_id, None, profile)
                if not end or not self._used:
                    self._put_plain_data(request_id, type_, data, last, end)
                    return
                # The last frame contains the end of the compressed bytes, so it must be encoded.
                cut = (len(data) - 1) // self._max_payload * self._max_payload
                self._put_plain_data(request_id, type_, data[:cut], False, False)
                data = data[cut:]
            run = (request_id, type_)
            encoder = self._before(request_id, run, profile)
            if last and self._run is None and len(data) <= self._decoded_limit:
                # The fast path: most responses are one frame.
                self._used = True
                if not end and self._encode_flushed is not None:
                    encoded = self._encode_flushed(data)
                else:
                    encoded = encoder.encode(data) + (encoder.finish() if end else encoder.flush())
                if len(encoded) <= self._max_payload:
                    self._put_encoded(request_id, type_, last_flag, encoded, end)
                else:
                    self._wait(encoded)
                    self._put_last(request_id, type_, last_flag, end)
                return
            self._encode(encoder, run, data, last=last, end=end)
        except BaseException as error:
            self._fail(error)
            raise

    def _encode(
        self, encoder: Encoder, run: tuple[int, int], data: bytes | memoryview, *, last: bool, end: bool
    ) -> None:
        """Encodes data, and builds a frame whenever there is enough for one."""
        size, limit, stop = self._max_payload, self._decoded_limit, len(data)
        at = 0
        while at < stop or last:
            self._run, self._used = run, True
            room = limit - self._raw
            piece = data if not at and stop <= room else data[at : at + room]
            at += len(piece)
            self._raw += len(piece)
            self._wait(encoder.encode(piece))
            if last and at == stop:
                self._wait(encoder.finish() if end else encoder.flush())
                self._run, self._raw = None, 0
                self._put_last(*run, self._data_types[run[1]][1], end)
                return
            if self._raw >= limit or (self._each_frame and at == stop):
                # Flushing bounds the decoded size of a frame.
                self._wait(encoder.flush())
                self._raw = 0
                self._put_parts(run, self._cut())
            elif self._have >= size:
                *whole, rest = self._cut()
                self._wait(rest)
                self._put_parts(run, whole)

    def put_close(self, request_id: int, type_: int) -> None:
        """Builds the frames that close the stream in the middle of a request's data.

        The last frame is empty, or has the end of the encoding. Its flag announces more data. Raises as
        :meth:`put_data` does.
        """
        more_flag, _ = self._revision.data_flags(type_)
        profile = self._profile
        try:
            encoder = None if profile is None else self._before(request_id, None, profile)
            if encoder is None or not self._used:
                self._put_plain(request_id, type_, more_flag, b"", True)
                return
            self._wait(encoder.finish())
        except BaseException as error:
            self._fail(error)
            raise
        self._put_last(request_id, type_, more_flag, True)

    def _fail(self, error: BaseException) -> None:
        """Stops encoding after an exception. Raises :class:`RuntimeError` for StopIteration, which would end an iterator."""
        self.stop_encoding()
        if isinstance(error, StopIteration):
            raise RuntimeError("the encoder raised StopIteration") from error

    def stop_encoding(self) -> None:
        """Stops encoding because the encoder has failed. Everything that follows is sent without encoding.

        The end of the encoded bytes can no longer be built, so a stream with encoded bytes stays open. If the encoder
        holds data of a request, the next :meth:`put_data` for it raises :class:`RuntimeError`, unless
        :meth:`forget_loss` was called.
        """
        if self._run is not None and (self._raw or self._have):
            self._lost = self._run[0]
        used = self._used
        self._profile = self._encoder = self._encode_flushed = None
        self._forget()
        self._used = used

    def forget_loss(self, request_id: int) -> None:
        """Ignores the loss of a request's data in an encoder, so that it no longer causes an exception."""
        if request_id == self._lost:
            self._lost = None

    def _before(self, request_id: int, run: tuple[int, int] | None, profile: Profile) -> Encoder:
        """Opens the stream and flushes data of other runs, so that data of ``run`` can be encoded; returns the encoder."""
        encoder = self._encoder
        if encoder is None:
            encoder = self._open(request_id, profile)
        if self._run is not None and self._run != run:
            self._drain(encoder)
        return encoder

    def _open(self, request_id: int, profile: Profile) -> Encoder:
        """Builds the frame that opens the stream and names its encoding; returns its encoder."""
        encoder = self._encoder = profile.encoder()
        self._encode_flushed = getattr(encoder, "encode_flushed", None)
        self._forget()
        code = self._revision.code_of("settings")
        self.ready.append(self._make(request_id, self.stream_id, self._flags[0], code, 0, self._opening))
        self.state = self._states[2] or self._states[1]
        return encoder

    def _drain(self, encoder: Encoder) -> None:
        """Builds frames from incomplete data that the context still holds."""
        if self._run is not None:
            self._wait(encoder.flush())
            run, self._run, self._raw = self._run, None, 0
            self._put_parts(run, self._cut())

    def _wait(self, encoded: bytes) -> None:
        """Keeps encoded bytes for a frame."""
        if encoded:
            self._waiting.append(encoded)
            self._have += len(encoded)

    def _cut(self) -> list[bytes]:
        """Returns the waiting bytes as payloads; all but the last have the full size."""
        encoded = self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)
        size, have = self._max_payload, self._have
        self._waiting.clear()
        self._have = 0
        if have <= size:
            return [encoded] if encoded else []
        return [encoded[start : start + size] for start in range(0, have, size)]

    def _put_parts(self, run: tuple[int, int], parts: list[bytes]) -> None:
        """Builds frames of encoded data that is not complete yet."""
        request_id, type_ = run
        more_flag, _ = self._data_types[type_]
        for part in parts:
            self._put_encoded(request_id, type_, more_flag, part, False)

    def _put_last(self, request_id: int, type_: int, flags: int, end: bool) -> None:
        """Builds frames from the waiting bytes; the last one has these flags."""
        *whole, rest = self._cut() or [b""]
        self._put_parts((request_id, type_), whole)
        self._put_encoded(request_id, type_, flags, rest, end)

    def _put_encoded(self, request_id: int, type_: int, flags: int, payload: bytes, end: bool) -> None:
        """Builds a frame with an encoded payload."""
        _, end_flag, stream_flags = self._flags
        if end:
            self._close()
            stream_flags |= end_flag
        self.ready.append(self._make(request_id, self.stream_id, stream_flags, type_, flags, payload))

    def _put_plain_data(self, request_id: int, type_: int, data: bytes | memoryview, last: bool, end: bool) -> None:
        """Builds frames of data without encoding. An empty frame is built only to signal the end of the data."""
        more_flag, last_flag = self._data_types[type_]
        size, at, stop = self._max_payload, 0, len(data)
        if stop > size:
            while stop - at > size:
                self._put_plain(request_id, type_, more_flag, bytes(data[at : at + size]), False)
                at += size
            data = data[at:]
        if last or data:
            payload = data if type(data) is bytes else bytes(data)
            self._put_plain(request_id, type_, last_flag if last else more_flag, payload, end)

    def _put_plain(self, request_id: int, type_: int, flags: int, payload: bytes, end: bool) -> None:
        """Builds a frame whose payload is not encoded."""
        stream_flags, (closed, opened, _) = 0, self._states
        if self.state is closed:
            stream_flags = self._flags[0]
            self.state = opened
        if end and not self._used:
            stream_flags |= self._flags[1]
            self._close()
        self.ready.append(self._make(request_id, self.stream_id, stream_flags, type_, flags, payload))

    def _close(self) -> None:
        self.state = self._states[0]
        self._encoder = None
        self._forget()
