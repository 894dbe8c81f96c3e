"""The benchmark of hexadecimal text: `python tests/benchmarks/hexadecimal.py` prints a table, `--quick` one in less time.

The text is read in chunks, beside Python's own conversion of the whole, which knows no comments and no dumps.
"""

from __future__ import annotations

import argparse
import random
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

# As a script this module is not in a package; its siblings are always imported as one.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.frames import Task, cut_up
from benchmarks.peers import encode
from benchmarks.reactors import report, timed
from benchmarks.timing import Contestant, own

from hgproto.wire.files import CHUNK_BYTES
from hgproto.wire.hexform import bytes_from_hex

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["contestants", "main", "tasks"]

TEXT_BYTES = 1 << 20
FIELDS = (0, 3, 5, 6, 7, 8)
"""Where the fields of a frame begin: length, request id, stream id, stream flags, type and flags, payload."""


def text_of(lines: Sequence[str]) -> bytes:
    """The lines as a text."""
    return "".join(f"{line}\n" for line in lines).encode()


def bytes_of(lines: Sequence[str]) -> bytes:
    """The bytes that lines stand for."""
    return bytes.fromhex("".join(lines))


def by_hand(lines: Sequence[str]) -> Callable[[], bytes]:
    """Converts the whole text at once."""
    text = text_of(lines)
    return own(lambda: bytes.fromhex(text.decode("ascii")))


def by_us(lines: Sequence[str]) -> Callable[[], bytes]:
    """Converts the text in chunks."""
    chunks = cut_up(text_of(lines), CHUNK_BYTES)
    return own(lambda: b"".join(bytes_from_hex(chunks)))


def contestants() -> list[Contestant[str]]:
    """Those who make bytes of lines."""
    return [
        Contestant("bytes.fromhex, the whole text", by_hand, want=bytes_of, hand=True),
        Contestant("ours: bytes_from_hex", by_us, want=bytes_of, ours=True),
    ]


def fields(frame: bytes) -> str:
    """A frame with its fields apart."""
    return " ".join(frame[start:stop].hex() for start, stop in pairwise((*FIELDS, len(frame))) if start < stop)


def tasks(total: int = TEXT_BYTES) -> list[Task[str]]:
    """The tasks, of texts of some ``total``."""
    source = random.Random(4)  # noqa: S311 - repeatable, not secret

    def frames(size: int) -> list[str]:
        count = total // (2 * size + 22) + 1
        return [fields(encode(2 * place + 1, 2, 0, 4, 1, source.randbytes(size))) for place in range(count)]

    plain = [source.randbytes(30).hex() for _ in range(total // 61 + 1)]
    pairs = [source.randbytes(16).hex(" ") for _ in range(total // 48 + 1)]
    return [
        Task("lines of 30 bytes, as `xxd -p` writes them", "line", plain, contestants(), 2),
        Task("lines of 16 bytes, apart", "line", pairs, contestants(), 2),
        Task("frames of 16 bytes, field by field", "line", frames(16), contestants(), 2),
        Task("frames of 1 KiB, field by field", "line", frames(1024), contestants(), 2),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="The benchmark of hexadecimal text.")
    parser.add_argument("--quick", action="store_true", help="a quarter of the time")
    speed = 0.25 if parser.parse_args(arguments).quick else 1.0
    for task in tasks():
        for line in report(task, timed(task, task.seconds * speed)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
