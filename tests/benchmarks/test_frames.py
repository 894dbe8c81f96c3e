"""The benchmarks do what they say: every contestant of every task gives the same results. No time is asserted."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from benchmarks import frames, peers
from benchmarks.timing import measure

if TYPE_CHECKING:
    from benchmarks.peers import FrameTuple
    from benchmarks.timing import Contestant

FRAMES: list[FrameTuple] = [
    (1, 1, 1, 1, 1, b"heads"),
    (0, 0, 0, 0, 0, b""),
    (0xFFFF, 0xFF, 0xFF, 15, 15, bytes(range(256)) * 2),
    (0x0102, 3, 4, 4, 2, b""),
    (5, 2, 2, 6, 0, b"x" * peers.LIMIT),
    (7, 2, 0, 4, 1, b"last"),
]
TASKS = frames.tasks(lambda size: [*FRAMES, *frames.make_frames(size, 2)], count=8)


def prove(contestant: Contestant[Any], items: list[Any]) -> None:
    """Runs every prefix of ``items``, so that every result is once the last one."""
    for size in range(1, len(items) + 1):
        part = items[:size]
        assert contestant.plain(contestant.prepare(part)()) == contestant.want(part), (contestant.name, size)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.title)
def test_contestants_of_a_task_agree(task: frames.Task[Any]) -> None:
    for contestant in task.contestants:
        prove(contestant, task.items)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.title)
def test_each_task_has_one_of_ours_and_one_by_hand(task: frames.Task[Any]) -> None:
    assert sum(contestant.ours for contestant in task.contestants) == 1
    assert any(contestant.hand for contestant in task.contestants)
    assert len({contestant.name for contestant in task.contestants}) == len(task.contestants)


@pytest.mark.parametrize("library", peers.OPTIONAL)
def test_peers_of_libraries_agree(library: str) -> None:
    pytest.importorskip(library)
    for contestant in peers.OPTIONAL[library]():
        # HTTP/2 allows frames of 16384 bytes unless told otherwise.
        prove(contestant, [frame for frame in FRAMES if len(frame[5]) <= 16384])


@pytest.mark.parametrize("reads", [peers.hand_loop, peers.hand_loop_of_views, peers.hand_generator])
def test_hand_written_loops_have_a_limit(reads: Any) -> None:
    with pytest.raises(ValueError, match="too long"):
        reads(b"\x00\x00\x01" + bytes(5 + 65536))
    with pytest.raises(ValueError, match="too long"):
        peers.encode(1, 1, 0, 1, 0, bytes(65536))


def test_hand_written_functions_check_lengths() -> None:
    for data in (b"\x09\x00\x00\x00argument", b"\x08\x00\x01\x00argument", b"\x08\x00\x01\x00argument12"):
        with pytest.raises(ValueError, match="wrong length"):
            peers.hand_argument(data)
    with pytest.raises(ValueError, match="atom cut"):
        peers.hand_text_output(b"\x04\x00\x00\x00foo")


def test_linear_runs_read_every_frame() -> None:
    runs = frames.linear_runs(large=4000, small=960)
    assert [run() for _, run, _ in runs] == [1, 1, 10, 40]
    assert [size for _, _, size in runs] == [2008, 4008, 240, 960]


def test_kept_frames_are_counted() -> None:
    assert frames.bytes_per_kept_frame(100) > 0


def test_times_are_taken_in_turns() -> None:
    order: list[str] = []
    runs = [(lambda name=name: order.append(name), 1) for name in "ab"]
    first, second = measure(runs, 0)
    assert first > 0
    assert second > 0
    assert "".join(order).strip("a").startswith("b")
    assert "ba" in "".join(order)


def test_the_script_runs_by_itself() -> None:
    shown = subprocess.run([sys.executable, frames.__file__, "--help"], capture_output=True, text=True, check=True)
    assert "--quick" in shown.stdout
