"""``hgproto sample``: generates frames and sessions from a seed."""

from __future__ import annotations

import os
import sys
from itertools import chain, islice
from typing import TYPE_CHECKING

from hgproto.cli.common import (
    DIRECTORY,
    GOOD,
    InputError,
    StreamError,
    UsageError,
    refuse_terminal,
    revision_of,
    revision_option,
)
from hgproto.cli.parser import examples
from hgproto.errors import quoted
from hgproto.system.option_types import MOST_SEED, whole
from hgproto.system.stdio import write_whole

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from hgproto.cli import Commands
    from hgproto.judging.finding import Role
    from hgproto.revisions.revision import Revision
    from hgproto.runtime.frame import Frame
    from hgproto.samples import Line

__all__ = ["add"]

_FRESH = 50
"""One payload per this many frames is new; the other frames reuse payloads."""
_BATCH = 1000
"""Number of frames written at a time."""


def add(commands: Commands) -> None:
    """Adds the command."""
    sample = commands.add_parser(
        "sample",
        help="generate frames or sessions from a seed",
        description="Generates valid frames, valid sessions of both sides, or, with --invalid, samples that violate exactly one "
        "requirement. Prints the seed on standard error. The same seed yields the same bytes on every machine.",
        epilog=examples(
            "hgproto sample -n 3 --seed 7",
            "hgproto sample session -n 1 --seed 7",
            "hgproto sample session -n 1 --invalid stream-id.parity --seed 7",
        ),
    )
    sample.add_argument(
        "what", nargs="?", metavar="TYPE|session", help="frame type, or session (default: frames of all types)"
    )
    sample.add_argument("-n", "--number", type=whole(), default=10, metavar="N", help="number of samples (default: 10)")
    sample.add_argument(
        "--seed",
        type=whole(0, MOST_SEED),
        metavar="S",
        help="random seed (default: a new one, printed on standard error)",
    )
    sample.add_argument(
        "--invalid", metavar="ID", help="violate this requirement and no other; without TYPE, generate sessions"
    )
    sample.add_argument(
        "--encoded",
        action="store_true",
        help="generate compressed payloads too; their bytes depend on the build of the compressor",
    )
    sample.add_argument(
        "--format",
        choices=("raw", "hex", "human", "json"),
        default="human",
        help="raw: bytes; hex: one line per frame; human: one line per frame (default); json: one object per frame or session",
    )
    sample.add_argument(
        "--role",
        choices=("client", "server"),
        help="for sessions, the side to write (default with raw and hex: client); with --invalid, the side that violates it",
    )
    sample.add_argument(
        "-o",
        "--output",
        type=DIRECTORY,
        metavar="DIRECTORY",
        help="write one file per sample, named by its number and format, such as 000000.session",
    )
    revision_option(sample)
    sample.set_defaults(run=_sample)


def _sample(options: argparse.Namespace) -> int:
    from hgproto.revisions.revision import DEFAULT_REVISION

    revision = revision_of(options.revision)
    sessions = options.what == "session" or (options.what is None and options.invalid is not None)
    if not sessions and options.what not in (None, *revision.codec.CODES):
        known = ", ".join((*revision.codec.CODES, *(["session"] if revision.name == DEFAULT_REVISION else [])))
        raise UsageError(f"argument TYPE: unknown frame type {quoted(options.what)}; use one of {known}")
    if (sessions or options.invalid is not None) and revision.name != DEFAULT_REVISION:
        raise UsageError(f"sessions and --invalid are available for {DEFAULT_REVISION} only")
    _check_effects(options, revision, sessions=sessions)
    if sessions and options.format == "raw" and options.output is None and options.number > 1:
        raise UsageError("--format raw writes one session to standard output; use -n 1 or -o DIRECTORY")
    if options.format == "raw" and options.output is None:
        refuse_terminal("--format hex, -o DIRECTORY")
    seed = int.from_bytes(os.urandom(4)) if options.seed is None else options.seed
    try:
        made = _sessions(options, seed) if sessions else _frames(options, revision, seed)
        # The first sample raises errors about wrong options, before the seed is printed.
        first = list(islice(made, 1))
        print(f"seed: {seed}", file=sys.stderr)
        made = chain(first, made)
        if options.output is None:
            _write(made, sys.stdout.buffer.write)
        else:
            suffixes = {"raw": "bin", "human": "session" if sessions else "txt"}
            _write_files(made, options.output, suffixes.get(options.format, options.format))
    except ValueError as error:
        from hgproto.samples.broken import is_breakable
        from hgproto.samples.violators import VIOLATORS
        from hgproto.streams.encodings import default_encodings

        message = f"argument --invalid: {error}"
        if default_encodings().missing and options.invalid in VIOLATORS and not is_breakable(options.invalid):
            raise StreamError("", message) from None
        raise UsageError(message) from None
    return GOOD


def _check_effects(options: argparse.Namespace, revision: Revision, *, sessions: bool) -> None:
    """Raises :class:`UsageError` for an option that would have no effect."""
    if sessions:
        return
    if options.role is not None:
        raise UsageError(
            "argument --role: it has no effect on single frames, because the type decides the sender; leave it out"
        )
    if options.encoded and options.invalid is not None:
        raise UsageError("argument --encoded: it has no effect on single frames with --invalid; use it with session")
    if options.encoded:
        from hgproto.samples.frames import FrameMaker

        maker = FrameMaker(revision)
        codes = maker.types if options.what is None else (revision.codec.CODES[options.what],)
        if not any(maker.can_be_encoded(code) for code in codes):
            what = options.what or f"frames of {revision.name}"
            raise UsageError(f"argument --encoded: it has no effect, because {what} cannot have an encoded payload")


def _write(made: Iterator[bytes], write: Callable[[bytes], object]) -> None:
    while batch := list(islice(made, _BATCH)):
        write(b"".join(batch))


def _write_files(made: Iterator[bytes], directory: str, suffix: str) -> None:
    os.makedirs(directory, exist_ok=True)
    for number, data in enumerate(made):
        write_whole(os.path.join(directory, f"{number:06}.{suffix}"), data)


def _frames(options: argparse.Namespace, revision: Revision, seed: int) -> Iterator[bytes]:
    """Yields each frame in the requested format."""
    from hgproto.samples import Seeded
    from hgproto.samples.broken import broken_frame, checked_breakable
    from hgproto.samples.frames import FrameMaker, NotMadeError

    codec, choices = revision.codec, Seeded(seed)
    if options.invalid is not None:
        checked_breakable(options.invalid, options.role)
        for _ in range(options.number):
            data = broken_frame(options.invalid, options.what, choices, role=options.role)
            yield _shown_bytes(data, options.format, revision)
        return
    maker = FrameMaker(revision, fresh=_FRESH)
    code = None if options.what is None else codec.CODES[options.what]
    show = _shown(options.format, revision)
    try:
        if options.output is not None:
            # A reader sees each file by itself, so no frame continues another.
            for _ in range(options.number):
                yield show(maker.frame(choices, code, encoded=options.encoded), False)
            return
        for frame, continued in islice(maker.sequence(choices, code, encoded=options.encoded), options.number):
            yield show(frame, continued)
    except NotMadeError as error:
        raise InputError(str(error)) from None


def _shown(format_: str, revision: Revision) -> Callable[[Frame, bool], bytes]:
    """Returns the function that formats a frame; its second argument is True if the frame continues an earlier one."""
    codec = revision.codec
    if format_ == "raw":
        return lambda frame, _: codec.encode_frame(frame)
    if format_ == "hex":
        return lambda frame, _: codec.encode_frame(frame).hex().encode() + b"\n"
    if format_ == "human":
        from hgproto.wire.human import format_frame

        return lambda frame, _: format_frame(frame, codec).encode() + b"\n"
    import json

    from hgproto.wire.jsonform import frame_to_json

    return lambda frame, continued: json.dumps(frame_to_json(frame, codec, continued=continued)).encode() + b"\n"


def _shown_bytes(data: bytes, format_: str, revision: Revision) -> bytes:
    """Returns an invalid frame in a format. Raises :class:`UsageError` if the format cannot express the frame."""
    from hgproto.errors import RemoteProtocolError

    if format_ == "raw":
        return data
    if format_ == "hex":
        return data.hex().encode() + b"\n"
    try:
        frame, _ = revision.codec.decode_frame(data)
    except RemoteProtocolError as error:
        raise UsageError(
            f"a sample that violates {error.requirement} is not a whole frame; use --format raw or hex"
        ) from None
    return _shown(format_, revision)(frame, False)


def _sessions(options: argparse.Namespace, seed: int) -> Iterator[bytes]:
    """Yields each session in the requested format."""
    from hgproto.samples import Seeded, session
    from hgproto.samples.broken import broken_session, checked_breakable, is_breakable
    from hgproto.streams.encodings import Encodings, default_encodings

    encodings = default_encodings()
    plain = Encodings([encodings["identity"]])
    if not options.encoded and (options.invalid is None or is_breakable(options.invalid, plain)):
        encodings = plain
    # If only one side is written, that side must violate the requirement.
    role: Role | None = options.role or ("client" if options.format in ("raw", "hex") else None)
    if options.invalid is not None:
        checked_breakable(options.invalid, role, encodings)
    choices = Seeded(seed)
    for number in range(options.number):
        if options.invalid is not None:
            lines = broken_session(options.invalid, choices, role=role, encodings=encodings)
        else:
            lines = session(choices, encodings=encodings)
        title = f"# session {number}\n".encode() if options.number > 1 and options.output is None else b""
        match options.format:
            case "raw":
                yield b"".join(_bytes(lines, options.role or "client"))
            case "hex":
                frames = (data.hex().encode() + b"\n" for data in _bytes(lines, options.role or "client"))
                yield title + b"".join(frames)
            case "human":
                yield title + b"".join(_human_lines(lines, options))
            case "json":
                yield _json_session(lines, number, options)


def _bytes(lines: list[Line], role: Role) -> Iterator[bytes]:
    from hgproto.samples import wires

    return (data for side, data in wires(lines) if side == role and data is not None)


def _human_lines(lines: list[Line], options: argparse.Namespace) -> Iterator[bytes]:
    """Yields lines in the format that ``hgproto session`` reads."""
    from hgproto.wire.human import format_frame

    for side, frame, raw, data in lines:
        if options.role not in (None, side):
            continue
        if data is not None:
            raise UsageError(f"a sample that violates {options.invalid} is not a whole frame; use another --format")
        sign = {"client": ">", "server": "<"}[side] + "!" * raw
        yield f"{sign} {'end' if frame is None else format_frame(frame)}\n".encode()


def _json_session(lines: list[Line], number: int, options: argparse.Namespace) -> bytes:
    import json

    from hgproto.samples import wires

    shown = [
        {"side": side, **({"end": True} if data is None else {"wire": data.hex()})}
        for side, data in wires(lines)
        if options.role in (None, side)
    ]
    return json.dumps({"session": number, "lines": shown}).encode() + b"\n"
