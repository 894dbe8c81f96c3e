"""Hexadecimal text in a stream."""

from __future__ import annotations

import re
import shutil
import subprocess
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgproto import hexform
from hgproto.errors import HexError
from hgproto.hexform import form_of, octets_from_hex

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
    return b"".join(octets_from_hex(raw[i : i + step] for i in range(0, len(raw), step)))


@pytest.mark.parametrize(("text", "octets"), GOOD)
def test_good(text: str, octets: bytes) -> None:
    assert read(text.encode()) == read(text.encode(), 1) == octets


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


def dump(octets: bytes, *, digits: int, between: str, ascii: str = "", group: int = 1, first: int = 0) -> str:
    """A dump in rows of 16 bytes, as Wireshark, PowerShell, and editors write them."""
    lines = []
    for at in range(0, len(octets), 16):
        row = octets[at : at + 16]
        text = "".join(chr(octet) if 0x20 <= octet < 0x7F else "." for octet in row)
        lines.append(f"{first + at:0{digits}x}{between}{row.hex(' ', group)}{ascii and ascii + text}\n")
    return "".join(lines)


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
}


def assert_dump(text: bytes) -> None:
    """The text is rejected at an offset, before anything of it is read, however it is cut."""
    for step in (1, 7, 1 << 20):
        chunks = octets_from_hex(text[i : i + step] for i in range(0, len(text), step))
        with pytest.raises(
            HexError, match=r"which looks like an offset of a dump at line .*; write the bytes without offsets"
        ):
            next(chunks)


@pytest.mark.parametrize("command", PROGRAMS)
@pytest.mark.parametrize(
    "octets", [WIRE, WIRE[:22], bytes(20), bytes(range(256))], ids=["frames", "frame", "zeros", "all"]
)
def test_dumps_of_programs_are_rejected(command: str, octets: bytes) -> None:
    program, *arguments = command.split()
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    run = subprocess.run([program, *arguments], input=octets, stdout=subprocess.PIPE, check=True)
    assert_dump(run.stdout)


@pytest.mark.parametrize("name", DUMPS)
def test_dumps_are_rejected(name: str) -> None:
    assert_dump(DUMPS[name].encode())


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
    "00000000 00000004 00000008\n0000000c 00000010\n",
    "0000000000000000" * 5000,
]


@pytest.mark.parametrize("text", FIELDS)
def test_plain_text_in_groups_is_read(text: str) -> None:
    for step in (1, 4096, 1 << 20):
        assert read(text.encode(), step) == bytes.fromhex(text)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 8, 16, 30])
@pytest.mark.parametrize("group", [1, 2, 3, 4, 6, 8, 16])
def test_rows_in_groups_are_read(width: int, group: int) -> None:
    """Bytes that count up look most like offsets, and so do zeros."""
    for octets in (WIRE, bytes(range(256)), bytes(300), b"".join(n.to_bytes(2, "big") for n in range(0, 4096, 2))):
        rows = [octets[at : at + width] for at in range(0, len(octets), width)]
        # A group that is cut on the left would be a first word of another width.
        text = "\n".join(" ".join(row[at : at + group].hex() for at in range(0, len(row), group)) for row in rows)
        assert read(text.encode()) == read(text.encode(), 5) == octets


def test_what_comes_before_a_fault_is_read() -> None:
    chunks = octets_from_hex([b"00 11\n22\n33 4\n55"])
    assert next(chunks) == b"\x00\x11"
    assert next(chunks) == b"\x22"
    with pytest.raises(HexError):
        next(chunks)


@given(st.text(st.sampled_from("0000010203 \n"), max_size=60))
def test_the_quick_look_misses_no_offset(text: str) -> None:
    def outcome() -> tuple[bytes, str]:
        octets = b""
        try:
            for part in octets_from_hex([text.encode()]):
                octets += part
        except HexError as error:
            return octets, str(error)
        return octets, ""

    quick = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hexform, "_MAY_HAVE_OFFSET", re.compile(b""))
        assert outcome() == quick


def test_memory_is_bounded_by_chunks() -> None:
    """A line without an end is not held."""
    for text in (b"00" * 2048, b"# " + b"x" * 4094):
        tracemalloc.start()
        kept = sum(len(part) for part in octets_from_hex(text for _ in range(2000)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert kept == (2048 * 2000 if text[:1] == b"0" else 0)
        assert peak < 500_000


def test_forms() -> None:
    names = {"a.hex": "hex", "b.session": "session", "c.json": "json", "d.bin": "raw", "hex": "raw", "-": "raw"}
    assert {name: form_of(name) for name in names} == names


@given(
    st.text(st.sampled_from("0aF #\nx \t"), max_size=30) | st.text(st.sampled_from("000128 \n"), max_size=60),
    st.integers(1, 7),
)
def test_any_cutting_gives_the_same(text: str, step: int) -> None:
    def outcome(chunks: list[bytes]) -> tuple[bytes, tuple[int, int] | None]:
        octets = b""
        try:
            for part in octets_from_hex(chunks):
                octets += part
        except HexError as error:
            return octets, (error.line, error.column)
        return octets, None

    raw = text.encode()
    assert outcome([raw]) == outcome([raw[i : i + step] for i in range(0, len(raw), step)])
