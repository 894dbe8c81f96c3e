"""Conversations of frames, whole or broken in places, by which the generated loops of reactors are held against the engine."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import support
from hypothesis import strategies as st

from hgproto.reactors.client import Client
from hgproto.reactors.events import Error, SendFrames
from hgproto.reactors.limits import Limits
from hgproto.reactors.server import Server
from hgproto.revisions.framing_0002 import build, codec
from hgproto.revisions.revision import Revision, default_revision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgproto.runtime.frame import Frame

__all__ = ["CONVERSATIONS", "TIGHT", "EngineClient", "EngineServer", "agree", "commands", "inside", "responses", "told"]

BEGIN = int(codec.StreamFlag.STREAM_BEGIN)
NAMES = st.sampled_from(["a", "bb", "name"])
COMMANDS = st.tuples(
    st.sampled_from(["c", "command"]),
    st.dictionaries(NAMES, st.binary(max_size=30), max_size=3),
    st.none() | st.binary(max_size=30),
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "request_id": st.sampled_from([1, 3, 5, 2]),
        "stream_id": st.sampled_from([1, 3, 2]),
        "stream_flags": st.integers(0, 8),
        "type": st.integers(0, 9),
        "flags": st.integers(0, 8),
        "payload": support.payloads,
    },
).filter(bool)
TIGHT = {
    "receiving_requests": 2,
    "active_requests": 3,
    "request_bytes": 40,
    "buffered_bytes": 60,
    "arguments": 2,
    "argument_value": 20,
    "open_streams": 2,
    "max_payload": 40,
}


class EngineServer(Server):
    """A server without the loop that is generated."""

    __slots__ = ()

    def _read(self, source: Any) -> Any:
        return self._take(self._codec.read_parts(source, self.limits.max_payload))


class EngineClient(Client):
    """A client without the loop that is generated."""

    __slots__ = ()

    def _read(self, source: Any) -> Any:
        return self._take(self._codec.read_parts(source, self.limits.max_payload))


def interleaved(draw: st.DrawFn, queues: list[list[Frame]], streams: Sequence[int]) -> list[Frame]:
    """Frames of some requests on two streams, at times changed in a few places."""
    frames: list[Frame] = []
    begun: set[int] = set()
    while queues:
        queue = draw(st.sampled_from(queues))
        stream_id = draw(st.sampled_from([streams[0], streams[0], streams[0], streams[1]]))
        frames.append(queue.pop(0).replace(stream_id=stream_id, stream_flags=0 if stream_id in begun else BEGIN))
        begun.add(stream_id)
        queues = [left for left in queues if left]
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(frames) - 1))
        match draw(st.sampled_from(["change", "again", "drop", "any"])):
            case "change":
                frames[at] = frames[at].replace(**draw(CHANGES))
            case "again":
                frames.insert(at, frames[at])
            case "drop" if len(frames) > 1:
                del frames[at]
            case _:
                frames.insert(at, draw(support.frames))
    return frames


@st.composite
def commands(draw: st.DrawFn) -> list[Frame]:
    """The frames of some commands."""
    queues = [
        list(build.command(request_id, 1, name, args, data, max_payload=12))
        for request_id, (name, args, data) in zip(
            (1, 3, 5, 7), draw(st.lists(COMMANDS, min_size=1, max_size=4)), strict=False
        )
    ]
    return interleaved(draw, queues, (1, 3))


@st.composite
def responses(draw: st.DrawFn) -> list[Frame]:
    """The frames of some responses, with messages between, some with an error at their end."""
    queues = []
    for request_id in (1, 3, 5, 7)[: draw(st.integers(1, 4))]:
        queue = list(build.bytes_response(request_id, 2, draw(st.binary(max_size=30)), max_payload=12))
        for message in draw(st.lists(st.sampled_from(["text", "progress"]), max_size=1)):
            text = [build.text_output(request_id, 2, [("x", (), ())])]
            queue[:0] = text if message == "text" else [build.progress(request_id, 2, topic="x", pos=1, total=2)]
        kind = draw(st.sampled_from([None, None, None, None, "application", "protocol"]))
        if kind is not None:
            queue[-1:] = [build.error_response(request_id, 2, "no", kind)]  # type: ignore[arg-type]
        queues.append(queue)
    return interleaved(draw, queues, (2, 4))


CONVERSATIONS = {"server": commands(), "client": responses()}
"""The frames that each role receives."""


def told(events: list[Any]) -> list[Any]:
    """Events in a form that can be compared, all that is to be sent taken."""
    found: list[Any] = []
    for event in events:
        match event:
            case Error():
                found.append((str(event.error), event.frame, list(event.frames)))
            case SendFrames():
                found.append((event.request_id, event.requirement, list(event)))
            case _:
                found.append(event)
    return found


_KEPT = ("name", "args", "size", "data", "announced", "received", "decoded")


def inside(reactor: Server | Client) -> Any:
    """All that a reactor knows."""
    requests = {
        key: (one.state, *(getattr(one, name, None) for name in _KEPT)) for key, one in reactor._requests.items()
    }
    return reactor.snapshot(), requests, reactor._pieces.rest


def agree(role: str, frames: list[Frame], data: Any, revision: Revision | None = None, flipped: bool = False) -> None:
    """Gives two reactors the same bytes, cut anywhere: one has the generated loop, and the other one has not.

    ``flipped``: request ids have the other parity.
    """
    revision = revision or default_revision()
    other = revision.codec
    wire = [
        other.encode_frame(
            other.make_frame(
                int(one.request_id) ^ flipped,
                int(one.stream_id),
                int(one.stream_flags),
                int(one.type),
                int(one.flags),
                one.payload,
            )
        )
        for one in frames
    ]
    own, engine = _reactors(role, revision, data)
    after: list[Any] = []
    while wire:
        count = data.draw(st.integers(1, 6))
        raw = b"".join(wire[:count])
        del wire[:count]
        for part in data.draw(support.cuts(raw)):
            assert told(own.receive_data(part)) == told(engine.receive_data(part))
            assert inside(own) == inside(engine)
        _go_on(role, (own, engine), after, data)
        assert inside(own) == inside(engine)
    assert told(own.receive_end()) == told(engine.receive_end())
    assert inside(own) == inside(engine)


def _reactors(role: str, revision: Revision, data: Any) -> tuple[Any, Any]:
    settings: dict[str, Any] = {
        "limits": Limits.of_revision(revision).replace(**data.draw(st.sampled_from([{}, TIGHT]))),
        "reopen": data.draw(st.sampled_from(["error", "restart"])),
        "revision": revision,
    }
    if role == "server":
        settings["streaming"] = data.draw(st.booleans())
        return Server(**settings), EngineServer(**settings)
    both = Client(**settings), EngineClient(**settings)
    for _ in range(data.draw(st.integers(1, 3))):
        # Some requests are answered while they are sent, and the data of some cannot be read.
        kind = data.draw(st.sampled_from(["sent", "sent", "unsent", "broken"]))
        for client in both:
            send = client.issue("x", {"a": b"v"}, data=_Broken(bytes(1 << 20)) if kind == "broken" else None)
            if kind != "unsent":
                list(send)
    return both


class _Broken(BytesIO):
    """A file that cannot be read to its end."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 1 << 16:
            raise OSError("the disk is broken")
        return super().read(size)


def _go_on(role: str, both: tuple[Any, Any], after: list[Any], data: Any) -> None:
    """Has both reactors do the same with what they have received."""
    if role == "client" or not both[0].works:
        return
    states = both[0]._plans.states
    running = [key for key, state in both[0].snapshot().requests.items() if state in states.awaiting]
    if running and data.draw(st.booleans()):
        answers = tuple(server.respond(running[0], b"response") for server in both)
        assert all(isinstance(one, SendFrames) for one in answers)
        after.append(answers)
    if after and data.draw(st.booleans()):
        assert len({tuple(one) for one in after.pop(0)}) == 1
