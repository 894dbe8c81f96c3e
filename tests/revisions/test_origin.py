"""Values of a revision that was compiled from a file are pickled, in this process and for others."""

from __future__ import annotations

import copy
import dataclasses
import gc
import multiprocessing
import pickle
import shutil
import subprocess
import sys
import weakref
from concurrent.futures import ProcessPoolExecutor
from operator import methodcaller
from typing import TYPE_CHECKING, Any

import pytest
from support import ROOT

from hgproto.errors import RemoteProtocolError
from hgproto.revisions.generate import compile_schema
from hgproto.revisions.revision import Revision
from hgproto.runtime.frame import Frame, Record
from hgproto.samples import Seeded
from hgproto.samples.frames import FrameMaker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ALIEN = ROOT / "tests" / "data" / "alien.yaml"
REVISION = Revision(str(ALIEN))


def values_of(revision: Revision) -> list[Any]:
    """Frames, what their payloads stand for, numbers with names, and an unknown flag."""
    maker = FrameMaker(revision)
    frames = [maker.frame(Seeded(seed)) for seed in range(40)]
    module: Any = revision.codec
    decoded = [module.decode_payload(frame) for frame in frames]
    numbers = [number for frame in frames for number in (frame.type, frame.flags, frame.stream_flags)]
    return [*frames, *decoded, *numbers, module.TelegramFlag(15), module.make_frame(1, 1, 0, 15, 0, b"")]


VALUES = values_of(REVISION)
PICKLES = [lambda value, protocol=protocol: pickle.loads(pickle.dumps(value, protocol)) for protocol in range(6)]  # noqa: S301 - our own
COPIES: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy, *PICKLES]
CHILD = (
    "import pickle, sys\n"
    "values = pickle.load(sys.stdin.buffer)\n"
    "sys.stdout.buffer.write(pickle.dumps((values, [repr(value) for value in values])))\n"
)


def in_another_process(data: bytes, directory: Path) -> subprocess.CompletedProcess[bytes]:
    """Unpickles values in a new process, and pickles them there again."""
    return subprocess.run([sys.executable, "-c", CHILD], input=data, capture_output=True, cwd=directory, check=False)


@pytest.mark.parametrize("copied", COPIES)
def test_every_value_of_a_compiled_revision_is_copied_and_pickled(copied: Callable[[Any], Any]) -> None:
    assert len({type(value) for value in VALUES if isinstance(value, Record)}) > 3
    for value in VALUES:
        twin = copied(value)
        assert type(twin) is type(value)
        assert twin == value
        assert hash(twin) == hash(value)
        assert repr(twin) == repr(value)
    for whole in (copied(VALUES), copied(tuple(VALUES))):
        assert list(whole) == VALUES


def test_values_are_pickled_for_another_process_and_come_back(tmp_path: Path) -> None:
    done = in_another_process(pickle.dumps(VALUES), tmp_path)
    assert done.stderr == b""
    values, texts = pickle.loads(done.stdout)  # noqa: S301 - our own
    assert values == VALUES
    assert [type(value) for value in values] == [type(value) for value in VALUES]
    assert texts == [repr(value) for value in VALUES]


def test_values_are_given_to_workers_of_multiprocessing() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(copy.copy, VALUES[:50]) == VALUES[:50]


def test_two_revisions_of_one_file_stay_apart() -> None:
    other = Revision(str(ALIEN))
    frame, twin = (one.codec.make_frame(1, 1, 0, 2, 1, b"") for one in (REVISION, other))
    for made in (frame, twin):
        assert type(pickle.loads(pickle.dumps(made)).type) is type(made.type)  # noqa: S301 - our own
    assert type(frame.type) is not type(twin.type)


@pytest.mark.parametrize("copied", COPIES)
def test_a_revision_is_copied_and_pickled_with_its_modules(copied: Callable[[Any], Any], tmp_path: Path) -> None:
    for revision in (REVISION, Revision("framing-0002")):
        assert copied(revision).codec is revision.codec
        assert copied(revision).structs is revision.structs
        assert copied(revision).name == revision.name
    # One that was not compiled yet stays so, and is found from any directory.
    fresh = copied(Revision("tests/data/alien.yaml"))
    assert fresh.name == str(ROOT.cwd() / "tests" / "data" / "alien.yaml")
    assert "_compiled" not in vars(fresh)


def test_a_schema_that_has_changed_is_named(tmp_path: Path) -> None:
    file = tmp_path / "relay\n.yaml"
    shutil.copy(ALIEN, file)
    revision = Revision(str(file))
    data = pickle.dumps([revision.codec.make_frame(1, 1, 0, 2, 1, b"")])
    file.write_bytes(file.read_bytes() + b"# More.\n")
    error = in_another_process(data, tmp_path).stderr.decode()
    shown = str(file).replace("\n", "\\n")
    assert (
        f"UnpicklingError: a value of relay-7 needs its schema, {shown}, which has changed since the value was" in error
    )
    file.unlink()
    error = in_another_process(data, tmp_path).stderr.decode()
    assert f"UnpicklingError: a value of a revision needs its schema, {shown}, which cannot be used: " in error
    # This process has the revision.
    assert pickle.loads(data)[0].type is revision.codec.make_frame(1, 1, 0, 2, 1, b"").type  # noqa: S301 - our own


def test_a_revision_that_nobody_uses_is_not_kept() -> None:
    modules = compile_schema(REVISION.schema)
    value: Any = modules["codec"].make_frame(1, 1, 0, 2, 1, b"")
    kept = weakref.ref(modules["codec"])
    del modules
    gc.collect()
    # The classes of a value keep it, so that a copy has the same ones.
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - our own
    assert kept() is not None
    del value
    gc.collect()
    assert kept() is None


def test_a_schema_without_a_file_is_known_in_its_process_alone(tmp_path: Path) -> None:
    codec: Any = compile_schema(dataclasses.replace(REVISION.schema, files=()))["codec"]
    value = codec.make_frame(1, 1, 0, 2, 1, b"")
    for copied in COPIES:
        assert copied(value) == value
        assert type(copied(value).type) is type(value.type)
    error = in_another_process(pickle.dumps([value]), tmp_path).stderr.decode()
    assert "UnpicklingError: a value of a revision needs its schema, which was not read from a file; read the" in error


def parts_of_revision(revision: Revision) -> list[Any]:
    """Its modules and all classes in them."""
    modules: list[Any] = [revision.codec, revision.structs, revision.machines]
    classes = [kind for module in modules for kind in vars(module).values() if isinstance(kind, type)]
    own = [kind for kind in classes if kind.__module__ in {module.__name__ for module in modules}]
    assert {issubclass(kind, Record) for kind in own} == {True, False}
    return [*modules, *own]


@pytest.mark.parametrize("copied", COPIES)
def test_modules_and_classes_of_a_compiled_revision_are_copied_and_pickled(copied: Callable[[Any], Any]) -> None:
    for part in parts_of_revision(REVISION):
        assert copied(part) is part


def test_modules_and_classes_are_pickled_for_another_process_and_come_back(tmp_path: Path) -> None:
    parts = parts_of_revision(REVISION)
    done = in_another_process(pickle.dumps([*parts, *VALUES]), tmp_path)
    assert done.stderr == b""
    values, _ = pickle.loads(done.stdout)  # noqa: S301 - our own
    assert all(value is part for value, part in zip(values, parts, strict=False))


def test_another_process_calls_the_functions_of_a_module() -> None:
    """A function itself is pickled as a name, which no other process can import."""
    codec: Any = REVISION.codec
    frames = [frame for frame in VALUES if isinstance(frame, Frame)]
    for function in (codec.decode_payload, codec.encode_frame, codec.make_frame):
        with pytest.raises(pickle.PicklingError, match=f"<function {function.__name__} at .* import of module"):
            pickle.dumps(function)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        for frame in frames[:8]:
            assert pool.submit(methodcaller("encode_frame", frame), codec).result() == codec.encode_frame(frame)
            value = pool.submit(methodcaller("decode_payload", frame), codec).result()
            assert (value, type(value)) == (codec.decode_payload(frame), type(codec.decode_payload(frame)))
        with pytest.raises(RemoteProtocolError) as error:
            pool.submit(methodcaller("decode_ledger", b"\1"), codec).result()
    assert (error.value.requirement, error.value.field) == ("ledger.whole", "page")


@pytest.mark.parametrize("revision", [REVISION, Revision("framing-0002")], ids=["compiled", "ours"])
def test_a_struct_is_copied_and_says_what_to_pickle_instead(revision: Revision) -> None:
    for name in revision.structs.__all__:
        struct = getattr(revision.structs, name)
        assert copy.deepcopy(struct) is struct
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(
                TypeError, match=r"a Struct cannot be pickled, .*; pickle its Revision, and use the structs of"
            ):
                pickle.dumps(struct, protocol)
        assert getattr(pickle.loads(pickle.dumps(revision)).structs, name) is struct  # noqa: S301 - our own
