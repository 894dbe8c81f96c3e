"""Structures that span frames: they do not depend on how they are cut, and errors have places in the input."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgproto import Revision
from hgproto.errors import LimitError, RemoteProtocolError
from hgproto.wire import joined
from hgproto.wire.joined import Joined, Joiner

_CODEC: Any = Revision("framing-0006").codec
REQUEST, DATA, RESPONSE, SETTINGS = (
    _CODEC.CODES[name] for name in ("command-request", "command-data", "command-response", "stream-settings")
)
STATUS = bytes.fromhex("a1 46737461747573 426f6b")


def response(data: bytes, *, last: bool = False, request_id: int = 1) -> Any:
    """Returns a frame of a response."""
    return _CODEC.make_frame(request_id, 2, 0, RESPONSE, 2 if last else 1, data)


def request(data: bytes, *, first: bool = True, more: bool = False, request_id: int = 1) -> Any:
    """Returns a frame of a request."""
    return _CODEC.make_frame(request_id, 1, 0, REQUEST, (1 if first else 2) | (4 if more else 0), data)


@given(st.lists(st.binary(max_size=40), max_size=6), st.lists(st.integers(0, 30), max_size=8))
def test_the_values_of_a_response_do_not_depend_on_its_frames(strings: list[bytes], cuts: list[int]) -> None:
    data = _CODEC.encode_command_response(_CODEC.CommandResponse({"status": "ok"}, tuple(strings)))
    values: list[Any] = []
    joiner, at = Joiner(_CODEC), 0
    for cut in cuts:
        found = joiner.feed(response(data[at : at + cut]))
        assert found is not None
        assert not found.last
        values += found.values
        at += cut
    found = joiner.feed(response(data[at:], last=True))
    assert found is not None
    assert found.last
    assert [*values, *found.values] == [{"status": "ok"}, *strings]
    joiner.close()


@given(st.integers(0, 12))
def test_a_request_is_whole_with_its_last_frame(cut: int) -> None:
    data = bytes.fromhex("a1 446e616d65 456865616473")
    joiner = Joiner(_CODEC)
    assert joiner.feed(request(data[:cut], more=True)) == Joined(1, REQUEST, (), False)
    value = _CODEC.CommandRequest("heads")
    assert joiner.feed(request(data[cut:], first=False)) == Joined(1, REQUEST, (value,), True)
    assert joiner.feed(request(data)) == Joined(1, REQUEST, (value,), True)


def test_requests_are_independent_and_other_types_form_nothing() -> None:
    joiner = Joiner(_CODEC)
    data = bytes.fromhex("a1 446e616d65 456865616473")
    for number in (1, 3):
        joiner.feed(request(data[:7], more=True, request_id=number))
    assert joiner.feed(_CODEC.make_frame(1, 1, 0, DATA, 2, b"data")) is None
    for number in (3, 1):
        found = joiner.feed(request(data[7:], first=False, request_id=number))
        assert found is not None
        assert (found.request_id, found.values[0].name) == (number, "heads")


def test_a_decoded_payload_can_be_given() -> None:
    found = Joiner(_CODEC).feed(response(b"compressed"), STATUS + b"\x01")
    assert found is not None
    assert found.values == ({"status": "ok"}, 1)


FAULTS = [
    ([response(b"\x00")], "command-response.status-types", 8),
    ([response(STATUS), response(b"\x1c")], "command-response.well-formed", 27),
    (
        [response(STATUS[:4]), response(STATUS[4:9]), response(STATUS[9:] + b"\x82\x00"), response(b"\x61\x61")],
        "cbor.byte-strings",
        45,
    ),
    ([response(STATUS + b"\x42a", last=True)], "command-response.well-formed", 19),
    ([response(b"", last=True)], "command-response.status", 8),
    ([response(bytes.fromhex("a1 4673746174 7573 426e6f"))], "command-response.status-known", 16),
    ([request(b"\xa1", more=True), request(bytes.fromhex("446e616d65 6161"), first=False)], "cbor.byte-strings", 22),
    ([request(b"\xa1", more=True), request(b"\x44", first=False)], "command-request.one-map", 17),
    ([request(b"\xa0", more=True), request(b"\x00", first=False)], "command-request.keys", 8),
    ([request(b"\xa1", more=True), request(b"\x00")], "command-request.in-order", 16),
    ([request(b"\xa0", first=False)], "command-request.in-order", 7),
    ([request(b"\xa0", first=False, more=True)], "command-request.in-order", 7),
]


@pytest.mark.parametrize(("frames", "requirement", "offset"), FAULTS)
def test_a_fault_has_its_place_in_the_input(frames: list[Any], requirement: str, offset: int) -> None:
    joiner = Joiner(_CODEC)
    for frame in frames[:-1]:
        joiner.feed(frame)
    with pytest.raises(RemoteProtocolError) as error:
        joiner.feed(frames[-1])
        # A fault after whole values is raised by the next call.
        joiner.close()
    assert (error.value.requirement, error.value.offset) == (requirement, offset)


def test_values_before_a_fault_are_returned_and_the_next_call_raises() -> None:
    whole, cut = Joiner(_CODEC), Joiner(_CODEC)
    found = whole.feed(response(STATUS + b"\x01\xff"))
    assert found == Joined(1, RESPONSE, ({"status": "ok"}, 1), False)
    for part in (STATUS, b"\x01"):
        cut.feed(response(part))
    for joiner, offset in ((whole, 20), (cut, 36)):
        for _ in range(2):
            with pytest.raises(RemoteProtocolError) as error:
                joiner.feed(response(b"\xff"))
            assert (error.value.requirement, error.value.offset) == ("command-response.well-formed", offset)
        with pytest.raises(RemoteProtocolError):
            joiner.close()


@pytest.mark.parametrize("items", [4, 5, 6])
def test_the_limit_on_items_holds_for_all_frames_of_a_sequence(items: int) -> None:
    joiner = Joiner(_CODEC, limits={"payload-items": items})
    frames = [_CODEC.make_frame(1, 2, 0, SETTINGS, 1, part) for part in (b"\x41x\x00", b"\x82\x01\x02")]
    joiner.feed(frames[0])
    if items >= 5:
        assert joiner.feed(frames[1]) == Joined(1, SETTINGS, ([1, 2],), False)
        return
    with pytest.raises(RemoteProtocolError) as error:
        joiner.feed(frames[1])
    assert (error.value.requirement, error.value.offset) == ("frame.items-limit", 21)


def test_the_limit_on_items_holds_for_a_map() -> None:
    with pytest.raises(RemoteProtocolError, match="at most 2 items"):
        Joiner(_CODEC, limits={"payload-items": 2}).feed(request(bytes.fromhex("a1 446e616d65 456865616473")))


@pytest.mark.parametrize("name", ["request_bytes", "max-payload", "nope"])
def test_unknown_limits_are_rejected(name: str) -> None:
    with pytest.raises(ValueError, match="the limits are payload-items, request-bytes, settings-bytes"):
        Joiner(_CODEC, limits={name: 5})


def test_empty_frames_need_no_memory_and_the_number_of_others_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    joiner = Joiner(_CODEC)
    joiner.feed(request(b"\xa1", more=True))
    for _ in range(1000):
        joiner.feed(request(b"", first=False, more=True))
    (held,) = joiner._open.values()
    assert len(held.starts) <= 2
    monkeypatch.setattr(joined, "MOST_PARTS", 4)
    with pytest.raises(LimitError, match="command-request in at most 4 frames"):
        for _ in range(4):
            joiner.feed(request(b"\x00", first=False, more=True))


def test_many_small_frames_take_linear_time() -> None:
    joiner = Joiner(_CODEC)
    joiner.feed(response(STATUS + b"\x5a" + (100_000).to_bytes(4, "big")))
    begun = process_time()
    for _ in range(100_000):
        found = joiner.feed(response(b"x"))
    assert found is not None
    assert found.values == (b"x" * 100_000,)
    assert process_time() - begun < 5


def test_what_is_incomplete_at_the_end_is_named() -> None:
    joiner = Joiner(_CODEC)
    joiner.close()
    joiner.feed(response(STATUS))
    with pytest.raises(RemoteProtocolError, match="command-response of request 1") as error:
        joiner.close()
    assert (error.value.requirement, error.value.offset) == ("command-response.well-formed", 19)


@pytest.mark.parametrize("size", [99, 100, 101])
def test_the_limit_of_a_request_is_checked(size: int) -> None:
    joiner = Joiner(_CODEC, limits={"request-bytes": 100})
    first = joiner.feed(request(b"\xa1" + bytes(49), more=True))
    assert first is not None
    if size > 100:
        with pytest.raises(LimitError, match="at most 100 bytes of command-request, found 101 bytes"):
            joiner.feed(request(bytes(size - 50), first=False, more=True))
    else:
        assert joiner.feed(request(bytes(size - 50), first=False, more=True)) is not None


def test_the_limit_of_settings_is_checked_before_their_bytes_arrive() -> None:
    joiner = Joiner(_CODEC, limits={"settings-bytes": 10})
    with pytest.raises(LimitError, match="at most 10 bytes, found 105 bytes"):
        joiner.feed(_CODEC.make_frame(1, 2, 1, SETTINGS, 1, b"\x5a\x00\x00\x00\x64"))


def test_incomplete_structures_are_limited() -> None:
    joiner = Joiner(_CODEC, most_open=2)
    for number in (1, 3):
        joiner.feed(response(STATUS, request_id=number))
    joiner.feed(response(b"", last=True, request_id=3))
    assert joiner.feed(response(STATUS, request_id=5)) is not None
    with pytest.raises(LimitError, match="at most 2 structures"):
        joiner.feed(response(STATUS, request_id=7))


def test_the_memory_of_a_long_response_is_bounded() -> None:
    joiner = Joiner(_CODEC)
    joiner.feed(response(STATUS))
    for _ in range(1000):
        found = joiner.feed(response(b"\x44abcd" * 3))
        assert found is not None
        assert found.values == (b"abcd",) * 3
    (held,) = joiner._open.values()
    assert len(held.starts) <= 2
    assert held.scanner.held == 0
