"""The streams that a reactor sends on."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeVar

from hgproto.reactors.plans import messages_of
from hgproto.runtime.frame import checked_number
from hgproto.runtime.shapes import brief
from hgproto.streams.output_stream import OutputStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Literal

    from hgproto.reactors.limits import Limits
    from hgproto.reactors.plans import Plans
    from hgproto.reactors.sending import Sending
    from hgproto.runtime.definition import Codec
    from hgproto.runtime.frame import Frame
    from hgproto.streams.encodings import Profile

T = TypeVar("T")

__all__ = ["Home", "Output", "Outputs"]


class Output:
    """One of the streams that a reactor sends on, and its sends.

    ``unmade``: the number of sends whose last frame is neither built nor claimed by another thread. ``claimed``: the
    number of sends whose frames are built on another thread, by ``claimant``. ``ends``: the sends whose last frame was
    built, each with the number of that frame on the stream.
    """

    __slots__ = ("_codec", "_kinds", "_max_whole", "claimant", "claimed", "ends", "stream", "unmade")

    def __init__(self, stream: OutputStream, limits: Limits, codec: Codec) -> None:
        self.stream = stream
        self.unmade = self.claimed = 0
        self.claimant: object = None
        self.ends: deque[tuple[int, Sending]] = deque()
        self._codec = codec
        self._max_whole = min(limits.send_payload, codec.MAX_PAYLOAD[0])
        # The kinds of frames without stream flags, by type and flags.
        self._kinds: dict[tuple[int, int], int] = {}

    @property
    def outstanding(self) -> int:
        """The number of sends that are not over."""
        return self.unmade + self.claimed + len(self.ends)

    def take(self) -> Frame:
        """Removes the first frame from the queue and returns it. Ends a send if this is its last frame."""
        stream, ends = self.stream, self.ends
        frame = stream.ready.popleft()
        stream.taken += 1
        while ends and ends[0][0] <= stream.taken:
            ends.popleft()[1].sent()
        return frame

    def take_all(self) -> list[Frame]:
        """Removes all frames from the queue and returns them. Ends their sends."""
        frames = self.stream.take_all()
        while self.ends:
            self.ends.popleft()[1].sent()
        return frames

    def take_whole(
        self, request_id: int, type_: int, flags: int, payload: bytes, make: Callable[[int, int, int, bytes], T]
    ) -> T | None:
        """Returns a frame without using the queue. ``make``: ``frame_of`` or ``frame_bytes`` of the codec.

        Returns None and does nothing if the stream must be opened first, has an encoding, or has waiting frames.
        Returns None also for a payload that needs several frames.
        """
        stream = self.stream
        if not stream.is_idle or len(payload) > self._max_whole:
            return None
        stream.taken += 1
        return make(self._kinds.get((type_, flags)) or self._kind(type_, flags), request_id, stream.stream_id, payload)

    def take_bytes(self, request_id: int, parts: Iterable[tuple[int, int, bytes]]) -> bytes | None:
        """Returns the bytes of several frames without using the queue, or None as :meth:`take_whole` does.

        ``parts``: type, flags, and payload of each frame.
        """
        stream, kinds, most, frame_bytes = self.stream, self._kinds, self._max_whole, self._codec.frame_bytes
        if not stream.is_idle:
            return None
        stream_id, frames = stream.stream_id, []
        for type_, flags, payload in parts:
            if len(payload) > most:
                return None
            kind = kinds.get((type_, flags)) or self._kind(type_, flags)
            frames.append(frame_bytes(kind, request_id, stream_id, payload))
        stream.taken += len(frames)
        return b"".join(frames)

    def _kind(self, type_: int, flags: int) -> int:
        frame = self._codec.make_frame(0, self.stream.stream_id, 0, type_, flags, b"")
        kind = self._kinds[type_, flags] = self._codec.kind_of(frame)
        return kind


class Outputs:
    """The sending side of a reactor: its output streams and the sends that are still pending.

    ``count``: the number of streams, whose ids start at ``first``, in steps of two. ``profile``, ``flush``: as for
    :class:`hgproto.OutputStream`. ``is_over``: returns True if an output has no send left except the one that asks, or
    for None, if the reactor will send nothing more. ``sent``: receives the id of a request after the last frame of its
    command or response was consumed. Raises :class:`ValueError` for more streams than ids, and :class:`RevisionError`
    for a revision without the messages that a reactor sends.

    ``by_id``: the outputs. ``sends``: those that are not over, in the order of the calls. ``only``: the output if there
    is exactly one. ``homes``: for requests with a message before their response, the output of the first message, until
    the response was sent. ``finished``: the requests whose last response frame was built but not consumed. ``failed``:
    True once the connection has failed, so that no send waits for a file. ``error``: builds the error-response of a
    response that has failed; servers only. ``encode``, ``frame_of``, ``frame_bytes``: functions of the codec.
    ``longest``: the most bytes of a payload. ``may_end``: False while only the ``end`` argument of a caller can close a
    stream.
    """

    __slots__ = (
        "by_id",
        "data_code",
        "encode",
        "error",
        "failed",
        "finished",
        "first",
        "frame_bytes",
        "frame_of",
        "homes",
        "is_over",
        "last_flag",
        "longest",
        "may_end",
        "messages",
        "only",
        "plans",
        "response_code",
        "sends",
        "sent",
    )

    def __init__(
        self,
        count: int,
        first: int,
        profile: Profile | None,
        limits: Limits,
        flush: Literal["response", "frame"],
        is_over: Callable[[Output | None], bool],
        sent: Callable[[int], None],
        plans: Plans,
    ) -> None:
        self.plans, revision = plans, plans.revision
        self.messages = messages_of(revision)
        codec = revision.codec
        self.encode, self.frame_of, self.frame_bytes = codec.encode_frame, codec.frame_of, codec.frame_bytes
        self.longest = max(codec.MAX_PAYLOAD[0], limits.send_payload)
        self.response_code = revision.code_of("response")
        self.last_flag = revision.data_types[self.response_code][1]
        self.data_code = revision.code_of("data")
        ids = range(first, revision.ids["stream_id"], 2)
        count = checked_number("streams", count, 1, len(ids))
        size, most = limits.send_payload, limits.decoded_frame
        self.by_id = {
            stream_id: Output(
                OutputStream(stream_id, profile, max_payload=size, decoded_limit=most, flush=flush, revision=revision),
                limits,
                codec,
            )
            for stream_id in ids[:count]
        }
        self.error: Callable[[int, OutputStream, BaseException | None], Frame]
        self.is_over = is_over
        self.sent = sent
        self.sends: dict[Sending, None] = {}
        self.homes: dict[int, Home] = {}
        self.finished: set[int] = set()
        self.failed = self.may_end = False
        self.first = next(iter(self.by_id.values()))
        """The output for the reactor's own messages."""
        self.only = self.first if count == 1 else None

    @property
    def unmade(self) -> int:
        """The number of sends whose last frame was not built."""
        return sum(output.unmade for output in self.by_id.values())

    def choose(self, request_id: int | None, stream_id: int | None) -> Output:
        """Returns the requested output, or else that of the request, or else the one with the fewest pending sends.

        Raises :class:`ValueError` for an unknown stream, and :class:`TypeError` for an id that is not an integer.
        """
        if stream_id is None:
            if self.only is not None:
                return self.only
            home = self.homes.get(request_id) if request_id is not None and self.homes else None
            if home is not None:
                return home.output
            return min(self.by_id.values(), key=lambda output: output.outstanding)
        output = self.by_id.get(stream_id if type(stream_id) is int else checked_number("stream_id", stream_id, 0))
        if output is None:
            known = ", ".join(map(str, self.by_id))
            raise ValueError(f"there is no output stream {brief(stream_id)}; there are {known}")
        return output

    def others(self, output: Output | None) -> list[Output]:
        """Returns the other outputs, without those whose frames are built on another thread."""
        return [other for other in self.by_id.values() if other is not output and not other.claimed]


class Home:
    """The output for all messages of one request. A later request with the same id has another home."""

    __slots__ = ("output",)

    def __init__(self, output: Output) -> None:
        self.output = output
