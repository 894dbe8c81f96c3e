"""Parts of records that are decoded on access."""

from __future__ import annotations

import copy
import pickle
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from hgproto import Client, Frame, ProgressUpdate, TextMessage, encode_frame
from hgproto.reactors.response_receiver import SMALL_PAYLOAD
from hgproto.revisions.framing_0002 import codec
from hgproto.runtime.deferred import Later

if TYPE_CHECKING:
    from collections.abc import Callable

ATOM = codec.TextAtom("ab %s", ("l",), ("xy",))
TEXT = codec.encode_text_output(codec.TextOutput((ATOM,) * 40))
PROGRESS = codec.encode_progress(codec.Progress("topic", 1, 2, extra={b"x": b"\x59\x02\x00" + bytes(512)}))


def received(code: int, payload: bytes) -> Any:
    client = Client()
    list(client.issue("x"))
    (event,) = client.receive_data(encode_frame(Frame(1, 2, 1, code, 0, payload)))
    return event


@pytest.mark.parametrize(
    ("event", "part", "value"),
    [
        (received(6, TEXT), "atoms", (ATOM,) * 40),
        (received(6, TEXT[: len(TEXT) // 40]), "atoms", (ATOM,)),
        (received(7, PROGRESS), "progress", codec.decode_progress(PROGRESS)),
    ],
    ids=["text", "little text", "progress"],
)
def test_a_part_that_is_made_later_is_like_any_other(event: Any, part: str, value: object) -> None:
    assert getattr(event, part) == value
    assert getattr(event, part) is getattr(event, part)
    now = type(event)(1, value)
    assert event == now
    assert (repr(event), hash(event), event.as_dict()) == (repr(now), hash(now), now.as_dict())
    for other in (copy.copy(event), copy.deepcopy(event), pickle.loads(pickle.dumps(event)), event.replace()):  # noqa: S301 - made here
        assert (other, type(other)) == (event, type(event))


def test_only_large_payloads_are_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    large, small = received(6, TEXT), received(6, TEXT[: len(TEXT) // 40])
    made = []
    value = Later.value

    def watched(self: Later) -> Any:
        made.append(self)
        return value(self)

    monkeypatch.setattr(Later, "value", watched)
    assert len(small.atoms) == 1
    assert not made
    assert len(large.atoms) == 40
    assert len(made) == 1
    assert len(TEXT) > SMALL_PAYLOAD > len(TEXT) // 40


def bomb(code: int, payload: Callable[[int], bytes]) -> bytes:
    """Sixty-four KiB of frames whose payloads are expanded far."""
    encoder = zlib.compressobj(9)
    frames = [encode_frame(Frame(1, 2, 1, 8, 0, b"\x04zlib"))]
    while sum(map(len, frames)) < 1 << 16:
        body = encoder.compress(payload(len(frames))) + encoder.flush(zlib.Z_SYNC_FLUSH)
        frames.append(encode_frame(Frame(1, 2, 4, code, 0, body)))
    return b"".join(frames)


@pytest.mark.requirement("frame.items-limit")
@pytest.mark.parametrize("atoms", [40, 2000])
def test_memory_of_events_is_in_proportion_to_the_decoded_bytes(atoms: int) -> None:
    data = bomb(6, lambda _: b"\x02\0\0\0%%" * atoms)
    client = Client()
    list(client.issue("x"))
    tracemalloc.start()
    try:
        events = client.receive_data(data)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(events) > 100
    assert all(type(event) is TextMessage for event in events)
    # The bytes of the texts, and the objects of one.
    assert most < 3 * len(events) * 6 * atoms + (1 << 24)


def test_a_class_shows_its_parts() -> None:
    assert TextMessage._parts == ("request_id", "atoms")
    assert ProgressUpdate._parts == ("request_id", "progress")
    assert TextMessage.__dict__["atoms"].__doc__ is None
