"""Sources: what requirements cite, and what is wrong with a citation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import SCHEMA

from hgproto.language.load import load
from hgproto.language.problems import SchemaError

if TYPE_CHECKING:
    from pathlib import Path

FRAMING, OURS = ((SCHEMA / name).read_text(encoding="utf-8") for name in ("framing.yaml", "framing-0002.yaml"))
FAULTY = [
    ("section: streams,", "section: stream,", "there is no section 'stream'", "did you mean 'streams'?"),
    (
        "      progress: Progress",
        "      streams: Progress",
        "the section 'streams' is also in 'wireprotocol'",
        "give it another name",
    ),
]


def test_a_requirement_cites_the_heading_and_the_document() -> None:
    schema = load(SCHEMA / "framing-0002.yaml")
    cited = '"Streams" in mercurial/help/internals/wireprotocol.txt (Mercurial changeset 8862a50a8256)'
    assert schema.requirements["stream.open-limit"].section == cited
    assert schema.sources["wireprotocol"].cite("streams") == cited
    headings = {source.cite(name) for source in schema.sources.values() for name in source.sections}
    assert {requirement.section for requirement in schema.requirements.values()} == headings


@pytest.mark.parametrize(("old", "new", "message", "advice"), FAULTY)
def test_a_faulty_citation_is_named(old: str, new: str, message: str, advice: str, tmp_path: Path) -> None:
    assert old in FRAMING + OURS
    (tmp_path / "framing.yaml").write_text(FRAMING.replace(old, new), encoding="utf-8")
    (tmp_path / "framing-0002.yaml").write_text(OURS.replace(old, new), encoding="utf-8")
    with pytest.raises(SchemaError) as error:
        load(tmp_path / "framing-0002.yaml")
    assert [(problem.message, problem.help) for problem in error.value.problems if message in problem.message] == [
        (message, advice)
    ]


def test_any_text_is_a_section_without_sources() -> None:
    schema = load(SCHEMA.parent / "tests" / "data" / "alien.yaml")
    assert schema.sources == {}
    assert schema.requirements["hello.even"].section == "3"
