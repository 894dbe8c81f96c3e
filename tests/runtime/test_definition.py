"""The definition of a revision, as the core uses it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import SCHEMA

import hgproto
from hgproto.errors import RemoteProtocolError
from hgproto.revisions.framing_0002 import codec, machines
from hgproto.revisions.revision import Revision, default_revision
from hgproto.runtime.definition import Definition, default_codec, default_definition, defined
from hgproto.streams.encodings import zlib_profile

if TYPE_CHECKING:
    from collections.abc import Callable

ALIEN = Revision(str(Path(__file__).parents[1] / "data" / "alien.yaml"))
OURS = default_revision()


def test_the_default_revision_is_used_where_none_is_named() -> None:
    assert defined(None) is default_definition() is hgproto.default_revision()
    assert defined(ALIEN) is ALIEN
    assert default_codec() is codec
    with pytest.raises(TypeError, match="revision must be a Definition, not str"):
        defined("framing-0002")  # type: ignore[arg-type]


def test_frame_types_and_flags_are_found_by_their_roles() -> None:
    assert OURS.code_of("command") == codec.FrameType.COMMAND_NAME
    assert OURS.flag(codec.FrameType.COMMAND_NAME, "data-follows") == codec.CommandNameFlag.HAVE_DATA
    assert OURS.flag(codec.FrameType.PROGRESS, "last") == 0
    assert (OURS.begin, OURS.end, OURS.encoded) == (1, 2, 4)
    assert OURS.settings == codec.FrameType.STREAM_SETTINGS
    assert OURS.data_types == {codec.FrameType.COMMAND_DATA: (1, 2), codec.FrameType.BYTES_RESPONSE: (1, 2)}
    assert OURS.ids == {"request_id": 65536, "stream_id": 256}


def test_a_revision_without_a_role_is_named_with_the_remedy() -> None:
    assert (ALIEN.begin, ALIEN.end, ALIEN.encoded, ALIEN.settings, ALIEN.data_types) == (0, 0, 0, None, {})
    with pytest.raises(
        ValueError, match=r"relay-7 has no frame type with the role 'data'.*add `role: data` to a frame type"
    ):
        ALIEN.code_of("data")
    with pytest.raises(ValueError, match="relay-7 has no state machine for a request; use another revision"):
        ALIEN.machine("request", "server")
    with pytest.raises(ValueError, match="relay-7 has no limit 'decoded-frame'"):
        ALIEN.limit("decoded_frame")


@pytest.mark.parametrize("make", [hgproto.Server, hgproto.Client, lambda **k: hgproto.OutputStream(2, **k)])
def test_reactors_and_streams_refuse_a_revision_that_lacks_what_they_need(make: type[hgproto.Server]) -> None:
    with pytest.raises(ValueError, match="relay-7 has no state machine for a"):
        make(revision=ALIEN)


STREAMS: list[Callable[[Revision], object]] = [
    lambda revision: hgproto.OutputStream(2, zlib_profile(), revision=revision),
    lambda revision: hgproto.OutputStream(2, revision=revision),
    lambda revision: hgproto.InputStream(1, revision=revision),
    lambda revision: hgproto.Validator(role="client", revision=revision),
]


@pytest.mark.parametrize("role", ["begin", "end", "encoded"])
def test_streams_name_the_role_that_a_stream_flag_lacks(role: str, tmp_path: Path) -> None:
    # Messages need streams that can be opened and closed.
    text = (SCHEMA / "framing-0002.yaml").read_text(encoding="utf-8")
    text, count = re.subn(r"^messages:\n(?:(?: .*)?\n)*", "", text, flags=re.MULTILINE)
    assert count == 1
    (tmp_path / "framing-0002.yaml").write_text(text, encoding="utf-8")
    shared = (SCHEMA / "framing.yaml").read_text(encoding="utf-8")
    assert shared.count(f"      role: {role}\n") == 1
    (tmp_path / "framing.yaml").write_text(shared.replace(f"      role: {role}\n", ""), encoding="utf-8")
    revision = Revision(str(tmp_path / "framing-0002.yaml"))
    message = f"has no stream flag with the role '{role}', .*; add `role: {role}` to a stream flag, or use another"
    for make in STREAMS:
        with pytest.raises(ValueError, match=message):
            make(revision)


def test_machines_are_found_by_their_scope_and_side() -> None:
    assert OURS.machine("stream") is machines.STREAM
    assert OURS.machine("request", "client") is machines.CLIENT_REQUEST
    states = machines.StreamState
    assert OURS.stream_states == (states.CLOSED, states.OPEN, states.CONFIGURED)


@pytest.mark.requirement("encoding.decodable", "encoding.window", "request.limits")
def test_requirements_are_found_by_the_guards_of_their_rows() -> None:
    assert OURS.encoding_rules == {
        "undecodable": "encoding.decodable",
        "too-large": "encoding.decoded-limit",
        "after-end": "encoding.nothing-after-end",
        "truncated": "encoding.complete-at-end",
        "wide-window": "encoding.window",
    }
    assert OURS.capacity_rule == "request.limits"


def test_requirements_are_found_by_what_ends_too_early() -> None:
    assert OURS.cut_rule == "frame.whole"
    assert OURS.end_rule("stream") == "stream.end"
    assert OURS.end_rule("request", "server") == "request.complete"
    assert OURS.end_rule("connection") is None


def test_structures_are_found_by_the_roles_of_their_frame_types() -> None:
    more = codec.CommandArgumentFlag.CONTINUATION
    assert OURS.structure_of("argument")[0] is codec.Argument
    assert OURS.structure_of("argument", more) == codec.STRUCTURES["argument-start"]
    assert OURS.repeated_in("text") == codec.STRUCTURES["text-atom"]
    with pytest.raises(ValueError, match="relay-7 has no frame type with the role 'argument'"):
        ALIEN.structure_of("argument")


def test_stream_settings_are_read_and_written() -> None:
    payload = OURS.encode_settings("zlib", b"\x01")
    assert payload == b"\x04zlib\x01"
    assert OURS.decode_settings(payload) == ("zlib", b"\x01")
    assert (OURS.settings_place(payload, "profile"), OURS.settings_place(payload, "settings")) == (1, 5)
    with pytest.raises(RemoteProtocolError):
        OURS.decode_settings(b"\x04zl")


def test_a_definition_by_itself_defines_nothing() -> None:
    for name in ("codec", "machines", "roles", "build", "requirements"):
        with pytest.raises(NotImplementedError):
            getattr(Definition(), name)
