"""The benchmarks of frames: `python tests/benchmarks/frames.py` prints a table, `--quick` one in a quarter of the time.

Targets are multiples of the fastest hand-written loop that gives tuples, timed in the same run: absolute times say more
about a machine than about code.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import subprocess
import sys
import tracemalloc
from collections import deque
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Generic, TypeVar

# As a script this module is not in a package; its siblings are always imported as one.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import peers
from benchmarks.peers import Atom, FrameTuple, Peer, capture_of, encode, parts_of
from benchmarks.timing import Contestant, measure, own

from hgproto.revisions.framing_0002 import codec
from hgproto.runtime.frame import Frame
from hgproto.wire.reader import FrameReader, read_frames
from hgproto.wire.writer import encode_frames, frame_buffers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["Task", "bytes_per_kept_frame", "linear_runs", "main", "tasks"]

Input = TypeVar("Input")

CAPTURE_BYTES = 2 << 20
LARGE_CAPTURE_BYTES = 64 << 20
"""For frames of 32 KiB: who has many of them has more than fits a cache."""
FEED_BYTES = 1 << 16


@dataclass(frozen=True)
class Task(Generic[Input]):
    """What contestants do to the same input. ``units``: how many things to count there are in an item."""

    title: str
    unit: str
    items: list[Input]
    contestants: list[Contestant[Input]]
    seconds: float
    units: int = 1


def make_frames(size: int, count: int, *, seed: int = 2) -> list[FrameTuple]:
    """Frames of a bytes response with ``size`` bytes each, of many requests."""
    source = random.Random(seed)  # noqa: S311 - repeatable, not secret
    payload = source.randbytes(size)
    return [(source.randrange(1, 1 << 16, 2), 2, 0, 4, 1, payload) for _ in range(count)]


def fill(size: int) -> list[FrameTuple]:
    """Frames of ``size`` bytes that make a capture."""
    count = LARGE_CAPTURE_BYTES if size >= 1 << 15 else CAPTURE_BYTES
    return make_frames(size, count // (size + 8))


# Reading frames


def whole(*, copy: bool = True) -> Callable[[bytes], Frame]:
    """Our reader, given the capture as one chunk."""

    def run(capture: bytes) -> Frame:
        for frame in FrameReader(copy=copy).read([capture]):  # noqa: B007 - each is dropped, the last is the result
            pass
        return frame

    return own(run)


def fed(cut: Callable[[Sequence[FrameTuple]], list[bytes]]) -> Callable[[Sequence[FrameTuple]], Callable[[], Frame]]:
    """Our reader, fed the chunks that ``cut`` makes."""

    def prepare(frames: Sequence[FrameTuple]) -> Callable[[], Frame]:
        chunks = cut(frames)

        def run() -> Frame:
            feed = FrameReader().feed
            for chunk in chunks:
                for frame in feed(chunk):  # noqa: B007 - each is dropped, the last is the result
                    pass
            return frame

        return own(run)

    return prepare


def in_chunks(frames: Sequence[FrameTuple]) -> list[bytes]:
    """A capture in chunks of :data:`FEED_BYTES`."""
    return cut_up(capture_of(frames), FEED_BYTES)


def cut_up(data: bytes, size: int) -> list[bytes]:
    """``data`` in chunks of ``size``."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def one_by_one(frames: Sequence[FrameTuple]) -> list[bytes]:
    """A chunk a frame."""
    return list(starmap(encode, frames))


def decoders(target: float, share: int = 1) -> list[Peer]:
    """Those who read frames of any size. ``share``: the part of the capture that those without a target get."""
    return [
        Peer("hand-written loop, tuples", peers.reader(peers.hand_loop), hand=True),
        Peer("hand-written generator, tuples", peers.reader(peers.hand_generator), hand=True),
        Peer("ours: FrameReader.read", peers.reader(whole()), parts_of, ours=True, at_most=target),
        Peer("ours: feed, 64 KiB a chunk", fed(in_chunks), parts_of, share=share),
        Peer("ours: feed, a frame a chunk", fed(one_by_one), parts_of, share=8 * share),
    ]


def zero_copy() -> list[Peer]:
    """Those who give views of the capture, measured by who copies."""
    return [
        Peer("hand-written loop, tuples", peers.reader(peers.hand_loop), hand=True),
        Peer("ours: FrameReader(copy=False).read", peers.reader(whole(copy=False)), parts_of, ours=True, at_most=0.25),
        Peer(
            "hand-written loop, tuples with views",
            peers.reader(peers.hand_loop_of_views),
            lambda frame: (*frame[:5], bytes(frame[5])),
        ),
    ]


# Writing frames


def each(function: Callable[[Any], Any], items: Sequence[Any]) -> Callable[[], Any]:
    """Calls ``function`` with each of ``items``."""

    def run() -> Any:
        for item in items:
            value = function(item)
        return value

    return own(run)


def by_hand(frames: Sequence[FrameTuple]) -> Callable[[], bytes]:
    """Calls the hand-written function with each of ``frames``."""

    def run() -> bytes:
        for request_id, stream_id, stream_flags, type_, flags, payload in frames:
            data = encode(request_id, stream_id, stream_flags, type_, flags, payload)
        return data

    return run


def of_members(frames: Sequence[FrameTuple]) -> list[Frame]:
    """Frames as readers and builders make them, with members of enumerations."""
    return list(starmap(codec.make_frame, frames))


def of_numbers(frames: Sequence[FrameTuple]) -> list[Frame]:
    """Frames of plain numbers."""
    return list(starmap(Frame, frames))


def consuming(
    function: Callable[[Iterable[Frame]], Iterable[bytes | memoryview]], keep: int
) -> Callable[[Sequence[FrameTuple]], Callable[[], bytes]]:
    """Takes all that ``function`` gives and keeps the last ``keep`` pieces."""

    def prepare(frames: Sequence[FrameTuple]) -> Callable[[], bytes]:
        objects = of_members(frames)
        return lambda: b"".join(deque(function(objects), maxlen=keep))

    return prepare


def bytes_of_last(frames: Sequence[FrameTuple]) -> bytes:
    """The bytes of the last frame."""
    return encode(*frames[-1])


def bytes_of_all(frames: Sequence[FrameTuple]) -> bytes:
    """The bytes of all frames."""
    return b"".join(starmap(encode, frames))


def last_buffers(frames: Sequence[FrameTuple]) -> bytes:
    """The last two of all headers and payloads, empty payloads left out."""
    buffers = [part for frame in frames for part in (encode(*frame)[:8], frame[5]) if part]
    return b"".join(buffers[-2:])


def encoders(target: float | None) -> list[Peer]:
    """Those who write frames of any size."""
    return [
        Peer("hand-written function", by_hand, want=bytes_of_last, hand=True),
        Peer(
            "ours: codec.encode_frame",
            lambda frames: each(codec.encode_frame, of_members(frames)),
            want=bytes_of_last,
            ours=True,
            at_most=target,
        ),
        Peer(
            "ours: codec.encode_frame, plain numbers",
            lambda frames: each(codec.encode_frame, of_numbers(frames)),
            want=bytes_of_last,
        ),
        Peer("ours: writer.encode_frames", consuming(encode_frames, 1), want=bytes_of_all),
        Peer("ours: writer.frame_buffers", consuming(frame_buffers, 2), want=last_buffers),
    ]


# Payloads


def argument_payload(argument: tuple[str, bytes]) -> bytes:
    """The bytes of an argument."""
    name, value = argument
    return peers.ARGUMENT_HEADER.pack(len(name), len(value)) + name.encode() + value


def text_output_payload(atoms: Sequence[Atom]) -> bytes:
    """The bytes of atoms, in ASCII."""
    return b"".join(
        peers.ATOM_HEADER.pack(len(text), len(labels), len(arguments))
        + bytes(map(len, labels))
        + b"".join(len(argument).to_bytes(2, "little") for argument in arguments)
        + "".join((text, *labels, *arguments)).encode()
        for text, labels, arguments in atoms
    )


def decoding(
    payload_of: Callable[[Any], bytes], function: Callable[[bytes], Any]
) -> Callable[[Sequence[Any]], Callable[[], Any]]:
    """Calls ``function`` with each payload."""
    return lambda items: each(function, [payload_of(item) for item in items])


def argument_task(count: int, seconds: float) -> Task[tuple[str, bytes]]:
    """Arguments with names of 8 bytes and values of 40."""
    source = random.Random(3)  # noqa: S311 - repeatable, not secret
    items = [("argument", source.randbytes(40)) for _ in range(count)]
    return Task(
        "decode an argument, name of 8 and value of 40 bytes",
        "argument",
        items,
        [
            Contestant("hand-written function, tuples", decoding(argument_payload, peers.hand_argument), hand=True),
            Contestant(
                "ours: codec.decode_argument",
                decoding(argument_payload, codec.decode_argument),
                lambda argument: (argument.name, argument.value),
                ours=True,
                at_most=1.2,
            ),
        ],
        seconds,
    )


def atom_task(atoms: int, count: int, seconds: float) -> Task[list[Atom]]:
    """Text outputs of ``atoms`` atoms with a label and two arguments each."""
    items: list[list[Atom]] = [
        [("%s: %s changesets\n", ("ui.status",), (f"repository {place}", str(count)))] * atoms for place in range(count)
    ]
    return Task(
        f"decode text output of {atoms} atom{'s' * (atoms > 1)}, 1 label and 2 arguments each",
        "atom",
        items,
        [
            Contestant(
                "hand-written function, tuples", decoding(text_output_payload, peers.hand_text_output), hand=True
            ),
            Contestant(
                "ours: codec.decode_text_output",
                decoding(text_output_payload, codec.decode_text_output),
                lambda output: [(atom.format, atom.labels, atom.args) for atom in output.atoms],
                ours=True,
                at_most=1.1,
            ),
        ],
        seconds,
        units=atoms,
    )


# All tasks that are timed in turns


def tasks(
    frames: Callable[[int], list[FrameTuple]] = fill, count: int = 20_000, found: Sequence[Peer] = ()
) -> list[Task[Any]]:
    """The tasks. ``frames`` makes frames of a size; ``count``: how many payloads; ``found``: peers from libraries."""
    small, medium, large = frames(16), frames(1024), frames(32768)
    naive = peers.naive
    return [
        Task(
            "decode frames of 16 bytes",
            "frame",
            small,
            [*decoders(1.7, 4), *peers.object_peers(), naive(2.3), *found],
            24,
        ),
        Task("decode frames of 1 KiB", "frame", medium, [*decoders(1.3), naive()], 6),
        Task("decode frames of 32 KiB", "frame", large, [*decoders(1.15), naive()], 8),
        Task("decode frames of 32 KiB without copying", "frame", large, zero_copy(), 4),
        Task("encode frames of 16 bytes, one a call", "frame", small[:count], encoders(1.3), 8),
        Task("encode frames of 1 KiB", "frame", medium, encoders(None), 3),
        Task("encode frames of 32 KiB", "frame", large, encoders(None), 3),
        argument_task(count, 5),
        atom_task(1, count // 2, 5),
        atom_task(4, count // 4, 5),
    ]


def found_peers() -> tuple[list[Peer], list[str]]:
    """The peers of the libraries there are, and the libraries that there are not."""
    found: list[Peer] = []
    missing = []
    for name, make in peers.OPTIONAL.items():
        try:
            found += make()
        except ImportError:
            missing.append(name)
    return found, missing


# What has tasks of its own


def linear_runs(large: int = (1 << 24) - 1, small: int = 1 << 18) -> list[tuple[str, Callable[[], int], int]]:
    """Runs in pairs that should cost the same a byte: name, function that returns frames read, bytes."""

    def feeding(chunks: list[bytes]) -> Callable[[], int]:
        def run() -> int:
            feed = FrameReader(max_payload=(1 << 24) - 1).feed
            return sum([len(feed(chunk)) for chunk in chunks])

        return run

    runs = []
    for size in (large // 2, large):
        data = codec.encode_frame(Frame(1, 2, 0, 4, 2, bytes(size)), (1 << 24) - 1)
        runs.append((f"a frame of {size} bytes, 1460 a feed", feeding(cut_up(data, 1460)), len(data)))
    for size in (small // 4, small):
        data = capture_of(make_frames(16, size // 24))
        runs.append((f"{size >> 10} KiB of frames of 16 bytes, 1 a feed", feeding(cut_up(data, 1)), len(data)))
    return runs


def bytes_per_kept_frame(count: int = 100_000, read: Callable[[bytes], list[Any]] | None = None) -> float:
    """Bytes that a frame of 16 bytes takes when it is kept, beyond those of its payload."""
    capture = capture_of(make_frames(16, count))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = list(read_frames([capture])) if read is None else read(capture)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    return taken / len(kept) - 16


def import_times(seconds: float) -> dict[str, float]:
    """What statements add to starting the interpreter, in ms: the fastest of many starts, taken in turns.

    Bytecode is kept, as it is for whoever installs the package.
    """
    statements = ["pass", "import hgproto", "from hgproto import FrameReader; FrameReader()"]
    best = dict.fromkeys(statements, float("inf"))
    end = perf_counter_ns() + int(seconds * 1e9)
    with TemporaryDirectory() as cache:
        environment = os.environ | {"PYTHONPYCACHEPREFIX": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        while perf_counter_ns() < end:
            for statement in statements:
                start = perf_counter_ns()
                subprocess.run([sys.executable, "-c", statement], env=environment, check=True)
                best[statement] = min(best[statement], (perf_counter_ns() - start) / 1e6)
    bare = best.pop("pass")
    return {statement: time - bare for statement, time in best.items()}


# The table


class Table:
    """Prints lines and counts targets."""

    def __init__(self) -> None:
        self.met: list[bool] = []

    def head(self, title: str, unit: str) -> None:
        """Starts a part of the table."""
        print(f"\n{title:<63}{unit:>13}{'x hand':>9}{'x ours':>9}   target")

    def line(self, name: str, value: float, by_hand: float | None, by_ours: float | None, target: str) -> None:
        """A line of it."""
        hand = "" if by_hand is None else f"{by_hand:.2f}"
        ours = "" if by_ours is None else f"{by_ours:.2f}"
        print(f"  {name:<61}{value:>13.1f}{hand:>9}{ours:>9}   {target}".rstrip(), flush=True)

    def judged(self, text: str, is_met: bool) -> str:
        """The text of a target, and whether it is met."""
        self.met.append(is_met)
        return f"{text}: {'met' if is_met else 'MISSED'}"


def run_task(table: Table, task: Task[Any], speed: float) -> None:
    """Times a task and prints its part of the table."""
    runs = []
    for contestant in task.contestants:
        items = task.items if contestant.share == 1 else task.items[: max(1, len(task.items) // contestant.share)]
        runs.append((contestant.prepare(items), len(items) * task.units))
    times = measure(runs, task.seconds * speed)
    hand = min(time for time, contestant in zip(times, task.contestants, strict=True) if contestant.hand)
    ours = next(time for time, contestant in zip(times, task.contestants, strict=True) if contestant.ours)
    table.head(task.title, f"ns/{task.unit}")
    for time, contestant in zip(times, task.contestants, strict=True):
        target = ""
        if contestant.at_most is not None:
            target = table.judged(f"<= {contestant.at_most} x hand", time / hand <= contestant.at_most)
        if contestant.slower is not None:
            target = table.judged(f">= {contestant.slower} x ours", time / ours >= contestant.slower)
        table.line(contestant.name, time, time / hand, time / ours, target)


def run_linear(table: Table, speed: float) -> None:
    """Times how cost grows with size."""
    names, functions, data = zip(*linear_runs(), strict=True)
    times = measure(list(zip(functions, data, strict=True)), 8 * speed)
    table.head("linear in the bytes, however they are cut", "ns/byte")
    for place, (name, time) in enumerate(zip(names, times, strict=True)):
        ratio = f"{time / times[place - 1]:.2f} x the line above, about 1 is linear" if place % 2 else ""
        print(f"  {name:<61}{time:>13.3f}{'':>18}   {ratio}".rstrip())


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs all and prints."""
    parser = argparse.ArgumentParser(description="Benchmarks of frames.")
    parser.add_argument("--quick", action="store_true", help="a quarter of the time")
    speed = 0.25 if parser.parse_args(arguments).quick else 1.0
    start = perf_counter_ns()
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} {platform.machine()},"
        f" {processor()}"
    )
    found, missing = found_peers()
    for name in missing:
        print(f"skipped: {name} cannot be imported")
    table = Table()
    for task in tasks(found=found):
        run_task(table, task, speed)
    run_linear(table, speed)

    table.head("kept frames of 16 bytes, beyond their payloads", "bytes/frame")
    kept = bytes_per_kept_frame()
    table.line("ours", kept, None, None, table.judged("<= 200", kept <= 200))
    table.line("tuples", bytes_per_kept_frame(read=lambda capture: list(peers.tuples(capture))), None, None, "")

    table.head("start of the interpreter, more than bare", "ms")
    for statement, time in import_times(10 * speed).items():
        is_import = statement == "import hgproto"
        table.line(statement, time, None, None, table.judged("<= 10 ms", time <= 10) if is_import else "")
    seconds = (perf_counter_ns() - start) / 1e9
    print(f"\n{sum(table.met)} of {len(table.met)} targets met, in {seconds:.0f} s")


def processor() -> str:
    """What the machine calls its processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main()
