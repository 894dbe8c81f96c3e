"""The requirements in generated packages: the schema's catalog without the schema."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Requirement", "sentence"]

JOINED = " (joined frames)"
"""The words in a place that only several frames together can violate."""


class Requirement(NamedTuple):
    """A requirement of the protocol.

    ``binds``: the party that must meet it: client, server, sender, receiver, or both. ``level``: MUST, MUST NOT,
    SHOULD, or MAY. ``text``: the rest of the sentence. ``source``: ``protocol``, or ``ours`` for hgproto's resolution
    if the source is silent. ``section``: the section that states it. ``enforced``: ``codec`` if one frame suffices to
    check it, ``machine`` for a state machine, ``validator`` for the validator only, ``manual`` if no code checks it.
    ``why``: the problem without it. ``breakable``: True if bytes alone can violate it. ``places``: the places in the
    schema that enforce it. ``reason``: the reason why no receiver rejects a violation. ``resolution``: hgproto's
    addition if the source is silent. ``reference``: the different behavior of the reference implementation.
    ``severity``: that of a violation, if it differs from the default of the level.
    """

    id: str
    binds: str
    level: str
    text: str
    source: str
    section: str
    enforced: str
    why: str
    breakable: bool
    places: tuple[str, ...] = ()
    reason: str | None = None
    resolution: str | None = None
    reference: str | None = None
    severity: str | None = None

    @property
    def is_joined(self) -> bool:
        """True if only several frames together can violate it."""
        return bool(self.places) and all(JOINED in place for place in self.places)

    @property
    def sentence(self) -> str:
        """The requirement as one sentence."""
        return sentence(self.binds, self.level, self.text)


def sentence(binds: str, level: str, text: str) -> str:
    """Returns a requirement as one sentence."""
    who = "Both sides" if binds == "both" else f"A {binds}"
    return f"{who} {level} {text}."
