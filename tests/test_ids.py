"""Ids of requests and streams: parity, order, wrap-around, and those in use."""

from __future__ import annotations

import pytest

from hgproto.errors import LocalProtocolError
from hgproto.ids import Ids


@pytest.mark.requirement("request-id.order", "stream-id.parity")
def test_ids_go_up_by_two_and_wrap_around() -> None:
    ids = Ids(1, 8, "request-id.order")
    assert [ids.take(()) for _ in range(5)] == [1, 3, 5, 7, 1]
    assert ids.take({3, 5}) == 7
    ids = Ids(2, 7, "stream-id.parity")
    assert [ids.take(()) for _ in range(4)] == [2, 4, 6, 2]


@pytest.mark.requirement("request-id.order")
def test_ids_in_use_are_skipped_until_there_is_none() -> None:
    ids = Ids(1, 8, "request-id.order")
    assert ids.take({1, 3}) == 5
    with pytest.raises(LocalProtocolError, match="all 4 in use") as error:
        ids.take({1, 3, 5, 7})
    assert error.value.requirement == "request-id.order"
    assert ids.take({7}) == 1
