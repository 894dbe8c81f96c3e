"""Examples that are shared: what one run of Hypothesis finds, another begins with, by way of a real Redis server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEST = """
from hypothesis import given, settings
from hypothesis import strategies as st
from hgproto.strategies import frames

tried = []


@settings(max_examples=MOST)
@given(frames("command-data"), st.integers(0, 1 << 60))
def test_that_fails(frame, number):
    tried.append(1)
    assert number < 1 << 40, f"after {len(tried)}"
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A Redis server of our own, for as long as a test takes."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    pytest.importorskip("redis")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen([program, *options], stdout=subprocess.DEVNULL) as process:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
        process.terminate()


def run(directory: Path, address: str | None, most: int) -> str:
    """Runs the test as somebody who has nothing yet but the address; gives what pytest says."""
    directory.mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", directory)
    (directory / "test_it.py").write_text(TEST.replace("MOST", str(most)))
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "deep"}
    environment.pop("HYPOTHESIS_REDIS", None)
    if address is not None:
        environment["HYPOTHESIS_REDIS"] = address
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        ".",
        "test_it.py",
    ]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False).stdout


def test_what_one_finds_another_begins_with(server: str, tmp_path: Path) -> None:
    assert "1 failed" in run(tmp_path / "one", server, 500)
    # With one example, who does not know it cannot find it: the first example is the simplest.
    assert "1 failed" in run(tmp_path / "other", server, 1)
    assert "1 passed" in run(tmp_path / "alone", None, 1)
