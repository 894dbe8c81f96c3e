"""Streams of a judge: blind after an unknown or damaged encoding, until they are opened again."""

from __future__ import annotations

import zlib

import pytest

from hgproto.judging.judged_stream import Blind, JudgedStream
from hgproto.revisions.framing_0002.machines import STREAM, StreamState


def opened() -> JudgedStream:
    stream = JudgedStream(2, 0, set())
    assert stream.ask_settings(b"\x04zlib") == "good"
    stream.enter(StreamState.CONFIGURED)
    return stream


def flushed(data: bytes) -> bytes:
    encoder = zlib.compressobj()
    return encoder.compress(data) + encoder.flush(zlib.Z_SYNC_FLUSH)


def test_a_stream_decodes_until_it_is_lost_and_again_after_it_was_closed() -> None:
    stream = opened()
    assert stream.ask_encoding(flushed(b"one"), encoded=True, ends=False) == "good"
    assert stream.take_decoded() == b"one"
    assert stream.ask_encoding(b"\xff\xff", encoded=True, ends=False) == "undecodable"
    with pytest.raises(Blind):
        stream.ask_encoding(flushed(b"two"), encoded=True, ends=False)
    stream.enter(StreamState.CLOSED)
    assert stream.ask_settings(b"\x04zlib") == "good"
    stream.enter(StreamState.CONFIGURED)
    assert stream.ask_encoding(flushed(b"three"), encoded=True, ends=False) == "good"
    assert stream.take_decoded() == b"three"


def test_a_new_context_in_the_middle_is_named() -> None:
    stream = opened()
    assert stream.ask_encoding(flushed(b"one"), encoded=True, ends=False) == "good"
    stream.ask_encoding(flushed(b"two"), encoded=True, ends=False)
    row = next(row for row in STREAM.rows if row.error == "encoding.decodable")
    assert stream.refusal(row, 4).found == "bytes that only a new context can decode"


def test_an_encoding_that_is_not_known_makes_a_stream_blind() -> None:
    stream = JudgedStream(2, 0, set())
    assert stream.ask_settings(b"\x03abc") == "unknown-profile"
    assert stream.blind
