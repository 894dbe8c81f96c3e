"""The command line, a thin face over the rest.

Exit codes: 0 good, 1 the input (frames, lines or a schema file) is at fault, 2 usage. What is asked for goes to standard
output, what is wrong with the input to standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hgproto import __version__
from hgproto.errors import HexError, HgprotoError, HumanFormError, LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import BinaryIO

    from hgproto.frame import Frame
    from hgproto.revision import Revision
    from hgproto.session import Step
    from hgproto.spec.model import Schema

__all__ = ["main"]

GOOD, FAULT, USAGE = 0, 1, 2

DEFAULT_REVISION = "framing-0002"


class _UsageError(Exception):
    """The command cannot be carried out as it was given."""


class _InputError(Exception):
    """The input is at fault, and the message that says so."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; gives the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has gone, which is no fault. Nothing may be written when Python shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return GOOD
    except KeyboardInterrupt:
        return 130
    except _UsageError as error:
        parser.exit(USAGE, f"hgproto: {error}\n")
    except (_InputError, HgprotoError) as error:
        sys.stdout.flush()
        for line in str(error).splitlines():
            print(f"hgproto: {line}", file=sys.stderr)
        return FAULT
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hgproto",
        description="Mercurial's frame-based wire protocol with streams: encode, decode, and the specification itself.",
        epilog="Exit codes: 0 good, 1 the input is at fault, 2 usage.",
    )
    parser.add_argument("--version", action="version", version=f"hgproto {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    encode = commands.add_parser(
        "encode",
        help="human form to frames",
        description="Reads frames in human form, one a line (blank lines and # comments are skipped), and writes them raw.",
    )
    encode.add_argument("file", nargs="?", default="-", metavar="FILE", help="the lines; - is standard input (default)")
    encode.add_argument("--hex", action="store_true", help="write lower-case hexadecimal, one line a frame")
    _frame_options(encode)
    encode.set_defaults(run=_encode)

    decode = commands.add_parser(
        "decode",
        help="frames to human form, JSON or an annotated dump",
        description="Reads raw frames and shows them. Damage inside of a payload is shown; a cut frame or a length over the "
        "limit ends the reading with an error.",
    )
    decode.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help="the frames; - is standard input (default)"
    )
    decode.add_argument(
        "--hex", action="store_true", help="the input is hexadecimal text; white space and # comments are skipped"
    )
    decode.add_argument(
        "--format",
        choices=("human", "json", "tree"),
        default="human",
        help="human: one line a frame, as encode reads it (default); json: one object a line; tree: an annotated hex dump",
    )
    _frame_options(decode)
    decode.set_defaults(run=_decode)

    session = commands.add_parser(
        "session",
        help="play a two-sided session through both reactors",
        description="Plays frames in human form, one a line, with > before what the client sends and < before what the server "
        "sends, and prints what the reactors make of them. Payloads are as they are before content encoding; after >! and <! "
        "as on the wire. `> end` and `< end` end a side's output; at the end of the file both end.",
    )
    session.add_argument("file", nargs="?", default="-", metavar="FILE", help="the lines (default: standard input)")
    session.add_argument(
        "--reopen", choices=("error", "restart"), default="error", help="stream-begin on an open stream"
    )
    session.add_argument("--streaming", action="store_true", help="the server hands data on as it arrives")
    session.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="NAME=N",
        help="a limit of both reactors, for example arguments=2",
    )
    session.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="json: an object a line, as in the golden sessions (default: text)",
    )
    session.set_defaults(run=_session)

    schema = commands.add_parser(
        "schema", help="check or show a specification", description="Checks or shows a specification."
    )
    schema_commands = schema.add_subparsers(metavar="COMMAND", required=True)
    check = schema_commands.add_parser(
        "check",
        help="prove a schema",
        description="Checks schema files and proves them: their shape, their references, their state machines, their examples. "
        "Without a file, those that come with hgproto.",
    )
    check.add_argument("files", nargs="*", metavar="FILE", help="a schema file")
    check.set_defaults(run=_schema_check)
    show = schema_commands.add_parser(
        "show",
        help="print a field table",
        description="Prints the fields, flags and rules of the header (frame-header), a frame type or a structure. Without a "
        "name, what there is to show.",
    )
    show.add_argument("name", nargs="?", metavar="NAME", help="for example frame-header or command-argument")
    _revision_option(show)
    show.set_defaults(run=_schema_show)

    generate = commands.add_parser(
        "generate",
        help="make the code of a schema",
        description="Makes the codec and the Structs of a schema. Without options, those of hgproto itself, in place.",
    )
    generate.add_argument(
        "--check", action="store_true", help="write nothing; print a diff and exit 1 when files are stale"
    )
    generate.add_argument("--output", metavar="DIR", help="the directory of the package; needed for a file of your own")
    generate.add_argument("--revision", metavar="NAME|FILE", help="the revision or schema file (default: all of ours)")
    generate.set_defaults(run=_generate)
    return parser


def _revision_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--revision",
        default=DEFAULT_REVISION,
        metavar="NAME|FILE",
        help=f"the revision by name, or a schema file of your own (default: {DEFAULT_REVISION})",
    )


def _frame_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-payload", type=int, metavar="N", help="the most octets of a payload (default: the revision's)"
    )
    _revision_option(parser)


def _max_payload(options: argparse.Namespace, revision: Revision) -> int:
    from hgproto.reader import checked_max_payload

    try:
        return checked_max_payload(options.max_payload, revision.codec)
    except ValueError as error:
        raise _UsageError(f"argument --max-payload: {error}") from None


def _revision(name: str) -> Revision:
    """The revision of that name; a file that is no good is the input's fault, a name that there is not is usage."""
    from hgproto.revision import Revision as Made

    revision = Made(name)
    if not revision.is_known and not os.path.exists(name):
        raise _UsageError(f"argument --revision: there is no revision {name!r}, and no such file")
    return revision


@contextmanager
def _input(name: str) -> Iterator[BinaryIO]:
    """A binary file by name, standard input for ``-``."""
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        file = open(name, "rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise _UsageError(f"{name}: {error.strerror}") from None
    with file:
        yield file


def _named(name: str) -> str:
    return "standard input" if name == "-" else name


# encode


def _encode(options: argparse.Namespace) -> int:
    from hgproto.human import parse_frame

    revision = _revision(options.revision)
    codec = revision.codec
    limit = _max_payload(options, revision)
    out = sys.stdout.buffer
    with _input(options.file) as file:
        for number, line in _lines(file, 4 * limit + 4096, _named(options.file)):
            if not line.strip() or line.lstrip().startswith(b"#"):
                continue
            try:
                octets = codec.encode_frame(parse_frame(line, codec), limit)
            except HumanFormError as error:
                out.flush()
                raise _InputError(f"{_named(options.file)}:{number}:{error.column}: {error.message}") from None
            except LocalProtocolError as error:
                out.flush()
                column = len(b" ".join(line.split(b" ", 5)[:5])) + 2
                raise _InputError(
                    f"{_named(options.file)}:{number}:{column}: {error.message} ({error.requirement})"
                ) from None
            out.write(octets.hex().encode() + b"\n" if options.hex else octets)
    return GOOD


def _lines(file: BinaryIO, limit: int, name: str) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers; one of more than ``limit`` octets is refused before it is gathered."""
    number = 0
    while line := file.readline(limit + 1):
        number += 1
        if len(line) > limit and not line.lstrip().startswith(b"#"):
            sys.stdout.buffer.flush()
            raise _InputError(f"{name}:{number}:{limit + 1}: expected a line of at most {limit} octets, found more")
        yield number, line
        while not line.endswith(b"\n") and len(line) > limit:
            line = file.readline(limit + 1)


# decode


def _decode(options: argparse.Namespace) -> int:
    from hgproto.reader import FrameReader

    revision = _revision(options.revision)
    codec = revision.codec
    reader = FrameReader(max_payload=_max_payload(options, revision), codec=codec)
    lines = {"human": _human_lines, "json": _json_lines, "tree": _tree_lines}[options.format]
    with _input(options.file) as file:
        frames = reader.read(_hex_chunks(file) if options.hex else file)
        out = sys.stdout.buffer
        try:
            for text in lines(frames, revision):
                out.write(text.encode("utf-8"))
        except HexError as error:
            out.flush()
            place = f"{_named(options.file)}:{error.line}:{error.column}"
            raise _InputError(f"{place}: expected {error.expected}, found {error.found}") from None
        except HgprotoError as error:
            out.flush()
            raise _InputError(f"{_named(options.file)}: {error}") from None
    return GOOD


def _hex_chunks(file: BinaryIO) -> Iterator[bytes]:
    from hgproto.hexform import octets_from_hex
    from hgproto.reader import CHUNK_OCTETS

    read: Callable[[int], bytes] = getattr(file, "read1", file.read)
    return octets_from_hex(iter(lambda: read(CHUNK_OCTETS), b""))


def _human_lines(frames: Iterable[Frame], revision: Revision) -> Iterator[str]:
    from hgproto.human import format_frame

    for frame in frames:
        yield f"{format_frame(frame, revision.codec)}\n"


def _placed(frames: Iterable[Frame], revision: Revision) -> Iterator[tuple[Frame, int, bool]]:
    """Frames with the offset of the header, and whether each continues an earlier one."""
    from hgproto.jsonform import Continuations

    continuations = Continuations(revision.codec)
    offset = 0
    for frame in frames:
        yield frame, offset, continuations.next(frame)
        offset += revision.codec.HEADER_OCTETS + len(frame.payload)


def _json_lines(frames: Iterable[Frame], revision: Revision) -> Iterator[str]:
    import json

    from hgproto.jsonform import frame_to_json

    for frame, offset, continued in _placed(frames, revision):
        yield f"{json.dumps(frame_to_json(frame, revision.codec, offset, continued=continued))}\n"


def _tree_lines(frames: Iterable[Frame], revision: Revision) -> Iterator[str]:
    from hgproto.tree import Style, frame_tree

    style = Style(colour=_wants_colour())
    for number, (frame, offset, continued) in enumerate(_placed(frames, revision)):
        for line in frame_tree(frame, number, offset, continued, revision.schema, revision.codec, style):
            yield f"{line}\n"


def _wants_colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


# session


def _session(options: argparse.Namespace) -> int:
    import json

    from hgproto.limits import Limits
    from hgproto.session import Session, event_text, event_to_json

    try:
        limits = Limits.of(options.limit)
    except (TypeError, ValueError) as error:
        raise _UsageError(f"argument --limit: {error}") from None
    session = Session(limits=limits, reopen=options.reopen, streaming=options.streaming)
    name = _named(options.file)
    violations, frames, ended = [], 0, set()

    def show(number: int | None, line: str, step: Step) -> None:
        if options.format == "json":
            wire: dict[str, object] = {} if step.wire is None else {"wire": step.wire.hex()}
            if line[1] == "!":
                line, wire = f"{line[0]}{line[2:]}", {**wire, "raw": True}
            print(json.dumps({"line": line, **wire, "events": [event_to_json(event) for event in step.events]}))
        else:
            shown = line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
            print(f"{number or '':>4} {shown}")
            for event in step.events:
                print(f"     {step.judge}: {event_text(event)}")
        if step.violation is not None:
            place = name if number is None else f"{name}:{number}"
            violations.append(f"{place}: {step.judge}: {step.violation[1]}")

    with _input(options.file) as file:
        for number, octets in _lines(file, 1 << 27, name):
            if not octets.strip() or octets.lstrip().startswith(b"#"):
                continue
            try:
                step = session.play(octets)
            except HumanFormError as error:
                raise _InputError(f"{name}:{number}:{error.column}: {error.message}") from None
            except LocalProtocolError as error:
                raise _InputError(f"{name}:{number}: {error.message} ({error.requirement})") from None
            line = octets.decode("utf-8", "backslashreplace").rstrip("\r\n")
            if step.wire is None:
                ended.add(line[0])
            else:
                frames += 1
            show(number, line, step)
    for side in "><":
        # After a violation, what is missing says nothing about the other side.
        if side not in ended and not violations and (step := session.end(side)).events:
            show(None, f"{side} end", step)
    sys.stdout.flush()
    for violation in violations:
        print(f"hgproto: {violation}", file=sys.stderr)
    if not violations and options.format == "text":
        print(f"good: {frames} frames")
    return FAULT if violations else GOOD


_SHOWN = 100
"""Characters of a line that are printed."""


# schema


def _schema_check(options: argparse.Namespace) -> int:
    from hgproto.prove import prove
    from hgproto.spec import SchemaError, check, load
    from hgproto.spec.load import known_revisions

    code = GOOD
    for file in options.files or known_revisions().values():
        try:
            schema = load(file)
            problems, proven = check(schema), 0
            if not problems:
                problems, proven = prove(schema)
        except SchemaError as error:
            problems = list(error.problems)
        for problem in problems:
            print(problem, file=sys.stderr)
        if problems:
            code = FAULT
        else:
            print(f"{_shown_path(file)}: good: {_counts(schema, proven)}")
    return code


def _shown_path(file: str | os.PathLike[str]) -> str:
    """A path as short as it can be said from here."""
    path = os.fspath(file)
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def _counts(schema: Schema, proven: int) -> str:
    parts = [
        (len(schema.frames), "frame type"),
        (len(schema.structures), "structure"),
        (len(schema.requirements), "requirement"),
        (len(schema.machines), "state machine"),
        (proven, "example"),
    ]
    return f"{', '.join(f'{number} {what}' + 's' * (number != 1) for number, what in parts)} proven"


def _schema_show(options: argparse.Namespace) -> int:
    from hgproto.show import names, overview, show
    from hgproto.spec.problems import suggestion

    schema = _revision(options.revision).schema
    if options.name is None:
        lines = overview(schema)
    elif options.name in names(schema):
        lines = show(options.name, schema)
    else:
        raise _UsageError(
            f"there is no {options.name!r} in {schema.revision}; {suggestion(options.name, names(schema))}"
        )
    for line in lines:
        print(line)
    return GOOD


# generate


def _generate(options: argparse.Namespace) -> int:
    from pathlib import Path

    from hgproto.generate import package_directory, stale, write
    from hgproto.spec import SchemaError, check, load
    from hgproto.spec.load import find, known_revisions

    ours = known_revisions()
    if options.revision is not None and options.revision not in ours and options.output is None:
        raise _UsageError("--output says where the package of a schema of your own goes")
    if options.output is not None and options.revision is None:
        raise _UsageError("--output needs --revision")
    if options.revision is not None:
        _revision(options.revision)
    files = list(ours.values()) if options.revision is None else [find(options.revision)]
    code = GOOD
    for file in files:
        schema = load(file)
        problems = check(schema)
        if problems:
            raise SchemaError(problems)
        directory = Path(options.output) if options.output is not None else package_directory(schema)
        if options.check:
            diff = list(stale(schema, directory))
            sys.stdout.writelines(diff)
            if diff:
                print(f"hgproto: {directory} is stale; run `hgproto generate`", file=sys.stderr)
                code = FAULT
        else:
            for changed in write(schema, directory):
                print(changed)
    return code
