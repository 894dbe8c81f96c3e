"""Frames of framing-0002 as bytes, as the fuzzing kit takes them apart."""

from __future__ import annotations

from hgproto.fuzz.raw import frames_of, has_header, number_of, with_number

WIRE = bytes.fromhex("0300000100010111616263")


def test_frames_are_those_of_framing_0002() -> None:
    assert frames_of(WIRE + WIRE[:5]) == [WIRE, WIRE[:5]]
    assert [has_header(frame) for frame in frames_of(WIRE + WIRE[:5])] == [True, False]
    names = ("length", "request_id", "stream_id", "stream_flags", "type", "flags")
    assert [number_of(WIRE, name) for name in names] == [3, 1, 1, 1, 1, 1]
    assert number_of(with_number(WIRE, "stream_flags", 5), "stream_flags") == 5
