"""The client's reactor, which encodes commands and decodes responses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.errors import LocalProtocolError, counted
from hgproto.reactors.events import (
    ClientEvent,
    NoOp,
    RequestError,
    SendFrames,
)
from hgproto.reactors.ids import Ids
from hgproto.reactors.response_receiver import Request, ResponseReceiver
from hgproto.reactors.sender import Sender
from hgproto.reactors.sending import Batch, described
from hgproto.reactors.sent_commands import Command, Issuer
from hgproto.reactors.writers import CommandWriter
from hgproto.runtime.machine import Event
from hgproto.wire.pushed import Pushed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from hgproto.reactors.limits import Limits
    from hgproto.reactors.outputs import Output
    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.definition import Definition
    from hgproto.streams.encodings import Encodings
    from hgproto.wire.files import Data

__all__ = ["Client"]


class Client(Sender[ClientEvent], ResponseReceiver):
    """The client's reactor. It builds the frames of commands, and turns what the server sends into events.

    ``receive_data``, ``receive_frame``, and ``receive_end`` return these events: :class:`ResponseData`,
    :class:`TextMessage`, :class:`ProgressUpdate`, :class:`RequestError`, :class:`PeerError`, :class:`Error`, and at the
    end :class:`StreamLeftOpen`.

    ``limits``: see :class:`hgproto.Limits`; ``decoded_response`` bounds the decoded size of all encoded payloads of one
    response. ``encodings``: the profiles that the server may use. ``encoding``: the profile of the client's own
    streams, which the server must support; None for no encoding. ``streams``: the number of streams that the client
    sends on; their ids start at 1, in steps of two. ``buffered``: hold commands back until :meth:`flush`, as
    half-duplex transports need. ``reopen``, ``flush``, and ``revision``: as for :class:`hgproto.Server`.

    Each issued request ends with one event: the last :class:`ResponseData`, or a :class:`RequestError`. If the data of
    a command cannot be read, the :class:`RequestError` comes with the next events, and ``failure`` of the
    :class:`SendFrames` has the exception immediately.
    """

    __slots__ = ("_buffered", "_held", "_ids", "_issuer", "_outputs")

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        encodings: Encodings | None = None,
        encoding: str | None = None,
        streams: int = 1,
        buffered: bool = False,
        reopen: Literal["error", "restart"] = "error",
        flush: Literal["response", "frame"] = "response",
        revision: Definition | None = None,
    ) -> None:
        super().__init__(limits=limits, encodings=encodings, reopen=reopen, revision=revision)
        self._outputs = self._opened(streams, encoding, flush)
        self._buffered = self._outputs.may_end = buffered
        self._held: list[Command] = []
        self._issuer = Issuer(self._loss_of, self._is_answered, self._give_up)
        order = str(self._revision.roles.REQUEST_ORDER)
        self._ids = Ids(self._revision.request_ids, order)

    # Frames out.

    def issue(
        self,
        name: str,
        args: Mapping[str, BytesLike] | None = None,
        data: Data | None = None,
        *,
        stream_id: int | None = None,
        plain: bool = False,
        end: bool = False,
    ) -> SendFrames | NoOp:
        """Returns the frames of a command. The returned object has the ``request_id``.

        ``name``, ``args``, ``data``: as for :func:`hgproto.command`; mutable buffers are copied. ``plain``: the data is
        compressed already, so do not encode it. ``end``: close the stream afterwards; :meth:`flush` does so
        automatically. Raises
        :class:`LocalProtocolError` for a command that frames cannot express. Raises it also when all ids are in use, when
        ``limits.active_requests`` is reached, after an error, and after the end of the server's output.

        If a file raises an exception, the request fails, and ``failure`` of the returned object has the exception. If
        not even the first data can be read, nothing is sent. Otherwise the frames stop, and the request stays
        unfinished: the protocol has no cancel, and a last frame would let the server run the command with a part of its
        data. The id of an unfinished request is not used again, and the request counts as active; :attr:`unfinished`
        lists these requests. Open a new connection before they use up the limit. The stream and all other requests
        continue. :class:`BlockingIOError` is not a failure: it is raised to the caller that iterates over the frames,
        who can continue once the file has bytes.
        """
        send = self._issue(name, args, data, stream_id, plain, end)
        return NoOp(send.request_id) if self._buffered else SendFrames(send)

    def begin_command(
        self,
        name: str,
        args: Mapping[str, BytesLike] | None = None,
        *,
        stream_id: int | None = None,
        plain: bool = False,
        end: bool = False,
    ) -> CommandWriter:
        """Begins a command whose data is written in parts. ``write``, ``end``, and ``fail`` of the writer return the frames.

        Arguments and exceptions are those of :meth:`issue`. The name and the arguments are sent with the first data. A
        buffered client sends the command with :meth:`flush`, whose frames raise :class:`BlockingIOError` at a command that is
        still being written.
        """
        pushed = Pushed()
        send = self._issue(name, args, pushed, stream_id, plain, end)
        return CommandWriter(send, pushed, lambda: any(held is send for held in self._held))

    def _issue(
        self,
        name: str,
        args: Mapping[str, BytesLike] | None,
        data: Data | None,
        stream_id: int | None,
        plain: bool,
        end: bool,
    ) -> Command:
        """Returns the send of a command. A buffered client holds it back."""
        if self.ended:
            expected, found = "a server that can still respond", "the end of its output"
            raise LocalProtocolError(self._incomplete, None, "", expected, found)
        if len(self._requests) >= self.limits.active_requests:
            most = self.limits.active_requests
            expected = f"at most {counted(most, 'request')} without a complete response"
            found = f"{len(self._requests)} already"
            if unfinished := len(self.unfinished):
                found += f", {unfinished} of them unfinished because of their data; use a new connection for more"
            raise LocalProtocolError(self._revision.capacity_rule, None, "", expected, found)
        outputs = self._outputs
        output = outputs.choose(None, stream_id) if stream_id is not None or outputs.only is None else outputs.only
        stream = output.stream
        # An id stays in use until the failure of its request was returned as an event.
        due = [event.request_id for event in self._due if isinstance(event, RequestError)] if self._due else ()
        in_use = {*self._requests, *due} if due else self._requests
        request_id = self._ids.next(in_use)
        parts, cut = outputs.messages.command(name, args, data, stream.longest_last)
        issued = self._plans.issued
        if issued is not None and request_id not in self._requests and self.state is self._plans.connection.initial:
            # The fast path of `_tell`.
            self._requests[request_id] = Request(issued)
        else:
            self._tell(request_id, Event.REQUEST_ISSUED)
        # Only now: a command that was rejected above must not use up an id.
        self._ids.take(request_id)
        send = Command(outputs, request_id, output, parts, None if data is None else cut, self._issuer, plain, end)
        if self._buffered:
            self._held.append(send)
        return send

    def issued(self, request_id: int) -> None:
        """Records that another component has sent a request. Use it to observe a connection.

        Raises :class:`TypeError` or :class:`ValueError` for an invalid request id, and :class:`LocalProtocolError` for
        an id that is in use.
        """
        request_id = self._checked_id(request_id)
        self._tell(request_id, Event.REQUEST_ISSUED)
        self._finish(request_id)

    def flush(self) -> SendFrames:
        """Returns the frames of all commands that were held back, in their order. The last command of a stream closes it.

        If the data of a command cannot be read, only that command fails. ``failures`` of the returned object maps
        request ids to exceptions.
        """
        held, self._held = self._held, []
        return SendFrames(Batch(held))

    def _is_over(self, output: Output | None) -> bool:
        if not self._buffered or output is None:
            return False
        # A command is the last one on its stream if no later one can be sent. Looking ahead removes unreadable ones
        # from the count.
        sends = self._outputs.sends
        while output.unmade > 1:
            ahead = (send for send in sends if send.output is output and isinstance(send, Command) and send.is_ahead)
            send = next(ahead, None)
            if send is None or send.look_ahead():
                return False
        return True

    def _loss_of(self, request_id: int) -> Exception | None:
        """Returns the reason why a request cannot be completed, or None if it can."""
        return None if request_id in self._requests else self._loss

    def _is_answered(self, request_id: int) -> bool:
        """Returns True if the response to a request is complete, so that the server ignores the rest of its data."""
        request = self._requests.get(request_id)
        return request is not None and request.state in self._plans.states.answered

    def _give_up(self, request_id: int, failure: BaseException, begun: bool) -> None:
        """Fails a request whose remaining frames cannot be sent. ``begun``: True if some frames were sent."""
        request = self._requests.get(request_id)
        if request is None:
            return
        row = self._row(request.state, Event.REQUEST_ABANDONED if begun else Event.REQUEST_WITHDRAWN)
        if row is None or row.to is None:
            return
        self._move(request_id, request, row.to)
        if not begun:
            self._ids.give_back(request_id)
        message = f"the data of the request could not be sent: {described(failure)}"
        self._due.append(RequestError(request_id, message, request.received, row.requirement))

    def _sent(self, request_id: int) -> None:
        """Moves a request after the caller has received all of its frames."""
        request = self._requests.get(request_id)
        after = None if request is None else self._plans.after_sent.get(request.table)
        if request is None or after is None:
            self._finish(request_id)
        else:
            # The fast path of `_finish`.
            request.table = after

    def _finish(self, request_id: int) -> None:
        """Moves a request that was sent, by the state machine."""
        request = self._requests.get(request_id)
        row = None if request is None else self._row(request.state, Event.REQUEST_SENT)
        if request is not None and row is not None and row.to is not None:
            self._move(request_id, request, row.to)
