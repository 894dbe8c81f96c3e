"""Responses and commands that are written piece by piece, as a transport gets their data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.reactors.sending import GivenUpError
from hgproto.runtime.frame import Unique

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from hgproto.reactors.sending import Sending
    from hgproto.reactors.sent_responses import Response
    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.frame import Frame
    from hgproto.wire.pushed import Pushed

__all__ = ["CommandWriter", "ResponseWriter", "checked_message"]


def checked_message(message: str) -> str:
    """Returns the message of an error. Raises :class:`TypeError` if it is no text."""
    if not isinstance(message, str):
        raise TypeError(f"message must be text, not {type(message).__name__}")
    return message


class _Writer(Unique):
    """Data of one request. Each method returns the frames that are ready, which go on the wire in the order of the calls.

    Frames that were made earlier for the same stream come first, whatever they belong to. If a call raises an exception,
    such as that of an encoder, the next one returns the frames that are left, the end of the response or command among
    them. :class:`ValueError` is raised for data after the end.

    ``request_id`` and ``stream_id``: of the frames. ``failure``: the exception because of which the data is not sent; None
    without one.
    """

    __slots__ = ("_is_held", "_pushed", "_send")

    def __init__(self, send: Sending, pushed: Pushed, is_held: Callable[[], bool]) -> None:
        self._send = send
        self._pushed = pushed
        self._is_held = is_held

    @property
    def request_id(self) -> int:
        """The request that the frames belong to."""
        return self._send.request_id

    @property
    def stream_id(self) -> int:
        """The stream that the frames are on."""
        return self._send.stream_id

    @property
    def failure(self) -> BaseException | None:
        """The exception because of which the data is not sent."""
        return self._send.failure

    @property
    def is_over(self) -> bool:
        """True if all frames were returned."""
        return self._send.is_sent

    def write(self, data: BytesLike) -> list[Frame]:
        """Adds data; returns the frames that are ready. Encoded data may wait for more, or for the end.

        Data is dropped if nobody waits for it any more, since the response to a command is complete.
        """
        self._check_open()
        self._pushed.add(data)
        if self._send.is_sent:
            self._pushed.clear()
            return []
        return self._ready()

    def end(self) -> list[Frame]:
        """Ends the data; returns all frames that are left. Ending again returns no frames."""
        self._pushed.ended = True
        return self._ready()

    def _check_open(self) -> None:
        if self._pushed.ended:
            raise ValueError(f"the data of request {self.request_id} was ended; nothing can be written after that")
        if self._send.failure is not None:
            raise ValueError(f"request {self.request_id} has failed; call end() for the frames that are left")

    def _ready(self) -> list[Frame]:
        return [] if self._is_held() else self._send.made_frames()


class ResponseWriter(_Writer):
    """A response that is written piece by piece; see :meth:`hgproto.Server.begin_response`."""

    __slots__ = ("_error",)

    def __init__(
        self, send: Response, pushed: Pushed, is_held: Callable[[], bool], error: Callable[[str], Frame]
    ) -> None:
        super().__init__(send, pushed, is_held)
        self._error = error

    def fail(self, message: str) -> list[Frame]:
        """Ends the response with an error of the application; returns all frames that are left."""
        self._check_open()
        checked_message(message)
        self._pushed.ended = True
        response: Any = self._send
        response.break_off(self._error(message))
        return self._ready()


class CommandWriter(_Writer):
    """A command whose data is written piece by piece; see :meth:`hgproto.Client.begin_command`."""

    __slots__ = ()

    def fail(self, message: str) -> list[Frame]:
        """Gives the command up; returns the frames that are left.

        The protocol has no cancel: the command stays without its end, and the request counts as unfinished. The next
        events have a :class:`hgproto.RequestError` with ``message``.
        """
        self._check_open()
        self._pushed.ended = True
        self._pushed.error = GivenUpError(checked_message(message))
        return self._ready()
