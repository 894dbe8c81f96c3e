"""Samples that break one requirement and no other, as the validator sees them: sessions, and single frames."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from hgproto.framing_0002 import codec
from hgproto.framing_0002.requirements import REQUIREMENTS
from hgproto.layout import place_of
from hgproto.samples.boundaries import boundaries
from hgproto.samples.sessions import Line, session, wires
from hgproto.samples.violators import VIOLATORS, violate
from hgproto.validation import SessionValidator, validate

if TYPE_CHECKING:
    from hgproto.encodings import Encodings
    from hgproto.finding import Finding
    from hgproto.samples.choices import Choices

__all__ = ["broken", "broken_frame", "broken_session", "checked_breakable"]

TRIES = 1000
"""Sessions that are tried until one breaks a rule and no other; the rarest take some hundred."""


def checked_breakable(requirement: str) -> str:
    """The id of a requirement that octets can break. Raises :class:`ValueError` for any other, and says why."""
    if requirement not in REQUIREMENTS:
        close = get_close_matches(requirement, REQUIREMENTS, n=1)
        raise ValueError(
            f"there is no requirement {requirement!r}" + (f"; did you mean {close[0]!r}?" if close else "")
        )
    if requirement not in VIOLATORS:
        reason = REQUIREMENTS[requirement].reason or "Only building can, and is refused."
        raise ValueError(f"no octets break {requirement}: {reason}")
    return requirement


def broken(lines: list[Line], encodings: Encodings | None = None) -> set[str]:
    """The ids of the rules that the validator sees broken in a session."""
    validator = SessionValidator(encodings=encodings)
    found: list[Finding] = []
    for side, octets in wires(lines, encodings=encodings):
        found += validator.close(side) if octets is None else validator.feed(side, octets)
    return {finding.id for finding in (*found, *validator.close())}


def broken_session(requirement: str, choices: Choices, *, encodings: Encodings | None = None) -> list[Line]:
    """A session that breaks a requirement and no other. Raises :class:`ValueError` when these encodings allow none."""
    checked_breakable(requirement)
    for _ in range(TRIES):
        lines = violate(requirement, session(choices, encodings=encodings), choices)
        if lines is not None and broken(lines, encodings) == {requirement}:
            return lines
    raise ValueError(f"no session with these encodings breaks {requirement}")


def broken_frame(requirement: str, type: str, choices: Choices) -> bytes:
    """A frame of a type that by itself breaks a requirement, and no other. Raises :class:`ValueError` when there is none."""
    checked_breakable(requirement)
    if choices.below(2):
        for _ in range(TRIES // 100):
            lines = violate(requirement, session(choices), choices) or []
            for (_, octets), line in zip(wires(lines), lines, strict=True):
                if (
                    line.frame is not None
                    and line.frame.type == codec.CODES[type]
                    and _frame_breaks(octets or b"") == (requirement,)
                ):
                    return octets or b""
    place, code = place_of(codec.FRAME, "type_flags"), codec.CODES[type]
    # Among the boundaries of a type are frames of its neighbours.
    found = [
        octets
        for _, octets, ids in boundaries(type)
        if ids == (requirement,) and (len(octets) <= place or octets[place] >> 4 == code)
    ]
    if not found:
        raise ValueError(f"no {type} frame breaks {requirement} by itself; a session may")
    return choices.pick(found)


def _frame_breaks(octets: bytes) -> tuple[str, ...]:
    return tuple(finding.id for finding in validate(octets, depth="frames"))
