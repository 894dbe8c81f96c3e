"""A schema with other names: what serves every revision goes by roles, and makes the same of the same bytes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from renamed import new, renamed

from hgproto import Client, Server, Validator, default_encodings, validate
from hgproto.cli import main
from hgproto.evidence.coverage import KINDS, Coverage
from hgproto.judging.finding import ROLES
from hgproto.language import check, load
from hgproto.reactors.session import event_to_json
from hgproto.revisions.revision import Revision, default_revision
from hgproto.samples import Seeded, breakable, broken_session, session, wires
from hgproto.wire.human import format_frame, parse_frame
from hgproto.wire.writer import encode_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hgproto.samples import Line

OURS = default_revision()
seeds = st.integers(0, 1 << 32)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Revision:
    return Revision(renamed(tmp_path_factory.mktemp("renamed")))


def same_words(value: object) -> str:
    """The value as text in which new names are old ones."""
    return json.dumps(value, default=repr).replace(new(""), "")


def told(reactor: Server | Client, wire: bytes | None) -> list[dict[str, Any]]:
    events = reactor.receive_end() if wire is None else reactor.receive_data(wire)
    return [event_to_json(event) for event in events]


def test_the_schema_is_good(other: Revision) -> None:
    assert check(load(other.name)) == []
    names = set(other.codec.CODES)
    assert names.isdisjoint(OURS.codec.CODES)
    assert names == {new(name) for name in OURS.codec.CODES}


@given(seeds, st.booleans())
def test_reactors_receive_the_same(other: Revision, seed: int, streaming: bool) -> None:
    """Whatever the two sides send, with violations and without, leads to the same events."""
    for lines in (session(Seeded(seed)), broken(seed)):
        issued = {int(line.frame.request_id) for line in lines if line.side == "client" and line.frame is not None}
        events = []
        for revision in (OURS, other):
            encodings = default_encodings(revision)
            server = Server(revision=revision, streaming=streaming, encodings=encodings)
            client = Client(revision=revision, encodings=encodings)
            for request_id in sorted(issued & set(revision.request_ids))[: client.limits.active_requests]:
                client.issued(request_id)
            events.append([told(server if side == "client" else client, wire) for side, wire in wires(lines)])
        assert same_words(events[0]) == same_words(events[1])


def broken(seed: int) -> list[Line]:
    ids = breakable()
    return broken_session(ids[seed % len(ids)], Seeded(seed))


@given(seeds)
def test_the_validator_finds_the_same(other: Revision, seed: int) -> None:
    for role in ROLES:
        wire = b"".join(wire for side, wire in wires(broken(seed)) if side == role and wire is not None)
        found = [[(one.id, one.offset) for one in Validator(role, revision=each).feed(wire)] for each in (OURS, other)]
        assert found[0] == found[1]


class Sides(NamedTuple):
    server: Server
    client: Client


def frames_of(event: Any) -> Any:
    return event.frames


SENDS: dict[str, Callable[[Sides], Iterable[Any]]] = {
    "a command": lambda sides: sides.client.issue("heads"),
    "arguments": lambda sides: sides.client.issue("heads", {"b": bytes(65000), "a": b""}),
    "data": lambda sides: sides.client.issue("heads", {"a": b"b"}, bytes(70000)),
    "empty data": lambda sides: sides.client.issue("heads", None, b""),
    "a response": lambda sides: sides.server.respond(1, bytes(70000)),
    "an error": lambda sides: sides.server.respond_error(1, "no"),
    "text": lambda sides: sides.server.send_text(1, [("%s\n", ["label"], ["arg"])]),
    "progress": lambda sides: sides.server.send_progress(1, "topic", 1, 2, item="item"),
    "a violation": lambda sides: frames_of(*sides.server.receive_data(b"\xff" * 8)),
}


@pytest.mark.parametrize("encoding", [None, "zlib"])
@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("send", SENDS.values(), ids=list(SENDS))
def test_reactors_send_the_same(send: Any, streams: int, encoding: str | None, other: Revision) -> None:
    made = []
    for revision in (OURS, other):
        kwargs: dict[str, Any] = {"revision": revision, "encoding": encoding, "streams": streams}
        sides = Sides(Server(**kwargs), Client(**kwargs))
        sides.server.receive_data(b"".join(encode_frames(sides.client.issue("first"), codec=revision.codec)))
        made.append(b"".join(encode_frames(send(sides), codec=revision.codec)))
    assert made[0] == made[1] != b""


def test_frames_are_written_and_read_with_the_other_names(other: Revision) -> None:
    text = f"1 1 {new('stream-begin')}|{new('stream-end')} {new('command-name')} {new('eos')} heads"
    frame = parse_frame(text, codec=other.codec)
    assert format_frame(frame, codec=other.codec) == text
    assert list(validate(other.codec.encode_frame(frame), role="client", revision=other)) == []


def test_coverage_counts_the_same(other: Revision) -> None:
    counts = []
    for revision in (OURS, other):
        coverage = Coverage(revision=revision)
        for seed in range(20):
            for lines in (session(Seeded(seed)), broken(seed)):
                for side in ROLES:
                    sent = (wire for of, wire in wires(lines) if of == side and wire is not None)
                    coverage.data(b"".join(sent), side)
        counts.append({kind: (coverage.reached(kind), coverage.total(kind)) for kind in KINDS})
    assert counts[0] == counts[1]
    assert all(reached for reached, _ in counts[0].values())


def test_sessions_are_played_with_the_other_names(
    other: Revision, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "it.session"
    lines = [
        "> 1 1 stream-begin|stream-end command-name eos heads",
        "< 1 2 stream-begin|stream-end bytes-response eos yes",
    ]
    names = sorted({*OURS.codec.CODES, "eos", "stream-begin", "stream-end"}, key=len)
    file.write_text("".join(f"{re.sub('|'.join(names), lambda found: new(found[0]), line)}\n" for line in lines))
    for command in (["session"], ["validate"], ["validate", "--role", "both"]):
        assert main([*command, "--revision", other.name, str(file)]) == 0, command
    assert "good" in capsys.readouterr().out
    assert main(["coverage", "--revision", other.name, str(file)]) == 0
    assert f"{len(other.codec.CODES)}" in capsys.readouterr().out


def made_by_the_kit(*schema: str) -> list[Any]:
    kit = Path(__file__).resolve().parents[1] / "kit.py"
    made = subprocess.run([sys.executable, str(kit), *schema], check=True, capture_output=True, text=True)
    values: list[Any] = json.loads(made.stdout)
    return values


def test_samples_and_the_fuzzing_kit_make_the_same(other: Revision) -> None:
    ours, theirs = made_by_the_kit(), made_by_the_kit(other.name)
    assert new("command-name") in json.dumps(theirs)
    for one, another in zip(ours, theirs, strict=True):
        assert same_words(one) == same_words(another), one[0]
