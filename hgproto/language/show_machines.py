"""Text tables of the state machines, flags, limits, profiles, and guards of a schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hgproto.language.model import Condition, Machine, Row, Schema

__all__ = ["Rows", "condition_text", "machine_tables", "registries"]

Rows = tuple["Sequence[str]", "list[Sequence[str]]"]
"""The heads of the columns of a table, and its rows."""
_SCOPES = {"connection": "one per connection", "stream": "one per stream", "request": "one per request"}


def registries(schema: Schema) -> Iterator[tuple[str, str, Rows]]:
    """Yields the name, the doc, and the table of each registry that is not empty."""
    flags = [(f"{flag.mask:#04x}", "every type", flag.name, flag.doc) for flag in schema.stream_flags]
    flags += [
        (f"{flag.mask:#x}", frame.name, flag.name, flag.doc) for frame in schema.frames.values() for flag in frame.flags
    ]
    tables: dict[str, tuple[str, Rows]] = {
        "flags": (
            "The stream flags, and the flags of each frame type.",
            (("bit", "frame type", "flag", "meaning"), [*flags]),
        ),
        "limits": (
            "The limits of receivers and senders.",
            (
                ("limit", "default", "maximum", "meaning"),
                [
                    (one.name, str(one.default), str(one.maximum), f"{one.doc} In {one.unit}.")
                    for one in schema.limits.values()
                ],
            ),
        ),
        "profiles": (
            "The content encoding profiles.",
            (("profile", "meaning"), [(one.name, one.doc) for one in schema.profiles.values()]),
        ),
        "guards": (
            "The questions that machines ask, with their answers.",
            (
                ("guard", "answers", "meaning"),
                [(one.name, ", ".join(one.values) or "yes, no", one.doc) for one in schema.guards.values()],
            ),
        ),
    }
    for name, (doc, table) in tables.items():
        if table[1]:
            yield name, doc, table


def machine_tables(machine: Machine, schema: Schema) -> Iterator[str | Rows]:
    """Yields the heading of a machine, then the tables of its states and of its transitions."""
    side = {"both": "both sides", "client": "the client", "server": "the server"}[machine.role]
    yield f"{machine.name} (of {side}, {_SCOPES[machine.scope]}): {machine.doc}"
    states = [
        (name, f"{doc} This is the initial state." if name == machine.initial else doc)
        for name, doc in machine.states.items()
    ]
    yield ("state", "meaning"), [*states]
    yield (
        ("state", "input", "outcome"),
        [(row.source, _input(row, schema), _outcome(row)) for row in machine.transitions],
    )
    yield f"An input without a transition violates {machine.otherwise}."


def _input(row: Row, schema: Schema) -> str:
    others = [name for name in schema.frames if name not in row.frames]
    if row.event is None and len(others) < 2:
        return f"any frame except {others[0]}" if others else "any frame"
    return row.event or ", ".join(row.frames)


def _outcome(row: Row) -> str:
    condition = "" if row.when is None else f"If {condition_text(row.when)}: "
    requirement = f" ({row.requirement})" if row.requirement else ""
    if row.error is not None:
        return f"{condition}error {row.error}: expected {row.expected}"
    actions = [f"to {row.to}"] if row.to is not None else ["no change"]
    if row.emit is not None:
        actions.append(f"action {row.emit}")
    return f"{condition}{', '.join(actions)}{requirement}"


def condition_text(condition: Condition, *, inside: bool = False) -> str:
    """Returns a condition in words. ``inside``: in parentheses if it has several parts."""
    if condition.kind == "not":
        return f"not {condition_text(condition.parts[0], inside=True)}"
    if condition.kind in ("and", "or"):
        text = f" {condition.kind} ".join(condition_text(part, inside=True) for part in condition.parts)
        return f"({text})" if inside else text
    return condition.name if condition.value is None else f"{condition.name} is {condition.value}"
