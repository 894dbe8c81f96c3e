"""Messages, which are sequences of frames, and the checks that frame types and machines allow these frames."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from hgproto.language.constraints import allowed_flags
from hgproto.language.names import field_fault
from hgproto.language.problems import Problem
from hgproto.language.roles import DATA_FOLLOWS, is_argument, is_bytes, is_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hgproto.language.model import Condition, FrameType, Machine, Row, Schema
    from hgproto.language.problems import Place

__all__ = ["Message", "MessagePart", "message_problems"]

RESERVED = frozenset({"begin", "end", "errors", "extra", "max_payload", "request_id", "stream_id"})
"""The parameters that every builder has, so that a schema cannot declare them."""


@dataclass(frozen=True, slots=True)
class MessagePart:
    """The frames of one type in a message. ``each`` and ``cut``: the parameter that they carry; both None for one frame.

    ``shorten``: True if a text that is too long is shortened, at a character. ``flags``: for each flag, the parameter that sets
    it. ``otherwise``: the flag that is set if no parameter sets one. ``chooser``: the parameter that names one of ``choices``.
    """

    frame: FrameType
    each: str | None
    cut: str | None
    shorten: bool
    flags: Mapping[str, str]
    otherwise: str | None
    chooser: str | None
    choices: tuple[str, ...]
    place: Place

    @property
    def is_single(self) -> bool:
        """True for one frame, whose fields are parameters."""
        return self.each is None and self.cut is None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the payload of one frame."""
        if not self.is_single:
            return ()
        case = self.frame.payload[0]
        if case.structure is None:
            return () if case.field is None else (case.field.name,)
        if case.structure.is_cbor:
            return tuple(entry.name for entry in case.structure.entries)
        return tuple(field.name for field in case.structure.values)

    def flag(self, role: str) -> str:
        """Returns the name of the flag with a role."""
        return next(flag.name for flag in self.frame.flags if flag.role == role)


@dataclass(frozen=True, slots=True)
class Message:
    """A message: one or more frames in order. ``parameters``: the docs of declared parameters, by name."""

    name: str
    doc: str
    parameters: Mapping[str, str]
    parts: tuple[MessagePart, ...]
    place: Place

    @property
    def roles(self) -> tuple[str | None, ...]:
        """The roles of its frame types. Code for all revisions finds messages by these roles."""
        return tuple(part.frame.role for part in self.parts)

    @property
    def optional(self) -> frozenset[str]:
        """The parameters that a caller can omit because they set flags."""
        return frozenset(parameter for part in self.parts for parameter in part.flags.values())

    @property
    def sender(self) -> str | None:
        """The side that sends its frames; None for both."""
        return self.parts[0].frame.sender

    def is_optional(self, parameter: str) -> bool:
        """Returns True for a declared parameter that a caller can omit, including one with a default."""
        return parameter in self.optional or parameter in [part.chooser for part in self.parts]

    @property
    def is_single(self) -> bool:
        """True for a message of one frame."""
        return len(self.parts) == 1 and self.parts[0].is_single


Sequence = list[tuple[MessagePart, frozenset[str]]]


def message_problems(schema: Schema) -> Iterator[Problem]:
    """Yields the faults of all messages."""
    frames = {part.frame.name: part.frame for message in schema.messages.values() for part in message.parts}
    allowed = {name: allowed_flags(frame, schema) for name, frame in frames.items()}
    known: dict[tuple[str | None, ...], str] = {}
    for message in [*schema.messages.values()][:1]:
        for role in sorted({"begin", "end"} - {flag.role for flag in schema.stream_flags}):
            text = f"no stream flag has the role {role!r}, which every builder of messages can set"
            yield Problem(message.place, text, f"give one of them `role: {role}`")
    for message in schema.messages.values():
        faults = [*_parameters(message), *_payloads(message)]
        faults = faults or [*_order(message, schema, allowed)] or [*_of_reactors(message)]
        yield from faults or _of_builders(message, schema, allowed)
        if None not in message.roles and (other := known.setdefault(message.roles, message.name)) != message.name:
            text = f"{message.name!r} has frame types of the same roles as {other!r}"
            yield Problem(message.place, text, "remove one of the messages")


def _parameters(message: Message) -> Iterator[Problem]:
    used = set(message.optional)
    names = dict.fromkeys(message.parameters, 1)
    for part in message.parts:
        used |= {name for name in (part.each, part.cut, part.chooser) if name is not None}
        for name in part.fields:
            names[name] = names.get(name, 0) + 1
    for name, number in names.items():
        if number > 1 or name in RESERVED or field_fault(name):
            why = field_fault(name) or ("is a parameter of every builder" if name in RESERVED else "occurs twice")
            yield Problem(message.place, f"{message.name!r} cannot have the parameter {name!r}: it {why}", "rename it")
    for name in message.parameters:
        if name not in used:
            yield Problem(message.place, f"no frame of {message.name!r} uses the parameter {name!r}", "remove it")
    carried = [name for part in message.parts for name in (part.each, part.cut) if name is not None]
    for name in sorted(message.optional - set(carried)):
        yield Problem(
            message.place, f"{name!r} sets a flag of {message.name!r}, but no frame carries it", "use `each` or `cut`"
        )
    for name in sorted({name for name in carried if carried.count(name) > 1}):
        yield Problem(
            message.place, f"two frames of {message.name!r} carry the parameter {name!r}", "use two parameters"
        )


def _payloads(message: Message) -> Iterator[Problem]:
    """Yields a fault for each frame type that cannot carry its parameter or fields."""
    senders = {part.frame.sender for part in message.parts}
    if len(senders) > 1:
        yield Problem(
            message.place, f"the frames of {message.name!r} have different senders", "use frame types of one side"
        )
    for number, part in enumerate(message.parts):
        frame, cases = part.frame, part.frame.payload
        roles = {flag.role for flag in frame.flags}
        kinds = [case.structure for case in cases]
        if part.each is not None and part.cut is not None:
            yield Problem(part.place, "a frame has both `each` and `cut`", "remove one")
        elif part.is_single and len(cases) != 1:
            text = f"the payload of {frame.name!r} has several cases, and a message needs one"
            yield Problem(part.place, text, "use `each` or `cut`, or leave the frame out")
        elif part.is_single and number and kinds[0] is None and is_bytes(cases[0]):
            yield Problem(
                part.place, f"the payload of {frame.name!r} has no fields that a caller can pass", "use `each` or `cut`"
            )
        elif part.each is not None and not (
            roles >= {"more", "last"} and all(map(is_argument, cases)) and len(cases) == 3
        ):
            yield Problem(
                part.place,
                f"{frame.name!r} cannot carry names and bytes in parts",
                "use a frame type with `role: argument`",
            )
        elif part.cut is not None and not (roles >= {"more", "last"} and len(cases) == 1 and is_bytes(cases[0])):
            yield Problem(
                part.place,
                f"{frame.name!r} cannot carry bytes in parts",
                "use one that has flags with `role: more` and `role: last`",
            )
        if part.chooser is not None and (part.flags or part.otherwise is not None):
            yield Problem(
                part.place,
                "a frame has both `choose` and `flags` or `otherwise`",
                "remove `choose`, or the others",
            )
        elif not part.is_single and (part.chooser is not None or part.flags or part.otherwise is not None):
            text = (
                f"builders set the flags of several {frame.name!r} frames themselves, but {message.name!r} sets others"
            )
            yield Problem(part.place, text, "remove `flags`, `otherwise`, and `choose`")
        if part.shorten and not (part.is_single and len(cases) == 1 and is_text(cases[0])):
            yield Problem(
                part.place, f"the payload of {frame.name!r} is not a text that can be shortened", "remove `shorten`"
            )


def _of_reactors(message: Message) -> Iterator[Problem]:
    """Yields a fault for a message that reactors, which find it by its roles, could not send."""
    if message.roles == ("command", "argument", "data"):
        data = message.parts[-1].cut
        if data is not None and data not in message.optional:
            text = f"{message.name!r} requires the parameter {data!r}, but clients also send commands without data"
            yield Problem(message.place, text, f"let {data!r} set a flag, as in `flags: {{have-data: {data}}}`")
        names = message.parts[0]
        for flag in names.frame.flags:
            if data is not None and names.flags.get(flag.name) == data and flag.role != DATA_FOLLOWS:
                text = f"{flag.name!r} announces {data!r} in {message.name!r}, but receivers do not recognize it"
                yield Problem(flag.place, text, f"give it `role: {DATA_FOLLOWS}`")
    if message.roles == ("error",):
        (part,) = message.parts
        fatal = {flag.name for flag in part.frame.flags if flag.role == "fatal"}
        if fatal and {*(part.choices or (part.otherwise,))} <= fatal:
            text = f"each {message.name!r} ends the connection, but servers also reject single requests"
            yield Problem(part.place, text, "use `choose` with a flag that does not have `role: fatal`")
        if not part.shorten:
            text = (
                f"{message.name!r} rejects long texts, but servers send texts of exceptions, which can have any length"
            )
            yield Problem(part.place, text, "add `shorten: true`")


def _of_builders(message: Message, schema: Schema, allowed: Mapping[str, list[frozenset[str]]]) -> Iterator[Problem]:
    """Yields a fault for each constraint that builders and streams do not take into account.

    The first frame of a message opens a stream if the caller wants it, or always if a constraint requires it. The last frame
    closes a stream if the caller wants it. A stream with settings has encoded payloads.
    """
    begin, end, encoded = (
        {flag.name for flag in schema.stream_flags if flag.role == role} for role in ("begin", "end", "encoded")
    )
    settings = next((frame for frame in schema.frames.values() if frame.role == "settings"), None)
    command = next((frame for frame in schema.frames.values() if frame.role == "command"), None)
    ids = {one.kind for one in (() if command is None else command.constraints) if "request_id" in one.names}
    for part in message.parts:
        for one in part.frame.constraints:
            if not one.is_about_fields:
                continue
            if "length" in one.names:
                text = f"builders of {message.name!r} encode payloads of any length, but a constraint requires an {one.kind} length"
                yield Problem(one.place, text, "remove `length` from it, or remove the message")
            if "request_id" in one.names and (part.frame.role == "error" or (part.frame.role and one.kind not in ids)):
                ids_sent = "request id 0" if part.frame.role == "error" else "the request ids of commands"
                text = (
                    f"{part.frame.name!r} is sent with {ids_sent}, but a constraint requires an id that is {one.kind}"
                )
                yield Problem(one.place, text, "remove `request_id` from it")
    first = message.parts[0].frame
    opens = any(one.kind == "all-of" and begin & {*one.names} for one in first.constraints)
    for sequence in _sequences(message) if begin and end else ():
        for number, (part, flags) in enumerate(sequence):
            begins = [begin] if opens and number == 0 else [set(), begin] if number == 0 else [set()]
            ends = [set(), end] if number == len(sequence) - 1 else [set()]
            if settings is not None and encoded and part.frame.role not in (None, "settings"):
                # The settings open a stream with a content encoding.
                begins = [*begins, encoded]
            for of_stream in (one | other for one, other in product(begins, ends)):
                if flags | of_stream not in allowed[part.frame.name]:
                    given = (
                        f"with {' and '.join(sorted(of_stream))}"
                        if of_stream
                        else "without opening or closing a stream"
                    )
                    text = f"{part.frame.name!r} can be sent {given}, which its constraints forbid"
                    yield Problem(part.place, text, "remove stream flags from its constraints")
                    return


def _order(message: Message, schema: Schema, allowed: Mapping[str, list[frozenset[str]]]) -> Iterator[Problem]:
    """Yields a fault if the constraints of a frame type, or a machine in every state, reject frames of the message."""
    stream_flags = {flag.name for flag in schema.stream_flags}
    receiver = {"client": "server", "server": "client"}.get(str(message.sender))
    machines = [
        each for each in schema.machines.values() if each.scope == "request" and each.role in (receiver, "both")
    ]
    for sequence in _sequences(message):
        for part, flags in sequence:
            if flags not in {each - stream_flags for each in allowed[part.frame.name]}:
                given = ", ".join(sorted(flags)) or "no flag"
                yield Problem(part.place, f"the constraints of {part.frame.name!r} forbid {given}", "correct the flags")
                return
        for machine in machines:
            refused = _refused(machine, schema, sequence)
            if refused is not None:
                shown = " ".join([refused[0].frame.name, *sorted(refused[1])])
                text = f"{machine.name!r} rejects {shown!r} in {message.name!r} from every state"
                yield Problem(refused[0].place, text, "correct the order or the flags, or the rows")
                return


def _sequences(message: Message) -> Iterator[Sequence]:
    """Yields the frames of the message with and without each optional or empty parameter, and with each choice."""
    optional = sorted(message.optional | {part.each for part in message.parts if part.each is not None})
    choices = [part.choices or (None,) for part in message.parts]
    for given in product((False, True), repeat=len(optional)):
        left_out = {name for name, is_given in zip(optional, given, strict=True) if not is_given}
        for chosen in product(*choices):
            frames: Sequence = []
            for part, choice in zip(message.parts, chosen, strict=True):
                own = {flag for flag, parameter in part.flags.items() if parameter not in left_out}
                own |= {part.otherwise} - {None} if not own else set()  # type: ignore[arg-type]
                own |= {choice} - {None}  # type: ignore[arg-type]
                if (part.each or part.cut) in left_out:
                    continue
                if part.is_single:
                    frames.append((part, frozenset(own)))
                    continue
                frames.append((part, frozenset({part.flag("more")})))
                if part.each is not None:
                    frames.append((part, frozenset()))
                frames.append((part, frozenset({part.flag("last")})))
            yield frames


def _refused(machine: Machine, schema: Schema, sequence: Sequence) -> tuple[MessagePart, frozenset[str]] | None:
    """Returns the first frame that a machine rejects from every state, with any answers of its guards.

    The machine ignores frames that no row names, such as those that open a stream. A row whose action can send frames counts
    as a rejection, because the receiver would answer before it has the whole message.
    """
    named = {name for row in machine.transitions for name in row.frames}
    states = set(machine.states)
    for part, flags in sequence:
        if part.frame.name not in named:
            continue
        states = {
            row.to
            for row in machine.transitions
            if row.to is not None
            and row.source in states
            and part.frame.name in row.frames
            and not _sends(row, schema)
            and _can_hold(row.when, flags, schema)
        }
        if not states:
            return part, flags
    return None


def _sends(row: Row, schema: Schema) -> bool:
    """Returns True if the action of a row can send frames."""
    return row.emit is not None and any(schema.events[name].sends for name in schema.emits[row.emit].events)


def _can_hold(condition: Condition | None, flags: frozenset[str], schema: Schema) -> bool:
    """Returns True if a condition can be true for a frame with these flags, with any guards' answers and machines' states."""
    if condition is None:
        return True
    atoms = sorted(condition.atoms)
    answers: list[tuple[object, ...]] = []
    for kind, name in atoms:
        if kind == "flag":
            answers.append((name in flags,))
        else:
            values = schema.guards[name].values if kind == "guard" else tuple(schema.machines[name].states)
            answers.append(values or (False, True))
    return any(condition.holds(dict(zip(atoms, each, strict=True))) for each in product(*answers))
