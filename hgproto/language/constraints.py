"""Checks of constraints on flags and header fields: the flags that they allow, and constraints without an effect.

Constraints apply in their order in the schema, those of stream flags first. A constraint has no effect if earlier ones
already reject everything that it rejects.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from hgproto.language.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hgproto.language.model import Constraint, FrameType, Schema

__all__ = ["allowed_flags", "constraint_problems", "satisfies"]


def constraint_problems(schema: Schema, allowed: Mapping[str, list[frozenset[str]]]) -> Iterator[Problem]:
    """Yields the faults of constraints.

    ``allowed``: the result of :func:`allowed_flags` for each frame type.
    """
    for frame, constraints in (
        (None, schema.stream_constraints),
        *((frame, frame.constraints) for frame in schema.frames.values()),
    ):
        of_stream = () if frame is None else schema.stream_constraints
        for number, constraint in enumerate(constraints):
            if constraint.subject in constraint.names:
                yield Problem(
                    constraint.place, f"{constraint.subject!r} is on both sides of the constraint", "remove it from one"
                )
            elif _has_no_effect(constraint, (*of_stream, *constraints[:number]), frame, schema):
                yield Problem(constraint.place, "the constraint has no effect", "remove it")
        if frame is not None and not allowed[frame.name]:
            yield Problem(frame.place, f"the constraints of {frame.name!r} allow no frame", "loosen one")


def _has_no_effect(
    constraint: Constraint, earlier: Sequence[Constraint], frame: FrameType | None, schema: Schema
) -> bool:
    """Returns True if every frame that meets the ``earlier`` constraints meets this one too, and there are such frames.

    ``frame``: the type that has the constraint, None for one on the flags of the stream.
    """
    kept = [
        (one, flags)
        for one in (schema.frames.values() if frame is None else (frame,))
        for flags in _every_flag_set(one, schema)
        if _can_keep(earlier, flags, one, schema)
    ]
    if not constraint.is_about_fields:
        return bool(kept) and all(satisfies(flags, constraint) for _, flags in kept)
    return bool(kept) and all(
        _kept_parities(earlier, name, flags, one, schema) <= {_PARITIES[constraint.kind]}
        for one, flags in kept
        for name in constraint.names
    )


def _can_keep(constraints: Iterable[Constraint], flags: frozenset[str], frame: FrameType, schema: Schema) -> bool:
    """Returns True if a frame with these flags can meet all constraints."""
    constraints = tuple(constraints)
    names = {name for one in constraints if one.is_about_fields for name in one.names}
    return all(satisfies(flags, one) for one in constraints) and all(
        _kept_parities(constraints, name, flags, frame, schema) for name in names
    )


def _kept_parities(
    constraints: Iterable[Constraint], name: str, flags: frozenset[str], frame: FrameType, schema: Schema
) -> set[int]:
    """Returns the remainders (0 even, 1 odd) of a header field in frames with these flags that meet the constraints."""
    wanted = [{_PARITIES[one.kind]} for one in constraints if one.is_about_fields and name in one.names]
    return _parities(name, flags, frame, schema).intersection(*wanted)


_PARITIES = {"even": 0, "odd": 1}
"""For each kind of constraint on numbers, the remainder that it requires."""


def _parities(name: str, flags: frozenset[str], frame: FrameType, schema: Schema) -> set[int]:
    """Returns the remainders that a header field can have in a frame with these flags, constraints aside."""
    sides = schema.header.parity("stream_id")
    match name:
        case "type":
            return {frame.code & 1}
        case "flags" | "stream_flags":
            lowest = (flag.name for flag in (frame.flags if name == "flags" else schema.stream_flags) if flag.bit == 0)
            return {int(not flags.isdisjoint(lowest))}
        case "stream_id" if frame.sender is not None and sides is not None:
            return {int(frame.sender == sides["odd"])}
        case _:
            return {0, 1}


def _every_flag_set(frame: FrameType | None, schema: Schema) -> Iterator[frozenset[str]]:
    names = [flag.name for flag in (*(frame.flags if frame else ()), *schema.stream_flags)]
    for chosen in product((False, True), repeat=len(names)):
        yield frozenset(name for name, is_set in zip(names, chosen, strict=True) if is_set)


def satisfies(flags: frozenset[str], constraint: Constraint) -> bool:
    """Returns True if a set of flags meets a constraint. Every set meets a constraint on numbers."""
    present = sum(name in flags for name in constraint.names)
    match constraint.kind:
        case "exactly-one-of":
            return present == 1
        case "at-least-one-of":
            return present >= 1
        case "at-most-one-of":
            return present <= 1
        case "all-of":
            return present == len(constraint.names)
        case "none-of":
            return present == 0
        case "forbids":
            return constraint.subject not in flags or present == 0
        case "requires":
            return constraint.subject not in flags or present == len(constraint.names)
        case _:
            return True


def allowed_flags(frame: FrameType, schema: Schema) -> list[frozenset[str]]:
    """Returns the sets of flags that the constraints allow on a frame type. They include stream flags."""
    constraints = (*schema.stream_constraints, *frame.constraints)
    return [flags for flags in _every_flag_set(frame, schema) if _can_keep(constraints, flags, frame, schema)]
