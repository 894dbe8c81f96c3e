"""Records and frames: values."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import RECORDS, frames

from hgproto import Frame
from hgproto.framing_0002 import codec

if TYPE_CHECKING:
    from hgproto.frame import Record


@given(st.one_of(frames, *RECORDS.values()))
def test_values_are_compared_hashed_copied_pickled_and_shown_by_their_parts(record: Record) -> None:
    for twin in (copy.copy(record), pickle.loads(pickle.dumps(record)), record.replace()):  # noqa: S301 - our own
        assert twin == record
        assert hash(twin) == hash(record)
        assert twin is not record
    assert repr(record).startswith(f"{type(record).__name__}(")
    assert record != record.as_dict()


@pytest.mark.parametrize("name", list(Frame.shown))
def test_frames_that_differ_in_one_part_differ(name: str) -> None:
    frame = codec.make_frame(1, 1, 1, 1, 1, b"name")
    other: Any = b"other" if name == "payload" else 3
    assert frame.replace(**{name: other}) != frame
    assert list(frame.as_dict()) == ["request_id", "stream_id", "stream_flags", "type", "flags", "payload"]


def test_a_frame_is_shown_by_names() -> None:
    shown = repr(codec.make_frame(1, 1, 1, 1, 1, b"name"))
    assert "StreamFlag.STREAM_BEGIN" in shown
    assert "FrameType.COMMAND_NAME" in shown
    assert "CommandNameFlag.EOS" in shown


def test_a_replaced_part_must_exist() -> None:
    with pytest.raises(TypeError):
        codec.make_frame(1, 1, 1, 1, 1).replace(colour=1)
