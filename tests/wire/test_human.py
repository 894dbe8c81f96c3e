"""The human form: total, canonical, and clear about what is wrong."""

from __future__ import annotations

import ast
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import frames

from hgproto import Frame, HumanFormError, format_frame, parse_frame
from hgproto.revisions.framing_0002 import codec
from hgproto.wire.human import flag_list


@given(frames)
def test_any_frame_can_be_written_and_read_back(frame: Frame) -> None:
    line = format_frame(frame)
    assert line.isascii()
    assert line.isprintable()
    assert not line.endswith(" ")
    assert parse_frame(line) == frame
    assert parse_frame(line.encode() + b"\r\n") == frame
    assert format_frame(parse_frame(line)) == line


READ = [
    ("1 1 stream-begin command-name have-data command", (1, 1, 1, 1, 4, b"command")),
    ("1 1 1 1 1", (1, 1, 1, 1, 1, b"")),
    ("1 1 1 1 1 ", (1, 1, 1, 1, 1, b"")),
    ("0x10 0xFF stream-begin|0x2|encoded 0xf 1|0x8 a  b", (16, 255, 7, 15, 9, b"a  b")),
    ("1 1 0 command-name 0  x", (1, 1, 0, 1, 0, b" x")),
    ("1 1 0 command-name eos|eos x", (1, 1, 0, 1, 1, b"x")),
    ("1 1 0 3 0 \\n\\r\\t\\a\\b\\f\\v\\\\\\'\\\"", (1, 1, 0, 3, 0, b"\n\r\t\a\b\f\v\\'\"")),
    ("1 1 0 3 0 \\0\\12\\1234\\777\\8", (1, 1, 0, 3, 0, b"\x00\x0a\x534\xff\\8")),
    ("1 1 0 3 0 \\xFf\\q\\u0041", (1, 1, 0, 3, 0, b"\xff\\q\\u0041")),
    ("1 1 0 3 0 \u00e9", (1, 1, 0, 3, 0, b"\xc3\xa9")),
    ("1 1 0 3 0 x\r\n", (1, 1, 0, 3, 0, b"x")),
    ("1 1 0 3 0 x\r\r\n", (1, 1, 0, 3, 0, b"x\r")),
    ("1 1 0 3 0 x\r", (1, 1, 0, 3, 0, b"x\r")),
]


@pytest.mark.parametrize(("line", "parts"), READ)
def test_what_is_read(line: str, parts: tuple[int, int, int, int, int, bytes]) -> None:
    assert parse_frame(line) == codec.make_frame(*parts)


WRITTEN = [
    ((1, 1, 1, 1, 4, b"command"), "1 1 stream-begin command-name have-data command"),
    (
        (65535, 255, 0xFF, 15, 15, b""),
        "65535 255 stream-begin|stream-end|encoded|0x8|0x10|0x20|0x40|0x80 0xf 0x1|0x2|0x4|0x8",
    ),
    ((0, 0, 0, 0, 0, b" \x00\x7f\\\n\r\t' "), "0 0 0 0x0 0  \\x00\\x7f\\\\\\n\\r\\t'\\x20"),
    ((1, 1, 0, 6, 1, b" "), "1 1 0 text-output 0x1 \\x20"),
]


@pytest.mark.parametrize(("parts", "line"), WRITTEN)
def test_what_is_written(parts: tuple[int, int, int, int, int, bytes], line: str) -> None:
    assert format_frame(codec.make_frame(*parts)) == line


@pytest.mark.parametrize("index", range(5))
@pytest.mark.parametrize("number", [10**20, -(10**20), 10**5000], ids=["positive", "negative", "huge"])
def test_a_number_that_no_field_has_can_be_written(index: int, number: int) -> None:
    parts: list[Any] = [0] * 5
    parts[index] = number
    words = format_frame(Frame(*parts)).split(" ")
    assert [word for word in words if word not in ("0", "command-name", "0x0")] == [words[index]]


REFUSED = [
    ("", 1, "request id"),
    ("1 1 0 command-name", 19, "the flags"),
    ("1  1 0 command-name eos", 3, "stream id"),
    (" 1 1 0 command-name eos", 1, "request id"),
    ("x 1 0 command-name eos", 1, "a request id, 0 to 65535"),
    ("65536 1 0 command-name eos", 1, "a request id, 0 to 65535"),
    ("1 256 0 command-name eos", 3, "a stream id, 0 to 255"),
    ("1 0x100 0 command-name eos", 3, "a stream id, 0 to 255"),
    ("1 -1 0 command-name eos", 3, "a stream id"),
    ("1 1_0 0 command-name eos", 3, "a stream id"),
    ("1 \u0661 0 command-name eos", 3, "a stream id"),
    ("1 1 stream-start command-name eos", 5, "a stream flag (stream-begin, stream-end, encoded, or a number)"),
    ("1 1 stream-begin||encoded command-name eos", 18, "a stream flag"),
    ("1 1 0 command eos", 7, "a frame type (command-name,"),
    ("1 1 0 16 0", 7, "a frame type, 0 to 15"),
    ("1 1 0 command-name eoa", 20, "a flag of command-name (eos, have-args, have-data, or a number)"),
    ("1 1 0 command-name eos|16", 24, "a flag of command-name, 0 to 15"),
    ("1 1 0 text-output eos", 19, "a flag of text-output (no names, or a number)"),
    ("1 1 0 15 eos", 10, "a flag (no names"),
    ("1 1 0 3 0 ab\\x4", 13, "two hexadecimal digits"),
    ("1 1 0 3 0 ab\\xg0", 13, "two hexadecimal digits"),
    ("1 1 0 3 0 ab\\", 13, "a character after the backslash"),
    ("1" * 5000 + " 1 0 3 0", 1, "a request id"),
]


@pytest.mark.parametrize(("line", "column", "expected"), REFUSED)
def test_what_is_refused(line: str, column: int, expected: str) -> None:
    with pytest.raises(HumanFormError) as error:
        parse_frame(line)
    assert error.value.column == column
    assert expected in error.value.expected
    assert len(str(error.value)) < 300


@given(st.text(st.sampled_from("\\xnrt0178afq'\" é|"), max_size=12))
def test_escapes_are_those_of_a_python_bytes_literal(text: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = ast.literal_eval(f'b"""{text}"""')
    except (SyntaxError, ValueError):
        return
    assert parse_frame(f"1 1 0 3 0 {text}").payload == expected


@given(st.binary(max_size=60))
def test_any_line_is_read_or_refused(line: bytes) -> None:
    try:
        frame = parse_frame(line)
    except HumanFormError as error:
        assert 1 <= error.column <= len(line) + 1
    else:
        assert parse_frame(format_frame(frame)) == frame


def test_flags_are_listed_in_bit_order() -> None:
    assert flag_list(0b1101, {1: "one", 8: "eight"}) == ["one", 4, "eight"]
