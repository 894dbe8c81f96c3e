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
    """One of a reactor's streams, and what is sent on it.

    ``stream``: of a reactor with these ``limits``. ``unmade``: the number of sends whose last frame was not made, and is not made
    elsewhere. ``claimed``: the number of those whose frames are made elsewhere, by ``claimant``. ``ends``: sends whose last frame
    was made, with the number of that frame on the stream.
    """

    __slots__ = ("_codec", "_kinds", "_max_whole", "claimant", "claimed", "ends", "stream", "unmade")

    def __init__(self, stream: OutputStream, limits: Limits, codec: Codec) -> None:
        self.stream = stream
        self.unmade = self.claimed = 0
        self.claimant: object = None
        self.ends: deque[tuple[int, Sending]] = deque()
        self._codec = codec
        self._max_whole = min(limits.send_payload, codec.MAX_PAYLOAD[0])
        # Kinds of frames without stream flags, by type and flags.
        self._kinds: dict[tuple[int, int], int] = {}

    @property
    def outstanding(self) -> int:
        """The number of sends that are not over."""
        return self.unmade + self.claimed + len(self.ends)

    def take(self) -> Frame:
        """Removes the first frame from the queue and returns it; a send whose last frame this is, is over."""
        stream, ends = self.stream, self.ends
        frame = stream.ready.popleft()
        stream.taken += 1
        while ends and ends[0][0] <= stream.taken:
            ends.popleft()[1].sent()
        return frame

    def take_all(self) -> list[Frame]:
        """Removes all frames from the queue and returns them; the sends whose last frames these are, are over."""
        frames = self.stream.take_all()
        while self.ends:
            self.ends.popleft()[1].sent()
        return frames

    def take_whole(
        self, request_id: int, type_: int, flags: int, payload: bytes, make: Callable[[int, int, int, bytes], T]
    ) -> T | None:
        """Takes a frame that needs no queue; ``make`` is ``frame_of`` or ``frame_bytes`` of the codec.

        Returns None, and does nothing, if the stream has to be opened, has an encoding, or has frames that wait, and for a
        payload of several frames.
        """
        stream = self.stream
        if not stream.is_idle or len(payload) > self._max_whole:
            return None
        stream.taken += 1
        return make(self._kinds.get((type_, flags)) or self._kind(type_, flags), request_id, stream.stream_id, payload)

    def take_bytes(self, request_id: int, parts: Iterable[tuple[int, int, bytes]]) -> bytes | None:
        """Takes frames as bytes. ``parts`` has type, flags, and payload of each. Returns None where :meth:`take_whole` does."""
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
    """The streams that a reactor sends on, and all that is sent.

    ``count``: the number of streams, with ids from ``first`` on in steps of two. ``profile``, ``flush``: as of
    :class:`hgproto.OutputStream`. ``is_over``: returns True if only the asking send is left on an output, and for None, if
    the reactor will have nothing more to send. ``sent``: receives the id of a request after the last frame of its command or
    response was taken. Raises :class:`ValueError` for more streams than there are ids, and :class:`RevisionError` for a
    revision without the messages that a reactor sends.

    ``by_id``: the outputs. ``sends``: those that are not over, in the order in which they were asked for. ``only``: the
    output if there is one only. ``homes``: of requests for which a message was sent before their response,
    the stream of the first one, until the response was sent. ``finished``: the requests whose response has its last frame,
    which was not taken yet. ``failed``: True once the connection has failed, so that no send waits for a file any more.
    ``error``: makes the error-response of a response that has failed; servers only. ``encode``, ``frame_of``,
    ``frame_bytes``: of the codec. ``longest``: the most bytes of a payload. ``may_end``: False as long as no frame can be the
    last one of its stream unless a caller wants it.
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
        """The output that the reactor itself speaks on."""
        self.only = self.first if count == 1 else None

    @property
    def unmade(self) -> int:
        """The number of sends whose last frame was not made."""
        return sum(output.unmade for output in self.by_id.values())

    def choose(self, request_id: int | None, stream_id: int | None) -> Output:
        """Returns the output that is asked for, else the request's, else the one with the least to send.

        Raises :class:`ValueError` if there is no stream with this id, and :class:`TypeError` for an id that is no integer.
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
        """Returns the other outputs, without those on which frames are made elsewhere."""
        return [other for other in self.by_id.values() if other is not output and not other.claimed]


class Home:
    """The output for all that is sent for one request. The id of the request may come again, with another home."""

    __slots__ = ("output",)

    def __init__(self, output: Output) -> None:
        self.output = output
