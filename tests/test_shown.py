"""Values that are hard to show: no repr and no message of an error fails on them, or grows with them."""

from __future__ import annotations

import io
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

import hgproto
from hgproto.errors import LimitError, TextError, counted, repr_of, shown
from hgproto.judging import validation
from hgproto.judging.baseline import BaselineError
from hgproto.judging.finding import checked_role
from hgproto.language.problems import SchemaError
from hgproto.reactors import events, session
from hgproto.reactors.client import Client
from hgproto.reactors.limits import Limits
from hgproto.reactors.server import Server
from hgproto.revisions.framing_0002 import build, codec
from hgproto.runtime import cbor
from hgproto.runtime.frame import Frame, Record, checked_number, parts_of
from hgproto.streams.output_stream import OutputStream
from hgproto.wire import hexform, writer

if TYPE_CHECKING:
    from collections.abc import Callable

HUGE = 10**5000


class Unshowable:
    """An object that cannot be shown."""

    def __repr__(self) -> str:
        raise OSError("repr fails")


class Number(int):
    """An integer that cannot be shown."""

    def __repr__(self) -> str:
        raise OSError("repr fails")

    __str__ = __repr__


class Text(str):
    """A text that cannot be shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        raise OSError("repr fails")


def deep(wrap: Callable[[Any], Any], levels: int, inside: Any = 1) -> Any:
    """A value within others."""
    for _ in range(levels):
        inside = wrap(inside)
    return inside


CYCLE: list[Any] = []
CYCLE.append(CYCLE)
HARD: dict[str, Any] = {
    "huge": HUGE,
    "negative": -HUGE,
    "unshowable": Unshowable(),
    "unshowable number": Number(7),
    "unshowable huge number": Number(HUGE),
    "unshowable text": Text("text"),
    "surrogates": "\udc80\ud800" * 3,
    "long text": "t" * 1_000_000,
    "long bytes": b"b" * 1_000_000,
    "tuple": (HUGE, Unshowable()),
    "list": [HUGE, Unshowable()],
    "dict": {HUGE: Unshowable()},
    "cycle": [CYCLE],
    "deep list": deep(lambda inside: [inside], 100_000),
    "deep tuple": deep(lambda inside: (inside,), 100_000),
    "deep dict": deep(lambda inside: {1: inside}, 100_000),
    "deep and unshowable": deep(lambda inside: [inside], 500, Unshowable()),
}
MOST = 1000


def fits(text: str) -> None:
    """A message is short, and can be written to any log."""
    assert len(text) < MOST
    text.encode("utf-8")


@pytest.mark.parametrize("kind", HARD)
def test_a_value_in_a_message(kind: str) -> None:
    fits(shown(HARD[kind]))
    assert "Error" not in shown(HARD[kind])
    assert isinstance(repr_of(HARD[kind]), str)


@pytest.mark.parametrize(
    "record",
    [deep(lambda inside: cbor.Tag(1, inside), 100_000), deep(lambda inside: cbor.Map(((1.0, inside),)), 100_000)],
    ids=["tag", "map"],
)
def test_a_record_that_is_nested_deep_in_a_message(record: Record) -> None:
    fits(shown(record))
    assert type(record).__name__ in repr(record)


def test_how_values_are_shown() -> None:
    assert shown(HUGE) == "0x31e20801... (16610 bits)"
    assert shown(-HUGE) == "-0x31e20801... (16610 bits)"
    assert shown(Number(7)) == "7"
    assert shown(Unshowable()) == "<Unshowable object>"
    assert shown("a" * 100) == f"'{'a' * 80}'..."
    assert shown(b"a" * 100) == f"b'{'a' * 80}'..."
    assert shown("caf\xe9") == "'caf\xe9'"
    assert shown((1, HUGE)) == f"(1, {HUGE:#x})"[:160] + "..."
    assert repr_of((HUGE,)) == f"({HUGE:#x},)"
    assert repr_of([HUGE, {1: HUGE}]) == f"[{HUGE:#x}, {{1: {HUGE:#x}}}]"
    assert repr_of(codec.FrameType.PROGRESS) == repr(codec.FrameType.PROGRESS)
    assert counted(HUGE, "byte") == "0x31e20801... (16610 bits) bytes"


# Every record and every error.


def kinds(base: type[Any]) -> list[type[Any]]:
    found: list[type[Any]] = []
    for kind in base.__subclasses__():
        found += [kind, *kinds(kind)]
    return [kind for kind in dict.fromkeys(found) if kind.__module__.startswith("hgproto.")]


@pytest.mark.parametrize("kind", kinds(Record), ids=lambda kind: kind.__qualname__)
def test_every_record_has_a_repr(kind: type[Record]) -> None:
    for value in HARD.values():
        made: Any = object.__new__(kind)
        for name in parts_of(made):
            setattr(made, name, value)
        assert kind.__name__ in repr(made)


ERRORS: list[tuple[type[hgproto.HgprotoError], str]] = [
    (hgproto.HgprotoError, "nt"),
    (hgproto.DecodingError, "tntt"),
    (hgproto.EncodingError, "t"),
    (LimitError, "t"),
    (hgproto.LocalProtocolError, "tnttt"),
    (hgproto.RemoteProtocolError, "tntttn"),
    (hgproto.HumanFormError, "nttn"),
    (hgproto.HexError, "nnttt"),
    (TextError, "ttt"),
    (BaselineError, "t"),
]
"""Errors, and what they are made from: numbers and texts."""


@pytest.mark.parametrize("number", [HUGE, -HUGE, Number(7), Number(HUGE)], ids=["huge", "negative", "number", "both"])
@pytest.mark.parametrize("text", ["surrogates", "long text", "unshowable text"])
def test_every_error_can_be_shown(text: str, number: int) -> None:
    for kind, parts in ERRORS:
        error = kind(*(number if part == "n" else HARD[text] for part in parts))
        assert kind.__name__ in repr(error)
        assert kind in (hgproto.HgprotoError, hgproto.EncodingError, LimitError, BaselineError) or isinstance(
            str(error), str
        )
    others = {hgproto.ProtocolError, SchemaError}
    assert {kind for kind, _ in ERRORS} | others >= {
        kind for kind in kinds(hgproto.HgprotoError) if "Struct" not in kind.__name__
    }


FRAME = Frame(1, 1, 1, codec.FrameType.COMMAND_NAME, 1, b"heads")


def receiving() -> Server:
    server = Server()
    server.receive_data(b"".join(hgproto.encode_frames(build.command(1, 1, "heads", begin=True))))
    return server


def text_output(request_id: Any, stream_id: Any, format_: Any, label: Any, argument: Any) -> Frame:
    return build.text_output(request_id, stream_id, [(format_, [label], [argument])])


CALLS: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "command": (build.command, [1, 1, "heads", {"a": b"b"}, b"c"]),
    "args": (lambda name, value: build.command(1, 1, "heads", {name: value}), ["a", b"b"]),
    "bytes_response": (build.bytes_response, [1, 1, b"d"]),
    "error_response": (build.error_response, [1, 1, "m", "application"]),
    "text_output": (text_output, [1, 1, "%s", "l", "a"]),
    "text errors": (lambda errors: build.text_output(1, 1, [], errors=errors), ["strict"]),
    "progress": (build.progress, [1, 1, "t", 1, 2, "l", "i"]),
    "extra": (lambda key, value: build.progress(1, 1, "t", 1, 2, extra={key: value}), [b"k", b"\x01"]),
    "stream_settings": (build.stream_settings, [1, 1, "identity", b""]),
    "max_payload": (lambda most: build.command(1, 1, "heads", max_payload=most), [10]),
    "frame": (lambda *parts: writer.encode_frame(Frame(*parts)), [1, 1, 1, 1, 1, b""]),
    "encode_frames": (lambda frame: list(writer.encode_frames([frame])), [FRAME]),
    "format_frame": (lambda *parts: hgproto.format_frame(Frame(*parts)), [1, 1, 1, 1, 1, b""]),
    "parse_frame": (hgproto.parse_frame, ["1 1 stream-begin command-name eos heads"]),
    "bytes_from_hex": (lambda text: list(hexform.bytes_from_hex([text])), [b"00"]),
    "encode_item": (cbor.encode_item, [1]),
    "limits": (lambda value: Limits(arguments=value), [1]),
    "limit": (lambda name: Limits(**{name: 1}), ["arguments"]),
    "limits of": (lambda setting: Limits.of([setting]), ["arguments=1"]),
    "profile": (lambda name: hgproto.default_encodings().get(name), ["identity"]),
    "validator": (lambda role, depth: hgproto.Validator(role, depth=depth), ["client", "session"]),
    "ignore": (lambda ignore: hgproto.assert_valid(b"", ignore=ignore), [["frame.whole"]]),
    "validate_payload": (validation.validate_payload, ["command-name", b"heads"]),
    "output stream": (OutputStream, [1]),
    "flush": (lambda flush: OutputStream(1, flush=flush), ["frame"]),
    "server": (lambda streams, flush: Server(streams=streams, flush=flush), [1, "frame"]),
    "client": (lambda streams, flush: Client(streams=streams, flush=flush), [1, "frame"]),
    "reopen": (lambda reopen: Server(reopen=reopen), ["error"]),
    "respond": (lambda *a: receiving().respond(*a), [1, b"x"]),
    "respond on": (lambda stream: receiving().respond(1, b"x", stream_id=stream), [2]),
    "respond_error": (lambda *a: receiving().respond_error(*a), [1, "m", "application"]),
    "answered": (lambda *a: receiving().answered(*a), [1]),
    "send_text": (lambda *a: receiving().send_text(*a), [1, [("a", [], [])]]),
    "send_progress": (lambda *a: receiving().send_progress(*a), [1, "t", 1, 2]),
    "issue": (lambda *a: Client().issue(*a), ["heads", {"a": b"b"}, b"x"]),
    "issued": (lambda *a: Client().issued(*a), [1]),
    "event_text": (session.event_text, [events.NoOp()]),
    "event_to_json": (session.event_to_json, [events.NoOp()]),
    "role": (checked_role, ["client"]),
    "number": (lambda value: checked_number("number", value, 0, 10), [1]),
    "read_frames": (lambda value: list(hgproto.read_frames(value)), [io.BytesIO()]),
}


@pytest.mark.parametrize("hard", HARD)
@pytest.mark.parametrize("call", CALLS)
def test_no_message_fails_on_a_value(call: str, hard: str) -> None:
    function, arguments = CALLS[call]
    for index in range(len(arguments)):
        hardened = [*arguments[:index], HARD[hard], *arguments[index + 1 :]]
        try:
            result = function(*hardened)
            if hasattr(result, "__next__"):
                list(islice(result, 3))
            repr(result)
        except (TypeError, ValueError, KeyError, AttributeError, hgproto.HgprotoError) as error:
            message = f"{type(error).__name__}: {error}"
            assert "Exceeds the limit" not in message
            fits(message)
            repr(error)
