"""``hgproto validate``: reports every requirement that bytes violate."""

from __future__ import annotations

import io
import os
import sys
from codecs import BOM_UTF8
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hgproto.cli.common import (
    FAULT,
    FILE,
    GOOD,
    INPUT,
    TROUBLE,
    InputError,
    StreamError,
    UsageError,
    frame_limits,
    frame_options,
    hex_chunks,
    input_error,
    input_files,
    limit_name,
    lines_of,
    max_payload,
    named,
    open_input,
    revision_hint,
    revision_of,
    say,
    unavailable_messages,
    wants_colour,
)
from hgproto.cli.parser import examples
from hgproto.errors import HumanFormError, LocalProtocolError, counted, printable, quoted
from hgproto.judging.finding import other_role
from hgproto.judging.report import MISSING_PACKAGE, TOO_MANY_INCOMPLETE, UNREADABLE_CONTENT, UNREADABLE_FILE, Unreadable
from hgproto.system.option_types import setting
from hgproto.system.stdio import OutputError
from hgproto.wire.hexform import form_of
from hgproto.wire.reader import CHUNK_BYTES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from hgproto.cli import Commands
    from hgproto.judging.baseline import Baseline
    from hgproto.judging.finding import Finding, Role
    from hgproto.judging.report import Report
    from hgproto.reactors.limits import Limits
    from hgproto.revisions.revision import Revision

__all__ = ["add"]

LONG_SECONDS = 1
"""Seconds after which a terminal shows the progress of an input."""
_LONGEST_BEGINNING = 4096
"""Number of bytes at the start of an input that are checked for text."""


def add(commands: Commands) -> None:
    """Adds the command."""
    from hgproto.judging.report import FORMATS

    validate = commands.add_parser(
        "validate",
        help="report every requirement that bytes violate",
        description="Reads the bytes that one side sent, or a session of both sides. Reports every violated requirement with its "
        "place, the expected value, and the value found.",
        epilog="Exit statuses: 0 no errors; 1 errors; 2 wrong usage; 3 an input cannot be read and no other input has errors.\n\n"
        + examples(
            "hgproto validate capture.bin",
            "hgproto validate heads.session",
            "hgproto validate --format json --strict captures",
            "printf heads | hgproto validate --payload command-name --flags eos",
        ),
    )
    validate.add_argument(
        "input",
        nargs="*",
        type=INPUT,
        default=["-"],
        metavar="FILE|-|DIRECTORY",
        help="file with frames, or a directory of such files; files that end in .hex are hexadecimal, and files that end in "
        ".session have both sides (default: standard input)",
    )
    validate.add_argument(
        "--role",
        choices=("client", "server", "both"),
        help="sender of the frames; both: the input is a session in human form, as hgproto session reads it (default: the "
        "side of the first frame's stream)",
    )
    validate.add_argument(
        "--depth",
        choices=("session", "frames"),
        default="session",
        help="session: check streams, requests, and encoded payloads too; frames: check each frame by itself (default: session)",
    )
    validate.add_argument(
        "--payload",
        metavar="TYPE",
        help="read one payload of this frame type, by name or number, without a header",
    )
    validate.add_argument("--flags", metavar="FLAGS", help="with --payload: flags of the frame, joined by |")
    validate.add_argument(
        "--continued", action="store_true", help="with --payload: the payload continues that of the previous frame"
    )
    validate.add_argument("--hex", action="store_true", help="read hexadecimal text")
    validate.add_argument("--strict", action="store_true", help="exit 1 for warnings too")
    validate.add_argument(
        "--format", choices=tuple(FORMATS), default="text", help="format of the report (default: text)"
    )
    for name, what in (("select", "report only"), ("ignore", "do not report")):
        validate.add_argument(
            f"--{name}",
            action="append",
            default=[],
            metavar="ID",
            help=f"{what} these requirements: ids or patterns such as text-output.*, joined by commas",
        )
    validate.add_argument(
        "--baseline", type=FILE, metavar="FILE", help="file of known findings, each with a reason and a date"
    )
    validate.add_argument(
        "--site", default="", metavar="URL", help="address of the documentation site, for links to requirements"
    )
    validate.add_argument(
        "--reopen",
        choices=("error", "restart"),
        default="error",
        help="effect of stream-begin on an open stream: an error (default), or a restart of the stream",
    )
    validate.add_argument(
        "--limit",
        type=setting,
        action="append",
        default=[],
        metavar="NAME=N",
        help="limit of the receiver by its name in the revision, for example arguments=2",
    )
    frame_options(validate, "; with --payload: the largest length that a header can express")
    validate.set_defaults(run=_validate)


def _validate(options: argparse.Namespace) -> int:
    from hgproto.judging.report import FORMATS

    inputs = input_files(options.input)
    # Loaded once: a pipe can be read only once, and a file may be replaced meanwhile.
    revision = revision_of(options.revision)
    check = _checker(options, revision, [path for path, _ in inputs])
    wanted = _selection(options, revision)
    baseline = _baseline(options, revision)
    if options.format != "text" and isinstance(sys.stdout, io.TextIOWrapper):
        # Programs read these formats as UTF-8; the XML declaration states it.
        sys.stdout.reconfigure(encoding="utf-8", errors=sys.stdout.errors)
    report = FORMATS[options.format](
        sys.stdout, colour=wants_colour() and options.format == "text", site=options.site, strict=options.strict
    )
    run = _Run(report, wanted, baseline, options, revision)
    for path, trouble in inputs:
        run.input(path, check(path), trouble)
    run.close()
    return FAULT if options.found_fault else TROUBLE if run.trouble else GOOD


class _Run:
    """One report about all inputs. Sets ``options.found_fault`` at the first fault in an input."""

    def __init__(
        self,
        report: Report,
        wanted: Callable[[Finding], bool],
        baseline: Baseline | None,
        options: argparse.Namespace,
        revision: Revision,
    ) -> None:
        self.trouble = False
        """True once an input could not be read or decoded."""
        options.found_fault = False
        self._options = options
        self._report = report
        self._wanted = wanted
        self._baseline = baseline
        self._failing = ("error", "warning") if options.strict else ("error",)
        self._parity = revision.machines.STREAM_PARITY["requirement"]
        self._remedy = _remedy(options)
        self._revision = revision
        self._today = datetime.now(tz=UTC).date()

    def input(self, path: str, given: _Input, trouble: StreamError | None) -> None:
        """Validates an input. If it cannot be read or parsed, the report has an error about it."""
        name, validator = named(path), given.validator
        self._other_side = self._errors = 0
        self._report.begin(name)
        for found in given.findings() if trouble is None else (Unreadable(UNREADABLE_FILE, trouble.reason),):
            if isinstance(found, Unreadable):
                self._unreadable(name, found)
            else:
                self._finding(name, found)
        for message in unavailable_messages(validator.unavailable):
            self._unreadable(name, Unreadable(MISSING_PACKAGE, message))
        if validator.untracked:
            from hgproto.judging.frame_judge import untracked_message

            self._unreadable(name, Unreadable(TOO_MANY_INCOMPLETE, untracked_message(validator.untracked)))
        role = getattr(validator, "role", None)
        text = _text_hint(given.beginning, self._revision) if self._errors else ""
        if text:
            self._report.hint(name, text)
        elif self._errors and (hint := revision_hint(given.head, self._revision)):
            self._report.hint(name, hint)
        elif self._other_side and role is not None:
            self._report.hint(name, _hint(role, self._other_side, validator.frames, self._remedy))
        self._report.end(name, validator.frames, validator.size)

    def _finding(self, name: str, finding: Finding) -> None:
        if not self._wanted(finding):
            return
        known = None if self._baseline is None else self._baseline.match(name, finding, self._today)
        if known is None and finding.severity in self._failing:
            self._options.found_fault = True
        self._other_side += known is None and finding.id == self._parity
        self._errors += known is None and finding.severity == "error"
        self._report.finding(name, finding, known)

    def _unreadable(self, name: str, fault: Unreadable) -> None:
        if fault.rule in (UNREADABLE_CONTENT, TOO_MANY_INCOMPLETE):
            self._options.found_fault = True
        else:
            self.trouble = True
        say(f"{fault.place(name)}: {fault.message}")
        self._report.unreadable(name, fault)

    def close(self) -> None:
        """Ends the report, and prints the baseline entries that have expired or match no finding."""
        self._report.close()
        if self._baseline is not None:
            for known in self._baseline.expired(self._today):
                say(f"{self._baseline.place(known)}: expired on {known.expires}")
            for known in self._baseline.unused(self._today):
                say(f"{self._baseline.place(known)}: no finding matches this entry; correct or remove it")


class _Input:
    """An input with its validator.

    ``beginning``: its first bytes if it is read as the bytes of frames. ``head``: the first bytes that are validated.
    """

    def __init__(self, path: str, validator: Any, *, hexadecimal: bool, of_frames: bool = False) -> None:
        self.path = path
        self.beginning = self.head = b""
        self._of_frames = of_frames and not hexadecimal
        self.validator = validator
        self._hexadecimal = hexadecimal

    def findings(self) -> Iterator[Finding | Unreadable]:
        """Yields the findings, then the error if the input could not be read to its end."""
        try:
            with open_input(self.path) as file:
                yield from self._lines(file) if hasattr(self.validator, "line") else self._bytes(file)
        except InputError as error:
            yield Unreadable(UNREADABLE_CONTENT, error.message, error.line, error.column)
        except OutputError:
            raise
        except StreamError as error:
            yield Unreadable(UNREADABLE_FILE, error.reason)
        else:
            yield from self.validator.close()

    def _bytes(self, file: BinaryIO) -> Iterator[Finding]:
        chunks = _watched(file, self.path)
        for chunk in hex_chunks(chunks, named(self.path)) if self._hexadecimal else chunks:
            if self._of_frames and len(self.beginning) < _LONGEST_BEGINNING:
                self.beginning += chunk[:_LONGEST_BEGINNING]
            if len(self.head) < _LONGEST_BEGINNING:
                self.head += chunk[:_LONGEST_BEGINNING]
            yield from self.validator.feed(chunk)

    def _lines(self, file: BinaryIO) -> Iterator[Finding]:
        from hgproto.wire.human import LONGEST_LINE

        name = named(self.path)
        for number, line in lines_of(file, LONGEST_LINE, name):
            try:
                yield from self.validator.line(line, number)
            except (HumanFormError, LocalProtocolError) as error:
                raise input_error(error, name, number) from None


def _hint(role: Role, number: int, frames: int, remedy: str) -> str:
    """Returns a hint about frames on streams of the other side.

    ``number``: the number of such frames. ``remedy``: the remedy for an input that mixes both directions.
    """
    other = other_role(role)
    if number == frames:
        return f"every frame is on a stream of the {other}; use --role {other} for frames that the {other} sent"
    which = f"{number} of {counted(frames, 'frame')} {'is' if number == 1 else 'are'} on streams of the {other}"
    return f"{which}; if both directions are mixed here, write each one to its own file, {remedy}"


def _remedy(options: argparse.Namespace) -> str:
    """Returns a remedy for both directions in one file."""
    if options.depth == "frames":
        return "or leave out --role to check each frame by itself in either direction"
    frames = "--depth frames without --role checks each frame by itself in either direction"
    return (
        "or use --role both with a session: the lines of hgproto decode, with >! before each frame of the client and <! "
        f"before each frame of the server; {frames}"
    )


def _text_hint(beginning: bytes, revision: Revision) -> str:
    """Returns a remedy for text that was read as the bytes of frames; empty if the input is not text.

    ``beginning``: the first bytes of the input. The first line that is not empty or a comment decides.
    """
    from hgproto.wire.human import parse_frame

    lines = (line.strip() for line in beginning.removeprefix(BOM_UTF8).splitlines())
    line = next((line for line in lines if line and not line.startswith(b"#")), b"")
    if line.startswith((b"> ", b">! ", b"< ", b"<! ")):
        if not revision.has_sessions:
            return f"this looks like a session in human form; {revision.name} has no state machines to validate it"
        return "this looks like a session in human form; use --role both, or rename the file so that its name ends in .session"
    with suppress(ValueError):
        bytes.fromhex(line.partition(b"#")[0].decode("ascii"))
        hint = "this looks like hexadecimal text; use --hex, or rename the file so that its name ends in .hex"
        return hint if line else ""
    with suppress(HumanFormError):
        # A payload may be cut off here.
        parse_frame(b" ".join(line.split(b" ", 5)[:5]), revision.codec)
        return "this looks like frames in human form; use hgproto encode to convert them to bytes"
    return ""


def _watched(file: BinaryIO, path: str) -> Iterator[bytes]:
    """Yields a file in chunks. Shows the progress if it takes long and standard error is a terminal."""
    from tqdm import tqdm

    read: Callable[[int], bytes] = getattr(file, "read1", file.read)
    size = os.fstat(file.fileno()).st_size if path != "-" else 0
    with tqdm(
        total=size or None,
        unit="B",
        unit_scale=True,
        delay=LONG_SECONDS,
        disable=None,
        leave=False,
        desc=printable(named(path)),
    ) as bar:
        while chunk := read(CHUNK_BYTES):
            yield chunk
            if path == "-":
                # Standard input may pause here.
                sys.stdout.flush()
            bar.update(len(chunk))


def _checker(options: argparse.Namespace, revision: Revision, paths: list[str]) -> Callable[[str], _Input]:
    """Returns the function that builds the input of a path. Raises :class:`UsageError` for incompatible options."""
    from hgproto.judging.validation import SessionValidator, Validator

    max_payload(options, revision)
    way = "--payload" if options.payload is not None else "--depth frames" if options.depth == "frames" else None
    limits = frame_limits(options, revision, None if way is None else f"with {way}")
    if way is not None and options.reopen != "error":
        raise UsageError(f"argument --reopen: it has no effect with {way}; leave it out")
    if options.payload is None and (options.flags is not None or options.continued):
        raise UsageError("--flags and --continued require --payload")
    one_side = "--payload" if options.payload is not None else f"--role {options.role}" if options.role else ""
    if one_side and options.role != "both":
        for path in paths:
            if form_of(path) == "session":
                raise UsageError(
                    f"argument {one_side}: {printable(path)}: a session has both sides; leave the option out"
                )
    if options.payload is not None:
        payload = _payload_options(options, revision, limits)
        return lambda path: _Input(path, payload(), hexadecimal=options.hex or form_of(path) == "hex")
    role = None if options.role == "both" else options.role

    def has_both(path: str) -> bool:
        return options.role == "both" or (options.role is None and form_of(path) == "session")

    if any(map(has_both, paths)) and not revision.has_sessions:
        raise UsageError(f"{revision.name} has no state machines, so sessions of both sides cannot be validated")
    if any(map(has_both, paths)) and options.depth != "session":
        raise UsageError("a session of both sides requires --depth session")
    if options.depth == "session" and not revision.has_sessions:
        reason = f"{revision.name} has no state machines, so only its frames can be validated"
        raise UsageError(f"{reason}; use --depth frames")
    if options.hex and any(map(has_both, paths)):
        raise UsageError("argument --hex: sessions and inputs with --role both are in human form; leave the option out")

    def made(path: str) -> _Input:
        if has_both(path):
            return _Input(
                path, SessionValidator(limits=limits, reopen=options.reopen, revision=revision), hexadecimal=False
            )
        validator = Validator(
            role,
            depth=options.depth,
            limits=limits,
            max_payload=options.max_payload,
            reopen=options.reopen,
            revision=revision,
        )
        return _Input(path, validator, hexadecimal=options.hex or form_of(path) == "hex", of_frames=True)

    try:
        made(paths[0])
    except ValueError as error:
        raise UsageError(str(error)) from None
    return made


def _payload_options(options: argparse.Namespace, revision: Revision, limits: Limits) -> Callable[[], Any]:
    """Returns the function that builds the validator of a payload. Sets ``options.payload`` to the name of the frame type."""
    from hgproto.judging.validation import PayloadValidator
    from hgproto.runtime.layout import case_of
    from hgproto.wire.human import parse_frame

    if options.role is not None or options.depth != "session":
        raise UsageError("--payload cannot be combined with --role or --depth")
    flags = "0" if options.flags is None else options.flags
    for name, what, word in (("payload", "a frame type", options.payload), ("flags", "flags joined by |", flags)):
        if word.split() != [word]:
            raise UsageError(f"argument --{name}: expected {what}, found {quoted(word)}")
    try:
        frame = parse_frame(f"0 0 0 {options.payload} {flags}", revision.codec)
        options.payload = revision.codec.TYPE_NAMES.get(int(frame.type), options.payload)
        PayloadValidator(options.payload, revision=revision)
    except HumanFormError as error:
        raise UsageError(f"argument --{'payload' if 'type' in error.expected else 'flags'}: {error.message}") from None
    except ValueError as error:
        raise UsageError(f"argument --payload: {error}") from None
    codec = revision.codec
    layout = codec.LAYOUTS.get(case_of(codec.PAYLOADS[int(frame.type)], int(frame.flags), options.continued))
    has_items = layout is not None and "limit" in layout.rules
    if not has_items and codec.ITEMS_LIMIT in [limit_name(setting) for setting in options.limit]:
        raise UsageError(
            f"argument --limit: {codec.ITEMS_LIMIT} has no effect with --payload {options.payload}; leave it out"
        )
    return lambda: PayloadValidator(
        options.payload,
        flags=int(frame.flags),
        continued=options.continued,
        revision=revision,
        max_payload=options.max_payload,
        max_items=limits.payload_items if has_items else None,
    )


def _selection(options: argparse.Namespace, revision: Revision) -> Callable[[Finding], bool]:
    """Returns the filter of findings. Raises :class:`UsageError` if no finding can pass it."""
    from hgproto.judging.baseline import selects
    from hgproto.judging.rules import findable

    requirements = revision.requirements
    lists: dict[str, list[str]] = {}
    for name in ("select", "ignore"):
        lists[name] = []
        for text in getattr(options, name):
            given = [one for one in text.split(",") if one]
            if name == "select" and not given:
                raise UsageError(f"argument --select: {quoted(text)} does not name a requirement; use ids or patterns")
            lists[name] += given
        for one in lists[name]:
            if not any(selects(requirement, [one], []) for requirement in requirements):
                raise UsageError(f"argument --{name}: there is no requirement {quoted(one)}")
    select, ignore = lists["select"], lists["ignore"]
    known = findable(revision, options.depth, options.role, options.payload)
    if not any(selects(name, select, []) for name in known):
        way = f"--payload {options.payload}" if options.payload is not None else f"--depth {options.depth}"
        raise UsageError(f"argument --select: {way} cannot find any of them; select others, or check more deeply")
    if not any(selects(name, select, ignore) for name in known):
        raise UsageError("argument --ignore: this ignores every requirement; ignore fewer")
    return lambda finding: selects(finding.id, select, ignore)


def _baseline(options: argparse.Namespace, revision: Revision) -> Baseline | None:
    from hgproto.judging.baseline import Baseline, BaselineError

    if options.baseline is None:
        return None
    try:
        return Baseline.load(options.baseline, revision.requirements)
    except BaselineError as error:
        if isinstance(error.__cause__, OSError):
            raise StreamError.of(error.__cause__, options.baseline) from None
        raise UsageError(f"argument --baseline: {error}") from None
