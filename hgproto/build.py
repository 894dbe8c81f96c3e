"""Frames for what one wants to say, by the rules of framing-0002.

Each function makes the frames of one message: of one command, one response, one line of text. All cut what may be cut at
``max_payload``, set stream-begin on the first frame when ``begin`` is true and stream-end on the last when ``end`` is,
and raise :class:`LocalProtocolError` before any frame is made. Who may write on which stream when is not their business.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hgproto.errors import LocalProtocolError, RemoteProtocolError
from hgproto.frame import Frame
from hgproto.framing_0002 import codec
from hgproto.layout import highest, octets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any, BinaryIO, Literal

__all__ = [
    "SEND_PAYLOAD",
    "bytes_response",
    "command",
    "error_response",
    "placeholders",
    "progress",
    "stream_settings",
    "text_output",
]

SEND_PAYLOAD = codec.LIMITS["send-payload"][0]
"""Octets at which payloads are cut unless told otherwise (32768)."""

_Type = codec.FrameType
_Stream = codec.StreamFlag
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


def command(
    request_id: int,
    stream_id: int,
    name: str,
    args: Mapping[str, bytes] | None = None,
    data: bytes | BinaryIO | None = None,
    *,
    begin: bool = False,
    end: bool = False,
    max_payload: int = SEND_PAYLOAD,
) -> Iterator[Frame]:
    """The frames of a command: its name, its arguments sorted by name, its data.

    ``request_id``: odd. ``stream_id``: odd. ``name``: ASCII, not empty. ``args``: values of up to 65535 octets, which
    span frames where they must. ``data``: octets, or a binary file that is read to its end as frames are taken, short
    reads and all; None for a command without data. (Section 1.3.)
    """
    _check_max_payload(max_payload)
    _check_data(data)
    flags = codec.CommandNameFlag(0)
    if args:
        flags |= codec.CommandNameFlag.HAVE_ARGS
    if data is not None:
        flags |= codec.CommandNameFlag.HAVE_DATA
    flags = flags or codec.CommandNameFlag.EOS
    payload = _ascii(name, "command-name.ascii", "name")
    if len(payload) > max_payload:
        raise _too_long("frame.length-limit", "name", max_payload, len(payload))
    if not payload:
        raise LocalProtocolError("command-name.ascii", None, "name", "at least 1 octet", "none")
    parts: list[tuple[int, int, bytes]] = [(_Type.COMMAND_NAME, flags, payload)]
    parts += _arguments(args or {}, max_payload)
    _checked(Frame(request_id, stream_id, 0, _Type.COMMAND_NAME, flags, payload))
    return _frames(request_id, stream_id, _chain(parts, data, max_payload), begin, end)


def _chain(
    parts: list[tuple[int, int, bytes]], data: bytes | BinaryIO | None, max_payload: int
) -> Iterator[tuple[int, int, bytes]]:
    yield from parts
    if data is not None:
        more, last = codec.CommandDataFlag.CONTINUATION, codec.CommandDataFlag.EOS
        yield from _cut(_Type.COMMAND_DATA, more, last, data, max_payload)


def _arguments(args: Mapping[str, bytes], max_payload: int) -> list[tuple[int, int, bytes]]:
    more, last = codec.CommandArgumentFlag.CONTINUATION, codec.CommandArgumentFlag.EOA
    parts: list[tuple[int, int, bytes]] = []
    for name in sorted(args):
        value = _octets(args[name], f"the value of {name!r}")
        whole = codec.encode_argument(codec.Argument(name, value))
        room = max_payload - (len(whole) - len(value))
        if room < 0:
            raise _too_long("command-argument.header-whole", f"args[{name!r}]", max_payload, len(whole) - len(value))
        if len(value) <= room:
            parts.append((_Type.COMMAND_ARGUMENT, 0, whole))
            continue
        start = codec.ArgumentStart(len(value), name, value[:room])
        parts.append((_Type.COMMAND_ARGUMENT, more, codec.encode_argument_start(start)))
        rest = range(room, len(value), max_payload)
        parts += [(_Type.COMMAND_ARGUMENT, more, value[i : i + max_payload]) for i in rest]
        parts[-1] = (_Type.COMMAND_ARGUMENT, 0, parts[-1][2])
    if parts:
        parts[-1] = (_Type.COMMAND_ARGUMENT, last, parts[-1][2])
    return parts


def bytes_response(
    request_id: int,
    stream_id: int,
    data: bytes | BinaryIO,
    *,
    begin: bool = False,
    end: bool = False,
    max_payload: int = SEND_PAYLOAD,
) -> Iterator[Frame]:
    """The frames of a response: octets, or a binary file that is read to its end as frames are taken.

    ``request_id``: that of the command. ``stream_id``: even. An empty response is one empty frame. (Section 1.3.)
    """
    _check_max_payload(max_payload)
    _check_data(data)
    more, last = codec.BytesResponseFlag.CONTINUATION, codec.BytesResponseFlag.EOS
    _checked(Frame(request_id, stream_id, 0, _Type.BYTES_RESPONSE, last))
    return _frames(request_id, stream_id, _cut(_Type.BYTES_RESPONSE, more, last, data, max_payload), begin, end)


def error_response(
    request_id: int,
    stream_id: int,
    message: str,
    kind: Literal["application", "protocol"] = "application",
    *,
    begin: bool = False,
    end: bool = False,
    max_payload: int = SEND_PAYLOAD,
) -> Frame:
    """The frame that tells why a request failed. A message that is too long is cut at a character.

    ``kind``: whose error it is. ``request_id``: 0 when none could be told. (Section 1.3.)
    """
    _check_max_payload(max_payload)
    flag = {"application": codec.ErrorResponseFlag.APPLICATION, "protocol": codec.ErrorResponseFlag.PROTOCOL}[kind]
    payload = _utf8(message, "error-response.utf8", "message")
    if len(payload) > max_payload:
        payload = payload[:max_payload].decode("utf-8", "ignore").encode("utf-8")
    return _single(request_id, stream_id, _Type.ERROR_RESPONSE, flag, payload, begin, end)


def text_output(
    request_id: int,
    stream_id: int,
    atoms: Iterable[codec.TextAtom | tuple[str | bytes, Sequence[str], Sequence[str | bytes]]],
    *,
    errors: Literal["strict", "replace"] = "strict",
    begin: bool = False,
    end: bool = False,
    max_payload: int = SEND_PAYLOAD,
) -> Frame:
    """The frame of a message for people.

    ``atoms``: atoms, or triples of a format, its labels and its arguments; formats and arguments as text or as octets.
    ``errors``: what happens to what is not UTF-8, ``strict`` refuses it and ``replace`` puts U+FFFD in its place.
    (Section 1.3; refused in this order, atom by atom: more than 255 arguments, more than 255 labels, a label that is not
    ASCII, a format or an argument over 65535 octets, a label over 255, a number of %s that is not the number of
    arguments; then a message over ``max_payload``.)
    """
    _check_max_payload(max_payload)
    checked = []
    for index, atom in enumerate(atoms):
        parts = (atom.format, atom.labels, atom.args) if isinstance(atom, codec.TextAtom) else atom
        checked.append(_atom(f"atoms[{index}]", *parts, errors=errors))
    payload = codec.encode_text_output(codec.TextOutput(tuple(checked)))
    if len(payload) > max_payload:
        raise _too_long("text-output.single-frame", "atoms", max_payload, len(payload))
    return _single(request_id, stream_id, _Type.TEXT_OUTPUT, 0, payload, begin, end)


def _atom(
    path: str, format_: str | bytes, labels: Sequence[str], args: Sequence[str | bytes], *, errors: str
) -> codec.TextAtom:
    sizes = "text-output.sizes"
    most = {part.name: highest(part) for part in codec.TEXT_ATOM.parts if part.computed}
    for name, items, counter in (("args", args, "argument_count"), ("labels", labels, "label_count")):
        if len(items) > most[counter]:
            raise LocalProtocolError(sizes, None, f"{path}.{name}", f"at most {most[counter]}", str(len(items)))
    for index, label in enumerate(labels):
        _ascii(label, "text-output.label-ascii", f"{path}.labels[{index}]")
    texts = []
    for name, text in (("format", format_), *((f"args[{i}]", arg) for i, arg in enumerate(args))):
        limit = most["format_length" if name == "format" else "argument_lengths"]
        decoded = _text(text, errors, f"{path}.{name}")
        size = len(decoded.encode("utf-8"))
        if size > limit:
            raise _too_long(sizes, f"{path}.{name}", limit, size)
        texts.append(decoded)
    for index, label in enumerate(labels):
        if len(label) > most["label_lengths"]:
            raise _too_long(sizes, f"{path}.labels[{index}]", most["label_lengths"], len(label))
    wanted = placeholders(texts[0])
    if wanted != len(args):
        expected = f"as many arguments as the format has %s, which is {wanted}"
        raise LocalProtocolError("text-output.placeholders", None, f"{path}.args", expected, str(len(args)))
    return codec.TextAtom(texts[0], tuple(labels), tuple(texts[1:]))


def placeholders(format_: str) -> int:
    """How many ``%s`` a format has; ``%%`` is a percent sign, and any other ``%x`` stands for itself (section 1.3)."""
    return sum(match == "s" for match in re.findall(r"%(.)", format_, re.DOTALL))


def progress(
    request_id: int,
    stream_id: int,
    topic: str,
    pos: int,
    total: int,
    label: str | None = None,
    item: str | None = None,
    *,
    extra: Mapping[bytes, Any] | None = None,
    begin: bool = False,
    end: bool = False,
    max_payload: int = SEND_PAYLOAD,
) -> Frame:
    """The frame that tells how far an operation is.

    ``topic``: which operation. ``pos``: how far, -1 at its end. ``total``: where it will end. (Section 1.3.)
    """
    _check_max_payload(max_payload)
    payload = codec.encode_progress(codec.Progress(topic, pos, total, label, item, dict(extra or {})))
    if len(payload) > max_payload:
        raise _too_long("frame.length-limit", "", max_payload, len(payload))
    return _single(request_id, stream_id, _Type.PROGRESS, 0, payload, begin, end)


def stream_settings(
    request_id: int,
    stream_id: int,
    profile: str,
    settings: bytes = b"",
    *,
    end: bool = False,
    max_payload: int = SEND_PAYLOAD,
) -> Frame:
    """The frame that opens a stream and names its content encoding.

    ``request_id``: that of the request that caused it; receivers ignore it. (Sections 1.3 and 1.4.)
    """
    _check_max_payload(max_payload)
    payload = codec.encode_stream_settings(codec.StreamSettings(profile, settings))
    if len(payload) > max_payload:
        raise _too_long("frame.length-limit", "settings", max_payload, len(payload))
    return _single(request_id, stream_id, _Type.STREAM_SETTINGS, 0, payload, begin=True, end=end)


# Cutting and joining.


def _octets(value: bytes, what: str) -> bytes:
    """Octets that are given as such: ``bytes(5)`` would be five of them."""
    if not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"{what} is octets, not {type(value).__name__}")
    return bytes(value)


def _check_data(data: bytes | BinaryIO | None) -> None:
    if not isinstance(data, bytes | bytearray | memoryview | None) and not hasattr(data, "read"):
        raise TypeError(f"data is octets or a binary file, not {type(data).__name__}")


def _cut(
    type_: int, more: int, last: int, data: bytes | BinaryIO, max_payload: int
) -> Iterator[tuple[int, int, bytes]]:
    """Octets as payloads of one type.

    Of octets the size is known, so their last full payload is the last. A file's end is only known once a read gives
    nothing: when that is on a payload's boundary, an empty one follows.
    """
    if isinstance(data, bytes | bytearray | memoryview):
        view = memoryview(data).cast("B")
        for start in range(0, max(len(view), 1), max_payload):
            stop = start + max_payload
            yield type_, last if stop >= len(view) else more, bytes(view[start:stop])
        return
    while True:
        payload = _read_full(data.read, max_payload)
        if len(payload) < max_payload:
            yield type_, last, payload
            return
        yield type_, more, payload


def _read_full(read: Callable[[int], bytes | None], size: int) -> bytes:
    """``size`` octets of a file, less only at its end, however little each read gives."""
    parts: list[bytes] = []
    while size:
        part = read(size)
        if part is None:
            raise BlockingIOError("the file has no octets now; builders need one that blocks")
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _frames(
    request_id: int, stream_id: int, parts: Iterator[tuple[int, int, bytes]], begin: bool, end: bool
) -> Iterator[Frame]:
    """Frames of one request on one stream, one behind, so that the last is known when it is given."""
    stream_flags = _Stream.STREAM_BEGIN if begin else _Stream(0)
    waiting: Frame | None = None
    for type_, flags, payload in parts:
        if waiting is not None:
            yield waiting
        waiting = codec.make_frame(request_id, stream_id, stream_flags, type_, flags, payload)
        stream_flags = _Stream(0)
    if waiting is not None:
        if end:
            waiting = waiting.replace(stream_flags=waiting.stream_flags | _Stream.STREAM_END)
        yield waiting


def _single(request_id: int, stream_id: int, type_: int, flags: int, payload: bytes, begin: bool, end: bool) -> Frame:
    stream_flags = (_Stream.STREAM_BEGIN if begin else 0) | (_Stream.STREAM_END if end else 0)
    return _checked(codec.make_frame(request_id, stream_id, stream_flags, type_, flags, payload))


def _checked(frame: Frame) -> Frame:
    """The frame, when its numbers fit and its header keeps every rule of a single frame."""
    try:
        codec.encode_header(frame.replace(payload=b""))
        codec.check_header(frame)
    except RemoteProtocolError as error:
        raise LocalProtocolError(error.requirement, None, error.field, error.expected, error.found) from None
    return frame


def _check_max_payload(max_payload: int) -> None:
    from hgproto.reader import checked_max_payload

    checked_max_payload(max_payload, codec)


def _too_long(requirement: str, field: str, most: int, size: int) -> LocalProtocolError:
    return LocalProtocolError(requirement, None, field, f"at most {octets(most)}", octets(size))


# Strings.


def _ascii(text: str, requirement: str, field: str) -> bytes:
    return _encoded(text, "ascii", "ASCII", requirement, field)


def _utf8(text: str, requirement: str, field: str) -> bytes:
    return _encoded(text, "utf-8", "UTF-8", requirement, field)


def _encoded(text: str, encoding: str, charset: str, requirement: str, field: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        found = f"U+{ord(text[error.start]):04X} at index {error.start}"
        raise LocalProtocolError(requirement, None, field, charset, found) from None


def _text(text: str | bytes, errors: str, field: str) -> str:
    """Text that UTF-8 can say, from text or from octets."""
    if isinstance(text, str):
        if errors == "replace":
            return _LONE_SURROGATES.sub("\ufffd", text)
        _utf8(text, "text-output.utf8", field)
        return text
    try:
        return bytes(text).decode("utf-8", errors)
    except UnicodeDecodeError as error:
        found = f"the octet 0x{text[error.start]:02x} at index {error.start}"
        raise LocalProtocolError("text-output.utf8", None, field, "UTF-8", found) from None
