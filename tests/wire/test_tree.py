"""The annotated dump: every octet of every frame once, with what it means."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import VALID, frames

from hgproto import Frame, FrameReader, Revision
from hgproto.revisions.framing_0002 import codec
from hgproto.wire.jsonform import Continuations
from hgproto.wire.tree import MAX_ROWS, ROW_OCTETS, Style, frame_tree

SCHEMA = Revision("framing-0002").schema


def tree(frame: Frame, *, offset: int = 0, continued: bool = False, colour: bool = False) -> list[str]:
    return list(frame_tree(frame, 0, offset, continued, SCHEMA, codec, Style(colour=colour)))


def octets_in(lines: list[str]) -> dict[int, int]:
    """Each octet that the lines show, by its offset."""
    shown: dict[int, int] = {}
    for line in lines:
        match = re.match(r"  ([0-9a-f]{8})  ((?:[0-9a-f]{2} ?)+)", line)
        if match:
            for index, octet in enumerate(bytes.fromhex(match[2])):
                at = int(match[1], 16) + index
                assert shown.get(at, octet) == octet
                shown[at] = octet
    return shown


@settings(max_examples=100)
@given(frames.filter(lambda frame: len(frame.payload) <= MAX_ROWS * ROW_OCTETS), st.integers(0, 1 << 20), st.booleans())
def test_every_octet_is_shown(frame: Frame, offset: int, continued: bool) -> None:
    shown = octets_in(tree(frame, offset=offset, continued=continued))
    assert bytes(shown[at] for at in sorted(shown)) == codec.encode_frame(frame)
    assert sorted(shown) == list(range(offset, offset + len(shown)))


@pytest.mark.parametrize("vector", VALID, ids=lambda vector: vector["id"])
def test_vectors_show_no_error(vector: dict[str, Any]) -> None:
    continuations = Continuations(codec)
    for frame in FrameReader().feed(bytes.fromhex(vector["wire"])):
        assert "error" not in " ".join(line[:10] for line in tree(frame, continued=continuations.next(frame)))


def test_names_values_and_meanings() -> None:
    lines = tree(codec.make_frame(1, 1, 1, 2, 2, bytes.fromhex("010002006b7661")))
    text = "\n".join(lines)
    for part in ("command-argument", "stream-begin", "eoa", "name_length", "'k'", "A stream of the client.", "'va'"):
        assert part in text
    assert "frame 0 at offset 0: command-argument, request 1, stream 1" in lines


@pytest.mark.requirement("command-argument.value-short")
def test_damage_is_shown_after_what_is_good() -> None:
    lines = tree(codec.make_frame(1, 1, 0, 2, 2, bytes.fromhex("010003006b7661")))
    assert (
        "error: value: expected 3 octets, as value_length says, found 2 octets at offset 13 (command-argument.value-short)"
        in "\n".join(lines)
    )
    assert "(damaged)" in lines[-1]


def test_long_fields_are_cut_and_counted() -> None:
    lines = tree(codec.make_frame(1, 1, 0, 3, 2, bytes(1000)))
    assert lines[-1].strip() == f"... {1000 - MAX_ROWS * ROW_OCTETS} octets more"


def test_colour_is_only_there_when_asked_for() -> None:
    frame = codec.make_frame(1, 1, 0, 2, 2, b"\x01")
    coloured = "\n".join(tree(frame, colour=True))
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == "\n".join(tree(frame))
