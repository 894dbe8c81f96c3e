"""Sessions at each limit, one below it, and one above it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgproto.judging.validation import SessionValidator
from hgproto.reactors.content import Content
from hgproto.reactors.limits import Limits
from hgproto.revisions.revision import default_revision
from hgproto.runtime.frame import check_instance
from hgproto.samples.sessions import BEGIN, ENCODED, END, STREAMS, Line, wires

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hgproto.judging.finding import Role
    from hgproto.runtime.frame import Frame

__all__ = ["LIMITS", "MOST_BYTES", "AtLimit", "at_limits", "message_of"]

MOST_BYTES = 1 << 25
"""The largest limit, in bytes, that sessions reach by default."""
_CLIENT, _SERVER = STREAMS["client"][0], STREAMS["server"][0]
_REVISION = default_revision()
codec, _CONTENT = _REVISION.codec, Content(_REVISION)
_TEXT, _RESPONSE = _REVISION.code_of("text"), _REVISION.code_of("response")
_command, _respond = _REVISION.message("command", "argument", "data"), _REVISION.message("response")
_settings = _REVISION.message("settings")
_LABELS = 255
"""Labels that an atom may have."""
_LEAST_ARGUMENT = _CONTENT.size + 1
"""The size, in bytes, of the shortest payload that can begin an argument: the sizes and a name of 1 byte."""
(_MORE, _LAST), (_RESPONSE_MORE, _RESPONSE_LAST) = (_REVISION.data_types[code] for code in (_CONTENT.data, _RESPONSE))


class AtLimit(NamedTuple):
    """A session at a limit.

    ``what``: the limit, and how much of it is used. ``lines``: the session. ``broken``: the ids of the requirements that the
    session violates, those about the receiver's limits included; empty if it is valid.
    """

    what: str
    lines: list[Line]
    broken: tuple[str, ...]


def at_limits(limits: Limits | None = None, *, most_bytes: int = MOST_BYTES) -> Iterator[AtLimit]:
    """Yields sessions at each limit, one below it, and one above it, in a fixed order.

    ``limits``: those of the receivers. Left out are *send-payload*, which a receiver does not see; numbers that a connection
    cannot reach; and limits of more than ``most_bytes``.
    """
    limits = Limits() if limits is None else limits
    check_instance(limits, Limits, "limits")
    for name, make in _MAKERS.items():
        limit = getattr(limits, name)
        for number in (limit - 1, limit, limit + 1):
            if 0 < number <= min(_MOST.get(name, most_bytes), most_bytes):
                lines = list(make(number, limits))
                validator = SessionValidator(limits=limits)
                findings = [one for side, data in wires(lines) for one in validator.feed(side, data or b"")]
                broken = sorted({finding.id for finding in (*findings, *validator.close())})
                yield AtLimit(f"{name.replace('_', '-')} {number} of {limit}", lines, tuple(broken))


def _on_one_stream(side: Role, frames: Iterable[Frame]) -> Iterator[Line]:
    """Yields frames of a side as lines on one stream. The first frame begins the stream, and the last frame ends it."""
    all_ = list(frames)
    for number, frame in enumerate(all_):
        flags = BEGIN * (number == 0) | END * (number == len(all_) - 1)
        yield Line(side, frame.replace(stream_flags=flags | frame.stream_flags))


def _answers(ids: Iterable[int]) -> Iterator[Line]:
    yield from _on_one_stream("server", [one for id_ in ids for one in _respond(id_, _SERVER, b"")])


def _data(request_id: int, sizes: list[int], *, last: bool = True) -> Iterator[Frame]:
    """Yields a command whose data is in frames of these sizes."""
    yield codec.make_frame(request_id, _CLIENT, 0, _CONTENT.name, _CONTENT.data_follows, b"x")
    for number, size in enumerate(sizes):
        flags = _LAST if last and number == len(sizes) - 1 else _MORE
        yield codec.make_frame(request_id, _CLIENT, 0, _CONTENT.data, flags, bytes(size))


def _cut(number: int, most: int) -> list[int]:
    """Splits ``number`` into sizes of at most ``most``."""
    return [min(most, number - at) for at in range(0, number, most)]


def _max_payload(number: int, _: Limits) -> Iterator[Line]:
    yield from _on_one_stream("client", _data(1, [number]))
    yield from _answers([1])


def _open_streams(number: int, _: Limits) -> Iterator[Line]:
    ids = range(1, 2 * number, 2)
    commands, answers = _command, _respond
    makers: list[tuple[Role, Callable[..., Iterable[Frame]], object]] = [
        ("client", commands, "x"),
        ("server", answers, b""),
    ]
    for side, make, content in makers:
        streams = range(STREAMS[side][0], 256, 2)[:number]
        for stream_id in streams:
            yield Line(side, _settings(1, stream_id, "identity"))
        for one, request_id in enumerate(ids):
            # At the highest number there are fewer stream ids than requests.
            ends = one + len(streams) >= number
            for frame in make(request_id, streams[one % len(streams)], content, end=ends):
                yield Line(side, frame)


def _decoded(sizes: list[int]) -> Iterator[Line]:
    """Yields a response whose decoded payloads have these sizes."""
    yield from _on_one_stream("client", _command(1, _CLIENT, "x"))
    yield Line("server", _settings(1, _SERVER, "zlib"))
    for number, size in enumerate(sizes):
        is_last = number == len(sizes) - 1
        flags, stream_flags = (_RESPONSE_LAST, ENCODED | END) if is_last else (_RESPONSE_MORE, ENCODED)
        yield Line("server", codec.make_frame(1, _SERVER, stream_flags, _RESPONSE, flags, bytes(size)))


def _decoded_frame(number: int, _: Limits) -> Iterator[Line]:
    yield from _decoded([number])


def _decoded_response(number: int, limits: Limits) -> Iterator[Line]:
    yield from _decoded(_cut(number, limits.decoded_frame))


def _receiving_requests(number: int, _: Limits) -> Iterator[Line]:
    commands = [list(_data(2 * one + 1, [1])) for one in range(number)]
    yield from _on_one_stream("client", [frame for part in zip(*commands, strict=True) for frame in part])
    yield from _answers(2 * one + 1 for one in range(number))


def _active_requests(number: int, _: Limits) -> Iterator[Line]:
    ids = [2 * one + 1 for one in range(number)]
    yield from _on_one_stream("client", [frame for id_ in ids for frame in _command(id_, _CLIENT, "x")])
    yield from _answers(ids)


def _request_bytes(number: int, limits: Limits) -> Iterator[Line]:
    yield from _on_one_stream("client", _data(1, _cut(number, min(limits.max_payload, limits.send_payload))))
    yield from _answers([1])


def _buffered_bytes(number: int, limits: Limits) -> Iterator[Line]:
    shares = _cut(number, limits.request_bytes)
    sizes = [_cut(share, min(limits.max_payload, limits.send_payload)) for share in shares]
    ids = [2 * one + 1 for one in range(len(shares))]
    frames = [frame for id_, parts in zip(ids, sizes, strict=True) for frame in _data(id_, parts, last=False)]
    frames += [codec.make_frame(id_, _CLIENT, 0, _CONTENT.data, _LAST, b"") for id_ in ids]
    yield from _on_one_stream("client", frames)
    yield from _answers(ids)


def _arguments(number: int, _: Limits) -> Iterator[Line]:
    args = {f"{one:05}": b"" for one in range(number)}
    yield from _on_one_stream("client", _command(1, _CLIENT, "x", args))
    yield from _answers([1])


def _argument_value(number: int, limits: Limits) -> Iterator[Line]:
    most = max(min(limits.max_payload, limits.send_payload), _LEAST_ARGUMENT)
    yield from _on_one_stream("client", _command(1, _CLIENT, "x", {"a": bytes(number)}, max_payload=most))
    yield from _answers([1])


def _payload_items(number: int, _: Limits) -> Iterator[Line]:
    yield from _on_one_stream("client", _command(1, _CLIENT, "x"))
    yield Line("server", _settings(1, _SERVER, "zlib"))
    yield Line("server", codec.make_frame(1, _SERVER, ENCODED, _TEXT, 0, message_of(number)))
    yield Line("server", codec.make_frame(1, _SERVER, ENCODED | END, _RESPONSE, _RESPONSE_LAST, b""))


def message_of(number: int) -> bytes:
    """Encodes a message with ``number`` items in as few bytes as possible."""
    labels = [min(_LABELS, number - at - 1) for at in range(0, number, _LABELS + 1)]
    atom, _, _ = _REVISION.repeated_in("text")
    atoms = [atom(format="", labels=("",) * count, args=()) for count in labels]
    atoms[-1] = atoms[-1].replace(format="\n")
    text, _, encode = _REVISION.structure_of("text")
    return encode(text(tuple(atoms)))


_MAKERS: dict[str, Callable[[int, Limits], Iterable[Line]]] = {
    "max_payload": _max_payload,
    "open_streams": _open_streams,
    "decoded_frame": _decoded_frame,
    "decoded_response": _decoded_response,
    "receiving_requests": _receiving_requests,
    "active_requests": _active_requests,
    "request_bytes": _request_bytes,
    "buffered_bytes": _buffered_bytes,
    "arguments": _arguments,
    "argument_value": _argument_value,
    "payload_items": _payload_items,
}
"""Functions that build a session using ``number`` of a limit, by field of ``Limits``."""
LIMITS = {name.replace("_", "-"): make for name, make in _MAKERS.items()}
"""The same functions by the name of the limit."""
_MOST = {
    "max_payload": codec.MAX_PAYLOAD[1],
    "open_streams": 128,
    "receiving_requests": 32768,
    "active_requests": 32768,
    "arguments": 100_000,
    "argument_value": 0xFFFF,
}
"""The highest values that the encoding of a field, or a connection, allows."""
