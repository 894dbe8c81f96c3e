"""Texts for people: valid atoms, and the requirement that each invalid atom violates."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import text_atoms

from hgproto import LocalProtocolError, Server, command, encode_frames, text_output, validate_payload
from hgproto.judging.finding import ERROR
from hgproto.revisions.framing_0002 import codec
from hgproto.wire.texts import Texts, encoded, placeholders


def value_of(frame: Any) -> Any:
    """The value of a payload, after every rule of a single frame."""
    codec.check_header(frame)
    return codec.decode_payload(frame)


TEXT_FAULTS: list[tuple[tuple[Any, Any, Any], str, str]] = [
    (("", [], [""] * 256), "text-output.sizes", "args"),
    (("", [""] * 256, []), "text-output.sizes", "labels"),
    (("", ["é"], []), "text-output.label-ascii", "labels[0]"),
    (("é" * 32768, [], []), "text-output.sizes", "format"),
    (("", [], ["é" * 32768]), "text-output.sizes", "args[0]"),
    (("", ["l" * 256], []), "text-output.sizes", "labels[0]"),
    (("%s", [], []), "text-output.placeholders", "args"),
    (("%d", [], []), "text-output.percent", "format"),
]
"""In the order in which they are refused: an atom with two of these faults is refused by the first."""


@pytest.mark.requirement("text-output.sizes", "text-output.label-ascii", "text-output.placeholders")
@pytest.mark.parametrize("first", range(len(TEXT_FAULTS)))
@pytest.mark.parametrize("second", range(len(TEXT_FAULTS)))
def test_texts_are_refused_in_order(first: int, second: int) -> None:
    if first > second:
        return
    (format_a, labels_a, args_a), requirement, field = TEXT_FAULTS[first]
    (format_b, labels_b, args_b), _, _ = TEXT_FAULTS[second]
    atom = (format_a or format_b, [*labels_a, *labels_b], [*args_a, *args_b])
    if (
        len(atom[1]) > 256
        or len(atom[2]) > 256
        or (first != second and "%s" in (format_a, format_b) and args_a + args_b)
    ):
        atom = (format_a or format_b, labels_a or labels_b, args_a or args_b)
    with pytest.raises(LocalProtocolError) as error:
        text_output(1, 2, [("fine", [], []), atom], max_payload=65535)
    assert (error.value.requirement, error.value.field) == (requirement, f"atoms[1].{field}")


@pytest.mark.requirement("text-output.sizes")
def test_texts_as_large_as_they_may_be() -> None:
    atom = ("a" * 65535, ["l" * 255] * 255, ["b" * 65535])
    frame = text_output(1, 2, [("%s" + atom[0][2:], atom[1], atom[2])], max_payload=1 << 20)
    value = value_of(frame)
    assert (len(value.atoms[0].labels), len(value.atoms[0].args[0])) == (255, 65535)


@given(st.lists(text_atoms, max_size=3))
def test_texts_arrive(atoms: list[codec.TextAtom]) -> None:
    # A percent sign of no directive is doubled, as the protocol wants it.
    formats = [re.sub("%(?![%s])|%%", "%%", atom.format) for atom in atoms]
    fitting = [
        atom.replace(format=text, args=("x",) * placeholders(text)) for atom, text in zip(atoms, formats, strict=True)
    ]
    value = value_of(text_output(1, 2, fitting))
    assert value == codec.TextOutput(tuple(fitting))
    triples = [(atom.format, atom.labels, atom.args) for atom in fitting]
    assert text_output(1, 2, triples) == text_output(1, 2, fitting)


@pytest.mark.requirement("text-output.utf8")
@pytest.mark.parametrize(
    ("text", "replaced"), [(b"a\xff", "a\ufffd"), ("a\ud800", "a\ufffd"), ("é", "é"), (b"\xc3\xa9", "é")]
)
def test_what_is_not_utf8_is_refused_or_replaced(text: str | bytes, replaced: str) -> None:
    value = value_of(text_output(1, 2, [("%s", [], [text])], errors="replace"))
    assert value.atoms[0].args == (replaced,)
    if "\ufffd" in replaced:
        with pytest.raises(LocalProtocolError) as error:
            text_output(1, 2, [("%s", [], [text])])
        assert error.value.requirement == "text-output.utf8"
    else:
        assert text_output(1, 2, [("%s", [], [text])]).payload


@pytest.mark.requirement("text-output.percent")
@pytest.mark.parametrize("text", ["100%", "%d\n", "%", "a %S", "%\n", "%%%", "%s% "])
def test_a_percent_sign_of_no_directive_is_refused(text: str) -> None:
    def send_text() -> None:
        server = Server()
        server.receive_data(b"".join(encode_frames(command(1, 1, "x", begin=True))))
        server.send_text(1, atoms)

    atoms: Any = [("fine\n", [], []), (text, [], ["x"] * placeholders(text))]
    for build in (lambda: text_output(1, 2, atoms), send_text):
        with pytest.raises(LocalProtocolError, match="expected %s or %%, found") as error:
            build()
        assert (error.value.requirement, error.value.field) == ("text-output.percent", "atoms[1].format")
    escaped: Any = [("fine\n", [], []), (text.replace("%", "%%"), [], [])]
    assert not [
        one.id for one in validate_payload("text-output", text_output(1, 2, escaped).payload) if one.severity == ERROR
    ]


def test_what_happens_to_text_that_is_not_utf8_is_one_of_two_things() -> None:
    for text in ("a", b"a"):
        with pytest.raises(ValueError, match="errors is 'strict' or 'replace', not 'ignore'"):
            text_output(1, 2, [(text, [], [])], errors="ignore")  # type: ignore[arg-type]


@pytest.mark.requirement("text-output.placeholders")
@pytest.mark.parametrize(
    ("text", "count"), [("", 0), ("%s", 1), ("%%s", 0), ("%%%s", 1), ("%d%s", 1), ("%", 0), ("%s%", 1), ("%\n%s", 1)]
)
def test_placeholders(text: str, count: int) -> None:
    assert placeholders(text) == count


def test_a_revision_without_a_requirement_lets_it_be_violated() -> None:
    lenient = Texts(codec, "text-atom", None, None)
    assert lenient([("%d %s", [], [])], "strict") == (codec.TextAtom("%d %s", (), ()),)
    for requirements in ((None, "x.percent"), ("x.placeholders", None)):
        with pytest.raises(LocalProtocolError) as error:
            Texts(codec, "text-atom", *requirements)([("%d %s", [], [])], "strict")
        assert error.value.requirement in requirements


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        ("text", "atoms must be an iterable of atoms, not str"),
        (b"text", "atoms must be an iterable of atoms, not bytes"),
        (5, "atoms must be an iterable of atoms, not int"),
        ([("", [], []), "abc"], r"atoms\[1\] must be a TextAtom, or a format with its labels and its arguments"),
        ([("", [])], r"atoms\[0\] must be a TextAtom"),
        ([("", "label", [])], r"atoms\[0\].labels must be a sequence of texts, not str"),
        ([("", [], b"x")], r"atoms\[0\].args must be a sequence of texts, not bytes"),
        ([(1, [], [])], r"atoms\[0\].format must be "),
        ([("", [b"x"], [])], r"atoms\[0\].labels\[0\] must be "),
        ([("%s", [], [1])], r"atoms\[0\].args\[0\] must be "),
    ],
)
def test_what_is_no_atom_is_refused(atoms: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        text_output(1, 2, atoms)


def test_a_text_is_encoded_in_its_charset() -> None:
    assert encoded("aé", "utf8", "x.y", "field") == b"a\xc3\xa9"
    assert encoded("a", "ascii", "x.y", "field") == b"a"
    for text, charset, expected in (("aé", "ascii", "ASCII"), ("a\udcff", "utf8", "UTF-8")):
        with pytest.raises(LocalProtocolError) as error:
            encoded(text, charset, "x.y", "field")
        found = (error.value.requirement, error.value.field, error.value.expected, error.value.found)
        assert found == ("x.y", "field", expected, f"U+{ord(text[1]):04X} at index 1")
    with pytest.raises(TypeError, match="field must be"):
        encoded(b"a", "utf8", "x.y", "field")  # type: ignore[arg-type]
