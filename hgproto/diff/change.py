"""Changes and their four kinds, and the functions that find parts of the old schema in the new one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from hgproto.language.problems import Place

__all__ = [
    "DOCUMENTATION",
    "KINDS",
    "LAYOUT",
    "SEMANTIC",
    "WIRE",
    "Change",
    "attributes",
    "bare",
    "paired",
    "sentence_of",
    "several",
    "was",
]

LAYOUT, WIRE, SEMANTIC, DOCUMENTATION = KINDS = ("layout", "wire", "semantic", "documentation")
"""The kinds of changes, from the gravest.

``layout``: the same bytes have other fields. ``wire``: other bytes are sent or accepted. ``semantic``: the same bytes are sent
and accepted, but their meaning, effect, name, or violated requirement changed. ``documentation``: only texts for readers
changed.
"""

Part = TypeVar("Part")

_LABELS = {
    "at_most": "bound",
    "binds": "bound side",
    "chooser": "parameter for the choice",
    "cut": "parameter for bytes",
    "doc": "documentation",
    "each": "parameter for names and bytes",
    "enforced": "place of enforcement",
    "extends": "base",
    "initial": "initial state",
    "media_type": "media type",
    "otherwise": "requirement for all other cases",
    "reference": "note on the reference",
    "sender_requirement": "requirement for the sender",
    "text": "wording",
    "why": "rationale",
}
_PROSE = {"resolution", "text"}
_WORDS: dict[str, dict[object, str]] = {
    "optional": {False: "required", True: "optional"},
    "sender": {None: "sent by either side", "client": "sent by clients", "server": "sent by servers"},
    "repeated": {False: "a single item", True: "repeated to the end"},
    "sends": {False: "a plain value", True: "one with frames to send"},
    "shorten": {False: "rejected if it is too long", True: "shortened if it is too long"},
    "show": {False: "not shown", True: "shown"},
}
"""The descriptions of values in sentences that do not name their attribute."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change: its kind, the path of the changed part in the new schema, a sentence, and the places in both schemas.

    A place is None if the schema does not have the part. It is also None for the attributes of the whole schema, such as the
    title and the media type.
    """

    kind: str
    path: str
    sentence: str
    old: Place | None
    new: Place | None


def was(label: str, subject: str, old: Any, new: Any) -> str:
    """Returns a sentence with the old and the new value of an attribute."""
    return f"The {label} of {subject} was {_said(old)} and is {_said(new)}."


def _quoted(value: str | None) -> str | None:
    return value and f'"{value}"'


def _said(value: Any) -> str:
    if value is None:
        return "not set"
    is_list = isinstance(value, str) and value[:1] not in ('"', "{") and re.search("[,;] ", value)
    return f'"{value}"' if is_list else str(value)


def attributes(
    path: str,
    subject: str,
    old: Any,
    new: Any,
    kinds: Mapping[str, str],
    names: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[Change]:
    """Yields the changes of attributes. ``kinds``: the kind for each attribute. ``names``: new names for values of attributes."""
    for name, kind in kinds.items():
        before, now = getattr(old, name), getattr(new, name)
        renamed = (names or {}).get(name, {})
        if renamed.get(before, before) != now:
            label = _LABELS.get(name, name)
            sentence = was(label, subject, *(_quoted(value) if name in _PROSE else value for value in (before, now)))
            if name in _WORDS:
                sentence = sentence_of(f"{subject} was {_WORDS[name][before]} and is {_WORDS[name][now]}.")
            if kind == DOCUMENTATION and name not in ("section", "source"):
                sentence = f"The {label} of {subject} was reworded."
            yield Change(kind, f"{path}.{name}" if path else name, sentence, _place(old), _place(new))


def _place(part: Any) -> Place | None:
    return getattr(part, "place", None)


def several(
    kind: str,
    path: str,
    subject: Callable[[str], str],
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    names: Mapping[str, str],
    told: Callable[[Any], str] = lambda _: "",
) -> Iterator[Change]:
    """Yields a change for each new, removed, and renamed part.

    ``names``: the result of :func:`paired`. ``told``: returns words to insert into the sentence about a new or removed part.
    """
    for name, part in old.items():
        now = names.get(name)
        if now is None:
            yield Change(
                kind, f"{path}.{name}", sentence_of(f"{subject(name)}{told(part)} is gone."), _place(part), None
            )
        elif now != name:
            sentence = sentence_of(f"{subject(name)} is now called {now}.")
            yield Change(SEMANTIC, f"{path}.{now}", sentence, _place(part), _place(new[now]))
    known = set(names.values())
    for name, part in new.items():
        if name not in known:
            yield Change(
                kind, f"{path}.{name}", sentence_of(f"{subject(name)}{told(part)} is new."), None, _place(part)
            )


def sentence_of(text: str) -> str:
    """Returns a text with a capital letter at the start."""
    return f"{text[0].upper()}{text[1:]}"


def paired(
    old: Mapping[str, Part], new: Mapping[str, Part], key: Callable[[Part], Hashable] | None = None
) -> dict[str, str]:
    """Returns the new names of old parts: the same name, or that of the only new part with the same key.

    Removed parts are absent. ``key``: by default, all attributes of a part except its name and place.
    """
    names = {name: name for name in old if name in new}
    gone, fresh = _by_key(old, new, key or bare), _by_key(new, old, key or bare)
    for of_key, ours in gone.items():
        theirs = fresh.get(of_key, [])
        if len(ours) == len(theirs) == 1:
            names[ours[0]] = theirs[0]
    return names


def _by_key(
    parts: Mapping[str, Part], others: Mapping[str, Part], key: Callable[[Part], Hashable]
) -> dict[Hashable, list[str]]:
    """Returns the names that are not in ``others``, by the keys of their parts."""
    found: dict[Hashable, list[str]] = {}
    for name, part in parts.items():
        if name not in others:
            found.setdefault(key(part), []).append(name)
    return found


def bare(part: Any, without: tuple[str, ...] = ("name", "id")) -> Any:
    """Returns all attributes of a part of a schema, except its name and place, as a hashable value."""
    if is_dataclass(part):
        left_out = {"place", "state_places", *without}
        return tuple(bare(getattr(part, field.name), ()) for field in fields(part) if field.name not in left_out)
    if isinstance(part, Mapping):
        return tuple((key, bare(value, ())) for key, value in sorted(part.items()))
    if isinstance(part, tuple | list):
        return tuple(bare(value, ()) for value in part)
    return part
