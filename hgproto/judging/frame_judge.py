"""The judge of single frames, for any revision."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from hgproto.errors import LimitError, RemoteProtocolError, counted
from hgproto.judging.places import Places
from hgproto.judging.rules import payload_remarks
from hgproto.wire.jsonform import MOST_INCOMPLETE, Continuations
from hgproto.wire.reader import Pieces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from hgproto.judging.finding import Finding, Role
    from hgproto.judging.places import Refused
    from hgproto.runtime.definition import Definition
    from hgproto.runtime.frame import Frame

__all__ = ["FrameJudge", "untracked_message"]


class FrameJudge:
    """A judge that checks each frame separately.

    ``frames``: the number of checked frames. ``unavailable``: always empty, because no payload is decompressed.
    ``untracked``: the number of payloads that were not checked, because it is unknown if they continue a value.
    """

    def __init__(self, revision: Definition, role: Role | None, max_payload: int, max_items: int | None) -> None:
        self.frames = 0
        self.size = 0
        self.unavailable: set[str] = set()
        self.untracked = 0
        self._revision = revision
        self._codec = revision.codec
        self._role = role
        self._parity: Any = None if role is None else revision.machines.STREAM_PARITY
        self._max_payload = max_payload
        self._max_items = max_items
        self._places = Places(revision, role)
        self._pieces = Pieces()
        self._continuations = Continuations(self._codec)
        self._over = False
        self._refused: Refused | None = None

    def feed(self, data: bytes) -> Iterator[Finding]:
        """Yields the findings about the frames that are complete with ``data``."""
        if self._refused is not None:
            self._refused.add(data)
            yield from self._shown()
            return
        if self._over or not self._pieces.take(data):
            return
        start = self._pieces.position
        try:
            for frame in self._codec.read_frames(self._pieces, self._max_payload):
                yield from self._judged(frame, start)
                self.frames += 1
                start += self._codec.HEADER_BYTES + len(frame.payload)
        except RemoteProtocolError as error:
            self._over = True
            self._refused = self._places.refused(error, self._pieces.rest, self._pieces.position, self.frames)
            yield from self._shown()

    def _shown(self, *, at_end: bool = False) -> Iterator[Finding]:
        """Yields the finding about a rejected header once the bytes that it shows have arrived."""
        refused = self._refused
        if refused is not None and (at_end or refused.is_shown):
            self._refused = None
            yield refused.finding()

    def close(self) -> Iterator[Finding]:
        """Ends the input, and yields the remaining findings."""
        yield from self._shown(at_end=True)
        if not self._over and self._pieces.missing:
            self._over = True
            error = self._pieces.cut(self._codec, self._max_payload)
            yield self._places.of_rest(error, self._pieces.rest, self._pieces.position, self.frames)

    def _judged(self, frame: Frame, start: int) -> Iterator[Finding]:
        codec = self._codec
        continued: bool | None = None
        with suppress(LimitError):
            continued = self._continuations.next(frame)
        if self._parity is not None and frame.stream_id & 1 != self._parity[self._role]:
            which = "odd" if self._parity[self._role] else "even"
            expected = f"a stream of the {self._role}, which is {which}"
            place = codec.FIELDS["stream_id"][0]
            error = RemoteProtocolError(
                self._parity["requirement"], place, "stream_id", expected, str(int(frame.stream_id))
            )
            yield self._places.finding(error, frame, start, self.frames)
            return
        try:
            codec.check_header(frame)
        except RemoteProtocolError as error:
            yield self._places.finding(error, frame, start, self.frames)
            return
        if continued is None:
            self.untracked += 1
            return
        for (fault, size, more), refused in payload_remarks(frame, continued, self._revision, self._max_items):
            yield self._places.finding(
                fault.moved(codec.HEADER_BYTES),
                frame,
                start,
                self.frames,
                continued=continued,
                refused=refused,
                known_size=size,
                more=more,
            )


def untracked_message(number: int) -> str:
    """Returns the message about payloads that were not checked, with the remedy. ``number``: that of the payloads."""
    return (
        f"{counted(number, 'payload')} {'was' if number == 1 else 'were'} not checked, because more than {MOST_INCOMPLETE} "
        "requests had an incomplete value at a time; validate a part of the input"
    )
