"""Frames as bytes, split by their length alone, with header fields from the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ROOT, cuts

from hgproto.revisions.framing_0002 import codec as framing_0002
from hgproto.revisions.revision import Revision
from hgproto.wire.raw import frames_in, frames_of, header_number, with_header_number

if TYPE_CHECKING:
    from hgproto.runtime.definition import Codec

CODECS = [framing_0002, Revision(str(ROOT / "tests/data/alien.yaml")).codec]
every_codec = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.REVISION)
PLAIN = st.builds(
    lambda request_id, stream_id, flags, payload: (1 + 2 * request_id, stream_id, flags, payload),
    st.integers(0, 100),
    st.integers(0, 100),
    st.integers(0, 3),
    st.binary(max_size=20),
)


def made(codec: Codec, parts: list[tuple[int, int, int, bytes]]) -> list[bytes]:
    """The bytes of frames of the first type of a revision."""
    kind = min(codec.TYPE_NAMES)
    return [
        codec.encode_frame(codec.make_frame(request_id, stream_id, 0, kind, flags, payload))
        for request_id, stream_id, flags, payload in parts
    ]


@every_codec
@given(parts=st.lists(PLAIN), data=st.data())
def test_frames_are_cut_where_the_codec_cuts_them(
    codec: Codec, parts: list[tuple[int, int, int, bytes]], data: st.DataObject
) -> None:
    wanted = made(codec, parts)
    raw = b"".join(wanted)
    assert frames_of(raw, codec) == wanted
    assert list(frames_in(data.draw(cuts(raw)), codec)) == wanted


@every_codec
@given(raw=st.binary(max_size=60), data=st.data())
def test_frames_are_the_same_in_any_chunks(codec: Codec, raw: bytes, data: st.DataObject) -> None:
    """Also where lengths are wrong, so that frames are cut from the middle of others."""
    frames = frames_of(raw, codec)
    assert b"".join(frames) == raw
    assert list(frames_in(data.draw(cuts(raw)), codec)) == frames
    for frame in frames[:-1]:
        assert codec.frame_end(frame) == len(frame)


@every_codec
@given(part=PLAIN, data=st.data())
def test_header_numbers_are_those_of_the_codec(
    codec: Codec, part: tuple[int, int, int, bytes], data: st.DataObject
) -> None:
    (wire,) = made(codec, [part])
    frame, _ = codec.decode_frame(wire)
    shown = shown_of(frame, codec)
    assert {name: header_number(wire, name, codec) for name in shown} == shown
    assert header_number(wire, "length", codec) == len(frame.payload)
    name = data.draw(st.sampled_from([one for one in codec.FIELD_BITS if one != "type"]))
    number = data.draw(st.integers(0, (1 << codec.FIELD_BITS[name][0]) - 1))
    changed = with_header_number(wire, name, number, codec)
    other, _ = codec.decode_frame(changed)
    assert {one: int(getattr(other, one)) for one in codec.FIELD_BITS} == shown | {name: number}
    assert other.payload == frame.payload
    assert with_header_number(changed, name, shown[name], codec) == wire


def shown_of(frame: object, codec: Codec) -> dict[str, int]:
    """The header fields of a frame."""
    return {name: int(getattr(frame, name)) for name in codec.FIELD_BITS}


@every_codec
def test_what_a_header_cannot_hold_is_refused(codec: Codec) -> None:
    (wire,) = made(codec, [(1, 1, 0, b"x")])
    most = (1 << codec.FIELD_BITS["request_id"][0]) - 1
    for bad in (-1, most + 1):
        with pytest.raises(ValueError, match=f"request_id must be 0 to {most}, not {bad}"):
            with_header_number(wire, "request_id", bad, codec)
    size = codec.HEADER_BYTES
    with pytest.raises(ValueError, match=f"a header has {size} bytes, not {size - 1}"):
        header_number(wire[: size - 1], "type", codec)
