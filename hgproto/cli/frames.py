"""``hgproto encode`` and ``hgproto decode``: conversions between the human form, bytes, JSON, and annotated dumps."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from hgproto.cli.common import (
    FAULT,
    GOOD,
    HUMAN_FORM,
    InputError,
    UsageError,
    chunks_of,
    file_argument,
    frame_limits,
    frame_options,
    hex_chunks,
    input_error,
    lines_of,
    max_payload,
    named,
    open_input,
    output_width,
    refuse_terminal,
    revision_hint,
    revision_of,
    saying,
    wants_colour,
)
from hgproto.cli.parser import examples
from hgproto.errors import (
    HgprotoError,
    HumanFormError,
    LimitError,
    LocalProtocolError,
    RemoteProtocolError,
    counted,
    printable,
)
from hgproto.system.option_types import setting

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from hgproto.cli import Commands
    from hgproto.revisions.revision import Revision
    from hgproto.runtime.frame import Frame

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Adds the commands."""
    encode = commands.add_parser(
        "encode",
        help="convert frames from human form to bytes",
        description="Reads frames in human form, one per line, and writes their bytes. Skips blank lines and # comments.",
        epilog=HUMAN_FORM
        + "\n\n"
        + examples(
            "echo '1 1 stream-begin command-name eos heads' | hgproto encode --hex",
            "hgproto encode frames.txt > frames.bin",
        ),
    )
    file_argument(encode, "lines")
    encode.add_argument("--hex", action="store_true", help="write lowercase hexadecimal, one line per frame")
    frame_options(encode)
    encode.set_defaults(run=_encode)

    decode = commands.add_parser(
        "decode",
        help="convert frames from bytes to human form, JSON, or an annotated dump",
        description="Reads the bytes of frames and prints the frames. Prints a damaged payload with its error and exits 1. "
        "Stops with an error at an incomplete frame, or at a length above the limit.",
        epilog=HUMAN_FORM
        + "\n\n"
        + examples(
            "hgproto decode capture.bin",
            "hgproto decode --format tree capture.bin",
            "echo 0500000100010111 6865616473 | hgproto decode --hex",
        ),
    )
    file_argument(decode, "frames")
    decode.add_argument(
        "--hex",
        action="store_true",
        help="read hexadecimal text: pairs of digits, with optional white space between pairs, and # comments; implied for "
        "files that end in .hex",
    )
    decode.add_argument(
        "--format",
        choices=("human", "json", "tree"),
        default="human",
        help="human: one line per frame, in the form that encode reads, with errors as # comments (default); json: one object "
        "per line; tree: an annotated hex dump",
    )
    decode.add_argument(
        "--limit",
        type=setting,
        action="append",
        default=[],
        metavar="NAME=N",
        help="limit on the number of items in a payload, by its name in the revision, for example payload-items=9",
    )
    frame_options(decode)
    decode.set_defaults(run=_decode)


def _encode(options: argparse.Namespace) -> int:
    from hgproto.wire.human import parse_frame

    revision = revision_of(options.revision)
    codec = revision.codec
    limit = max_payload(options, revision)
    if not options.hex:
        refuse_terminal("--hex")
    out = sys.stdout.buffer
    with open_input(options.file) as file:
        for number, line in lines_of(file, 4 * limit + 4096, named(options.file)):
            try:
                data = codec.encode_frame(parse_frame(line, codec), limit)
            except HumanFormError as error:
                raise input_error(error, named(options.file), number) from None
            except LocalProtocolError as error:
                column = len(b" ".join(line.split(b" ", 5)[:5])) + 2
                message = f"{error.message} ({error.requirement})"
                raise InputError(message, named(options.file), number, column) from None
            out.write(data.hex().encode() + b"\n" if options.hex else data)
    return GOOD


def _decode(options: argparse.Namespace) -> int:
    from hgproto.wire.hexform import form_of
    from hgproto.wire.reader import FrameReader

    revision = revision_of(options.revision)
    codec = revision.codec
    most_bytes, most = max_payload(options, revision), {}
    if options.limit:
        limits = frame_limits(options, revision, "on decode")
        most_bytes = max_payload(options, revision)
        most = {} if codec.ITEMS_LIMIT is None else {"max_items": limits.payload_items}
    reader = FrameReader(max_payload=most_bytes, codec=codec)
    form, name = form_of(options.file), named(options.file)
    if form == "session" and not options.hex:
        raise UsageError(f"{name}: a session has both sides; use `hgproto session` or `hgproto validate`")
    is_hex = options.hex or form == "hex"
    show = {"human": _human_lines, "json": _json_lines, "tree": _tree_lines}[options.format]
    damages = _Damages(name, revision)
    with saying(damages.messages):
        try:
            with open_input(options.file) as file:
                chunks = hex_chunks(chunks_of(file), name) if is_hex else chunks_of(file)
                frames = reader.read(damages.watched(chunks))
                for placed in _placed(frames, revision, most):
                    if placed.damage is not None:
                        damages.add(placed.damage)
                        options.found_fault = True
                    sys.stdout.buffer.write("".join(f"{line}\n" for line in show(placed, revision, most)).encode())
        except HgprotoError as error:
            raise InputError(str(error), name) from None
    return FAULT if damages.number else GOOD


_LONGEST_HEAD = 4096
"""Number of bytes at the start of an input that are compared with other revisions."""


class _Damages:
    """The first damaged payload and the number of them, so that memory does not grow with the input."""

    def __init__(self, name: str, revision: Revision) -> None:
        self.number = 0
        self._name = name
        self._revision = revision
        self._head = b""
        self._first: RemoteProtocolError | None = None

    def add(self, damage: RemoteProtocolError) -> None:
        """Counts a damaged payload."""
        self.number += 1
        self._first = self._first or damage

    def watched(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yields chunks, and keeps the first bytes."""
        for chunk in chunks:
            if len(self._head) < _LONGEST_HEAD:
                self._head += chunk[:_LONGEST_HEAD]
            yield chunk

    def messages(self) -> list[str]:
        """Returns one message about all damaged payloads, and one if the frames are those of another revision."""
        hint = revision_hint(self._head, self._revision)
        hints = [f"{self._name}: {hint}"] if hint else []
        more = self.number - 1
        rest = f"; {counted(more, 'more payload')} {'is' if more == 1 else 'are'} damaged" if more > 0 else ""
        return hints if self._first is None else [f"{self._name}: {self._first}{rest}", *hints]


class _Placed(NamedTuple):
    """A frame of an input.

    ``offset``: the byte offset of its header in the input. ``continued``: True if it continues an earlier frame. ``damage``: the
    error about its payload, with its offset in the input; None if the payload is valid or encoded.
    """

    frame: Frame
    number: int
    offset: int
    continued: bool
    damage: RemoteProtocolError | None


def _placed(frames: Iterable[Frame], revision: Revision, most: dict[str, int]) -> Iterator[_Placed]:
    from hgproto.wire.jsonform import Continuations

    codec = revision.codec
    continuations = Continuations(codec)
    offset = 0
    for number, frame in enumerate(frames):
        damage = None
        try:
            continued = continuations.next(frame)
        except LimitError as error:
            raise LimitError(f"frame {number} at offset {offset}: {error}") from None
        try:
            codec.decode_payload(frame, continued, **most)
        except RemoteProtocolError as error:
            damage = error.moved(offset + codec.HEADER_BYTES)
        yield _Placed(frame, number, offset, continued, damage)
        offset += codec.HEADER_BYTES + len(frame.payload)


def _human_lines(placed: _Placed, revision: Revision, _: dict[str, int]) -> Iterator[str]:
    from hgproto.wire.human import format_frame

    yield format_frame(placed.frame, revision.codec)
    if placed.damage is not None:
        yield f"# error: {printable(str(placed.damage))}"


def _json_lines(placed: _Placed, revision: Revision, most: dict[str, int]) -> Iterator[str]:
    import json

    from hgproto.wire.jsonform import frame_to_json

    yield json.dumps(frame_to_json(placed.frame, revision.codec, placed.offset, continued=placed.continued, **most))


def _tree_lines(placed: _Placed, revision: Revision, most: dict[str, int]) -> Iterator[str]:
    from hgproto.wire.tree import Style, frame_tree

    frame, number, offset, continued, _ = placed
    style = Style(colour=wants_colour(), width=output_width())
    return frame_tree(frame, number, offset, continued, revision.schema, revision.codec, style, **most)
