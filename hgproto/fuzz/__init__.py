"""The fuzzing kit: protocol-aware cases, targets that run them, and oracles that report faults.

Names are imported on first use, so that an engine can instrument the modules that define them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hgproto.fuzz.campaign import Campaign, Report
    from hgproto.fuzz.findings import FuzzFinding
    from hgproto.fuzz.mutator import Mutator
    from hgproto.fuzz.oracles import Oracle
    from hgproto.fuzz.targets import TargetError, open_target

__all__ = ["Campaign", "FuzzFinding", "Mutator", "Oracle", "Report", "TargetError", "open_target"]

_HOMES = {
    "Campaign": "campaign",
    "FuzzFinding": "findings",
    "Mutator": "mutator",
    "Oracle": "oracles",
    "Report": "campaign",
    "TargetError": "targets",
    "open_target": "targets",
}


# Type checkers use the imports above, and report every other name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
