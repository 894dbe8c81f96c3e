"""Checks of whole frames: a frame that is built violates the same requirement as with the codec."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from construct import Int8ul
from support import ROOT, Refusal

from hgproto.errors import LocalProtocolError, RemoteProtocolError
from hgproto.revisions.framing_0002 import codec
from hgproto.revisions.revision import Revision
from hgproto.runtime.frame_constructs import Known, known

OURS = Revision("framing-0002")
ALIEN = Revision(str(ROOT / "tests" / "data" / "alien.yaml"))


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("revision", [OURS, ALIEN], ids=["ours", "alien"])
def test_a_frame_that_breaks_a_rule_is_not_built_for_the_reason_of_the_codec(revision: Revision, plain: bool) -> None:
    reasons = set()
    for code, flags, stream_flags, stream_id in product(range(8), (0, 1, 2, 3, 8), (0, 1, 5, 0x40), (1, 2)):
        frame = revision.codec.make_frame(1, stream_id, stream_flags, code, flags, b"")
        try:
            revision.codec.check_header(frame)
        except RemoteProtocolError as error:
            wanted = Refusal.of(error)._replace(offset=None)
        else:
            continue
        values: dict[str, Any] = frame.as_dict()
        if plain:
            values |= {name: int(values[name]) for name in ("type", "flags", "stream_flags")}
        with pytest.raises(LocalProtocolError) as caught:
            revision.structs.checked_frame.build(values)
        assert Refusal.of(caught.value) == wanted
        reasons.add(wanted.found)
    assert len(reasons) > 5


def test_a_number_without_a_name_stays_as_it_is() -> None:
    kind = Known(Int8ul, codec.FrameType)
    assert [kind.parse(bytes([number])) for number in (1, 15)] == [codec.FrameType.COMMAND_NAME, 15]
    assert [kind.build(number) for number in (1, codec.FrameType.COMMAND_NAME, 15)] == [b"\x01", b"\x01", b"\x0f"]
    assert type(known(1, codec.FrameType)) is codec.FrameType
    assert type(known(15, codec.FrameType)) is type(known(1, None)) is int
