"""Sending: frames of responses, messages, and commands, in wire order.

A :class:`Sending` builds a few frames at a time, when its caller asks for the next one. Each step puts whole frames
into the queue of a stream (:class:`hgproto.streams.output_stream.OutputStream`), and each caller receives the first
frame of that queue. So the caller receives frames in the order in which they were built. No frame is lost: if a caller
drops a send, its frames stay in the queue, and another send on the stream returns them. A send is over when its last
frame was consumed.

Frames can also be built on another thread. A queue never has frames from both places. The first claim on a stream
requires an empty queue. While there are claims on a stream, no frame is built for it here.

Each step can raise an exception of a source, of an encoder, or of a user's interrupt. So sends keep their state in
attributes and not in generators, and the next step continues from there.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from hgproto.reactors.outputs import Home
from hgproto.runtime.frame import Unique

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Literal

    from hgproto.reactors.outputs import Output, Outputs
    from hgproto.runtime.frame import Frame

__all__ = ["Batch", "GivenUpError", "Message", "Sending", "ShortWay", "described"]


class Sending(Unique):
    """Frames for one of a reactor's streams. Iterating yields them, after earlier frames of other sends on the stream.

    ``_make`` of a subclass builds the next frames. ``end``: the last of them closes the stream. The public attributes
    are those of :class:`hgproto.reactors.events.SendFrames`.

    Each kind of send is a subclass, not a set of closures: garbage collection stops all threads, and takes longer for
    more objects.
    """

    __slots__ = (
        "_closes",
        "_collects",
        "_end",
        "_first",
        "_is_made",
        "_is_making",
        "_is_unmade",
        "claimed",
        "closing",
        "failure",
        "is_sent",
        "kind",
        "output",
        "outputs",
        "request_id",
        "requirement",
    )

    failure: BaseException | None
    kind: Literal["application", "protocol"] | None
    requirement: str | None
    closing: Callable[[], list[Frame]] | None

    def __init__(self, outputs: Outputs, request_id: int, output: Output, end: bool = False) -> None:
        self.outputs = outputs
        self.request_id = request_id
        self.output = output
        self._end = end
        self.is_sent = False
        self._prepare()
        outputs.sends[self] = None
        output.unmade += 1

    def _prepare(self) -> None:
        """Sets the attributes of a new send."""
        self.failure = self.kind = self.requirement = self.closing = None
        # True if the last frame closes the stream; None until a claim decides it.
        self._closes: bool | None = None
        # Outputs whose frames are consumed before the next own frame.
        self._first: Sequence[Output] = ()
        # `_collects`: True while all frames are built before one is consumed.
        self.claimed = self._collects = self._is_making = False
        self._is_made = self.is_sent
        self._is_unmade = not self.is_sent

    @property
    def stream_id(self) -> int:
        """The stream of the frames."""
        return self.output.stream.stream_id

    @property
    def is_open(self) -> bool:
        """True if the content is still being written."""
        return False

    @property
    def failures(self) -> dict[int, BaseException]:
        """The failures by request id."""
        return {} if self.failure is None else {self.request_id: self.failure}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(request_id={self.request_id}, stream_id={self.stream_id})"

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        if self.claimed:
            raise StopIteration
        output = self.output
        if output.claimed:
            self.check_free()
        ready = output.stream.ready
        while not self.is_sent:
            for other in self._first:
                if other.stream.ready and not other.claimed:
                    return other.take()
            if ready:
                return output.take()
            if self._is_made:
                # Another send has yielded the last frame.
                self.sent()
            else:
                self._step()
        raise StopIteration

    def made_frames(self) -> list[Frame]:
        """Builds all frames that can be built now and returns them, after earlier frames of the stream.

        No frame leaves the queue before an exception. Returns an empty list if all frames were consumed already, and
        while another thread builds the frames.
        """
        try:
            self.make_all()
        except BlockingIOError:
            # The file has no bytes yet, unless an encoder has raised the exception.
            if self.failure is not None:
                raise
        return self.take_made()

    def make_all(self) -> None:
        """Builds all frames without consuming one. Raises :class:`BlockingIOError` if a file has no bytes yet."""
        if self.claimed or self.is_sent:
            return
        self.check_free()
        self._collects = True
        try:
            while not self._is_made:
                self._step()
        finally:
            self._collects = False

    def take_made(self) -> list[Frame]:
        """Removes the built frames from the queues and returns them, after earlier frames of the stream."""
        if self.claimed or self.is_sent:
            return []
        frames = (
            [frame for other in self._first if not other.claimed for frame in other.take_all()] if self._first else []
        )
        return frames + self.output.take_all()

    def to_bytes(self) -> bytes:
        """Returns the bytes of all frames; see :meth:`hgproto.reactors.events.SendFrames.to_bytes`."""
        self.make_all()
        encode, longest = self.outputs.encode, self.outputs.longest
        return b"".join([encode(frame, longest) for frame in self.take_made()])

    def check_free(self, *, last: bool = False) -> None:
        """Raises :class:`RuntimeError` if another thread builds frames that come before the next one.

        ``last``: also check the frames that come before the last one.
        """
        if self.output.claimed and not (self.claimed or self.is_sent):
            self._refuse()

    def _refuse(self) -> None:
        raise RuntimeError(
            f"frames on stream {self.stream_id} are built elsewhere, for example by a pool;"
            " consume those first, or use another stream"
        )

    def _step(self) -> None:
        if self._is_making:
            raise ValueError(
                "the source of a response or command asks for frames of the same send while they are being built"
            )
        self._is_making = True
        try:
            self._make()
        finally:
            self._is_making = False

    def _make(self) -> None:
        """Builds the next frames, and calls :meth:`_finish` after the last. It is called again after an exception."""
        raise NotImplementedError

    def _is_last(self) -> bool:
        """Returns True if the last frame closes the stream."""
        if self._closes is None:
            return self._end or self.outputs.is_over(self.output)
        return self._closes

    def _finish(self) -> None:
        """Records that the last frame was built."""
        self._is_made = True
        self._tell_made()
        stream = self.output.stream
        # A claimant calls `sent` itself.
        if stream.ready and not self.claimed:
            self.output.ends.append((stream.made, self))
        elif not self.claimed:
            self.sent()

    def give_up(self, failure: BaseException) -> None:
        """Ends the send without further frames."""
        claimed = self.claimed
        self.failure = failure
        self._is_made = True
        if not claimed:
            self.sent()

    def _tell_made(self) -> None:
        """Counts the send as built: its last frame was built, or another thread builds it."""
        if self._is_unmade:
            self._is_unmade = False
            self.output.unmade -= 1

    def sent(self) -> None:
        """Notifies the reactor that all frames were consumed."""
        if not self.is_sent:
            self._tell_made()
            if self.claimed:
                self.unclaim()
            self.is_sent = self._is_made = True
            del self.outputs.sends[self]
            self._was_sent()

    def _was_sent(self) -> None:
        """Completes the request or message after all frames were consumed."""

    # Frames that are built on another thread.

    def claim(self, claimant: object = None) -> None:
        """Hands the frames to another thread, which iterates over :meth:`claimed_frames`. Call :meth:`sent` afterwards.

        Raises :class:`RuntimeError` if the frames are claimed or consumed already. Raises it also if frames of the
        stream wait to be consumed here, or if another ``claimant`` has sends on the stream.
        """
        if self.claimed or self.is_sent:
            raise RuntimeError("the frames are claimed or consumed already")
        output, ready = self.output, self.output.stream.ready
        if output.claimed and output.claimant is not claimant:
            self._refuse()
        if ready and not output.claimed:
            raise RuntimeError(
                f"frames of request {ready[0].request_id} on stream {self.stream_id} were built here and not consumed yet;"
                " consume those first, or use another stream"
            )
        # Decided now, on the reactor's thread: the answer may change while another thread builds frames.
        if self._closes is None and not self._is_made:
            self._closes = self._is_last()
        self._tell_made()
        if self._closes:
            self._ask_closing()
        self.claimed = True
        output.claimed += 1
        output.claimant = claimant

    def _ask_closing(self) -> None:
        """Sets ``closing`` if no other frames follow on any stream."""

    def unclaim(self) -> None:
        """Withdraws a claim, so that iterating yields the remaining frames."""
        self.output.claimed -= self.claimed
        self.claimed = False

    def claimed_frames(self) -> Iterator[Frame]:
        """Returns an iterator over the remaining frames, which does not call :meth:`sent`. Call again after an exception.

        Raises :class:`RuntimeError` if the send is not claimed.
        """
        if not self.claimed:
            raise RuntimeError("the frames were not claimed")
        return self._made_elsewhere()

    def _made_elsewhere(self) -> Iterator[Frame]:
        stream = self.output.stream
        while True:
            while stream.ready:
                yield stream.take()
            if self._is_made:
                return
            self._step()


class Message(Sending):
    """A text or progress message, which comes before the end of the response."""

    __slots__ = ("_frame", "_home")

    def __init__(self, outputs: Outputs, output: Output, frame: Frame) -> None:
        super().__init__(outputs, frame.request_id, output)
        self._frame = frame
        self._home = outputs.homes.setdefault(frame.request_id, Home(output))

    def claim(self, claimant: object = None) -> None:
        """Hands the frame to another thread. Raises :class:`LocalProtocolError` after the end of the response."""
        self._check_order()
        super().claim(claimant)

    def _is_last(self) -> bool:
        # A response follows, which closes the stream.
        return False

    def _make(self) -> None:
        # A claim has checked the order already.
        if not self.claimed:
            self._check_order()
        try:
            self.output.stream.put(self._frame)
        except BaseException as error:
            self.failure = error
            raise
        finally:
            # A message is tried once. Frames that were built before an exception stay in the queue.
            self._finish()

    def _check_order(self) -> None:
        """Raises :class:`LocalProtocolError` if the last frame of the response was built already."""
        outputs, request_id = self.outputs, self.request_id
        if not self._is_made and (request_id in outputs.finished or outputs.homes.get(request_id) is not self._home):
            error = outputs.plans.too_late(request_id)
            self.give_up(error)
            raise error


class Batch(Unique):
    """Several sends. Iterating yields the frames of one send after the other."""

    __slots__ = ("_held", "_sends", "claimed", "closing", "kind", "request_id", "requirement", "stream_id")

    def __init__(self, sends: Iterable[Sending]) -> None:
        self._sends = tuple(sends)
        self._held = deque(self._sends)
        self.request_id = self.stream_id = self.closing = self.kind = self.requirement = None
        self.claimed = False

    @property
    def failure(self) -> BaseException | None:
        """The failure of the first send that has failed."""
        return next(iter(self.failures.values()), None)

    @property
    def failures(self) -> dict[int, BaseException]:
        """The failures by request id."""
        return {send.request_id: send.failure for send in self._sends if send.failure is not None}

    def __iter__(self) -> Batch:
        return self

    def __next__(self) -> Frame:
        while self._held:
            for frame in self._held[0]:
                return frame
            self._held.popleft()
        raise StopIteration

    def to_bytes(self) -> bytes:
        """Returns the bytes of all frames. Builds all frames before it consumes one, so an exception loses no frame."""
        for send in self._sends:
            send.make_all()
        return b"".join([send.outputs.encode(frame, send.outputs.longest) for send in self._sends for frame in send])

    def claim(self, claimant: object = None) -> None:
        """Raises :class:`RuntimeError`, because one thread cannot build frames for several streams."""
        raise RuntimeError("frames for several streams cannot be built on one thread")

    def unclaim(self) -> None:
        """Does nothing."""

    def claimed_frames(self) -> Iterator[Frame]:
        """Raises :class:`RuntimeError`, as :meth:`claim` does."""
        raise RuntimeError("the frames were not claimed")

    def sent(self) -> None:
        """Does nothing, because each send notifies the reactor itself."""


class _Short(Protocol):
    """A send with a fast path for its first frame."""

    is_sent: bool

    def take_short(self) -> Frame | None: ...
    def __next__(self) -> Frame: ...


class ShortWay:
    """Iterates over a send, and tries its fast path for the first frame.

    This is not a generator, which an exception would end: the next step continues with the send.
    """

    __slots__ = ("_is_tried", "_send")

    def __init__(self, send: _Short) -> None:
        self._send = send
        self._is_tried = False

    def __iter__(self) -> ShortWay:
        return self

    def __next__(self) -> Frame:
        send = self._send
        if not self._is_tried:
            self._is_tried = True
            frame = send.take_short()
            if frame is not None:
                return frame
        if send.is_sent:
            raise StopIteration
        return send.__next__()


class GivenUpError(Exception):
    """The failure of a command that its writer abandoned. The text is the reason."""


def described(failure: BaseException) -> str:
    """Returns the type and the text of an exception, or only the type if ``str()`` fails."""
    if isinstance(failure, GivenUpError):
        return str(failure)
    try:
        return f"{type(failure).__name__}: {failure}"
    except Exception:  # `str()` fails
        return type(failure).__name__
