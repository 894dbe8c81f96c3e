"""Field tables for people: all there is to show is shown, and fits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support import ROOT, SCHEMA

from hgproto.language import load
from hgproto.language.show import EVENTS, MESSAGES, WIDTH, filling, names, overview, show

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hgproto.language.model import Schema, Structure

SCHEMAS = {
    schema.revision: schema
    for schema in (
        load(SCHEMA / "framing-0002.yaml"),
        load(SCHEMA / "framing-0006.yaml"),
        load(ROOT / "tests/data/alien.yaml"),
    )
}
EVERY_NAME = [(revision, name) for revision, schema in SCHEMAS.items() for name in names(schema)]

REGISTRIES = ["flags", "limits", "profiles", "guards"]
NARROWEST = 30
"""The last column of a table is at least as wide as this, also where the table then is not."""


def structures_of(name: str, schema: Schema) -> list[Structure]:
    """What is shown under a name: a frame type has the structures of its cases."""
    if name in schema.frames:
        frame = schema.frames[name]
        joined = [] if frame.joins is None else [frame.joins.structure]
        return [case.structure for case in frame.payload if case.structure is not None] + joined
    return [schema.structures[name]] if name in schema.structures else []


def rules_of(structures: Iterable[Structure], schema: Schema) -> set[str]:
    rules: set[str] = set()
    for structure in structures:
        rules |= set(structure.rules.values())
        for field in structure.fields:
            rules |= set(field.rules.values())
            if field.type in schema.structures:
                rules |= rules_of([schema.structures[field.type]], schema)
    return rules


@pytest.mark.parametrize(("revision", "name"), EVERY_NAME)
def test_tables_fit(revision: str, name: str) -> None:
    lines = list(show(name, SCHEMAS[revision]))
    assert len(lines) >= 5
    assert lines[0].startswith(name)
    column = 0
    for line in lines:
        assert line == line.rstrip()
        assert "\n" not in line
        if set(line) == {"-", " "}:
            column = line.rindex(" ") + 1
        if column and line:
            # A word that is longer than its column stands out.
            assert len(line) <= max(WIDTH, column + NARROWEST) or " " not in line[column:], line
        if not line:
            column = 0


@pytest.mark.parametrize(("revision", "name"), EVERY_NAME)
def test_tables_have_every_field_and_every_rule(revision: str, name: str) -> None:
    schema = SCHEMAS[revision]
    lines = list(show(name, schema))
    words = {word.strip(",.:") for line in lines for word in line.split()}
    structures = structures_of(name, schema)
    for structure in structures:
        assert {field.name for field in structure.fields} <= words
        assert {entry.name for entry in structure.entries} <= words
    expected = rules_of(structures, schema)
    if name in schema.frames:
        frame = schema.frames[name]
        assert {flag.name for flag in frame.flags} <= words
        assert hex(frame.code) in words
        expected |= {constraint.requirement for constraint in frame.constraints}
        expected |= {frame.sender_requirement} if frame.sender_requirement else set()
        for case in frame.payload:
            if case.field is not None:
                assert case.field.name in words
                expected |= set(case.field.rules.values())
    elif name == EVENTS:
        assert {*schema.events, *schema.emits, *(f.name for e in schema.events.values() for f in e.fields)} <= words
    elif name == MESSAGES:
        parts = [part for message in schema.messages.values() for part in message.parts]
        flags = {flag for part in parts for flag in (*part.flags, *part.choices, part.otherwise) if flag is not None}
        given = {name for message in schema.messages.values() for name in message.parameters}
        fields = {field for part in parts for field in part.fields}
        assert {*schema.messages, *(part.frame.name for part in parts), *fields, *flags, *given} <= words
    elif name in schema.machines:
        machine = schema.machines[name]
        assert {*machine.states, machine.otherwise} <= words
        text = " ".join(" ".join(lines).split())
        for one in machine.transitions:
            assert (one.event or one.frames[-1]) in text or "any frame" in text
            assert (one.error or one.to or "no change") in text
            assert all(atom in text for _, atom in (one.when.atoms if one.when else ()))
    elif name in ("flags", "limits", "profiles", "guards"):
        parts_of = {
            "flags": [flag.name for frame in schema.frames.values() for flag in frame.flags],
            "limits": [*schema.limits, *(str(limit.default) for limit in schema.limits.values())],
            "profiles": [*schema.profiles],
            "guards": [*schema.guards, *(value for guard in schema.guards.values() for value in guard.values)],
        }
        assert {*parts_of[name]} <= words
    elif not structures:
        assert {"type", "flags", *(field.name for field in schema.header.fields if not field.bits)} <= words
        assert {flag.name for flag in schema.stream_flags} <= words
        expected |= {constraint.requirement for constraint in schema.stream_constraints}
        expected |= {rule for field in schema.header.fields for rule in field.rules.values()}
    assert expected <= words
    # Each rule is said once, in its own words.
    for rule in expected:
        (row,) = [line for line in lines if line.startswith(f"{rule} ")]
        assert schema.requirements[rule].sentence.split()[0] in row


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_the_overview_lists_all_there_is_to_show(schema: Schema) -> None:
    lines = list(overview(schema))
    assert lines[0] == f"{schema.revision}: {schema.title}"
    first_words = [line.split()[0] for line in lines[4:] if line and not line.startswith(" ")]
    assert (
        first_words
        == list(names(schema))
        == list(
            dict.fromkeys(
                [
                    "frame-header",
                    *schema.frames,
                    *schema.structures,
                    *([MESSAGES] if schema.messages else []),
                    *([EVENTS] if schema.events else []),
                    "flags",
                    "limits",
                    *(["profiles"] if schema.profiles else []),
                    *(["guards"] if schema.guards else []),
                    *schema.machines,
                ]
            )
        )
    )


@pytest.mark.parametrize("name", ["command-name", "text-output", MESSAGES, EVENTS])
def test_all_that_has_one_name_is_shown(name: str) -> None:
    """A structure that is called like the list of messages or of events, or like a frame type whose payload is another one."""
    schema = SCHEMAS["framing-0002"]
    other = replace(schema.structures["argument"], name=name, doc="Another one.")
    frames = dict(schema.frames)
    if name in frames:
        case = replace(frames[name].payload[0], structure=schema.structures["text-atom"])
        frames[name] = replace(frames[name], payload=(case,))
    structures = {one: structure for one, structure in schema.structures.items() if one != name}
    before = replace(schema, frames=frames, structures=structures)
    both = replace(before, structures={**structures, name: other})
    assert names(both) == list(
        dict.fromkeys(["frame-header", *frames, *both.structures, MESSAGES, EVENTS, *REGISTRIES, *both.machines])
    )
    rows = [line.split(maxsplit=1)[1] for line in overview(both) if line.startswith(f"{name} ")]
    assert len(rows) == 2
    assert "Another one." in rows
    lines, of_other = "\n".join(show(name, both)), "\n".join(show("argument", schema))
    assert of_other.partition("\n")[2].strip() in lines
    assert "\n".join(show(name, before)) in lines


@pytest.mark.parametrize("name", [MESSAGES, EVENTS])
def test_what_a_schema_does_not_have_is_not_shown(name: str) -> None:
    with pytest.raises(KeyError):
        list(show(name, SCHEMAS["relay-7"]))


def test_frames_of_messages_are_told_in_words() -> None:
    lines = list(show(MESSAGES, SCHEMAS["framing-0002"]))
    text = " ".join(word for line in lines for word in line.split())
    for said in (
        "command command-name name; have-args if args is passed; have-data if data is passed; otherwise eos command",
        "command command-argument each item of args, in one or more frames command",
        "command command-data data, in one or more frames bytes-response",
        "message, shortened if it is too long; application or protocol, selected by kind text-output",
        "progress progress topic, pos, total, label, item stream-settings",
        "error-response kind no Kind of the error",
        "bytes-response data yes The response.",
        "stream-settings either Opens",
    ):
        assert said in text
    response = SCHEMAS["framing-0002"].messages["error-response"]
    (part,) = response.parts
    fixed = replace(part, shorten=False, chooser=None, choices=(), otherwise="protocol")
    assert "".join(word for _, word in filling(fixed)) == "message; always protocol"


def test_a_name_that_there_is_not() -> None:
    with pytest.raises(KeyError):
        list(show("nothing", SCHEMAS["framing-0002"]))


SIZES = {
    ("text-atom", "format_length"): "2",
    ("text-atom", "label_lengths"): "label_count times",
    ("text-atom", "format"): "format_length",
    ("text-atom", "labels"): "as label_lengths",
    ("argument-start", "value"): "the rest, at most value_length",
    ("argument-rest", "value"): "the rest",
}


@pytest.mark.parametrize(("structure", "field"), SIZES)
def test_sizes_of_fields(structure: str, field: str) -> None:
    (row,) = [line for line in show(structure, SCHEMAS["framing-0002"]) if line.startswith(f"{field} ")]
    assert f"  {SIZES[structure, field]}  " in row


def test_the_header_counts_bytes_and_bits() -> None:
    rows = [line.split()[:2] for line in show("frame-header", SCHEMAS["framing-0002"])]
    table = [row for row in rows if row and row[0].isdigit()]
    assert table == [["0", "24"], ["3", "16"], ["5", "8"], ["6", "8"], ["7", "4"], ["7", "4"], ["8", "length"]]
