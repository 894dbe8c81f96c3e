"""The benchmark of hexadecimal text does what it says: all contestants agree. No time is asserted."""

from __future__ import annotations

from typing import Any

import pytest
from benchmarks import hexadecimal


@pytest.mark.parametrize("task", hexadecimal.tasks(5000), ids=lambda task: task.title)
def test_contestants_agree(task: Any) -> None:
    assert [(contestant.hand, contestant.ours) for contestant in task.contestants] == [(True, False), (False, True)]
    for size in (1, 2, len(task.items)):
        for contestant in task.contestants:
            part = task.items[:size]
            assert contestant.plain(contestant.prepare(part)()) == contestant.want(part), contestant.name
