"""The commands without the package of a content encoding: that is not a verdict on the bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgproto import encode_frame, encodings, parse_frame
from hgproto.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REMEDY = "pip install 'hgproto[zstd]'"
SESSION = r"""
> 1 1 stream-begin command-name eos first
# What follows is encoded.
> 3 3 stream-begin stream-settings 0 \x08zstd-8mb
> 3 3 encoded command-name have-args x
> 3 3 stream-end|encoded command-argument eoa \x01\x00\x00\x00k
"""


@pytest.fixture(autouse=True)
def without_zstandard(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets the package be missing."""
    monkeypatch.setattr(encodings, "_zstd", lambda: None)
    encodings.default_encodings.cache_clear()
    yield
    encodings.default_encodings.cache_clear()


@pytest.fixture(params=["it.session", "it.bin"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a file, whose payloads are not really encoded, which nobody can know without the package."""
    monkeypatch.chdir(tmp_path)
    name = str(request.param)
    lines = [line.removeprefix("> ") for line in SESSION.splitlines() if line.startswith(">")]
    content = b"".join(encode_frame(parse_frame(line)) for line in lines)
    (tmp_path / name).write_bytes(SESSION.encode() if name.endswith(".session") else content)
    return name


def test_coverage_looks_into_no_payload_and_says_so(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["coverage", "--only", "edges", path])
    out, error = capsys.readouterr()
    assert error == f"hgproto: {path}: payloads in zstd-8mb were not looked into; {REMEDY}\n"
    assert "edges: command-argument name_length least\n" in out
    assert "edges: command-argument value_length least\n" in out
