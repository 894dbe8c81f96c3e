"""Violators: functions that change a valid session so that it violates one requirement.

Each requirement that bytes can violate has a violator. It changes as little as possible: a flag, a number, a few bytes, or one
frame. The session may violate other requirements too, for example because a request is no longer complete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.errors import quoted
from hgproto.revisions.revision import default_revision
from hgproto.samples import of_commands, of_frames, of_responses
from hgproto.samples.scene import NothingToBreakError, Scene, Violators
from hgproto.samples.sessions import SIDES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hgproto.judging.finding import Role
    from hgproto.samples.choices import Choices
    from hgproto.samples.sessions import Line
    from hgproto.streams.encodings import Encodings

__all__ = ["VIOLATORS", "senders", "violate"]

VIOLATORS = Violators(of_frames.VIOLATORS | of_commands.VIOLATORS | of_responses.VIOLATORS)
"""The violators by requirement."""


def senders(requirement: str) -> tuple[Role, ...]:
    """Returns the sides, ``client`` and ``server``, that can violate a requirement."""
    revision = default_revision()
    if requirement == revision.machine("connection").otherwise:
        # Only a server sends protocol errors, after which it is silent.
        return ("server",)
    if requirement not in revision.requirements:
        raise ValueError(f"there is no requirement {quoted(requirement)}")
    binds = revision.requirements[requirement].binds
    return tuple(side for side in SIDES if side == binds) or SIDES


def violate(
    requirement: str,
    session: Iterable[Line],
    choices: Choices,
    *,
    role: Role | None = None,
    encodings: Encodings | None = None,
) -> list[Line] | None:
    """Changes a session so that it violates a requirement. A valid session then violates no other one.

    Frames that the session lacks are added. ``role``: the side that violates the requirement, one of :func:`senders`; None for
    either. ``encodings``: the content encodings that streams may name. Returns None if these do not suffice. Raises
    :class:`ValueError` for a requirement that no bytes can violate.
    """
    if requirement not in VIOLATORS:
        raise ValueError(
            f"no bytes violate {quoted(requirement)}; VIOLATORS lists the requirements that bytes can violate"
        )
    scene = Scene(session, choices, role=role, encodings=encodings)
    try:
        VIOLATORS[requirement](scene)
    except NothingToBreakError:
        return None
    return scene.lines
