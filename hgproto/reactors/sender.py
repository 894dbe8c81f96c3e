"""The sending half of both reactors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from hgproto.errors import LocalProtocolError
from hgproto.reactors.outputs import Outputs
from hgproto.reactors.plans import words
from hgproto.runtime.shapes import brief

if TYPE_CHECKING:
    from enum import IntEnum
    from typing import Literal

    from hgproto.reactors.outputs import Output
    from hgproto.reactors.reactor import Reactor
    from hgproto.runtime.machine import Event

    _Base = Reactor
else:
    _Base = Generic

__all__ = ["Sender"]

EventT = TypeVar("EventT")


class Sender(_Base[EventT]):
    """A mixin with output streams. It checks each action of its own side against the state machine of the request."""

    __slots__ = ()

    _outputs: Outputs

    def _opened(self, count: int, encoding: str | None, flush: Literal["response", "frame"]) -> Outputs:
        """Returns the output streams of a reactor; see :class:`hgproto.reactors.outputs.Outputs`."""
        first = 1 if self._revision.machines.STREAM_PARITY[self.role] else 2
        profile = None if encoding is None else self.encodings[encoding]
        return Outputs(count, first, profile, self.limits, flush, self._is_over, self._sent, self._plans)

    @property
    def output_streams(self) -> tuple[int, ...]:
        """The ids of the streams that the reactor sends on."""
        return tuple(self._outputs.by_id)

    def _sent_states(self) -> tuple[dict[int, IntEnum], tuple[int, ...]]:
        outputs = self._outputs
        states: dict[int, IntEnum] = {stream_id: output.stream.state for stream_id, output in outputs.by_id.items()}
        return states, tuple(send.request_id for send in outputs.sends)

    def _tell(self, request_id: int, event: Event) -> None:
        """Moves a request for an event of its own side. Raises :class:`LocalProtocolError` if its state forbids the event."""
        if not self.works:
            raise self._plans.dead()
        request = self._requests.get(request_id)
        state = self.machine.initial if request is None else request.table.state
        row = self._row(state, event)
        if row is None or row.to is None:
            requirement = self.machine.otherwise if row is None or row.error is None else row.error
            expected = "another state" if row is None or row.expected is None else row.expected
            found = f"request {brief(request_id)}, which is {words(state)}"
            raise LocalProtocolError(requirement, None, "request_id", expected, found)
        if row.to != state:
            self._move(request_id, request, row.to)

    def _is_over(self, output: Output | None) -> bool:
        """Returns True if an output has no send left except the one that asks. For None: if nothing more will be sent."""
        raise NotImplementedError

    def _sent(self, request_id: int) -> None:
        """Moves a request after all frames of its command or response were consumed."""
        raise NotImplementedError
