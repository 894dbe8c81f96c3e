"""The content of commands, by the roles of frames."""

from __future__ import annotations

from hgproto.reactors.content import Content
from hgproto.revisions.framing_0002 import codec
from hgproto.revisions.revision import default_revision


def test_the_content_of_commands_is_found_by_roles() -> None:
    content = Content(default_revision())
    assert (content.name, content.data) == (codec.FrameType.COMMAND_NAME, codec.FrameType.COMMAND_DATA)
    assert content.name_is_all == codec.CommandNameFlag.EOS
    assert content.data_follows == codec.CommandNameFlag.HAVE_DATA
    assert (content.more, content.last_argument) == (
        codec.CommandArgumentFlag.CONTINUATION,
        codec.CommandArgumentFlag.EOA,
    )
    assert content.last_data == codec.CommandDataFlag.EOS


def test_arguments_are_read_by_the_structures_of_their_cases() -> None:
    content = Content(default_revision())
    assert content.size == content.sub_header.size == 4
    whole = content.argument(b"\x01\x00\x02\x00kvv")
    assert (whole.name, whole.value) == ("k", b"vv")
    start = content.start(b"\x01\x00\x05\x00kvv")
    assert (start.name, start.value, getattr(start, content.total)) == ("k", b"vv", 5)
