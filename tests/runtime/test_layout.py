"""The walk over a structure's table: it takes what the straight code takes, and its spans cover the payload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import RECORDS

from hgproto.errors import RemoteProtocolError
from hgproto.revisions.framing_0002 import codec
from hgproto.runtime.layout import place_of, text_of_flags, walk

if TYPE_CHECKING:
    from collections.abc import Callable


def names() -> list[str]:
    return [name.replace("_", "-") for name in RECORDS]


@pytest.mark.parametrize("name", names())
@given(data=st.data())
def test_spans_cover_a_good_payload(name: str, data: st.DataObject) -> None:
    snake = name.replace("-", "_")
    payload = getattr(codec, f"encode_{snake}")(data.draw(RECORDS[snake]))
    spans = list(walk(codec.LAYOUTS[name], payload))
    at = 0
    for span in spans:
        assert span.start == at
        at = span.end
    assert at == len(payload)
    assert len({span.path for span in spans}) >= len(spans) - 1


@pytest.mark.parametrize("name", names())
@given(data=st.data())
def test_the_walk_takes_what_the_codec_takes(name: str, data: st.DataObject) -> None:
    snake = name.replace("-", "_")
    payload = bytearray(getattr(codec, f"encode_{snake}")(data.draw(RECORDS[snake])))
    for _ in range(data.draw(st.integers(0, 2))):
        if payload:
            payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(payload)))
    judged: list[Any] = []
    for take in (getattr(codec, f"decode_{snake}"), lambda octets: list(walk(codec.LAYOUTS[name], octets))):
        try:
            take(bytes(payload[:end]))
            judged.append(None)
        except RemoteProtocolError as error:
            judged.append((error.requirement, error.offset, error.field))
    assert judged[0] == judged[1]


def test_texts_of_flags() -> None:
    assert [text_of_flags(value, {1: "one", 4: "four"}) for value in (0, 1, 2, 7)] == [
        "0",
        "one",
        "0x2",
        "one|0x2|four",
    ]


def test_the_place_of_a_part_is_where_its_octets_are() -> None:
    octets = codec.encode_frame(codec.make_frame(0x0102, 0x03, 0x04, 0x4, 0x2, b"payload"))
    assert octets[place_of(codec.FRAME, "request_id") :].startswith(b"\x02\x01")
    assert octets[place_of(codec.FRAME, "stream_id")] == 0x03
    assert octets[place_of(codec.FRAME, "stream_flags")] == 0x04
    assert octets[place_of(codec.FRAME, "type_flags")] == 0x42
    assert octets[place_of(codec.FRAME, "payload") :] == b"payload"
    for layout, name in ((codec.FRAME, "nothing"), (codec.ARGUMENT, "nothing")):
        with pytest.raises(KeyError):
            place_of(layout, name)


@pytest.mark.parametrize(
    ("decode", "octets", "said"),
    [
        (
            codec.decode_argument,
            "0300 0400 6b6579 74697021ff",
            "the end of the payload, as value_length is 4, found 1 octet more",
        ),
        (codec.decode_argument, "0300 0400 6b6579 746970", "expected 4 octets, as value_length says, found 3 octets"),
        (codec.decode_argument, "0300 04", "value_length: expected 2 octets, found 1 octet"),
        (
            codec.decode_frame,
            "000006 0100 01 01 12",
            "at most 65535 octets, found 393216 octets, or 6 in the other byte order",
        ),
        (
            codec.decode_frame,
            "000001 0100 01 01 12",
            "at most 65535 octets, found 65536 octets, or 1 in the other byte order",
        ),
        (codec.decode_frame, "010001 0100 01 01 12", "at most 65535 octets, found 65537 octets at offset 0"),
    ],
)
def test_a_size_that_may_be_the_culprit_is_told(decode: Callable[[bytes], Any], octets: str, said: str) -> None:
    with pytest.raises(RemoteProtocolError) as error:
        decode(bytes.fromhex(octets))
    assert said in str(error.value)
