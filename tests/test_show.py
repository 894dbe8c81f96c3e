"""Field tables: all that a schema has, in lines that fit a terminal."""

from __future__ import annotations

import pytest

from hgproto import Revision
from hgproto.show import WIDTH, names, overview, show

SCHEMA = Revision("framing-0002").schema


def test_the_overview_lists_all_that_can_be_shown() -> None:
    text = "\n".join(overview(SCHEMA))
    assert next(iter(names(SCHEMA))) == "frame-header"
    assert set(SCHEMA.frames) | set(SCHEMA.structures) <= set(names(SCHEMA))
    assert all(f"\n{name} " in text for name in names(SCHEMA))


@pytest.mark.parametrize("name", names(SCHEMA))
def test_tables_have_every_field_flag_and_rule(name: str) -> None:
    lines = list(show(name, SCHEMA))
    text = "\n".join(lines)
    assert max(len(line) for line in lines if "  " in line) <= WIDTH
    if name == "frame-header":
        wanted = ["length", "request_id", "stream_id", "stream_flags", "type", "flags", "payload", "stream-begin"]
        wanted += ["frame.length-limit", "stream-id.parity", "stream.begin-plain"]
    elif name in SCHEMA.frames:
        frame = SCHEMA.frames[name]
        wanted = [flag.name for flag in frame.flags] + [constraint.requirement for constraint in frame.constraints]
        for case in frame.payload:
            wanted += [field.name for field in case.structure.fields] if case.structure is not None else []
            wanted += case.field.rules.values() if case.field is not None else []
    else:
        structure = SCHEMA.structures[name]
        wanted = [field.name for field in structure.fields] + list(structure.rules.values())
    assert [word for word in wanted if word not in text] == []
    assert all(requirement in text for requirement in wanted if "." in requirement)


def test_what_is_ours_is_said_to_be_ours() -> None:
    text = " ".join(" ".join(show("command-name", SCHEMA)).split())
    assert "set at least one of eos, have-args and have-data. (our resolution)" in text
    assert "MUST NOT send command-name. request-id" in text


def test_another_name_is_refused() -> None:
    with pytest.raises(KeyError):
        list(show("nothing", SCHEMA))
