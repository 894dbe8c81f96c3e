"""The base classes of generated code: records with slots, and the frame.

Invariants: these classes check nothing, because a fuzzer needs invalid frames too; the encoder checks them. Treat
records as immutable and use :meth:`Record.replace`: they are hashed by value, and frozen objects would make decoding
four times slower.
"""

from enum import Enum
from functools import lru_cache
from itertools import repeat, starmap
from operator import index

from hgproto.errors import repr_of, shown
from hgproto.runtime.bytelike import bytes_like

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any, ClassVar, NoReturn, Self, TypeVar

    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.definition import Codec

    R = TypeVar("R")

__all__ = [
    "Frame",
    "Record",
    "RecordType",
    "Unique",
    "bare",
    "check_codec",
    "check_frame",
    "check_instance",
    "check_integer",
    "check_kind",
    "check_revision",
    "check_text",
    "check_type",
    "checked_number",
    "parts_of",
]


class RecordType(type):
    """The metaclass of records. A subclass can change how record classes are pickled."""


class Record(metaclass=RecordType):
    """A value with named parts, which is compared by value.

    Subclasses list their parts in ``__slots__``. ``shown`` lists the parts of :meth:`as_dict`, which may include
    computed ones. A slot whose name begins with an underscore is not a part.
    """

    __slots__: "tuple[str, ...]" = ()
    shown: "ClassVar[tuple[str, ...]]" = ()
    _parts: "ClassVar[tuple[str, ...]]" = ()

    def __init_subclass__(cls) -> None:
        slots: tuple[str, ...] = cls.__dict__.get("__slots__", ())
        cls._parts = (*cls._parts, *(name for name in slots if name[0] != "_"))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in parts_of(self))

    def __hash__(self) -> int:
        return hash((type(self), *(_hashable(getattr(self, name)) for name in parts_of(self))))

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={repr_of(getattr(self, name))}" for name in parts_of(self))
        return f"{type(self).__name__}({parts})"

    if TYPE_CHECKING:
        # Subclasses declare their parts, so that a type checker rejects any other.
        def replace(self) -> Self: ...  # noqa: D102
        def __replace__(self, *args: Any, **changes: Any) -> Self: ...

    else:

        def replace(self, **changes):
            """Returns a copy with some parts changed. It calls the class, whose ``__init__`` must accept every part."""
            return type(self)(**{name: getattr(self, name) for name in parts_of(self)} | changes)

        __replace__ = replace

    def as_dict(self) -> "dict[str, Any]":
        """Returns the parts by name in wire order, including computed ones that are shown."""
        return {name: getattr(self, name) for name in self.shown or parts_of(self)}


class Unique:
    """An object that is tied to one connection, stream, or file, so that a copy would not be independent.

    Copying or pickling raises :class:`TypeError`.
    """

    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> "NoReturn":
        name = type(self).__name__
        raise TypeError(
            f"a {name} cannot be copied or pickled, because it is tied to one connection; create a new {name}"
        )


def parts_of(record: Record) -> "tuple[str, ...]":
    """Returns the names of a record's parts, in the order of its constructor."""
    return record._parts  # noqa: SLF001 - one class's own


def bare(record: "type[R]") -> "Iterator[R]":
    """Returns an endless iterator over new objects of a class without parts, for code that sets the parts itself.

    A loop that ends after its first value is faster than a call of ``next``. Creating an object is a third of the cost
    of decoding a small frame, and calling ``__init__`` is most of that. Iterating is the fastest alternative, because
    no value needs a Python call.
    """
    return starmap(object.__new__, repeat((record,)))


_type = type
"""The built-in ``type``, because a frame has an attribute of that name."""


def _hashable(value: object) -> object:
    """Returns a hashable that is equal for equal values."""
    if isinstance(value, dict):
        return frozenset((key, _hashable(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(_hashable(item) for item in value)
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    return value


class Frame(Record):
    """A frame of any revision with the header of eight bytes.

    ``request_id``: the id of the request (16 bits). ``stream_id``: the id of the stream (8 bits). ``stream_flags``: the
    effects on the stream (8 bits). ``type``: the frame type (4 bits), a member of the revision's ``FrameType`` if it is
    known. ``flags``: bits whose meaning depends on the type (4 bits). ``payload``: the encoded content in bytes; a view
    of single bytes if a reader does not copy, or if another buffer was passed. (Section 1.2.)
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
        payload: "BytesLike" = b"",
    ) -> None:
        self.request_id = request_id
        self.stream_id = stream_id
        self.stream_flags = stream_flags
        self.type = type
        self.flags = flags
        # The length of a view counts items, which may be wider than a byte.
        self.payload = payload if _type(payload) is bytes else bytes_like(payload, "payload")

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={repr_of(getattr(self, name))}" for name in self.shown)
        return f"{type(self).__name__}({parts})"

    def __getstate__(self) -> "Any":
        # Copies and pickles use this state, and views cannot be pickled.
        state: Any = super().__getstate__()
        attributes, parts = state
        return attributes, parts | {"payload": bytes(self.payload)}

    if TYPE_CHECKING:

        def replace(  # noqa: D102
            self,
            *,
            request_id: int = ...,
            stream_id: int = ...,
            stream_flags: int = ...,
            type: int = ...,
            flags: int = ...,
            payload: BytesLike = ...,
        ) -> Self: ...


def check_revision(frame: Frame, codec: "Codec") -> None:
    """Raises :class:`ValueError` for a frame of another revision than that of ``codec``, :class:`TypeError` for other objects.

    The enumerations of its type, its stream flags, and its flags identify the revision. A frame of plain numbers fits
    any revision.
    """
    try:
        foreign = _foreign(type(frame.type), type(frame.stream_flags), type(frame.flags), codec)  # type: ignore[arg-type]  # a module can be hashed
    except AttributeError:
        check_frame(frame)
        raise
    if foreign is not None:
        raise _of_another(getattr(frame, foreign), codec.REVISION)


def check_type(frame: Frame, own: "type[Enum]", revision: str) -> None:
    """Raises :class:`ValueError` for a frame whose type belongs to another revision. A plain number fits any revision.

    ``own``: the enumeration of the types of ``revision``.
    """
    check_kind(frame.type, own, revision)


def check_kind(type_: object, own: "type[Enum]", revision: str) -> None:
    """Raises :class:`ValueError` for a frame type of another revision; see :func:`check_type`."""
    kind: Any = type(type_)
    if _is_foreign(kind, own):
        raise _of_another(type_, revision)


def _of_another(part: object, revision: str) -> ValueError:
    return ValueError(
        f"expected a frame of {revision}, found one of another revision, with {shown(part)}; "
        "use the codec of the frame's own revision"
    )


@lru_cache(maxsize=256)
def _is_foreign(kind: "type[Any]", own: "type[Enum]") -> bool:
    return issubclass(kind, Enum) and _members(kind) != _members(own)


@lru_cache(maxsize=256)
def _foreign(type_: "type[int]", stream_flags: "type[int]", flags: "type[int]", codec: "Codec") -> "str | None":
    """Returns the part of a frame whose class is an enumeration of another revision, or None."""
    # A frame with the flags of another type is invalid, but belongs to the revision.
    known: dict[str, tuple[type[int], Iterable[Mapping[int, str]]]] = {
        "type": (type_, (codec.TYPE_NAMES,)),
        "stream_flags": (stream_flags, (codec.STREAM_FLAG_NAMES,)),
        "flags": (flags, codec.FLAG_NAMES.values()),
    }
    for part, (kind, tables) in known.items():
        if issubclass(kind, Enum) and _members(kind) not in [_lower(table) for table in tables]:
            return part
    return None


def _members(kind: "type[Enum]") -> "dict[int, str]":
    return _lower({int(member.value): member.name for member in kind})


def _lower(names: "Mapping[int, str]") -> "dict[int, str]":
    return {value: name.lower().replace("_", "-") for value, name in names.items()}


def check_frame(frame: object, what: str = "frame") -> None:
    """Raises :class:`TypeError` for an argument that is not a frame. ``what``: the name of the argument in the message."""
    check_instance(frame, Frame, what)


def check_instance(value: object, wanted: "type[object]", what: str) -> None:
    """Raises :class:`TypeError` for an argument that is not of a class. ``what``: the name of the argument in the message."""
    if not isinstance(value, wanted):
        article = "an" if wanted.__name__[0] in "AEIOU" else "a"
        raise TypeError(f"{what} must be {article} {wanted.__name__}, not {type(value).__name__}")


def check_text(text: object, what: str) -> None:
    """Raises :class:`TypeError` for an argument that is not text. ``what``: the name of the argument in the message."""
    if not isinstance(text, str):
        raise TypeError(f"{what} must be text, not {type(text).__name__}")


def check_integer(value: object, what: str) -> None:
    """Raises :class:`TypeError` for an argument that is not an integer. ``what``: the name of the argument in the message."""
    if not isinstance(value, int):
        raise TypeError(f"{what} must be an integer, not {type(value).__name__}")


def check_codec(codec: "Codec", revision: str, what: str) -> None:
    """Raises :class:`ValueError` for the codec of an unsupported revision. ``what``: the subject of the message."""
    if revision != codec.REVISION:
        raise ValueError(f"{what} support {revision} alone, and the codec is of {codec.REVISION}")


def checked_number(name: str, value: int, least: int, most: "int | None" = None) -> int:
    """Returns the checked integer of a parameter.

    Raises :class:`TypeError` for other types, and :class:`ValueError` for a number out of range.
    """
    try:
        number = index(value)
        if number.bit_length() > 64:
            # Python may reject the conversion of the number to text.
            raise ValueError(f"{name} must be a number of at most 64 bits, not of {number.bit_length()}")
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}") from None
    if number < least or (most is not None and number > most):
        bounds = f"at least {least}" if most is None else f"{least} to {most}"
        raise ValueError(f"{name} must be {bounds}, not {number}")
    return number
