"""The generated builders of messages: their parameters follow from the schema, and their frames are those that it declares."""

from __future__ import annotations

import ast
import inspect
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from support import ROOT, SCHEMA, formatted

from hgproto.emit import TARGETS
from hgproto.errors import LocalProtocolError
from hgproto.language import load
from hgproto.language.messages import message_problems
from hgproto.revisions.framing_0002 import build
from hgproto.revisions.generate import compile_schema
from hgproto.revisions.revision import Revision
from hgproto.runtime.frame import Frame

OURS = load(SCHEMA / "framing-0002.yaml")
ALIEN = ROOT / "tests" / "data" / "alien.yaml"

MESSAGES: dict[str, Any] = {
    "hello": {"frames": [{"frame": "hello", "flags": {"brief": "chunks"}}, {"frame": "part", "cut": "chunks"}]},
    "words": {"frames": [{"frame": "words", "shorten": True}]},
    "shout": {"frames": [{"frame": "shout", "otherwise": "loud"}]},
    "blob": {"frames": [{"frame": "blob", "choose": {"kind": ["first-kind", "other-kind"]}}]},
    "status": {"frames": [{"frame": "status"}]},
    "ledger": {"frames": [{"frame": "ledger"}]},
}
"""Messages of frames with a payload of each kind. What is in their frames is in FRAMES."""

TEXT = {"type": "utf8", "size": "rest", "rules": {"charset": "telegram.utf8"}, "doc": "The words."}
LOUD: dict[str, Any] = {"name": "words", "type": "ascii", "size": "rest", "doc": "The words."}
LOUD["rules"] = {"charset": "telegram.ascii", "empty": "telegram.empty"}
FRAMES: dict[str, Any] = {
    "hello": {"flags": {"brief": {"bit": 0, "doc": "Parts follow."}}, "payload": [{"structure": "greeting"}]},
    "part": {
        "flags": {"on": {"bit": 1, "role": "more", "doc": "More."}, "over": {"bit": 2, "role": "last", "doc": "All."}},
        "payload": [{"name": "data", "type": "bytes", "size": "rest", "doc": "A part."}],
    },
    "words": {"flags": {}, "payload": [{"name": "words", **TEXT}]},
    "shout": {"flags": {"loud": {"bit": 4, "doc": "Loud."}}, "payload": [LOUD]},
    "blob": {
        "flags": {"first-kind": {"bit": 0, "doc": "One."}, "other-kind": {"bit": 3, "doc": "The other."}},
        "payload": [{"name": "blob", "type": "bytes", "size": "rest", "doc": "Bytes."}],
    },
    "status": {"flags": {}, "payload": [{"structure": "status"}]},
    "ledger": {"flags": {}, "payload": [{"structure": "ledger"}]},
}

EXAMPLE = {"title": "nothing", "hex": "00", "refused": "relay.whole", "offset": 0}


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The header and the structures of another protocol, with messages of all kinds."""
    data = yaml.safe_load(ALIEN.read_text(encoding="utf-8"))
    data["stream_flags"]["flags"]["opens"]["role"] = "begin"
    data["stream_flags"]["flags"]["closes"]["role"] = "end"
    del data["stream_flags"]["constraints"]
    sender, *_ = (frame["sender"] for frame in data["frames"].values() if "either" in frame["sender"])
    data["frames"] = {
        name: {"code": code, "title": name, "sender": sender, "doc": f"A {name}.", "examples": [EXAMPLE] * 3, **frame}
        for code, (name, frame) in enumerate(FRAMES.items())
    }
    data["messages"] = {
        name: {"doc": f'Says "{name}".', "parameters": parameters_of(message), **message}
        for name, message in MESSAGES.items()
    }
    file = tmp_path_factory.mktemp("messages") / "messages.yaml"
    file.write_text(json.dumps(data), encoding="utf-8")
    schema = load(file)
    return SimpleNamespace(schema=schema, **compile_schema(schema))


def parameters_of(message: Any) -> dict[str, str]:
    names = [part[key] for part in message["frames"] for key in ("each", "cut") if key in part]
    names += [name for part in message["frames"] for name in part.get("choose", {})]
    return dict.fromkeys(names, "What a caller gives.")


def test_other_messages_fit_their_frames(other: SimpleNamespace) -> None:
    assert list(message_problems(other.schema)) == []
    text = TARGETS["build.py"](other.schema)
    assert formatted(text) == text


def test_ours_are_the_text_that_is_emitted() -> None:
    text = TARGETS["build.py"](OURS)
    assert text == Path(build.__file__).read_text(encoding="utf-8")
    assert formatted(text) == text


SIGNATURES = {
    "hello": "request_id stream_id nick day at motto chunks= * begin= end= max_payload=",
    "words": "request_id stream_id words * begin= end= max_payload=",
    "shout": "request_id stream_id words * begin= end= max_payload=",
    "blob": "request_id stream_id blob kind= * begin= end= max_payload=",
    "status": "request_id stream_id level since_when remark= kind= raw= at_once= note= tags= counts= place= who= "
    "* extra= begin= end= max_payload=",
    "ledger": "request_id stream_id page name lines * begin= end= max_payload=",
}


def parameters(function: Any) -> str:
    words = []
    for name, one in inspect.signature(function).parameters.items():
        if one.kind is one.KEYWORD_ONLY and "*" not in words:
            words.append("*")
        words.append(name if one.default is one.empty else f"{name}=")
    return " ".join(words)


@pytest.mark.parametrize("name", MESSAGES)
def test_parameters_are_fields_and_what_the_message_declares(name: str, other: SimpleNamespace) -> None:
    function = getattr(other.build, name)
    assert parameters(function) == SIGNATURES[name]
    first, _, second, *_ = str(inspect.getdoc(function)).splitlines()
    assert (first.partition(" of ")[2], second) == (f"``{name}``.", f'Says "{name}".')
    given = [word.rstrip("=") for word in SIGNATURES[name].split() if word not in ("*", "request_id", "stream_id")]
    assert all(f"``{word}``" in str(function.__doc__) for word in given)


def test_the_functions_of_messages_are_listed(other: SimpleNamespace) -> None:
    assert [name for name in other.build.__all__ if name.islower()] == sorted(MESSAGES)
    assert other.build.MESSAGES == {}  # no frame type has a role
    assert other.build.ERROR_KINDS == {}
    assert other.schema.limits["max-payload"].default == other.build.SEND_PAYLOAD
    assert list(build.MESSAGES) == [message.roles for message in OURS.messages.values()]
    assert build.MESSAGES["error",] is build.error_response
    assert build.ERROR_KINDS == {True: "protocol", False: "application"}


HELLO = b"\x01a\x01\x00\x00\x00\x02\x00\x00"
BUILT: list[tuple[str, tuple[Any, ...], list[tuple[str, int, bytes]]]] = [
    ("hello", ("a", 1, 2, "é"), [("hello", 0, HELLO + b"\x02\x00\xc3\xa9")]),
    ("hello", ("a", 1, 2, "", b""), [("hello", 1, HELLO + b"\x00\x00"), ("part", 4, b"")]),
    (
        "hello",
        ("a", 1, 2, "", b"x" * 21),
        [("hello", 1, HELLO + b"\x00\x00"), ("part", 2, b"x" * 20), ("part", 4, b"x")],
    ),
    ("words", ("é" * 11,), [("words", 0, b"\xc3\xa9" * 10)]),
    ("words", ("a" + "é" * 11,), [("words", 0, b"a" + b"\xc3\xa9" * 9)]),
    ("words", ("",), [("words", 0, b"")]),
    ("shout", ("hey",), [("shout", 16, b"hey")]),
    ("blob", (b"\x00",), [("blob", 1, b"\x00")]),
    ("blob", (bytearray(b"b"), "other_kind"), [("blob", 8, b"b")]),
    ("status", (3, 0), [("status", 0, b"\xa2\x45level\x03\x4asince_when\x00")]),
]


@pytest.mark.parametrize(("name", "values", "expected"), BUILT)
def test_frames_are_made_as_declared(
    name: str, values: Any, expected: list[tuple[str, int, bytes]], other: SimpleNamespace
) -> None:
    codec = other.codec
    made = getattr(other.build, name)(2, 4, *values, begin=True, end=True, max_payload=20)
    frames = [made] if isinstance(made, Frame) else [*made]
    assert [(codec.CODES[kind], *rest) for kind, *rest in expected] == [
        (frame.type, frame.flags, frame.payload) for frame in frames
    ]
    assert {(frame.request_id, frame.stream_id) for frame in frames} == {(2, 4)}
    opens, closes = codec.StreamFlag.OPENS, codec.StreamFlag.CLOSES
    assert [bool(frame.stream_flags & opens) for frame in frames] == [True] + [False] * (len(frames) - 1)
    assert [bool(frame.stream_flags & closes) for frame in frames] == [False] * (len(frames) - 1) + [True]
    for frame in frames:
        codec.check_header(frame)
        codec.decode_payload(frame)


REFUSED: list[tuple[str, tuple[Any, ...], str, str]] = [
    ("hello", ("", 1, 2, ""), "greeting.nick", "nick"),
    ("hello", ("a", 1 << 32, 2, ""), "stamp.range", "day"),
    ("hello", ("a", 1, 2, "m" * 11), "relay.length", ""),
    ("shout", ("",), "telegram.empty", "words"),
    ("shout", ("é",), "telegram.ascii", "words"),
    ("shout", ("x" * 21,), "relay.length", "words"),
    ("blob", (bytes(21),), "relay.length", "blob"),
    ("status", (2, 0), "status.type", "level"),
]


@pytest.mark.parametrize(("name", "values", "requirement", "field"), REFUSED)
def test_what_no_frame_can_say_is_refused(
    name: str, values: Any, requirement: str, field: str, other: SimpleNamespace
) -> None:
    with pytest.raises(LocalProtocolError) as error:
        getattr(other.build, name)(2, 4, *values, max_payload=20)
    assert (error.value.requirement, error.value.field) == (requirement, field)


def test_structures_that_repeat_are_records(other: SimpleNamespace) -> None:
    line = other.codec.Line(5, "a")
    frame = other.build.ledger(1, 1, 7, "me", [line])
    assert other.codec.decode_payload(frame) == other.codec.Ledger(7, "me", (line,))
    with pytest.raises(LocalProtocolError) as error:
        other.build.ledger(1, 1, 7, "me", [line] * 10, max_payload=20)
    assert (error.value.requirement, error.value.field) == ("ledger.whole", "lines")


def test_a_choice_is_spelled_as_python_does(other: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="kind is 'first_kind' or 'other_kind', not 'first-kind'"):
        other.build.blob(1, 1, b"", "first-kind")


def test_a_schema_without_messages_has_a_module_without_builders() -> None:
    text = TARGETS["build.py"](load(ALIEN))
    assert formatted(text) == text
    assert not [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    alien = Revision(str(ALIEN))
    assert (alien.build.MESSAGES, alien.build.ERROR_KINDS) == ({}, {})


def test_a_frame_that_has_to_open_its_stream_does(other: SimpleNamespace) -> None:
    assert "begin" not in inspect.signature(build.stream_settings).parameters
    assert build.stream_settings(1, 2, "zlib").stream_flags == 1
    assert "begin" in inspect.signature(build.progress).parameters
