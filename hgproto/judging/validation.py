"""The validator: all that is wrong with bytes, each finding with its rule, its place and both sides of the matter.

Three depths. One payload of a type: :func:`validate_payload`. Frames, each judged by itself: ``depth="frames"``, for any
revision. A session, with its streams, its requests and what is inside of encoded payloads: one direction with
:func:`validate` or :class:`Validator`, both with :class:`SessionValidator`. :func:`assert_valid` is for tests.

Whatever the bytes, nothing is raised, and memory is bounded by the limits: findings are yielded as they are found, and of
one frame there are at most :data:`hgproto.judging.rules.MOST_REMARKS` about an advisory requirement, and one that counts the rest.
"""

from __future__ import annotations

import warnings
from collections import deque
from copy import copy
from io import StringIO
from itertools import chain, islice
from typing import TYPE_CHECKING

from hgproto.errors import RemoteProtocolError, counted, shown
from hgproto.judging.finding import ERROR, NOTE, ROLES, checked_role
from hgproto.judging.frame_judge import FrameJudge, untracked_message
from hgproto.judging.places import Places
from hgproto.judging.rules import payload_remarks
from hgproto.reactors.limits import Limits
from hgproto.reactors.session import Lines
from hgproto.runtime.bytelike import as_bytes, bytes_like
from hgproto.runtime.definition import defined
from hgproto.runtime.frame import Unique, check_instance, check_text, checked_number
from hgproto.runtime.layout import counted_bytes
from hgproto.streams.encodings import Encodings, default_encodings
from hgproto.streams.input_stream import checked_reopen
from hgproto.wire.files import Chunks, whole
from hgproto.wire.raw import header_number
from hgproto.wire.reader import checked_max_payload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Literal

    from hgproto.judging.command_judge import CommandJudge
    from hgproto.judging.finding import Finding, Role
    from hgproto.judging.response_judge import ResponseJudge
    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.definition import Definition
    from hgproto.wire.files import Source

__all__ = ["PayloadValidator", "SessionValidator", "Validator", "assert_valid", "validate", "validate_payload"]

MOST_SHOWN = 20
"""Findings that :func:`assert_valid` shows."""


def _drained(waiting: deque[Iterator[Finding]]) -> Iterator[Finding]:
    """Yields the findings of each source in turn. An iterator that is abandoned leaves the rest to the next one."""
    while waiting:
        finding = next(waiting[0], None)
        if finding is None:
            waiting.popleft()
        else:
            yield finding


def _checked_items(name: str, number: int, revision: Definition) -> int | None:
    """A limit on items if it can be one of the revision, None if that has no such limit. Raises as ``checked_number`` does."""
    limit = revision.codec.ITEMS_LIMIT
    return None if limit is None else checked_number(name, number, 1, revision.codec.LIMITS[limit][1])


class Validator(Unique):
    """Validates what one side sends, fed in chunks of any size.

    Findings are found while they are iterated over. Take all findings of one call before the next call: what an iterator
    still holds then comes first in the next one.

    ``role``: who sent it, ``client`` or ``server``; None to tell by the id of the first frame's stream. ``depth``:
    ``session`` or ``frames``. ``limits``: of a receiver; of frames, only those on payloads and their items have an effect.
    ``max_payload``: the most bytes of a payload, if not that of the limits. ``encodings``: the content encodings that can be
    looked into. ``reopen``: what *stream-begin* on an open stream is, as of :class:`hgproto.reactors.server.Server`.
    ``revision``: sessions need its state machines. Raises :class:`ValueError` for arguments that cannot be.
    """

    def __init__(
        self,
        role: Role | None = None,
        *,
        depth: Literal["session", "frames"] = "session",
        limits: Limits | None = None,
        max_payload: int | None = None,
        encodings: Encodings | None = None,
        reopen: Literal["error", "restart"] = "error",
        revision: Definition | None = None,
    ) -> None:
        if depth not in ("session", "frames"):
            raise ValueError(f"depth is 'session' or 'frames', not {shown(depth)}")
        revision = defined(revision)
        if depth == "session" and not revision.has_sessions:
            raise ValueError(f"sessions of {revision.title} cannot be validated, only its frames; use depth='frames'")
        limits = Limits.of_revision(revision) if limits is None else limits
        check_instance(limits, Limits, "limits")
        if encodings is not None:
            check_instance(encodings, Encodings, "encodings")
        self.role = None if role is None else checked_role(role)
        """Who sends; None as long as that is not known."""
        self._depth = depth
        self._revision = revision
        if max_payload is None:
            max_payload = limits.max_payload
        self._max_payload = checked_max_payload(max_payload, revision.codec)
        self._max_items = _checked_items("payload_items", limits.payload_items, revision)
        self._limits = copy(limits)
        if revision.has_sessions:
            self._limits.max_payload = self._max_payload
        self._encodings = encodings
        self._reopen = checked_reopen(reopen)
        self._judge: CommandJudge | ResponseJudge | FrameJudge | None = None
        self._begun = b""
        self._size = 0
        self._waiting: deque[Iterator[Finding]] = deque()
        if role is not None or depth == "frames":
            self._judge = self._made()

    def feed(self, data: BytesLike) -> Iterator[Finding]:
        """Yields what is wrong with the frames that ``data`` makes whole, in wire order, as it is found.

        Raises :class:`TypeError` for what is not bytes.
        """
        data = as_bytes(data)
        self._size += len(data)
        if self._judge is None:
            data = self._begun + data
            codec = self._revision.codec
            if len(data) < codec.HEADER_BYTES:
                self._begun = data
                return iter(())
            stream_id = header_number(data, "stream_id", codec)
            self.role = next(role for role in ROLES if stream_id & 1 == self._revision.machines.STREAM_PARITY[role])
            self._judge = self._made()
        self._waiting.append(self._judge.feed(data))
        return _drained(self._waiting)

    def close(self) -> Iterator[Finding]:
        """Yields what is wrong with an input that ends here. Nothing may be fed after it."""
        if self._judge is None:
            # Too little to tell anything by, and too little for a frame.
            self.role = ROLES[0]
            self._judge = self._made()
            self._waiting.append(self._judge.feed(self._begun))
        self._waiting.append(self._judge.close())
        return _drained(self._waiting)

    @property
    def frames(self) -> int:
        """Whole frames whose findings were taken, and those without any that came before the next finding."""
        return 0 if self._judge is None else self._judge.frames

    @property
    def size(self) -> int:
        """Bytes that were fed."""
        return self._size

    @property
    def unavailable(self) -> frozenset[str]:
        """Content encodings in use that are not installed here: their payloads were not looked into."""
        return frozenset() if self._judge is None else frozenset(self._judge.unavailable)

    @property
    def untracked(self) -> int:
        """Frames whose payloads were not looked into, because too many requests had an incomplete value at a time.

        The limit is ``MOST_INCOMPLETE`` of ``hgproto.wire.jsonform``.
        """
        return self._judge.untracked if isinstance(self._judge, FrameJudge) else 0

    def _made(self) -> CommandJudge | ResponseJudge | FrameJudge:
        if self._depth == "frames":
            return FrameJudge(self._revision, self.role, self._max_payload, self._max_items)
        from hgproto.judging.command_judge import CommandJudge
        from hgproto.judging.response_judge import ResponseJudge

        judge = CommandJudge if self.role == "client" else ResponseJudge
        return judge(limits=self._limits, encodings=self._encodings, reopen=self._reopen, revision=self._revision)


class SessionValidator(Unique):
    """Validates both directions of a connection, told in the order in which things were sent.

    Arguments as of :class:`Validator`, and so is how findings are given.
    """

    untracked = 0

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        encodings: Encodings | None = None,
        reopen: Literal["error", "restart"] = "error",
        revision: Definition | None = None,
    ) -> None:
        from hgproto.judging.command_judge import CommandJudge
        from hgproto.judging.response_judge import ResponseJudge

        self._judges: dict[str, CommandJudge | ResponseJudge] = {
            "client": CommandJudge(limits=limits, encodings=encodings, reopen=reopen, revision=revision),
            "server": ResponseJudge(limits=limits, encodings=encodings, reopen=reopen, revision=revision),
        }
        self._judges["client"].link = self._judges["server"]
        self._judges["server"].link = self._judges["client"]
        self._lines = Lines(encodings, revision)
        self._codec = defined(revision).codec
        self._size = 0
        self._waiting: deque[Iterator[Finding]] = deque()

    def feed(self, role: Role, data: BytesLike) -> Iterator[Finding]:
        """Yields what is wrong with the frames of ``role``, client or server, that ``data`` makes whole.

        Raises :class:`TypeError` for what is not bytes, and :class:`ValueError` for another role.
        """
        judge, data = self._judges[checked_role(role)], as_bytes(data)
        self._size += len(data)
        self._waiting.append(judge.feed(data))
        return _drained(self._waiting)

    def close(self, role: Role | None = None) -> Iterator[Finding]:
        """Yields what is wrong with the output of ``role``, or with that of both, ending here. Raises as :meth:`feed` does."""
        roles = ROLES if role is None else (checked_role(role),)
        self._waiting.extend(self._judges[one].close() for one in roles)
        return _drained(self._waiting)

    def line(self, line: str | BytesLike, number: int | None = None) -> Iterator[Finding]:
        """Yields what is wrong with a line of a session in human form, the ``number``-th: ``>`` or ``<``, and a frame.

        Raises :class:`hgproto.errors.HumanFormError` for what is no such line, and
        :class:`hgproto.errors.LocalProtocolError` for a payload that no length can say.
        """
        side, frame = self._lines.read(line)
        role = "client" if side == ">" else "server"
        findings: Iterator[Finding]
        if frame is None:
            findings = self._judges[role].close()
        else:
            wire = self._codec.encode_frame(frame, self._codec.MAX_PAYLOAD[1])
            self._size += len(wire)
            # The next line is no part of what this one has wrong.
            findings = chain(self._judges[role].feed(wire), self._judges[role].settle())
        self._waiting.append(_numbered(findings, number))
        return _drained(self._waiting)

    @property
    def frames(self) -> int:
        """Whole frames, of both sides, that were looked at."""
        return sum(judge.frames for judge in self._judges.values())

    @property
    def size(self) -> int:
        """Bytes that were fed, of both sides."""
        return self._size

    @property
    def unavailable(self) -> frozenset[str]:
        """Content encodings in use that are not installed here: their payloads were not looked into."""
        return frozenset(name for judge in self._judges.values() for name in judge.unavailable)


def _numbered(findings: Iterator[Finding], number: int | None) -> Iterator[Finding]:
    """Findings with the number of their line."""
    for finding in findings:
        finding.line = number
        yield finding


def validate(
    data: Source,
    *,
    role: Role | None = None,
    depth: Literal["session", "frames"] = "session",
    limits: Limits | None = None,
    max_payload: int | None = None,
    encodings: Encodings | None = None,
    reopen: Literal["error", "restart"] = "error",
    revision: Definition | None = None,
) -> Iterator[Finding]:
    """What is wrong with all that one side sends: bytes, a file, or an iterable of chunks.

    Findings come as soon as they are found, in wire order. Arguments as of :class:`Validator`, which is for those who are
    fed. Raises :class:`ValueError` for arguments that cannot be, and nothing for any bytes. Iterating raises
    :class:`BlockingIOError` if a file has no bytes yet: wait until it can be read, and go on with the same iterator.
    """
    validator = Validator(
        role,
        depth=depth,
        limits=limits,
        max_payload=max_payload,
        encodings=encodings,
        reopen=reopen,
        revision=revision,
    )
    return Findings(validator, data)


class Findings(Unique):
    """An iterator over the findings of a source; see :func:`validate`.

    Unlike a generator, it can be used again after an exception of the source: what was read before it is kept.
    """

    def __init__(self, validator: Validator, source: Source) -> None:
        self._validator = validator
        self._chunks = Chunks(source, copy=True)
        self._found: Iterator[Finding] = iter(())
        self._closed = False

    def __iter__(self) -> Iterator[Finding]:
        return self

    def __next__(self) -> Finding:
        while True:
            for finding in self._found:
                return finding
            if self._closed:
                raise StopIteration
            chunk = next(self._chunks, None)
            if chunk is None:
                self._closed = True
                self._found = iter(self._validator.close())
            else:
                self._found = iter(self._validator.feed(chunk))


class PayloadValidator(Unique):
    """Validates one payload, fed in chunks of any size, offsets from its start.

    ``type``: the name of a frame type. ``flags``: those of the frame, as far as they decide what the payload is.
    ``continued``: whether it goes on where the frame before ended. ``max_payload``: the most bytes, if not all that the length
    of a frame can say. ``max_items``: the most items, if not the revision's limit. Raises :class:`ValueError` for arguments that
    cannot be, such as a type that there is not.
    """

    frames = untracked = 0
    unavailable: frozenset[str] = frozenset()

    def __init__(
        self,
        type: str,
        *,
        flags: int = 0,
        continued: bool = False,
        revision: Definition | None = None,
        max_payload: int | None = None,
        max_items: int | None = None,
    ) -> None:
        self._revision = revision = defined(revision)
        codec = revision.codec
        if type not in codec.CODES:
            raise ValueError(f"there is no frame type {shown(type)}; there are {', '.join(codec.CODES)}")
        self._codec = codec
        self._frame = codec.make_frame(
            0, 0, 0, codec.CODES[type], checked_number("flags", flags, 0, codec.FIELDS["flags"][3]), b""
        )
        self._continued = continued
        self._places = Places(revision)
        most = codec.MAX_PAYLOAD[1]
        self._most = most if max_payload is None else checked_max_payload(max_payload, codec)
        self._max_items = None if max_items is None else _checked_items("max_items", max_items, revision)
        if max_items is not None and self._max_items is None:
            raise ValueError(f"{revision.title} has no limit on items; leave max_items out")
        self._data = bytearray()
        self.size = 0

    def feed(self, data: BytesLike) -> Iterator[Finding]:
        """Takes bytes, of which nothing is said before :meth:`close`. Raises :class:`TypeError` for what is not bytes."""
        data = bytes_like(data)
        self.size += len(data)
        if self.size <= self._most:
            self._data += data
        return iter(())

    def close(self) -> Iterator[Finding]:
        """Yields what is wrong with the payload."""
        if self.size > self._most:
            rule = next(part.rules["limit"] for part in self._codec.FRAME.parts if "limit" in part.rules)
            fault = RemoteProtocolError(
                rule, self._most, "", f"at most {counted_bytes(self._most)}", counted_bytes(self.size)
            )
            yield self._places.of_payload(fault, self._frame, continued=False)
            return
        frame = self._frame.replace(payload=bytes(self._data))
        for (error, size, more), refused in payload_remarks(frame, self._continued, self._revision, self._max_items):
            yield self._places.of_payload(
                error, frame, continued=self._continued, refused=refused, known_size=size, more=more
            )


def validate_payload(
    type: str,
    payload: BytesLike,
    *,
    flags: int = 0,
    continued: bool = False,
    revision: Definition | None = None,
    max_payload: int | None = None,
    max_items: int | None = None,
) -> list[Finding]:
    """What is wrong with one payload. Arguments as of :class:`PayloadValidator`."""
    validator = PayloadValidator(
        type, flags=flags, continued=continued, revision=revision, max_payload=max_payload, max_items=max_items
    )
    validator.feed(payload)
    return list(validator.close())


def assert_valid(
    data: Source,
    *,
    strict: bool = False,
    ignore: Iterable[str] = (),
    name: str = "bytes",
    role: Role | None = None,
    depth: Literal["session", "frames"] = "session",
    limits: Limits | None = None,
    max_payload: int | None = None,
    encodings: Encodings | None = None,
    reopen: Literal["error", "restart"] = "error",
    revision: Definition | None = None,
) -> None:
    """Raises :class:`AssertionError`, with the findings shown at their bytes, when an implementation's bytes are wrong.

    ``strict``: warnings count too. ``ignore``: requirements that may be broken. ``name``: what to call the bytes. Otherwise
    as :func:`validate`; notes never count. Warns of payloads that were not looked into, because a package is missing.
    """
    __tracebackhide__ = True
    check_text(name, "name")
    if isinstance(ignore, str):
        raise TypeError(f"ignore must be an iterable of requirements, not text; write [{shown(ignore)}]")
    ignored = frozenset(ignore)
    options = {"depth": depth, "limits": limits, "max_payload": max_payload, "encodings": encodings, "reopen": reopen}
    validator = Validator(role, revision=revision, **options)  # type: ignore[arg-type]
    failures = (
        finding
        for finding in Findings(validator, whole(data))
        if finding.id not in ignored and (finding.severity == ERROR or (strict and finding.severity != NOTE))
    )
    listed = list(islice(failures, MOST_SHOWN))
    more = sum(1 for _ in failures)
    remedies = (encodings or default_encodings()).missing
    for one in sorted(validator.unavailable):
        warnings.warn(f"{name}: payloads in {one} were not looked into; {remedies[one]}", stacklevel=2)
    if validator.untracked:
        warnings.warn(f"{name}: {untracked_message(validator.untracked)}", stacklevel=2)
    if listed:
        from hgproto.judging.report.text import TextReport

        text = StringIO()
        report = TextReport(text)
        report.begin(name)
        for finding in listed:
            report.finding(name, finding)
        rest = f"\n\nand {more} more" if more else ""
        raise AssertionError(f"{counted(len(listed) + more, 'finding')}\n{text.getvalue().rstrip()}{rest}")
