"""A pytest plugin by which tests name the requirements of the protocol that they exercise.

It is loaded by ``-p hgproto.pytest_plugin`` and never by itself. A test names requirements by a marker::

    @pytest.mark.requirement("command-name.eos-exclusive")

An id that no catalog has is an error when the test is collected. A marker that is added later makes the test fail instead:
it may come from another plugin, from a fixture, or from the test itself. JUnit reports have a property for each id, which is
named like the marker, whatever becomes of the test. Two settings in the ini file say what is known::

    hgproto_marker = requirement
    hgproto_catalogs =
        framing-0002
        my-schema.yaml
        my-ids.txt

A catalog is a revision by name, a schema file, or a text file with one id per line and ``#`` comments; files are relative to
the ini file. Without the settings, the marker is ``requirement`` and the only catalog is the default revision.

``--requirements-only`` runs only the tests that name requirements. ``--requirements-record=FILE`` writes which tests have
passed, what they name, and which requirements were seen violated while each ran: those of which a
:class:`hgproto.errors.ProtocolError` or a :class:`hgproto.finding.Finding` was made. It also lists the tests without a result,
because the run ended too early. :mod:`hgproto.trace` reads that file. The ``=`` is needed: without it, pytest takes the file for a
directory of tests when it looks for the root of the project.

Nothing outside this module knows of it: both classes are watched while a marked test runs and a record is kept, and only
then. What a test does in other processes is not seen. With pytest-xdist the controller writes the record.
"""

from __future__ import annotations

import itertools
import json
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from hgproto.bom import unmarked
from hgproto.errors import ProtocolError, TextError
from hgproto.revision import DEFAULT_REVISION, Revision

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

__all__ = [
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_make_collect_report",
    "pytest_runtest_makereport",
]

OPTION = "--requirements-record"
ONLY = "--requirements-only"


class Settings(NamedTuple):
    """The settings of a project. ``marker``: the name of the marker. ``ids``: those of all catalogs."""

    marker: str
    ids: frozenset[str]


SETTINGS = pytest.StashKey[Settings]()
TOLD = pytest.StashKey[set[str]]()
"""What is wrong with the markers of a test and has been told in this run of it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options and the settings."""
    group = parser.getgroup("hgproto")
    group.addoption(OPTION, metavar="FILE", help="write which tests exercised which requirements, as JSON")
    group.addoption(ONLY, action="store_true", help="run only the tests that name requirements")
    parser.addini("hgproto_marker", "name of the marker by which tests name requirements", default="requirement")
    parser.addini(
        "hgproto_catalogs",
        "catalogs of requirements: revisions by name, schema files, text files with one id per line",
        type="linelist",
        default=[DEFAULT_REVISION],
    )


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker, and the recorder when a record is wanted."""
    marker = str(config.getini("hgproto_marker"))
    if not marker.isidentifier():
        raise pytest.UsageError(f"hgproto_marker: expected the name of a marker, found {marker!r}")
    directory = config.rootpath if config.inipath is None else config.inipath.parent
    ids = frozenset(
        itertools.chain.from_iterable(_catalog(name, directory) for name in config.getini("hgproto_catalogs"))
    )
    config.stash[SETTINGS] = Settings(marker, ids)
    config.addinivalue_line("markers", f"{marker}(id, ...): the requirements of the protocol that the test exercises")
    file = config.getoption(OPTION)
    if file is not None:
        # The tests may change the directory.
        config.pluginmanager.register(Recorder(None if hasattr(config, "workerinput") else Path(file).resolve()))


def _catalog(name: str, directory: Path) -> Iterable[str]:
    """The ids of a catalog. Raises :class:`pytest.UsageError` for a catalog that cannot be read."""
    if Revision(name).is_known:
        return Revision(name).requirements
    file = directory / name
    if not file.is_file():
        raise pytest.UsageError(f"hgproto_catalogs: expected a revision or a file in {directory}, found {name!r}")
    if file.suffix in (".yaml", ".yml"):
        from hgproto.spec import SchemaError, load

        try:
            return load(file).requirements
        except SchemaError as error:
            raise pytest.UsageError(f"hgproto_catalogs: {error}") from None
    try:
        lines = unmarked(file.read_bytes()).decode("utf-8").splitlines()
    except (OSError, TextError, UnicodeDecodeError) as error:
        raise pytest.UsageError(f"hgproto_catalogs: {file}: {error}") from None
    ids = [one for line in lines if (one := line.partition("#")[0].strip())]
    for one in ids:
        if len(one.split()) > 1:
            raise pytest.UsageError(f"hgproto_catalogs: {file}: expected one id per line, found {one!r}")
    return ids


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects the tests that name no requirement, with ``--requirements-only``."""
    if config.getoption(ONLY):
        config.hook.pytest_deselected(items=[item for item in items if not _named(item)])
        items[:] = [item for item in items if _named(item)]


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


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Gives reports the ids as properties, and makes a test fail whose markers cannot be.

    Every phase of every test has a report, also of one that is skipped, so that no marker is overlooked.
    """
    marker, ids = _settings(item)
    properties = [(marker, name) for name in _named(item) if name in ids]
    item.user_properties += [one for one in properties if one not in item.user_properties]
    report = yield
    if call.when == "setup" or TOLD not in item.stash:
        item.stash[TOLD] = set()
    faults = [fault for fault in dict.fromkeys(_faults(item)) if fault not in item.stash[TOLD]]
    if faults:
        item.stash[TOLD].update(faults)
        before = [] if report.passed or report.skipped else [report.longreprtext]
        report.outcome = "failed"
        report.longrepr = "\n".join([*before, *faults])
        report.__dict__.pop("wasxfail", None)
    return report


class Recorder:
    """Watches marked tests, and writes the record at the end.

    ``file``: where; None in a worker of pytest-xdist, whose reports the controller gets.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._tests: dict[str, dict[str, Any]] = {}
        self._unfinished: set[str] = set()
        self._broken: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Expects a result of each test."""
        self._unfinished.update(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Expects a result of each test; only workers collect."""
        self._unfinished.update(ids)

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
        if report.when != "setup" or not report.passed:
            self._unfinished.discard(report.nodeid)
        exercised = getattr(report, "exercised", None)
        if report.when == "call" and exercised and report.passed and not hasattr(report, "wasxfail"):
            self._tests[report.nodeid] = exercised
        elif report.failed:
            self._tests.pop(report.nodeid, None)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Writes the record."""
        if self._file is not None:
            record = {
                "exit_status": int(exitstatus),
                "unfinished": sorted(self._unfinished),
                "tests": dict(sorted(self._tests.items())),
            }
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


def _settings(item: pytest.Item) -> Settings:
    return item.config.stash[SETTINGS]


def _named(item: pytest.Item) -> list[str]:
    """The ids that a test names, on itself and on what it is in, each once."""
    marks = item.iter_markers(_settings(item).marker)
    return list(dict.fromkeys(str(name) for mark in marks for name in mark.args))


def _faults(item: pytest.Item) -> Iterator[str]:
    """What is wrong with the markers of a test."""
    marker, ids = _settings(item)
    for mark in item.iter_markers(marker):
        if mark.kwargs or not mark.args:
            yield f"{item.nodeid}: expected {marker}(id, ...), found {marker}({', '.join(mark.kwargs)})"
    for name in _named(item):
        if name not in ids:
            close = get_close_matches(name, sorted(ids), n=1)
            advice = f"; did you mean {close[0]!r}?" if close else ""
            yield f"{item.nodeid}: there is no requirement {name!r}{advice}"
