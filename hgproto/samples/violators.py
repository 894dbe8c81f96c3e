"""Violators: for each requirement that octets can break, what breaks it in a session that keeps every rule.

A violator changes as little as it takes: a flag, a number, a few octets, a frame more or less. What it does may break other
rules besides, such as that of a request whose frames are then wasted; that it breaks its own is what it is for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.samples import of_commands, of_frames, of_responses
from hgproto.samples.scene import NothingToBreakError, Scene, Violators

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hgproto.samples.choices import Choices
    from hgproto.samples.sessions import Line

__all__ = ["VIOLATORS", "violate"]

VIOLATORS = Violators(of_frames.VIOLATORS | of_commands.VIOLATORS | of_responses.VIOLATORS)
"""By requirement."""


def violate(requirement: str, session: Iterable[Line], choices: Choices) -> list[Line] | None:
    """The session with that requirement broken; None when there is nothing in it to break it by."""
    scene = Scene(session, choices)
    try:
        VIOLATORS[requirement](scene)
    except NothingToBreakError:
        return None
    return scene.lines
