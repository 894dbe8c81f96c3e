"""Thread pools that encode and decode streams in parallel, which is the purpose of streams.

Each stream has its own compression context, so several streams can be encoded and decoded at the same time. The thread
of the reactor only does I/O and headers. :class:`EncodingPool` builds the frames of sends, those of one stream in
order. :class:`DecodingPool` decodes payloads and passes them to a reactor in wire order. zlib and Zstandard release the
interpreter lock while they work, so threads are enough.

Invariants: two threads never work on the same stream at the same time; the frames of a stream are returned in the order
of its sends; only the thread that calls the pool uses the reactor.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from hgproto.errors import DecodingError, RemoteProtocolError
from hgproto.reactors.events import NoOp, SendFrames
from hgproto.reactors.lanes import Lane
from hgproto.runtime.bytelike import as_bytes
from hgproto.runtime.frame import Unique, check_instance, check_revision, checked_number
from hgproto.streams.decoders import decoder_failure, new_decoder
from hgproto.wire.reader import FrameReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor
    from types import TracebackType
    from typing import Self

    from hgproto.reactors.reactor import Reactor
    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.frame import Frame
    from hgproto.streams.encodings import Decoder

__all__ = ["DecodingPool", "EncodingPool"]

Work = TypeVar("Work")
EventT = TypeVar("EventT")

ATTEMPTS = 4
"""The most calls for the frames of a send. The content, its error message, and the encoder can each fail once."""


class _Pool(Unique, Generic[Work]):
    """Threads and one lane per stream."""

    def __init__(self, workers: int | None, executor: Executor | None) -> None:
        if executor is not None and not hasattr(executor, "submit"):
            raise TypeError(f"executor must be an Executor, not {type(executor).__name__}")
        if workers is not None:
            workers = checked_number("workers", workers, 1)
        self._own = executor is None
        self._executor = executor or ThreadPoolExecutor(workers, thread_name_prefix="hgproto-stream")
        self._lanes: dict[int, Lane[Work]] = {}
        self._closed = False

    def _lane(self, stream_id: int) -> Lane[Work]:
        if stream_id not in self._lanes:
            self._lanes[stream_id] = Lane(self._executor, self._run, self._lost)
        return self._lanes[stream_id]

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the pool is closed and accepts no more work; create a new pool")

    def _run(self, batch: list[Work]) -> bool:
        """Does some work of a stream, on a thread of the pool. Returns False to pause the stream."""
        raise NotImplementedError

    def _lost(self, dropped: list[Work], error: BaseException) -> None:
        """Handles work of a stream that the executor has dropped. Any thread may call it."""
        raise NotImplementedError

    def close(self) -> None:
        """Closes the pool for new work. Waits until the pool's own threads have done all submitted work and have ended.

        The results of that work stay available. Closing a pool again does nothing.
        """
        self._closed = True
        if self._own:
            self._executor.shutdown(wait=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _Made(NamedTuple):
    """The frames of a send, and the exception that was raised while they were built.

    ``ends``: True if the last frame is included; otherwise, the send itself yields the rest.
    """

    send: SendFrames
    frames: list[Frame]
    failure: BaseException | None
    ends: bool


class _Pause(NamedTuple):
    """Sends of one stream that wait because a file of the first one has no bytes yet."""

    lane: Lane[SendFrames]
    sends: list[SendFrames]
    error: BlockingIOError


class EncodingPool(_Pool["SendFrames"]):
    """Builds the frames of sends on threads, for one writer.

    ``workers``: the number of threads, as for :class:`concurrent.futures.ThreadPoolExecutor`; ``executor``: an existing
    executor to use instead.

    Call ``pool.submit(server.respond(...))`` for each response, and write the frames that :meth:`finished` yields. Use
    as many streams on the server as compression contexts are wanted. A deferring server returns its sends when the
    input has ended, so submit the events of ``receive_end`` then. Chunks of a response are requested on the stream's
    thread.

    Submit the sends of a stream in the order of the calls. A stream pauses while a non-blocking file has no bytes; the
    others continue. If the reactor returns an :class:`hgproto.reactors.events.Error`, write all outstanding frames
    before its frames, which are built on the caller's thread.
    """

    def __init__(self, workers: int | None = None, executor: Executor | None = None) -> None:
        super().__init__(workers, executor)
        self._done: SimpleQueue[list[_Made | _Pause]] = SimpleQueue()
        self._ready: deque[_Made | _Pause] = deque()
        self._held: list[_Made] = []
        self._last: deque[_Made] = deque()
        self._pauses: list[_Pause] = []
        # The frames of sends that were built before a pause.
        self._begun: dict[SendFrames, list[Frame]] = {}
        self._failure: BaseException | None = None
        self._outstanding = 0

    @property
    def outstanding(self) -> int:
        """The number of submitted sends whose frames were not returned yet."""
        return self._outstanding

    def submit(self, send: SendFrames | NoOp) -> None:
        """Submits a send, whose frames are built on a thread. Ignores a :class:`NoOp`, which has no frames.

        Raises :class:`RuntimeError` if the pool or its executor was shut down; the send can then be used without the
        pool. Raises it also if other frames of the stream wait to be consumed outside of the pool: consume those first.
        Raises :class:`LocalProtocolError` for a message after the response to its request; the message is not sent.
        """
        self._check_open()
        if isinstance(send, NoOp):
            return
        check_instance(send, SendFrames, "send")
        if send.stream_id is None:
            raise ValueError("frames for several streams cannot be built on one thread")
        send.claim(self)
        try:
            self._lane(send.stream_id).add(send)
        except BaseException:
            send.unclaim()
            raise
        self._outstanding += 1

    def _run(self, batch: list[SendFrames]) -> bool:
        results: list[_Made | _Pause] = []
        for index, send in enumerate(batch):
            made = self._begun.pop(send, [])
            failure: BaseException | None = None
            ends = False
            # After a failure, the end of the response is still to be built.
            for _ in range(ATTEMPTS):
                try:
                    made.extend(send.claimed_frames())
                except BaseException as error:  # raised later, to the caller of `finished`
                    if isinstance(error, BlockingIOError) and send.failure is None:
                        # The following sends of the stream stay behind this one.
                        self._begun[send] = made
                        self._done.put([*results, _Pause(self._lane(send.stream_id or 0), batch[index:], error)])
                        return False
                    failure = failure or error
                else:
                    ends = True
                    break
            results.append(_Made(send, made, failure, ends))
        self._done.put(results)
        return True

    def _lost(self, dropped: list[SendFrames], error: BaseException) -> None:
        self._done.put([_Made(send, self._begun.pop(send, []), error, False) for send in dropped])

    def finished(self, *, wait: bool = True) -> Iterator[list[Frame]]:
        """Yields the frames of each send once all of them are built. Without ``wait``, yields only those that are ready now.

        An exception from building frames is raised here after the frames of that send, which include its
        error-response. If an executor has dropped a send, ``CancelledError`` or the error of the executor is raised,
        and the send itself yields the remaining frames. :class:`BlockingIOError` is raised if only paused streams
        remain, whose files have no bytes yet. Call again for the rest.
        """
        pauses, self._pauses = self._pauses, []
        for pause in pauses:
            pause.lane.resume(pause.sends)
        while True:
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            if self._last:
                yield from self._give(self._last.popleft())
                continue
            if not self._ready:
                if self._held and len(self._held) == self._outstanding:
                    yield from self._release()
                    continue
                if self._is_stalled():
                    raise self._pauses[0].error
                if not self._outstanding or (not wait and self._done.empty()):
                    return
                self._ready.extend(self._done.get())
            made = self._ready.popleft()
            if isinstance(made, _Pause):
                self._pauses.append(made)
            elif made.send.closing is None or not made.ends:
                yield from self._give(made)
            else:
                self._held.append(made)

    def _is_stalled(self) -> bool:
        """Returns True if all outstanding sends wait for paused streams."""
        waiting = sum(len(pause.sends) + pause.lane.waiting for pause in self._pauses)
        return bool(self._pauses) and waiting + len(self._held) == self._outstanding

    def _release(self) -> Iterator[list[Frame]]:
        """Yields the frames that close the other streams. Queues the sends that were held back for them."""
        closing = self._held[0].send.closing
        # An interrupt in an encoder may leave this call; `finished` then calls it again.
        frames = list(closing()) if closing is not None else []
        self._last.extend(self._held)
        self._held = []
        if frames:
            yield frames

    def _give(self, made: _Made) -> Iterator[list[Frame]]:
        """Yields the frames of a send. All bookkeeping comes before, because the caller may stop iterating."""
        self._outstanding -= 1
        self._failure = made.failure
        if made.ends:
            made.send.sent()
        else:
            made.send.unclaim()
        if made.frames:
            yield made.frames


class _Context:
    """A stream's decoder. It is not used again after ``error``."""

    __slots__ = ("decoder", "error")

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder
        self.error: DecodingError | None = None


class DecodingPool(_Pool["tuple[_Context, Frame, Future[Any]]"], Generic[EventT]):
    """Decodes payloads on threads, and passes them to a reactor in wire order.

    Call its methods instead of those of the ``reactor``. ``ahead``: the most frames that wait for their turn, each of
    at most the reactor's limit ``decoded_frame``; a call with more frames blocks until the first one is decoded. As
    with a reactor, the events of a call hold the decoded payloads of all its frames, so smaller calls need less memory.
    """

    def __init__(
        self,
        reactor: Reactor[EventT],
        *,
        workers: int | None = None,
        executor: Executor | None = None,
        ahead: int = 64,
    ) -> None:
        super().__init__(workers, executor)
        if not hasattr(reactor, "receive_frame"):
            raise TypeError(f"reactor must be a Server or a Client, not {type(reactor).__name__}")
        self._reactor = reactor
        self._limit = reactor.limits.decoded_frame
        self._revision = reactor.revision
        self._reader = self._new_reader()
        if reactor.works:
            self._reader.feed(reactor.hand_over())
        self._contexts: dict[int, _Context] = {}
        self._ahead = checked_number("ahead", ahead, 0)
        # Attributes, so that nothing is lost if an exception ends a call that waits: frames that wait for their turn,
        # frames that were only read, the error after these, and events that were not returned yet.
        self._waiting: deque[tuple[Frame, Future[Any] | None]] = deque()
        self._unread: deque[Frame] = deque()
        self._fault: RemoteProtocolError | None = None
        self._events: list[EventT] = []

    def _new_reader(self) -> FrameReader:
        return FrameReader(max_payload=self._reactor.limits.max_payload, codec=self._revision.codec)

    def receive_data(self, data: BytesLike) -> list[EventT]:
        """Receives bytes and returns the events of the frames whose turn has come. Raises :class:`TypeError` for other types.

        If an exception such as :class:`KeyboardInterrupt` is raised while this waits for a thread, nothing is lost: the
        bytes were received, and the next call continues. The same holds for :meth:`receive_frame` and
        :meth:`receive_end`.
        """
        self._check_open()
        data = as_bytes(data)
        if self._is_over():
            # The reactor parses the bytes from now on, so it must start at the beginning of a frame.
            rest, self._reader = self._reader.rest, self._new_reader()
            return self._told(self._reactor.receive_data(rest + data))
        # Collects events that do not need a frame, such as the failure of a request.
        self._events += self._reactor.receive_data(b"")
        if self._fault is None:
            try:
                self._unread += self._reader.feed(data)
            except RemoteProtocolError as error:
                self._unread += error.frames
                error.frames = ()
                self._fault = error
        return self._proceed()

    def receive_frame(self, frame: Frame) -> list[EventT]:
        """Receives a frame and returns the events of the frames whose turn has come. Raises as the reactor's method does."""
        self._check_open()
        if self._is_over():
            return self._told(self._reactor.receive_frame(frame))
        codec = self._revision.codec
        check_revision(frame, codec)
        codec.encode_header(frame, codec.MAX_PAYLOAD[1])
        if type(frame.payload) is not bytes:
            # The owner of a mutable buffer may change it while the frame waits.
            frame = frame.replace(payload=as_bytes(frame.payload))
        self._unread.append(frame)
        return self._proceed()

    def receive_end(self) -> list[EventT]:
        """Receives the end of input, after all waiting frames, and returns their events."""
        self._events = self._proceed(to_end=True)
        if not self._is_over():
            try:
                self._reader.close()
            except RemoteProtocolError as error:
                return self._told(self._reactor.receive_fault(error.moved(-self._reader.position)))
        return self._told(self._reactor.receive_end())

    def _is_over(self) -> bool:
        """True once the reactor accepts no more frames: the connection has failed, or the input has ended."""
        return self._reactor.ended or not self._reactor.works

    def _told(self, events: list[EventT]) -> list[EventT]:
        """Returns the events that were kept, followed by ``events``."""
        kept, self._events = self._events, []
        return kept + events

    def _proceed(self, *, to_end: bool = False) -> list[EventT]:
        """Passes the frames whose turn has come to the reactor, or all of them, and returns all events.

        A framing error comes after all frames, unless one of these has violated a requirement.
        """
        waiting, unread = self._waiting, self._unread
        while not self._is_over():
            is_due = not unread and (to_end or self._fault is not None)
            if waiting and (is_due or len(waiting) > self._ahead or _is_ready(waiting[0][1])):
                self._next()
            elif unread:
                waiting.append((unread[0], self._begun(unread[0])))
                unread.popleft()
            else:
                if self._fault is not None:
                    self._events += self._reactor.receive_fault(self._fault.moved(-self._reader.position))
                break
        if not self._reactor.works:
            for _, dropped in waiting:
                if dropped is not None:
                    dropped.cancel()
            waiting.clear()
            unread.clear()
            self._contexts.clear()
        return self._told([])

    def _next(self) -> None:
        """Passes the first waiting frame to the reactor. The frame keeps its place while it is being decoded."""
        frame, decoding = self._waiting[0]
        failure = None if decoding is None else decoding.exception()
        if failure is not None:
            # The decoder was interrupted and cannot be used again; the next call reports that.
            failed: Future[Any] = Future()
            failed.set_result(decoder_failure(failure))
            self._waiting[0] = frame, failed
            raise failure
        decoded = None if decoding is None else decoding.result()
        self._waiting.popleft()
        self._events += self._reactor.receive_frame(frame, decoded)

    def _begun(self, frame: Frame) -> Future[Any] | None:
        """Starts to decode a payload. Returns the future of the result, or None for a frame that is not encoded."""
        flags, stream_id, revision = int(frame.stream_flags), frame.stream_id, self._revision
        if flags & revision.begin:
            self._contexts.pop(stream_id, None)
            if frame.type == revision.settings and not flags & revision.end:
                self._configure(frame)
        context = self._contexts.get(stream_id)
        if context is None or not flags & (revision.encoded | revision.end):
            return None
        if flags & revision.end:
            del self._contexts[stream_id]
        future: Future[Any] = Future()
        work = (context, frame, future)
        try:
            self._lane(stream_id).add(work)
        except RuntimeError:
            # The executor was shut down: it has done all earlier work, and this call does the rest.
            self._run([work])
        return future

    def _lost(self, dropped: list[tuple[_Context, Frame, Future[Any]]], error: BaseException) -> None:
        # The caller waits for the payloads, so they are decoded here.
        self._run(dropped)

    def _run(self, batch: list[tuple[_Context, Frame, Future[Any]]]) -> bool:
        for context, frame, future in batch:
            if not future.set_running_or_notify_cancel():
                continue
            flags = int(frame.stream_flags)
            result: Any = as_bytes(frame.payload) if context.error is None else context.error
            try:
                if flags & self._revision.encoded and context.error is None:
                    result = context.decoder.decode(result, self._limit)
                if flags & self._revision.end and context.error is None:
                    context.decoder.finish()
            except DecodingError as error:
                result = context.error = error
            except BaseException as error:  # raised to the caller that waits for the payload
                context.error = decoder_failure(error)
                future.set_exception(error)
                continue
            future.set_result(result)
        return True

    def _configure(self, frame: Frame) -> None:
        """Creates the decoder for a stream's settings. Ignores invalid settings, which the reactor reports."""
        try:
            name, settings = self._revision.decode_settings(as_bytes(frame.payload))
        except RemoteProtocolError:
            return
        profile = self._reactor.encodings.get(name)
        if profile is not None and profile.settings == settings:
            self._contexts[frame.stream_id] = _Context(new_decoder(profile))


def _is_ready(decoding: Future[Any] | None) -> bool:
    return decoding is None or decoding.done()
