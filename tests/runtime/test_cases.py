"""The structure of a payload: every component selects the same one, whatever conditions the cases have."""

from __future__ import annotations

import json
import re
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import ROOT

from hgproto.diff.parts import _case
from hgproto.errors import RemoteProtocolError
from hgproto.judging.places import Places
from hgproto.language import check, load
from hgproto.language.model import PayloadCase, Schema
from hgproto.language.show import show
from hgproto.language.source import Source, read
from hgproto.revisions.generate import compile_schema
from hgproto.runtime.definition import Definition
from hgproto.runtime.frame import Frame, Record
from hgproto.runtime.layout import case_of
from hgproto.samples.boundaries import _Maker
from hgproto.samples.choices import Seeded
from hgproto.samples.frames import FrameMaker
from hgproto.wire.jsonform import Continuations
from hgproto.wire.tree import annotated

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from hgproto.runtime.catalogue import Requirement
    from hgproto.wire.tree import Annotation

ALIEN_FILE = ROOT / "tests" / "data" / "alien.yaml"
DATA: Any = read(ALIEN_FILE, Source())
FLAGS = {"odd": 1, "low": 2, "more": 4}
TARGETS = ["chunk", "readings", "ledger", "status", "parcel", "greeting", "bytes", "ascii", "utf8"]

conditions = st.tuples(st.sampled_from([None, "odd", "low"]), st.sampled_from([None, "more"]))
tables = st.lists(st.tuples(conditions, st.sampled_from(TARGETS)), min_size=1, max_size=4).flatmap(
    lambda cases: st.sampled_from(TARGETS).map(lambda last: [*cases, ((None, None), last)])
)


def with_cases(cases: list[tuple[tuple[str | None, str | None], str]], folder: Path) -> Schema:
    """The relay's schema, where the frame type measure has these cases."""
    data = json.loads(json.dumps(DATA))
    measure = data["frames"]["measure"]
    measure["flags"] = {name: {"bit": bit, "doc": "D."} for bit, name in enumerate(FLAGS)}
    measure["payload"] = []
    for (when, after), target in cases:
        if target in ("bytes", "ascii", "utf8"):
            rules = {} if target == "bytes" else {"rules": {"charset": "telegram.utf8"}}
            case = {"name": f"text_{len(measure['payload'])}", "type": target, "size": "rest", "doc": "D.", **rules}
        else:
            case = {"structure": target}
        measure["payload"].append(case | {k: v for k, v in (("when", when), ("after", after)) if v is not None})
    file = folder / "cases.yaml"
    file.write_text(json.dumps(data), encoding="utf-8")
    return load(file)


def expected(cases: list[tuple[tuple[str | None, str | None], str]], flags: int, continued: bool) -> str:
    """Returns the expected target: the first case whose conditions all hold."""
    return next(
        target
        for (when, after), target in cases
        if (when is None or flags & FLAGS[when]) and (after is None or continued)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cases")


class Compiled(Definition):
    """A revision of modules that were compiled in memory."""

    def __init__(self, modules: dict[str, ModuleType]) -> None:
        self._modules = modules

    @property
    def codec(self) -> Any:
        return self._modules["codec"]

    @property
    def roles(self) -> ModuleType:
        return self._modules["roles"]

    @property
    def requirements(self) -> dict[str, Requirement]:
        requirements: dict[str, Requirement] = self._modules["requirements"].REQUIREMENTS
        return requirements


@settings(max_examples=max(10, settings().max_examples // 10))
@given(tables, st.integers(0, 1000))
def test_all_agree_which_structure_a_payload_has(folder: Path, cases: Any, seed: int) -> None:
    schema = with_cases(cases, folder)
    modules = compile_schema(schema)
    codec: Any = modules["codec"]
    structs: Any = modules["structs"]
    maker = FrameMaker(Compiled(modules), tries=1)
    places = Places(Compiled(modules))
    code = codec.CODES["measure"]
    for flags in range(8):
        for continued in (False, True):
            name = expected(cases, flags, continued)
            assert case_of(codec.PAYLOADS[code], flags, continued) == name
            payload = maker.payload(Seeded(seed), code, flags=flags, continued=continued)
            frame = codec.make_frame(1, 1, 0, code, flags, payload)
            value = codec.decode_payload(frame, continued)
            kinds = {"bytes": bytes, "ascii": str, "utf8": str}
            assert isinstance(value, kinds.get(name) or getattr(codec, name.capitalize()))
            assert places._structure(frame, continued) == name
            parsed = structs.checked_frame.parse(codec.encode_frame(frame), continued=continued)
            chosen = structs._payload(parsed, continued)
            if isinstance(value, Record):
                assert chosen is getattr(structs, name)
            elif name == "bytes":
                assert chosen is None
            else:
                assert chosen.encoding == {"ascii": "ascii", "utf8": "utf-8"}[name]
            shown = {re.split(r"[.\[]", one.path)[0] for one in shown_of(frame, continued, schema, codec)}
            if name == "status":
                assert {"level", "since_when"} <= shown
            elif isinstance(value, Record):
                assert shown <= {part.name for part in codec.LAYOUTS[name].parts}
            elif payload:
                assert len(shown) == 1 and shown.pop().startswith("text_")


def shown_of(frame: Frame, continued: bool, schema: Schema, codec: Any) -> list[Annotation]:
    """What a tree shows of a payload."""
    return [one for one in annotated(frame, continued, schema, codec) if not one.in_header]


def test_what_is_damaged_is_damaged_for_all(folder: Path) -> None:
    cases = [
        (("odd", "more"), "chunk"),
        ((None, "more"), "ascii"),
        (("odd", None), "readings"),
        ((None, None), "bytes"),
    ]
    schema = with_cases(cases, folder)
    codec: Any = compile_schema(schema)["codec"]
    for flags, continued, refused in ((1, True, True), (0, True, False), (1, False, True), (0, False, False)):
        frame = codec.make_frame(1, 0, 0, codec.CODES["measure"], flags, b"")
        calls = (partial(codec.decode_payload, frame, continued), partial(shown_of, frame, continued, schema, codec))
        for call in calls:
            if refused:
                with pytest.raises(RemoteProtocolError, match="expected"):
                    call()
            else:
                call()


def test_frames_in_a_row_are_read_by_what_the_one_before_had(folder: Path) -> None:
    schema = with_cases([(("odd", "more"), "chunk"), ((None, None), "bytes")], folder)
    codec: Any = compile_schema(schema)["codec"]
    continuations = Continuations(codec)
    found = []
    for flags in (5, 5, 4, 0, 1):
        frame: Frame = codec.make_frame(1, 0, 0, codec.CODES["measure"], flags, b"\0\0")
        found.append(type(codec.decode_payload(frame, continuations.next(frame))).__name__)
    assert found == ["bytes", "Chunk", "bytes", "bytes", "bytes"]


def test_boundaries_are_of_the_case_that_they_say(folder: Path) -> None:
    cases = [
        (("odd", None), "chunk"),
        (("odd", "more"), "ledger"),
        (("low", None), "readings"),
        ((None, None), "greeting"),
    ]
    revision = Compiled(compile_schema(with_cases(cases, folder)))
    codec, taken = revision.codec, set()
    for what, frame in _Maker(revision, codec.CODES["measure"], 4096)._of_payload():
        name = next(name for name in TARGETS if f" of {name}" in what)
        assert case_of(codec.PAYLOADS[frame.type], int(frame.flags), continued=False) == name
        taken.add(name)
    assert taken == {"chunk", "readings", "greeting"}


@cache
def both_conditions() -> PayloadCase:
    frame = load(ALIEN_FILE).frames["measure"]
    case = frame.payload[0]
    return PayloadCase(case.structure, None, "more", "more", case.place)


def test_both_conditions_are_told(folder: Path) -> None:
    assert _case(both_conditions()) == "chunk with more after more"
    schema = with_cases([(("odd", "more"), "chunk"), ((None, None), "bytes")], folder)
    assert any(line.startswith("Payload with odd after a frame with more: chunk.") for line in show("measure", schema))


@pytest.mark.parametrize(
    ("cases", "faults"),
    [
        ([(("odd", None), "chunk"), (("odd", "more"), "ledger"), ((None, None), "bytes")], [1]),
        ([((None, "more"), "chunk"), (("odd", "more"), "ledger"), ((None, None), "bytes")], [1]),
        (
            [
                (("odd", "more"), "chunk"),
                ((None, "more"), "ledger"),
                (("odd", None), "status"),
                ((None, None), "bytes"),
            ],
            [],
        ),
        ([(("odd", "more"), "chunk"), (("odd", "more"), "ledger"), ((None, None), "bytes")], [1]),
    ],
)
def test_a_case_that_is_never_taken_is_refused(cases: Any, faults: list[int], folder: Path) -> None:
    schema = with_cases(cases, folder)
    problems = [problem for problem in check(schema) if "never applies" in problem.message]
    assert [problem.place for problem in problems] == [
        schema.frames["measure"].payload[index].place for index in faults
    ]
