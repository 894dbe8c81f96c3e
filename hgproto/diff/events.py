"""Changes of events, of their fields, and of the actions that lead to them. They do not affect bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.diff.change import DOCUMENTATION, SEMANTIC, Change, attributes, paired, several, was

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hgproto.language.model import Event, Schema

__all__ = ["of_events", "paired_actions"]

EVENT = {"role": SEMANTIC, "extends": SEMANTIC, "sends": SEMANTIC, "doc": DOCUMENTATION}
EVENT_FIELD = {"type": SEMANTIC, "optional": SEMANTIC, "doc": DOCUMENTATION}
ACTION = {"doc": DOCUMENTATION}


def paired_actions(old: Schema, new: Schema) -> dict[str, str]:
    """Returns the new names of actions: the same name, or that of the action with the same documentation and events."""
    events = paired(old.events, new.events)
    return paired(
        old.emits, new.emits, lambda action: (action.doc, tuple(events.get(name, name) for name in action.events))
    )


def of_events(old: Schema, new: Schema, actions: Mapping[str, str]) -> Iterator[Change]:
    """Yields the changes of events and actions. ``actions``: the result of :func:`paired_actions`."""
    events = paired(old.events, new.events)
    yield from several(SEMANTIC, "events", lambda name: f"the event {name}", old.events, new.events, events)
    for name, now in events.items():
        yield from _event(f"events.{now}", old.events[name], new.events[now], events)
    yield from several(SEMANTIC, "emits", lambda name: f"the action {name}", old.emits, new.emits, actions)
    for name, now in actions.items():
        before, other = old.emits[name], new.emits[now]
        path, subject = f"emits.{now}", f"the action {now}"
        yield from attributes(path, subject, before, other, ACTION)
        ours, theirs = sorted(events.get(event, event) for event in before.events), sorted(other.events)
        if ours != theirs:
            led, leads = (", ".join(names) or "no event" for names in (ours, theirs))
            sentence = f"The action {now} led to {led}, and leads to {leads}."
            yield Change(SEMANTIC, f"{path}.events", sentence, before.place, other.place)


def _event(path: str, old: Event, new: Event, events: Mapping[str, str]) -> Iterator[Change]:
    yield from attributes(path, f"the event {new.name}", old, new, EVENT, {"extends": events})
    before, now = {field.name: field for field in old.own}, {field.name: field for field in new.own}
    fields = {name: name for name in before if name in now}
    of = f"of the event {new.name}"
    yield from several(SEMANTIC, f"{path}.fields", lambda name: f"the field {name} {of}", before, now, fields)
    for name in fields:
        yield from attributes(f"{path}.fields.{name}", f"the field {name} {of}", before[name], now[name], EVENT_FIELD)
    orders = list(fields), [name for name in now if name in fields]
    if orders[0] != orders[1]:
        sentence = was("order", f"the fields {of}", *map(", ".join, orders))
        yield Change(SEMANTIC, f"{path}.fields", sentence, old.place, new.place)
