"""Chunking has no effect: frames, events, errors, and findings are the same for every chunking.

Inputs are golden sessions and hostile frames, also after an error. Texts are compared too, and the bytes that findings show.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mill import SESSIONS, Mill

from hgproto.errors import RemoteProtocolError
from hgproto.judging.finding import ROLES
from hgproto.judging.validation import SessionValidator, Validator
from hgproto.reactors.client import Client
from hgproto.reactors.events import Error, NoOp, SendFrames
from hgproto.reactors.limits import Limits
from hgproto.reactors.server import Server
from hgproto.wire.reader import FrameReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hgproto.judging.finding import Finding, Role

SIDES = ROLES
LIMITS = (None, Limits(max_payload=40, decoded_frame=100, open_streams=2, active_requests=2, arguments=1))
TWO_ERRORS = bytes.fromhex("010000010003011461010000000002035172616f6f206c6f050003")
"""A frame of the wrong side, an error that closes the connection, and a part of a length over the limit."""
OVER_LIMIT = bytes.fromhex("ffffff0100020142") + bytes(range(40))


def conversation(seed: int, side: Role) -> list[bytes]:
    """Generates frames of one side. Some are hostile, and more of them follow an error."""
    mill = Mill(seed)
    receiver = "server" if side == "client" else "client"
    _, steps = mill.rng.choice(SESSIONS[receiver])
    rate = mill.rng.choice((0.1, 0.4, 1))
    sent = [mill.hostile(step, receiver) if mill.chance(rate) else step for step in steps if isinstance(step, bytes)]
    while mill.chance(0.5):
        sent.append(mill.hostile(None, receiver))
    if mill.chance(0.2):
        sent.append(OVER_LIMIT[: mill.rng.randrange(len(OVER_LIMIT))])
    return sent


def wires(side: Role) -> st.SearchStrategy[bytes]:
    return st.integers(0, 1 << 20).map(lambda seed: b"".join(conversation(seed, side)))


def pieces(wire: bytes, cuts: Sequence[int]) -> list[bytes]:
    """``wire`` cut at places that are taken modulo its length; every chunk is an object of its own."""
    places = sorted({0, len(wire), *(cut % (len(wire) + 1) for cut in cuts)})
    return [wire[start:stop] for start, stop in pairwise(places)]


chunkings = st.one_of(st.just(range(1 << 12)), st.lists(st.integers(0, 1 << 16), max_size=12))
"""Every byte by itself, or a few cuts."""


def both(check: Any) -> Any:
    """A property of the bytes of each side, and of a chunking."""
    data = st.sampled_from(SIDES).flatmap(lambda side: st.tuples(st.just(side), wires(side)))
    given_ = given(data, chunkings, st.sampled_from(LIMITS))
    for wire in (TWO_ERRORS, OVER_LIMIT):
        given_ = _with_example(given_, wire)
    return given_(check)


def _with_example(inner: Any, wire: bytes) -> Any:
    return lambda check: inner(example(("server", wire), [19, 27], None)(example(("server", wire), [5], None)(check)))


def findings_of(chunks: list[bytes], validator: Validator) -> list[Finding]:
    return [*(finding for chunk in chunks for finding in validator.feed(chunk)), *validator.close()]


@pytest.mark.parametrize("depth", ["session", "frames"])
def test_findings_of_one_side(depth: Any) -> None:
    @both
    def check(sent: tuple[Role, bytes], cuts: Sequence[int], limits: Limits | None) -> None:
        side, wire = sent
        for role in (side, None):
            whole = findings_of([wire], Validator(role, depth=depth, limits=limits))
            assert findings_of(pieces(wire, cuts), Validator(role, depth=depth, limits=limits)) == whole

    check()


@given(st.integers(0, 1 << 20), st.integers(0, 1 << 20), st.lists(st.sampled_from(SIDES), max_size=30), chunkings)
def test_findings_of_both_sides(one: int, other: int, turns: list[Role], cuts: Sequence[int]) -> None:
    """Whose turn it is matters; how the bytes of a turn are cut does not."""
    runs: list[tuple[Role, bytes]] = []
    left = {"client": conversation(one, "client"), "server": conversation(other, "server")}
    for side in (*turns, *SIDES * 20):
        if left[side]:
            # Not always at the end of a frame.
            frame, at = left[side].pop(0), one % 9
            runs += [(side, frame[:at]), (side, frame[at:])] if one % 3 else [(side, frame)]

    def judged(cuts: Sequence[int]) -> Iterator[Finding]:
        validator = SessionValidator()
        for side, wire in runs:
            for piece in pieces(wire, cuts):
                yield from validator.feed(side, piece)
        yield from validator.close()

    assert list(judged(cuts)) == list(judged([]))


def read(chunks: list[bytes], limits: Limits | None) -> tuple[list[Any], list[str], int]:
    reader = FrameReader(max_payload=None if limits is None else limits.max_payload)
    frames: list[Any] = []
    errors: list[str] = []
    for chunk in chunks:
        try:
            frames += reader.feed(chunk)
        except RemoteProtocolError as error:
            frames += () if errors else error.frames
            errors.append(str(error))
    try:
        reader.close()
    except RemoteProtocolError as error:
        errors.append(str(error))
    # Each call after an error raises it again.
    assert len(set(errors)) <= 1
    return frames, errors[:1], reader.position


def test_frames() -> None:
    @both
    def check(sent: tuple[str, bytes], cuts: Sequence[int], limits: Limits | None) -> None:
        _, wire = sent
        assert read(pieces(wire, cuts), limits) == read([wire], limits)

    check()


def told(reactor: Server | Client, chunks: list[bytes]) -> list[Any]:
    """What a reactor tells, frames that it wants to send as they are; each call after an error says the same."""
    events: list[Any] = []
    for chunk in chunks:
        worked = reactor.works
        now = [plain(event) for event in reactor.receive_data(chunk)]
        if worked:
            events += now
        else:
            # A peer that closes the connection may still send its errors, which are ignored.
            assert [event[1] for event in now] in (
                [],
                ["expected no input after a protocol violation, found more (reactor.errored)"],
            )
    return [*events, *map(plain, reactor.receive_end())]


def plain(event: Any) -> Any:
    match event:
        case Error():
            return type(event).__name__, str(event.error), event.error.offset, event.frame, list(event.frames)
        case SendFrames():
            return event.request_id, event.requirement, list(event)
        case NoOp():
            return event.request_id
    return event


def test_events_of_reactors() -> None:
    @both
    def check(sent: tuple[str, bytes], cuts: Sequence[int], limits: Limits | None) -> None:
        side, wire = sent

        def made() -> Server | Client:
            if side == "client":
                return Server(limits=limits, streaming=len(wire) % 2 == 1)
            client = Client(limits=limits)
            for request_id in range(1, 11, 2):
                client.issued(request_id)
            return client

        assert told(made(), pieces(wire, cuts)) == told(made(), [wire] if wire else [])

    check()
