"""What reactors tell, and what they ask to be done: small values with a class each.

The schema declares all of them. Those that are plain values are generated (:mod:`hgproto.reactors.event_values`). Here are
those that bring frames to send (:class:`SendFrames`, :class:`NoOp`, :class:`Error`), the values that there is only one of, and
the unions.

Treat them as immutable, like every :class:`hgproto.runtime.frame.Record`. Iterating over :class:`SendFrames` uses it up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.errors import repr_of
from hgproto.reactors.event_values import (
    CommandCut,
    CommandData,
    PeerError,
    ProgressUpdate,
    RequestError,
    ResponseData,
    RunCommand,
    StartCommand,
    StreamLeftOpen,
    TextMessage,
    WantFrame,
)
from hgproto.runtime.frame import Record, Unique

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Literal, Self

    from hgproto.errors import RemoteProtocolError
    from hgproto.reactors.sending import Batch, Sending
    from hgproto.runtime.frame import Frame

__all__ = [
    "NO_OP",
    "WANT_FRAME",
    "ClientEvent",
    "CommandCut",
    "CommandData",
    "Error",
    "Event",
    "NoOp",
    "PeerError",
    "ProgressUpdate",
    "RequestError",
    "ResponseData",
    "RunCommand",
    "SendFrames",
    "ServerEvent",
    "StartCommand",
    "StreamLeftOpen",
    "TextMessage",
    "WantFrame",
]


WANT_FRAME = WantFrame()


class NoOp(Record):
    """There is nothing to do now: what was asked for is held back. ``request_id``: what it belongs to.

    Iterating gives no frames, so that whoever sends what a reactor gives need not ask which it is.
    """

    __slots__ = ("request_id",)

    request_id: int | None

    def __init__(self, request_id: int | None = None) -> None:
        self.request_id = request_id

    if TYPE_CHECKING:

        def replace(self, *, request_id: int | None = ...) -> Self: ...  # noqa: D102

    def __iter__(self) -> Iterator[Frame]:
        return iter(())

    def to_bytes(self) -> bytes:
        """Returns ``b""``: there are no frames."""
        return b""


NO_OP = NoOp()


class SendFrames(Unique):
    """Frames to send. Iterating gives them, made some at a time as they are taken; the last one tells the reactor.

    Frames that were made earlier for the same stream come first, whatever they belong to, so put every frame on the wire.

    If a file has nothing yet, :class:`BlockingIOError` is raised to the caller that takes the frames. That is no failure:
    wait until the file can be read, and go on taking frames.

    A reactor can only give back a request id once the frames of its response were taken, so take them all, and those of
    one request in the order in which they were asked for; sends of several requests may be taken in turns. Whoever has
    frames made on another thread than the reactor's calls :meth:`claim` first and :meth:`sent` afterwards, both on the
    reactor's, and takes :meth:`claimed_frames` on the other.

    ``request_id``: the request that they belong to, None for several. ``stream_id``: the stream that they are on.
    ``failure``: the exception that the source of the content raised first; None without one. Iterating ends as if nothing
    had happened where that is an :class:`Exception`, and raises any other, such as :class:`KeyboardInterrupt`. Either
    way, the frames that are still to be sent, such as an error-response, are there when iterating goes on. ``claimed``:
    somebody makes the frames elsewhere. ``closing``: once claimed, what makes the frames that close other streams, which
    go on the wire after all else that is outstanding and before these; None where there is nothing to close.
    ``kind`` and ``requirement``: the flag and the violated requirement of an error-response that the reactor made itself.
    """

    __slots__ = ("_sending",)

    def __init__(self, sending: Sending | Batch) -> None:
        self._sending = sending

    def __repr__(self) -> str:
        return f"SendFrames(request_id={self.request_id}, stream_id={self.stream_id})"

    def __iter__(self) -> Iterator[Frame]:
        return self._sending.__iter__()

    def __next__(self) -> Frame:
        return next(self._sending)

    def to_bytes(self) -> bytes:
        """Returns the bytes of all frames, for a transport. Iterate instead if the content may not fit into memory.

        No frame is taken before all are made. After an exception, for example :class:`BlockingIOError` of a file that has no
        bytes yet, no frame is lost, and another call returns all of them. Returns ``b""`` once all frames were taken, and
        while they are claimed.
        """
        return self._sending.to_bytes()

    @property
    def request_id(self) -> int | None:
        """The request that the frames belong to, None for several."""
        return self._sending.request_id

    @property
    def stream_id(self) -> int | None:
        """The stream that the frames are on."""
        return self._sending.stream_id

    @property
    def failure(self) -> BaseException | None:
        """The exception that the source of the content raised first."""
        return self._sending.failure

    @property
    def claimed(self) -> bool:
        """True if the frames are made elsewhere."""
        return self._sending.claimed

    @property
    def closing(self) -> Callable[[], Iterable[Frame]] | None:
        """The frames that close other streams, before these."""
        return self._sending.closing

    @property
    def kind(self) -> Literal["application", "protocol"] | None:
        """The flag of an error-response that the reactor made itself; None for all other frames."""
        return self._sending.kind

    @property
    def requirement(self) -> str | None:
        """The requirement behind an error of the reactor's own making."""
        return self._sending.requirement

    @property
    def failures(self) -> dict[int, BaseException]:
        """The failures by request id: of several requests for a flush, else of one at most."""
        return self._sending.failures

    def claim(self, claimant: object = None) -> None:
        """Somebody makes the frames elsewhere: they are :meth:`claimed_frames` there, and :meth:`sent` is called here.

        Raises :class:`RuntimeError` if that was done before, or all frames were taken, and if the stream has frames that were
        made here and not taken, or sends that another ``claimant`` makes.
        """
        self._sending.claim(claimant)

    def unclaim(self) -> None:
        """Takes a claim back, when no frame was made elsewhere: the frames are taken here again."""
        self._sending.unclaim()

    def claimed_frames(self) -> Iterator[Frame]:
        """Returns the frames that are left, without telling the reactor; after an exception, those still to be sent."""
        return self._sending.claimed_frames()

    def sent(self) -> None:
        """Tells the reactor that all frames were taken."""
        self._sending.sent()


class Error(Record):
    """The peer broke a rule, and the connection is of no more use: send the frames, if any, and close it.

    ``error``: the rule, and where; offsets from the start of the input. ``frame``: the frame that broke it, None where
    there was no whole one. ``frames``: an iterator over what to send before closing, which is not compared or shown. It has
    the responses that can be completed now, and then the error. It does not wait for a file that has nothing yet.
    """

    __slots__ = ("error", "frame", "frames")

    error: RemoteProtocolError
    frame: Frame | None
    frames: Iterator[Frame]

    def __init__(self, error: RemoteProtocolError, frame: Frame | None, frames: Iterable[Frame] = ()) -> None:
        self.error = error
        self.frame = frame
        self.frames = iter(frames)

    if TYPE_CHECKING:

        def replace(  # noqa: D102
            self,
            *,
            error: RemoteProtocolError = ...,
            frame: Frame | None = ...,
            frames: Iterable[Frame] = ...,
        ) -> Self: ...

    def _value(self) -> tuple[Any, ...]:
        # Exceptions are compared by identity, and so are iterators, which stand for a connection besides.
        return type(self), type(self.error), self.error.args, self.frame

    def __eq__(self, other: object) -> bool:
        return self._value() == other._value() if isinstance(other, Error) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value())

    def __repr__(self) -> str:
        return f"{type(self).__name__}(error={repr_of(self.error)}, frame={repr_of(self.frame)})"


ServerEvent = (
    RunCommand | StartCommand | CommandData | CommandCut | WantFrame | SendFrames | NoOp | Error | StreamLeftOpen
)
"""Any event that a server's reactor returns."""
ClientEvent = ResponseData | TextMessage | ProgressUpdate | RequestError | PeerError | Error | StreamLeftOpen
"""Any event that a client's reactor returns."""
Event = ServerEvent | ClientEvent
"""Any event that a reactor returns."""
