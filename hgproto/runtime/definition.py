"""The definition of a revision, as the core uses it: its codec, its state machines, and the roles of their parts.

The core imports no revision. Its classes and functions receive a definition, or use the default, which :mod:`hgproto`
sets. They look up parts by role, so they name no frame type, flag, state, structure, or requirement.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING, Protocol, TypeVar

from hgproto.errors import RevisionError
from hgproto.runtime.frame import check_instance
from hgproto.runtime.layout import case_of, walk
from hgproto.runtime.machine import Answer, Ask, Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from enum import IntEnum
    from types import ModuleType
    from typing import Any, Literal

    from hgproto.errors import RemoteProtocolError
    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.catalogue import Requirement
    from hgproto.runtime.frame import Frame, Record
    from hgproto.runtime.layout import Join, Layout
    from hgproto.runtime.machine import Machine, Outcome
    from hgproto.wire.reader import Pieces

__all__ = ["Codec", "Definition", "Receive", "checked_codec", "default_codec", "default_definition", "defined"]


T = TypeVar("T")


class Receive(Protocol):
    """A generated loop of reactors: it processes the common frames, and yields the parts of all others.

    ``intake``: the state of the reactor, a :class:`hgproto.reactors.intake.Intake`. ``append``: receives events.
    """

    def __call__(
        self, intake: Any, source: Pieces, append: Callable[[Any], None]
    ) -> Iterator[tuple[int, int, int, Any, int]]: ...


class Codec(Protocol):
    """The interface of every generated codec. The codec's module documents the names."""

    @property
    def REVISION(self) -> str: ...
    @property
    def DIGEST(self) -> str: ...
    @property
    def HEADER_BYTES(self) -> int: ...
    @property
    def LIMITS(self) -> dict[str, tuple[int, int]]: ...
    @property
    def MAX_PAYLOAD(self) -> tuple[int, int]: ...
    @property
    def ITEMS_LIMIT(self) -> str | None: ...
    @property
    def TYPE_NAMES(self) -> dict[int, str]: ...
    @property
    def CODES(self) -> dict[str, int]: ...
    @property
    def FLAG_NAMES(self) -> dict[int, dict[int, str]]: ...
    @property
    def STREAM_FLAG_NAMES(self) -> dict[int, str]: ...
    @property
    def PAYLOADS(self) -> dict[int, tuple[tuple[int, int, str], ...]]: ...
    @property
    def INTERRUPTS(self) -> dict[int, frozenset[int]]: ...
    @property
    def HUMAN(self) -> str | None: ...
    @property
    def JOINS(self) -> dict[int, Join]: ...
    @property
    def FIELD_BITS(self) -> dict[str, tuple[int, str]]: ...
    @property
    def FIELDS(self) -> dict[str, tuple[int, int, int, int]]: ...
    @property
    def LAYOUTS(self) -> dict[str, Layout]: ...
    @property
    def STRUCTURES(self) -> dict[str, tuple[type[Record], Callable[..., Any], Callable[[Any], bytes]]]: ...
    @property
    def FRAME(self) -> Layout: ...
    def make_frame(
        self, request_id: int, stream_id: int, stream_flags: int, type_: int, flags: int, payload: BytesLike
    ) -> Frame: ...
    def read_frames(self, source: Pieces, max_payload: int = ...) -> Iterator[Frame]: ...
    def read_parts(self, source: Pieces, max_payload: int = ...) -> Iterator[tuple[int, int, int, Any, int]]: ...
    def kind_of(self, frame: Frame) -> int: ...
    def frame_of(self, kind: int, request_id: int, stream_id: int, payload: BytesLike) -> Frame: ...
    def decode_frame(self, data: BytesLike, at: int = 0, max_payload: int = ...) -> tuple[Frame, int]: ...
    def encode_frame(self, frame: Frame, max_payload: int = ...) -> bytes: ...
    def encode_header(self, frame: Frame, max_payload: int = ...) -> bytes: ...
    def frame_bytes(self, kind: int, request_id: int, stream_id: int, payload: bytes) -> bytes: ...
    def frame_end(self, data: BytesLike, at: int = 0) -> int: ...
    def cut_frame(self, data: BytesLike, max_payload: int = ...) -> RemoteProtocolError: ...
    def check_header(self, frame: Frame) -> None: ...
    def decode_payload(self, frame: Frame, continued: bool = False, max_items: int = ...) -> Any: ...


class Definition:
    """A revision, as the core uses it. The subclass :class:`hgproto.Revision` finds its modules by name."""

    @property
    def codec(self) -> Codec:
        """The codec."""
        raise NotImplementedError

    @property
    def machines(self) -> ModuleType:
        """The state machines."""
        raise NotImplementedError

    @property
    def roles(self) -> ModuleType:
        """The roles of the parts."""
        raise NotImplementedError

    @property
    def build(self) -> ModuleType:
        """The functions that build the frames of messages."""
        raise NotImplementedError

    @property
    def receive(self) -> ModuleType:
        """The loops in which reactors receive frames."""
        raise NotImplementedError

    @property
    def requirements(self) -> Mapping[str, Requirement]:
        """The requirements by id."""
        raise NotImplementedError

    @cached_property
    def _kept(self) -> dict[object, Any]:
        return {}

    def kept(self, key: object, make: Callable[[], T]) -> T:
        """Returns the value for a key, created by ``make`` at the first call. It lives as long as the revision."""
        if key not in self._kept:
            self._kept[key] = make()
        value: T = self._kept[key]
        return value

    @property
    def title(self) -> str:
        """The name of the revision in messages."""
        return self.codec.REVISION

    # Frames.

    def code_of(self, role: str) -> int:
        """Returns the code of the frame type with a role. Raises :class:`RevisionError` if the revision has none."""
        return self._with_role("frame type", role, self.roles.FRAMES)

    def _with_role(self, what: str, role: str, parts: Mapping[str, int]) -> int:
        if role not in parts:
            raise RevisionError(
                f"{self.title} has no {what} with the role {role!r}, so it cannot be used for this; "
                f"add `role: {role}` to a {what}, or use another revision"
            )
        return parts[role]

    @cached_property
    def settings(self) -> int | None:
        """The code of the frame type that names the content encoding of its stream."""
        code: int | None = self.roles.FRAMES.get("settings")
        return code

    @cached_property
    def begin(self) -> int:
        """The stream flag of the first frame of a stream; 0 if there is none."""
        return self._stream_flag("begin")

    @cached_property
    def end(self) -> int:
        """The stream flag of the last frame of a stream; 0 if there is none."""
        return self._stream_flag("end")

    @cached_property
    def encoded(self) -> int:
        """The stream flag of an encoded payload; 0 if there is none."""
        return self._stream_flag("encoded")

    def _stream_flag(self, role: str) -> int:
        mask: int = self.roles.STREAM_FLAGS.get(role, 0)
        return mask

    def type_of(self, kind: int) -> int:
        """Returns the code of the frame type in a kind, which ``kind_of`` of the codec returns."""
        _, _, low, mask = self.codec.FIELDS["type"]
        return kind >> 8 + low & mask

    def flags_of(self, kind: int) -> int:
        """Returns the flags in a kind, which ``kind_of`` of the codec returns."""
        _, _, low, mask = self.codec.FIELDS["flags"]
        return kind >> 8 + low & mask

    def flag(self, code: int, role: str) -> int:
        """Returns the flag of a frame type with a role; 0 if there is none."""
        mask: int = self.roles.FLAGS.get(code, {}).get(role, 0)
        return mask

    def structure_of(self, role: str, flags: int = 0) -> tuple[Any, Callable[..., Any], Callable[[Any], bytes]]:
        """Returns the class, the decoder, and the encoder of the payload of the frame type with a role.

        ``flags``: those of the frame. Raises :class:`RevisionError` if there is no such type, and :class:`KeyError` if
        its payload has no structure.
        """
        return self.codec.STRUCTURES[case_of(self.codec.PAYLOADS[self.code_of(role)], flags, False)]

    def repeated_in(self, role: str) -> tuple[Any, Callable[..., Any], Callable[[Any], bytes]]:
        """Returns class, decoder, and encoder of the repeated structure in the payload of the frame type with a role."""
        layout = self.codec.LAYOUTS[case_of(self.codec.PAYLOADS[self.code_of(role)], 0, False)]
        (repeated,) = (part.layout for part in layout.parts if part.layout is not None)
        return self.codec.STRUCTURES[repeated.name]

    @cached_property
    def data_types(self) -> dict[int, tuple[int, int]]:
        """The frame types whose payloads form one sequence of bytes, each with its flags for more and for the last."""
        types = {}
        for code, cases in self.codec.PAYLOADS.items():
            more, last = self.flag(code, "more"), self.flag(code, "last")
            if cases == ((0, 0, "bytes"),) and more and last:
                types[code] = (more, last)
        return types

    def data_flags(self, type_: int) -> tuple[int, int]:
        """Returns the flags of a data type, for more and for the last. Raises :class:`ValueError` for another type."""
        try:
            return self.data_types[type_]
        except KeyError:
            names = self.codec.TYPE_NAMES
            known, found = " and ".join(names[code] for code in self.data_types), names.get(type_, type_)
            if not known:
                raise ValueError(
                    f"{self.title} has no frame type for data, with `role: data` or `role: response`; send frames"
                ) from None
            raise ValueError(f"data is written as {known}, not as {found}; send a frame of that type instead") from None

    def limit(self, name: str) -> tuple[int, int]:
        """Returns the default and the maximum of a limit by its Python name. Raises :class:`RevisionError` if there is none."""
        limits = {limit.replace("-", "_"): bounds for limit, bounds in self.codec.LIMITS.items()}
        if name not in limits:
            raise RevisionError(
                f"{self.title} has no limit {name.replace('_', '-')!r}; declare it, or use another revision"
            )
        return limits[name]

    @cached_property
    def length_rule(self) -> str:
        """The requirement that a payload over the limit violates."""
        return next(part.rules["limit"] for part in self.codec.FRAME.parts if part.name == "length")

    @cached_property
    def cut_rule(self) -> str:
        """The requirement that a frame without its full length violates."""
        return next(part.rules["cut"] for part in self.codec.FRAME.parts)

    @cached_property
    def ids(self) -> dict[str, int]:
        """The number of possible values of each header field with an id: request_id and stream_id."""
        return {name: 1 << bits for name, (bits, _) in self.codec.FIELD_BITS.items() if name.endswith("_id")}

    @cached_property
    def request_ids(self) -> range:
        """The ids of the requests that clients open."""
        parity: int | None = self.roles.REQUEST_PARITY
        count = self.ids["request_id"]
        return range(count) if parity is None else range(parity, count, 2)

    # Messages.

    def message(self, *roles: str) -> Callable[..., Any]:
        """Returns the function that builds the message whose frame types have these roles in this order.

        Raises :class:`RevisionError` if the revision declares no such message.
        """
        found: Callable[..., Any] | None = self.build.MESSAGES.get(roles)
        if found is None:
            raise RevisionError(
                f"{self.title} has no message of frames with the roles {', '.join(roles)}, so it cannot be used for this; "
                "declare it in `messages`, or use another revision"
            )
        return found

    # Stream settings.

    def _settings_structure(self) -> str:
        return self.codec.PAYLOADS[self.code_of("settings")][-1][2]

    def encode_settings(self, profile: str, settings: bytes) -> bytes:
        """Encodes stream settings. Raises :class:`LocalProtocolError` for a profile name that cannot be sent."""
        record, _, encode = self.codec.STRUCTURES[self._settings_structure()]
        value: Any = record
        return encode(value(profile, settings))

    def decode_settings(self, payload: bytes) -> tuple[str, bytes]:
        """Decodes stream settings, and returns the name of the profile and the settings. Raises :class:`RemoteProtocolError`."""
        _, decode, _ = self.codec.STRUCTURES[self._settings_structure()]
        value = decode(payload)
        return value.profile, value.settings

    def settings_place(self, payload: bytes, field: Literal["profile", "settings"]) -> int:
        """Returns the offset of a field in valid stream settings."""
        layout = self.codec.LAYOUTS[self._settings_structure()]
        return next(span.start for span in walk(layout, payload) if span.path == field)

    # Machines.

    def machine(self, scope: str, role: str = "both") -> Machine:
        """Returns the machine of a scope and a side. Raises :class:`RevisionError` if the revision has none."""
        machines: dict[str, Machine] = self.machines.MACHINES
        for machine in machines.values():
            if machine.scope == scope and machine.role == role:
                return machine
        raise RevisionError(f"{self.title} has no state machine for a {scope}; use another revision")

    @cached_property
    def has_sessions(self) -> bool:
        """True if the revision has state machines, so that sessions can be followed."""
        return bool(self.machines.MACHINES)

    @cached_property
    def capacity_rule(self) -> str:
        """The requirement that limits the number of requests."""
        for row in self.machine("request", "server").rows:
            guards = [] if row.when is None else [a.guard for a in row.when.atoms() if isinstance(a, Answer)]
            if row.requirement is not None and "capacity" in guards:
                return row.requirement
        raise RevisionError(f"{self.title} does not limit the number of requests; use another revision")

    @cached_property
    def stream_states(self) -> tuple[IntEnum, IntEnum, IntEnum | None]:
        """The states of a stream: closed, open, and open with a content encoding (None if the machine lacks it).

        Raises :class:`RevisionError` if streams lack a state machine or a stream flag. The flag ``encoded`` is only
        needed if streams have settings.
        """
        machine = self.machine("stream")
        for role in ("begin", "end") if self.settings is None else ("begin", "end", "encoded"):
            self._with_role("stream flag", role, self.roles.STREAM_FLAGS)
        opened = [name for mask, name in self.codec.STREAM_FLAG_NAMES.items() if mask == self.begin]
        plain = next(code for code in self.codec.TYPE_NAMES if code != self.settings)
        states = [
            None if code is None else _entered(machine.outcome(machine.initial, code, opened, self.machines.GUARDS))
            for code in (plain, self.settings)
        ]
        if states[0] is None:
            raise RevisionError(f"no frame of {self.title} opens a stream; use another revision")
        return machine.initial, states[0], states[1]

    def end_rule(self, scope: str, role: str = "both") -> str | None:
        """Returns the requirement that an early end of input violates, by scope and side, or None."""
        rows = (row for row in self.machine(scope, role).rows if row.event is Event.END_OF_INPUT)
        return next((row.requirement for row in rows if row.requirement is not None), None)

    @cached_property
    def encoding_rules(self) -> dict[object, str]:
        """The violated requirement for each answer of the guard of content encodings."""
        return self.rules_of(self.machine("stream"), "encoding")

    def rules_of(self, machine: Machine, guard: str) -> dict[object, str]:
        """Returns the violated requirement for each answer of a guard."""
        rules = {}
        for row in machine.rows:
            for atom in row.when.atoms() if row.error is not None and row.when is not None else ():
                if isinstance(atom, Answer) and atom.guard == guard:
                    rules[atom.value] = str(row.error)
        return rules


def _entered(outcome: Outcome) -> IntEnum | None:
    """Returns the first state that an outcome can lead to, or None."""
    if isinstance(outcome, Ask):
        return next((state for inner in outcome.outcomes.values() if (state := _entered(inner)) is not None), None)
    return outcome.to


def defined(revision: Definition | None) -> Definition:
    """Returns the definition, or the default for None. Raises :class:`TypeError` for another object."""
    if revision is None:
        return default_definition()
    check_instance(revision, Definition, "revision")
    return revision


@cache
def default_definition() -> Definition:
    """Returns the definition of the default revision."""
    import hgproto

    definition: Definition = hgproto.default_revision()
    return definition


def default_codec() -> Codec:
    """Returns the codec of the default revision."""
    return default_definition().codec


def checked_codec(codec: Codec | None) -> Codec:
    """Returns the codec, or that of the default revision for None. Raises :class:`TypeError` for another object."""
    if codec is None:
        return default_codec()
    if not hasattr(codec, "MAX_PAYLOAD"):
        remedy = "; use its codec" if isinstance(codec, Definition) else ""
        raise TypeError(f"codec must be a codec, not {type(codec).__name__}{remedy}")
    return codec
