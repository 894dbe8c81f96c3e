"""``hgproto fuzz``: runs a fuzzing campaign against an implementation."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from hgproto.cli.common import (
    DIRECTORY,
    FAULT,
    FILE,
    GOOD,
    TROUBLE,
    InputError,
    StreamError,
    UsageError,
    files_in,
    say,
)
from hgproto.cli.fuzz_report import RATIO, command_of_target, show, sum_up, words_of
from hgproto.cli.parser import examples
from hgproto.errors import counted, printable, quoted
from hgproto.system.option_types import MOST_SEED, above_zero, name_of, seconds, setting, whole
from hgproto.system.stdio import own_faults

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from hgproto.cli import Commands
    from hgproto.fuzz import FuzzFinding, Oracle
    from hgproto.fuzz.cases import Cases
    from hgproto.fuzz.oracles import Key
    from hgproto.fuzz.targets import Target

__all__ = ["add"]

_MOST_TIMEOUT = 86_400.0
"""Largest ``--timeout`` in seconds: one day."""


def add(commands: Commands) -> None:
    """Adds the command."""
    fuzz = commands.add_parser(
        "fuzz",
        help="find bugs in an implementation",
        description="Sends valid, invalid, and mutated cases to a target. Reports crashes, hangs, memory growth, and differences "
        "from the reactor of hgproto. Minimizes each finding and writes it to a file with a command that reproduces it. A "
        "target is a Python callable (module:callable), a TCP address (host:port), or a command.",
        epilog="Exit statuses: 0 no findings; 1 findings; 2 wrong usage; 3 a file could not be read or written, or hgproto "
        "itself failed.\n\n"
        + examples(
            "hgproto fuzz hgproto.fuzz.echo:serve --echo --max-cases 100 --seed 7",
            "hgproto fuzz 'python server.py' --max-time 2",
        ),
    )
    fuzz.add_argument("target", metavar="TARGET", help="module:callable, host:port, or a command with its arguments")
    fuzz.add_argument(
        "--role", choices=("server", "client"), default="server", help="role of the target (default: server)"
    )
    fuzz.add_argument(
        "--answers",
        choices=("frames", "events", "verdict"),
        help="output: frames (default for servers), events as JSON lines (default for clients), or verdict (yes or no)",
    )
    fuzz.add_argument(
        "--echo",
        action="store_true",
        help="the target responds to each command with its description; compare the responses",
    )
    fuzz.add_argument(
        "--reports-errors",
        action="store_true",
        help="the target sends an error-response for every rejection: count silence as acceptance if no probe can follow",
    )
    fuzz.add_argument(
        "--defers",
        action="store_true",
        help="the target responds only after the end of input, as behind HTTP: report output that it sends earlier",
    )
    fuzz.add_argument(
        "--fails", metavar="NAME", help="name of a command that the application of the target fails; check failures too"
    )
    fuzz.add_argument(
        "--seed",
        type=whole(0, MOST_SEED),
        metavar="S",
        help="random seed (default: a new one, printed on standard error)",
    )
    fuzz.add_argument("--max-time", type=seconds(), metavar="SECONDS", help="stop after SECONDS (default: never)")
    fuzz.add_argument("--max-cases", type=whole(1), metavar="N", help="stop after N cases")
    fuzz.add_argument("--max-findings", type=whole(1), metavar="N", help="stop after N findings")
    fuzz.add_argument(
        "--timeout",
        type=seconds(_MOST_TIMEOUT),
        default=5.0,
        metavar="SECONDS",
        help="seconds allowed per case (default: 5)",
    )
    fuzz.add_argument(
        "--max-growth",
        type=whole(1, 1 << 20),
        default=64,
        metavar="MIB",
        help="memory growth allowed per case, in addition to 64 times its size (default: 64)",
    )
    fuzz.add_argument(
        "--max-ratio",
        type=above_zero,
        default=RATIO,
        metavar="N",
        help="bytes of memory allowed per byte of input and output, when the input is doubled twice (default: 8)",
    )
    fuzz.add_argument(
        "--limit",
        type=setting,
        action="append",
        default=[],
        metavar="NAME=N",
        help="limit of the target, for example arguments=2; rejections because of other limits are not checked",
    )
    fuzz.add_argument(
        "--reopen",
        choices=("error", "restart"),
        default="error",
        help="effect of stream-begin on an open stream: an error (default), or a restart of the stream",
    )
    fuzz.add_argument(
        "--encodings", metavar="NAMES", help="content encodings of the target, joined by commas (default: all)"
    )
    fuzz.add_argument(
        "--without",
        type=lambda text: [name for name in text.split(",") if name],
        action="extend",
        default=[],
        metavar="FEATURES",
        help="leave out cases with features that the target lacks, such as continuation,encodings; an unknown name lists all",
    )
    fuzz.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="PATTERN",
        help="do not report findings of a requirement (a pattern of ids), a kind, KIND:PATTERN, or cause:PATTERN",
    )
    fuzz.add_argument(
        "--baseline",
        type=name_of("a file or a directory"),
        action="append",
        default=[],
        metavar="PATH",
        help="count findings with a cause that this file or directory of findings has, without reporting or minimizing them",
    )
    fuzz.add_argument(
        "--minimize-share",
        type=whole(0, 90),
        default=25,
        metavar="PERCENT",
        help="largest share of the time to spend on minimizing (default: 25)",
    )
    fuzz.add_argument(
        "--minimize-time",
        type=seconds(),
        default=10.0,
        metavar="SECONDS",
        help="seconds allowed for minimizing a finding (default: 10)",
    )
    fuzz.add_argument(
        "--rate",
        type=whole(0, 100),
        default=50,
        metavar="PERCENT",
        help="share of mutations that violate a requirement (default: 50)",
    )
    fuzz.add_argument(
        "--corpus", type=DIRECTORY, metavar="DIRECTORY", help="directory of files whose bytes are tried first"
    )
    fuzz.add_argument(
        "-o",
        "--output",
        default="findings",
        type=DIRECTORY,
        metavar="DIRECTORY",
        help="directory for findings (default: findings)",
    )
    fuzz.add_argument("--pid", type=whole(1), metavar="PID", help="process behind an address; report its memory growth")
    fuzz.add_argument(
        "--log",
        type=FILE,
        metavar="FILE",
        help="log of the server behind an address; report its tracebacks as crashes",
    )
    fuzz.add_argument(
        "--start",
        metavar="COMMAND",
        help="command that starts the server behind an address; watch its standard error, and restart it when it ends",
    )
    fuzz.add_argument("--allow-remote", action="store_true", help="fuzz an address that is not a loopback address")
    fuzz.add_argument(
        "--replay",
        nargs="+",
        action="extend",
        type=FILE,
        metavar="FILE",
        help="run saved findings again, and print one line for each",
    )
    fuzz.set_defaults(run=_fuzz)


def _fuzz(options: argparse.Namespace) -> int:
    from hgproto.fuzz.processes import interrupted_by_termination

    with interrupted_by_termination(), own_faults("the target", "the seed, and the options", UsageError, InputError):
        return _fuzzed(options)


def _fuzzed(options: argparse.Namespace) -> int:
    from hgproto.fuzz import TargetError, open_target

    options.answers = options.answers or ("frames" if options.role == "server" else "events")
    _check_idle(options)
    oracle = _oracle(options)
    try:
        target = open_target(
            options.target,
            answers=options.answers,
            seconds=options.timeout,
            allow_remote=options.allow_remote,
            pid=options.pid,
            log=options.log,
            start=options.start,
        )
        try:
            if options.pid is not None:
                _check_process(options.pid, target)
            return _replay(options, target, oracle) if options.replay else _campaign(options, target, oracle)
        finally:
            target.close()
    except OSError as error:
        if options.log is None or error.filename != options.log:
            raise
        raise StreamError.of(error, options.log) from None
    except TargetError as error:
        raise UsageError(f"argument TARGET: {error}") from None


_OF_FRAMES = ("--echo", "--reports-errors", "--defers", "--fails")
"""Options that apply only to servers that send frames."""
_OF_CAMPAIGNS: dict[str, object] = {
    "--seed": None, "--max-time": None, "--max-cases": None, "--max-findings": None, "--without": [], "--baseline": [],
    "--minimize-share": 25, "--minimize-time": 10.0, "--rate": 50, "--corpus": None, "--output": "findings",
}  # fmt: skip
"""Options for new cases and findings, with their defaults."""


def _check_idle(options: argparse.Namespace) -> None:
    """Raises :class:`UsageError` for an option without effect."""
    given = {name: getattr(options, name[2:].replace("-", "_")) for name in (*_OF_FRAMES, *_OF_CAMPAIGNS)}
    idle = [(name, f"--answers {options.answers}") for name in _OF_FRAMES if given[name] not in (None, False)]
    idle = idle if options.answers != "frames" else []
    if options.replay:
        idle += [(name, "--replay") for name, default in _OF_CAMPAIGNS.items() if given[name] != default]
    idle += [("--pid", "--start, whose process is watched")] * (None not in (options.pid, options.start))
    for name, way in idle:
        raise UsageError(f"argument {name}: it has no effect with {way}; leave it out")


def _check_process(pid: int, target: Target) -> None:
    """Raises :class:`UsageError` if the memory of a process cannot be read."""
    from hgproto.fuzz.memory import peak
    from hgproto.fuzz.targets import TcpTarget

    if not isinstance(target, TcpTarget):
        raise UsageError("argument --pid: expected an address as TARGET; leave the option out for other targets")
    if not peak(pid):
        raise UsageError(f"argument --pid: the memory of process {pid} cannot be read; name a running process on Linux")


def _oracle(options: argparse.Namespace) -> Oracle:
    from hgproto.fuzz import Oracle
    from hgproto.fuzz.ignore import Ignored
    from hgproto.fuzz.oracles import limits_of_target
    from hgproto.streams.encodings import Encodings, default_encodings

    try:
        Ignored(options.ignore)
    except ValueError as error:
        raise UsageError(f"argument --ignore: {error}") from None
    if options.fails is not None and not (options.fails and options.fails.isascii()):
        raise UsageError(f"argument --fails: expected the ASCII name of a command, found {quoted(options.fails)}")
    encodings = default_encodings()
    if options.encodings is not None:
        names = [name for name in options.encodings.split(",") if name]
        for name in names:
            if name in encodings.missing:
                raise StreamError("", f"argument --encodings: {name} needs a package: {encodings.missing[name]}")
            if name not in encodings:
                raise UsageError(f"argument --encodings: unknown encoding {quoted(name)}; use {', '.join(encodings)}")
        encodings = Encodings([encodings[name] for name in names])
    options.encodings = encodings
    try:
        options.limits = limits_of_target(options.role, options.limit)
    except (TypeError, ValueError) as error:
        raise UsageError(f"argument --limit: {error}") from None
    try:
        return Oracle(
            options.role,
            options.answers,
            echo=options.echo,
            limits=options.limits,
            named=[setting.partition("=")[0].replace("_", "-") for setting in options.limit],
            growth=options.max_growth << 20,
            ratio=options.max_ratio,
            ignore=options.ignore,
            encodings=encodings,
            reopen=options.reopen,
            reports_errors=options.reports_errors,
            defers=options.defers,
            fails=options.fails,
        )
    except ValueError as error:
        raise UsageError(f"argument --answers: {error}") from None


def _campaign(options: argparse.Namespace, target: Target, oracle: Oracle) -> int:
    from tqdm import tqdm

    from hgproto.fuzz import Campaign

    seed = int.from_bytes(os.urandom(4)) if options.seed is None else options.seed
    print(f"seed: {seed}", file=sys.stderr)
    cases = _cases(options, seed, target)
    for feature in cases.without:
        print(f"without {feature.name}: no cases with {feature.leaves_out}", file=sys.stderr)
    with tqdm(unit=" cases", disable=None, leave=False, desc="fuzzing") as bar:

        def watch(_: int, findings: int) -> None:
            bar.update()
            bar.set_postfix_str(counted(findings, "finding"), refresh=False)

        trouble: list[str] = []

        def write(finding: FuzzFinding) -> str | None:
            """Writes a finding to its file and returns the path; prints the finding if the file cannot be written."""
            try:
                return finding.write(options.output)
            except OSError as error:
                trouble.append(str(StreamError.of(error)))
            bar.clear()
            print(f"hgproto: {trouble[-1]}; save the following finding yourself", file=sys.stderr)
            print(finding.text(os.path.join(options.output, finding.name)), end="", flush=True)
            return None

        def found(finding: FuzzFinding) -> None:
            options.found_fault = True
            path = write(finding)
            bar.clear()
            show(finding, path)

        campaign = Campaign(
            target,
            oracle,
            cases,
            seed=seed,
            command=command_of_target(options),
            most_seconds=options.max_time,
            most_cases=options.max_cases,
            without=cases.without,
            most_findings=options.max_findings,
            minimize_seconds=options.minimize_time,
            minimize_share=options.minimize_share / 100,
            baseline=_baseline(options.baseline),
            keep=write,
            found=found,
            watch=watch,
        )
        report = campaign.run()
    sum_up(report)
    if report.gone:
        say(f"the target stopped working: {report.trouble}")
    for rule, number in report.notes:
        print(f"  note {rule}: violated by the output for {counted(number, 'case')}")
    for name, number in cases.left_out.items():
        print(f"  without {name}: {counted(number, 'case')} left out")
    if trouble:
        # Status 3 takes precedence: findings were lost.
        say(f"findings were not written: {trouble[0]}")
        return TROUBLE
    return FAULT if report.findings else GOOD


def _cases(options: argparse.Namespace, seed: int, target: Target) -> Cases:
    from hgproto.fuzz.cases import Cases
    from hgproto.fuzz.targets import CallableTarget

    try:
        return Cases(
            options.role,
            seed,
            rate=options.rate,
            limits=options.limits,
            encodings=options.encodings,
            corpus=_corpus(options.corpus),
            probe=options.answers == "frames",
            without=options.without,
            dialogues=not isinstance(target, CallableTarget),
            defers=options.defers,
            fails=options.fails,
            reopen=options.reopen,
        )
    except ValueError as error:
        raise UsageError(f"argument --without: {error}") from None


def _baseline(paths: list[str]) -> set[Key]:
    """Returns the causes of the findings in files and directories."""
    from hgproto.fuzz.findings import read_causes

    causes: set[Key] = set()
    for path in paths:
        try:
            for file in _findings_in(path) if os.path.isdir(path) else [path]:
                causes |= read_causes(file)
        except OSError as error:
            raise StreamError.of(error, path) from None
        except ValueError as error:
            raise InputError(printable(str(error))) from None
    return causes


def _findings_in(directory: str) -> Iterator[str]:
    """Yields the files of findings in a directory. Raises :class:`StreamError` if a file cannot be read."""
    with suppress(UsageError):
        for path, trouble in files_in(directory):
            if trouble is not None:
                raise trouble
            if path.endswith(".json"):
                yield path


def _corpus(directory: str | None) -> list[bytes]:
    if directory is None:
        return []
    from hgproto.cli.corpus import files_of

    unread: list[InputError | StreamError] = []
    files = files_of(directory, unread.append)
    if unread:
        # A file with a fault takes precedence over an unreadable file.
        worst, *others = sorted(unread, key=lambda error: isinstance(error, StreamError))
        say(*map(str, others))
        raise worst
    return list(files.values())


def _replay(options: argparse.Namespace, target: Target, oracle: Oracle) -> int:
    """Runs findings again and prints one line for each. A finding that is reproduced decides the exit status."""
    from hgproto.fuzz.again import shown_again
    from hgproto.fuzz.findings import read_saved
    from hgproto.fuzz.targets import TargetError
    from hgproto.revisions.revision import default_revision

    in_trouble = other_schema = options.found_fault = False
    for path in options.replay:
        try:
            saved = read_saved(path)
        except OSError as error:
            in_trouble = True
            say(str(StreamError.of(error, path)))
            continue
        except ValueError as error:
            options.found_fault = True
            say(str(error))
            continue
        if saved.digest != default_revision().codec.DIGEST and not other_schema:
            other_schema = True
            say(f"{path}: the finding was recorded with another schema")
        try:
            again = shown_again(target, oracle, saved.case, saved.key)
        except TargetError as error:
            # An earlier finding has ended the target; the others cannot be run.
            if not options.found_fault:
                raise
            say(f"{path}: not run, because the target stopped working: {error}")
            continue
        # If there are several faults, prefers the fault of the finding.
        fault = again.fault or next(iter(again.faults), None)
        options.found_fault = options.found_fault or fault is not None
        if fault is not None:
            words = words_of(fault)
        elif saved.shown_again is False:
            words = "no fault this time; the case was not reproduced when it was found, either"
        elif oracle.ignores_key(saved.key):
            words = "not checked, because an option --ignore excludes it"
        else:
            words = "fixed: no fault any more"
        print(f"{printable(path)}: {printable(words)}", flush=True)
    return FAULT if options.found_fault else TROUBLE if in_trouble else GOOD
