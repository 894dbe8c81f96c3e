"""The JSON form of any frame, and its parser."""

from __future__ import annotations

import json
import tracemalloc
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import frames

from hgproto.errors import LimitError
from hgproto.revisions.framing_0002 import codec
from hgproto.revisions.revision import Revision
from hgproto.runtime.cbor import NULL, Simple
from hgproto.wire import jsonform
from hgproto.wire.jsonform import Continuations, frame_from_json, frame_to_json, value_to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgproto import Frame

KEYS = ["offset", "length", "request_id", "stream_id", "stream_flags", "type", "flags", "payload"]


@given(frames, st.integers(0, 1 << 40), st.booleans())
def test_any_frame_round_trips(frame: Frame, offset: int, continued: bool) -> None:
    shown = frame_to_json(frame, codec, offset, continued=continued)
    text = json.dumps(shown, allow_nan=False)
    assert json.loads(text) == shown
    assert list(shown)[:8] == KEYS
    assert set(list(shown)[8:]) in (set(), {"decoded"}, {"error"})
    assert (shown["offset"], shown["length"]) == (offset, len(frame.payload))
    assert frame_from_json(shown, codec) == frame


def shown(code: int, flags: int, payload: str, stream_flags: int = 0, continued: bool = False) -> dict[str, Any]:
    frame = codec.make_frame(1, 1, stream_flags, code, flags, bytes.fromhex(payload))
    return frame_to_json(frame, codec, 100, continued=continued)


def test_names_and_numbers() -> None:
    result = shown(1, 9, "61", stream_flags=0x15)
    assert result["stream_flags"] == ["stream-begin", "encoded", 16]
    assert (result["type"], result["flags"]) == ("command-name", ["eos", 8])
    result = shown(15, 3, "61")
    assert (result["type"], result["flags"], result["payload"]) == (15, [1, 2], "61")


@pytest.mark.requirement("command-argument.value-short", "command-name.ascii")
def test_a_damaged_payload_has_an_error_at_its_place_in_the_input() -> None:
    result = shown(2, 0, "0100 0200 6b 76")
    assert "decoded" not in result
    assert result["error"] == {
        "requirement": "command-argument.value-short",
        "offset": 100 + 8 + 5,
        "message": "value: expected 2 bytes, as value_length says, found 1 byte at offset 113 (command-argument.value-short)",
    }
    assert shown(1, 1, "ff")["error"]["requirement"] == "command-name.ascii"


DECODED: list[tuple[int, int, str, dict[str, Any] | None]] = [
    (1, 1, "61", None),
    (3, 1, "61", None),
    (4, 1, "61", None),
    (5, 1, "61", None),
    (2, 0, "010001006b76", {"name": "k", "value_length": 1, "value": "76"}),
    (2, 1, "010005006b76", {"name": "k", "value_length": 5, "value": "76"}),
    (6, 0, "", {"atoms": []}),
    (6, 0, "0100000061", {"atoms": [{"format": "a", "args": [], "labels": []}]}),
    (7, 0, "a343706f730145746f706963417845746f74616c0a", {"topic": "x", "pos": 1, "total": 10}),
    (8, 0, "047a6c696201", {"profile": "zlib", "settings": "01"}),
]


@pytest.mark.parametrize(("code", "flags", "payload", "decoded"), DECODED)
def test_what_has_structure_is_decoded(code: int, flags: int, payload: str, decoded: dict[str, Any] | None) -> None:
    result = shown(code, flags, payload)
    assert result.get("decoded") == decoded
    assert "error" not in result
    assert "decoded" not in shown(code, flags, payload, stream_flags=4)


def test_a_continued_value() -> None:
    assert shown(2, 2, "6b76", continued=True)["decoded"] == {"value": "6b76"}


UNKNOWN = [
    ("4178 01", {"x": "01"}),
    ("4178 4161", {"x": "4161"}),
    ("41ff 6161", {"\\xff": "6161"}),
    ("445c786666 6161", {"\\\\xff": "6161"}),
    ("415c 01", {"\\\\": "01"}),
    ("4178 f97e00", {"x": "f97e00"}),
    ("4178 a2 0101 f502", {"x": "a20101f502"}),
    ("4178 1800", {"x": "1800"}),
]


@pytest.mark.parametrize(("pair", "expected"), UNKNOWN)
def test_unknown_keys_are_kept(pair: str, expected: dict[str, Any]) -> None:
    known = "43706f730145746f706963417845746f74616c0a"
    decoded = shown(7, 0, f"a4{known}{pair}")["decoded"]
    assert decoded == {"topic": "x", "pos": 1, "total": 10, **expected}
    json.dumps(decoded, allow_nan=False)


@given(st.sets(st.one_of(st.binary(max_size=4), st.lists(st.sampled_from([b"\xff", b"\\", b"xff"])).map(b"".join))))
def test_no_two_keys_are_one(keys: set[bytes]) -> None:
    # A known key among the unknown ones is refused when the map is encoded.
    unknown = keys - {entry.name.encode() for entry in codec.PROGRESS.entries}
    record = codec.Progress("x", 1, 2, extra=dict.fromkeys(unknown, b"\x01"))
    assert len(value_to_json(record)) == 3 + len(unknown)


@pytest.mark.parametrize(
    "broken", [{}, {"type": "nothing"}, {"type": 1, "request_id": "x"}, {"flags": ["nothing"]}, {"payload": "0"}]
)
def test_what_is_no_json_form_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        frame_from_json({**shown(1, 1, "61"), **broken} if broken else {}, codec)


TRACKED: list[tuple[list[tuple[int, int, int]], list[bool]]] = [
    ([(1, 2, 1), (1, 2, 0), (1, 2, 0)], [False, True, False]),
    ([(1, 2, 1), (3, 2, 0), (1, 2, 1), (1, 2, 2)], [False, False, True, True]),
    ([(1, 2, 1), (1, 1, 2), (1, 2, 0)], [False, False, False]),
    ([(1, 2, 1), (1, 3, 1), (1, 2, 0)], [False, False, False]),
    ([(1, 2, 1), (1, 8, 0), (1, 4, 1), (1, 15, 0), (1, 2, 0)], [False, False, False, False, True]),
    ([(1, 3, 1), (1, 3, 1)], [False, False]),
]
"""Frames as request id, type and flags; whether each continues an earlier one."""


@pytest.mark.parametrize(("sequence", "expected"), TRACKED)
def test_which_frames_continue_others(sequence: list[tuple[int, int, int]], expected: list[bool]) -> None:
    continuations = Continuations(codec)
    made = [codec.make_frame(request_id, 1, 0, code, flags) for request_id, code, flags in sequence]
    assert [continuations.next(frame) for frame in made] == expected


@pytest.mark.parametrize(
    "wrap", [lambda inside: [inside], lambda inside: (inside,), lambda inside: codec.TextOutput((inside,))]
)
def test_a_value_has_no_more_levels_than_a_payload(wrap: Callable[[Any], Any]) -> None:
    for levels in (2, 16, 300, 100_000):
        value: Any = b"x"
        for _ in range(levels):
            value = wrap(value)
        if levels < 31:
            assert "78" in json.dumps(value_to_json(value))
            continue
        with pytest.raises(
            ValueError, match=r"^expected at most 128 levels of nesting in a value, found more; use the value of a dec"
        ):
            value_to_json(value)


ARGUMENT, START = (codec.FrameType.COMMAND_ARGUMENT, 0), (codec.FrameType.COMMAND_ARGUMENT, 1)


def test_incomplete_values_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonform, "MOST_INCOMPLETE", 2)
    continuations = Continuations(codec)

    def following(request_id: int, code: int, flags: int) -> bool:
        return continuations.next(codec.make_frame(request_id, 1, 0, code, flags))

    assert [following(number, *START) for number in (1, 3, 1, 3)] == [False, False, True, True]
    # One that is complete makes room for another one.
    assert [following(3, *ARGUMENT), following(5, *START), following(5, *START)] == [True, False, True]
    # The value of request 7 begins, and is lost.
    assert following(7, *START) is False
    assert [following(1, *START), following(5, *ARGUMENT), following(7, 1, 2)] == [True, True, False]
    for number in (7, 9):
        with pytest.raises(
            LimitError, match="at most 2 requests with an incomplete value at a time, found more; use a smaller part"
        ):
            following(number, *ARGUMENT)
    assert following(1, *ARGUMENT) is True


def test_every_request_of_ours_can_have_an_incomplete_value() -> None:
    continuations = Continuations(codec)
    for expected in (False, True):
        for number in range(1 << 16):
            assert continuations.next(codec.make_frame(number, 1, 0, *START)) is expected


def test_memory_does_not_grow_with_incomplete_values() -> None:
    class Wide:
        PAYLOADS, INTERRUPTS = codec.PAYLOADS, codec.INTERRUPTS

    continuations = Continuations(Wide)  # type: ignore[arg-type]
    tracemalloc.start()
    try:
        for number in range(1 << 18):
            with suppress(LimitError):
                continuations.next(codec.make_frame(number, 1, 0, *START))
        assert tracemalloc.get_traced_memory()[0] < 16_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({b"a": 1, "b": 2, 3: 4}, {"a": 1, "b": 2, "3": 4}),
        ({b"a": 1, "a": 2}, {"pairs": [["61", 1], ["a", 2]]}),
        ({1: b"x", "1": None}, {"pairs": [[1, "78"], ["1", None]]}),
        (float("nan"), {"float": "nan"}),
        ([float("-inf"), 0.5], [{"float": "-inf"}, 0.5]),
        (NULL, None),
        (Simple(5), {"value": 5}),
    ],
    ids=repr,
)
def test_no_value_is_lost_and_all_are_json(value: Any, shown: Any) -> None:
    assert value_to_json(value) == shown
    assert json.loads(json.dumps(value_to_json(value), allow_nan=False)) == shown


@pytest.mark.parametrize(
    "item",
    [b"\x81" * 29 + b"\x00", b"\xa1\xf6" * 29 + b"\x00", b"\xd9\x01\x02\x81" * 14 + b"\x00"],
    ids=["arrays", "maps", "sets"],
)
def test_every_payload_of_a_revision_has_a_json_form(item: bytes) -> None:
    newer = Revision("framing-0006").codec
    payload = b"\xa2DnameAxDargs\xa1Aa" + item
    shown = frame_to_json(newer.make_frame(1, 1, 1, 1, 1, payload), newer)
    assert "error" not in shown
    assert json.dumps(shown["decoded"]).count("[") + json.dumps(shown["decoded"]).count("{") > 14
