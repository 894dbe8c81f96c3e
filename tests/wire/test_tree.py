"""The annotated dump: it shows every byte of every frame once, with its meaning."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import ROOT, VALID, frames

from hgproto import Frame, FrameReader, Revision
from hgproto.errors import RemoteProtocolError
from hgproto.revisions.framing_0002 import codec
from hgproto.wire.jsonform import Continuations
from hgproto.wire.tree import MAX_ROWS, ROW_BYTES, Style, annotated, frame_tree

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = Revision("framing-0002").schema


def tree(frame: Frame, *, offset: int = 0, continued: bool = False, colour: bool = False) -> list[str]:
    return list(frame_tree(frame, 0, offset, continued, SCHEMA, codec, Style(colour=colour)))


def bytes_in(lines: list[str]) -> dict[int, int]:
    """Each byte that the lines show, by its offset."""
    shown: dict[int, int] = {}
    for line in lines:
        match = re.match(r"  ([0-9a-f]{8})  ((?:[0-9a-f]{2} ?)+)", line)
        if match:
            for index, byte in enumerate(bytes.fromhex(match[2])):
                at = int(match[1], 16) + index
                assert shown.get(at, byte) == byte
                shown[at] = byte
    return shown


@settings(max_examples=100)
@given(frames.filter(lambda frame: len(frame.payload) <= MAX_ROWS * ROW_BYTES), st.integers(0, 1 << 20), st.booleans())
def test_every_byte_is_shown(frame: Frame, offset: int, continued: bool) -> None:
    shown = bytes_in(tree(frame, offset=offset, continued=continued))
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
        "error: value: expected 3 bytes, as value_length says, found 2 bytes at offset 13 (command-argument.value-short)"
        in "\n".join(lines)
    )
    assert "(damaged)" in lines[-1]


def test_long_fields_are_cut_and_counted() -> None:
    lines = tree(codec.make_frame(1, 1, 0, 3, 2, bytes(1000)))
    assert lines[-1].strip() == f"... {1000 - MAX_ROWS * ROW_BYTES} bytes more"


def test_colour_is_only_there_when_asked_for() -> None:
    frame = codec.make_frame(1, 1, 0, 2, 2, b"\x01")
    coloured = "\n".join(tree(frame, colour=True))
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == "\n".join(tree(frame))


KEYS = [
    b"",
    b"\xff",
    b"\\xff",
    b"\n00000008  aa",
    b"\x1b[2J",
    "\u202e".encode(),
    b"topic.value",
    b"'a'",
    b"a",
    "naïve".encode(),
]


def with_keys(*keys: bytes) -> Frame:
    """A progress frame with more keys than the schema knows."""
    more = dict.fromkeys(keys, b"\x01")
    return codec.make_frame(1, 2, 1, 7, 0, codec.encode_progress(codec.Progress("x", 1, 10, extra=more)))


def test_keys_of_a_peer_are_printable_and_differ() -> None:
    """A key cannot add lines to the dump, reach the terminal, or look like another key."""
    lines = tree(with_keys(*KEYS))
    assert all(line.isprintable() for line in lines)
    assert bytes_in(lines) == dict(enumerate(codec.encode_frame(with_keys(*KEYS))))
    headings = [lines[at - 1].strip() for at, line in enumerate(lines) if line.endswith(" The key.")]
    assert len({*headings}) == len(headings) == 3 + len(KEYS)
    assert {"''", r"'\xff'", r"'\\xff'", r"'\u202e'", r"'\x1b[2J'", "'topic.value'", "a"} <= {*headings}


def test_a_long_key_is_shortened() -> None:
    lines = tree(with_keys(b"a" * 1000, b"a" * 1001))
    assert all(len(line) < 150 for line in lines)
    assert sum("a" * 50 in line for line in lines) == 2


def test_texts_of_a_schema_stay_in_their_line(tmp_path: Path) -> None:
    text = (ROOT / "tests" / "data" / "alien.yaml").read_text(encoding="utf-8")
    file = tmp_path / "alien.yaml"
    file.write_text(
        text.replace("doc: Joins question and answer.", 'doc: "Joins\\n  00000000 answers."'), encoding="utf-8"
    )
    revision = Revision(str(file))
    frame = revision.codec.make_frame(1, 2, 0, 0, 0, b"")
    lines = list(frame_tree(frame, 0, 0, False, revision.schema, revision.codec, Style(colour=False)))
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("more", [b"", b"\x41a\x9f\x00\xff"])
def test_the_break_of_a_map_is_shown(more: bytes) -> None:
    payload = b"\xbfCpos\x01EtopicAxEtotal\x0a" + more + b"\xff"
    frame = codec.make_frame(1, 2, 1, codec.FrameType.PROGRESS, 0, payload)
    shown = bytes_in(tree(frame))
    assert bytes(shown[at] for at in sorted(shown)) == codec.encode_frame(frame)


@pytest.mark.parametrize("width", [79, 80, 96, 97, 100, 120, 200])
@settings(max_examples=50)
@given(frames.filter(lambda frame: len(frame.payload) <= MAX_ROWS * ROW_BYTES))
def test_lines_fit_the_width_and_keep_every_byte_and_word(width: int, frame: Frame) -> None:
    lines = list(frame_tree(frame, 0, 0, False, SCHEMA, codec, Style(colour=False, width=width)))
    wide = tree(frame)
    assert bytes_in(lines) == bytes_in(wide)
    fields = [line for line in lines[1:] if not line.lstrip().startswith("error:")]
    # A long name of a field moves the other columns.
    assert all(len(line) <= width for line in fields if "[" not in line)
    words = {*" ".join(lines).split()}
    with suppress(RemoteProtocolError):
        for one in annotated(frame, False, SCHEMA, codec):
            assert width < 97 or {*one.meaning.split()} <= words
    assert ("Size" in words) == (width >= 97)
