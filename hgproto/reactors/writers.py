"""Writers of responses and of the data of commands, for content that arrives in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.reactors.sending import GivenUpError
from hgproto.runtime.frame import Unique, check_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgproto.reactors.sending import Sending
    from hgproto.reactors.sent_responses import Response
    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.frame import Frame
    from hgproto.wire.pushed import Pushed

__all__ = ["CommandWriter", "ResponseWriter"]


class _Writer(Unique):
    """Writes the data of one request."""

    __slots__ = ("_is_held", "_pushed", "_send")

    def __init__(self, send: Sending, pushed: Pushed, is_held: Callable[[], bool]) -> None:
        self._send = send
        self._pushed = pushed
        self._is_held = is_held

    @property
    def request_id(self) -> int:
        """The request of the frames."""
        return self._send.request_id

    @property
    def stream_id(self) -> int:
        """The stream of the frames."""
        return self._send.stream_id

    @property
    def failure(self) -> BaseException | None:
        """The exception that ended the request, or None."""
        return self._send.failure

    @property
    def is_over(self) -> bool:
        """True if all frames were returned."""
        return self._send.is_sent

    def write(self, data: BytesLike) -> list[Frame]:
        """Adds data and returns the frames that are ready. An encoder may keep data until more data or the end arrives.

        Data of a command is discarded once its response is complete.
        """
        self._check_open()
        self._check_free()
        self._pushed.add(data)
        if self._send.is_sent:
            self._pushed.clear()
            return []
        return self._ready()

    def end(self) -> list[Frame]:
        """Ends the data and returns all remaining frames. Another call returns an empty list."""
        self._check_free(last=True)
        self._pushed.ended = True
        return self._ready()

    def _check_open(self) -> None:
        if self._pushed.ended:
            raise ValueError(f"the data of request {self.request_id} was ended; nothing can be written after that")
        if self._send.failure is not None:
            raise ValueError(f"request {self.request_id} has failed; call end() for the remaining frames")

    def _check_free(self, *, last: bool = False) -> None:
        """Raises :class:`RuntimeError` if another thread builds frames that come before these. Call it before any change."""
        if not self._is_held():
            self._send.check_free(last=last)

    def _ready(self) -> list[Frame]:
        return [] if self._is_held() else self._send.made_frames()


class ResponseWriter(_Writer):
    """A response that is written in parts; see :meth:`hgproto.Server.begin_response`.

    Each method returns frames, which must be written in the order of the calls. Frames that were built earlier for the
    same stream come first, even if they belong to other requests. While a pool has other sends on the stream, each
    method raises :class:`RuntimeError` and changes nothing, so that the call can be repeated. After any other
    exception, for example that of an encoder, call :meth:`end` for the remaining frames. Data after the end or after an
    exception raises :class:`ValueError`.
    """

    __slots__ = ("_error", "_response")

    def __init__(
        self, response: Response, pushed: Pushed, is_held: Callable[[], bool], error: Callable[[str], Frame]
    ) -> None:
        super().__init__(response, pushed, is_held)
        self._response = response
        self._error = error

    def fail(self, message: str) -> list[Frame]:
        """Ends the response with an application error and returns all remaining frames."""
        self._check_open()
        check_text(message, "message")
        self._check_free(last=True)
        self._response.break_off(self._error(message))
        self._pushed.ended = True
        return self._ready()


class CommandWriter(_Writer):
    """A command whose data is written in parts; see :meth:`hgproto.Client.begin_command`.

    Frames, their order, and exceptions are as for :class:`ResponseWriter`.
    """

    __slots__ = ()

    def fail(self, message: str) -> list[Frame]:
        """Abandons the command and returns the remaining frames.

        The protocol has no cancel, so the command stays incomplete, and the request counts as unfinished. The next
        events include a :class:`hgproto.RequestError` with ``message``.
        """
        self._check_open()
        check_text(message, "message")
        self._check_free(last=True)
        self._pushed.error = GivenUpError(message)
        self._pushed.ended = True
        return self._ready()
