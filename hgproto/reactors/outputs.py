"""What a reactor sends on: its output streams, and the sends whose frames were not all taken yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.reactors.events import Sending
from hgproto.revisions.framing_0002 import codec
from hgproto.runtime.entries import brief
from hgproto.runtime.frame import checked_number
from hgproto.streams.output_stream import OutputStream

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from hgproto.reactors.limits import Limits
    from hgproto.streams.encodings import Profile

__all__ = ["Outputs", "Send", "described"]


class Outputs:
    """Output streams and what is sent on them.

    ``count``: how many streams there are, from the id ``first`` on. ``profile``, ``flush``: as of
    :class:`hgproto.OutputStream`. ``is_over``: whether nothing follows on a stream but what asks. ``sent``: told of
    the request for which all was taken. Raises :class:`ValueError` for more streams than there are ids.

    ``streams``: by id. ``sends``: those that were not taken whole, in the order in which they were asked for. ``homes``: the
    streams of requests for which something was sent before their response, until that was sent too. ``finished``: the
    requests of whose response the last frame was made. ``in_hand``: the sends whose last frame has left its stream and
    waits until other streams are closed.
    """

    __slots__ = (
        "_only",
        "_outstanding",
        "_unmade",
        "finished",
        "first",
        "homes",
        "in_hand",
        "is_over",
        "sends",
        "sent",
        "streams",
    )

    def __init__(
        self,
        count: int,
        first: int,
        profile: Profile | None,
        limits: Limits,
        flush: Literal["response", "frame"],
        is_over: Callable[[OutputStream | None], bool],
        sent: Callable[[int], None],
    ) -> None:
        ids = range(first, 1 << codec.FIELD_BITS["stream_id"][0], 2)
        count = checked_number("streams", count, 1, len(ids))
        self.streams = {
            stream_id: OutputStream(
                stream_id,
                profile,
                max_payload=limits.send_payload,
                decoded_limit=limits.decoded_frame,
                flush=flush,
            )
            for stream_id in ids[:count]
        }
        self.is_over = is_over
        self.sent = sent
        self.sends: dict[Send, None] = {}
        self.homes: dict[int, int] = {}
        self.finished: set[int] = set()
        self.in_hand: set[Send] = set()
        self.first = next(iter(self.streams.values()))
        """The stream that the reactor itself speaks on."""
        self._only = self.first if count == 1 else None
        self._outstanding = dict.fromkeys(self.streams, 0)
        self._unmade = dict.fromkeys(self.streams, 0)

    def choose(self, request_id: int | None, stream_id: int | None) -> OutputStream:
        """The stream that is asked for, or the request's, or the one with the least to send. Raises :class:`ValueError`."""
        if stream_id is None:
            if self._only is not None:
                return self._only
            stream_id = self.homes.get(request_id) if request_id is not None and self.homes else None
            if stream_id is None:
                return min(self.streams.values(), key=self.outstanding)
        stream = self.streams.get(stream_id)
        if stream is None:
            known = ", ".join(map(str, self.streams))
            raise ValueError(f"there is no output stream {brief(stream_id)}; there are {known}")
        return stream

    def outstanding(self, stream: OutputStream) -> int:
        """How many sends on a stream were not taken whole."""
        return self._outstanding[stream.stream_id]

    @property
    def all_made(self) -> bool:
        """Whether no frame of any send is still to be made, or all are made elsewhere."""
        return not any(self._unmade.values())

    def unmade(self, stream: OutputStream) -> int:
        """How many sends on a stream there are whose last frame was not made, and is not made elsewhere."""
        return self._unmade[stream.stream_id]

    def is_in_use(self, stream: OutputStream) -> bool:
        """Returns True if a send has an encoded frame that the stream cannot give, or encodes on another thread."""
        return any(send.stream is stream and (send.claimed or send in self.in_hand) for send in self.sends)

    def expect(self, stream: OutputStream) -> None:
        """One more frame will come on a stream, after all sends."""
        self._unmade[stream.stream_id] += 1

    def add(self, send: Send) -> None:
        """Something is to be sent."""
        stream_id = send.stream.stream_id
        self.sends[send] = None
        self._outstanding[stream_id] += 1
        self._unmade[stream_id] += 1

    def made(self, send: Send) -> None:
        """The last frame of a send was made, or is somebody else's."""
        self._unmade[send.stream.stream_id] -= 1

    def taken(self, send: Send) -> None:
        """All frames of a send were taken."""
        del self.sends[send]
        self._outstanding[send.stream.stream_id] -= 1


class Send(Sending):
    """Frames that go on one of a reactor's streams. ``end``: the stream is closed with the last of them."""

    __slots__ = ("_end", "_outputs", "stream")

    request_id: int

    def __init__(self, outputs: Outputs, request_id: int, stream: OutputStream, *, end: bool = False) -> None:
        super().__init__(request_id, stream.stream_id)
        self.stream = stream
        self._outputs = outputs
        self._end = end
        outputs.add(self)

    def _ask_last(self) -> bool:
        return self._end or self._outputs.is_over(self.stream)

    def _was_made(self) -> None:
        self._outputs.made(self)

    def _was_sent(self) -> None:
        self._outputs.taken(self)
        self._outputs.sent(self.request_id)


def described(failure: BaseException) -> str:
    """Returns the type and the text of an exception; only the type if its text cannot be built."""
    try:
        return f"{type(failure).__name__}: {failure}"
    except Exception:  # its text cannot be built
        return type(failure).__name__
