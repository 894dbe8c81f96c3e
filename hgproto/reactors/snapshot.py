"""The state of a reactor, for tests, debuggers, and operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.runtime.frame import Record, Unique, checked_number

if TYPE_CHECKING:
    from enum import IntEnum
    from typing import Any, Self

    from hgproto.reactors.limits import Limits
    from hgproto.reactors.plans import Plans
    from hgproto.runtime.machine import Machine
    from hgproto.streams.input_stream import InputStream

__all__ = ["Inspectable", "Snapshot"]


class Snapshot(Record):
    """The state of a reactor at the time of ``snapshot()``.

    ``connection``: the state of the connection. ``ended``: True if the peer's output has ended. ``requests``: the state
    of each request whose id is not free. ``inputs``: the state of each stream that the peer has open. ``outputs``: the
    state of each stream that the reactor sends on, after all frames that were built. ``unsent``: the requests of sends
    that were not consumed completely, in the order of the calls. ``counters``: the current numbers for the limits of
    the same names, and ``received``, the bytes of whole frames that were received. ``limits``: the limits of the
    reactor.
    """

    __slots__ = (  # noqa: RUF023 - in the order of use
        "connection",
        "ended",
        "requests",
        "inputs",
        "outputs",
        "unsent",
        "counters",
        "limits",
    )

    connection: IntEnum
    ended: bool
    requests: dict[int, IntEnum]
    inputs: dict[int, IntEnum]
    outputs: dict[int, IntEnum]
    unsent: tuple[int, ...]
    counters: dict[str, int]
    limits: Limits

    def __init__(
        self,
        connection: IntEnum,
        ended: bool,
        requests: dict[int, IntEnum],
        inputs: dict[int, IntEnum],
        outputs: dict[int, IntEnum],
        unsent: tuple[int, ...],
        counters: dict[str, int],
        limits: Limits,
    ) -> None:
        self.connection = connection
        self.ended = ended
        self.requests = requests
        self.inputs = inputs
        self.outputs = outputs
        self.unsent = unsent
        self.counters = counters
        self.limits = limits

    if TYPE_CHECKING:

        def replace(  # noqa: D102
            self,
            *,
            connection: IntEnum = ...,
            ended: bool = ...,
            requests: dict[int, IntEnum] = ...,
            inputs: dict[int, IntEnum] = ...,
            outputs: dict[int, IntEnum] = ...,
            unsent: tuple[int, ...] = ...,
            counters: dict[str, int] = ...,
            limits: Limits = ...,
        ) -> Self: ...


class Inspectable(Unique):
    """The part of a reactor that reports its state."""

    __slots__ = ("_inputs", "_requests", "ended", "limits", "machine", "state")

    machine: Machine
    _plans: Plans
    state: IntEnum
    ended: bool
    limits: Limits
    _requests: dict[int, Any]
    _inputs: dict[int, InputStream]

    def snapshot(self) -> Snapshot:
        """Returns the states of the connection, its streams, and its requests, with counters and limits."""
        outputs, unsent = self._sent_states()
        return Snapshot(
            self.state,
            self.ended,
            {request_id: request.state for request_id, request in sorted(self._requests.items())},
            {stream_id: stream.state for stream_id, stream in sorted(self._inputs.items())},
            outputs,
            unsent,
            self._counters(),
            self.limits,
        )

    def request_state(self, request_id: int) -> IntEnum:
        """Returns the state of one request. Raises :class:`TypeError` or :class:`ValueError` for an invalid id."""
        request = self._requests.get(self._checked_id(request_id))
        state: IntEnum = self.machine.initial if request is None else request.state
        return state

    def stream_state(self, stream_id: int) -> IntEnum:
        """Returns the state of one stream of the peer. Raises as :meth:`request_state` does."""
        stream = self._inputs.get(self._checked_id(stream_id, "stream_id"))
        return self._plans.stream.initial if stream is None else stream.state

    def _checked_id(self, number: int, name: str = "request_id") -> int:
        """Returns the id from a caller as an ``int``. ``name``: that of the argument, and of the header field."""
        return checked_number(name, number, 0, self._plans.revision.ids[name] - 1)

    def _sent_states(self) -> tuple[dict[int, IntEnum], tuple[int, ...]]:
        """Returns the states of the output streams, and the requests of sends that were not consumed completely."""
        return {}, ()

    def _counters(self) -> dict[str, int]:
        """Returns the counters of a snapshot."""
        raise NotImplementedError
