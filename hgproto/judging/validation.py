"""The validator, which reports every requirement that bytes violate, with the place of each violation.

There are three depths. :func:`validate_payload` checks one payload. ``depth="frames"`` checks each frame separately,
for any revision. A session is checked with its streams, its requests, and encoded payloads: one direction with
:func:`validate` or :class:`Validator`, or both with :class:`SessionValidator`. :func:`assert_valid` is for tests.

No bytes raise an exception, and the limits bound the memory: findings are yielded as they are found. For an advisory
requirement, one frame has at most :data:`hgproto.judging.rules.MOST_REMARKS` findings, and one that counts the rest.
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
"""The most findings that :func:`assert_valid` shows."""


def _drained(waiting: deque[Iterator[Finding]]) -> Iterator[Finding]:
    """Yields the findings of each source in turn. If an iterator is abandoned, the next one yields the rest."""
    while waiting:
        finding = next(waiting[0], None)
        if finding is None:
            waiting.popleft()
        else:
            yield finding


def _checked_items(name: str, number: int, revision: Definition) -> int | None:
    """Returns the checked limit on items, or None if the revision has no such limit. Raises as ``checked_number`` does."""
    limit = revision.codec.ITEMS_LIMIT
    return None if limit is None else checked_number(name, number, 1, revision.codec.LIMITS[limit][1])


class Validator(Unique):
    """A validator of what one side sends, in chunks of any size.

    Input is checked while the caller iterates over the findings. Consume all findings of one call before the next call.
    Otherwise, the remaining findings come first in the next iterator.

    ``role``: the sender, ``client`` or ``server``; None to derive it from the id of the first frame's stream.
    ``depth``: ``session`` or ``frames``. ``limits``: those of a receiver; for frames, only the limits on payloads and
    their items have an effect. ``max_payload``: the most bytes of a payload; None for that of the limits.
    ``encodings``: the content encodings that can be decoded. ``reopen``: the treatment of *stream-begin* on an open
    stream, as for :class:`hgproto.reactors.server.Server`. ``revision``: None for the default; sessions need its state
    machines. Raises :class:`ValueError` for invalid arguments.
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
        """The sender; None while it is unknown."""
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
        """Returns an iterator over the findings about the frames that are complete with ``data``, in wire order.

        Raises :class:`TypeError` for other types than bytes.
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
        """Ends the input, and returns an iterator over the remaining findings. Nothing may be fed after it."""
        if self._judge is None:
            # The input is shorter than a header, so any role leads to the same finding.
            self.role = ROLES[0]
            self._judge = self._made()
            self._waiting.append(self._judge.feed(self._begun))
        self._waiting.append(self._judge.close())
        return _drained(self._waiting)

    @property
    def frames(self) -> int:
        """The number of frames that were checked while the caller iterated over the findings."""
        return 0 if self._judge is None else self._judge.frames

    @property
    def size(self) -> int:
        """The number of bytes that were fed."""
        return self._size

    @property
    def unavailable(self) -> frozenset[str]:
        """Content encodings in use that are not installed, so that their payloads were not checked."""
        return frozenset() if self._judge is None else frozenset(self._judge.unavailable)

    @property
    def untracked(self) -> int:
        """The number of frames whose payloads were not checked because of too many requests with an incomplete value.

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
    """A validator of both directions of a connection. Feed it in the order in which the bytes were sent.

    The arguments and the iterators over findings are those of :class:`Validator`.
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
        """Returns an iterator over the findings about the frames of ``role`` that are complete with ``data``.

        Raises :class:`TypeError` for other types than bytes, and :class:`ValueError` for an unknown role.
        """
        judge, data = self._judges[checked_role(role)], as_bytes(data)
        self._size += len(data)
        self._waiting.append(judge.feed(data))
        return _drained(self._waiting)

    def close(self, role: Role | None = None) -> Iterator[Finding]:
        """Ends the output of ``role`` or of both sides, and returns an iterator over the findings. Raises as :meth:`feed`."""
        roles = ROLES if role is None else (checked_role(role),)
        self._waiting.extend(self._judges[one].close() for one in roles)
        return _drained(self._waiting)

    def line(self, line: str | BytesLike, number: int | None = None) -> Iterator[Finding]:
        """Returns an iterator over the findings about a line of a session in human form: ``>`` or ``<``, and a frame.

        ``number``: that of the line, for findings. Raises :class:`hgproto.errors.HumanFormError` for an invalid line,
        and :class:`hgproto.errors.LocalProtocolError` for a payload that is too long for the length field.
        """
        side, frame = self._lines.read(line)
        role = "client" if side == ">" else "server"
        findings: Iterator[Finding]
        if frame is None:
            findings = self._judges[role].close()
        else:
            wire = self._codec.encode_frame(frame, self._codec.MAX_PAYLOAD[1])
            self._size += len(wire)
            # Findings about this line must not include the next line.
            findings = chain(self._judges[role].feed(wire), self._judges[role].settle())
        self._waiting.append(_numbered(findings, number))
        return _drained(self._waiting)

    @property
    def frames(self) -> int:
        """The number of checked frames of both sides."""
        return sum(judge.frames for judge in self._judges.values())

    @property
    def size(self) -> int:
        """The number of bytes that were fed, of both sides."""
        return self._size

    @property
    def unavailable(self) -> frozenset[str]:
        """Content encodings in use that are not installed, so that their payloads were not checked."""
        return frozenset(name for judge in self._judges.values() for name in judge.unavailable)


def _numbered(findings: Iterator[Finding], number: int | None) -> Iterator[Finding]:
    """Yields findings with the number of their line."""
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
    """Returns an iterator over the findings about everything that one side sends: bytes, a file, or chunks.

    Findings are in wire order, and each is yielded once it is found. The arguments are those of :class:`Validator`.
    Raises :class:`ValueError` for invalid arguments, and no exception for any bytes. Iterating raises
    :class:`BlockingIOError` if a file has no bytes yet: wait until it can be read, and continue with the same iterator.
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

    Unlike a generator, it can be used again after an exception of the source, without losing findings.
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
    """A validator of one payload, in chunks of any size. Offsets count from the start of the payload.

    ``type``: the name of a frame type. ``flags``: the frame's flags; only those that select the payload's structure
    matter. ``continued``: True if the payload continues that of the frame before. ``max_payload``: the most bytes; None
    for the maximum of the length field. ``max_items``: the most items; None for the revision's limit. Raises
    :class:`ValueError` for invalid arguments, such as an unknown type.
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
        """Adds bytes. All findings come from :meth:`close`. Raises :class:`TypeError` for other types than bytes."""
        data = bytes_like(data)
        self.size += len(data)
        if self.size <= self._most:
            self._data += data
        return iter(())

    def close(self) -> Iterator[Finding]:
        """Yields the findings about the payload."""
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
    """Returns the findings about one payload. The arguments are those of :class:`PayloadValidator`."""
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
    """Raises :class:`AssertionError` if the bytes of an implementation violate a requirement. The text shows the findings.

    ``strict``: warnings count too; notes never do. ``ignore``: requirements that may be violated. ``name``: the name of
    the bytes in messages. The other arguments are those of :func:`validate`. Warns of payloads that were not checked
    because a package is missing.
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
        warnings.warn(f"{name}: payloads in {one} were not checked; {remedies[one]}", stacklevel=2)
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
