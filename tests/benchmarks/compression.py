"""What streams are worth: `python tests/benchmarks/compression.py` prints the table, `--quick` one of fewer responses.

Similar responses of 4 KiB go out in frames of 1 KiB, in different ways: each frame compressed by itself, a context a
response, a context a stream that is flushed with every frame or with every response. The limit is one context that is never
flushed and has no frames around it. Ratios compare payload bytes; speeds have the framing in them, from bytes of
responses to bytes of frames. Then 1, 2 and 4 streams on threads. `--chart FILE` draws the table as SVG.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import escape

# As a script this module is not in a package; its siblings are always imported as one.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hgproto.reactors.limits import Limits
from hgproto.reactors.pool import EncodingPool
from hgproto.reactors.server import Server
from hgproto.revisions.framing_0002 import codec
from hgproto.streams.encodings import default_encodings
from hgproto.streams.output_stream import OutputStream
from hgproto.wire.writer import encode_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hgproto.runtime.frame import Frame
    from hgproto.streams.encodings import Profile

__all__ = ["Row", "chart", "main", "responses", "rows", "threads"]

RESPONSES = 2000
RESPONSE_BYTES = 4096
FRAME_BYTES = 1024
LARGE_FRAME_BYTES = 32768
STREAMS = (1, 2, 4)
_DATA = int(codec.FrameType.BYTES_RESPONSE)


class Row(NamedTuple):
    """How one way of sending does: ``ratio`` of bytes before and after, ``speed`` in MB of responses a second."""

    way: str
    profile: str
    ratio: float
    speed: float


class Target(NamedTuple):
    """What has to be reached: ``share`` is of the limit's ratio or speed, or of one stream's throughput."""

    what: str
    profile: str
    reached: float
    wanted: float


def responses(count: int = RESPONSES, size: int = RESPONSE_BYTES, *, seed: int = 3) -> list[bytes]:
    """Similar responses, of two commands in turn: files with their hashes, and entries of a log.

    Each is about few files or few people, as answers are, and much of it was in some answer before.
    """
    source = random.Random(seed)  # noqa: S311 - repeatable, not secret
    pick, chance, number = source.choice, source.random, source.randint
    letters, weights = (
        "etaoinshrdlcumwfgypbvk",
        [40, 30, 27, 25, 24, 23, 21, 20, 20, 14, 13, 9, 9, 9, 8, 7, 6, 6, 6, 5, 4, 2],
    )

    def word(least: int, most: int) -> str:
        return "".join(source.choices(letters, weights, k=number(least, most)))

    words = [word(2, 9) for _ in range(350)]
    often = [1 / (rank + 2) for rank in range(350)]
    directories = [f"{word(3, 8)}/{word(3, 8)}" for _ in range(12)]
    names = [word(4, 10) for _ in range(120)]
    people = [f"{word(3, 7)} <{word(3, 7)}@example.org>" for _ in range(25)]
    subjects = [" ".join(source.choices(words, often, k=number(5, 10))) for _ in range(2500)]
    files = [[f"{pick(directories)}/{pick(names)}.py", f"{source.getrandbits(160):040x}"] for _ in range(1500)]
    made = []
    for turn in range(count):
        near_files, near_people = source.sample(files, 24), source.sample(people, 3)
        lines: list[str] = []
        length = 0
        while length < size:
            if turn % 2:
                subject = pick(subjects) if chance() < 0.95 else " ".join(source.choices(words, often, k=8))
                line = f"user: {pick(near_people)}\ndate: 2018-{number(1, 12):02}-{number(1, 28):02}\nsummary: {subject}\n\n"
            else:
                file = pick(near_files)
                if chance() < 0.14:
                    file[1] = f"{source.getrandbits(160):040x}"
                line = f"{file[0]}\0{file[1]}\n"
            lines.append(line)
            length += len(line)
        made.append("".join(lines).encode()[:size])
    return made


# Ways to send


def alone(data: Sequence[bytes], profile: Profile) -> Iterator[Frame]:
    """Each frame has a context of its own."""
    stream = OutputStream(2, profile, max_payload=FRAME_BYTES)
    for number, response in enumerate(data):
        for at in range(0, len(response), FRAME_BYTES):
            piece = response[at : at + FRAME_BYTES]
            yield from stream.write(2 * number + 1 & 0xFFFF, _DATA, piece, last=True, end=True)


def a_response(data: Sequence[bytes], profile: Profile) -> Iterator[Frame]:
    """Each response has a context of its own."""
    stream = OutputStream(2, profile, max_payload=FRAME_BYTES)
    for number, response in enumerate(data):
        yield from stream.write(2 * number + 1 & 0xFFFF, _DATA, response, last=True, end=True)


def a_stream_every_frame(data: Sequence[bytes], profile: Profile) -> Iterator[Frame]:
    """One context, flushed with every frame: the receiver has all that was sent."""
    stream = OutputStream(2, profile, max_payload=FRAME_BYTES, flush="frame")
    for number, response in enumerate(data):
        for at in range(0, len(response), FRAME_BYTES):
            last = at + FRAME_BYTES >= len(response)
            yield from stream.write(2 * number + 1 & 0xFFFF, _DATA, response[at : at + FRAME_BYTES], last=last)


def a_stream(data: Sequence[bytes], profile: Profile) -> Iterator[Frame]:
    """One context, flushed with every response."""
    stream = OutputStream(2, profile, max_payload=FRAME_BYTES)
    for number, response in enumerate(data):
        yield from stream.write(2 * number + 1 & 0xFFFF, _DATA, response, last=True)


WAYS: dict[str, Callable[[Sequence[bytes], Profile], Iterator[Frame]]] = {
    "each frame alone": alone,
    "a context a response": a_response,
    "a context a stream, flushed every frame": a_stream_every_frame,
    "a context a stream, flushed every response": a_stream,
}
LIMIT = "the limit: one context, never flushed, no frames"


def never_flushed(data: Sequence[bytes], profile: Profile) -> int:
    """The bytes that one context makes of it all."""
    encoder = profile.encoder()
    return sum(len(encoder.encode(response)) for response in data) + len(encoder.finish())


def fastest(run: Callable[[], int], rounds: int) -> tuple[int, float]:
    """What a run gives, and the seconds of the fastest."""
    best, result = float("inf"), 0
    for _ in range(rounds):
        start = perf_counter()
        result = run()
        best = min(best, perf_counter() - start)
    return result, best


def rows(data: Sequence[bytes], rounds: int) -> list[Row]:
    """The table of ways to send."""
    size = sum(map(len, data))
    made = []
    for name in ("zlib", "zstd-8mb"):
        if name not in default_encodings():
            continue
        profile = default_encodings()[name]
        for way, frames in WAYS.items():

            def raw(frames: Callable[..., Iterator[Frame]] = frames, profile: Profile = profile) -> int:
                return sum(map(len, encode_frames(frames(data, profile))))

            payload = sum(len(frame.payload) for frame in frames(data, profile) if frame.type == _DATA)
            _, seconds = fastest(raw, rounds)
            made.append(Row(way, name, size / payload, size / seconds / 1e6))
        payload, seconds = fastest(lambda profile=profile: never_flushed(data, profile), rounds)  # type: ignore[misc]
        made.append(Row(LIMIT, name, size / payload, size / seconds / 1e6))
    return made


# Streams on threads


def threaded(
    data: Sequence[bytes], name: str, streams: int, frame_bytes: int
) -> Callable[[], tuple[list[bytes], float]]:
    """Responses of a server over some streams, each compressed on a thread of its own.

    What is given sends them once: the frames' bytes, in the order in which they became ready, and the seconds.
    """

    def run() -> tuple[list[bytes], float]:
        server, ids = waiting_server(len(data), name, streams, frame_bytes)
        sent: list[bytes] = []
        start = perf_counter()
        with EncodingPool(streams) as pool:
            for number, response in enumerate(data):
                pool.submit(server.respond(ids[number], response, stream_id=2 + 2 * (number % streams)))
            for frames in pool.finished():
                sent += encode_frames(frames)
        return sent, perf_counter() - start

    return run


def waiting_server(count: int, name: str, streams: int, frame_bytes: int) -> tuple[Server, range]:
    """A server that has taken ``count`` commands and not answered them, and their ids."""
    limits = Limits(active_requests=32768, send_payload=frame_bytes)
    server = Server(encoding=name, streams=streams, limits=limits)
    ids = range(1, 2 * count, 2)
    eos = codec.CommandNameFlag.EOS
    for request_id in ids:
        begin = codec.StreamFlag.STREAM_BEGIN if request_id == 1 else codec.StreamFlag(0)
        server.receive_frame(codec.make_frame(request_id, 1, begin, codec.FrameType.COMMAND_NAME, eos, b"x"))
    return server, ids


def threads(data: Sequence[bytes], rounds: int) -> dict[tuple[str, int, int], float]:
    """MB a second by profile, bytes of a frame and streams; the runs take turns."""
    size = sum(map(len, data))
    large = [b"".join(data[at : at + 8]) for at in range(0, len(data), 8)]
    runs = {}
    for name in ("zlib", "zstd-8mb"):
        if name in default_encodings():
            for frame_bytes, pieces in ((FRAME_BYTES, data), (LARGE_FRAME_BYTES, large)):
                for streams in STREAMS:
                    runs[name, frame_bytes, streams] = threaded(pieces, name, streams, frame_bytes)
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for key, run in runs.items():
            best[key] = min(best[key], run()[1])
    return {key: size / seconds / 1e6 for key, seconds in best.items()}


def bare(data: Sequence[bytes], rounds: int) -> dict[tuple[str, int], float]:
    """What threads could gain at best here, by profile and bytes of a frame: two with a context each and nothing else.

    Of one such thread's throughput. Who compresses little at a time gives up the interpreter's lock often, and waits for it.
    """
    large = [b"".join(data[at : at + 8]) for at in range(0, len(data), 8)]
    gains = {}
    for name in ("zlib", "zstd-8mb"):
        if name in default_encodings():
            for frame_bytes, pieces in ((FRAME_BYTES, data), (LARGE_FRAME_BYTES, large)):
                one, two = (fastest(partial(on_threads, pieces, name, count), rounds)[1] for count in (1, 2))
                gains[name, frame_bytes] = one / two
    return gains


def on_threads(data: Sequence[bytes], name: str, count: int) -> int:
    """The bytes that contexts on threads of their own make of responses, flushed after each."""

    def work(part: Sequence[bytes]) -> int:
        encoder = default_encodings()[name].encoder()
        return sum(len(encoder.encode(response)) + len(encoder.flush()) for response in part)

    with ThreadPoolExecutor(count) as executor:
        return sum(executor.map(work, [data[start::count] for start in range(count)]))


# What is printed


SHARES = {"zlib": (0.99, 0.85), "zstd-8mb": (0.93, 0.62)}
"""Of the limit's ratio and speed, flushed every response."""
SPEED_UP = {("zlib", FRAME_BYTES): 1.6, ("zstd-8mb", LARGE_FRAME_BYTES): 1.5}
"""Two streams on two cores, of one stream's throughput."""


def targets(table: Sequence[Row], speeds: dict[tuple[str, int, int], float]) -> list[Target]:
    """What has to be reached and what is."""
    found = []
    by_way = {(row.way, row.profile): row for row in table}
    for profile, (ratio, speed) in SHARES.items():
        if (LIMIT, profile) in by_way:
            ours, limit = by_way["a context a stream, flushed every response", profile], by_way[LIMIT, profile]
            found.append(Target("ratio, of the limit's", profile, ours.ratio / limit.ratio, ratio))
            found.append(Target("speed, of the limit's", profile, ours.speed / limit.speed, speed))
    for (profile, frame_bytes), wanted in SPEED_UP.items():
        if (profile, frame_bytes, 1) in speeds:
            reached = speeds[profile, frame_bytes, 2] / speeds[profile, frame_bytes, 1]
            found.append(Target(f"two streams, of one, frames of {frame_bytes}", profile, reached, wanted))
    return found


def report(
    table: Sequence[Row], speeds: dict[tuple[str, int, int], float], gains: dict[tuple[str, int], float]
) -> Iterator[str]:
    """The lines of the table."""
    yield f"{RESPONSE_BYTES} bytes a response, {FRAME_BYTES} a frame; Python {platform.python_version()}, {os.cpu_count()} cores"
    yield f"{'':50} {'profile':10} {'ratio':>6} {'MB/s':>7}"
    for row in table:
        yield f"{row.way:50} {row.profile:10} {row.ratio:6.2f} {row.speed:7.1f}"
    yield ""
    yield f"{'streams on threads':50} {'profile':10} {'streams':>7} {'MB/s':>7} {'of one':>7}"
    for (profile, frame_bytes, streams), speed in speeds.items():
        ratio = speed / speeds[profile, frame_bytes, 1]
        yield f"{f'frames of {frame_bytes}':50} {profile:10} {streams:7} {speed:7.1f} {ratio:7.2f}"
    for (profile, frame_bytes), gain in gains.items():
        yield f"{f'bare contexts, of what makes frames of {frame_bytes}':50} {profile:10} {2:7} {'':7} {gain:7.2f}"
    yield ""
    for target in targets(table, speeds):
        verdict = "met" if target.reached >= target.wanted else "MISSED"
        yield f"{target.what:40} {target.profile:10} {target.reached:6.3f}, wanted {target.wanted:5.2f}: {verdict}"


BAR, GAP, LEFT, LONGEST, WIDE = 16, 22, 92, 380, 640
"""Of the chart: a bar's height, from one bar to the next, where bars begin, the longest, and all of it."""
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#222}.name{text-anchor:end;fill:#555}.head{fill:#555}"
    ".way,.ratio{font-weight:600}.speed{fill:#555}.page{fill:#fff}.base{stroke:#999}"
    ".p0{fill:#2f6fb2}.p1{fill:#c2662d}.limit{opacity:.5}"
    "@media(prefers-color-scheme:dark){text{fill:#e4e4e4}.name,.head,.speed{fill:#aaa}.page{fill:#17191c}"
    ".base{stroke:#777}.p0{fill:#5b9bdf}.p1{fill:#e08a4f}}"
)
"""Light and dark. The chart has a background of its own, so that it can be read on any page."""


def chart(table: Sequence[Row]) -> str:
    """The ratios as an SVG of bars, those of the limit paler."""
    profiles = list(dict.fromkeys(row.profile for row in table))
    by_way: dict[str, list[Row]] = {}
    for row in table:
        by_way.setdefault(row.way, []).append(row)
    scale = LONGEST / max(row.ratio for row in table)
    lines = ['<text x="16" y="30" class="head">How many times smaller, and MB of responses a second</text>']
    y = 46
    for way, its_rows in by_way.items():
        y += GAP
        lines.append(f'<text x="16" y="{y - 7}" class="way">{escape(way)}</text>')
        top = y
        for row in its_rows:
            width = round(scale * row.ratio, 1)
            shade = f"p{profiles.index(row.profile) % 2}{' limit' * (way == LIMIT)}"
            value = (
                f'<tspan class="ratio">{row.ratio:.2f}</tspan><tspan class="speed" dx="8">{row.speed:.0f} MB/s</tspan>'
            )
            lines += [
                f'<text x="{LEFT - 8}" y="{y + 13}" class="name">{escape(row.profile)}</text>',
                f'<rect x="{LEFT}" y="{y}" width="{width}" height="{BAR}" class="{shade}"/>',
                f'<text x="{LEFT + width + 8}" y="{y + 13}">{value}</text>',
            ]
            y += GAP
        lines.append(f'<path d="M{LEFT} {top - 1}V{y - GAP + BAR + 1}" class="base"/>')
        y += 8
    described = "; ".join(f"{row.way}, {row.profile}: {row.ratio:.2f}" for row in table)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {y + 4}" role="img" aria-labelledby="t d">',
            '<title id="t">How far similar responses are compressed, by the life of the context</title>',
            f'<desc id="d">{escape(described)}</desc>',
            f"<style>{STYLE}</style>",
            f'<rect width="{WIDE}" height="{y + 4}" rx="8" class="page"/>',
            *lines,
            "</svg>",
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description="Compression of streams: ratios, speeds, threads.")
    parser.add_argument("--quick", action="store_true", help="fewer responses and rounds")
    parser.add_argument("--chart", metavar="FILE", help="draw the ratios as SVG")
    options = parser.parse_args(arguments)
    data = responses(200 if options.quick else RESPONSES)
    rounds = 2 if options.quick else 9
    table, speeds = rows(data, rounds), threads(data, rounds)
    for line in report(table, speeds, bare(data, rounds)):
        print(line)
    if options.chart:
        Path(options.chart).write_text(chart(table), encoding="utf-8")
    return int(any(target.reached < target.wanted for target in targets(table, speeds)))


if __name__ == "__main__":
    raise SystemExit(main())
