"""What generated code is made of: records with slots, and the frame.

Invariants: these classes check nothing, so that every frame that can be said can be made (a fuzzer needs the wrong
ones too); what makes octets of them checks. Treat records as immutable and use :meth:`Record.replace`: they are
hashed by value, and freezing them would make reading four times slower.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Self

__all__ = ["Frame", "Record"]


class Record:
    """A value with named parts, compared by value.

    Subclasses name their parts in ``__slots__``, and in ``shown`` those that :meth:`as_dict` tells, which may have
    computed ones among them.
    """

    __slots__: "tuple[str, ...]" = ()
    shown: "ClassVar[tuple[str, ...]]" = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def __hash__(self) -> int:
        return hash((type(self), *(_hashable(getattr(self, name)) for name in self.__slots__)))

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({parts})"

    def __reduce__(self) -> "tuple[Any, ...]":
        return type(self), tuple(getattr(self, name) for name in self.__slots__)

    def replace(self, **changes: "Any") -> "Self":
        """The same value with some parts changed."""
        return type(self)(**{name: getattr(self, name) for name in self.__slots__} | changes)

    __replace__ = replace

    def as_dict(self) -> "dict[str, Any]":
        """The parts by name, computed ones that are shown among them, in wire order."""
        return {name: getattr(self, name) for name in self.shown or self.__slots__}


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
