"""Reads ``schema/``: strict YAML, the checked model, and the proofs over it.

Invariants: this package knows YAML and the schema language, and no target. What it hands out is a
:class:`~hgproto.language.model.Schema`, resolved and frozen; every message names file, line and column.
"""

from hgproto.language.check import check
from hgproto.language.load import load
from hgproto.language.problems import Problem, SchemaError

__all__ = ["Problem", "SchemaError", "check", "load"]
