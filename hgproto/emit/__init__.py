"""Emitters: one module a target, from the resolved model to source text.

Invariants: an emitter sees the model and never YAML; the same model gives the same text, byte for byte. A new target
is a new module and a line in :data:`TARGETS`.
"""

from hgproto.emit import codec, machines, package, requirements, structs

__all__ = ["TARGETS"]

TARGETS = {
    "__init__.py": package.emit,
    "codec.py": codec.emit,
    "structs.py": structs.emit,
    "machines.py": machines.emit,
    "requirements.py": requirements.emit,
}
"""The files of a generated package and what makes each."""
