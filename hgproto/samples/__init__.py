"""Samples: valid frames and sessions, those that violate a given requirement, and those at every boundary."""

from __future__ import annotations

from hgproto.samples.boundaries import Boundary, boundaries
from hgproto.samples.broken import breakable, broken_frame, broken_session
from hgproto.samples.choices import Choices, Seeded, Simplest
from hgproto.samples.limits import AtLimit, at_limits
from hgproto.samples.sessions import Line, session, wires
from hgproto.samples.violators import VIOLATORS, senders, violate

__all__ = [
    "VIOLATORS",
    "AtLimit",
    "Boundary",
    "Choices",
    "Line",
    "Seeded",
    "Simplest",
    "at_limits",
    "boundaries",
    "breakable",
    "broken_frame",
    "broken_session",
    "senders",
    "session",
    "violate",
    "wires",
]
