"""Requirements as generated packages have them: the schema's catalogue without the schema."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Requirement", "sentence"]


class Requirement(NamedTuple):
    """A requirement of the protocol.

    ``binds``: who has to follow it: client, server, sender, receiver or both. ``level``: MUST, MUST NOT, SHOULD or MAY.
    ``text``: the rest of the sentence. ``source``: ``protocol``, or ``ours`` for our resolution where the source is silent.
    ``section``: the section that states it. ``enforced``: ``codec`` by looking at one frame, ``machine`` by a state machine,
    ``validator`` by the validator alone, ``manual`` by nothing. ``why``: what would go wrong without it. ``breakable``:
    whether bytes by themselves can break it. ``places``: the places of the schema that put it into effect. ``reason``: why no
    receiver refuses what breaks it. ``resolution``: what we add where the source is silent. ``reference``: what the
    reference implementation does instead. ``severity``: of a violation, if it is not the one of the level.
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
    def sentence(self) -> str:
        """Its words as one sentence."""
        return sentence(self.binds, self.level, self.text)


def sentence(binds: str, level: str, text: str) -> str:
    """Returns the words of a requirement as one sentence."""
    who = "Both sides" if binds == "both" else f"A {binds}"
    return f"{who} {level} {text}."
