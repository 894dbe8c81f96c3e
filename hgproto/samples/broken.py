"""Samples for which the validator reports one violated requirement and no other: sessions, and single frames."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING

from hgproto.errors import quoted, shown
from hgproto.judging.validation import SessionValidator, validate
from hgproto.revisions.revision import default_revision
from hgproto.runtime.layout import place_of
from hgproto.samples.boundaries import boundaries
from hgproto.samples.choices import Simplest
from hgproto.samples.sessions import SIDES, Line, session, wires
from hgproto.samples.violators import VIOLATORS, senders, violate
from hgproto.streams.encodings import default_encodings

if TYPE_CHECKING:
    from hgproto.judging.finding import Finding, Role
    from hgproto.samples.choices import Choices
    from hgproto.streams.encodings import Encodings

__all__ = ["breakable", "broken", "broken_frame", "broken_session", "checked_breakable", "is_breakable"]

_REVISION = default_revision()
codec, REQUIREMENTS = _REVISION.codec, _REVISION.requirements
_TRIES = 10
"""The number of sessions searched for a frame that violates a requirement by itself."""


def checked_breakable(requirement: str, role: Role | None = None, encodings: Encodings | None = None) -> str:
    """Returns the id of a requirement that bytes of a side can violate. Raises :class:`ValueError`, with the reason, for others.

    ``role``: the side, ``client`` or ``server``; None for either. ``encodings``: the content encodings that streams may name.
    """
    if role not in (None, *SIDES):
        raise ValueError(f"a role is client or server, not {shown(role)}")
    if requirement not in REQUIREMENTS:
        close = get_close_matches(requirement, REQUIREMENTS, n=1)
        raise ValueError(
            f"there is no requirement {quoted(requirement)}" + (f"; did you mean {close[0]!r}?" if close else "")
        )
    if requirement not in VIOLATORS:
        reason = REQUIREMENTS[requirement].reason or "Only a sender can, and its encoder rejects it."
        raise ValueError(f"no bytes violate {requirement}: {reason}")
    if role is not None and role not in senders(requirement):
        raise ValueError(
            f"no bytes of a {role} violate {requirement}: it binds the {senders(requirement)[0]}; use that role"
        )
    if not is_breakable(requirement, encodings):
        used = default_encodings() if encodings is None else encodings
        more = "".join(f"; {name} needs a package: {remedy}" for name, remedy in used.missing.items())
        known = ", ".join(used) or "none"
        raise ValueError(f"no session with these encodings violates {requirement}; available: {known}{more}")
    return requirement


def is_breakable(requirement: str, encodings: Encodings | None = None) -> bool:
    """True if a session with these content encodings can violate a requirement; some need an encoding that compresses."""
    return requirement in VIOLATORS and violate(requirement, (), Simplest(), encodings=encodings) is not None


def breakable(role: Role | None = None, *, rejected: bool = False) -> tuple[str, ...]:
    """Returns the ids of the requirements that bytes of a side can violate, for tests that go through all of them.

    ``role``: the side, ``client`` or ``server``; None for either. ``rejected``: True for only those whose violation a receiver
    rejects. Violations that need a content encoding that is not installed are left out.
    """
    if role not in (None, *SIDES):
        raise ValueError(f"a role is client or server, not {shown(role)}")
    return _breakable(role, rejected)


@cache
def _breakable(role: Role | None, rejected: bool) -> tuple[str, ...]:
    # A separate function, because `cache` would hide the types of the arguments of `breakable`.
    found = []
    for requirement in VIOLATORS:
        if role is None or role in senders(requirement):
            lines = violate(requirement, (), Simplest(), role=role)
            if lines is not None and not (rejected and any(not one.refused for one in _findings(lines))):
                found.append(requirement)
    return tuple(found)


def broken(lines: list[Line], encodings: Encodings | None = None) -> set[str]:
    """Returns the ids of the requirements that the validator finds violated in a session."""
    return {finding.id for finding in _findings(lines, encodings)}


def _findings(lines: list[Line], encodings: Encodings | None = None) -> list[Finding]:
    validator = SessionValidator(encodings=encodings)
    found: list[Finding] = []
    for side, data in wires(lines, encodings=encodings):
        found += validator.close(side) if data is None else validator.feed(side, data)
    return [*found, *validator.close()]


def broken_session(
    requirement: str, choices: Choices, *, role: Role | None = None, encodings: Encodings | None = None
) -> list[Line]:
    """Builds a session that violates a requirement and no other.

    ``role``: the side that violates it; None for either. Raises :class:`ValueError` if that side cannot violate it, or if these
    encodings do not suffice.
    """
    checked_breakable(requirement, role, encodings)
    lines = violate(requirement, session(choices, encodings=encodings), choices, role=role, encodings=encodings)
    assert lines is not None  # noqa: S101 - checked_breakable() has checked it
    return lines


def broken_frame(requirement: str, type: str, choices: Choices, *, role: Role | None = None) -> bytes:
    """Builds a frame of a type that violates a requirement by itself, and no other.

    ``role``: the side that sends it; None if the stream id decides. Raises :class:`ValueError` if no such frame is found.
    """
    checked_breakable(requirement, role)
    if type not in codec.CODES:
        raise ValueError(f"there is no frame type {shown(type)}; there are {', '.join(codec.CODES)}")
    searches = [_of_boundaries, _of_sessions]
    for search in searches[::-1] if choices.below(2) else searches:
        frame = search(requirement, type, choices, role)
        if frame is not None:
            return frame
    raise ValueError(f"no {type} frame violates {requirement} by itself; a session may")


def _of_sessions(requirement: str, type: str, choices: Choices, role: Role | None) -> bytes | None:
    """Returns such a frame from a session that violates the requirement; None if no session has one."""
    for _ in range(_TRIES):
        lines = violate(requirement, session(choices), choices, role=role) or []
        for (_, data), line in zip(wires(lines), lines, strict=True):
            if (
                line.frame is not None
                and line.frame.type == codec.CODES[type]
                and _frame_breaks(data or b"", role) == (requirement,)
            ):
                return data or b""
    return None


def _of_boundaries(requirement: str, type: str, choices: Choices, role: Role | None) -> bytes | None:
    """Returns one of such frames among the boundaries of the type; None if no boundary is one."""
    place, code = place_of(codec.FRAME, "type_flags"), codec.CODES[type]
    # The boundaries of a type include frames of the neighboring types.
    found = [
        sent
        for _, data, ids in boundaries(type)
        if len(data) <= place or data[place] >> 4 == code
        for sent in ([data] if role is None else _on_either_stream(data))
        if (ids if role is None else _frame_breaks(sent, role)) == (requirement,)
    ]
    return choices.pick(found) if found else None


def _on_either_stream(data: bytes) -> list[bytes]:
    """Returns a frame unchanged, and on a stream of the other side."""
    place = place_of(codec.FRAME, "stream_id")
    if len(data) <= place:
        return [data]
    return [data, data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]]


def _frame_breaks(data: bytes, role: Role | None) -> tuple[str, ...]:
    return tuple(finding.id for finding in validate(data, role=role, depth="frames"))
