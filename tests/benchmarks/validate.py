"""The benchmark of the validator: `python tests/benchmarks/validate.py` prints a table, `--quick` one in less time.

The same bytes are decoded to frames, taken by a whole reactor, and validated as a session, in turns, in the same run.
Reactors and validators are made beforehand.
`--capture N` validates a capture of N MiB as well, 1024 unless told otherwise, and prints what memory that took.
"""

from __future__ import annotations

import argparse
import platform
import resource
import sys
from itertools import chain, repeat
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

# As a script this module is not in a package; its siblings are always imported as one.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.frames import cut_up, processor
from benchmarks.peers import encode
from benchmarks.reactor_peers import Response
from benchmarks.reactors import ahead, command_bytes, commands, our_server, response_bytes
from benchmarks.timing import measure, own

from hgproto.judging.validation import Validator
from hgproto.reactors.client import Client
from hgproto.wire.reader import read_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from hgproto.judging.finding import Role

__all__ = ["CONTESTANTS", "Line", "Task", "capture", "judged", "long_run", "main", "report", "tasks", "timed"]

COUNT = 200
CHUNK_BYTES = 1 << 16
ENOUGH = 400_000
"""Frames a second that are enough."""
OF_REACTOR = 0.5
"""The speed of a reactor that is enough, if that is less."""


class Task(NamedTuple):
    """Bytes that one side sends. ``issued``: the requests that a client has to know of to read them."""

    title: str
    role: Role
    data: bytes
    frames: int
    issued: range = range(0)


def tasks(count: int = COUNT) -> list[Task]:
    """The tasks."""
    name = "a name of sixteen"[:16].replace(" ", "-")
    ids = range(1, 2 * count, 2)
    single = b"".join(encode(request_id, 1, int(request_id == 1), 1, 1, name.encode()) for request_id in ids)
    answers = response_bytes([Response(request_id, bytes(16)) for request_id in ids])
    return [
        Task("commands of one frame, 16 bytes", "client", single, count),
        Task("commands with two arguments", "client", command_bytes(commands(count, 2)), 3 * count),
        Task("responses of one frame, 16 bytes", "server", answers, count, ids),
    ]


# Contestants. Each gives how many frames it has seen, or events it has given.


def decoding(task: Task) -> Callable[[], int]:
    chunks = cut_up(task.data, CHUNK_BYTES)
    return own(lambda: sum(1 for _ in read_frames(chunks)))


def reacting(task: Task) -> Callable[[], int]:
    chunks = cut_up(task.data, CHUNK_BYTES)

    def made() -> Any:
        if task.role == "client":
            return our_server()
        client = Client()
        for request_id in task.issued:
            client.issued(request_id)
        return client

    take = ahead(made)

    def run() -> int:
        receive = take().receive_data
        return sum(len(receive(chunk)) for chunk in chunks)

    return own(run)


def validating(task: Task) -> Callable[[], int]:
    chunks = cut_up(task.data, CHUNK_BYTES)
    take = ahead(lambda: Validator(task.role))

    def run() -> int:
        validator = take()
        for chunk in chunks:
            for finding in validator.feed(chunk):
                raise ValueError(f"the capture is not valid: {finding}")
        return validator.frames

    return own(run)


CONTESTANTS = {"decode to frames": decoding, "a reactor": reacting, "validate": validating}


# What is printed


class Line(NamedTuple):
    """How a contestant does: us a frame."""

    name: str
    time: float

    @property
    def speed(self) -> float:
        """Frames a second."""
        return 1e6 / self.time


def timed(task: Task, seconds: float) -> list[Line]:
    """Times the contestants in turns."""
    runs = [(prepare(task), task.frames) for prepare in CONTESTANTS.values()]
    return [Line(name, time / 1000) for name, time in zip(CONTESTANTS, measure(runs, seconds), strict=True)]


def judged(lines: Sequence[Line]) -> str:
    """What was wanted of the validator, and whether it is met."""
    speed = {line.name: line.speed for line in lines}
    wanted = min(ENOUGH, OF_REACTOR * speed["a reactor"])
    return f">= {wanted / 1000:.0f} k/s: {'met' if speed['validate'] >= wanted else 'MISSED'}"


def report(task: Task, lines: Sequence[Line]) -> Iterator[str]:
    """The part of the table for a task."""
    decode, react, _ = (line.time for line in lines)
    yield ""
    yield f"{task.title:<40}{'us/frame':>10}{'k/s':>8}{'x decode':>10}{'x reactor':>11}   target"
    for line in lines:
        target = judged(lines) if line.name == "validate" else ""
        ratios = f"{line.time / decode:>10.2f}{line.time / react:>11.2f}"
        yield f"  {line.name:<38}{line.time:>10.3f}{line.speed / 1000:>8.0f}{ratios}   {target}".rstrip()


# A long capture


def capture(size: int) -> Iterator[bytes]:
    """At least so many bytes of commands of one frame on one stream, whose ids go round and round."""
    first = b"".join(encode(request_id, 1, 0, 1, 1, b"x" * 16) for request_id in range(1, 1 << 16, 2))
    begun = bytearray(first)
    begun[6] = 1
    for chunk in chain((bytes(begun),), repeat(first)):
        yield chunk
        size -= len(chunk)
        if size <= 0:
            return


def long_run(size: int) -> Iterator[str]:
    """Validates a long capture, and says how fast, and how much memory it took, at some places."""
    validator, began, said = Validator("client"), perf_counter(), 0
    yield f"\n{'a capture of commands of one frame':<40}{'MiB':>10}{'seconds':>10}{'k/s':>8}{'peak memory':>14}"
    for chunk in capture(size):
        for at in range(0, len(chunk), CHUNK_BYTES):
            for finding in validator.feed(chunk[at : at + CHUNK_BYTES]):
                raise ValueError(f"the capture is not valid: {finding}")
        if validator.size >= said + size // 4:
            said = validator.size
            seconds, peak = perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            speed = validator.frames / seconds / 1000
            yield f"{'':<40}{said >> 20:>10}{seconds:>10.1f}{speed:>8.0f}{peak:>10.1f} MiB"


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description="The benchmark of the validator, beside a decoder and a reactor.")
    parser.add_argument("--quick", action="store_true", help="a quarter of the time")
    parser.add_argument("--capture", nargs="?", const=1024, type=int, metavar="MIB", help="a long capture too")
    options = parser.parse_args(arguments)
    speed = 0.25 if options.quick else 1.0
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} {platform.machine()},"
        f" {processor()}"
    )
    missed = False
    for task in tasks():
        lines = timed(task, 4 * speed)
        missed = missed or judged(lines).endswith("MISSED")
        print("\n".join(report(task, lines)), flush=True)
    if options.capture is not None:
        for line in long_run(options.capture << 20):
            print(line, flush=True)
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
