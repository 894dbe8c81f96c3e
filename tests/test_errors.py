"""Errors: data, and one sentence each."""

from __future__ import annotations

import inspect

import pytest

from hgproto import errors
from hgproto.errors import HexError, HgprotoError, HumanFormError, LimitError, LocalProtocolError, RemoteProtocolError

TEXTS: list[tuple[HgprotoError, str]] = [
    (
        RemoteProtocolError("frame.whole", 5, "stream_id", "1 byte", "0 bytes"),
        "stream_id: expected 1 byte, found 0 bytes at offset 5 (frame.whole)",
    ),
    (
        RemoteProtocolError("progress.surplus", 0, "", "the end of the payload", "1 byte more"),
        "expected the end of the payload, found 1 byte more at offset 0 (progress.surplus)",
    ),
    (
        LocalProtocolError("frame.length-limit", None, "length", "at most 1 byte", "2 bytes"),
        "length: expected at most 1 byte, found 2 bytes (frame.length-limit)",
    ),
    (HumanFormError(3, "a request id, 0 to 65535", "'x'"), "expected a request id, 0 to 65535, found 'x' at column 3"),
    (LimitError("expected less, found more"), "expected less, found more"),
    (HexError(2, 1, "a hexadecimal digit", "'x'"), "expected a hexadecimal digit, found 'x' at line 2, column 1"),
]


@pytest.mark.parametrize(("error", "text"), TEXTS)
def test_texts(error: HgprotoError, text: str) -> None:
    assert str(error) == text


def test_a_moved_error_differs_in_its_offset_alone() -> None:
    error = RemoteProtocolError("frame.whole", 5, "payload", "2 bytes", "1 byte")
    moved = error.moved(10)
    assert type(moved) is RemoteProtocolError
    assert (moved.offset, moved.requirement, moved.field, moved.message) == (
        15,
        "frame.whole",
        "payload",
        error.message,
    )
    assert LocalProtocolError("a.b", None, "", "", "").moved(3).offset is None


def test_the_tree_in_the_docstring_is_complete() -> None:
    classes = [
        name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, HgprotoError)
    ]
    assert sorted(classes) == sorted({*errors.__all__} - {"counted", "printable", "quoted", "repr_of", "shown"})
    assert all(name in (errors.__doc__ or "") for name in classes)
