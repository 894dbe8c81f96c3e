"""What a change is, its four kinds, and how parts of the old schema are found again in the new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hgproto.spec.problems import Place

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
    "several",
    "was",
]

LAYOUT, WIRE, SEMANTIC, DOCUMENTATION = KINDS = ("layout", "wire", "semantic", "documentation")
"""The kinds, the gravest first.

``layout``: the same octets are other fields. ``wire``: other octets are sent or taken. ``semantic``: the same octets are
sent and taken, and mean, do or are called something else, or are refused by another rule. ``documentation``: nothing but
what is said to people.
"""

Part = TypeVar("Part")

_LABELS = {
    "at_most": "bound",
    "doc": "documentation",
    "media_type": "media type",
    "reference": "note on the reference",
    "sender_requirement": "rule on the sender",
    "text": "wording",
    "why": "rationale",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One change: its kind, the path of what changed, a sentence, and the places in the two schemas, None where it is not."""

    kind: str
    path: str
    sentence: str
    old: Place | None
    new: Place | None


def was(label: str, subject: str, old: Any, new: Any) -> str:
    """The sentence that something was this and is that."""
    return f"The {label} of {subject} was {_said(old)} and is {_said(new)}."


def _said(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) and " " in value and value[:1] not in "{[" else str(value)


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
            sentence = was(label, subject, before, now)
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
            yield Change(kind, f"{path}.{name}", _sentence(f"{subject(name)}{told(part)} is gone."), _place(part), None)
        elif now != name:
            sentence = _sentence(f"{subject(name)} is now called {now}.")
            yield Change(SEMANTIC, f"{path}.{now}", sentence, _place(part), _place(new[now]))
    known = set(names.values())
    for name, part in new.items():
        if name not in known:
            yield Change(kind, f"{path}.{name}", _sentence(f"{subject(name)}{told(part)} is new."), None, _place(part))


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def paired(
    old: Mapping[str, Part], new: Mapping[str, Part], same: Callable[[Part, Part], bool] | None = None
) -> dict[str, str]:
    """What the names of the old are in the new: the same, or that of the only one which is ``same`` and has a new name.

    By default parts are the same that differ in nothing but name and place.
    """
    names = {name: name for name in old if name in new}
    gone = {name: part for name, part in old.items() if name not in new}
    fresh = {name: part for name, part in new.items() if name not in old}
    alike = same or (lambda one, other: bare(one) == bare(other))
    for name, part in gone.items():
        found = [other for other in fresh if alike(part, fresh[other])]
        if len(found) == 1 and [other for other in gone if alike(gone[other], fresh[found[0]])] == [name]:
            names[name] = found[0]
    return names


def bare(part: Any, without: tuple[str, ...] = ("name", "id")) -> Any:
    """All that a part of a schema is, save its name and where it stands."""
    if is_dataclass(part):
        left_out = {"place", "state_places", *without}
        return tuple(bare(getattr(part, field.name), ()) for field in fields(part) if field.name not in left_out)
    if isinstance(part, Mapping):
        return tuple((key, bare(value, ())) for key, value in sorted(part.items()))
    if isinstance(part, tuple):
        return tuple(bare(value, ()) for value in part)
    return part
