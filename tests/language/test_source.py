"""Strict YAML: what scalars are, what is refused, and that every value and key has its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgproto.language import SchemaError
from hgproto.language.source import MAX_DEPTH, MAX_DIGITS, Source, is_old_boolean, read

if TYPE_CHECKING:
    from pathlib import Path


def source_of(directory: Path, text: str | bytes) -> Source:
    """What a file with this text holds."""
    file = directory / "file.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    source = Source()
    source.data = read(file, source)
    return source


def fault_of(directory: Path, text: str | bytes) -> str:
    """The one problem of a file with this text, from line and column on."""
    with pytest.raises(SchemaError) as error:
        source_of(directory, text)
    (problem,) = error.value.problems
    assert problem.help
    return f"{problem.place.line}:{problem.place.column}: {problem.message}"


SCALARS: list[tuple[str, Any]] = [
    ("true", True),
    ("False", False),
    ("yes", "yes"),
    ("off", "off"),
    ("y", "y"),
    ("null", None),
    ("~", None),
    ("", None),
    ("12", 12),
    ("-12", -12),
    ("012", 12),
    ("0x1F", 31),
    ("0o17", 15),
    ("017_0", "017_0"),
    ("1:30", "1:30"),
    ("1.5", 1.5),
    ("1e3", 1000.0),
    (".inf", float("inf")),
    ("0b11", "0b11"),
    ("2026-01-01", "2026-01-01"),
    ("'true'", "true"),
    ('"12"', "12"),
    ('"a\\tb"', "a\tb"),
    ("<<", "<<"),
    ("9" * MAX_DIGITS, int("9" * MAX_DIGITS)),
    ("é", "é"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS, ids=lambda item: repr(item)[:20])
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any, tmp_path: Path) -> None:
    found = source_of(tmp_path, f"key: {text}\n").data["key"]
    assert (found, type(found)) == (value, type(value))


FAULTS = [
    ("", "1:1: the file is not a mapping"),
    ("# nothing\n", "1:1: the file is not a mapping"),
    ("- a\n- b\n", "1:1: the file is not a mapping"),
    ("just text\n", "1:1: the file is not a mapping"),
    ("a: 1\nb: {c: 1, c: 2}\n", "2:11: duplicate key 'c'"),
    ("a: 1\n'a': 2\n", "2:1: duplicate key 'a'"),
    ("a: 1\n? [b]\n: 2\n", "2:3: a key is not a string"),
    ("a: 1\ntrue: 2\n", "2:1: a key is not a string"),
    ("a: 1\n~: 2\n", "2:1: a key is not a string"),
    ("a: &x 1\n", "1:4: an anchor is not allowed"),
    ("a: *x\n", "1:4: an alias is not allowed"),
    ("a: !!str 1\n", "1:4: a tag is not allowed"),
    ("a: !own 1\n", "1:4: a tag is not allowed"),
    ("---\na: 1\n", "1:1: the start of a document is not allowed"),
    ("a: 1\n...\n", "2:1: the end of a document is not allowed"),
    (f"a: {'9' * (MAX_DIGITS + 1)}\n", f"1:4: the number has {MAX_DIGITS + 1} characters"),
    (f"a: 0x{'9' * 5000}\n", "1:4: the number has 5002 characters"),
    ("a: 1\nb: é\x85\n", "2:5: the character U+0085 is not allowed"),
    ("a: 1\nb: \u2028\n", "2:4: the character U+2028 is not allowed"),
    ("a: 1\nb: x\x00\n", "2:5: the character U+0000 is not allowed"),
    ('a: 1\nb: "x\\e"\n', "2:4: the character U+001B is not allowed"),
    ('a: 1\n"b\\0": 1\n', "2:1: the character U+0000 is not allowed"),
    (b"a: 1\nb: x\xff\n", "2:5: the file is not UTF-8"),
    (b"a: 1\n\xc3", "2:1: the file is not UTF-8"),
]


@pytest.mark.parametrize(("text", "fault"), FAULTS, ids=lambda item: repr(item)[:30])
def test_what_is_refused(text: str | bytes, fault: str, tmp_path: Path) -> None:
    assert fault_of(tmp_path, text) == fault


@pytest.mark.parametrize(("open_", "close"), [("[", "]"), ("{a: ", "}")])
def test_the_depth_at_its_limit(open_: str, close: str, tmp_path: Path) -> None:
    def nested(levels: int) -> str:
        return f"a: {open_ * levels}{close * levels}\n"

    # The file itself is the first level.
    assert source_of(tmp_path, nested(MAX_DEPTH - 1)).data
    assert fault_of(tmp_path, nested(MAX_DEPTH)).endswith(f"nested more than {MAX_DEPTH} levels deep")


@pytest.mark.parametrize("name", ["there-is-none.yaml", "."])
def test_a_file_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(SchemaError) as error:
        read(tmp_path / name, Source())
    (problem,) = error.value.problems
    assert str(problem.place) == str(tmp_path / name)
    assert "cannot be read" in problem.message


def test_places_of_values_and_keys(tmp_path: Path) -> None:
    source = source_of(tmp_path, b"\xef\xbb\xbfa: 1\r\nb:\r\n  - x\r\n  - {\xc3\xa9: [2, 3], f: }\r\n")
    assert source.data == {"a": 1, "b": ["x", {"é": [2, 3], "f": None}]}

    def place(*path: str | int) -> tuple[int, int]:
        found = source.place(path)
        return found.line, found.column

    assert [place("a"), place("b", 0), place("b", 1, "é", 1)] == [(1, 4), (3, 5), (4, 13)]
    key = source.key_place(("b", 1, "é"))
    assert (key.line, key.column) == (4, 6)
    # What has no place of its own has that of what is around it.
    assert place("b", 1, "é", 1, "x", 7) == (4, 13)
    assert place("nothing") == place() == (1, 1)


def test_places_of_another_source_are_taken_for_new_paths_only(tmp_path: Path) -> None:
    first = source_of(tmp_path, "a: 1\n")
    first.take_places(source_of(tmp_path, "\n\na: 2\nb: 3\n"))
    assert [first.place(("a",)).line, first.place(("b",)).line, first.key_place(("b",)).line] == [1, 4, 4]


@pytest.mark.parametrize(
    ("value", "is_old"), [("yes", True), ("Off", True), ("true", False), (True, False), (1, False)]
)
def test_booleans_of_yaml_1_1(value: object, is_old: bool) -> None:
    assert is_old_boolean(value) == is_old


@given(st.text() | st.binary())
def test_any_text_is_a_mapping_or_an_error(tmp_path_factory: pytest.TempPathFactory, text: str | bytes) -> None:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    try:
        assert isinstance(source_of(tmp_path_factory.getbasetemp(), data).data, dict)
    except SchemaError as error:
        assert all(problem.message and problem.help and problem.place.line for problem in error.problems)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize(
    ("text", "wrong", "place"),
    [
        ("a: 1\nb: 2\nddd: \u00e9\u00e9\U0001f600", b"\xff", "3:9"),
        ("a: 1\nb: 2\nddd: \u00e9\u00e9\U0001f600", b"\x07", "3:9"),
        ("a: 1\nb: 2\n\u00e9\U0001f600: ", b"&a b", "3:5"),
        ("k: \u00e9", b"\xff", "1:5"),
        ("a: 1\n\nb: ", b"\xff", "3:4"),
        ("a: 1\n\nb: ", b"\x07", "3:4"),
        ("a: 1\n\nb: ", b"&a b", "3:4"),
        ("a: 1\n\n", b"\xff", "3:1"),
    ],
)
def test_places_count_characters_and_every_kind_of_line_end(
    text: str, wrong: bytes, place: str, end: str, tmp_path: Path
) -> None:
    assert fault_of(tmp_path, text.replace("\n", end).encode() + wrong).startswith(f"{place}: ")
