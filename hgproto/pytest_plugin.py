"""A pytest plugin that lets tests name the requirements of the protocol that they exercise.

Load it with ``-p hgproto.pytest_plugin``; it is never loaded automatically. A test names requirements with a marker::

    @pytest.mark.requirement("command-name.eos-exclusive")

An id that no catalog has is an error when the test is collected. A marker that is added later, by another plugin, a fixture, or
the test itself, makes the test fail instead. JUnit reports have a property for each id, whatever the result of the test. Its
name is that of the marker. Two settings in the ini file name the marker and the catalogs::

    hgproto_marker = requirement
    hgproto_catalogs =
        framing-0002
        my-schema.yaml
        my-ids.txt

A catalog is a revision by name, a schema file, or a text file with one id per line and ``#`` comments; files are relative to
the ini file. Without the settings, the marker is ``requirement`` and the only catalog is the default revision.

``--requirements-only`` runs only the tests that name requirements. ``--requirements-record=FILE`` writes a record of the tests
that have passed, the requirements that each names, and those that were seen violated while it ran. A violation is seen when a
:class:`hgproto.ProtocolError`, a :class:`hgproto.Finding`, or one of three events of a reactor is created. These events are an
error-response that the server itself sends, a failed request, and a stream that was left open. The record also lists the
revisions of the catalogs, and the tests without a result if the run ended too early. :mod:`hgproto.evidence.trace` reads it. The
``=`` is required: without it, pytest would treat the file as a path of tests when it looks for the root of the project.

The plugin patches these classes only while a marked test runs and a record is kept. It does not see violations in other
processes. With pytest-xdist, the controller writes the record.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import stat
import sys
from contextlib import contextmanager
from difflib import get_close_matches
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unicodedata import normalize

import pytest

from hgproto.errors import ProtocolError, TextError, printable
from hgproto.revisions.revision import DEFAULT_REVISION, Revision, default_revision
from hgproto.system.bom import unmarked
from hgproto.system.stdio import write_whole

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
TAKEN = frozenset(
    ["filterwarnings", "parametrize", "skip", "skipif", "tryfirst", "trylast", "usefixtures", "xdist_group", "xfail"]
)
"""Markers that pytest or pytest-xdist uses."""


class Settings(NamedTuple):
    """The settings of a project. ``marker``: the name of the marker. ``ids``: the requirement ids of all catalogs."""

    marker: str
    ids: frozenset[str]


class Catalog(NamedTuple):
    """A catalog of requirements. ``revision``: that of its schema; None for a list of ids."""

    revision: str | None
    ids: Iterable[str]


SETTINGS = pytest.StashKey[Settings]()
TOLD = pytest.StashKey[set[str]]()
"""The faults in the markers of a test that were already reported in this run of it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options and the settings."""
    group = parser.getgroup("hgproto")
    group.addoption(OPTION, metavar="FILE", help="write the requirements that each test exercised to FILE, as JSON")
    group.addoption(ONLY, action="store_true", help="run only the tests that name requirements")
    parser.addini("hgproto_marker", "name of the marker that names requirements", default="requirement")
    parser.addini(
        "hgproto_catalogs",
        "catalogs of requirements: revisions by name, schema files, text files with one id per line",
        type="linelist",
        default=[DEFAULT_REVISION],
    )


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker, and the recorder if a record is requested."""
    marker = _marker(str(config.getini("hgproto_marker")))
    directory = config.rootpath if config.inipath is None else config.inipath.parent
    catalogs = [_catalog(name, directory) for name in config.getini("hgproto_catalogs")]
    ids = frozenset(itertools.chain.from_iterable(catalog.ids for catalog in catalogs))
    config.stash[SETTINGS] = Settings(marker, ids)
    config.addinivalue_line("markers", f"{marker}(id, ...): the requirements of the protocol that the test exercises")
    file = config.getoption(OPTION)
    if file is not None and not config.option.collectonly:
        revisions = dict.fromkeys(catalog.revision for catalog in catalogs if catalog.revision is not None)
        checked = None if hasattr(config, "workerinput") else _checked_file(file)
        config.pluginmanager.register(Recorder(checked, tuple(revisions)))


def _marker(name: str) -> str:
    """Checks the name of the marker and returns it. Raises :class:`pytest.UsageError` for a name that cannot be a marker."""
    # Python normalizes the names in its source.
    if not name.isidentifier() or iskeyword(name) or name.startswith("_") or normalize("NFKC", name) != name:
        raise pytest.UsageError(f"hgproto_marker: expected the name of a marker, found {name!r}")
    if name in TAKEN:
        raise pytest.UsageError(f"hgproto_marker: pytest has a marker {name!r} of its own; use another name")
    return name


def _checked_file(name: str) -> Path:
    """Returns the absolute path of the record, so that tests may change the directory.

    Raises :class:`pytest.UsageError`, before the tests run, if the file cannot be written.
    """
    if not name:
        raise pytest.UsageError(f"{OPTION}: expected the name of a file")
    file = Path(name)
    try:
        file = file.absolute()
        target = Path(os.path.realpath(file))
        try:
            # A pipe behind a descriptor has no path of its own.
            mode = os.stat(file).st_mode
        except FileNotFoundError:
            os.stat(target.parent)
            mode = stat.S_IFREG
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        # A regular file is replaced by a new one.
        is_new = stat.S_ISREG(mode)
        if not os.access(target.parent if is_new else file, os.W_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    except (OSError, ValueError) as error:
        raise pytest.UsageError(_unwritable(file, error)) from None
    return file


def _unwritable(file: Path, error: OSError | ValueError) -> str:
    reason = getattr(error, "strerror", None) or error
    return printable(f"{OPTION}: the record cannot be written to {file}: {reason}; name another file")


def _catalog(name: str, directory: Path) -> Catalog:
    """Reads a catalog. Raises :class:`pytest.UsageError` for a catalog that cannot be read."""
    if Revision(name).is_known:
        return Catalog(name, Revision(name).requirements)
    file = directory / name
    if not file.is_file():
        raise pytest.UsageError(f"hgproto_catalogs: expected a revision or a file in {directory}, found {name!r}")
    if file.suffix in (".yaml", ".yml"):
        from hgproto.language import SchemaError, load

        try:
            schema = load(file)
        except SchemaError as error:
            raise pytest.UsageError(f"hgproto_catalogs: {error}") from None
        return Catalog(schema.revision, schema.requirements)
    try:
        lines = unmarked(file.read_bytes()).decode("utf-8").splitlines()
    except (OSError, TextError, UnicodeDecodeError) as error:
        raise pytest.UsageError(f"hgproto_catalogs: {file}: {error}") from None
    ids = [one for line in lines if (one := line.partition("#")[0].strip())]
    for one in ids:
        if len(one.split()) > 1:
            raise pytest.UsageError(f"hgproto_catalogs: {file}: expected one id per line, found {one!r}")
    return Catalog(None, ids)


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
    """Makes a collection fail if a test has an invalid marker, and reports the reason."""
    report = yield
    faults = [fault for item in report.result if isinstance(item, pytest.Item) for fault in _faults(item)]
    if not faults:
        return report
    return pytest.CollectReport(collector.nodeid, "failed", "\n".join(dict.fromkeys(faults)), [])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the ids to reports as properties, and makes a test with an invalid marker fail.

    Every phase of every test, even of a skipped one, has a report, so that no marker is missed.
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
    """Recorder of marked tests, which writes the record at the end.

    ``file``: the path of the record; None in a worker of pytest-xdist, which sends its reports to the controller. ``revisions``:
    the revisions whose requirements tests may name.
    """

    def __init__(self, file: Path | None, revisions: tuple[str, ...]) -> None:
        self._file = file
        self._revisions = revisions
        self._fault: str | None = None
        self._tests: dict[str, dict[str, Any]] = {}
        self._running: dict[tuple[object, str], _Run] = {}
        self._failed: set[str] = set()
        self._unfinished: set[str] = set()
        self._broken: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Adds each test to those without a result."""
        self._unfinished.update(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Adds each test that a worker has collected to those without a result."""
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
        """Adds the seen violations to the report, which workers send to the controller."""
        report = yield
        names = _named(item)
        if call.when == "call" and names:
            random = bool(getattr(getattr(item, "obj", None), "is_hypothesis_test", False))
            # The violations of random input differ between runs.
            seen = None if random else [name for name in names if name in self._broken]
            report.__dict__["exercised"] = {"names": names, "broken": seen}
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collects the reports of a test. At its end, it has passed if its call has passed and no other phase has failed.

        Subtests have their own reports. A test that runs again begins with another setup.
        """
        key = getattr(report, "node", None), report.nodeid
        if report.when == "setup" or key not in self._running:
            self._running[key] = _Run()
        run = self._running[key]
        run.failed = run.failed or report.failed
        is_part = getattr(report, "context", None) is not None
        exercised = getattr(report, "exercised", None)
        if report.when == "call" and report.passed and not is_part and not hasattr(report, "wasxfail"):
            run.exercised = exercised
        if report.when in ("setup", "call"):
            return
        # This is the report of a teardown, or of a crashed worker.
        del self._running[key]
        self._unfinished.discard(report.nodeid)
        if run.failed:
            self._failed.add(report.nodeid)
        elif run.exercised:
            self._tests[report.nodeid] = run.exercised

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Writes the record."""
        if self._file is None:
            return
        tests = {name: test for name, test in sorted(self._tests.items()) if name not in self._failed}
        record = {
            "revisions": self._revisions,
            "exit_status": int(exitstatus),
            "unfinished": sorted(self._unfinished),
            "tests": tests,
        }
        try:
            write_whole(self._file, f"{json.dumps(record, indent=1)}\n".encode())
        except OSError as error:
            self._fault = _unwritable(self._file, error)
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Reports why there is no record."""
        if self._fault is not None:
            terminalreporter.write_line(f"ERROR: {self._fault}", red=True)
            self._fault = None

    def pytest_unconfigure(self) -> None:
        """Reports why there is no record, in a run without a terminal reporter."""
        if self._fault is not None:
            print(f"ERROR: {self._fault}", file=sys.stderr)


class _Run:
    """A run of a test. ``exercised``: the data in the report of its call, once that has passed."""

    def __init__(self) -> None:
        self.exercised: dict[str, Any] | None = None
        self.failed = False


@contextmanager
def _watched(broken: set[str]) -> Iterator[None]:
    """Adds the requirement of each error, finding, and event that reports a violation to ``broken`` when it is created."""
    from hgproto.judging.finding import Finding
    from hgproto.reactors.event_values import RequestError, StreamLeftOpen
    from hgproto.reactors.sent_responses import ErrorResponse

    left_open = default_revision().end_rule("stream")

    def watching(made: Any) -> Any:
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            made(self, *args, **kwargs)
            requirement = left_open if isinstance(self, StreamLeftOpen) else self.requirement
            # The error of a peer's application has no requirement.
            if requirement is not None:
                broken.add(str(getattr(requirement, "id", requirement)))

        return init

    with pytest.MonkeyPatch.context() as patch:
        for watched in (ProtocolError, Finding, RequestError, ErrorResponse, StreamLeftOpen):
            patch.setattr(watched, "__init__", watching(watched.__init__))
        yield


def _settings(item: pytest.Item) -> Settings:
    return item.config.stash[SETTINGS]


def _named(item: pytest.Item) -> list[str]:
    """Returns the ids that a test, its class, and its module name, each once."""
    marks = item.iter_markers(_settings(item).marker)
    return list(dict.fromkeys(str(name) for mark in marks for name in mark.args))


def _faults(item: pytest.Item) -> Iterator[str]:
    """Yields the faults in the markers of a test."""
    marker, ids = _settings(item)
    for mark in item.iter_markers(marker):
        if mark.kwargs or not mark.args:
            yield f"{item.nodeid}: expected {marker}(id, ...), found {marker}({', '.join(mark.kwargs)})"
    for name in _named(item):
        if name not in ids:
            close = get_close_matches(name, sorted(ids), n=1)
            advice = f"; did you mean {close[0]!r}?" if close else ""
            yield f"{item.nodeid}: there is no requirement {name!r}{advice}"
