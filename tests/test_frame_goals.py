"""Goals that frames reach by themselves."""

from __future__ import annotations

from hgproto import encode_frame, parse_frame
from hgproto.frame_goals import FrameGoals

CONTINUED = [
    "1 1 stream-begin command-name have-args x",
    r"1 1 0 command-argument continuation \x01\x00\x07\x00kab",
    r"1 1 stream-end command-argument eoa \x01\x00\x00\x00k",
]
"""The rest of a value that looks like an argument with an empty value."""


def reached(lines: list[str]) -> set[tuple[str, str]]:
    """The goals that the frames of one side reach."""
    found: set[tuple[str, str]] = set()
    counter = FrameGoals(lambda kind, name: found.add((kind, name)))
    for line in lines:
        assert counter.count(encode_frame(parse_frame(line))) is not None
    return found


def test_what_is_no_frame_is_not_counted() -> None:
    found: set[tuple[str, str]] = set()
    counter = FrameGoals(lambda kind, name: found.add((kind, name)))
    assert counter.count(b"\x05\x00\x00\x01\x00\x01\x01\x11he") is None
    assert not found


def test_the_rest_of_a_value_has_no_fields() -> None:
    def edges(lines: list[str]) -> set[str]:
        return {name for kind, name in reached(lines) if kind == "edges" and name.startswith("command-argument ")}

    assert edges(CONTINUED) == {"command-argument name_length least"}
    # The next argument of the request has fields again, and so has that of the next request with this id.
    assert "command-argument value_length least" in edges([*CONTINUED, CONTINUED[-1]])
    again = [*CONTINUED[:2], CONTINUED[0], CONTINUED[-1]]
    assert "command-argument value_length least" in edges(again)
