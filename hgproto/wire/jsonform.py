"""The JSON form of a frame, which ``decode --format json`` prints.

Keys: ``offset``, ``length``, ``request_id``, ``stream_id``, ``stream_flags``, ``type``, ``flags``, and ``payload``.
``decoded`` follows if the payload has a structure and is not encoded, or ``error`` if it is damaged. Flags are lists of
names in bit order, with integers for unknown bits. Bytes are lower-case hexadecimal.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from hgproto.errors import LimitError, RemoteProtocolError, counted
from hgproto.runtime.cbor import MAX_DEPTH, Simple
from hgproto.runtime.frame import Frame, Record, check_revision
from hgproto.wire.human import flag_list, type_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hgproto.runtime.definition import Codec

__all__ = ["MOST_INCOMPLETE", "Continuations", "frame_from_json", "frame_to_json", "value_to_json"]


MOST_INCOMPLETE = 1 << 16
"""The most requests with an incomplete value that are tracked at a time, which is the number of 16-bit ids."""


_MOST_LEVELS = 4 * MAX_DEPTH
"""The most levels of a value. A level of CBOR can be three: the map, its pairs, and a pair."""


class Continuations:
    """A tracker that reports for each frame if it continues the latest one of its request and type.

    It tracks at most :data:`MOST_INCOMPLETE` requests with an incomplete value.
    """

    def __init__(self, codec: Codec) -> None:
        self._masks = {code: after for code, cases in codec.PAYLOADS.items() for _, after, _ in cases if after}
        self._interrupts = codec.INTERRUPTS
        self._open: set[tuple[int, int]] = set()
        self._has_lost = False

    def continues(self, frame: Frame) -> bool:
        """Returns True if ``frame`` would continue an earlier one if it were the next."""
        return (int(frame.type), int(frame.request_id)) in self._open

    def loses(self, frame: Frame) -> bool:
        """Returns True if ``frame`` would begin an incomplete value that exceeds :data:`MOST_INCOMPLETE`."""
        is_incomplete = int(frame.flags) & self._masks.get(int(frame.type), 0)
        return bool(is_incomplete) and len(self._open) >= MOST_INCOMPLETE and not self.continues(frame)

    def next(self, frame: Frame) -> bool:
        """Returns True if ``frame``, the next one in wire order, continues an earlier one.

        Raises :class:`hgproto.errors.LimitError` if that is unknown after too many incomplete values.
        """
        code, request_id = int(frame.type), int(frame.request_id)
        for other, interrupting in self._interrupts.items():
            if code in interrupting:
                self._open.discard((other, request_id))
        mask = self._masks.get(code)
        if mask is None:
            return False
        key = (code, request_id)
        continued = key in self._open
        if not continued and self._has_lost:
            expected = f"at most {counted(MOST_INCOMPLETE, 'request')} with an incomplete value at a time"
            raise LimitError(f"expected {expected}, found more; use a smaller part of the input")
        if int(frame.flags) & mask:
            if continued or len(self._open) < MOST_INCOMPLETE:
                self._open.add(key)
            else:
                self._has_lost = True
        else:
            self._open.discard(key)
        return continued


def frame_to_json(
    frame: Frame, codec: Codec, offset: int = 0, *, continued: bool = False, max_items: int | None = None
) -> dict[str, Any]:
    """Returns the JSON form of a frame. ``offset``: that of its header in the input, in bytes.

    ``continued``: True if it continues an earlier frame (:class:`Continuations`). ``max_items``: the most items of its
    payload; None for the revision's limit. Raises :class:`ValueError` for a frame of another revision than the codec's.
    """
    check_revision(frame, codec)
    result: dict[str, Any] = {
        "offset": offset,
        "length": len(frame.payload),
        "request_id": int(frame.request_id),
        "stream_id": int(frame.stream_id),
        "stream_flags": flag_list(frame.stream_flags, codec.STREAM_FLAG_NAMES),
        "type": type_name(frame, codec),
        "flags": flag_list(frame.flags, codec.FLAG_NAMES.get(int(frame.type), {})),
        "payload": bytes(frame.payload).hex(),
    }
    try:
        most = {} if max_items is None else {"max_items": max_items}
        value = codec.decode_payload(frame, continued, **most)
    except RemoteProtocolError as error:
        error = error.moved(offset + codec.HEADER_BYTES)
        result["error"] = {"requirement": error.requirement, "offset": error.offset, "message": str(error)}
    else:
        if isinstance(value, Record):
            result["decoded"] = value_to_json(value)
    return result


def frame_from_json(data: Mapping[str, Any], codec: Codec) -> Frame:
    """Returns the frame of a JSON form. Ignores its offset, length, and decoded value.

    Raises :class:`KeyError`, :class:`TypeError`, or :class:`ValueError` for an invalid form.
    """
    type_ = data["type"]
    code = codec.CODES[type_] if isinstance(type_, str) else int(type_)
    return codec.make_frame(
        int(data["request_id"]),
        int(data["stream_id"]),
        _flags(data["stream_flags"], codec.STREAM_FLAG_NAMES),
        code,
        _flags(data["flags"], codec.FLAG_NAMES.get(code, {})),
        bytes.fromhex(data["payload"]),
    )


def _flags(flags: list[str | int], names: Mapping[int, str]) -> int:
    masks = {name: mask for mask, name in names.items()}
    total = 0
    for flag in flags:
        total |= masks[flag] if isinstance(flag, str) else flag
    return total


def value_to_json(value: Any, depth: int = 0) -> Any:
    """Returns a decoded value as JSON: bytes in hexadecimal, and records as objects without absent parts.

    Values of unknown keys are hexadecimal too: the bytes of their CBOR items. ``depth``: levels of nesting around the
    value. Raises :class:`ValueError` for more levels than a payload can have.
    """
    if depth > _MOST_LEVELS:
        raise ValueError(
            f"expected at most {_MOST_LEVELS} levels of nesting in a value, found more; use the value of a decoded payload"
        )
    match value:
        case Simple(value=22):
            return None
        case Record():
            parts = value.as_dict()
            extra = parts.pop("extra", None) or {}
            known = {name: value_to_json(part, depth + 1) for name, part in parts.items() if part is not None}
            more = {_key(key): value_to_json(item, depth + 1) for key, item in extra.items() if _key(key) not in known}
            return known | more
        case bytes():
            return value.hex()
        case dict():
            names = [_key(key) if isinstance(key, bytes) else str(key) for key in value]
            items = [value_to_json(item, depth + 1) for item in value.values()]
            if len(set(names)) == len(names):
                return dict(zip(names, items, strict=True))
            # Keys of several types have the same text.
            keys = [value_to_json(key, depth + 1) for key in value]
            return {"pairs": [list(pair) for pair in zip(keys, items, strict=True)]}
        case float() if not isfinite(value):
            return {"float": str(value)}
        case list() | tuple():
            return [value_to_json(item, depth + 1) for item in value]
    return value


def _key(key: bytes) -> str:
    """Returns a key of a map as text. Escapes backslashes and bytes that are not UTF-8, so that keys stay distinct."""
    return key.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
