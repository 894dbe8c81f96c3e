"""What a change is, its four kinds, and how parts of the old schema are found again in the new one."""

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
"""The kinds, the gravest first.

``layout``: the same bytes are other fields. ``wire``: other bytes are sent or taken. ``semantic``: the same bytes are
sent and taken, and mean, do or are called something else, or are refused by another rule. ``documentation``: nothing but
what is said to people.
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
    "otherwise": "rule for all other cases",
    "reference": "note on the reference",
    "sender_requirement": "rule on the sender",
    "text": "wording",
    "why": "rationale",
}
_PROSE = {"resolution", "text"}
_WORDS: dict[str, dict[object, str]] = {
    "optional": {False: "required", True: "optional"},
    "sender": {None: "sent by either side", "client": "sent by clients", "server": "sent by servers"},
    "sends": {False: "a plain value", True: "one with frames to send"},
    "shorten": {False: "refused if it is too long", True: "shortened if it is too long"},
    "show": {False: "not shown", True: "shown"},
}
"""What something is or was, where that is said without the name of the attribute."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change: its kind, the path of what changed in the new schema, a sentence, and the places in the two schemas.

    A place is None in the schema that does not have the part, and for the title, the media type and the like, which
    belong to the whole.
    """

    kind: str
    path: str
    sentence: str
    old: Place | None
    new: Place | None


def was(label: str, subject: str, old: Any, new: Any) -> str:
    """The sentence that something was this and is that."""
    return f"The {label} of {subject} was {_said(old)} and is {_said(new)}."


def _quoted(value: str | None) -> str | None:
    return value and f'"{value}"'


def _said(value: Any) -> str:
    if value is None:
        return "none"
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
    """Attributes that differ. ``kinds``: of a change of each. ``names``: what names in an attribute are called now."""
    for name, kind in kinds.items():
        before, now = getattr(old, name), getattr(new, name)
        renamed = (names or {}).get(name, {})
        if renamed.get(before, before) != now:
            label = _LABELS.get(name, name)
            sentence = was(label, subject, *(_quoted(value) if name in _PROSE else value for value in (before, now)))
            if name in _WORDS:
                sentence = sentence_of(f"{subject} was {_WORDS[name][before]} and is {_WORDS[name][now]}.")
            if kind == DOCUMENTATION and name not in ("section", "source"):
                sentence = f"The {label} of {subject} is worded otherwise."
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
    """Parts that are new, gone or called otherwise. ``names``: as of :func:`paired`; ``told``: of one that is new or gone."""
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
    """The text with a capital letter."""
    return f"{text[0].upper()}{text[1:]}"


def paired(
    old: Mapping[str, Part], new: Mapping[str, Part], key: Callable[[Part], Hashable] | None = None
) -> dict[str, str]:
    """What the names of the old are in the new: the same, or that of the only one with the same key and a new name.

    By default, the key is all that a part is, save name and place.
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
    """The names that ``others`` does not have, by the keys of their parts."""
    found: dict[Hashable, list[str]] = {}
    for name, part in parts.items():
        if name not in others:
            found.setdefault(key(part), []).append(name)
    return found


def bare(part: Any, without: tuple[str, ...] = ("name", "id")) -> Any:
    """All that a part of a schema is, save its name and where it stands."""
    if is_dataclass(part):
        left_out = {"place", "state_places", *without}
        return tuple(bare(getattr(part, field.name), ()) for field in fields(part) if field.name not in left_out)
    if isinstance(part, Mapping):
        return tuple((key, bare(value, ())) for key, value in sorted(part.items()))
    if isinstance(part, tuple | list):
        return tuple(bare(value, ()) for value in part)
    return part
