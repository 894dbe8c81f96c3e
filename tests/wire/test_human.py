"""The human form: every frame has a canonical line, and errors are clear."""

from __future__ import annotations

import ast
import codecs
import tracemalloc
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import frames

from hgproto import Frame, HumanFormError, SessionValidator, format_frame, parse_frame
from hgproto.evidence.coverage import Coverage
from hgproto.reactors.session import Lines, Session
from hgproto.revisions.framing_0002 import codec
from hgproto.wire.human import flag_list, frame_lines

if TYPE_CHECKING:
    from collections.abc import Callable


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
    ("1 1 0 command-name " + "0|" * 64 + "0", 20, "at most 64 flags joined by |"),
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


def lines_in(text: bytes, limit: int, size: int) -> list[tuple[int, bytes]]:
    """The lines with a frame, from chunks of that size."""
    return list(frame_lines((text[at : at + size] for at in range(0, len(text), size)), limit))


SIZES = [1, 3, 10, 1000]


@pytest.mark.parametrize("size", SIZES)
def test_lines_have_their_numbers_and_ends(size: int) -> None:
    text = b"\n  \n# comment\n  # another\na\rb\nlast \r\n \x0b\x0cc\n\nd"
    assert lines_in(text, 20, size) == [(5, b"a\rb\n"), (6, b"last \r\n"), (7, b" \x0b\x0cc\n"), (9, b"d")]
    assert lines_in(codecs.BOM_UTF8 + text, 20, size) == lines_in(text, 20, size)


@pytest.mark.parametrize("size", SIZES)
def test_a_line_has_its_end_within_the_limit(size: int) -> None:
    for mark in (b"", codecs.BOM_UTF8):
        assert lines_in(mark + b"aaaa\nbbbbb", 5, size) == [(1, b"aaaa\n"), (2, b"bbbbb")]
        for text, number in (
            (b"a\naaaaa\n", 2),
            (b"bbbbbb", 1),
            (b"\n\n     a", 3),
            (b"      a\n", 1),
            (b" " * 99 + b"a\n", 1),
        ):
            with pytest.raises(HumanFormError, match="a line of at most 5 bytes, found more") as error:
                lines_in(mark + text, 5, size)
            assert (error.value.line, error.value.column) == (number, 6)


@pytest.mark.parametrize("size", SIZES)
def test_blank_lines_and_comments_may_have_any_length(size: int) -> None:
    text = b" " * 99 + b"\n" + b" " * 99 + b"# a comment" + b"x" * 99 + b"\n#" + b" a" * 99 + b"\na\n" + b" " * 99
    assert lines_in(text, 5, size) == [(4, b"a\n")]


def test_a_line_that_is_too_long_is_not_gathered() -> None:
    chunks = (b"1" * (1 << 16) for _ in range(1 << 10))
    tracemalloc.start()
    try:
        with pytest.raises(HumanFormError, match="at most 1000000 bytes"):
            list(frame_lines(chunks, 1_000_000))
        assert list(frame_lines((b"#" + b"1" * (1 << 16) for _ in range(100)), 1_000_000)) == []
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


def counted_session(line: str) -> None:
    Coverage().session([line])


@pytest.mark.parametrize(
    ("read", "before"),
    [
        (parse_frame, ""),
        (Lines().read, "> "),
        (SessionValidator().line, "> "),
        (Session().play, "> "),
        (counted_session, "> "),
    ],
    ids=["frame", "lines", "validator", "session", "coverage"],
)
@pytest.mark.parametrize("number", [0xD800, 0xDFFF])
def test_text_that_is_no_utf_8_is_named(read: Callable[[str], object], before: str, number: int) -> None:
    with pytest.raises(HumanFormError, match=rf"^expected text that UTF-8 can encode, found '\\u{number:x}'") as error:
        read(f"{before}1 1 stream-begin command-name eos \xe9{chr(number)}")
    assert error.value.column == len(before) + 37


def test_bytes_that_text_stands_for_are_read() -> None:
    assert parse_frame("1 1 1 1 1 \udcff").payload == b"\xff"


@pytest.mark.parametrize("unit", [b"\xff'", b"''", b"\\'"], ids=["high", "quotes", "backslashes"])
def test_memory_is_in_proportion_to_the_payload(unit: bytes) -> None:
    payload = unit * (1 << 19)
    frame = Frame(1, 1, 0, 3, 2, payload)
    tracemalloc.start()
    try:
        line = format_frame(frame)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert parse_frame(line).payload == payload
    assert most < 24 << 20
