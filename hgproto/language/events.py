"""Checks of events and actions: the right side uses each of them, and payloads have the fields that events show.

An event may show a field of the frame's payload without naming the structure, so that revisions can share the event. The
transitions that lead to the event determine the structure: see :func:`payloads_of`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.language.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from hgproto.language.model import Event, Schema, Structure

__all__ = ["PAYLOADS", "event_problems", "payloads_of", "taken_by"]

PAYLOADS = ("payload", "payload-field")
"""The types of event fields that show a payload or one of its fields."""


def taken_by(schema: Schema) -> dict[str, dict[str, bool]]:
    """Returns, by action, the inputs of the rows with it: names of frame types map to True, those of events to False."""
    taken: dict[str, dict[str, bool]] = {name: {} for name in schema.emits}
    for machine in schema.machines.values() if taken else ():
        for row in machine.transitions:
            if row.emit is not None:
                whats = row.frames if row.event is None else (row.event,)
                taken[row.emit] |= dict.fromkeys(whats, row.event is None)
    return taken


def payloads_of(
    event: Event, schema: Schema, taken: Mapping[str, Mapping[str, bool]]
) -> Iterator[tuple[str, Structure | None]]:
    """Yields each input that can lead to an event, with the structure of its payload or None if it has no structure.

    ``taken``: the result of :func:`taken_by`.
    """
    whats: dict[str, bool] = {}
    for action in schema.emits.values():
        if event.name in action.events:
            whats |= taken[action.name]
    for what, is_frame in whats.items():
        for structure in [case.structure for case in schema.frames[what].payload] if is_frame else [None]:
            yield what, structure


def event_problems(schema: Schema) -> Iterator[Problem]:
    """Yields the faults of events and actions."""
    sides: dict[str, set[str]] = {name: set() for name in schema.emits}
    for machine in schema.machines.values() if sides else ():
        roles = {"client", "server"} if machine.role == "both" else {machine.role}
        for name in {row.emit for row in machine.transitions if row.emit is not None}:
            sides[name] |= roles
    given: set[str] = set()
    for action in schema.emits.values():
        given.update(action.events)
        if not sides[action.name]:
            advice = "name it in `emit` of a row, or remove it"
            yield Problem(action.place, f"no row emits the action {action.name!r}", advice)
            continue
        for name in action.events:
            role = schema.events[name].role
            if role != "both" and role not in sides[action.name]:
                message = (
                    f"the event {name!r} is for the {role}, but no machine of that side has the action {action.name!r}"
                )
                yield Problem(action.place, message, "remove the event here, or correct its `role`")
    taken = taken_by(schema)
    for event in schema.events.values():
        # An included file may have events for other schemas.
        if event.name not in given and event.place.file == schema.files[0]:
            advice = "name it in `events` of an action, or remove it"
            yield Problem(event.place, f"no action leads to the event {event.name!r}", advice)
        leading = {
            side for action in schema.emits.values() if event.name in action.events for side in sides[action.name]
        }
        if event.role == "both" and len(leading) == 1:
            (side,) = leading
            message = f"the event {event.name!r} is for both sides, but only machines of the {side} lead to it"
            yield Problem(event.place, message, f"write `role: {side}`")
        yield from _fields(event, schema, taken)


def _fields(event: Event, schema: Schema, taken: Mapping[str, Mapping[str, bool]]) -> Iterator[Problem]:
    optional = None
    for field in event.fields:
        if optional is not None and not field.optional:
            message = f"{field.name!r} is required and follows {optional!r}, which is optional"
            yield Problem(field.place, message, "put required fields first")
        optional = field.name if field.optional else optional
    names: dict[str, Collection[str]] = {}
    for field in event.fields:
        for what, structure in payloads_of(event, schema, taken) if field.type in PAYLOADS else ():
            if structure is not None and structure.name not in names:
                names[structure.name] = {part.name for part in structure.fields}
            if structure is None or (field.type == "payload-field" and field.name not in names[structure.name]):
                wanted = "structure" if structure is None else f"field {field.name!r}"
                message = f"{what!r} leads to {event.name!r}, but its payload has no {wanted}"
                yield Problem(field.place, message, "correct `type`, or `events` of the action")
                break
