"""From files to the model: what is included, how names are resolved, what a field takes from its structure."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from support import ROOT, SCHEMA

from hgproto.language import Problem, SchemaError, load
from hgproto.language.load import find, known_revisions, schema_directory
from hgproto.language.names import MODULE_NAMES, RECORD_NAMES, TYPE_NAMES, field_fault, name_faults
from hgproto.language.problems import Place, suggestion
from hgproto.revisions.revision import Revision
from hgproto.runtime.frame import Record

ALIEN = ROOT / "tests" / "data" / "alien.yaml"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of our schema to change."""
    for file in SCHEMA.glob("*.yaml"):
        shutil.copy(file, tmp_path)
    return tmp_path / "framing-0002.yaml"


def split(copy: Path, section: str, into: str) -> None:
    """Moves a section of a file to another file."""
    text = copy.read_text(encoding="utf-8")
    match = re.search(rf"^{section}:\n(?:[ #].*\n|\n)*", text, re.MULTILINE)
    assert match
    copy.write_text(text.replace(match[0], ""), encoding="utf-8")
    (copy.parent / into).write_text(f"language: 1\n{match[0]}", encoding="utf-8")


def test_our_schema_is_loaded_whole() -> None:
    schema = load(SCHEMA / "framing-0002.yaml")
    assert (schema.revision, len(schema.frames), len(schema.digest)) == ("framing-0002", 8, 64)
    assert [Path(file).name for file in schema.files] == ["framing-0002.yaml", "framing.yaml"]
    # What is united from both files keeps the places of both.
    assert {Path(limit.place.file).name for limit in schema.limits.values()} == {"framing-0002.yaml", "framing.yaml"}
    assert set(schema.references) <= set(schema.requirements)


def test_includes_of_includes_and_of_several_files(copy: Path) -> None:
    whole = load(copy)
    split(copy, "guards", "guards.yaml")
    split(copy, "structures", "structures.yaml")
    text = copy.read_text(encoding="utf-8")
    copy.write_text(text.replace("[framing.yaml]", "[structures.yaml, framing.yaml]"), encoding="utf-8")
    framing = copy.with_name("framing.yaml")
    framing.write_text(f"include: [guards.yaml]\n{framing.read_text(encoding='utf-8')}", encoding="utf-8")
    parted = load(copy)
    assert [Path(file).name for file in parted.files] == [
        "framing-0002.yaml",
        "structures.yaml",
        "framing.yaml",
        "guards.yaml",
    ]
    for section in ("frames", "structures", "guards", "machines", "limits", "requirements"):
        assert set(getattr(parted, section)) == set(getattr(whole, section))
    assert parted.structures["argument"].place.file.endswith("structures.yaml")


def test_the_digest_is_of_contents_and_not_of_places(copy: Path) -> None:
    before = load(copy).digest
    assert before == load(SCHEMA / "framing-0002.yaml").digest
    framing = copy.with_name("framing.yaml")
    framing.write_text(f"{framing.read_text(encoding='utf-8')}# one more line\n", encoding="utf-8")
    assert load(copy).digest != before


def test_the_digest_is_of_what_was_read() -> None:
    """A pipe can be read once, and a file may be replaced meanwhile."""
    digests = []
    for end in (b"", b"# one more line\n"):
        reading, writing = os.pipe()
        os.write(writing, ALIEN.read_bytes() + end)
        os.close(writing)
        other = os.dup2(reading, 60)
        os.close(reading)
        digests.append(load(f"/dev/fd/{other}").digest)
        os.close(other)
    assert digests[0] != digests[1]


def test_faults_of_all_files_are_told_at_once_and_in_order(copy: Path) -> None:
    for file, old in ((copy, "title: Command data"), (copy.with_name("framing.yaml"), "unit: streams")):
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1
        file.write_text(text.replace(old, f"{old}\n    colour: red"), encoding="utf-8")
    with pytest.raises(SchemaError) as error:
        load(copy)
    assert [Path(problem.place.file).name for problem in error.value.problems] == ["framing-0002.yaml", "framing.yaml"]
    assert str(error.value) == "\n".join(str(problem) for problem in error.value.problems)


def test_an_include_that_is_no_name_is_told_with_the_other_faults(copy: Path) -> None:
    text = copy.read_text(encoding="utf-8").replace("title: Command data", "title: Command data\n    colour: red", 1)
    copy.write_text(re.sub(r"^include: \[", "include: [{a: 1}, ", text, count=1, flags=re.MULTILINE), encoding="utf-8")
    with pytest.raises(SchemaError) as error:
        load(copy)
    assert [problem.message for problem in error.value.problems] == [
        "expected a string, found a mapping",
        "unknown key 'colour'",
    ]


def test_revisions_by_name_and_by_path() -> None:
    assert list(known_revisions()) == ["framing-0002", "framing-0006"]
    assert find("framing-0002") == schema_directory() / "framing-0002.yaml"
    assert find(str(ALIEN)) == ALIEN
    with pytest.raises(
        SchemaError, match=r"'framing-0003' is neither a revision nor a file.*did you mean 'framing-0006'\?"
    ):
        find("framing-0003")


def test_problems_are_compared_by_place() -> None:
    def problem(file: str, line: int, column: int) -> Problem:
        return Problem(Place(file, line, column), "wrong", "mend it")

    ordered = [problem("a", 1, 2), problem("a", 2, 1), problem("b", 1, 1)]
    error = SchemaError([ordered[2], ordered[0], ordered[1], ordered[0]])
    assert error.problems == tuple(ordered)
    assert str(ordered[0]) == "a:1:2: wrong; mend it"


@pytest.mark.parametrize(
    ("word", "known", "advice"),
    [
        ("flgas", ["flags", "fields"], "did you mean 'flags'?"),
        ("zzz", ["b", "a"], "use one of a, b"),
        ("zzz", [], "there is none to refer to"),
    ],
)
def test_suggestions(word: str, known: list[str], advice: str) -> None:
    assert suggestion(word, known) == advice


def test_fields_take_the_rules_of_their_structure_that_say_something_of_them() -> None:
    schema = load(SCHEMA / "framing-0002.yaml")
    atom, start = schema.structures["text-atom"], schema.structures["argument-start"]
    assert atom.field("label_count").rules == {"cut": "text-output.single-frame", "overflow": "text-output.sizes"}
    assert atom.field("labels").rules == {
        "cut": "text-output.single-frame",
        "overflow": "text-output.sizes",
        "charset": "text-output.label-ascii",
    }
    # A field that takes the rest cannot be cut, and has its own word on what is too much.
    assert start.field("value").rules == {"surplus": "command-argument.value-long"}
    assert schema.structures["text-output"].field("atoms").rules == {}


def test_embedded_fields_stand_where_they_are_embedded_and_know_what_they_size() -> None:
    structures = load(SCHEMA / "framing-0002.yaml").structures
    sized = {
        name: [(field.name, field.sized_by) for field in structures[name].fields]
        for name in ("argument-header", "argument", "argument-start")
    }
    assert sized == {
        "argument-header": [("name_length", None), ("value_length", None)],
        "argument": [("name_length", "name"), ("value_length", "value"), ("name", None), ("value", None)],
        "argument-start": [("name_length", "name"), ("value_length", None), ("name", None), ("value", None)],
    }


def test_references_say_what_enforces_and_where() -> None:
    references = load(SCHEMA / "framing-0002.yaml").references

    def of(requirement: str) -> list[tuple[str, str]]:
        return [(reference.kind, reference.path) for reference in references[requirement]]

    assert of("command-name.eos-exclusive") == [("codec", "frames.command-name.constraints.1.requirement")]
    assert of("command-name.client-only") == [("codec", "frames.command-name.sender.requirement")]
    assert of("stream-id.parity") == [("machine", "header.fields.2.parity.requirement")]
    assert ("machine", "machines.server-request.otherwise.error") in of("request.command-expected")
    # The rule of a structure whose fields cannot break it enforces nothing.
    assert not any("structures.text-output." in path for _, path in of("text-output.single-frame"))
    assert "request.any-order" not in references


# Names.


@pytest.mark.parametrize("name", [*sorted(RECORD_NAMES), "class", "import", "lambda", "name_", "a__"])
def test_names_that_no_field_can_have(name: str) -> None:
    assert field_fault(name)


@pytest.mark.parametrize("name", ["type", "format", "match", "payload", "value", "len", "items", "a", "a_b", "x1"])
def test_names_that_a_field_can_have(name: str) -> None:
    assert field_fault(name) is None


def test_what_every_record_has_is_no_name_for_a_field() -> None:
    public = {name for name in dir(Record) if not name.startswith("_")}
    assert public <= RECORD_NAMES


@pytest.mark.parametrize(
    ("structures", "frames", "faults"),
    [
        (["argument", "text-atom"], ["argument", "text-atom"], []),
        (["frame"], [], ["would hide 'Frame' of the generated code"]),
        (["payload"], [], ["would hide 'decode_payload' of the generated code"]),
        (["codes"], [], ["would hide 'CODES' of the generated code"]),
        (["int"], [], ["would hide 'int' of the generated code"]),
        (["utf8"], [], ["is a type of the language"]),
        (["global"], [], ["is a keyword of Python"]),
        (["ab1", "ab-1"], [], ["would be 'Ab1' in Python, like 'ab1'"]),
        (["s"], [], ["would be 'S' in Python twice, as a class and as a table"]),
        (["x1"], ["x1"], ["would be 'X1' in Python twice, as a class and as a table"]),
        (["continued"], [], ["would hide 'continued' of the generated code"]),
        ([], ["stream"], ["would hide 'StreamFlag' of the generated code"]),
        (["progress-flag"], ["progress"], ["would be 'ProgressFlag' in Python, like 'progress-flag'"]),
    ],
)
def test_names_of_structures_and_frame_types(structures: list[str], frames: list[str], faults: list[str]) -> None:
    assert [fault for _, _, fault in name_faults(structures, frames, [], [], [])] == faults


@pytest.mark.parametrize("name", ["framing-0002", str(ALIEN)], ids=["framing-0002", "alien"])
def test_no_structure_can_hide_what_generated_modules_have(name: str) -> None:
    revision = Revision(name)
    schema = revision.schema
    theirs = {module: set(vars(getattr(revision, module))) for module in ("codec", "structs")}
    made = {
        spelling
        for structure in schema.structures
        for spelling in (
            structure.replace("-", "_"),
            structure.replace("-", "_").upper(),
            structure.title().replace("-", ""),
            f"decode_{structure.replace('-', '_')}",
            f"encode_{structure.replace('-', '_')}",
        )
    } | {f"{frame.title().replace('-', '')}Flag" for frame in schema.frames}
    for names in theirs.values():
        fixed = {each for each in names if not each.startswith("_")}
        assert fixed - made - MODULE_NAMES == set()
    assert made.isdisjoint(MODULE_NAMES)
    assert made.isdisjoint(TYPE_NAMES)
