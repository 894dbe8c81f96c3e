"""Coverage of the specification: the parts of the schema that a capture or a corpus exercises, and those that it does not.

Five kinds of goals count: frame types, flags, edges of fields, transitions of the state machines, and violated requirements.
Each has its name from the schema, and its place there.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.errors import EncodingError, HgprotoError, HumanFormError, RemoteProtocolError, shown
from hgproto.evidence.frame_goals import FrameGoals
from hgproto.evidence.goals import KINDS, Goal, goals, row_name
from hgproto.judging.validation import SessionValidator, Validator
from hgproto.reactors.client import Client
from hgproto.reactors.events import Error
from hgproto.reactors.limits import Limits
from hgproto.reactors.server import Server
from hgproto.reactors.session import Lines, Session
from hgproto.revisions.revision import Revision, default_revision
from hgproto.runtime.layout import place_of
from hgproto.runtime.machine import Answer, Event, InState, Row, Set
from hgproto.streams.encodings import Profile, default_encodings
from hgproto.wire.files import whole
from hgproto.wire.hexform import bytes_from_hex, form_of
from hgproto.wire.human import LONGEST_LINE, frame_lines, has_frame, line_bytes
from hgproto.wire.raw import frames_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from enum import IntEnum

    from hgproto.judging.finding import Finding, Role
    from hgproto.reactors.plans import Node
    from hgproto.runtime.frame import Frame
    from hgproto.runtime.machine import Condition, Machine
    from hgproto.streams.encodings import Encodings
    from hgproto.wire.files import Source

__all__ = ["KINDS", "Coverage", "Goal"]


class _Watch:
    """Mixin for reactors of both roles. It records the rows that apply to events and the answers of guards."""

    rows: set[int]
    answers: dict[str, object]
    machine: Any

    def _node(self, outcome: Any, table: Any, frame: Any) -> Node:
        node: Node = super()._node(outcome, table, frame)  # type: ignore[misc]
        ask = node.ask
        if ask is not None:
            guard = outcome.guard

            def asked(reactor: Any, *arguments: Any) -> object:
                answer = ask(reactor, *arguments)
                reactor.answers[guard] = answer
                return answer

            node.ask = asked
        return node

    def _row(self, state: IntEnum, event: Event) -> Row | None:
        row: Row | None = super()._row(state, event)  # type: ignore[misc]
        if row is not None:
            self.rows.add(self.machine.rows.index(row))
        return row


class _WatchedServer(_Watch, Server):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.rows = set()
        self.answers = {}


class _WatchedClient(_Watch, Client):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.rows = set()
        self.answers = {}


_FORMS = ("raw", "hex", "session", "json")


def _check_kinds(kinds: Iterable[str]) -> None:
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"there is no kind of goals {shown(kind)}; there are {', '.join(KINDS)}")


class Coverage:
    """The parts of a revision that were exercised so far. ``goals``: all parts, in the order of the schema.

    ``encodings``: the content encodings that can be decoded. ``revision``: None for framing-0002. Raises :class:`RevisionError`
    for a revision that a server or a client cannot use.
    """

    def __init__(self, encodings: Encodings | None = None, revision: Revision | None = None) -> None:
        self.revision = revision or default_revision()
        """The revision."""
        self._codec = self.revision.codec
        self.goals = list(goals(self.revision))
        self.unavailable: set[str] = set()
        """Content encodings in use that are not installed: their payloads were not checked. It may be cleared."""
        self.is_mixed = False
        """True if the latest bytes of one side have frames on streams of both sides."""
        self._encodings = encodings or default_encodings(revision)
        self._reactors("client")
        self._names = {kind: {goal.name for goal in self.goals if goal.kind == kind} for kind in KINDS}
        self._reached: set[tuple[str, str]] = set()

    def data(self, data: Source, role: Role | None = None) -> None:
        """Counts the bytes that one side sends: bytes, a file, or an iterable of chunks. Memory does not grow with the input.

        ``role``: ``client`` or ``server``; None if the first stream id decides.
        """
        revision, codec = self.revision, self._codec
        session = Validator(role, encodings=self._encodings, revision=revision)
        by_frame = Validator(depth="frames", revision=revision)
        # Fields are counted once, however many reactors receive the frames.
        counter = FrameGoals(self._reach, revision, encodings=self._encodings)
        reactors: list[Any] = []
        parities: set[int] = set()
        stream_id = place_of(codec.FRAME, "stream_id")
        self.is_mixed = False
        for part in frames_in(self._judged(data, session, by_frame), codec):
            reactors = reactors or self._reactors(session.role)
            frame = counter.count(part)
            self.unavailable |= counter.unavailable
            if len(part) > stream_id:
                parities.add(part[stream_id] & 1)
            if not counter.is_blind:
                for reactor in reactors:
                    self._received(reactor, part, frame)
        for reactor in reactors or self._reactors(session.role):
            if counter.is_blind:
                self._stopped(reactor)
            else:
                self._ended(reactor)
        self.is_mixed = len(parities) > 1

    def _judged(self, data: Source, *validators: Validator) -> Iterator[bytes]:
        """Yields chunks. Counts the findings of validators in each chunk first."""
        for chunk in whole(data):
            for validator in validators:
                self._found(validator.feed(chunk))
            yield bytes(chunk)
        for validator in validators:
            self._found(validator.close())

    def _reactors(self, role: Role | None) -> list[Any]:
        """Returns the reactors that receive the frames of ``role``: one per combination of options that changes transitions."""
        common: dict[str, Any] = {"encodings": _with_missing(self._encodings), "revision": self.revision}
        if role == "server":
            return [_WatchedClient(**common, reopen=reopen) for reopen in ("error", "restart")]
        variants: tuple[dict[str, Any], ...] = ({}, {"streaming": True}, {"reopen": "restart"})
        return [_WatchedServer(**common, **options) for options in variants]

    def _received(self, reactor: Any, part: bytes, frame: Frame | None) -> None:
        if frame is None:
            reactor.receive_data(part)
            return
        if reactor.role == "client" and reactor.works and frame.request_id in self.revision.request_ids:
            # Without the client's frames, a request counts as sent once the server sends a frame for it.
            _quietly(reactor.issued, int(frame.request_id))
        events = self._watched(reactor, frame, part)
        if reactor.role == "server":
            _settle(events)

    def session(self, lines: Iterable[str | bytes], **options: Any) -> None:
        """Counts a session in human form, as ``hgproto session`` replays it. Raises :class:`HgprotoError`.

        ``options``: those of both reactors, such as ``limits``, ``reopen``, or ``streaming``.
        """
        texts = ((number, line_bytes(text, number)) for number, text in enumerate(lines, 1))
        self._session(((number, line) for number, line in texts if has_frame(line)), **options)

    def _session(self, lines: Iterable[tuple[int, bytes]], **options: Any) -> None:
        """Counts the lines of a session that have a frame, each with its number."""
        encodings, accepted, codec = self._encodings, _with_missing(self._encodings), self._codec
        options["revision"] = revision = self.revision
        common = {name: value for name, value in options.items() if name != "streaming"}
        session = Session(**options, encodings=accepted)
        session.server = _WatchedServer(**options, encodings=accepted)
        session.client = _WatchedClient(**common, encodings=accepted)
        validator = SessionValidator(**common, encodings=encodings)
        reactors: dict[str, Any] = {">": session.server, "<": session.client}
        limits = options.get("limits")
        counters = {side: FrameGoals(self._reach, revision, encodings=encodings, limits=limits) for side in reactors}
        read = Lines(encodings, revision).read
        is_blind = False
        for number, line in lines:
            try:
                side, frame = read(line)
            except HumanFormError as error:
                raise HumanFormError(error.column, error.expected, error.found, number) from None
            self._found(validator.line(line))
            if frame is None:
                if not is_blind:
                    session.end(side)
                continue
            wire = codec.encode_frame(frame, codec.MAX_PAYLOAD[1])
            counters[side].count(wire)
            self.unavailable |= counters[side].unavailable
            # Each side depends on the frames of the other.
            is_blind = is_blind or counters[side].is_blind
            if not is_blind:
                before = _before(reactors[side], frame)
                self._rows_of(reactors[side], frame, before, session.wire(side, wire, frame).events)
        self._found(validator.close())
        for reactor in reactors.values():
            if is_blind:
                self._stopped(reactor)
            else:
                self._ended(reactor)

    def vectors(self, content: Mapping[str, Any]) -> None:
        """Counts the content of a file of vectors or golden sessions.

        Raises :class:`ValueError` for any other content, and for vectors of another revision. Nothing is counted then.
        """
        vectors, sessions = _contents(content, self.revision)
        for data in vectors:
            self.data(data)
        for index, (lines, options) in enumerate(sessions):
            try:
                self.session(lines, **options)
            except HumanFormError as error:
                where = "" if error.line is None else f".steps[{error.line - 1}].line"
                raise ValueError(f"sessions[{index}]{where}: {error.message}") from None

    def file(self, path: str | os.PathLike[str], role: Role | None = None) -> None:
        """Counts a file. The end of its name, .hex, .session, or .json, selects its form; any other file is raw bytes.

        Raises :class:`OSError`, and the exceptions of :meth:`content`.
        """
        with open(path, "rb") as file:
            self.content(file, form_of(os.fspath(path)), role)

    def content(self, content: Source, form: str = "raw", role: Role | None = None) -> None:
        """Counts content: bytes, a file, or an iterable of chunks. Memory grows with the input only for JSON.

        ``form``: ``json`` for vectors and golden sessions, ``session`` for a session in human form, ``hex`` for hexadecimal
        text, ``raw`` for bytes. ``role``: the side that sends the bytes of the last two forms. Raises :class:`ValueError` for JSON
        without vectors or golden sessions, and :class:`HgprotoError` for an invalid session or invalid hexadecimal. In the last
        two cases, the content before the fault is counted.
        """
        if form not in _FORMS:
            raise ValueError(f"form must be one of {', '.join(_FORMS)}, not {shown(form)}")
        if form == "raw":
            self.data(content, role)
            return
        chunks = whole(content)
        if form == "hex":
            self.data(bytes_from_hex(chunks), role)
        elif form == "session":
            self._session(frame_lines(chunks, LONGEST_LINE))
        else:
            self.vectors(_json(b"".join(chunks)))

    def reached(self, kind: str) -> int:
        """Returns the number of goals of a kind that were reached. Raises :class:`ValueError` for an unknown kind."""
        _check_kinds((kind,))
        return sum(name in self._names[kind] for found, name in self._reached if found == kind)

    def missing(self, kinds: Iterable[str] = KINDS) -> Iterator[Goal]:
        """Returns the goals of some kinds that were not reached, as an iterator. Raises :class:`ValueError` for an unknown kind."""
        if isinstance(kinds, str):
            raise TypeError(f"kinds must be an iterable of kinds, not text; write [{shown(kinds)}]")
        wanted = set(kinds)
        _check_kinds(wanted)
        return (goal for goal in self.goals if goal.kind in wanted and (goal.kind, goal.name) not in self._reached)

    def total(self, kind: str) -> int:
        """Returns the number of goals of a kind. Raises :class:`ValueError` for an unknown kind."""
        _check_kinds((kind,))
        return len(self._names[kind])

    # Observations.

    def _reach(self, kind: str, name: str) -> None:
        self._reached.add((kind, name))

    def _found(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self._reach("requirements", finding.id)

    def _watched(self, reactor: Any, frame: Frame, data: bytes) -> list[Any]:
        before = _before(reactor, frame)
        events: list[Any] = reactor.receive_data(data)
        self._rows_of(reactor, frame, before, events)
        return events

    def _rows_of(self, reactor: Any, frame: Frame, before: _Before, events: Sequence[Any]) -> None:
        """Counts the transitions of a frame. They follow from the states before it and the answers of guards."""
        failed = any(isinstance(event, Error) for event in events)
        codec, revision = self._codec, self.revision
        connection, stream = revision.machine("connection"), revision.machine("stream")
        if not before.works:
            self._transition(connection, _index(connection, before.connection, int(frame.type), set(), {}))
            return
        if not failed:
            self._transition(connection, _index(connection, before.connection, int(frame.type), set(), {}))
        try:
            codec.check_header(frame)
        except RemoteProtocolError:
            return
        if frame.stream_id & 1 != revision.machines.STREAM_PARITY[reactor.peer]:
            return
        flags = {name for mask, name in codec.FLAG_NAMES[int(frame.type)].items() if frame.flags & mask}
        flags |= {name for mask, name in codec.STREAM_FLAG_NAMES.items() if frame.stream_flags & mask}
        index = _index(stream, before.stream, int(frame.type), flags, reactor.answers)
        self._transition(stream, index)
        if frame.type != revision.settings and not _is_refusal(stream, index):
            index = _index(reactor.machine, before.request, int(frame.type), flags, reactor.answers)
            self._transition(reactor.machine, index)

    def _transition(self, machine: Machine, index: int | None) -> None:
        if index is not None:
            self._reach("transitions", row_name(machine, index, self._codec))

    def _ended(self, reactor: Any) -> None:
        """Counts the end of input and the rows for the reactor's own events."""
        stream = self.revision.machine("stream")
        for state in reactor.snapshot().inputs.values():
            self._transition(stream, _index(stream, state, Event.END_OF_INPUT, set(), {}))
        if not reactor.ended:
            _settle(reactor.receive_end())
        self._stopped(reactor)

    def _stopped(self, reactor: Any) -> None:
        """Counts the rows for the reactor's own events."""
        for index in reactor.rows:
            self._transition(reactor.machine, index)


def _with_missing(encodings: Encodings) -> Encodings:
    """Adds the encodings that are not installed, for reactors that receive no payload in one of them."""

    def absent() -> Any:
        raise EncodingError("the content encoding is not installed")

    return encodings.plus(*(Profile(name, absent, absent) for name in encodings.missing))


def _json(content: bytes) -> Any:
    """Decodes JSON. Raises :class:`ValueError` with the fault."""
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("expected vectors or golden sessions, found JSON that is nested too deep") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"expected JSON in UTF-8, found other bytes at offset {error.start}") from None
    except JSONDecodeError:
        raise
    except ValueError:
        # Python limits the number of digits that it converts.
        raise ValueError("expected vectors or golden sessions, found a number of thousands of digits") from None


class _Before(NamedTuple):
    """The states of a reactor before a frame: of the connection, and of the frame's stream and request."""

    works: bool
    connection: Any
    stream: Any
    request: Any


def _contents(content: Any, revision: Revision) -> tuple[list[bytes], list[tuple[list[str], dict[str, Any]]]]:
    """Returns the bytes of vectors, and the lines and options of golden sessions.

    Raises :class:`ValueError` for any other content, and for content of another revision than ``revision``.
    """
    if not isinstance(content, dict) or not {"vectors", "sessions"} & {*content}:
        raise ValueError("expected an object with vectors or sessions")
    title = revision.title
    other = content.get("revision", title)
    if other != title:
        raise ValueError(f"expected content of {title}, found the revision {shown(other)}")
    vectors = []
    for index, vector in enumerate(_member(content, "", "vectors", list, [])):
        wire = _member(vector, f"vectors[{index}]", "wire", str)
        try:
            vectors.append(bytes.fromhex(wire))
        except ValueError:
            raise ValueError(f"vectors[{index}].wire: expected pairs of hexadecimal digits") from None
    sessions = []
    for index, session in enumerate(_member(content, "", "sessions", list, [])):
        place = f"sessions[{index}]"
        lines = []
        for number, step in enumerate(_member(session, place, "steps", list)):
            line = _member(step, f"{place}.steps[{number}]", "line", str)
            raw = _member(step, f"{place}.steps[{number}]", "raw", bool, False)
            lines.append(f"{line[:1]}!{line[1:]}" if raw else line)
        options = dict(_member(session, place, "options", dict, {}))
        if unknown := {*options} - {"limits", "reopen", "streaming"}:
            raise ValueError(f"{place}.options: expected limits, reopen, or streaming, found {shown(min(unknown))}")
        limits = _member(options, f"{place}.options", "limits", dict, {})
        try:
            given = {name.replace("-", "_"): value for name, value in limits.items()}
            options["limits"] = Limits.of_revision(revision).replace(**given)
            Session(**options, revision=revision)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{place}.options: {error}") from None
        sessions.append((lines, options))
    return vectors, sessions


_SURROGATE = re.compile(r"[\ud800-\udc7f\udd00-\udfff]")
"""Half of a surrogate pair, except the code points with which Python represents bytes that are not UTF-8."""
_SORTS = {list: "a list", str: "a text", dict: "an object", bool: "true or false"}


def _member(value: Any, place: str, name: str, sort: type, default: Any = None) -> Any:
    """Returns a member of an object. Raises :class:`ValueError` for a member of another type."""
    if not isinstance(value, dict):
        raise ValueError(f"{place}: expected an object")
    member = value.get(name, default)
    if not isinstance(member, sort):
        raise ValueError(f"{place}.{name}: expected {_SORTS[sort]}".removeprefix("."))
    if isinstance(member, str) and _SURROGATE.search(member):
        raise ValueError(f"{place}.{name}: expected text, found half of a surrogate pair".removeprefix("."))
    return member


def _before(reactor: Any, frame: Frame | None) -> _Before:
    # Only the states of this frame: all states would take quadratic time.
    reactor.answers.clear()
    stream = None if frame is None else reactor.stream_state(int(frame.stream_id))
    request = reactor.machine.initial if frame is None else reactor.request_state(int(frame.request_id))
    return _Before(reactor.works, reactor.state, stream, request)


def _settle(events: Iterable[Any]) -> None:
    """Consumes the frames that a reactor wants to send."""
    for event in events:
        frames = getattr(event, "frames", event) if hasattr(event, "__iter__") or isinstance(event, Error) else ()
        for _ in frames:
            pass


def _quietly(call: Any, *arguments: Any) -> None:
    with suppress(HgprotoError):
        call(*arguments)


def _index(
    machine: Machine, state: Any, what: int | Event, flags: set[str], answers: Mapping[str, object]
) -> int | None:
    """Returns the index of the row of a machine that applied; None if no row did, or if the row is unknown."""

    def known(atom: Condition) -> bool | None:
        if isinstance(atom, Answer | InState):
            return answers[atom.guard] == atom.value if atom.guard in answers else None
        return isinstance(atom, Set) and atom.flag in flags

    for index, row in enumerate(machine.rows):
        applies = row.source == state and (row.event == what or what in row.frames)
        if applies and (row.when is None or row.when.holds(known)):
            return index
    return None


def _is_refusal(machine: Machine, index: int | None) -> bool:
    return index is not None and machine.rows[index].error is not None
