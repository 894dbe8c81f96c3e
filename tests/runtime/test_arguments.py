"""Arguments of a wrong type or value: the message names the argument."""

from __future__ import annotations

import ctypes
import io
import re
from array import array
from typing import TYPE_CHECKING, Any

import pytest

from hgproto import (
    Client,
    DecodingPool,
    EncodingPool,
    Encodings,
    FrameReader,
    FrameWriter,
    InputStream,
    OutputStream,
    Revision,
    Server,
    Validator,
    build,
    default_encodings,
    default_revision,
    encode_frame,
    encode_frames,
    format_frame,
    parse_frame,
    read_frames,
    strategies,
    validate,
    validate_payload,
    write_frames,
)
from hgproto.diff import changes
from hgproto.evidence.coverage import Coverage
from hgproto.evidence.explain import explain
from hgproto.fuzz import Oracle
from hgproto.fuzz.cases import Cases
from hgproto.reactors.limits import Limits
from hgproto.revisions.framing_0002 import codec
from hgproto.samples import Seeded, at_limits, boundaries, broken_frame, broken_session, senders, session, violate
from hgproto.samples.frames import FrameMaker
from hgproto.streams.encodings import zlib_profile
from hgproto.wire.jsonform import frame_to_json
from hgproto.wire.writer import frame_buffers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BUILDERS: dict[str, tuple[Callable[[Any], object], list[object], str]] = {
    "name": (lambda given: build.command(1, 1, given), [b"heads", 5, None], "name"),
    "name of a client": (lambda given: Client().issue(given), [b"heads", 5], "name"),
    "args": (lambda given: build.command(1, 1, "x", given), [[("k", b"v")], "k", b"k", 5], "args"),
    "a name in args": (lambda given: build.command(1, 1, "x", {given: b"v"}), [b"k", 5, None], "a name in args"),
    "request id": (lambda given: build.command(given, 1, "x"), [1.0, "1", None, b"1"], "request_id"),
    "stream id": (lambda given: build.command(1, given, "x"), [1.0, "1", None], "stream_id"),
    "request id of bytes": (lambda given: build.bytes_response(given, 2, b""), [1.0, "1", None], "request_id"),
    "request id of an error": (lambda given: build.error_response(given, 2, "x"), [1.0, "1", None], "request_id"),
    "request id of text": (lambda given: build.text_output(given, 2, []), [1.0, "1", None], "request_id"),
    "request id of progress": (lambda given: build.progress(given, 2, "x", 1, 2), [1.0, "1", None], "request_id"),
    "stream id of settings": (lambda given: build.stream_settings(1, given, "x"), [1.0, "1", None], "stream_id"),
    "message": (lambda given: build.error_response(1, 2, given), [b"a", 5, None], "message"),
    "atoms": (lambda given: build.text_output(1, 2, given), ["hello", b"hello", 5, None], "atoms"),
    "atom": (lambda given: build.text_output(1, 2, [given]), ["abc", b"abc", 5, ("a", [])], "atoms[0]"),
    "format": (lambda given: build.text_output(1, 2, [(given, [], [])]), [5, None], "atoms[0].format"),
    "labels": (lambda given: build.text_output(1, 2, [("a", given, [])]), ["x", b"x", 5, None], "atoms[0].labels"),
    "label": (lambda given: build.text_output(1, 2, [("a", [given], [])]), [b"x", 5, None], "atoms[0].labels[0]"),
    "texts": (lambda given: build.text_output(1, 2, [("%s", [], given)]), ["x", b"x", 5, None], "atoms[0].args"),
    "text": (lambda given: build.text_output(1, 2, [("%s", [], [given])]), [5, None], "atoms[0].args[0]"),
    "extra": (lambda given: build.progress(1, 2, "x", 1, 2, extra=given), [[1], "x", 5], "extra"),
    "profile": (lambda given: build.stream_settings(1, 2, given), [b"x", 5, None], "profile"),
    "settings": (lambda given: build.stream_settings(1, 2, "x", given), ["x", 5, None], "settings"),
}


def cases(table: dict[str, tuple[Callable[[Any], object], list[object], str]]) -> list[Any]:
    return [
        pytest.param(call, given, name, id=f"{what} {given!r}"[:50])
        for what, (call, values, name) in table.items()
        for given in values
    ]


@pytest.mark.parametrize(("call", "given", "name"), cases(BUILDERS))
def test_builders_name_an_argument_of_a_wrong_type(call: Callable[[Any], object], given: object, name: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(name)} must be "):
        call(given)


def items(values: Iterable[Any]) -> list[object]:
    """What an iterator gives, all of it taken, so that it raises what it raises."""
    return list(values)


GIVEN: list[object] = [b"x", 5, None, "x"]
FRAMES: dict[str, tuple[Callable[[Any], object], list[object], str]] = {
    "client": (lambda given: Client().receive_frame(given), GIVEN, "frame"),
    "server": (lambda given: Server().receive_frame(given), GIVEN, "frame"),
    "fault": (lambda given: Server().receive_fault(given), GIVEN, "error"),
    "encode_frame": (encode_frame, GIVEN, "frame"),
    "encode_frames": (lambda given: items(encode_frames([given])), GIVEN, "frame"),
    "frame_buffers": (lambda given: items(frame_buffers([given])), GIVEN, "frame"),
    "write_frames": (lambda given: write_frames(io.BytesIO(), [given]), GIVEN, "frame"),
    "format_frame": (format_frame, GIVEN, "frame"),
    "json": (lambda given: frame_to_json(given, codec), GIVEN, "frame"),
    "codec.encode_frame": (codec.encode_frame, GIVEN, "frame"),
    "codec.encode_header": (codec.encode_header, GIVEN, "frame"),
    "codec.kind_of": (codec.kind_of, GIVEN, "frame"),
    "codec.check_header": (codec.check_header, GIVEN, "frame"),
    "codec.decode_payload": (codec.decode_payload, GIVEN, "frame"),
    "input stream": (lambda given: InputStream(1).receive(given), GIVEN, "frame"),
    "output stream": (lambda given: items(OutputStream(2).send(given)), GIVEN, "frame"),
}
LIMITS: list[object] = [{}, {"arguments": 1}, 5, [], "x"]
ENCODINGS: list[object] = [["zlib"], [], {}, "zlib", 5]
SCHEMA = default_revision().schema
FIRST = codec.make_frame(1, 1, 1, 1, 1, b"x")
OPTIONS: dict[str, tuple[Callable[[Any], object], list[object], str]] = {
    "limits of a client": (lambda given: Client(limits=given), LIMITS, "limits"),
    "limits of a server": (lambda given: Server(limits=given), LIMITS, "limits"),
    "limits of a validator": (lambda given: Validator(limits=given), LIMITS, "limits"),
    "encodings of a client": (lambda given: Client(encodings=given), ENCODINGS, "encodings"),
    "encodings of a server": (lambda given: Server(encodings=given), ENCODINGS, "encodings"),
    "encodings of a validator": (lambda given: Validator(encodings=given), ENCODINGS, "encodings"),
    "encodings of a stream": (lambda given: InputStream(1, encodings=given), ENCODINGS, "encodings"),
    "encoding": (lambda given: Client(encoding=given), [b"zlib", 5], "the name of an encoding"),
    "profile": (lambda given: OutputStream(2, given), ["zlib", b"zlib", 5], "profile"),
    "profiles": (lambda given: Encodings([given]), ["zlib", 5, None], "a profile of encodings"),
    "describe": (lambda given: Server(describe=given), [5, "x", b"x"], "describe"),
    "executor of an encoding pool": (lambda given: EncodingPool(executor=given), [5, "x"], "executor"),
    "executor of a decoding pool": (lambda given: DecodingPool(Server(), executor=given), [5, "x"], "executor"),
    "workers of an encoding pool": (EncodingPool, ["2", 2.0, [2]], "workers"),
    "workers of a decoding pool": (lambda given: DecodingPool(Server(), workers=given), ["2", 2.0, [2]], "workers"),
    "send": (lambda given: EncodingPool().submit(given), [5, "x", None, FIRST], "send"),
    "reactor": (DecodingPool, [5, "x", None], "reactor"),
    "decoded": (lambda given: Server().receive_frame(FIRST, given), [5, "x", bytearray()], "decoded"),
    "choices of a session": (session, [5, None], "choices"),
    "choices of a broken session": (lambda given: broken_session("frame.whole", given), [5, None], "choices"),
    "limits of samples": (lambda given: items(at_limits(given)), LIMITS, "limits"),
    "the old schema": (lambda given: changes(given, SCHEMA), ["framing-0002", default_revision(), None], "old"),
    "the new schema": (lambda given: changes(SCHEMA, given), ["framing-0002", default_revision(), None], "new"),
    "limit of the codec": (lambda given: codec.encode_frame(FIRST, given), [0.5, "1"], "max_payload"),
    "revision of limits": (Limits.of_revision, ["framing-0002", codec], "revision"),
    "limits of an oracle": (lambda given: Oracle(limits=given), LIMITS, "limits"),
    "encodings of an oracle": (lambda given: Oracle(encodings=given), ENCODINGS, "encodings"),
    "limits of cases": (lambda given: Cases("server", 1, limits=given), LIMITS, "limits"),
    "encodings of cases": (lambda given: Cases("server", 1, encodings=given), ENCODINGS, "encodings"),
    "the name of a revision": (Revision, [None, 5, b"framing-0002"], "name"),
    "seed": (Seeded, [None, "1", 1.5], "seed"),
    "kinds of goals": (lambda given: items(Coverage().missing(given)), ["types", ""], "kinds"),
    "flags of a payload": (lambda given: validate_payload("progress", b"", flags=given), ["eos", 1.0, None], "flags"),
    "more profiles": (lambda given: Encodings([]).plus(given), ["zlib", 5, None], "a profile of encodings"),
}


def structure(data: bytes) -> ctypes.Structure:
    """A buffer that has no length and no slices."""
    fields = {"_fields_": [("bytes", ctypes.c_uint8 * len(data))]}
    kind: Any = type("Bytes", (ctypes.Structure,), fields)
    made: ctypes.Structure = kind.from_buffer_copy(data)
    return made


ARGUMENT = b"\3\0\3\0keytip"
ATOM = b"\3\0\1\1\1\1\0a%sla"
DECODERS: dict[str, tuple[Callable[[Any], Any], bytes]] = {
    "argument-header": (codec.decode_argument_header, ARGUMENT),
    "argument": (codec.decode_argument, ARGUMENT),
    "argument-start": (codec.decode_argument_start, ARGUMENT),
    "argument-rest": (codec.decode_argument_rest, ARGUMENT),
    "text-atom": (codec.decode_text_atom, ATOM),
    "text-output": (codec.decode_text_output, ATOM),
    "progress": (codec.decode_progress, codec.encode_progress(codec.Progress("t", 1, 2))),
    "stream-settings": (codec.decode_stream_settings, b"\4zlibmore"),
}


@pytest.mark.parametrize("name", DECODERS)
def test_decoders_take_any_buffer_and_keep_none_of_it(name: str) -> None:
    decode, data = DECODERS[name]
    wanted = decode(data)
    for buffer in bytearray(data), memoryview(data), array("B", data), structure(data):
        found = decode(buffer)
        assert found == wanted
        for part, value in found.as_dict().items():
            assert type(value) is type(getattr(wanted, part))


ENCODED: dict[str, tuple[Callable[[Any], object], list[object], str]] = {
    "argument-header": (codec.encode_argument_header, GIVEN, "value"),
    "argument": (codec.encode_argument, GIVEN, "value"),
    "argument-start": (codec.encode_argument_start, GIVEN, "value"),
    "argument-rest": (codec.encode_argument_rest, GIVEN, "value"),
    "text-atom": (codec.encode_text_atom, GIVEN, "value"),
    "text-output": (codec.encode_text_output, GIVEN, "value"),
    "progress": (codec.encode_progress, GIVEN, "value"),
    "stream-settings": (codec.encode_stream_settings, GIVEN, "value"),
    "name": (lambda given: codec.encode_argument(codec.Argument(given, b"v")), [b"k", 5, None], "name"),
    "value of a name": (lambda given: codec.encode_argument(codec.Argument("k", given)), ["v", 5, None], "value"),
    "encoded profile": (
        lambda given: codec.encode_stream_settings(codec.StreamSettings(given, b"")),
        [b"x", 5, None],
        "profile",
    ),
    "encoded format": (lambda given: codec.encode_text_atom(codec.TextAtom(given, (), ())), [b"x", 5], "format"),
    "encoded label": (lambda given: codec.encode_text_atom(codec.TextAtom("", (given,), ())), [b"x", 5], "labels[0]"),
}


@pytest.mark.parametrize(("call", "given", "name"), cases(ENCODED))
def test_encoders_name_what_is_no_record_and_its_parts(call: Callable[[Any], object], given: object, name: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(name)} must be "):
        call(given)


@pytest.mark.parametrize("given", ["x", 5, None])
@pytest.mark.parametrize("name", DECODERS)
def test_what_is_no_payload_is_named(name: str, given: object) -> None:
    decode, _ = DECODERS[name]
    with pytest.raises(TypeError, match=r"^payload must be bytes "):
        decode(given)


@pytest.mark.parametrize(("call", "given", "name"), cases(FRAMES))
def test_what_is_no_frame_is_named(call: Callable[[Any], object], given: object, name: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(name)} must be an? "):
        call(given)


@pytest.mark.parametrize(("call", "given", "name"), cases(OPTIONS))
def test_options_of_a_wrong_type_are_named(call: Callable[[Any], object], given: object, name: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(name)} must be "):
        call(given)


WRONG_IDS: list[object] = [1.0, "1", None, b"1", [1], {}]
WRONG_STREAMS: list[object] = [2.0, "2", b"2", [2], {}]
IDS: dict[str, tuple[Callable[[Any], object], list[object], str]] = {
    "issued": (lambda given: Client().issued(given), WRONG_IDS, "request_id"),
    "answered": (lambda given: asked().answered(given), WRONG_IDS, "request_id"),
    "respond": (lambda given: asked().respond(given, b"x"), WRONG_IDS, "request_id"),
    "respond on streams": (lambda given: asked(2).respond(given, b"x"), WRONG_IDS, "request_id"),
    "begin_response": (lambda given: asked().begin_response(given), WRONG_IDS, "request_id"),
    "respond_error": (lambda given: asked().respond_error(given, "x"), WRONG_IDS, "request_id"),
    "send_text": (lambda given: asked(2).send_text(given, []), WRONG_IDS, "request_id"),
    "send_progress": (lambda given: asked(2).send_progress(given, "x", 1, 2), WRONG_IDS, "request_id"),
    "request_state": (lambda given: asked().request_state(given), WRONG_IDS, "request_id"),
    "stream_state": (lambda given: asked().stream_state(given), [*WRONG_STREAMS, None], "stream_id"),
    "stream of issue": (lambda given: Client().issue("x", stream_id=given), WRONG_STREAMS, "stream_id"),
    "stream of begin_command": (lambda given: Client().begin_command("x", stream_id=given), WRONG_STREAMS, "stream_id"),
    "stream of respond": (lambda given: asked().respond(1, b"x", stream_id=given), WRONG_STREAMS, "stream_id"),
    "stream of begin_response": (lambda given: asked().begin_response(1, stream_id=given), WRONG_STREAMS, "stream_id"),
    "stream of respond_error": (
        lambda given: asked().respond_error(1, "", stream_id=given),
        WRONG_STREAMS,
        "stream_id",
    ),
    "stream of send_text": (lambda given: asked().send_text(1, [], stream_id=given), WRONG_STREAMS, "stream_id"),
}


def asked(streams: int = 1) -> Server:
    """A server that waits for the response to request 1."""
    server = Server(streams=streams)
    server.receive_frame(codec.make_frame(1, 1, 1, 1, 1, b"x"))
    return server


@pytest.mark.parametrize(("call", "given", "name"), cases(IDS))
def test_ids_of_a_wrong_type_are_named(call: Callable[[Any], object], given: object, name: str) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be an integer, not {type(given).__name__}$"):
        call(given)


OUT_OF_RANGE: dict[str, tuple[Callable[[Any], object], list[object], str]] = {
    "issued": (lambda given: Client().issued(given), [-1, 65536, 1 << 70], "request_id"),
    "answered": (lambda given: asked().answered(given), [-1, 65536, 1 << 70], "request_id"),
    "request_state": (lambda given: asked().request_state(given), [-1, 65536, 1 << 70], "request_id"),
    "stream_state": (lambda given: asked().stream_state(given), [-1, 256, 1 << 70], "stream_id"),
}


@pytest.mark.parametrize(("call", "given", "name"), cases(OUT_OF_RANGE))
def test_ids_out_of_range_are_named(call: Callable[[Any], object], given: object, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be "):
        call(given)


class Number:
    """An integer of another library."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


def test_ids_are_any_integers() -> None:
    server = asked()
    one: Any = Number(1)
    two: Any = Number(2)
    assert server.request_state(one) is server.request_state(1)
    sent: Any = server.respond(one, b"x", stream_id=two)
    frames = list(sent)
    assert [type(frame.request_id) for frame in frames] == [int]
    client = Client()
    client.issued(one)
    assert client.active == (1,)
    assert list(client.receive_frame(frames[0]))


REVISION = Revision("framing-0002")
NO_CODECS: list[object] = [REVISION, "framing-0002", 0, "", FIRST]
CODECS: dict[str, tuple[Callable[[Any], object], list[object], str]] = {
    "reader": (lambda given: FrameReader(codec=given), NO_CODECS, "codec"),
    "read_frames": (lambda given: items(read_frames(b"", codec=given)), NO_CODECS, "codec"),
    "encode_frame": (lambda given: encode_frame(FIRST, codec=given), NO_CODECS, "codec"),
    "encode_frames": (lambda given: items(encode_frames([], codec=given)), NO_CODECS, "codec"),
    "frame_buffers": (lambda given: items(frame_buffers([], codec=given)), NO_CODECS, "codec"),
    "writer": (lambda given: FrameWriter(io.BytesIO(), codec=given), NO_CODECS, "codec"),
    "write_frames": (lambda given: write_frames(io.BytesIO(), [], codec=given), NO_CODECS, "codec"),
    "format_frame": (lambda given: format_frame(FIRST, given), [*NO_CODECS, []], "codec"),
    "parse_frame": (lambda given: parse_frame("1 1 1 1 1 x", given), NO_CODECS, "codec"),
}


@pytest.mark.parametrize(("call", "given", "name"), cases(CODECS))
def test_what_is_no_codec_is_named(call: Callable[[Any], object], given: object, name: str) -> None:
    remedy = "; use its codec" if isinstance(given, Revision) else ""
    with pytest.raises(TypeError, match=f"^{name} must be a codec, not {type(given).__name__}{remedy}$"):
        call(given)


NO_REVISIONS: list[object] = ["framing-0002", codec, 0, ""]
REVISIONS: dict[str, tuple[Callable[[Any], object], list[object], str]] = {
    "validate": (lambda given: items(validate(b"", revision=given)), NO_REVISIONS, "revision"),
    "validate_payload": (
        lambda given: items(validate_payload("progress", b"", revision=given)),
        NO_REVISIONS,
        "revision",
    ),
    "client": (lambda given: Client(revision=given), NO_REVISIONS, "revision"),
    "server": (lambda given: Server(revision=given), NO_REVISIONS, "revision"),
    "input stream": (lambda given: InputStream(1, revision=given), NO_REVISIONS, "revision"),
    "output stream": (lambda given: OutputStream(1, revision=given), NO_REVISIONS, "revision"),
    "encodings": (default_encodings, NO_REVISIONS, "revision"),
    "profile": (lambda given: zlib_profile(revision=given), NO_REVISIONS, "revision"),
    "frames": (lambda given: strategies.frames("progress", revision=given), NO_REVISIONS, "revision"),
    "all frames": (lambda given: strategies.frames(revision=given), NO_REVISIONS, "revision"),
    "headers": (lambda given: strategies.headers("progress", revision=given), NO_REVISIONS, "revision"),
    "payloads": (lambda given: strategies.payloads("progress", revision=given), NO_REVISIONS, "revision"),
    "values": (lambda given: strategies.values("progress", revision=given), NO_REVISIONS, "revision"),
    "boundaries": (lambda given: items(boundaries(revision=given)), NO_REVISIONS, "revision"),
    "frames that are made": (FrameMaker, NO_REVISIONS, "revision"),
    "explain": (lambda given: explain("frame.whole", given), NO_REVISIONS, "revision"),
}


@pytest.mark.parametrize(("call", "given", "name"), cases(REVISIONS))
def test_what_is_no_revision_is_named(call: Callable[[Any], object], given: object, name: str) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be a "):
        call(given)


@pytest.mark.parametrize("write", [FrameWriter, lambda file: write_frames(file, [])])
@pytest.mark.parametrize("given", ["x", b"x", None, 5, []])
def test_what_is_no_file_to_write_to_is_named(write: Callable[[Any], object], given: object) -> None:
    with pytest.raises(TypeError, match=f"^file must be a binary file, not {type(given).__name__}$"):
        write(given)


UNKNOWN: dict[str, tuple[Callable[[Any], object], list[object], str]] = {
    "kinds of goals": (lambda given: items(Coverage().missing([given])), ["typs", ""], "kind of goals"),
    "goals reached": (Coverage().reached, ["typs", ""], "kind of goals"),
    "goals in all": (Coverage().total, ["typs", ""], "kind of goals"),
    "form": (lambda given: Coverage().content(b"", given), ["bogus", ""], "form must be one of"),
    "flags": (lambda given: validate_payload("progress", b"", flags=given), [-1, 16, 0x22], "flags must be"),
    "kind": (lambda given: codec.frame_of(given, 1, 1, b""), [-1, 1 << 16, 1 << 70], "does not fit a header"),
    "kind of bytes": (
        lambda given: codec.frame_bytes(given, 1, 1, b""),
        [-1, 1 << 16, 1 << 70],
        "does not fit a header",
    ),
    "frame type": (
        lambda given: broken_frame("frame.whole", given, Seeded(1)),
        ["nope"],
        "there is no frame type 'nope'",
    ),
    "limits that are named": (lambda given: Oracle(named=given), [["nope"], ["active_requests"]], "there is no limit"),
    "a command that fails": (lambda given: Cases("server", 1, fails=given), ["", "\u00e9"], "fails must be the ASCII"),
    "violate": (lambda given: violate(given, (), Seeded(1)), ["nope", "reactor.unknown"], "no bytes violate"),
    "senders": (senders, ["nope", ""], "there is no requirement"),
}


@pytest.mark.parametrize(("call", "given", "words"), cases(UNKNOWN))
def test_what_there_is_not_is_named(call: Callable[[Any], object], given: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call(given)
