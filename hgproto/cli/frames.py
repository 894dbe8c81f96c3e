"""``hgproto encode`` and ``hgproto decode``: between the human form, octets, JSON and the annotated dump."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hgproto.cli.common import (
    GOOD,
    InputError,
    UsageError,
    chunks_of,
    frame_options,
    hex_chunks,
    input_error,
    lines_of,
    max_payload,
    named,
    open_input,
    refuse_terminal,
    revision_of,
    wants_colour,
)
from hgproto.errors import HgprotoError, HumanFormError, LocalProtocolError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from hgproto.cli import Commands
    from hgproto.frame import Frame
    from hgproto.revision import Revision

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Adds the commands."""
    encode = commands.add_parser(
        "encode",
        help="human form to frames",
        description="Reads frames in human form, one a line (blank lines and # comments are skipped), and writes them raw.",
    )
    encode.add_argument("file", nargs="?", default="-", metavar="FILE", help="the lines; - is standard input (default)")
    encode.add_argument("--hex", action="store_true", help="write lower-case hexadecimal, one line a frame")
    frame_options(encode)
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
        "--hex",
        action="store_true",
        help="the input is hexadecimal text, as a file whose name ends in .hex always is: pairs of digits, with white space "
        "between pairs, and # comments",
    )
    decode.add_argument(
        "--format",
        choices=("human", "json", "tree"),
        default="human",
        help="human: one line a frame, as encode reads it (default); json: one object a line; tree: an annotated hex dump",
    )
    frame_options(decode)
    decode.set_defaults(run=_decode)


def _encode(options: argparse.Namespace) -> int:
    from hgproto.human import parse_frame

    revision = revision_of(options.revision)
    codec = revision.codec
    limit = max_payload(options, revision)
    if not options.hex:
        refuse_terminal("--hex")
    out = sys.stdout.buffer
    with open_input(options.file) as file:
        for number, line in lines_of(file, 4 * limit + 4096, named(options.file)):
            if not line.strip() or line.lstrip().startswith(b"#"):
                continue
            try:
                octets = codec.encode_frame(parse_frame(line, codec), limit)
            except HumanFormError as error:
                raise input_error(error, named(options.file), number) from None
            except LocalProtocolError as error:
                column = len(b" ".join(line.split(b" ", 5)[:5])) + 2
                message = f"{error.message} ({error.requirement})"
                raise InputError(message, named(options.file), number, column) from None
            out.write(octets.hex().encode() + b"\n" if options.hex else octets)
    return GOOD


def _decode(options: argparse.Namespace) -> int:
    from hgproto.hexform import form_of
    from hgproto.reader import FrameReader

    revision = revision_of(options.revision)
    codec = revision.codec
    reader = FrameReader(max_payload=max_payload(options, revision), codec=codec)
    form, name = form_of(options.file), named(options.file)
    if form == "session" and not options.hex:
        raise UsageError(f"{name}: a session has both sides; use `hgproto session` or `hgproto validate`")
    is_hex = options.hex or form == "hex"
    lines = {"human": _human_lines, "json": _json_lines, "tree": _tree_lines}[options.format]
    with open_input(options.file) as file:
        frames = reader.read(hex_chunks(chunks_of(file), name) if is_hex else file)
        out = sys.stdout.buffer
        try:
            for text in lines(frames, revision):
                out.write(text.encode("utf-8"))
        except HgprotoError as error:
            raise InputError(str(error), name) from None
    return GOOD


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

    style = Style(colour=wants_colour())
    for number, (frame, offset, continued) in enumerate(_placed(frames, revision)):
        for line in frame_tree(frame, number, offset, continued, revision.schema, revision.codec, style):
            yield f"{line}\n"
