"""What a reactor sends on: its output streams, and the sends whose frames were not all taken yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.events import SendFrames
from hgproto.framing_0002 import codec
from hgproto.ids import Ids
from hgproto.streams import OutputStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hgproto.encodings import Profile
    from hgproto.frame import Frame
    from hgproto.limits import Limits

__all__ = ["Outputs"]


class Outputs:
    """Output streams and what is sent on them.

    ``count``: how many streams there are, from the id ``first`` on. ``profile``, ``flush``: as of
    :class:`hgproto.streams.OutputStream`. ``streams``: by id. ``sends``: those that were not taken whole, in the order in
    which they were asked for. Raises :class:`ValueError` for more streams than there are ids.
    """

    __slots__ = ("_outstanding", "_unmade", "sends", "streams")

    def __init__(self, count: int, first: int, profile: Profile | None, limits: Limits, flush: str) -> None:
        ids = Ids(first, 1 << codec.FIELD_BITS["stream_id"][0], "stream-id.parity")
        if not 1 <= count <= len(ids):
            raise ValueError(f"streams must be 1 to {len(ids)}, not {count}")
        self.streams = {
            stream_id: OutputStream(
                stream_id,
                profile,
                max_payload=limits.send_payload,
                decoded_limit=limits.decoded_frame,
                flush=flush,
            )
            for stream_id in (ids.take(()) for _ in range(count))
        }
        self.sends: dict[SendFrames, None] = {}
        self._outstanding = dict.fromkeys(self.streams, 0)
        self._unmade = dict.fromkeys(self.streams, 0)

    @property
    def first(self) -> OutputStream:
        """The stream that the reactor itself speaks on."""
        return next(iter(self.streams.values()))

    def choose(self, stream_id: int | None) -> OutputStream:
        """The stream that is asked for, or the one with the least to send. Raises :class:`ValueError`."""
        if stream_id is None:
            return min(self.streams.values(), key=self.outstanding)
        if stream_id not in self.streams:
            raise ValueError(f"there is no output stream {stream_id}; there are {', '.join(map(str, self.streams))}")
        return self.streams[stream_id]

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

    def expect(self, stream: OutputStream) -> None:
        """One more frame will come on a stream, after all sends."""
        self._unmade[stream.stream_id] += 1

    def send(
        self,
        request_id: int | None,
        stream: OutputStream,
        make: Callable[[SendFrames], Iterator[Frame]],
        is_last: Callable[[OutputStream], bool],
        sent: Callable[[], None] | None = None,
        closing: Callable[[], Callable[[], Iterator[Frame]] | None] | None = None,
    ) -> SendFrames:
        """Frames that are made when they are taken. ``is_last``: whether nothing follows on the stream.

        ``sent``: what is done once all were taken. ``closing``: gives what closes other streams, if that is to be done.
        """
        stream_id = stream.stream_id

        def made() -> None:
            self._unmade[stream_id] -= 1

        def done(send: SendFrames) -> None:
            del self.sends[send]
            self._outstanding[stream_id] -= 1
            if sent is not None:
                sent()

        send = SendFrames(request_id, stream_id, make, done, made, lambda: is_last(stream), closing)
        self.sends[send] = None
        self._outstanding[stream_id] += 1
        self._unmade[stream_id] += 1
        return send
