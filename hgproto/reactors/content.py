"""The content of commands: its frame types, and the decoders of their payloads."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from hgproto.runtime.layout import case_of

if TYPE_CHECKING:
    from hgproto.runtime.definition import Definition

__all__ = ["Content"]

_FORMATS = {"u8": "B", "u16": "H", "u32": "I"}


class Content:
    """The codes and flags of a request's frame types by role, and the decoders of arguments.

    ``sub_header``: the integers before the name of an argument; ``size``: their size in bytes. ``argument`` decodes a
    whole argument, and ``start`` the first frame of a value that spans frames. ``total``: the field of ``start`` with
    the size of the value in bytes.
    """

    __slots__ = (
        "argument",
        "argument_code",
        "data",
        "data_follows",
        "last_argument",
        "last_data",
        "more",
        "name",
        "name_is_all",
        "size",
        "start",
        "sub_header",
        "total",
    )

    def __init__(self, revision: Definition) -> None:
        codec = revision.codec
        self.name, argument, self.data = (revision.code_of(role) for role in ("command", "argument", "data"))
        self.argument_code = argument
        self.name_is_all = revision.flag(self.name, "last")
        self.data_follows = revision.flag(self.name, "data-follows")
        self.more, self.last_argument = revision.flag(argument, "more"), revision.flag(argument, "last")
        _, self.last_data = revision.data_types[self.data]
        cases = codec.PAYLOADS[argument]
        whole, start = case_of(cases, 0, False), case_of(cases, self.more, False)
        self.argument, self.start = (codec.STRUCTURES[name][1] for name in (whole, start))
        parts = codec.LAYOUTS[whole].parts
        before = parts[: [part.name for part in parts].index("name")]
        self.sub_header = Struct("<" + "".join(_FORMATS[part.type] for part in before))
        self.size = self.sub_header.size
        self.total = str(next(part.at_most for part in codec.LAYOUTS[start].parts if part.name == "value"))
