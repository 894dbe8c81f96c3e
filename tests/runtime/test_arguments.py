"""Arguments of a wrong type or value: the message names the argument."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from hgproto import Client, build

if TYPE_CHECKING:
    from collections.abc import Callable

BUILDERS: dict[str, tuple[Callable[[Any], object], list[object], str]] = {
    "name": (lambda given: build.command(1, 1, given), [b"heads", 5, None], "name"),
    "name of a client": (lambda given: Client().issue(given), [b"heads", 5], "name"),
    "args": (lambda given: build.command(1, 1, "x", given), [[("k", b"v")], "k", b"k", 5], "args"),
    "a name in args": (lambda given: build.command(1, 1, "x", {given: b"v"}), [b"k", 5, None], "a name in args"),
    "request id": (lambda given: build.command(given, 1, "x"), [1.0, "1", None, b"1"], "request_id"),
    "stream id": (lambda given: build.command(1, given, "x"), [1.0, "1", None], "stream_id"),
    "request id of bytes": (lambda given: build.bytes_response(given, 2, b""), [1.0, "1", None], "request_id"),
    "request id of an error": (lambda given: build.error_response(given, 2, "x"), [1.0, "1", None], "request_id"),
    "request id of text": (lambda given: build.text_output(given, 2, []), [1.0, "1", None], "request_id"),
    "request id of progress": (lambda given: build.progress(given, 2, "x", 1, 2), [1.0, "1", None], "request_id"),
    "stream id of settings": (lambda given: build.stream_settings(1, given, "x"), [1.0, "1", None], "stream_id"),
    "message": (lambda given: build.error_response(1, 2, given), [b"a", 5, None], "message"),
    "atoms": (lambda given: build.text_output(1, 2, given), ["hello", b"hello", 5, None], "atoms"),
    "atom": (lambda given: build.text_output(1, 2, [given]), ["abc", b"abc", 5, ("a", [])], "atoms[0]"),
    "format": (lambda given: build.text_output(1, 2, [(given, [], [])]), [5, None], "atoms[0].format"),
    "labels": (lambda given: build.text_output(1, 2, [("a", given, [])]), ["x", b"x", 5, None], "atoms[0].labels"),
    "label": (lambda given: build.text_output(1, 2, [("a", [given], [])]), [b"x", 5, None], "atoms[0].labels[0]"),
    "texts": (lambda given: build.text_output(1, 2, [("%s", [], given)]), ["x", b"x", 5, None], "atoms[0].args"),
    "text": (lambda given: build.text_output(1, 2, [("%s", [], [given])]), [5, None], "atoms[0].args[0]"),
    "extra": (lambda given: build.progress(1, 2, "x", 1, 2, extra=given), [[1], "x", 5], "extra"),
    "profile": (lambda given: build.stream_settings(1, 2, given), [b"x", 5, None], "profile"),
    "settings": (lambda given: build.stream_settings(1, 2, "x", given), ["x", 5, None], "settings"),
}


def cases(table: dict[str, tuple[Callable[[Any], object], list[object], str]]) -> list[Any]:
    return [
        pytest.param(call, given, name, id=f"{what} {given!r}"[:50])
        for what, (call, values, name) in table.items()
        for given in values
    ]


@pytest.mark.parametrize(("call", "given", "name"), cases(BUILDERS))
def test_builders_name_an_argument_of_a_wrong_type(call: Callable[[Any], object], given: object, name: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(name)} must be "):
        call(given)
