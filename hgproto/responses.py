"""Responses that are iterated over: chunks into frames, and what they raise into an error-response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hgproto.framing_0002 import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hgproto.events import SendFrames
    from hgproto.frame import Frame
    from hgproto.streams import OutputStream

__all__ = ["chunked_response"]

_BYTES_RESPONSE = int(codec.FrameType.BYTES_RESPONSE)
_END = object()


def chunked_response(
    send: SendFrames,
    stream: OutputStream,
    data: Iterable[bytes],
    error: Callable[[int, OutputStream, Exception], Frame],
    *,
    plain: bool,
) -> Iterator[Frame]:
    """The frames of the response to ``send.request_id``. A chunk is asked for once the frames before it were taken.

    What the chunks raise is kept in ``send.failure``, and ``error`` makes the frame that tells it. That goes on the stream
    after what came before, so that it is flushed and in order like everything else. ``plain``: as of
    :meth:`hgproto.streams.OutputStream.send`.
    """
    request_id = send.request_id or 0
    chunks: Iterator[bytes] | None = None
    while True:
        try:
            chunks = iter(data) if chunks is None else chunks
            chunk: Any = next(chunks, _END)
            view = b"" if chunk is _END else memoryview(chunk).cast("B")
        except Exception as failure:  # whatever it is, the client has to be told
            send.failure = failure
            message = error(request_id, stream, failure)
            break
        yield from stream.write(request_id, _BYTES_RESPONSE, view, last=chunk is _END, plain=plain, end=send.is_last)
        if chunk is _END:
            return
    yield from stream.send(message, end=send.is_last)
