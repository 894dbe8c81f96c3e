"""The streams that a reactor sends on."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hgproto.reactors.plans import messages_of
from hgproto.runtime.entries import brief
from hgproto.runtime.frame import checked_number
from hgproto.streams.output_stream import OutputStream

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from hgproto.reactors.limits import Limits
    from hgproto.reactors.plans import Plans
    from hgproto.reactors.sending import Sending
    from hgproto.runtime.frame import Frame
    from hgproto.streams.encodings import Profile

__all__ = ["Home", "Output", "Outputs"]


class Output:
    """One of a reactor's streams, and what is sent on it.

    ``unmade``: the number of sends whose last frame was not made, and is not made elsewhere. ``claimed``: the number of those
    whose frames are made elsewhere, by ``claimant``. ``ends``: sends whose last frame was made, with the number of that frame on
    the stream.
    """

    __slots__ = ("claimant", "claimed", "ends", "stream", "unmade")

    def __init__(self, stream: OutputStream) -> None:
        self.stream = stream
        self.unmade = self.claimed = 0
        self.claimant: object = None
        self.ends: deque[tuple[int, Sending]] = deque()

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
    ``error``: makes the error-response of a response that has failed; servers only. ``may_end``: False as long as no frame can be
    the last one of its stream unless a caller wants it.
    """

    __slots__ = (
        "by_id",
        "data_code",
        "error",
        "failed",
        "finished",
        "first",
        "homes",
        "is_over",
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
        self.response_code = revision.code_of("response")
        self.data_code = revision.code_of("data")
        ids = range(first, revision.ids["stream_id"], 2)
        count = checked_number("streams", count, 1, len(ids))
        size, most = limits.send_payload, limits.decoded_frame
        self.by_id = {
            stream_id: Output(
                OutputStream(stream_id, profile, max_payload=size, decoded_limit=most, flush=flush, revision=revision)
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
