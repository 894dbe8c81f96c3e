"""``hgproto trace``: records the tests that exercise each requirement."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hgproto.cli.common import FAULT, FILE, GOOD, InputError, StreamError, UsageError, say
from hgproto.cli.parser import examples
from hgproto.errors import counted, printable
from hgproto.revisions.revision import DEFAULT_REVISION
from hgproto.system.stdio import write_whole

if TYPE_CHECKING:
    import argparse
    from typing import Any

    from hgproto.cli import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Adds the command."""
    trace = commands.add_parser(
        "trace",
        help="record the tests of each requirement",
        description="Runs the tests that name requirements and writes tests/trace.json. For each requirement, it lists the code "
        "that enforces it, the vectors and sessions that show it, and the files whose tests exercise it. Run it in the root "
        "directory of a project with a directory tests.",
        epilog=examples("hgproto trace", "hgproto trace --check"),
    )
    trace.add_argument(
        "--check",
        action="store_true",
        help="write nothing; print a diff and exit 1 if the file is stale or a MUST has no test",
    )
    trace.add_argument(
        "--record",
        type=FILE,
        metavar="FILE",
        help="run no tests; read a file written by pytest -p hgproto.pytest_plugin --requirements-record=FILE",
    )
    trace.set_defaults(run=_trace)


def _trace(options: argparse.Namespace) -> int:
    from hgproto.evidence.trace import SNAPSHOT, gaps, snapshot, text_of
    from hgproto.language.load import schema_directory
    from hgproto.revisions.revision import Revision

    if not os.path.isdir("tests"):
        raise UsageError("there is no directory tests here; run trace in the root directory of a project with tests")
    tests = _run_tests() if options.record is None else _read(options.record)
    requirements = Revision(DEFAULT_REVISION).requirements
    entries = snapshot(requirements, schema_directory() / "vectors", tests)
    text, file = text_of(entries), Path(SNAPSHOT)
    code = GOOD
    if not options.check:
        write_whole(file, text.encode("utf-8"))
    elif stale := _difference(file, text):
        options.found_fault = True
        print("\n".join(map(printable, stale)))
        say(f"{SNAPSHOT} is stale: run `hgproto trace`")
        code = FAULT
    for gap in gaps(entries):
        if options.check:
            options.found_fault = True
            code = FAULT
        say(gap)
    if code == GOOD:
        tested = sum(bool(entry["tests"]) for entry in entries.values())
        print(f"{SNAPSHOT}: {counted(len(entries), 'requirement')}, {tested} of them with tests")
        for name, entry in entries.items():
            if not entry["tests"] and "reason" in entry:
                print(f"{name}: manual: {entry['reason']}")
    return code


def _run_tests() -> dict[str, dict[str, Any]]:
    """Runs the tests that name requirements.

    Raises :class:`InputError` if a test fails or the record is incomplete, after printing the output of pytest.
    """
    import importlib.util
    import subprocess
    import tempfile

    if importlib.util.find_spec("pytest") is None:
        raise StreamError("", "pytest is not installed; install it with `pip install pytest`")
    with tempfile.TemporaryDirectory() as directory:
        record = os.path.join(directory, "record.json")
        spread = ["-n", "auto"] if importlib.util.find_spec("xdist") else []
        arguments = ["--requirements-only", *spread, f"--requirements-record={record}", "-q", "-p", "no:cacheprovider"]
        command = [sys.executable, "-m", "pytest", "-p", "hgproto.pytest_plugin", "--rootdir=.", *arguments, "tests"]
        run = subprocess.run(  # noqa: S603 - ours
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="backslashreplace", check=False
        )
        try:
            return _recorded(record, run.returncode)
        except InputError:
            sys.stderr.write(run.stdout)
            raise


def _recorded(record: str, status: int) -> dict[str, dict[str, Any]]:
    """Returns the tests that pytest recorded. ``status``: its exit status."""
    from hgproto.evidence.trace import NOTHING_COLLECTED, read_record

    if status not in (GOOD, NOTHING_COLLECTED):
        raise InputError(f"the tests that name requirements did not pass: pytest exited with status {status}")
    try:
        return read_record(Path(record))
    except OSError:
        raise InputError("pytest ended before it wrote the record of passed tests") from None
    except ValueError as error:
        raise InputError(f"the record of the tests: {error}") from None


def _read(file: str) -> dict[str, dict[str, Any]]:
    from hgproto.evidence.trace import read_record

    try:
        return read_record(Path(file))
    except OSError as error:
        raise StreamError.of(error, file) from None
    except ValueError as error:
        raise InputError(str(error), file) from None


def _difference(file: Path, text: str) -> list[str]:
    """Returns the lines of a unified diff from the file to the new text."""
    import difflib

    try:
        old = file.read_text(encoding="utf-8", errors="backslashreplace")
    except (FileNotFoundError, NotADirectoryError):
        old = ""
    return list(
        difflib.unified_diff(old.splitlines(), text.splitlines(), str(file), f"{file} (as run now)", lineterm="")
    )
