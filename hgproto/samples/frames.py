"""Single frames of any revision that keep every rule of one frame, made from the tables of its codec."""

from __future__ import annotations

from contextlib import suppress
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from hgproto.errors import RemoteProtocolError, counted
from hgproto.runtime.definition import defined
from hgproto.runtime.frame import checked_number
from hgproto.runtime.layout import case_of
from hgproto.samples.choices import Simplest
from hgproto.samples.payloads import structure
from hgproto.samples.shapes import MOST_BYTES, string
from hgproto.wire.jsonform import Continuations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from hgproto.runtime.definition import Codec, Definition
    from hgproto.runtime.frame import Frame
    from hgproto.runtime.layout import Layout, Part
    from hgproto.samples.choices import Choices

__all__ = ["FrameMaker", "Header", "NotMadeError", "TooSmallLimitError", "sums"]

_KEPT = 32
"""Payloads of a type that are kept to come again."""
_PROBES = tuple(product((1, 2), (1, 2), (b"", b"\0")))


class NotMadeError(Exception):
    """What was chosen makes no frame that keeps every rule; other choices will, unless the rules allow none."""


class TooSmallLimitError(NotMadeError):
    """A limit allows not even the shortest payload, so that no choices make a frame."""


class Header(NamedTuple):
    """Flags and stream flags that a frame type may have together, and the parities of the ids that go with them."""

    flags: int
    stream_flags: int
    request_parities: tuple[int, ...]
    stream_parities: tuple[int, ...]


class FrameMaker:
    """Makes frames of a revision.

    ``revision``: the default revision unless told otherwise. ``tries``: how often frames are chosen anew that break a
    rule which is seen only once they are made, such as one about the length. ``fresh``: of so many payloads one is made, and
    the others come again in frames of other ids and flags, which is faster. ``max_payload``: the most bytes of a payload, those
    of the revision by default. Raises :class:`ValueError` for a limit under 1 or over what the revision allows.
    """

    def __init__(
        self, revision: Definition | None = None, *, tries: int = 100, fresh: int = 1, max_payload: int | None = None
    ) -> None:
        revision = defined(revision)
        self.codec = revision.codec
        default, most = self.codec.MAX_PAYLOAD
        self._limit = checked_number("max_payload", default if max_payload is None else max_payload, 1, most)
        self._tries = tries
        self._fresh = fresh
        self._kept: dict[tuple[int, int, bool], list[bytes]] = {}
        self.types = tuple(self.codec.TYPE_NAMES)
        self._encoded = revision.encoded
        # The frame types of which the validator asks more than their tables say.
        roles = revision.roles.FRAMES
        self._made = {roles[role]: make for role, make in _MADE.items() if role in roles}
        self._headers: dict[tuple[int, bool], tuple[Header, ...]] = {}
        self._leasts: dict[tuple[int, int, bool], int] = {}
        self._simplest_of: dict[tuple[int, int, bool], tuple[bytes | None, str]] = {}

    def headers(self, type_: int, *, encoded: bool = False) -> tuple[Header, ...]:
        """What the header of a frame type can be, the fewest flags first; nothing when no header keeps the rules.

        ``encoded``: as of :meth:`frame`.
        """
        known = self._headers.get((type_, encoded))
        if known is None:
            found = sorted(
                self._found(type_), key=lambda one: (one.flags.bit_count() + one.stream_flags.bit_count(), one)
            )
            plain = [one for one in found if not one.stream_flags & self._encoded]
            known = tuple(found if encoded or not plain else plain)
            self._headers[type_, encoded] = known
        return known

    def can_be_encoded(self, type_: int) -> bool:
        """Whether a frame of this type may have a payload that went through a content encoding."""
        return any(one.stream_flags & self._encoded for one in self.headers(type_, encoded=True))

    def _found(self, type_: int) -> Iterable[Header]:
        make = self.codec.make_frame
        for flags, stream_flags in product(sums(self.codec.FLAG_NAMES[type_]), sums(self.codec.STREAM_FLAG_NAMES)):
            taken = [
                (request_id % 2, stream_id % 2)
                for request_id, stream_id, data in _PROBES
                if self._is_taken(make(request_id, stream_id, stream_flags, type_, flags, data))
            ]
            if taken:
                requests, streams = (
                    tuple(sorted(set(parities), reverse=True)) for parities in zip(*taken, strict=True)
                )
                yield Header(flags, stream_flags, requests, streams)

    def _is_taken(self, frame: Frame) -> bool:
        """Whether the codec takes the header of a frame."""
        try:
            self.codec.check_header(frame)
        except RemoteProtocolError:
            return False
        return True

    def payload(self, choices: Choices, type_: int, *, flags: int = 0, continued: bool = False) -> bytes:
        """A payload of a type that keeps every rule.

        ``flags``: those of the frame. ``continued``: whether it goes on where the latest frame of its request ended. Raises
        :class:`NotMadeError`.
        """
        simplest = self._simplest(type_, flags, continued)
        name = case_of(self.codec.PAYLOADS[type_], flags, continued)
        for _ in range(self._tries):
            data = self._chosen(name, choices, type_, flags, continued)
            if self._is_accepted(name, type_, flags, continued, data):
                return data
        if simplest is None:
            raise self._not_made(type_)
        return simplest

    def check_limits(self, type_: int, *, flags: int | None = None, continued: bool = False) -> None:
        """Raises :class:`TooSmallLimitError` if a limit allows no frame of a type.

        ``flags``, ``continued``: as of :meth:`payload`; any flags by default.
        """
        headers = self.headers(type_) if flags is None else ()
        if any(one.stream_flags & self._encoded for one in headers):
            return
        failures = []
        for one in {header.flags for header in headers} if flags is None else {flags}:
            try:
                self._simplest(type_, one, continued)
            except TooSmallLimitError as error:
                failures.append(error)
            else:
                return
        if failures:
            raise failures[0]

    def _chosen(self, name: str, choices: Choices, type_: int, flags: int, continued: bool) -> bytes:
        """A payload that may violate a requirement. ``name``: its structure, or the type of a string."""
        layout = self.codec.LAYOUTS.get(name)
        if layout is None:
            return string(name, choices, self._least(type_, flags, continued))
        make = self._made.get(type_)
        return structure(layout, choices) if make is None else make(self.codec, layout, choices)

    def _is_accepted(self, name: str, type_: int, flags: int, continued: bool, data: bytes) -> bool:
        if len(data) > self._limit:
            return False
        return name not in self.codec.LAYOUTS or self._decodes(type_, flags, continued, data)

    def _simplest(self, type_: int, flags: int, continued: bool) -> bytes | None:
        """The simplest payload, which is the shortest; None if it violates a requirement.

        Raises :class:`TooSmallLimitError` if a limit does not allow it. It does not depend on any choices, so that a strategy
        makes the same draws each time.
        """
        known = self._simplest_of.get((type_, flags, continued))
        if known is None:
            name = case_of(self.codec.PAYLOADS[type_], flags, continued)
            data = self._chosen(name, Simplest(), type_, flags, continued)
            fault = self._fault_of_limit(name, type_, flags, continued, data)
            is_good = not fault and self._is_accepted(name, type_, flags, continued, data)
            known = self._simplest_of[type_, flags, continued] = data if is_good else None, fault
        simplest, fault = known
        if fault:
            raise TooSmallLimitError(f"{self._not_made(type_)}: {fault}; raise this limit")
        return simplest

    def _fault_of_limit(self, name: str, type_: int, flags: int, continued: bool, data: bytes) -> str:
        """Why a limit does not allow a payload; empty if all do."""
        if len(data) > self._limit:
            size = counted(len(data), "byte")
            return f"its shortest payload has {size}, and the limit max-payload allows {self._limit}"
        layout = self.codec.LAYOUTS.get(name)
        try:
            self.codec.decode_payload(self.codec.make_frame(0, 0, 0, type_, flags, data), continued)
        except RemoteProtocolError as error:
            if layout is not None and error.requirement == layout.rules.get("limit"):
                problem = f"expected {error.expected}, found {error.found}"
                return f"its simplest payload violates {error.requirement}, {problem}"
        return ""

    def _decodes(self, type_: int, flags: int, continued: bool, data: bytes) -> bool:
        """Returns True if the codec accepts a payload."""
        try:
            self.codec.decode_payload(self.codec.make_frame(0, 0, 0, type_, flags, data), continued)
        except RemoteProtocolError:
            return False
        return True

    def _not_made(self, type_: int | None) -> NotMadeError:
        of = "" if type_ is None else f" of the type {self.codec.TYPE_NAMES[type_]}"
        return NotMadeError(f"no frame{of} was found that keeps every rule")

    def _payload(self, choices: Choices, type_: int, flags: int, continued: bool) -> bytes:
        """A payload, one that was made before among them."""
        if self._fresh == 1:
            return self.payload(choices, type_, flags=flags, continued=continued)
        kept = self._kept.setdefault((type_, flags, continued), [])
        if len(kept) < _KEPT or choices.one_in(self._fresh):
            made = self.payload(choices, type_, flags=flags, continued=continued)
            if len(kept) < _KEPT:
                kept.append(made)
            else:
                kept[choices.below(_KEPT)] = made
            return made
        return kept[choices.below(_KEPT)]

    def _least(self, type_: int, flags: int, continued: bool) -> int:
        """Returns the least size, in bytes, of a payload that is one string. The tables do not have it."""
        least = self._leasts.get((type_, flags, continued))
        if least is None:
            least = int(not self._decodes(type_, flags, continued, b""))
            self._leasts[type_, flags, continued] = least
        return least

    def frame(
        self, choices: Choices, type_: int | None = None, *, continued: bool = False, encoded: bool = False
    ) -> Frame:
        """Builds a frame that is valid by itself.

        ``type_``: its type; None for any. ``continued``: as for :meth:`payload`. ``encoded``: True if the payload may be
        encoded, so that it is any bytes. The payload of a type that is always encoded is encoded in any case. Raises
        :class:`NotMadeError`.
        """
        failure: NotMadeError | None = None
        bits = self.codec.FIELD_BITS
        request_bits, stream_bits = bits["request_id"][0], bits["stream_id"][0]
        for _ in range(self._tries):
            kind = choices.pick(self.types) if type_ is None else type_
            headers = self._headers.get((kind, encoded)) or self.headers(kind, encoded=encoded)
            if not headers:
                continue
            flags, stream_flags, request_parities, stream_parities = choices.pick(headers)
            is_encoded = stream_flags & self._encoded
            try:
                if is_encoded:
                    data = string("bytes", choices, most=min(MOST_BYTES, self._limit))
                else:
                    data = self._payload(choices, kind, flags, continued)
            except NotMadeError as error:
                # Other flags, or another type, may have payloads that can be made.
                failure = error
                continue
            request_id = _id(request_parities, request_bits, choices)
            stream_id = _id(stream_parities, stream_bits, choices)
            made = self.codec.make_frame(request_id, stream_id, stream_flags, kind, flags, data)
            if self._is_taken(made):
                return made
        raise failure if isinstance(failure, TooSmallLimitError) else self._not_made(type_)

    def sequence(
        self, choices: Choices, type_: int | None = None, *, encoded: bool = False
    ) -> Iterator[tuple[Frame, bool]]:
        """Yields frames without end that keep every rule of one frame when they are read one after the other.

        Each comes with True if it continues an earlier frame of its type and request, whose id has come again: its payload
        goes on where that one ended. ``type_``, ``encoded``: as of :meth:`frame`. Raises :class:`NotMadeError`.
        """
        continuations = Continuations(self.codec)
        while True:
            frame = self._following(choices, type_, continuations, encoded=encoded)
            yield frame, continuations.next(frame)

    def _following(self, choices: Choices, type_: int | None, continuations: Continuations, *, encoded: bool) -> Frame:
        for _ in range(self._tries):
            frame = self.frame(choices, type_, encoded=encoded)
            if continuations.loses(frame):
                continue
            if not continuations.continues(frame):
                return frame
            with suppress(NotMadeError):
                other = self.frame(choices, int(frame.type), continued=True, encoded=encoded)
                other = other.replace(request_id=frame.request_id)
                if self._is_taken(other):
                    return other
        raise self._not_made(type_)


def sums(masks: Iterable[int]) -> list[int]:
    """What flags are together, in all combinations."""
    sums = [0]
    for mask in masks:
        sums += [mask | one for one in sums]
    return sums


def _id(parities: tuple[int, ...], bits: int, choices: Choices) -> int:
    """An id of one of these parities, the lowest and highest ones as often as all others together."""
    half = 1 << (bits - 1)
    # One choice for both: of six times as many numbers as there are, half stand for the edges.
    kind, number = divmod(choices.below(6 * half), half)
    if kind < 3:
        number = (0, 1, half - 1)[kind]
    return 2 * number + (parities[0] if len(parities) == 1 else choices.pick(parities))


# Frame types of which the validator asks more than their tables say, by their roles.

_WORDS = ("", "a", "%%", " \u00e9", "\0")


def _text(codec: Codec, layout: Layout, choices: Choices) -> bytes:
    """Atoms with as many arguments as %s, the last of which ends its line."""
    (repeated,) = (part.layout for part in layout.parts if part.layout is not None)
    parts = {part.name: part for part in repeated.parts}
    words = [word for word in _WORDS if parts["format"].type == "utf8" or word.isascii()]
    make, _, encode = codec.STRUCTURES[layout.name]
    _, decode_atom, _ = codec.STRUCTURES[repeated.name]
    make_message: Any = make
    atoms = []
    count = choices.below(4)
    for number in range(count):
        placeholders = choices.below(3)
        text = "".join([choices.pick(words), *(f"%s{choices.pick(words)}" for _ in range(placeholders))])
        labels = _strings(parts["labels"], choices, choices.below(3))
        args = _strings(parts["args"], choices, placeholders)
        # What else an atom has is as simple as can be.
        atom = decode_atom(structure(repeated, Simplest()))
        atoms.append(atom.replace(format=text + "\n" * (number == count - 1), labels=labels, args=args))
    return encode(make_message(tuple(atoms)))


def _strings(part: Part, choices: Choices, count: int) -> tuple[str, ...]:
    return tuple(string(part.type, choices, int("empty" in part.rules)).decode() for _ in range(count))


def _progress(codec: Codec, layout: Layout, choices: Choices) -> bytes:
    """A progress map with a topic in ASCII."""
    _, decode, encode = codec.STRUCTURES[layout.name]
    data = structure(layout, choices)
    try:
        value = decode(data)
    except RemoteProtocolError:
        # A limit does not allow it, which the caller finds out.
        return data
    return encode(value.replace(topic=value.topic.encode("ascii", "ignore").decode()))


_MADE: dict[str, Callable[[Codec, Layout, Choices], bytes]] = {"text": _text, "progress": _progress}
