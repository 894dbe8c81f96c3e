"""Single frames of any revision, each valid by itself, built from the tables of the revision's codec."""

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
"""The number of payloads of each type that are kept for reuse."""
_PROBES = tuple(product((1, 2), (1, 2), (b"", b"\0")))


class NotMadeError(Exception):
    """The choices lead to no valid frame. Other choices may, unless the requirements exclude every frame of the type."""


class TooSmallLimitError(NotMadeError):
    """A limit excludes even the shortest payload, so that no choices lead to a frame."""


class Header(NamedTuple):
    """Flags and stream flags that a frame type may have together, and the parities of the ids that go with them."""

    flags: int
    stream_flags: int
    request_parities: tuple[int, ...]
    stream_parities: tuple[int, ...]


class FrameMaker:
    """Builder of frames of a revision.

    ``revision``: None for the default revision. ``tries``: the number of attempts before :class:`NotMadeError`. An attempt fails
    if the complete frame violates a requirement, such as one about the length. ``fresh``: one in so many payloads is new; the
    others are reused with other ids and flags, which is faster. ``max_payload``: the maximum bytes of a payload; None for that
    of the revision. Raises :class:`ValueError` for a limit under 1, or over the largest that the revision allows.
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
        # The frame types with requirements that are not in their tables.
        roles = revision.roles.FRAMES
        self._made = {roles[role]: make for role, make in _MADE.items() if role in roles}
        self._headers: dict[tuple[int, bool], tuple[Header, ...]] = {}
        self._leasts: dict[tuple[int, int, bool], int] = {}
        self._simplest_of: dict[tuple[int, int, bool], tuple[bytes | None, str]] = {}

    def headers(self, type_: int, *, encoded: bool = False) -> tuple[Header, ...]:
        """Returns the valid headers of a frame type, those with the fewest flags first; empty if no header is valid.

        ``encoded``: as for :meth:`frame`.
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
        """True if a frame of this type may have an encoded payload."""
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
        """True if the codec accepts the header of a frame."""
        try:
            self.codec.check_header(frame)
        except RemoteProtocolError:
            return False
        return True

    def payload(self, choices: Choices, type_: int, *, flags: int = 0, continued: bool = False) -> bytes:
        """Builds a valid payload of a type.

        ``flags``: those of the frame. ``continued``: True if the payload continues the latest frame of its request. Raises
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

        ``flags``, ``continued``: as for :meth:`payload`; None for any flags.
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
        """Builds a payload that may violate a requirement. ``name``: its structure, or the type of a string."""
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
        """Returns the simplest payload, which is the shortest; None if it violates a requirement.

        Raises :class:`TooSmallLimitError` if a limit does not allow it. It makes no choices, so that a strategy makes the same
        draws each time.
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
        """Returns the reason why a limit does not allow a payload; empty if every limit allows it."""
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
        """True if the codec accepts a payload."""
        try:
            self.codec.decode_payload(self.codec.make_frame(0, 0, 0, type_, flags, data), continued)
        except RemoteProtocolError:
            return False
        return True

    def _not_made(self, type_: int | None) -> NotMadeError:
        of = "" if type_ is None else f" of the type {self.codec.TYPE_NAMES[type_]}"
        return NotMadeError(f"no valid frame{of} was found")

    def _payload(self, choices: Choices, type_: int, flags: int, continued: bool) -> bytes:
        """Returns a new payload, or one that was built before."""
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
        """Returns the least size, in bytes, of a payload that is one string. It is found by trying, since no table has it."""
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
        encoded, and thus arbitrary bytes. Types whose payload is always encoded ignore it. Raises :class:`NotMadeError`.
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
                # Other flags, or another type, may have valid payloads.
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
        """Yields an infinite sequence of frames. Each is valid by itself when they are read in order.

        Each comes with True if its payload continues that of an earlier frame of its type and request. ``type_``, ``encoded``: as
        for :meth:`frame`. Raises :class:`NotMadeError`.
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
    """Returns the values of all combinations of flags."""
    sums = [0]
    for mask in masks:
        sums += [mask | one for one in sums]
    return sums


def _id(parities: tuple[int, ...], bits: int, choices: Choices) -> int:
    """Chooses an id of one of these parities: the lowest and highest ids as often as all others together."""
    half = 1 << (bits - 1)
    # One choice decides both: of 6 * half numbers, the first half select an edge.
    kind, number = divmod(choices.below(6 * half), half)
    if kind < 3:
        number = (0, 1, half - 1)[kind]
    return 2 * number + (parities[0] if len(parities) == 1 else choices.pick(parities))


# Frame types with requirements that are not in their tables, by role.

_WORDS = ("", "a", "%%", " \u00e9", "\0")


def _text(codec: Codec, layout: Layout, choices: Choices) -> bytes:
    """Builds a message whose atoms have one argument per %s. The last atom ends with a newline."""
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
        # All other fields of the atom have their simplest values.
        atom = decode_atom(structure(repeated, Simplest()))
        atoms.append(atom.replace(format=text + "\n" * (number == count - 1), labels=labels, args=args))
    return encode(make_message(tuple(atoms)))


def _strings(part: Part, choices: Choices, count: int) -> tuple[str, ...]:
    return tuple(string(part.type, choices, int("empty" in part.rules)).decode() for _ in range(count))


def _progress(codec: Codec, layout: Layout, choices: Choices) -> bytes:
    """Builds a progress map with an ASCII topic."""
    _, decode, encode = codec.STRUCTURES[layout.name]
    data = structure(layout, choices)
    try:
        value = decode(data)
    except RemoteProtocolError:
        # A limit does not allow it; the caller's check reports that.
        return data
    return encode(value.replace(topic=value.topic.encode("ascii", "ignore").decode()))


_MADE: dict[str, Callable[[Codec, Layout, Choices], bytes]] = {"text": _text, "progress": _progress}
