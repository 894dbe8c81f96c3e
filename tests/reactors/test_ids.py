"""Ids of requests and streams: parity, order, wrap-around, and ids in use."""

from __future__ import annotations

import pytest

from hgproto.errors import LocalProtocolError
from hgproto.reactors.ids import Ids


def taken(ids: Ids, *used: int) -> int:
    """The next id, which is taken."""
    one = ids.next(used)
    ids.take(one)
    return one


@pytest.mark.requirement("request-id.order", "stream-id.parity")
def test_ids_go_up_by_two_and_wrap_around() -> None:
    ids = Ids(range(1, 8, 2), "request-id.order")
    assert [taken(ids) for _ in range(5)] == [1, 3, 5, 7, 1]
    assert taken(ids, 3, 5) == 7
    ids = Ids(range(2, 7, 2), "stream-id.parity")
    assert [taken(ids) for _ in range(4)] == [2, 4, 6, 2]


@pytest.mark.requirement("request-id.order")
def test_ids_in_use_are_skipped_until_there_is_none() -> None:
    ids = Ids(range(1, 8, 2), "request-id.order")
    assert taken(ids, 1, 3) == 5
    with pytest.raises(LocalProtocolError, match="all 4 in use") as error:
        ids.next({1, 3, 5, 7})
    assert error.value.requirement == "request-id.order"
    assert taken(ids, 7) == 1


@pytest.mark.requirement("request-id.order")
def test_an_id_that_is_not_taken_is_the_next_one_again() -> None:
    ids = Ids(range(1, 8, 2), "request-id.order")
    assert [ids.next(()), ids.next({1}), ids.next(()), taken(ids), ids.next(())] == [1, 3, 1, 1, 3]


@pytest.mark.requirement("request-id.order")
def test_an_id_that_was_not_used_is_the_next_one_again_unless_another_was_taken() -> None:
    ids = Ids(range(1, 8, 2), "request-id.order")
    assert taken(ids) == 1
    ids.give_back(1)
    assert [taken(ids), taken(ids)] == [1, 3]
    ids.give_back(1)
    assert taken(ids) == 5
    assert taken(ids) == 7
    ids.give_back(7)
    assert taken(ids) == 7
