"""Frames for what one wants to say, by the rules of framing-0002.

Each function makes the frames of one message: of one command, one response, one line of text. All cut what may be cut at
``max_payload``, set stream-begin on the first frame when ``begin`` is true and stream-end on the last when ``end`` is,
and raise :class:`LocalProtocolError` before any frame is made. They accept any stream id: the reactors and the validator
decide who may send on which stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from hgproto.errors import LocalProtocolError, shown
from hgproto.revisions.framing_0002 import codec
from hgproto.runtime.bytelike import as_bytes, is_bytes_like, kept_bytes
from hgproto.runtime.frame import Frame, check_integer, check_text
from hgproto.runtime.layout import counted, highest, octets
from hgproto.wire.files import Input, is_file
from hgproto.wire.pushed import Pushed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Literal, TypeGuard

    from hgproto.runtime.bytelike import BytesLike
    from hgproto.wire.files import Data, Readable

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

_LONGEST = codec.MAX_PAYLOAD[1]
# Members of enumerations are joined by bits in Python code.
_HAVE_ARGS, _HAVE_DATA = int(codec.CommandNameFlag.HAVE_ARGS), int(codec.CommandNameFlag.HAVE_DATA)
_NAME_EOS = int(codec.CommandNameFlag.EOS)
_Type = codec.FrameType
_Stream = codec.StreamFlag
_DIRECTIVE = re.compile(r"%(.|\Z)", re.DOTALL)
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


def command(
    request_id: int,
    stream_id: int,
    name: str,
    args: Mapping[str, BytesLike] | None = None,
    data: Data | None = None,
    *,
    begin: bool = False,
    end: bool = False,
    max_payload: int = SEND_PAYLOAD,
) -> Iterator[Frame]:
    """The frames of a command: its name, its arguments sorted by name, its data.

    ``request_id``: odd. ``stream_id``: any; clients use odd ones. ``name``: ASCII, not empty. ``args``: values of up to
    65535 octets, which span frames where they must. ``data``: octets, or a binary file that is read to its end as frames
    are taken, short reads and all; None for a command without data. If the file raises an exception, such as
    :class:`BlockingIOError` where it has no bytes yet, the iterator can be used again and goes on. (Section 1.3.)
    """
    _check_max_payload(max_payload)
    _check_data(data)
    flags = (_HAVE_ARGS if args else 0) | (0 if data is None else _HAVE_DATA) or _NAME_EOS
    payload = _ascii(name, "command-name.ascii", "name")
    if len(payload) > max_payload:
        raise _too_long("frame.length-limit", "name", max_payload, len(payload))
    if not payload:
        raise LocalProtocolError("command-name.ascii", None, "name", "at least 1 octet", "none")
    parts: list[tuple[int, int, bytes]] = [(_Type.COMMAND_NAME, flags, payload)]
    parts += _arguments(args or {}, max_payload)
    _checked(Frame(request_id, stream_id, 0, _Type.COMMAND_NAME, flags))
    if not request_id & 1:
        raise LocalProtocolError("request-id.parity", None, "request_id", "an odd number", str(request_id))
    chained = _chain(parts, data, max_payload)
    if data is not None and _is_file(data):
        return _FileFrames(request_id, stream_id, chained, begin, end, is_pushed=isinstance(data, Pushed))
    return _frames(request_id, stream_id, chained, begin, end)


def _chain(
    parts: list[tuple[int, int, bytes]], data: Data | None, max_payload: int
) -> Iterator[tuple[int, int, bytes]]:
    if data is None:
        return iter(parts)
    more, last = codec.CommandDataFlag.CONTINUATION, codec.CommandDataFlag.EOS
    payloads = _cut(_Type.COMMAND_DATA, more, last, data, max_payload)
    return chain(parts, payloads)


def _arguments(args: Mapping[str, BytesLike], max_payload: int) -> list[tuple[int, int, bytes]]:
    more, last = codec.CommandArgumentFlag.CONTINUATION, codec.CommandArgumentFlag.EOA
    parts: list[tuple[int, int, bytes]] = []
    if not isinstance(args, Mapping):
        raise TypeError(f"args must be a mapping of names to bytes, not {type(args).__name__}")
    for name in args:
        check_text(name, "a name in args")
    for name in sorted(args):
        value = as_bytes(args[name], f"the value of {shown(name)}")
        whole = codec.encode_argument(codec.Argument(name, value))
        room = max_payload - (len(whole) - len(value))
        if room < 0:
            raise _too_long(
                "command-argument.header-whole", f"args[{shown(name)}]", max_payload, len(whole) - len(value)
            )
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
    data: Data,
    *,
    begin: bool = False,
    end: bool = False,
    max_payload: int = SEND_PAYLOAD,
) -> Iterator[Frame]:
    """The frames of a response: octets, or a binary file that is read to its end as frames are taken.

    ``request_id``: that of the command. ``stream_id``: any; servers use even ones. ``data``: as of :func:`command`. An
    empty response is one empty frame. (Section 1.3.)
    """
    _check_max_payload(max_payload)
    _check_data(data)
    more, last = codec.BytesResponseFlag.CONTINUATION, codec.BytesResponseFlag.EOS
    _checked(Frame(request_id, stream_id, 0, _Type.BYTES_RESPONSE, last))
    frames = _FileFrames if _is_file(data) else _frames
    return frames(request_id, stream_id, _cut(_Type.BYTES_RESPONSE, more, last, data, max_payload), begin, end)


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
    if kind not in ("application", "protocol"):
        raise ValueError(f"kind is 'application' or 'protocol', not {shown(kind)}")
    flag = codec.ErrorResponseFlag.APPLICATION if kind == "application" else codec.ErrorResponseFlag.PROTOCOL
    payload = _utf8(message, "error-response.utf8", "message")
    if len(payload) > max_payload:
        payload = payload[:max_payload].decode("utf-8", "ignore").encode("utf-8")
    return _single(request_id, stream_id, _Type.ERROR_RESPONSE, flag, payload, begin, end)


def text_output(
    request_id: int,
    stream_id: int,
    atoms: Iterable[codec.TextAtom | tuple[str | BytesLike, Sequence[str], Sequence[str | BytesLike]]],
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
    arguments, a percent sign that is neither in %s nor in %%; then a message over ``max_payload``.)
    """
    _check_max_payload(max_payload)
    if errors not in ("strict", "replace"):
        raise ValueError(f"errors is 'strict' or 'replace', not {shown(errors)}")
    if isinstance(atoms, (str, bytes)) or not isinstance(atoms, Iterable):  # type: ignore[unreachable]  # types can be wrong
        raise TypeError(f"atoms must be an iterable of atoms, not {type(atoms).__name__}")
    checked = []
    for index, atom in enumerate(atoms):
        parts = (atom.format, atom.labels, atom.args) if isinstance(atom, codec.TextAtom) else atom
        if isinstance(parts, (str, bytes)) or not isinstance(parts, Sequence) or len(parts) != 3:
            raise TypeError(f"atoms[{index}] must be a TextAtom, or a format with its labels and its arguments")
        checked.append(_atom(f"atoms[{index}]", *parts, errors=errors))
    payload = codec.encode_text_output(codec.TextOutput(tuple(checked)))
    if len(payload) > max_payload:
        raise _too_long("text-output.single-frame", "atoms", max_payload, len(payload))
    return _single(request_id, stream_id, _Type.TEXT_OUTPUT, 0, payload, begin, end)


def _atom(
    path: str, format_: str | BytesLike, labels: Sequence[str], args: Sequence[str | BytesLike], *, errors: str
) -> codec.TextAtom:
    sizes = "text-output.sizes"
    most = {part.name: highest(part) for part in codec.TEXT_ATOM.parts if part.computed}
    for name, items, counter in (("args", args, "argument_count"), ("labels", labels, "label_count")):
        if isinstance(items, str) or is_bytes_like(items) or not isinstance(items, Sequence):
            raise TypeError(f"{path}.{name} must be a sequence of texts, not {type(items).__name__}")
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
    for match in _DIRECTIVE.finditer(texts[0]):
        if match[1] not in ("%", "s"):
            raise LocalProtocolError("text-output.percent", None, f"{path}.format", "%s or %%", repr(match[0]))
    return codec.TextAtom(texts[0], tuple(labels), tuple(texts[1:]))


def placeholders(format_: str) -> int:
    """How many ``%s`` a format has; ``%%`` is a percent sign, and any other ``%x`` stands for itself (section 1.3)."""
    check_text(format_, "format_")
    return sum(match == "s" for match in _DIRECTIVE.findall(format_))


def progress(
    request_id: int,
    stream_id: int,
    topic: str,
    pos: int,
    total: int,
    label: str | None = None,
    item: str | None = None,
    *,
    extra: Mapping[bytes, BytesLike] | None = None,
    begin: bool = False,
    end: bool = False,
    max_payload: int = SEND_PAYLOAD,
) -> Frame:
    """The frame that tells how far an operation is.

    ``topic``: which operation. ``pos``: how far, -1 at its end. ``total``: where it will end. ``extra``: other keys, each
    with the octets of its value's CBOR item, as :func:`hgproto.runtime.cbor.encode_item` makes them. (Section 1.3.)
    """
    _check_max_payload(max_payload)
    if extra is not None and not isinstance(extra, Mapping):
        raise TypeError(f"extra must be a mapping of keys to bytes, not {type(extra).__name__}")
    # The codec accepts any buffer as a value.
    items: Any = dict(extra or {})
    payload = codec.encode_progress(codec.Progress(topic, pos, total, label, item, items))
    if len(payload) > max_payload:
        raise _too_long("frame.length-limit", "", max_payload, len(payload))
    return _single(request_id, stream_id, _Type.PROGRESS, 0, payload, begin, end)


def stream_settings(
    request_id: int,
    stream_id: int,
    profile: str,
    settings: BytesLike = b"",
    *,
    end: bool = False,
    max_payload: int = SEND_PAYLOAD,
) -> Frame:
    """The frame that opens a stream and names its content encoding.

    ``request_id``: that of the request that caused it; receivers ignore it. (Sections 1.3 and 1.4.)
    """
    _check_max_payload(max_payload)
    check_text(profile, "profile")
    payload = codec.encode_stream_settings(codec.StreamSettings(profile, as_bytes(settings, "settings")))
    if len(payload) > max_payload:
        raise _too_long("frame.length-limit", "settings", max_payload, len(payload))
    return _single(request_id, stream_id, _Type.STREAM_SETTINGS, 0, payload, begin=True, end=end)


# Cutting and joining.


def _is_file(data: Data | None) -> TypeGuard[Readable]:
    return is_file(data)


def _check_data(data: Data | None) -> None:
    if data is not None and not _is_file(data) and not is_bytes_like(data):
        raise TypeError(f"data must be bytes, another buffer of bytes, or a binary file, not {type(data).__name__}")


def _cut(type_: int, more: int, last: int, data: Data, max_payload: int) -> Iterator[tuple[int, int, bytes]]:
    """Octets as payloads of one type.

    Of octets the size is known, so their last full payload is the last. A file's end is only known once a read gives
    nothing: when that is on a payload's boundary, an empty one follows.
    """
    if isinstance(data, Pushed):
        return data.payloads(type_, more, last, max_payload)
    if _is_file(data):
        return _FilePayloads(type_, more, last, data, max_payload)
    return _payloads(type_, more, last, kept_bytes(data), max_payload)  # type: ignore[arg-type]


def _payloads(
    type_: int, more: int, last: int, data: bytes | memoryview, max_payload: int
) -> Iterator[tuple[int, int, bytes]]:
    size = len(data)
    for start in range(0, max(size, 1), max_payload):
        stop = start + max_payload
        yield type_, last if stop >= size else more, bytes(data[start:stop])


class _FilePayloads:
    """The payloads of a file. Unlike a generator, it goes on after an exception of the file, and has lost nothing."""

    def __init__(self, type_: int, more: int, last: int, file: Readable, max_payload: int) -> None:
        self._numbers = (type_, more, last)
        self._input = Input(file)
        self._max_payload = max_payload
        self._parts: list[bytes] = []
        self._missing = max_payload
        self._ended = False

    def __iter__(self) -> Iterator[tuple[int, int, bytes]]:
        return self

    def __next__(self) -> tuple[int, int, bytes]:
        if self._ended:
            raise StopIteration
        type_, more, last = self._numbers
        # However little each read gives, only the last payload is short.
        while self._missing:
            octets = as_bytes(self._input.read(self._missing))
            if len(octets) > self._missing:
                most = counted(self._missing, "byte")
                raise ValueError(f"a binary file was asked for at most {most}, and its read() returned {len(octets)}")
            if not octets:
                self._ended = True
                break
            self._parts.append(octets)
            self._missing -= len(octets)
        payload = b"".join(self._parts)
        self._parts.clear()
        self._missing = self._max_payload
        return type_, last if self._ended else more, payload


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
        yield _ended(waiting) if end else waiting


def _ended(frame: Frame) -> Frame:
    return frame.replace(stream_flags=frame.stream_flags | _Stream.STREAM_END)


class _FileFrames:
    """The frames of a message with a file. Unlike a generator, it goes on after an exception of the file.

    Each frame is given when the next one was read: only the last ends the stream, and a file that cannot be read to the end
    of its first frames gives none. ``is_pushed``: frames are given at once.
    """

    def __init__(
        self,
        request_id: int,
        stream_id: int,
        parts: Iterator[tuple[int, int, bytes]],
        begin: bool,
        end: bool,
        *,
        is_pushed: bool = False,
    ) -> None:
        self._is_pushed = is_pushed
        self._ids = (request_id, stream_id)
        self._parts = parts
        self._stream_flags = _Stream.STREAM_BEGIN if begin else _Stream(0)
        self._end = end
        self._waiting: Frame | None = None

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        while True:
            part = next(self._parts, None)
            frame, self._waiting = self._waiting, None
            if part is not None:
                type_, flags, payload = part
                made = codec.make_frame(*self._ids, self._stream_flags, type_, flags, payload)
                self._stream_flags = _Stream(0)
                if self._is_pushed and not self._end:
                    return made
                self._waiting = made
            elif frame is None:
                raise StopIteration
            elif self._end:
                frame = _ended(frame)
            if frame is not None:
                return frame


def _single(request_id: int, stream_id: int, type_: int, flags: int, payload: bytes, begin: bool, end: bool) -> Frame:
    stream_flags = (_Stream.STREAM_BEGIN if begin else 0) | (_Stream.STREAM_END if end else 0)
    return _checked(codec.make_frame(request_id, stream_id, stream_flags, type_, flags, payload))


def _checked(frame: Frame) -> Frame:
    """The frame, when its numbers fit its header."""
    check_integer(frame.request_id, "request_id")
    check_integer(frame.stream_id, "stream_id")
    codec.encode_header(frame, _LONGEST)
    return frame


def _check_max_payload(max_payload: int) -> None:
    from hgproto.wire.reader import checked_max_payload

    checked_max_payload(max_payload, codec)


def _too_long(requirement: str, field: str, most: int, size: int) -> LocalProtocolError:
    return LocalProtocolError(requirement, None, field, f"at most {octets(most)}", octets(size))


# Strings.


def _ascii(text: str, requirement: str, field: str) -> bytes:
    return _encoded(text, "ascii", "ASCII", requirement, field)


def _utf8(text: str, requirement: str, field: str) -> bytes:
    return _encoded(text, "utf-8", "UTF-8", requirement, field)


def _encoded(text: str, encoding: str, charset: str, requirement: str, field: str) -> bytes:
    check_text(text, field)
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        found = f"U+{ord(text[error.start]):04X} at index {error.start}"
        raise LocalProtocolError(requirement, None, field, charset, found) from None


def _text(text: str | BytesLike, errors: str, field: str) -> str:
    """Text that UTF-8 can say, from text or from octets."""
    if isinstance(text, str):
        if errors == "replace":
            return _LONE_SURROGATES.sub("\ufffd", text)
        _utf8(text, "text-output.utf8", field)
        return text
    data = as_bytes(text, field)
    try:
        return data.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        found = f"the octet 0x{data[error.start]:02x} at index {error.start}"
        raise LocalProtocolError("text-output.utf8", None, field, "UTF-8", found) from None
