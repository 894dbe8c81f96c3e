"""Samples: sessions that keep every rule, and sessions that break a given one."""

from __future__ import annotations

from hgproto.samples.choices import Choices, Seeded
from hgproto.samples.sessions import Line, session, wires
from hgproto.samples.violators import VIOLATORS, violate

__all__ = ["VIOLATORS", "Choices", "Line", "Seeded", "session", "violate", "wires"]
