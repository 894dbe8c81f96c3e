"""The module of events: classes of all fields there can be, for one revision and for several that share them."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support import RUFF, SCHEMA

from hgproto.emit import shared
from hgproto.emit.events import TYPES
from hgproto.language import SchemaError, load
from hgproto.language.model import Action, Event, EventField, Row, Schema
from hgproto.language.problems import Place
from hgproto.reactors.event_values import RunCommand
from hgproto.revisions.generate import shared_sources
from hgproto.runtime.frame import Record, bare, parts_of

if TYPE_CHECKING:
    from pathlib import Path

OURS = load(SCHEMA / "framing-0002.yaml")
HERE = Place("here", 1, 1)


def field(name: str, type_: str, *, optional: bool = False) -> EventField:
    return EventField(name, type_, optional, f"The {name}.", HERE)


def event(name: str, *own: EventField, **more: Any) -> Event:
    parts: dict[str, Any] = {"extends": None, "sends": False, "inherited": ()}
    return Event(name=name, role="both", doc=f"The event {name}.", own=own, place=HERE, **{**parts, **more})


WHOLE = event("whole", *(field(type_.replace("-", "_"), type_) for type_ in TYPES))
BASE = event("base", field("first", "text"), field("second", "count", optional=True))
EVENTS = [
    WHOLE,
    BASE,
    event("derived", field("third", "flag", optional=True), extends="base", inherited=BASE.own),
    event("empty"),
    event(
        "named",
        *(field(name, "bytes") for name in ("bool", "bytes", "dict", "int", "str", "tuple")),
        field("last", "names-to-bytes"),
    ),
    event("frames", field("request", "request-id"), sends=True),
    event("x" * 60, *(field(f"{letter * 30}", "names-to-bytes", optional=True) for letter in "abcd")),
]
MADE = replace(OURS, events={one.name: one for one in EVENTS})


def made(schemas: list[Schema]) -> dict[str, Any]:
    """What the module has."""
    names: dict[str, Any] = {"__name__": "made"}
    exec(compile(shared(schemas)["event_values.py"], "events", "exec"), names)  # noqa: S102 - our own emitter's text
    return names


def test_events_are_records() -> None:
    names = made([MADE])
    assert names["__all__"] == sorted(["Whole", "Base", "Derived", "Empty", "Named", f"X{'x' * 59}"])
    whole = names["Whole"]
    assert issubclass(whole, Record)
    assert whole.__init__.__annotations__["names_to_bytes"] == "dict[str, _builtins.bytes]"
    values = list(range(len(TYPES)))
    assert [getattr(whole(*values), name) for name in parts_of(whole(*values))] == values
    assert whole(*values) == whole(*values) != whole(*reversed(values))
    assert not hasattr(whole(*values), "__dict__")
    assert " ".join(names["Base"].__doc__.split()) == (
        "The event base. ``first``: The first. ``second``: The second. (None if absent)"
    )
    derived = names["Derived"]("a", third=True)
    assert isinstance(derived, names["Base"])
    assert repr(derived) == "Derived(first='a', second=None, third=True)"
    assert derived.replace(second=2) == names["Derived"]("a", 2, True)
    assert names["Empty"]() == names["Empty"]()


def test_events_can_be_filled_in_by_those_who_make_many() -> None:
    for command in bare(RunCommand):
        command.request_id, command.name, command.args, command.data = 1, "a", {}, None
        assert type(command) is RunCommand
        assert command == RunCommand(1, "a", {})
        break


def test_a_payload_is_of_the_classes_of_all_revisions() -> None:
    later = replace(OURS, revision="framing-0003")
    text = shared([OURS, later])["event_values.py"]
    assert text.count("# SHA-256 of the schema: ") == 2
    assert "    from hgproto.revisions.framing_0003 import codec as framing_0003\n" in text
    assert "    atoms: tuple[framing_0002.TextAtom, ...] | tuple[framing_0003.TextAtom, ...]\n" in text
    assert "    progress: framing_0002.Progress | framing_0003.Progress\n" in text
    # A revision that has no such frames leaves the event to the others.
    without = replace(later, emits={name: one for name, one in OURS.emits.items() if name != "progress"}, machines={})
    text = shared([OURS, without])["event_values.py"]
    assert "    progress: framing_0002.Progress\n" in text
    assert "framing_0003" not in ast.unparse(ast.parse(text))


def test_a_payload_without_a_structure_is_no_code() -> None:
    peer_error = replace(OURS.events["peer-error"], own=(field("message", "payload"),))
    with pytest.raises(ValueError, match="the event 'peer-error' has no payload"):
        shared([replace(OURS, events={"peer-error": peer_error})])
    with pytest.raises(
        ValueError, match="no transition leads to the event 'text-message', so its field 'atoms' has no"
    ):
        shared([replace(OURS, emits={}, machines={})])


def test_revisions_share_their_events() -> None:
    assert shared_sources([OURS, replace(OURS, revision="framing-0003")]).keys() == {"event_values.py"}
    changed = {**OURS.events, "no-op": replace(OURS.events["no-op"], role="both")}
    fewer = {name: one for name, one in OURS.events.items() if name != "want-frame"}
    for events, name in ((changed, "no-op"), (fewer, "want-frame")):
        with pytest.raises(SchemaError) as caught:
            shared_sources([OURS, replace(OURS, revision="framing-0003", events=events)])
        (problem,) = caught.value.problems
        assert problem.message == f"the event {name!r} of framing-0003 is different"
        assert problem.help == "declare it in a file that both include"
        assert problem.place == OURS.events[name].place


def test_each_event_is_one_of_some_revision() -> None:
    lost = replace(OURS, events={**OURS.events, "lost": event("lost")})
    with pytest.raises(SchemaError, match="here:1:1: no revision leads to the event 'lost'; name it in `events` of an"):
        shared_sources([lost])
    row: Row = OURS.machines["connection"].transitions[0]
    assert row.emit is None
    used = {**OURS.emits, "error": Action("error", (*OURS.emits["error"].events, "lost"), "D.", HERE)}
    assert "class Lost(Record):" in shared_sources([replace(lost, emits=used)])["event_values.py"]


def test_the_text_needs_no_formatting_and_has_no_fault(tmp_path: Path) -> None:
    if RUFF is None or importlib.util.find_spec("mypy") is None:
        pytest.skip("ruff and mypy are not installed: pip install 'hgproto[dev]'")
    (tmp_path / "made.py").write_text(shared([MADE])["event_values.py"], encoding="utf-8")
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = True\n[mypy-construct.*]\nignore_missing_imports = True\n")
    for command in (
        [str(RUFF), "format", "--isolated", "--no-cache", "--line-length", "120", "--diff", "made.py"],
        [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "made.py"],
    ):
        environment = os.environ | {"MYPY_CACHE_DIR": str(tmp_path / "cache")}
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout
