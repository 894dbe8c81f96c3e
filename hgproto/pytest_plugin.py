"""A pytest plugin by which tests name the requirements of the protocol that they exercise.

It is loaded by ``-p hgproto.pytest_plugin`` and never by itself. A test names requirements by a marker::

    @pytest.mark.requirement("command-name.eos-exclusive")

An id that the catalogue lacks is an error when the test is collected. JUnit reports have a property ``requirement`` for
each id. ``--requirements-record FILE`` writes which tests have passed, what they name, and which rules were seen broken
while each ran: those of which a :class:`hgproto.errors.ProtocolError` or a :class:`hgproto.finding.Finding` was made.
:mod:`hgproto.trace` reads that file.

Nothing outside this module knows of it: both classes are watched while a marked test runs and a record is kept, and only
then. What a test does in other processes is not seen. With pytest-xdist the controller writes the record.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hgproto.errors import ProtocolError
from hgproto.framing_0002.requirements import REQUIREMENTS

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

__all__ = [
    "pytest_addoption",
    "pytest_configure",
    "pytest_make_collect_report",
    "pytest_runtest_setup",
]

MARKER = "requirement"
OPTION = "--requirements-record"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option."""
    parser.getgroup("hgproto").addoption(
        OPTION, metavar="FILE", help="write which tests exercised which requirements, as JSON"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker, and the recorder when a record is wanted."""
    config.addinivalue_line("markers", f"{MARKER}(id, ...): the requirements of the protocol that the test exercises")
    file = config.getoption(OPTION)
    if file is not None:
        # The tests may change the directory.
        config.pluginmanager.register(Recorder(None if hasattr(config, "workerinput") else Path(file).resolve()))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turns a collection that has a marker which cannot be into a failed one, and says why."""
    report = yield
    faults = [fault for item in report.result if isinstance(item, pytest.Item) for fault in _faults(item)]
    if not faults:
        return report
    return pytest.CollectReport(collector.nodeid, "failed", "\n".join(dict.fromkeys(faults)), [])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Gives reports the ids as properties."""
    item.user_properties += [(MARKER, name) for name in _named(item) if (MARKER, name) not in item.user_properties]


class Recorder:
    """Watches marked tests, and writes the record at the end.

    ``file``: where; None in a worker of pytest-xdist, whose reports the controller gets.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._tests: dict[str, dict[str, Any]] = {}
        self._broken: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Watches the test."""
        self._broken = set()
        if _named(item):
            with _watched(self._broken):
                return (yield)
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Puts what was seen into the report, which goes from workers to the controller."""
        report = yield
        names = _named(item)
        if call.when == "call" and names:
            random = bool(getattr(getattr(item, "obj", None), "is_hypothesis_test", False))
            # What random input breaks differs from run to run.
            seen = None if random else [name for name in names if name in self._broken]
            report.__dict__["exercised"] = {"names": names, "broken": seen}
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Takes what has passed, and drops it again when it fails later."""
        exercised = getattr(report, "exercised", None)
        if report.when == "call" and exercised and report.passed and not hasattr(report, "wasxfail"):
            self._tests[report.nodeid] = exercised
        elif report.failed:
            self._tests.pop(report.nodeid, None)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Writes the record."""
        if self._file is not None:
            record = {"exit_status": int(exitstatus), "tests": dict(sorted(self._tests.items()))}
            self._file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


@contextmanager
def _watched(broken: set[str]) -> Iterator[None]:
    """Puts the ids of all errors and findings that are made into ``broken``."""
    from hgproto.finding import Finding

    def watching(made: Any) -> Any:
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            made(self, *args, **kwargs)
            broken.add(str(getattr(self.requirement, "id", self.requirement)))

        return init

    with pytest.MonkeyPatch.context() as patch:
        for watched in (ProtocolError, Finding):
            patch.setattr(watched, "__init__", watching(watched.__init__))
        yield


def _named(item: pytest.Item) -> list[str]:
    """The ids that a test names, on itself and on what it is in, each once."""
    return list(dict.fromkeys(str(name) for mark in item.iter_markers(MARKER) for name in mark.args))


def _faults(item: pytest.Item) -> Iterator[str]:
    """What is wrong with the markers of a test."""
    for mark in item.iter_markers(MARKER):
        if mark.kwargs or not mark.args:
            yield f"{item.nodeid}: expected {MARKER}(id, ...), found {MARKER}({', '.join(mark.kwargs)})"
    for name in _named(item):
        if name not in REQUIREMENTS:
            close = get_close_matches(name, REQUIREMENTS, n=1)
            advice = f"; did you mean {close[0]!r}?" if close else ""
            yield f"{item.nodeid}: there is no requirement {name!r}{advice}"
