"""The server's reactor, which decodes commands and encodes responses."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hgproto.reactors.command_receiver import CommandReceiver
from hgproto.reactors.events import NO_OP, Error, NoOp, SendFrames, ServerEvent
from hgproto.reactors.sender import Sender
from hgproto.reactors.sending import Batch, Message, described
from hgproto.reactors.sent_responses import ErrorResponse, LastError, Response, short_response
from hgproto.reactors.writers import ResponseWriter
from hgproto.runtime.bytelike import is_bytes_like, kept_bytes
from hgproto.runtime.frame import check_text
from hgproto.runtime.machine import Event
from hgproto.wire.files import Chunks, is_file
from hgproto.wire.pushed import Pushed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, Literal, Protocol

    from hgproto.errors import RemoteProtocolError
    from hgproto.reactors.limits import Limits
    from hgproto.reactors.outputs import Output
    from hgproto.reactors.sending import Sending
    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.definition import Definition
    from hgproto.runtime.frame import Frame
    from hgproto.runtime.machine import Row
    from hgproto.streams.encodings import Encodings
    from hgproto.streams.output_stream import OutputStream
    from hgproto.wire.files import Source

    class Atom(Protocol):
        """One atom of a text-output message, as codecs decode it."""

        @property
        def format(self) -> str: ...
        @property
        def labels(self) -> Sequence[str]: ...
        @property
        def args(self) -> Sequence[str]: ...


__all__ = ["Server"]

_UNTOLD = "the server could not complete the response"
"""The message for a failure that has no text for the client."""


class Server(Sender[ServerEvent], CommandReceiver):
    """The server's reactor. It receives what the client sends, and returns the commands to run.

    ``receive_data``, ``receive_frame``, and ``receive_end`` return these events: :class:`RunCommand`, or while
    streaming :class:`StartCommand`, :class:`CommandData`, and :class:`CommandCut`; :class:`WantFrame`;
    :class:`SendFrames` with the error-response to a request that exceeded a limit or was cut off by the end of input;
    :class:`NoOp` if that response is held back; :class:`Error`. At the end of input they return :class:`StreamLeftOpen`
    and everything that was held back.

    ``limits``: see :class:`hgproto.Limits`. The server rejects a request that exceeds one of its own limits with an
    error-response (application). It ignores the remaining frames of that request, and the connection continues.
    ``encodings``: the profiles that clients may use. ``encoding``: the profile of the server's own streams; None for no
    encoding. ``streams``: the number of streams that the server sends on; their ids start at 2, in steps of two.
    ``defer``: hold all output back until the client's output has ended, as half-duplex transports need. ``streaming``:
    run a command once its arguments are complete, and return its data as it arrives. ``reopen``: the treatment of
    *stream-begin* on an open stream, ``error`` or ``restart``. ``flush``: see
    :class:`hgproto.streams.output_stream.OutputStream`. ``describe``: returns the message for an exception that the
    source of a response raised. The client gets a fixed message if ``describe`` raises an exception or does not return
    a string. ``revision``: None for the default revision. Raises :class:`RevisionError` for a revision that lacks a
    state machine, a role, or a message that a server needs.
    """

    __slots__ = ("_deferring", "_describe", "_held", "_outputs", "_unanswered")

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        encodings: Encodings | None = None,
        encoding: str | None = None,
        streams: int = 1,
        defer: bool = False,
        streaming: bool = False,
        reopen: Literal["error", "restart"] = "error",
        flush: Literal["response", "frame"] = "response",
        describe: Callable[[Exception], str] | None = None,
        revision: Definition | None = None,
    ) -> None:
        super().__init__(limits=limits, encodings=encodings, streaming=streaming, reopen=reopen, revision=revision)
        self._outputs = self._opened(streams, encoding, flush)
        self._outputs.error = self._error
        self._deferring = defer
        if describe is not None and not callable(describe):
            raise TypeError(f"describe must be a function, not {type(describe).__name__}")
        self._describe = describe or described
        self._held: deque[SendFrames] = deque()
        # After the end of input, the requests that still wait for a response.
        self._unanswered: int | None = None

    # Frames out.

    def respond(
        self,
        request_id: int,
        data: Source,
        *,
        stream_id: int | None = None,
        plain: bool = False,
        end: bool = False,
    ) -> SendFrames | NoOp:
        """Returns the frames of a response. ``data``: bytes, an iterable of chunks, or a binary file.

        Chunks are requested while the caller iterates over the frames. If the source raises an exception, the response
        ends with an error-response, and ``failure`` of the returned object keeps the exception. An exception that is
        not an :class:`Exception`, such as :class:`KeyboardInterrupt`, is also raised to the caller that iterates;
        iterating again returns the error-response. A file without bytes yet is not a failure: it raises
        :class:`BlockingIOError` to that caller, who continues once the file has bytes. If the client violates a
        requirement meanwhile, such a response ends early.

        Mutable buffers are copied. ``stream_id``: one of :attr:`output_streams`. By default it is the stream of the
        messages for this request, or else the stream with the least to send. ``plain``: the data is compressed already,
        so do not encode it. ``end``: close the stream afterwards; after the end of input, the last response of a stream
        closes it automatically. Raises :class:`LocalProtocolError` (response.active-request, response.once,
        reactor.errored), :class:`ValueError` for an unknown stream, and :class:`TypeError` for other types of data and
        for ids that are not integers.
        """
        if type(request_id) is not int:
            request_id = self._checked_id(request_id)
        content = data if type(data) is bytes else _checked_response(data)
        outputs = self._outputs
        output = (
            outputs.choose(request_id, stream_id) if stream_id is not None or outputs.only is None else outputs.only
        )
        requests, plans = self._requests, self._plans
        begun = plans.begins.get(requests.get(request_id))
        if begun is not None and self._unanswered is None and self.state is plans.connection.initial:
            # The fast path of `_begun`.
            requests[request_id] = begun
        else:
            self._begun(request_id)
        if type(content) is bytes and output is outputs.only and not end:
            response = short_response(outputs, request_id, output, content, plain)
        else:
            response = Response(outputs, request_id, output, content, plain, end)
        return self._held_back(response) if self._deferring else SendFrames(response)

    def begin_response(
        self, request_id: int, *, stream_id: int | None = None, plain: bool = False, end: bool = False
    ) -> ResponseWriter:
        """Begins a response that is written in parts. ``write``, ``end``, and ``fail`` of the writer return the frames.

        Arguments and exceptions are those of :meth:`respond`. While output is deferred, the writer keeps the data and returns
        no frames; the events of ``receive_end()`` include the :class:`SendFrames` of the response. If the response is still
        being written then, the :class:`SendFrames` raises :class:`BlockingIOError` after the last frame that is ready,
        and the writer returns the rest. If a pool has the :class:`SendFrames`, the pool returns all frames, and the
        writer none.
        """
        if type(request_id) is not int:
            request_id = self._checked_id(request_id)
        pushed = Pushed()
        outputs = self._outputs
        output = outputs.choose(request_id, stream_id)
        self._begun(request_id)
        source = Chunks(pushed)
        response = Response(outputs, request_id, output, source, plain, end, pushed)
        self._held_back(response)

        def error(message: str) -> Frame:
            return self._error(request_id, output.stream, message)

        return ResponseWriter(response, pushed, self._holds_back, error)

    def _holds_back(self) -> bool:
        """Returns True if output waits for the end of input."""
        return self._deferring and not self.ended

    def respond_error(
        self, request_id: int, message: str, *, stream_id: int | None = None, end: bool = False
    ) -> SendFrames | NoOp:
        """Returns an application error as the response to a request. Raises as :meth:`respond` does."""
        if type(request_id) is not int:
            request_id = self._checked_id(request_id)
        output = self._outputs.choose(request_id, stream_id)
        check_text(message, "message")
        frame = self._error(request_id, output.stream, message)
        self._begun(request_id)
        return self._held_back(ErrorResponse(self._outputs, output, frame, end=end))

    def _begun(self, request_id: int) -> None:
        """Moves a request whose response is about to be sent. Raises :class:`LocalProtocolError` if its state forbids it."""
        self._tell(request_id, Event.RESPONSE_BEGUN)
        if self._unanswered is not None:
            self._unanswered -= 1

    def send_text(
        self,
        request_id: int,
        atoms: Iterable[Atom | tuple[str | BytesLike, Sequence[str], Sequence[str | BytesLike]]],
        *,
        errors: Literal["strict", "replace"] = "strict",
        stream_id: int | None = None,
    ) -> SendFrames | NoOp:
        """Returns a text-output frame for an active request; see :func:`hgproto.text_output`."""
        if type(request_id) is not int:
            request_id = self._checked_id(request_id)
        output = self._outputs.choose(request_id, stream_id)
        frame = self._outputs.messages.text(
            request_id, output.stream.stream_id, atoms, errors=errors, max_payload=self.limits.send_payload
        )
        return self._message(request_id, output, frame)

    def send_progress(
        self,
        request_id: int,
        topic: str,
        pos: int,
        total: int,
        label: str | None = None,
        item: str | None = None,
        *,
        stream_id: int | None = None,
    ) -> SendFrames | NoOp:
        """Returns a progress frame for an active request; see :func:`hgproto.progress`."""
        if type(request_id) is not int:
            request_id = self._checked_id(request_id)
        output = self._outputs.choose(request_id, stream_id)
        optional = {name: text for name, text in (("label", label), ("item", item)) if text is not None}
        frame = self._revision.message("progress")(
            request_id,
            output.stream.stream_id,
            topic=topic,
            pos=pos,
            total=total,
            **optional,
            max_payload=self.limits.send_payload,
        )
        return self._message(request_id, output, frame)

    def _message(self, request_id: int, output: Output, frame: Frame) -> SendFrames | NoOp:
        self._tell(request_id, Event.MESSAGE_SENT)
        # Sends that are held back keep the order of their calls.
        after_response = self._holds_back() and self._requests[request_id].state in self._plans.states.begun
        if after_response or request_id in self._outputs.finished:
            raise self._plans.too_late(request_id)
        return self._held_back(Message(self._outputs, output, frame))

    def answered(self, request_id: int) -> None:
        """Records that another component has sent the response to a request. Use it to observe a connection.

        Raises :class:`TypeError` or :class:`ValueError` for an invalid request id.
        """
        request_id = self._checked_id(request_id)
        request = self._requests.get(request_id)
        if request is not None:
            row = self._row(request.state, Event.RESPONSE_BEGUN)
            if row is not None and row.to is not None:
                self._move(request_id, request, row.to)
            self._finish(request_id)

    def _sent(self, request_id: int) -> None:
        """Frees a request after the caller has received all frames of its response."""
        outputs = self._outputs
        if outputs.homes:
            outputs.homes.pop(request_id, None)
        if outputs.finished:
            outputs.finished.discard(request_id)
        if self._requests.get(request_id) in self._plans.done:
            del self._requests[request_id]
        else:
            self._finish(request_id)

    def _finish(self, request_id: int) -> None:
        """Moves a request whose response was sent."""
        request = self._requests.get(request_id)
        if request is None:
            return
        row = self._row(request.table.state, Event.RESPONSE_SENT)
        if row is not None and row.to is not None:
            self._move(request_id, request, row.to)

    def _error(
        self,
        request_id: int,
        stream: OutputStream,
        message: str | BaseException | None,
        kind: Literal["application", "protocol"] = "application",
    ) -> Frame:
        """Returns an error-response. ``message``: a text, the exception of a response, or None for the fixed message."""
        if not isinstance(message, str):
            message = self._words(message)
        messages = self._outputs.messages
        kinds = messages.error_kinds
        chosen = (kinds[kind == "protocol"],) if kinds else ()
        frame: Frame = messages.error(request_id, stream.stream_id, message, *chosen, max_payload=stream.longest_last)
        return frame

    def _words(self, failure: BaseException | None) -> str:
        """Returns the message for an exception that the source of a response has raised."""
        if isinstance(failure, Exception):
            try:
                message = self._describe(failure)
                if isinstance(message, str):
                    return message.encode("utf-8", "backslashreplace").decode("utf-8")
            except Exception:  # noqa: S110 - the exception that counts is the response's
                pass
        return _UNTOLD

    def _reply(
        self, request_id: int, message: str, kind: Literal["application", "protocol"], row: Row
    ) -> SendFrames | NoOp:
        output = self._outputs.first
        if kind == "protocol" and self._awaits_responses(request_id):
            # After a protocol error, the client would close the connection and lose the outstanding responses.
            kind = "application"
        frame = self._error(request_id, output.stream, message, kind)
        return self._held_back(ErrorResponse(self._outputs, output, frame, kind=kind, requirement=row.requirement))

    def _awaits_responses(self, request_id: int) -> bool:
        """Returns True if another request was received completely and its response is not completely sent."""
        if any(request is self._active for request in self._requests.values()):
            return True
        return any(send.kind is None and send.request_id != request_id for send in self._outputs.sends)

    def _is_over(self, output: Output | None) -> bool:
        if not self.ended and self.works:
            return False
        if self.works:
            if self._unanswered is None:
                waiting = self._plans.states.awaiting
                self._unanswered = sum(request.state in waiting for request in self._requests.values())
            if self._unanswered:
                return False
        return output is None or output.unmade == 1

    def _held_back(self, send: Sending) -> SendFrames | NoOp:
        if self._holds_back():
            self._held.append(SendFrames(send))
            return NO_OP if send.request_id is None else NoOp(send.request_id)
        return SendFrames(send)

    def _end(self) -> None:
        self._outputs.may_end = True
        self._events.extend(self._held)
        self._held.clear()

    def _failed(self, error: RemoteProtocolError, frame: Frame | None) -> None:
        self._outputs.failed = self._outputs.may_end = True
        ready = []
        for send in list(self._outputs.sends):
            if send.is_open:
                # A response that is still being written cannot be completed.
                send.give_up(self._plans.dead())
            elif not send.claimed:
                ready.append(send)
        self._held.clear()
        output = self._outputs.first
        request_id = 0 if frame is None else frame.request_id
        message = self._error(request_id, output.stream, str(error), "protocol")
        self._append(Error(error, frame, Batch([*ready, LastError(self._outputs, output, message)])))


def _checked_response(data: Any) -> bytes | memoryview | Iterable[BytesLike]:
    """Returns the checked data of a response. Mutable buffers are copied."""
    if is_bytes_like(data):
        return kept_bytes(data)
    if is_file(data):
        # Iterating over a file yields lines, and mistakes a pause of a non-blocking file for its end.
        return Chunks(data)
    if isinstance(data, str) or not hasattr(data, "__iter__"):
        raise TypeError(f"a response is bytes, an iterable of bytes, or a binary file, not {type(data).__name__}")
    chunks: Iterable[BytesLike] = data
    return chunks
