"""Recorded exchanges of real peers: each is decoded to what another decoder made of it, and written back as it was.

``tests/data/captures`` has the bodies of requests and responses in hexadecimal, with the rows of their frames (length on the
wire, request id, stream id, stream flags, type, and flags) and their content. An independent parser computed the content.
"""

from __future__ import annotations

import hashlib
import json
from io import BytesIO
from typing import Any

import pytest
from support import ROOT

from hgproto import Revision, read_frames
from hgproto.reactors.client import Client
from hgproto.reactors.events import ResponseData, RunCommand
from hgproto.reactors.server import Server
from hgproto.runtime.cbor import Chunks, Tag, WireMap, encode_item
from hgproto.streams.encodings import default_encodings
from hgproto.wire.joined import Joiner

CAPTURES = {
    revision: json.loads((ROOT / "tests" / "data" / "captures" / f"{revision}.json").read_text(encoding="utf-8"))[
        "captures"
    ]
    for revision in ("framing-0002", "framing-0006")
}
OLD = pytest.mark.parametrize("capture", CAPTURES["framing-0002"], ids=lambda capture: capture["name"])
NEW = pytest.mark.parametrize("capture", CAPTURES["framing-0006"], ids=lambda capture: capture["name"])
SIDES = ("request", "response")
REVISION = Revision("framing-0006")
_CODEC: Any = REVISION.codec
_LONGEST = 100
"""The most bytes of a string that a capture has as they are; for others, it has the length and a digest."""


def frames_of(capture: dict[str, Any], side: str, revision: Revision) -> list[Any]:
    """Returns the frames of one side, after their header fields were compared with the capture."""
    frames = list(read_frames(BytesIO(bytes.fromhex(capture[side])), codec=revision.codec))
    rows = [[len(f.payload), f.request_id, f.stream_id, f.stream_flags, f.type, f.flags] for f in frames]
    assert rows == capture["expect"][f"{side}_frames"]
    return frames


@pytest.mark.parametrize(
    ("capture", "revision"),
    [(capture, revision) for revision, captures in CAPTURES.items() for capture in captures],
    ids=lambda one: one if isinstance(one, str) else one["name"],
)
def test_frames_are_written_back_as_the_same_bytes(capture: dict[str, Any], revision: str) -> None:
    of = Revision(revision)
    for side in SIDES:
        written = b"".join(of.codec.encode_frame(frame) for frame in frames_of(capture, side, of))
        assert written.hex() == capture[side]


# framing-0002.


def described(data: bytes) -> dict[str, Any]:
    """Returns bytes as a capture has them."""
    if len(data) <= _LONGEST:
        return {"bytes": data.hex()}
    return {"length": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@OLD
def test_a_server_receives_the_commands_of_a_capture(capture: dict[str, Any]) -> None:
    server = Server(reopen="restart")
    events = server.receive_data(bytes.fromhex(capture["request"])) + server.receive_end()
    commands = [event for event in events if isinstance(event, RunCommand)]
    if "irregular" in capture and "even" in capture["name"]:
        assert commands == []
        return
    found = [
        {
            "request_id": command.request_id,
            "name": command.name,
            "arguments": {name: described(value) for name, value in command.args.items()},
            "data": None if command.data is None else described(command.data),
        }
        for command in commands
    ]
    assert {str(one["request_id"]): one for one in found} == {
        str(one["request_id"]): one for one in capture["expect"]["request"]
    }
    assert len(found) == len(capture["expect"]["request"])


@OLD
def test_a_client_receives_the_responses_of_a_capture(capture: dict[str, Any]) -> None:
    client = Client(reopen="restart")
    for expected in capture["expect"]["response"]:
        if expected["request_id"] % 2:
            client.issued(expected["request_id"])
    events = client.receive_data(bytes.fromhex(capture["response"])) + client.receive_end()
    responses: dict[int, bytes] = {}
    for event in events:
        if isinstance(event, ResponseData):
            responses[event.request_id] = responses.get(event.request_id, b"") + event.data
    expected = capture["expect"]["response"]
    if "even" in capture["name"]:
        assert responses == {}
        return
    assert [{"request_id": number, "response": described(data)} for number, data in responses.items()] == expected


# framing-0006.


def as_json(value: Any) -> Any:
    """Returns a value as a capture has it."""
    match value:
        case bytes():
            return described(value)
        case dict():
            return {"map": [[as_json(key), as_json(item)] for key, item in value.items()]}
        case Tag():
            return {"set": [as_json(item) for item in sorted(value.item, key=encode_item)]}
        case list() | tuple():
            return [as_json(item) for item in value]
    return value


def plain(value: Any) -> Any:
    """Returns a value in which known keys and words are byte strings too."""
    match value:
        case str():
            return value.encode()
        case dict():
            return WireMap((plain(key), plain(item)) for key, item in value.items())
        case list() | tuple():
            return [plain(item) for item in value]
    return value


def entries_of(record: Any) -> list[Any]:
    """Returns the values that the payload of a record has."""
    parts = record.as_dict()
    layout = next(found for name, found in _CODEC.LAYOUTS.items() if _CODEC.STRUCTURES[name][0] is type(record))
    if layout.is_sequence:
        return [
            value
            for entry in layout.entries
            for value in (parts[entry.name] if entry.repeated else [parts[entry.name]])
        ]
    extra = parts.pop("extra")
    assert extra == {}
    return [{name.encode(): parts[name] for name in map(bytes.decode, record._order)}]


def content_of(capture: dict[str, Any], side: str) -> list[dict[str, Any]]:
    """Returns the content of one side: the values and the bytes of each request and type."""
    content: dict[tuple[int, int], dict[str, Any]] = {}
    joiner, decoder = Joiner(_CODEC), None
    for frame in frames_of(capture, side, REVISION):
        payload = bytes(frame.payload)
        key = (frame.request_id, int(frame.type))
        found = content.setdefault(key, {"values": [], "bytes": b"", "records": []})
        if frame.stream_flags & REVISION.encoded:
            decoder = decoder or default_encodings()[capture["encoding"]].decoder()
            payload = decoder.decode(payload, 1 << 24)
        found["bytes"] += payload
        joined = joiner.feed(frame, payload)
        if joined is not None:
            found["records"] += joined.values
            values = [
                value
                for each in joined.values
                for value in ([each] if not hasattr(each, "as_dict") else entries_of(each))
            ]
            found["values"] += values
    joiner.close()
    return [
        {"request_id": number, "type": _CODEC.TYPE_NAMES[type_], **found} for (number, type_), found in content.items()
    ]


@NEW
@pytest.mark.parametrize("side", SIDES)
def test_the_values_of_a_capture_are_those_of_another_decoder(capture: dict[str, Any], side: str) -> None:
    found = content_of(capture, side)
    expected = capture["expect"][side]
    assert [(one["request_id"], one["type"]) for one in found] == [(one["request_id"], one["type"]) for one in expected]
    for one, other in zip(found, expected, strict=True):
        if "data" in other:
            assert described(one["bytes"]) == other["data"]
            continue
        assert [as_json(plain(value)) for value in one["values"]] == other["values"]
        assert len(one["bytes"]) == other.get("decoded_length", len(one["bytes"]))
        chunks = [
            {"value": number, "chunks": list(value.sizes)}
            for number, value in enumerate(one["values"])
            if isinstance(value, Chunks)
        ]
        assert chunks == other.get("indefinite", [])


def record_of(found: dict[str, Any]) -> Any:
    """Returns the record of the values of a request and type."""
    name = _CODEC.JOINS[_CODEC.CODES[found["type"]]].structure
    if not _CODEC.LAYOUTS[name].is_sequence:
        return found["records"][0]
    first, *others = found["records"]
    return _CODEC.STRUCTURES[name][0](first, tuple(others))


@NEW
@pytest.mark.parametrize("side", SIDES)
def test_the_values_of_a_capture_are_written_back_as_the_same_bytes(capture: dict[str, Any], side: str) -> None:
    for found in content_of(capture, side):
        if not found["values"]:
            continue
        assert b"".join(encode_item(plain(value)) for value in found["values"]) == found["bytes"]
        record = record_of(found)
        _, decode, encode = _CODEC.STRUCTURES[_CODEC.JOINS[_CODEC.CODES[found["type"]]].structure]
        assert encode(record) == found["bytes"]
        assert decode(found["bytes"]) == record


def anew(value: Any) -> Any:
    """Returns a value whose maps are new."""
    match value:
        case dict():
            return {key: anew(item) for key, item in reversed(value.items())}
        case list() | tuple():
            return [anew(item) for item in value]
        case Tag():
            return Tag(value.number, anew(value.item))
    return value


def is_sorted(capture: dict[str, Any], side: str) -> bool:
    """Returns True if the peer itself built all maps of a side, in alphabetical order."""
    # A script made the other requests, and the server keeps the order in which a redirect's location was made.
    return capture["name"].startswith("client-") if side == "request" else "redirected" not in capture["name"]


@pytest.mark.parametrize(
    ("capture", "side"),
    [(capture, side) for capture in CAPTURES["framing-0006"] for side in SIDES if is_sorted(capture, side)],
    ids=lambda one: one if isinstance(one, str) else one["name"],
)
def test_values_that_are_built_anew_have_the_order_of_the_peer(capture: dict[str, Any], side: str) -> None:
    for found in content_of(capture, side):
        if not found["values"]:
            continue
        record = record_of(found)
        _, _, encode = _CODEC.STRUCTURES[_CODEC.JOINS[_CODEC.CODES[found["type"]]].structure]
        parts = {name: anew(part) for name, part in record.as_dict().items()}
        assert encode(type(record)(**parts)) == found["bytes"]
