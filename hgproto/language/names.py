"""The Python names of parts of a schema, and the checks that they are usable in generated code.

For example, ``stream-settings`` has the function ``decode_stream_settings``, the class ``StreamSettings``, and the table
``STREAM_SETTINGS``. Such a name must not be a keyword of Python, or hide a name that every generated module has.
"""

from __future__ import annotations

from keyword import iskeyword
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "HEADER",
    "LENGTH_LIMIT",
    "SEND_LIMIT",
    "camel",
    "field_fault",
    "flag_class",
    "name_faults",
    "snake",
    "state_class",
    "upper",
]


def snake(name: str) -> str:
    """Returns ``stream_settings`` for ``stream-settings``."""
    return name.replace("-", "_")


def upper(name: str) -> str:
    """Returns ``STREAM_SETTINGS`` for ``stream-settings``."""
    return snake(name).upper()


def camel(name: str) -> str:
    """Returns ``StreamSettings`` for ``stream-settings``."""
    return "".join(part.capitalize() for part in snake(name).split("_"))


def flag_class(frame: str) -> str:
    """Returns the name of the class of a frame type's flags: ``CommandNameFlag`` for ``command-name``."""
    return f"{camel(frame)}Flag"


def state_class(machine: str) -> str:
    """Returns the name of the class of a machine's states: ``ServerRequestState`` for ``server-request``."""
    return f"{camel(machine)}State"


LENGTH_LIMIT = "max-payload"
"""The name of the limit of the length field, for readers and writers."""
SEND_LIMIT = "send-payload"
"""The name of the limit on payloads that builders of messages apply, if a schema has it."""
HEADER = "frame-header"
"""The name of the header of every frame in lists of structures."""

RECORD_NAMES = frozenset({"as_dict", "extra", "property", "replace", "self", "shown"})
"""The attributes that every record has besides its fields, and the names that its class definition needs."""

TYPE_NAMES = frozenset({"ascii", "bytes", "u8", "u16", "u24", "u32", "utf8"})
"""The types that are not structures."""

_EVERYWHERE = """
    CODES DIGEST FIELDS FIELD_BITS FLAG_NAMES FRAME HEADER_BYTES HUMAN INTERRUPTS ITEMS_LIMIT JOINS Join LAYOUTS LIMITS
    MAX_PAYLOAD MEDIA_TYPE PAYLOADS REVISION STREAM_FLAG_NAMES STRUCTURES TYPE_CHECKING TYPE_NAMES FrameType StreamFlag
    check_header checked_frame cut_frame decode_frame decode_payload encode_frame encode_header frame frame_bytes frame_end
    frame_header frame_of frames kind_of make_frame read_frames read_parts

    Any Array AtMost Blobs BytesLike Callable Cbor CBOR Computed Decoded Due Entry Frame Frames Int16ul Int24ul Int32ul Int8ul
    IntEnum IntFlag Iterator Known Layout LocalProtocolError Bytes OfRevision Part Pieces Rebuild Record RemoteProtocolError
    Rule Subset Counted Self Shape Struct StructError Text Texts ToEnd Whole annotations as_bytes bare bytes_like check_frame
    check_instance check_several check_type count decode_record continued encode_entries fault flags_of_both frame_fault
    iter_unpack known local_fault local_frame_fault number_of pack packed size_of sizes_of text_of_flags this unpack_from

    ERROR_KINDS MESSAGES PARTS SEND_PAYLOAD Data Iterable Literal Mapping Sequence

    receive_as_client receive_as_server

    CHECKS FLAGS FRAMES PROFILES REQUEST_ORDER REQUEST_PARITY STREAM_FLAGS

    All Answer Event GUARDS InState MACHINES Machine Not One Row STREAM_PARITY Set

    AttributeError BufferError False None True TypeError UnicodeDecodeError UnicodeEncodeError ValueError all bool bytearray
    bytes dict frozenset hex int len list memoryview object property range set str sum tuple type
"""
MODULE_NAMES = frozenset(_EVERYWHERE.split())
"""The names in every generated module: its own, those that it imports, and the built-in ones that it uses."""


def field_fault(name: str) -> str | None:
    """Returns the reason that a field or an entry of a CBOR map cannot have this name; None if it can."""
    if iskeyword(name):
        return "is a keyword of Python"
    if name in RECORD_NAMES:
        return "is an attribute of every record"
    if name == "rest":
        return "is a keyword of the language"
    if name.endswith("_"):
        return "ends in an underscore, as the variables of generated code do"
    return None


def name_faults(
    structures: list[str], frames: list[str], machines: list[str], events: list[str], messages: list[str]
) -> Iterator[tuple[str, str, str]]:
    """Yields the section, the name, and the reason for each part whose name cannot be used."""
    taken: dict[str, str] = {}
    sections = {
        "structures": structures,
        "frames": frames,
        "machines": machines,
        "events": events,
        "messages": messages,
    }
    for section, names in sections.items():
        if section in ("machines", "events", "messages"):
            taken = {}  # these parts have their own module
        for name in names:
            ours = _NAMES_OF[section](name)
            hidden = next((each for each in ours if each in MODULE_NAMES or each in taken), None)
            twice = next((each for each in ours if ours.count(each) > 1), None)
            if name in TYPE_NAMES and section == "structures":
                yield section, name, "is a type of the language"
            elif any(map(iskeyword, ours)):
                yield section, name, "is a keyword of Python"
            elif name == HEADER and section == "frames":
                yield section, name, "is the name of the header of every frame"
            elif hidden in MODULE_NAMES:
                yield section, name, f"would hide {hidden!r} of the generated code"
            elif twice is not None:
                yield section, name, f"would be {twice!r} in Python twice, as a class and as a table"
            elif hidden is not None:
                yield section, name, f"would be {hidden!r} in Python, like {taken[hidden]!r}"
            taken |= dict.fromkeys(ours, name)


def _names_of_structure(name: str) -> list[str]:
    return [camel(name), upper(name), snake(name), f"decode_{snake(name)}", f"encode_{snake(name)}"]


_NAMES_OF: dict[str, Callable[[str], list[str]]] = {
    "structures": _names_of_structure,
    "frames": lambda name: [flag_class(name)],
    "machines": lambda name: [state_class(name), upper(name)],
    "events": lambda name: [camel(name)],
    "messages": lambda name: [snake(name)],
}
"""For each section, a function that returns the Python names of a part."""
