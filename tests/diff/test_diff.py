"""Differences between schemas: what is said of each change in tests/data/differences.txt, and that none is missed."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml
from diff.test_evolution import judgement, replacements
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support import INVALID, ROOT, SCHEMA, VALID

from hgproto.cli import main
from hgproto.diff import KINDS, Change, changes, entries, events, machines, messages, parts
from hgproto.language import SchemaError, check, load, model
from hgproto.language.cbor_types import CborEntry
from hgproto.language.documents import Document
from hgproto.language.messages import Message, MessagePart
from hgproto.revisions.revision import Revision

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hgproto.language.model import Schema

DATA = ROOT / "tests" / "data"
ALIEN = DATA / "alien.yaml"
OURS = SCHEMA / "framing-0002.yaml"
NEWER = SCHEMA / "framing-0006.yaml"


class Difference(NamedTuple):
    """A change of a file, and what is said of it."""

    what: str
    file: str
    replaced: list[tuple[str, str]]
    everywhere: list[tuple[str, str]]
    said: list[str]

    @property
    def main(self) -> Path:
        """The schema file that is changed, or that includes what is changed."""
        return next((file for file in (ALIEN, NEWER) if self.file == file.name), OURS)

    def make(self, directory: Path) -> Path:
        """The changed schema file, in a directory of its own."""
        for file in {self.main, self.main.with_name(self.file)} | ({SCHEMA / "framing.yaml"} - {ALIEN}):
            text = file.read_text(encoding="utf-8")
            for old, new in self.everywhere:
                text = re.sub(rf"(?<![\w.-]){re.escape(old)}(?![\w-]|\.\w)", new, text)
            for old, new in self.replaced if file.name == self.file else ():
                assert text.count(old) == 1, f"{self.what}: {old!r} is there {text.count(old)} times"
                text = text.replace(old, new)
            (directory / file.name).write_text(text, encoding="utf-8")
        return directory / self.main.name


def listed() -> Iterator[Difference]:
    """The differences in the list."""
    for part in (DATA / "differences.txt").read_text(encoding="utf-8").split("\n# ")[1:]:
        what, _, text = part.partition("\n")
        lines = text.splitlines()
        file = next((line[3:] for line in lines if line.startswith("in ")), OURS.name)
        replaced = replacements(what) if "as in changes.txt" in lines else []
        for place in text.split("\n\n"):
            old, new = ("\n".join(line[2:] for line in place.split("\n") if line[:1] == sign) for sign in "-+")
            if old:
                replaced.append((old, new))
        everywhere = [
            (old, new) for old, _, new in (line[7:].partition(" => ") for line in lines if line[:7] == "every: ")
        ]
        yield Difference(what, file, replaced, everywhere, [line[2:] for line in lines if line[:2] == "= "])


DIFFERENCES = list(listed())


@cache
def loaded(file: Path) -> Schema:
    """A schema that is not changed."""
    return load(file)


def made(what: str, directory: Path) -> Path:
    """The file of a difference of the list."""
    return next(difference for difference in DIFFERENCES if difference.what == what).make(directory)


class Pair(NamedTuple):
    """A difference, the file that has it, the schemas without and with it, and what has changed between them."""

    difference: Difference
    file: Path
    old: Schema
    new: Schema
    found: list[Change]


@pytest.fixture(scope="module", params=DIFFERENCES, ids=lambda difference: difference.what)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Each difference of the list."""
    file = request.param.make(tmp_path_factory.mktemp("changed"))
    old, new = loaded(request.param.main), load(file)
    return Pair(request.param, file, old, new, changes(old, new))


def test_each_change_is_said(pair: Pair) -> None:
    assert check(pair.new) == []
    found = [f"{change.kind} {change.path}: {change.sentence}" for change in pair.found]
    assert found == pair.difference.said


@pytest.mark.parametrize("file", [OURS, ALIEN], ids=lambda file: file.stem)
def test_a_schema_does_not_differ_from_itself(file: Path, tmp_path: Path) -> None:
    text = file.read_text(encoding="utf-8")
    (tmp_path / file.name).write_text(f"# A comment.\n{text}", encoding="utf-8")
    shutil.copy(SCHEMA / "framing.yaml", tmp_path)
    other = load(tmp_path / file.name)
    assert other.digest != loaded(file).digest
    assert changes(loaded(file), other) == []


def test_what_is_new_one_way_is_gone_the_other(pair: Pair) -> None:
    there, back = pair.found, changes(pair.new, pair.old)
    if any(" is now called " in change.sentence for change in there):
        # The paths of what is in a part that has another name differ.
        assert [change.kind for change in there] == [change.kind for change in back]
    else:
        assert {(change.kind, change.path) for change in there} == {(change.kind, change.path) for change in back}
    for word, opposite in ((" is new", " is gone"), (" is gone", " is new")):
        assert sum(word in change.sentence for change in there) == sum(opposite in change.sentence for change in back)
    for change in there if pair.difference.what not in ("a title", "a media type", "a revision") else ():
        assert (change.old is None) == (" is new" in change.sentence and "case" not in change.sentence), change


ELSEWHERE = {
    model.Action: "name events",
    CborEntry: "name type",
    Document: "name sections",
    model.Event: "name inherited own",
    model.EventField: "name",
    model.Field: "name type size count sizes repeat parity order bits rules sized_by",
    model.Flag: "name",
    model.FrameType: "name flags constraints checks payload joins examples",
    model.Limit: "name",
    model.Machine: "name states state_places transitions",
    model.Profile: "name",
    model.Requirement: "id",
    model.Schema: "header stream_flags stream_constraints limits cbor profiles structures frames guards machines requirements "
    "messages events emits sources",
    Message: "name parameters parts",
    MessagePart: "frame flags otherwise choices",
}
"""Attributes of parts that are compared by more than their value: the list of differences has them."""


@pytest.mark.parametrize(
    ("part", "table"),
    [
        (model.Action, events.ACTION),
        (CborEntry, entries.ENTRY),
        (model.Event, events.EVENT),
        (model.EventField, events.EVENT_FIELD),
        (model.Field, parts.FIELD),
        (model.Flag, parts.FLAG),
        (model.FrameType, parts.FRAME),
        (model.Limit, parts.LIMIT),
        (model.Machine, machines.MACHINE),
        (model.Profile, parts.PROFILE),
        (Document, parts.SOURCE),
        (model.Requirement, parts.REQUIREMENT),
        (model.Schema, parts.SCHEMA),
        (Message, messages.MESSAGE),
        (MessagePart, messages.PART),
    ],
)
def test_each_attribute_is_compared(part: Any, table: dict[str, str]) -> None:
    derived = {"place", "digest", "files", "references"}
    assert {*table, *ELSEWHERE[part].split(), *derived} >= {field.name for field in fields(part)}
    assert {field.name for field in fields(part)} >= {*table, *ELSEWHERE[part].split()}


def scalars(file: Path) -> list[tuple[int, int]]:
    """Where the scalars of a YAML file begin and end, in characters; keys and values alike."""
    tokens = yaml.scan(file.read_text(encoding="utf-8"))
    return [(token.start_mark.index, token.end_mark.index) for token in tokens if isinstance(token, yaml.ScalarToken)]


def otherwise(text: str) -> str:
    """Another scalar of the same kind."""
    if text in ("true", "false"):
        return "false" if text == "true" else "true"
    if text.isdecimal():
        return str(int(text) + 1)
    quote = text[-1] if text[-1] in "\"'" else ""
    return f"{text.rstrip().removesuffix(quote)}x{quote}"


@settings(max_examples=settings().max_examples // 16)
@given(data=st.data())
@pytest.mark.parametrize("file", [OURS, ALIEN], ids=lambda file: file.stem)
def test_no_change_is_missed(file: Path, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    # Whatever scalar is another, the schema does not load, is a bad one, or has changed.
    start, end = data.draw(st.sampled_from(scalars(file)))
    text = file.read_text(encoding="utf-8")
    directory = tmp_path_factory.mktemp("scalar")
    (directory / file.name).write_text(text[:start] + otherwise(text[start:end]) + text[end:], encoding="utf-8")
    shutil.copy(SCHEMA / "framing.yaml", directory)
    try:
        schema = load(directory / file.name)
    except SchemaError as error:
        event("does not load")
        assert error.problems
        return
    if check(schema):
        event("is a bad one")
        return
    event("has changed")
    assert changes(loaded(file), schema)


@cache
def codec_of(file: Path) -> Any:
    """The codec of a schema file."""
    return Revision(str(file)).codec


def test_without_layout_and_wire_the_same_bytes_are_taken(pair: Pair) -> None:
    if {change.kind for change in pair.found} & {"layout", "wire"}:
        return
    before, now = codec_of(pair.difference.main), codec_of(pair.file)
    data = [example.data for frame in pair.old.frames.values() for example in frame.examples]
    if pair.difference.main == OURS:
        data += [bytes.fromhex(vector["wire"]) for vector in (*VALID, *INVALID) if "wire" in vector]
    refused = [bool(judgement(before, wire)) for wire in data]
    assert {True, False} == set(refused)
    assert [bool(judgement(now, wire)) for wire in data] == refused


def test_too_many_cases_are_not_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "MAX_CASES", 3)
    (change,) = changes(loaded(OURS), load(made("a condition is another", tmp_path)))
    assert change.kind == "wire"
    where = "In the state receiving-arguments of server-request, command-data"
    assert change.sentence == f"{where} may have another outcome; there are too many cases to compare."
    assert change.new is not None
    assert change.new.line == loaded(OURS).machines["server-request"].place.line


# The command.


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """The exit code of ``hgproto diff``, and what it prints."""
    code = main(["diff", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_text_has_each_sentence_at_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = made("add a constraint", tmp_path)
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "framing-0002", file)
    places = {change.path: change.new for change in changes(loaded(OURS), load(file))}
    lines = {path: place.line for path, place in places.items() if place}
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "wire: 1 change",
        "  The constraint {odd: [request_id]} of bytes-response is new: bytes-response.odd-id.",
        f"    framing-0002.yaml:{lines['frames.bytes-response.constraints']}:9",
        "semantic: 1 change",
        '  The requirement bytes-response.odd-id, "A server MUST respond with an odd request id.", is new.',
        f"    framing-0002.yaml:{lines['requirements.bytes-response.odd-id']}:3",
    ]


def test_what_is_gone_has_its_old_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, made("add a flag", tmp_path), OURS)
    first, sentence, place = out.splitlines()
    assert (first, sentence) == ("wire: 1 change", "  The flag quiet of command-name, bit 3, is gone.")
    assert re.fullmatch(r" +\S*framing-0002\.yaml:\d+:\d+", place)


def test_long_sentences_are_wrapped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, OURS, made("a condition is another", tmp_path))
    assert max(map(len, out.splitlines())) <= 100
    assert " ".join(out.split()).count("In the state receiving-arguments of server-request, command-data when") == 3


def test_json_has_an_object_a_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = made("add a flag", tmp_path)
    code, out, _ = run(capsys, OURS, file, "--format", "json")
    (data,) = map(json.loads, out.splitlines())
    new = data.pop("new")
    assert code == 0
    assert data == {
        "kind": "wire",
        "path": "frames.command-name.flags.quiet",
        "sentence": "The flag quiet of command-name, bit 3, is new.",
        "old": None,
    }
    text = file.read_text(encoding="utf-8").splitlines()
    assert new["file"].endswith("framing-0002.yaml")
    assert text[new["line"] - 1][new["column"] - 1 :].startswith("quiet:")


@pytest.mark.parametrize("format", ["text", "json"])
def test_nothing_is_said_of_no_changes(format: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = {"text": "no changes\n", "json": ""}[format]
    assert run(capsys, "framing-0002", OURS, "--format", format, "--fail-on", "documentation") == (0, said, "")


@pytest.mark.parametrize(
    ("what", "gravest"),
    [
        ("add a payload field", "layout"),
        ("add a flag", "wire"),
        ("a revision", "semantic"),
        ("a title", "documentation"),
    ],
)
def test_fail_on_a_kind_fails_on_graver_ones_too(
    what: str, gravest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = made(what, tmp_path)
    assert run(capsys, OURS, file)[0] == 0
    place = KINDS.index(gravest)
    for kind in KINDS[max(0, place - 1) : place + 2]:
        code, _, err = run(capsys, OURS, file, "--fail-on", kind)
        is_failed = place <= KINDS.index(kind)
        assert code == is_failed
        assert err.startswith("hgproto: ") == is_failed


@pytest.mark.parametrize("broken_side", [0, 1])
def test_a_schema_that_is_bad_is_never_no_changes(
    broken_side: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.yaml"
    for text, problem in (
        ("revision: [", "broken.yaml:2:1: "),
        (ALIEN.read_text(encoding="utf-8").replace("code: 2", "code: 0"), "broken.yaml:"),
    ):
        broken.write_text(text, encoding="utf-8")
        pair = [ALIEN, broken] if broken_side else [broken, ALIEN]
        code, out, err = run(capsys, *pair)
        assert (code, out) == (1, "")
        assert problem in err


def test_the_problems_of_both_schemas_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / "one.yaml", tmp_path / "two.yaml"]
    for file in files:
        file.write_text("language: 2\n", encoding="utf-8")
    code, out, err = run(capsys, *files)
    assert (code, out) == (1, "")
    assert "one.yaml" in err
    assert "two.yaml" in err


@pytest.mark.parametrize("reverse", [False, True])
def test_a_faulty_schema_is_judged_beside_one_that_is_not_there(
    reverse: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "one.yaml", tmp_path / "none.yaml"]
    files[0].write_text("language: 2\n", encoding="utf-8")
    code, out, err = run(capsys, *(reversed(files) if reverse else files))
    assert (code, out) == (1, "")
    assert "one.yaml:1:11: " in err
    assert "none.yaml: No such file or directory\n" in err
    files[0].unlink()
    code, out, err = run(capsys, *files)
    assert (code, out) == (3, "")
    assert err.count(": No such file or directory\n") == 2


def test_a_file_that_is_not_there_is_trouble_and_an_unknown_name_is_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", str(OURS), str(tmp_path / "none.yaml")]) == 3
    assert re.match("hgproto: .*none.yaml: No such file or directory\n", capsys.readouterr().err)
    with pytest.raises(SystemExit, match="2"):
        main(["diff", str(OURS), "framing-0003"])
    assert capsys.readouterr().err.startswith("hgproto: argument NEW: 'framing-0003' is neither a revision nor a file")


def test_a_kind_that_is_none_is_a_fault_of_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["diff", "framing-0002", "framing-0002", "--fail-on", "wires"])
    assert stopped.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "unknown kind of change 'wires'; use one of layout, wire, semantic, documentation" in said
