"""Samples keep limits however small they are, or say which limit allows none."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import find
from support import ROOT, SCHEMA

from hgproto import cli
from hgproto.fuzz.cases import Cases
from hgproto.judging.validation import validate
from hgproto.reactors.limits import Limits
from hgproto.revisions.framing_0002 import codec
from hgproto.revisions.revision import Revision
from hgproto.samples import Seeded, at_limits, boundaries
from hgproto.samples.frames import FrameMaker, NotMadeError, TooSmallLimitError
from hgproto.strategies import frames, payloads

if TYPE_CHECKING:
    from pathlib import Path

LEAST = {
    "command-name": 1,
    "command-argument": 5,
    "command-data": 0,
    "bytes-response": 0,
    "error-response": 0,
    "text-output": 0,
    "progress": 20,
    "stream-settings": 2,
}
"""The bytes of the shortest payload of each type."""
SIZES = (1, 4, 5, 12, 19, 20)


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Revision]:
    """Revisions with a small limit on payloads, by that limit."""
    text = (SCHEMA / "framing.yaml").read_text(encoding="utf-8")
    old = "  max-payload:\n    default: 65535\n    maximum: 16777215\n"
    sent = "  send-payload:\n    default: 32768\n"
    assert text.count(old) == text.count(sent) == 1
    revisions = {}
    for size in SIZES:
        directory = tmp_path_factory.mktemp(f"limit-{size}")
        shutil.copy(SCHEMA / "framing-0002.yaml", directory)
        new = f"  max-payload:\n    default: {size}\n    maximum: {size}\n"
        changed = text.replace(old, new).replace(sent, f"  send-payload:\n    default: {size}\n")
        (directory / "framing.yaml").write_text(changed, encoding="utf-8")
        revisions[size] = Revision(str(directory / "framing-0002.yaml"))
    return revisions


def message(name: str, size: int) -> str:
    return (
        f"no valid frame of the type {name} was found: its shortest payload has "
        f"{LEAST[name]} {'byte' if LEAST[name] == 1 else 'bytes'}, and the limit max-payload allows {size}; raise this limit"
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", codec.CODES)
def test_frames_keep_a_small_limit_on_payloads(name: str, size: int, limited: dict[int, Revision]) -> None:
    revision = limited[size]
    maker, code, choices = FrameMaker(revision), revision.codec.CODES[name], Seeded(1)
    if size < LEAST[name]:
        for make in (maker.frame, maker.payload):
            with pytest.raises(TooSmallLimitError, match=f"^{re.escape(message(name, size))}$"):
                make(choices, code)
        return
    for encoded in (False, True):
        for _ in range(50):
            frame = maker.frame(choices, code, encoded=encoded)
            assert list(validate(revision.codec.encode_frame(frame), depth="frames", revision=revision)) == []
    assert len(maker.payload(choices, code)) <= size


@pytest.mark.parametrize("size", SIZES)
def test_frames_of_any_type_are_of_those_that_a_limit_allows(size: int, limited: dict[int, Revision]) -> None:
    maker, choices = FrameMaker(limited[size]), Seeded(1)
    made = {codec.TYPE_NAMES[int(maker.frame(choices).type)] for _ in range(300)}
    assert made == {name for name, least in LEAST.items() if least <= size}


def test_the_limit_of_the_caller_holds() -> None:
    maker, choices = FrameMaker(max_payload=7), Seeded(1)
    assert max(len(maker.frame(choices).payload) for _ in range(500)) == 7
    with pytest.raises(NotMadeError, match=re.escape(message("progress", 7))):
        maker.frame(choices, codec.CODES["progress"])


def test_the_same_seed_gives_the_same_frames_where_no_limit_is_met() -> None:
    made = [[FrameMaker(max_payload=most).frame(Seeded(seed)) for seed in range(200)] for most in (None, 1 << 20)]
    assert made[0] == made[1]


@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize("form", ["raw", "hex", "human", "json"])
def test_the_command_samples_within_a_small_limit(
    size: int, form: str, limited: dict[int, Revision], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    revision = limited[size].name
    arguments = ["sample", "--seed", "1", "--revision", revision, "--format", form, "-n", "40", "-o", str(tmp_path)]
    assert cli.main(arguments) == 0
    assert len(list(tmp_path.iterdir())) == 40
    assert capsys.readouterr().err == "seed: 1\n"
    for name in ("command-name", "command-argument"):
        least = LEAST[name]
        code = cli.main(["sample", name, *arguments[1:]])
        assert code == (least > size)
        assert capsys.readouterr().err == (f"hgproto: {message(name, size)}\n" if least > size else "seed: 1\n")


def test_a_limit_on_items_that_allows_no_frame_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(SCHEMA / "framing.yaml", tmp_path)
    text = (SCHEMA / "framing-0002.yaml").read_text(encoding="utf-8")
    old = "payload-items:\n    default: 65536"
    assert text.count(old) == 1
    file = tmp_path / "framing-0002.yaml"
    file.write_text(text.replace(old, "payload-items:\n    default: 6"), encoding="utf-8")
    assert cli.main(["sample", "progress", "--revision", str(file)]) == 1
    assert capsys.readouterr().err == (
        "hgproto: no valid frame of the type progress was found: its simplest payload violates "
        "frame.items-limit, expected at most 6 items, found one more; raise this limit\n"
    )
    assert cli.main(["sample", "-n", "100", "--seed", "1", "--revision", str(file)]) == 0


def test_strategies_name_a_limit_that_allows_no_frame(limited: dict[int, Revision]) -> None:
    revision = limited[4]
    for strategy in (frames, payloads):
        with pytest.raises(ValueError, match=f"^{re.escape(message('command-argument', 4))}$"):
            strategy("command-argument", revision=revision)
    # Those of any type leave that type out.
    assert len(find(frames(revision=revision), lambda frame: len(frame.payload) == 4).payload) == 4
    assert find(frames("command-argument", revision=limited[5]), lambda _: True).payload == b"\1\0\0\0a"


@pytest.mark.parametrize("size", [1, 5, 20])
def test_boundaries_of_a_small_limit_are_judged(size: int, limited: dict[int, Revision]) -> None:
    for name, least in LEAST.items():
        labels = {not one.broken for one in boundaries(name, revision=limited[size])}
        assert labels >= ({False, True} if least <= size else {False})


def test_boundaries_keep_a_small_limit_of_the_caller() -> None:
    for name, least in LEAST.items():
        found = list(boundaries(name, max_payload=5))
        assert any(not one.broken for one in found) >= (least <= 5)
        assert all(one.broken for one in found if int.from_bytes(one.data[:3], "little") > 5)


@pytest.mark.parametrize("size", [0, -1, 1 << 24])
def test_a_limit_that_there_cannot_be_is_rejected(size: int) -> None:
    expected = f"^max_payload must be 1 to 16777215, not {size}$"
    with pytest.raises(ValueError, match=expected):
        boundaries(max_payload=size)
    with pytest.raises(ValueError, match=expected):
        FrameMaker(max_payload=size)


NAMES = [name.replace("-", "_") for name in codec.LIMITS]


@pytest.mark.parametrize("number", [1, 2, 4, 5])
@pytest.mark.parametrize("names", [*([name] for name in NAMES), NAMES], ids=lambda names: "-".join(names)[:30])
def test_every_limit_is_reached_however_small_others_are(names: list[str], number: int) -> None:
    limits = Limits(**dict.fromkeys(names, number))
    found = {one.what: one.broken for one in at_limits(limits, most_bytes=1 << 9)}
    for name in names:
        if name != "send_payload":
            value = name.replace("_", "-")
            assert f"{value} {number} of {number}" in found
            assert found[f"{value} {number + 1} of {number}"]
    if names == NAMES and number < 5:
        # An argument does not fit a frame.
        assert {broken for what, broken in found.items() if what.startswith("argument-value")} == {
            ("frame.length-limit",)
        }


@pytest.mark.parametrize("limits", [Limits(max_payload=1), Limits(send_payload=1), Limits(**dict.fromkeys(NAMES, 1))])
def test_fuzzing_goes_on_with_the_smallest_limits(limits: Limits) -> None:
    origins = []
    for case in Cases("server", 1, limits=limits):
        origins.append(case.origin)
        if case.origin.startswith("limit: payload-items"):
            break
    assert any(origin.startswith("limit: argument-value") for origin in origins)


def test_another_type_is_sampled_when_payloads_of_one_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    maker, progress = FrameMaker(), codec.FrameType.PROGRESS
    payload = maker.payload

    def not_of_progress(choices: Seeded, type_: int, **given: Any) -> bytes:
        if type_ == progress:
            raise NotMadeError("none")
        return payload(choices, type_, **given)

    monkeypatch.setattr(maker, "payload", not_of_progress)
    choices = Seeded(1)
    assert {maker.frame(choices).type for _ in range(100)} == set(codec.FrameType) - {progress}
    with pytest.raises(NotMadeError, match=r"^no valid frame of the type progress was found"):
        maker.frame(choices, progress)


@pytest.mark.parametrize("seed", range(4))
def test_other_flags_are_sampled_when_a_limit_on_items_allows_no_map(seed: int, tmp_path: Path) -> None:
    schema = yaml.safe_load((ROOT / "tests" / "data" / "alien.yaml").read_text(encoding="utf-8"))
    rules = schema["structures"]["status"]["rules"]
    schema["limits"]["items"] = {"default": 2, "maximum": 9, "unit": "items", "doc": "Items.", "reason": "Enough."}
    schema["structures"]["state"] = {
        "doc": "A map.",
        "limit": "items",
        "rules": {**rules, "limit": rules["surplus"]},
        "entries": {"a": {"type": "uint", "doc": "A number."}},
    }
    schema["frames"]["measure"]["payload"].insert(0, {"structure": "state", "when": "more"})
    file = tmp_path / "alien.yaml"
    file.write_text(json.dumps(schema), encoding="utf-8")
    relay = Revision(str(file))
    maker, choices = FrameMaker(relay), Seeded(seed)
    assert {maker.frame(choices, relay.codec.CODES["measure"]).flags for _ in range(20)} == {0}
