"""Items of a payload: all decoders count the same, and reject an item over the limit before creating objects."""

from __future__ import annotations

import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support import Refusal, damaged, judged_payload, progresses, text_outputs

from hgproto.errors import ProtocolError, RemoteProtocolError
from hgproto.evidence.prove import same_value
from hgproto.judging.validation import SessionValidator, validate
from hgproto.reactors.client import Client
from hgproto.reactors.events import Error, RunCommand
from hgproto.reactors.limits import Limits
from hgproto.reactors.server import Server
from hgproto.revisions.framing_0002 import codec, structs
from hgproto.samples.limits import message_of

if TYPE_CHECKING:
    from collections.abc import Callable

ITEMS = 300


def message(number: int) -> bytes:
    """A message of so many items: atoms, labels and arguments together."""
    whole, rest = divmod(number, 3)
    atoms = [codec.TextAtom("%s\n", ("l",), ("a",))] * whole + [codec.TextAtom("\n", (), ())] * rest
    return codec.encode_text_output(codec.TextOutput(tuple(atoms)))


def update(number: int) -> bytes:
    """Returns a progress map with a number of items: itself, keys, values, and those nested in an unknown value."""
    head = bytes.fromhex("a4 43706f73 20 45746f706963 4178 45746f74616c 0a 4178")
    return head + b"\x99" + (number - 9).to_bytes(2, "big") + b"\x80" * (number - 9)


def squeezed(kind: int, payload: bytes) -> bytes:
    """A stream of the server with one encoded payload, and the end of the response."""
    encoder = zlib.compressobj()
    body = encoder.compress(payload) + encoder.flush(zlib.Z_SYNC_FLUSH)
    last = encoder.flush(zlib.Z_FINISH)
    parts = ((1, 8, 0, b"\x04zlib"), (4, kind, 0, body), (6, 4, 2, last))
    frames = [codec.make_frame(1, 2, flags, type_, of_type, wire) for flags, type_, of_type, wire in parts]
    return b"".join(map(codec.encode_frame, frames))


def accepted_by(reader: str, kind: int, payload: bytes, most: int) -> str | None:
    """What refuses a payload; None if nothing does."""
    limits, request = Limits(payload_items=most), codec.encode_frame(codec.make_frame(1, 1, 3, 1, 1, b"x"))
    try:
        match reader:
            case "codec":
                codec.decode_payload(codec.make_frame(1, 2, 0, kind, 0, payload), max_items=most)
            case "structs":
                (structs.text_output if kind == 6 else structs.progress).parse(payload, max_items=most)
            case "checked frame":
                wire = codec.encode_frame(codec.make_frame(1, 2, 0, kind, 0, payload))
                structs.checked_frame.parse(wire, max_items=most)
            case "client":
                client = Client(limits=limits)
                list(client.issue("x"))
                errors = [event for event in client.receive_data(squeezed(kind, payload)) if isinstance(event, Error)]
                return errors[0].error.requirement if errors else None
            case "frames":
                wire = codec.encode_frame(codec.make_frame(1, 2, 0, kind, 0, payload))
                return next((one.id for one in validate(wire, role="server", depth="frames", limits=limits)), None)
            case _:
                validator = SessionValidator(limits=limits)
                assert list(validator.feed("client", request)) == []
                return next((one.id for one in validator.feed("server", squeezed(kind, payload))), None)
    except ProtocolError as error:
        return error.requirement
    return None


@pytest.mark.requirement("frame.items-limit")
@pytest.mark.parametrize("reader", ["codec", "structs", "checked frame", "client", "frames", "session"])
@pytest.mark.parametrize(("kind", "make"), [(6, message), (7, update)], ids=["message", "progress"])
def test_items_of_a_payload(reader: str, kind: int, make: Callable[[int], bytes]) -> None:
    assert [accepted_by(reader, kind, make(number), ITEMS) for number in (ITEMS - 1, ITEMS, ITEMS + 1)] == [
        None,
        None,
        "frame.items-limit",
    ]


@pytest.mark.parametrize("number", [codec.LIMITS["payload-items"][0] - 1, codec.LIMITS["payload-items"][0]])
def test_the_default_bounds_items_and_is_over_what_a_plain_payload_can_have(number: int) -> None:
    payload = message_of(number)
    assert len(payload) > codec.MAX_PAYLOAD[0]
    assert codec.encode_text_output(codec.decode_text_output(payload)) == payload
    with pytest.raises(RemoteProtocolError, match="at most 65536 items"):
        codec.decode_text_output(message_of(codec.LIMITS["payload-items"][0] + 1))


@given(st.integers(1, 30), text_outputs | progresses)
def test_both_codecs_agree_on_items(most: int, value: Any) -> None:
    text = isinstance(value, codec.TextOutput)
    payload = codec.encode_text_output(value) if text else codec.encode_progress(value)
    results: list[tuple[Any, Any]] = []
    for read in (
        lambda: (codec.decode_text_output if text else codec.decode_progress)(payload, most),
        lambda: (structs.text_output if text else structs.progress).parse(payload, max_items=most),
    ):
        try:
            results.append((read(), None))
        except ProtocolError as error:
            results.append((None, (error.requirement, error.offset, error.field, error.expected, error.found)))
    (fast, fault), (slow, same) = results
    assert fault == same
    assert fault is not None or same_value(fast, slow)


EMPTY, CUT = "00000000", "0000ff00"
"""An atom without strings, and one that is cut: it says that it has 255 labels."""


@pytest.mark.requirement("frame.items-limit")
@pytest.mark.parametrize("before", range(5))
@pytest.mark.parametrize("most", [20, 255, 256, 300])
def test_the_place_of_an_element_does_not_change_the_requirement(before: int, most: int) -> None:
    payload = bytes.fromhex(EMPTY * before + CUT)
    over = Refusal("frame.items-limit", 4 * before, f"atoms[{before}]", f"at most {most} items", "one more")
    field = f"atoms[{before}].label_lengths"
    cut = Refusal("text-output.single-frame", 4 * before + 4, field, "255 bytes", "0 bytes")
    wanted = over if before + 256 > most else cut
    assert judged_payload(codec.decode_text_output, payload, most) == wanted
    assert judged_payload(structs.text_output.parse, payload, most) == wanted


starts = st.tuples(st.integers(0, 1), st.just(0), st.sampled_from([0, 0, 9, 30]), st.sampled_from([0, 9])).map(bytes)
messages = st.lists(st.just(bytes(4)) | starts | text_outputs.map(codec.encode_text_output), max_size=4).map(b"".join)
"""Whole atoms, and starts of atoms that say how many strings follow, in any order."""


@given(damaged(messages), st.integers(0, 40))
@example(bytes.fromhex(EMPTY + CUT), 20)
def test_both_codecs_agree_on_items_of_damaged_messages(payload: bytes, most: int) -> None:
    fast = judged_payload(codec.decode_text_output, payload, most)
    slow = judged_payload(structs.text_output.parse, payload, most)
    assert fast == slow if isinstance(fast, Refusal) else same_value(fast, slow)


@given(damaged(progresses.map(codec.encode_progress)), st.integers(0, 40))
def test_both_codecs_agree_on_items_of_damaged_updates(payload: bytes, most: int) -> None:
    fast = judged_payload(codec.decode_progress, payload, most)
    slow = judged_payload(structs.progress.parse, payload, most)
    assert fast == slow if isinstance(fast, Refusal) else same_value(fast, slow)


@pytest.mark.parametrize(
    "payload",
    [
        message_of(200_000),
        codec.encode_text_atom(codec.TextAtom("", ("",) * 255, ("",) * 255)) * 1000,
        update(9)[:-3] + b"\x9a\x00\x0f\xff\x00" + b"\x80" * 0xFFF00,
    ],
    ids=["labels", "arguments", "arrays"],
)
def test_an_item_too_many_is_refused_before_objects_are_made(payload: bytes) -> None:
    """The client takes no more than for the limit, whatever else is in the payload."""
    limits = Limits(payload_items=1000)
    kind = 7 if payload[:1] == b"\xa4" else 6
    wire = squeezed(kind, payload)

    def feed() -> None:
        client = Client(limits=limits)
        client.issued(1)
        (*_, error) = client.receive_data(wire)
        assert isinstance(error, Error)
        assert error.error.requirement == "frame.items-limit"

    feed()
    tracemalloc.start()
    try:
        feed()
        # A decoder gathers the bytes and joins them; objects come beside that.
        assert tracemalloc.get_traced_memory()[1] < 4 * len(payload) + 1_000_000
    finally:
        tracemalloc.stop()


def test_a_server_gets_no_payload_whose_items_count() -> None:
    server = Server(limits=Limits(payload_items=1))
    client = Client()
    events = [event for frame in client.issue("x", {"a": b"1", "b": b"2"}) for event in server.receive_frame(frame)]
    assert isinstance(events[-1], RunCommand)
