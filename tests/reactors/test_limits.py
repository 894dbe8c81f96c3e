"""Limits: the schema's defaults, valid values, and texts."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from support import ROOT, SCHEMA, schema_with_lines

from hgproto.language import load
from hgproto.reactors.limits import Limits
from hgproto.revisions.framing_0002 import codec
from hgproto.revisions.revision import Revision

if TYPE_CHECKING:
    from pathlib import Path

DECLARED = load(SCHEMA / "framing-0002.yaml").limits


def test_the_defaults_are_the_schemas() -> None:
    assert Limits().as_dict() == {name.replace("-", "_"): limit.default for name, limit in DECLARED.items()}
    assert all(limit.reason for limit in DECLARED.values())


@pytest.mark.parametrize("name", DECLARED)
def test_bounds(name: str) -> None:
    key, maximum = name.replace("-", "_"), codec.LIMITS[name][1]
    for value in (1, 2, maximum - 1, maximum):
        assert getattr(Limits(**{key: value}), key) == value
    for value in (0, -1, maximum + 1):
        with pytest.raises(ValueError, match=f"{key} must be 1 to {maximum}, not {value}"):
            Limits(**{key: value})
    with pytest.raises(ValueError, match=f"{key} must be a number of at most 64 bits, not of 16610"):
        Limits(**{key: 10**5000})
    wrong: Any
    for wrong in (2.5, "2", None):
        with pytest.raises(TypeError, match=f"{key} must be an integer, not {type(wrong).__name__}"):
            Limits(**{key: wrong})


def test_settings_in_words() -> None:
    assert Limits.of(["request-bytes=1000", "arguments=2"]) == Limits(request_bytes=1000, arguments=2)
    assert Limits.of([]) == Limits()


@pytest.mark.parametrize(
    "setting",
    ["arguments", "arguments=", "arguments=x", "arguments=-1", "arguments=²", "=1", "arguments=" + "9" * 5000],
)
def test_settings_that_are_none(setting: str) -> None:
    with pytest.raises((ValueError, TypeError), match=r"expected NAME=N, found|there is no limit ''"):
        Limits.of([setting])


def test_a_limit_that_there_is_not() -> None:
    with pytest.raises(TypeError, match="there is no limit 'request-byte'; there are active-requests, "):
        Limits(request_byte=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("sessions", [False, True])
def test_limits_of_a_revision_have_its_names_and_maxima(sessions: bool, tmp_path: Path) -> None:
    revision = Revision(str(schema_with_lines(tmp_path, sessions=sessions)))
    assert Limits.of_revision(revision).payload_items == Limits.of([], revision).payload_items == 2
    limits = Limits.of(["lines=9", "max_payload=7"], revision)
    assert limits == Limits.of([], revision).replace(payload_items=9, max_payload=7)
    # What is kept for the revision has not changed.
    assert Limits.of_revision(revision).payload_items == 2
    for number in (0, 10):
        with pytest.raises(ValueError, match=f"^lines must be 1 to 9, not {number}$"):
            Limits.of([f"lines={number}"], revision)
    known = sorted({*DECLARED, "lines"} - {"payload-items"}) if sessions else ["lines", "max-payload"]
    with pytest.raises(TypeError, match=f"^there is no limit 'payload-items'; there are {', '.join(known)}$"):
        Limits.of(["payload-items=3"], revision)


def test_a_limit_without_effect_is_none(tmp_path: Path) -> None:
    revision = Revision(str(schema_with_lines(tmp_path)))
    with pytest.raises(ValueError, match=r"^idle has no effect in relay-7; leave it out$"):
        Limits.of(["idle=3"], revision)


def test_a_maximum_over_ours_is_that_of_the_revision() -> None:
    revision = Revision(str(ROOT / "tests" / "data" / "alien.yaml"))
    assert Limits.of([f"max-payload={2**32 - 1}"], revision).max_payload == 2**32 - 1
    with pytest.raises(ValueError, match="max_payload must be 1 to 4294967295"):
        Limits.of([f"max-payload={2**32}"], revision)


def test_limits_are_values() -> None:
    limits = Limits(arguments=3)
    assert pickle.loads(pickle.dumps(limits)) == limits == copy.copy(limits)  # noqa: S301
    assert limits != Limits()
