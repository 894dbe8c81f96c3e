"""The state that a reactor reads and changes with each frame that it receives.

A reactor shares this state with the generated loop of its revision, in ``receive.py``. The loop processes the common
frames and the reactor all others; both keep the same counts.
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
"""The most command and argument names that a reactor caches; Mercurial has fewer commands."""
NAME_BYTES = 64
"""The most bytes of a cached name, so that the cache needs at most some ten KiB."""


class OpenValue:
    """An argument's value that spans frames: the bytes so far, and the number of bytes that are missing."""

    __slots__ = ("data", "left", "name")

    def __init__(self, name: str, data: bytes, left: int) -> None:
        self.name = name
        self.data = bytearray(data)
        self.left = left


class CommandRequest(Request):
    """A request that is partly received.

    ``announced``: True if data follows the arguments. ``size``: the bytes of all arguments and data. ``value``: the
    incomplete value, if any.
    """

    __slots__ = ("announced", "args", "data", "name", "size", "value")

    name: str
    announced: bool
    args: dict[str, bytes]
    size: int
    data: bytes | bytearray
    value: OpenValue | None

    # Created without arguments; the caller sets all attributes (see `hgproto.runtime.frame.bare`).
    __init__ = object.__init__

    def keep(self, payload: bytes) -> None:
        """Keeps the next part of the data."""
        if not self.data:
            # Most data is one frame, which needs no copy.
            self.data = payload
        elif isinstance(self.data, bytearray):
            self.data += payload
        else:
            self.data = bytearray(self.data) + payload


class Intake:
    """The streams and requests that the receiving half of a reactor knows.

    ``requests``: those whose ids are not free. ``slots``: the states of streams, in the form for lookups. ``tables``:
    the table of each state of a request, in the order of the states. ``max_payload``: the most bytes of a payload.
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
    """The streams and requests that a server's reactor knows.

    ``whole``: the shared object for completely received requests, by the number of the state. ``receiving``: the number
    of requests that are partly received. ``refused``: the number of rejected requests that are not over. ``buffered``:
    the bytes that are kept for all requests. ``names``: the cached names by their bytes. ``streaming``: True if
    commands run before their data is complete. The other attributes are limits.
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
        """Decodes a command or argument name and caches it. Returns an empty text if the bytes are not ASCII."""
        if not data.isascii():
            return ""
        name = data.decode("ascii")
        if len(self.names) < NAMES and len(data) <= NAME_BYTES:
            self.names[data] = name
        return name
