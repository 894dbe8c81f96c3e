"""hgproto's reactors as targets: a server that responds with a description of each command, and a client that reports events.

To compare the content of its responses, a target must respond to each command with its :func:`description`. This is one JSON
object, ``{"command": NAME, "args": {NAME: HEX, ...}, "data": HEX or null}``, with lower-case hexadecimal digits.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.fuzz.raw import frames_of
from hgproto.reactors.client import Client
from hgproto.reactors.events import Error, RunCommand, SendFrames
from hgproto.reactors.server import Server
from hgproto.reactors.session import event_to_json
from hgproto.revisions.revision import default_revision
from hgproto.runtime.machine import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Literal

    from hgproto.errors import RemoteProtocolError
    from hgproto.judging.finding import Role
    from hgproto.reactors.limits import Limits
    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.machine import Condition
    from hgproto.streams.encodings import Encodings

__all__ = [
    "ISSUED",
    "LIMITS",
    "Served",
    "client_events",
    "description",
    "heard",
    "serve",
    "served",
    "server_events",
]

_REVISION = default_revision()
_MET: dict[str, object] = {
    "argument": "over-limit",
    "capacity": False,
    "data": "over-limit",
    "encoding": "too-large",
    "stream-capacity": False,
}
"""The answers of guards that report a limit."""


def _limit_rules() -> Iterator[str]:
    """Yields the requirements that the state machines report if they reject frames because of a limit."""

    def known(atom: Condition) -> bool | None:
        return _MET[atom.guard] == atom.value if isinstance(atom, Answer) and atom.guard in _MET else None

    for machine in _REVISION.machines.MACHINES.values():
        for row in machine.rows:
            rule, when = row.error or row.requirement, row.when
            if rule is None or when is None or when.holds(known) is False:
                continue
            if any(known(atom) is not None for atom in when.atoms()):
                yield rule


LIMITS = frozenset(_limit_rules())
"""The requirements about limits of the receiver. Another receiver may have other limits."""
ISSUED = tuple(range(1, 33, 2))
"""The ids of the requests that a client has sent before it receives bytes from the server."""
_MOST = _REVISION.codec.MAX_PAYLOAD[1]


def description(command: RunCommand) -> bytes:
    """Returns the response that describes a command."""
    shown = event_to_json(command)
    return json.dumps({name: shown[name] for name in ("command", "args", "data")}).encode()


class Served(NamedTuple):
    """The result of hgproto's own server.

    ``output``: the bytes that it sends. ``error``: the error that ended the connection. ``over``: the requirements of the
    server's own limits that rejected something, each with the request.
    """

    output: bytes
    error: RemoteProtocolError | None
    over: tuple[tuple[str, int | None], ...]


def served(
    data: BytesLike,
    *,
    late: bool = False,
    limits: Limits | None = None,
    encodings: Encodings | None = None,
    reopen: Literal["error", "restart"] = "error",
    fails: str | None = None,
) -> Served:
    """Runs hgproto's server on all bytes of a client and the end of its output.

    ``late``: True to respond after the end of input; False to respond as soon as a command was received. ``fails``: the name of a
    command that the application fails.
    """
    server = Server(limits=limits, encodings=encodings, reopen=reopen, defer=late)
    output: list[bytes] = []
    error: list[RemoteProtocolError] = []
    over: list[tuple[str, int | None]] = []
    for given in (*frames_of(data), None):
        if error:
            # The server reads nothing after an error.
            break
        # Feed single frames, so that the server responds to a command before it reads the next frame.
        for event in server.receive_end() if given is None else server.receive_data(given):
            match event:
                case RunCommand():
                    if server.works and event.name == fails:
                        output += _encoded(server.respond_error(event.request_id, "the command fails"))
                    elif server.works:
                        output += _encoded(server.respond(event.request_id, description(event)))
                case SendFrames():
                    if event.requirement in LIMITS:
                        over.append((event.requirement, event.request_id))
                    output += _encoded(event)
                case Error():
                    error.append(event.error)
                    if event.error.requirement in LIMITS:
                        over.append((event.error.requirement, None))
                    output += _encoded(event.frames)
    return Served(b"".join(output), error[0] if error else None, tuple(over))


def _encoded(frames: Iterable[Any]) -> Iterator[bytes]:
    return (_REVISION.codec.encode_frame(frame, _MOST) for frame in frames)


def serve(data: BytesLike) -> bytes:
    """Runs hgproto's server as a target. Returns all bytes that it sends to a client that has sent ``data``."""
    return served(data).output


def heard(
    role: Role,
    data: BytesLike,
    *,
    limits: Limits | None = None,
    encodings: Encodings | None = None,
    reopen: Literal["error", "restart"] = "error",
) -> tuple[list[dict[str, Any]], RemoteProtocolError | None, set[str]]:
    """Runs a reactor on all bytes of the other side.

    Returns its events as JSON, the error that ended the connection, and the requirements about limits that were met. A server
    sends no responses. A client has sent the requests :data:`ISSUED`.
    """
    reactor: Server | Client
    if role == "server":
        reactor = Server(limits=limits, encodings=encodings, reopen=reopen)
    else:
        reactor = Client(limits=limits, encodings=encodings, reopen=reopen)
        for request_id in ISSUED:
            reactor.issued(request_id)
    events = [*reactor.receive_data(data)]
    events += reactor.receive_end()
    error = next((event.error for event in events if isinstance(event, Error)), None)
    over = {event.requirement for event in events if isinstance(event, SendFrames) and event.requirement}
    over |= set() if error is None else {error.requirement}
    return [event_to_json(event) for event in events], error, over & LIMITS


def server_events(data: BytesLike) -> list[dict[str, Any]]:
    """Runs hgproto's server as a target that outputs events."""
    return heard("server", data)[0]


def client_events(data: BytesLike) -> list[dict[str, Any]]:
    """Runs hgproto's client as a target that outputs events."""
    return heard("client", data)[0]
