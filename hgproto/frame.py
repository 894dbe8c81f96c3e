"""What generated code is made of: records with slots, and the frame.

Invariants: these classes check nothing, so that every frame that can be said can be made (a fuzzer needs the wrong
ones too); what makes octets of them checks. Treat records as immutable and use :meth:`Record.replace`: they are
hashed by value, and freezing them would make reading four times slower.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar, Self, TypeVar

    R = TypeVar("R", bound="Record")

__all__ = ["Frame", "Record", "bare", "parts_of"]


class Record:
    """A value with named parts, compared by value.

    Subclasses name their parts in ``__slots__``, and in ``shown`` those that :meth:`as_dict` tells, which may have
    computed ones among them.
    """

    __slots__: "tuple[str, ...]" = ()
    shown: "ClassVar[tuple[str, ...]]" = ()
    _parts: "ClassVar[tuple[str, ...]]" = ()
    _kind: "ClassVar[type[Record]]"
    """The class of the value; what :func:`bare` makes is of the kind that it was made from."""

    def __init_subclass__(cls) -> None:
        if "_kind" not in cls.__dict__:
            cls._kind = cls
            cls._parts = (*cls._parts, *cls.__dict__.get("__slots__", ()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record) or other._kind is not self._kind:
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in parts_of(self))

    def __hash__(self) -> int:
        return hash((self._kind, *(_hashable(getattr(self, name)) for name in parts_of(self))))

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={getattr(self, name)!r}" for name in parts_of(self))
        return f"{self._kind.__name__}({parts})"

    def __reduce__(self) -> "tuple[Any, ...]":
        return self._kind, tuple(getattr(self, name) for name in parts_of(self))

    def replace(self, **changes: "Any") -> "Self":
        """The same value with some parts changed."""
        return self._kind(**{name: getattr(self, name) for name in parts_of(self)} | changes)  # type: ignore[return-value]

    __replace__ = replace

    def as_dict(self) -> "dict[str, Any]":
        """The parts by name, computed ones that are shown among them, in wire order."""
        return {name: getattr(self, name) for name in self.shown or parts_of(self)}


def parts_of(record: Record) -> "tuple[str, ...]":
    """The names of a record's parts, in the order in which it is made from them."""
    return record._kind._parts  # noqa: SLF001 - one class's own


def bare(record: "type[R]") -> "Callable[[], R]":
    """What makes values of a record without their parts, for code that fills them in itself.

    Making an object is a third of the cost of reading a small frame, and most of that goes to finding out that there is
    an ``__init__``. A subclass whose ``__init__`` is the one of ``object`` is made twice as fast, and is the same value in
    every way that can be asked for by public names.
    """
    parts = {"__slots__": (), "__init__": object.__init__, "__doc__": record.__doc__, "__module__": record.__module__}
    return type(record.__name__, (record,), {**parts, "__qualname__": record.__qualname__, "_kind": record})


def _hashable(value: object) -> object:
    """A value that can be hashed, equal for equal values."""
    if isinstance(value, dict):
        return frozenset((key, _hashable(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(_hashable(item) for item in value)
    return value


class Frame(Record):
    """A frame of any revision with the header of eight octets.

    ``request_id``: which request (16 bits). ``stream_id``: which stream (8 bits). ``stream_flags``: what the frame
    does to its stream (8 bits). ``type``: the frame type (4 bits), a member of the revision's ``FrameType`` when it is
    known. ``flags``: bits whose meaning depends on the type (4 bits). ``payload``: the content in octets, as on the
    wire; a ``memoryview`` where a reader was told not to copy. (Section 1.2.)
    """

    __slots__ = ("flags", "payload", "request_id", "stream_flags", "stream_id", "type")
    shown = ("request_id", "stream_id", "stream_flags", "type", "flags", "payload")

    request_id: int
    stream_id: int
    stream_flags: int
    type: int
    flags: int
    payload: "bytes | memoryview"

    def __init__(
        self,
        request_id: int,
        stream_id: int,
        stream_flags: int,
        type: int,
        flags: int,
        payload: "bytes | memoryview" = b"",
    ) -> None:
        self.request_id = request_id
        self.stream_id = stream_id
        self.stream_flags = stream_flags
        self.type = type
        self.flags = flags
        self.payload = payload

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.shown)
        return f"Frame({parts})"

    def __reduce__(self) -> "tuple[Any, ...]":
        payload = self.payload if type(self.payload) is bytes else bytes(self.payload)
        return Frame, (self.request_id, self.stream_id, self.stream_flags, self.type, self.flags, payload)
