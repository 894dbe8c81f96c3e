"""Emits ``roles.py``: the roles of the parts of a revision. Code for all revisions finds parts by their roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.emit.line_breaks import Group, flat
from hgproto.emit.text import docstring, heading, literal, mapping, mask

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hgproto.language.model import Flag, FrameType, Schema

__all__ = ["emit"]


def emit(schema: Schema) -> str:
    """Returns the source of ``roles.py``."""
    frames = schema.frames_by_code.values()
    types = mapping(
        ((literal(frame.role), mask(frame.code)) for frame in frames if frame.role is not None),
        "FRAMES: dict[str, int] = {",
    )
    flags = Group(
        "FLAGS: dict[int, dict[str, int]] = {",
        [_flags(frame.flags, f"{mask(frame.code)}: {{") for frame in frames],
        "}",
    )
    profiles = mapping(
        ((literal(one.name), f"({_optional(one.algorithm)}, {one.window})") for one in schema.profiles.values()),
        "PROFILES: dict[str, tuple[str | None, int | None]] = {",
    )
    checks = {check: requirement for frame in schema.frames.values() for check, requirement in frame.checks.items()}
    order = schema.header.locate("request_id")[1].order
    lines = [
        *heading(schema).rstrip("\n").split("\n"),
        *docstring(f"The roles of the parts of {schema.revision}.", 0),
        "",
        "from __future__ import annotations",
        "",
        '__all__ = ["CHECKS", "FLAGS", "FRAMES", "PROFILES", "REQUEST_ORDER", "REQUEST_PARITY", "STREAM_FLAGS"]',
        "",
        flat(types),
        *docstring("The codes of the frame types by their roles.", 0),
        flat(_flags(schema.stream_flags, "STREAM_FLAGS: dict[str, int] = {")),
        *docstring("The masks of the stream flags by their roles.", 0),
        flat(flags),
        *docstring("The masks of the flags of each frame type by their roles.", 0),
        flat(profiles),
        *docstring("The algorithm and the largest window, in bytes, of each content encoding profile.", 0),
        flat(mapping(((literal(name), literal(rule)) for name, rule in checks.items()), "CHECKS: dict[str, str] = {")),
        *docstring("The requirement of each check of the validator.", 0),
        f"REQUEST_ORDER: str | None = {_optional(order)}",
        *docstring("The requirement on the order of request ids.", 0),
        f"REQUEST_PARITY: int | None = {_request_parity(frames)}",
        *docstring("The lowest bit of the ids of requests; None if they can be any.", 0),
    ]
    return "\n".join(lines) + "\n"


def _request_parity(frames: Iterable[FrameType]) -> int | None:
    """Returns the lowest bit of request ids, from the constraints of the frame type for commands; None if they can be any."""
    for frame in frames:
        for constraint in frame.constraints if frame.role == "command" else ():
            if constraint.is_about_fields and "request_id" in constraint.names:
                return int(constraint.kind == "odd")
    return None


def _flags(flags: Iterable[Flag], head: str) -> Group:
    return mapping(((literal(flag.role), mask(flag.mask)) for flag in flags if flag.role is not None), head)


def _optional(text: str | None) -> str:
    return "None" if text is None else literal(text)
