"""Files and standard streams: whole writes, waiting, one kind of error; see :mod:`hgproto.system.stdio`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from hgproto.errors import printable
from hgproto.system.stdio import TROUBLE, StreamError, attempt, open_file, write_whole

if TYPE_CHECKING:
    from pathlib import Path


def raising(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "found", "status", "message"),
    [
        (StreamError("x", "is damaged"), False, TROUBLE, "p: x: is damaged\n"),
        (StreamError("x", "is damaged"), True, 1, "p: x: is damaged\n"),
        (FileNotFoundError(2, "No such file", "x"), True, 1, "p: x: No such file\n"),
        (StreamError("a\nb\udcff", "is damaged"), False, TROUBLE, "p: a\\nb\\xff: is damaged\n"),
        (FileNotFoundError(2, "No such file", "x"), False, TROUBLE, "p: x: No such file\n"),
        (FileNotFoundError(2, "No such file", b"x\xff"), False, TROUBLE, "p: x\\xff: No such file\n"),
        (OSError("something else"), False, TROUBLE, "p: something else\n"),
        (BrokenPipeError(32, "Broken pipe"), False, TROUBLE, ""),
        (BrokenPipeError(32, "Broken pipe"), True, 1, ""),
        (KeyboardInterrupt(), False, 130, ""),
        (KeyboardInterrupt(), True, 130, ""),
    ],
)
def test_an_attempt_ends_in_one_line_and_a_status(
    error: BaseException, found: bool, status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert attempt(lambda: raising(error), program="p", found_fault=lambda: found) == status
    assert capsys.readouterr() == ("", message)


def test_an_attempt_leaves_other_ends_alone() -> None:
    assert [attempt(lambda code=code: code, program="p") for code in (0, 1, 2)] == [0, 1, 2]  # type: ignore[misc]
    with pytest.raises(ZeroDivisionError):
        attempt(lambda: 1 // 0, program="p")
    with pytest.raises(SystemExit):
        attempt(lambda: sys.exit(2), program="p")


def test_names_are_shown_on_one_line() -> None:
    assert printable("plain é") == "plain é"
    assert printable("a\nb\x1b[0m\udcff\ud800") == "a\\nb\\x1b[0m\\xff\\ud800"


def test_a_file_that_cannot_be_opened_or_read(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(StreamError) as caught, open_file(str(path)):
            pass
        assert (caught.value.name, caught.value.reason) == (str(path), reason)
    with pytest.raises(StreamError, match="shown: Input/output error"), open_file("/proc/self/mem", "shown") as file:
        file.read(1)


def test_what_a_killed_run_has_left_is_in_no_way(tmp_path: Path) -> None:
    for name in ("file", "é" * 127):
        left = tmp_path / f".{name[:100]}.{os.getpid()}.tmp"
        if len(os.fsencode(left.name)) < 256:
            left.write_bytes(b"of another run")
        write_whole(tmp_path / name, b"first")
        assert (tmp_path / name).read_bytes() == b"first"
    assert (tmp_path / f".file.{os.getpid()}.tmp").read_bytes() == b"of another run"


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    write_whole(file, b"first")
    file.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to("file")
    write_whole(link, b"second")
    assert (file.read_bytes(), file.stat().st_mode & 0o777, link.is_symlink()) == (b"second", 0o640, True)
    monkeypatch.setattr(os, "replace", lambda *_: raising(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match=r"No space left on device: .*link"):
        write_whole(link, b"third")
    assert file.read_bytes() == b"second"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        write_whole("/dev/full", b"x")


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="the system has no paths of descriptors")
@pytest.mark.parametrize("folder", ["/dev/fd", "/proc/self/fd"])
def test_what_a_descriptor_leads_to_is_written_after_what_is_there(folder: str, tmp_path: Path) -> None:
    read, write = os.pipe()
    write_whole(f"{folder}/{write}", b"record")
    os.close(write)
    with open(read, "rb") as pipe:
        assert pipe.read() == b"record"
    with (tmp_path / "file").open("wb", buffering=0) as file:
        file.write(b"before ")
        write_whole(f"{folder}/{file.fileno()}", b"record")
        file.write(b" after")
    assert (tmp_path / "file").read_bytes() == b"before record after"
    with pytest.raises(OSError, match="Bad file descriptor"):
        write_whole(f"{folder}/{read}", b"record")
