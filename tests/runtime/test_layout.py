"""The walk over a structure's table: it accepts the same payloads as the fast code, and its spans cover the payload."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import RECORDS, ROOT

from hgproto import Revision
from hgproto.errors import RemoteProtocolError
from hgproto.revisions.framing_0002 import codec
from hgproto.runtime import layout as layout_module
from hgproto.runtime.layout import numbers_of, place_of, text_of_flags, walk
from hgproto.samples import Seeded
from hgproto.samples.payloads import structure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hgproto.runtime.layout import Layout


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
    for take in (getattr(codec, f"decode_{snake}"), lambda raw: list(walk(codec.LAYOUTS[name], raw))):
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


def test_the_place_of_a_part_is_where_its_bytes_are() -> None:
    data = codec.encode_frame(codec.make_frame(0x0102, 0x03, 0x04, 0x4, 0x2, b"payload"))
    assert data[place_of(codec.FRAME, "request_id") :].startswith(b"\x02\x01")
    assert data[place_of(codec.FRAME, "stream_id")] == 0x03
    assert data[place_of(codec.FRAME, "stream_flags")] == 0x04
    assert data[place_of(codec.FRAME, "type_flags")] == 0x42
    assert data[place_of(codec.FRAME, "payload") :] == b"payload"
    for layout, name in ((codec.FRAME, "nothing"), (codec.ARGUMENT, "nothing")):
        with pytest.raises(KeyError):
            place_of(layout, name)


@pytest.mark.parametrize(
    ("decode", "data", "said"),
    [
        (
            codec.decode_argument,
            "0300 0400 6b6579 74697021ff",
            "the end of the payload, as value_length is 4, found 1 byte more",
        ),
        (codec.decode_argument, "0300 0400 6b6579 746970", "expected 4 bytes, as value_length says, found 3 bytes"),
        (codec.decode_argument, "0300 04", "value_length: expected 2 bytes, found 1 byte"),
        (
            codec.decode_frame,
            "000006 0100 01 01 12",
            "at most 65535 bytes, found 393216 bytes, or 6 in the other byte order",
        ),
        (
            codec.decode_frame,
            "000001 0100 01 01 12",
            "at most 65535 bytes, found 65536 bytes, or 1 in the other byte order",
        ),
        (codec.decode_frame, "010001 0100 01 01 12", "at most 65535 bytes, found 65537 bytes at offset 0"),
    ],
)
def test_a_size_that_may_be_the_culprit_is_told(decode: Callable[[bytes], Any], data: str, said: str) -> None:
    with pytest.raises(RemoteProtocolError) as error:
        decode(bytes.fromhex(data))
    assert said in str(error.value)


ALIEN: Any = Revision(str(ROOT / "tests" / "data" / "alien.yaml")).codec
ATOMS = (
    codec.TextAtom("%s é\n", ("a", "bc"), ("x",)),
    codec.TextAtom("", (), ()),
    codec.TextAtom("é\n", ("d",), ("", "é")),
)
MESSAGE = codec.encode_text_output(codec.TextOutput(ATOMS))
LEDGER = ALIEN.encode_ledger(ALIEN.Ledger(7, "né", (ALIEN.Line(1, "a"), ALIEN.Line(2, "bc"), ALIEN.Line(3, "d"))))


def parts_of_error(take: Callable[[], Any]) -> Any:
    try:
        take()
    except RemoteProtocolError as error:
        return error.args
    return None


@pytest.mark.parametrize(
    ("decode", "layout", "payload", "limits"),
    [
        (codec.decode_text_output, codec.TEXT_OUTPUT, MESSAGE, range(1, 11)),
        (ALIEN.decode_ledger, ALIEN.LEDGER, LEDGER, (None,)),
    ],
    ids=["text-output", "ledger"],
)
def test_the_first_fault_is_told_wherever_it_is(
    decode: Callable[..., Any], layout: Layout, payload: bytes, limits: Iterable[int | None]
) -> None:
    """The codec and a walk from the start of the payload find the same one."""
    broken = [payload[:end] for end in range(len(payload))]
    for at in range(len(payload)):
        broken += [payload[:at] + bytes([value]) + payload[at + 1 :] for value in (0, 1, 5, 0x7F, 0xFF)]
    for data in broken:
        for most in limits:
            given = () if most is None else (most,)
            expected = parts_of_error(lambda: list(walk(layout, data, most)))  # noqa: B023
            assert parts_of_error(lambda: decode(data, *given)) == expected  # noqa: B023


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (b"\x01\x00\x00\x00\xff", r"atoms\[3\].format: expected UTF-8"),
        (b"\x02\x00\x00\x00x", r"atoms\[3\].format: expected 2 bytes"),
        (b"\x02\x00", r"atoms\[3\].label_count"),
        (b"\x00\x00\xff\x01", r"atoms\[3\]: expected at most 13 items"),
    ],
)
def test_what_was_decoded_is_not_walked_again(broken: bytes, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A payload that is rejected takes as much time as one that is accepted."""
    monkeypatch.setattr(layout_module, "walk", None)
    with pytest.raises(RemoteProtocolError, match=message):
        codec.decode_text_output(MESSAGE + broken, 13)


def numbers_by_walk(layout: Layout, payload: bytes) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for span in walk(layout, payload):
        if type(span.value) is int:
            found.setdefault(re.sub(r"\[[0-9]+\]", "", span.path), set()).add(span.value)
    return found


@pytest.mark.parametrize("name", [name for name in names() if codec.LAYOUTS[name].parts])
@given(data=st.data())
def test_numbers_are_those_of_the_walk(name: str, data: st.DataObject) -> None:
    snake, layout = name.replace("-", "_"), codec.LAYOUTS[name]
    payload = getattr(codec, f"encode_{snake}")(data.draw(RECORDS[snake]))
    assert numbers_of(layout, payload) == numbers_by_walk(layout, payload)


@pytest.mark.parametrize("name", [name for name, layout in ALIEN.LAYOUTS.items() if layout.parts])
def test_numbers_of_other_revisions(name: str) -> None:
    layout = ALIEN.LAYOUTS[name]
    accepted = 0
    for seed in range(50):
        payload = structure(layout, Seeded(seed))
        with suppress(RemoteProtocolError):
            assert numbers_of(layout, payload) == numbers_by_walk(layout, payload)
            accepted += 1
    assert accepted
