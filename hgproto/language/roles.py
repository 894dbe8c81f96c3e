"""Checks that frame types and flags fit their roles, which the code for all revisions relies on."""

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
    """Yields a fault for each part with the role of an earlier part."""
    taken: dict[str, str] = {}
    for part in parts:
        if part.role in taken:
            message = f"{part.name!r} has the same role as {taken[part.role]!r}"
            yield Problem(part.place, message, "remove one of the roles")
        if part.role is not None:
            taken.setdefault(part.role, part.name)


def role_problems(schema: Schema) -> Iterator[Problem]:
    """Yields the faults of frame types that do not fit their role, or have checks of another role."""
    roles = {frame.role for frame in schema.frames.values()}
    yield from _announcement_problems(schema)
    for frame in schema.frames.values():
        for check in frame.checks:
            if _CHECKS[check] != frame.role:
                message = (
                    f"the check {check!r} is only for the role {_CHECKS[check]!r}, which {frame.name!r} does not have"
                )
                yield Problem(frame.place, message, f"give it `role: {_CHECKS[check]}`, or remove the check")
        if frame.role is None:
            continue
        for role in _FRAMES.get(frame.role, ()):
            if role not in roles:
                message = f"{frame.name!r} has the role {frame.role!r}, but no frame type has the role {role!r}"
                yield Problem(frame.place, message, f"give a frame type `role: {role}`")
        for role in _FLAGS.get(frame.role, ()):
            if all(flag.role != role for flag in frame.flags):
                message = f"{frame.name!r} has the role {frame.role!r}, but none of its flags has the role {role!r}"
                yield Problem(frame.place, message, f"give one of them `role: {role}`")
        fits, wanted = _PAYLOADS[frame.role]
        for number, case in enumerate(frame.payload):
            if not fits(case, schema) or (number and frame.role != "argument"):
                message = f"the payload of {frame.name!r} does not fit its role {frame.role!r}"
                yield Problem(case.place, message, f"use {wanted}, or remove the role")


def _announcement_problems(schema: Schema) -> Iterator[Problem]:
    """Yields a fault for each row from a command to a state that accepts data, if no flag of commands announces data.

    A receiver keeps data only for a request that has announced it. A schema without such rows needs no such flag.
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
                message = (
                    f"{command.name!r} leads to {row.to!r}, which accepts {data.name!r}, but no flag announces data"
                )
                yield Problem(row.place, message, f"give the flag that announces data `role: {DATA_FOLLOWS}`")


def is_text(case: PayloadCase, _: Schema | None = None) -> bool:
    """Returns True if a payload is a single text."""
    return case.field is not None and case.field.type in _TEXTS


def _is_error(case: PayloadCase, _: Schema) -> bool:
    # Servers send texts of exceptions, which can have any characters or be empty.
    return case.field is not None and case.field.type == "utf8" and "empty" not in case.field.rules


def is_bytes(case: PayloadCase, _: Schema | None = None) -> bool:
    """Returns True if a payload is arbitrary bytes."""
    return case.field is not None and case.field.type == "bytes"


def is_argument(case: PayloadCase, _: Schema | None = None) -> bool:
    """Returns True if a payload is an argument or a part of one."""
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
    """Returns the names and types of the fields that decoded values show."""
    return [(field.name, field.type) for field in structure.shown]


_CHECKS = {
    "placeholders": "text",
    "percent": "text",
    "newline": "text",
    "ascii-topic": "progress",
    "topic-end": "progress",
}
"""For each check of the validator, the role of the frame types that it checks."""
_PROGRESS = {"topic": "text", "pos": "int", "total": "uint", "label": "text", "item": "text"}
"""The types of the keys that servers send in a progress map. The last two keys are optional."""
_FRAMES = {"argument": ("command", "data")}
"""For the role of a frame type, the roles that other frame types must have."""
_OF_DATA = ("run_command", "command_data")
"""The actions that pass on data, as method names."""
DATA_FOLLOWS = "data-follows"
"""The role of the flag of commands that announces data."""
_FLAGS = {"argument": ("more", "last"), "data": ("more", "last"), "response": ("more", "last")}
"""For the role of a frame type, the roles that its flags must have."""
_PAYLOADS: dict[str, tuple[Callable[[PayloadCase, Schema], bool], str]] = {
    "command": (is_text, "one text"),
    "argument": (
        is_argument,
        "structures of two sizes (u8, u16, or u32), `name` (text), and `value` (bytes), where `value` has `at_most` in the case"
        " with `when` and is the only field in the case with `after`",
    ),
    "data": (is_bytes, "one case of bytes"),
    "response": (is_bytes, "one case of bytes"),
    "error": (_is_error, "one text of the type `utf8` that may be empty"),
    "text": (
        _is_message,
        "one structure with the single field `atoms`, which repeats a structure of exactly `format`, `labels`, and `args`",
    ),
    "progress": (
        _is_progress,
        "one CBOR map that requires `topic` (text), `pos` (int), and `total` (uint), with only optional keys besides, where"
        " `label` and `item` are text if present",
    ),
    "settings": (_is_settings, "one structure of `profile` (ascii) and `settings` (bytes)"),
}
"""For the role of a frame type, a test of each payload case, and a description. Only arguments have several cases."""
