"""The benchmarks of compression do what they say: every way gives the responses back. No time is asserted."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from benchmarks import compression
from benchmarks.compression import FRAME_BYTES, LARGE_FRAME_BYTES, LIMIT, WAYS, Row, Target

from hgproto.reactors.client import Client
from hgproto.reactors.events import ResponseData
from hgproto.revisions.framing_0002.codec import FrameType
from hgproto.streams.encodings import default_encodings
from hgproto.wire.reader import read_frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from hgproto.runtime.frame import Frame

DATA = compression.responses(12)
SMALL = [b"x", bytes(FRAME_BYTES - 1), bytes(FRAME_BYTES), bytes(FRAME_BYTES + 1)]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(params=["zlib", "zstd-8mb"])
def profile(request: pytest.FixtureRequest) -> str:
    """The name of a profile that there is."""
    if request.param not in default_encodings():
        pytest.skip("Zstandard is not installed")
    return str(request.param)


def received(frames: Iterable[Frame], count: int) -> list[bytes]:
    """The responses that a client makes of frames, in the order in which they were asked for."""
    client = Client()
    for place in range(count):
        client.issued(2 * place + 1)
    got: dict[int, list[bytes]] = {}
    complete = []
    for frame in frames:
        for event in client.receive_frame(frame):
            assert isinstance(event, ResponseData), event
            got.setdefault(event.request_id, []).append(event.data)
            if event.last:
                complete.append(event.request_id)
    assert sorted(complete) == [2 * place + 1 for place in range(count)]
    return [b"".join(got[2 * place + 1]) for place in range(count)]


def in_pieces(frames: Sequence[Frame], count: int) -> list[bytes]:
    """The responses of frames that say of each of their pieces that it is the last one, as :func:`alone` makes them."""
    got: dict[int, bytes] = {2 * place + 1: b"" for place in range(count)}
    for frame in frames:
        client = Client()
        if frame.type == FrameType.STREAM_SETTINGS:
            settings = frame
            continue
        client.issued(frame.request_id)
        client.receive_frame(settings)
        (event,) = client.receive_frame(frame)
        assert isinstance(event, ResponseData)
        got[frame.request_id] += event.data
    return list(got.values())


# What is compressed


def test_responses_are_similar_and_repeatable() -> None:
    assert [len(response) for response in DATA] == [compression.RESPONSE_BYTES] * 12
    assert compression.responses(12) == DATA
    assert compression.responses(12, seed=4) != DATA
    assert compression.responses(3, 100) != compression.responses(3, 200)
    assert len(set(DATA)) == len(DATA)
    assert b"summary: " in DATA[1]
    assert b".py\0" in DATA[0]


# Ways to send


@pytest.mark.parametrize("way", [way for way in WAYS if way != "each frame alone"])
@pytest.mark.parametrize("data", [DATA, SMALL], ids=["similar", "small"])
def test_ways_give_the_responses_back(way: str, data: list[bytes], profile: str) -> None:
    frames = list(WAYS[way](data, default_encodings()[profile]))
    assert received(frames, len(data)) == data
    assert max(len(frame.payload) for frame in frames) <= FRAME_BYTES


def test_frames_alone_need_no_other(profile: str) -> None:
    frames = list(WAYS["each frame alone"](DATA, default_encodings()[profile]))
    assert in_pieces(frames, len(DATA)) == DATA
    assert max(len(frame.payload) for frame in frames) <= FRAME_BYTES
    assert len(frames) == 2 * len(DATA) * compression.RESPONSE_BYTES // FRAME_BYTES


def test_contexts_last_as_long_as_is_said(profile: str) -> None:
    opened = {
        way: sum(frame.type == FrameType.STREAM_SETTINGS for frame in frames(DATA, default_encodings()[profile]))
        for way, frames in WAYS.items()
    }
    assert list(opened.values()) == [4 * len(DATA), len(DATA), 1, 1]


def test_flushing_with_every_frame_leaves_nothing_behind(profile: str) -> None:
    whole, cut = (
        list(WAYS[f"a context a stream, flushed every {what}"](DATA, default_encodings()[profile]))
        for what in ("response", "frame")
    )
    pieces = compression.RESPONSE_BYTES // FRAME_BYTES
    client = Client()
    client.issued(1)
    events = [event for frame in cut[: pieces + 1] for event in client.receive_frame(frame)]
    sizes = [len(event.data) for event in events if isinstance(event, ResponseData)]
    assert len(sizes) == len(events)
    assert sizes == [FRAME_BYTES] * pieces
    assert sum(len(frame.payload) for frame in whole) < sum(len(frame.payload) for frame in cut)


def test_the_limit_is_one_context(profile: str) -> None:
    encoder = default_encodings()[profile].encoder()
    data = b"".join([encoder.encode(response) for response in DATA]) + encoder.finish()
    assert compression.never_flushed(DATA, default_encodings()[profile]) == len(data)
    assert default_encodings()[profile].decoder().decode(data, 1 << 20) == b"".join(DATA)


def test_the_table_has_every_way(profile: str) -> None:
    table = [row for row in compression.rows(DATA, 1) if row.profile == profile]
    assert [row.way for row in table] == [*WAYS, LIMIT]
    assert all(row.speed > 0 for row in table)
    for row, frames in zip(table, WAYS.values(), strict=False):
        made = frames(DATA, default_encodings()[profile])
        size = sum(len(frame.payload) for frame in made if frame.type == FrameType.BYTES_RESPONSE)
        assert row.ratio == sum(map(len, DATA)) / size
    # The longer a context lives, the better.
    assert table[0].ratio < table[1].ratio < table[2].ratio < table[3].ratio


def test_the_fastest_of_some_runs_counts() -> None:
    results = iter([5, 6, 7])
    result, seconds = compression.fastest(lambda: next(results), 3)
    assert result == 7
    assert 0 <= seconds < float("inf")
    assert next(results, None) is None


# Streams on threads


@pytest.mark.parametrize("streams", compression.STREAMS)
@pytest.mark.parametrize("frame_bytes", [FRAME_BYTES, LARGE_FRAME_BYTES])
def test_threads_give_the_responses_back(streams: int, frame_bytes: int, profile: str) -> None:
    run = compression.threaded(DATA, profile, streams, frame_bytes)
    data, seconds = run()
    frames = list(read_frames(data))
    assert received(frames, len(DATA)) == DATA
    assert {frame.stream_id for frame in frames} == {2 + 2 * place for place in range(streams)}
    assert sum(frame.type == FrameType.STREAM_SETTINGS for frame in frames) == streams
    assert max(len(frame.payload) for frame in frames) <= frame_bytes
    assert seconds > 0
    # Threads only change the order in which streams come.
    again, _ = run()
    assert sorted(again) == sorted(data)


def test_a_waiting_server_has_all_requests() -> None:
    server, ids = compression.waiting_server(3, "zlib", 2, 50)
    assert (list(ids), server.output_streams) == ([1, 3, 5], (2, 4))
    frames = [frame for request_id in ids for frame in server.respond(request_id, b"x" * 60)]
    assert received(frames, 3) == [b"x" * 60] * 3


def test_throughput_is_told_for_every_number_of_streams() -> None:
    speeds = compression.threads(DATA, 1)
    profiles = [name for name in ("zlib", "zstd-8mb") if name in default_encodings()]
    sizes = (FRAME_BYTES, LARGE_FRAME_BYTES)
    assert list(speeds) == [(name, size, n) for name in profiles for size in sizes for n in compression.STREAMS]
    assert all(speed > 0 for speed in speeds.values())


# What is printed and drawn


TABLE = [
    Row(way, profile, ratio * factor, 10 * ratio)
    for profile, factor in (("zlib", 1.0), ("zstd-8mb", 1.25))
    for way, ratio in zip([*WAYS, LIMIT], (1, 2, 3, 3.96, 4), strict=True)
]
SPEEDS = {
    (profile, size, streams): 100 * (1 + (streams > 1)) * 0.75
    for profile in ("zlib", "zstd-8mb")
    for size in (FRAME_BYTES, LARGE_FRAME_BYTES)
    for streams in compression.STREAMS
}


def test_targets_are_shares_of_the_limit_and_of_one_stream() -> None:
    assert compression.targets(TABLE, SPEEDS) == [
        Target("ratio, of the limit's", "zlib", 0.99, 0.99),
        Target("speed, of the limit's", "zlib", 0.99, 0.85),
        Target("ratio, of the limit's", "zstd-8mb", 0.99, 0.93),
        Target("speed, of the limit's", "zstd-8mb", 0.99, 0.62),
        Target("two streams, of one, frames of 1024", "zlib", 2, 1.6),
        Target("two streams, of one, frames of 32768", "zstd-8mb", 2, 1.5),
    ]


def test_without_zstandard_there_are_the_targets_of_zlib() -> None:
    table = [row for row in TABLE if row.profile == "zlib"]
    speeds = {key: speed for key, speed in SPEEDS.items() if key[0] == "zlib"}
    assert {target.profile for target in compression.targets(table, speeds)} == {"zlib"}


def test_the_report_has_every_number() -> None:
    lines = list(compression.report(TABLE, SPEEDS, {}))
    assert lines[0].startswith("4096 bytes a response, 1024 a frame; Python ")
    for row in TABLE:
        shown = f"{row.way:50} {row.profile:10} {row.ratio:6.2f} {row.speed:7.1f}"
        assert shown in lines
    assert [line for line in lines if line.startswith("frames of 1024 ") and " zlib " in line] == [
        f"{'frames of 1024':50} {'zlib':10} {streams:7} {speed:7.1f} {ratio:7.2f}"
        for streams, speed, ratio in ((1, 75, 1), (2, 150, 2), (4, 150, 2))
    ]
    assert [line.split()[-1] for line in lines[-6:]] == ["met"] * 6


def test_the_report_says_what_is_missed() -> None:
    slow = dict.fromkeys(SPEEDS, 100.0)
    lines = list(compression.report(TABLE, slow, {}))
    assert [line.split()[-1] for line in lines[-6:]] == ["met"] * 4 + ["MISSED"] * 2


def drawing(table: Sequence[Row]) -> ElementTree.Element:
    return ElementTree.fromstring(compression.chart(table))  # noqa: S314 - our own


def bars(svg: ElementTree.Element) -> list[dict[str, str]]:
    return [dict(bar.attrib) for bar in svg.iter(f"{SVG}rect") if bar.get("class", "").startswith("p") and bar.get("x")]


def test_the_chart_draws_every_ratio() -> None:
    svg = drawing(TABLE)
    drawn = bars(svg)
    assert len(drawn) == len(TABLE)
    rows = sorted(TABLE, key=lambda row: [*WAYS, LIMIT].index(row.way))
    for bar, row in zip(drawn, rows, strict=True):
        assert float(bar["width"]) == pytest.approx(compression.LONGEST * row.ratio / 5, abs=0.05)
        assert ("limit" in bar["class"]) == (row.way == LIMIT)
    texts = ["".join(text.itertext()) for text in svg.iter(f"{SVG}text")]
    assert [text for text in texts if "MB/s" in text] == [f"{row.ratio:.2f}{row.speed:.0f} MB/s" for row in rows]


def test_nothing_in_the_chart_overlaps() -> None:
    svg = drawing(TABLE)
    drawn = bars(svg)
    tops = [float(bar["y"]) for bar in drawn]
    assert tops == sorted(tops)
    assert all(below - above >= compression.BAR + 4 for above, below in pairwise(tops))
    assert [bar["x"] for bar in drawn] == [str(compression.LEFT)] * len(drawn)
    headings = [float(text.get("y", "")) for text in svg.iter(f"{SVG}text") if text.get("class") == "way"]
    for heading in headings:
        # A line of 13 pixels stands between the bars above and below it.
        assert not any(top < heading and heading - 13 < top + compression.BAR for top in tops)
    _, _, width, height = map(float, svg.get("viewBox", "").split())
    assert max(tops) + compression.BAR < height
    # A value of 16 letters has room to the right of the longest bar.
    assert width >= compression.LEFT + compression.LONGEST + 8 + 16 * 8


def test_the_chart_can_be_read_aloud_and_in_the_dark() -> None:
    svg = drawing(TABLE)
    named = {element.get("id"): element for element in svg if element.tag in (f"{SVG}title", f"{SVG}desc")}
    assert svg.get("role") == "img"
    assert svg.get("aria-labelledby", "").split() == list(named)
    assert "similar responses are compressed" in str(named["t"].text)
    assert f"{LIMIT}, zstd-8mb: 5.00" in str(named["d"].text)
    assert "(prefers-color-scheme:dark)" in compression.chart(TABLE)


def test_the_chart_escapes_names() -> None:
    svg = drawing([Row('<a> & "b"', "x<y", 2, 3)])
    texts = [text.text for text in svg.iter(f"{SVG}text")]
    assert '<a> & "b"' in texts
    assert "x<y" in texts
    assert svg.findtext(f"{SVG}desc") == '<a> & "b", x<y: 2.00'


@pytest.mark.parametrize("missed", [False, True])
def test_the_exit_status_says_whether_a_target_is_missed(
    missed: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    file = tmp_path / "chart.svg"
    speeds = dict.fromkeys(SPEEDS, 1.0) if missed else SPEEDS
    monkeypatch.setattr(compression, "rows", lambda *_: TABLE)
    monkeypatch.setattr(compression, "threads", lambda *_: speeds)
    monkeypatch.setattr(compression, "bare", lambda *_: {("zlib", 1024): 1.625})
    assert compression.main(["--quick", "--chart", str(file)]) == missed
    shown = capsys.readouterr().out
    assert ("MISSED" in shown) == missed
    assert re.search(r"^bare contexts, of what makes frames of 1024 +zlib +2 +1\.6[23]$", shown, re.MULTILINE)
    assert file.read_text(encoding="utf-8") == compression.chart(TABLE)


@pytest.mark.parametrize("profile", [name for name in ("zlib", "zstd-8mb") if name in default_encodings()])
def test_bare_contexts_compress_the_same_on_one_thread(profile: str) -> None:
    encoder = default_encodings()[profile].encoder()
    assert compression.on_threads(DATA, profile, 1) == sum(len(encoder.encode(d) + encoder.flush()) for d in DATA)
    assert compression.on_threads(DATA, profile, 2) > 0
    assert compression.bare(DATA, 1)[profile, 1024] > 0


def test_the_script_runs_by_itself() -> None:
    shown = subprocess.run([sys.executable, compression.__file__, "--help"], capture_output=True, text=True, check=True)
    assert "--chart" in shown.stdout
