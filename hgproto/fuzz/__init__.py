"""The fuzzing kit: cases that know the protocol, targets that run them, and oracles that say what is wrong."""

from __future__ import annotations

from hgproto.fuzz.campaign import Campaign, Report
from hgproto.fuzz.findings import FuzzFinding
from hgproto.fuzz.mutator import Mutator
from hgproto.fuzz.oracles import Oracle
from hgproto.fuzz.targets import TargetError, open_target

__all__ = ["Campaign", "FuzzFinding", "Mutator", "Oracle", "Report", "TargetError", "open_target"]
