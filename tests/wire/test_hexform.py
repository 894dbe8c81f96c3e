"""Hexadecimal text in a stream."""

from __future__ import annotations

import re
import shutil
import subprocess
import tracemalloc
from itertools import chain, repeat
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgproto.errors import HexError
from hgproto.wire import hexform
from hgproto.wire.hexform import bytes_from_hex, form_of

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD = [
    ("", b""),
    ("00fF", b"\x00\xff"),
    ("00\tfF\r\n0a \v\f", b"\x00\xff\x0a"),
    ("# nothing\n", b""),
    ("00 # 11\n22", b"\x00\x22"),
    ("00#x#y\n11", b"\x00\x11"),
    ("00#", b"\x00"),
    ("00#é", b"\x00"),
    ("#a\n#b\n00\n#c", b"\x00"),
    ("\ufeff00", b"\x00"),
    ("\ufeff", b""),
]


def read(raw: bytes, step: int = 1 << 20) -> bytes:
    """The bytes of a text that comes in chunks of a size."""
    return b"".join(bytes_from_hex(raw[i : i + step] for i in range(0, len(raw), step)))


@pytest.mark.parametrize(("text", "data"), GOOD)
def test_good(text: str, data: bytes) -> None:
    assert read(text.encode()) == read(text.encode(), 1) == data


BAD = [
    ("0", 1, 2, "the end of the text"),
    ("00\n0", 2, 2, "the end of the text"),
    ("00\n0\n", 2, 2, "the end of the line"),
    ("0 0", 1, 2, "a space"),
    ("00\n0 # \n\n", 2, 2, "a space"),
    ("00\n000#\n00", 2, 4, "the end of the line"),
    ("0x00", 1, 2, "'x'"),
    ("00\n  # y\n 1z", 3, 3, "'z'"),
    ("00 é", 1, 4, "the byte 0xc3"),
    ("00\x00", 1, 3, "the byte 0x00"),
    ("00, 00", 1, 3, "','"),
]


@pytest.mark.parametrize(("text", "line", "column", "found"), BAD)
def test_bad(text: str, line: int, column: int, found: str) -> None:
    for step in (1, 1 << 20):
        with pytest.raises(
            HexError, match="; write bytes as pairs of hexadecimal digits, as `xxd -p FILE` does"
        ) as error:
            read(text.encode(), step)
        assert (error.value.line, error.value.column) == (line, column)
        assert found in error.value.found


@pytest.mark.parametrize(("encoding", "name"), [("utf-16", "UTF-16"), ("utf-32", "UTF-32")])
def test_another_encoding_is_named(encoding: str, name: str) -> None:
    with pytest.raises(HexError, match=f"UTF-8, found the byte-order mark of {name} at line 1, column 1; convert it"):
        read("00 11\n".encode(encoding))


# Dumps with offsets.

WIRE = bytes.fromhex("0e00000100010111637573746f6d726561646f6e6c79" * 3)
PROGRAMS = [
    "od",
    "od -A d -t x1",
    "od -A o -t x1",
    "od -A x",
    "od -A x -t x1",
    "od -A x -t x2",
    "od -A x -t x4",
    "od -A x -t x8",
    "od -b",
    "od -c",
    "od -t x1",
    "od -x",
    "hexdump",
    "hexdump -C",
    "hexdump -b",
    "hexdump -x",
    "xxd",
    "xxd -b",
    "xxd -c 8",
    "xxd -g 1",
]


def dump(data: bytes, *, digits: int, between: str, ascii: str = "", group: int = 1, first: int = 0) -> str:
    """A dump in rows of 16 bytes, as Wireshark, PowerShell, and editors write them."""
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        lines.append(f"{first + at:0{digits}x}{between}{row.hex(' ', group)}{ascii and ascii + text}\n")
    return "".join(lines)


def rows(data: bytes, width: int, *, digits: int, first: int = 0) -> str:
    """A dump with one word a row."""
    return "".join(f"{first + at:0{digits}x} {data[at : at + width].hex()}\n" for at in range(0, len(data), width))


DUMPS = {
    "wireshark": dump(WIRE, digits=4, between="  ", ascii="   "),
    "wireshark without text": dump(WIRE, digits=4, between="   "),
    "wireshark of one row": dump(WIRE[:9], digits=4, between="   "),
    "wireshark follow": "    " + dump(WIRE, digits=8, between="  ", ascii="   "),
    "powershell": dump(WIRE, digits=16, between=" ", ascii=" "),
    "without text": dump(WIRE, digits=8, between="  "),
    "of one row": dump(WIRE[:16], digits=8, between="  "),
    "tabs": dump(WIRE, digits=8, between="\t"),
    "groups": dump(WIRE, digits=8, between="  ", group=2),
    "text that is hexadecimal": dump(b"\0\0abcdef" * 4, digits=8, between="  ", group=2),
    "a part": dump(WIRE, digits=8, between="  ", first=0x12340),
    "a part of six digits": dump(WIRE, digits=6, between=" ", first=0x12340),
    "the only row of a part": dump(WIRE[:16], digits=8, between="  ", first=0x40),
    "tcpdump": "\t0x0000:  0e00 0001 0001 0111 6375 7374 6f6d 7265\n",
    "crlf": dump(WIRE, digits=8, between="  ").replace("\n", "\r\n"),
    "after comments": "# a capture\n\n" + dump(WIRE, digits=8, between="  "),
    "with comments between": dump(WIRE, digits=6, between=" ", first=0x12340).replace("\n", "\n# more\n\n"),
    "rows of eight": "000000 0e 00 00 01 00 01 01 11\n000008 63 75 73 74 6f 6d 72 65\n",
    "a total": "000000 0e 00\n000002\n",
    "decimal": "00000990 0e 00 00 01 00 01 01 11 63 75\n00001000 73 74\n",
    "octal": "00000770 0e 00 00 01 00 01 01 11\n00001000 73 74\n",
    "words as wide as the offset": dump(WIRE, digits=8, between=" ", group=4),
    "short words as wide as the offset": dump(WIRE, digits=4, between=" ", group=2),
    "one row of words as wide as the offset": dump(WIRE[:16], digits=8, between=" ", group=4) + "00000010\n",
    "one word a row": rows(WIRE, 16, digits=8),
    "one word a row of a part": rows(WIRE, 16, digits=8, first=0x12340),
    "one word a row of six digits": rows(WIRE, 16, digits=6),
    "one word a row of a part of six digits": rows(WIRE, 16, digits=6, first=0x12340),
    "one word a row of sixteen digits": rows(WIRE, 16, digits=16),
    "one long word a row": rows(WIRE, 32, digits=8),
    "one word of an odd size a row": rows(WIRE, 7, digits=8),
    "one word and a total": rows(WIRE[:9], 16, digits=8) + "00000009\n",
    "one byte a row": rows(WIRE, 1, digits=8),
    "one byte a row of a part": rows(WIRE, 1, digits=8, first=0x12340),
    "one word a row of four digits": rows(WIRE, 16, digits=4),
    "one byte a row of six digits": rows(WIRE, 1, digits=6),
    "two bytes a row": rows(WIRE, 2, digits=8),
    "one word a row at decimal offsets": "00000996 0e0000010001011163756400\n00001008 7374\n",
    "the first row of words": "000000 0100000e 01010001 74737563 656d6f72\n",
    "the first row of long words": "000000 010100010100000e 656d6f7274737563\n",
    "the first row of octal words": "000000 000016 000400 000400 010401\n",
}


def assert_dump(text: bytes) -> None:
    """The text is rejected at an offset, before anything of it is read, however it is cut."""
    for step in (1, 7, 1 << 20):
        chunks = bytes_from_hex(text[i : i + step] for i in range(0, len(text), step))
        with pytest.raises(
            HexError, match=r"which looks like an offset of a dump at line .*; write the bytes without offsets"
        ):
            next(chunks)


@pytest.mark.parametrize("command", PROGRAMS)
@pytest.mark.parametrize(
    "data", [WIRE, WIRE[:22], bytes(20), bytes(range(256))], ids=["frames", "frame", "zeros", "all"]
)
def test_dumps_of_programs_are_rejected(command: str, data: bytes) -> None:
    program, *arguments = command.split()
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    run = subprocess.run([program, *arguments], input=data, stdout=subprocess.PIPE, check=True)
    assert_dump(run.stdout)


@pytest.mark.parametrize("name", DUMPS)
def test_dumps_are_rejected(name: str) -> None:
    assert_dump(DUMPS[name].encode())


def od(data: bytes, kind: str, size: int, width: int = 16, first: int = 0) -> str:
    """The dump of `od -v -A x -t KINDSIZE -wWIDTH`, of bytes that begin at an offset."""
    columns = {
        "x": 2 * size,
        "o": (8 * size + 2) // 3,
        "u": len(str(2 ** (8 * size) - 1)),
        "d": 1 + len(str(2 ** (8 * size - 1))),
    }[kind]
    lines = []
    for at in range(0, len(data), width):
        row = data[at : at + width]
        words = [row[i : i + size].ljust(size, b"\0") for i in range(0, len(row), size)]
        numbers = [int.from_bytes(word, "little", signed=kind == "d") for word in words]
        fill = "" if kind in "ud" else "0"
        shown = "".join(f" {number:{fill}{columns}{kind.replace('u', 'd')}}" for number in numbers)
        lines.append(f"{first + at:06x}{shown}\n")
    return "".join(lines) + f"{first + len(data):06x}\n"


ONE = bytes.fromhex("6400000100020131") + b"x" * 100
CONTENTS = {
    "frames": WIRE,
    "letters": ONE,
    "zeros": bytes(40),
    "counting": bytes(range(40)),
    "small": bytes([12, 0, 34, 0] * 10),
    "ten": bytes([10] * 40),
    "empty frame": bytes.fromhex("0000000100010022" * 5),
}
KINDS = [(kind, size) for kind in "xoud" for size in (1, 2, 4, 8)]


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize(("kind", "size"), KINDS)
@pytest.mark.parametrize(("width", "first"), [(16, 0), (8, 0), (32, 0), (24, 0x7F8), (16, 0xFFF0)])
def test_no_dump_by_od_with_hexadecimal_offsets_is_read(
    kind: str, size: int, width: int, first: int, content: str
) -> None:
    for number in range(1, 41):
        text = od(CONTENTS[content][:number], kind, size, width, first)
        with pytest.raises(HexError):
            next(bytes_from_hex([text.encode()]))


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 6, 7])
def test_no_dump_with_narrow_rows_is_read(width: int, content: str) -> None:
    for kind, size in KINDS:
        for number in range(1, 41):
            if width % size == 0:
                text = od(CONTENTS[content][:number], kind, size, width)
                with pytest.raises(HexError):
                    next(bytes_from_hex([text.encode()]))


@pytest.mark.skipif(shutil.which("od") is None, reason="od is not installed")
@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_dumps_are_made_as_od_makes_them(kind: str, size: int) -> None:
    for data in (WIRE[:21], CONTENTS["small"]):
        command = ["od", "-v", "-A", "x", "-t", f"{kind}{size}"]
        run = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True)
        assert [line.split() for line in run.stdout.decode().splitlines()] == [
            line.split() for line in od(data, kind, size).splitlines()
        ]


def in_pairs(data: bytes) -> str:
    return data.hex(" ")


def in_fields(data: bytes, separator: str = " ") -> str:
    """A frame field by field."""
    return separator.join(
        filter(None, (data[a:b].hex() for a, b in ((0, 3), (3, 5), (5, 6), (6, 7), (7, 8), (8, None))))
    )


def in_fields_of_pairs(data: bytes) -> str:
    return f"{data[:3].hex()} {data[3:].hex(' ')}"


def in_halves(data: bytes) -> str:
    return f"{data[:8].hex()} {data[8:].hex()}"


def in_two(data: bytes) -> str:
    return f"{data[:4].hex()} {data[4:].hex()}"


def in_length_and_rest(data: bytes) -> str:
    return f"{data[:3].hex()} {data[3:].hex()}"


def in_quarters(data: bytes) -> str:
    return f"{data[:4].hex()} {data[4:8].hex()} {data[8:].hex()}"


FRAMES = st.lists(
    st.builds(
        lambda payload, request, stream, type_: (
            len(payload).to_bytes(3, "little")
            + request.to_bytes(2, "little")
            + bytes([stream, 0, type_])
            + bytes(payload)
        ),
        st.binary(max_size=40),
        st.integers(0, 9).map(lambda number: 2 * number + 1) | st.integers(0, 0xFFFF),
        st.integers(0, 3),
        st.sampled_from([0x11, 0x21, 0x22, 0x31, 0x32, 0x51, 0x71]),
    ),
    max_size=6,
)


@given(
    FRAMES,
    st.sampled_from([in_pairs, in_fields, in_fields_of_pairs, in_two, in_length_and_rest, in_halves, in_quarters]),
    st.sampled_from(["\n", "\n\n", "\r\n", " # a frame\n"]),
)
def test_frames_a_line_are_read(frames: list[bytes], write: Callable[[bytes], str], end: str) -> None:
    """However a frame is written on its line, it is not taken for a line of a dump."""
    text = "".join(write(frame) + end for frame in frames)
    assert read(text.encode()) == read(text.encode(), 3) == b"".join(frames)


@given(FRAMES, st.sampled_from([in_pairs, in_fields, in_halves, in_quarters]))
def test_frames_on_one_line_are_read(frames: list[bytes], write: Callable[[bytes], str]) -> None:
    text = " ".join(map(write, frames))
    assert read(text.encode()) == b"".join(frames)


def test_the_place_of_an_offset() -> None:
    text = "00 11\n# x\n  " + DUMPS["a part of six digits"]
    with pytest.raises(HexError) as error:
        read(text.encode())
    assert (error.value.line, error.value.column) == (3, 3)
    assert error.value.found == "'012340', which looks like an offset of a dump"


FIELDS = [
    "000000 0100 01 00 22\n",
    "000000 01 00 01 00 22\n",
    "0e0000 0100 01 01 11 637573746f6d726561646f6e6c79\n" * 3,
    "0e0000 01 00 01 01 11 637573746f6d726561646f6e6c79\n" * 3,
    "0e00000100010111 637573746f6d726561646f6e6c79\n" * 3,
    "0e000001 00010111 63757374 6f6d7265 61646f6e 6c79\n" * 3,
    "0e00 0001 0001 0111 6375 7374 6f6d 7265 6164 6f6e 6c79\n" * 3,
    "000100 01 00 01 01 11\n" + "00 " * 256 + "\n000100 03 00 01 00 11\n",
    "0000\n0010\n",
    # Groups as wide as an offset: what follows zero adds up in another base, or to no row of a dump.
    "0700 0001 0001 0111 7075 7368 6b65 7903\n0000 0300 0100 127e 203f 0600 0005 0001\n0014 6c6f 6f6b 7570\n",
    "0000 0300 0100 127e 203f 0600 0005 0001\n000e 6c6f 6f6b 7570\n",
    "0000 0001 0001 0111 7075\n0010 6c6f\n",
    "0000 0001 0203\n0004\n",
    "0000 0001 02\n0003\n",
    "00000000 01000101 11000000\n00000010 01000322\n",
    "00000000 00000004 00000008\n0000000c 00000010\n",
    # One word after the first, without a next line that begins with the sum.
    "00000000 0100000100010111\n",
    "00000000 28000001000101116161616161616161\n00000011 6161\n",
    "00000000 28\n00000002 00\n",
    "03000005000100 52a2f226\n03000005000104 528a3553\n",
    # Frames in halves, of which one header is larger than the other by the length of the payload.
    "0100000100010031 61\n0100000100010032 62\n",
    "02000001 000101116161\n02000007 000101116161\n",
    "fb0000 0100010111" + "61" * 251 + "\nfb0100 0100010111" + "61" * 507 + "\n",
    "0000000000000000" * 5000,
]


AMBIGUOUS = [
    # Rows of 3 bytes in groups of 2, or of 1 byte after an offset.
    "0000 01\n0001 01\n",
    "0000 01\n0001\n",
    # Words as wide as the first.
    "0000 0001\n0002 0003\n",
    "00000000 28000001\n00000004 00010111\n",
    "0000000000000000 0000000000000001\n0000000000000008 0000000000000002\n",
    "00000008 28000001\n0000000c 00010111\n",
]


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_what_cannot_be_told_from_a_dump_is_rejected(text: str) -> None:
    assert_dump(text.encode())


@pytest.mark.parametrize("size", [1, 2, 3, 4, 6, 8, 16])
@pytest.mark.parametrize("digits", [4, 5, 6, 7, 8, 10, 12, 16])
@pytest.mark.parametrize("first", [0, 1, 3, 48, 4800])
def test_a_dump_with_one_word_a_row_is_never_read(size: int, digits: int, first: int) -> None:
    # Lines of few digits may add up by chance, so a dump of which the beginning is left out is not known by them.
    if first and (digits < 6 or (first % size and 2 * size == digits)):
        return
    for data in (*CONTENTS.values(), bytes(range(200))):
        for base in "xdo":
            rows = [data[at : at + size] for at in range(0, len(data) - size + 1, size)]
            lines = [f"{first + at * size:0{digits}{base}}" for at in range(len(rows) + 1)]
            text = "".join(f"{line} {row.hex()}\n" for line, row in zip(lines, rows, strict=False))
            for number in (2, 3, len(rows)):
                part = "".join(text.splitlines(keepends=True)[:number])
                for end in ("", f"{lines[number]}\n") if number <= len(rows) else ():
                    with pytest.raises(HexError):
                        next(bytes_from_hex([(part + end).encode()]))


@pytest.mark.parametrize("text", FIELDS)
def test_plain_text_in_groups_is_read(text: str) -> None:
    for step in (1, 4096, 1 << 20):
        assert read(text.encode(), step) == bytes.fromhex(text)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 8, 16, 30])
@pytest.mark.parametrize("group", [1, 2, 3, 4, 6, 8, 16])
def test_rows_in_groups_are_read(width: int, group: int) -> None:
    """Bytes that count up look most like offsets, and so do zeros."""
    for data in (WIRE, bytes(range(256)), bytes(300), b"".join(n.to_bytes(2, "big") for n in range(0, 4096, 2))):
        rows = [data[at : at + width] for at in range(0, len(data), width)]
        # A group that is cut on the left would be a first word of another width.
        text = "\n".join(" ".join(row[at : at + group].hex() for at in range(0, len(row), group)) for row in rows)
        if "0000 01\n0001 01" in text:
            # It cannot be told from a dump of one byte a row.
            continue
        assert read(text.encode()) == read(text.encode(), 5) == data


def test_what_comes_before_a_fault_is_read() -> None:
    chunks = bytes_from_hex([b"00 11\n22\n33 4\n55"])
    assert next(chunks) == b"\x00\x11"
    assert next(chunks) == b"\x22"
    with pytest.raises(HexError):
        next(chunks)


@given(st.text(st.sampled_from("0000010203 \n"), max_size=60))
def test_the_quick_look_misses_no_offset(text: str) -> None:
    def outcome() -> tuple[bytes, str]:
        data = b""
        try:
            for part in bytes_from_hex([text.encode()]):
                data += part
        except HexError as error:
            return data, str(error)
        return data, ""

    quick = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hexform, "_MAY_HAVE_OFFSET", re.compile(b""))
        assert outcome() == quick


def test_memory_is_bounded_by_chunks() -> None:
    """A line without an end is not held."""
    for text in (b"00" * 2048, b"# " + b"x" * 4094):
        tracemalloc.start()
        kept = sum(len(part) for part in bytes_from_hex(text for _ in range(2000)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert kept == (2048 * 2000 if text[:1] == b"0" else 0)
        assert peak < 500_000


@pytest.mark.parametrize(
    "empty", [b"#c\n", b"\n", b" \r\n", b"# " + b"x" * 5000 + b"\n"], ids=["comment", "empty", "spaces", "long"]
)
def test_lines_without_words_after_an_offset_are_looked_at_once(empty: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not held with the line before them, which waits for the next one with words."""
    lines, looked_at = hexform._LINES, 0

    class Counting:
        @staticmethod
        def findall(block: bytes) -> list[bytes]:
            nonlocal looked_at
            looked_at += len(block)
            return lines.findall(block)

    monkeypatch.setattr(hexform, "_LINES", Counting)
    count = 300_000 // (len(empty) * 50)
    chunk = empty * 50
    tracemalloc.start()
    data = list(bytes_from_hex(chain([b"00001234 aa bb\n"], repeat(chunk, count), [b"cc"])))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert b"".join(data) == bytes.fromhex("00001234 aa bb cc")
    assert looked_at <= 15 + count * len(chunk) + 2
    assert peak < 150_000


def test_forms() -> None:
    names = {"a.hex": "hex", "b.session": "session", "c.json": "json", "d.bin": "raw", "hex": "raw", "-": "raw"}
    names |= {"A.HEX": "hex", "b.Session": "session", "C.JSON": "json"}
    assert {name: form_of(name) for name in names} == names


@given(
    st.text(st.sampled_from("0aF #\nx \t"), max_size=40)
    | st.text(st.sampled_from("000128 \n"), max_size=80)
    | st.text(st.sampled_from("000128 \n\n#x:"), max_size=80),
    st.integers(1, 30),
    st.sampled_from([4, 8, 16, 24, hexform.HELD_BYTES]),
)
def test_any_cutting_gives_the_same(text: str, step: int, held: int) -> None:
    """The bytes and the words of an error, for lines of all lengths."""

    def outcome(chunks: list[bytes]) -> tuple[bytes, str]:
        data = b""
        try:
            for part in bytes_from_hex(chunks):
                data += part
        except HexError as error:
            return data, str(error)
        return data, ""

    raw = text.encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hexform, "HELD_BYTES", held)
        assert outcome([raw]) == outcome([raw[i : i + step] for i in range(0, len(raw), step)])


LONG = [
    (b"05000001000101116865616473 " * 300 + b"x\n", 3900, "a hexadecimal digit, found 'x' at line 1, column 8101"),
    (b"00" * 4000 + b"1\n", 4000, "the second digit of a byte, found the end of the line at line 1, column 8002"),
    (b"00" * 4000 + b"1", 4000, "the second digit of a byte, found the end of the text at line 1, column 8002"),
    (b"00000000 " + b"11 " * 3000 + b"x\n", 0, "which looks like an offset of a dump at line 1, column 1"),
    (b"00000000: " + b"11 " * 3000, 0, "which looks like an offset of a dump at line 1, column 1"),
    (b"00000008 11\n" + b" " * 5000 + b"x", 5, "a hexadecimal digit, found 'x' at line 2, column 5001"),
]


@pytest.mark.parametrize(("text", "count", "error"), LONG, ids=range(len(LONG)))
@pytest.mark.parametrize("step", [1, 1000, 6000, 1 << 20])
def test_a_long_line_is_read_up_to_its_fault(text: bytes, count: int, error: str, step: int) -> None:
    size = 0
    with pytest.raises(HexError, match=re.escape(error)):
        for part in bytes_from_hex(text[i : i + step] for i in range(0, len(text), step)):
            size += len(part)
    assert size == count


NO_DUMPS = {
    "of one size": [b"100000 0100 02 00 42 " + b"11" * 16] * 40,
    "of all sizes": [b"%02x0000 %04x 02 00 42 " % (size, size) + b"11" * size for size in range(1, 60)],
    "empty": [b"000000 0100 02 00 42"] * 40,
    "indented, with empty lines": [b"  100000 0100 02 00 42 " + b"11" * 16, b""] * 40,
    "in pairs": [b" ".join([b"1f"] * 16)] * 40,
}


@pytest.mark.parametrize("lines", NO_DUMPS.values(), ids=NO_DUMPS)
def test_lines_that_are_no_dump_are_converted_together(lines: list[bytes]) -> None:
    """Frames in fields begin with six digits, as dumps do; only the last line of a chunk has to wait for the next one."""
    text = b"\n".join(lines) + b"\n"
    parts = list(bytes_from_hex([text, text]))
    assert b"".join(parts) == bytes.fromhex(text.decode()) * 2
    assert len(parts) <= 4


def test_the_line_before_a_long_line_of_a_dump_is_read_however_the_text_is_cut() -> None:
    lines = [
        b"050000 0100 01 01 11 6865616473\n",
        b"050000 0300 01 00 11 6865616473\n",
        b"00000000  " + b"aa " * 2000 + b"\n",
    ]
    found = set()
    for chunks in ([b"".join(lines)], lines, [lines[0] + lines[1], lines[2]]):
        data = b""
        with pytest.raises(HexError) as caught:
            for part in bytes_from_hex(chunks):
                data += part
        found.add((data, str(caught.value)))
    assert len(found) == 1
    assert len(data) == 2 * 13
