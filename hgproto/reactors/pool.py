"""Streams on threads: what streams are for (section 1.4).

Each stream has its own compression context, so that streams can be encoded and decoded beside each other while the
thread of the reactor only does I/O and headers. :class:`EncodingPool` makes the frames of sends, each stream's in order,
streams beside each other; :class:`DecodingPool` decodes payloads and gives them to a reactor in wire order. zlib and
Zstandard give up the interpreter's lock while they work, so that threads are enough.

Invariants: a stream is never worked on by two threads at a time, and its frames are given in the order of its sends; the
reactor is only touched by the thread that calls the pool.
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
"""Calls for the frames of a send. The content, the words for its failure, and the encoder can fail, each once."""


class _Pool(Unique, Generic[Work]):
    """Threads, and a lane for each stream."""

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
            raise RuntimeError("the pool is closed and accepts no more work; make a new pool")

    def _run(self, batch: list[Work]) -> bool:
        """Does some of a stream's work, on its thread. Returns False to pause the stream."""
        raise NotImplementedError

    def _lost(self, dropped: list[Work], error: BaseException) -> None:
        """Some of a stream's work will not be done by its thread. Called by any thread."""
        raise NotImplementedError

    def close(self) -> None:
        """Accepts no more work. Threads of the pool's own first do all the work that was submitted, and then end.

        The results of that work can still be had. Closing a pool again does nothing.
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
    """The frames of a send, and what was raised while they were made.

    ``ends``: the last frame is among them; else the rest can be taken from the send itself.
    """

    send: SendFrames
    frames: list[Frame]
    failure: BaseException | None
    ends: bool


class _Pause(NamedTuple):
    """Sends of one stream that wait, since a file of the first one has nothing yet."""

    lane: Lane[SendFrames]
    sends: list[SendFrames]
    error: BlockingIOError


class EncodingPool(_Pool["SendFrames"]):
    """Makes the frames of sends on threads, for one writer.

    ``workers``: threads, as of :class:`concurrent.futures.ThreadPoolExecutor`; ``executor``: one that exists already.

    ``pool.submit(server.respond(...))`` for each response, with as many streams on the server as there shall be contexts;
    then write what :meth:`finished` gives. A deferring server gives the sends once input has ended; submit the events of
    ``receive_end`` then. Chunks of a response that is iterated over are asked for on the stream's thread.
    Submit the sends of a stream in the order in which they were asked for. A stream pauses while a file that does not block
    has nothing yet; the others go on. When the reactor gives an
    :class:`hgproto.reactors.events.Error`, write what is outstanding before its frames, which are made by who takes them.
    """

    def __init__(self, workers: int | None = None, executor: Executor | None = None) -> None:
        super().__init__(workers, executor)
        self._done: SimpleQueue[list[_Made | _Pause]] = SimpleQueue()
        self._ready: deque[_Made | _Pause] = deque()
        self._held: list[_Made] = []
        self._last: deque[_Made] = deque()
        self._pauses: list[_Pause] = []
        # The frames of sends that were made before a pause.
        self._begun: dict[SendFrames, list[Frame]] = {}
        self._failure: BaseException | None = None
        self._outstanding = 0

    @property
    def outstanding(self) -> int:
        """How many sends were submitted whose frames were not given yet."""
        return self._outstanding

    def submit(self, send: SendFrames | NoOp) -> None:
        """Has the frames of a send made on its stream's thread. A :class:`NoOp`, which has no frames, needs no thread.

        Raises :class:`RuntimeError` once the pool or its executor was shut down; the send can then be used without it. Raises
        it also if frames were taken from sends on the stream, and others wait there to be taken: take those first.
        Raises :class:`LocalProtocolError` for a message after the response to its request; the message is not sent.
        """
        self._check_open()
        if isinstance(send, NoOp):
            return
        check_instance(send, SendFrames, "send")
        if send.stream_id is None:
            raise ValueError("what is sent on several streams cannot be made on the thread of one")
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
            # After a failure there is the end of the response to be made.
            for _ in range(ATTEMPTS):
                try:
                    made.extend(send.claimed_frames())
                except BaseException as error:  # it belongs to who waits for the frames
                    if isinstance(error, BlockingIOError) and send.failure is None:
                        # What follows on the stream keeps its place.
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
        """Frames of whole sends, as they get ready: all that are outstanding, or without ``wait`` all that are ready now.

        An exception that making frames raised is raised here, once the frames before it were given, and with them the
        error-response that ends the response. If an executor has dropped a send, ``CancelledError`` is raised, or the
        error of the executor; the other frames of that send can be taken from the send itself. :class:`BlockingIOError` is
        raised if nothing is left but streams that pause since a file has nothing yet. Call again for the rest.
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
        """Returns True if everything outstanding waits for a stream that pauses."""
        waiting = sum(len(pause.sends) + pause.lane.waiting for pause in self._pauses)
        return bool(self._pauses) and waiting + len(self._held) == self._outstanding

    def _release(self) -> Iterator[list[Frame]]:
        """What closes the streams that nobody else closes, after which comes what is held."""
        closing = self._held[0].send.closing
        # An interrupt in an encoder comes out of this call, which is made again then.
        frames = list(closing()) if closing is not None else []
        self._last.extend(self._held)
        self._held = []
        if frames:
            yield frames

    def _give(self, made: _Made) -> Iterator[list[Frame]]:
        """The frames of a send. Nothing is left to do afterwards: who takes them may not ask again."""
        self._outstanding -= 1
        self._failure = made.failure
        if made.ends:
            made.send.sent()
        else:
            made.send.unclaim()
        if made.frames:
            yield made.frames


class _Context:
    """A stream's decoder, and the error after which it is not used again."""

    __slots__ = ("decoder", "error")

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder
        self.error: DecodingError | None = None


class DecodingPool(_Pool["tuple[_Context, Frame, Future[Any]]"], Generic[EventT]):
    """Decodes payloads on threads, and gives them to a reactor in wire order.

    It is fed in the reactor's place. ``reactor``: judges the frames. ``ahead``: the most frames that wait for their turn, each of
    at most the reactor's limit ``decoded_frame``; a call that brings more waits for the first of them. The events of a call
    hold what all its frames were decoded to, as those of a reactor do: the fewer bytes a call is given, the less they take.
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
        # Kept here, so that an exception while a call waits loses nothing: frames that wait for their turn, frames before
        # them that were only read, the fault after these, and events that were not returned yet.
        self._waiting: deque[tuple[Frame, Future[Any] | None]] = deque()
        self._unread: deque[Frame] = deque()
        self._fault: RemoteProtocolError | None = None
        self._events: list[EventT] = []

    def _new_reader(self) -> FrameReader:
        return FrameReader(max_payload=self._reactor.limits.max_payload, codec=self._revision.codec)

    def receive_data(self, data: BytesLike) -> list[EventT]:
        """Takes bytes; gives what the frames led to whose turn has come. Raises :class:`TypeError` for what is not bytes.

        An exception that is raised while this waits for a thread, such as :class:`KeyboardInterrupt`, loses nothing: the
        bytes were taken, and the next call continues. The same holds for :meth:`receive_frame` and :meth:`receive_end`.
        """
        self._check_open()
        data = as_bytes(data)
        if self._is_over():
            # The reactor reads for itself from now on, and begins where a frame begins.
            rest, self._reader = self._reader.rest, self._new_reader()
            return self._told(self._reactor.receive_data(rest + data))
        # Events that are due without a frame, such as the failure of a request.
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
        """Takes a frame; gives what the frames led to whose turn has come. Raises as the method of the reactor does."""
        self._check_open()
        if self._is_over():
            return self._told(self._reactor.receive_frame(frame))
        codec = self._revision.codec
        check_revision(frame, codec)
        codec.encode_header(frame, codec.MAX_PAYLOAD[1])
        if type(frame.payload) is not bytes:
            # The frame waits, and its owner may change the bytes meanwhile.
            frame = frame.replace(payload=as_bytes(frame.payload))
        self._unread.append(frame)
        return self._proceed()

    def receive_end(self) -> list[EventT]:
        """Takes the end of input, after all frames that wait."""
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
        """Returns the events that were kept, and then these."""
        kept, self._events = self._events, []
        return kept + events

    def _proceed(self, *, to_end: bool = False) -> list[EventT]:
        """Gives the frames whose turn has come to the reactor, or all of them; returns all events.

        A framing error follows all frames, unless one of these has violated a requirement.
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
        """Gives the first frame that waits to the reactor. The frame keeps its place while it is being decoded."""
        frame, decoding = self._waiting[0]
        failure = None if decoding is None else decoding.exception()
        if failure is not None:
            # The decoder was interrupted, so that it cannot be used again; the next call says so.
            failed: Future[Any] = Future()
            failed.set_result(decoder_failure(failure))
            self._waiting[0] = frame, failed
            raise failure
        decoded = None if decoding is None else decoding.result()
        self._waiting.popleft()
        self._events += self._reactor.receive_frame(frame, decoded)

    def _begun(self, frame: Frame) -> Future[Any] | None:
        """What the payload will be decoded to; None where there is nothing to decode."""
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
            # An executor that was shut down does nothing more, and has done all that came before.
            self._run([work])
        return future

    def _lost(self, dropped: list[tuple[_Context, Frame, Future[Any]]], error: BaseException) -> None:
        # Who feeds waits for it, and decoding is all there is to do.
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
            except BaseException as error:  # it belongs to who waits for the payload
                context.error = decoder_failure(error)
                future.set_exception(error)
                continue
            future.set_result(result)
        return True

    def _configure(self, frame: Frame) -> None:
        """Makes the decoder that a stream asks for; what is wrong with the settings, the reactor says."""
        try:
            name, settings = self._revision.decode_settings(as_bytes(frame.payload))
        except RemoteProtocolError:
            return
        profile = self._reactor.encodings.get(name)
        if profile is not None and profile.settings == settings:
            self._contexts[frame.stream_id] = _Context(new_decoder(profile))


def _is_ready(decoding: Future[Any] | None) -> bool:
    return decoding is None or decoding.done()
