"""Boundaries: frames at the edges of what a revision allows, and one step beyond them, in a fixed order."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from hgproto.errors import RemoteProtocolError, counted, quoted
from hgproto.judging.validation import validate
from hgproto.runtime.cbor import encode_item, join_map
from hgproto.runtime.definition import defined
from hgproto.runtime.frame import checked_number
from hgproto.runtime.layout import case_number, highest
from hgproto.samples.choices import Seeded, Simplest
from hgproto.samples.frames import FrameMaker, NotMadeError, sums
from hgproto.samples.payloads import STRINGS, assembled, complete
from hgproto.samples.shapes import CHARACTERS, ITEMS, edges_of, simplest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from hgproto.runtime.definition import Definition
    from hgproto.runtime.frame import Frame
    from hgproto.runtime.layout import Entry, Layout, Part

__all__ = ["Boundary", "boundaries"]


class Boundary(NamedTuple):
    """A frame at a boundary.

    ``what``: a description of the boundary. ``data``: the frame. ``broken``: the ids of the requirements that the frame violates
    by itself; empty if it is valid.
    """

    what: str
    data: bytes
    broken: tuple[str, ...]


def boundaries(
    type: str | None = None, *, max_payload: int | None = None, revision: Definition | None = None
) -> Iterator[Boundary]:
    """Yields frames of a type at every boundary, and one step beyond it, in a fixed order.

    Boundaries of the header: every value of the flags, each bit of the stream flags, the neighboring types, the first and last
    ids, and lengths around the limit. Boundaries of the payload: the least and greatest number and string, and one beyond each;
    sizes and counts that are off by one; the edges of character sets; and each entry of a CBOR map missing, repeated, or of
    another type.

    ``type``: the name of a frame type; None for all of them. ``max_payload``: the limit on lengths, in bytes; None for that of
    the revision. Raises :class:`ValueError` for an unknown type, and for a limit that the revision does not allow.
    """
    revision = defined(revision)
    codec = revision.codec
    if type is not None and type not in codec.CODES:
        raise ValueError(f"there is no frame type {quoted(type)}; there are {', '.join(codec.CODES)}")
    default, most = codec.MAX_PAYLOAD
    limit = checked_number("max_payload", default if max_payload is None else max_payload, 1, most)
    codes = codec.TYPE_NAMES if type is None else (codec.CODES[type],)
    return _judged((one for code in codes for one in _Maker(revision, code, limit).all()), limit, revision)


def _judged(made: Iterable[tuple[str, bytes]], limit: int, revision: Definition) -> Iterator[Boundary]:
    """Yields each distinct frame once, with the requirements that the validator reports as violated."""
    seen = set()
    for what, data in made:
        if data not in seen:
            seen.add(data)
            findings = validate(data, depth="frames", max_payload=limit, revision=revision)
            yield Boundary(what, data, tuple(finding.id for finding in findings))


def _base(revision: Definition, code: int, limit: int) -> Frame:
    """Returns the frame that all boundaries of a type are variants of."""
    codec, usual = revision.codec, FrameMaker(revision, max_payload=limit)
    # The simplest frame may violate a requirement that is checked only on a complete frame.
    for maker, choices in ((FrameMaker(revision, tries=1, max_payload=limit), Simplest()), (usual, Seeded(0))):
        with suppress(NotMadeError):
            return maker.frame(choices, code)
    payload = b""
    with suppress(NotMadeError):
        payload = usual.payload(Simplest(), code)
    return codec.make_frame(1, 1, 0, code, 0, payload)


class _Maker:
    """Builder of the boundaries of one frame type."""

    def __init__(self, revision: Definition, code: int, limit: int) -> None:
        self._codec = codec = revision.codec
        self._name = codec.TYPE_NAMES[code]
        self._limit = limit
        self._largest = codec.MAX_PAYLOAD[1]
        self._base = _base(revision, code, limit)

    def all(self) -> Iterator[tuple[str, bytes]]:
        for what, frame in (*self._of_header(), *self._of_length(), *self._of_payload()):
            if len(frame.payload) <= self._largest:
                yield f"{self._name}: {what}", self._codec.encode_frame(frame, self._largest)
        data = self._codec.encode_frame(self._base, self._largest)
        for missing in (1, len(self._base.payload), len(data) - 1):
            if 0 < missing < len(data):
                yield f"{self._name}: {counted(missing, 'byte')} missing at the end", data[:-missing]

    def _of_header(self) -> Iterator[tuple[str, Frame]]:
        base, bits = self._base, self._codec.FIELD_BITS
        for flags in range(1 << bits["flags"][0]):
            for stream_flags in sums(self._codec.STREAM_FLAG_NAMES):
                yield (
                    f"flags {flags:#x} and stream flags {stream_flags:#x}",
                    base.replace(flags=flags, stream_flags=stream_flags),
                )
        for bit in range(bits["stream_flags"][0]):
            yield f"stream flags {1 << bit:#x}", base.replace(stream_flags=1 << bit)
        yield "all stream flags", base.replace(stream_flags=(1 << bits["stream_flags"][0]) - 1)
        for type_ in (base.type - 1, base.type + 1):
            if 0 <= type_ < 1 << bits["type"][0]:
                yield f"the payload of type {int(base.type)} as type {type_}", base.replace(type=type_)
        for field in ("request_id", "stream_id"):
            last = (1 << bits[field][0]) - 1
            for number in (0, 1, 2, last - 1, last):
                changes: dict[str, Any] = {field: number}
                yield f"{field} {number}", base.replace(**changes)

    def _of_length(self) -> Iterator[tuple[str, Frame]]:
        for length in sorted({0, 1, 2, self._limit - 1, self._limit, self._limit + 1, 1 << 16}):
            yield f"a payload of {counted(length, 'byte')}", self._base.replace(payload=bytes(length))

    def _of_payload(self) -> Iterator[tuple[str, Frame]]:
        cases = self._codec.PAYLOADS[int(self._base.type)]
        for number, (flag, after, name) in enumerate(cases):
            if after:
                # A payload that continues an earlier frame cannot be validated by itself.
                continue
            flags = flag or self._base.flags
            for other, other_after, _ in cases[:number]:
                if not other_after and flags & other == other:
                    flags &= ~other  # an earlier case would apply instead
            stream_flags, flags = self._allowed(number, flags)
            layout = self._codec.LAYOUTS.get(name)
            payloads = self._of_string(name) if layout is None else _of_layout(layout, self._limit)
            for what, data in payloads:
                named = f"{f' of {name}' if layout and name != self._name else ''}{f' with flags {flag:#x}' if flag else ''}"
                yield f"{what}{named}", self._base.replace(flags=flags, stream_flags=stream_flags, payload=data)

    def _allowed(self, number: int, flags: int) -> tuple[int, int]:
        """Returns stream flags and flags that are allowed together and select a case of the payload. Keeps the given ``flags``."""
        of_stream, own = sums(self._codec.STREAM_FLAG_NAMES), sums(self._codec.FLAG_NAMES[int(self._base.type)])
        for stream_flags in (int(self._base.stream_flags), *sorted(of_stream, key=int.bit_count)):
            for more in sorted({flags | one for one in own}, key=int.bit_count):
                frame = self._base.replace(flags=more, stream_flags=stream_flags)
                with suppress(RemoteProtocolError):
                    self._codec.check_header(frame)
                    if case_number(self._codec.PAYLOADS[int(frame.type)], more, False) == number:
                        return stream_flags, more
        return int(self._base.stream_flags), flags

    def _of_string(self, type: str) -> Iterator[tuple[str, bytes]]:
        for size in (self._limit - 1, self._limit, self._limit + 1):
            yield counted(size, "character"), b"a" * size
        for data in CHARACTERS[type]:
            yield f"the bytes {data.hex()}", data
            yield f"the bytes {data.hex()} between others", b"a" + data + b"a"


def _of_layout(layout: Layout, limit: int) -> Iterator[tuple[str, bytes]]:
    """Yields the payloads of a structure."""
    if layout.is_sequence:
        yield from _of_sequence(layout.entries)
        return
    if layout.entries:
        yield from _of_map(layout.entries)
        return
    nested = next((part.layout for part in layout.parts if part.layout is not None), None)
    if nested is not None:
        head, of_nested = layout._replace(parts=tuple(part for part in layout.parts if part.layout is None)), ""
        least, before = _simplest(nested), b""
        if head.parts:
            yield from _Edges(head, limit).all()
            before, of_nested = _simplest(head), f" in {nested.name}"
        for count in (0, 1, 2):
            yield f"{counted(count, 'time')} {nested.name}", before + least * count
        yield from ((f"{what}{of_nested}", before + data) for what, data in _of_layout(nested, limit - len(before)))
        return
    yield from _Edges(layout, limit).all()


def _simplest(layout: Layout) -> bytes:
    edges = _Edges(layout, 0)
    return assembled(layout, edges.strings, edges.numbers)


class _Edges:
    """The edges of a structure of numbers and strings.

    Elsewhere than at the edge, each array has one string, and each string has one character.
    """

    def __init__(self, layout: Layout, limit: int) -> None:
        self._layout = layout
        self._limit = limit
        self._parts = {part.name: part for part in layout.parts}
        self.strings = {part.name: [b"a"] for part in layout.parts if part.type in STRINGS}
        self.numbers: dict[str, list[int]] = {part.at_most: [1] for part in layout.parts if part.at_most is not None}
        complete(layout, self.strings, self.numbers)
        for part in layout.parts:
            if part.type not in STRINGS:
                self.numbers.setdefault(part.name, [0])

    def all(self) -> Iterator[tuple[str, bytes]]:
        for part in self._layout.parts:
            yield from self._of_strings(part) if part.type in STRINGS else self._of_numbers(part)
        data = assembled(self._layout, self.strings, self.numbers)
        for size in range(len(data)):
            yield f"{size} of {counted(len(data), 'byte')}", data[:size]
        yield "one byte more", data + b"\0"

    def _with(self, name: str, strings: list[bytes]) -> bytes:
        """Builds the structure with other strings, and with the numbers that describe them."""
        changed = {**self.strings, name: strings}
        part = self._parts[name]
        numbers = {} if part.at_most is None else {part.at_most: [len(strings[0])]}
        complete(self._layout, changed, numbers)
        return assembled(self._layout, changed, {**self.numbers, **numbers})

    def _of_strings(self, part: Part) -> Iterator[tuple[str, bytes]]:
        sized_by = self._parts.get(str(part.sizes or part.size))
        others = len(assembled(self._layout, {**self.strings, part.name: [b""]}, self.numbers))
        room = self._limit - others
        # A string without a size of its own is bounded by the number that it may not exceed.
        bound = sized_by or self._parts.get(str(part.at_most))
        most = room + 1 if bound is None else highest(bound)
        for size in sorted({0, 1, most - 1, most, room - 1, room, room + 1}):
            # All strings beyond the limit on lengths are equivalent.
            if 0 <= size <= min(most, room + 1):
                yield f"{part.name} of {counted(size, 'byte')}", self._with(part.name, [b"a" * size])
        for data in CHARACTERS[part.type]:
            yield f"{part.name} of the bytes {data.hex()}", self._with(part.name, [data])
        if sized_by is not None and sized_by.number is not None:
            last = highest(self._parts[sized_by.number])
            for count in (0, 1, 2, last - 1, last):
                if count <= self._limit:
                    yield f"{count} {part.name}", self._with(part.name, [b"a"] * count)

    def _of_numbers(self, part: Part) -> Iterator[tuple[str, bytes]]:
        now, last = self.numbers[part.name][0], highest(part)
        for number in sorted({0, 1, now - 1, now + 1, last - 1, last}):
            if number not in (now, -1):
                data = assembled(self._layout, self.strings, {**self.numbers, part.name: [number]})
                yield f"{part.name} {number} instead of {now}", data


def _of_sequence(entries: tuple[Entry, ...]) -> Iterator[tuple[str, bytes]]:
    """Yields the payloads of a CBOR sequence."""
    every = [simplest(entry.shape) for entry in entries]

    def encoded(values: Sequence[object]) -> bytes:
        return b"".join(encode_item(value) for value in values)

    for count in range(len(every) + 2):
        yield counted(count, "item"), encoded([*every, every[-1]][:count])
    for index, entry in enumerate(entries):
        for what, value in edges_of(entry.shape):
            yield f"{entry.name} {what}", encoded([*every[:index], value, *every[index + 1 :]])
    data = encoded(every)
    for size in range(len(data)):
        yield f"{size} of {counted(len(data), 'byte')}", data[:size]
    yield "a break at the end", data + b"\xff"


def _of_map(entries: tuple[Entry, ...]) -> Iterator[tuple[str, bytes]]:
    """Yields the payloads of a CBOR map."""

    def encoded(values: dict[str, object], *more: tuple[object, object]) -> bytes:
        pairs = [*((name.encode(), value) for name, value in values.items()), *more]
        return join_map([(encode_item(key), encode_item(value)) for key, value in pairs])

    every = {entry.name: simplest(entry.shape) for entry in entries}
    yield "every entry", encoded(every)
    for entry in entries:
        name, key = entry.name, entry.name.encode()
        yield f"no {name}", encoded({other: value for other, value in every.items() if other != name})
        yield f"{name} twice", encoded(every, (key, every[name]))
        yield f"{name} as text", encoded({other: v for other, v in every.items() if other != name}, (name, every[name]))
        for what, value in edges_of(entry.shape):
            yield f"{name} {what}", encoded({**every, name: value})
    data = encoded(every)
    for count in (24 - len(every) - 1, 24 - len(every)):
        more = [(f"x{number}".encode(), None) for number in range(count)]
        yield (
            f"{'a map of 1 entry' if len(every) + count == 1 else f'a map of {len(every) + count} entries'}",
            encoded(every, *more),
        )
    yield "a key that is not a string", encoded(every, (0, 0))
    yield "an empty map", encode_item({})
    yield "a map of indefinite length", b"\xbf" + data[1:] + b"\xff"
    for item in ITEMS:
        yield f"{item!r} instead of a map", encode_item(item)
    for size in range(len(data)):
        yield f"{size} of {counted(len(data), 'byte')}", data[:size]
    yield "one byte more", data + b"\0"
