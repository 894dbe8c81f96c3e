"""The model's own arithmetic: offsets, masks, conditions, what a value holds."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, is_dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ROOT, SCHEMA

from hgproto.language import load, model
from hgproto.language.model import Condition, fitting_rules

OURS = load(SCHEMA / "framing-0002.yaml")
ALIEN = load(ROOT / "tests" / "data" / "alien.yaml")


def test_what_is_exported_is_all_there_is() -> None:
    classes = {name for name, value in vars(model).items() if is_dataclass(value)}
    assert classes | {"fitting_rules"} == set(model.__all__)


@pytest.mark.parametrize("name", [name for name in model.__all__ if name != "fitting_rules"])
def test_parts_are_frozen(name: str) -> None:
    part = getattr(model, name)
    made = part.__new__(part)
    with pytest.raises(FrozenInstanceError):
        setattr(made, fields(part)[0].name, None)


@pytest.mark.parametrize(
    ("schema", "field", "place"),
    [
        (OURS, "length", (0, 24)),
        (OURS, "request_id", (3, 16)),
        (OURS, "stream_id", (5, 8)),
        (OURS, "stream_flags", (6, 8)),
        (OURS, "type", (7, 4)),
        (OURS, "flags", (7, 4)),
        (ALIEN, "flags", (0, 5)),
        (ALIEN, "type", (0, 3)),
        (ALIEN, "request_id", (1, 24)),
        (ALIEN, "stream_flags", (4, 8)),
        (ALIEN, "stream_id", (5, 32)),
        (ALIEN, "length", (9, 32)),
    ],
)
def test_where_header_fields_are(schema: model.Schema, field: str, place: tuple[int, int]) -> None:
    offset, whole, bits = schema.header.locate(field)
    assert (offset, bits.width if bits else 8 * (whole.fixed_size or 0)) == place
    assert "cut" in whole.rules
    assert schema.header.rules(field) is (bits or whole).rules


def test_a_header_field_that_there_is_not() -> None:
    with pytest.raises(KeyError):
        OURS.header.locate("checksum")


def test_the_header_as_a_whole() -> None:
    assert (OURS.header.size, ALIEN.header.size) == (8, 13)
    assert OURS.header.parity("request_id") is None
    assert OURS.header.parity("stream_id") == {"odd": "client", "even": "server", "requirement": "stream-id.parity"}


def test_flags_and_codes() -> None:
    assert [flag.mask for flag in ALIEN.stream_flags] == [0x01, 0x08, 0x80]
    assert list(ALIEN.frames_by_code) == [0, 2, 5, 7]
    assert {name: frame.continued_by for name, frame in OURS.frames.items() if frame.continued_by} == {
        "command-argument": "continuation"
    }


def test_what_a_value_holds_and_what_it_shows() -> None:
    parcel, argument = ALIEN.structures["parcel"], OURS.structures["argument"]
    assert [field.name for field in parcel.values] == ["value", "word", "record", "end"]
    assert [field.name for field in parcel.shown] == [
        *("blob_count", "blob_sizes", "word_sizes", "value", "word", "record", "end")
    ]
    assert [field.name for field in argument.shown] == ["value_length", "name", "value"]
    assert argument.field("name").type == "ascii"
    assert [parcel.field(name).is_array for name in ("blob_count", "blob_sizes", "word", "end")] == [
        False,
        True,
        True,
        False,
    ]
    assert [ALIEN.structures[name].is_cbor for name in ("status", "parcel")] == [True, False]


@pytest.mark.parametrize(
    ("requirement", "sentence"),
    [
        ("command-name.client-only", "A server MUST NOT send command-name."),
        ("frame.whole", "A sender MUST end its output on a frame boundary."),
        (
            "stream-id.parity",
            "Both sides MUST use stream ids of their own side: odd for the client, and even for the server.",
        ),
    ],
)
def test_sentences(requirement: str, sentence: str) -> None:
    assert OURS.requirements[requirement].sentence == sentence


@pytest.mark.parametrize(
    ("type_", "size", "at_most", "repeat", "rules"),
    [
        ("u16", None, None, False, {"cut", "overflow"}),
        ("bytes", "n", None, False, {"cut", "overflow"}),
        ("bytes", "rest", None, False, set()),
        ("bytes", "rest", "n", False, {"surplus"}),
        ("ascii", "rest", None, False, {"charset", "empty"}),
        ("utf8", "n", None, False, {"cut", "overflow", "charset", "empty"}),
        ("text-atom", None, None, True, set()),
    ],
)
def test_rules_that_can_say_something(
    type_: str, size: str | None, at_most: str | None, repeat: bool, rules: set[str]
) -> None:
    assert fitting_rules(type_, size, at_most, repeat=repeat) == rules


# Conditions.

FLAGS = ("a", "b", "c")
atoms = st.sampled_from(
    [*(Condition("flag", name) for name in FLAGS), Condition("guard", "g"), Condition("guard", "size", "large")]
)


def larger(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return (
        inner.map(lambda part: Condition("not", parts=(part,)))
        | several.map(lambda parts: Condition("and", parts=parts))
        | several.map(lambda parts: Condition("or", parts=parts))
    )


conditions = st.recursive(atoms, larger, max_leaves=8)


def as_python(condition: Condition) -> str:
    """The condition as an expression of Python."""
    if condition.kind in ("and", "or"):
        return f"({f' {condition.kind} '.join(map(as_python, condition.parts))})"
    if condition.kind == "not":
        return f"(not {as_python(condition.parts[0])})"
    return f"{condition.name} == {condition.value!r}" if condition.value else condition.name


@given(conditions, st.tuples(*[st.booleans()] * 4), st.sampled_from(["small", "large"]))
def test_conditions_hold_as_in_python(condition: Condition, bits: tuple[bool, ...], size: str) -> None:
    facts: dict[tuple[str, str], object] = {("flag", name): bit for name, bit in zip(FLAGS, bits, strict=False)}
    facts |= {("guard", "g"): bits[3], ("guard", "size"): size}
    names = {name: fact for (_, name), fact in facts.items()}
    assert condition.holds(facts) == eval(as_python(condition), {}, names)  # noqa: S307 - made above
    assert condition.atoms <= set(facts)
    # What it does not look at does not matter.
    assert condition.holds({atom: facts[atom] for atom in condition.atoms}) == condition.holds(facts)
