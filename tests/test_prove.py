"""Examples are proven by both codecs, one against the other, and what is wrong with one is told at its place."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support import ROOT, SCHEMA

import hgproto.prove
from hgproto.errors import LocalProtocolError
from hgproto.framing_0002.codec import Argument, TextAtom, TextOutput
from hgproto.generate import compile_schema
from hgproto.prove import plain, prove, same_value
from hgproto.spec import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgproto.spec.model import Example, Schema

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
        ({"decodes": {"profile": "zlib"}}, ["decodes to {'profile': 'zlib', 'settings': ''}"]),
        ({"decodes": {"profile": "zlib", "settings": "", "x": 1}}, ["decodes to"]),
        ({"octets": b"\x04zli"}, ["refused by the Structs", "refused by the codec"]),
        (
            {"decodes": None, "refused": "stream-settings.name-whole", "offset": 1},
            ["taken by the Structs", "taken by the codec"],
        ),
        (
            {"decodes": None, "refused": "stream-settings.name-ascii", "offset": 1, "octets": b"\x04zli"},
            ["refused by stream-settings.name-whole at offset 1 in the Structs", "at offset 1 in the codec"],
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


# Codecs that are wrong: what the proof is for.


def refuse(*_: Any) -> Any:
    raise LocalProtocolError("stream-settings.name-size", None, "profile", "less", "more")


def other_value(octets: bytes) -> Any:
    return compile_schema(OURS)["codec"].StreamSettings("other", octets)


WRONG: list[tuple[str, str, Callable[..., Any], str]] = [
    ("codec", "decode_stream_settings", other_value, "the codecs differ: StreamSettings(profile='other'"),
    ("codec", "encode_stream_settings", lambda _: b"other", "the example is rebuilt to 6f74686572"),
    ("codec", "encode_stream_settings", refuse, "the example cannot be rebuilt: profile: expected less, found more"),
    ("codec", "encode_frame", lambda _: b"other", "the example is rebuilt to 6f74686572"),
    ("codec", "encode_frame", refuse, "the example cannot be rebuilt"),
    ("codec", "check_header", lambda _: None, "the example is taken by the codec"),
]


@pytest.mark.parametrize(("module", "function", "wrong", "message"), WRONG, ids=[row[3][:40] for row in WRONG])
def test_code_that_is_wrong_is_found(
    module: str, function: str, wrong: Callable[..., Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = compile_schema(OURS)
    assert hasattr(modules[module], function)
    setattr(modules[module], function, wrong)
    monkeypatch.setattr(hgproto.prove, "compile_schema", lambda _: modules)
    problems, _ = prove(OURS)
    assert any(problem.message.startswith(message) for problem in problems), problems
    assert all(problem.help and problem.place.file.endswith("framing-0002.yaml") for problem in problems)


def test_a_wrong_struct_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = compile_schema(OURS)
    struct = modules["structs"].stream_settings
    wrong = SimpleNamespace(parse=struct.parse, build=lambda value: struct.build(value) + b"x")
    monkeypatch.setattr(modules["structs"], "stream_settings", wrong)
    monkeypatch.setattr(hgproto.prove, "compile_schema", lambda _: modules)
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
