"""Schemas that users derived from framing-0002: what `hgproto schema check` accepts, reactors and judges can run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from support import SCHEMA

from hgproto import Server, parse_frame
from hgproto.language import load
from hgproto.language.check import check
from hgproto.reactors.events import Error
from hgproto.revisions.revision import Revision

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES = "framing.yaml", "framing-0002.yaml"


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., Revision]:
    """Makes a revision of framing-0002 in which texts are replaced, all that occur in one of the two files."""
    return partial(_own, tmp_path)


def _own(folder: Path, *changes: tuple[str, str]) -> Revision:
    texts = {name: (SCHEMA / name).read_text(encoding="utf-8") for name in FILES}
    for old, new in (("revision: framing-0002", "revision: mine"), *changes):
        (name,) = (name for name in FILES if old in texts[name])
        texts[name] = texts[name].replace(old, new)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    assert [problem.message for problem in check(load(folder / FILES[1]))] == []
    return Revision(str(folder / FILES[1]))


def wire(revision: Revision, *lines: str) -> bytes:
    """The frames of these lines."""
    codec = revision.codec
    return b"".join(codec.encode_frame(parse_frame(line, codec)) for line in lines)


def test_errors_are_sent_where_none_ends_the_connection(own: Callable[..., Revision]) -> None:
    revision = own(("protocol: {bit: 0, role: fatal,", "protocol: {bit: 0,"))
    server = Server(revision=revision)
    events: list[Any] = server.receive_data(
        wire(revision, "1 1 stream-begin command-name eos a", "1 1 0 command-data eos x")
    )
    (error,) = (event for event in events if isinstance(event, Error))
    (frame,) = error.frames
    assert (frame.type, frame.flags) == (revision.code_of("error"), 2)
    assert bytes(frame.payload).endswith(b"(request.command-expected)")


def test_atoms_have_their_strings_in_any_order(own: Callable[..., Revision]) -> None:
    own_schema = (SCHEMA / FILES[1]).read_text(encoding="utf-8")
    whole = own_schema[
        own_schema.index("      - name: labels\n") : own_schema.index(
            "    examples:\n      - title: one argument, one label"
        )
    ]
    labels, args = whole.split("      - name: args\n")
    revision = own(
        (whole, f"      - name: args\n{args}{labels}"),
        ("666f6f202573 6c6162656c 617267", "666f6f202573 617267 6c6162656c"),
    )
    server = Server(revision=revision)
    server.receive_data(wire(revision, "1 1 stream-begin command-name eos a"))
    (frame,) = server.send_text(1, [("%s", ["label"], ["argument"])])
    (atom,) = revision.codec.decode_payload(frame).atoms
    assert (atom.format, atom.labels, atom.args) == ("%s", ("label",), ("argument",))
