"""Proves that frame types and flags fit their roles: the code for all revisions finds them by these and needs their payloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.language.model import INTEGERS
from hgproto.language.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hgproto.language.model import Flag, FrameType, PayloadCase, Schema, Structure

__all__ = ["DATA_FOLLOWS", "is_argument", "is_bytes", "is_text", "repeated_roles", "role_problems"]

_TEXTS = ("ascii", "utf8")


def repeated_roles(parts: Iterable[Flag | FrameType]) -> Iterator[Problem]:
    """Yields a fault for each part whose role an earlier part has."""
    taken: dict[str, str] = {}
    for part in parts:
        if part.role in taken:
            message = f"{part.name!r} has the role of {taken[part.role]!r}"
            yield Problem(part.place, message, "leave one of the roles out")
        if part.role is not None:
            taken.setdefault(part.role, part.name)


def role_problems(schema: Schema) -> Iterator[Problem]:
    """Yields the faults of frame types that do not fit their role, or have checks of another role."""
    roles = {frame.role for frame in schema.frames.values()}
    yield from _announcement_problems(schema)
    for frame in schema.frames.values():
        for check in frame.checks:
            if _CHECKS[check] != frame.role:
                message = f"the check {check!r} is for frames with the role {_CHECKS[check]!r}, which {frame.name!r} does not have"
                yield Problem(frame.place, message, f"give it `role: {_CHECKS[check]}`, or leave the check out")
        if frame.role is None:
            continue
        for role in _FRAMES.get(frame.role, ()):
            if role not in roles:
                message = f"no frame type has the role {role!r}, and {frame.name!r} the role {frame.role!r}"
                yield Problem(frame.place, message, f"give a frame type `role: {role}`")
        for role in _FLAGS.get(frame.role, ()):
            if all(flag.role != role for flag in frame.flags):
                message = f"no flag of {frame.name!r}, which has the role {frame.role!r}, has the role {role!r}"
                yield Problem(frame.place, message, f"give one of them `role: {role}`")
        fits, wanted = _PAYLOADS[frame.role]
        for number, case in enumerate(frame.payload):
            if not fits(case, schema) or (number and frame.role != "argument"):
                message = f"the payload of {frame.name!r} does not fit its role {frame.role!r}"
                yield Problem(case.place, message, f"use {wanted}, or leave the role out")


def _announcement_problems(schema: Schema) -> Iterator[Problem]:
    """Yields a fault for each row that takes a command to where data is taken, if no flag of the command announces data.

    A receiver keeps the data of a request that has announced it. A schema in which no such row is left has no such flag, either.
    """
    named = {frame.role: frame for frame in schema.frames.values() if frame.role in ("command", "data")}
    command, data = named.get("command"), named.get("data")
    if command is None or data is None or not command.flags or any(flag.role == DATA_FOLLOWS for flag in command.flags):
        return
    for machine in schema.machines.values():
        taking = {
            row.source
            for row in machine.transitions
            if data.name in row.frames and row.emit is not None and row.emit.replace("-", "_") in _OF_DATA
        }
        for row in machine.transitions:
            if command.name in row.frames and row.source not in taking and row.to in taking:
                message = f"the row takes {command.name!r} to {row.to!r}, where {data.name!r} is taken, and no flag announces it"
                yield Problem(row.place, message, f"give the flag that announces data `role: {DATA_FOLLOWS}`")


def is_text(case: PayloadCase, _: Schema | None = None) -> bool:
    """Returns True if a payload is one text."""
    return case.field is not None and case.field.type in _TEXTS


def _is_error(case: PayloadCase, _: Schema) -> bool:
    # Servers send the texts of exceptions, which have any characters, or none.
    return case.field is not None and case.field.type == "utf8" and "empty" not in case.field.rules


def is_bytes(case: PayloadCase, _: Schema | None = None) -> bool:
    """Returns True if a payload is any bytes."""
    return case.field is not None and case.field.type == "bytes"


def is_argument(case: PayloadCase, _: Schema | None = None) -> bool:
    """Returns True if a payload is an argument, or a part of one."""
    if case.structure is None:
        return False
    if case.after is not None:
        return _shape(case.structure) == [("value", "bytes")]
    if len(case.structure.fields) != 4:
        return False
    *sizes, name, value = case.structure.fields
    bound = value.at_most if case.when is not None else value.size
    return (
        (name.name, name.type in _TEXTS, value.name, value.type) == ("name", True, "value", "bytes")
        and [size.name for size in sizes] == [name.size, bound]
        and all(size.type in INTEGERS.keys() - {"u24"} for size in sizes)
    )


def _is_settings(case: PayloadCase, _: Schema) -> bool:
    return case.structure is not None and _shape(case.structure) == [("profile", "ascii"), ("settings", "bytes")]


def _is_message(case: PayloadCase, schema: Schema) -> bool:
    fields = () if case.structure is None else case.structure.fields
    if len(fields) != 1 or fields[0].name != "atoms" or fields[0].type not in schema.structures:
        return False
    parts = [(part.name, part.type in _TEXTS, part.is_array) for part in schema.structures[fields[0].type].values]
    return sorted(parts) == [("args", True, True), ("format", True, False), ("labels", True, True)]


def _is_progress(case: PayloadCase, _: Schema) -> bool:
    entries = () if case.structure is None else case.structure.entries
    required = {entry.name for entry in entries if not entry.optional}
    types = {entry.name: entry.type.name for entry in entries}
    return required == {"topic", "pos", "total"} and {**_PROGRESS, **types}.items() >= _PROGRESS.items()


def _shape(structure: Structure) -> list[tuple[str, str]]:
    """The names and types of what a decoded value shows."""
    return [(field.name, field.type) for field in structure.shown]


_CHECKS = {
    "placeholders": "text",
    "percent": "text",
    "newline": "text",
    "ascii-topic": "progress",
    "topic-end": "progress",
}
"""The roles of the frame types that each check of the validator looks at."""
_PROGRESS = {"topic": "text", "pos": "int", "total": "uint", "label": "text", "item": "text"}
"""The types of the keys that a server can give in a progress map; the last two are optional."""
_FRAMES = {"argument": ("command", "data")}
"""The roles that other frame types have to have for one with a role."""
_OF_DATA = ("run_command", "command_data")
"""The actions that hand on data, as in the names of their methods."""
DATA_FOLLOWS = "data-follows"
"""The role of the flag of commands that announces data."""
_FLAGS = {"argument": ("more", "last"), "data": ("more", "last"), "response": ("more", "last")}
"""The roles that flags of a frame type with a role have to have."""
_PAYLOADS: dict[str, tuple[Callable[[PayloadCase, Schema], bool], str]] = {
    "command": (is_text, "one text"),
    "argument": (
        is_argument,
        "structures of two sizes (u8, u16, or u32), `name` (text), and `value` (bytes), which has an `at_most` in the case"
        " with `when`, and is alone in the case with `after`",
    ),
    "data": (is_bytes, "one case of bytes"),
    "response": (is_bytes, "one case of bytes"),
    "error": (_is_error, "one text of the type `utf8` that may be empty"),
    "text": (
        _is_message,
        "one structure that only repeats one with `format`, `labels`, and `args`, and no other value, as `atoms`",
    ),
    "progress": (
        _is_progress,
        "one CBOR map that requires `topic` (text), `pos` (int), and `total` (uint), in which all other keys are optional, and"
        " `label` and `item` are text",
    ),
    "settings": (_is_settings, "one structure of `profile` (ascii) and `settings` (bytes)"),
}
"""What the payload of a frame type with a role has to be: a test of each case, and its words. Only arguments have several."""
