"""The work that a schema makes grows as the schema does, whatever grows in it. Work is counted in lines that Python runs."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from support import ROOT, SCHEMA

import hgproto.language.problems
import hgproto.language.rows
from hgproto.diff import changes
from hgproto.evidence.prove import prove
from hgproto.language import SchemaError, check
from hgproto.language.problems import Place
from hgproto.language.resolve import _Resolver, resolve
from hgproto.language.shape import shape_problems
from hgproto.language.source import Source, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgproto.language.model import Schema

META: Any = json.loads((SCHEMA / "meta.schema.json").read_text(encoding="utf-8"))
TEXT = json.dumps(read(ROOT / "tests" / "data" / "alien.yaml", Source()))
DOC: Any = {"doc": "D."}
FIELD: Any = {"name": "a", "type": "u8", "doc": "D."}
RULES: Any = {"cut": "stamp.whole", "overflow": "stamp.range"}
ROW: Any = {"from": "s0", "frame": "any", "to": "s0"}


def word(number: int) -> str:
    """A name in which Python finds no other one, whatever the case of its letters."""
    return "w-" + "".join(chr(ord("a") + int(digit)) for digit in str(number)) + "-w"


def requirements(data: Any, size: int, prefix: str = "n") -> None:
    requirement = data["requirements"]["relay.manners"]
    data["requirements"] |= {f"many.{prefix}{number}": requirement for number in range(size)}


def machine(data: Any, states: int, *rows: Any) -> Any:
    whole = DOC | {"role": "both", "scope": "stream", "initial": "s0", "otherwise": {"error": "relay.parity"}}
    whole |= {"states": {f"s{number}": DOC for number in range(states)}, "transitions": list(rows)}
    return whole


def constraint_names(item: Callable[[int], Any]) -> Callable[[Any, int], None]:
    def grow(data: Any, size: int) -> None:
        data["stream_flags"]["constraints"][0]["at-most-one-of"] = [item(number) for number in range(size)]

    return grow


def stream_flags(data: Any, size: int) -> None:
    data["stream_flags"]["flags"] |= {word(number): DOC | {"bit": 1} for number in range(size)}


def types(data: Any, size: int) -> None:
    data["structures"] |= {word(number): DOC | {"rules": RULES, "fields": [FIELD]} for number in range(size)}


def limits_on_items(data: Any, size: int) -> None:
    types(data, size)
    data["limits"]["many"] = data["limits"]["max-payload"]
    rules = {"limit": "ledger.whole"}
    fields = [{"name": "a", "type": "line", "repeat": "to-end", "doc": "D."}]
    some = DOC | {"limit": "many", "rules": rules, "fields": fields}
    data["structures"] |= {f"x-{word(number)}": some for number in range(size)}


def examples_of_frames(data: Any, size: int) -> None:
    some = DOC | {"rules": RULES, "fields": [FIELD]}
    data["structures"] = {word(number): some for number in range(size)} | data["structures"]
    data["frames"]["hello"]["examples"] += data["frames"]["hello"]["examples"][:1] * size


def names_alike_in_nothing(data: Any, size: int) -> None:
    requirements(data, size)
    example = {"title": "T", "hex": "00", "refused": "zzzzzzzzzzzzzzzzzzzzzzzz.zzzz", "offset": 0}
    data["structures"]["stamp"]["examples"] = [example] * size


def mentions_of_nothing(data: Any, size: int) -> None:
    requirement = data["requirements"]["relay.manners"] | {"why": "`zz`"}
    data["requirements"] |= {f"many.n{number}": requirement for number in range(size)}


def answers(data: Any, size: int) -> None:
    values = [word(number).replace("-w", "-") for number in range(size)]
    data["guards"] = {"g": DOC | {"values": values}}
    when = {"or": [{"guard": {"g": value}} for value in values]}
    data["machines"] = {"m": machine(data, 1, ROW | {"when": when})}


def guards_without_an_answer(data: Any, size: int) -> None:
    answers(data, size)
    data["machines"]["m"]["transitions"] = [ROW | {"when": {"guard": "g"}}] * size


def states(data: Any, size: int) -> None:
    rows = [ROW | {"from": f"s{number}", "to": f"s{(number + 1) % size}"} for number in range(size)]
    data["machines"] = {"m": machine(data, size, *rows)}


def conditions_of_states(data: Any, size: int) -> None:
    when = {"or": ["opens", "urgent"] * size}
    row = ROW | {"from": [f"s{number}" for number in range(size)], "when": when}
    data["machines"] = {"m": machine(data, max(size, 2), row, ROW | {"when": {"not": when}, "to": "s1"})}


def machines(data: Any, size: int) -> None:
    data["machines"] = {f"m{number}": machine(data, 1, ROW) for number in range(size)}


GROWING: dict[str, tuple[str, Callable[[Any, int], None]]] = {
    "names": ("shape", constraint_names(str)),
    "mappings": ("shape", constraint_names(lambda number: {"k": number})),
    "lists": ("shape", constraint_names(lambda number: [number])),
    "mixed": ("shape", constraint_names(lambda number: number if number % 2 else {})),
    "stream flags": ("shape", stream_flags),
    "requirements": ("resolve", requirements),
    "types": ("resolve", types),
    "names alike in nothing": ("resolve", names_alike_in_nothing),
    "mentions of nothing": ("resolve", mentions_of_nothing),
    "answers": ("resolve", answers),
    "guards without an answer": ("resolve", guards_without_an_answer),
    "limits on items": ("check", limits_on_items),
    "states": ("check", states),
    "conditions of states": ("check", conditions_of_states),
    "machines": ("check", machines),
    "examples of frames": ("prove", examples_of_frames),
}
"""What grows, and the stage that looks at it."""


class Lines:
    """Counts the lines that Python runs, loops of one line once for each time around."""

    def __init__(self) -> None:
        self.count = 0

    def trace(self, frame: Any, event: str, argument: object) -> Any:
        self.count += 1
        return self.trace

    def of(self, call: Callable[[], object]) -> int:
        before, self.count = sys.gettrace(), 0
        sys.settrace(self.trace)
        try:
            call()
        finally:
            sys.settrace(before)
        return self.count


def source(grow: Callable[[Any, int], None], size: int) -> Source:
    made = Source()
    made.data = json.loads(TEXT)
    made.mark((), Place("schema.yaml", 1, 1))
    grow(made.data, size)
    return made


def stage(name: str, made: Source) -> Callable[[], object]:
    """One stage of the proof; those before it are done."""
    if name == "shape":
        return lambda: shape_problems(made, META)
    if name == "resolve":
        return lambda: resolved(made)
    schema = resolve(made, "")
    return lambda: check(schema) if name == "check" else prove(schema)


def resolved(made: Source) -> None:
    with suppress(SchemaError):
        resolve(made, "")


def is_linear(work: Callable[[int], int], size: int) -> bool:
    """Whether doubling the size doubles what a size adds to the work."""
    one, two, four = work(size), work(2 * size), work(4 * size)
    return four - two <= 2.2 * (two - one) + 1000


@pytest.mark.parametrize("kind", GROWING)
def test_proving_takes_work_in_proportion(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The work that has a limit is at its limit.
    monkeypatch.setattr(hgproto.language.problems, "MAX_COMPARED", 50)
    monkeypatch.setattr(hgproto.language.problems, "_MOST_TRIED", 10)
    monkeypatch.setattr(hgproto.language.rows, "MAX_WORK", 5000 if kind == "conditions of states" else 10**6)
    name, grow = GROWING[kind]
    stage(name, source(grow, 1))()  # what is made once
    assert is_linear(lambda size: Lines().of(stage(name, source(grow, size))), 10 if name == "prove" else 100)


@pytest.mark.parametrize("grow", [types, answers])
def test_names_are_looked_up_in_sets(grow: Callable[[Any, int], None], monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    known = _Resolver.known

    def counted(self: Any, what: str, name: str, names: Any, path: Any, **more: Any) -> bool:
        looked.append(len(names) if isinstance(names, list | tuple) else 1)
        return known(self, what, name, names, path, **more)

    monkeypatch.setattr(_Resolver, "known", counted)

    def work(size: int) -> int:
        looked.clear()
        resolve(source(grow, size), "")
        return sum(looked)

    assert is_linear(work, 100)


RENAMED: dict[str, Callable[[Any, int, str], None]] = {
    "requirements": requirements,
    "states": lambda data, size, _: states(data, 2 * size),
    "examples": lambda data, size, prefix: data["structures"]["stamp"].update(
        examples=[{"title": "T", "hex": "00" * (1 + len(prefix)), "refused": "stamp.whole", "offset": 0}] * size
    ),
    "conditions": lambda data, size, prefix: data.update(
        guards={f"{prefix}{number}": {"doc": f"G {number}."} for number in range(size)},
        machines={"m": machine(data, 1, *({**ROW, "when": {"guard": f"{prefix}{number}"}} for number in range(size)))},
    ),
}


@pytest.mark.parametrize("kind", RENAMED)
def test_comparing_takes_work_in_proportion(kind: str) -> None:
    def model(size: int, prefix: str) -> Schema:
        return resolve(source(lambda data, size: RENAMED[kind](data, size, prefix), size), "")

    def work(size: int) -> int:
        old, new = model(size, "a"), model(size, "bb")
        return Lines().of(lambda: changes(old, new))

    assert is_linear(work, 25)
