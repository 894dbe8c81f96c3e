"""Records and frames: values."""

from __future__ import annotations

import copy
import io
import pickle
from inspect import signature
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import RECORDS, frames

from hgproto import (
    Client,
    DecodingPool,
    EncodingPool,
    Frame,
    FrameReader,
    FrameWriter,
    InputStream,
    Limits,
    OutputStream,
    RunCommand,
    Server,
    SessionValidator,
    Validator,
    encode_frame,
    read_frames,
    validate,
)
from hgproto.judging.validation import PayloadValidator
from hgproto.reactors.session import Session
from hgproto.revisions.framing_0002 import codec

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgproto.runtime.frame import Record


@given(st.one_of(frames, *RECORDS.values()))
def test_values_are_compared_hashed_copied_pickled_and_shown_by_their_parts(record: Record) -> None:
    for twin in (copy.copy(record), pickle.loads(pickle.dumps(record)), record.replace()):  # noqa: S301 - our own
        assert twin == record
        assert hash(twin) == hash(record)
        assert twin is not record
    assert repr(record).startswith(f"{type(record).__name__}(")
    assert record != record.as_dict()


@pytest.mark.parametrize("buffer", [bytearray, memoryview, lambda data: memoryview(bytearray(data))])
def test_frames_with_equal_bytes_have_one_hash(buffer: Callable[[bytes], Any]) -> None:
    frame = codec.make_frame(1, 1, 1, 1, 1, b"name")
    twin = frame.replace(payload=buffer(b"name"))
    assert {frame, twin} == {frame}


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
        codec.make_frame(1, 1, 1, 1, 1).replace(colour=1)  # type: ignore[call-arg]


def test_frames_and_records_are_of_their_public_class() -> None:
    made = [codec.make_frame(1, 1, 1, 2, 2, b"\1\0\1\0kv"), codec.frame_of(0x2201, 1, 1, b"\1\0\1\0kv")]
    wire = encode_frame(made[0])
    frames_of = [*made, *read_frames(wire), *FrameReader(copy=False).feed(wire), codec.decode_frame(wire)[0]]
    assert frames_of == [made[0]] * 5
    assert {type(frame) for frame in frames_of} == {Frame}
    for payload, decode, record in (
        (b"\1\0\1\0kv", codec.decode_argument, codec.Argument),
        (b"\1\0\2\0kv", codec.decode_argument_start, codec.ArgumentStart),
        (b"kv", codec.decode_argument_rest, codec.ArgumentRest),
        (b"\1\0\2\0", codec.decode_argument_header, codec.ArgumentHeader),
        (b"\1\0\0\0x", codec.decode_text_output, codec.TextOutput),
        (b"\1\0\0\0x", codec.decode_text_atom, codec.TextAtom),
        (b"\1xy", codec.decode_stream_settings, codec.StreamSettings),
    ):
        assert type(decode(payload)) is record
    assert type(codec.decode_text_output(b"\1\0\0\0x").atoms[0]) is codec.TextAtom


def test_records_tell_how_they_are_made() -> None:
    assert list(signature(Frame).parameters) == ["request_id", "stream_id", "stream_flags", "type", "flags", "payload"]
    assert signature(codec.Argument).parameters["value"].annotation == "bytes"
    with pytest.raises(TypeError, match="stream_id"):
        Frame(1)  # type: ignore[call-arg]


class Timed(Frame):
    """A frame with a time, which is made from other parts than its base."""

    __slots__ = ("time",)

    def __init__(self, time: float, payload: bytes | memoryview) -> None:
        super().__init__(1, 1, 0, 1, 1, payload)
        self.time = time


class Noted(RunCommand):
    """A command with attributes of its own."""

    def __init__(self, note: str) -> None:
        super().__init__(1, "heads", {})
        self.note = note


class Atom(codec.TextAtom):
    """A record of a codec that is made in another way."""

    def __init__(self, text: str) -> None:
        super().__init__(text, (), ())


class Mine(Frame):
    """A frame of a class of one's own, with nothing new."""


class Tight(Limits):
    """Limits of a class of one's own."""


EXTENDED: list[Record] = [
    Timed(1.5, b"name"),
    Timed(1.5, memoryview(b"name")),
    Noted("x"),
    Atom("text"),
    Mine(1, 1, 0, 1, 1, b"name"),
    Tight(arguments=3),
]


@pytest.mark.parametrize("record", EXTENDED, ids=lambda record: type(record).__name__)
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda record: pickle.loads(pickle.dumps(record))])  # noqa: S301 - our own
def test_a_record_can_be_extended(record: Record, copied: Callable[[Record], Record]) -> None:
    twin = copied(record)
    assert type(twin) is type(record)
    assert twin == record
    assert vars(twin) == vars(record) if hasattr(record, "__dict__") else not hasattr(twin, "__dict__")
    assert repr(twin).startswith(f"{type(record).__name__}(")


def test_a_record_of_another_class_is_another_value() -> None:
    frame = Timed(1.5, b"name")
    assert (frame.time, frame.request_id, frame.payload) == (1.5, 1, b"name")
    assert frame != Frame(1, 1, 0, 1, 1, b"name")
    assert type(Mine(1, 1, 0, 1, 1).replace(payload=b"x")) is Mine
    assert type(Tight().replace(arguments=3)) is Tight


UNIQUE: list[Callable[[], Any]] = [
    Server,
    Client,
    FrameReader,
    lambda: read_frames(b""),
    lambda: FrameWriter(io.BytesIO()),
    Validator,
    SessionValidator,
    lambda: PayloadValidator("progress"),
    lambda: validate(b""),
    lambda: OutputStream(2),
    lambda: InputStream(2),
    EncodingPool,
    lambda: DecodingPool(Server()),
    lambda: Client().issue("heads"),
    Session,
]


@pytest.mark.parametrize("make", UNIQUE, ids=lambda make: type(make()).__name__)
@pytest.mark.parametrize("act", [copy.copy, copy.deepcopy, pickle.dumps])
def test_what_stands_for_a_connection_cannot_be_copied(make: Callable[[], Any], act: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"cannot be copied or pickled, .* create a new "):
        act(make())
