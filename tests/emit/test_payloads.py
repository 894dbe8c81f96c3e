"""Code of payloads that end in a repeated structure, whatever the names of its fields are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support import ROOT, Refusal, damaged, judged_payload

from hgproto.errors import RemoteProtocolError
from hgproto.evidence.prove import same_value
from hgproto.revisions.revision import Revision

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 10
TITLE = [
    {"name": "title_size", "type": "u8", "doc": "Bytes of the title."},
    {"name": "title", "type": "utf8", "size": "title_size", "doc": "The title."},
]


def codec_with(tmp_path: Path, element: list[dict[str, Any]]) -> Any:
    """The codec of :func:`revision_with`."""
    return revision_with(tmp_path, element).codec


def revision_with(tmp_path: Path, element: list[dict[str, Any]], *, has_title: bool = True) -> Revision:
    """The alien schema with a structure `basket`: a title if it has one, and elements with these fields."""
    schema = yaml.safe_load((ROOT / "tests" / "data" / "alien.yaml").read_text(encoding="utf-8"))
    rules = dict(schema["structures"]["ledger"]["rules"])
    unit = {"default": LIMIT, "maximum": 100, "unit": "items", "doc": "Items.", "reason": "Enough."}
    schema["limits"]["items"] = unit
    schema["structures"]["element"] = {
        "doc": "An element.",
        "rules": rules,
        "fields": [{"doc": "A part.", **field} for field in element],
    }
    schema["structures"]["basket"] = {
        "doc": "A title, and elements.",
        "rules": {**rules, "limit": "ledger.whole"},
        "limit": "items",
        "fields": [
            *(TITLE if has_title else []),
            {"name": "parts", "type": "element", "repeat": "to-end", "doc": "The elements."},
        ],
    }
    file = tmp_path / "alien.yaml"
    file.write_text(yaml.safe_dump(schema, sort_keys=False), encoding="utf-8")
    return Revision(str(file))


def counted_by(counter: str, sizes: str, *more: str) -> list[dict[str, Any]]:
    """Fields of an element whose strings are counted, after other numbers that make the line of code long."""
    return [
        *({"name": name, "type": "u8"} for name in more),
        {"name": counter, "type": "u8"},
        {"name": sizes, "type": "u8", "count": counter},
        {"name": "labels", "type": "utf8", "sizes": sizes},
    ]


def test_an_element_may_have_the_fields_of_what_is_before_it(tmp_path: Path) -> None:
    element = [{"name": "title_size", "type": "u8"}, {"name": "title", "type": "utf8", "size": "title_size"}]
    basket = codec_with(tmp_path, element).decode_basket(b"\x03tea\x02ab\x01c")
    assert (basket.title, [part.title for part in basket.parts]) == ("tea", ["ab", "c"])


@pytest.mark.parametrize(
    "element",
    [
        counted_by("n", "lengths"),
        counted_by("s", "lengths"),
        counted_by("items", "sizes_of_items"),
        counted_by("n", "lengths", *(f"a_number_with_a_long_name_{letter}" for letter in "abcdef")),
    ],
    ids=["other names", "end of the name of sizes", "name of sizes", "long line"],
)
def test_items_are_counted_whatever_their_fields_are_called(element: list[dict[str, Any]], tmp_path: Path) -> None:
    codec = codec_with(tmp_path, element)
    numbers = b"\x00" * (len(element) - 3)
    for buffer in (bytes, bytearray, memoryview):
        for most in (None, 6, 20):
            limit = () if most is None else (most,)
            for strings in range(22):
                payload = buffer(b"\x03tea" + numbers + bytes([strings]) + b"\x01" * strings + b"x" * strings)
                if strings < (LIMIT if most is None else most):
                    assert codec.decode_basket(payload, *limit).parts[0].labels == ("x",) * strings
                else:
                    with pytest.raises(RemoteProtocolError, match="at most"):
                        codec.decode_basket(payload, *limit)


ELEMENTS: dict[str, list[dict[str, Any]]] = {
    "no counter": [{"name": "size", "type": "u8"}, {"name": "text", "type": "utf8", "size": "size"}],
    "strings": [*counted_by("n", "lengths"), {"name": "last", "type": "u16"}],
    "strings twice": [
        {"name": "title_size", "type": "u8"},
        {"name": "title", "type": "ascii", "size": "title_size", "rules": {"empty": "ledger.name"}},
        *counted_by("n", "lengths"),
        {"name": "count", "type": "u8"},
        {"name": "sizes", "type": "u16", "count": "count"},
        {"name": "blobs", "type": "bytes", "sizes": "sizes"},
    ],
}


@pytest.fixture(scope="module", params=[(name, title) for name in ELEMENTS for title in (True, False)], ids=str)
def revision(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Revision:
    name, has_title = request.param
    return revision_with(tmp_path_factory.mktemp("alien"), ELEMENTS[name], has_title=has_title)


@given(st.data())
def test_both_codecs_agree_on_items_of_damaged_payloads(revision: Revision, data: st.DataObject) -> None:
    small = st.lists(st.sampled_from(b"\x00\x00\x01\x01\x02\x03a"), max_size=40).map(bytes)
    payload, most = data.draw(damaged(small)), data.draw(st.integers(0, 40))
    codec: Any = revision.codec
    fast = judged_payload(codec.decode_basket, payload, most)
    slow = judged_payload(revision.structs.basket.parse, payload, most)
    assert fast == slow if isinstance(fast, Refusal) else same_value(fast, slow)
