"""Reads schemas: strict YAML, the resolved model, and the proofs that a schema is consistent.

Invariants: this package depends on YAML and the schema language, and on no output format. It returns a
:class:`~hgproto.language.model.Schema`, resolved and frozen. Every message names the file, line, and column.
"""

from hgproto.language.check import check
from hgproto.language.load import load
from hgproto.language.problems import Problem, SchemaError

__all__ = ["Problem", "SchemaError", "check", "load"]
