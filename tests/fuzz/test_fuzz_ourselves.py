"""Our own code under fuzzing: the harnesses by our loop and by Hypothesis, what they would catch, corpora, and the build."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import ROOT

from hgproto.cli import main as hgproto
from hgproto.evidence.coverage import Coverage
from hgproto.fuzz import Mutator, harnesses
from hgproto.fuzz.__main__ import main
from hgproto.fuzz.corpus import dictionary, features, minimal, seeds
from hgproto.fuzz.harnesses import HARNESSES, run
from hgproto.reactors.client import Client
from hgproto.reactors.server import Server
from hgproto.revisions.framing_0002 import codec
from hgproto.samples import Seeded
from hgproto.strategies import Drawn
from hgproto.wire.human import format_frame

if TYPE_CHECKING:
    from pathlib import Path

    from hgproto.judging.finding import Role

PART = settings(max_examples=max(settings().max_examples // 4, 5))
each_harness = pytest.mark.parametrize("name", HARNESSES)


@each_harness
def test_the_loop_finds_nothing(name: str) -> None:
    tally = run(name, seed=11, most_cases=80)
    assert tally.faults == ()
    assert tally.cases == 80


@each_harness
@PART
@given(data=st.data())
def test_hypothesis_finds_nothing(name: str, data: st.DataObject) -> None:
    mutator = Mutator(Drawn(data.draw), HARNESSES[name].side, rate=70)
    raw = data.draw(st.binary(max_size=40))
    HARNESSES[name].call(raw)
    HARNESSES[name].call(mutator.mutated_bytes(raw))


class Forgetful(Server):
    """A server that loses what a second chunk brings."""

    def receive_data(self, data: Any) -> list[Any]:
        had_one = self._fed or self._pieces.position
        events = super().receive_data(data)
        return [] if had_one else events


class Stubborn(Client):
    """A client whose requests never end."""

    active = (1,)


@pytest.mark.parametrize(
    ("name", "broken", "instead", "message"),
    [
        ("reader", "_cut", lambda _: [], "frames do not depend on chunks"),
        ("human", "format_frame", lambda frame: format_frame(frame) + " ", "a line is parsed|canonical line"),
        ("server", "Server", Forgetful, "events do not depend on chunks"),
        ("client", "Client", Stubborn, "after the end of input no request waits"),
        ("validator", "_cut", lambda _: [], "findings do not depend on chunks"),
        ("differential", "_by_structs", lambda _: ("frame.whole", 0), "both codecs"),
    ],
)
def test_a_fault_would_be_found(
    name: str,
    broken: str,
    instead: Any,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(harnesses, broken, instead)
    assert main([name, "--max-cases", "30", "--seed", "3"]) == 1
    said = capsys.readouterr().out
    assert re.search(f"^AssertionError: .*({message})", said, re.MULTILINE)
    assert re.search(rf"^{name}: 30 cases, \d+ bytes, [\d.]+ s, [1-9]\d* faults?$", said, re.MULTILINE)


def test_a_failure_outside_of_what_is_fuzzed_is_trouble(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(harnesses, "run", fails)
    assert main(["reader", "--max-cases", "1"]) == 3
    errors = capsys.readouterr().err
    assert "Traceback" in errors
    assert "python -m hgproto.fuzz: hgproto itself failed, not the harness: KeyError: 'x'; report it to" in errors


def test_what_there_is_to_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out.split() == list(HARNESSES)
    assert main(["human", "--max-time", "0.1"]) == 0
    with pytest.raises(SystemExit, match="2"):
        main(["nothing"])
    assert "there is no harness 'nothing'; there are reader, " in capsys.readouterr().err


@pytest.mark.parametrize("side", ["client", "server"])
def test_engines_get_mutations_of_any_bytes(side: Role) -> None:
    lives = [b"", b"\xff" * 30, *list(seeds(side).values())[:150]]
    for seed, data in enumerate(lives):
        made = Mutator(Seeded(seed), side).mutated_bytes(data)
        assert made == Mutator(Seeded(seed), side).mutated_bytes(data)
        crossed = Mutator(Seeded(seed), side).mutated_bytes(data, lives[seed - 1])
        assert isinstance(crossed, bytes)


# Corpora.


@pytest.mark.parametrize("side", ["client", "server"])
def test_seeds_have_every_type(side: Role) -> None:
    found = seeds(side)
    assert {data[7] >> 4 for data in found.values() if len(data) >= 8} >= set(codec.TYPE_NAMES)
    assert all(re.fullmatch(r"[\w.-]+", name) for name in found)
    assert b"" not in found.values()


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_minimal_corpus_exercises_the_same(side: Role) -> None:
    corpus = seeds(side)
    kept = list(minimal(corpus, side))
    everything = {feature for data in corpus.values() for feature in features(data, side)}
    assert {feature for name in kept for feature in features(corpus[name], side)} == everything
    assert len(kept) < len(corpus)
    # So does coverage, whether it is told who sends or not.
    for role in (side, None):
        whole, part = Coverage(), Coverage()
        for name, data in corpus.items():
            whole.data(data, role)
            if name in kept:
                part.data(data, role)
        assert list(part.missing()) == list(whole.missing())
    # Minimal means that it is so already.
    assert sorted(minimal({name: corpus[name] for name in kept}, side)) == sorted(kept)


def test_the_dictionary_is_one() -> None:
    lines = [line for line in dictionary().splitlines() if not line.startswith("#")]
    entries = [re.fullmatch(r'([\w.:%]+)="((?:\\x[0-9a-f]{2})+)"', line) for line in lines]
    assert all(entries)
    assert len({entry[1] for entry in entries if entry}) == len(lines) > 60
    assert 'key_topic="\\x45\\x74\\x6f\\x70\\x69\\x63"' in lines
    assert codec.DIGEST in dictionary()


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert hgproto(["corpus", "seed", "all", "--side", "server"]) == 0
    assert len(list((tmp_path / "all").iterdir())) == len(seeds("server"))
    assert hgproto(["corpus", "minimize", "all", "few", "--side", "server"]) == 0
    assert 0 < len(list((tmp_path / "few").iterdir())) < len(seeds("server"))
    assert hgproto(["corpus", "replay", "few", "client"]) == 0
    assert hgproto(["corpus", "dictionary"]) == 0
    assert capsys.readouterr().out.endswith(dictionary())
    assert hgproto(["corpus", "seed", "lines", "--harness", "human"]) == 0
    assert hgproto(["corpus", "replay", "lines", "human"]) == 0
    monkeypatch.setattr(harnesses, "format_frame", lambda _: "\n")
    assert hgproto(["corpus", "replay", "few", "human"]) == 1
    assert "AssertionError: a frame is a line of ASCII" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        hgproto(["corpus", "replay", "few", "x"])
    assert "argument NAME: unknown harness 'x'" in capsys.readouterr().err
    for words, message in (
        (["minimize", "none", "few"], "none: No such file or directory"),
        (["seed", "/dev/null/x"], "/dev/null/x: Not a directory"),
    ):
        assert hgproto(["corpus", *words]) == 3
        assert message in capsys.readouterr().err


# The build for OSS-Fuzz and ClusterFuzzLite.


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the build script leaves in OUT. The image's tools are played: an installer, and a compiler that copies."""
    folder = tmp_path_factory.mktemp("build")
    tools, out = folder / "tools", folder / "out"
    tools.mkdir()
    out.mkdir()
    (tools / "python3").write_text(
        f'#!/bin/bash\nif [ "$1 $2" = "-m pip" ]; then echo "$@" >> {folder}/pip; else exec {sys.executable} "$@"; fi\n'
    )
    (tools / "compile_python_fuzzer").write_text('#!/bin/bash\ncp "$1" "$OUT/$(basename "$1" .py)"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    (folder / "src").mkdir()
    (folder / "src" / "hgproto").symlink_to(ROOT)
    environment = {**os.environ, "SRC": str(folder / "src"), "OUT": str(out), "PATH": f"{tools}:{os.environ['PATH']}"}
    subprocess.run(
        ["bash", str(ROOT / ".clusterfuzzlite" / "build.sh")], env=environment, check=True, capture_output=True
    )
    assert (folder / "pip").read_text() == "-m pip install .[fuzz,zstd]\n"
    return out


def test_the_build_makes_targets_seeds_and_dictionaries(built: Path) -> None:
    wanted = {f"fuzz_{name}{end}" for name in HARNESSES for end in ("", ".dict", "_seed_corpus.zip")}
    assert {path.name for path in built.iterdir()} == wanted
    for name in HARNESSES:
        compile((built / f"fuzz_{name}").read_text(), name, "exec")
        assert f'atheris_main("{name}", sys.argv[1:])' in (built / f"fuzz_{name}").read_text()
        assert len(zipfile.ZipFile(built / f"fuzz_{name}_seed_corpus.zip").namelist()) > 100
        assert (built / f"fuzz_{name}.dict").read_text() == dictionary()


@each_harness
def test_built_targets_run_under_atheris(name: str, built: Path, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="Atheris is not installed; the extra `fuzz` has it")
    zipfile.ZipFile(built / f"fuzz_{name}_seed_corpus.zip").extractall(tmp_path / "corpus")
    seeds_ = len(list((tmp_path / "corpus").iterdir()))
    options = [f"-runs={seeds_ + 300}", "-seed=1", f"-dict={built / f'fuzz_{name}.dict'}", "corpus"]
    ended = subprocess.run(
        [sys.executable, str(built / f"fuzz_{name}"), *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-5000:]
    # The engine counts some seeds twice.
    done = re.search(r"Done (\d+) runs", ended.stderr)
    assert done
    assert int(done[1]) >= seeds_ + 300
    assert [file.name for file in tmp_path.iterdir()] == ["corpus"]
