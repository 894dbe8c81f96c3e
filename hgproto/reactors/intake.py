"""The state that a reactor reads and changes with each frame that it receives.

A reactor shares its intake with the loop that is generated for its revision, in ``receive.py``. The loop takes the usual frames,
the reactor takes all others, and both keep the same counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.reactors.plans import Request

if TYPE_CHECKING:
    from typing import Any

    from hgproto.reactors.limits import Limits
    from hgproto.reactors.plans import Plans, Slots, Table

__all__ = ["CommandIntake", "CommandRequest", "Intake", "OpenValue"]

NAMES = 256
"""Names of commands and arguments that a reactor remembers: more than the reference has commands."""
NAME_BYTES = 64
"""The longest name that is remembered, so that all take no more than some ten KiB."""


class OpenValue:
    """An argument's value that spans frames: what there is of it, and how many bytes are to come."""

    __slots__ = ("data", "left", "name")

    def __init__(self, name: str, data: bytes, left: int) -> None:
        self.name = name
        self.data = bytearray(data)
        self.left = left


class CommandRequest(Request):
    """A request that is partly received.

    ``announced``: data follows the arguments. ``size``: how many bytes arguments and data have. ``value``: of an argument that
    is not whole yet.
    """

    __slots__ = ("announced", "args", "data", "name", "size", "value")

    name: str
    announced: bool
    args: dict[str, bytes]
    size: int
    data: bytes | bytearray
    value: OpenValue | None

    # Made without arguments, and filled by who makes it: see hgproto.runtime.frame.bare.
    __init__ = object.__init__

    def keep(self, payload: bytes) -> None:
        """Keeps the next part of the data."""
        if not self.data:
            # Most data is one frame, which is then never copied.
            self.data = payload
        elif isinstance(self.data, bytearray):
            self.data += payload
        else:
            self.data = bytearray(self.data) + payload


class Intake:
    """The streams and requests that the receiving half of a reactor knows.

    ``requests``: those whose ids are not free. ``slots``: the states of streams, as reactors look them up. ``tables``: what
    stands for each state of a request, in the order of the states. ``max_payload``: the most bytes of a payload.
    """

    __slots__ = ("max_payload", "requests", "slots", "tables")

    requests: dict[int, Any]
    slots: list[int] | Slots
    tables: tuple[Table, ...]

    def __init__(self, plans: Plans, limits: Limits) -> None:
        self.requests = {}
        self.slots = plans.slots()
        self.tables = plans.tables_by_number
        self.max_payload = limits.max_payload


class CommandIntake(Intake):
    """The same of a server.

    ``whole``: what is known of a request that was received whole, by the number of its state. ``receiving``: how many requests
    are partly received. ``refused``: how many are refused and not over. ``buffered``: the bytes that are kept of all requests.
    ``names``: names that came before, by their bytes. ``streaming``: commands run before their data is there. The others are
    limits.
    """

    __slots__ = (
        "buffered",
        "longest_value",
        "most_active",
        "most_arguments",
        "most_buffered",
        "most_bytes",
        "most_receiving",
        "names",
        "receiving",
        "refused",
        "streaming",
        "whole",
    )

    whole: tuple[Request | None, ...]

    def __init__(self, plans: Plans, limits: Limits) -> None:
        super().__init__(plans, limits)
        self.whole = plans.whole_by_number
        self.receiving = self.refused = self.buffered = 0
        self.names: dict[bytes, str] = {}
        self.streaming = False
        self.most_active = limits.active_requests
        self.most_receiving = limits.receiving_requests
        self.most_arguments = limits.arguments
        self.longest_value = limits.argument_value
        self.most_bytes = limits.request_bytes
        self.most_buffered = limits.buffered_bytes

    def name_of(self, data: bytes) -> str:
        """Returns the name that bytes are, empty where they are none. Names come again, and then are not decoded again."""
        if not data.isascii():
            return ""
        name = data.decode("ascii")
        if len(self.names) < NAMES and len(data) <= NAME_BYTES:
            self.names[data] = name
        return name
