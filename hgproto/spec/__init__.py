"""Reads ``schema/``: strict YAML, the checked model, and the proofs over it.

Invariants: this package knows YAML and the schema language, and no target. What it hands out is a
:class:`~hgproto.spec.model.Schema`, resolved and frozen; every message names file, line and column.
"""

from hgproto.spec.check import check
from hgproto.spec.load import load
from hgproto.spec.problems import Problem, SchemaError

__all__ = ["Problem", "SchemaError", "check", "load"]
