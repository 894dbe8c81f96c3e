"""Examples are proven by both codecs, one against the other, and what is wrong with one is told at its place."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support import ROOT, SCHEMA

import hgproto.evidence.prove
from hgproto.cli import main
from hgproto.errors import LocalProtocolError
from hgproto.evidence.prove import asked, emitted, plain, prove, same_value
from hgproto.judging.command_judge import CommandJudge
from hgproto.judging.response_judge import ResponseJudge
from hgproto.language import load
from hgproto.language.model import Condition
from hgproto.reactors.client import Client
from hgproto.reactors.plans import bound
from hgproto.reactors.server import Server
from hgproto.revisions.framing_0002.codec import Argument, TextAtom, TextOutput
from hgproto.revisions.generate import compile_schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hgproto.language.model import Example, Machine, Schema

OURS = load(SCHEMA / "framing-0002.yaml")
ALIEN = load(ROOT / "tests" / "data" / "alien.yaml")


def examples(schema: Schema) -> list[Example]:
    return [
        *(example for structure in schema.structures.values() for example in structure.examples),
        *(example for frame in schema.frames.values() for example in frame.examples),
    ]


@pytest.mark.parametrize("schema", [OURS, ALIEN], ids=lambda schema: schema.revision)
def test_every_example_is_proven(schema: Schema) -> None:
    assert prove(schema) == ([], len(examples(schema)))


def with_example(**changes: Any) -> Schema:
    """Our schema with the first example of stream-settings, the structure, changed."""
    structure = OURS.structures["stream-settings"]
    first, *others = structure.examples
    changed = replace(structure, examples=(replace(first, **changes), *others))
    return replace(OURS, structures={**OURS.structures, "stream-settings": changed})


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ({"decodes": {"profile": "zlib"}}, ["decodes to '' in settings, and `decodes` has nothing"]),
        ({"decodes": {"profile": "zlib", "settings": "", "x": 1}}, ["decodes to nothing in x, and `decodes` has 1"]),
        ({"data": b"\x04zli"}, ["the Struct rejects the example", "the codec rejects the example"]),
        (
            {"decodes": None, "refused": "stream-settings.name-whole", "offset": 1},
            ["the Struct accepts the example", "the codec accepts the example"],
        ),
        (
            {"decodes": None, "refused": "stream-settings.name-ascii", "offset": 1, "data": b"\x04zli"},
            [
                "the Struct rejects the example at offset 1 for violating stream-settings.name-whole",
                "the codec rejects the example at offset 1 for",
            ],
        ),
    ],
)
def test_an_example_that_does_not_hold(changes: dict[str, Any], messages: list[str]) -> None:
    problems, proven = prove(with_example(**changes))
    assert proven == len(examples(OURS)) - 1
    assert [problem.place for problem in problems] == [OURS.structures["stream-settings"].examples[0].place] * len(
        messages
    )
    for problem, message in zip(problems, messages, strict=True):
        assert message in problem.message


def test_only_what_differs_is_named() -> None:
    data = b"\xa3Cpos\x02EtopicGcloningEtotal\x0a"
    structure = OURS.structures["progress"]
    stated = {"topic": "cloning", "pos": 3, "total": 10, "items": [{"a": 1}]}
    example = replace(structure.examples[0], data=data, decodes=stated)
    schema = replace(OURS, structures={**OURS.structures, "progress": replace(structure, examples=(example,))})
    assert [problem.message for problem in prove(schema)[0]] == [
        "the example decodes to 2 in pos, and `decodes` has 3",
        "the example decodes to nothing in items, and `decodes` has [{'a': 1}]",
    ]


def test_a_long_value_is_cut() -> None:
    frame = OURS.frames["command-data"]
    header = (5000).to_bytes(3, "little") + bytes.fromhex("0100 01 00 32")
    example = replace(frame.examples[0], data=header + bytes(5000), decodes={"payload": "00"}, continued=False)
    schema = replace(OURS, frames={**OURS.frames, "command-data": replace(frame, examples=(example,))})
    problems, _ = prove(schema)
    assert any(problem.message.endswith("... in payload, and `decodes` has '00'") for problem in problems)
    assert max(len(problem.message) for problem in problems) < 400


def test_bytes_that_are_no_single_frame_break_no_requirement() -> None:
    frame = OURS.frames["command-name"]
    first = frame.examples[0]
    changed = replace(first, data=first.data + b"x", decodes=None, refused="frame.whole", offset=0)
    schema = replace(OURS, frames={**OURS.frames, "command-name": replace(frame, examples=(changed,))})
    found = f"expected one frame, found more bytes at offset {len(first.data)}"
    assert f"the codec rejects the example: {found}" in [problem.message for problem in prove(schema)[0]]


# Codecs that are wrong: what the proof is for.


def refuse(*_: Any) -> Any:
    raise LocalProtocolError("stream-settings.name-size", None, "profile", "less", "more")


def other_value(data: bytes) -> Any:
    return compile_schema(OURS)["codec"].StreamSettings("other", data)


WRONG: list[tuple[str, str, Callable[..., Any], str]] = [
    ("codec", "decode_stream_settings", other_value, "the codecs differ: StreamSettings(profile='other'"),
    ("codec", "encode_stream_settings", lambda _: b"other", "the example is rebuilt to 6f74686572"),
    ("codec", "encode_stream_settings", refuse, "the example cannot be rebuilt: profile: expected less, found more"),
    ("codec", "encode_frame", lambda _: b"other", "the example is rebuilt to 6f74686572"),
    ("codec", "encode_frame", refuse, "the example cannot be rebuilt"),
    ("codec", "check_header", lambda _: None, "the codec accepts the example"),
]


@pytest.mark.parametrize(("module", "function", "wrong", "message"), WRONG, ids=[row[3][:40] for row in WRONG])
def test_code_that_is_wrong_is_found(
    module: str, function: str, wrong: Callable[..., Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = compile_schema(OURS)
    assert hasattr(modules[module], function)
    setattr(modules[module], function, wrong)
    monkeypatch.setattr(hgproto.evidence.prove, "compile_schema", lambda _: modules)
    problems, _ = prove(OURS)
    assert any(problem.message.startswith(message) for problem in problems), problems
    assert all(problem.help and problem.place.file.endswith("framing-0002.yaml") for problem in problems)


def test_a_wrong_struct_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = compile_schema(OURS)
    struct = modules["structs"].stream_settings
    wrong = SimpleNamespace(parse=struct.parse, build=lambda value: struct.build(value) + b"x")
    monkeypatch.setattr(modules["structs"], "stream_settings", wrong)
    monkeypatch.setattr(hgproto.evidence.prove, "compile_schema", lambda _: modules)
    problems, _ = prove(OURS)
    assert [problem.message for problem in problems] == ["the example is rebuilt to 047a6c696278"]


ATOM = TextAtom("a", ("b",), ())


@pytest.mark.parametrize(
    ("fast", "slow", "is_same"),
    [
        (1, 1, True),
        (1, 2, False),
        ("a", "a", True),
        (float("nan"), float("nan"), True),
        ((1, 2), [1, 2], True),
        ((1, 2), [1], False),
        ((1, 2), [1, 3], False),
        (ATOM, {"format": "a", "labels": ["b"], "args": []}, True),
        (ATOM, {"format": "a", "labels": ["b"], "args": [], "label_count": 1}, True),
        (ATOM, {"format": "a", "labels": ["c"], "args": []}, False),
        (TextOutput((ATOM,)), {"atoms": [{"format": "a", "labels": ("b",), "args": ()}]}, True),
        (TextOutput((ATOM,)), {"atoms": []}, False),
        # A computed part that is shown counts too.
        (Argument("a", b"bc"), {"name": "a", "value": b"bc", "value_length": 2}, True),
        (Argument("a", b"bc"), {"name": "a", "value": b"bc", "value_length": 3}, False),
    ],
)
def test_sameness(fast: Any, slow: Any, is_same: bool) -> None:
    assert same_value(fast, slow) == is_same


def test_plain_values() -> None:
    assert plain(TextOutput((ATOM,))) == {"atoms": ({"format": "a", "labels": ("b",), "args": ()},)}
    assert plain(Argument("a", b"bc")) == {"name": "a", "value": b"bc"}


# What machines emit and ask.

ROWS = [
    (machine, index)
    for machine in OURS.machines.values()
    for index, row in enumerate(machine.transitions)
    if row.emit is not None or row.when is not None
]


def with_row(machine: Machine, index: int, **changes: Any) -> Schema:
    """Our schema with another row."""
    rows = list(machine.transitions)
    rows[index] = replace(rows[index], **changes)
    return replace(OURS, machines={**OURS.machines, machine.name: replace(machine, transitions=tuple(rows))})


def test_what_our_machines_emit_and_ask_is_known() -> None:
    kinds = set()
    for machine, index in ROWS:
        row = machine.transitions[index]
        if row.emit is not None:
            assert row.emit in emitted(machine.role, machine.scope, row.event)
            kinds.add((machine.scope, row.event, row.emit))
        for kind, name in row.when.atoms if row.when is not None else ():
            assert kind != "guard" or name in asked(machine.role, machine.scope)
    assert len(kinds) > 15


@pytest.mark.parametrize("name", ["none", "note", "run-comand", "fail", "init-subclass", "take-on-stream"])
def test_an_action_that_no_reactor_knows_is_refused_at_its_row(name: str) -> None:
    tried = 0
    for machine, index in ROWS:
        row = machine.transitions[index]
        if row.emit not in (None, name):
            problems, _ = prove(with_row(machine, index, emit=name))
            assert [problem.place for problem in problems] == [row.place]
            assert f"cannot emit {name!r}" in problems[0].message
            tried += 1
    assert tried > 30


def test_an_action_is_known_for_frames_or_for_the_end_of_input() -> None:
    client, server = (OURS.machines[f"{role}-request"] for role in ("client", "server"))
    for machine in (client, server):
        for index, row in enumerate(machine.transitions):
            if row.event == "end-of-input" and row.to is not None:
                for emit in sorted(emitted(machine.role, "request", None)):
                    (problem,), _ = prove(with_row(machine, index, emit=emit))
                    assert problem.message.endswith(f"cannot emit {emit!r} at end-of-input")
    index = next(i for i, row in enumerate(client.transitions) if row.emit == "connection-error")
    assert "cannot emit 'run-command'" in prove(with_row(client, index, emit="run-command"))[0][0].message


def test_a_guard_that_no_reactor_answers_is_refused_at_its_row() -> None:
    machine = OURS.machines["server-request"]
    for index, row in enumerate(machine.transitions):
        for guard in ("capacit", "settings", "restart"):
            (problem,), _ = prove(with_row(machine, index, when=Condition("guard", guard)))
            assert problem.place == row.place
            assert (
                problem.message == f"the reactor of server machines for a request does not answer the guard {guard!r}"
            )


def test_every_reactor_and_judge_has_what_is_known() -> None:
    for role, reactors in (("server", (Server, CommandJudge)), ("client", (Client, ResponseJudge))):
        for event in (None, "end-of-input"):
            for name in emitted(role, "request", event):
                assert all(callable(bound(reactor, "emit", name)) for reactor in reactors)
        for scope in ("stream", "request"):
            for name in asked(role, scope):
                assert all(callable(bound(reactor, "ask", name)) for reactor in reactors)


def test_schema_check_tells_an_action_that_no_reactor_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in SCHEMA.glob("framing*.yaml"):
        text = file.read_text(encoding="utf-8")
        (tmp_path / file.name).write_text(
            text.replace("emit: text}", "emit: txt}").replace("  text: {events", "  txt: {events"), encoding="utf-8"
        )
    lines = text_lines((tmp_path / "framing-0002.yaml").read_text(encoding="utf-8"), "emit: txt}")
    assert main(["schema", "check", str(tmp_path / "framing-0002.yaml")]) == 1
    told = capsys.readouterr().err.splitlines()
    assert [int(line.split(":")[1]) for line in told] == lines
    assert all("cannot emit 'txt' here; did you mean 'text'?" in line for line in told)


def text_lines(text: str, part: str) -> list[int]:
    """The numbers of the lines that have ``part``."""
    return [number for number, line in enumerate(text.splitlines(), 1) if part in line]


@pytest.mark.parametrize(
    "emit",
    [
        "application-error",
        "command-cut",
        "connection-error",
        "note",
        "protocol-error",
        "request-failed",
        "request-lost",
    ],
)
def test_an_action_that_reports_a_requirement_needs_one(emit: str) -> None:
    for machine, index in ROWS:
        row = machine.transitions[index]
        if row.emit == emit:
            (problem,), _ = prove(with_row(machine, index, requirement=None))
            assert problem.place == row.place
            assert problem.message == f"{emit!r} reports a requirement, and the row does not name one"


@pytest.mark.parametrize(
    ("item", "value"), [("f6", None), ("d9010280", {"number": 258, "item": []}), ("a1f600", {"pairs": [[None, 0]]})]
)
def test_examples_may_have_any_value_of_cbor(item: str, value: Any) -> None:
    data = bytes.fromhex(f"a3 446e6f7465 {item} 456c6576656c 03 4a73696e63655f7768656e 00")
    structure = ALIEN.structures["status"]
    shown = {"note": value, "level": 3, "since_when": 0}
    example = replace(structure.examples[0], data=data, decodes=shown)
    changed = replace(ALIEN, structures={**ALIEN.structures, "status": replace(structure, examples=(example,))})
    assert prove(changed)[0] == []
