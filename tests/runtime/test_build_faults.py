"""Codec and Structs report the same requirement and field for a value that violates several requirements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import ROOT, SCHEMA, Refusal

from hgproto.errors import LocalProtocolError
from hgproto.language.names import camel, snake
from hgproto.revisions.revision import Revision
from hgproto.runtime.frame import Record, parts_of
from hgproto.runtime.layout import highest

if TYPE_CHECKING:
    from hgproto.runtime.layout import Layout, Part

REVISIONS = [Revision(str(SCHEMA / "framing-0002.yaml")), Revision(str(ROOT / "tests" / "data" / "alien.yaml"))]
LAYOUTS = [
    pytest.param(revision, name, id=name)
    for revision in REVISIONS
    for name, layout in revision.codec.LAYOUTS.items()
    if layout.parts
]
LONGEST = 1 << 16
"""Larger numbers of bytes than those that this can count would cost too much."""


def bad_string(part: Part, room: int) -> st.SearchStrategy[str | bytes]:
    """Strings that are empty, not in their charset, too long, or the last two."""
    too_long = [room + 1] if room < LONGEST else []
    if part.type == "bytes":
        return st.sampled_from([b"", b"x", *(bytes(size) for size in too_long)])
    wrong = "é" if part.type == "ascii" else "\ud800"
    texts = ["", wrong, "x" + wrong, *("x" * size for size in too_long), *(wrong * size for size in too_long)]
    return st.sampled_from(texts + ["é" * (size // 2 + 1) for size in too_long])


def value_of(layout: Layout, part: Part, codec: Any, broken: list[str], path: str) -> st.SearchStrategy[Any]:
    """Values of a part, which break a rule if its path is among those that are ``broken``."""
    if part.layout is not None:
        inner = record_of(part.layout, codec, broken, f"{path}.")
        return st.lists(inner, min_size=1, max_size=2).map(tuple)
    if part.type not in ("ascii", "utf8", "bytes"):
        return st.sampled_from([-1, highest(part) + 1]) if path in broken else st.just(1)
    good: st.SearchStrategy[Any] = st.just(b"x" if part.type == "bytes" else "x")
    parts = {each.name: each for each in layout.parts}
    giver = part.sizes or part.size
    room = LONGEST if giver in (None, "rest") else highest(parts[str(giver)])
    one = bad_string(part, room) if path in broken else good
    if part.at_most is not None and path in broken:
        one = st.just(b"xxx")
    if part.sizes is None:
        return one
    counter = parts[str(parts[part.sizes].number)]
    several = st.lists(one | good, min_size=1, max_size=3).map(tuple)
    if path not in broken or highest(counter) >= LONGEST:
        return several
    too_many = highest(counter) + 1
    return several | several.map(lambda items: (items * too_many)[:too_many])


def record_of(layout: Layout, codec: Any, broken: list[str], path: str = "") -> st.SearchStrategy[Any]:
    """Records whose parts at these paths may break a rule."""
    names = [part.name for part in layout.parts if not part.computed]
    parts = {part.name: part for part in layout.parts}
    values = {name: value_of(layout, parts[name], codec, broken, f"{path}{name}") for name in names}
    return st.builds(getattr(codec, camel(layout.name)), **values)


def paths_of(layout: Layout, path: str = "") -> list[str]:
    """The paths of all parts that have a value of their own."""
    paths = []
    for part in layout.parts:
        if part.layout is not None:
            paths += paths_of(part.layout, f"{path}{part.name}.")
        elif not part.computed:
            paths.append(f"{path}{part.name}")
    return paths


def plain(value: Any) -> Any:
    """A value as Structs build it."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return {name: plain(getattr(value, name)) for name in parts_of(value)} if isinstance(value, Record) else value


def outcome(call: Any, value: Any) -> object:
    """The bytes, or the refusal."""
    try:
        return call(value)
    except LocalProtocolError as error:
        return Refusal.of(error)


@pytest.mark.parametrize(("revision", "name"), LAYOUTS)
@settings(max_examples=settings().max_examples // 2)
@given(data=st.data())
def test_the_first_fault_is_the_same(revision: Revision, name: str, data: st.DataObject) -> None:
    codec, layout = revision.codec, revision.codec.LAYOUTS[name]
    paths = paths_of(layout)
    broken = data.draw(st.lists(st.sampled_from(paths), max_size=2, unique=True))
    value = data.draw(record_of(layout, codec, broken))
    fast = outcome(getattr(codec, f"encode_{snake(name)}"), value)
    assert outcome(getattr(revision.structs, snake(name)).build, plain(value)) == fast


def test_a_string_with_two_faults() -> None:
    codec: Any = REVISIONS[0].codec
    for text, requirement, words in (
        ("é" * 70_000, "command-argument.name-ascii", ("ASCII", "U+00E9 at index 0")),
        ("e" * 70_000, "command-argument.sizes", ("at most 65535 bytes", "70000 bytes")),
    ):
        expected = Refusal(requirement, None, "name", *words)
        assert outcome(codec.encode_argument, codec.Argument(text, b"")) == expected
        assert outcome(REVISIONS[0].structs.argument.build, {"name": text, "value": b""}) == expected


@pytest.mark.parametrize("revision", REVISIONS, ids=["ours", "alien"])
@settings(max_examples=settings().max_examples // 2)
@given(data=st.data())
def test_the_first_fault_of_a_frame_is_the_same(revision: Revision, data: st.DataObject) -> None:
    codec = revision.codec
    values: dict[str, Any] = {
        name: data.draw(st.sampled_from([1, -1, 1 << bits])) for name, (bits, _) in codec.FIELD_BITS.items()
    }
    frame = codec.make_frame(1, 1, 1, 1, 1, b"x").replace(**values)
    fast = outcome(codec.encode_frame, frame)
    assert outcome(revision.structs.frame.build, frame.as_dict()) == fast
