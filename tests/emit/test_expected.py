"""Codec and Structs word what is wrong with a header in the same way."""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from support import ROOT, Refusal

from hgproto.errors import RemoteProtocolError
from hgproto.language import load
from hgproto.revisions.framing_0002 import codec, structs
from hgproto.revisions.generate import compile_schema

if TYPE_CHECKING:
    from pathlib import Path

FLAGS = ["opens", "urgent", "closes"]
CONSTRAINTS: list[dict[str, Any]] = [
    {"exactly-one-of": FLAGS},
    {"at-most-one-of": FLAGS},
    {"at-least-one-of": FLAGS},
    {"all-of": FLAGS},
    {"all-of": ["opens"]},
    {"none-of": ["opens"]},
    {"none-of": FLAGS},
    {"forbids": {"opens": ["urgent", "closes"]}},
    {"requires": {"opens": ["urgent", "closes"]}},
    {"odd": ["stream_id"]},
    {"even": ["request_id", "stream_id"]},
]


def refusal(call: Any) -> Refusal | None:
    """Why the call refuses a header; None where nothing is wrong."""
    try:
        call()
    except RemoteProtocolError as error:
        return Refusal.of(error)
    return None


def assert_alike(codec: Any, structs: Any) -> None:
    seen = set()
    stream_flags = [0, *codec.STREAM_FLAG_NAMES, sum(codec.STREAM_FLAG_NAMES), 0x40]
    for code, flags, bits, stream_id in product(range(8), (0, 1, 2, 3, 8), stream_flags, (1, 2)):
        frame = codec.make_frame(stream_id, stream_id, bits, code, flags, b"")
        fast = refusal(lambda frame=frame: codec.check_header(frame))
        data = codec.encode_frame(frame)
        slow = refusal(lambda data=data: structs.checked_frame.parse(data))
        if fast is not None:
            seen.add(fast)
            assert slow == fast
    assert len(seen) > 3


def test_of_our_revision() -> None:
    assert_alike(codec, structs)


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=json.dumps)
def test_of_every_constraint(constraint: dict[str, Any], tmp_path: Path) -> None:
    schema = yaml.safe_load((ROOT / "tests" / "data" / "alien.yaml").read_text(encoding="utf-8"))
    added = constraint | {"requirement": "relay.open-or-close"}
    schema["stream_flags"]["constraints"].insert(0, added)
    file = tmp_path / "alien.yaml"
    file.write_text(json.dumps(schema), encoding="utf-8")
    # Not proven first: some of these constraints allow no frame.
    modules = compile_schema(load(file))
    assert_alike(modules["codec"], modules["structs"])
