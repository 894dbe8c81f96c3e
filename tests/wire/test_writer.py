"""Encoders of frames: all of them return the same bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import frames

from hgproto import FrameReader, LocalProtocolError, encode_frame, encode_frames, write_frames
from hgproto.revisions.framing_0002 import codec
from hgproto.wire.writer import PIECE_BYTES, frame_buffers

if TYPE_CHECKING:
    from hgproto.runtime.frame import Frame


@given(st.lists(frames, max_size=5))
def test_all_ways_give_the_same_bytes(made: list[Frame]) -> None:
    wire = b"".join(map(encode_frame, made))
    assert b"".join(encode_frames(made)) == wire
    assert b"".join(frame_buffers(made)) == wire
    file = io.BytesIO()
    write_frames(file, made)
    assert file.getvalue() == wire
    assert FrameReader().feed(wire) == made


def test_pieces_are_bounded_and_hold_whole_frames() -> None:
    frame = codec.make_frame(1, 1, 0, 3, 1, bytes(60_000))
    pieces = list(encode_frames([frame] * 50))
    assert len(pieces) > 2
    assert all(len(piece) < PIECE_BYTES + 60_008 and len(piece) % 60_008 == 0 for piece in pieces)
    large = codec.make_frame(1, 1, 0, 3, 1, bytes(2 * PIECE_BYTES))
    assert [len(piece) for piece in encode_frames([frame, large, frame], max_payload=1 << 22)] == [
        60_008 + 2 * PIECE_BYTES + 8,
        60_008,
    ]


def test_payloads_are_not_copied_into_buffers() -> None:
    frame = codec.make_frame(1, 1, 0, 3, 1, bytes(100))
    _, payload = frame_buffers([frame])
    assert payload is frame.payload


@pytest.mark.requirement("frame.length-limit")
def test_the_limit_holds_and_can_be_raised() -> None:
    frame = codec.make_frame(1, 1, 0, 3, 1, bytes(65536))
    for write in (
        lambda: encode_frame(frame),
        lambda: list(encode_frames([frame])),
        lambda: list(frame_buffers([frame])),
    ):
        with pytest.raises(LocalProtocolError, match="at most 65535 bytes, found 65536 bytes"):
            write()
    assert len(encode_frame(frame, max_payload=65536)) == 65544
    with pytest.raises(ValueError, match="max_payload"):
        encode_frame(frame, max_payload=1 << 24)
