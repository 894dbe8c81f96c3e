"""Boundaries: what is at every edge, judged as labelled, always the same."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from support import ROOT, SCHEMA, Refusal, fast_judgement, struct_judgement

from hgproto.cli import main
from hgproto.judging.validation import validate
from hgproto.reactors.events import SendFrames
from hgproto.reactors.limits import Limits
from hgproto.reactors.server import Server
from hgproto.revisions.framing_0002 import codec
from hgproto.revisions.framing_0002.requirements import REQUIREMENTS
from hgproto.revisions.revision import Revision
from hgproto.runtime.layout import walk
from hgproto.samples import Boundary, Seeded, at_limits, boundaries
from hgproto.samples.frames import FrameMaker, NotMadeError
from hgproto.samples.limits import LIMITS, MOST_BYTES

if TYPE_CHECKING:
    from pathlib import Path

ALIEN = Revision(str(ROOT / "tests" / "data" / "alien.yaml"))
ALL = {name: list(boundaries(name)) for name in codec.CODES}
each_type = pytest.mark.parametrize("name", ALL)
REMARKS = {name for name, requirement in REQUIREMENTS.items() if requirement.enforced == "validator"}
"""What is worth a remark and no refusal."""


@each_type
def test_labels_are_what_the_structs_say(name: str) -> None:
    for what, data, broken in ALL[name]:
        length = int.from_bytes(data[:3], "little")
        if length > 65535:
            assert broken == ("frame.length-limit",), what
            continue
        refused = [requirement for requirement in broken if requirement not in REMARKS]
        judged = struct_judgement(data)
        assert refused == [judged[0]] if isinstance(judged, Refusal) else not refused, what
        assert fast_judgement(data)[0] == judged[0], what


@each_type
def test_everything_has_its_edges(name: str) -> None:
    data = {one.data for one in ALL[name]}
    headers = {one[:8] for one in data if len(one) >= 8}
    assert {one[7] & 15 for one in headers if one[7] >> 4 == codec.CODES[name]} == set(range(16))
    combinations = {(one[7] & 15, one[6]) for one in headers}
    assert combinations >= {(flags, stream_flags) for flags in range(16) for stream_flags in range(8)}
    assert {one[6] for one in headers} >= {8, 16, 32, 64, 128, 255}
    assert {one[7] >> 4 for one in headers} == {codec.CODES[name] + step for step in (-1, 0, 1)}
    assert {int.from_bytes(one[3:5], "little") for one in headers} >= {0, 1, 2, 65534, 65535}
    assert {one[5] for one in headers} >= {0, 1, 2, 254, 255}
    assert {int.from_bytes(one[:3], "little") for one in headers} >= {0, 1, 2, 65534, 65535, 65536}
    # Each is there once, and says what it is.
    assert len(data) == len({one.what for one in ALL[name]}) == len(ALL[name])


STRINGS = [
    (structure, part.name)
    for structure, layout in codec.LAYOUTS.items()
    for part in layout.parts
    if part.size not in (None, "rest") and structure in ("argument", "text-atom", "stream-settings")
]


@pytest.mark.parametrize(("structure", "field"), STRINGS)
def test_strings_have_their_edges(structure: str, field: str) -> None:
    name = {"argument": "command-argument", "text-atom": "text-output"}.get(structure, structure)
    layout = codec.LAYOUTS["text-output" if structure == "text-atom" else structure]
    sizes = set()
    for _, data, broken in ALL[name]:
        if set(broken) <= REMARKS and data[7] & 1 == 0:
            sizes |= {span.end - span.start for span in walk(layout, data[8:]) if span.path.endswith(field)}
    part = next(part for part in codec.LAYOUTS[structure].parts if part.name == field)
    most = 255 if structure == "stream-settings" else 65535
    assert sizes >= ({1, 2} if "empty" in part.rules else {0, 1}) - {2}
    assert max(sizes) in (most, most - (len(_shortest(structure)) - 1))


def _shortest(structure: str) -> bytes:
    return {"argument": b"\x01\0\1\0aa", "text-atom": b"\1\0\1\1\1\1\0aaa"}.get(structure, b"a")


def test_edges_of_a_map_are_told_by_name() -> None:
    labels = {one.what.removeprefix("progress: "): one.broken for one in ALL["progress"]}
    wanted: dict[str, tuple[str, ...]] = {
        "every entry": (),
        "no topic": ("progress.required-keys",),
        "no label": (),
        "pos twice": ("progress.duplicate-keys",),
        "pos -1": (),
        "pos -2": ("progress.value-types",),
        "total -1": ("progress.value-types",),
        "total 18446744073709551615": (),
        "topic 0": ("progress.value-types",),
        "a key that is not a string": ("progress.byte-keys",),
        "an empty map": ("progress.required-keys",),
        "a map of indefinite length": (),
        "one byte more": ("progress.surplus",),
    }
    assert {what: labels.get(what) for what in wanted} == wanted


def test_boundaries_are_always_the_same() -> None:
    digest = hashlib.sha256()
    for one in boundaries():
        digest.update(repr(one).encode())
    # Boundaries have changed when this is another, which is no fault, and worth a line of news.
    assert digest.hexdigest() == "6da78847d3e26d6285878462858450045736f8d59f911e0db5039f781a4f334c"


def test_boundaries_of_another_schema_are_judged_too() -> None:
    for name in ALIEN.codec.CODES:
        found = list(boundaries(name, revision=ALIEN))
        assert len(found) > 100
        assert {bool(one.broken) for one in found} == {False, True}
        assert len({one.data for one in found}) == len({one.what for one in found}) == len(found)


def changed(directory: Path, *changes: tuple[str, str]) -> Revision:
    """The revision other-1: framing-0002 with changes."""
    for name in ("framing-0002.yaml", "framing.yaml"):
        shutil.copy(SCHEMA / name, directory)
    file = directory / "framing-0002.yaml"
    text = file.read_text(encoding="utf-8")
    for old, new in (("revision: framing-0002", "revision: other-1"), *changes):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")
    return Revision(str(file))


MESSAGE = "  progress:\n    doc: The progress of an operation.\n    frames:\n      - {frame: progress}\n"
"""A builder cannot make frames with constraints on lengths and on stream flags."""
ITEMS = ("payload-items:\n    default: 65536", "payload-items:\n    default: 9")
PAYLOAD = "    payload:\n      - {structure: progress}\n"
ALWAYS_ENCODED = PAYLOAD.replace(
    "payload:", "constraints: [{all-of: [encoded], requirement: progress.surplus}]\n    payload:"
)
NEVER_EVEN = (
    (MESSAGE, ""),
    # The type has no role then, and so no checks.
    ("    role: progress\n", ""),
    ("    checks: {ascii-topic: progress.topic-ascii, topic-end: progress.topic-end}\n", ""),
    *(
        (
            f"  progress.{name}:\n    {{{head}, enforced: validator",
            f"  progress.{name}:\n    {{{head}, enforced: manual",
        )
        for name, head in (
            ("topic-ascii", "binds: server, level: SHOULD, source: protocol, section: progress"),
            ("topic-end", "binds: server, level: MUST, source: protocol, section: progress"),
        )
    ),
    (
        PAYLOAD,
        "    constraints: [{even: [length], requirement: progress.surplus}]\n    payload:\n      - {structure: tick}\n",
    ),
    (
        "\nstructures:\n",
        "\nstructures:\n  tick: {doc: T., rules: {cut: progress.surplus, surplus: progress.surplus},"
        " fields: [{name: n, type: u8, doc: N., rules: {overflow: progress.surplus}}]}\n",
    ),
)


def test_a_type_that_is_always_encoded_has_frames_and_boundaries(tmp_path: Path) -> None:
    revision = changed(tmp_path, (PAYLOAD, ALWAYS_ENCODED), (MESSAGE, ""))
    maker = FrameMaker(revision)
    for encoded in (False, True):
        frame = maker.frame(Seeded(1), revision.codec.CODES["progress"], encoded=encoded)
        assert list(validate(revision.codec.encode_frame(frame), depth="frames", revision=revision)) == []
    assert {bool(one.broken) for one in boundaries("progress", revision=revision)} == {False, True}


def test_a_type_that_no_frame_can_have_has_boundaries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    revision = changed(tmp_path, *NEVER_EVEN)
    found = list(boundaries("progress", revision=revision))
    assert len(found) > 100
    assert {bool(one.broken) for one in found if one.data[7:8] == b"\x70"} == {True}
    with pytest.raises(NotMadeError, match=r"^no valid frame of the type progress was found$"):
        FrameMaker(revision).frame(Seeded(1), revision.codec.CODES["progress"])
    assert main(["sample", "progress", "--revision", str(tmp_path / "framing-0002.yaml")]) == 1
    assert capsys.readouterr().err == "hgproto: no valid frame of the type progress was found\n"


@pytest.mark.parametrize("name", ["text-output", "progress"])
def test_frames_and_boundaries_keep_a_small_limit_on_items(tmp_path: Path, name: str) -> None:
    revision = changed(tmp_path, ITEMS)
    maker, choices = FrameMaker(revision), Seeded(2)
    code = revision.codec.CODES[name]
    for _ in range(50):
        frame = maker.frame(choices, code)
        assert list(validate(revision.codec.encode_frame(frame), depth="frames", revision=revision)) == []
        revision.codec.decode_payload(frame.replace(payload=maker.payload(choices, code)), False)
    assert {bool(one.broken) for one in boundaries(name, revision=revision)} == {False, True}


@pytest.mark.parametrize(("type_", "longest"), [("u8", 255), ("u16", 4092), ("u24", 4091)])
def test_the_number_that_bounds_a_string_bounds_its_edges(tmp_path: Path, type_: str, longest: int) -> None:
    text = (SCHEMA / "README.md").read_text(encoding="utf-8")
    text = text[text.index("language: 1\nrevision: notes-1") :]
    text = text[: text.index("\n```")]
    size = int(type_[1:]) // 8
    for old, new in (
        (
            "      - {name: text, type: utf8, size: rest, doc: The text of the note.}\n",
            f"      - {{name: most, type: {type_}, rules: {{overflow: note.title-size}}, doc: The most bytes.}}\n"
            "      - {name: text, type: bytes, size: rest, at_most: most, rules: {surplus: note.title-size}, doc: A note.}\n",
        ),
        (
            "0b00 0100 01 01 11  03 746561",
            f"{11 + size:02x}00 0100 01 01 11  03 746561 {(7).to_bytes(size, 'little').hex()}",
        ),
        ("length: 11", f"length: {11 + size}"),
        ("text: at five}", 'most: 7, text: "61742066697665"}'),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    (tmp_path / "notes.yaml").write_text(text, encoding="utf-8")
    found = {what: broken for what, _, broken in boundaries("leave", revision=Revision(str(tmp_path / "notes.yaml")))}
    texts = {what: broken for what, broken in found.items() if "text of " in what}
    assert any(f"text of {longest} bytes" in what and not broken for what, broken in texts.items()), texts
    assert not any(f"text of {longest + 1} bytes" in what and not broken for what, broken in texts.items())


def test_a_limit_that_no_payload_keeps_leaves_no_frames(tmp_path: Path) -> None:
    revision = changed(tmp_path, (ITEMS[0], ITEMS[1].replace("default: 9", "default: 1")))
    maker, code = FrameMaker(revision), revision.codec.CODES["progress"]
    for make in (maker.payload, maker.frame):
        with pytest.raises(NotMadeError, match=r"^no valid frame of the type progress was found: .*; raise"):
            make(Seeded(1), code)
    assert {bool(one.broken) for one in boundaries("progress", revision=revision)} >= {True}


def test_a_type_that_no_header_fits_has_no_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    maker = FrameMaker()
    monkeypatch.setattr(maker, "headers", lambda *_, **__: ())
    with pytest.raises(NotMadeError, match=r"^no valid frame was found$"):
        maker.frame(Seeded(1))


@pytest.mark.parametrize("minimum", [-(1 << 64), 2, (1 << 64) - 1])
def test_an_entry_has_its_edges_wherever_its_minimum_is(tmp_path: Path, minimum: int) -> None:
    revision = changed(tmp_path, ("minimum: -1", f"minimum: {minimum}"))
    maker = FrameMaker(revision)
    frame = maker.frame(Seeded(1), revision.codec.CODES["progress"])
    assert list(validate(revision.codec.encode_frame(frame), depth="frames", revision=revision)) == []
    broken = {what: broken for what, _, broken in boundaries("progress", revision=revision)}
    assert broken["progress: every entry"] == ()
    for number in {minimum - 1, minimum, minimum + 1} - {max(1, minimum)}:  # which every entry has
        expected = (
            None if not -(1 << 64) <= number < 1 << 64 else () if number >= minimum else ("progress.value-types",)
        )
        assert broken.get(f"progress: pos {number}") == expected


def test_the_limit_on_lengths_can_be_another() -> None:
    lengths = {int.from_bytes(one.data[:3], "little"): one.broken for one in boundaries("command-data", max_payload=99)}
    assert lengths[99] == ()
    assert lengths[100] == ("frame.length-limit",)


def test_a_type_that_there_is_not_is_an_error() -> None:
    with pytest.raises(ValueError, match="there is no frame type 'ping'; there are command-name, "):
        boundaries("ping")


# Sessions at limits.

SMALL = Limits(
    max_payload=40,
    open_streams=4,
    decoded_frame=100,
    decoded_response=300,
    receiving_requests=3,
    active_requests=5,
    request_bytes=90,
    buffered_bytes=150,
    arguments=6,
    argument_value=50,
    payload_items=20,
)
OVER = {
    "max-payload": "frame.length-limit",
    "open-streams": "stream.open-limit",
    "decoded-frame": "encoding.decoded-limit",
    "decoded-response": "encoding.decoded-limit",
    "receiving-requests": "request.limits",
    "active-requests": "request.limits",
    "request-bytes": "request.argument-limits",
    "buffered-bytes": "request.argument-limits",
    "arguments": "request.argument-limits",
    "argument-value": "request.argument-limits",
    "payload-items": "frame.items-limit",
}


def test_only_what_is_over_a_limit_breaks_it() -> None:
    found = {one.what: one.broken for one in at_limits(SMALL)}
    wanted: dict[str, tuple[str, ...]] = {}
    for name in LIMITS:
        limit = getattr(SMALL, name.replace("-", "_"))
        for number, broken in ((limit - 1, ()), (limit, ()), (limit + 1, (OVER[name],))):
            wanted[f"{name} {number} of {limit}"] = broken
    assert found == wanted


def test_every_limit_of_a_receiver_is_there() -> None:
    assert {*LIMITS, "send-payload"} == set(codec.LIMITS)
    defaults = [one.what for one in at_limits()]
    missing = {name for name in LIMITS if not any(what.startswith(name) for what in defaults)}
    assert missing == {name for name in LIMITS if codec.LIMITS[name][0] > MOST_BYTES}
    assert set(OVER.values()) <= set(REQUIREMENTS)


def test_a_server_refuses_just_what_is_over_its_limits() -> None:
    for what, lines, broken in at_limits(SMALL):
        server = Server(limits=SMALL)
        events: list[Any] = []
        for side, frame, *_ in lines:
            if side == "client" and frame is not None:
                events += server.receive_frame(frame)
        refused = not server.works or any(type(event) is SendFrames for event in events)
        about_commands = not what.startswith(("decoded", "payload-items"))
        assert refused == (about_commands and bool(broken)), what


def test_a_boundary_has_names() -> None:
    one = Boundary("what", b"bytes", ())
    assert (one.what, one.data, one.broken) == ("what", b"bytes", ())


def test_boundaries_of_a_repeated_structure_have_what_comes_before_it() -> None:
    found = [one for one in boundaries("bundle", revision=ALIEN) if "of ledger" in one.what]
    good = [one.what for one in found if not one.broken]
    for part in ("page", "name", "line", "amount"):
        assert any(part in what for what in good), part
    assert any("2 times line" in what for what in good)
    assert {"ledger.whole", "ledger.name"} < {name for one in found for name in one.broken}


def test_boundaries_of_a_case_have_flags_that_are_allowed() -> None:
    found = [one for one in boundaries("bundle", revision=ALIEN) if "of status" in one.what]
    assert any(not one.broken for one in found)
    assert not any("bundle.state" in one.broken for one in found)
    assert {"status.keys", "status.type"} <= {name for one in found for name in one.broken}
