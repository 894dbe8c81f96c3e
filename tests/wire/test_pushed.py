"""Bytes that are added in parts: nothing is lost, and a pause is not the end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgproto.wire.pushed import Pushed


@given(pieces=st.lists(st.binary(max_size=12)), size=st.integers(1, 9))
def test_what_is_added_is_read_in_order(pieces: list[bytes], size: int) -> None:
    pushed = Pushed()
    read = []
    for piece in pieces:
        pushed.add(piece)
        while (part := pushed.read(size)) is not None:
            assert 0 < len(part) <= size
            read.append(part)
    pushed.ended = True
    assert pushed.read(size) == b""
    assert b"".join(read) == b"".join(pieces)


def test_payloads_pause_and_continue() -> None:
    pushed = Pushed()
    payloads = pushed.payloads(3, 1, 2, 4)
    with pytest.raises(BlockingIOError, match="no bytes yet"):
        next(payloads)
    buffer = bytearray(b"abcdef")
    pushed.add(buffer)
    buffer.clear()
    assert [next(payloads), next(payloads)] == [(3, 1, b"abcd"), (3, 1, b"ef")]
    with pytest.raises(BlockingIOError):
        next(payloads)
    pushed.ended = True
    assert list(payloads) == [(3, 2, b"")]
    assert list(payloads) == []


def test_an_error_comes_after_what_was_added_and_text_is_refused() -> None:
    pushed = Pushed()
    with pytest.raises(TypeError):
        pushed.add("text")  # type: ignore[arg-type]
    pushed.add(b"abc")
    pushed.error = OSError("gone")
    assert pushed.read(9) == b"abc"
    with pytest.raises(OSError, match="gone"):
        pushed.read(9)
