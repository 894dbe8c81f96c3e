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
:class:`hgproto.ProtocolError`, a :class:`hgproto.Finding`, or an event of a reactor was made. These events are an
error-response of the server's own making, a failed request, and a stream that was left open. The record also lists the tests
without a result, because the run ended too early, and the revisions of the catalogs. :mod:`hgproto.evidence.trace` reads it.
The ``=`` is needed: without it, pytest takes the file for a directory of tests when it looks for the root of the project.

Nothing outside this module knows of it: these classes are watched while a marked test runs and a record is kept, and only
then. What a test does in other processes is not seen. With pytest-xdist the controller writes the record.
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
"""Markers that pytest and pytest-xdist act on."""


class Settings(NamedTuple):
    """The settings of a project. ``marker``: the name of the marker. ``ids``: those of all catalogs."""

    marker: str
    ids: frozenset[str]


class Catalog(NamedTuple):
    """A catalog of requirements. ``revision``: that of its schema; None for a list of ids."""

    revision: str | None
    ids: Iterable[str]


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
    """The name of the marker. Raises :class:`pytest.UsageError` for a name that Python or pytest has no room for."""
    # Python normalizes the names in its source.
    if not name.isidentifier() or iskeyword(name) or name.startswith("_") or normalize("NFKC", name) != name:
        raise pytest.UsageError(f"hgproto_marker: expected the name of a marker, found {name!r}")
    if name in TAKEN:
        raise pytest.UsageError(f"hgproto_marker: pytest has a marker {name!r} of its own; use another name")
    return name


def _checked_file(name: str) -> Path:
    """The path of the record, whatever directory the tests change to.

    Raises :class:`pytest.UsageError` for a file that cannot be written, before the tests run.
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
        # A new file takes the place of a regular one.
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

    ``file``: where; None in a worker of pytest-xdist, whose reports the controller gets. ``revisions``: those whose
    requirements the tests may name.
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
        """Gathers the reports of a test, and decides at its end: it has passed if its call has, and no other part failed.

        A subtest has reports of its own among them. A test that runs again begins with another setup.
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
        # The teardown, or the crash of a worker.
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
        """Says why there is no record."""
        if self._fault is not None:
            terminalreporter.write_line(f"ERROR: {self._fault}", red=True)
            self._fault = None

    def pytest_unconfigure(self) -> None:
        """Says why there is no record, in a run without a terminal reporter."""
        if self._fault is not None:
            print(f"ERROR: {self._fault}", file=sys.stderr)


class _Run:
    """A run of a test, as far as its reports have come. ``exercised``: what its call says, once it has passed."""

    def __init__(self) -> None:
        self.exercised: dict[str, Any] | None = None
        self.failed = False


@contextmanager
def _watched(broken: set[str]) -> Iterator[None]:
    """Puts the ids of all errors, findings, and events that report a violation into ``broken`` as they are made."""
    from hgproto.judging.finding import Finding
    from hgproto.reactors.event_values import RequestError, StreamLeftOpen
    from hgproto.reactors.sent_responses import ErrorResponse

    left_open = default_revision().end_rule("stream")

    def watching(made: Any) -> Any:
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            made(self, *args, **kwargs)
            requirement = left_open if isinstance(self, StreamLeftOpen) else self.requirement
            # A peer's application refuses a request by no requirement.
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
