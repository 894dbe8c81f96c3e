"""The events that reactors return. Each kind of event is a small class.

The schema declares all events. Plain values are generated (:mod:`hgproto.reactors.event_values`). This module has the
others: events with frames to send (:class:`SendFrames`, :class:`NoOp`, :class:`Error`), the singletons, and the unions.

Treat events as immutable, like every :class:`hgproto.runtime.frame.Record`. Iterating over :class:`SendFrames` consumes
it.
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
    """Nothing is to be sent now, because the reactor holds the frames back. ``request_id``: the request of these frames.

    Iterating yields no frames, so callers can treat it like :class:`SendFrames`.
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
        """Returns ``b""``."""
        return b""


NO_OP = NoOp()


class SendFrames(Unique):
    """Frames to send. Iterating builds and yields them; after the last one, the reactor knows that they were sent.

    Frames that were built earlier for the same stream come first, even if they belong to other requests, so write every
    frame to the connection. If a file has no bytes yet, :class:`BlockingIOError` is raised to the caller that iterates.
    That is not a failure: wait until the file can be read, and continue to iterate.

    A reactor can reuse a request id only after all frames of its response were yielded, so consume all of them. Consume
    the sends of one request in the order of the calls; sends of different requests may be interleaved. To build frames
    on another thread, call :meth:`claim` first and :meth:`sent` afterwards, both on the reactor's thread, and iterate
    over :meth:`claimed_frames` on the other thread.

    ``request_id``: the request of the frames, None for several. ``stream_id``: the stream of the frames. ``failure``:
    the first exception that the source of the content raised, or None. For an :class:`Exception`, iterating does not
    raise it; any other, such as :class:`KeyboardInterrupt`, is raised. In both cases, the frames that are still to be
    sent, such as an error-response, follow when iterating continues. ``claimed``: True if another thread builds the
    frames. ``closing``: set once claimed; a function that returns the frames that close the other streams, or None.
    Write these frames after everything else that is outstanding and before the frames of this send. ``kind`` and
    ``requirement``: the flag and the violated requirement of an error-response that the reactor built itself.
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

        No frame is consumed before all are built. After an exception, for example :class:`BlockingIOError` of a file
        without bytes, no frame is lost, and another call returns all of them. Returns ``b""`` if all frames were
        consumed already, and while they are claimed.
        """
        return self._sending.to_bytes()

    @property
    def request_id(self) -> int | None:
        """The request of the frames, None for several requests."""
        return self._sending.request_id

    @property
    def stream_id(self) -> int | None:
        """The stream of the frames, None for several streams."""
        return self._sending.stream_id

    @property
    def failure(self) -> BaseException | None:
        """The first exception that the source of the content raised, or None."""
        return self._sending.failure

    @property
    def claimed(self) -> bool:
        """True if another thread builds the frames."""
        return self._sending.claimed

    @property
    def closing(self) -> Callable[[], Iterable[Frame]] | None:
        """A function that returns the frames that close the other streams; None if no stream is to be closed."""
        return self._sending.closing

    @property
    def kind(self) -> Literal["application", "protocol"] | None:
        """The flag of an error-response that the reactor built itself; None for all other frames."""
        return self._sending.kind

    @property
    def requirement(self) -> str | None:
        """The violated requirement of an error-response that the reactor built itself; None for all other frames."""
        return self._sending.requirement

    @property
    def failures(self) -> dict[int, BaseException]:
        """The failures by request id. Only the frames of a flush can have several."""
        return self._sending.failures

    def claim(self, claimant: object = None) -> None:
        """Hands the frames to another thread, which iterates over :meth:`claimed_frames`. Call :meth:`sent` afterwards.

        Raises :class:`RuntimeError` if the frames are claimed or consumed already. Raises it also if frames of the
        stream wait to be consumed here, or if another ``claimant`` has sends on the stream.
        """
        self._sending.claim(claimant)

    def unclaim(self) -> None:
        """Withdraws a claim, so that iterating yields the frames again. Allowed if no frame was built on the other thread."""
        self._sending.unclaim()

    def claimed_frames(self) -> Iterator[Frame]:
        """Returns an iterator over the remaining frames, which does not call :meth:`sent`. Call again after an exception."""
        return self._sending.claimed_frames()

    def sent(self) -> None:
        """Notifies the reactor that all frames were consumed."""
        self._sending.sent()


class Error(Record):
    """The peer violated a requirement, and the connection has failed: send the frames, if any, and close it.

    ``error``: the requirement and the place; the offset counts from the start of the input. ``frame``: the frame that
    violates it, or None if it is incomplete. ``frames``: an iterator over the frames to send before closing. It yields
    the responses that can be completed now, and then the error. It does not wait for a file without bytes. Comparison
    and ``repr()`` ignore it.
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
        # Exceptions compare by identity, so their contents are compared instead. Iterators are ignored.
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
